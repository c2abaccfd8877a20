//! Limits before a Traefik that the test starts: real requests tell what is in force.

use super::tests::{estate, permit};
use super::*;
use crate::domain::mode::Mode;
use crate::domain::ports::Survey;
use crate::domain::world::World;
use crate::observe::http::rig::until;
use crate::observe::traefik::lab::{HOST, LIMIT, Private, done, get};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) type Boxed = Box<dyn Verb<Permit = Authorized>>;

pub(super) fn verb(config: &Config, name: &str) -> Boxed {
    let all = verbs(Mode::Live.may_act().unwrap(), std::slice::from_ref(config));
    all.into_iter().find(|v| v.spec().name == name).unwrap()
}

pub(super) async fn prepare(verb: &Boxed, args: &[(&str, Value)]) -> Result<Request, VerbError> {
    let mut args: BTreeMap<String, Value> = args.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
    args.insert("tenant".into(), json!("t017"));
    let estate = Arc::new(estate(HOST));
    let asked = Survey { estate: estate.clone(), args: args.clone() };
    let surveyed = match verb.survey(&asked) {
        Some(reading) => Some(reading.await.map_err(|why| VerbError::new(why.message))?),
        None => None,
    };
    let now = jiff::Timestamp::UNIX_EPOCH;
    let world = World::new(estate.clone(), [], now);
    verb.render(&RenderContext { estate: &estate, world: &world, now, args: &args, surveyed: surveyed.as_ref() })
}

async fn set(verb: &Boxed, args: &[(&str, Value)]) -> Request {
    let request = prepare(verb, args).await.unwrap();
    assert!(verb.dry_run(&request, None).await.unwrap().starts_with("would "));
    assert!(matches!(verb.reconcile(&request).await, Reconciled::NoEffect { .. }));
    assert_eq!(done(verb.execute(permit(&request))).await.0["changed"], true);
    assert!(matches!(verb.reconcile(&request).await, Reconciled::TookEffect { .. }));
    request
}

#[tokio::test]
async fn limits_stand_side_by_side_and_are_lifted_one_by_one() {
    let Some(private) = Private::start("limits_stand_side_by_side").await else { return };
    let config = private.config();
    let (rate, flight) = (verb(&config, "traefik.rate_limit"), verb(&config, "traefik.in_flight_limit"));
    let web = private.web.clone();
    let statuses = async || {
        let mut seen = BTreeMap::new();
        for _ in 0..12 {
            *seen.entry(get(&web, HOST).await.unwrap().0).or_insert(0) += 1;
        }
        seen
    };
    let request = set(&rate, &[("average", json!(1)), ("burst", json!(2))]).await;
    assert!(request.target.object.ends_with("the file now: absent"), "{}", request.target.object);
    until("the limit is in force", LIMIT, async || statuses().await.contains_key(&429).then_some(())).await;
    let second = set(&flight, &[("amount", json!(100)), ("per", json!("client"))]).await;
    let text = std::fs::read_to_string(private.dynamic("quarterdeck-limits-t017.yml")).unwrap();
    assert!(text.contains("inFlightReq") && text.contains("rateLimit"), "{text}");
    until("both are in force", LIMIT, async || {
        let api = get(&format!("{}/api/http/routers/quarterdeck-limits-t017@file", private.admin), "x").await.ok()?;
        api.1.contains("quarterdeck-in-flight-limit-t017@file").then_some(())
    })
    .await;
    assert!(statuses().await.contains_key(&429), "the first still holds");
    assert!(
        prepare(&flight, &[("amount", json!(100)), ("per", json!("client"))])
            .await
            .unwrap_err()
            .message
            .contains("already")
    );

    // Somebody else changed the file between rendering and executing.
    let lift = prepare(&rate, &[("lift", json!(true))]).await.unwrap();
    set(&flight, &[("lift", json!("true"))]).await;
    let late = rate.execute(permit(&lift)).await;
    assert!(matches!(&late, Outcome::Failed { why } if why.message.contains("is another than was shown")), "{late:?}");
    // The file is what it was before that limit came.
    assert!(matches!(flight.reconcile(&second).await, Reconciled::NoEffect { .. }));
    set(&rate, &[("lift", json!(true))]).await;
    assert!(!private.dynamic("quarterdeck-limits-t017.yml").exists());
    until("nothing limits any more", LIMIT, async || (statuses().await == BTreeMap::from([(200, 12)])).then_some(()))
        .await;
    assert!(
        prepare(&rate, &[("lift", json!(true))]).await.unwrap_err().message.contains("no rate_limit of t017 to lift")
    );
}

#[tokio::test]
async fn a_breaker_opens_and_requests_go_where_they_are_sent() {
    let Some(private) = Private::start("a_breaker_opens").await else { return };
    let config = private.config();
    let breaker = verb(&config, "traefik.circuit_breaker");
    set(&breaker, &[("share", json!(0.3))]).await;
    let status = async |path: &str| get(&format!("{}{path}", private.web), HOST).await.unwrap().0;
    until("the breaker opens after failures", LIMIT, async || {
        status("/500").await;
        (status("/").await == 503).then_some(())
    })
    .await;
    set(&breaker, &[("lift", json!(true))]).await;
    until("it is gone", LIMIT, async || (status("/").await == 200).then_some(())).await;

    let other = format!(
        "http:\n  services:\n    other: {{loadBalancer: {{servers: [{{url: '{}'}}]}}}}\n",
        private.maintenance.url()
    );
    std::fs::write(private.dynamic("other.yml"), other).unwrap();
    let priority = verb(&config, "traefik.route_priority");
    set(&priority, &[("priority", json!(5000)), ("service", json!("other@file"))]).await;
    until("the route is another", LIMIT, async || (status("/").await == 503).then_some(())).await;
    let weight = verb(&config, "traefik.weight_region");
    set(&weight, &[("weights", json!("t017@file=1,other@file=0"))]).await;
    until("the weights decide", LIMIT, async || (status("/").await == 200).then_some(())).await;
    set(&priority, &[("lift", json!(true))]).await;
    set(&weight, &[("lift", json!(true))]).await;
    assert_eq!(status("/").await, 200);
}

#[tokio::test]
async fn what_can_not_be_set_is_a_sentence_and_others_files_are_left_alone() {
    let Some(private) = Private::start("what_can_not_be_set").await else { return };
    let config = private.config();
    for (name, args, words) in [
        ("traefik.rate_limit", vec![], "the argument average is not given"),
        ("traefik.rate_limit", vec![("average", json!(0))], "allowed is 1 to"),
        ("traefik.rate_limit", vec![("average", json!(1)), ("per", json!("moon"))], "allowed is host, client"),
        ("traefik.circuit_breaker", vec![("share", json!("1"))], "above 0 and below 1"),
        ("traefik.route_priority", vec![("priority", json!(5)), ("service", json!("a b"))], "is no name of a service"),
        ("traefik.weight_region", vec![("weights", json!("a=0,b=0"))], "such as eu@file=90"),
        ("traefik.weight_region", vec![("weights", json!("a`}}=1"))], "is no name of a service"),
    ] {
        let said = prepare(&verb(&config, name), &args).await.unwrap_err().message;
        assert!(said.contains(words), "{name}: {said}");
    }
    let rate = verb(&config, "traefik.rate_limit");
    let request = prepare(&rate, &[("average", json!(5))]).await.unwrap();
    std::fs::write(private.dynamic("quarterdeck-limits-t017.yml"), "http: {}\n").unwrap();
    let foreign = rate.execute(permit(&request)).await;
    assert!(matches!(&foreign, Outcome::Failed { why } if why.message.contains("did not write")), "{foreign:?}");
    let mut outside = request.clone();
    outside.operation = Operation::File { path: "/tmp/quarterdeck-limits-t017.yml".into(), content: Some("x".into()) };
    assert!(matches!(rate.execute(permit(&outside)).await, Outcome::Failed { .. }));
    drop(private);
    let gone = prepare(&rate, &[("average", json!(5))]).await.unwrap_err().message;
    assert!(gone.contains("can not be read") || gone.contains("no connection"), "{gone}");
}
