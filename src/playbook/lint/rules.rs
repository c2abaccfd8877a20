//! What the words of a playbook mean, taken together: its head, its parameters, its order of steps.

use super::yaml::escape;
use crate::domain::request::VerbSpec;
use crate::domain::risk::Risk;
use crate::domain::text::sanitize;
use crate::playbook::expr::{self, Parsed, Scope, Type};
use crate::playbook::params::{self, type_of};
use crate::playbook::plan::EXIT_STEP;
use crate::playbook::schema::{Class, Next, OnFailure, Parameter, ParameterType, Playbook, SCHEMA_VERSION, StepType};
use std::collections::{BTreeMap, BTreeSet};

/// Most steps of a playbook.
const MAX_STEPS: usize = 200;

/// JSON pointer and sentence.
pub(super) type Found = (String, String);

/// Everything that the rules look at.
pub(super) struct Rules<'a> {
    pub(super) playbook: &'a Playbook,
    pub(super) verbs: BTreeMap<&'a str, &'a VerbSpec>,
    pub(super) scope: Scope,
    /// The pointer under which each step is written.
    places: &'a [String],
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        playbook: &'a Playbook,
        places: &'a [String],
        verbs: &[&'a VerbSpec],
        signals: &[&str],
        partial: bool,
    ) -> Self {
        let scope = Scope {
            signals: signals.iter().map(|s| (*s).to_owned()).collect(),
            params: playbook.parameters.iter().map(|(name, p)| (name.clone(), type_of(p.kind))).collect(),
            tenant: playbook.tenant_parameter().is_some() || playbook.targets.is_some(),
            outputs: BTreeSet::new(),
            result: false,
            item: false,
            partial,
        };
        Self { playbook, places, verbs: verbs.iter().map(|v| (v.name, *v)).collect(), scope }
    }

    /// All problems. Of a playbook that could be read only in part, nothing is said that the missing part may explain.
    pub(super) fn check(&self) -> Vec<Found> {
        let mut found = Vec::new();
        for (i, (step, at)) in self.playbook.steps.iter().zip(self.places).enumerate() {
            self.step_words(at, step, &self.scope_at(i), &mut found);
        }
        if self.scope.partial {
            return found;
        }
        self.head(&mut found);
        self.parameters(&mut found);
        self.order(&mut found);
        for (step, at) in self.playbook.steps.iter().zip(self.places) {
            self.step_rules(at, step, &mut found);
        }
        for (i, one) in self.playbook.contraindications.iter().enumerate() {
            let at = format!("/contraindications/{i}");
            empty(&format!("{at}/text"), &one.text, "text", &mut found);
            condition(&format!("{at}/when"), &one.when, &self.scope, &mut found);
            let triggers = &self.playbook.triggers.findings;
            for (k, rule) in one.except_for.iter().enumerate().filter(|(_, rule)| !triggers.contains(rule)) {
                found.push((
                    format!("{at}/exceptFor/{k}"),
                    format!("`{}` is not among `triggers.findings`, so that this excepts nothing", sanitize(rule)),
                ));
            }
        }
        let all = self.scope_at(self.playbook.steps.len());
        for (i, criterion) in self.playbook.exit_criteria.iter().enumerate() {
            let at = format!("/exitCriteria/{i}");
            if let Some(parsed) = condition(&at, criterion, &all, &mut found)
                && parsed.signals().is_empty()
            {
                found.push((at, "an exit criterion has to look at a signal".into()));
            }
        }
        found
    }

    /// What something may refer to that comes when all steps may have run.
    pub(super) fn scope_of_all(&self) -> Scope {
        self.scope_at(self.playbook.steps.len())
    }

    /// What the step at a place may refer to.
    fn scope_at(&self, index: usize) -> Scope {
        let before = self.playbook.steps.iter().take(index).filter(|s| s.has_output());
        Scope { outputs: before.map(crate::playbook::schema::Step::output_name).collect(), ..self.scope.clone() }
    }

    fn head(&self, found: &mut Vec<Found>) {
        let playbook = self.playbook;
        if playbook.schema_version != SCHEMA_VERSION {
            let message =
                format!("schema version {} is not known, this program reads {SCHEMA_VERSION}", playbook.schema_version);
            found.push(("/schemaVersion".into(), message));
        }
        if !is_id(playbook.id.as_str()) {
            found.push(("/id".into(), id_rule(playbook.id.as_str())));
        }
        for (key, text) in
            [("name", &playbook.name), ("owner", &playbook.owner), ("description", &playbook.description)]
        {
            empty(&format!("/{key}"), text, key, found);
        }
        if playbook.version == 0 {
            found.push(("/version".into(), "versions count from 1".into()));
        }
        if playbook.triggers.auto_run_max_risk.is_some_and(|r| r > Risk::Low) {
            let message = "only `low` may run without a key; medium and high never".to_owned();
            found.push(("/triggers/autoRunMaxRisk".into(), message));
        }
        if playbook.triggers.auto_run_max_risk.is_some()
            && (playbook.triggers.lasting.is_none() || playbook.triggers.findings.is_empty())
        {
            let message = "it needs `findings`, and `for`: how long one must have stood before a step runs by itself";
            found.push(("/triggers/autoRunMaxRisk".into(), message.into()));
        }
        if playbook.triggers.lasting.is_some() && playbook.triggers.auto_run_max_risk.is_none() {
            let message = "`for` says when steps may run by themselves, which needs `autoRunMaxRisk: low`".to_owned();
            found.push(("/triggers/for".into(), message));
        }
        if let Some(when) = &playbook.triggers.when {
            let scope = Scope { params: BTreeMap::new(), tenant: true, ..self.scope.clone() };
            condition("/triggers/when", when, &scope, found);
        }
        for (word, what) in playbook.post_incident.duties() {
            empty("/postIncident", what, word, found);
        }
        if let Some(window) = &playbook.change_window {
            empty("/changeWindow/calendar", &window.calendar, "calendar", found);
            if !playbook.steps.iter().any(|s| s.class() == Class::Acts || s.class() == Class::Child) {
                found.push(("/changeWindow".into(), "no step of the playbook changes anything".into()));
            }
        }
        self.targets(found);
        for (i, rule) in playbook.triggers.findings.iter().enumerate().filter(|(_, rule)| !is_id(rule)) {
            found.push((format!("/triggers/findings/{i}"), id_rule(rule)));
        }
        if playbook.steps.is_empty() {
            found.push(("/steps".into(), "a playbook needs at least one step".into()));
        }
        if playbook.steps.len() > MAX_STEPS {
            let message = format!("the playbook has {} steps, at most {MAX_STEPS} are allowed", playbook.steps.len());
            found.push(("/steps".into(), message));
        }
    }

    fn targets(&self, found: &mut Vec<Found>) {
        let Some(targets) = &self.playbook.targets else { return };
        condition("/targets/selector", &targets.selector, &self.scope, found);
        super::keys::at_once("/targets", targets.max_concurrency, found);
        if self.playbook.tenant_parameter().is_some() {
            let message = "a playbook has either `targets` or a parameter of type tenant".to_owned();
            found.push(("/targets".into(), message));
        }
        let looks = |step: &crate::playbook::schema::Step| {
            step.kind == StepType::Parallel && step.calls().any(|c| crate::playbook::template::mentions(c, "tenant"))
        };
        for (step, at) in self.playbook.steps.iter().zip(self.places).filter(|(step, _)| looks(step)) {
            let message = format!("in a playbook with `targets`, `{}` can not look at a tenant", step.id);
            found.push((format!("{at}/looks"), message));
        }
    }

    fn parameters(&self, found: &mut Vec<Found>) {
        let tenants = self.playbook.parameters.iter().filter(|(_, p)| p.kind == ParameterType::Tenant);
        for (name, _) in tenants.skip(1) {
            let message = "only one parameter may be of type tenant: it says what the run is about".to_owned();
            found.push((format!("/parameters/{}", escape(name)), message));
        }
        for (name, parameter) in &self.playbook.parameters {
            let at = format!("/parameters/{}", escape(name));
            if !is_name(name) {
                found.push((at.clone(), "a parameter's name is made of lower-case letters, digits and `_`".into()));
            }
            parameter_rules(&at, parameter, found);
        }
    }

    /// Ids, jumps, and which steps can be reached.
    fn order(&self, found: &mut Vec<Found>) {
        let steps = &self.playbook.steps;
        let mut places: BTreeMap<String, usize> = BTreeMap::new();
        for (i, step) in steps.iter().enumerate() {
            let at = format!("/steps/{i}/id");
            if !is_id(step.id.as_str()) {
                found.push((at.clone(), id_rule(step.id.as_str())));
            }
            if step.id.as_str() == EXIT_STEP {
                found.push((at.clone(), format!("`{EXIT_STEP}` is the name of the step for the exit criteria")));
            }
            if let Some(first) = places.insert(step.id.to_string(), i) {
                found.push((at, format!("the id `{}` is taken by step {} already", step.id, first + 1)));
            }
        }
        let mut reached = vec![false; steps.len()];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        for (i, step) in steps.iter().enumerate() {
            let goes_on = Next::Continue;
            let mut jumps: Vec<(String, &Next)> = Vec::new();
            let after_failure = match &step.on_failure {
                OnFailure::Continue => Some(Next::Continue),
                OnFailure::Step(id) => Some(Next::Step(id.clone())),
                OnFailure::Abort | OnFailure::Ask | OnFailure::Rollback => None,
            };
            if let Some(next) = &after_failure {
                jumps.push((format!("/steps/{i}/onFailure"), next));
            }
            if step.kind == StepType::Branch {
                let ways = step.branches.iter().enumerate();
                jumps.extend(ways.map(|(w, way)| (format!("/steps/{i}/branches/{w}/then"), &way.then)));
                jumps.push((format!("/steps/{i}/otherwise"), step.otherwise.as_ref().unwrap_or(&goes_on)));
            } else if step.kind == StepType::Decision {
                let choices = step.choices.iter().enumerate();
                jumps.extend(choices.map(|(c, choice)| (format!("/steps/{i}/choices/{c}/then"), &choice.then)));
            } else {
                jumps.push((String::new(), &goes_on));
            }
            for (at, next) in jumps {
                let to = match next {
                    Next::Continue => i + 1,
                    Next::Abort => continue,
                    Next::Step(id) => match places.get(id.as_str()) {
                        None => {
                            found.push((at, format!("there is no step `{id}`")));
                            continue;
                        }
                        Some(to) if *to <= i => {
                            found
                                .push((at, format!("the step `{id}` is not after this one; going back makes a cycle")));
                            continue;
                        }
                        Some(to) => *to,
                    },
                };
                if reached.get(i).copied().unwrap_or(false)
                    && let Some(target) = reached.get_mut(to)
                {
                    *target = true;
                }
            }
        }
        for (i, step) in steps.iter().enumerate().filter(|(i, _)| !reached.get(*i).copied().unwrap_or(true)) {
            found.push((format!("/steps/{i}/id"), format!("the step `{}` can not be reached", step.id)));
        }
    }
}

pub(super) fn parameter_rules(at: &str, parameter: &Parameter, found: &mut Vec<Found>) {
    if parameter.secret {
        if parameter.kind != ParameterType::String {
            found.push((format!("{at}/type"), "a secret parameter is of type string".into()));
        }
        for (key, there) in
            [("default", parameter.default.is_some()), ("allowedValues", !parameter.allowed_values.is_empty())]
        {
            if there {
                found
                    .push((format!("{at}/{key}"), format!("a secret parameter has no `{key}`: it would be no secret")));
            }
        }
    }
    let fits = |value: &serde_json::Value| match parameter.kind {
        ParameterType::String | ParameterType::Tenant | ParameterType::Database => value.is_string(),
        ParameterType::Integer => value.is_i64(),
        ParameterType::Number => value.is_number(),
        ParameterType::Boolean => value.is_boolean(),
    };
    let mut values = Vec::new();
    if let Some(default) = &parameter.default {
        values.push((format!("{at}/default"), default));
        if parameter.required {
            found.push((format!("{at}/default"), "a required parameter has no use for a default".into()));
        }
        if !parameter.allowed_values.is_empty() && !parameter.allowed_values.contains(default) {
            found.push((format!("{at}/default"), "the default is not one of the allowed values".into()));
        }
    }
    values.extend(parameter.allowed_values.iter().enumerate().map(|(i, v)| (format!("{at}/allowedValues/{i}"), v)));
    for (place, _) in values.into_iter().filter(|(_, value)| !fits(value)) {
        found.push((place, format!("the value is not of the parameter's type: {}", type_of(parameter.kind))));
    }
    if let Some(pattern) = &parameter.pattern {
        let place = format!("{at}/pattern");
        if type_of(parameter.kind) != Type::Text {
            found.push((place, "a pattern is only for texts".into()));
        } else if let Err(why) = expr::matches_whole(pattern, "") {
            found.push((place, why));
        } else if let Some(default) = parameter.default.as_ref().and_then(|d| d.as_str())
            && params::typed(parameter.kind, default).is_ok()
            && expr::matches_whole(pattern, default) == Ok(false)
        {
            found.push((format!("{at}/default"), "the default does not match the pattern".into()));
        }
    }
}

/// Checks an expression that has to be true or false.
pub(super) fn condition(at: &str, source: &str, scope: &Scope, found: &mut Vec<Found>) -> Option<Parsed> {
    expression(at, source, scope, Some(Type::Bool), found)
}

/// Checks an expression.
pub(super) fn expression(
    at: &str,
    source: &str,
    scope: &Scope,
    expected: Option<Type>,
    found: &mut Vec<Found>,
) -> Option<Parsed> {
    match Parsed::new(source) {
        Err(why) => {
            found.push((at.to_owned(), why));
            None
        }
        Ok(parsed) => match expr::check(&parsed, scope, expected) {
            Ok(()) => Some(parsed),
            Err(problems) => {
                found.extend(problems.into_iter().map(|why| (at.to_owned(), why)));
                None
            }
        },
    }
}

pub(super) fn empty(at: &str, text: &str, key: &str, found: &mut Vec<Found>) {
    if text.trim().is_empty() {
        found.push((at.to_owned(), format!("`{key}` is empty")));
    }
    if text.chars().any(crate::domain::text::is_hostile) {
        found.push((at.to_owned(), format!("`{key}` holds control characters")));
    }
}

pub(super) fn is_id(id: &str) -> bool {
    id.starts_with(|c: char| c.is_ascii_lowercase())
        && id.len() <= 64
        && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.len() <= 64
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

pub(super) fn id_rule(id: &str) -> String {
    format!(
        "`{}` is no id: lower-case letters, digits and dashes, a letter first, at most 64",
        crate::domain::text::sanitize(id)
    )
}
