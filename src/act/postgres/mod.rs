//! PostgreSQL and the `PgBouncer` before it: sessions, limits, WAL, promotion, pools. `after`, `change`, `typed`, `run` and [`Instances`]
//! also serve `act::odoo`, whose statements run on the same servers; otherwise only the engine calls this.

pub mod after;
pub mod chain;
pub mod change;
mod checkpoint;
#[cfg(test)]
mod cut_tests;
#[cfg(test)]
mod lab_tests;
mod limit;
mod pooler;
mod promote;
mod replication;
mod repoint;
pub mod run;
mod signal;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
pub mod typed;
mod wal;

use super::DynVerb;
use crate::act::look::Looking;
use crate::config::model;
use crate::domain::facts::{Facts, PostgresFacts};
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::VerbSpec;
use crate::domain::sample::{Failure, FailureKind, Freshness};
use crate::observe::postgres::link::Link;
pub use change::Changing;
pub use signal::{CANCEL, TERMINATE};
use std::collections::BTreeMap;
use std::sync::Arc;
pub use tree::SPEC as BLOCKING_TREE;

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[
    &tree::SPEC,
    &signal::CANCEL,
    &signal::TERMINATE,
    &replication::SPEC,
    &limit::SPEC,
    &wal::RESTORE_POINT,
    &wal::SWITCH,
    &checkpoint::SPEC,
    &promote::SPEC,
    &pooler::STATUS,
    &pooler::PAUSE,
    &pooler::RESUME,
    &pooler::KILL,
    &repoint::SPEC,
];

/// The verbs on these instances, and on the `PgBouncer`s before them.
pub fn verbs(may: MayAct, instances: &Arc<Instances>, poolers: &[model::Pgbouncer]) -> Vec<Arc<DynVerb>> {
    let poolers = Arc::new(pooler::Poolers::new(may, poolers));
    vec![
        Looking::shared(tree::BlockingTree::new(Arc::clone(instances))),
        Arc::new(signal::Signal::cancel(Arc::clone(instances))),
        Arc::new(signal::Signal::terminate(Arc::clone(instances))),
        Looking::shared(replication::Replication(Arc::clone(instances))),
        Changing::shared(limit::ConnectionLimit(Arc::clone(instances))),
        Changing::shared(wal::RestorePoint(Arc::clone(instances))),
        Changing::shared(wal::Switch(Arc::clone(instances))),
        Changing::shared(checkpoint::Checkpoint(Arc::clone(instances))),
        Changing::shared(promote::Promote(Arc::clone(instances))),
        Looking::shared(pooler::Status(Arc::clone(&poolers))),
        Arc::new(pooler::Admin::new(&pooler::PAUSE, Arc::clone(&poolers))),
        Arc::new(pooler::Admin::new(&pooler::RESUME, Arc::clone(&poolers))),
        Arc::new(pooler::Admin::new(&pooler::KILL, Arc::clone(&poolers))),
        Arc::new(repoint::Repoint(poolers)),
    ]
}

/// The instances that verbs may be aimed at, each with its two logins.
#[derive(Debug)]
pub struct Instances(BTreeMap<SourceId, Instance>);

/// One instance.
#[derive(Debug)]
pub struct Instance {
    /// As configured.
    pub config: model::Postgres,
    /// For looks.
    pub observe: Link,
    act: Option<Link>,
}

impl Instances {
    /// For the `[[postgres]]` tables. Nothing is opened or read yet.
    pub fn new(_: MayAct, configured: &[model::Postgres]) -> Self {
        let instance = |config: &model::Postgres| {
            let instance = Instance { config: config.clone(), observe: Link::observe(config), act: Link::act(config) };
            (config.id.clone(), instance)
        };
        Self(configured.iter().map(instance).collect())
    }

    /// The instance of that name, for rendering.
    pub fn get(&self, id: &SourceId) -> Result<&Instance, VerbError> {
        self.0.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(SourceId::as_str).collect();
            VerbError::new(format!("there is no PostgreSQL instance {id}; configured: {}", known.join(", ")))
        })
    }

    /// The instance of that name, for sending.
    pub fn reach(&self, id: &SourceId) -> Result<&Instance, Failure> {
        self.get(id).map_err(|e| Failure::new(FailureKind::Local, e.message))
    }
}

impl Instance {
    /// The login that acts.
    pub fn act(&self) -> Result<&Link, Failure> {
        self.act.as_ref().ok_or_else(|| {
            let message = format!("{} has no `act` login in the configuration: no verb may change it", self.config.id);
            Failure::new(FailureKind::Local, message)
        })
    }

    /// The role that acts, for rendering; a verb without one is refused before anybody confirms it.
    pub fn actor(&self) -> Result<&str, VerbError> {
        self.act().map(Link::user).map_err(|f| VerbError::new(f.message))
    }
}

/// The fresh facts of a primary whose identity is known: what every changing verb stands on.
pub fn primary<'a>(context: &'a RenderContext<'_>, id: &SourceId) -> Result<&'a PostgresFacts, VerbError> {
    let Facts::Postgres(facts) = fresh(context, id)? else {
        return Err(VerbError::new(format!("{id} is no PostgreSQL instance")));
    };
    if facts.system_identifier.is_empty() {
        return Err(VerbError::new(format!("the identity of {id} is not known: pg_control_system() may not be read")));
    }
    if facts.in_recovery {
        return Err(VerbError::new(format!("{id} is in recovery, a replica: the primary has to be named")));
    }
    Ok(facts)
}

/// Fresh facts of a source, or why there are none.
pub fn fresh<'a>(context: &'a RenderContext<'_>, id: &SourceId) -> Result<&'a Facts, VerbError> {
    let state = context.world.sources.get(id);
    let state = state.ok_or_else(|| VerbError::new(format!("nothing observes {id}")))?;
    match (state.freshness(context.now), state.good.as_ref()) {
        (Freshness::Fresh { .. }, Some(good)) => Ok(&good.facts),
        (Freshness::Unknown { why, .. }, _) => Err(VerbError::new(format!("{id} is not known now: {why}"))),
        (Freshness::Fresh { .. }, None) => Err(VerbError::new(format!("{id} is not known now"))),
    }
}
