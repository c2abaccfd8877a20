//! Why something is a finding: which rule, on which values, what it explains, who takes and who suffers.

use super::burn::USUAL_LEVEL;
use super::finding::{Active, Build, limits};
use super::signals;
use super::{neighbours, say, whom, words};
use crate::domain::facts::Facts;
use crate::domain::facts::kubernetes::Workload;
use crate::domain::finding::{Class, Level};
use crate::domain::health::Health;
use crate::domain::id::TenantId;
use crate::domain::signal::Subject;
use jiff::Timestamp;

/// The sentences, the rule first.
pub(super) fn lines(
    build: &Build<'_>,
    group: &[&Active<'_>],
    level: Level,
    deploy: Option<&(String, Timestamp)>,
) -> Vec<String> {
    let Some((head, rest)) = group.split_first() else { return Vec::new() };
    let mut out = vec![format!("{} ({}): {}", head.rule.name, head.rule.origin, values(build, head))];
    for other in rest.iter().take(6) {
        let by = if other.class() == Class::Impact { "harm that it explains" } else { "explained by it" };
        out.push(format!("{} on {}, {by}: {}", other.rule.name, words::subject(other.subject), values(build, other)));
    }
    if let Some((tag, at)) = deploy {
        let after = say::span(head.condition.since.duration_since(*at).as_secs_f64());
        out.push(format!("deploy {tag} lies {after} before it"));
    }
    if let Some(burning) = group.iter().find(|a| a.condition.values.contains_key("http.burn")) {
        let agreed = build.index.slo(burning.subject);
        let level = format!("{:.4}", agreed.unwrap_or(USUAL_LEVEL) * 100.0);
        let level = level.trim_end_matches('0').trim_end_matches('.');
        let by = if agreed.is_some() { "as agreed" } else { "nothing else was agreed" };
        out.push(format!("the service level is {level}% of requests, {by}"));
    }
    out.extend(fault(build, head));
    out.extend(behind(build, head));
    out.extend(images(build, head));
    let drifted = drifted(build, head);
    if drifted.is_empty() {
        out.extend(neighbours::lines(build, head));
    }
    out.extend(drifted);
    out.extend(bloated(build, head));
    if let Some(phase) = build.phases.of(head.rank, tenant_of(head.subject), build.now) {
        let until = phase.until.strftime("%H:%MZ");
        out.push(format!("it is judged as the rule declares it for {} of the calendar, until {until}", phase.what));
    }
    for window in build.calendar.in_force(tenant_of(head.subject), build.now) {
        let until = window.until.map_or_else(String::new, |u| format!(" until {}", u.strftime("%H:%MZ")));
        out.push(format!("the calendar: {} is in force{until}", window.what));
    }
    out.push(match level {
        Level::Note => "pressure alone is a note".to_owned(),
        Level::Alert => "a cause without proven harm, or harm without a known cause, is an alert".to_owned(),
        Level::Incident => "a cause with harm is an incident".to_owned(),
    });
    out
}

/// The values that raised it against their thresholds, and since when.
fn values(build: &Build<'_>, active: &Active<'_>) -> String {
    let told = active.rule.signals.iter().filter_map(|name| {
        let seen = active.condition.values.get(name)?;
        let row = signals::find(name)?;
        let limits = limits(build, active.rule, row, seen)?;
        let now = say::value(seen.now, row.unit);
        if let Some((beyond, usual)) = active.rule.usual.as_ref().zip(seen.usual) {
            let usual = say::value(usual, row.unit);
            let factor = beyond.factor(seen.health);
            return Some(match seen.health {
                Health::Critical => format!("{name} {now}, critical from {factor} times the usual {usual}"),
                Health::Warn => format!("{name} {now}, warns from {factor} times the usual {usual}"),
                _ => format!("{name} {now}, good, usual is {usual}"),
            });
        }
        Some(match seen.health {
            Health::Critical => format!("{name} {now}, critical from {}", say::value(limits.critical, row.unit)),
            Health::Warn => format!("{name} {now}, warns from {}", say::value(limits.warn, row.unit)),
            _ => format!("{name} {now}, good"),
        })
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() { "not measured now".to_owned() } else { told.join("; ") }
}

/// Why Traefik has taken a router out of force, in its own words.
fn fault(build: &Build<'_>, head: &Active<'_>) -> Option<String> {
    if !head.condition.values.contains_key("router.ok") {
        return None;
    }
    let Facts::Traefik(facts) = build.world.last(head.source)? else { return None };
    let own = whom::owner(head.subject).and_then(|id| build.index.estate().tenant(id)?.router.as_ref());
    let name = match head.subject {
        Subject::Router { router, .. } => router.as_str(),
        _ => own?.name.as_str(),
    };
    let fault = facts.routers.iter().find(|route| route.name == name)?.fault.as_ref()?;
    Some(format!("Traefik says of {name}: {fault}"))
}

/// What the pods of a Deployment run, where that is not one thing.
fn images(build: &Build<'_>, head: &Active<'_>) -> Vec<String> {
    if !head.condition.values.contains_key("image.digests") {
        return Vec::new();
    }
    let Some(Facts::Kubernetes(facts)) = build.world.last(head.source) else { return Vec::new() };
    let tenant = whom::owner(head.subject).and_then(|id| build.index.estate().tenant(id)?.namespace.as_ref());
    let is_it = |w: &&Workload| match head.subject {
        Subject::Workload { workload, .. } => *workload == format!("{}/{}", w.namespace, w.name),
        _ => tenant.is_some_and(|n| n.name == w.namespace && (n.web == w.name || n.workers == w.name)),
    };
    let moved = facts.workloads.iter().filter(is_it).filter(|w| w.digests() > Some(1));
    let each = moved.flat_map(|w| w.runs.iter().map(move |r| (w, r)));
    each.map(|(w, r)| format!("{} pods of {} run {} as {}", r.pods, w.name, say::tag(&r.image), r.short()))
        .take(8)
        .collect()
}

/// Which servers behind a router are down, or what of an ingress is in error, as Traefik says.
fn behind(build: &Build<'_>, head: &Active<'_>) -> Vec<String> {
    let told = |signal: &str| head.condition.values.contains_key(signal);
    if !(told("service.up") || told("ingress.broken")) {
        return Vec::new();
    }
    let Some(Facts::Traefik(facts)) = build.world.last(head.source) else { return Vec::new() };
    if told("ingress.broken") {
        return facts.broken().take(8).collect();
    }
    let own = whom::owner(head.subject).and_then(|id| build.index.estate().tenant(id)?.router.as_ref());
    let name = match head.subject {
        Subject::Router { router, .. } => Some(router.as_str()),
        _ => own.map(|router| router.name.as_str()),
    };
    let route = name.and_then(|name| facts.routers.iter().find(|route| route.name == name));
    let service = route.and_then(|route| facts.service(route.service.as_deref()?));
    service.map(|service| vec![super::panes::servers(service)]).unwrap_or_default()
}

/// What differs from the approved baseline, by name.
fn drifted(build: &Build<'_>, head: &Active<'_>) -> Vec<String> {
    if !head.condition.values.keys().any(|signal| signal.starts_with("baseline.")) {
        return Vec::new();
    }
    match build.world.last(head.source) {
        Some(Facts::Measured(facts)) => facts.said.clone(),
        _ => Vec::new(),
    }
}

/// Which tables and indexes are bloated, by name.
fn bloated(build: &Build<'_>, head: &Active<'_>) -> Vec<String> {
    if head.rule.name != "bloat" {
        return Vec::new();
    }
    match build.world.last(head.source) {
        Some(Facts::Odoo(facts)) => facts.bloat.as_ref().map_or_else(Vec::new, |bloat| bloat.said.clone()),
        _ => Vec::new(),
    }
}

/// The tenant that a subject belongs to, for callers that group by it.
pub(super) fn tenant_of(subject: &Subject) -> Option<&TenantId> {
    whom::owner(subject)
}
