//! Compares every checkpoint in the bucket with the log: what its key holder rewrote after a copy was made does not
//! have the copy's root.

use super::bucket::Bucket;
use super::copies::{self, Copy, Listing};
use super::error::AnchorError;
use super::keys;
use super::ship::blocking;
use crate::journal::error::Damage;
use crate::journal::key::VerifierKey;
use crate::journal::pieces::{self, Reached};
use crate::journal::tree::Hash;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// Notes that are asked for at the same time.
const TOGETHER: usize = 8;

/// One checkpoint beside the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Rewritten {
    /// Size of the last copy before it that agrees; 0 when none does.
    pub after: u64,
    /// Size of the first copy that does not agree.
    pub before: u64,
    /// What happened, one sentence.
    pub why: String,
}

/// The result. Its serialized form is the output of `audit anchors --format json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
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
    /// Objects among the checkpoints that the key has not signed.
    pub foreign: Vec<String>,
    /// The copies.
    pub copies: Vec<Compared>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// All checkpoints in the bucket that the key signed, by size, the oldest version of each; and the keys of what it
/// has not signed.
pub async fn fetch_checkpoints(
    bucket: &Bucket,
    prefix: &str,
    key: &VerifierKey,
) -> Result<(Vec<Copy>, Vec<String>), AnchorError> {
    let listing = Listing::new(bucket, keys::checkpoints(prefix), None);
    let objects = stream::try_unfold(listing, |mut listing| async move {
        Ok::<_, AnchorError>(listing.next().await?.map(|object| (object, listing)))
    });
    let found = objects.map_ok(|object| async move {
        let copy = copies::oldest(bucket, prefix, key, &object).await?;
        Ok(copy.ok_or_else(|| crate::domain::text::sanitize(&object.key)))
    });
    let mut found = Box::pin(found.try_buffered(TOGETHER));
    let (mut ours, mut foreign) = (Vec::new(), Vec::new());
    while let Some(one) = found.next().await {
        match one? {
            Ok(copy) => ours.push(copy),
            Err(key) => foreign.push(key),
        }
    }
    Ok((ours, foreign))
}

/// Compares the log in `dir` with its copies. Nothing is written.
pub async fn compare(
    bucket: &Bucket,
    prefix: &str,
    dir: &Path,
    key: &VerifierKey,
    pinned: bool,
) -> Result<Report, AnchorError> {
    let begun = Instant::now();
    let (copied, foreign) = fetch_checkpoints(bucket, prefix, key).await?;
    let (dir, sizes) = (dir.to_owned(), copied.iter().map(|c| c.size).collect::<Vec<_>>());
    let (reached, roots) = blocking(move || {
        let mut roots: BTreeMap<u64, Hash> = BTreeMap::new();
        let reached = pieces::roots(&dir, &sizes, |size, root| {
            roots.insert(size, root);
        })?;
        Ok((reached, roots))
    })
    .await?;
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
    let ok = rewritten.is_none() && reached.damage.is_none() && covered > 0 && pinned;
    Ok(Report {
        ok,
        origin: key.name().to_owned(),
        key: key.id(),
        pinned,
        bucket: bucket.name().to_owned(),
        prefix: prefix.to_owned(),
        records: reached.size,
        covered,
        rewritten,
        damage: reached.damage,
        foreign,
        copies: compared,
        took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
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
