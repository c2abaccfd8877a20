//! A journal in PostgreSQL of a test's own: the primary with its synchronous standby, and what bastions have to have of it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

use crate::postgres::Server;
use serde_json::Value;
use std::path::Path;

/// What a server that holds a journal has to have.
const SAFE: &str = "fsync=on\nsynchronous_standby_names=*\nwal_receiver_status_interval=100ms";

/// The primary and its standby, which is in step.
pub fn servers(bin: &Path) -> [Server; 2] {
    let primary = Server::start(bin, SAFE);
    let standby = primary.standby();
    primary.until("SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'");
    [primary, standby]
}

/// Sets the journal up there as an administrator would, by a command of the program.
pub fn init(run: impl FnOnce(&[&str]) -> (i32, String, String)) {
    let (code, out, err) = run(&["audit", "database", "init", "--apply", "--user", "postgres"]);
    assert_eq!(code, 0, "{out}{err}");
}

/// The tables of an estate and of its journal at these ports, for a bastion with this home; the last one is still open.
pub fn tables(estate: &str, home: &Path, [primary, standby]: [u16; 2], timeout: &str) -> String {
    let password = home.join("password");
    std::fs::write(&password, "nobody asks for it").unwrap();
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    format!(
        "[estate]\nname = \"{estate}\"\nenvironment = \"development\"\ntime_zone = \"UTC\"\n[journal]\ndir = \"{journal}\"\n\
         [journal.postgres]\nhost = \"127.0.0.1\"\nport = {primary}\nreplicas = [\"127.0.0.1:{standby}\"]\n\
         database = \"postgres\"\nuser = \"quarterdeck_journal\"\npassword = \"file:{password}\"\ntls = \"disable\"\n\
         timeout = \"{timeout}\"\n",
        journal = home.join("journal").display(),
        password = password.display(),
    )
}

/// Brings the key of one bastion's journal to that of another.
pub fn bring_key(from: &Path, to: &Path) {
    std::fs::create_dir(to).unwrap();
    std::fs::copy(from.join("log.key"), to.join("log.key")).unwrap();
}

/// The sources that `status --format json` has told of; nothing where no engine answered.
pub fn sources(status: &str) -> Option<Vec<Value>> {
    let said: Value = serde_json::from_str(status).ok()?;
    Some(said["sources"].as_array()?.clone())
}
