//! `[[pgbackrest]]` and `[[patroni]]`: who backs PostgreSQL up, and who keeps it available.

use super::decode::{Ids, name, path, required_url, secret_of};
use super::model::Login;
use super::reader::Table;
use crate::domain::id::SourceId;
use std::path::PathBuf;
use std::time::Duration;

/// `[[pgbackrest]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pgbackrest {
    /// Name, as playbooks say it.
    pub id: SourceId,
    /// Its stanza.
    pub stanza: String,
    /// Words that start it on this machine: `["pgbackrest"]`, or `["sudo", "-n", "-u", "postgres", "pgbackrest"]`.
    pub command: Vec<String>,
    /// Its configuration file; its own default when absent.
    pub config: Option<PathBuf>,
    /// Time between two looks.
    pub interval: Duration,
    /// Directory in which `restore_aside` makes one for each restore.
    pub restore_dir: Option<PathBuf>,
}

/// `[[patroni]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patroni {
    /// Name, as playbooks say it.
    pub id: SourceId,
    /// Base URL of the REST API of one member, or of what stands before all.
    pub url: String,
    /// Login for what changes something.
    pub act: Option<Login>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub ca: crate::config::tls::Ca,
}

/// Decodes `[[pgbackrest]]`.
pub(super) fn pgbackrest(tables: Vec<Table<'_, '_>>, ids: &mut Ids) -> Vec<Pgbackrest> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "pgbackrest");
        let stanza = name(&mut table, "stanza", "main");
        let mut command = table.strings("command");
        if command.is_empty() {
            command = vec!["pgbackrest".to_owned()];
        }
        let config = path(&mut table, "config");
        let restore_dir = path(&mut table, "restore_dir");
        if restore_dir.as_ref().is_some_and(|d| !d.is_absolute()) {
            table.reject("restore_dir", "`restore_dir` must be an absolute path");
        }
        // A backup is hours apart from the next; a repository in object storage costs money for each look.
        let interval = table.duration("interval", Duration::from_secs(10), Duration::from_hours(24));
        table.finish();
        let interval = interval.unwrap_or(Duration::from_mins(2));
        Pgbackrest { id, stanza, command, config, interval, restore_dir }
    };
    tables.into_iter().map(one).collect()
}

/// Decodes `[[patroni]]`.
pub(super) fn patroni(tables: Vec<Table<'_, '_>>, ids: &mut Ids) -> Vec<Patroni> {
    let one = |mut table: Table<'_, '_>| {
        let id = ids.source(&mut table, "patroni");
        let url = required_url(&mut table, "url", &["http://", "https://"], "https://db1.internal:8008");
        let act = table.table("act").map(|mut act| {
            let login = Login { user: act.required("user", "quarterdeck"), password: secret_of(&mut act, "password") };
            act.finish();
            login
        });
        let ca = crate::config::tls::ca(&mut table);
        table.finish();
        Patroni { id, url, act, ca }
    };
    tables.into_iter().map(one).collect()
}
