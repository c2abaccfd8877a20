//! What can go wrong with a journal, one sentence each, with the facts in fields.

use super::key::BadKey;
use super::record::NotAdmitted;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// Who holds a log, as the lock file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Process id on `host`.
    pub pid: u32,
    /// Login name.
    pub user: String,
    /// Host.
    pub host: String,
    /// Since when, RFC 3339.
    pub since: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use crate::domain::text::sanitize;
        let Self { pid, user, host, since } = self;
        write!(f, "process {pid} of {} on {} since {}", sanitize(user), sanitize(host), sanitize(since))
    }
}

/// The narrowest place in which something is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Damage {
    /// Number of the record, or of the first that it may be.
    pub seq: u64,
    /// Number of the last record that it may be; the same as `seq` where it is one.
    pub through: u64,
    /// File below the journal's directory.
    pub file: String,
    /// Line in it, from 1 on; 0 where it is not about a line.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, through, file, line, why } = self;
        if seq == through {
            write!(f, "record {seq}")?;
        } else {
            write!(f, "records {seq} to {through}")?;
        }
        write!(f, ", {file}")?;
        if *line > 0 {
            write!(f, " line {line}")?;
        }
        write!(f, ": {why}")
    }
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The directory, or one that it needs, is a symbolic link.
    #[error("{} is a symbolic link; name the directory itself, so that the journal can not be moved under it", .path.display())]
    Symlink {
        /// Which.
        path: PathBuf,
    },
    /// Something else lies where the directory should be.
    #[error("{} is not a directory", .path.display())]
    NotADirectory {
        /// Which.
        path: PathBuf,
    },
    /// The directory lies on a file system whose locks and syncs can not be relied on.
    #[error("{} is on {file_system}, a network file system, whose locks and syncs a journal can not rely on; use a local disk", .dir.display())]
    NetworkFileSystem {
        /// Directory.
        dir: PathBuf,
        /// Its file system.
        file_system: String,
    },
    /// Nothing can be written there.
    #[error("the journal can not be written: {} does not take it ({why})", .path.display())]
    ReadOnly {
        /// What could not be opened for writing.
        path: PathBuf,
        /// What the operating system said.
        why: String,
    },
    /// Another writer has it.
    #[error("the journal {} is held by {}", .dir.display(), .holder.as_ref().map_or_else(|| "another process that has not said its name yet".to_owned(), ToString::to_string))]
    Locked {
        /// Directory.
        dir: PathBuf,
        /// Who has it.
        holder: Option<Holder>,
    },
    /// No journal is there.
    #[error("there is no journal in {}: it has no records", .dir.display())]
    NoLog {
        /// Directory.
        dir: PathBuf,
    },
    /// It is the journal of something else.
    #[error("{} holds the journal of `{found}`, not of `{expected}`", .dir.display())]
    ForeignLog {
        /// Directory.
        dir: PathBuf,
        /// Origin found.
        found: String,
        /// Origin asked for.
        expected: String,
    },
    /// It was written by a later program.
    #[error(
        "{file} line {line} has format version {found}, which this version of quarterdeck does not know; use a newer quarterdeck"
    )]
    FutureVersion {
        /// File below the directory.
        file: String,
        /// Line.
        line: u64,
        /// Version found.
        found: u64,
    },
    /// A record is well-formed but of a kind or shape that this program does not know.
    #[error("record {seq} can not be understood: {why}")]
    Foreign {
        /// Its number.
        seq: u64,
        /// Why not.
        why: String,
    },
    /// The log is there and its key is not.
    #[error("the journal {} has records and its key {} is gone; bring the key back, or begin a new journal in another directory", .dir.display(), .key.display())]
    KeyMissing {
        /// Directory.
        dir: PathBuf,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The key is there and its log is not.
    #[error("the key {} is there and the records it signed are gone from {}; bring them back, or begin a new journal in another directory", .key.display(), .dir.display())]
    KeyWithoutLog {
        /// Directory.
        dir: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// Others can read the key.
    #[error("the key {} has mode {mode:04o}, so that others can use it; it must be 0600", .key.display())]
    KeyMode {
        /// The key.
        key: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The key belongs to somebody else.
    #[error("the key {} belongs to user id {owner}, and this process runs as {expected}", .key.display())]
    KeyOwner {
        /// The key.
        key: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who we are.
        expected: u32,
    },
    /// The key file is no key.
    #[error("the key {} can not be used: {why}", .path.display())]
    KeyMalformed {
        /// The file.
        path: PathBuf,
        /// Why.
        why: BadKey,
    },
    /// The key is not the one that signed the log.
    #[error("the journal {} was not signed by the key {key}", .dir.display())]
    OtherKey {
        /// Directory.
        dir: PathBuf,
        /// The key that was tried.
        key: String,
    },
    /// Another key than the one that is known from elsewhere.
    #[error("the journal {} is signed by the key {found}, and the key pinned for it is {pinned}; do not use it before you know why: it may be another journal, or one that was begun anew over this one", .dir.display())]
    Pinned {
        /// Directory.
        dir: PathBuf,
        /// Key of the log.
        found: String,
        /// The pin.
        pinned: String,
    },
    /// The pin knows a log that is not there.
    #[error("there is no journal in {}, and one with the key {pinned} is known; bring it back, or begin a new one with `quarterdeck audit begin`", .dir.display())]
    PinnedLogMissing {
        /// Directory.
        dir: PathBuf,
        /// The pin.
        pinned: String,
    },
    /// A log that is there already can not be made to follow another one.
    #[error("there is a journal in {} already, so that none can be begun there", .dir.display())]
    NotNew {
        /// Directory.
        dir: PathBuf,
    },
    /// No key to verify with.
    #[error("no verifier key was given, and none lies beside the records in {}", .dir.display())]
    NoVerifierKey {
        /// Directory.
        dir: PathBuf,
    },
    /// A checkpoint that was kept elsewhere is none of this log.
    #[error("the kept checkpoint can not be used: {why}")]
    KeptCheckpoint {
        /// Why.
        why: super::checkpoint::BadNote,
    },
    /// A cosignature under a checkpoint that was kept elsewhere is not what it says.
    #[error("the kept checkpoint can not be used: {why}")]
    Cosignature {
        /// Why.
        why: super::cosignature::BadCosigned,
    },
    /// A name that can not be a log's origin.
    #[error(transparent)]
    Origin(#[from] BadKey),
    /// The log is damaged in a place that recovery may not touch.
    #[error("the journal is damaged at {0}")]
    Damaged(Damage),
    /// The record as drafted can not be written.
    #[error(transparent)]
    NotAdmitted(#[from] NotAdmitted),
    /// More at once than one batch holds.
    #[error("{bytes} bytes of records at once are more than the {limit} that one batch holds")]
    TooMuchAtOnce {
        /// Bytes asked for.
        bytes: usize,
        /// Limit.
        limit: usize,
    },
    /// Too little space to begin something whose outcome must be written too.
    #[error("the disk of the journal {} has {free_mib} MiB left, and {needed_mib} MiB must be free before anything new may begin; outcomes are still written", .dir.display())]
    LowSpace {
        /// Directory.
        dir: PathBuf,
        /// What is free.
        free_mib: u64,
        /// What must be.
        needed_mib: u64,
    },
    /// No space at all.
    #[error("the disk of the journal {} is full; nothing was written", .dir.display())]
    DiskFull {
        /// Directory.
        dir: PathBuf,
    },
    /// A write or a sync failed earlier: nothing can be written until the journal is opened anew.
    #[error("the journal takes nothing more: {why}")]
    Broken {
        /// What failed.
        why: String,
    },
    /// It was closed.
    #[error("the journal is closed")]
    Closed,
    /// A proof about more records than there are.
    #[error("the journal {} has {size} records, and the first {asked} were asked about", .dir.display())]
    BeyondTheEnd {
        /// Directory.
        dir: PathBuf,
        /// Number of records asked about.
        asked: u64,
        /// Number of records that are there.
        size: u64,
    },
    /// A proof of a record that is not in the tree it is asked for.
    #[error("record {seq} is not among the first {size} records, whose numbers begin with 0")]
    NotInTree {
        /// Number of the record.
        seq: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A consistency proof from a later tree to an earlier one.
    #[error("a tree of {new} records does not continue one of {old}; the earlier size comes first")]
    Backwards {
        /// The size that was said to be the earlier one.
        old: u64,
        /// The size that was said to be the later one.
        new: u64,
    },
    /// A tree greater than any log.
    #[error("a tree of {size} records is greater than any journal; the greatest has {} records", super::tile::MAX_TREE)]
    TreeTooGreat {
        /// The size asked for.
        size: u64,
    },
    /// The records do not hash to what was signed.
    #[error("record {seq} can not be proved ({why}); `audit verify` says where the journal does not hold")]
    Unproved {
        /// Number of the record.
        seq: u64,
        /// What does not hold.
        why: super::proof::BadProof,
    },
    /// The records asked about were moved to an archive.
    #[error(
        "records {first} to {last} were moved to the archive {place}; name a directory with them with --archive DIR (`audit archive --fetch DIR` brings them from object storage)"
    )]
    Archived {
        /// The first of them.
        first: u64,
        /// The last of them.
        last: u64,
        /// Where they lie.
        place: String,
    },
    /// The state can not be rebuilt, since the records that it begins with were moved and no snapshot stands for them.
    #[error(
        "the state can not be rebuilt: records 0 to {last} were moved to the archive {place}, and no snapshot of the state that this version of quarterdeck can read stands for them; bring them back with `quarterdeck audit archive --restore`"
    )]
    StateArchived {
        /// The last of them.
        last: u64,
        /// Where they lie.
        place: String,
    },
    /// Segments can not be pruned.
    #[error("nothing was pruned: {why}")]
    NotPruned {
        /// Why.
        why: String,
    },
    /// The database that a log lies in can not be used.
    #[error("the journal's database {database}: {why}")]
    Database {
        /// For people.
        database: String,
        /// What it said, or why it is refused.
        why: String,
    },
    /// The directory is only the copy of a log.
    #[error("{} is the copy of a journal that lies in the database {database}; name that in [journal.postgres]", .dir.display())]
    IsACopy {
        /// Directory.
        dir: PathBuf,
        /// The database.
        database: String,
    },
    /// The directory has a log of its own.
    #[error("{} holds a journal of its own, and [journal.postgres] names the database {database}; name an empty directory for the copy, or leave that table out", .dir.display())]
    OwnLog {
        /// Directory.
        dir: PathBuf,
        /// The database.
        database: String,
    },
    /// The log is in the database, and this bastion can not sign for it.
    #[error("the database {database} holds a journal, and its key {} is not here; bring it from a bastion that has it, mode 0600", .key.display())]
    SharedKeyMissing {
        /// The database.
        database: String,
        /// Where the key should be.
        key: PathBuf,
    },
    /// The database has lost records.
    #[error(
        "the database {database} holds {found} records of the journal, and this bastion has seen {seen}: it was set back, or another one has its name; do not use it before you know why"
    )]
    Shrunk {
        /// The database.
        database: String,
        /// Records in it.
        found: u64,
        /// Records in the copy.
        seen: u64,
    },
    /// The database has other records.
    #[error(
        "the database {database} has another history than this bastion has seen of the first {size} records; do not use it before you know why"
    )]
    Forked {
        /// The database.
        database: String,
        /// Records of the copy.
        size: u64,
    },
    /// Another engine leads it.
    #[error(
        "{name} is led by the engine on {holder}; attach there, or wait: its lease ends in {left_s} s unless it renews it"
    )]
    Led {
        /// The incident, or `the estate`.
        name: String,
        /// The bastion.
        holder: String,
        /// Seconds.
        left_s: u64,
    },
    /// This engine does not lead it.
    #[error("this engine does not lead {name}, so that it writes nothing of what only its leader does")]
    NotLed {
        /// The incident, or `the estate`.
        name: String,
    },
    /// What is only done to a log that has one writer.
    #[error("the journal lies in the database {database}, whose key several bastions hold: it can not be rotated")]
    OfSeveral {
        /// The database.
        database: String,
    },
    /// An export would go where something else is.
    #[error("{} can not take the export: {why}; name a new or an empty directory, or that of an earlier export of this journal", .dir.display())]
    ExportTarget {
        /// The directory.
        dir: PathBuf,
        /// What is there.
        why: String,
    },
    /// A file of evidence has other bytes than its name says.
    #[error("the evidence {sha256} has other bytes now: their digest is {found}")]
    EvidenceAltered {
        /// Its name.
        sha256: crate::domain::id::Digest,
        /// The digest of what is there.
        found: crate::domain::id::Digest,
    },
    /// Something else the operating system refused.
    #[error("{what} {} failed: {why}", .path.display())]
    Io {
        /// What was tried: `reading`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What it said.
        why: String,
    },
}

impl JournalError {
    /// An operating system's refusal, told apart where a person can do something about it.
    pub(super) fn io(what: &'static str, path: &Path, error: &std::io::Error) -> Self {
        use std::io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        let path = path.to_owned();
        match error.kind() {
            StorageFull | QuotaExceeded => Self::DiskFull { dir: path },
            ReadOnlyFilesystem => Self::ReadOnly { path, why: error.to_string() },
            PermissionDenied if what != READING => Self::ReadOnly { path, why: error.to_string() },
            _ => Self::Io { what, path, why: error.to_string() },
        }
    }
}

/// What reading is called in [`JournalError::Io`].
pub(super) const READING: &str = "reading";
