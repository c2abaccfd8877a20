//! The mouse: the wheel moves, a click puts the cursor on a row, a second one opens it, hints and counts do what they
//! say. A click never presses a button of a dialog and never does what is dangerous: that takes a key.

use super::act::{act, open};
use super::{keys, palette};
use crate::console::effect::Effect;
use crate::console::keymap::Action;
use crate::console::msg::Target;
use crate::console::state::{Overlay, State};
use crossterm::event::{MouseButton, MouseEventKind};

/// Takes in what the mouse did to what it points at.
pub fn mouse(state: &mut State, kind: MouseEventKind, on: Option<Target>, effects: &mut Vec<Effect>) {
    let action = match kind {
        MouseEventKind::ScrollUp => Action::Up,
        MouseEventKind::ScrollDown => Action::Down,
        MouseEventKind::Down(MouseButton::Left) => return click(state, on, effects),
        _ => return,
    };
    state.touch();
    if state.overlays.is_empty() { act(state, action, effects) } else { keys::in_overlay(state, action, effects) }
}

fn click(state: &mut State, on: Option<Target>, effects: &mut Vec<Effect>) {
    let Some(target) = on else { return };
    state.touch();
    match (state.overlays.last_mut(), target) {
        (Some(Overlay::Palette(found)), Target::Line(line)) => {
            let again = found.at == line;
            found.at = line;
            // The line of a dangerous action needs the key, as its hint does.
            let danger = found.found.get(line).is_some_and(|(.., danger)| *danger);
            if again && !danger {
                palette::choose(state, effects);
            }
        }
        (None, Target::Row(pane, key)) => {
            let Some(place) = state.screen.panes().iter().position(|p| *p == pane) else { return };
            let again = state.focus == place && state.panes.get(pane).selected_key() == Some(&key);
            state.focus = place;
            state.panes.change(pane, |pane| pane.select(&key));
            state.refresh_pane(pane);
            if again {
                open(state, effects);
            }
        }
        (None, Target::Pane(pane)) => {
            state.focus = state.screen.panes().iter().position(|p| *p == pane).unwrap_or(state.focus);
        }
        (None, Target::Act(action)) => act(state, action, effects),
        _ => {}
    }
}
