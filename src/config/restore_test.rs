//! `[[restore_test]]`: how it is known that backups can be restored, and how long it takes.

use super::decode::{Ids, name, path};
use super::reader::Table;
use crate::domain::id::SourceId;
use std::path::PathBuf;

/// What is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A backup was restored aside.
    Restore,
    /// A recovery was rehearsed from its beginning to its end.
    Rehearsal,
}

/// `[[restore_test]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreTest {
    /// Source name.
    pub id: SourceId,
    /// What is proven.
    pub proof: Proof,
    /// What is restored: the value of the playbook's parameter.
    pub of: String,
    /// The playbook whose runs count.
    pub playbook: String,
    /// The parameter of it that names `of`.
    pub parameter: String,
    /// The step that has to be verified; the whole run has to end well when absent.
    pub step: Option<String>,
    /// A file that says so too, written by what tests restores outside.
    pub report: Option<PathBuf>,
    /// Days after a good one until the next is due; nobody has promised any when absent.
    pub every_days: Option<u16>,
}

/// Decodes `[[restore_test]]`.
pub(super) fn all(tables: Vec<Table<'_, '_>>, ids: &mut Ids) -> Vec<RestoreTest> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "restore_test");
        let proof = table.parsed("proof", "restore or rehearsal", |text| match text {
            "restore" => Some(Proof::Restore),
            "rehearsal" => Some(Proof::Rehearsal),
            _ => None,
        });
        let proof = proof.unwrap_or(Proof::Restore);
        let of = name(&mut table, "of", "backup-a");
        let named = |table: &mut Table<'_, '_>, key: &'static str, example: &str| {
            if table.has(key) { Some(name(table, key, example)) } else { table.string(key) }
        };
        let playbook = named(&mut table, "playbook", "backup-failure");
        if playbook.is_none() && proof == Proof::Rehearsal {
            table.reject("playbook", "a rehearsal lacks `playbook`; for example `playbook = \"regional-dr\"`");
        }
        let parameter = named(&mut table, "parameter", "backup").unwrap_or_else(|| "backup".to_owned());
        // The shipped playbook goes on after its restore: what counts is that step.
        let step =
            named(&mut table, "step", "restore-test").or_else(|| playbook.is_none().then(|| "restore-test".to_owned()));
        let playbook = playbook.unwrap_or_else(|| "backup-failure".to_owned());
        let report = path(&mut table, "report");
        if report.as_ref().is_some_and(|p| !p.is_absolute()) {
            table.reject("report", "`report` must be an absolute path");
        }
        let every_days = table.parsed("every", "whole days such as \"30d\", from 1d to 730d", |text| {
            text.strip_suffix('d')?.parse::<u16>().ok().filter(|days| (1..=730).contains(days))
        });
        table.finish();
        RestoreTest { id, proof, of, playbook, parameter, step, report, every_days }
    };
    tables.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[restore_test]]\nid = \"r\"\n";

    #[test]
    fn the_shipped_playbook_counts_unless_another_is_named() {
        let read = |rest: &str| decode("c.toml", &format!("{HEAD}{rest}")).unwrap().restore_test.remove(0);
        let shipped = read("of = \"backup-a\"\n");
        assert_eq!((shipped.playbook.as_str(), shipped.step.as_deref()), ("backup-failure", Some("restore-test")));
        assert_eq!((shipped.every_days, read("of = \"b\"\nevery = \"30d\"\n").every_days), (None, Some(30)));
        let own = read("of = \"t001\"\nproof = \"rehearsal\"\nplaybook = \"regional-dr\"\nparameter = \"tenant\"\n");
        assert_eq!((own.proof, own.step, own.parameter.as_str()), (Proof::Rehearsal, None, "tenant"));
    }

    #[test]
    fn what_proves_nothing_is_a_sentence() {
        let said = |rest: &str| decode("c.toml", &format!("{HEAD}{rest}")).unwrap_err().to_string();
        assert!(said("").contains("lacks `of`"));
        assert!(said("of = \"b\"\nproof = \"hope\"\n").contains("restore or rehearsal"));
        assert!(said("of = \"b\"\nproof = \"rehearsal\"\n").contains("a rehearsal lacks `playbook`"));
        assert!(said("of = \"b\"\nreport = \"r.json\"\n").contains("absolute path"));
        for wrong in ["0d", "731d", "12h", "-3d", "d", "7"] {
            let found = said(&format!("of = \"b\"\nevery = \"{wrong}\"\n"));
            assert!(found.contains("c.toml:7:9: ") && found.contains("from 1d to 730d"), "{found}");
        }
    }
}
