//! The estate at rest, of any size.

use super::Simulation;
use super::backups::Backups;
use super::certificates::Certificate;
use super::names::{self, CAST};
use super::nodes::Nodes;
use super::pair::Pair;
use super::pods::Deployment;
use super::shared::{Edge, Instance, Pids, Redis};
use super::tenant::{Tenant, Usual};
use crate::domain::estate::{
    Cutoff, DatabaseRef, Environment, Estate, NamespaceRef, Plant, RouterRef, Tenancy, Tenant as Declared,
};
use crate::domain::id::{SourceId, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How big the estate is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Size {
    /// Tenants; those that scenarios name are always there.
    pub tenants: u16,
    /// Pods of one tenant, web and workers together, at least two.
    #[serde(default = "ten")]
    pub pods_per_tenant: u16,
    /// PostgreSQL primaries, each with its replica, at least two.
    #[serde(default = "two")]
    pub primaries: u16,
}

const fn ten() -> u16 {
    10
}

const fn two() -> u16 {
    2
}

impl Size {
    fn primaries(self) -> usize {
        usize::from(self.primaries).max(PRIMARIES.len())
    }
}

/// The name of a primary: those that scenarios name, then numbers.
fn primary(number: usize) -> SourceId {
    PRIMARIES.get(number).map_or_else(|| SourceId::new(format!("pg-{number:03}")), |name| SourceId::from(*name))
}

impl Default for Size {
    fn default() -> Self {
        Self { tenants: 24, pods_per_tenant: 10, primaries: two() }
    }
}

/// The primaries that scenarios name; each replica has the name of its primary and `-r`.
pub const PRIMARIES: [&str; 2] = ["pg-a", "pg-b"];
/// The two ingresses.
pub const EDGES: [&str; 2] = ["edge-1", "edge-2"];
/// Pods of each ingress controller.
const CONTROLLERS: u32 = 3;
/// Namespace of the ingress controllers.
pub const INGRESS_NAMESPACE: &str = "traefik";
/// The cluster.
pub const CLUSTER: &str = "k8s-1";

fn seeded(seed: u64, what: &str, number: usize) -> fastrand::Rng {
    // FNV-1a over the name keeps the streams of different things apart.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64 ^ seed;
    for byte in what.bytes().chain(number.to_le_bytes()) {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    fastrand::Rng::with_seed(hash)
}

/// Ids: the cast, then the lowest free numbers.
fn ids(size: Size) -> BTreeSet<String> {
    let wanted = usize::from(size.tenants).max(CAST.len());
    let mut all: BTreeSet<String> = CAST.iter().map(|c| c.id.to_owned()).collect();
    for number in 1..=wanted.saturating_mul(2) {
        if all.len() >= wanted {
            break;
        }
        all.insert(format!("t{number:03}"));
    }
    all
}

fn declare(id: &str, number: usize, size: Size) -> Declared {
    let cast = CAST.iter().find(|c| c.id == id);
    let (place, zone) = names::place(number);
    let plant = |name: &str, zone: &str| Plant { name: name.into(), time_zone: zone.into() };
    let instance = if id == "t017" || id == "t044" { 0 } else { number % size.primaries() };
    let of = |names: [&'static str; 2], i: usize| SourceId::from(names.get(i).copied().unwrap_or_default());
    Declared {
        id: TenantId::from(id),
        name: cast.map_or_else(|| names::name(number), |c| c.name.into()),
        tenancy: if id == "t017" { Tenancy::Dedicated } else { Tenancy::MultiTenant },
        criticality: cast.map_or(4, |c| c.criticality),
        plants: cast.map_or_else(
            || vec![plant(place, zone)],
            |c| c.plants.iter().map(|(name, zone)| plant(name, zone)).collect(),
        ),
        cutoffs: cast.map_or(&[][..], |c| c.cutoffs).iter().map(cutoff).collect(),
        database: Some(DatabaseRef { instance: primary(instance), name: id.into() }),
        namespace: Some(NamespaceRef {
            cluster: CLUSTER.into(),
            name: id.into(),
            web: "odoo".into(),
            workers: "odoo-worker".into(),
        }),
        router: Some(RouterRef {
            ingress: of(EDGES, number % EDGES.len()),
            name: format!("{id}@file"),
            host: format!("{id}.erp.example"),
        }),
    }
}

fn cutoff((what, hour, minute, zone): &(&'static str, i8, i8, &'static str)) -> Cutoff {
    let at = jiff::civil::Time::new(*hour, *minute, 0, 0).unwrap_or_default();
    Cutoff { what: (*what).into(), at, time_zone: (*zone).into() }
}

fn tenant(seed: u64, declared: &Declared, number: usize, size: Size) -> Option<Tenant> {
    let mut rng = seeded(seed, "tenant", number);
    let pods = u32::from(size.pods_per_tenant.max(2));
    let workers = (pods * 2 / 5).max(1);
    let usual = Usual {
        requests: if declared.criticality == 1 { 14.0 } else { 3.0 + 8.0 * rng.f64() },
        p95_s: 0.25 + 0.2 * rng.f64(),
        jobs: 0.4 + 0.8 * rng.f64(),
        connections: 8 + rng.u32(0..5),
        cache_hit: 0.97 + 0.025 * rng.f64(),
    };
    let tag = 110 + rng.i64(0..8);
    let image = format!("registry.example/odoo:r{tag}");
    let age = 86_400 * rng.i64(2..40) + rng.i64(0..86_400);
    let uid = |part: u64, rng: &mut fastrand::Rng| {
        format!(
            "{:08x}-{:04x}-4{:03x}-8{part:03x}-{:012x}",
            rng.u32(..),
            rng.u16(..),
            rng.u16(0..4096),
            rng.u64(0..1 << 48)
        )
    };
    let web = Deployment::new("odoo", uid(1, &mut rng), pods - workers, &image, -age);
    let job = Deployment::new("odoo-worker", uid(2, &mut rng), workers, &image, -age);
    let certificate = Certificate::lasting(rng.i64(35..85), 0);
    let (database, router) = (declared.database.as_ref()?, declared.router.as_ref()?);
    let (instance, edge) = (database.instance.clone(), router.ingress.clone());
    Some(Tenant::new(declared.id.clone(), instance, edge, usual, web, job, certificate, rng))
}

impl Simulation {
    /// An estate at rest, which begins at `base`.
    pub fn new(seed: u64, size: Size, base: Timestamp) -> Self {
        let declared: Vec<Declared> =
            ids(size).iter().enumerate().map(|(number, id)| declare(id, number + 1, size)).collect();
        let tenants: Vec<Tenant> =
            declared.iter().enumerate().filter_map(|(number, t)| tenant(seed, t, number, size)).collect();
        let mut instances = BTreeMap::new();
        for number in 0..size.primaries() {
            let id = primary(number);
            let usual: u32 = tenants.iter().filter(|t| t.instance == id).map(|t| t.usual.connections).sum();
            let mut rng = seeded(seed, "instance", number);
            let instance = Instance {
                pids: Pids::new(rng.i32(4_000..5_000)),
                system_identifier: format!("741{:016}", rng.u64(0..10_000_000_000_000_000)),
                // Half of it is free at rest, rounded to fifty as people do.
                max_connections: ((usual * 8 / 5 + 50) / 50 * 50).max(100),
                connections: usual,
                lag_s: 0.3,
                pair: Pair::default(),
                backups: Backups::new(-3 * 3_600 - 900 * i64::try_from(number).unwrap_or(0)),
                volume: super::volume::Volume::default(),
                roles: super::roles::Roles::default(),
                checkpoints: 0,
                load: 1.0,
                rng,
            };
            instances.insert(id, instance);
        }
        let redis = [("redis-q", "queue", 4096_u64), ("redis-s", "session", 0)].into_iter().enumerate();
        let redis = redis.map(|(number, (id, purpose, job_bytes))| {
            let mut rng = seeded(seed, "redis", number);
            let base_bytes = (180 + rng.u64(0..60)) << 20;
            let redis = Redis {
                purpose,
                run_id: format!("{:016x}{:016x}{:08x}", rng.u64(..), rng.u64(..), rng.u32(..)),
                max_bytes: 512 << 20,
                used_bytes: base_bytes,
                base_bytes,
                job_bytes,
                ops: 1000.0,
                left_bytes: 0,
                leak_bytes: 0,
                evicted_per_s: 0.0,
                failed_over: false,
                saved: None,
                starting_s: 0,
                rng,
            };
            (SourceId::from(id), redis)
        });
        let edges = EDGES.iter().enumerate().map(|(number, name)| {
            let id = SourceId::from(*name);
            let usual: f64 = tenants.iter().filter(|t| t.edge == id).map(|t| t.usual.requests).sum();
            let uid = format!("5d1b6a52-0c1e-4d5f-8a37-00000000000{number}");
            let edge = Edge {
                reloaded: -3_600,
                reloads: 41,
                controller: Deployment::new(name, uid, CONTROLLERS, "docker.io/traefik:v3.5.3", -30 * 86_400),
                // At rest a third of what its pods take.
                each_takes: (usual * 3.0 / f64::from(CONTROLLERS)).max(1.0),
                weight: 50,
                requests: usual,
            };
            (id, edge)
        });
        let edges: BTreeMap<SourceId, Edge> = edges.collect();
        let pods: u32 = tenants.iter().map(|t| t.web.desired + t.workers.desired).sum();
        let pods = pods + CONTROLLERS * u32::try_from(EDGES.len()).unwrap_or(0);
        let estate = Estate {
            name: "acme".into(),
            environment: Environment::Production,
            time_zone: "Europe/Berlin".into(),
            tenants: declared,
        };
        let mut simulation = Self {
            estate: Arc::new(estate),
            base,
            tick: 0,
            tenants,
            instances,
            redis: redis.collect(),
            edges,
            nodes: Nodes::new((pods / 90).max(6), pods),
            told: Vec::new(),
            renewals: Vec::new(),
            silences: BTreeMap::new(),
            refusals: Vec::new(),
        };
        simulation.warm_up();
        simulation
    }

    /// Ten minutes before the beginning, so that queues and rates are those of a running estate.
    fn warm_up(&mut self) {
        self.tick = -600;
        self.step(600);
    }
}
