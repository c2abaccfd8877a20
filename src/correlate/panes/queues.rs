//! One row a job channel, worst first; then one a Redis.

use super::verdict::Verdict;
use super::{Look, Sight, as_odoo, as_redis};
use crate::correlate::say;
use crate::domain::estate::Tenant;
use crate::domain::facts::odoo::Channel;
use crate::domain::facts::{OdooFacts, RedisFacts};
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::{ChannelRow, QueueRow, RedisRow};
use crate::domain::sample::SourceKind;

pub(super) fn rows(sight: Sight<'_>) -> Vec<QueueRow> {
    let mut channels: Vec<ChannelRow> = Vec::new();
    for (id, look) in sight.of_kind(as_odoo, SourceKind::Odoo) {
        let Some(tenant) = sight.index.odoo_tenant(id) else { continue };
        of_tenant(sight, id, tenant, &look, &mut channels);
    }
    channels.sort_by(|a, b| {
        let oldest = |r: &ChannelRow| r.oldest_s.unwrap_or(0.0);
        (b.health.cmp(&a.health))
            .then_with(|| oldest(b).total_cmp(&oldest(a)))
            .then_with(|| (&a.tenant, &a.channel).cmp(&(&b.tenant, &b.channel)))
    });
    let redis =
        sight.of_kind(as_redis, SourceKind::Redis).map(|(id, look)| QueueRow::Redis(of_redis(sight, id, &look)));
    channels.into_iter().map(QueueRow::Channel).chain(redis).collect()
}

fn of_tenant(sight: Sight<'_>, id: &SourceId, tenant: &Tenant, look: &Look<'_, OdooFacts>, rows: &mut Vec<ChannelRow>) {
    let row = |channel: &str| ChannelRow {
        source: id.clone(),
        tenant: tenant.id.clone(),
        channel: channel.into(),
        health: Health::Unknown,
        why: String::new(),
        depth: None,
        started: None,
        failed: None,
        zombies: None,
        done_per_min: None,
        oldest_s: None,
        cron_lateness_s: look.facts.and_then(|f| f.crons.as_ref()).map(|c| c.lateness_s),
        owner: None,
        trend: Vec::new(),
        age_s: look.age_s,
    };
    let channels = look.facts.and_then(|f| f.channels.as_deref());
    let none = match (look.facts, channels) {
        (Some(_), Some([])) => "no job has ever been queued",
        (Some(_), None) => "queue_job is not installed",
        _ => "no answer yet",
    };
    for channel in channels.unwrap_or_default() {
        let mut row = row(&channel.name);
        row.depth = Some(channel.depth());
        row.started = Some(channel.started);
        row.failed = Some(channel.failed);
        row.zombies = Some(channel.zombies);
        row.done_per_min = Some(f64::from(channel.done_10m) / 10.0);
        row.oldest_s = channel.oldest_due_s.map(|s| s.max(0.0));
        let mut verdict = Verdict::new(&sight.settings.thresholds);
        match &look.unknown {
            Some(why) => verdict.unknown(why.clone()),
            None => grade(&mut verdict, channel),
        }
        (row.health, row.why) = verdict.end("");
        rows.push(row);
    }
    if channels.unwrap_or_default().is_empty() {
        let mut row = row("");
        let mut verdict = Verdict::new(&sight.settings.thresholds);
        match (&look.unknown, look.facts) {
            (Some(why), _) => verdict.unknown(why.clone()),
            (None, Some(facts)) => {
                let late = |v| format!("a cron is {} late", say::span(v));
                if let Some(unseen) = facts.unseen() {
                    verdict.unknown(unseen);
                }
                verdict.grade("cron.lateness", facts.crons.as_ref().map(|c| c.lateness_s), late);
            }
            (None, None) => {}
        }
        (row.health, row.why) = verdict.end(none);
        if row.why.is_empty() {
            none.clone_into(&mut row.why);
        }
        rows.push(row);
    }
}

fn grade(verdict: &mut Verdict<'_>, channel: &Channel) {
    verdict.add(Health::Ok, String::new);
    let waiting = |v: f64| format!("{} wait, oldest {}", channel.depth(), say::span(v));
    verdict.grade("queue.oldest", channel.oldest_due_s.map(|s| s.max(0.0)), waiting);
    verdict.grade("queue.zombies", Some(f64::from(channel.zombies)), |v| format!("{v:.0} zombies"));
    verdict.grade("queue.depth", Some(f64::from(channel.depth())), |v| format!("{v:.0} wait"));
    let (failed, done) = (f64::from(channel.failed), f64::from(channel.done_10m));
    let share = if failed > 0.0 { failed / (failed + done) } else { 0.0 };
    verdict.grade("queue.failed_share", Some(share), |v| format!("{} failed ({})", channel.failed, say::share(v)));
}

fn of_redis(sight: Sight<'_>, id: &SourceId, look: &Look<'_, RedisFacts>) -> RedisRow {
    let facts = look.facts;
    let purpose = sight.settings.redis_purpose.get(id).cloned().unwrap_or_default();
    let role = match facts.map(|f| f.role.as_str()) {
        Some("master") => "primary",
        Some("slave") => "replica",
        _ => "unknown",
    };
    let mut verdict = Verdict::new(&sight.settings.thresholds);
    match (&look.unknown, facts) {
        (Some(why), _) => verdict.unknown(why.clone()),
        (None, Some(facts)) => grade_redis(&mut verdict, facts, &purpose),
        (None, None) => {}
    }
    let (health, why) = verdict.end("no answer yet");
    RedisRow {
        id: id.clone(),
        purpose: purpose.into(),
        role: role.into(),
        health,
        why,
        used_bytes: facts.map(|f| f.used_memory_bytes),
        max_bytes: facts.and_then(|f| f.maxmemory_bytes),
        evicted_per_s: facts.and_then(|f| f.evicted_per_s),
        clients: facts.map(|f| f.clients),
        blocked_clients: facts.map(|f| f.blocked_clients),
        replicas: facts.filter(|f| f.role == "master").map(|f| f.replicas),
        link_up: facts.and_then(|f| f.master_link_up),
        ops_per_s: facts.map(|f| f.ops_per_s),
        owner: None,
        trend: Vec::new(),
        age_s: look.age_s,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share of bytes is shown with two digits")]
fn grade_redis(verdict: &mut Verdict<'_>, facts: &RedisFacts, purpose: &str) {
    verdict.add(Health::Ok, String::new);
    if facts.loading {
        verdict.add(Health::Warn, || "loading its data".into());
    }
    verdict.grade("redis.link", facts.master_link_up.map(|up| if up { 1.0 } else { 0.0 }), |_| {
        "link to the primary is down".into()
    });
    let share = facts.maxmemory_bytes.filter(|max| *max > 0).map(|max| facts.used_memory_bytes as f64 / max as f64);
    verdict.grade("redis.memory_share", share, |v| format!("memory {}", say::share(v)));
    // A cache is meant to evict.
    let evictions = facts.evicted_per_s.filter(|_| purpose != "cache");
    verdict.grade("redis.evictions", evictions, |v| format!("{v:.1} keys evicted a second"));
    let persistent = ![facts.last_bgsave_ok, facts.last_aof_ok].contains(&Some(false));
    verdict.grade("redis.persistence", Some(if persistent { 1.0 } else { 0.0 }), |_| {
        "the last snapshot or append failed".into()
    });
    verdict
        .grade("redis.blocked_clients", Some(f64::from(facts.blocked_clients)), |v| format!("{v:.0} clients blocked"));
    let replicas = (facts.role == "master").then(|| f64::from(facts.replicas));
    verdict.grade("redis.replicas", replicas, |v| format!("{v:.0} replicas connected"));
}
