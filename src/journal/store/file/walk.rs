//! Goes over the segments of a log from batch to batch, also while a writer appends. It sees structure only:
//! whether a batch is true is for the chain, whether a record makes sense is for the reader. A segment that could
//! not be written any more is read up to where the first record of the next one says that it counts.

use super::batch::{self, Batch, Found};
use super::succession::Accepted;
use super::{RECORDS, place, pruned};
use crate::journal::error::{Damage, JournalError, READING};
use crate::journal::snapshot::Place;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often and how long a place that looks wrong at the end of a log is read again before it is believed: a
/// live writer may be in the middle of it.
const SETTLE: (u32, Duration) = (40, Duration::from_millis(10));

/// A segment that nobody has written to for so long is not being written now.
const AT_REST: Duration = Duration::from_secs(5);

/// One file of records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Number of its first record, which is its name.
    pub first: u64,
    /// Where it lies.
    pub path: PathBuf,
}

impl Segment {
    /// The segment that begins with a record.
    pub fn at(dir: &Path, first: u64) -> Self {
        Self { first, path: dir.join(RECORDS).join(format!("{first:020}.jsonl")) }
    }

    /// Its name below the journal's directory.
    pub fn name(&self) -> String {
        format!("{RECORDS}/{:020}.jsonl", self.first)
    }
}

/// A log's directory, and a directory with what was moved from it, where one is at hand.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// The journal's directory.
    pub dir: &'a Path,
    /// The archive's.
    pub archive: Option<&'a Path>,
}

impl<'a> From<&'a Path> for Whole<'a> {
    fn from(dir: &'a Path) -> Self {
        Self { dir, archive: None }
    }
}

impl<'a> From<&'a PathBuf> for Whole<'a> {
    fn from(dir: &'a PathBuf) -> Self {
        Self { dir, archive: None }
    }
}

impl Whole<'_> {
    /// The segments that count, in order: those of the log, and before them those of the archive. Where the log says
    /// that its first ones were moved, those that are left of them do not count.
    pub fn segments(self) -> Result<Vec<Segment>, JournalError> {
        let mut here = segments(self.dir)?;
        let Some(first) = here.first().map(|s| s.first).filter(|first| *first > 0) else { return Ok(here) };
        let moved = pruned::size(self.dir).filter(|size| here.iter().any(|s| s.first == *size)).unwrap_or(first);
        here.retain(|s| s.first >= moved);
        let Some(archive) = self.archive else { return Ok(here) };
        let mut all = segments(archive)?;
        all.retain(|s| s.first < moved);
        all.append(&mut here);
        Ok(all)
    }
}

/// The segments of a log in order. A file that is none is damage: nothing else belongs there.
pub fn segments(dir: &Path) -> Result<Vec<Segment>, JournalError> {
    match std::fs::symlink_metadata(dir) {
        Ok(meta) if meta.is_symlink() => return Err(JournalError::Symlink { path: dir.to_owned() }),
        Ok(meta) if !meta.is_dir() => return Err(JournalError::NotADirectory { path: dir.to_owned() }),
        _ => {}
    }
    let records = dir.join(RECORDS);
    match std::fs::symlink_metadata(&records) {
        Ok(meta) if meta.is_symlink() => return Err(JournalError::Symlink { path: records }),
        Ok(meta) if !meta.is_dir() => return Err(JournalError::NotADirectory { path: records }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(vec![]),
        Err(e) => return Err(JournalError::io(READING, &records, &e)),
        Ok(_) => {}
    }
    let mut found = vec![];
    let entries = std::fs::read_dir(&records).map_err(|e| JournalError::io(READING, &records, &e))?;
    for entry in entries {
        let entry = entry.map_err(|e| JournalError::io(READING, &records, &e))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let first = name.strip_suffix(".jsonl").filter(|n| n.len() == 20).and_then(|n| n.parse::<u64>().ok());
        let is_file = entry.file_type().is_ok_and(|t| t.is_file());
        match first.map(|first| Segment::at(dir, first)) {
            Some(segment) if is_file && segment.path.file_name() == Some(&entry.file_name()) => found.push(segment),
            _ => {
                let seq = first.unwrap_or(0);
                let file = format!("{RECORDS}/{}", crate::domain::text::sanitize(&name));
                let why = "a file that is no segment of a log".to_owned();
                return Err(JournalError::Damaged(Damage { seq, through: seq, file, line: 0, why }));
            }
        }
    }
    found.sort_by_key(|s| s.first);
    Ok(found)
}

/// A place between two batches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The segment.
    pub segment: Segment,
    /// Offset in it.
    pub offset: u64,
    /// Line in it, from 1 on.
    pub line: u64,
    /// Number of the record that comes next.
    pub seq: u64,
}

/// Where a walk ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<T> {
    /// A whole batch.
    Batch(T),
    /// Nothing committed follows yet; the walk may be asked again.
    End {
        /// Bytes after the last commit that are not padding.
        torn: u64,
    },
}

/// What is wrong with a place.
enum Trouble {
    /// It stays wrong.
    Sure(JournalError),
    /// A live writer may look so for a moment.
    MayPass(JournalError),
}

impl From<JournalError> for Trouble {
    fn from(error: JournalError) -> Self {
        Self::Sure(error)
    }
}

/// A place in a log.
#[derive(Debug)]
pub struct Walk {
    dir: PathBuf,
    archive: Option<PathBuf>,
    segment: Segment,
    /// Offset and line in the segment, after the last batch.
    offset: u64,
    line: u64,
    /// Number of the record that comes next.
    seq: u64,
    /// The segments after it, as they were when the log was last looked at.
    later: VecDeque<Segment>,
    input: Option<BufReader<File>>,
    /// Whether what looks wrong at the end may be a writer at work.
    live: bool,
}

impl Walk {
    /// Begins at the start of the segment that holds record `seq`, or of the last one before it.
    pub fn open<'a>(at: impl Into<Whole<'a>>, seq: u64) -> Result<Self, JournalError> {
        let at = at.into();
        let Whole { dir, archive } = at;
        let mut later = VecDeque::from(at.segments()?);
        let before = later.iter().filter(|s| s.first <= seq).count().saturating_sub(1);
        later.drain(..before);
        let segment = later.pop_front().ok_or_else(|| JournalError::NoLog { dir: dir.to_owned() })?;
        let seq = segment.first;
        let (dir, archive) = (dir.to_owned(), archive.map(Path::to_owned));
        Ok(Self { dir, archive, segment, offset: 0, line: 1, seq, later, input: None, live: true })
    }

    /// Begins at a place that another walk has come to.
    pub fn resume<'a>(at: impl Into<Whole<'a>>, spot: Spot) -> Result<Self, JournalError> {
        let Whole { dir, archive } = at.into();
        let Spot { segment, offset, line, seq } = spot;
        let (later, archive) = (VecDeque::new(), archive.map(Path::to_owned));
        let mut walk =
            Self { dir: dir.to_owned(), archive, segment, offset, line, seq, later, input: None, live: true };
        walk.look_again()?;
        Ok(walk)
    }

    /// Where it is, after the last batch.
    pub fn here(&self) -> Spot {
        Spot { segment: self.segment.clone(), offset: self.offset, line: self.line, seq: self.seq }
    }

    /// Goes back to a place where it was.
    pub fn back_to(&mut self, spot: Spot) -> Result<(), JournalError> {
        let Spot { segment, offset, line, seq } = spot;
        (self.segment, self.offset, self.line, self.seq, self.input) = (segment, offset, line, seq, None);
        self.look_again()
    }

    /// Begins at a place that is known to lie between two batches.
    pub fn at(dir: &Path, place: &Place) -> Result<Self, JournalError> {
        let walk = Self::open(dir, place.segment)?;
        if walk.seq != place.segment {
            return Err(JournalError::NoLog { dir: dir.to_owned() });
        }
        Ok(Self { offset: place.offset, line: place.line, seq: place.tree.size(), ..walk })
    }

    /// Takes what looks wrong at its word: this process holds the log, so nobody else writes to it.
    #[must_use]
    pub fn exclusive(mut self) -> Self {
        self.live = false;
        self
    }

    /// Number of the record that comes next.
    pub const fn seq(&self) -> u64 {
        self.seq
    }

    /// The segment that it is in, with offset and line after the last batch.
    pub const fn place(&self) -> (&Segment, u64, u64) {
        (&self.segment, self.offset, self.line)
    }

    /// The next batch. On an error and at an end the place stays, so that it can be asked again.
    pub fn next(&mut self) -> Result<Step<Batch>, JournalError> {
        let mut tries = SETTLE.0;
        loop {
            match self.step() {
                Ok(step) => return Ok(step),
                Err(Trouble::MayPass(_)) if tries > 0 && self.may_change() => {
                    tries -= 1;
                    std::thread::sleep(SETTLE.1);
                }
                Err(Trouble::MayPass(e) | Trouble::Sure(e)) => return Err(e),
            }
        }
    }

    /// The next batch, where an end with torn bytes is asked again until it stays as it is: what is reported is
    /// no writer's work in hand.
    pub fn next_settled(&mut self) -> Result<Step<Batch>, JournalError> {
        for _ in 0..SETTLE.0 {
            match self.next()? {
                Step::End { torn } if torn > 0 && self.may_change() => std::thread::sleep(SETTLE.1),
                step => return Ok(step),
            }
        }
        self.next()
    }

    /// Whether the bytes of the batch that was read here, and that look wrong, stay as they are. When they do not, they
    /// were a writer's work in hand.
    pub fn stands(&self, data: &[u8]) -> Result<bool, JournalError> {
        let failed = |e: &std::io::Error| JournalError::io(READING, &self.segment.path, e);
        let mut tries = SETTLE.0;
        while tries > 0 && self.may_change() {
            std::thread::sleep(SETTLE.1);
            tries -= 1;
            if self.bytes(data.len() as u64).map_err(|e| failed(&e))? != data {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The bytes that lie here, up to a length.
    pub fn bytes(&self, length: u64) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.segment.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = vec![];
        file.take(length).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Whether a writer may be at work on the segment: it was written to a moment ago, or by a clock that is ahead.
    fn may_change(&self) -> bool {
        let rests = std::fs::metadata(&self.segment.path)
            .and_then(|m| m.modified())
            .is_ok_and(|written| written.elapsed().is_ok_and(|age| age > AT_REST));
        self.live && !rests
    }

    fn step(&mut self) -> Result<Step<Batch>, Trouble> {
        loop {
            if let Some(next) = self.later.front()
                && next.first == self.seq
                && self.is_left_for(next)?
            {
                self.pass_on();
            }
            match self.read()? {
                Found::Batch(_) if self.is_followed() => {
                    self.input = None;
                    self.look_again()?;
                }
                Found::Batch(batch) => {
                    self.offset += batch.byte_len();
                    self.line += batch.lines();
                    self.seq += batch.records().len() as u64;
                    return Ok(Step::Batch(batch));
                }
                Found::Fault { index, commit, why, may_pass } => {
                    self.input = None;
                    let known = self.later.len();
                    self.look_again()?;
                    let damage = self.damage(index, commit, why);
                    // A writer at work, or one that has just left the segment for another.
                    let may_pass = may_pass || self.later.len() > known;
                    return Err(if may_pass { Trouble::MayPass(damage) } else { Trouble::Sure(damage) });
                }
                Found::End { torn, padding } => {
                    self.input = None;
                    self.look_again()?;
                    let Some(later) = self.later.front().cloned() else { return Ok(Step::End { torn }) };
                    if later.first == self.seq && self.is_left_for(&later)? {
                        continue;
                    }
                    // What was read may be from before the writer completed this segment and made that one.
                    if torn > 0 {
                        let why = format!("{torn} bytes without a commit line, with a later segment after them");
                        return Err(Trouble::MayPass(self.damage(0, false, why)));
                    }
                    if padding > 0 {
                        let why = format!("{padding} empty lines, with a later segment after them");
                        return Err(Trouble::MayPass(self.damage(0, false, why)));
                    }
                    if later.first != self.seq {
                        if let Ok(Some(pruned)) = pruned::read(&self.dir)
                            && self.seq < pruned.size()
                            && self.archive.is_none()
                        {
                            // They were moved under the eyes of the reader.
                            return Err(Trouble::Sure(pruned::archived(&pruned, self.seq)));
                        }
                        return Err(Trouble::MayPass(self.missing(&later)));
                    }
                    self.pass_on();
                }
            }
        }
    }

    /// Whether the segment of the next record was begun since the log was last looked at: the writer left this one.
    fn is_followed(&self) -> bool {
        self.later.is_empty() && self.offset > 0 && place::exists(&Segment::at(&self.dir, self.seq).path)
    }

    /// Takes in the segments that were begun meanwhile.
    fn look_again(&mut self) -> Result<(), JournalError> {
        let all = Whole { dir: &self.dir, archive: self.archive.as_deref() }.segments()?;
        self.later = all.into_iter().filter(|s| s.first > self.segment.first).collect();
        Ok(())
    }

    /// Goes on at the start of the next segment.
    fn pass_on(&mut self) {
        if let Some(next) = self.later.pop_front() {
            (self.segment, self.offset, self.line, self.input) = (next, 0, 1, None);
        }
    }

    /// Whether the first record of the next segment says that this one counts up to here, and not beyond, because it
    /// could not be written any more.
    fn is_left_for(&self, next: &Segment) -> Result<bool, JournalError> {
        let failed = |e: &std::io::Error| JournalError::io(READING, &next.path, e);
        let mut input = BufReader::new(File::open(&next.path).map_err(|e| failed(&e))?);
        let Found::Batch(batch) = batch::read(&mut input, 0, 1).map_err(|e| failed(&e))? else { return Ok(false) };
        let accepted = batch.records().next().and_then(Accepted::read);
        Ok(accepted.is_some_and(|a| a.segment == self.segment.name() && a.length == self.offset && a.size == self.seq))
    }

    fn read(&mut self) -> Result<Found, JournalError> {
        let failed = |e: &std::io::Error| JournalError::io(READING, &self.segment.path, e);
        if self.input.is_none() {
            let mut file = File::open(&self.segment.path).map_err(|e| match pruned::read(&self.dir) {
                // It was there a moment ago.
                Ok(Some(pruned)) if !place::exists(&self.segment.path) && self.seq < pruned.size() => {
                    pruned::archived(&pruned, self.seq)
                }
                _ => failed(&e),
            })?;
            file.seek(SeekFrom::Start(self.offset)).map_err(|e| failed(&e))?;
            self.input = Some(BufReader::with_capacity(1 << 18, file));
        }
        match &mut self.input {
            Some(input) => batch::read(input, self.offset, self.line).map_err(|e| failed(&e)),
            None => Ok(Found::End { torn: 0, padding: 0 }),
        }
    }

    /// That the log does not begin with its first record.
    pub fn missing_before(&self) -> JournalError {
        let through = self.segment.first.saturating_sub(1);
        let why = "the records before this segment are missing".to_owned();
        JournalError::Damaged(Damage { seq: 0, through, file: self.segment.name(), line: 0, why })
    }

    /// What is wrong `index` lines after the last batch: with the record there, or with the commit line of the records
    /// up to there.
    fn damage(&self, index: u64, commit: bool, why: String) -> JournalError {
        let (at, line) = (self.seq + index, self.line + index);
        let (seq, through) = if commit && index > 0 { (self.seq, at - 1) } else { (at, at) };
        JournalError::Damaged(Damage { seq, through, file: self.segment.name(), line, why })
    }

    /// The next segment does not begin where this one ends.
    fn missing(&self, later: &Segment) -> JournalError {
        let (seq, file) = (self.seq, later.name());
        let (through, why) = if later.first > seq {
            (later.first - 1, "the records before this segment are missing".to_owned())
        } else {
            (seq, format!("the segment begins with record {}, which an earlier one holds", later.first))
        };
        JournalError::Damaged(Damage { seq, through, file, line: 0, why })
    }
}
