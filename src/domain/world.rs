//! What is known of the estate at one moment: the newest sample of each source, and the last good one.

use super::estate::Estate;
use super::facts::Facts;
use super::facts::measured::Kept;
use super::id::SourceId;
use super::sample::{Failure, Freshness, Sample, SourceKind, SourceSpec};
use super::signal::Subject;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The last good observation of a source.
#[derive(Clone, Debug)]
pub struct Good {
    /// What was seen.
    pub facts: Arc<Facts>,
    /// When.
    pub taken_at: Timestamp,
    /// How long it took.
    pub took: Duration,
}

/// A run of failures of a source.
#[derive(Clone, Debug)]
pub struct Failing {
    /// When the first of them was seen.
    pub since: Timestamp,
    /// The newest.
    pub failure: Failure,
    /// How many in a row.
    pub count: u64,
}

/// Everything known about one source.
#[derive(Clone, Debug)]
pub struct SourceState {
    /// What it said of itself.
    pub spec: SourceSpec,
    /// When it was first asked.
    pub started_at: Timestamp,
    /// The last good observation.
    pub good: Option<Good>,
    /// The failures since, if the newest observation failed.
    pub failing: Option<Failing>,
}

impl SourceState {
    /// A source that has been asked and has not answered.
    pub const fn new(spec: SourceSpec, started_at: Timestamp) -> Self {
        Self { spec, started_at, good: None, failing: None }
    }

    /// How far the last good value can be relied on: fresh up to two intervals (never less than two seconds)
    /// and only while the newest observation did not fail.
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        let age = |at: Timestamp| now.duration_since(at).as_secs().max(0).unsigned_abs();
        let last_good_age_s = self.good.as_ref().map(|g| age(g.taken_at));
        if let Some(failing) = &self.failing {
            return Freshness::Unknown { since: failing.since, why: failing.failure.message.clone(), last_good_age_s };
        }
        let limit = (self.spec.interval * 2).max(Duration::from_secs(2));
        match &self.good {
            None => Freshness::Unknown {
                since: self.started_at,
                why: format!("no answer from {} yet", self.spec.address),
                last_good_age_s: None,
            },
            Some(good) => {
                let late_at = good.taken_at.checked_add(limit).unwrap_or(Timestamp::MAX);
                if now <= late_at {
                    Freshness::Fresh { age_s: age(good.taken_at) }
                } else {
                    Freshness::Unknown {
                        since: late_at,
                        why: format!(
                            "no sample for {} s, one is due every {} s",
                            age(good.taken_at),
                            self.spec.interval.as_secs_f64()
                        ),
                        last_good_age_s,
                    }
                }
            }
        }
    }

    /// The facts if they are fresh.
    pub fn fresh_facts(&self, now: Timestamp) -> Option<&Facts> {
        if self.freshness(now).is_fresh() { self.good.as_ref().map(|g| &*g.facts) } else { None }
    }
}

/// What is known of the whole estate.
#[derive(Clone, Debug)]
pub struct World {
    /// The declared estate.
    pub estate: Arc<Estate>,
    /// Its sources.
    pub sources: BTreeMap<SourceId, SourceState>,
}

impl World {
    /// An estate of which nothing has been observed.
    pub fn new(estate: Arc<Estate>, sources: impl IntoIterator<Item = SourceSpec>, now: Timestamp) -> Self {
        let sources = sources.into_iter().map(|s| (s.id.clone(), SourceState::new(s, now))).collect();
        Self { estate, sources }
    }

    /// Takes in a sample. One older than what is known is dropped, as is one of an undeclared source;
    /// the answer says whether it was taken.
    pub fn take(&mut self, sample: Sample) -> bool {
        let Some(state) = self.sources.get_mut(&sample.source) else { return false };
        if state.good.as_ref().is_some_and(|g| g.taken_at > sample.taken_at) {
            return false;
        }
        match sample.result {
            Ok(facts) => {
                state.good = Some(Good { facts, taken_at: sample.taken_at, took: sample.took });
                state.failing = None;
            }
            Err(failure) => match &mut state.failing {
                Some(failing) => {
                    failing.failure = failure;
                    failing.count = failing.count.saturating_add(1);
                }
                None => state.failing = Some(Failing { since: sample.taken_at, failure, count: 1 }),
            },
        }
        true
    }

    /// What a source said last, however long ago that is.
    pub fn last(&self, source: &SourceId) -> Option<&Facts> {
        self.sources.get(source)?.good.as_ref().map(|good| &*good.facts)
    }

    /// The instances that a keeper keeps, as it last said: the sources with the name or the address of one of its
    /// servers.
    pub fn kept<'a>(&'a self, keep: &'a Subject) -> impl Iterator<Item = &'a SourceId> {
        let told = match keep {
            Subject::Keep { source, .. } => self.last(source),
            _ => None,
        };
        let servers = match told {
            Some(Facts::Measured(facts)) => facts.kept.as_slice(),
            _ => &[],
        };
        let is = |server: &Kept, id: &SourceId, spec: &SourceSpec| {
            server.by == *keep && (server.name == id.as_str() || server.address.as_ref() == Some(&spec.address))
        };
        let instances = self.sources.iter().filter(|(_, state)| state.spec.kind == SourceKind::Postgres);
        instances.filter(move |(id, state)| servers.iter().any(|s| is(s, id, &state.spec))).map(|(id, _)| id)
    }

    /// The fresh facts of a source.
    pub fn fresh(&self, source: &SourceId, now: Timestamp) -> Option<&Facts> {
        self.sources.get(source).and_then(|s| s.fresh_facts(now))
    }
}
