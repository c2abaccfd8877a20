//! What a command leaves behind: data on standard output, words on standard error, an exit code.

use super::args::Format;
use crate::config::problem::{Problem, Problems};
use crate::domain::health::Health;
use crate::engine::api::Reply;
use crate::journal::JournalError;
use schemars::JsonSchema;
use serde::Serialize;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Exit codes of the output contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Bad usage or configuration.
    Usage = 2,
    /// Verification failed.
    Verification = 3,
    /// Degraded.
    Degraded = 4,
    /// Critical.
    Critical = 5,
    /// Unknown.
    Unknown = 6,
    /// Denied by policy or approval.
    Denied = 7,
    /// Whether a request had its effect is not known.
    OutcomeUnknown = 8,
    /// What was done was taken back.
    RolledBack = 9,
    /// Interrupted.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Health> for Exit {
    fn from(health: Health) -> Self {
        match health {
            Health::Ok => Self::Done,
            Health::Warn => Self::Degraded,
            Health::Critical => Self::Critical,
            Health::Unknown => Self::Unknown,
        }
    }
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that a person wrote is wrong.
    #[error(transparent)]
    Problems(#[from] Problems),
    /// The request does not fit; exit 2.
    #[error("{0}")]
    Usage(String),
    /// What is at hand is another estate's than is meant; exit 2.
    #[error("{0}")]
    OtherEstate(String),
    /// It failed; exit 1.
    #[error("{0}")]
    Failed(String),
    /// A journal is damaged, or something in it does not hold; exit 3.
    #[error("{0}")]
    Damaged(String),
    /// Policy said no; exit 7.
    #[error("{0}")]
    Denied(String),
    /// Whether it was done is not known: whoever was asked is gone; exit 8.
    #[error("{0}")]
    Unanswered(String),
}

impl Error {
    /// A failure in its own words.
    pub fn failed(error: impl std::fmt::Display) -> Self {
        Self::Failed(error.to_string())
    }

    /// What a journal said: what does not hold has an exit code of its own, and so has what is set up wrongly.
    pub fn journal(error: &JournalError) -> Self {
        match error {
            JournalError::Damaged(_)
            | JournalError::OtherKey { .. }
            | JournalError::Pinned { .. }
            | JournalError::PinnedLogMissing { .. }
            | JournalError::KeyMissing { .. }
            | JournalError::Shrunk { .. }
            | JournalError::Forked { .. }
            | JournalError::KeyWithoutLog { .. } => Self::Damaged(error.to_string()),
            JournalError::Symlink { .. }
            | JournalError::NetworkFileSystem { .. }
            | JournalError::KeyMode { .. }
            | JournalError::KeyOwner { .. }
            | JournalError::KeyMalformed { .. }
            | JournalError::Origin(_)
            | JournalError::IsACopy { .. }
            | JournalError::OwnLog { .. }
            | JournalError::SharedKeyMissing { .. }
            | JournalError::OfSeveral { .. }
            | JournalError::NotNew { .. } => Self::Usage(error.to_string()),
            JournalError::ForeignLog { .. } => Self::OtherEstate(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }

    /// Its first line, for where one line is shown.
    pub fn first_line(&self) -> String {
        self.to_string().lines().next().unwrap_or_default().to_owned()
    }

    const fn exit(&self) -> Exit {
        match self {
            Self::Problems(_) | Self::Usage(_) | Self::OtherEstate(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
            Self::Damaged(_) => Exit::Verification,
            Self::Denied(_) => Exit::Denied,
            Self::Unanswered(_) => Exit::OutcomeUnknown,
        }
    }

    const fn kind(&self) -> ErrorKind {
        match self {
            Self::Problems(_) => ErrorKind::Configuration,
            Self::Usage(_) | Self::OtherEstate(_) => ErrorKind::Usage,
            Self::Failed(_) => ErrorKind::Failed,
            Self::Damaged(_) => ErrorKind::Damaged,
            Self::Denied(_) => ErrorKind::Denied,
            Self::Unanswered(_) => ErrorKind::Unanswered,
        }
    }
}

/// One line on standard error with `--format json`.
#[derive(Serialize, JsonSchema)]
pub struct Failure {
    /// What went wrong.
    error: Shown,
}

#[derive(Serialize, JsonSchema)]
struct Shown {
    /// Class: `configuration` and `usage` exit with 2, `failed` with 1, `damaged` with 3, `denied` with 7,
    /// `unanswered` with 8.
    kind: ErrorKind,
    /// One sentence.
    message: String,
    /// File that it is about, as it was named.
    file: Option<String>,
    /// Line in the file, from 1.
    line: Option<usize>,
    /// Column in characters, from 1.
    column: Option<usize>,
}

#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum ErrorKind {
    Configuration,
    Usage,
    Failed,
    Damaged,
    Denied,
    Unanswered,
}

impl Failure {
    fn problem(kind: ErrorKind, p: &Problem) -> Self {
        let Problem { file, line, column, message } = p.clone();
        Self { error: Shown { kind, message, file: Some(file), line, column } }
    }

    fn plain(kind: ErrorKind, message: String) -> Self {
        Self { error: Shown { kind, message, file: None, line: None, column: None } }
    }
}

/// Says on standard error why it did not work, one line (one JSON object) an error, and answers the exit code.
pub fn complain(error: &Error, format: Format) -> Exit {
    let mut err = io::stderr().lock();
    if format != Format::Json {
        let _ = match error {
            Error::Problems(problems) => writeln!(err, "{problems}"),
            other => writeln!(err, "quarterdeck: {other}"),
        };
        return error.exit();
    }
    let shown: Vec<Failure> = match error {
        Error::Problems(problems) => problems.0.iter().map(|p| Failure::problem(error.kind(), p)).collect(),
        _ => vec![Failure::plain(error.kind(), error.to_string())],
    };
    for one in shown {
        if let Ok(line) = serde_json::to_string(&one) {
            let _ = writeln!(err, "{line}");
        }
    }
    error.exit()
}

/// Says what is wrong with the command line itself: in the parser's own words, or as one JSON object where the
/// arguments ask for JSON. Help and version are no error.
pub fn unparsed(error: &clap::Error, asked_for_json: bool) -> Exit {
    if error.use_stderr() && asked_for_json {
        let message = error.render().to_string();
        let message = message.lines().map(str::trim).filter(|l| !l.is_empty()).collect::<Vec<_>>().join(" ");
        return complain(&Error::Usage(message.trim_start_matches("error: ").to_owned()), Format::Json);
    }
    let _ = error.print();
    if error.use_stderr() { Exit::Usage } else { Exit::Done }
}

/// Prints JSON, one document a line. A closed pipe is no error: the reader has seen enough.
pub fn json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(Error::failed)?;
    line(&text)
}

/// Prints a line. A closed pipe is no error.
pub fn line(text: &str) -> Result<(), Error> {
    raw(format!("{text}\n").as_bytes())
}

/// Prints bytes as they are. A closed pipe is no error.
pub fn raw(bytes: &[u8]) -> Result<(), Error> {
    match io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::failed(error)),
        _ => Ok(()),
    }
}

/// Prints an engine's reply.
pub fn reply(reply: &Reply, format: Format) -> Result<Exit, Error> {
    match reply {
        Reply::Accepted { message, .. } => {
            match format {
                Format::Json => json(reply)?,
                _ => line(message)?,
            }
            Ok(Exit::Done)
        }
        Reply::Seen { view } => {
            json(view)?;
            Ok(Exit::Done)
        }
        Reply::Planned { injects } => {
            if format == Format::Json {
                json(injects)?;
                return Ok(Exit::Done);
            }
            for inject in injects {
                let mislead = if inject.red_herring { " (only misleads)" } else { "" };
                line(&format!("{}  {}{mislead}  {}: {}", inject.id, inject.stands, inject.channel, inject.what))?;
                if let Some(note) = &inject.note {
                    line(&format!("    {note}"))?;
                }
            }
            Ok(Exit::Done)
        }
        Reply::Logs { view } => {
            json(view)?;
            Ok(Exit::Done)
        }
        Reply::Drafted { view } => {
            json(view)?;
            Ok(Exit::Done)
        }
        Reply::Refused { why, denied: true } => Err(Error::Denied(why.clone())),
        Reply::Refused { why, denied: false } => Err(Error::Failed(why.clone())),
    }
}

/// Says something beside the output, on standard error.
pub fn complaint(words: &str) {
    crate::note!("quarterdeck: {}", crate::domain::text::sanitize(words));
}

/// Prints rows under their heads, columns as wide as they need.
pub fn table(heads: &[&str], rows: &[Vec<String>]) -> Result<(), Error> {
    use unicode_width::UnicodeWidthStr as _;
    let widths: Vec<usize> = heads
        .iter()
        .enumerate()
        .map(|(i, head)| rows.iter().filter_map(|r| r.get(i)).map(|c| c.width()).max().unwrap_or(0).max(head.width()))
        .collect();
    let print = |cells: &mut dyn Iterator<Item = &str>| {
        let mut text = String::new();
        for (cell, width) in cells.zip(&widths) {
            text.push_str(cell);
            text.push_str(&" ".repeat(width.saturating_sub(cell.width()) + 2));
        }
        line(text.trim_end())
    };
    print(&mut heads.iter().copied())?;
    for row in rows {
        print(&mut row.iter().map(String::as_str))?;
    }
    Ok(())
}
