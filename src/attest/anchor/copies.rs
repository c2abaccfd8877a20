//! What lies in the bucket: objects with all their versions, and the checkpoints among them. Of an object with
//! several versions the oldest that the log's key signed counts: whoever may write can put newer ones over it, and
//! nobody can put one under it.

use super::bucket::Bucket;
use super::error::AnchorError;
use super::keys;
use super::xml::Version;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::key::VerifierKey;
use crate::journal::tree::Hash;
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
    /// Where the next page begins; none after the last one.
    next: Option<Option<(String, Option<String>)>>,
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
        let start = after.map(|key| (key, None));
        Self { bucket, prefix, page: VecDeque::new(), next: Some(start) }
    }

    /// The next one.
    pub async fn next(&mut self) -> Result<Option<Object>, AnchorError> {
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

    async fn peek(&mut self) -> Result<Option<&Version>, AnchorError> {
        while self.page.is_empty() {
            let Some(from) = self.next.take() else { return Ok(None) };
            let after = from.as_ref().map(|(key, version)| (key.as_str(), version.as_deref()));
            let page = self.bucket.versions(&self.prefix, after, PAGE).await?;
            self.page.extend(page.versions);
            self.next = page.next.map(|(key, version)| Some((key, Some(version))));
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

/// The oldest version of an object that is a checkpoint over the size in its key, signed by the log's key.
pub async fn oldest(
    bucket: &Bucket,
    prefix: &str,
    key: &VerifierKey,
    object: &Object,
) -> Result<Option<Copy>, AnchorError> {
    let Some(size) = keys::checkpoint_size(prefix, &object.key) else { return Ok(None) };
    for (n, version) in object.versions.iter().enumerate() {
        let found = bucket.get(&object.key, &version.id, NOTE).await?;
        let kept = found.is_kept_until(bucket.now());
        let Ok(note) = String::from_utf8(found.bytes) else { continue };
        let Some(checkpoint) = signed(&note, key).filter(|c| c.size == size) else { continue };
        let over = object.count.saturating_sub(n + 1);
        let (root, at, version) = (checkpoint.root, version.modified, version.id.clone());
        return Ok(Some(Copy { size, root, at, version, kept, over, note }));
    }
    Ok(None)
}

/// The one object with this key.
pub async fn object(bucket: &Bucket, key: &str) -> Result<Option<Object>, AnchorError> {
    let found = Listing::new(bucket, key.to_owned(), None).next().await?;
    Ok(found.filter(|o| o.key == key))
}

/// Reads a checkpoint that the log's key signed, whoever else did.
pub fn signed(note: &str, key: &VerifierKey) -> Option<Checkpoint> {
    let (text, signatures) = note.rsplit_once("\n\n")?;
    signatures.lines().find_map(|line| Checkpoint::open(&format!("{text}\n\n{line}\n"), key).ok())
}
