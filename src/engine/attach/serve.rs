//! What is done for a peer that has been let in: a console is told everything and may ask beside that, a command asks and
//! is answered. `listen` lets peers in.

use super::listen::Served;
use super::parts;
use super::peer::{Over, Peer, claimed};
use super::wire::{self, Ask, Hello, LONGEST_ASK, Say, Unread};
use crate::engine::api::Reply;
use crate::engine::client::Queue;
use crate::engine::presence::Visitor;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::BufReader;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

/// Longest that a peer may take to ask: its person may have to touch a security key first.
const ASKING: Duration = Duration::from_secs(150);
/// Silence of a console after which it is said to be silent; a console speaks every two seconds.
const SILENT: Duration = Duration::from_secs(8);
/// Commands and questions of one peer that may be under way.
const UNDER_WAY: usize = 16;

impl Served {
    /// A peer that only asks.
    pub(super) async fn answer(&self, peer: &mut Peer, mut from: BufReader<OwnedReadHalf>) -> Result<(), Over> {
        self.welcome(peer, 0).await?;
        let mut buffer = Vec::new();
        loop {
            let asked = match timeout(ASKING, wire::read(&mut from, LONGEST_ASK, &mut buffer)).await {
                Err(_) => return Err(Over::Refused("slow", format!("nothing was asked for {} s", ASKING.as_secs()))),
                Ok(Err(Unread::Closed)) => return Ok(()),
                Ok(asked) => asked?,
            };
            match asked {
                Ask::Hello(_) => return Err(Over::Refused("frame", "a peer says once who it is".to_owned())),
                Ask::Alive => {}
                Ask::Prove { signature } => self.proven(peer, &signature, None).await?,
                Ask::Snapshot => {
                    let all = parts::all(&self.host.client.snapshot())?;
                    peer.send(&all).await?;
                }
                Ask::Command { id, command } => {
                    let reply = if peer.read_only && !command.only_looks() {
                        looks_on()
                    } else {
                        self.host.client.acting_as(peer.actor.clone()).send(command).await
                    };
                    peer.say(&Say::Reply { id, reply }).await?;
                }
                Ask::Journal { id, what } => {
                    let answer = self.look_up(id, what).await;
                    peer.say(&answer).await?;
                }
            }
        }
    }

    async fn look_up(&self, id: u64, what: serde_json::Value) -> Say {
        let Ok(_turn) = self.readers.acquire().await else {
            return Say::Journal { id, found: None, why: Some("the engine ends".to_owned()) };
        };
        let files = self.host.shelf.clone();
        match tokio::task::spawn_blocking(move || files.read(&what)).await {
            Ok(Ok(found)) => Say::Journal { id, found: Some(found), why: None },
            Ok(Err(why)) => Say::Journal { id, found: None, why: Some(why) },
            Err(_) => Say::Journal { id, found: None, why: Some("reading the journal failed".to_owned()) },
        }
    }

    /// A console, until it leaves or the engine ends.
    pub(super) async fn attach(
        self: &Arc<Self>,
        peer: &mut Peer,
        from: BufReader<OwnedReadHalf>,
        hello: &Hello,
    ) -> Result<(), Over> {
        let visitor = Visitor {
            actor: peer.actor.clone(),
            proof: peer.proof.clone(),
            from: hello.from.as_deref().map(claimed).filter(|f| !f.is_empty()),
            read_only: peer.read_only,
        };
        let Some(id) = self.host.door.attached(visitor).await else {
            return Err(Over::Gone("the engine has ended".to_owned()));
        };
        let (asks, asked) = mpsc::channel(UNDER_WAY);
        let reader = tokio::spawn(hear(from, asks));
        let over = match self.welcome(peer, id).await {
            Ok(()) => self.follow(peer, id, asked).await,
            Err(over) => Err(over),
        };
        reader.abort();
        let why = match &over {
            Ok(()) => "it left".to_owned(),
            Err(Over::Gone(why) | Over::Refused(_, why)) => why.clone(),
        };
        self.host.door.left(id, peer.actor.clone(), why).await;
        over
    }

    async fn follow(
        self: &Arc<Self>,
        peer: &mut Peer,
        id: u64,
        mut asked: mpsc::Receiver<Result<Ask, Unread>>,
    ) -> Result<(), Over> {
        let (mut published, mut beat) = (self.board.published.clone(), self.host.client.beat.clone());
        published.mark_unchanged();
        self.board.want();
        let (answers, mut answered) = mpsc::channel::<Say>(UNDER_WAY);
        let line = Line {
            turns: Arc::new(Semaphore::new(UNDER_WAY)),
            commands: Queue::new(answers.clone(), |(id, _turn), reply| Say::Reply { id, reply }),
            answers,
        };
        let mut taken = None;
        let (mut heard, mut silent, mut beats) = (Instant::now(), false, true);
        loop {
            tokio::select! {
                biased;
                ask = asked.recv() => {
                    heard = Instant::now();
                    if std::mem::take(&mut silent) {
                        self.host.door.silent(id, None).await;
                    }
                    match ask {
                        None | Some(Err(Unread::Closed)) => return Ok(()),
                        Some(Err(unread)) => return Err(unread.into()),
                        Some(Ok(Ask::Prove { signature })) => self.proven(peer, &signature, Some(id)).await?,
                        Some(Ok(ask)) => self.ask(peer, ask, &line)?,
                    }
                }
                Some(say) = answered.recv() => peer.say(&say).await?,
                changed = published.changed() => {
                    if changed.is_err() {
                        let _ = peer.say(&Say::Bye).await;
                        return Err(Over::Gone("the engine has ended".to_owned()));
                    }
                    let newest = published.borrow_and_update().clone();
                    for bytes in newest.since(taken) {
                        peer.send(&bytes).await?;
                    }
                    taken = Some(newest.number);
                }
                changed = beat.changed(), if beats => {
                    beats = changed.is_ok();
                    if beats {
                        peer.say(&Say::Beat).await?;
                    }
                    if heard.elapsed() > SILENT && !silent {
                        silent = true;
                        let ago = jiff::SignedDuration::try_from(heard.elapsed()).unwrap_or_default();
                        let since = Timestamp::now().checked_sub(ago).unwrap_or_default();
                        self.host.door.silent(id, Some(since)).await;
                    }
                }
            }
        }
    }

    /// Sets to work on what a console asks; the answer comes when it is there.
    fn ask(self: &Arc<Self>, peer: &Peer, ask: Ask, line: &Line) -> Result<(), Over> {
        let turn = line.turns.clone().try_acquire_owned().ok();
        let many = || format!("{UNDER_WAY} questions of this console wait for their answers already");
        let (served, answers) = (self.clone(), line.answers.clone());
        match ask {
            Ask::Alive => {}
            Ask::Command { id, command } => {
                let client = self.host.client.acting_as(peer.actor.clone());
                let refused = peer.read_only && !command.only_looks();
                match (turn, command) {
                    (Some(turn), command) if !refused => line.commands.give((id, turn), client, command),
                    _ => drop(tokio::spawn(async move {
                        let reply = if refused { looks_on() } else { Reply::refused(many()) };
                        // A console that has gone does not need it.
                        let _ = answers.send(Say::Reply { id, reply }).await;
                    })),
                }
            }
            Ask::Journal { id, what } => {
                tokio::spawn(async move {
                    let say = match &turn {
                        Some(_) => served.look_up(id, what).await,
                        None => Say::Journal { id, found: None, why: Some(many()) },
                    };
                    let _ = answers.send(say).await;
                });
            }
            Ask::Hello(_) | Ask::Snapshot | Ask::Prove { .. } => {
                return Err(Over::Refused("frame", "a console is told everything without asking".to_owned()));
            }
        }
        Ok(())
    }
}

fn looks_on() -> Reply {
    Reply::denied("this console is attached read-only: it only looks on")
}

/// What one console has under way.
struct Line {
    /// As many as it may have.
    turns: Arc<Semaphore>,
    commands: Queue<(u64, OwnedSemaphorePermit), Say>,
    answers: mpsc::Sender<Say>,
}

/// Reads what a peer says until it is gone or says something that is no message.
async fn hear(mut from: BufReader<OwnedReadHalf>, asks: mpsc::Sender<Result<Ask, Unread>>) {
    let mut buffer = Vec::new();
    loop {
        let ask = wire::read(&mut from, LONGEST_ASK, &mut buffer).await;
        let last = ask.is_err();
        if asks.send(ask).await.is_err() || last {
            return;
        }
    }
}
