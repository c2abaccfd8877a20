//! Reads a log from beginning to end in bounded memory.

use super::entry::{Entry, Whose, id};
use super::export::export;
use super::line::{self, head};
use crate::domain::logs::{Export, Fingerprint, LogLevel, LogLine, Tail};
use crate::domain::text::{conceal, sanitize};
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};

/// Longest line that is looked at, in bytes; the rest of it is dropped.
pub const LONGEST_LINE: usize = 16_384;
/// Kinds of errors that are told apart; more are counted together.
pub const KINDS: usize = 200;
/// Kinds that are listed.
pub const SHOWN: usize = 20;
/// Last lines that are kept.
pub const LAST: usize = 60;
/// Exports that are kept.
const EXPORTS: usize = 1000;
/// Longest line that is shown, in characters.
const SHOWN_LINE: usize = 500;

/// Reads one log.
#[derive(Debug, Default)]
pub struct Reader {
    /// The tenant's database; lines of Odoo that name another one are not the tenant's.
    database: Option<String>,
    /// Whether each line begins with the time at which it was written, as Kubernetes can be asked for.
    stamped: bool,
    /// Lines before this are not looked at.
    from: Option<Timestamp>,
    /// Whether there was such a line.
    older: bool,
    /// The beginning of a line whose end has not come.
    rest: Vec<u8>,
    /// Whether the end of that line is dropped.
    overlong: bool,
    open: Option<Entry>,
    kinds: BTreeMap<String, Fingerprint>,
    /// Errors of kinds beyond those that are kept.
    beyond: u64,
    last: VecDeque<LogLine>,
    exports: VecDeque<Export>,
    tail: Tail,
}

impl Reader {
    /// Of a tenant with this database, if it has one.
    pub fn new(database: Option<&str>) -> Self {
        Self { database: database.map(str::to_owned), ..Self::default() }
    }

    /// The same for a log in which each line begins with its time.
    #[must_use]
    pub fn stamped(self) -> Self {
        Self { stamped: true, ..self }
    }

    /// The same without what is older than a moment. A line without a time belongs to the one before it.
    #[must_use]
    pub fn since(self, from: Timestamp) -> Self {
        Self { from: Some(from), ..self }
    }

    /// Takes in the next bytes, which may end anywhere.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.tail.bytes += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        let mut parts = bytes.split(|b| *b == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = LONGEST_LINE.saturating_sub(self.rest.len());
            self.rest.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
            self.overlong |= part.len() > room;
            if parts.peek().is_some() {
                self.end_of_line();
            }
        }
    }

    /// Takes in one message with its time; it may have several lines.
    pub fn message(&mut self, at: Option<Timestamp>, text: &str) {
        self.tail.bytes += u64::try_from(text.len()).unwrap_or(u64::MAX);
        for part in text.lines() {
            let cut = part.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= LONGEST_LINE).last();
            let kept = part.get(..cut.unwrap_or(0)).unwrap_or_default();
            self.line(at, kept, kept.len() < part.len());
        }
    }

    /// Whether a line was older than what is looked at: a log whose end is read has then been read as far back as asked.
    pub const fn reaches_back(&self) -> bool {
        self.older
    }

    /// Says that something was left out, and why.
    pub fn cut(&mut self, why: impl Into<String>) {
        self.tail.cut = Some(why.into());
    }

    fn end_of_line(&mut self) {
        let bytes = std::mem::take(&mut self.rest);
        let overlong = std::mem::take(&mut self.overlong);
        let text = String::from_utf8_lossy(&bytes);
        let text = text.strip_suffix('\r').unwrap_or(&text);
        let (at, text) = if self.stamped { line::stamped(text) } else { (None, text) };
        self.line(at, text, overlong);
    }

    fn line(&mut self, at: Option<Timestamp>, text: &str, overlong: bool) {
        let clean = plain(text);
        // Parts of a line are compared with what they were, so it is made safe before it is read.
        let safe =
            if clean.starts_with('\t') { format!("    {}", sanitize(clean.trim_start())) } else { sanitize(&clean) };
        let mut shown = concealed(&safe);
        if overlong {
            shown.push('…');
        }
        let found = head(&safe);
        let headless = found.as_ref().is_none_or(|line| line.at.is_none());
        if let Some(open) = &mut self.open
            && headless
            && (open.is_in_traceback() || (found.is_none() && open.goes_on(&safe)))
        {
            let whose = open.whose;
            self.tail.lines += u64::from(whose != Whose::Older);
            match whose {
                Whose::Older => {}
                Whose::Others => self.tail.of_others += 1,
                Whose::Own => {
                    open.push(shown.clone());
                    let (at, level) = (open.at, open.level);
                    self.show(at, level, shown);
                }
            }
            return;
        }
        self.settle();
        if found.is_none() && safe.trim().is_empty() {
            return;
        }
        let (own, level, database, says) = match &found {
            Some(line) => (line.at, line.level, line.database, line.says.as_ref()),
            None => (None, unheaded(&safe), None, safe.as_str()),
        };
        // What wrote the line down knows its time better than the line, which says no zone.
        let at = at.or(own);
        let mut entry = Entry::new(at, level, &concealed(says), shown.clone());
        entry.whose = match (database, &self.database) {
            _ if self.from.is_some_and(|from| at.is_some_and(|at| at < from)) => Whose::Older,
            (Some(named), Some(own)) if named != own => Whose::Others,
            _ => Whose::Own,
        };
        if entry.whose != Whose::Older {
            self.tail.lines += 1;
            self.tail.oldest = self.tail.oldest.into_iter().chain(at).min();
            self.tail.newest = self.tail.newest.into_iter().chain(at).max();
        }
        match entry.whose {
            Whose::Older => self.older = true,
            Whose::Others => self.tail.of_others += 1,
            Whose::Own => {
                self.exports.extend(at.and_then(|at| export(at, says)));
                if self.exports.len() > EXPORTS {
                    self.exports.pop_front();
                }
                self.show(at, level, shown);
            }
        }
        self.open = Some(entry);
    }

    fn show(&mut self, at: Option<Timestamp>, level: LogLevel, text: String) {
        let text = if text.chars().count() > SHOWN_LINE {
            text.chars().take(SHOWN_LINE).chain(['…']).collect()
        } else {
            text
        };
        self.last.push_back(LogLine { at, level, text });
        if self.last.len() > LAST {
            self.last.pop_front();
        }
    }

    /// Counts the entry that is complete.
    fn settle(&mut self) {
        let Some(entry) = self.open.take().filter(|e| e.whose == Whose::Own) else { return };
        match entry.level {
            LogLevel::Info => return,
            LogLevel::Warning => {
                self.tail.warnings += 1;
                return;
            }
            LogLevel::Error | LogLevel::Critical => self.tail.errors += 1,
        }
        let shape = entry.shape();
        let id = id(&shape);
        let (at, level) = (entry.at, entry.level);
        if !self.kinds.contains_key(&id) && self.kinds.len() >= KINDS {
            self.beyond += 1;
            return;
        }
        let kind = self.kinds.entry(id.clone()).or_insert_with(|| Fingerprint {
            id,
            level,
            shape,
            count: 0,
            first: at,
            last: at,
            example: Vec::new(),
        });
        kind.count += 1;
        kind.level = kind.level.max(level);
        kind.first = kind.first.into_iter().chain(at).min();
        let newest = at.is_none() || at >= kind.last;
        kind.last = kind.last.into_iter().chain(at).max();
        if newest {
            kind.example = entry.lines();
        }
    }

    /// What the log says.
    pub fn finish(mut self) -> Tail {
        if !self.rest.is_empty() {
            self.end_of_line();
        }
        self.settle();
        let mut kinds: Vec<Fingerprint> = self.kinds.into_values().collect();
        kinds.sort_by(|a, b| b.count.cmp(&a.count).then(b.last.cmp(&a.last)).then(a.id.cmp(&b.id)));
        self.tail.more_kinds = u64::try_from(kinds.len().saturating_sub(SHOWN)).unwrap_or(u64::MAX);
        if self.beyond > 0 {
            // How many kinds they are is not known; at least one.
            self.tail.more_kinds += 1;
        }
        kinds.truncate(SHOWN);
        self.tail.fingerprints = kinds;
        self.tail.last = self.last.into();
        self.tail.exports = self.exports.into();
        self.tail
    }
}

/// The level of a line that has no head and goes on with nothing.
fn unheaded(line: &str) -> LogLevel {
    if line.starts_with("Traceback (most recent call last)") { LogLevel::Error } else { LogLevel::Info }
}

/// A line without the sequences by which it would colour a terminal, or do worse to it.
fn plain(text: &str) -> String {
    if !text.contains(['\u{1b}', '\u{9b}']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let control = match c {
            '\u{1b}' => match chars.peek() {
                Some('[') => {
                    chars.next();
                    true
                }
                Some(']' | 'P' | '_' | '^' | 'X') => {
                    // Ends with BEL or ST; a line that never ends it is dropped from here on.
                    while let Some(c) = chars.next() {
                        if c == '\u{7}' || c == '\u{9c}' {
                            break;
                        }
                        if c == '\u{1b}' {
                            chars.next_if_eq(&'\\');
                            break;
                        }
                    }
                    continue;
                }
                _ => {
                    chars.next();
                    continue;
                }
            },
            '\u{9b}' => true,
            _ => false,
        };
        if control {
            // Parameters and intermediates, then one final byte.
            while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
            chars.next_if(|c| matches!(c, '@'..='~'));
        } else {
            out.push(c);
        }
    }
    out
}

/// Names after which a value is a secret.
const SECRETS: [&str; 8] = ["password", "passwd", "pwd", "secret", "token", "api_key", "apikey", "session_id"];

/// A line without what looks like a credential.
fn concealed(text: &str) -> String {
    let text = conceal(text);
    let lower = text.to_ascii_lowercase();
    if !SECRETS.iter().any(|name| lower.contains(name)) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(rest) = lower.get(at..) {
        let next = SECRETS.iter().filter_map(|name| rest.find(name).map(|i| (i, name.len()))).min();
        let Some((found, length)) = next else { break };
        let end = at + found + length;
        out.push_str(text.get(at..end).unwrap_or_default());
        at = end;
        let after = text.get(end..).unwrap_or_default();
        // `password=x`, `'password': 'x'`, `"token":"x"`; a name of its own goes on, such as `token_type`.
        let joint: usize =
            after.chars().take_while(|c| matches!(c, '=' | ':' | ' ' | '"' | '\'')).map(char::len_utf8).sum();
        let joined = after.get(..joint).unwrap_or_default();
        if !joined.contains(['=', ':']) {
            continue;
        }
        let value = after.get(joint..).unwrap_or_default();
        let length = value.find([' ', '"', '\'', ',', '&', ';', ')', '}']).unwrap_or(value.len());
        out.push_str(joined);
        if length > 0 {
            out.push_str("***");
        }
        at = end + joint + length;
    }
    out.push_str(text.get(at..).unwrap_or_default());
    out
}
