//! The sheet of the exercise: what it is about and what was told while it runs; the score and the questions afterwards.

use super::Page;
use crate::console::keymap::Action;
use crate::console::state::State;
use crate::console::theme::Role;
use crate::engine::api::Snapshot;

/// Writes it.
pub(super) fn exercise(out: &mut Page, state: &State, snapshot: &Snapshot) {
    let Some(drill) = &snapshot.drill else {
        return out.line(Role::Dim, "This is no drill.");
    };
    out.line(Role::Drill, format!("DRILL: {}. Nothing real is touched.", drill.name));
    if !drill.debrief.is_empty() {
        out.heading("How it went");
        for line in drill.debrief.iter().filter(|line| !line.is_empty()) {
            out.line(Role::Text, line);
        }
        return;
    }
    let points = drill.points.map_or_else(String::new, |(points, of)| format!(", {points} of {of} points so far"));
    out.line(Role::Text, format!("{} s of the scenario have passed{points}.", drill.elapsed_s.floor()));
    out.heading("What shall be learnt");
    for objective in &drill.objectives {
        out.line(Role::Text, format!("- {objective}"));
    }
    out.heading("How it goes");
    let key = state.key(Action::Next);
    out.line(
        Role::Text,
        format!("Watch the findings. The line `Next` always says what a commander does now; {key} does it."),
    );
    let (turn, press) = (state.key(Action::MoveFocus), state.key(Action::Press));
    out.line(
        Role::Text,
        format!("A dialog opens on Cancel or on its first field: {turn} goes on, {press} presses a button."),
    );
    let hint = match drill.hint {
        Some(cost) => format!("{} gives a hint now, for {cost} points.", state.key(Action::DrillHint)),
        None => format!("{} gives a hint where one can be had; it costs points.", state.key(Action::DrillHint)),
    };
    out.line(Role::Text, hint);
    let (pause, faster) = (state.key(Action::DrillPause), state.key(Action::DrillFaster));
    out.line(
        Role::Text,
        format!("{pause} pauses and resumes, {faster} goes faster. Afterwards the score stands here."),
    );
    out.heading("What was told, newest first");
    for message in drill.messages.iter().rev() {
        out.line(Role::Accent, message);
    }
}
