//! Whether a region could take over now: what its sources tell, held against what `[[standby]]` asks of it. It is a source
//! without a server, looked at anew with the others. What one of them does not say leaves it unknown, never ready.

use super::index::Index;
use super::readings::{Reading, Seen, readings};
use super::settings::Settings;
use super::words;
use crate::config::model::Standby;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::sample::{Freshness, Sample, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use crate::domain::world::World;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Time between two looks at what the others told.
const INTERVAL: Duration = Duration::from_secs(5);

/// What is said of one source that the region needs.
enum Said {
    Ready,
    Not(String),
    Unknown(String),
}

/// The source that stands for each region, for the list of sources.
pub fn specs(all: &[Standby]) -> impl Iterator<Item = SourceSpec> + '_ {
    all.iter().map(|standby| SourceSpec {
        id: standby.id.clone(),
        kind: SourceKind::Standby,
        interval: INTERVAL,
        address: format!("region {}", standby.region),
    })
}

/// What is to be said of each region whose last look is an interval old.
pub(super) fn due(world: &World, settings: &Settings, index: &Index, now: Timestamp) -> Vec<Sample> {
    let is_due = |standby: &&Standby| {
        let last = world.sources.get(&standby.id).and_then(|s| s.good.as_ref()).map(|good| good.taken_at);
        last.is_none_or(|at| now.duration_since(at).unsigned_abs() >= INTERVAL)
    };
    let one = |standby: &Standby| Sample {
        source: standby.id.clone(),
        taken_at: now,
        took: Duration::ZERO,
        result: Ok(Arc::new(Facts::Measured(facts(standby, world, settings, index, now)))),
    };
    settings.standby.iter().filter(is_due).map(one).collect()
}

fn facts(standby: &Standby, world: &World, settings: &Settings, index: &Index, now: Timestamp) -> MeasuredFacts {
    let subject = Subject::Backup { source: standby.id.clone(), backup: sanitize(&standby.region).into() };
    let mut facts = MeasuredFacts::of(SourceKind::Standby);
    let (mut ready, mut not, mut unknown) = (0_u32, Vec::new(), Vec::new());
    for need in &standby.needs {
        match ask(need, standby, world, settings, index, now) {
            Said::Ready => ready += 1,
            Said::Not(why) => not.push(format!("{need} {why}")),
            Said::Unknown(why) => unknown.push(format!("{need} is not known: {why}")),
        }
    }
    let all = u32::try_from(standby.needs.len()).unwrap_or(u32::MAX).max(1);
    // One that is known to fail is enough to know that the region is not ready.
    if not.is_empty() && !unknown.is_empty() {
        facts.untell(&subject, "standby.ready", unknown.join("; "));
    } else {
        facts.measure(&subject, "standby.ready", if not.is_empty() { 1.0 } else { 0.0 });
    }
    if unknown.is_empty() {
        facts.measure(&subject, "standby.share", f64::from(ready) / f64::from(all));
    } else {
        facts.untell(&subject, "standby.share", unknown.join("; "));
    }
    facts.said = not.into_iter().chain(unknown).collect();
    facts
}

/// Whether one source is there and well. Its tenants are not asked: they live in the other region.
fn ask(need: &SourceId, standby: &Standby, world: &World, settings: &Settings, index: &Index, now: Timestamp) -> Said {
    let Some(state) = world.sources.get(need) else { return Said::Unknown("nobody observes it".to_owned()) };
    if let Freshness::Unknown { why, .. } = state.freshness(now) {
        return Said::Unknown(why);
    }
    let Some(good) = &state.good else { return Said::Unknown("it has not answered yet".to_owned()) };
    match &*good.facts {
        Facts::Postgres(server) if !server.in_recovery => return Said::Not("is a primary, not a replica".to_owned()),
        Facts::Postgres(server) if server.wal_receiver.as_deref() != Some("streaming") => {
            return Said::Not("receives no WAL".to_owned());
        }
        Facts::Postgres(server) => match server.replay_lag_s {
            Some(lag) if lag > standby.lag.as_secs_f64() => {
                return Said::Not(format!("is {lag:.0} s behind, {} s were agreed", standby.lag.as_secs()));
            }
            Some(_) => {}
            None => return Said::Unknown("it does not say how far it is behind".to_owned()),
        },
        Facts::Kubernetes(cluster) if !cluster.nodes.iter().any(|n| n.ready == Some(true) && !n.cordoned) => {
            return Said::Not(format!("has no node that takes pods, of {}", cluster.nodes.len()));
        }
        _ => {}
    }
    let seen = Seen { facts: &good.facts, before: None, source: need, at: good.taken_at };
    let is_own = |subject: &Subject| {
        use Subject::{Backup, Endpoint, Ingress, Instance, Keep, Redis};
        matches!(
            subject,
            Instance { .. } | Ingress { .. } | Redis { .. } | Keep { .. } | Backup { .. } | Endpoint { .. }
        )
    };
    let is_critical = |r: &Reading| settings.thresholds.grade(r.signal, r.value) == Health::Critical;
    if let Some(worst) = readings(&seen, index).iter().find(|r| is_own(&r.subject) && is_critical(r)) {
        return Said::Not(format!("is critical: {}", words::value(worst.signal.name, worst.value)));
    }
    match &*good.facts {
        Facts::Measured(told) => told.untold.iter().find(|u| is_own(&u.subject)),
        _ => None,
    }
    .map_or(Said::Ready, |untold| Said::Unknown(untold.why.clone()))
}

#[cfg(test)]
mod tests;
