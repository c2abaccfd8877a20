//! The scenarios that are built in, and what `drill list` and `drill show` say of any scenario.

use super::scenario::{Inject, Scenario, ScenarioError, parse};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

/// Id and text of each built-in scenario; the first is the default.
pub static BUILT_IN: &[(&str, &str)] = &[
    ("schema-lock", include_str!("../../playbooks/drills/schema-lock.yaml")),
    ("queue-backlog", include_str!("../../playbooks/drills/queue-backlog.yaml")),
    ("certificate-and-maintenance", include_str!("../../playbooks/drills/certificate-and-maintenance.yaml")),
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
    /// Questions for afterwards.
    pub hotwash: Vec<String>,
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
            // Scripts come with the headless drill.
            script: None,
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
        lines.extend(exercise.objectives.iter().map(|o| format!("objective: {o}")));
        for inject in &scenario.injects {
            let when = when(inject);
            let text =
                inject.text.clone().unwrap_or_else(|| format!("{} faults, seen in telemetry", inject.effects.len()));
            lines.push(format!("{when}  {}  {text}", inject.id));
        }
        lines.extend(scenario.end_when.iter().map(|end| format!("ends when {end}")));
        lines.extend(scenario.hotwash.iter().map(|q| format!("afterwards: {q}")));
        lines
    }
}

fn when(inject: &Inject) -> String {
    match (&inject.at, &inject.when) {
        (Some(at), _) => at.to_string(),
        (None, Some(when)) => format!("when {when}"),
        (None, None) => String::new(),
    }
}

/// The scenarios: the built-in ones, and those whose texts the caller has read from the user's directory (path
/// and text), which win over built-in ones of the same id. Every error of every file is told.
pub fn load(own: &[(String, String)]) -> (Vec<Entry>, Vec<ScenarioError>) {
    let (mut entries, mut errors): (Vec<Entry>, Vec<ScenarioError>) = (Vec::new(), Vec::new());
    let built_in = BUILT_IN.iter().map(|(id, text)| (format!("built-in {id}"), "built-in".to_owned(), *text));
    let own = own.iter().map(|(path, text)| (path.clone(), path.clone(), text.as_str()));
    for (file, origin, text) in built_in.chain(own) {
        match parse(&file, text) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_scenario_is_sound_and_named_by_its_file() {
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
