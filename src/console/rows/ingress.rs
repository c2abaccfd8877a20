//! Rows of the ingress pane.

use super::spark::newest;
use super::{Cell, Column, Context, PaneRow, Sort, as_given, greatest, least, why};
use crate::console::format::{known, per_second, ratio, span};
use crate::console::strip::Strip;
use crate::console::theme::Role;
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::pane::IngressRow;
use crate::domain::signal::days;

impl PaneRow for IngressRow {
    const COLUMNS: &'static [Column] = &[
        Column::left("name", 10, 24, 0),
        Column::left("kind", 10, 10, 4),
        Column::left("what", 20, 44, 1),
        Column::right("req", 7, 3),
        Column::right("5xx", 5, 0),
        Column::right("4xx", 5, 4),
        Column::right("p50", 6, 5),
        Column::right("p95", 6, 2),
        Column::right("p99", 6, 2),
        Column::right("cert", 6, 3),
        Column::right("reload", 10, 6),
        Column::left("tenant", 6, 8, 7),
        Column::left("maintenance", 11, 11, 8),
        Column::left("changed", 14, 30, 4),
        Column::left("trend", 8, 16, 5),
        Column::left("owner", 6, 12, 9),
    ];
    const SORTS: &'static [Sort<Self>] = &[
        Sort { label: "worst first", compare: as_given },
        Sort { label: "by name", compare: |a, b| a.name.cmp(&b.name) },
        Sort { label: "most errors first", compare: |a, b| greatest(a.share_5xx, b.share_5xx) },
        Sort { label: "slowest first", compare: |a, b| greatest(a.p99_s, b.p99_s) },
        Sort { label: "certificate first", compare: |a, b| least(a.certificate_days, b.certificate_days) },
    ];

    fn key(&self) -> String {
        format!("{}/{}/{}", self.source, self.scope, self.name)
    }

    fn health(&self) -> Option<Health> {
        Some(self.health)
    }

    fn label(&self, _: &Context<'_>) -> String {
        self.name.to_string()
    }

    fn note(&self, _: &Context<'_>) -> Strip {
        if self.health != Health::Ok {
            return why(self.health, &self.why, self.age_s);
        }
        if self.maintenance {
            return Strip::of(Role::Warn, "maintenance page in force");
        }
        let text = format!("5xx {}  p99 {}", known(self.share_5xx, ratio), known(self.p99_s, span));
        let certificate = self.certificate_days.map(|left| format!("  cert {}", days(left)));
        Strip::of(Role::Dim, text).and(Role::Dim, certificate.unwrap_or_default())
    }

    fn cells(&self, context: &Context<'_>) -> Vec<Cell> {
        let whole = self.scope == "ingress";
        let role = if self.health == Health::Ok { Role::Dim } else { self.health.into() };
        let reload = match (self.reload_ok, self.reload_age_s) {
            (Some(true), age) => Cell::text(format!("ok {}", known(age, span))),
            (Some(false), _) => Cell::new(Role::Critical, "FAILED"),
            (None, _) => Cell::known(None::<u8>, whole, |_| String::new()),
        };
        vec![
            Cell::text(self.name.as_str()),
            Cell::dim(self.scope.as_str()),
            if self.maintenance && self.health == Health::Ok {
                Cell::new(Role::Warn, "maintenance page in force")
            } else {
                Cell::new(role, why(self.health, &self.why, self.age_s).plain())
            },
            Cell::known(self.requests_per_s, true, per_second),
            Cell::known(self.share_5xx, true, ratio).judged(context, "http.share_5xx", self.share_5xx),
            Cell::known(self.share_4xx, true, ratio).judged(context, "http.share_4xx", self.share_4xx),
            Cell::known(self.p50_s, true, span),
            Cell::known(self.p95_s, true, span).judged(context, "http.p95", self.p95_s),
            Cell::known(self.p99_s, true, span),
            Cell::known(self.certificate_days, self.health == Health::Unknown, days).judged(
                context,
                "certificate.days",
                self.certificate_days,
            ),
            reload,
            Cell::dim(self.tenant().map_or("–", |t| t.as_str())),
            if self.maintenance { Cell::new(Role::Warn, "in force") } else { Cell::dim("no") },
            super::group::change_cell(self, context),
            Cell::new(Role::Chart, newest(&self.trend, None, 16)),
            Cell::dim(self.owner.as_deref().unwrap_or("–")),
        ]
    }

    fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref().or(self.claims.as_ref())
    }

    fn source(&self) -> Option<&SourceId> {
        Some(&self.source)
    }
}
