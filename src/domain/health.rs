//! The four health words and how they roll up.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Health of one thing. The order is the roll-up order: the worst wins, and unknown is worse than warn
/// because unknown is never green.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Observed, fresh and within its thresholds.
    Ok,
    /// Observed and beyond the first threshold.
    Warn,
    /// Not observed, or too long ago.
    #[default]
    Unknown,
    /// Observed and beyond the second threshold.
    Critical,
}

impl Health {
    /// The worst of many; nothing at all is unknown, never green.
    pub fn worst(all: impl IntoIterator<Item = Self>) -> Self {
        all.into_iter().max().unwrap_or(Self::Unknown)
    }

    /// The word of the output contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Unknown => "unknown",
            Self::Critical => "critical",
        }
    }

    /// Grades a value that is worse when greater: `None` is unknown, as is anything that is not a number.
    pub fn above(value: Option<f64>, warn: f64, critical: f64) -> Self {
        match value {
            Some(v) if v.is_nan() => Self::Unknown,
            Some(v) if v >= critical => Self::Critical,
            Some(v) if v >= warn => Self::Warn,
            Some(_) => Self::Ok,
            None => Self::Unknown,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_wins_and_unknown_stands_between_warn_and_critical() {
        assert_eq!(Health::worst([Health::Ok, Health::Warn, Health::Unknown]), Health::Unknown);
        assert_eq!(Health::worst([Health::Unknown, Health::Critical]), Health::Critical);
        assert_eq!(Health::worst([Health::Ok, Health::Warn]), Health::Warn);
    }

    #[test]
    fn nothing_observed_is_unknown() {
        assert_eq!(Health::worst([]), Health::Unknown);
        assert_eq!(Health::above(None, 1.0, 2.0), Health::Unknown);
        assert_eq!(Health::above(Some(f64::NAN), 1.0, 2.0), Health::Unknown);
    }
}
