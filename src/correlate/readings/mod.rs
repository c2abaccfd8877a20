//! Facts into readings of the table of signals, one file a kind of source. What the facts do not say yields
//! no reading: a missing number is never a zero.

pub(super) mod kubernetes;
mod measured;
mod odoo;
pub(super) mod postgres;
mod redis;
pub(super) mod traefik;

use super::index::Index;
use super::signals::{self, Signal};
use crate::domain::estate::{Estate, Tenant};
use crate::domain::facts::Facts;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::sample::SourceKind;
use crate::domain::signal::{Subject, Unit};
use crate::domain::world::World;
use jiff::Timestamp;
use std::collections::BTreeMap;

/// One sample with what is needed to read it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The facts.
    pub facts: &'a Facts,
    /// The facts of the good sample before it, for what only a difference shows.
    pub before: Option<&'a Facts>,
    /// The source that they come from.
    pub source: &'a SourceId,
    /// When they were observed.
    pub at: Timestamp,
}

/// One value of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it is about.
    pub subject: Subject,
    /// The signal.
    pub signal: &'static Signal,
    /// The value, in the signal's unit; not a number where it is known to be unknown.
    pub value: f64,
}

/// The readings of one sample, in the order of the facts.
pub fn readings(seen: &Seen<'_>, index: &Index) -> Vec<Reading> {
    let mut out = Out(Vec::with_capacity(FEW));
    match (seen.facts, seen.before) {
        (Facts::Kubernetes(facts), _) => kubernetes::read(facts, seen, index, &mut out),
        (Facts::Postgres(facts), _) => postgres::read(facts, seen.source, index, &mut out),
        (Facts::Pgbouncer(facts), _) => postgres::read_pools(facts, seen.source, index, &mut out),
        (Facts::Odoo(facts), _) => odoo::read(facts, seen.source, index, &mut out),
        (Facts::Redis(facts), Some(Facts::Redis(before))) => redis::read(facts, Some(before), seen.source, &mut out),
        (Facts::Redis(facts), _) => redis::read(facts, None, seen.source, &mut out),
        (Facts::Traefik(facts), _) => traefik::read(facts, seen, index, &mut out),
        (Facts::Measured(facts), _) => measured::read(facts, &mut out),
    }
    out.0
}

/// Readings that most samples yield at most.
const FEW: usize = 48;

/// Collects readings; drops what is not a number.
struct Out(Vec<Reading>);

impl Out {
    fn push(&mut self, subject: &Subject, signal: &'static str, value: f64) {
        // A signal that is not in the table would be judged and shown by nothing.
        if let Some(signal) = signals::find(signal) {
            self.put(subject, signal, value);
        }
    }

    fn put(&mut self, subject: &Subject, signal: &'static Signal, value: f64) {
        if value.is_finite() {
            self.0.push(Reading { subject: subject.clone(), signal, value });
        }
    }

    fn maybe(&mut self, subject: &Subject, signal: &'static str, value: Option<f64>) {
        if let Some(value) = value {
            self.push(subject, signal, value);
        }
    }
}

fn tenant_subject(tenant: &Tenant) -> Subject {
    Subject::Tenant { tenant: tenant.id.clone() }
}

fn flag(yes: bool) -> f64 {
    if yes { 1.0 } else { 0.0 }
}

/// The greater of two, either of which may be missing.
fn greater(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

/// The value of one signal for one tenant at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct TenantSignal {
    /// Value in `unit`.
    pub value: f64,
    /// Unit.
    pub unit: Unit,
    /// When it was observed.
    pub observed_at: Timestamp,
    /// Its age in seconds.
    pub age_s: f64,
    /// The source that says so.
    pub source: SourceId,
}

/// Every signal that is fresh, flattened to one tenant: its own, those of the instance, its keeper, cluster and ingress
/// that it stands on, and, as no tenant is declared for a Redis, the worst of all Redis instances when every
/// one of them is fresh. What is not fresh is not in the map.
pub fn tenant_signals(
    world: &World,
    estate: &Estate,
    tenant: &TenantId,
    now: Timestamp,
) -> BTreeMap<String, TenantSignal> {
    let mut all = BTreeMap::new();
    let Some(declared) = estate.tenant(tenant) else { return all };
    let index = Index::of_tenant(estate, tenant);
    // What only a difference shows (redis.rejected) is judged by the rules alone: the world keeps no pairs.
    let mut redis_fresh = true;
    for (id, state) in &world.sources {
        let fresh = state.good.as_ref().filter(|_| state.freshness(now).is_fresh());
        let Some(good) = fresh else {
            redis_fresh &= state.spec.kind != SourceKind::Redis;
            continue;
        };
        if !tells_of(&good.facts, id, declared, &index) {
            continue;
        }
        let seen = Seen { facts: &good.facts, before: None, source: id, at: good.taken_at };
        for reading in readings(&seen, &index) {
            if reading.value.is_finite() && concerns(world, &reading.subject, declared) {
                keep_worst(&mut all, &reading, good.taken_at, now, id);
            }
        }
    }
    if !redis_fresh {
        all.retain(|name, _| !name.starts_with("redis."));
    }
    all
}

/// Whether a source can tell anything of a tenant; a large estate has thousands, and a handful can.
fn tells_of(facts: &Facts, source: &SourceId, tenant: &Tenant, index: &Index) -> bool {
    match facts {
        Facts::Odoo(_) => index.odoo_tenant(source).is_some_and(|own| own.id == tenant.id),
        Facts::Postgres(_) => tenant.has_database_on(source),
        Facts::Kubernetes(_) => tenant.runs_in(source),
        Facts::Traefik(_) => tenant.is_behind(source),
        Facts::Pgbouncer(_) | Facts::Redis(_) | Facts::Measured(_) => true,
    }
}

fn concerns(world: &World, subject: &Subject, tenant: &Tenant) -> bool {
    match subject {
        Subject::Keep { .. } => {
            let own = tenant.database.as_ref().map(|d| &d.instance);
            own.is_some_and(|own| world.kept(subject).any(|instance| instance == own))
        }
        Subject::Tenant { tenant: id } => *id == tenant.id,
        Subject::Instance { source } => tenant.has_database_on(source),
        Subject::Ingress { source } => tenant.is_behind(source),
        Subject::Redis { .. } => true,
        _ => false,
    }
}

/// A tenant's own value wins over one of what it shares; of several Redis the worst wins.
fn keep_worst(
    all: &mut BTreeMap<String, TenantSignal>,
    reading: &Reading,
    observed_at: Timestamp,
    now: Timestamp,
    source: &SourceId,
) {
    let signal = reading.signal;
    let shared = !matches!(reading.subject, Subject::Tenant { .. });
    if let Some(known) = all.get(signal.name) {
        let worse = match signal.direction {
            signals::Direction::Above => reading.value > known.value,
            signals::Direction::Below => reading.value < known.value,
        };
        let same_kind = matches!(reading.subject, Subject::Redis { .. });
        if shared && !(same_kind && worse) {
            return;
        }
    }
    let age_s = now.duration_since(observed_at).as_secs_f64().max(0.0);
    let value = TenantSignal { value: reading.value, unit: signal.unit, observed_at, age_s, source: source.clone() };
    all.insert(signal.name.to_owned(), value);
}
