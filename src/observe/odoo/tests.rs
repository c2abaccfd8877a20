//! The observer of tenants before real databases: private ones with the columns that Odoo 19 and `queue_job` 19.0
//! make (and with fewer, as older versions), and the lab's, made by Odoo itself.

use super::*;
use crate::domain::facts::odoo::Channel;
use crate::domain::mode::Mode;
use crate::observe::postgres::testbed::{Server, answer, estate, lab, poll};
use crate::observe::postgres::tests::from_dsn;
use std::time::Instant;

/// The columns that are read or written, as `\d` shows them in a database of Odoo 19 with `queue_job` 19.0, and the
/// trigger of `queue_job/post_init_hook.py`.
pub const ODOO_19: &str = "
CREATE TABLE ir_module_module (id serial PRIMARY KEY, name varchar, state varchar, latest_version varchar);
INSERT INTO ir_module_module (name, state, latest_version) VALUES
  ('base', 'installed', '19.0.1.3'), ('queue_job', 'installed', '19.0.2.4.0'), ('crm', 'uninstalled', NULL);
CREATE TABLE ir_cron (id serial PRIMARY KEY, cron_name varchar, active boolean, nextcall timestamp NOT NULL,
  failure_count integer);
CREATE TABLE queue_job (id serial PRIMARY KEY, uuid varchar NOT NULL DEFAULT gen_random_uuid(), state varchar NOT NULL,
  channel varchar, retry integer, max_retries integer, worker_pid integer, eta timestamp, date_created timestamp,
  date_enqueued timestamp, date_started timestamp, date_done timestamp, date_cancelled timestamp);
CREATE INDEX ON queue_job (channel); CREATE INDEX ON queue_job (state);
CREATE INDEX ON queue_job (channel, date_done, date_created);
CREATE TABLE queue_job_lock (id serial PRIMARY KEY, queue_job_id integer NOT NULL REFERENCES queue_job);
CREATE FUNCTION queue_job_notify() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN PERFORM pg_notify(''queue_job'', NEW.uuid); RETURN NULL; END';
CREATE TRIGGER queue_job_notify AFTER INSERT OR UPDATE ON queue_job FOR EACH ROW EXECUTE PROCEDURE queue_job_notify();
CREATE FUNCTION ago(minutes float8) RETURNS timestamp LANGUAGE sql AS
  'SELECT (now() AT TIME ZONE ''UTC'') - make_interval(secs => minutes * 60)';
";

fn observers(server: &Server, user: &str, tenants: &[&str]) -> Vec<Odoo> {
    Odoo::on(Mode::Live.may_observe().unwrap(), &server.config(user), &estate(tenants), ZOMBIE_AFTER)
}

async fn look(observer: &mut Odoo) -> Result<OdooFacts, Failure> {
    answer(observer).await.map(|facts| match facts {
        Facts::Odoo(facts) => facts,
        other => panic!("{other:?}"),
    })
}

async fn tenant(schema: &str) -> Option<Server> {
    let server = Server::start().await?;
    server.sql("postgres", "CREATE DATABASE t017").await;
    // A zone far from UTC: what is kept in UTC without a zone must not be read as local time.
    server.sql("postgres", "ALTER DATABASE t017 SET TimeZone = 'Asia/Tokyo'").await;
    server.sql("t017", schema).await;
    Some(server)
}

/// Whole minutes, rounded.
fn minutes(seconds: Option<f64>) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation, reason = "small")]
    seconds.map(|s| (s / 60.0).round() as i64)
}

#[tokio::test]
async fn channels_crons_and_pending_modules_are_counted() {
    let Some(server) = tenant(ODOO_19).await else { return };
    let jobs = "
INSERT INTO queue_job (channel, state, date_created, eta, date_started, date_done) VALUES
  ('root.wms', 'pending', ago(20), NULL, NULL, NULL),
  ('root.wms', 'pending', ago(60), ago(30), NULL, NULL),
  ('root.wms', 'pending', ago(90), ago(-60), NULL, NULL),
  ('root.wms', 'enqueued', ago(5), NULL, NULL, NULL),
  ('root.wms', 'wait_dependencies', ago(500), NULL, NULL, NULL),
  ('root.wms', 'started', ago(30), NULL, ago(14), NULL),
  ('root.wms', 'started', ago(30), NULL, ago(16), NULL),
  ('root.wms', 'failed', ago(30), NULL, NULL, NULL),
  ('root.wms', 'done', ago(30), NULL, NULL, ago(9)),
  ('root.wms', 'done', ago(30), NULL, NULL, ago(11)),
  ('root', 'done', ago(30), NULL, NULL, ago(1)),
  (NULL, 'pending', ago(1), NULL, NULL, NULL),
  ('root.mail', 'pending', ago(1), ago(-10), NULL, NULL);
INSERT INTO ir_cron (cron_name, active, nextcall, failure_count) VALUES
  ('Mail: send', true, ago(5), 0), ('Stock: replenish', true, ago(12), 3), ('Late, but off', false, ago(999), 9),
  ('Later', true, ago(-5), NULL);
INSERT INTO ir_module_module (name, state) VALUES ('sale', 'to upgrade'), ('stock', 'to install');";
    server.sql("t017", jobs).await;
    let mut observer = observers(&server, "postgres", &["t017"]).pop().unwrap();
    assert_eq!(observer.spec().id.as_str(), "odoo/t017");
    assert_eq!(observer.spec().address, format!("127.0.0.1:{}/t017", server.port));
    let facts = look(&mut observer).await.unwrap();
    assert_eq!((facts.version.as_str(), facts.modules_pending, facts.job_locks), ("19.0.1.3", Some(2), true));
    let crons = facts.crons.unwrap();
    assert_eq!((crons.active, crons.late, crons.failing), (3, 1, 1));
    assert_eq!((crons.latest.as_deref(), minutes(Some(crons.lateness_s))), (Some("Stock: replenish"), Some(12)));
    let channels = facts.channels.unwrap();
    let wms = channels.iter().find(|c| c.name == "root.wms").unwrap();
    assert_eq!(minutes(wms.oldest_due_s), Some(30), "not the one whose eta is still to come");
    let counts = Channel { oldest_due_s: None, ..wms.clone() };
    let expected = Channel {
        name: "root.wms".into(),
        pending: 3,
        enqueued: 1,
        started: 2,
        failed: 1,
        done_10m: 1,
        zombies: 1,
        oldest_due_s: None,
    };
    assert_eq!(counts, expected);
    let mail = channels.iter().find(|c| c.name == "root.mail").unwrap();
    assert_eq!((mail.pending, mail.oldest_due_s), (1, None), "a job whose eta is to come is not due");
    let root: Vec<_> = channels.iter().filter(|c| c.name == "root").collect();
    assert_eq!(root.iter().map(|c| c.done_10m + c.pending).sum::<u32>(), 2, "{root:?}");
    assert_eq!(channels.len(), root.len() + 2);

    server.sql("t017", "UPDATE ir_cron SET nextcall = ago(-1)").await;
    let facts = look(&mut observer).await.unwrap();
    let crons = facts.crons.unwrap();
    assert_eq!((crons.lateness_s, crons.latest), (0.0, None));
    server.until("postgres", "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'quarterdeck'").await;
}

#[tokio::test]
async fn older_versions_and_other_databases_are_told_apart() {
    let Some(server) = tenant(ODOO_19).await else { return };
    let mut observer = observers(&server, "postgres", &["t017"]).pop().unwrap();
    server.sql("t017", "ALTER TABLE ir_cron DROP failure_count, DROP cron_name; DROP TABLE queue_job_lock").await;
    server.sql("t017", "INSERT INTO ir_cron (active, nextcall) VALUES (true, ago(30))").await;
    let older = look(&mut observer).await.unwrap();
    let crons = older.crons.unwrap();
    assert_eq!((crons.failing, crons.latest.as_deref(), older.job_locks), (0, Some("cron 1"), false));
    assert_eq!(older.channels, Some(Vec::new()));
    server.sql("t017", "DROP TABLE queue_job").await;
    let without = look(&mut observer).await.unwrap();
    assert_eq!((without.channels, without.missing.len()), (None, 0), "the module is not installed");
    server.sql("t017", "DROP TABLE ir_cron").await;
    let other = look(&mut observer).await.unwrap_err();
    assert_eq!(other.kind, FailureKind::Protocol, "{other}");
    assert!(other.message.contains("no Odoo in this database"), "{other}");
}

#[tokio::test]
async fn rights_that_are_missing_are_named_with_what_gives_them() {
    let Some(server) = tenant(ODOO_19).await else { return };
    server.role("poor", "").await;
    let mut observer = observers(&server, "poor", &["t017"]).pop().unwrap();
    let nothing = look(&mut observer).await.unwrap_err();
    assert_eq!(nothing.kind, FailureKind::Permission, "{nothing}");
    assert!(nothing.message.ends_with("GRANT SELECT ON ir_module_module, ir_cron TO poor"), "{nothing}");
    server.sql("t017", "GRANT SELECT ON ir_module_module, ir_cron TO poor").await;
    let half = look(&mut observer).await.unwrap();
    assert_eq!((half.version.as_str(), &half.channels, half.queue_unseen), ("19.0.1.3", &None, true));
    assert_eq!(half.missing[0].remedy, "GRANT SELECT ON queue_job TO poor");
    server.sql("t017", "GRANT SELECT ON queue_job TO poor").await;
    let whole = look(&mut observer).await.unwrap();
    assert_eq!((whole.channels, whole.missing), (Some(Vec::new()), Vec::new()));
}

#[tokio::test]
async fn a_locked_table_is_a_timeout_of_the_server_not_of_the_others() {
    let Some(server) = tenant(ODOO_19).await else { return };
    server.sql("postgres", "CREATE DATABASE t018 TEMPLATE t017").await;
    let upgrade = server.connect("t017").await;
    upgrade.batch_execute("BEGIN; LOCK TABLE queue_job").await.unwrap();
    let mut both = observers(&server, "postgres", &["t017", "t018"]);
    let other = both.pop().unwrap();
    let mut locked = both.pop().unwrap();
    let failure = poll(&mut locked).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    assert!(failure.message.contains("statement timeout"), "{failure}");
    let mut other = other;
    look(&mut other).await.unwrap();
    upgrade.batch_execute("COMMIT").await.unwrap();
    look(&mut locked).await.unwrap();
}

#[tokio::test]
async fn many_tenants_never_take_more_than_two_sessions_at_a_time() {
    let Some(server) = tenant(ODOO_19).await else { return };
    let names: Vec<String> = (100..108).map(|n| format!("t{n}")).collect();
    for name in &names {
        server.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE t017")).await;
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let watch = server.connect("postgres").await;
    let looking = observers(&server, "postgres", &names)
        .into_iter()
        .map(|mut observer| tokio::spawn(async move { look(&mut observer).await.map(|facts| facts.version) }));
    let looking: Vec<_> = looking.collect();
    let mut most = 0_i64;
    let count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'quarterdeck'";
    let deadline = Instant::now() + Duration::from_mins(1);
    while looking.iter().any(|task| !task.is_finished()) {
        most = most.max(watch.query_one_scalar::<i64, _>(count, &[]).await.unwrap());
        assert!(Instant::now() < deadline);
    }
    for task in looking {
        assert_eq!(task.await.unwrap().unwrap(), "19.0.1.3");
    }
    assert!(most >= 1 && most <= i64::try_from(AT_ONCE).unwrap(), "{most} sessions at a time");
}

#[tokio::test]
async fn the_more_tenants_a_server_has_the_rarer_each_is_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let config = from_dsn("postgres://a:b@127.0.0.1:5432/postgres", &dir);
    let seconds = |config: &model::Postgres, tenants| interval(config, tenants).as_secs();
    assert_eq!([1, 2, 3, 300].map(|n| seconds(&config, n)), [10, 10, 15, 1500]);
    let dear = model::Postgres { interval: Duration::from_mins(1), ..config.clone() };
    assert_eq!([3, 300].map(|n| seconds(&dear, n)), [60, 1500]);
    let cheap = model::Postgres { tenant_pace: Duration::from_millis(200), ..config };
    assert_eq!(seconds(&cheap, 300), 60);
}

#[tokio::test]
async fn a_frozen_server_is_a_timeout() {
    let Some(server) = tenant(ODOO_19).await else { return };
    let config = model::Postgres { timeout: Duration::from_millis(300), ..server.config("postgres") };
    let may = Mode::Live.may_observe().unwrap();
    let mut observer = Odoo::on(may, &config, &estate(&["t017"]), ZOMBIE_AFTER).pop().unwrap();
    server.freeze();
    let failure = poll(&mut observer).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    assert!(failure.message.ends_with("/t017 within 0.3 s"), "{failure}");
    server.thaw();
    server.until("postgres", "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name = 'quarterdeck'").await;
}

#[tokio::test]
async fn a_database_made_by_odoo_is_read() {
    let Some(dsn) = lab("LAB_PG_OBSERVE_DSN") else { return };
    let dir = tempfile::tempdir().unwrap();
    let config = from_dsn(&dsn, &dir);
    let may = Mode::Live.may_observe().unwrap();
    let mut observer = Odoo::on(may, &config, &estate(&["t017"]), ZOMBIE_AFTER).pop().unwrap();
    match look(&mut observer).await {
        Ok(facts) => {
            assert!(facts.version.starts_with("19.0."), "{facts:?}");
            assert!(
                facts.crons.as_ref().unwrap().active > 10 && facts.job_locks && facts.missing.is_empty(),
                "{facts:?}"
            );
            assert!(facts.channels.is_some(), "{facts:?}");
        }
        Err(failure) if failure.message.contains("no Odoo in this database") => {
            crate::observe::postgres::testbed::skip("the lab's part odoo is not up");
        }
        Err(failure) => panic!("{failure}"),
    }
}

/// What a planning run leaves behind, as Odoo 19 writes it, and the orders beside it.
const BUSINESS: &str = "
ALTER TABLE ir_cron ADD COLUMN lastcall timestamp;
CREATE TABLE ir_model_data (id serial PRIMARY KEY, module varchar, name varchar, res_id integer);
CREATE INDEX ON ir_model_data (module, name);
CREATE TABLE ir_cron_progress (id serial PRIMARY KEY, cron_id integer, create_date timestamp, write_date timestamp);
CREATE INDEX ON ir_cron_progress (cron_id);
CREATE TABLE sale_order (id serial PRIMARY KEY, state varchar, date_order timestamp);
INSERT INTO ir_cron (id, cron_name, active, nextcall) VALUES (7, 'Procurement: run scheduler', true, ago(-60));
INSERT INTO ir_model_data (module, name, res_id) VALUES ('stock', 'ir_cron_scheduler_action', 7);
INSERT INTO sale_order (state, date_order) VALUES ('sale', ago(10)), ('sale', ago(50)), ('draft', ago(1)), ('sale', ago(70));
";

#[tokio::test]
async fn orders_and_the_planning_run_are_read_and_what_may_not_be_read_is_said_with_its_grant() {
    let Some(server) = tenant(ODOO_19).await else { return };
    server.sql("t017", BUSINESS).await;
    server.role("observe", "").await;
    server.sql("t017", "GRANT SELECT ON ir_module_module, ir_cron, queue_job, sale_order TO observe").await;
    let mut observer = observers(&server, "observe", &["t017"]).remove(0);
    let facts = look(&mut observer).await.unwrap();
    assert_eq!((facts.orders_hour, facts.planning), (Some(2), None));
    let remedy = "GRANT SELECT ON ir_cron_progress, ir_model_data TO observe";
    assert!(facts.missing.iter().any(|m| m.remedy == remedy), "{facts:#?}");
    server.sql("t017", "GRANT SELECT ON ir_cron_progress, ir_model_data TO observe").await;
    let facts = look(&mut observer).await.unwrap();
    assert!(facts.planning.is_none() && facts.missing.is_empty(), "no run yet: {facts:#?}");
    let ran = |from: u32, to: u32| {
        format!("INSERT INTO ir_cron_progress (cron_id, create_date, write_date) VALUES (7, ago({from}), ago({to}))")
    };
    let last = |minutes: u32| format!("UPDATE ir_cron SET lastcall = ago({minutes}) WHERE id = 7");
    server.sql("t017", &ran(30, 18)).await;
    server.sql("t017", &last(30)).await;
    let planning = look(&mut observer).await.unwrap().planning.unwrap();
    assert_eq!((minutes(Some(planning.took_s)), planning.ended), (Some(12), true));
    // One that has begun and not ended, although its row was written since.
    server.sql("t017", &ran(9, 8)).await;
    let planning = look(&mut observer).await.unwrap().planning.unwrap();
    assert_eq!((minutes(Some(planning.took_s)), planning.ended), (Some(9), false));
    server.sql("t017", "UPDATE ir_cron_progress SET write_date = ago(5) WHERE id = 2").await;
    server.sql("t017", &last(9)).await;
    let planning = look(&mut observer).await.unwrap().planning.unwrap();
    assert_eq!((minutes(Some(planning.took_s)), planning.ended), (Some(4), true));
}

#[tokio::test]
async fn a_table_full_of_dead_rows_and_one_full_of_holes_are_told_by_name() {
    let Some(server) = tenant(ODOO_19).await else { return };
    server.role("observe", "").await;
    server.sql("t017", "GRANT SELECT ON ir_module_module, ir_cron, queue_job TO observe").await;
    // 500,000 rows: some 34 MiB, and 11 MiB of index.
    let rows = "CREATE TABLE moves (id serial PRIMARY KEY, note text) WITH (autovacuum_enabled = false);
        INSERT INTO moves (note) SELECT 'stock move ' || n FROM generate_series(1, 500000) AS n;";
    server.sql("t017", rows).await;
    server.sql("t017", "VACUUM ANALYZE moves").await;
    let server = &server;
    // What is known is kept for ten minutes: each look is that of a new observer.
    let seen = |user: &'static str| async move {
        look(&mut observers(server, user, &["t017"]).remove(0)).await.unwrap().bloat.unwrap()
    };
    let full = seen("postgres").await;
    assert!(full.share.is_some_and(|s| s < 0.2) && full.dead_share < 0.01 && full.said.is_empty(), "{full:#?}");
    server.sql("t017", "DELETE FROM moves WHERE id % 4 <> 0").await;
    server.until("t017", "SELECT n_dead_tup > 300000 FROM pg_stat_all_tables WHERE relname = 'moves'").await;
    let dead = seen("postgres").await;
    assert!((0.7..0.8).contains(&dead.dead_share), "{dead:#?}");
    assert!(dead.said.iter().any(|s| s == "moves: 75% of its rows are dead and wait for a vacuum"), "{dead:#?}");
    server.sql("t017", "VACUUM ANALYZE moves").await;
    let holes = seen("postgres").await;
    assert!(holes.dead_share < 0.01 && holes.share.is_some_and(|s| (0.65..0.85).contains(&s)), "{holes:#?}");
    assert!(holes.bytes.is_some_and(|b| (25e6..45e6).contains(&b)), "{holes:#?}");
    for name in ["moves: about ", "moves_pkey: about "] {
        assert!(holes.said.iter().any(|s| s.starts_with(name)), "{name}: {holes:#?}");
    }
    // Who may not read the table is not shown its statistics: that is no zero.
    let poor = seen("observe").await;
    assert_eq!((poor.share, poor.bytes), (None, None));
    assert!(poor.said.iter().any(|s| s.starts_with("2 of 2 large tables and indexes")), "{poor:#?}");
}

#[tokio::test]
async fn an_owner_of_another_database_that_may_connect_is_found() {
    let Some(server) = tenant(ODOO_19).await else { return };
    server.role("observe", "").await;
    server.sql("t017", "GRANT SELECT ON ir_module_module, ir_cron, queue_job TO observe").await;
    server.sql("postgres", "CREATE ROLE own LOGIN; CREATE ROLE stranger LOGIN; CREATE ROLE idle LOGIN").await;
    server.sql("postgres", "ALTER DATABASE t017 OWNER TO own").await;
    let mut observer = observers(&server, "observe", &["t017"]).remove(0);
    let access = look(&mut observer).await.unwrap().access.unwrap();
    assert_eq!((access.owner.as_str(), access.own_role, access.foreign.len()), ("own", true, 0));
    server.sql("postgres", "CREATE DATABASE t018 OWNER stranger").await;
    let access = look(&mut observer).await.unwrap().access.unwrap();
    assert_eq!(access.foreign, ["stranger"], "PUBLIC may connect as long as nobody took it away");
    server.sql("postgres", "REVOKE CONNECT ON DATABASE t017 FROM PUBLIC").await;
    server.sql("postgres", "GRANT CONNECT ON DATABASE t017 TO observe").await;
    assert!(look(&mut observer).await.unwrap().access.unwrap().foreign.is_empty());
    server.sql("postgres", "CREATE DATABASE t019 OWNER own").await;
    assert!(!look(&mut observer).await.unwrap().access.unwrap().own_role);
}
