//! One lock chain in a tenant's database: a deploy job holds a table, requests and jobs pile up behind it, and
//! drain when it is gone.

use super::shared::Pids;

/// Sessions that leave a second once the lock is free.
const DRAIN_PER_S: usize = 2;
/// Seconds that rolling back a terminated transaction takes.
const ROLLBACK_S: i64 = 4;
/// Sessions of one chain at most: a client pool has an end.
const MOST: usize = 150;

/// Whose request waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person's.
    Web,
    /// A job's.
    Job,
}

/// A session that waits behind the root.
#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    /// Process id.
    pub pid: i32,
    /// Tick at which its backend started.
    pub backend_start: i64,
    /// Tick since which it waits.
    pub since: i64,
    /// Whose it is.
    pub kind: Kind,
}

/// The lock and who stands behind it.
#[derive(Clone, Debug)]
pub struct Lock {
    /// Process id of the root.
    pub pid: i32,
    /// Tick at which it started.
    pub backend_start: i64,
    /// Whether the root sits idle in its transaction: then there is no query to cancel.
    pub idle: bool,
    /// Table that it holds.
    pub table: String,
    /// `application_name` of the root.
    pub application: String,
    /// Waiting sessions, oldest first.
    pub waiters: Vec<Waiter>,
    /// Tick at which the root was told to end.
    ended: Option<i64>,
    web: f64,
    job: f64,
}

/// What a tick did to the waiting jobs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Drained {
    /// Jobs that got their lock and finish.
    pub jobs: u32,
}

impl Lock {
    /// A root takes the table.
    pub fn new(pids: &mut Pids, tick: i64, table: String, application: String, idle: bool) -> Self {
        Self {
            pid: pids.next(),
            backend_start: tick,
            idle,
            table,
            application,
            waiters: Vec::new(),
            ended: None,
            web: 0.0,
            job: 0.0,
        }
    }

    /// Whether the root still holds the table.
    pub fn held(&self, tick: i64) -> bool {
        self.ended.is_none_or(|ended| tick < ended + ROLLBACK_S)
    }

    /// Whether its session can still be seen.
    pub const fn root_is_there(&self) -> bool {
        self.ended.is_none()
    }

    /// The root is told to end.
    pub fn terminate(&mut self, tick: i64) {
        self.ended.get_or_insert(tick);
    }

    /// Waiting sessions of a kind.
    pub fn waiting(&self, kind: Kind) -> u32 {
        u32::try_from(self.waiters.iter().filter(|w| w.kind == kind).count()).unwrap_or(u32::MAX)
    }

    /// Whether nothing is left of it.
    pub fn over(&self, tick: i64) -> bool {
        !self.held(tick) && self.waiters.is_empty()
    }

    /// One second: `web` and `job` sessions a second want the table.
    pub fn step(&mut self, tick: i64, web: f64, job: f64, pids: &mut Pids) -> Drained {
        if !self.held(tick) {
            let leaving = DRAIN_PER_S.min(self.waiters.len());
            let gone: Vec<Waiter> = self.waiters.drain(..leaving).collect();
            let jobs = gone.iter().filter(|w| w.kind == Kind::Job).count();
            return Drained { jobs: u32::try_from(jobs).unwrap_or(u32::MAX) };
        }
        self.web += web.max(0.0);
        self.job += job.max(0.0);
        while self.web >= 1.0 && self.waiters.len() < MOST {
            self.web -= 1.0;
            self.push(tick, Kind::Web, pids);
        }
        while self.job >= 1.0 && self.waiters.len() < MOST {
            self.job -= 1.0;
            self.push(tick, Kind::Job, pids);
        }
        Drained::default()
    }

    fn push(&mut self, tick: i64, kind: Kind, pids: &mut Pids) {
        let pid = pids.next();
        // Odoo keeps connections: the backend is older than its wait.
        self.waiters.push(Waiter { pid, backend_start: tick - 300 - i64::from(pid % 900), since: tick, kind });
    }

    /// One waiting session is cancelled or ended.
    pub fn remove(&mut self, pid: i32, backend_start: i64) -> Option<Kind> {
        let at = self.waiters.iter().position(|w| w.pid == pid && w.backend_start == backend_start)?;
        Some(self.waiters.remove(at).kind)
    }

    /// The workers that hold these sessions are gone; answers how many jobs that were.
    pub fn workers_gone(&mut self) -> u32 {
        let jobs = self.waiting(Kind::Job);
        self.waiters.retain(|w| w.kind != Kind::Job);
        jobs
    }
}
