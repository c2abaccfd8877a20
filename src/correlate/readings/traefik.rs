//! Readings of Traefik.

use super::{Out, Seen, flag, greater, tenant_subject};
use crate::correlate::index::Index;
use crate::domain::estate::Tenant;
use crate::domain::facts::TraefikFacts;
use crate::domain::facts::traefik::{Certificate, Route, Service};
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) fn read(facts: &TraefikFacts, seen: &Seen<'_>, index: &Index, out: &mut Out) {
    let passing: Vec<(&str, &Route)> = facts.routers.iter().filter_map(|r| Some((limited(&r.name)?, r))).collect();
    for route in facts.routers.iter().filter(|r| !is_measure(&r.name)) {
        let owner = index.router(seen.source, &route.name).and_then(|i| index.at(i));
        let other = || Subject::Router {
            source: seen.source.clone(),
            router: route.name.as_str().into(),
            tenant: claims(route, seen.source, index).map(|t| t.id.clone()),
        };
        let subject = owner.map_or_else(other, tenant_subject);
        match owner {
            Some(tenant) => write(&with_passing(route, tenant, &passing), &subject, out),
            None => write(route, &subject, out),
        }
        if facts.version.is_some() || route.fault.is_some() {
            out.push(&subject, "router.ok", flag(route.fault.is_none()));
        }
        let service = route.service.as_deref().and_then(|name| facts.service(name));
        out.maybe(&subject, "service.up", service.and_then(Service::up));
    }
    let ingress = Subject::Ingress { source: seen.source.clone() };
    write(&together(facts), &ingress, out);
    let open = facts.entrypoints.iter().filter_map(|e| e.open_connections);
    let open = open.reduce(u64::saturating_add).and_then(|n| u32::try_from(n).ok());
    out.maybe(&ingress, "ingress.connections", open.map(f64::from));
    if facts.version.is_some() {
        let broken = u32::try_from(facts.broken().count()).unwrap_or(u32::MAX);
        out.push(&ingress, "ingress.broken", f64::from(broken));
    }
    out.maybe(&ingress, "reload.ok", facts.reload_failed.map(|failed| flag(!failed)));
    let expiries = expiries(facts, seen.source, index);
    for (tenant, at) in expiries.tenants {
        if let Some(tenant) = index.at(tenant) {
            out.push(&tenant_subject(tenant), "certificate.days", days_until(at, seen.at));
        }
    }
    out.maybe(&ingress, "certificate.days", expiries.other.map(|at| days_until(at, seen.at)));
}

/// The tenant whose host a router takes that is declared as nobody's; none where it takes those of several.
pub(in crate::correlate) fn claims<'a>(route: &Route, source: &SourceId, index: &'a Index) -> Option<&'a Tenant> {
    let taken = index.hosts_of(source, &route.hosts);
    let mut taken = taken.iter().filter_map(|position| index.at(*position));
    taken.next().filter(|_| taken.next().is_none())
}

/// A tenant's own route with those of its requests that pass through limits and routes of this program: while some stand,
/// all of them do. That these refuse some is meant to be so; that requests fail or take long is not.
fn with_passing<'a>(own: &'a Route, tenant: &Tenant, passing: &[(&str, &Route)]) -> Cow<'a, Route> {
    let mut all = Cow::Borrowed(own);
    for (_, passing) in passing.iter().filter(|(whose, _)| *whose == tenant.id.as_str()) {
        let (here, there) = (all.requests_per_s.unwrap_or(0.0), passing.requests_per_s.unwrap_or(0.0));
        if there <= 0.0 {
            continue;
        }
        let errors = here * all.share_5xx.unwrap_or(0.0) + there * passing.share_5xx.unwrap_or(0.0);
        let all = all.to_mut();
        all.requests_per_s = Some(here + there);
        all.share_5xx = Some(errors / (here + there));
        all.share_4xx = all.share_4xx.map(|share| share * here / (here + there));
        all.p50_s = greater(all.p50_s, passing.p50_s);
        all.p95_s = greater(all.p95_s, passing.p95_s);
        all.p99_s = greater(all.p99_s, passing.p99_s);
    }
    all
}

fn write(route: &Route, subject: &Subject, out: &mut Out) {
    out.maybe(subject, "http.requests", route.requests_per_s);
    out.maybe(subject, "http.share_5xx", route.share_5xx);
    out.maybe(subject, "http.share_4xx", route.share_4xx);
    out.maybe(subject, "http.p50", route.p50_s);
    out.maybe(subject, "http.p95", route.p95_s);
    out.maybe(subject, "http.p99", route.p99_s);
}

/// Whether this program wrote a router: what it answers is meant to be so.
pub(in crate::correlate) fn is_measure(router: &str) -> bool {
    router.starts_with("quarterdeck-")
}

/// The tenant for which a measure of this program answers with the maintenance page:
/// `quarterdeck-maintenance-t017@file`, and the same with `tls-` before `maintenance`.
pub(in crate::correlate) fn maintained(measure: &str) -> Option<&str> {
    tenant_of(measure, "maintenance-")
}

/// The tenant whose requests pass through a router of this program to its own service, with limits or above the routes of
/// others: `quarterdeck-limits-t017@file`, and the same with `tls-` before `limits`.
fn limited(measure: &str) -> Option<&str> {
    tenant_of(measure, "limits-")
}

fn tenant_of<'m>(measure: &'m str, what: &str) -> Option<&'m str> {
    let name = measure.split('@').next().unwrap_or(measure);
    let rest = name.strip_prefix("quarterdeck-")?;
    rest.strip_prefix("tls-").unwrap_or(rest).strip_prefix(what)
}

/// All entry points as one: shares weighted by requests, without what our own measures answer themselves; the worst
/// quantiles.
fn together(facts: &TraefikFacts) -> Route {
    let mut all = Route::default();
    let (mut requests, mut errors_5xx, mut errors_4xx) = (None, 0.0, 0.0);
    for entry in &facts.entrypoints {
        if let Some(rate) = entry.requests_per_s {
            requests = Some(requests.unwrap_or(0.0) + rate);
            errors_5xx += rate * entry.share_5xx.unwrap_or(0.0);
            errors_4xx += rate * entry.share_4xx.unwrap_or(0.0);
        }
        all.p50_s = greater(all.p50_s, entry.p50_s);
        all.p95_s = greater(all.p95_s, entry.p95_s);
        all.p99_s = greater(all.p99_s, entry.p99_s);
    }
    for own in facts.routers.iter().filter(|r| is_measure(&r.name)) {
        let rate = own.requests_per_s.unwrap_or(0.0);
        errors_4xx = (errors_4xx - rate * own.share_4xx.unwrap_or(0.0)).max(0.0);
        if limited(&own.name).is_none() {
            requests = requests.map(|all: f64| (all - rate).max(0.0));
            errors_5xx = (errors_5xx - rate * own.share_5xx.unwrap_or(0.0)).max(0.0);
        }
    }
    all.requests_per_s = requests;
    if let Some(rate) = requests.filter(|rate| *rate > 0.0) {
        all.share_5xx = Some((errors_5xx / rate).min(1.0));
        all.share_4xx = Some((errors_4xx / rate).min(1.0));
    }
    all
}

/// Days until a moment, negative after it.
pub(in crate::correlate) fn days_until(at: Timestamp, now: Timestamp) -> f64 {
    at.duration_since(now).as_secs_f64() / 86_400.0
}

/// Expiry of certificates: by position of the tenant whose host they cover, and the nearest of the others.
#[derive(Clone, Debug, Default)]
pub(in crate::correlate) struct Expiries {
    /// Of tenants.
    pub tenants: BTreeMap<usize, Timestamp>,
    /// The nearest that covers no tenant.
    pub other: Option<Timestamp>,
}

/// A tenant is served with the most specific certificate that covers its host; of several the nearest expiry
/// counts, because we do not see which one is sent.
pub(in crate::correlate) fn expiries(facts: &TraefikFacts, source: &SourceId, index: &Index) -> Expiries {
    let mut exact: BTreeMap<usize, Timestamp> = BTreeMap::new();
    let mut all = Expiries::default();
    for certificate in &facts.certificates {
        let mut owned = false;
        for name in names(certificate) {
            let found = if name.starts_with("*.") { &mut all.tenants } else { &mut exact };
            for tenant in index.covered_by(source, name) {
                owned = true;
                let at = found.entry(*tenant).or_insert(certificate.not_after);
                *at = certificate.not_after.min(*at);
            }
        }
        if !owned {
            all.other = Some(all.other.map_or(certificate.not_after, |at| at.min(certificate.not_after)));
        }
    }
    all.tenants.extend(exact);
    all
}

fn names(certificate: &Certificate) -> impl Iterator<Item = &str> {
    let first = std::iter::once(certificate.name.as_str());
    first.chain(certificate.sans.iter().map(String::as_str).filter(move |san| *san != certificate.name))
}
