//! What can keep copies from being made or compared, one sentence each.

use crate::journal::JournalError;
use crate::observe::storage::StorageError;

/// What went wrong with the object storage, or with what lies there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// The object storage.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A copy contradicts the log.
    #[error(
        "the copy over {size} records in the bucket {bucket} has another root than this log: the log was rewritten after it was made; nothing more is copied, `quarterdeck audit anchors` says since where"
    )]
    Rewritten {
        /// Bucket.
        bucket: String,
        /// Size of the copy.
        size: u64,
    },
    /// A copy covers more than there is.
    #[error(
        "the bucket {bucket} has a copy over {copied} records and this log has {size}: the log was cut or rolled back; nothing more is copied"
    )]
    Shrunk {
        /// Bucket.
        bucket: String,
        /// Size of the copy.
        copied: u64,
        /// Size of the log.
        size: u64,
    },
    /// The log itself can not be read.
    #[error(transparent)]
    Log(#[from] JournalError),
    /// A file beside the log can not be read.
    #[error("{0}")]
    File(String),
}

impl AnchorError {
    /// Whether trying again can not help: the log and its copies contradict each other.
    pub const fn is_contradiction(&self) -> bool {
        matches!(self, Self::Rewritten { .. } | Self::Shrunk { .. })
    }
}
