//! An incident: its state is a fold over the journal's records.

use super::id::{FindingId, IncidentId, Person};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Severity, 1 the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Production stands still.
    Sev1,
    /// Production is hindered.
    Sev2,
    /// A part is hindered; there is a way round.
    Sev3,
    /// To be looked at.
    Sev4,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Sev1 => "SEV1",
            Self::Sev2 => "SEV2",
            Self::Sev3 => "SEV3",
            Self::Sev4 => "SEV4",
        })
    }
}

/// Roles in an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Decides and authorises.
    Commander,
    /// Takes over from the commander.
    Deputy,
    /// Executes.
    Operator,
    /// Database administrator.
    Dba,
    /// Tells stakeholders.
    Comms,
    /// Writes down.
    Scribe,
    /// Approves high-risk steps.
    Approver,
    /// Accepts recovery for the business.
    BusinessOwner,
    /// Looks on.
    Observer,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Commander => "commander",
            Self::Deputy => "deputy",
            Self::Operator => "operator",
            Self::Dba => "dba",
            Self::Comms => "comms",
            Self::Scribe => "scribe",
            Self::Approver => "approver",
            Self::BusinessOwner => "business-owner",
            Self::Observer => "observer",
        })
    }
}

/// Where an incident stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum IncidentState {
    /// Being looked into.
    Investigating,
    /// The cause is known.
    Identified,
    /// Something has been done; being watched.
    Monitoring,
    /// Over.
    Closed,
}

impl fmt::Display for IncidentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Investigating => "investigating",
            Self::Identified => "identified",
            Self::Monitoring => "monitoring",
            Self::Closed => "closed",
        })
    }
}

/// One line of an incident's timeline, made from a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TimelineEntry {
    /// Sequence number of the record.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Kind of the record: `step.started`.
    pub kind: String,
    /// Who.
    pub who: String,
    /// One line for people.
    pub text: String,
    /// Incident it belongs to.
    #[serde(default)]
    pub incident: Option<IncidentId>,
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Incident {
    /// Its name: `INC-42`.
    pub id: IncidentId,
    /// What it is about, one line.
    pub title: String,
    /// How bad.
    pub severity: Severity,
    /// Where it stands.
    pub state: IncidentState,
    /// When it was declared.
    pub declared_at: Timestamp,
    /// When it was closed.
    pub closed_at: Option<Timestamp>,
    /// Who holds which role.
    pub roles: BTreeMap<Role, Person>,
    /// Findings it was declared for.
    pub findings: Vec<FindingId>,
    /// What happened, oldest first.
    pub timeline: Vec<TimelineEntry>,
    /// Who accepted the recovery for the business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery_accepted: Option<Person>,
}
