//! The journal: every record, newest last.

use super::super::canvas::Canvas;
use super::panes::{Form, rows_of, title};
use super::split;
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, fit};
use crate::console::theme::Role;
use crate::engine::api::{ScrubView, Snapshot};
use ratatui::layout::Rect;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let journal = &snapshot.journal;
    let (head, body) = split(area, 1);
    let scrub = journal.scrub.as_ref();
    let right = match (&journal.broken, scrub.and_then(|s| s.why.as_ref())) {
        (_, Some(why)) => Strip::of(Role::Alarm, format!("DAMAGED: {why}")),
        (Some(why), None) => Strip::of(Role::Alarm, format!("BROKEN: {why}")),
        (None, None) => {
            let percent = scrub.and_then(ScrubView::percent).map(|p| format!(", scrub {p}%")).unwrap_or_default();
            Strip::of(Role::Ok, "durable").and(Role::Dim, format!(", {} records{percent}", journal.size))
        }
    };
    title(canvas, state, head, PaneId::Journal, "Journal, newest last", &right);
    let foot = u16::from(body.height >= 6);
    let (list, below) = split(body, body.height - foot);
    let records = state.records();
    rows_of(canvas, state, snapshot, list, PaneId::Journal, &|i| records.get(i).copied(), Form::Table, "no record yet");
    let root = fit(&journal.root, 12, canvas.theme.glyphs.ellipsis);
    canvas.line(below, 0, &Strip::of(Role::Dim, format!(" {}  root {root}", journal.dir)));
}
