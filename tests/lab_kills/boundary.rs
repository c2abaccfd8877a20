//! Where a run is broken off.

use crate::case::Case;
use crate::lab_support::wire::At;

/// What happens there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The engine is killed; another one goes on.
    EngineKilled,
    /// The console is killed; the engine goes on.
    ConsoleKilled,
    /// The connection between engine and server is cut; both live.
    Cut,
}

/// One place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boundary {
    /// The engine is killed as it enters a system call: `pwrite64`, the record is not there; `fdatasync`, it is, and
    /// nothing has followed from it.
    Call {
        /// From the start of the run on, or from its confirmation.
        from_start: bool,
        /// The system call.
        call: &'static str,
        /// Which of these calls.
        nth: usize,
    },
    /// Something happens while the request is on its way.
    Wire {
        /// How far it came.
        at: At,
        /// What happens.
        event: Event,
    },
}

/// System calls that are gone through, up to this many of each; a run ends long before.
const MANY: usize = 60;

/// The boundaries of a case. Those at system calls end with the first that the run does not come to.
pub fn of(case: &Case<'_>, full: bool, traced: bool) -> Box<dyn Iterator<Item = Boundary>> {
    let wire = |at, event| Boundary::Wire { at, event };
    if !full {
        let worst = case.worst();
        let can = traced || !matches!(worst, Boundary::Call { .. });
        return Box::new((case.first && can).then_some(worst).into_iter());
    }
    let wired = At::ALL.into_iter().flat_map(move |at| {
        let events: &[Event] = match at {
            // Nothing is on its way that could be cut.
            At::Late => &[Event::EngineKilled],
            At::Connect => &[Event::Cut],
            At::Request | At::Answer | At::Middle => &[Event::EngineKilled, Event::ConsoleKilled, Event::Cut],
        };
        events.iter().map(move |event| wire(at, *event))
    });
    let can = case.gate.places();
    let wired: Vec<Boundary> = wired
        .filter(|b| matches!(b, Boundary::Wire { at, event } if can.contains(at) && (*event != Event::Cut || case.gate.cuts())))
        .collect();
    // Which records there are is the same for all verbs of an adapter; what comes before the confirmation, for all.
    let starts: &[bool] = match (traced && case.first, case.verb) {
        (false, _) => &[],
        (true, "http.webhook") => &[true, false],
        (true, _) => &[false],
    };
    let calls = case.calls.clone();
    let called = starts.iter().flat_map(move |from_start| {
        let from_start = *from_start;
        calls
            .clone()
            .into_iter()
            .flat_map(move |call| (1..=MANY).map(move |nth| Boundary::Call { from_start, call, nth }))
    });
    Box::new(wired.into_iter().chain(called))
}
