//! The estates of one console as one of them sees the others.

use super::Mark;
use crate::console::alarms::Alarm;
use crate::domain::estate::Environment;
use crate::domain::health::Health;
use crate::domain::id::{IncidentId, Person};
use crate::domain::incident::{IncidentState, Severity, TimelineEntry};
use crate::domain::mode::Mode;
use jiff::Timestamp;
use std::sync::Arc;

/// All estates of this console; empty where there is one only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Estates {
    /// Name of the one whose state this is.
    pub own: String,
    /// A row each, in the order of the configuration.
    pub rows: Arc<Vec<EstateRow>>,
    /// Their incidents; kept while the screen that shows them is on.
    pub incidents: Vec<EstateIncident>,
    /// Their newest records, the newest first; kept while the screen that shows them is on.
    pub records: Vec<EstateRecord>,
}

impl Estates {
    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.rows.len() > 1
    }

    /// All but the one whose state this is.
    pub fn others(&self) -> impl Iterator<Item = &EstateRow> {
        self.rows.iter().filter(|row| row.name != self.own)
    }

    /// Name of the next one, or of the one before, in the order of the configuration.
    pub fn beside(&self, on: bool) -> Option<&str> {
        let (at, n) = (self.rows.iter().position(|row| row.name == self.own)?, self.rows.len());
        let next = if on { at + 1 } else { at + n - 1 };
        self.rows.get(next % n).map(|row| row.name.as_str()).filter(|name| *name != self.own)
    }
}

/// How the engine of an estate is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reached {
    /// It is being opened for the first time.
    Opening,
    /// It runs in this console.
    Here,
    /// This console is attached to it.
    Attached,
    /// It can not be reached; it is tried again.
    Gone {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: String,
    },
}

impl Reached {
    /// Whether something is known of it now.
    pub const fn is_known(&self) -> bool {
        matches!(self, Self::Here | Self::Attached)
    }
}

/// What is said of one estate on the screens of all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateRow {
    /// Name.
    pub name: String,
    /// Its class, once it was heard of.
    pub environment: Option<Environment>,
    /// Its mode, once it was heard of.
    pub mode: Option<Mode>,
    /// Roll-up of everything; unknown when it can not be reached.
    pub health: Health,
    /// Its worst finding and whom that hurts.
    pub worst: Option<(Health, String)>,
    /// Number of open incidents.
    pub incidents: usize,
    /// The open incident that its screen is about, with its commander.
    pub incident: Option<(IncidentId, Severity, Option<String>)>,
    /// Runs that may still do something.
    pub runs: usize,
    /// Requests that wait for a signature of somebody else than who asked.
    pub waiting: usize,
    /// Its alarms, the most pressing first.
    pub alarms: Vec<Alarm>,
    /// A critical finding that nobody has acknowledged.
    pub critical: Option<String>,
    /// How old what is known of it is, in seconds; absent when it was never heard of.
    pub age_s: Option<u64>,
    /// Whether something was typed there and not sent.
    pub unsent: bool,
    /// What is marked there.
    pub marks: Vec<Mark>,
    /// How it is reached.
    pub reached: Reached,
}

/// An incident in a list of all estates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateIncident {
    /// Name of its estate.
    pub estate: String,
    /// It.
    pub incident: IncidentLine,
}

/// An incident in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentLine {
    /// Its name.
    pub id: IncidentId,
    /// How bad.
    pub severity: Severity,
    /// How far.
    pub state: IncidentState,
    /// What it is about.
    pub title: String,
    /// When it was declared.
    pub declared_at: Timestamp,
    /// Its commander.
    pub commander: Option<Person>,
}

/// A record in a list of all estates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstateRecord {
    /// Name of its estate.
    pub estate: String,
    /// It.
    pub entry: TimelineEntry,
}
