//! The runs of an engine, with what it knows of each: who asked, what its verbs have read, its secrets. What a run means is
//! in `playbook::run`; `runs` carries out what one asks for.

use super::api::RunView;
use super::assess::OfRun;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, RunId};
use crate::domain::run::RunState;
use crate::domain::secret::Secrets;
use crate::playbook::run::{Parent, Run};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Finished runs kept for the screens.
const KEPT: usize = 50;
/// How long what a verb has read of its target serves: while a confirmation is open it is rendered with each
/// observation, and the server is not to be asked as often.
const SURVEYED: Duration = Duration::from_secs(2);

/// A run with what the engine knows about it.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) run: Run,
    pub(super) incident: Option<IncidentId>,
    pub(super) params: BTreeMap<String, String>,
    /// Who asked for what happens now; records name them.
    pub(super) actor: Actor,
    /// Who else is just being heard: an approver.
    pub(super) other: Option<Actor>,
    /// Who started it, with the user id that tells who that is.
    pub(super) began: Actor,
    /// What the verbs of the step in hand have read of their targets last.
    pub(super) surveyed: Vec<Surveyed>,
    /// Its secrets, as far as they are known.
    pub(super) secrets: Arc<Secrets>,
}

/// Arguments after templating.
pub(super) type Args = BTreeMap<String, Value>;

/// What a verb has read of its target.
#[derive(Debug)]
pub(super) struct Surveyed {
    pub(super) verb: String,
    pub(super) args: Args,
    pub(super) found: Value,
    pub(super) at: Instant,
}

/// The runs of this engine, by name.
#[derive(Debug, Default)]
pub(super) struct Runs {
    held: BTreeMap<u64, (RunId, Held)>,
}

fn number(run: &RunId) -> u64 {
    run.as_str().rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl Runs {
    pub(super) fn get(&self, run: &RunId) -> Option<&Held> {
        self.held.get(&number(run)).filter(|(id, _)| id == run).map(|(_, held)| held)
    }

    pub(super) fn get_mut(&mut self, run: &RunId) -> Option<&mut Held> {
        self.held.get_mut(&number(run)).filter(|(id, _)| id == run).map(|(_, held)| held)
    }

    pub(super) fn insert(&mut self, id: RunId, held: Held) {
        self.held.insert(number(&id), (id, held));
        let over: Vec<u64> = self.held.iter().filter(|(_, (_, h))| !h.run.is_open()).map(|(n, _)| *n).collect();
        for old in over.iter().take(over.len().saturating_sub(KEPT)) {
            self.held.remove(old);
        }
    }

    /// Forgets the runs that belong to what somebody else leads, and names them.
    pub(super) fn drop_of(&mut self, name: &str) -> Vec<RunId> {
        let theirs = |held: &Held| crate::journal::lead_of(held.incident.as_ref()) == name && held.run.is_open();
        let gone = self.held.extract_if(.., |_, (_, held)| theirs(held));
        gone.map(|(_, (id, _))| id).collect()
    }

    /// Open runs that belong to no incident belong to this one from here on.
    pub(super) fn adopt(&mut self, incident: &IncidentId) {
        for (_, held) in self.held.values_mut().filter(|(_, h)| h.run.is_open() && h.incident.is_none()) {
            held.incident = Some(incident.clone());
        }
    }

    /// The run that a step of another one is, with its state; of those that are held.
    pub(super) fn child_of(&self, parent: &Parent) -> Option<(RunId, RunState)> {
        let (id, held) = self.held.values().rfind(|(_, h)| h.run.start().parent.as_ref() == Some(parent))?;
        Some((id.clone(), held.run.state()))
    }

    /// The open runs that steps of a run are.
    pub(super) fn children_of(&self, run: &RunId) -> Vec<RunId> {
        let ours = |h: &Held| h.run.is_open() && h.run.start().parent.as_ref().is_some_and(|p| p.run == *run);
        self.held.values().filter(|(_, h)| ours(h)).map(|(id, _)| id.clone()).collect()
    }

    /// Runs that are not over.
    pub(super) fn open(&self) -> impl Iterator<Item = &RunId> {
        self.held.values().filter(|(_, h)| h.run.is_open()).map(|(id, _)| id)
    }

    /// Runs of an incident that are not over.
    pub(super) fn open_of<'a>(&'a self, incident: &'a IncidentId) -> impl Iterator<Item = &'a RunId> {
        self.held.values().filter(|(_, h)| h.run.is_open() && h.incident.as_ref() == Some(incident)).map(|(id, _)| id)
    }

    /// Whether any step has been sent and has not answered, so that the engine must not end yet.
    pub(super) fn in_hand(&self) -> bool {
        self.held.values().any(|(_, h)| h.run.is_in_hand())
    }

    /// All runs as they are shown, newest first.
    pub(super) fn views(&self, now: jiff::Timestamp) -> Vec<RunView> {
        self.held.iter().rev().map(|(_, (id, held))| held.view(id, now)).collect()
    }
}

impl Held {
    /// What was read for exactly this, unless it is older than what a console may show as now.
    pub(super) fn surveyed(&self, verb: &str, args: &Args) -> Option<&Value> {
        let known = self.surveyed.iter().find(|s| s.verb == verb && s.args == *args)?;
        (known.at.elapsed() < SURVEYED).then_some(&known.found)
    }

    pub(super) fn of(&self) -> OfRun<'_> {
        OfRun { run: &self.run, incident: self.incident.as_ref(), user: &self.actor.user, actor: Some(&self.actor) }
    }
}
