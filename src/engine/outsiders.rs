//! The witnesses as the engine works with them: whether this log is the one that they have seen, whether they cover
//! the start of a step, and what the screens show of them.

use super::api::Outside;
use crate::attest::witness::follow::Asking;
use crate::attest::witness::{OnDisk, Settings, Witnesses, start};
use crate::domain::risk::Risk;
use crate::journal::Journal;
use crate::policy::gate::Witnessed;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// How long the start of a high-risk step waits for the quorum.
const QUORUM_PATIENCE: Duration = Duration::from_secs(10);
/// How long the first step waits for the witnesses to say that they know this log.
const OPENING_PATIENCE: Duration = Duration::from_secs(6);
/// How long the last checkpoint may take to be cosigned when the engine ends.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// The witnesses, where some are configured.
#[derive(Debug, Default)]
pub(super) struct Outsiders {
    running: Option<Witnesses>,
    /// Why they could not be started.
    failed: Option<String>,
    quorum: u32,
    /// Whether the alarm stands in the journal.
    pub(super) told: bool,
}

/// What a step waits for before it is sent.
pub(super) struct Wait {
    asking: Asking,
    /// Number of `step.started`, where the quorum must cover it.
    cover: Option<u64>,
}

impl Wait {
    /// Waits, at most for a bounded time; what came of it is read at the gate.
    pub(super) async fn over(self) {
        if self.asking.opened(OPENING_PATIENCE).await.is_ok()
            && let Some(started) = self.cover
        {
            self.asking.cover(started.saturating_add(1), QUORUM_PATIENCE).await;
        }
    }
}

impl Outsiders {
    /// Starts to follow the journal, where witnesses are configured.
    pub(super) fn start(settings: Option<Settings>, journal: &Journal) -> Self {
        let Some(settings) = settings.filter(|s| !s.witnesses.is_empty()) else { return Self::default() };
        let quorum = settings.quorum;
        let log = OnDisk::new(journal.dir().to_owned(), journal.verifier().clone());
        match start(settings, Arc::new(log), journal.verifier().clone(), journal.watch()) {
            Ok(running) => Self { running: Some(running), quorum, ..Self::default() },
            Err(why) => Self { failed: Some(why), quorum, ..Self::default() },
        }
    }

    /// Why nothing may be executed on this log, when that is so.
    pub(super) fn alarm(&self) -> Option<String> {
        Some(self.running.as_ref()?.board().alarm?.to_string())
    }

    /// What a step must wait for before it is sent.
    pub(super) fn wait(&self, risk: Risk, started: Option<u64>) -> Option<Wait> {
        let running = self.running.as_ref()?;
        let cover = started.filter(|_| risk == Risk::High && self.quorum > 0);
        if cover.is_none() && running.board().all_asked() {
            return None;
        }
        Some(Wait { asking: running.asking(), cover })
    }

    /// What the gate is told; nothing where no quorum is asked for.
    pub(super) fn witnessed(&self, started: Option<u64>, glass: Option<Timestamp>) -> Option<Witnessed> {
        if self.quorum == 0 {
            return None;
        }
        let needed = self.quorum;
        let board = self.running.as_ref().map(Witnesses::board).unwrap_or_default();
        let confirmed = started.map_or(0, |seq| board.confirmed(seq.saturating_add(1)));
        Some(Witnessed { needed, confirmed, size: board.covered(needed), glass })
    }

    /// What the screens show.
    pub(super) fn view(&self, now: Timestamp) -> Option<Outside> {
        let needed = self.quorum.max(1);
        if let Some(why) = &self.failed {
            return Some(Outside { needed, trouble: Some(why.clone()), ..Outside::default() });
        }
        let running = self.running.as_ref()?;
        let board = running.board();
        let size = board.covered(needed);
        Some(Outside {
            size,
            at: board.at(),
            confirmed: board.confirmed(size.max(1)),
            needed,
            shipped: None,
            trouble: running.trouble(now),
        })
    }

    /// Ends with the last checkpoint cosigned, if the witnesses answer at once.
    pub(super) async fn finish(&mut self, size: u64) {
        if let Some(running) = self.running.take() {
            // Nobody waits for witnesses that do not answer anyway.
            let silent = running.board().standings.iter().all(|s| s.trouble.is_some());
            running.finish(size, if silent { Duration::ZERO } else { LAST_PATIENCE }).await;
        }
    }
}
