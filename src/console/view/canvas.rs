//! Where strips become cells. Nothing can be drawn outside of the buffer, whatever the sizes.

use crate::console::links::Links;
use crate::console::msg::Target;
use crate::console::strip::{Strip, fit};
use crate::console::theme::{Role, Theme};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

/// A buffer with a theme.
pub struct Canvas<'a> {
    buffer: &'a mut Buffer,
    /// The theme.
    pub theme: &'a Theme,
    /// What the mouse can point at; what was drawn later lies above.
    targets: Vec<(Rect, Target)>,
    /// Where its cells lead.
    links: Links,
}

/// What the mouse can point at on a screen that was drawn, and where its cells lead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    areas: Vec<(Rect, Target)>,
    /// Which cells lead where, for a terminal that can follow.
    pub links: Links,
}

impl Targets {
    /// What lies topmost at a cell.
    pub fn at(&self, column: u16, row: u16) -> Option<Target> {
        let here = ratatui::layout::Position { x: column, y: row };
        self.areas.iter().rev().find(|(area, _)| area.contains(here)).map(|(_, target)| target.clone())
    }
}

/// A count as a number of rows or columns.
pub fn cells(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}

impl<'a> Canvas<'a> {
    /// A canvas on a buffer.
    pub fn new(buffer: &'a mut Buffer, theme: &'a Theme) -> Self {
        // Where nothing is drawn the background of the theme shows, if it paints one.
        buffer.set_style(buffer.area, theme.style(Role::Text));
        Self { buffer, theme, targets: Vec::new(), links: Links::default() }
    }

    /// Says that the mouse points at something in this area.
    pub fn point(&mut self, area: Rect, target: Target) {
        self.targets.push((area, target));
    }

    /// What the mouse can point at, and where cells lead.
    pub fn into_targets(self) -> Targets {
        Targets { areas: self.targets, links: self.links }
    }

    /// The buffer, for widgets of others.
    pub fn buffer(&mut self) -> &mut Buffer {
        self.buffer
    }

    /// Draws a strip from the left of a row of an area, cut to its width.
    pub fn line(&mut self, area: Rect, row: u16, strip: &Strip) {
        let width = usize::from(area.width);
        let strip = strip.clone().fit(width, self.theme.glyphs.ellipsis);
        if row < area.height {
            self.put(area.x, area.y.saturating_add(row), area.width, &strip);
        }
    }

    /// Draws a strip at the right of a row of an area.
    pub fn right(&mut self, area: Rect, row: u16, strip: &Strip) {
        let strip = strip.clone().fit(usize::from(area.width), self.theme.glyphs.ellipsis);
        let width = cells(strip.width());
        if row < area.height {
            self.put(area.x + area.width.saturating_sub(width), area.y.saturating_add(row), width, &strip);
        }
    }

    /// Draws lines from the top of an area; answers how many rows they took.
    pub fn lines<'s>(&mut self, area: Rect, lines: impl IntoIterator<Item = &'s Strip>) -> u16 {
        let mut used = 0;
        for (row, strip) in (0..area.height).zip(lines) {
            self.line(area, row, strip);
            used = row + 1;
        }
        used
    }

    /// Draws text in one role, at a place of an area.
    pub fn text(&mut self, area: Rect, column: u16, row: u16, role: Role, text: &str) {
        if column >= area.width || row >= area.height {
            return;
        }
        let width = area.width - column;
        let text = fit(text, usize::from(width), self.theme.glyphs.ellipsis);
        self.put(area.x.saturating_add(column), area.y.saturating_add(row), width, &Strip::of(role, text));
    }

    fn put(&mut self, x: u16, y: u16, width: u16, strip: &Strip) {
        let bounds = self.buffer.area;
        if y < bounds.y || y >= bounds.bottom() || x < bounds.x || x >= bounds.right() {
            return;
        }
        let end = x.saturating_add(width).min(bounds.right());
        let mut at = x;
        for piece in strip.pieces() {
            if at >= end {
                break;
            }
            // What was there before must not shine through, such as the colour of a rule.
            let style = Style::reset().patch(self.theme.style(piece.role));
            let shown;
            let text = if self.theme.glyphs.ascii {
                shown = ascii(&piece.text);
                &shown
            } else {
                piece.text.as_str()
            };
            let (next, _) = self.buffer.set_stringn(at, y, text, usize::from(end - at), style);
            self.links.set(y, at..next, piece.link.as_ref());
            at = next;
        }
    }

    /// Draws a rule with a title at its left and something at its right: `─Title──────── right─`.
    pub fn rule(&mut self, area: Rect, row: u16, title: &Strip, right: &Strip) {
        let glyph = self.theme.glyphs.rule;
        self.line(area, row, &Strip::of(Role::Rule, glyph.repeat(usize::from(area.width))));
        let inner = Rect { x: area.x.saturating_add(1), width: area.width.saturating_sub(2), ..area };
        self.line(inner, row, title);
        let room = usize::from(inner.width).saturating_sub(title.width() + 2);
        if !right.is_empty() && right.width() + 2 <= room {
            self.right(inner, row, &Strip::text(" ").and_strip(right.clone()).and(Role::Text, " "));
        }
    }

    /// Draws a vertical line in the first column of an area, and its joints with the rules that it meets.
    pub fn wall(&mut self, area: Rect) {
        let glyphs = self.theme.glyphs;
        let [down, up, right, left, cross] = glyphs.joints;
        for y in area.y..area.bottom() {
            let at = |x: Option<u16>| {
                x.and_then(|x| self.buffer.cell((x, y))).is_some_and(|cell| cell.symbol() == glyphs.rule)
            };
            let (to_left, to_right) = (at(area.x.checked_sub(1)), at(area.x.checked_add(1)));
            let glyph = match (to_left, to_right) {
                (true, true) if y == area.y => down,
                (true, true) if y + 1 == area.bottom() => up,
                (true, true) => cross,
                (true, false) => left,
                (false, true) => right,
                (false, false) => glyphs.wall,
            };
            self.put(area.x, y, 1, &Strip::of(Role::Rule, glyph));
        }
    }

    /// Gives every cell of an area the look of a role.
    pub fn tint(&mut self, area: Rect, role: Role) {
        let style = self.theme.style(role);
        let area = area.intersection(self.buffer.area);
        for position in area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.fg = ratatui::style::Color::Reset;
                cell.bg = ratatui::style::Color::Reset;
                cell.modifier = ratatui::style::Modifier::empty();
                cell.set_style(style);
            }
        }
    }

    /// Empties an area.
    pub fn clear(&mut self, area: Rect) {
        let area = area.intersection(self.buffer.area);
        for row in area.rows() {
            self.links.set(row.y, row.left()..row.right(), None);
        }
        for position in area.positions() {
            if let Some(cell) = self.buffer.cell_mut(position) {
                cell.reset();
                cell.set_style(self.theme.style(Role::Text));
            }
        }
    }

    /// Empties an area and draws a frame with a title around it; answers what is inside.
    pub fn framed(&mut self, area: Rect, title: &Strip, right: &Strip) -> Rect {
        self.clear(area);
        self.point(area, Target::OnTop);
        if area.width < 2 || area.height < 2 {
            return Rect { width: 0, height: 0, ..area };
        }
        let glyphs = self.theme.glyphs;
        let [top_left, top_right, bottom_left, bottom_right] = glyphs.corners;
        let last = area.height - 1;
        self.rule(area, 0, &Strip::text(" ").and_strip(title.clone()).and(Role::Text, " "), right);
        self.rule(area, last, &Strip::new(), &Strip::new());
        for row in 1..last {
            self.text(area, 0, row, Role::Rule, glyphs.wall);
            self.text(area, area.width - 1, row, Role::Rule, glyphs.wall);
        }
        self.text(area, 0, 0, Role::Rule, top_left);
        self.text(area, area.width - 1, 0, Role::Rule, top_right);
        self.text(area, 0, last, Role::Rule, bottom_left);
        self.text(area, area.width - 1, last, Role::Rule, bottom_right);
        crate::console::layout::inside(area)
    }

    /// Draws buttons at the right of a row, the one with the focus in its role and marked.
    pub fn buttons(&mut self, area: Rect, row: u16, buttons: &[(&str, bool)]) {
        let mut strip = Strip::new();
        for (label, focused) in buttons {
            if !strip.is_empty() {
                strip.push(Role::Text, "  ");
            }
            let (role, text) =
                if *focused { (Role::Focus, format!("> {label} <")) } else { (Role::Button, format!("[ {label} ]")) };
            strip.push(role, text);
        }
        self.right(area, row, &strip);
    }
}

/// Text for a terminal that shows ASCII only, of the same width.
pub fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.width());
    for c in text.chars() {
        match c {
            ' '..='~' => out.push(c),
            '·' | '–' | '—' | '─' | '┄' => out.push('-'),
            '\u{2801}'..='\u{28ff}' => out.push(match (u32::from(c) & 0xff).count_ones() {
                1..=2 => '.',
                3..=5 => ':',
                _ => '#',
            }),
            '…' => out.push('~'),
            '→' => out.push('>'),
            '▁' | '▂' => out.push('.'),
            '▃' | '▄' => out.push(':'),
            '▅' | '▆' => out.push('='),
            '▇' | '█' => out.push('#'),
            '●' => out.push('o'),
            '▲' => out.push('^'),
            '✖' => out.push('x'),
            '✔' => out.push('v'),
            _ => (0..c.width().unwrap_or(0)).for_each(|_| out.push('?')),
        }
    }
    out
}
