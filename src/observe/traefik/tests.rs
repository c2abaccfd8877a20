//! Against a Traefik that the test starts, against the lab's where it is up, and against servers that are none.

use super::lab::{DAYS, HOST, LIMIT, Private, facts, get, observer};
use super::*;
use crate::domain::id::SourceId;
use crate::observe::http::rig::{Tiny, ports, send, skip, until};

fn route<'a>(facts: &'a TraefikFacts, name: &str) -> &'a Route {
    facts.routers.iter().find(|r| r.name == name).unwrap_or_else(|| panic!("no router {name}: {facts:?}"))
}

#[tokio::test]
async fn traffic_shares_certificates_and_state_are_what_traefik_did() {
    let Some(private) = Private::start("traffic_shares_certificates").await else { return };
    let mut observer = observer(private.config());
    let first = facts(&mut observer).await.unwrap();
    assert_eq!(route(&first, "t017@file").requests_per_s, None, "one sample is no rate");
    // Requests of the start may still be on their way into the counters.
    until("the counters rest", LIMIT, async || {
        (facts(&mut observer).await.unwrap().routers.iter().all(|r| r.requests_per_s == Some(0.0))).then_some(())
    })
    .await;
    for path in ["200", "200", "200", "200", "200", "200", "404", "503", "502", "200"] {
        let (status, _) = get(&format!("{}/{path}", private.web), HOST).await.unwrap();
        assert_eq!(status.to_string(), path);
    }
    until("all ten requests are counted", LIMIT, async || {
        let (_, text) = get(&observer.config.metrics, "localhost").await.unwrap();
        let scrape = scrape::read(&text).unwrap();
        let total = |s: &Scrape| s.routers["t017@file"].series.values().map(|s| s.requests).sum::<f64>();
        (total(&scrape) - total(&observer.before.as_ref().unwrap().0) >= 10.0).then_some(())
    })
    .await;
    let seen = facts(&mut observer).await.unwrap();
    let tenant = route(&seen, "t017@file");
    assert_eq!((tenant.share_5xx, tenant.share_4xx), (Some(0.2), Some(0.1)), "{tenant:?}");
    assert_eq!(tenant.service.as_deref(), Some("t017@file"));
    assert!(tenant.requests_per_s.unwrap() > 0.0);
    assert!(tenant.p50_s.is_some_and(|p| p > 0.0 && p <= 0.1), "loopback is fast: {tenant:?}");
    let idle = route(&seen, "idle@file");
    assert_eq!((idle.requests_per_s, idle.share_5xx, idle.p95_s), (Some(0.0), None, None));
    let web = seen.entrypoints.iter().find(|e| e.name == "web").unwrap();
    assert_eq!(web.share_5xx, Some(0.2));
    assert!(web.open_connections.is_some());

    let certificate = &seen.certificates[0];
    assert_eq!((certificate.name.as_str(), certificate.sans.len()), (HOST, 2));
    let left = certificate.not_after.as_second() - jiff::Timestamp::now().as_second();
    assert!((DAYS * 86_400 - 600..=DAYS * 86_400).contains(&left), "{left} s");
    assert!(seen.version.as_deref().is_some_and(|v| v.starts_with('3')), "{:?}", seen.version);
    assert_eq!((seen.reload_failed, seen.reload_error.as_deref()), (Some(false), None), "{}", private.log());
    assert!(seen.last_reload_success.is_some() && seen.reloads >= Some(1));
    assert_eq!((seen.missing.as_slice(), seen.measures.len()), (&[][..], 0));
}

#[tokio::test]
async fn a_broken_file_is_a_failed_reload_until_it_is_mended() {
    let Some(private) = Private::start("a_broken_file").await else { return };
    let mut observer = observer(private.config());
    assert_eq!(facts(&mut observer).await.unwrap().reload_failed, Some(false));
    let reloads = facts(&mut observer).await.unwrap().reloads;
    std::fs::write(private.dynamic("broken.yml"), "http: {routers: {x: {rule: \"Ho").unwrap();
    let seen = until("the failed reload shows", LIMIT, async || {
        let seen = facts(&mut observer).await.unwrap();
        (seen.reload_failed == Some(true)).then_some(seen)
    })
    .await;
    assert!(seen.reload_error.as_deref().unwrap().starts_with("broken.yml does not load"), "{seen:?}");
    assert_eq!(seen.reloads, reloads, "Traefik counts no failed reload; should it begin to, read that instead");
    assert!(private.log().contains("broken.yml"), "Traefik refused it too: {}", private.log());

    // What is written beside a broken file is not taken either.
    std::fs::write(
        private.dynamic("later.yml"),
        format!("http: {{routers: {{later: {{rule: 'Host(`{HOST}`)', service: t017}}}}}}\n"),
    )
    .unwrap();
    std::fs::remove_file(private.dynamic("broken.yml")).unwrap();
    until("all is well again", LIMIT, async || {
        let seen = facts(&mut observer).await.unwrap();
        let taken = seen.routers.iter().any(|r| r.name == "later@file");
        (seen.reload_failed == Some(false) && taken).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_router_that_traefik_disabled_says_why() {
    let Some(private) = Private::start("a_router_that_traefik_disabled").await else { return };
    let mut observer = observer(private.config());
    std::fs::write(private.dynamic("bad.yml"), "http: {routers: {bad: {rule: 'Host(`b`)', service: nope}}}\n").unwrap();
    let fault = until("the fault shows", LIMIT, async || {
        let seen = facts(&mut observer).await.unwrap();
        seen.routers.into_iter().find(|r| r.name == "bad@file").and_then(|r| r.fault)
    })
    .await;
    assert_eq!(fault, "the service \"nope@file\" does not exist");
}

#[tokio::test]
async fn servers_that_a_health_check_finds_down_and_parts_in_error_are_named() {
    let Some(private) = Private::start("servers_that_a_health_check").await else { return };
    let mut observer = observer(private.config());
    let seen = facts(&mut observer).await.unwrap();
    let plain = seen.service("t017@file").unwrap();
    assert_eq!(
        (plain.servers, plain.down.as_ref(), plain.up()),
        (Some(1), None, None),
        "nobody looks whether it lives"
    );
    let live = std::fs::read_to_string(private.dynamic("base.yml")).unwrap();
    let live = live.split("servers: [{url: '").nth(1).and_then(|rest| rest.split('\'').next()).unwrap().to_owned();
    let [dead] = ports();
    std::fs::write(
        private.dynamic("pair.yml"),
        format!(
            "http:\n  routers:\n    pair: {{rule: 'Host(`pair`)', service: pair, middlewares: [calm, head@file]}}\n  \
             services:\n    pair: {{loadBalancer: {{healthCheck: {{path: /200, interval: 200ms, timeout: 100ms}}, servers: \
             [{{url: '{live}'}}, {{url: 'http://127.0.0.1:{dead}'}}]}}}}\n    empty: {{loadBalancer: {{servers: []}}}}\n  \
             middlewares:\n    calm: {{rateLimit: {{average: 100}}}}\n    head: {{headers: {{customResponseHeaders: {{X-A: b}}}}}}\n    \
             bad: {{ipAllowList: {{sourceRange: [nonsense]}}}}\n"
        ),
    )
    .unwrap();
    let seen = until("the dead server is down", LIMIT, async || {
        let seen = facts(&mut observer).await.unwrap();
        let down = seen.service("pair@file").and_then(|s| s.down.clone()).is_some_and(|down| !down.is_empty());
        down.then_some(seen)
    })
    .await;
    let pair = seen.service("pair@file").unwrap();
    assert_eq!(pair.down.as_deref(), Some(&[format!("http://127.0.0.1:{dead}")][..]), "{pair:?}");
    assert_eq!((pair.servers, pair.up()), (Some(2), Some(0.5)));
    let router = route(&seen, "pair@file");
    assert_eq!(router.service.as_deref(), Some("pair@file"));
    assert_eq!(router.middlewares, ["calm@file", "head@file"]);
    assert_eq!(seen.middleware("calm@file").map(|m| (m.kind.as_str(), m.fault.as_ref())), Some(("ratelimit", None)));
    println!("{:?} {:?}", seen.services, seen.middlewares);
    assert!(seen.services.iter().all(|s| !s.name.ends_with("@internal")));
    // A router that uses what can not be built is out of force, and what is wrong is said of both.
    std::fs::write(
        private.dynamic("uses.yml"),
        "http: {routers: {uses: {rule: 'Host(`uses`)', service: t017, middlewares: [bad]}}}\n",
    )
    .unwrap();
    until("the middleware in error is said", LIMIT, async || {
        let seen = facts(&mut observer).await.unwrap();
        let of_router = seen.routers.iter().any(|r| r.name == "uses@file" && r.fault.is_some());
        let broken: Vec<String> = seen.broken().collect();
        (of_router && broken.iter().any(|b| b.starts_with("middleware bad@file is in error: "))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn router_labels_that_are_off_are_named_with_the_setting() {
    let off = ["--metrics.prometheus.addRoutersLabels=false"];
    let Some(private) = Private::start_with("router_labels_that_are_off", &off).await else { return };
    let mut observer = observer(private.config());
    let missing = until("the missing label shows", LIMIT, async || {
        get(&private.web, HOST).await.unwrap();
        facts(&mut observer).await.unwrap().missing.pop()
    })
    .await;
    assert_eq!(missing.disables, "traffic of each router");
    assert!(missing.remedy.contains("addRoutersLabels"));
    let seen = facts(&mut observer).await.unwrap();
    assert_eq!(route(&seen, "t017@file").requests_per_s, None, "without the label nothing is known, not zero");
}

#[tokio::test]
async fn without_api_and_directory_the_rest_is_seen_and_the_gaps_are_named() {
    let Some(private) = Private::start("without_api_and_directory").await else { return };
    let mut config = Config { api: None, dynamic_dir: None, ..private.config() };
    let seen = facts(&mut observer(config.clone())).await.unwrap();
    assert_eq!((seen.version, seen.reload_failed), (None, None));
    assert!(!seen.certificates.is_empty());
    let gaps: Vec<&str> = seen.missing.iter().map(|m| m.disables.as_str()).collect();
    assert_eq!(
        gaps,
        ["version, errors of routers, services and middlewares, servers up, measures in force", "failed reloads"]
    );

    let [nobody] = ports();
    config.api = Some(format!("http://127.0.0.1:{nobody}"));
    config.dynamic_dir = Some(private.dir.path().join("none"));
    let seen = facts(&mut observer(config)).await.unwrap();
    assert!(seen.missing[0].remedy.starts_with("open Traefik's API to this host: no connection to"), "{seen:?}");
    assert!(seen.missing[1].remedy.starts_with("let this user read dynamic_dir"), "{seen:?}");
}

#[tokio::test]
async fn tls_is_checked_against_the_own_authorities_only() {
    let Some(private) = Private::start("tls_is_checked").await else { return };
    let metrics = format!(
        "http:\n  routers:\n    m: {{rule: 'Host(`{HOST}`) && Path(`/metrics`)', service: m, tls: {{}}}}\n  \
        services:\n    m: {{loadBalancer: {{servers: [{{url: '{}'}}]}}}}\n",
        private.admin
    );
    std::fs::write(private.dynamic("metrics.yml"), metrics).unwrap();
    let port = private.secure.rsplit(':').next().unwrap().parse::<u16>().unwrap();
    let ask = async |trust: Trust, name: &str| {
        let http = Http::connecting_to(&trust, name, &[([127, 0, 0, 1], port).into()]).unwrap();
        let url = format!("https://{name}:{port}/metrics");
        let timeout = Duration::from_secs(5);
        http.get(&Ask { url: &url, host: None, accept: "*/*", limit: METRICS_BYTES, timeout }).await
    };
    let own = || Trust::own(private.ca());
    until("the metrics come over TLS", LIMIT, async || (ask(own(), HOST).await.unwrap().status == 200).then_some(()))
        .await;
    for (trust, name) in [(Trust::plain_only(), HOST), (own(), "other.example")] {
        let failure = ask(trust, name).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Tls, "{failure}");
    }
}

fn elsewhere(url: &str) -> Config {
    Config {
        id: SourceId::from("edge-1"),
        metrics: format!("{url}/metrics"),
        api: None,
        dynamic_dir: None,
        maintenance_url: None,
        probe_url: None,
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(1),
        timeout: Duration::from_millis(500),
    }
}

#[tokio::test]
async fn servers_that_are_no_traefik_are_said_so() {
    let ask = async |tiny: &Tiny| facts(&mut observer(elsewhere(&tiny.url()))).await.unwrap_err();
    let page = ask(&Tiny::http(|_, _| (200, "<html>\n<body>".into()))).await;
    assert_eq!(page.kind, FailureKind::Protocol, "{page}");
    assert!(page.message.contains("line 1 of the metrics is wrong"), "{page}");
    let other = ask(&Tiny::http(|_, _| (200, "node_load1 1\n".into()))).await;
    assert!(other.message.ends_with("the metrics hold no traefik_… series"), "{other}");
    assert_eq!(ask(&Tiny::http(|_, _| (401, String::new()))).await.kind, FailureKind::Authentication);
    assert_eq!(ask(&Tiny::raw(drop)).await.kind, FailureKind::Unreachable);
    let silent = ask(&Tiny::raw(|s| {
        let _ = std::io::Read::read_to_end(&mut &s, &mut Vec::new());
    }))
    .await;
    assert_eq!(silent.kind, FailureKind::Timeout, "{silent}");
    let [nobody] = ports();
    let gone = facts(&mut observer(elsewhere(&format!("http://127.0.0.1:{nobody}")))).await.unwrap_err();
    assert_eq!(gone.kind, FailureKind::Unreachable, "{gone}");
    let endless = Tiny::raw(|s| {
        let body = vec![b'#'; METRICS_BYTES + 2];
        send(&s, &[&b"HTTP/1.1 200 OK\r\n\r\n"[..], &body].concat());
    });
    let patient = Config { timeout: LIMIT, ..elsewhere(&endless.url()) };
    let failure = facts(&mut observer(patient)).await.unwrap_err();
    assert!(failure.message.ends_with(&format!("sent more than {METRICS_BYTES} bytes")), "{failure}");
}

#[tokio::test]
async fn the_lab_is_seen() {
    let env = |name: &str| std::env::var(name).ok();
    let (Some(metrics), Some(api)) = (env("LAB_TRAEFIK_METRICS"), env("LAB_TRAEFIK_API")) else {
        skip("the_lab_is_seen", "LAB_TRAEFIK_METRICS is not set; eval \"$(tests/lab/lab env)\"");
        return;
    };
    let config = Config {
        metrics,
        api: Some(api),
        dynamic_dir: env("LAB_TRAEFIK_DYNAMIC").map(Into::into),
        timeout: Duration::from_secs(5),
        ..elsewhere("")
    };
    let seen = facts(&mut observer(config)).await.unwrap();
    for tenant in ["t003", "t017", "t090"] {
        assert_eq!(route(&seen, &format!("{tenant}@file")).fault, None);
    }
    let t090 = seen.certificates.iter().find(|c| c.name == "t090.lab.test").unwrap();
    assert_eq!(t090.sans, ["t090.lab.test"]);
}
