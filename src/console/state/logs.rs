//! Logs of a tenant: whose were asked for, and what the engine read of them.

use super::PaneId;
use crate::console::rows::PaneRow as _;
use crate::domain::finding::Finding;
use crate::domain::id::{FindingId, TenantId};
use crate::domain::logs::LogView;
use crate::domain::signal::Subject;
use crate::engine::api::Snapshot;
use jiff::{SignedDuration, Timestamp};

/// So long before a finding its cause may stand in the log.
const BEFORE: SignedDuration = SignedDuration::from_mins(5);
/// How long an answer stands before it is asked for again: reading logs costs the systems that hold them.
pub const ASK_AGAIN: SignedDuration = SignedDuration::from_secs(30);

/// Whose logs, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanting {
    /// Whose.
    pub tenant: TenantId,
    /// The finding that they stand beside, if it is one.
    pub finding: Option<FindingId>,
    /// From when on; a quarter of an hour back when absent.
    pub from: Option<Timestamp>,
}

/// What is known of the logs that were asked for last.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// Which.
    pub wanting: Wanting,
    /// What the engine read, or why it did not.
    pub answer: Option<Result<Box<LogView>, String>>,
    /// When it was last asked, by the wall clock.
    pub asked: Timestamp,
}

impl Wanting {
    /// The tenants that a finding names: the one that it is about, then those whom it hurts.
    pub fn tenants(finding: &Finding) -> Vec<TenantId> {
        let mut all: Vec<TenantId> = match &finding.subject {
            Subject::Tenant { tenant } | Subject::Channel { tenant, .. } => vec![tenant.clone()],
            _ => Vec::new(),
        };
        for tenant in &finding.whom.tenants {
            if !all.contains(tenant) {
                all.push(tenant.clone());
            }
        }
        all
    }

    /// Logs beside a finding; nothing where it names no tenant.
    pub fn beside(finding: &Finding) -> Option<Self> {
        let tenant = Self::tenants(finding).into_iter().next()?;
        let from = finding.since.checked_sub(BEFORE).unwrap_or(finding.since);
        Some(Self { tenant, finding: Some(finding.id.clone()), from: Some(from) })
    }

    /// The same for the next tenant that the finding names.
    #[must_use]
    pub fn next(&self, snapshot: &Snapshot, forward: bool) -> Self {
        let finding = self.finding.as_ref().and_then(|id| snapshot.findings.iter().find(|f| f.id == *id));
        let all = finding.map(Self::tenants).unwrap_or_default();
        let n = all.len().max(1);
        let at = all.iter().position(|t| *t == self.tenant).unwrap_or(0);
        let next = all.get(if forward { (at + 1) % n } else { (at + n - 1) % n });
        Self { tenant: next.unwrap_or(&self.tenant).clone(), ..self.clone() }
    }

    /// Logs of the tenant of a row; nothing where it is of none.
    pub fn of_row(snapshot: &Snapshot, pane: PaneId, key: &str) -> Option<Self> {
        let panes = &snapshot.panes;
        let tenant = match pane {
            PaneId::Tenants => Some(TenantId::from(key)),
            PaneId::Queues => panes.queues.iter().find(|r| r.key() == key)?.tenant().cloned(),
            PaneId::Ingress => panes.ingress.iter().find(|r| r.key() == key)?.tenant().cloned(),
            other => panes.subjects(other.subjects()?).iter().find(|r| r.key() == key)?.tenant().cloned(),
        };
        Some(Self { tenant: tenant?, finding: None, from: None })
    }
}
