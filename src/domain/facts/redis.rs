//! Redis: `INFO`.

use super::Missing;
use serde::{Deserialize, Serialize};

/// One Redis instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RedisFacts {
    /// `run_id`.
    pub run_id: String,
    /// `redis_version`.
    pub version: String,
    /// `role`: master or slave.
    pub role: String,
    /// `used_memory` in bytes.
    pub used_memory_bytes: u64,
    /// `maxmemory` in bytes; `None` when there is no limit.
    pub maxmemory_bytes: Option<u64>,
    /// `maxmemory_policy`.
    pub maxmemory_policy: String,
    /// `evicted_keys` a second since the sample before; `None` at the first sample.
    pub evicted_per_s: Option<f64>,
    /// `rejected_connections` since start.
    pub rejected_connections: u64,
    /// `connected_clients`.
    pub clients: u32,
    /// `maxclients`.
    pub max_clients: Option<u32>,
    /// `blocked_clients`.
    pub blocked_clients: u32,
    /// `instantaneous_ops_per_sec`.
    pub ops_per_s: f64,
    /// `connected_slaves`.
    pub replicas: u32,
    /// On a replica: `master_link_status` is `up`.
    pub master_link_up: Option<bool>,
    /// On a replica: `master_last_io_seconds_ago`; on a primary: greatest `lag` of its replicas.
    pub lag_s: Option<f64>,
    /// `rdb_last_bgsave_status` is `ok`.
    pub last_bgsave_ok: Option<bool>,
    /// `aof_last_write_status` is `ok`.
    pub last_aof_ok: Option<bool>,
    /// `latest_fork_usec` in milliseconds.
    pub latest_fork_ms: Option<f64>,
    /// `loading` is 1.
    pub loading: bool,
    /// Commands that went into the slow log since the sample before; `None` at the first sample.
    pub slow_commands: Option<u32>,
    /// The slowest of them, sanitised, cut.
    pub slowest: Option<String>,
    /// The worst stall of the last five minutes in seconds; zero when there was none, `None` where the latency
    /// monitor is off.
    pub worst_stall_s: Option<f64>,
    /// Lists and streams that are configured.
    pub keys: Vec<KeyFacts>,
    /// What the sentinels say, when configured: address of the primary they agree on.
    pub sentinel_primary: Option<String>,
    /// Rights that are missing.
    pub missing: Vec<Missing>,
}

/// A list or a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// The key.
    pub key: String,
    /// `LLEN` or `XLEN`; zero for a key that there is not.
    pub length: u64,
    /// Of the worst group of a stream: given out and not acknowledged.
    pub pending: Option<u64>,
    /// Of the worst group of a stream: not given out yet; `None` where Redis can not tell.
    pub lag: Option<u64>,
}
