//! `[baseline]`, and the file with what was approved that it names.

use super::decode::{Ids, path};
use super::problem::Problems;
use super::reader::{self, Source, Table};
use super::template::quote;
use crate::domain::baseline::{Approved, Aspect, line, parse};
use crate::domain::id::SourceId;
use crate::domain::text::is_hostile;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Least and most time between two looks.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_hours(24);
/// Rights change by people's hands.
const USUAL: Duration = Duration::from_mins(5);

/// `[baseline]`: what may be there, and what is compared with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Baseline {
    /// The file with what was approved.
    pub file: PathBuf,
    /// The systems that are compared; every `[[postgres]]` and `[[kubernetes]]` when empty.
    pub of: Vec<SourceId>,
    /// Time between two looks.
    pub interval: Duration,
}

impl Baseline {
    /// Whether a system is compared.
    pub fn covers(&self, system: &SourceId) -> bool {
        self.of.is_empty() || self.of.contains(system)
    }
}

/// Decodes `[baseline]`.
pub(super) fn one(mut table: Table<'_, '_>, ids: &Ids) -> Option<Baseline> {
    if !table.has("file") {
        table.reject("file", "[baseline] lacks `file`; for example `file = \"/etc/quarterdeck/baseline.toml\"`");
    }
    let file = path(&mut table, "file");
    if file.as_ref().is_some_and(|p| !p.is_absolute()) {
        table.reject("file", "`file` of [baseline] must be an absolute path");
    }
    let of = table.checked_strings("of", |id| match ids.kind(id) {
        Some("postgres" | "kubernetes") => Ok(()),
        _ => Err(format!("`of` names `{id}`, which is neither a [[postgres]] nor a [[kubernetes]]")),
    });
    let interval = table.duration("interval", SHORTEST, LONGEST).unwrap_or(USUAL);
    table.finish();
    Some(Baseline { file: file?, of: of.into_iter().map(SourceId::new).collect(), interval })
}

/// Decodes a file of what was approved, by system. `file` is its name in errors.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn decode(file: &str, text: &str) -> Result<BTreeMap<SourceId, Approved>, Problems> {
    let source = Source::new(file, text);
    let root = reader::parse(file, text)?;
    let mut root = Table::root(&source, &root);
    let mut all: BTreeMap<SourceId, Approved> = BTreeMap::new();
    for mut table in root.tables("system") {
        let id = SourceId::new(table.required("id", "pg-a"));
        let mut approved = Approved::default();
        for aspect in Aspect::POSTGRES.iter().chain(Aspect::KUBERNETES) {
            let there = table.has(aspect.key());
            let lines = table.checked_strings(aspect.key(), check);
            if there {
                approved.0.insert(*aspect, lines.iter().map(|one| parse(one)).collect());
            }
        }
        let foreign =
            [Aspect::POSTGRES, Aspect::KUBERNETES].iter().all(|of| of.iter().any(|a| approved.0.contains_key(a)));
        if foreign {
            table.reject("id", "a system is a PostgreSQL or a Kubernetes cluster: this one has aspects of both");
        }
        if all.insert(id.clone(), approved).is_some() {
            table.reject("id", format!("`{id}` is there twice"));
        }
        table.finish();
    }
    root.finish();
    let problems = source.into_problems();
    if problems.is_empty() { Ok(all) } else { Err(Problems(problems)) }
}

fn check(one: &str) -> Result<(), String> {
    if parse(one).0.is_empty() || one.chars().any(is_hostile) {
        return Err(
            "this is no line of a baseline; allowed is `NAME` or `NAME: WORDS` without control characters".into()
        );
    }
    Ok(())
}

/// A file of these systems, as [`decode`] reads it.
pub fn encode(head: &str, systems: &BTreeMap<SourceId, Approved>) -> String {
    let mut out = String::new();
    for comment in head.lines() {
        out.push_str(&format!("# {comment}\n"));
    }
    for (id, approved) in systems {
        out.push_str(&format!("\n[[system]]\nid = {}\n", quote(id.as_str())));
        for (aspect, lines) in &approved.0 {
            out.push_str(&format!("{} = [\n", aspect.key()));
            for (name, value) in lines {
                out.push_str(&format!("    {},\n", quote(&line(name, value))));
            }
            out.push_str("]\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_is_read_as_it_was() {
        let lines = |all: &[&str]| all.iter().map(|one| parse(one)).collect();
        let of_pg =
            [(Aspect::Roles, lines(&["odoo: login", "it's \"me\": login superuser"])), (Aspect::Members, lines(&[]))];
        let of_k8s = [(Aspect::Namespaces, lines(&["erp", "tools"]))];
        let systems: BTreeMap<SourceId, Approved> =
            [("pg-a".into(), Approved(of_pg.into())), ("k8s-1".into(), Approved(of_k8s.into()))].into();
        let text = encode("taken on a Sunday\nby nobody", &systems);
        assert!(text.starts_with("# taken on a Sunday\n# by nobody\n"), "{text}");
        assert_eq!(decode("b.toml", &text).unwrap(), systems, "{text}");
    }

    #[test]
    fn every_mistake_has_its_place() {
        let text = "[[system]]\nid = \"pg-a\"\nroles = [\"a: login\", \"\"]\nrols = []\n[[system]]\nid = \"pg-a\"\n\
                    rights = []\nroles = []\n";
        let said = decode("b.toml", text).unwrap_err().to_string();
        for part in [
            "b.toml:3:22: this is no line",
            "b.toml:4:1: unknown key `rols`",
            "`pg-a` is there twice",
            "aspects of both",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(decode("b.toml", "[[system]]\n").unwrap_err().to_string().contains("lacks `id`"));
    }

    #[test]
    fn the_table_names_an_absolute_file_and_systems_that_there_are() {
        const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[postgres]]\nid = \"pg-a\"\nhost = \"h\"\n\
                            user = \"u\"\n[baseline]\n";
        let read = |rest: &str| crate::config::decode::decode("c.toml", &format!("{HEAD}{rest}"));
        let baseline = read("file = \"/etc/b.toml\"\n").unwrap().baseline.unwrap();
        assert!(baseline.covers(&"pg-a".into()) && baseline.interval == USUAL);
        let only = read("file = \"/etc/b.toml\"\nof = [\"pg-a\"]\n").unwrap().baseline.unwrap();
        assert!(only.covers(&"pg-a".into()) && !only.covers(&"pg-b".into()));
        let said = |rest: &str| read(rest).unwrap_err().to_string();
        assert!(said("").contains("lacks `file`"));
        assert!(said("file = \"b.toml\"\n").contains("absolute path"));
        assert!(said("file = \"/b\"\nof = [\"pg-b\"]\n").contains("neither a [[postgres]] nor a [[kubernetes]]"));
    }
}
