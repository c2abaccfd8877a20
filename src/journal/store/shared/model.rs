//! A database in memory that does what `attest::ledger` does in PostgreSQL: a primary and a synchronous standby, commits
//! that wait for it, sessions that are cut before, in or after an answer, requests that linger and arrive late, a standby
//! that takes over. It has no clock of its own: who drives it says when time passes.

use super::{Database, Head, Heard, Lead, Ledger, LedgerError, Offer, Row};
use crate::domain::id::Digest;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// What one server holds.
#[derive(Clone, Debug, Default)]
struct Data {
    rows: Vec<Row>,
    root: Option<[u8; 32]>,
    /// Bastions with the number of their last session.
    writers: BTreeMap<String, u64>,
    leases: BTreeMap<String, Lease>,
    numbers: BTreeMap<String, u64>,
    evidence: BTreeMap<Digest, Vec<u8>>,
}

#[derive(Clone, Debug)]
struct Lease {
    token: u64,
    holder: String,
    until: Duration,
}

/// What goes wrong with the next request of a bastion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The session is cut before the server has it.
    Before,
    /// It is cut after the server has done it.
    After,
    /// It is cut, and the server gets the request later.
    Late,
}

/// A change as a session asks for it.
type Change = Arc<dyn Fn(&mut Data, Duration) -> Result<Answer, LedgerError> + Send + Sync>;

#[derive(Clone, Debug)]
enum Answer {
    Done,
    Entered { epoch: u64, head: Head },
    Led(Lead),
    Number(u64),
}

struct World {
    /// How far its clock is ahead of this machine's.
    ahead: SignedDuration,
    lease: Duration,
    primary: Data,
    standby: Data,
    /// What is committed on the primary, and waits for the standby with the lock in its hands.
    waiting: Option<Data>,
    now: Duration,
    standby_answers: bool,
    /// Bastions that can not reach it.
    away: Vec<String>,
    faults: BTreeMap<String, Fault>,
    late: Vec<Change>,
}

/// The database, as all its sessions see it.
#[derive(Clone)]
pub struct Model(Arc<Mutex<World>>);

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Model")
    }
}

impl Model {
    pub fn new() -> Self {
        Self::leasing(super::LEASE)
    }

    /// The same with leases of this length.
    pub fn leasing(lease: Duration) -> Self {
        Self(Arc::new(Mutex::new(World {
            ahead: SignedDuration::ZERO,
            lease,
            primary: Data::default(),
            standby: Data::default(),
            waiting: None,
            now: Duration::ZERO,
            standby_answers: true,
            away: Vec::new(),
            faults: BTreeMap::new(),
            late: Vec::new(),
        })))
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.0.lock().unwrap()
    }

    /// Something goes wrong with the next request of the bastion on this host.
    pub fn fault(&self, host: &str, fault: Fault) {
        self.world().faults.insert(host.to_owned(), fault);
    }

    /// The bastion on this host reaches the database or not.
    pub fn cut(&self, host: &str, away: bool) {
        let mut world = self.world();
        world.away.retain(|h| h != host);
        if away {
            world.away.push(host.to_owned());
        }
    }

    /// Sets its clock so far ahead of this machine's, which changes nothing but what it says of the time.
    pub fn set_clock(&self, ahead: SignedDuration) {
        self.world().ahead = ahead;
    }

    /// Time passes by the database's clock.
    pub fn pass(&self, time: Duration) {
        self.world().now += time;
    }

    /// The standby answers or not; what waits for it is durable when it does.
    pub fn standby(&self, answers: bool) {
        let mut world = self.world();
        world.standby_answers = answers;
        world.settle();
    }

    /// Somebody cancels the wait for the standby: what waits can be read, and is on the primary only.
    pub fn cancel(&self) {
        let mut world = self.world();
        if let Some(done) = world.waiting.take() {
            world.primary = done;
        }
    }

    /// The primary is gone with all that the standby does not have, and the standby has taken over, with one of its own.
    pub fn fail_over(&self) {
        let mut world = self.world();
        world.waiting = None;
        world.primary = world.standby.clone();
        world.standby_answers = true;
        // What was on its way went to the other server.
        world.late.clear();
    }

    /// Requests that linger reach the server now.
    pub fn arrive(&self) {
        let mut world = self.world();
        for change in std::mem::take(&mut world.late) {
            let _ = world.commit(&change);
        }
    }

    /// Who leads it, by the database.
    pub fn leader(&self, name: &str) -> Option<String> {
        let world = self.world();
        world.primary.leases.get(name).map(|l| l.holder.clone())
    }
}

impl World {
    /// Makes durable what waits, where the standby answers.
    fn settle(&mut self) {
        if self.standby_answers
            && let Some(done) = self.waiting.take()
        {
            self.primary = done;
            self.standby = self.primary.clone();
        }
    }

    /// One transaction: under the lock, and durable when it answers.
    fn commit(&mut self, change: &Change) -> Result<Answer, LedgerError> {
        if self.waiting.is_some() {
            return Err(LedgerError::Lost("no answer: another session has the lock".into()));
        }
        let mut after = self.primary.clone();
        let answer = change(&mut after, self.now)?;
        self.waiting = Some(after);
        self.settle();
        match self.waiting {
            None => Ok(answer),
            Some(_) => Err(LedgerError::Lost("no answer: its standby does not answer".into())),
        }
    }
}

/// A session.
struct Session {
    model: Model,
    writer: String,
    epoch: u64,
    host: String,
}

impl Database for Model {
    fn address(&self) -> &'static str {
        "model/journal"
    }

    fn lease(&self) -> Duration {
        self.world().lease
    }

    fn session(&self, _: Heard) -> Box<dyn Ledger> {
        let (writer, host) = (String::new(), String::new());
        Box::new(Session { model: self.clone(), writer, epoch: 0, host })
    }
}

impl Session {
    fn reach(&self) -> Result<(), LedgerError> {
        let world = self.model.world();
        if !world.away.contains(&self.host) {
            return Ok(());
        }
        Err(LedgerError::Lost("it does not answer".into()))
    }

    fn ask(&mut self, change: Change) -> Result<Answer, LedgerError> {
        self.reach()?;
        let mut world = self.model.world();
        let fault = world.faults.remove(&self.host);
        match fault {
            Some(Fault::Before) => Err(LedgerError::Lost("the session was cut".into())),
            Some(Fault::Late) => {
                world.late.push(change);
                Err(LedgerError::Lost("the session was cut".into()))
            }
            Some(Fault::After) => {
                let _ = world.commit(&change);
                Err(LedgerError::Lost("the session was cut".into()))
            }
            None => world.commit(&change),
        }
    }

    /// As the bastion that has entered.
    fn own(
        &mut self,
        change: impl Fn(&mut Data, Duration) -> Result<(), LedgerError> + Send + Sync + 'static,
    ) -> Result<(), LedgerError> {
        let (writer, epoch) = (self.writer.clone(), self.epoch);
        let asked = self.ask(Arc::new(move |data, now| {
            if data.writers.get(&writer) != Some(&epoch) {
                return Err(LedgerError::Lost(format!("a later session of {writer} has taken over")));
            }
            change(data, now).map(|()| Answer::Done)
        }));
        asked.map(|_| ())
    }
}

fn host(writer: &str) -> String {
    writer.rsplit_once('-').map_or(writer, |(host, _)| host).to_owned()
}

impl Ledger for Session {
    fn enter(&mut self, writer: &str, _origin: &str) -> Result<Head, LedgerError> {
        (self.writer, self.host) = (writer.to_owned(), host(writer));
        let name = writer.to_owned();
        let entered = self.ask(Arc::new(move |data, _| {
            let epoch = data.writers.entry(name.clone()).or_default();
            *epoch += 1;
            let epoch = *epoch;
            let head = data.rows.last().map(|row| Head { size: row.size, note: row.note.clone() }).unwrap_or_default();
            Ok(Answer::Entered { epoch, head })
        }))?;
        let Answer::Entered { epoch, head } = entered else { unreachable!() };
        self.epoch = epoch;
        Ok(head)
    }

    fn append(&mut self, offer: &Offer<'_>) -> Result<(), LedgerError> {
        let (size, root, after) = (offer.size, offer.root.0, offer.root_after.0);
        let (leaves, note) = (offer.leaves.to_vec(), offer.note.to_owned());
        let (fences, writer) = (offer.fences.to_vec(), self.writer.clone());
        self.own(move |data, _| {
            let newest = |(name, token): &&(String, u64)| {
                data.leases.get(name).is_some_and(|l| l.token == *token && l.holder == writer)
            };
            if let Some((name, _)) = fences.iter().find(|fence| !newest(fence)) {
                return Err(LedgerError::Fenced(name.clone()));
            }
            let end = data.rows.last().map_or(0, |row| row.size);
            if end != size || data.root.is_some_and(|known| known != root) {
                return Err(LedgerError::Moved);
            }
            let leaves: Vec<_> = (size..).zip(leaves.clone()).collect();
            let row = Row { first: size, size: size + leaves.len() as u64, leaves, note: note.clone() };
            data.rows.push(row);
            data.root = Some(after);
            Ok(())
        })
    }

    fn read(&mut self, from: u64) -> Result<Vec<Row>, LedgerError> {
        self.reach()?;
        let world = self.model.world();
        Ok(world.primary.rows.iter().filter(|row| row.first >= from).take(3).cloned().collect())
    }

    fn note_at(&mut self, size: u64) -> Result<Option<String>, LedgerError> {
        self.reach()?;
        let world = self.model.world();
        Ok(world.primary.rows.iter().find(|row| row.size == size).map(|row| row.note.clone()))
    }

    fn settle(&mut self) -> Result<(), LedgerError> {
        self.own(|_, _| Ok(()))
    }

    fn keep(&mut self, sha256: &Digest, bytes: &[u8]) -> Result<(), LedgerError> {
        let (sha256, bytes) = (sha256.clone(), bytes.to_vec());
        self.own(move |data, _| {
            data.evidence.insert(sha256.clone(), bytes.clone());
            Ok(())
        })
    }

    fn kept(&mut self, sha256: &Digest) -> Result<Option<Vec<u8>>, LedgerError> {
        self.reach()?;
        Ok(self.model.world().primary.evidence.get(sha256).cloned())
    }

    fn forget(&mut self, sha256: &Digest) -> Result<(), LedgerError> {
        let sha256 = sha256.clone();
        self.own(move |data, _| {
            data.evidence.remove(&sha256);
            Ok(())
        })
    }

    fn lead(&mut self, writer: &str, name: &str, lease: Duration) -> Result<Lead, LedgerError> {
        self.host = host(writer);
        let (writer, name) = (writer.to_owned(), name.to_owned());
        let asked = self.ask(Arc::new(move |data, now| {
            let until = now + lease;
            let known = data.leases.get(&name).cloned();
            let token = match known {
                Some(l) if l.holder != writer && l.until > now => {
                    return Ok(Answer::Led(Lead::Other { holder: l.holder, left: l.until.saturating_sub(now) }));
                }
                Some(l) if l.holder == writer => l.token,
                Some(l) => l.token + 1,
                None => 1,
            };
            data.leases.insert(name.clone(), Lease { token, holder: writer.clone(), until });
            Ok(Answer::Led(Lead::Own { token }))
        }))?;
        let Answer::Led(lead) = asked else { unreachable!() };
        Ok(lead)
    }

    fn let_go(&mut self, writer: &str, name: &str) -> Result<(), LedgerError> {
        self.host = host(writer);
        let (writer, name) = (writer.to_owned(), name.to_owned());
        let gone = self.ask(Arc::new(move |data, now| {
            if let Some(lease) = data.leases.get_mut(&name).filter(|l| l.holder == writer) {
                lease.until = now;
            }
            Ok(Answer::Done)
        }));
        gone.map(|_| ())
    }

    fn now(&mut self) -> Result<Timestamp, LedgerError> {
        self.reach()?;
        Ok(Timestamp::now() + self.model.world().ahead)
    }

    fn number(&mut self, name: &str, least: u64) -> Result<u64, LedgerError> {
        let name = name.to_owned();
        let numbered = self.ask(Arc::new(move |data, _| {
            let given = data.numbers.entry(name.clone()).or_default();
            *given = least.max(*given + 1);
            Ok(Answer::Number(*given))
        }))?;
        let Answer::Number(number) = numbered else { unreachable!() };
        Ok(number)
    }
}
