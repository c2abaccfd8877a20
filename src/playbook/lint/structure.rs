//! From the document to the typed playbook. serde stops at the first thing that does not fit; here that thing is
//! noted, taken out (or, where something is missing, stood in for), and the rest is read again, until everything that
//! does not fit has been found.

use super::yaml::{Document, Place, escape};
use crate::domain::text::sanitize;
use crate::playbook::schema::Playbook;
use serde_json::Value;
use serde_path_to_error::Segment;
use std::collections::{BTreeMap, BTreeSet};

/// Problems after which reading on helps nobody.
const ENOUGH: usize = 100;

/// Keys of the full design that this version does not carry out.
const LATER: [&str; 1] = ["hooks"];

/// What could be read.
pub(super) struct Read {
    /// The playbook, unless too little of it can be read.
    pub(super) playbook: Option<Playbook>,
    /// The pointer under which each of its steps is written.
    pub(super) steps: Vec<String>,
    /// What does not fit, with its place.
    pub(super) problems: Vec<(Place, String)>,
}

/// Reads the playbook.
pub(super) fn playbook(document: &Document) -> Read {
    let mut reading = Reading { value: document.value.clone(), removed: BTreeMap::new(), taken: BTreeSet::new() };
    let mut problems = Vec::new();
    for _ in 0..2 * ENOUGH {
        let error = match serde_path_to_error::deserialize::<_, Playbook>(&reading.value) {
            Ok(playbook) => {
                let written = |i: usize| pointer(&reading.as_written(&["steps".to_owned(), i.to_string()]));
                let steps = (0..playbook.steps.len()).map(written).collect();
                return Read { playbook: Some(playbook), steps, problems };
            }
            Err(error) => error,
        };
        let path = segments(&error);
        let said = error.inner().to_string();
        let fault = Fault::of(&said, &path, &reading.value);
        let written = reading.as_written(&path);
        // What was taken out as wrong is not missing besides.
        let known = match &fault {
            Fault::Missing(key) => {
                reading.taken.contains(&pointer(&[&written[..], std::slice::from_ref(key)].concat()))
            }
            Fault::Unknown(_) | Fault::Value => false,
        };
        if !known && problems.len() < ENOUGH {
            problems.push(fault.described(document, &written, &said));
        }
        if !reading.mend(&fault, &path) {
            break;
        }
    }
    Read { playbook: None, steps: Vec::new(), problems }
}

/// The document while it is being read.
struct Reading {
    value: Value,
    /// Of each list, by the pointer under which it is written, the elements that were taken out.
    removed: BTreeMap<String, BTreeSet<usize>>,
    /// What was taken out, as it is written.
    taken: BTreeSet<String>,
}

impl Reading {
    /// The path as it is written: elements taken out of lists count again.
    fn as_written(&self, path: &[String]) -> Vec<String> {
        let mut written: Vec<String> = Vec::new();
        let mut at = Some(&self.value);
        for part in path {
            let mut part = part.clone();
            if let (Some(Value::Array(_)), Ok(index)) = (at, part.parse::<usize>()) {
                at = at.and_then(|list| list.get(index));
                let gone = self.removed.get(&pointer(&written));
                let original = gone.into_iter().flatten().fold(index, |i, r| if *r <= i { i + 1 } else { i });
                part = original.to_string();
            } else {
                at = at.and_then(|map| map.get(&part));
            }
            written.push(part);
        }
        written
    }

    /// Makes the fault go away, so that what is behind it can be read.
    fn mend(&mut self, fault: &Fault, path: &[String]) -> bool {
        match fault {
            Fault::Unknown(key) => self.cut(&[above(path, key), std::slice::from_ref(key)].concat()),
            Fault::Value => self.cut(path),
            Fault::Missing(key) => {
                let stand_in = match (key.as_str(), path.first().map(String::as_str)) {
                    ("type", Some("parameters")) => Value::from("string"),
                    ("type", _) => Value::from("manual"),
                    ("then", _) => Value::from("continue"),
                    ("kind", _) => Value::from("keypress"),
                    ("onClosed", _) => Value::from("deny"),
                    ("schemaVersion" | "version" | "quorum", _) => Value::from(1),
                    ("steps", _) => Value::Array(Vec::new()),
                    _ => Value::from("missing"),
                };
                match self.value.pointer_mut(&pointer(path)) {
                    Some(Value::Object(fields)) => fields.insert(key.clone(), stand_in).is_none(),
                    _ => false,
                }
            }
        }
    }

    fn cut(&mut self, path: &[String]) -> bool {
        let Some((last, above)) = path.split_last() else { return false };
        let written = self.as_written(path);
        let gone = match self.value.pointer_mut(&pointer(above)) {
            Some(Value::Object(fields)) => fields.remove(last).is_some(),
            Some(Value::Array(items)) => match last.parse::<usize>() {
                Ok(index) if index < items.len() => {
                    items.remove(index);
                    if let Some((place, list)) = written.split_last()
                        && let Ok(place) = place.parse()
                    {
                        self.removed.entry(pointer(list)).or_default().insert(place);
                    }
                    true
                }
                _ => false,
            },
            _ => false,
        };
        if gone {
            self.taken.insert(pointer(&written));
            return true;
        }
        self.cut(above)
    }
}

/// What serde stumbled over.
enum Fault {
    /// A key that the mapping at the path does not have.
    Unknown(String),
    /// A key that the mapping at the path lacks.
    Missing(String),
    /// The value at the path.
    Value,
}

impl Fault {
    fn of(said: &str, path: &[String], value: &Value) -> Self {
        let quoted = |prefix: &str| said.strip_prefix(prefix)?.split('`').nth(1).map(str::to_owned);
        if let Some(key) = quoted("unknown field ") {
            return Self::Unknown(key);
        }
        if let Some(key) = quoted("missing field ")
            && find(value, path).is_some_and(Value::is_object)
        {
            return Self::Missing(key);
        }
        Self::Value
    }

    fn described(&self, document: &Document, path: &[String], said: &str) -> (Place, String) {
        let shown =
            if path.is_empty() { "the playbook".to_owned() } else { format!("`{}`", sanitize(&path.join("."))) };
        match self {
            Self::Unknown(key) => {
                let above = above(path, key);
                let place = document.key_place(&pointer(&[above, std::slice::from_ref(key)].concat()));
                let key_shown = sanitize(key);
                if LATER.contains(&key.as_str()) {
                    return (place, format!("`{key_shown}` is not supported in this version"));
                }
                let allowed = said.split_once(", ").map_or("", |(_, rest)| rest);
                (place, format!("unknown key `{key_shown}`, {allowed}"))
            }
            Self::Missing(key) => (document.place(&pointer(path)), format!("{shown} lacks `{key}`")),
            Self::Value => (document.place(&pointer(path)), format!("{shown}: {}", plain(said))),
        }
    }
}

/// The path of the mapping that has the key: serde names the key itself or only its mapping.
fn above<'a>(path: &'a [String], key: &str) -> &'a [String] {
    match path.split_last() {
        Some((last, above)) if last == key => above,
        _ => path,
    }
}

fn segments(error: &serde_path_to_error::Error<serde_json::Error>) -> Vec<String> {
    error
        .path()
        .iter()
        .filter_map(|segment| match segment {
            Segment::Seq { index } => Some(index.to_string()),
            Segment::Map { key } => Some(key.clone()),
            Segment::Enum { variant } => Some(variant.clone()),
            Segment::Unknown => None,
        })
        .collect()
}

fn pointer(path: &[String]) -> String {
    path.iter().fold(String::new(), |pointer, part| pointer + "/" + &escape(part))
}

fn find<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    value.pointer(&pointer(path))
}

/// serde's words in the field's.
fn plain(said: &str) -> String {
    let words = [
        ("invalid type: ", "found "),
        ("invalid value: ", "found "),
        ("expected u32", "expected a whole number"),
        ("expected u8", "expected a whole number up to 255"),
        ("expected struct ", "expected the mapping "),
        ("unknown variant ", "found "),
        ("null, ", "nothing, "),
    ];
    let said = said.split(" at line ").next().unwrap_or(said);
    sanitize(&words.iter().fold(said.to_owned(), |text, (from, to)| text.replacen(from, to, 1)))
}
