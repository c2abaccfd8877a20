//! The lock of a log: one writer for the life of its process, and a second one learns who that is.

use super::{LOCK, place};
use crate::journal::error::{Holder, JournalError};
use rustix::fs::{Mode, OFlags};
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Held as long as this lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock, and writes nothing yet: the log may turn out to be one that must not be touched.
    pub fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join(LOCK);
        let mut file = place::open_file(&path, OFlags::RDWR | OFlags::CREATE, Mode::from_raw_mode(0o640))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { file }),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str(&text).ok());
                // A name that an earlier holder left.
                let holder = holder.filter(is_alive);
                Err(JournalError::Locked { dir: dir.to_owned(), holder })
            }
            Err(TryLockError::Error(e)) => Err(JournalError::io("locking", &path, &e)),
        }
    }

    /// Writes down who has it.
    pub fn tell(&mut self, dir: &Path, holder: &Holder) -> Result<(), JournalError> {
        let failed = |e: std::io::Error| JournalError::io("writing", &dir.join(LOCK), &e);
        let text = serde_json::to_string(holder).unwrap_or_default();
        self.file.set_len(0).map_err(failed)?;
        self.file.rewind().map_err(failed)?;
        writeln!(self.file, "{text}").map_err(failed)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child that another thread has forked holds the same file until its exec.
        let _ = self.file.unlock();
    }
}

/// Whether its process is there, as far as can be seen from here.
fn is_alive(holder: &Holder) -> bool {
    let pid = i32::try_from(holder.pid).ok().and_then(rustix::process::Pid::from_raw);
    pid.is_some_and(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn what_is_let_go_can_be_taken_while_other_threads_start_programs() {
        let dir = tempfile::tempdir().unwrap();
        let ended = AtomicBool::new(false);
        std::thread::scope(|threads| {
            for _ in 0..3 {
                // Between its fork and its exec a child has every file of this process.
                threads.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        Command::new("/bin/true").status().unwrap();
                    }
                });
            }
            let refused = (0..2_000).find_map(|_| Lock::take(dir.path()).err());
            ended.store(true, Ordering::Relaxed);
            assert!(refused.is_none(), "{refused:?}");
        });
    }
}
