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

    let params = [("tenant", "t017"), ("pooler", "pool"), ("capacity", "1"), ("sessions", "40")];
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
    run.decide("keep", "keep");
    run.decide("handed-over", "done");
    run.finished();
    assert_eq!((workers("t003"), limit("t003")), (others, "-1".into()), "another tenant was touched");

    let records = desk.leave();
    for step in ["fewer-jobs", "limit"] {
        records.acted_once(step);
    }
}
