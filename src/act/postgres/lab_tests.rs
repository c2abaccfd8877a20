//! Limits, WAL, promotion and pools before real servers, whole and failing in the middle.

use super::tests::{done, execute, failed, permit, prepare, world};
use super::*;
use crate::act::Verbs;
use crate::domain::mode::Mode;
use crate::domain::ports::{Outcome, Reconciled};
use crate::domain::request::{Operation, Request};
use crate::domain::world::World;
use crate::observe::pgbouncer::Pgbouncer;
use crate::observe::postgres::Postgres;
use crate::observe::postgres::testbed::{Pooler, Server, estate};
use serde_json::json;
use std::time::Duration;

/// One server, its verbs and one look at it.
struct Rig {
    server: Server,
    verbs: Verbs,
    world: World,
}

impl Rig {
    async fn start(user: &str, grants: &str) -> Option<Self> {
        let server = Server::start().await?;
        server.role("odoo", "").await;
        server.role(user, grants).await;
        server.sql("postgres", "CREATE DATABASE t017 OWNER odoo").await;
        Some(Self::on(server, user).await)
    }

    async fn on(server: Server, user: &str) -> Self {
        let config = server.config(user);
        let verbs = built(std::slice::from_ref(&config), &[]);
        let mut observer = Postgres::new(Mode::Live.may_observe().unwrap(), &config);
        let world = world(&Arc::new(estate(&["t017"])), &mut [&mut observer]).await;
        Self { server, verbs, world }
    }

    fn verb(&self, name: &str) -> &DynVerb {
        &**self.verbs.get(name).unwrap()
    }
}

pub(super) fn built(instances: &[model::Postgres], poolers: &[model::Pgbouncer]) -> Verbs {
    let may = Mode::Live.may_act().unwrap();
    Verbs::new(verbs(may, &Arc::new(Instances::new(may, instances)), poolers))
}

pub(super) const ACT: &str = "GRANT pg_monitor, odoo, pg_checkpoint TO act;
  GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal(), pg_control_system(),
    pg_control_checkpoint(), pg_promote(boolean, integer) TO act";

fn took(found: &Reconciled) -> bool {
    matches!(found, Reconciled::TookEffect { .. })
}

#[tokio::test]
async fn a_limit_is_set_once_and_only_over_the_one_that_was_shown() {
    let Some(rig) = Rig::start("act", ACT).await else { return };
    let verb = rig.verb("postgres.set_connection_limit");
    let limit = |n: i64| vec![("instance", json!("pg-a")), ("database", json!("t017")), ("limit", json!(n))];
    let request = prepare(verb, &rig.world, &limit(7)).await.unwrap();
    assert_eq!(request.target.object, "database t017, which has no limit");
    assert_eq!(request.target.tenants.len(), 1);
    assert!(request.undo.ends_with("limit = -1"), "{}", request.undo);
    assert_eq!(
        verb.dry_run(&request, None).await.unwrap(),
        "would set 7 sessions in place of no limit; 0 sessions are open"
    );
    assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }));
    assert_eq!(done(execute(verb, &request).await).0, json!({ "limit": 7 }));
    assert!(took(&verb.reconcile(&request).await));
    // The second time, and when somebody else was faster, the server itself refuses.
    let again = failed(execute(verb, &request).await).message;
    assert!(again.contains("the limit is no longer -1"), "{again}");
    assert!(prepare(verb, &rig.world, &limit(7)).await.unwrap_err().message.ends_with("has 7 sessions already"));
    let back = prepare(verb, &rig.world, &limit(-1)).await.unwrap();
    done(execute(verb, &back).await);

    for (list, words) in [
        (limit(0), "would let nobody in"),
        (limit(-2), "allowed is -1 to 262143"),
        (
            vec![("instance", json!("pg-a")), ("database", json!("nix")), ("limit", json!(5))],
            "there is no database nix",
        ),
    ] {
        let refused = prepare(verb, &rig.world, &list).await.unwrap_err().message;
        assert!(refused.contains(words), "{refused}");
    }
    // A database that is gone by then.
    let request = prepare(verb, &rig.world, &limit(9)).await.unwrap();
    rig.server.sql("postgres", "DROP DATABASE t017").await;
    assert!(verb.dry_run(&request, None).await.unwrap_err().message.contains("no database t017 any more"));
    assert!(failed(execute(verb, &request).await).message.contains("the limit is no longer -1"));
}

#[tokio::test]
async fn a_role_without_the_rights_is_told_which_it_needs_and_nothing_happens() {
    let Some(rig) =
        Rig::start("act", "GRANT pg_monitor TO act; GRANT EXECUTE ON FUNCTION pg_control_system() TO act").await
    else {
        return;
    };
    let limit = [("instance", json!("pg-a")), ("database", json!("t017")), ("limit", json!(7))];
    let point = [("instance", json!("pg-a")), ("name", json!("before"))];
    let instance = [("instance", json!("pg-a"))];
    for (name, list, words) in [
        ("postgres.set_connection_limit", &limit[..], "GRANT <owner of the database> TO act"),
        ("postgres.create_restore_point", &point[..], "GRANT EXECUTE ON FUNCTION pg_create_restore_point(text) TO act"),
        ("postgres.switch_wal", &instance[..], "GRANT EXECUTE ON FUNCTION pg_switch_wal() TO act"),
        ("postgres.checkpoint", &instance[..], "GRANT pg_checkpoint TO act"),
    ] {
        let verb = rig.verb(name);
        let request = prepare(verb, &rig.world, list).await.unwrap();
        let refused = failed(execute(verb, &request).await);
        assert_eq!(refused.kind, FailureKind::Permission, "{name}: {refused}");
        assert!(refused.message.contains(words), "{name}: {refused}");
    }
    let verb = rig.verb("postgres.set_connection_limit");
    let request = prepare(verb, &rig.world, &limit).await.unwrap();
    let before = verb.dry_run(&request, None).await.unwrap_err();
    assert_eq!((before.kind, before.message.contains("GRANT odoo")), (FailureKind::Permission, true), "{before}");
}

#[tokio::test]
async fn wal_marks_and_checkpoints_say_where_they_are_and_a_frozen_server_leaves_it_open() {
    let Some(rig) = Rig::start("act", ACT).await else { return };
    let instance = [("instance", json!("pg-a"))];
    let point = rig.verb("postgres.create_restore_point");
    let request = prepare(point, &rig.world, &[("instance", json!("pg-a")), ("name", json!("o'x"))]).await.unwrap();
    assert!(request.by_hand.contains("'o''x'"), "{}", request.by_hand);
    let (result, summary) = done(execute(point, &request).await);
    assert!(result["lsn"].as_str().unwrap().contains('/') && summary.starts_with("restore point o'x"), "{summary}");
    assert!(matches!(point.reconcile(&request).await, Reconciled::Undecided { .. }));

    let switch = rig.verb("postgres.switch_wal");
    let request = prepare(switch, &rig.world, &instance).await.unwrap();
    assert!(switch.dry_run(&request, None).await.unwrap().contains("archive_mode is off"));
    assert!(matches!(switch.reconcile(&request).await, Reconciled::NoEffect { .. }));
    assert_eq!(done(execute(switch, &request).await).0["switched"], json!(true));
    rig.server.sql("postgres", "CREATE TABLE more()").await;
    assert!(took(&switch.reconcile(&request).await));
    assert_eq!(done(execute(switch, &request).await).0["switched"], json!(false), "not a second time");

    let checkpoint = rig.verb("postgres.checkpoint");
    let request = prepare(checkpoint, &rig.world, &instance).await.unwrap();
    let client = rig.server.connect("postgres").await;
    let before: String =
        client.query_one_scalar("SELECT redo_lsn::text FROM pg_control_checkpoint()", &[]).await.unwrap();
    assert!(checkpoint.dry_run(&request, None).await.unwrap().starts_with("would begin a checkpoint"));
    done(execute(checkpoint, &request).await);
    let after: String =
        client.query_one_scalar("SELECT redo_lsn::text FROM pg_control_checkpoint()", &[]).await.unwrap();
    assert_ne!(before, after);

    // The server stands still after it took the connection: what was sent is not known to have failed.
    let request = prepare(switch, &rig.world, &instance).await.unwrap();
    rig.server.freeze();
    let frozen = switch.execute(permit(&request, Duration::from_secs(1))).await;
    assert!(matches!(&frozen, Outcome::Failed { why } if why.kind == FailureKind::Timeout), "{frozen:?}");
    rig.server.thaw();
    assert!(matches!(switch.reconcile(&request).await, Reconciled::NoEffect { .. }));

    let look = rig.verb("postgres.replication");
    let request = prepare(look, &rig.world, &instance).await.unwrap();
    assert_eq!(done(look.look(&request).await).1, "no standby is connected");
}

#[tokio::test]
async fn a_replica_is_promoted_only_when_its_primary_is_fenced() {
    let Some(server) = Server::start().await else { return };
    server.sql("postgres", "CREATE DATABASE t017").await;
    let replica = server.replica().await;
    let (first, second) =
        (server.config("postgres"), model::Postgres { id: "pg-b".into(), ..replica.config("postgres") });
    let may = Mode::Live.may_observe().unwrap();
    let (mut a, mut b) = (Postgres::new(may, &first), Postgres::new(may, &second));
    let both = world(&Arc::new(estate(&["t017"])), &mut [&mut a, &mut b]).await;
    let all = built(&[first, second.clone()], &[]);
    let promote = &**all.get("postgres.promote").unwrap();
    let list = [("instance", json!("pg-b"))];
    let unfenced = prepare(promote, &both, &list).await.unwrap_err().message;
    assert_eq!(unfenced, "pg-a takes writes as the primary: fence it first");
    assert!(
        prepare(promote, &both, &[("instance", json!("pg-a"))]).await.unwrap_err().message.contains("primary already")
    );

    // Nobody observes the primary any more, yet it still feeds the replica: the replica itself refuses.
    let mut b = Postgres::new(may, &second);
    let alone = world(&Arc::new(estate(&["t017"])), &mut [&mut b]).await;
    let request = prepare(promote, &alone, &list).await.unwrap();
    assert!(promote.dry_run(&request, None).await.unwrap_err().message.contains("fenced first"));
    let fed = failed(execute(promote, &request).await).message;
    assert!(fed.contains("still receives WAL from a primary"), "{fed}");

    drop(server);
    replica.until("postgres", "SELECT NOT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE status = 'streaming')").await;
    assert!(promote.dry_run(&request, None).await.unwrap().starts_with("would promote replica pg-b on timeline 1"));
    assert!(matches!(promote.reconcile(&request).await, Reconciled::NoEffect { .. }));
    done(execute(promote, &request).await);
    replica.until("postgres", "SELECT NOT pg_is_in_recovery()").await;
    assert!(took(&promote.reconcile(&request).await));
    let again = failed(execute(promote, &request).await).message;
    assert!(again.contains("it is a primary already"), "{again}");
}

/// A pooler before a server, its verbs, and one look at both.
async fn pooled() -> Option<(Server, Pooler, Verbs, World)> {
    let server = Server::start().await?;
    server.role("act", "").await;
    let pooler = Pooler::start(&server, "act").await?;
    let config = pooler.config(&server, "act");
    let mut observer = Pgbouncer::new(Mode::Live.may_observe().unwrap(), &config);
    pooler.connect().await.unwrap().batch_execute("SELECT 1").await.unwrap();
    let world = world(&Arc::new(estate(&["postgres"])), &mut [&mut observer]).await;
    let verbs = built(&[], &[config]);
    Some((server, pooler, verbs, world))
}

#[tokio::test]
async fn a_pool_is_paused_resumed_and_killed() {
    let Some((_server, pooler, verbs, world)) = pooled().await else { return };
    let list = [("pooler", json!("pool-a")), ("database", json!("postgres"))];
    let verb = |name: &str| Arc::clone(verbs.get(name).unwrap());
    let (pause, resume, kill) =
        (verb("postgres.pgbouncer_pause"), verb("postgres.pgbouncer_resume"), verb("postgres.pgbouncer_kill"));
    let status = verb("postgres.pool_status");
    let look = async || done(status.look(&prepare(&*status, &world, &list[..1]).await.unwrap()).await).1;
    let request = prepare(&*pause, &world, &list).await.unwrap();
    assert_eq!(request.operation.lines(), ["-- database pgbouncer", "PAUSE \"postgres\""]);
    assert!(request.hurts.contains("lose their notifications"), "{}", request.hurts);
    let foreseen = pause.dry_run(&request, None).await.unwrap();
    assert!(foreseen.contains("it serves now") && foreseen.ends_with("1 server connections"), "{foreseen}");
    assert!(matches!(pause.reconcile(&request).await, Reconciled::NoEffect { .. }));

    // A transaction that is open keeps PAUSE waiting: the outcome is open until it ends.
    let holds = pooler.connect().await.unwrap();
    holds.batch_execute("BEGIN").await.unwrap();
    let waiting = pause.execute(permit(&request, Duration::from_millis(800))).await;
    assert!(matches!(&waiting, Outcome::Unknown { why } if why.kind == FailureKind::Timeout), "{waiting:?}");
    holds.batch_execute("COMMIT").await.unwrap();
    let again = prepare(&*resume, &world, &list).await.unwrap();
    let resumed = execute(&*resume, &again).await;
    assert!(matches!(resumed, Outcome::Done { .. }), "{resumed:?}");

    done(execute(&*pause, &request).await);
    assert!(took(&pause.reconcile(&request).await));
    assert_eq!(look().await, "1 databases, paused: postgres");
    let held = pooler.connect().await;
    let back = prepare(&*resume, &world, &list).await.unwrap();
    assert!(matches!(resume.reconcile(&back).await, Reconciled::NoEffect { .. }));
    done(execute(&*resume, &back).await);
    assert!(took(&resume.reconcile(&back).await));
    held.unwrap().batch_execute("SELECT 1").await.unwrap();
    assert_eq!(done(execute(&*resume, &back).await).0["changed"], json!(false), "not paused is what was wanted");

    let victim = pooler.connect().await.unwrap();
    victim.batch_execute("BEGIN").await.unwrap();
    let request = prepare(&*kill, &world, &list).await.unwrap();
    done(execute(&*kill, &request).await);
    assert!(took(&kill.reconcile(&request).await));
    assert!(victim.batch_execute("SELECT 1").await.is_err(), "its connection is gone");
    done(execute(&*resume, &back).await);

    let unknown =
        prepare(&*pause, &world, &[("pooler", json!("pool-a")), ("database", json!("x\"; KILL"))]).await.unwrap();
    assert_eq!(unknown.operation.lines()[1], "PAUSE \"x\"\"; KILL\"");
    assert!(pause.dry_run(&unknown, None).await.unwrap_err().message.contains("knows no database"));
    assert!(matches!(execute(&*pause, &unknown).await, Outcome::Failed { .. }));
    let stranger = Request { verb: "postgres.pgbouncer_kill".into(), ..request };
    assert!(matches!(execute(&*pause, &stranger).await, Outcome::Failed { .. }));
    drop(pooler);
    let gone = failed(execute(&*pause, &prepare(&*pause, &world, &list).await.unwrap()).await);
    assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
}

#[tokio::test]
async fn a_database_is_pointed_at_another_server_and_back() {
    let Some((server, pooler, verbs, world)) = pooled().await else { return };
    let Some(other) = Server::start().await else { return };
    other.sql("postgres", "CREATE TABLE here()").await;
    let repoint = Arc::clone(verbs.get("postgres.pgbouncer_repoint").unwrap());
    let to = |port: u16| {
        let (host, port) = (json!("127.0.0.1"), json!(port));
        [("pooler", json!("pool-a")), ("database", json!("postgres")), ("host", host), ("port", port)]
    };
    let request = prepare(&*repoint, &world, &to(other.port)).await.unwrap();
    let Operation::File { path, .. } = &request.operation else { panic!() };
    let foreseen = repoint.dry_run(&request, None).await.unwrap();
    assert!(foreseen.ends_with(&format!("now it is 127.0.0.1:{}", server.port)), "{foreseen}");
    assert!(matches!(repoint.reconcile(&request).await, Reconciled::NoEffect { .. }));
    let reached = async |port: u16| {
        let client = pooler.connect().await.unwrap();
        let found: String = client.query_one_scalar("SELECT current_setting('port')", &[]).await.unwrap();
        assert_eq!(found, port.to_string());
    };
    reached(server.port).await;
    done(execute(&*repoint, &request).await);
    assert!(took(&repoint.reconcile(&request).await));
    reached(other.port).await;

    // Somebody else writes the file between rendering and executing.
    let back = prepare(&*repoint, &world, &to(server.port)).await.unwrap();
    let now = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, format!("{now}; mine\n")).unwrap();
    let refused = failed(execute(&*repoint, &back).await).message;
    assert!(refused.contains("is another than was shown"), "{refused}");
    let back = prepare(&*repoint, &world, &to(server.port)).await.unwrap();
    done(execute(&*repoint, &back).await);
    reached(server.port).await;
    let list = [("pooler", json!("pool-a")), ("database", json!("nix")), ("host", json!("a b"))];
    let bad = prepare(&*repoint, &world, &list).await.unwrap_err().message;
    assert!(bad.contains("no host name"), "{bad}");
}
