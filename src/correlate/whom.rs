//! Whom a finding hurts: the tenants that stand on its subject, their plants, and the next cut-off.

use super::finding::Build;
use super::index::Index;
use crate::domain::estate::Tenant;
use crate::domain::facts::Facts;
use crate::domain::finding::Whom;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::signal::Subject;
use crate::domain::world::{SourceState, World};

/// The tenant that owns a subject, where one does.
pub(super) fn owner(subject: &Subject) -> Option<&TenantId> {
    subject.tenant()
}

/// The instances that are one cluster with this one, itself among them: those of the same `system_identifier`, as each
/// last said it. Whose database the primary serves, the replica protects.
fn cluster_of<'a>(world: &'a World, source: &'a SourceId) -> Vec<&'a SourceId> {
    let identity = |state: &'a SourceState| match state.good.as_ref()?.facts.as_ref() {
        Facts::Postgres(facts) => Some(facts.system_identifier.as_str()).filter(|id| !id.is_empty()),
        _ => None,
    };
    let mut all = vec![source];
    if let Some(own) = world.sources.get(source).and_then(identity) {
        all.extend(world.sources.iter().filter(|(id, s)| *id != source && identity(s) == Some(own)).map(|(id, _)| id));
    }
    all
}

/// The tenants whose hosts a router takes, as it was last seen.
fn taken<'a>(build: &Build<'a>, subject: &Subject) -> Vec<&'a Tenant> {
    let Subject::Router { source, router, tenant: None } = subject else { return Vec::new() };
    let Some(Facts::Traefik(facts)) = build.world.last(source) else { return Vec::new() };
    let route = facts.routers.iter().find(|route| route.name == *router);
    let taken = route.map(|route| build.index.hosts_of(source, &route.hosts)).unwrap_or_default();
    taken.iter().filter_map(|position| build.index.at(*position)).collect()
}

/// Who stands on a subject.
enum Standing<'a> {
    /// The tenant that owns it.
    Owner(&'a TenantId),
    /// Those with any of these among their parts, or among what their parts need by the declared services.
    On(Vec<&'a SourceId>),
}

impl<'a> Standing<'a> {
    /// For a node, a router without owner and whatever else neither names, nothing is declared. With `cluster` what the
    /// replicas of an instance suffer counts too.
    fn of(subject: &'a Subject, cluster: Option<&'a World>) -> Self {
        match subject {
            owned if let Some(tenant) = owned.tenant() => Self::Owner(tenant),
            Subject::Instance { source } => Self::On(cluster.map_or_else(|| vec![source], |w| cluster_of(w, source))),
            Subject::Ingress { source } | Subject::Cluster { source } | Subject::Redis { source } => {
                Self::On(vec![source])
            }
            _ => Self::On(Vec::new()),
        }
    }

    fn has(&self, index: &Index, tenant: &Tenant) -> bool {
        match self {
            Self::Owner(id) => **id == tenant.id,
            Self::On(things) => things.iter().any(|thing| index.rests_on(tenant, thing.as_str())),
        }
    }
}

/// Tenants, most critical first, with their plants and the next cut-off of any of them. What is wrong with a replica is
/// wrong for the tenants of its primary.
pub(super) fn hurt<'a>(subjects: impl Iterator<Item = &'a Subject>, build: &Build<'_>) -> Whom {
    among(subjects, build, Some(build.world))
}

/// The same where nobody knows what is wrong: a replica that is not observed hurts nobody yet.
pub(super) fn unseen<'a>(subjects: impl Iterator<Item = &'a Subject>, build: &Build<'_>) -> Whom {
    among(subjects, build, None)
}

fn among<'a>(subjects: impl Iterator<Item = &'a Subject>, build: &Build<'_>, cluster: Option<&World>) -> Whom {
    let Build { index, calendar, now, .. } = *build;
    let subjects: Vec<&Subject> = subjects.collect();
    let kept: Vec<Subject> = subjects
        .iter()
        .flat_map(|keep| build.world.kept(keep))
        .map(|source| Subject::Instance { source: source.clone() })
        .collect();
    let owned = subjects.iter().all(|s| owner(s).is_some());
    let estate = index.estate();
    let mut tenants: Vec<&Tenant> = if owned {
        subjects.iter().filter_map(|s| owner(s)).filter_map(|id| estate.tenant(id)).collect()
    } else {
        let taken = subjects.iter().flat_map(|s| taken(build, s));
        let standing = subjects.iter().copied().chain(&kept).map(|s| Standing::of(s, cluster));
        let standing: Vec<Standing<'_>> = standing.collect();
        estate.tenants.iter().filter(|t| standing.iter().any(|s| s.has(index, t))).chain(taken).collect()
    };
    tenants.sort_by(|a, b| a.criticality.cmp(&b.criticality).then_with(|| a.id.cmp(&b.id)));
    tenants.dedup_by(|a, b| a.id == b.id);
    let mut plants: Vec<String> = Vec::new();
    for plant in tenants.iter().flat_map(|t| &t.plants) {
        if !plants.contains(&plant.name) {
            plants.push(plant.name.clone());
        }
    }
    let next_cutoff = calendar.next(&tenants.iter().copied(), now);
    let criticality = tenants.first().map(|t| t.criticality);
    Whom { criticality, tenants: tenants.into_iter().map(|t| t.id.clone()).collect(), plants, next_cutoff }
}
