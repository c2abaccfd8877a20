//! What can keep a question to object storage from being answered, one sentence each.

/// What went wrong with the object storage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageError {
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
    /// A file that is to be sent can not be read.
    #[error("{0}")]
    File(String),
}
