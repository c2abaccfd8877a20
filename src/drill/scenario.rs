//! Scenarios of exercises: YAML, unknown fields refused with their place, and a lint that names every error.

use super::condition::Condition;
use super::model::Simulation;
use super::model::build::Size;
use super::model::fault::Fault;
use crate::domain::id::TenantId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

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
    /// When it may end, a CEL expression over `elapsed_s` and `signals`.
    #[serde(default)]
    pub end_when: Option<String>,
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
}

/// One inject.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inject {
    /// Id, unique in the scenario.
    pub id: String,
    /// When: `T+90s`, `T+5m`, `T+1h05m`.
    #[serde(default)]
    pub at: Option<Offset>,
    /// Or as soon as this holds, a CEL expression.
    #[serde(default)]
    pub when: Option<String>,
    /// How it is told.
    pub channel: Channel,
    /// What is put into the estate.
    #[serde(default)]
    pub effects: Vec<Fault>,
    /// Who speaks, for a call or an alert.
    #[serde(default)]
    pub from: Option<String>,
    /// What is said.
    #[serde(default)]
    pub text: Option<String>,
}

/// A time since the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Offset(pub i64);

impl Offset {
    fn parse(text: &str) -> Option<Self> {
        let mut seconds = 0_i64;
        let mut number = String::new();
        for c in text.strip_prefix("T+")?.chars() {
            if c.is_ascii_digit() {
                number.push(c);
                continue;
            }
            let unit = match c {
                'h' => 3600,
                'm' => 60,
                's' => 1,
                _ => return None,
            };
            seconds = seconds.checked_add(number.parse::<i64>().ok()?.checked_mul(unit)?)?;
            number.clear();
        }
        (number.is_empty() && text.len() > 2).then_some(Self(seconds))
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "T+{}m{:02}s", self.0 / 60, self.0 % 60)
    }
}

impl Serialize for Offset {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("`{text}` is no time since the beginning, such as T+90s, T+5m or T+1h05m"))
        })
    }
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
pub fn parse(file: &str, text: &str) -> Result<Scenario, Vec<ScenarioError>> {
    let scenario: Scenario = serde_saphyr::from_str(text).map_err(|error| {
        let error = error.without_snippet();
        let place = error.location().map(|at| (at.line(), at.column()));
        let message = error.to_string();
        vec![ScenarioError { file: file.into(), place, message: message.lines().next().unwrap_or_default().into() }]
    })?;
    let found = lint(&scenario);
    if found.is_empty() {
        return Ok(scenario);
    }
    let place = |what: &str| find(text, what);
    Err(found
        .into_iter()
        .map(|(near, message)| ScenarioError { file: file.into(), place: place(&near), message })
        .collect())
}

/// Line and column of the first place where a word stands.
fn find(text: &str, word: &str) -> Option<(u64, u64)> {
    let (line, column) = text.lines().enumerate().find_map(|(n, line)| line.find(word).map(|c| (n, c)))?;
    Some((u64::try_from(line).ok()? + 1, u64::try_from(column).ok()? + 1))
}

/// Everything that is wrong with a scenario: a word near to the place, and a sentence.
fn lint(scenario: &Scenario) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let exercise = &scenario.exercise;
    let mut say = |near: &str, message: String| found.push((near.to_owned(), message));
    let id_is_fine =
        |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if !id_is_fine(&exercise.id) {
        say("id:", format!("the id `{}` may have lower-case letters, digits and `-` only", exercise.id));
    }
    if exercise.clock.speed.is_nan() || exercise.clock.speed <= 0.0 || exercise.clock.speed > super::clock::FASTEST {
        let most = super::clock::FASTEST;
        say("speed:", format!("speed is {}, allowed is more than 0 and at most {most}", exercise.clock.speed));
    }
    if exercise.objectives.is_empty() {
        say("objectives:", "an exercise needs at least one objective".into());
    }
    let estate = Simulation::new(exercise.seed, scenario.baseline.size, exercise.clock.start);
    let mut ids = BTreeSet::new();
    for inject in &scenario.injects {
        if !id_is_fine(&inject.id) || !ids.insert(&inject.id) {
            let id = &inject.id;
            say(id, format!("the inject id `{id}` is empty, used twice, or has other than a-z, 0-9 and `-`"));
        }
        if inject.at.is_some() == inject.when.is_some() {
            say(&inject.id, format!("inject `{}` needs either `at` or `when`", inject.id));
        }
        if let Some(when) = &inject.when
            && let Err(why) = Condition::compile(when)
        {
            say(when, format!("`when` of inject `{}`: {why}", inject.id));
        }
        if inject.channel == Channel::Telemetry && inject.effects.is_empty() {
            say(&inject.id, format!("inject `{}` on the channel telemetry has no effects", inject.id));
        }
        if inject.channel != Channel::Telemetry && inject.text.is_none() {
            say(&inject.id, format!("inject `{}` is told to the crew and has no `text`", inject.id));
        }
    }
    let effects = scenario.baseline.effects.iter().chain(scenario.injects.iter().flat_map(|i| &i.effects));
    for fault in effects {
        if let Some(message) = fault.objection() {
            say("effects:", message);
        }
        if let Some(tenant) = fault.tenant().filter(|t| estate.estate().tenant(t).is_none()) {
            say(tenant.as_str(), format!("there is no tenant {tenant} in an estate of this size"));
        }
        if let Fault::TelemetryGap { source, .. } = fault
            && !estate.sources().iter().any(|s| s.id == *source)
        {
            let known: Vec<String> = estate.sources().iter().take(12).map(|s| s.id.to_string()).collect();
            say(source.as_str(), format!("there is no source {source}; there are {}", known.join(", ")));
        }
        if let Fault::Refuse { verb, .. } = fault
            && !super::verbs::specs().any(|spec| spec.name == verb)
        {
            say(verb, format!("there is no simulated verb `{verb}`"));
        }
    }
    if let Some(end) = &scenario.end_when
        && let Err(why) = Condition::compile(end)
    {
        say(end, format!("`endWhen`: {why}"));
    }
    found
}

impl Scenario {
    /// The tenants that have a part in it.
    pub fn cast(&self) -> BTreeSet<TenantId> {
        let effects = self.baseline.effects.iter().chain(self.injects.iter().flat_map(|i| &i.effects));
        effects.filter_map(Fault::tenant).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
exercise:
  id: small
  name: Small
  objectives: [look]
  seed: 1
  minutes: 5
  clock: {start: 2026-11-20T02:00:00Z, speed: 4}
  roles: [commander]
injects:
- id: lock
  at: T+1m30s
  channel: telemetry
  effects: [{fault: lock-chain, tenant: t017}]
- id: call
  when: signals.t017[\"lock.blocked\"] >= 5.0
  channel: call
  from: Brandt
  text: Orders hang.
endWhen: elapsed_s > 100.0
";

    fn errors(text: &str) -> Vec<String> {
        parse("x.yaml", text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_good_scenario_is_read() {
        let scenario = parse("x.yaml", GOOD).unwrap();
        assert_eq!(scenario.injects[0].at, Some(Offset(90)));
        assert_eq!(scenario.cast().into_iter().map(|t| t.to_string()).collect::<Vec<_>>(), ["t017"]);
        assert_eq!(scenario.baseline.size, Size::default());
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place() {
        let found = errors(&GOOD.replace("  minutes: 5", "  minuten: 5"));
        assert!(found[0].starts_with("x.yaml:6:") && found[0].contains("minuten"), "{found:?}");
        let found = errors(&GOOD.replace("lock-chain", "lock-chian"));
        assert!(found[0].starts_with("x.yaml:") && found[0].contains("lock-chian"), "{found:?}");
        let found = errors(&GOOD.replace("T+1m30s", "soon"));
        assert!(found[0].contains("`soon` is no time"), "{found:?}");
    }

    #[test]
    fn every_error_is_named() {
        let bad = GOOD
            .replace("tenant: t017", "tenant: t999")
            .replace("text: Orders hang.", "")
            .replace("speed: 4", "speed: 0");
        let found = errors(&bad.replace("id: call", "id: lock").replace(">= 5.0", ">= ("));
        let all = found.join("\n");
        for part in ["speed is 0", "used twice", "`when` of inject", "has no `text`", "no tenant t999"] {
            assert!(all.contains(part), "{part} in {all}");
        }
        assert!(found.iter().any(|e| e.starts_with("x.yaml:13:")), "{all}");
    }

    #[test]
    fn times_since_the_beginning() {
        let parsed = ["T+90s", "T+5m", "T+1h05m", "T+05m10s"].map(|t| Offset::parse(t).unwrap().0);
        assert_eq!(parsed, [90, 300, 3900, 310]);
        assert!(
            ["", "T+", "90s", "T+5", "T+5x", "T+-5s", "T+99999999999999999999h"]
                .iter()
                .all(|t| Offset::parse(t).is_none())
        );
    }
}
