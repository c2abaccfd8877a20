//! Reads one TOML table field by field. Every error is noted with its place and reading goes on, so that a
//! person sees all of them at once; what was not asked for is an unknown key.

use super::model::SecretRef;
use super::problem::{Problem, Problems};
use super::secret::places::{ALLOWED, Places, Unreferred};
use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The file being read, and what was found wrong so far.
#[derive(Debug)]
pub struct Source<'a> {
    file: &'a str,
    text: &'a str,
    problems: RefCell<Vec<Problem>>,
    asked: Option<RefCell<Vec<Asked>>>,
    places: RefCell<Places>,
    secrets: RefCell<Vec<(String, SecretRef)>>,
}

/// What the decoder asked for under a key; from these the schema of the file is made.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Path of the table, keys joined by dots; empty for the file itself.
    pub table: String,
    /// The key.
    pub key: String,
    /// What it is asked to be, or that it must be there.
    pub form: Form,
}

/// What a value is asked to be.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// Any text but an empty one.
    Text,
    /// Something that must be there; an example, where one is known.
    Needed(Option<String>),
    /// A text with a grammar.
    Parsed {
        /// What is allowed, in words.
        allowed: String,
        /// The words that are taken, where these are all.
        words: Vec<String>,
    },
    /// True or false.
    Boolean,
    /// A whole number within bounds.
    Integer(i64, i64),
    /// A number.
    Number,
    /// An array of texts.
    Texts,
    /// A table.
    Table,
    /// An array of tables.
    Tables,
}

/// Reads a file's text as TOML.
///
/// # Errors
/// Each error of its syntax, with its place.
pub fn parse<'t>(file: &str, text: &'t str) -> Result<Spanned<DeTable<'t>>, Problems> {
    let (root, syntax) = DeTable::parse_recoverable(text);
    let problem = |e: &toml::de::Error| match e.span() {
        Some(span) => Problem::at(file, text, &span, e.message().trim().to_owned()),
        None => Problem::whole(file, e.message().to_owned()),
    };
    if syntax.is_empty() { Ok(root) } else { Err(Problems(syntax.iter().map(problem).collect())) }
}

impl<'a> Source<'a> {
    /// Starts on a file's text.
    pub fn new(file: &'a str, text: &'a str) -> Self {
        let (places, secrets) = (RefCell::default(), RefCell::default());
        Self { file, text, problems: RefCell::new(Vec::new()), asked: None, places, secrets }
    }

    /// Every reference to a secret that was read, with where it stands.
    pub fn secrets(&self) -> Vec<(String, SecretRef)> {
        self.secrets.borrow().clone()
    }

    /// The same, and keeps what is asked for.
    pub fn recording(file: &'a str, text: &'a str) -> Self {
        Self { asked: Some(RefCell::new(Vec::new())), ..Self::new(file, text) }
    }

    /// What was asked for, in the order of asking.
    pub fn into_asked(self) -> Vec<Asked> {
        self.asked.map(RefCell::into_inner).unwrap_or_default()
    }

    /// Notes an error at a place.
    pub fn note(&self, span: &Range<usize>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::at(self.file, self.text, span, message));
    }

    /// Everything noted, in the order of the file.
    pub fn into_problems(self) -> Vec<Problem> {
        let mut problems = self.problems.into_inner();
        problems.sort();
        problems.dedup();
        problems
    }
}

/// One table.
#[derive(Debug)]
pub struct Table<'s, 't> {
    source: &'s Source<'s>,
    fields: &'t DeTable<'t>,
    span: Range<usize>,
    name: String,
    path: String,
    asked: Vec<&'static str>,
}

type Value<'t> = &'t Spanned<DeValue<'t>>;

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

impl<'s, 't> Table<'s, 't> {
    /// The root table of a file.
    pub fn root(source: &'s Source<'s>, root: &'t Spanned<DeTable<'t>>) -> Self {
        let (name, path) = ("the file".to_owned(), String::new());
        Self { source, fields: root.get_ref(), span: root.span(), name, path, asked: Vec::new() }
    }

    fn of(source: &'s Source<'s>, value: Value<'t>, name: String, path: String) -> Option<Self> {
        let span = value.span();
        if let DeValue::Table(fields) = value.get_ref() {
            return Some(Self { source, fields, span, name, path, asked: Vec::new() });
        }
        source.note(&span, format!("{name} is {}; a table is expected", kind(value.get_ref())));
        None
    }

    fn raw(&mut self, key: &'static str, form: impl FnOnce() -> Form) -> Option<Value<'t>> {
        self.asked.push(key);
        self.record(key, form);
        self.fields.get(key)
    }

    fn record(&self, key: &str, form: impl FnOnce() -> Form) {
        if let Some(asked) = &self.source.asked {
            asked.borrow_mut().push(Asked { table: self.path.clone(), key: key.to_owned(), form: form() });
        }
    }

    fn below(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Notes an error about a key, at its value when it is there, else at the table: it must be there then.
    pub fn reject(&self, key: &str, message: impl Into<String>) {
        if !self.has(key) {
            self.record(key, || Form::Needed(None));
        }
        let span = self.fields.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.source.note(&span, message);
    }

    /// Notes an error about the table as a whole.
    pub fn note(&self, message: impl Into<String>) {
        self.source.note(&self.span, message);
    }

    /// From here on references to secrets may lead there.
    pub(super) fn allow(&self, change: impl FnOnce(&mut Places)) {
        change(&mut self.source.places.borrow_mut());
    }

    /// A reference to a secret. What is no reference is not repeated: it may be a password that was written here by mistake.
    pub(super) fn secret(&mut self, key: &'static str) -> Option<SecretRef> {
        let text = self.string(key)?;
        let found = self.referred(key, &text);
        if found.is_none() && self.source.places.borrow().refer(&text) == Err(Unreferred::Form) {
            let message = format!("`{key}` is not a reference: {ALLOWED}; a password itself never stands in this file");
            self.reject(key, message);
        }
        found
    }

    /// The same of a text that may be something else.
    pub(super) fn referred(&self, key: &'static str, text: &str) -> Option<SecretRef> {
        let referred = self.source.places.borrow().refer(text);
        match referred {
            Ok(reference) => {
                let place = format!("{key} of {}", self.name);
                self.source.secrets.borrow_mut().push((place, reference.clone()));
                Some(reference)
            }
            Err(Unreferred::Form) => None,
            Err(Unreferred::Unknown(why)) => {
                self.reject(key, format!("`{key}` {why}"));
                None
            }
        }
    }

    /// Whether a key is there.
    pub fn has(&self, key: &str) -> bool {
        self.fields.contains_key(key)
    }

    fn wrong(&self, key: &str, value: Value<'_>, expected: &str) {
        let found = kind(value.get_ref());
        self.source.note(&value.span(), format!("`{key}` of {} is {found}; {expected} is expected", self.name));
    }

    /// An optional string.
    pub fn string(&mut self, key: &'static str) -> Option<String> {
        self.text(key, || Form::Text)
    }

    fn text(&mut self, key: &'static str, form: impl FnOnce() -> Form) -> Option<String> {
        let value = self.raw(key, form)?;
        let DeValue::String(text) = value.get_ref() else {
            self.wrong(key, value, "a string");
            return None;
        };
        if text.trim().is_empty() {
            self.source.note(&value.span(), format!("`{key}` of {} is empty; leave it out or give a value", self.name));
            return None;
        }
        Some(text.to_string())
    }

    /// A string that must be there; when it is not, that is noted and the result is empty.
    pub fn required(&mut self, key: &'static str, example: &str) -> String {
        self.record(key, || Form::Needed(Some(example.to_owned())));
        if !self.has(key) {
            self.asked.push(key);
            self.record(key, || Form::Text);
            self.source.note(&self.span, format!("{} lacks `{key}`; for example `{key} = \"{example}\"`", self.name));
            return String::new();
        }
        self.string(key).unwrap_or_default()
    }

    /// An optional string that `parse` turns into a value; `allowed` says what it takes.
    pub fn parsed<T>(&mut self, key: &'static str, allowed: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
        let form = || {
            // Where each of the words is taken, these are all that there are.
            let words: Vec<String> = allowed.split(", ").flat_map(|w| w.split(" or ")).map(str::to_owned).collect();
            let all = words.iter().all(|w| parse(w).is_some());
            Form::Parsed { allowed: allowed.to_owned(), words: if all { words } else { Vec::new() } }
        };
        let text = self.text(key, form)?;
        let value = parse(&text);
        if value.is_none() {
            self.reject(key, format!("`{key}` of {} is `{text}`; allowed is {allowed}", self.name));
        }
        value
    }

    /// An optional boolean.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let value = self.raw(key, || Form::Boolean)?;
        let DeValue::Boolean(b) = value.get_ref() else {
            self.wrong(key, value, "true or false");
            return None;
        };
        Some(*b)
    }

    /// An optional integer within bounds.
    pub fn integer(&mut self, key: &'static str, least: i64, most: i64) -> Option<i64> {
        let value = self.raw(key, || Form::Integer(least, most))?;
        let DeValue::Integer(integer) = value.get_ref() else {
            self.wrong(key, value, "an integer");
            return None;
        };
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| (least..=most).contains(n));
        if number.is_none() {
            let found = integer.as_str();
            self.reject(key, format!("`{key}` of {} is {found}; allowed is {least} to {most}", self.name));
        }
        number
    }

    /// An optional number.
    pub fn number(&mut self, key: &'static str) -> Option<f64> {
        let value = self.raw(key, || Form::Number)?;
        let text = match value.get_ref() {
            DeValue::Integer(i) => i.as_str(),
            DeValue::Float(f) => f.as_str(),
            _ => {
                self.wrong(key, value, "a number");
                return None;
            }
        };
        let number = text.parse::<f64>().ok().filter(|n| n.is_finite());
        if number.is_none() {
            self.reject(key, format!("`{key}` of {} is {text}; a finite decimal number is expected", self.name));
        }
        number
    }

    /// An optional duration between bounds, such as `"500ms"` or `"2s"`.
    pub fn duration(&mut self, key: &'static str, least: Duration, most: Duration) -> Option<Duration> {
        let allowed = format!("a duration such as \"500ms\" or \"2s\", from {least:?} to {most:?}");
        self.parsed(key, &allowed, |text| {
            let span = text.parse::<jiff::SignedDuration>().ok()?;
            Duration::try_from(span).ok().filter(|d| (least..=most).contains(d))
        })
    }

    /// An optional array of strings; empty when absent.
    pub fn strings(&mut self, key: &'static str) -> Vec<String> {
        let Some(value) = self.raw(key, || Form::Texts) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong(key, value, "an array of strings");
            return Vec::new();
        };
        let mut all = Vec::new();
        for item in array {
            match item.get_ref() {
                DeValue::String(text) => all.push(text.to_string()),
                _ => self.wrong(key, item, "a string in this array"),
            }
        }
        all
    }

    /// An array of strings that each pass `check`, which says why not; what does not pass is noted at its own place.
    pub fn checked_strings(&mut self, key: &'static str, check: impl Fn(&str) -> Result<(), String>) -> Vec<String> {
        let texts = self.strings(key);
        if let Some(DeValue::Array(array)) = self.fields.get(key).map(Spanned::get_ref) {
            for item in array {
                if let Some(Err(why)) = item.get_ref().as_str().map(&check) {
                    self.source.note(&item.span(), why);
                }
            }
        }
        texts
    }

    /// An optional table.
    pub fn table(&mut self, key: &'static str) -> Option<Table<'s, 't>> {
        let value = self.raw(key, || Form::Table)?;
        Table::of(self.source, value, format!("[{key}]"), self.below(key))
    }

    /// An optional array of tables; empty when absent.
    pub fn tables(&mut self, key: &'static str) -> Vec<Table<'s, 't>> {
        let Some(value) = self.raw(key, || Form::Tables) else { return Vec::new() };
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong(key, value, &format!("[[{key}]]"));
            return Vec::new();
        };
        let each = |item| Table::of(self.source, item, format!("[[{key}]]"), self.below(key));
        array.iter().filter_map(each).collect()
    }

    /// How many problems were noted so far, in the whole file.
    pub fn noted(&self) -> usize {
        self.source.problems.borrow().len()
    }

    /// Notes each key that nobody asked for; answers whether there was none.
    pub fn finish_clean(self) -> bool {
        let (source, before) = (self.source, self.noted());
        self.finish();
        source.problems.borrow().len() == before
    }

    /// Notes each key that nobody asked for.
    pub fn finish(self) {
        for (key, _) in self.fields {
            if !self.asked.contains(&key.get_ref().as_ref()) {
                let mut allowed = self.asked.clone();
                allowed.sort_unstable();
                let message =
                    format!("unknown key `{}` in {}; allowed are {}", key.get_ref(), self.name, allowed.join(", "));
                self.source.note(&key.span(), message);
            }
        }
    }
}
