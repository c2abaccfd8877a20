//! Whether the engine of a run is still there: a connection that broke, and an engine that hangs and says nothing.

use crate::engine::client::Client;
use jiff::Timestamp;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How long a lost engine is waited for: one that is restarted by its supervisor is back by then.
const PATIENCE: Duration = Duration::from_secs(5);

/// Longest that an attached engine may say nothing, which beats once a second.
const SILENCE: Duration = Duration::from_secs(15);

/// The signs of life of one engine.
pub(super) struct Pulse<'a> {
    client: &'a Client,
    beat: watch::Receiver<Timestamp>,
    heard: Instant,
    missed: Option<Instant>,
}

impl<'a> Pulse<'a> {
    pub(super) fn of(client: &'a Client) -> Self {
        Self { client, beat: client.beat.clone(), heard: Instant::now(), missed: None }
    }

    /// Whether it can not be reached at this moment, as of the last look.
    pub(super) const fn is_missed(&self) -> bool {
        self.missed.is_some()
    }

    /// Why it is given up, once it is.
    pub(super) fn gone(&mut self) -> Option<String> {
        if self.beat.has_changed().unwrap_or(false) {
            self.beat.mark_unchanged();
            self.heard = Instant::now();
        }
        let link = self.client.link.borrow().clone();
        if let Some(lost) = link.lost {
            let since = *self.missed.get_or_insert_with(Instant::now);
            return (since.elapsed() >= PATIENCE).then_some(lost.why);
        }
        self.missed = None;
        let silent = link.attached.is_some() && self.heard.elapsed() >= SILENCE;
        silent.then(|| format!("it has said nothing for {} s", SILENCE.as_secs()))
    }
}
