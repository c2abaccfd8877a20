//! Against a redis-server that the test starts, and against the lab's where it is up.

use super::*;
use crate::config::certificate::tests::Authority;
use crate::config::model::Ca;
use crate::config::model::Login;
use crate::domain::facts::Missing;
use crate::domain::id::SourceId;
use crate::domain::mode::Mode;
use crate::domain::sample::FailureKind;
use crate::observe::http::rig::{Server, Tiny, certificate, ports, program, send, skip, until};
use rustix::process::Signal;
use std::process::Command;

const LIMIT: Duration = Duration::from_secs(15);

fn config(url: &str, user: Option<&str>) -> Config {
    Config {
        id: SourceId::from("redis-q"),
        url: url.to_owned(),
        observe: user.map(|user| Login { user: user.to_owned(), password: None }),
        act: None,
        purpose: "queue".into(),
        sentinels: Vec::new(),
        sentinel_name: None,
        keys: Vec::new(),
        ca: crate::config::model::Ca::default(),
        workload: None,
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(2),
    }
}

fn observer(config: Config, password: Option<&str>) -> RedisObserver {
    let password = password.map(str::to_owned);
    RedisObserver::new(Mode::ReadOnly.may_observe().unwrap(), config, Arc::new(move || Ok(password.clone())))
}

async fn facts(observer: &mut RedisObserver) -> Result<RedisFacts, Failure> {
    match observer.poll().await? {
        Facts::Redis(facts) => Ok(facts),
        other => panic!("{other:?}"),
    }
}

/// A server of the test's own with a limit of memory; `default` logs in with `admin`.
struct Private {
    server: Server,
    url: String,
    dir: tempfile::TempDir,
}

impl Private {
    async fn start(test: &str, more: &[&str]) -> Option<Self> {
        Self::start_in(test, tempfile::tempdir().unwrap(), more).await
    }

    async fn start_in(test: &str, dir: tempfile::TempDir, more: &[&str]) -> Option<Self> {
        let Some(program) = program("redis-server") else {
            skip(test, "there is no redis-server on the PATH");
            return None;
        };
        let [port] = ports();
        let mut command = Command::new(program);
        command.current_dir(dir.path()).args(["--bind", "127.0.0.1", "--requirepass", "admin", "--save", ""]);
        command.args(["--port", &port.to_string(), "--maxmemory", "6mb", "--maxmemory-policy", "allkeys-lru"]);
        command.args(more);
        let mut server = Server::start(&mut command, &dir.path().join("log"));
        until("redis-server listens", LIMIT, async || {
            assert!(!server.ended(), "redis-server ended: {}", server.log());
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        Some(Self { server, url: format!("redis://127.0.0.1:{port}/0"), dir })
    }

    async fn admin(&self) -> MultiplexedConnection {
        let url = self.url.replace("//", "//:admin@");
        redis::Client::open(url).unwrap().get_multiplexed_async_connection().await.unwrap()
    }

    async fn fill(&self, keys: u32) {
        let mut admin = self.admin().await;
        let value = "x".repeat(4000);
        let mut pipe = redis::pipe();
        for _ in 0..keys {
            let key: [u8; 16] =
                std::array::from_fn(|_| rand_core::RngCore::next_u32(&mut rand_core::OsRng).to_le_bytes()[0]);
            pipe.cmd("SET").arg(&key).arg(&value).ignore();
        }
        pipe.query_async::<()>(&mut admin).await.unwrap();
    }
}

#[tokio::test]
async fn memory_and_evictions_are_what_the_server_did() {
    let Some(private) = Private::start("memory_and_evictions", &[]).await else { return };
    let mut observer = observer(config(&private.url, None), Some("admin"));
    let first = facts(&mut observer).await.unwrap();
    assert_eq!((first.role.as_str(), first.evicted_per_s, first.maxmemory_bytes), ("master", None, Some(6 << 20)));
    assert_eq!((first.maxmemory_policy.as_str(), first.missing.as_slice()), ("allkeys-lru", &[][..]));
    assert!(first.clients >= 1 && first.max_clients.is_some() && first.run_id.len() == 40);
    assert_eq!(facts(&mut observer).await.unwrap().evicted_per_s, Some(0.0), "nothing was evicted yet");
    private.fill(3000).await;
    let full = facts(&mut observer).await.unwrap();
    assert!(full.evicted_per_s.unwrap() > 0.0, "{full:?}");
    assert!(full.used_memory_bytes > 4 << 20, "{full:?}");
}

#[tokio::test]
async fn one_connection_is_kept_and_made_anew_after_it_was_cut() {
    let Some(private) = Private::start("one_connection", &[]).await else { return };
    let mut observer = observer(config(&private.url, None), Some("admin"));
    for _ in 0..3 {
        facts(&mut observer).await.unwrap();
    }
    let mut admin = private.admin().await;
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut admin).await.unwrap();
    // One line is the observer's, one our own; Redis 7.0 does not show the library's name, 6.2 not the subcommand.
    assert_eq!((list.lines().count(), list.matches("cmd=latency").count()), (2, 1), "{list}");
    redis::cmd("CLIENT").arg(&["KILL", "TYPE", "normal", "SKIPME", "yes"]).query_async::<()>(&mut admin).await.unwrap();
    assert_eq!(facts(&mut observer).await.unwrap_err().kind, FailureKind::Unreachable);
    facts(&mut observer).await.unwrap();
}

#[tokio::test]
async fn a_restarted_server_counts_anew() {
    let Some(private) = Private::start("a_restarted_server", &[]).await else { return };
    let mut observer = observer(config(&private.url, None), Some("admin"));
    let first = facts(&mut observer).await.unwrap();
    let Some(other) = Private::start("a_restarted_server", &[]).await else { return };
    // The same name, another process behind it.
    observer.endpoint = Endpoint::new(&other.url, None, &crate::config::model::Ca::default());
    observer.connection = None;
    let second = facts(&mut observer).await.unwrap();
    assert_ne!(first.run_id, second.run_id);
    assert_eq!(second.evicted_per_s, None);
    assert_eq!(facts(&mut observer).await.unwrap().evicted_per_s, Some(0.0));
}

#[tokio::test]
async fn refused_logins_and_missing_rights_are_told_apart() {
    let Some(private) = Private::start("refused_logins", &[]).await else { return };
    let mut admin = private.admin().await;
    let poor = ["SETUSER", "poor", "on", ">pw", "-@all", "+ping", "+auth"];
    redis::cmd("ACL").arg(&poor).query_async::<()>(&mut admin).await.unwrap();
    let ask = async |user, password| facts(&mut observer(config(&private.url, user), password)).await.unwrap_err();

    let wrong = ask(None, Some("hunter2")).await;
    assert_eq!(wrong.kind, FailureKind::Authentication, "{wrong}");
    assert!(!wrong.message.contains("hunter2"));
    assert_eq!(ask(Some("nobody"), Some("pw")).await.kind, FailureKind::Authentication);
    let none = ask(None, None).await;
    assert_eq!(none.kind, FailureKind::Authentication, "{none}");
    let lacking = ask(Some("poor"), Some("pw")).await;
    assert_eq!(lacking.kind, FailureKind::Permission, "{lacking}");
    assert!(lacking.message.ends_with("ACL SETUSER poor +info"), "{lacking}");
}

#[tokio::test]
async fn a_frozen_server_is_a_timeout_and_comes_back() {
    let Some(private) = Private::start("a_frozen_server", &[]).await else { return };
    let config = Config { timeout: Duration::from_millis(300), ..config(&private.url, None) };
    let mut observer = observer(config, Some("admin"));
    facts(&mut observer).await.unwrap();
    private.server.signal(Signal::STOP);
    for _ in 0..2 {
        let failure = facts(&mut observer).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    }
    private.server.signal(Signal::CONT);
    until("it answers again", LIMIT, async || match observer.poll().await {
        Ok(_) => Some(()),
        Err(_) => None,
    })
    .await;
}

#[tokio::test]
async fn a_poll_that_is_dropped_leaves_nothing_behind() {
    let Some(private) = Private::start("a_poll_that_is_dropped", &[]).await else { return };
    let mut observer = observer(config(&private.url, None), Some("admin"));
    facts(&mut observer).await.unwrap();
    private.server.signal(Signal::STOP);
    assert!(tokio::time::timeout(Duration::from_millis(50), observer.poll()).await.is_err());
    assert!(observer.connection.is_none());
    private.server.signal(Signal::CONT);
    facts(&mut observer).await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_gone_is_unreachable() {
    let [port] = ports();
    let mut observer = observer(config(&format!("redis://127.0.0.1:{port}"), None), None);
    let failure = facts(&mut observer).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
    assert!(failure.message.contains(&port.to_string()));
}

/// A server that takes the client's name and answers `INFO` in its own way.
fn says(info: &'static [u8]) -> Tiny {
    Tiny::raw(move |mut stream| {
        let mut asked = Vec::new();
        for (command, reply) in [(&b"LIB-VER"[..], &b"+OK\r\n+OK\r\n"[..]), (b"$4\r\nINFO\r\n", info)] {
            let mut byte = [0];
            while !asked.windows(command.len()).any(|w| w == command) {
                if std::io::Read::read(&mut stream, &mut byte).unwrap_or(0) == 0 {
                    return;
                }
                asked.push(byte[0]);
            }
            std::io::Write::write_all(&mut stream, reply).unwrap();
        }
        send(&stream, b"");
    })
}

#[tokio::test]
async fn other_servers_and_rubbish_are_said_so() {
    let ask = async |tiny: Tiny| {
        facts(&mut observer(config(&format!("redis://{}", tiny.address), None), None)).await.unwrap_err()
    };
    let web = ask(Tiny::raw(|s| send(&s, b"HTTP/1.1 400 Bad Request\r\n\r\n"))).await;
    assert_eq!(web.kind, FailureKind::Protocol, "{web}");
    let cut = ask(Tiny::raw(drop)).await;
    assert_eq!(cut.kind, FailureKind::Unreachable, "{cut}");
    let odd = ask(says(b"$5\r\nhello\r\n")).await;
    assert_eq!(odd.kind, FailureKind::Protocol, "{odd}");
    let number = ask(says(b":7\r\n")).await;
    assert_eq!(number.kind, FailureKind::Protocol, "{number}");
    let evil = ask(says(b"-ERR \x1b[31mred\r\n")).await;
    assert!(!evil.message.contains('\u{1b}'), "{evil}");
    let url = observer(config("nonsense", None), None).poll().await.unwrap_err();
    assert_eq!(url.kind, FailureKind::Local);
    let loading = ask(says(b"-LOADING Redis is loading\r\n")).await;
    assert_eq!(loading.kind, FailureKind::Unreachable, "{loading}");
    assert!(loading.message.contains("is loading its data set"));
}

#[tokio::test]
async fn tls_that_the_server_does_not_speak_is_said_so() {
    let plain = Tiny::raw(|s| send(&s, b"-ERR Protocol error\r\n"));
    let url = format!("rediss://{}", plain.address);
    let failure = observer(config(&url, None), None).poll().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_a_tls_failure() {
    const NAME: &str = "a_certificate_that_nobody_vouches_for";
    let dir = tempfile::tempdir().unwrap();
    if !certificate(dir.path(), 1, &["localhost"]) {
        return skip(NAME, "there is no openssl");
    }
    let [port] = ports();
    let port = port.to_string();
    let tls =
        ["--tls-port", &port, "--tls-cert-file", "cert.pem", "--tls-key-file", "key.pem", "--tls-auth-clients", "no"];
    let Some(_private) = Private::start_in(NAME, dir, &tls).await else { return };
    let url = format!("rediss://localhost:{port}");
    let failure = observer(config(&url, None), Some("admin")).poll().await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
    assert!(failure.message.contains("certificate"), "{failure}");
}

#[tokio::test]
async fn a_password_that_can_not_be_read_is_ours_to_mend() {
    let Some(private) = Private::start("a_password_that_can_not_be_read", &[]).await else { return };
    let unreadable: Password = Arc::new(|| Err(Failure::new(FailureKind::Local, "the file is gone")));
    let may = Mode::Live.may_observe().unwrap();
    let failure = RedisObserver::new(may, config(&private.url, None), unreadable).poll().await.unwrap_err();
    assert_eq!((failure.kind, failure.message.as_str()), (FailureKind::Local, "the file is gone"));
}

#[tokio::test]
async fn a_server_that_is_loading_says_so() {
    let Some(private) = Private::start("loading", &["--dbfilename", "x.rdb"]).await else { return };
    private.fill(1000).await;
    redis::cmd("SAVE").query_async::<()>(&mut private.admin().await).await.unwrap();
    let Private { server, dir, .. } = private;
    drop(server);
    // Each key takes 5 ms to load, and clients are served in between.
    let slowly =
        ["--dbfilename", "x.rdb", "--key-load-delay", "5000", "--loading-process-events-interval-bytes", "1024"];
    let Some(private) = Private::start_in("loading", dir, &slowly).await else { return };
    let mut observer = observer(config(&private.url, None), Some("admin"));
    assert!(facts(&mut observer).await.unwrap().loading);
    until("it has loaded", LIMIT, async || (!facts(&mut observer).await.unwrap().loading).then_some(())).await;
}

/// Sentinels of the test's own that watch `primary`.
async fn sentinels(primary: &Private, dir: &std::path::Path) -> Vec<(Server, String)> {
    let watched = primary.url.trim_start_matches("redis://").trim_end_matches("/0").replace(':', " ");
    let mut started = Vec::new();
    for port in ports::<3>() {
        let file = dir.join(format!("sentinel-{port}.conf"));
        let lines = format!(
            "bind 127.0.0.1\nport {port}\ndir {}\nsentinel monitor odoo {watched} 2\nsentinel auth-pass odoo admin\n",
            dir.display()
        );
        std::fs::write(&file, lines).unwrap();
        let mut command = Command::new(program("redis-server").unwrap());
        let mut server = Server::start(command.arg(&file).arg("--sentinel"), &file.with_extension("log"));
        until("a sentinel listens", LIMIT, async || {
            assert!(!server.ended(), "a sentinel ended: {}", server.log());
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        started.push((server, format!("127.0.0.1:{port}")));
    }
    started
}

#[tokio::test]
async fn sentinels_agree_without_one_that_is_frozen_and_not_without_two() {
    let Some(private) = Private::start("sentinels_agree", &[]).await else { return };
    let dir = tempfile::tempdir().unwrap();
    let started = sentinels(&private, dir.path()).await;
    let config = Config {
        sentinels: started.iter().map(|(_, address)| address.clone()).collect(),
        sentinel_name: Some("odoo".into()),
        keys: Vec::new(),
        ..config(&private.url, None)
    };
    let address = private.url.trim_start_matches("redis://").trim_end_matches("/0");
    let mut observer = observer(config.clone(), Some("admin"));
    for _ in 0..2 {
        let seen = facts(&mut observer).await.unwrap();
        assert_eq!((seen.sentinel_primary.as_deref(), seen.missing.as_slice()), (Some(address), &[][..]));
    }
    let [(one, first), (two, _), _] = started.as_slice() else { panic!() };
    one.signal(Signal::STOP);
    let seen = facts(&mut observer).await.unwrap();
    assert_eq!(seen.sentinel_primary.as_deref(), Some(address), "{seen:?}");
    let silent = Missing {
        disables: format!("the view of sentinel {first}"),
        remedy: format!("no answer from {first} within 1 s"),
    };
    assert_eq!(seen.missing, [silent]);
    two.signal(Signal::STOP);
    let seen = facts(&mut observer).await.unwrap();
    assert_eq!(seen.sentinel_primary, None);
    assert_eq!(seen.missing.last().unwrap().disables, "the primary that the sentinels agree on");
    for server in [one, two] {
        server.signal(Signal::CONT);
    }
    let misnamed = Config { sentinel_name: Some("other".into()), ..config };
    let seen = facts(&mut self::observer(misnamed, Some("admin"))).await.unwrap();
    assert_eq!(seen.sentinel_primary, None);
    assert!(seen.missing[0].remedy.contains("knows no primary of the name other"), "{seen:?}");
}

#[tokio::test]
async fn a_replica_follows_its_primary_and_says_when_it_can_not() {
    let Some(primary) = Private::start("a_replica_follows", &["--repl-diskless-sync-delay", "0"]).await else { return };
    let of = primary.url.trim_start_matches("redis://").trim_end_matches("/0").replace(':', " ");
    let follow =
        ["--replicaof", of.as_str(), "--masterauth", "admin", "--repl-timeout", "2", "--repl-ping-replica-period", "1"];
    let Some(replica) = Private::start("a_replica_follows", &follow).await else { return };
    let mut observer = observer(config(&replica.url, None), Some("admin"));
    let seen = until("the link is up", LIMIT, async || {
        facts(&mut observer).await.ok().filter(|f| f.master_link_up == Some(true))
    })
    .await;
    assert_eq!(seen.role, "slave");
    assert!(seen.lag_s.is_some_and(|s| s < 15.0), "{seen:?}");
    let above = facts(&mut self::observer(config(&primary.url, None), Some("admin"))).await.unwrap();
    assert_eq!((above.role.as_str(), above.replicas, above.master_link_up), ("master", 1, None));
    assert!(above.lag_s.is_some(), "{above:?}");
    drop(primary);
    let seen = until("the link is down", LIMIT, async || {
        facts(&mut observer).await.ok().filter(|f| f.master_link_up == Some(false))
    })
    .await;
    assert_eq!(seen.lag_s, None);
}

#[tokio::test]
async fn the_lab_is_seen_with_its_least_rights() {
    let env = |name: &str| std::env::var(name).ok();
    let (Some(url), Some(sentinels)) = (env("LAB_REDIS_URL"), env("LAB_REDIS_SENTINELS")) else {
        skip("the_lab_is_seen_with_its_least_rights", "LAB_REDIS_URL is not set; eval \"$(tests/lab/lab env)\"");
        return;
    };
    let (login, rest) = url.strip_prefix("redis://").unwrap().split_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let config = Config {
        sentinels: sentinels.split(',').map(str::to_owned).collect(),
        sentinel_name: env("LAB_REDIS_SENTINEL_NAME"),
        keys: Vec::new(),
        ..config(&format!("redis://{rest}"), Some(user))
    };
    let seen = facts(&mut observer(config, Some(password))).await.unwrap();
    assert!(seen.sentinel_primary.is_some() && seen.missing.is_empty(), "{seen:?}");
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_a_certificate() {
    const NAME: &str = "a_server_that_asks_who_we_are";
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    authority.issue(dir.path(), "server", false);
    std::fs::write(dir.path().join("ca.crt"), &authority.pem).unwrap();
    let [port] = ports();
    let port = port.to_string();
    let tls = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        "server.crt",
        "--tls-key-file",
        "server.key",
        "--tls-ca-cert-file",
        "ca.crt",
        "--tls-auth-clients",
        "yes",
    ];
    let Some(private) = Private::start_in(NAME, dir, &tls).await else { return };
    let dir = private.dir.path();
    let asked = |client| {
        let ca = Ca { file: Some(dir.join("ca.crt")), client, ..Ca::default() };
        observer(Config { ca, ..config(&format!("rediss://localhost:{port}"), None) }, Some("admin"))
    };
    let mut good = asked(Some(authority.issue(dir, "quarterdeck", false)));
    assert_eq!(facts(&mut good).await.unwrap().role, "master");
    let none = asked(None).poll().await.unwrap_err();
    assert_eq!(none.kind, FailureKind::Tls, "{none}");
    let strange = asked(Some(Authority::new("another").issue(dir, "strange", false))).poll().await.unwrap_err();
    assert_eq!(strange.kind, FailureKind::Tls, "{strange}");
    let ended = asked(Some(authority.issue(dir, "ended", true))).poll().await.unwrap_err();
    assert_eq!(ended.kind, FailureKind::Local, "{ended}");
    assert!(ended.message.contains("has ended at 2021-01-01"), "{ended}");
    std::fs::write(dir.join("ca.crt"), "nonsense").unwrap();
    let untrusted = asked(None).poll().await.unwrap_err();
    assert!(untrusted.kind == FailureKind::Local && untrusted.message.contains("no PEM certificate"), "{untrusted}");
}
