//! What a process takes, as Linux says it (proc(5)); percentiles; an engine on a simulated estate. Several benches share it.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::indexing_slicing, reason = "a bench uses a part of it")]

use quarterdeck::domain::actor::Actor;
use quarterdeck::domain::mode::Mode;
use quarterdeck::drill::Drill;
use quarterdeck::engine::adapters;
use quarterdeck::engine::core::{self, Parts, Running};
use quarterdeck::engine::state::State;
use quarterdeck::journal::{OpenOptions, fold};
use quarterdeck::playbook::library::Library;
use std::path::Path;

/// Processor time of a process so far, its own and the kernel's for it, in seconds.
pub fn processor(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    // Clock ticks of 10 ms: sysconf(_SC_CLK_TCK) is 100 on Linux.
    after_name.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// The same with that of its children.
pub fn family(pid: u32) -> f64 {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let own = |pid: &str| std::fs::metadata(format!("/proc/{pid}")).ok().map(|_| processor(pid.parse().unwrap()));
    processor(pid) + children.split_whitespace().filter_map(own).sum::<f64>()
}

/// MiB in a line of a process's status: `VmRSS`, resident now; `VmHWM`, at most.
pub fn memory(pid: u32, line: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with(line)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// The value below which this share of all lies; `sorted` is in order and not empty.
pub fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len() - 1;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index within bounds"
    )]
    let at = (last as f64 * share).round() as usize;
    sorted[at.min(last)]
}

/// An engine on a simulated estate, its journal in a folder.
pub fn engine(drill: Drill, dir: &Path) -> Running {
    let adapters = adapters::drill(drill);
    let me = Actor { user: "mara".into(), uid: 0, via: "bench".into(), host: "bench".into(), console: None };
    let (environment, time) = (adapters.estate.environment, adapters.clock.now());
    let mut state = State::default();
    let place = dir.join("journal");
    let open = OpenOptions::new(place, "quarterdeck/bench", me.clone(), Mode::Drill, environment, time);
    let (journal, _) = fold::open(open, &mut state).unwrap();
    let signals = quarterdeck::correlate::signals::names();
    let (library, _) = Library::load(&[], &quarterdeck::act::catalog(), &signals);
    core::start(Parts {
        adapters,
        library,
        journal,
        state,
        journal_dir: String::new(),
        me,
        anchored: None,
        witnesses: None,
        loaded: serde_json::json!({}),
    })
}
