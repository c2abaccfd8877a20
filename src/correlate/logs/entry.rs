//! What belongs together: a line and those that go on with it, which for Python is a traceback. Its fingerprint is the
//! exception and the innermost frame of own code, else the shape of what it says.

use super::shape::shape;
use crate::domain::logs::LogLevel;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

/// Lines of one entry that are kept from its beginning, …
const FIRST: usize = 4;
/// … and from its end, where a traceback names what went wrong.
const ENDING: usize = 20;

/// Whose an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// The tenant's, or nobody's.
    Own,
    /// It names another tenant's database.
    Others,
    /// It is older than what was asked for.
    Older,
}

/// One entry as it grows.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Its time.
    pub at: Option<Timestamp>,
    /// How bad it is.
    pub level: LogLevel,
    /// Whose it is.
    pub whose: Whose,
    /// What its head says.
    says: String,
    first: Vec<String>,
    ending: std::collections::VecDeque<String>,
    dropped: u64,
    trace: Trace,
}

/// What a traceback has said so far.
#[derive(Clone, Debug, Default)]
struct Trace {
    /// Whether one has begun.
    begun: bool,
    /// Whether the lines of its frames go on.
    open: bool,
    /// The innermost frame of own code, of the last traceback of a chain.
    own: Option<String>,
    /// The innermost frame of all.
    any: Option<String>,
    /// The type of the exception.
    raised: Option<String>,
}

impl Entry {
    pub(super) fn new(at: Option<Timestamp>, level: LogLevel, says: &str, line: String) -> Self {
        let mut entry = Self {
            at,
            level,
            whose: Whose::Own,
            says: says.to_owned(),
            first: Vec::new(),
            ending: std::collections::VecDeque::new(),
            dropped: 0,
            trace: Trace::default(),
        };
        entry.trace.take(&line);
        entry.keep(line);
        entry
    }

    /// Whether a line without a head of its own goes on with this one.
    pub(super) fn goes_on(&self, line: &str) -> bool {
        line.starts_with(char::is_whitespace)
            || line.is_empty()
            || self.trace.open
            || line.starts_with("Traceback (most recent call last)")
            || (self.trace.begun && is_chained(line))
    }

    /// Whether the next line without a time has to be its own, whatever it looks like.
    pub(super) const fn is_in_traceback(&self) -> bool {
        self.trace.open
    }

    /// Takes in a line that goes on with it.
    pub(super) fn push(&mut self, line: String) {
        self.trace.take(&line);
        if self.trace.begun && self.level < LogLevel::Error {
            self.level = LogLevel::Error;
        }
        self.keep(line);
    }

    fn keep(&mut self, line: String) {
        if self.first.len() < FIRST {
            return self.first.push(line);
        }
        self.ending.push_back(line);
        if self.ending.len() > ENDING {
            self.ending.pop_front();
            self.dropped += 1;
        }
    }

    /// What this has in common with others of its kind.
    pub(super) fn shape(&self) -> String {
        let Some(raised) = &self.trace.raised else { return shape(&self.says) };
        match self.trace.own.as_ref().or(self.trace.any.as_ref()) {
            Some(frame) => format!("{raised} in {frame}"),
            None => shape(&format!("{raised} {}", self.says)),
        }
    }

    /// Its lines; what was left out of a long one is said.
    pub(super) fn lines(self) -> Vec<String> {
        let mut lines = self.first;
        if self.dropped > 0 {
            lines.push(format!("… {} lines left out …", self.dropped));
        }
        lines.extend(self.ending);
        lines
    }
}

/// The name of a shape: eight hexadecimal digits.
pub(super) fn id(shape: &str) -> String {
    let digest = Sha256::digest(shape.as_bytes());
    let four = digest.iter().take(4).fold(0_u32, |all, byte| all << 8 | u32::from(*byte));
    format!("{four:08x}")
}

fn is_chained(line: &str) -> bool {
    line.starts_with("During handling of the above exception")
        || line.starts_with("The above exception was the direct cause")
}

impl Trace {
    fn take(&mut self, line: &str) {
        if line.contains("Traceback (most recent call last)") {
            // Of a chain the last one counts: it is what came out.
            *self = Self { begun: true, open: true, ..Self::default() };
            return;
        }
        if !self.open {
            return;
        }
        if let Some(frame) = frame(line) {
            if is_own(frame.0) {
                self.own = Some(format!("{} {}", short(frame.0), frame.1));
            }
            self.any = Some(format!("{} {}", short(frame.0), frame.1));
        } else if !line.starts_with(char::is_whitespace) && !line.is_empty() {
            self.open = false;
            self.raised = Some(raised(line));
        }
    }
}

/// `  File "/mnt/addons/sale_x/models/order.py", line 12, in action_confirm`: path and function.
fn frame(line: &str) -> Option<(&str, &str)> {
    let rest = line.trim_start().strip_prefix("File \"")?;
    let (path, rest) = rest.split_once("\", line ")?;
    Some((path, rest.split_once(", in ").map_or("<module>", |(_, function)| function.trim())))
}

/// Whether a file is neither of Python nor of what is installed beside it. Modules of Odoo count as own: which of them
/// failed is what a person wants to know.
fn is_own(path: &str) -> bool {
    let library = ["/site-packages/", "/dist-packages/", "/lib/python", "<frozen", "<string>"];
    path.contains("/addons/") || !library.iter().any(|l| path.contains(l))
}

/// The last three parts of a path.
fn short(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    parts.get(parts.len().saturating_sub(3)..).unwrap_or_default().join("/")
}

/// The type of an exception from its line: `psycopg2.errors.LockNotAvailable: could not …`.
fn raised(line: &str) -> String {
    let name = line.split(": ").next().unwrap_or(line).trim_end_matches(':').trim();
    let is_name =
        !name.is_empty() && name.len() <= 120 && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
    if is_name { name.to_owned() } else { shape(line) }
}
