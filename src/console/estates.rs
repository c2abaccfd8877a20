//! The estates of one console, side by side: what is said of each on the screens of the others. It is made from what each
//! console state knows; nothing of one estate is ever written where another's is kept.

use super::alarms::{self, Alarm, alarm};
use super::format::{clock, count, headline};
use super::keymap::Action;
use super::rows::{is_open, whom_words};
use super::state::{EstateIncident, EstateRecord, EstateRow, IncidentLine, Overlay, Reached, State};
use super::theme::Role;
use crate::domain::health::Health;
use crate::domain::incident::{Incident, IncidentState, Role as Duty};
use crate::engine::api::{RequestState, Snapshot};
use std::cmp::Reverse;

/// Alarms of other estates that are told one by one; of more only their number is.
const TOLD: usize = 3;
/// Newest records of each estate that are looked at, and of all that are shown.
const RECORDS: (usize, usize) = (60, 200);

/// What is said where there are no others.
pub const ONE: &str = "this console holds one estate; [[estates]] of its configuration names more";

/// What is said of an estate.
pub fn row(state: &State) -> EstateRow {
    let snapshot = state.snapshot.as_deref();
    let reached = reached(state);
    // Unknown is never green: of an engine that is not heard of nothing is known.
    let known = snapshot.filter(|_| reached.is_known());
    let heard = snapshot.map(|_| state.clock.heard);
    EstateRow {
        name: state.facts.estate.clone(),
        environment: snapshot.map(Snapshot::environment),
        mode: snapshot.map(|s| s.mode),
        health: known.map_or(Health::Unknown, |s| s.health),
        worst: snapshot.and_then(|s| s.findings.first()).map(|f| {
            let (what, whom) = (headline(&f.what).to_owned(), whom_words(f));
            (f.severity, format!("{what} ({whom})"))
        }),
        incidents: snapshot
            .into_iter()
            .flat_map(|s| s.incidents.iter())
            .filter(|i| i.state != IncidentState::Closed)
            .count(),
        incident: snapshot.and_then(Snapshot::current_incident).map(|i| {
            let commander = i.roles.get(&Duty::Commander).map(ToString::to_string);
            (i.id.clone(), i.severity, commander)
        }),
        runs: snapshot.map_or(0, |s| s.runs.iter().filter(|r| is_open(r.state)).count()),
        waiting: snapshot.map_or(0, for_me),
        alarms: snapshot.map_or_else(Vec::new, |s| {
            let mut alarms = alarms::list(state, s);
            alarms.retain(|a| a.health > Health::Ok);
            alarms
        }),
        critical: snapshot.and_then(|s| {
            let unseen = s.findings.iter().find(|f| f.severity == Health::Critical && f.acknowledged.is_none());
            unseen.map(|f| headline(&f.what).to_owned())
        }),
        age_s: heard.map(|at| super::format::seconds_between(at, state.clock.wall)),
        unsent: state.unsent.is_some()
            || state.overlays.iter().any(|o| matches!(o, Overlay::Form(_) | Overlay::Compose(_))),
        marks: state.marks.clone(),
        reached,
    }
}

/// How an estate is reached.
fn reached(state: &State) -> Reached {
    match (&state.link.lost, &state.link.attached, &state.snapshot) {
        (Some(lost), _, _) => Reached::Gone { since: lost.since, why: lost.why.clone() },
        (None, _, None) => Reached::Opening,
        (None, attached, Some(_)) => match (state.clock.lost(), attached) {
            (Some(since), _) => Reached::Gone { since, why: "its engine is silent".to_owned() },
            (None, Some(_)) => Reached::Attached,
            (None, None) => Reached::Here,
        },
    }
}

/// Requests that wait for a signature which this person may give.
fn for_me(snapshot: &Snapshot) -> usize {
    let open = snapshot.requests.iter().filter(|r| r.state == RequestState::Open);
    open.filter(|r| r.requester.as_ref() != Some(&snapshot.me)).count()
}

fn line(incident: &Incident) -> IncidentLine {
    IncidentLine {
        id: incident.id.clone(),
        severity: incident.severity,
        state: incident.state,
        title: incident.title.clone(),
        declared_at: incident.declared_at,
        commander: incident.roles.get(&Duty::Commander).cloned(),
    }
}

/// Incidents of all estates: open ones first, the worst first.
pub fn incidents(states: &[&State]) -> Vec<EstateIncident> {
    let mut all = Vec::new();
    for state in states {
        for incident in state.snapshot.iter().flat_map(|s| s.incidents.iter()) {
            all.push(EstateIncident { estate: state.facts.estate.clone(), incident: line(incident) });
        }
    }
    let closed = |i: &EstateIncident| i.incident.state == IncidentState::Closed;
    all.sort_by_key(|i| (closed(i), i.incident.severity, Reverse(i.incident.declared_at)));
    all
}

/// The newest records of all estates, the newest first. Each has its estate; they are read from each one's own journal and stand
/// together here alone.
pub fn records(states: &[&State]) -> Vec<EstateRecord> {
    let mut all = Vec::new();
    for state in states {
        let Some(snapshot) = &state.snapshot else { continue };
        for entry in snapshot.journal.tail.iter().rev().take(RECORDS.0) {
            all.push(EstateRecord { estate: state.facts.estate.clone(), entry: entry.clone() });
        }
    }
    all.sort_by(|a, b| (b.entry.at, &b.estate, b.entry.seq).cmp(&(a.entry.at, &a.estate, a.entry.seq)));
    all.truncate(RECORDS.1);
    all
}

/// Name and class of the estate on the screen.
pub fn own_words(state: &State) -> String {
    state.snapshot.as_deref().map_or_else(|| state.facts.estate.clone(), Snapshot::estate_words)
}

/// The most pressing thing of each other estate that has one, the worst first.
pub fn elsewhere(state: &State) -> Vec<Alarm> {
    let mut all: Vec<Alarm> = state.estates.others().filter_map(pressing).collect();
    all.sort_by_key(|a| Reverse(a.health));
    let more = all.len().saturating_sub(TOLD);
    if more > 0 {
        let rest = all.split_off(TOLD);
        let worst = Health::worst(rest.iter().map(|a| a.health));
        let long = format!("{} with alarms ({})", count(more, "more estate"), state.key(Action::Estates));
        all.push(alarm(worst, worst.into(), long, format!("+{more} estates")));
    }
    all
}

/// What a person at another estate has to know of this one.
fn pressing(row: &EstateRow) -> Option<Alarm> {
    let name = &row.name;
    if let Reached::Gone { since, .. } = &row.reached {
        let long = format!("{name}: NOT REACHED since {}Z", clock(*since));
        return Some(alarm(Health::Unknown, Role::Unknown, long, format!("{name} ?")));
    }
    if let Some(own) = row.alarms.iter().find(|a| a.role == Role::Alarm) {
        return Some(alarm(own.health, Role::Alarm, format!("{name}: {}", own.long), format!("{name}: {}", own.short)));
    }
    if let Some(what) = &row.critical {
        return Some(alarm(
            Health::Critical,
            Role::Critical,
            format!("{name} critical: {what}"),
            format!("{name} critical"),
        ));
    }
    if row.waiting > 0 {
        let long = format!("{name}: {} waiting", count(row.waiting, "approval"));
        return Some(alarm(Health::Warn, Role::Warn, long, format!("{name}: {} to approve", row.waiting)));
    }
    let own = row.alarms.iter().filter(|a| a.health > Health::Warn).max_by_key(|a| a.health)?;
    Some(alarm(own.health, own.role, format!("{name}: {}", own.long), format!("{name}: {}", own.short)))
}
