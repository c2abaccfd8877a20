//! Copies in object storage that nobody can overwrite: checkpoints under create-only keys `PREFIX/checkpoint/SIZE`,
//! and the bytes of the log and its evidence, so that a lost host leaves more than a proof of loss. The command line
//! starts it beside the engine; `doctor` and `audit anchors` ask it too.

mod compare;
mod copies;
mod directory;
mod error;
mod fetch;
mod keys;
mod protection;
mod ship;

pub use crate::observe::storage::{Bucket, Put, StorageError};
pub use compare::{Checkpoints, Compared, Report, Rewritten, compare, compare_directory, fetch_checkpoints};
pub use copies::Copy;
pub use error::AnchorError;
pub use fetch::{Fetched, fetch};
pub use keys::hash;
pub use protection::{Protection, probe};
pub use ship::{Anchor, Anchored, Log};
