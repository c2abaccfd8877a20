//! The check of the records that an opening passed over because a snapshot stood for them: canonical form, numbers
//! and every root, up to the tree that the snapshot was taken up with. That tree went on to the signed root, so
//! nothing else has to be signed. It runs beside the writer, on what is left of the machine.

use super::chain::Chain;
use super::pruned::{self, beginning};
use super::walk::Step;
use crate::journal::error::{Damage, JournalError};
use crate::journal::handle::{Scrub, Status};
use crate::journal::snapshot::Place;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How often it says how far it is.
const SAID: Duration = Duration::from_millis(200);

/// Lowest priority of setpriority(2).
const LOWEST: i32 = 19;

/// What is to be scrubbed.
#[derive(Debug)]
pub struct Scrubber {
    /// The journal's directory.
    pub dir: PathBuf,
    /// Name of the log.
    pub origin: String,
    /// Up to where.
    pub until: Place,
    /// Where damage is said, so that the writer takes nothing new.
    pub damaged: Arc<OnceLock<Damage>>,
}

impl Scrubber {
    /// What is said before it has begun.
    pub const fn begun(&self) -> Scrub {
        Scrub { done: 0, of: self.until.tree.size(), bad: None }
    }

    /// Goes over the records until all are seen, damage is found, or `stop` is set.
    pub fn run(self, status: &watch::Sender<Status>, stop: &AtomicBool) {
        // Of this thread only: setpriority(2) on Linux takes the calling thread for the process. Where it is refused the
        // check takes more of the machine, and that is all.
        let _ = rustix::process::setpriority_process(None, LOWEST);
        let of = self.until.tree.size();
        let mut done = 0;
        let mut said = Instant::now();
        let say = |done, bad| {
            status.send_modify(|s| s.scrub = Some(Scrub { done, of, bad }));
        };
        let ended = self.check(|size| {
            done = size;
            if said.elapsed() >= SAID {
                said = Instant::now();
                say(size, None);
            }
            !stop.load(Ordering::Relaxed)
        });
        match ended {
            Ok(()) => say(done, None),
            Err(damage) => {
                tracing::error!(%damage, "the journal is damaged");
                let _ = self.damaged.set(damage.clone());
                say(done, Some(damage));
            }
        }
    }

    /// Goes over the records that are here; from their new beginning, when the first of them are moved meanwhile.
    fn check(&self, mut on: impl FnMut(u64) -> bool) -> Result<(), Damage> {
        loop {
            let before = pruned::size(&self.dir);
            match self.check_once(&mut on) {
                Err(_) if pruned::size(&self.dir) != before => {}
                ended => return ended,
            }
        }
    }

    /// What `on` is called with is the number of records that are true; it answers whether to go on.
    fn check_once(&self, on: &mut impl FnMut(u64) -> bool) -> Result<(), Damage> {
        let of = self.until.tree.size();
        let failed = |size: u64, error: JournalError| match error {
            JournalError::Damaged(damage) => damage,
            // What can not be read is not known to be true.
            other => Damage {
                seq: size,
                through: of.saturating_sub(1),
                file: super::RECORDS.into(),
                line: 0,
                why: other.to_string(),
            },
        };
        let (walk, base) = beginning(&self.dir).map_err(|e| failed(0, e))?;
        let mut walk = walk.exclusive();
        let mut chain = Chain::from(&self.origin, base.tree());
        loop {
            let size = chain.frontier().size();
            if size == of {
                break;
            }
            let batch = match walk.next().map_err(|e| failed(size, e))? {
                Step::Batch(batch) if size < of => batch,
                _ => {
                    let why = format!("the batches do not add up to the {of} records that were signed");
                    let file = walk.place().0.name();
                    return Err(Damage { seq: size, through: of.saturating_sub(1), file, line: 0, why });
                }
            };
            chain.take(&batch, &walk.place().0.name()).map_err(|e| failed(size, e))?;
            if !on(chain.frontier().size()) {
                return Ok(());
            }
        }
        if *chain.frontier() == self.until.tree {
            return Ok(());
        }
        let why = "the root over these records is not the one that was signed".to_owned();
        Err(Damage { seq: 0, through: of.saturating_sub(1), file: super::RECORDS.into(), line: 0, why })
    }
}
