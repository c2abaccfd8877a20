//! Kill -9 of engine and console, and cuts of the network, at each boundary of a step that acts on the lab's real
//! servers: no step runs twice and none is forgotten, as the servers themselves count. For each adapter one verb of each
//! class of effect. In small the worst boundary of each adapter; `QUARTERDECK_CAMPAIGN=full` (tests/campaign) goes
//! through all of them, and `QUARTERDECK_KILLS=WORD` keeps to the verbs whose names contain the word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "../support/engine.rs"]
mod engine;
#[path = "../lab_support/mod.rs"]
mod lab_support;
#[path = "../support/postgres.rs"]
mod postgres;
#[path = "../support/mod.rs"]
mod support;

mod boundary;
mod case;
mod cluster;
mod database;
mod keeper;
mod local;
mod store;
mod synthetic;
mod syscalls;
mod trial;

use boundary::Boundary;
use case::Case;
use lab_support::Lab;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Cases that are tried at the same time: they mostly wait.
const AT_ONCE: usize = 8;

const NEEDS: &[&str] =
    &["LAB_KUBECTL", "LAB_DELIVERY", "LAB_PG_ADMIN_DSN", "LAB_REDIS_ADMIN_URL", "LAB_ODOO_URL", "LAB_TRAEFIK_API"];

#[test]
fn no_kill_and_no_cut_runs_a_step_twice_or_forgets_one() {
    let Some(lab) = Lab::open("kills", NEEDS) else { return };
    let full = std::env::var("QUARTERDECK_CAMPAIGN").is_ok_and(|v| v == "full");
    let only = std::env::var("QUARTERDECK_KILLS").unwrap_or_default();
    let scene = case::Scene::new(&lab);
    let mut cases = cluster::cases(&scene);
    cases.extend(database::cases(&scene));
    cases.extend(store::cases(&scene));
    cases.extend(local::cases(&scene));
    cases.extend(keeper::cases(&scene));
    cases.extend(synthetic::cases(&scene));
    cases.retain(|case| case.verb.contains(&only) && (full || case.first));
    assert!(!cases.is_empty(), "no verb has {only} in its name");
    let traced = syscalls::can_trace();
    let next = AtomicUsize::new(0);
    let counts: Mutex<BTreeMap<String, usize>> = Mutex::default();
    let failed: Mutex<Vec<String>> = Mutex::default();
    let tried = |case: &Case<'_>| {
        let mut lasts = BTreeMap::<String, usize>::new();
        let mut done = 0;
        let mut over = None;
        for boundary in boundary::of(case, full, traced) {
            if over.is_some() && over == Some(boundary.kind()) {
                continue;
            }
            let last = match catch_unwind(AssertUnwindSafe(|| trial::run(&scene, case, &boundary))) {
                Ok(Some(last)) => last,
                // The run does not come that far: neither does it with a later call of this kind.
                Ok(None) => {
                    over = Some(boundary.kind());
                    continue;
                }
                Err(why) => {
                    failed.lock().unwrap().push(format!("{} {boundary:?}: {}", case.verb, words(&*why)));
                    trial::release(&case.gate, false);
                    continue;
                }
            };
            done += 1;
            if full {
                lab.note(&format!("{} {boundary:?}: {last}", case.verb));
            }
            *lasts.entry(last).or_default() += 1;
            *counts.lock().unwrap().entry(boundary.class().to_owned()).or_default() += 1;
        }
        if done == 0 {
            failed.lock().unwrap().push(format!("{}: nothing was ever cut", case.verb));
        }
        lab.note(&format!("{} ({}): {done} cases, last on disk at the cut: {lasts:?}", case.verb, case.class));
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    tried(case);
                }
            });
        }
    });
    store::tidy(&lab);
    let (counts, failed) = (counts.into_inner().unwrap(), failed.into_inner().unwrap());
    assert!(failed.is_empty(), "{} cases failed:\n{}", failed.len(), failed.join("\n"));
    let total: usize = counts.values().sum();
    let by_class: Vec<String> = counts.iter().map(|(class, n)| format!("{n} {class}")).collect();
    lab.note(&format!(
        "{total} cases on the lab over {} verbs ({}): each effect counted once by its server",
        cases.len(),
        by_class.join(", ")
    ));
}

/// What a panic said.
fn words(why: &(dyn std::any::Any + Send)) -> String {
    let said = why.downcast_ref::<String>().cloned();
    said.or_else(|| why.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
}

impl Boundary {
    /// What is alike but for its number.
    fn kind(&self) -> Self {
        match *self {
            Self::Call { from_start, call, .. } => Self::Call { from_start, call, nth: 0 },
            wire @ Self::Wire { .. } => wire,
        }
    }

    /// A word for the counts.
    fn class(&self) -> &'static str {
        match self {
            Self::Call { .. } => "kills of the engine at a system call",
            Self::Wire { event: boundary::Event::EngineKilled, .. } => "kills of the engine beside a request",
            Self::Wire { event: boundary::Event::ConsoleKilled, .. } => "kills of the console",
            Self::Wire { event: boundary::Event::Cut, .. } => "cuts of the network",
        }
    }
}
