//! Playbooks: all of them, the steps of the one under the cursor, and the runs.

use super::super::canvas::{Canvas, cells};
use super::panes::{Form, pane};
use super::{halves, split};
use crate::console::keymap::Action;
use crate::console::rows::risk_letter;
use crate::console::state::{PaneId, State};
use crate::console::strip::{Strip, wrap};
use crate::console::theme::Role;
use crate::engine::api::{PlaybookSummary, Snapshot};
use ratatui::layout::Rect;

/// Draws it.
pub fn draw(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect) {
    let books = &*snapshot.playbooks;
    let runs = &*snapshot.runs;
    let below = (cells(runs.len().max(1)) + 2).min(area.height / 3).max(area.height.min(3));
    let (top, bottom) = split(area, area.height - below);
    if top.width >= 110 {
        let (left, wall, right) = halves(top, top.width * 55 / 100);
        list(canvas, state, snapshot, left, books);
        one(canvas, state, right, books);
        canvas.wall(wall);
    } else {
        let rows = (cells(books.len()) + 2).min(top.height / 2).max(3);
        let (first, second) = split(top, rows);
        list(canvas, state, snapshot, first, books);
        one(canvas, state, second, books);
    }
    let form = if bottom.height < 4 { Form::List(22) } else { Form::Table };
    pane(canvas, state, snapshot, bottom, PaneId::Runs, "Runs, newest first", runs, form, "none yet");
}

fn list(canvas: &mut Canvas<'_>, state: &State, snapshot: &Snapshot, area: Rect, books: &[PlaybookSummary]) {
    pane(canvas, state, snapshot, area, PaneId::Playbooks, "Playbooks", books, Form::Table, "none is loaded");
}

fn one(canvas: &mut Canvas<'_>, state: &State, area: Rect, books: &[PlaybookSummary]) {
    let slot = state.panes.get(PaneId::Playbooks).selected();
    let Some(book) = slot.and_then(|s| books.get(s.index)) else { return };
    let title = Strip::of(Role::Title, format!("{} v{}", book.name, book.version));
    let how = format!("{} {} starts it", canvas.theme.glyphs.dot, state.key(Action::Open));
    canvas.rule(area, 0, &title, &Strip::of(Role::Dim, how));
    let width = usize::from(area.width.saturating_sub(2));
    let mut lines: Vec<_> = wrap(&book.description, width).into_iter().map(|l| Strip::text(format!(" {l}"))).collect();
    for (i, step) in book.steps.iter().enumerate() {
        lines.push(
            Strip::of(Role::Dim, format!(" {:>2} ", i + 1))
                .and(step.risk.into(), format!("{} ", risk_letter(step.risk)))
                .and(Role::Text, &step.name),
        );
    }
    for parameter in &book.parameters {
        let need = if parameter.required { "needed" } else { "optional" };
        lines.push(
            Strip::of(Role::Accent, format!("    {} ", parameter.name))
                .and(Role::Dim, format!("{need}: {}", parameter.description)),
        );
    }
    canvas.lines(split(area, 1).1, &lines);
}
