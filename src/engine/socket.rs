//! The engine's Unix socket: one JSON request a line, one JSON answer a line. Commands that change something
//! come through it when an engine runs; the peer's uid, as the kernel states it, is who asks.

use super::api::{Command, Reply, Snapshot};
use super::client::Client;
use crate::domain::actor::Actor;
use serde::{Deserialize, Serialize};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

/// Longest request in bytes.
const LONGEST: u64 = 64 * 1024;
/// Longest a peer may take for its request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Peers served at once.
const PEERS: usize = 32;

/// What a peer asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Ask {
    /// The newest snapshot.
    Snapshot,
    /// A command.
    Command {
        /// Which.
        command: Command,
        /// Login name that the peer claims.
        user: String,
        /// Terminal of the peer.
        console: Option<String>,
    },
}

/// What it is answered.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The snapshot.
    Snapshot {
        /// It.
        snapshot: Box<Snapshot>,
    },
    /// The reply to a command.
    Reply {
        /// It.
        reply: Reply,
    },
    /// The request was not understood, or the peer may not ask.
    Error {
        /// Why.
        message: String,
    },
}

/// The listening end; its file goes away with it.
#[derive(Debug)]
pub struct Listener {
    path: PathBuf,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Listens at a path. The caller holds the journal's lock, so that a file which is there is a dead engine's.
pub fn listen(path: &Path, client: Client) -> io::Result<Listener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    let task = tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(PEERS));
        while let Ok(place) = places.clone().acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let client = client.clone();
            tokio::spawn(async move {
                // A peer that breaks off is no event of the engine's.
                let _ = serve(stream, client).await;
                drop(place);
            });
        }
    });
    Ok(Listener { path: path.to_path_buf(), task })
}

async fn serve(stream: UnixStream, client: Client) -> io::Result<()> {
    let uid = stream.peer_cred()?.uid();
    let own = rustix::process::getuid().as_raw();
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(LONGEST)).lines();
    let asked = tokio::time::timeout(PATIENCE, lines.next_line()).await.unwrap_or(Ok(None))?;
    let Some(line) = asked else { return Ok(()) };
    let answer = match serde_json::from_str::<Ask>(&line) {
        _ if uid != own && uid != 0 => Answer::Error { message: format!("uid {uid} may not ask this engine") },
        Err(error) => Answer::Error { message: format!("the request is not understood: {error}") },
        Ok(Ask::Snapshot) => Answer::Snapshot { snapshot: Box::new((*client.snapshot()).clone()) },
        Ok(Ask::Command { command, user, console }) => {
            let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
            let actor = Actor { user, uid, via: "socket".into(), host, console };
            Answer::Reply { reply: client.acting_as(actor).send(command).await }
        }
    };
    let mut text = serde_json::to_vec(&answer)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    write.shutdown().await
}

/// Asks the engine that listens at a path; `None` when none does.
pub async fn ask(path: &Path, ask: &Ask) -> io::Result<Option<Answer>> {
    let stream = match UnixStream::connect(path).await {
        Ok(stream) => stream,
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut read, mut write) = stream.into_split();
    let mut text = serde_json::to_vec(ask)?;
    text.push(b'\n');
    write.write_all(&text).await?;
    let mut answer = Vec::new();
    read.read_to_end(&mut answer).await?;
    serde_json::from_slice(&answer).map(Some).map_err(Into::into)
}
