//! By what rows are grouped, and what changed beside what is red.

use super::{Cell, Context, PaneRow};
use crate::console::format::{age, seconds_between};
use crate::domain::estate::{Service, Tenant};
use crate::domain::finding::Change;
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::signal::Subject;
use jiff::SignedDuration;

/// How old a change may be to stand beside what is red.
const NEAR: SignedDuration = SignedDuration::from_mins(60);

/// By what rows are grouped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// By tenant.
    Tenant,
    /// By the first plant of the tenant.
    Plant,
    /// By the cluster that the tenant runs on.
    Cluster,
    /// By the declared region of what the row stands on.
    Region,
}

impl Group {
    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Plant => "plant",
            Self::Cluster => "cluster",
            Self::Region => "region",
        }
    }

    /// The way of grouping after one; none after the last.
    pub const fn after(now: Option<Self>) -> Option<Self> {
        match now {
            None => Some(Self::Tenant),
            Some(Self::Tenant) => Some(Self::Plant),
            Some(Self::Plant) => Some(Self::Cluster),
            Some(Self::Cluster) => Some(Self::Region),
            Some(Self::Region) => None,
        }
    }

    /// The group of a row.
    pub fn of<R: PaneRow>(self, row: &R, context: &Context<'_>) -> String {
        let tenant = row.tenant().and_then(|id| context.estate.tenant(id));
        let said = match self {
            Self::Tenant => row.tenant().map(|id| id.as_str().to_owned()),
            Self::Plant => tenant.and_then(|t| t.plants.first()).map(|p| p.name.clone()),
            Self::Cluster => cluster(tenant, row.source(), context).map(|id| id.as_str().to_owned()),
            Self::Region => region(tenant, row.source(), context),
        };
        said.unwrap_or_else(|| format!("no {}", self.word()))
    }
}

/// The cluster that a row stands on: that of its tenant, else its source when a tenant runs there.
fn cluster<'a>(
    tenant: Option<&'a Tenant>,
    source: Option<&'a SourceId>,
    context: &'a Context<'_>,
) -> Option<&'a SourceId> {
    let of_tenant = tenant.and_then(|t| t.namespace.as_ref()).map(|n| &n.cluster);
    let is_cluster = |id: &&SourceId| context.estate.namespaces_in(id).next().is_some();
    of_tenant.or_else(|| source.filter(is_cluster))
}

/// The declared region of the source of a row, else of what its tenant stands on.
fn region(tenant: Option<&Tenant>, source: Option<&SourceId>, context: &Context<'_>) -> Option<String> {
    let of = |id: &SourceId| {
        let named = |s: &&Service| s.id == id.as_str();
        context.services.iter().find(named).and_then(|s| s.region.clone())
    };
    let parts = tenant.into_iter().flat_map(|t| {
        [
            t.namespace.as_ref().map(|n| &n.cluster),
            t.database.as_ref().map(|d| &d.instance),
            t.router.as_ref().map(|r| &r.ingress),
        ]
    });
    source.into_iter().chain(parts.flatten()).find_map(of)
}

/// The newest change of the last hour that concerns a tenant or a source.
pub fn changed<'a>(
    context: &'a Context<'_>,
    tenant: Option<&TenantId>,
    source: Option<&SourceId>,
) -> Option<&'a Change> {
    let concerns = |subject: &Subject| {
        tenant.is_some_and(|t| subject.tenant() == Some(t))
            || tenant.is_none() && source.is_some_and(|s| subject.source() == Some(s))
    };
    let near = |c: &&Change| context.now.duration_since(c.at) <= NEAR && concerns(&c.subject);
    context.changes.iter().find(near)
}

/// What changed lately beside a row that is not well: `13 min deploy r118`.
pub(super) fn change_cell<R: PaneRow>(row: &R, context: &Context<'_>) -> Cell {
    if row.health().is_none_or(|health| health == Health::Ok) {
        return Cell::dim("");
    }
    changed(context, row.tenant(), row.source()).map_or_else(
        || Cell::dim("nothing"),
        |c| Cell::text(format!("{} {}", age(seconds_between(c.at, context.now)), c.what)),
    )
}
