//! The console's end: a [`Client`] that hangs on the engine's socket. It is fed from there, comes back after a loss with
//! growing pauses, and says at any time whether the engine is there. What was asked when the connection broke is
//! answered as not known, never asked again.

use super::door::{self, Shut};
use super::parts::Assembler;
use super::wire::{self, Ask, Greeting, Hello, LONGEST_SAY, PROGRAM, PROTOCOL, Purpose, Say, Unread};
use crate::domain::actor::Actor;
use crate::domain::id::Person;
use crate::domain::text::sanitize;
use crate::engine::api::{Command, Proof, Reply, Snapshot};
use crate::engine::client::{Attached, Client, Envelope, Link, Lost};
use futures::future::BoxFuture;
use jiff::Timestamp;
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, timeout};

/// Longest that an engine may take to greet, to let in and to say everything for the first time.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between two signs of life of a console.
const ALIVE: Duration = Duration::from_secs(2);
/// First and longest pause before a lost engine is looked for again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// Pause after an engine that is there has turned this console away.
const TURNED_AWAY: Duration = Duration::from_secs(15);
/// Commands and questions that may wait.
const WAITING: usize = 64;
/// What a command is answered whose connection broke.
pub const UNANSWERED: &str =
    "the connection to the engine broke before it answered; the journal says whether it was done";
/// What a command is answered while there is no connection.
pub const UNREACHABLE: &str = "nothing was sent: the engine can not be reached";

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
struct Connection {
    from: BufReader<OwnedReadHalf>,
    to: OwnedWriteHalf,
    greeting: Greeting,
    /// User of the process that listens, as the kernel says.
    engine_uid: u32,
    user: String,
    proof: Proof,
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
    async fn open(caller: &Caller, purpose: Purpose) -> Result<Self, Away> {
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
        let hello = Hello {
            protocol: PROTOCOL,
            program: PROGRAM.to_owned(),
            purpose,
            user: caller.me.user.clone(),
            console: caller.me.console.clone(),
            from: caller.from.clone(),
            read_only: caller.read_only,
        };
        to.write_all(&wire::written(&Ask::Hello(hello))?).await?;
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

async fn signed(caller: &Caller, greeting: &Greeting, engine_uid: u32) -> Option<String> {
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

fn not_understood(why: impl std::fmt::Display) -> Away {
    Away::Refused(format!("the engine says something that this quarterdeck {PROGRAM} does not understand: {why}"))
}

/// A question about the journal's files, on its way.
type Question = (Value, oneshot::Sender<Result<Value, String>>);

/// Asks about the journal's files through the engine.
#[derive(Clone, Debug)]
pub struct Asker(mpsc::Sender<Question>);

impl Asker {
    /// Asks and waits for the answer; for threads that may block.
    pub fn ask(&self, what: Value) -> Result<Value, String> {
        const GONE: &str = "the engine can not be reached";
        let (answer, answered) = oneshot::channel();
        self.0.blocking_send((what, answer)).map_err(|_| GONE)?;
        answered.blocking_recv().map_err(|_| GONE)?
    }
}

/// A console on an engine elsewhere. It is let go of when this is dropped.
#[derive(Debug)]
pub struct Remote {
    /// The way to the engine.
    pub client: Client,
    /// The way to its journal.
    pub asker: Asker,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What came from the engine.
enum Heard {
    Snapshot(Box<Snapshot>),
    Beat,
    Proven { user: String, proof: Proof, doubt: Option<String> },
    Reply { id: u64, reply: Reply },
    Journal { id: u64, found: Result<Value, String> },
    Over(Away),
}

/// Reads until the connection ends; what is read waits in a bounded channel.
async fn hear(mut from: BufReader<OwnedReadHalf>, heard: mpsc::Sender<Heard>) {
    let (mut buffer, mut assembler) = (Vec::new(), Assembler::default());
    loop {
        let next = one(&mut from, &mut buffer, &mut assembler).await;
        let (next, last) = match next {
            Ok(None) => continue,
            Ok(Some(heard)) => (heard, false),
            Err(away) => (Heard::Over(away), true),
        };
        if heard.send(next).await.is_err() || last {
            return;
        }
    }
}

async fn one(
    from: &mut BufReader<OwnedReadHalf>,
    buffer: &mut Vec<u8>,
    assembler: &mut Assembler,
) -> Result<Option<Heard>, Away> {
    Ok(Some(match wire::read(from, LONGEST_SAY, buffer).await? {
        Say::Part { part } => {
            wire::line(from, LONGEST_SAY, buffer).await?;
            assembler.take(part, buffer).map_err(not_understood)?;
            return Ok(None);
        }
        Say::Seen { generation, at } => match assembler.seen(generation, at) {
            Some(snapshot) => Heard::Snapshot(Box::new(snapshot)),
            None => return Ok(None),
        },
        Say::Beat => Heard::Beat,
        Say::Proven { user, proof, doubt } => Heard::Proven { user, proof, doubt },
        Say::Reply { id, reply } => Heard::Reply { id, reply },
        Say::Journal { id, found, why } => {
            Heard::Journal { id, found: found.ok_or_else(|| why.unwrap_or_else(|| "nothing was found".to_owned())) }
        }
        Say::Bye => return Err(Away::Lost("it ended in good order".to_owned())),
        Say::Refused { why } => return Err(Away::Refused(sanitize(&why))),
        Say::Greeting(_) | Say::Welcome { .. } => return Err(not_understood("a greeting in the middle")),
    }))
}

/// One end of everything that a console holds.
struct Keeper {
    caller: Caller,
    estate: String,
    commands: mpsc::Receiver<Envelope>,
    questions: mpsc::Receiver<Question>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    beat: watch::Sender<Timestamp>,
    link: watch::Sender<Link>,
    numbers: u64,
}

/// Attaches to the engine at a path. The first snapshot is there when this returns.
pub async fn attach(caller: Caller) -> Result<Remote, Away> {
    let connection = Connection::open(&caller, Purpose::Console).await?;
    let attached = attached(&caller, &connection);
    let (heard, mut hearing) = mpsc::channel(WAITING);
    let Connection { from, to, greeting, engine_uid, user, .. } = connection;
    tokio::spawn(hear(from, heard));
    let first = async {
        loop {
            match hearing.recv().await {
                Some(Heard::Snapshot(snapshot)) => return Ok(snapshot),
                Some(Heard::Over(away)) => return Err(away),
                Some(_) => {}
                None => return Err(Away::Lost("the connection was closed".to_owned())),
            }
        }
    };
    let slow = |_| Away::Lost(format!("the engine said nothing for {} s", PATIENCE.as_secs()));
    let mut first = timeout(PATIENCE, first).await.map_err(slow)??;
    first.me = Person::new(user.clone());
    let (commands, asked) = mpsc::channel(WAITING);
    let (questions, questioned) = mpsc::channel(WAITING);
    let (snapshots, snapshot) = watch::channel(Arc::from(first));
    let (beat, beats) = watch::channel(Timestamp::now());
    let (link, linked) = watch::channel(Link { attached: Some(attached), lost: None });
    let actor = Actor { user, ..caller.me.clone() };
    let client = Client { commands, snapshots: snapshot, beat: beats, link: linked, actor };
    let keeper = Keeper {
        estate: greeting.estate.clone(),
        caller,
        commands: asked,
        questions: questioned,
        snapshots,
        beat,
        link,
        numbers: 0,
    };
    let task = tokio::spawn(keeper.keep(to, hearing, (greeting, engine_uid)));
    Ok(Remote { client, asker: Asker(questions), task })
}

fn attached(caller: &Caller, connection: &Connection) -> Attached {
    Attached {
        user: connection.user.clone(),
        proof: connection.proof.clone(),
        doubt: None,
        read_only: caller.read_only,
    }
}

impl Keeper {
    async fn keep(mut self, to: OwnedWriteHalf, hearing: mpsc::Receiver<Heard>, greeting: (Greeting, u32)) {
        let (mut to, mut hearing, mut greeting) = (to, hearing, greeting);
        loop {
            let Some(away) = self.follow(to, hearing, greeting).await else { return };
            let since = Timestamp::now();
            let Some(connection) = self.come_back(since, away).await else { return };
            let attached = attached(&self.caller, &connection);
            self.link.send_replace(Link { attached: Some(attached), lost: None });
            let (heard, again) = mpsc::channel(WAITING);
            tokio::spawn(hear(connection.from, heard));
            (to, hearing, greeting) = (connection.to, again, (connection.greeting, connection.engine_uid));
        }
    }

    /// Serves the console until the connection is gone; answers why, or nothing when the console is.
    async fn follow(
        &mut self,
        mut to: OwnedWriteHalf,
        mut hearing: mpsc::Receiver<Heard>,
        (greeting, engine_uid): (Greeting, u32),
    ) -> Option<Away> {
        let mut commands: HashMap<u64, oneshot::Sender<Reply>> = HashMap::new();
        let mut questions: HashMap<u64, oneshot::Sender<Result<Value, String>>> = HashMap::new();
        let (proof, mut proofs) = mpsc::channel(1);
        let caller = self.caller.clone();
        tokio::spawn(async move {
            if let Some(signature) = signed(&caller, &greeting, engine_uid).await {
                let _ = proof.send(signature).await;
            }
        });
        let mut alive = tokio::time::interval(ALIVE);
        alive.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let away = loop {
            let ask = tokio::select! {
                heard = hearing.recv() => {
                    match heard {
                        None => break Away::Lost("the connection was closed".to_owned()),
                        Some(Heard::Over(away)) => break away,
                        Some(Heard::Snapshot(mut snapshot)) => {
                            let me = self.link.borrow().attached.as_ref().map(|a| a.user.clone());
                            snapshot.me = Person::new(me.unwrap_or_default());
                            self.snapshots.send_replace(Arc::from(snapshot));
                        }
                        Some(Heard::Beat) => { self.beat.send_replace(Timestamp::now()); }
                        Some(Heard::Proven { user, proof, doubt }) => {
                            let read_only = self.caller.read_only;
                            let attached = Some(Attached { user, proof, doubt, read_only });
                            self.link.send_replace(Link { attached, lost: None });
                        }
                        Some(Heard::Reply { id, reply }) => {
                            if let Some(answer) = commands.remove(&id) {
                                let _ = answer.send(reply);
                            }
                        }
                        Some(Heard::Journal { id, found }) => {
                            if let Some(answer) = questions.remove(&id) {
                                let _ = answer.send(found);
                            }
                        }
                    }
                    continue;
                }
                envelope = self.commands.recv() => {
                    let envelope = envelope?;
                    self.numbers = self.numbers.wrapping_add(1);
                    commands.insert(self.numbers, envelope.answer);
                    Ask::Command { id: self.numbers, command: envelope.command }
                }
                Some((what, answer)) = self.questions.recv() => {
                    self.numbers = self.numbers.wrapping_add(1);
                    questions.insert(self.numbers, answer);
                    Ask::Journal { id: self.numbers, what }
                }
                Some(signature) = proofs.recv() => Ask::Prove { signature },
                _ = alive.tick() => Ask::Alive,
            };
            let Ok(line) = wire::written(&ask) else { continue };
            match timeout(PATIENCE, to.write_all(&line)).await {
                Ok(Ok(())) => {}
                // What it said last, such as why it turns us away, tells more than that it is gone.
                Ok(Err(_)) => break last_words(&mut hearing).await,
                Err(_) => break Away::Lost("the engine does not read what it is sent".to_owned()),
            }
        };
        for (_, answer) in commands {
            let _ = answer.send(Reply::refused(UNANSWERED));
        }
        for (_, answer) in questions {
            let _ = answer.send(Err("the connection to the engine broke".to_owned()));
        }
        Some(away)
    }

    /// Looks for the engine until it is there again; nothing when that is of no use, or the console has gone.
    async fn come_back(&mut self, since: Timestamp, mut away: Away) -> Option<Connection> {
        let (mut pause, longest) = PAUSES;
        loop {
            let attached = self.link.borrow().attached.clone();
            let lost = Lost { since, why: away.to_string() };
            self.link.send_replace(Link { attached, lost: Some(lost) });
            // Not all at once, when many consoles have lost the same engine.
            let spread = pause.mul_f64(0.5 + f64::from(OsRng.next_u32()) / f64::from(u32::MAX));
            self.refuse_for(spread).await?;
            pause = longest.min(pause * 2);
            match Connection::open(&self.caller, Purpose::Console).await {
                Ok(connection) if connection.greeting.estate == self.estate => return Some(connection),
                Ok(connection) => {
                    let other = &connection.greeting.estate;
                    away = Away::Refused(format!("another estate, {}, answers there now", sanitize(other)));
                    pause = TURNED_AWAY;
                }
                // An engine that has gone was the first news; that it is not there yet is none.
                Err(Away::Nobody(_)) => {}
                Err(why) => {
                    if matches!(why, Away::Refused(_)) {
                        pause = TURNED_AWAY;
                    }
                    away = why;
                }
            }
        }
    }

    /// Answers that nothing can be done, for a while; nothing when the console has gone.
    async fn refuse_for(&mut self, pause: Duration) -> Option<()> {
        let over = tokio::time::sleep(pause);
        tokio::pin!(over);
        loop {
            tokio::select! {
                () = &mut over => return Some(()),
                envelope = self.commands.recv() => {
                    let _ = envelope?.answer.send(Reply::refused(UNREACHABLE));
                }
                Some((_, answer)) = self.questions.recv() => {
                    let _ = answer.send(Err("the engine can not be reached".to_owned()));
                }
            }
        }
    }
}

async fn last_words(hearing: &mut mpsc::Receiver<Heard>) -> Away {
    let words = async {
        loop {
            match hearing.recv().await {
                Some(Heard::Over(away)) => return away,
                Some(_) => {}
                None => return Away::Lost("the connection was closed".to_owned()),
            }
        }
    };
    let longest = Duration::from_secs(1);
    timeout(longest, words).await.unwrap_or_else(|_| Away::Lost("the connection was closed".to_owned()))
}
