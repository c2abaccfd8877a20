//! What is offered, whom it hurts, and that one trouble is one finding, where several sources tell of it.

use super::support::{Bench, at, pods, tenant, web};
use crate::domain::facts::kubernetes::Running;
use crate::domain::facts::postgres::{PgbouncerFacts, Pool};
use crate::domain::facts::traefik::{Certificate, Middleware, Route, Service, TraefikFacts};
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::finding::{Finding, Level};
use crate::domain::health::Health;
use crate::domain::sample::SourceKind;
use crate::domain::signal::Subject;

fn offered(finding: &Finding) -> Vec<&str> {
    finding.playbooks.iter().map(|p| p.id.as_str()).collect()
}

fn hurt(finding: &Finding) -> Vec<&str> {
    finding.whom.tenants.iter().map(crate::domain::id::TenantId::as_str).collect()
}

/// `edge-1` with the routers of both tenants and one more, which Traefik does not take.
fn broken(hosts: &[&str]) -> Facts {
    let own = |id: &str| Route { name: format!("{id}@file"), ..Route::default() };
    let more = Route {
        name: "broken@file".into(),
        fault: Some("the service \"nowhere@file\" does not exist".into()),
        hosts: hosts.iter().map(|h| (*h).to_owned()).collect(),
        ..Route::default()
    };
    let routers = vec![more, own("t003"), own("t017")];
    Facts::Traefik(TraefikFacts { version: Some("3.7".into()), routers, ..TraefikFacts::default() })
}

#[test]
fn a_router_that_takes_a_tenants_host_is_a_matter_of_that_tenant() {
    let mut bench = Bench::new(vec![tenant("t017", 1), tenant("t003", 2)]);
    bench.see("edge-1", 0, broken(&["t017.example.org", "shop.example.net"]));
    let found = bench.findings(0);
    assert_eq!(found.len(), 1, "{found:#?}");
    let f = &found[0];
    assert_eq!((f.id.as_str(), hurt(f)), ("router-disabled/edge-1/broken@file", vec!["t017"]));
    assert_eq!(offered(f), ["ingress-misroute"]);
    assert_eq!(f.playbooks[0].params["tenant"], "t017");
    assert!(f.what.contains("broken@file at edge-1, which takes the host of t017"), "{}", f.what);
    let said = "Traefik says of broken@file: the service \"nowhere@file\" does not exist";
    assert!(f.because.iter().any(|b| b == said), "{:?}", f.because);
    // The row says whose host it is, and leads to the router's own values.
    let panes = bench.correlator.panes(&bench.world, at(0));
    let row = panes.ingress.iter().find(|r| r.name == "broken@file").unwrap();
    assert_eq!(
        (row.tenant.as_ref(), row.claims.as_ref().map(crate::domain::id::TenantId::as_str)),
        (None, Some("t017"))
    );
    let router = Subject::Router { source: "edge-1".into(), router: "broken@file".into(), tenant: row.claims.clone() };
    assert_eq!(bench.correlator.series(&router, "router.ok"), [0.0]);

    // What people of that tenant suffer is explained by it.
    for second in [10, 70] {
        let Facts::Traefik(mut facts) = broken(&["t017.example.org"]) else { unreachable!() };
        facts.routers[2].requests_per_s = Some(9.0);
        facts.routers[2].share_5xx = Some(0.4);
        bench.see("edge-1", second, Facts::Traefik(facts));
    }
    let found = bench.findings(70);
    assert_eq!((found.len(), found[0].rule.as_str(), found[0].level), (1, "router-disabled", Level::Incident));
    assert_eq!(offered(&found[0]), ["ingress-misroute", "maintenance-mode"]);
}

#[test]
fn a_router_for_several_tenants_hurts_them_all_and_one_for_nobody_nobody() {
    for (hosts, expected) in [
        (&["t003.example.org", "t017.example.org"][..], &["t017", "t003"][..]),
        (&["elsewhere.example.org"], &[]),
        (&[], &[]),
    ] {
        let mut bench = Bench::new(vec![tenant("t017", 1), tenant("t003", 2)]);
        bench.see("edge-1", 0, broken(hosts));
        let found = bench.findings(0);
        assert_eq!((found.len(), hurt(&found[0])), (1, expected.to_vec()), "{found:#?}");
        let panes = bench.correlator.panes(&bench.world, at(0));
        assert!(panes.ingress.iter().all(|r| r.claims.is_none()), "not one tenant's alone");
    }
}

#[test]
fn a_full_pool_after_a_deploy_leads_to_the_pool_before_the_rollback() {
    let mut bench = Bench::with(vec![tenant("t017", 1)], &[("pool", SourceKind::Pgbouncer)]);
    bench.see("k8s-1", 0, pods("t017", "odoo:r118", Some(at(-780)), 4));
    for second in (0..=240).step_by(10) {
        let waiting = if second == 0 { 0 } else { 25 };
        let pool = Pool { database: "t017".into(), clients_waiting: waiting, ..Pool::default() };
        bench.see("pool", second, Facts::Pgbouncer(PgbouncerFacts { pools: vec![pool], ..PgbouncerFacts::default() }));
        bench.see("edge-1", second, web("t017@file", Some(if second == 0 { 0.0 } else { 0.3 }), None));
    }
    let found = bench.findings(240);
    assert_eq!((found.len(), found[0].rule.as_str(), found[0].level), (1, "pool-wait", Level::Incident));
    assert_eq!(offered(&found[0]), ["db-saturation", "release-rollback", "maintenance-mode"]);
}

/// What a probe of the tenant's front tells.
fn front(days: f64) -> Facts {
    let tenant = Some("t017".into());
    let subject = Subject::Endpoint { source: "front".into(), endpoint: "t017.example.org:443".into(), tenant };
    let mut facts = MeasuredFacts::of(SourceKind::Probe);
    let good = f64::from(u8::from(days > 0.0));
    facts.measure(&subject, "certificate.days", days);
    facts.measure(&subject, "certificate.valid", good);
    facts.measure(&subject, "probe.ok", good);
    Facts::Measured(facts)
}

#[test]
fn an_expired_certificate_is_one_finding_also_where_traefik_tells_of_the_one_before() {
    let mut bench = Bench::with(vec![tenant("t017", 1)], &[("front", SourceKind::Probe)]);
    let before = Certificate { name: "t017.example.org".into(), sans: vec![], not_after: at(19 * 86_400) };
    let edge = |bench: &mut Bench, second| {
        let facts = TraefikFacts { certificates: vec![before.clone()], ..TraefikFacts::default() };
        bench.see("edge-1", second, Facts::Traefik(facts));
    };
    edge(&mut bench, 0);
    bench.see("front", 0, front(19.0));
    let found = bench.findings(0);
    assert_eq!((found.len(), found[0].severity), (1, Health::Warn), "{found:#?}");
    assert_eq!(offered(&found[0]), ["certificate-renewal"]);
    for second in (10..=90).step_by(10) {
        edge(&mut bench, second);
        bench.see("front", second, front(-1.0));
    }
    let found = bench.findings(90);
    assert_eq!(found.len(), 1, "{found:#?}");
    let f = &found[0];
    assert_eq!((f.rule.as_str(), f.level, f.severity), ("certificate", Level::Incident, Health::Critical));
    assert!(f.what.contains("t017.example.org:443 expired 1.0 d ago"), "{}", f.what);
    assert!(f.what.contains("does not answer as it should"), "{}", f.what);
    assert_eq!((offered(f), hurt(f)), (vec!["certificate-renewal"], vec!["t017"]));
}

#[test]
fn servers_behind_a_router_that_are_down_are_a_matter_of_its_tenant_and_name_themselves() {
    let mut bench = Bench::new(vec![tenant("t017", 1), tenant("t003", 2)]);
    let seen = |down: &[&str], checked: bool| {
        let route = |id: &str| Route {
            name: format!("{id}@file"),
            service: Some(format!("{id}@file")),
            middlewares: vec!["calm@file".into(), "gone@file".into()],
            ..Route::default()
        };
        let service = |id: &str, down: Vec<String>| Service {
            name: format!("{id}@file"),
            servers: Some(2),
            down: checked.then_some(down),
            fault: None,
        };
        let middleware = |name: &str, fault: Option<&str>| Middleware {
            name: name.into(),
            kind: "ratelimit".into(),
            fault: fault.map(str::to_owned),
        };
        Facts::Traefik(TraefikFacts {
            version: Some("3.7".into()),
            routers: vec![route("t003"), route("t017")],
            services: vec![
                service("t003", Vec::new()),
                service("t017", down.iter().map(|d| (*d).to_owned()).collect()),
            ],
            middlewares: vec![middleware("bad@file", Some("cannot parse CIDRs")), middleware("calm@file", None)],
            ..TraefikFacts::default()
        })
    };
    for second in [0, 10, 20, 30, 40] {
        bench.see("edge-1", second, seen(&["http://10.0.0.7:8069"], true));
    }
    let found = bench.findings(40);
    let of = |rule: &str| found.iter().find(|f| f.rule == rule).unwrap_or_else(|| panic!("{rule}: {found:#?}"));
    let down = of("servers-down");
    assert_eq!((hurt(down), down.severity), (vec!["t017"], Health::Warn));
    let words = "service t017@file: 1 of 2 servers up, down: http://10.0.0.7:8069";
    assert!(down.because.iter().any(|b| b == words), "{:?}", down.because);
    let broken = of("ingress-broken");
    assert!(broken.because.iter().any(|b| b == "middleware bad@file is in error: cannot parse CIDRs"), "{broken:#?}");
    assert_eq!(broken.level, Level::Note, "nothing that people use need be concerned");
    let panes = bench.correlator.panes(&bench.world, at(40));
    let row = panes.ingress.iter().find(|r| r.name == "t017@file").unwrap();
    assert_eq!(row.behind, [words, "middleware calm@file: ratelimit", "middleware gone@file does not exist"]);
    assert_eq!((row.health, row.why.as_str()), (Health::Warn, words));
    // Both down is critical; without a health check nobody knows, and nothing is said to be well.
    bench.see("edge-1", 50, seen(&["http://a", "http://b"], true));
    for second in [60, 70, 80, 90] {
        bench.see("edge-1", second, seen(&["http://a", "http://b"], true));
    }
    assert_eq!(bench.findings(90).iter().find(|f| f.rule == "servers-down").unwrap().severity, Health::Critical);
    let mut blind = Bench::new(vec![tenant("t017", 1), tenant("t003", 2)]);
    blind.see("edge-1", 0, seen(&[], false));
    let t017 = Subject::Tenant { tenant: "t017".into() };
    assert!(blind.correlator.series(&t017, "service.up").is_empty());
}

#[test]
fn a_tag_that_has_moved_is_a_change_at_once_and_a_finding_while_both_run() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    let seen = |digests: &[(&str, u32)]| {
        let Facts::Kubernetes(mut facts) = pods("t017", "registry.example/odoo:r118", Some(at(-90_000)), 4) else {
            unreachable!()
        };
        facts.workloads[0].runs = digests
            .iter()
            .map(|(digest, pods)| Running {
                image: "registry.example/odoo:r118".into(),
                digest: format!("sha256:{digest}"),
                pods: *pods,
            })
            .collect();
        Facts::Kubernetes(facts)
    };
    let (old, new) = ("3f2c1ab90000aaaa", "77aa00bb1111cccc");
    bench.see("k8s-1", 0, seen(&[(old, 4)]));
    assert!(bench.findings(0).is_empty());
    let row = bench.correlator.panes(&bench.world, at(0)).tenants.remove(0);
    assert_eq!((row.image.as_deref(), row.digest.as_deref()), (Some("r118"), Some("3f2c1ab90000")));
    for second in (10..=330).step_by(10) {
        bench.see("k8s-1", second, seen(&[(old, 3), (new, 1)]));
    }
    let found = bench.findings(330);
    let f = found.iter().find(|f| f.rule == "image-moved").unwrap_or_else(|| panic!("{found:#?}"));
    assert!(f.because.iter().any(|b| b == "3 pods of odoo run r118 as 3f2c1ab90000"), "{:?}", f.because);
    assert!(f.because.iter().any(|b| b == "1 pods of odoo run r118 as 77aa00bb1111"), "{:?}", f.because);
    assert_eq!(f.changed[0].what, "tag r118 of web has moved: 77aa00bb1111 runs under it now", "{:?}", f.changed);
    assert_eq!(hurt(f), ["t017"]);
    let row = bench.correlator.panes(&bench.world, at(330)).tenants.remove(0);
    assert_eq!(row.digest, None, "there is not one that could be told");
}

#[test]
fn what_reaches_further_than_was_approved_is_an_alert_that_names_it() {
    let mut bench = Bench::with(vec![tenant("t017", 1)], &[("pg-a/baseline", SourceKind::Baseline)]);
    let subject = Subject::Instance { source: "pg-a".into() };
    let seen = |drift: f64, gains: Option<f64>| {
        let mut facts = MeasuredFacts::of(SourceKind::Baseline);
        facts.measure(&subject, "baseline.drift", drift);
        match gains {
            Some(gains) => facts.measure(&subject, "baseline.gains", gains),
            None => facts.untell(&subject, "baseline.gains", "these can not be read: roles"),
        }
        facts.said.push("role mallory is not approved: login superuser".into());
        Facts::Measured(facts)
    };
    bench.see("pg-a/baseline", 0, seen(1.0, Some(0.0)));
    assert_eq!(bench.findings(0)[0].level, Level::Note, "what only differs is a note");
    bench.see("pg-a/baseline", 10, seen(2.0, Some(1.0)));
    let found = bench.findings(10);
    let f = found.iter().find(|f| f.rule == "baseline-drift").unwrap();
    assert_eq!((f.level, f.severity), (Level::Alert, Health::Critical));
    assert!(f.because.iter().any(|b| b == "role mallory is not approved: login superuser"), "{:?}", f.because);
    // In the pane of security, with its words on the sheet of its source; what can not be read is no zero.
    bench.see("pg-a/baseline", 20, seen(1.0, None));
    let panes = bench.correlator.panes(&bench.world, at(20));
    let row = panes.security.iter().find(|r| r.subject == subject).unwrap();
    assert_eq!(row.health, Health::Unknown, "{row:#?}");
    let source = panes.sources.iter().find(|s| s.id.as_str() == "pg-a/baseline").unwrap();
    assert_eq!(source.said, ["role mallory is not approved: login superuser"]);
}
