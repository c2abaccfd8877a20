//! The one form in which a record may be written: RFC 8785 (JCS), narrowed to what every JSON reader reads
//! alike. Keys are printable ASCII, numbers are integers within ±(2^53 − 1), no key comes twice, nesting is
//! bounded. [`check`] is a single pass over the bytes and is what verification runs on every record.

pub use crate::domain::canonical::MAX_INTEGER;
use crate::domain::canonical::write_ordered;
use crate::domain::text::is_hostile;
use serde::Serialize;
use serde_json::Value;
use std::fmt;

/// Greatest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 48;

/// Why bytes or a value are not in the form, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why} at byte {at}")]
pub struct NotCanonical {
    /// Offset of the byte at which it was seen.
    pub at: usize,
    /// What was seen.
    pub why: &'static str,
}

/// Why a value can not be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unwritable {
    /// A number is not a whole one.
    #[error("`{path}` is the fraction {number}; write it as a string")]
    Fraction {
        /// Where in the value.
        path: String,
        /// What stands there.
        number: String,
    },
    /// An integer would be rounded by other readers.
    #[error("`{path}` is {number}, beyond what JSON keeps exact (2^53 - 1); write it as a string")]
    TooGreat {
        /// Where in the value.
        path: String,
        /// What stands there.
        number: String,
    },
    /// A key has a character other than printable ASCII, or a quote or backslash.
    #[error("the key `{key}` in `{path}` has a character that is not plain ASCII")]
    Key {
        /// Where in the value.
        path: String,
        /// The key, made safe to show.
        key: String,
    },
    /// Objects and arrays are nested too deeply.
    #[error("`{path}` is nested deeper than {MAX_DEPTH} levels")]
    TooDeep {
        /// Where in the value.
        path: String,
    },
    /// The serializer refused.
    #[error("it can not be written as JSON: {why}")]
    Serializer {
        /// What it said.
        why: String,
    },
}

/// Canonical bytes of anything that serializes.
pub fn to_bytes(value: &impl Serialize) -> Result<Vec<u8>, Unwritable> {
    serde_json_canonicalizer::to_vec(value).map_err(|e| Unwritable::Serializer { why: e.to_string() })
}

/// Canonical bytes of something whose parts [`admit`] has let through and whose own members are declared in the order of
/// their names, appended to `out`.
pub(super) fn write_admitted(value: &impl Serialize, out: &mut Vec<u8>) -> Result<(), Unwritable> {
    write_ordered(value, out).map_err(|e| Unwritable::Serializer { why: e.to_string() })
}

/// Makes a string safe to keep: DEL, C1, bidirectional and invisible controls, which JCS would write as they
/// are, become `·`. C0 controls stay; JCS escapes them.
pub fn disarm(text: &mut String) {
    if text.bytes().all(|b| b < 0x7f) {
        return;
    }
    let is_raw_control = |c: char| c >= '\u{7f}' && is_hostile(c);
    if text.chars().any(is_raw_control) {
        *text = text.chars().map(|c| if is_raw_control(c) { '·' } else { c }).collect();
    }
}

/// Makes a value writable in the form: disarms its strings, puts members in order where they are kept in another, and
/// says what can not be written at all.
pub fn admit(value: &mut Value) -> Result<(), Unwritable> {
    admit_at(value, &mut Path(vec![]))
}

/// Turns anything that serializes into a value of the form: fractions and integers beyond 2^53 − 1 become
/// strings in their shortest exact decimal form.
pub fn to_value(value: &impl Serialize) -> Result<Value, Unwritable> {
    let mut value = serde_json::to_value(value).map_err(|e| Unwritable::Serializer { why: e.to_string() })?;
    numbers_to_text(&mut value);
    Ok(value)
}

fn numbers_to_text(value: &mut Value) {
    match value {
        Value::Number(n) if exact_integer(n).is_none() => *value = Value::String(n.to_string()),
        Value::Array(items) => items.iter_mut().for_each(numbers_to_text),
        Value::Object(members) => members.values_mut().for_each(numbers_to_text),
        _ => {}
    }
}

/// The integer, when every reader keeps it exact.
fn exact_integer(number: &serde_json::Number) -> Option<i64> {
    number.as_i64().filter(|n| n.unsigned_abs() <= MAX_INTEGER)
}

/// Where in a value one is, as `body.steps.2`.
struct Path(Vec<String>);

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { f.write_str("the body") } else { f.write_str(&self.0.join(".")) }
    }
}

fn admit_at(value: &mut Value, path: &mut Path) -> Result<(), Unwritable> {
    if path.0.len() > MAX_DEPTH {
        return Err(Unwritable::TooDeep { path: path.to_string() });
    }
    match value {
        Value::Null | Value::Bool(_) => Ok(()),
        Value::Number(n) if exact_integer(n).is_some() => Ok(()),
        Value::Number(n) if n.is_f64() => Err(Unwritable::Fraction { path: path.to_string(), number: n.to_string() }),
        Value::Number(n) => Err(Unwritable::TooGreat { path: path.to_string(), number: n.to_string() }),
        Value::String(text) => {
            disarm(text);
            Ok(())
        }
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                path.0.push(i.to_string());
                admit_at(item, path)?;
                path.0.pop();
            }
            Ok(())
        }
        Value::Object(members) => {
            members.sort_keys();
            for (key, member) in members.iter_mut() {
                if !key.bytes().all(is_key_byte) {
                    let key = crate::domain::text::sanitize(key);
                    return Err(Unwritable::Key { path: path.to_string(), key });
                }
                path.0.push(key.clone());
                admit_at(member, path)?;
                path.0.pop();
            }
            Ok(())
        }
    }
}

const fn is_key_byte(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) && byte != b'"' && byte != b'\\'
}

/// Whether `bytes` are one object in the form, that is `bytes == JCS(parse(bytes))`. `member` is called for each
/// member of the outermost object with its key and the bytes of its value.
pub fn check<'a>(bytes: &'a [u8], mut member: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), NotCanonical> {
    if let Err(e) = std::str::from_utf8(bytes) {
        return Err(NotCanonical { at: e.valid_up_to(), why: "bytes that are no UTF-8" });
    }
    let mut scan = Scan { bytes, at: 0, depth: 0 };
    scan.object(&mut member)?;
    if scan.at < bytes.len() { Err(scan.fault("something after the object")) } else { Ok(()) }
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    const fn fault(&self, why: &'static str) -> NotCanonical {
        NotCanonical { at: self.at, why }
    }

    fn slice(&self, from: usize) -> &'a [u8] {
        self.bytes.get(from..self.at).unwrap_or_default()
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), NotCanonical> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.fault(why))
        }
    }

    fn enter(&mut self) -> Result<(), NotCanonical> {
        self.at += 1;
        self.depth += 1;
        // One more than a body may have: the record itself is an object around it.
        if self.depth > MAX_DEPTH + 2 { Err(self.fault("nesting that is too deep")) } else { Ok(()) }
    }

    /// Steps over a closing bracket, when it is there.
    fn leave(&mut self, close: u8) -> bool {
        let closes = self.peek() == Some(close);
        if closes {
            self.at += 1;
            self.depth -= 1;
        }
        closes
    }

    fn value(&mut self) -> Result<(), NotCanonical> {
        match self.peek() {
            Some(b'{') => self.object(&mut |_, _| {}),
            Some(b'[') => self.array(),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.integer(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => Err(self.fault("no JSON value")),
        }
    }

    fn object(&mut self, member: &mut dyn FnMut(&'a [u8], &'a [u8])) -> Result<(), NotCanonical> {
        if self.peek() != Some(b'{') {
            return Err(self.fault("no JSON object"));
        }
        self.enter()?;
        if self.leave(b'}') {
            return Ok(());
        }
        let mut previous: Option<&[u8]> = None;
        loop {
            let key = self.key()?;
            if let Some(previous) = previous {
                if previous == key {
                    return Err(self.fault("a key that comes twice"));
                }
                if previous > key {
                    return Err(self.fault("keys out of order"));
                }
            }
            previous = Some(key);
            self.expect(b':', "no `:` after a key")?;
            let from = self.at;
            self.value()?;
            member(key, self.slice(from));
            if self.leave(b'}') {
                return Ok(());
            }
            self.expect(b',', "neither `,` nor `}` after a member")?;
        }
    }

    fn array(&mut self) -> Result<(), NotCanonical> {
        self.enter()?;
        if self.leave(b']') {
            return Ok(());
        }
        loop {
            self.value()?;
            if self.leave(b']') {
                return Ok(());
            }
            self.expect(b',', "neither `,` nor `]` after an item")?;
        }
    }

    fn key(&mut self) -> Result<&'a [u8], NotCanonical> {
        self.expect(b'"', "no key")?;
        let from = self.at;
        while self.peek().is_some_and(is_key_byte) {
            self.at += 1;
        }
        let key = self.slice(from);
        self.expect(b'"', "a key that is not plain ASCII")?;
        Ok(key)
    }

    fn string(&mut self) -> Result<(), NotCanonical> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                Some(0x20..) => self.at += plain_length(self.bytes.get(self.at..).unwrap_or_default()).max(1),
                Some(_) => return Err(self.fault("a control character that is not escaped")),
                None => return Err(self.fault("a string without end")),
            }
        }
    }

    /// RFC 8785 section 3.2.2.2: two-character escapes where there are any, else `\u00xx` in lower case, and
    /// only for C0 controls, the quote and the backslash.
    fn escape(&mut self) -> Result<(), NotCanonical> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                let digits = self.bytes.get(self.at + 1..self.at + 5).unwrap_or_default();
                let is_c0_without_short_form = match digits {
                    [b'0', b'0', b'0', low] => matches!(low, b'0'..=b'7' | b'b' | b'e' | b'f'),
                    [b'0', b'0', b'1', low] => matches!(low, b'0'..=b'9' | b'a'..=b'f'),
                    _ => false,
                };
                if !is_c0_without_short_form {
                    return Err(self.fault("an escape that is not the canonical one"));
                }
                self.at += 5;
                Ok(())
            }
            _ => Err(self.fault("an escape that is not the canonical one")),
        }
    }

    fn integer(&mut self) -> Result<(), NotCanonical> {
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        let from = self.at;
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek() {
            number = number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
            self.at += 1;
        }
        let digits = self.slice(from);
        if digits.is_empty() {
            return Err(self.fault("a sign without a number"));
        }
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) {
            return Err(self.fault("a number that is not whole"));
        }
        if digits.first() == Some(&b'0') && (digits.len() > 1 || negative) {
            return Err(self.fault("a number that is not in its shortest form"));
        }
        if number > MAX_INTEGER { Err(self.fault("an integer beyond 2^53 - 1")) } else { Ok(()) }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), NotCanonical> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            Ok(())
        } else {
            Err(self.fault("no JSON value"))
        }
    }
}

/// How many of the next bytes are neither a quote, a backslash nor a control character, in whole groups of eight: most
/// of a record is such text, and this is what verification spends its time on. Whether a word has a byte of zero, or
/// one below a limit, is told by the borrow of a subtraction ("Bit Twiddling Hacks", Anderson).
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    let (groups, _) = bytes.as_chunks::<8>();
    let is_plain = |group: &&[u8; 8]| {
        let word = u64::from_le_bytes(**group);
        let control = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        control | zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) == 0
    };
    groups.iter().take_while(is_plain).count() * 8
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;
