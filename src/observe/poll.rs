//! The driver of observers that ask once an interval: when to ask, how long to wait, when to ask again after
//! a failure. An adapter implements [`Poll`]; [`Polling`] makes an observer of it.

use crate::domain::facts::Facts;
use crate::domain::ports::{BoxFuture, Observer, SampleSink};
use crate::domain::sample::{Failure, FailureKind, Sample, SourceSpec};
use jiff::Timestamp;
use rand_core::{OsRng, RngCore as _};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// The longest wait after failures, unless the interval itself is longer.
const LONGEST_BACKOFF: Duration = Duration::from_secs(30);

/// The first question comes within this time, so that observers of one estate do not ask at the same instant
/// and the first screen still fills at once.
const START_WITHIN: Duration = Duration::from_millis(250);

/// Observers with a longer interval than this, which are many of one kind, look a second time after a random part of it: they
/// all began within [`START_WITHIN`], and would else ask at the same moment for ever.
const SPREAD_FROM: Duration = Duration::from_secs(5);

/// Ticks are never closer than this, whatever the configuration says.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);

/// Looks at one system, once per call.
pub trait Poll: Send + 'static {
    /// What it is.
    fn spec(&self) -> SourceSpec;
    /// Time allowed for one call of [`Poll::poll`]; it is dropped after that.
    fn timeout(&self) -> Duration;
    /// Looks once. May be dropped at any await; the next call then starts afresh.
    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>>;
}

/// An observer that polls: jittered start, missed ticks skipped, a client timeout, back-off after failures.
#[derive(Debug)]
pub struct Polling<P>(pub P);

impl<P: Poll> Observer for Polling<P> {
    fn spec(&self) -> SourceSpec {
        self.0.spec()
    }

    fn run(self: Box<Self>, sink: SampleSink) -> BoxFuture<'static, ()> {
        Box::pin(drive(self.0, sink))
    }
}

async fn drive(mut poll: impl Poll, sink: SampleSink) {
    let SourceSpec { id, interval, address, .. } = poll.spec();
    let interval = interval.max(SHORTEST_INTERVAL);
    let mut ticks = tokio::time::interval_at(Instant::now() + START_WITHIN.min(interval).mul_f64(random()), interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut failures = 0_u32;
    let mut first = true;
    loop {
        ticks.tick().await;
        let allowed = poll.timeout();
        let asked = Instant::now();
        let result = tokio::time::timeout(allowed, poll.poll()).await.unwrap_or_else(|_| {
            let message = format!("no answer from {address} within {} s", allowed.as_secs_f64());
            Err(Failure::new(FailureKind::Timeout, message))
        });
        failures = if result.is_ok() { 0 } else { failures.saturating_add(1) };
        let result = result.map(Arc::new);
        sink(Sample { source: id.clone(), taken_at: Timestamp::now(), took: asked.elapsed(), result });
        if failures > 0 {
            ticks.reset_after(backoff(interval, failures, random()));
        } else if first && interval > SPREAD_FROM {
            ticks.reset_after(interval.mul_f64(random()));
        }
        first = false;
    }
}

/// How long to wait after so many failures in a row: the interval, then twice, four times, at most
/// [`LONGEST_BACKOFF`], shortened by up to a fifth so that observers which failed together part again.
/// `random` is from 0 to 1.
pub(super) fn backoff(interval: Duration, failures: u32, random: f64) -> Duration {
    let factor = 2_u32.saturating_pow(failures.saturating_sub(1).min(16));
    interval.saturating_mul(factor).min(LONGEST_BACKOFF.max(interval)).mul_f64(1.0 - random / 5.0)
}

/// A number from 0 to 1.
fn random() -> f64 {
    f64::from(OsRng.next_u32()) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::facts::RedisFacts;
    use crate::domain::id::SourceId;
    use crate::domain::sample::SourceKind;
    use std::collections::VecDeque;

    /// Answers what it was given, then never again.
    struct Script(VecDeque<Result<Facts, Failure>>);

    impl Poll for Script {
        fn spec(&self) -> SourceSpec {
            SourceSpec {
                id: SourceId::new("redis-q"),
                kind: SourceKind::Redis,
                interval: Duration::from_millis(20),
                address: "127.0.0.1:6379".into(),
            }
        }

        fn timeout(&self) -> Duration {
            Duration::from_millis(30)
        }

        fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
            let answer = self.0.pop_front();
            Box::pin(async move {
                match answer {
                    Some(answer) => answer,
                    None => std::future::pending().await,
                }
            })
        }
    }

    #[tokio::test]
    async fn each_success_failure_and_silence_is_a_sample() {
        let script = Script(VecDeque::from([
            Ok(Facts::Redis(RedisFacts::default())),
            Err(Failure::new(FailureKind::Unreachable, "gone")),
            Ok(Facts::Redis(RedisFacts::default())),
        ]));
        let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
        let sink: SampleSink = Arc::new(move |sample| {
            let _ = send.send(sample);
        });
        let running = tokio::spawn(Box::new(Polling(script)).run(sink));
        let mut kinds = Vec::new();
        for _ in 0..4 {
            let sample = receive.recv().await.unwrap();
            assert_eq!(sample.source.as_str(), "redis-q");
            kinds.push(sample.result.as_ref().err().map(|f| f.kind));
            if let Err(f) = &sample.result
                && f.kind == FailureKind::Timeout
            {
                assert_eq!(f.message, "no answer from 127.0.0.1:6379 within 0.03 s");
                assert!(sample.took >= Duration::from_millis(30));
            }
        }
        assert_eq!(kinds, [None, Some(FailureKind::Unreachable), None, Some(FailureKind::Timeout)]);
        running.abort();
    }

    #[test]
    fn waits_double_after_each_failure_up_to_thirty_seconds() {
        let wait = |n| backoff(Duration::from_secs(5), n, 0.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 99].map(wait), [5, 10, 20, 30, 30, 30]);
        assert_eq!(backoff(Duration::from_mins(1), 9, 0.0).as_secs(), 60, "never more often than asked for");
        assert_eq!(backoff(Duration::from_secs(5), 1, 1.0).as_secs(), 4, "jitter takes up to a fifth");
    }
}
