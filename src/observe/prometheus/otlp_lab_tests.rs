//! The shipped queries for HTTP servers that OpenTelemetry measures, against its real SDK, exporter and instrumentation and a
//! Prometheus 3 that takes what they push: the lab's part `otlp`, which is brought up by name and not in CI.

use super::PrometheusObserver;
use super::tests::{config, estate, look, value};
use crate::config::model;
use crate::domain::estate::{Estate, NamespaceRef};
use crate::domain::mode::Mode;
use crate::domain::signal::Subject;
use crate::observe::http::rig::{Server, ports, until};
use crate::observe::http::{Ask, Http, Trust};
use futures::{StreamExt as _, stream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Name, kind of server, and what `OTEL_SEMCONV_STABILITY_OPT_IN` says.
const SERVERS: [(&str, &str, &str); 3] =
    [("stable", "asgi", "http"), ("old", "wsgi", ""), ("both", "wsgi", "http/dup")];

/// Requests that each server gets, and how many of them fail.
const SENT: u32 = 300;
const FAILED: u32 = 30;

/// Seconds over which the shipped queries take their rates.
const OVER: f64 = 180.0;

fn namespace(name: &str) -> String {
    format!("erp-{name}-{}", std::process::id())
}

/// A tenant a server.
fn tenants() -> Estate {
    let mut estate = estate();
    let one = estate.tenants.remove(0);
    estate.tenants.extend(SERVERS.map(|(name, ..)| {
        let place = one.namespace.clone().map(|n| NamespaceRef { name: namespace(name), ..n });
        let mut tenant = one.clone();
        (tenant.id, tenant.namespace, tenant.router) = (name.into(), place, None);
        tenant
    }));
    estate
}

/// One of the lab's servers, and where it listens.
fn server(python: &str, to: &str, dir: &Path, (name, kind, conventions): (&str, &str, &str)) -> (Server, String) {
    let [port] = ports::<1>();
    let resource = format!("service.name=odoo,service.instance.id={0},k8s.namespace.name={0}", namespace(name));
    let started = Server::start(
        Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/otlp/server.py"))
            .args([kind, &port.to_string()])
            .env("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", format!("{to}/api/v1/otlp/v1/metrics"))
            .env("OTEL_METRIC_EXPORT_INTERVAL", "1000")
            .env("OTEL_RESOURCE_ATTRIBUTES", resource)
            .env("OTEL_SEMCONV_STABILITY_OPT_IN", conventions),
        &dir.join(name),
    );
    (started, format!("http://127.0.0.1:{port}"))
}

/// Status of a GET.
async fn get(http: &Http, url: &str) -> Option<u16> {
    let ask = Ask { url, host: None, accept: "*/*", limit: 64, timeout: Duration::from_secs(5) };
    http.get(&ask).await.ok().map(|a| a.status)
}

#[tokio::test]
async fn real_servers_measured_by_opentelemetry_are_told_as_they_were_asked() {
    let (Ok(url), Ok(python)) = (std::env::var("LAB_OTLP_PROMETHEUS"), std::env::var("LAB_OTLP_PYTHON")) else {
        // A part of the lab that is brought up by name: where it is not, nothing that CI asks for is missing.
        eprintln!("SKIP OpenTelemetry: it is not up (tests/lab/lab up otlp)");
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let servers = SERVERS.map(|s| server(&python, &url, dir.path(), s));
    let config = model::Prometheus { sets: Some(vec!["otlp-http".into()]), ..config(url) };
    let mut observer = PrometheusObserver::new(Mode::ReadOnly.may_observe().unwrap(), &config, &tenants());
    let http = Http::new(&Trust::plain_only()).unwrap();
    for (server, base) in &servers {
        // A counter is missed up to its first export: each kind of request once, before what counts.
        for path in ["/200/110", "/500/300"] {
            until(&format!("{base}{path}; {}", server.log()), Duration::from_secs(30), async || {
                get(&http, &format!("{base}{path}")).await
            })
            .await;
        }
    }
    let subject = |name: &str| Subject::Tenant { tenant: name.into() };
    until("Prometheus has a rate of all three", Duration::from_secs(30), async || {
        let facts = look(&mut observer).await.unwrap();
        let known = |name| value(&facts, &subject(name), "http.requests").is_some();
        SERVERS.iter().all(|(name, ..)| known(name)).then_some(())
    })
    .await;

    let (from, mut wrong) = (Instant::now(), 0);
    for (_, base) in &servers {
        let path = |n: u32| if n.is_multiple_of(SENT / FAILED) { (500, "/500/300") } else { (200, "/200/110") };
        let send = |n: u32| {
            let (http, (status, path)) = (&http, path(n));
            async move { get(http, &format!("{base}{path}")).await != Some(status) }
        };
        let answers: Vec<bool> = stream::iter(0..SENT).map(send).buffer_unordered(8).collect().await;
        wrong += answers.iter().filter(|w| **w).count();
    }
    assert_eq!(wrong, 0, "of {} answers", SENT * 3);
    let took = from.elapsed();
    // What a rate leaves out or adds at its ends is less than the samples at both ends stand for.
    let sent = f64::from(SENT);
    let mut told = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(20);
    until("Prometheus has all requests", Duration::from_secs(30), async || {
        let facts = look(&mut observer).await.unwrap();
        told.clear();
        for (name, ..) in SERVERS {
            let of = |signal: &str| value(&facts, &subject(name), signal).unwrap_or(f64::NAN);
            told.push((
                name,
                of("http.requests") * OVER,
                ["http.share_5xx", "http.p50", "http.p95", "http.p99"].map(of),
            ));
        }
        (told.iter().all(|(_, requests, _)| *requests >= 0.95 * sent) || Instant::now() > deadline).then_some(())
    })
    .await;
    eprintln!(
        "sent {SENT} to each within {took:?}, of them {FAILED} failed; told (requests, errors, quantiles): {told:?}"
    );
    for (name, requests, [errors, p50, p95, p99]) in told {
        assert!((0.95 * sent..=1.15 * sent).contains(&requests), "{name}: {requests} of {sent} requests");
        assert!((errors - 0.1).abs() < 0.01, "{name}: a share of {errors} failed");
        // The buckets of both conventions have their borders at 100, 250 and 500 ms.
        assert!((0.1..=0.25).contains(&p50), "{name}: {p50}");
        assert!((0.25..=0.5).contains(&p95) && (p95..=0.5).contains(&p99), "{name}: {p95} {p99}");
    }
}
