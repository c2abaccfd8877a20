//! Rows as a table with columns, or as a short list where there is no room for columns.

use crate::console::msg::Target;
use crate::console::rows::{Align, Context, PaneRow, layout, place};
use crate::console::state::{PaneId, Slot};
use crate::console::strip::{Strip, fit};
use crate::console::theme::{Glyphs, Role};
use crate::console::view::canvas::{Canvas, cells};
use crate::domain::health::Health;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

/// Rows to draw.
pub struct Listing<'a, 'r, R> {
    /// The engine's row of an index; slots hold the indexes.
    pub row: &'a dyn Fn(usize) -> Option<&'r R>,
    /// Which, in the order of the screen.
    pub slots: &'a [Slot],
    /// Place of the cursor among the slots, where this pane has it.
    pub cursor: Option<usize>,
    /// What the rows need besides themselves.
    pub context: &'a Context<'a>,
    /// What stands before the first cell of each slot, such as the branches of a tree.
    pub lead: &'a [String],
    /// Whether the last line says how many rows are left out.
    pub more: bool,
    /// The pane.
    pub pane: PaneId,
    /// What is marked in it.
    pub marked: &'a [&'a str],
}

/// The first of `total` rows that is shown in `height`, so that the cursor is in sight, in the middle when it
/// can.
pub fn window(total: usize, height: usize, cursor: usize) -> usize {
    cursor.saturating_sub(height / 2).min(total.saturating_sub(height))
}

/// Stands before a row that is marked.
const MARK: &str = "*";

/// The order in which they are counted.
const ORDER: [Health; 4] = [Health::Ok, Health::Warn, Health::Critical, Health::Unknown];

/// How many of each health there are: `112 ● 3 ▲ 2 ✖ 1 ?`.
pub fn counts(all: impl IntoIterator<Item = Health>, glyphs: &Glyphs) -> Strip {
    let mut tally = [0_usize; 4];
    for health in all {
        for (count, kind) in tally.iter_mut().zip(ORDER) {
            *count += usize::from(kind == health);
        }
    }
    let mut strip = Strip::new();
    for (count, kind) in tally.iter().zip(ORDER).filter(|(count, _)| **count > 0) {
        let space = if strip.is_empty() { "" } else { " " };
        strip.push(Role::Text, space);
        strip.push(Role::from(kind), format!("{count} {}", glyphs.of(kind)));
    }
    strip
}

/// Rows of the area for the listing, the first slot shown, and how many are left out below.
fn visible<R>(listing: &Listing<'_, '_, R>, height: u16) -> (usize, usize, usize) {
    let total = listing.slots.len();
    let mut rows = usize::from(height);
    let first = window(total, rows, listing.cursor.unwrap_or(0));
    let mut hidden = total.saturating_sub(first + rows);
    if listing.more && hidden > 0 && rows > 1 {
        rows -= 1;
        let first = window(total, rows, listing.cursor.unwrap_or(0));
        hidden = total.saturating_sub(first + rows);
        return (rows, first, hidden);
    }
    (rows, first, hidden)
}

fn draw_more<R>(canvas: &mut Canvas<'_>, area: Rect, listing: &Listing<'_, '_, R>, rows: usize, hidden: usize) {
    if listing.more && hidden > 0 {
        let text = format!(" {} {hidden} more  (/ filter, S sort)", canvas.theme.glyphs.ellipsis);
        canvas.line(area, cells(rows), &Strip::of(Role::Dim, text));
    }
}

/// What a row is beside its cells: the mouse can point at it, it may be marked, and the cursor may be on it.
pub fn row_of(canvas: &mut Canvas<'_>, line: Rect, key: &str, pane: PaneId, marked: bool, cursor: bool) {
    canvas.point(line, Target::Row(pane, key.to_owned()));
    if marked {
        canvas.text(line, 0, 0, Role::Accent, MARK);
    }
    if cursor {
        canvas.text(line, 0, 0, Role::Cursor, if marked { MARK } else { canvas.theme.glyphs.cursor });
        canvas.tint(line, Role::Cursor);
    }
}

fn finish<R>(canvas: &mut Canvas<'_>, area: Rect, row: u16, at: usize, slot: &Slot, listing: &Listing<'_, '_, R>) {
    let line = Rect { y: area.y.saturating_add(row), height: 1, ..area };
    let marked = listing.marked.contains(&slot.key.as_str());
    row_of(canvas, line, &slot.key, listing.pane, marked, listing.cursor == Some(at));
}

/// The last of a text that fit into a width.
fn newest(text: &str, width: u16) -> String {
    let skipped = text.chars().count().saturating_sub(usize::from(width));
    text.chars().skip(skipped).collect()
}

/// A table with a heading.
pub fn table<R: PaneRow>(canvas: &mut Canvas<'_>, area: Rect, listing: &Listing<'_, '_, R>) {
    if area.height == 0 {
        return;
    }
    let glyphs = canvas.theme.glyphs;
    let graded = listing.slots.first().and_then(|s| (listing.row)(s.index)).is_some_and(|r| r.health().is_some());
    let grouped = listing.slots.iter().any(|s| s.group.is_some()) && area.width >= 60;
    let group_width: u16 = if grouped { 12 } else { 0 };
    // The sign of a row takes the room of the widest.
    let sign = glyphs.health.iter().map(|sign| sign.width()).max().unwrap_or(1);
    let indent = if graded { 2 + cells(sign) } else { 1 } + group_width;
    let gap = if area.width < 100 { 1 } else { 2 };
    let arranged = listing.context.view.profile().arrange(R::COLUMNS);
    let in_order: Vec<_> = arranged.iter().map(|(_, column)| *column).collect();
    let columns = layout(&in_order, area.width.saturating_sub(indent), gap);
    let space = " ".repeat(usize::from(gap));
    let mut heading = Strip::text(" ".repeat(usize::from(indent)));
    for (n, (i, width)) in columns.iter().enumerate() {
        if let Some((_, column)) = arranged.get(*i) {
            heading.push(Role::Text, if n == 0 { "" } else { &space });
            heading.push(Role::Dim, place(column.title, column.align, *width, glyphs.ellipsis));
        }
    }
    canvas.line(area, 0, &heading);
    let body = Rect { y: area.y.saturating_add(1), height: area.height.saturating_sub(1), ..area };
    let (rows, first, hidden) = visible(listing, body.height);
    for (row, (at, slot)) in listing.slots.iter().enumerate().skip(first).take(rows).enumerate() {
        let Some(data) = (listing.row)(slot.index) else { continue };
        let mut strip = Strip::text(" ");
        if grouped {
            // Said once, and again at the top of what is in sight.
            let before = if row == 0 { None } else { at.checked_sub(1).and_then(|b| listing.slots.get(b)) };
            let name = slot.group.as_deref().filter(|name| before.is_none_or(|b| b.group.as_deref() != Some(name)));
            strip.push(Role::Accent, place(name.unwrap_or_default(), Align::Left, group_width - 1, glyphs.ellipsis));
            strip.push(Role::Text, " ");
        }
        if let Some(health) = data.health() {
            strip.push(health.into(), format!("{:<sign$} ", glyphs.of(health)));
        }
        let cells_of_row = data.cells(listing.context);
        for (n, (i, width)) in columns.iter().enumerate() {
            let Some((place_of, column)) = arranged.get(*i) else { continue };
            let Some(cell) = cells_of_row.get(*place_of) else { continue };
            strip.push(Role::Text, if n == 0 { "" } else { &space });
            let text = match listing.lead.get(at).filter(|_| *place_of == 0) {
                Some(lead) => format!("{lead}{}", cell.text.trim_start()),
                None => cell.text.clone(),
            };
            // Of a series the newest values are kept, not the oldest.
            let text = if cell.role == Role::Chart { newest(&text, *width) } else { text };
            strip.push(cell.role, place(&text, column.align, *width, glyphs.ellipsis));
        }
        let row = cells(row);
        canvas.line(body, row, &strip);
        finish(canvas, body, row, at, slot, listing);
    }
    draw_more(canvas, body, listing, rows, hidden);
}

/// A short list: sign, label no wider than `most`, note.
pub fn list<R: PaneRow>(canvas: &mut Canvas<'_>, area: Rect, most: u16, listing: &Listing<'_, '_, R>) {
    let glyphs = canvas.theme.glyphs;
    let widest = listing.slots.iter().filter_map(|s| (listing.row)(s.index)).map(|r| r.label(listing.context).width());
    let label = cells(widest.max().unwrap_or(0)).min(most).min(area.width / 2);
    let (rows, first, hidden) = visible(listing, area.height);
    for (row, (at, slot)) in listing.slots.iter().enumerate().skip(first).take(rows).enumerate() {
        let Some(data) = (listing.row)(slot.index) else { continue };
        let mut strip = Strip::text(" ");
        if let Some(health) = data.health() {
            strip.push(health.into(), glyphs.of(health));
            strip.push(Role::Text, " ");
        }
        let text = fit(&data.label(listing.context), usize::from(label), glyphs.ellipsis);
        strip.push(Role::Text, place(&text, Align::Left, label, glyphs.ellipsis));
        strip.push(Role::Text, if area.width < 50 { " " } else { "  " });
        strip.append(data.note(listing.context));
        let row = cells(row);
        canvas.line(area, row, &strip);
        finish(canvas, area, row, at, slot, listing);
    }
    draw_more(canvas, area, listing, rows, hidden);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_always_in_sight() {
        for total in 0..40 {
            for height in 1..10 {
                for cursor in 0..total {
                    let first = window(total, height, cursor);
                    assert!(first <= cursor && cursor < first + height, "{total} {height} {cursor} -> {first}");
                }
            }
        }
    }
}
