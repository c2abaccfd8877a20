//! The console's end: a [`Client`] that hangs on the engine's socket. It is fed from there, comes back after a loss with
//! growing pauses, and says at any time whether the engine is there. What was asked when the connection broke is
//! answered as not known, never asked again.

pub use super::call::{Away, Caller, Sign, UNANSWERED, command, greeting, snapshot};
use super::call::{Connection, PATIENCE, not_understood, signed};
use super::parts::Assembler;
use super::wire::{self, Ask, Greeting, LONGEST_SAY, Purpose, Say};
use crate::domain::actor::Actor;
use crate::domain::id::Person;
use crate::domain::text::sanitize;
use crate::engine::api::{Proof, Reply, Snapshot};
use crate::engine::client::{Attached, Client, Envelope, Link, Lost};
use jiff::Timestamp;
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{MissedTickBehavior, timeout};

/// Time between two signs of life of a console.
const ALIVE: Duration = Duration::from_secs(2);
/// First and longest pause before a lost engine is looked for again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));
/// Pause after an engine that is there has turned this console away.
const TURNED_AWAY: Duration = Duration::from_secs(15);
/// Commands and questions that may wait.
const WAITING: usize = 64;
/// What a command is answered while there is no connection.
pub const UNREACHABLE: &str = "nothing was sent: the engine can not be reached";

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
            // Whoever was taken at first for whatever was there is taken for that from then on: another is told whom was meant.
            match Connection::open(&self.caller.clone().of(&self.estate), Purpose::Console).await {
                Ok(connection) => return Some(connection),
                // An engine that has gone was the first news; that it is not there yet is none.
                Err(Away::Nobody(_)) => {}
                Err(why) => {
                    if matches!(why, Away::Refused(_) | Away::Elsewhere(_)) {
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
