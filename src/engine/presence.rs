//! Who is attached, as the engine keeps it: consoles come, prove who sits there, fall silent and leave, and each of
//! that is a record. The deputy takes over from a commander whose console is gone.

use super::api::{ConsoleView, Proof, Reply};
use super::commands::words;
use super::core::Engine;
use super::counters::Counters;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, Person};
use crate::domain::incident::Role;
use crate::domain::text::sanitize;
use crate::journal::Kind;
use jiff::Timestamp;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::{mpsc, oneshot};

/// Where a listener says who comes and goes.
#[derive(Clone, Debug)]
pub struct Door {
    pub(super) arrive: mpsc::Sender<Arrival>,
    pub(super) counters: Arc<Counters>,
}

/// Somebody at the door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    /// Who asks from here on.
    pub actor: Actor,
    /// What proves it.
    pub proof: Proof,
    /// Address from which the SSH session came, as sshd says.
    pub from: Option<String>,
    /// Whether it only looks on.
    pub read_only: bool,
}

/// What happened at the door.
#[derive(Debug)]
pub(super) enum Arrival {
    Attached { visitor: Visitor, answer: oneshot::Sender<u64> },
    Proven { id: u64, actor: Actor, key: String },
    Silent { id: u64, since: Option<Timestamp> },
    Left { id: u64, actor: Actor, why: String },
    Refused { actor: Actor, why: String, more: u64 },
    Elsewhere { actor: Actor, estate: String, why: String },
}

impl Door {
    /// A console has come; answers its number, or nothing when the engine has ended.
    pub async fn attached(&self, visitor: Visitor) -> Option<u64> {
        let (answer, id) = oneshot::channel();
        self.arrive.send(Arrival::Attached { visitor, answer }).await.ok()?;
        id.await.ok()
    }

    /// A key has shown who sits at a console.
    pub async fn proven(&self, id: u64, actor: Actor, key: String) {
        self.tell(Arrival::Proven { id, actor, key }).await;
    }

    /// A console has been silent since a moment, or is heard of again.
    pub async fn silent(&self, id: u64, since: Option<Timestamp>) {
        self.tell(Arrival::Silent { id, since }).await;
    }

    /// A console has gone.
    pub async fn left(&self, id: u64, actor: Actor, why: String) {
        self.tell(Arrival::Left { id, actor, why }).await;
    }

    /// Counts one that was turned away, whether it is recorded or not.
    pub fn turned_away(&self) {
        self.counters.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Somebody was turned away, and so were `more` others of whom nothing was said.
    pub async fn refused(&self, actor: Actor, why: String, more: u64) {
        self.tell(Arrival::Refused { actor, why, more }).await;
    }

    /// What the console in which this engine runs was to take for an estate's is another's.
    pub async fn elsewhere(&self, actor: Actor, estate: String, why: String) {
        self.tell(Arrival::Elsewhere { actor, estate, why }).await;
    }

    /// An engine that has ended needs to hear nothing.
    async fn tell(&self, arrival: Arrival) {
        let _ = self.arrive.send(arrival).await;
    }
}

/// The consoles by their numbers.
#[derive(Debug, Default)]
pub(super) struct Consoles {
    all: BTreeMap<u64, ConsoleView>,
    last: u64,
}

impl Consoles {
    pub(super) fn views(&self) -> Vec<ConsoleView> {
        self.all.values().cloned().collect()
    }
}

/// Ways in which a process came that is no console: `serve` has no screen.
const NO_CONSOLE: &str = "serve";

impl Engine {
    /// The console that the engine runs in, where it runs in one.
    pub(super) async fn own_console(&mut self) {
        if self.me.via == NO_CONSOLE {
            return;
        }
        let login = super::attach::door::login(self.me.uid);
        let proof = if login.as_deref() == Some(&self.me.user) { Proof::Login } else { Proof::Claimed };
        let visitor = Visitor { actor: self.me.clone(), proof, from: None, read_only: false };
        self.comes(visitor).await;
    }

    /// All consoles leave with the engine.
    pub(super) async fn all_leave(&mut self) {
        for (id, view) in self.consoles.all.clone() {
            let actor = Actor {
                user: view.user.to_string(),
                uid: view.uid,
                via: view.via,
                host: self.me.host.clone(),
                console: view.console,
            };
            self.leaves(id, &actor, "the engine ends").await;
        }
    }

    /// Takes in what happened at the door. What can not be recorded is shown nevertheless: looking on must be
    /// possible while the journal is broken, and nothing is executed then anyway.
    pub(super) async fn arrived(&mut self, arrival: Arrival) {
        match arrival {
            Arrival::Attached { visitor, answer } => {
                let id = self.comes(visitor).await;
                // A console that has gone meanwhile says so by itself.
                let _ = answer.send(id);
            }
            Arrival::Proven { id, actor, key } => {
                if let Some(view) = self.consoles.all.get_mut(&id) {
                    view.user = Person::new(actor.user.clone());
                    view.via.clone_from(&actor.via);
                    view.proof = Proof::Key(key.clone());
                }
                let body = json!({ "number": id, "person": actor.user, "key": key, "console": actor.console });
                let _ = self.record(Kind::ConsoleProven, None, body, &actor).await;
            }
            Arrival::Silent { id, since } => {
                if let Some(view) = self.consoles.all.get_mut(&id) {
                    view.silent_since = since;
                }
            }
            Arrival::Left { id, actor, why } => self.leaves(id, &actor, &why).await,
            Arrival::Refused { actor, why, more } => {
                let body = json!({ "why": why, "more": Some(more).filter(|n| *n > 0) });
                let _ = self.record(Kind::ConsoleRefused, None, body, &actor).await;
            }
            Arrival::Elsewhere { actor, estate, why } => {
                let body = json!({ "estate": sanitize(&estate), "why": sanitize(&why) });
                let _ = self.record(Kind::EstateRefused, None, body, &actor).await;
            }
        }
    }

    async fn comes(&mut self, visitor: Visitor) -> u64 {
        let Visitor { actor, proof, from, read_only } = visitor;
        self.consoles.last = self.consoles.last.saturating_add(1);
        let id = self.consoles.last;
        let body = json!({
            "console": actor.console, "number": id, "proof": proof.words(), "from": from, "read_only": read_only,
        });
        let view = ConsoleView {
            id,
            user: Person::new(actor.user.clone()),
            proof,
            uid: actor.uid,
            via: actor.via.clone(),
            console: actor.console.clone(),
            from,
            read_only,
            since: self.clock.now(),
            silent_since: None,
        };
        self.consoles.all.insert(id, view);
        let _ = self.record(Kind::ConsoleAttached, None, body, &actor).await;
        id
    }

    async fn leaves(&mut self, id: u64, actor: &Actor, why: &str) {
        if self.consoles.all.remove(&id).is_some() {
            let body = json!({ "console": actor.console, "number": id, "why": why });
            let _ = self.record(Kind::ConsoleDetached, None, body, actor).await;
        }
    }

    /// The deputy takes the command over, when no console of the commander is heard of.
    pub(super) async fn take_over(
        &mut self,
        incident: IncidentId,
        reason: &str,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let reason = words(reason, "the reason")?;
        let known = self.state.open_incident(&incident).map_err(Reply::refused)?;
        let (commander, deputy) = (known.roles.get(&Role::Commander).cloned(), known.roles.get(&Role::Deputy).cloned());
        let me = Person::new(actor.user.clone());
        let Some(commander) = commander else {
            return Err(Reply::refused(format!("{incident} has no commander: give the role to somebody")));
        };
        if commander == me {
            return Err(Reply::refused(format!("you command {incident} already")));
        }
        match deputy {
            Some(deputy) if deputy == me => {}
            Some(deputy) => {
                return Err(Reply::denied(format!("only the deputy can take over, and that is {deputy}")));
            }
            None => return Err(Reply::denied(format!("only the deputy can take over, and {incident} has none"))),
        }
        let here = self.consoles.all.values().find(|c| c.user == commander && c.silent_since.is_none());
        if let Some(console) = here {
            let place = console.console.as_deref().unwrap_or("a console");
            return Err(Reply::denied(format!("{commander} is attached at {place}: ask for the hand-over")));
        }
        let why = format!("taken over, no console of {commander} is heard of: {reason}");
        let body = json!({ "role": Role::Commander, "person": me, "from": commander, "why": why, "taken_over": true });
        let done = format!("{me} commands {incident}, taken over from {commander}");
        self.write(Kind::RoleAssigned, Some(incident), body, actor, &done).await
    }
}
