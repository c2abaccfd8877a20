//! What a console asks of its surroundings beside the terminal: commands to the engine, signatures, the journal's files.
//! The full screen and the console in plain lines share it.

use crate::console::effect::{Effect, RequestId};
use crate::console::msg::Msg;
use crate::console::state::{RecordView, Scanned, Wanted};
use crate::domain::incident::TimelineEntry;
use crate::engine::api::{Command, Reply};
use crate::engine::client::{Client, Queue};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;

/// Where answers, and what threads have read, are told: to one estate of the console.
#[derive(Clone)]
pub(super) struct Told {
    /// Number of the estate.
    pub(super) of: usize,
    pub(super) to: mpsc::Sender<(usize, News)>,
}

impl Told {
    /// A console that has ended does not need it.
    pub(super) async fn tell(&self, msg: Msg) {
        let _ = self.to.send((self.of, News::Msg(msg))).await;
    }

    fn tell_blocking(&self, msg: Msg) {
        let _ = self.to.blocking_send((self.of, News::Msg(msg)));
    }
}

/// What an estate of a console has to say.
pub(super) enum News {
    /// Something happened.
    Msg(Msg),
    /// The way to its engine is open.
    Way(Way),
}

/// The way to an engine and to its journal's files.
#[derive(Clone)]
pub struct Way {
    /// The engine.
    pub client: Client,
    /// The files.
    pub journal: Arc<dyn Journal>,
}

/// Reads the journal's files for the journal screen, on a thread that may block.
pub trait Journal: Send + Sync + 'static {
    /// Up to `limit` records before one, oldest first, or why they can not be read.
    fn records(&self, before: u64, limit: u16) -> Result<Vec<TimelineEntry>, String>;

    /// Searches from the record before `before` back to the first and tells what it finds, as long as it `goes_on`.
    fn scan(
        &self,
        id: RequestId,
        wanted: &Wanted,
        before: u64,
        goes_on: &dyn Fn() -> bool,
        tell: &mut dyn FnMut(Scanned),
    );

    /// Writes a new file into the working directory and answers its path, or why it was not written.
    fn save(&self, name: &str, text: &str) -> Result<String, String>;

    /// One record with all that can be said of it, or why it can not be read.
    fn open(&self, seq: u64) -> Result<Box<RecordView>, String>;
}

/// The way out.
pub struct Outside {
    journal: Arc<dyn Journal>,
    told: Told,
    /// Number of the search that may go on; 0 when none may.
    scanning: Arc<AtomicU64>,
    client: Client,
    commands: Queue<(usize, RequestId), (usize, News)>,
}

impl Outside {
    /// A way out to an engine and a journal, and where what comes back goes.
    pub(super) fn new(way: Way, told: Told) -> Self {
        let Way { client, journal } = way;
        let commands = Queue::new(told.to.clone(), |(of, to), reply| (of, News::Msg(Msg::Reply { to, reply })));
        Self { journal, told, scanning: Arc::default(), client, commands }
    }

    /// Does what is asked for; gives back what only a terminal can do.
    pub fn carry(&self, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::Command { id, command } => self.commands.give((self.told.of, id), self.client.clone(), command),
            Effect::Sign { id, request, decision, role, reason, allowed_signers } => {
                let (client, told) = (self.client.clone(), self.told.clone());
                tokio::spawn(async move {
                    let signed = super::signing::sign(&request, decision, role, &allowed_signers).await;
                    let reply = match signed {
                        Ok(signature) => {
                            let request = request.id;
                            client.send(Command::Answer { request, decision, role, signature, reason }).await
                        }
                        Err(why) => Reply::refused(format!("nothing was signed: {why}")),
                    };
                    told.tell(Msg::Reply { to: id, reply }).await;
                });
            }
            Effect::Records { before, limit } => {
                self.read(move |journal| Msg::Records(journal.records(before, limit)));
            }
            Effect::Open { seq } => self.read(move |journal| Msg::Opened { seq, read: journal.open(seq) }),
            Effect::SaveProof { seq, file } => {
                self.read(move |journal| Msg::Saved(journal.save(&format!("record-{seq}.tlog-proof"), &file)));
            }
            Effect::Scan { id, wanted, before } => self.scan(id, wanted, before),
            Effect::EndScan => self.scanning.store(0, Ordering::Relaxed),
            other => return Some(other),
        }
        None
    }

    /// Reads on a thread that may block.
    fn read(&self, work: impl FnOnce(&dyn Journal) -> Msg + Send + 'static) {
        let (journal, told) = (self.journal.clone(), self.told.clone());
        tokio::task::spawn_blocking(move || {
            told.tell_blocking(work(&*journal));
        });
    }

    /// Searches on a thread that may block; the search before it ends.
    fn scan(&self, id: RequestId, wanted: Wanted, before: u64) {
        self.scanning.store(id.0, Ordering::Relaxed);
        let (journal, told, scanning) = (self.journal.clone(), self.told.clone(), self.scanning.clone());
        tokio::task::spawn_blocking(move || {
            let goes_on = || scanning.load(Ordering::Relaxed) == id.0 && !told.to.is_closed();
            journal.scan(id, &wanted, before, &goes_on, &mut |found| {
                told.tell_blocking(Msg::Scanned(found));
            });
        });
    }
}
