//! The one verb that is next on a screen, and what leads to it. The same line in the same place everywhere.

use super::format::{ahead, count};
use super::keymap::Action;
use super::rows::{is_open, risk_letter, whom_words};
use super::state::{Screen, State, current_step};
use super::strip::Strip;
use super::theme::Role;
use crate::console::rows::since_words;
use crate::domain::finding::{Finding, Level};
use crate::domain::health::Health;
use crate::domain::id::PlaybookId;
use crate::domain::incident::Incident;
use crate::engine::api::{RunState, RunView, Snapshot, StepState};
use std::collections::BTreeMap;

/// Where `Space` leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Go {
    /// Does an action.
    Act(Action),
    /// Opens a screen.
    Screen(Screen),
    /// Opens the dialog that starts a playbook.
    Start(PlaybookId, BTreeMap<String, String>),
}

/// What is next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    /// What, one line.
    pub text: Strip,
    /// Where `Space` leads; `None` when there is nothing to do but wait.
    pub go: Option<Go>,
}

impl Next {
    fn wait(role: Role, text: impl AsRef<str>) -> Self {
        Self { text: Strip::of(role, text), go: None }
    }

    fn to(role: Role, text: impl AsRef<str>, go: Go) -> Self {
        Self { text: Strip::of(role, text), go: Some(go) }
    }
}

/// What is next.
pub fn next(state: &State) -> Next {
    if state.screen == Screen::Estates {
        return Next::wait(Role::Text, "choose an estate, an incident or a record; Enter goes there");
    }
    let Some(snapshot) = state.snapshot.as_deref() else {
        return Next::wait(Role::Unknown, "wait for the engine; nothing is known yet");
    };
    if state.link.lost.is_some() {
        return Next::wait(Role::Alarm, "wait: this console looks for the engine and goes on where it was");
    }
    if state.lost().is_some() {
        return Next::wait(Role::Alarm, "find out why the engine is silent before you act");
    }
    if let Some(replay) = &snapshot.replay {
        let text = match (replay.speed > 0.0, snapshot.at >= replay.to) {
            (true, _) => "stand still",
            (false, true) => "play it again from the beginning",
            (false, false) => "play on from here",
        };
        let keys = format!("{text}   [ ] record before, next   {{ }} minute   @ moment");
        return Next::to(Role::Drill, keys, Go::Act(Action::DrillPause));
    }
    if snapshot.journal.broken.is_some() {
        return Next::to(
            Role::Alarm,
            "mend the journal: nothing can run until it can be written",
            Go::Screen(Screen::Journal),
        );
    }
    if let Some(next) = of_runs(state) {
        return next;
    }
    if snapshot.glass.as_ref().is_some_and(|g| g.review_due) {
        return Next::to(Role::Warn, "record the review of the broken glass", Go::Act(Action::ReviewGlass));
    }
    of_findings(state, snapshot)
}

fn of_runs(state: &State) -> Option<Next> {
    let shown = match &state.screen {
        Screen::Run(id) => state.run(id).filter(|r| is_open(r.state)),
        _ => None,
    };
    let run = shown.or_else(|| state.pressing_run())?;
    let here = state.screen == Screen::Run(run.id.clone());
    let open = |text: String, role| {
        let go = if here { Go::Act(Action::Open) } else { Go::Screen(Screen::Run(run.id.clone())) };
        Some(Next::to(role, text, go))
    };
    let name = step_name(run);
    if let Some(host) = &run.led_by {
        let text = format!("watch {}: it is led by the engine on {host}, act there", run.playbook);
        return if here { Some(Next::wait(Role::Text, text)) } else { open(text, Role::Text) };
    }
    match (run.state, current_step(run).map(|s| s.state)) {
        (RunState::Finished | RunState::Failed | RunState::RolledBack, _) => None,
        (_, Some(StepState::AwaitsConfirmation)) => open(format!("confirm {name}"), Role::Accent),
        (_, Some(StepState::AwaitsDecision)) => open(format!("decide {name}"), Role::Accent),
        (_, Some(StepState::Unknown)) if run.stands => {
            let text = format!("resume {}: the outcome of {name} is unknown, the target is looked at", run.playbook);
            if here {
                Some(Next::to(Role::Unknown, text, Go::Act(Action::ResumeRun)))
            } else {
                open(text, Role::Unknown)
            }
        }
        (_, Some(StepState::Unknown)) => {
            open(format!("look at the target, then decide {name}: outcome unknown"), Role::Unknown)
        }
        (_, Some(StepState::AwaitsApproval)) => open(format!("wait for a second person to approve {name}"), Role::Warn),
        (RunState::Stopped, _) => {
            let text = format!("{} is stopped at step {}", run.playbook, run.current.saturating_add(1));
            if here {
                Some(Next::to(Role::Warn, text + ": resume it", Go::Act(Action::ResumeRun)))
            } else {
                open(text, Role::Warn)
            }
        }
        (_, Some(StepState::Blocked)) if lacks_incident(state, run) => {
            Some(Next::to(Role::Warn, format!("declare an incident: {name} needs one"), Go::Act(Action::Declare)))
        }
        (_, Some(StepState::Blocked)) => {
            let text = format!("unblock {name}");
            if here {
                Some(Next::to(Role::Warn, text + ": mend what it says, then check again", Go::Act(Action::Recheck)))
            } else {
                open(text, Role::Warn)
            }
        }
        _ if here => Some(Next::wait(Role::Text, &run.now)),
        _ => open(format!("watch {}: {}", run.playbook, run.now), Role::Text),
    }
}

/// Whether the step in hand needs an incident, and none is declared.
fn lacks_incident(state: &State, run: &RunView) -> bool {
    let needed = current_step(run).and_then(|s| s.assessment.as_ref()).is_some_and(|a| a.needs_incident);
    needed && state.snapshot.as_ref().is_some_and(|s| s.current_incident().is_none())
}

/// `step 3/5 of schema-lock: terminate root blocker, risk H`.
fn step_name(run: &RunView) -> String {
    let number = run.current.saturating_add(1);
    match current_step(run) {
        Some(step) => {
            format!(
                "step {number}/{} of {}: {}, risk {}",
                run.steps.len(),
                run.playbook,
                step.name,
                risk_letter(step.risk)
            )
        }
        None => format!("{} step {number}", run.playbook),
    }
}

fn of_findings(state: &State, snapshot: &Snapshot) -> Next {
    let incident = snapshot.current_incident();
    let shown = match &state.screen {
        Screen::Finding(id) => snapshot.findings.iter().find(|f| f.id == *id),
        _ => None,
    };
    let is_looked_at = shown.is_some();
    if incident.is_some_and(|i| is_over(i, &snapshot.findings)) && !is_looked_at {
        return of_calm(snapshot);
    }
    if incident.is_none() && !is_looked_at && snapshot.drill.as_ref().is_some_and(|drill| drill.ended) {
        return Next::to(Role::Accent, "read how the exercise went", Go::Act(Action::Exercise));
    }
    let worst = shown.or_else(|| snapshot.findings.first());
    let Some(finding) = worst.filter(|f| f.level != Level::Note || shown.is_some()) else {
        return of_calm(snapshot);
    };
    if incident.is_none() && finding.level == Level::Incident {
        let text = format!("declare an incident: {} ({})", finding.what, whom_words(finding));
        return Next::to(Role::Accent, text, Go::Act(Action::Declare));
    }
    let finished = |f: &Finding| {
        f.playbooks.iter().any(|o| {
            snapshot.runs.iter().any(|r| r.playbook == o.id && r.params == o.params && r.started_at >= f.since)
        })
    };
    match finding.playbooks.first() {
        Some(offer) if !finished(finding) => {
            let params: Vec<_> = offer.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
            Next::to(
                Role::Accent,
                format!("start {} {}: {}", offer.id, params.join(" "), offer.why),
                Go::Start(offer.id.clone(), offer.params.clone()),
            )
        }
        _ if finding.acknowledged.is_none() => {
            let go = if shown.is_some() {
                Go::Act(Action::Acknowledge)
            } else {
                Go::Screen(Screen::Finding(finding.id.clone()))
            };
            Next::to(Role::Accent, format!("look at: {}", finding.what), go)
        }
        _ => Next::wait(Role::Text, format!("watch: {} clears after three good intervals", finding.what)),
    }
}

/// Whether what an incident was declared for is over: what still stands began before it, harms nobody, and is another
/// matter.
fn is_over(incident: &Incident, findings: &[Finding]) -> bool {
    let is_other = |f: &Finding| {
        f.level == Level::Alert
            && f.severity != Health::Critical
            && f.since < incident.declared_at
            && !incident.findings.contains(&f.id)
    };
    !incident.findings.is_empty() && findings.iter().filter(|f| f.level != Level::Note).all(is_other)
}

fn of_calm(snapshot: &Snapshot) -> Next {
    if let Some(incident) = snapshot.current_incident() {
        let open = snapshot.measures.iter().filter(|m| m.owner.is_none()).count();
        if open > 0 {
            let text = format!("lift or hand over {} before {} may close", count(open, "measure"), incident.id);
            return Next::to(Role::Accent, text, Go::Screen(Screen::Incident));
        }
        let why = match snapshot.findings.iter().filter(|f| f.level != Level::Note).count() {
            0 => "no finding is left".to_owned(),
            others => format!("what it was declared for is over; {} began before it", count(others, "finding")),
        };
        return Next::to(Role::Accent, format!("close {}: {why}", incident.id), Go::Act(Action::CloseIncident));
    }
    let unknown = snapshot.panes.sources.iter().filter(|s| s.health == Health::Unknown).count();
    if unknown > 0 {
        let text = format!(
            "find out why {} not answer",
            if unknown == 1 { "a source does".into() } else { format!("{unknown} sources do") }
        );
        return Next::to(Role::Unknown, text, Go::Screen(Screen::Sources));
    }
    if let Some(finding) = snapshot.findings.first() {
        return Next::to(
            Role::Text,
            format!("a note: {}", finding.what),
            Go::Screen(Screen::Finding(finding.id.clone())),
        );
    }
    Next::wait(Role::Ok, "nothing: all is well")
}

/// What the calendar has in force or ahead, the nearest: `receiving starts in 02:13 (t017)`.
pub fn upcoming(snapshot: &Snapshot, now: jiff::Timestamp) -> Option<String> {
    let first = snapshot.ahead.iter().find(|a| a.at > now || a.in_force(now))?;
    let whom = match first.tenants.as_slice() {
        [] => String::new(),
        [one] => format!(" ({one})"),
        [one, rest @ ..] => format!(" ({one} and {} more)", rest.len()),
    };
    Some(match first.until.filter(|_| first.in_force(now)) {
        Some(until) => format!("{} until {}{whom}", first.what, until.strftime("%H:%MZ")),
        None => format!("{} {}{whom}", first.what, ahead(now, first.at)),
    })
}

/// The one line to read aloud: what is wrong, whom it hurts, what happens next, and since when where there is room.
pub fn headline(state: &State, width: usize) -> Strip {
    let Some(snapshot) = state.snapshot.as_deref() else { return Strip::new() };
    let Some(finding) = snapshot.findings.iter().find(|f| f.level != Level::Note) else {
        let role = if snapshot.health == Health::Ok { Role::Ok } else { snapshot.health.into() };
        let said = match snapshot.health {
            Health::Ok => Strip::of(role, "All is well"),
            Health::Unknown => {
                Strip::of(role, "Not everything is known; nothing that is known is wrong enough for a finding")
            }
            Health::Warn | Health::Critical => {
                Strip::of(role, "Something is beyond its threshold; no rule makes a finding of it")
            }
        };
        let longer = upcoming(snapshot, state.now()).map(|text| said.clone().and(Role::Strong, format!("; {text}")));
        return longer.filter(|strip| strip.width() <= width).unwrap_or(said);
    };
    let what = Strip::of(finding.severity.into(), &finding.what);
    let hurts = match (finding.whom.plants.len(), finding.whom.tenants.len()) {
        (0, 0) => Strip::new(),
        (0, tenants) => Strip::text(format!(", hurts {}", count(tenants, "tenant"))),
        (plants, _) => Strip::text(format!(", hurts {}", count(plants, "plant"))),
    };
    let cutoff = finding.whom.next_cutoff.as_ref().map_or_else(Strip::new, |cutoff| {
        Strip::of(Role::Strong, format!("; {} {}", cutoff.what, ahead(state.now(), cutoff.at)))
    });
    let since = Strip::of(Role::Dim, format!("  {}", since_words(finding)));
    // What does not fit goes in this order: since when, whom it hurts, what happens next.
    [vec![&hurts, &cutoff, &since], vec![&hurts, &cutoff], vec![&cutoff], vec![&hurts]]
        .into_iter()
        .map(|parts| parts.into_iter().fold(what.clone(), |strip, part| strip.and_strip(part.clone())))
        .find(|strip| strip.width() <= width)
        .unwrap_or(what)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn finding(id: &str, level: &str, severity: &str, since: &str) -> Finding {
        serde_json::from_value(json!({
            "id": id, "rule": "cron-late", "classes": [], "level": level, "severity": severity,
            "since": format!("2026-11-22T{since}Z"), "subject": { "kind": "tenant", "tenant": "t003" }, "what": "W",
            "whom": { "tenants": ["t003"], "plants": [], "next_cutoff": null }, "evidence": [], "changed": [],
            "playbooks": [], "disproof": "D", "good_intervals": 0, "acknowledged": null,
        }))
        .unwrap()
    }

    #[test]
    fn an_incident_is_over_when_only_other_matters_from_before_it_are_left() {
        let mut incident: Incident = serde_json::from_value(json!({
            "id": "INC-1", "title": "t", "severity": "SEV1", "state": "identified",
            "declared_at": "2026-11-22T02:03:00Z", "closed_at": null, "roles": {}, "findings": ["lock-chain/t017"],
            "timeline": [],
        }))
        .unwrap();
        let before = finding("cron-late/t003", "alert", "warn", "02:00:00");
        let over =
            |incident: &Incident, more: &[Finding]| is_over(incident, &[std::slice::from_ref(&before), more].concat());
        assert!(is_over(&incident, &[]) && over(&incident, &[]));
        assert!(over(&incident, &[finding("note/x", "note", "warn", "02:04:00")]));
        for open in [
            finding("lock-chain/t017", "alert", "warn", "02:00:45"),
            finding("error-budget/t017", "alert", "warn", "02:05:01"),
            finding("http-errors/t003", "incident", "warn", "02:00:00"),
            finding("crash-loop/t003", "alert", "critical", "02:00:00"),
        ] {
            assert!(!over(&incident, std::slice::from_ref(&open)), "{open:?}");
        }
        incident.findings.clear();
        assert!(!over(&incident, &[]), "nobody said what it is about");
    }
}
