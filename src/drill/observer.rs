//! Observers of the simulated estate: they sample it at the pace of the scenario clock.

use super::clock::ScenarioClock;
use super::exercise::Exercise;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Clock, Observer, SampleSink};
use crate::domain::sample::{Sample, SourceSpec};
use jiff::SignedDuration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The estate as observers and verbs share it.
pub(super) struct Shared {
    exercise: Mutex<Exercise>,
    /// The clock.
    pub clock: Arc<ScenarioClock>,
}

impl Shared {
    pub fn new(exercise: Exercise, clock: Arc<ScenarioClock>) -> Self {
        Self { exercise: Mutex::new(exercise), clock }
    }

    /// The exercise, brought up to now.
    pub fn now(&self) -> MutexGuard<'_, Exercise> {
        let mut exercise = self.exercise.lock().unwrap_or_else(PoisonError::into_inner);
        exercise.advance_to(self.clock.now());
        exercise
    }

    /// One sample of a source, stamped with the time of the scenario.
    pub fn sample(&self, source: &SourceId) -> Sample {
        let exercise = self.now();
        let result = exercise.sim.look(source).map(Arc::new);
        // A network's way, a little different for each source.
        let took = Duration::from_micros(1_800 + source.as_str().bytes().map(u64::from).sum::<u64>());
        Sample { source: source.clone(), taken_at: self.clock.now(), took, result }
    }
}

/// Real time that the scenario stands still for whoever has not kept up with it.
const BREATH: Duration = Duration::from_millis(20);

/// How often to look.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pace {
    /// As the source's interval says, in the time of the scenario.
    Scenario,
    /// After so much real time, whatever the clock says: for measuring the console under load.
    Real(Duration),
}

/// Looks at one simulated source.
pub(super) struct Simulated {
    pub shared: Arc<Shared>,
    pub spec: SourceSpec,
    pub pace: Pace,
}

impl Observer for Simulated {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    fn run(self: Box<Self>, sink: SampleSink) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Self { shared, spec, pace } = *self;
            match pace {
                Pace::Scenario => {
                    let interval = SignedDuration::try_from(spec.interval).unwrap_or(SignedDuration::from_secs(1));
                    loop {
                        let sample = shared.sample(&spec.id);
                        let next = sample.taken_at.checked_add(interval).unwrap_or(sample.taken_at);
                        sink(sample);
                        shared.clock.reach(next).await;
                        // A machine that is too slow for the speed: the scenario waits for it, so that what is seen
                        // is never too old, and the others have their turn too.
                        if shared.clock.now().duration_since(next) > interval {
                            shared.clock.wait(BREATH);
                        }
                        tokio::task::yield_now().await;
                    }
                }
                Pace::Real(every) => {
                    let mut ticks = tokio::time::interval(every);
                    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
                    loop {
                        ticks.tick().await;
                        sink(shared.sample(&spec.id));
                    }
                }
            }
        })
    }
}
