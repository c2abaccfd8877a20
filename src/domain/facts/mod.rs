//! What each kind of source yields: plain values, only the fields that a pane, a rule or a verb reads.
//! Numbers carry their unit in the name; a value that the server did not give is `None`, never zero.

pub mod kubernetes;
pub mod measured;
pub mod odoo;
pub mod postgres;
pub mod redis;
pub mod traefik;

use super::sample::SourceKind;
use serde::{Deserialize, Serialize};

pub use kubernetes::KubernetesFacts;
pub use measured::{Measured, MeasuredFacts};
pub use odoo::OdooFacts;
pub use postgres::{PgbouncerFacts, PostgresFacts};
pub use redis::RedisFacts;
pub use traefik::TraefikFacts;

/// Facts of one sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Facts {
    /// Of a cluster.
    Kubernetes(KubernetesFacts),
    /// Of a PostgreSQL instance.
    Postgres(PostgresFacts),
    /// Of a `PgBouncer`.
    Pgbouncer(PgbouncerFacts),
    /// Of a tenant's Odoo database.
    Odoo(OdooFacts),
    /// Of a Redis instance.
    Redis(RedisFacts),
    /// Of a Traefik.
    Traefik(TraefikFacts),
    /// Of a source that only delivers signals.
    Measured(MeasuredFacts),
}

impl Facts {
    /// The kind of source that yields these.
    pub const fn kind(&self) -> SourceKind {
        match self {
            Self::Kubernetes(_) => SourceKind::Kubernetes,
            Self::Postgres(_) => SourceKind::Postgres,
            Self::Pgbouncer(_) => SourceKind::Pgbouncer,
            Self::Odoo(_) => SourceKind::Odoo,
            Self::Redis(_) => SourceKind::Redis,
            Self::Traefik(_) => SourceKind::Traefik,
            Self::Measured(facts) => facts.of,
        }
    }
}

/// A right that is missing, said once, with what would help.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Missing {
    /// What can not be seen without it: `queries of other users`.
    pub disables: String,
    /// What would give it: `GRANT pg_monitor TO quarterdeck_observe`.
    pub remedy: String,
}
