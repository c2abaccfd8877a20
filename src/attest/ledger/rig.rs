//! What the tests of a journal in PostgreSQL share: a primary with a synchronous standby, and bastions with a directory each.

use super::{Postgres, setup};
use crate::config::model::{JournalDatabase, Login, SecretRef, Tls};
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::id::IncidentId;
use crate::domain::mode::Mode;
use crate::journal::key::VerifierKey;
use crate::journal::read::{Filter, Reader, Stored};
use crate::journal::shared::{Database as _, fetch};
use crate::journal::verify::{self, Options, Report, Verdict};
use crate::journal::{Committed, Draft, Journal, JournalError, Kind, OpenOptions};
use crate::observe::postgres::testbed::{PASSWORD, Server};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const ORIGIN: &str = "quarterdeck/test";

/// The role of the bastions.
pub const WRITER: &str = "qd_bastion";

/// Settings of a server that may hold a journal.
const SAFE: &[&str] = &["fsync=on", "synchronous_standby_names=replica1", "wal_receiver_status_interval=100ms"];

/// A primary and its synchronous standby.
pub struct Pair {
    pub primary: Server,
    pub standby: Server,
    pub timeout: Duration,
    pub lease: Option<Duration>,
    secrets: TempDir,
}

impl Pair {
    /// Starts both and sets the journal up; nothing where PostgreSQL is not installed.
    pub async fn start() -> Option<Self> {
        let pair = Self::bare().await?;
        pair.set_up(ORIGIN);
        pair.password().await;
        Some(pair)
    }

    /// The same without a journal.
    pub async fn bare() -> Option<Self> {
        let primary = Server::start_with(SAFE).await?;
        let standby = primary.replica_with(SAFE).await;
        primary.until("postgres", "SELECT count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync'").await;
        let secrets = tempfile::tempdir().unwrap();
        let path = secrets.path().join("password");
        std::fs::write(&path, PASSWORD).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        Some(Self { primary, standby, timeout: Duration::from_secs(5), lease: None, secrets })
    }

    fn login(&self, user: &str) -> Login {
        Login { user: user.to_owned(), password: Some(SecretRef::File(self.secrets.path().join("password"))) }
    }

    /// As a bastion is configured: the server that takes writes, and the one that may take over.
    pub fn config(&self) -> JournalDatabase {
        let server = |port| ("127.0.0.1".to_owned(), port);
        JournalDatabase {
            servers: vec![server(self.primary.port), server(self.standby.port)],
            database: "postgres".to_owned(),
            login: self.login(WRITER),
            tls: Tls::Disable,
            ca: crate::config::model::Ca::default(),
            timeout: self.timeout,
            lease: self.lease,
        }
    }

    pub fn database(&self) -> Arc<Postgres> {
        Arc::new(Postgres::new(&self.config()).unwrap())
    }

    pub fn set_up(&self, origin: &str) {
        let config = self.config();
        wait(|| self.database().set_up(&config, self.login("postgres"), origin)).unwrap();
    }

    pub async fn password(&self) {
        self.primary.sql("postgres", &format!("ALTER ROLE {WRITER} PASSWORD '{PASSWORD}'")).await;
    }

    /// How a bastion opens its journal.
    pub fn options(&self, bastion: &Bastion) -> OpenOptions {
        OpenOptions { database: Some(self.database()), ..bastion.options() }
    }

    pub fn open(&self, bastion: &Bastion) -> Journal {
        self.try_open(bastion).unwrap()
    }

    pub fn try_open(&self, bastion: &Bastion) -> Result<Journal, JournalError> {
        wait(|| Journal::open(self.options(bastion))).map(|(journal, _)| journal)
    }

    /// The standby becomes the primary, and gets a standby of its own.
    pub async fn fail_over(&mut self) {
        self.standby.sql("postgres", "SELECT pg_promote(true, 60)").await;
        let next = self.standby.replica_with(SAFE).await;
        let dead = std::mem::replace(&mut self.primary, std::mem::replace(&mut self.standby, next));
        drop(dead);
    }

    /// Brings what the database holds into a new directory, and verifies it there.
    pub fn verify(&self, key: &VerifierKey) -> Report {
        let dir = tempfile::tempdir().unwrap();
        let database = self.database();
        wait(|| fetch(database.session(Arc::new(|| {})).as_mut(), "x", dir.path())).unwrap();
        verify::verify(dir.path(), &Options::against(key)).unwrap()
    }
}

/// The SQL of the setup for a login.
pub fn setup_sql(origin: &str) -> String {
    setup::sql(origin, WRITER)
}

/// One machine with an engine.
pub struct Bastion {
    dir: TempDir,
    name: String,
}

impl Bastion {
    pub fn new(name: &str) -> Self {
        Self { dir: tempfile::tempdir().unwrap(), name: name.to_owned() }
    }

    pub fn dir(&self) -> PathBuf {
        self.dir.path().join("journal")
    }

    /// Another one, to which the key of this one was brought.
    pub fn beside(&self, name: &str) -> Self {
        let other = Self::new(name);
        std::fs::create_dir(other.dir()).unwrap();
        std::fs::copy(self.dir().join("log.key"), other.dir().join("log.key")).unwrap();
        other
    }

    pub fn options(&self) -> OpenOptions {
        let (user, via, host) = ("mara".into(), "cli".into(), self.name.clone());
        let actor = Actor { user, uid: 1001, via, host, console: None };
        let time = "2026-11-23T08:00:00Z".parse().unwrap();
        let options = OpenOptions::new(self.dir(), ORIGIN, actor, Mode::Live, Environment::Production, time);
        OpenOptions { low_water: 0, segment_bytes: 20_000, ..options }
    }

    pub fn draft(&self, kind: Kind, body: serde_json::Value) -> Draft {
        let OpenOptions { actor, mode, environment, time, .. } = self.options();
        Draft { kind, incident: Some(IncidentId::from("INC-42")), body, actor, mode, environment, time }
    }

    pub fn note(&self, text: impl std::fmt::Display) -> Draft {
        self.draft(Kind::NoteAdded, json!({ "text": text.to_string() }))
    }

    pub fn records(&self) -> Vec<Stored> {
        records(&self.dir())
    }

    /// The texts of the notes in its copy.
    pub fn notes(&self) -> Vec<String> {
        let text = |stored: Stored| Some(stored.record.body.get("text")?.as_str()?.to_owned());
        self.records().into_iter().filter_map(text).collect()
    }
}

pub fn records(dir: &Path) -> Vec<Stored> {
    Reader::open(dir, Filter::default()).unwrap().collect::<Result<_, _>>().unwrap()
}

/// Does what blocks, and lets the other tasks of the test go on.
pub fn wait<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// Appends one record, waiting like the engine does.
pub async fn append(journal: &Journal, draft: Draft) -> Result<Vec<Committed>, JournalError> {
    journal.append(vec![draft]).await
}

pub async fn close(journal: Journal) {
    journal.close("2026-11-23T08:01:00Z".parse().unwrap()).await.unwrap();
    wait(|| drop(journal));
}

/// Waits until something is so.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !holds() {
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

pub fn assert_verified(report: &Report) {
    assert_eq!((report.verdict, &report.first_bad), (Verdict::Verified, &None), "{report:?}");
}
