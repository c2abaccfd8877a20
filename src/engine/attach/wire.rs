//! The protocol of the engine's socket. Each message is one line of JSON of a bounded length; a line that announces a
//! part of a snapshot is followed by one line with that part.
//!
//! The engine greets first, with its protocol and a nonce. The peer answers with its own [`Hello`]; a peer that speaks
//! another protocol is refused with a sentence before anything else is exchanged. After the welcome a console is sent
//! every change and a beat each second, and both may ask.

use crate::domain::mode::Mode;
use crate::engine::api::{Command, Proof, Reply};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

/// Number of the protocol. It changes whenever a peer of the number before could misread something; members that may
/// be absent can be added without a new number.
pub const PROTOCOL: u32 = 2;
/// Version of this program.
pub const PROGRAM: &str = env!("CARGO_PKG_VERSION");
/// Longest line that a peer may send to an engine, in bytes.
pub const LONGEST_ASK: usize = 256 * 1024;
/// Longest line that an engine may send, in bytes.
pub const LONGEST_SAY: usize = 256 * 1024 * 1024;

/// What a peer wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// To follow everything that happens, and to ask.
    Console,
    /// To ask once or a few times.
    Command,
}

/// Who a peer says it is. All of it is claimed; what is proven comes from the socket and from a signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Number of the protocol that it speaks.
    pub protocol: u32,
    /// Version of its program.
    pub program: String,
    /// What it wants.
    pub purpose: Purpose,
    /// Name of the person.
    pub user: String,
    /// Terminal, where there is one.
    pub console: Option<String>,
    /// Address from which the SSH session came, as sshd says: a hint.
    #[serde(default)]
    pub from: Option<String>,
    /// Whether it only looks on.
    #[serde(default)]
    pub read_only: bool,
    /// Name of the estate that it takes the engine for; an engine of another one turns it away.
    #[serde(default)]
    pub estate: Option<String>,
}

/// What a peer asks, after it has said who it is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case")]
pub enum Ask {
    /// First of all.
    Hello(Hello),
    /// The newest snapshot, once.
    Snapshot,
    /// A command.
    Command {
        /// Names it in the answer.
        id: u64,
        /// Which.
        command: Command,
    },
    /// Something of the journal's files.
    Journal {
        /// Names it in the answer.
        id: u64,
        /// What; see [`Shelf`].
        what: Value,
    },
    /// Says with a key who sits there.
    Prove {
        /// What [`nonce_text`] makes of the greeting, signed with the person's key: an armored SSHSIG in the namespace
        /// [`NAMESPACE`].
        signature: String,
    },
    /// The console is alive.
    Alive,
}

/// Namespace of the signatures by which a person is proven.
pub const NAMESPACE: &str = "attach@quarterdeck";

/// The bytes that a person signs: they hold for one connection to one engine and for nothing else. The engine's user is
/// named as the kernel names it to each end, so that an engine of another user can not pass a nonce on to be signed.
pub fn nonce_text(greeting: &Greeting, engine_uid: u32) -> String {
    let Greeting { estate, nonce, .. } = greeting;
    format!("quarterdeck attach v1\nestate {estate}\nengine uid {engine_uid}\nnonce {nonce}\n")
}

/// What an engine says of itself before anything else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// Number of the protocol that it speaks.
    pub protocol: u32,
    /// Version of its program.
    pub program: String,
    /// Estate.
    pub estate: String,
    /// Mode.
    pub mode: Mode,
    /// Process of the engine.
    pub pid: u32,
    /// Who started it.
    pub user: String,
    /// 32 random bytes in base64, made for this connection.
    pub nonce: String,
    /// Fingerprints of the keys and authorities whose signatures count; empty where nobody can be proven by a key.
    #[serde(default)]
    pub keys: Vec<String>,
}

/// What an engine says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "say", rename_all = "kebab-case")]
pub enum Say {
    /// First of all.
    Greeting(Greeting),
    /// The peer is in.
    Welcome {
        /// Number of the console among the consoles of this engine; 0 for a peer that only asks.
        console: u64,
        /// As whom it acts from here on.
        user: String,
        /// What proves it.
        proof: Proof,
    },
    /// What came of a proof: as whom the peer acts from here on.
    Proven {
        /// Name.
        user: String,
        /// What proves it.
        proof: Proof,
        /// Why the signature does not count, when it does not.
        doubt: Option<String>,
    },
    /// The peer is turned away; nothing follows.
    Refused {
        /// Why, one sentence.
        why: String,
    },
    /// The next line is a part of a snapshot.
    Part {
        /// Which.
        part: super::parts::Part,
    },
    /// The parts so far are one snapshot.
    Seen {
        /// Its generation.
        generation: u64,
        /// The engine's clock when it was made.
        at: Timestamp,
    },
    /// The engine is alive.
    Beat,
    /// The answer to a command.
    Reply {
        /// To which.
        id: u64,
        /// It.
        reply: Reply,
    },
    /// What was found in the journal's files.
    Journal {
        /// To which question.
        id: u64,
        /// What was found.
        found: Option<Value>,
        /// Why nothing was.
        why: Option<String>,
    },
    /// The engine ends in good order; nothing follows.
    Bye,
}

/// Why a line was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The other end has gone.
    #[error("the connection was closed")]
    Closed,
    /// The connection failed.
    #[error("the connection failed: {0}")]
    Failed(#[from] io::Error),
    /// A line without an end within the bound.
    #[error("a message of more than {0} bytes")]
    Long(usize),
    /// A line that is no message.
    #[error("a message that is not understood: {0}")]
    Garbled(serde_json::Error),
    /// A line broken off by the end of the connection.
    #[error("a message that breaks off after {0} bytes")]
    Half(usize),
}

impl Unread {
    /// Whether the peer said something that it should not have.
    pub const fn is_hostile(&self) -> bool {
        matches!(self, Self::Long(_) | Self::Garbled(_) | Self::Half(_))
    }
}

/// Reads one line of at most `longest` bytes, without its end, into a buffer.
pub async fn line<R: AsyncBufRead + Unpin>(from: &mut R, longest: usize, into: &mut Vec<u8>) -> Result<(), Unread> {
    into.clear();
    let most = u64::try_from(longest).unwrap_or(u64::MAX).saturating_add(1);
    from.take(most).read_until(b'\n', into).await?;
    match into.pop() {
        None => Err(Unread::Closed),
        Some(b'\n') => Ok(()),
        Some(_) if into.len() >= longest => Err(Unread::Long(longest)),
        Some(_) => Err(Unread::Half(into.len().saturating_add(1))),
    }
}

/// Reads one message.
pub async fn read<R: AsyncBufRead + Unpin, T: DeserializeOwned>(
    from: &mut R,
    longest: usize,
    buffer: &mut Vec<u8>,
) -> Result<T, Unread> {
    line(from, longest, buffer).await?;
    serde_json::from_slice(buffer).map_err(Unread::Garbled)
}

/// A message as the line that is sent.
pub fn written<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}

/// The journal's files, read for consoles that can not read them themselves. It is called on a thread that may block.
pub trait Shelf: Send + Sync + 'static {
    /// Answers one question, or says why it can not.
    fn read(&self, what: &Value) -> Result<Value, String>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    async fn ask(bytes: &[u8], longest: usize) -> Result<Ask, Unread> {
        let (mut from, mut buffer) = (bytes, Vec::new());
        read(&mut from, longest, &mut buffer).await
    }

    #[tokio::test]
    async fn each_way_to_be_wrong_has_its_name() {
        assert!(matches!(ask(b"{\"ask\":\"alive\"}\nmore", 64).await, Ok(Ask::Alive)));
        assert!(matches!(ask(b"", 64).await, Err(Unread::Closed)));
        assert!(matches!(ask(b"{\"ask\":", 64).await, Err(Unread::Half(7))));
        assert!(matches!(ask(b"nonsense\n", 64).await, Err(Unread::Garbled(_))));
        assert!(matches!(ask(&[b' '; 65], 64).await, Err(Unread::Long(64))));
        assert!(matches!(ask(b"{\"ask\":\"alive\"}\n", 15).await, Ok(Ask::Alive)));
        assert!(matches!(ask(b"{\"ask\":\"alive\"}\n", 14).await, Err(Unread::Long(14))));
        let deep = format!("{}\n", "[".repeat(100_000));
        assert!(matches!(ask(deep.as_bytes(), LONGEST_ASK).await, Err(Unread::Garbled(_))));
        let deep = format!("{{\"ask\":\"journal\",\"id\":1,\"what\":{}1{}}}\n", "[".repeat(5000), "]".repeat(5000));
        assert!(matches!(ask(deep.as_bytes(), LONGEST_ASK).await, Err(Unread::Garbled(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(ask(&bytes, 1000));
        }
    }
}
