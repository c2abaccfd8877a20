//! The engine with witnesses: a high-risk step is sent after they have cosigned its start, with a broken glass also
//! without them, and never on a log that they know better.

use super::journal_support::*;
use super::support::*;
use quarterdeck::act::Verbs;
use quarterdeck::attest::witness::Settings;
use quarterdeck::domain::behalf::Behalf;
use quarterdeck::domain::estate::{Environment, Estate};
use quarterdeck::domain::id::{IncidentId, PlaybookId, RunId};
use quarterdeck::domain::incident::Severity;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use quarterdeck::domain::request::{Operation, Request, Target, VerbSpec};
use quarterdeck::domain::risk::{BlastRadius, Confirmation, Reversible, Risk};
use quarterdeck::domain::sample::{Failure, FailureKind};
use quarterdeck::engine::adapters::{Adapters, Wall};
use quarterdeck::engine::api::{Command, Reply, Snapshot, StepState};
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::state::State;
use quarterdeck::journal::{Kind, OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use quarterdeck::policy::authorized::Authorized;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

static POKE: VerbSpec = VerbSpec {
    name: "lab.poke",
    what: "does something that can not be taken back",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::No,
    idempotent: false,
    read_only: false,
    args: &[],
};

const PLAYBOOK: &str = "schemaVersion: 1
id: poke
name: Poke
version: 1
owner: tests
description: Does one thing of high risk.
lastReviewed: 2026-11-21
severity: [SEV1]
triggers: {findings: [http-errors]}
parameters: {}
steps:
  - id: poke
    name: poke it
    why: To see when it is sent.
    type: action
    risk: high
    reversible: false
    approval: {quorum: 1}
    run: {adapter: lab, verb: poke, args: {}}
    timeout: 10s
    verify:
      - check: 'signals.lock.blocked == 0'
        text: it was poked
        within: 10s
    onFailure: ask
";

/// Remembers at each execution what a file held at that moment.
struct Poke {
    look: PathBuf,
    seen: Arc<Mutex<Vec<String>>>,
}

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
                environment: Environment::Production,
                object: "the thing".into(),
                tenants: vec![],
                count: 1,
            },
            operation: Operation::Sql { database: "x".into(), statement: "poke".into(), parameters: vec![] },
            server_checks: vec![],
            hurts: "a little".into(),
            undo: "none".into(),
            by_hand: "poke".into(),
        })
    }

    fn dry_run<'a>(&'a self, _: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async { Ok("it would be poked".into()) })
    }

    fn look<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Outcome> {
        let why = Failure::new(FailureKind::Local, "it acts");
        Box::pin(async { Outcome::Failed { why } })
    }

    fn execute(&self, _: Authorized) -> BoxFuture<'_, Outcome> {
        self.seen.lock().unwrap().push(std::fs::read_to_string(&self.look).unwrap_or_default());
        Box::pin(async { Outcome::Done { result: serde_json::json!({ "poked": true }), summary: "poked".into() } })
    }

    fn reconcile<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async { Reconciled::Undecided { why: "nobody looked".into() } })
    }
}

struct Rig {
    running: Running,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Rig {
    /// An engine on a live estate with nothing but the verb that pokes.
    fn start(dir: &Path, witnesses: Settings) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let verb = Poke { look: dir.join("cosigned"), seen: seen.clone() };
        let (library, problems) =
            Library::load(&[("poke.yaml".into(), PLAYBOOK.into())], &all_verbs(), &["lock.blocked"]);
        let ours: Vec<_> = problems.iter().filter(|p| p.file == "poke.yaml").collect();
        assert!(ours.is_empty(), "{ours:?}");
        let estate = Estate {
            name: "lab".into(),
            environment: Environment::Production,
            time_zone: "UTC".into(),
            tenants: vec![],
        };
        let adapters = Adapters {
            estate: Arc::new(estate),
            mode: Mode::Live,
            clock: Arc::new(Wall),
            observers: vec![],
            verbs: Verbs::new([Arc::new(verb) as _]),
            settings: quarterdeck::correlate::settings::Settings::default(),
            usual: None,
            prices: None,
            logs: quarterdeck::engine::logs::LogSources::default(),
            comms: quarterdeck::engine::telling::Means::default(),
            identity: None,
            drill: None,
        };
        let mut state = State::default();
        let options = OpenOptions { mode: Mode::Live, ..options(dir) };
        let me = options.actor.clone();
        let (journal, _) = fold::open(options, &mut state).unwrap();
        let running = core::start(Parts {
            adapters,
            library,
            journal,
            state,
            journal_dir: dir.display().to_string(),
            me,
            loaded: serde_json::json!({}),
            witnesses: Some(witnesses),
            anchored: None,
        });
        Self { running, seen }
    }

    async fn ask(&self, command: Command) -> Reply {
        self.running.client.send(command).await
    }

    async fn until(&self, what: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        let mut snapshots = self.running.client.snapshots.clone();
        let found = tokio::time::timeout(LONG, snapshots.wait_for(|s| what(s))).await;
        found.map_or_else(
            |_| {
                let now = self.running.client.snapshot();
                panic!("it did not come to that: {:?} {:?}", now.journal, now.runs)
            },
            |s| s.unwrap().clone(),
        )
    }

    /// Declares, breaks the glass (nobody can sign as a second person here), starts and confirms.
    async fn poke(&self) -> RunId {
        let declare = Command::Declare { title: "poke".into(), severity: Severity::Sev1, findings: vec![] };
        let Reply::Accepted { id: Some(incident), .. } = self.ask(declare).await else { panic!() };
        let glass = Command::BreakGlass { reason: "there is nobody else here".into() };
        assert!(matches!(self.ask(glass).await, Reply::Accepted { .. }));
        let incident = Some(IncidentId::from(incident.as_str()));
        let start = Command::StartRun { playbook: PlaybookId::from("poke"), params: BTreeMap::new(), incident };
        let Reply::Accepted { id: Some(run), .. } = self.ask(start).await else { panic!() };
        let run = RunId::from(run.as_str());
        let waits = |s: &Snapshot| s.runs.iter().any(|r| r.steps[0].state == StepState::AwaitsConfirmation);
        let snapshot = self.until(waits).await;
        let view = &snapshot.runs[0];
        let step = &view.steps[0];
        let Some(Confirmation::Typed { phrase }) = &step.assessment.as_ref().unwrap().confirmation else { panic!() };
        let confirm = Command::Confirm {
            run: run.clone(),
            step: step.id.clone(),
            digest: step.digest.clone().unwrap(),
            generation: view.generation,
            typed: Some(phrase.clone()),
        };
        let reply = self.ask(confirm).await;
        assert!(matches!(reply, Reply::Accepted { .. }), "{reply:?}");
        run
    }

    async fn finished(&self) -> Arc<Snapshot> {
        let over = |s: &Snapshot| s.journal.tail.iter().any(|t| t.kind == "step.finished");
        self.until(over).await
    }
}

fn all_verbs() -> Vec<&'static VerbSpec> {
    let mut all = quarterdeck::act::catalog();
    all.push(&POKE);
    all
}

/// The number of the record of a kind.
fn seq(dir: &Path, kind: Kind) -> u64 {
    records(dir).iter().find(|s| s.record.kind == kind).unwrap_or_else(|| panic!("no {kind}")).record.seq
}

#[tokio::test(flavor = "multi_thread")]
async fn a_high_step_is_sent_after_the_quorum_has_cosigned_its_start() {
    let (dir, state) = (fast_dir(), fast_dir());
    let key = {
        let (journal, _) = open(dir.path());
        journal.verifier().clone()
    };
    let Some(a) = serve(state.path(), "a", "ed25519", &key) else { return };
    let b = serve(state.path(), "b", "mldsa", &key).unwrap();
    let rig = Rig::start(dir.path(), settings(dir.path(), &[&a, &b], 2));
    rig.poke().await;
    rig.finished().await;
    // What lay in `cosigned` when the request was sent: both witnesses over a tree that has the start in it.
    let note = rig.seen.lock().unwrap().clone();
    assert_eq!(note.len(), 1);
    let keys = [a.witness.key.clone(), b.witness.key.clone()];
    let cosigned = quarterdeck::journal::cosignature::open(&note[0], &key, &keys).unwrap();
    let (started, done) = (seq(dir.path(), Kind::StepStarted), seq(dir.path(), Kind::StepFinished));
    assert_eq!(cosigned.by.len(), 2);
    assert!(started < cosigned.checkpoint.size && cosigned.checkpoint.size <= done, "{started} {cosigned:?} {done}");
    // The screens say so.
    let calm = |s: &Snapshot| s.journal.witnessed.as_ref().is_some_and(|w| w.size == s.journal.size);
    let shown = rig.until(calm).await.journal.witnessed.clone().unwrap();
    assert_eq!((shown.confirmed, shown.needed, shown.trouble), (2, 2, None));
    rig.running.end().await;
    // The last record, which says that the log was closed, is cosigned too.
    let last = super::support::cosigned(dir.path(), &key, &[&a, &b]).checkpoint.size;
    assert_eq!(last, records(dir.path()).len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_glass_stands_for_witnesses_and_the_journal_says_so() {
    if program().is_none() {
        return;
    }
    let (dir, state) = (fast_dir(), fast_dir());
    let gone = {
        let (journal, _) = open(dir.path());
        down(&state, &journal)
    };
    let rig = Rig::start(dir.path(), settings(dir.path(), &[&gone], 1));
    let run = rig.poke().await;
    rig.finished().await;
    assert_eq!(rig.seen.lock().unwrap().len(), 1);
    let shown = rig.running.client.snapshot().journal.witnessed.clone().unwrap();
    assert_eq!((shown.size, shown.confirmed, shown.needed), (0, 0, 1));
    assert!(shown.trouble.unwrap().starts_with("unverified: 1 of them must answer"));
    rig.running.end().await;
    let notes = records(dir.path());
    let waived = notes
        .iter()
        .find(|s| s.record.kind == Kind::NoteAdded && s.record.body.to_string().contains("stands for the others"));
    let waived = &waived.expect("the waiver is written down").record;
    assert!(waived.body.to_string().contains(&format!("{run} poke: 0 of 1 witnesses have cosigned its start")));
    let (started, done) = (seq(dir.path(), Kind::StepStarted), seq(dir.path(), Kind::StepFinished));
    assert!(started < waived.seq && waived.seq < done);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_runs_on_a_log_that_was_rolled_back() {
    let (dir, copied, state) = (fast_dir(), fast_dir(), fast_dir());
    let (journal, _) = open(dir.path());
    let Some(a) = serve(state.path(), "a", "ed25519", journal.verifier()) else { return };
    copy(dir.path(), copied.path());
    let size = grow(&journal, 60).await;
    let witnesses = follow(&journal, settings(dir.path(), &[&a], 1));
    assert_eq!(witnesses.asking().cover(size, LONG).await.size, size);
    witnesses.finish(size, LONG).await;
    let rig = Rig::start(copied.path(), settings(copied.path(), &[&a], 1));
    let shown = rig.until(|s| s.journal.broken.is_some()).await;
    let why = shown.journal.broken.clone().unwrap();
    assert!(why.starts_with(&format!("a has cosigned {size} records of this log, and it has ")), "{why}");
    let start = Command::StartRun { playbook: PlaybookId::from("poke"), params: BTreeMap::new(), incident: None };
    let Reply::Refused { why: refused, .. } = rig.ask(start).await else { panic!() };
    assert!(refused.contains(&why), "{refused}");
    // It is still written down, once.
    rig.until(|s| s.journal.tail.iter().any(|t| t.text.contains("has cosigned"))).await;
    rig.running.end().await;
    let told = records(copied.path());
    let told =
        told.iter().filter(|s| s.record.kind == Kind::NoteAdded && s.record.body.to_string().contains("has cosigned"));
    assert_eq!(told.count(), 1);
    assert!(rig.seen.lock().unwrap().is_empty());
}
