//! The thread that publishes what the writer has made durable. It reads the segments like any other reader, so it
//! neither holds the writer up nor says anything before it is on the disk; what keeps it from publishing is said, and
//! stops nothing else.

use super::publish::{Prefix, Publisher};
use super::{place, pruned};
use crate::journal::error::JournalError;
use crate::journal::handle::Status;
use crate::journal::tile::WIDTH;
use crate::journal::verify::own_key;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long records gather before they are published; a log that lives shorter is published once, at its end.
const GATHER: Duration = Duration::from_millis(500);

/// How long older tiles are checked at a time, and how long nothing is done after that.
const CHECK: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(60));

/// At the end of the log at most so many records are still published: nobody waits for a rebuild.
const AT_END: u64 = 16_384;

/// What is published of a log, beside its records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// Number of records under the published checkpoint.
    pub size: u64,
    /// Files that were found damaged, and written anew.
    pub rebuilt: u64,
    /// Why nothing more is published, when that is so.
    pub problem: Option<String>,
}

/// What the thread works on.
struct Follower {
    dir: PathBuf,
    /// Bytes that must be left free for the records.
    low_water: u64,
    publisher: Option<Publisher>,
    /// Compares the full tiles of earlier publishers, up to a size.
    check: Option<(Publisher, u64)>,
    /// Ends when the writer does.
    writer: Receiver<()>,
    said: watch::Sender<Published>,
}

/// Follows the log in `dir` until its writer ends, which hangs up on `writer`.
pub fn start(
    dir: &Path,
    low_water: u64,
    status: watch::Receiver<Status>,
    writer: Receiver<()>,
) -> Result<(JoinHandle<()>, watch::Receiver<Published>), JournalError> {
    let (said, hear) = watch::channel(Published::default());
    let follower = Follower { dir: dir.to_owned(), low_water, publisher: None, check: None, writer, said };
    let thread = std::thread::Builder::new().name("journal tiles".into()).spawn(move || follower.run(status));
    let thread = thread.map_err(|e| JournalError::io("starting the publisher of", dir, &e))?;
    Ok((thread, hear))
}

impl Follower {
    fn run(mut self, mut status: watch::Receiver<Status>) {
        loop {
            let ended = self.ended_within(GATHER);
            let size = status.borrow_and_update().size;
            let result = self.publish(size);
            self.say(result);
            if ended {
                return;
            }
            while status.has_changed().is_ok_and(|changed| !changed) {
                if self.check.is_none() {
                    // An end is seen above.
                    let _ = futures::executor::block_on(status.changed());
                    break;
                }
                let result = self.check_some();
                self.say(result);
                if self.ended_within(CHECK.1) {
                    break;
                }
            }
        }
    }

    fn ended_within(&self, time: Duration) -> bool {
        matches!(self.writer.recv_timeout(time), Err(RecvTimeoutError::Disconnected))
    }

    /// Publishes the first `size` records.
    fn publish(&mut self, size: u64) -> Result<(), JournalError> {
        if self.publisher.as_ref().is_some_and(|publisher| publisher.size() == size) {
            return Ok(());
        }
        // Only what has gone well is gone on from.
        let mut publisher = match self.publisher.take() {
            Some(publisher) => publisher,
            None => self.begin()?,
        };
        while publisher.take(size)? {
            if size.saturating_sub(publisher.size()) > AT_END && self.ended_within(Duration::ZERO) {
                return Ok(());
            }
        }
        publisher.publish(&own_key(&self.dir)?, None)?;
        self.count(&mut publisher);
        self.said.send_if_modified(|said| std::mem::replace(&mut said.size, publisher.size()) != publisher.size());
        self.publisher = Some(publisher);
        Ok(())
    }

    fn begin(&mut self) -> Result<Publisher, JournalError> {
        let tiles = self.dir.join(crate::journal::tile::FOLDER);
        place::make_folder(&tiles)?;
        // Twice, so that it is not the tiles that bring the disk to where intents are refused.
        let to = || Prefix::beside_records(&self.dir).sparing(self.low_water.saturating_mul(2));
        to().remove_parts();
        let anew = Publisher::anew(&self.dir, to());
        let Some(publisher) = Publisher::resume(&self.dir, to()) else {
            if place::exists(&self.dir.join(super::CHECKPOINT)) {
                tracing::warn!(dir = %self.dir.display(), "the published tiles do not go with the records; they are made anew");
            }
            return anew;
        };
        let full = publisher.size() - publisher.size() % WIDTH;
        // A log whose first records were archived can not be checked so, nor need it be.
        self.check = anew.ok().filter(|_| full > 0).map(|anew| (anew, full));
        Ok(publisher)
    }

    /// Goes on comparing the tiles that were there with the records.
    fn check_some(&mut self) -> Result<(), JournalError> {
        let Some((mut check, full)) = self.check.take() else { return Ok(()) };
        let begun = Instant::now();
        let mut more = true;
        while more && begun.elapsed() < CHECK.0 {
            more = match check.take(full) {
                // It was moved to an archive under the eyes of the check.
                Err(_) if pruned::size(&self.dir).is_some_and(|moved| check.size() < moved) => return Ok(()),
                taken => taken?,
            };
        }
        self.count(&mut check);
        self.check = more.then_some((check, full));
        Ok(())
    }

    /// Says which files were not true.
    fn count(&self, publisher: &mut Publisher) {
        let rebuilt = std::mem::take(&mut publisher.prefix().rebuilt);
        for file in &rebuilt {
            tracing::warn!(dir = %self.dir.display(), file, "a published file was damaged; it was made anew from the records");
        }
        if !rebuilt.is_empty() {
            self.said.send_modify(|said| said.rebuilt += rebuilt.len() as u64);
        }
    }

    /// Says once why nothing is published, and when that is over.
    fn say(&self, result: Result<(), JournalError>) {
        let problem = result.err().map(|e| e.to_string());
        let news = self.said.send_if_modified(|said| {
            let news = said.problem != problem;
            said.problem.clone_from(&problem);
            news
        });
        if let (true, Some(why)) = (news, &problem) {
            tracing::warn!(dir = %self.dir.display(), %why, "the journal's tiles are not published; records are written all the same");
        }
    }
}
