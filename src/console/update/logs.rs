//! Logs beside what is on the screen: asked for by a key, and by the screen of a finding once it is open.

use super::{say, send};
use crate::console::effect::Effect;
use crate::console::state::{ASK_AGAIN, Awaited, Logged, Overlay, PaneId, Screen, Sheet, SheetKind, State, Wanting};
use crate::console::theme::Role;
use crate::domain::id::FindingId;
use crate::domain::mode::Mode;
use crate::engine::api::{Command, Reply};

/// Opens the sheet of the logs that belong to what is under the cursor.
pub(super) fn open(state: &mut State, effects: &mut Vec<Effect>) {
    let Some(wanting) = under_cursor(state) else {
        return say(state, Role::Dim, "logs are those of a tenant, and nothing here names one");
    };
    super::act::sheet(state, SheetKind::Logs);
    ask(state, wanting, effects);
}

fn under_cursor(state: &State) -> Option<Wanting> {
    let snapshot = state.snapshot.as_deref()?;
    if let Some(Overlay::Sheet(Sheet { kind: SheetKind::Row(pane, key), .. })) = state.overlays.last() {
        return Wanting::of_row(snapshot, *pane, key);
    }
    let beside = |id: &FindingId| Wanting::beside(snapshot.findings.iter().find(|f| f.id == *id)?);
    if let Screen::Finding(id) = &state.screen {
        return beside(id);
    }
    let pane = state.focused();
    let key = state.panes.get(pane).selected_key()?;
    match pane {
        PaneId::Findings => beside(&FindingId::from(key)),
        pane => Wanting::of_row(snapshot, pane, key),
    }
}

/// Goes on to the next tenant that the finding names.
pub(super) fn turn(state: &mut State, forward: bool, effects: &mut Vec<Effect>) {
    let next = match (&state.logged, state.snapshot.as_deref()) {
        (Some(logged), Some(snapshot)) => logged.wanting.next(snapshot, forward),
        _ => return,
    };
    if state.logged.as_ref().is_some_and(|l| l.wanting == next) {
        return say(state, Role::Dim, "no other tenant is named here");
    }
    ask(state, next, effects);
}

/// Asks for logs; what was said of the same ones stays until the answer is there.
fn ask(state: &mut State, wanting: Wanting, effects: &mut Vec<Effect>) {
    let asked = state.clock.wall;
    let command = Command::Logs { tenant: wanting.tenant.clone(), from: wanting.from };
    match &mut state.logged {
        Some(logged) if logged.wanting == wanting => logged.asked = asked,
        other => *other = Some(Logged { wanting: wanting.clone(), answer: None, asked }),
    }
    send(state, command, Awaited::Logs(Box::new(wanting)), effects);
}

/// Asks again while the logs are on the screen, and for those of a finding whose screen is open.
pub(super) fn follow(state: &mut State, effects: &mut Vec<Effect>) {
    // A scenario simulates no logs.
    if state.mode() == Mode::Drill || state.awaited.values().any(|a| matches!(a, Awaited::Logs(_))) {
        return;
    }
    let on_top = matches!(state.overlays.last(), Some(Overlay::Sheet(Sheet { kind: SheetKind::Logs, .. })));
    let wanting = match (&state.screen, state.snapshot.as_deref()) {
        _ if on_top => state.logged.as_ref().map(|l| l.wanting.clone()),
        (Screen::Finding(id), Some(snapshot)) if state.overlays.is_empty() => {
            // Another tenant of the same finding may have been chosen on the sheet.
            let known = state.logged.as_ref().filter(|l| l.wanting.finding.as_ref() == Some(id));
            let first = || Wanting::beside(snapshot.findings.iter().find(|f| f.id == *id)?);
            known.map(|l| l.wanting.clone()).or_else(first)
        }
        _ => return,
    };
    let Some(wanting) = wanting else { return };
    let stands = |l: &Logged| l.wanting == wanting && state.clock.wall.duration_since(l.asked) < ASK_AGAIN;
    if !state.logged.as_ref().is_some_and(stands) {
        ask(state, wanting, effects);
    }
}

/// Takes in what the engine read.
pub(super) fn answered(state: &mut State, wanting: &Wanting, reply: Reply) {
    let Some(logged) = state.logged.as_mut().filter(|l| l.wanting == *wanting) else { return };
    match reply {
        Reply::Logs { view } => logged.answer = Some(Ok(view)),
        Reply::Refused { why, .. } => logged.answer = Some(Err(why)),
        Reply::Seen { .. } | Reply::Accepted { .. } | Reply::Planned { .. } | Reply::Drafted { .. } => return,
    }
    state.touch();
}
