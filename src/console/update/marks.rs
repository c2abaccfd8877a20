//! Marks: rows that somebody wants to find again.

use super::copy::under_cursor;
use super::say;
use crate::console::state::{Mark, State};
use crate::console::theme::Role;

/// Most marks that are kept; the oldest goes then.
const MOST: usize = 40;

/// Marks the row under the cursor, or takes its mark away.
pub fn mark(state: &mut State) {
    let pane = state.focused();
    let Some(key) = state.panes.get(pane).selected_key().map(str::to_owned) else {
        return say(state, Role::Dim, "there is nothing under the cursor");
    };
    if let Some(at) = state.marks.iter().position(|m| m.pane == pane && m.key == key) {
        state.marks.remove(at);
        return say(state, Role::Text, "the mark is taken away");
    }
    let label = under_cursor(state).unwrap_or_else(|| key.clone());
    state.marks.push(Mark { pane, key, label });
    if state.marks.len() > MOST {
        state.marks.remove(0);
    }
    let list = state.key(crate::console::keymap::Action::Marks);
    say(state, Role::Ok, format!("marked; {list} lists the marks"));
}
