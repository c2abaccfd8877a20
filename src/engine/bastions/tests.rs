//! Two engines on one journal, in the database of the model.

use crate::act::Verbs;
use crate::domain::actor::Actor;
use crate::domain::behalf::Behalf;
use crate::domain::estate::{Environment, Estate};
use crate::domain::id::RunId;
use crate::domain::incident::Severity;
use crate::domain::mode::Mode;
use crate::domain::ports::{BoxFuture, Clock, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::run::RunState;
use crate::domain::sample::{Failure, FailureKind};
use crate::engine::adapters::Adapters;
use crate::engine::api::{Command, Reply, RunView, Snapshot, StepState};
use crate::engine::core::{self, Parts, Running};
use crate::engine::state::State;
use crate::journal::shared::Database;
use crate::journal::shared::model::Model;
use crate::journal::{OpenOptions, fold};
use crate::playbook::library::Library;
use crate::policy::authorized::Authorized;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

static POKE: VerbSpec = VerbSpec {
    name: "lab.poke",
    what: "does something that can not be taken back",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: &[],
};

const PLAYBOOK: &str = "schemaVersion: 1\nid: poke\nname: Poke\nversion: 1\nowner: tests\ndescription: Does one thing.\nsteps:\n  \
    - {id: poke, name: poke it, why: To see who may., type: action, reversible: false, run: {adapter: lab, verb: poke}}\n";

/// How often the thing was poked, that it was, and what lets a poke answer.
#[derive(Default)]
struct Thing {
    pokes: AtomicU64,
    poked: Notify,
    answer: Notify,
}

struct Poke(Arc<Thing>);

impl Verb for Poke {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &POKE
    }

    fn render(&self, _: &RenderContext<'_>) -> Result<Request, VerbError> {
        Ok(Request {
            verb: POKE.name.into(),
            target: Target {
                source: "lab".into(),
                identity: "lab".into(),
                environment: Environment::Staging,
                object: "the thing".into(),
                tenants: vec![],
                count: 1,
            },
            operation: Operation::Simulated { statement: "poke".into() },
            server_checks: vec![],
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

    fn execute(&self, _: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async {
            self.0.pokes.fetch_add(1, Ordering::SeqCst);
            self.0.poked.notify_one();
            self.0.answer.notified().await;
            Outcome::Done { result: json!({}), summary: "poked".into() }
        })
    }

    fn reconcile<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async { Reconciled::TookEffect { seen: "it has a dent".into() } })
    }
}

#[derive(Debug)]
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// The engine of one bastion.
fn engine(dir: &Path, host: &str, model: &Model, thing: &Arc<Thing>) -> Running {
    let (library, _) = Library::load(&[("poke.yaml".into(), PLAYBOOK.into())], &[&POKE], &[]);
    let (name, time_zone) = ("lab".to_owned(), "UTC".to_owned());
    let estate = Estate { name, environment: Environment::Staging, time_zone, tenants: vec![] };
    let adapters = Adapters {
        estate: Arc::new(estate),
        mode: Mode::Live,
        clock: Arc::new(Wall),
        observers: vec![],
        verbs: Verbs::new([Arc::new(Poke(thing.clone())) as _]),
        settings: crate::correlate::settings::Settings::default(),
        usual: None,
        prices: None,
        logs: crate::engine::logs::LogSources::default(),
        comms: crate::engine::telling::Means::default(),
        identity: None,
        drill: None,
    };
    let me = Actor { user: "mara".into(), uid: 1001, via: "console".into(), host: host.into(), console: None };
    let (mode, environment) = (Mode::Live, Environment::Staging);
    let options = OpenOptions::new(dir, "quarterdeck/lab", me.clone(), mode, environment, Timestamp::now());
    let database: Option<Arc<dyn Database>> = Some(Arc::new(model.clone()));
    let options = OpenOptions { database, low_water: 0, ..options };
    let mut state = State::default();
    let (journal, _) = tokio::task::block_in_place(|| fold::open(options, &mut state)).unwrap();
    let journal_dir = dir.display().to_string();
    let (loaded, witnesses, anchored) = (json!({}), None, None);
    core::start(Parts { adapters, library, journal, state, journal_dir, me, loaded, witnesses, anchored })
}

async fn until(engine: &Running, what: &str, holds: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    let mut snapshots = engine.client.snapshots.clone();
    let found = tokio::time::timeout(Duration::from_mins(1), snapshots.wait_for(|s| holds(s))).await;
    let Ok(found) = found else {
        panic!("still not: {what}: {:?} {:?}", engine.client.snapshot().runs, engine.client.snapshot().journal)
    };
    found.unwrap().clone()
}

fn run_of<'a>(snapshot: &'a Snapshot, run: &RunId) -> Option<&'a RunView> {
    snapshot.runs.iter().find(|r| r.id == *run)
}

/// Starts the playbook and confirms its step.
async fn begin(engine: &Running) -> RunId {
    let start = Command::StartRun { playbook: "poke".into(), params: BTreeMap::new(), incident: None };
    let reply = engine.client.send(start).await;
    let Reply::Accepted { id: Some(run), .. } = reply else { panic!("{reply:?}") };
    let run = RunId::new(run);
    let waits = |s: &Snapshot| run_of(s, &run).is_some_and(|r| r.steps[0].state == StepState::AwaitsConfirmation);
    let seen = until(engine, "the step waits", waits).await;
    let view = run_of(&seen, &run).unwrap();
    let step = &view.steps[0];
    let confirm = Command::Confirm {
        run: run.clone(),
        step: step.id.clone(),
        digest: step.digest.clone().unwrap(),
        generation: view.generation,
        typed: None,
    };
    let reply = engine.client.send(confirm).await;
    assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    run
}

fn refused(reply: &Reply) -> String {
    let Reply::Refused { why, .. } = reply else { panic!("{reply:?}") };
    why.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_engine_acts_the_other_sees_and_takes_over_when_it_dies() {
    let dir = tempfile::tempdir().unwrap();
    let (model, thing) = (Model::leasing(Duration::from_secs(2)), Arc::new(Thing::default()));
    let (first, second) = (dir.path().join("a"), dir.path().join("b"));
    let a = engine(&first, "bastiona", &model, &thing);
    std::fs::create_dir(&second).unwrap();
    std::fs::copy(first.join("log.key"), second.join("log.key")).unwrap();
    let b = engine(&second, "bastionb", &model, &thing);
    let declare = |title: &str| Command::Declare { title: title.into(), severity: Severity::Sev2, findings: vec![] };
    assert!(matches!(a.client.send(declare("it stands")).await, Reply::Accepted { .. }));
    until(&b, "the incident is seen", |s| s.incidents.len() == 1).await;
    // Names are given once.
    let reply = b.client.send(declare("another thing")).await;
    assert!(matches!(&reply, Reply::Accepted { id: Some(id), .. } if id == "INC-2"), "{reply:?}");
    let closed = Command::Close { incident: "INC-2".into(), summary: "it was the same".into() };
    assert!(matches!(b.client.send(closed).await, Reply::Accepted { .. }));
    until(&a, "all is the same", |s| s.incidents.len() == 2).await;

    let run = begin(&a).await;
    let led = |s: &Snapshot| run_of(s, &run).is_some_and(|r| r.led_by.as_deref() == Some("bastiona"));
    until(&b, "the run is seen with who leads it", led).await;
    let resume = || Command::ResumeRun { run: run.clone() };
    assert!(refused(&b.client.send(resume()).await).contains("is led by the engine on bastiona; act there"));
    let begun = |s: &Snapshot| run_of(s, &run).is_some_and(|r| r.steps[0].started_at.is_some());
    until(&a, "the step is begun", begun).await;
    thing.poked.notified().await;
    assert_eq!(thing.pokes.load(Ordering::SeqCst), 1);

    // A is cut off in the middle of it, and its lease ends.
    model.cut("bastiona", true);
    model.pass(Duration::from_secs(5));
    let taken = |s: &Snapshot| run_of(s, &run).is_some_and(|r| r.state == RunState::Unknown);
    until(&b, "the run is taken over", taken).await;
    // The outcome comes to A, which can write nothing and do nothing more.
    thing.answer.notify_one();
    until(&a, "it says why", |s| s.journal.broken.is_some()).await;
    let start = Command::StartRun { playbook: "poke".into(), params: BTreeMap::new(), incident: None };
    assert!(refused(&a.client.send(start).await).contains("nothing runs while the journal is not in order"));

    // B looks at the thing and does not poke it again.
    let reply = b.client.send(resume()).await;
    assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
    let over = |s: &Snapshot| run_of(s, &run).is_some_and(|r| r.state == RunState::Finished);
    until(&b, "the run is over", over).await;
    assert_eq!(thing.pokes.load(Ordering::SeqCst), 1);

    // A comes back: it sees how it went on without it, and leads nothing of it.
    model.cut("bastiona", false);
    until(&a, "it is in order again", |s| s.journal.broken.is_none()).await;
    until(&a, "its own run is not open any more", |s| run_of(s, &run).is_none_or(|r| r.state.is_over())).await;
    assert_eq!(thing.pokes.load(Ordering::SeqCst), 1);
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_minutes_wrong_is_said_and_recorded_and_nothing_runs_until_it_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let (model, thing) = (Model::leasing(Duration::from_secs(2)), Arc::new(Thing::default()));
    let a = engine(&dir.path().join("a"), "bastiona", &model, &thing);
    let start = || Command::StartRun { playbook: "poke".into(), params: BTreeMap::new(), incident: None };
    let Reply::Accepted { id: Some(run), .. } = a.client.send(start()).await else { panic!() };
    let run = RunId::new(run);
    model.set_clock(SignedDuration::from_mins(3));
    let seen = until(&a, "it says so", |s| s.journal.broken.is_some()).await;
    let said = seen.journal.broken.clone().unwrap();
    let (head, tail) =
        ("the clock of bastiona is ", " behind that of the journal's database; nothing runs here until it is set");
    assert!(said.starts_with(head) && said.ends_with(tail) && said.contains("2m 59s"), "{said}");
    until(&a, "its run stops", |s| run_of(s, &run).is_some_and(|r| r.state == RunState::Stopped)).await;
    assert!(refused(&a.client.send(start()).await).contains("nothing runs while the journal is not in order"));
    let noted = |s: &Snapshot| s.journal.tail.iter().filter(|e| e.text.contains("the clock of bastiona")).count();
    until(&a, "it is recorded", |s| noted(s) == 1).await;
    // A few seconds are nothing.
    model.set_clock(SignedDuration::from_secs(-20));
    until(&a, "it is right again", |s| s.journal.broken.is_none() && noted(s) == 2).await;
    assert!(matches!(a.client.send(start()).await, Reply::Accepted { .. }));
    assert_eq!(thing.pokes.load(Ordering::SeqCst), 0);
    a.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_one_bastion_stops_what_another_does() {
    let dir = tempfile::tempdir().unwrap();
    let (model, thing) = (Model::leasing(Duration::from_secs(2)), Arc::new(Thing::default()));
    let (first, second) = (dir.path().join("a"), dir.path().join("b"));
    let a = engine(&first, "bastiona", &model, &thing);
    std::fs::create_dir(&second).unwrap();
    std::fs::copy(first.join("log.key"), second.join("log.key")).unwrap();
    let b = engine(&second, "bastionb", &model, &thing);
    let start = Command::StartRun { playbook: "poke".into(), params: BTreeMap::new(), incident: None };
    let Reply::Accepted { id: Some(run), .. } = a.client.send(start).await else { panic!() };
    let run = RunId::new(run);
    until(&b, "the run is seen", |s| run_of(s, &run).is_some()).await;
    let reply = b.client.send(Command::EmergencyStop).await;
    assert!(matches!(&reply, Reply::Accepted { message, .. } if message.contains("passed on")), "{reply:?}");
    until(&a, "it is stopped", |s| run_of(s, &run).is_some_and(|r| r.state == RunState::Stopped)).await;
    assert_eq!(thing.pokes.load(Ordering::SeqCst), 0);
    a.end().await;
    b.end().await;
}
