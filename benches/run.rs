//! What a run costs: how long a playbook of 200 steps over 500 targets takes to render, and how long it is from Enter on
//! a confirmation to the durable `step.started`, beside the raw `fdatasync` of the same run. Prints figures; asserts
//! nothing. `cargo bench --bench run`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a tool for developers; it fails by panicking"
)]

mod measured;

use jiff::Timestamp;
use measured::percentile;
use quarterdeck::act::Verbs;
use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::behalf::Behalf;
use quarterdeck::domain::estate::{Environment, Estate, Tenancy, Tenant};
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::ports::{BoxFuture, Clock, Outcome, RenderContext, Verb, VerbError};
use quarterdeck::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use quarterdeck::domain::risk::{BlastRadius, Reversible, Risk};
use quarterdeck::domain::sample::{Failure, FailureKind};
use quarterdeck::domain::world::World;
use quarterdeck::engine::adapters::Adapters;
use quarterdeck::engine::api::{Command, Reply, RunState, StepState};
use quarterdeck::engine::core::{self, Parts};
use quarterdeck::engine::preview::preview;
use quarterdeck::engine::state::State;
use quarterdeck::journal::{OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use quarterdeck::policy::authorized::Authorized;
use quarterdeck::policy::rules::Policy;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const STEPS: usize = 200;
const TARGETS: usize = 500;
const CONFIRMATIONS: usize = 2000;
const BAR_RENDER_MS: f64 = 100.0;
const BAR_RATIO: f64 = 5.0;

static POKE: VerbSpec = VerbSpec {
    name: "lab.poke",
    what: "does one thing",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        ArgSpec { name: "tenant", required: false, what: "which" },
        ArgSpec { name: "limit", required: false, what: "how many" },
    ],
};

/// Notes when it is handed its permit: `step.started` is durable and the gate was passed.
struct Poke(Arc<Mutex<Option<Instant>>>);

impl Verb for Poke {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &POKE
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let word = |name: &str| context.args.get(name).map(ToString::to_string).unwrap_or_default();
        let tenant = context.args.get("tenant").and_then(|v| v.as_str()).unwrap_or("all");
        Ok(Request {
            verb: POKE.name.into(),
            target: Target {
                source: "lab".into(),
                identity: "7412".into(),
                environment: Environment::Development,
                object: format!("database {tenant}"),
                tenants: vec![tenant.into()],
                count: 1,
            },
            operation: Operation::Sql {
                database: tenant.into(),
                statement: "ALTER DATABASE x CONNECTION LIMIT $1".into(),
                parameters: vec![word("limit")],
            },
            server_checks: vec!["only if the database is there".into()],
            hurts: "who connects beyond".into(),
            undo: "the same with the limit of before".into(),
            by_hand: format!("psql -d {tenant}"),
        })
    }

    fn dry_run<'a>(&'a self, _: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async { Ok("1 row".into()) })
    }

    fn look<'a>(&'a self, _: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Failed { why: Failure::new(FailureKind::Local, "it acts") } })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        *self.0.lock().unwrap() = Some(Instant::now());
        drop(permit);
        Box::pin(async { Outcome::Done { result: serde_json::json!({}), summary: "done".into() } })
    }
}

struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

fn estate() -> Arc<Estate> {
    let tenant = |i: usize| Tenant {
        id: format!("t{i:03}").as_str().into(),
        name: format!("tenant {i}"),
        tenancy: Tenancy::MultiTenant,
        criticality: 3,
        plants: vec![],
        cutoffs: vec![],
        database: None,
        namespace: None,
        router: None,
    };
    let tenants = (0..TARGETS).map(tenant).collect();
    Arc::new(Estate { name: "bench".into(), environment: Environment::Development, time_zone: "UTC".into(), tenants })
}

fn head(id: &str) -> String {
    format!("schemaVersion: 1\nid: {id}\nname: B\nversion: 1\nowner: o\ndescription: d\n")
}

/// 200 steps, each of them for each of 500 tenants.
fn wide() -> String {
    let mut text =
        head("wide") + "parameters: {limit: {type: integer, default: 7}}\ntargets: {selector: 'true'}\nsteps:\n";
    for i in 0..STEPS {
        writeln!(
            text,
            "- {{id: s{i}, name: S, why: W, type: action, run: {{adapter: lab, verb: poke, args: {{tenant: '{{{{ tenant.id \
             }}}}', limit: '{{{{ params.limit }}}}'}}}}}}"
        )
        .unwrap();
    }
    text
}

fn library() -> Library {
    let one = head("one") + "steps:\n- {id: poke, name: P, why: W, type: action, run: {adapter: lab, verb: poke}}\n";
    let files = [("wide.yaml".to_owned(), wide()), ("one.yaml".to_owned(), one)];
    let (library, problems) = Library::load(&files, &[&POKE], &[]);
    let own: Vec<_> =
        problems.iter().filter(|p| p.file.ends_with("wide.yaml") || p.file.ends_with("one.yaml")).collect();
    assert!(own.is_empty(), "{own:?}");
    library
}

async fn rendering() {
    let library = library();
    let plan = library.get(&"wide".into()).unwrap().plan.clone();
    let estate = estate();
    let world = World::new(estate.clone(), std::iter::empty(), Timestamp::now());
    let verbs = Verbs::new([Arc::new(Poke(Arc::default())) as _]);
    let (policy, state, none) = (Policy::shipped(), State::default(), BTreeMap::new());
    let mut took = Vec::new();
    for _ in 0..7 {
        let begun = Instant::now();
        let steps = preview(&plan, &none, &world, &verbs, (&policy, &state, true), Mode::Live, Timestamp::now());
        let steps = steps.await.unwrap();
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        assert_eq!(steps.len(), STEPS);
        assert!(steps.iter().all(|s| s.request.as_ref().is_some_and(|r| r.target.count == TARGETS as u64)));
    }
    took.sort_by(f64::total_cmp);
    let median = percentile(&took, 0.5);
    let requests = (STEPS * TARGETS) as f64;
    println!(
        "{STEPS} steps over {TARGETS} targets, {requests} requests with digests and risk: {median:.0} ms, {:.2} us each, \
         ratio to the bar of {BAR_RENDER_MS:.0} ms: {:.2}",
        median * 1e3 / requests,
        median / BAR_RENDER_MS
    );
}

/// The raw file beside the journal: appends as long as a record, each with its `fdatasync`.
struct Raw(std::fs::File);

impl Raw {
    fn new(dir: &Path) -> Self {
        Self(std::fs::File::create(dir.join("raw")).unwrap())
    }

    /// One of them; seconds.
    fn sync(&mut self) -> f64 {
        let begun = Instant::now();
        self.0.write_all(&[b'x'; 1024]).unwrap();
        self.0.sync_data().unwrap();
        begun.elapsed().as_secs_f64()
    }
}

async fn confirming() {
    // Beside the sources, not in a directory that may lie in memory.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut raw = Raw::new(dir.path());
    let mut syncs = Vec::new();
    let executed = Arc::new(Mutex::new(None));
    let adapters = Adapters {
        estate: estate(),
        mode: Mode::Live,
        clock: Arc::new(Wall),
        observers: vec![],
        verbs: Verbs::new([Arc::new(Poke(executed.clone())) as _]),
        settings: quarterdeck::correlate::settings::Settings::default(),
        usual: None,
        prices: None,
        logs: quarterdeck::engine::logs::LogSources::default(),
        comms: quarterdeck::engine::telling::Means::default(),
        identity: None,
        drill: None,
    };
    let me = Actor { user: "mara".into(), uid: 0, via: "bench".into(), host: "bench".into(), console: None };
    let journal = dir.path().join("journal");
    let open = OpenOptions::new(
        &journal,
        "quarterdeck/bench",
        me.clone(),
        Mode::Live,
        Environment::Development,
        Timestamp::now(),
    );
    let mut state = State::default();
    let (journal, _) = tokio::task::block_in_place(|| fold::open(open, &mut state)).unwrap();
    let running = core::start(Parts {
        adapters,
        library: library(),
        journal,
        state,
        journal_dir: String::new(),
        me,
        anchored: None,
        witnesses: None,
        loaded: serde_json::json!({}),
    });
    let client = running.client.clone();
    let mut took = Vec::new();
    for _ in 0..CONFIRMATIONS {
        let begin = Command::StartRun { playbook: "one".into(), params: BTreeMap::new(), incident: None };
        let Reply::Accepted { id: Some(run), .. } = client.send(begin).await else { panic!("it did not start") };
        let mut snapshots = client.snapshots.clone();
        let waits = |s: &Arc<quarterdeck::engine::api::Snapshot>| {
            s.runs.iter().any(|r| r.id.as_str() == run && r.steps[0].state == StepState::AwaitsConfirmation)
        };
        let seen = snapshots.wait_for(waits).await.unwrap().clone();
        let view = seen.runs.iter().find(|r| r.id.as_str() == run).unwrap();
        let confirm = Command::Confirm {
            run: view.id.clone(),
            step: view.steps[0].id.clone(),
            digest: view.steps[0].digest.clone().unwrap(),
            generation: view.generation,
            typed: None,
        };
        // Before each, so that both meet the same disk.
        syncs.push(raw.sync());
        let pressed = Instant::now();
        assert!(matches!(client.send(confirm).await, Reply::Accepted { .. }));
        let over = |s: &Arc<quarterdeck::engine::api::Snapshot>| {
            s.runs.iter().any(|r| r.id.as_str() == run && r.state == RunState::Finished)
        };
        tokio::time::timeout(Duration::from_secs(30), snapshots.wait_for(over)).await.unwrap().unwrap();
        let at = executed.lock().unwrap().take().unwrap();
        took.push(at.duration_since(pressed).as_secs_f64());
    }
    running.end().await;
    took.sort_by(f64::total_cmp);
    syncs.sort_by(f64::total_cmp);
    for (name, p) in [("p50", 0.5), ("p99", 0.99)] {
        let (ours, disk) = (percentile(&took, p) * 1e6, percentile(&syncs, p) * 1e6);
        println!(
            "Enter to durable step.started, {CONFIRMATIONS} times: {name} {ours:.0} us; raw fdatasync of the same run \
             {disk:.0} us; ratio {:.1} (bar {BAR_RATIO} at p99)",
            ours / disk
        );
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        rendering().await;
        tokio::spawn(confirming()).await.unwrap();
    });
}
