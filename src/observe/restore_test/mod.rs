//! Whether backups were restored, when, how long it took and where the evidence is: from runs of playbooks in the journal,
//! and from a report that other tools write. A test that nobody recorded is not known, and never well. Only the engine and
//! `doctor` call this.

mod report;
mod runs;
#[cfg(test)]
mod tests;

use super::poll::Poll;
use crate::config::model::Config;
use crate::config::restore_test::{Proof, RestoreTest};
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Clock};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use jiff::{SignedDuration, Timestamp};
use runs::Runs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Tests are days apart.
const INTERVAL: Duration = Duration::from_mins(1);
/// Reading goes on at the next look when it takes longer than [`runs::READ_FOR`].
const TIMEOUT: Duration = Duration::from_secs(20);

/// How one test went.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tested {
    /// When it ended.
    at: Timestamp,
    /// Whether what was restored was whole.
    ok: bool,
    /// Seconds that it took.
    took_s: Option<f64>,
    /// Where to read about it.
    evidence: String,
}

/// Observes one kind of test.
pub struct RestoreTestObserver {
    config: RestoreTest,
    journal: PathBuf,
    clock: Arc<dyn Clock>,
    runs: Option<Runs>,
}

impl RestoreTestObserver {
    /// For each `[[restore_test]]`; `journal` is the directory of the estate's journal. Nothing is read before they run.
    pub fn all(_: MayObserve, config: &Config, journal: &std::path::Path, clock: &Arc<dyn Clock>) -> Vec<Self> {
        let one = |test: &RestoreTest| Self {
            config: test.clone(),
            journal: journal.to_owned(),
            clock: Arc::clone(clock),
            runs: None,
        };
        config.restore_test.iter().map(one).collect()
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let runs = self.runs.take().unwrap_or_else(|| Runs::new(&self.journal, &self.config));
        let report = self.config.report.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut runs = runs;
            let known = runs.read();
            (runs, known, report.map(|path| report::read(&path)))
        });
        let local = |why: String| Failure::new(FailureKind::Local, why);
        let (runs, known, report) = read.await.map_err(|_| local("reading the journal was broken off".to_owned()))?;
        let behind = known.map_err(|why| local(format!("the journal can not be read: {why}")))?;
        let mut tests: Vec<Tested> = runs.newest.iter().chain(&runs.newest_good).cloned().collect();
        self.runs = Some(runs);
        let mut facts = MeasuredFacts::of(SourceKind::Restore);
        match report {
            Some(Ok(Some(tested))) => tests.push(tested),
            Some(Err(why)) => facts.lacks("what the report says", why),
            Some(Ok(None)) | None => {}
        }
        self.tell(&tests, behind, &mut facts);
        Ok(Facts::Measured(facts))
    }

    fn tell(&self, tests: &[Tested], behind: Option<u64>, facts: &mut MeasuredFacts) {
        let (age, ok, took, due) = match self.config.proof {
            Proof::Restore => ("restore_test.age", "restore_test.ok", "restore_test.took", "restore_test.due"),
            Proof::Rehearsal => ("rehearsal.age", "rehearsal.ok", "rehearsal.took", "rehearsal.due"),
        };
        let subject = Subject::Backup { source: self.config.id.clone(), backup: self.config.of.as_str().into() };
        let now = self.clock.now();
        // What is of tomorrow was written by a clock that is wrong, or by somebody who wants to be well.
        let (known, ahead): (Vec<&Tested>, Vec<&Tested>) =
            tests.iter().partition(|t| t.at.duration_since(now).as_secs() < 300);
        facts.said.extend(ahead.first().map(|t| format!("{} is of {}, which is still to come", t.evidence, t.at)));
        let of = sanitize(&self.config.of);
        let Some(newest) = known.iter().max_by_key(|t| t.at) else {
            let why = match (behind, self.config.proof) {
                (Some(records), _) => format!("the journal is still being read, {records} records so far"),
                (None, Proof::Restore) => format!("no restore test of {of} is known"),
                (None, Proof::Rehearsal) => format!("no rehearsal of {of} is known"),
            };
            if behind.is_none() {
                self.schedule(&subject, due, None, facts);
            } else if self.config.every_days.is_some() {
                facts.untell(&subject, due, why.clone());
            }
            return facts.untell(&subject, age, why);
        };
        facts.measure(&subject, ok, if newest.ok { 1.0 } else { 0.0 });
        if !newest.ok {
            facts.said.push(format!("the newest one failed at {}: {}", newest.at, newest.evidence));
        }
        let good = known.iter().filter(|t| t.ok).max_by_key(|t| t.at);
        self.schedule(&subject, due, good.map(|good| good.at), facts);
        match good {
            Some(good) => {
                let days = now.duration_since(good.at).as_secs_f64().max(0.0) / 86_400.0;
                facts.measure(&subject, age, days);
                if let Some(seconds) = good.took_s {
                    facts.measure(&subject, took, seconds);
                }
                facts.said.push(format!("the newest good one ended at {}: {}", good.at, good.evidence));
            }
            None => facts.untell(&subject, age, format!("no test of {of} went well yet")),
        }
    }

    /// Days until the next one is due by the schedule, where there is one. Without any good one it is due now: since when
    /// it is overdue, nobody knows.
    fn schedule(&self, subject: &Subject, signal: &str, good: Option<Timestamp>, facts: &mut MeasuredFacts) {
        let Some(days) = self.config.every_days else { return };
        let Some(good) = good else {
            facts.said.push(format!("one is due every {days} days, and none that went well is known"));
            return facts.measure(subject, signal, 0.0);
        };
        let next = good + SignedDuration::from_hours(24 * i64::from(days));
        facts.said.push(format!("one is due every {days} days, the next one at {next}"));
        facts.measure(subject, signal, next.duration_since(self.clock.now()).as_secs_f64() / 86_400.0);
    }
}

impl Poll for RestoreTestObserver {
    fn spec(&self) -> SourceSpec {
        let address = sanitize(&format!("{} of {}", self.config.playbook, self.config.of));
        SourceSpec { id: self.config.id.clone(), kind: SourceKind::Restore, interval: INTERVAL, address }
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
