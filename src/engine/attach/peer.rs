//! One peer of the engine's socket: whom it is taken for, how it is spoken to, what ends its service, and how often its
//! kind of refusal is recorded. Only `listen` uses this; [`People`] is for whoever opens the socket.

use super::door;
use super::wire::{self, Greeting, Hello, Say, Unread};
use crate::domain::actor::Actor;
use crate::domain::text::sanitize;
use crate::engine::api::Proof;
use crate::policy::sshsig::{Signers, SshSig};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Longest that a peer may take to read what it is sent before it is dropped.
const SLOWEST: Duration = Duration::from_secs(10);
/// Longest name, terminal or address that a peer may claim, in characters.
const LONGEST_NAME: usize = 64;
/// Time in which one refusal of each kind is recorded.
const QUIET: Duration = Duration::from_mins(1);

/// Says by a signature who sits at a console.
pub trait People: Send + Sync + 'static {
    /// Fingerprints of the keys and authorities that count.
    fn keys(&self) -> Vec<String>;

    /// The person whose key made the signature over the text, and the key's fingerprint; or why it does not count.
    fn recognise(&self, text: &str, signature: &str) -> Result<(String, String), String>;
}

impl People for Signers {
    fn keys(&self) -> Vec<String> {
        let own = self.keys.iter().map(|e| e.key.fingerprint());
        own.chain(self.authorities.iter().map(|a| a.key.fingerprint())).collect()
    }

    fn recognise(&self, text: &str, signature: &str) -> Result<(String, String), String> {
        let parsed = SshSig::parse(signature).map_err(|e| e.to_string())?;
        let signer = parsed.signer(text.as_bytes(), wire::NAMESPACE, self, Timestamp::now());
        let signer = signer.map_err(|e| e.to_string())?;
        Ok((signer.person.to_string(), signer.fingerprint))
    }
}

/// The roster that is in force at the moment.
impl People for watch::Receiver<Arc<Signers>> {
    fn keys(&self) -> Vec<String> {
        self.borrow().keys()
    }

    fn recognise(&self, text: &str, signature: &str) -> Result<(String, String), String> {
        self.borrow().recognise(text, signature)
    }
}

/// Refusals that were not recorded because one of their kind was, a short while ago.
#[derive(Default)]
pub(super) struct Refusals {
    recorded: Mutex<BTreeMap<&'static str, (Instant, u64)>>,
}

impl Refusals {
    /// Whether one of this kind is to be recorded now, with how many were not since the last.
    pub(super) fn count(&self, kind: &'static str) -> Option<u64> {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        match recorded.get_mut(kind) {
            Some((at, more)) if at.elapsed() < QUIET => {
                *more = more.saturating_add(1);
                None
            }
            Some((at, more)) => {
                *at = Instant::now();
                Some(std::mem::take(more))
            }
            None => {
                recorded.insert(kind, (Instant::now(), 0));
                Some(0)
            }
        }
    }
}

/// A name as a peer claims it, made safe and short.
pub(super) fn claimed(text: &str) -> String {
    sanitize(text).trim().chars().take(LONGEST_NAME).collect()
}

/// What ends the service of a peer.
pub(super) enum Over {
    /// It is gone, or can not be reached.
    Gone(String),
    /// It said something that it should not have; a kind, and a sentence.
    Refused(&'static str, String),
}

impl From<io::Error> for Over {
    fn from(error: io::Error) -> Self {
        Self::Gone(error.to_string())
    }
}

impl From<Unread> for Over {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Long(_) | Unread::Garbled(_) | Unread::Half(_) => Self::Refused("frame", unread.to_string()),
            Unread::Closed | Unread::Failed(_) => Self::Gone(unread.to_string()),
        }
    }
}

/// The way to a peer.
pub(super) struct Peer {
    pub(super) to: OwnedWriteHalf,
    pub(super) actor: Actor,
    pub(super) proof: Proof,
    pub(super) greeting: Greeting,
    pub(super) read_only: bool,
}

impl Peer {
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match timeout(SLOWEST, self.to.write_all(bytes)).await {
            Ok(sent) => sent,
            Err(_) => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it did not read what it was sent for {} s", SLOWEST.as_secs()),
            )),
        }
    }

    pub(super) async fn say(&mut self, say: &Say) -> io::Result<()> {
        let line = wire::written(say)?;
        self.send(&line).await
    }

    /// Whom a peer is taken for. A person's own login names the person; under the engine's own user or root, which
    /// several people may share, the name is what the peer claims.
    pub(super) fn name(&mut self, hello: &Hello) {
        let own = door::own();
        let said = claimed(&hello.user);
        if (self.actor.uid == own || self.actor.uid == 0) && !said.is_empty() {
            self.proof = if said == self.actor.user { Proof::Login } else { Proof::Claimed };
            self.actor.user = said;
        } else {
            self.proof = Proof::Login;
        }
        self.actor.console = hello.console.as_deref().map(claimed).filter(|c| !c.is_empty());
        self.read_only = hello.read_only;
    }
}
