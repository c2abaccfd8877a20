//! What an engine was asked since its start, and what of that it refused: for whoever watches the program. The records of
//! refusals are in the journal; these only count.

use super::api::Reply;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that only grow.
#[derive(Debug, Default)]
pub struct Counters {
    /// Commands that would change something and were taken.
    pub(super) taken: AtomicU64,
    /// Those that were refused because they do not fit.
    pub(super) refused: AtomicU64,
    /// Those that policy denied.
    pub(super) denied: AtomicU64,
    /// Peers of the socket that were turned away.
    pub(super) turned_away: AtomicU64,
}

impl Counters {
    /// Counts the answer to a command that would change something.
    pub(super) fn answered(&self, reply: &Reply) {
        let counter = match reply {
            Reply::Refused { denied: true, .. } => &self.denied,
            Reply::Refused { denied: false, .. } => &self.refused,
            _ => &self.taken,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
