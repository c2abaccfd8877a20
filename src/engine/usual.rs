//! Keeps what was learnt of an estate across restarts: read at the start, written every ten minutes and at the end, by a
//! rename, so that the file is whole at any moment. A file that is damaged is put aside, said, and begun anew.

use crate::correlate::usual::Baselines;
use crate::domain::id::Digest;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Time between two writings.
const EVERY: Duration = Duration::from_mins(10);
/// Bytes that are read at most.
const MOST: u64 = 128 << 20;

/// The file of an estate, while an engine runs.
#[derive(Debug)]
pub(super) struct Keeper {
    path: PathBuf,
    estate: String,
    /// What was learnt when it was written last.
    written: u64,
    due: Instant,
    writing: Option<JoinHandle<()>>,
}

/// Takes up what a file holds; answers what is to be said when it could not be.
fn take_up(path: &Path, estate: &str, baselines: &mut Baselines) -> Option<String> {
    let text = match read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
        Err(e) => return Some(format!("{}: what is usual could not be read ({e}); it is learnt anew", path.display())),
    };
    let error = baselines.take_up(&text, estate).err()?;
    // Named for what it holds: a second damaged file does not take the place of the first.
    let digest = Digest::from_bytes(&Sha256::digest(&text).into());
    let aside = path.with_extension(format!("damaged-{}", digest.short()));
    let kept = match fs::rename(path, &aside) {
        Ok(()) => format!("it lies in {}", aside.display()),
        Err(e) => format!("it could not be put aside: {e}"),
    };
    Some(format!("{}: {error}; what is usual is learnt anew, {kept}", path.display()))
}

/// Takes up what a file holds for one look, and leaves it where it is; answers why it could not.
pub fn borrow(path: &Path, estate: &str, baselines: &mut Baselines) -> Result<(), String> {
    let text = match read(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(format!("{}: what is usual could not be read ({e})", path.display())),
    };
    baselines.take_up(&text, estate).map_err(|error| format!("{}: {error}", path.display()))
}

/// What is told of the file: how many series are kept, and how many were left out.
pub fn kept(path: &Path) -> Result<Option<(usize, usize)>, String> {
    match read(path) {
        Ok(text) => Ok(Baselines::head(&text)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(format!("it could not be read ({e})")),
    }
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > MOST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("it is longer than {MOST} bytes")));
    }
    fs::read_to_string(path)
}

/// Writes a file beside the old one and puts it in its place.
fn write(path: &Path, estate: &str, baselines: &Baselines) -> io::Result<()> {
    let text = baselines.to_text(estate)?;
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    fs::create_dir_all(dir)?;
    let part = path.with_extension("part");
    let mut file = File::create(&part)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, path)?;
    File::open(dir)?.sync_all()
}

impl Keeper {
    /// Takes up what the file holds, and keeps it from now on. What can not be taken up is said.
    pub(super) fn open(path: PathBuf, estate: &str, baselines: &mut Baselines) -> Self {
        if let Some(said) = take_up(&path, estate, baselines) {
            tracing::warn!("{said}");
            crate::note!("quarterdeck: {said}");
        }
        let due = Instant::now() + EVERY;
        Self { path, estate: estate.to_owned(), written: baselines.taken(), due, writing: None }
    }

    /// Writes what was learnt since, when it is time, elsewhere: the engine goes on.
    pub(super) fn keep(&mut self, baselines: &Baselines) {
        let busy = self.writing.as_ref().is_some_and(|w| !w.is_finished());
        if busy || Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + EVERY;
        if baselines.taken() != self.written {
            self.begin(baselines);
        }
    }

    fn begin(&mut self, baselines: &Baselines) {
        self.written = baselines.taken();
        let (path, estate, baselines) = (self.path.clone(), self.estate.clone(), baselines.clone());
        self.writing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = write(&path, &estate, &baselines) {
                tracing::warn!(%error, file = %path.display(), "what is usual was not written down");
            }
        }));
    }

    /// Writes everything, the hour in hand included.
    pub(super) async fn end(mut self, baselines: &Baselines) {
        if let Some(writing) = self.writing.take() {
            let _ = writing.await;
        }
        if !baselines.is_empty() {
            self.begin(baselines);
        }
        if let Some(writing) = self.writing {
            let _ = writing.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::usual::Known;
    use crate::correlate::{Correlator, Settings};
    use crate::domain::estate::{Environment, Estate};
    use crate::domain::signal::Subject;
    use jiff::Timestamp;
    use std::sync::Arc;

    fn empty() -> Baselines {
        let estate = Estate {
            name: "sim".into(),
            environment: Environment::Production,
            time_zone: "UTC".into(),
            tenants: Vec::new(),
        };
        Correlator::new(Settings::default(), &Arc::new(estate), jiff::tz::db()).baselines().clone()
    }

    fn subject() -> Subject {
        Subject::Ingress { source: "edge-1".into() }
    }

    #[tokio::test]
    async fn what_was_learnt_is_there_again_and_a_damaged_file_is_put_aside_and_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("usual").join("sim.jsonl");
        assert_eq!(take_up(&path, "sim", &mut empty()), None, "there is none yet");
        let mut learnt = empty();
        learnt.seed(&subject(), "http.p95", |_| 0.4);
        Keeper::open(path.clone(), "sim", &mut empty()).end(&learnt).await;
        let mut again = empty();
        assert_eq!(take_up(&path, "sim", &mut again), None);
        let signal = crate::correlate::signals::find("http.p95").unwrap();
        assert!(matches!(again.usual(&subject(), signal, Timestamp::UNIX_EPOCH), Known::Yes(_)));
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("0.4", "0.5")).unwrap();
        let mut after = empty();
        let said = take_up(&path, "sim", &mut after).unwrap();
        assert!(said.contains("digest") && said.contains("learnt anew, it lies in"), "{said}");
        assert!(after.is_empty() && !path.exists());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}
