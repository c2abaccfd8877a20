//! pgBackRest: what `pgbackrest info --output=json` says of a stanza. It is started as configured, without a shell, with
//! an empty environment, and ended with all that it has started when the time is over. The engine and `doctor` call this,
//! and `act::backup`, which starts it the same way.
#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

use super::poll::Poll;
use super::process::{self, Broken, Ended};
use crate::config::model;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use serde_json::Value;
use std::time::Duration;

/// For `info`, which may have to ask a repository elsewhere.
const TIMEOUT: Duration = Duration::from_secs(20);
/// Output of `info` that is taken: a backup is some 2 KiB of it.
const OUTPUT: u64 = 16 << 20;

/// Observes one stanza.
#[derive(Debug)]
pub struct PgbackrestObserver {
    config: model::Pgbackrest,
}

/// The words of a command of pgBackRest for a stanza.
pub fn argv(of: &model::Pgbackrest, command: &str, options: &[String]) -> Vec<String> {
    let mut argv = of.command.clone();
    argv.push(format!("--stanza={}", of.stanza));
    if let Some(config) = &of.config {
        argv.push(format!("--config={}", config.display()));
    }
    argv.push("--log-level-console=warn".to_owned());
    argv.push("--no-log-timestamp".to_owned());
    argv.extend(options.iter().cloned());
    argv.push(command.to_owned());
    argv
}

/// Starts `argv`, whose first word is the program. Of each output `kept` bytes are kept.
pub async fn run(argv: &[String], within: Duration, kept: u64) -> Result<Ended, Broken> {
    let none = || Failure::new(FailureKind::Local, "no program is named");
    let (program, rest) = argv.split_first().ok_or_else(|| Broken::NotStarted(none()))?;
    process::run(program, program, rest, within, kept).await
}

/// What `info` says of each stanza: a list.
pub async fn info(of: &model::Pgbackrest) -> Result<Value, Failure> {
    let ended = match run(&argv(of, "info", &["--output=json".to_owned()]), TIMEOUT, OUTPUT).await {
        Ok(ended) if ended.status.success() => ended,
        Ok(ended) => return Err(process::said("pgbackrest info", &ended)),
        Err(Broken::NotStarted(why) | Broken::Lost(why)) => return Err(why),
    };
    list(&ended.stdout)
}

fn wrong(why: &str) -> Failure {
    Failure::new(FailureKind::Protocol, format!("pgbackrest info answered {why}"))
}

fn list(output: &[u8]) -> Result<Value, Failure> {
    let all: Value = serde_json::from_slice(output).map_err(|_| wrong("no JSON"))?;
    if all.is_array() { Ok(all) } else { Err(wrong("no list of stanzas")) }
}

impl PgbackrestObserver {
    /// For a `[[pgbackrest]]` table. Nothing is started before it runs.
    pub fn new(_: MayObserve, config: &model::Pgbackrest) -> Self {
        Self { config: config.clone() }
    }

    async fn look(&self) -> Result<Facts, Failure> {
        let stanzas = info(&self.config).await?;
        Ok(Facts::Measured(read(&self.config, &stanzas, Timestamp::now())))
    }
}

fn read(config: &model::Pgbackrest, stanzas: &Value, now: Timestamp) -> MeasuredFacts {
    let mut facts = MeasuredFacts::of(SourceKind::Pgbackrest);
    let subject = Subject::Backup { source: config.id.clone(), backup: config.stanza.as_str().into() };
    let Some(stanza) = stanzas.as_array().into_iter().flatten().find(|s| s["name"] == config.stanza.as_str()) else {
        facts.untell(&subject, "backup.age", format!("the repository has no stanza {}", config.stanza));
        facts.measure(&subject, "backup.failed", 1.0);
        return facts;
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
    facts
}

impl Poll for PgbackrestObserver {
    fn spec(&self) -> SourceSpec {
        let address = sanitize(&format!("{} stanza {}", self.config.command.join(" "), self.config.stanza));
        SourceSpec { id: self.config.id.clone(), kind: SourceKind::Pgbackrest, interval: self.config.interval, address }
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
        let interval = Duration::from_mins(2);
        model::Pgbackrest { id: "b".into(), stanza: "main".into(), command, config: None, interval, restore_dir: None }
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
        let facts = read(&config(&["x"]), &info, now);
        assert_eq!((value(&facts, "backup.age"), value(&facts, "backup.kept")), (Some(100_000.0), Some(2.0)));
        assert_eq!(value(&facts, "backup.failed"), Some(1.0), "the newest one has errors");
        let none = json!([{"name": "main", "status": {"code": 2, "message": "no valid backups"}, "backup": []}]);
        let facts = read(&config(&["x"]), &none, now);
        assert_eq!((value(&facts, "backup.age"), value(&facts, "backup.failed")), (None, Some(1.0)));
        assert_eq!(facts.untold[0].signal, "backup.age");
        let future = json!([{"name": "main", "status": {"code": 0}, "backup": [{"timestamp": {"stop": 2_000_000}}]}]);
        assert!(read(&config(&["x"]), &future, now).untold[0].why.contains("to come"));
        assert!(read(&config(&["x"]), &json!([]), now).untold[0].why.contains("no stanza main"));
        assert!(list(b"oops").unwrap_err().message.contains("no JSON"));
        assert!(list(b"{}").unwrap_err().message.contains("no list"));
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
