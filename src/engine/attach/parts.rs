//! A snapshot in parts: what has changed since the one before is written down once for all consoles, and put together
//! again at each of them. Work is done only while somebody is attached, and not more often than there is something to
//! see.

use super::rows::{Delta, Row, apply, diff};
use super::wire::{Say, written};
use crate::domain::estate::{Environment, Estate};
use crate::domain::finding::{Change, Finding};
use crate::domain::id::IncidentId;
use crate::domain::incident::{Incident, TimelineEntry};
use crate::domain::pane::{DatabaseRow, IngressRow, Panes, QueueRow, SourceRow, SubjectRow, TenantRow};
use crate::engine::api::{PlaybookSummary, RunView, Snapshot};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufWriter, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Least time between two updates, whatever has happened.
const FRAME: Duration = Duration::from_millis(33);
/// Least time between two updates of what is observed.
const DATA: Duration = Duration::from_millis(200);
/// Least time between two updates in which values only grow older.
const AGES: Duration = Duration::from_secs(1);
/// Bytes a second that observations may cost one console; a large update is followed by a longer pause.
const BYTES_A_SECOND: usize = 1024 * 1024;
/// Updates that are kept for consoles that are late.
const KEPT: usize = 16;
/// Bytes that are handed on at once when a snapshot is written elsewhere than into memory.
const BUFFER: usize = 64 * 1024;
/// Bytes that those may hold.
const KEPT_BYTES: usize = 4 * 1024 * 1024;

/// A part of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Nothing of what was sent before counts any more.
    Fresh,
    /// All that no other part holds.
    Rest,
    /// The declared estate.
    Estate,
    /// Playbooks.
    Playbooks,
    /// Rows of the pane.
    Sources,
    /// Rows of the pane.
    Tenants,
    /// Rows of the pane.
    Databases,
    /// Rows of the pane.
    Queues,
    /// Rows of the pane.
    Ingress,
    /// Rows of the pane.
    Platform,
    /// Rows of the pane.
    Recovery,
    /// Rows of the pane.
    Delivery,
    /// Rows of the pane.
    Business,
    /// Rows of the pane.
    Security,
    /// Findings.
    Findings,
    /// What changed.
    Changes,
    /// Incidents without their timelines.
    Incidents,
    /// The timeline of one incident.
    Timeline,
    /// Runs.
    Runs,
    /// The newest records.
    Tail,
}

impl Part {
    /// Whether it holds rows of a pane.
    const fn is_pane(self) -> bool {
        matches!(
            self,
            Self::Sources
                | Self::Tenants
                | Self::Databases
                | Self::Queues
                | Self::Ingress
                | Self::Platform
                | Self::Recovery
                | Self::Delivery
                | Self::Business
                | Self::Security
        )
    }
}

/// The timeline of one incident.
#[derive(Serialize, Deserialize)]
struct Timeline {
    incident: IncidentId,
    delta: Delta<TimelineEntry>,
}

/// The snapshot without what travels in parts of its own.
fn rest(snapshot: &Snapshot) -> Snapshot {
    let mut rest = Snapshot {
        generation: 0,
        at: Timestamp::UNIX_EPOCH,
        estate: Arc::new(nowhere()),
        panes: Arc::default(),
        findings: Arc::default(),
        changes: Arc::default(),
        incidents: Arc::default(),
        runs: Arc::default(),
        playbooks: Arc::default(),
        ..snapshot.clone()
    };
    rest.journal.tail = Arc::default();
    rest
}

fn nowhere() -> Estate {
    Estate { name: String::new(), environment: Environment::Production, time_zone: String::new(), tenants: Vec::new() }
}

fn bare(incidents: &[Incident]) -> Vec<Incident> {
    let bare = |i: &Incident| Incident {
        id: i.id.clone(),
        title: i.title.clone(),
        severity: i.severity,
        state: i.state,
        declared_at: i.declared_at,
        closed_at: i.closed_at,
        roles: i.roles.clone(),
        findings: i.findings.clone(),
        timeline: Vec::new(),
        recovery_accepted: i.recovery_accepted.clone(),
    };
    incidents.iter().map(bare).collect()
}

/// An update being written down.
struct Page<W> {
    to: W,
    /// Bytes that were written.
    bytes: usize,
    /// Whether it says more than that values have grown older.
    news: bool,
}

impl<W: Write> Write for Page<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.to.write(bytes)?;
        self.bytes += taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W: Write> Page<W> {
    fn part<T: Serialize>(&mut self, part: Part, value: &T, news: bool) -> io::Result<()> {
        self.write_all(&written(&Say::Part { part })?)?;
        serde_json::to_writer(&mut *self, value)?;
        self.write_all(b"\n")?;
        self.news |= news;
        Ok(())
    }

    fn rows<T: Row + Serialize>(&mut self, part: Part, old: Option<&[T]>, new: &[T]) -> io::Result<()> {
        match diff(old.unwrap_or_default(), new) {
            Some(delta) => self.part(part, &delta, !delta.only_ages()),
            None => Ok(()),
        }
    }

    fn seen(&mut self, snapshot: &Snapshot) -> io::Result<()> {
        self.write_all(&written(&Say::Seen { generation: snapshot.generation, at: snapshot.at })?)
    }
}

/// Writes down what differs between two snapshots; all of it when there is none before.
fn write<W: Write>(before: Option<&Snapshot>, now: &Snapshot, to: W) -> io::Result<Page<W>> {
    let mut page = Page { to, bytes: 0, news: false };
    if before.is_none() {
        page.part(Part::Fresh, &(), true)?;
    }
    let light = rest(now);
    if before.is_none_or(|b| rest(b) != light) {
        page.part(Part::Rest, &light, true)?;
    }
    if before.is_none_or(|b| !Arc::ptr_eq(&b.estate, &now.estate) && b.estate != now.estate) {
        page.part(Part::Estate, &now.estate, true)?;
    }
    if before.is_none_or(|b| !Arc::ptr_eq(&b.playbooks, &now.playbooks) && b.playbooks != now.playbooks) {
        page.part(Part::Playbooks, &now.playbooks, true)?;
    }
    if before.is_none_or(|b| !Arc::ptr_eq(&b.panes, &now.panes)) {
        let old = before.map(|b| &*b.panes);
        page.rows(Part::Sources, old.map(|p| &*p.sources), &now.panes.sources)?;
        page.rows(Part::Tenants, old.map(|p| &*p.tenants), &now.panes.tenants)?;
        page.rows(Part::Databases, old.map(|p| &*p.databases), &now.panes.databases)?;
        page.rows(Part::Queues, old.map(|p| &*p.queues), &now.panes.queues)?;
        page.rows(Part::Ingress, old.map(|p| &*p.ingress), &now.panes.ingress)?;
        page.rows(Part::Platform, old.map(|p| &*p.platform), &now.panes.platform)?;
        page.rows(Part::Recovery, old.map(|p| &*p.recovery), &now.panes.recovery)?;
        page.rows(Part::Delivery, old.map(|p| &*p.delivery), &now.panes.delivery)?;
        page.rows(Part::Business, old.map(|p| &*p.business), &now.panes.business)?;
        page.rows(Part::Security, old.map(|p| &*p.security), &now.panes.security)?;
    }
    if before.is_none_or(|b| !Arc::ptr_eq(&b.findings, &now.findings)) {
        page.rows(Part::Findings, before.map(|b| b.findings.as_slice()), &now.findings)?;
    }
    page.rows(Part::Changes, before.map(|b| b.changes.as_slice()), &now.changes)?;
    page.rows(Part::Runs, before.map(|b| b.runs.as_slice()), &now.runs)?;
    // Incidents and the newest records change with the journal only.
    if before.is_none_or(|b| b.journal.size != now.journal.size) {
        page.rows(Part::Incidents, before.map(|b| bare(&b.incidents)).as_deref(), &bare(&now.incidents))?;
        for incident in now.incidents.iter() {
            let old = before.and_then(|b| b.incidents.iter().find(|i| i.id == incident.id));
            if let Some(delta) = diff(old.map(|i| &*i.timeline).unwrap_or_default(), &incident.timeline) {
                page.part(Part::Timeline, &Timeline { incident: incident.id.clone(), delta }, true)?;
            }
        }
        page.rows(Part::Tail, before.map(|b| b.journal.tail.as_slice()), &now.journal.tail)?;
    }
    page.seen(now)?;
    Ok(page)
}

/// The lines that make a snapshot of the one before, and whether they say more than that values have grown older.
pub fn change(before: Option<&Snapshot>, now: &Snapshot) -> io::Result<(Vec<u8>, bool)> {
    write(before, now, Vec::new()).map(|page| (page.to, page.news))
}

/// A whole snapshot, for a peer that asks once.
pub fn all(snapshot: &Snapshot) -> io::Result<Vec<u8>> {
    Ok(write(None, snapshot, Vec::new())?.to)
}

/// The same without holding it in memory: that of a large estate is some megabytes long. Answers how long it was.
pub fn all_to(snapshot: &Snapshot, to: impl Write) -> io::Result<usize> {
    let mut page = write(None, snapshot, BufWriter::with_capacity(BUFFER, to))?;
    page.flush()?;
    Ok(page.bytes)
}

/// What consoles are sent.
#[derive(Debug, Default)]
pub struct Published {
    /// Counts the updates.
    pub number: u64,
    /// The last updates, oldest first, each with its number.
    recent: VecDeque<(u64, bytes::Bytes)>,
    snapshot: Option<Arc<Snapshot>>,
    whole: OnceLock<bytes::Bytes>,
}

impl Published {
    /// What a console needs that has taken everything up to an update, or nothing yet.
    pub fn since(&self, taken: Option<u64>) -> Vec<bytes::Bytes> {
        let first = self.recent.front().map(|(number, _)| *number);
        match (taken, first) {
            (Some(taken), Some(first)) if taken.saturating_add(1) >= first => {
                self.recent.iter().filter(|(number, _)| *number > taken).map(|(_, bytes)| bytes.clone()).collect()
            }
            (Some(taken), None) if taken == self.number => Vec::new(),
            _ => vec![self.whole()],
        }
    }

    /// Everything at once; written down for the first console that asks.
    pub fn whole(&self) -> bytes::Bytes {
        let write = || {
            let all = self.snapshot.as_ref().and_then(|s| all(s).ok());
            all.unwrap_or_default().into()
        };
        self.whole.get_or_init(write).clone()
    }
}

/// Where consoles read.
#[derive(Clone, Debug)]
pub struct Board {
    /// The newest update.
    pub published: watch::Receiver<Arc<Published>>,
    wanted: Arc<Notify>,
}

impl Board {
    /// Asks for an update although nothing has changed, for a console that has just come.
    pub fn want(&self) {
        self.wanted.notify_one();
    }
}

/// Starts to follow an engine's snapshots. The task ends with the engine.
pub fn publish(snapshots: watch::Receiver<Arc<Snapshot>>) -> Board {
    let (sender, published) = watch::channel(Arc::new(Published::default()));
    let wanted = Arc::new(Notify::new());
    tokio::spawn(follow(snapshots, sender, wanted.clone()));
    // This one reads nothing; it must not count as somebody who is attached.
    Board { published, wanted }
}

async fn follow(
    mut snapshots: watch::Receiver<Arc<Snapshot>>,
    published: watch::Sender<Arc<Published>>,
    wanted: Arc<Notify>,
) {
    // The receiver that the board itself holds.
    const NOBODY: usize = 1;
    let mut sent = Instant::now();
    let mut looked = sent;
    let mut pause = DATA;
    let mut pending = false;
    let mut asked = false;
    loop {
        let due = if asked { Instant::now() } else { looked + pause };
        tokio::select! {
            changed = snapshots.changed() => if changed.is_err() {
                // The last word of the engine is not held back.
                let (before, now) = (published.borrow().clone(), snapshots.borrow().clone());
                if pending && let Ok(page) = write(before.snapshot.as_deref(), &now, Vec::new()) {
                    published.send_replace(Arc::new(next(&before, now, page)));
                }
                return;
            } else {
                pending = true;
            },
            () = wanted.notified() => asked = true,
            () = tokio::time::sleep_until(due), if pending => {}
        }
        if published.receiver_count() <= NOBODY {
            (pending, asked) = (false, false);
            continue;
        }
        let now = snapshots.borrow_and_update().clone();
        let before = published.borrow().clone();
        let happened = before.snapshot.as_ref().is_none_or(|b| presses(b, &now));
        let due = if happened { sent + FRAME } else { looked + pause };
        if !asked && Instant::now() < due {
            pause = if happened { FRAME } else { pause };
            continue;
        }
        looked = Instant::now();
        let Ok(page) = write(before.snapshot.as_deref(), &now, Vec::new()) else { continue };
        if !page.news && !asked && sent.elapsed() < AGES {
            (pending, pause) = (true, DATA);
            continue;
        }
        let bytes = page.bytes;
        published.send_replace(Arc::new(next(&before, now, page)));
        sent = looked;
        (pending, asked) = (false, false);
        let cost = Duration::from_secs_f64(f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / RATE);
        pause = DATA.max(cost);
    }
}

#[allow(clippy::cast_precision_loss, reason = "a million is exact")]
const RATE: f64 = BYTES_A_SECOND as f64;

/// Whether something happened that people wait for, and not only another observation.
fn presses(before: &Snapshot, now: &Snapshot) -> bool {
    before.journal.size != now.journal.size
        || before.health != now.health
        || before.journal.broken != now.journal.broken
}

fn next(before: &Published, snapshot: Arc<Snapshot>, page: Page<Vec<u8>>) -> Published {
    let number = before.number.saturating_add(1);
    let mut recent = before.recent.clone();
    // What was written down as a difference from nothing is of no use to those who have something.
    if before.snapshot.is_some() {
        recent.push_back((number, page.to.into()));
    }
    let held = |recent: &VecDeque<(u64, bytes::Bytes)>| recent.iter().map(|(_, b)| b.len()).sum::<usize>();
    while recent.len() > KEPT || held(&recent) > KEPT_BYTES {
        recent.pop_front();
    }
    Published { number, recent, snapshot: Some(snapshot), whole: OnceLock::new() }
}

/// Puts snapshots together from their parts.
#[derive(Clone, Debug, Default)]
pub struct Assembler {
    light: Option<Snapshot>,
    panes: Panes,
    panes_changed: bool,
    incidents: Vec<Incident>,
    timelines: BTreeMap<IncidentId, Vec<TimelineEntry>>,
    incidents_changed: bool,
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

fn patch<T: Row + DeserializeOwned>(rows: &mut Vec<T>, bytes: &[u8]) -> Result<(), String> {
    let delta = read::<Delta<T>>(bytes)?;
    *rows = apply(std::mem::take(rows), delta)?;
    Ok(())
}

fn patch_shared<T: Row + DeserializeOwned>(rows: &mut Arc<Vec<T>>, bytes: &[u8]) -> Result<(), String> {
    let delta = read::<Delta<T>>(bytes)?;
    let old = Arc::try_unwrap(std::mem::take(rows)).unwrap_or_else(|shared| (*shared).clone());
    *rows = Arc::new(apply(old, delta)?);
    Ok(())
}

impl Assembler {
    /// Takes in a part. An error means that engine and console are out of step: nothing is known then, and the console
    /// starts afresh.
    pub fn take(&mut self, part: Part, bytes: &[u8]) -> Result<(), String> {
        let put = self.put(part, bytes);
        if put.is_err() {
            *self = Self::default();
        }
        put
    }

    fn put(&mut self, part: Part, bytes: &[u8]) -> Result<(), String> {
        if part == Part::Fresh {
            *self = Self::default();
            return Ok(());
        }
        if part == Part::Rest {
            let light: Snapshot = read(bytes)?;
            self.light = Some(match self.light.take() {
                None => light,
                Some(old) => Snapshot {
                    estate: old.estate,
                    panes: old.panes,
                    findings: old.findings,
                    changes: old.changes,
                    incidents: old.incidents,
                    runs: old.runs,
                    playbooks: old.playbooks,
                    journal: crate::engine::api::JournalView { tail: old.journal.tail, ..light.journal },
                    ..light
                },
            });
            return Ok(());
        }
        let light = self.light.as_mut().ok_or("a part came before the snapshot that it belongs to")?;
        match part {
            Part::Fresh | Part::Rest => {}
            Part::Estate => light.estate = Arc::new(read(bytes)?),
            Part::Playbooks => light.playbooks = Arc::new(read::<Vec<PlaybookSummary>>(bytes)?),
            Part::Sources => patch::<SourceRow>(&mut self.panes.sources, bytes)?,
            Part::Tenants => patch::<TenantRow>(&mut self.panes.tenants, bytes)?,
            Part::Databases => patch::<DatabaseRow>(&mut self.panes.databases, bytes)?,
            Part::Queues => patch::<QueueRow>(&mut self.panes.queues, bytes)?,
            Part::Ingress => patch::<IngressRow>(&mut self.panes.ingress, bytes)?,
            Part::Platform => patch::<SubjectRow>(&mut self.panes.platform, bytes)?,
            Part::Recovery => patch::<SubjectRow>(&mut self.panes.recovery, bytes)?,
            Part::Delivery => patch::<SubjectRow>(&mut self.panes.delivery, bytes)?,
            Part::Business => patch::<SubjectRow>(&mut self.panes.business, bytes)?,
            Part::Security => patch::<SubjectRow>(&mut self.panes.security, bytes)?,
            Part::Findings => patch_shared::<Finding>(&mut light.findings, bytes)?,
            Part::Changes => patch_shared::<Change>(&mut light.changes, bytes)?,
            Part::Runs => patch_shared::<RunView>(&mut light.runs, bytes)?,
            Part::Tail => patch_shared::<TimelineEntry>(&mut light.journal.tail, bytes)?,
            Part::Incidents => patch::<Incident>(&mut self.incidents, bytes)?,
            Part::Timeline => {
                let Timeline { incident, delta } = read(bytes)?;
                let rows = self.timelines.entry(incident).or_default();
                *rows = apply(std::mem::take(rows), delta)?;
            }
        }
        self.panes_changed |= part.is_pane();
        self.incidents_changed |= matches!(part, Part::Incidents | Part::Timeline);
        Ok(())
    }

    /// The snapshot that the parts so far make; nothing before the first is whole.
    pub fn seen(&mut self, generation: u64, at: Timestamp) -> Option<Snapshot> {
        let light = self.light.as_mut()?;
        if std::mem::take(&mut self.panes_changed) {
            light.panes = Arc::new(self.panes.clone());
        }
        if std::mem::take(&mut self.incidents_changed) {
            let known = |id: &IncidentId| self.incidents.iter().any(|i| i.id == *id);
            self.timelines.retain(|id, _| known(id));
            let whole = |i: &Incident| Incident {
                timeline: self.timelines.get(&i.id).cloned().unwrap_or_default(),
                ..i.clone()
            };
            light.incidents = Arc::new(self.incidents.iter().map(whole).collect());
        }
        light.generation = generation;
        light.at = at;
        Some(light.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The `n`th moment of an incident whose timeline grows, seen from an estate with one pane.
    fn moment(n: u64) -> Arc<Snapshot> {
        let at = Timestamp::from_second(i64::try_from(n).unwrap()).unwrap();
        let entry = |seq: u64| {
            let text = format!("note {seq}");
            json!({ "seq": seq, "at": Timestamp::UNIX_EPOCH, "kind": "note.added", "who": "mara", "text": text })
        };
        let source = |id: usize, age: u64| {
            json!({
                "id": format!("pg-{id}"), "kind": "postgres", "health": if age.is_multiple_of(3) { "ok" } else { "warn" },
                "address": "h:1", "observed_at": null, "age_s": age, "took_ms": null, "unknown_since": null,
                "why": null, "missing": [],
            })
        };
        // One changes, the others do not.
        let sources: Vec<_> = (0..40).map(|id| source(id, if id == 0 { n } else { 1 })).collect();
        let snapshot = json!({
            "generation": n, "at": at, "mode": "live", "health": "ok", "me": "mara",
            "estate": { "name": "e", "environment": "staging", "time_zone": "UTC", "tenants": [] },
            "panes": { "sources": sources, "tenants": [], "databases": [], "queues": [], "ingress": [] },
            "findings": [], "changes": [], "runs": [], "playbooks": [], "measures": [], "glass": null, "drill": null,
            "incidents": [{
                "id": "INC-1", "title": "t", "severity": "SEV1", "state": "identified", "declared_at": at,
                "closed_at": null, "roles": { "commander": "mara" }, "findings": [],
                "timeline": (n.saturating_sub(5)..n).map(entry).collect::<Vec<_>>(),
            }],
            "journal": { "dir": "d", "size": n, "root": "r", "broken": null,
                         "tail": (n.saturating_sub(3)..n).map(entry).collect::<Vec<_>>() },
        });
        Arc::new(serde_json::from_value(snapshot).unwrap())
    }

    /// A console that has taken something.
    #[derive(Default)]
    struct Console {
        assembler: Assembler,
        taken: Option<u64>,
        shown: Option<Snapshot>,
        bytes: usize,
    }

    impl Console {
        fn follow(&mut self, published: &Published) {
            for bytes in published.since(self.taken) {
                self.bytes += bytes.len();
                let mut lines = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty());
                while let Some(line) = lines.next() {
                    match serde_json::from_slice(line).unwrap() {
                        Say::Part { part } => self.assembler.take(part, lines.next().unwrap()).unwrap(),
                        Say::Seen { generation, at } => self.shown = self.assembler.seen(generation, at),
                        other => panic!("{other:?}"),
                    }
                }
            }
            self.taken = Some(published.number);
        }
    }

    #[test]
    fn a_console_has_the_newest_whether_it_keeps_up_or_is_late() {
        let mut published = Published::default();
        let mut consoles: Vec<(u64, Console)> = [1, 2, 7, 40].map(|every| (every, Console::default())).into();
        for n in 1..=200 {
            let now = moment(n);
            let page = write(published.snapshot.as_deref(), &now, Vec::new()).unwrap();
            published = super::next(&published, now.clone(), page);
            for (every, console) in &mut consoles {
                if n.is_multiple_of(*every) {
                    console.follow(&published);
                    assert_eq!(console.shown.as_ref(), Some(&*now), "every {every}th, at {n}");
                }
            }
        }
        // What changed is less than everything.
        let whole = published.whole().len();
        let kept_up = consoles[0].1.bytes / 200;
        assert!(kept_up * 2 < whole, "{kept_up} bytes an update, {whole} for all");
    }

    #[test]
    fn parts_out_of_step_are_an_error_and_not_another_snapshot() {
        let mut assembler = Assembler::default();
        assert!(assembler.take(Part::Tenants, b"{\"set\":[]}").is_err(), "nothing was sent before");
        assert!(assembler.seen(1, Timestamp::UNIX_EPOCH).is_none());
        let mut console = Console::default();
        let page = write(None, &moment(9), Vec::new()).unwrap();
        console.follow(&super::next(&Published::default(), moment(9), page));
        let wrong: [(Part, &[u8]); 5] = [
            (Part::Sources, b"{\"keep\":[[45,1]]}"),
            (Part::Sources, b"{\"set\":[[49,{}]]}"),
            (Part::Sources, b"{\"keep\":[[null,4000000000]]}"),
            (Part::Sources, b"{\"seconds\":[]}"),
            (Part::Estate, b"nonsense"),
        ];
        for (part, bytes) in wrong {
            let mut assembler = console.assembler.clone();
            assert!(assembler.seen(2, Timestamp::UNIX_EPOCH).is_some());
            assert!(assembler.take(part, bytes).is_err());
            assert!(assembler.seen(3, Timestamp::UNIX_EPOCH).is_none(), "no half of a snapshot is shown");
        }
    }
}
