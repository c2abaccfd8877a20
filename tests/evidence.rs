//! Evidence from the look that gives it to its deletion: kept before the record that names it, found again by a
//! restarted engine, shown and checked from outside, redacted by a record first and a deletion then.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use quarterdeck::act::{DynVerb, Verbs};
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::behalf::Behalf;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use quarterdeck::domain::request::{Request, VerbSpec};
use quarterdeck::domain::sample::Failure;
use quarterdeck::drill::{self, Drill, catalog};
use quarterdeck::engine::adapters;
use quarterdeck::engine::api::{Command, Reply, RunView, StepState};
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::state::State;
use quarterdeck::journal::read::{Filter, Reader};
use quarterdeck::journal::{Kind, OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use quarterdeck::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use support::run;

const LOOK: &str = "schemaVersion: 1
id: look-long
name: A look with a long answer
version: 1
owner: tests
description: Looks, then waits.
parameters:
  tenant: {type: tenant, required: true, description: the tenant}
steps:
  - id: tree
    name: show the tree
    why: It is long.
    type: check
    run:
      adapter: postgres
      verb: blocking_tree
      args: {instance: \"{{ tenant.instance }}\", database: \"{{ tenant.database }}\"}
  - id: wait
    name: wait for somebody
    why: The run stays open.
    type: manual
";

/// The simulated look, with an answer that no record holds.
struct Long(Arc<DynVerb>);

impl Verb for Long {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.0.spec()
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        self.0.render(context)
    }

    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>> {
        self.0.dry_run(request, behalf)
    }

    fn look<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Outcome> {
        let result = json!({ "lines": (0..4_000).map(|n| format!("session {n} waits")).collect::<Vec<_>>() });
        Box::pin(async move { Outcome::Done { result, summary: "4000 sessions wait".into() } })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        self.0.execute(permit)
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        self.0.reconcile(request)
    }
}

/// An engine on a drill whose blocking tree is long.
fn engine(dir: &Path) -> Running {
    let (entries, _) = catalog::load(&[]);
    let scenario = &entries.iter().find(|e| e.scenario.exercise.id == catalog::DEFAULT).unwrap().scenario;
    let mut adapters = adapters::drill(Drill::start(scenario, drill::Options::default()));
    adapters.verbs = Verbs::new([Arc::new(Long(adapters.verbs.get("postgres.blocking_tree").unwrap().clone())) as _]);
    let me = Actor { user: "mara".into(), uid: 0, via: "test".into(), host: "test".into(), console: None };
    let (environment, time) = (adapters.estate.environment, adapters.clock.now());
    let mut state = State::default();
    let open = OpenOptions::new(dir, "quarterdeck/test", me.clone(), Mode::Drill, environment, time);
    let (journal, _) = fold::open(open, &mut state).unwrap();
    let signals = quarterdeck::correlate::signals::names();
    let files = [("look-long.yaml".to_owned(), LOOK.to_owned())];
    let (library, problems) = Library::load(&files, &quarterdeck::act::catalog(), &signals);
    assert!(problems.is_empty(), "{problems:?}");
    core::start(Parts {
        adapters,
        library,
        journal,
        state,
        journal_dir: String::new(),
        me,
        anchored: None,
        witnesses: None,
        loaded: json!({}),
    })
}

/// Waits until the run stands as wanted.
async fn until(running: &Running, wanted: impl Fn(&RunView) -> bool) -> RunView {
    let mut snapshots = running.client.snapshots.clone();
    let found = async {
        loop {
            let found = snapshots.borrow_and_update().runs.first().filter(|r| wanted(r)).cloned();
            match found {
                Some(run) => return run,
                None => snapshots.changed().await.unwrap(),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), found).await.expect("the run never stood as wanted")
}

fn records(dir: &Path, kind: Kind) -> Vec<(u64, Value)> {
    let filter = Filter { kinds: vec![kind], ..Filter::default() };
    Reader::open(dir, filter).unwrap().map(|r| r.map(|r| (r.record.seq, r.record.body)).unwrap()).collect()
}

fn refused(reply: Reply) -> String {
    match reply {
        Reply::Refused { why, .. } => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_look_to_the_redaction() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("journal");
    let name = dir.display().to_string();
    let audit = |args: &[&str]| run(home.path(), &[&["audit", "evidence"], args, &["--journal", &name]].concat());

    let running = engine(&dir);
    let params = [("tenant".to_owned(), "t017".to_owned())].into();
    let start = Command::StartRun { playbook: "look-long".into(), params, incident: None };
    let reply = running.client.send(start).await;
    assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    let waits = |r: &RunView| r.steps[1].state == StepState::AwaitsDecision;
    let shown = until(&running, waits).await;
    assert!(shown.steps[0].output.iter().any(|l| l.contains("session 17 waits")), "{:?}", shown.steps[0].output);

    // The file is named by a record that stands before the outcome, and the outcome names it too.
    let [(captured, body)] = &records(&dir, Kind::EvidenceCaptured)[..] else { panic!("not one capture") };
    let [(finished, outcome)] = &records(&dir, Kind::StepFinished)[..] else { panic!("not one outcome") };
    assert_eq!((captured + 1, &outcome["evidence"]["sha256"]), (*finished, &body["sha256"]));
    assert!(outcome.get("result").is_none() && outcome.get("result_omitted_bytes").is_none(), "{outcome}");
    assert_eq!(
        (&body["run"], &body["step"], &body["what"]),
        (&json!("RUN-1"), &json!("tree"), &json!("result of tree of RUN-1"))
    );
    let sha256 = body["sha256"].as_str().unwrap().to_owned();
    let file = dir.join("evidence").join(&sha256);
    let bytes = std::fs::read(&file).unwrap();
    assert_eq!(body["bytes"], bytes.len());

    // A restarted engine has the answer again, from the file.
    running.end().await;
    let running = engine(&dir);
    let again = until(&running, |_| true).await;
    assert_eq!(again.steps[0].output, shown.steps[0].output);

    // From outside: listed, shown with its exact bytes, checked.
    let (code, out, err) = audit(&["list", "--format", "json"]);
    let all: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out} {err}"));
    assert_eq!((code, &all[0]["sha256"], &all[0]["standing"]), (0, &json!(sha256), &json!("present")));
    assert_eq!(audit(&["show", &sha256[..8]]), (0, String::from_utf8(bytes.clone()).unwrap(), String::new()));
    assert_eq!(audit(&["check"]).0, 0);
    for (digest, code, says) in [("12345", 2, "is no digest"), (&"0".repeat(64), 1, "no record names evidence")] {
        let (found, _, err) = audit(&["show", digest]);
        assert!(found == code && err.contains(says), "{digest}: {found} {err}");
    }

    // Altered, then missing: each is named, and neither can be read.
    std::fs::write(&file, &bytes[1..]).unwrap();
    let (code, out, err) = audit(&["check"]);
    assert!(
        code == 3 && out.contains("ALTERED") && err.contains("of 1 files that records name 1"),
        "{code} {out} {err}"
    );
    let (code, out, err) = audit(&["show", &sha256]);
    assert!(code == 3 && out.is_empty() && err.contains("has other bytes now"), "{code} {out} {err}");
    std::fs::remove_file(&file).unwrap();
    let (code, out, _) = audit(&["check"]);
    assert!(code == 3 && out.contains("MISSING"), "{code} {out}");
    let redact = |digest: &str, reason: &str| Command::Redact { sha256: digest.to_owned(), reason: reason.to_owned() };
    let why = refused(running.client.send(redact(&sha256, "gone anyway")).await);
    assert!(why.contains("is missing already"), "a loss can not be covered up: {why}");
    std::fs::write(&file, &bytes).unwrap();

    // Redaction: only of what records name, only with a reason, the record first.
    for (digest, reason, says) in
        [(&sha256[..8], "x", "64 digits"), (&"0".repeat(64), "x", "no record names"), (&sha256, " ", "reason is empty")]
    {
        let why = refused(running.client.send(redact(digest, reason)).await);
        assert!(why.contains(says), "{why}");
    }
    assert!(records(&dir, Kind::Redaction).is_empty());
    let reply = running.client.send(redact(&sha256, "names of a person")).await;
    assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    assert!(!file.exists());
    let [(seq, body)] = &records(&dir, Kind::Redaction)[..] else { panic!("not one redaction") };
    assert_eq!((&body["sha256"], &body["reason"]), (&json!(sha256), &json!("names of a person")));
    let (code, out, err) = audit(&["check"]);
    assert!(code == 0 && out.contains("redacted") && out.contains(&seq.to_string()), "{code} {out} {err}");
    assert!(audit(&["show", &sha256]).2.contains(&format!("was deleted; record {seq} says why")));
    let why = refused(running.client.send(redact(&sha256, "again")).await);
    assert!(why.contains("was deleted before"), "{why}");

    // A crash between the record and the deletion: the next opening finishes it.
    running.end().await;
    std::fs::write(&file, &bytes).unwrap();
    assert!(audit(&["list"]).1.contains("undeleted"));
    let running = engine(&dir);
    until(&running, |_| true).await;
    assert!(!file.exists());
    running.end().await;
    assert_eq!(records(&dir, Kind::Redaction).len(), 1);
    let vkey = dir.join("log.vkey").display().to_string();
    let (code, out, err) = run(home.path(), &["audit", "verify", "--journal", &name, "--vkey", &vkey]);
    assert_eq!(code, 0, "{out}{err}");
}
