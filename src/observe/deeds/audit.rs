//! The audit log of a Kubernetes API server, a file of this machine that is written further: as the server's log backend
//! writes it, or what a shipper copies. Followed over rotations; of a file that was there before, the last part is read.

use super::Deeds;
use super::event::Event;
use crate::config::audit_log::AuditLog;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Clock};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use crate::observe::poll::Poll;
use std::fs::File;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Bytes that one look reads, and that are read of a file that was there before.
const AT_ONCE: u64 = 8 << 20;
/// A line that is longer than this is none.
const LINE: usize = 2 << 20;
const TIMEOUT: Duration = Duration::from_secs(10);

/// Follows one log.
pub struct AuditObserver {
    config: AuditLog,
    clock: Arc<dyn Clock>,
    tail: Option<Tail>,
}

#[derive(Default)]
struct Tail {
    file: Option<File>,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
    /// The first line is cut where reading began in the middle.
    cut: bool,
    deeds: Deeds,
    strange: u64,
}

impl AuditObserver {
    /// For an `[[audit_log]]`. Nothing is read before it runs.
    pub fn new(_: MayObserve, config: &AuditLog, clock: &Arc<dyn Clock>) -> Self {
        Self { config: config.clone(), clock: Arc::clone(clock), tail: None }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let (config, now) = (self.config.clone(), self.clock.now());
        let subject = Subject::Cluster { source: config.cluster.clone() };
        let tail = self.tail.take().unwrap_or_default();
        let of = subject.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut tail = tail;
            let read = tail.read(&config, &of);
            (tail, read)
        });
        let local = |why: String| Failure::new(FailureKind::Local, why);
        let (mut tail, read) = read.await.map_err(|_| local("reading the audit log was broken off".to_owned()))?;
        let (events, left) = read.map_err(local)?;
        if events == 0 && tail.strange > 0 && tail.deeds.all.is_empty() {
            let why = format!("{} holds no events of audit.k8s.io/v1", self.config.path.display());
            return Err(Failure::new(FailureKind::Protocol, why));
        }
        let mut facts = MeasuredFacts::of(SourceKind::Audit);
        // The cluster's own value is that of its roles and rights between two looks (`[baseline]`).
        let subject = Subject::Source { source: self.config.id.clone() };
        tail.deeds.tell(&subject, now, &mut facts);
        if left > 0 {
            facts.readings.clear();
            facts.untell(&subject, "privileged.actions", format!("{left} bytes of the audit log are not read yet"));
        }
        if tail.strange > 0 {
            facts.said.push(format!("{} lines were no events of audit.k8s.io/v1", tail.strange));
        }
        self.tail = Some(tail);
        Ok(Facts::Measured(facts))
    }
}

impl Tail {
    /// Reads what is new: how many events that was, and how many bytes are left. Blocks.
    fn read(&mut self, config: &AuditLog, subject: &Subject) -> Result<(usize, u64), String> {
        let path = &config.path;
        let (mut events, mut budget) = (0, AT_ONCE);
        if let Some(file) = self.file.take() {
            let mut file = file;
            events += self.feed(&mut file, &mut budget, config, subject)?;
            let left = left(&mut file)?;
            if left > 0 || !moved(&file, path)? {
                self.file = Some(file);
                return Ok((events, left));
            }
            // Rotated: the rest of the old file is read, the new one begins at its beginning.
            self.begun.clear();
            let mut next = open(path)?;
            events += self.feed(&mut next, &mut budget, config, subject)?;
            let left = self::left(&mut next)?;
            self.file = Some(next);
            return Ok((events, left));
        }
        let mut file = open(path)?;
        let length = file.metadata().map_err(|e| said(path, &e))?.len();
        let skipped = length.saturating_sub(AT_ONCE);
        self.cut = skipped > 0;
        file.seek(SeekFrom::Start(skipped)).map_err(|e| said(path, &e))?;
        events += self.feed(&mut file, &mut budget, config, subject)?;
        let left = left(&mut file)?;
        self.file = Some(file);
        Ok((events, left))
    }

    fn feed(
        &mut self,
        file: &mut File,
        budget: &mut u64,
        config: &AuditLog,
        subject: &Subject,
    ) -> Result<usize, String> {
        let mut bytes = std::mem::take(&mut self.begun);
        let read = file.by_ref().take(*budget).read_to_end(&mut bytes).map_err(|e| said(&config.path, &e))?;
        *budget = budget.saturating_sub(u64::try_from(read).unwrap_or(u64::MAX));
        let mut events = 0;
        let whole = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        for line in bytes.get(..whole).unwrap_or_default().split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
            if std::mem::take(&mut self.cut) {
                continue;
            }
            match serde_json::from_slice::<Event>(line).ok().and_then(|event| Some((event.at()?, event))) {
                Some((at, event)) => {
                    events += 1;
                    if let Some(what) = event.deed(&config.ignore) {
                        self.deeds.add(at, subject, what, true);
                    }
                }
                None => self.strange = self.strange.saturating_add(1),
            }
        }
        let rest = bytes.get(whole..).unwrap_or_default();
        if rest.len() > LINE {
            self.strange = self.strange.saturating_add(1);
            self.cut = true;
        } else {
            self.begun = rest.to_vec();
        }
        Ok(events)
    }
}

fn said(path: &Path, error: &std::io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => format!("{} is not there", path.display()),
        ErrorKind::PermissionDenied => format!("{} may not be read by this user", path.display()),
        _ => format!("{} can not be read: {error}", path.display()),
    }
}

fn open(path: &Path) -> Result<File, String> {
    // What is no file could keep its reader waiting for ever.
    if !std::fs::metadata(path).map_err(|e| said(path, &e))?.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    File::open(path).map_err(|e| said(path, &e))
}

/// Bytes that lie after what was read. A file that was cut short is read from its beginning.
fn left(file: &mut File) -> Result<u64, String> {
    let failed = |e: std::io::Error| format!("the audit log can not be read: {e}");
    let length = file.metadata().map_err(failed)?.len();
    let at = file.stream_position().map_err(failed)?;
    if at > length {
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        return Ok(length);
    }
    Ok(length - at)
}

/// Whether another file lies at the path now. For the moment between two names there is none.
fn moved(file: &File, path: &Path) -> Result<bool, String> {
    let own = file.metadata().map_err(|e| said(path, &e))?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) != (own.dev(), own.ino())),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(false),
        Err(e) => Err(said(path, &e)),
    }
}

impl Poll for AuditObserver {
    fn spec(&self) -> SourceSpec {
        let address = sanitize(&self.config.path.display().to_string());
        SourceSpec { id: self.config.id.clone(), kind: SourceKind::Audit, interval: self.config.interval, address }
    }

    fn timeout(&self) -> Duration {
        TIMEOUT
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
