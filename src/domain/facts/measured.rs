//! What sources yield that only deliver signals: Prometheus, Alertmanager, objects of controllers, backups, probes,
//! integrations. Their values are named as in the table of signals.

use super::Missing;
use crate::domain::id::SourceId;
use crate::domain::sample::SourceKind;
use crate::domain::signal::Subject;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeMap;

/// One sample of such a source.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MeasuredFacts {
    /// The kind of source.
    pub of: SourceKind,
    /// Version of what was asked, as it says.
    pub version: Option<String>,
    /// Values of signals.
    pub readings: Vec<Measured>,
    /// Values that should be there and are not known.
    pub untold: Vec<Untold>,
    /// What a person should read beside the values, one sentence each: `hpa odoo-web stands at its maximum of 8`.
    pub said: Vec<String>,
    /// What happened, with its own time: deploys, switchovers. For "what changed"; at most the last day.
    pub happened: Vec<Happened>,
    /// Rights or settings that are missing.
    pub missing: Vec<Missing>,
    /// Servers of PostgreSQL that keepers keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// Sources that other engines watch, each with the host of its engine.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub watched: BTreeMap<SourceId, String>,
}

impl Default for MeasuredFacts {
    fn default() -> Self {
        Self::of(SourceKind::Prometheus)
    }
}

impl MeasuredFacts {
    /// Nothing yet, of a kind of source.
    pub const fn of(of: SourceKind) -> Self {
        Self {
            of,
            version: None,
            readings: Vec::new(),
            untold: Vec::new(),
            said: Vec::new(),
            happened: Vec::new(),
            missing: Vec::new(),
            kept: Vec::new(),
            watched: BTreeMap::new(),
        }
    }

    /// Adds a value; one that is not a number is not known, and that is kept instead.
    pub fn measure(&mut self, subject: &Subject, signal: &str, value: f64) {
        if value.is_finite() {
            self.readings.push(Measured { subject: subject.clone(), signal: signal.into(), value });
        } else {
            self.untell(subject, signal, format!("the value is {value}, which is no number"));
        }
    }

    /// Adds a value that is not known, and why.
    pub fn untell(&mut self, subject: &Subject, signal: &str, why: impl Into<String>) {
        self.untold.push(Untold { subject: subject.clone(), signal: signal.into(), why: why.into() });
    }

    /// Adds a right or a setting that is missing, once.
    pub fn lacks(&mut self, disables: impl Into<String>, remedy: impl Into<String>) {
        let missing = Missing { disables: disables.into(), remedy: remedy.into() };
        if !self.missing.contains(&missing) {
            self.missing.push(missing);
        }
    }
}

/// A server of PostgreSQL that a keeper keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// The keeper ([`Subject::Keep`]).
    pub by: Subject,
    /// What the keeper calls it.
    pub name: String,
    /// `host:port` at which it says that PostgreSQL listens.
    pub address: Option<String>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// What it is about.
    pub subject: Subject,
    /// Name in the table of signals.
    pub signal: SmolStr,
    /// The value, in the unit that the table gives.
    pub value: f64,
}

/// A value that should be there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Untold {
    /// What it would be about.
    pub subject: Subject,
    /// Name in the table of signals.
    pub signal: SmolStr,
    /// Why it is not known, one sentence.
    pub why: String,
}

/// Something that happened at the time that its object carries.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// To what.
    pub subject: Subject,
    /// What, in the words of a change: `deploy 3f2c1ab`.
    pub what: String,
}
