//! One observation of one source: what came back, when, how long it took; a failure is a value.

use super::facts::Facts;
use super::id::SourceId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Kind of a source; it decides which facts it yields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// A Kubernetes API server.
    Kubernetes,
    /// A PostgreSQL instance.
    Postgres,
    /// A `PgBouncer` admin console.
    Pgbouncer,
    /// A tenant's Odoo database.
    Odoo,
    /// A Redis instance.
    Redis,
    /// A Traefik instance.
    Traefik,
    /// Objects of controllers and of the platform on a Kubernetes API server.
    Objects,
    /// A Prometheus, asked by `PromQL`.
    Prometheus,
    /// An Alertmanager, asked or telling.
    Alertmanager,
    /// The REST API of Patroni.
    Patroni,
    /// A repository of pgBackRest.
    Pgbackrest,
    /// A bucket that backups lie in.
    Bucket,
    /// Tests of restores, as the journal and reports tell of them.
    Restore,
    /// A region that takes over, by what the other sources tell of it.
    Standby,
    /// What people export from Odoo, as its log says.
    Exports,
    /// Roles, rights and policies of a system, against what was approved.
    Baseline,
    /// The journal of the estate, for what it tells of rights.
    Journal,
    /// The audit log of a Kubernetes API server.
    Audit,
    /// An address that is probed from here.
    Probe,
    /// An integration of a tenant.
    Integration,
    /// What a tenant does with its Odoo: orders, planning runs, sessions.
    Business,
    /// Transactions that are tried in a company of their own.
    Synthetic,
    /// Engines of several bastions that share the watching.
    Sharing,
}

impl SourceKind {
    /// The word used in output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Postgres => "postgres",
            Self::Pgbouncer => "pgbouncer",
            Self::Odoo => "odoo",
            Self::Redis => "redis",
            Self::Traefik => "traefik",
            Self::Objects => "objects",
            Self::Prometheus => "prometheus",
            Self::Alertmanager => "alertmanager",
            Self::Patroni => "patroni",
            Self::Pgbackrest => "pgbackrest",
            Self::Bucket => "bucket",
            Self::Restore => "restore",
            Self::Standby => "standby",
            Self::Exports => "exports",
            Self::Baseline => "baseline",
            Self::Journal => "journal",
            Self::Audit => "audit",
            Self::Probe => "probe",
            Self::Integration => "integration",
            Self::Business => "business",
            Self::Synthetic => "synthetic",
            Self::Sharing => "sharing",
        }
    }

    /// Whether it lies on the machine of each engine, so that no other one can watch it in its place: the journal's copy, a
    /// log or a report in a file, a web hook that a server calls.
    pub const fn is_of_one_machine(self) -> bool {
        matches!(self, Self::Journal | Self::Audit | Self::Restore | Self::Alertmanager | Self::Standby | Self::Sharing)
    }
}

impl fmt::Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What an observer says of itself before it has seen anything.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSpec {
    /// Its name in the configuration.
    pub id: SourceId,
    /// Its kind.
    pub kind: SourceKind,
    /// Time between two samples; older than two of them is unknown.
    pub interval: Duration,
    /// Address without secrets, for people: `127.0.0.1:5432`.
    pub address: String,
}

/// Class of a failed observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// No answer within the time allowed.
    Timeout,
    /// Nobody listens, or no route, or the connection was cut.
    Unreachable,
    /// The TLS handshake or the certificate failed.
    Tls,
    /// The credentials were refused.
    Authentication,
    /// Logged in, but a right is missing.
    Permission,
    /// The answer is not what this kind of server says.
    Protocol,
    /// Something on our side, such as an unreadable secret.
    Local,
}

/// Why an observation failed, in words a person can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Class.
    pub kind: FailureKind,
    /// One sentence without secrets.
    pub message: String,
}

impl Failure {
    /// Makes a failure of a class; the message is sanitised, and credentials that a server repeats are concealed.
    pub fn new(kind: FailureKind, message: impl AsRef<str>) -> Self {
        Self { kind, message: super::text::conceal(&super::text::sanitize(message.as_ref())) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// One observation.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Who observed.
    pub source: SourceId,
    /// When the answer was complete.
    pub taken_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// The facts, or why there are none.
    pub result: Result<Arc<Facts>, Failure>,
}

/// How much a value can be relied on at a moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Freshness {
    /// Observed no longer than two intervals ago.
    Fresh {
        /// Age in whole seconds.
        age_s: u64,
    },
    /// Not known now.
    Unknown {
        /// Since when.
        since: Timestamp,
        /// Why: the failure, or that nothing has come yet.
        why: String,
        /// Age in seconds of the last good value, if there ever was one.
        last_good_age_s: Option<u64>,
    },
}

impl Freshness {
    /// Whether it may be relied on.
    pub const fn is_fresh(&self) -> bool {
        matches!(self, Self::Fresh { .. })
    }
}
