//! The writer of one bastion. Whatever waits is offered to the database as one batch that follows what this bastion has
//! seen of the log; where another engine was faster, its records are taken in first and the offer is made anew. An answer
//! that is lost is asked for again: as long as nobody knows what became of an offer, nothing else is written and nothing
//! acts. The copy gets a batch after the database has it.

use super::copy::Copy;
use super::leads::Leads;
use super::take::take;
use super::{Database, Ledger, LedgerError, Offer};
use crate::journal::error::{Damage, JournalError};
use crate::journal::evidence::told;
use crate::journal::handle::{Append, OpenOptions, Status};
use crate::journal::key::LogKey;
use crate::journal::record::{Committed, Ready, Record};
use crate::journal::snapshot::Place;
use crate::journal::store::file::batch::{self, Encoded};
use crate::journal::store::file::chain::Chain;
use crate::journal::store::file::{evidence, place};
use crate::journal::store::serve::{Answered, Writes, admitted};
use crate::journal::synced::Synced;
use crate::journal::tree::{Frontier, Hash};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use tokio::sync::mpsc;

/// How often an offer is made anew because others were faster.
const TRIES: u32 = 100;

/// The writer.
pub struct Writer {
    ledger: Box<dyn Ledger>,
    database: Arc<dyn Database>,
    options: OpenOptions,
    /// Name of this bastion in the database.
    name: String,
    key: LogKey,
    frontier: Frontier,
    root: Hash,
    note: String,
    copy: Copy,
    leads: Arc<Leads>,
    /// Every record in its order, those of others too.
    feed: Option<mpsc::UnboundedSender<Record>>,
    /// Whether everything that this bastion has asked the database for is settled.
    entered: bool,
    broken: Option<String>,
    /// Whether it stays so until the journal is opened anew.
    ended: bool,
    /// What was found wrong in the records of the copy, while this goes on.
    damaged: Arc<OnceLock<Damage>>,
    synced: Synced,
}

/// A batch that is offered to the database, and the bytes of its records.
struct Offered {
    leaves: Vec<Vec<u8>>,
    batch: Encoded,
}

impl Writes for Writer {
    fn group(&mut self, batch: Vec<Append>) -> Vec<Answered> {
        let intents_fit = if batch.iter().any(Append::has_intent) { self.room_for_intents() } else { Ok(()) };
        let (mut taken, mut answers) = admitted(batch, &intents_fit);
        // Whoever writes of what another engine leads now is refused alone.
        while !taken.is_empty() {
            let fences;
            (taken, fences) = self.fenced(taken, &mut answers);
            let records: Vec<Ready> = taken.iter().flat_map(|a| a.records.iter().cloned()).collect();
            match self.commit(&records, &fences) {
                Ok(committed) => {
                    let mut committed = committed.into_iter();
                    for Append { records, reply } in taken {
                        answers.push((reply, Ok(committed.by_ref().take(records.len()).collect())));
                    }
                    break;
                }
                Err(JournalError::NotLed { name }) => self.leads.lost(&name),
                Err(why) => {
                    answers.extend(taken.into_iter().map(|a| (a.reply, Err(why.clone()))));
                    break;
                }
            }
        }
        answers
    }

    fn close(&mut self, last: Vec<Ready>) -> Result<Vec<Committed>, JournalError> {
        let committed = self.commit(&last, &[])?;
        self.leads.let_go();
        self.copy.seal().map_err(|e| self.end(&format!("completing the copy failed: {e}")))?;
        Ok(committed)
    }

    fn status(&self) -> Status {
        let (segment, offset, line) = self.copy.here();
        let place = Place { tree: self.frontier.clone(), segment, offset, line, note: self.note.clone() };
        let (broken, synced) = (self.broken.clone(), self.synced.clone());
        Status { size: self.frontier.size(), root: self.root, broken, place, scrub: None, synced }
    }

    /// Takes in what others wrote; where the database was lost, tries whether it answers again.
    fn look(&mut self) {
        if self.ended {
            return;
        }
        let looked = if self.entered { self.catch_up() } else { self.again() };
        if looked.is_err() && !self.ended && !self.entered {
            // A session that was cut says so only when it is asked. What is still out of reach is said.
            drop(self.again());
        }
    }
}

impl Writer {
    /// Goes on after `place`.
    pub fn new(
        ledger: Box<dyn Ledger>,
        database: Arc<dyn Database>,
        options: OpenOptions,
        key: LogKey,
        place: Place,
        copy: Copy,
        leads: Arc<Leads>,
    ) -> Self {
        let root = place.tree.root();
        Self {
            ledger,
            database,
            name: leads.writer().to_owned(),
            options,
            key,
            frontier: place.tree,
            root,
            note: place.note,
            copy,
            leads,
            feed: None,
            entered: true,
            broken: None,
            ended: false,
            damaged: Arc::default(),
            synced: Synced::default(),
        }
    }

    /// Where every record goes from here on, in its order.
    pub fn feed(&mut self) -> mpsc::UnboundedReceiver<Record> {
        let (feed, arrivals) = mpsc::unbounded_channel();
        self.feed = Some(feed);
        arrivals
    }

    /// Where it is said that records of the copy are damaged; nothing new may begin from then on.
    pub fn damaged(&self) -> Arc<OnceLock<Damage>> {
        self.damaged.clone()
    }

    /// Enters anew and takes in what others wrote.
    fn again(&mut self) -> Result<(), JournalError> {
        self.enter()?;
        self.catch_up()?;
        self.broken = None;
        Ok(())
    }

    /// The same, where what was tried before has told the database nothing.
    fn after(&mut self, tried: Result<(), JournalError>) -> Result<(), JournalError> {
        match tried {
            // Nothing that a session could mend.
            Err(why) if self.ended || self.entered => Err(why),
            Err(_) => self.again(),
            Ok(()) => Ok(()),
        }
    }

    /// The appends whose leases this engine has, with their tokens; the others are answered.
    fn fenced(&self, asked: Vec<Append>, answers: &mut Vec<Answered>) -> (Vec<Append>, Vec<(String, u64)>) {
        let (mut taken, mut fences) = (Vec::with_capacity(asked.len()), BTreeMap::new());
        for append in asked {
            match self.leads.fences(append.records.iter()) {
                Ok(tokens) => {
                    fences.extend(tokens);
                    taken.push(append);
                }
                Err(why) => answers.push((append.reply, Err(why))),
            }
        }
        (taken, fences.into_iter().collect())
    }

    /// Whether something may begin: the copy is sound, and its disk is above low water.
    fn room_for_intents(&self) -> Result<(), JournalError> {
        if let Some(damage) = self.damaged.get() {
            return Err(JournalError::Damaged(damage.clone()));
        }
        let dir = &self.options.dir;
        let failed = |e: &std::io::Error| JournalError::io("asking for the free space of", dir, e);
        let free = place::free_bytes(&std::fs::File::open(dir).map_err(|e| failed(&e))?).map_err(|e| failed(&e))?;
        if free < self.options.low_water {
            let (free_mib, needed_mib) = (free >> 20, self.options.low_water.div_ceil(1 << 20));
            return Err(JournalError::LowSpace { dir: dir.clone(), free_mib, needed_mib });
        }
        Ok(())
    }

    /// Appends records and returns when the database holds them durably and the copy has them.
    pub fn commit(&mut self, records: &[Ready], fences: &[(String, u64)]) -> Result<Vec<Committed>, JournalError> {
        if let Some(why) = &self.broken {
            return Err(JournalError::Broken { why: why.clone() });
        }
        if records.is_empty() {
            return Ok(vec![]);
        }
        for _ in 0..TRIES {
            let offered = self.encode(records)?;
            if let Err(why) = self.keep_evidence(&offered.leaves) {
                self.after(Err(why))?;
                continue;
            }
            let first = self.frontier.size();
            let begun = Instant::now();
            let offer = Offer {
                size: first,
                root: self.root,
                leaves: &offered.leaves,
                root_after: offered.batch.root,
                note: &offered.batch.note,
                fences,
            };
            match self.ledger.append(&offer) {
                Ok(()) => {
                    self.synced.took(begun.elapsed());
                    let committed = self.accept(offered, records)?;
                    self.leads.begin(records.iter(), fences);
                    return Ok(committed);
                }
                Err(LedgerError::Moved) => {
                    let caught = self.catch_up();
                    self.after(caught)?;
                }
                Err(LedgerError::Lost(why)) => {
                    tracing::warn!(%why, "the journal's database was lost in the middle of a batch");
                    if self.has_taken(&offered.batch)? {
                        self.leads.begin(records.iter(), fences);
                        let numbered = (first..).zip(records);
                        return Ok(numbered.map(|(seq, record)| record.clone().into_committed(seq)).collect());
                    }
                }
                Err(LedgerError::Fenced(name)) => return Err(JournalError::NotLed { name }),
                Err(other) => return Err(self.lost(&other)),
            }
        }
        Err(JournalError::Broken { why: format!("other engines were faster {TRIES} times; try it again") })
    }

    /// After an answer that was lost: whether the database has the batch. It can not get it later, since earlier sessions
    /// of this bastion are shut out.
    fn has_taken(&mut self, batch: &Encoded) -> Result<bool, JournalError> {
        if self.enter().is_err() && !self.ended {
            self.enter()?;
        }
        let found = self.ledger.note_at(batch.frontier.size()).map_err(|e| self.lost(&e))?;
        self.catch_up()?;
        self.broken = None;
        Ok(found.as_ref() == Some(&batch.note))
    }

    /// The batch of these records after what this bastion has seen, under its signed checkpoint.
    fn encode(&mut self, records: &[Ready]) -> Result<Offered, JournalError> {
        let mut leaves = Vec::with_capacity(records.len());
        let batch = batch::encode(&self.frontier, &self.key, records, |leaf| leaves.push(leaf.to_vec()));
        Ok(Offered { leaves, batch: batch.map_err(|why| self.end(&why))? })
    }

    /// Goes on from a batch that the database holds: into the copy, and to whoever follows.
    fn accept(&mut self, offered: Offered, records: &[Ready]) -> Result<Vec<Committed>, JournalError> {
        let first = self.frontier.size();
        let committed: Vec<_> = (first..).zip(records).map(|(seq, r)| r.clone().into_committed(seq)).collect();
        let Offered { leaves, batch } = offered;
        self.add(first, &batch.bytes, batch.frontier.size() - first + 1)?;
        (self.frontier, self.root, self.note) = (batch.frontier, batch.root, batch.note);
        self.synced.newest = self.synced.newest.max(records.iter().map(Ready::time).max());
        self.tell(committed.iter().map(|c| &c.record));
        self.forget_evidence(&leaves);
        Ok(committed)
    }

    fn add(&mut self, first: u64, bytes: &[u8], lines: u64) -> Result<(), JournalError> {
        let added = self.copy.add(first, bytes, lines);
        added.map_err(|e| self.end(&format!("the copy in {} can not be written: {e}", self.options.dir.display())))
    }

    fn tell<'a>(&mut self, records: impl Iterator<Item = &'a Record>) {
        let Some(feed) = &self.feed else { return };
        for record in records {
            // Nobody follows a journal that is only written to.
            let _ = feed.send(record.clone());
        }
    }

    /// Settles what this bastion had asked for, and looks whether the database still holds what this bastion has seen.
    pub fn enter(&mut self) -> Result<(), JournalError> {
        self.entered = false;
        let head = self.ledger.enter(&self.name, &self.options.origin).map_err(|e| self.lost(&e))?;
        let (seen, address) = (self.frontier.size(), self.database.address().to_owned());
        if head.size < seen {
            let shrunk = JournalError::Shrunk { database: address, found: head.size, seen };
            return Err(self.end_with(shrunk));
        }
        if seen > 0 && self.ledger.note_at(seen).map_err(|e| self.lost(&e))?.as_ref() != Some(&self.note) {
            return Err(self.end_with(JournalError::Forked { database: address, size: seen }));
        }
        self.entered = true;
        Ok(())
    }

    /// Takes in what others wrote.
    fn catch_up(&mut self) -> Result<(), JournalError> {
        self.catch_up_with(|_| {})
    }

    /// As above; `fold` is given each record too.
    pub fn catch_up_with(&mut self, mut fold: impl FnMut(&Record)) -> Result<(), JournalError> {
        loop {
            let rows = self.ledger.read(self.frontier.size()).map_err(|e| self.lost(&e))?;
            if rows.is_empty() {
                return Ok(());
            }
            // What can be read may be on the primary only.
            self.ledger.settle().map_err(|e| self.lost(&e))?;
            for row in rows {
                let mut chain = Chain::from(&self.options.origin, self.frontier.clone());
                let taken = take(&row, &mut chain, self.key.verifier());
                let (batch, records) = taken.map_err(|why| self.end_with(why))?;
                self.fetch_evidence(batch.records())?;
                self.add(row.first, batch.bytes(), batch.lines())?;
                self.frontier = chain.frontier().clone();
                (self.root, self.note) = (self.frontier.root(), row.note);
                records.iter().for_each(&mut fold);
                self.tell(records.iter());
            }
        }
    }

    /// Brings the files that records of this bastion name to the database, before the records.
    fn keep_evidence(&mut self, leaves: &[Vec<u8>]) -> Result<(), JournalError> {
        for (_, sha256, _, deletes) in leaves.iter().filter_map(|leaf| told(leaf)) {
            if deletes {
                continue;
            }
            if let Some(bytes) = evidence::open(&self.options.dir, &sha256)? {
                self.ledger.keep(&sha256, &bytes).map_err(|e| self.lost(&e))?;
            }
        }
        Ok(())
    }

    /// Deletes from the database what records of this bastion say is deleted. Where that fails the file stays there.
    fn forget_evidence(&mut self, leaves: &[Vec<u8>]) {
        for (_, sha256, _, deletes) in leaves.iter().filter_map(|leaf| told(leaf)) {
            if deletes && let Err(why) = self.ledger.forget(&sha256) {
                tracing::warn!(%sha256, %why, "evidence was not deleted from the journal's database");
            }
        }
    }

    /// Brings the files that records of others name into the copy, and deletes those that they say are deleted.
    fn fetch_evidence<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> Result<(), JournalError> {
        let dir = self.options.dir.clone();
        for (_, sha256, _, deletes) in records.filter_map(told) {
            if deletes {
                evidence::delete(&dir, &sha256)?;
            } else if let Some(bytes) = self.ledger.kept(&sha256).map_err(|e| self.lost(&e))? {
                let found = evidence::digest(&bytes);
                if found == sha256 {
                    evidence::put(&dir, &bytes)?;
                } else {
                    tracing::error!(%sha256, %found, "evidence in the journal's database has other bytes than its name says");
                }
            }
        }
        Ok(())
    }

    /// Nothing is written before the database has answered.
    fn lost(&mut self, error: &LedgerError) -> JournalError {
        self.entered = false;
        let why = format!("its database {}: {error}; nothing is written before that is over", self.database.address());
        self.broken = Some(why.clone());
        JournalError::Broken { why }
    }

    /// Nothing is written from here on.
    fn end(&mut self, why: &str) -> JournalError {
        self.end_with(JournalError::Broken { why: format!("{why}; open it anew") })
    }

    fn end_with(&mut self, error: JournalError) -> JournalError {
        let why = match &error {
            JournalError::Broken { why } => why.clone(),
            other => other.to_string(),
        };
        (self.broken, self.ended, self.entered) = (Some(why), true, false);
        error
    }
}
