//! The alarms of an estate that may not scroll away: one list, which the alarm line of its screens and the overview of
//! estates show.

use super::format::{count, countdown, seconds_between};
use super::keymap::Action;
use super::rows::custody;
use super::state::State;
use super::theme::Role;
use crate::domain::health::Health;
use crate::domain::incident::Role as Duty;
use crate::domain::mode::Mode;
use crate::engine::api::{RequestState, ScrubView, SignInState, Snapshot, StepState};

/// One alarm: how bad, in full, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// How bad.
    pub health: Health,
    /// How it is written.
    pub role: Role,
    /// In full.
    pub long: String,
    /// In short.
    pub short: String,
}

pub(super) fn alarm(health: Health, role: Role, long: impl Into<String>, short: impl Into<String>) -> Alarm {
    Alarm { health, role, long: long.into(), short: short.into() }
}

/// The word that is due to stakeholders, when that is near or was missed.
fn promised(state: &State, snapshot: &Snapshot) -> Option<Alarm> {
    let (now, key) = (state.now(), state.key(Action::Comms));
    let overdue = snapshot.comms.overdue(now).count();
    let next = snapshot.comms.next()?;
    let countdown = next.countdown(now)?;
    if overdue > 1 {
        let long = format!("{} OVERDUE ({key})", count(overdue, "promised update"));
        return Some(alarm(Health::Critical, Role::Critical, long, format!("{overdue} OVERDUE")));
    }
    if overdue == 1 {
        let long = format!("update of {} {countdown} ({key})", next.name);
        return Some(alarm(Health::Critical, Role::Critical, long, "update OVERDUE"));
    }
    let near = next.is_near(now);
    near.then(|| alarm(Health::Warn, Role::Warn, format!("update of {} {countdown} ({key})", next.name), "update due"))
}

/// Every alarm of an estate, the most pressing first; what is in order stands last.
pub fn list(state: &State, snapshot: &Snapshot) -> Vec<Alarm> {
    let mut alarms = Vec::new();
    let scrub = snapshot.journal.scrub.as_ref();
    if let Some((record, why)) = scrub.and_then(|s| s.bad.zip(s.why.as_ref())) {
        let long = format!("journal DAMAGED at record {record}, nothing new can begin: {why}");
        alarms.push(alarm(Health::Critical, Role::Alarm, long, "journal DAMAGED"));
    } else if let Some(why) = &snapshot.journal.broken {
        let long = format!("JOURNAL BROKEN, nothing can run: {why}");
        alarms.push(alarm(Health::Critical, Role::Alarm, long, "JOURNAL BROKEN"));
    }
    if let Some(glass) = &snapshot.glass {
        if glass.review_due {
            alarms.push(alarm(Health::Warn, Role::Warn, "glass review due", "review due"));
        } else {
            let until = glass.until.strftime("%H:%M");
            let long = format!("GLASS BROKEN by {} until {until}Z", glass.by);
            alarms.push(alarm(Health::Critical, Role::Alarm, long, "GLASS BROKEN"));
        }
    }
    let unknown: Vec<_> = snapshot.panes.sources.iter().filter(|s| s.health == Health::Unknown).collect();
    if let [only] = unknown.as_slice() {
        let long = format!("1 source unknown: {}", only.id);
        alarms.push(alarm(Health::Unknown, Role::Unknown, long, "1 unknown"));
    } else if !unknown.is_empty() {
        let n = unknown.len();
        alarms.push(alarm(Health::Unknown, Role::Unknown, format!("{n} sources unknown"), format!("{n} unknown")));
    }
    alarms.extend(promised(state, snapshot));
    let unanswered = snapshot.comms.calls.iter().filter(|c| c.acknowledged.is_none()).count();
    if unanswered > 0 {
        let long = format!("{} unanswered ({})", count(unanswered, "call"), state.key(Action::Comms));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{unanswered} unanswered")));
    }
    let unheard = snapshot.measures.iter().filter(|m| m.is_unacknowledged()).count();
    if unheard > 0 {
        let long = format!("{} not acknowledged", count(unheard, "fallback"));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{unheard} unheard")));
    }
    let measures = snapshot.measures.len();
    if measures > 0 {
        let long = format!("{} in force", count(measures, "measure"));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{measures} in force")));
    }
    let steps = snapshot.runs.iter().filter_map(super::state::current_step);
    let steps = steps.filter(|s| s.state == StepState::AwaitsApproval).count();
    let open = snapshot.requests.iter().filter(|r| r.state == RequestState::Open).count();
    let approvals = steps.max(open);
    if approvals > 0 {
        let long = format!("{} waiting ({})", count(approvals, "approval"), state.key(Action::Requests));
        alarms.push(alarm(Health::Warn, Role::Warn, long, format!("{approvals} to approve")));
    }
    for one in &snapshot.sign_ins {
        if let SignInState::Waiting { code, until, .. } = &one.state {
            let left = countdown(seconds_between(state.now(), *until));
            let long = format!("{} logs in with {code}, {left} left ({})", one.person, state.key(Action::People));
            alarms.push(alarm(Health::Warn, Role::Warn, long, format!("login {code}")));
        }
    }
    let commander = snapshot.current_incident().and_then(|i| i.roles.get(&Duty::Commander));
    if let Some(commander) = commander.filter(|c| !snapshot.consoles.is_empty() && snapshot.present(c).next().is_none())
    {
        let long = format!("commander {commander} is not attached");
        alarms.push(alarm(Health::Warn, Role::Warn, long, "commander away"));
    }
    if let (Mode::Drill, Some(drill)) = (state.mode(), &snapshot.drill) {
        let pace = if drill.speed > 0.0 { format!("x{}", drill.speed) } else { "PAUSED".into() };
        alarms.push(alarm(
            Health::Ok,
            Role::Drill,
            format!(
                "exercise {} {pace} ({}{})",
                drill.scenario,
                state.key(Action::Exercise),
                drill.hint.map_or_else(String::new, |_| format!(", hint {}", state.key(Action::DrillHint)))
            ),
            format!("drill {pace} ({})", state.key(Action::Exercise)),
        ));
    }
    if let Some(replay) = &snapshot.replay {
        let pace = if replay.speed > 0.0 { format!("x{}", replay.speed) } else { "STANDS".into() };
        let (by_now, all) = replay.records;
        let day = snapshot.at.strftime("%Y-%m-%d");
        let long = format!("replay of {} {pace}, {day}, record {by_now} of {all}", replay.incident);
        alarms.push(alarm(Health::Ok, Role::Drill, long, format!("replay {pace}")));
        if let Some(why) = &replay.unseen {
            let long = format!("only the records are known: {why}");
            alarms.push(alarm(Health::Unknown, Role::Unknown, long, "records only"));
        }
    }
    let custody = custody(&snapshot.journal, state.now());
    for one in custody.iter().filter(|c| c.health == Some(Health::Warn)) {
        alarms.push(alarm(
            Health::Warn,
            Role::Warn,
            format!("journal {}: {}", one.word, one.short),
            format!("not {}", one.word),
        ));
    }
    if snapshot.journal.broken.is_none() {
        let good =
            custody.iter().filter(|c| c.health == Some(Health::Ok)).map(|c| c.word).collect::<Vec<_>>().join(", ");
        let (long, short) = match scrub.and_then(ScrubView::percent) {
            Some(percent) => (format!("journal {good}, scrub {percent}%"), format!("scrub {percent}%")),
            None => (format!("journal {good}"), "journal ok".to_owned()),
        };
        alarms.push(alarm(Health::Ok, Role::Dim, long, short));
    }
    if unknown.is_empty() && !snapshot.panes.sources.is_empty() {
        alarms.push(alarm(Health::Ok, Role::Dim, "every source answers", "sources ok"));
    }
    alarms
}
