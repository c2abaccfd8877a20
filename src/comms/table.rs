//! Whom incidents are told to, how often, and in which words: the shipped table, with a file of the user's over it.

use crate::domain::incident::Severity;
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Word for the origin of what is built in.
pub const BUILT_IN: &str = "built-in:comms/templates.toml";
/// The table that ships.
pub const SHIPPED: &str = include_str!("../../comms/templates.toml");

/// How long an audience may hear nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cadence {
    /// From the declaration to the first word.
    pub first: SignedDuration,
    /// From one word to the next.
    pub every: SignedDuration,
}

/// Somebody who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience {
    /// Id: `customer`.
    pub id: String,
    /// As people say it.
    pub name: String,
    /// Other names, as playbooks say them.
    pub also: Vec<String>,
    /// By severity; absent where nothing is promised.
    pub cadence: BTreeMap<Severity, Cadence>,
}

impl Audience {
    /// Whether a name means this audience.
    pub fn is(&self, name: &str) -> bool {
        let same = |own: &String| own.eq_ignore_ascii_case(name);
        same(&self.id) || same(&self.name) || self.also.iter().any(same)
    }
}

/// At which point of an incident a message fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Moment {
    /// The first word.
    First,
    /// A word in between.
    Update,
    /// The last word; it promises no other.
    Resolved,
}

impl Moment {
    /// All, in their order.
    pub const ALL: [Self; 3] = [Self::First, Self::Update, Self::Resolved];

    /// The word in files and output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Update => "update",
            Self::Resolved => "resolved",
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How a message to an audience reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Id: `customer-first`.
    pub id: String,
    /// Audience.
    pub audience: String,
    /// When it fits.
    pub moment: Moment,
    /// At which severities; at all when empty.
    pub severity: Vec<Severity>,
    /// Subject, a template.
    pub subject: String,
    /// Text, a template.
    pub text: String,
    /// [`BUILT_IN`], or the file.
    pub origin: String,
}

/// What findings of some rules mean to somebody outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Id: `pages`.
    pub id: String,
    /// What does not work: `opening pages and saving documents`.
    pub says: String,
    /// Rules whose findings say so.
    pub rules: Vec<String>,
}

/// Audiences, templates and services in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// In their order.
    pub audiences: Vec<Audience>,
    /// In their order; of several that fit the later counts.
    pub templates: Vec<Template>,
    /// In their order; the first that names a rule counts.
    pub services: Vec<Service>,
}

impl Table {
    /// The audience that a name means.
    pub fn audience(&self, name: &str) -> Option<&Audience> {
        self.audiences.iter().find(|a| a.is(name))
    }

    /// The template of an id.
    pub fn template(&self, id: &str) -> Option<&Template> {
        self.templates.iter().find(|t| t.id == id)
    }

    /// The template that fits best: one for the severity before one for all, a later one before an earlier one.
    pub fn fitting(&self, audience: &str, moment: Moment, severity: Severity) -> Option<&Template> {
        let fits = |t: &&Template| {
            t.audience == audience && t.moment == moment && (t.severity.is_empty() || t.severity.contains(&severity))
        };
        self.templates.iter().filter(fits).max_by_key(|t| !t.severity.is_empty())
    }

    /// What findings of a rule mean; nothing where that is nobody's business outside.
    pub fn service(&self, rule: &str) -> Option<&Service> {
        self.services.iter().find(|s| s.rules.iter().any(|r| r == rule))
    }
}
