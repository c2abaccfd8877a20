//! The faults of the lab, made for real one after the other, and whether the engine names each: the right finding,
//! within two intervals after the rule's hold, with the right playbook first, and gone again afterwards. And a healthy
//! lab under load, of which nothing may be said. In small with `cargo test`; `tests/faults` runs all of it and prints
//! the table that `docs/faults.md` keeps.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod cases;
#[path = "../lab_support/mod.rs"]
mod lab_support;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/engine.rs"]
mod support_engine;
mod watch;

use cases::{CASES, Case};
use lab_support::Lab;
use lab_support::load::Load;
use lab_support::rules::SCALE;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use watch::{Seen, Watch};

/// What the lab needs to have.
const NEEDS: &[&str] = &["LAB_PG_ADMIN_DSN", "LAB_KUBECTL", "LAB_TRAEFIK_HTTP", "LAB_REDIS_PORT", "LAB_ODOO_BIN"];
/// Longest wait for a finding, beyond its hold and what the threshold itself asks for.
const DETECT: Duration = Duration::from_mins(1);
/// Longest wait until a finding is gone: three good samples of the slowest source, and its servers' own time.
const CLEAR: Duration = Duration::from_mins(3);

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|n| n.parse().unwrap_or_else(|e| panic!("{name}={n}: {e}")))
}

/// What became of one fault.
struct Outcome {
    case: &'static Case,
    round: u64,
    detected: Option<Duration>,
    cleared: Option<Duration>,
    seen: Option<Seen>,
    /// Other findings at that moment.
    beside: Vec<String>,
}

impl Outcome {
    /// What is wrong with it.
    fn wrong(&self) -> Option<String> {
        let case = self.case;
        let Some(seen) = &self.seen else {
            return Some(format!("not detected; beside: {}", self.beside.join(", ")));
        };
        let late = self.detected.is_some_and(|took| took > case.allowed());
        let rank = case.playbook.map(|right| seen.playbooks.iter().position(|p| p == right));
        match rank {
            Some(None) => {
                Some(format!("{} is not offered, but {:?}", case.playbook.unwrap_or_default(), seen.playbooks))
            }
            Some(Some(1..)) => Some(format!("not first: {:?}", seen.playbooks)),
            _ if late => Some(format!("late: allowed were {:.1} s", case.allowed().as_secs_f64())),
            _ if self.cleared.is_none() => Some("not cleared".to_owned()),
            _ => None,
        }
    }

    fn row(&self) -> String {
        let seconds = |took: Option<Duration>| took.map_or("–".to_owned(), |t| format!("{:.1}", t.as_secs_f64()));
        let seen = self.seen.as_ref();
        let rank = self.case.playbook.map_or("–".to_owned(), |right| {
            let at = seen.and_then(|s| s.playbooks.iter().position(|p| p == right));
            at.map_or(format!("{right}: not offered"), |at| format!("{right}: {}", at + 1))
        });
        format!(
            "| {} | {} | {} | {} | {} | {} | {rank} | {} |",
            self.case.name,
            self.round,
            seconds(self.detected),
            seconds(Some(self.case.hold())),
            seconds(self.cleared),
            seen.map_or("–", |s| s.rule.as_str()),
            self.wrong().unwrap_or_else(|| "right".to_owned()),
        )
    }
}

/// Makes a fault, watches, and takes it back.
fn play(lab: &Lab, watch: &Watch, case: &'static Case, round: u64) -> Outcome {
    let is_it = |seen: &Seen| case.rules.contains(&seen.rule.as_str()) && seen.whole.contains(case.about);
    let at_rest = watch.quiet();
    let of_before: BTreeSet<String> = at_rest.iter().filter(|s| is_it(s)).map(|s| s.id.clone()).collect();
    let is_new = |seen: &Seen| is_it(seen) && !of_before.contains(&seen.id);
    let _load = case.load.map(|tenant| Load::of(lab, &[tenant]));
    for step in case.make {
        lab.fault(step);
    }
    let there = Instant::now();
    let found = watch.until(case.hold() + case.wait + DETECT, |all| all.iter().find(|s| is_new(s)).cloned());
    let detected = found.is_some().then(|| there.elapsed());
    // What is offered may depend on signals that come a moment later.
    let settled = |all: &[Seen]| {
        let now = all.iter().find(|s| is_new(s))?;
        let first = now.playbooks.first().map(String::as_str);
        (case.playbook.is_none() || first == case.playbook).then(|| now.clone())
    };
    let seen = found.and_then(|found| watch.until(Duration::from_secs(15), settled).or(Some(found)));
    let beside = watch.now().into_iter().filter(|s| !is_it(s) && !at_rest.iter().any(|r| r.id == s.id));
    let beside = beside.map(|s| s.rule).collect();
    for step in case.undo {
        lab.fault(step);
    }
    let undone = Instant::now();
    let gone = seen.is_some() && watch.until(CLEAR, |all| (!all.iter().any(is_new)).then_some(())).is_some();
    Outcome { case, round, detected, cleared: gone.then(|| undone.elapsed()), seen, beside }
}

#[test]
fn every_fault_is_named_with_its_cause_and_the_right_playbook_first() {
    let Some(lab) = Lab::open("the table of faults", NEEDS) else { return };
    let rounds = number("QUARTERDECK_FAULT_ROUNDS");
    let only = std::env::var("QUARTERDECK_FAULT").ok();
    let wanted = |case: &&Case| only.as_ref().map_or(rounds.is_some() || case.quick, |name| case.name.contains(name));
    let lacks = CASES.iter().filter(wanted).flat_map(|c| c.needs).find(|key| lab.find(key).is_none());
    assert!(lacks.is_none(), "{lacks:?} is not in the lab: tests/lab/lab up backups prometheus storage");
    let watch = Watch::start(&lab);
    let mut outcomes = vec![];
    for round in 1..=rounds.unwrap_or(1) {
        for case in CASES.iter().filter(wanted) {
            let outcome = play(&lab, &watch, case, round);
            lab.note(&outcome.row());
            outcomes.push(outcome);
        }
    }
    println!(
        "| fault | round | detected after, s | hold (1/{SCALE}), s | cleared after, s | finding | playbook: rank | |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for outcome in &outcomes {
        println!("{}", outcome.row());
    }
    let wrong: Vec<String> =
        outcomes.iter().filter_map(|o| o.wrong().map(|why| format!("{} ({}): {why}", o.case.name, o.round))).collect();
    println!("{} faults, {} right", outcomes.len(), outcomes.len() - wrong.len());
    assert!(!outcomes.is_empty() && wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_healthy_lab_under_load_is_not_accused() {
    let Some(lab) = Lab::open("a healthy lab", NEEDS) else { return };
    // A fault of before may have ended a thread of Odoo's that nothing starts again.
    lab.fault(&["crons_run"]);
    let watch = Watch::start(&lab);
    let before = watch.quiet();
    let minutes = number("QUARTERDECK_HEALTHY_MINUTES");
    let time = minutes.map_or(Duration::from_secs(15), |m| Duration::from_secs(m * 60));
    let load = Load::of(&lab, &["t017", "t003", "t090"]);
    // Each once, as it was said first.
    let mut accused = BTreeMap::new();
    watch.until(time, |all| {
        for said in all.iter().filter(|s| !before.iter().any(|b| b.id == s.id)) {
            accused.entry(said.id.clone()).or_insert_with(|| format!("{}: {}", said.rule, said.what));
        }
        None::<()>
    });
    println!("{} s of healthy running, {} requests: {} false findings", time.as_secs(), load.served(), accused.len());
    assert!(accused.is_empty() && load.served() > 0, "{accused:#?}");
}
