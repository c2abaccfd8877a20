//! The ways to a tenant's Odoo: its database, and its own API where the database gives no login. One source a tenant
//! whichever answers, so nothing counts twice.

use super::api::Api;
use super::{Odoo, source_id};
use crate::config::model;
use crate::domain::facts::Facts;
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::observe::poll::Poll;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// A database that refused the login is asked again after this time: each try is a line in its log.
const AGAIN: Duration = Duration::from_mins(5);

/// Looks at one tenant's Odoo by its database, else by its API.
#[derive(Debug)]
pub struct Ways {
    sql: Option<Odoo>,
    api: Option<Api>,
    /// When and why the database refused.
    refused: Option<(Instant, Failure)>,
}

impl Ways {
    /// One for each tenant whose database stands on a configured instance, or who has an `[[odoo]]`. Nothing is opened
    /// or read yet.
    pub fn all(may: MayObserve, config: &model::Config, zombie_after: Duration) -> Vec<Self> {
        let mut turns: HashMap<&str, Arc<Semaphore>> = HashMap::new();
        let mut apis: BTreeMap<_, _> = BTreeMap::new();
        for odoo in &config.odoo {
            // Tenants of one Odoo share its workers: they take turns.
            let turn = turns.entry(&odoo.door.url).or_insert_with(|| Arc::new(Semaphore::new(super::AT_ONCE)));
            apis.insert(source_id(&odoo.tenant), Api::new(odoo, zombie_after, Arc::clone(turn)));
        }
        let instances = config.postgres.iter();
        let mut all: Vec<Self> = instances
            .flat_map(|instance| Odoo::on(may, instance, &config.estate, zombie_after))
            .map(|sql| Self { api: apis.remove(&sql.spec.id), sql: Some(sql), refused: None })
            .collect();
        all.extend(apis.into_values().map(|api| Self { sql: None, api: Some(api), refused: None }));
        all
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        let recent = self.refused.as_ref().is_some_and(|(at, _)| at.elapsed() < AGAIN);
        match (&mut self.sql, &mut self.api) {
            (Some(sql), None) => sql.poll().await,
            (Some(sql), Some(api)) => {
                if !recent {
                    match sql.poll().await {
                        Err(why) if matches!(why.kind, FailureKind::Authentication | FailureKind::Permission) => {
                            self.refused = Some((Instant::now(), why));
                        }
                        // A database that is gone, late or broken is that for Odoo too.
                        seen => {
                            self.refused = None;
                            return seen;
                        }
                    }
                }
                let why = self.refused.as_ref().map(|(_, why)| why.message.as_str());
                api.look(why).await.map(Facts::Odoo)
            }
            (None, Some(api)) => api.look(None).await.map(Facts::Odoo),
            (None, None) => Err(Failure::new(FailureKind::Local, "there is no way to this Odoo")),
        }
    }
}

impl Poll for Ways {
    fn spec(&self) -> SourceSpec {
        match (&self.sql, &self.api) {
            (Some(sql), None) => sql.spec(),
            (Some(sql), Some(api)) => {
                let spec = sql.spec();
                let address = format!("{}, else {}", spec.address, api.address());
                SourceSpec { interval: spec.interval.max(api.interval()), address, ..spec }
            }
            (None, api) => SourceSpec {
                id: api.as_ref().map_or_else(|| "odoo".into(), |api| source_id(api.tenant())),
                kind: SourceKind::Odoo,
                interval: api.as_ref().map_or(super::SHORTEST_INTERVAL, Api::interval),
                address: api.as_ref().map(Api::address).unwrap_or_default(),
            },
        }
    }

    /// Includes waiting for the turn at both.
    fn timeout(&self) -> Duration {
        let sql = self.sql.as_ref().map_or(Duration::ZERO, |sql| sql.timeout);
        let api = self.api.as_ref().map_or(Duration::ZERO, Api::timeout);
        self.spec().interval.max(sql + api)
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
