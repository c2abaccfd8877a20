//! What one console knows and where its cursor is. Plain data in small parts; only `update` changes it, and
//! `view` only reads it.

mod asked;
mod clock;
mod compose;
mod confirm;
mod estates;
mod form;
mod jumps;
mod log;
mod logs;
mod looked;
mod opens;
mod overlay;
mod pane;
mod refresh;

use super::effect::RequestId;
use super::keymap::{Action, Keymap, Place};
use super::rows::Context;
use super::theme::{Role, Wardrobe};
use super::views::View;
use crate::domain::estate::{Environment, Estate};
use crate::domain::id::{FindingId, RunId, StepId};
use crate::domain::incident::TimelineEntry;
use crate::domain::mode::Mode;
use crate::engine::api::{RunView, Snapshot, StepState, StepView};
use crate::engine::client::Link;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

pub use asked::{Answering, Asked};
pub use clock::Clock;
pub use compose::{Compose, Writing};
pub use confirm::{Button, Confirm, Typed};
pub use estates::{EstateIncident, EstateRecord, EstateRow, Estates, IncidentLine, Reached};
pub use form::{Field, FieldKind, Focus, Form, Purpose};
pub(super) use form::{ROLES, single_line, text_of};
pub use jumps::{Jumped, Jumps, Mark, Spot};
pub use log::{Log, MOST_HITS, ProofView, RecordView, Scan, Scanned, Wanted};
pub use logs::{ASK_AGAIN, Logged, Wanting};
pub use looked::{Looked, subject_of};
pub use opens::Opens;
pub use overlay::{Filter, Offers, Overlay, Palette, PaletteItem, Question, Sheet, SheetKind};
pub use pane::{Look, Pane, PaneId, Panes, Slot};
pub use refresh::{shown_finding, shown_locks};

/// What does not change while a console runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Name of the estate, shown until the engine has said it.
    pub estate: String,
    /// Mode, shown until the engine has said it.
    pub mode: Mode,
    /// Name of the theme at first.
    pub theme: String,
    /// The themes that can be worn: name, and what each is for.
    pub themes: Vec<(String, String)>,
    /// Version of the program.
    pub version: String,
    /// Which keys do what.
    pub keys: Arc<Keymap>,
    /// Whether it is read line by line, so that nothing may stand beside anything else.
    pub plain: bool,
}

impl Facts {
    /// Of a console of this program whose engine is known.
    pub fn of(snapshot: &Snapshot) -> Self {
        Self::new(snapshot.estate.name.clone(), snapshot.mode)
    }

    /// Of a console of this program that has no themes to choose from.
    pub fn new(estate: String, mode: Mode) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Self { estate, mode, theme: String::new(), themes: Vec::new(), version, keys: Arc::default(), plain: false }
    }

    /// Read line by line.
    #[must_use]
    pub fn in_one_column(self) -> Self {
        Self { plain: true, ..self }
    }

    /// With a person's own keys.
    #[must_use]
    pub fn typing(self, keys: Keymap) -> Self {
        Self { keys: Arc::new(keys), ..self }
    }

    /// With these themes to choose from.
    #[must_use]
    pub fn wearing(self, themes: &Wardrobe) -> Self {
        Self { theme: themes.worn().name.clone(), themes: themes.names(), ..self }
    }
}

/// A screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Worst first, everything at a glance.
    Overview,
    /// Tenants.
    Tenants,
    /// Databases and lock tree.
    Database,
    /// Channels and Redis.
    Queue,
    /// Routers and ingresses.
    Ingress,
    /// A pane whose rows are subjects with their signals.
    Subjects(crate::domain::pane::Pane),
    /// Findings.
    Findings,
    /// One finding with its evidence.
    Finding(FindingId),
    /// The incident.
    Incident,
    /// Playbooks and runs.
    Playbooks,
    /// One run.
    Run(RunId),
    /// Every record.
    Journal,
    /// Every observer.
    Sources,
    /// Every estate of this console.
    Estates,
}

impl Screen {
    /// The place of its keys.
    pub const fn place(&self) -> Place {
        match self {
            Self::Overview => Place::Overview,
            Self::Tenants => Place::Tenants,
            Self::Database => Place::Database,
            Self::Queue => Place::Queue,
            Self::Ingress => Place::Ingress,
            Self::Subjects(crate::domain::pane::Pane::Business) => Place::Business,
            Self::Subjects(_) => Place::Subjects,
            Self::Findings => Place::Findings,
            Self::Finding(_) => Place::Finding,
            Self::Incident => Place::Incident,
            Self::Playbooks => Place::Playbooks,
            Self::Run(_) => Place::Run,
            Self::Journal => Place::Journal,
            Self::Sources => Place::Sources,
            Self::Estates => Place::Estates,
        }
    }

    /// The panes that can have the cursor, in the order of Tab.
    pub const fn panes(&self) -> &'static [PaneId] {
        match self {
            Self::Overview => &[
                PaneId::Tenants,
                PaneId::Findings,
                PaneId::Databases,
                PaneId::Queues,
                PaneId::Ingress,
                PaneId::Changes,
            ],
            Self::Tenants => &[PaneId::Tenants],
            Self::Database => &[PaneId::Databases, PaneId::Locks],
            Self::Queue => &[PaneId::Queues],
            Self::Ingress => &[PaneId::Ingress],
            Self::Subjects(pane) => PaneId::alone(*pane),
            Self::Findings => &[PaneId::Findings],
            Self::Finding(_) => &[PaneId::Offers, PaneId::Evidence],
            Self::Incident => &[PaneId::Timeline, PaneId::Measures, PaneId::Changes],
            Self::Playbooks => &[PaneId::Playbooks, PaneId::Runs],
            Self::Run(_) => &[PaneId::Steps],
            Self::Journal => &[PaneId::Journal],
            Self::Sources => &[PaneId::Sources],
            Self::Estates => &[PaneId::Estates, PaneId::EstateIncidents, PaneId::EstateRecords],
        }
    }
}

/// How long a notice stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Until this moment of the wall clock.
    Until(Timestamp),
    /// Until a key is pressed.
    Key,
}

/// A line that says what just happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// What.
    pub text: String,
    /// In which role.
    pub role: Role,
    /// How long.
    pub stay: Stay,
}

/// What a sent command is about, while its answer is awaited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A run was started; its screen is opened when the engine has named it.
    Start,
    /// A subject was asked about.
    Look,
    /// Logs were asked for.
    Logs(Box<Wanting>),
    /// A draft was asked for.
    Draft,
    /// A step was confirmed with this plan generation; it can not be confirmed again meanwhile.
    Confirm {
        /// Run.
        run: RunId,
        /// Step.
        step: StepId,
        /// Plan generation.
        generation: u64,
    },
    /// Anything else, in a word.
    Other(&'static str),
}

/// Everything that one console knows.
#[derive(Clone, Debug)]
pub struct State {
    /// What the engine last said.
    pub snapshot: Option<Arc<Snapshot>>,
    /// How this console hangs on the engine.
    pub link: Link,
    /// What is known of all estates of this console, where there are several.
    pub estates: Estates,
    /// Whether it is on the screen; another estate of this console is where it is not.
    pub shown: bool,
    /// Whether it has just come to the screen from another estate, so that keys may still be meant for that one.
    pub settling: bool,
    /// Time.
    pub clock: Clock,
    /// Size of the terminal in columns and rows.
    pub size: (u16, u16),
    /// What does not change.
    pub facts: Facts,
    /// For whom it shows what.
    pub view: View,
    /// Name of the theme that was chosen.
    pub theme: String,
    /// The screen.
    pub screen: Screen,
    /// The places before it and after it.
    pub jumps: Jumps,
    /// What somebody has marked, the newest last.
    pub marks: Vec<Mark>,
    /// The title that the window has.
    pub title: String,
    /// What lies on top of it, the topmost last.
    pub overlays: Vec<Overlay>,
    /// Cursor, order and filter of every pane.
    pub panes: Panes,
    /// Which of the screen's panes has the cursor.
    pub focus: usize,
    /// What just happened.
    pub notice: Option<Notice>,
    /// Commands whose answers are awaited.
    pub awaited: BTreeMap<RequestId, Awaited>,
    /// What was read of the journal beyond the snapshot.
    pub log: Log,
    /// The subject of the sheet on top, and what the engine said of it.
    pub looked: Option<Looked>,
    /// The logs that were asked for last, and what the engine read of them.
    pub logged: Option<Logged>,
    /// The audience that has the mark on the sheet of communications; the one that is due first when absent.
    pub telling: Option<String>,
    /// A message that was written and left unsent; writing to its audience takes it up again.
    pub unsent: Option<Box<Compose>>,
    /// When a key was last pressed, on the clock of the estate.
    pub last_key: Timestamp,
    /// When the person last left for longer than a minute, on the clock of the estate.
    pub left_at: Option<Timestamp>,
    next_request: u64,
    dirty: bool,
}

impl State {
    /// A console that has heard nothing yet.
    pub fn new(facts: Facts, size: (u16, u16), now: Timestamp) -> Self {
        Self {
            snapshot: None,
            link: Link::default(),
            estates: Estates { own: facts.estate.clone(), ..Estates::default() },
            shown: true,
            settling: false,
            clock: Clock::new(now),
            size,
            theme: facts.theme.clone(),
            facts,
            view: View::default(),
            screen: Screen::Overview,
            jumps: Jumps::default(),
            marks: Vec::new(),
            title: String::new(),
            overlays: Vec::new(),
            panes: Panes::default(),
            focus: 0,
            notice: None,
            awaited: BTreeMap::new(),
            log: Log::default(),
            looked: None,
            logged: None,
            telling: None,
            unsent: None,
            last_key: now,
            left_at: None,
            next_request: 0,
            dirty: true,
        }
    }

    /// Since when nothing on the screen is current any more, if that is so: the connection is gone, or the engine silent.
    pub fn lost(&self) -> Option<Timestamp> {
        self.link.lost.as_ref().map(|l| l.since).or_else(|| self.clock.lost())
    }

    /// Name of the theme to draw with: the one under the cursor where themes are being chosen.
    pub fn worn(&self) -> &str {
        match self.overlays.last() {
            Some(Overlay::Palette(palette)) => match palette.found.get(palette.at) {
                Some((PaletteItem::Wear(name), ..)) => name,
                _ => &self.theme,
            },
            _ => &self.theme,
        }
    }

    /// The key of an action, as it is written on the screen.
    pub fn key(&self, action: Action) -> String {
        self.facts.keys.key_of(action)
    }

    /// Whether this console only looks on.
    pub fn looks_on(&self) -> bool {
        self.link.attached.as_ref().is_some_and(|a| a.read_only)
    }

    /// The clock of the estate: the wall's, or the scenario's in a drill.
    pub fn now(&self) -> Timestamp {
        self.clock.estate(self.snapshot.as_deref())
    }

    /// Mode.
    pub fn mode(&self) -> Mode {
        self.snapshot.as_ref().map_or(self.facts.mode, |s| s.mode)
    }

    /// Whether nothing of what is shown is real: a drill, also when it is looked back on.
    pub fn is_drill(&self) -> bool {
        self.mode() == Mode::Drill || self.snapshot.as_ref().and_then(|s| s.replay.as_ref()).is_some_and(|r| r.of_drill)
    }

    /// Where keys go.
    pub fn place(&self) -> Place {
        self.overlays.last().map_or_else(|| self.screen_place(), Overlay::place)
    }

    /// Where keys go when nothing lies on top.
    pub fn screen_place(&self) -> Place {
        match &self.screen {
            Screen::Journal if !self.log.wanted.text.is_empty() => Place::Found,
            screen => screen.place(),
        }
    }

    /// The pane that has the cursor.
    pub fn focused(&self) -> PaneId {
        let panes = self.screen.panes();
        panes.get(self.focus).or(panes.first()).copied().unwrap_or(PaneId::Tenants)
    }

    /// Whether something may have to be drawn; asking clears it.
    pub fn take_dirty(&mut self) -> bool {
        std::mem::take(&mut self.dirty)
    }

    /// Says that something may have to be drawn.
    pub(super) fn touch(&mut self) {
        self.dirty = true;
    }

    /// A name for the next command.
    pub(super) fn request(&mut self) -> RequestId {
        self.next_request = self.next_request.wrapping_add(1);
        RequestId(self.next_request)
    }

    /// What rows need besides themselves.
    pub fn context<'a>(&self, snapshot: &'a Snapshot) -> Context<'a> {
        Context {
            now: self.now(),
            estate: &snapshot.estate,
            changes: &snapshot.changes,
            services: &snapshot.services,
            view: self.view,
        }
    }

    /// What rows need that are about no estate of their own.
    pub fn context_of<'a>(&self, estate: &'a Estate) -> Context<'a> {
        Context { now: self.clock.wall, estate, changes: &[], services: &[], view: self.view }
    }

    /// A run by its name.
    pub fn run(&self, id: &RunId) -> Option<&RunView> {
        self.snapshot.as_ref()?.runs.iter().find(|r| r.id == *id)
    }

    /// The run on the screen, with the step under the cursor.
    pub fn shown_step(&self) -> Option<(&RunView, &StepView)> {
        let Screen::Run(id) = &self.screen else { return None };
        let run = self.run(id)?;
        let step = match self.panes.get(PaneId::Steps).selected_key() {
            Some(key) => run.steps.iter().find(|s| s.id.as_str() == key),
            None => None,
        };
        Some((run, step.or_else(|| run.steps.get(run.current))?))
    }

    /// The run that a person should look at first: one that waits, whose outcome is unknown, or that goes on.
    pub fn pressing_run(&self) -> Option<&RunView> {
        use crate::engine::api::RunState::{Running, Stopped, Unknown, Waiting};
        let runs = &self.snapshot.as_ref()?.runs;
        [Unknown, Waiting, Stopped, Running].iter().find_map(|state| runs.iter().find(|r| r.state == *state))
    }

    /// Whether a confirmation of that step is on its way.
    pub fn confirming(&self, run: &RunId, step: &StepId, generation: u64) -> bool {
        self.awaited.values().any(|a| {
            matches!(a, Awaited::Confirm { run: r, step: s, generation: g } if r == run && s == step && *g == generation)
        })
    }

    /// Records as the journal's screen has them, oldest first.
    pub fn records(&self) -> Vec<&TimelineEntry> {
        self.log.entries(self.snapshot.as_ref().map(|s| s.journal.tail.as_slice()).unwrap_or_default())
    }
}

/// An estate without anything in it, for rows that are about none.
pub fn no_estate() -> Estate {
    Estate {
        name: String::new(),
        environment: Environment::Production,
        time_zone: "UTC".to_owned(),
        tenants: Vec::new(),
    }
}

/// The step in hand of a run.
pub fn current_step(run: &RunView) -> Option<&StepView> {
    run.steps.get(run.current)
}

/// Whether a person can confirm the step as it stands.
pub fn can_confirm(step: &StepView) -> bool {
    step.state == StepState::AwaitsConfirmation && step.request.is_some() && step.digest.is_some()
}
