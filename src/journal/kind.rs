//! The kinds of records: one table, from which the type, its words and its weight come.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Whether a record opens something that will need another record, or tells how something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Weight {
    /// Announces an effect: refused when space for its outcome can not be set aside.
    Intent,
    /// Tells of something that has happened: taken as long as there is any space at all.
    Tells,
}

/// A word that is no kind this program knows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of record that this version of quarterdeck knows")]
pub struct UnknownKind(pub String);

macro_rules! kinds {
    ($($variant:ident $word:literal $weight:ident $doc:literal;)+) => {
        /// What a record tells of.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
        pub enum Kind {
            $(#[doc = $doc] #[serde(rename = $word)] $variant,)+
        }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word in the record: `step.started`.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }

            const fn weight(self) -> Weight {
                match self { $(Self::$variant => Weight::$weight),+ }
            }
        }
    };
}

kinds! {
    JournalOpened "journal.opened" Tells "A writer has taken the log.";
    JournalRecovered "journal.recovered" Tells "A torn last batch went to quarantine, or a segment that failed was left for a new one.";
    JournalHeartbeat "journal.heartbeat" Tells "The writer is alive; its absence is visible.";
    JournalSnapshot "journal.snapshot" Tells "A snapshot of the state lies beside the records; its digest is here.";
    JournalArchived "journal.archived" Tells "Sealed segments lie in an archive and leave this disk; their digests are here.";
    JournalClosed "journal.closed" Tells "The writer has let go of the log in good order.";
    KeyRotated "key.rotated" Tells "Another log key signs from here on.";
    ConfigLoaded "config.loaded" Tells "Digests of configuration, policy and playbooks in force.";
    RosterProposed "roster.proposed" Tells "Another policy was proposed.";
    RosterChanged "roster.changed" Tells "Who may approve has changed.";
    IncidentDeclared "incident.declared" Tells "An incident begins.";
    IncidentUpdated "incident.updated" Tells "Severity, state or title of an incident changed.";
    IncidentClosed "incident.closed" Tells "An incident is over.";
    RoleAssigned "role.assigned" Tells "A person took a role.";
    FindingRaised "finding.raised" Tells "A rule found something wrong.";
    FindingCleared "finding.cleared" Tells "It is no longer wrong.";
    FindingAcknowledged "finding.acknowledged" Tells "A person has seen a finding.";
    ReleaseSeen "release.seen" Tells "Tenants have another release, or one has come into service.";
    CapacitySeen "capacity.seen" Tells "What tenants have reserved and used on a day.";
    LeadTaken "lead.taken" Tells "An engine leads an incident, or the estate, from here on.";
    CommandPassed "command.passed" Tells "What was asked for at one bastion goes to the engine of another, which leads.";
    RunStarted "run.started" Intent "A playbook run begins.";
    RunPaused "run.paused" Tells "A run waits.";
    RunResumed "run.resumed" Intent "A run goes on.";
    RunStopped "run.stopped" Tells "A run was stopped before its end.";
    RunFinished "run.finished" Tells "A run came to its end.";
    ConsoleAttached "console.attached" Tells "A console joined.";
    ConsoleDetached "console.detached" Tells "A console left.";
    ConsoleProven "console.proven" Tells "A key has shown who sits at a console.";
    ConsoleRefused "console.refused" Tells "Somebody was turned away at the engine's socket.";
    EstateRefused "estate.refused" Tells "What a console was to take for an estate's is another's: an engine, a journal or a configuration.";
    ElevationRequested "elevation.requested" Intent "More rights are asked for.";
    ElevationGranted "elevation.granted" Intent "More rights are given for a time.";
    ElevationEnded "elevation.ended" Tells "The rights are gone.";
    IdentityProven "identity.proven" Tells "The identity provider has said who somebody is, with a second factor.";
    IdentityRefused "identity.refused" Tells "Somebody has not proven a second factor at the identity provider.";
    MeasureSet "measure.set" Tells "A measure came into force.";
    MeasureLifted "measure.lifted" Tells "A measure was taken back.";
    MeasureAcknowledged "measure.acknowledged" Tells "Who owns a measure knows of it.";
    MeasureAssigned "measure.assigned" Tells "A measure got an owner and an end.";
    StepIntended "step.intended" Intent "A step was rendered and is about to be asked for.";
    StepConfirmed "step.confirmed" Intent "A person confirmed exactly this step.";
    StepCancelled "step.cancelled" Tells "A person said no.";
    StepRefused "step.refused" Tells "Policy or a precondition said no.";
    ApprovalRequested "approval.requested" Intent "A second person is asked.";
    ApprovalGranted "approval.granted" Intent "A second person said yes.";
    ApprovalDenied "approval.denied" Tells "A second person said no.";
    ApprovalExpired "approval.expired" Tells "Nobody answered in time.";
    StepStarted "step.started" Intent "The request is sent after this record is durable.";
    StepFinished "step.finished" Tells "What the server answered.";
    StepUnknown "step.unknown" Tells "Whether it had its effect is not known.";
    StepReconciled "step.reconciled" Tells "Looking at the target told what became of it.";
    StepVerified "step.verified" Tells "Its effect was seen for as long as asked.";
    StepVerificationFailed "step.verification_failed" Tells "Its effect was not seen.";
    StepSkipped "step.skipped" Tells "A step was passed over.";
    StepRolledBack "step.rolled_back" Tells "A step was taken back.";
    EscalationSent "escalation.sent" Tells "Somebody was called.";
    EscalationAcknowledged "escalation.acknowledged" Tells "Somebody answered the call.";
    ExerciseStarted "exercise.started" Tells "An exercise begins: what is expected, and how it is scored.";
    ExerciseObserved "exercise.observed" Tells "The exercise saw on its estate what an expectation or a mistake waits for.";
    ExerciseSteered "exercise.steered" Tells "The facilitator did something to the exercise.";
    ExerciseEnded "exercise.ended" Tells "An exercise is over.";
    InjectFired "inject.fired" Tells "The exercise did something to its estate.";
    HintGiven "hint.given" Tells "The exercise helped.";
    ScoreOverridden "score.overridden" Tells "The facilitator changed a score.";
    RecoveryAccepted "recovery.accepted" Tells "The business accepted the recovery.";
    DecisionMade "decision.made" Tells "A person chose.";
    EvidenceCaptured "evidence.captured" Tells "Something seen was kept.";
    NoteAdded "note.added" Tells "A person wrote something down.";
    CommsIntended "comms.intended" Intent "A message is about to leave; it is sent after this record is durable.";
    CommsSent "comms.sent" Tells "Stakeholders were told.";
    CommsFailed "comms.failed" Tells "A message has reached nobody by its channel.";
    CommsUnknown "comms.unknown" Tells "Whether a channel has taken a message is not known.";
    FreezeSet "freeze.set" Tells "Changes are frozen.";
    FreezeLifted "freeze.lifted" Tells "The freeze is over.";
    GlassBroken "glass.broken" Intent "Rules were waived, loudly and for a time.";
    GlassRestored "glass.restored" Tells "The rules hold again.";
    GlassReviewed "glass.reviewed" Tells "Somebody looked at what was done meanwhile.";
    Redaction "redaction" Tells "A side file was deleted.";
}

impl Kind {
    /// Whether it announces an effect. Such a record is refused while the disk is low; the others are taken
    /// as long as they fit, because they tell how something that was announced went.
    pub fn is_intent(self) -> bool {
        self.weight() == Weight::Intent
    }

    /// Whether only the engine that leads the incident writes it, where several write one log: what a run did and is
    /// about to do.
    pub fn is_led(self) -> bool {
        let refusal = self == Self::StepRefused;
        let word = self.word();
        let own = matches!(self, Self::ApprovalRequested | Self::LeadTaken);
        !refusal && (word.starts_with("run.") || word.starts_with("step.") || own)
    }

    /// The kinds that a word of a command line means: `step.started`, or `step` for all of that family.
    /// Empty when there are none.
    pub fn matching(word: &str) -> Vec<Self> {
        let family = word.trim_end_matches('*').trim_end_matches('.');
        let is_meant = |kind: &Self| {
            kind.word() == word || kind.word().strip_prefix(family).is_some_and(|rest| rest.starts_with('.'))
        };
        Self::ALL.iter().copied().filter(is_meant).collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(word: &str) -> Result<Self, UnknownKind> {
        Self::ALL.iter().copied().find(|k| k.word() == word).ok_or_else(|| UnknownKind(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn words_are_unique_and_both_ways_agree() {
        let words: BTreeSet<_> = Kind::ALL.iter().map(|k| k.word()).collect();
        assert_eq!(words.len(), Kind::ALL.len());
        for kind in Kind::ALL {
            assert_eq!(kind.word().parse(), Ok(*kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.word());
        }
        assert_eq!("step.exploded".parse::<Kind>(), Err(UnknownKind("step.exploded".into())));
    }

    #[test]
    fn what_leads_to_an_effect_is_an_intent_and_what_tells_of_one_is_not() {
        for kind in [Kind::StepIntended, Kind::StepConfirmed, Kind::StepStarted, Kind::GlassBroken] {
            assert!(kind.is_intent(), "{kind}");
        }
        for kind in [Kind::StepFinished, Kind::StepUnknown, Kind::StepVerified, Kind::JournalClosed] {
            assert!(!kind.is_intent(), "{kind}");
        }
    }

    #[test]
    fn a_family_is_named_by_its_first_word() {
        assert_eq!(Kind::matching("step.started"), [Kind::StepStarted]);
        assert_eq!(Kind::matching("glass"), [Kind::GlassBroken, Kind::GlassRestored, Kind::GlassReviewed]);
        assert_eq!(Kind::matching("glass.*"), Kind::matching("glass"));
        assert_eq!(Kind::matching("redaction"), [Kind::Redaction]);
        assert!(Kind::matching("ste").is_empty() && Kind::matching("").is_empty());
    }
}
