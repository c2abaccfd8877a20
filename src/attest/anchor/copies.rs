//! What lies in the bucket: objects with all their versions, and the checkpoints among them. Of an object with
//! several versions the oldest that the log's key signed counts: whoever may write can put newer ones over it, and
//! nobody can put one under it.

use super::keys;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::cosignature;
use crate::journal::key::KeyRing;
use crate::journal::tree::Hash;
use crate::observe::storage::Bucket;
use crate::observe::storage::StorageError;
use crate::observe::storage::xml::Version;
use jiff::Timestamp;
use std::collections::VecDeque;

/// Keys of a page.
const PAGE: usize = 1000;
/// Of one object so many of its oldest versions are looked at. More can only be a flood of newer ones.
const OLDEST: usize = 100;
/// Bytes of a note that are taken; a checkpoint with a few cosignatures has some thousand.
const NOTE: usize = 64 << 10;

/// Goes over the objects below a prefix, in the order of their keys.
pub struct Listing<'b> {
    bucket: &'b Bucket,
    prefix: String,
    page: VecDeque<Version>,
    /// Key, and version of it, behind which the next page begins; none at the start.
    after: Option<(String, Option<String>)>,
    /// Whether there is a next page.
    more: bool,
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Key.
    pub key: String,
    /// Its versions, the oldest first, without marks of deletion.
    pub versions: Vec<Version>,
    /// How many versions and marks of deletion there are in all.
    pub count: usize,
}

impl<'b> Listing<'b> {
    /// All objects whose keys begin with `prefix`, from behind the key `after`.
    pub fn new(bucket: &'b Bucket, prefix: String, after: Option<String>) -> Self {
        let after = after.map(|key| (key, None));
        Self { bucket, prefix, page: VecDeque::new(), after, more: true }
    }

    /// The next one.
    pub async fn next(&mut self) -> Result<Option<Object>, StorageError> {
        let Some(first) = self.peek().await?.cloned() else { return Ok(None) };
        let (mut kept, mut count) = (VecDeque::new(), 0);
        while self.peek().await?.is_some_and(|v| v.key == first.key) {
            count += 1;
            kept.extend(self.page.pop_front().filter(|v| !v.marker));
            if kept.len() > OLDEST {
                kept.pop_front();
            }
        }
        // Listed are the newest first; the server's order tells apart what has the same second.
        let mut versions: Vec<Version> = kept.into_iter().rev().collect();
        versions.sort_by_key(|v| v.modified);
        Ok(Some(Object { key: first.key, versions, count }))
    }

    async fn peek(&mut self) -> Result<Option<&Version>, StorageError> {
        while self.page.is_empty() && self.more {
            let after = self.after.as_ref().map(|(key, version)| (key.as_str(), version.as_deref()));
            let page = self.bucket.versions(&self.prefix, after, PAGE).await?;
            self.page.extend(page.versions);
            self.more = page.next.is_some();
            self.after = page.next.map(|(key, version)| (key, Some(version)));
        }
        Ok(self.page.front())
    }
}

/// A checkpoint that lies in the bucket.
#[derive(Clone, Debug, PartialEq)]
pub struct Copy {
    /// Number of records.
    pub size: u64,
    /// Root over them.
    pub root: Hash,
    /// When it was put there, by the server's clock.
    pub at: Timestamp,
    /// Its version.
    pub version: String,
    /// Whether the bucket keeps it under compliance at this moment.
    pub kept: bool,
    /// Newer versions and marks of deletion that lie over it.
    pub over: usize,
    /// The signed note itself.
    pub note: String,
}

/// What an object among the checkpoints is.
#[derive(Clone, Debug, PartialEq)]
pub enum Judged {
    /// A checkpoint of the log: the oldest version that the key in force at its size signed.
    Copy(Copy),
    /// A checkpoint that bears the log's name, by a key that the log does not know.
    Stranger,
    /// Anything else.
    Noise,
}

/// Looks at the versions of an object, the oldest first, until one is a checkpoint over the size in its key.
pub async fn judge(bucket: &Bucket, prefix: &str, ring: &KeyRing, object: &Object) -> Result<Judged, StorageError> {
    let Some(size) = keys::checkpoint_size(prefix, &object.key) else { return Ok(Judged::Noise) };
    let mut judged = Judged::Noise;
    for (n, version) in object.versions.iter().enumerate() {
        let found = bucket.get(&object.key, &version.id, NOTE).await?;
        let kept = found.is_kept_until(bucket.now());
        let Ok(note) = String::from_utf8(found.bytes) else { continue };
        let over = object.count.saturating_sub(n + 1);
        let (at, version) = (version.modified, version.id.clone());
        match judge_note(note, size, ring, |root, note| Copy { size, root, at, version, kept, over, note }) {
            Judged::Copy(copy) => return Ok(Judged::Copy(copy)),
            Judged::Stranger => judged = Judged::Stranger,
            Judged::Noise => {}
        }
    }
    Ok(judged)
}

/// What a note is that lies under the name of a checkpoint over `size` records.
pub fn judge_note(note: String, size: u64, ring: &KeyRing, copy: impl FnOnce(Hash, String) -> Copy) -> Judged {
    match signed(&note, ring).filter(|c| c.size == size) {
        Some(checkpoint) => Judged::Copy(copy(checkpoint.root, note)),
        None if note.contains("\n\n\u{2014} ") && note.lines().next() == Some(ring.current().name()) => {
            Judged::Stranger
        }
        None => Judged::Noise,
    }
}

/// The one object with this key.
pub async fn object(bucket: &Bucket, key: &str) -> Result<Option<Object>, StorageError> {
    let found = Listing::new(bucket, key.to_owned(), None).next().await?;
    Ok(found.filter(|o| o.key == key))
}

/// Reads a checkpoint that the key in force at its size signed, whoever else did.
pub fn signed(note: &str, ring: &KeyRing) -> Option<Checkpoint> {
    ring.keys().find_map(|(_, key)| {
        let checkpoint = cosignature::open(note, key, &[]).ok()?.checkpoint;
        (ring.at(checkpoint.size) == key).then_some(checkpoint)
    })
}
