//! A log file of this machine: its last bytes.

use super::{LONGEST, mine, place};
use crate::config::model::{Logs, Template};
use crate::correlate::logs::Reader;
use crate::domain::id::SourceId;
use crate::domain::logs::{LogAsk, LogPlace, LogReader, Tail, Untold};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use jiff::Timestamp;
use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// One `[[logs]]` of kind `file`.
#[derive(Debug)]
pub(super) struct FileLogs {
    logs: Logs,
    path: Template,
    /// Held while a file is read: of a file system that hangs one thread waits, and not one more at each question.
    turn: Arc<Semaphore>,
}

impl FileLogs {
    pub(super) fn new(_: MayObserve, logs: &Logs, path: &Template) -> Self {
        Self { logs: logs.clone(), path: path.clone(), turn: Arc::new(Semaphore::new(1)) }
    }

    async fn tail(&self, ask: &LogAsk, path: PathBuf) -> Result<Tail, Untold> {
        let name = path.display().to_string();
        // One file may hold the lines of all tenants, which are asked for at the same time: they take turns.
        let until = Instant::now() + self.logs.timeout;
        let Ok(Ok(turn)) = tokio::time::timeout_at(until, Arc::clone(&self.turn).acquire_owned()).await else {
            return Err(Untold::new(format!("{name} is still being read for an earlier question")));
        };
        let (from, database) = (ask.from, ask.tenant.database.as_ref().map(|d| d.name.clone()));
        let reading = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            read(&path, from, database.as_deref())
        });
        match tokio::time::timeout_at(until, reading).await {
            Ok(Ok(said)) => said,
            Ok(Err(_)) => Err(Untold::new(format!("reading {name} was broken off"))),
            Err(_) => {
                Err(Untold::new(format!("{name} could not be read within {} s", self.logs.timeout.as_secs_f64())))
            }
        }
    }
}

fn read(path: &Path, from: Timestamp, database: Option<&str>) -> Result<Tail, Untold> {
    let name = path.display();
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => Untold::new(format!("{name} is not there")),
        ErrorKind::PermissionDenied => Untold {
            why: format!("{name} may not be read"),
            remedy: Some("let the user that runs this program read it".into()),
        },
        _ => Untold::new(format!("{name} can not be read: {error}")),
    };
    // What is no file could keep its reader waiting for ever.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if !metadata.is_file() {
        return Err(Untold::new(format!("{name} is no file")));
    }
    let mut file = std::fs::File::open(path).map_err(failed)?;
    let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let skipped = metadata.len().saturating_sub(longest);
    file.seek(SeekFrom::Start(skipped)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(longest).read_to_end(&mut bytes).map_err(failed)?;
    let mut reader = Reader::new(database).since(from);
    if skipped > 0 {
        // The first line is not whole.
        let begin = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
        reader.feed(bytes.get(begin..).unwrap_or_default());
        if !reader.reaches_back() {
            reader.cut(format!("only its last {} KiB were read", LONGEST >> 10));
        }
    } else {
        reader.feed(&bytes);
    }
    Ok(reader.finish())
}

/// A value within a path: no way out of it.
fn within(value: &str) -> Result<String, String> {
    if value.contains('/') || value.starts_with('.') || value.contains('\0') {
        return Err(format!("`{}` can not be part of a path", crate::domain::text::sanitize(value)));
    }
    Ok(value.to_owned())
}

impl LogReader for FileLogs {
    fn id(&self) -> &SourceId {
        &self.logs.id
    }

    fn address(&self) -> String {
        crate::domain::text::sanitize(self.path.as_str())
    }

    fn read<'a>(&'a self, ask: &'a LogAsk) -> BoxFuture<'a, Vec<LogPlace>> {
        Box::pin(async move {
            if !mine(&self.logs, &ask.tenant) {
                return Vec::new();
            }
            let asked = Instant::now();
            match self.path.of(&ask.tenant, within) {
                Ok(path) => {
                    let said = self.tail(ask, PathBuf::from(&path)).await;
                    vec![place(&self.logs.id, &format!("file {path}"), asked, said)]
                }
                Err(why) => {
                    vec![place(&self.logs.id, &format!("file {}", self.path.as_str()), asked, Err(Untold::new(why)))]
                }
            }
        })
    }
}
