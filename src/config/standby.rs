//! `[[standby]]`: what another region needs to take over, so that it is known beforehand whether it could.

use super::decode::{Ids, name};
use super::reader::Table;
use crate::domain::id::SourceId;
use std::time::Duration;

/// Kinds of sources that a region may need.
const NEEDED: &[&str] = &[
    "kubernetes",
    "postgres",
    "pgbouncer",
    "redis",
    "traefik",
    "patroni",
    "pgbackrest",
    "bucket",
    "restore_test",
    "probe",
];

/// `[[standby]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standby {
    /// Source name.
    pub id: SourceId,
    /// The region that takes over.
    pub region: String,
    /// The sources there that have to be well.
    pub needs: Vec<SourceId>,
    /// How far its databases may be behind.
    pub lag: Duration,
}

/// Decodes `[[standby]]`.
pub(super) fn all(tables: Vec<Table<'_, '_>>, ids: &mut Ids) -> Vec<Standby> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "standby");
        let region = name(&mut table, "region", "eu-west");
        let needs = table.strings("needs");
        if needs.is_empty() {
            table.reject("needs", "`needs` is empty; it names the sources of the region that have to be well");
        }
        for need in &needs {
            match ids.kind(need) {
                Some(kind) if NEEDED.contains(&kind) => {}
                Some(kind) => {
                    let message = format!("`needs` names `{need}`, a [[{kind}]]; allowed are {}", NEEDED.join(", "));
                    table.reject("needs", message);
                }
                None => {
                    let known = ids.of_kinds(NEEDED).join(", ");
                    table.reject("needs", format!("`needs` names `{need}`, which is no source; known: {known}"));
                }
            }
        }
        let lag =
            table.duration("lag", Duration::from_secs(1), Duration::from_hours(24)).unwrap_or(Duration::from_mins(1));
        table.finish();
        Standby { id, region, needs: needs.into_iter().map(SourceId::new).collect(), lag }
    };
    tables.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::decode::decode;

    const HEAD: &str = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[postgres]]\nid = \"pg-b\"\nhost = \"h\"\n\
                        user = \"u\"\n[[prometheus]]\nid = \"prom\"\nurl = \"http://h\"\n[[standby]]\nid = \"dr\"\n";

    #[test]
    fn a_region_names_what_it_needs() {
        let read = |rest: &str| decode("c.toml", &format!("{HEAD}{rest}")).unwrap().standby.remove(0);
        let one = read("region = \"eu-west\"\nneeds = [\"pg-b\"]\n");
        assert_eq!((one.region.as_str(), one.needs.len(), one.lag), ("eu-west", 1, Duration::from_mins(1)));
        assert_eq!(read("region = \"r\"\nneeds = [\"pg-b\"]\nlag = \"5m\"\n").lag, Duration::from_mins(5));
    }

    #[test]
    fn what_needs_nothing_or_a_stranger_is_a_sentence() {
        let said = |rest: &str| decode("c.toml", &format!("{HEAD}{rest}")).unwrap_err().to_string();
        assert!(said("region = \"r\"\n").contains("`needs` is empty"));
        assert!(said("needs = [\"pg-b\"]\n").contains("lacks `region`"));
        let stranger = said("region = \"r\"\nneeds = [\"pg-c\"]\n");
        assert!(stranger.contains("c.toml:14:") && stranger.contains("no source; known: pg-b"), "{stranger}");
        let other = said("region = \"r\"\nneeds = [\"prom\"]\n");
        assert!(other.contains("a [[prometheus]]; allowed are kubernetes"), "{other}");
    }
}
