//! The playbooks for databases, stores and Odoo, played on the lab's servers without a screen: each fault is made for
//! real, each gate is gone through by its name, and the outcome is read from the servers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
#[path = "lab_support/headless.rs"]
mod headless;
mod lab_support;
mod support;

use headless::Desk;
use lab_support::keep::pgbackrest;
use lab_support::{LONG, Lab};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

/// What pgbouncer says of the pool of a database: clients that wait, server connections at work.
fn pool(lab: &Lab, database: &str) -> (u64, u64) {
    let line = lab.ask(&["pool_of", database]);
    let (waiting, active) = line.split_once(' ').unwrap();
    (waiting.parse().unwrap(), active.parse().unwrap())
}

#[test]
fn a_pool_that_is_full_of_load_is_relieved_and_nobody_elses() {
    let needs = ["LAB_PG_ADMIN_DSN", "LAB_PGBOUNCER_PORT", "LAB_ODOO_WORKER_URL", "LAB_KUBECTL"];
    let Some(lab) = Lab::open("db-saturation", &needs) else { return };
    let limit = |db: &str| lab.sql("postgres", &format!("SELECT datconnlimit FROM pg_database WHERE datname = '{db}'"));
    let workers = |tenant: &str| {
        let path = "{.spec.template.spec.containers[0].env[0].value} {.metadata.generation}";
        let said = lab.object(&["deployment", "odoo-worker", "-n", tenant], path);
        let (channels, generation) = said.split_once(' ').unwrap();
        (channels.to_owned(), generation.parse::<u64>().unwrap())
    };
    let _owner = lab.home(&["act_owns", "off"]);
    lab.fault(&["act_owns", "on"]);
    let _bound = lab.home(&["connection_limit", "t017", "-1"]);
    let _size = lab.home(&["pool_size", "4"]);
    let _channels = lab.home(&["job_channels", "t017", "root:2"]);
    let _clear = lab.home(&["pool_exhaust_clear"]);
    let desk = Desk::open(&lab);
    let (others, before) = (workers("t003"), workers("t017"));
    assert_eq!((before.0.as_str(), limit("t017").as_str()), ("root:2", "-1"));
    lab.fault(&["pool_exhaust", "t017", "25"]);
    desk.offers("pool-wait", "t017", "db-saturation", LONG);
    desk.declare("t017 waits for connections", "SEV2");

    let params = [("tenant", "t017"), ("pooler", "pool"), ("capacity", "1"), ("usual", "2"), ("sessions", "40")];
    let mut run = desk.start("db-saturation", &params);
    run.confirm("fewer-jobs");
    assert_eq!(workers("t017").0, "root:1");
    lab.until("the job runner runs one job at once", LONG, || lab.ask(&["channels_in_use"]) == "root:1");
    run.confirm("limit");
    assert_eq!((limit("t017"), limit("t003"), limit("t090")), ("40".into(), "-1".into(), "-1".into()));
    // What a person does at the pool's own file.
    assert_eq!(pool(&lab, "t017").0, 25);
    lab.fault(&["pool_size", "32"]);
    run.decide("resize", "done");
    assert_eq!(pool(&lab, "t017"), (0, 29), "all are served at once");
    run.decide("keep", "lift");
    run.confirm("lift-limit");
    assert_eq!(limit("t017"), "-1");
    run.confirm("lift-capacity");
    assert_eq!(workers("t017").0, "root:2");
    lab.until("the job runner runs two jobs at once", LONG, || lab.ask(&["channels_in_use"]) == "root:2");
    run.decide("handed-over", "done");
    run.finished();
    assert_eq!((workers("t003"), limit("t003")), (others, "-1".into()), "another tenant was touched");
    assert_eq!(workers("t017").1, before.1 + 2, "its workers were replaced twice and no more");

    let records = desk.leave();
    for step in ["fewer-jobs", "limit", "lift-limit", "lift-capacity"] {
        records.acted_once(step);
    }
    // What the run has set, it has lifted.
    for measure in ["channels/t017", "connections/pg-a/t017"] {
        assert_eq!(records.measure(measure), ["measure.set", "measure.lifted"], "{measure}");
    }
}

/// What a Redis says, as its administrator.
fn redis(lab: &Lab, port: &str, words: &[&str]) -> String {
    lab.ask(&[&["redis_ask", port], words].concat())
}

/// A line of `INFO` of a Redis.
fn info(lab: &Lab, port: &str, name: &str) -> String {
    let all = redis(lab, port, &["info"]);
    let found = all.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    found.unwrap_or_else(|| panic!("{name} is not in {all}")).trim().to_owned()
}

/// The lab's Redis with the user that acts.
fn redis_acts(lab: &Lab, config: &mut toml::Table) {
    let redis = config["redis"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    let password = format!("file:{}", lab.var("LAB_REDIS_ACT_PASSWORD_FILE"));
    let act = [("user".to_owned(), "quarterdeck_act".into()), ("password".to_owned(), password.into())];
    redis.insert("act".into(), toml::Table::from_iter(act).into());
}

/// What stands between clients and the primary, as a Service of Kubernetes or a proxy does: each connection is led to
/// the port that the sentinels name at that moment. It ends with the test's process.
fn service(lab: &Lab) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let sentinel = lab.var("LAB_REDIS_SENTINELS").split([',', ':']).nth(1).unwrap().to_owned();
    let lead = move |client: TcpStream| -> Option<()> {
        let words = ["-p", &sentinel, "sentinel", "get-master-addr-by-name", "lab"];
        let said = Command::new("redis-cli").args(words).output().ok()?.stdout;
        let primary: u16 = String::from_utf8(said).ok()?.lines().nth(1)?.parse().ok()?;
        let server = TcpStream::connect(("127.0.0.1", primary)).ok()?;
        for (mut from, mut to) in [(client.try_clone().ok()?, server.try_clone().ok()?), (server, client)] {
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from, &mut to);
                let _ = to.shutdown(std::net::Shutdown::Both);
            });
        }
        Some(())
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let _ = lead(client);
        }
    });
    port
}

#[test]
fn a_full_redis_gets_room_is_cleared_handed_over_and_emptied() {
    let needs = ["LAB_REDIS_PORT", "LAB_REDIS_REPLICA_PORT", "LAB_REDIS_SENTINELS"];
    let Some(lab) = Lab::open("redis-pressure", &needs) else { return };
    let (first, second) = (lab.var("LAB_REDIS_PORT"), lab.var("LAB_REDIS_REPLICA_PORT"));
    let _home = lab.home(&["redis_home"]);
    let _clear = lab.home(&["redis_maxmemory_clear"]);
    let desk = Desk::open_with(&lab, "", |config| {
        redis_acts(&lab, config);
        let url = format!("redis://127.0.0.1:{}/0", service(&lab));
        config["redis"].as_array_mut().unwrap()[0].as_table_mut().unwrap().insert("url".into(), url.into());
    });
    lab.fault(&["redis_maxmemory"]);
    redis(&lab, first, &["set", "cart:t003", "eleven bearings"]);
    desk.offers("redis-evictions", "redis-s", "redis-pressure", LONG);
    desk.declare("nobody can log in", "SEV2");

    let params = [
        ("tenant", "t017"),
        ("redis", "redis-s"),
        ("purpose", "session"),
        ("bytes", "128mb"),
        ("pattern", "session:*"),
    ];
    let mut run = desk.start("redis-pressure", &params);
    run.ask("purge");
    run.approve("purge");
    run.ask("room");
    run.approve("room");
    assert_eq!(info(&lab, first, "maxmemory"), (128 << 20).to_string());
    // What a person does at this place: the writer is found and stopped.
    lab.fault(&["redis_writer_stop"]);
    redis(&lab, first, &["set", "cart:t003", "eleven bearings"]);
    let keys = |port: &str, pattern: &str| redis(&lab, port, &["--scan", "--pattern", pattern]).lines().count();
    assert!(keys(first, "session:*") > 100);
    run.decide("what-fills-it", "left-behind");
    run.ask_typed("delete", "redis-s");
    run.approve("delete");
    assert_eq!(keys(first, "session:*"), 0);
    assert_eq!(redis(&lab, first, &["get", "cart:t003"]), "eleven bearings", "another's key was deleted");

    run.decide("enough", "fail-over");
    run.ask_typed("fail-over", "redis-s");
    run.approve("fail-over");
    assert_eq!(info(&lab, second, "role"), "master");
    assert_eq!(redis(&lab, second, &["get", "cart:t003"]), "eleven bearings", "the replica had everything");

    // The old one cuts its clients off once it follows; until the engine looks at the new one a step is made for the old.
    let observed = || redis(&lab, second, &["client", "list"]).contains("user=quarterdeck_observe");
    lab.until("the old primary follows and the new one is observed", LONG, || {
        info(&lab, first, "role") == "slave" && observed()
    });
    run.decide("still-full", "flush");
    run.ask_typed("flush", "redis-s");
    run.approve("flush");
    assert_eq!(redis(&lab, second, &["dbsize"]), "0", "{}", redis(&lab, second, &["keys", "*"]));
    run.finished();

    let records = desk.leave();
    // It has no check of its own.
    records.in_order("purge", &["step.confirmed", "approval.granted", "step.started", "step.finished"]);
    for step in ["room", "delete", "fail-over", "flush"] {
        records.acted_once_approved(step, "ines");
    }
}

/// The active crons of a tenant, by name.
fn crons(lab: &Lab, tenant: &str) -> String {
    lab.sql(tenant, "SELECT cron_name FROM ir_cron WHERE active ORDER BY 1")
}

#[test]
fn writers_wait_until_a_replica_has_caught_up() {
    let needs = ["LAB_PG_ADMIN_DSN", "LAB_PG_REPLICA_PORT", "LAB_ODOO_URL"];
    let Some(lab) = Lab::open("replication-lag, throttled", &needs) else { return };
    let _resume = lab.home(&["replica_resume"]);
    let _crons = lab.home(&["crons_home", "t017"]);
    let desk = Desk::open(&lab);
    let before = ["t017", "t003"].map(|tenant| crons(&lab, tenant));
    assert!(before.iter().all(|names| names.lines().count() > 5), "{before:?}");
    lab.fault(&["replica_pause"]);
    desk.offers("replication-lag", "pg-", "replication-lag", LONG);

    let params = [("tenant", "t017"), ("patroni", "none"), ("replica", "pg-b")];
    let mut run = desk.start("replication-lag", &params);
    assert!(run.outcome("identify").contains("replica1"), "{}", run.outcome("identify"));
    run.decide("kind", "writes");
    run.confirm("throttle");
    assert_eq!([crons(&lab, "t017"), crons(&lab, "t003")], [String::new(), before[1].clone()]);
    // The lag shrinks once the replica replays again.
    lab.fault(&["replica_resume"]);
    run.decide("enough", "yes");
    run.decide("resume", "resume");
    run.confirm("resume-crons");
    assert_eq!(["t017", "t003"].map(|tenant| crons(&lab, tenant)), before, "just those that ran before run again");
    run.decide("done", "done");
    run.finished();

    let records = desk.leave();
    for step in ["throttle", "resume-crons"] {
        records.acted_once(step);
    }
    assert_eq!(records.measure("crons/t017"), ["measure.set", "measure.lifted"]);
}

/// The lab's two members of Patroni as sources `db-1` and `db-2`, and t017's database on the first.
fn patroni(lab: &Lab, config: &mut toml::Table) {
    let servers = config["postgres"].as_array_mut().unwrap();
    for number in [1, 2] {
        let mut server = servers[0].as_table().unwrap().clone();
        server.insert("id".into(), format!("db-{number}").into());
        let port: i64 = lab.var(&format!("LAB_PATRONI_{number}_PORT")).parse().unwrap();
        server.insert("port".into(), port.into());
        servers.push(server.into());
    }
    let text = format!(
        "[[patroni]]\nid = \"db\"\nurl = \"{}\"\nact = {{ user = \"quarterdeck\", password = \"file:{}\" }}\n\
         [database]\ninstance = \"db-1\"\nname = \"t017\"\n",
        lab.var("LAB_PATRONI_2_URL"),
        lab.var("LAB_PATRONI_PASSWORD_FILE"),
    );
    let mut own: toml::Table = text.parse().unwrap();
    config.insert("patroni".into(), own.remove("patroni").unwrap());
    let tenant = config["tenant"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    tenant.insert("database".into(), own.remove("database").unwrap());
}

const PATRONI: &[&str] = &["LAB_PATRONI_1_PORT", "LAB_PATRONI_2_PORT", "LAB_PG_ADMIN_DSN", "LAB_TRAEFIK_HTTP"];

#[test]
fn patroni_fails_over_when_the_primary_is_lost() {
    let Some(lab) = Lab::open("pg-failover, Patroni", PATRONI) else { return };
    let _home = lab.home(&["patroni_home"]);
    let _well = lab.home(&["backend_5xx", "t017", "off"]);
    lab.ask(&[
        "patroni_sql",
        "1",
        "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n",
    ]);
    let desk = Desk::open_with(&lab, "", |config| patroni(&lab, config));
    let timeline = lab.ask(&["patroni_sql", "2", "SELECT timeline_id FROM pg_control_checkpoint()"]);
    lab.fault(&["patroni_primary_lost"]);
    // What Odoo answers without its database; the lab's own has another one.
    lab.fault(&["backend_5xx", "t017", "on"]);
    lab.fault(&["traffic", "t017", "60"]);
    desk.offers("source-unknown", "db-1", "pg-failover", LONG);
    desk.declare("the database server of t017 is gone", "SEV1");

    let params = [
        ("tenant", "t017"),
        ("cluster", "k8s"),
        ("namespace", "t017"),
        ("database", "db"),
        ("old", "db-1"),
        ("new", "db-2"),
        ("pooler", "pool"),
        ("host", "127.0.0.1"),
    ];
    let mut run = desk.start("pg-failover", &params);
    run.approve("accept-loss");
    run.decide("manager", "patroni");
    run.ask_typed("patroni-failover", "db-2");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let leads = || lab.ask(&["patroni_member", "db-2"]) == "leader running";
            lab.until("db-2 leads", LONG, leads);
            // As Odoo recovers once it reaches its database again.
            lab.fault(&["backend_5xx", "t017", "off"]);
            (0..8).for_each(|_| drop(lab.fault(&["traffic", "t017", "50"])));
        });
        run.approve("patroni-failover");
    });
    assert_eq!(lab.ask(&["patroni_member", "db-2"]), "leader running");
    assert_eq!(lab.ask(&["patroni_sql", "2", "SELECT pg_is_in_recovery()"]), "f");
    lab.ask(&["patroni_sql", "2", "INSERT INTO kept VALUES (1001)"]);
    assert_eq!(lab.ask(&["patroni_sql", "2", "SELECT count(*) FROM kept"]), "1001");
    let now = lab.ask(&["patroni_sql", "2", "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)"]);
    assert_ne!(now, format!("{timeline:0>8}"), "it is a new timeline");
    run.give("check-orders", &[("complete_until", "the moment of the loss")]);
    run.decide("tell", "done");
    run.finished();
    let records = desk.leave();
    records.acted_once_approved("patroni-failover", "ines");
}

#[test]
fn a_replica_that_does_not_start_is_made_anew_by_patroni() {
    let Some(lab) = Lab::open("replication-lag, Patroni", PATRONI) else { return };
    let _home = lab.home(&["patroni_home"]);
    lab.ask(&[
        "patroni_sql",
        "1",
        "DROP TABLE IF EXISTS kept; CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n",
    ]);
    let timeline = |number: &str| lab.ask(&["patroni_sql", number, "SELECT timeline_id FROM pg_control_checkpoint()"]);
    let before = timeline("1");
    let desk = Desk::open_with(&lab, "", |config| patroni(&lab, config));
    lab.fault(&["patroni_break", "db-2"]);
    desk.offers_too("keeper", "db", "replication-lag", LONG);
    desk.declare("the replica of t017's server is lost", "SEV2");

    let mut run = desk.start("replication-lag", &[("tenant", "t017"), ("patroni", "db"), ("replica", "db-2")]);
    run.decide("kind", "broken");
    run.ask_typed("rebuild", "db-2");
    run.approve("rebuild");
    lab.until("db-2 follows", LONG, || lab.ask(&["patroni_member", "db-2"]).starts_with("replica "));
    assert_eq!(lab.ask(&["patroni_sql", "2", "SELECT pg_is_in_recovery(), count(*) FROM kept"]), "t|1000");
    run.decide("resume", "none");
    run.decide("done", "done");
    run.finished();
    assert_eq!((lab.ask(&["patroni_member", "db-1"]).as_str(), timeline("1")), ("leader running", before));

    let records = desk.leave();
    records.acted_once_approved("rebuild", "ines");
}

#[test]
fn a_tenant_that_takes_from_all_is_bounded() {
    let needs = ["LAB_PG_ADMIN_DSN", "LAB_TRAEFIK_HTTP", "LAB_KUBECTL", "LAB_ODOO_PYTHON"];
    let Some(lab) = Lab::open("noisy-tenant", &needs) else { return };
    let _owner = lab.home(&["act_owns", "off"]);
    lab.fault(&["act_owns", "on"]);
    let _bound = lab.home(&["connection_limit", "t003", "-1"]);
    let _quota = lab.home(&["quota_clear", "t003"]);
    let _limits = lab.home(&["limits_clear", "t003"]);
    let _clear = lab.home(&["connections_churn_clear", "t003"]);
    // At the shipped 95% the lab's 80 connections leave none to look with.
    let desk = Desk::open_with(&lab, "", |config| {
        let lower = "signal = \"connections.share\"\nwarn = 0.7\ncritical = 0.8\n".parse::<toml::Table>().unwrap();
        config.insert("threshold".into(), vec![toml::Value::from(lower)].into());
    });
    lab.fault(&["connections_churn", "t003", "60"]);
    desk.offers("connections", "pg-a", "noisy-tenant", LONG);
    desk.declare("t003 takes all connections", "SEV2");

    let params = [("tenant", "t003"), ("requests", "2"), ("sessions", "15"), ("cores", "4")];
    let mut run = desk.start("noisy-tenant", &params);
    run.decide("which", "requests");
    run.confirm("limit-requests");
    let refused = |tenant: &str| (0..20).filter(|_| lab.request(tenant).0 == 429).count();
    assert!(refused("t003") > 5 && refused("t017") == 0);
    run.confirm("limit-sessions");
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = 't003' AND usename = 'odoo'";
    lab.until("t003 has 15 sessions at most", LONG, || lab.count("postgres", sql) <= 15);
    run.confirm("quota");
    let quotas = |tenant: &str| lab.object(&["resourcequota", "-n", tenant], "{.items[*].spec.hard}");
    assert_eq!([quotas("t003"), quotas("t017")], [r#"{"limits.cpu":"4"}"#.to_owned(), String::new()]);
    run.decide("tell-tenant", "done");
    lab.fault(&["connections_churn_clear", "t003"]);
    run.decide("lift", "lift");
    run.confirm("lift-requests");
    assert_eq!(refused("t003"), 0);
    run.confirm("lift-sessions");
    assert_eq!(lab.sql("postgres", "SELECT datconnlimit FROM pg_database WHERE datname = 't003'"), "-1");
    run.decide("handed-over", "done");
    run.finished();

    let records = desk.leave();
    for step in ["limit-requests", "limit-sessions", "quota", "lift-requests", "lift-sessions"] {
        records.acted_once(step);
    }
    for (measure, lifted) in [("rate_limit/t003", true), ("connections/pg-a/t003", true), ("quota/k8s/t003/x", false)] {
        let kinds = records.measure(measure);
        assert_eq!(kinds.last() == Some(&"measure.lifted"), lifted, "{measure}: {kinds:?}");
    }
}

#[test]
fn a_stale_backup_is_taken_again_and_restored_aside() {
    let needs = ["LAB_BACKUP_CONFIG", "LAB_BACKUP_ASIDE", "LAB_PG_ADMIN_DSN"];
    let Some(lab) = Lab::open("backup-failure", &needs) else { return };
    let _gone = lab.home(&["backup_aside_clear", "proof"]);
    let _fresh = lab.home(&["backup_stale", "off"]);
    let aside = Path::new(lab.var("LAB_BACKUP_ASIDE")).join("proof");
    let desk = Desk::open_with(&lab, "", |config| pgbackrest(&lab, config));
    lab.ask(&["backup_sql", "DELETE FROM kept WHERE n > 1000"]);
    lab.fault(&["backup_stale", "on"]);
    desk.offers("backup", "backup-a", "backup-failure", LONG);
    desk.declare("no backup since three days", "SEV2");
    let before = lab.ask(&["backup_labels"]);
    assert_eq!(before.split(' ').count(), 1, "{before}");

    let mut run = desk.start("backup-failure", &[("tenant", "t017"), ("backup", "backup-a"), ("aside", "proof")]);
    run.decide("mend", "done");
    run.confirm("prove-archive");
    lab.ask(&["backup_sql", "INSERT INTO kept VALUES (1001)"]);
    run.confirm("take");
    let after = lab.ask(&["backup_labels"]);
    assert!(after.starts_with(&before) && after.split(' ').count() == 2, "{after}");
    run.confirm("restore-test");
    assert_eq!(lab.ask(&["backup_read", "proof", "SELECT count(*), max(n) FROM kept"]), "1001|1001");
    run.give("read-it", &[("newest_row", "row 1001 of kept"), ("minutes", "1")]);
    assert!(aside.join("PG_VERSION").exists());
    lab.fault(&["backup_aside_clear", "proof"]);
    run.decide("remove-copy", "done");
    run.finished();
    assert_eq!(lab.ask(&["backup_sql", "SELECT pg_is_in_recovery(), count(*) FROM kept"]), "f|1001", "it ran on");

    let records = desk.leave();
    for step in ["prove-archive", "take", "restore-test"] {
        records.acted_once(step);
    }
}

#[test]
fn a_planning_run_gets_the_workers() {
    let needs = ["LAB_PG_ADMIN_DSN", "LAB_ODOO_WORKER_URL", "LAB_KUBECTL", "LAB_PG_REPLICA_PORT"];
    let Some(lab) = Lab::open("mrp-degradation", &needs) else { return };
    let _clear = lab.home(&["queue_clear", "t017"]);
    let _thaw = lab.home(&["workers_thaw"]);
    let _crons = lab.home(&["crons_home", "t017"]);
    let desk = Desk::open(&lab);
    let jobs = |what: &str| lab.count("t017", &format!("SELECT count(*) FROM queue_job WHERE {what}"));
    let pods = |tenant: &str| lab.object(&["deployment", "odoo", "-n", tenant], "{.status.availableReplicas}");
    let before = ["t017", "t003"].map(|tenant| crons(&lab, tenant));
    lab.fault(&["queue_backlog", "t017", "30", "45"]);
    let finding = desk.offers("queue-age", "t017", "queue-backlog", LONG);
    assert!(desk.also_offers(&finding, "mrp-degradation"));
    desk.declare("planning of t017 is late", "SEV2");

    let params =
        [("tenant", "t017"), ("channel", "root.mrp"), ("web_pods", "3"), ("web_pods_after", "2"), ("replica", "pg-b")];
    let mut run = desk.start("mrp-degradation", &params);
    run.confirm("throttle");
    assert_eq!(
        [crons(&lab, "t017"), crons(&lab, "t003")],
        ["Procurement: run scheduler".to_owned(), before[1].clone()]
    );
    run.confirm("first");
    // One or two may have been with a worker at that moment, which hangs: they come back as they were.
    assert_eq!(jobs("channel <> 'root.mrp' AND priority = 1"), 0, "just those of the planning");
    assert!(jobs("channel = 'root.mrp' AND priority = 1") >= 8);
    // What has held the workers back is over.
    lab.fault(&["workers_thaw"]);
    run.confirm("scale-reads");
    assert_eq!([pods("t017"), pods("t003")], ["3", "2"]);
    run.decide("page-dba", "done");
    run.confirm("resume");
    assert_eq!(jobs("state = 'done'"), 30);
    assert_eq!(["t017", "t003"].map(|tenant| crons(&lab, tenant)), before);
    run.confirm("scale-back");
    assert_eq!([pods("t017"), pods("t003")], ["2", "2"]);
    run.give("baseline", &[("took_minutes", "46"), ("usual_minutes", "20")]);
    run.finished();

    let records = desk.leave();
    for step in ["throttle", "first", "scale-reads", "resume", "scale-back"] {
        records.acted_once(step);
    }
}
