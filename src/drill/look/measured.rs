//! What the simulated estate says by signals alone: backups and the bucket that they lie in, applications that are
//! delivered, certificates, integrations, orders and planning runs, and the transactions that are tried.

use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::SourceId;
use crate::domain::sample::{SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::drill::model::Simulation;
use crate::drill::model::certificates::DAY_S;
use crate::drill::model::names::CAST;
use crate::drill::model::tenant::Tenant;
use std::time::Duration;

/// The sources: name, kind, seconds between two looks.
const SOURCES: [(&str, SourceKind, u64); 7] = [
    ("backups", SourceKind::Pgbackrest, 30),
    ("bucket-1", SourceKind::Bucket, 60),
    ("objects-1", SourceKind::Objects, 10),
    ("baseline", SourceKind::Baseline, 60),
    ("integrations", SourceKind::Integration, 15),
    ("business", SourceKind::Business, 30),
    ("synthetics", SourceKind::Synthetic, 30),
];

/// Tick of the restore test before the exercise began.
const TESTED_BEFORE: i64 = -12 * DAY_S;
/// Share of failed requests from which a transaction that is tried fails too.
const FAILS: f64 = 0.05;
/// Seconds that an order may wait for its job before the work order that needs it counts as failed.
const LATE_S: i64 = 900;

fn seconds(ticks: i64) -> f64 {
    f64::from(i32::try_from(ticks.max(0)).unwrap_or(i32::MAX))
}

const fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

/// The specs of these sources.
pub(super) fn specs() -> impl Iterator<Item = SourceSpec> {
    SOURCES.into_iter().map(|(id, kind, every)| SourceSpec {
        id: id.into(),
        kind,
        interval: Duration::from_secs(every),
        address: format!("{id} (simulated)"),
    })
}

/// What one of them answers; `None` for any other source.
pub(super) fn facts(sim: &Simulation, source: &SourceId) -> Option<Facts> {
    let (_, kind, _) = SOURCES.into_iter().find(|(id, ..)| *id == source.as_str())?;
    let mut facts = MeasuredFacts::of(kind);
    match kind {
        SourceKind::Pgbackrest => backups(sim, source, &mut facts),
        SourceKind::Bucket => {
            let subject = Subject::Backup { source: source.clone(), backup: "acme-backups".into() };
            for (signal, value) in [("bucket.locked", 1.0), ("bucket.versioned", 1.0), ("bucket.retention", 35.0)] {
                facts.measure(&subject, signal, value);
            }
        }
        SourceKind::Objects => {
            sim.tenants.iter().for_each(|t| objects(sim, source, t, &mut facts));
            for (id, instance) in &sim.instances {
                let subject = Subject::Instance { source: id.clone() };
                facts.measure(&subject, "volume.used", instance.volume.used());
            }
        }
        SourceKind::Baseline => baseline(sim, &mut facts),
        SourceKind::Integration => sim.tenants.iter().for_each(|t| integrations(sim, t, &mut facts)),
        SourceKind::Business => sim.tenants.iter().for_each(|t| business(t, &mut facts)),
        _ => {
            let probed = sim.tenants.iter().filter(|t| CAST.iter().any(|c| c.id == t.id.as_str()));
            probed.for_each(|t| synthetics(sim, t, &mut facts));
        }
    }
    Some(Facts::Measured(facts))
}

fn backups(sim: &Simulation, source: &SourceId, facts: &mut MeasuredFacts) {
    for (id, instance) in &sim.instances {
        let subject = Subject::Backup { source: source.clone(), backup: id.as_str().into() };
        let backups = &instance.backups;
        let tested = backups.restore_tested.unwrap_or(TESTED_BEFORE);
        facts.measure(&subject, "backup.age", seconds(sim.elapsed_s() - backups.ended));
        facts.measure(&subject, "backup.failed", flag(backups.failing.is_some()));
        facts.measure(&subject, "backup.kept", 7.0);
        facts.measure(&subject, "recovery.rpo", seconds(sim.elapsed_s() - backups.archived_at));
        facts.measure(&subject, "restore_test.age", seconds(sim.elapsed_s() - tested) / seconds(DAY_S));
        facts.said.extend(backups.failing.as_ref().map(|why| format!("{id}: {why}")));
    }
}

/// Roles against the approved ones, and who changed them in the last hour.
fn baseline(sim: &Simulation, facts: &mut MeasuredFacts) {
    let count = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    for (id, instance) in &sim.instances {
        let subject = Subject::Instance { source: id.clone() };
        let drifts = instance.roles.drifts();
        facts.measure(&subject, "baseline.drift", count(drifts.len()));
        facts.measure(&subject, "baseline.gains", count(drifts.iter().filter(|d| d.gains).count()));
        let lately = instance.roles.changed.iter().filter(|at| sim.elapsed_s() - **at < 3600);
        facts.measure(&subject, "privileged.actions", count(lately.count()));
        facts.said.extend(drifts.iter().map(|drift| format!("{id}: {drift}")));
    }
}

fn objects(sim: &Simulation, source: &SourceId, tenant: &Tenant, facts: &mut MeasuredFacts) {
    let application = Subject::Application {
        source: source.clone(),
        application: smol_str::format_smolstr!("argocd/{}", tenant.id),
        tenant: Some(tenant.id.clone()),
    };
    let (delivery, tick) = (&tenant.delivery, sim.elapsed_s());
    let synced = delivery.synced(&tenant.web.image) && delivery.synced(&tenant.workers.image);
    let healthy = tenant.web.ready(tick) >= tenant.web.desired && tenant.workers.ready(tick) >= tenant.workers.desired;
    facts.measure(&application, "delivery.synced", flag(synced));
    facts.measure(&application, "delivery.healthy", flag(healthy));
    facts.measure(&application, "delivery.suspended", flag(delivery.frozen() || !delivery.auto_sync));
    facts.measure(&application, "delivery.age", seconds(tick - tenant.web.image_since));
    let certificate = Subject::Certificate {
        source: source.clone(),
        certificate: smol_str::format_smolstr!("{}/tls", tenant.id),
        tenant: Some(tenant.id.clone()),
    };
    let renewing = sim.renewals.iter().any(|(id, _)| *id == tenant.id);
    facts.measure(&certificate, "certificate.ready", flag(!renewing && tenant.certificate.not_after > tick));
}

fn integrations(sim: &Simulation, tenant: &Tenant, facts: &mut MeasuredFacts) {
    for channel in tenant.jobs.channels.iter().filter(|c| c.name != "root") {
        let name = channel.name.trim_start_matches("root.");
        let subject = Subject::Integration { tenant: tenant.id.clone(), integration: name.into() };
        let down = channel.endpoint_down;
        facts.measure(&subject, "integration.ok", flag(!down));
        facts.measure(&subject, "integration.backlog", f64::from(channel.depth()));
        let oldest = channel.oldest().map_or(0, |due| sim.elapsed_s() - due);
        facts.measure(&subject, "integration.lag", seconds(oldest));
        if down {
            facts.untell(&subject, "integration.latency", "the system that it calls does not answer");
        } else {
            facts.measure(&subject, "integration.latency", 0.2);
        }
    }
}

fn business(tenant: &Tenant, facts: &mut MeasuredFacts) {
    let subject = Subject::Tenant { tenant: tenant.id.clone() };
    facts.measure(&subject, "orders.hour", tenant.orders_hour.round());
    // Who works makes a request every six seconds.
    facts.measure(&subject, "sessions.active", (tenant.traffic.requests * 6.0).round());
    facts.measure(&subject, "mrp.duration", tenant.trouble.planned_s);
}

/// A sales order needs answers, a stock move the table as well, a work order the job that plans it.
fn synthetics(sim: &Simulation, tenant: &Tenant, facts: &mut MeasuredFacts) {
    let subject = Subject::Tenant { tenant: tenant.id.clone() };
    if tenant.maintenance || tenant.limits.isolated {
        for signal in ["synthetic.ok", "synthetic.took"] {
            facts.untell(&subject, signal, "nothing is tried while the tenant is kept from its users");
        }
        return;
    }
    let trusted = tenant.certificate.not_after > sim.elapsed_s();
    let answers = trusted && tenant.traffic.share_5xx < FAILS;
    let oldest = tenant.jobs.channels.iter().filter_map(crate::drill::model::jobs::Channel::oldest).min();
    let planned = oldest.is_none_or(|due| sim.elapsed_s() - due < LATE_S);
    let well = [answers, answers, answers && planned].into_iter().filter(|is| *is).count();
    facts.measure(&subject, "synthetic.ok", f64::from(u8::try_from(well).unwrap_or(3)) / 3.0);
    facts.measure(&subject, "synthetic.took", tenant.traffic.p95_s * 4.0);
}
