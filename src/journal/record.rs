//! One record: what a caller drafts, and what it becomes when the log has numbered it.

use super::canonical::{self, MAX_INTEGER, NotCanonical, Unwritable};
use super::kind::Kind;
use crate::domain::actor::Actor;
use crate::domain::estate::Environment;
use crate::domain::id::IncidentId;
use crate::domain::mode::Mode;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// Version of the record format that this program writes.
pub const VERSION: u64 = 1;

/// Greatest length of a record in bytes, without its newline; what C2SP tlog-tiles allows for an entry.
pub const MAX_BYTES: usize = 65_535;

/// A record before it has a number. The caller supplies the time, so that a drill's records depend on its seed
/// and its scenario clock only.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// What it tells of.
    pub kind: Kind,
    /// Incident it belongs to.
    pub incident: Option<IncidentId>,
    /// What is told; see [`super::describe`] for the members that each kind is read by. No fractions, no
    /// integers beyond 2^53 − 1 ([`canonical::to_value`] turns both into strings).
    pub body: Value,
    /// Who did it.
    pub actor: Actor,
    /// What the process may touch.
    pub mode: Mode,
    /// Class of the estate.
    pub environment: Environment,
    /// When, kept to the microsecond.
    pub time: Timestamp,
}

/// A record of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// Version of the format.
    pub v: u64,
    /// Its number, from 0 on: the index of its leaf in the tree.
    pub seq: u64,
    /// When, to the microsecond.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    #[schemars(with = "Timestamp")]
    pub time: Timestamp,
    /// What it tells of.
    pub kind: Kind,
    /// Incident it belongs to.
    pub incident: Option<IncidentId>,
    /// Who did it.
    pub actor: Actor,
    /// What the process was allowed to touch.
    pub mode: Mode,
    /// Class of the estate.
    pub environment: Environment,
    /// What is told.
    pub body: Value,
}

/// A record that is on disk, under a signed checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Committed {
    /// Its number.
    pub seq: u64,
    /// The record.
    pub record: Record,
}

/// Why bytes are no record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotARecord {
    /// Not in canonical form.
    #[error("the bytes are not in canonical form: {0}")]
    Form(#[from] NotCanonical),
    /// Longer than a record may be.
    #[error("it is longer than {MAX_BYTES} bytes")]
    TooLong,
    /// Lacks a number or a version.
    #[error("it has no `{0}` with a whole number")]
    Lacks(&'static str),
    /// Written by a later program.
    #[error("it has format version {found}, and this version of quarterdeck reads {VERSION}; use a newer quarterdeck")]
    Future {
        /// Version found.
        found: u64,
    },
    /// A member is missing or has a value that is not known.
    #[error("{why}")]
    Member {
        /// What the parser said.
        why: String,
    },
}

/// What every record has, read without parsing the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub seq: u64,
}

impl Head {
    /// Checks length, canonical form and version, and reads the number.
    pub fn read(bytes: &[u8]) -> Result<Self, NotARecord> {
        if bytes.len() > MAX_BYTES {
            return Err(NotARecord::TooLong);
        }
        let (mut seq, mut version) = (None, None);
        canonical::check(bytes, |key, value| match key {
            b"seq" => seq = whole(value),
            b"v" => version = whole(value),
            _ => {}
        })?;
        match version {
            Some(VERSION) => Ok(Self { seq: seq.ok_or(NotARecord::Lacks("seq"))? }),
            Some(found) if found > VERSION => Err(NotARecord::Future { found }),
            _ => Err(NotARecord::Lacks("v")),
        }
    }
}

fn whole(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

impl Record {
    /// Reads a record from its stored bytes, which must be in canonical form.
    pub fn parse(bytes: &[u8]) -> Result<Self, NotARecord> {
        Head::read(bytes)?;
        Self::parse_checked(bytes)
    }

    /// Reads a record from bytes whose form has been checked.
    pub(super) fn parse_checked(bytes: &[u8]) -> Result<Self, NotARecord> {
        serde_json::from_slice(bytes).map_err(|e| NotARecord::Member { why: e.to_string() })
    }

    /// Its canonical bytes: what is stored, and what the leaf of the tree hashes.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Unwritable> {
        canonical::to_bytes(self)
    }
}

/// A draft that can be written: disarmed, checked and encoded but for its number, which only the writer knows.
#[derive(Clone, Debug)]
pub struct Ready {
    record: Record,
    /// Canonical bytes up to the number.
    head: Vec<u8>,
    /// Canonical bytes after it.
    tail: Vec<u8>,
}

/// Members before `seq` in canonical order.
#[derive(Serialize)]
struct Before<'a> {
    actor: Author<'a>,
    body: &'a Value,
    environment: Environment,
    incident: &'a Option<IncidentId>,
    kind: Kind,
    mode: Mode,
}

/// An actor, its members in canonical order.
#[derive(Serialize)]
struct Author<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    console: Option<&'a str>,
    host: &'a str,
    uid: u32,
    user: &'a str,
    via: &'a str,
}

impl<'a> From<&'a Actor> for Author<'a> {
    fn from(actor: &'a Actor) -> Self {
        let Actor { user, uid, via, host, console } = actor;
        Self { console: console.as_deref(), host, uid: *uid, user, via }
    }
}

/// What is led where a record belongs to no incident.
pub const ESTATE: &str = "the estate";

/// The name of what is led by whoever leads the incident.
pub fn lead_of(incident: Option<&IncidentId>) -> &str {
    incident.map_or(ESTATE, IncidentId::as_str)
}

impl Ready {
    /// What must be led by whoever writes it, if anything.
    pub(super) fn led(&self) -> Option<&str> {
        self.record.kind.is_led().then(|| lead_of(self.record.incident.as_ref()))
    }

    /// Checks and encodes a draft.
    pub fn new(draft: Draft) -> Result<Self, NotAdmitted> {
        let Draft { kind, incident, mut body, mut actor, mode, environment, time } = draft;
        let refused = |why| NotAdmitted::Unwritable { kind, why };
        canonical::admit(&mut body).map_err(refused)?;
        for text in [&mut actor.user, &mut actor.via, &mut actor.host].into_iter().chain(actor.console.as_mut()) {
            canonical::disarm(text);
        }
        let incident = incident.map(|id| {
            let mut text = id.as_str().to_owned();
            canonical::disarm(&mut text);
            IncidentId::new(text)
        });
        let time = Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time);
        let before = Before { actor: Author::from(&actor), body: &body, environment, incident: &incident, kind, mode };
        let mut head = Vec::with_capacity(512);
        canonical::write_admitted(&before, &mut head).map_err(refused)?;
        head.pop();
        head.extend_from_slice(b",\"seq\":");
        let tail = format!(",\"time\":\"{time:.6}\",\"v\":{VERSION}}}").into_bytes();
        let longest = head.len() + MAX_INTEGER.to_string().len() + tail.len();
        if longest > MAX_BYTES {
            return Err(NotAdmitted::TooLong { kind, bytes: longest });
        }
        let record = Record { v: VERSION, seq: 0, time, kind, incident, actor, mode, environment, body };
        Ok(Self { record, head, tail })
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        self.record.kind
    }

    /// When, as the caller said.
    pub const fn time(&self) -> Timestamp {
        self.record.time
    }

    /// Length of its bytes at most.
    pub const fn max_len(&self) -> usize {
        self.head.len() + 16 + self.tail.len()
    }

    /// Appends its bytes under a number to `out` and returns how many there were.
    pub fn write(&self, seq: u64, out: &mut Vec<u8>) -> usize {
        let before = out.len();
        out.extend_from_slice(&self.head);
        out.extend_from_slice(seq.to_string().as_bytes());
        out.extend_from_slice(&self.tail);
        out.len() - before
    }

    /// The record under a number.
    pub fn into_committed(self, seq: u64) -> Committed {
        Committed { seq, record: Record { seq, ..self.record } }
    }
}

/// Why a draft can not become a record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAdmitted {
    /// Its body has something that can not be written exactly.
    #[error("a `{kind}` record can not be written: {why}")]
    Unwritable {
        /// Its kind.
        kind: Kind,
        /// Why.
        why: Unwritable,
    },
    /// It is too long.
    #[error("a `{kind}` record of {bytes} bytes is longer than {MAX_BYTES}; keep what is long as evidence")]
    TooLong {
        /// Its kind.
        kind: Kind,
        /// Its length.
        bytes: usize,
    },
}

fn write_time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    pub(crate) fn draft(kind: Kind, body: Value) -> Draft {
        Draft {
            kind,
            incident: Some(IncidentId::from("INC-42")),
            body,
            actor: Actor {
                user: "mara".into(),
                uid: 1001,
                via: "console".into(),
                host: "bastion-1".into(),
                console: Some("/dev/pts/3".into()),
            },
            mode: Mode::Drill,
            environment: Environment::Production,
            time: "2026-11-21T14:43:07.123456789Z".parse().unwrap(),
        }
    }

    fn bytes(draft: Draft, seq: u64) -> Vec<u8> {
        let mut out = vec![];
        Ready::new(draft).unwrap().write(seq, &mut out);
        out
    }

    #[test]
    fn a_record_reads_as_laid_down() {
        let bytes = bytes(draft(Kind::NoteAdded, json!({"text": "trucks wait"})), 17);
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"actor":{"console":"/dev/pts/3","host":"bastion-1","uid":1001,"user":"mara","via":"console"},"#
                .to_owned()
                + r#""body":{"text":"trucks wait"},"environment":"production","incident":"INC-42","kind":"note.added","#
                + r#""mode":"drill","seq":17,"time":"2026-11-21T14:43:07.123456Z","v":1}"#
        );
        let record = Record::parse(&bytes).unwrap();
        assert_eq!(record.to_bytes().unwrap(), bytes);
        assert_eq!(record, Ready::new(draft(Kind::NoteAdded, record.body.clone())).unwrap().into_committed(17).record);
    }

    #[test]
    fn what_is_built_in_parts_is_what_the_serializer_writes() {
        for seq in [0, 9, 10, MAX_INTEGER] {
            for time in ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.5Z", "0001-01-01T00:00:00Z"] {
                let mut draft = draft(Kind::StepFinished, json!({"b": [1, null], "a": "é\n\u{202e}"}));
                draft.incident = None;
                draft.actor.console = None;
                draft.time = time.parse().unwrap();
                let bytes = bytes(draft, seq);
                assert_eq!(Record::parse(&bytes).unwrap().to_bytes().unwrap(), bytes);
            }
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let text = proptest::string::string_regex("[ -~\u{0}-\u{ff}\u{2028}\u{202e}\u{1f600}]{0,12}").unwrap();
        let leaf = prop_oneof![
            Just(json!(null)),
            any::<bool>().prop_map(Value::from),
            (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
            text.prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            let keys = "[ !#-\\[\\]-~]{0,6}";
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((keys, inner), 0..4).prop_map(|m| Value::Object(m.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_admitted_is_written_as_the_canonical_serializer_does(body in any_value(), via: String, seq in 0..MAX_INTEGER) {
            let mut draft = draft(Kind::NoteAdded, body);
            draft.actor.via = via;
            let ready = Ready::new(draft).unwrap();
            let mut bytes = vec![];
            ready.write(seq, &mut bytes);
            let record = ready.into_committed(seq).record;
            prop_assert_eq!(canonical::to_bytes(&record).unwrap(), bytes.clone());
            prop_assert_eq!(Record::parse(&bytes).unwrap(), record);
        }
    }

    #[test]
    fn what_is_too_long_is_refused_with_its_length() {
        let fits = MAX_BYTES - bytes(draft(Kind::NoteAdded, json!({"text": ""})), MAX_INTEGER).len();
        let long = |n| Ready::new(draft(Kind::NoteAdded, json!({"text": "x".repeat(n)})));
        assert_eq!(bytes(draft(Kind::NoteAdded, json!({"text": "x".repeat(fits)})), MAX_INTEGER).len(), MAX_BYTES);
        assert_eq!(long(fits + 1).unwrap_err(), NotAdmitted::TooLong { kind: Kind::NoteAdded, bytes: MAX_BYTES + 1 });
        assert_eq!(Head::read(&vec![b'x'; MAX_BYTES + 1]), Err(NotARecord::TooLong));
    }

    #[test]
    fn later_versions_and_foreign_kinds_are_told_apart_from_damage() {
        let good = String::from_utf8(bytes(draft(Kind::NoteAdded, json!({})), 3)).unwrap();
        let read = |text: String| Record::parse(text.as_bytes());
        assert_eq!(read(good.replace("\"v\":1", "\"v\":2")), Err(NotARecord::Future { found: 2 }));
        assert_eq!(read(good.replace("\"v\":1", "\"v\":0")), Err(NotARecord::Lacks("v")));
        assert_eq!(read(good.replace("\"seq\":3", "\"seq\":-3")), Err(NotARecord::Lacks("seq")));
        let foreign = read(good.replace("note.added", "note.sung")).unwrap_err().to_string();
        assert!(foreign.contains("note.sung"), "{foreign}");
        assert!(matches!(read(good.replace(",\"seq\"", ", \"seq\"")), Err(NotARecord::Form(_))));
    }

    #[test]
    fn names_are_disarmed_too() {
        let mut draft = draft(Kind::NoteAdded, json!({}));
        draft.actor.host = "a\u{202e}b".into();
        draft.incident = Some(IncidentId::from("INC\u{9b}"));
        let record = Ready::new(draft).unwrap().into_committed(0).record;
        assert_eq!((record.actor.host.as_str(), record.incident.unwrap().as_str()), ("a·b", "INC·"));
    }
}
