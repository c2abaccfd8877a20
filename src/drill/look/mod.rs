//! Looking at the simulated estate: the same facts that the real adapters yield, one file a kind of source.

mod kubernetes;
mod measured;
mod odoo;
mod postgres;
mod redis;
mod traefik;

pub(super) use odoo::{channels, held_beyond};
pub(super) use postgres::backend_start;

use super::model::Simulation;
use super::model::build::CLUSTER;
use crate::domain::facts::Facts;
use crate::domain::id::SourceId;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use std::collections::BTreeMap;
use std::time::Duration;

/// Name of a primary's replica.
fn replica_of(primary: &SourceId) -> SourceId {
    SourceId::new(format!("{primary}-r"))
}

/// Name of a primary's pooler.
fn pool_of(primary: &SourceId) -> SourceId {
    SourceId::new(format!("{primary}-pool"))
}

fn odoo_of(tenant: &str) -> SourceId {
    SourceId::new(format!("odoo/{tenant}"))
}

impl Simulation {
    /// Every source that can be looked at. Intervals are seconds of the scenario.
    pub fn sources(&self) -> Vec<SourceSpec> {
        let spec = |id: SourceId, kind: SourceKind, seconds: u64| SourceSpec {
            address: format!("{id} (simulated)"),
            id,
            kind,
            interval: Duration::from_secs(seconds),
        };
        let mut all = vec![spec(CLUSTER.into(), SourceKind::Kubernetes, 5)];
        for primary in self.instances.keys() {
            all.push(spec(primary.clone(), SourceKind::Postgres, 5));
            all.push(spec(replica_of(primary), SourceKind::Postgres, 5));
            all.push(spec(pool_of(primary), SourceKind::Pgbouncer, 5));
        }
        all.extend(self.redis.keys().map(|id| spec(id.clone(), SourceKind::Redis, 5)));
        all.extend(self.edges.keys().map(|id| spec(id.clone(), SourceKind::Traefik, 5)));
        all.extend(measured::specs());
        all.extend(self.tenants.iter().map(|t| spec(odoo_of(t.id.as_str()), SourceKind::Odoo, 10)));
        all
    }

    /// What each Redis is for.
    pub fn redis_purposes(&self) -> BTreeMap<SourceId, String> {
        self.redis.iter().map(|(id, redis)| (id.clone(), redis.purpose.to_owned())).collect()
    }

    /// What a source answers now.
    pub fn look(&self, source: &SourceId) -> Result<Facts, Failure> {
        if self.silences.contains_key(source) {
            return Err(Failure::new(FailureKind::Timeout, format!("{source} did not answer within 2 s")));
        }
        let unknown = || Failure::new(FailureKind::Unreachable, format!("there is no {source} in this estate"));
        if source.as_str() == CLUSTER {
            return Ok(Facts::Kubernetes(kubernetes::facts(self)));
        }
        if let Some(facts) = measured::facts(self, source) {
            return Ok(facts);
        }
        if let Some(tenant) = source.as_str().strip_prefix("odoo/") {
            return self.tenant(&tenant.into()).map(|t| Facts::Odoo(odoo::facts(t, self.tick))).ok_or_else(unknown);
        }
        if let Some(edge) = self.edges.get(source) {
            return Ok(Facts::Traefik(traefik::facts(self, source, edge)));
        }
        if let Some(redis) = self.redis.get(source) {
            return Ok(Facts::Redis(redis::facts(redis)));
        }
        if let Some(instance) = self.instances.get(source) {
            let refuses = |why: &str| Err(Failure::new(FailureKind::Unreachable, format!("{source} {why}")));
            return match (instance.pair.down, instance.pair.fenced) {
                (true, _) => refuses("refuses the connection"),
                (false, true) => refuses("is fenced: it refuses the connection"),
                (false, false) => Ok(Facts::Postgres(postgres::primary(self, source, instance, true))),
            };
        }
        let with = |suffix: &str| {
            let primary = SourceId::new(source.as_str().strip_suffix(suffix)?);
            self.instances.get(&primary).map(|instance| (primary, instance))
        };
        if let Some((primary, instance)) = with("-r") {
            if instance.pair.promoted {
                return Ok(Facts::Postgres(postgres::primary(self, &primary, instance, false)));
            }
            return Ok(Facts::Postgres(postgres::replica(instance)));
        }
        let (primary, _) = with("-pool").ok_or_else(unknown)?;
        Ok(Facts::Pgbouncer(postgres::pools(self, &primary)))
    }
}
