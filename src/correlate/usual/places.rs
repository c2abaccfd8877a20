//! One series: the minutes of the hour in hand, and for each place in the week the hours that were seen there.

use super::hours::Local;
use arrayvec::ArrayVec;
use std::sync::Arc;

/// Hours of a week: places from 0 on; those of occasions follow.
pub(super) const WEEK: u16 = 168;
/// Minutes of an hour.
pub(super) const MINUTES: usize = 60;
/// Hours that a place keeps, the newest ones.
pub(super) const KEPT: usize = 5;
/// Places that room is made for at once.
const DAY: usize = 24;
/// Hours below which nothing is usual.
pub const FEW: usize = 3;
/// Good minutes below which an hour does not count.
const LEAST_MINUTES: usize = 15;
/// What a minute that was not good holds.
const VOID: f32 = f32::INFINITY;

/// The hours of one place, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub place: u16,
    pub hours: ArrayVec<f32, KEPT>,
}

/// The hour in hand.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Open {
    /// Its number by the clock on the wall.
    pub hour: i64,
    /// Where it will count.
    pub place: u16,
    /// A value a minute; not a number where nothing was observed, infinite where what was observed was not good.
    pub minutes: Box<[f32; MINUTES]>,
}

/// What is known of one signal of one subject.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series {
    /// In the order of the places. Shared with whoever writes it down.
    pub places: Arc<Vec<Place>>,
    pub open: Option<Open>,
}

/// From which hours something is usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The same hour of the week.
    Week,
    /// The same hour on other workdays, or on the other day of the weekend, until a place has enough of its own.
    Days,
    /// The same occasion of the calendar.
    Occasion,
}

/// What is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Normal {
    /// The median.
    pub median: f64,
    /// How far it strays: the median of the distances from the median, in the measure of a standard deviation.
    pub spread: f64,
    /// Hours that it rests on.
    pub hours: usize,
    /// Which hours these are.
    pub basis: Basis,
}

/// Whether it is known what is usual.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Known {
    /// It is.
    Yes(Normal),
    /// Too few hours were seen.
    NotYet {
        /// How many were.
        hours: usize,
    },
    /// Nobody learns it.
    NotLearnt,
    /// It would be learnt, but there is no room for it.
    LeftOut,
}

impl Known {
    /// The median, where it is known.
    pub const fn median(&self) -> Option<f64> {
        match self {
            Self::Yes(normal) => Some(normal.median),
            Self::NotYet { .. } | Self::NotLearnt | Self::LeftOut => None,
        }
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = values.get(half).copied()?;
    if values.len().is_multiple_of(2) {
        Some(f64::midpoint(values.get(half - 1).copied()?, upper))
    } else {
        Some(upper)
    }
}

fn normal(mut values: Vec<f64>, basis: Basis) -> Option<Normal> {
    let hours = values.len();
    let middle = median(&mut values)?;
    let mut distances: Vec<f64> = values.iter().map(|v| (v - middle).abs()).collect();
    // 1.4826 makes it the standard deviation of a normal distribution (Rousseeuw and Croux, 1993).
    Some(Normal { median: middle, spread: median(&mut distances)? * 1.4826, hours, basis })
}

impl Series {
    /// Takes in the value of a minute, or that it had no good one. Answers whether an hour was taken in by that.
    pub fn put(&mut self, local: Local, place: u16, value: Option<f64>) -> bool {
        let mut taken = false;
        // A sample that comes late belongs to an hour that is over.
        if self.open.as_ref().is_some_and(|o| o.hour == local.hour + 1) {
            return false;
        }
        if self.open.as_ref().is_none_or(|o| o.hour != local.hour || o.place != place) {
            taken = self.close(local.hour);
            self.open = Some(Open { hour: local.hour, place, minutes: Box::new([f32::NAN; MINUTES]) });
        }
        if let Some(minute) = self.open.as_mut().and_then(|o| o.minutes.get_mut(local.minute)) {
            *minute = match value {
                // A minute in which anything was bad is not learnt from.
                Some(value) if *minute != VOID => narrow(value),
                _ => VOID,
            };
        }
        taken
    }

    /// Counts the hour in hand, when it is over and enough of it was good.
    fn close(&mut self, now: i64) -> bool {
        let Some(open) = self.open.take() else { return false };
        // A clock that was set back leaves an hour of which nobody knows when it was.
        if open.hour > now {
            return false;
        }
        let mut good: Vec<f64> = open.minutes.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
        if good.len() < LEAST_MINUTES {
            return false;
        }
        let Some(value) = median(&mut good) else { return false };
        self.add(open.place, narrow(value));
        true
    }

    fn add(&mut self, place: u16, value: f32) {
        let places = Arc::make_mut(&mut self.places);
        let at = match places.binary_search_by_key(&place, |p| p.place) {
            Ok(at) => at,
            Err(at) => {
                // There is one more once an hour, and thousands of such lists: none has room that it will not need.
                if places.len() == places.capacity() {
                    places.reserve_exact(DAY);
                }
                places.insert(at, Place { place, hours: ArrayVec::new() });
                at
            }
        };
        if let Some(place) = places.get_mut(at) {
            if place.hours.is_full() {
                place.hours.remove(0);
            }
            place.hours.push(value);
        }
    }

    /// Makes a place say this and nothing else.
    pub fn fill(&mut self, place: u16, value: f64) {
        (0..KEPT).for_each(|_| self.add(place, narrow(value)));
    }

    /// Forgets the minutes of the hour in hand from one on.
    pub fn void_from(&mut self, from: Local) {
        let Some(open) = &mut self.open else { return };
        let first = match open.hour.cmp(&from.hour) {
            std::cmp::Ordering::Less => return,
            std::cmp::Ordering::Equal => from.minute,
            std::cmp::Ordering::Greater => 0,
        };
        open.minutes.iter_mut().skip(first).filter(|v| !v.is_nan()).for_each(|v| *v = VOID);
    }

    fn at(&self, place: u16) -> &[f32] {
        let found = self.places.binary_search_by_key(&place, |p| p.place).ok();
        found.and_then(|at| self.places.get(at)).map(|p| p.hours.as_slice()).unwrap_or_default()
    }

    /// What is usual in an hour of the week, or in an occasion that goes on. An occasion of which too little was seen
    /// is compared with the hour of the week: that it goes on makes nothing unknown.
    pub fn usual(&self, week: u16, place: u16) -> Known {
        let wide = |hours: &[f32]| hours.iter().map(|v| f64::from(*v)).collect::<Vec<_>>();
        let (special, own) = (self.at(place), self.at(week));
        let found = if place != week && special.len() >= FEW {
            normal(wide(special), Basis::Occasion)
        } else if own.len() >= FEW {
            normal(wide(own), Basis::Week)
        } else {
            let (day, hour) = (week / 24, week % 24);
            let alike = if day < 5 { 0..5 } else { 5..7 };
            let all: Vec<f64> = alike.flat_map(|day| wide(self.at(day * 24 + hour))).collect();
            if all.len() < FEW {
                return Known::NotYet { hours: all.len() };
            }
            normal(all, Basis::Days)
        };
        found.map_or(Known::NotYet { hours: 0 }, Known::Yes)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "seven digits are enough for what is usual")]
fn narrow(value: f64) -> f32 {
    // What is too great for it is as great as it can be, and stays a number.
    (value as f32).min(f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(hour: i64, minute: usize) -> Local {
        Local { hour, place: 0, minute }
    }

    fn week(series: &mut Series, number: i64, value: f64) {
        (0..MINUTES).for_each(|minute| {
            series.put(at(number * 168, minute), 0, Some(value));
        });
        series.put(at(number * 168 + 1, 0), 1, None);
    }

    #[test]
    fn three_hours_make_it_usual_and_a_bad_week_does_not_move_it() {
        let mut series = Series::default();
        for (number, value) in [(0, 0.4), (1, 0.5)] {
            week(&mut series, number, value);
        }
        assert_eq!(series.usual(0, 0), Known::NotYet { hours: 2 });
        week(&mut series, 2, 60.0);
        let Known::Yes(normal) = series.usual(0, 0) else { panic!("known") };
        assert!((normal.median - 0.5).abs() < 1e-6 && (normal.hours, normal.basis) == (3, Basis::Week), "{normal:?}");
        (3..9).for_each(|number| week(&mut series, number, 0.4));
        assert_eq!(series.at(0).len(), KEPT);
        assert!((series.usual(0, 0).median().unwrap() - 0.4).abs() < 1e-6);
    }

    #[test]
    fn the_same_hour_of_other_workdays_stands_in_and_the_weekend_does_not() {
        let mut series = Series::default();
        for day in [0, 1, 2] {
            series.add(day * 24 + 8, 0.4);
        }
        series.add(5 * 24 + 8, 0.1);
        let Known::Yes(normal) = series.usual(4 * 24 + 8, 4 * 24 + 8) else { panic!("known") };
        assert_eq!((normal.basis, normal.hours), (Basis::Days, 3));
        assert_eq!(series.usual(6 * 24 + 8, 6 * 24 + 8), Known::NotYet { hours: 1 });
    }

    #[test]
    fn an_occasion_has_its_own_and_until_then_that_of_the_hour() {
        let mut series = Series::default();
        series.fill(8, 0.4);
        let known = |series: &Series| series.usual(8, WEEK);
        assert!(matches!(known(&series), Known::Yes(Normal { basis: Basis::Week, .. })));
        (0..3).for_each(|_| series.add(WEEK, 2.0));
        assert!(matches!(known(&series), Known::Yes(Normal { basis: Basis::Occasion, .. })));
        assert!((series.usual(8, 8).median().unwrap() - 0.4).abs() < 1e-6, "the week is not touched by it");
    }

    #[test]
    fn bad_minutes_few_minutes_and_voided_ones_do_not_count() {
        let mut series = Series::default();
        for minute in 0..MINUTES {
            series.put(at(0, minute), 0, Some(if minute < 40 { 1.0 } else { 99.0 }));
        }
        series.put(at(0, 3), 0, None);
        series.put(at(0, 3), 0, Some(1.0));
        assert!(series.open.as_ref().unwrap().minutes[3].is_infinite(), "what was bad once stays so");
        series.void_from(at(0, 40));
        assert!(series.put(at(1, 0), 1, Some(1.0)), "the hour counts with what was good of it");
        assert_eq!(series.at(0), [1.0]);
        series.void_from(at(0, 59));
        (1..20).for_each(|minute| {
            series.put(at(1, minute), 1, Some(1.0));
        });
        series.void_from(at(1, 10));
        assert!(!series.put(at(2, 0), 2, Some(1.0)), "ten minutes are too few");
        assert!(series.at(1).is_empty());
    }

    #[test]
    fn late_samples_and_clocks_that_go_back_invent_no_hour() {
        let mut series = Series::default();
        (0..MINUTES).for_each(|minute| {
            series.put(at(10, minute), 10, Some(1.0));
        });
        assert!(!series.put(at(9, 59), 9, Some(5.0)), "late");
        assert_eq!(series.open.as_ref().map(|o| o.hour), Some(10));
        assert!(!series.put(at(2, 0), 2, Some(5.0)), "a clock that was set back");
        assert!(series.places.is_empty());
    }

    #[test]
    fn whatever_comes_it_stays_bounded_and_finite() {
        use proptest::prelude::*;
        let one = (0_i64..4000, 0_usize..60, 0_u16..172, proptest::option::of(0.0_f64..f64::MAX));
        proptest!(|(all in proptest::collection::vec(one, 0..400))| {
            let mut series = Series::default();
            for (hour, minute, place, value) in all {
                series.put(Local { hour, place, minute }, place, value);
            }
            prop_assert!(series.places.iter().all(|p| p.hours.len() <= KEPT));
            prop_assert!(series.places.windows(2).all(|p| p[0].place < p[1].place));
            for place in 0..172 {
                if let Known::Yes(normal) = series.usual(place % WEEK, place) {
                    prop_assert!(normal.median.is_finite() && normal.spread.is_finite() && normal.hours >= FEW);
                }
            }
        });
    }

    #[test]
    fn with_two_outliers_of_five_the_usual_stays_among_the_good_ones() {
        use proptest::prelude::*;
        let strategy = (proptest::collection::vec(0.3_f32..0.5, 3), proptest::collection::vec(0.0_f32..1e9, 2));
        proptest!(|((good, wild) in strategy, turn in 0_usize..5)| {
            let mut all: Vec<f32> = good.iter().chain(&wild).copied().collect();
            all.rotate_left(turn);
            let mut series = Series::default();
            for value in &all {
                series.add(0, *value);
            }
            let usual = series.usual(0, 0).median().unwrap();
            prop_assert!((0.299..=0.501).contains(&usual), "{usual} of {all:?}");
        });
    }
}
