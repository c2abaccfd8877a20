//! The verbs of the simulated PostgreSQL: sessions, settings, replicas, and the pooler before them. The parent module
//! lists them.

mod pooler;
mod server;
mod signal;

pub(super) use signal::{BlockingTree, Signal};

use super::effect::{Effect, Look};

/// What they do, one list a file.
pub(super) static EFFECTS: [&[Effect]; 2] = [server::EFFECTS, pooler::EFFECTS];

/// What they see.
pub(super) static LOOKS: [&[Look]; 2] = [server::LOOKS, pooler::LOOKS];
