//! What can lie on top of a screen. The topmost gets every key first.

use super::Screen;
use super::asked::Asked;
use super::compose::Compose;
use super::confirm::{Button, Confirm};
use super::form::Form;
use super::pane::PaneId;
use crate::console::effect::Then;
use crate::console::keymap::{Action, Place};
use crate::console::views::View;
use crate::domain::id::{FindingId, PlaybookId, RunId, StepId};
use std::collections::BTreeMap;
use tui_textarea::TextArea;

/// Something on top of a screen.
#[derive(Clone, Debug)]
pub enum Overlay {
    /// Text to read.
    Sheet(Sheet),
    /// Confirms a step.
    Confirm(Box<Confirm>),
    /// Requests that wait for a signature.
    Asked(Box<Asked>),
    /// A question with two buttons.
    Question(Question),
    /// A message that is being written.
    Compose(Box<Compose>),
    /// Fields to fill.
    Form(Box<Form>),
    /// Search over everything that can be done.
    Palette(Box<Palette>),
    /// The filter line.
    Filter(Box<Filter>),
}

impl Overlay {
    /// The place of its keys.
    pub fn place(&self) -> Place {
        match self {
            Self::Sheet(sheet) if sheet.record().is_some() => Place::Record,
            Self::Sheet(Sheet { kind: SheetKind::Row(pane, _), .. }) if pane.has_signals() => Place::Subject,
            Self::Sheet(Sheet { kind: SheetKind::Logs, .. }) => Place::Logs,
            Self::Sheet(Sheet { kind: SheetKind::Comms, .. }) => Place::Comms,
            Self::Sheet(_) => Place::Sheet,
            Self::Compose(_) => Place::Compose,
            Self::Confirm(_) => Place::Confirm,
            Self::Asked(_) => Place::Asked,
            Self::Question(_) => Place::Question,
            Self::Form(_) => Place::Form,
            Self::Palette(_) => Place::Palette,
            Self::Filter(_) => Place::Filter,
        }
    }
}

/// What a sheet is about; its lines are made anew from each snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SheetKind {
    /// Every key of a place.
    Help(Place),
    /// A row of a pane.
    Row(PaneId, String),
    /// Why a finding is one.
    Why(FindingId),
    /// Why a step has its risk.
    Explain(RunId, StepId),
    /// A step as a command to type.
    ByHand(RunId, StepId),
    /// Situation report.
    Situation,
    /// What happened since the person left.
    Since,
    /// Measures in force.
    Measures,
    /// Who is attached.
    People,
    /// A login at the identity provider that the person at this console has to do.
    Login(String),
    /// What whoever takes the command over has to know.
    Brief,
    /// The exercise.
    Exercise,
    /// Logs of the tenant that were asked for last.
    Logs,
    /// What stakeholders are told.
    Comms,
}

/// Text to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sheet {
    /// About what.
    pub kind: SheetKind,
    /// First line that is shown.
    pub scroll: usize,
}

impl Sheet {
    /// The record that it is about, if it is about one.
    pub fn record(&self) -> Option<u64> {
        match &self.kind {
            SheetKind::Row(PaneId::Journal | PaneId::Timeline, key) => key.parse().ok(),
            _ => None,
        }
    }
}

/// A question with two buttons.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// What is asked.
    pub title: String,
    /// What it means, a line each.
    pub lines: Vec<String>,
    /// The word on the button that says yes.
    pub yes: &'static str,
    /// What yes does.
    pub action: Action,
    /// The button with the focus.
    pub focus: Button,
}

/// What choosing a line of the palette does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaletteItem {
    /// An action of the table.
    Act(Action),
    /// A screen.
    Go(Screen),
    /// A row of a pane.
    Row(PaneId, String),
    /// The view of a role.
    See(View),
    /// A theme, which is on already while the cursor stands on it.
    Wear(String),
    /// Another estate of this console.
    Visit(String, Then),
    /// A playbook, with parameters that are already known.
    Start(PlaybookId, BTreeMap<String, String>),
}

/// What a palette offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offers {
    /// Everything.
    Everything,
    /// Themes alone.
    Themes,
    /// What is marked.
    Marks,
}

/// Search over everything that can be done.
#[derive(Clone, Debug)]
pub struct Palette {
    /// What it offers.
    pub offers: Offers,
    /// What is searched for.
    pub input: TextArea<'static>,
    /// What fits, best first: what it does, its label, its key, whether it is dangerous.
    pub found: Vec<(PaletteItem, String, String, bool)>,
    /// Which line is chosen.
    pub at: usize,
}

/// The filter line of a pane.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Which pane.
    pub pane: PaneId,
    /// The filter.
    pub input: TextArea<'static>,
}
