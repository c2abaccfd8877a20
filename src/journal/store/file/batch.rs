//! One batch as it lies in a segment: record lines, then the commit line that makes them count.

use crate::journal::canonical;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::key::LogKey;
use crate::journal::record::{MAX_BYTES, Ready, Record};
use crate::journal::tree::{Frontier, Hash};
use serde::{Deserialize, Serialize};
use std::io::BufRead;
use std::ops::Range;

/// Greatest length of a batch that is written; one that is read may be a little longer for its commit line.
pub const MAX_BATCH_BYTES: usize = 4 << 20;

/// Greatest length of a line with its newline. A commit line is far shorter than a record may be.
const MAX_LINE: usize = MAX_BYTES + 1;

/// Greatest length of what is read as one batch.
pub const LONGEST_BATCH: u64 = (MAX_BATCH_BYTES + 3 * MAX_LINE) as u64;

/// Beginning of every commit line; no record begins so, because `actor` sorts before.
pub const COMMIT_PREFIX: &[u8] = b"{\"checkpoint\":";

/// The commit line: where its batch begins and the signed note over everything up to its end.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Commit {
    checkpoint: String,
    from: u64,
}

/// Writes a commit line with its newline.
pub fn commit_line(from: u64, note: &str) -> Result<Vec<u8>, canonical::Unwritable> {
    let mut line = canonical::to_bytes(&Commit { checkpoint: note.to_owned(), from })?;
    line.push(b'\n');
    Ok(line)
}

/// A batch as it will lie in a segment, and the tree after it.
pub struct Encoded {
    /// Its lines.
    pub bytes: Vec<u8>,
    /// The tree with it.
    pub frontier: Frontier,
    /// Its root.
    pub root: Hash,
    /// The signed note over it.
    pub note: String,
}

/// The batch of these records after what the tree holds, under its signed checkpoint; `each` is given the bytes of every
/// record.
///
/// # Errors
/// Signing failed, in a sentence.
pub fn encode(
    before: &Frontier,
    key: &LogKey,
    records: &[Ready],
    mut each: impl FnMut(&[u8]),
) -> Result<Encoded, String> {
    let first = before.size();
    let mut frontier = before.clone();
    let mut bytes = Vec::with_capacity(records.iter().map(|r| r.max_len() + 1).sum::<usize>() + 512);
    for (seq, record) in (first..).zip(records) {
        let start = bytes.len();
        record.write(seq, &mut bytes);
        let leaf = bytes.get(start..).unwrap_or_default();
        frontier.append(leaf);
        each(leaf);
        bytes.push(b'\n');
    }
    let root = frontier.root();
    let checkpoint = Checkpoint { origin: key.verifier().name().to_owned(), size: frontier.size(), root };
    let note = checkpoint.sign(key).map_err(|e| format!("signing failed: {e}"))?;
    let commit = commit_line(first, &note).map_err(|e| format!("signing failed: {e}"))?;
    bytes.extend_from_slice(&commit);
    Ok(Encoded { bytes, frontier, root, note })
}

/// Reads a commit line without its newline, if it is one.
pub fn read_commit(line: &[u8]) -> Option<(u64, String)> {
    canonical::check(line, |_, _| {}).ok()?;
    let Commit { checkpoint, from } = serde_json::from_slice(line).ok()?;
    Some((from, checkpoint))
}

/// Whether a line is a commit line or the ruin of one: it begins so, or has the blank line and the dash of a note. Whole
/// records may quote a note and are none.
pub fn looks_like_commit(line: &[u8]) -> bool {
    let mark = "\\n\\n— ".as_bytes();
    let quotes = || line.windows(mark.len()).any(|w| w == mark);
    line.starts_with(COMMIT_PREFIX) || (quotes() && Record::parse(line).is_err())
}

/// A batch.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// Offset of its first byte in the segment.
    pub offset: u64,
    /// Number of its first line in the segment, from 1 on.
    pub line: u64,
    /// Where it begins, as its commit line says.
    pub from: u64,
    /// The signed note of its commit line.
    pub note: String,
    /// Its bytes, all lines with their newlines.
    data: Vec<u8>,
    records: Vec<Range<usize>>,
}

impl Batch {
    /// The exact bytes of its records, without newlines.
    pub fn records(&self) -> impl ExactSizeIterator<Item = &[u8]> + Clone {
        self.records.iter().map(|range| self.data.get(range.clone()).unwrap_or_default())
    }

    /// Its exact bytes, all lines with their newlines.
    pub fn bytes(&self) -> &[u8] {
        &self.data
    }

    /// Its length in the segment.
    pub const fn byte_len(&self) -> u64 {
        self.data.len() as u64
    }

    /// Number of its lines, the commit line included.
    pub fn lines(&self) -> u64 {
        self.records.len() as u64 + 1
    }
}

/// What was found at a place of a segment.
#[derive(Debug)]
pub enum Found {
    /// A whole batch. Whether it is true is for the chain to say.
    Batch(Batch),
    /// The end of what was committed.
    End {
        /// Bytes after it that are not padding: a batch on its way, or a torn one.
        torn: u64,
        /// Newlines at the end of the file, set aside for what comes next.
        padding: u64,
    },
    /// Lines that no writer of this program writes, `index` records into the batch.
    Fault {
        /// Number of whole records before it in its batch.
        index: u64,
        /// Whether it is the commit line, and so about all of them.
        commit: bool,
        /// What is wrong.
        why: String,
        /// Whether a live writer may look so for a moment: a page of its batch is not there yet, the next one is.
        may_pass: bool,
    },
}

/// Reads the batch at `offset`, where `input` stands, whose first line is number `line`.
pub fn read(input: &mut impl BufRead, offset: u64, line: u64) -> std::io::Result<Found> {
    let mut batch = Batch { offset, line, ..Batch::default() };
    loop {
        let start = batch.data.len();
        let index = batch.records.len() as u64;
        let fault = |why: &str| Ok(Found::Fault { index, commit: false, why: why.to_owned(), may_pass: false });
        let length = read_line(input, &mut batch.data)?;
        if length == 0 {
            return Ok(Found::End { torn: start as u64, padding: 0 });
        }
        let whole = batch.data.last() == Some(&b'\n');
        if whole && length == 1 {
            if let Some(more) = blank_rest(input)? {
                return Ok(Found::End { torn: start as u64, padding: more + 1 });
            }
            let why = "an empty line before further records".to_owned();
            return Ok(Found::Fault { index, commit: false, why, may_pass: true });
        }
        if !whole {
            if length >= MAX_LINE {
                return fault("a line that is longer than a record may be");
            }
            return Ok(Found::End { torn: batch.data.len() as u64, padding: 0 });
        }
        let end = batch.data.len() - 1;
        let bytes = batch.data.get(start..end).unwrap_or_default();
        if bytes.starts_with(COMMIT_PREFIX) {
            let Some((from, note)) = read_commit(bytes) else {
                let why = "a commit line that is malformed".to_owned();
                return Ok(Found::Fault { index, commit: true, why, may_pass: true });
            };
            return Ok(Found::Batch(Batch { from, note, ..batch }));
        }
        batch.records.push(start..end);
        if batch.data.len() > MAX_BATCH_BYTES + MAX_LINE {
            return fault("records without a commit line after them");
        }
    }
}

/// Appends one line, newline included, but never more than a line may have.
fn read_line(input: &mut impl BufRead, out: &mut Vec<u8>) -> std::io::Result<usize> {
    use std::io::Read;
    input.by_ref().take(MAX_LINE as u64).read_until(b'\n', out)
}

/// How many newlines follow, if nothing else does up to the end.
fn blank_rest(input: &mut impl BufRead) -> std::io::Result<Option<u64>> {
    let mut count = 0;
    loop {
        let bytes = input.fill_buf()?;
        if bytes.is_empty() {
            return Ok(Some(count));
        }
        if bytes.iter().any(|b| *b != b'\n') {
            return Ok(None);
        }
        let length = bytes.len();
        count += length as u64;
        input.consume(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &[u8]) -> Found {
        read(&mut &*text, 0, 1).unwrap()
    }

    fn commit() -> Vec<u8> {
        commit_line(3, "o\n5\nroot\n\n— o sig\n").unwrap()
    }

    #[test]
    fn a_commit_line_sorts_apart_from_records_and_reads_with_jq() {
        let line = String::from_utf8(commit()).unwrap();
        assert_eq!(line, "{\"checkpoint\":\"o\\n5\\nroot\\n\\n— o sig\\n\",\"from\":3}\n");
        assert_eq!(read_commit(line.trim_end().as_bytes()), Some((3, "o\n5\nroot\n\n— o sig\n".into())));
        assert_eq!(read_commit(b"{\"checkpoint\":\"\",\"from\":3,\"more\":1}"), None);
        assert_eq!(read_commit(b"{\"checkpoint\": \"\",\"from\":3}"), None);
    }

    #[test]
    fn batches_ends_padding_and_faults_are_told_apart() {
        let mut text = b"{\"a\":1}\n{\"a\":2}\n".to_vec();
        text.extend(commit());
        text.extend(b"{\"a\":3}\n");
        let Found::Batch(batch) = found(&text) else { panic!() };
        assert_eq!(batch.records().collect::<Vec<_>>(), [b"{\"a\":1}", b"{\"a\":2}"]);
        assert_eq!((batch.from, batch.lines(), batch.byte_len()), (3, 3, 16 + commit().len() as u64));

        let end = |text: &[u8]| match found(text) {
            Found::End { torn, padding } => (torn, padding),
            other => panic!("{other:?}"),
        };
        assert_eq!(end(b""), (0, 0));
        assert_eq!(end(b"\n\n\n"), (0, 3));
        assert_eq!(end(b"{\"a\":1}\n{\"a\""), (12, 0));
        assert_eq!(end(b"{\"a\":1}\n{\"a\n\n\n"), (12, 2));

        let why = |text: &[u8]| match found(text) {
            Found::Fault { index, why, .. } => (index, why),
            other => panic!("{other:?}"),
        };
        assert_eq!(why(b"{}\n\n{}\n"), (1, "an empty line before further records".into()));
        assert_eq!(why(b"{}\n{\"checkpoint\":1}\n"), (1, "a commit line that is malformed".into()));
        assert_eq!(why(&vec![b'x'; MAX_LINE + 9]), (0, "a line that is longer than a record may be".into()));
        let endless = b"{\"a\":1}\n".repeat(MAX_BATCH_BYTES / 8 + MAX_LINE);
        assert_eq!(why(&endless).1, "records without a commit line after them");
    }
}
