//! The drill: a simulated estate that implements both ports, so that the same engine, console, playbooks and
//! journal run on it; scenarios in YAML that put faults into it; and the clock that they run by. Only the engine
//! and the command line call it. It opens no connection, and nothing of `observe` or `act` can be built in it.

pub mod catalog;
mod clock;
mod condition;
pub mod exercise;
pub mod from_incident;
mod look;
pub mod model;
mod observer;
mod post;
pub mod scenario;
pub mod score;
pub mod script;
mod verbs;

#[cfg(test)]
mod tests;

use crate::comms::{Post, Table};
use crate::correlate::Settings;
use crate::correlate::usual::Baselines;
use crate::domain::estate::Estate;
use crate::domain::ports::{Clock, Observer, Verb};
use crate::domain::request::VerbSpec;
use crate::domain::sample::{Sample, SourceSpec};
use crate::domain::signal::Subject;
use crate::policy::authorized::Authorized;
use clock::ScenarioClock;
use exercise::{Event, Exercise, Planned};
use model::Simulation;
use model::build::Size;
use observer::{Pace, Shared, Simulated};
use scenario::Scenario;
use score::{Card, Ledger};
use std::sync::Arc;
use std::time::Duration;

pub use scenario::{ScenarioError, parse};

/// What differs from the scenario.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Another seed.
    pub seed: Option<u64>,
    /// Another speed of the clock; 0 begins paused.
    pub speed: Option<f64>,
    /// Another size of the estate.
    pub size: Option<Size>,
    /// Samples a second in real time over all sources, in place of their intervals: load for measurements.
    pub samples_per_s: Option<u32>,
}

/// A running drill.
#[derive(Clone)]
pub struct Drill {
    scenario: Arc<Scenario>,
    seed: u64,
    shared: Arc<Shared>,
    estate: Arc<Estate>,
    sources: Vec<SourceSpec>,
    samples_per_s: Option<u32>,
}

/// State of a drill, for screens.
#[derive(Clone, Debug, PartialEq)]
pub struct View {
    /// Scenario id.
    pub scenario: String,
    /// Its name.
    pub name: String,
    /// Speed of the clock; 0 when paused.
    pub speed: f64,
    /// Seconds of scenario time since its beginning.
    pub elapsed_s: f64,
    /// What the crew is told, newest last.
    pub messages: Vec<String>,
    /// Whether its end condition has held.
    pub ended: bool,
}

impl Drill {
    /// Starts a scenario: from here on its clock runs.
    pub fn start(scenario: &Scenario, options: Options) -> Self {
        let (exercise, clock) = (&scenario.exercise, scenario.exercise.clock);
        let size = options.size.unwrap_or(scenario.baseline.size);
        let seed = options.seed.unwrap_or(exercise.seed);
        let sim = Simulation::new(seed, size, clock.start);
        let (estate, sources) = (Arc::clone(sim.estate()), sim.sources());
        let clock = Arc::new(ScenarioClock::new(clock.start, options.speed.unwrap_or(clock.speed)));
        Self {
            scenario: Arc::new(scenario.clone()),
            seed,
            shared: Arc::new(Shared::new(Exercise::new(scenario, sim), clock)),
            estate,
            sources,
            samples_per_s: options.samples_per_s,
        }
    }

    /// The simulated estate as it is declared.
    pub const fn estate(&self) -> &Arc<Estate> {
        &self.estate
    }

    /// Settings of panes and rules that fit it.
    pub fn settings(&self) -> Settings {
        let redis = self.shared.now().sim.redis_purposes();
        Settings { redis_purpose: redis, ..Settings::default() }
    }

    /// Puts in what is usual on the simulated estate, as if it had been looked at for weeks: a tenant's requests and their
    /// time by day, a quarter of it by night.
    pub fn seed(&self, baselines: &mut Baselines) {
        let exercise = self.shared.now();
        for tenant in &exercise.sim.tenants {
            let subject = Subject::Tenant { tenant: tenant.id.clone() };
            let usual = tenant.usual;
            let by_day = |place: u16| matches!(place % 24, 5..22);
            baselines.seed(&subject, "http.requests", |p| usual.requests * if by_day(p) { 1.0 } else { 0.25 });
            baselines.seed(&subject, "orders.hour", |_| tenant.orders_hour);
            baselines.seed(&subject, "mrp.duration", |_| tenant.trouble.planned_s);
            baselines.seed(&subject, "http.p95", |p| usual.p95_s * if by_day(p) { 1.0 } else { 0.8 });
        }
    }

    /// The scenario's clock.
    pub fn clock(&self) -> Arc<dyn Clock> {
        self.shared.clock.clone()
    }

    /// One observer for each source.
    pub fn observers(&self) -> Vec<Box<dyn Observer>> {
        let count = u32::try_from(self.sources.len()).unwrap_or(u32::MAX).max(1);
        let pace = self.samples_per_s.filter(|n| *n > 0).map_or(Pace::Scenario, |per_second| {
            Pace::Real(Duration::from_secs_f64(f64::from(count) / f64::from(per_second)))
        });
        let observer = |spec: &SourceSpec| Simulated { shared: Arc::clone(&self.shared), spec: spec.clone(), pace };
        self.sources.iter().map(|spec| Box::new(observer(spec)) as Box<dyn Observer>).collect()
    }

    /// The simulated verbs. They act on the estate of this drill and on nothing else.
    pub fn verbs(&self) -> Vec<Arc<dyn Verb<Permit = Authorized>>> {
        verbs::all(&self.shared)
    }

    /// What takes messages to stakeholders: nothing that leaves the exercise.
    pub fn post(&self, table: &Table) -> Arc<dyn Post> {
        Arc::new(post::Simulated::new(&self.shared, table))
    }

    /// What the simulated verbs declare.
    pub fn specs() -> impl Iterator<Item = &'static VerbSpec> {
        verbs::specs()
    }

    /// One sample of every source now, for looking without observers.
    pub fn samples(&self) -> Vec<Sample> {
        self.sources.iter().map(|spec| self.shared.sample(&spec.id)).collect()
    }

    /// State for screens.
    pub fn view(&self) -> View {
        let exercise = self.shared.now();
        let start = exercise.sim.at(0);
        View {
            scenario: self.scenario.exercise.id.clone(),
            name: self.scenario.exercise.name.clone(),
            speed: self.shared.clock.speed(),
            elapsed_s: self.shared.clock.now().duration_since(start).as_secs_f64().max(0.0),
            messages: exercise.messages.clone(),
            ended: exercise.ended,
        }
    }

    /// Changes the speed of the clock; 0 pauses.
    pub fn set_speed(&self, speed: f64) {
        self.shared.clock.set_speed(speed);
    }

    /// The speed that its scenario asks for.
    pub fn usual_speed(&self) -> f64 {
        self.scenario.exercise.clock.speed
    }

    /// Moves a clock that stands on by a second, and answers the samples of the sources that are due then.
    pub fn second(&self) -> Vec<Sample> {
        self.shared.clock.advance(jiff::SignedDuration::from_secs(1));
        let elapsed = self.shared.now().sim.elapsed_s().unsigned_abs();
        let due = self.sources.iter().filter(|spec| elapsed.is_multiple_of(spec.interval.as_secs().max(1)));
        due.map(|spec| self.shared.sample(&spec.id)).collect()
    }

    /// What it is scored by.
    pub fn card(&self) -> Card {
        Card::new(&self.scenario, self.seed)
    }

    /// What the exercise did since this was asked last.
    pub fn take_events(&self) -> Vec<Event> {
        self.shared.now().take_events()
    }

    /// Whether nobody approves now.
    pub fn approver_absent(&self) -> bool {
        self.shared.now().approver_absent()
    }

    /// All injects as they stand.
    pub fn plan(&self) -> Vec<Planned> {
        self.shared.now().plan()
    }

    /// An inject comes now.
    ///
    /// # Errors
    /// Why it can not, one sentence; so for the next two.
    pub fn fire(&self, inject: &str) -> Result<(), String> {
        self.shared.now().fire(inject)
    }

    /// An inject does not come.
    pub fn skip(&self, inject: &str) -> Result<(), String> {
        self.shared.now().skip(inject)
    }

    /// An inject comes later.
    pub fn delay(&self, inject: &str, seconds: i64) -> Result<(), String> {
        self.shared.now().delay(inject, seconds)
    }

    /// Tells the crew something.
    pub fn tell(&self, message: &str) {
        self.shared.now().tell(message);
    }

    /// The hint that can be had now, else in how many seconds one can.
    pub fn hint(&self, ledger: &Ledger) -> Help {
        let elapsed = self.shared.now().sim.elapsed_s();
        let mut soonest: Option<i64> = None;
        for (id, inject, hint) in self.scenario.all_hints() {
            let inject = inject.map(|i| i.id.as_str());
            let Some(from) = inject.map_or(Some(0), |i| ledger.came(i)) else { continue };
            if ledger.was_hinted(&id) || ledger.is_settled(inject) {
                continue;
            }
            let left = from.saturating_add(hint.after.0) - elapsed;
            if left <= 0 {
                return Help::Now { id, cost: hint.cost, text: hint.text.clone() };
            }
            soonest = Some(soonest.map_or(left, |s| s.min(left)));
        }
        soonest.map_or(Help::Nothing, Help::In)
    }
}

/// What help there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Help {
    /// A hint can be had now.
    Now {
        /// Its name.
        id: String,
        /// What it costs.
        cost: u32,
        /// What it says.
        text: String,
    },
    /// The next one can be had in so many seconds.
    In(i64),
    /// There is none for what is going on.
    Nothing,
}

impl std::fmt::Debug for Drill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drill")
            .field("id", &self.scenario.exercise.id)
            .field("sources", &self.sources.len())
            .finish_non_exhaustive()
    }
}
