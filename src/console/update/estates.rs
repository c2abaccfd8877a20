//! From estate to estate. What lies open in one stays there: a text that was typed waits for whoever comes back, and a
//! confirmation is closed when somebody leaves, so that no key can reach it from elsewhere.

use super::act::{act, open_record, sheet};
use super::{go, look, say};
use crate::console::effect::{By, Effect, Then};
use crate::console::estates::ONE;
use crate::console::keymap::Action;
use crate::console::state::{Focus, Overlay, PaneId, Screen, SheetKind, State, Writing};
use crate::console::theme::Role;

/// To the overview of estates.
pub fn open(state: &mut State) {
    if !state.estates.are_several() {
        return say(state, Role::Dim, ONE);
    }
    go(state, Screen::Estates);
}

/// To the next estate, or to the one before.
pub fn beside(state: &mut State, on: bool, effects: &mut Vec<Effect>) {
    match state.estates.beside(on).map(str::to_owned) {
        Some(estate) => effects.push(Effect::Visit { estate, by: By::Choice, then: Then::AsItWas }),
        None => say(state, Role::Dim, ONE),
    }
}

/// Goes to the row under the cursor: an estate, an incident or a record of one.
pub fn choose(state: &mut State, pane: PaneId, key: &str, effects: &mut Vec<Effect>) {
    let (estate, then) = match (pane, key.split_once('/')) {
        (PaneId::EstateIncidents, Some((estate, _))) => (estate, Then::Screen(Screen::Incident)),
        (PaneId::EstateRecords, Some((estate, seq))) => {
            let Ok(seq) = seq.parse() else { return };
            (estate, Then::Record(seq))
        }
        _ => (key, Then::AsItWas),
    };
    if estate != state.estates.own {
        return effects.push(Effect::Visit { estate: estate.to_owned(), by: By::Choice, then });
    }
    arrive(state, then, effects);
}

/// Leaves an estate for another: what could be pressed there is closed, what was typed is kept.
pub fn leave(state: &mut State) {
    state.overlays.retain(|o| !matches!(o, Overlay::Palette(_)));
    let before = state.overlays.len();
    state.overlays.retain(|o| !matches!(o, Overlay::Confirm(_) | Overlay::Asked(_) | Overlay::Question(_)));
    if state.overlays.len() < before {
        say(state, Role::Critical, "what waited here for a yes was closed when you left: nothing was sent");
    }
    for overlay in &mut state.overlays {
        match overlay {
            Overlay::Form(form) if !form.fields.is_empty() => form.focus = Focus::Field(0),
            Overlay::Form(form) => form.focus = Focus::Cancel,
            Overlay::Compose(compose) => compose.focus = Writing::Text,
            _ => {}
        }
    }
    (state.shown, state.settling) = (false, false);
}

/// Comes to an estate.
pub fn arrive(state: &mut State, then: Then, effects: &mut Vec<Effect>) {
    match then {
        // Who chooses an estate wants to see it, not the list that it was chosen from.
        Then::AsItWas if state.screen == Screen::Estates && state.overlays.is_empty() => go(state, Screen::Overview),
        Then::AsItWas => {}
        // Below what lies open: a text that is being written is not covered by anything.
        Then::Screen(screen) => go(state, screen),
        Then::Record(seq) => {
            go(state, Screen::Journal);
            open_record(state, PaneId::Journal, seq.to_string(), effects);
        }
        Then::Mark(mark) => match mark.pane {
            PaneId::Findings => go(state, Screen::Finding(mark.key.as_str().into())),
            PaneId::Runs => go(state, Screen::Run(mark.key.as_str().into())),
            PaneId::Estates => act(state, Action::Estates, effects),
            pane => {
                state.panes.change(pane, |pane| pane.select(&mark.key));
                sheet(state, SheetKind::Row(pane, mark.key));
                look(state, effects);
            }
        },
    }
    state.touch();
}
