//! Rows of the panes whose subjects are known by their signals: platform, recovery, delivery, business, security.

use super::{Cell, Column, Context, PaneRow, Sort, as_given, why};
use crate::console::format::{known, value};
use crate::console::strip::Strip;
use crate::console::theme::{Role, UNICODE};
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

    /// The newest values of its worst signal as bars.
    pub fn spark(&self) -> String {
        let limit = self.signals.first().and_then(|s| s.warn).map_or(0.0, f64::abs);
        let most = self.trend.iter().map(|v| f64::from(v.abs())).fold(limit, f64::max);
        let bar = |v: &f32| {
            let share = if most > 0.0 { f64::from(v.abs()) / most } else { 0.0 };
            let rank = (1..8_u8).rev().find(|n| share * 7.0 >= f64::from(*n)).unwrap_or(0);
            UNICODE.bars.get(usize::from(rank)).copied().unwrap_or_default()
        };
        self.trend.iter().map(bar).collect()
    }
}

impl PaneRow for SubjectRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("subject", 18, 30, 0),
        Column::left("kind", 7, 11, 3),
        Column::left("what", 24, 52, 0),
        Column::left("values", 16, 40, 2),
        Column::left("limit", 12, 24, 5),
        Column::left("trend", 12, 24, 6),
        Column::left("source", 8, 14, 4),
        Column::right("age", 7, 1),
        Column::left("owner", 6, 12, 7),
        Column::left("changed", 14, 30, 4),
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
        self.name.clone()
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::of(role(self.health), self.says())
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let worst = self.signals.first();
        vec![
            Cell::text(&self.name),
            Cell::dim(&self.kind),
            Cell::new(role(self.health), if self.health == Health::Ok { "ok".into() } else { self.says() }),
            Cell::new(if self.health == Health::Unknown { Role::Dim } else { Role::Text }, self.values()),
            worst.map_or_else(|| Cell::dim("–"), |s| Cell::dim(limit_words(s))),
            Cell::new(Role::Chart, self.spark()),
            worst.map_or_else(|| Cell::dim("–"), |s| Cell::dim(s.source.as_str())),
            Cell::known(self.age_s, true, super::super::format::fresh_age),
            Cell::dim(self.owner.as_deref().or(self.tenant.as_ref().map(TenantId::as_str)).unwrap_or("–")),
            super::group::change_cell(self, context),
        ]
    }

    fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }

    fn source(&self) -> Option<&SourceId> {
        self.subject.source()
    }
}
