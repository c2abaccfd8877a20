//! The recent past of each signal, for evidence. One ring a series: a value every ten seconds for ten minutes,
//! the newest of each ten seconds wins. A value that stays the same is kept once, so that most series take some eighty
//! bytes beside their name; none takes more than 352 (64 values of 4 bytes, its head, and the newest value).

use super::readings::Reading;
use super::signals::{self, SIGNALS, Signal};
use crate::domain::id::SourceId;
use crate::domain::signal::Subject;
use crate::domain::world::{SourceState, World};
use hashbrown::HashMap;
use jiff::Timestamp;

/// Seconds that one value stands for.
pub(super) const SLOT_S: i64 = 10;
/// Values kept.
pub const POINTS: usize = 60;

#[derive(Clone, Debug)]
struct Ring {
    /// Number of the slot of the newest value since the epoch.
    newest: i64,
    /// Slots that are held, up to `POINTS`.
    slots: u8,
    /// A bit a slot, the oldest lowest: it has another value than the slot before it. That of the oldest is set.
    differs: u64,
    /// The values of those slots, oldest first; a slot without observation is not a number.
    values: Vec<f32>,
    /// The newest value, unrounded.
    now: f64,
    /// When it was observed, in milliseconds since the epoch.
    at_ms: i64,
    /// Place of its source among those that are known.
    source: u32,
    /// Position of the signal in the table.
    row: u16,
}

/// The newest value of one signal.
#[derive(Clone, Copy, Debug)]
pub struct Newest<'a> {
    /// The signal.
    pub signal: &'static Signal,
    /// Value in the signal's unit.
    pub value: f64,
    /// When it was observed, in milliseconds since the epoch.
    pub at_ms: i64,
    /// The source that says so.
    pub source: &'a SourceId,
}

impl Newest<'_> {
    /// The source, as long as it still tells this: what is older than its last good sample it told once.
    pub fn told_by<'w>(&self, world: &'w World) -> Option<&'w SourceState> {
        let state = world.sources.get(self.source)?;
        (self.at_ms >= state.good.as_ref()?.taken_at.as_millisecond()).then_some(state)
    }
}

impl Ring {
    #[expect(clippy::cast_possible_truncation, reason = "evidence is drawn, seven digits are enough")]
    fn put(&mut self, slot: i64, value: f64) {
        let ahead = slot - self.newest;
        if ahead < 0 {
            return;
        }
        if ahead == 0 {
            self.drop_newest();
        }
        let gap = usize::try_from(ahead - 1).unwrap_or(0).min(POINTS);
        for value in std::iter::repeat_n(f32::NAN, gap).chain([value as f32]) {
            if usize::from(self.slots) == POINTS {
                self.drop_oldest();
            }
            self.push(value);
        }
        self.newest = slot;
    }

    const fn differs(&self, slot: u8) -> bool {
        self.differs >> slot & 1 == 1
    }

    fn push(&mut self, value: f32) {
        // By their bits: what is not a number is the same as what is not a number.
        if self.slots == 0 || self.values.last().is_none_or(|last| last.to_bits() != value.to_bits()) {
            self.differs |= 1 << self.slots;
            self.values.push(value);
        }
        self.slots += 1;
    }

    fn drop_newest(&mut self) {
        let Some(newest) = self.slots.checked_sub(1) else { return };
        if self.differs(newest) {
            self.values.pop();
            self.differs &= !(1 << newest);
        }
        self.slots = newest;
    }

    fn drop_oldest(&mut self) {
        if self.slots > 1 && self.differs(1) {
            self.values.remove(0);
        }
        self.differs = self.differs >> 1 | 1;
        self.slots = self.slots.saturating_sub(1);
    }

    /// A value a slot, oldest first.
    fn values(&self) -> impl Iterator<Item = f32> {
        let mut rest = self.values.iter();
        let mut value = f32::NAN;
        (0..self.slots).map(move |slot| {
            if self.differs(slot) {
                value = rest.next().copied().unwrap_or(f32::NAN);
            }
            value
        })
    }
}

/// Place of a source among those that are known.
#[derive(Clone, Copy, Debug)]
pub struct Source(u32);

/// All series.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Rings by their rows.
    series: HashMap<Subject, Vec<Ring>>,
    sources: Vec<SourceId>,
    places: HashMap<SourceId, Source>,
}

impl History {
    /// The place of a source, to say with its readings.
    pub fn source(&mut self, source: &SourceId) -> Source {
        if let Some(known) = self.places.get(source) {
            return *known;
        }
        let place = Source(u32::try_from(self.sources.len()).unwrap_or(u32::MAX));
        self.sources.push(source.clone());
        self.places.insert(source.clone(), place);
        place
    }

    /// Takes in readings of one subject.
    pub fn put(&mut self, readings: &[Reading], Source(source): Source, at: Timestamp) {
        let slot = at.as_second().div_euclid(SLOT_S);
        let Some(first) = readings.first() else { return };
        let of_subject = self.series.entry_ref(&first.subject).or_default();
        let at_ms = at.as_millisecond();
        // Samples of a source tell their signals in the same order: that of the next one mostly lies behind the last.
        let mut next = 0;
        for reading in readings {
            let (row, now) = (reading.signal.row, reading.value);
            if of_subject.get(next).is_none_or(|ring| ring.row != row) {
                next = of_subject.iter().position(|ring| ring.row == row).unwrap_or(of_subject.len());
            }
            let place = next;
            next += 1;
            if let Some(ring) = of_subject.get_mut(place) {
                ring.put(slot, now);
                if at_ms >= ring.at_ms {
                    (ring.now, ring.at_ms, ring.source) = (now, at_ms, source);
                }
            } else {
                let values = Vec::new();
                let mut ring = Ring { newest: slot, slots: 0, differs: 0, values, now, at_ms, source, row };
                ring.put(slot, now);
                of_subject.push(ring);
            }
        }
    }

    /// Every subject that is known, in no order.
    pub fn subjects(&self) -> impl Iterator<Item = &Subject> {
        self.series.keys()
    }

    /// The newest values of a subject's signals, also of those that its source no longer tells.
    pub fn newest(&self, subject: &Subject) -> impl Iterator<Item = Newest<'_>> {
        let rings = self.series.get(subject).map(Vec::as_slice).unwrap_or_default();
        rings.iter().filter_map(|ring| self.told(ring))
    }

    /// The newest value of one signal, also where its source no longer tells it.
    pub fn latest(&self, subject: &Subject, signal: &str) -> Option<Newest<'_>> {
        self.told(self.ring(subject, signal)?)
    }

    fn told(&self, ring: &Ring) -> Option<Newest<'_>> {
        let source = self.sources.get(usize::try_from(ring.source).ok()?)?;
        let signal = SIGNALS.get(usize::from(ring.row))?;
        Some(Newest { signal, value: ring.now, at_ms: ring.at_ms, source })
    }

    fn ring(&self, subject: &Subject, signal: &str) -> Option<&Ring> {
        let row = signals::find(signal)?.row;
        self.series.get(subject)?.iter().find(|ring| ring.row == row)
    }

    /// The series of one signal, oldest first, ten seconds apart; moments without an observation are left out.
    pub fn series(&self, subject: &Subject, signal: &str) -> Vec<f64> {
        self.ring(subject, signal)
            .map_or_else(Vec::new, |ring| ring.values().filter(|v| v.is_finite()).map(f64::from).collect())
    }

    /// The newest values of one signal, at most so many, oldest first; moments without an observation are left out.
    pub fn tail(&self, subject: &Subject, signal: &str, most: usize) -> Vec<f32> {
        self.ring(subject, signal).map_or_else(Vec::new, |ring| {
            let skip = usize::from(ring.slots).saturating_sub(most);
            ring.values().skip(skip).filter(|v| v.is_finite()).collect()
        })
    }

    /// The values of one signal with their gaps, oldest first, ten seconds apart.
    pub fn slots(&self, subject: &Subject, signal: &str) -> Vec<Option<f32>> {
        let ring = self.ring(subject, signal);
        ring.map_or_else(Vec::new, |ring| ring.values().map(|v| v.is_finite().then_some(v)).collect())
    }

    /// Drops subjects that have not been seen for as long as the ring reaches back.
    pub fn forget_before(&mut self, now: Timestamp) {
        let reach = i64::try_from(POINTS).unwrap_or(i64::MAX);
        let oldest = now.as_second().div_euclid(SLOT_S).saturating_sub(reach);
        for rings in self.series.values_mut() {
            rings.retain(|ring| ring.newest >= oldest);
        }
        self.series.retain(|_, rings| !rings.is_empty());
    }

    /// Number of series held.
    pub fn len(&self) -> usize {
        self.series.values().map(Vec::len).sum()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(history: &mut History, second: i64, value: f64) {
        let subject = Subject::Tenant { tenant: "t017".into() };
        let source = history.source(&"pg-a".into());
        history.put(
            &[Reading { subject, signal: signals::find("lock.blocked").unwrap(), value }],
            source,
            Timestamp::from_second(1_000_000 + second).unwrap(),
        );
    }

    fn series(history: &History) -> Vec<f64> {
        history.series(&Subject::Tenant { tenant: "t017".into() }, "lock.blocked")
    }

    #[test]
    fn the_newest_value_of_a_slot_wins_and_late_ones_are_dropped() {
        let mut history = History::default();
        for (second, value) in [(0, 1.0), (5, 2.0), (10, 3.0), (3, 9.0)] {
            put(&mut history, second, value);
        }
        assert_eq!(series(&history), [2.0, 3.0]);
    }

    #[test]
    fn the_ring_is_bounded_and_gaps_are_not_invented() {
        let mut history = History::default();
        (0..500_i32).for_each(|i| put(&mut history, i64::from(i) * 10, f64::from(i)));
        assert_eq!(series(&history).len(), POINTS);
        assert_eq!(series(&history).last(), Some(&499.0));
        put(&mut history, 4990 + 200, 1.0);
        assert_eq!(series(&history).len(), POINTS - 19);
        put(&mut history, 900_000, 7.0);
        assert_eq!(series(&history), [7.0]);
        let ring = &history.series.values().next().unwrap()[0];
        assert!(ring.values.capacity() * 4 + std::mem::size_of::<Ring>() <= 352);
    }

    #[test]
    fn a_ring_tells_what_a_plain_list_of_its_slots_would() {
        let values = proptest::prop_oneof![proptest::strategy::Just(1.0), proptest::num::f64::NORMAL, 0.0..3.0_f64];
        let puts = proptest::collection::vec((0..30_i64, values), 1..300);
        proptest::proptest!(|(puts in puts)| {
            let mut history = History::default();
            let (mut plain, mut second): (Vec<f64>, i64) = (Vec::new(), 0);
            for (at, (ahead, value)) in puts.into_iter().enumerate() {
                // Rarely a pause that outlasts the ring.
                let ahead = if ahead == 29 { 700 } else { ahead };
                let slots = (second + ahead) / 10 - second / 10;
                second += ahead;
                if at > 0 && slots == 0 {
                    plain.pop();
                }
                let gap = if at > 0 { usize::try_from((slots - 1).max(0)).unwrap() } else { 0 };
                plain.extend(std::iter::repeat_n(f64::NAN, gap));
                #[expect(clippy::cast_possible_truncation, reason = "as the ring does")]
                plain.push(f64::from(value as f32));
                plain.drain(..plain.len().saturating_sub(POINTS));
                put(&mut history, second, value);
            }
            let told: Vec<f64> = plain.iter().copied().filter(|v| v.is_finite()).collect();
            proptest::prop_assert_eq!(series(&history), told);
            let ring = &history.series.values().next().unwrap()[0];
            proptest::prop_assert_eq!(usize::from(ring.slots), plain.len());
            proptest::prop_assert_eq!(ring.differs.count_ones(), u32::try_from(ring.values.len()).unwrap());
        });
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut history = History::default();
        put(&mut history, 0, 1.0);
        history.forget_before(Timestamp::from_second(1_000_300).unwrap());
        assert_eq!(history.len(), 1);
        history.forget_before(Timestamp::from_second(1_000_700).unwrap());
        assert!(history.is_empty());
    }
}
