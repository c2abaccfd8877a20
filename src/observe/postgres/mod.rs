//! PostgreSQL 13 to 18, primary or replica: one session that is kept, a handful of short queries a sample.
//! `link` and `sessions` also serve the tenants' observers and the verbs; otherwise only the engine calls this.

pub mod failure;
mod instance;
pub mod link;
pub mod sessions;
#[cfg(test)]
pub(crate) mod testbed;
#[cfg(test)]
pub(crate) mod tests;
mod upkeep;

use super::poll::Poll;
use crate::config::model;
use crate::domain::facts::Facts;
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, SourceKind, SourceSpec};
use link::{Link, Session, Settings};
use std::time::Duration;

/// No question of an observer may cost the server more than this.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_millis(400);

/// What the role that looks is granted on the instance; without any of it something is unknown, and said.
pub const GRANTS: &[&str] =
    &["pg_monitor", "EXECUTE ON FUNCTION pg_catalog.pg_control_system(), pg_catalog.pg_control_checkpoint()"];

/// Looks at one instance.
#[derive(Debug)]
pub struct Postgres {
    spec: SourceSpec,
    timeout: Duration,
    database: String,
    link: Link,
    session: Option<Session>,
    before: instance::Before,
    upkeep: upkeep::Keeper,
}

impl Postgres {
    /// For a `[[postgres]]` table. Nothing is opened or read yet.
    pub fn new(_: MayObserve, config: &model::Postgres) -> Self {
        let link = Link::observe(config);
        let address = link.address().to_owned();
        Self {
            spec: SourceSpec { id: config.id.clone(), kind: SourceKind::Postgres, interval: config.interval, address },
            timeout: config.timeout,
            database: config.database.clone(),
            link,
            session: None,
            before: instance::Before::new(),
            upkeep: upkeep::Keeper::default(),
        }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        // Taken out while it is in use: a poll that is dropped half-way drops the session with it.
        let session = if let Some(session) = self.session.take().filter(Session::is_open) {
            session
        } else {
            // It may be another server now, behind the same name: its counters tell nothing of these.
            self.before.clear();
            self.upkeep = upkeep::Keeper::default();
            self.link.open(&self.database, Settings::Look { statement_timeout: STATEMENT_TIMEOUT }).await?
        };
        let mut facts = instance::observe(&self.link, &session, &mut self.before).await?;
        facts.upkeep = self.upkeep.observe(&self.link, &session).await?;
        self.session = Some(session);
        Ok(Facts::Postgres(facts))
    }
}

impl Poll for Postgres {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
