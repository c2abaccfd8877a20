//! Facts of the simulated PostgreSQL and `PgBouncer`.

use crate::domain::facts::postgres::{DatabaseStat, PgbouncerFacts, Pool, PostgresFacts, Session, Standby};
use crate::domain::id::SourceId;
use crate::drill::model::Simulation;
use crate::drill::model::jobs::whole_number;
use crate::drill::model::locks::{Kind, Lock, Waiter};
use crate::drill::model::pair::TIMELINE;
use crate::drill::model::shared::Instance;
use crate::drill::model::tenant::Tenant;
use jiff::SignedDuration;

const VERSION: &str = "17.6";

const WEB: [&str; 3] = [
    "SELECT \"sale_order\".\"id\", \"sale_order\".\"state\" FROM \"sale_order\" WHERE \"sale_order\".\"id\" IN ($1)",
    "UPDATE \"sale_order\" SET \"state\" = $1, \"write_date\" = $2 WHERE id IN ($3)",
    "INSERT INTO \"sale_order\" (\"company_id\", \"partner_id\", \"name\") VALUES ($1, $2, $3) RETURNING \"id\"",
];
const JOB: &str =
    "SELECT \"sale_order\".\"id\" FROM \"sale_order\" WHERE \"sale_order\".\"invoice_status\" = $1 FOR UPDATE";

#[expect(clippy::cast_precision_loss, reason = "ticks of one exercise")]
fn seconds(from: i64, to: i64) -> f64 {
    (to - from).max(0) as f64
}

fn root(sim: &Simulation, tenant: &Tenant, lock: &Lock) -> Session {
    let age = seconds(lock.backend_start, sim.tick);
    Session {
        pid: lock.pid,
        backend_start: backend_start(sim, lock.pid, lock.backend_start),
        database: tenant.id.to_string(),
        user: "odoo".into(),
        application: lock.application.clone(),
        client: "10.42.7.18".into(),
        state: if lock.idle { "idle in transaction" } else { "active" }.into(),
        transaction_s: Some(age),
        state_s: Some((age - 2.0).max(0.0)),
        waiting_s: None,
        wait: if lock.idle { "Client:ClientRead" } else { "" }.into(),
        blocked_by: Vec::new(),
        query: format!("ALTER TABLE \"{}\" ADD COLUMN \"x_margin_rate\" numeric", lock.table),
    }
}

/// The moment a backend started, with the odd microseconds that a real one has.
pub(in crate::drill) fn backend_start(sim: &Simulation, pid: i32, tick: i64) -> jiff::Timestamp {
    let micros = i64::from(pid).wrapping_mul(7919).rem_euclid(1_000_000);
    sim.at(tick).checked_add(SignedDuration::from_micros(micros - 1_000_000)).unwrap_or_default()
}

fn waiter(sim: &Simulation, tenant: &Tenant, lock: &Lock, waiter: &Waiter) -> Session {
    let age = seconds(waiter.since, sim.tick);
    let web = WEB.get(usize::try_from(waiter.pid % 3).unwrap_or(0)).copied().unwrap_or_default();
    let query = if waiter.kind == Kind::Web { web } else { JOB };
    Session {
        pid: waiter.pid,
        backend_start: backend_start(sim, waiter.pid, waiter.backend_start),
        database: tenant.id.to_string(),
        user: "odoo".into(),
        application: if waiter.kind == Kind::Web { "odoo-web" } else { "odoo-worker" }.into(),
        client: format!("10.42.{}.{}", waiter.pid % 8, waiter.pid % 250 + 2),
        state: "active".into(),
        transaction_s: Some(age + 0.2),
        state_s: Some(age),
        waiting_s: Some(age),
        wait: "Lock:relation".into(),
        blocked_by: vec![lock.pid],
        query: query.replace("sale_order", &lock.table),
    }
}

/// The server that takes writes, as `first` when it is the one that did so from the beginning.
pub(super) fn primary(sim: &Simulation, id: &SourceId, instance: &Instance, first: bool) -> PostgresFacts {
    let tenants = || sim.tenants.iter().filter(|t| t.instance == *id);
    let mut sessions = Vec::new();
    for tenant in tenants() {
        let Some(lock) = &tenant.lock else { continue };
        if lock.root_is_there() {
            sessions.push(root(sim, tenant, lock));
        }
        // While a terminated root rolls back, its locks stay, and so does who waits for them.
        if lock.held(sim.tick) {
            sessions.extend(lock.waiters.iter().map(|w| waiter(sim, tenant, lock, w)));
        }
    }
    sessions.truncate(500);
    let databases = tenants().map(|t| DatabaseStat {
        name: t.id.to_string(),
        connections: t.connections(),
        commits_per_s: Some(t.traffic.requests * 2.2 * (1.0 - t.saturation())),
        deadlocks_per_min: Some(0.0),
        cache_hit: Some(t.usual.cache_hit),
    });
    let timeline = if first { TIMELINE } else { instance.pair.timeline };
    let standby = Standby {
        name: super::replica_of(id).to_string(),
        state: "streaming".into(),
        sync_state: "async".into(),
        replay_lag_s: Some(instance.lag_s),
        lag_bytes: Some(u64::from(whole_number(instance.lag_s * 180_000.0))),
    };
    let standbys = if instance.pair.receiving && first { vec![standby] } else { Vec::new() };
    PostgresFacts {
        system_identifier: instance.system_identifier.clone(),
        version: VERSION.into(),
        timeline: Some(timeline),
        connections: instance.connections,
        max_connections: instance.max_connections,
        standbys,
        sessions,
        databases: databases.collect(),
        ..PostgresFacts::default()
    }
}

pub(super) fn replica(instance: &Instance) -> PostgresFacts {
    PostgresFacts {
        system_identifier: instance.system_identifier.clone(),
        version: VERSION.into(),
        in_recovery: true,
        timeline: Some(TIMELINE),
        wal_receiver: Some(if instance.pair.receiving { "streaming" } else { "stopped" }.into()),
        connections: 9,
        max_connections: instance.max_connections,
        replay_lag_s: Some(instance.lag_s),
        ..PostgresFacts::default()
    }
}

pub(super) fn pools(sim: &Simulation, primary: &SourceId) -> PgbouncerFacts {
    let pools = sim.tenants.iter().filter(|t| t.instance == *primary).map(|t| {
        // Above 85% of its threads waiting, further clients queue before the pool.
        let refused = t.refused_connections();
        let beyond = (t.saturation() - 0.85).max(0.0);
        let waited = t.lock.as_ref().and_then(|l| l.waiters.last()).map_or(0, |w| sim.tick - w.since);
        Pool {
            database: t.id.to_string(),
            user: "odoo".into(),
            clients_active: t.connections(),
            clients_waiting: whole_number((beyond * 120.0).round()).saturating_add(refused),
            servers_active: t.connections() / 2,
            servers_idle: t.connections() / 4,
            max_wait_s: if refused > 0 {
                1.5
            } else if beyond > 0.0 {
                f64::from(u32::try_from(waited.max(0)).unwrap_or(u32::MAX))
            } else {
                0.0
            },
        }
    });
    PgbouncerFacts { version: "1.24.1".into(), pools: pools.collect() }
}
