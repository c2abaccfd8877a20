//! A log in a directory: `records/<first-seq>.jsonl` segments of records with a signed checkpoint after each
//! batch, `log.key` and `log.vkey`, `lock`, `quarantine/` for torn tails, and `snapshot/` for the state that the records are
//! folded into. Called by the journal's handle,
//! its readers and its verifier.

pub mod batch;
pub mod chain;
pub mod create;
pub mod evidence;
pub mod export;
pub mod follow;
pub mod hashes;
pub mod intake;
pub mod keyfile;
pub mod leaves;
pub mod lock;
pub mod medium;
pub mod open;
pub mod openings;
pub mod place;
pub mod pruned;
pub mod publish;
pub mod recover;
pub mod rotate;
pub mod scan;
pub mod scrub;
pub mod snapshots;
pub mod succession;
pub mod tiles;
pub mod times;
pub mod walk;
pub mod writer;

/// Name of the folder of segments.
pub const RECORDS: &str = "records";
/// Name of the file that holds the private half of the key.
pub const KEY: &str = "log.key";
/// Name of the file that holds the public half, beside the records and so never a proof by itself.
pub const VERIFIER_KEY: &str = "log.vkey";
/// Name of the folder of torn tails.
pub const QUARANTINE: &str = "quarantine";
/// Name of the folder of snapshots of the state.
pub const SNAPSHOTS: &str = "snapshot";
/// Name of the published checkpoint.
pub const CHECKPOINT: &str = "checkpoint";
/// Name of the newest checkpoint that witnesses have cosigned.
pub const COSIGNED: &str = "cosigned";
/// Name of the lock file.
pub const LOCK: &str = "lock";
/// Name of the file that says that the directory is the copy of a log in a database.
pub const SHARED: &str = "shared";
