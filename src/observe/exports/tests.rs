use super::*;
use crate::config::decode::decode;
use crate::domain::mode::Mode;
use crate::observe::http::rig::{SetClock, measured};
use std::fmt::Write as _;
use std::path::Path;

fn at(text: &str) -> Timestamp {
    format!("2026-11-22T{text}Z").parse().unwrap()
}

/// One tenant whose log is this file, and the clock that it is looked at by.
fn observer(log: &Path) -> (ExportsObserver, Arc<SetClock>) {
    observer_at(log, "t017", at("07:30:00"))
}

/// The same for a tenant and a moment.
pub(super) fn observer_at(log: &Path, tenant: &str, now: Timestamp) -> (ExportsObserver, Arc<SetClock>) {
    observer_of(log, &[tenant], now)
}

/// The same for several tenants.
fn observer_of(log: &Path, tenants: &[&str], now: Timestamp) -> (ExportsObserver, Arc<SetClock>) {
    let tenants = tenants.iter().fold(String::new(), |mut all, tenant| {
        let _ = writeln!(all, "[[tenant]]\nid = \"{tenant}\"\ndatabase = {{ instance = \"pg\", name = \"{tenant}\" }}");
        all
    });
    let config = decode(
        "c.toml",
        &format!(
            "[estate]\nname = \"a\"\nenvironment = \"staging\"\n{tenants}\
             [[postgres]]\nid = \"pg\"\nhost = \"h\"\nuser = \"u\"\n\
             [[logs]]\nid = \"odoo\"\nkind = \"file\"\npath = \"{}\"\nexports = true\n",
            log.display()
        ),
    );
    let clock = SetClock::at(now);
    let shared: Arc<dyn Clock> = clock.clone();
    let mut all = ExportsObserver::all(Mode::ReadOnly.may_observe().unwrap(), &config.unwrap(), &shared);
    assert_eq!(all.len(), 1);
    (all.remove(0), clock)
}

fn line(time: &str, database: &str, user: u64, records: u64) -> String {
    format!(
        "2026-11-22 {time},123 7 INFO {database} odoo.addons.web.controllers.export: User {user} exported {records} \
         'res.partner' records from 10.0.0.{user}. Fields: name,email. Domain: []\n"
    )
}

pub(super) fn records(facts: &MeasuredFacts) -> Option<f64> {
    facts.readings.iter().find(|r| r.signal == "exports.records").map(|r| r.value)
}

#[tokio::test]
async fn what_one_person_takes_in_an_hour_is_summed_and_others_tenants_do_not_count() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("odoo.log");
    let mut text = String::from("2026-11-22 07:00:00,001 7 INFO t017 odoo.http: hello\n");
    text.push_str(&line("06:20:00", "t017", 7, 50_000));
    text.push_str(&line("07:01:00", "t017", 7, 900));
    text.push_str(&line("07:02:00", "t017", 8, 1100));
    text.push_str(&line("07:03:00", "t003", 7, 70_000));
    text.push_str(&line("07:04:00", "t017", 7, 800));
    std::fs::write(&log, &text).unwrap();
    let (mut observer, clock) = observer(&log);
    let first = measured(&mut observer).await;
    assert_eq!(records(&first), Some(1700.0), "{first:?}");
    assert_eq!(first.happened.len(), 1, "a large one is a change: {:?}", first.happened);
    assert!(first.said[0].contains("user 8 of t017 exported 1100 records of res.partner, from 10.0.0.8"), "{first:?}");
    // The same lines are read once more and count once; a new one counts.
    assert_eq!(records(&measured(&mut observer).await), Some(1700.0));
    std::fs::write(&log, text + &line("07:29:00", "t017", 8, 3000)).unwrap();
    clock.set(at("07:45:00"));
    assert_eq!(records(&measured(&mut observer).await), Some(4100.0));
    // An hour later nothing of it is recent.
    clock.set(at("08:40:00"));
    assert_eq!(records(&measured(&mut observer).await), Some(0.0));
}

#[tokio::test]
async fn one_log_of_all_tenants_tells_of_each_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("odoo.log");
    std::fs::write(&log, line("07:20:00", "t1", 7, 11) + &line("07:20:00", "t4", 7, 44)).unwrap();
    let (mut observer, _) = observer_of(&log, &["t1", "t2", "t3", "t4", "t5", "t6"], at("07:30:00"));
    let facts = measured(&mut observer).await;
    let mut told: Vec<(String, f64)> = facts.readings.iter().map(|r| (r.subject.to_string(), r.value)).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    let values: Vec<f64> = told.iter().map(|(_, value)| *value).collect();
    assert_eq!((values, facts.untold.len()), (vec![11.0, 0.0, 0.0, 44.0, 0.0, 0.0], 0), "{facts:?}");
}

#[tokio::test]
async fn a_log_that_is_not_there_or_too_long_acquits_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("odoo.log");
    let (mut observer, clock) = observer(&log);
    let failure = observer.poll().await.unwrap_err();
    assert!(failure.message.contains("is not there"), "{failure}");
    // Two MiB within a minute: only the last is read, and what stood before it is not known.
    let mut text = line("07:20:00", "t017", 7, 90_000);
    while text.len() < 2 << 20 {
        writeln!(text, "2026-11-22 07:29:30,001 7 INFO t017 odoo.http: {}", "x".repeat(200)).unwrap();
    }
    std::fs::write(&log, &text).unwrap();
    let cut = measured(&mut observer).await;
    assert_eq!(records(&cut), None);
    assert!(cut.untold[0].why.contains("is too long"), "{:?}", cut.untold);
    // What is found after the gap accuses all the same; an hour after the gap nothing is missing.
    std::fs::write(&log, text.clone() + &line("07:29:50", "t017", 7, 12_000)).unwrap();
    assert_eq!(records(&measured(&mut observer).await), Some(12_000.0));
    clock.set(at("08:45:00"));
    std::fs::write(&log, text + "2026-11-22 08:44:00,001 7 INFO t017 odoo.http: hello\n").unwrap();
    assert_eq!(records(&measured(&mut observer).await), Some(0.0));
}
