//! The observer before real servers: primary and replica, lock chains, lacking rights, and everything that a
//! server can do wrong.

use super::testbed::{Server, answer, free_port, lab, poll, send};
use super::*;
use crate::config::certificate::tests::Authority;
use crate::config::model::{SecretRef, Tls};
use crate::domain::facts::PostgresFacts;
use crate::domain::mode::Mode;
use crate::domain::sample::FailureKind;
use jiff::Timestamp;
use rustix::process::Signal;
use std::io::{Read as _, Write as _};
use std::time::Instant;
use tokio_postgres::Client;

fn observer(config: &model::Postgres) -> Postgres {
    Postgres::new(Mode::ReadOnly.may_observe().unwrap(), config)
}

async fn facts(observer: &mut Postgres) -> PostgresFacts {
    match answer(observer).await.unwrap() {
        Facts::Postgres(facts) => facts,
        other => panic!("{other:?}"),
    }
}

async fn failure(config: &model::Postgres) -> Failure {
    poll(&mut observer(config)).await.unwrap_err()
}

/// Looks until what is seen fits.
async fn until(observer: &mut Postgres, what: &str, fits: impl Fn(&PostgresFacts) -> bool) -> PostgresFacts {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let seen = facts(observer).await;
        if fits(&seen) {
            return seen;
        }
        assert!(Instant::now() < deadline, "{what} is not seen: {seen:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn pid(client: &Client) -> i32 {
    client.query_one_scalar("SELECT pg_backend_pid()", &[]).await.unwrap()
}

/// `client` holds the lock; the task waits for it.
fn waits(client: Client) -> tokio::task::JoinHandle<Result<(), tokio_postgres::Error>> {
    tokio::spawn(async move { client.batch_execute("UPDATE stock SET qty = qty + 1").await })
}

#[tokio::test]
async fn a_primary_and_its_replica_are_seen_and_a_paused_replica_falls_behind() {
    let Some(primary) = Server::start().await else { return };
    let mut replica = primary.replica().await;
    let (mut on_primary, mut on_replica) =
        (observer(&primary.config("postgres")), observer(&replica.config("postgres")));
    let seen =
        until(&mut on_primary, "a streaming standby", |f| f.standbys.iter().any(|s| s.state == "streaming")).await;
    assert!(!seen.in_recovery && seen.system_identifier.parse::<u64>().is_ok() && seen.timeline == Some(1), "{seen:?}");
    assert_eq!((seen.standbys[0].name.as_str(), seen.standbys[0].sync_state.as_str()), ("replica1", "async"));
    assert_eq!((seen.replay_lag_s, seen.wal_receiver.as_ref(), seen.missing.len()), (None, None, 0));
    assert_eq!((seen.max_connections, seen.databases.len()), (40, 1), "{:?}", seen.databases);
    assert!(seen.connections >= 1 && seen.sessions.is_empty(), "the own session does not count: {:?}", seen.sessions);

    let caught_up = until(&mut on_replica, "a replica without lag", |f| f.replay_lag_s == Some(0.0)).await;
    assert_eq!(caught_up.system_identifier, seen.system_identifier);
    assert!(caught_up.in_recovery && caught_up.standbys.is_empty(), "{caught_up:?}");
    assert_eq!(caught_up.wal_receiver.as_deref(), Some("streaming"));

    primary.sql("postgres", "CREATE TABLE before AS SELECT 1 AS n").await;
    replica.until("postgres", "SELECT pg_last_xact_replay_timestamp() IS NOT NULL").await;
    replica.sql("postgres", "SELECT pg_wal_replay_pause()").await;
    primary.sql("postgres", "CREATE TABLE t AS SELECT generate_series(1, 1000) AS n").await;
    until(&mut on_replica, "a replica that lags", |f| f.replay_lag_s.is_some_and(|s| s > 0.0)).await;
    let behind = |f: &PostgresFacts| f.standbys.first().and_then(|s| s.lag_bytes).is_some_and(|b| b > 1000);
    until(&mut on_primary, "a standby that lags", behind).await;
    replica.sql("postgres", "SELECT pg_wal_replay_resume()").await;
    until(&mut on_replica, "a replica that caught up", |f| f.replay_lag_s == Some(0.0)).await;

    // It has replayed what lies on its own disk, and has not been sent anything yet.
    replica.restart().await;
    let mut restarted = observer(&replica.config("postgres"));
    let seen =
        until(&mut restarted, "a replica that streams again", |f| f.wal_receiver.as_deref() == Some("streaming"));
    assert_eq!(seen.await.replay_lag_s, Some(0.0), "nothing was written since");

    let again = facts(&mut on_primary).await;
    let rates = &again.databases[0];
    assert!(rates.commits_per_s.is_some() && rates.deadlocks_per_min == Some(0.0), "{rates:?}");

    drop(primary);
    let orphan = until(&mut on_replica, "a replica without a receiver", |f| f.wal_receiver.is_none()).await;
    assert!(orphan.replay_lag_s.is_some_and(|s| s > 0.0), "without its primary a replica is not caught up: {orphan:?}");
}

#[tokio::test]
async fn slots_that_nobody_reads_and_archiving_that_fails_are_seen() {
    let Some(server) = Server::start_with(&["archive_mode=on", "archive_command=false"]).await else { return };
    server.role("observe", "").await;
    server.sql("postgres", "SELECT pg_create_physical_replication_slot('left_over', true)").await;
    server.sql("postgres", "CREATE TABLE big AS SELECT generate_series(1, 20000) AS n").await;
    server.sql("postgres", "SELECT pg_switch_wal()").await;
    server.until("postgres", "SELECT last_failed_time IS NOT NULL FROM pg_stat_archiver").await;
    let seen = facts(&mut observer(&server.config("postgres"))).await.upkeep;
    assert_eq!((seen.inactive_slots, seen.archiver_failing), (Some(1), Some(true)), "{seen:?}");
    assert!(seen.retained_bytes.is_some_and(|b| b > 0.0) && seen.rpo_s.is_some_and(|s| s > 0.0), "{seen:?}");
    assert!(seen.xid_age.is_some_and(|a| a > 0.0) && seen.size_bytes.is_some_and(|b| b > 1e6), "{seen:?}");
    assert_eq!((seen.maintenance.as_deref(), seen.checkpoints_requested), (Some(&[][..]), None));
    let poor = facts(&mut observer(&server.config("observe"))).await.upkeep;
    assert_eq!((poor.archiver_failing, poor.inactive_slots), (None, Some(1)), "what may not be asked is not known");
}

#[tokio::test]
async fn what_a_block_takes_is_known_where_the_server_measures_it() {
    let Some(server) = Server::start_with(&["track_io_timing=on", "shared_buffers=256kB"]).await else { return };
    server
        .sql("postgres", "CREATE TABLE big AS SELECT n, repeat('x', 900) AS text FROM generate_series(1, 2000) AS n")
        .await;
    let mut observer = observer(&server.config("postgres"));
    assert_eq!(facts(&mut observer).await.read_latency_s, None, "one sample has no interval");
    // 250 blocks, of which the server's own cache holds 32.
    server.sql("postgres", "SELECT sum(length(text)) FROM big").await;
    let seen = until(&mut observer, "blocks that were read", |f| f.read_latency_s.is_some()).await;
    assert!(seen.read_latency_s.is_some_and(|s| s > 0.0 && s < 5.0), "{seen:?}");
}

#[tokio::test]
async fn a_lock_chain_is_seen_with_who_waits_for_whom_and_how_long() {
    let Some(server) = Server::start().await else { return };
    server.sql("postgres", "CREATE DATABASE t017").await;
    server.sql("t017", "CREATE TABLE stock AS SELECT 1 AS id, 0 AS qty").await;
    let root = server.connect("t017").await;
    let (one, two) = (server.connect("t017").await, server.connect("t017").await);
    let (root_pid, one_pid, two_pid) = (pid(&root).await, pid(&one).await, pid(&two).await);
    root.batch_execute("BEGIN; UPDATE stock SET qty = 1 /* \u{1b}[31mred */").await.unwrap();
    // A statement that ran long before it waits: the wait counts from its own start.
    let one = tokio::spawn(async move { one.batch_execute("SELECT pg_sleep(1); UPDATE stock SET qty = 2").await });
    let mut observer = observer(&server.config("postgres"));
    until(&mut observer, "the first waiter", |f| f.sessions.iter().any(|s| s.pid == one_pid)).await;
    let two = waits(two);
    let seen = until(&mut observer, "the second waiter", |f| f.sessions.iter().any(|s| s.pid == two_pid)).await;
    let session = |pid| seen.sessions.iter().find(|s| s.pid == pid).unwrap();
    let (r, a, b) = (session(root_pid), session(one_pid), session(two_pid));
    assert_eq!((r.state.as_str(), r.database.as_str(), r.user.as_str()), ("idle in transaction", "t017", "postgres"));
    assert_eq!((r.application.as_str(), r.client.as_str()), ("odoo-worker", "127.0.0.1"));
    assert!(r.blocked_by.is_empty() && r.waiting_s.is_none() && r.transaction_s > Some(0.9), "{r:?}");
    assert!(r.query.contains("·[31mred") && r.backend_start > Timestamp::UNIX_EPOCH, "{r:?}");
    assert_eq!((a.blocked_by.as_slice(), a.state.as_str()), (&[root_pid][..], "active"));
    // Before 14 the server does not say since when: the statement's beginning stands in.
    let tells = !seen.version.starts_with("13.");
    assert!(a.wait.starts_with("Lock:") && (a.waiting_s < a.transaction_s || !tells), "{a:?}");
    assert!(b.blocked_by.contains(&one_pid), "{b:?}");

    root.batch_execute("COMMIT").await.unwrap();
    one.await.unwrap().unwrap();
    two.await.unwrap().unwrap();
    until(&mut observer, "no chain", |f| f.sessions.is_empty()).await;
}

#[tokio::test]
async fn long_transactions_and_prepared_transactions_at_the_root_are_seen() {
    let Some(server) = Server::start().await else { return };
    server.sql("postgres", "CREATE TABLE stock AS SELECT 1 AS id, 0 AS qty").await;
    let idle = server.connect("postgres").await;
    idle.batch_execute("BEGIN; SELECT 1").await.unwrap();
    let link = Link::observe(&server.config("postgres"));
    let settings = Settings::Look { statement_timeout: STATEMENT_TIMEOUT };
    let session = link.open("postgres", settings).await.unwrap();
    let seen = |rows: Vec<tokio_postgres::Row>| rows.iter().map(|r| sessions::read(r).unwrap()).collect::<Vec<_>>();
    let long = seen(session.ask(sessions::SESSIONS, &["", "0"]).await.unwrap());
    assert_eq!(long.iter().map(|s| s.pid).collect::<Vec<_>>(), [pid(&idle).await]);
    assert!(seen(session.ask(sessions::SESSIONS, &["", sessions::LONG_S]).await.unwrap()).is_empty());
    idle.batch_execute("COMMIT").await.unwrap();

    let preparing = "BEGIN; UPDATE stock SET qty = 1; PREPARE TRANSACTION 'forgotten'";
    idle.batch_execute(preparing).await.unwrap();
    let waiter = waits(idle);
    let mut observer = observer(&server.config("postgres"));
    let seen = until(&mut observer, "a waiter", |f| !f.sessions.is_empty()).await;
    assert_eq!(seen.sessions[0].blocked_by, [0], "pid 0 is a prepared transaction");
    server.sql("postgres", "ROLLBACK PREPARED 'forgotten'").await;
    waiter.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_login_without_rights_sees_the_chain_and_is_told_what_it_lacks() {
    let Some(server) = Server::start().await else { return };
    server.role("poor", "REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC").await;
    server.sql("postgres", "CREATE TABLE stock AS SELECT 1 AS id, 0 AS qty").await;
    let (root, waiter) = (server.connect("postgres").await, server.connect("postgres").await);
    let (root_pid, waiter_pid) = (pid(&root).await, pid(&waiter).await);
    root.batch_execute("BEGIN; UPDATE stock SET qty = 1").await.unwrap();
    let waiter = waits(waiter);
    let mut observer = observer(&server.config("poor"));
    let seen = until(&mut observer, "a waiter", |f| f.sessions.iter().any(|s| s.pid == waiter_pid)).await;
    let remedies: Vec<&str> = seen.missing.iter().map(|m| m.remedy.as_str()).collect();
    assert_eq!(remedies, ["GRANT pg_monitor TO poor", "GRANT EXECUTE ON FUNCTION pg_control_system() TO poor"]);
    assert_eq!((seen.system_identifier.as_str(), seen.timeline), ("", Some(1)));
    let blocked = seen.sessions.iter().find(|s| s.pid == waiter_pid).unwrap();
    assert_eq!((blocked.blocked_by.as_slice(), blocked.backend_start), (&[root_pid][..], Timestamp::UNIX_EPOCH));
    assert_eq!(blocked.query, "<insufficient privilege>");

    server.sql("postgres", "GRANT pg_monitor TO poor; GRANT EXECUTE ON FUNCTION pg_control_system() TO poor").await;
    let seen = until(&mut observer, "the rights", |f| f.missing.is_empty()).await;
    assert!(!seen.system_identifier.is_empty() && seen.sessions.iter().all(|s| s.query.contains("UPDATE stock")));
    root.batch_execute("COMMIT").await.unwrap();
    waiter.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_keeps_a_login_out_is_told_apart() {
    let Some(server) = Server::start().await else { return };
    let good = server.config("postgres");
    let wrong = server.dir.path().join("data/PG_VERSION");
    let login = model::Login { user: "postgres".into(), password: Some(SecretRef::File(wrong.clone())) };
    let refused = failure(&model::Postgres { observe: login, ..good.clone() }).await;
    assert_eq!(refused.kind, FailureKind::Authentication, "{refused}");
    let expected = format!("127.0.0.1:{}: password authentication failed for user \"postgres\"", server.port);
    assert_eq!(refused.message, expected);
    let login = model::Login { user: "postgres".into(), password: None };
    let missing = failure(&model::Postgres { observe: login, ..good.clone() }).await;
    assert_eq!(missing.kind, FailureKind::Authentication, "{missing}");
    let login = model::Login { user: "postgres".into(), password: Some(SecretRef::Env("QUARTERDECK_NO_SUCH".into())) };
    let unreadable = failure(&model::Postgres { observe: login, ..good.clone() }).await;
    assert_eq!(unreadable.kind, FailureKind::Local, "{unreadable}");
    assert!(unreadable.message.contains("QUARTERDECK_NO_SUCH is not set"), "{unreadable}");

    let absent = failure(&model::Postgres { database: "t404".into(), ..good.clone() }).await;
    assert_eq!(absent.kind, FailureKind::Unreachable, "{absent}");
    assert!(absent.message.ends_with("database \"t404\" does not exist"), "{absent}");
    server.role("poor", "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC").await;
    let poor = failure(&server.config("poor")).await;
    assert_eq!(poor.kind, FailureKind::Permission, "{poor}");
    assert!(poor.message.contains("permission denied for database"), "{poor}");
    let plain = failure(&model::Postgres { tls: Tls::VerifyFull, ..good.clone() }).await;
    assert_eq!(plain.kind, FailureKind::Tls, "{plain}");
    assert!(plain.message.contains("server does not support TLS"), "{plain}");
    let nobody = failure(&model::Postgres { port: free_port(), ..good }).await;
    assert_eq!(nobody.kind, FailureKind::Unreachable, "{nobody}");
    assert!(nobody.message.contains("onnection refused"), "{nobody}");
}

#[tokio::test]
async fn a_changed_password_is_read_again_after_it_was_refused() {
    let Some(server) = Server::start().await else { return };
    let config = server.config("postgres");
    let mut observer = observer(&config);
    server.sql("postgres", "ALTER ROLE postgres PASSWORD 'new'").await;
    assert_eq!(poll(&mut observer).await.unwrap_err().kind, FailureKind::Authentication);
    let Some(SecretRef::File(path)) = &config.observe.password else { panic!() };
    std::fs::write(path, "new").unwrap();
    facts(&mut observer).await;
}

#[tokio::test]
async fn tls_is_spoken_with_the_own_authority_and_refused_with_any_other() {
    let Some(server) = Server::start().await else { return };
    let dir = server.dir.path().join("data");
    let script = format!(
        "cd '{}' && openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=authority -keyout ca.key -out ca.crt && \
         openssl req -newkey rsa:2048 -nodes -subj /CN=db -keyout server.key -out server.csr && \
         printf 'subjectAltName=IP:127.0.0.1' > san && openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key \
         -CAcreateserial -days 2 -extfile san -out server.crt && chmod 600 server.key && chown --reference=PG_VERSION server.*",
        dir.display()
    );
    let made = std::process::Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    server.configure("ssl = on").await;
    let config = |ca: Option<&str>| model::Postgres {
        tls: Tls::VerifyFull,
        ca: ca.map(|file| dir.join(file).into()).unwrap_or_default(),
        ..server.config("postgres")
    };
    let mut trusting = observer(&config(Some("ca.crt")));
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(not_yet) = poll(&mut trusting).await {
        assert!(Instant::now() < deadline, "{not_yet}");
    }
    server.until("postgres", "SELECT count(*) = 1 FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl").await;
    let unknown = failure(&config(None)).await;
    assert_eq!(unknown.kind, FailureKind::Tls, "{unknown}");
    let other_name = failure(&model::Postgres { host: "localhost".into(), ..config(Some("ca.crt")) }).await;
    assert_eq!(other_name.kind, FailureKind::Tls, "{other_name}");
    assert!(other_name.message.contains("not valid for name"), "{other_name}");
    let none = failure(&config(Some("PG_VERSION"))).await;
    assert_eq!(none.kind, FailureKind::Local, "{none}");
    assert!(none.message.contains("there is no PEM certificate in it"), "{none}");

    // The newest version is spoken by default, and where only an older one is to be had nothing is said to it.
    let newest = model::Postgres {
        ca: model::Ca { min: model::TlsMin::V13, ..config(Some("ca.crt")).ca },
        ..config(Some("ca.crt"))
    };
    poll(&mut observer(&newest)).await.unwrap();
    server.configure("ssl_max_protocol_version = 'TLSv1.2'").await;
    let deadline = Instant::now() + Duration::from_mins(1);
    let refused = loop {
        if let Err(why) = poll(&mut observer(&newest)).await {
            break why;
        }
        assert!(Instant::now() < deadline, "the server still speaks TLS 1.3");
    };
    assert_eq!(refused.kind, FailureKind::Tls, "{refused}");
    poll(&mut observer(&config(Some("ca.crt")))).await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_is_a_timeout_and_leaves_no_session_behind() {
    let Some(server) = Server::start().await else { return };
    let quick = model::Postgres { timeout: Duration::from_millis(300), ..server.config("postgres") };
    let mut observer = observer(&quick);
    facts(&mut observer).await;
    server.freeze();
    // In the middle of a query, then at a new connection.
    for _ in 0..2 {
        assert_eq!(poll(&mut observer).await.unwrap_err().kind, FailureKind::Timeout);
    }
    server.thaw();
    server.until("postgres", "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'quarterdeck'").await;
    until(&mut observer, "the server again", |_| true).await;
}

#[tokio::test]
async fn a_slow_question_is_ended_by_the_server_and_a_cut_session_is_opened_again() {
    let Some(server) = Server::start().await else { return };
    let config = server.config("postgres");
    let link = Link::observe(&config);
    let settings = Settings::Look { statement_timeout: Duration::from_millis(50) };
    let session = link.open("postgres", settings).await.unwrap();
    let error = session.ask("SELECT pg_sleep(30)", &[]).await.unwrap_err();
    let slow = failure::classify(link.address(), &error);
    assert_eq!(slow.kind, FailureKind::Timeout, "{slow}");
    assert!(slow.message.ends_with("canceling statement due to statement timeout"), "{slow}");
    let write = session.ask("CREATE TABLE t (n int)", &[]).await.unwrap_err();
    assert_eq!(write.code().unwrap().code(), "25006", "observers can not write");

    let mut observer = observer(&config);
    facts(&mut observer).await;
    let ours = "FROM pg_stat_activity WHERE application_name = 'quarterdeck'";
    server.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {ours}")).await;
    server.until("postgres", &format!("SELECT count(*) = 0 {ours}")).await;
    until(&mut observer, "a new session", |_| true).await;

    let pid: i32 = server.connect("postgres").await.query_one_scalar(&format!("SELECT pid {ours}"), &[]).await.unwrap();
    send(pid, Signal::STOP);
    let mut poll = observer.poll();
    assert!(tokio::time::timeout(Duration::from_millis(100), &mut poll).await.is_err());
    drop(poll);
    assert!(observer.session.is_none(), "a poll dropped in the middle of a query takes its session with it");
    send(pid, Signal::CONT);
}

/// A server that does to its first client what it is told.
fn rubbish(serve: impl FnOnce(&mut std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(stream.read(&mut [0; 1024]));
        serve(&mut stream);
    });
    port
}

#[tokio::test]
async fn rubbish_half_answers_and_silence_are_failures_in_words() {
    let config = |port| model::Postgres {
        id: "pg-a".into(),
        host: "127.0.0.1".into(),
        port,
        database: "postgres".into(),
        observe: model::Login { user: "quarterdeck".into(), password: None },
        act: None,
        tls: Tls::Disable,
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(1),
        tenant_pace: Duration::from_secs(5),
        timeout: Duration::from_millis(500),
    };
    let short_frame = rubbish(|s| s.write_all(b"R\0\0\0\x01").unwrap());
    let unexpected = rubbish(|s| s.write_all(b"Z\0\0\0\x05I").unwrap());
    let unknown_message = rubbish(|s| s.write_all(b"R\0\0\0\x08\0\0\x03\xe7").unwrap());
    for port in [short_frame, unexpected, unknown_message] {
        let failure = failure(&config(port)).await;
        assert_eq!(failure.kind, FailureKind::Protocol, "{failure}");
    }
    let http = rubbish(|s| s.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap());
    let closed = rubbish(|_| ());
    let half = rubbish(|s| s.write_all(b"R\0\0\0\x08\0\0\0\0S\0\0").unwrap());
    for port in [http, closed, half] {
        let failure = failure(&config(port)).await;
        assert!(matches!(failure.kind, FailureKind::Unreachable | FailureKind::Protocol), "{failure}");
        assert!(failure.message.starts_with(&format!("127.0.0.1:{port}: ")), "{failure}");
    }
    let (end, silence) = std::sync::mpsc::channel::<()>();
    let silent = rubbish(move |_| {
        let _ = silence.recv();
    });
    assert_eq!(failure(&config(silent)).await.kind, FailureKind::Timeout);
    drop(end);
}

/// `postgres://user:password@host:port/database` of the lab.
pub(crate) fn from_dsn(dsn: &str, dir: &tempfile::TempDir) -> model::Postgres {
    let parsed: tokio_postgres::Config = dsn.parse().unwrap();
    let [tokio_postgres::config::Host::Tcp(host)] = parsed.get_hosts() else { panic!() };
    let password = dir.path().join("secret");
    std::fs::write(&password, parsed.get_password().unwrap()).unwrap();
    std::fs::set_permissions(&password, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let login = model::Login { user: parsed.get_user().unwrap().into(), password: Some(SecretRef::File(password)) };
    model::Postgres {
        id: "pg-a".into(),
        host: host.clone(),
        port: parsed.get_ports()[0],
        database: parsed.get_dbname().unwrap().into(),
        observe: login,
        act: None,
        tls: Tls::Disable,
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(1),
        tenant_pace: Duration::from_secs(5),
        timeout: Duration::from_secs(5),
    }
}

#[tokio::test]
async fn the_lab_is_seen_by_the_roles_that_it_gives() {
    let (Some(observe), Some(poor), Some(replica)) =
        (lab("LAB_PG_OBSERVE_DSN"), lab("LAB_PG_POOR_DSN"), lab("LAB_PG_REPLICA_OBSERVE_DSN"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let primary = facts(&mut observer(&from_dsn(&observe, &dir))).await;
    assert!(primary.missing.is_empty() && !primary.in_recovery, "{primary:?}");
    assert!(["t003", "t017", "t090"].iter().all(|t| primary.databases.iter().any(|d| d.name == *t)));
    let replica = facts(&mut observer(&from_dsn(&replica, &dir))).await;
    assert!(replica.in_recovery && replica.system_identifier == primary.system_identifier, "{replica:?}");
    let poor = facts(&mut observer(&from_dsn(&poor, &dir))).await;
    assert_eq!(poor.missing[0].remedy, "GRANT pg_monitor TO quarterdeck_poor");
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_shown_a_certificate_as_it_is_now() {
    let Some(server) = Server::start().await else { return };
    let data = server.dir.path().join("data");
    let ours = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    authority.issue(&data, "server", false);
    std::fs::write(data.join("ca.crt"), &authority.pem).unwrap();
    let owned = std::process::Command::new("sh")
        .args(["-c", "chown --reference=PG_VERSION server.crt server.key ca.crt"])
        .current_dir(&data)
        .status()
        .unwrap();
    assert!(owned.success());
    let config = |client| model::Postgres {
        tls: Tls::VerifyFull,
        ca: model::Ca { file: Some(data.join("ca.crt")), client, ..model::Ca::default() },
        ..server.config("postgres")
    };
    // Password and certificate, whose name has to be that of the login; the test itself comes without TLS.
    let rules = "hostssl all all 127.0.0.1/32 scram-sha-256 clientcert=verify-full\nhostnossl all all 127.0.0.1/32 scram-sha-256\n";
    std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
    server.configure("ssl_ca_file = 'ca.crt'").await;
    server.configure("ssl = on").await;
    let certificate = authority.issue(ours.path(), "postgres", false);
    let mut good = observer(&config(Some(certificate.clone())));
    let deadline = Instant::now() + Duration::from_mins(1);
    while let Err(not_yet) = poll(&mut good).await {
        assert!(Instant::now() < deadline, "{not_yet} {}", server.log());
    }
    let none = failure(&config(None)).await;
    assert!(none.message.contains("requires a valid client certificate"), "{none}");
    let strange = failure(&config(Some(Authority::new("another").issue(ours.path(), "strange", false)))).await;
    assert_eq!(strange.kind, FailureKind::Tls, "{strange}");
    let another = failure(&config(Some(authority.issue(ours.path(), "somebody", false)))).await;
    // PostgreSQL keeps to itself that it was not the password.
    assert_eq!(another.kind, FailureKind::Authentication, "{another}");
    let ended = failure(&config(Some(authority.issue(ours.path(), "ended", true)))).await;
    assert_eq!(ended.kind, FailureKind::Local, "{ended}");
    assert!(ended.message.contains("has ended at 2021-01-01"), "{ended}");
    // The same observer, as its certificate ends and is renewed.
    let mut waits = observer(&config(Some(authority.issue(ours.path(), "postgres", true))));
    assert_eq!(poll(&mut waits).await.unwrap_err().kind, FailureKind::Local);
    authority.issue(ours.path(), "postgres", false);
    facts(&mut waits).await;
}
