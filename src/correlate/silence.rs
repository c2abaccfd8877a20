//! Sources that went silent: a finding of its own, because what is not observed must not look calm.

use super::condition::CLEARS_AFTER;
use super::index::Index;
use super::say;
use crate::domain::id::SourceId;
use crate::domain::sample::{Freshness, SourceKind};
use crate::domain::signal::Subject;
use crate::domain::world::{SourceState, World};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// More Odoo databases than this on one instance are one finding: look at what they share.
const TOGETHER: usize = 3;

#[derive(Clone, Debug)]
struct Silent {
    since: Timestamp,
    good: u8,
}

/// A group of silent sources that is one finding.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What follows `source-unknown/`.
    pub name: String,
    /// What it is about.
    pub subject: Subject,
    /// What else stands on it.
    pub subjects: Vec<Subject>,
    /// Since when.
    pub since: Timestamp,
    /// One line.
    pub what: String,
    /// Good samples in a row, of the worst of them.
    pub good: u8,
    /// Whether any of them is still unknown.
    pub unknown: bool,
    /// Seconds between two samples.
    pub interval_s: f64,
}

/// Remembers which sources are silent until they have answered three times.
#[derive(Clone, Debug, Default)]
pub(super) struct Watch(BTreeMap<SourceId, Silent>);

impl Watch {
    /// A good sample has come.
    pub fn answered(&mut self, source: &SourceId) {
        if let Some(silent) = self.0.get_mut(source) {
            silent.good = silent.good.saturating_add(1);
            if silent.good >= CLEARS_AFTER {
                self.0.remove(source);
            }
        }
    }

    /// Looks at every source and groups the silent ones.
    pub fn groups(&mut self, world: &World, index: &Index, now: Timestamp) -> Vec<Group> {
        self.0.retain(|id, _| world.sources.contains_key(id));
        for (id, state) in &world.sources {
            let Freshness::Unknown { since, .. } = state.freshness(now) else { continue };
            if let Some(silent) = self.0.get_mut(id) {
                silent.good = 0;
            } else if overdue(state, now) {
                // The last good value is still good for its interval: silence begins with the first failure
                // or when the next sample was due and did not come.
                self.0.insert(id.clone(), Silent { since, good: 0 });
            }
        }
        self.group(world, index, now)
    }

    fn group(&self, world: &World, index: &Index, now: Timestamp) -> Vec<Group> {
        let mut by_instance: BTreeMap<&SourceId, Vec<&SourceId>> = BTreeMap::new();
        let mut alone = Vec::new();
        for id in self.0.keys() {
            let instance = index.odoo_tenant(id).and_then(|t| t.database.as_ref()).map(|d| &d.instance);
            match instance {
                Some(instance) if self.0.contains_key(instance) => {}
                Some(instance) => by_instance.entry(instance).or_default().push(id),
                None => alone.push(id),
            }
        }
        let mut groups: Vec<Group> = Vec::new();
        for (instance, silent) in by_instance {
            if silent.len() > TOGETHER {
                groups.extend(self.together(instance, &silent, world, now));
            } else {
                alone.extend(silent);
            }
        }
        groups.extend(alone.into_iter().filter_map(|id| self.single(id, world, index, now)));
        groups
    }

    fn single(&self, id: &SourceId, world: &World, index: &Index, now: Timestamp) -> Option<Group> {
        let (silent, state) = (self.0.get(id)?, world.sources.get(id)?);
        let subject = subject(state, index);
        let (what, unknown) = match state.freshness(now) {
            Freshness::Fresh { .. } => {
                (format!("{id} answers again, {} of {CLEARS_AFTER} samples", silent.good), false)
            }
            Freshness::Unknown { why, last_good_age_s, .. } => {
                let last = last_good_age_s.map_or_else(
                    || "never seen".into(),
                    |age| format!("last seen {} ago", say::span(Duration::from_secs(age).as_secs_f64())),
                );
                (format!("{id} is not observed, {last}: {why}"), true)
            }
        };
        let interval_s = state.spec.interval.as_secs_f64();
        let (since, good) = (silent.since, silent.good);
        Some(Group {
            name: id.to_string(),
            subjects: vec![subject.clone()],
            subject,
            since,
            what,
            good,
            unknown,
            interval_s,
        })
    }

    fn together(&self, instance: &SourceId, ids: &[&SourceId], world: &World, now: Timestamp) -> Option<Group> {
        let all: Vec<&Silent> = ids.iter().filter_map(|id| self.0.get(*id)).collect();
        let states: BTreeSet<bool> =
            ids.iter().filter_map(|id| world.sources.get(*id)).map(|state| state.freshness(now).is_fresh()).collect();
        let first = ids.first().and_then(|id| world.sources.get(*id));
        let tenants = ids.iter().filter_map(|id| id.as_str().strip_prefix("odoo/"));
        Some(Group {
            name: format!("odoo on {instance}"),
            subject: Subject::Instance { source: instance.clone() },
            subjects: tenants.map(|t| Subject::Tenant { tenant: t.into() }).collect(),
            since: all.iter().map(|s| s.since).min()?,
            what: format!("{} Odoo databases on {instance} are not observed", ids.len()),
            good: all.iter().map(|s| s.good).min().unwrap_or(0),
            unknown: states.contains(&false),
            interval_s: first.map_or(0.0, |state| state.spec.interval.as_secs_f64()),
        })
    }
}

/// Whether no good sample has come for more than two intervals, at least two seconds.
fn overdue(state: &SourceState, now: Timestamp) -> bool {
    let from = state.good.as_ref().map_or(state.started_at, |good| good.taken_at);
    let limit = (state.spec.interval * 2).max(Duration::from_secs(2));
    now.duration_since(from).as_secs_f64() > limit.as_secs_f64()
}

pub(super) fn subject(state: &SourceState, index: &Index) -> Subject {
    let source = state.spec.id.clone();
    match state.spec.kind {
        SourceKind::Kubernetes => Subject::Cluster { source },
        SourceKind::Postgres | SourceKind::Pgbouncer => Subject::Instance { source },
        SourceKind::Redis => Subject::Redis { source },
        SourceKind::Traefik => Subject::Ingress { source },
        SourceKind::Odoo => match index.odoo_tenant(&source) {
            Some(tenant) => Subject::Tenant { tenant: tenant.id.clone() },
            None => Subject::Instance { source },
        },
        _ => Subject::Source { source },
    }
}
