//! The shipped queries against real exporters: those of the lab's part `prometheus`, which is brought up by name and not
//! in CI.

use super::PrometheusObserver;
use super::tests::{config, estate, look, value};
use crate::config::model;
use crate::domain::facts::MeasuredFacts;
use crate::domain::mode::Mode;
use crate::domain::signal::Subject;
use crate::observe::http::rig::until;
use crate::observe::kubernetes::lab::kubectl;
use std::time::Duration;

/// What the shipped queries of some sets give.
async fn asked(sets: &[&str]) -> Option<MeasuredFacts> {
    Some(look(&mut observer(sets)?).await.unwrap())
}

/// Asks the lab's Prometheus, where its exporters are up.
fn observer(sets: &[&str]) -> Option<PrometheusObserver> {
    observer_with("LAB_EXPORTERS", "postgres redis traefik", sets)
}

/// Asks the lab's Prometheus, where what `variable` tells of is up: it comes with some parts of the lab.
fn observer_with(variable: &str, parts: &str, sets: &[&str]) -> Option<PrometheusObserver> {
    let (Ok(url), Ok(_)) = (std::env::var("LAB_PROMETHEUS_URL"), std::env::var(variable)) else {
        // A part of the lab that is brought up by name: where it is not, nothing that CI asks for is missing.
        eprintln!("SKIP real exporters: they are not up (tests/lab/lab up {parts}, then prometheus)");
        return None;
    };
    let sets = Some(sets.iter().map(|s| (*s).to_owned()).collect());
    let config = model::Prometheus { sets, ..config(url) };
    let may = Mode::ReadOnly.may_observe().unwrap();
    Some(PrometheusObserver::new(may, &config, &estate()))
}

/// Each signal lies between two values for this subject.
fn hold(facts: &MeasuredFacts, subject: &Subject, expected: &[(&str, f64, f64)]) {
    for (signal, least, most) in expected {
        let found = value(facts, subject, signal);
        assert!(found.is_some_and(|v| (*least..=*most).contains(&v)), "{signal} of {subject}: {found:?}");
    }
}

#[tokio::test]
async fn a_real_exporter_of_postgresql_gives_what_the_shipped_queries_ask() {
    let Some(facts) = asked(&["postgres-exporter"]).await else { return };
    let expected = [
        ("connections.share", 0.01, 1.0),
        ("deadlocks.rate", 0.0, 1.0),
        ("cache.hit", 0.1, 1.0),
        ("transaction.longest", 0.0, 1e6),
        ("database.size", 1e7, 1e12),
        // An idle server archives nothing, and lacks nothing.
        ("archiver.age", 0.0, 0.0),
        ("slots.inactive", 0.0, 9.0),
        ("slots.retained", 0.0, 1e10),
    ];
    hold(&facts, &Subject::Instance { source: "pg-a".into() }, &expected);
}

#[tokio::test]
async fn a_real_exporter_of_redis_gives_what_the_shipped_queries_ask() {
    let Some(facts) = asked(&["redis-exporter"]).await else { return };
    let expected = [
        ("redis.memory_share", 1e-4, 1.0),
        ("redis.evictions", 0.0, 1e6),
        ("redis.blocked_clients", 0.0, 100.0),
        ("redis.rejected", 0.0, 0.0),
        ("redis.persistence", 1.0, 1.0),
        ("redis.fork", 0.0, 10.0),
    ];
    hold(&facts, &Subject::Redis { source: "redis-s".into() }, &expected);
}

#[tokio::test]
async fn a_real_node_exporter_and_a_real_traefik_give_what_the_shipped_queries_ask() {
    let Some(facts) = asked(&["node-exporter", "traefik"]).await else { return };
    let node = Subject::Node { source: "k8s-1".into(), node: "lab-disk".into() };
    let expected = [
        ("memory.share", 0.01, 1.0),
        ("io.share", 0.0, 1.1),
        ("disk.latency", 0.0, 10.0),
        ("disk.throughput", 0.0, 1e11),
        ("network.throughput", 0.0, 1e11),
        ("network.lost", 0.0, 1e6),
    ];
    hold(&facts, &node, &expected);
    let disk = std::env::var("LAB_DISK").unwrap_or_default();
    let volume = Subject::Volume { source: "k8s-1".into(), volume: format!("lab-disk:{disk}").into() };
    hold(&facts, &volume, &[("volume.used", 0.0, 1.0), ("volume.bytes", 0.0, 2e7)]);
    let told = |signal: &str| facts.readings.iter().filter(|r| r.signal == signal).map(|r| r.value).collect::<Vec<_>>();
    // Of certificates that were replaced Traefik goes on telling; the one in use lasts for 18 days and more.
    let days = told("certificate.days");
    assert!(days.len() == 1 && days[0] > 10.0, "{days:?}");
    assert_eq!(told("ingress.connections").len(), 1);
}

/// A tenant whose only pod may not be disrupted, whose autoscaler and quota are at their end, and whose claim has no volume.
const TENANT: &str = r#"
{apiVersion: v1, kind: Namespace, metadata: {name: erp-t017}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: odoo, namespace: erp-t017}
spec:
  replicas: 1
  selector: {matchLabels: {app: odoo}}
  template:
    metadata: {labels: {app: odoo}}
    spec: {containers: [{name: odoo, image: "registry.example/odoo:19.0", resources: {requests: {cpu: 10m, memory: 64Mi}}}]}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: odoo, namespace: erp-t017}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: odoo}
  minReplicas: 1
  maxReplicas: 1
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: odoo, namespace: erp-t017}
spec: {minAvailable: 1, selector: {matchLabels: {app: odoo}}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: pods, namespace: erp-t017}
spec: {hard: {pods: "1"}}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data, namespace: erp-t017}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", resources: {requests: {storage: 1Gi}}}
"#;

/// The objects above, until this is dropped.
struct Made;

impl Made {
    fn new() -> Self {
        let made = Self;
        assert!(kubectl(&["apply", "-f", "-"], TENANT), "the objects of the test can not be made");
        made
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        kubectl(&["delete", "namespace", "erp-t017", "--wait=false", "--ignore-not-found"], "");
    }
}

#[tokio::test]
async fn a_real_kube_state_metrics_gives_what_the_shipped_queries_ask() {
    let Some(mut observer) = observer(&["kube-state-metrics"]) else { return };
    if std::env::var_os("LAB_KSM").is_none() {
        eprintln!("SKIP kube-state-metrics: it is not up (tests/lab/lab up kubernetes, then prometheus)");
        return;
    }
    let _made = Made::new();
    let tenant = || Subject::Tenant { tenant: "t017".into() };
    let cluster = || crate::domain::id::SourceId::from("k8s-1");
    let node = || Subject::Node { source: cluster(), node: "node-1".into() };
    let expected = [
        (tenant(), "pods.pending", 0.0),
        (tenant(), "workload.available", 1.0),
        (tenant(), "workload.crash_looping", 0.0),
        (tenant(), "workload.restarts", 0.0),
        (tenant(), "pods.oom_killed", 0.0),
        (tenant(), "cpu.reserved", 0.01),
        (tenant(), "memory.reserved", 67_108_864.0),
        (tenant(), "hpa.at_max", 1.0),
        (tenant(), "pdb.blocking", 1.0),
        (tenant(), "quota.share", 1.0),
        (Subject::Volume { source: cluster(), volume: "erp-t017/data".into() }, "volume.bound", 0.0),
        (Subject::Cluster { source: cluster() }, "pods.pending", 0.0),
        (node(), "node.ready", 1.0),
        (node(), "node.pressure", 0.0),
        (node(), "node.disk_full", 0.0),
        (node(), "node.cordoned", 0.0),
    ];
    let mut differs = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(90);
    until("kube-state-metrics tells of the tenant", Duration::from_secs(100), async || {
        let facts = look(&mut observer).await.unwrap();
        let told = |(subject, signal, wanted): &(Subject, &str, f64)| {
            let found = value(&facts, subject, signal);
            (found != Some(*wanted)).then(|| format!("{signal} of {subject}: {found:?}, not {wanted}"))
        };
        differs = expected.iter().filter_map(told).collect();
        (differs.is_empty() || std::time::Instant::now() > deadline).then_some(())
    })
    .await;
    assert!(differs.is_empty(), "{differs:#?}");
}

/// What `tests/lab/node/tenant.yaml` takes, as a real kubelet and its cAdvisor measure it. A rate over five minutes is right once it
/// has seen five minutes, so that a lab that was just brought up is waited for.
#[tokio::test]
async fn a_real_kubelet_gives_what_the_shipped_queries_ask() {
    let Some(mut observer) = observer_with("LAB_NODE_URL", "node", &["kubernetes"]) else { return };
    let tenant = Subject::Tenant { tenant: "t017".into() };
    let expected = [
        // One container takes all of its 50m, one with as much takes nothing; what a third takes has no limit.
        ("cpu.share", 0.4, 0.6),
        // 40 MB of 100 MiB.
        ("memory.share", 0.37, 0.45),
        // 20 kB a second of 128 MiB, which is 0.54 in an hour; told from a quarter of an hour after the start on.
        ("workers.memory_slope", 0.4, 0.7),
    ];
    let mut told = Vec::new();
    let deadline = std::time::Instant::now() + Duration::from_secs(340);
    until("the kubelet tells of the tenant", Duration::from_mins(6), async || {
        let facts = look(&mut observer).await.unwrap();
        told = expected.map(|(signal, ..)| value(&facts, &tenant, signal)).to_vec();
        let right = |found: Option<f64>| found.is_some_and(|v| (0.4..=0.6).contains(&v));
        (told.first().copied().is_some_and(right) || std::time::Instant::now() > deadline).then_some(())
    })
    .await;
    eprintln!("told: {told:?}");
    let made = std::path::Path::new(&std::env::var("LAB_DIR").unwrap()).join("node/kubelet.yaml").metadata().unwrap();
    let young = made.modified().unwrap().elapsed().unwrap() < Duration::from_mins(16);
    for (found, (signal, least, most)) in told.iter().zip(expected) {
        assert!(
            young && signal == "workers.memory_slope" && found.is_none()
                || found.is_some_and(|v| (least..=most).contains(&v)),
            "{signal}: {found:?}"
        );
    }
}

#[tokio::test]
async fn a_real_api_server_gives_what_the_shipped_queries_ask() {
    let Some(mut observer) = observer_with("LAB_KUBECONFIG_ADMIN", "kubernetes", &["kubernetes"]) else { return };
    let cluster = Subject::Cluster { source: "k8s-1".into() };
    let facts = until("two scrapes of the API server", Duration::from_secs(30), async || {
        let facts = look(&mut observer).await.unwrap();
        value(&facts, &cluster, "api.latency").is_some().then_some(facts)
    })
    .await;
    hold(&facts, &cluster, &[("api.latency", 1e-4, 10.0), ("api.errors", 0.0, 0.5)]);
}
