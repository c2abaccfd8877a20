//! A bucket of S3-compatible object storage: requests signed with AWS Signature Version 4 (by `rusty-s3`, in the
//! query), create-only puts, all versions of objects, and what protects them.

mod error;
pub mod xml;

use crate::config::bucket::Bucket as Watched;
use crate::config::model::{Anchor as Config, SecretRef, Storage};
use crate::config::secret::{self, Secret};
use crate::domain::ports::Clock;
use crate::domain::text::sanitize;
use crate::observe::http::{Answer, Http, Trust, public};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
pub use error::StorageError;
use reqwest::Url;
use rusty_s3::{Method, UrlStyle, signing};
use sha2::{Digest as _, Sha256};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use xml::Page;

/// Time allowed for a request that carries little.
const PATIENCE: Duration = Duration::from_secs(15);
/// The least speed at which a body has to go, in bytes a second; what is longer is given more time.
const SLOWEST: u64 = 64 << 10;
/// For how long a signature holds: what S3 allows clocks to differ by.
const SIGNED_FOR: u64 = 15 * 60;
/// Bytes of a listing or an error that are taken.
const ANSWER: usize = 8 << 20;
/// A clock that differs by more is named as the cause of a refusal.
const SKEWED: i64 = 5 * 60;

/// What a put came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now, as this version; none where the bucket keeps no versions.
    Made(Option<String>),
    /// The key was taken; nothing was written.
    Taken,
}

/// A version of an object with what protects it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Object {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// `COMPLIANCE` or `GOVERNANCE`; none when it is not locked, or the server does not let us see that.
    pub mode: Option<String>,
    /// Until when.
    pub until: Option<jiff::Timestamp>,
}

impl Object {
    /// Whether nobody can remove it before this moment.
    pub fn is_kept_until(&self, moment: jiff::Timestamp) -> bool {
        self.mode.as_deref() == Some("COMPLIANCE") && self.until.is_some_and(|u| u >= moment)
    }
}

/// A bucket and the key to it.
pub struct Bucket {
    http: Http,
    place: rusty_s3::Bucket,
    endpoint: String,
    region: String,
    access_key: Secret,
    secret_key: Secret,
    clock: Arc<dyn Clock>,
    /// Seconds by which this host's clock was ahead at the last answer.
    ahead: AtomicI64,
    /// Whether the server said that it knows no create-only puts.
    looks_first: AtomicBool,
}

struct Ask<'a> {
    method: Method,
    /// None for the bucket itself.
    key: Option<&'a str>,
    /// Sorted by name.
    query: &'a [(&'a str, &'a str)],
    /// Sorted by name, in small letters.
    headers: &'a [(&'a str, &'a str)],
    body: Body,
    limit: usize,
    doing: &'static str,
}

enum Body {
    None,
    Bytes(Vec<u8>),
    File(tokio::fs::File, u64),
}

impl Body {
    const fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(_, len) => *len,
        }
    }
}

/// What it takes to reach a bucket.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// The table of the configuration that says so.
    table: &'static str,
    endpoint: &'a str,
    bucket: &'a str,
    region: &'a str,
    /// Access key id and secret access key.
    keys: (&'a SecretRef, &'a SecretRef),
    ca: Option<&'a Path>,
}

impl<'a> From<&'a Config> for Access<'a> {
    fn from(config: &'a Config) -> Self {
        let Config { endpoint, bucket, region, access_key, secret_key, ca, .. } = config;
        Self { table: "[journal.anchor]", endpoint, bucket, region, keys: (access_key, secret_key), ca: ca.as_deref() }
    }
}

impl<'a> From<&'a Watched> for Access<'a> {
    fn from(config: &'a Watched) -> Self {
        Self { table: "[[bucket]]", ..Self::from(&config.storage) }
    }
}

impl<'a> From<&'a Storage> for Access<'a> {
    fn from(storage: &'a Storage) -> Self {
        let Storage { endpoint, bucket, signing_region: region, access_key, secret_key, ca, .. } = storage;
        Self {
            table: "[[journal.archive]]",
            endpoint,
            bucket,
            region,
            keys: (access_key, secret_key),
            ca: ca.as_deref(),
        }
    }
}

impl Bucket {
    /// Reads the keys and the authorities; asks the server nothing yet.
    pub async fn connect<'a>(config: impl Into<Access<'a>>, clock: Arc<dyn Clock>) -> Result<Self, StorageError> {
        let Access { table, endpoint: base, bucket, region, keys: (access_key, secret_key), ca } = config.into();
        let read = async |key, reference| {
            secret::read(reference).await.map_err(|e| StorageError::Secret { table, key, why: e.to_string() })
        };
        let access_key = read("access_key", access_key).await?;
        let secret_key = read("secret_key", secret_key).await?;
        let bad = |why: String| StorageError::Config { table, why };
        let endpoint = Url::parse(base).map_err(|e| bad(e.to_string()))?;
        let (name, signed_for) = (bucket.to_owned(), region.to_owned());
        let place =
            rusty_s3::Bucket::new(endpoint, UrlStyle::Path, name, signed_for).map_err(|e| bad(e.to_string()))?;
        let trust = Trust::for_urls(ca, [base]);
        let http = tokio::task::spawn_blocking(move || Http::new(&trust)).await;
        let http = http.map_err(|_| bad("making an HTTP client was broken off".into()))?;
        let http = http.map_err(|e| bad(e.message))?;
        Ok(Self {
            http,
            place,
            endpoint: public(base),
            region: region.to_owned(),
            access_key,
            secret_key,
            clock,
            ahead: AtomicI64::new(0),
            looks_first: AtomicBool::new(false),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.place.name()
    }

    /// Where it is, for people.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Seconds by which this host's clock was ahead of the storage's at the last answer.
    pub fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Whether create-only puts are not known there, so that it is looked first and then put.
    pub fn looks_first(&self) -> bool {
        self.looks_first.load(Ordering::Relaxed)
    }

    /// Now, by this host's clock.
    pub fn now(&self) -> jiff::Timestamp {
        self.clock.now()
    }

    /// Puts an object unless its key is taken.
    pub async fn put_new(&self, key: &str, bytes: &[u8], doing: &'static str) -> Result<Put, StorageError> {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        if !self.looks_first() {
            match self.put(key, Body::Bytes(bytes.to_vec()), &digest, true, doing).await? {
                Some(put) => return Ok(put),
                None => self.looks_first.store(true, Ordering::Relaxed),
            }
        }
        if self.exists(key, doing).await? {
            return Ok(Put::Taken);
        }
        self.put(key, Body::Bytes(bytes.to_vec()), &digest, false, doing).await.map(|p| p.unwrap_or(Put::Taken))
    }

    /// The same with a file of this length and digest, which is not held in memory.
    pub async fn put_file(
        &self,
        key: &str,
        path: &std::path::Path,
        digest: &[u8; 32],
        doing: &'static str,
    ) -> Result<Put, StorageError> {
        let failed = |e: std::io::Error| StorageError::File(format!("{} can not be read: {e}", path.display()));
        // Looking first costs one small request and keeps a large file from being sent for nothing.
        if self.exists(key, doing).await? {
            return Ok(Put::Taken);
        }
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let len = file.metadata().await.map_err(failed)?.len();
        let only_new = !self.looks_first();
        if let Some(put) = self.put(key, Body::File(file, len), digest, only_new, doing).await? {
            return Ok(put);
        }
        // It knows no create-only puts, and it was looked first.
        self.looks_first.store(true, Ordering::Relaxed);
        let file = tokio::fs::File::open(path).await.map_err(failed)?;
        let put = self.put(key, Body::File(file, len), digest, false, doing).await?;
        put.ok_or_else(|| self.said(doing, 501, b""))
    }

    /// None when the server does not know create-only puts.
    async fn put(
        &self,
        key: &str,
        body: Body,
        digest: &[u8; 32],
        only_new: bool,
        doing: &'static str,
    ) -> Result<Option<Put>, StorageError> {
        // The server refuses a body that came in otherwise. Amazon asks for a checksum where objects are locked.
        let checksum = BASE64_STANDARD.encode(digest);
        let with: &[(&str, &str)] = &[("if-none-match", "*"), ("x-amz-checksum-sha256", &checksum)];
        let headers = if only_new { with } else { with.get(1..).unwrap_or_default() };
        let ask = Ask { method: Method::Put, key: Some(key), query: &[], headers, body, limit: ANSWER, doing };
        let answer = self.send(ask).await?;
        match answer.status {
            200 => Ok(Some(Put::Made(header(&answer, "x-amz-version-id")))),
            412 if only_new => Ok(Some(Put::Taken)),
            501 if only_new => Ok(None),
            status => Err(self.said(doing, status, &answer.body)),
        }
    }

    async fn exists(&self, key: &str, doing: &'static str) -> Result<bool, StorageError> {
        let ask = Ask {
            method: Method::Head,
            key: Some(key),
            query: &[],
            headers: &[],
            body: Body::None,
            limit: ANSWER,
            doing,
        };
        let answer = self.send(ask).await?;
        match answer.status {
            200 => Ok(true),
            404 => Ok(false),
            status => Err(self.said(doing, status, &answer.body)),
        }
    }

    /// A version of an object, of at most `limit` bytes.
    pub async fn get(&self, key: &str, version: &str, limit: usize) -> Result<Object, StorageError> {
        let doing = "getting a version of an object";
        let query = [("versionId", version)];
        let ask =
            Ask { method: Method::Get, key: Some(key), query: &query, headers: &[], body: Body::None, limit, doing };
        let answer = self.send(ask).await?;
        if answer.status != 200 {
            return Err(self.said(doing, answer.status, &answer.body));
        }
        Ok(protected(answer))
    }

    /// An object as it is now, of at most `limit` bytes; none when there is none.
    pub async fn newest(&self, key: &str, limit: usize, doing: &'static str) -> Result<Option<Vec<u8>>, StorageError> {
        let ask = Ask { method: Method::Get, key: Some(key), query: &[], headers: &[], body: Body::None, limit, doing };
        let answer = self.send(ask).await?;
        match answer.status {
            200 => Ok(Some(answer.body)),
            404 if !is_no_bucket(&answer.body) => Ok(None),
            status => Err(self.said(doing, status, &answer.body)),
        }
    }

    /// Tries to delete a version for good; whether the server did.
    pub async fn delete(&self, key: &str, version: &str) -> Result<bool, StorageError> {
        let doing = "deleting a version of an object";
        let query = [("versionId", version)];
        let ask = Ask {
            method: Method::Delete,
            key: Some(key),
            query: &query,
            headers: &[],
            body: Body::None,
            limit: ANSWER,
            doing,
        };
        let answer = self.send(ask).await?;
        match answer.status {
            200 | 204 => Ok(true),
            // Both are said of what is locked.
            403 => Ok(false),
            400 if xml::error(&answer.body).is_some_and(|(code, _)| code == "InvalidRequest") => Ok(false),
            status => Err(self.said(doing, status, &answer.body)),
        }
    }

    /// A page of all versions of the objects whose keys begin with `prefix`, after a place.
    pub async fn versions(
        &self,
        prefix: &str,
        after: Option<(&str, Option<&str>)>,
        most: usize,
    ) -> Result<Page, StorageError> {
        let doing = "listing versions";
        let most = most.to_string();
        let mut query = vec![("encoding-type", "url")];
        if let Some((key, _)) = after {
            query.push(("key-marker", key));
        }
        query.extend([("max-keys", most.as_str()), ("prefix", prefix)]);
        if let Some((_, Some(version))) = after {
            query.push(("version-id-marker", version));
        }
        query.push(("versions", ""));
        query.sort_unstable();
        self.xml(&query, doing, xml::versions).await
    }

    /// A page of the objects whose keys begin with `prefix`, behind the key `after`.
    pub async fn objects(&self, prefix: &str, after: Option<&str>, most: usize) -> Result<xml::Objects, StorageError> {
        let most = most.to_string();
        let mut query =
            vec![("encoding-type", "url"), ("list-type", "2"), ("max-keys", most.as_str()), ("prefix", prefix)];
        query.extend(after.map(|key| ("start-after", key)));
        self.xml(&query, "listing objects", xml::objects).await
    }

    /// What protects the newest version of an object; none when there is no object.
    pub async fn head(&self, key: &str) -> Result<Option<Object>, StorageError> {
        let doing = "looking at an object";
        let ask =
            Ask { method: Method::Head, key: Some(key), query: &[], headers: &[], body: Body::None, limit: 0, doing };
        let answer = self.send(ask).await?;
        match answer.status {
            200 => Ok(Some(protected(answer))),
            404 => Ok(None),
            status => Err(self.said(doing, status, &answer.body)),
        }
    }

    /// Whether versions are kept.
    pub async fn versioning(&self) -> Result<bool, StorageError> {
        self.xml(&[("versioning", "")], "reading whether versions are kept", xml::versioning).await
    }

    /// What locks objects.
    pub async fn lock(&self) -> Result<xml::Lock, StorageError> {
        let doing = "reading its object lock";
        match self.ask_xml(&[("object-lock", "")], doing).await? {
            answer if answer.status == 200 => self.parse(&answer, doing, xml::lock),
            // Amazon and others: ObjectLockConfigurationNotFoundError.
            answer if answer.status == 404 && !is_no_bucket(&answer.body) => Ok(xml::Lock::default()),
            answer => Err(self.said(doing, answer.status, &answer.body)),
        }
    }

    async fn xml<T>(
        &self,
        query: &[(&str, &str)],
        doing: &'static str,
        read: fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, StorageError> {
        let answer = self.ask_xml(query, doing).await?;
        if answer.status != 200 {
            return Err(self.said(doing, answer.status, &answer.body));
        }
        self.parse(&answer, doing, read)
    }

    async fn ask_xml(&self, query: &[(&str, &str)], doing: &'static str) -> Result<Answer, StorageError> {
        let ask = Ask { method: Method::Get, key: None, query, headers: &[], body: Body::None, limit: ANSWER, doing };
        self.send(ask).await
    }

    fn parse<T>(
        &self,
        answer: &Answer,
        doing: &'static str,
        read: fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, StorageError> {
        let rubbish = |why| StorageError::Rubbish { endpoint: self.endpoint.clone(), doing, why };
        if answer.truncated {
            return Err(rubbish(format!("more than {ANSWER} bytes")));
        }
        read(&answer.body).map_err(rubbish)
    }

    async fn send(&self, ask: Ask<'_>) -> Result<Answer, StorageError> {
        let Ask { method, key, query, headers, body, limit, doing } = ask;
        let url = key.map_or_else(|| self.place.base_url().clone(), |key| self.place.object_url(key));
        let signed = signing::sign(
            &self.clock.now(),
            method,
            url.clone(),
            self.access_key.expose(),
            self.secret_key.expose(),
            None,
            &self.region,
            SIGNED_FOR,
            query.iter().copied(),
            headers.iter().copied(),
        );
        let patience = PATIENCE + Duration::from_secs(body.len() / SLOWEST);
        let verb = match method {
            Method::Head => reqwest::Method::HEAD,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
            Method::Get | Method::Post => reqwest::Method::GET,
        };
        let mut request = self.http.request(verb, signed);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if matches!(method, Method::Put) {
            request = request.header(reqwest::header::CONTENT_LENGTH, body.len());
        }
        request = match body {
            Body::None => request,
            Body::Bytes(bytes) => request.body(bytes),
            Body::File(file, _) => request.body(file),
        };
        let answer = Http::send(request, url.as_str(), limit, patience).await;
        let answer = answer.map_err(|failure| StorageError::Unreachable(failure.message))?;
        let theirs = header(&answer, "date").and_then(|d| jiff::fmt::rfc2822::parse(&d).ok());
        match theirs {
            Some(theirs) => {
                let ahead = self.clock.now().as_second() - theirs.timestamp().as_second();
                self.ahead.store(ahead, Ordering::Relaxed);
            }
            // Every HTTP server with a clock sends it (RFC 9110, 6.6.1), so this is no storage.
            None => {
                let why = format!("HTTP {} without a date", answer.status);
                return Err(StorageError::Rubbish { endpoint: self.endpoint.clone(), doing, why });
            }
        }
        Ok(answer)
    }

    /// What an answer that was not hoped for says.
    fn said(&self, doing: &'static str, status: u16, body: &[u8]) -> StorageError {
        let bucket = self.name().to_owned();
        let error = xml::error(body);
        let code = error.as_ref().map_or("", |(code, _)| code.as_str());
        let words = error.as_ref().map(
            |(code, message)| {
                if message.is_empty() { code.clone() } else { format!("{code}, {message}") }
            },
        );
        match (status, code) {
            (404, "NoSuchBucket") => StorageError::NoBucket { bucket, endpoint: self.endpoint.clone() },
            (401 | 403, _) if code == "RequestTimeTooSkewed" || self.ahead().abs() > SKEWED => {
                StorageError::Clock { bucket, doing, ahead: self.ahead() }
            }
            (401 | 403, _) => {
                StorageError::Refused { bucket, doing, said: words.unwrap_or_else(|| format!("HTTP {status}")) }
            }
            (200..=299, _) => {
                let why = format!("HTTP {status} without what was asked for");
                StorageError::Rubbish { endpoint: self.endpoint.clone(), doing, why }
            }
            _ => {
                let said = words.map(|w| format!(": {}", sanitize(&w))).unwrap_or_default();
                StorageError::Answer { bucket, doing, status, said }
            }
        }
    }
}

/// What an answer says of the lock of its object.
fn protected(answer: Answer) -> Object {
    let mode = header(&answer, "x-amz-object-lock-mode");
    let until = header(&answer, "x-amz-object-lock-retain-until-date").and_then(|t| t.parse().ok());
    Object { bytes: answer.body, mode, until }
}

fn is_no_bucket(body: &[u8]) -> bool {
    xml::error(body).is_none_or(|(code, _)| code == "NoSuchBucket")
}

fn header(answer: &Answer, name: &str) -> Option<String> {
    answer.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}
