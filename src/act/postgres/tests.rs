//! The verbs before a real server with real lock chains: the facts come from the real observer, the effect is
//! read from the server.

use super::*;
use crate::domain::estate::Estate;
use crate::domain::id::Digest;
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request};
use crate::domain::sample::Sample;
use crate::domain::world::World;
use crate::observe::poll::Poll;
use crate::observe::postgres::Postgres;
use crate::observe::postgres::testbed::{Server, answer, estate, lab, send};
use crate::observe::postgres::tests::from_dsn;
use crate::policy::authorized::Authorized;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio_postgres::Client;

pub fn arguments(list: &[(&str, Value)]) -> BTreeMap<String, Value> {
    list.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

/// What is known after one look of each observer.
pub async fn world(estate: &Arc<Estate>, observers: &mut [&mut (dyn Poll + Sync)]) -> World {
    let mut world = World::new(Arc::clone(estate), observers.iter().map(|o| o.spec()), Timestamp::now());
    for observer in observers {
        let source = observer.spec().id;
        let result = answer(*observer).await.map(Arc::new);
        assert!(result.is_ok(), "{result:?}");
        world.take(Sample { source, taken_at: Timestamp::now(), took: Duration::ZERO, result });
    }
    world
}

pub fn render(verb: &DynVerb, world: &World, list: &[(&str, Value)]) -> Result<Request, VerbError> {
    let args = arguments(list);
    verb.render(&RenderContext { estate: &world.estate, world, now: Timestamp::now(), args: &args, surveyed: None })
}

/// The same after the survey that the verb asks for.
pub async fn prepare(verb: &DynVerb, world: &World, list: &[(&str, Value)]) -> Result<Request, VerbError> {
    let args = arguments(list);
    let asked = crate::domain::ports::Survey { estate: Arc::clone(&world.estate), args: args.clone() };
    let surveyed = match verb.survey(&asked) {
        Some(reading) => Some(reading.await.map_err(|why| VerbError::new(why.message))?),
        None => None,
    };
    let (estate, surveyed) = (&world.estate, surveyed.as_ref());
    // The moment of the newest look: how long the test took since is of no interest.
    let looked = world.sources.values().filter_map(|s| s.good.as_ref().map(|g| g.taken_at)).max();
    let now = looked.unwrap_or_else(Timestamp::now);
    verb.render(&RenderContext { estate, world, now, args: &args, surveyed })
}

pub fn permit(request: &Request, timeout: Duration) -> Authorized {
    Authorized::for_test(request.clone(), Digest::from_bytes(&[0; 32]), timeout)
}

pub async fn execute(verb: &DynVerb, request: &Request) -> Outcome {
    verb.execute(permit(request, Duration::from_secs(10))).await
}

pub fn failed(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed { why } => why,
        other => panic!("{other:?}"),
    }
}

pub fn done(outcome: Outcome) -> (Value, String) {
    match outcome {
        Outcome::Done { result, summary } => (result, summary),
        other => panic!("{other:?}"),
    }
}

/// A server with database t017, whose row of `stock` is locked by a root with three sessions behind it.
pub(super) struct Chain {
    root: Client,
    pub(super) root_pid: i32,
    waiters: Vec<tokio::task::JoinHandle<Result<(), tokio_postgres::Error>>>,
    pub(super) waiter_pids: Vec<i32>,
    verbs: crate::act::Verbs,
    estate: Arc<Estate>,
    observer: Postgres,
    pub(super) server: Server,
}

async fn pid(client: &Client) -> i32 {
    client.query_one_scalar("SELECT pg_backend_pid()", &[]).await.unwrap()
}

impl Chain {
    pub(super) async fn make(user: &str, grants: &str) -> Option<Self> {
        let server = Server::start().await?;
        if user != "postgres" {
            server.role(user, grants).await;
        }
        server.role("odoo", "").await;
        server.sql("postgres", "CREATE DATABASE t017 OWNER odoo").await;
        let root = server.connect_as("odoo", "t017").await;
        root.batch_execute("CREATE TABLE stock AS SELECT 1 AS id, 0 AS qty").await.unwrap();
        let root_pid = pid(&root).await;
        let config = server.config(user);
        let verbs = crate::act::Verbs::new(verbs(
            Mode::Live.may_act().unwrap(),
            &Arc::new(Instances::new(Mode::Live.may_act().unwrap(), std::slice::from_ref(&config))),
            &[],
        ));
        let observer = Postgres::new(Mode::Live.may_observe().unwrap(), &config);
        let mut chain = Self {
            root,
            root_pid,
            waiters: Vec::new(),
            waiter_pids: Vec::new(),
            verbs,
            estate: Arc::new(estate(&["t017"])),
            observer,
            server,
        };
        chain.lock("BEGIN; UPDATE stock SET qty = 1").await;
        Some(chain)
    }

    /// The root takes the lock by a statement that ends; three others wait.
    async fn lock(&mut self, statement: &str) {
        self.root.batch_execute(statement).await.unwrap();
        for _ in 0..3 {
            let waiter = self.server.connect_as("odoo", "t017").await;
            self.waiter_pids.push(pid(&waiter).await);
            self.waiters.push(tokio::spawn(async move { waiter.batch_execute("UPDATE stock SET qty = 2").await }));
        }
        self.server.until("postgres", "SELECT count(*) = 3 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
    }

    pub(super) async fn world(&mut self) -> World {
        world(&self.estate, &mut [&mut self.observer]).await
    }

    fn verb(&self, name: &str) -> Arc<DynVerb> {
        Arc::clone(self.verbs.get(name).unwrap())
    }

    async fn exists(&self, pid: i32) -> bool {
        let question = format!("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = {pid})");
        self.server.connect("postgres").await.query_one_scalar(&question, &[]).await.unwrap()
    }
}

#[tokio::test]
async fn the_tree_is_seen_and_ending_its_root_frees_those_behind_it() {
    let Some(mut chain) = Chain::make("postgres", "").await else { return };
    let world = chain.world().await;
    let tree = chain.verb("postgres.blocking_tree");
    let request = render(&*tree, &world, &[("instance", json!("pg-a")), ("database", json!("t017"))]).unwrap();
    let (result, summary) = done(tree.look(&request).await);
    assert_eq!(summary, format!("3 waiting behind pid {}", chain.root_pid));
    let root = &result["roots"][0];
    assert_eq!((&result["blocked"], &root["waiting"], &root["user"]), (&json!(3), &json!(3), &json!("odoo")));
    assert_eq!((&root["pid"], &root["application"]), (&json!(chain.root_pid), &json!("odoo-worker")));
    assert_eq!(result["tree"].as_array().unwrap().len(), 4);
    let other = render(&*tree, &world, &[("instance", json!("pg-a")), ("database", json!("postgres"))]).unwrap();
    assert_eq!(done(tree.look(&other).await).1, "no session waits for a lock");

    let terminate = chain.verb("postgres.terminate_backend");
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    let request = render(&*terminate, &world, &list).unwrap();
    let Operation::Sql { database, statement, parameters } = &request.operation else { panic!() };
    assert_eq!(
        (database.as_str(), statement.as_str()),
        (
            "postgres",
            "SELECT pg_terminate_backend(pid) AS signalled, state\nFROM pg_catalog.pg_stat_activity\n\
             WHERE pid = $1 AND backend_start = $2::timestamptz AND datname = $3"
        )
    );
    assert_eq!(
        parameters,
        &[chain.root_pid.to_string(), root["backend_start"].as_str().unwrap().into(), "t017".into()]
    );
    assert_eq!((request.target.tenants.len(), request.target.count), (1, 1));
    assert!(request.hurts.starts_with("odoo@t017 (odoo-worker) with an open transaction of "), "{}", request.hurts);
    assert!(request.hurts.contains("; 3 sessions wait behind it; its query: BEGIN; UPDATE"), "{}", request.hurts);
    let by_pid =
        [("instance", json!("pg-a")), ("pid", root["pid"].clone()), ("backend_start", root["backend_start"].clone())];
    assert_eq!(render(&*terminate, &world, &by_pid).unwrap(), request, "the same, named by the tree's answer");

    let answer = terminate.dry_run(&request, None).await.unwrap();
    assert!(answer.contains("idle in transaction") && answer.starts_with("would signal backend "), "{answer}");
    assert!(chain.exists(chain.root_pid).await, "a dry run does nothing");
    assert!(matches!(terminate.reconcile(&request).await, Reconciled::NoEffect { .. }));
    let no_look = failed(terminate.look(&request).await).message;
    assert!(no_look.contains("can not be used to look"), "{no_look}");
    let (result, summary) = done(execute(&*terminate, &request).await);
    assert_eq!(result, json!({ "signalled": true, "state": "idle in transaction" }));
    assert!(summary.starts_with("told backend "), "{summary}");
    for waiter in chain.waiters {
        waiter.await.unwrap().unwrap();
    }
    assert!(chain.root.simple_query("SELECT 1").await.is_err(), "the root has lost its connection");
    let gone = failed(execute(&*terminate, &request).await).message;
    assert!(gone.starts_with("that session is gone"), "{gone}");
    assert!(terminate.dry_run(&request, None).await.unwrap_err().message.starts_with("that session is gone"));
    assert!(matches!(terminate.reconcile(&request).await, Reconciled::TookEffect { .. }));
}

#[tokio::test]
async fn what_a_person_types_by_hand_does_the_same() {
    let Some(mut chain) = Chain::make("postgres", "").await else { return };
    let world = chain.world().await;
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    let request = render(&*chain.verb("postgres.terminate_backend"), &world, &list).unwrap();
    let typed = std::process::Command::new("sh")
        .args(["-c", &request.by_hand])
        .env("PGPASSWORD", "only-for-this-test")
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&typed.stdout).contains("t         | idle in transaction"), "{typed:?}");
    for waiter in chain.waiters {
        waiter.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn another_session_with_the_same_pid_can_not_be_hit() {
    let Some(mut chain) = Chain::make("postgres", "").await else { return };
    let world = chain.world().await;
    let terminate = chain.verb("postgres.terminate_backend");
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    let request = render(&*terminate, &world, &list).unwrap();
    let with = |index: usize, value: &str| {
        let mut other = request.clone();
        let Operation::Sql { parameters, .. } = &mut other.operation else { panic!() };
        parameters[index] = value.to_owned();
        other
    };
    for other in [with(1, "2020-01-01T00:00:00.000001Z"), with(2, "t003"), with(0, "1")] {
        assert!(failed(execute(&*terminate, &other).await).message.starts_with("that session is gone"));
    }
    let rubbish = failed(execute(&*terminate, &with(0, "0 OR true")).await).message;
    assert!(rubbish.contains("invalid input syntax for type integer"), "{rubbish}");
    let mut elsewhere = request.clone();
    elsewhere.target.identity = "7000000000000000000".into();
    let moved = failed(execute(&*terminate, &elsewhere).await).message;
    assert!(moved.contains("is another server now") && moved.ends_with("nothing was done"), "{moved}");
    let mut unknown = request.clone();
    unknown.target.source = "pg-z".into();
    let unknown = failed(execute(&*terminate, &unknown).await).message;
    assert_eq!(unknown, "there is no PostgreSQL instance pg-z; configured: pg-a");
    assert!(chain.exists(chain.root_pid).await && chain.waiters.iter().all(|w| !w.is_finished()));

    for (list, words) in [
        (vec![("instance", json!("pg-a"))], "give either pid and backend_start, or root_of"),
        (
            vec![("instance", json!("pg-a")), ("pid", json!(chain.root_pid))],
            "give either pid and backend_start, or root_of",
        ),
        (
            vec![("instance", json!("pg-a")), ("root_of", json!("t003"))],
            "nothing in database t003 waits for a lock now",
        ),
        (vec![("root_of", json!("t017"))], "the argument instance is not given"),
        (vec![("instance", json!("pg-z")), ("root_of", json!("t017"))], "no PostgreSQL instance pg-z"),
        (
            vec![
                ("instance", json!("pg-a")),
                ("pid", json!(chain.root_pid)),
                ("backend_start", json!("2020-01-01T00:00:00Z")),
            ],
            "it may have ended",
        ),
        (
            vec![("instance", json!("pg-a")), ("pid", json!("x")), ("backend_start", json!("now"))],
            "argument pid is \"x\"",
        ),
    ] {
        let refused = render(&*terminate, &world, &list).unwrap_err().message;
        assert!(refused.contains(words), "{refused}");
    }
    let args = arguments(&list);
    let later = Timestamp::now() + Duration::from_mins(5);
    let stale = terminate.render(&RenderContext {
        estate: &world.estate,
        world: &world,
        now: later,
        args: &args,
        surveyed: None,
    });
    let stale = stale.unwrap_err().message;
    assert!(stale.starts_with("pg-a is not known now: no sample for "), "{stale}");
}

#[tokio::test]
async fn cancelling_ends_a_query_and_says_when_there_is_none() {
    let Some(mut chain) = Chain::make("postgres", "").await else { return };
    let cancel = chain.verb("postgres.cancel_backend");
    let world = chain.world().await;
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    let idle = render(&*cancel, &world, &list).unwrap();
    assert!(idle.hurts.contains("is not touched: it runs no query that could be cancelled"), "{}", idle.hurts);
    let (result, summary) = done(execute(&*cancel, &idle).await);
    assert_eq!(result["state"], json!("idle in transaction"));
    assert!(summary.ends_with("it had no query to cancel"), "{summary}");
    assert!(chain.waiters.iter().all(|w| !w.is_finished()), "the lock is still held");
    assert!(matches!(cancel.reconcile(&idle).await, Reconciled::NoEffect { .. }));

    // One of those that wait runs a query.
    let world = chain.world().await;
    let Some(Facts::Postgres(facts)) = world.fresh(&"pg-a".into(), Timestamp::now()) else { panic!() };
    let waiter = facts.sessions.iter().find(|s| s.pid == chain.waiter_pids[2]).unwrap();
    let list = [
        ("instance", json!("pg-a")),
        ("pid", json!(waiter.pid)),
        ("backend_start", json!(waiter.backend_start.to_string())),
    ];
    let active = render(&*cancel, &world, &list).unwrap();
    assert!(active.hurts.contains("gets an error for its running query"), "{}", active.hurts);
    assert!(active.hurts.contains("nobody waits behind it"), "{}", active.hurts);
    let (result, _) = done(execute(&*cancel, &active).await);
    assert_eq!(result["state"], json!("active"));
    let error = chain.waiters.pop().unwrap().await.unwrap().unwrap_err();
    assert_eq!(error.code().unwrap().code(), "57014", "{error}");
    assert!(matches!(cancel.reconcile(&active).await, Reconciled::TookEffect { .. }));
    assert!(chain.exists(chain.root_pid).await);
}

#[tokio::test]
async fn a_login_that_may_not_signal_is_told_before_and_at_the_attempt() {
    let Some(mut chain) = Chain::make("act", "GRANT pg_monitor TO act").await else { return };
    let world = chain.world().await;
    let terminate = chain.verb("postgres.terminate_backend");
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    let request = render(&*terminate, &world, &list).unwrap();
    let before = terminate.dry_run(&request, None).await.unwrap_err();
    assert_eq!(before.kind, FailureKind::Permission, "{before}");
    assert!(before.message.contains("GRANT pg_signal_backend TO act"), "{before}");
    let refused = failed(execute(&*terminate, &request).await);
    assert_eq!(refused.kind, FailureKind::Permission, "{refused}");

    chain.server.sql("postgres", "REVOKE pg_monitor FROM act").await;
    let blind = failed(execute(&*terminate, &request).await);
    assert_eq!(blind.kind, FailureKind::Permission, "not `gone`, which it can not know: {blind}");
    assert!(blind.message.ends_with("GRANT pg_monitor TO act"), "{blind}");
    chain.server.sql("postgres", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await;
    let unsure = failed(execute(&*terminate, &request).await);
    assert!(unsure.message.ends_with("GRANT EXECUTE ON FUNCTION pg_control_system() TO act"), "{unsure}");
    assert!(chain.exists(chain.root_pid).await);

    let rights = "GRANT pg_monitor, pg_signal_backend TO act; GRANT EXECUTE ON FUNCTION pg_control_system() TO act";
    chain.server.sql("postgres", rights).await;
    terminate.dry_run(&request, None).await.unwrap();
    done(execute(&*terminate, &request).await);
    for waiter in chain.waiters {
        waiter.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_replica_is_never_acted_on() {
    let Some(mut chain) = Chain::make("postgres", "").await else { return };
    let world = chain.world().await;
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    let request = render(&*chain.verb("postgres.terminate_backend"), &world, &list).unwrap();
    let replica = chain.server.replica().await;
    // The same system identifier stands behind the address now, but it is the replica: as after a failover.
    let instances = Instances::new(Mode::Live.may_act().unwrap(), &[replica.config("postgres")]);
    let there = crate::act::Verbs::new(verbs(Mode::Live.may_act().unwrap(), &Arc::new(instances), &[]));
    let there = there.get("postgres.terminate_backend").unwrap();
    let refused = failed(execute(&**there, &request).await).message;
    assert!(refused.contains("is in recovery, no longer the primary: nothing was done"), "{refused}");
    let mut observer = Postgres::new(Mode::Live.may_observe().unwrap(), &replica.config("postgres"));
    let seen = super::tests::world(&chain.estate, &mut [&mut observer]).await;
    let refused = render(&**there, &seen, &list).unwrap_err().message;
    assert!(refused.contains("is in recovery, a replica"), "{refused}");
}

#[tokio::test]
async fn an_outcome_is_unknown_only_after_the_statement_was_sent() {
    let Some(mut chain) = Chain::make("postgres", "").await else { return };
    let world = chain.world().await;
    let terminate = chain.verb("postgres.terminate_backend");
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    let request = render(&*terminate, &world, &list).unwrap();
    let with = |statement: &str| {
        let operation = Operation::Sql { database: "postgres".into(), statement: statement.into(), parameters: vec![] };
        Request { operation, ..request.clone() }
    };
    let cut = with("SELECT pg_terminate_backend(pg_backend_pid()), pg_sleep(10)");
    let Outcome::Unknown { why } = execute(&*terminate, &cut).await else { panic!() };
    assert_eq!(why.kind, FailureKind::Unreachable, "{why}");

    let slow = permit(&with("SELECT pg_sleep(30)"), Duration::from_secs(3));
    let ended = failed(terminate.execute(slow).await);
    assert_eq!(ended.kind, FailureKind::Timeout, "the server itself ended it, nothing is left: {ended}");

    let wrong = failed(execute(&*terminate, &with("SELECT no_such_function()")).await);
    assert_eq!(wrong.kind, FailureKind::Protocol, "{wrong}");
    let unfit = failed(execute(&*terminate, &with("SELECT $1::int")).await);
    assert!(unfit.message.ends_with("the statement has 1 parameters, 0 are given"), "{unfit}");

    // Frozen while it runs: nobody knows.
    let running = with("SELECT pg_sleep(30) /* frozen */");
    let verb = Arc::clone(&terminate);
    let execution = tokio::spawn(async move { verb.execute(permit(&running, Duration::from_secs(8))).await });
    let query = "FROM pg_stat_activity WHERE query LIKE '%/* frozen */' AND wait_event = 'PgSleep'";
    chain.server.until("postgres", &format!("SELECT count(*) = 1 {query}")).await;
    let backend: i32 =
        chain.server.connect("postgres").await.query_one_scalar(&format!("SELECT pid {query}"), &[]).await.unwrap();
    send(backend, Signal::STOP);
    let Outcome::Unknown { why } = execution.await.unwrap() else { panic!() };
    assert!(why.kind == FailureKind::Timeout && why.message.ends_with("it may have taken effect"), "{why}");
    send(backend, Signal::CONT);

    // Frozen before: it never had the statement.
    chain.server.freeze();
    let asked = Instant::now();
    let late = failed(terminate.execute(permit(&request, Duration::from_millis(300))).await);
    assert!(late.message.ends_with("nothing was sent") && asked.elapsed() < Duration::from_secs(5), "{late}");
    assert!(matches!(terminate.reconcile(&request).await, Reconciled::Undecided { .. }));
    chain.server.thaw();
    assert!(chain.exists(chain.root_pid).await);
}

#[test]
fn without_a_login_that_acts_nothing_is_rendered() {
    let config = model::Postgres {
        id: "pg-a".into(),
        host: "127.0.0.1".into(),
        port: 1,
        database: "postgres".into(),
        observe: model::Login { user: "quarterdeck_observe".into(), password: None },
        act: None,
        tls: model::Tls::Disable,
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(1),
        tenant_pace: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
    };
    let instances = Instances::new(Mode::Live.may_act().unwrap(), &[config]);
    let error = instances.get(&"pg-a".into()).unwrap().actor().unwrap_err().message;
    assert_eq!(error, "pg-a has no `act` login in the configuration: no verb may change it");
    let observed = World::new(Arc::new(estate(&["t017"])), [], Timestamp::now());
    let built = crate::act::Verbs::new(verbs(Mode::Live.may_act().unwrap(), &Arc::new(instances), &[]));
    let list = [("instance", json!("pg-a")), ("root_of", json!("t017"))];
    assert!(render(&**built.get("postgres.terminate_backend").unwrap(), &observed, &list).is_err());
    render(&**built.get("postgres.blocking_tree").unwrap(), &observed, &list[..1]).unwrap();
}

#[tokio::test]
async fn the_labs_roles_may_end_a_session_of_odoo() {
    let names = ["LAB_PG_OBSERVE_DSN", "LAB_PG_ACT_DSN", "LAB_PG_ODOO_DSN"];
    let [Some(observe), Some(act), Some(odoo)] = names.map(lab) else { return };
    let (observe_dir, act_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut config = from_dsn(&observe, &observe_dir);
    config.act = Some(from_dsn(&act, &act_dir).observe);
    // An advisory lock of a number of this test's own: nobody else of the shared lab is held up by it.
    let key = std::process::id();
    let connect = async || {
        let (client, connection) = tokio_postgres::connect(&odoo, tokio_postgres::NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let (root, waiter) = (connect().await, connect().await);
    let (root_pid, waiter_pid) = (pid(&root).await, pid(&waiter).await);
    let lock = format!("BEGIN; SELECT pg_advisory_xact_lock(471100000000 + {key})");
    root.batch_execute(&lock).await.unwrap();
    let waiting = tokio::spawn(async move { waiter.batch_execute(&lock).await });
    let mut observer = Postgres::new(Mode::Live.may_observe().unwrap(), &config);
    let estate = Arc::new(estate(&["t003", "t017", "t090"]));
    let deadline = Instant::now() + Duration::from_mins(1);
    let (world, start) = loop {
        let world = world(&estate, &mut [&mut observer]).await;
        let Some(Facts::Postgres(facts)) = world.fresh(&"pg-a".into(), Timestamp::now()) else { panic!() };
        let session = |pid| facts.sessions.iter().find(|s| s.pid == pid);
        if let (Some(root), Some(_)) = (session(root_pid), session(waiter_pid)) {
            let start = root.backend_start.to_string();
            break (world, start);
        }
        assert!(Instant::now() < deadline, "the chain is not seen");
    };
    let instances = Instances::new(Mode::Live.may_act().unwrap(), &[config]);
    let verbs = crate::act::Verbs::new(verbs(Mode::Live.may_act().unwrap(), &Arc::new(instances), &[]));
    let terminate = verbs.get("postgres.terminate_backend").unwrap();
    let list = [("instance", json!("pg-a")), ("pid", json!(root_pid)), ("backend_start", json!(start))];
    let request = render(&**terminate, &world, &list).unwrap();
    assert_eq!(request.target.tenants, ["t017".into()]);
    terminate.dry_run(&request, None).await.unwrap();
    done(execute(&**terminate, &request).await);
    waiting.await.unwrap().unwrap();
}
