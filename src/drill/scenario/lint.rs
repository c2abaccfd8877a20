//! Everything that is wrong with a scenario whose form is right: each with the JSON pointer of its place and one sentence.

use super::expect::{Expectation, Hint, Judge, Match, Mistake};
use super::known::{PLAYBOOKS, members, signals_in};
use super::{Channel, Inject, Scenario};
use crate::correlate::signals::SIGNALS;
use crate::domain::id::SourceId;
use crate::domain::incident::Role;
use crate::domain::text::first_of;
use crate::drill::condition::Condition;
use crate::drill::model::Simulation;
use crate::drill::model::fault::Fault;
use std::collections::{BTreeMap, BTreeSet};

/// Most tenants of an estate.
const TENANTS: u16 = 5_000;
/// Longest exercise in minutes.
const MINUTES: u32 = 24 * 60;
/// Most points of one expectation, mistake or hint.
const POINTS: u32 = 1_000;
/// Names listed in one sentence at most.
const LISTED: usize = 12;

/// The words of [`Role`].
const ROLES: [&str; 9] =
    ["commander", "deputy", "operator", "dba", "comms", "scribe", "approver", "business-owner", "observer"];

struct Lint<'a> {
    scenario: &'a Scenario,
    estate: Simulation,
    sources: BTreeSet<SourceId>,
    limit_s: i64,
    found: Vec<(String, String)>,
}

/// Everything that is wrong.
pub(super) fn lint(scenario: &Scenario) -> Vec<(String, String)> {
    let exercise = &scenario.exercise;
    let mut found = Vec::new();
    if scenario.baseline.size.tenants > TENANTS {
        let tenants = scenario.baseline.size.tenants;
        found.push((
            "/baseline/size/tenants".into(),
            format!("there are {tenants} tenants, allowed are at most {TENANTS}"),
        ));
        return found;
    }
    let estate = Simulation::new(exercise.seed, scenario.baseline.size, exercise.clock.start);
    let sources = estate.sources().into_iter().map(|s| s.id).collect();
    let mut lint = Lint { scenario, estate, sources, limit_s: exercise.limit_s(), found };
    lint.exercise();
    for (n, fault) in scenario.baseline.effects.iter().enumerate() {
        lint.fault(&format!("/baseline/effects/{n}"), fault);
    }
    for (n, inject) in scenario.injects.iter().enumerate() {
        lint.inject(&format!("/injects/{n}"), inject);
    }
    lint.conditions();
    lint.order();
    lint.expected("", 0, &scenario.expectations, &scenario.hints);
    for (n, mistake) in scenario.mistakes.iter().enumerate() {
        lint.mistake(&format!("/mistakes/{n}"), mistake);
    }
    lint.unique();
    lint.found
}

fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 60 && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    first_of(&names.collect::<Vec<_>>(), LISTED, ", ")
}

impl Lint<'_> {
    fn say(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.found.push((pointer.into(), message.into()));
    }

    fn exercise(&mut self) {
        let exercise = &self.scenario.exercise;
        if !is_id(&exercise.id) {
            let id = &exercise.id;
            self.say(
                "/exercise/id",
                format!("the id `{id}` may have up to 60 lower-case letters, digits and `-` only"),
            );
        }
        let (speed, most) = (exercise.clock.speed, crate::drill::clock::FASTEST);
        if speed.is_nan() || speed <= 0.0 || speed > most {
            self.say("/exercise/clock/speed", format!("speed is {speed}, allowed is more than 0 and at most {most}"));
        }
        if !(1..=MINUTES).contains(&exercise.minutes) {
            let minutes = exercise.minutes;
            self.say("/exercise/minutes", format!("minutes is {minutes}, allowed is 1 to {MINUTES}"));
        }
        if exercise.objectives.is_empty() {
            self.say("/exercise/objectives", "an exercise needs at least one objective");
        }
        for (n, role) in exercise.roles.iter().enumerate() {
            self.role(&format!("/exercise/roles/{n}"), role);
        }
    }

    fn role(&mut self, pointer: &str, role: &str) {
        if serde_json::from_value::<Role>(serde_json::Value::String(role.to_owned())).is_err() {
            self.say(pointer, format!("there is no role `{role}`; there are {}", ROLES.join(", ")));
        }
    }

    fn fault(&mut self, pointer: &str, fault: &Fault) {
        if let Some(message) = fault.objection() {
            self.say(pointer, message);
        }
        if let Some(tenant) = fault.tenant() {
            self.tenant(&format!("{pointer}/tenant"), tenant.as_str());
        }
        let known = |all: Vec<String>, id: &str| {
            (!all.iter().any(|one| one == id)).then(|| listed(all.iter().map(String::as_str)))
        };
        let ids = |all: &mut dyn Iterator<Item = String>| all.collect::<Vec<String>>();
        let sim = &self.estate;
        let missing = match fault {
            Fault::TelemetryGap { source, .. } => {
                self.source(&format!("{pointer}/source"), source);
                None
            }
            Fault::Refuse { verb, .. } => {
                let known = crate::drill::verbs::specs().any(|spec| spec.name == verb);
                (!known).then(|| ("verb", verb.clone(), "simulated verb", "those of `docs/verbs.md`".to_owned()))
            }
            Fault::PrimaryDown { instance }
            | Fault::ReplicaBroken { instance }
            | Fault::VolumeFills { instance, .. }
            | Fault::BackupsFail { instance, .. } => {
                known(ids(&mut sim.instances.keys().map(ToString::to_string)), instance.as_str())
                    .map(|all| ("instance", instance.to_string(), "primary", all))
            }
            Fault::RedisFills { redis, .. } => {
                known(ids(&mut sim.redis.keys().map(ToString::to_string)), redis.as_str())
                    .map(|all| ("redis", redis.to_string(), "Redis", all))
            }
            Fault::NodeDown { node, .. } => known(ids(&mut sim.nodes.all.iter().map(|n| n.name.clone())), node)
                .map(|all| ("node", node.clone(), "node", all)),
            Fault::EndpointDown { tenant, channel, .. } => sim.tenant(tenant).and_then(|t| {
                known(ids(&mut t.jobs.channels.iter().map(|c| c.name.clone())), channel)
                    .map(|all| ("channel", channel.clone(), "channel of jobs", all))
            }),
            _ => None,
        };
        if let Some((member, name, what, all)) = missing {
            self.say(
                format!("{pointer}/{member}"),
                format!("there is no {what} `{name}` in this estate; there are {all}"),
            );
        }
    }

    fn tenant(&mut self, pointer: &str, tenant: &str) {
        if self.estate.estate().tenant(&tenant.into()).is_none() {
            let all = listed(self.estate.estate().tenants.iter().map(|t| t.id.as_str()));
            self.say(pointer, format!("there is no tenant {tenant} in an estate of this size; there are {all}"));
        }
    }

    fn source(&mut self, pointer: &str, source: &SourceId) {
        if !self.sources.contains(source) {
            let all = listed(self.sources.iter().map(SourceId::as_str));
            self.say(pointer, format!("there is no source {source}; there are {all}"));
        }
    }

    fn inject(&mut self, at: &str, inject: &Inject) {
        let id = &inject.id;
        if !is_id(id) {
            self.say(
                format!("{at}/id"),
                format!("the inject id `{id}` may have lower-case letters, digits and `-` only"),
            );
        }
        let begins = [inject.at.is_some(), inject.when.is_some(), inject.after.is_some()];
        if begins.iter().filter(|is| **is).count() != 1 {
            self.say(at, format!("inject `{id}` needs exactly one of `at`, `when` and `after`"));
        }
        for (n, fault) in inject.effects.iter().enumerate() {
            self.fault(&format!("{at}/effects/{n}"), fault);
        }
        for (n, role) in inject.audience.iter().enumerate() {
            self.role(&format!("{at}/audience/{n}"), role);
        }
        if inject.channel == Channel::Telemetry && inject.effects.is_empty() {
            self.say(at, format!("inject `{id}` on the channel telemetry has no `effects`"));
        }
        if inject.channel.speaks() && inject.text.as_ref().is_none_or(|t| t.trim().is_empty()) {
            self.say(at, format!("inject `{id}` is told to the crew and has no `text`"));
        }
        if inject.channel.lasts() != inject.lasting.is_some() {
            let word = if inject.channel.lasts() { "needs" } else { "can not have" };
            self.say(at, format!("inject `{id}` on this channel {word} `for`, the time that it lasts"));
        }
        if (inject.channel == Channel::TelemetryGap) != inject.source.is_some() {
            let word = if inject.channel == Channel::TelemetryGap { "needs" } else { "can not have" };
            self.say(at, format!("inject `{id}` on this channel {word} `source`, the source that is silent"));
        }
        if let Some(source) = &inject.source {
            self.source(&format!("{at}/source"), source);
        }
        let begins = inject.at.map_or(0, |at| at.0).saturating_add(inject.wait.0);
        if begins >= self.limit_s {
            let (over, field) = (self.limit_s, if inject.at.is_some() { "at" } else { "wait" });
            self.say(
                format!("{at}/{field}"),
                format!("inject `{id}` can never come: it is due {begins} s after the beginning, and the exercise is over after {over} s (minutes x 60 x speed)"),
            );
        }
        self.expected(at, begins, &inject.expectations, &inject.hints);
    }

    /// What is expected, and helped with, from a moment on.
    fn expected(&mut self, above: &str, from_s: i64, expectations: &[Expectation], hints: &[Hint]) {
        for (n, expected) in expectations.iter().enumerate() {
            let (at, id) = (format!("{above}/expectations/{n}"), &expected.id);
            if !is_id(id) {
                self.say(format!("{at}/id"), format!("the id `{id}` may have lower-case letters, digits and `-` only"));
            }
            let by = usize::from(expected.record.is_some()) + usize::from(expected.when.is_some());
            let needed = usize::from(expected.kind == Judge::Auto);
            if by != needed {
                let wanted =
                    if needed == 1 { "exactly one of `match` and `when`" } else { "neither `match` nor `when`" };
                self.say(&at, format!("expectation `{id}` needs {wanted}"));
            }
            if !(1..=POINTS).contains(&expected.score) {
                self.say(format!("{at}/score"), format!("score is {}, allowed is 1 to {POINTS}", expected.score));
            }
            let due = from_s.saturating_add(expected.by.0);
            if expected.by.0 < 1 || due > self.limit_s {
                let over = self.limit_s;
                self.say(
                    format!("{at}/by"),
                    format!("expectation `{id}` is due {due} s after the beginning at the earliest, allowed is more than its inject's moment and at most {over} s, when the exercise is over"),
                );
            }
            if let Some(record) = &expected.record {
                self.pattern(&format!("{at}/match"), record);
            }
        }
        for (n, hint) in hints.iter().enumerate() {
            let at = format!("{above}/hints/{n}");
            if hint.text.trim().is_empty() {
                self.say(format!("{at}/text"), "a hint needs a text");
            }
            if hint.cost > POINTS {
                self.say(format!("{at}/cost"), format!("cost is {}, allowed is 0 to {POINTS}", hint.cost));
            }
            if from_s.saturating_add(hint.after.0) >= self.limit_s {
                let over = self.limit_s;
                self.say(
                    format!("{at}/after"),
                    format!("this hint can never be had: the exercise is over after {over} s"),
                );
            }
        }
    }

    fn mistake(&mut self, at: &str, mistake: &Mistake) {
        let id = &mistake.id;
        if !is_id(id) {
            self.say(format!("{at}/id"), format!("the id `{id}` may have lower-case letters, digits and `-` only"));
        }
        if mistake.record.is_some() == mistake.when.is_some() {
            self.say(at, format!("mistake `{id}` needs exactly one of `match` and `when`"));
        }
        if !(1..=POINTS).contains(&mistake.cost) {
            self.say(format!("{at}/cost"), format!("cost is {}, allowed is 1 to {POINTS}", mistake.cost));
        }
        if let Some(record) = &mistake.record {
            self.pattern(&format!("{at}/match"), record);
        }
    }

    fn pattern(&mut self, at: &str, pattern: &Match) {
        match members(pattern.kind) {
            None => self.say(
                format!("{at}/kind"),
                format!("records of the kind {} tell nothing of what a crew does; name another kind", pattern.kind),
            ),
            Some(known) => {
                for name in pattern.body.keys().filter(|name| !known.contains(&name.as_str())) {
                    let all = listed(known.iter().copied());
                    self.say(
                        format!("{at}/body/{name}"),
                        format!(
                            "a record {} has no member `{name}` that can be matched; there are {all}",
                            pattern.kind
                        ),
                    );
                }
            }
        }
        for (name, value) in &pattern.body {
            let plain = |v: &serde_json::Value| v.is_string() || v.is_i64() || v.is_boolean();
            let fits = plain(value) || value.as_array().is_some_and(|all| !all.is_empty() && all.iter().all(plain));
            if !fits {
                let message =
                    format!("`{name}` is {value}, allowed are a text, a whole number, true, false, or a list of these");
                self.say(format!("{at}/body/{name}"), message);
            }
        }
        let steps = pattern.playbook.as_ref().map(|playbook| (playbook, PLAYBOOKS.get(playbook)));
        match (steps, &pattern.step) {
            (Some((playbook, None)), _) => {
                let all = listed(PLAYBOOKS.keys().map(String::as_str));
                self.say(format!("{at}/playbook"), format!("there is no playbook `{playbook}`; there are {all}"));
            }
            (Some((playbook, Some(steps))), Some(step)) if !steps.contains(step) => {
                let all = listed(steps.iter().map(String::as_str));
                self.say(
                    format!("{at}/step"),
                    format!("the playbook {playbook} has no step `{step}`; there are {all}"),
                );
            }
            _ => {}
        }
    }

    /// Conditions: that they compile, name what there is, and can hold at all.
    fn conditions(&mut self) {
        for (pointer, text) in self.scenario.conditions() {
            let condition = match Condition::compile(text) {
                Ok(condition) => condition,
                Err(why) => {
                    let member = pointer.rsplit('/').next().unwrap_or_default().to_owned();
                    self.say(pointer, format!("`{member}`: {why}"));
                    continue;
                }
            };
            let mut whole = true;
            for used in signals_in(text) {
                self.tenant(&pointer, &used.tenant);
                if !SIGNALS.iter().any(|s| s.name == used.signal) {
                    whole = false;
                    let family = used.signal.split('.').next().unwrap_or_default();
                    let near = SIGNALS.iter().map(|s| s.name).filter(|n| n.split('.').next() == Some(family));
                    let near: Vec<&str> = near.collect();
                    let all =
                        if near.is_empty() { "those of `docs/signals.md`".into() } else { listed(near.into_iter()) };
                    self.say(&pointer, format!("there is no signal `{}`; there are {all}", used.signal));
                }
            }
            if whole
                && !pointer.ends_with("/unless")
                && condition.is_of_time_only()
                && !condition.can_hold_within(self.limit_s)
            {
                let over = self.limit_s;
                self.say(pointer, format!("`{text}` never holds before the exercise is over after {over} s"));
            }
        }
    }

    /// The order of injects: names that there are, no cycles, nothing that nothing leads to.
    fn order(&mut self) {
        let injects = &self.scenario.injects;
        let after: BTreeMap<&str, Option<&str>> = injects.iter().map(|i| (i.id.as_str(), i.after.as_deref())).collect();
        for (n, inject) in injects.iter().enumerate() {
            let (at, id) = (format!("/injects/{n}/after"), inject.id.as_str());
            let mut way = vec![id];
            let mut next = inject.after.as_deref();
            while let Some(before) = next {
                let Some(further) = after.get(before) else {
                    let all = listed(injects.iter().map(|i| i.id.as_str()));
                    if way.len() == 1 {
                        self.say(
                            &at,
                            format!("inject `{id}` comes after `{before}`, which there is not; there are {all}"),
                        );
                    } else {
                        self.say(
                            &at,
                            format!("inject `{id}` can not be reached: `{before}`, which leads to it, is not there"),
                        );
                    }
                    break;
                };
                if way.contains(&before) {
                    way.push(before);
                    let cycle = way.join(" after ");
                    self.say(&at, format!("inject `{id}` can not be reached, it waits in a cycle: {cycle}"));
                    break;
                }
                way.push(before);
                next = *further;
            }
        }
    }

    /// Ids stand once.
    fn unique(&mut self) {
        let mut seen = BTreeSet::new();
        for (n, inject) in self.scenario.injects.iter().enumerate() {
            if !seen.insert(inject.id.as_str()) {
                self.found.push((format!("/injects/{n}/id"), format!("the inject id `{}` is used twice", inject.id)));
            }
        }
        let mut seen = BTreeSet::new();
        let mut all: Vec<(String, &str)> = Vec::new();
        for (n, inject) in self.scenario.injects.iter().enumerate() {
            let of = inject.expectations.iter().enumerate();
            all.extend(of.map(|(m, e)| (format!("/injects/{n}/expectations/{m}/id"), e.id.as_str())));
        }
        let own = self.scenario.expectations.iter().enumerate();
        all.extend(own.map(|(m, e)| (format!("/expectations/{m}/id"), e.id.as_str())));
        let mistakes = self.scenario.mistakes.iter().enumerate();
        all.extend(mistakes.map(|(m, e)| (format!("/mistakes/{m}/id"), e.id.as_str())));
        for (pointer, id) in all {
            if !seen.insert(id) {
                self.found.push((pointer, format!("the id `{id}` is used by two expectations or mistakes")));
            }
        }
    }
}
