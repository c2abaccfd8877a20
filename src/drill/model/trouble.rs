//! What else can be wrong with a tenant: a leak, a storm of connections or writes, slow planning, spoiled data, logins
//! that fail, a wrong route, an export that nobody ordered.

use super::jobs::Jobs;
use super::pods::Deployment;

/// Memory of a worker at which it is killed, in MiB.
const WORKER_LIMIT_MB: f64 = 2048.0;
/// What a fresh worker takes.
const WORKER_BASE_MB: f64 = 420.0;

/// Why people can not log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// The identity provider does not answer.
    Identity,
    /// The way to the tenant is broken.
    Network,
    /// Object storage does not answer.
    Storage,
}

/// Everything that is wrong.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Trouble {
    /// Memory of one worker in MiB.
    pub worker_mb: f64,
    /// MiB a second that a worker of the leaking image loses.
    pub leak_mb: f64,
    /// That image.
    pub leaking_image: String,
    /// Connections that something opens and does not give back.
    pub connections: u32,
    /// Seconds a second by which its writes hold replicas back.
    pub writes: f64,
    /// Seconds of one worker that a planning run still needs.
    pub planning_s: f64,
    /// Seconds that the last planning run took, or the one that runs has taken so far.
    pub planned_s: f64,
    /// Whether one runs.
    planning: bool,
    /// Tick since which its data is spoiled.
    pub spoiled: Option<i64>,
    /// Whether the volume of its database returns wrong blocks.
    pub corrupt: bool,
    /// Tick since which a table is gone.
    pub dropped: Option<i64>,
    /// What scanners send, as a multiple of the usual.
    pub scans: f64,
    /// Why people can not log in.
    pub access: Option<Access>,
    /// Whether the region that it runs in is gone.
    pub region_down: bool,
    /// Whether its router points to a service that is not its own.
    pub misrouted: bool,
    /// Whether somebody takes data out with a stolen key.
    pub stolen_key: bool,
    /// API keys that are in force.
    pub keys: u32,
}

impl Default for Trouble {
    fn default() -> Self {
        Self {
            worker_mb: WORKER_BASE_MB,
            leak_mb: 0.0,
            leaking_image: String::new(),
            connections: 0,
            writes: 0.0,
            planning_s: 0.0,
            planned_s: 240.0,
            planning: false,
            spoiled: None,
            corrupt: false,
            dropped: None,
            scans: 1.0,
            access: None,
            region_down: false,
            misrouted: false,
            stolen_key: false,
            keys: 4,
        }
    }
}

impl Trouble {
    /// Requests as a multiple of what people make.
    pub const fn requests(&self) -> f64 {
        if self.stolen_key { 3.0 * self.scans } else { self.scans }
    }

    /// By how much what scanners send is more than the web pods carry: 0 when they carry it, 1 at twice as much.
    pub fn beyond(&self, pods: u32, usual: u32) -> f64 {
        if self.scans <= 1.0 {
            return 0.0;
        }
        // At rest a pod has room for six tenths more than it gets.
        let carried = 1.6 * f64::from(pods) / f64::from(usual.max(1));
        (self.scans / carried.max(0.1) - 1.0).clamp(0.0, 3.0)
    }

    /// Share of requests that fail by it.
    pub fn failing(&self) -> f64 {
        let by = [
            (self.misrouted, 1.0),
            (self.spoiled.is_some(), 0.08),
            (self.corrupt, 0.15),
            (self.dropped.is_some(), 0.35),
            (self.access == Some(Access::Storage), 0.2),
        ];
        by.iter().filter(|(is, _)| *is).map(|(_, share)| share).sum()
    }

    /// Share of requests that are turned away by it; a broken way is no trouble for who comes another way.
    pub const fn refused(&self, elsewhere: bool) -> f64 {
        match self.access {
            Some(Access::Identity) => 0.5,
            Some(Access::Network) if !elsewhere => 0.7,
            Some(Access::Network | Access::Storage) | None => 0.0,
        }
    }

    /// Part of the workers' speed that a planning run leaves to jobs; it gets on by what the workers do for it, which is
    /// little while crons that nobody waits for take a part of them.
    pub fn leaves(&mut self, workers: f64, crons_run: bool) -> f64 {
        if self.planning_s <= 0.0 {
            self.planning = false;
            return 1.0;
        }
        if !std::mem::replace(&mut self.planning, true) {
            self.planned_s = 0.0;
        }
        self.planned_s += 1.0;
        let (planning, jobs) = if crons_run { (0.2, 0.04) } else { (0.7, 0.2) };
        self.planning_s -= workers * planning;
        jobs
    }

    /// Workers were replaced: each begins with little memory again.
    pub const fn recycled(&mut self) {
        self.worker_mb = WORKER_BASE_MB;
    }

    /// One second.
    pub fn step(&mut self, workers: &mut Deployment, tick: i64) {
        if workers.image == self.leaking_image {
            self.worker_mb += self.leak_mb;
        }
        if self.worker_mb >= WORKER_LIMIT_MB {
            // The kernel kills them all within a short time: they were started together.
            workers.oom_killed = workers.oom_killed.saturating_add(workers.desired);
            workers.replace_one(tick);
            self.recycled();
        }
    }

    /// Jobs fail on spoiled data or for want of a table, until the database is one from before.
    pub fn spoils(&mut self, jobs: &mut Jobs, tick: i64, cut_over: Option<i64>) {
        for wrong in [&mut self.spoiled, &mut self.dropped] {
            if wrong.is_some_and(|since| cut_over.is_some_and(|to| to < since)) {
                *wrong = None;
            }
        }
        self.corrupt &= cut_over.is_none();
        if self.spoiled.is_none() && self.dropped.is_none() && !self.corrupt {
            return;
        }
        if tick % 10 == 0
            && let Some(first) = jobs.channels.first_mut()
        {
            first.failed = first.failed.saturating_add(1);
        }
    }
}
