//! What an exercise is scored by, as the journal's record of its beginning holds it.

use crate::drill::scenario::Scenario;
use crate::drill::scenario::expect::{Judge, Match};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What an exercise is scored by. All numbers are whole: a record holds no others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Id of the scenario.
    pub scenario: String,
    /// Its name.
    pub name: String,
    /// Seed, as text: a record holds no integer beyond 2^53.
    pub seed: String,
    /// Scenario time of the beginning.
    pub start: Timestamp,
    /// Second at which it is over at the latest.
    pub limit_s: i64,
    /// What the crew shall learn.
    pub objectives: Vec<String>,
    /// Roles that take part.
    pub roles: Vec<String>,
    /// Tenants that have a part in it: an action on any other one goes wrong.
    pub cast: Vec<String>,
    /// What a good crew does.
    pub expectations: Vec<CardLine>,
    /// What it must not do.
    pub mistakes: Vec<CardMistake>,
    /// What only misleads.
    pub decoys: Vec<String>,
    /// Questions for afterwards.
    pub hotwash: Vec<String>,
}

/// One expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardLine {
    /// Id.
    pub id: String,
    /// What a good crew does.
    pub what: String,
    /// The inject from which its time counts.
    pub inject: Option<String>,
    /// Seconds until it is due.
    pub by_s: i64,
    /// The record that meets it; without, the exercise says when.
    #[serde(rename = "match")]
    pub record: Option<Match>,
    /// Points.
    pub score: u32,
    /// Who judges it.
    pub kind: Judge,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CardMistake {
    /// Id.
    pub id: String,
    /// Why it is wrong.
    pub what: String,
    /// The record that shows it; without, the exercise says when.
    #[serde(rename = "match")]
    pub record: Option<Match>,
    /// Points that it costs.
    pub cost: u32,
}

impl Card {
    /// What a scenario is scored by.
    pub fn new(scenario: &Scenario, seed: u64) -> Self {
        let exercise = &scenario.exercise;
        let herrings = scenario.injects.iter().filter(|i| i.red_herring);
        let misleads = |i: &crate::drill::scenario::Inject| {
            i.text.clone().unwrap_or_else(|| format!("what the inject {} did", i.id))
        };
        Self {
            scenario: exercise.id.clone(),
            name: exercise.name.clone(),
            seed: seed.to_string(),
            start: exercise.clock.start,
            limit_s: exercise.limit_s(),
            objectives: exercise.objectives.clone(),
            roles: exercise.roles.clone(),
            cast: scenario.cast().into_iter().map(|t| t.to_string()).collect(),
            expectations: scenario
                .all_expectations()
                .map(|(inject, e)| CardLine {
                    id: e.id.clone(),
                    what: e.what.clone(),
                    inject: inject.map(|i| i.id.clone()),
                    by_s: e.by.0,
                    record: e.record.clone(),
                    score: e.score,
                    kind: e.kind,
                })
                .collect(),
            mistakes: scenario
                .mistakes
                .iter()
                .map(|m| CardMistake { id: m.id.clone(), what: m.what.clone(), record: m.record.clone(), cost: m.cost })
                .collect(),
            decoys: scenario.decoys.iter().cloned().chain(herrings.map(misleads)).collect(),
            hotwash: scenario.hotwash.clone(),
        }
    }
}
