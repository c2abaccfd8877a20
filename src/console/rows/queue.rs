//! Rows of the queue pane: job channels, then Redis.

use super::database::approximate;
use super::spark::newest;
use super::{Cell, Column, Context, PaneRow, Sort, as_given, greatest, why};
use crate::console::format::{bytes, known, per_second, ratio, span};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::pane::{ChannelRow, QueueRow, RedisRow};

fn role_of(health: Health) -> Role {
    if health == Health::Ok { Role::Dim } else { health.into() }
}

impl PaneRow for ChannelRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("tenant", 6, 10, 0),
        Column::left("channel", 10, 24, 0),
        Column::left("what", 18, 44, 1),
        Column::right("waiting", 7, 0),
        Column::right("oldest", 6, 0),
        Column::right("running", 7, 2),
        Column::right("failed", 6, 3),
        Column::right("zombies", 7, 3),
        Column::right("done/min", 8, 5),
        Column::right("cron late", 9, 6),
        Column::left("changed", 14, 28, 4),
        Column::left("trend", 8, 16, 5),
        Column::left("owner", 6, 12, 9),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "worst first", compare: as_given }];

    fn key(&self) -> String {
        format!("{}/{}/{}", self.source, self.tenant, self.channel)
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.tenant, self.channel)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        if self.health == Health::Unknown {
            return why(self.health, &self.why, self.age_s);
        }
        if self.depth == Some(0) {
            return Strip::of(role_of(self.health), "    0");
        }
        let (waiting, oldest) = (known(self.depth, |n| n.to_string()), known(self.oldest_s, span));
        Strip::of(role_of(self.health), format!("{waiting:>5}  oldest {oldest:>5}"))
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let number = |n: u32| n.to_string();
        let exists = !self.channel.is_empty() || self.health == Health::Unknown;
        vec![
            Cell::text(self.tenant.as_str()),
            Cell::text(self.channel.as_str()),
            Cell::new(role_of(self.health), why(self.health, &self.why, self.age_s).plain()),
            Cell::known(self.depth, exists, number),
            Cell::known(self.oldest_s, exists && self.depth != Some(0), span),
            Cell::known(self.started, exists, number),
            Cell::known(self.failed, exists, number),
            Cell::known(self.zombies, exists, number).judged(context, "queue.zombies", self.zombies.map(f64::from)),
            Cell::known(self.done_per_min, exists, |v| format!("{v:.0}")),
            Cell::known(self.cron_lateness_s, true, span),
            super::group::change_cell(self, context),
            Cell::new(Role::Chart, newest(&self.trend, None, 16)),
            Cell::dim(self.owner.as_deref().unwrap_or("–")),
        ]
    }

    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.tenant)
    }

    fn source(&self) -> Option<&SourceId> {
        Some(&self.source)
    }
}

/// Share of the memory that is used; `None` without a limit.
fn fill(row: &RedisRow) -> Option<f64> {
    let (used, most) = (row.used_bytes?, row.max_bytes?);
    (most > 0).then(|| approximate(used) / approximate(most))
}

impl PaneRow for RedisRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("redis", 8, 14, 0),
        Column::left("purpose", 7, 8, 1),
        Column::left("role", 7, 8, 2),
        Column::left("what", 14, 36, 2),
        Column::right("memory", 8, 0),
        Column::right("of", 8, 3),
        Column::right("used", 5, 0),
        Column::right("evicted", 8, 1),
        Column::right("clients", 7, 2),
        Column::right("blocked", 7, 4),
        Column::right("replicas", 8, 3),
        Column::right("link", 4, 4),
        Column::right("ops", 7, 5),
        Column::left("changed", 14, 28, 5),
        Column::left("trend", 8, 16, 6),
        Column::left("owner", 6, 12, 9),
    ];
    const SORTS: &'static [Sort<Self>] = &[Sort { label: "as configured", compare: as_given }];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.id, self.purpose)
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        if self.health != Health::Ok {
            return why(self.health, &self.why, self.age_s);
        }
        let memory = match fill(self) {
            Some(fill) => ratio(fill),
            None => known(self.used_bytes, |b| bytes(approximate(b))),
        };
        Strip::of(Role::Dim, format!("{memory} mem  {} evicted", known(self.evicted_per_s, per_second)))
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let number = |n: u32| n.to_string();
        let unlimited = self.used_bytes.is_some() && self.max_bytes.is_none();
        vec![
            Cell::text(self.id.as_str()),
            Cell::text(self.purpose.as_str()),
            Cell::text(self.role.as_str()),
            Cell::new(role_of(self.health), why(self.health, &self.why, self.age_s).plain()),
            Cell::known(self.used_bytes, true, |b| bytes(approximate(b))),
            Cell::known(self.max_bytes, !unlimited, |b| bytes(approximate(b))),
            Cell::known(fill(self), !unlimited, ratio),
            Cell::known(self.evicted_per_s, true, per_second),
            Cell::known(self.clients, true, number),
            Cell::known(self.blocked_clients, true, number),
            Cell::known(self.replicas, self.role != "replica", number),
            Cell::known(self.link_up, self.role == "replica", |up| if up { "up" } else { "DOWN" }.into()),
            Cell::known(self.ops_per_s, true, per_second),
            super::group::change_cell(self, context),
            Cell::new(Role::Chart, newest(&self.trend, None, 16)),
            Cell::dim(self.owner.as_deref().unwrap_or("–")),
        ]
    }

    fn source(&self) -> Option<&SourceId> {
        Some(&self.id)
    }
}

/// The common columns of both kinds; each kind's own columns are in its own table.
impl PaneRow for QueueRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("queue", 14, 30, 0),
        Column::left("what", 18, 44, 1),
        Column::right("waiting", 7, 0),
        Column::right("oldest", 6, 0),
        Column::right("memory", 8, 2),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "worst first", compare: as_given },
        Sort {
            label: "oldest first",
            compare: |a, b| match (a, b) {
                (Self::Channel(a), Self::Channel(b)) => greatest(a.oldest_s, b.oldest_s),
                _ => as_given(a, b),
            },
        },
        Sort {
            label: "deepest first",
            compare: |a, b| match (a, b) {
                (Self::Channel(a), Self::Channel(b)) => greatest(a.depth.map(f64::from), b.depth.map(f64::from)),
                _ => as_given(a, b),
            },
        },
    ];

    fn key(&self) -> String {
        match self {
            Self::Channel(row) => row.key(),
            Self::Redis(row) => format!("redis:{}", row.key()),
        }
    }

    fn health(&self) -> Option<Health> {
        Some(Self::health(self))
    }

    fn label(&self, context: &Context<'_>) -> String {
        match self {
            Self::Channel(row) => row.label(context),
            Self::Redis(row) => row.label(context),
        }
    }

    fn note(&self, context: &Context<'_>) -> Strip {
        match self {
            Self::Channel(row) => row.note(context),
            Self::Redis(row) => row.note(context),
        }
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let role = role_of(Self::health(self));
        // What the other columns of a channel say is not said twice.
        let note = match self {
            Self::Channel(row) => why(row.health, &row.why, row.age_s),
            Self::Redis(row) => row.note(context),
        };
        let (depth, oldest, memory) = match self {
            Self::Channel(row) => (
                Cell::known(row.depth, true, |n| n.to_string()),
                Cell::known(row.oldest_s, row.depth != Some(0), span),
                Cell::known(None::<u64>, false, |_| String::new()),
            ),
            Self::Redis(row) => (
                Cell::known(None::<u32>, false, |_| String::new()),
                Cell::known(None::<f64>, false, |_| String::new()),
                Cell::known(row.used_bytes, true, |b| bytes(approximate(b))),
            ),
        };
        vec![Cell::text(self.label(context)), Cell::new(role, note.plain()), depth, oldest, memory]
    }

    fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Channel(row) => Some(&row.tenant),
            Self::Redis(_) => None,
        }
    }

    fn source(&self) -> Option<&SourceId> {
        match self {
            Self::Channel(row) => Some(&row.source),
            Self::Redis(row) => Some(&row.id),
        }
    }
}
