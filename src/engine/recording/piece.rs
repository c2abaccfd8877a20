//! A piece of a recording: a line that says what it is, then the lines that a console is sent, compressed (gzip). The
//! first frame is whole, each later one says what differs, so that a piece can be read without the one before.

use crate::domain::id::Digest;
use crate::engine::api::Snapshot;
use crate::engine::attach::parts::{Assembler, all_to, change};
use crate::engine::attach::wire::{PROGRAM, PROTOCOL, Say, written};
use crate::journal::evidence;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::io::{self, Read as _, Write as _};
use std::sync::Arc;

/// Media type of a piece, by which its record is known.
pub const MEDIA: &str = "application/vnd.quarterdeck.recording+gzip";
/// Version of the form.
const FORMAT: u32 = 1;
/// What a large estate shows is some megabytes a minute, and pressing them harder takes more of a core than judging it.
const PRESSED: Compression = Compression::new(3);
/// Bytes of a piece that are read at most, uncompressed. One is ended long before that.
const MOST: u64 = 1 << 30;

/// What a piece says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    recording: u32,
    protocol: u32,
    program: String,
}

/// A piece in hand.
pub struct Writer {
    to: GzEncoder<Vec<u8>>,
    last: Arc<Snapshot>,
    from: Timestamp,
    frames: u64,
    /// Bytes of the first frame, and of those after it, uncompressed.
    whole: usize,
    changes: usize,
}

/// A piece that is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The engine's clock at the first frame.
    pub from: Timestamp,
    /// The same at the last.
    pub to: Timestamp,
    /// Number of frames.
    pub frames: u64,
    /// Compressed.
    pub bytes: Vec<u8>,
    /// Whether nothing more is kept after it, because of the bound.
    pub last: bool,
}

impl Writer {
    /// Begins with this frame.
    pub fn begin(first: &Arc<Snapshot>) -> io::Result<Self> {
        let mut to = GzEncoder::new(Vec::new(), PRESSED);
        let head = Head { recording: FORMAT, protocol: PROTOCOL, program: PROGRAM.to_owned() };
        to.write_all(&written(&head)?)?;
        let whole = all_to(first, &mut to)?;
        Ok(Self { to, last: first.clone(), from: first.at, frames: 1, whole, changes: 0 })
    }

    /// The clock of the first frame.
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// The clock of the last frame.
    pub fn to(&self) -> Timestamp {
        self.last.at
    }

    /// Whether the changes are as long as a frame that is whole: who seeks reads both, and a large estate is to be shown at
    /// once; writing a whole frame down oftener would take more of a core than all changes.
    pub const fn is_long(&self) -> bool {
        /// An estate of a few rows changes wholly all the time.
        const LEAST: usize = 1 << 20;
        self.changes > self.whole && self.changes > LEAST
    }

    /// Adds a frame; one in which values only grew older is left out unless `ages` says otherwise. Whether it was added.
    pub fn add(&mut self, frame: &Arc<Snapshot>, ages: bool) -> io::Result<bool> {
        let (bytes, news) = change(Some(&self.last), frame)?;
        if !news && !ages {
            return Ok(false);
        }
        self.to.write_all(&bytes)?;
        self.changes += bytes.len();
        self.frames += 1;
        self.last = frame.clone();
        Ok(true)
    }

    /// Completes it.
    pub fn end(self) -> io::Result<Piece> {
        let (from, to, frames) = (self.from, self.last.at, self.frames);
        Ok(Piece { from, to, frames, bytes: self.to.finish()?, last: false })
    }
}

impl Piece {
    /// The body of the record that names it.
    pub fn body(&self, sha256: &Digest) -> Value {
        let what = format!("what the consoles showed from {} to {}", self.from, self.to);
        let mut body = evidence::captured(sha256, self.bytes.len(), &what, MEDIA);
        let told = json!({ "from": self.from, "to": self.to, "frames": self.frames, "last": self.last });
        if let (Some(body), Value::Object(told)) = (body.as_object_mut(), told) {
            body.extend(told);
        }
        body
    }
}

/// A piece that is read.
#[derive(Debug)]
pub struct Frames {
    /// All lines, uncompressed.
    lines: Vec<u8>,
    /// Where each frame ends, with its clock.
    ends: Vec<(usize, Timestamp)>,
    /// Where the first frame begins.
    first: usize,
    shown: Assembler,
    /// Number of frames that were put together so far.
    taken: usize,
    now: Option<Arc<Snapshot>>,
}

impl Frames {
    /// Reads a piece.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut lines = Vec::new();
        let read = GzDecoder::new(bytes).take(MOST).read_to_end(&mut lines);
        read.map_err(|e| format!("it can not be uncompressed: {e}"))?;
        if lines.len() as u64 >= MOST {
            return Err(format!("it is longer than {MOST} bytes"));
        }
        let mut at = 0;
        let mut next = || {
            let rest = lines.get(at..).unwrap_or_default();
            let line = rest.get(..memchr::memchr(b'\n', rest)?)?;
            at += line.len() + 1;
            Some((line, at))
        };
        let (head, first) = next().ok_or("it is empty")?;
        let head: Head = serde_json::from_slice(head).map_err(|e| format!("its first line is not understood: {e}"))?;
        if (head.recording, head.protocol) != (FORMAT, PROTOCOL) {
            let program = crate::domain::text::sanitize(&head.program);
            return Err(format!("it was made by version {program} of this program, which this one does not read"));
        }
        let mut ends = Vec::new();
        while let Some((line, end)) = next() {
            match serde_json::from_slice(line).map_err(|e| format!("a line is not understood: {e}"))? {
                Say::Part { .. } => {
                    next().ok_or("it breaks off")?;
                }
                Say::Seen { at, .. } => ends.push((end, at)),
                other => return Err(format!("it has a line that belongs into no recording: {other:?}")),
            }
        }
        if ends.is_empty() {
            return Err("it has no frame".to_owned());
        }
        Ok(Self { lines, ends, first, shown: Assembler::default(), taken: 0, now: None })
    }

    /// The newest frame that is not after a moment; the first where all are.
    pub fn at(&mut self, moment: Timestamp) -> Result<Arc<Snapshot>, String> {
        let wanted = self.ends.partition_point(|(_, at)| *at <= moment).max(1);
        if wanted < self.taken {
            (self.shown, self.taken, self.now) = (Assembler::default(), 0, None);
        }
        if let (true, Some(now)) = (wanted == self.taken, &self.now) {
            return Ok(now.clone());
        }
        let end = |n: usize| self.ends.get(n.wrapping_sub(1)).map_or(self.first, |(end, _)| *end);
        let lines = self.lines.get(end(self.taken)..end(wanted)).unwrap_or_default();
        let mut lines = lines.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        let mut seen = None;
        while let Some(line) = lines.next() {
            match serde_json::from_slice(line).map_err(|e| e.to_string())? {
                Say::Seen { generation, at } => seen = Some((generation, at)),
                Say::Part { part } => {
                    if let Err(why) = self.shown.take(part, lines.next().unwrap_or_default()) {
                        (self.taken, self.now) = (0, None);
                        return Err(why);
                    }
                }
                _ => {}
            }
        }
        self.taken = wanted;
        let (generation, at) = seen.ok_or("a frame has no end")?;
        let now = Arc::new(self.shown.seen(generation, at).ok_or("a frame is not whole")?);
        self.now = Some(now.clone());
        Ok(now)
    }
}
