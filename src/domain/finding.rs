//! A finding: what is wrong, whom it hurts, since when, on what evidence, and what would disprove it.

use super::health::Health;
use super::id::{FindingId, Person, PlaybookId, TenantId};
use super::signal::{Subject, Unit};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a rule saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Class {
    /// Something is full or busy.
    Pressure,
    /// Something that explains harm.
    Cause,
    /// Harm to transactions.
    Impact,
}

/// What a finding entitles to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// PRESSURE alone: a note.
    Note,
    /// A CAUSE without proven impact: an alert, low-risk checks are offered.
    Alert,
    /// A CAUSE with IMPACT: playbooks up to medium are offered.
    Incident,
}

/// Whom it hurts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Whom {
    /// Tenants hurt, most critical first.
    pub tenants: Vec<TenantId>,
    /// Criticality of the first of them, 1 the most; absent when nobody is hurt.
    #[serde(default)]
    pub criticality: Option<u8>,
    /// Plants of these tenants.
    pub plants: Vec<String>,
    /// The next cut-off of any of them.
    pub next_cutoff: Option<NextCutoff>,
}

/// The next moment after which it hurts more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NextCutoff {
    /// What happens then.
    pub what: String,
    /// When.
    pub at: Timestamp,
    /// Whose.
    pub tenant: TenantId,
}

/// The series that the rule judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Evidence {
    /// Signal name in the table.
    pub signal: String,
    /// Subject of the series.
    pub subject: Subject,
    /// Unit of the values.
    pub unit: Unit,
    /// Newest value.
    pub now: f64,
    /// The threshold that was crossed.
    pub threshold: f64,
    /// What is usual for it at that hour, where that is learnt.
    #[serde(default)]
    pub usual: Option<f64>,
    /// Oldest first, evenly spaced, at most 60 values.
    pub series: Vec<f64>,
}

/// Something that changed on the estate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What: `deploy r118`, `config reload failed`.
    pub what: String,
    /// To what.
    pub subject: Subject,
    /// Which source or record says so.
    pub by: String,
}

/// A playbook that fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Offer {
    /// Its id.
    pub id: PlaybookId,
    /// Why it fits.
    pub why: String,
    /// Parameters that the finding already knows.
    pub params: BTreeMap<String, String>,
}

/// That a person has seen it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Acknowledged {
    /// Who.
    pub by: Person,
    /// When.
    pub at: Timestamp,
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Finding {
    /// Stable while it lasts.
    pub id: FindingId,
    /// Rule that made it.
    pub rule: String,
    /// What was seen.
    pub classes: Vec<Class>,
    /// What it entitles to.
    pub level: Level,
    /// Warn or critical; unknown when its source went silent while it was active.
    pub severity: Health,
    /// Since when the condition holds, or was first seen to hold.
    pub since: Timestamp,
    /// Whether its beginning was observed: the sample before was good. Where not, it holds at least since `since`.
    #[serde(default)]
    pub onset_seen: bool,
    /// What it is about.
    pub subject: Subject,
    /// What is wrong, one line.
    pub what: String,
    /// Whom it hurts.
    pub whom: Whom,
    /// On what evidence.
    pub evidence: Vec<Evidence>,
    /// What changed shortly before.
    pub changed: Vec<Change>,
    /// Which playbooks fit, best first.
    pub playbooks: Vec<Offer>,
    /// Why it is a finding and what it rests on, a sentence each.
    #[serde(default)]
    pub because: Vec<String>,
    /// What would disprove it, one sentence.
    pub disproof: String,
    /// Good intervals in a row; at three it clears.
    pub good_intervals: u8,
    /// Who has seen it.
    pub acknowledged: Option<Acknowledged>,
}
