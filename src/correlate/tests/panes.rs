use super::support::{Bench, at, chain, jobs, pods, tenant, web};
use crate::correlate::panes::health;
use crate::domain::facts::odoo::Crons;
use crate::domain::facts::traefik::TraefikFacts;
use crate::domain::facts::{Facts, KubernetesFacts, OdooFacts};
use crate::domain::health::Health;
use crate::domain::pane::{Panes, QueueRow};

fn panes(bench: &Bench, second: i64) -> Panes {
    bench.correlator.panes(&bench.world, at(second))
}

fn healthy(bench: &mut Bench, second: i64) {
    bench.see("pg-a", second, chain("t017", 0, 0.0));
    bench.see("edge-1", second, web("t017@file", Some(0.0), Some(0.3)));
    bench.see("k8s-1", second, pods("t017", "odoo:r118", Some(at(-60)), 4));
    bench.see("odoo/t017", second, jobs(3, Some(4.0), 0));
}

#[test]
fn nothing_observed_is_unknown_everywhere_and_says_why() {
    let bench = Bench::new(vec![tenant("t017", 1)]);
    let panes = panes(&bench, 1);
    assert_eq!((panes.tenants[0].health, panes.databases[0].health), (Health::Unknown, Health::Unknown));
    assert_eq!(panes.tenants[0].why, "pg-a: no answer from sim yet");
    assert!(panes.sources.iter().all(|s| s.health == Health::Unknown && s.why.is_some()));
    assert_eq!((panes.queues.len(), panes.ingress.len()), (1, 1));
    assert_eq!(health(&panes), Health::Unknown);
}

#[test]
fn a_healthy_estate_is_green_and_silent_about_it() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    healthy(&mut bench, 0);
    let panes = panes(&bench, 5);
    assert_eq!(health(&panes), Health::Ok, "{panes:#?}");
    let row = &panes.tenants[0];
    assert_eq!((row.why.as_str(), row.web, row.image.as_deref()), ("", Some((4, 4)), Some("r118")));
    assert_eq!((row.blocked, row.queue_depth, row.image_age_s, row.age_s), (Some(0), Some(3), Some(65.0), Some(5.0)));
}

#[test]
fn one_silent_source_takes_the_green_and_leaves_the_last_values() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    healthy(&mut bench, 0);
    bench.fail("pg-a", 10);
    let panes = panes(&bench, 11);
    let (row, instance) = (&panes.tenants[0], &panes.databases[0]);
    assert_eq!((row.health, instance.health), (Health::Unknown, Health::Unknown));
    assert!(row.why.contains("no answer within 2 s"), "{}", row.why);
    assert_eq!((row.blocked, instance.connections, instance.age_s), (Some(0), Some(30), Some(11.0)));
    assert_eq!(health(&panes), Health::Unknown);
}

#[test]
fn the_worst_thing_is_said_and_the_worst_tenant_stands_first() {
    let mut bench = Bench::new(vec![tenant("t003", 1), tenant("t017", 3)]);
    healthy(&mut bench, 0);
    bench.see("pg-a", 1, chain("t017", 41, 62.0));
    bench.see("edge-1", 1, web("t017@file", Some(0.12), Some(8.4)));
    let panes = panes(&bench, 2);
    let row = &panes.tenants[0];
    assert_eq!((row.id.as_str(), row.health, row.why.as_str()), ("t017", Health::Critical, "41 blocked, oldest 62 s"));
    assert_eq!(panes.tenants[1].health, Health::Unknown, "t003 has no Deployment and no answer of its Odoo");
    let instance = &panes.databases[0];
    assert_eq!((instance.role.as_str(), instance.blocked, instance.locks.len()), ("primary", Some(41), 42));
    assert_eq!((instance.locks[0].pid, instance.locks[0].waiting_behind), (4711, 41));
}

#[test]
fn a_missing_deployment_is_not_green() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    healthy(&mut bench, 0);
    bench.see("k8s-1", 1, Facts::Kubernetes(KubernetesFacts::default()));
    let row = &panes(&bench, 2).tenants[0];
    assert_eq!((row.health, row.why.as_str()), (Health::Unknown, "Deployment odoo was not found"));
}

#[test]
fn a_maintenance_page_is_told_and_its_errors_are_meant() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    healthy(&mut bench, 0);
    let Facts::Traefik(mut facts) = web("quarterdeck-maintenance-t017@file", Some(1.0), None) else { unreachable!() };
    facts.routers.extend(TraefikFacts::default().routers);
    facts.measures = vec!["quarterdeck-maintenance-t017@file".into()];
    bench.see("edge-1", 1, Facts::Traefik(facts));
    let panes = panes(&bench, 2);
    assert_eq!((panes.tenants[0].health, panes.tenants[0].why.as_str()), (Health::Warn, "maintenance page in force"));
    assert!(panes.ingress[0].maintenance && panes.ingress[0].health == Health::Ok);
    assert!(bench.findings(100).iter().all(|f| f.rule != "http-errors"));
}

#[test]
fn a_disabled_router_is_critical_and_says_why() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    healthy(&mut bench, 0);
    let Facts::Traefik(mut facts) = web("t017@file", None, None) else { unreachable!() };
    facts.routers[0].fault = Some("the service \"t017@file\" does not exist".into());
    bench.see("edge-1", 1, Facts::Traefik(facts));
    let panes = panes(&bench, 2);
    assert_eq!((panes.tenants[0].health, panes.ingress[0].health), (Health::Critical, Health::Critical));
    assert!(panes.ingress[0].why.starts_with("disabled: the service"), "{}", panes.ingress[0].why);
    let found = bench.findings(2);
    assert_eq!(found[0].id.as_str(), "router-disabled/t017");
}

#[test]
fn an_odoo_without_queue_says_so() {
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    let facts = OdooFacts { crons: Some(Crons::default()), ..OdooFacts::default() };
    bench.see("odoo/t017", 0, Facts::Odoo(facts));
    let QueueRow::Channel(row) = &panes(&bench, 1).queues[0] else { panic!() };
    assert_eq!((row.channel.as_str(), row.health, row.depth), ("", Health::Ok, None));
    assert!(row.why.contains("queue_job is not installed"));
}

#[test]
fn what_may_not_be_read_of_an_odoo_is_unknown_and_never_good() {
    let mut lone = tenant("t017", 1);
    (lone.database, lone.namespace, lone.router) = (None, None, None);
    let mut bench = Bench::new(vec![lone]);
    let crons = || Some(Crons { active: 30, ..Crons::default() });
    let cases = [
        (OdooFacts { crons: crons(), queue_unseen: true, ..OdooFacts::default() }, "jobs can not be seen"),
        (OdooFacts { channels: Some(Vec::new()), ..OdooFacts::default() }, "crons can not be seen"),
    ];
    for (second, (facts, why)) in (0..).step_by(10).zip(cases) {
        bench.see("odoo/t017", second, Facts::Odoo(facts));
        let panes = panes(&bench, second);
        let QueueRow::Channel(row) = &panes.queues[0] else { panic!() };
        assert_eq!(row.health, Health::Unknown, "{}", row.why);
        assert!(row.why.starts_with(why), "{}", row.why);
        assert_eq!(panes.tenants[0].health, Health::Unknown);
        assert!(panes.tenants[0].why.starts_with(why), "{}", panes.tenants[0].why);
    }
}

#[test]
fn rows_say_who_owns_them_what_was_agreed_and_for_how_long_they_hurt() {
    use crate::correlate::{Correlator, Settings};
    use crate::domain::estate::{Process, Service, Terms};
    let mut bench = Bench::new(vec![tenant("t017", 1)]);
    let service = |id: &str, owner: &str| Service {
        id: id.into(),
        owner: Some(owner.into()),
        region: None,
        slo: None,
        depends_on: Vec::new(),
    };
    let process = |what: &str, rto_s| Process { what: what.into(), rto_s: Some(rto_s), rpo_s: Some(300) };
    let terms = Terms {
        owner: Some("team erp".into()),
        slo: Some(0.99),
        processes: vec![process("order entry", 1800), process("receiving", 900)],
    };
    let settings = Settings {
        services: vec![service("pg-a", "dba"), service("edge-1", "network")],
        terms: [("t017".into(), terms)].into(),
        ..Settings::default()
    };
    bench.correlator = Correlator::new(settings, &bench.world.estate.clone(), jiff::tz::db());
    bench.see("pg-a", 0, chain("t017", 41, 90.0));
    for second in (0..400).step_by(10) {
        bench.see("edge-1", second, web("t017@file", Some(0.2), Some(0.3)));
        bench.look(second);
    }
    let panes = bench.correlator.panes(&bench.world, at(400));
    let row = &panes.tenants[0];
    assert_eq!((row.owner.as_deref(), row.rto_s, row.rpo_s), (Some("team erp"), Some(900), Some(300)));
    assert!(row.hurt_since.is_some_and(|since| since <= at(60)), "{:?}", row.hurt_since);
    assert!((row.burn.unwrap() - 20.0).abs() < 0.5, "20% of failures burn 1% twenty times too fast: {:?}", row.burn);
    assert!(!row.trend.is_empty() && panes.databases[0].trend.len() == 1);
    assert_eq!(panes.databases[0].owner.as_deref(), Some("dba"));
    let router = panes.ingress.iter().find(|r| r.scope == "router").unwrap();
    assert_eq!(router.owner.as_deref(), Some("team erp"), "the tenant's owner before that of the ingress");
    let ingress = panes.ingress.iter().find(|r| r.scope == "ingress").unwrap();
    assert_eq!(ingress.owner.as_deref(), Some("network"));
}
