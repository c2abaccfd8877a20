//! Times of the week and of the year, in a place's own time.

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

/// What a window is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowKind {
    /// The business depends on the systems.
    Production,
    /// Changes are frozen.
    Freeze,
    /// Changes are meant to be made: what a playbook names as its `changeWindow`.
    Change,
}

/// A time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// Name.
    pub name: String,
    /// What it is for.
    pub kind: WindowKind,
    /// Place.
    pub zone: TimeZone,
    /// Days on which it begins; empty is every day.
    pub days: Vec<Weekday>,
    /// Time of day at which it begins and ends; the end is not within. Past midnight where the end is earlier.
    pub hours: Option<(Time, Time)>,
    /// First moment.
    pub start: Option<DateTime>,
    /// First moment after it.
    pub end: Option<DateTime>,
}

/// How far ahead it is looked for the next opening of a window.
const AHEAD_DAYS: i64 = 35;

impl Window {
    /// Whether a moment lies within.
    pub fn contains(&self, at: Timestamp) -> bool {
        let here = at.to_zoned(self.zone.clone()).datetime();
        if self.start.is_some_and(|start| here < start) || self.end.is_some_and(|end| here >= end) {
            return false;
        }
        let is_day = |date: Date| self.days.is_empty() || self.days.contains(&date.weekday());
        let (time, today) = (here.time(), here.date());
        match self.hours {
            None => is_day(today),
            Some((from, to)) if from < to => is_day(today) && (from..to).contains(&time),
            // Past midnight it is still the window of the day before.
            Some((from, to)) => (is_day(today) && time >= from) || (time < to && today.yesterday().is_ok_and(is_day)),
        }
    }

    /// The first moment after `at` at which it opens, within five weeks; of one that is open now, the next time.
    pub fn opens_after(&self, at: Timestamp) -> Option<Timestamp> {
        let today = at.to_zoned(self.zone.clone()).date();
        let begins = self.hours.map_or(Time::midnight(), |(from, _)| from);
        let of_day =
            (0..=AHEAD_DAYS).filter_map(|ahead| Some(today.checked_add(ahead.days()).ok()?.to_datetime(begins)));
        let moments = of_day.chain(self.start).filter_map(|m| Some(m.to_zoned(self.zone.clone()).ok()?.timestamp()));
        moments.filter(|moment| *moment > at && self.contains(*moment)).min()
    }
}
