//! The verbs of the simulated Redis servers.

use super::effect::{Aim, Done, Effect, Look, http, sql};
use super::given::Given;
use crate::domain::id::SourceId;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use crate::drill::model::build::CLUSTER;
use crate::drill::model::shared::Redis;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect {
        name: "redis.bgsave",
        aim: save_aim,
        act: save,
        stands: |g, s| redis(g, s).is_ok_and(|r| r.saved.is_some()),
    },
    Effect { name: "redis.memory_purge", aim: purge_aim, act: purge, stands: |_, _| false },
    Effect { name: "redis.set_maxmemory", aim: limit_aim, act: set_limit, stands: limited },
    Effect {
        name: "redis.delete_matching",
        aim: delete_aim,
        act: delete,
        stands: |g, s| redis(g, s).is_ok_and(|r| r.left_bytes == 0),
    },
    Effect {
        name: "redis.flush_db",
        aim: flush_aim,
        act: flush,
        stands: |g, s| redis(g, s).is_ok_and(Redis::is_empty),
    },
    Effect {
        name: "redis.restart",
        aim: restart_aim,
        act: restart,
        stands: |g, s| redis(g, s).is_ok_and(|r| r.starting_s > 0),
    },
    Effect {
        name: "redis.failover",
        aim: failover_aim,
        act: failover,
        stands: |g, s| redis(g, s).is_ok_and(|r| r.failed_over),
    },
];

pub(super) static LOOKS: &[Look] = &[Look { name: "redis.info", aim: info_aim, tell: info }];

fn redis<'s>(given: &Given<'_>, sim: &'s Simulation) -> Result<&'s Redis, VerbError> {
    let name = given.text("redis")?;
    let found = sim.redis.get(&SourceId::new(&*name));
    found.ok_or_else(|| VerbError::new(format!("there is no Redis {}", sanitize(&name))))
}

fn redis_mut<'s>(given: &Given<'_>, sim: &'s mut Simulation) -> Result<&'s mut Redis, VerbError> {
    let name = given.text("redis")?;
    let found = sim.redis.get_mut(&SourceId::new(&*name));
    found.ok_or_else(|| VerbError::new(format!("there is no Redis {}", sanitize(&name))))
}

/// A command, with the run of the server that it was shown with.
fn command(given: &Given<'_>, sim: &Simulation, text: String) -> Result<Aim, VerbError> {
    let (name, redis) = (given.text("redis")?, redis(given, sim)?);
    let by_hand = format!("redis-cli -h {name}.redis.example {text}");
    let aim = Aim::at(&*name, format!("Redis {name} ({})", redis.purpose), sql("0", text, Vec::new()));
    Ok(Aim { identity: redis.run_id.clone(), ..aim }.bound(json!({ "run_id": redis.run_id })).by_hand(by_hand))
}

fn save_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    Ok(command(given, sim, "BGSAVE".into())?
        .means("nobody, but for the memory that the fork takes", "need not be taken back"))
}

fn save(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let tick = sim.elapsed_s();
    redis_mut(given, sim)?.saved = Some(tick);
    Ok((json!({ "started": true }), "Background saving started".into()))
}

fn purge_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    Ok(command(given, sim, "MEMORY PURGE".into())?.means("nobody: no key is touched", "need not be taken back"))
}

fn purge(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let redis = redis_mut(given, sim)?;
    // What the allocator held without a key in it.
    redis.left_bytes -= redis.left_bytes / 20;
    Ok((json!({ "purged": true }), "the server said OK".into()))
}

/// Bytes, also as `512mb` or `2gb`.
fn bytes(given: &Given<'_>) -> Result<u64, VerbError> {
    let text = given.text("bytes")?.to_ascii_lowercase();
    let (number, shift) = match () {
        () if text.ends_with("gb") => (text.trim_end_matches("gb"), 30),
        () if text.ends_with("mb") => (text.trim_end_matches("mb"), 20),
        () if text.ends_with("kb") => (text.trim_end_matches("kb"), 10),
        () => (text.as_str(), 0),
    };
    let wrong = || VerbError::new(format!("the argument bytes is {}; allowed are bytes, 512mb, 2gb", sanitize(&text)));
    number
        .trim()
        .parse::<u64>()
        .ok()
        .filter(|n| (1..1 << 30).contains(n) || shift == 0)
        .map(|n| n << shift)
        .filter(|n| *n > 0)
        .ok_or_else(wrong)
}

fn limit_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (redis, wanted) = (redis(given, sim)?, bytes(given)?);
    let aim = command(given, sim, format!("CONFIG SET maxmemory {wanted}"))?;
    let hurts = if wanted < redis.used_bytes {
        "writes are refused at once: more is used than is allowed then"
    } else {
        "nobody, as long as the machine has the memory"
    };
    Ok(aim
        .bound(json!({ "run_id": redis.run_id, "maxmemory": redis.max_bytes }))
        .means(hurts, format!("the same with bytes = {}", redis.max_bytes)))
}

fn set_limit(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let wanted = bytes(given)?;
    let redis = redis_mut(given, sim)?;
    let before = std::mem::replace(&mut redis.max_bytes, wanted);
    redis.used_bytes = redis.used_bytes.min(wanted);
    Ok((json!({ "maxmemory": wanted, "before": before }), format!("{wanted} bytes are allowed now")))
}

fn limited(given: &Given<'_>, sim: &Simulation) -> bool {
    redis(given, sim).is_ok_and(|r| bytes(given) == Ok(r.max_bytes))
}

fn delete_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (redis, pattern) = (redis(given, sim)?, given.text("pattern")?);
    if pattern == "*" {
        return Err(VerbError::new("the pattern * would delete everything; that is redis.flush_db"));
    }
    let count = redis.left_keys();
    let aim = command(given, sim, format!("SCAN 0 MATCH {pattern} and UNLINK what is found"))?;
    Ok(Aim { count, ..aim }.means(format!("whoever still needs one of these {count} keys"), "can not be taken back"))
}

fn delete(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let redis = redis_mut(given, sim)?;
    let deleted = redis.left_keys();
    redis.left_bytes = 0;
    Ok((json!({ "deleted": deleted, "left": 0 }), format!("{deleted} keys deleted")))
}

fn flush_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (redis, purpose) = (redis(given, sim)?, given.text("purpose")?);
    if purpose != redis.purpose {
        let name = given.text("redis")?;
        return Err(VerbError::new(format!("{name} is for {}, not for {}", redis.purpose, sanitize(&purpose))));
    }
    let aim = command(given, sim, "FLUSHDB ASYNC".into())?.tenants(sim.tenants.iter().map(|t| t.id.clone()));
    let hurts = match redis.purpose {
        "session" => "everybody is logged out, and unsaved forms are lost",
        _ => "what stands in the queue is lost, unless it also stands in a database",
    };
    Ok(aim.means(hurts, "can not be taken back"))
}

fn flush(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let redis = redis_mut(given, sim)?;
    let keys = redis.left_keys() + redis.base_bytes / 4096;
    (redis.left_bytes, redis.base_bytes) = (0, 1 << 20);
    redis.used_bytes = redis.base_bytes;
    if redis.purpose == "session" {
        sim.told.push("all sessions are gone: people log in again".into());
    }
    Ok((json!({ "deleted": keys }), format!("{keys} keys deleted")))
}

fn restart_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let (name, redis) = (given.text("redis")?, redis(given, sim)?);
    let path = format!("/apis/apps/v1/namespaces/redis/statefulsets/{name}");
    let body = json!({ "restartedAt": sim.now().to_string(), "redis-before-restart": redis.run_id });
    let aim = Aim::at(CLUSTER, format!("Redis {name} in StatefulSet redis/{name}"), http("PATCH", path, &body));
    let hurts = format!("everyone who uses {name}: its pod is replaced, and what is not on disk is lost");
    Ok(Aim { identity: redis.run_id.clone(), ..aim }
        .bound(json!({ "run_id": redis.run_id }))
        .by_hand(format!("kubectl -n redis rollout restart statefulset/{name}"))
        .tenants(sim.tenants.iter().map(|t| t.id.clone()))
        .means(hurts, "can not be taken back"))
}

fn restart(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let redis = redis_mut(given, sim)?;
    let before = redis.run_id.clone();
    // It comes back with what it had on disk, under another run id.
    redis.run_id = before.chars().rev().collect();
    redis.starting_s = 5;
    Ok((json!({ "before": before }), "the rollout begins".into()))
}

fn failover_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    let name = given.text("redis")?;
    let aim = command(given, sim, format!("SENTINEL FAILOVER {name}"))?;
    Ok(aim.tenants(sim.tenants.iter().map(|t| t.id.clone())).means(
        "every client is cut off for some seconds; writes that the replica has not received are lost",
        "another failover goes back; lost writes stay lost",
    ))
}

fn failover(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    let redis = redis_mut(given, sim)?;
    let before = redis.run_id.clone();
    // The replica is another process with its own run id, and comes without what its primary had hoarded.
    redis.run_id = before.chars().rev().collect();
    redis.failed_over = true;
    redis.starting_s = 5;
    Ok((json!({ "before": before }), "the sentinels replace the primary".into()))
}

fn info_aim(given: &Given<'_>, sim: &Simulation) -> Result<Aim, VerbError> {
    command(given, sim, "INFO".into())
}

fn info(given: &Given<'_>, sim: &Simulation) -> Result<Done, VerbError> {
    let r = redis(given, sim)?;
    let mib = |bytes: u64| bytes >> 20;
    let result: Value = json!({
        "run_id": r.run_id, "role": "master", "is_primary": true, "used_memory": r.used_bytes, "maxmemory": r.max_bytes,
        "maxmemory_policy": "noeviction", "evicted_keys": crate::drill::model::jobs::whole_number(r.evicted_per_s),
        "loading": u8::from(r.starting_s > 0), "connected_clients": 96, "blocked_clients": 8, "connected_slaves": 1,
        "master_link_status": "up", "rdb_last_bgsave_status": "ok",
    });
    Ok((result, format!("master, {} of {} MiB used (noeviction)", mib(r.used_bytes), mib(r.max_bytes))))
}
