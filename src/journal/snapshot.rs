//! A snapshot of the state that a log is folded into, so that opening need not read all of it again. It proves
//! nothing by itself: it counts when a record under a later signature names its digest, and when the tree that it
//! carries goes on to a signed root. Anything else about it is a reason to rebuild, never an error.

use super::checkpoint::{BadNote, Checkpoint};
use super::key::{KeyRing, VerifierKey};
use super::kind::Kind;
use super::record::Record;
use super::tree::{Frontier, Hash};
use crate::domain::id::Digest;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Version of the file's layout.
const FORMAT: u64 = 1;

/// The program, which alone knows how it keeps its state.
const PROGRAM: &str = concat!("quarterdeck ", env!("CARGO_PKG_VERSION"));

/// A place between two batches of a log, with everything that is needed to go on from there.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The tree over the records before it.
    pub tree: Frontier,
    /// Number of the first record of the segment that it is in.
    pub segment: u64,
    /// Offset in that segment.
    pub offset: u64,
    /// Number of the next line in that segment, from 1 on.
    pub line: u64,
    /// The signed checkpoint of the batch before it; empty where there is none.
    pub note: String,
}

/// The file as it is stored, in canonical form.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u64,
    program: String,
    /// Version of the state's own form.
    state_format: u64,
    size: u64,
    peaks: Vec<String>,
    segment: u64,
    offset: u64,
    line: u64,
    note: String,
    /// The log's keys, oldest first: after how many records each came into force, and its encoding.
    keys: Vec<(u64, String)>,
    state: Value,
}

/// A snapshot that has been read, with its parts in agreement. Whether the log names it is still to be seen.
#[derive(Debug)]
pub struct Snapshot {
    /// Where the log goes on.
    pub place: Place,
    /// The keys up to there.
    pub ring: KeyRing,
    /// Name of the log.
    pub origin: String,
    /// The state.
    pub state: Value,
    /// Digest of the file.
    pub digest: Digest,
}

/// Which program must have made a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// This one, to the version: the state can be rebuilt, and then it is surely as this program would have it.
    This,
    /// Any whose state has the same form: the records that it stands for were moved to an archive.
    Any,
}

/// Why a file is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is no snapshot.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// Another program made it.
    #[error("{0} made it")]
    OtherProgram(String),
    /// The signature over its place does not hold.
    #[error("its checkpoint: {0}")]
    Checkpoint(BadNote),
    /// Its tree is not the one that was signed.
    #[error("its tree does not have the root that was signed")]
    OtherRoot,
    /// No record names it.
    #[error("no record names its digest")]
    Unnamed,
    /// The state does not fit this program.
    #[error("its state can not be taken up")]
    State,
}

/// The digest of a file.
pub fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_bytes(&sha2::Sha256::digest(bytes).into())
}

/// Encodes a snapshot.
pub fn encode(place: &Place, ring: &KeyRing, state_format: u64, state: Value) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&File {
        format: FORMAT,
        program: PROGRAM.to_owned(),
        state_format,
        size: place.tree.size(),
        peaks: place.tree.peaks().iter().map(ToString::to_string).collect(),
        segment: place.segment,
        offset: place.offset,
        line: place.line,
        note: place.note.clone(),
        keys: ring.keys().map(|(after, key)| (after, key.as_str().to_owned())).collect(),
        state,
    })
}

/// The body of the record that names a snapshot.
pub fn body(file: &str, size: u64, digest: &Digest, bytes: usize) -> Value {
    json!({ "file": file, "size": size, "sha256": digest, "bytes": bytes })
}

/// Whether a stored record names a snapshot; anything else is passed over cheaply.
pub fn is_named_by(bytes: &[u8], size: u64, digest: &Digest) -> bool {
    /// The kind lies before mode, number, time and version, which are short.
    const TAIL: usize = 160;
    let tail = bytes.get(bytes.len().saturating_sub(TAIL)..).unwrap_or_default();
    let mark = b"\"kind\":\"journal.snapshot\"";
    tail.windows(mark.len()).any(|w| w == mark)
        && Record::parse(bytes).is_ok_and(|r| {
            r.kind == Kind::JournalSnapshot
                && r.body.get("size").and_then(Value::as_u64) == Some(size)
                && r.body.get("sha256").and_then(Value::as_str) == Some(digest.as_str())
        })
}

impl Snapshot {
    /// Reads a file and checks that its parts agree: program and form, and the signed root over its tree.
    pub fn decode(bytes: &[u8], state_format: u64) -> Result<Self, Unfit> {
        Self::decode_of(bytes, state_format, Maker::This)
    }

    /// As [`Snapshot::decode`], where it may be that of another program too. Only the form of the state has to be the
    /// same: what it stands for may be all that there is.
    pub fn decode_of(bytes: &[u8], state_format: u64, maker: Maker) -> Result<Self, Unfit> {
        let damaged = |why: &str| Unfit::Damaged(why.to_owned());
        let file: File = serde_json::from_slice(bytes).map_err(|e| Unfit::Damaged(e.to_string()))?;
        let is_ours = maker == Maker::Any || file.program == PROGRAM;
        if (file.format, file.state_format) != (FORMAT, state_format) || !is_ours {
            let File { program, format, state_format, .. } = file;
            let program = crate::domain::text::sanitize(&program);
            return Err(Unfit::OtherProgram(format!("{program} (form {format}.{state_format})")));
        }
        let peaks: Option<Vec<Hash>> = file.peaks.iter().map(|text| hash(text)).collect();
        let tree = peaks.and_then(|peaks| Frontier::of(file.size, peaks)).ok_or_else(|| damaged("its tree"))?;
        let keys: Result<Vec<(u64, VerifierKey)>, _> =
            file.keys.iter().map(|(after, key)| key.parse().map(|key| (*after, key))).collect();
        let mut keys = keys.map_err(|e: super::key::BadKey| Unfit::Damaged(e.to_string()))?.into_iter();
        let Some((0, first)) = keys.next() else { return Err(damaged("its keys")) };
        let mut ring = KeyRing::of(first);
        for (after, key) in keys {
            ring.rotate(after, key);
        }
        let signed = Checkpoint::open(&file.note, ring.at(file.size)).map_err(Unfit::Checkpoint)?;
        if (signed.size, signed.root) != (tree.size(), tree.root()) {
            return Err(Unfit::OtherRoot);
        }
        let File { segment, offset, line, note, state, .. } = file;
        let place = Place { tree, segment, offset, line, note };
        Ok(Self { place, ring, origin: signed.origin, state, digest: digest(bytes) })
    }
}

fn hash(text: &str) -> Option<Hash> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok().map(Hash)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::key::LogKey;
    use crate::journal::record::{Ready, tests::draft};
    use proptest::prelude::*;

    fn file() -> (Vec<u8>, LogKey) {
        let key = LogKey::generate("log").unwrap();
        let mut tree = Frontier::default();
        (0..5_u8).for_each(|n| tree.append(&[n]));
        let note = Checkpoint { origin: "log".into(), size: 5, root: tree.root() }.sign(&key).unwrap();
        let place = Place { tree, segment: 0, offset: 900, line: 7, note };
        let ring = KeyRing::of(key.verifier().clone());
        (encode(&place, &ring, 3, json!({ "incidents": [1, 2] })).unwrap(), key)
    }

    #[test]
    fn a_snapshot_goes_there_and_back_and_only_for_the_same_form() {
        let (bytes, key) = file();
        let read = Snapshot::decode(&bytes, 3).unwrap();
        assert_eq!((read.place.tree.size(), read.place.offset, read.place.line), (5, 900, 7));
        assert_eq!((read.ring.current(), read.origin.as_str()), (key.verifier(), "log"));
        assert_eq!(encode(&read.place, &read.ring, 3, read.state.clone()).unwrap(), bytes);
        assert!(matches!(Snapshot::decode(&bytes, 4), Err(Unfit::OtherProgram(_))));
        let other = String::from_utf8(bytes).unwrap().replace("\"quarterdeck ", "\"quarterback ");
        assert!(matches!(Snapshot::decode(other.as_bytes(), 3), Err(Unfit::OtherProgram(_))));
    }

    #[test]
    fn its_tree_and_its_signature_must_agree() {
        let (bytes, _) = file();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let with = |change: &dyn Fn(&mut Value)| {
            let mut value: Value = serde_json::from_str(&text).unwrap();
            change(&mut value);
            Snapshot::decode(value.to_string().as_bytes(), 3).map(|_| ()).unwrap_err()
        };
        let zero = Hash([0; 32]).to_string();
        assert_eq!(with(&|v| v["peaks"][1] = zero.clone().into()), Unfit::OtherRoot);
        assert_eq!(with(&|v| v["size"] = 6.into()), Unfit::OtherRoot);
        assert!(matches!(with(&|v| v["size"] = 7.into()), Unfit::Damaged(_)));
        assert!(matches!(with(&|v| v["keys"] = json!([])), Unfit::Damaged(_)));
        let other = LogKey::generate("log").unwrap();
        assert!(matches!(with(&|v| v["keys"][0][1] = other.verifier().as_str().into()), Unfit::Checkpoint(_)));
        assert!(matches!(with(&|v| v["more"] = 1.into()), Unfit::Damaged(_)));
    }

    #[test]
    fn only_the_record_with_its_digest_names_it() {
        let (bytes, _) = file();
        let digest = digest(&bytes);
        let named = |kind, size, digest: &Digest| {
            let mut out = vec![];
            Ready::new(draft(kind, body("snapshot/5", size, digest, bytes.len()))).unwrap().write(9, &mut out);
            is_named_by(&out, 5, &super::digest(&bytes))
        };
        assert!(named(Kind::JournalSnapshot, 5, &digest));
        assert!(!named(Kind::JournalSnapshot, 6, &digest));
        assert!(!named(Kind::JournalSnapshot, 5, &super::digest(b"other")));
        assert!(!named(Kind::NoteAdded, 5, &digest));
    }

    proptest! {
        #[test]
        fn foreign_bytes_are_no_snapshot(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            prop_assert!(Snapshot::decode(&bytes, 3).is_err());
        }
    }
}
