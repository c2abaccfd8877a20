//! PostgreSQL: `pg_stat_activity`, `pg_blocking_pids()`, `pg_stat_replication`, `pg_stat_database`,
//! `pg_control_system()`; and `PgBouncer`'s `SHOW POOLS`.

use super::Missing;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One PostgreSQL instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PostgresFacts {
    /// `pg_control_system().system_identifier`.
    pub system_identifier: String,
    /// `server_version`.
    pub version: String,
    /// `pg_is_in_recovery()`.
    pub in_recovery: bool,
    /// Timeline from `pg_control_checkpoint()`.
    pub timeline: Option<u32>,
    /// Client connections now.
    pub connections: u32,
    /// `max_connections`.
    pub max_connections: u32,
    /// On a replica: seconds since the last replayed commit, zero when all received WAL is replayed.
    pub replay_lag_s: Option<f64>,
    /// On a replica: state of the WAL receiver; `None` when none runs.
    pub wal_receiver: Option<String>,
    /// On a primary: its standbys.
    pub standbys: Vec<Standby>,
    /// Sessions that matter: blocked, blocking, long or idle in transaction; at most 500.
    pub sessions: Vec<Session>,
    /// Seconds that a block took which PostgreSQL had to read, since the sample before; `None` while few are read or
    /// `track_io_timing` is off.
    #[serde(default)]
    pub read_latency_s: Option<f64>,
    /// Per database: sizes and counters.
    pub databases: Vec<DatabaseStat>,
    /// What changes slowly.
    pub upkeep: Upkeep,
    /// Rights that are missing.
    pub missing: Vec<Missing>,
}

/// What changes slowly, at most half a minute old; `None` where the server does not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Upkeep {
    /// Greatest `age(datfrozenxid)`.
    pub xid_age: Option<f64>,
    /// Replication slots that nobody reads.
    pub inactive_slots: Option<u32>,
    /// WAL in bytes that the slot furthest behind keeps; `None` without slots.
    pub retained_bytes: Option<f64>,
    /// Whether the newest attempt to archive failed; `None` where nothing is archived.
    pub archiver_failing: Option<bool>,
    /// Seconds since WAL was last archived; zero while none waits.
    pub archiver_age_s: Option<f64>,
    /// Seconds of work that only this server has, as far as archiving goes: zero while it is idle.
    pub rpo_s: Option<f64>,
    /// Share of checkpoints that were asked for, in ten minutes.
    pub checkpoints_requested: Option<f64>,
    /// Size of all databases in bytes, at most five minutes old.
    pub size_bytes: Option<f64>,
    /// Vacuums, index builds and base backups that run, one sentence each.
    pub maintenance: Option<Vec<String>>,
    /// Share of one processor that the heaviest statement took.
    pub heaviest_share: Option<f64>,
    /// That statement, normalised, cut.
    pub heaviest: Option<String>,
}

/// One standby, as `pg_stat_replication` on the primary shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Standby {
    /// `application_name`.
    pub name: String,
    /// `state`: streaming, catchup, ….
    pub state: String,
    /// `sync_state`.
    pub sync_state: String,
    /// `replay_lag` in seconds; `None` when the standby is idle and caught up or has not reported.
    pub replay_lag_s: Option<f64>,
    /// Sent minus replayed WAL in bytes.
    pub lag_bytes: Option<u64>,
}

/// One session of interest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// `pid`; only with `backend_start` does it name a session.
    pub pid: i32,
    /// `backend_start`; the Unix epoch when it may not be seen, which names no session.
    pub backend_start: Timestamp,
    /// `datname`.
    pub database: String,
    /// `usename`.
    pub user: String,
    /// `application_name`.
    pub application: String,
    /// `client_addr`, empty for a local socket.
    pub client: String,
    /// `state`: active, idle in transaction, ….
    pub state: String,
    /// Seconds since `xact_start`.
    pub transaction_s: Option<f64>,
    /// Seconds since `state_change`.
    pub state_s: Option<f64>,
    /// Seconds it has waited for a lock, since `waitstart` of `pg_locks` (before PostgreSQL 14 since `query_start`);
    /// only when it is blocked.
    pub waiting_s: Option<f64>,
    /// `wait_event_type:wait_event`.
    pub wait: String,
    /// `pg_blocking_pids(pid)`, without duplicates; 0 is a prepared transaction.
    pub blocked_by: Vec<i32>,
    /// The query, sanitised, at most 400 characters.
    pub query: String,
}

/// Counters of one database from `pg_stat_database`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DatabaseStat {
    /// `datname`.
    pub name: String,
    /// `numbackends`.
    pub connections: u32,
    /// Commits a second since the sample before.
    pub commits_per_s: Option<f64>,
    /// Deadlocks a minute since the sample before.
    pub deadlocks_per_min: Option<f64>,
    /// Share of block reads served from the cache since the sample before, 0 to 1.
    pub cache_hit: Option<f64>,
}

/// One `PgBouncer`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PgbouncerFacts {
    /// `SHOW VERSION`.
    pub version: String,
    /// `SHOW POOLS`.
    pub pools: Vec<Pool>,
}

/// One pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pool {
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// `cl_active`.
    pub clients_active: u32,
    /// `cl_waiting`.
    pub clients_waiting: u32,
    /// `sv_active`.
    pub servers_active: u32,
    /// `sv_idle`.
    pub servers_idle: u32,
    /// `maxwait` and `maxwait_us` in seconds.
    pub max_wait_s: f64,
}
