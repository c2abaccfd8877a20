//! Brings a log back from its copies: what is left when a host is lost. What comes is checked against the digests in
//! its names; whether it is the log is for `audit verify` to say, with the key from outside.

use super::copies::{Listing, Object};
use super::error::AnchorError;
use super::keys;
use crate::observe::storage::Bucket;
use sha2::{Digest as _, Sha256};
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Greatest object that is taken.
const LARGEST: usize = 256 << 20;

/// What was brought.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, schemars::JsonSchema)]
pub struct Fetched {
    /// Segments of records.
    pub segments: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// Files of evidence.
    pub evidence: usize,
    /// What could not be used, one sentence each.
    pub trouble: Vec<String>,
}

/// Writes the copies into `dir`, which must be empty or not be there.
pub async fn fetch(bucket: &Bucket, prefix: &str, dir: &Path) -> Result<Fetched, AnchorError> {
    let failed = |e: std::io::Error| AnchorError::File(format!("{} can not be written: {e}", dir.display()));
    let (records, evidence) = (dir.join("records"), dir.join("evidence"));
    // Not for everybody: evidence may hold what the log only names.
    let mut folders = std::fs::DirBuilder::new();
    folders.recursive(true).mode(0o750);
    folders.create(dir).map_err(failed)?;
    if std::fs::read_dir(dir).map_err(failed)?.next().is_some() {
        return Err(AnchorError::File(format!("{} is not empty; copies go into a new directory", dir.display())));
    }
    folders.create(&records).and_then(|()| folders.create(&evidence)).map_err(failed)?;
    let mut fetched = Fetched::default();
    let mut listing = Listing::new(bucket, keys::records(prefix), None);
    let mut open: Option<(u64, u64, std::fs::File)> = None;
    while let Some(object) = listing.next().await? {
        let Some((segment, offset, digest)) = keys::piece_place(prefix, &object.key) else { continue };
        let end = open.as_ref().filter(|(s, ..)| *s == segment).map_or(0, |(_, end, _)| *end);
        // Two pieces may begin at one place when copying was cut short between them; they hold the same bytes.
        if offset != end {
            if offset > end {
                let trouble = format!("bytes {end} to {offset} of the segment of record {segment} are not there");
                fetched.trouble.push(trouble);
            }
            continue;
        }
        let Some(bytes) = whole(bucket, &object, digest).await? else {
            let key = crate::domain::text::sanitize(&object.key);
            fetched.trouble.push(format!("{key} does not hold the bytes of its name"));
            continue;
        };
        if open.as_ref().is_none_or(|(s, ..)| *s != segment) {
            let path = records.join(format!("{segment:020}.jsonl"));
            open = Some((segment, 0, std::fs::File::create_new(path).map_err(failed)?));
            fetched.segments += 1;
        }
        if let Some((_, end, file)) = &mut open {
            file.write_all(&bytes).and_then(|()| file.sync_data()).map_err(failed)?;
            *end += bytes.len() as u64;
            fetched.bytes += bytes.len() as u64;
        }
    }
    let mut listing = Listing::new(bucket, keys::all_evidence(prefix), None);
    while let Some(object) = listing.next().await? {
        let Some(digest) = object.key.strip_prefix(&keys::all_evidence(prefix)).filter(|d| keys::is_hex(d)) else {
            continue;
        };
        match whole(bucket, &object, digest).await? {
            Some(bytes) => {
                std::fs::write(evidence.join(digest), bytes).map_err(failed)?;
                fetched.evidence += 1;
            }
            None => fetched.trouble.push(format!("evidence/{digest} does not hold the bytes of its name")),
        }
    }
    let vkey = keys::verifier_key(prefix);
    let object = super::copies::object(bucket, &vkey).await?;
    if let Some(version) = object.as_ref().and_then(|o| o.versions.first()) {
        let bytes = bucket.get(&vkey, &version.id, 4096).await?.bytes;
        std::fs::write(dir.join("log.vkey"), bytes).map_err(failed)?;
    }
    Ok(fetched)
}

/// The oldest version that has the digest.
async fn whole(bucket: &Bucket, object: &Object, digest: &str) -> Result<Option<Vec<u8>>, AnchorError> {
    let wanted = keys::bytes_of(digest);
    for version in &object.versions {
        let bytes = bucket.get(&object.key, &version.id, LARGEST).await?.bytes;
        if wanted == Some(Sha256::digest(&bytes).into()) {
            return Ok(Some(bytes));
        }
    }
    Ok(None)
}
