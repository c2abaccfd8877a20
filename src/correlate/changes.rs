//! What changed between two observations of one source: deploys, restarts, scaling, roles, timelines,
//! reloads, nodes, measures. Only differences that a person would say aloud.

use super::index::{Index, Part};
use super::say;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::facts::measured::{Happened, MeasuredFacts};
use crate::domain::facts::{Facts, KubernetesFacts, OdooFacts, PostgresFacts, RedisFacts, TraefikFacts};
use crate::domain::finding::Change;
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeSet, HashMap, HashSet};

/// How long before the first observation a deploy may lie and still be said.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(6);

/// Collects changes of one source.
struct Log<'a> {
    source: &'a SourceId,
    at: Timestamp,
    out: Vec<Change>,
}

impl Log<'_> {
    fn say(&mut self, subject: Subject, what: impl Into<String>) {
        self.say_at(self.at, subject, what);
    }

    fn say_at(&mut self, at: Timestamp, subject: Subject, what: impl Into<String>) {
        self.out.push(Change { at, what: what.into(), subject, by: self.source.to_string() });
    }
}

/// What changed from `before` to `after`, oldest first. Without a `before` only what carries its own time is
/// said: deploys of the last six hours.
pub fn diff(source: &SourceId, before: Option<&Facts>, after: &Facts, index: &Index, at: Timestamp) -> Vec<Change> {
    let mut log = Log { source, at, out: Vec::new() };
    match (before, after) {
        (Some(Facts::Kubernetes(b)), Facts::Kubernetes(a)) => kubernetes(Some(b), a, index, &mut log),
        (_, Facts::Kubernetes(a)) => kubernetes(None, a, index, &mut log),
        (Some(Facts::Postgres(b)), Facts::Postgres(a)) => postgres(b, a, &mut log),
        (Some(Facts::Redis(b)), Facts::Redis(a)) => redis(b, a, &mut log),
        (Some(Facts::Traefik(b)), Facts::Traefik(a)) => traefik(b, a, &mut log),
        (Some(Facts::Odoo(b)), Facts::Odoo(a)) => odoo(b, a, index, &mut log),
        (Some(Facts::Measured(b)), Facts::Measured(a)) => measured(Some(b), a, &mut log),
        (_, Facts::Measured(a)) => measured(None, a, &mut log),
        _ => {}
    }
    log.out.sort_by_key(|change| change.at);
    log.out
}

fn kubernetes(before: Option<&KubernetesFacts>, after: &KubernetesFacts, index: &Index, log: &mut Log<'_>) {
    let mut known: HashMap<(&str, &str), &Workload> = HashMap::new();
    for workload in before.iter().flat_map(|b| &b.workloads) {
        known.insert((&workload.namespace, &workload.name), workload);
    }
    for now in &after.workloads {
        let Some((tenant, part)) = index.workload(log.source, &now.namespace, &now.name) else { continue };
        let Some(tenant) = index.at(tenant) else { continue };
        let subject = Subject::Tenant { tenant: tenant.id.clone() };
        let name = if part == Part::Web { "web" } else { "workers" };
        let Some(was) = known.get(&(now.namespace.as_str(), now.name.as_str())) else {
            let recent = now.image_since.filter(|since| log.at.duration_since(*since) <= LOOK_BACK);
            if let Some(since) = recent.filter(|_| before.is_none() && part == Part::Web) {
                log.say_at(since, subject, format!("deploy {}", say::tag(&now.image)));
            }
            continue;
        };
        if was.image != now.image {
            let since = now.image_since.filter(|since| *since <= log.at).unwrap_or(log.at);
            let of = if part == Part::Web { String::new() } else { " (workers)".into() };
            let (from, to) = (say::tag(&was.image), say::tag(&now.image));
            log.say_at(since, subject.clone(), format!("deploy {to}{of}, was {from}"));
        }
        for new in now.runs.iter().filter(|r| was.runs.iter().any(|b| b.image == r.image && b.digest != r.digest)) {
            if !was.runs.iter().any(|b| b.digest == new.digest) {
                log.say(
                    subject.clone(),
                    format!("tag {} of {name} has moved: {} runs under it now", say::tag(&new.image), new.short()),
                );
            }
        }
        if now.restarted_at.is_some() && was.restarted_at != now.restarted_at {
            log.say(subject.clone(), format!("restart of {name} asked for"));
        }
        if was.desired != now.desired {
            log.say(subject, format!("{name} scaled from {} to {} pods", was.desired, now.desired));
        }
    }
    let Some(before) = before else { return };
    let nodes: HashMap<&str, _> = before.nodes.iter().map(|n| (n.name.as_str(), n)).collect();
    for now in &after.nodes {
        let subject = || Subject::Node { source: log.source.clone(), node: now.name.as_str().into() };
        let (subject, Some(was)) = (subject(), nodes.get(now.name.as_str())) else {
            log.say(subject(), "node joined");
            continue;
        };
        if was.ready != now.ready {
            let state = match now.ready {
                Some(true) => "node ready",
                Some(false) => "node not ready",
                None => "node went silent",
            };
            log.say(subject.clone(), state);
        }
        if was.cordoned != now.cordoned {
            log.say(subject, if now.cordoned { "node cordoned" } else { "node uncordoned" });
        }
    }
    let left: BTreeSet<&str> = after.nodes.iter().map(|n| n.name.as_str()).collect();
    for gone in before.nodes.iter().filter(|n| !left.contains(n.name.as_str())) {
        log.say(Subject::Node { source: log.source.clone(), node: gone.name.as_str().into() }, "node left");
    }
}

fn postgres(before: &PostgresFacts, after: &PostgresFacts, log: &mut Log<'_>) {
    let subject = Subject::Instance { source: log.source.clone() };
    if before.system_identifier != after.system_identifier {
        let (from, to) = (&before.system_identifier, &after.system_identifier);
        log.say(subject.clone(), format!("another cluster answers: system {to}, was {from}"));
    }
    if before.in_recovery != after.in_recovery {
        log.say(subject.clone(), if after.in_recovery { "became a replica" } else { "promoted to primary" });
    }
    if let (Some(from), Some(to)) = (before.timeline, after.timeline)
        && from != to
    {
        log.say(subject.clone(), format!("timeline {to}, was {from}"));
    }
    if before.version != after.version {
        log.say(subject.clone(), format!("version {}, was {}", after.version, before.version));
    }
    let names = |f: &PostgresFacts| f.standbys.iter().map(|s| s.name.clone()).collect::<BTreeSet<_>>();
    let (was, is) = (names(before), names(after));
    for gone in was.difference(&is) {
        log.say(subject.clone(), format!("standby {gone} gone"));
    }
    for new in is.difference(&was) {
        log.say(subject.clone(), format!("standby {new} connected"));
    }
}

fn redis(before: &RedisFacts, after: &RedisFacts, log: &mut Log<'_>) {
    let subject = Subject::Redis { source: log.source.clone() };
    if before.run_id != after.run_id {
        log.say(subject.clone(), "restarted");
    }
    if before.role != after.role {
        log.say(subject.clone(), format!("role {}, was {}", after.role, before.role));
    }
    if before.replicas != after.replicas && after.role == "master" {
        log.say(subject.clone(), format!("{} replicas, was {}", after.replicas, before.replicas));
    }
    if let (Some(from), Some(to)) = (&before.sentinel_primary, &after.sentinel_primary)
        && from != to
    {
        log.say(subject, format!("sentinels name {to} as primary, was {from}"));
    }
}

fn traefik(before: &TraefikFacts, after: &TraefikFacts, log: &mut Log<'_>) {
    let ingress = Subject::Ingress { source: log.source.clone() };
    if after.reload_failed == Some(true) && before.reload_failed != Some(true) {
        let why = after.reload_error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
        log.say(ingress.clone(), format!("config reload failed{why}"));
    } else if after.last_reload_success > before.last_reload_success {
        let at = after.last_reload_success.filter(|at| *at <= log.at).unwrap_or(log.at);
        log.say_at(at, ingress.clone(), "config reload ok");
    }
    let (was, is): (BTreeSet<&String>, BTreeSet<&String>) =
        (before.measures.iter().collect(), after.measures.iter().collect());
    for new in is.difference(&was) {
        log.say(ingress.clone(), format!("measure {new} in force"));
    }
    for gone in was.difference(&is) {
        log.say(ingress.clone(), format!("measure {gone} lifted"));
    }
    let expiries: HashMap<&str, Timestamp> =
        before.certificates.iter().map(|c| (c.name.as_str(), c.not_after)).collect();
    for now in &after.certificates {
        if expiries.get(now.name.as_str()).is_some_and(|was| *was < now.not_after) {
            log.say(ingress.clone(), format!("certificate of {} renewed", now.name));
        }
    }
}

fn odoo(before: &OdooFacts, after: &OdooFacts, index: &Index, log: &mut Log<'_>) {
    let Some(tenant) = index.odoo_tenant(log.source) else { return };
    let subject = Subject::Tenant { tenant: tenant.id.clone() };
    if before.version != after.version && !before.version.is_empty() && !after.version.is_empty() {
        log.say(subject.clone(), format!("Odoo {}, was {}", after.version, before.version));
    }
    match (before.modules_pending, after.modules_pending) {
        (Some(0), Some(waiting @ 1..)) => log.say(subject, format!("{waiting} modules wait for an upgrade")),
        (Some(1..), Some(0)) => log.say(subject, "module upgrades done"),
        _ => {}
    }
}

/// What carries its own time is said once, and not when it is older than the look back.
fn measured(before: Option<&MeasuredFacts>, after: &MeasuredFacts, log: &mut Log<'_>) {
    let known: HashSet<&Happened> = before.iter().flat_map(|b| &b.happened).collect();
    for new in after.happened.iter().filter(|h| !known.contains(h) && log.at.duration_since(h.at) <= LOOK_BACK) {
        log.out.push(Change {
            at: new.at.min(log.at),
            what: new.what.clone(),
            subject: new.subject.clone(),
            by: log.source.to_string(),
        });
    }
}
