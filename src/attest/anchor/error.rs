//! What can keep copies from being made or compared, one sentence each.

use crate::journal::JournalError;

/// What went wrong with the object storage, or with what lies there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnchorError {
    /// A key of the configuration can not be read.
    #[error("`{key}` of {table} can not be read: {why}")]
    Secret {
        /// The table.
        table: &'static str,
        /// Which one.
        key: &'static str,
        /// Why.
        why: String,
    },
    /// The configuration makes no request.
    #[error("{table} can not be used: {why}")]
    Config {
        /// The table.
        table: &'static str,
        /// Why.
        why: String,
    },
    /// No answer: no connection, TLS, time.
    #[error("{0}")]
    Unreachable(String),
    /// The server does not let us.
    #[error("the bucket {bucket} refuses {doing}: {said}")]
    Refused {
        /// Bucket.
        bucket: String,
        /// What was tried.
        doing: &'static str,
        /// What it said.
        said: String,
    },
    /// The bucket is not there.
    #[error(
        "there is no bucket {bucket} at {endpoint}; make it with versioning and object lock, which can not be added later everywhere"
    )]
    NoBucket {
        /// Bucket.
        bucket: String,
        /// Where it was looked for.
        endpoint: String,
    },
    /// Requests are refused because the clocks differ.
    #[error("the bucket {bucket} refuses {doing} because this host's clock is {} s {} that of the storage; set the clock", .ahead.unsigned_abs(), if *.ahead > 0 { "ahead of" } else { "behind" })]
    Clock {
        /// Bucket.
        bucket: String,
        /// What was tried.
        doing: &'static str,
        /// Seconds by which this host is ahead.
        ahead: i64,
    },
    /// Any other answer.
    #[error("the bucket {bucket} answered {doing} with HTTP {status}{said}")]
    Answer {
        /// Bucket.
        bucket: String,
        /// What was tried.
        doing: &'static str,
        /// HTTP status.
        status: u16,
        /// What it said, with a separator before it.
        said: String,
    },
    /// An answer that is none.
    #[error("what answers at {endpoint} is no object storage: {doing} gave {why}")]
    Rubbish {
        /// Where.
        endpoint: String,
        /// What was tried.
        doing: &'static str,
        /// What came.
        why: String,
    },
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
