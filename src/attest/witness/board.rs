//! What is known of the witnesses at one moment, and what follows from it. Plain data; [`super::follow`] writes it,
//! the engine reads it.

use crate::policy::quorum;
use jiff::Timestamp;
use std::time::Duration;

/// That outsiders hold a log that ours is not: nothing may be executed on it until people have looked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// Ours is shorter than what was cosigned.
    #[error(
        "{witness} has cosigned {theirs} records of this log, and it has {ours}: it was rolled back or restored from a copy; \
         nothing is executed until the missing records are back"
    )]
    Shrunk {
        /// Who says so.
        witness: String,
        /// Size that was cosigned.
        theirs: u64,
        /// Our size.
        ours: u64,
    },
    /// Ours has other records than those that were cosigned.
    #[error(
        "{witness} has cosigned {size} records that are not the first {size} of this log: the log was rewritten or replaced; \
         nothing is executed on it"
    )]
    Different {
        /// Who says so.
        witness: String,
        /// Size that was cosigned.
        size: u64,
    },
}

/// What is known of one witness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What it is called.
    pub name: String,
    /// Who runs it.
    pub administrator: String,
    /// Number of records that it has cosigned since this opening; 0 for none, and then it is unverified.
    pub size: u64,
    /// When it last did.
    pub at: Option<Timestamp>,
    /// Whether it has been asked once, with whatever result.
    pub asked: bool,
    /// Why it does not cosign, when that is so.
    pub trouble: Option<String>,
}

/// All that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Board {
    /// One for each witness, in the order of the configuration.
    pub standings: Vec<Standing>,
    /// That the log is not the one that was cosigned. Never taken back.
    pub alarm: Option<Alarm>,
    /// Why the newest cosigned note could not be kept or read.
    pub file: Option<String>,
    /// Sizes of the log with the moment each was first seen, the oldest first: those that are not covered yet.
    pub(super) grown: Vec<(u64, Timestamp)>,
}

/// More sizes than this are not remembered: they come at most one an interval.
const REMEMBERED: usize = 4096;

impl Board {
    /// Size that so many administrators' witnesses cover.
    pub fn covered(&self, needed: u32) -> u64 {
        quorum::covered(self.sizes(), needed)
    }

    /// How many administrators' witnesses cover a size.
    pub fn confirmed(&self, size: u64) -> u32 {
        quorum::confirmed(self.sizes(), size)
    }

    fn sizes(&self) -> impl Iterator<Item = (&str, u64)> {
        self.standings.iter().map(|s| (s.administrator.as_str(), s.size))
    }

    /// The latest time of a cosignature.
    pub fn at(&self) -> Option<Timestamp> {
        self.standings.iter().filter_map(|s| s.at).max()
    }

    /// Whether every witness has been asked once.
    pub fn all_asked(&self) -> bool {
        self.standings.iter().all(|s| s.asked)
    }

    /// Takes note of the log's size; what the quorum covers is forgotten.
    pub(super) fn grew(&mut self, size: u64, now: Timestamp, needed: u32) {
        let covered = self.covered(needed);
        self.grown.retain(|(s, _)| *s > covered);
        if size > covered && self.grown.last().is_none_or(|(s, _)| *s < size) && self.grown.len() < REMEMBERED {
            self.grown.push((size, now));
        }
    }

    /// How long the oldest record that the quorum does not cover has been waiting for it.
    pub fn uncosigned(&self, needed: u32, now: Timestamp) -> Option<Duration> {
        let covered = self.covered(needed);
        let (_, since) = self.grown.iter().find(|(size, _)| *size > covered)?;
        Some(Duration::try_from(now.duration_since(*since)).unwrap_or_default())
    }

    /// Why witnessing does not go on as it should, one sentence; `None` when it does.
    pub fn trouble(&self, needed: u32, max_age: Duration, now: Timestamp) -> Option<String> {
        if let Some(alarm) = &self.alarm {
            return Some(alarm.to_string());
        }
        let troubles: Vec<String> =
            self.standings.iter().filter_map(|s| Some(format!("{}: {}", s.name, s.trouble.as_ref()?))).collect();
        let short = self.confirmed(1) < needed;
        let late = self.uncosigned(needed, now).filter(|age| *age > max_age);
        let head = match late {
            Some(age) => Some(format!(
                "records have waited {} s for {needed} of them, at most {} s are allowed",
                age.as_secs(),
                max_age.as_secs()
            )),
            None if short && self.all_asked() => Some(format!("unverified: {needed} of them must answer")),
            None => None,
        };
        let parts: Vec<String> = head.into_iter().chain(troubles).chain(self.file.clone()).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + s).unwrap()
    }

    fn board(sizes: &[u64]) -> Board {
        let standing = |(n, size): (usize, &u64)| Standing {
            name: format!("w{n}"),
            administrator: format!("a{n}"),
            size: *size,
            at: None,
            asked: true,
            trouble: None,
        };
        Board { standings: sizes.iter().enumerate().map(standing).collect(), ..Board::default() }
    }

    #[test]
    fn the_age_is_that_of_the_oldest_record_that_waits() {
        let mut board = board(&[10, 10]);
        board.grew(10, at(0), 2);
        assert_eq!(board.uncosigned(2, at(5)), None);
        board.grew(12, at(1), 2);
        board.grew(15, at(3), 2);
        assert_eq!(board.uncosigned(2, at(5)), Some(Duration::from_secs(4)));
        for standing in &mut board.standings {
            standing.size = 12;
        }
        assert_eq!(board.uncosigned(2, at(5)), Some(Duration::from_secs(2)));
        let limit = Duration::from_secs(1);
        assert!(board.trouble(2, limit, at(5)).unwrap().contains("waited 2 s for 2 of them, at most 1 s"));
        assert_eq!(board.trouble(2, Duration::from_mins(1), at(5)), None);
    }

    #[test]
    fn whoever_has_not_answered_is_unverified() {
        let mut board = board(&[10, 0]);
        board.standings[1].trouble = Some("the witness did not answer".into());
        let why = board.trouble(2, Duration::from_mins(1), at(0)).unwrap();
        assert_eq!(why, "unverified: 2 of them must answer; w1: the witness did not answer");
        board.alarm = Some(Alarm::Shrunk { witness: "w0".into(), theirs: 12, ours: 10 });
        let why = board.trouble(2, Duration::from_mins(1), at(0)).unwrap();
        assert!(why.starts_with("w0 has cosigned 12 records of this log, and it has 10"), "{why}");
    }
}
