//! Rows of the database pane and of its lock tree.

use super::spark::newest;
use super::{Cell, Column, Context, PaneRow, Sort, as_given, greatest, why};
use crate::console::format::{bytes, known, ratio, span};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::{DatabaseRow, LockNode};

/// The role of an instance in four letters.
fn short_role(role: &str) -> &str {
    match role {
        "primary" => "prim",
        "replica" => "repl",
        "pgbouncer" => "pool",
        _ => "?",
    }
}

/// Share of the connections that are used.
fn fill(row: &DatabaseRow) -> Option<f64> {
    let (used, most) = (row.connections?, row.max_connections?);
    (most > 0).then(|| f64::from(used) / f64::from(most))
}

impl PaneRow for DatabaseRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("instance", 8, 16, 0),
        Column::left("role", 9, 9, 1),
        Column::left("what", 22, 44, 0),
        Column::right("lag", 7, 2),
        Column::right("lag bytes", 9, 6),
        Column::right("blocked", 7, 2),
        Column::right("oldest", 6, 3),
        Column::right("conns", 9, 3),
        Column::right("used", 5, 4),
        Column::right("longest tx", 10, 4),
        Column::right("idle in tx", 10, 5),
        Column::right("waiting", 7, 5),
        Column::right("max wait", 8, 7),
        Column::right("cache", 6, 8),
        Column::right("standbys", 8, 7),
        Column::right("timeline", 8, 9),
        Column::left("version", 7, 10, 10),
        Column::left("changed", 14, 30, 5),
        Column::left("trend", 8, 16, 6),
        Column::left("owner", 6, 12, 9),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "as configured", compare: as_given },
        Sort { label: "worst first", compare: |a, b| b.health.cmp(&a.health) },
        Sort {
            label: "most blocked first",
            compare: |a, b| greatest(a.blocked.map(f64::from), b.blocked.map(f64::from)),
        },
    ];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.id, short_role(&self.role))
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        if self.health != Health::Ok || !self.why.is_empty() {
            return why(self.health, &self.why, self.age_s);
        }
        let connections = known(fill(self), ratio);
        Strip::of(
            Role::Dim,
            match self.role.as_str() {
                "replica" => format!("lag {}  {connections} conns", known(self.lag_s, span)),
                "pgbouncer" => {
                    format!(
                        "{} waiting  max {}",
                        known(self.clients_waiting, |n| n.to_string()),
                        known(self.max_wait_s, span)
                    )
                }
                _ => format!("{} blocked  {connections} conns", known(self.blocked, |n| n.to_string())),
            },
        )
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let pool = self.role == "pgbouncer";
        let primary = self.role == "primary" || self.role == "unknown";
        let number = |n: u32| n.to_string();
        let note = why(self.health, &self.why, self.age_s).plain();
        let has_standbys = self.role != "primary" || self.standbys.is_none_or(|n| n > 0);
        vec![
            Cell::text(self.id.as_str()),
            Cell::text(self.role.as_str()),
            Cell::new(if self.health == Health::Ok { Role::Dim } else { self.health.into() }, note),
            Cell::known(self.lag_s, !pool && has_standbys, span).judged(context, "replication.lag", self.lag_s),
            Cell::known(self.lag_bytes, primary && has_standbys, |b| bytes(approximate(b))),
            Cell::known(self.blocked, !pool, number).judged(context, "lock.blocked", self.blocked.map(f64::from)),
            Cell::known(self.oldest_blocked_s, !pool && self.blocked != Some(0), span),
            Cell::known(self.connections, true, |used| match self.max_connections {
                Some(most) => format!("{used}/{most}"),
                None => used.to_string(),
            }),
            Cell::known(fill(self), !pool, ratio).judged(context, "connections.share", fill(self)),
            Cell::known(self.longest_transaction_s, !pool, span).judged(
                context,
                "transaction.longest",
                self.longest_transaction_s,
            ),
            Cell::known(self.longest_idle_s, !pool, span).judged(
                context,
                "idle_in_transaction.longest",
                self.longest_idle_s,
            ),
            Cell::known(self.clients_waiting, pool, number),
            Cell::known(self.max_wait_s, pool, span),
            Cell::known(self.cache_hit, !pool, ratio),
            Cell::known(self.standbys, primary, number),
            Cell::known(self.timeline, !pool, number),
            Cell::known(self.version.as_deref(), true, str::to_owned),
            super::group::change_cell(self, context),
            Cell::new(Role::Chart, newest(&self.trend, None, 16)),
            Cell::dim(self.owner.as_deref().unwrap_or("–")),
        ]
    }

    fn source(&self) -> Option<&SourceId> {
        Some(&self.id)
    }
}

/// Bytes as a float, exact up to 4 GiB and by KiB above.
pub(super) fn approximate(bytes: u64) -> f64 {
    u32::try_from(bytes).map_or_else(|_| f64::from(u32::try_from(bytes / 1024).unwrap_or(u32::MAX)) * 1024.0, f64::from)
}

impl PaneRow for LockNode {
    const COLUMNS: &'static [Column] = &[
        Column::left("pid", 6, 20, 0),
        Column::right("age", 7, 0),
        Column::right("behind", 6, 1),
        Column::left("database", 8, 12, 2),
        Column::left("user", 8, 12, 6),
        Column::left("application", 11, 18, 7),
        Column::left("state", 12, 20, 3),
        Column::left("query", 30, 120, 0),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "root blockers first", compare: as_given }];

    fn key(&self) -> String {
        format!("{}@{}", self.pid, self.backend_start)
    }

    fn health(&self) -> Option<Health> {
        None
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{}{}", "  ".repeat(usize::from(self.depth)), self.pid)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        Strip::of(Role::Text, known(self.age_s, span)).and(Role::Dim, format!("  {}", self.query))
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let root = self.depth == 0;
        vec![
            Cell::new(if root { Role::Critical } else { Role::Text }, self.label(context)),
            Cell::known(self.age_s, true, span),
            Cell::new(
                if root { Role::Critical } else { Role::Dim },
                if self.waiting_behind == 0 { String::new() } else { self.waiting_behind.to_string() },
            ),
            Cell::text(&self.database),
            Cell::text(&self.user),
            Cell::dim(&self.application),
            Cell::dim(&self.state),
            Cell::text(&self.query),
        ]
    }
}
