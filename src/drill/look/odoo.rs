//! Facts of the simulated Odoo.

use crate::domain::facts::odoo::{Channel, Crons, OdooFacts};
use crate::drill::model::jobs::ZOMBIE_AFTER_S;
use crate::drill::model::locks::Kind;
use crate::drill::model::tenant::Tenant;

/// Jobs in state started since longer than the limit, that a worker still holds: they wait for a lock.
pub(in crate::drill) fn held_beyond(tenant: &Tenant, tick: i64) -> u32 {
    let waiters = tenant.lock.iter().flat_map(|l| &l.waiters);
    let beyond = waiters.filter(|w| w.kind == Kind::Job && tick - w.since > ZOMBIE_AFTER_S).count();
    u32::try_from(beyond).unwrap_or(u32::MAX)
}

/// The channels as the observer counts them.
pub(in crate::drill) fn channels(tenant: &Tenant, tick: i64) -> Vec<Channel> {
    let waiting = tenant.lock.as_ref().map_or(0, |l| l.waiting(Kind::Job));
    let held = held_beyond(tenant, tick);
    let rows = tenant.jobs.channels.iter().enumerate().map(|(i, channel)| {
        // Jobs that wait for the lock are counted in the first channel.
        let (waiting, held) = if i == 0 { (waiting, held) } else { (0, 0) };
        let age = channel.oldest().map(|due| f64::from(u32::try_from((tick - due).max(0)).unwrap_or(u32::MAX)));
        let enqueued = channel.depth().min(8);
        Channel {
            name: channel.name.clone(),
            pending: channel.depth() - enqueued,
            enqueued,
            started: channel.started().saturating_add(waiting),
            failed: channel.failed,
            done_10m: channel.done_10m(),
            oldest_due_s: age,
            zombies: channel.zombies(tick).saturating_add(held),
        }
    });
    rows.collect()
}

pub(super) fn facts(tenant: &Tenant, tick: i64) -> OdooFacts {
    let late = tenant.cron_late_s.max(tenant.cron_stuck_s);
    let stuck = tenant.cron_stuck_s >= tenant.cron_late_s && tenant.cron_stuck_s > 0.0;
    OdooFacts {
        version: "19.0".into(),
        channels: Some(channels(tenant, tick)),
        zombie_after_s: f64::from(i32::try_from(ZOMBIE_AFTER_S).unwrap_or(i32::MAX)),
        job_locks: true,
        crons: Some(Crons {
            active: 34,
            late: u32::from(late > 600.0),
            lateness_s: late,
            latest: Some(if stuck { "Procurement: run scheduler" } else { "Mail: email queue manager" }.into()),
            failing: 0,
        }),
        modules_pending: Some(0),
        ..OdooFacts::default()
    }
}
