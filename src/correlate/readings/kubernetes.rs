//! Readings of Kubernetes.

use super::{Out, Seen, flag, tenant_subject};
use crate::correlate::index::{Index, Part};
use crate::domain::facts::KubernetesFacts;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;
use std::collections::BTreeMap;

/// The two Deployments of a tenant, as far as they are there.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::correlate) struct Parts<'a> {
    /// Serves people.
    pub web: Option<&'a Workload>,
    /// Runs queued jobs.
    pub workers: Option<&'a Workload>,
}

/// The Deployments of each tenant, by its position.
pub(in crate::correlate) fn by_tenant<'a>(
    facts: &'a KubernetesFacts,
    cluster: &SourceId,
    index: &Index,
) -> BTreeMap<usize, Parts<'a>> {
    let mut by_tenant: BTreeMap<usize, Parts<'_>> = BTreeMap::new();
    for workload in &facts.workloads {
        match index.workload(cluster, &workload.namespace, &workload.name) {
            Some((tenant, Part::Web)) => by_tenant.entry(tenant).or_default().web = Some(workload),
            Some((tenant, Part::Workers)) => by_tenant.entry(tenant).or_default().workers = Some(workload),
            None => {}
        }
    }
    by_tenant
}

pub(super) fn read(facts: &KubernetesFacts, seen: &Seen<'_>, index: &Index, out: &mut Out) {
    for (tenant, parts) in by_tenant(facts, seen.source, index) {
        let Some(tenant) = index.at(tenant) else { continue };
        let subject = tenant_subject(tenant);
        let (web, workers) = (parts.web.and_then(available), parts.workers.and_then(available));
        out.maybe(&subject, "web.available", web);
        out.maybe(&subject, "workers.available", workers);
        let worse = match (web, workers) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        out.maybe(&subject, "workload.available", worse);
        let both = || parts.web.iter().chain(parts.workers.iter());
        out.maybe(&subject, "workload.restarts", total(both().map(|w| w.restarts_5m)).map(f64::from));
        out.maybe(&subject, "workload.crash_looping", total(both().map(|w| w.crash_looping)).map(f64::from));
        out.maybe(&subject, "pods.oom_killed", total(both().map(|w| w.oom_killed)).map(f64::from));
        out.maybe(&subject, "pods.pending", total(both().map(|w| w.pending)).map(f64::from));
        let digests = both().filter_map(|w| w.digests()).max().and_then(|n| u32::try_from(n).ok());
        out.maybe(&subject, "image.digests", digests.map(f64::from));
        let since = parts.web.and_then(|w| w.image_since);
        let age = since.map(|since| seen.at.duration_since(since).as_secs_f64().max(0.0));
        out.maybe(&subject, "workload.image_age", age);
    }
    for workload in &facts.workloads {
        if workload.desired > 0 && index.namespace(seen.source, &workload.namespace).is_none() {
            let name = format!("{}/{}", workload.namespace, workload.name);
            let subject = Subject::Workload { source: seen.source.clone(), workload: name.into() };
            let share = f64::from(workload.available) / f64::from(workload.desired);
            out.push(&subject, "deployment.available", share.min(1.0));
            let digests = workload.digests().and_then(|n| u32::try_from(n).ok());
            out.maybe(&subject, "image.digests", digests.map(f64::from));
        }
    }
    let cluster = Subject::Cluster { source: seen.source.clone() };
    out.maybe(&cluster, "pods.pending", facts.pods.as_ref().map(|p| f64::from(p.pending)));
    out.maybe(&cluster, "workload.crash_looping", facts.pods.as_ref().map(|p| f64::from(p.crash_looping)));
    for node in &facts.nodes {
        let subject = Subject::Node { source: seen.source.clone(), node: node.name.as_str().into() };
        // A node whose kubelet has gone silent (status Unknown) does not say that it is ready.
        out.push(&subject, "node.ready", flag(node.ready == Some(true)));
        out.push(&subject, "node.cordoned", flag(node.cordoned));
        out.push(&subject, "node.disk_full", flag(node.pressure.iter().any(|p| p == "DiskPressure")));
        out.push(&subject, "node.pressure", f64::from(u32::try_from(node.pressure.len()).unwrap_or(u32::MAX)));
    }
}

/// The sum; not known when one of them is not, or there is none.
pub(in crate::correlate) fn total(mut all: impl Iterator<Item = Option<u32>>) -> Option<u32> {
    let first = all.next()??;
    all.try_fold(first, |sum, one| Some(sum.saturating_add(one?)))
}

/// Ready against desired; nothing for a Deployment that is scaled to zero on purpose.
pub(in crate::correlate) fn available(workload: &Workload) -> Option<f64> {
    (workload.desired > 0).then(|| (f64::from(workload.ready) / f64::from(workload.desired)).min(1.0))
}
