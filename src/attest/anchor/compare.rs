//! Compares every checkpoint in the bucket with the log: what its key holder rewrote after a copy was made does not
//! have the copy's root.

use super::copies::{self, Copy, Judged, Listing, Object};
use super::directory;
use super::error::AnchorError;
use super::keys;
use super::ship::blocking;
use crate::domain::text::sanitize;
use crate::journal::error::{Damage, JournalError};
use crate::journal::key::{KeyRing, VerifierKey};
use crate::journal::pieces::{self, Reached};
use crate::journal::tree::Hash;
use crate::journal::verify::Anchored;
use crate::observe::storage::Bucket;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Notes that are asked for at the same time.
const TOGETHER: usize = 8;

/// One checkpoint beside the log.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Compared {
    /// Number of records.
    pub size: u64,
    /// When it was put there, by the server's clock.
    pub at: Timestamp,
    /// Root that it has.
    pub root: String,
    /// Whether the log has this root at this size; none where the log does not reach so far.
    pub agrees: Option<bool>,
    /// Whether the bucket keeps it under compliance.
    pub locked: bool,
    /// Newer versions and marks of deletion over it, which do not count.
    pub over: usize,
}

/// Where a log and its copies part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct Rewritten {
    /// Size of the last copy before it that agrees; 0 when none does.
    pub after: u64,
    /// Size of the first copy that does not agree.
    pub before: u64,
    /// What happened, one sentence.
    pub why: String,
}

/// The result. Its serialized form is the output of `audit anchors --format json`.
#[derive(Clone, Debug, PartialEq, Serialize, schemars::JsonSchema)]
pub struct Report {
    /// Whether there are copies and the log agrees with all of them, under a key from outside.
    pub ok: bool,
    /// Name of the log.
    pub origin: String,
    /// Name and id of the key that the copies were checked with.
    pub key: String,
    /// Whether the key came from outside the log.
    pub pinned: bool,
    /// Bucket.
    pub bucket: String,
    /// What all keys begin with.
    pub prefix: String,
    /// Number of records in the log.
    pub records: u64,
    /// Records that the newest agreeing copy covers.
    pub covered: u64,
    /// Where log and copies part.
    pub rewritten: Option<Rewritten>,
    /// Where the log itself can not be read further.
    pub damage: Option<Damage>,
    /// Objects that are checkpoints of a log of this name, by a key that this log does not know: it may have been
    /// rewritten from before a rotation.
    pub strangers: Vec<String>,
    /// Other objects among the checkpoints, which do not count.
    pub foreign: Vec<String>,
    /// The copies.
    pub copies: Vec<Compared>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The checkpoints in a bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Checkpoints {
    /// Those of the log, by size.
    pub copies: Vec<Copy>,
    /// Keys of those that bear its name and are signed by a key that it does not know.
    pub strangers: Vec<String>,
    /// Keys of what is no checkpoint of it at all.
    pub foreign: Vec<String>,
}

/// All checkpoints in the bucket, of each the oldest version that counts.
pub async fn fetch_checkpoints(bucket: &Bucket, prefix: &str, ring: &KeyRing) -> Result<Checkpoints, AnchorError> {
    let objects = list(bucket, prefix).await?;
    judge_all(bucket, prefix, ring, objects).await
}

async fn list(bucket: &Bucket, prefix: &str) -> Result<Vec<Object>, AnchorError> {
    let mut listing = Listing::new(bucket, keys::checkpoints(prefix), None);
    let mut all = Vec::new();
    while let Some(object) = listing.next().await? {
        all.push(object);
    }
    Ok(all)
}

async fn judge_all(
    bucket: &Bucket,
    prefix: &str,
    ring: &KeyRing,
    objects: Vec<Object>,
) -> Result<Checkpoints, AnchorError> {
    let judged = objects.into_iter().map(|object| async move {
        let judged = copies::judge(bucket, prefix, ring, &object).await?;
        Ok::<_, AnchorError>((sanitize(&object.key), judged))
    });
    let mut judged = Box::pin(stream::iter(judged).buffered(TOGETHER));
    let mut found = Checkpoints::default();
    while let Some((key, judged)) = judged.try_next().await? {
        match judged {
            Judged::Copy(copy) => found.copies.push(copy),
            Judged::Stranger => found.strangers.push(key),
            Judged::Noise => found.foreign.push(key),
        }
    }
    Ok(found)
}

/// Compares the log in `dir` with its copies. `key` is any of its keys. Nothing is written.
pub async fn compare(
    bucket: &Bucket,
    prefix: &str,
    dir: &Path,
    key: &VerifierKey,
    pinned: bool,
) -> Result<Report, AnchorError> {
    let begun = Instant::now();
    let objects = list(bucket, prefix).await?;
    let sizes: Vec<u64> = objects.iter().filter_map(|o| keys::checkpoint_size(prefix, &o.key)).collect();
    let (dir, known) = (dir.to_owned(), key.clone());
    let (reached, roots) = blocking(move || reach(&dir, &known, &sizes)).await?;
    let found = judge_all(bucket, prefix, &reached.ring, objects).await?;
    Ok(report(bucket.name(), prefix, key, pinned, &roots, reached, found, begun))
}

/// As [`compare`], with copies that lie in a directory, `checkpoint/<records>` as in a bucket. Blocks.
pub fn compare_directory(copies: &Path, dir: &Path, key: &VerifierKey, pinned: bool) -> Result<Report, AnchorError> {
    let begun = Instant::now();
    let notes = directory::notes(copies)?;
    let sizes: Vec<u64> = notes.iter().filter_map(|note| note.size).collect();
    let (reached, roots) = reach(dir, key, &sizes)?;
    let found = directory::judge(notes, &reached.ring);
    let place = copies.display().to_string();
    Ok(report(&place, "", key, pinned, &roots, reached, found, begun))
}

/// The roots that the log has at these sizes, and how far it can be read.
fn reach(dir: &Path, key: &VerifierKey, sizes: &[u64]) -> Result<(Reached, BTreeMap<u64, Hash>), JournalError> {
    let mut roots: BTreeMap<u64, Hash> = BTreeMap::new();
    let reached = pieces::roots(dir, key, sizes, |size, root| {
        roots.insert(size, root);
    })?;
    Ok((reached, roots))
}

#[allow(clippy::too_many_arguments, reason = "what both kinds of places have in common, said once")]
fn report(
    bucket: &str,
    prefix: &str,
    key: &VerifierKey,
    pinned: bool,
    roots: &BTreeMap<u64, Hash>,
    reached: Reached,
    found: Checkpoints,
    begun: Instant,
) -> Report {
    let Checkpoints { copies: copied, strangers, foreign } = found;
    let compared: Vec<Compared> = copied
        .iter()
        .map(|copy| Compared {
            size: copy.size,
            at: copy.at,
            root: copy.root.to_string(),
            agrees: roots.get(&copy.size).map(|root| *root == copy.root),
            locked: copy.kept,
            over: copy.over,
        })
        .collect();
    let rewritten = parting(&compared, &reached);
    let covered = compared.iter().take_while(|c| c.agrees == Some(true)).last().map_or(0, |c| c.size);
    let led = reached.ring.contains(key);
    let ok = rewritten.is_none() && reached.damage.is_none() && strangers.is_empty() && covered > 0 && pinned && led;
    Report {
        ok,
        origin: key.name().to_owned(),
        key: key.id(),
        pinned,
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        records: reached.size,
        covered,
        rewritten,
        damage: reached.damage,
        strangers,
        foreign,
        copies: compared,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    }
}

impl Report {
    /// What it says to a verification of the log.
    pub fn to_verification(&self) -> Anchored {
        let Self { bucket, prefix, covered, copies, strangers, rewritten, .. } = self;
        let place = if prefix.is_empty() { bucket.clone() } else { format!("{bucket}/{prefix}") };
        Anchored {
            place,
            copies: copies.len() as u64,
            covered: *covered,
            unlocked: copies.iter().filter(|c| !c.locked).count() as u64,
            strangers: strangers.clone(),
            parting: rewritten.as_ref().map(|r| (r.after, r.before, r.why.clone())),
        }
    }
}

/// The narrowest interval between two copies in which log and copies part. Beyond damage nothing is known.
fn parting(copies: &[Compared], reached: &Reached) -> Option<Rewritten> {
    let parts = |c: &Compared| c.agrees == Some(false) || (c.agrees.is_none() && reached.damage.is_none());
    let bad = copies.iter().position(parts)?;
    let first = copies.get(bad)?;
    let after = bad.checked_sub(1).and_then(|n| copies.get(n)).map_or(0, |c| c.size);
    let before = first.size;
    let last = before.saturating_sub(1);
    let why = match first.agrees {
        Some(_) => format!(
            "records {after} to {last} are not those that were copied on {}: the log was rewritten there by a holder \
             of its key",
            first.at
        ),
        None => format!(
            "the log ends with {} records, and a copy of {} covers {before}: it was cut or rolled back",
            reached.size, first.at
        ),
    };
    Some(Rewritten { after, before, why })
}
