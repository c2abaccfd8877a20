//! The clock of a scenario: begins at the scenario's moment, runs at a speed that can be changed, and stands
//! still at speed zero.

use crate::domain::ports::Clock;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;

#[derive(Clone, Copy, Debug)]
struct Anchor {
    real: Instant,
    scenario: Timestamp,
    speed: f64,
}

/// Fastest that a scenario may run; beyond it the observers could not keep up.
pub const FASTEST: f64 = 600.0;

/// The clock.
#[derive(Debug)]
pub struct ScenarioClock {
    anchor: Mutex<Anchor>,
    speed: watch::Sender<f64>,
}

impl ScenarioClock {
    /// A clock that shows `start` now.
    pub fn new(start: Timestamp, speed: f64) -> Self {
        let speed = sane(speed);
        let anchor = Anchor { real: Instant::now(), scenario: start, speed };
        Self { anchor: Mutex::new(anchor), speed: watch::Sender::new(speed) }
    }

    /// Changes the speed; 0 pauses. What has passed until now stays.
    pub fn set_speed(&self, speed: f64) {
        let speed = sane(speed);
        let mut anchor = self.anchor();
        anchor.scenario = shown(&anchor);
        anchor.real = Instant::now();
        anchor.speed = speed;
        drop(anchor);
        self.speed.send_replace(speed);
    }

    /// Tells of changes of the speed.
    pub fn speeds(&self) -> watch::Receiver<f64> {
        self.speed.subscribe()
    }

    /// Returns when this clock shows `at`, however often its speed changes until then.
    pub async fn reach(&self, at: Timestamp) {
        let mut speeds = self.speeds();
        loop {
            let left = at.duration_since(self.now()).as_secs_f64();
            if left <= 0.0 {
                return;
            }
            let speed = *speeds.borrow_and_update();
            let changed = speeds.changed();
            if speed > 0.0 {
                // Never a zero sleep: a millisecond of a fast clock may already be too long.
                let real = Duration::from_secs_f64((left / speed).clamp(0.0005, 3600.0));
                tokio::select! {
                    () = tokio::time::sleep(real) => {}
                    _ = changed => {}
                }
            } else if changed.await.is_err() {
                return;
            }
        }
    }

    /// Stands still for so much real time from now on, then goes on at its speed.
    pub fn wait(&self, real: Duration) {
        let mut anchor = self.anchor();
        anchor.scenario = shown(&anchor);
        // Until that moment nothing has elapsed since it.
        anchor.real = Instant::now() + real;
    }

    /// Moves on at once, for whoever plays second by second.
    pub fn advance(&self, by: SignedDuration) {
        let mut anchor = self.anchor();
        anchor.scenario = anchor.scenario.checked_add(by).unwrap_or(Timestamp::MAX);
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sane(speed: f64) -> f64 {
    if speed.is_finite() { speed.clamp(0.0, FASTEST) } else { 0.0 }
}

fn shown(anchor: &Anchor) -> Timestamp {
    let passed = anchor.real.elapsed().as_secs_f64() * anchor.speed;
    let passed = SignedDuration::try_from_secs_f64(passed).unwrap_or(SignedDuration::MAX);
    anchor.scenario.checked_add(passed).unwrap_or(Timestamp::MAX)
}

impl Clock for ScenarioClock {
    fn now(&self) -> Timestamp {
        shown(&self.anchor())
    }

    fn speed(&self) -> f64 {
        self.anchor().speed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start() -> Timestamp {
        "2026-11-20T02:00:00Z".parse().unwrap()
    }

    #[test]
    fn at_speed_zero_time_stands_still_and_goes_on_from_there() {
        let clock = ScenarioClock::new(start(), 0.0);
        let one = clock.now();
        std::hint::black_box((0..10_000).sum::<u64>());
        assert_eq!(one, clock.now());
        assert_eq!(one, start());
        clock.set_speed(f64::NAN);
        assert!(clock.speed().abs() < f64::EPSILON);
        clock.set_speed(1e9);
        assert!((clock.speed() - FASTEST).abs() < f64::EPSILON);
        assert!(clock.now() >= one);
    }

    #[tokio::test]
    async fn a_moment_is_reached_through_a_pause() {
        let clock = std::sync::Arc::new(ScenarioClock::new(start(), 0.0));
        let at = start().checked_add(SignedDuration::from_secs(30)).unwrap();
        let waits = tokio::spawn({
            let clock = clock.clone();
            async move { clock.reach(at).await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        clock.set_speed(FASTEST);
        waits.await.unwrap();
        assert!(clock.now() >= at);
    }

    #[test]
    fn it_waits_for_whoever_is_late_and_never_goes_back() {
        let clock = ScenarioClock::new(start(), FASTEST);
        let before = clock.now();
        clock.wait(Duration::from_hours(1));
        let held = clock.now();
        assert!(held >= before);
        clock.wait(Duration::from_hours(1));
        assert_eq!(clock.now(), held, "two that are late wait at the same time");
        clock.set_speed(0.0);
        assert_eq!(clock.now(), held);
    }
}
