//! `audit show`: records as a table, or as stored. Each batch is held against its checkpoint before it is shown, so
//! that a damaged log shows what comes before the damage, then says where it is.

use super::super::args::{Format, Global};
use super::super::output::{self, Error, Exit};
use super::super::session;
use super::args::Show;
use super::estates::EstateRecord;
use super::{directory, estates};
use crate::console::rows::{Column, layout, place};
use crate::domain::id::IncidentId;
use crate::domain::text::sanitize;
use crate::journal::read::{Filter, Located, Reader, Stored, Whole as At, find, moved};
use crate::journal::{JournalError, Kind, Record, describe};
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, channel};
use std::time::Duration;
use unicode_width::UnicodeWidthStr as _;

/// How often a followed log is asked for more.
const FOLLOW: Duration = Duration::from_millis(250);

/// Columns of the table; those of greater rank are the first to go on a narrow terminal.
const COLUMNS: [Column; 6] = [
    Column::right("SEQ", 7, 0),
    Column::left("TIME", 24, 24, 0),
    Column::left("KIND", 18, 28, 0),
    Column::left("INCIDENT", 8, 12, 2),
    Column::left("WHO", 11, 16, 1),
    Column::left("WHAT", 20, 500, 0),
];

/// Kinds by words: one (`step.started`) or all of a group (`step`).
fn kinds(words: &[String]) -> Result<Vec<Kind>, Error> {
    let mut kinds = Vec::new();
    for word in words {
        let fits = |k: &Kind| k.word() == word || k.word().split('.').next() == Some(word.as_str());
        let before = kinds.len();
        kinds.extend(Kind::ALL.iter().copied().filter(fits));
        if kinds.len() == before {
            let words: Vec<&str> = Kind::ALL.iter().map(|k| k.word()).collect();
            return Err(Error::Usage(format!("there is no kind `{word}`; there are {}", words.join(", "))));
        }
    }
    Ok(kinds)
}

pub(super) fn filter(show: &Show) -> Result<Filter, Error> {
    if let (Some(since), Some(until)) = (show.since, show.until)
        && since >= until
    {
        return Err(Error::Usage(format!("--since {since} does not lie before --until {until}: no record can fit")));
    }
    if let (Some(from), Some(to)) = (show.from, show.to)
        && from > to
    {
        return Err(Error::Usage(format!("--from {from} is greater than --to {to}: no record can fit")));
    }
    Ok(Filter {
        incident: show.incident.as_deref().map(IncidentId::from),
        actor: show.actor.clone(),
        kinds: kinds(&show.kind)?,
        since: show.since,
        until: show.until,
        first: show.from,
        last: show.to,
    })
}

/// Runs it.
pub fn run(global: &Global, show: &Show) -> Result<Exit, Error> {
    if let Some(several) = estates::to_show(global, show)? {
        return estates::show(global, &several, show);
    }
    if let Some(seq) = show.seq {
        filter(show)?;
        let dir = directory(global, show.journal.as_deref())?;
        return one(super::whole(&dir, show.archive.as_deref())?, seq, global.format);
    }
    let mut out = Out::new(global.format);
    if show.follow {
        let mut reader = reader(global, show)?;
        out.begin(None)?;
        let runtime = session::runtime()?;
        let (sender, interrupted) = channel();
        runtime.spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                // Nobody listens any more when the command has ended by itself.
                let _ = sender.send(());
            }
        });
        return follow(&mut reader, &mut out, &interrupted);
    }
    all(global, show, &mut out)?;
    Ok(Exit::Done)
}

/// The records that are asked for, of one log; what is not there any more is said.
fn reader(global: &Global, show: &Show) -> Result<Reader, Error> {
    let filter = filter(show)?;
    let dir = directory(global, show.journal.as_deref())?;
    let at = super::whole(&dir, show.archive.as_deref())?;
    let first = filter.first.unwrap_or(0);
    let reader = Reader::checked(at, filter).map_err(|e| Error::journal(&e))?;
    if at.archive.is_none()
        && let Some(moved) = moved(&dir).map_err(|e| Error::journal(&e))?.filter(|moved| first < moved.size())
    {
        let places: Vec<String> = moved.places().iter().map(ToString::to_string).collect();
        crate::note!(
            "quarterdeck: records 0 to {} were moved to the archive {} and are not shown; name a directory with them \
             with --archive DIR",
            moved.size() - 1,
            places.join(" and ")
        );
    }
    Ok(reader)
}

/// Shows them; false when nobody reads any more.
pub(super) fn all(global: &Global, show: &Show, out: &mut Out) -> Result<bool, Error> {
    let mut reader = reader(global, show)?;
    // Of several, each has been begun with its name.
    if out.estate.is_none() {
        out.begin(None)?;
    }
    for stored in reader.by_ref() {
        if !out.take(stored)? {
            return Ok(false);
        }
    }
    if !reader.is_done()
        && let Some(damage) = reader.torn().map_err(|e| out.failed(&e))?
    {
        return Err(out.failed(&JournalError::Damaged(damage)));
    }
    out.flush()
}

/// Shows what is there and what comes, until it is interrupted or nothing more can be wanted.
fn follow(reader: &mut Reader, out: &mut Out, interrupted: &Receiver<()>) -> Result<Exit, Error> {
    loop {
        for stored in reader.by_ref() {
            if !out.take(stored)? {
                return Ok(Exit::Done);
            }
            if interrupted.try_recv() != Err(TryRecvError::Empty) {
                out.flush()?;
                return Ok(Exit::Interrupted);
            }
        }
        if !out.flush()? || reader.is_done() {
            return Ok(Exit::Done);
        }
        match interrupted.recv_timeout(FOLLOW) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(Exit::Interrupted),
        }
    }
}

/// Where records go: a line each, in a table as wide as the terminal.
pub(super) struct Out {
    to: BufWriter<io::StdoutLock<'static>>,
    /// The estate whose records they are, where there are several.
    estate: Option<String>,
    format: Format,
    /// Columns with their widths.
    widths: Vec<(usize, u16)>,
    /// Whether the output is a terminal, in whose width the columns are cut.
    fitted: bool,
}

/// The columns for a width: what is to come is not known, so each may need all that is of use to it.
fn widths(width: u16) -> Vec<(usize, u16)> {
    layout(&COLUMNS, &COLUMNS.map(|c| c.max), width, 2)
}

/// Width of a text in cells.
fn cells_of(text: &str) -> u16 {
    u16::try_from(text.width()).unwrap_or(u16::MAX)
}

impl Out {
    pub(super) fn new(format: Format) -> Self {
        let stdout = io::stdout();
        let fitted = stdout.is_terminal();
        let width = if fitted { crossterm::terminal::size().map_or(80, |(w, _)| w) } else { 160 };
        Self { to: BufWriter::new(stdout.lock()), estate: None, format, widths: widths(width), fitted }
    }

    /// Begins the records of a log, or those of one estate of several; false when nobody reads any more.
    pub(super) fn begin(&mut self, estate: Option<&str>) -> Result<bool, Error> {
        let first = self.estate.is_none();
        self.estate = estate.map(str::to_owned);
        if self.format == Format::Json {
            return Ok(true);
        }
        if let Some(estate) = estate {
            self.line(&format!("{}{estate}", if first { "" } else { "\n" }))?;
        }
        let heads = COLUMNS.map(|c| c.title.to_owned());
        self.line(&row(&self.widths, self.fitted, &heads))
    }

    /// Takes what was read: a record is written, an error ends it; false when nobody reads any more.
    fn take(&mut self, read: Result<Stored, JournalError>) -> Result<bool, Error> {
        match read {
            Ok(stored) => self.record(&stored),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn record(&mut self, stored: &Stored) -> Result<bool, Error> {
        if self.format == Format::Json {
            return match self.estate.clone() {
                Some(estate) => self.line(&EstateRecord::line(&estate, &stored.bytes)),
                None => self.line(&String::from_utf8_lossy(&stored.bytes)),
            };
        }
        let record = &stored.record;
        let cells = [
            record.seq.to_string(),
            record.time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string(),
            record.kind.word().to_owned(),
            record.incident.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string),
            record.actor.user.clone(),
            describe(record),
        ];
        self.line(&row(&self.widths, self.fitted, &cells))
    }

    pub(super) fn line(&mut self, text: &str) -> Result<bool, Error> {
        read_on(writeln!(self.to, "{text}"))
    }

    pub(super) fn flush(&mut self) -> Result<bool, Error> {
        read_on(self.to.flush())
    }

    /// An error of the journal, after everything before it has been shown.
    fn failed(&mut self, error: &JournalError) -> Error {
        match self.flush() {
            Ok(_) => Error::journal(error),
            Err(output) => output,
        }
    }
}

/// A closed pipe is no error: the reader has seen enough.
fn read_on(written: io::Result<()>) -> Result<bool, Error> {
    match written {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::failed(error)),
    }
}

fn row(widths: &[(usize, u16)], fitted: bool, cells: &[String; 6]) -> String {
    let last = COLUMNS.len() - 1;
    let shown: Vec<String> = widths
        .iter()
        .filter_map(|(i, width)| {
            let (column, cell) = (COLUMNS.get(*i)?, cells.get(*i)?);
            // The last column is never filled, and only a terminal cuts.
            let width = if fitted { *width } else { (*width).max(cells_of(cell)) };
            let text = place(cell, column.align, width, "…");
            Some(if *i == last { text.trim_end().to_owned() } else { text })
        })
        .collect();
    shown.join("  ")
}

fn one(at: At<'_>, seq: u64, format: Format) -> Result<Exit, Error> {
    let found = find(at, seq).map_err(|e| Error::journal(&e))?;
    let Some(located) = found else {
        return Err(Error::Failed(format!("there is no record {seq} in {}", at.dir.display())));
    };
    if format == Format::Json {
        output::json(&whole(&located))?;
    } else {
        for line in in_full(&located) {
            output::line(&line)?;
        }
    }
    Ok(Exit::Done)
}

/// The output contract of `audit show --seq N --format json`: the record as stored, and its place.
#[derive(serde::Serialize, schemars::JsonSchema)]
pub struct Whole<'a> {
    record: &'a Record,
    /// Its exact bytes.
    stored: std::borrow::Cow<'a, str>,
    /// What the leaf of the tree hashes to.
    leaf_hash: String,
    /// File below the journal's directory.
    file: &'a str,
    /// Line in it, from 1.
    line: u64,
    batch: InBatch,
    /// The signed checkpoint that covers it.
    checkpoint: &'a str,
}

/// The batch that a record was written in.
#[derive(serde::Serialize, schemars::JsonSchema)]
struct InBatch {
    /// Its first record.
    first: u64,
    /// Its last record.
    last: u64,
    /// The line of its checkpoint.
    commit_line: u64,
}

fn whole(located: &Located) -> Whole<'_> {
    let Located { stored, file, line, leaf, batch, commit_line, checkpoint } = located;
    Whole {
        record: &stored.record,
        stored: String::from_utf8_lossy(&stored.bytes),
        leaf_hash: leaf.to_string(),
        file,
        line: *line,
        batch: InBatch { first: batch.0, last: batch.1, commit_line: *commit_line },
        checkpoint,
    }
}

/// The same for people. Nothing in it can move the cursor.
fn in_full(located: &Located) -> Vec<String> {
    let Located { stored, file, line, leaf, batch, commit_line, checkpoint } = located;
    let record = &stored.record;
    let actor = &record.actor;
    let console = actor.console.as_ref().map_or_else(String::new, |c| format!(", {c}"));
    let incident = record.incident.as_ref().map_or_else(|| "none".to_owned(), ToString::to_string);
    let mut lines = vec![
        format!("record      {}", record.seq),
        format!("time        {:.6}", record.time),
        format!("kind        {}", record.kind.word()),
        format!("what        {}", describe(record)),
        format!("incident    {incident}"),
        format!("who         {} (uid {}) by {} on {}{console}", actor.user, actor.uid, actor.via, actor.host),
        format!("mode        {}, {}", record.mode, record.environment),
        format!("place       {file} line {line}"),
        format!("batch       records {} to {}, committed in line {commit_line}", batch.0, batch.1),
        format!("leaf hash   {leaf}"),
        "checkpoint".to_owned(),
    ];
    lines.extend(checkpoint.lines().map(|l| format!("  {l}").trim_end().to_owned()));
    lines.push("body".to_owned());
    let body = serde_json::to_string_pretty(&record.body).unwrap_or_default();
    lines.extend(body.lines().map(|l| format!("  {l}")));
    lines.push(format!("stored      {} bytes", stored.bytes.len()));
    lines.push(String::from_utf8_lossy(&stored.bytes).into_owned());
    lines.iter().map(|l| sanitize(l)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(what: &str) -> [String; 6] {
        let time = "2026-11-21T14:43:07.123Z";
        ["17", time, "step.verification_failed", "INC-42", "mara", what].map(str::to_owned)
    }

    #[test]
    fn columns_fit_the_terminal_and_what_is_cut_says_so() {
        for width in [60_u16, 80, 120, 200] {
            let widths = widths(width);
            let text = row(&widths, true, &cells(&"the trucks wait ".repeat(30)));
            assert!(text.width() <= usize::from(width), "{width}: {text}");
            assert!(text.contains('…'), "{width}: {text}");
            // Below the least terminal that is promised the time gives way too.
            assert!(width < 80 || text.contains("2026-11-21T14:43:07"), "{width}: {text}");
        }
        let long = "the trucks wait ".repeat(30);
        let whole = row(&widths(160), false, &cells(&long));
        assert!(whole.ends_with(long.trim_end()), "a pipe gets everything: {whole}");
        let hostile = row(&widths(120), true, &cells("a\u{1b}[2Jb"));
        assert!(!hostile.chars().any(crate::domain::text::is_hostile), "{hostile}");
    }

    #[test]
    fn kinds_are_words_or_groups_and_several_add_up() {
        let of = |words: &[&str]| kinds(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>());
        assert_eq!(of(&["glass.broken", "note"]).unwrap(), [Kind::GlassBroken, Kind::NoteAdded]);
        assert!(of(&["step"]).unwrap().len() > 8);
        let error = of(&["note", "nite"]).unwrap_err().to_string();
        assert!(error.contains("there is no kind `nite`; there are journal.opened, "), "{error}");
    }
}
