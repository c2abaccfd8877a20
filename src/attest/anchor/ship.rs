//! The task beside the writer. It follows what is on the disk and carries it out of the house: at most once an
//! interval the newest checkpoint, then the batches and the evidence that came since. It never waits for the writer
//! nor the writer for it, and holds one piece of the log at a time.

use super::copies::{self, Judged, Listing, Object};
use super::error::AnchorError;
use super::keys;
use super::protection::{self, Protection};
use crate::config::model::Anchor as Config;
use crate::domain::id::Digest;
use crate::domain::ports::Clock;
use crate::journal::key::KeyRing;
use crate::journal::pieces::{self, Pieces};
use crate::journal::{JournalError, Status};
use crate::observe::storage::{Bucket, Put, StorageError};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Bytes of the log that go into one object, unless one batch has more.
const PIECE: usize = 1 << 20;
/// Wait after the first failure; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How often the bucket's promises are read again.
const PROMISES: Duration = Duration::from_mins(15);
/// Time for the last copies when the program ends.
const LAST: Duration = Duration::from_secs(3);
/// Copies beyond the log's end that are looked at; one that the log's key signed is enough.
const BEYOND: usize = 100;
/// Copies before the log's end that are remembered while the newest is looked for.
const BEFORE: usize = 1000;

/// The log that is copied.
#[derive(Clone, Debug)]
pub struct Log {
    /// Its directory.
    pub dir: PathBuf,
    /// What is on the disk.
    pub status: watch::Receiver<Status>,
    /// The public halves of its keys.
    pub ring: KeyRing,
}

/// How far the copies are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anchored {
    /// Number of records under the newest checkpoint that lies there.
    pub size: u64,
    /// When it was put there or found there.
    pub at: Option<Timestamp>,
    /// Whether the bucket promises to keep it as asked for.
    pub locked: bool,
    /// Number of records whose bytes lie there.
    pub shipped: u64,
    /// Why it does not go on, or what is wrong with the bucket.
    pub trouble: Option<String>,
}

/// The running task.
#[derive(Debug)]
pub struct Anchor {
    view: watch::Receiver<Anchored>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Anchor {
    /// Starts it on the current runtime.
    pub fn start(config: Config, log: Log, clock: Arc<dyn Clock>) -> Self {
        let (sender, view) = watch::channel(Anchored::default());
        let stop = CancellationToken::new();
        let work = Work {
            config,
            log,
            clock,
            view: sender,
            stop: stop.clone(),
            failures: 0,
            compared: false,
            at: None,
            resume: None,
            evidence: BTreeSet::new(),
            promises: None,
            notice: None,
        };
        Self { view, stop, task: tokio::spawn(work.run()) }
    }

    /// How far the copies are.
    pub fn view(&self) -> watch::Receiver<Anchored> {
        self.view.clone()
    }

    /// Ends it, after a last attempt that has a few seconds. Called when the log is closed.
    pub async fn end(mut self) {
        self.stop.cancel();
        if tokio::time::timeout(LAST, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Work {
    config: Config,
    log: Log,
    clock: Arc<dyn Clock>,
    view: watch::Sender<Anchored>,
    stop: CancellationToken,
    failures: u32,
    /// Whether the copies that were there have been compared with the log.
    compared: bool,
    /// Size of the last checkpoint that was put or found there.
    at: Option<u64>,
    /// Segment and offset up to which the log's bytes lie there.
    resume: Option<(u64, u64)>,
    /// Names of the evidence that lies there.
    evidence: BTreeSet<String>,
    promises: Option<(Instant, Protection)>,
    /// What is odd and does not keep anything from going on.
    notice: Option<String>,
}

impl Work {
    async fn run(mut self) {
        loop {
            let Err(error) = self.session().await else { return };
            tracing::warn!(%error, "copying the journal to object storage");
            self.view.send_modify(|v| v.trouble = Some(error.to_string()));
            if error.is_contradiction() || self.stop.is_cancelled() {
                return;
            }
            self.failures = self.failures.saturating_add(1);
            let longest = FIRST_WAIT.saturating_mul(1 << self.failures.min(8).saturating_sub(1)).min(LONGEST_WAIT);
            // At least half of it, so that many hosts that lost one storage do not come back at once.
            let wait = longest.mul_f64(0.5 + fastrand::f64() / 2.0);
            // A program that ends tries once more.
            let _ = tokio::time::timeout(wait, self.stop.cancelled()).await;
        }
    }

    /// Connects and goes on until it is told to stop or something fails. Keys are read anew, since they may have
    /// been exchanged.
    async fn session(&mut self) -> Result<(), AnchorError> {
        let bucket = Bucket::connect(&self.config, self.clock.clone()).await?;
        loop {
            let stopping = self.stop.is_cancelled();
            let began = Instant::now();
            let more = self.round(&bucket, began + self.config.interval).await?;
            self.failures = 0;
            if stopping {
                return Ok(());
            }
            if more {
                continue;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = grown(&mut self.log.status) => {
                    // What comes within the interval goes together.
                    let _ = tokio::time::timeout_at(began + self.config.interval, self.stop.cancelled()).await;
                }
            }
        }
    }

    /// Copies what there is. Whether there is more after `until`, when a newer checkpoint is due.
    async fn round(&mut self, bucket: &Bucket, until: Instant) -> Result<bool, AnchorError> {
        let size = self.log.status.borrow_and_update().size;
        self.notice = None;
        self.read_promises(bucket).await?;
        if !self.compared {
            self.compare_newest(bucket, size).await?;
            let vkey = format!("{}\n", self.log.ring.current().as_str());
            bucket.put_new(&keys::verifier_key(&self.config.prefix), vkey.as_bytes(), "putting the log's key").await?;
            self.compared = true;
        }
        self.cosigned(bucket, size).await?;
        if self.at.is_none_or(|at| at < size) {
            let dir = self.log.dir.clone();
            if let Some(note) = blocking(move || pieces::note_at(&dir, size)).await? {
                self.put_checkpoint(bucket, size, &note).await?;
            }
        }
        let more = self.put_pieces(bucket, size, until).await?;
        if self.config.evidence {
            self.put_evidence(bucket).await?;
        }
        let gap = self.promises.as_ref().and_then(|(_, p)| p.gap());
        let trouble = self.notice.clone().or(gap);
        self.view.send_if_modified(|v| std::mem::replace(&mut v.trouble, trouble.clone()) != trouble);
        Ok(more)
    }

    async fn read_promises(&mut self, bucket: &Bucket) -> Result<(), AnchorError> {
        if self.promises.as_ref().is_none_or(|(read, _)| read.elapsed() > PROMISES) {
            let promises = protection::read(bucket, &self.config).await?;
            let locked = promises.missing.is_empty();
            self.view.send_modify(|v| v.locked = locked);
            self.promises = Some((Instant::now(), promises));
        }
        Ok(())
    }

    /// The newest copy must be one of this log, and none may cover more than the log has.
    async fn compare_newest(&mut self, bucket: &Bucket, size: u64) -> Result<(), AnchorError> {
        let (prefix, ring) = (self.config.prefix.clone(), self.log.ring.clone());
        let bucket_name = || bucket.name().to_owned();
        let behind = |size| Listing::new(bucket, keys::checkpoints(&prefix), Some(keys::checkpoint(&prefix, size)));
        let mut beyond = behind(size);
        for _ in 0..BEYOND {
            let Some(object) = beyond.next().await? else { break };
            if let Judged::Copy(copy) = copies::judge(bucket, &prefix, &ring, &object).await? {
                return Err(AnchorError::Shrunk { bucket: bucket_name(), copied: copy.size, size });
            }
        }
        let mut span = 64_u64;
        loop {
            let from = size.saturating_sub(span);
            let found = within(&mut behind(from), &prefix, size).await?;
            for object in found.iter().rev() {
                let Judged::Copy(copy) = copies::judge(bucket, &prefix, &ring, object).await? else { continue };
                let (dir, copied) = (self.log.dir.clone(), copy.size);
                let keys = ring.clone();
                let root = move || pieces::root_at(&dir, copied, |note| copies::signed(note, &keys));
                if blocking(root).await? != Some(copy.root) {
                    return Err(AnchorError::Rewritten { bucket: bucket_name(), size: copy.size });
                }
                self.reached(copy.size, copy.at);
                return Ok(());
            }
            if from == 0 {
                return Ok(());
            }
            span = span.saturating_mul(16);
        }
    }

    fn reached(&mut self, size: u64, at: Timestamp) {
        self.at = self.at.max(Some(size));
        self.view.send_modify(|v| {
            if size >= v.size {
                (v.size, v.at) = (size, Some(at));
            }
        });
    }

    /// The newest checkpoint that witnesses have signed too, where there is one.
    async fn cosigned(&mut self, bucket: &Bucket, size: u64) -> Result<(), AnchorError> {
        let Ok(note) = tokio::fs::read_to_string(self.log.dir.join("cosigned")).await else { return Ok(()) };
        let Some(checkpoint) = copies::signed(&note, &self.log.ring) else { return Ok(()) };
        let newer = self.at.is_none_or(|at| at < checkpoint.size);
        if newer && checkpoint.size <= size {
            self.put_checkpoint(bucket, checkpoint.size, &note).await?;
        }
        Ok(())
    }

    async fn put_checkpoint(&mut self, bucket: &Bucket, size: u64, note: &str) -> Result<(), AnchorError> {
        let (prefix, ring) = (&self.config.prefix, &self.log.ring);
        let Some(ours) = copies::signed(note, ring).filter(|c| c.size == size) else {
            let key = ring.at(size).id();
            return Err(AnchorError::File(format!("the checkpoint over {size} records is not signed by {key}")));
        };
        let name = keys::checkpoint(prefix, size);
        if bucket.put_new(&name, note.as_bytes(), "putting a checkpoint").await? == Put::Taken {
            let there = match copies::object(bucket, &name).await? {
                Some(object) => copies::judge(bucket, prefix, ring, &object).await?,
                None => Judged::Noise,
            };
            match there {
                Judged::Copy(copy) if copy.root == ours.root => {}
                Judged::Copy(copy) => {
                    return Err(AnchorError::Rewritten { bucket: bucket.name().to_owned(), size: copy.size });
                }
                Judged::Stranger | Judged::Noise => {
                    self.notice = Some(format!(
                        "{name} in the bucket {} holds what the key of this log has not signed: another log or \
                         another hand writes under this prefix",
                        bucket.name()
                    ));
                    // The next checkpoint has a key of its own.
                    self.at = Some(size);
                    return Ok(());
                }
            }
        }
        let now = self.clock.now();
        self.reached(size, now);
        Ok(())
    }

    async fn put_pieces(&mut self, bucket: &Bucket, durable: u64, until: Instant) -> Result<bool, AnchorError> {
        let (segment, offset) = match self.resume {
            Some(place) => place,
            None => match self.covered(bucket).await? {
                Some(place) => place,
                None => return Ok(false),
            },
        };
        self.resume = Some((segment, offset));
        let dir = self.log.dir.clone();
        let mut cursor = blocking(move || Pieces::open(&dir, segment, offset)).await?;
        loop {
            let (piece, back) = blocking(move || cursor.next(durable, PIECE).map(|piece| (piece, cursor))).await?;
            cursor = back;
            let Some(piece) = piece else {
                self.view.send_if_modified(|v| std::mem::replace(&mut v.shipped, durable) != durable);
                return Ok(false);
            };
            let digest = Digest::from_bytes(&Sha256::digest(&piece.bytes).into());
            let name = keys::piece(&self.config.prefix, piece.segment, piece.offset, &digest);
            // A key that is taken holds these bytes: it is named by their digest.
            bucket.put_new(&name, &piece.bytes, "putting a piece of the log").await?;
            self.resume = Some((piece.segment, piece.offset + piece.bytes.len() as u64));
            self.view.send_modify(|v| v.shipped = piece.size);
            if Instant::now() >= until {
                return Ok(true);
            }
        }
    }

    /// Up to where the log's bytes lie there already: the segment that is not whole there, and the offset.
    async fn covered(&self, bucket: &Bucket) -> Result<Option<(u64, u64)>, AnchorError> {
        let dir = self.log.dir.clone();
        for file in blocking(move || pieces::files(&dir)).await? {
            let prefix = keys::segment(&self.config.prefix, file.first);
            let (mut listing, mut end) = (Listing::new(bucket, prefix, None), 0);
            while let Some(object) = listing.next().await? {
                let place = keys::piece_place(&self.config.prefix, &object.key);
                let size = object.versions.first().map(|v| v.size);
                if let (Some((_, offset, _)), Some(size)) = (place, size)
                    && offset == end
                {
                    end += size;
                }
            }
            if !file.sealed || end != file.len {
                return Ok(Some((file.first, end)));
            }
        }
        Ok(None)
    }

    async fn put_evidence(&mut self, bucket: &Bucket) -> Result<(), AnchorError> {
        let folder = self.log.dir.join("evidence");
        let failed = |e: std::io::Error| AnchorError::File(format!("{} can not be read: {e}", folder.display()));
        let mut entries = match tokio::fs::read_dir(&folder).await {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(failed)?,
        };
        while let Some(entry) = entries.next_entry().await.map_err(failed)? {
            let name = entry.file_name().to_string_lossy().into_owned();
            let Some(digest) = keys::bytes_of(&name).filter(|_| !self.evidence.contains(&name)) else { continue };
            let key = keys::evidence(&self.config.prefix, &name);
            match bucket.put_file(&key, &entry.path(), &digest, "putting evidence").await {
                Ok(_) => {}
                // It was redacted in the meantime.
                Err(StorageError::File(_)) if !entry.path().exists() => continue,
                // The storage computes the digest itself.
                Err(StorageError::Answer { status: 400, said, .. }) => {
                    self.notice = Some(format!("evidence/{name} does not have the bytes of its name{said}"));
                    continue;
                }
                Err(other) => return Err(other.into()),
            }
            self.evidence.insert(name);
        }
        Ok(())
    }
}

/// The newest objects of a listing up to a size.
async fn within(listing: &mut Listing<'_>, prefix: &str, size: u64) -> Result<VecDeque<Object>, AnchorError> {
    let mut found = VecDeque::new();
    while let Some(object) = listing.next().await? {
        match keys::checkpoint_size(prefix, &object.key) {
            Some(s) if s > size => break,
            Some(_) => found.push_back(object),
            None => {}
        }
        if found.len() > BEFORE {
            found.pop_front();
        }
    }
    Ok(found)
}

/// Waits until more is on the disk; for ever when the writer has gone.
async fn grown(status: &mut watch::Receiver<Status>) {
    if status.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// Reads files on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, JournalError> + Send + 'static,
) -> Result<T, AnchorError> {
    let broken = |_| AnchorError::File("reading the log was broken off".to_owned());
    Ok(tokio::task::spawn_blocking(read).await.map_err(broken)??)
}
