//! The newest object below a prefix. Object storage lists by key and not by time, so all of them are gone through, in
//! pages and up to a bound.

use crate::domain::text::sanitize;
use crate::observe::storage::{Bucket, StorageError};
use jiff::Timestamp;

/// Objects of a page.
const PAGE: usize = 1000;
/// Pages of one look.
const PAGES: usize = 20;

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    /// Its key.
    pub(super) key: String,
    /// When it was put there.
    pub(super) at: Timestamp,
    /// Bytes.
    pub(super) size: u64,
}

/// What lies below a prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// The newest object that is not empty.
    pub(super) newest: Option<Newest>,
    /// How many such objects were seen.
    pub(super) objects: u64,
    prefix: String,
    more: bool,
}

impl Found {
    /// Why nothing can be said, where there are more objects than are gone through.
    pub(super) fn cut(&self) -> Option<String> {
        let below = if self.prefix.is_empty() { String::new() } else { format!(" below {}", sanitize(&self.prefix)) };
        self.more.then(|| format!("there are more than {} objects{below}; name a narrower prefix", PAGE * PAGES))
    }
}

/// Goes through the objects below a prefix.
pub(super) async fn find(bucket: &Bucket, prefix: &str) -> Result<Found, StorageError> {
    let mut found = Found { prefix: prefix.to_owned(), ..Found::default() };
    let mut after: Option<String> = None;
    for _ in 0..PAGES {
        let page = bucket.objects(prefix, after.as_deref(), PAGE).await?;
        // What is empty stands for a folder, or for a backup that came to nothing.
        for object in page.objects.iter().filter(|o| o.size > 0) {
            found.objects += 1;
            if found.newest.as_ref().is_none_or(|n| n.at < object.modified) {
                let key = object.key.clone();
                found.newest = Some(Newest { key, at: object.modified, size: object.size });
            }
        }
        match page.objects.last().filter(|_| page.more) {
            Some(last) => after = Some(last.key.clone()),
            None => return Ok(found),
        }
    }
    found.more = true;
    Ok(found)
}
