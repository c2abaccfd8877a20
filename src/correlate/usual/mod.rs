//! What is usual: for each learnt signal of each subject the middle of what it was at the same hour of the week, in the
//! time zone of the calendar. An hour counts with the median of its good minutes, a place in the week with the median
//! of its last five hours, so that neither a bad minute nor a bad week moves it. No sketch of quantiles is needed for
//! that: an hour has sixty values and a place five. Pure: the correlator feeds it and asks it, the engine keeps it.

mod file;
mod hours;
mod places;
mod say;

pub use file::UsualError;
pub use places::{Basis, Known, Normal};

use super::calendar::Calendar;
use super::readings::Reading;
use super::signals::{self, SIGNALS, Signal};
use crate::domain::estate::{Estate, Occasion, OccasionKind};
use crate::domain::id::TenantId;
use crate::domain::pane::UsualView;
use crate::domain::signal::Subject;
use hashbrown::{HashMap, HashSet};
use hours::{Hours, Local};
use jiff::tz::TimeZoneDatabase;
use jiff::{SignedDuration, Timestamp};
use places::{Series, WEEK};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

/// Series that are learnt at most; each takes 5 KB when every hour of the week was seen (168 places of 28
/// bytes, and the minutes of the hour in hand), 30 MB together.
pub const MOST_SERIES: usize = 6000;
/// Occasions that have a place of their own at most.
const MOST_OCCASIONS: usize = 32;
/// Series that are left out are counted up to this many; each takes 8 bytes.
const MOST_LEFT_OUT: usize = 50_000;
/// How often it is looked for series that nothing tells of any more.
const SWEEP: SignedDuration = SignedDuration::from_hours(1);
/// After how many hours without a value a series is forgotten: a month end comes once in five weeks.
const STALE_HOURS: i64 = 24 * 36;

/// What is learnt first: less comes before more.
type Rank = (u8, u8);

fn hash(subject: &Subject, row: u16) -> u64 {
    let mut hasher = DefaultHasher::new();
    (subject, row).hash(&mut hasher);
    hasher.finish()
}

/// Row of a signal in the table.
fn row(signal: &str) -> Option<usize> {
    signals::find(signal).map(|signal| usize::from(signal.row))
}

/// How long it is taken to hold which occasions go on.
const LOOK_UP: SignedDuration = SignedDuration::from_secs(60);
/// Signals that are learnt whether or not a rule asks what is usual for them.
const LEARNT: [&str; 8] = [
    "connections.share",
    "http.p95",
    "http.requests",
    "integration.latency",
    "mrp.duration",
    "orders.hour",
    "queue.oldest",
    "synthetic.took",
];

/// An occasion that has a place of its own: what goes on then is not compared with any other week.
#[derive(Clone, Debug)]
struct Shift {
    place: u16,
    occasion: Occasion,
    /// While it goes on, or from when to when it goes on next.
    window: Option<(Timestamp, Timestamp)>,
}

impl Shift {
    fn holds(&self, tenant: Option<&TenantId>, at: Timestamp) -> bool {
        let concerned = self.occasion.tenants.is_empty() || tenant.is_some_and(|t| self.occasion.tenants.contains(t));
        concerned && self.window.is_some_and(|(from, until)| from <= at && at < until)
    }
}

/// What is learnt of all subjects.
#[derive(Clone, Debug)]
pub struct Baselines {
    hours: Arc<Hours>,
    shifts: Vec<Shift>,
    looked_up: Timestamp,
    /// Whether a signal is learnt, by its row of the table.
    learnt: Vec<bool>,
    /// Whether rules compare a signal with what is usual, by its row of the table.
    asked: Vec<bool>,
    criticality: HashMap<TenantId, u8>,
    series: HashMap<Subject, Vec<(u16, Series)>>,
    count: usize,
    /// How many series of each rank are learnt.
    ranks: BTreeMap<Rank, usize>,
    /// Those that were seen and are not learnt, because there are more, by a hash of each.
    left_out: HashSet<u64>,
    /// When it was last looked for series that nothing tells of any more.
    swept_at: Timestamp,
    /// Hours that were taken in since it was made: what is kept has changed with it.
    taken: u64,
}

impl Baselines {
    /// One that has learnt nothing. `wanted` are the signals that rules compare with what is usual.
    pub fn new<'a>(
        estate: &Estate,
        calendar: &[Occasion],
        zones: &TimeZoneDatabase,
        wanted: impl Iterator<Item = &'a str>,
    ) -> Self {
        let mark = |rows: &mut dyn Iterator<Item = usize>| {
            let mut marked = vec![false; SIGNALS.len()];
            for row in rows {
                if let Some(slot) = marked.get_mut(row) {
                    *slot = true;
                }
            }
            marked
        };
        let wanted: Vec<usize> = wanted.filter_map(row).collect();
        let learnt = mark(&mut LEARNT.into_iter().filter_map(row).chain(wanted.iter().copied()));
        let asked = mark(&mut wanted.into_iter());
        let criticality = estate.tenants.iter().map(|t| (t.id.clone(), t.criticality)).collect();
        // A shift or a cut-off is a moment of the same hour each week; these two are no hour of the week.
        let own = |o: &&Occasion| o.to.is_some() && matches!(o.kind, OccasionKind::Mrp | OccasionKind::MonthEnd);
        let shifts = calendar.iter().filter(own).take(MOST_OCCASIONS).zip(WEEK..);
        let shifts = shifts.map(|(occasion, place)| Shift { place, occasion: occasion.clone(), window: None });
        Self {
            hours: Arc::new(Hours::new(estate, zones)),
            shifts: shifts.collect(),
            looked_up: Timestamp::MIN,
            learnt,
            asked,
            criticality,
            series: HashMap::new(),
            count: 0,
            ranks: BTreeMap::new(),
            left_out: HashSet::new(),
            swept_at: Timestamp::MIN,
            taken: 0,
        }
    }

    /// Whether a signal is learnt.
    fn learns(&self, row: usize) -> bool {
        self.learnt.get(row).copied().unwrap_or(false)
    }

    /// How often what is kept has changed.
    pub const fn taken(&self) -> u64 {
        self.taken
    }

    /// Series that are learnt.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether nothing is learnt.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many series were seen and are not learnt, because there are more; counted up to 50,000.
    pub fn left_out(&self) -> usize {
        self.left_out.len()
    }

    /// What is learnt first where there is more than can be: what rules compare, of what many share, then of the most
    /// critical tenants.
    fn rank(&self, subject: &Subject, row: u16) -> Rank {
        let asked = self.asked.get(usize::from(row)).copied().unwrap_or(false);
        let of_tenant = |tenant| self.criticality.get(tenant).copied().unwrap_or(u8::MAX);
        (u8::from(!asked), subject.tenant().map_or(0, of_tenant))
    }

    /// Takes a series out, so that there is room for another.
    fn take_out(&mut self, subject: &Subject, row: u16) {
        let rank = self.rank(subject, row);
        let Some(all) = self.series.get_mut(subject) else { return };
        let before = all.len();
        all.retain(|(r, _)| *r != row);
        let gone = before - all.len();
        if all.is_empty() {
            self.series.remove(subject);
        }
        self.count -= gone;
        if let Some(n) = self.ranks.get_mut(&rank) {
            *n = n.saturating_sub(gone);
        }
    }

    /// Forgets, at most once an hour, what nothing has told of for five weeks, and what was left out: it is counted anew.
    fn sweep(&mut self, now: Timestamp) {
        if now.duration_since(self.swept_at) < SWEEP {
            return;
        }
        self.swept_at = now;
        self.left_out.clear();
        let oldest = now.as_second().div_euclid(3600) - STALE_HOURS;
        let stale = |series: &Series| series.open.as_ref().is_some_and(|open| open.hour < oldest);
        let gone: Vec<(Subject, u16)> = (self.series.iter())
            .flat_map(|(subject, all)| all.iter().filter(|(_, s)| stale(s)).map(|(row, _)| (subject.clone(), *row)))
            .collect();
        for (subject, row) in gone {
            self.take_out(&subject, row);
        }
    }

    /// Makes room for a series of a rank, where one of a lower rank can go: the one of which least is known.
    fn make_room(&mut self, rank: Rank) -> bool {
        let Some(lowest) = self.ranks.iter().rev().find(|(_, n)| **n > 0).map(|(r, _)| *r) else { return false };
        if lowest <= rank {
            return false;
        }
        let of_lowest = self.series.iter().flat_map(|(subject, all)| {
            let same = all.iter().filter(|(row, _)| self.rank(subject, *row) == lowest);
            same.map(move |(row, series)| (series.places.len(), subject, *row))
        });
        let Some((subject, row)) = of_lowest.min().map(|(_, subject, row)| (subject.clone(), row)) else {
            return false;
        };
        self.take_out(&subject, row);
        self.leave_out(&subject, row);
        true
    }

    fn leave_out(&mut self, subject: &Subject, row: u16) {
        if self.left_out.len() < MOST_LEFT_OUT {
            self.left_out.insert(hash(subject, row));
        }
    }

    /// Looks up which occasions go on, at most once a minute.
    pub(super) fn heed(&mut self, calendar: &Calendar, now: Timestamp) {
        if now < self.looked_up {
            return;
        }
        self.looked_up = now.checked_add(LOOK_UP).unwrap_or(Timestamp::MAX);
        for shift in &mut self.shifts {
            shift.window = calendar.window(&shift.occasion, now);
        }
    }

    /// Where in the week a moment lies for a subject, or in which occasion.
    fn place(&self, subject: &Subject, local: Local, at: Timestamp) -> (u16, Option<&Shift>) {
        let tenant = subject.tenant();
        match self.shifts.iter().find(|s| s.holds(tenant, at)) {
            Some(shift) => (shift.place, Some(shift)),
            None => (local.place, None),
        }
    }

    /// Takes in the readings of a sample; `bad` says of which subjects and signals they are none to learn from.
    pub(super) fn observe(&mut self, readings: &[Reading], at: Timestamp, bad: impl Fn(&Reading) -> bool) {
        let hours = Arc::clone(&self.hours);
        let mut locals = hours.at(at);
        self.sweep(at);
        for reading in readings {
            let row = usize::from(reading.signal.row);
            if !self.learns(row) {
                continue;
            }
            let local = locals.of(reading.subject.tenant());
            let (place, _) = self.place(&reading.subject, local, at);
            // Not a number, or below nothing, is no value of any of these signals.
            let fine = reading.value.is_finite() && reading.value >= 0.0 && !bad(reading);
            let Some(series) = self.series_mut(&reading.subject, row) else { continue };
            let closed = series.put(local, place, fine.then_some(reading.value));
            self.taken += u64::from(closed);
        }
    }

    fn series_mut(&mut self, subject: &Subject, row: usize) -> Option<&mut Series> {
        let row = u16::try_from(row).ok()?;
        let known = self.series.get(subject).is_some_and(|all| all.iter().any(|(r, _)| *r == row));
        if !known {
            let rank = self.rank(subject, row);
            if self.count >= MOST_SERIES && !self.make_room(rank) {
                self.leave_out(subject, row);
                return None;
            }
            if !self.left_out.is_empty() {
                self.left_out.remove(&hash(subject, row));
            }
            self.count += 1;
            *self.ranks.entry(rank).or_default() += 1;
            self.series.entry(subject.clone()).or_default().push((row, Series::default()));
        }
        let all = self.series.get_mut(subject)?;
        all.iter_mut().find(|(r, _)| *r == row).map(|(_, series)| series)
    }

    /// Forgets what was taken in of the hour in hand since a moment, of these tenants and subjects: it was not good.
    pub(super) fn void(&mut self, tenants: &BTreeSet<TenantId>, subjects: &BTreeSet<Subject>, since: Timestamp) {
        let hours = Arc::clone(&self.hours);
        let mut locals = hours.at(since);
        for (subject, all) in &mut self.series {
            if subjects.contains(subject) || subject.tenant().is_some_and(|t| tenants.contains(t)) {
                let from = locals.of(subject.tenant());
                for (_, series) in all.iter_mut() {
                    series.void_from(from);
                }
            }
        }
    }

    /// What is usual for a signal of a subject at a moment.
    pub fn usual(&self, subject: &Subject, signal: &Signal, at: Timestamp) -> Known {
        let row = usize::from(signal.row);
        if !self.learns(row) {
            return Known::NotLearnt;
        }
        let local = self.hours.at(at).of(subject.tenant());
        let (place, _) = self.place(subject, local, at);
        let of_subject = self.series.get(subject).map(Vec::as_slice).unwrap_or_default();
        let series = of_subject.iter().find(|(r, _)| usize::from(*r) == row).map(|(_, series)| series);
        match series {
            Some(series) => series.usual(local.place, place),
            None if self.left_out.contains(&hash(subject, u16::try_from(row).unwrap_or(u16::MAX))) => Known::LeftOut,
            None => Known::NotYet { hours: 0 },
        }
    }

    /// The same in words for a screen; nothing where the signal is not learnt.
    pub fn view(&self, subject: &Subject, signal: &'static Signal, at: Timestamp) -> Option<UsualView> {
        let local = self.hours.at(at).of(subject.tenant());
        let (_, shift) = self.place(subject, local, at);
        let occasion = shift.map(|s| s.occasion.what.as_str());
        say::view(self.usual(subject, signal, at), signal.unit, local, occasion)
    }

    /// Puts values in for each hour of the week of a subject's signal, as if the last weeks had been so: for an estate
    /// whose past is known otherwise, such as a simulated one.
    pub fn seed(&mut self, subject: &Subject, signal: &str, value: impl Fn(u16) -> f64) {
        let Some(row) = row(signal).filter(|row| self.learns(*row)) else { return };
        let Some(series) = self.series_mut(subject, row) else { return };
        for place in 0..WEEK {
            series.fill(place, value(place));
        }
        self.taken += 1;
    }
}

#[cfg(test)]
mod tests;
