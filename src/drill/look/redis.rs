//! Facts of the simulated Redis.

use crate::domain::facts::redis::RedisFacts;
use crate::drill::model::shared::Redis;

pub(super) fn facts(redis: &Redis) -> RedisFacts {
    RedisFacts {
        run_id: redis.run_id.clone(),
        version: "8.2.1".into(),
        role: "master".into(),
        used_memory_bytes: redis.used_bytes,
        maxmemory_bytes: Some(redis.max_bytes),
        maxmemory_policy: "noeviction".into(),
        evicted_per_s: Some(redis.evicted_per_s),
        rejected_connections: 0,
        clients: 96,
        max_clients: Some(10_000),
        blocked_clients: 8,
        ops_per_s: redis.ops,
        replicas: 1,
        lag_s: Some(0.0),
        last_bgsave_ok: Some(true),
        last_aof_ok: Some(true),
        latest_fork_ms: Some(3.1),
        loading: redis.starting_s > 0,
        ..RedisFacts::default()
    }
}
