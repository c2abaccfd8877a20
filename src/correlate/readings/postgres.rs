//! Readings of PostgreSQL and `PgBouncer`.

use super::{Out, flag, greater, tenant_subject};
use crate::correlate::index::Index;
use crate::domain::facts::postgres::Upkeep;
use crate::domain::facts::{PgbouncerFacts, PostgresFacts};
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;
use hashbrown::HashMap;

/// What the sessions of one database, or of all, amount to.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::correlate) struct Sessions {
    /// Sessions that wait for a lock.
    pub blocked: u32,
    /// Longest wait in seconds.
    pub oldest: f64,
    /// Longest transaction in seconds.
    pub transaction: f64,
    /// Longest idle in transaction in seconds.
    pub idle: f64,
}

impl Sessions {
    /// Counts one session in.
    pub fn add(&mut self, session: &crate::domain::facts::postgres::Session) {
        if !session.blocked_by.is_empty() {
            self.blocked += 1;
            self.oldest = self.oldest.max(session.waiting_s.unwrap_or_default());
        }
        self.transaction = self.transaction.max(session.transaction_s.unwrap_or_default());
        if session.state.starts_with("idle in transaction") {
            self.idle = self.idle.max(session.state_s.unwrap_or_default());
        }
    }

    fn write(&self, subject: &Subject, out: &mut Out) {
        out.push(subject, "lock.blocked", f64::from(self.blocked));
        out.push(subject, "lock.oldest", self.oldest);
        out.push(subject, "transaction.longest", self.transaction);
        out.push(subject, "idle_in_transaction.longest", self.idle);
    }
}

pub(super) fn read(facts: &PostgresFacts, source: &SourceId, index: &Index, out: &mut Out) {
    let instance = Subject::Instance { source: source.clone() };
    read_upkeep(&facts.upkeep, &instance, out);
    if facts.max_connections > 0 {
        let share = f64::from(facts.connections) / f64::from(facts.max_connections);
        out.push(&instance, "connections.share", share);
    }
    read_replication(facts, &instance, out);
    let mut total = Sessions::default();
    let mut by_tenant: HashMap<usize, Sessions> = HashMap::new();
    for session in &facts.sessions {
        total.add(session);
        if let Some(tenant) = index.database(source, &session.database) {
            by_tenant.entry(tenant).or_default().add(session);
        }
    }
    total.write(&instance, out);
    let mut deadlocks = None;
    for database in &facts.databases {
        deadlocks = match (deadlocks, database.deadlocks_per_min) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        if let Some(tenant) = index.database(source, &database.name).and_then(|i| index.at(i)) {
            let subject = tenant_subject(tenant);
            out.maybe(&subject, "deadlocks.rate", database.deadlocks_per_min);
            out.maybe(&subject, "cache.hit", database.cache_hit);
        }
    }
    out.maybe(&instance, "deadlocks.rate", deadlocks);
    out.maybe(&instance, "cache.hit", cache_hit(facts));
    out.maybe(&instance, "disk.latency", facts.read_latency_s);
    for (i, tenant) in index.estate().tenants.iter().enumerate() {
        if tenant.has_database_on(source) {
            by_tenant.get(&i).copied().unwrap_or_default().write(&tenant_subject(tenant), out);
        }
    }
}

/// Cache hit share of a whole instance: that of its databases, weighted by their commits.
pub(in crate::correlate) fn cache_hit(facts: &PostgresFacts) -> Option<f64> {
    let (mut hits, mut weights) = (0.0, 0.0);
    for database in &facts.databases {
        let Some(hit) = database.cache_hit else { continue };
        let weight = database.commits_per_s.unwrap_or(1.0).max(0.001);
        hits += hit * weight;
        weights += weight;
    }
    (weights > 0.0).then(|| hits / weights)
}

fn read_upkeep(upkeep: &Upkeep, instance: &Subject, out: &mut Out) {
    out.maybe(instance, "xid.age", upkeep.xid_age);
    out.maybe(instance, "slots.inactive", upkeep.inactive_slots.map(f64::from));
    out.maybe(instance, "slots.retained", upkeep.retained_bytes);
    out.maybe(instance, "archiver.failing", upkeep.archiver_failing.map(flag));
    out.maybe(instance, "archiver.age", upkeep.archiver_age_s);
    out.maybe(instance, "recovery.rpo", upkeep.rpo_s);
    out.maybe(instance, "checkpoints.requested", upkeep.checkpoints_requested);
    out.maybe(instance, "database.size", upkeep.size_bytes);
    let running = upkeep.maintenance.as_ref().and_then(|m| u32::try_from(m.len()).ok());
    out.maybe(instance, "maintenance.running", running.map(f64::from));
    out.maybe(instance, "statements.heaviest", upkeep.heaviest_share);
}

fn read_replication(facts: &PostgresFacts, instance: &Subject, out: &mut Out) {
    if facts.in_recovery {
        out.maybe(instance, "replication.lag", facts.replay_lag_s);
        let streaming = facts.wal_receiver.as_deref() == Some("streaming");
        out.push(instance, "replication.receiver", flag(streaming));
        return;
    }
    let streaming = facts.standbys.iter().filter(|s| s.state == "streaming").count();
    out.push(instance, "replication.standbys", f64::from(u32::try_from(streaming).unwrap_or(u32::MAX)));
    if !facts.standbys.is_empty() {
        // An idle standby that has caught up reports no lag: then there is none.
        let bytes = facts.standbys.iter().filter_map(|s| s.lag_bytes).max();
        #[expect(clippy::cast_precision_loss, reason = "bytes are shown with three digits")]
        out.maybe(instance, "replication.lag_bytes", bytes.map(|b| b as f64));
        let worst = facts.standbys.iter().map(|s| s.replay_lag_s.unwrap_or(0.0)).fold(0.0, f64::max);
        out.push(instance, "replication.lag", worst);
    }
}

pub(super) fn read_pools(facts: &PgbouncerFacts, source: &SourceId, index: &Index, out: &mut Out) {
    let instance = Subject::Instance { source: source.clone() };
    let mut total = (0_u32, None);
    let mut by_tenant: std::collections::BTreeMap<usize, (u32, Option<f64>)> = std::collections::BTreeMap::new();
    for pool in &facts.pools {
        let add = |sum: &mut (u32, Option<f64>)| {
            sum.0 = sum.0.saturating_add(pool.clients_waiting);
            sum.1 = greater(sum.1, Some(pool.max_wait_s));
        };
        add(&mut total);
        if let Some(tenant) = index.database_named(&pool.database) {
            add(by_tenant.entry(tenant).or_default());
        }
    }
    out.push(&instance, "pool.waiting", f64::from(total.0));
    out.maybe(&instance, "pool.max_wait", total.1);
    for (tenant, (waiting, longest)) in by_tenant {
        let Some(tenant) = index.at(tenant) else { continue };
        let subject = tenant_subject(tenant);
        out.push(&subject, "pool.waiting", f64::from(waiting));
        out.maybe(&subject, "pool.max_wait", longest);
    }
}
