//! Who takes of what several tenants share, and who suffers: transactions, connections and jobs of a PostgreSQL, the
//! processors of a cluster, the workers of a queue. Only what is out of proportion is said.

use super::finding::{Active, Build};
use super::say;
use crate::domain::estate::{Tenancy, Tenant};
use crate::domain::facts::Facts;
use crate::domain::facts::postgres::{DatabaseStat, PostgresFacts};
use crate::domain::finding::Offer;
use crate::domain::health::Health;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::signal::{Subject, Unit};
use crate::domain::text::first_of;

/// Tenants that are named in one sentence.
const NAMED: usize = 8;

/// The sentences about the neighbours of a finding's subject; none where nobody takes more than is due.
pub(super) fn lines(build: &Build<'_>, head: &Active<'_>) -> Vec<String> {
    match head.subject {
        Subject::Instance { source } => on_instance(build, source),
        Subject::Cluster { source } | Subject::Node { source, .. }
            if head.condition.values.contains_key("cpu.share") =>
        {
            on_cluster(build, source)
        }
        Subject::Channel { tenant, .. } => at_workers(build, tenant),
        _ => Vec::new(),
    }
}

/// The playbook that bounds who takes most of the connections of a server that runs out of them; only a tenant among
/// others can be bounded for their sake.
pub(super) fn bounds(build: &Build<'_>, head: &Active<'_>) -> Option<Offer> {
    let Subject::Instance { source } = head.subject else { return None };
    let (Facts::Postgres(facts), true) =
        (build.world.last(source)?, head.condition.values.contains_key("connections.share"))
    else {
        return None;
    };
    let all = of_databases(build, source, facts, |d| Some(f64::from(d.connections)));
    let (taker, share) = greatest(&all)?;
    if build.index.estate().tenant(taker)?.tenancy != Tenancy::MultiTenant {
        return None;
    }
    let why =
        format!("{taker} takes {} of the connections: bound it, for the others' sake", say::value(share, Unit::Ratio));
    Some(Offer { id: "noisy-tenant".into(), why, params: [("tenant".to_owned(), taker.to_string())].into() })
}

/// What the tenants take of a server, by what is measured of each database.
fn of_databases<'a>(
    build: &'a Build<'_>,
    source: &SourceId,
    facts: &PostgresFacts,
    takes: fn(&DatabaseStat) -> Option<f64>,
) -> Vec<(&'a TenantId, f64)> {
    let one = |d: &DatabaseStat| {
        let tenant = build.index.at(build.index.database(source, &d.name)?)?;
        Some((&tenant.id, takes(d)?))
    };
    facts.databases.iter().filter_map(one).collect()
}

/// Of all of them the one that takes most, where that is out of proportion: more than a third of all, and three times an
/// equal share or more than 60%.
fn greatest<'a>(all: &[(&'a TenantId, f64)]) -> Option<(&'a TenantId, f64)> {
    let total: f64 = all.iter().map(|(_, takes)| takes).sum();
    let (tenant, most) = all.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let equal = 1.0 / f64::from(u32::try_from(all.len()).ok()?);
    let share = most / total;
    let out_of_proportion = share > 1.0 / 3.0 && share >= (3.0 * equal).min(0.6);
    (all.len() > 1 && total > 0.0 && out_of_proportion).then_some((*tenant, share))
}

/// The newest value of a signal of a tenant.
fn newest(build: &Build<'_>, tenant: &TenantId, signal: &str) -> Option<f64> {
    let subject = Subject::Tenant { tenant: tenant.clone() };
    build.history.latest(&subject, signal).map(|n| n.value).filter(|v| v.is_finite())
}

fn suffers(build: &Build<'_>, tenant: &TenantId) -> bool {
    let subject = Subject::Tenant { tenant: tenant.clone() };
    build.history.newest(&subject).any(|n| {
        matches!(n.signal.name, "http.p95" | "http.share_5xx" | "queue.oldest")
            && build.thresholds.grade(n.signal, n.value) > Health::Ok
    })
}

/// Who of the others suffers.
fn victims(build: &Build<'_>, all: &[&Tenant], takers: &[&TenantId]) -> String {
    let others: Vec<&&Tenant> = all.iter().filter(|t| !takers.contains(&&t.id)).collect();
    let hurt: Vec<String> = others.iter().filter(|t| suffers(build, &t.id)).map(|t| t.id.to_string()).collect();
    match hurt.as_slice() {
        [] => format!("none of the other {} suffers so far", others.len()),
        some => format!("{} of the other {} suffer: {}", some.len(), others.len(), first_of(some, NAMED, " ")),
    }
}

fn on_instance(build: &Build<'_>, source: &SourceId) -> Vec<String> {
    let Some(Facts::Postgres(facts)) = build.world.last(source) else { return Vec::new() };
    let all: Vec<&Tenant> = build.index.estate().tenants_on(source).collect();
    let of = |takes| of_databases(build, source, facts, takes);
    let jobs: Vec<(&TenantId, f64)> =
        all.iter().filter_map(|t| Some((&t.id, newest(build, &t.id, "queue.done")?))).collect();
    let measured = [
        ("transactions", of(|d| d.commits_per_s)),
        ("connections", of(|d| Some(f64::from(d.connections)))),
        ("jobs of tenants", jobs),
    ];
    let mut out: Vec<String> = Vec::new();
    for (what, takes) in &measured {
        let Some((taker, share)) = greatest(takes) else { continue };
        let share = say::value(share, Unit::Ratio);
        // Whom it hurts is said once.
        let whom = if out.is_empty() { format!("; {}", victims(build, &all, &[taker])) } else { String::new() };
        out.push(format!("{taker} takes {share} of the {what} on {source}{whom}"));
    }
    out
}

/// Those who use up what their limits allow, on processors that are short.
fn on_cluster(build: &Build<'_>, source: &SourceId) -> Vec<String> {
    let all: Vec<&Tenant> = build.index.estate().namespaces_in(source).map(|(tenant, _)| tenant).collect();
    let mut takers: Vec<(&TenantId, f64)> =
        all.iter().filter_map(|t| Some((&t.id, newest(build, &t.id, "cpu.share")?))).collect();
    takers.retain(|(_, share)| build.thresholds.grade_named("cpu.share", *share) > Health::Ok);
    takers.sort_by(|a, b| b.1.total_cmp(&a.1));
    if takers.is_empty() {
        return Vec::new();
    }
    let named = takers.iter().take(NAMED).map(|(t, share)| format!("{t} {}", say::value(*share, Unit::Ratio)));
    let named = named.collect::<Vec<_>>().join(", ");
    let ids: Vec<&TenantId> = takers.iter().map(|(t, _)| *t).collect();
    let whom = victims(build, &all, &ids);
    vec![format!("of the processor time that their limits allow take on {source}: {named}; {whom}")]
}

/// Those whose jobs wait for the same workers: tenants whose workers are one Deployment.
fn at_workers(build: &Build<'_>, tenant: &TenantId) -> Vec<String> {
    let place = |t: &Tenant| t.namespace.as_ref().map(|n| (n.cluster.clone(), n.name.clone(), n.workers.clone()));
    let estate = build.index.estate();
    let Some(here) = estate.tenant(tenant).and_then(place) else { return Vec::new() };
    let all: Vec<&Tenant> = estate.tenants.iter().filter(|t| place(t).as_ref() == Some(&here)).collect();
    let waiting: Vec<(&TenantId, f64)> =
        all.iter().filter_map(|t| Some((&t.id, newest(build, &t.id, "queue.depth")?))).collect();
    let Some((taker, share)) = greatest(&waiting) else { return Vec::new() };
    let whom = victims(build, &all, &[taker]);
    let (share, workers) = (say::value(share, Unit::Ratio), &here.2);
    vec![format!("{taker} has {share} of the jobs that wait for {workers}, which {} tenants share; {whom}", all.len())]
}
