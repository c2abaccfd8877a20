//! A person's ssh-agent: which keys it holds, and a signature (SSHSIG) by one of them. The command line and the
//! console ask it; the engine never does, and no private key is ever read here. The protocol is OpenSSH's
//! `PROTOCOL.agent` (draft-miller-ssh-agent), of which two messages are needed. The crate ssh-agent-client-rs was
//! looked at: it waits without an end, fails on a single key of a kind that it does not know, and brings in `rsa`.

use crate::domain::text::sanitize;
use crate::policy::sshsig::{BadSignature, Certificate, PublicKey, SshSig, armor, to_sign};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Names the agent's socket.
pub const SOCKET: &str = "SSH_AUTH_SOCK";
/// How long an agent may take to list its keys.
const LISTING: Duration = Duration::from_secs(5);
/// How long a person may take to touch a security key or to answer the agent's question.
const SIGNING: Duration = Duration::from_mins(2);
/// Longest answer, as OpenSSH has it.
const LONGEST: usize = 256 * 1024;

const FAILURE: u8 = 5;
const REQUEST_IDENTITIES: u8 = 11;
const IDENTITIES_ANSWER: u8 = 12;
const SIGN_REQUEST: u8 = 13;
const SIGN_RESPONSE: u8 = 14;
/// Asks an RSA key for rsa-sha2-512.
const RSA_SHA2_512: u32 = 4;

/// Why an agent did not sign, one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is none.
    #[error(
        "no ssh-agent: {SOCKET} is not set; forward one (`ssh -A`), or sign elsewhere: `quarterdeck request export`, then `ssh-keygen -Y sign`"
    )]
    None,
    /// It can not be reached.
    #[error("the ssh-agent at {} can not be reached: {why}", .path.display())]
    Unreachable {
        /// Its socket.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It does not answer in time.
    #[error("the ssh-agent did not answer within {} s", .0.as_secs())]
    Late(Duration),
    /// It answered something else.
    #[error("the ssh-agent answered what was not asked: {0}")]
    Answer(String),
    /// It holds no key that could be used.
    #[error("the ssh-agent holds no key that is accepted here ({held} in all); `ssh-add -l` lists them")]
    Empty {
        /// How many keys it holds.
        held: usize,
    },
    /// It is locked.
    #[error(
        "the ssh-agent listed the key {0} and lists it no more: it is locked (`ssh-add -X` unlocks it), or the key was removed"
    )]
    Locked(String),
    /// A key that may only be used to log in to named hosts.
    #[error(
        "the ssh-agent refused at once to sign with {0}, which it still lists: most likely the key was added for named \
         destinations only (`ssh-add -h`), and such a key signs nothing but logins; add it without -h, use another key, \
         or sign elsewhere: `quarterdeck request export`, then `ssh-keygen -Y sign`"
    )]
    Constrained(String),
    /// A person said no, or did not touch the key.
    #[error("the ssh-agent did not sign with {0}: its question was declined, or the security key was not touched")]
    Declined(String),
    /// What it signed does not count.
    #[error("what the ssh-agent signed does not count: {0}")]
    Signature(#[from] BadSignature),
}

/// A key that an agent holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// The key; of a certificate, the one that it certifies.
    pub key: PublicKey,
    /// The certificate, where it holds one.
    pub certificate: Option<Certificate>,
    /// What the agent calls it.
    pub comment: String,
    /// What stands for it in a signature.
    blob: Vec<u8>,
}

impl Held {
    /// How sentences name it.
    pub fn name(&self) -> String {
        let comment = if self.comment.is_empty() { String::new() } else { format!(" ({})", self.comment) };
        format!("{} {}{comment}", self.key.algorithm(), self.key.fingerprint())
    }
}

/// An agent, by its socket.
#[derive(Clone, Debug)]
pub struct Agent {
    path: PathBuf,
}

impl Agent {
    /// The one at this socket.
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The one that this session names.
    ///
    /// # Errors
    /// [`AgentError::None`] when it names none.
    pub fn of_session() -> Result<Self, AgentError> {
        let path = std::env::var_os(SOCKET).filter(|p| !p.is_empty()).ok_or(AgentError::None)?;
        Ok(Self { path: path.into() })
    }

    /// The keys that it holds, those of other kinds left out; how many it holds in all.
    async fn all(&self) -> Result<(Vec<Held>, usize), AgentError> {
        let answer = self.ask(&[REQUEST_IDENTITIES], LISTING).await?;
        let mut reader = Fields(&answer);
        if reader.u8()? != IDENTITIES_ANSWER {
            return Err(AgentError::Answer("not a list of keys".into()));
        }
        let count = reader.u32()?;
        let mut held = Vec::new();
        for _ in 0..count {
            let (blob, comment) = (reader.string()?, reader.string()?);
            let comment = sanitize(&String::from_utf8_lossy(comment));
            let certificate = Certificate::read(blob).ok();
            let key = certificate.as_ref().map_or_else(|| PublicKey::read(blob), |c| Ok(c.key().clone()));
            if let Ok(key) = key {
                held.push(Held { key, certificate, comment, blob: blob.to_vec() });
            }
        }
        Ok((held, usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// The keys that it holds and that are of a kind which counts here.
    ///
    /// # Errors
    /// [`AgentError`] when it can not be asked, or holds none.
    pub async fn keys(&self) -> Result<Vec<Held>, AgentError> {
        let (keys, held) = self.all().await?;
        if keys.is_empty() { Err(AgentError::Empty { held }) } else { Ok(keys) }
    }

    /// Has these bytes signed for a namespace and answers the armored signature, which was checked.
    ///
    /// # Errors
    /// [`AgentError`] when it refuses, with what is most likely the cause.
    pub async fn sign(&self, held: &Held, namespace: &str, message: &[u8]) -> Result<String, AgentError> {
        let mut request = vec![SIGN_REQUEST];
        put(&mut request, &held.blob);
        put(&mut request, &to_sign(namespace, message));
        let flags = if held.key.algorithm() == "ssh-rsa" { RSA_SHA2_512 } else { 0 };
        request.extend(flags.to_be_bytes());
        let asked = tokio::time::Instant::now();
        let answer = self.ask(&request, SIGNING).await?;
        let mut reader = Fields(&answer);
        match reader.u8()? {
            SIGN_RESPONSE => {}
            FAILURE => return Err(self.refused(held, asked.elapsed()).await),
            other => return Err(AgentError::Answer(format!("a message of the kind {other}"))),
        }
        let armored = armor(&held.blob, namespace, reader.string()?);
        SshSig::parse(&armored)?.check(message, namespace)?;
        Ok(armored)
    }

    /// An agent says no more than no; why can be told from what it still lists and how long it took.
    async fn refused(&self, held: &Held, took: Duration) -> AgentError {
        let listed = self.all().await.is_ok_and(|(keys, _)| keys.iter().any(|k| k.blob == held.blob));
        if !listed {
            return AgentError::Locked(held.name());
        }
        // A person takes longer than that to decline, and a security key to give up.
        if !held.key.is_security_key() && took < Duration::from_millis(500) {
            return AgentError::Constrained(held.name());
        }
        AgentError::Declined(held.name())
    }

    async fn ask(&self, message: &[u8], patience: Duration) -> Result<Vec<u8>, AgentError> {
        let unreachable = |e: std::io::Error| AgentError::Unreachable { path: self.path.clone(), why: e.to_string() };
        let exchange = async {
            let mut stream = UnixStream::connect(&self.path).await.map_err(unreachable)?;
            let mut framed = Vec::new();
            put(&mut framed, message);
            stream.write_all(&framed).await.map_err(unreachable)?;
            let length = usize::try_from(stream.read_u32().await.map_err(unreachable)?).unwrap_or(usize::MAX);
            if length == 0 || length > LONGEST {
                return Err(AgentError::Answer(format!("{length} bytes")));
            }
            let mut answer = vec![0; length];
            stream.read_exact(&mut answer).await.map_err(unreachable)?;
            Ok(answer)
        };
        tokio::time::timeout(patience, exchange).await.map_err(|_| AgentError::Late(patience))?
    }
}

fn put(into: &mut Vec<u8>, bytes: &[u8]) {
    into.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
    into.extend_from_slice(bytes);
}

/// What is left of an answer.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], AgentError> {
        let parts = self.0.split_at_checked(count);
        let (head, rest) = parts.ok_or_else(|| AgentError::Answer("it ends early".into()))?;
        self.0 = rest;
        Ok(head)
    }

    fn u8(&mut self) -> Result<u8, AgentError> {
        self.take(1).map(|b| b.first().copied().unwrap_or_default())
    }

    fn u32(&mut self) -> Result<u32, AgentError> {
        let bytes = self.take(4)?;
        Ok(bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }

    fn string(&mut self) -> Result<&'a [u8], AgentError> {
        let length = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        self.take(length)
    }
}
