//! Rows of the panes whose subjects are known by their signals: platform, recovery, delivery, business, security.

use super::spark::spark;
use super::{Cell, Column, Context, PaneRow, Sort, as_given, why};
use crate::console::format::{known, value};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::pane::{SignalValue, SubjectRow};
use crate::domain::signal::Unit;

/// A signal with its value: `node.pressure 2`.
pub fn signal_words(signal: &SignalValue) -> String {
    format!("{} {}", signal.signal, known(signal.value, |v| value(v, signal.unit)))
}

/// Its thresholds: `warn 80% crit 95%`.
pub fn limit_words(signal: &SignalValue) -> String {
    match (signal.warn, signal.critical) {
        (Some(warn), _) if signal.unit == Unit::Flag => format!("must be {}", if warn > 0.5 { "no" } else { "yes" }),
        (Some(warn), Some(critical)) => {
            format!("warn {} crit {}", value(warn, signal.unit), value(critical, signal.unit))
        }
        _ => "no threshold".into(),
    }
}

fn role(health: Health) -> Role {
    if health == Health::Ok { Role::Dim } else { health.into() }
}

impl SubjectRow {
    /// What the row says first: why it is not well, or its signals.
    fn says(&self) -> String {
        if self.health != Health::Ok {
            return why(self.health, &self.why, self.age_s).plain();
        }
        self.values()
    }

    /// The signals in short, the family of the subject left out.
    fn values(&self) -> String {
        let one = |s: &SignalValue| {
            let name = s.signal.split_once('.').map_or(s.signal.as_str(), |(_, name)| name);
            format!("{} {}", name.replace('_', " "), known(s.value, |v| value(v, s.unit)))
        };
        let mut all = self.signals.iter().map(one).collect::<Vec<_>>().join(", ");
        if self.more > 0 {
            all.push_str(&format!(" +{}", self.more));
        }
        all
    }
}

impl PaneRow for SubjectRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("subject", 12, 28, 0),
        Column::left("what", 24, 64, 0),
        Column::right("age", 7, 1),
        Column::left("changed", 14, 28, 2),
        Column::left("trend", 12, 24, 3),
        Column::left("kind", 8, 11, 4),
        Column::left("owner", 6, 12, 5),
        Column::left("values", 20, 44, 6),
        Column::left("limit", 12, 24, 7),
        Column::left("source", 8, 14, 8),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "worst first", compare: as_given },
        Sort { label: "by name", compare: |a, b| a.name.cmp(&b.name) },
        Sort { label: "by kind", compare: |a, b| a.kind.cmp(&b.kind) },
        Sort { label: "oldest observation first", compare: |a, b| super::greatest(a.age_s, b.age_s) },
    ];

    fn key(&self) -> String {
        format!("{} {}", self.kind, self.name)
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        self.name.to_string()
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::of(role(self.health), self.says())
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let worst = self.signals.first();
        let values = if self.health == Health::Ok { String::new() } else { self.values() };
        vec![
            Cell::text(self.name.as_str()),
            Cell::new(role(self.health), self.says()),
            Cell::known(self.age_s, true, super::super::format::fresh_age),
            super::group::change_cell(self, context),
            Cell::new(Role::Chart, spark(&self.trend, worst.and_then(|s| s.warn))),
            Cell::dim(self.kind.as_str()),
            Cell::dim(self.owner.as_deref().or(self.tenant.as_ref().map(TenantId::as_str)).unwrap_or("–")),
            Cell::new(if self.health == Health::Unknown { Role::Dim } else { Role::Text }, values),
            worst.map_or_else(|| Cell::dim("–"), |s| Cell::dim(limit_words(s))),
            worst.map_or_else(|| Cell::dim("–"), |s| Cell::dim(s.source.as_str())),
        ]
    }

    fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    fn source(&self) -> Option<&SourceId> {
        self.subject.source()
    }
}
