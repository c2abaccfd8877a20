//! What an approver signs: the JCS bytes (RFC 8785) of one small object that binds a decision to one rendered step, one
//! request, one role, one end and one state of the journal. `ssh-keygen -Y verify` checks it without this program.

use crate::domain::id::{Digest, IncidentId};
use crate::domain::incident::Role;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The SSHSIG namespace of approvals.
pub const NAMESPACE: &str = "approval@quarterdeck";

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It may run.
    Approve,
    /// It may not.
    Deny,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Approve => "approve",
            Self::Deny => "deny",
        })
    }
}

/// A state of the journal, as a checkpoint names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogPoint {
    /// Name of the log.
    pub origin: String,
    /// Number of records.
    pub size: u64,
    /// Root over them, base64.
    pub root: String,
}

/// What is signed. The members are those of `docs/approvals.md`, and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Digest of the step, or of what else is asked for.
    pub digest: &'a Digest,
    /// The incident.
    pub incident: Option<&'a IncidentId>,
    /// Yes or no.
    pub decision: Decision,
    /// Role in which it is decided.
    pub role: Role,
    /// Nonce of the request.
    pub nonce: &'a str,
    /// First moment at which it does not count any more.
    pub not_after: Timestamp,
    /// The journal when it was asked for.
    pub log: &'a LogPoint,
}

#[derive(Serialize)]
struct Canonical<'a> {
    v: u8,
    step_digest: &'a Digest,
    incident: Option<&'a IncidentId>,
    decision: Decision,
    role: Role,
    nonce: &'a str,
    not_after: String,
    origin: &'a str,
    size: u64,
    root: &'a str,
}

impl Statement<'_> {
    /// The bytes to sign, without a newline at their end.
    pub fn text(&self) -> String {
        let canonical = Canonical {
            v: 1,
            step_digest: self.digest,
            incident: self.incident,
            decision: self.decision,
            role: self.role,
            nonce: self.nonce,
            not_after: self.not_after.to_string(),
            origin: &self.log.origin,
            size: self.log.size,
            root: &self.log.root,
        };
        // Texts and one integer always have a canonical form; an empty text is signed by nobody's request.
        serde_json_canonicalizer::to_string(&canonical).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_document_and_every_member_changes_them() {
        let (digest, incident) = (Digest::from_bytes(&[7; 32]), IncidentId::new("INC-42"));
        let log = LogPoint { origin: "quarterdeck/plant".into(), size: 812, root: "qqo=".into() };
        let one = Statement {
            digest: &digest,
            incident: Some(&incident),
            decision: Decision::Approve,
            role: Role::BusinessOwner,
            nonce: "00ff",
            not_after: Timestamp::from_second(1_800_000_000).unwrap(),
            log: &log,
        };
        assert_eq!(
            one.text(),
            format!(
                "{{\"decision\":\"approve\",\"incident\":\"INC-42\",\"nonce\":\"00ff\",\
                 \"not_after\":\"2027-01-15T08:00:00Z\",\"origin\":\"quarterdeck/plant\",\"role\":\"business-owner\",\
                 \"root\":\"qqo=\",\"size\":812,\"step_digest\":\"{digest}\",\"v\":1}}"
            )
        );
        let (other, elsewhere) = (Digest::from_bytes(&[8; 32]), LogPoint { size: 813, ..log.clone() });
        let changed = [
            Statement { digest: &other, ..one },
            Statement { incident: None, ..one },
            Statement { decision: Decision::Deny, ..one },
            Statement { role: Role::Approver, ..one },
            Statement { nonce: "00fe", ..one },
            Statement { not_after: Timestamp::UNIX_EPOCH, ..one },
            Statement { log: &elsewhere, ..one },
        ];
        assert!(changed.iter().all(|s| s.text() != one.text()));
    }
}
