use super::*;
use crate::config::model::{PromQuery, PromSubject};
use crate::domain::estate::{Environment, NamespaceRef, RouterRef, Tenancy, Tenant};
use crate::domain::mode::Mode;
use crate::observe::http::rig::{Server, Tiny, ports, program, skip, until};
use std::process::Command;

pub(super) fn estate() -> Estate {
    let tenant = Tenant {
        id: "t017".into(),
        name: "A".into(),
        tenancy: Tenancy::Dedicated,
        criticality: 1,
        plants: Vec::new(),
        cutoffs: Vec::new(),
        database: None,
        namespace: Some(NamespaceRef {
            cluster: "k8s-1".into(),
            name: "erp-t017".into(),
            web: "odoo".into(),
            workers: "w".into(),
        }),
        router: Some(RouterRef { ingress: "edge-1".into(), name: "t017@file".into(), host: "t017.example".into() }),
    };
    Estate { name: "a".into(), environment: Environment::Staging, time_zone: "UTC".into(), tenants: vec![tenant] }
}

pub(super) fn config(url: String) -> model::Prometheus {
    model::Prometheus {
        id: "prom".into(),
        url,
        auth: HttpAuth::default(),
        ca: crate::config::model::Ca::default(),
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(2),
        series: 50,
        sets: None,
        cluster: Some("k8s-1".into()),
        ingress: Some("edge-1".into()),
        aliases: vec![crate::config::prometheus::Alias { label: "db1:9187".into(), source: "pg-a".into() }],
        queries: Vec::new(),
    }
}

fn own(signal: &str, expr: &str, subject: PromSubject, labels: &[&str]) -> PromQuery {
    let labels = labels.iter().map(|l| (*l).to_owned()).collect();
    PromQuery { signal: signal.into(), expr: expr.into(), subject, labels }
}

fn observer(config: &model::Prometheus) -> PrometheusObserver {
    PrometheusObserver::new(Mode::ReadOnly.may_observe().unwrap(), config, &estate())
}

pub(super) async fn look(observer: &mut PrometheusObserver) -> Result<MeasuredFacts, Failure> {
    let within = observer.timeout();
    let asked = tokio::time::timeout(within * 2, observer.poll()).await;
    match asked.unwrap_or_else(|_| Err(Failure::new(FailureKind::Timeout, "the driver gave up")))? {
        Facts::Measured(facts) => Ok(facts),
        other => panic!("{other:?}"),
    }
}

/// What exporters would say, as one page: kube-state-metrics, `postgres_exporter`, `redis_exporter`, Traefik.
const PAGE: &str = r#"
kube_pod_status_phase{namespace="erp-t017",pod="a",phase="Pending"} 1
kube_pod_status_phase{namespace="other",pod="b",phase="Pending"} 2
kube_deployment_status_replicas_available{namespace="erp-t017",deployment="odoo"} 1
kube_deployment_spec_replicas{namespace="erp-t017",deployment="odoo"} 2
kube_node_status_condition{node="n1",condition="Ready",status="true"} 0
kube_horizontalpodautoscaler_status_current_replicas{namespace="tools",horizontalpodautoscaler="x"} 8
kube_horizontalpodautoscaler_spec_max_replicas{namespace="tools",horizontalpodautoscaler="x"} 8
kube_resourcequota{namespace="tools",resourcequota="q",resource="pods",type="used"} 9
kube_resourcequota{namespace="tools",resourcequota="q",resource="pods",type="hard"} 10
pg_stat_activity_count{instance="db1:9187",state="active"} 90
pg_settings_max_connections{instance="db1:9187"} 100
pg_replication_lag_seconds{instance="db1:9187"} 31
redis_memory_used_bytes{instance="r:9121"} 95
redis_memory_max_bytes{instance="r:9121"} 100
traefik_open_connections{instance="edge-1",entrypoint="web"} 7
http_server_request_duration_seconds_count{job="odoo",k8s_namespace_name="erp-t017",http_response_status_code="200"} 9
http_server_request_duration_seconds_count{job="odoo",k8s_namespace_name="other",http_response_status_code="200"} 9
odd_value{tenant="t017"} NaN
odd_inf{tenant="t017"} +Inf
odd_label 3
"#;

/// A real Prometheus that scrapes one page each second.
async fn prometheus(test: &str, page: &'static str) -> Option<(Server, Tiny, String, tempfile::TempDir)> {
    let Some(binary) = program("prometheus") else {
        skip(test, "no prometheus (Debian: prometheus)");
        return None;
    };
    let exporter = Tiny::http(move |_, _| (200, page.to_owned()));
    let dir = tempfile::tempdir().unwrap();
    let [listens] = ports::<1>();
    let settings = format!(
        "global: {{scrape_interval: 1s}}\nscrape_configs:\n- job_name: page\n  honor_labels: true\n  static_configs: [{{targets: [\"{}\"]}}]\n",
        exporter.address
    );
    std::fs::write(dir.path().join("p.yml"), settings).unwrap();
    let server = Server::start(
        Command::new(binary)
            .arg(format!("--config.file={}", dir.path().join("p.yml").display()))
            .arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{listens}")),
        &dir.path().join("log"),
    );
    let url = format!("http://127.0.0.1:{listens}");
    let mut waits = observer(&model::Prometheus {
        queries: vec![own("api.latency", "scalar(max(timestamp(up)) > bool 0)", PromSubject::Cluster, &[])],
        sets: Some(Vec::new()),
        ..config(url.clone())
    });
    until(&format!("Prometheus has scraped; {}", server.log()), Duration::from_secs(30), async || {
        look(&mut waits).await.ok().filter(|f| f.readings.iter().any(|r| r.value > 0.5))
    })
    .await;
    Some((server, exporter, url, dir))
}

pub(super) fn value(facts: &MeasuredFacts, subject: &Subject, signal: &str) -> Option<f64> {
    facts.readings.iter().find(|r| r.subject == *subject && r.signal == signal).map(|r| r.value)
}

#[tokio::test]
async fn a_real_one_gives_values_to_the_right_subjects_and_no_number_is_not_known() {
    let Some((server, _pages, url, _dir)) = prometheus("prometheus", PAGE).await else { return };
    let mut config = config(url);
    config.queries = vec![
        own("orders.hour", "odd_value", PromSubject::Tenant, &["tenant"]),
        own("mrp.duration", "odd_inf", PromSubject::Tenant, &["tenant"]),
        own("sessions.active", "odd_label", PromSubject::Tenant, &["tenant"]),
        own("http.p50", "no_such_metric", PromSubject::Host, &["host"]),
        own("http.p99", "sum by (", PromSubject::Host, &["host"]),
    ];
    config.sets =
        Some(["kube-state-metrics", "postgres-exporter", "redis-exporter", "otlp-http"].map(Into::into).into());
    let mut observer = observer(&config);
    let facts = look(&mut observer).await.unwrap();
    assert!(
        facts.version.as_deref().is_some_and(|v| v.starts_with("2.") || v.starts_with("3.")),
        "{:?}",
        facts.version
    );
    let t017 = Subject::Tenant { tenant: "t017".into() };
    assert_eq!(value(&facts, &t017, "pods.pending"), Some(1.0));
    // Promoted to a label, and of one job and instance in two namespaces: nothing has to be looked up.
    let known = async || value(&look(&mut observer).await.unwrap(), &t017, "http.requests");
    let rate = until("a rate over two scrapes", Duration::from_secs(10), known).await;
    assert!(rate.abs() < 1e-9, "{rate}");
    assert_eq!(value(&facts, &Subject::Cluster { source: "k8s-1".into() }, "pods.pending"), Some(3.0));
    assert_eq!(value(&facts, &t017, "workload.available"), Some(0.5));
    let node = Subject::Node { source: "k8s-1".into(), node: "n1".into() };
    assert_eq!(value(&facts, &node, "node.ready"), Some(0.0));
    let hpa = Subject::Workload { source: "k8s-1".into(), workload: "tools/x".into() };
    assert_eq!(value(&facts, &hpa, "hpa.at_max"), Some(1.0));
    let tools = Subject::Namespace { source: "k8s-1".into(), namespace: "tools".into() };
    assert_eq!(value(&facts, &tools, "quota.share"), Some(0.9));
    let instance = Subject::Instance { source: "pg-a".into() };
    assert_eq!(value(&facts, &instance, "connections.share"), Some(0.9), "the alias names the instance");
    assert_eq!(value(&facts, &instance, "replication.lag"), Some(31.0));
    assert_eq!(value(&facts, &Subject::Redis { source: "r:9121".into() }, "redis.memory_share"), Some(0.95));

    let untold = |signal: &str| {
        let found = facts.untold.iter().find(|u| u.signal == signal);
        found.unwrap_or_else(|| panic!("{signal}: {:?}", facts.untold)).why.clone()
    };
    assert!(untold("orders.hour").contains("NaN"));
    assert!(untold("mrp.duration").contains("inf"));
    assert!(untold("sessions.active").contains("lack the labels tenant"));
    assert!(untold("http.p50").contains("gives no series"));
    assert!(untold("http.p99").contains("parse error"), "{}", untold("http.p99"));
    assert!(!facts.readings.iter().any(|r| ["orders.hour", "mrp.duration", "sessions.active"].contains(&&*r.signal)));

    // Too many series: none is taken, and that is said.
    let few = model::Prometheus { series: 1, ..config.clone() };
    let facts = look(&mut super::PrometheusObserver::new(Mode::ReadOnly.may_observe().unwrap(), &few, &estate())).await;
    let facts = facts.unwrap();
    assert!(facts.missing.iter().any(|m| m.remedy.contains("2 series, allowed is 1")), "{:?}", facts.missing);
    assert!(value(&facts, &t017, "pods.pending").is_none());

    // Frozen: in time, and without a value.
    server.signal(rustix::process::Signal::STOP);
    let failure = look(&mut observer).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Timeout, "{failure}");
    server.signal(rustix::process::Signal::CONT);
    drop(server);
    let failure = look(&mut observer).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unreachable, "{failure}");
}

/// One answer to everything that is asked.
fn answering(result: &'static str) -> Tiny {
    Tiny::http(move |first, _| match first {
        _ if first.contains("buildinfo") => (200, r#"{"status":"success","data":{"version":"2.42.0"}}"#.into()),
        _ if first.contains("timestamp") => (200, vector(&format!("[{},\"1\"]", now()))),
        _ if first.contains("up+%3D%3D+0") => {
            (200, r#"{"status":"success","data":{"resultType":"vector","result":[]}}"#.into())
        }
        _ => (200, result.replace("NOW", &now())),
    })
}

fn now() -> String {
    jiff::Timestamp::now().as_second().to_string()
}

fn vector(value: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{{"metric":{{}},"value":{value}}}]}}}}"#)
}

#[tokio::test]
async fn a_vanished_series_is_missed_and_not_taken_for_good() {
    let gone = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let flag = gone.clone();
    let tiny = Tiny::http(move |first, _| {
        if first.contains("buildinfo") {
            return (404, String::new());
        }
        let empty = flag.load(std::sync::atomic::Ordering::SeqCst) || !first.contains("query=x");
        let some = r#"{"metric":{"host":"t017.example"},"value":[NOW,"9"]}"#.replace("NOW", &now());
        let result = if empty { String::new() } else { some };
        (200, format!(r#"{{"status":"success","data":{{"resultType":"vector","result":[{result}]}}}}"#))
    });
    let config = model::Prometheus {
        sets: Some(Vec::new()),
        queries: vec![own("http.p95", "x", PromSubject::Host, &["host"])],
        ..config(tiny.url())
    };
    let mut observer = observer(&config);
    let t017 = Subject::Tenant { tenant: "t017".into() };
    assert_eq!(value(&look(&mut observer).await.unwrap(), &t017, "http.p95"), Some(9.0));
    gone.store(true, std::sync::atomic::Ordering::SeqCst);
    let facts = look(&mut observer).await.unwrap();
    let missed = facts.untold.iter().find(|u| u.subject == t017).unwrap();
    assert!(missed.why.contains("vanished") && facts.readings.is_empty(), "{facts:?}");
}

#[tokio::test]
async fn no_right_a_wrong_clock_a_standstill_and_rubbish_are_failures() {
    let failure = async |tiny: &Tiny| look(&mut observer(&config(tiny.url()))).await.unwrap_err();
    assert_eq!(failure(&Tiny::http(|_, _| (401, String::new()))).await.kind, FailureKind::Authentication);
    assert_eq!(failure(&Tiny::http(|_, _| (403, String::new()))).await.kind, FailureKind::Permission);
    let old = Tiny::http(|first, _| match first {
        _ if first.contains("buildinfo") => (404, String::new()),
        _ => (200, vector("[1000,\"1\"]")),
    });
    let old = failure(&old).await;
    assert!(old.message.contains("one of the clocks is wrong"), "{old}");
    let still = Tiny::http(|first, _| match first {
        _ if first.contains("buildinfo") => (404, String::new()),
        _ => (200, vector(&format!("[{},\"900\"]", now()))),
    });
    let still = failure(&still).await;
    assert!(still.message.contains("has scraped nothing for 900 s"), "{still}");
    let rubbish = failure(&answering("<html>")).await;
    assert!(rubbish.message.contains("not what Prometheus says"), "{rubbish}");
    let endless = Tiny::raw(|stream| {
        use std::io::{Read as _, Write as _};
        let mut stream = &stream;
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n");
        while stream.write_all(&[b' '; 8192]).is_ok() {}
    });
    let queries = vec![own("http.p95", "x", PromSubject::Host, &["host"])];
    let config = model::Prometheus { sets: Some(Vec::new()), queries, ..config(endless.url()) };
    let facts = look(&mut observer(&config)).await.unwrap();
    assert!(facts.readings.is_empty() && facts.untold[0].why.contains("longer than 4 MiB"), "{facts:?}");
}
