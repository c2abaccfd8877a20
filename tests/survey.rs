//! A verb whose target no observer watches reads it before it renders: what it read is what is shown, a target that can
//! not be read blocks the step with its sentence, and one that changes while its confirmation waits voids what was shown.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use quarterdeck::act::Verbs;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::behalf::Behalf;
use quarterdeck::domain::estate::{Environment, Estate};
use quarterdeck::domain::id::PlaybookId;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::{BoxFuture, Outcome, RenderContext, Survey, Verb, VerbError};
use quarterdeck::domain::request::{Operation, Request, Target, VerbSpec};
use quarterdeck::domain::risk::{BlastRadius, Reversible, Risk};
use quarterdeck::domain::sample::{Failure, FailureKind};
use quarterdeck::engine::adapters::{Adapters, Wall};
use quarterdeck::engine::api::{Command, Reply, RunView, Snapshot, StepState};
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::state::State;
use quarterdeck::journal::{OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use quarterdeck::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

static POKE: VerbSpec = VerbSpec {
    name: "lab.poke",
    what: "does something to a thing that nobody watches",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[],
};

const PLAYBOOK: &str = "schemaVersion: 1
id: poke
name: Poke
version: 1
owner: tests
description: Does one thing.
steps:
  - {id: poke, name: poke it, why: To see what is shown., type: action, run: {adapter: lab, verb: poke}}
";

/// What the thing's server says of it.
type Server = Arc<Mutex<Result<u64, String>>>;

struct Poke(Server);

impl Verb for Poke {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &POKE
    }

    fn survey(&self, _: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let server = self.0.clone();
        Some(Box::pin(async move {
            let said = server.lock().unwrap().clone();
            said.map(|version| json!({ "version": version })).map_err(|why| Failure::new(FailureKind::Unreachable, why))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let version = context.surveyed.and_then(|s| s["version"].as_u64()).ok_or_else(|| VerbError::new("not read"))?;
        Ok(Request {
            verb: POKE.name.into(),
            target: Target {
                source: "lab".into(),
                identity: "lab".into(),
                environment: Environment::Production,
                object: "the thing".into(),
                tenants: vec![],
                count: 1,
            },
            operation: Operation::Simulated { statement: "poke".into() },
            server_checks: vec![format!("only version {version}")],
            hurts: "nobody".into(),
            undo: "none".into(),
            by_hand: "poke".into(),
        })
    }

    fn dry_run<'a>(&'a self, _: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async { Ok("it would be poked".into()) })
    }

    fn look<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Failed { why: Failure::new(FailureKind::Local, "it acts") } })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        let result = json!({ "checked": permit.request().server_checks });
        Box::pin(async { Outcome::Done { result, summary: "poked".into() } })
    }
}

fn start(dir: &std::path::Path, server: &Server) -> Running {
    let (library, _) = Library::load(&[("poke.yaml".into(), PLAYBOOK.into())], &[&POKE], &[]);
    let estate =
        Estate { name: "lab".into(), environment: Environment::Production, time_zone: "UTC".into(), tenants: vec![] };
    let adapters = Adapters {
        estate: Arc::new(estate),
        mode: Mode::Live,
        clock: Arc::new(Wall),
        observers: vec![],
        verbs: Verbs::new([Arc::new(Poke(server.clone())) as _]),
        settings: quarterdeck::correlate::settings::Settings::default(),
        usual: None,
        prices: None,
        logs: quarterdeck::engine::logs::LogSources::default(),
        comms: quarterdeck::engine::telling::Means::default(),
        identity: None,
        drill: None,
    };
    let me = Actor { user: "mara".into(), uid: 0, via: "test".into(), host: "test".into(), console: None };
    let now = jiff::Timestamp::now();
    let open = OpenOptions::new(dir, "quarterdeck/lab", me.clone(), Mode::Live, Environment::Production, now);
    let mut state = State::default();
    let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
    core::start(Parts {
        adapters,
        library,
        journal,
        state,
        journal_dir: dir.display().to_string(),
        me,
        loaded: json!({}),
        witnesses: None,
        anchored: None,
    })
}

async fn until(running: &Running, what: impl Fn(&RunView) -> bool) -> RunView {
    let mut snapshots = running.client.snapshots.clone();
    let is_there = |s: &Arc<Snapshot>| s.runs.first().is_some_and(&what);
    let found = tokio::time::timeout(Duration::from_secs(30), snapshots.wait_for(is_there)).await;
    let found = found.map(|s| s.unwrap().runs[0].clone());
    found.unwrap_or_else(|_| panic!("it did not come to that: {:?}", running.client.snapshot().runs))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_is_shown_and_bound() {
    let dir = tempfile::tempdir().unwrap();
    let server: Server = Arc::new(Mutex::new(Err("the thing's server is away".into())));
    let running = start(dir.path(), &server);
    let begin = Command::StartRun { playbook: PlaybookId::from("poke"), params: BTreeMap::new(), incident: None };
    assert!(matches!(running.client.send(begin).await, Reply::Accepted { .. }));

    let blocked = until(&running, |r| r.steps[0].state == StepState::Blocked).await;
    let why = blocked.steps[0].outcome.clone().unwrap();
    assert!(why.contains("its target can not be read") && why.contains("the thing's server is away"), "{why}");

    *server.lock().unwrap() = Ok(4);
    let shown = until(&running, |r| r.steps[0].state == StepState::AwaitsConfirmation).await;
    assert_eq!(shown.steps[0].request.as_ref().unwrap().server_checks, ["only version 4"]);

    *server.lock().unwrap() = Ok(5);
    let again = until(&running, |r| {
        r.steps[0].request.as_ref().is_some_and(|q| q.server_checks == ["only version 5"])
            && r.steps[0].state == StepState::AwaitsConfirmation
    })
    .await;
    let confirm = |run: &RunView| Command::Confirm {
        run: run.id.clone(),
        step: run.steps[0].id.clone(),
        digest: run.steps[0].digest.clone().unwrap(),
        generation: run.generation,
        typed: None,
    };
    assert!(matches!(running.client.send(confirm(&shown)).await, Reply::Refused { .. }));
    let reply = running.client.send(confirm(&again)).await;
    assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    let done = until(&running, |r| r.ended_at.is_some()).await;
    assert_eq!(done.steps[0].state, StepState::Done);
    running.end().await;
}
