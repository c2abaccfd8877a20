//! In whose hands a log was found: what a verification can not prove by mathematics, and states instead.

use crate::journal::error::JournalError;
use crate::journal::store::file::{KEY, place};
use serde::Serialize;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Where the private half of the key is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub enum KeyFile {
    /// Beside the records, and of the user who verifies: this user could have written another history.
    #[serde(rename = "same-user")]
    SameUser,
    /// Beside the records, and of another user.
    #[serde(rename = "other-user")]
    OtherUser,
    /// Not beside the records: they are a copy, or the key is kept elsewhere.
    #[serde(rename = "absent")]
    Absent,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Custody {
    /// Where the private half of the key is.
    pub key: KeyFile,
    /// The network file system that the directory lies on, if it does: good enough for a copy that is only read.
    pub network_file_system: Option<String>,
    /// Number of records that hold on this disk.
    pub durable: u64,
    /// Number of witnesses that were asked about.
    pub asked: u64,
    /// Number of records that a quorum of these witnesses has signed for; none when no quorum has.
    pub witnessed: Option<u64>,
    /// Names and ids of these witnesses whose cosignatures were found.
    pub witnesses: Vec<String>,
    /// What copies elsewhere say, where the log was compared with them.
    pub anchored: Option<Anchored>,
}

/// What copies of a log's checkpoints elsewhere say of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Anchored {
    /// Where they lie: a bucket with its prefix, or a directory.
    pub place: String,
    /// Number of copies that are checkpoints of the log.
    pub copies: u64,
    /// Number of records up to which they agree with the log; 0 when none does.
    pub covered: u64,
    /// How many of the copies are not under object lock in compliance mode: those could still be replaced.
    pub unlocked: u64,
    /// What bears the name of the log and is signed by a key that the log does not know.
    pub strangers: Vec<String>,
    /// Where log and copies part: after so many records, before so many, and what happened.
    #[serde(skip)]
    pub parting: Option<(u64, u64, String)>,
}

impl Custody {
    /// Looks at the directory of a log.
    pub fn of(dir: &Path) -> Result<Self, JournalError> {
        let key = match std::fs::symlink_metadata(dir.join(KEY)) {
            Ok(meta) if meta.uid() == rustix::process::geteuid().as_raw() => KeyFile::SameUser,
            Ok(_) => KeyFile::OtherUser,
            Err(_) => KeyFile::Absent,
        };
        let network_file_system = place::network_file_system_of(dir)?;
        let (witnesses, anchored) = (vec![], None);
        Ok(Self { key, network_file_system, durable: 0, asked: 0, witnessed: None, witnesses, anchored })
    }
}

impl std::fmt::Display for Custody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self.key {
            KeyFile::SameUser => "the signing key lies beside the records and is yours",
            KeyFile::OtherUser => "the signing key lies beside the records and is another user's",
            KeyFile::Absent => "the signing key is not beside the records",
        })?;
        match (self.witnessed, self.witnesses.as_slice()) {
            (Some(size), by) => write!(f, "; witnessed up to {size} records by {}", by.join(", "))?,
            (None, []) if self.asked == 0 => f.write_str("; no witness was asked about")?,
            (None, []) => write!(f, "; not witnessed: of {} witnesses none has signed for it", self.asked)?,
            (None, by) => write!(f, "; not witnessed by the quorum, only by {}", by.join(", "))?,
        }
        match &self.anchored {
            None => f.write_str("; no copy elsewhere was looked at")?,
            Some(Anchored { covered: 0, place, .. }) => write!(f, "; not anchored: no copy in {place} vouches for it")?,
            Some(Anchored { covered, place, .. }) => write!(f, "; anchored up to {covered} records in {place}")?,
        }
        write!(f, "; durable up to {} records", self.durable)?;
        match &self.network_file_system {
            Some(name) => write!(f, "; read over {name}, a network file system"),
            None => Ok(()),
        }
    }
}
