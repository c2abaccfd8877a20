//! Findings in words: one line that can be read aloud.

use super::condition::Value;
use super::rules::Rule;
use super::say;
use super::signals;
use crate::domain::health::Health;
use crate::domain::pane::LockNode;
use crate::domain::signal::{Subject, Unit};
use std::collections::BTreeMap;

/// A subject as it is spoken of.
pub(super) fn subject(subject: &Subject) -> String {
    match subject {
        Subject::Router { source, router, tenant: None } => format!("{router} at {source}"),
        Subject::Router { source, router, tenant: Some(tenant) } => {
            format!("{router} at {source}, which takes the host of {tenant}")
        }
        Subject::Node { source, node } => format!("{node} of {source}"),
        other => other.to_string(),
    }
}

/// What a rule saw, short: `lock chain`.
pub(super) fn title(rule: &Rule) -> String {
    match rule.name.as_str() {
        "http-errors" => "failing requests".into(),
        "http-slow" => "slow requests".into(),
        "http-refused" => "refused requests".into(),
        "workload-unavailable" => "pods missing".into(),
        "replication-broken" => "replication stopped".into(),
        name if name.starts_with("redis-") => name.replacen("redis-", "Redis ", 1),
        name => name.replace('-', " "),
    }
}

/// One value in words: `41 blocked`, `5xx 12%`.
pub(super) fn value(signal: &str, value: f64) -> String {
    let unit = signals::find(signal).map_or(Unit::Count, |s| s.unit);
    let v = say::value(value, unit);
    match signal {
        "lock.blocked" => format!("{v} blocked"),
        "lock.oldest" | "queue.oldest" => format!("oldest {v}"),
        "connections.share" => format!("{v} of connections used"),
        "transaction.longest" => format!("open for {v}"),
        "idle_in_transaction.longest" => format!("idle for {v}"),
        "deadlocks.rate" => format!("{v} a minute"),
        "cache.hit" => format!("cache hit {v}"),
        "replication.lag" => format!("lag {v}"),
        "replication.receiver" => "no WAL is received".into(),
        "replication.standbys" => format!("{v} standbys streaming"),
        "pool.waiting" | "queue.depth" => format!("{v} waiting"),
        "pool.max_wait" => format!("longest wait {v}"),
        "queue.zombies" => format!("{v} zombie jobs"),
        "queue.failed_share" => format!("{v} of jobs fail"),
        "cron.lateness" => format!("latest cron {v} late"),
        "cron.failing" => format!("{v} crons fail"),
        "modules.pending" => format!("{v} modules wait for an upgrade"),
        "redis.memory_share" => format!("memory {v}"),
        "redis.evictions" => format!("{v} evicted"),
        "redis.rejected" => format!("{v} connections refused"),
        "redis.blocked_clients" => format!("{v} clients blocked"),
        "redis.link" => "link to the primary is down".into(),
        "redis.replicas" => format!("{v} replicas"),
        "redis.persistence" => "the last snapshot or append failed".into(),
        "http.share_5xx" => format!("5xx {v}"),
        "http.share_4xx" => format!("4xx {v}"),
        "http.burn" => format!("error budget burns at {value:.0} times its pace"),
        "http.p50" => format!("p50 {v}"),
        "http.p95" => format!("p95 {v}"),
        "http.p99" => format!("p99 {v}"),
        "certificate.days" if value < 0.0 => format!("expired {} ago", say::value(-value, Unit::Days)),
        "certificate.days" => format!("expires in {v}"),
        "exports.records" => format!("{v} records exported by one person in an hour"),
        "standby.ready" => "could not take over now".into(),
        "restore_test.due" | "rehearsal.due" if value > 0.0 => format!("the next one is due in {v}"),
        "restore_test.due" | "rehearsal.due" if value > -0.1 => "the next one is due now".into(),
        "restore_test.due" | "rehearsal.due" => format!("overdue by {}", say::value(-value, Unit::Days)),
        "certificate.valid" => "what it shows is not trusted, does not hold or is not for it".into(),
        "probe.ok" => "does not answer as it should, asked from here".into(),
        "dns.ok" => "its name leads nowhere or elsewhere, asked from here".into(),
        "dns.took" => format!("its name is resolved after {v}"),
        "probe.latency" => format!("answers after {v}"),
        "probe.status" => format!("HTTP {value:.0}"),
        "probe.tls" => format!("TLS {value:.1}"),
        "reload.ok" => "the newest configuration was refused".into(),
        "router.ok" => "Traefik has taken it out of force".into(),
        "web.available" => format!("web pods {v} ready"),
        "workers.available" => format!("worker pods {v} ready"),
        "workload.crash_looping" => format!("{v} pods"),
        "workload.restarts" => format!("{v} in 5 min"),
        "node.ready" => "does not say Ready".into(),
        "node.disk_full" => "its disk is nearly full, so that pods are put out".into(),
        "service.up" if value <= 0.0 => "no server behind its service is up".into(),
        "service.up" => format!("{v} of the servers behind it are up"),
        "ingress.broken" => format!("{v} services or middlewares are in error"),
        "image.digests" => format!("{v} different images run under one tag"),
        "baseline.drift" if value <= 1.0 => "1 differs from the approved baseline".into(),
        "baseline.gains" if value <= 1.0 => "1 reaches further than was approved".into(),
        "baseline.drift" => format!("{v} differ from the approved baseline"),
        "baseline.gains" => format!("{v} reach further than was approved"),
        "privileged.actions" => format!("{v} privileged actions in the last hour"),
        "disk.latency" => format!("one read or write takes {v}"),
        "network.lost" => format!("{v} packets are lost"),
        "vacuum.dead" => format!("{v} of the rows of a table are dead"),
        "bloat.share" => format!("{v} of a table or an index lie empty"),
        "alert.firing" => "fires".into(),
        "node.pressure" => format!("{v} pressure conditions"),
        other => format!("{} {v}", other.replace(['.', '_'], " ")),
    }
}

/// The values that a rule saw beyond their thresholds, in the order of the rule's signals. All of them when none
/// is any more, and of a lock chain, because a count without an age says little.
pub(super) fn values(rule: &Rule, values: &BTreeMap<&'static str, Value>) -> String {
    let seen = || rule.signals.iter().filter_map(|name| Some((*name, values.get(name)?)));
    let bad = |(_, v): &(&str, &Value)| v.health > Health::Ok;
    let all = rule.name == "lock-chain" || !seen().any(|v| bad(&v));
    let one = |name: &str, v: &Value| {
        let unit = signals::find(name).map_or(Unit::Count, |s| s.unit);
        let usual = v.usual.map(|usual| format!(" (usual {})", say::value(usual, unit)));
        value(name, v.now) + &usual.unwrap_or_default()
    };
    let said = seen().filter(|v| all || bad(v)).map(|(name, v)| one(name, v));
    said.collect::<Vec<_>>().join(", ")
}

/// The root of a chain in words: `root pid 4711 (odoo-deploy, idle in transaction): ALTER TABLE …`.
pub(super) fn root(tree: &[LockNode], database: Option<&str>) -> Option<String> {
    let mut roots = tree.iter().filter(|n| n.depth == 0 && database.is_none_or(|d| n.database == d));
    let first = roots.next()?;
    let more = roots.count();
    let by = [first.application.as_str(), first.state.as_str()]
        .iter()
        .filter(|s| !s.is_empty())
        .copied()
        .collect::<Vec<_>>();
    let by = if by.is_empty() { String::new() } else { format!(" ({})", by.join(", ")) };
    let query = if first.query.is_empty() { String::new() } else { format!(" `{}`", say::cut(&first.query, 48)) };
    let more = if more > 0 { format!(" and {more} more roots") } else { String::new() };
    Some(format!("root pid {}{by}{query}{more}", first.pid))
}
