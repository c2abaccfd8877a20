use super::model::fault::{Ending, Fault};
use super::*;
use crate::correlate::Correlator;
use crate::domain::finding::{Finding, Level};
use crate::domain::health::Health;
use crate::domain::id::Digest;
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request};
use crate::domain::world::World;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn scenario(id: &str) -> Scenario {
    let (entries, errors) = catalog::load(&[]);
    assert_eq!(errors, []);
    entries.into_iter().find(|e| e.scenario.exercise.id == id).unwrap().scenario
}

/// A scenario with world and correlator beside it, moved by hand second by second.
struct Play {
    drill: Drill,
    clock: Arc<ScenarioClock>,
    world: World,
    correlator: Correlator,
    findings: Vec<Finding>,
    raised: Vec<String>,
    cleared: Vec<String>,
}

impl Play {
    fn new(id: &str) -> Self {
        let drill = Drill::start(&scenario(id), Options { speed: Some(0.0), ..Options::default() });
        let clock = Arc::clone(&drill.shared.clock);
        let world = World::new(Arc::clone(drill.estate()), drill.sources.clone(), clock.now());
        let correlator = Correlator::new(drill.settings(), drill.estate(), jiff::tz::db());
        let (findings, raised, cleared) = Default::default();
        Self { drill, clock, world, correlator, findings, raised, cleared }
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn sample(&mut self, spec: &SourceSpec) {
        let before = self.world.sources[&spec.id].good.clone();
        let sample = self.drill.shared.sample(&spec.id);
        assert!(self.world.take(sample.clone()));
        self.correlator.observe(before.as_ref().map(|g| &*g.facts), &sample);
    }

    fn play(&mut self, seconds: i64) {
        for _ in 0..seconds {
            let elapsed = self.drill.view().elapsed_s;
            for spec in self.drill.sources.clone() {
                if elapsed % spec.interval.as_secs_f64() < 0.5 {
                    self.sample(&spec);
                }
            }
            let evaluation = self.correlator.evaluate(&self.world, self.now());
            self.raised.extend(evaluation.transitions.raised.iter().map(|f| f.id.to_string()));
            self.cleared.extend(evaluation.transitions.cleared.iter().map(|c| c.finding.id.to_string()));
            self.findings = evaluation.findings;
            self.clock.advance(SignedDuration::from_secs(1));
        }
    }

    fn finding(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|f| f.id.as_str() == id)
    }

    fn verb(&self, name: &str) -> Arc<dyn Verb<Permit = Authorized>> {
        self.drill.verbs().into_iter().find(|v| v.spec().name == name).unwrap()
    }

    fn render(&self, name: &str, args: &Value) -> Result<Request, VerbError> {
        let args: BTreeMap<String, Value> = serde_json::from_value(args.clone()).unwrap();
        let estate = self.drill.estate();
        let context = RenderContext { estate, world: &self.world, now: self.now(), args: &args, surveyed: None };
        self.verb(name).render(&context)
    }

    async fn act(&self, name: &str, args: Value) -> Outcome {
        self.send(name, self.render(name, &args).unwrap()).await
    }

    async fn send(&self, name: &str, request: Request) -> Outcome {
        let digest = Digest::from_bytes(&[7; 32]);
        self.verb(name).execute(Authorized::for_test(request, digest, Duration::from_secs(5))).await
    }

    async fn look(&self, name: &str, args: Value) -> Value {
        match self.verb(name).look(&self.render(name, &args).unwrap()).await {
            Outcome::Done { result, .. } => result,
            other => panic!("{other:?}"),
        }
    }

    fn refuse(&self, verb: &str, ending: Ending) {
        self.drill.shared.now().sim.apply(&Fault::Refuse { verb: verb.into(), ending, times: 1 });
    }
}

#[tokio::test]
async fn the_default_drill_is_found_resists_a_cancel_and_ends_with_a_terminate() {
    let mut play = Play::new("schema-lock");
    play.play(200);
    let f = play.finding("lock-chain/t017").unwrap();
    assert_eq!((f.level, f.severity), (Level::Incident, Health::Critical));
    assert_eq!(f.whom.plants, ["Kassel", "Ulm", "Graz"]);
    assert_eq!(f.whom.next_cutoff.as_ref().unwrap().what, "receiving starts");
    assert_eq!(f.playbooks[0].id.as_str(), "schema-lock");
    assert!(f.what.contains("after deploy r118"), "{}", f.what);
    assert_eq!(play.findings[0].id.as_str(), "lock-chain/t017", "it is the first thing to be seen");
    assert!(play.finding("source-unknown/pg-b-r").is_some(), "the silent replica is not green");
    assert_eq!(play.drill.view().messages.len(), 3, "the briefing, and two calls");

    let tree = play.look("postgres.blocking_tree", json!({"instance": "pg-a", "database": "t017"})).await;
    let root = &tree["roots"][0];
    assert!(tree["blocked"].as_u64().unwrap() > 40 && root["state"] == "idle in transaction");
    let args = json!({"instance": "pg-a", "pid": root["pid"], "backend_start": root["backend_start"]});
    let Outcome::Done { summary, .. } = play.act("postgres.cancel_backend", args.clone()).await else { panic!() };
    assert!(summary.contains("no query to cancel"), "{summary}");
    play.play(40);
    assert!(play.finding("lock-chain/t017").is_some());

    let by_root = play.render("postgres.terminate_backend", &json!({"instance": "pg-a", "root_of": "t017"})).unwrap();
    let request = play.render("postgres.terminate_backend", &args).unwrap();
    assert_eq!(by_root.operation, request.operation);
    let Operation::Simulated { statement } = &request.operation else { panic!() };
    assert!(statement.contains("pg_terminate_backend(pid)") && statement.contains(&format!("-- $1 = {}", root["pid"])));
    assert!(request.hurts.contains("sessions wait behind it") && request.target.tenants[0].as_str() == "t017");
    assert!(
        play.verb("postgres.terminate_backend").dry_run(&request, None).await.unwrap().contains("idle in transaction")
    );
    let again = request.clone();
    assert!(matches!(play.send("postgres.terminate_backend", request).await, Outcome::Done { .. }));
    play.play(120);
    assert!(play.cleared.contains(&"lock-chain/t017".into()));
    assert!(
        play.findings
            .iter()
            .all(|f| !f.whom.tenants.iter().any(|t| t.as_str() == "t017") || f.rule == "source-unknown")
    );
    assert!(play.drill.view().ended, "{:?}", play.drill.view());
    let Outcome::Failed { why } = play.send("postgres.terminate_backend", again.clone()).await else { panic!() };
    assert!(why.message.contains("not there any more"), "{why}");
    assert!(matches!(play.verb("postgres.terminate_backend").reconcile(&again).await, Reconciled::TookEffect { .. }));
    let churn: Vec<_> = play.raised.iter().filter(|id| id.contains("t017")).collect();
    assert_eq!(churn, ["lock-chain/t017"], "one trouble, one finding");
}

#[tokio::test]
async fn hung_workers_are_restarted_and_their_jobs_put_back() {
    let mut play = Play::new("queue-backlog");
    play.play(400);
    let f = play.finding("queue-age/t003/root").unwrap();
    assert_eq!((f.level, f.playbooks[0].id.as_str()), (Level::Alert, "queue-backlog"));
    assert!(play.raised.contains(&"queue-zombies/t003/root".into()));
    let seen = play.look("odoo.queue_inspect", json!({"tenant": "t003"})).await;
    assert!(seen["oldest_due_s"].as_f64().unwrap() > 300.0 && seen["zombies"] == 12);
    let place = json!({"cluster": "k8s-1", "namespace": "t003", "deployment": "odoo-worker"});
    let request = play.render("kubernetes.rollout_restart", &place).unwrap();
    let stale = request.clone();
    assert!(matches!(play.send("kubernetes.rollout_restart", request).await, Outcome::Done { .. }));
    assert!(!play.look("kubernetes.rollout_status", place.clone()).await["complete"].as_bool().unwrap());
    let Outcome::Failed { why } = play.send("kubernetes.rollout_restart", stale.clone()).await else { panic!() };
    assert!(why.message.contains("422 Invalid"), "{why}");
    let looked = play.verb("kubernetes.rollout_restart").reconcile(&stale).await;
    assert!(matches!(looked, Reconciled::TookEffect { .. }), "{looked:?}");
    play.play(120);
    assert!(play.look("kubernetes.rollout_status", place).await["complete"].as_bool().unwrap());
    let seen = play.look("odoo.queue_inspect", json!({"tenant": "t003"})).await;
    assert_eq!((seen["depth"].as_u64().unwrap() < 10, &seen["zombies"]), (true, &json!(12)));
    let short = play.render("odoo.requeue_jobs", &json!({"tenant": "t003", "older_than_s": 60}));
    assert!(short.unwrap_err().message.contains("the least is 120"));
    let Outcome::Done { result, .. } = play.act("odoo.requeue_jobs", json!({"tenant": "t003"})).await else { panic!() };
    assert_eq!(result, json!({"requeued": 12, "left_alone": 0}));
    play.play(60);
    assert!(play.render("odoo.requeue_jobs", &json!({"tenant": "t003"})).is_err(), "nothing is left to requeue");
    assert!(play.findings.iter().all(|f| !f.id.as_str().contains("queue")));
    assert!(play.drill.view().ended);
}

#[tokio::test]
async fn the_maintenance_page_is_set_seen_from_outside_and_lifted() {
    let mut play = Play::new("certificate-and-maintenance");
    play.play(130);
    let f = &play.findings[0];
    assert_eq!((f.id.as_str(), f.level), ("http-errors/t090", Level::Incident));
    assert!(f.what.contains("after deploy r204"), "{}", f.what);
    assert!(play.finding("certificate/t090").is_some_and(|f| f.level == Level::Alert));
    let args = json!({"tenant": "t090", "allow_from": "10.1.0.0/16"});
    let request = play.render("traefik.maintenance_on", &args).unwrap();
    let Operation::Simulated { statement } = &request.operation else { panic!() };
    assert!(statement.starts_with("write /etc/traefik/dynamic/quarterdeck-maintenance-t090.yml"), "{statement}");
    assert!(statement.contains("!ClientIP(`10.1.0.0/16`)"));
    play.send("traefik.maintenance_on", request).await;
    let probe = || async { play.look("http.probe", json!({"tenant": "t090"})).await["status"].clone() };
    assert_eq!(probe().await, 503);
    play.play(10);
    let shown = play.correlator.panes(&play.world, play.now());
    let row = shown.tenants.iter().find(|t| t.id.as_str() == "t090").unwrap();
    assert!(row.share_5xx.is_none() && shown.ingress.iter().any(|r| r.name == "t090@file" && r.maintenance));
    assert!(play.correlator.changes().any(|c| c.what.contains("quarterdeck-maintenance-t090@file in force")));
    play.play(480);
    play.act("traefik.maintenance_off", json!({"tenant": "t090"})).await;
    assert_eq!(play.look("http.probe", json!({"tenant": "t090"})).await["status"], 200);
    play.play(60);
    assert!(play.finding("http-errors/t090").is_none());
    assert!(play.drill.view().ended);
}

#[tokio::test]
async fn verbs_fail_and_end_unknown_as_the_scenario_says() {
    let mut play = Play::new("schema-lock");
    play.play(100);
    let (name, args) = ("postgres.terminate_backend", json!({"instance": "pg-a", "root_of": "t017"}));
    play.refuse(name, Ending::Failed);
    assert!(matches!(play.act(name, args.clone()).await, Outcome::Failed { .. }));
    let request = play.render(name, &args).unwrap();
    play.refuse(name, Ending::UnknownWithoutEffect);
    assert!(matches!(play.send(name, request.clone()).await, Outcome::Unknown { .. }));
    assert!(matches!(play.verb(name).reconcile(&request).await, Reconciled::NoEffect { .. }));
    play.refuse(name, Ending::UnknownWithEffect);
    assert!(matches!(play.send(name, request.clone()).await, Outcome::Unknown { .. }));
    assert!(matches!(play.verb(name).reconcile(&request).await, Reconciled::TookEffect { .. }));
}

#[tokio::test]
async fn a_request_of_another_verb_or_a_live_one_is_refused() {
    let mut play = Play::new("schema-lock");
    play.play(100);
    let cancel = play.render("postgres.cancel_backend", &json!({"instance": "pg-a", "root_of": "t017"})).unwrap();
    let Outcome::Failed { why } = play.send("postgres.terminate_backend", cancel.clone()).await else { panic!() };
    assert!(why.message.contains("no request of the simulated postgres.terminate_backend"));
    let operation = Operation::Sql { database: "t017".into(), statement: "SELECT 1".into(), parameters: vec![] };
    let live = Request { operation, ..cancel.clone() };
    assert!(matches!(play.send("postgres.cancel_backend", live).await, Outcome::Failed { .. }));
    assert!(matches!(play.verb("postgres.cancel_backend").look(&cancel).await, Outcome::Failed { .. }));
}

#[tokio::test]
async fn a_waiting_session_can_be_cancelled_alone() {
    let mut play = Play::new("schema-lock");
    play.play(100);
    let sessions = |play: &Play| match play.drill.shared.now().sim.look(&"pg-a".into()) {
        Ok(crate::domain::facts::Facts::Postgres(facts)) => facts.sessions,
        other => panic!("{other:?}"),
    };
    play.sample(&play.drill.sources.iter().find(|s| s.id.as_str() == "pg-a").unwrap().clone());
    let all = sessions(&play);
    let one = all.iter().find(|s| !s.blocked_by.is_empty()).unwrap();
    let args = json!({"instance": "pg-a", "pid": one.pid, "backend_start": one.backend_start.to_string()});
    assert!(matches!(play.act("postgres.cancel_backend", args).await, Outcome::Done { .. }));
    let left = sessions(&play);
    assert_eq!((left.len(), left.iter().any(|s| s.pid == one.pid)), (all.len() - 1, false));
}

#[tokio::test]
async fn observers_sample_at_the_pace_of_the_clock_and_stand_still_with_it() {
    let options = Options { speed: Some(clock::FASTEST), ..Options::default() };
    let drill = Drill::start(&scenario("schema-lock"), options);
    let (send, mut samples) = tokio::sync::mpsc::unbounded_channel();
    let sink: crate::domain::ports::SampleSink = Arc::new(move |sample: Sample| {
        let _ = send.send(sample);
    });
    let observers = drill.observers();
    assert_eq!(observers.len(), drill.sources.len());
    let running: Vec<_> = observers.into_iter().map(|o| tokio::spawn(o.run(Arc::clone(&sink)))).collect();
    let mut of_pg = Vec::new();
    while of_pg.len() < 4 {
        let sample = samples.recv().await.unwrap();
        if sample.source.as_str() == "pg-a" {
            of_pg.push(sample.taken_at);
        }
    }
    assert!(of_pg.windows(2).all(|pair| pair[1].duration_since(pair[0]).as_secs_f64() >= 5.0), "{of_pg:?}");
    drill.set_speed(0.0);
    let stopped = drill.clock().now();
    running.iter().for_each(tokio::task::JoinHandle::abort);
    while let Ok(sample) = samples.try_recv() {
        assert!(sample.taken_at <= stopped);
    }
    assert_eq!(drill.clock().now(), stopped);
}

#[tokio::test]
async fn load_comes_at_its_rate_while_the_clock_stands() {
    let options = Options { speed: Some(0.0), samples_per_s: Some(5000), ..Options::default() };
    let drill = Drill::start(&scenario("schema-lock"), options);
    let (send, mut samples) = tokio::sync::mpsc::unbounded_channel();
    let sink: crate::domain::ports::SampleSink = Arc::new(move |sample: Sample| {
        let _ = send.send(sample.source);
    });
    let running: Vec<_> = drill.observers().into_iter().map(|o| tokio::spawn(o.run(Arc::clone(&sink)))).collect();
    let mut seen = std::collections::BTreeMap::new();
    for _ in 0..2000 {
        *seen.entry(samples.recv().await.unwrap()).or_insert(0) += 1;
    }
    running.iter().for_each(tokio::task::JoinHandle::abort);
    assert_eq!(seen.len(), drill.sources.len(), "every source takes part");
}

#[test]
fn every_simulated_verb_declares_itself_once() {
    let names: std::collections::BTreeSet<&str> = Drill::specs().map(|s| s.name).collect();
    assert_eq!(names.len(), Drill::specs().count());
    let drill = Drill::start(&scenario("schema-lock"), Options::default());
    assert_eq!(drill.verbs().len(), names.len());
}

/// Prints what one round costs at 10,000 pods, 1,000 tenants, 200 PostgreSQL instances and 5,000 changes a second; no
/// assertion, because a timing is none. `cargo test --release --lib thousand_tenants -- --ignored --nocapture`
#[test]
#[ignore = "measures, and prints"]
fn the_cost_of_a_thousand_tenants() {
    /// Changes between two looks: 5,000 a second, five looks a second.
    const BETWEEN: usize = 1000;
    let size = Size { tenants: 1000, pods_per_tenant: 10, primaries: 100 };
    let options = Options { speed: Some(0.0), size: Some(size), ..Options::default() };
    let drill = Drill::start(&scenario("schema-lock"), options);
    let clock = Arc::clone(&drill.shared.clock);
    let mut world = World::new(Arc::clone(drill.estate()), drill.sources.clone(), clock.now());
    let mut correlator = Correlator::new(drill.settings(), drill.estate(), jiff::tz::db());
    drill.seed(correlator.baselines_mut());
    let kind = |kind| drill.sources.iter().filter(|s| s.kind == kind).count();
    println!("{} sources, {} PostgreSQL", drill.sources.len(), kind(crate::domain::sample::SourceKind::Postgres));
    let ms = |start: std::time::Instant| start.elapsed().as_secs_f64() * 1e3;
    for _ in 0..12 {
        clock.advance(SignedDuration::from_secs(10));
        let start = std::time::Instant::now();
        let samples = drill.samples();
        println!("step of ten seconds and {} samples: {:.1} ms", samples.len(), ms(start));
        let mut taking = 0.0_f64;
        let mut left = samples.into_iter().peekable();
        while left.peek().is_some() {
            let start = std::time::Instant::now();
            for sample in left.by_ref().take(BETWEEN) {
                let before = world.sources[&sample.source].good.clone();
                world.take(sample.clone());
                correlator.observe(before.as_ref().map(|g| &*g.facts), &sample);
            }
            taking = taking.max(ms(start));
        }
        let start = std::time::Instant::now();
        let findings = correlator.evaluate(&world, clock.now()).findings.len();
        let evaluating = ms(start);
        let start = std::time::Instant::now();
        let panes = correlator.panes(&world, clock.now());
        let showing = ms(start);
        println!(
            "taking in {BETWEEN} changes {taking:.1} ms; pass: {findings} findings {evaluating:.1} ms, panes of {} \
             tenants {showing:.1} ms, together {:.1} ms; {} series are learnt",
            panes.tenants.len(),
            evaluating + showing,
            correlator.baselines().len()
        );
    }
}

/// What a drill shows at rest and after a fault in a pane of subjects: health of each row by its name.
fn shown(drill: &Drill, seconds: i64, pane: crate::domain::pane::Pane) -> std::collections::BTreeMap<String, Health> {
    let clock = Arc::clone(&drill.shared.clock);
    let mut world = World::new(Arc::clone(drill.estate()), drill.sources.clone(), clock.now());
    let mut correlator = Correlator::new(drill.settings(), drill.estate(), jiff::tz::db());
    for _ in 0..=seconds / 10 {
        for sample in drill.samples() {
            let before = world.sources[&sample.source].good.clone();
            world.take(sample.clone());
            correlator.observe(before.as_ref().map(|g| &*g.facts), &sample);
        }
        clock.advance(SignedDuration::from_secs(10));
    }
    let panes = correlator.panes(&world, clock.now());
    panes.subjects(pane).iter().map(|r| (r.name.to_string(), r.health)).collect()
}

#[test]
fn every_pane_has_its_rows_at_rest_and_all_of_them_are_well() {
    use crate::domain::pane::Pane;
    for pane in Pane::GENERAL {
        let drill = Drill::start(&scenario("schema-lock"), Options { speed: Some(0.0), ..Options::default() });
        let rows = shown(&drill, 0, pane);
        assert!(!rows.is_empty(), "{pane:?}");
        let bad: Vec<_> = rows.iter().filter(|(_, health)| **health != Health::Ok).collect();
        assert!(bad.is_empty(), "{pane:?}: {bad:?}");
    }
}

#[test]
fn faults_show_where_their_effect_is() {
    use crate::domain::pane::Pane;
    let fresh = || Drill::start(&scenario("schema-lock"), Options { speed: Some(0.0), ..Options::default() });
    let with = |faults: Vec<Fault>, pane: Pane| {
        let drill = fresh();
        for fault in &faults {
            drill.shared.now().sim.apply(fault);
        }
        let rows = shown(&drill, 30, pane);
        rows.into_iter().filter(|(_, health)| *health > Health::Ok).map(|(name, _)| name).collect::<Vec<_>>()
    };
    let failing = Fault::BackupsFail { instance: "pg-a".into(), why: "repository is full".into() };
    assert_eq!(with(vec![failing], Pane::Recovery), ["pg-a"]);
    let drifted = Fault::Drift { tenant: "t017".into(), tag: "r999".into() };
    let hold = fresh();
    hold.shared.now().sim.tenant_mut(&"t017".into()).unwrap().delivery.auto_sync = false;
    hold.shared.now().sim.apply(&drifted);
    let rows = shown(&hold, 30, Pane::Delivery);
    assert_eq!(rows["argocd/t017"], Health::Warn, "{rows:?}");
    let drill = fresh();
    let channel = drill.shared.now().sim.tenant(&"t003".into()).unwrap().jobs.channels.last().unwrap().name.clone();
    let down = Fault::EndpointDown { tenant: "t003".into(), channel: channel.clone(), down: true };
    let name = format!("t003 {}", channel.trim_start_matches("root."));
    assert_eq!(with(vec![down], Pane::Business), [name]);
}
