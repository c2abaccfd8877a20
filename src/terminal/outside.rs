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

/// Answers, and messages from threads that read, until the loop takes them.
const TOLD: usize = 128;

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
    /// Where answers and what threads have read go.
    told: mpsc::Sender<Msg>,
    /// Number of the search that may go on; 0 when none may.
    scanning: Arc<AtomicU64>,
    client: Client,
    commands: Queue<RequestId, Msg>,
}

impl Outside {
    /// A way out to an engine and a journal, and where what comes back is taken from.
    pub fn new(client: &Client, journal: Arc<dyn Journal>) -> (Self, mpsc::Receiver<Msg>) {
        let (told, messages) = mpsc::channel(TOLD);
        let commands = Queue::new(told.clone(), |to, reply| Msg::Reply { to, reply });
        (Self { journal, told, scanning: Arc::default(), client: client.clone(), commands }, messages)
    }

    /// Does what is asked for; gives back what only a terminal can do.
    pub fn carry(&self, effect: Effect) -> Option<Effect> {
        match effect {
            Effect::Command { id, command } => self.commands.give(id, self.client.clone(), command),
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
                    let _ = told.send(Msg::Reply { to: id, reply }).await;
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
            // A console that has ended does not need it.
            let _ = told.blocking_send(work(&*journal));
        });
    }

    /// Searches on a thread that may block; the search before it ends.
    fn scan(&self, id: RequestId, wanted: Wanted, before: u64) {
        self.scanning.store(id.0, Ordering::Relaxed);
        let (journal, told, scanning) = (self.journal.clone(), self.told.clone(), self.scanning.clone());
        tokio::task::spawn_blocking(move || {
            let goes_on = || scanning.load(Ordering::Relaxed) == id.0 && !told.is_closed();
            journal.scan(id, &wanted, before, &goes_on, &mut |found| {
                let _ = told.blocking_send(Msg::Scanned(found));
            });
        });
    }
}
