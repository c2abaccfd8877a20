//! What makes a person look up from another window: told once, when it comes, and only what they would come back for.

use super::format::clock;
use super::state::State;
use crate::domain::health::Health;
use crate::domain::mode::Mode;
use crate::engine::api::{RequestState, RunState, Snapshot, StepState};

/// What has come between two states of the engine, in words; a critical finding first.
pub fn calls(before: &Snapshot, now: &Snapshot) -> Vec<String> {
    let mut calls = Vec::new();
    let was_critical = |id| before.findings.iter().any(|f| f.id == id && f.severity == Health::Critical);
    for finding in now.findings.iter().filter(|f| f.severity == Health::Critical && f.acknowledged.is_none()) {
        if !was_critical(finding.id.clone()) {
            calls.push(format!("critical: {}", finding.what));
        }
    }
    for request in now.requests.iter().filter(|r| r.state == RequestState::Open) {
        let own = request.requester.as_ref() == Some(&now.me);
        if !own && !before.requests.iter().any(|r| r.id == request.id) {
            calls.push(format!("approval asked: {} {}", request.id, request.title));
        }
    }
    for run in now.runs.iter() {
        let Some(old) = before.runs.iter().find(|r| r.id == run.id) else { continue };
        for (step, was) in run.steps.iter().zip(&old.steps).filter(|(step, was)| step.id == was.id) {
            let ended = match step.state {
                StepState::Done => "done",
                StepState::Failed => "failed",
                StepState::Unknown => "outcome unknown",
                _ => continue,
            };
            // Steps that only look end by the dozen; a person waits for what acts, and for what has failed.
            let acted = matches!(was.state, StepState::Executing | StepState::Verifying) && step.digest.is_some();
            if was.state != step.state && (acted || step.state != StepState::Done) {
                calls.push(format!("{} {}: {} {ended}", run.id, run.playbook, step.id));
            }
        }
        let waits = |r: &crate::engine::api::RunView| r.state == RunState::Waiting;
        if waits(run) && !waits(old) {
            calls.push(format!("{} {}: {}", run.id, run.playbook, run.now));
        }
    }
    calls
}

/// The title of the terminal's window: health, estate, incident.
pub fn title(state: &State) -> String {
    let Some(snapshot) = state.snapshot.as_deref() else { return format!("quarterdeck {}", state.facts.estate) };
    let mode = match snapshot.mode {
        _ if state.is_drill() => "DRILL ",
        Mode::Replay => "REPLAY ",
        Mode::Drill | Mode::Live | Mode::ReadOnly => "",
    };
    let health = match state.lost() {
        Some(since) => format!("LOST since {}Z", clock(since)),
        None => snapshot.health.word().to_owned(),
    };
    let incident = snapshot.current_incident().map_or_else(String::new, |i| format!(" {} {}", i.id, i.severity));
    format!("{mode}{health} {}{incident} - quarterdeck", snapshot.estate.name)
}
