//! What happens when something happens: `update(&mut State, Msg) -> Vec<Effect>`, and nothing else. No clock,
//! file, socket or terminal is touched; time comes with the messages.

mod act;
mod by_hand;
mod comms;
mod copy;
mod dialogs;
pub(super) mod estates;
mod keys;
mod log;
mod login;
mod logs;
mod marks;
mod palette;
mod pointer;

pub use act::see;

use super::attention;
use super::effect::{By, Effect, Then};
use super::layout;
use super::msg::Msg;
use super::rows::is_open;
use super::state::{
    Awaited, Jumped, Looked, Notice, Overlay, PaneId, Screen, Sheet, SheetKind, State, Stay, subject_of,
};
use super::theme::Role;
use crate::domain::id::RunId;
use crate::domain::incident::Role as Duty;
use crate::domain::mode::Mode;
use crate::engine::api::{Command, Reply, Snapshot};
use crate::engine::client::Link;
use jiff::SignedDuration;
use std::sync::Arc;

/// How long a notice stays.
const GLANCE: SignedDuration = SignedDuration::from_secs(8);

/// Takes in one thing that happened; answers what has to be done outside.
pub fn update(state: &mut State, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    match msg {
        Msg::Key(key) => keys::press(state, &key, &mut effects),
        Msg::Paste(text) => keys::paste(state, &text),
        Msg::Mouse { kind, on } => pointer::mouse(state, kind, on, &mut effects),
        Msg::Resize { width, height } => {
            state.size = (width, height);
            state.touch();
        }
        Msg::Snapshot(snapshot) => take(state, snapshot, &mut effects),
        Msg::Beat(at) => {
            if state.lost().is_some() {
                state.touch();
            }
            state.clock.heard = state.clock.heard.max(at);
        }
        Msg::Link(link) => linked(state, link),
        Msg::Tick(at) => {
            state.clock.wall = at;
            // An estate that nobody looks at is asked nothing.
            if state.shown {
                look_again(state, &mut effects);
                logs::follow(state, &mut effects);
            }
            // A wall clock that was set back must not hide that the engine is silent.
            state.clock.heard = state.clock.heard.min(at);
            state.clock.beat = !state.clock.beat;
            if state.notice.as_ref().is_some_and(|n| matches!(n.stay, Stay::Until(end) if end <= at)) {
                state.notice = None;
            }
            state.touch();
        }
        Msg::Reply { to, reply } => answer(state, state.awaited.get(&to).cloned(), to, reply),
        Msg::Records(read) => log::records(state, read),
        Msg::Scanned(found) => log::found(state, found),
        Msg::Saved(Ok(path)) => say(state, Role::Ok, format!("the proof is in {path}")),
        Msg::Saved(Err(why)) => say(state, Role::Critical, format!("the proof was not written: {why}")),
        Msg::Edited(edited) => keys::edited(state, edited),
        Msg::Opened { seq, read } => {
            state.log.opened = Some((seq, read));
            state.touch();
        }
    }
    settle(state);
    let title = attention::title(state);
    if title != state.title {
        effects.push(Effect::Title(title.clone()));
        state.title = title;
    }
    effects
}

/// Takes in how the console hangs on the engine. Screen, cursor and what lies on top stay as they are.
fn linked(state: &mut State, link: Link) {
    let before = std::mem::replace(&mut state.link, link);
    state.touch();
    if before.lost.is_some() && state.link.lost.is_none() {
        // It is there; a silence from now on counts from now on.
        state.clock.heard = state.clock.wall;
        say(state, Role::Ok, "the engine is there again; what is shown is current");
    }
    let doubt = state.link.attached.as_ref().and_then(|a| a.doubt.clone());
    if doubt.is_some() && before.attached.and_then(|a| a.doubt) != doubt {
        let why = doubt.unwrap_or_default();
        say(state, Role::Warn, format!("your key does not prove you, the name stays claimed: {why}"));
    }
}

/// How long what was said of a subject stands before it is asked again.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(5);

/// Asks the engine about the subject of the sheet on top.
fn look(state: &mut State, effects: &mut Vec<Effect>) {
    let subject = match (state.overlays.last(), state.snapshot.as_deref()) {
        (Some(Overlay::Sheet(Sheet { kind: SheetKind::Row(pane, key), .. })), Some(snapshot)) => {
            subject_of(snapshot, *pane, key)
        }
        _ => None,
    };
    let Some(subject) = subject else { return state.looked = None };
    let asked = state.clock.wall;
    match &mut state.looked {
        Some(looked) if looked.subject == subject => looked.asked = asked,
        other => *other = Some(Looked { subject: subject.clone(), answer: None, asked, chosen: None }),
    }
    send(state, Command::Look { subject }, Awaited::Look, effects);
}

/// Asks again about the subject of the sheet on top, when the answer has grown old.
fn look_again(state: &mut State, effects: &mut Vec<Effect>) {
    let due = |l: &Looked| state.clock.wall.duration_since(l.asked) >= LOOK_AGAIN;
    let on_top = matches!(state.overlays.last(), Some(Overlay::Sheet(s)) if matches!(s.kind, SheetKind::Row(..)));
    if on_top && state.looked.as_ref().is_some_and(due) && !state.awaited.values().any(|a| *a == Awaited::Look) {
        look(state, effects);
    }
}

/// Says something that a person should know from the beginning, until a key is pressed.
pub fn warn(state: &mut State, text: impl Into<String>) {
    state.notice = Some(Notice { text: text.into(), role: Role::Warn, stay: Stay::Key });
    state.touch();
}

/// Says something in the line of the hints, for a while.
fn say(state: &mut State, role: Role, text: impl Into<String>) {
    let stay = match role {
        Role::Critical | Role::Alarm => Stay::Key,
        _ => state.clock.wall.checked_add(GLANCE).map_or(Stay::Key, Stay::Until),
    };
    state.notice = Some(Notice { text: text.into(), role, stay });
    state.touch();
}

/// Sends a command.
fn send(state: &mut State, command: Command, about: Awaited, effects: &mut Vec<Effect>) {
    let id = state.request();
    state.awaited.insert(id, about);
    effects.push(Effect::Command { id, command });
}

/// Goes to a screen and remembers the one before.
fn go(state: &mut State, screen: Screen) {
    if state.screen == screen {
        return;
    }
    state.leave_for(screen);
    if matches!(state.screen, Screen::Run(_)) {
        state.panes.change(PaneId::Steps, super::state::Pane::release);
    }
    if matches!(state.screen, Screen::Finding(_)) {
        state.panes.change(PaneId::Offers, super::state::Pane::release);
        state.panes.change(PaneId::Evidence, super::state::Pane::release);
    }
    state.refresh_panes();
    state.touch();
}

/// Goes back to the place before, or on to the one that was gone back from; also over estates.
fn jump(state: &mut State, on: bool, effects: &mut Vec<Effect>) {
    match state.jump(on) {
        Jumped::Here => {
            state.refresh_panes();
            state.touch();
        }
        Jumped::Estate(estate) => {
            let by = if on { By::On } else { By::Back };
            effects.push(Effect::Visit { estate, by, then: Then::AsItWas });
        }
        Jumped::No => {
            say(state, Role::Dim, if on { "there is no place to go on to" } else { "there is no place to go back to" });
        }
    }
}

fn take(state: &mut State, snapshot: Arc<Snapshot>, effects: &mut Vec<Effect>) {
    let before = state.snapshot.clone();
    state.clock.rebase(before.as_deref(), &snapshot);
    if before.is_none() {
        state.last_key = snapshot.at;
    }
    if before.as_ref().is_none_or(|b| **b != *snapshot) {
        state.touch();
    }
    let moved = match (&state.screen, &before) {
        (Screen::Run(id), Some(before)) => step_in_hand(before, id) != step_in_hand(&snapshot, id),
        _ => false,
    };
    if moved {
        state.panes.change(PaneId::Steps, super::state::Pane::release);
    }
    if let Some(before) = before.as_deref().filter(|_| snapshot.mode != Mode::Replay) {
        let drill = if snapshot.mode == Mode::Drill { "DRILL " } else { "" };
        let calls = attention::calls(before, &snapshot).into_iter();
        effects.extend(calls.map(|call| Effect::Call(format!("{drill}{call}"))));
    }
    let newest = Arc::clone(&snapshot.journal.tail);
    let handed = before.as_deref().and_then(|b| handed_over(b, &snapshot));
    state.snapshot = Some(snapshot);
    if let Some(news) = handed {
        // Below what lies on top: a dialog that is being filled is not taken from under anybody's fingers.
        state.overlays.insert(0, Overlay::Sheet(Sheet { kind: SheetKind::Brief, scroll: 0 }));
        say(state, Role::Accent, news);
    }
    if let Some(before) = before {
        log::follow(state, &before.journal.tail, &newest, effects);
    }
    state.refresh_panes();
    drop_stale(state);
    login::heed(state);
}

/// That the command of an incident has come to this person from another.
fn handed_over(before: &Snapshot, now: &Snapshot) -> Option<String> {
    let incident = now.current_incident()?;
    let commander = incident.roles.get(&Duty::Commander).filter(|c| **c == now.me)?;
    let was = before.incidents.iter().find(|i| i.id == incident.id)?.roles.get(&Duty::Commander)?;
    (was != commander).then(|| format!("you command {} now, after {was}", incident.id))
}

fn step_in_hand(snapshot: &Snapshot, run: &RunId) -> Option<usize> {
    snapshot.runs.iter().find(|r| r.id == *run).map(|r| r.current)
}

/// Closes dialogs that were opened for something that no longer stands as it was shown.
fn drop_stale(state: &mut State) {
    let overlays = std::mem::take(&mut state.overlays);
    let mut notice = None;
    let kept = overlays
        .into_iter()
        .filter(|overlay| {
            let outdated = match overlay {
                Overlay::Confirm(dialog) => !dialog.still_stands(state.run(&dialog.run)),
                Overlay::Asked(asked) => !state.snapshot.as_ref().is_some_and(|s| asked.still_stands(s)),
                Overlay::Form(form) => dialogs::is_stale(state, form),
                _ => false,
            };
            if outdated {
                notice = Some("the step changed while you were reading: nothing was sent, look at it again");
            }
            !outdated
        })
        .collect();
    state.overlays = kept;
    if let Some(text) = notice {
        say(state, Role::Critical, text);
    }
}

fn answer(state: &mut State, about: Option<Awaited>, to: super::effect::RequestId, reply: Reply) {
    state.awaited.remove(&to);
    if about == Some(Awaited::Look) {
        if let Some(looked) = &mut state.looked {
            looked.answer = match reply {
                Reply::Seen { view } if view.subject == looked.subject => Some(Ok(view)),
                Reply::Refused { why, .. } => Some(Err(why)),
                Reply::Seen { .. }
                | Reply::Accepted { .. }
                | Reply::Planned { .. }
                | Reply::Logs { .. }
                | Reply::Drafted { .. } => return,
            };
            state.touch();
        }
        return;
    }
    if let Some(Awaited::Logs(wanting)) = &about {
        return logs::answered(state, wanting, reply);
    }
    if let Some(id) = reply.login() {
        return login::open(state, id.to_owned());
    }
    match reply {
        Reply::Drafted { view } if about == Some(Awaited::Draft) => comms::drafted(state, *view),
        Reply::Seen { .. } | Reply::Planned { .. } | Reply::Logs { .. } | Reply::Drafted { .. } => {}
        Reply::Accepted { message, id } => {
            if let (Some(Awaited::Start), Some(run)) = (about, id) {
                go(state, Screen::Run(RunId::new(run)));
            }
            say(state, Role::Ok, message);
        }
        Reply::Refused { why, denied } => {
            let word = if denied { "denied" } else { "refused" };
            say(state, Role::Critical, format!("{word}: {why}"));
        }
    }
}

/// Keeps scrolling within its text, and notes when the end of a request has been on the screen.
fn settle(state: &mut State) {
    let size = state.size;
    let mut sheet_lines = None;
    if let Some(Overlay::Sheet(sheet)) = state.overlays.last() {
        let (width, rows) = layout::sheet_text(size);
        let lines = super::sheet::lines(state, &sheet.kind, width).len();
        sheet_lines = Some(lines.saturating_sub(usize::from(rows)));
    }
    match (state.overlays.last_mut(), sheet_lines) {
        (Some(Overlay::Sheet(sheet)), Some(last)) => sheet.scroll = sheet.scroll.min(last),
        (Some(Overlay::Asked(asked)), _) => {
            let placed = layout::asked(size, asked);
            let rows = usize::from(placed.rows);
            asked.scroll = asked.scroll.min(placed.lines.len().saturating_sub(rows.max(1)));
            asked.read |= rows > 0 && asked.scroll + rows >= placed.lines.len();
        }
        (Some(Overlay::Confirm(dialog)), _) => {
            let placed = layout::confirm(size, dialog);
            let rows = usize::from(placed.rows);
            dialog.scroll = dialog.scroll.min(placed.lines.len().saturating_sub(rows.max(1)));
            dialog.read |= rows > 0 && dialog.scroll + rows >= placed.lines.len();
        }
        _ => {}
    }
}

/// Runs that may still do something.
fn open_runs(state: &State) -> usize {
    state.snapshot.as_ref().map_or(0, |s| s.runs.iter().filter(|r| is_open(r.state)).count())
}
