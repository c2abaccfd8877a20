//! A real Patroni with two members and an etcd of the test's own: paused, switched over, made anew, and gone.

use super::*;
use crate::act::cut::{At, Says, Wire, off, says};
use crate::act::postgres::tests::{failed, permit, prepare};
use crate::config::model::{Login, SecretRef};
use crate::domain::mode::Mode;
use crate::domain::world::World;
use crate::observe::http::rig::{Server, ports, program, skip, until};
use crate::observe::postgres::testbed::{estate, unprivileged};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const LIMIT: Duration = Duration::from_mins(1);

/// The etcd that the lab built for Kubernetes.
fn etcd() -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab/cache");
    let cache = std::env::var_os("QUARTERDECK_LAB_CACHE").map(PathBuf::from);
    let versions =
        cache.into_iter().chain([own]).filter_map(|c| std::fs::read_dir(c.join("kubernetes")).ok()).flatten();
    versions.filter_map(|v| Some(v.ok()?.path().join("etcd"))).find(|p| p.is_file()).or_else(|| program("etcd"))
}

fn postgres() -> Option<PathBuf> {
    let all = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    all.filter_map(|v| Some(v.ok()?.path().join("bin"))).filter(|p| p.join("initdb").exists()).max()
}

/// Two members; they end before the etcd, and their servers with them.
struct Rig {
    members: Vec<Server>,
    _etcd: Server,
    verbs: crate::act::Verbs,
    world: World,
    config: Config,
    dir: tempfile::TempDir,
}

impl Drop for Rig {
    fn drop(&mut self) {
        for member in &self.members {
            member.signal(rustix::process::Signal::TERM);
        }
        let from = std::time::Instant::now();
        while self.members.iter_mut().any(|m| !m.ended()) && from.elapsed() < LIMIT {
            std::thread::yield_now();
        }
    }
}

impl Rig {
    async fn start(test: &str) -> Option<Self> {
        let (Some(etcd), Some(bin), Some(patroni)) = (etcd(), postgres(), program("patroni")) else {
            skip(test, "it needs patroni, the lab's etcd (tests/lab/lab install kubernetes) and PostgreSQL");
            return None;
        };
        let dir = tempfile::Builder::new().prefix("qp").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let [store, peer, rest1, rest2, data1, data2] = ports();
        let http = |port: u16| format!("http://127.0.0.1:{port}");
        let mut command = Command::new(etcd);
        command.arg("--data-dir").arg(dir.path().join("etcd")).arg("--unsafe-no-fsync");
        command.args(["--listen-client-urls", &http(store), "--advertise-client-urls", &http(store)]);
        command.args(["--listen-peer-urls", &http(peer), "--initial-advertise-peer-urls", &http(peer)]);
        command.args(["--initial-cluster", &format!("default={}", http(peer))]);
        let etcd = Server::start(&mut command, &dir.path().join("etcd.log"));
        let mut members = Vec::new();
        for (name, rest, data) in [("m1", rest1, data1), ("m2", rest2, data2)] {
            let home = dir.path().join(name);
            std::fs::create_dir(&home).unwrap();
            let yaml = format!(
                "scope: lab\nname: {name}\nrestapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}', \
                 authentication: {{username: q, password: pw}}}}\netcd3: {{hosts: ['127.0.0.1:{store}']}}\n\
                 bootstrap:\n  dcs: {{ttl: 20, loop_wait: 1, retry_timeout: 3}}\n  initdb: [{{encoding: UTF8}}, no-sync]\n  \
                 pg_hba: [host all all 127.0.0.1/32 md5, host replication all 127.0.0.1/32 md5]\npostgresql:\n  \
                 listen: 127.0.0.1:{data}\n  connect_address: 127.0.0.1:{data}\n  data_dir: {home}/data\n  bin_dir: {bin}\n  \
                 pgpass: {home}/pgpass\n  authentication: {{superuser: {{username: postgres, password: x}}, \
                 replication: {{username: repl, password: x}}}}\n  \
                 parameters: {{unix_socket_directories: {home}, fsync: 'off'}}\n",
                home = home.display(),
                bin = bin.display(),
            );
            let file = dir.path().join(format!("{name}.yml"));
            std::fs::write(&file, yaml).unwrap();
            let mut command = Command::new(&patroni);
            if let Some((user, group)) = unprivileged() {
                std::os::unix::fs::chown(&home, Some(user), Some(group)).unwrap();
                command.uid(user).gid(group);
            }
            let log = dir.path().join(format!("{name}.log"));
            members.push(Server::start(command.arg(&file).current_dir("/"), &log));
        }
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "pw").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        let act = Some(Login { user: "q".into(), password: Some(SecretRef::File(secret)) });
        let config = Config { id: "patroni-a".into(), url: http(rest1), act, ca: crate::config::model::Ca::default() };
        let verbs = verbs_of(&config);
        let world = World::new(Arc::new(estate(&["t017"])), [], jiff::Timestamp::now());
        let rig = Self { members, _etcd: etcd, verbs, world, config, dir };
        until("both members run", LIMIT, async || (rig.states().await == 2).then_some(())).await;
        Some(rig)
    }

    /// Asks another member from here on.
    fn through(&mut self, member: &Member) {
        self.config.url = member.api.trim_end_matches("/patroni").to_owned();
        self.verbs = verbs_of(&self.config);
    }

    /// Over a wire on which the request that contains these words can be cut.
    fn wired(&mut self, words: &'static str) -> Wire {
        let port = self.config.url.rsplit(':').next().unwrap().parse().unwrap();
        let wire = Wire::to(port, says(words));
        self.config.url = format!("http://127.0.0.1:{}", wire.port());
        self.verbs = crate::act::Verbs::new(settling(std::slice::from_ref(&self.config), Duration::from_secs(1)));
        wire
    }

    /// How often a member has said that.
    fn said(&self, name: &str, words: &str) -> usize {
        std::fs::read_to_string(self.dir.path().join(format!("{name}.log"))).unwrap().matches(words).count()
    }

    /// Ends a member and its server as a machine does that loses its power.
    fn kill(&self, name: &str) {
        self.members[usize::from(name == "m2")].signal(rustix::process::Signal::KILL);
        self.end_server(name);
    }

    /// Ends the server of a member, at once.
    fn end_server(&self, name: &str) {
        use rustix::process::{Pid, Signal, kill_process};
        let file = self.dir.path().join(name).join("data/postmaster.pid");
        let pid = std::fs::read_to_string(file).unwrap().lines().next().unwrap().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    }

    /// How many members run, when one leads.
    async fn states(&self) -> usize {
        let Ok(now) = cluster(&self.config).await else { return 0 };
        let running = |m: &Member| matches!(m.state.as_str(), "running" | "streaming");
        if leader(&now).is_some() { members(&now).iter().filter(|m| running(m)).count() } else { 0 }
    }

    fn verb(&self, name: &str) -> &DynVerb {
        &**self.verbs.get(name).unwrap()
    }

    async fn prepare(&self, name: &str, more: &[(&'static str, Value)]) -> Result<Request, VerbError> {
        let all: Vec<_> = [("patroni", json!("patroni-a"))].into_iter().chain(more.iter().cloned()).collect();
        prepare(self.verb(name), &self.world, &all).await
    }

    async fn execute(&self, request: &Request) -> Outcome {
        self.verb(&request.verb).execute(permit(request, LIMIT)).await
    }
}

fn verbs_of(config: &Config) -> crate::act::Verbs {
    crate::act::Verbs::new(verbs(Mode::Live.may_act().unwrap(), std::slice::from_ref(config)))
}

fn took(found: &Reconciled) -> bool {
    matches!(found, Reconciled::TookEffect { .. })
}

#[tokio::test]
async fn a_cluster_is_paused_switched_over_and_a_replica_made_anew() {
    let Some(rig) = Rig::start("a_cluster_is_paused").await else { return };
    let first = leader(&cluster(&rig.config).await.unwrap()).unwrap();
    let second = if first == "m1" { "m2" } else { "m1" };
    let mut observer = crate::observe::patroni::PatroniObserver::new(Mode::Live.may_observe().unwrap(), &rig.config);
    let mut seen = async || {
        let answer = crate::observe::poll::Poll::poll(&mut observer).await;
        let Ok(crate::domain::facts::Facts::Measured(facts)) = answer else { panic!("{answer:?}") };
        ["keep.leader", "keep.ready", "keep.paused"]
            .map(|signal| facts.readings.iter().find(|r| r.signal == signal).map(|r| r.value))
    };
    assert_eq!(seen().await, [Some(1.0), Some(1.0), Some(0.0)]);
    let pause = rig.prepare("patroni.pause", &[]).await.unwrap();
    assert!(matches!(rig.execute(&pause).await, Outcome::Done { .. }));
    until("it is paused", LIMIT, async || took(&rig.verb("patroni.pause").reconcile(&pause).await).then_some(())).await;
    assert_eq!(seen().await[2], Some(1.0));
    assert!(rig.prepare("patroni.pause", &[]).await.unwrap_err().message.ends_with("is paused already"));
    let resume = rig.prepare("patroni.pause", &[("paused", json!(false))]).await.unwrap();
    assert!(matches!(rig.execute(&resume).await, Outcome::Done { .. }));
    until("it goes on", LIMIT, async || took(&rig.verb("patroni.pause").reconcile(&resume).await).then_some(())).await;

    let healthy = rig.prepare("patroni.failover", &[("candidate", json!(second))]).await.unwrap_err().message;
    assert!(healthy.contains("use patroni.switchover"), "{healthy}");
    let same = rig.prepare("patroni.switchover", &[("candidate", json!(first))]).await.unwrap_err().message;
    assert!(same.ends_with("is the primary already"), "{same}");
    let unknown = rig.prepare("patroni.switchover", &[("candidate", json!("m9"))]).await.unwrap_err().message;
    assert!(unknown.contains("has no member m9; members: m1"), "{unknown}");
    let over = rig.prepare("patroni.switchover", &[("candidate", json!(second))]).await.unwrap();
    assert!(rig.verb("patroni.switchover").dry_run(&over, None).await.unwrap().contains("would change the primary"));
    let outcome = rig.execute(&over).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    until("the other leads", LIMIT, async || {
        took(&rig.verb("patroni.switchover").reconcile(&over).await).then_some(())
    })
    .await;
    until("both run again", LIMIT, async || (rig.states().await == 2).then_some(())).await;
    // The same again: the leader that it names is another by now, and Patroni itself refuses.
    let again = failed(rig.execute(&over).await).message;
    assert!(again.contains("HTTP 412") || again.contains("leader name does not match"), "{again}");

    let leads = rig.prepare("patroni.reinit", &[("member", json!(second))]).await.unwrap_err().message;
    assert!(leads.contains("only a replica can be made anew"), "{leads}");
    let anew = rig.prepare("patroni.reinit", &[("member", json!(first))]).await.unwrap();
    let reinit = rig.verb("patroni.reinit");
    let removed = || rig.said(&first, "Removing data directory");
    let age = || std::fs::metadata(rig.dir.path().join(&first).join("data/PG_VERSION")).ok()?.created().ok();
    let whole = async |before| {
        let whole = async || (age().is_some_and(|now| Some(now) != before) && rig.states().await == 2).then_some(());
        until("it is made anew", LIMIT, whole).await;
    };
    // Cut off on the way to the member itself: whether it has begun may be told, that it has not may not.
    let mut through = anew.clone();
    let Operation::Http { path, .. } = &mut through.operation else { panic!() };
    let port: u16 = path.trim_end_matches("/reinitialize").rsplit(':').next().unwrap().parse().unwrap();
    let wire = Wire::to(port, says("POST /reinitialize"));
    *path = format!("http://127.0.0.1:{}/reinitialize", wire.port());
    let lost = off(&wire, At::Request, reinit, &through).await;
    assert_eq!((Says::of(&lost), removed()), (Says::Open, 0), "{lost:?}");
    let before = age();
    let kept = off(&wire, At::Answer, reinit, &through).await;
    assert_ne!(Says::of(&kept), Says::Nothing, "{kept:?}");
    whole(before).await;
    assert_eq!(removed(), 1);
    let before = age();
    assert!(matches!(rig.execute(&anew).await, Outcome::Done { .. }));
    whole(before).await;
    assert_eq!(removed(), 2);

    let wrong = Config { act: Some(Login { user: "q".into(), password: None }), ..rig.config.clone() };
    let stranger = verbs(Mode::Live.may_act().unwrap(), &[wrong]);
    let verb = stranger.iter().find(|v| v.spec().name == "patroni.pause").unwrap();
    let refused = failed(verb.execute(permit(&pause, LIMIT)).await);
    assert_eq!(refused.kind, FailureKind::Authentication, "{refused}");
    for member in &rig.members {
        member.signal(rustix::process::Signal::STOP);
    }
    let silent = rig.verb("patroni.pause").execute(permit(&pause, Duration::from_secs(1))).await;
    for member in &rig.members {
        member.signal(rustix::process::Signal::CONT);
    }
    assert!(matches!(&silent, Outcome::Unknown { why } if why.kind == FailureKind::Timeout), "{silent:?}");
}

#[tokio::test]
async fn a_cluster_whose_primary_died_is_failed_over() {
    let Some(mut rig) = Rig::start("a_cluster_whose_primary_died").await else { return };
    let now = cluster(&rig.config).await.unwrap();
    let first = leader(&now).unwrap();
    let second = members(&now).into_iter().find(|m| m.name != first).unwrap();
    rig.through(&second);
    // Else Patroni would do by itself what is tried here.
    let pause = rig.prepare("patroni.pause", &[]).await.unwrap();
    assert!(matches!(rig.execute(&pause).await, Outcome::Done { .. }));
    until("it is paused", LIMIT, async || took(&rig.verb("patroni.pause").reconcile(&pause).await).then_some(())).await;
    rig.kill(&first);
    until("the primary is missed", LIMIT, async || leader(&cluster(&rig.config).await.ok()?).is_none().then_some(()))
        .await;
    let switch = rig.prepare("patroni.switchover", &[("candidate", json!(second.name))]).await.unwrap_err().message;
    assert!(switch.contains("has no primary now"), "{switch}");

    let wire = rig.wired("POST /failover");
    let over = rig.prepare("patroni.failover", &[("candidate", json!(second.name))]).await.unwrap();
    assert!(over.hurts.starts_with("what the old primary committed") && over.undo.starts_with("Can not"), "{over:?}");
    let verb = rig.verb("patroni.failover");
    let promoted = || rig.said(&second.name, "promoted self to leader");
    // As long as nobody leads it is not said that a failover that never arrived had no effect.
    let lost = off(&wire, At::Request, verb, &over).await;
    assert_eq!((Says::of(&lost), promoted()), (Says::Open, 0), "{lost:?}");
    let kept = off(&wire, At::Answer, verb, &over).await;
    assert_ne!(Says::of(&kept), Says::Nothing, "{kept:?}");
    until("the other leads", LIMIT, async || took(&verb.reconcile(&over).await).then_some(())).await;
    assert_eq!(promoted(), 1);
    // A second time it is a healthy primary itself.
    let again = rig.prepare("patroni.failover", &[("candidate", json!(second.name))]).await.unwrap_err().message;
    assert!(again.contains("use patroni.switchover"), "{again}");
}

#[tokio::test]
async fn a_replica_that_does_not_start_is_made_anew() {
    let Some(mut rig) = Rig::start("a_replica_that_does_not_start").await else { return };
    let first = leader(&cluster(&rig.config).await.unwrap()).unwrap();
    let second = if first == "m1" { "m2" } else { "m1" };
    let now = cluster(&rig.config).await.unwrap();
    let primary = members(&now).into_iter().find(|m| m.name == first).unwrap();
    rig.through(&primary);
    let anew = rig.prepare("patroni.reinit", &[("member", json!(second))]).await.unwrap();
    let force = |request: &Request, force: bool| {
        let Operation::Http { body, .. } = &request.operation else { panic!() };
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), json!({ "force": force }));
    };
    force(&anew, false);
    // Without its control file it never starts again, and Patroni goes on trying.
    let data = rig.dir.path().join(second).join("data");
    std::fs::remove_file(data.join("global/pg_control")).unwrap();
    rig.end_server(second);
    let state =
        async || members(&cluster(&rig.config).await.ok()?).into_iter().find(|m| m.name == second).map(|m| m.state);
    until("it does not start", LIMIT, async || (state().await? == "start failed").then_some(())).await;
    let forced = rig.prepare("patroni.reinit", &[("member", json!(second))]).await.unwrap();
    force(&forced, true);
    let outcome = rig.execute(&forced).await;
    assert!(matches!(outcome, Outcome::Done { .. }), "{outcome:?}");
    // What is refused while it is copied has begun nothing, and is said so.
    let busy = failed(rig.execute(&anew).await).message;
    assert!(busy.contains("reinitialize already in progress"), "{busy}");
    until("both run again", LIMIT, async || (rig.states().await == 2).then_some(())).await;
    assert_eq!(rig.said(second, "Removing data directory"), 1);
}

#[test]
fn only_patronis_own_words_are_a_refusal() {
    let answer = |status: u16, body: &str| Answer {
        status,
        headers: reqwest::header::HeaderMap::new(),
        body: body.as_bytes().to_vec(),
        truncated: false,
        head_after: Duration::ZERO,
    };
    assert!(refuses(&answer(503, "restarting after failure already in progress")));
    assert!(refuses(&answer(503, "I am the leader, can not reinitialize")));
    assert!(!refuses(&answer(503, "no server is available")) && !refuses(&answer(500, "already in progress")));
}

#[test]
fn between_two_primaries_nothing_is_said_to_have_had_no_effect() {
    let verb = Patroni { spec: &SWITCHOVER, all: Arc::new(vec![]), settles: SETTLES };
    let cluster = |m1: (&str, &str), m2: (&str, &str)| {
        json!({ "members": [
            { "name": "m1", "role": m1.0, "state": m1.1 }, { "name": "m2", "role": m2.0, "state": m2.1 },
        ] })
    };
    let says = |now: Value| verb.judge(&json!({ "leader": "m1", "candidate": "m2" }), "primary of a", &now);
    let replica = ("replica", "streaming");
    assert!(matches!(says(cluster(("leader", "running"), replica)), Reconciled::NoEffect { .. }));
    assert!(matches!(says(cluster(("replica", "stopped"), ("leader", "running"))), Reconciled::TookEffect { .. }));
    for open in [cluster(("leader", "stopping"), replica), cluster(("replica", "stopped"), replica), json!({})] {
        assert!(matches!(says(open.clone()), Reconciled::Undecided { .. }), "{open}");
    }
}
