//! The handle that consoles and the command line hold.

use super::api::{Command, Proof, Reply, Snapshot};
use crate::domain::actor::Actor;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};

/// A command on its way.
#[derive(Debug)]
pub struct Envelope {
    /// What is asked.
    pub command: Command,
    /// Who asks.
    pub actor: Actor,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Reply>,
}

/// A way to the engine; cheap to clone.
#[derive(Clone, Debug)]
pub struct Client {
    /// Commands; bounded, so that nobody can flood the engine.
    pub(super) commands: mpsc::Sender<Envelope>,
    /// The newest snapshot.
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    /// The engine's clock, once a second while it lives.
    pub beat: watch::Receiver<Timestamp>,
    /// How this handle hangs on the engine.
    pub link: watch::Receiver<Link>,
    /// Who holds this handle.
    pub(super) actor: Actor,
}

/// How a console hangs on its engine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// As whom it is attached; nothing when the engine runs in the same process.
    pub attached: Option<Attached>,
    /// Why the engine can not be reached, when that is so.
    pub lost: Option<Lost>,
}

/// As whom a console is attached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// Name.
    pub user: String,
    /// What proves it.
    pub proof: Proof,
    /// Why a signature did not count.
    pub doubt: Option<String>,
    /// Whether it only looks on.
    pub read_only: bool,
}

/// A connection that is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// Since when, by the wall clock of the console.
    pub since: Timestamp,
    /// What happened.
    pub why: String,
}

impl Client {
    /// Sends a command and waits for its answer, which comes after the records are on disk.
    pub async fn send(&self, command: Command) -> Reply {
        let (answer, reply) = oneshot::channel();
        let envelope = Envelope { command, actor: self.actor.clone(), answer };
        if self.commands.send(envelope).await.is_err() {
            return Reply::refused("the engine has ended");
        }
        reply.await.unwrap_or_else(|_| Reply::refused("the engine ended before it answered"))
    }

    /// The same way for somebody else.
    #[must_use]
    pub fn acting_as(&self, actor: Actor) -> Self {
        Self { actor, ..self.clone() }
    }

    /// The newest snapshot.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshots.borrow().clone()
    }
}
