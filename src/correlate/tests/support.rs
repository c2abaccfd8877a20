//! Small estates and samples, and a bench that drives world and correlator together as the engine does.

use crate::correlate::{Correlator, Evaluation, Settings};
use crate::domain::estate::{DatabaseRef, Environment, Estate, NamespaceRef, Plant, RouterRef, Tenancy, Tenant};
use crate::domain::facts::kubernetes::Workload;
use crate::domain::facts::odoo::{Channel, Crons};
use crate::domain::facts::postgres::{DatabaseStat, PostgresFacts, Session};
use crate::domain::facts::traefik::{Route, TraefikFacts};
use crate::domain::facts::{Facts, KubernetesFacts, OdooFacts};
use crate::domain::finding::Finding;
use crate::domain::sample::{Failure, FailureKind, Sample, SourceKind, SourceSpec};
use crate::domain::world::World;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// A tenant on `pg-a`, `k8s-1` and `edge-1`.
pub fn tenant(id: &str, criticality: u8) -> Tenant {
    Tenant {
        id: id.into(),
        name: format!("Tenant {id}"),
        tenancy: Tenancy::Dedicated,
        criticality,
        plants: vec![Plant { name: format!("Plant of {id}"), time_zone: "UTC".into() }],
        cutoffs: Vec::new(),
        database: Some(DatabaseRef { instance: "pg-a".into(), name: id.into() }),
        namespace: Some(NamespaceRef {
            cluster: "k8s-1".into(),
            name: id.into(),
            web: "odoo".into(),
            workers: "odoo-worker".into(),
        }),
        router: Some(RouterRef {
            ingress: "edge-1".into(),
            name: format!("{id}@file"),
            host: format!("{id}.example.org"),
        }),
    }
}

/// An estate in production.
pub fn estate(mut tenants: Vec<Tenant>) -> Arc<Estate> {
    tenants.sort_by(|a, b| a.id.cmp(&b.id));
    Arc::new(Estate {
        name: "acme-prod".into(),
        environment: Environment::Production,
        time_zone: "UTC".into(),
        tenants,
    })
}

/// `2026-11-20T02:00:00Z` and so many seconds.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second("2026-11-20T02:00:00Z".parse::<Timestamp>().unwrap().as_second() + second).unwrap()
}

/// World and correlator, sampled every ten seconds.
pub struct Bench {
    pub world: World,
    pub correlator: Correlator,
}

impl Bench {
    /// With `pg-a`, `k8s-1`, `edge-1` and an Odoo source for each tenant.
    pub fn new(tenants: Vec<Tenant>) -> Self {
        Self::with(tenants, &[])
    }

    /// The same with more sources.
    pub fn with(tenants: Vec<Tenant>, more: &[(&str, SourceKind)]) -> Self {
        let estate = estate(tenants);
        let kinds =
            [("pg-a", SourceKind::Postgres), ("k8s-1", SourceKind::Kubernetes), ("edge-1", SourceKind::Traefik)];
        let odoo = estate.tenants.iter().map(|t| (format!("odoo/{}", t.id), SourceKind::Odoo));
        let named = kinds.iter().chain(more).map(|(id, kind)| ((*id).to_owned(), *kind));
        let specs = named.chain(odoo);
        let specs = specs.map(|(id, kind)| SourceSpec {
            id: id.as_str().into(),
            kind,
            interval: Duration::from_secs(10),
            address: "sim".into(),
        });
        let world = World::new(Arc::clone(&estate), specs, at(0));
        let correlator = Correlator::new(Settings::default(), &estate, jiff::tz::db());
        Self { world, correlator }
    }

    /// A good sample.
    pub fn see(&mut self, source: &str, second: i64, facts: Facts) {
        let before = self.world.sources[&source.into()].good.clone();
        let sample = Sample {
            source: source.into(),
            taken_at: at(second),
            took: Duration::from_millis(3),
            result: Ok(Arc::new(facts)),
        };
        assert!(self.world.take(sample.clone()));
        self.correlator.observe(before.as_ref().map(|g| &*g.facts), &sample);
    }

    /// A failed sample.
    pub fn fail(&mut self, source: &str, second: i64) {
        let result = Err(Failure::new(FailureKind::Timeout, "no answer within 2 s"));
        let sample = Sample { source: source.into(), taken_at: at(second), took: Duration::from_secs(2), result };
        assert!(self.world.take(sample.clone()));
        self.correlator.observe(None, &sample);
    }

    /// The findings at a second.
    pub fn look(&mut self, second: i64) -> Evaluation {
        self.correlator.evaluate(&self.world, at(second))
    }

    /// The findings at a second without those on silent sources.
    pub fn findings(&mut self, second: i64) -> Vec<Finding> {
        self.look(second).findings.into_iter().filter(|f| f.rule != "source-unknown").collect()
    }
}

/// `pg-a` with so many sessions of a database behind pid 4711.
pub fn chain(database: &str, blocked: i32, oldest_s: f64) -> Facts {
    let session = |pid: i32, blocked_by: Vec<i32>, waiting_s: Option<f64>| Session {
        pid,
        database: database.into(),
        application: if blocked_by.is_empty() { "odoo-deploy" } else { "odoo" }.into(),
        state: if blocked_by.is_empty() { "idle in transaction" } else { "active" }.into(),
        transaction_s: Some(oldest_s),
        state_s: Some(1.0),
        query: if blocked_by.is_empty() { "ALTER TABLE sale_order ADD COLUMN x" } else { "SELECT 1" }.into(),
        waiting_s,
        blocked_by,
        ..Session::default()
    };
    let mut sessions: Vec<Session> =
        (0..blocked).map(|i| session(5000 + i, vec![4711], Some(oldest_s / f64::from(i + 1)))).collect();
    if blocked > 0 {
        sessions.push(session(4711, vec![], None));
    }
    Facts::Postgres(PostgresFacts {
        connections: 30,
        max_connections: 200,
        databases: ["t003", "t017"].map(|name| DatabaseStat { name: name.into(), ..DatabaseStat::default() }).into(),
        sessions,
        ..PostgresFacts::default()
    })
}

/// `edge-1` with one router's errors and latency.
pub fn web(router: &str, share_5xx: Option<f64>, p95_s: Option<f64>) -> Facts {
    let route = Route { name: router.into(), requests_per_s: Some(9.0), share_5xx, p95_s, ..Route::default() };
    Facts::Traefik(TraefikFacts { routers: vec![route], reload_failed: Some(false), ..TraefikFacts::default() })
}

/// A tenant's `root` channel.
pub fn jobs(pending: u32, oldest_s: Option<f64>, zombies: u32) -> Facts {
    let channel = Channel { name: "root".into(), pending, oldest_due_s: oldest_s, zombies, ..Channel::default() };
    Facts::Odoo(OdooFacts { channels: Some(vec![channel]), crons: Some(Crons::default()), ..OdooFacts::default() })
}

/// `k8s-1` with both Deployments of a tenant.
pub fn pods(namespace: &str, image: &str, image_since: Option<Timestamp>, ready: u32) -> Facts {
    let workload = |name: &str| Workload {
        namespace: namespace.into(),
        name: name.into(),
        image: image.into(),
        image_since,
        desired: 4,
        ready,
        ..Workload::default()
    };
    let workloads = vec![workload("odoo"), workload("odoo-worker")];
    Facts::Kubernetes(KubernetesFacts { workloads, ..KubernetesFacts::default() })
}
