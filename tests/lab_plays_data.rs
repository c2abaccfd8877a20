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
use lab_support::{LONG, Lab};
use std::net::{TcpListener, TcpStream};

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
        let path = "jsonpath={.spec.template.spec.containers[0].env[0].value} {.metadata.generation}";
        let said = lab.kubectl(&["get", "deployment", "odoo-worker", "-n", tenant, "-o", path]);
        let (channels, generation) = said.split_once(' ').unwrap();
        (channels.to_owned(), generation.parse::<u64>().unwrap())
    };
    let _owner = lab.undo(&["act_owns", "off"]);
    lab.fault(&["act_owns", "on"]);
    let _bound = lab.undo(&["connection_limit", "t017", "-1"]);
    let _size = lab.undo(&["pool_size", "4"]);
    let _channels = lab.undo(&["job_channels", "t017", "root:2"]);
    let _clear = lab.undo(&["pool_exhaust_clear"]);
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
        let said = std::process::Command::new("redis-cli").args(words).output().ok()?.stdout;
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
    let _home = lab.undo(&["redis_home"]);
    let _clear = lab.undo(&["redis_maxmemory_clear"]);
    lab.fault(&["redis_home"]);
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
