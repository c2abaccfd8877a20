//! Readings of Redis.

use super::{Out, flag};
use crate::domain::facts::RedisFacts;
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;

#[expect(clippy::cast_precision_loss, reason = "bytes and counters are shown with three digits")]
pub(super) fn read(facts: &RedisFacts, before: Option<&RedisFacts>, source: &SourceId, out: &mut Out) {
    let subject = Subject::Redis { source: source.clone() };
    if let Some(max) = facts.maxmemory_bytes.filter(|max| *max > 0) {
        out.push(&subject, "redis.memory_share", facts.used_memory_bytes as f64 / max as f64);
    }
    out.maybe(&subject, "redis.evictions", facts.evicted_per_s);
    out.push(&subject, "redis.blocked_clients", f64::from(facts.blocked_clients));
    out.maybe(&subject, "redis.fork", facts.latest_fork_ms.map(|ms| ms / 1000.0));
    out.maybe(&subject, "redis.slow", facts.slow_commands.map(f64::from));
    out.maybe(&subject, "redis.latency", facts.worst_stall_s);
    for key in &facts.keys {
        let of = Subject::Key { source: source.clone(), key: key.key.as_str().into() };
        out.push(&of, "redis.length", key.length as f64);
        out.maybe(&of, "redis.stream_pending", key.pending.map(|n| n as f64));
        out.maybe(&of, "redis.stream_lag", key.lag.map(|n| n as f64));
    }
    let persistent: Vec<bool> = [facts.last_bgsave_ok, facts.last_aof_ok].into_iter().flatten().collect();
    if !persistent.is_empty() {
        out.push(&subject, "redis.persistence", flag(persistent.iter().all(|ok| *ok)));
    }
    if facts.role == "master" {
        out.push(&subject, "redis.replicas", f64::from(facts.replicas));
    }
    out.maybe(&subject, "redis.link", facts.master_link_up.map(flag));
    // The counter starts again with the process.
    if let Some(before) = before.filter(|b| b.run_id == facts.run_id) {
        let refused = facts.rejected_connections.saturating_sub(before.rejected_connections);
        out.push(&subject, "redis.rejected", refused as f64);
    }
}
