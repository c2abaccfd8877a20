//! Runs of a playbook as the journal tells of them. The journal is followed: what was read is not read again.

use super::Tested;
use crate::config::restore_test::RestoreTest;
use crate::domain::text::sanitize;
use crate::journal::read::{Filter, Reader};
use crate::journal::{Kind, Record};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long one look reads; a long journal takes several.
pub(super) const READ_FOR: Duration = Duration::from_secs(5);
/// Runs that are kept in mind; the oldest go first.
const OPEN: usize = 100;

/// What is known of a run that has not ended.
#[derive(Debug)]
struct Open {
    began: Timestamp,
    /// When the step that counts was sent.
    sent: Option<Timestamp>,
}

/// The tests that the journal tells of.
#[derive(Debug)]
pub(super) struct Runs {
    dir: PathBuf,
    config: RestoreTest,
    reader: Option<Reader>,
    open: BTreeMap<String, Open>,
    /// The newest test.
    pub(super) newest: Option<Tested>,
    /// The newest one that went well.
    pub(super) newest_good: Option<Tested>,
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Runs {
    pub(super) fn new(dir: &Path, config: &RestoreTest) -> Self {
        let (dir, config) = (dir.to_owned(), config.clone());
        Self { dir, config, reader: None, open: BTreeMap::new(), newest: None, newest_good: None }
    }

    /// Reads what is new; how many records were gone through where the end was not reached. Blocks.
    pub(super) fn read(&mut self) -> Result<Option<u64>, String> {
        let begun = Instant::now();
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            // Before its first record there is no journal, and no test.
            None if !self.dir.exists() => return Ok(None),
            None => {
                let kinds = vec![
                    Kind::RunStarted,
                    Kind::StepStarted,
                    Kind::StepVerified,
                    Kind::StepFinished,
                    Kind::RunFinished,
                ];
                let filter = Filter { kinds, ..Filter::default() };
                Reader::open(&self.dir, filter).map_err(|e| sanitize(&e.to_string()))?
            }
        };
        let mut behind = None;
        while let Some(stored) = reader.next() {
            let stored = stored.map_err(|e| sanitize(&e.to_string()))?;
            self.take(&stored.record);
            if begun.elapsed() > READ_FOR {
                behind = Some(reader.seq());
                break;
            }
        }
        self.reader = Some(reader);
        Ok(behind)
    }

    fn take(&mut self, record: &Record) {
        let body = &record.body;
        let run = text(body, "run").to_owned();
        if record.kind == Kind::RunStarted {
            let of = body.get("params").map_or("", |params| text(params, &self.config.parameter));
            if text(body, "playbook") == self.config.playbook && of == self.config.of {
                self.open.insert(run, Open { began: record.time, sent: None });
                if self.open.len() > OPEN {
                    self.open.pop_first();
                }
            }
            return;
        }
        let Some(open) = self.open.get_mut(&run) else { return };
        let counts = |step: &String| text(body, "step") == step.as_str();
        let (ok, from) = match (record.kind, &self.config.step) {
            (Kind::StepStarted, Some(step)) if counts(step) => {
                open.sent = Some(record.time);
                return;
            }
            (Kind::StepVerified, Some(step)) if counts(step) => (true, open.sent.unwrap_or(open.began)),
            (Kind::StepFinished, Some(step)) if counts(step) && text(body, "ended") == "failed" => (false, open.began),
            (Kind::RunFinished, Some(_)) => {
                self.open.remove(&run);
                return;
            }
            (Kind::RunFinished, None) => (text(body, "state") == "finished", open.began),
            _ => return,
        };
        if record.kind == Kind::RunFinished {
            self.open.remove(&run);
        }
        let took_s = ok.then(|| record.time.duration_since(from).as_secs_f64()).filter(|s| *s >= 0.0);
        let evidence = format!("{} in the journal, record {}", sanitize(&run), record.seq);
        let tested = Tested { at: record.time, ok, took_s, evidence };
        if ok {
            self.newest_good = Some(tested.clone());
        }
        self.newest = Some(tested);
    }
}
