//! What is drawn, as lines to be read one after the other: frames and rules are taken out, blanks that align are few.

use crate::console::state::State;
use crate::console::theme::Theme;
use crate::console::view;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use unicode_width::UnicodeWidthStr as _;

pub use crate::console::view::canvas::ascii;

/// What frames and rules are drawn with.
const LINES: &[char] = &['─', '│', '┌', '┐', '└', '┘', '├', '┤', '┬', '┴', '┼'];

/// Everything that there is to read now.
pub fn whole(state: &State, theme: &Theme) -> Vec<String> {
    let mut lines = Vec::new();
    let screen = screen(state, theme);
    let last = screen.len().saturating_sub(2);
    if state.overlays.is_empty() {
        lines.extend(read(screen.get(..last).unwrap_or_default()));
    } else {
        let mut buffer = blank(state);
        view::paint_top(state, theme, &mut buffer);
        lines.extend(read(screen.get(..1).unwrap_or_default()));
        lines.extend(read(&rows(&buffer)));
    }
    // The next verb and the hints, or what was just said in their place.
    lines.extend(read(screen.get(last..).unwrap_or_default()));
    lines
}

/// The alarms and the next verb.
pub fn news(state: &State, theme: &Theme) -> Vec<String> {
    let screen = screen(state, theme);
    let next = screen.len().saturating_sub(2);
    let rows: Vec<String> = [1, next].iter().filter_map(|at| screen.get(*at).cloned()).collect();
    read(&rows)
}

fn blank(state: &State) -> Buffer {
    let (width, height) = state.size;
    Buffer::empty(Rect { x: 0, y: 0, width, height })
}

fn screen(state: &State, theme: &Theme) -> Vec<String> {
    let mut buffer = blank(state);
    view::paint(state, theme, &mut buffer);
    rows(&buffer)
}

/// The text of each row of cells.
fn rows(buffer: &Buffer) -> Vec<String> {
    let area = buffer.area;
    let row = |y| {
        let (mut line, mut skip) = (String::new(), 0);
        for x in area.x..area.right() {
            if skip > 0 {
                skip -= 1;
                continue;
            }
            let symbol = buffer.cell((x, y)).map_or(" ", ratatui::buffer::Cell::symbol);
            skip = symbol.width().saturating_sub(1);
            line.push_str(symbol);
        }
        line
    };
    (area.y..area.bottom()).map(row).collect()
}

/// Rows as lines to read: what stands between the parts of a rule is joined by a colon, empty lines are left out.
fn read(rows: &[String]) -> Vec<String> {
    rows.iter().map(|row| line(row)).filter(|line| !line.is_empty()).collect()
}

fn line(row: &str) -> String {
    let parts: Vec<&str> = row.split(LINES).map(str::trim_end).filter(|part| !part.trim().is_empty()).collect();
    match parts.as_slice() {
        [] => String::new(),
        // A row of a table keeps its columns.
        [one] if !row.trim_start().starts_with(LINES) => (*one).to_owned(),
        parts => {
            let heading = row.contains("──");
            let words: Vec<&str> = parts.iter().map(|part| part.trim()).collect();
            if heading { format!("-- {}", words.join(": ")) } else { words.join("  ") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn frames_and_rules_leave_their_words() {
        assert_eq!(line("─Tenants──────────── 21 ok 3 WARN ─"), "-- Tenants: 21 ok 3 WARN");
        assert_eq!(line("┌ Note ─────────────┐"), "-- Note");
        assert_eq!(line("│ what you saw      │"), "what you saw");
        assert_eq!(line("│                   │"), "");
        assert_eq!(line("> t017   Brandt   0.4 s   "), "> t017   Brandt   0.4 s");
        assert_eq!(line("────────────────────"), "");
    }
}
