//! What people did lately that takes more than ordinary rights: by the journal (broken glass, elevations, keys, the roster)
//! and by the audit log of a Kubernetes API server (`[[audit_log]]`). Only the engine and `doctor` call this.

pub mod audit;
mod event;
pub mod journal;
#[cfg(test)]
mod tests;

use crate::domain::facts::MeasuredFacts;
use crate::domain::facts::measured::Happened;
use crate::domain::signal::Subject;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;

/// What happened is kept this long, so many deeds at most.
const HAPPENED: SignedDuration = SignedDuration::from_hours(24);
const KEPT: usize = 200;
/// Deeds of this long count as recent; the times of so many are kept.
const RECENT: SignedDuration = SignedDuration::from_hours(1);
const TIMES: usize = 10_000;
/// Deeds that are said, the newest.
const SENTENCES: usize = 12;

/// The deeds of the last day.
#[derive(Debug, Default)]
pub(super) struct Deeds {
    all: VecDeque<Happened>,
    recent: VecDeque<Timestamp>,
}

impl Deeds {
    /// Adds one. One that only tells how another went does not count.
    fn add(&mut self, at: Timestamp, subject: &Subject, what: String, counts: bool) {
        if counts {
            self.recent.push_back(at);
            if self.recent.len() > TIMES {
                self.recent.pop_front();
            }
        }
        self.all.push_back(Happened { at, subject: subject.clone(), what });
        if self.all.len() > KEPT {
            self.all.pop_front();
        }
    }

    /// Puts them into facts.
    fn tell(&mut self, subject: &Subject, now: Timestamp, facts: &mut MeasuredFacts) {
        self.all.retain(|deed| now.duration_since(deed.at) <= HAPPENED);
        self.recent.retain(|at| now.duration_since(*at) <= RECENT);
        let recent = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        facts.measure(subject, "privileged.actions", f64::from(recent));
        let newest = self.all.iter().rev().take(SENTENCES);
        facts.said.extend(newest.map(|deed| format!("{}: {}", deed.at.strftime("%F %H:%M:%SZ"), deed.what)));
        facts.happened = self.all.iter().cloned().collect();
    }
}
