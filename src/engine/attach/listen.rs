//! The engine's end of the socket: lets peers in, once they have said who they are. Each has its own task and its own
//! bounds, so that a slow, a silent or a hostile one costs nobody else anything. `serve` does what they ask.

use super::call::other_estate;
use super::door::{self, Access};
use super::parts::{self, Board};
pub use super::peer::People;
use super::peer::{Over, Peer, Refusals, claimed};
use super::wire::{self, Ask, Greeting, Hello, LONGEST_ASK, PROGRAM, PROTOCOL, Purpose, Say, Shelf, Unread};
use crate::domain::actor::Actor;
use crate::engine::api::Proof;
use crate::engine::client::Client;
use crate::engine::presence::Door;
use base64::Engine as _;
use rand_core::{OsRng, RngCore as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Peers served at once.
const PEERS: usize = 128;
/// Longest that a peer may take to say who it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// Reads of the journal's files at once, for all peers.
const READERS: usize = 2;
/// How long consoles may take to be told that the engine ends.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a listener stands for.
#[derive(Clone)]
pub struct Host {
    /// The way to the engine.
    pub client: Client,
    /// Where it says who comes and goes.
    pub door: Door,
    /// Who may come.
    pub access: Access,
    /// The journal's files.
    pub shelf: Arc<dyn Shelf>,
    /// Who can be recognised by a key; nobody where there is no roster.
    pub people: Option<Arc<dyn People>>,
}

/// The listening end; its file goes away with it.
#[derive(Debug)]
pub struct Listener {
    /// Its file, until it was removed: the next engine may stand in the same place right after that.
    path: Option<PathBuf>,
    task: tokio::task::JoinHandle<()>,
    peers: TaskTracker,
    end: CancellationToken,
}

impl Listener {
    /// Lets nobody in from here on; who is in stays until the engine has ended.
    pub fn close(&mut self) {
        self.task.abort();
        if let Some(path) = self.path.take() {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Waits, for a moment at most, until everybody has been told that the engine has ended.
    pub async fn ended(mut self) {
        self.close();
        self.peers.close();
        if timeout(FAREWELL, self.peers.wait()).await.is_err() {
            self.end.cancel();
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.close();
        self.end.cancel();
    }
}

/// What all peers of one engine share.
pub(super) struct Served {
    pub(super) host: Host,
    pub(super) board: Board,
    pub(super) readers: Semaphore,
    refusals: Refusals,
    end: CancellationToken,
}

/// Listens at a path. The caller holds the journal's lock, so that a file which is there is a dead engine's.
pub fn listen(path: &Path, host: Host) -> io::Result<Listener> {
    let listener = UnixListener::from_std(door::bind(path, &host.access)?)?;
    let peers = TaskTracker::new();
    let end = CancellationToken::new();
    let served = Arc::new(Served {
        board: parts::publish(host.client.snapshots.clone()),
        host,
        refusals: Refusals::default(),
        readers: Semaphore::new(READERS),
        end: end.clone(),
    });
    let tasks = peers.clone();
    let task = tokio::spawn(async move {
        let places = Arc::new(Semaphore::new(PEERS));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: others must have left before it is of use to try again.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                turn_away(&stream, &format!("{PEERS} peers are served already"));
                continue;
            };
            let served = served.clone();
            tasks.spawn(async move {
                tokio::select! {
                    () = served.end.cancelled() => {}
                    () = served.admit(stream) => {}
                }
                drop(place);
            });
        }
    });
    Ok(Listener { path: Some(path.to_path_buf()), task, peers, end })
}

/// Says why, if the peer can take it at once.
fn turn_away(stream: &UnixStream, why: &str) {
    if let Ok(line) = wire::written(&Say::Refused { why: why.to_owned() }) {
        let _ = stream.try_write(&line);
    }
}

impl Served {
    async fn admit(self: &Arc<Self>, stream: UnixStream) {
        let Ok(peer) = stream.peer_cred() else { return };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let named = || door::login(peer.uid()).unwrap_or_else(|| format!("uid-{}", peer.uid()));
        let actor = Actor { user: named(), uid: peer.uid(), via: "socket".into(), host, console: None };
        if let Some(why) = self.host.access.denies(peer.uid(), peer.gid()) {
            turn_away(&stream, &why);
            return self.refused("uid", &actor, why).await;
        }
        let (from, to) = stream.into_split();
        let mut nonce = [0; 32];
        OsRng.fill_bytes(&mut nonce);
        let snapshot = self.host.client.snapshot();
        let greeting = Greeting {
            protocol: PROTOCOL,
            program: PROGRAM.to_owned(),
            estate: snapshot.estate.name.clone(),
            mode: snapshot.mode,
            pid: std::process::id(),
            user: snapshot.me.to_string(),
            nonce: base64::engine::general_purpose::STANDARD.encode(nonce),
            keys: self.host.people.as_ref().map(|p| p.keys()).unwrap_or_default(),
        };
        let mut peer = Peer { to, actor, proof: Proof::Claimed, greeting, read_only: false };
        match self.serve(&mut peer, BufReader::new(from)).await {
            Ok(()) | Err(Over::Gone(_)) => {}
            Err(Over::Refused(kind, why)) => {
                let _ = peer.say(&Say::Refused { why: why.clone() }).await;
                self.refused(kind, &peer.actor, why).await;
            }
        }
    }

    async fn refused(&self, kind: &'static str, actor: &Actor, why: String) {
        tracing::warn!(uid = actor.uid, %why, "a peer was turned away");
        self.host.door.turned_away();
        if let Some(more) = self.refusals.count(kind) {
            self.host.door.refused(actor.clone(), why, more).await;
        }
    }

    async fn serve(self: &Arc<Self>, peer: &mut Peer, mut from: BufReader<OwnedReadHalf>) -> Result<(), Over> {
        let greeting = Say::Greeting(peer.greeting.clone());
        peer.say(&greeting).await?;
        let hello = self.hello(&mut from).await?;
        peer.name(&hello);
        let runs = &peer.greeting.estate;
        if let Some(meant) = hello.estate.as_deref().filter(|meant| meant != runs) {
            return Err(Over::Refused("estate", other_estate(runs, &claimed(meant))));
        }
        match hello.purpose {
            Purpose::Command => self.answer(peer, from).await,
            Purpose::Console => self.attach(peer, from, &hello).await,
        }
    }

    /// Who a peer says it is. One that speaks another protocol is told so in a sentence, whatever else it says.
    async fn hello(&self, from: &mut BufReader<OwnedReadHalf>) -> Result<Hello, Over> {
        let mut buffer = Vec::new();
        let Ok(read) = timeout(PATIENCE, wire::line(from, LONGEST_ASK, &mut buffer)).await else {
            return Err(Over::Refused("slow", format!("nothing was said for {} s", PATIENCE.as_secs())));
        };
        read?;
        let said: serde_json::Value = serde_json::from_slice(&buffer).map_err(Unread::Garbled)?;
        let protocol = said.get("protocol").and_then(serde_json::Value::as_u64);
        if protocol != Some(u64::from(PROTOCOL)) {
            let program = said.get("program").and_then(serde_json::Value::as_str).map_or("an older one", |p| p);
            let protocol = protocol.map_or_else(|| "an older protocol".to_owned(), |p| format!("protocol {p}"));
            return Err(Over::Refused(
                "version",
                format!(
                    "this engine is quarterdeck {PROGRAM} and speaks protocol {PROTOCOL}; the peer is {} and speaks \
                     {protocol}: use the program that the engine runs",
                    claimed(program)
                ),
            ));
        }
        match serde_json::from_slice(&buffer).map_err(Unread::Garbled)? {
            Ask::Hello(hello) => Ok(hello),
            _ => Err(Over::Refused("frame", "a peer says first who it is".to_owned())),
        }
    }

    fn prove(&self, peer: &mut Peer, signature: &str) -> Result<String, String> {
        let people = self.host.people.as_ref().ok_or("this engine has no roster of people and their keys")?;
        let (person, key) = people.recognise(&wire::nonce_text(&peer.greeting, door::own()), signature)?;
        peer.actor = peer.actor.clone().proven(person, &key);
        peer.proof = Proof::Key(key.clone());
        Ok(key)
    }

    /// Says what came of a proof.
    pub(super) async fn proven(&self, peer: &mut Peer, signature: &str, console: Option<u64>) -> Result<(), Over> {
        let doubt = match self.prove(peer, signature) {
            Ok(key) => {
                if let Some(id) = console {
                    self.host.door.proven(id, peer.actor.clone(), key).await;
                }
                None
            }
            Err(why) => {
                self.refused("proof", &peer.actor, format!("the signature does not count: {why}")).await;
                Some(why)
            }
        };
        let say = Say::Proven { user: peer.actor.user.clone(), proof: peer.proof.clone(), doubt };
        Ok(peer.say(&say).await?)
    }

    pub(super) async fn welcome(&self, peer: &mut Peer, console: u64) -> Result<(), Over> {
        let say = Say::Welcome { console, user: peer.actor.user.clone(), proof: peer.proof.clone() };
        Ok(peer.say(&say).await?)
    }
}
