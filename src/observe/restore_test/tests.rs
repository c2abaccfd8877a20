//! Against journals that the program itself writes, and reports as other tools do.

use super::*;
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::mode::Mode;
use crate::journal::{Draft, Journal, Kind, OpenOptions};
use crate::observe::http::rig::{SetClock, measured};
use jiff::SignedDuration;
use serde_json::{Value, json};

fn now() -> Timestamp {
    "2026-11-22T12:00:00Z".parse().unwrap()
}

fn ago(hours: i64) -> Timestamp {
    now() - SignedDuration::from_hours(hours)
}

fn actor() -> Actor {
    serde_json::from_value(json!({"user": "mara", "uid": 1000, "via": "cli", "host": "bastion"})).unwrap()
}

fn journal(dir: &std::path::Path) -> Journal {
    Journal::open(OpenOptions::new(dir, "example.org/log", actor(), Mode::Drill, Environment::Staging, ago(1000)))
        .unwrap()
        .0
}

fn write(journal: &Journal, records: &[(Kind, Timestamp, Value)]) {
    let draft = |(kind, time, body): &(Kind, Timestamp, Value)| Draft {
        kind: *kind,
        incident: None,
        body: body.clone(),
        actor: actor(),
        mode: Mode::Drill,
        environment: Environment::Staging,
        time: *time,
    };
    journal.append_blocking(records.iter().map(draft).collect()).unwrap();
}

fn observer(dir: &std::path::Path, more: &str) -> RestoreTestObserver {
    let text = format!(
        "[estate]\nname = \"e\"\nenvironment = \"staging\"\n[[restore_test]]\nid = \"r\"\nof = \"backup-a\"\n{more}"
    );
    let config = crate::config::decode::decode("c.toml", &text).unwrap();
    let clock: Arc<dyn Clock> = SetClock::at(now());
    RestoreTestObserver::all(Mode::ReadOnly.may_observe().unwrap(), &config, dir, &clock).remove(0)
}

fn value(facts: &MeasuredFacts, signal: &str) -> Option<f64> {
    facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value)
}

/// A run of the shipped playbook that began some hours ago and restored for half an hour.
fn run(id: &str, of: &str, hours: i64, ok: bool) -> Vec<(Kind, Timestamp, Value)> {
    let (from, to) = (ago(hours), ago(hours) + SignedDuration::from_mins(30));
    let body = json!({"run": id, "playbook": "backup-failure", "params": {"backup": of, "aside": "x"}});
    let step = json!({"run": id, "step": "restore-test"});
    let end = if ok {
        (Kind::StepVerified, to, step.clone())
    } else {
        (Kind::StepFinished, to, json!({"run": id, "step": "restore-test", "ended": "failed"}))
    };
    vec![(Kind::RunStarted, from, body), (Kind::StepStarted, from, step), end]
}

#[tokio::test]
async fn runs_of_the_playbook_in_the_journal_are_the_test_and_its_evidence() {
    let dir = tempfile::tempdir().unwrap();
    let mut none = observer(&dir.path().join("journal"), "");
    let facts = measured(&mut none).await;
    assert!(facts.readings.is_empty() && facts.untold[0].why == "no restore test of backup-a is known", "{facts:#?}");
    let journal = journal(&dir.path().join("journal"));
    write(&journal, &run("RUN-1", "backup-b", 10, true));
    assert!(measured(&mut none).await.readings.is_empty(), "a run for another backup is none");
    write(&journal, &run("RUN-2", "backup-a", 48, true));
    let facts = measured(&mut none).await;
    let told = ["restore_test.ok", "restore_test.took"].map(|s| value(&facts, s));
    assert_eq!(told, [Some(1.0), Some(1800.0)], "{facts:#?}");
    assert!((value(&facts, "restore_test.age").unwrap() - 47.5 / 24.0).abs() < 1e-9);
    assert!(facts.said.iter().any(|s| s.contains("RUN-2 in the journal, record ")), "{facts:#?}");
    // A later one that failed is said, and takes nothing from the one that went well.
    write(&journal, &run("RUN-3", "backup-a", 2, false));
    let facts = measured(&mut none).await;
    assert_eq!(value(&facts, "restore_test.ok"), Some(0.0));
    assert!((value(&facts, "restore_test.age").unwrap() - 47.5 / 24.0).abs() < 1e-9);
    // Who comes later reads the same.
    let facts = measured(&mut observer(&dir.path().join("journal"), "")).await;
    assert_eq!(value(&facts, "restore_test.ok"), Some(0.0), "{facts:#?}");
}

#[tokio::test]
async fn a_schedule_says_when_the_next_one_is_due_and_how_late_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    let due = |facts: &MeasuredFacts| value(facts, "restore_test.due");
    assert_eq!(due(&measured(&mut observer(&path, "")).await), None, "nobody has promised any");
    let mut weekly = observer(&path, "every = \"7d\"\n");
    let facts = measured(&mut weekly).await;
    assert_eq!(due(&facts), Some(0.0), "none is known, so one is due");
    assert!(facts.said.iter().any(|s| s == "one is due every 7 days, and none that went well is known"), "{facts:#?}");
    let journal = journal(&path);
    // A failed one keeps no promise.
    write(&journal, &run("RUN-1", "backup-a", 24, false));
    assert_eq!(due(&measured(&mut weekly).await), Some(0.0));
    write(&journal, &run("RUN-2", "backup-a", 12, true));
    let facts = measured(&mut weekly).await;
    assert!((due(&facts).unwrap() - (7.0 - 11.5 / 24.0)).abs() < 1e-9, "{facts:#?}");
    assert!(facts.said.iter().any(|s| s.ends_with("the next one at 2026-11-29T00:30:00Z")), "{facts:#?}");
    // Two and a half days after the last one, where one a day was promised.
    let report = dir.path().join("report.json");
    std::fs::write(&report, r#"{"at": "2026-11-20T00:00:00Z", "ok": true}"#).unwrap();
    let none = dir.path().join("none");
    let mut daily = observer(&none, &format!("every = \"1d\"\nreport = \"{}\"\n", report.display()));
    assert_eq!(due(&measured(&mut daily).await), Some(-1.5));
}

#[tokio::test]
async fn a_rehearsal_is_a_whole_run_that_ended_well() {
    let dir = tempfile::tempdir().unwrap();
    let journal = journal(dir.path());
    let more = "proof = \"rehearsal\"\nplaybook = \"regional-dr\"\n";
    let begin = json!({"run": "RUN-1", "playbook": "regional-dr", "params": {"backup": "backup-a"}});
    write(&journal, &[(Kind::RunStarted, ago(5), begin)]);
    let mut observer = observer(dir.path(), more);
    assert!(measured(&mut observer).await.untold[0].why.contains("no rehearsal"));
    write(&journal, &[(Kind::RunFinished, ago(3), json!({"run": "RUN-1", "state": "finished"}))]);
    let facts = measured(&mut observer).await;
    assert_eq!((value(&facts, "rehearsal.took"), value(&facts, "rehearsal.age")), (Some(7200.0), Some(0.125)));
}

#[tokio::test]
async fn a_report_counts_too_and_one_that_is_none_or_of_tomorrow_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let report = dir.path().join("report.json");
    let mut observer = observer(&dir.path().join("none"), &format!("report = \"{}\"\n", report.display()));
    assert!(measured(&mut observer).await.readings.is_empty(), "no report yet");
    std::fs::write(
        &report,
        r#"{"at": "2026-11-21T12:00:00Z", "ok": true, "took_s": 840, "evidence": "ticket 7\u001b[2J"}"#,
    )
    .unwrap();
    let facts = measured(&mut observer).await;
    assert_eq!((value(&facts, "restore_test.age"), value(&facts, "restore_test.took")), (Some(1.0), Some(840.0)));
    assert!(facts.said.iter().any(|s| s.contains("ticket 7") && !s.contains('\u{1b}')), "{facts:#?}");
    std::fs::write(&report, r#"{"at": "2027-11-21T12:00:00Z", "ok": true}"#).unwrap();
    let facts = measured(&mut observer).await;
    assert!(facts.readings.is_empty() && facts.said[0].contains("still to come"), "{facts:#?}");
    for (text, why) in
        [("{\"at\": 5}", "report.json:1:8: no report"), ("", "no report"), (&"x".repeat(70_000), "is longer than")]
    {
        std::fs::write(&report, text).unwrap();
        let facts = measured(&mut observer).await;
        assert!(facts.missing[0].remedy.contains(why), "{facts:#?}");
        assert!(facts.readings.is_empty());
    }
}
