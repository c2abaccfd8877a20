//! Puts samples into the world and asks the correlation what they mean; the engine, `status` and `doctor` share it.

use crate::correlate::capacity::Moment;
use crate::correlate::releases::Running;
use crate::correlate::usual::Baselines;
use crate::correlate::{Correlator, Settings};
use crate::domain::estate::{Ahead, Estate, Service};
use crate::domain::finding::{Change, Finding};
use crate::domain::id::TenantId;
use crate::domain::pane::{Panes, SubjectView};
use crate::domain::sample::Sample;
use crate::domain::signal::Subject;
use crate::domain::usual::UsualState;
use crate::domain::world::World;
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;

/// Changes that a snapshot carries.
const CHANGES: usize = 50;

/// How long what the calendar says, and how far it is known what is usual, is taken to hold.
const LOOK_UP: SignedDuration = SignedDuration::from_secs(30);

/// The correlation with what it needs at hand.
#[derive(Debug)]
pub struct Judge {
    correlator: Correlator,
    /// What the calendar says, and until when that holds.
    ahead: (Arc<Vec<Ahead>>, Timestamp),
    /// How far it is known what is usual, and until when that holds.
    usual: (Arc<UsualState>, Timestamp),
}

impl Judge {
    /// One that has seen nothing.
    pub fn new(settings: Settings, estate: &Arc<Estate>) -> Self {
        let correlator = Correlator::new(settings, estate, jiff::tz::db());
        let never = Timestamp::MIN;
        Self { correlator, ahead: (Arc::default(), never), usual: (Arc::default(), never) }
    }

    /// Takes in a sample; one that the world does not accept (older than what is known) counts for nothing.
    pub fn take(&mut self, world: &mut World, sample: &Sample) {
        let before = world.sources.get(&sample.source).and_then(|s| s.good.as_ref()).map(|g| g.facts.clone());
        if world.take(sample.clone()) {
            self.correlator.observe(before.as_deref(), sample);
        }
    }

    /// Findings and panes at a moment.
    pub fn look(&mut self, world: &mut World, now: Timestamp) -> (Vec<Finding>, Panes) {
        for sample in self.correlator.standbys(world, now) {
            self.take(world, &sample);
        }
        let findings = self.correlator.evaluate(world, now).findings;
        (findings, self.correlator.panes(world, now))
    }

    /// All that is known of one subject.
    pub fn subject(&self, world: &World, subject: &Subject, now: Timestamp) -> SubjectView {
        self.correlator.look(world, subject, now)
    }

    /// What is usual, as it was learnt.
    pub const fn baselines(&self) -> &Baselines {
        self.correlator.baselines()
    }

    /// The same, to take up what was learnt before.
    pub const fn baselines_mut(&mut self) -> &mut Baselines {
        self.correlator.baselines_mut()
    }

    /// What the calendar has in force, and what lies ahead; looked up anew twice a minute.
    pub fn ahead(&mut self, now: Timestamp) -> Arc<Vec<Ahead>> {
        if now >= self.ahead.1 {
            let next = now.checked_add(LOOK_UP).unwrap_or(Timestamp::MAX);
            self.ahead = (Arc::new(self.correlator.ahead(now)), next);
        }
        self.ahead.0.clone()
    }

    /// How far it is known what is usual; looked up anew twice a minute.
    pub fn usual(&mut self, world: &World, now: Timestamp) -> Arc<UsualState> {
        if now >= self.usual.1 {
            let next = now.checked_add(LOOK_UP).unwrap_or(Timestamp::MAX);
            self.usual = (Arc::new(self.correlator.usual(world, now)), next);
        }
        self.usual.0.clone()
    }

    /// The release that each tenant is to run now.
    pub fn releases<'a>(&'a self, world: &'a World) -> Vec<Running<'a>> {
        self.correlator.releases(world)
    }

    /// What tenants have reserved and use now.
    pub fn capacity(&self, now: Timestamp) -> Vec<(TenantId, Moment)> {
        self.correlator.capacity(now)
    }

    /// The declared services.
    pub fn services(&self) -> &[Service] {
        &self.correlator.settings().services
    }

    /// What changed lately, newest first.
    pub fn changes(&self) -> Vec<Change> {
        self.correlator.changes().take(CHANGES).cloned().collect()
    }
}
