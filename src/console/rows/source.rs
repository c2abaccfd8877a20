//! Rows of the sources pane: every observer.

use super::{Cell, Column, Context, PaneRow, Sort, as_given, greatest};
use crate::console::format::{age, fresh_age, known, seconds_between};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::pane::SourceRow;

/// Why a source is not green; the rights that are missing where it gives no other reason.
fn reason(row: &SourceRow) -> String {
    match (&row.why, row.missing.first()) {
        (Some(why), _) => why.clone(),
        (None, Some(first)) => format!("not seen: {}", first.disables),
        (None, None) => String::new(),
    }
}

impl PaneRow for SourceRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("source", 10, 18, 0),
        Column::left("kind", 10, 10, 2),
        Column::left("state", 8, 8, 1),
        Column::right("age", 7, 0),
        Column::right("took", 8, 3),
        Column::right("silent", 7, 1),
        Column::left("why", 26, 70, 0),
        Column::left("address", 14, 34, 6),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "worst first", compare: |a, b| b.health.cmp(&a.health) },
        Sort { label: "as configured", compare: as_given },
        Sort { label: "slowest first", compare: |a, b| greatest(a.took_ms, b.took_ms) },
    ];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        self.id.to_string()
    }

    fn note(&self, context: &Context<'_>) -> Strip {
        if self.health == Health::Ok {
            return Strip::of(Role::Dim, format!("answers in {}", known(self.took_ms, |ms| format!("{ms:.0} ms"))));
        }
        let silent = self.unknown_since.map(|at| format!(" for {}", age(seconds_between(at, context.now))));
        Strip::of(self.health.into(), reason(self)).and(Role::Dim, silent.unwrap_or_default())
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let unknown = self.health == Health::Unknown;
        let old = match self.observed_at {
            Some(at) if unknown => Cell::new(Role::Unknown, age(seconds_between(at, context.now))),
            _ => Cell::known(self.age_s, true, fresh_age),
        };
        let silent = match self.unknown_since {
            Some(at) => Cell::new(Role::Unknown, age(seconds_between(at, context.now))),
            None => Cell::dim("–"),
        };
        let role = if self.health == Health::Ok { Role::Dim } else { self.health.into() };
        vec![
            Cell::text(self.id.as_str()),
            Cell::dim(self.kind.word()),
            Cell::health(self.health),
            old,
            Cell::known(self.took_ms, true, |ms| format!("{ms:.0} ms")),
            silent,
            Cell::new(role, reason(self)),
            Cell::dim(match &self.watched_by {
                Some(host) => format!("{}, by {host}", self.address),
                None => self.address.to_string(),
            }),
        ]
    }
}
