//! The tasks beside the writer. One reads the newest checkpoint as the log grows, at most once an interval, and sets
//! it as the target of all; one for each witness submits the target, so that a slow witness holds up nobody and the
//! fast ones sign the same sizes. Whatever is cosigned goes to the [`Board`] and to the file with the newest note.

use super::client::{Answered, Client, Refused, Submission};
use super::{Alarm, Board, COSIGNED, Log, Settings, Standing, Witness};
use crate::journal::Status;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::cosignature::{self, Cosigned};
use crate::journal::key::VerifierKey;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Sizes whose cosignatures are still collected; a witness that is further behind begins with a newer one.
const COLLECTED: usize = 16;

/// Least time between two looks at the log.
const BREATH: Duration = Duration::from_millis(20);

/// Greatest length of the file with the newest note.
const MAX_NOTE: u64 = 1 << 18;

/// What all witnesses are asked to sign next.
#[derive(Debug)]
struct Target {
    checkpoint: Checkpoint,
    note: String,
}

/// What the tasks share.
struct Shared {
    settings: Settings,
    log: Arc<dyn Log>,
    key: VerifierKey,
    client: Client,
    board: watch::Sender<Board>,
    /// Size that somebody waits for: asked for at once, whatever the interval and the wait after a failure.
    wanted: watch::Sender<u64>,
    /// Cosigned notes by size, the newest ones.
    notes: Mutex<BTreeMap<u64, Cosigned>>,
}

/// How far a quorum covers what is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cover {
    /// How many administrators' witnesses must.
    pub needed: u32,
    /// How many do.
    pub confirmed: u32,
    /// Size that so many cover.
    pub size: u64,
}

/// The running tasks, as the engine holds them; they end with it.
pub struct Witnesses {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

/// What can be asked while the tasks run; cheap to clone.
#[derive(Clone)]
pub struct Asking {
    shared: Arc<Shared>,
}

/// Starts the tasks on the current runtime. The log as it is now is compared with the kept note and with every
/// witness before anything else.
pub fn start(
    settings: Settings,
    log: Arc<dyn Log>,
    key: VerifierKey,
    status: watch::Receiver<Status>,
) -> Result<Witnesses, String> {
    let client = Client::new(&settings.witnesses)?;
    let standing = |w: &Witness| Standing {
        name: w.name.clone(),
        administrator: w.administrator.clone(),
        size: 0,
        at: None,
        asked: false,
        trouble: None,
    };
    let board = Board { standings: settings.witnesses.iter().map(standing).collect(), ..Board::default() };
    let shared = Arc::new(Shared {
        settings,
        log,
        key,
        client,
        board: watch::Sender::new(board),
        wanted: watch::Sender::new(0),
        notes: Mutex::default(),
    });
    let targets = watch::Sender::new(None);
    let mut tasks = JoinSet::new();
    for index in 0..shared.settings.witnesses.len() {
        tasks.spawn(shared.clone().ask(index, targets.subscribe()));
    }
    tasks.spawn(shared.clone().aim(status, targets));
    Ok(Witnesses { shared, tasks })
}

impl std::fmt::Debug for Witnesses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witnesses").field("board", &*self.shared.board.borrow()).finish_non_exhaustive()
    }
}

impl Witnesses {
    /// What is known now.
    pub fn board(&self) -> Board {
        self.shared.board.borrow().clone()
    }

    /// How many administrators' witnesses policy asks for.
    pub fn quorum(&self) -> u32 {
        self.shared.settings.quorum
    }

    /// What is wrong with it, for people.
    pub fn trouble(&self, now: Timestamp) -> Option<String> {
        let Settings { quorum, max_uncosigned_age, .. } = self.shared.settings;
        self.shared.board.borrow().trouble(quorum.max(1), max_uncosigned_age, now)
    }

    /// A handle for waiting elsewhere.
    pub fn asking(&self) -> Asking {
        Asking { shared: self.shared.clone() }
    }

    /// Gives the witnesses a moment to cosign the last size, then ends the tasks.
    pub async fn finish(mut self, size: u64, patience: Duration) {
        self.asking().cover(size, patience).await;
        self.tasks.shutdown().await;
    }
}

impl Asking {
    /// Waits until the quorum covers `size` records, or until it is plain that it will not in time.
    pub async fn cover(&self, size: u64, patience: Duration) -> Cover {
        let needed = self.shared.settings.quorum_or_one();
        self.shared.wanted.send_if_modified(|wanted| size > std::mem::replace(wanted, (*wanted).max(size)));
        let mut board = self.shared.board.subscribe();
        let reached = board.wait_for(|b| b.alarm.is_some() || b.covered(needed) >= size);
        // What was reached by then is read below, in time or not.
        let _ = tokio::time::timeout(patience, reached).await;
        let board = self.shared.board.borrow();
        Cover { needed, confirmed: board.confirmed(size.max(1)), size: board.covered(needed) }
    }

    /// Waits until every witness has answered once, or has not in time: before that nobody knows whether this log is
    /// the one that they have seen. Says the alarm, if there is one.
    pub async fn opened(&self, patience: Duration) -> Result<(), Alarm> {
        let mut board = self.shared.board.subscribe();
        let asked = board.wait_for(|b| b.alarm.is_some() || b.all_asked());
        let _ = tokio::time::timeout(patience, asked).await;
        self.shared.board.borrow().alarm.clone().map_or(Ok(()), Err)
    }
}

impl Shared {
    /// Sets the target as the log grows.
    async fn aim(self: Arc<Self>, mut status: watch::Receiver<Status>, targets: watch::Sender<Option<Arc<Target>>>) {
        self.compare_kept().await;
        let mut wanted = self.wanted.subscribe();
        let mut last = 0;
        loop {
            let size = status.borrow_and_update().size;
            if size > last {
                let needed = self.settings.quorum_or_one();
                self.board.send_modify(|b| b.grew(size, Timestamp::now(), needed));
                match self.blocking(Log::newest).await {
                    Ok(Some((checkpoint, note))) => {
                        last = last.max(checkpoint.size);
                        targets.send_replace(Some(Arc::new(Target { checkpoint, note })));
                    }
                    Ok(None) => {}
                    Err(why) => self.set_file(Some(format!("the newest checkpoint can not be read: {why}"))),
                }
            }
            let due = Instant::now() + self.settings.pace.interval;
            // However much is wanted: when the newest checkpoint can not be read there is nothing to do at once.
            tokio::time::sleep(self.settings.pace.interval.min(BREATH)).await;
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                changed = wanted.wait_for(|w| *w > last) => if changed.is_err() { return },
            }
            if status.borrow().size <= last && status.changed().await.is_err() {
                // The writer has ended; witnesses may still be asked for its last checkpoint.
                return std::future::pending().await;
            }
        }
    }

    /// Asks one witness for every target, until an alarm.
    async fn ask(self: Arc<Self>, index: usize, mut targets: watch::Receiver<Option<Arc<Target>>>) {
        let Some(witness) = self.settings.witnesses.get(index).cloned() else { return };
        let mut wanted = self.wanted.subscribe();
        let (mut old, mut signed, mut failures) = (self.kept_size(&witness).await, None, 0_u32);
        loop {
            let target = match targets.wait_for(|t| t.as_ref().is_some_and(|t| Some(t.checkpoint.size) > signed)).await
            {
                Ok(target) => target.clone(),
                Err(_) => return,
            };
            let Some(target) = target else { continue };
            let before = *wanted.borrow_and_update();
            match self.submit(&witness, &mut old, &target).await {
                Ok(cosigned) => {
                    (signed, failures) = (Some(target.checkpoint.size), 0);
                    self.signed(index, &witness, cosigned);
                    continue;
                }
                Err(Stop::Alarm(alarm)) => {
                    tracing::error!(%alarm, "the log is not the one that was cosigned");
                    self.board.send_modify(|b| {
                        b.alarm.get_or_insert(alarm);
                    });
                    return;
                }
                Err(Stop::Trouble(why)) => self.note(index, |s| (s.asked, s.trouble) = (true, Some(why))),
            }
            let wait = self.wait_after(failures);
            failures = failures.saturating_add(1);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                changed = wanted.wait_for(|w| *w > before) => if changed.is_err() { return },
            }
        }
    }

    /// One submission; a stale `old` is put right once, from what the witness says that it has.
    async fn submit(&self, witness: &Witness, old: &mut u64, target: &Target) -> Result<Cosigned, Stop> {
        let ours = target.checkpoint.size;
        let name = || witness.name.clone();
        for _ in 0..2 {
            let (from, to) = (*old, ours);
            let proof = self.blocking(move |log| log.consistency(from, to)).await;
            let proof = proof.map_err(|why| Stop::Trouble(format!("the proof for it can not be made: {why}")))?;
            let submission = Submission { old: from, proof: &proof, note: &target.note };
            match self.client.add_checkpoint(witness, &self.key, submission, self.settings.pace.timeout).await {
                Ok(Answered::Cosigned(cosigned)) => {
                    *old = ours;
                    return Ok(*cosigned);
                }
                Ok(Answered::Stale { size }) if size > ours => {
                    return Err(Stop::Alarm(Alarm::Shrunk { witness: name(), theirs: size, ours }));
                }
                Ok(Answered::Stale { size }) if size == from => break,
                Ok(Answered::Stale { size }) => *old = size,
                // It agrees that `from` is what it saw last: our log does not continue that. Every log continues 0.
                Err(Refused::Inconsistent) if from > 0 => {
                    return Err(Stop::Alarm(Alarm::Different { witness: name(), size: from }));
                }
                Err(refused) => return Err(Stop::Trouble(refused.to_string())),
            }
        }
        Err(Stop::Trouble("the witness names one size after the other as its last (409)".into()))
    }

    /// Doubled with each failure, and spread so that consoles do not ask in step.
    fn wait_after(&self, failures: u32) -> Duration {
        let pace = &self.settings.pace;
        let wait = pace.first_wait.saturating_mul(1 << failures.min(16)).min(pace.longest_wait);
        wait.mul_f64(0.75 + fastrand::f64() / 2.0)
    }

    fn signed(&self, index: usize, witness: &Witness, cosigned: Cosigned) {
        let size = cosigned.checkpoint.size;
        let at = cosigned.by(&witness.key).map(|c| c.time);
        let kept = self.keep(cosigned);
        self.board.send_modify(|b| {
            b.file = kept.err();
            if let Some(s) = b.standings.get_mut(index) {
                (s.asked, s.trouble, s.size, s.at) = (true, None, s.size.max(size), at);
            }
        });
    }

    fn note(&self, index: usize, change: impl FnOnce(&mut Standing)) {
        self.board.send_modify(|b| {
            if let Some(standing) = b.standings.get_mut(index) {
                change(standing);
            }
        });
    }

    fn set_file(&self, trouble: Option<String>) {
        self.board.send_if_modified(|b| {
            let changed = b.file != trouble;
            b.file = trouble;
            changed
        });
    }

    /// Adds cosignatures to those of the same size, and writes the note that says most: one with the quorum, then
    /// the greatest.
    fn keep(&self, cosigned: Cosigned) -> Result<(), String> {
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        let size = cosigned.checkpoint.size;
        match notes.get_mut(&size) {
            Some(note) => note.merge(cosigned).map_err(|e| e.to_string())?,
            None => {
                notes.insert(size, cosigned);
            }
        }
        let best = notes.values().max_by_key(|c| (self.has_quorum(c), c.checkpoint.size));
        let (best_size, text) = best.map_or((size, String::new()), |c| (c.checkpoint.size, c.note()));
        while notes.len() > COLLECTED {
            let oldest = notes.keys().copied().find(|s| *s != best_size);
            oldest.map(|s| notes.remove(&s));
        }
        if best_size == size { write(&self.settings.dir, &text) } else { Ok(()) }
    }

    fn has_quorum(&self, cosigned: &Cosigned) -> bool {
        let sizes = self.settings.witnesses.iter().map(|w| {
            let size = if cosigned.by(&w.key).is_some() { cosigned.checkpoint.size.max(1) } else { 0 };
            (w.administrator.as_str(), size)
        });
        crate::policy::quorum::confirmed(sizes, 1) >= self.settings.quorum_or_one()
    }

    /// The note that lies there from before, if it is one of this log.
    async fn kept(&self) -> Result<Option<Cosigned>, String> {
        let (path, key, keys) = (self.settings.dir.join(COSIGNED), self.key.clone(), self.settings.keys());
        self.blocking(move |_| {
            let text = match std::fs::File::open(&path) {
                Ok(file) => {
                    let mut text = String::new();
                    std::io::Read::read_to_string(&mut std::io::Read::take(file, MAX_NOTE), &mut text)
                        .map_err(|e| format!("{} can not be read: {e}", path.display()))?;
                    text
                }
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(e) => return Err(format!("{} can not be read: {e}", path.display())),
            };
            cosignature::open(&text, &key, &keys).map(Some).map_err(|e| format!("{}: {e}", path.display()))
        })
        .await
    }

    /// The size that a witness had cosigned when the log was last open, where a note says so: the first `old`.
    async fn kept_size(&self, witness: &Witness) -> u64 {
        let kept = self.kept().await.ok().flatten();
        kept.filter(|c| c.by(&witness.key).is_some()).map_or(0, |c| c.checkpoint.size)
    }

    /// Compares the log with the note from before. The file rolls back with the log where somebody puts an old copy
    /// back, which is why the witnesses are asked too; but it is there when they are not.
    async fn compare_kept(&self) {
        let kept = match self.kept().await {
            Ok(Some(kept)) => kept,
            Ok(None) => return,
            Err(why) => return self.set_file(Some(why)),
        };
        let size = kept.checkpoint.size;
        let found = self
            .blocking(move |log| match log.newest()? {
                Some((newest, _)) if newest.size >= size => log.root(size).map(|root| (newest.size, Some(root))),
                newest => Ok((newest.map_or(0, |(c, _)| c.size), None)),
            })
            .await;
        let witness = "the note of the last cosigned checkpoint".to_owned();
        let alarm = match found {
            Ok((ours, None)) => Alarm::Shrunk { witness, theirs: size, ours },
            Ok((_, Some(root))) if root != kept.checkpoint.root => Alarm::Different { witness, size },
            Ok(_) => return,
            Err(why) => return self.set_file(Some(format!("the last cosigned checkpoint was not compared: {why}"))),
        };
        tracing::error!(%alarm, "the log is not the one that was cosigned");
        self.board.send_modify(|b| {
            b.alarm.get_or_insert(alarm);
        });
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Log) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let log = self.log.clone();
        tokio::task::spawn_blocking(move || work(&*log)).await.unwrap_or_else(|e| Err(e.to_string()))
    }
}

/// Why a submission came to nothing.
enum Stop {
    /// Never to be tried again.
    Alarm(Alarm),
    /// To be tried again.
    Trouble(String),
}

/// Writes the note beside the log, whole or not at all, readable for whoever may read the directory.
fn write(dir: &Path, note: &str) -> Result<(), String> {
    let path = dir.join(COSIGNED);
    let failed = |e: std::io::Error| format!("{} can not be written: {e}", path.display());
    let mut file = tempfile::Builder::new().prefix(".cosigned-").tempfile_in(dir).map_err(failed)?;
    file.write_all(note.as_bytes()).map_err(failed)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    file.as_file().sync_data().map_err(failed)?;
    file.persist(&path).map(drop).map_err(|e| failed(e.error))
}
