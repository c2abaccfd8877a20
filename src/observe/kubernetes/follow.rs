//! Following one kind: all objects once, then each change, for ever. A watch that ends or breaks is resumed
//! from the last version that was seen; when the server no longer has that version, all objects are read anew.
//!
//! All objects come as a streaming list (`sendInitialEvents`, on by default or refused by name since
//! Kubernetes 1.27), which costs neither side a whole list in memory; on older servers as pages.

use super::feed::{Board, Kind, State};
use super::lines::Lines;
use super::link::{Fault, Link};
use super::wire::{Event, Page};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use http::Request;
use jiff::Timestamp;
use rand_core::{OsRng, RngCore as _};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long an API server is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it begins to answer a watch. One that is being started takes requests long before it can.
    pub answer: Duration,
    /// For a page of a list, or the next object of a streaming list.
    pub page: Duration,
    /// For the next change. A bookmark comes about once a minute on a watch without any; one that is silent for longer
    /// than this is dead, whatever TCP believes.
    pub silence: Duration,
}

impl Patience {
    /// That of the observers.
    pub const USUAL: Self =
        Self { answer: Duration::from_secs(10), page: Duration::from_secs(30), silence: Duration::from_secs(90) };
}

/// A watch that the server ends sooner than this has not worked.
const SHORTEST_WATCH: Duration = Duration::from_secs(5);

/// Objects on one page of a list.
const PAGE: u32 = 250;

/// Longest page; objects are at most 1.5 MiB in etcd and rarely more than 20 KiB.
const PAGE_BYTES: usize = 64 << 20;

/// Follows one kind until it is dropped; what takes longer than the patience is given up.
pub async fn follow<K: Kind>(link: Link, board: Arc<Board>, streaming: bool, patience: Patience) {
    let mut follower = Follower { link, board, streaming, patience, version: None };
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        let end = follower.watch::<K>().await;
        let lasted = began.elapsed() >= SHORTEST_WATCH;
        if lasted {
            failures = 0;
        }
        let failure = match end {
            End::Closed if lasted => continue,
            End::Expired if lasted => {
                follower.version = None;
                continue;
            }
            End::NotStreaming => {
                follower.streaming = false;
                continue;
            }
            End::Closed => follower.link.failure(FailureKind::Unreachable, "ends its watches at once"),
            End::Expired => {
                follower.version = None;
                follower.link.failure(FailureKind::Unreachable, "can not go on with a watch it has just begun")
            }
            End::Fault(fault) => {
                let code = fault.code();
                let failure = fault.into_failure();
                if code == Some(403) {
                    failures = failures.saturating_add(1);
                    follower.forbidden::<K>(failure);
                    // Soon at first: a server that has only just been started knows nobody's rights yet.
                    tokio::time::sleep(pause(failures)).await;
                    continue;
                }
                failure
            }
        };
        failures = failures.saturating_add(1);
        // A sample that finds the watch down wakes it up, so the pause only matters between samples.
        let mut nudged = pin!(follower.board.nudge.notified());
        nudged.as_mut().enable();
        let message = format!("watch of {}: {}", K::FEED.resource(), failure.message);
        follower.board.set(K::FEED, State::Down(Failure::new(failure.kind, message)));
        let _ = tokio::time::timeout(pause(failures), nudged).await;
    }
}

/// Half a second, doubled with each failure in a row to at most 32 s, and up to a fifth less.
fn pause(failures: u32) -> Duration {
    let jitter = f64::from(OsRng.next_u32()) / f64::from(u32::MAX) / 5.0;
    Duration::from_millis(500).saturating_mul(2_u32.pow(failures.saturating_sub(1).min(6))).mul_f64(1.0 - jitter)
}

/// How one watch ended.
enum End {
    /// By the server, as it does after the time that was asked for.
    Closed,
    /// The server no longer has the version.
    Expired,
    /// The server does not know streaming lists.
    NotStreaming,
    /// By an error.
    Fault(Fault),
}

impl From<Fault> for End {
    fn from(fault: Fault) -> Self {
        if fault.code() == Some(410) { Self::Expired } else { Self::Fault(fault) }
    }
}

struct Follower {
    link: Link,
    board: Arc<Board>,
    streaming: bool,
    patience: Patience,
    /// Version up to which the rows are complete.
    version: Option<String>,
}

impl Follower {
    async fn watch<K: Kind>(&mut self) -> End {
        match self.watch_until_end::<K>().await {
            Ok(end) | Err(end) => end,
        }
    }

    /// Opens one watch and reads it to its end.
    async fn watch_until_end<K: Kind>(&mut self) -> Result<End, End> {
        if self.board.state(K::FEED) == State::Live {
            self.board.set(K::FEED, State::Starting);
        }
        if self.version.is_none() && !self.streaming {
            self.list::<K>().await?;
        }
        let mut lines = self.open::<K>().await?;
        // Without a version, the objects of the start come first.
        let mut listing = self.version.is_none();
        if listing {
            K::table(&mut self.board.store()).begin();
        } else {
            self.board.set(K::FEED, State::Live);
        }
        loop {
            let patience = if listing { self.patience.page } else { self.patience.silence };
            let line = match tokio::time::timeout(patience, lines.next()).await {
                Ok(line) => line?,
                Err(_) if listing => return Err(End::NotStreaming),
                Err(_) => {
                    let why = format!("watch silent for {} s", patience.as_secs_f64());
                    return Err(Fault::Lost(self.link.failure(FailureKind::Timeout, &why)).into());
                }
            };
            let Some(line) = line else { return Ok(End::Closed) };
            let event: Event<K> = serde_json::from_slice(line).map_err(|e| self.rubbish("a watch", &e))?;
            match event {
                Event::Added(object) | Event::Modified(object) => {
                    if !listing {
                        self.version = Some(object.meta().resource_version.clone());
                    }
                    object.put(&mut self.board.store(), Timestamp::now());
                }
                Event::Deleted(object) => {
                    if !listing {
                        self.version = Some(object.meta().resource_version.clone());
                    }
                    K::table(&mut self.board.store()).remove(&sanitize(&object.meta().uid));
                }
                Event::Bookmark(mark) => {
                    let ends_list = mark.metadata.annotations.is_some_and(|a| a.value.as_deref() == Some("true"));
                    if listing && ends_list {
                        listing = false;
                        self.complete::<K>();
                        self.board.set(K::FEED, State::Live);
                    }
                    if !listing {
                        self.version = Some(mark.metadata.resource_version);
                    }
                }
                Event::Error(status) => return Err(self.link.refused(status.code, &status.message).into()),
            }
        }
    }

    /// Sends the watch request.
    async fn open<K: Kind>(&self) -> Result<Lines, End> {
        // Between four and five minutes, so that the watches of many observers do not end together.
        let seconds = 240 + OsRng.next_u32() % 60;
        let mut path = format!("{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}", K::FEED.path());
        match &self.version {
            Some(version) => {
                path.push_str("&resourceVersion=");
                path.extend(version.chars().filter(char::is_ascii_alphanumeric));
            }
            None => path.push_str("&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"),
        }
        let request = Request::get(&path).body(Vec::new()).map_err(|e| {
            End::Fault(Fault::NotSent(Failure::new(FailureKind::Local, format!("{path} can not be asked for: {e}"))))
        })?;
        let patience = self.patience.answer;
        let sent = tokio::time::timeout(patience, self.link.send(request)).await.map_err(|_| {
            let why = format!("no answer to a watch within {} s", patience.as_secs_f64());
            Fault::Lost(self.link.failure(FailureKind::Timeout, &why))
        })?;
        match sent {
            Ok(response) => Ok(Lines::new(self.link.clone(), response)),
            // 1.27 and later refuse by name what their feature gate WatchList does not allow.
            Err(fault) if self.version.is_none() && matches!(fault.code(), Some(400 | 422)) => Err(End::NotStreaming),
            Err(fault) => Err(fault.into()),
        }
    }

    /// Reads all objects page by page.
    async fn list<K: Kind>(&mut self) -> Result<(), End> {
        K::table(&mut self.board.store()).begin();
        let mut next = String::new();
        loop {
            let mut path = format!("{}?limit={PAGE}", K::FEED.path());
            if !next.is_empty() {
                path.push_str("&continue=");
                path.extend(http_token(&next));
            }
            let patience = self.patience.page;
            let answer = tokio::time::timeout(patience, self.link.get(&path, PAGE_BYTES)).await;
            let body = answer.map_err(|_| {
                let why = format!("no page of a list within {} s", patience.as_secs_f64());
                Fault::Lost(self.link.failure(FailureKind::Timeout, &why))
            })??;
            let page: Page<K> = serde_json::from_slice(&body).map_err(|e| self.rubbish("a list", &e))?;
            drop(body);
            let mut store = self.board.store();
            let now = Timestamp::now();
            for object in page.items.unwrap_or_default() {
                object.put(&mut store, now);
            }
            drop(store);
            next = page.metadata.next.unwrap_or_default();
            if next.is_empty() {
                self.complete::<K>();
                self.version = Some(page.metadata.resource_version);
                return Ok(());
            }
        }
    }

    /// All objects of the start are in: what they did not mention is gone.
    fn complete<K: Kind>(&self) {
        let mut store = self.board.store();
        K::table(&mut store).sweep();
        store.tidy(Timestamp::now());
    }

    /// The right is missing: what was known is no longer.
    fn forbidden<K: Kind>(&mut self, failure: Failure) {
        let mut store = self.board.store();
        let table = K::table(&mut store);
        table.begin();
        table.sweep();
        drop(store);
        self.version = None;
        self.board.set(K::FEED, State::Forbidden(failure));
    }

    fn rubbish(&self, what: &str, error: &serde_json::Error) -> End {
        // The position is told, the text is not: it is foreign and may be long.
        let why = format!("{what} is not what Kubernetes sends (column {}: {})", error.column(), category(error));
        End::Fault(Fault::Lost(self.link.failure(FailureKind::Protocol, &why)))
    }
}

fn category(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        serde_json::error::Category::Io => "unreadable",
        serde_json::error::Category::Syntax => "not JSON",
        serde_json::error::Category::Data => "JSON of another shape",
        serde_json::error::Category::Eof => "ends too early",
    }
}

/// A continue token is URL-safe base64 by convention only: everything else is escaped (RFC 3986, 2.1).
fn http_token(token: &str) -> impl Iterator<Item = char> + '_ {
    token.bytes().flat_map(|b| {
        let plain = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
        let text = if plain { char::from(b).to_string() } else { format!("%{b:02X}") };
        text.chars().collect::<Vec<_>>()
    })
}
