//! The overview of estates: a row each, their incidents, and what was recorded last in any of them.

use super::super::canvas::{Canvas, cells};
use super::super::widgets::{Listing, counts, table};
use super::panes::{empty, title};
use super::{share, split};
use crate::console::estates::ONE;
use crate::console::msg::Target;
use crate::console::rows::{PaneRow, estates_words, reached_words};
use crate::console::state::{PaneId, State, no_estate};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use ratatui::layout::Rect;

/// Draws it. It needs nothing of the estate on the screen, which may be the one that can not be reached.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, area: Rect) {
    let estates = &state.estates;
    let tally = counts(estates.rows.iter().map(|row| row.health), &canvas.theme.glyphs);
    let wants = [cells(estates.rows.len().max(1)) + 3, cells(estates.incidents.len().clamp(1, 6)) + 2, 8];
    let rows = share(area.height, &wants);
    let mut rows = rows.into_iter();
    let (top, rest) = split(area, rows.next().unwrap_or(0));
    pane(canvas, state, top, PaneId::Estates, &estates_words(&estates.rows), &tally, &estates.rows, ONE);
    let (middle, bottom) = split(rest, rows.next().unwrap_or(0));
    let open = estates.rows.iter().map(|row| row.incidents).sum::<usize>();
    let open = Strip::of(if open > 0 { Role::Warn } else { Role::Dim }, format!("{open} open"));
    let why = "no incident is known in any of them";
    pane(canvas, state, middle, PaneId::EstateIncidents, "Incidents of all estates", &open, &estates.incidents, why);
    let right = Strip::of(Role::Dim, "each from its own journal");
    let why = "no record was read of any of them";
    pane(canvas, state, bottom, PaneId::EstateRecords, "Newest records of all estates", &right, &estates.records, why);
}

#[allow(clippy::too_many_arguments, reason = "each is one word of what a pane is; a struct would only repeat them")]
fn pane<R: PaneRow>(
    canvas: &mut Canvas<'_>,
    state: &State,
    area: Rect,
    id: PaneId,
    name: &str,
    right: &Strip,
    rows: &[R],
    why_empty: &str,
) {
    let (head, body) = split(area, 1);
    title(canvas, state, head, id, name, right);
    let pane = state.panes.get(id);
    if pane.order.is_empty() {
        return empty(canvas, state, body, id, why_empty);
    }
    let cursor = (state.focused() == id).then(|| pane.at());
    // Why one is gone takes a line of its own: no column is wide enough.
    let why = state.estates.rows.get(pane.selected().map_or(0, |slot| slot.index));
    let why = why.filter(|_| id == PaneId::Estates && body.height > 3);
    let (body, below) = split(body, body.height - u16::from(why.is_some()));
    if let Some(row) = why {
        let strip = Strip::of(Role::Dim, format!(" {}: {}", row.name, reached_words(row)));
        canvas.line(below, 0, &strip);
    }
    let nothing = no_estate();
    let context = state.context_of(&nothing);
    let (slots, marked) = (&pane.order, state.marked(id));
    canvas.point(body, Target::Pane(id));
    let row = |i: usize| rows.get(i);
    let listing =
        Listing { row: &row, slots, cursor, context: &context, lead: &[], more: false, pane: id, marked: &marked };
    table(canvas, body, &listing);
}
