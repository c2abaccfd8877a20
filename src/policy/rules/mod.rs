//! What `policy.toml` says: people and their keys, what raises a risk, who approves, decision rights, windows, the glass.
//! Plain values; [`decode`] reads them, [`super::assess`] and the engine apply them. The shipped file documents itself.

mod decode;
#[cfg(test)]
mod tests;
mod window;

pub use window::{Window, WindowKind};

use super::commands::Allowed;
use super::sshsig::{Authority, Enrolled, PublicKey, Revoked, Signers};
use crate::config::problem::Problems;
use crate::domain::actor::Actor;
use crate::domain::estate::{Environment, Tenancy};
use crate::domain::id::{Digest, Person};
use crate::domain::incident::{Role, Severity};
use crate::domain::risk::{BlastRadius, Risk};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The policy that is in force where there is no other.
pub const SHIPPED: &str = include_str!("../../../policy.toml");

/// A role, perhaps until a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Role.
    pub role: Role,
    /// Until when.
    pub until: Option<Timestamp>,
}

/// One person of the roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Name.
    pub person: Person,
    /// Login name.
    pub user: Option<String>,
    /// User id.
    pub uid: Option<u32>,
    /// What the identity provider calls them, where that is not their name.
    pub oidc: Option<String>,
    /// Roles.
    pub roles: Vec<Held>,
    /// Keys.
    pub keys: Vec<PublicKey>,
}

/// A rule that raises a risk; all its conditions must be true.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Raise {
    /// To which risk; `None` never occurs in a decoded rule.
    pub to: Option<Risk>,
    /// Verb, `*` at the end for a family.
    pub verb: Option<String>,
    /// Environments.
    pub environments: Vec<Environment>,
    /// Tenancy of the tenant that the run is about.
    pub tenancy: Option<Tenancy>,
    /// Least blast radius.
    pub blast_radius: Option<BlastRadius>,
    /// Whether it can not be taken back.
    pub irreversible: Option<bool>,
    /// Whether tenants share what it touches.
    pub shared: Option<bool>,
    /// More tenants than that are in the blast radius.
    pub tenants_over: Option<u64>,
    /// It touches more objects than that.
    pub objects_over: Option<u64>,
    /// Within a production window.
    pub in_production_window: bool,
    /// While changes are frozen.
    pub frozen: bool,
    /// The sentence, with `{tenants}`, `{objects}`, `{window}` and `{freeze}` to be filled in.
    pub because: String,
}

/// Who approves a risk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApprovalRule {
    /// How many.
    pub quorum: u8,
    /// How many where tenants share what is touched.
    pub quorum_shared: u8,
    /// How many where several tenants are in the blast radius.
    pub quorum_several: u8,
    /// One of these roles each.
    pub roles: Vec<Role>,
    /// How long is waited.
    pub timeout: Duration,
    /// Whether somebody is called when the time is over, and it goes on waiting as long again; else it is denied.
    pub escalates: bool,
}

impl ApprovalRule {
    const fn strict() -> Self {
        let timeout = Duration::from_mins(15);
        Self { quorum: 1, quorum_shared: 1, quorum_several: 1, roles: Vec::new(), timeout, escalates: false }
    }
}

/// What the platform team may not decide alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// Verbs, `*` at the end for a family.
    pub verbs: Vec<String>,
    /// From which risk on.
    pub from: Risk,
    /// Whose approval it needs.
    pub needs: Role,
    /// Why.
    pub because: String,
}

/// What proves a second factor for a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// Each approval is signed by a security key that was touched.
    SecurityKey,
    /// Who confirms the step, and who approves it, logs in at the identity provider for it.
    Oidc,
}

/// A whole policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// sha256 of its text.
    pub digest: Digest,
    /// People, in the order of the file.
    pub people: Vec<Member>,
    /// Certificate authorities.
    pub authorities: Vec<Authority>,
    /// File of what is revoked, beside the policy.
    pub revoked_file: Option<String>,
    /// What is revoked; read from that file by the caller.
    pub revoked: Revoked,
    /// What raises a risk.
    pub raises: Vec<Raise>,
    /// Who approves, by risk.
    pub approvals: BTreeMap<Risk, ApprovalRule>,
    /// Decision rights.
    pub rights: Vec<Right>,
    /// Windows.
    pub windows: Vec<Window>,
    /// Who may act while changes are frozen; empty is everybody.
    pub freeze_may_act: Vec<Role>,
    /// Whose approval a step needs outside the change window of its playbook.
    pub freeze_approver: Role,
    /// How long a broken glass stays broken.
    pub glass: Duration,
    /// Whether a broken glass stands for approvals.
    pub glass_waives_approvals: bool,
    /// Whether it stands for missing witnesses.
    pub glass_waives_witnesses: bool,
    /// Who grants an elevation.
    pub elevation_by: Vec<Role>,
    /// Roles that nobody is elevated to without a second factor, proven at the identity provider.
    pub elevation_mfa: Vec<Role>,
    /// The longest elevation.
    pub elevation_longest: Duration,
    /// Commands that may be run.
    pub commands: Vec<Allowed>,
    /// Whether low risk may run without a key where the playbook says so.
    pub automation: bool,
    /// From which risk on a second factor is asked for.
    pub mfa_from: Option<Risk>,
    /// What proves it; without a source the answer is no.
    pub mfa_source: Option<SecondFactor>,
    /// How many people besides the proposer sign a change of the policy.
    pub roster_quorum: u8,
    /// Up to which severity an incident closes only after the business owner accepted the recovery.
    pub recovery_accepted: Option<Severity>,
}

impl Default for Policy {
    /// The strictest: everything is high and nobody may approve. In force only where nothing could be read.
    fn default() -> Self {
        let all = [Risk::Low, Risk::Medium, Risk::High];
        let because = "the policy could not be read".to_owned();
        Self {
            digest: Digest::from_bytes(&Sha256::digest(b"").into()),
            people: Vec::new(),
            authorities: Vec::new(),
            revoked_file: None,
            revoked: Revoked::default(),
            raises: vec![Raise { to: Some(Risk::High), because, ..Raise::default() }],
            approvals: all.into_iter().map(|risk| (risk, ApprovalRule::strict())).collect(),
            rights: Vec::new(),
            windows: Vec::new(),
            freeze_may_act: Vec::new(),
            freeze_approver: Role::Approver,
            glass: Duration::from_mins(30),
            glass_waives_approvals: true,
            glass_waives_witnesses: true,
            elevation_by: Vec::new(),
            elevation_mfa: Vec::new(),
            elevation_longest: Duration::from_hours(1),
            commands: Vec::new(),
            automation: false,
            mfa_from: None,
            mfa_source: None,
            roster_quorum: 1,
            recovery_accepted: None,
        }
    }
}

impl Policy {
    /// Reads a policy; what it names beside itself (`revoked`) is not read here.
    ///
    /// # Errors
    /// Every error with its place.
    pub fn decode(file: &str, text: &str) -> Result<Self, Problems> {
        decode::decode(file, text)
    }

    /// The shipped one.
    pub fn shipped() -> Self {
        // A test reads the embedded file; were it broken, nothing would be allowed.
        Self::decode("policy.toml", SHIPPED).unwrap_or_default()
    }

    /// Everybody whose signature counts.
    pub fn signers(&self) -> Signers {
        let of = |m: &Member| m.keys.iter().map(|k| Enrolled { person: m.person.clone(), key: k.clone() }).collect();
        let keys: Vec<Vec<Enrolled>> = self.people.iter().map(of).collect();
        Signers { keys: keys.concat(), authorities: self.authorities.clone(), revoked: self.revoked.clone() }
    }

    /// Who somebody at a console is: by user id where the roster knows it, else by login name. A login name is claimed;
    /// an entry with a user id is never met by the name alone.
    pub fn person(&self, actor: &Actor) -> Option<&Person> {
        match actor.key() {
            // Proven at the socket by a key of the roster: the name is the person's.
            Some(_) => self.people.iter().map(|m| &m.person).find(|p| p.as_str() == actor.user),
            None => self.person_of(&actor.user, actor.uid),
        }
    }

    /// The same where nothing is proven.
    pub fn person_of(&self, user: &str, uid: u32) -> Option<&Person> {
        let by_uid = self.people.iter().find(|m| m.uid == Some(uid) && m.user.as_deref().is_none_or(|u| u == user));
        let by_name = || self.people.iter().find(|m| m.uid.is_none() && m.user.as_deref() == Some(user));
        by_uid.or_else(by_name).map(|m| &m.person)
    }

    /// Whom the identity provider means by a name: the entry whose `oidc` that is, else the one without `oidc` that is called so.
    pub fn named_by(&self, name: &str) -> Option<&Person> {
        let means = |m: &&Member| m.oidc.as_deref().unwrap_or(m.person.as_str()) == name;
        self.people.iter().find(means).map(|m| &m.person)
    }

    /// The person at a console where that is proven: by a key, or by a user id that stands for nobody else. A login name
    /// proves nothing, since whoever runs as the engine can claim one.
    pub fn proven(&self, actor: &Actor) -> Option<&Person> {
        let person = self.person(actor)?;
        let of_uid = |m: &&Member| m.uid == Some(actor.uid);
        let alone = self.people.iter().filter(of_uid).count() == 1
            && self.people.iter().find(of_uid).is_some_and(|m| m.person == *person);
        (actor.key().is_some() || alone).then_some(person)
    }

    /// The roles that people have by the roster at a moment.
    pub fn standing(&self, at: Timestamp) -> Standing {
        let roles = |m: &Member| {
            m.roles.iter().filter(|h| h.until.is_none_or(|until| at < until)).map(|h| h.role).collect::<BTreeSet<_>>()
        };
        Standing(self.people.iter().map(|m| (m.person.clone(), roles(m))).collect())
    }

    /// The freeze window of a moment.
    pub fn freeze_window(&self, at: Timestamp) -> Option<&Window> {
        self.windows.iter().find(|w| w.kind == WindowKind::Freeze && w.contains(at))
    }

    /// The production window of a moment.
    pub fn production_window(&self, at: Timestamp) -> Option<&Window> {
        self.windows.iter().find(|w| w.kind == WindowKind::Production && w.contains(at))
    }

    /// Whether a change window is closed at a moment, and why, for people. One that the policy does not know is closed.
    pub fn change_window_closed(&self, calendar: &str, at: Timestamp) -> Option<String> {
        let named = || self.windows.iter().filter(|w| w.kind == WindowKind::Change && w.name == calendar);
        if named().next().is_none() {
            return Some(format!("the policy knows no change window `{calendar}`, so it is never open"));
        }
        if named().any(|w| w.contains(at)) {
            return None;
        }
        Some(match named().filter_map(|w| w.opens_after(at)).min() {
            Some(opens) => format!("the change window `{calendar}` is closed; it opens at {opens:.0}"),
            None => format!("the change window `{calendar}` is closed, and does not open within five weeks"),
        })
    }

    /// The file of allowed signers with which `ssh-keygen -Y verify` checks approvals.
    pub fn allowed_signers(&self, namespaces: &str) -> String {
        let mut text = String::new();
        for member in &self.people {
            for key in &member.keys {
                text.push_str(&format!("{} namespaces=\"{namespaces}\" {}\n", member.person, key.line()));
            }
        }
        for authority in &self.authorities {
            for (principal, _) in &authority.principals {
                let key = authority.key.line();
                text.push_str(&format!("{principal} cert-authority,namespaces=\"{namespaces}\" {key}\n"));
            }
        }
        text
    }
}

/// Who holds which roles at one moment: by the roster, and by elevation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing(BTreeMap<Person, BTreeSet<Role>>);

impl Standing {
    /// Adds an elevation of somebody in the roster.
    pub fn elevate(&mut self, person: &Person, role: Role) {
        if let Some(roles) = self.0.get_mut(person) {
            roles.insert(role);
        }
    }

    /// Whether a person holds a role.
    pub fn holds(&self, person: &Person, role: Role) -> bool {
        self.0.get(person).is_some_and(|roles| roles.contains(&role))
    }

    /// The roles of a person.
    pub fn roles(&self, person: &Person) -> Vec<Role> {
        self.0.get(person).map(|roles| roles.iter().copied().collect()).unwrap_or_default()
    }

    /// People who hold one of the roles; everybody where none is named.
    pub fn with(&self, roles: &[Role]) -> Vec<&Person> {
        let has = |held: &BTreeSet<Role>| roles.is_empty() || roles.iter().any(|role| held.contains(role));
        self.0.iter().filter(|(_, held)| has(held)).map(|(person, _)| person).collect()
    }

    /// Whether nobody is known at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
