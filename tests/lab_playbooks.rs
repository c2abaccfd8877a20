//! The playbooks against the real lab: keys are pressed in a pseudo-terminal, the fault is made for real, and the
//! outcome is read from the servers, never from the console. Tests of this file take turns at the one lab.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod lab_support;
mod support;

use lab_support::chain::{ROOT, client_output, clients_were_served, lives, session, waiting};
use lab_support::seat::{STEP, Seat};
use lab_support::wire::{At, Wire, runs};
use lab_support::{LONG, Lab};
use std::path::Path;
use support::{ENTER, SOON, TAB};

const POSTGRES: &[&str] = &["LAB_PG_ADMIN_DSN", "LAB_PG_PRIMARY_PORT"];

/// Names of steps, as the screen has them.
const CANCEL: &str = "cancel the root's query";
const TERMINATE: &str = "terminate the root";
const PAGE_ON: &str = "put the page up";
const PAGE_OFF: &str = "take the page down";
const RESTART: &str = "restart the tenant's workers";
const REQUEUE: &str = "requeue jobs whose worker died";

#[test]
fn an_idle_root_blocker_is_ended_under_the_broken_glass_and_nobody_else() {
    let Some(lab) = Lab::open("schema-lock, idle", POSTGRES) else { return };
    let _clear = lab.undo(&["lock_chain_clear"]);
    let _idle = lab.undo(&["idle_in_transaction_clear", "t017"]);
    lab.fault(&["idle_in_transaction", "t017"]);
    let bystander = session(&lab, "t017", "odoo-report-t017");
    lab.fault(&["lock_chain", "t003", "1", "idle"]);
    let other_chain = session(&lab, "t003", ROOT);
    lab.fault(&["lock_chain", "t017", "8", "idle"]);
    let root = session(&lab, "t017", ROOT);
    let pid = root.split('|').next().unwrap().to_owned();
    let told = client_output(&lab, "t017", 8);

    let mut seat = Seat::open(&lab);
    seat.term.until("the finding on the overview", LONG, |s| s.contains("schema-lock") && s.contains(&pid));
    seat.start("schema-lock", "t017");
    seat.awaits(CANCEL);
    let screen = seat.term.text();
    assert!(screen.contains("8 waiting behind pid"), "the look shows the tree:\n{screen}");

    // Cancel has the focus: a bare Enter sends nothing.
    seat.open_dialog(CANCEL);
    seat.term.keys(ENTER);
    seat.term.shows("cancelled: nothing was sent");
    assert!(lives(&lab, &root));
    let records = seat.records();
    assert_eq!((records.count("cancel-root", "step.confirmed"), records.count("cancel-root", "step.started")), (0, 0));

    seat.confirm(CANCEL);
    lab.note("cancel is confirmed");
    // Cancelling what runs no query changes nothing; a high step then needs an incident.
    seat.term.until("terminate to be refused", STEP, |s| s.contains("it needs a declared incident"));
    assert!(lives(&lab, &root) && waiting(&lab, "t017") == 8);
    let records = seat.records();
    records.in_order(
        "cancel-root",
        &["step.intended", "step.confirmed", "step.started", "step.finished", "step.verification_failed"],
    );
    seat.declare();
    seat.term.until("terminate to be refused without a second person", STEP, |s| s.contains("the policy names nobody"));
    assert_eq!(seat.records().count("terminate-root", "step.intended"), 0);
    seat.break_glass("nobody of the DBAs answers, three plants stand");
    seat.awaits(TERMINATE);

    // The wrong word does not run it, and neither does a bare Enter.
    seat.open_dialog(TERMINATE);
    seat.term.keys("t003").keys(TAB).keys(ENTER);
    seat.term.shows("type `t017` exactly");
    assert!(lives(&lab, &root));
    assert_eq!(seat.records().count("terminate-root", "step.confirmed"), 0);
    seat.term.keys("\x7f\x7f\x7f\x7ft017");
    seat.term.shows("Ready: nothing stands in the way.");
    seat.term.keys(ENTER);
    lab.until("the root is gone and nobody waits", STEP, || !lives(&lab, &root) && waiting(&lab, "t017") == 0);
    seat.term.until("the run to finish", STEP, |s| s.contains("finished"));
    clients_were_served(&lab, "t017", &told);
    assert!(lives(&lab, &bystander), "an innocent session of the same database was ended");
    assert!(lives(&lab, &other_chain) && waiting(&lab, "t003") == 1, "another tenant's chain was touched");

    let records = seat.leave();
    records.in_order(
        "terminate-root",
        &[
            "step.intended",
            "step.confirmed",
            "approval.requested",
            "approval.granted",
            "step.started",
            "step.finished",
            "step.verified",
        ],
    );
    assert_eq!(records.count("terminate-root", "step.started"), 1);
    let broken = records.all("glass.broken");
    assert_eq!(broken.len(), 1);
    assert!(broken[0]["body"]["reason"].as_str().unwrap().contains("three plants stand"), "{}", broken[0]);
    let intended = records.bodies("terminate-root", "step.intended");
    assert!(intended.iter().all(|b| b["request"]["operation"].to_string().contains(&pid)), "{intended:?}");
    let confirmed = records.bodies("terminate-root", "step.confirmed");
    assert_eq!(confirmed[0]["digest"], intended.last().unwrap()["digest"], "what was shown is what ran");
}

#[test]
fn a_running_root_blocker_is_cancelled_and_needs_no_glass() {
    let Some(lab) = Lab::open("schema-lock, active", POSTGRES) else { return };
    let _clear = lab.undo(&["lock_chain_clear"]);
    lab.fault(&["lock_chain", "t017", "6", "active"]);
    let told = client_output(&lab, "t017", 6);
    let mut seat = Seat::open(&lab);
    seat.term.until("the finding on the overview", LONG, |s| s.contains("schema-lock") && s.contains("t017"));
    seat.start("schema-lock", "t017");
    seat.confirm(CANCEL);
    lab.until("nobody waits", STEP, || waiting(&lab, "t017") == 0);
    seat.term.until("the run to finish", STEP, |s| s.contains("finished"));
    clients_were_served(&lab, "t017", &told);
    let records = seat.leave();
    records.in_order(
        "cancel-root",
        &["step.intended", "step.confirmed", "step.started", "step.finished", "step.verified"],
    );
    assert_eq!(records.count("terminate-root", "step.started"), 0);
    assert_eq!(records.count("terminate-root", "step.skipped"), 1);
    assert!(records.all("glass.broken").is_empty());
}

#[test]
fn a_confirmation_for_one_root_can_not_end_the_next_one() {
    let Some(lab) = Lab::open("stale confirmation", POSTGRES) else { return };
    let _clear = lab.undo(&["lock_chain_clear"]);
    lab.fault(&["lock_chain", "t017", "6", "idle"]);
    let first = session(&lab, "t017", ROOT);
    // A slow observer: the console goes on believing in the first root while the second is there already.
    let mut seat = Seat::open_with(&lab, |config| {
        for instance in config["postgres"].as_array_mut().unwrap() {
            instance.as_table_mut().unwrap().insert("interval".into(), "10s".into());
        }
    });
    seat.term.until("the finding on the overview", LONG, |s| s.contains("schema-lock") && s.contains("t017"));
    seat.declare();
    seat.break_glass("the second person sits in a train");
    seat.start("schema-lock", "t017");
    seat.confirm(CANCEL);
    seat.awaits(TERMINATE);
    seat.open_dialog(TERMINATE);
    seat.term.keys("t017");
    seat.term.shows("Ready: nothing stands in the way.");
    seat.term.keys(TAB);

    lab.fault(&["lock_chain", "t017", "6", "idle"]);
    let second = session(&lab, "t017", ROOT);
    assert!(!lives(&lab, &first) && first != second);
    let dialog_stood = seat.term.text().contains("Confirm step");
    lab.note(if dialog_stood { "the dialog still stands" } else { "the dialog has closed" });
    seat.term.keys(ENTER);
    // Sent or refused here, the console says so, and the second root is not touched.
    lab.until("the journal to tell what became of it", STEP, || {
        let records = seat.records();
        !dialog_stood || ["step.refused", "step.finished"].iter().any(|kind| records.count("terminate-root", kind) > 0)
    });
    assert!(lives(&lab, &second), "the next root was ended by a confirmation for the one before");
    assert_eq!(waiting(&lab, "t017"), 6);

    // Once the observer has seen the second root, the step can be tried again, and then asks for that one by name.
    let named = |session: &str| format!("backend {} ", session.split('|').next().unwrap());
    seat.term.keys("d");
    let pid = second.split('|').next().unwrap();
    seat.term.until("the second root in the lock tree", LONG, |s| s.contains(pid));
    seat.term.keys(" ");
    seat.decide_if_asked();
    seat.awaits(TERMINATE);
    seat.open_dialog(TERMINATE);
    let dialog = seat.term.text();
    assert!(dialog.contains(&named(&second)) && !dialog.contains(&named(&first)), "{dialog}");
    seat.term.keys(ENTER);
    seat.term.shows("cancelled: nothing was sent");

    let records = seat.leave_with_open_run();
    for finished in records.bodies("terminate-root", "step.finished") {
        assert_eq!(finished["ended"], "failed", "{finished}");
    }
    let shown = records.bodies("terminate-root", "step.intended");
    for confirmed in records.bodies("terminate-root", "step.confirmed") {
        let shown = shown.iter().find(|b| b["digest"] == confirmed["digest"]).unwrap();
        let object = shown["request"]["target"]["object"].as_str().unwrap();
        assert!(object.contains(&named(&first)), "{object}");
    }
    assert!(lives(&lab, &second));
}

#[test]
fn the_maintenance_page_goes_up_and_down_for_one_tenant() {
    let needs = ["LAB_TRAEFIK_HTTP", "LAB_TRAEFIK_DYNAMIC", "LAB_MAINTENANCE_URL"];
    let Some(lab) = Lab::open("maintenance-mode", &needs) else { return };
    let file = Path::new(lab.var("LAB_TRAEFIK_DYNAMIC")).join("quarterdeck-maintenance-t017.yml");
    let _gone = Remove(&file);
    let answers = || ["t017", "t003", "t090"].map(|t| lab.request(t).0);
    assert_eq!(answers(), [200, 200, 200], "before");

    let mut seat = Seat::open(&lab);
    seat.all_known();
    seat.declare();
    seat.start("maintenance-mode", "t017");
    seat.awaits(PAGE_ON);
    seat.open_dialog(PAGE_ON);
    seat.term.keys(ENTER);
    seat.term.shows("cancelled: nothing was sent");
    assert!(!file.exists() && lab.request("t017").0 == 200);

    seat.confirm(PAGE_ON);
    lab.until("t017 answers 503", STEP, || lab.request("t017").0 == 503);
    let (_, page) = lab.request("t017");
    assert!(page.contains("Maintenance"), "{page}");
    assert_eq!(answers(), [503, 200, 200], "other tenants are not touched");
    seat.term.until("the measure in the alarms", STEP, |s| s.contains("1 measure in force"));
    seat.term.keys("m");
    seat.term.until("the measures", SOON, |s| s.contains("Measures in force") && s.contains("maintenance/t017"));
    seat.close("Measures in force");
    seat.try_to_close("page is up");
    seat.term.until("the refusal", SOON, |s| s.contains("maintenance/t017 is in force and has no owner"));
    assert!(seat.records().all("incident.closed").is_empty());

    seat.decide_if_asked();
    seat.confirm(PAGE_OFF);
    lab.until("t017 answers 200", STEP, || lab.request("t017").0 == 200);
    seat.term.until("the run to finish", STEP, |s| s.contains("finished"));
    assert!(!file.exists(), "{} is still there", file.display());
    assert_eq!(answers(), [200, 200, 200], "after");
    seat.try_to_close("the page is down, all answer");
    seat.term.until("the incident to be closed", SOON, |s| s.contains("no incident"));

    let records = seat.leave();
    for step in ["page-on", "page-off"] {
        let order = ["step.intended", "step.confirmed", "step.started", "step.finished", "step.verified"];
        records.in_order(step, &order);
        assert_eq!(records.count(step, "step.started"), 1);
    }
    assert_eq!((records.all("measure.set").len(), records.all("measure.lifted").len()), (1, 1));
    assert_eq!(records.all("measure.set")[0]["body"]["measure"], "maintenance/t017");
    assert_eq!(records.all("incident.closed").len(), 1);
}

/// Removes a file when it is dropped, however the test ends.
struct Remove<'a>(&'a Path);

impl Drop for Remove<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.0);
    }
}

#[test]
fn hanging_workers_are_restarted_and_a_zombie_is_requeued_once() {
    let needs = ["LAB_PG_ADMIN_DSN", "LAB_ODOO_WORKER_URL", "LAB_KUBECTL"];
    let Some(lab) = Lab::open("queue-backlog", &needs) else { return };
    let _clear = lab.undo(&["queue_clear", "t017"]);
    let _thaw = lab.undo(&["workers_thaw"]);
    lab.fault(&["queue_clear", "t017"]);
    // One of the two places of the job runner is taken by a job that nobody works on.
    lab.fault(&["zombie_jobs", "t017", "1"]);
    let zombie = lab.sql("t017", "SELECT uuid FROM queue_job WHERE state = 'started'");
    lab.fault(&["queue_backlog", "t017", "30", "20"]);
    // There is none for a moment, while they are restarted.
    let workers = || std::fs::read_to_string(lab.dir().join("run/odoo-worker.pid")).ok();
    let restarted = || {
        let path = "{.spec.template.metadata.annotations.kubectl\\.kubernetes\\.io/restartedAt}";
        lab.object(&["deployment", "odoo-worker", "-n", "t017"], path)
    };
    let (hanging, before) = (workers(), restarted());
    let state = |state: &str| lab.count("t017", &format!("SELECT count(*) FROM queue_job WHERE state = '{state}'"));

    let mut seat = Seat::open(&lab);
    seat.term.until("the finding on the overview", LONG, |s| s.contains("queue-backlog") && s.contains("t017"));
    seat.start("queue-backlog", "t017");
    seat.awaits(RESTART);
    assert_eq!(state("done"), 0, "nothing is worked on before the restart");
    seat.confirm(RESTART);
    lab.until("Kubernetes has another restart", STEP, || restarted() != before);
    lab.until("the workers are other processes", STEP, || workers().is_some_and(|now| Some(now) != hanging));
    lab.until("30 jobs are done", LONG, || state("done") >= 30);
    assert_eq!(lab.sql("t017", &format!("SELECT state FROM queue_job WHERE uuid = '{zombie}'")), "started");
    seat.term.until("a person to say that the owners were told", STEP, |s| s.contains("waits for your decision"));
    seat.decide_if_asked();
    seat.confirm(REQUEUE);
    lab.until("the zombie is done", LONG, || state("done") == 31);
    seat.term.until("the run to finish", LONG, |s| s.contains("finished"));
    assert_eq!(lab.count("t017", "SELECT count(*) FROM queue_job"), 31, "no job was made twice");

    let records = seat.leave();
    let order = ["step.intended", "step.confirmed", "step.started", "step.finished", "step.verified"];
    records.in_order("restart-workers", &order);
    records.in_order("requeue-zombies", &order);
    assert_eq!(records.count("requeue-zombies", "step.started"), 1);
    let finished = records.bodies("requeue-zombies", "step.finished");
    let result: serde_json::Value = serde_json::from_str(finished[0]["result"].as_str().unwrap()).unwrap();
    assert_eq!(result["requeued"], 1, "{result}");
}

#[test]
fn a_source_that_never_answers_is_unknown_while_the_others_live_and_recovers() {
    let Some(lab) = Lab::open("silent sources", &["LAB_PG_REPLICA_PORT", "LAB_REDIS_PLAIN_URL"]) else { return };
    let _ports = lab.undo(&["ports_clear"]);
    let _thaw = lab.undo(&["replica_thaw"]);
    let port = lab.fault(&["blackhole_port"]);
    let mut seat = Seat::open_with(&lab, |config| {
        let redis = config["redis"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
        redis.insert("url".into(), format!("redis://127.0.0.1:{port}/0").into());
        redis.remove("sentinels");
        redis.remove("sentinel_name");
    });
    // One never answered; the others are there all the same.
    seat.term.until("one unknown source", LONG, |s| s.contains("1 source unknown: redis-s"));
    seat.term.keys("s");
    let row = |s: &str, id: &str| {
        let mut lines = s.lines().filter(|l| l.split_whitespace().nth(1) == Some(id));
        lines.next().unwrap_or_default().to_owned()
    };
    let silent = |s: &str, id: &str| {
        let row = row(s, id);
        row.contains(" unknown ") && row.contains("no answer from 127")
    };
    let all_but = |s: &str, ids: &[&str]| {
        let known = ["k8s", "pg-a", "pg-b", "pool", "edge"];
        known.iter().filter(|id| !ids.contains(id)).all(|id| row(s, id).contains("ok"))
    };
    seat.term.until("why Redis is unknown", SOON, |s| {
        silent(s, "redis-s") && s.contains("unknown since 20") && all_but(s, &[])
    });

    // One that answered is stopped in the middle.
    lab.fault(&["replica_freeze"]);
    seat.term.until("the replica unknown, and why", LONG, |s| silent(s, "pg-b"));
    let before = seat.term.text();
    assert!(all_but(&before, &["pg-b"]), "{before}");
    let since = seat.term.until("its silence to grow while the others stay fresh", SOON, |s| {
        silent(s, "pg-b") && row(s, "pg-b") != row(&before, "pg-b") && all_but(s, &["pg-b"])
    });
    lab.note(row(&since, "pg-b").trim());
    lab.fault(&["replica_thaw"]);
    seat.term.until("the replica to be known again", LONG, |s| row(s, "pg-b").contains("ok"));
    let replaying = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
    assert_eq!(lab.count("postgres", replaying), 1);
    seat.leave();
}

#[test]
fn an_answer_that_never_comes_is_looked_after_and_the_step_never_sent_twice() {
    let Some(lab) = Lab::open("unknown outcome", POSTGRES) else { return };
    let _clear = lab.undo(&["lock_chain_clear"]);
    lab.fault(&["lock_chain", "t017", "6", "idle"]);
    let root = session(&lab, "t017", ROOT);
    let wire = Wire::to(lab.var("LAB_PG_PRIMARY_PORT").parse().unwrap(), runs("pg_terminate_backend"));
    wire.arm(At::Answer);
    let mut seat = Seat::open_with(&lab, |config| {
        let primary = config["postgres"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
        primary.insert("port".into(), i64::from(wire.port()).into());
    });
    seat.term.until("the finding on the overview", LONG, |s| s.contains("schema-lock") && s.contains("t017"));
    seat.declare();
    seat.break_glass("the approvers do not answer tonight");
    seat.start("schema-lock", "t017");
    seat.confirm(CANCEL);
    seat.awaits(TERMINATE);
    seat.open_dialog(TERMINATE);
    seat.term.keys("t017");
    seat.term.shows("Ready: nothing stands in the way.");
    seat.term.keys(TAB).keys(ENTER);
    lab.until("the root is gone", STEP, || !lives(&lab, &root));
    lab.until("the console to look what became of it", LONG, || {
        seat.records().count("terminate-root", "step.reconciled") > 0
    });
    seat.term.until("the run to finish", STEP, |s| s.contains("finished"));

    assert_eq!(wire.arrived(), 1, "the statement was sent once");
    let records = seat.leave();
    let order = ["step.confirmed", "step.started", "step.unknown", "step.reconciled", "step.verified"];
    records.in_order("terminate-root", &order);
    assert_eq!(
        (records.count("terminate-root", "step.started"), records.count("terminate-root", "step.finished")),
        (1, 0)
    );
    assert_eq!(records.bodies("terminate-root", "step.reconciled")[0]["found"], "took-effect");
}
