//! The engine of a console that looks back: it has a clock that people set, and answers nothing else. What it shows is
//! what the consoles showed; of a moment of which that is not kept, what the records say, and everything else unknown.

use super::past::Past;
use crate::domain::actor::Actor;
use crate::domain::estate::{Environment, Estate};
use crate::domain::health::Health;
use crate::domain::id::Person;
use crate::domain::mode::Mode;
use crate::domain::moment;
use crate::engine::api::{Command, JournalView, PolicyView, ReplayAsk, ReplayView, Reply, Snapshot};
use crate::engine::client::{Client, Envelope, Link};
use jiff::{SignedDuration, Span, Timestamp};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

/// Time between two frames while it plays.
const FRAME: Duration = Duration::from_millis(200);
/// Greatest speed: an hour in a second.
const FASTEST: f64 = 3600.0;
/// Commands that may wait.
const WAITING: usize = 16;

/// A replay.
#[derive(Debug)]
pub struct Player {
    past: Past,
    me: Person,
    at: Timestamp,
    speed: f64,
    generation: u64,
}

impl Player {
    /// Stands at the first moment of what is known.
    pub fn new(past: Past, me: Person) -> Self {
        let at = past.from;
        Self { past, me, at, speed: 0.0, generation: 0 }
    }

    /// Does what is asked; answers one line, or why not.
    pub fn ask(&mut self, ask: &ReplayAsk) -> Result<String, String> {
        match ask {
            ReplayAsk::Speed(speed) if speed.is_finite() && (0.0..=FASTEST).contains(speed) => {
                // At the end there is nothing to play: it begins anew.
                if *speed > 0.0 && self.at >= self.past.to {
                    self.at = self.past.from;
                }
                self.speed = *speed;
                return Ok(if *speed > 0.0 { format!("playing, x{speed}") } else { "standing".to_owned() });
            }
            ReplayAsk::Speed(speed) => return Err(format!("the speed is {speed}; allowed is 0 to {FASTEST}")),
            ReplayAsk::By(seconds) => {
                let to = self.at.checked_add(SignedDuration::from_secs(*seconds)).unwrap_or(self.at);
                self.at = to.clamp(self.past.from, self.past.to);
            }
            ReplayAsk::Earlier => {
                let before = self.past.records.iter().rev().find(|r| r.time < self.at);
                self.at = before.ok_or("there is no record of the incident before this moment")?.time;
            }
            ReplayAsk::Later => {
                let next = self.past.records.iter().find(|r| r.time > self.at);
                self.at = next.ok_or("there is no record of the incident after this moment")?.time;
            }
            ReplayAsk::To(text) => self.at = self.moment(text)?,
        }
        // Who goes to a moment wants to look at it.
        self.speed = 0.0;
        Ok(format!("at {}", self.at))
    }

    /// A moment as people write it: a time of day is of the day that is shown, `+5m` and `-30s` are from here.
    fn moment(&self, text: &str) -> Result<Timestamp, String> {
        let text = text.trim();
        let from_here = text.strip_prefix(['+', '-']).and_then(|span| span.trim().parse::<Span>().ok());
        let moment = match from_here {
            Some(span) if text.starts_with('-') => self.at.checked_sub(span).map_err(|e| e.to_string())?,
            Some(span) => self.at.checked_add(span).map_err(|e| e.to_string())?,
            None => moment::parse(text, self.at).map_err(|why| format!("{why}; +5m and -30s go from here"))?,
        };
        if (self.past.from..=self.past.to).contains(&moment) {
            return Ok(moment);
        }
        let Past { incident, from, to, .. } = &self.past;
        Err(format!("{moment} is not part of {incident}, which goes from {from} to {to}"))
    }

    /// Goes on by so much time of the wall.
    fn play(&mut self, passed: Duration) {
        let passed = SignedDuration::try_from_secs_f64(passed.as_secs_f64() * self.speed).unwrap_or_default();
        self.at = self.at.checked_add(passed).unwrap_or(self.past.to).min(self.past.to);
        if self.at >= self.past.to {
            self.speed = 0.0;
        }
    }

    /// What a console shows at the moment at which it stands.
    pub fn show(&mut self) -> Snapshot {
        self.generation = self.generation.saturating_add(1);
        let told = self.past.told(self.at);
        let (frame, unseen) = match self.past.shown(self.at) {
            Ok(frame) => ((*frame).clone(), None),
            Err(why) => (self.blank(&told), Some(why)),
        };
        // The records are exact to the moment, frames are a second apart.
        let mut incidents = (*frame.incidents).clone();
        for told in told.incidents() {
            match incidents.iter_mut().find(|i| i.id == told.id) {
                Some(incident) => *incident = told,
                None => incidents.insert(0, told),
            }
        }
        let Past { incident, from, to, records, .. } = &self.past;
        let by_now = records.partition_point(|r| r.time <= self.at);
        let replay = ReplayView {
            incident: incident.clone(),
            from: *from,
            to: *to,
            speed: self.speed,
            records: (by_now, records.len()),
            of_drill: records.first().is_some_and(|r| r.mode == Mode::Drill),
            unseen,
        };
        Snapshot {
            generation: self.generation,
            at: self.at,
            mode: Mode::Replay,
            incidents: Arc::new(incidents),
            replay: Some(replay),
            me: self.me.clone(),
            ..frame
        }
    }

    /// What is known without a frame: nothing but the records.
    fn blank(&self, told: &crate::engine::state::State) -> Snapshot {
        let environment = self.past.records.first().map_or(Environment::Production, |r| r.environment);
        let size = self.past.records.iter().rev().find(|r| r.time <= self.at).map_or(0, |r| r.seq.saturating_add(1));
        Snapshot {
            generation: 0,
            at: self.at,
            estate: Arc::new(Estate {
                name: self.past.estate.clone(),
                environment,
                time_zone: "UTC".to_owned(),
                tenants: Vec::new(),
            }),
            mode: Mode::Replay,
            health: Health::Unknown,
            panes: Arc::default(),
            findings: Arc::default(),
            changes: Arc::default(),
            incidents: Arc::default(),
            runs: Arc::default(),
            playbooks: Arc::default(),
            measures: told.measures(),
            comms: Arc::default(),
            glass: told.glass().cloned(),
            journal: JournalView { size, tail: told.tail(), ..JournalView::default() },
            drill: None,
            replay: None,
            requests: Arc::default(),
            elevations: Vec::new(),
            sign_ins: Vec::new(),
            policy: PolicyView::default(),
            services: Arc::default(),
            ahead: Arc::default(),
            usual: Arc::default(),
            me: self.me.clone(),
            consoles: Vec::new(),
        }
    }
}

/// Starts to play on the current runtime; the task ends with the last handle.
pub fn start(mut player: Player, actor: Actor) -> Client {
    let (commands, asked) = mpsc::channel(WAITING);
    let (snapshot, snapshots) = watch::channel(Arc::new(player.show()));
    let (beat, beats) = watch::channel(Timestamp::now());
    let (_, link) = watch::channel(Link::default());
    tokio::spawn(turn(player, asked, snapshot, beat));
    Client { commands, snapshots, beat: beats, link, actor }
}

async fn turn(
    mut player: Player,
    mut asked: mpsc::Receiver<Envelope>,
    snapshots: watch::Sender<Arc<Snapshot>>,
    beat: watch::Sender<Timestamp>,
) {
    let mut second = tokio::time::interval(Duration::from_secs(1));
    let mut frame = tokio::time::interval(FRAME);
    frame.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = Instant::now();
    loop {
        tokio::select! {
            envelope = asked.recv() => {
                let Some(Envelope { command, answer, .. }) = envelope else { return };
                last = Instant::now();
                let reply = match command {
                    Command::Replay { ask } => player.ask(&ask).map_or_else(Reply::refused, Reply::accepted),
                    Command::Look { .. } | Command::Logs { .. } => {
                        Reply::refused("of the past only what the panes showed is kept")
                    }
                    _ => Reply::refused("this is the past: nothing can be changed in a replay"),
                };
                snapshots.send_replace(Arc::new(player.show()));
                let _ = answer.send(reply);
            }
            _ = second.tick() => { beat.send_replace(Timestamp::now()); }
            _ = frame.tick(), if player.speed > 0.0 => {
                let passed = last.elapsed();
                last = Instant::now();
                player.play(passed);
                snapshots.send_replace(Arc::new(player.show()));
            }
        }
    }
}
