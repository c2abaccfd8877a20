//! The whole verb against a Traefik that the test starts: a real request tells whether the page is up.

use super::*;
use crate::act::http::Probe;
use crate::domain::estate::{Environment, Estate, Tenancy};
use crate::domain::id::{Digest, SourceId};
use crate::domain::mode::Mode;
use crate::domain::world::World;
use crate::observe::http::rig::until;
use crate::observe::traefik::lab::{HOST, LIMIT, Private, done, facts, get, observer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

pub(in crate::act) fn estate(host: &str) -> Estate {
    let router = RouterRef { ingress: SourceId::from("edge-1"), name: "t017@file".into(), host: host.into() };
    let tenant = |id: &str, router| Tenant {
        id: id.into(),
        name: "Weber".into(),
        tenancy: Tenancy::Dedicated,
        criticality: 1,
        plants: Vec::new(),
        cutoffs: Vec::new(),
        database: None,
        namespace: None,
        router,
    };
    Estate {
        name: "lab".into(),
        environment: Environment::Development,
        time_zone: "UTC".into(),
        tenants: vec![tenant("t017", Some(router)), tenant("t099", None)],
    }
}

pub(in crate::act) fn render(
    verb: &dyn Verb<Permit = Authorized>,
    estate: &Estate,
    args: &[(&str, Value)],
) -> Result<Request, VerbError> {
    let args: BTreeMap<String, Value> = args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    let now = jiff::Timestamp::UNIX_EPOCH;
    let world = World::new(Arc::new(estate.clone()), [], now);
    verb.render(&RenderContext { estate, world: &world, now, args: &args, surveyed: None })
}

pub(super) fn permit(request: &Request) -> Authorized {
    Authorized::for_test(request.clone(), Digest::from_bytes(&[0; 32]), Duration::from_secs(10))
}

fn config(dir: &std::path::Path) -> Config {
    Config {
        id: SourceId::from("edge-1"),
        metrics: "http://127.0.0.1:1/metrics".into(),
        api: None,
        dynamic_dir: Some(dir.to_owned()),
        maintenance_url: Some("http://127.0.0.1:1".into()),
        probe_url: Some("http://127.0.0.1:1".into()),
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_secs(1),
    }
}

fn pair(config: Config) -> (Maintenance, Maintenance) {
    let may = Mode::Live.may_act().unwrap();
    let all = [config];
    (Maintenance::on(may, &all), Maintenance::off(may, &all))
}

fn args() -> Vec<(&'static str, Value)> {
    vec![("tenant", json!("t017"))]
}

#[tokio::test]
async fn the_page_goes_up_and_down_for_real_requests() {
    let Some(private) = Private::start("the_page_goes_up_and_down").await else { return };
    let config = private.config();
    let probe = Probe::new(Mode::Live.may_act().unwrap(), std::slice::from_ref(&config));
    let (on, off) = pair(config.clone());
    let estate = estate(HOST);
    let look = render(&probe, &estate, &[("tenant", json!("t017")), ("path", json!("/web/login?db=t017"))]).unwrap();
    let status = async || done(probe.look(&look)).await.0["status"].as_u64().unwrap();
    assert_eq!(status().await, 200);

    let request = render(&on, &estate, &args()).unwrap();
    assert!(on.dry_run(&request, None).await.unwrap().starts_with("would create"));
    assert!(matches!(on.reconcile(&request).await, Reconciled::NoEffect { .. }));
    let (result, _) = done(on.execute(permit(&request))).await;
    assert_eq!(result["changed"], true);
    assert!(matches!(on.reconcile(&request).await, Reconciled::TookEffect { .. }));
    until("the page is up", LIMIT, async || (status().await == 503).then_some(())).await;
    let (_, page) = get(&format!("{}/any/where", private.web), HOST).await.unwrap();
    assert!(page.contains("Maintenance"), "{page}");
    let mut observer = observer(config);
    let seen = until("both routers are in force", LIMIT, async || {
        let seen = facts(&mut observer).await.unwrap();
        (seen.measures.len() == 2).then_some(seen)
    })
    .await;
    assert_eq!(seen.measures, ["quarterdeck-maintenance-t017@file", "quarterdeck-tls-maintenance-t017@file"]);

    let request = render(&off, &estate, &args()).unwrap();
    assert!(off.dry_run(&request, None).await.unwrap().starts_with("would remove"));
    assert_eq!(done(off.execute(permit(&request))).await.0["changed"], true);
    assert!(matches!(off.reconcile(&request).await, Reconciled::TookEffect { .. }));
    until("the tenant answers again", LIMIT, async || (status().await == 200).then_some(())).await;
    until("no measure is in force", LIMIT, async || {
        facts(&mut observer).await.unwrap().measures.is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn requests_over_tls_get_the_page_too_and_a_path_of_its_url() {
    let Some(private) = Private::start("requests_over_tls").await else { return };
    let config = Config {
        maintenance_url: Some(format!("{}/down.html", private.maintenance.url())),
        probe_url: Some(private.secure.clone()),
        ca: private.ca().into(),
        ..private.config()
    };
    let probe = Probe::new(Mode::Live.may_act().unwrap(), std::slice::from_ref(&config));
    let (on, _) = pair(config);
    let estate = estate(HOST);
    let look = render(&probe, &estate, &[("tenant", json!("t017")), ("path", json!("/web"))]).unwrap();
    assert_eq!(done(probe.look(&look)).await.0["status"], 200);
    done(on.execute(permit(&render(&on, &estate, &args()).unwrap()))).await;
    let (answer, summary) = until("the page is up over TLS", LIMIT, async || {
        let (answer, summary) = done(probe.look(&look)).await;
        (answer["status"] == 503).then_some((answer, summary))
    })
    .await;
    assert_eq!(answer["body_start"], "<h1>Maintenance</h1> GET /down.html HTTP/1.1");
    assert!(summary.starts_with("503 in ") && summary.ends_with(" ms"), "{summary}");
}

#[tokio::test]
async fn operators_from_allowed_networks_still_reach_the_tenant() {
    let Some(private) = Private::start("operators_from_allowed_networks").await else { return };
    let (on, off) = pair(private.config());
    let estate = estate(HOST);
    for (network, reached) in [("192.0.2.0/24", 503), ("192.0.2.0/24, 127.0.0.0/8", 200)] {
        let mut args = args();
        args.push(("allow_from", json!(network)));
        let request = render(&on, &estate, &args).unwrap();
        assert!(request.hurts.contains(network), "{}", request.hurts);
        done(on.execute(permit(&request))).await;
        let mut observer = observer(private.config());
        until("the routers are in force", LIMIT, async || {
            (facts(&mut observer).await.unwrap().measures.len() == 2).then_some(())
        })
        .await;
        assert_eq!(get(&private.web, HOST).await.unwrap().0, reached, "{network}");
        done(off.execute(permit(&render(&off, &estate, &self::args()).unwrap()))).await;
        until("they are gone", LIMIT, async || facts(&mut observer).await.unwrap().measures.is_empty().then_some(()))
            .await;
    }
}

#[test]
fn what_is_shown_is_what_is_written() {
    let (on, off) = pair(config(std::path::Path::new("/etc/traefik/dynamic")));
    let estate = estate(HOST);
    let request = render(&on, &estate, &args()).unwrap();
    assert_eq!(render(&on, &estate, &args()).unwrap(), request, "the same twice");
    assert_eq!(request.operation.lines()[0], "write /etc/traefik/dynamic/quarterdeck-maintenance-t017.yml");
    assert_eq!(request.target.object, "router t017@file for host t017.example");
    assert_eq!((request.target.count, request.target.tenants.len()), (1, 1));
    assert!(request.undo.starts_with("traefik.maintenance_off"));
    let Operation::File { content: Some(content), .. } = &request.operation else { panic!("{request:?}") };
    assert!(request.by_hand.contains(content.as_str()));
    let request = render(&off, &estate, &args()).unwrap();
    assert_eq!(request.by_hand, "rm '/etc/traefik/dynamic/quarterdeck-maintenance-t017.yml'");
    assert!(request.undo.starts_with("traefik.maintenance_on"));
}

#[test]
fn what_can_not_be_rendered_is_a_sentence() {
    let dir = std::path::Path::new("/d");
    let says = |config: Config, host: &str, args: &[(&str, Value)]| {
        render(&pair(config).0, &estate(host), args).unwrap_err().message
    };
    assert!(says(config(dir), HOST, &[]).contains("the argument tenant"));
    assert_eq!(says(config(dir), HOST, &[("tenant", json!("t1"))]), "there is no tenant t1");
    assert!(says(config(dir), HOST, &[("tenant", json!("t099"))]).contains("has no router"));
    assert!(says(config(dir), "a`)", &args()).contains("is no host name"));
    assert!(says(Config { dynamic_dir: None, ..config(dir) }, HOST, &args()).contains("has no dynamic_dir"));
    assert!(says(Config { maintenance_url: None, ..config(dir) }, HOST, &args()).contains("has no maintenance_url"));
    assert!(says(Config { id: "other".into(), ..config(dir) }, HOST, &args()).contains("no [[traefik]]"));
}

#[tokio::test]
async fn a_request_for_another_file_or_verb_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (on, off) = pair(config(dir.path()));
    let good = render(&on, &estate(HOST), &args()).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for path in [
        outside.path().join("quarterdeck-maintenance-t017.yml"),
        dir.path().join("base.yml"),
        dir.path().join("sub/../../quarterdeck-maintenance-t017.yml"),
    ] {
        let content = Some("x".to_owned());
        let operation = Operation::File { path: path.display().to_string(), content };
        wrong.push(Request { operation, ..good.clone() });
    }
    wrong.push(Request { verb: "traefik.other".into(), ..good.clone() });
    wrong.push(render(&off, &estate(HOST), &args()).unwrap());
    for request in wrong {
        let outcome = on.execute(permit(&request)).await;
        assert!(matches!(&outcome, Outcome::Failed { why } if why.message.contains("refused")), "{outcome:?}");
        assert!(on.dry_run(&request, None).await.is_err());
    }
    assert!(matches!(on.look(&good).await, Outcome::Failed { .. }), "an acting verb is no look");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn read_only_and_drill_can_not_have_these_verbs() {
    assert!(Mode::ReadOnly.may_act().is_none() && Mode::Drill.may_act().is_none());
    let built = verbs(Mode::Live.may_act().unwrap(), &[]);
    let names: Vec<_> = built.iter().map(|v| v.spec().name).collect();
    assert_eq!(names, SPECS.iter().map(|s| s.name).collect::<Vec<_>>());
    assert!(built.iter().all(|v| v.spec().risk_floor == Risk::Medium && !v.spec().read_only));
}
