//! What tenants share: PostgreSQL instances, Redis, ingresses; and sources that fall silent.

use super::backups::Backups;
use super::pair::{Pair, Route};
use super::roles::Roles;
use super::tenant::Tenant;
use super::volume::Volume;

/// Process ids of one instance.
#[derive(Clone, Debug)]
pub struct Pids(i32);

impl Pids {
    /// Starts somewhere.
    pub const fn new(first: i32) -> Self {
        Self(first)
    }

    /// The next one; ids wrap as an operating system's do.
    pub const fn next(&mut self) -> i32 {
        self.0 = if self.0 > 4_000_000 { 1_000 } else { self.0 + 3 };
        self.0
    }
}

/// A primary with its replica.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Process ids.
    pub pids: Pids,
    /// `system_identifier`.
    pub system_identifier: String,
    /// `max_connections`.
    pub max_connections: u32,
    /// Connections now.
    pub connections: u32,
    /// Replay lag of the replica in seconds.
    pub lag_s: f64,
    /// Which of its two servers does what.
    pub pair: Pair,
    /// Its backups.
    pub backups: Backups,
    /// What its data lies on.
    pub volume: Volume,
    /// Its roles.
    pub roles: Roles,
    /// Checkpoints that were asked for.
    pub checkpoints: u32,
    /// Demand of its tenants as a multiple of the usual, 1 at rest.
    pub load: f64,
    /// Its randomness.
    pub rng: fastrand::Rng,
}

impl Instance {
    /// Share of connections used.
    pub fn share(&self) -> f64 {
        f64::from(self.connections) / f64::from(self.max_connections.max(1))
    }

    /// Tick of the moment that the copy shows to which a database was cut over.
    pub fn cut_over(&self, database: &str) -> Option<i64> {
        match self.pair.route_of(database) {
            Route::Aside(name) => self.backups.aside(name).map(|aside| aside.to),
            Route::First | Route::Second => None,
        }
    }

    /// Seconds by which every request on a crowded instance is slower: by connections, or by work.
    pub fn crowding_s(&self) -> f64 {
        (self.share() - 0.9).max(0.0) * 6.0 + (self.load - 2.0).clamp(0.0, 4.0) * 0.8
    }

    /// One second, after its tenants.
    pub fn step<'a>(&mut self, tick: i64, tenants: impl Iterator<Item = &'a Tenant>) {
        let (mut wanted, mut asked, mut usual, mut writes) = (12_u32, 0.0, 0.0, 0.0);
        for tenant in tenants {
            wanted = wanted.saturating_add(tenant.connections());
            asked += tenant.work();
            usual += tenant.usual.requests;
            writes += tenant.write_storm();
        }
        self.connections = wanted.min(self.max_connections.saturating_sub(3));
        self.load = if usual > 0.0 { asked / usual } else { 1.0 };
        self.backups.step(tick);
        self.volume.step();
        // PostgreSQL that can not write its WAL stops.
        self.pair.down |= self.volume.is_full();
        if self.pair.step(tick) {
            self.lag_s = 0.3;
        }
        let aim = 0.15 + 0.5 * self.rng.f64();
        if !self.pair.receiving || writes > 0.0 {
            // A replica that receives nothing falls behind by the second, one that can not follow by a part of it.
            self.lag_s += if self.pair.receiving { writes.min(1.0) } else { 1.0 };
        } else {
            self.lag_s = (self.lag_s + (aim - self.lag_s) * 0.2).max(0.0);
        }
    }
}

/// One Redis primary.
#[derive(Clone, Debug)]
pub struct Redis {
    /// What it is for.
    pub purpose: &'static str,
    /// `run_id`.
    pub run_id: String,
    /// `maxmemory`.
    pub max_bytes: u64,
    /// `used_memory`.
    pub used_bytes: u64,
    /// What it holds at rest.
    pub base_bytes: u64,
    /// Bytes for each waiting job.
    pub job_bytes: u64,
    /// Operations a second.
    pub ops: f64,
    /// Bytes that a client which does not clean up leaves behind, and how many a second.
    pub left_bytes: u64,
    /// Bytes a second of it.
    pub leak_bytes: u64,
    /// Keys evicted a second, for want of memory.
    pub evicted_per_s: f64,
    /// Whether the replica took over.
    pub failed_over: bool,
    /// Tick of its last snapshot that was asked for.
    pub saved: Option<i64>,
    /// Seconds until it has started again.
    pub starting_s: u32,
    /// Its randomness.
    pub rng: fastrand::Rng,
}

impl Redis {
    /// Keys that were left behind, of four kilobytes each.
    pub const fn left_keys(&self) -> u64 {
        self.left_bytes / 4096
    }

    /// Whether nothing but a little is in it.
    pub const fn is_empty(&self) -> bool {
        self.base_bytes <= 1 << 20 && self.left_bytes == 0
    }

    /// One second with so many jobs waiting.
    pub fn step(&mut self, waiting: u64) {
        self.starting_s = self.starting_s.saturating_sub(1);
        self.left_bytes = self.left_bytes.saturating_add(self.leak_bytes).min(self.max_bytes);
        let noise = self.rng.u64(0..=self.base_bytes / 50);
        let wanted = self.base_bytes + noise + waiting.saturating_mul(self.job_bytes) + self.left_bytes;
        self.evicted_per_s = if wanted > self.max_bytes { 40.0 + 20.0 * self.rng.f64() } else { 0.0 };
        self.used_bytes = wanted.min(self.max_bytes);
        let aim = 900.0 + 300.0 * self.rng.f64();
        self.ops += (aim - self.ops) * 0.3;
    }
}

/// One ingress.
#[derive(Clone, Debug)]
pub struct Edge {
    /// Tick of the last good reload.
    pub reloaded: i64,
    /// Reloads so far.
    pub reloads: u64,
    /// Pods of the ingress controller.
    pub controller: super::pods::Deployment,
    /// Requests a second that one of its pods takes.
    pub each_takes: f64,
    /// Share of clients that the load balancer sends to this region, in percent.
    pub weight: u32,
    /// Requests a second that come now.
    pub requests: f64,
}

impl Edge {
    /// Seconds by which every request through a saturated ingress is slower.
    pub fn crowding_s(&self, tick: i64) -> f64 {
        let most = f64::from(self.controller.ready(tick).max(1)) * self.each_takes;
        ((self.requests / most.max(1.0) - 1.0) * 3.0).clamp(0.0, 8.0)
    }

    /// One second, with what its tenants ask for.
    pub fn step(&mut self, tick: i64, requests: f64) {
        self.controller.step(tick);
        self.requests = requests;
    }
}

/// A source that does not answer.
#[derive(Clone, Debug)]
pub struct Silence {
    /// Until this tick.
    pub until: i64,
}
