//! Risk of a step and what it takes to run it. Values only; `policy` decides them.

use super::incident::Role;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Risk of a step; policy raises it and never lowers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// A look, or something that heals by itself.
    Low,
    /// Felt by people; can be taken back.
    Medium,
    /// May lose work or can not be taken back.
    High,
}

impl fmt::Display for Risk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        })
    }
}

/// How far the effect of a step can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BlastRadius {
    /// One pod, session or process.
    Pod,
    /// One tenant.
    Tenant,
    /// All that share a cluster or a database server.
    Cluster,
    /// A region.
    Region,
}

/// Whether the effect of a step can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reversible {
    /// By the reverse request.
    Yes,
    /// Not at all.
    No,
    /// By something else that makes up for it.
    Compensatable,
}

/// How the commander has to confirm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Confirmation {
    /// A dialog in which Cancel has the focus.
    Keypress,
    /// The phrase has to be typed.
    Typed {
        /// What to type, usually the tenant.
        phrase: String,
    },
}

/// Who has to approve a step, and until when it is waited for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[allow(clippy::struct_excessive_bools, reason = "each is a question of its own that policy answers")]
pub struct ApprovalTerms {
    /// One of these roles each; empty is anybody of the roster.
    pub roles: Vec<Role>,
    /// Of each of these roles one has to be among them: decision rights.
    pub also: Vec<Role>,
    /// Whether the one who asked for the run may not be among them.
    pub not_requester: bool,
    /// Whether the one who executes may not be among them.
    pub not_operator: bool,
    /// Whether each has to sign with a security key.
    pub security_key: bool,
    /// Whether each logs in at the identity provider for it, with a second factor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login: bool,
    /// How long is waited, in seconds.
    pub timeout_s: u64,
    /// Whether somebody is called then, and it goes on waiting as long again; else it is denied.
    pub escalates: bool,
}

impl ApprovalTerms {
    /// Whether an approval in this role counts.
    pub fn admits(&self, role: Role) -> bool {
        self.roles.is_empty() || self.roles.contains(&role) || self.also.contains(&role)
    }

    /// The roles in words.
    pub fn who(&self) -> String {
        let words =
            |roles: &[Role], between: &str| roles.iter().map(ToString::to_string).collect::<Vec<_>>().join(between);
        let any = if self.roles.is_empty() { "anybody of the roster".to_owned() } else { words(&self.roles, " or ") };
        if self.also.is_empty() { any } else { format!("{any}, among them {}", words(&self.also, " and ")) }
    }
}

/// What policy says of one rendered step at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Assessment {
    /// The risk after raising.
    pub risk: Risk,
    /// Why it is that risk, a sentence each; the first names the floor it started from.
    pub reasons: Vec<String>,
    /// How it must be confirmed; `None` for looks that change nothing.
    pub confirmation: Option<Confirmation>,
    /// Whether who confirms it logs in at the identity provider for it, with a second factor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub login: bool,
    /// Number of distinct other people who must approve.
    pub approvals: u8,
    /// Who they are and how long is waited for them; absent where nobody must.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub terms: Option<ApprovalTerms>,
    /// Whether an incident must be declared first.
    pub needs_incident: bool,
    /// Why it can not run at all at the moment, a sentence each; empty when it may.
    pub denials: Vec<String>,
}
