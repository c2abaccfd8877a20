//! A playbook that passed the lint, ready to be run: its expressions parsed, its exit criteria as a last step.

use super::expr::Parsed;
use super::schema::{Call, OnFailure, OnUnknown, Playbook, Precondition, Requires, Span, Step, StepType, Verify};
use crate::domain::id::{Digest, StepId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Id of the step that waits for the exit criteria; no step of a playbook may have it.
pub const EXIT_STEP: &str = "exit-criteria";

/// How long the exit criteria may take to come true before a person is asked.
const EXIT_WITHIN: Duration = Duration::from_mins(15);

/// A playbook ready to be run.
#[derive(Debug)]
pub struct Plan {
    playbook: Playbook,
    digest: Digest,
    parsed: BTreeMap<String, Parsed>,
}

impl Plan {
    /// Prepares a playbook; `digest` is the sha256 of its text, so that a run is never continued with another text.
    ///
    /// # Errors
    /// The first expression that can not be parsed; the lint finds it before.
    pub fn new(mut playbook: Playbook, digest: Digest) -> Result<Self, String> {
        if !playbook.exit_criteria.is_empty() {
            let step = exit_step(&playbook.exit_criteria);
            playbook.steps.push(step);
        }
        let mut parsed = BTreeMap::new();
        for source in sources(&playbook) {
            parsed.insert(source.to_owned(), Parsed::new(source).map_err(|why| format!("`{source}`: {why}"))?);
        }
        Ok(Self { playbook, digest, parsed })
    }

    /// The playbook, with the step for its exit criteria at the end.
    pub const fn playbook(&self) -> &Playbook {
        &self.playbook
    }

    /// sha256 of its text.
    pub const fn digest(&self) -> &Digest {
        &self.digest
    }

    /// Its steps.
    pub fn steps(&self) -> &[Step] {
        &self.playbook.steps
    }

    /// Place of a step.
    pub fn index(&self, step: &StepId) -> Option<usize> {
        self.playbook.steps.iter().position(|s| &s.id == step)
    }

    /// An expression of this playbook, parsed.
    pub(super) fn parsed(&self, source: &str) -> Option<&Parsed> {
        self.parsed.get(source)
    }
}

fn sources(playbook: &Playbook) -> impl Iterator<Item = &str> {
    let steps = playbook.steps.iter().flat_map(|step| {
        let preconditions = step.preconditions.iter().map(|p: &Precondition| p.check.as_str());
        let verify = step.verify.iter().map(|v| v.check.as_str());
        let outputs = step.outputs.iter().map(|o| o.selector.as_str());
        let bound = step.bind.iter().map(String::as_str);
        step.condition.as_deref().into_iter().chain(preconditions).chain(bound).chain(verify).chain(outputs)
    });
    steps.chain(playbook.contraindications.iter().map(|c| c.when.as_str()))
}

fn exit_step(criteria: &[String]) -> Step {
    let verify = |check: &String| Verify {
        check: check.clone(),
        within: Some(Span(EXIT_WITHIN)),
        hold: None,
        max_age: None,
        text: None,
        run: None::<Call>,
    };
    Step {
        id: StepId::from(EXIT_STEP),
        name: "Exit criteria".into(),
        why: "The run is done when all of these hold, not when its last step is.".into(),
        kind: StepType::WaitFor,
        risk: None,
        blast_radius: None,
        reversible: None,
        requires: Requires::default(),
        condition: None,
        preconditions: Vec::new(),
        bind: Vec::new(),
        run: None,
        timeout: None,
        confirmation: None,
        approval: None,
        verify: criteria.iter().map(verify).collect(),
        choices: Vec::new(),
        on_failure: OnFailure::Ask,
        on_unknown: OnUnknown::Reconcile,
        outputs: Vec::new(),
    }
}
