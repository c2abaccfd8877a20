//! What the bucket promises for what is put into it, and what the key to it may do. Each gap is said with what it
//! disables and what would mend it.

use super::error::AnchorError;
use super::keys;
use crate::config::model::Anchor as Config;
use crate::domain::facts::Missing;
use crate::observe::storage::{Bucket, Put, StorageError};

/// Clocks may differ by this many seconds before it is said.
const CLOCK: i64 = 60;
/// What the probe holds.
const PROBE: &[u8] = b"quarterdeck doctor tries what may be put here and what can not be deleted\n";

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Protection {
    /// The promise in words.
    pub words: String,
    /// Gaps, the worst first.
    pub missing: Vec<Missing>,
}

impl Protection {
    fn lacks(&mut self, disables: impl Into<String>, remedy: impl Into<String>) {
        self.missing.push(Missing { disables: disables.into(), remedy: remedy.into() });
    }

    /// The first gap as one sentence.
    pub fn gap(&self) -> Option<String> {
        self.missing.first().map(|m| format!("{}; {}", m.disables, m.remedy))
    }
}

/// Reads what the bucket promises. Nothing is written.
pub async fn read(bucket: &Bucket, config: &Config) -> Result<Protection, AnchorError> {
    let mut found = Protection::default();
    let wanted = u64::from(config.retention_days);
    match bucket.lock().await {
        Ok(lock) => {
            let remedy = format!("set a default retention of {wanted} days or more in compliance mode");
            let (mode, days) = (lock.mode.as_deref().unwrap_or("no default"), lock.days.unwrap_or(0));
            found.words = format!("object lock {mode}, {days} days");
            if !lock.enabled {
                "no object lock".clone_into(&mut found.words);
                let off = "object lock is off, so that whoever holds the key can remove the copies";
                found.lacks(off, "make a bucket with object lock in compliance mode and name that");
            } else if lock.mode.is_none() || days == 0 {
                found.lacks("there is no default retention, so that copies are not locked", remedy);
            } else if mode != "COMPLIANCE" {
                let words = crate::domain::text::sanitize(mode);
                found.lacks(format!("object lock is in the mode {words}, which an administrator can lift"), remedy);
            } else if days < wanted {
                let short = format!("copies are kept for {days} days, and retention_days asks for {wanted}");
                found.lacks(short, "lengthen the default retention, or lower retention_days");
            }
        }
        Err(StorageError::Refused { said, .. }) => {
            "object lock not known".clone_into(&mut found.words);
            let why = format!("whether copies are locked can not be read ({said}), so they count as not locked");
            found.lacks(why, "allow s3:GetBucketObjectLockConfiguration");
        }
        Err(other) => return Err(other.into()),
    }
    match bucket.versioning().await {
        Ok(true) => {}
        Ok(false) => found.lacks("no versions are kept, so that a copy can be overwritten", "turn versioning on"),
        Err(StorageError::Refused { said, .. }) => {
            found.lacks(format!("whether versions are kept can not be read ({said})"), "allow s3:GetBucketVersioning");
        }
        Err(other) => return Err(other.into()),
    }
    let ahead = bucket.ahead();
    if ahead.abs() > CLOCK {
        let side = if ahead > 0 { "ahead of" } else { "behind" };
        let gap = format!("this host's clock is {} s {side} the storage's, which refuses from 900 s on", ahead.abs());
        found.lacks(gap, "set the clock");
    }
    Ok(found)
}

/// Also puts an object, one a day, and tries to delete it, which must be refused. Nothing else is touched.
pub async fn probe(bucket: &Bucket, config: &Config) -> Result<Protection, AnchorError> {
    let mut found = read(bucket, config).await?;
    let key = keys::probe(&config.prefix, &bucket.now().strftime("%Y-%m-%d").to_string());
    let doing = "putting an object";
    let first = match bucket.put_new(&key, PROBE, doing).await {
        Err(StorageError::Refused { said, .. }) => {
            let gap = Missing {
                disables: format!("nothing can be copied there: {doing} is refused ({said})"),
                remedy: format!("allow s3:PutObject on {}/*", config.prefix),
            };
            found.missing.insert(0, gap);
            return Ok(found);
        }
        put => put?,
    };
    if bucket.looks_first() {
        let gap = "the storage knows no create-only puts, so that a key is looked for and then put";
        found.lacks(gap, "use a storage that honours If-None-Match");
    } else if matches!(first, Put::Made(_)) && bucket.put_new(&key, PROBE, doing).await? != Put::Taken {
        let gap = "the storage takes a create-only put for a key that is taken: only its versions protect the copies";
        found.lacks(gap, "use a storage that honours If-None-Match");
    }
    let object = match super::copies::object(bucket, &key).await {
        Err(StorageError::Refused { said, .. }) => {
            let gap = format!("the copies can not be listed ({said}), so that none can be compared with the log");
            found.lacks(gap, "allow s3:ListBucketVersions and s3:GetObjectVersion");
            return Ok(found);
        }
        object => object?,
    };
    let Some(version) = object.as_ref().and_then(|o| o.versions.last()) else {
        found.lacks("an object that was just put is not in the list of versions", "ask who runs the storage");
        return Ok(found);
    };
    let seen = bucket.get(&key, &version.id, PROBE.len() + 1).await?;
    if seen.bytes != PROBE {
        let gap = format!("{key} holds something else than was put there: somebody else writes under this prefix");
        found.lacks(gap, "let this key alone put there");
        return Ok(found);
    }
    if found.missing.is_empty() && !seen.is_kept_until(bucket.now()) {
        found.lacks("no lock is to be seen on an object that was just put", "allow s3:GetObjectRetention");
    }
    if bucket.delete(&key, &version.id).await? {
        let gap = Missing {
            disables: "the key may delete what was put there, so that copies prove nothing against its holder".into(),
            remedy: "take s3:DeleteObjectVersion from it, and lock the bucket in compliance mode".into(),
        };
        found.missing.insert(0, gap);
    }
    Ok(found)
}
