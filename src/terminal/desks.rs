//! The estates of one console: each with tasks of its own that open the way to its engine and listen there, so that one
//! that is slow or gone keeps no other from being heard. The full screen and the console in plain lines share it.

use super::outside::{News, Outside, Told, Way};
use crate::console::effect::Effect;
use crate::console::fleet::Fleet;
use crate::console::msg::Msg;
use crate::console::state::{Facts, Scanned, State};
use crate::console::views::View;
use crate::console::{see, warn};
use crate::domain::mode::Mode;
use crate::engine::api::Reply;
use crate::engine::attach::remote::UNREACHABLE;
use crate::engine::client::{Client, Link, Lost};
use futures::future::BoxFuture;
use jiff::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Messages of all estates that may wait for the loop. Of what an engine says only the newest waits, so that none can fill
/// it.
const NEWS: usize = 128;
/// First and longest pause before an estate that could not be opened is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// One estate that a console holds.
pub struct Desk {
    /// Its name.
    pub estate: String,
    /// Its mode, until the engine has said it.
    pub mode: Mode,
    /// How it is reached.
    pub reach: Reach,
}

/// How an estate is reached.
pub enum Reach {
    /// It is open.
    Open(Way),
    /// It has to be opened, and is tried again for as long as that fails.
    Later(Arc<dyn Opens>),
}

/// The estates that a console holds: one at least.
pub struct Berth {
    /// The one that is on the screen first.
    pub first: Desk,
    /// The others.
    pub more: Vec<Desk>,
}

impl Berth {
    /// One estate, which is open.
    pub fn one(way: Way) -> Self {
        let snapshot = way.client.snapshot();
        let (estate, mode) = (snapshot.estate.name.clone(), snapshot.mode);
        Self { first: Desk { estate, mode, reach: Reach::Open(way) }, more: Vec::new() }
    }
}

/// What every estate of a console begins with.
pub struct Begin {
    /// What does not change.
    pub facts: Facts,
    /// For whom it shows what; the commander when absent.
    pub view: Option<View>,
    /// What is said first.
    pub notice: Option<String>,
    /// Size of the terminal.
    pub size: (u16, u16),
}

/// Opens the way to an estate.
pub trait Opens: Send + Sync + 'static {
    /// Tries it once; why it failed, in a sentence.
    fn open(&self) -> BoxFuture<'_, Result<Way, String>>;
}

/// The estates of a console, with what they say and what is asked of them.
pub struct Desks {
    /// What the console knows of each.
    pub fleet: Fleet,
    outsides: BTreeMap<usize, Outside>,
    told: mpsc::Sender<(usize, News)>,
    news: mpsc::Receiver<(usize, News)>,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Desks {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

impl Desks {
    /// Begins to listen to all of them; the first is on the screen.
    pub fn open(berth: Berth, begin: Begin, at: Timestamp) -> Self {
        let (told, news) = mpsc::channel(NEWS);
        let Begin { facts, view, notice, size } = begin;
        let state = |desk: &Desk| {
            let facts = Facts { estate: desk.estate.clone(), mode: desk.mode, ..facts.clone() };
            let mut state = State::new(facts, size, at);
            if let Some(view) = view {
                see(&mut state, view);
            }
            state
        };
        let Berth { first, more } = berth;
        let mut shown = state(&first);
        if let Some(notice) = notice {
            warn(&mut shown, notice);
        }
        let fleet = Fleet::new(shown, more.iter().map(state).collect());
        let mut desks = Self { fleet, outsides: BTreeMap::new(), told, news, tasks: Vec::new() };
        for (of, desk) in std::iter::once(first).chain(more).enumerate() {
            match desk.reach {
                Reach::Open(way) => {
                    let told = desks.told(of);
                    desks.here(of, &way);
                    desks.tasks.push(tokio::spawn(async move { listen(way.client, &told).await }));
                }
                Reach::Later(opens) => {
                    desks.tasks.push(tokio::spawn(keep(opens, desks.told(of))));
                }
            }
        }
        desks
    }

    /// The next thing that an estate says; a way that has opened is taken at once.
    pub async fn next(&mut self) -> Option<(usize, Msg)> {
        loop {
            match self.news.recv().await? {
                (of, News::Msg(msg)) => return Some((of, msg)),
                (of, News::Way(way)) => self.reached(of, way),
            }
        }
    }

    fn told(&self, of: usize) -> Told {
        Told { of, to: self.told.clone() }
    }

    fn reached(&mut self, of: usize, way: Way) {
        self.outsides.insert(of, Outside::new(way, self.told(of)));
    }

    fn here(&mut self, of: usize, way: &Way) {
        self.reached(of, way.clone());
        let (link, snapshot) = (way.client.link.borrow().clone(), way.client.snapshot());
        for msg in [Msg::Link(link), Msg::Snapshot(snapshot)] {
            // Nothing can be asked for before anything is shown, but for a title.
            let _ = self.take(Some(of), msg);
        }
    }

    /// Takes one thing that happened to an estate, or to the console; answers what only a terminal can do.
    pub fn take(&mut self, of: Option<usize>, msg: Msg) -> Vec<Effect> {
        let now = Instant::now();
        let mut effects: VecDeque<(usize, Effect)> = self.fleet.take(of, msg, now).into();
        let mut left = Vec::new();
        while let Some((of, effect)) = effects.pop_front() {
            match self.outsides.get(&of) {
                Some(outside) => left.extend(outside.carry(effect)),
                None => match unreached(&effect) {
                    Some(msg) => effects.extend(self.fleet.take(Some(of), msg, now)),
                    None => left.push(effect),
                },
            }
        }
        left
    }
}

/// What is answered of an estate to which there is no way yet; nothing where the terminal is asked.
fn unreached(effect: &Effect) -> Option<Msg> {
    let why = || UNREACHABLE.to_owned();
    match effect {
        Effect::Command { id, .. } | Effect::Sign { id, .. } => {
            Some(Msg::Reply { to: *id, reply: Reply::refused(UNREACHABLE) })
        }
        Effect::Records { .. } => Some(Msg::Records(Err(why()))),
        Effect::Open { seq } => Some(Msg::Opened { seq: *seq, read: Err(why()) }),
        Effect::SaveProof { .. } => Some(Msg::Saved(Err(why()))),
        Effect::Scan { id, before, .. } => {
            Some(Msg::Scanned(Scanned { id: *id, hits: vec![], down_to: *before, done: true, trouble: Some(why()) }))
        }
        _ => None,
    }
}

/// Opens the way to an estate, with growing pauses, and listens there.
async fn keep(opens: Arc<dyn Opens>, told: Told) {
    let (mut pause, longest) = PAUSES;
    let since = Timestamp::now();
    loop {
        match opens.open().await {
            Ok(way) => {
                let client = way.client.clone();
                if told.to.send((told.of, News::Way(way))).await.is_err() {
                    return;
                }
                let link = client.link.borrow().clone();
                told.tell(Msg::Link(link)).await;
                told.tell(Msg::Snapshot(client.snapshot())).await;
                return listen(client, &told).await;
            }
            Err(why) => {
                let lost = Some(Lost { since, why });
                told.tell(Msg::Link(Link { attached: None, lost })).await;
                tokio::time::sleep(pause).await;
                pause = longest.min(pause * 2);
            }
        }
    }
}

/// Tells what an engine says for as long as it can say anything. Of each kind the newest alone is told: the loop is never
/// behind by more than that.
async fn listen(client: Client, told: &Told) {
    let Client { mut snapshots, mut beat, mut link, .. } = client;
    let (mut engine_lives, mut beat_lives, mut link_lives) = (true, true, true);
    while engine_lives || beat_lives || link_lives {
        let msg = tokio::select! {
            changed = snapshots.changed(), if engine_lives => match changed {
                Ok(()) => Msg::Snapshot(snapshots.borrow_and_update().clone()),
                Err(_) => { engine_lives = false; continue }
            },
            changed = beat.changed(), if beat_lives => match changed {
                Ok(()) => Msg::Beat(Timestamp::now()),
                Err(_) => { beat_lives = false; continue }
            },
            changed = link.changed(), if link_lives => match changed {
                Ok(()) => Msg::Link(link.borrow_and_update().clone()),
                // The engine runs in this process.
                Err(_) => { link_lives = false; continue }
            },
        };
        told.tell(msg).await;
    }
}
