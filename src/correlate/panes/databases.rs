//! One row a PostgreSQL instance, then one a `PgBouncer`.

use super::verdict::Verdict;
use super::{Look, Sight, as_pgbouncer, as_postgres};
use crate::correlate::readings::postgres::{Sessions, cache_hit};
use crate::correlate::{locks, say};
use crate::domain::facts::PgbouncerFacts;
use crate::domain::facts::postgres::PostgresFacts;
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::DatabaseRow;
use crate::domain::sample::SourceKind;

pub(super) fn rows(sight: Sight<'_>) -> Vec<DatabaseRow> {
    let instances = sight.of_kind(as_postgres, SourceKind::Postgres).map(|(id, look)| instance(sight, id, &look));
    let pools = sight.of_kind(as_pgbouncer, SourceKind::Pgbouncer).map(|(id, look)| pool(sight, id, &look));
    instances.chain(pools).collect()
}

fn empty(id: &SourceId, role: &str, age_s: Option<f64>) -> DatabaseRow {
    DatabaseRow {
        id: id.clone(),
        role: role.into(),
        health: Health::Unknown,
        why: String::new(),
        version: None,
        timeline: None,
        lag_s: None,
        lag_bytes: None,
        standbys: None,
        blocked: None,
        oldest_blocked_s: None,
        connections: None,
        max_connections: None,
        longest_transaction_s: None,
        longest_idle_s: None,
        clients_waiting: None,
        max_wait_s: None,
        cache_hit: None,
        locks: Vec::new(),
        owner: None,
        trend: Vec::new(),
        age_s,
    }
}

fn instance(sight: Sight<'_>, id: &SourceId, look: &Look<'_, PostgresFacts>) -> DatabaseRow {
    let mut verdict = Verdict::new(&sight.settings.thresholds);
    if let Some(why) = &look.unknown {
        verdict.unknown(why.clone());
    }
    let Some(facts) = look.facts else {
        let mut row = empty(id, "unknown", look.age_s);
        (row.health, row.why) = verdict.end("no answer yet");
        return row;
    };
    let mut sessions = Sessions::default();
    facts.sessions.iter().for_each(|s| sessions.add(s));
    let streaming = facts.standbys.iter().filter(|s| s.state == "streaming").count();
    let worst_lag = facts
        .standbys
        .iter()
        .map(|s| s.replay_lag_s.unwrap_or(0.0))
        .fold(None, |a: Option<f64>, b| Some(a.map_or(b, |a| a.max(b))));
    let mut row = empty(id, if facts.in_recovery { "replica" } else { "primary" }, look.age_s);
    row.version = Some(facts.version.as_str().into());
    row.timeline = facts.timeline;
    row.lag_s = if facts.in_recovery { facts.replay_lag_s } else { worst_lag };
    row.lag_bytes = facts.standbys.iter().filter_map(|s| s.lag_bytes).max();
    row.standbys = (!facts.in_recovery).then(|| u32::try_from(streaming).unwrap_or(u32::MAX));
    row.blocked = Some(sessions.blocked);
    row.oldest_blocked_s = (sessions.blocked > 0).then_some(sessions.oldest);
    row.connections = Some(facts.connections);
    row.max_connections = (facts.max_connections > 0).then_some(facts.max_connections);
    row.longest_transaction_s = (sessions.transaction > 0.0).then_some(sessions.transaction);
    row.longest_idle_s = (sessions.idle > 0.0).then_some(sessions.idle);
    row.cache_hit = facts.databases.iter().filter_map(|d| d.cache_hit).reduce(f64::min);
    row.locks = locks::tree(&facts.sessions);
    if look.unknown.is_none() {
        grade(&mut verdict, facts, &row, &sessions);
    }
    (row.health, row.why) = verdict.end("");
    row
}

fn grade(verdict: &mut Verdict<'_>, facts: &PostgresFacts, row: &DatabaseRow, sessions: &Sessions) {
    let chain = || format!("{} blocked, oldest {}", sessions.blocked, say::span(sessions.oldest));
    verdict.grade("lock.blocked", row.blocked.map(f64::from), |_| chain());
    verdict.grade("lock.oldest", Some(sessions.oldest), |_| chain());
    let share = row.max_connections.map(|max| f64::from(facts.connections) / f64::from(max));
    verdict.grade("connections.share", share, |v| {
        format!("{} of its connections are used ({})", say::share(v), facts.connections)
    });
    if facts.in_recovery && facts.wal_receiver.as_deref() != Some("streaming") {
        let state = facts.wal_receiver.as_deref().unwrap_or("no WAL receiver");
        verdict.grade("replication.receiver", Some(0.0), |_| format!("receives no WAL: {state}"));
    }
    verdict.grade("replication.lag", row.lag_s, |v| format!("replication lag {}", say::span(v)));
    let standbys = row.standbys.map(f64::from);
    verdict.grade("replication.standbys", standbys, |v| format!("{v:.0} standbys streaming"));
    verdict.grade("transaction.longest", row.longest_transaction_s, |v| {
        format!("a transaction is open for {}", say::span(v))
    });
    verdict.grade("idle_in_transaction.longest", row.longest_idle_s, |v| {
        format!("a session is idle in transaction for {}", say::span(v))
    });
    let deadlocks = facts.databases.iter().filter_map(|d| d.deadlocks_per_min).reduce(|a, b| a + b);
    verdict.grade("deadlocks.rate", deadlocks, |v| format!("{v:.0} deadlocks a minute"));
    verdict.grade("cache.hit", cache_hit(facts), |v| format!("cache hit {}", say::share(v)));
}

fn pool(sight: Sight<'_>, id: &SourceId, look: &Look<'_, PgbouncerFacts>) -> DatabaseRow {
    let mut verdict = Verdict::new(&sight.settings.thresholds);
    let mut row = empty(id, "pgbouncer", look.age_s);
    if let Some(why) = &look.unknown {
        verdict.unknown(why.clone());
    }
    if let Some(facts) = look.facts {
        row.version = Some(facts.version.as_str().into());
        row.connections = Some(facts.pools.iter().map(|p| p.servers_active.saturating_add(p.servers_idle)).sum());
        row.clients_waiting = Some(facts.pools.iter().map(|p| p.clients_waiting).sum());
        row.max_wait_s = facts.pools.iter().map(|p| p.max_wait_s).reduce(f64::max);
        if look.unknown.is_none() {
            verdict.add(Health::Ok, String::new);
            verdict.grade("pool.waiting", row.clients_waiting.map(f64::from), |v| format!("{v:.0} clients wait"));
            verdict.grade("pool.max_wait", row.max_wait_s, |v| format!("a client waits for {}", say::span(v)));
        }
    }
    (row.health, row.why) = verdict.end("no answer yet");
    row
}
