//! pgBackRest: what `pgbackrest info --output=json` says of a stanza. It is started as configured, without a shell, with
//! an empty environment, and ended with all that it has started when the time is over. Only the engine and `doctor`
//! call this.
#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

use super::poll::Poll;
use crate::config::model;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// A backup is hours apart from the next; a repository in object storage costs money for each look.
const INTERVAL: Duration = Duration::from_mins(2);
/// For `info`, which may have to ask a repository elsewhere.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Output taken: a backup is some 2 KiB of it.
const OUTPUT: u64 = 16 << 20;

/// Observes one stanza.
#[derive(Debug)]
pub struct PgbackrestObserver {
    config: model::Pgbackrest,
}

/// Ends all processes of a group when it is dropped.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

impl PgbackrestObserver {
    /// For a `[[pgbackrest]]` table. Nothing is started before it runs.
    pub fn new(_: MayObserve, config: &model::Pgbackrest) -> Self {
        Self { config: config.clone() }
    }

    async fn look(&self) -> Result<Facts, Failure> {
        let output = self.info().await?;
        let facts = read(&self.config, &output, Timestamp::now())?;
        Ok(Facts::Measured(facts))
    }

    async fn info(&self) -> Result<Vec<u8>, Failure> {
        let local = |why: String| Failure::new(FailureKind::Local, format!("pgbackrest info {why}"));
        let Some((program, words)) = self.config.command.split_first() else {
            return Err(local("has no command".into()));
        };
        let mut command = Command::new(program);
        command.args(words);
        if let Some(file) = &self.config.config {
            command.arg(format!("--config={}", file.display()));
        }
        command
            .args([&format!("--stanza={}", self.config.stanza), "info", "--output=json"])
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|e| local(format!("can not be started: {e}")))?;
        let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw));
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let take_out = async {
            if let Some(stream) = stdout {
                let _ = stream.take(OUTPUT).read_to_end(&mut out).await;
            }
        };
        let take_err = async {
            if let Some(stream) = stderr {
                let _ = stream.take(4096).read_to_end(&mut err).await;
            }
        };
        let (status, (), ()) = futures::join!(child.wait(), take_out, take_err);
        let status = status.map_err(|e| local(format!("was lost: {e}")))?;
        group.0 = None;
        if !status.success() {
            let words: String = String::from_utf8_lossy(&err).chars().take(300).collect();
            let words =
                if words.trim().is_empty() { String::from_utf8_lossy(&out).chars().take(300).collect() } else { words };
            return Err(local(format!("ended with {status}: {}", words.trim())));
        }
        Ok(out)
    }
}

fn read(config: &model::Pgbackrest, output: &[u8], now: Timestamp) -> Result<MeasuredFacts, Failure> {
    let wrong = |why: &str| Failure::new(FailureKind::Protocol, format!("pgbackrest info answered {why}"));
    let all: Value = serde_json::from_slice(output).map_err(|_| wrong("no JSON"))?;
    let stanzas = all.as_array().ok_or_else(|| wrong("no list of stanzas"))?;
    let mut facts = MeasuredFacts::of(SourceKind::Pgbackrest);
    let subject = Subject::Backup { source: config.id.clone(), backup: config.stanza.clone() };
    let Some(stanza) = stanzas.iter().find(|s| s["name"] == config.stanza.as_str()) else {
        facts.untell(&subject, "backup.age", format!("the repository has no stanza {}", config.stanza));
        facts.measure(&subject, "backup.failed", 1.0);
        return Ok(facts);
    };
    let status = &stanza["status"];
    let bad = status["code"].as_i64() != Some(0);
    let text = |v: &Value| sanitize(&v.as_str().unwrap_or_default().chars().take(200).collect::<String>());
    if bad {
        facts.said.push(format!("stanza {}: {}", config.stanza, text(&status["message"])));
    }
    let backups: Vec<&Value> = stanza["backup"].as_array().into_iter().flatten().collect();
    let newest =
        backups.iter().filter(|b| b["error"] != true).filter_map(|b| Some((b["timestamp"]["stop"].as_i64()?, *b)));
    let newest = newest.max_by_key(|(stop, _)| *stop);
    match newest.and_then(|(stop, b)| Some((Timestamp::from_second(stop).ok()?, b))) {
        Some((at, backup)) => {
            let age = now.duration_since(at).as_secs_f64();
            // A clock that is ahead would make every backup young.
            if age < -300.0 {
                facts.untell(
                    &subject,
                    "backup.age",
                    format!("the newest backup ended at {at}, which is still to come"),
                );
            } else {
                facts.measure(&subject, "backup.age", age.max(0.0));
            }
            facts.said.push(format!("newest backup {} ({}) ended {at}", text(&backup["label"]), text(&backup["type"])));
        }
        None => facts.untell(&subject, "backup.age", "there is no good backup"),
    }
    let broken = backups.last().is_some_and(|b| b["error"] == true);
    facts.measure(&subject, "backup.failed", if bad || broken { 1.0 } else { 0.0 });
    if broken {
        facts.said.push("the newest backup has pages whose checksum is wrong".to_owned());
    }
    facts.measure(&subject, "backup.kept", f64::from(u32::try_from(backups.len()).unwrap_or(u32::MAX)));
    if let Some(archive) = stanza["archive"].as_array().and_then(|a| a.last()) {
        let (min, max) = (text(&archive["min"]), text(&archive["max"]));
        facts.said.push(format!("WAL archived from {min} to {max}"));
    }
    Ok(facts)
}

impl Poll for PgbackrestObserver {
    fn spec(&self) -> SourceSpec {
        let address = sanitize(&format!("{} stanza {}", self.config.command.join(" "), self.config.stanza));
        SourceSpec { id: self.config.id.clone(), kind: SourceKind::Pgbackrest, interval: INTERVAL, address }
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::mode::Mode;
    use serde_json::json;

    fn config(command: &[&str]) -> model::Pgbackrest {
        let command = command.iter().map(|w| (*w).to_owned()).collect();
        model::Pgbackrest { id: "b".into(), stanza: "main".into(), command, config: None, restore_dir: None }
    }

    fn value(facts: &MeasuredFacts, signal: &str) -> Option<f64> {
        facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value)
    }

    #[test]
    fn the_newest_good_backup_counts_and_none_is_not_known() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let info = json!([{"name": "main", "status": {"code": 0, "message": "ok"}, "backup": [
            {"label": "a", "type": "full", "error": false, "timestamp": {"stop": 900_000}},
            {"label": "b", "type": "incr", "error": true, "timestamp": {"stop": 990_000}}],
            "archive": [{"min": "000000010000000000000001", "max": "000000010000000000000009"}]}]);
        let facts = read(&config(&["x"]), info.to_string().as_bytes(), now).unwrap();
        assert_eq!((value(&facts, "backup.age"), value(&facts, "backup.kept")), (Some(100_000.0), Some(2.0)));
        assert_eq!(value(&facts, "backup.failed"), Some(1.0), "the newest one has errors");
        let none = json!([{"name": "main", "status": {"code": 2, "message": "no valid backups"}, "backup": []}]);
        let facts = read(&config(&["x"]), none.to_string().as_bytes(), now).unwrap();
        assert_eq!((value(&facts, "backup.age"), value(&facts, "backup.failed")), (None, Some(1.0)));
        assert_eq!(facts.untold[0].signal, "backup.age");
        let future = json!([{"name": "main", "status": {"code": 0}, "backup": [{"timestamp": {"stop": 2_000_000}}]}]);
        assert!(read(&config(&["x"]), future.to_string().as_bytes(), now).unwrap().untold[0].why.contains("to come"));
        assert!(read(&config(&["x"]), b"[]", now).unwrap().untold[0].why.contains("no stanza main"));
        assert!(read(&config(&["x"]), b"oops", now).unwrap_err().message.contains("no JSON"));
    }

    #[tokio::test]
    async fn a_program_that_fails_hangs_or_is_not_there_is_a_failure() {
        let look = async |command: &[&str]| {
            PgbackrestObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config(command)).poll().await
        };
        let failure = look(&["sh", "-c", "echo no repository >&2; exit 3"]).await.unwrap_err();
        assert!(failure.message.contains("exit status: 3: no repository"), "{failure}");
        assert!(look(&["/nowhere/pgbackrest"]).await.unwrap_err().message.contains("can not be started"));
        let started = std::time::Instant::now();
        let hangs = tokio::time::timeout(Duration::from_millis(200), look(&["sh", "-c", "sleep 600 & wait"])).await;
        assert!(hangs.is_err() && started.elapsed() < Duration::from_secs(10));
    }
}
