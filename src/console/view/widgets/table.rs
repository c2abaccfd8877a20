//! Rows as a table with columns, or as a short list where there is no room for columns.

use crate::console::msg::Target;
use crate::console::rows::{Align, Context, PaneRow, layout, needs, place, steady};
use crate::console::state::{PaneId, Slot};
use crate::console::strip::Strip;
use crate::console::theme::{Glyphs, Role};
use crate::console::view::canvas::{Canvas, cells};
use crate::domain::health::Health;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr;

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

/// Room for the names of groups at the left of a table, and the space behind it; none where nothing is grouped.
fn group_room<R>(listing: &Listing<'_, '_, R>, width: u16) -> u16 {
    let widest = listing.slots.iter().filter_map(|slot| slot.group.as_deref()).map(UnicodeWidthStr::width).max();
    widest.filter(|_| width >= 60).map_or(0, |widest| cells(widest).min(width / 6).max(11) + 1)
}

/// A table with a heading.
pub fn table<R: PaneRow>(canvas: &mut Canvas<'_>, area: Rect, listing: &Listing<'_, '_, R>) {
    if area.height == 0 {
        return;
    }
    let glyphs = canvas.theme.glyphs;
    let body = Rect { y: area.y.saturating_add(1), height: area.height.saturating_sub(1), ..area };
    let (rows, first, hidden) = visible(listing, body.height);
    let shown: Vec<_> = (listing.slots.iter().enumerate().skip(first).take(rows))
        .filter_map(|(at, slot)| {
            let data = (listing.row)(slot.index)?;
            let mut all = data.cells(listing.context);
            if let (Some(lead), Some(cell)) = (listing.lead.get(at), all.first_mut()) {
                cell.text = format!("{lead}{}", cell.text.trim_start());
            }
            Some((at, slot, data.health(), all))
        })
        .collect();
    let graded = shown.first().is_some_and(|(_, _, health, _)| health.is_some());
    let group_width = group_room(listing, area.width);
    // The sign of a row takes the room of the widest.
    let sign = glyphs.health.iter().map(|sign| sign.width()).max().unwrap_or(1);
    let indent = if graded { 2 + cells(sign) } else { 1 } + group_width;
    // As much air at the right as at the left.
    let room = area.width.saturating_sub(indent + 1);
    let gap = if area.width < 100 { 1 } else { 2 };
    let wide = needs(R::COLUMNS, shown.iter().map(|(_, _, _, all)| all.as_slice()));
    let arranged = listing.context.view.profile().arrange(R::COLUMNS);
    let (places, in_order): (Vec<usize>, Vec<_>) = arranged.into_iter().unzip();
    let wide: Vec<u16> = places.iter().filter_map(|i| wide.get(*i).copied()).collect();
    let columns = layout(&in_order, &wide, room, gap);
    let columns: Vec<_> =
        columns.into_iter().filter_map(|(i, width)| Some((*places.get(i)?, in_order.get(i)?, width))).collect();
    let space = " ".repeat(usize::from(gap));
    let mut heading = Strip::text(" ".repeat(usize::from(indent)));
    for (n, (_, column, width)) in columns.iter().enumerate() {
        heading.push(Role::Text, if n == 0 { "" } else { &space });
        heading.push(Role::Dim, place(column.title, column.align, *width, glyphs.ellipsis));
    }
    canvas.line(area, 0, &heading);
    for (row, (at, slot, health, all)) in shown.iter().enumerate() {
        let mut strip = Strip::text(" ");
        if group_width > 0 {
            // Said once, and again at the top of what is in sight.
            let before = if row == 0 { None } else { at.checked_sub(1).and_then(|b| listing.slots.get(b)) };
            let name = slot.group.as_deref().filter(|name| before.is_none_or(|b| b.group.as_deref() != Some(name)));
            strip.push(Role::Accent, place(name.unwrap_or_default(), Align::Left, group_width - 1, glyphs.ellipsis));
            strip.push(Role::Text, " ");
        }
        if let Some(health) = *health {
            strip.push(health.into(), format!("{:<sign$} ", glyphs.of(health)));
        }
        for (n, (i, column, width)) in columns.iter().enumerate() {
            let Some(cell) = all.get(*i) else { continue };
            strip.push(Role::Text, if n == 0 { "" } else { &space });
            // Of a series the newest values are kept, not the oldest.
            let text = if cell.role == Role::Chart { newest(&cell.text, *width) } else { cell.text.clone() };
            strip.push(cell.role, place(&text, column.align, *width, glyphs.ellipsis));
        }
        let row = cells(row);
        canvas.line(body, row, &strip);
        finish(canvas, body, row, *at, slot, listing);
    }
    draw_more(canvas, body, listing, rows, hidden);
}

/// A short list: sign, label, note. A label is no wider than `most` where the note needs the room.
pub fn list<R: PaneRow>(canvas: &mut Canvas<'_>, area: Rect, most: u16, listing: &Listing<'_, '_, R>) {
    let glyphs = canvas.theme.glyphs;
    let (rows, first, hidden) = visible(listing, area.height);
    let shown: Vec<_> = (listing.slots.iter().enumerate().skip(first).take(rows))
        .filter_map(|(at, slot)| {
            let data = (listing.row)(slot.index)?;
            Some((at, slot, data.health(), data.label(listing.context), data.note(listing.context)))
        })
        .collect();
    let gap = if area.width < 50 { " " } else { "  " };
    let label = shown.iter().map(|(_, _, _, label, _)| label.width()).max().unwrap_or(0);
    let note = shown.iter().map(|(_, _, _, _, note)| steady(note.width())).max().unwrap_or(0);
    let signs = if shown.iter().any(|(_, _, health, _, _)| health.is_some()) { 3 } else { 1 };
    let spare = usize::from(area.width).saturating_sub(signs + gap.len() + note);
    let label = cells(label).min(most.max(cells(spare))).min(area.width / 2);
    for (row, (at, slot, health, name, note)) in shown.into_iter().enumerate() {
        let mut strip = Strip::text(" ");
        if let Some(health) = health {
            strip.push(health.into(), glyphs.of(health));
            strip.push(Role::Text, " ");
        }
        strip.push(Role::Text, place(&name, Align::Left, label, glyphs.ellipsis));
        strip.push(Role::Text, gap);
        strip.append(note);
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
