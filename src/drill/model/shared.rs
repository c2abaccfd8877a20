//! What tenants share: PostgreSQL instances, Redis, ingresses; and sources that fall silent.

use super::tenant::Tenant;

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
    /// Its randomness.
    pub rng: fastrand::Rng,
}

impl Instance {
    /// Share of connections used.
    pub fn share(&self) -> f64 {
        f64::from(self.connections) / f64::from(self.max_connections.max(1))
    }

    /// Seconds by which every request on a crowded instance is slower.
    pub fn crowding_s(&self) -> f64 {
        (self.share() - 0.9).max(0.0) * 6.0
    }

    /// One second, after its tenants.
    pub fn step<'a>(&mut self, tenants: impl Iterator<Item = &'a Tenant>) {
        let wanted: u32 = 12 + tenants.map(Tenant::connections).sum::<u32>();
        self.connections = wanted.min(self.max_connections.saturating_sub(3));
        let aim = 0.15 + 0.5 * self.rng.f64();
        self.lag_s = (self.lag_s + (aim - self.lag_s) * 0.2).max(0.0);
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
    /// Its randomness.
    pub rng: fastrand::Rng,
}

impl Redis {
    /// One second with so many jobs waiting.
    pub fn step(&mut self, waiting: u64) {
        let noise = self.rng.u64(0..=self.base_bytes / 50);
        self.used_bytes = (self.base_bytes + noise + waiting.saturating_mul(self.job_bytes)).min(self.max_bytes);
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
}

/// A source that does not answer.
#[derive(Clone, Debug)]
pub struct Silence {
    /// Until this tick.
    pub until: i64,
}
