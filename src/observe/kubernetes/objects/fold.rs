//! Rows of objects into signals, sentences and what happened.

use super::Owners;
use super::databases::Cluster;
use super::delivery::Delivered;
use super::kinds::{BACKUPS, EVENTS, FENCES, KINDS, QUOTAS, Row, What};
use crate::domain::facts::MeasuredFacts;
use crate::domain::facts::measured::{Happened, Kept};
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Warnings count for this long, evictions for that.
const WARNINGS: SignedDuration = SignedDuration::from_mins(10);
const EVICTIONS: SignedDuration = SignedDuration::from_hours(1);
/// Things that happened are kept this long.
const HAPPENED: SignedDuration = SignedDuration::from_hours(24);
/// Sentences of one kind.
const SENTENCES: usize = 10;
/// Claims that are measured one by one; those without a volume come first.
const CLAIMS: usize = 2000;

/// Values of several objects about one subject.
#[derive(Default)]
struct Together(BTreeMap<(Subject, &'static str), f64>);

impl Together {
    fn add(&mut self, subject: Subject, signal: &'static str, value: f64) {
        *self.0.entry((subject, signal)).or_default() += value;
    }

    fn most(&mut self, subject: Subject, signal: &'static str, value: f64) {
        let known = self.0.entry((subject, signal)).or_insert(value);
        *known = known.max(value);
    }
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

fn since(at: Timestamp, now: Timestamp) -> f64 {
    now.duration_since(at).as_secs_f64().max(0.0)
}

#[allow(clippy::cast_precision_loss, reason = "counts of objects")]
const fn count(n: u64) -> f64 {
    n as f64
}

/// Folds all rows. `live` says which kinds are watched: of the others nothing is known.
pub(super) fn fold(
    rows: &[&Row],
    live: &[bool; KINDS.len()],
    owners: &Owners,
    source: &SourceId,
    now: Timestamp,
    facts: &mut MeasuredFacts,
) {
    let mut all = Together::default();
    let sees = |kind: usize| live.get(kind) == Some(&true);
    let cluster = Subject::Cluster { source: owners.cluster.clone() };
    if sees(EVENTS) {
        // No warning is a value too.
        all.add(cluster.clone(), "events.warning", 0.0);
        all.add(cluster.clone(), "pods.evicted", 0.0);
    }
    // A namespace of a tenant that has none is a value too.
    for namespace in owners.namespaces() {
        let subject =
            owners.subject(namespace, |source| Subject::Namespace { source, namespace: namespace.as_str().into() });
        if sees(FENCES) {
            all.most(subject.clone(), "tenancy.isolated", 0.0);
            all.add(subject.clone(), "tenancy.open", 0.0);
        }
        if sees(QUOTAS) {
            all.most(subject, "tenancy.quota", 0.0);
        }
    }
    let mut warnings: Vec<(Timestamp, String)> = Vec::new();
    let mut claims: Vec<(bool, &Row)> = Vec::new();
    let mut databases: Vec<(&Row, &Cluster)> = Vec::new();
    for row in rows {
        let workload = |name: &str| {
            let workload = format!("{}/{name}", row.namespace);
            owners.subject(&row.namespace, |source| Subject::Workload { source, workload: workload.into() })
        };
        let namespace = || {
            let namespace = row.namespace.as_str().into();
            owners.subject(&row.namespace, |source| Subject::Namespace { source, namespace })
        };
        match &row.what {
            What::Autoscaler { current, most, target } => {
                let full = current >= most;
                all.most(workload(target), "hpa.at_max", flag(full));
                if full {
                    facts
                        .said
                        .push(format!("autoscaler {}/{} stands at its maximum of {most}", row.namespace, row.name));
                }
            }
            What::Budget { allowed, expected } => {
                let blocks = *allowed == 0 && *expected > 0;
                all.add(namespace(), "pdb.blocking", flag(blocks));
                if blocks {
                    facts.said.push(format!(
                        "disruption budget {}/{} allows none: a drain would wait",
                        row.namespace, row.name
                    ));
                }
            }
            What::Quota { share: Some(share), resource } => {
                all.most(namespace(), "tenancy.quota", 1.0);
                all.most(namespace(), "quota.share", *share);
                if *share >= 0.85 {
                    let share = share * 100.0;
                    facts.said.push(format!("quota {}/{}: {resource} {share:.0}% used", row.namespace, row.name));
                }
            }
            What::Quota { share: None, .. } => facts.untell(&namespace(), "quota.share", "the quota has no status yet"),
            What::Fence { all: isolates, open } => {
                all.most(namespace(), "tenancy.isolated", flag(*isolates));
                all.add(namespace(), "tenancy.open", flag(*open));
                if *open {
                    facts.said.push(format!("network policy {}/{} lets everybody in", row.namespace, row.name));
                }
            }
            What::Claim { phase } => claims.push((phase == "Bound", row)),
            What::Warning { reason, about, message, count: times, at } => {
                let Some(at) = *at else { continue };
                let age = now.duration_since(at);
                if reason == "Evicted" && age <= EVICTIONS {
                    all.add(namespace(), "pods.evicted", 1.0);
                    all.add(cluster.clone(), "pods.evicted", 1.0);
                }
                if age <= WARNINGS {
                    all.add(namespace(), "events.warning", 1.0);
                    all.add(cluster.clone(), "events.warning", 1.0);
                    let times = if *times > 1 { format!(" {times} times") } else { String::new() };
                    warnings.push((at, format!("{reason}{times} on {about} in {}: {message}", row.namespace)));
                }
            }
            What::Database(database) => databases.push((row, database)),
            What::Backup { .. } => {}
            What::Schedule { cluster, suspended, last } => {
                if *suspended {
                    let last = last.map_or_else(|| "never ran".to_owned(), |at| format!("last ran {at:.0}"));
                    facts
                        .said
                        .push(format!("backups of {}/{cluster} by {} are suspended, {last}", row.namespace, row.name));
                }
            }
            What::Delivered(delivered) => deliver(row, delivered, owners, source, now, facts),
            What::Certificate { ready, why, not_after } => {
                let name = format!("{}/{}", row.namespace, row.name);
                let tenant = owners.tenant(&row.namespace);
                let subject =
                    Subject::Certificate { source: source.clone(), certificate: name.as_str().into(), tenant };
                match ready {
                    Some(ready) => facts.measure(&subject, "certificate.ready", flag(*ready)),
                    None => {
                        facts.untell(
                            &subject,
                            "certificate.ready",
                            "cert-manager has not said yet whether it is ready",
                        );
                    }
                }
                if *ready == Some(false) {
                    facts.said.push(format!("certificate {name} is not ready: {why}"));
                }
                if let Some(at) = not_after {
                    let days = at.duration_since(now).as_secs_f64() / 86_400.0;
                    facts.measure(&subject, "certificate.days", days);
                }
            }
        }
    }
    for (row, database) in databases {
        keep(row, database, source, now, facts);
        back_up(row, database, rows, sees(BACKUPS), source, now, facts);
    }
    claims.sort_by_key(|(bound, _)| *bound);
    for (bound, row) in claims.iter().take(CLAIMS) {
        let volume = format!("{}/{}", row.namespace, row.name);
        let subject = Subject::Volume { source: owners.cluster.clone(), volume: volume.into() };
        facts.measure(&subject, "volume.bound", flag(*bound));
    }
    if claims.len() > CLAIMS {
        facts.lacks(format!("{} bound claims beyond {CLAIMS}", claims.len() - CLAIMS), "they are not shown one by one");
    }
    warnings.sort_by(|a, b| b.cmp(a));
    facts.said.extend(warnings.into_iter().take(SENTENCES).map(|(_, words)| words));
    for ((subject, signal), value) in all.0 {
        facts.measure(&subject, signal, value);
    }
}

fn deliver(row: &Row, it: &Delivered, owners: &Owners, source: &SourceId, now: Timestamp, facts: &mut MeasuredFacts) {
    let application = format!("{}/{}", row.namespace, row.name);
    let tenant = owners.tenant(&it.into).or_else(|| owners.tenant(&row.namespace));
    let subject = Subject::Application {
        source: source.clone(),
        application: application.as_str().into(),
        tenant: tenant.clone(),
    };
    for (signal, value) in [("delivery.synced", it.synced), ("delivery.healthy", it.healthy)] {
        match value {
            Some(yes) => facts.measure(&subject, signal, flag(yes)),
            None => facts.untell(&subject, signal, format!("its controller says: {}", said(&it.state))),
        }
    }
    facts.measure(&subject, "delivery.suspended", flag(it.suspended));
    if it.synced == Some(false) || it.healthy == Some(false) {
        facts.said.push(format!("{} {application} is {}: {}", it.by, said(&it.state), said(&it.why)));
    }
    let Some(at) = it.at else { return };
    facts.measure(&subject, "delivery.age", since(at, now));
    if now.duration_since(at) <= HAPPENED {
        let about = tenant.map_or(subject, |tenant| Subject::Tenant { tenant });
        facts.happened.push(Happened {
            at,
            subject: about,
            what: format!("{} {application} delivered {}", it.by, it.revision),
        });
    }
}

fn said(words: &str) -> &str {
    if words.is_empty() { "nothing" } else { words }
}

fn keep(row: &Row, it: &Cluster, source: &SourceId, now: Timestamp, facts: &mut MeasuredFacts) {
    let name = format!("{}/{}", row.namespace, row.name);
    let subject = Subject::Keep { source: source.clone(), keep: name.as_str().into() };
    if it.phase.is_empty() && it.current.is_empty() {
        for signal in ["keep.leader", "keep.ready", "keep.healthy"] {
            facts.untell(&subject, signal, "the operator has not written a status");
        }
        return;
    }
    // While the operator changes the primary, both names differ; `pending` stands for one that is to be chosen.
    let settled = !it.current.is_empty() && it.current == it.target;
    let server = |name: &String| Kept { by: subject.clone(), name: name.clone(), address: None };
    facts.kept.extend(it.instances.iter().map(server));
    facts.measure(&subject, "keep.leader", flag(settled));
    if !settled {
        facts.said.push(format!("cluster {name}: the primary is {}, {} is to be", said(&it.current), said(&it.target)));
    }
    if it.wanted > 0 {
        facts.measure(&subject, "keep.ready", (count(it.ready) / count(it.wanted)).min(1.0));
    }
    let healthy = it.phase == "Cluster in healthy state";
    facts.measure(&subject, "keep.healthy", flag(healthy));
    if !healthy {
        facts.said.push(format!("cluster {name}: {} {}", it.phase, it.reason));
    }
    facts.measure(&subject, "keep.paused", flag(!it.fenced.is_empty()));
    if !it.fenced.is_empty() {
        facts.said.push(format!("cluster {name}: fenced are {}", it.fenced));
    }
    if let Some(at) = it.since.filter(|at| now.duration_since(*at) <= HAPPENED) {
        facts.happened.push(Happened { at, subject, what: format!("primary {}", it.current) });
    }
}

fn back_up(
    row: &Row,
    it: &Cluster,
    rows: &[&Row],
    sees_backups: bool,
    source: &SourceId,
    now: Timestamp,
    facts: &mut MeasuredFacts,
) {
    let name = format!("{}/{}", row.namespace, row.name);
    let subject = Subject::Backup { source: source.clone(), backup: name.as_str().into() };
    let mut good: Vec<Timestamp> = Vec::new();
    // When it was made, and why it failed if it did.
    let mut newest: Option<(Timestamp, Option<&str>)> = None;
    for other in rows.iter().filter(|r| r.namespace == row.namespace) {
        let What::Backup { cluster, phase, stopped, error, created } = &other.what else { continue };
        if *cluster != row.name {
            continue;
        }
        let failed = match phase.as_str() {
            "completed" => {
                good.extend(stopped.or(*created));
                None
            }
            "failed" | "walArchivingFailing" => Some(error.as_str()),
            // It still runs.
            _ => continue,
        };
        let at = created.or(*stopped).unwrap_or(Timestamp::MIN);
        if newest.is_none_or(|(known, _)| at > known) {
            newest = Some((at, failed));
        }
    }
    let last = good.iter().copied().chain(it.last_backup).max();
    match last {
        Some(at) => facts.measure(&subject, "backup.age", since(at, now)),
        None => facts.untell(&subject, "backup.age", "no backup of it is known to have ended well"),
    }
    let failed_by_status = it.last_failed.zip(it.last_backup).is_some_and(|(bad, good)| bad > good);
    match newest {
        Some((_, failed)) => {
            facts.measure(&subject, "backup.failed", flag(failed.is_some()));
            if let Some(why) = failed {
                facts.said.push(format!("the newest backup of {name} failed: {}", said(why)));
            }
        }
        None if it.last_backup.is_some() || it.last_failed.is_some() => {
            facts.measure(&subject, "backup.failed", flag(failed_by_status || it.last_backup.is_none()));
        }
        None => {}
    }
    if sees_backups {
        facts.measure(&subject, "backup.kept", count(u64::try_from(good.len()).unwrap_or(u64::MAX)));
    }
    if it.archiving == Some(false) {
        facts.said.push(format!("cluster {name}: WAL is not archived"));
        facts.untell(&subject, "recovery.rpo", "continuous archiving fails: what would be lost grows with each commit");
    }
    if !it.recoverable_from.is_empty() {
        facts.said.push(format!("{name} can be recovered from {}", it.recoverable_from));
    }
}
