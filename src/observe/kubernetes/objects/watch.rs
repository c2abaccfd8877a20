//! Following one kind of object: all of them page by page, then each change. A watch that ends is resumed; one that
//! breaks is read anew after a pause. Objects of these kinds are few, so no streaming list is asked for.

use super::kinds::{KINDS, KindOf, Row};
use super::text;
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::kubernetes::follow::Patience;
use crate::observe::kubernetes::lines::Lines;
use crate::observe::kubernetes::link::{Fault, Link};
use http::Request;
use rand_core::{OsRng, RngCore as _};
use serde_json::Value;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Objects on one page, and its bytes at most.
const PAGE: u32 = 250;
const PAGE_BYTES: usize = 64 << 20;
/// Rows kept of one kind; warnings of a cluster in trouble are the most.
const ROWS: usize = 20_000;
/// How soon a kind that is not there, or a right that is missing, is tried again in the end. It begins with a second: a
/// server that has only just been started knows neither.
const AGAIN: Duration = Duration::from_mins(1);
/// A watch that ends sooner has not worked.
const SHORTEST: Duration = Duration::from_secs(5);

/// Where one watch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Being read for the first time.
    Starting,
    /// Its rows are what the server has.
    Live,
    /// The server has no such kind.
    Absent,
    /// The right is missing.
    Forbidden(Failure),
    /// Broken and tried again; its rows are old.
    Down(Failure),
}

type Rows = [HashMap<String, Row>; KINDS.len()];

/// What the watches write and the samples are made of.
#[derive(Debug)]
pub(super) struct Board {
    rows: Mutex<Rows>,
    standing: watch::Sender<[Standing; KINDS.len()]>,
    /// Wakes watches that wait before they try again.
    pub(super) nudge: Notify,
}

impl Default for Board {
    fn default() -> Self {
        let standing = watch::Sender::new([const { Standing::Starting }; KINDS.len()]);
        Self { rows: Mutex::default(), standing, nudge: Notify::new() }
    }
}

impl Board {
    /// The rows of each kind, by UID. A row is put whole or not at all, so a poisoned lock does no harm.
    pub(super) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the watch of a kind stands.
    pub(super) fn standing(&self, number: usize) -> Standing {
        self.standing.borrow().get(number).cloned().unwrap_or(Standing::Starting)
    }

    fn set(&self, number: usize, to: Standing) {
        self.standing.send_if_modified(|all| match all.get_mut(number) {
            Some(known) if *known != to => {
                *known = to;
                true
            }
            _ => false,
        });
    }

    /// Waits until no watch is starting.
    pub(super) async fn settled(&self) {
        // The sender is part of self, so the channel can not close while this waits.
        let _ = self.standing.subscribe().wait_for(|all| all.iter().all(|s| *s != Standing::Starting)).await;
    }

    fn put(&self, number: usize, kind: &KindOf, object: &Value) {
        let meta = &object["metadata"];
        let uid = text(&meta["uid"]);
        let row = (kind.read)(object).map(|what| Row {
            namespace: text(&meta["namespace"]),
            name: text(&meta["name"]),
            what,
        });
        let mut rows = self.rows();
        let Some(rows) = rows.get_mut(number) else { return };
        match row {
            Some(row) if rows.len() < ROWS || rows.contains_key(&uid) => drop(rows.insert(uid, row)),
            _ => drop(rows.remove(&uid)),
        }
    }

    fn clear(&self, number: usize) {
        if let Some(rows) = self.rows().get_mut(number) {
            *rows = HashMap::new();
        }
    }
}

/// Follows one kind until it is dropped; what takes longer than the patience is not waited for.
pub(super) async fn follow(link: Link, board: Arc<Board>, number: usize, kind: &'static KindOf, patience: Patience) {
    let mut failures = 0_u32;
    loop {
        let began = Instant::now();
        let fault = match whole(&link, &board, number, kind, patience).await {
            Ok(()) => continue,
            Err(fault) => fault,
        };
        failures = if began.elapsed() >= SHORTEST { 1 } else { failures.saturating_add(1) };
        let pause = AGAIN.min(Duration::from_millis(500).saturating_mul(2_u32.pow(failures.min(7))));
        let standing = match fault.code() {
            Some(410) if failures == 1 => continue,
            Some(404) => Standing::Absent,
            Some(403) => Standing::Forbidden(fault.into_failure()),
            _ => {
                let failure = fault.into_failure();
                let words = format!("watch of {}: {}", kind.resource, failure.message);
                Standing::Down(Failure::new(failure.kind, words))
            }
        };
        let down = matches!(standing, Standing::Down(_));
        if !down {
            board.clear(number);
        }
        let mut nudged = pin!(board.nudge.notified());
        nudged.as_mut().enable();
        board.set(number, standing);
        if down {
            // A sample that finds it down wakes it up, so the pause only matters between samples.
            let _ = tokio::time::timeout(pause, nudged).await;
        } else {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Reads all objects, then watches until the watch breaks.
async fn whole(link: &Link, board: &Board, number: usize, kind: &KindOf, patience: Patience) -> Result<(), Fault> {
    let mut version = list(link, board, number, kind, patience.page).await?;
    board.set(number, Standing::Live);
    loop {
        let began = Instant::now();
        let end = changes(link, board, number, kind, version, patience).await?;
        if matches!(end, End::Closed(_)) && began.elapsed() < SHORTEST {
            return Err(Fault::Lost(link.failure(FailureKind::Unreachable, "ends its watches at once")));
        }
        let (End::Closed(newest) | End::Silent(newest)) = end;
        version = newest;
    }
}

/// How one watch ended, and the version that it has led to.
enum End {
    /// By the server, as it does after the time that was asked for.
    Closed(String),
    /// Nothing came any more. A busy server sends its bookmarks late; whether it is there, the next watch tells.
    Silent(String),
}

async fn list(link: &Link, board: &Board, number: usize, kind: &KindOf, within: Duration) -> Result<String, Fault> {
    let mut next = String::new();
    let mut objects: Vec<Value> = Vec::new();
    loop {
        let mut path = format!("{}?limit={PAGE}{}", kind.path(), kind.selector);
        if !next.is_empty() {
            path.push_str("&continue=");
            path.extend(
                next.bytes()
                    .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") }),
            );
        }
        let body =
            tokio::time::timeout(within, link.get(&path, PAGE_BYTES)).await.map_err(|_| late(link, within))??;
        let mut page: Value = serde_json::from_slice(&body).map_err(|_| rubbish(link))?;
        if let Value::Array(items) = page["items"].take() {
            objects.extend(items);
        }
        page["metadata"]["continue"].as_str().unwrap_or_default().clone_into(&mut next);
        if next.is_empty() || objects.len() > ROWS {
            board.clear(number);
            for object in &objects {
                board.put(number, kind, object);
            }
            return page["metadata"]["resourceVersion"].as_str().map(str::to_owned).ok_or_else(|| rubbish(link));
        }
    }
}

async fn changes(
    link: &Link,
    board: &Board,
    number: usize,
    kind: &KindOf,
    from: String,
    patience: Patience,
) -> Result<End, Fault> {
    // Between four and five minutes, so that the watches of many observers do not end together.
    let seconds = 240 + OsRng.next_u32() % 60;
    let mut version: String = from.chars().filter(char::is_ascii_alphanumeric).collect();
    let path = format!(
        "{}?watch=1&allowWatchBookmarks=true&timeoutSeconds={seconds}{}&resourceVersion={version}",
        kind.path(),
        kind.selector
    );
    let request = Request::get(&path)
        .body(Vec::new())
        .map_err(|e| Fault::NotSent(Failure::new(FailureKind::Local, format!("{path} can not be asked for: {e}"))))?;
    let response =
        tokio::time::timeout(patience.answer, link.send(request)).await.map_err(|_| late(link, patience.answer))??;
    let mut body = Lines::new(link.clone(), response);
    loop {
        let Ok(entry) = tokio::time::timeout(patience.silence, body.next()).await else {
            return Ok(End::Silent(version));
        };
        let Some(entry) = entry? else { return Ok(End::Closed(version)) };
        let event: Value = serde_json::from_slice(entry).map_err(|_| rubbish(link))?;
        let object = &event["object"];
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => board.put(number, kind, object),
            Some("DELETED") => {
                if let Some(rows) = board.rows().get_mut(number) {
                    rows.remove(&text(&object["metadata"]["uid"]));
                }
            }
            Some("BOOKMARK") => {}
            Some("ERROR") => {
                let code = object["code"].as_u64().and_then(|c| u16::try_from(c).ok()).unwrap_or(500);
                return Err(link.refused(code, &text(&object["message"])));
            }
            _ => return Err(rubbish(link)),
        }
        if let Some(newest) = object["metadata"]["resourceVersion"].as_str() {
            version = newest.chars().filter(char::is_ascii_alphanumeric).collect();
        }
    }
}

fn late(link: &Link, within: Duration) -> Fault {
    Fault::Lost(link.failure(FailureKind::Timeout, &format!("nothing came for {} s", within.as_secs_f64())))
}

fn rubbish(link: &Link) -> Fault {
    Fault::Lost(link.failure(FailureKind::Protocol, "an answer is not what Kubernetes sends"))
}
