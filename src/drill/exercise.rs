//! A running exercise: the estate, and the injects that fall due as its time passes or as its facilitator says.

use super::condition::{Condition, Seen};
use super::model::Simulation;
use super::model::fault::Fault;
use super::scenario::{Channel, Inject, Scenario};
use crate::domain::id::TenantId;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// Seconds between two looks at conditions.
const LOOK_S: i64 = 5;
/// Messages kept.
const MESSAGES: usize = 100;

/// Something that the exercise did, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An inject came.
    Fired {
        /// Which.
        inject: String,
        /// How it was told.
        channel: &'static str,
        /// What the crew was told, or what is seen in telemetry.
        what: String,
        /// Number of faults that it made.
        faults: usize,
        /// Seconds since the beginning.
        at_s: i64,
    },
    /// An inject did not come, because its `unless` held when it would have.
    Passed {
        /// Which.
        inject: String,
        /// Seconds since the beginning.
        at_s: i64,
    },
    /// What an expectation or a mistake waits for holds on the estate.
    Observed {
        /// Which.
        id: String,
        /// Seconds since the beginning.
        at_s: i64,
    },
    /// The exercise is over.
    Ended {
        /// Why: what was to be reached is reached, or its time is over.
        reached: bool,
        /// Seconds since the beginning.
        at_s: i64,
    },
}

/// Where an inject stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stand {
    /// Its time, condition or inject has not come.
    Waits,
    /// It comes at a tick.
    Due(i64),
    /// It came at a tick.
    Fired(i64),
    /// It does not come any more.
    Gone,
}

/// An inject as it stands.
struct Pending {
    inject: Inject,
    when: Option<Condition>,
    unless: Option<Condition>,
    stand: Stand,
}

/// One inject as the facilitator sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// Id.
    pub id: String,
    /// How it is told.
    pub channel: &'static str,
    /// Where it stands: `due T+3m00s`, `came T+3m05s`, `waits: CONDITION`, `skipped`.
    pub stands: String,
    /// What is said, or what it does.
    pub what: String,
    /// What only the facilitator sees.
    pub note: Option<String>,
    /// Whether it only misleads.
    pub red_herring: bool,
}

/// The estate with its scenario.
pub(super) struct Exercise {
    /// The estate.
    pub sim: Simulation,
    pending: Vec<Pending>,
    watched: Vec<(String, Condition)>,
    end: Option<Condition>,
    limit_s: i64,
    cast: BTreeSet<TenantId>,
    absent_until: i64,
    /// What the crew is told, oldest first.
    pub messages: Vec<String>,
    /// What it did since somebody asked last.
    events: Vec<Event>,
    /// Whether it is over.
    pub ended: bool,
}

/// Why an exercise is over.
pub const fn ending(reached: bool) -> &'static str {
    if reached { "what was to be reached is reached" } else { "its time is over" }
}

fn compiled(text: Option<&String>) -> Option<Condition> {
    text.and_then(|text| Condition::compile(text).ok())
}

/// What an inject does, where it says nothing.
fn effects(inject: &Inject) -> String {
    let names: BTreeSet<String> = inject.effects.iter().map(Fault::word).collect();
    names.into_iter().collect::<Vec<_>>().join(", ")
}

impl Exercise {
    /// Sets the estate up as the scenario's baseline says.
    pub fn new(scenario: &Scenario, sim: Simulation) -> Self {
        let pending = scenario.injects.iter().map(|inject| Pending {
            inject: inject.clone(),
            when: compiled(inject.when.as_ref()),
            unless: compiled(inject.unless.as_ref()),
            stand: inject.at.map_or(Stand::Waits, |at| Stand::Due(at.0.saturating_add(inject.wait.0))),
        });
        let expected = scenario.all_expectations().map(|(_, e)| (&e.id, &e.when));
        let mistakes = scenario.mistakes.iter().map(|m| (&m.id, &m.when));
        let watched = expected.chain(mistakes).filter_map(|(id, when)| Some((id.clone(), compiled(when.as_ref())?)));
        let mut exercise = Self {
            sim,
            pending: pending.collect(),
            watched: watched.collect(),
            end: compiled(scenario.end_when.as_ref()),
            limit_s: scenario.exercise.limit_s(),
            cast: scenario.cast(),
            absent_until: 0,
            messages: Vec::new(),
            events: Vec::new(),
            ended: false,
        };
        if let Some(briefing) = &scenario.exercise.briefing {
            exercise.say(&format!("briefing: {briefing}"));
        }
        for fault in &scenario.baseline.effects {
            exercise.sim.apply(fault);
        }
        exercise.pass();
        exercise
    }

    /// Goes on to a moment, tick by tick, so that injects come at their second however rarely this is called.
    pub fn advance_to(&mut self, now: Timestamp) {
        let target = self.sim.tick_of(now);
        loop {
            for told in std::mem::take(&mut self.sim.told) {
                self.say(&told);
            }
            if self.sim.elapsed_s() >= target {
                return;
            }
            self.sim.step(1);
            self.pass();
        }
    }

    /// What it did since this was asked last.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Whether nobody approves now.
    pub const fn approver_absent(&self) -> bool {
        self.sim.elapsed_s() < self.absent_until
    }

    /// One second of the scenario has passed.
    fn pass(&mut self) {
        if self.ended {
            return;
        }
        let elapsed = self.sim.elapsed_s();
        let asks = |p: &Pending| (p.stand == Stand::Waits && p.when.is_some()) || p.unless.is_some();
        let asked = self.end.is_some() || !self.watched.is_empty() || self.pending.iter().any(asks);
        let seen = (elapsed % LOOK_S == 0 && asked).then(|| self.seen());
        let holds = |condition: &Condition| seen.as_ref().is_some_and(|seen| condition.holds(seen));
        let mut observed = Vec::new();
        self.watched.retain(|(id, condition)| {
            let held = holds(condition);
            if held {
                observed.push(Event::Observed { id: id.clone(), at_s: elapsed });
            }
            !held
        });
        self.events.append(&mut observed);
        for pending in &mut self.pending {
            if pending.stand == Stand::Waits && pending.when.as_ref().is_some_and(holds) {
                pending.stand = Stand::Due(elapsed.saturating_add(pending.inject.wait.0));
            }
        }
        let ends = self.end.as_ref().is_some_and(holds);
        while let Some(at) = self.pending.iter().position(|p| matches!(p.stand, Stand::Due(due) if due <= elapsed)) {
            self.come(at);
        }
        // The end is looked for once every fault is in; calls about what is over do not come any more.
        let open = |p: &&Pending| matches!(p.stand, Stand::Waits | Stand::Due(_));
        let all_in = self.pending.iter().filter(open).all(|p| p.inject.effects.is_empty());
        if ends && all_in {
            self.over(true);
        } else if elapsed >= self.limit_s {
            self.over(false);
        }
    }

    fn seen(&self) -> Seen {
        let fired = self.pending.iter().filter(|p| matches!(p.stand, Stand::Fired(_)));
        Seen::new(&self.sim, &self.cast, fired.map(|p| p.inject.id.as_str()))
    }

    fn over(&mut self, reached: bool) {
        self.ended = true;
        let at_s = self.sim.elapsed_s();
        self.events.push(Event::Ended { reached, at_s });
        let why = ending(reached);
        self.say(&format!("exercise: {why}; E shows the score and the questions for afterwards"));
    }

    /// The inject at a place comes, unless its `unless` holds.
    fn come(&mut self, at: usize) {
        let elapsed = self.sim.elapsed_s();
        let seen = self.pending.get(at).is_some_and(|p| p.unless.is_some()).then(|| self.seen());
        let Some(pending) = self.pending.get_mut(at) else { return };
        let inject = pending.inject.clone();
        if let (Some(unless), Some(seen)) = (&pending.unless, &seen)
            && unless.holds(seen)
        {
            pending.stand = Stand::Gone;
            self.events.push(Event::Passed { inject: inject.id, at_s: elapsed });
            return;
        }
        pending.stand = Stand::Fired(elapsed);
        for fault in &inject.effects {
            self.sim.apply(fault);
        }
        let lasting = inject.lasting.map_or(0, |lasting| lasting.0);
        match (inject.channel, &inject.source) {
            (Channel::TelemetryGap, Some(source)) => {
                self.sim.apply(&Fault::TelemetryGap { source: source.clone(), seconds: lasting });
            }
            (Channel::ApproverAbsent, _) => self.absent_until = elapsed.saturating_add(lasting),
            _ => {}
        }
        if let Some(text) = &inject.text {
            let from = inject.from.as_ref().map_or_else(String::new, |from| format!(" from {from}"));
            let to =
                if inject.audience.is_empty() { String::new() } else { format!(" for {}", inject.audience.join(", ")) };
            self.say(&format!("{}{from}{to}: {text}", inject.channel.word()));
        }
        let what = inject.text.clone().unwrap_or_else(|| effects(&inject));
        let faults = inject.effects.len() + usize::from(inject.source.is_some());
        let (id, channel) = (inject.id, inject.channel.word());
        self.events.push(Event::Fired { inject: id.clone(), channel, what, faults, at_s: elapsed });
        for next in &mut self.pending {
            if next.stand == Stand::Waits && next.inject.after.as_ref() == Some(&id) {
                next.stand = Stand::Due(elapsed.saturating_add(next.inject.wait.0));
            }
        }
    }

    fn say(&mut self, message: &str) {
        let at = self.sim.now().strftime("%H:%M:%S");
        self.messages.push(format!("{at} {message}"));
        let excess = self.messages.len().saturating_sub(MESSAGES);
        self.messages.drain(..excess);
    }
}

/// What a facilitator does.
impl Exercise {
    /// Tells the crew something.
    pub fn tell(&mut self, message: &str) {
        self.say(message);
    }

    fn open(&self, id: &str) -> Result<usize, String> {
        let Some(at) = self.pending.iter().position(|p| p.inject.id == id) else {
            let all: Vec<&str> = self.pending.iter().map(|p| p.inject.id.as_str()).collect();
            return Err(format!("there is no inject `{id}`; there are {}", all.join(", ")));
        };
        match self.pending.get(at).map(|p| p.stand) {
            Some(Stand::Fired(_)) => Err(format!("the inject `{id}` has come already")),
            Some(Stand::Gone) => Err(format!("the inject `{id}` was skipped")),
            _ if self.ended => Err("the exercise is over".to_owned()),
            _ => Ok(at),
        }
    }

    /// An inject comes now.
    pub fn fire(&mut self, id: &str) -> Result<(), String> {
        let at = self.open(id)?;
        self.come(at);
        Ok(())
    }

    /// An inject does not come.
    pub fn skip(&mut self, id: &str) -> Result<(), String> {
        let at = self.open(id)?;
        if let Some(pending) = self.pending.get_mut(at) {
            pending.stand = Stand::Gone;
        }
        Ok(())
    }

    /// An inject whose time is known comes later.
    pub fn delay(&mut self, id: &str, seconds: i64) -> Result<(), String> {
        let at = self.open(id)?;
        let Some(pending) = self.pending.get_mut(at) else { return Ok(()) };
        match pending.stand {
            Stand::Due(due) => pending.stand = Stand::Due(due.saturating_add(seconds)),
            _ => pending.inject.wait.0 = pending.inject.wait.0.saturating_add(seconds),
        }
        Ok(())
    }

    /// All injects as they stand.
    pub fn plan(&self) -> Vec<Planned> {
        use super::scenario::time::Offset;
        let one = |p: &Pending| Planned {
            id: p.inject.id.clone(),
            channel: p.inject.channel.word(),
            stands: match (p.stand, &p.inject.when, &p.inject.after) {
                (Stand::Due(at), ..) => format!("due {}", Offset(at)),
                (Stand::Fired(at), ..) => format!("came {}", Offset(at)),
                (Stand::Gone, ..) => "does not come".to_owned(),
                (Stand::Waits, Some(when), _) => format!("waits for {when}"),
                (Stand::Waits, None, after) => format!("waits for {}", after.as_deref().unwrap_or("the facilitator")),
            },
            what: p.inject.text.clone().unwrap_or_else(|| effects(&p.inject)),
            note: p.inject.facilitator_note.clone(),
            red_herring: p.inject.red_herring,
        };
        self.pending.iter().map(one).collect()
    }
}
