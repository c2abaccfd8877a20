//! Odoo, read from a tenant's database or told by its own API: OCA `queue_job`, `ir_cron`, `ir_module_module`.

use super::Missing;
use serde::{Deserialize, Serialize};

/// One tenant's Odoo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OdooFacts {
    /// Version of module `base`, which is Odoo's; empty where it may not be read.
    pub version: String,
    /// Job channels, by name; `None` when the module `queue_job` is not installed, or its table may not be read
    /// (then `missing` says so).
    pub channels: Option<Vec<Channel>>,
    /// Whether `queue_job` is installed and may not be read: then nobody knows whether jobs wait.
    #[serde(default)]
    pub queue_unseen: bool,
    /// Seconds after which a started job counts as a zombie.
    pub zombie_after_s: f64,
    /// Whether running jobs hold a lock on their row of `queue_job_lock`, so that the server itself can tell a
    /// zombie from a job that still runs.
    pub job_locks: bool,
    /// Crons; `None` when they may not be read (then `missing` says so).
    pub crons: Option<Crons>,
    /// Modules in a state like `to upgrade`; any halts the crons. `None` when they may not be read.
    pub modules_pending: Option<u32>,
    /// Sales orders confirmed in the last hour; `None` where that is not installed, not readable, or costly to ask.
    #[serde(default)]
    pub orders_hour: Option<u32>,
    /// People seen in the last five minutes; `None` for the same reasons.
    #[serde(default)]
    pub sessions_active: Option<u32>,
    /// The newest run of the scheduler that plans procurement and production; `None` where Odoo records none (before 18)
    /// or it may not be read.
    #[serde(default)]
    pub planning: Option<Planning>,
    /// Who may come near the database.
    #[serde(default)]
    pub access: Option<Access>,
    /// Room that large tables and indexes take and do not need, at most ten minutes old; `None` where it could not be asked.
    #[serde(default)]
    pub bloat: Option<Bloat>,
    /// Rights that are missing.
    pub missing: Vec<Missing>,
}

/// The crons of one Odoo.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Crons {
    /// Active ones.
    pub active: u32,
    /// Active ones whose `nextcall` is more than ten minutes ago.
    pub late: u32,
    /// Seconds by which the latest of all active ones is late; zero when none is.
    pub lateness_s: f64,
    /// Name of that one.
    pub latest: Option<String>,
    /// Active ones with `failure_count >= 3`.
    pub failing: u32,
}

impl OdooFacts {
    /// What may not be read of jobs and crons, as a person would say it.
    pub const fn unseen(&self) -> Option<&'static str> {
        match (self.queue_unseen, self.crons.is_none()) {
            (true, true) => Some("jobs and crons can not be seen: rights are missing"),
            (true, false) => Some("jobs can not be seen: a right is missing"),
            (false, true) => Some("crons can not be seen: a right is missing"),
            (false, false) => None,
        }
    }
}

/// Room that tables and indexes of 10 MiB and more take and do not need, from statistics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Bloat {
    /// Greatest share of dead rows in a table.
    pub dead_share: f64,
    /// Greatest share of a table or index that lies empty, by estimate; `None` where none could be judged.
    pub share: Option<f64>,
    /// Bytes that lie empty in all that could be judged.
    pub bytes: Option<f64>,
    /// The worst ones by name, and what could not be judged, one sentence each.
    pub said: Vec<String>,
}

/// A run of the scheduler, from `ir_cron_progress`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Planning {
    /// Seconds that it took, or takes so far.
    pub took_s: f64,
    /// Whether it has ended.
    pub ended: bool,
}

/// Who may come near a tenant's database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// Its owner.
    pub owner: String,
    /// Whether the owner owns no other database.
    pub own_role: bool,
    /// Owners of other databases that may connect to it; at most 20.
    pub foreign: Vec<String>,
}

/// One `queue_job` channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Full name: `root.wms`.
    pub name: String,
    /// Jobs in state `pending`.
    pub pending: u32,
    /// Jobs in state `enqueued`.
    pub enqueued: u32,
    /// Jobs in state `started`.
    pub started: u32,
    /// Jobs in state `failed`.
    pub failed: u32,
    /// Jobs done in the last ten minutes.
    pub done_10m: u32,
    /// Seconds since the oldest pending or enqueued job was due (`coalesce(eta, date_created)`).
    pub oldest_due_s: Option<f64>,
    /// Started jobs beyond the time limit: nobody works on them any more.
    pub zombies: u32,
}

impl Channel {
    /// Jobs that wait for a worker.
    pub const fn depth(&self) -> u32 {
        self.pending.saturating_add(self.enqueued)
    }
}
