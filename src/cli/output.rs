//! What a command leaves behind: data on standard output, words on standard error, an exit code.

use super::args::Format;
use crate::config::problem::{Problem, Problems};
use crate::domain::health::Health;
use crate::engine::api::Reply;
use crate::journal::JournalError;
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
    /// It failed; exit 1.
    #[error("{0}")]
    Failed(String),
    /// A journal is damaged, or something in it does not hold; exit 3.
    #[error("{0}")]
    Damaged(String),
    /// Policy said no; exit 7.
    #[error("{0}")]
    Denied(String),
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
            | JournalError::KeyWithoutLog { .. } => Self::Damaged(error.to_string()),
            JournalError::Symlink { .. }
            | JournalError::NetworkFileSystem { .. }
            | JournalError::ForeignLog { .. }
            | JournalError::KeyMode { .. }
            | JournalError::KeyOwner { .. }
            | JournalError::KeyMalformed { .. }
            | JournalError::Origin(_)
            | JournalError::NotNew { .. } => Self::Usage(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }

    const fn exit(&self) -> Exit {
        match self {
            Self::Problems(_) | Self::Usage(_) => Exit::Usage,
            Self::Failed(_) => Exit::Failed,
            Self::Damaged(_) => Exit::Verification,
            Self::Denied(_) => Exit::Denied,
        }
    }

    const fn kind(&self) -> &'static str {
        match self {
            Self::Problems(_) => "configuration",
            Self::Usage(_) => "usage",
            Self::Failed(_) => "failed",
            Self::Damaged(_) => "damaged",
            Self::Denied(_) => "denied",
        }
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    kind: &'static str,
    message: &'a str,
    file: Option<&'a str>,
    line: Option<usize>,
    column: Option<usize>,
}

impl<'a> Shown<'a> {
    fn problem(kind: &'static str, p: &'a Problem) -> Self {
        Self { kind, message: &p.message, file: Some(&p.file), line: p.line, column: p.column }
    }
}

/// Says on standard error why it did not work, one line (one JSON object) an error, and answers the exit code.
pub fn complain(error: &Error, format: Format) -> Exit {
    let mut err = io::stderr().lock();
    if format == Format::Table {
        let _ = match error {
            Error::Problems(problems) => writeln!(err, "{problems}"),
            other => writeln!(err, "quarterdeck: {other}"),
        };
        return error.exit();
    }
    let message = error.to_string();
    let shown: Vec<Shown<'_>> = match error {
        Error::Problems(problems) => problems.0.iter().map(|p| Shown::problem(error.kind(), p)).collect(),
        _ => vec![Shown { kind: error.kind(), message: &message, file: None, line: None, column: None }],
    };
    for one in shown {
        let _ = writeln!(err, "{}", serde_json::json!({ "error": one }));
    }
    error.exit()
}

/// Prints JSON, one document a line. A closed pipe is no error: the reader has seen enough.
pub fn json(value: &impl Serialize) -> Result<(), Error> {
    let text = serde_json::to_string(value).map_err(Error::failed)?;
    line(&text)
}

/// Prints a line. A closed pipe is no error.
pub fn line(text: &str) -> Result<(), Error> {
    match writeln!(io::stdout().lock(), "{text}") {
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
                Format::Table => line(message)?,
            }
            Ok(Exit::Done)
        }
        Reply::Refused { why, denied: true } => Err(Error::Denied(why.clone())),
        Reply::Refused { why, denied: false } => Err(Error::Failed(why.clone())),
    }
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
