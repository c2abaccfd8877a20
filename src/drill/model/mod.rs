//! The simulated estate as cause and effect: tenants with traffic, locks, jobs and pods on shared instances.
//! It goes on in ticks of one second, knows no clock of its own, and from equal seeds and equal actions at
//! equal ticks it always becomes the same. The rest of `drill` drives it, looks at it and acts on it.

pub mod backups;
pub mod build;
pub mod certificates;
pub mod delivery;
pub mod fault;
pub mod jobs;
pub mod limits;
pub mod locks;
pub mod names;
pub mod nodes;
pub mod pair;
pub mod pods;
pub mod roles;
pub mod shared;
pub mod tenant;
pub mod trouble;
pub mod volume;

#[cfg(test)]
mod tests;

use crate::domain::estate::Estate;
use crate::domain::id::{SourceId, TenantId};
use fault::Refusal;
use jiff::{SignedDuration, Timestamp};
use nodes::Nodes;
use shared::{Edge, Instance, Redis, Silence};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tenant::Tenant;

/// The whole simulated estate.
#[derive(Clone, Debug)]
pub struct Simulation {
    pub(super) estate: Arc<Estate>,
    pub(super) base: Timestamp,
    /// Seconds since `base`.
    pub(super) tick: i64,
    pub(super) tenants: Vec<Tenant>,
    /// Primaries, each with its replica.
    pub(super) instances: BTreeMap<SourceId, Instance>,
    pub(super) redis: BTreeMap<SourceId, Redis>,
    pub(super) edges: BTreeMap<SourceId, Edge>,
    pub(super) nodes: Nodes,
    /// What was told to people outside, oldest first, until the exercise takes note of it.
    pub(super) told: Vec<String>,
    /// Certificates that are being renewed: whose, and when they are there.
    pub(super) renewals: Vec<(TenantId, i64)>,
    /// Sources that say nothing until a tick.
    pub(super) silences: BTreeMap<SourceId, Silence>,
    /// Verbs that will fail, with how often.
    pub(super) refusals: Vec<Refusal>,
}

impl Simulation {
    /// The declared estate.
    pub const fn estate(&self) -> &Arc<Estate> {
        &self.estate
    }

    /// The moment that the model has reached.
    pub fn now(&self) -> Timestamp {
        self.at(self.tick)
    }

    /// Whole seconds since the beginning.
    pub const fn elapsed_s(&self) -> i64 {
        self.tick
    }

    /// The moment of a tick.
    pub(super) fn at(&self, tick: i64) -> Timestamp {
        self.base.checked_add(SignedDuration::from_secs(tick)).unwrap_or(Timestamp::MAX)
    }

    /// The tick of a moment.
    pub(super) fn tick_of(&self, at: Timestamp) -> i64 {
        at.duration_since(self.base).as_secs()
    }

    /// Goes on by whole seconds.
    pub fn step(&mut self, seconds: u32) {
        for _ in 0..seconds {
            self.tick += 1;
            self.one_tick();
        }
    }

    fn one_tick(&mut self) {
        let tick = self.tick;
        for (id, edge) in &mut self.edges {
            let requests = self.tenants.iter().filter(|t| t.edge == *id).map(tenant::Tenant::work).sum();
            edge.step(tick, requests);
        }
        for tenant in &mut self.tenants {
            let Some(instance) = self.instances.get_mut(&tenant.instance) else { continue };
            let edge_s = self.edges.get(&tenant.edge).map_or(0.0, |edge| edge.crowding_s(tick));
            tenant.step(tick, instance, edge_s);
        }
        for (id, instance) in &mut self.instances {
            instance.step(tick, self.tenants.iter().filter(|t| t.instance == *id));
        }
        self.nodes.step(self.pods());
        self.renew(tick);
        let waiting: u64 = self.tenants.iter().map(|t| u64::from(t.jobs.depth())).sum();
        for redis in self.redis.values_mut() {
            redis.step(waiting);
        }
        self.silences.retain(|_, silence| silence.until > tick);
    }

    /// Pods of all Deployments.
    fn pods(&self) -> u32 {
        let controllers: u32 = self.edges.values().map(|e| e.controller.desired).sum();
        controllers + self.tenants.iter().map(|t| t.web.desired + t.workers.desired).sum::<u32>()
    }

    /// Certificates that are due are there.
    fn renew(&mut self, tick: i64) {
        if self.renewals.is_empty() {
            return;
        }
        let (due, later): (Vec<_>, Vec<_>) = std::mem::take(&mut self.renewals).into_iter().partition(|r| r.1 <= tick);
        self.renewals = later;
        for (id, _) in due {
            if let Some(tenant) = self.tenant_mut(&id) {
                tenant.certificate = certificates::Certificate::lasting(90, tick);
            }
        }
    }

    /// The same estate with these tenants only, for looking at them cheaply.
    pub(super) fn only(&self, tenants: &BTreeSet<TenantId>) -> Self {
        let declared = self.estate.tenants.iter().filter(|t| tenants.contains(&t.id));
        let estate = Estate {
            name: self.estate.name.clone(),
            environment: self.estate.environment,
            time_zone: self.estate.time_zone.clone(),
            tenants: declared.cloned().collect(),
        };
        Self {
            estate: Arc::new(estate),
            base: self.base,
            tick: self.tick,
            tenants: self.tenants.iter().filter(|t| tenants.contains(&t.id)).cloned().collect(),
            instances: self.instances.clone(),
            redis: self.redis.clone(),
            edges: self.edges.clone(),
            nodes: self.nodes.clone(),
            told: Vec::new(),
            renewals: Vec::new(),
            silences: self.silences.clone(),
            refusals: Vec::new(),
        }
    }

    /// The tenant of that id.
    pub(super) fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.binary_search_by(|t| t.id.cmp(id)).ok().and_then(|i| self.tenants.get(i))
    }

    /// The tenant of that id, to change it.
    pub(super) fn tenant_mut(&mut self, id: &TenantId) -> Option<&mut Tenant> {
        self.tenants.binary_search_by(|t| t.id.cmp(id)).ok().and_then(|i| self.tenants.get_mut(i))
    }

    /// The tenant whose database this is on an instance.
    pub(super) fn tenant_of_database(&mut self, instance: &SourceId, database: &str) -> Option<&mut Tenant> {
        self.tenants.iter_mut().find(|t| t.instance == *instance && t.id.as_str() == database)
    }
}
