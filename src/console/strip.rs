//! A strip is one line of text in roles, not yet in colours: what rows, sheets and headers are made of.

use super::theme::Role;
use crate::domain::text::{is_hostile, sanitize};
use std::borrow::Cow;
use std::sync::Arc;
use unicode_segmentation::UnicodeSegmentation as _;
use unicode_width::UnicodeWidthStr as _;

/// A piece of a strip in one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its role.
    pub role: Role,
    /// Its text, without control characters.
    pub text: String,
    /// Where it leads, when a terminal can follow it: a web address.
    pub link: Option<Arc<str>>,
}

/// One line of text in roles.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Strip {
    pieces: Vec<Piece>,
}

impl Strip {
    /// An empty line.
    pub const fn new() -> Self {
        Self { pieces: Vec::new() }
    }

    /// A line in one role.
    pub fn of(role: Role, text: impl AsRef<str>) -> Self {
        Self::new().and(role, text)
    }

    /// A line of plain text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self::of(Role::Text, text)
    }

    /// The line with more at its end.
    #[must_use]
    pub fn and(mut self, role: Role, text: impl AsRef<str>) -> Self {
        self.push(role, text);
        self
    }

    /// Adds text at the end.
    pub fn push(&mut self, role: Role, text: impl AsRef<str>) {
        self.push_linked(role, text, None);
    }

    /// Adds text that leads somewhere at the end.
    pub fn push_linked(&mut self, role: Role, text: impl AsRef<str>, link: Option<Arc<str>>) {
        let text = text.as_ref();
        if !text.is_empty() {
            self.pieces.push(Piece { role, text: clean(text).into_owned(), link });
        }
    }

    /// The line with another at its end.
    #[must_use]
    pub fn and_strip(mut self, other: Self) -> Self {
        self.append(other);
        self
    }

    /// Adds another line at the end.
    pub fn append(&mut self, other: Self) {
        self.pieces.extend(other.pieces);
    }

    /// Its pieces.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// Width in cells.
    pub fn width(&self) -> usize {
        self.pieces.iter().map(|p| p.text.width()).sum()
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The line, no wider than `width`, cut with an ellipsis.
    #[must_use]
    pub fn fit(self, width: usize, ellipsis: &str) -> Self {
        if self.width() <= width {
            return self;
        }
        let mut out = Self::new();
        let mut left = width.saturating_sub(ellipsis.width());
        let mut last = Role::Text;
        for piece in self.pieces {
            last = piece.role;
            let have = piece.text.width();
            if have <= left {
                left -= have;
                out.pieces.push(piece);
            } else {
                out.push_linked(piece.role, head(&piece.text, left), piece.link);
                break;
            }
        }
        if width >= ellipsis.width() {
            out.push(last, ellipsis);
        }
        out
    }

    /// The bare text.
    pub fn plain(&self) -> String {
        self.pieces.iter().map(|p| p.text.as_str()).collect()
    }
}

/// Text without anything that could move the cursor or turn the direction.
fn clean(text: &str) -> Cow<'_, str> {
    if text.chars().any(is_hostile) { Cow::Owned(sanitize(text)) } else { Cow::Borrowed(text) }
}

/// The longest beginning that is no wider than `width`.
fn head(text: &str, width: usize) -> &str {
    let mut used = 0;
    for (at, grapheme) in text.grapheme_indices(true) {
        used += grapheme.width();
        if used > width {
            return text.get(..at).unwrap_or_default();
        }
    }
    text
}

/// Text no wider than `width`, cut with an ellipsis.
pub fn fit(text: &str, width: usize, ellipsis: &str) -> String {
    let text = clean(text);
    if text.width() <= width {
        return text.into_owned();
    }
    if width < ellipsis.width() {
        return head(&text, width).to_owned();
    }
    format!("{}{ellipsis}", head(&text, width - ellipsis.width()))
}

/// Breaks text into lines no wider than `width`, at spaces where there are any; nothing is left out but the
/// space at which a line was broken.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let width = width.max(1);
    let text = clean(text);
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in text.split_inclusive(' ') {
        let bare = word.strip_suffix(' ').unwrap_or(word);
        if used + bare.width() > width && used > 0 {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
            used = 0;
        }
        for grapheme in bare.graphemes(true) {
            if used + grapheme.width() > width && used > 0 {
                lines.push(std::mem::take(&mut line));
                used = 0;
            }
            line.push_str(grapheme);
            used += grapheme.width();
        }
        if bare.len() < word.len() && used < width {
            line.push(' ');
            used += 1;
        } else if bare.len() < word.len() {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
    }
    if !line.trim_end().is_empty() || lines.is_empty() {
        lines.push(line.trim_end().to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strip_is_cut_by_width_not_by_bytes() {
        let strip = Strip::text("東京").and(Role::Warn, "abcdef");
        assert_eq!(strip.width(), 10);
        assert_eq!(strip.clone().fit(6, "…").plain(), "東京a…");
        assert_eq!(strip.fit(4, "…").plain(), "東…");
        assert_eq!(fit("Nordholz AG", 6, "…"), "Nordh…");
        assert_eq!(fit("abc", 0, "…"), "");
    }

    #[test]
    fn wrapping_loses_nothing_but_the_blanks_at_line_ends() {
        let text = "  SELECT pg_terminate_backend(4711), WHERE supercalifragilistic = 'x' ";
        for width in 1..40 {
            let lines = wrap(text, width);
            assert!(lines.iter().all(|l| l.width() <= width.max(1)), "{lines:?}");
            let joined: String = lines.concat().split(' ').collect();
            assert_eq!(joined, text.split(' ').collect::<String>(), "width {width}");
        }
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("  indented, yes", 11), ["  indented,", "yes"]);
    }

    #[test]
    fn hostile_characters_never_reach_a_strip() {
        assert_eq!(Strip::text("a\u{1b}[2Jb").plain(), "a·[2Jb");
    }
}
