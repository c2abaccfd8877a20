//! How fast the error budget of a tenant burns: failed requests against all, over an hour and over five minutes, in
//! multiples of the pace that would use the budget up exactly (Google, The Site Reliability Workbook, chapter 5). Both
//! windows must burn: the long one proves that it matters, the short one that it still goes on.

use super::readings::Reading;
use super::signals;
use crate::domain::signal::Subject;
use hashbrown::HashMap;
use jiff::Timestamp;

/// Share of requests that are to go well where nothing else was agreed.
pub(super) const USUAL_LEVEL: f64 = 0.999;
/// Minutes that are kept.
const HOUR: usize = 60;
/// Minutes of the short window.
const SHORT: usize = 5;
/// Requests in the short window below which a share says nothing.
const FEW: f32 = 20.0;
/// A longer pause between two samples is not filled with requests.
const PAUSE_S: f64 = 120.0;

/// Requests and failures of a minute.
type Minute = (f32, f32);

#[derive(Clone, Debug)]
struct Series {
    minutes: Box<[Minute; HOUR]>,
    newest: i64,
    last_ms: i64,
    since_ms: i64,
}

/// The budgets of all subjects that have requests.
#[derive(Clone, Debug, Default)]
pub(super) struct Budgets(HashMap<Subject, Series>);

impl Budgets {
    /// Takes in the readings of a sample, and adds to them how fast each budget burns. `level` is the share of requests
    /// of a subject that are to go well, where that was agreed.
    pub fn observe(&mut self, readings: &mut Vec<Reading>, at: Timestamp, level: impl Fn(&Subject) -> Option<f64>) {
        let mut seen: HashMap<&Subject, (Option<f64>, Option<f64>)> = HashMap::new();
        for reading in readings.iter() {
            match reading.signal.name {
                "http.requests" => seen.entry(&reading.subject).or_default().0 = Some(reading.value),
                "http.share_5xx" => seen.entry(&reading.subject).or_default().1 = Some(reading.value),
                _ => {}
            }
        }
        let burning: Vec<Reading> = seen
            .into_iter()
            .filter_map(|(subject, (requests, share))| {
                let value = self.take(subject, requests?, share.unwrap_or(0.0), at)?;
                let value = value / (1.0 - level(subject).unwrap_or(USUAL_LEVEL)).max(f64::EPSILON);
                Some(Reading { subject: subject.clone(), signal: signals::find("http.burn")?, value })
            })
            .collect();
        readings.extend(burning);
    }

    #[expect(clippy::cast_possible_truncation, reason = "counts of requests, seven digits are enough")]
    fn take(&mut self, subject: &Subject, rate: f64, share: f64, at: Timestamp) -> Option<f64> {
        let (minute, ms) = (at.as_second().div_euclid(60), at.as_millisecond());
        let empty = || Series { minutes: Box::new([(0.0, 0.0); HOUR]), newest: minute, last_ms: ms, since_ms: ms };
        let series = self.0.entry_ref(subject).or_insert_with(empty);
        let elapsed = Timestamp::from_millisecond(ms.saturating_sub(series.last_ms)).ok()?;
        let seconds = (elapsed.duration_since(Timestamp::UNIX_EPOCH).as_secs_f64()).min(PAUSE_S);
        for gone in (series.newest + 1..=minute).take(HOUR) {
            if let Some(slot) = slot(&mut series.minutes, gone) {
                *slot = (0.0, 0.0);
            }
        }
        (series.newest, series.last_ms) = (series.newest.max(minute), series.last_ms.max(ms));
        let requests = (rate * seconds).max(0.0) as f32;
        if let Some(slot) = slot(&mut series.minutes, minute).filter(|_| requests.is_finite()) {
            slot.0 += requests;
            slot.1 += requests * share.clamp(0.0, 1.0) as f32;
        }
        let over = |minutes: usize| {
            let from = series.newest - i64::try_from(minutes).unwrap_or(0) + 1;
            let all = (from..=series.newest).filter_map(|m| {
                let place = usize::try_from(m.rem_euclid(60)).ok()?;
                series.minutes.get(place)
            });
            all.fold((0.0_f32, 0.0_f32), |sum, one| (sum.0 + one.0, sum.1 + one.1))
        };
        let burn = |(requests, failed): Minute| f64::from(failed / requests);
        let (short, long) = (over(SHORT), over(HOUR));
        // What is known of less than the short window is a moment, not a pace.
        let known = ms.saturating_sub(series.since_ms) >= 300_000;
        (known && short.0 >= FEW).then(|| burn(short).min(burn(long)))
    }

    /// Drops what has had no requests for an hour.
    pub fn forget_before(&mut self, now: Timestamp) {
        let oldest = now.as_second().div_euclid(60) - 60;
        self.0.retain(|_, series| series.newest >= oldest);
    }
}

fn slot(minutes: &mut [Minute; HOUR], minute: i64) -> Option<&mut Minute> {
    minutes.get_mut(usize::try_from(minute.rem_euclid(60)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(budgets: &mut Budgets, from: i64, to: i64, rate: f64, share: f64) -> Option<f64> {
        run_at(budgets, (from, to), rate, share, None)
    }

    fn run_at(budgets: &mut Budgets, (from, to): (i64, i64), rate: f64, share: f64, level: Option<f64>) -> Option<f64> {
        let subject = Subject::Tenant { tenant: "t017".into() };
        let mut last = None;
        for second in (from..to).step_by(10) {
            let signal = |name| signals::find(name).unwrap();
            let reading = |name, value| Reading { subject: subject.clone(), signal: signal(name), value };
            let mut readings = vec![reading("http.requests", rate), reading("http.share_5xx", share)];
            budgets.observe(&mut readings, Timestamp::from_second(6_000_000 + second).unwrap(), |_| level);
            last = readings.iter().find(|r| r.signal.name == "http.burn").map(|r| r.value);
        }
        last
    }

    #[test]
    fn both_windows_must_burn_and_the_short_one_says_that_it_is_over() {
        let mut budgets = Budgets::default();
        assert_eq!(run(&mut budgets, 0, 3600, 10.0, 0.0), Some(0.0));
        let spike = run(&mut budgets, 3600, 3660, 10.0, 0.2).unwrap();
        assert!(spike < 5.0, "a minute of errors is little of an hour: {spike}");
        let outage = run(&mut budgets, 3660, 4200, 10.0, 0.2).unwrap();
        assert!(outage > 14.4, "{outage}");
        let over = run(&mut budgets, 4200, 4560, 10.0, 0.0).unwrap();
        assert!(over < 1.0, "five good minutes: {over}");
    }

    #[test]
    fn a_stricter_level_burns_as_many_times_faster() {
        let burn = |level| run_at(&mut Budgets::default(), (0, 3600), 10.0, 0.01, level).unwrap();
        assert!((burn(None) - 10.0).abs() < 0.01 && (burn(Some(0.9999)) / burn(Some(0.99)) - 100.0).abs() < 0.1);
    }

    #[test]
    fn hardly_any_requests_say_nothing_and_odd_numbers_do_no_harm() {
        let mut budgets = Budgets::default();
        assert_eq!(run(&mut budgets, 0, 600, 0.01, 1.0), None);
        for (rate, share) in [(f64::NAN, 0.5), (f64::INFINITY, 2.0), (-4.0, -1.0)] {
            let burn = run(&mut budgets, 600, 660, rate, share);
            assert!(burn.is_none_or(f64::is_finite), "{rate} {share}: {burn:?}");
        }
        budgets.forget_before(Timestamp::from_second(6_100_000).unwrap());
        assert!(budgets.0.is_empty());
    }
}
