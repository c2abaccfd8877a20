//! The journal's primary with its synchronous standby, and bastions whose engines write to it over cables of their own.

use crate::cable::{Cable, Way};
use crate::engine::Served;
use crate::postgres::{Server, programs, skip};
use crate::shared_journal;
use crate::support::{self, SOON};
use crate::thing::Thing;
use rustix::process::Signal;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Instant;

/// One step that can not be taken back and that nobody can look at afterwards: sends a number, which has to arrive once.
const PLAYBOOK: &str = r#"schemaVersion: 1
id: send
name: Send a number
version: 1
owner: tests
description: Sends a number that has to arrive once.
lastReviewed: 2026-11-23
severity: [SEV1, SEV2, SEV3]
parameters:
  number: {type: integer, required: true, description: which}
steps:
- id: act
  name: send
  why: It is counted how often it arrives.
  type: action
  risk: medium
  blastRadius: tenant
  reversible: compensatable
  timeout: 12s
  onUnknown: reconcile
  run: {adapter: http, verb: webhook, args: {webhook: thing, body: '{"number": {{ params.number }}}'}}
  verify:
  - check: result.status == 200
    text: it is looked at
    within: 10s
    run: {adapter: http, verb: probe, args: {url: "http://127.0.0.1:PORT/"}}
"#;

/// The servers of the journal, the primary first, and what steps act on.
pub struct Site {
    servers: Mutex<Vec<Server>>,
    pub thing: Thing,
    /// What configurations have beside the rest; PORT stands for the thing's.
    more: String,
}

impl Site {
    /// Starts both, and sets the journal up there as an administrator would.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    /// The same, with more in the configuration of each bastion.
    pub fn start_with(more: &str) -> Option<Self> {
        let Some(bin) = programs() else {
            skip("bastions", "it needs PostgreSQL");
            return None;
        };
        let (servers, thing) = (Mutex::new(shared_journal::servers(&bin).into()), Thing::start());
        let more = more.replace("PORT", &thing.port.to_string());
        let site = Self { servers, thing, more };
        let first = Bastion::new(&site, "setup");
        shared_journal::init(|words| first.run(words));
        Some(site)
    }

    fn ports(&self) -> [u16; 2] {
        let servers = self.servers.lock().unwrap();
        [servers[0].port, servers[1].port]
    }

    /// Stops the standby where it is, or lets it go on.
    pub fn freeze_standby(&self, frozen: bool) {
        self.servers.lock().unwrap()[1].freeze(frozen);
    }

    /// Ends all sessions of bastions at the primary.
    pub fn end_sessions(&self) {
        self.servers.lock().unwrap()[0]
            .sql("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'quarterdeck_journal'");
    }

    /// The primary dies, its standby takes over and gets a standby of its own; the cables of bastions lead there.
    pub fn fail_over(&self, bastions: &[Bastion]) {
        let mut servers = self.servers.lock().unwrap();
        drop(servers.remove(0));
        servers[0].sql("SELECT pg_promote(true, 60)");
        let next = servers[0].standby();
        servers.push(next);
        for bastion in bastions {
            for (cable, server) in bastion.cables.iter().zip(&*servers) {
                cable.lead_to(server.port);
            }
        }
    }
}

/// How a run stands, as `playbook run --format json` says.
#[derive(Debug, Default)]
pub struct Stands {
    pub run: String,
    pub state: String,
    pub waits: String,
    pub digest: Option<String>,
    pub choices: Vec<String>,
}

/// One machine with an engine.
pub struct Bastion {
    home: tempfile::TempDir,
    file: String,
    cables: [Cable; 2],
    pub engine: Mutex<Option<Served>>,
}

impl Bastion {
    /// Nothing runs on it yet.
    pub fn new(site: &Site, name: &str) -> Self {
        let home = tempfile::Builder::new().prefix(name).tempdir().unwrap();
        let cables = site.ports().map(Cable::to);
        let text = format!(
            "{tables}lease = \"5s\"\n[[webhook]]\nid = \"thing\"\nurl = \"http://127.0.0.1:{hook}/\"\n[[tenant]]\nid = \"t1\"\n{more}",
            tables = shared_journal::tables("bastions", home.path(), cables.each_ref().map(|c| c.port), "2s"),
            hook = site.thing.port,
            more = site.more,
        );
        let books = home.path().join(".config/quarterdeck/playbooks");
        std::fs::create_dir_all(&books).unwrap();
        let playbook = PLAYBOOK.replace("PORT", &site.thing.port.to_string());
        std::fs::write(books.join("send.yaml"), playbook).unwrap();
        let file = support::config(home.path(), &text);
        Self { home, file, cables, engine: Mutex::new(None) }
    }

    /// Another one, to which the key of this one was brought.
    pub fn beside(&self, site: &Site, name: &str) -> Self {
        let other = Self::new(site, name);
        shared_journal::bring_key(&self.journal(), &other.journal());
        other
    }

    pub fn journal(&self) -> PathBuf {
        self.home.path().join("journal")
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Starts its engine and waits until it serves.
    pub fn serve(&self) {
        // A command that found no engine has opened the journal itself, and is done in a moment.
        let deadline = Instant::now() + SOON;
        let served = loop {
            match Served::try_start(self.home(), &["--config", &self.file], &[]) {
                Ok(served) => break served,
                Err(said) if said.contains("is held by process") && Instant::now() < deadline => {}
                Err(said) => panic!("the engine ended before it was ready: {said}"),
            }
        };
        *self.engine.lock().unwrap() = Some(served);
    }

    /// Whether its engine was there to be killed.
    pub fn kill(&self) -> bool {
        self.engine.lock().unwrap().take().map(Served::kill).is_some()
    }

    pub fn cables(&self, way: Way) {
        self.cables.iter().for_each(|cable| cable.set(way));
    }

    /// A command of a person there.
    pub fn run(&self, words: &[&str]) -> (i32, String, String) {
        support::run(self.home(), &[&["--config", self.file.as_str()], words].concat())
    }

    /// Sends its engine a signal.
    pub fn signal(&self, signal: Signal) {
        self.engine.lock().unwrap().as_ref().unwrap().signal(signal);
    }

    /// The sources as its engine shows them, by name; nothing where it does not answer.
    pub fn sources(&self) -> Option<BTreeMap<String, Value>> {
        let (_, out, _) = self.run(&["status", "--format", "json"]);
        let rows = shared_journal::sources(&out)?.into_iter();
        Some(rows.map(|row| (row["id"].as_str().unwrap_or_default().to_owned(), row)).collect())
    }

    /// The same, which has to go through; what it says in JSON.
    pub fn json(&self, words: &[&str]) -> Value {
        let (code, out, err) = self.run(&[words, &["--format", "json"]].concat());
        assert_eq!(code, 0, "{words:?}: {out}{err}");
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("{words:?}: {e}: {out}{err}"))
    }

    /// Starts a run, or goes on with one; the refusal where the engine takes none.
    pub fn send(&self, words: &[&str]) -> Result<Stands, String> {
        let words = [&["playbook", "run", "send", "--wait", "8", "--format", "json"], words].concat();
        let (_, out, err) = self.run(&words);
        if out.is_empty() {
            return Err(err);
        }
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let waits = &said["waits"];
        Ok(Stands {
            run: text(&said["run"]),
            state: text(&said["state"]),
            waits: text(&waits["what"]),
            digest: waits["digest"].as_str().map(str::to_owned),
            choices: waits["choices"].as_array().into_iter().flatten().map(text).collect(),
        })
    }

    /// Confirms the step of a run that waits for it.
    pub fn confirm(&self, stands: &Stands) -> Result<Stands, String> {
        let step = format!("act={}", stands.digest.as_deref().unwrap_or_default());
        self.send(&["--continue", &stands.run, "--confirm", &step])
    }

    /// The records of its copy.
    pub fn records(&self) -> Vec<Value> {
        let dir = self.journal().display().to_string();
        let (code, out, err) = support::run(self.home(), &["audit", "show", "--journal", &dir, "--format", "json"]);
        assert_eq!(code, 0, "{err}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Verifies what the database holds, against this copy.
    pub fn verifies(&self) {
        let (code, out, err) = self.run(&["audit", "verify"]);
        assert_eq!(code, 0, "{out}{err}");
    }
}
