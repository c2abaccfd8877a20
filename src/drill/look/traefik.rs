//! Facts of the simulated Traefik.

use crate::domain::facts::traefik::{Certificate, Route, TraefikFacts};
use crate::domain::id::SourceId;
use crate::drill::model::Simulation;
use crate::drill::model::shared::Edge;
use crate::drill::model::tenant::Tenant;

fn route(tenant: &Tenant) -> Route {
    let name = format!("{}@file", tenant.id);
    let whose = if tenant.trouble.misrouted { "retired" } else { tenant.id.as_str() };
    let service = Some(format!("{whose}@file"));
    if tenant.maintenance {
        return Route { name, service, requests_per_s: Some(0.0), ..Route::default() };
    }
    let t = &tenant.traffic;
    Route {
        name,
        service,
        requests_per_s: Some(t.requests),
        share_5xx: Some(t.share_5xx),
        share_4xx: Some(t.share_4xx),
        p50_s: Some(t.p50_s),
        p95_s: Some(t.p95_s),
        p99_s: Some(t.p99_s),
        ..Route::default()
    }
}

/// Name of the router that answers with the maintenance page.
fn page_router(tenant: &Tenant) -> String {
    format!("quarterdeck-maintenance-{}@file", tenant.id)
}

fn page(tenant: &Tenant) -> Route {
    let name = page_router(tenant);
    Route {
        service: Some(name.clone()),
        name,
        requests_per_s: Some(tenant.traffic.requests),
        share_5xx: Some(1.0),
        share_4xx: Some(0.0),
        p50_s: Some(0.002),
        p95_s: Some(0.004),
        p99_s: Some(0.006),
        ..Route::default()
    }
}

pub(super) fn facts(sim: &Simulation, id: &SourceId, edge: &Edge) -> TraefikFacts {
    let tenants = || sim.tenants.iter().filter(|t| t.edge == *id);
    let mut routers: Vec<Route> = tenants().map(route).collect();
    let mut measures: Vec<String> = tenants().filter(|t| t.maintenance).map(page_router).collect();
    measures.extend(tenants().flat_map(|t| t.limits.at_the_ingress(t.id.as_str())));
    routers.extend(tenants().filter(|t| t.maintenance).map(page));
    let (mut requests, mut errors, mut refused, mut slow) = (0.0, 0.0, 0.0, 0.0);
    for route in &routers {
        let rate = route.requests_per_s.unwrap_or(0.0);
        requests += rate;
        errors += rate * route.share_5xx.unwrap_or(0.0);
        refused += rate * route.share_4xx.unwrap_or(0.0);
        slow += rate * route.p95_s.unwrap_or(0.0);
    }
    let share = |sum: f64| (requests > 0.0).then(|| sum / requests);
    let entrypoint = Route {
        name: "websecure".into(),
        requests_per_s: Some(requests),
        share_5xx: share(errors),
        share_4xx: share(refused),
        p50_s: share(slow).map(|s| s * 0.35),
        p95_s: share(slow),
        p99_s: share(slow).map(|s| s * 1.8),
        open_connections: Some(220),
        ..Route::default()
    };
    let mut certificates: Vec<Certificate> = tenants().map(|t| certificate(sim, t)).collect();
    certificates.sort_by(|a, b| a.not_after.cmp(&b.not_after).then_with(|| a.name.cmp(&b.name)));
    TraefikFacts {
        version: Some("3.5.3".into()),
        routers,
        entrypoints: vec![entrypoint],
        last_reload_success: Some(sim.at(edge.reloaded)),
        reload_failed: Some(false),
        reloads: Some(edge.reloads),
        certificates,
        measures,
        ..TraefikFacts::default()
    }
}

fn certificate(sim: &Simulation, tenant: &Tenant) -> Certificate {
    let host = format!("{}.erp.example", tenant.id);
    Certificate { sans: vec![host.clone()], name: host, not_after: sim.at(tenant.certificate.not_after) }
}
