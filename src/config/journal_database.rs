//! `[journal.postgres]`.

use super::decode::{host, login, port, timeout, tls};
use super::model::{JournalDatabase, Postgres};
use super::reader::Table;
use std::time::Duration;

/// Name of the database when nothing is said.
const DATABASE: &str = "quarterdeck_journal";

/// Most servers that may take over.
const MOST_REPLICAS: usize = 8;

/// Reads the table. What verbs act on must not hold their record.
pub(super) fn decode(mut table: Table<'_, '_>, acted_on: &[Postgres]) -> JournalDatabase {
    let mut servers = vec![(host(&mut table, "journal-db.internal"), port(&mut table, 5432))];
    let replicas = table.strings("replicas");
    if replicas.len() > MOST_REPLICAS {
        table.reject("replicas", format!("`replicas` has {}; at most {MOST_REPLICAS} are allowed", replicas.len()));
    }
    for replica in replicas {
        match server(&replica) {
            Some(server) => servers.push(server),
            // Not repeated: it may contain a password.
            None => table.reject("replicas", "a name in `replicas` is not HOST or HOST:PORT"),
        }
    }
    let database = table.string("database").unwrap_or_else(|| DATABASE.to_owned());
    let login = login(&mut table, "quarterdeck_journal");
    let ((tls, ca), timeout) = (tls(&mut table), timeout(&mut table));
    let lease = table.duration("lease", Duration::from_secs(3), Duration::from_mins(5));
    let target = acted_on.iter().find(|p| p.act.is_some() && servers.contains(&(p.host.clone(), p.port)));
    if let Some(target) = target {
        let id = &target.id;
        let why = format!(
            "[journal.postgres] is the server that verbs act on as [[postgres]] `{id}`: the cluster that holds the journal \
             can not be the target of a playbook; name another server, or take `act` from `{id}`"
        );
        table.reject("host", why);
    }
    table.finish();
    JournalDatabase { servers, database, login, tls, ca, timeout, lease }
}

/// What can not be had together with a journal that several bastions write, said at the key.
pub(super) fn refuse_beside(table: &Table<'_, '_>, witnesses: bool, retention: bool) {
    if witnesses {
        let why = "[[journal.witness]] is not possible together with [journal.postgres]: bastions that are a moment behind \
                   each other would take a witness's answer for a rollback; use [journal.anchor]";
        table.reject("witness", why);
    }
    if retention {
        let why = "[journal.retention] is not possible together with [journal.postgres], where all records stay; leave one \
                   of them out";
        table.reject("retention", why);
    }
}

/// `HOST`, `HOST:PORT` or `[ADDRESS]:PORT`.
fn server(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (text, 5432),
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let fine = !host.is_empty() && port > 0 && !host.contains(|c: char| c == '@' || c.is_whitespace());
    fine.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::super::decode::decode;
    use super::*;

    const HEAD: &str = "[estate]\nname = \"a\"\nenvironment = \"staging\"\n";

    #[test]
    fn the_same_words_as_of_an_instance_and_the_servers_that_may_take_over() {
        let table = "[journal.postgres]\nhost = \"db1\"\nreplicas = [\"db2\", \"db3:5433\", \"[::1]:7\"]\nuser = \"w\"\n\
                     password = \"env:P\"\ntls = \"disable\"\ntimeout = \"3s\"\nlease = \"20s\"\n";
        let journal = decode("c.toml", &format!("{HEAD}{table}")).unwrap().journal;
        let database = journal.database.unwrap();
        let servers: Vec<_> = database.servers.iter().map(|(h, p)| (h.as_str(), *p)).collect();
        assert_eq!(servers, [("db1", 5432), ("db2", 5432), ("db3", 5433), ("::1", 7)]);
        assert_eq!((database.database.as_str(), database.timeout), (DATABASE, Duration::from_secs(3)));
        assert_eq!(database.lease, Some(Duration::from_secs(20)));
        assert!(decode("c.toml", HEAD).unwrap().journal.database.is_none());
    }

    #[test]
    fn what_does_not_go_together_is_said_at_its_place() {
        let text = format!(
            "{HEAD}[[postgres]]\nid = \"pg\"\nhost = \"db1\"\nuser = \"o\"\nact = {{ user = \"a\" }}\n\
             [journal.retention]\ndays = 3\n\
             [journal.postgres]\nhost = \"db1\"\nuser = \"w\"\nreplicas = [\"x y\"]\nfolder = 1\n"
        );
        let problems = decode("c.toml", &text).unwrap_err().to_string();
        for why in [
            "can not be the target of a playbook; name another server, or take `act` from `pg`",
            "a name in `replicas` is not HOST or HOST:PORT",
            "[journal.retention] is not possible together with [journal.postgres]",
            "`folder`",
        ] {
            assert!(problems.contains(why), "{why}: {problems}");
        }
        let observed = text.replace("act = { user = \"a\" }\n", "");
        assert!(!decode("c.toml", &observed).unwrap_err().to_string().contains("target of a playbook"));
    }

    #[test]
    fn names_of_servers() {
        assert_eq!(server("db"), Some(("db".into(), 5432)));
        assert_eq!(server("fe80::1"), Some(("fe80::1".into(), 5432)));
        for bad in ["", ":1", "db:0", "db:x", "u:p@db", "a b"] {
            assert_eq!(server(bad), None, "{bad}");
        }
    }
}
