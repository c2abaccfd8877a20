//! The gate: the last check before a request is sent. Everything is checked again here from what the engine holds at
//! that moment, however sure the run's state machine already was; the two do not share code on purpose.

use super::authorized::Authorized;
use super::digest::{Bound, NotCanonical, digest};
use crate::domain::id::{Digest, IncidentId, Person, PlaybookId, RunId, StepId};
use crate::domain::incident::Role;
use crate::domain::mode::Mode;
use crate::domain::request::Request;
use crate::domain::risk::{Assessment, Confirmation, Risk};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;

/// How old the evaluation of a precondition may be at the moment of the start.
pub const MAX_CHECK_AGE: Duration = Duration::from_secs(5);

/// A record that is on disk, by its sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Durable(u64);

impl Durable {
    /// Names a record after the journal has acknowledged it as durable.
    pub const fn new(seq: u64) -> Self {
        Self(seq)
    }

    /// Its sequence number.
    pub const fn seq(self) -> u64 {
        self.0
    }
}

/// The confirmation that a person gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confirmed {
    /// Digest that was on the screen.
    pub digest: Digest,
    /// Plan generation that was on the screen.
    pub generation: u64,
    /// What was typed, where typing was asked for.
    pub typed: Option<String>,
    /// Who has logged in at the identity provider for it, with a second factor.
    pub login: Option<Person>,
    /// Its record.
    pub record: Durable,
}

/// What stands for the second person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approval {
    /// In a drill: simulated, and said to be.
    Simulated {
        /// Its record.
        record: Durable,
    },
    /// A person has signed. Its signature was checked again for this call.
    Signed {
        /// Who.
        person: Person,
        /// In which role.
        role: Role,
        /// Digest that was signed.
        digest: Digest,
        /// First moment at which it does not count any more.
        not_after: Timestamp,
        /// Whether a security key has signed.
        security_key: bool,
        /// Whether that person has logged in at the identity provider for it, with a second factor.
        login: bool,
        /// Its record.
        record: Durable,
    },
    /// The glass is broken.
    Glass {
        /// When it mends itself.
        until: Timestamp,
        /// Its record.
        record: Durable,
    },
}

/// One precondition as it was evaluated last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Its sentence or expression, as it stands in the digest.
    pub text: String,
    /// True, false, or not known.
    pub holds: Option<bool>,
    /// When it was evaluated.
    pub evaluated_at: Timestamp,
}

/// What witnesses say, where policy asks for a quorum of them before a high-risk step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witnessed {
    /// How many administrators' witnesses must cover the start.
    pub needed: u32,
    /// How many do.
    pub confirmed: u32,
    /// Number of records that so many cover; the start is covered when this is greater than its number.
    pub size: u64,
    /// Until when a broken glass stands for them, where one is broken.
    pub glass: Option<Timestamp>,
}

/// Everything that the gate looks at.
#[derive(Clone, Debug)]
pub struct Gate<'a> {
    /// Now.
    pub now: Timestamp,
    /// Mode of the engine.
    pub mode: Mode,
    /// The playbook and its version.
    pub playbook: (&'a PlaybookId, u32),
    /// The run.
    pub run: &'a RunId,
    /// The step.
    pub step: &'a StepId,
    /// The request that would be sent.
    pub request: &'a Request,
    /// Time allowed for it.
    pub timeout: Duration,
    /// Plan generation of the run now.
    pub generation: u64,
    /// What policy says of it now; assessed again for this call.
    pub assessment: &'a Assessment,
    /// The preconditions, all of them, evaluated after the confirmation.
    pub checks: &'a [Checked],
    /// The confirmation, where there was one.
    pub confirmed: Option<&'a Confirmed>,
    /// The approvals.
    pub approvals: &'a [Approval],
    /// Who asked for the run, where the roster knows them.
    pub requester: Option<&'a Person>,
    /// Who confirmed and executes, where the roster knows them.
    pub operator: Option<&'a Person>,
    /// The same, where it is proven and not only claimed: in whose name systems are asked that are asked so.
    pub proven: Option<&'a Person>,
    /// The declared incident, where there is one.
    pub incident: Option<&'a IncidentId>,
    /// Digest in the record `step.intended`.
    pub intended_digest: &'a Digest,
    /// The record `step.intended`.
    pub intended: Option<Durable>,
    /// The record `step.started`.
    pub started: Option<Durable>,
    /// What witnesses say; `None` where policy asks for none.
    pub witnessed: Option<Witnessed>,
}

/// Why the gate stays shut, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The mode lets nothing run.
    #[error("nothing can run in the mode {0}")]
    Mode(Mode),
    /// Policy says no.
    #[error("policy says no: {0}")]
    Policy(String),
    /// No incident is declared.
    #[error("this step needs a declared incident")]
    NoIncident,
    /// The request has no digest.
    #[error(transparent)]
    NotCanonical(#[from] NotCanonical),
    /// It is not the request that was recorded.
    #[error("the request {now} is not the one whose intent was recorded ({intended}); nothing was sent")]
    NotIntended {
        /// Digest now, short.
        now: String,
        /// Digest in the record, short.
        intended: String,
    },
    /// It was not confirmed.
    #[error("the step was not confirmed")]
    NotConfirmed,
    /// Another request was confirmed.
    #[error("the request {now} is not the one that was confirmed ({confirmed}); nothing was sent")]
    Changed {
        /// Digest now, short.
        now: String,
        /// Confirmed digest, short.
        confirmed: String,
    },
    /// The plan has changed since.
    #[error("the plan is at generation {now}, the confirmation was given for generation {confirmed}")]
    Generation {
        /// Generation now.
        now: u64,
        /// Confirmed generation.
        confirmed: u64,
    },
    /// The typed phrase differs.
    #[error("the typed phrase is not “{expected}”")]
    Phrase {
        /// What had to be typed.
        expected: String,
    },
    /// A precondition does not hold.
    #[error("the precondition “{0}” is false")]
    False(String),
    /// A precondition is not known.
    #[error("the precondition “{0}” is not known")]
    NotKnown(String),
    /// A precondition was evaluated too long ago.
    #[error("the precondition “{text}” was evaluated {age_ms} ms ago, at most {} ms are allowed", MAX_CHECK_AGE.as_millis())]
    Stale {
        /// Which.
        text: String,
        /// How long ago; negative when it lies in the future.
        age_ms: i128,
    },
    /// A second person is missing.
    #[error("{needed} approval(s) needed, {have} present")]
    NotApproved {
        /// How many policy asks for.
        needed: u8,
        /// How many count.
        have: usize,
    },
    /// Another request was approved.
    #[error("{person} has approved the request {approved}, and this is {now}; nothing was sent")]
    OtherApproved {
        /// Who.
        person: Person,
        /// Approved digest, short.
        approved: String,
        /// Digest now, short.
        now: String,
    },
    /// An approval came too long ago.
    #[error("the approval of {person} counted until {not_after}")]
    ApprovalOver {
        /// Who.
        person: Person,
        /// Until when.
        not_after: Timestamp,
    },
    /// Nobody approves their own step.
    #[error("{0} asked for this step or executes it, and can not approve it too")]
    SelfApproved(Person),
    /// An approval in a role that is not asked for.
    #[error("{person} has approved as {role}, and {asked} is asked for")]
    Role {
        /// Who.
        person: Person,
        /// In which role.
        role: Role,
        /// What is asked for.
        asked: String,
    },
    /// A role whose approval is missing.
    #[error("the approval of {0} is missing")]
    RoleMissing(Role),
    /// An ordinary key where a security key is asked for.
    #[error("policy asks for a second factor, and {0} has not signed with a security key")]
    NoSecurityKey(Person),
    /// Nobody has logged in for the confirmation.
    #[error("policy asks for a second factor, and who has confirmed the step has not logged in for it")]
    NotLoggedIn,
    /// Another person has logged in for the confirmation.
    #[error("{0} has logged in for the confirmation, and another person executes the step")]
    OtherLoggedIn(Person),
    /// An approval without a login.
    #[error("policy asks for a second factor, and {0} has not logged in for the approval")]
    ApproverNotLoggedIn(Person),
    /// Who asked is not known, so that nobody can tell that another person approved.
    #[error("the roster does not know who asked for this step or who executes it")]
    NobodyAsked,
    /// A simulated approval outside a drill.
    #[error("a simulated approval counts in a drill only")]
    SimulatedOutsideDrill,
    /// The glass has mended.
    #[error("the broken glass has mended itself at {0}")]
    GlassExpired(Timestamp),
    /// Too few witnesses cover the start.
    #[error("{confirmed} of {needed} witnesses have cosigned its start; nothing was sent")]
    NotWitnessed {
        /// How many policy asks for.
        needed: u32,
        /// How many do.
        confirmed: u32,
    },
    /// A record is missing or out of order.
    #[error("{0}; nothing runs that is not on disk first")]
    NotDurable(&'static str),
}

/// Checks everything and makes the permit.
///
/// # Errors
/// The first reason found not to let it run. Nothing was sent then.
pub fn authorize(gate: &Gate<'_>) -> Result<Authorized, Denial> {
    match gate.mode {
        Mode::Live | Mode::Drill => {}
        Mode::ReadOnly | Mode::Replay => return Err(Denial::Mode(gate.mode)),
    }
    if let Some(why) = gate.assessment.denials.first() {
        return Err(Denial::Policy(why.clone()));
    }
    if gate.assessment.needs_incident && gate.incident.is_none() {
        return Err(Denial::NoIncident);
    }
    let preconditions: Vec<String> = gate.checks.iter().map(|c| c.text.clone()).collect();
    let now = digest(&Bound {
        mode: gate.mode,
        playbook: gate.playbook,
        run: Some(gate.run),
        step: gate.step,
        request: gate.request,
        preconditions: &preconditions,
        timeout: gate.timeout,
    })?;
    if &now != gate.intended_digest {
        return Err(Denial::NotIntended { now: now.short(), intended: gate.intended_digest.short() });
    }
    confirmed(gate, &now)?;
    for check in gate.checks {
        fresh_and_true(check, gate.now)?;
    }
    approved(gate, &now)?;
    durable(gate)?;
    witnessed(gate)?;
    let permit = Authorized::new(gate.request.clone(), now, gate.timeout, gate.run.clone(), gate.step.clone());
    Ok(permit.by(gate.proven))
}

fn confirmed(gate: &Gate<'_>, now: &Digest) -> Result<(), Denial> {
    if gate.assessment.login {
        match gate.confirmed.and_then(|given| given.login.as_ref()) {
            None => return Err(Denial::NotLoggedIn),
            Some(person) if gate.operator == Some(person) => {}
            Some(person) => return Err(Denial::OtherLoggedIn(person.clone())),
        }
    }
    let Some(asked) = &gate.assessment.confirmation else { return Ok(()) };
    let given = gate.confirmed.ok_or(Denial::NotConfirmed)?;
    if &given.digest != now {
        return Err(Denial::Changed { now: now.short(), confirmed: given.digest.short() });
    }
    if given.generation != gate.generation {
        return Err(Denial::Generation { now: gate.generation, confirmed: given.generation });
    }
    match asked {
        Confirmation::Keypress => Ok(()),
        Confirmation::Typed { phrase } if given.typed.as_ref() == Some(phrase) => Ok(()),
        Confirmation::Typed { phrase } => Err(Denial::Phrase { expected: phrase.clone() }),
    }
}

fn fresh_and_true(check: &Checked, now: Timestamp) -> Result<(), Denial> {
    match check.holds {
        Some(true) => {}
        Some(false) => return Err(Denial::False(check.text.clone())),
        None => return Err(Denial::NotKnown(check.text.clone())),
    }
    let age_ms = now.duration_since(check.evaluated_at).as_millis();
    let limit = i128::try_from(MAX_CHECK_AGE.as_millis()).unwrap_or(i128::MAX);
    if (0..=limit).contains(&age_ms) { Ok(()) } else { Err(Denial::Stale { text: check.text.clone(), age_ms }) }
}

fn approved(gate: &Gate<'_>, digest: &Digest) -> Result<(), Denial> {
    let needed = gate.assessment.approvals;
    if needed == 0 {
        return Ok(());
    }
    let mut simulated = 0_usize;
    let mut glass = false;
    let mut signed: BTreeSet<&Person> = BTreeSet::new();
    let mut roles: BTreeSet<Role> = BTreeSet::new();
    for approval in gate.approvals {
        match approval {
            Approval::Simulated { .. } if gate.mode == Mode::Drill => simulated += 1,
            Approval::Simulated { .. } => return Err(Denial::SimulatedOutsideDrill),
            Approval::Signed { person, role, .. } => {
                counts(gate, digest, approval)?;
                signed.insert(person);
                roles.insert(*role);
            }
            Approval::Glass { until, .. } if gate.now < *until => glass = true,
            Approval::Glass { until, .. } => return Err(Denial::GlassExpired(*until)),
        }
    }
    if glass || simulated >= usize::from(needed) {
        return Ok(());
    }
    // One person counts once, with however many keys.
    if signed.len() < usize::from(needed) {
        return Err(Denial::NotApproved { needed, have: signed.len().max(simulated) });
    }
    let also = gate.assessment.terms.as_ref().map(|t| t.also.as_slice()).unwrap_or_default();
    match also.iter().find(|role| !roles.contains(role)) {
        Some(role) => Err(Denial::RoleMissing(*role)),
        None => Ok(()),
    }
}

/// Whether one signed approval counts for this request.
fn counts(gate: &Gate<'_>, now: &Digest, approval: &Approval) -> Result<(), Denial> {
    let Approval::Signed { person, role, digest, not_after, security_key, login, .. } = approval else { return Ok(()) };
    let person = || person.clone();
    if digest != now {
        return Err(Denial::OtherApproved { person: person(), approved: digest.short(), now: now.short() });
    }
    if gate.now >= *not_after {
        return Err(Denial::ApprovalOver { person: person(), not_after: *not_after });
    }
    let Some(terms) = &gate.assessment.terms else {
        return Err(Denial::Role { person: person(), role: *role, asked: "nobody".into() });
    };
    if (terms.not_requester && gate.requester.is_none()) || (terms.not_operator && gate.operator.is_none()) {
        return Err(Denial::NobodyAsked);
    }
    let is = |other: Option<&Person>| other == Some(&person());
    if (terms.not_requester && is(gate.requester)) || (terms.not_operator && is(gate.operator)) {
        return Err(Denial::SelfApproved(person()));
    }
    if !terms.admits(*role) {
        return Err(Denial::Role { person: person(), role: *role, asked: terms.who() });
    }
    if terms.security_key && !security_key {
        return Err(Denial::NoSecurityKey(person()));
    }
    if terms.login && !login {
        return Err(Denial::ApproverNotLoggedIn(person()));
    }
    Ok(())
}

fn durable(gate: &Gate<'_>) -> Result<(), Denial> {
    let intended = gate.intended.ok_or(Denial::NotDurable("the intent is not recorded"))?;
    let started = gate.started.ok_or(Denial::NotDurable("the start is not recorded"))?;
    if let Some(confirmed) = gate.confirmed
        && !(intended < confirmed.record && confirmed.record < started)
    {
        return Err(Denial::NotDurable("the confirmation is not recorded between intent and start"));
    }
    let late = |approval: &Approval| match approval {
        Approval::Signed { record, .. } => *record >= started || *record < intended,
        Approval::Simulated { record } | Approval::Glass { record, .. } => *record >= started,
    };
    if gate.approvals.iter().any(late) {
        return Err(Denial::NotDurable("an approval is not recorded between intent and start"));
    }
    if intended < started { Ok(()) } else { Err(Denial::NotDurable("the start is recorded before its intent")) }
}

/// A drill has no witnesses, and steps below high risk wait for none.
fn witnessed(gate: &Gate<'_>) -> Result<(), Denial> {
    let Some(Witnessed { needed, confirmed, size, glass }) = gate.witnessed else { return Ok(()) };
    if gate.mode == Mode::Drill || gate.assessment.risk != Risk::High || glass.is_some_and(|until| gate.now < until) {
        return Ok(());
    }
    let covers = gate.started.is_some_and(|started| size > started.seq());
    if covers && confirmed >= needed { Ok(()) } else { Err(Denial::NotWitnessed { needed, confirmed }) }
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
