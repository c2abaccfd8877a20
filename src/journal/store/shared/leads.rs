//! Which engine leads what: the runs of an incident, or the estate's own affairs. A lease is taken and renewed in the
//! database, by its clock, so that clocks of bastions which differ change nothing. Its token goes with every record that
//! only the leader may write, and the database refuses one that is not the newest: an engine that was away can write
//! nothing of what another has taken over, and so does nothing either. A lease that is new, or new again, serves for one
//! record first, `lead.taken`: when that is written everything before it has been taken in, and what the engine knew before
//! counts no more.

use super::{Database, Lead, Ledger, LedgerError};
use crate::journal::error::JournalError;
use crate::journal::kind::Kind;
use crate::journal::record::Ready;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a lease lasts unless it is renewed.
pub const LEASE: Duration = Duration::from_secs(15);

/// The leases of one engine.
pub struct Leads {
    /// A session of its own: the writer's may be waiting for a standby.
    desk: Mutex<Box<dyn Ledger>>,
    database: String,
    writer: String,
    lease: Duration,
    held: Mutex<BTreeMap<String, Held>>,
}

/// A lease that was given.
#[derive(Clone, Copy, Debug)]
struct Held {
    token: u64,
    /// Whether `lead.taken` is written under this token.
    begun: bool,
    /// Until when nobody else can have it, by this machine's clock, which runs as fast as the database's.
    until: Instant,
}

fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leads {
    /// Of the bastion that the database knows by this name.
    pub fn new(database: &dyn Database, writer: String) -> Arc<Self> {
        let (desk, lease) = (Mutex::new(database.session(Arc::new(|| {}))), database.lease());
        Arc::new(Self { desk, database: database.address().to_owned(), writer, lease, held: Mutex::default() })
    }

    /// Name of this bastion in the database.
    pub fn writer(&self) -> &str {
        &self.writer
    }

    fn unusable(&self, error: &LedgerError) -> JournalError {
        JournalError::Database { database: self.database.clone(), why: error.to_string() }
    }

    /// Takes a lease that is free, or renews the own one. Blocks.
    pub fn lead(&self, name: &str) -> Result<(), JournalError> {
        let mut desk = locked(&self.desk);
        // From before the question: the lease may be younger, and is never older.
        let asked = Instant::now();
        match desk.lead(&self.writer, name, self.lease) {
            Ok(Lead::Own { token }) => {
                // A fifth is kept for what was begun just before the end.
                let until = asked + self.lease.mul_f64(0.8);
                let mut held = locked(&self.held);
                let begun = held.get(name).is_some_and(|before| before.begun && before.token == token);
                held.insert(name.to_owned(), Held { token, begun, until });
                Ok(())
            }
            Ok(Lead::Other { holder, left }) => {
                locked(&self.held).remove(name);
                let (name, left_s) = (name.to_owned(), left.as_secs());
                Err(JournalError::Led { name, holder: crate::domain::text::sanitize(&holder), left_s })
            }
            Err(error) => Err(self.unusable(&error)),
        }
    }

    /// Whether this engine has begun to lead it, and nobody else can at this moment.
    pub fn holds(&self, name: &str) -> bool {
        locked(&self.held).get(name).is_some_and(|held| held.begun && Instant::now() < held.until)
    }

    /// The tokens that these records need; the first that this engine has no lease of is the error.
    pub fn fences<'a>(&self, records: impl Iterator<Item = &'a Ready>) -> Result<Vec<(String, u64)>, JournalError> {
        let held = locked(&self.held);
        let mut fences = Vec::new();
        for record in records {
            let Some(name) = record.led() else { continue };
            match held.get(name).filter(|held| held.begun || record.kind() == Kind::LeadTaken) {
                Some(held) => fences.push((name.to_owned(), held.token)),
                None => return Err(JournalError::NotLed { name: name.to_owned() }),
            }
        }
        Ok(fences)
    }

    /// After records were written under these tokens: this engine leads what one of them says.
    pub fn begin<'a>(&self, records: impl Iterator<Item = &'a Ready>, fences: &[(String, u64)]) {
        let taken = records.filter(|record| record.kind() == Kind::LeadTaken).filter_map(Ready::led);
        let mut held = locked(&self.held);
        for name in taken {
            if let Some(held) = held.get_mut(name)
                && fences.iter().any(|(fenced, token)| fenced == name && *token == held.token)
            {
                held.begun = true;
            }
        }
    }

    /// Another engine has taken it over.
    pub fn lost(&self, name: &str) {
        locked(&self.held).remove(name);
    }

    /// Ends all own leases, so that others need not wait for their ends. Blocks.
    pub fn let_go(&self) {
        let names: Vec<String> = std::mem::take(&mut *locked(&self.held)).into_keys().collect();
        let mut desk = locked(&self.desk);
        for name in names {
            if let Err(why) = desk.let_go(&self.writer, &name) {
                tracing::warn!(%name, %why, "a lease was not ended; it ends by itself");
            }
        }
    }

    /// How far this machine's clock is ahead of the database's at least; behind it where that is negative. Blocks.
    pub fn ahead(&self) -> Result<SignedDuration, JournalError> {
        let mut desk = locked(&self.desk);
        let asked = Timestamp::now();
        let there = desk.now().map_err(|error| self.unusable(&error))?;
        let answered = Timestamp::now();
        // Somewhere between the two the database has looked at its clock.
        Ok(asked.duration_since(there).max(SignedDuration::ZERO)
            + answered.duration_since(there).min(SignedDuration::ZERO))
    }

    /// A number that no engine was given before, at least this. Blocks.
    pub fn number(&self, name: &str, least: u64) -> Result<u64, JournalError> {
        let numbered = locked(&self.desk).number(name, least);
        numbered.map_err(|error| self.unusable(&error))
    }
}

impl std::fmt::Debug for Leads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leads").field("writer", &self.writer).field("held", &self.held).finish_non_exhaustive()
    }
}
