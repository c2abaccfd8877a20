//! Reading a playbook and naming everything that is wrong with it, with file, line and column: syntax, unknown and
//! repeated keys and wrong types (`yaml`), then what the words mean: verbs and arguments, expressions, templates, risk
//! floors, jumps, steps that can not be reached (`rules` and `step`).

mod keys;
mod rules;
mod step;
mod structure;
pub(crate) mod yaml;

#[cfg(test)]
mod tests;

use super::plan::Plan;
use crate::domain::id::Digest;
use crate::domain::request::VerbSpec;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::sync::Arc;

/// Longest text that is read.
const MAX_BYTES: usize = 256 * 1024;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    /// File as it was named.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1.
    pub column: u64,
    /// What was found and what is allowed, one sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.message)
    }
}

/// Names everything that is wrong with a playbook, in the order of the text; nothing when it may be run.
pub fn lint(text: &str, file: &str, verbs: &[&VerbSpec], signals: &[&str]) -> Vec<Problem> {
    load(text, file, verbs, signals).err().unwrap_or_default()
}

/// Reads a playbook that is to be run.
///
/// # Errors
/// Everything that is wrong with it.
pub fn load(text: &str, file: &str, verbs: &[&VerbSpec], signals: &[&str]) -> Result<Arc<Plan>, Vec<Problem>> {
    read(text, file, Some((verbs, signals)))
}

/// Reads a playbook of which a test proves that nothing is wrong with it, without looking at what its words mean: that
/// costs half of the time to the first frame for those built in.
///
/// # Errors
/// What is wrong with its form.
pub(super) fn load_proven(text: &str, file: &str) -> Result<Arc<Plan>, Vec<Problem>> {
    read(text, file, None)
}

/// Reads a playbook; looks at the meaning of its words where it is told the verbs and signals that there are.
fn read(text: &str, file: &str, known: Option<(&[&VerbSpec], &[&str])>) -> Result<Arc<Plan>, Vec<Problem>> {
    let one = |line: u64, column: u64, message: String| Problem { file: file.to_owned(), line, column, message };
    if text.len() > MAX_BYTES {
        let message = format!("the playbook has {} bytes, at most {MAX_BYTES} are read", text.len());
        return Err(vec![one(1, 1, message)]);
    }
    let document = yaml::read(text).map_err(|(place, message)| vec![one(place.line, place.column, message)])?;
    let read = structure::playbook(&document);
    let mut found: Vec<(yaml::Place, String)> = document.repeated.clone();
    let partial = !read.problems.is_empty();
    found.extend(read.problems);
    if let (Some(playbook), Some((verbs, signals))) = (&read.playbook, known) {
        let rules = rules::Rules::new(playbook, &read.steps, verbs, signals, partial);
        found.extend(rules.check().into_iter().map(|(path, message)| (document.place(&path), message)));
    }
    let mut problems: Vec<Problem> =
        found.into_iter().map(|(place, text)| one(place.line, place.column, text)).collect();
    problems.sort();
    problems.dedup();
    match read.playbook {
        Some(playbook) if problems.is_empty() => {
            let digest = Digest::from_bytes(&Sha256::digest(text.as_bytes()).into());
            let written = playbook.steps.iter().zip(&read.steps).map(|(step, at)| {
                let place = document.place(at);
                (step.id.clone(), (place.line, place.column))
            });
            let lines = written.collect();
            let plan = Plan::new(playbook, digest).written_at(lines);
            if known.is_some() {
                plan.parse_all().map_err(|why| vec![one(1, 1, why)])?;
            }
            Ok(Arc::new(plan))
        }
        _ => Err(problems),
    }
}
