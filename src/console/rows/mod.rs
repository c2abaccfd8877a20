//! Rows before pixels: what each pane's rows say in which columns. Drawn by `view`, printed by the command
//! line (`status --format table`, `--plain`); there is no second place that decides what a row says.

mod columns;
mod custody;
mod database;
mod estate;
mod finding;
mod group;
mod ingress;
mod journal;
mod playbook;
mod queue;
mod source;
mod spark;
mod step;
mod subject;
mod tenant;

use super::format::{ABSENT, UNKNOWN, age};
use super::strip::{Strip, fit};
use super::theme::Role;
use super::views::View;
use crate::domain::estate::{Estate, Service};
use crate::domain::finding::Change;
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};
use jiff::Timestamp;
use std::cmp::Ordering;
use unicode_width::UnicodeWidthStr as _;

pub use columns::{layout, needs, steady};
pub use custody::{Custody, custody};
pub use estate::{estates_words, reached_words};
pub use finding::{class_words, since_words, whom_words};
pub use group::Group;
pub use playbook::{is_open, risk_letter, run_words};
pub use step::{step_sign, step_summary, step_words};
pub use subject::{limit_words, signal_words};

/// At which side of its column a cell stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Title, with the unit where the cells do not carry it.
    pub title: &'static str,
    /// Side.
    pub align: Align,
    /// Least width in cells.
    pub min: u16,
    /// Greatest width in cells that is of use.
    pub max: u16,
    /// 0 is always shown; the greater, the earlier it is left out.
    pub rank: u8,
}

impl Column {
    /// A column of words.
    pub const fn left(title: &'static str, min: u16, max: u16, rank: u8) -> Self {
        Self { title, align: Align::Left, min, max, rank }
    }

    /// A column of numbers of a fixed width.
    pub const fn right(title: &'static str, width: u16, rank: u8) -> Self {
        Self { title, align: Align::Right, min: width, max: width, rank }
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// Its role.
    pub role: Role,
    /// Its text.
    pub text: String,
}

impl Cell {
    /// A cell in a role.
    pub fn new(role: Role, text: impl Into<String>) -> Self {
        Self { role, text: text.into() }
    }

    /// A plain cell.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new(Role::Text, text)
    }

    /// A dim cell.
    pub fn dim(text: impl Into<String>) -> Self {
        Self::new(Role::Dim, text)
    }

    /// A value that may not be known, of something that may not be there at all.
    pub fn known<T>(value: Option<T>, exists: bool, write: impl FnOnce(T) -> String) -> Self {
        match value {
            Some(value) => Self::text(write(value)),
            None if exists => Self::new(Role::Unknown, UNKNOWN),
            None => Self::dim(ABSENT),
        }
    }

    /// The same, standing out where the view of whoever looks says so.
    #[must_use]
    pub fn judged(self, context: &Context<'_>, signal: &str, value: Option<f64>) -> Self {
        match context.view.profile().grade(signal, value) {
            Some(health) if health > Health::Ok => Self { role: health.into(), ..self },
            _ => self,
        }
    }

    /// The word of a health, in its role.
    pub fn health(health: Health) -> Self {
        Self::new(health.into(), health.word())
    }
}

/// What a row may need besides itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// The clock of the estate.
    pub now: Timestamp,
    /// The declared estate.
    pub estate: &'a Estate,
    /// What changed lately, newest first.
    pub changes: &'a [Change],
    /// The declared services.
    pub services: &'a [Service],
    /// For whom.
    pub view: View,
}

/// A way of sorting.
pub struct Sort<R: ?Sized> {
    /// What it puts first.
    pub label: &'static str,
    /// The order.
    pub compare: fn(&R, &R) -> Ordering,
}

/// One row of a pane.
pub trait PaneRow: 'static {
    /// The columns, in the order of printing.
    const COLUMNS: &'static [Column];
    /// Ways of sorting; the first is the usual one.
    const SORTS: &'static [Sort<Self>];

    /// What the row is about; stays the same while the thing exists.
    fn key(&self) -> String;
    /// Its health, where it has one.
    fn health(&self) -> Option<Health>;
    /// Short name, for panes that are too narrow for columns.
    fn label(&self, context: &Context<'_>) -> String;
    /// The one thing most worth saying.
    fn note(&self, context: &Context<'_>) -> Strip;
    /// One cell a column.
    fn cells(&self, context: &Context<'_>) -> Vec<Cell>;

    /// The tenant that it belongs to, where it belongs to one.
    fn tenant(&self) -> Option<&TenantId> {
        None
    }

    /// The source that tells of it, where it is one.
    fn source(&self) -> Option<&SourceId> {
        None
    }

    /// Whether the row contains every word of a filter, in lower case.
    fn matches(&self, filter: &str, context: &Context<'_>) -> bool {
        let mut text = self.label(context);
        for cell in self.cells(context) {
            text.push(' ');
            text.push_str(&cell.text);
        }
        if let Some(health) = self.health() {
            text.push(' ');
            text.push_str(health.word());
        }
        let text = text.to_lowercase();
        filter.to_lowercase().split_whitespace().all(|word| text.contains(word))
    }
}

/// Keeps the order of the engine.
pub fn as_given<R: ?Sized>(_: &R, _: &R) -> Ordering {
    Ordering::Equal
}

/// Greater first, unknown last.
pub fn greatest(a: Option<f64>, b: Option<f64>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => b.total_cmp(&a),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// Smaller first, unknown last.
pub fn least(a: Option<f64>, b: Option<f64>) -> Ordering {
    greatest(a.map(|v| -v), b.map(|v| -v))
}

/// What is wrong, in the role of its health; for something unknown also how old the last good value is.
pub fn why(health: Health, text: &str, age_s: Option<f64>) -> Strip {
    if health == Health::Ok && text.is_empty() {
        return Strip::of(Role::Dim, Health::Ok.word());
    }
    let mut strip = Strip::of(if health == Health::Ok { Role::Dim } else { health.into() }, text);
    if health == Health::Unknown {
        let old = age_s.and_then(|s| std::time::Duration::try_from_secs_f64(s).ok());
        match old {
            Some(old) => strip.push(Role::Dim, format!(", last good {} ago", age(old.as_secs()))),
            None if text.is_empty() => strip.push(Role::Unknown, "never observed"),
            None => {}
        }
    }
    strip
}

/// A cell's text in its column, cut or filled to the width.
pub fn place(text: &str, align: Align, width: u16, ellipsis: &str) -> String {
    let text = fit(text, usize::from(width), ellipsis);
    let fill = " ".repeat(usize::from(width).saturating_sub(text.width()));
    match align {
        Align::Left => text + &fill,
        Align::Right => fill + &text,
    }
}

/// Rows as a table of plain text with a heading, every column, one line a row; for pipes, serial consoles and
/// screen readers. The first column is the word of the health where the rows have one.
pub fn plain<'a, R: PaneRow + 'a>(rows: impl IntoIterator<Item = &'a R>, context: &Context<'_>) -> String {
    let rows: Vec<(Option<Health>, Vec<Cell>)> =
        rows.into_iter().map(|row| (row.health(), row.cells(context))).collect();
    let graded = rows.iter().any(|(health, _)| health.is_some());
    let mut lines: Vec<Vec<String>> = vec![R::COLUMNS.iter().map(|c| c.title.to_uppercase()).collect()];
    lines.extend(rows.iter().map(|(_, cells)| cells.iter().map(|c| c.text.clone()).collect()));
    let mut out = String::new();
    let widths: Vec<usize> = (0..R::COLUMNS.len())
        .map(|i| lines.iter().filter_map(|l| l.get(i)).map(|t| t.width()).max().unwrap_or_default())
        .collect();
    let words = std::iter::once("HEALTH").chain(rows.iter().map(|(h, _)| h.map_or("", Health::word)));
    for (line, word) in lines.iter().zip(words) {
        let mut text = if graded { format!("{word:<8}  ") } else { String::new() };
        for ((cell, column), width) in line.iter().zip(R::COLUMNS).zip(&widths) {
            let width = u16::try_from(*width).unwrap_or(u16::MAX);
            text.push_str(&place(cell, column.align, width, "~"));
            text.push_str("  ");
        }
        out.push_str(text.trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_never_looks_like_nothing() {
        assert_eq!(Cell::known(None::<f64>, true, |_| String::new()).text, "?");
        assert_eq!(why(Health::Unknown, "", None).plain(), "never observed");
        assert_eq!(why(Health::Unknown, "timeout", Some(200.0)).plain(), "timeout, last good 3 min ago");
    }
}
