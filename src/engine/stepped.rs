//! An engine without a loop of its own, on a drill: whoever holds it says when a second of the scenario passes. What
//! happens depends on the seed and on the commands and their seconds alone, however fast the seconds follow each other.

use super::api::{Command, Reply, Snapshot};
use super::core::{Answer, Engine, Made, Parts, make};
use super::roster::PolicyFile;
use crate::domain::actor::Actor;
use crate::domain::sample::Sample;
use crate::drill::Drill;
use crate::drill::score::Score;
use crate::playbook::run::Input;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;

/// The engine.
pub struct Stepped {
    engine: Engine,
    answers: mpsc::Receiver<Answer>,
    drill: Drill,
}

impl std::fmt::Debug for Stepped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stepped").field("drill", &self.drill).finish_non_exhaustive()
    }
}

impl Stepped {
    /// Opens an engine on a drill whose clock stands. `None` where the parts are those of no drill.
    pub async fn open(parts: Parts, policy: PolicyFile) -> Option<Self> {
        let drill = parts.adapters.drill.as_ref().map(|handle| handle.exercise().clone())?;
        drill.set_speed(0.0);
        let Made { mut engine, answers, observers, loaded, .. } = make(parts, &policy, Vec::new());
        drop(observers);
        engine.open_alone(loaded, policy).await;
        let mut stepped = Self { engine, answers, drill };
        let samples = stepped.drill.samples();
        stepped.take_in(samples).await;
        Some(stepped)
    }

    /// The drill that it runs on.
    pub const fn drill(&self) -> &Drill {
        &self.drill
    }

    /// One second of the scenario passes.
    pub async fn second(&mut self) {
        let samples = self.drill.second();
        self.take_in(samples).await;
        let now = self.engine.clock.now();
        self.engine.heed_time(now).await;
        self.settle().await;
    }

    async fn take_in(&mut self, samples: Vec<Sample>) {
        if samples.is_empty() {
            self.engine.heed_exercise().await;
        } else {
            self.engine.data(samples).await;
            self.engine.feed_open(&Input::Seen).await;
        }
        self.settle().await;
    }

    /// A person of the crew asks for something.
    pub async fn command(&mut self, command: Command, actor: Actor) -> Reply {
        let reply = self.engine.command(command, actor).await;
        self.settle().await;
        reply
    }

    /// Waits for what is being worked on. Answers of one round are taken in the order of their runs, not as they come.
    async fn settle(&mut self) {
        loop {
            let wanted = self.engine.under_way.load(Ordering::Relaxed);
            if wanted == 0 {
                return;
            }
            let mut round = Vec::with_capacity(wanted);
            while round.len() < wanted {
                match self.answers.recv().await {
                    Some(answer) => round.push(answer),
                    None => return,
                }
            }
            round.sort_by(|a, b| (a.run.as_str().len(), a.run.as_str()).cmp(&(b.run.as_str().len(), b.run.as_str())));
            for answer in round {
                self.engine.came(answer).await;
            }
        }
    }

    /// What consoles would show.
    pub fn snapshot(&mut self) -> Snapshot {
        self.engine.snapshot()
    }

    /// The score so far.
    pub fn score(&self) -> Option<Score> {
        self.engine.ledger.score()
    }

    /// Closes the journal.
    pub async fn end(mut self) {
        self.engine.close().await;
    }
}
