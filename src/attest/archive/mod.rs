//! Where sealed segments and their evidence are moved: a directory, or a bucket of object storage, in a region that the
//! configuration allows. A copy counts when it was read back and has the digest that was sent. The command line copies;
//! letting the originals go is for the holder of the log.

mod directory;

use crate::config::model::{Archive as Config, Store as Wanted};
use crate::domain::id::Digest;
use crate::domain::ports::Clock;
use crate::domain::text::sanitize;
use crate::journal::JournalError;
use crate::journal::evidence::digest;
use crate::journal::pruned::Place;
use crate::observe::storage::{Bucket, StorageError};
use directory::Directory;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// Greatest file that is read back.
const LARGEST: usize = 256 << 20;

/// Name of the file that says whose archive it is.
const LABEL: &str = "archive.json";

/// What went wrong with an archive, one sentence each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// Its directory can not be used.
    #[error("the archive {place} can not be used: {why}")]
    Directory {
        /// Which.
        place: String,
        /// Why.
        why: String,
    },
    /// Its object storage can not be used.
    #[error("the archive {place}: {why}")]
    Storage {
        /// Which.
        place: String,
        /// Why.
        why: StorageError,
    },
    /// It belongs to another log.
    #[error("the archive {place} is that of the log `{found}`, not of `{expected}`; each log has its own")]
    OtherLog {
        /// Which.
        place: String,
        /// Log found.
        found: String,
        /// Log asked for.
        expected: String,
    },
    /// It is in another region than the configuration says.
    #[error(
        "the archive {place} says that it is in the region `{found}`, and the records of this estate may lie in `{allowed}` only; nothing was written there"
    )]
    OtherRegion {
        /// Which.
        place: String,
        /// Region found.
        found: String,
        /// Region of the estate.
        allowed: String,
    },
    /// What says whose it is can not be understood.
    #[error("the archive {place} can not be used: its {LABEL} can not be understood ({why})")]
    Label {
        /// Which.
        place: String,
        /// Why.
        why: String,
    },
    /// A file has other bytes there than were sent, or than were there.
    #[error(
        "{name} in the archive {place} has other bytes than were copied: their digest is {found}, not {expected}; the original stays where it is"
    )]
    Unlike {
        /// Which.
        place: String,
        /// File.
        name: String,
        /// Digest there.
        found: Digest,
        /// Digest here.
        expected: Digest,
    },
    /// A file is not there.
    #[error("{name} is not in the archive {place}")]
    Missing {
        /// Which.
        place: String,
        /// File.
        name: String,
    },
    /// The log itself can not be read.
    #[error(transparent)]
    Log(#[from] JournalError),
}

/// Says whose archive it is.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    origin: String,
    region: String,
}

/// Where the files are.
enum Store {
    Directory(Directory),
    Bucket { bucket: Box<Bucket>, prefix: String },
}

/// An archive of one log.
pub struct Archive {
    store: Store,
    place: Place,
}

impl std::fmt::Debug for Archive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archive").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Archive {
    /// Reaches the archive of a log, and makes sure that it is its own and in the region that it is said to be in.
    pub async fn open(config: &Config, origin: &str, clock: Arc<dyn Clock>) -> Result<Self, ArchiveError> {
        let region = config.region.clone();
        let (store, location) = match &config.store {
            Wanted::Directory(dir) => (Store::Directory(Directory::new(dir.clone())), dir.display().to_string()),
            Wanted::Bucket(storage) => {
                let location = format!("s3://{}/{} at {}", storage.bucket, storage.prefix, storage.endpoint);
                let bucket = Bucket::connect(storage, clock).await;
                let bucket = bucket.map_err(|why| ArchiveError::Storage { place: location.clone(), why })?;
                (Store::Bucket { bucket: Box::new(bucket), prefix: storage.prefix.clone() }, location)
            }
        };
        let archive = Self { store, place: Place { region, location } };
        archive.check_label(origin).await?;
        Ok(archive)
    }

    /// Where it is.
    pub const fn place(&self) -> &Place {
        &self.place
    }

    async fn check_label(&self, origin: &str) -> Result<(), ArchiveError> {
        let place = || self.place.location.clone();
        let ours = Label { origin: origin.to_owned(), region: self.place.region.clone() };
        let bytes = match self.get(LABEL).await? {
            Some(bytes) => bytes,
            None => {
                let failed = |e: serde_json::Error| ArchiveError::Label { place: place(), why: e.to_string() };
                let bytes = serde_json::to_vec(&ours).map_err(failed)?;
                self.put(LABEL, &bytes).await?;
                self.get(LABEL).await?.ok_or_else(|| self.missing(LABEL))?
            }
        };
        let label: Label =
            serde_json::from_slice(&bytes).map_err(|e| ArchiveError::Label { place: place(), why: e.to_string() })?;
        if label.origin != ours.origin {
            let (found, expected) = (sanitize(&label.origin), ours.origin);
            return Err(ArchiveError::OtherLog { place: place(), found, expected });
        }
        if label.region != ours.region {
            let (found, allowed) = (sanitize(&label.region), ours.region);
            return Err(ArchiveError::OtherRegion { place: place(), found, allowed });
        }
        Ok(())
    }

    /// Puts a file there, unless one of that name is; whether it was put.
    pub async fn keep(&self, name: &str, from: &Path, sha256: &Digest) -> Result<bool, ArchiveError> {
        match &self.store {
            Store::Directory(dir) => {
                let (dir, name, from) = (dir.clone(), name.to_owned(), from.to_owned());
                self.blocking(move || dir.copy(&name, &from)).await
            }
            Store::Bucket { bucket, prefix } => {
                let hash = crate::attest::anchor::hash(sha256);
                let key = format!("{prefix}/{name}");
                let put = bucket.put_file(&key, from, &hash, "putting a file of the archive");
                let put = put.await.map_err(|why| self.storage(why))?;
                Ok(put != crate::attest::anchor::Put::Taken)
            }
        }
    }

    /// Reads a file back and checks its digest.
    pub async fn read(&self, name: &str, sha256: &Digest) -> Result<Vec<u8>, ArchiveError> {
        let bytes = self.get(name).await?.ok_or_else(|| self.missing(name))?;
        let found = digest(&bytes);
        if found == *sha256 {
            return Ok(bytes);
        }
        let (place, name) = (self.place.location.clone(), name.to_owned());
        Err(ArchiveError::Unlike { place, name, found, expected: sha256.clone() })
    }

    async fn get(&self, name: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        match &self.store {
            Store::Directory(dir) => {
                let (dir, name) = (dir.clone(), name.to_owned());
                self.blocking(move || dir.read(&name)).await
            }
            Store::Bucket { bucket, prefix } => {
                let key = format!("{prefix}/{name}");
                let got = bucket.newest(&key, LARGEST, "reading a file of the archive");
                got.await.map_err(|why| self.storage(why))
            }
        }
    }

    async fn put(&self, name: &str, bytes: &[u8]) -> Result<(), ArchiveError> {
        match &self.store {
            Store::Directory(dir) => {
                let (dir, name, bytes) = (dir.clone(), name.to_owned(), bytes.to_owned());
                self.blocking(move || dir.write(&name, &bytes)).await.map(|_| ())
            }
            Store::Bucket { bucket, prefix } => {
                let key = format!("{prefix}/{name}");
                let put = bucket.put_new(&key, bytes, "putting a file of the archive");
                put.await.map(|_| ()).map_err(|why| self.storage(why))
            }
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, ArchiveError> {
        let failed = |why: String| ArchiveError::Directory { place: self.place.location.clone(), why };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|e| failed(e.to_string()))?.map_err(failed)
    }

    fn storage(&self, why: StorageError) -> ArchiveError {
        ArchiveError::Storage { place: self.place.location.clone(), why }
    }

    fn missing(&self, name: &str) -> ArchiveError {
        ArchiveError::Missing { place: self.place.location.clone(), name: name.to_owned() }
    }
}
