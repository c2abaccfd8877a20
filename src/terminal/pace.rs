//! When the next frame may be drawn: thirty a second at most, and on a slow link no more bytes than it can carry.

use std::time::Duration;
use tokio::time::Instant;

/// Least time between two frames.
const FRAME: Duration = Duration::from_millis(33);

/// How far a frame that answers a key may run ahead of the budget, so that typing is not held up by what changed by
/// itself before.
const AHEAD: Duration = Duration::from_millis(500);

/// Paces frames.
#[derive(Debug)]
pub struct Pace {
    /// Bytes a second; as many as there are when absent.
    budget: Option<u32>,
    /// When the frame before was drawn.
    drawn: Instant,
    /// When the link will have carried what was written.
    free: Instant,
    /// Whether somebody waits for the answer to a key.
    urged: bool,
}

impl Pace {
    /// Nothing was drawn yet.
    pub const fn new(budget: Option<u32>, now: Instant) -> Self {
        Self { budget, drawn: now, free: now, urged: false }
    }

    /// Says that somebody has pressed something.
    pub const fn urge(&mut self) {
        self.urged = true;
    }

    /// Says that so many bytes were written beside a frame.
    pub fn wrote(&mut self, bytes: usize, now: Instant) {
        let Some(budget) = self.budget else { return };
        let takes =
            Duration::from_secs_f64(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / f64::from(budget.max(1)));
        self.free = self.free.max(now) + takes;
    }

    /// Says that a frame of so many bytes was drawn.
    pub fn drew(&mut self, bytes: usize, now: Instant) {
        self.drawn = now;
        self.urged = false;
        self.wrote(bytes, now);
    }

    /// When the next frame may be drawn.
    pub fn next(&self) -> Instant {
        let free = if self.urged { self.free.checked_sub(AHEAD).unwrap_or(self.free) } else { self.free };
        (self.drawn + FRAME).max(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Draws frames of so many bytes as often as it may for a minute; answers the bytes a second.
    fn rate(budget: Option<u32>, bytes: usize, keys: bool) -> f64 {
        let start = Instant::now();
        let (mut pace, mut now, mut sum) = (Pace::new(budget, start), start, 0.0);
        while now < start + Duration::from_mins(1) {
            if keys {
                pace.urge();
            }
            now = now.max(pace.next());
            pace.drew(bytes, now);
            sum += f64::from(u32::try_from(bytes).unwrap());
        }
        sum / (now - start).as_secs_f64()
    }

    #[test]
    fn a_slow_link_gets_no_more_than_it_can_carry_and_a_key_waits_for_less() {
        for bytes in [60, 900, 5000] {
            for keys in [false, true] {
                let rate = rate(Some(2048), bytes, keys);
                // At the end the last frame and what may run ahead are still on their way.
                assert!(rate <= 2048.0 + (1024.0 + 5000.0) / 60.0, "{rate} for {bytes} bytes, keys {keys}");
            }
        }
        assert!(rate(None, 5000, false) > 100_000.0);
        let now = Instant::now();
        let mut pace = Pace::new(Some(2048), now);
        pace.drew(2048, now);
        let calm = pace.next();
        pace.urge();
        assert_eq!(calm - pace.next(), AHEAD);
    }
}
