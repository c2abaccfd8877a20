//! What one engine watches at the moment, and what of that waits to be told to the others.

use super::body::Seen;
use super::plan::Plan;
use crate::domain::id::SourceId;
use crate::domain::ports::{Observer, SampleSink};
use crate::domain::sample::Sample;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::task::AbortOnDropHandle;

/// Makes the observers of the whole configuration; nothing is asked before one runs.
pub type Make = Arc<dyn Fn() -> Vec<Box<dyn Observer>> + Send + Sync>;

/// Observers that run, and those that could.
pub struct Hands {
    make: Make,
    ready: BTreeMap<SourceId, Box<dyn Observer>>,
    running: BTreeMap<SourceId, AbortOnDropHandle<()>>,
}

impl Hands {
    /// Nothing runs yet. `make` is asked when a source is watched for the second time.
    pub fn new(observers: Vec<Box<dyn Observer>>, make: Make) -> Self {
        Self { make, ready: by_name(observers), running: BTreeMap::new() }
    }

    /// Starts and ends observers as the plan says. An observer may be dropped at any time.
    pub fn heed(&mut self, plan: &Plan, sink: &SampleSink) {
        self.running.retain(|id, _| plan.watches(id, true));
        for id in plan.sources() {
            if self.running.contains_key(id) || !plan.watches(id, false) {
                continue;
            }
            if !self.ready.contains_key(id) {
                self.ready = by_name((self.make)());
            }
            if let Some(observer) = self.ready.remove(id) {
                let running = AbortOnDropHandle::new(tokio::spawn(observer.run(sink.clone())));
                self.running.insert(id.clone(), running);
            }
        }
    }
}

fn by_name(observers: Vec<Box<dyn Observer>>) -> BTreeMap<SourceId, Box<dyn Observer>> {
    observers.into_iter().map(|o| (o.spec().id, o)).collect()
}

/// The newest sample of each source that was not told yet.
#[derive(Clone, Debug, Default)]
pub struct Outbox(Arc<Mutex<BTreeMap<SourceId, Sample>>>);

impl Outbox {
    /// Where observers put samples: they go to `sink`, and wait here. It never blocks on who tells them.
    pub fn beside(&self, sink: SampleSink) -> SampleSink {
        let outbox = self.clone();
        Arc::new(move |sample: Sample| {
            outbox.put(sample.clone());
            sink(sample);
        })
    }

    /// Puts a sample in, unless a newer one waits.
    pub fn put(&self, sample: Sample) {
        let mut slots = self.slots();
        if slots.get(&sample.source).is_none_or(|waiting| waiting.taken_at <= sample.taken_at) {
            slots.insert(sample.source.clone(), sample);
        }
    }

    /// Takes out what waits of the sources that this engine tells of, at most so many; what waits of others is of no use
    /// to anybody.
    pub fn take(&self, most: usize, plan: &Plan) -> Vec<Sample> {
        let mut slots = self.slots();
        slots.retain(|id, _| plan.is_mine(id));
        let ids: Vec<SourceId> = slots.keys().take(most).cloned().collect();
        ids.iter().filter_map(|id| slots.remove(id)).collect()
    }

    fn slots(&self) -> MutexGuard<'_, BTreeMap<SourceId, Sample>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was last told or heard of each source, so that what did not change is not told again.
#[derive(Debug, Default)]
pub struct Known(BTreeMap<SourceId, Seen>);

impl Known {
    /// Whether this is what is known already.
    pub fn has(&self, source: &SourceId, seen: &Seen) -> bool {
        self.0.get(source).is_some_and(|known| known == seen)
    }

    /// What is known.
    pub fn get(&self, source: &SourceId) -> Option<&Seen> {
        self.0.get(source)
    }

    /// Keeps what is known from now on; nothing is, when it is not known what became of it.
    pub fn set(&mut self, source: &SourceId, seen: Option<Seen>) {
        match seen {
            Some(seen) => drop(self.0.insert(source.clone(), seen)),
            None => drop(self.0.remove(source)),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}
