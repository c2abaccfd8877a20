//! Actions of the table, on a screen.

use super::log::{self, By};
use super::{by_hand, copy, dialogs, estates, go, jump, marks, open_runs, palette, say, send};
use crate::console::effect::Effect;
use crate::console::keymap::Action;
use crate::console::next::{Go, next};
use crate::console::rows::{Group, PaneRow};
use crate::console::state::{
    Awaited, Button, Opens, Overlay, PaneId, Question, Reached, Screen, Sheet, SheetKind, State, shown_finding,
};
use crate::console::theme::Role;
use crate::console::views::View;
use crate::domain::finding::Finding;
use crate::domain::id::{FindingId, RunId};
use crate::domain::pane::Pane;
use crate::engine::api::{Command, ReplayAsk, RunState};

/// Seconds that a replay goes back or on at a key.
const MINUTE: i64 = 60;

/// Does an action.
pub fn act(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    match action {
        Action::Overview => go(state, Screen::Overview),
        Action::Tenants => go(state, Screen::Tenants),
        Action::Database => go(state, Screen::Database),
        Action::Queue => go(state, Screen::Queue),
        Action::Ingress => go(state, Screen::Ingress),
        Action::Platform => go(state, Screen::Subjects(Pane::Platform)),
        Action::Recovery => go(state, Screen::Subjects(Pane::Recovery)),
        Action::Delivery => go(state, Screen::Subjects(Pane::Delivery)),
        Action::Business => go(state, Screen::Subjects(Pane::Business)),
        Action::Security => go(state, Screen::Subjects(Pane::Security)),
        Action::Findings => go(state, Screen::Findings),
        Action::Incident => go(state, Screen::Incident),
        Action::Playbooks => go(state, Screen::Playbooks),
        Action::Journal => go(state, Screen::Journal),
        Action::Sources => go(state, Screen::Sources),
        Action::Estates => estates::open(state),
        Action::NextEstate => estates::beside(state, true, effects),
        Action::PreviousEstate => estates::beside(state, false, effects),
        Action::Next => do_next(state, effects),
        Action::Open => open(state, effects),
        Action::Back => leave(state, effects),
        Action::Up | Action::Down | Action::PageUp | Action::PageDown | Action::Top | Action::Bottom => {
            step(state, action, effects);
        }
        Action::NextPane => turn(state, true),
        Action::PreviousPane => turn(state, false),
        Action::JumpBack => jump(state, false, effects),
        Action::JumpOn => jump(state, true, effects),
        Action::Mark => marks::mark(state),
        Action::Marks => palette::marks(state),
        Action::Filter => dialogs::filter(state),
        Action::Search => log::search(state),
        Action::OlderMatch => log::jump(state, true, effects),
        Action::NewerMatch => log::jump(state, false, effects),
        Action::OnlyIncident => log::narrow(state, By::Incident, effects),
        Action::OnlyKind => log::narrow(state, By::Kind, effects),
        Action::SaveProof => log::save_proof(state, effects),
        Action::OnlyWho => log::narrow(state, By::Who, effects),
        Action::Sort => sort(state),
        Action::Group => group(state),
        Action::View => see(state, state.view.after()),
        Action::Theme => palette::themes(state),
        Action::Palette => palette::open(state),
        Action::Help => sheet(state, SheetKind::Help(state.screen_place())),
        Action::Copy => copy::copy(state, effects),
        Action::Acknowledge if by_hand::is_here(state) => by_hand::acknowledge(state, effects),
        Action::Acknowledge => acknowledge(state, effects),
        Action::Declare => dialogs::declare(state),
        Action::Note => dialogs::note(state),
        Action::EditIncident => dialogs::edit_incident(state),
        Action::AssignRole => dialogs::assign_role(state),
        Action::CloseIncident => dialogs::close_incident(state),
        Action::AssignMeasure => dialogs::assign_measure(state),
        Action::GoByHand => by_hand::begin(state),
        Action::Measures => sheet(state, SheetKind::Measures),
        Action::Requests => dialogs::requests(state, None),
        Action::Logs => super::logs::open(state, effects),
        Action::Comms => super::comms::open(state),
        Action::Write => super::comms::write(state, effects),
        Action::AcknowledgeCall => super::comms::acknowledge(state, effects),
        Action::AskAgain => super::comms::ask_again(state),
        Action::ResendMessage => super::comms::send_again(state, effects),
        Action::SendMessage => super::comms::send_message(state, effects),
        Action::People => sheet(state, SheetKind::People),
        Action::Brief => sheet(state, SheetKind::Brief),
        Action::TakeOver => dialogs::take_over(state),
        Action::Elevate => dialogs::elevate(state),
        Action::Situation => sheet(state, SheetKind::Situation),
        Action::Since => sheet(state, SheetKind::Since),
        Action::BreakGlass => dialogs::break_glass(state),
        Action::RestoreGlass => {
            if state.snapshot.as_ref().is_some_and(|s| s.glass.as_ref().is_some_and(|g| !g.review_due)) {
                send(state, Command::RestoreGlass, Awaited::Other("mending the glass"), effects);
            } else {
                say(state, Role::Dim, "the glass is not broken");
            }
        }
        Action::ReviewGlass => dialogs::review_glass(state),
        Action::Explain => explain(state),
        Action::ByHand => with_step(state, SheetKind::ByHand),
        Action::Recheck => recheck(state, effects),
        Action::StopRun => dialogs::stop_run(state),
        Action::ResumeRun => resume(state, effects),
        Action::EmergencyStop => stop_everything(state, effects),
        Action::Exercise => sheet(state, SheetKind::Exercise),
        Action::DrillHint => send(state, Command::DrillHint, Awaited::Other("asking for a hint"), effects),
        Action::DrillPause | Action::DrillFaster | Action::DrillSlower => pace(state, action, effects),
        Action::ReplayEarlier => replay(state, ReplayAsk::Earlier, effects),
        Action::ReplayLater => replay(state, ReplayAsk::Later, effects),
        Action::ReplayBack => replay(state, ReplayAsk::By(-MINUTE), effects),
        Action::ReplayOn => replay(state, ReplayAsk::By(MINUTE), effects),
        Action::ReplayTo => dialogs::replay_to(state),
        Action::Quit => quit(state, effects),
        Action::Suspend => effects.push(Effect::Suspend),
        Action::Redraw => effects.push(Effect::Redraw),
        Action::MoveFocus
        | Action::Press
        | Action::NextRequest
        | Action::TurnRole
        | Action::NextTemplate
        | Action::TurnWay
        | Action::AskSend
        | Action::EditOutside
        | Action::RunExercise
        | Action::Configure => {}
    }
}

/// Shows things as a role sees them: its pane has the cursor, its orders are those of the rows.
pub fn see(state: &mut State, view: View) {
    let profile = view.profile();
    state.view = view;
    for id in PaneId::ALL {
        let sort = profile.sorts.iter().find(|(pane, _)| *pane == id).map(|(_, label)| *label);
        let place = sort.and_then(|label| orders(id).into_iter().position(|known| known == label)).unwrap_or(0);
        state.panes.change(id, |pane| {
            pane.sort = place;
            pane.resort();
        });
        state.refresh_pane(id);
    }
    if state.screen == Screen::Overview {
        state.focus = state.screen.panes().iter().position(|p| *p == profile.first).unwrap_or(0);
    }
    say(state, Role::Ok, format!("view {}: {}", profile.word, profile.what));
}

/// Does what the line `Next` says.
fn do_next(state: &mut State, effects: &mut Vec<Effect>) {
    match next(state).go {
        Some(Go::Act(Action::Open)) if matches!(state.screen, Screen::Run(_)) => {
            // It speaks of the step in hand, wherever the cursor stands.
            state.panes.change(PaneId::Steps, crate::console::state::Pane::release);
            state.refresh_pane(PaneId::Steps);
            open(state, effects);
        }
        Some(Go::Act(action)) => act(state, action, effects),
        Some(Go::Screen(screen)) => go(state, screen),
        Some(Go::Start(playbook, params)) => dialogs::start(state, &playbook, &params),
        None => say(state, Role::Dim, "there is nothing to do next but to wait"),
    }
}

fn leave(state: &mut State, effects: &mut Vec<Effect>) {
    match state.overlays.pop() {
        Some(Overlay::Filter(filter)) if filter.pane == PaneId::Journal => log::clear(state, effects),
        Some(Overlay::Filter(filter)) => {
            state.panes.change(filter.pane, |pane| pane.filter.clear());
            state.refresh_pane(filter.pane);
        }
        Some(Overlay::Compose(compose)) => super::comms::left(state, compose),
        Some(Overlay::Sheet(Sheet { kind: SheetKind::Login(id), .. })) => super::login::cancel(state, id, effects),
        Some(_) => {}
        None => {
            let pane = state.focused();
            if pane == PaneId::Journal && !state.log.wanted.is_everything() {
                log::clear(state, effects);
            } else if !state.panes.get(pane).filter.is_empty() {
                state.panes.change(pane, |pane| pane.filter.clear());
                state.refresh_pane(pane);
            } else if state.jumps.leads_back() {
                jump(state, false, effects);
            } else if state.screen == Screen::Overview {
                state.panes.change(pane, crate::console::state::Pane::release);
                state.refresh_pane(pane);
            } else {
                go(state, Screen::Overview);
            }
        }
    }
}

pub(super) fn sheet(state: &mut State, kind: SheetKind) {
    state.overlays.push(Overlay::Sheet(Sheet { kind, scroll: 0 }));
}

fn with_step(state: &mut State, kind: fn(RunId, crate::domain::id::StepId) -> SheetKind) {
    let Some((run, step)) = state.shown_step().map(|(r, s)| (r.id.clone(), s.id.clone())) else { return };
    sheet(state, kind(run, step));
}

/// Moves the cursor of the pane that has it.
fn step(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let pane = state.focused();
    let screenful = usize::from(state.size.1.saturating_sub(8)).max(1);
    state.panes.change(pane, |pane| {
        let at = pane.at();
        match action {
            Action::Up => pane.place(at.saturating_sub(1)),
            Action::Down => pane.place(at.saturating_add(1)),
            Action::PageUp => pane.place(at.saturating_sub(screenful)),
            Action::PageDown => pane.place(at.saturating_add(screenful)),
            Action::Top => {
                pane.release();
                pane.resort();
            }
            _ => pane.place(usize::MAX),
        }
    });
    let detached = pane == PaneId::Journal && state.log.is_detached() && !state.log.wanted.narrows();
    if detached && action == Action::Bottom {
        state.log.attach();
    }
    if pane.newest_last() {
        state.panes.change(pane, |pane| match action {
            Action::Top => pane.place(0),
            // At the end the cursor follows what is new again.
            Action::Bottom => pane.release(),
            _ if detached => {}
            _ if pane.at().saturating_add(1) >= pane.order.len() => pane.release(),
            _ => {}
        });
    }
    state.refresh_pane(pane);
    if pane == PaneId::Databases {
        state.panes.change(PaneId::Locks, crate::console::state::Pane::release);
        state.refresh_pane(PaneId::Locks);
    }
    if pane == PaneId::Journal {
        let (at, rows) = (state.panes.get(pane).at(), state.panes.get(pane).order.len());
        if at == 0 {
            log::read_older(state, effects);
        } else if detached && at + 1 >= rows {
            log::read_newer(state, effects);
        }
    }
}

fn turn(state: &mut State, forward: bool) {
    let n = state.screen.panes().len().max(1);
    state.focus = if forward { (state.focus + 1) % n } else { (state.focus + n - 1) % n };
}

fn sort(state: &mut State) {
    let id = state.focused();
    let (orders, sort) = (orders(id), state.panes.get(id).sort);
    let next = (sort + 1) % orders.len().max(1);
    let Some(label) = orders.get(next) else { return say(state, Role::Dim, "these rows have one order only") };
    state.panes.change(id, |pane| pane.sort = next);
    state.refresh_pane(id);
    say(state, Role::Text, format!("sorted: {label}"));
}

/// The orders of a pane's rows, by their labels; none where there is one only.
fn orders(id: PaneId) -> Vec<&'static str> {
    fn labels<R: PaneRow>() -> Vec<&'static str> {
        R::SORTS.iter().map(|s| s.label).collect()
    }
    use crate::domain::pane::{DatabaseRow, IngressRow, QueueRow, SourceRow, SubjectRow, TenantRow};
    match id {
        PaneId::Tenants => labels::<TenantRow>(),
        PaneId::Databases => labels::<DatabaseRow>(),
        PaneId::Queues => labels::<QueueRow>(),
        PaneId::Ingress => labels::<IngressRow>(),
        PaneId::Sources => labels::<SourceRow>(),
        id if id.subjects().is_some() => labels::<SubjectRow>(),
        PaneId::Findings => labels::<Finding>(),
        PaneId::Playbooks => labels::<crate::engine::api::PlaybookSummary>(),
        PaneId::Estates => labels::<crate::console::state::EstateRow>(),
        _ => Vec::new(),
    }
}

/// Groups the rows of the pane with the cursor another way.
fn group(state: &mut State) {
    let id = state.focused();
    if !id.can_group() {
        return say(state, Role::Dim, "these rows are about no tenant and no place: they can not be grouped");
    }
    let next = Group::after(state.panes.get(id).group);
    state.panes.change(id, |pane| pane.group = next);
    state.refresh_pane(id);
    say(state, Role::Text, next.map_or_else(|| "not grouped".to_owned(), |by| format!("grouped by {}", by.word())));
}

/// Opens what is under the cursor.
pub(super) fn open(state: &mut State, effects: &mut Vec<Effect>) {
    let pane = state.focused();
    if pane == PaneId::Steps {
        return open_step(state, effects);
    }
    let Some(key) = state.panes.get(pane).selected_key().map(str::to_owned) else {
        return say(state, Role::Dim, "there is nothing under the cursor");
    };
    match pane {
        PaneId::Findings => go(state, Screen::Finding(FindingId::new(key))),
        PaneId::Runs => go(state, Screen::Run(RunId::new(key))),
        PaneId::Playbooks => dialogs::start(state, &key.as_str().into(), &std::collections::BTreeMap::new()),
        PaneId::Offers => {
            let params = state.snapshot.as_ref().and_then(|s| {
                shown_finding(state, s)?.playbooks.iter().find(|o| o.id.as_str() == key).map(|o| o.params.clone())
            });
            dialogs::start(state, &key.as_str().into(), &params.unwrap_or_default());
        }
        PaneId::Journal | PaneId::Timeline => open_record(state, pane, key, effects),
        PaneId::Estates | PaneId::EstateIncidents | PaneId::EstateRecords => {
            estates::choose(state, pane, &key, effects);
        }
        _ => {
            sheet(state, SheetKind::Row(pane, key));
            super::look(state, effects);
        }
    }
}

/// Opens a record.
pub(super) fn open_record(state: &mut State, pane: PaneId, key: String, effects: &mut Vec<Effect>) {
    if let Ok(seq) = key.parse() {
        state.log.opened = None;
        effects.push(Effect::Open { seq });
    }
    sheet(state, SheetKind::Row(pane, key));
}

fn open_step(state: &mut State, effects: &mut Vec<Effect>) {
    match state.opens() {
        Opens::Confirm => dialogs::confirm(state),
        Opens::Give => dialogs::give(state),
        Opens::Told => dialogs::told(state),
        Opens::Decide => dialogs::decide(state),
        Opens::Resume => resume(state, effects),
        Opens::Details => {
            let Some((_, step)) = state.shown_step() else { return };
            let key = step.id.to_string();
            sheet(state, SheetKind::Row(PaneId::Steps, key));
        }
    }
}

fn acknowledge(state: &mut State, effects: &mut Vec<Effect>) {
    let finding = match &state.screen {
        Screen::Finding(id) => Some(id.clone()),
        _ => state.panes.get(PaneId::Findings).selected_key().map(FindingId::from),
    };
    match finding {
        Some(finding) => send(state, Command::Acknowledge { finding }, Awaited::Other("acknowledging"), effects),
        None => say(state, Role::Dim, "there is no finding"),
    }
}

/// Explains the step on the screen, or the finding.
fn explain(state: &mut State) {
    let finding = match &state.screen {
        Screen::Finding(id) => Some(id.clone()),
        Screen::Findings => state.panes.get(PaneId::Findings).selected_key().map(FindingId::from),
        _ => return with_step(state, SheetKind::Explain),
    };
    match finding {
        Some(id) => sheet(state, SheetKind::Why(id)),
        None => say(state, Role::Dim, "there is no finding"),
    }
}

fn recheck(state: &mut State, effects: &mut Vec<Effect>) {
    let Screen::Run(id) = &state.screen else { return };
    let Some((run, step)) = state.run(id).and_then(|r| Some((r.id.clone(), r.steps.get(r.current)?.id.clone()))) else {
        return;
    };
    send(state, Command::Recheck { run, step }, Awaited::Other("checking again"), effects);
}

fn resume(state: &mut State, effects: &mut Vec<Effect>) {
    let Screen::Run(id) = &state.screen else { return };
    match state.run(id).map(|r| r.state) {
        Some(RunState::Stopped | RunState::Unknown) => {
            let run = id.clone();
            let missing = state.run(id).map(|r| r.secrets_missing.clone()).unwrap_or_default();
            if !missing.is_empty() {
                return dialogs::resume(state, &run, &missing);
            }
            send(state, Command::ResumeRun { run }, Awaited::Other("resuming"), effects);
        }
        _ => say(state, Role::Dim, "this run is not stopped"),
    }
}

/// The emergency stop: at once, whatever lies on top; it also closes every dialog that could start something.
fn stop_everything(state: &mut State, effects: &mut Vec<Effect>) {
    state.overlays.retain(|o| !matches!(o, Overlay::Confirm(_) | Overlay::Question(_)));
    send(state, Command::EmergencyStop, Awaited::Other("emergency stop"), effects);
    say(state, Role::Alarm, "EMERGENCY STOP sent: every run halts after the target in hand");
}

/// Pace of a drill or a replay.
fn pace(state: &mut State, action: Action, effects: &mut Vec<Effect>) {
    let snapshot = state.snapshot.as_ref();
    let replayed = snapshot.and_then(|s| s.replay.as_ref()).map(|r| r.speed);
    let Some(speed) = replayed.or_else(|| snapshot?.drill.as_ref().map(|d| d.speed)) else {
        return say(state, Role::Dim, "this is neither a drill nor a replay");
    };
    let paused = speed <= 0.0;
    let fastest = if replayed.is_some() { 960.0 } else { 60.0 };
    let speed = match action {
        Action::DrillPause if paused => 1.0,
        Action::DrillPause => 0.0,
        Action::DrillFaster => (speed.max(0.5) * 2.0).min(fastest),
        _ => (speed / 2.0).max(0.5),
    };
    if replayed.is_some() {
        return replay(state, ReplayAsk::Speed(speed), effects);
    }
    send(state, Command::DrillClock { speed }, Awaited::Other("setting the scenario's clock"), effects);
}

fn replay(state: &mut State, ask: ReplayAsk, effects: &mut Vec<Effect>) {
    if state.snapshot.as_ref().is_none_or(|s| s.replay.is_none()) {
        return say(state, Role::Dim, "this is not a replay");
    }
    send(state, Command::Replay { ask }, Awaited::Other("going to the moment"), effects);
}

fn quit(state: &mut State, effects: &mut Vec<Effect>) {
    if matches!(state.overlays.last(), Some(Overlay::Question(q)) if q.action == Action::Quit) {
        return;
    }
    // An engine elsewhere goes on without this console.
    let own = if state.link.attached.is_some() { 0 } else { open_runs(state) };
    let others = state.estates.others().filter(|row| row.reached == Reached::Here).map(|row| row.runs);
    let open = own + others.sum::<usize>();
    let unsent: Vec<&str> = state.estates.others().filter(|r| r.unsent).map(|r| r.name.as_str()).collect();
    let unsent = (!unsent.is_empty()).then(|| format!("Something was typed and not sent in {}.", unsent.join(", ")));
    let runs = crate::console::format::count(open, "run");
    if let Some(mut question) = super::comms::unsent(state) {
        question.lines.extend(unsent);
        if open > 0 {
            question
                .lines
                .push(format!("{runs} open: the engine in this console ends, for everybody who is attached."));
        }
        return state.overlays.push(Overlay::Question(question));
    }
    if open == 0 && unsent.is_none() {
        return effects.push(Effect::Quit);
    }
    state.overlays.retain(|o| !matches!(o, Overlay::Confirm(_)));
    let mut lines: Vec<String> = unsent.into_iter().collect();
    if open > 0 {
        lines.push(format!("{runs} open."));
        lines.push(
            "The engine inside this console finishes the step in hand, records its outcome and ends, for everybody who \
             is attached; an engine of its own (quarterdeck serve) would go on."
                .into(),
        );
    }
    let title = if open > 0 { "Quit while a run is open?" } else { "Quit with something unsent?" };
    state.overlays.push(Overlay::Question(Question {
        title: title.into(),
        lines,
        yes: "Quit",
        action: Action::Quit,
        focus: Button::Cancel,
    }));
}
