//! Snapshots of the state, so that the next opening need not read the whole journal: written beside the engine's
//! work while it runs, and at its end. One that can not be written is said in the log and missed by nobody.

use super::core::Engine;
use crate::journal::{JournalError, Kind, fold};
use serde_json::Value;
use tokio::task::JoinHandle;

/// Records after which another snapshot is made while the engine runs: what opening reads in a few milliseconds.
const EVERY: u64 = 4096;
/// Records after which one is made at the end.
const AT_END: u64 = 1024;

/// A snapshot that is being written.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    task: Option<JoinHandle<Result<Value, JournalError>>>,
    /// Records there were when one was begun last; it may have failed.
    begun: u64,
}

impl Engine {
    /// Names the snapshot that has been written, or begins one when it is time.
    pub(super) async fn keep(&mut self) {
        if self.keeping.task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        self.name_snapshot().await;
        self.begin_snapshot(EVERY);
    }

    /// Leaves a snapshot for the next opening.
    pub(super) async fn keep_at_end(&mut self) {
        self.name_snapshot().await;
        self.begin_snapshot(AT_END);
        self.name_snapshot().await;
    }

    fn begin_snapshot(&mut self, after: u64) {
        let status = self.journal.status();
        let size = self.state.size();
        let since = self.state.since_snapshot().min(size.saturating_sub(self.keeping.begun));
        let is_damaged = status.scrub.is_some_and(|s| s.bad.is_some());
        if since < after || is_damaged || !self.state.is_whole(status.place.tree.size()) {
            return;
        }
        self.keeping.begun = size;
        let (journal, state) = (self.journal.clone(), self.state.clone());
        let write = move || fold::keep(&journal, &status.place, &state);
        self.keeping.task = Some(tokio::task::spawn_blocking(write));
    }

    /// Waits for the snapshot in hand, and writes the record that makes it count.
    async fn name_snapshot(&mut self) {
        let Some(task) = self.keeping.task.take() else { return };
        match task.await.map_err(|e| e.to_string()).and_then(|written| written.map_err(|e| e.to_string())) {
            Ok(body) => {
                let _ = self.record(Kind::JournalSnapshot, None, body, &self.me.engine()).await;
            }
            Err(why) => tracing::warn!(%why, "no snapshot of the state was written"),
        }
    }
}
