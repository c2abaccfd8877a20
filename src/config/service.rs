//! `[[service]]`: the declared dependency graph. What nobody declares is not guessed.

use super::reader::Table;
use crate::domain::estate::Service;
use std::collections::{BTreeMap, BTreeSet};

/// Decodes all of them; a name that is given twice, a dependency on nothing, and a circle are refused.
pub(super) fn services(root: Vec<Table<'_, '_>>, sources: &BTreeSet<String>) -> Vec<Service> {
    let mut all: Vec<Service> = Vec::new();
    let mut tables = Vec::new();
    for mut table in root {
        let id = table.required("id", "pg-a");
        if !id.is_empty() && all.iter().any(|s| s.id == id) {
            table.reject("id", format!("there are two services `{id}`; a name is given once"));
        }
        let (owner, region, slo) = (table.string("owner"), table.string("region"), super::terms::slo(&mut table));
        all.push(Service { id, owner, region, slo, depends_on: table.strings("depends_on") });
        tables.push(table);
    }
    let known: BTreeSet<&str> = all.iter().map(|s| s.id.as_str()).chain(sources.iter().map(String::as_str)).collect();
    let graph: BTreeMap<&str, &[String]> = all.iter().map(|s| (s.id.as_str(), s.depends_on.as_slice())).collect();
    for (service, table) in all.iter().zip(tables) {
        let id = &service.id;
        for on in service.depends_on.iter().filter(|on| !known.contains(on.as_str())) {
            let names = known.iter().copied().filter(|n| !n.is_empty()).collect::<Vec<_>>().join(", ");
            let message =
                format!("`{id}` depends on `{on}`, which is neither a service nor a source; these are {names}");
            table.reject("depends_on", message);
        }
        if reaches(&graph, id) {
            table.reject("depends_on", format!("`{id}` depends on itself by a circle; leave one dependency out"));
        }
        table.finish();
    }
    all
}

/// Whether a service needs itself, directly or not.
fn reaches(graph: &BTreeMap<&str, &[String]>, of: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut left = vec![of];
    while let Some(at) = left.pop() {
        for next in graph.get(at).copied().unwrap_or_default() {
            if next == of {
                return true;
            }
            if seen.insert(next.as_str()) {
                left.push(next);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::config::decode::decode;

    const ESTATE: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\ntime_zone = \"UTC\"\n";

    #[test]
    fn services_may_stand_on_sources_and_on_each_other() {
        let text = format!(
            "{ESTATE}[[service]]\nid = \"edi\"\nowner = \"erp\"\nregion = \"eu\"\ndepends_on = [\"db\"]\n\
             [[service]]\nid = \"db\"\n"
        );
        let services = decode("c.toml", &text).unwrap().services;
        assert_eq!((services.len(), services[0].depends_on.as_slice()), (2, &["db".to_owned()][..]));
        assert_eq!((services[0].owner.as_deref(), services[0].region.as_deref()), (Some("erp"), Some("eu")));
    }

    #[test]
    fn circles_strangers_and_twins_are_refused_at_their_place() {
        let wrong = [
            (
                "[[service]]\nid = \"a\"\ndepends_on = [\"b\"]\n[[service]]\nid = \"b\"\ndepends_on = [\"a\"]\n",
                "circle",
            ),
            ("[[service]]\nid = \"a\"\ndepends_on = [\"zz\"]\n", "neither a service nor a source"),
            ("[[service]]\nid = \"a\"\n[[service]]\nid = \"a\"\n", "two services `a`"),
            ("[[service]]\nid = \"a\"\nneeds = []\n", "unknown key `needs`"),
        ];
        for (text, said) in wrong {
            let problems = decode("c.toml", &format!("{ESTATE}{text}")).unwrap_err().to_string();
            assert!(problems.contains(said) && problems.contains("c.toml:"), "{problems}");
        }
    }
}
