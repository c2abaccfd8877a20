//! Sheets: text to read about one thing, made anew from each snapshot. Absolute times, where each value comes
//! from, and what can be done about it.

pub(in crate::console) mod comms;
mod detail;
mod exercise;
pub(in crate::console) mod logs;
mod people;
mod record;
mod signals;

use super::format::{age, clock, count, moment, seconds_between};
use super::keymap::{self, Place};
use super::links::wrap_linked;
use super::rows::{Context, PaneRow, run_words, whom_words};
use super::state::{PaneId, SheetKind, State};
use super::strip::{Strip, wrap};
use super::theme::Role;
use crate::console::rows::since_words;
use crate::domain::health::Health;
use crate::domain::id::FindingId;
use crate::engine::api::Snapshot;
use detail::{by_hand, explain, row, with_step};

/// A sheet being written.
struct Page {
    lines: Vec<Strip>,
    width: usize,
}

impl Page {
    fn heading(&mut self, text: impl AsRef<str>) {
        if !self.lines.is_empty() {
            self.lines.push(Strip::new());
        }
        self.lines.push(Strip::of(Role::Title, text));
    }

    fn line(&mut self, role: Role, text: impl AsRef<str>) {
        self.lines.extend(wrap_linked(role, text.as_ref(), self.width));
    }

    fn pair(&mut self, name: &str, role: Role, value: impl AsRef<str>) {
        let lines = wrap_linked(role, value.as_ref(), self.width.saturating_sub(16).max(8));
        for (i, line) in lines.into_iter().enumerate() {
            let name = if i == 0 { name } else { "" };
            self.lines.push(Strip::of(Role::Dim, format!("{name:<15} ")).and_strip(line));
        }
    }

    fn row<R: PaneRow>(&mut self, row: &R, context: &Context<'_>) {
        if let Some(health) = row.health() {
            self.pair("health", health.into(), health.word());
        }
        for (column, cell) in R::COLUMNS.iter().zip(row.cells(context)) {
            self.pair(column.title, cell.role, if cell.text.is_empty() { "nothing" } else { &cell.text });
        }
    }
}

/// Title of a sheet.
pub fn title(state: &State, kind: &SheetKind) -> String {
    match kind {
        SheetKind::Help(_) => "Help".into(),
        SheetKind::Row(pane, key) => {
            let noun = match pane {
                PaneId::Tenants => "Tenant",
                PaneId::Databases => "Instance",
                PaneId::Locks => "Session",
                PaneId::Queues => "Queue",
                PaneId::Ingress => "Ingress",
                PaneId::Platform => "Platform",
                PaneId::Recovery => "Recovery",
                PaneId::Delivery => "Delivery",
                PaneId::Business => "Business",
                PaneId::Security => "Security",
                PaneId::Findings => "Finding",
                PaneId::Changes => "Change",
                PaneId::Offers => "Offer",
                PaneId::Evidence => "Evidence",
                PaneId::Timeline | PaneId::Journal | PaneId::EstateRecords => "Record",
                PaneId::Measures => "Measure",
                PaneId::Playbooks => "Playbook",
                PaneId::Runs => "Run",
                PaneId::Steps => "Step",
                PaneId::Sources => "Source",
                PaneId::Estates => "Estate",
                PaneId::EstateIncidents => "Incident",
            };
            format!("{noun} {key}")
        }
        SheetKind::Why(id) => format!("Why {id}"),
        SheetKind::Explain(_, step) => format!("Risk of {step}"),
        SheetKind::ByHand(_, step) => format!("{step} by hand"),
        SheetKind::Situation => "Situation".into(),
        SheetKind::Since => "Since you left".into(),
        SheetKind::Measures => "Measures in force".into(),
        SheetKind::People => "Who is attached".into(),
        SheetKind::Login(id) => format!("{id}: log in"),
        SheetKind::Brief => "Brief for the commander".into(),
        SheetKind::Exercise => "Exercise".into(),
        SheetKind::Logs => logs::title(state),
        SheetKind::Comms => "What stakeholders are told".into(),
    }
}

/// Lines of a sheet, no wider than `width`.
pub fn lines(state: &State, kind: &SheetKind, width: u16) -> Vec<Strip> {
    let mut out = Page { lines: Vec::new(), width: usize::from(width) };
    if let SheetKind::Help(place) = kind {
        help(&mut out, &state.facts.keys, *place);
        return out.lines;
    }
    if *kind == SheetKind::Logs {
        logs::write(&mut out, state, state.snapshot.as_deref());
        return out.lines;
    }
    let Some(snapshot) = state.snapshot.as_deref() else {
        out.line(Role::Unknown, "nothing is known yet: the engine has not answered");
        return out.lines;
    };
    match kind {
        SheetKind::Help(_) | SheetKind::Logs => {}
        SheetKind::Row(pane, key) => row(&mut out, state, snapshot, *pane, key),
        SheetKind::Why(id) => why(&mut out, snapshot, id),
        SheetKind::Explain(run, step) => with_step(&mut out, state, run, step, explain),
        SheetKind::ByHand(run, step) => with_step(&mut out, state, run, step, by_hand),
        SheetKind::Situation => situation(&mut out, state, snapshot),
        SheetKind::Since => since(&mut out, state, snapshot),
        SheetKind::Measures => measures(&mut out, state, snapshot),
        SheetKind::Comms => comms::write(&mut out, state, snapshot),
        SheetKind::People => people::attached(&mut out, state, snapshot),
        SheetKind::Login(id) => people::login(&mut out, state, snapshot, id),
        SheetKind::Brief => people::brief(&mut out, state, snapshot),
        SheetKind::Exercise => exercise::exercise(&mut out, state, snapshot),
    }
    out.lines
}

/// Why a finding is one, and what would disprove it.
fn why(out: &mut Page, snapshot: &Snapshot, id: &FindingId) {
    let Some(finding) = snapshot.findings.iter().find(|f| f.id == *id) else {
        out.line(Role::Ok, "It has cleared.");
        return;
    };
    out.line(finding.severity.into(), &finding.what);
    out.heading("Because");
    for text in &finding.because {
        out.line(Role::Text, format!("- {text}"));
    }
    out.heading("What would disprove it");
    out.line(Role::Text, &finding.disproof);
    out.heading("Its rule");
    out.line(Role::Dim, format!("quarterdeck explain {} says when it counts and what it offers", finding.rule));
}

fn help(out: &mut Page, keys: &keymap::Keymap, place: Place) {
    let mut group = |title: &str, choose: &dyn Fn(&keymap::Binding) -> bool| {
        out.heading(title);
        for (binding, keys) in keys.valid(place).filter(|(b, _)| choose(b)) {
            let keys: Vec<_> = keys.iter().map(|k| k.name()).collect();
            let role = if binding.danger { Role::Warn } else { Role::Accent };
            for (i, line) in wrap(binding.help, out.width.saturating_sub(20).max(8)).into_iter().enumerate() {
                let keys = if i == 0 { keys.join(" ") } else { String::new() };
                out.lines.push(Strip::of(role, format!("{keys:<18}  ")).and(Role::Text, line));
            }
        }
    };
    let only_here = |b: &keymap::Binding| matches!(b.scope, keymap::Scope::In(places) if places.len() < 6);
    let moving = |b: &keymap::Binding| matches!(b.scope, keymap::Scope::In(places) if places.len() >= 6);
    group("Here", &only_here);
    group("Moving", &moving);
    group("Everywhere", &|b| !only_here(b) && !moving(b));
    out.heading("Signs");
    out.line(Role::Text, "● o ok   ▲ ^ warn   ✖ x critical   ? unknown, never green   – nothing to observe");
    out.line(Role::Text, "Risk L looks, M is felt and can be taken back, H may lose work.");
    out.line(Role::Dim, "Rows are sorted again only while the cursor is elsewhere; Home sorts at once.");
}

fn situation(out: &mut Page, state: &State, snapshot: &Snapshot) {
    let now = state.now();
    out.line(
        Role::Strong,
        format!("{} {} ({}) at {}", snapshot.estate.name, snapshot.environment(), snapshot.mode, moment(now)),
    );
    match snapshot.current_incident() {
        Some(i) => out.line(
            i.severity.into(),
            format!("{} {} {}: {}, {}", i.id, i.severity, i.state, i.title, age(seconds_between(i.declared_at, now))),
        ),
        None => out.line(Role::Text, "No incident is declared."),
    }
    for finding in snapshot.findings.iter().take(3) {
        out.line(
            finding.severity.into(),
            format!("{} {}, hurts {}", finding.what, since_words(finding), whom_words(finding)),
        );
    }
    if let Some(cutoff) = snapshot.findings.iter().filter_map(|f| f.whom.next_cutoff.as_ref()).min_by_key(|c| c.at) {
        out.line(
            Role::Strong,
            format!("{} of {} {}", cutoff.what, cutoff.tenant, super::format::ahead(now, cutoff.at)),
        );
    }
    if let Some(text) = super::next::upcoming(snapshot, now) {
        out.line(Role::Text, format!("Calendar: {text}."));
    }
    let tally = |health: Health| snapshot.panes.tenants.iter().filter(|t| t.health == health).count();
    out.line(
        Role::Text,
        format!(
            "Tenants: {} critical, {} unknown, {} warn, {} ok.",
            tally(Health::Critical),
            tally(Health::Unknown),
            tally(Health::Warn),
            tally(Health::Ok)
        ),
    );
    comms::situation(out, snapshot, now);
    match state.pressing_run() {
        Some(run) => {
            out.line(run.state.into(), format!("{} {}: {}, {}", run.id, run.playbook, run_words(run.state), run.now));
        }
        None => out.line(Role::Text, "No run is open."),
    }
    out.line(Role::Text, format!("{} in force.", count(snapshot.measures.len(), "measure")));
    if let Some(change) = snapshot.changes.first() {
        out.line(Role::Text, format!("Last change {} {}: {}", clock(change.at), change.subject, change.what));
    }
    if let Some(told) = snapshot.drill.as_ref().and_then(|d| d.messages.last()) {
        out.line(Role::Accent, format!("Told: {told}"));
    }
    out.line(Role::Dim, format!("Next: {}", super::next::next(state).text.plain()));
}

fn since(out: &mut Page, state: &State, snapshot: &Snapshot) {
    let Some(left) = state.left_at else {
        out.line(Role::Dim, "You have not been away for longer than a minute.");
        return;
    };
    out.line(Role::Strong, format!("Since {} ({} ago)", moment(left), age(seconds_between(left, state.now()))));
    out.heading("Findings that are new");
    let new: Vec<_> = snapshot.findings.iter().filter(|f| f.since >= left).collect();
    if new.is_empty() {
        out.line(Role::Dim, "none");
    }
    for finding in new {
        out.line(finding.severity.into(), format!("{} {}", clock(finding.since), finding.what));
    }
    out.heading("What changed");
    let changes: Vec<_> = snapshot.changes.iter().filter(|c| c.at >= left).collect();
    if changes.is_empty() {
        out.line(Role::Dim, "nothing");
    }
    for change in changes {
        out.line(Role::Text, format!("{} {} {} ({})", clock(change.at), change.subject, change.what, change.by));
    }
    out.heading("Records");
    for entry in state.records().into_iter().filter(|e| e.at >= left) {
        out.line(Role::Text, format!("{} {} {} {}", clock(entry.at), entry.kind, entry.who, entry.text));
    }
}

fn measures(out: &mut Page, state: &State, snapshot: &Snapshot) {
    if snapshot.measures.is_empty() {
        out.line(Role::Ok, "Nothing is in force.");
    }
    let cx = state.context(snapshot);
    for measure in &snapshot.measures {
        out.heading(&measure.id);
        out.row(measure, &cx);
    }
}
