//! Health of a row, and the one thing most worth saying about it.

use crate::correlate::signals::Thresholds;
use crate::domain::health::Health;

/// Collects what can be said of a row; the worst, and of equals the first, is what it says.
pub(super) struct Verdict<'a> {
    thresholds: &'a Thresholds,
    health: Option<Health>,
    why: String,
}

impl<'a> Verdict<'a> {
    pub(super) const fn new(thresholds: &'a Thresholds) -> Self {
        Self { thresholds, health: None, why: String::new() }
    }

    /// Counts one health in. Good health has nothing to say.
    pub(super) fn add(&mut self, health: Health, why: impl FnOnce() -> String) {
        if self.health.is_none_or(|known| health > known) {
            self.health = Some(health);
            self.why = if health == Health::Ok { String::new() } else { why() };
        }
    }

    /// Grades a value by the thresholds of its signal; without a value nothing is counted.
    pub(super) fn grade(&mut self, signal: &str, value: Option<f64>, why: impl FnOnce(f64) -> String) {
        if let Some(value) = value {
            self.add(self.thresholds.grade_named(signal, value), || why(value));
        }
    }

    /// Counts a source in that can not be relied on.
    pub(super) fn unknown(&mut self, why: impl Into<String>) {
        self.add(Health::Unknown, || why.into());
    }

    /// Health and reason; when nothing was counted, that is unknown.
    pub(super) fn end(self, nothing: &str) -> (Health, String) {
        match self.health {
            Some(health) => (health, self.why),
            None => (Health::Unknown, nothing.to_owned()),
        }
    }
}
