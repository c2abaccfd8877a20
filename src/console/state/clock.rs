//! Time as a console sees it: the wall, the scenario, and the engine's signs of life.

use crate::domain::mode::Mode;
use crate::engine::api::Snapshot;
use jiff::{SignedDuration, Timestamp};

/// Silence after which the engine counts as lost. It beats each second, and the wall clock is looked at each second, so
/// that more than two of them are on the screen within three.
const PATIENCE: SignedDuration = SignedDuration::from_secs(2);

/// What a console knows of time; it never looks at a clock itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// The wall clock as the last tick said.
    pub wall: Timestamp,
    /// When the engine was last heard of, or when the console began to wait for it.
    pub heard: Timestamp,
    /// When the newest snapshot came, by the wall.
    pub snapshot: Timestamp,
    /// What the clock of the estate said then.
    pub base: Timestamp,
    /// Changes with each second.
    pub beat: bool,
}

impl Clock {
    /// A clock that starts now.
    pub const fn new(now: Timestamp) -> Self {
        Self { wall: now, heard: now, snapshot: now, base: now, beat: false }
    }

    /// The clock of the estate. In a drill it goes on from the snapshot at the speed of the scenario, in a
    /// replay it stands.
    pub fn estate(&self, snapshot: Option<&Snapshot>) -> Timestamp {
        let Some(snapshot) = snapshot else { return self.wall };
        match (snapshot.mode, &snapshot.drill) {
            (Mode::Live | Mode::ReadOnly, _) => self.wall,
            (Mode::Drill, Some(drill)) => {
                let passed = self.wall.duration_since(self.snapshot).as_secs_f64().max(0.0) * drill.speed;
                let passed = SignedDuration::try_from_secs_f64(passed).unwrap_or_default();
                self.base.checked_add(passed).unwrap_or(self.base)
            }
            (Mode::Replay, _) | (Mode::Drill, None) => snapshot.at,
        }
    }

    /// Takes in the clock of a new snapshot. Ticks are a second apart, so that the clock of a fast scenario may
    /// have run a little ahead: it waits rather than to go back.
    pub fn rebase(&mut self, before: Option<&Snapshot>, snapshot: &Snapshot) {
        let shown = before.map(|b| self.estate(Some(b)));
        let speed = snapshot.drill.as_ref().map_or(1.0, |d| d.speed.max(1.0));
        let ahead = shown.map(|s| s.duration_since(snapshot.at).as_secs_f64());
        self.base = match (shown, ahead) {
            (Some(shown), Some(ahead)) if ahead > 0.0 && ahead <= 2.0 * speed => shown,
            _ => snapshot.at,
        };
        self.snapshot = self.wall;
    }

    /// Since when the engine is lost, if it is.
    pub fn lost(&self) -> Option<Timestamp> {
        (self.wall.duration_since(self.heard) > PATIENCE).then_some(self.heard)
    }
}
