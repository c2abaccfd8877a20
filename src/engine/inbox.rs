//! Where samples wait for the engine: one slot a source, newest wins, so that a flood costs memory for one
//! sample a source and no more.

use crate::domain::id::SourceId;
use crate::domain::ports::SampleSink;
use crate::domain::sample::Sample;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// The slots.
#[derive(Clone, Debug, Default)]
pub struct Inbox {
    slots: Arc<Mutex<BTreeMap<SourceId, Sample>>>,
    arrived: Arc<Notify>,
}

impl Inbox {
    /// The end that observers write to; it never blocks on the engine.
    pub fn sink(&self) -> SampleSink {
        let inbox = self.clone();
        Arc::new(move |sample| {
            let mut slots = inbox.slots.lock().unwrap_or_else(PoisonError::into_inner);
            let newer = slots.get(&sample.source).is_none_or(|old| old.taken_at <= sample.taken_at);
            if newer {
                slots.insert(sample.source.clone(), sample);
            }
            drop(slots);
            inbox.arrived.notify_one();
        })
    }

    /// Waits until something is there.
    pub async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes everything that is there.
    pub fn drain(&self) -> Vec<Sample> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *slots).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::{Failure, FailureKind};
    use jiff::Timestamp;
    use std::time::Duration;

    #[test]
    fn the_newest_of_a_source_wins_whatever_the_order() {
        let inbox = Inbox::default();
        let sink = inbox.sink();
        for second in [1, 3, 2] {
            sink(Sample {
                source: SourceId::new("a"),
                taken_at: Timestamp::from_second(second).unwrap(),
                took: Duration::ZERO,
                result: Err(Failure::new(FailureKind::Timeout, "late")),
            });
        }
        let all = inbox.drain();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].taken_at.as_second(), 3);
        assert!(inbox.drain().is_empty());
    }
}
