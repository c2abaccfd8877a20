//! The object storage that backups lie in: whether the bucket and its newest object are locked, whether versions are
//! kept, and how old and large the newest backup is. Nothing is ever written there. Only the engine and `doctor` call
//! this.

mod newest;
#[cfg(test)]
mod tests;

use super::poll::Poll;
use super::storage::{Bucket, StorageError};
use crate::config::bucket::Bucket as Config;
use crate::config::model;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Clock};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use newest::{Found, Newest};
use std::sync::Arc;
use std::time::Duration;

/// Time allowed for a look with all its requests.
const TIMEOUT: Duration = Duration::from_mins(1);
/// A clock that differs by more makes ages worthless.
const SKEWED: i64 = 300;

/// Observes one bucket.
pub struct BucketObserver {
    config: Config,
    /// The region of what is backed up, where that is declared.
    primary: Option<String>,
    clock: Arc<dyn Clock>,
    bucket: Option<Bucket>,
}

impl std::fmt::Debug for BucketObserver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BucketObserver").field("config", &self.config).finish_non_exhaustive()
    }
}

impl BucketObserver {
    /// For each `[[bucket]]`. Nothing is read or sent before they run.
    pub fn all(_: MayObserve, config: &model::Config, clock: &Arc<dyn Clock>) -> Vec<Self> {
        let region = |of: &str| config.services.iter().find(|s| s.id == of).and_then(|s| s.region.clone());
        let one = |bucket: &Config| Self {
            primary: bucket.of.as_deref().and_then(region).or_else(|| config.journal.archiving.region.clone()),
            config: bucket.clone(),
            clock: Arc::clone(clock),
            bucket: None,
        };
        config.bucket.iter().map(one).collect()
    }

    fn subject(&self) -> Subject {
        let storage = &self.config.storage;
        let backup = match storage.prefix.trim_end_matches('/') {
            "" => storage.bucket.clone(),
            prefix => format!("{}/{prefix}", storage.bucket),
        };
        Subject::Backup { source: self.config.id.clone(), backup: sanitize(&backup).into() }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let bucket = match self.bucket.take() {
            Some(bucket) => bucket,
            None => Bucket::connect(&self.config, Arc::clone(&self.clock)).await.map_err(|e| failure(&e))?,
        };
        let mut facts = MeasuredFacts::of(SourceKind::Bucket);
        let subject = self.subject();
        let lock = self.lock(&bucket, &subject, &mut facts).await?;
        match bucket.versioning().await {
            Ok(kept) => facts.measure(&subject, "bucket.versioned", if kept { 1.0 } else { 0.0 }),
            Err(StorageError::Refused { said, .. }) => {
                facts.untell(&subject, "bucket.versioned", format!("it may not be read: {said}"));
                facts.lacks("whether versions are kept", "allow s3:GetBucketVersioning");
            }
            Err(other) => return Err(failure(&other)),
        }
        let found = newest::find(&bucket, &self.config.storage.prefix).await;
        let newest = self.tell_newest(&bucket, &subject, found, &mut facts)?;
        self.tell_lock(&bucket, &subject, lock, newest.as_ref(), &mut facts).await?;
        self.tell_pairs(&bucket, &mut facts).await?;
        self.tell_distance(&subject, &mut facts);
        self.bucket = Some(bucket);
        Ok(Facts::Measured(facts))
    }

    /// What the bucket promises for all that is put there: the days, or why it promises nothing.
    async fn lock(
        &self,
        bucket: &Bucket,
        subject: &Subject,
        facts: &mut MeasuredFacts,
    ) -> Result<Option<Result<u64, String>>, Failure> {
        let lock = match bucket.lock().await {
            Ok(lock) => lock,
            Err(StorageError::Refused { said, .. }) => {
                for signal in ["bucket.locked", "bucket.retention"] {
                    facts.untell(subject, signal, format!("it may not be read: {said}"));
                }
                facts.lacks("whether the backups are locked", "allow s3:GetBucketObjectLockConfiguration");
                return Ok(None);
            }
            Err(other) => return Err(failure(&other)),
        };
        let (mode, days) = (lock.mode.unwrap_or_default(), lock.days.unwrap_or(0));
        let wanted = u64::from(self.config.retention_days.unwrap_or(1));
        facts.measure(subject, "bucket.retention", count(if lock.enabled { days } else { 0 }));
        Ok(Some(if !lock.enabled {
            Err("object lock is off".to_owned())
        } else if mode.is_empty() || days == 0 {
            Err("object lock has no default retention".to_owned())
        } else if !self.suffices(&mode) {
            Err(format!("object lock is in the mode {}, which an administrator can lift", sanitize(&mode)))
        } else if days < wanted {
            Err(format!("object lock keeps for {days} days, and retention_days asks for {wanted}"))
        } else {
            Ok(days)
        }))
    }

    fn suffices(&self, mode: &str) -> bool {
        mode == "COMPLIANCE" || (mode == "GOVERNANCE" && self.config.governance)
    }

    fn tell_newest(
        &self,
        bucket: &Bucket,
        subject: &Subject,
        found: Result<Found, StorageError>,
        facts: &mut MeasuredFacts,
    ) -> Result<Option<Newest>, Failure> {
        let found = match found {
            Ok(found) => found,
            Err(StorageError::Refused { said, .. }) => {
                for signal in ["backup.age", "backup.size", "backup.kept"] {
                    facts.untell(subject, signal, format!("the bucket may not be listed: {said}"));
                }
                facts.lacks("how old and large the newest backup is", "allow s3:ListBucket");
                return Ok(None);
            }
            Err(other) => return Err(failure(&other)),
        };
        if let Some(more) = found.cut() {
            for signal in ["backup.age", "backup.size", "backup.kept"] {
                facts.untell(subject, signal, more.clone());
            }
            return Ok(found.newest);
        }
        facts.measure(subject, "backup.kept", count(found.objects));
        let Some(newest) = found.newest else {
            for signal in ["backup.age", "backup.size"] {
                facts.untell(subject, signal, "there is no object with anything in it");
            }
            return Ok(None);
        };
        facts.measure(subject, "backup.size", count(newest.size));
        match self.age(bucket, newest.at) {
            Ok(age) => facts.measure(subject, "backup.age", age),
            Err(why) => facts.untell(subject, "backup.age", why),
        }
        facts.said.push(format!("newest object {}, {} bytes, of {}", newest.key, newest.size, newest.at));
        Ok(Some(newest))
    }

    /// Seconds since a moment of the storage's clock.
    fn age(&self, bucket: &Bucket, at: Timestamp) -> Result<f64, String> {
        if bucket.ahead().abs() > SKEWED {
            return Err(format!("this machine's clock and the storage's differ by {} s", bucket.ahead().abs()));
        }
        let age = self.clock.now().duration_since(at).as_secs_f64();
        if age < -count(SKEWED.unsigned_abs()) {
            return Err(format!("the newest object is of {at}, which is still to come"));
        }
        Ok(age.max(0.0))
    }

    /// What is promised has to be seen on the newest object too: it may have been put there before the promise.
    async fn tell_lock(
        &self,
        bucket: &Bucket,
        subject: &Subject,
        lock: Option<Result<u64, String>>,
        newest: Option<&Newest>,
        facts: &mut MeasuredFacts,
    ) -> Result<(), Failure> {
        let days = match lock {
            None => return Ok(()),
            Some(Err(why)) => {
                facts.measure(subject, "bucket.locked", 0.0);
                facts.said.push(why);
                return Ok(());
            }
            Some(Ok(days)) => days,
        };
        let Some(newest) = newest else {
            // Nothing lies there yet; what will be put there is locked.
            facts.measure(subject, "bucket.locked", 1.0);
            return Ok(());
        };
        let seen = match bucket.head(&newest.key).await {
            Ok(seen) => seen.unwrap_or_default(),
            Err(StorageError::Refused { .. }) => crate::observe::storage::Object::default(),
            Err(other) => return Err(failure(&other)),
        };
        match (seen.mode.as_deref(), seen.until) {
            (Some(mode), Some(until)) if self.suffices(mode) && until > self.clock.now() => {
                facts.measure(subject, "bucket.locked", 1.0);
                let mode = mode.to_lowercase();
                facts.said.push(format!("{mode} lock, {days} days; {} is kept until {until}", newest.key));
            }
            (Some(mode), _) => {
                facts.measure(subject, "bucket.locked", 0.0);
                let mode = sanitize(&mode.chars().take(40).collect::<String>());
                facts.said.push(format!("the newest object {} is in the mode {mode} or its time is over", newest.key));
            }
            (None, _) => {
                let why = format!("the bucket promises {days} days, but no lock is to be seen on {}", newest.key);
                facts.untell(subject, "bucket.locked", why);
                facts.lacks("whether the newest backup is locked", "allow s3:GetObject and s3:GetObjectRetention");
            }
        }
        Ok(())
    }

    async fn tell_pairs(&self, bucket: &Bucket, facts: &mut MeasuredFacts) -> Result<(), Failure> {
        for pair in &self.config.pairs {
            let subject = Subject::Tenant { tenant: pair.tenant.clone() };
            let mut ends = Vec::new();
            for (what, prefix) in [("dump", &pair.dump), ("filestore", &pair.filestore)] {
                let why = match newest::find(bucket, prefix).await {
                    Err(StorageError::Refused { said, .. }) => format!("the bucket may not be listed: {said}"),
                    Err(other) => return Err(failure(&other)),
                    Ok(found) => match (found.cut(), found.newest) {
                        (Some(more), _) => more,
                        (None, Some(newest)) => {
                            ends.push(newest.at);
                            continue;
                        }
                        (None, None) => format!("there is no {what} below {}", sanitize(prefix)),
                    },
                };
                facts.untell(&subject, "backup.skew", why);
                break;
            }
            if let [dump, filestore] = ends.as_slice() {
                let skew = filestore.duration_since(*dump).as_secs_f64();
                facts.measure(&subject, "backup.skew", skew.abs());
                facts.said.push(format!("{}: dump of {dump}, filestore of {filestore}", pair.tenant));
            }
        }
        Ok(())
    }

    fn tell_distance(&self, subject: &Subject, facts: &mut MeasuredFacts) {
        let of = self.config.of.as_deref().unwrap_or("the primary");
        match (&self.config.region, &self.primary) {
            (Some(own), Some(primary)) => {
                facts.measure(subject, "backup.apart", if own == primary { 0.0 } else { 1.0 });
                if own == primary {
                    facts.said.push(format!("the backups lie in {}, as does {of}", sanitize(own)));
                }
            }
            (None, _) => facts.lacks(
                "whether the backups lie apart from what they are of",
                format!("declare `region` of [[bucket]] {}", self.config.id),
            ),
            (Some(_), None) => facts.lacks(
                "whether the backups lie apart from what they are of",
                format!("declare the `region` of {} in a [[service]], or of [estate]", sanitize(of)),
            ),
        }
    }
}

#[allow(clippy::cast_precision_loss, reason = "sizes and counts far below 2^53")]
fn count(n: u64) -> f64 {
    n as f64
}

/// An error as the class that a pane shows.
fn failure(error: &StorageError) -> Failure {
    let kind = match error {
        StorageError::Secret { .. } | StorageError::Config { .. } | StorageError::File(_) => FailureKind::Local,
        StorageError::Unreachable(_) => FailureKind::Unreachable,
        StorageError::Refused { .. } | StorageError::Clock { .. } => FailureKind::Permission,
        StorageError::NoBucket { .. } | StorageError::Answer { .. } | StorageError::Rubbish { .. } => {
            FailureKind::Protocol
        }
    };
    Failure::new(kind, error.to_string())
}

impl Poll for BucketObserver {
    fn spec(&self) -> SourceSpec {
        let Config { id, storage, interval, .. } = &self.config;
        let address = format!("{}/{}/{}", storage.endpoint.trim_end_matches('/'), storage.bucket, storage.prefix);
        SourceSpec { id: id.clone(), kind: SourceKind::Bucket, interval: *interval, address: sanitize(&address) }
    }

    fn timeout(&self) -> Duration {
        TIMEOUT.min(self.config.interval)
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
