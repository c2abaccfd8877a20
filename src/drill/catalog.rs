//! The scenarios that are built in, and what `drill list` and `drill show` say of any scenario.

use super::scenario::{Inject, Scenario, ScenarioError, parse, parse_proven};
use super::script;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Id and text of each built-in scenario; the first is the default.
pub static BUILT_IN: &[(&str, &str)] = &[
    ("schema-lock", include_str!("../../playbooks/drills/schema-lock.yaml")),
    ("queue-backlog", include_str!("../../playbooks/drills/queue-backlog.yaml")),
    ("certificate-and-maintenance", include_str!("../../playbooks/drills/certificate-and-maintenance.yaml")),
    ("release-instability", include_str!("../../playbooks/drills/release-instability.yaml")),
    ("mrp-degradation", include_str!("../../playbooks/drills/mrp-degradation.yaml")),
    ("regional-outage", include_str!("../../playbooks/drills/regional-outage.yaml")),
    ("shared-cluster", include_str!("../../playbooks/drills/shared-cluster.yaml")),
    ("supplier-portal", include_str!("../../playbooks/drills/supplier-portal.yaml")),
    ("storage-corruption", include_str!("../../playbooks/drills/storage-corruption.yaml")),
    ("night-deploy", include_str!("../../playbooks/drills/night-deploy.yaml")),
    ("ransomware", include_str!("../../playbooks/drills/ransomware.yaml")),
    ("identity-outage", include_str!("../../playbooks/drills/identity-outage.yaml")),
    ("integration-failure", include_str!("../../playbooks/drills/integration-failure.yaml")),
    ("certificate-expiry", include_str!("../../playbooks/drills/certificate-expiry.yaml")),
    ("split-brain", include_str!("../../playbooks/drills/split-brain.yaml")),
    ("dropped-table", include_str!("../../playbooks/drills/dropped-table.yaml")),
    ("barcode-burst", include_str!("../../playbooks/drills/barcode-burst.yaml")),
    ("legacy-link", include_str!("../../playbooks/drills/legacy-link.yaml")),
];

/// Id of the scenario that runs when none is named.
pub const DEFAULT: &str = "schema-lock";

/// One row of `drill list`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Summary {
    /// Id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What the crew shall learn.
    pub objectives: Vec<String>,
    /// How long it takes, in minutes.
    pub minutes: u32,
    /// Roles that take part.
    pub roles: Vec<String>,
    /// Its headless script; absent where there is none.
    pub script: Option<String>,
    /// Where it came from: `built-in` or a path.
    pub origin: String,
}

/// The output contract of `drill show --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Shown {
    /// As in the list.
    #[serde(flatten)]
    pub summary: Summary,
    /// Scenario time of its start.
    pub start: Timestamp,
    /// Seconds of the scenario that pass in one second.
    pub speed: f64,
    /// Seed of the simulated estate.
    pub seed: u64,
    /// Number of tenants.
    pub tenants: u16,
    /// What happens, in the order of the file.
    pub injects: Vec<InjectShown>,
    /// When it ends by itself, an expression.
    pub end_when: Option<String>,
    /// What the crew is told before it begins.
    pub briefing: Option<String>,
    /// What a good crew does.
    pub expectations: Vec<Expected>,
    /// What costs points.
    pub mistakes: Vec<Wrong>,
    /// Questions for afterwards.
    pub hotwash: Vec<String>,
}

/// One expectation as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Expected {
    /// Id.
    pub id: String,
    /// What a good crew does.
    pub what: String,
    /// The inject that it belongs to.
    pub inject: Option<String>,
    /// Seconds until it is due.
    pub by_s: i64,
    /// Points.
    pub score: u32,
}

/// One mistake as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Wrong {
    /// Id.
    pub id: String,
    /// Why it is wrong.
    pub what: String,
    /// Points that it costs.
    pub cost: u32,
}

/// One inject as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct InjectShown {
    /// Id.
    pub id: String,
    /// When: a time after the start, or `when` and a condition.
    pub when: String,
    /// What the crew is told; absent for what is only seen in telemetry.
    pub text: Option<String>,
    /// Number of faults that it makes.
    pub faults: usize,
}

/// One scenario with where it came from.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// `built-in` or a path.
    pub origin: String,
    /// The scenario.
    pub scenario: Scenario,
}

impl Entry {
    /// Its row of `drill list`.
    pub fn summary(&self) -> Summary {
        let exercise = &self.scenario.exercise;
        Summary {
            id: exercise.id.clone(),
            name: exercise.name.clone(),
            objectives: exercise.objectives.clone(),
            minutes: exercise.minutes,
            roles: exercise.roles.clone(),
            script: script::BUILT_IN.iter().find(|(id, _)| *id == exercise.id).map(|(id, _)| format!("built-in {id}")),
            origin: self.origin.clone(),
        }
    }

    /// What `drill show --format json` prints.
    pub fn shown(&self) -> Shown {
        let (scenario, exercise) = (&self.scenario, &self.scenario.exercise);
        let inject = |inject: &Inject| InjectShown {
            id: inject.id.clone(),
            when: when(inject),
            text: inject.text.clone(),
            faults: inject.effects.len(),
        };
        Shown {
            summary: self.summary(),
            start: exercise.clock.start,
            speed: exercise.clock.speed,
            seed: exercise.seed,
            tenants: scenario.baseline.size.tenants,
            injects: scenario.injects.iter().map(inject).collect(),
            end_when: scenario.end_when.clone(),
            briefing: exercise.briefing.clone(),
            expectations: scenario
                .all_expectations()
                .map(|(inject, e)| Expected {
                    id: e.id.clone(),
                    what: e.what.clone(),
                    inject: inject.map(|i| i.id.clone()),
                    by_s: e.by.0,
                    score: e.score,
                })
                .collect(),
            mistakes: scenario
                .mistakes
                .iter()
                .map(|m| Wrong { id: m.id.clone(), what: m.what.clone(), cost: m.cost })
                .collect(),
            hotwash: scenario.hotwash.clone(),
        }
    }

    /// What `drill show` prints: what is exercised, what happens when, and the questions for afterwards.
    pub fn lines(&self) -> Vec<String> {
        let (scenario, exercise) = (&self.scenario, &self.scenario.exercise);
        let mut lines = vec![format!("{}  {} ({} min, {})", exercise.id, exercise.name, exercise.minutes, self.origin)];
        lines.push(format!(
            "begins {} at {}x, seed {}, {} tenants",
            exercise.clock.start, exercise.clock.speed, exercise.seed, scenario.baseline.size.tenants
        ));
        lines.push(format!("roles: {}", exercise.roles.join(", ")));
        lines.extend(exercise.briefing.iter().map(|b| format!("briefing: {b}")));
        lines.extend(exercise.objectives.iter().map(|o| format!("objective: {o}")));
        for inject in &scenario.injects {
            let when = when(inject);
            let text =
                inject.text.clone().unwrap_or_else(|| format!("{} faults, seen in telemetry", inject.effects.len()));
            lines.push(format!("{when}  {}  {text}", inject.id));
        }
        for (_, expected) in scenario.all_expectations() {
            lines.push(format!("expected within {}: {} ({} points)", expected.by, expected.what, expected.score));
        }
        lines.extend(scenario.mistakes.iter().map(|m| format!("a mistake, -{} points: {}", m.cost, m.what)));
        lines.extend(scenario.end_when.iter().map(|end| format!("ends when {end}")));
        lines.extend(scenario.hotwash.iter().map(|q| format!("afterwards: {q}")));
        lines
    }
}

fn when(inject: &Inject) -> String {
    let wait = if inject.wait.0 > 0 { format!(", {} later", inject.wait) } else { String::new() };
    match (&inject.at, &inject.when, &inject.after) {
        (Some(at), ..) => format!("{at}{wait}"),
        (None, Some(when), _) => format!("when {when}{wait}"),
        (None, None, after) => format!("after {}{wait}", after.as_deref().unwrap_or_default()),
    }
}

/// The scenarios: the built-in ones, and those whose texts the caller has read from the user's directory (path
/// and text), which win over built-in ones of the same id. Every error of every file is told.
pub fn load(own: &[(String, String)]) -> (Vec<Entry>, Vec<ScenarioError>) {
    let (mut entries, mut errors): (Vec<Entry>, Vec<ScenarioError>) = (Vec::new(), Vec::new());
    let built_in = BUILT_IN.iter().map(|(id, text)| (format!("built-in {id}"), "built-in".to_owned(), *text));
    let own = own.iter().map(|(path, text)| (path.clone(), path.clone(), text.as_str()));
    for (file, origin, text) in built_in.chain(own) {
        // What the words of the built-in ones mean is proven by a test, and looked at by `drill lint`.
        let read = if origin == "built-in" { parse_proven(&file, text) } else { parse(&file, text) };
        match read {
            Ok(scenario) => {
                let place = entries.iter().position(|e| e.scenario.exercise.id == scenario.exercise.id);
                let entry = Entry { origin, scenario };
                match place.and_then(|i| entries.get_mut(i)) {
                    Some(known) => *known = entry,
                    None => entries.push(entry),
                }
            }
            Err(found) => errors.extend(found),
        }
    }
    (entries, errors)
}

/// Everything that is wrong with the built-in scenarios and their scripts; nothing, as a test proves.
///
/// # Errors
/// Each of them, with its place.
pub fn lint() -> Result<(), Vec<ScenarioError>> {
    let scenarios = BUILT_IN.iter().filter_map(|(id, text)| parse(&format!("built-in {id}"), text).err());
    let scripts = script::BUILT_IN.iter().filter_map(|(id, text)| script::parse(&format!("built-in {id}"), text).err());
    let errors: Vec<ScenarioError> = scenarios.chain(scripts).flatten().collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_sound_and_named_by_its_file() {
        assert_eq!(lint(), Ok(()));
        let (entries, errors) = load(&[]);
        assert_eq!(errors, []);
        let ids: Vec<_> = entries.iter().map(|e| e.scenario.exercise.id.as_str()).collect();
        assert_eq!(ids, BUILT_IN.iter().map(|(id, _)| *id).collect::<Vec<_>>());
        assert_eq!(ids[0], DEFAULT);
        for entry in &entries {
            assert!(entry.lines().len() > 8 && !entry.scenario.hotwash.is_empty(), "{}", entry.summary().id);
        }
    }

    #[test]
    fn an_own_scenario_takes_the_place_of_a_built_in_one_and_a_broken_one_is_told() {
        let own = BUILT_IN[0].1.replace("id: schema-lock", "id: queue-backlog");
        let files = [("a.yaml".to_owned(), own), ("b.yaml".to_owned(), "exercise: 1".to_owned())];
        let (entries, errors) = load(&files);
        assert_eq!((entries.len(), errors.len()), (BUILT_IN.len(), 1));
        assert_eq!(entries[1].origin, "a.yaml");
        assert!(errors[0].to_string().starts_with("b.yaml:1:"), "{}", errors[0]);
    }
}
