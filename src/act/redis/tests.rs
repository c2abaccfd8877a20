//! The verbs before a real Redis of the test's own, with the rights that they declare and no others; a failover before
//! real sentinels.

use super::*;
use crate::act::Verbs;
use crate::act::postgres::tests::{done, execute, failed, permit, prepare, world};
use crate::config::model::{Login, SecretRef};
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::world::World;
use crate::observe::http::rig::{Server as Process, ports, program, skip, until};
use crate::observe::postgres::testbed::estate;
use crate::observe::redis::RedisObserver;
use ::redis::AsyncCommands as _;
use rustix::process::Signal;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const LIMIT: Duration = Duration::from_secs(20);

/// A server, its verbs and one look at it. `act` logs in as `act` with the rules of the ACL given.
pub(super) struct Rig {
    pub(super) process: Process,
    pub(super) config: Config,
    url: String,
    verbs: Verbs,
    world: World,
    dir: tempfile::TempDir,
}

fn secret(dir: &Path, name: &str, value: &str) -> SecretRef {
    let path = dir.join(name);
    std::fs::write(&path, value).unwrap();
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    SecretRef::File(path)
}

fn config(dir: &Path, url: &str, purpose: &str) -> Config {
    let login = |user: &str, password: &str| Login { user: user.into(), password: Some(secret(dir, user, password)) };
    Config {
        id: "redis-q".into(),
        url: url.to_owned(),
        observe: Some(login("default", "admin")),
        act: Some(login("act", "pw")),
        purpose: purpose.into(),
        sentinels: Vec::new(),
        sentinel_name: None,
        keys: Vec::new(),
        ca: crate::config::model::Ca::default(),
        workload: None,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
    }
}

async fn connection(url: &str) -> ::redis::RedisResult<MultiplexedConnection> {
    let client = ::redis::Client::open(url.replace("//", "//:admin@")).unwrap();
    client.get_multiplexed_async_connection().await
}

async fn start(dir: &Path, name: &str, port: u16, more: &[&str]) -> Process {
    let mut command = Command::new(program("redis-server").unwrap());
    command.current_dir(dir).args(["--bind", "127.0.0.1", "--port", &port.to_string()]);
    command.args(["--dbfilename", &format!("{name}.rdb")]).args(more);
    let process = Process::start(&mut command, &dir.join(format!("{name}.log")));
    until("redis-server listens", LIMIT, async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()).await;
    process
}

const OPTIONS: [&str; 8] =
    ["--requirepass", "admin", "--save", "", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];

impl Rig {
    /// Ends the server and starts it again, as a kubelet does.
    pub(super) async fn restart(&mut self) {
        let port = self.port();
        self.process.signal(Signal::KILL);
        until("redis-server ends", LIMIT, async || self.process.ended().then_some(())).await;
        self.process = start(self.dir.path(), "primary", port, &OPTIONS).await;
    }

    pub(super) async fn start(test: &str, purpose: &str, acl: &str) -> Option<Self> {
        if program("redis-server").is_none() {
            skip(test, "there is no redis-server on the PATH");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let [port] = ports();
        let process = start(dir.path(), "primary", port, &OPTIONS).await;
        let url = format!("redis://127.0.0.1:{port}/0");
        let mut admin = connection(&url).await.unwrap();
        let mut rules = ::redis::cmd("ACL");
        rules.arg(&["SETUSER", "act", "on", ">pw", "resetkeys", "-@all"]);
        for rule in acl.split_whitespace() {
            rules.arg(rule);
        }
        rules.query_async::<()>(&mut admin).await.unwrap();
        let config = config(dir.path(), &url, purpose);
        let verbs = Verbs::new(verbs(Mode::Live.may_act().unwrap(), std::slice::from_ref(&config), &[]));
        let password = password_of(config.observe.as_ref());
        let mut observer = crate::observe::poll::Polling(RedisObserver::new(
            Mode::Live.may_observe().unwrap(),
            config.clone(),
            password,
        ));
        let world = world(&Arc::new(estate(&["t017"])), &mut [&mut observer.0]).await;
        Some(Self { process, config, url, verbs, world, dir })
    }

    fn verb(&self, name: &str) -> &DynVerb {
        &**self.verbs.get(name).unwrap()
    }

    /// Its port.
    pub(super) fn port(&self) -> u16 {
        self.url.rsplit([':', '/']).nth(1).unwrap().parse().unwrap()
    }

    /// The verbs over another port, and the world as it was seen.
    pub(super) fn through(&self, port: u16) -> (Verbs, &World) {
        let url = self.url.replace(&self.port().to_string(), &port.to_string());
        let all = super::verbs(Mode::Live.may_act().unwrap(), &[Config { url, ..self.config.clone() }], &[]);
        (Verbs::new(all), &self.world)
    }

    pub(super) async fn admin(&self) -> MultiplexedConnection {
        connection(&self.url).await.unwrap()
    }
}

pub(super) fn of(more: &[(&'static str, Value)]) -> Vec<(&'static str, Value)> {
    [("redis", json!("redis-q"))].into_iter().chain(more.iter().cloned()).collect()
}

fn took(found: &Reconciled) -> bool {
    matches!(found, Reconciled::TookEffect { .. })
}

fn nothing(found: &Reconciled) -> bool {
    matches!(found, Reconciled::NoEffect { .. })
}

/// What one verb needs.
fn rules(verb: &str) -> String {
    crate::act::grants::rules(|named| named == verb)
}

#[tokio::test]
async fn memory_is_shown_limited_purged_and_saved() {
    let verbs = ["redis.info", "redis.bgsave", "redis.memory_purge", "redis.set_maxmemory"];
    let acl = crate::act::grants::rules(|verb| verbs.contains(&verb));
    let Some(rig) = Rig::start("memory_is_shown", "cache", &acl).await else { return };
    let info = rig.verb("redis.info");
    let (result, summary) = done(info.look(&prepare(info, &rig.world, &of(&[])).await.unwrap()).await);
    assert_eq!(result["maxmemory"], json!(64 << 20));
    assert!(summary.starts_with("master, ") && summary.contains("of 64 MiB used (allkeys-lru)"), "{summary}");

    let limit = rig.verb("redis.set_maxmemory");
    let request = prepare(limit, &rig.world, &of(&[("bytes", json!("128mb"))])).await.unwrap();
    assert_eq!(request.operation.lines(), ["# database 0", "CONFIG SET maxmemory 134217728"]);
    assert!(request.undo.starts_with("the same with bytes = 67108864"), "{}", request.undo);
    assert_eq!(limit.dry_run(&request, None).await.unwrap(), "would set 128 MiB in place of 64 MiB");
    assert!(nothing(&limit.reconcile(&request).await));
    assert_eq!(done(execute(limit, &request).await).0, json!({ "maxmemory": 128 << 20, "before": 64 << 20 }));
    assert!(took(&limit.reconcile(&request).await));
    let again = failed(execute(limit, &request).await).message;
    assert!(again.contains("is 134217728 by now, 67108864 was shown"), "{again}");
    let small = prepare(limit, &rig.world, &of(&[("bytes", json!(1000))])).await.unwrap();
    assert!(small.hurts.starts_with("keys are dropped at once by allkeys-lru"), "{}", small.hurts);
    for bad in [json!("0"), json!("lots"), json!(-5)] {
        assert!(prepare(limit, &rig.world, &of(&[("bytes", bad)])).await.is_err());
    }

    let purge = rig.verb("redis.memory_purge");
    let request = prepare(purge, &rig.world, &of(&[])).await.unwrap();
    assert!(purge.dry_run(&request, None).await.unwrap().starts_with("would give back"));
    assert_eq!(done(execute(purge, &request).await).0["purged"], json!(true));

    let save = rig.verb("redis.bgsave");
    let request = prepare(save, &rig.world, &of(&[])).await.unwrap();
    let last: i64 = ::redis::cmd("LASTSAVE").query_async(&mut rig.admin().await).await.unwrap();
    until("a second has gone by", LIMIT, async || (jiff::Timestamp::now().as_second() > last).then_some(())).await;
    done(execute(save, &request).await);
    until("the save is seen", LIMIT, async || took(&save.reconcile(&request).await).then_some(())).await;
    let poor = rig.verb("redis.flush_db");
    let refused = prepare(poor, &rig.world, &of(&[("purpose", json!("cache"))])).await.unwrap_err().message;
    assert!(refused.contains("may not run DBSIZE"), "{refused}");
}

#[tokio::test]
async fn keys_of_a_pattern_go_as_counted_and_no_others() {
    let Some(rig) =
        Rig::start("keys_of_a_pattern", "session", &format!("~session:* {}", rules("redis.delete_matching"))).await
    else {
        return;
    };
    let mut admin = rig.admin().await;
    for n in 0..2500 {
        admin.set::<_, _, ()>(format!("session:{n}"), 1).await.unwrap();
    }
    admin.set::<_, _, ()>(b"session:\xff\x00", 1).await.unwrap();
    admin.set::<_, _, ()>("other", 1).await.unwrap();
    let verb = rig.verb("redis.delete_matching");
    let args = of(&[("pattern", json!("session:*"))]);
    let request = prepare(verb, &rig.world, &args).await.unwrap();
    assert_eq!((request.target.count, request.server_checks[0].as_str()), (2501, "never more than 2501 keys"));
    assert!(request.hurts.contains("of a Redis for session"), "{}", request.hurts);
    let would = verb.dry_run(&request, None).await.unwrap();
    assert!(would.starts_with("would delete 2501 of 2501 keys, such as session:"), "{would}");
    assert!(nothing(&verb.reconcile(&request).await));
    // More have come since: never more than shown.
    for n in 0..100 {
        admin.set::<_, _, ()>(format!("session:new{n}"), 1).await.unwrap();
    }
    assert_eq!(done(execute(verb, &request).await).0, json!({ "deleted": 2501, "left": 100 }));
    assert!(matches!(verb.reconcile(&request).await, Reconciled::Undecided { .. }));
    let rest = prepare(verb, &rig.world, &args).await.unwrap();
    assert_eq!(done(execute(verb, &rest).await).0["left"], json!(0));
    assert!(took(&verb.reconcile(&rest).await));
    assert_eq!(admin.dbsize::<u64>().await.unwrap(), 1);
    assert!(prepare(verb, &rig.world, &args).await.unwrap_err().message.contains("no key of redis-q matches"));
    for all in ["*", "***", ""] {
        assert!(prepare(verb, &rig.world, &of(&[("pattern", json!(all))])).await.is_err(), "{all}");
    }
    // A pattern beyond what the login may touch.
    let other = prepare(verb, &rig.world, &of(&[("pattern", json!("other*"))])).await.unwrap();
    let refused = failed(execute(verb, &other).await);
    assert_eq!((refused.kind, admin.dbsize::<u64>().await.unwrap()), (FailureKind::Permission, 1), "{refused}");
    assert!(refused.message.contains("ACL SETUSER act ~<pattern>"), "{refused}");
}

trait Size {
    async fn dbsize<T: ::redis::FromRedisValue>(&mut self) -> ::redis::RedisResult<T>;
}

impl Size for MultiplexedConnection {
    async fn dbsize<T: ::redis::FromRedisValue>(&mut self) -> ::redis::RedisResult<T> {
        ::redis::cmd("DBSIZE").query_async(self).await
    }
}

#[tokio::test]
async fn a_flush_says_what_for_and_hits_no_other_server() {
    let Some(rig) = Rig::start("a_flush", "session", &rules("redis.flush_db")).await else { return };
    let mut admin = rig.admin().await;
    for n in 0..50 {
        admin.set::<_, _, ()>(n, 1).await.unwrap();
    }
    let verb = rig.verb("redis.flush_db");
    let wrong = prepare(verb, &rig.world, &of(&[("purpose", json!("cache"))])).await.unwrap_err().message;
    assert_eq!(wrong, "redis-q is a session, and the step says cache: nothing is flushed");
    let request = prepare(verb, &rig.world, &of(&[("purpose", json!("session"))])).await.unwrap();
    assert!(request.hurts.contains("logged out") && request.target.count == 50, "{request:?}");
    assert!(nothing(&verb.reconcile(&request).await));

    let mut elsewhere = request.clone();
    elsewhere.target.identity = "0".repeat(40);
    let moved = failed(execute(verb, &elsewhere).await).message;
    assert!(moved.contains("is another server now, or was restarted"), "{moved}");

    rig.process.signal(Signal::STOP);
    let frozen = verb.execute(permit(&request, Duration::from_millis(600))).await;
    assert!(matches!(&frozen, Outcome::Failed { why } if why.kind == FailureKind::Timeout), "{frozen:?}");
    rig.process.signal(Signal::CONT);
    assert_eq!(admin.dbsize::<u64>().await.unwrap(), 50);

    // The command waits in the server's queue until the time is over: open, and looking tells.
    ::redis::cmd("CLIENT").arg(&["PAUSE", "1500", "WRITE"]).query_async::<()>(&mut admin).await.unwrap();
    let lost = verb.execute(permit(&request, Duration::from_millis(600))).await;
    assert!(matches!(&lost, Outcome::Unknown { .. }), "{lost:?}");
    // Redis drops what a client that has gone had in the queue: looking must tell what is.
    let found = verb.reconcile(&request).await;
    let keys = admin.dbsize::<u64>().await.unwrap();
    assert_eq!((nothing(&found), took(&found)), (keys == 50, keys == 0), "{found:?}, {keys} keys");
    done(execute(verb, &request).await);
    assert!(took(&verb.reconcile(&request).await));
    drop(rig.process);
    let gone = verb_of(&rig.verbs, &request).await;
    assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
}

async fn verb_of(verbs: &Verbs, request: &Request) -> Failure {
    failed(execute(&**verbs.get(&request.verb).unwrap(), request).await)
}

#[tokio::test]
async fn a_backlog_is_put_aside_and_nothing_is_lost() {
    let acl = "~jobs* +info +type +exists +llen +xlen +renamenx +copy +xtrim +watch +unwatch +multi +exec";
    let Some(rig) = Rig::start("a_backlog", "queue", acl).await else { return };
    let mut admin = rig.admin().await;
    admin.rpush::<_, _, ()>("jobs", &["a", "b", "c"]).await.unwrap();
    let list = rig.verb("redis.drain_list");
    let request = prepare(list, &rig.world, &of(&[("key", json!("jobs"))])).await.unwrap();
    assert_eq!(request.operation.lines()[1], "RENAMENX jobs jobs:drained");
    assert_eq!(list.dry_run(&request, None).await.unwrap(), "would put 3 entries of jobs aside as jobs:drained");
    assert!(nothing(&list.reconcile(&request).await));
    assert_eq!(done(execute(list, &request).await).0, json!({ "kept": 3, "keep_as": "jobs:drained" }));
    assert!(took(&list.reconcile(&request).await));
    admin.rpush::<_, _, ()>("jobs", "d").await.unwrap();
    assert!(failed(execute(list, &request).await).message.contains("already: nothing was done"));
    assert_eq!(
        (admin.llen::<_, u64>("jobs").await.unwrap(), admin.llen::<_, u64>("jobs:drained").await.unwrap()),
        (1, 3)
    );

    for n in 0..4 {
        admin.xadd::<_, _, _, _, ()>("jobs:s", "*", &[("n", n)]).await.unwrap();
    }
    admin.xgroup_create::<_, _, _, ()>("jobs:s", "workers", "0").await.unwrap();
    let stream = rig.verb("redis.drain_stream");
    let request = prepare(stream, &rig.world, &of(&[("key", json!("jobs:s"))])).await.unwrap();
    assert_eq!(done(execute(stream, &request).await).0["kept"], json!(4));
    assert_eq!(admin.xlen::<_, u64>("jobs:s").await.unwrap(), 0);
    let groups: Vec<Value> = admin
        .xinfo_groups::<_, ::redis::streams::StreamInfoGroupsReply>("jobs:s")
        .await
        .unwrap()
        .groups
        .iter()
        .map(|g| json!(g.name))
        .collect();
    assert_eq!(groups, [json!("workers")], "consumers find their group");
    admin.xadd::<_, _, _, _, ()>("jobs:s", "*", &[("n", 9)]).await.unwrap();
    assert!(failed(execute(stream, &request).await).message.contains("already: nothing was done"));
    assert_eq!(admin.xlen::<_, u64>("jobs:s").await.unwrap(), 1, "a stream whose copy is taken is not emptied");

    let says = async |name: &str, key: &str| {
        prepare(rig.verb(name), &rig.world, &of(&[("key", json!(key))])).await.unwrap_err().message
    };
    assert_eq!(says("redis.drain_list", "jobs:s").await, "jobs:s of redis-q is no list, it is of type stream");
    assert_eq!(says("redis.drain_list", "jobs:none").await, "redis-q has no key jobs:none");
}

/// A primary, a replica and a sentinel over both.
pub(super) struct Watched {
    pub(super) first: u16,
    second: u16,
    pub(super) sentinel_port: u16,
    primary: Process,
    _replica: Process,
    sentinel: Process,
    pub(super) config: Config,
    dir: tempfile::TempDir,
}

impl Watched {
    pub(super) async fn start(test: &str) -> Option<Self> {
        if program("redis-server").is_none() {
            skip(test, "there is no redis-server on the PATH");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let [first, second, s1] = ports();
        let auth = ["--requirepass", "admin", "--masterauth", "admin", "--save", "", "--repl-diskless-sync-delay", "0"];
        let primary = start(dir.path(), "primary", first, &auth).await;
        let follows: Vec<&str> = auth.into_iter().chain(["--replicaof"]).collect();
        let to = format!("127.0.0.1 {first}");
        let more: Vec<&str> = follows.into_iter().chain([to.as_str()]).collect();
        let replica = start(dir.path(), "replica", second, &more).await;
        let conf = format!(
            "port {s1}\nbind 127.0.0.1\ndir {}\nsentinel monitor lab 127.0.0.1 {first} 1\nsentinel auth-pass lab admin\n\
             sentinel down-after-milliseconds lab 2000\nsentinel failover-timeout lab 5000\n",
            dir.path().display()
        );
        let path = dir.path().join("sentinel.conf");
        std::fs::write(&path, conf).unwrap();
        let mut command = Command::new(program("redis-server").unwrap());
        let sentinel = Process::start(command.arg(&path).arg("--sentinel"), &dir.path().join("sentinel.log"));
        let url = format!("redis://127.0.0.1:{first}/0");
        let config = Config {
            sentinels: vec![format!("127.0.0.1:{s1}")],
            sentinel_name: Some("lab".into()),
            keys: Vec::new(),
            ..config(dir.path(), &url, "queue")
        };
        Some(Self { first, second, sentinel_port: s1, primary, _replica: replica, sentinel, config, dir })
    }

    /// Whether the sentinel has heard of its replica what it has to know before it chooses it.
    pub(super) async fn can_choose(&self) -> bool {
        let url = format!("redis://127.0.0.1:{}/", self.sentinel_port);
        let client = ::redis::Client::open(url).unwrap();
        let Ok(mut asked) = client.get_multiplexed_async_connection().await else { return false };
        let said: Vec<std::collections::BTreeMap<String, String>> =
            ::redis::cmd("SENTINEL").arg(&["REPLICAS", "lab"]).query_async(&mut asked).await.unwrap();
        said.iter().any(|replica| replica.get("master-link-status").is_some_and(|status| status == "ok"))
    }

    /// How often the sentinel began a failover, by its log.
    pub(super) fn begun(&self) -> i64 {
        let log = std::fs::read_to_string(self.dir.path().join("sentinel.log")).unwrap();
        i64::try_from(log.matches("+try-failover").count()).unwrap()
    }
}

#[tokio::test]
async fn sentinels_replace_the_primary_that_was_shown() {
    let Some(Watched { first, second, primary, sentinel, config, _replica, dir: _dir, .. }) =
        Watched::start("sentinels_replace").await
    else {
        return;
    };
    let verbs = Verbs::new(verbs(Mode::Live.may_act().unwrap(), std::slice::from_ref(&config), &[]));
    let verb = &**verbs.get("redis.failover").unwrap();
    let mut admin = connection(&config.url).await.unwrap();
    let all = ["SETUSER", "act", "on", ">pw", "~*", "+@all"];
    ::redis::cmd("ACL").arg(&all).query_async::<()>(&mut admin).await.unwrap();
    admin.set::<_, _, ()>("cart", "eleven bearings").await.unwrap();
    let password = password_of(config.observe.as_ref());
    let observer = RedisObserver::new(Mode::Live.may_observe().unwrap(), config.clone(), password);
    let mut observer = crate::observe::poll::Polling(observer);
    let world = world(&Arc::new(estate(&["t017"])), &mut [&mut observer.0]).await;
    let flush = &**verbs.get("redis.flush_db").unwrap();
    let emptied = prepare(flush, &world, &of(&[("purpose", json!("queue"))])).await.unwrap();
    let look = &**verbs.get("redis.info").unwrap();
    let looked = prepare(look, &world, &of(&[])).await.unwrap();
    let info = async || done(look.look(&looked).await).0;
    let request =
        until("the sentinel knows the replica", LIMIT, async || prepare(verb, &world, &of(&[])).await.ok()).await;
    assert_eq!(request.target.object, format!("primary of lab, now 127.0.0.1:{first}"));
    assert_eq!(request.operation.lines()[1], "SENTINEL FAILOVER lab");
    assert!(nothing(&verb.reconcile(&request).await));
    until("the sentinel knows the primary", LIMIT, async || (info().await["is_primary"] == true).then_some(())).await;
    assert!(flush.dry_run(&emptied, None).await.is_ok());
    // The replica has to have answered INFO before the sentinel can choose it.
    until("the failover begins", LIMIT, async || match execute(verb, &request).await {
        Outcome::Done { .. } => Some(()),
        _ => None,
    })
    .await;
    until("the other is the primary", LIMIT, async || match verb.reconcile(&request).await {
        Reconciled::TookEffect { seen } if seen.starts_with("the primary is 127") => Some(()),
        _ => None,
    })
    .await;
    let again = failed(execute(verb, &request).await).message;
    assert!(again.contains(&format!("is 127.0.0.1:{second} by now")), "{again}");
    // The old one may still say that it is the primary; what is done there is lost.
    assert_eq!(info().await["is_primary"], false);
    let old = failed(execute(flush, &emptied).await).message;
    assert!(old.contains("the sentinels name another server"), "{old}");
    let mut admin = connection(&config.url).await.unwrap();
    assert_eq!(admin.get::<_, String>("cart").await.unwrap(), "eleven bearings");
    drop(primary);
    drop(sentinel);
    let gone = failed(execute(verb, &request).await);
    assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
}
