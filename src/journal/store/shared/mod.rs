//! A log that lies in a database and that the engines of several bastions write. A record counts when the database holds
//! it durably, on its standby too; each bastion keeps a copy of the log in a directory of the usual form, which is never
//! ahead of the database and from which everything is read. The database itself is behind [`Ledger`]: `attest::ledger` is
//! PostgreSQL, and tests have a model of it.

mod copy;
mod fetch;
#[cfg(test)]
mod histories;
pub(in crate::journal) mod leads;
#[cfg(test)]
pub(crate) mod model;
pub(in crate::journal) mod open;
mod take;
mod writer;

pub use copy::{Mark, mark};
pub use fetch::{Fetched, fetch};
pub use leads::LEASE;

use super::file::SHARED;
use crate::domain::id::Digest;
use crate::journal::tree::Hash;
use jiff::Timestamp;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

/// Version of what the database holds: its tables, its functions and what they promise.
pub const FORMAT: i32 = 1;

/// The end of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of records.
    pub size: u64,
    /// The signed checkpoint over them; empty where there is none.
    pub note: String,
}

/// Records that were appended together, as the database holds them: nothing of it is believed before it is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// Number of the first record, and of the one after the last, as the database has them.
    pub first: u64,
    /// See `first`.
    pub size: u64,
    /// The records, each with its number.
    pub leaves: Vec<(u64, Vec<u8>)>,
    /// The signed checkpoint over everything up to the last of them.
    pub note: String,
}

/// What is to be appended, if the log ends where it is thought to.
#[derive(Clone, Debug)]
pub struct Offer<'a> {
    /// Number of records before it, and the root over them.
    pub size: u64,
    /// See `size`.
    pub root: Hash,
    /// The bytes of the records.
    pub leaves: &'a [Vec<u8>],
    /// The root with them.
    pub root_after: Hash,
    /// The signed checkpoint with them.
    pub note: &'a str,
    /// Names and tokens of the leases that have to be the newest.
    pub fences: &'a [(String, u64)],
}

/// Who leads something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lead {
    /// The one who asks, from now on for as long as was asked for.
    Own {
        /// Greater than that of everybody who has led it before.
        token: u64,
    },
    /// Somebody else.
    Other {
        /// Who.
        holder: String,
        /// When that ends, unless it is renewed.
        left: Duration,
    },
}

/// What a database did not do, and what is known of that.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// The log ends elsewhere: another engine has appended. Nothing was written.
    #[error("the log has gone on")]
    Moved,
    /// Another engine has taken over the lease of this name. Nothing was written.
    #[error("another engine leads {0} now")]
    Fenced(String),
    /// Nothing was written, and why.
    #[error("{0}")]
    Refused(String),
    /// It can not be used by this bastion, whatever is tried: it is of another estate, of another version.
    #[error("{0}")]
    Unfit(String),
    /// Nobody answers, or nobody knows what became of it.
    #[error("{0}")]
    Lost(String),
}

/// A database that holds one log. Every call blocks until the database has answered or its time is over.
pub trait Ledger: Send {
    /// Takes up the writing as one bastion: what earlier sessions of it had under way is settled, and can not come to
    /// anything any more. Refused where the database is of another log than `origin`, or not safe. What it tells of is
    /// durable.
    fn enter(&mut self, writer: &str, origin: &str) -> Result<Head, LedgerError>;
    /// Appends durably. Needs an [`Ledger::enter`] since the last [`LedgerError::Lost`].
    fn append(&mut self, offer: &Offer<'_>) -> Result<(), LedgerError>;
    /// Batches from record `from` on, some of them; none where the log ends there.
    fn read(&mut self, from: u64) -> Result<Vec<Row>, LedgerError>;
    /// The signed checkpoint over so many records, if a batch ends there.
    fn note_at(&mut self, size: u64) -> Result<Option<String>, LedgerError>;
    /// Returns when everything that was read is durable.
    fn settle(&mut self) -> Result<(), LedgerError>;
    /// Keeps the bytes of a piece of evidence durably under its digest.
    fn keep(&mut self, sha256: &Digest, bytes: &[u8]) -> Result<(), LedgerError>;
    /// What is kept under a digest.
    fn kept(&mut self, sha256: &Digest) -> Result<Option<Vec<u8>>, LedgerError>;
    /// Deletes what is kept under a digest.
    fn forget(&mut self, sha256: &Digest) -> Result<(), LedgerError>;
    /// Takes or renews a lease for `writer`, unless another has it. What it tells of is durable.
    fn lead(&mut self, writer: &str, name: &str, lease: Duration) -> Result<Lead, LedgerError>;
    /// Ends a lease of `writer`.
    fn let_go(&mut self, writer: &str, name: &str) -> Result<(), LedgerError>;
    /// What its clock says.
    fn now(&mut self) -> Result<Timestamp, LedgerError>;
    /// A number of this name that was not given before, at least `least`.
    fn number(&mut self, name: &str, least: u64) -> Result<u64, LedgerError>;
}

/// Who is told that another engine has appended.
pub type Heard = Arc<dyn Fn() + Send + Sync>;

/// The way to such a database.
pub trait Database: Debug + Send + Sync {
    /// For people: `db.internal:5432/journal`.
    fn address(&self) -> &str;
    /// How long a lease of this engine lasts unless it is renewed.
    fn lease(&self) -> Duration {
        LEASE
    }
    /// A session of its own; nothing is opened yet. `heard` may be called at any time.
    fn session(&self, heard: Heard) -> Box<dyn Ledger>;
}
