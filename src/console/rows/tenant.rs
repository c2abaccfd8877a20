//! Rows of the tenants pane.

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

impl PaneRow for TenantRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("tenant", 6, 8, 0),
        Column::left("name", 12, 20, 1),
        Column::left("what", 22, 44, 0),
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
            Cell::text(&self.name),
            Cell::new(if self.health == Health::Ok { Role::Dim } else { self.health.into() }, note),
            Cell::known(self.p95_s, routed, span),
            Cell::known(self.share_5xx, routed, ratio),
            Cell::known(self.queue_depth, stored, |n| n.to_string()),
            Cell::known(self.queue_oldest_s, stored, span),
            Cell::known(self.blocked, stored, |n| n.to_string()),
            Cell::known(self.web, housed, pods),
            Cell::known(self.workers, housed, pods),
            Cell::known(self.cron_lateness_s, stored, span),
            Cell::known(self.restarts_5m, housed, |n| n.to_string()),
            Cell::known(self.certificate_days, routed, days),
            Cell::known(self.image_age_s, housed, span),
            Cell::known(self.image.as_deref(), housed, str::to_owned),
            Cell::dim(format!("{}{tenancy}", self.criticality)),
            Cell::dim(self.plants.join(", ")),
            super::group::change_cell(self, context),
        ]
    }

    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.id)
    }
}
