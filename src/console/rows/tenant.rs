//! Rows of the tenants pane.

use super::spark::newest;
use super::{Cell, Column, Context, PaneRow, Sort, as_given, greatest, least, why};
use crate::console::format::{known, ratio, span};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::estate::Tenancy;
use crate::domain::health::Health;
use crate::domain::id::TenantId;
use crate::domain::pane::TenantRow;
use crate::domain::signal::days;

fn pods(pods: (u32, u32)) -> String {
    format!("{}/{}", pods.0, pods.1)
}

/// How long it is hurt of the time for which it may be: `12m04s/30m`.
fn rto(row: &TenantRow, context: &Context<'_>) -> Cell {
    let hurt = row.hurt_since.map(|since| context.now.duration_since(since).as_secs_f64().max(0.0));
    match (hurt, row.rto_s.map(f64::from)) {
        (Some(hurt), Some(most)) => {
            let role = if hurt > most { Role::Critical } else { Role::Warn };
            Cell::new(role, format!("{}/{}", span(hurt), span(most)))
        }
        (Some(hurt), None) => Cell::text(span(hurt)),
        (None, Some(most)) => Cell::dim(span(most)),
        (None, None) => Cell::dim("–"),
    }
}

/// How much work would be lost now of what may be: `6.0 s/5m`.
fn rpo(row: &TenantRow) -> Cell {
    match (row.rpo_now_s, row.rpo_s.map(f64::from)) {
        (Some(now), Some(most)) => {
            let role = if now > most { Role::Critical } else { Role::Text };
            Cell::new(role, format!("{}/{}", span(now), span(most)))
        }
        (Some(now), None) => Cell::text(span(now)),
        (None, Some(most)) => Cell::new(Role::Unknown, format!("?/{}", span(most))),
        (None, None) => Cell::dim("–"),
    }
}

impl PaneRow for TenantRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("tenant", 6, 8, 0),
        Column::left("name", 16, 20, 1),
        Column::left("what", 24, 36, 0),
        Column::right("p95", 6, 2),
        Column::right("5xx", 5, 2),
        Column::right("queue", 6, 3),
        Column::right("oldest", 6, 3),
        Column::right("blocked", 7, 4),
        Column::right("web", 5, 5),
        Column::right("workers", 7, 5),
        Column::right("cron", 6, 6),
        Column::right("restarts", 8, 7),
        Column::right("cert", 6, 8),
        Column::right("image age", 9, 9),
        Column::left("image", 8, 16, 11),
        Column::right("crit", 4, 12),
        Column::left("plants", 10, 24, 10),
        Column::left("changed", 14, 30, 4),
        Column::left("trend", 8, 12, 6),
        Column::right("burn", 6, 13),
        Column::right("rto", 12, 9),
        Column::right("rpo", 12, 13),
        Column::right("quota", 5, 13),
        Column::left("owner", 6, 12, 12),
        Column::left("tenancy", 9, 12, 14),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "worst first", compare: as_given },
        Sort { label: "by name", compare: |a, b| a.id.cmp(&b.id) },
        Sort { label: "slowest first", compare: |a, b| greatest(a.p95_s, b.p95_s) },
        Sort { label: "most errors first", compare: |a, b| greatest(a.share_5xx, b.share_5xx) },
        Sort { label: "oldest queue first", compare: |a, b| greatest(a.queue_oldest_s, b.queue_oldest_s) },
        Sort { label: "certificate first", compare: |a, b| least(a.certificate_days, b.certificate_days) },
    ];

    fn key(&self) -> String {
        self.id.to_string()
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        format!("{} {}", self.id, self.name)
    }

    fn note(&self, context: &Context<'_>) -> Strip {
        if self.health != Health::Ok || !self.why.is_empty() {
            return why(self.health, &self.why, self.age_s);
        }
        let routed = context.estate.tenant(&self.id).is_some_and(|t| t.router.is_some());
        if routed {
            Strip::of(Role::Dim, format!("p95 {}", known(self.p95_s, span)))
        } else {
            Strip::of(Role::Dim, "ok")
        }
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let declared = context.estate.tenant(&self.id);
        let routed = declared.is_none_or(|t| t.router.is_some());
        let housed = declared.is_none_or(|t| t.namespace.is_some());
        let stored = declared.is_none_or(|t| t.database.is_some());
        let note = why(self.health, &self.why, self.age_s).plain();
        let tenancy = if self.tenancy == Tenancy::Dedicated { "" } else { "*" };
        vec![
            Cell::text(self.id.as_str()),
            Cell::text(self.name.as_str()),
            Cell::new(if self.health == Health::Ok { Role::Dim } else { self.health.into() }, note),
            Cell::known(self.p95_s, routed, span).judged(context, "http.p95", self.p95_s),
            Cell::known(self.share_5xx, routed, ratio).judged(context, "http.share_5xx", self.share_5xx),
            Cell::known(self.queue_depth, stored, |n| n.to_string()),
            // In an empty queue nothing is old.
            Cell::known(self.queue_oldest_s, stored && self.queue_depth != Some(0), span).judged(
                context,
                "queue.oldest",
                self.queue_oldest_s,
            ),
            Cell::known(self.blocked, stored, |n| n.to_string()).judged(
                context,
                "lock.blocked",
                self.blocked.map(f64::from),
            ),
            Cell::known(self.web, housed, pods),
            Cell::known(self.workers, housed, pods),
            Cell::known(self.cron_lateness_s, stored, span).judged(context, "cron.lateness", self.cron_lateness_s),
            Cell::known(self.restarts_5m, housed, |n| n.to_string()).judged(
                context,
                "workload.restarts",
                self.restarts_5m.map(f64::from),
            ),
            Cell::known(self.certificate_days, routed, days).judged(context, "certificate.days", self.certificate_days),
            Cell::known(self.image_age_s, housed, span),
            Cell::known(self.image.as_deref(), housed, str::to_owned),
            Cell::dim(format!("{}{tenancy}", self.criticality)),
            Cell::dim(self.plants.join(", ")),
            super::group::change_cell(self, context),
            Cell::new(Role::Chart, newest(&self.trend, None, 12)),
            Cell::known(self.burn, false, |v| format!("{v:.1}x")),
            rto(self, context),
            rpo(self),
            Cell::known(self.quota, false, ratio),
            Cell::dim(self.owner.as_deref().unwrap_or("–")),
            Cell::dim(if self.tenancy == Tenancy::Dedicated { "dedicated" } else { "shared" }),
        ]
    }

    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.id)
    }
}
