//! Dialogs: what opens them, what their buttons do.

use super::act::act;
use super::{by_hand, say, send};
use crate::console::effect::Effect;
use crate::console::format::{count, headline, moment};
use crate::console::keymap::Action;
use crate::console::state::{
    Answering, Asked, Awaited, Button, Confirm, Field, Filter, Focus, Form, Overlay, PaneId, Purpose, ROLES, Screen,
    State, single_line, text_of,
};
use crate::console::theme::Role;
use crate::domain::finding::Finding;
use crate::domain::health::Health;
use crate::domain::id::{IncidentId, PlaybookId};
use crate::domain::incident::{IncidentState, Severity};
use crate::domain::mode::Mode;
use crate::engine::api::{Command, Decision, RequestState, RequestView};
use std::collections::BTreeMap;

/// Why nothing can be run from here at the moment.
pub(super) fn hindrance(state: &State) -> Option<String> {
    match state.mode() {
        Mode::ReadOnly => return Some("this console is read-only: nothing can be run from it".into()),
        Mode::Replay => return Some("this is a replay: nothing can be run".into()),
        Mode::Live | Mode::Drill => {}
    }
    if state.looks_on() {
        return Some("this console only looks on (attached read-only): nothing can be run from it".into());
    }
    if state.lost().is_some() {
        return Some("the engine is lost: what is shown may no longer be so".into());
    }
    state
        .snapshot
        .as_ref()
        .and_then(|s| s.journal.broken.as_ref())
        .map(|why| format!("the journal is not in order: {why}"))
}

/// Opens the dialog that confirms the step in hand.
pub fn confirm(state: &mut State) {
    if let Some(why) = hindrance(state) {
        return say(state, Role::Critical, why);
    }
    let Some((run, step)) = state.shown_step() else { return };
    if state.confirming(&run.id, &step.id, run.generation) {
        return say(state, Role::Warn, "it has been sent; the engine has not answered yet");
    }
    let estate = state.snapshot.as_ref().map_or_else(|| state.facts.estate.clone(), |s| s.estate.name.clone());
    match Confirm::of(run, step, estate, state.mode()) {
        Some(dialog) => state.overlays.push(Overlay::Confirm(Box::new(dialog))),
        None => say(state, Role::Dim, "this step has nothing to confirm"),
    }
}

/// Presses the button with the focus of the dialog that confirms.
pub fn press_confirm(state: &mut State, effects: &mut Vec<Effect>) {
    let hindrance = hindrance(state);
    let Some(Overlay::Confirm(dialog)) = state.overlays.last() else { return };
    if dialog.focus == Button::Cancel {
        state.overlays.pop();
        return say(state, Role::Text, "cancelled: nothing was sent");
    }
    if let Some(why) = hindrance.or_else(|| dialog.obstacle()) {
        return say(state, Role::Warn, format!("not sent: {why}"));
    }
    if !dialog.still_stands(state.run(&dialog.run)) {
        state.overlays.pop();
        return say(state, Role::Critical, "the step changed: nothing was sent, look at it again");
    }
    let Some(command) = dialog.command() else { return };
    let about = Awaited::Confirm { run: dialog.run.clone(), step: dialog.step.clone(), generation: dialog.generation };
    let text = format!("confirmed {} with digest {}", dialog.name, dialog.digest.short());
    state.overlays.pop();
    send(state, command, about, effects);
    say(state, Role::Text, text);
}

/// Opens the requests that wait for a signature: the oldest, or the one after this.
pub fn requests(state: &mut State, after: Option<&str>) {
    match state.snapshot.as_ref().and_then(|s| Asked::of(s, after)) {
        Some(asked) => state.overlays.push(Overlay::Asked(Box::new(asked))),
        None => say(state, Role::Dim, "no request waits for a signature"),
    }
}

/// Presses the button with the focus of the overlay of requests.
pub fn press_asked(state: &mut State, effects: &mut Vec<Effect>) {
    let hindrance = hindrance(state);
    let Some(Overlay::Asked(asked)) = state.overlays.last() else { return };
    if asked.focus == Answering::Cancel {
        state.overlays.pop();
        return say(state, Role::Text, "nothing was signed");
    }
    if let Some(why) = hindrance.or_else(|| asked.obstacle()) {
        return say(state, Role::Warn, format!("not signed: {why}"));
    }
    let (request, role) = (Box::new(asked.request.clone()), asked.role);
    if asked.focus == Answering::Deny {
        let title = format!("Deny {}", request.id);
        let field = Field::text("reason", "reason", "why it may not run; it is recorded", true, "");
        let form = Form::new(Purpose::Deny(request, role), title, "Sign the no", vec![field]).dangerous();
        state.overlays.pop();
        return push(state, form);
    }
    state.overlays.pop();
    sign(state, request, (Decision::Approve, role), String::new(), effects);
}

/// Has an answer signed by the person's ssh-agent, and sent.
fn sign(
    state: &mut State,
    request: Box<RequestView>,
    (decision, role): (Decision, crate::domain::incident::Role),
    reason: String,
    effects: &mut Vec<Effect>,
) {
    let id = state.request();
    state.awaited.insert(id, Awaited::Other("signing"));
    let allowed_signers = state.snapshot.as_ref().map(|s| s.policy.allowed_signers.clone()).unwrap_or_default();
    say(state, Role::Text, format!("your ssh-agent signs {decision} of {} as {role}", request.id));
    effects.push(Effect::Sign { id, request, decision, role, reason, allowed_signers });
}

/// What answering a question with yes does.
pub fn answered(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Quit => effects.push(Effect::Quit),
        other => act(state, other, effects),
    }
}

/// Presses Enter in a dialog with fields.
pub fn press_form(state: &mut State, effects: &mut Vec<Effect>) {
    let now = state.now();
    let Some(Overlay::Form(form)) = state.overlays.last_mut() else { return };
    match form.focus {
        Focus::Cancel => {
            state.overlays.pop();
            return say(state, Role::Text, "cancelled: nothing was sent");
        }
        Focus::Field(i) if i + 1 < form.fields.len() || form.danger => {
            form.focus = form.next();
            return;
        }
        Focus::Field(_) | Focus::Send => {}
    }
    if let Purpose::Deny(request, role) = &form.purpose {
        let (request, role, reason) = (request.clone(), *role, form.value("reason"));
        if reason.trim().is_empty() {
            form.error = Some("a no needs its reason".into());
            return;
        }
        state.overlays.pop();
        return sign(state, request, (Decision::Deny, role), reason, effects);
    }
    let command = match form.command(now) {
        Ok(command) => command,
        Err(why) => {
            form.error = Some(why);
            return;
        }
    };
    let about = match &command {
        Command::StartRun { .. } | Command::StartRunWith { .. } => Awaited::Start,
        Command::Declare { .. } => Awaited::Other("declaring"),
        _ => Awaited::Other("sending"),
    };
    state.overlays.pop();
    send(state, command, about, effects);
}

/// Whether a dialog with fields was opened for something that no longer stands as it was shown.
pub fn is_stale(state: &State, form: &Form) -> bool {
    let open = |id: &IncidentId| {
        state
            .snapshot
            .as_ref()
            .is_some_and(|s| s.incidents.iter().any(|i| i.id == *id && i.state != IncidentState::Closed))
    };
    match &form.purpose {
        Purpose::Decide(run, step, generation) | Purpose::Give(run, step, generation) => !state
            .run(run)
            .is_some_and(|r| r.generation == *generation && r.steps.get(r.current).is_some_and(|s| s.id == *step)),
        Purpose::Deny(request, _) => !state
            .snapshot
            .as_ref()
            .is_some_and(|s| s.requests.iter().any(|r| r.id == request.id && r.state == RequestState::Open)),
        Purpose::Edit(id) | Purpose::Role(id) | Purpose::TakeOver(id) | Purpose::Close(id) => !open(id),
        _ => false,
    }
}

fn push(state: &mut State, form: Form) {
    state.overlays.push(Overlay::Form(Box::new(form)));
}

fn incident(state: &mut State) -> Option<IncidentId> {
    let id = state.snapshot.as_ref().and_then(|s| s.current_incident()).map(|i| i.id.clone());
    if id.is_none() {
        say(state, Role::Dim, "no incident is declared; F declares one");
    }
    id
}

const SEVERITIES: [(Severity, &str); 4] = [
    (Severity::Sev1, "production stands still"),
    (Severity::Sev2, "production is hindered"),
    (Severity::Sev3, "a part is hindered, there is a way round"),
    (Severity::Sev4, "to be looked at"),
];

fn severities() -> Vec<(String, String)> {
    SEVERITIES.iter().map(|(s, what)| (s.to_string(), format!("{s}: {what}"))).collect()
}

/// Declares an incident for what is found now.
pub fn declare(state: &mut State) {
    let Some(snapshot) = state.snapshot.clone() else { return say(state, Role::Dim, "nothing is known yet") };
    if let Some(open) = snapshot.current_incident() {
        return say(state, Role::Warn, format!("{} is open already; n shows it", open.id));
    }
    let pane = state.panes.get(PaneId::Findings);
    let chosen = match &state.screen {
        Screen::Finding(id) => snapshot.findings.iter().find(|f| f.id == *id),
        _ => pane.selected().filter(|_| pane.pinned).and_then(|slot| snapshot.findings.get(slot.index)),
    };
    // Where nobody has chosen, an incident is about what is known to hurt somebody; an unknown source ranks above it in
    // the list, where it must not be overlooked.
    let hurts = |f: &&Finding| f.severity != Health::Unknown && !f.whom.tenants.is_empty();
    let worst = chosen.or_else(|| snapshot.findings.iter().find(hurts)).or_else(|| snapshot.findings.first());
    let title = worst.map(|f| headline(&f.what).to_owned()).unwrap_or_default();
    let severity = match worst.map(|f| f.severity) {
        Some(Health::Critical) => "SEV1",
        Some(_) => "SEV2",
        None => "SEV3",
    };
    let findings: Vec<_> = worst.map(|f| f.id.clone()).into_iter().collect();
    let intro = match findings.first() {
        Some(id) => format!("For finding {id}. You become commander; every later step is recorded under it."),
        None => "For no finding. You become commander; every later step is recorded under it.".to_owned(),
    };
    push(
        state,
        Form::new(
            Purpose::Declare(findings),
            "Declare an incident",
            "Declare",
            vec![
                Field::text("title", "title", "what is wrong, one line", true, &title),
                Field::choice("severity", "severity", severities(), severity),
            ],
        )
        .intro([intro])
        .dangerous(),
    );
}

/// Writes a note.
pub fn note(state: &mut State) {
    let open = state.snapshot.as_ref().and_then(|s| s.current_incident()).map(|i| i.id.clone());
    let intro = match &open {
        Some(id) => format!("Recorded under {id}, with your name and the time; it can not be taken back."),
        None => "Recorded with your name and the time; it can not be taken back.".into(),
    };
    let field = Field::text("text", "note", "what you saw, decided, or did outside", true, "");
    push(state, Form::new(Purpose::Note(open), "Note", "Record", vec![field]).intro([intro]));
}

/// Asks for the moment that a replay is to show.
pub fn replay_to(state: &mut State) {
    let Some(replay) = state.snapshot.as_ref().and_then(|s| s.replay.as_ref()) else {
        return say(state, Role::Dim, "this is not a replay");
    };
    let intro = format!("{} goes from {} to {}.", replay.incident, moment(replay.from), moment(replay.to));
    let help = "02:13, 2026-11-21T02:13:05Z, or +5m and -30s from here; UTC";
    let field = Field::text("moment", "moment", help, true, "");
    push(state, Form::new(Purpose::Moment, "Replay", "Go", vec![field]).intro([intro]));
}

/// Changes severity and state.
pub fn edit_incident(state: &mut State) {
    let Some(id) = incident(state) else { return };
    let Some((severity, now)) = state
        .snapshot
        .as_ref()
        .and_then(|s| s.current_incident())
        .map(|i| (i.severity.to_string(), i.state.to_string()))
    else {
        return;
    };
    let states = [IncidentState::Investigating, IncidentState::Identified, IncidentState::Monitoring];
    let states = states.iter().map(|s| (s.to_string(), s.to_string())).collect();
    let fields = vec![
        Field::choice("severity", "severity", severities(), &severity),
        Field::choice("state", "state", states, &now),
    ];
    push(state, Form::new(Purpose::Edit(id.clone()), format!("Change {id}"), "Change", fields));
}

/// Gives a role.
pub fn assign_role(state: &mut State) {
    let Some(id) = incident(state) else { return };
    let roles = ROLES.iter().map(|r| (r.to_string(), r.to_string())).collect();
    let fields = vec![
        Field::choice("role", "role", roles, "operator"),
        Field::text("person", "person", "who takes it", true, ""),
    ];
    push(state, Form::new(Purpose::Role(id.clone()), format!("Give a role in {id}"), "Give", fields));
}

/// Takes the command over, as deputy.
pub fn take_over(state: &mut State) {
    let Some(id) = incident(state) else { return };
    let intro = "The engine agrees only while no console of the commander is heard of; who took over from whom, and \
                 why, is recorded.";
    let field = Field::text("reason", "reason", "why you take over, one line", true, "");
    let form =
        Form::new(Purpose::TakeOver(id.clone()), format!("Take over the command of {id}"), "Take over", vec![field]);
    push(state, form.intro([intro.to_owned()]).dangerous());
}

/// Asks for a role for a time.
pub fn elevate(state: &mut State) {
    if let Some(why) = hindrance(state) {
        return say(state, Role::Critical, why);
    }
    let roles = ROLES.iter().map(|r| (r.to_string(), r.to_string())).collect();
    let fields = vec![
        Field::choice("role", "role", roles, "approver"),
        Field::text("minutes", "minutes", "for how many minutes you need it", true, "30"),
        Field::text("reason", "reason", "why you need it, one line; it is recorded", true, ""),
    ];
    let intro = "Another person grants it with their signature, and it ends by itself. Where policy asks for a second factor, the \
                 page and the code of the identity provider are shown next.";
    push(state, Form::new(Purpose::Elevate, "Ask for a role for a time", "Ask", fields).intro([intro.to_owned()]));
}

/// Closes the incident.
pub fn close_incident(state: &mut State) {
    let Some(id) = incident(state) else { return };
    let Some(snapshot) = state.snapshot.clone() else { return };
    let mut intro = vec![format!("{id} is closed for good; what comes later is a new one.")];
    let orphans = snapshot.measures.iter().filter(|m| m.owner.is_none()).count();
    if orphans > 0 {
        intro.push(format!("Will be refused: {} in force without an owner.", count(orphans, "measure")));
    }
    if super::open_runs(state) > 0 {
        intro.push("Will be refused: a run is open.".into());
    }
    if snapshot.glass.is_some() {
        intro.push("Will be refused: the glass is broken or its review is due.".into());
    }
    let field = Field::text("summary", "outcome", "what it was and what ended it, one line", true, "");
    push(
        state,
        Form::new(Purpose::Close(id.clone()), format!("Close {id}"), "Close", vec![field]).intro(intro).dangerous(),
    );
}

/// Settles the measure under the cursor, or the only one, or hands it to an owner.
pub fn assign_measure(state: &mut State) {
    let Some(measure) = by_hand::measure(state) else {
        return say(state, Role::Dim, "nothing under the cursor is a measure in force");
    };
    let me = state.snapshot.as_ref().map(|s| s.me.to_string()).unwrap_or_default();
    if let Some(form) = by_hand::settle(&measure, &me) {
        return push(state, form);
    }
    if measure.starts_with("duty/") {
        let ways = vec![("done".into(), "it is done".into()), ("hand".into(), "hand it over".into())];
        let fields = vec![
            Field::choice("way", "what", ways, "done"),
            Field::text("text", "done", "what was done, where it is done", false, ""),
            Field::text("owner", "owner", "who answers for it, where it is handed over", false, &me),
            Field::text("hours", "hours", "for how many hours, 1 to 8760", false, "24"),
        ];
        return push(
            state,
            Form::new(Purpose::Measure(measure.clone()), format!("Settle {measure}"), "Settle", fields),
        );
    }
    let fields = vec![
        Field::text("owner", "owner", "who answers for it after the incident", true, &me),
        Field::text("hours", "hours", "for how many hours, 1 to 8760", true, "24"),
    ];
    push(state, Form::new(Purpose::Measure(measure.clone()), format!("Hand over {measure}"), "Hand over", fields));
}

/// Breaks the glass.
pub fn break_glass(state: &mut State) {
    if state.snapshot.as_ref().is_some_and(|s| s.glass.as_ref().is_some_and(|g| !g.review_due)) {
        return say(state, Role::Warn, "the glass is broken already; M mends it");
    }
    if let Some(why) = hindrance(state) {
        return say(state, Role::Critical, why);
    }
    let field = Field::text("reason", "reason", "why nobody can approve now; at least ten characters", true, "");
    push(
        state,
        Form::new(Purpose::BreakGlass, "Break the glass", "Break", vec![field])
            .intro([
                "For 30 minutes high-risk steps run without a second person's approval.".to_owned(),
                "Everybody sees it on every screen; it is recorded, it ends by itself,".to_owned(),
                "and its review must be recorded before the incident can close.".to_owned(),
            ])
            .dangerous(),
    );
}

/// Records the review of a broken glass.
pub fn review_glass(state: &mut State) {
    let Some(glass) = state.snapshot.as_ref().and_then(|s| s.glass.clone()) else {
        return say(state, Role::Dim, "the glass is not broken");
    };
    let intro = format!("Broken by {} at {}: {}", glass.by, moment(glass.since), glass.reason);
    let field = Field::text("text", "review", "what was done under it, and whether it was right", true, "");
    push(state, Form::new(Purpose::ReviewGlass, "Review of the broken glass", "Record", vec![field]).intro([intro]));
}

/// Ends a run after the step in hand.
pub fn stop_run(state: &mut State) {
    let Screen::Run(run) = state.screen.clone() else { return };
    let field = Field::text("reason", "reason", "why", true, "");
    push(
        state,
        Form::new(Purpose::StopRun(run.clone()), format!("Stop {run}"), "Stop", vec![field])
            .intro(["The step in hand is finished and recorded; nothing further starts.".to_owned()]),
    );
}

/// Decides the step in hand.
pub fn decide(state: &mut State) {
    if let Some(why) = hindrance(state) {
        return say(state, Role::Critical, why);
    }
    let Some((run, step)) = state.shown_step() else { return };
    let choices: Vec<_> = step.choices.clone();
    let first = choices.first().map(|(key, _)| key.clone()).unwrap_or_default();
    let mut intro = vec![format!("Step: {}", step.name)];
    intro.extend(step.outcome.clone());
    let form = Form::new(
        Purpose::Decide(run.id.clone(), step.id.clone(), run.generation),
        "Decide",
        "Decide",
        vec![
            Field::choice("choice", "choice", choices, &first),
            Field::text("reason", "reason", "why, for the record", false, ""),
        ],
    )
    .intro(intro)
    .dangerous();
    push(state, form);
}

/// Opens the form of a step that asks for values.
pub fn give(state: &mut State) {
    if let Some(why) = hindrance(state) {
        return say(state, Role::Critical, why);
    }
    let Some((run, step)) = state.shown_step() else { return };
    let fields = step
        .asks
        .iter()
        .map(|p| {
            let value = p.default.clone().unwrap_or_default();
            if p.secret {
                Field::secret(&p.name, &p.name, &p.description, p.required)
            } else if p.allowed.is_empty() {
                Field::text(&p.name, &p.name, &p.description, p.required, &value)
            } else {
                let options = p.allowed.iter().map(|v| (v.clone(), v.clone())).collect();
                Field::choice(&p.name, &p.name, options, &value)
            }
        })
        .collect();
    let purpose = Purpose::Give(run.id.clone(), step.id.clone(), run.generation);
    let intro = [format!("Step: {}", step.name), step.why.clone()];
    let form = Form::new(purpose, "Values", "Give", fields).intro(intro);
    push(state, form);
}

/// Opens the dialog that says that stakeholders were told; it shows what they are to be told.
pub fn told(state: &mut State) {
    let Some((run, step)) = state.shown_step() else { return };
    let Some(comms) = step.comms.clone() else { return };
    let purpose = Purpose::Told(run.id.clone(), step.id.clone());
    let intro = [format!("To {}:", comms.audience.join(", ")), comms.text, "y copies it.".to_owned()];
    let form = Form::new(purpose, "Tell stakeholders", "They were told", Vec::new()).intro(intro);
    push(state, form);
}

/// Opens the dialog that starts a playbook.
pub fn start(state: &mut State, playbook: &PlaybookId, known: &BTreeMap<String, String>) {
    let Some(snapshot) = state.snapshot.clone() else { return };
    let Some(book) = snapshot.playbooks.iter().find(|p| p.id == *playbook) else {
        return say(state, Role::Critical, format!("there is no playbook {playbook}"));
    };
    let tenants = state.panes.get(PaneId::Tenants);
    let tenant = tenants.selected_key().filter(|_| tenants.pinned);
    let fields = book
        .parameters
        .iter()
        .map(|p| {
            let value = known
                .get(&p.name)
                .cloned()
                .or_else(|| p.default.clone())
                .or_else(|| tenant.filter(|_| p.name == "tenant").map(str::to_owned))
                .unwrap_or_default();
            if p.secret {
                Field::secret(&p.name, &p.name, &p.description, p.required)
            } else if p.allowed.is_empty() {
                Field::text(&p.name, &p.name, &p.description, p.required, &value)
            } else {
                let options = p.allowed.iter().map(|v| (v.clone(), v.clone())).collect();
                Field::choice(&p.name, &p.name, options, &value)
            }
        })
        .collect();
    let incident = snapshot.current_incident().map(|i| i.id.clone());
    let steps: Vec<_> =
        book.steps.iter().map(|s| format!("{} {}", crate::console::rows::risk_letter(s.risk), s.name)).collect();
    let intro = [
        book.description.clone(),
        format!("Steps: {}", steps.join(" · ")),
        "Looks run at once; each step that changes something waits for you.".to_owned(),
    ];
    let title = format!("Start {} v{}", book.name, book.version);
    push(state, Form::new(Purpose::Start(book.id.clone(), incident), title, "Start", fields).intro(intro));
}

/// Opens the dialog that asks again for the secrets of a run that goes on.
pub fn resume(state: &mut State, run: &crate::domain::id::RunId, missing: &[String]) {
    let field =
        |name: &String| Field::secret(name, name, "the value with which it was started; it is kept nowhere", true);
    let fields = missing.iter().map(field).collect();
    push(state, Form::new(Purpose::Resume(run.clone()), format!("Go on with {run}"), "Go on", fields));
}

/// Opens the filter line of the pane with the cursor.
pub fn filter(state: &mut State) {
    let pane = state.focused();
    let input = single_line(&state.panes.get(pane).filter);
    state.overlays.push(Overlay::Filter(Box::new(Filter { pane, input })));
}

/// Filters as typed.
pub fn apply_filter(state: &mut State) {
    let Some(Overlay::Filter(filter)) = state.overlays.last() else { return };
    let (pane, text) = (filter.pane, text_of(&filter.input));
    if pane == PaneId::Journal {
        return super::log::typed(state);
    }
    state.panes.change(pane, |pane| text.trim().clone_into(&mut pane.filter));
    state.refresh_pane(pane);
}
