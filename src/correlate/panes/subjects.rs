//! One row a subject that is known by its signals alone: any signal whose pane is one of these shows without further
//! code. Of each subject the worst signals stand in the row.

use super::beside::TREND;
use super::{Sight, unknown};
use crate::correlate::history::History;
use crate::correlate::signals::{self, Signal, SubjectKind};
use crate::correlate::words;
use crate::domain::facts::Facts;
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::{Pane, SHOWN, SignalValue, SubjectRow};
use crate::domain::signal::Subject;
use crate::domain::world::World;
use hashbrown::HashMap;
use smol_str::SmolStr;

/// The rows of the panes, worst first.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub platform: Vec<SubjectRow>,
    pub recovery: Vec<SubjectRow>,
    pub delivery: Vec<SubjectRow>,
    pub business: Vec<SubjectRow>,
    pub security: Vec<SubjectRow>,
}

impl Rows {
    fn of(&mut self, pane: Pane) -> Option<&mut Vec<SubjectRow>> {
        match pane {
            Pane::Tenants | Pane::Database | Pane::Queue | Pane::Ingress => None,
            Pane::Platform => Some(&mut self.platform),
            Pane::Recovery => Some(&mut self.recovery),
            Pane::Delivery => Some(&mut self.delivery),
            Pane::Business => Some(&mut self.business),
            Pane::Security => Some(&mut self.security),
        }
    }
}

/// What is known of a source: when it last answered, and why it can not be relied on.
struct Known {
    taken_ms: i64,
    age_s: Option<f64>,
    unknown: Option<String>,
}

/// The pane that shows a signal of a kind of subject; `None` where a pane has a row of its own for it. What belongs to
/// such a pane and has no row there stands on the platform's.
const fn pane(signal: &Signal, kind: SubjectKind) -> Option<Pane> {
    use SubjectKind::{Channel, Ingress, Instance, Redis, Router, Tenant};
    match (signal.pane, kind) {
        (
            Pane::Tenants | Pane::Database | Pane::Queue | Pane::Ingress,
            Tenant | Instance | Channel | Redis | Router | Ingress,
        ) => None,
        (Pane::Tenants | Pane::Database | Pane::Queue | Pane::Ingress, _) => Some(Pane::Platform),
        (general, _) => Some(general),
    }
}

/// A kind in a word.
const fn word(kind: SubjectKind) -> &'static str {
    match kind {
        SubjectKind::Tenant => "tenant",
        SubjectKind::Instance => "instance",
        SubjectKind::Channel => "channel",
        SubjectKind::Redis => "redis",
        SubjectKind::Router => "router",
        SubjectKind::Ingress => "ingress",
        SubjectKind::Cluster => "cluster",
        SubjectKind::Node => "node",
        SubjectKind::Namespace => "namespace",
        SubjectKind::Workload => "workload",
        SubjectKind::Volume => "volume",
        SubjectKind::Keep => "keeper",
        SubjectKind::Backup => "backup",
        SubjectKind::Application => "application",
        SubjectKind::Certificate => "certificate",
        SubjectKind::Endpoint => "endpoint",
        SubjectKind::Integration => "integration",
        SubjectKind::Key => "key",
        SubjectKind::Alert => "alert",
        SubjectKind::ByHand => "by hand",
        SubjectKind::Source => "source",
    }
}

/// What is known of one signal of a subject.
struct Told<'a> {
    pane: Pane,
    signal: &'static Signal,
    source: &'a SourceId,
    value: Option<f64>,
    /// Why it is not known, where its source says so.
    untold: Option<&'a str>,
}

type BySubject<'a> = HashMap<&'a Subject, Vec<Told<'a>>>;

/// Values that sources should have told and say that they could not.
fn untold(world: &World) -> BySubject<'_> {
    let mut all: BySubject<'_> = HashMap::new();
    for (source, state) in &world.sources {
        let Some(Facts::Measured(facts)) = state.good.as_ref().map(|good| &*good.facts) else { continue };
        for one in &facts.untold {
            let Some(signal) = signals::find(&one.signal) else { continue };
            let Some(pane) = pane(signal, SubjectKind::of(&one.subject)) else { continue };
            let told = Told { pane, signal, source, value: None, untold: Some(&one.why) };
            all.entry(&one.subject).or_default().push(told);
        }
    }
    all
}

pub(super) fn rows(sight: Sight<'_>, history: &History) -> Rows {
    let known: HashMap<&SourceId, Known> = (sight.world.sources.iter())
        .filter_map(|(id, state)| {
            let good = state.good.as_ref()?;
            let (age_s, unknown) = (super::age_s(state, sight.now), unknown(state, sight.now));
            Some((id, Known { taken_ms: good.taken_at.as_millisecond(), age_s, unknown }))
        })
        .collect();
    let mut rows = Rows::default();
    let mut untold = untold(sight.world);
    let mut add = |subject: &Subject, mut told: Vec<Told<'_>>| {
        told.sort_by_key(|t| t.pane);
        for of_pane in told.chunk_by(|a, b| a.pane == b.pane) {
            if let Some(rows) = of_pane.first().and_then(|t| rows.of(t.pane)) {
                rows.push(row(sight, history, &known, subject, of_pane));
            }
        }
    };
    for subject in history.subjects() {
        let kind = SubjectKind::of(subject);
        let told = history.newest(subject).filter_map(|newest| {
            let pane = pane(newest.signal, kind)?;
            // What the newest sample of a source no longer tells is gone.
            known.get(newest.source).filter(|k| newest.at_ms >= k.taken_ms)?;
            Some(Told { pane, signal: newest.signal, source: newest.source, value: Some(newest.value), untold: None })
        });
        let told: Vec<_> = told.chain(untold.remove(subject).into_iter().flatten()).collect();
        if !told.is_empty() {
            add(subject, told);
        }
    }
    for (subject, told) in untold {
        add(subject, told);
    }
    for pane in Pane::GENERAL {
        if let Some(rows) = rows.of(pane) {
            rows.sort_by(|a, b| {
                let rank = |r: &SubjectRow| SubjectKind::of(&r.subject);
                (b.health.cmp(&a.health)).then_with(|| rank(a).cmp(&rank(b))).then_with(|| a.subject.cmp(&b.subject))
            });
        }
    }
    rows
}

fn row(
    sight: Sight<'_>,
    history: &History,
    known: &HashMap<&SourceId, Known>,
    subject: &Subject,
    told: &[Told<'_>],
) -> SubjectRow {
    let thresholds = &sight.settings.thresholds;
    let mut silent = None;
    let mut age_s: Option<f64> = None;
    let mut all: Vec<(Health, &Told<'_>)> = Vec::with_capacity(told.len());
    for one in told {
        let source = known.get(one.source);
        let why = source.and_then(|s| s.unknown.as_deref()).or(one.untold);
        let health = match (why, one.value) {
            (Some(why), _) => {
                silent.get_or_insert_with(|| format!("{}: {why}", one.source));
                Health::Unknown
            }
            (None, value) => value.map_or(Health::Unknown, |v| thresholds.grade(one.signal, v)),
        };
        age_s = match (age_s, source.and_then(|s| s.age_s)) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        all.push((health, one));
    }
    let graded = |one: &Told<'_>| thresholds.of(one.signal).is_some();
    all.sort_by(|(a, x), (b, y)| {
        b.cmp(a).then_with(|| graded(y).cmp(&graded(x))).then_with(|| x.signal.name.cmp(y.signal.name))
    });
    let health = Health::worst(all.iter().map(|(health, _)| *health));
    let bad = all.iter().filter(|(health, _)| matches!(health, Health::Warn | Health::Critical));
    let bad = bad.filter_map(|(_, one)| Some(words::value(one.signal.name, one.value?)));
    let said: Vec<String> =
        if health == Health::Unknown { silent.into_iter().collect() } else { bad.take(SHOWN).collect() };
    let worst = all.first().filter(|_| health > Health::Ok);
    SubjectRow {
        subject: subject.clone(),
        kind: SmolStr::new_static(word(SubjectKind::of(subject))),
        name: words::subject(subject).into(),
        owner: sight.index.owner(subject).map(SmolStr::new),
        tenant: subject.tenant().cloned(),
        health,
        why: said.join(", "),
        more: u32::try_from(all.len().saturating_sub(SHOWN)).unwrap_or(u32::MAX),
        trend: worst.map_or_else(Vec::new, |(_, one)| history.tail(subject, one.signal.name, TREND)),
        signals: all.iter().take(SHOWN).map(|(health, one)| value(sight, *health, one)).collect(),
        age_s,
    }
}

fn value(sight: Sight<'_>, health: Health, one: &Told<'_>) -> SignalValue {
    let limits = sight.settings.thresholds.of(one.signal);
    SignalValue {
        signal: SmolStr::new_static(one.signal.name),
        value: one.value,
        unit: one.signal.unit,
        health,
        source: one.source.clone(),
        warn: limits.map(|l| l.warn),
        critical: limits.map(|l| l.critical),
    }
}
