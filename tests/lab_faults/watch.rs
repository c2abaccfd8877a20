//! An engine on the lab with rules whose holds are scaled, asked again and again what is wrong.

use super::lab_support::{LONG, Lab, rules};
use super::support::program;
use super::support_engine::{Served, socket_of};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How often the engine is asked.
const AGAIN: Duration = Duration::from_millis(300);
/// Requests a second of the load.
const RATE: u64 = 12;

/// A finding, as `status` says it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub id: String,
    pub rule: String,
    pub what: String,
    pub playbooks: Vec<String>,
    /// All of it, to look for a name.
    pub whole: String,
}

/// The engine that watches.
pub struct Watch {
    _engine: Served,
    home: TempDir,
    config: PathBuf,
}

impl Watch {
    /// Starts one and waits until every source has answered.
    pub fn start(lab: &Lab) -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = std::fs::read_to_string(lab.dir().join("config.toml")).unwrap();
        let mut config: toml::Table = text.parse().unwrap();
        let journal = home.path().join("journal").display().to_string();
        config.insert("journal".into(), toml::Table::from_iter([("dir".to_owned(), journal.into())]).into());
        let file = home.path().join("config.toml");
        std::fs::write(&file, config.to_string()).unwrap();
        rules::write(home.path());
        let engine = Served::start(home.path(), &["--config", &file.display().to_string()]);
        assert_eq!(engine.socket, socket_of(home.path()));
        let watch = Self { _engine: engine, home, config: file };
        let silent = |status: &Value| -> Vec<String> {
            let sources = status["sources"].as_array().unwrap().iter();
            sources.filter(|s| s["kind"] != "none" && s["health"] == "unknown").map(Value::to_string).collect()
        };
        let deadline = Instant::now() + LONG;
        loop {
            let silent = silent(&watch.status());
            if silent.is_empty() {
                return watch;
            }
            assert!(Instant::now() < deadline, "these did not answer: {silent:#?}");
            std::thread::sleep(AGAIN);
        }
    }

    fn status(&self) -> Value {
        let out = Command::new(program())
            .arg("--config")
            .arg(&self.config)
            .args(["status", "--format", "json"])
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap_or_default())
            .env("HOME", self.home.path())
            .env("USER", "mara")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&out.stderr);
        serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("status: {e}: {said}"))
    }

    /// What is wrong now, worst first.
    pub fn now(&self) -> Vec<Seen> {
        let status = self.status();
        let findings = status["findings"].as_array().unwrap().iter();
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        findings
            .map(|f| Seen {
                id: text(&f["id"]),
                rule: text(&f["rule"]),
                what: text(&f["what"]),
                playbooks: f["playbooks"].as_array().unwrap().iter().map(|p| text(&p["id"])).collect(),
                whole: f.to_string(),
            })
            .collect()
    }

    /// Asks until there is an answer, or the time is over.
    pub fn until<T>(&self, longest: Duration, mut answer: impl FnMut(&[Seen]) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + longest;
        loop {
            if let Some(found) = answer(&self.now()) {
                return Some(found);
            }
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Waits until the same is found for a few seconds: what lies in the lab at rest.
    pub fn quiet(&self) -> Vec<Seen> {
        let (mut last, mut since) = (BTreeSet::new(), Instant::now());
        let rest = self.until(LONG, |all| {
            let now: BTreeSet<String> = all.iter().map(|s| s.id.clone()).collect();
            if now != last {
                (last, since) = (now, Instant::now());
            }
            (since.elapsed() > Duration::from_secs(4)).then(|| all.to_vec())
        });
        rest.unwrap_or_else(|| panic!("the lab does not come to rest: {:#?}", self.now()))
    }

    /// People who use these tenants, until it is dropped.
    pub fn load(lab: &Lab, tenants: &[&str]) -> Load {
        let (end, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let url = format!("{}/web/health", lab.var("LAB_TRAEFIK_HTTP"));
        let hosts: Vec<String> = tenants.iter().map(|t| format!("Host: {t}.lab.test")).collect();
        let (stop, count) = (end.clone(), served.clone());
        let thread = std::thread::spawn(move || {
            for host in hosts.iter().cycle() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let mut command = Command::new("curl");
                command.args(["-s", "-m", "5", "-o", "/dev/null", "-H", host, &url]);
                if command.status().unwrap().success() {
                    count.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(1000 / RATE));
            }
        });
        Load { end, served, thread: Some(thread) }
    }
}

/// Requests that go on until this is dropped.
pub struct Load {
    end: Arc<AtomicBool>,
    served: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Load {
    /// How many were answered.
    pub fn served(&self) -> u64 {
        self.served.load(Ordering::Relaxed)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
