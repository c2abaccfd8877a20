//! On lines that a real API server wrote (1.36, `tests/lab/kubernetes/audit.yaml`), on files as log rotation makes them, on
//! the log of the lab's API server, and on journals that the program itself writes.

use super::audit::AuditObserver;
use super::journal::JournalDeeds;
use crate::config::audit_log::AuditLog;
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::Mode;
use crate::domain::ports::Clock;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::signal::Subject;
use crate::journal::{Draft, Journal, Kind, OpenOptions};
use crate::observe::http::rig::{SetClock, skip, until};
use crate::observe::poll::Poll;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

const RECORDED: &str = include_str!("recorded.jsonl");

fn now() -> Timestamp {
    "2026-11-22T18:00:00Z".parse().unwrap()
}

fn observer(path: &Path, ignore: &[&str], now: Timestamp) -> AuditObserver {
    let config = AuditLog {
        id: "audit-1".into(),
        cluster: "k8s-1".into(),
        path: path.to_owned(),
        ignore: ignore.iter().map(|user| (*user).to_owned()).collect(),
        interval: Duration::from_secs(5),
    };
    let clock: Arc<dyn Clock> = SetClock::at(now);
    AuditObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config, &clock)
}

async fn look(observer: &mut impl Poll) -> Result<MeasuredFacts, Failure> {
    match observer.poll().await? {
        Facts::Measured(facts) => Ok(facts),
        other => panic!("{other:?}"),
    }
}

fn actions(facts: &MeasuredFacts) -> Option<f64> {
    facts.readings.iter().find(|r| r.signal == "privileged.actions").map(|r| r.value)
}

fn what(facts: &MeasuredFacts) -> Vec<&str> {
    facts.happened.iter().map(|h| h.what.as_str()).collect()
}

#[tokio::test]
async fn what_a_real_server_wrote_is_told_in_words_once_each() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    std::fs::write(&path, RECORDED).unwrap();
    let facts = look(&mut observer(&path, &[], now())).await.unwrap();
    let told = what(&facts);
    for wanted in [
        "lab-admin made clusterrolebinding eve",
        "lab-admin read secret",
        "lab-admin made a token of serviceaccount default/eve",
        "lab-admin as mallory read secret default (refused)",
        "lab-admin deleted clusterrolebinding eve",
        "quarterdeck-poor read secret default (refused)",
    ] {
        assert_eq!(told.iter().filter(|t| **t == wanted).count(), 1, "{wanted}: {told:#?}");
    }
    assert_eq!(
        told.iter().filter(|t| t.contains("entered (exec) pod t017/odoo-")).count(),
        1,
        "begun and ended: {told:#?}"
    );
    assert_eq!((told.len(), actions(&facts)), (7, Some(7.0)));
    // What happened happened to the cluster; the count is the log's, beside that of the cluster's own roles and rights.
    let (cluster, log) = (Subject::Cluster { source: "k8s-1".into() }, Subject::Source { source: "audit-1".into() });
    assert!(facts.happened.iter().all(|h| h.subject == cluster) && facts.readings[0].subject == log, "{facts:#?}");
    assert_eq!(facts.said.len(), 7);
    // Long afterwards they are no longer recent, and then gone; who is ignored is not told.
    let later = |hours| now() + SignedDuration::from_hours(hours);
    let old = look(&mut observer(&path, &[], later(2))).await.unwrap();
    assert_eq!((actions(&old), old.happened.len()), (Some(0.0), 7));
    assert!(look(&mut observer(&path, &[], later(30))).await.unwrap().happened.is_empty());
    let rest = look(&mut observer(&path, &["lab-*"], now())).await.unwrap();
    assert_eq!(what(&rest), ["quarterdeck-poor read secret default (refused)"]);
}

#[tokio::test]
async fn a_log_is_followed_over_halves_of_lines_rotation_and_truncation() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let lines: Vec<&str> = RECORDED.lines().filter(|l| !l.contains("\"exec\"")).collect();
    std::fs::write(&path, format!("{}\n", lines[0])).unwrap();
    let mut observer = observer(&path, &[], now());
    assert_eq!(actions(&look(&mut observer).await.unwrap()), Some(1.0));
    let append = |text: &str| {
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(text.as_bytes()).unwrap();
    };
    let (head, tail) = lines[1].split_at(100);
    append(head);
    assert_eq!(actions(&look(&mut observer).await.unwrap()), Some(1.0), "half a line is none yet");
    append(&format!("{tail}\n"));
    assert_eq!(actions(&look(&mut observer).await.unwrap()), Some(2.0));
    // Rotated: what was written to the old name last counts, and the new one from its beginning.
    append(&format!("{}\n", lines[2]));
    std::fs::rename(&path, dir.path().join("audit.log.1")).unwrap();
    assert_eq!(actions(&look(&mut observer).await.unwrap()), Some(3.0), "for a moment there is no file");
    std::fs::write(&path, format!("{}\nno event\n", lines[3])).unwrap();
    let facts = look(&mut observer).await.unwrap();
    assert_eq!(actions(&facts), Some(4.0));
    assert!(facts.said.iter().any(|s| s == "1 lines were no events of audit.k8s.io/v1"), "{facts:#?}");
    // Cut short where it is: from its beginning on.
    std::fs::write(&path, format!("{}\n", lines[4])).unwrap();
    until("what stands in the file that was cut is read", Duration::from_secs(10), async || {
        (actions(&look(&mut observer).await.unwrap()) == Some(5.0)).then_some(())
    })
    .await;
}

#[tokio::test]
async fn no_file_no_right_and_no_audit_log_are_failures() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    let gone = look(&mut observer(&path, &[], now())).await.unwrap_err();
    assert!(gone.kind == FailureKind::Local && gone.message.ends_with("audit.log is not there"), "{gone}");
    let folder = look(&mut observer(dir.path(), &[], now())).await.unwrap_err();
    assert!(folder.message.ends_with("is no file"), "{folder}");
    std::fs::write(&path, "{\"kind\": \"Pod\"}\n<html>\n").unwrap();
    let other = look(&mut observer(&path, &[], now())).await.unwrap_err();
    assert!(other.kind == FailureKind::Protocol && other.message.contains("no events of audit.k8s.io/v1"), "{other}");
    // A line without an end is not kept for ever.
    std::fs::write(&path, vec![b'x'; 3 << 20]).unwrap();
    assert_eq!(look(&mut observer(&path, &[], now())).await.unwrap_err().kind, FailureKind::Protocol);
}

#[tokio::test]
async fn the_audit_log_of_the_lab_is_followed() {
    let (Ok(path), Ok(kubectl), Ok(admin)) =
        (std::env::var("LAB_AUDIT_LOG"), std::env::var("LAB_KUBECTL"), std::env::var("LAB_KUBECONFIG_ADMIN"))
    else {
        return skip("audit log", "no lab with an audit log (tests/lab/lab up kubernetes)");
    };
    let mut observer = observer(path.as_ref(), &[], Timestamp::now());
    look(&mut observer).await.unwrap();
    let name = format!("audit-{}", std::process::id());
    let run = |words: &[&str]| {
        let done = std::process::Command::new(&kubectl).args(["--kubeconfig", &admin]).args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    };
    run(&["create", "clusterrole", &name, "--verb=get", "--resource=secrets"]);
    run(&["delete", "clusterrole", &name]);
    let deeds = [format!("lab-admin made clusterrole {name}"), format!("lab-admin deleted clusterrole {name}")];
    until("both deeds are told", Duration::from_secs(20), async || {
        let facts = look(&mut observer).await.unwrap();
        deeds.iter().all(|deed| what(&facts).contains(&deed.as_str())).then_some(())
    })
    .await;
}

fn write(journal: &Journal, kind: Kind, hours_ago: i64, body: Value) {
    let actor: Actor =
        serde_json::from_value(json!({"user": "mara", "uid": 1000, "via": "cli", "host": "bastion"})).unwrap();
    let time = now() - SignedDuration::from_hours(hours_ago);
    let (mode, environment) = (Mode::Drill, Environment::Staging);
    journal.append_blocking(vec![Draft { kind, incident: None, body, actor, mode, environment, time }]).unwrap();
}

#[tokio::test]
async fn the_journals_own_broken_glass_and_elevations_are_told_with_who_did_it() {
    let dir = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = SetClock::at(now());
    let at = dir.path().join("journal");
    let mut deeds = JournalDeeds::new(Mode::ReadOnly.may_observe().unwrap(), &at, &clock);
    assert_eq!(actions(&look(&mut deeds).await.unwrap()), Some(0.0), "before its first record there is no journal");
    let actor: Actor =
        serde_json::from_value(json!({"user": "mara", "uid": 1000, "via": "cli", "host": "bastion"})).unwrap();
    let (mode, environment, began) = (Mode::Drill, Environment::Staging, now() - SignedDuration::from_hours(50));
    let options = OpenOptions::new(&at, "example.org/log", actor, mode, environment, began);
    let journal = Journal::open(options).unwrap().0;
    write(&journal, Kind::GlassBroken, 40, json!({"reason": "of the day before yesterday"}));
    write(&journal, Kind::ElevationGranted, 3, json!({"person": "ines", "role": "approver", "by": "mara"}));
    write(&journal, Kind::NoteAdded, 0, json!({"text": "nothing privileged"}));
    write(&journal, Kind::GlassBroken, 0, json!({"reason": "the witness is gone"}));
    let facts = look(&mut deeds).await.unwrap();
    assert_eq!(
        what(&facts),
        ["more rights given: ines is approver, by mara, by mara", "GLASS BROKEN: the witness is gone, by mara"]
    );
    assert_eq!(actions(&facts), Some(1.0), "one of the last hour: {facts:#?}");
    // It is followed, and how it went on is told and is no action of its own.
    write(&journal, Kind::GlassRestored, 0, json!({"reason": "the witness is back"}));
    let facts = look(&mut deeds).await.unwrap();
    assert_eq!((facts.happened.len(), actions(&facts)), (3, Some(1.0)));
}
