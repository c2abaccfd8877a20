//! The dialog in which a message is written.

use super::canvas::Canvas;
use super::overlays::{input, whose};
use crate::console::layout;
use crate::console::state::{Compose, State, Writing};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use ratatui::layout::Rect;

/// Draws it: to whom and by what, subject, text, what is wrong, buttons.
pub(super) fn compose(canvas: &mut Canvas<'_>, state: &State, shown: &Compose) {
    let draft = &shown.draft;
    let title = Strip::of(Role::Title, format!("To {} in {}: {}", draft.name, draft.incident, draft.template));
    let next = draft.next.map_or_else(|| "last word".to_owned(), |at| format!("next word {}Z", at.strftime("%H:%M")));
    let whose = whose(state);
    let gap = if whose.is_empty() { "" } else { "  " };
    let right = whose.and(Role::Dim, format!("{gap}{next}"));
    let inner = canvas.framed(layout::sheet(state.size), &title, &right);
    if inner.height < 5 {
        return;
    }
    let area = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    let ways: Vec<String> = shown.ways().iter().map(|(who, by, to)| format!("{who} by {by} ({to})")).collect();
    let (role, ways) = match (&draft.mute, ways.as_slice()) {
        (Some(mute), _) => (Role::Warn, mute.clone()),
        (None, []) => (Role::Warn, "no way to them".to_owned()),
        (None, all) => (Role::Dim, all.join("; ")),
    };
    canvas.text(area, 0, 0, role, &ways);
    let label = if shown.focus == Writing::Subject { Role::Strong } else { Role::Text };
    canvas.text(area, 0, 1, label, "Subject");
    let field = Rect { x: area.x + 9, y: area.y + 1, width: area.width.saturating_sub(9), height: 1 };
    input(canvas, field, &shown.subject, shown.focus == Writing::Subject);
    let edited = if shown.is_changed() { "changed by hand" } else { "as the template has it" };
    canvas.rule(inner, 2, &Strip::of(Role::Dim, "text"), &Strip::of(Role::Dim, edited));
    let wrong = u16::from(shown.error.is_some());
    let text = Rect { y: area.y + 3, height: inner.height.saturating_sub(4 + wrong), ..area };
    input(canvas, text, &shown.text, shown.focus == Writing::Text);
    if let Some(why) = &shown.error {
        canvas.text(area, 0, inner.height.saturating_sub(2), Role::Critical, why);
    }
    let buttons = [("Cancel", shown.focus == Writing::Cancel), ("Send…", shown.focus == Writing::Send)];
    canvas.buttons(area, inner.height.saturating_sub(1), &buttons);
}
