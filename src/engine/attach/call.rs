//! One connection to an engine, from the side of whoever calls: both ends say who they are, the person is proven, one thing
//! is asked. `remote` keeps such a connection for a console.

use super::door::{self, Shut};
use super::parts::Assembler;
use super::wire::{self, Ask, Greeting, Hello, LONGEST_SAY, PROGRAM, PROTOCOL, Purpose, Say, Unread};
use crate::domain::actor::Actor;
use crate::domain::text::sanitize;
use crate::engine::api::{Command, Proof, Reply, Snapshot};
use futures::future::BoxFuture;
use serde_json::Value;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::timeout;

/// Longest that an engine may take to greet, to let in and to say everything for the first time.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
/// What a command is answered whose connection broke.
pub const UNANSWERED: &str =
    "the connection to the engine broke before it answered; the journal says whether it was done";

/// Signs a text with one of the keys that an engine knows, given by their fingerprints; nothing where there is none.
pub type Sign = Arc<dyn Fn(String, Vec<String>) -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// Who attaches, and where.
#[derive(Clone)]
pub struct Caller {
    /// The engine's socket.
    pub socket: PathBuf,
    /// Who sits here.
    pub me: Actor,
    /// Address from which the SSH session came, as sshd says.
    pub from: Option<String>,
    /// Whether it only looks on.
    pub read_only: bool,
    /// How the person is proven.
    pub sign: Option<Sign>,
    /// Name of the estate that is meant; whatever answers there when absent.
    pub estate: Option<String>,
}

impl Caller {
    /// The same, for an engine of this estate alone.
    #[must_use]
    pub fn of(self, estate: &str) -> Self {
        Self { estate: Some(estate.to_owned()), ..self }
    }
}

/// What is said where the engine of another estate answers.
pub(super) fn other_estate(runs: &str, meant: &str) -> String {
    format!("the engine there runs for {}, and {} was meant: nothing is done there", sanitize(runs), sanitize(meant))
}

/// Why there is no way to an engine.
#[derive(Debug, thiserror::Error)]
pub enum Away {
    /// None listens.
    #[error("no engine listens at {0}")]
    Nobody(String),
    /// The engine does not let this peer in, or one end can not understand the other.
    #[error("{0}")]
    Refused(String),
    /// The engine there is that of another estate.
    #[error("{0}")]
    Elsewhere(String),
    /// It was there and is not any more.
    #[error("{0}")]
    Lost(String),
}

impl From<Shut> for Away {
    fn from(shut: Shut) -> Self {
        match shut {
            Shut::Nobody(path) => Self::Nobody(path),
            Shut::Refused(why) => Self::Refused(why),
        }
    }
}

impl From<Unread> for Away {
    fn from(unread: Unread) -> Self {
        if unread.is_hostile() {
            Self::Refused(format!(
                "the engine says something that this quarterdeck {PROGRAM} does not understand: {unread}"
            ))
        } else {
            Self::Lost(unread.to_string())
        }
    }
}

impl From<io::Error> for Away {
    fn from(error: io::Error) -> Self {
        Self::Lost(format!("the connection failed: {error}"))
    }
}

/// A connection on which both ends have said who they are.
pub(super) struct Connection {
    pub(super) from: BufReader<OwnedReadHalf>,
    pub(super) to: OwnedWriteHalf,
    pub(super) greeting: Greeting,
    /// User of the process that listens, as the kernel says.
    pub(super) engine_uid: u32,
    pub(super) user: String,
    pub(super) proof: Proof,
}

async fn say(from: &mut BufReader<OwnedReadHalf>, buffer: &mut Vec<u8>) -> Result<Say, Away> {
    let read = timeout(PATIENCE, wire::line(from, LONGEST_SAY, buffer)).await;
    read.map_err(|_| Away::Lost(format!("the engine said nothing for {} s", PATIENCE.as_secs())))??;
    match serde_json::from_slice(buffer) {
        Ok(Say::Refused { why }) => Err(Away::Refused(sanitize(&why))),
        Ok(say) => Ok(say),
        Err(error) => Err(other_version(buffer).unwrap_or_else(|| Unread::Garbled(error).into())),
    }
}

/// What is said to an engine of which not even the greeting is understood.
fn other_version(line: &[u8]) -> Option<Away> {
    let said: Value = serde_json::from_slice(line).ok()?;
    let protocol = said.get("protocol")?.as_u64().filter(|p| *p != u64::from(PROTOCOL))?;
    Some(another(protocol, said.get("program").and_then(Value::as_str).unwrap_or("of an unknown version")))
}

fn another(protocol: u64, program: &str) -> Away {
    Away::Refused(format!(
        "the engine is quarterdeck {} and speaks protocol {protocol}; this is {PROGRAM} and speaks protocol {PROTOCOL}: \
         use the program that the engine runs",
        sanitize(program)
    ))
}

impl Connection {
    pub(super) async fn open(caller: &Caller, purpose: Purpose) -> Result<Self, Away> {
        let stream = UnixStream::from_std({
            let stream = door::connect(&caller.socket)?;
            stream.set_nonblocking(true)?;
            stream
        })?;
        let engine_uid = stream.peer_cred()?.uid();
        let (from, mut to) = stream.into_split();
        let mut from = BufReader::with_capacity(64 * 1024, from);
        let mut buffer = Vec::new();
        let Say::Greeting(greeting) = say(&mut from, &mut buffer).await? else {
            return Err(Away::Refused("what listens there does not greet as an engine does".to_owned()));
        };
        if greeting.protocol != PROTOCOL {
            return Err(another(u64::from(greeting.protocol), &greeting.program));
        }
        let other = caller.estate.as_deref().filter(|meant| *meant != greeting.estate);
        let hello = Hello {
            estate: caller.estate.clone(),
            protocol: PROTOCOL,
            program: PROGRAM.to_owned(),
            purpose,
            user: caller.me.user.clone(),
            console: caller.me.console.clone(),
            from: caller.from.clone(),
            read_only: caller.read_only,
        };
        to.write_all(&wire::written(&Ask::Hello(hello))?).await?;
        if let Some(meant) = other {
            // It was told, so that it records who came for another estate; an older one would have let this peer in.
            return Err(Away::Elsewhere(other_estate(&greeting.estate, meant)));
        }
        match say(&mut from, &mut buffer).await? {
            Say::Welcome { user, proof, .. } => Ok(Self { from, to, greeting, engine_uid, user, proof }),
            _ => Err(Away::Refused("what listens there does not let in as an engine does".to_owned())),
        }
    }

    async fn send(&mut self, ask: &Ask) -> Result<(), Away> {
        Ok(self.to.write_all(&wire::written(ask)?).await?)
    }

    /// Proves who asks, where there is a key; what speaks against it is said on standard error by the caller.
    async fn prove(&mut self, caller: &Caller) -> Result<Option<String>, Away> {
        let Some(signature) = signed(caller, &self.greeting, self.engine_uid).await else { return Ok(None) };
        self.send(&Ask::Prove { signature }).await?;
        let mut buffer = Vec::new();
        match say(&mut self.from, &mut buffer).await? {
            Say::Proven { doubt, .. } => Ok(doubt),
            _ => Err(Away::Refused("the engine answered something else".to_owned())),
        }
    }
}

pub(super) async fn signed(caller: &Caller, greeting: &Greeting, engine_uid: u32) -> Option<String> {
    let sign = caller.sign.as_ref().filter(|_| !greeting.keys.is_empty())?;
    sign(wire::nonce_text(greeting, engine_uid), greeting.keys.clone()).await
}

/// What the engine at a path says of itself.
pub async fn greeting(caller: &Caller) -> Result<Greeting, Away> {
    Ok(Connection::open(caller, Purpose::Command).await?.greeting)
}

/// Sends one command; the person is proven first where there is a key.
pub async fn command(caller: &Caller, command: Command) -> Result<Reply, Away> {
    let mut connection = Connection::open(caller, Purpose::Command).await?;
    // A proof that does not count leaves the name claimed; what that allows is for the engine to say.
    connection.prove(caller).await?;
    connection.send(&Ask::Command { id: 1, command }).await?;
    let mut buffer = Vec::new();
    wire::line(&mut connection.from, LONGEST_SAY, &mut buffer).await.map_err(|_| Away::Lost(UNANSWERED.to_owned()))?;
    match serde_json::from_slice(&buffer) {
        Ok(Say::Reply { reply, .. }) => Ok(reply),
        Ok(Say::Refused { why }) => Err(Away::Refused(sanitize(&why))),
        _ => Err(Away::Refused("the engine answered something else".to_owned())),
    }
}

/// The newest snapshot.
pub async fn snapshot(caller: &Caller) -> Result<Snapshot, Away> {
    let mut connection = Connection::open(caller, Purpose::Command).await?;
    connection.send(&Ask::Snapshot).await?;
    let (mut buffer, mut assembler) = (Vec::new(), Assembler::default());
    loop {
        match say(&mut connection.from, &mut buffer).await? {
            Say::Part { part } => {
                wire::line(&mut connection.from, LONGEST_SAY, &mut buffer).await?;
                assembler.take(part, &buffer).map_err(not_understood)?;
            }
            Say::Seen { generation, at } => {
                return assembler.seen(generation, at).ok_or_else(|| not_understood("nothing was said"));
            }
            _ => return Err(Away::Refused("the engine answered something else".to_owned())),
        }
    }
}

pub(super) fn not_understood(why: impl std::fmt::Display) -> Away {
    Away::Refused(format!("the engine says something that this quarterdeck {PROGRAM} does not understand: {why}"))
}
