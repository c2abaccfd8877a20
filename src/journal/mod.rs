//! The journal: every intent, approval and outcome, on the disk before it counts, in a Merkle tree whose signed
//! checkpoints anybody can check. The engine appends, the command line reads and verifies, reports are derived
//! from it. `store` is its only I/O; the formats are those of RFC 8785, RFC 6962 and the C2SP specifications.

pub mod archive;
pub mod canonical;
pub mod checkpoint;
pub mod commitment;
pub mod cosignature;
mod describe;
pub mod error;
pub mod evidence;
pub mod fold;
pub mod handle;
pub mod key;
pub mod kind;
pub mod newest;
pub mod pieces;
pub mod proof;
pub mod pruned;
pub mod read;
pub mod record;
pub mod rotation;
pub mod snapshot;
mod store;
pub mod synced;
pub mod tile;
pub mod tree;
pub mod verify;

pub use describe::describe;
pub use error::{Damage, Holder, JournalError};
pub use handle::{Journal, OpenOptions, Quarantined, Recovered, Rotated, Scrub, Status};
pub use kind::Kind;
pub use record::{Committed, Draft, ESTATE, Record, lead_of};
pub use store::file::export::{Exported, export};
pub use store::file::follow::Published;
pub use store::shared;
