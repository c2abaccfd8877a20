//! One row a subject that is known by its signals alone: any signal whose pane is one of these shows without further
//! code. Of each subject the worst signals stand in the row.

use super::{Sight, unknown};
use crate::correlate::history::{History, Newest};
use crate::correlate::signals::{Signal, SubjectKind};
use crate::correlate::{whom, words};
use crate::domain::health::Health;
use crate::domain::id::SourceId;
use crate::domain::pane::{Pane, SHOWN, SignalValue, SubjectRow};
use crate::domain::signal::Subject;
use std::collections::HashMap;

/// Values of a trend.
const TREND: usize = 24;

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

/// The pane that shows a signal of a kind of subject; `None` where another pane has a row of its own for it.
fn pane(signal: &Signal, kind: SubjectKind) -> Option<Pane> {
    let _ = signal;
    matches!(kind, SubjectKind::Cluster | SubjectKind::Node).then_some(Pane::Platform)
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
    }
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
    let mut told: Vec<(Pane, Newest<'_>)> = Vec::new();
    for subject in history.subjects() {
        let kind = SubjectKind::of(subject);
        told.clear();
        told.extend(history.newest(subject).filter_map(|newest| {
            // What the newest sample of a source no longer tells is gone.
            let current = known.get(newest.source).is_some_and(|k| newest.at_ms >= k.taken_ms);
            Some((pane(newest.signal, kind).filter(|_| current)?, newest))
        }));
        told.sort_by_key(|(pane, _)| *pane);
        for of_pane in told.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((pane, _)) = of_pane.first() else { continue };
            if let Some(rows) = rows.of(*pane) {
                rows.push(row(sight, history, &known, subject, of_pane));
            }
        }
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
    told: &[(Pane, Newest<'_>)],
) -> SubjectRow {
    let mut silent = None;
    let mut age_s: Option<f64> = None;
    let mut all: Vec<(Health, &Newest<'_>)> = Vec::with_capacity(told.len());
    for (_, newest) in told {
        let source = known.get(newest.source);
        let health = match source.and_then(|s| s.unknown.as_ref()) {
            Some(why) => {
                silent.get_or_insert((newest.source, why));
                Health::Unknown
            }
            None => sight.settings.thresholds.grade(newest.signal.name, newest.value),
        };
        let age = source.and_then(|s| s.age_s);
        age_s = match (age_s, age) {
            (Some(a), Some(b)) => Some(a.max(b)),
            (a, b) => a.or(b),
        };
        all.push((health, newest));
    }
    let graded = |newest: &Newest<'_>| sight.settings.thresholds.of(newest.signal.name).is_some();
    all.sort_by(|(a, x), (b, y)| {
        b.cmp(a).then_with(|| graded(y).cmp(&graded(x))).then_with(|| x.signal.name.cmp(y.signal.name))
    });
    let health = Health::worst(all.iter().map(|(health, _)| *health));
    let why = match (silent, health) {
        (Some((source, why)), _) => format!("{source}: {why}"),
        (None, Health::Ok) => String::new(),
        (None, _) => {
            let bad = all.iter().filter(|(health, _)| *health > Health::Ok);
            bad.map(|(_, n)| words::value(n.signal.name, n.value)).take(SHOWN).collect::<Vec<_>>().join(", ")
        }
    };
    let worst = all.first().filter(|_| health > Health::Ok);
    let trend = worst.map_or_else(Vec::new, |(_, newest)| history.tail(subject, newest.signal.name, TREND));
    let tenant = whom::owner(subject).cloned();
    SubjectRow {
        subject: subject.clone(),
        kind: word(SubjectKind::of(subject)).to_owned(),
        name: words::subject(subject),
        owner: None,
        tenant,
        health,
        why,
        more: u32::try_from(all.len().saturating_sub(SHOWN)).unwrap_or(u32::MAX),
        signals: all.iter().take(SHOWN).map(|(health, newest)| value(sight, *health, newest)).collect(),
        trend,
        age_s,
    }
}

fn value(sight: Sight<'_>, health: Health, newest: &Newest<'_>) -> SignalValue {
    let limits = sight.settings.thresholds.of(newest.signal.name);
    SignalValue {
        signal: newest.signal.name.to_owned(),
        value: newest.value,
        unit: newest.signal.unit,
        health,
        source: newest.source.clone(),
        warn: limits.map(|l| l.warn),
        critical: limits.map(|l| l.critical),
    }
}
