//! Who is attached and in which role, and the brief for whoever takes the command over.

use super::Page;
use crate::console::format::{age, count, countdown, moment, seconds_between};
use crate::console::keymap::Action;
use crate::console::next::next;
use crate::console::rows::{is_open, run_words, whom_words};
use crate::console::state::State;
use crate::console::theme::Role;
use crate::domain::id::Person;
use crate::domain::incident::{Incident, IncidentState};
use crate::engine::api::{ConsoleView, SignInState, Snapshot, StepState};

/// Records that tell what was done.
const DONE: [&str; 8] = [
    "step.finished",
    "step.verified",
    "step.verification_failed",
    "step.unknown",
    "step.rolled_back",
    "step.skipped",
    "decision.made",
    "note.added",
];
/// Of those, how many a brief holds.
const NEWEST: usize = 3;

fn roles(snapshot: &Snapshot, person: &Person) -> Vec<String> {
    let held = snapshot.current_incident().map(|i| &i.roles);
    held.into_iter().flatten().filter(|(_, p)| *p == person).map(|(role, _)| role.to_string()).collect()
}

fn console(out: &mut Page, state: &State, snapshot: &Snapshot, view: &ConsoleView) {
    let now = state.now();
    let roles = roles(snapshot, &view.user);
    let duty = if roles.is_empty() { "no role".to_owned() } else { roles.join(", ") };
    let look = if view.read_only { ", only looks on" } else { "" };
    let (role, here) = match view.silent_since {
        None => (Role::Ok, "here".to_owned()),
        Some(since) => (Role::Unknown, format!("SILENT for {}", age(seconds_between(since, now)))),
    };
    let place = view.console.as_deref().unwrap_or("no terminal");
    let from = view.from.as_ref().map(|f| format!(" from {f}")).unwrap_or_default();
    out.pair(view.user.as_str(), role, format!("{here}: {duty}{look}"));
    let since = age(seconds_between(view.since, now));
    out.pair("", Role::Dim, format!("{place}{from}, uid {}, since {since}, {}", view.uid, view.proof.words()));
}

/// Who has to prove a second factor, and where.
fn logins(out: &mut Page, state: &State, snapshot: &Snapshot) {
    for one in &snapshot.sign_ins {
        let SignInState::Waiting { until, .. } = &one.state else { continue };
        out.heading(format!("{} of {}: {} left", one.id, one.person, countdown(seconds_between(state.now(), *until))));
        page_and_code(out, &one.state);
        out.pair("for", Role::Text, one.title.as_str());
        out.pair("to cancel", Role::Dim, format!("quarterdeck elevate --cancel {}", one.id));
    }
}

/// Where the code is entered.
fn page_and_code(out: &mut Page, login: &SignInState) {
    let SignInState::Waiting { uri, uri_complete, code, .. } = login else { return };
    out.pair("page", Role::Text, uri.as_str());
    out.pair("code", Role::Strong, code.as_str());
    if let Some(uri) = uri_complete {
        out.pair("or", Role::Text, uri.as_str());
    }
}

/// What the person at this console has to do before what they asked for is done.
pub(super) fn login(out: &mut Page, state: &State, snapshot: &Snapshot, id: &str) {
    let Some(one) = snapshot.sign_ins.iter().find(|one| one.id == id) else {
        return out.line(Role::Text, "The identity provider is asked for a code.");
    };
    out.line(Role::Strong, "A second factor is asked for. What you prove counts for this and for nothing else:");
    out.pair("for", Role::Text, one.title.as_str());
    match &one.state {
        SignInState::Asking => out.line(Role::Text, "The identity provider is asked for a code."),
        SignInState::Waiting { until, .. } => {
            page_and_code(out, &one.state);
            out.pair("good for", Role::Text, countdown(seconds_between(state.now(), *until)));
        }
        SignInState::Proven { message, .. } => out.line(Role::Ok, message),
        SignInState::Failed { why } => out.line(Role::Critical, why),
    }
    out.line(Role::Dim, format!("{} cancels it: nothing is done then.", state.key(Action::Back)));
}

/// Who is attached.
pub(super) fn attached(out: &mut Page, state: &State, snapshot: &Snapshot) {
    match &state.link.attached {
        Some(me) => {
            let look = if me.read_only { ", only looking on" } else { "" };
            out.line(Role::Strong, format!("You are {}{look}, {}.", me.user, me.proof.words()));
        }
        None => out.line(Role::Strong, format!("You are {}; the engine runs in this console.", snapshot.me)),
    }
    logins(out, state, snapshot);
    out.heading(format!("{} attached", count(snapshot.consoles.len(), "console")));
    for view in &snapshot.consoles {
        console(out, state, snapshot, view);
    }
    let Some(incident) = snapshot.current_incident() else { return };
    let absent: Vec<_> = incident.roles.iter().filter(|(_, p)| snapshot.present(p).next().is_none()).collect();
    if !absent.is_empty() {
        out.heading(format!("Roles of {} whose person is not here", incident.id));
        for (role, person) in absent {
            out.pair(person.as_str(), Role::Warn, role.to_string());
        }
    }
    out.lines.push(crate::console::strip::Strip::new());
    out.line(
        Role::Dim,
        "A name is claimed until a key of the roster has signed for it; a login is what the kernel says of the process.",
    );
}

/// What whoever takes the command over has to know, ten lines.
pub(super) fn brief(out: &mut Page, state: &State, snapshot: &Snapshot) {
    match snapshot.current_incident().or_else(|| snapshot.incidents.first()) {
        Some(incident) => write(out, state, snapshot, incident),
        None => out.line(Role::Text, "No incident is declared."),
    }
}

fn write(out: &mut Page, state: &State, snapshot: &Snapshot, incident: &Incident) {
    let now = state.now();
    let ended = incident.closed_at.filter(|_| incident.state == IncidentState::Closed);
    out.pair(
        incident.id.as_str(),
        incident.severity.into(),
        format!("{} {}: {}", incident.severity, incident.state, incident.title),
    );
    let lasted = age(seconds_between(incident.declared_at, ended.unwrap_or(now)));
    out.pair("since", Role::Text, format!("{}, {lasted}", moment(incident.declared_at)));
    let worst = snapshot.findings.iter().find(|f| incident.findings.contains(&f.id)).or(snapshot.findings.first());
    match worst {
        Some(finding) => {
            out.pair("hurts", finding.severity.into(), format!("{} ({})", whom_words(finding), finding.what));
        }
        None => out.pair("hurts", Role::Ok, "nothing is found at the moment"),
    }
    let people: Vec<String> = incident
        .roles
        .iter()
        .map(|(role, person)| {
            let away = if snapshot.present(person).next().is_some() { "" } else { ", not attached" };
            format!("{role} {person}{away}")
        })
        .collect();
    out.pair("people", Role::Text, people.join("; "));
    let mut done: Vec<String> = incident
        .timeline
        .iter()
        .rev()
        .filter(|e| DONE.contains(&e.kind.as_str()))
        .take(NEWEST)
        .map(|e| format!("{} {}", crate::console::format::clock(e.at), e.text))
        .collect();
    done.reverse();
    out.pair("done", Role::Text, or_nothing(&done, "nothing yet"));
    let runs: Vec<String> = snapshot
        .runs
        .iter()
        .filter(|r| is_open(r.state))
        .map(|r| format!("{} {}: {}, {}", r.id, r.playbook, run_words(r.state), r.now))
        .collect();
    out.pair("runs open", Role::Text, or_nothing(&runs, "none"));
    let measures: Vec<String> = snapshot.measures.iter().map(|m| format!("{} ({})", m.what, m.by)).collect();
    out.pair("in force", Role::Text, or_nothing(&measures, "no measure"));
    let approvals: Vec<String> = snapshot
        .runs
        .iter()
        .filter_map(|r| Some((r, r.steps.get(r.current)?)))
        .filter(|(_, s)| s.state == StepState::AwaitsApproval)
        .map(|(r, s)| format!("{} {}", r.id, s.name))
        .collect();
    out.pair("approvals", Role::Text, if approvals.is_empty() { "none waits".into() } else { approvals.join("; ") });
    let cutoff = snapshot.findings.iter().filter_map(|f| f.whom.next_cutoff.as_ref()).min_by_key(|c| c.at);
    let glass = snapshot.glass.as_ref().map(|g| format!("the glass is broken by {}", g.by));
    let cutoff = cutoff.map(|c| format!("{} of {} {}", c.what, c.tenant, crate::console::format::ahead(now, c.at)));
    let watch: Vec<String> = [cutoff, glass].into_iter().flatten().collect();
    out.pair("watch", Role::Text, or_nothing(&watch, "no cut-off is known, the glass is whole"));
    out.pair("next", Role::Strong, next(state).text.plain());
}

fn or_nothing(all: &[String], nothing: &str) -> String {
    if all.is_empty() { nothing.to_owned() } else { all.join("; ") }
}
