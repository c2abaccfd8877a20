//! Scenarios of exercises: YAML, unknown fields refused with their place, and a lint that names every error. The
//! language is told in `docs/drills.md`.

pub mod expect;
pub(super) mod known;
mod lint;
pub mod time;

use super::model::build::Size;
use super::model::fault::Fault;
use crate::domain::id::{SourceId, TenantId};
use crate::playbook::yaml;
use expect::{Expectation, Hint, Mistake};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use time::{Lasting, Offset};

/// A whole scenario file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// What is exercised.
    pub exercise: Exercise,
    /// The estate before it begins.
    #[serde(default)]
    pub baseline: Baseline,
    /// What happens.
    pub injects: Vec<Inject>,
    /// What a good crew does, counted from the beginning.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
    /// What a crew must not do.
    #[serde(default)]
    pub mistakes: Vec<Mistake>,
    /// Help, counted from the beginning.
    #[serde(default)]
    pub hints: Vec<Hint>,
    /// When it may end, a CEL expression.
    #[serde(default)]
    pub end_when: Option<String>,
    /// What was only there to mislead; told afterwards.
    #[serde(default)]
    pub decoys: Vec<String>,
    /// Questions for afterwards.
    #[serde(default)]
    pub hotwash: Vec<String>,
}

/// What is exercised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Exercise {
    /// Id: `schema-lock`.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// What the crew is told before it begins.
    #[serde(default)]
    pub briefing: Option<String>,
    /// What the crew shall learn.
    pub objectives: Vec<String>,
    /// Seed of the estate; equal seeds make equal estates.
    pub seed: u64,
    /// How long it takes, in minutes of the crew.
    pub minutes: u32,
    /// The clock.
    pub clock: ClockStart,
    /// Roles that take part.
    pub roles: Vec<String>,
}

impl Exercise {
    /// Seconds of the scenario after which it is over, whatever was reached.
    pub fn limit_s(&self) -> i64 {
        let seconds = f64::from(self.minutes) * 60.0 * self.clock.speed;
        i64::from(super::model::jobs::whole_number(seconds.ceil()))
    }
}

/// The clock of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockStart {
    /// The moment at which it begins.
    pub start: Timestamp,
    /// Seconds of the scenario in one second.
    #[serde(default = "one")]
    pub speed: f64,
}

const fn one() -> f64 {
    1.0
}

/// The estate before it begins.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// How big it is.
    #[serde(default)]
    pub size: Size,
    /// What is not as it should be from the beginning.
    #[serde(default)]
    pub effects: Vec<Fault>,
}

/// How the crew gets to know of an inject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Channel {
    /// It is not told: it shows in the panes.
    Telemetry,
    /// Somebody's alert.
    Alert,
    /// Somebody calls.
    Call,
    /// Somebody writes.
    Email,
    /// Nobody approves for a time.
    ApproverAbsent,
    /// A source says nothing for a time.
    TelemetryGap,
}

impl Channel {
    /// The word for people.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Telemetry => "note",
            Self::Alert => "alert",
            Self::Call => "call",
            Self::Email => "e-mail",
            Self::ApproverAbsent => "approver absent",
            Self::TelemetryGap => "telemetry gap",
        }
    }

    /// Whether somebody speaks, so that a text is needed.
    pub const fn speaks(self) -> bool {
        matches!(self, Self::Alert | Self::Call | Self::Email)
    }

    /// Whether it lasts for a time that has to be said.
    pub const fn lasts(self) -> bool {
        matches!(self, Self::ApproverAbsent | Self::TelemetryGap)
    }
}

/// One inject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inject {
    /// Id, unique in the scenario.
    pub id: String,
    /// When: `T+90s`, `T+5m`, `T+1h05m`.
    #[serde(default)]
    pub at: Option<Offset>,
    /// Or as soon as this holds, a CEL expression.
    #[serde(default)]
    pub when: Option<String>,
    /// Or after another inject.
    #[serde(default)]
    pub after: Option<String>,
    /// For how long it waits once its time, condition or other inject has come.
    #[serde(default)]
    pub wait: Lasting,
    /// It does not come where this holds when it would, a CEL expression.
    #[serde(default)]
    pub unless: Option<String>,
    /// How it is told.
    pub channel: Channel,
    /// What is put into the estate.
    #[serde(default)]
    pub effects: Vec<Fault>,
    /// For how long, on the channels approver-absent and telemetry-gap.
    #[serde(default, rename = "for")]
    pub lasting: Option<Lasting>,
    /// Which source is silent, on the channel telemetry-gap.
    #[serde(default)]
    pub source: Option<SourceId>,
    /// Who speaks.
    #[serde(default)]
    pub from: Option<String>,
    /// What is said.
    #[serde(default)]
    pub text: Option<String>,
    /// Roles that it is for; everybody where none is named.
    #[serde(default)]
    pub audience: Vec<String>,
    /// What only the facilitator sees.
    #[serde(default)]
    pub facilitator_note: Option<String>,
    /// Whether it only misleads; told afterwards.
    #[serde(default)]
    pub red_herring: bool,
    /// What a good crew does about it, counted from when it came.
    #[serde(default)]
    pub expectations: Vec<Expectation>,
    /// Help, counted from when it came; of no use once all its expectations are met.
    #[serde(default)]
    pub hints: Vec<Hint>,
}

/// An error in a scenario.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
pub struct ScenarioError {
    /// File, or `built-in schema-lock`.
    pub file: String,
    /// Line and column, both from 1, where the place is known.
    pub place: Option<(u64, u64)>,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for ScenarioError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            Some((line, column)) => write!(f, "{}:{line}:{column}: {}", self.file, self.message),
            None => write!(f, "{}: {}", self.file, self.message),
        }
    }
}

/// Reads a scenario and checks it. `file` only names it in errors; the text is given.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn parse(file: &str, text: &str) -> Result<Scenario, Vec<ScenarioError>> {
    let (scenario, document) = read(file, text)?;
    let found = lint::lint(&scenario);
    if found.is_empty() {
        return Ok(scenario);
    }
    let at = |pointer: &str| {
        let place = document.place(pointer);
        Some((place.line, place.column))
    };
    let error =
        |(pointer, message): (String, String)| ScenarioError { file: file.into(), place: at(&pointer), message };
    let mut errors: Vec<ScenarioError> = found.into_iter().map(error).collect();
    errors.sort_by_key(|e| e.place);
    Err(errors)
}

/// Reads a scenario of which a test proves that nothing is wrong with it, without looking at what its words mean.
pub(super) fn parse_proven(file: &str, text: &str) -> Result<Scenario, Vec<ScenarioError>> {
    read(file, text).map(|(scenario, _)| scenario)
}

/// Reads any file of an exercise: its form only.
///
/// # Errors
/// What is wrong with its form, each with its place.
pub(super) fn read_form<T: serde::de::DeserializeOwned>(
    file: &str,
    text: &str,
) -> Result<(T, yaml::Document), Vec<ScenarioError>> {
    let error = |place: yaml::Place, message: String| ScenarioError {
        file: file.into(),
        place: Some((place.line, place.column)),
        message,
    };
    let document = yaml::read(text).map_err(|(place, message)| vec![error(place, message)])?;
    if !document.repeated.is_empty() {
        return Err(document.repeated.iter().map(|(place, message)| error(*place, message.clone())).collect());
    }
    match serde_path_to_error::deserialize::<_, T>(&document.value) {
        Ok(read) => Ok((read, document)),
        Err(wrong) => {
            let pointer = pointer(wrong.path());
            let message = wrong.inner().to_string();
            // Where a key or a variant is unknown, its own place is nearer than that of what it stands in.
            let named = message.split('`').nth(1).unwrap_or_default().to_owned();
            let beneath = format!("{pointer}/{}", yaml::escape(&named));
            let variant = format!("{pointer}/fault");
            let place = match message.split('`').next() {
                Some("unknown field ") if pointer.ends_with(&format!("/{}", yaml::escape(&named))) => {
                    document.key_place(&pointer)
                }
                Some("unknown field ") => document.key_place(&beneath),
                Some("unknown variant ") if document.value.pointer(&variant).is_some() => document.place(&variant),
                _ => document.place(&pointer),
            };
            Err(vec![error(place, crate::domain::text::sanitize(&message))])
        }
    }
}

fn read(file: &str, text: &str) -> Result<(Scenario, yaml::Document), Vec<ScenarioError>> {
    read_form(file, text)
}

/// A path of serde as a JSON pointer.
fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => pointer.push_str(&format!("/{}", yaml::escape(key))),
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

impl Scenario {
    /// The tenants that have a part in it: those of faults, and those that conditions look at.
    pub fn cast(&self) -> BTreeSet<TenantId> {
        let effects = self.baseline.effects.iter().chain(self.injects.iter().flat_map(|i| &i.effects));
        let mut cast: BTreeSet<TenantId> = effects.filter_map(Fault::tenant).cloned().collect();
        for (_, condition) in self.conditions() {
            let signals = known::signals_in(condition).into_iter();
            cast.extend(signals.map(|used| TenantId::new(used.tenant)));
        }
        cast
    }

    /// Everything that a good crew does, with the inject that it belongs to.
    pub fn all_expectations(&self) -> impl Iterator<Item = (Option<&Inject>, &Expectation)> {
        let of_injects = self.injects.iter().flat_map(|i| i.expectations.iter().map(move |e| (Some(i), e)));
        self.expectations.iter().map(|e| (None, e)).chain(of_injects)
    }

    /// Every hint, with the inject that it belongs to and its name.
    pub fn all_hints(&self) -> impl Iterator<Item = (String, Option<&Inject>, &Hint)> {
        let general = self.hints.iter().enumerate().map(|(n, h)| (format!("general-{}", n + 1), None, h));
        let of_injects = self
            .injects
            .iter()
            .flat_map(|i| i.hints.iter().enumerate().map(move |(n, h)| (format!("{}-{}", i.id, n + 1), Some(i), h)));
        of_injects.chain(general)
    }

    /// Every condition, with its JSON pointer.
    fn conditions(&self) -> Vec<(String, &str)> {
        let mut all: Vec<(String, &str)> = Vec::new();
        all.extend(self.end_when.iter().map(|c| ("/endWhen".to_owned(), c.as_str())));
        for (n, inject) in self.injects.iter().enumerate() {
            for (name, condition) in [("when", &inject.when), ("unless", &inject.unless)] {
                all.extend(condition.iter().map(|c| (format!("/injects/{n}/{name}"), c.as_str())));
            }
            for (m, expected) in inject.expectations.iter().enumerate() {
                let pointer = format!("/injects/{n}/expectations/{m}/when");
                all.extend(expected.when.iter().map(|c| (pointer.clone(), c.as_str())));
            }
        }
        for (m, expected) in self.expectations.iter().enumerate() {
            all.extend(expected.when.iter().map(|c| (format!("/expectations/{m}/when"), c.as_str())));
        }
        for (m, mistake) in self.mistakes.iter().enumerate() {
            all.extend(mistake.when.iter().map(|c| (format!("/mistakes/{m}/when"), c.as_str())));
        }
        all
    }
}

#[cfg(test)]
mod tests;
