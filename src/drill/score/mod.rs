//! The score of an exercise, from the records of its journal alone: each expectation with the record that met it, each
//! mistake and each hint with what it cost, and how long the crew took.

mod card;
mod ledger;
#[cfg(test)]
mod tests;

pub use card::Card;
pub use ledger::Ledger;

use super::scenario::expect::Judge;
use super::scenario::time::{Lasting, Offset};
use crate::report::{Exercise, Point};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of the form of [`Score`].
pub const SCHEMA: u32 = 1;

/// How an expectation went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Met {
    /// In time: all points.
    Met,
    /// Too late: half of the points.
    Late,
    /// Not at all: no points.
    Missed,
    /// There is still time.
    Open,
    /// What it belongs to never came: it counts for nothing.
    NotAsked,
    /// The facilitator has not judged it: it counts for nothing until then.
    NotJudged,
}

impl Met {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Late => "late",
            Self::Missed => "missed",
            Self::Open => "open",
            Self::NotAsked => "not asked",
            Self::NotJudged => "not judged",
        }
    }
}

/// One expectation in the score.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Id.
    pub id: String,
    /// What a good crew does.
    pub what: String,
    /// The inject that it belongs to.
    pub inject: Option<String>,
    /// Who judges it.
    pub kind: Judge,
    /// How it went.
    pub state: Met,
    /// Points.
    pub points: u32,
    /// Points at most.
    pub of: u32,
    /// Second at which it was due; absent where its inject never came.
    pub due_s: Option<i64>,
    /// Second at which it was met.
    pub at_s: Option<i64>,
    /// Sequence number of the record that met it, or that the facilitator's judgement stands in.
    pub seq: Option<u64>,
    /// Why the facilitator gave other points.
    pub reason: Option<String>,
}

/// Something that cost points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Id of the mistake or of the hint.
    pub id: String,
    /// What it was.
    pub what: String,
    /// Points that it cost.
    pub cost: u32,
    /// Second at which it was.
    pub at_s: i64,
    /// Sequence number of the record that shows it.
    pub seq: u64,
}

/// How long the crew took for something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Took {
    /// For what: `to detect`, `to declare`.
    pub what: String,
    /// Seconds of the scenario; absent where it was never done.
    pub seconds: Option<i64>,
    /// Sequence number of the record that ended it.
    pub seq: Option<u64>,
}

/// The score of an exercise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Score {
    /// Version of this form.
    pub schema: u32,
    /// Id of the scenario.
    pub scenario: String,
    /// Its name.
    pub name: String,
    /// Seed of its estate.
    pub seed: String,
    /// Whether it is over: what was to be reached is reached, its time is over, or the crew has left it.
    pub ended: bool,
    /// Whether what was to be reached was reached.
    pub reached: bool,
    /// Points, never below 0.
    pub score: u32,
    /// Points at most.
    pub of: u32,
    /// What the crew should learn.
    pub objectives: Vec<String>,
    /// What a good crew does.
    pub expectations: Vec<Line>,
    /// What it must not do, and did.
    pub mistakes: Vec<Cost>,
    /// What it was helped with.
    pub hints: Vec<Cost>,
    /// How long it took.
    pub times: Vec<Took>,
    /// What was only there to mislead.
    pub decoys: Vec<String>,
    /// Questions for afterwards.
    pub hotwash: Vec<String>,
}

impl Score {
    /// One line: what it comes to.
    pub fn headline(&self) -> String {
        let end = match (self.ended, self.reached) {
            (false, _) => "still running",
            (true, true) => "what was to be reached is reached",
            (true, false) => "not everything that was to be reached is reached",
        };
        format!("{} of {} points in {} ({end})", self.score, self.of, self.name)
    }

    /// Point by point, as `drill score` and the after-action report say it.
    pub fn told(&self) -> Exercise {
        let expectation = |line: &Line| {
            let at = |s: Option<i64>| s.map_or_else(|| "never".to_owned(), |s| Offset(s).to_string());
            let record = line.seq.map_or_else(String::new, |seq| format!(", record {seq}"));
            let judged =
                line.reason.as_ref().map_or_else(String::new, |why| format!(", judged by the facilitator: {why}"));
            let why = match line.state {
                Met::Met => format!("met {}{record}{judged}", at(line.at_s)),
                Met::Late => format!("late, {} instead of {}{record}{judged}", at(line.at_s), at(line.due_s)),
                Met::Missed => format!("missed, it was due {}{judged}", at(line.due_s)),
                Met::Open => format!("open until {}", at(line.due_s)),
                Met::NotAsked => "not asked: what it belongs to did not come".to_owned(),
                Met::NotJudged => "the facilitator has not judged it".to_owned(),
            };
            Point { points: format!("{}/{}", line.points, line.of), what: line.what.clone(), why }
        };
        let cost = |name: &str, cost: &Cost| Point {
            points: format!("{:+}", -i64::from(cost.cost)),
            what: format!("{name} {}, record {}", Offset(cost.at_s), cost.seq),
            why: cost.what.clone(),
        };
        let time = |took: &Took| {
            let time = took.seconds.map_or_else(|| "never".to_owned(), |s| Lasting(s).to_string());
            let record = took.seq.map_or_else(String::new, |seq| format!(" (record {seq})"));
            format!("{}: {time}{record}", took.what)
        };
        let points = self.expectations.iter().map(expectation);
        let points = points.chain(self.mistakes.iter().map(|c| cost("mistake", c)));
        let points = points.chain(self.hints.iter().map(|c| cost("hint", c)));
        let ended = |all: &[String]| if self.ended { all.to_vec() } else { Vec::new() };
        Exercise {
            scenario: self.scenario.clone(),
            name: self.name.clone(),
            seed: self.seed.clone(),
            score: self.score,
            of: self.of,
            headline: self.headline(),
            objectives: self.objectives.clone(),
            points: points.collect(),
            times: self.times.iter().map(time).collect(),
            decoys: ended(&self.decoys),
            hotwash: ended(&self.hotwash),
        }
    }

    /// Point by point, a line each.
    pub fn lines(&self) -> Vec<String> {
        let told = self.told();
        let mut lines = vec![told.headline, String::new()];
        lines.extend(told.points.iter().map(|Point { points, what, why }| {
            let width = if points.starts_with(['-', '+']) { 4 } else { 0 };
            format!("{points:>width$}  {what}: {why}")
        }));
        lines.push(String::new());
        lines.extend(told.times);
        lines.extend(told.decoys.iter().map(|d| format!("it only misled: {d}")));
        lines.extend(told.hotwash.iter().map(|q| format!("question: {q}")));
        lines
    }
}
