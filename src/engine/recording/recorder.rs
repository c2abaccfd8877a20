//! Follows a running engine and keeps what its consoles show: from the first finding that alerts, if an incident comes
//! of it, until the incident is closed. Nothing is kept of a quiet estate, and nothing of a scripted drill, which can be
//! played again by its seed and its script.

use super::piece::{Piece, Writer};
use crate::domain::finding::Level;
use crate::domain::id::Digest;
use crate::domain::incident::IncidentState;
use crate::engine::api::Snapshot;
use crate::journal::evidence;
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

/// Least time between two frames.
const FRAME: SignedDuration = SignedDuration::from_secs(1);
/// Time after which values that only grew older make a frame too.
const AGES: SignedDuration = SignedDuration::from_secs(5);
/// Length of a piece. What is in hand is lost when the process is killed.
const PIECE: SignedDuration = SignedDuration::from_mins(5);
/// Pieces from before the incident that are held.
const EARLY: usize = 2;
/// Bytes that are kept of one incident; with each eighth of it the time between two frames doubles.
const BOUND: u64 = 256 << 20;
/// Bytes that must be free on the disk beyond what the records need, for a piece to be kept.
const SPARE: u64 = 512 << 20;
/// Pieces that may wait to be recorded.
const WAITING: usize = 4;

/// Decides what is kept. It looks at no clock but the engine's, which the snapshots carry.
#[derive(Default)]
pub(super) struct Recording {
    piece: Option<Writer>,
    early: VecDeque<Piece>,
    /// Whether an incident is open, so that pieces count.
    keeping: bool,
    /// Bytes kept of it.
    used: u64,
    /// Why frames could not be written down; said once.
    pub(super) trouble: Option<io::Error>,
}

impl Recording {
    /// Takes in what consoles show now; answers the pieces that are to be kept.
    pub(super) fn see(&mut self, now: &Arc<Snapshot>) -> Vec<Piece> {
        // A code that somebody has still to use is for those who look now.
        let bare = (!now.sign_ins.is_empty()).then(|| Arc::new(Snapshot { sign_ins: Vec::new(), ..(**now).clone() }));
        self.take(bare.as_ref().unwrap_or(now)).unwrap_or_else(|trouble| {
            (self.piece, self.trouble) = (None, Some(trouble));
            Vec::new()
        })
    }

    /// Whether an incident was declared, or the last one closed, since a frame was taken: that is not waited with.
    fn turns(&self, now: &Snapshot) -> bool {
        is_open(now) != self.keeping
    }

    fn take(&mut self, now: &Arc<Snapshot>) -> io::Result<Vec<Piece>> {
        let open = is_open(now);
        let alert = now.findings.iter().any(|f| f.level != Level::Note);
        let mut out = Vec::new();
        if self.keeping && !open {
            // The frame in which it is closed is the last one.
            self.frame(now, true)?;
            out.extend(self.end()?);
            (self.keeping, self.used) = (false, 0);
        }
        if !open && !alert {
            self.piece = None;
            self.early.clear();
            return Ok(out);
        }
        if open && !self.keeping {
            self.keeping = true;
            for piece in std::mem::take(&mut self.early) {
                self.used = self.used.saturating_add(piece.bytes.len() as u64);
                out.push(piece);
            }
        }
        self.frame(now, false)?;
        let is_due = |w: &Writer| w.is_long() || w.to().duration_since(w.from()) >= PIECE;
        if self.piece.as_ref().is_some_and(is_due) {
            let ended = self.end()?;
            // It begins with the frame that the one before ends with: in a fast drill the next is a minute later.
            self.frame(now, false)?;
            match ended {
                Some(piece) if self.keeping => out.push(piece),
                Some(piece) => {
                    self.early.push_back(piece);
                    if self.early.len() > EARLY {
                        self.early.pop_front();
                    }
                }
                None => {}
            }
        }
        Ok(out)
    }

    /// What is in hand, at the end of the engine.
    pub(super) fn finish(mut self) -> Option<Piece> {
        self.end().ok().flatten().filter(|_| self.keeping)
    }

    /// Adds a frame when it is time; at once when something has to be seen.
    fn frame(&mut self, now: &Arc<Snapshot>, at_once: bool) -> io::Result<()> {
        let eighths = self.used.checked_div(BOUND / 8).unwrap_or_default();
        if eighths >= 8 {
            return Ok(());
        }
        let Some(piece) = &mut self.piece else {
            self.piece = Some(Writer::begin(now)?);
            return Ok(());
        };
        let since = now.at.duration_since(piece.to());
        let slower = 1_i32.wrapping_shl(u32::try_from(eighths).unwrap_or(0));
        if at_once || since >= FRAME.saturating_mul(slower) {
            piece.add(now, at_once || since >= AGES.saturating_mul(slower))?;
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<Option<Piece>> {
        let Some(piece) = self.piece.take() else { return Ok(None) };
        let mut piece = piece.end()?;
        if self.keeping {
            self.used = self.used.saturating_add(piece.bytes.len() as u64);
            piece.last = self.used >= BOUND;
        }
        Ok(Some(piece))
    }
}

fn is_open(now: &Snapshot) -> bool {
    now.incidents.iter().any(|i| i.state != IncidentState::Closed)
}

/// A piece that lies beside the records, and waits to be named by one.
#[derive(Debug)]
pub(in crate::engine) struct Kept {
    pub(in crate::engine) piece: Piece,
    pub(in crate::engine) sha256: Digest,
}

/// The task that keeps.
#[derive(Debug)]
pub(in crate::engine) struct Recorder {
    kept: mpsc::Receiver<Kept>,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Recorder {
    /// Follows snapshots, and puts what is kept beside the records in `dir`.
    pub(in crate::engine) fn start(snapshots: watch::Receiver<Arc<Snapshot>>, dir: PathBuf) -> Self {
        let (to, kept) = mpsc::channel(WAITING);
        let (end, ended) = oneshot::channel();
        Self { kept, end, task: tokio::spawn(follow(snapshots, dir, to, ended)) }
    }

    /// The next piece that is to be named by a record; waits for ever when there is none.
    pub(in crate::engine) async fn next(&mut self) -> Kept {
        match self.kept.recv().await {
            Some(kept) => kept,
            None => std::future::pending().await,
        }
    }

    /// Ends it; answers what was left to be named.
    pub(in crate::engine) async fn end(mut self) -> Vec<Kept> {
        let _ = self.end.send(());
        let mut left = Vec::new();
        while let Some(kept) = self.kept.recv().await {
            left.push(kept);
        }
        if let Err(error) = self.task.await {
            tracing::error!(%error, "what the consoles showed last was not kept");
        }
        left
    }
}

async fn follow(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    dir: PathBuf,
    to: mpsc::Sender<Kept>,
    mut end: oneshot::Receiver<()>,
) {
    let mut recording = Recording::default();
    let mut second = tokio::time::interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut end => break,
            changed = snapshots.changed() => {
                let turns = recording.turns(&snapshots.borrow_and_update());
                match changed {
                    Ok(()) if turns => {}
                    Ok(()) => continue,
                    Err(_) => break,
                }
            }
            _ = second.tick() => {}
        }
        let now = snapshots.borrow().clone();
        let pieces = recording.see(&now);
        if let Some(error) = recording.trouble.take() {
            tracing::error!(%error, "what the consoles show is not kept");
        }
        for piece in pieces {
            keep(piece, &dir, &to).await;
        }
    }
    let now = snapshots.borrow().clone();
    for piece in recording.see(&now).into_iter().chain(recording.finish()) {
        keep(piece, &dir, &to).await;
    }
}

/// Puts a piece beside the records. One that can not be is said: the records go on without it.
async fn keep(piece: Piece, dir: &Path, to: &mpsc::Sender<Kept>) {
    let dir = dir.to_owned();
    let put = tokio::task::spawn_blocking(move || {
        let sha256 = evidence::put_sparing(&dir, &piece.bytes, SPARE)?;
        Ok::<_, crate::journal::JournalError>(Kept { piece, sha256 })
    });
    match put.await.map_err(|e| e.to_string()).and_then(|put| put.map_err(|e| e.to_string())) {
        Ok(kept) => {
            let _ = to.send(kept).await;
        }
        Err(why) => tracing::error!(%why, "what the consoles showed was not kept"),
    }
}

/// Whether a moment is close enough after the end of a piece for its last frame to stand for it: no frame is taken
/// while nothing changes.
pub(super) fn stands_for(to: Timestamp, moment: Timestamp) -> bool {
    moment.duration_since(to) <= AGES.saturating_mul(2)
}

/// Whether the first frame of a piece stands for a moment just before it: what an incident is declared on is seen a
/// moment after its record.
pub(super) fn begins_with(from: Timestamp, moment: Timestamp) -> bool {
    moment <= from && from.duration_since(moment) <= FRAME.saturating_mul(2)
}
