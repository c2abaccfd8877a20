//! The dialog that confirms a step. It holds what was shown; what is sent is only ever what it holds.

use super::form::{single_line, text_of};
use crate::console::strip::wrap;
use crate::domain::id::{Digest, RunId, StepId};
use crate::domain::mode::Mode;
use crate::domain::request::Request;
use crate::domain::risk::{Confirmation, Risk};
use crate::engine::api::{Command, RunView, StepView};
use tui_textarea::TextArea;

/// The buttons of a dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Button {
    /// Does nothing and closes; has the focus at first.
    Cancel,
    /// Does it.
    Run,
}

impl Button {
    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Cancel => Self::Run,
            Self::Run => Self::Cancel,
        }
    }
}

/// A phrase that has to be typed.
#[derive(Clone, Debug)]
pub struct Typed {
    /// The phrase.
    pub phrase: String,
    /// What has been typed so far.
    pub input: TextArea<'static>,
}

impl Typed {
    /// Whether exactly the phrase has been typed.
    pub fn matches(&self) -> bool {
        self.text() == self.phrase
    }

    /// What has been typed.
    pub fn text(&self) -> String {
        text_of(&self.input)
    }
}

/// A step as it is shown for confirmation.
#[derive(Clone, Debug)]
pub struct Confirm {
    /// Name of the estate in which it was opened.
    pub estate: String,
    /// Run.
    pub run: RunId,
    /// Playbook and parameters, one line.
    pub what: String,
    /// Step.
    pub step: StepId,
    /// Its name.
    pub name: String,
    /// Its number, from 1, and how many there are.
    pub number: (usize, usize),
    /// Its request.
    pub request: Request,
    /// Whether its target is the simulated estate of a drill.
    pub simulated: bool,
    /// The digest of the request.
    pub digest: Digest,
    /// The plan generation.
    pub generation: u64,
    /// Its risk.
    pub risk: Risk,
    /// Why it is that risk.
    pub reasons: Vec<String>,
    /// What has to be typed, when something has to.
    pub typed: Option<Typed>,
    /// The button with the focus.
    pub focus: Button,
    /// First line of the request that is shown.
    pub scroll: usize,
    /// Whether the last line of the request has been on the screen.
    pub read: bool,
}

impl Confirm {
    /// The dialog for a step, with Cancel focused; `None` when the step has nothing to confirm.
    pub fn of(run: &RunView, step: &StepView, estate: String, mode: Mode) -> Option<Self> {
        if !super::can_confirm(step) {
            return None;
        }
        let assessment = step.assessment.as_ref()?;
        let typed = match &assessment.confirmation {
            Some(Confirmation::Typed { phrase }) => Some(Typed { phrase: phrase.clone(), input: single_line("") }),
            Some(Confirmation::Keypress) | None => None,
        };
        let params: Vec<_> = run.params.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let number = run.steps.iter().position(|s| s.id == step.id)?.saturating_add(1);
        Some(Self {
            estate,
            run: run.id.clone(),
            what: format!("{} v{} {}", run.playbook, run.version, params.join(" ")),
            step: step.id.clone(),
            name: step.name.clone(),
            number: (number, run.steps.len()),
            request: step.request.clone()?,
            simulated: mode == Mode::Drill,
            digest: step.digest.clone()?,
            generation: run.generation,
            risk: step.risk,
            reasons: assessment.reasons.clone(),
            typed,
            focus: Button::Cancel,
            scroll: 0,
            read: false,
        })
    }

    /// Whether the step still stands as it was shown.
    pub fn still_stands(&self, run: Option<&RunView>) -> bool {
        run.filter(|r| r.generation == self.generation)
            .and_then(|r| r.steps.get(r.current))
            .is_some_and(|s| s.id == self.step && s.digest.as_ref() == Some(&self.digest) && super::can_confirm(s))
    }

    /// Every line that has to be read before it may run: the request, what the server itself checks, whom it
    /// hurts, how it is undone and why it is that risk. Nothing is cut off.
    pub fn lines(&self, width: u16) -> Vec<String> {
        let width = usize::from(width);
        let mut lines = Vec::new();
        for line in self.request.operation.lines() {
            lines.extend(wrap(&line, width));
        }
        lines.extend(
            self.request.server_checks.iter().flat_map(|check| wrap(&format!("server checks: {check}"), width)),
        );
        lines.extend(wrap(&format!("hurts: {}", self.request.hurts), width));
        lines.extend(wrap(&format!("undo: {}", self.request.undo), width));
        lines.extend(self.reasons.iter().flat_map(|reason| wrap(&format!("{} risk: {reason}", self.risk), width)));
        lines
    }

    /// Why it can not run yet; `None` when it can.
    pub fn obstacle(&self) -> Option<String> {
        if !self.read {
            return Some("read the request to its end first (PgDn)".into());
        }
        match &self.typed {
            Some(typed) if !typed.matches() => Some(format!("type `{}` exactly", typed.phrase)),
            _ => None,
        }
    }

    /// The command that says yes to what is shown; `None` while something stands in the way.
    pub fn command(&self) -> Option<Command> {
        if self.obstacle().is_some() {
            return None;
        }
        Some(Command::Confirm {
            run: self.run.clone(),
            step: self.step.clone(),
            digest: self.digest.clone(),
            generation: self.generation,
            typed: self.typed.as_ref().map(Typed::text),
        })
    }
}
