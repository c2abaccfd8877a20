//! How long the disk takes to take a batch, counted by the writer for whoever watches the program.

use jiff::Timestamp;
use std::time::Duration;

/// Upper ends of the classes that syncs are counted in, in microseconds; what took longer is in none of them.
pub const BOUNDS_US: [u64; 10] = [1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000];

/// All syncs of a writer so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Synced {
    /// The greatest time that a record on the disk bears, of those that this writer wrote.
    pub newest: Option<Timestamp>,
    /// How many there were.
    pub count: u64,
    /// How long they took together.
    pub total: Duration,
    /// How many fell into each class of [`BOUNDS_US`].
    pub classes: [u64; BOUNDS_US.len()],
}

impl Synced {
    /// Counts one that went well.
    pub(super) fn took(&mut self, time: Duration) {
        self.count = self.count.saturating_add(1);
        self.total = self.total.saturating_add(time);
        let fits = BOUNDS_US.iter().zip(&mut self.classes).find(|(bound, _)| time <= Duration::from_micros(**bound));
        if let Some((_, class)) = fits {
            *class = class.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sync_is_counted_in_the_first_class_that_holds_it_and_a_very_long_one_in_none() {
        let mut synced = Synced::default();
        for us in [0, 1_000, 1_001, 5_000_000, 5_000_001] {
            synced.took(Duration::from_micros(us));
        }
        assert_eq!((synced.count, synced.total), (5, Duration::from_micros(10_002_002)));
        assert_eq!(synced.classes, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
