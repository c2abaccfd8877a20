//! The shipped queries against real exporters: those of the lab's part `prometheus`, which is brought up by name and not
//! in CI.

use super::PrometheusObserver;
use super::tests::{config, estate, look, value};
use crate::config::model;
use crate::domain::facts::MeasuredFacts;
use crate::domain::mode::Mode;
use crate::domain::signal::Subject;

/// What the shipped queries of some sets give.
async fn asked(sets: &[&str]) -> Option<MeasuredFacts> {
    let (Ok(url), Ok(_)) = (std::env::var("LAB_PROMETHEUS_URL"), std::env::var("LAB_EXPORTERS")) else {
        // A part of the lab that is brought up by name: where it is not, nothing that CI asks for is missing.
        eprintln!("SKIP real exporters: they are not up (tests/lab/lab up postgres redis traefik, then prometheus)");
        return None;
    };
    let sets = Some(sets.iter().map(|s| (*s).to_owned()).collect());
    let config = model::Prometheus { sets, ..config(url) };
    let may = Mode::ReadOnly.may_observe().unwrap();
    Some(look(&mut PrometheusObserver::new(may, &config, &estate())).await.unwrap())
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
    let volume = Subject::Volume { source: "k8s-1".into(), volume: format!("lab-disk:{disk}") };
    hold(&facts, &volume, &[("volume.used", 0.0, 1.0), ("volume.bytes", 0.0, 2e7)]);
    let told = |signal: &str| facts.readings.iter().filter(|r| r.signal == signal).map(|r| r.value).collect::<Vec<_>>();
    // Of certificates that were replaced Traefik goes on telling; the one in use lasts for 18 days and more.
    let days = told("certificate.days");
    assert!(days.len() == 1 && days[0] > 10.0, "{days:?}");
    assert_eq!(told("ingress.connections").len(), 1);
}
