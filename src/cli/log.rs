//! The program's own log: one JSON object a line, in files that are turned when they are full, never on the screen. Lines
//! go through a thread of their own (`tracing_appender`), so that a slow disk holds nobody up.

use crate::config::locate::Places;
use crate::config::model::Config;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::{fmt, registry};

/// Name of the file that is written; older ones are `quarterdeck.1.jsonl` and so on.
const NAME: &str = "quarterdeck";

/// Where the log of a configured estate lies: a folder of its own, which only the holder of its journal writes.
pub fn dir(config: &Config) -> PathBuf {
    let own = || Places::from_env().state_dir().join("logs").join(&config.estate.name);
    config.log.dir.clone().unwrap_or_else(own)
}

/// Starts the log of this process; the first one counts. What is left is written when the guard is dropped; there is none
/// where the log is switched off.
pub fn start(config: &Config) -> Result<Option<WorkerGuard>, String> {
    let log = &config.log;
    if log.level == "off" {
        return Ok(None);
    }
    let dir = dir(config);
    let file = Turned::open(&dir, log.file_mib << 20, log.files).map_err(|e| format!("{}: {e}", dir.display()))?;
    let (writer, guard) = tracing_appender::non_blocking(file);
    // What libraries say below a warning tells of what they send, which is nobody's business here.
    let own: LevelFilter = log.level.parse().map_err(|e| format!("level of [log]: {e}"))?;
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("quarterdeck", own);
    let lines = fmt::layer().json().with_writer(writer);
    let _ = tracing::subscriber::set_global_default(registry().with(filter).with(lines));
    Ok(Some(guard))
}

/// The files of a log, newest first.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    // More of them are never kept.
    (0..=100).map(|n| named(dir, n)).take_while(|path| path.is_file()).collect()
}

fn named(dir: &Path, n: u64) -> PathBuf {
    dir.join(if n == 0 { format!("{NAME}.jsonl") } else { format!("{NAME}.{n}.jsonl") })
}

/// A file that is followed by another when it is full; the oldest goes.
#[derive(Debug)]
struct Turned {
    dir: PathBuf,
    file: File,
    length: u64,
    most: u64,
    keep: u64,
}

impl Turned {
    fn open(dir: &Path, most: u64, keep: u64) -> io::Result<Self> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let file = Self::newest(dir)?;
        let length = file.metadata()?.len();
        Ok(Self { dir: dir.to_path_buf(), file, length, most, keep })
    }

    fn newest(dir: &Path) -> io::Result<File> {
        OpenOptions::new().append(true).create(true).mode(0o600).open(named(dir, 0))
    }

    /// Every file is called one older; what falls off the end is written over.
    fn turn(&mut self) -> io::Result<()> {
        if self.keep <= 1 {
            std::fs::remove_file(named(&self.dir, 0))?;
        }
        for n in (1..self.keep).rev() {
            match std::fs::rename(named(&self.dir, n - 1), named(&self.dir, n)) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.file = Self::newest(&self.dir)?;
        self.length = 0;
        Ok(())
    }
}

impl Write for Turned {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let length = line.len() as u64;
        if self.length > 0 && self.length.saturating_add(length) > self.most {
            self.turn()?;
        }
        self.file.write_all(line)?;
        self.length = self.length.saturating_add(length);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_full_file_is_followed_by_another_and_the_oldest_goes() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("logs");
        let mut log = Turned::open(&place, 20, 3).unwrap();
        for n in 0..10 {
            log.write_all(format!("line {n:04}\n").as_bytes()).unwrap();
        }
        let texts: Vec<_> = files(&place).iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
        assert_eq!(texts, ["line 0008\nline 0009\n", "line 0006\nline 0007\n", "line 0004\nline 0005\n"]);
        for path in files(&place) {
            assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(place.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        // Another process goes on where the last one stopped.
        let mut next = Turned::open(&place, 20, 3).unwrap();
        next.write_all(b"line 0010\n").unwrap();
        assert_eq!(std::fs::read_to_string(named(&place, 0)).unwrap(), "line 0010\n");
        assert_eq!(files(&place).len(), 3);
    }

    #[test]
    fn with_one_file_the_size_is_bounded_all_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Turned::open(dir.path(), 20, 1).unwrap();
        for _ in 0..5 {
            log.write_all(b"0123456789\n").unwrap();
        }
        assert_eq!(files(dir.path()).len(), 1);
        assert!(named(dir.path(), 0).metadata().unwrap().len() <= 20);
    }
}
