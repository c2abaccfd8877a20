//! One rule on one subject of one source, from sample to sample: how long it holds, whether it counts, and how
//! many good intervals it has seen since.

use super::rules::{Absent, Holds, Rule};
use super::signals::Limits;
use crate::domain::health::Health;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;

/// Good samples in a row after which a condition is over.
pub(super) const CLEARS_AFTER: u8 = 3;

/// How long before its first bad sample the source must have answered, for its beginning to count as seen.
const LOOKED: SignedDuration = SignedDuration::from_mins(2);

/// A signal's value as the rule last saw it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Value {
    /// The value.
    pub now: f64,
    /// Its grade.
    pub health: Health,
    /// What was usual for it then, where the rule asks for that.
    pub usual: Option<f64>,
    /// The thresholds of the phase of the calendar that was in force then, where these are others.
    pub limits: Option<Limits>,
}

/// The condition.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    /// Since when it holds without a break.
    pub since: Timestamp,
    /// Whether its source was looked at shortly before, and it did not hold then.
    pub onset_seen: bool,
    /// Since when it holds beyond the second threshold.
    critical_since: Option<Timestamp>,
    /// Whether it has held long enough to count.
    pub active: bool,
    /// Worst grade at the last bad sample.
    pub severity: Health,
    /// Whether the newest sample could tell nothing about it.
    pub untold: bool,
    /// Good samples in a row.
    pub good: u8,
    /// Values by signal at the last sample that told something.
    pub values: BTreeMap<&'static str, Value>,
}

impl Condition {
    /// Begins at the first bad sample; `last_looked` is when the source last answered before.
    pub fn new(at: Timestamp, last_looked: Option<Timestamp>) -> Self {
        Self {
            since: at,
            onset_seen: last_looked.is_some_and(|last| at.duration_since(last) <= LOOKED),
            critical_since: None,
            active: false,
            severity: Health::Warn,
            untold: false,
            good: 0,
            values: BTreeMap::new(),
        }
    }

    /// Takes in what one sample says of the subject: the values of the rule's signals, or none when the
    /// sample has no such subject. `holds` are those that are in force. Answers whether the condition is still of
    /// interest.
    pub fn take(&mut self, rule: &Rule, holds: Holds, values: BTreeMap<&'static str, Value>, at: Timestamp) -> bool {
        let worst = values.values().map(|v| v.health).filter(|h| *h != Health::Unknown).max();
        // A value that is known to be unknown tells no more than none; it does not mean that the thing is gone.
        self.untold = worst.is_none() && (rule.absent == Absent::Unknown || !values.is_empty());
        if self.untold {
            // Without a value it neither goes on nor ends; a condition that never counted is dropped.
            return self.active;
        }
        let worst = worst.unwrap_or(Health::Ok);
        self.values = values;
        if worst == Health::Ok {
            self.good = self.good.saturating_add(1);
            self.critical_since = None;
            return self.active && self.good < CLEARS_AFTER;
        }
        self.good = 0;
        self.severity = worst;
        self.critical_since = if worst == Health::Critical { self.critical_since.or(Some(at)) } else { None };
        self.active |= held(self.since, at, holds.warn_s)
            || self.critical_since.is_some_and(|since| held(since, at, holds.critical_s));
        true
    }
}

fn held(since: Timestamp, at: Timestamp, seconds: u32) -> bool {
    at.duration_since(since).as_secs() >= i64::from(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::rules::Rules;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn take(condition: &mut Condition, rule: &str, health: Option<Health>, second: i64) -> bool {
        let value = |health| ("x", Value { now: 1.0, health, usual: None, limits: None });
        let rules = Rules::built_in();
        let rule = rules.find(rule).unwrap();
        condition.take(rule, rule.holds(None), health.map(value).into_iter().collect(), at(second))
    }

    #[test]
    fn it_counts_after_its_hold_and_ends_after_three_good_samples() {
        let mut c = Condition::new(at(0), None);
        assert!(take(&mut c, "connections", Some(Health::Warn), 0) && !c.active);
        assert!(take(&mut c, "connections", Some(Health::Warn), 119) && !c.active);
        assert!(take(&mut c, "connections", Some(Health::Warn), 120) && c.active);
        assert!(take(&mut c, "connections", Some(Health::Ok), 130));
        assert!(take(&mut c, "connections", Some(Health::Ok), 140));
        assert!(take(&mut c, "connections", Some(Health::Critical), 150), "a relapse starts the count again");
        assert_eq!((c.good, c.since), (0, at(0)));
        assert!(take(&mut c, "connections", Some(Health::Ok), 160));
        assert!(take(&mut c, "connections", Some(Health::Ok), 170));
        assert!(!take(&mut c, "connections", Some(Health::Ok), 180));
    }

    #[test]
    fn a_good_sample_before_the_hold_drops_it() {
        let mut c = Condition::new(at(0), None);
        take(&mut c, "connections", Some(Health::Warn), 0);
        assert!(!take(&mut c, "connections", Some(Health::Ok), 60));
    }

    #[test]
    fn critical_has_its_own_shorter_hold() {
        let mut c = Condition::new(at(0), None);
        take(&mut c, "workload-unavailable", Some(Health::Critical), 0);
        assert!(!c.active);
        take(&mut c, "workload-unavailable", Some(Health::Critical), 60);
        assert!(c.active);
    }

    #[test]
    fn no_requests_do_not_end_an_impact_but_a_gone_channel_ends_its_age() {
        let mut c = Condition::new(at(0), None);
        take(&mut c, "http-errors", Some(Health::Warn), 0);
        take(&mut c, "http-errors", Some(Health::Warn), 60);
        for second in 70..80 {
            assert!(take(&mut c, "http-errors", None, second));
        }
        assert!(c.active && c.untold);
        let mut c = Condition::new(at(0), None);
        take(&mut c, "queue-age", Some(Health::Warn), 0);
        assert!(c.active && take(&mut c, "queue-age", None, 1) && take(&mut c, "queue-age", None, 2));
        assert!(!take(&mut c, "queue-age", None, 3));
    }
}
