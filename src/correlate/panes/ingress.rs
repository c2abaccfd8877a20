//! One row a router, worst first; then the entry points; then one an ingress.

use super::verdict::Verdict;
use super::{Look, Sight, as_traefik};
use crate::correlate::readings::traefik::{Expiries, claims, days_until, expiries, is_measure, maintained};
use crate::correlate::say;
use crate::domain::facts::TraefikFacts;
use crate::domain::facts::traefik::{Middleware, Route, Service};
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::IngressRow;
use crate::domain::sample::SourceKind;
use crate::domain::signal::Unit;
use std::collections::BTreeSet;

pub(super) fn rows(sight: Sight<'_>) -> Vec<IngressRow> {
    let (mut routers, mut entrypoints, mut ingresses) = (Vec::new(), Vec::new(), Vec::new());
    for (id, look) in sight.of_kind(as_traefik, SourceKind::Traefik) {
        ingresses.push(of_ingress(sight, id, &look));
        let Some(facts) = look.facts else { continue };
        let expiries = expiries(facts, id, sight.index);
        let maintained: BTreeSet<&str> = facts.measures.iter().filter_map(|m| maintained(m)).collect();
        let with = Parts { sight, id, look: &look, expiries: &expiries, maintained: &maintained };
        routers.extend(facts.routers.iter().map(|r| with.row("router", r)));
        entrypoints.extend(facts.entrypoints.iter().map(|r| with.row("entrypoint", r)));
    }
    routers.sort_by(|a, b| {
        let errors = |r: &IngressRow| r.share_5xx.unwrap_or(0.0);
        (b.health.cmp(&a.health)).then_with(|| errors(b).total_cmp(&errors(a))).then_with(|| a.name.cmp(&b.name))
    });
    routers.into_iter().chain(entrypoints).chain(ingresses).collect()
}

fn empty(id: &SourceId, scope: &str, name: &str, age_s: Option<f64>) -> IngressRow {
    IngressRow {
        source: id.clone(),
        scope: scope.into(),
        name: name.into(),
        tenant: None,
        claims: None,
        health: Health::Unknown,
        why: String::new(),
        requests_per_s: None,
        share_5xx: None,
        share_4xx: None,
        p50_s: None,
        p95_s: None,
        p99_s: None,
        certificate_days: None,
        reload_ok: None,
        reload_age_s: None,
        maintenance: false,
        behind: Vec::new(),
        owner: None,
        trend: Vec::new(),
        age_s,
    }
}

struct Parts<'a> {
    sight: Sight<'a>,
    id: &'a SourceId,
    look: &'a Look<'a, TraefikFacts>,
    expiries: &'a Expiries,
    maintained: &'a BTreeSet<&'a str>,
}

impl Parts<'_> {
    fn row(&self, scope: &str, route: &Route) -> IngressRow {
        let mut row = empty(self.id, scope, &route.name, self.look.age_s);
        let position = self.sight.index.router(self.id, &route.name).filter(|_| scope == "router");
        row.tenant = position.and_then(|i| self.sight.index.at(i)).map(|t| t.id.clone());
        let foreign = scope == "router" && position.is_none() && !is_measure(&route.name);
        let claimed = foreign.then(|| claims(route, self.id, self.sight.index)).flatten();
        row.claims = claimed.map(|t| t.id.clone());
        row.requests_per_s = route.requests_per_s;
        row.share_5xx = route.share_5xx;
        row.share_4xx = route.share_4xx;
        (row.p50_s, row.p95_s, row.p99_s) = (route.p50_s, route.p95_s, route.p99_s);
        let expiry = position.and_then(|i| self.expiries.tenants.get(&i));
        row.certificate_days = expiry.map(|at| days_until(*at, self.sight.now));
        let measure = scope == "router" && is_measure(&route.name);
        row.maintenance =
            measure || row.tenant.as_ref().is_some_and(|tenant| self.maintained.contains(tenant.as_str()));
        let facts = self.look.facts;
        let service = route.service.as_deref().and_then(|name| facts?.service(name)).filter(|_| scope == "router");
        row.behind = service.map(servers).into_iter().chain(passes(route, facts)).collect();
        let mut verdict = Verdict::new(&self.sight.settings.thresholds);
        match &self.look.unknown {
            Some(why) => verdict.unknown(why.clone()),
            None if measure => verdict.add(Health::Ok, String::new),
            None => {
                verdict.add(Health::Ok, String::new);
                if let Some(fault) = &route.fault {
                    verdict.grade("router.ok", Some(0.0), |_| format!("disabled: {fault}"));
                }
                if let Some((service, up)) = service.and_then(|s| Some((s, s.up()?))) {
                    verdict.grade("service.up", Some(up), |_| servers(service));
                }
                verdict.grade("http.share_5xx", row.share_5xx, |v| format!("5xx {}", say::share(v)));
                verdict.grade("http.p95", row.p95_s, |v| format!("p95 {}", say::span(v)));
                verdict.grade("http.share_4xx", row.share_4xx, |v| format!("4xx {}", say::share(v)));
                verdict.grade("certificate.days", row.certificate_days, |v| {
                    format!("certificate {}", say::value(v, Unit::Days))
                });
            }
        }
        (row.health, row.why) = verdict.end("");
        if measure && row.why.is_empty() {
            row.why = "answers by our own measure".into();
        } else if row.maintenance && row.why.is_empty() {
            row.why = "maintenance page in force".into();
        }
        row
    }
}

/// A service in words: `service t017@file: 1 of 2 servers up, down is http://10.0.0.7:8069`.
pub(in crate::correlate) fn servers(service: &Service) -> String {
    let Service { name, servers, down, fault } = service;
    if let Some(fault) = fault {
        return format!("service {name} is in error: {fault}");
    }
    match (servers, down.as_deref()) {
        (None, _) => format!("service {name} leads to other services"),
        (Some(0), _) => format!("service {name} has no server"),
        (Some(1), None) => format!("service {name}: 1 server, no health check looks at it"),
        (Some(all), None) => format!("service {name}: {all} servers, no health check looks at them"),
        (Some(1), Some([])) => format!("service {name}: its server is up"),
        (Some(all), Some([])) => format!("service {name}: all {all} servers up"),
        (Some(all), Some(down)) => {
            let up = usize::try_from(*all).unwrap_or(usize::MAX).saturating_sub(down.len());
            let named = down.iter().take(4).cloned().collect::<Vec<_>>().join(" ");
            format!("service {name}: {up} of {all} servers up, down: {named}")
        }
    }
}

/// The middlewares that a router's requests pass, a sentence each.
fn passes(route: &Route, facts: Option<&TraefikFacts>) -> Vec<String> {
    let Some(facts) = facts.filter(|facts| facts.version.is_some()) else { return Vec::new() };
    let one = |name: &String| match facts.middleware(name) {
        None => format!("middleware {name} does not exist"),
        Some(Middleware { fault: Some(fault), .. }) => format!("middleware {name} is in error: {fault}"),
        Some(Middleware { kind, .. }) => format!("middleware {name}: {kind}"),
    };
    route.middlewares.iter().map(one).collect()
}

fn of_ingress(sight: Sight<'_>, id: &SourceId, look: &Look<'_, TraefikFacts>) -> IngressRow {
    let mut row = empty(id, "ingress", id.as_str(), look.age_s);
    let mut verdict = Verdict::new(&sight.settings.thresholds);
    if let Some(why) = &look.unknown {
        verdict.unknown(why.clone());
    }
    if let Some(facts) = look.facts {
        let nearest = facts.certificates.iter().map(|c| c.not_after).min();
        row.certificate_days = nearest.map(|at| days_until(at, sight.now));
        row.reload_ok = facts.reload_failed.map(|failed| !failed);
        let since = facts.last_reload_success.map(|at| sight.now.duration_since(at).as_secs_f64().max(0.0));
        row.reload_age_s = since;
        row.requests_per_s = facts.entrypoints.iter().filter_map(|e| e.requests_per_s).reduce(|a, b| a + b);
        row.maintenance = !facts.measures.is_empty();
        row.behind = facts.broken().collect();
        if look.unknown.is_none() {
            verdict.add(Health::Ok, String::new);
            verdict.grade("reload.ok", row.reload_ok.map(|ok| if ok { 1.0 } else { 0.0 }), |_| {
                let why = facts.reload_error.as_ref().map_or_else(String::new, |why| format!(": {why}"));
                format!("the newest configuration is not in force{why}")
            });
            if facts.version.is_some() {
                let broken = u32::try_from(row.behind.len()).unwrap_or(u32::MAX);
                let first = row.behind.first().cloned().unwrap_or_default();
                verdict.grade("ingress.broken", Some(f64::from(broken)), |_| first);
            }
            let named = facts.certificates.iter().min_by_key(|c| c.not_after);
            let name = named.map_or("", |c| c.name.as_str());
            verdict.grade("certificate.days", row.certificate_days, |v| {
                format!("certificate {name} {}", say::value(v, Unit::Days))
            });
        }
    }
    (row.health, row.why) = verdict.end("no answer yet");
    row
}
