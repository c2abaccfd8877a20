//! Each verb that changes a PostgreSQL or a PgBouncer, cut off in the middle on a real server; and statements that
//! outlive the connection that sent them.

use super::lab_tests::{ACT, built};
use super::tests::{Chain, permit, prepare, world};
use super::*;
use crate::act::cut::{Args, Asks, At, Case, Says, Wire, bound, off};
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::observe::pgbouncer::Pgbouncer;
use crate::observe::postgres::Postgres;
use crate::observe::postgres::testbed::{Pooler, Server, estate};
use futures::future::join_all;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// A number that a server says.
async fn number(server: &Server, question: &str) -> i64 {
    server.connect("postgres").await.query_one_scalar(&format!("SELECT ({question})::bigint"), &[]).await.unwrap()
}

/// How often it said that in its log.
fn said(server: &Server, words: &str) -> i64 {
    i64::try_from(server.log().matches(words).count()).unwrap()
}

/// How the server counts what a verb did.
enum Counts {
    Says(&'static str),
    Logs(&'static str),
}

#[tokio::test]
async fn every_verb_on_an_instance_is_cut_off_and_found_out() {
    let Some(server) = Server::start().await else { return };
    server.role("odoo", "").await;
    server.role("act", ACT).await;
    server.sql("postgres", "CREATE DATABASE t017 OWNER odoo").await;
    let config = server.config("act");
    let mut observer = Postgres::new(Mode::Live.may_observe().unwrap(), &config);
    let world = world(&Arc::new(estate(&["t017"])), &mut [&mut observer]).await;
    let limit = vec![("database", json!("t017")), ("limit", json!(7))];
    let rows: [(&str, Args, _, _, _, _, _); 4] = [
        (
            "postgres.set_connection_limit",
            limit,
            Says::Nothing,
            At::Middle,
            Says::Took,
            Counts::Says("SELECT (datconnlimit = 7)::int FROM pg_database WHERE datname = 't017'"),
            [1, 1],
        ),
        // Only the WAL has it, and its log.
        (
            "postgres.create_restore_point",
            vec![("name", json!("cut"))],
            Says::Open,
            At::Answer,
            Says::Open,
            Counts::Logs("restore point \"cut\" created"),
            [1, 2],
        ),
        (
            "postgres.switch_wal",
            vec![],
            Says::Nothing,
            At::Answer,
            Says::Took,
            Counts::Says("SELECT div(pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0'), 16777216)"),
            [1, 1],
        ),
        // Another one does no harm.
        (
            "postgres.checkpoint",
            vec![],
            Says::Open,
            At::Middle,
            Says::Open,
            Counts::Logs("checkpoint starting: immediate force wait"),
            [1, 2],
        ),
    ];
    let tried = rows.into_iter().map(async |(name, more, lost, answer, kept, counts, acted)| {
        let wire = Wire::to(server.port, bound());
        let all = built(&[model::Postgres { port: wire.port(), ..config.clone() }], &[]);
        let verb = &**all.get(name).unwrap();
        let list: Vec<_> = [("instance", json!("pg-a"))].into_iter().chain(more).collect();
        let request = &prepare(verb, &world, &list).await.unwrap();
        let count = async || match counts {
            Counts::Says(question) => number(&server, question).await,
            Counts::Logs(words) => said(&server, words),
        };
        let before = count().await;
        let case = Case { wire: &wire, verb, request, lost, answer, kept, acted };
        case.run(async || count().await - before).await;
    });
    join_all(tried).await;
}

#[tokio::test]
async fn a_promotion_is_cut_off_and_found_out() {
    let Some(server) = Server::start().await else { return };
    let replica = server.replica().await;
    let config = replica.config("postgres");
    let mut observer = Postgres::new(Mode::Live.may_observe().unwrap(), &config);
    let world = world(&Arc::new(estate(&["t017"])), &mut [&mut observer]).await;
    let wire = Wire::to(replica.port, bound());
    let all = built(&[model::Postgres { port: wire.port(), ..config }], &[]);
    let verb = &**all.get("postgres.promote").unwrap();
    drop(server);
    replica.until("postgres", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')").await;
    let request = &prepare(verb, &world, &[("instance", json!("pg-a"))]).await.unwrap();
    let promoted = || said(&replica, "selected new timeline ID");
    let lost = off(&wire, At::Request, verb, request).await;
    assert_eq!((Says::of(&lost), promoted()), (Says::Nothing, 0), "{lost:?}");
    // It may still be on its way out of recovery then: that is never told as no effect.
    let kept = off(&wire, At::Answer, verb, request).await;
    assert_ne!(Says::of(&kept), Says::Nothing, "{kept:?}");
    replica.until("postgres", "SELECT NOT pg_is_in_recovery()").await;
    let found = verb.reconcile(request).await;
    assert_eq!(Says::of(&found), Says::Took, "{found:?}");
    let again = verb.execute(permit(request, Duration::from_secs(20))).await;
    assert!(matches!(again, Outcome::Failed { .. }), "{again:?}");
    assert_eq!(promoted(), 1);
}

#[tokio::test]
async fn a_signal_to_a_session_is_cut_off_and_found_out() {
    let Some(mut chain) = Chain::make("postgres", "").await else { return };
    let world = chain.world().await;
    let wire = Wire::to(chain.server.port, bound());
    let config = model::Postgres { port: wire.port(), ..chain.server.config("postgres") };
    let all = built(&[config], &[]);
    let facts = match world.fresh(&"pg-a".into(), jiff::Timestamp::now()) {
        Some(Facts::Postgres(facts)) => facts.clone(),
        other => panic!("{other:?}"),
    };
    // The last that waits loses its query, then the root its connection.
    let waits = facts.sessions.iter().find(|s| s.pid == chain.waiter_pids[2]).unwrap();
    let of = |pid: i32, start: String| {
        vec![("instance", json!("pg-a")), ("pid", json!(pid)), ("backend_start", json!(start))]
    };
    let root = facts.sessions.iter().find(|s| s.pid == chain.root_pid).unwrap();
    for (name, session, left) in
        [("postgres.cancel_backend", waits, "state = 'active'"), ("postgres.terminate_backend", root, "true")]
    {
        let verb = &**all.get(name).unwrap();
        let request = &prepare(verb, &world, &of(session.pid, session.backend_start.to_string())).await.unwrap();
        let there = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {} AND {left}", session.pid);
        let (lost, kept) = (Says::Nothing, Says::Took);
        let case = Case { wire: &wire, verb, request, lost, answer: At::Answer, kept, acted: [1, 1] };
        case.run(async || 1 - number(&chain.server, &there).await).await;
    }
}

#[tokio::test]
async fn a_statement_that_outlives_its_connection_is_waited_for() {
    let Some(server) = Server::start().await else { return };
    server.role("odoo", "").await;
    server.role("act", ACT).await;
    server.sql("postgres", "CREATE DATABASE t017 OWNER odoo").await;
    let config = server.config("act");
    let mut observer = Postgres::new(Mode::Live.may_observe().unwrap(), &config);
    let world = world(&Arc::new(estate(&["t017"])), &mut [&mut observer]).await;
    let wire = Wire::to(server.port, bound());
    let all = built(&[model::Postgres { port: wire.port(), ..config }], &[]);
    let verb = Arc::clone(all.get("postgres.set_connection_limit").unwrap());
    let list = [("instance", json!("pg-a")), ("database", json!("t017")), ("limit", json!(7))];
    let request = prepare(&*verb, &world, &list).await.unwrap();
    // Somebody holds what it has to wait for.
    let holds = server.connect("postgres").await;
    holds.batch_execute("BEGIN; ALTER DATABASE t017 ALLOW_CONNECTIONS true").await.unwrap();
    let sent = permit(&request, Duration::from_mins(1));
    let execution = tokio::spawn({
        let verb = verb.clone();
        async move { verb.execute(sent).await }
    });
    server.until("postgres", "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'").await;
    wire.release(false);
    let outcome = execution.await.unwrap();
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    let mut looking = tokio::spawn(async move { verb.reconcile(&request).await });
    let early = tokio::time::timeout(Duration::from_secs(4), &mut looking).await;
    assert!(early.is_err(), "while it waits on the server nothing is said: {early:?}");
    holds.batch_execute("ROLLBACK").await.unwrap();
    let found = looking.await.unwrap();
    assert!(matches!(found, Reconciled::TookEffect { .. }), "{found:?}");
    assert_eq!(number(&server, "SELECT datconnlimit FROM pg_database WHERE datname = 't017'").await, 7);
}

/// Whatever is said to the console but to look.
fn commands() -> Asks {
    Arc::new(|_, bytes| bytes.first() == Some(&b'Q') && !bytes.windows(4).any(|word| word == b"SHOW"))
}

#[tokio::test]
async fn every_verb_on_a_pooler_is_cut_off_and_found_out() {
    let Some(server) = Server::start().await else { return };
    let Some(other) = Server::start().await else { return };
    server.role("act", "").await;
    let Some(pooler) = Pooler::start(&server, "act").await else { return };
    let config = pooler.config(&server, "act");
    let wire = Wire::to(pooler.port, commands());
    let through = model::Pgbouncer { port: wire.port(), ..config.clone() };
    let (direct, all) = (built(&[], std::slice::from_ref(&config)), built(&[], &[through]));
    let mut observer = Pgbouncer::new(Mode::Live.may_observe().unwrap(), &config);
    pooler.connect().await.unwrap().batch_execute("SELECT 1").await.unwrap();
    let world = world(&Arc::new(estate(&["postgres"])), &mut [&mut observer]).await;
    let list = [("pooler", json!("pool-a")), ("database", json!("postgres"))];
    let paused = async || {
        let status = direct.get("postgres.pool_status").unwrap();
        let request = prepare(&**status, &world, &list[..1]).await.unwrap();
        let Outcome::Done { summary, .. } = status.look(&request).await else { panic!() };
        i64::from(summary.contains("paused: postgres"))
    };
    let sent = async |name: &str| {
        let verb = &**direct.get(name).unwrap();
        let outcome = verb.execute(permit(&prepare(verb, &world, &list).await.unwrap(), Duration::from_secs(20))).await;
        assert!(matches!(outcome, Outcome::Done { .. }), "{name}: {outcome:?}");
    };
    let case = |name: &str, request, acted| Case {
        wire: &wire,
        verb: &**all.get(name).unwrap(),
        request,
        lost: Says::Nothing,
        answer: At::Answer,
        kept: Says::Took,
        acted,
    };
    let prepared = async |name: &str| prepare(&**all.get(name).unwrap(), &world, &list).await.unwrap();

    let request = prepared("postgres.pgbouncer_pause").await;
    case("postgres.pgbouncer_pause", &request, [1, 1]).run(paused).await;
    let request = prepared("postgres.pgbouncer_resume").await;
    let resume = case("postgres.pgbouncer_resume", &request, [1, 1]);
    Case { answer: At::Middle, ..resume }.run(async || 1 - paused().await).await;

    // It drops whoever is there once; the second time nobody is there any more.
    let victim = pooler.connect().await.unwrap();
    victim.batch_execute("BEGIN").await.unwrap();
    let request = prepared("postgres.pgbouncer_kill").await;
    assert_eq!(request.target.object, "database postgres");
    let dropped = async || i64::from(victim.batch_execute("SELECT 1").await.is_err());
    case("postgres.pgbouncer_kill", &request, [1, 1]).run(dropped).await;
    // Of one that is paused already looking can not tell whether the clients were dropped.
    let request = prepared("postgres.pgbouncer_kill").await;
    assert_eq!(request.target.object, "database postgres, paused already");
    let found = off(&wire, At::Request, &**all.get("postgres.pgbouncer_kill").unwrap(), &request).await;
    assert_eq!(Says::of(&found), Says::Open, "{found:?}");
    sent("postgres.pgbouncer_resume").await;

    // The file is written, and PgBouncer does not hear that it is to read it.
    let to = [("host", json!("127.0.0.1")), ("port", json!(other.port))];
    let list: Vec<_> = list.into_iter().chain(to).collect();
    let repoint = &**all.get("postgres.pgbouncer_repoint").unwrap();
    let request = prepare(repoint, &world, &list).await.unwrap();
    let moved = async || {
        let client = pooler.connect().await.unwrap();
        let port: String = client.query_one_scalar("SELECT current_setting('port')", &[]).await.unwrap();
        i64::from(port == other.port.to_string())
    };
    let half = Case { lost: Says::Open, ..case("postgres.pgbouncer_repoint", &request, [1, 1]) };
    half.run(moved).await;
}
