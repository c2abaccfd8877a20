//! What stands beside the values of a row: who owns it, what was agreed about it, and how it came to be what it is.

use super::Sight;
use crate::domain::health::Health;
use crate::domain::id::TenantId;
use crate::domain::pane::{Panes, QueueRow, TenantRow};
use crate::domain::signal::Subject;
use jiff::Timestamp;
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// Values of a trend.
pub(super) const TREND: usize = 24;

impl Sight<'_> {
    fn owner(self, subject: &Subject) -> Option<SmolStr> {
        self.index.owner(subject).map(SmolStr::new)
    }

    /// A healthy row has no trend: calm is short.
    fn trend(self, health: Health, subject: &Subject, signal: &str) -> Vec<f32> {
        if health == Health::Ok { Vec::new() } else { self.history.tail(subject, signal, TREND) }
    }

    fn newest(self, subject: &Subject, signal: &str) -> Option<f64> {
        self.history.latest(subject, signal).map(|newest| newest.value).filter(|v| v.is_finite())
    }
}

/// Fills it in. `hurt` says since when there is a finding of harm to a tenant.
pub(super) fn fill(sight: Sight<'_>, panes: &mut Panes, hurt: &BTreeMap<&TenantId, Timestamp>) {
    for row in &mut panes.tenants {
        tenant(sight, row, hurt);
    }
    for row in &mut panes.databases {
        let subject = Subject::Instance { source: row.id.clone() };
        row.owner = sight.owner(&subject);
        let signal = match row.role.as_str() {
            "pgbouncer" => "pool.waiting",
            "replica" => "replication.lag",
            _ if row.blocked.is_some_and(|n| n > 0) => "lock.blocked",
            _ => "connections.share",
        };
        row.trend = sight.trend(row.health, &subject, signal);
    }
    for row in &mut panes.queues {
        match row {
            QueueRow::Channel(row) => {
                let subject = Subject::Channel { tenant: row.tenant.clone(), channel: row.channel.clone() };
                row.owner = sight.owner(&subject);
                row.trend = sight.trend(row.health, &subject, "queue.depth");
            }
            QueueRow::Redis(row) => {
                let subject = Subject::Redis { source: row.id.clone() };
                row.owner = sight.owner(&subject);
                row.trend = sight.trend(row.health, &subject, "redis.memory_share");
            }
        }
    }
    for row in &mut panes.ingress {
        let source = row.source.clone();
        let subject = match (&row.tenant, row.scope.as_str()) {
            (Some(tenant), _) => Subject::Tenant { tenant: tenant.clone() },
            (None, "router") => Subject::Router { source, router: row.name.clone(), tenant: row.claims.clone() },
            (None, _) => Subject::Ingress { source },
        };
        row.owner = sight.owner(&subject);
        row.trend = sight.trend(row.health, &subject, "http.p95");
    }
}

fn tenant(sight: Sight<'_>, row: &mut TenantRow, hurt: &BTreeMap<&TenantId, Timestamp>) {
    let subject = Subject::Tenant { tenant: row.id.clone() };
    row.owner = sight.owner(&subject);
    row.trend = sight.trend(row.health, &subject, "http.p95");
    row.burn = sight.newest(&subject, "http.burn");
    row.quota = sight.newest(&subject, "quota.share");
    row.hurt_since = hurt.get(&row.id).copied();
    if let Some(terms) = sight.index.terms(&row.id) {
        (row.rto_s, row.rpo_s) = (terms.rto().map(|(s, _)| s), terms.rpo().map(|(s, _)| s));
    }
    let instance = sight.index.estate().tenant(&row.id).and_then(|t| t.database.as_ref()).map(|d| &d.instance);
    row.rpo_now_s =
        instance.and_then(|source| sight.newest(&Subject::Instance { source: source.clone() }, "recovery.rpo"));
}
