//! A playbook that passed the lint, ready to be run: its expressions, parsed when they are first asked for; what is
//! written inside a step as steps of their own: its exit criteria as a last one, what is kept before and after a step, and behind the last one how each
//! is taken back.

use super::expr::{Known, Parsed, Surroundings, Verdict};
use super::schema::{Class, OnFailure, Playbook, Span, Step, StepType, Verify, When};
use super::template;
use crate::domain::id::{Digest, StepId};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// Id of the step that waits for the exit criteria; no step of a playbook may have it.
pub const EXIT_STEP: &str = "exit-criteria";

/// How long the exit criteria may take to come true before a person is asked.
const EXIT_WITHIN: Duration = Duration::from_mins(15);

/// Over what a step is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The tenants of the run.
    Targets,
    /// The items of a foreach.
    Items,
}

/// A playbook ready to be run.
#[derive(Debug)]
pub struct Plan {
    playbook: Playbook,
    digest: Digest,
    /// Each expression, parsed when it is first asked for; `None` in it where it can not be.
    parsed: BTreeMap<String, OnceLock<Option<Parsed>>>,
    places: BTreeMap<StepId, usize>,
    /// Number of steps that are gone through in order; behind them lie those that take something back.
    flow: usize,
    /// The step that takes back the step at a place.
    rollbacks: BTreeMap<usize, usize>,
    /// The step after which the step at a place keeps something.
    captures_after: BTreeMap<usize, usize>,
    /// The first of the steps that keep something before the step of this id.
    entries: BTreeMap<StepId, usize>,
    over: Vec<Option<Over>>,
    /// Line and column of each step in its file.
    lines: BTreeMap<StepId, (u64, u64)>,
}

impl Plan {
    /// Prepares a playbook; `digest` is the sha256 of its text, so that a run is never continued with another text.
    pub fn new(mut playbook: Playbook, digest: Digest) -> Self {
        let mut steps: Vec<Step> = Vec::new();
        let mut entries = BTreeMap::new();
        let mut captures_after = BTreeMap::new();
        let mut owners = Vec::new();
        for written in std::mem::take(&mut playbook.steps) {
            entries.insert(written.id.clone(), steps.len());
            steps.extend(captures(&written, When::Before));
            let place = steps.len();
            let after = captures(&written, When::After);
            if written.rollback.is_some() {
                owners.push(place);
            }
            steps.push(written);
            for capture in after {
                captures_after.insert(steps.len(), place);
                steps.push(capture);
            }
        }
        if !playbook.exit_criteria.is_empty() {
            steps.push(exit_step(&playbook.exit_criteria));
        }
        let flow = steps.len();
        let mut rollbacks = BTreeMap::new();
        for place in owners {
            if let Some(taking_back) = steps.get(place).and_then(taking_back) {
                rollbacks.insert(place, steps.len());
                steps.push(taking_back);
            }
        }
        playbook.steps = steps;
        let parsed = sources(&playbook).map(|source| (source.to_owned(), OnceLock::new())).collect();
        let places = playbook.steps.iter().enumerate().map(|(i, s)| (s.id.clone(), i)).collect();
        let over = playbook.steps.iter().map(|step| over(&playbook, step)).collect();
        Self {
            playbook,
            digest,
            parsed,
            places,
            flow,
            rollbacks,
            captures_after,
            entries,
            over,
            lines: BTreeMap::new(),
        }
    }

    /// Parses all expressions now, as is done with each playbook that no test of ours has read.
    ///
    /// # Errors
    /// The first expression that can not be parsed; the lint finds it before.
    pub fn parse_all(&self) -> Result<(), String> {
        self.parsed.iter().try_for_each(|(source, slot)| {
            let parsed = Parsed::new(source).map_err(|why| format!("`{source}`: {why}"))?;
            slot.get_or_init(|| Some(parsed));
            Ok(())
        })
    }

    /// The same with the places of its steps in the file.
    #[must_use]
    pub fn written_at(mut self, lines: BTreeMap<StepId, (u64, u64)>) -> Self {
        self.lines = lines;
        self
    }

    /// Line and column of a step in its file, from 1.
    pub fn place(&self, step: &StepId) -> (u64, u64) {
        self.lines.get(step).copied().unwrap_or((1, 1))
    }

    /// The playbook, with the steps that this made of it.
    pub const fn playbook(&self) -> &Playbook {
        &self.playbook
    }

    /// sha256 of its text.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its steps: those gone through in order, then those that take something back.
    pub fn steps(&self) -> &[Step] {
        &self.playbook.steps
    }

    /// Place of a step.
    pub fn index(&self, step: &StepId) -> Option<usize> {
        self.places.get(step).copied()
    }

    /// Where a jump to a step leads: to what is kept before it, if anything is.
    pub(super) fn entry(&self, step: &StepId) -> Option<usize> {
        self.entries.get(step).copied().or_else(|| self.index(step))
    }

    /// Number of steps that are gone through in order.
    pub const fn flow(&self) -> usize {
        self.flow
    }

    /// The step that takes back the step at a place.
    pub(super) fn rollback_of(&self, place: usize) -> Option<usize> {
        self.rollbacks.get(&place).copied()
    }

    /// The step that is taken back by the step at a place.
    pub(super) fn taken_back_by(&self, place: usize) -> Option<usize> {
        self.rollbacks.iter().find(|(_, by)| **by == place).map(|(of, _)| *of)
    }

    /// The step after which the step at a place keeps something.
    pub(super) fn captures_after(&self, place: usize) -> Option<usize> {
        self.captures_after.get(&place).copied()
    }

    /// Over what the step at a place is repeated.
    pub fn over(&self, place: usize) -> Option<Over> {
        self.over.get(place).copied().flatten()
    }

    /// Whether the selector of the playbook fits a tenant.
    ///
    /// # Errors
    /// One sentence where that is not known: a run is not started for a guess.
    pub fn selects(&self, around: &Surroundings, params: &BTreeMap<String, Value>) -> Result<bool, String> {
        let Some(selector) = self.playbook.targets.as_ref().map(|t| t.selector.as_str()) else { return Ok(false) };
        let Some(parsed) = self.parsed(selector) else { return Ok(false) };
        let outputs = BTreeMap::new();
        let known = Known { around, params, outputs: &outputs, result: None, item: None };
        match known.evaluate(parsed, selector, None).verdict {
            Verdict::True => Ok(true),
            Verdict::False => Ok(false),
            Verdict::Unknown(why) => {
                let tenant = around.tenant.as_ref().and_then(|t| t.get("id")?.as_str()).unwrap_or_default();
                Err(format!("whether {tenant} is selected is not known: {why}"))
            }
        }
    }

    /// Whether being offered depends on how things are.
    pub fn is_conditional(&self) -> bool {
        self.playbook.triggers.when.is_some() || !self.playbook.contraindications.is_empty()
    }

    /// Whether the playbook is offered for a tenant as it is now and for a finding of this rule: it is meant for that, and
    /// nothing speaks against it. What is not known does not offer it, so that a source that is silent for a moment
    /// offers no disaster recovery.
    pub fn is_offered(&self, around: &Surroundings, rule: &str) -> bool {
        let (params, outputs) = (BTreeMap::new(), BTreeMap::new());
        let known = Known { around, params: &params, outputs: &outputs, result: None, item: None };
        let says = |text: &str, verdict: &Verdict| {
            self.parsed(text).is_some_and(|parsed| known.evaluate(parsed, text, None).verdict == *verdict)
        };
        self.playbook.triggers.when.as_deref().is_none_or(|when| says(when, &Verdict::True))
            && self.playbook.contraindications.iter().all(|against| {
                against.except_for.iter().any(|name| name == rule) || says(&against.when, &Verdict::False)
            })
    }

    /// An expression of this playbook, parsed.
    pub(super) fn parsed(&self, source: &str) -> Option<&Parsed> {
        self.parsed.get(source)?.get_or_init(|| Parsed::new(source).ok()).as_ref()
    }
}

fn over(playbook: &Playbook, step: &Step) -> Option<Over> {
    if step.foreach.is_some() {
        return Some(Over::Items);
    }
    let sends = matches!(step.class(), Class::Acts | Class::Looks);
    let of_tenants = sends && step.calls().any(|call| template::mentions(call, "tenant"));
    (playbook.targets.is_some() && of_tenants).then_some(Over::Targets)
}

fn sources(playbook: &Playbook) -> impl Iterator<Item = &str> {
    let steps = playbook.steps.iter().flat_map(|step| {
        let condition = step.condition.as_deref().into_iter();
        let preconditions = step.preconditions.iter().map(|p| p.check.as_str());
        let bound = step.bind.iter().map(String::as_str);
        let verify = step.verify.iter().map(|v| v.check.as_str());
        let outputs = step.outputs.iter().map(|o| o.selector.as_str());
        let ways = step.branches.iter().map(|w| w.condition.as_str());
        let items = step.foreach.iter().map(|f| f.items.as_str());
        condition.chain(preconditions).chain(bound).chain(verify).chain(outputs).chain(ways).chain(items)
    });
    let head = playbook.contraindications.iter().map(|c| c.when.as_str());
    let selector = playbook.targets.iter().map(|t| t.selector.as_str());
    steps.chain(head).chain(selector).chain(playbook.triggers.when.as_deref())
}

fn exit_step(criteria: &[String]) -> Step {
    let verify = |check: &String| Verify {
        check: check.clone(),
        within: Some(Span(EXIT_WITHIN)),
        hold: None,
        max_age: None,
        text: None,
        run: None,
    };
    let why = "The run is done when all of these hold, not when its last step is.".to_owned();
    let mut step = Step::bare(EXIT_STEP, StepType::WaitFor, "Exit criteria".into(), why);
    step.verify = criteria.iter().map(verify).collect();
    step
}

fn captures(of: &Step, when: When) -> Vec<Step> {
    let word = match when {
        When::Before => "before",
        When::After => "after",
    };
    let wanted = of.evidence.iter().filter(|capture| capture.capture == when).enumerate();
    wanted
        .map(|(i, capture)| {
            let id = format!("{}.{word}-{}", of.id, i + 1);
            let name = format!("keep {} {word} {}", capture.source.name(), of.id);
            let why = "What a review will ask for; the run goes on when it can not be had.".to_owned();
            let mut step = Step::bare(id.as_str(), StepType::Evidence, name, why);
            step.run = Some(capture.source.clone());
            step.on_failure = OnFailure::Continue;
            if when == When::Before {
                step.condition.clone_from(&of.condition);
            }
            step
        })
        .collect()
}

fn taking_back(of: &Step) -> Option<Step> {
    let rollback = of.rollback.as_ref()?;
    let why = format!("Takes back what {} did; it is confirmed and approved like any other step.", of.id);
    let id = format!("{}.rollback", of.id);
    let mut step = Step::bare(id.as_str(), StepType::Action, format!("take back: {}", of.name), why);
    step.run = Some(rollback.run.clone());
    step.risk = rollback.risk;
    step.verify.clone_from(&rollback.verify);
    step.blast_radius = of.blast_radius;
    step.requires = of.requires.clone();
    step.timeout = of.timeout;
    step.confirmation.clone_from(&of.confirmation);
    step.approval.clone_from(&of.approval);
    step.foreach.clone_from(&of.foreach);
    Some(step)
}
