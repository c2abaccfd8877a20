//! Lets sealed segments go that were copied to an archive. The copying is done by whoever asks for it; here is what only
//! the holder of the log may do: look at what was prepared, write the record that names it, and remove the segments.

use super::api::Reply;
use super::core::Engine;
use super::state::State;
use crate::domain::actor::Actor;
use crate::domain::id::Digest;
use crate::journal::archive::{self, Due};
use crate::journal::fold::Keep as _;
use crate::journal::{JournalError, Kind};

/// Does file work on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, Reply> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| Reply::refused(e.to_string()))?;
    done.map_err(|e| Reply::refused(e.to_string()))
}

impl Engine {
    /// Records what was moved, then removes it.
    pub(super) async fn prune(&mut self, digest: &str, actor: &Actor) -> Result<Reply, Reply> {
        let Some(sha256) = Digest::parse(digest) else {
            return Err(Reply::refused("a digest has 64 digits from 0 to 9 and a to f; `audit archive` knows it"));
        };
        if self.journal().status().scrub.is_some_and(|scrub| scrub.bad.is_some()) {
            return Err(Reply::refused("nothing was pruned: the journal is damaged; `audit verify` says where"));
        }
        let dir = self.journal().dir().to_owned();
        let looked = dir.clone();
        let due = blocking(move || archive::check(&looked, &sha256, State::FORMAT)).await?;
        let (size, places) = (due.pruned.size(), due.pruned.places());
        if due.is_new() {
            let written = self.record(Kind::JournalArchived, None, due.pruned.body(due.from), actor).await;
            written.map_err(|why| Reply::refused(format!("nothing was pruned: {why}")))?;
        }
        let count = blocking(move || remove(&dir, &due)).await?;
        let places: Vec<String> = places.iter().map(ToString::to_string).collect();
        Ok(Reply::accepted(format!(
            "{count} segments with records up to {} left this disk; they lie in {}",
            size.saturating_sub(1),
            places.join(" and ")
        )))
    }
}

/// Segments first; the bundles of their entries are derived from them.
fn remove(dir: &std::path::Path, due: &Due) -> Result<usize, JournalError> {
    let count = archive::finish(dir, due)?;
    archive::remove_entries(dir, due.pruned.size());
    Ok(count)
}
