//! The estate as it is declared: tenants, their plants and cut-offs, and where their parts run.

use super::id::{SourceId, TenantId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Class of an estate; classes are never mixed in a roll-up and no run crosses them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    /// Not used for business.
    Development,
    /// Rehearsal of production.
    Staging,
    /// Business runs on it.
    Production,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Development => "development",
            Self::Staging => "staging",
            Self::Production => "production",
        })
    }
}

/// Whether a tenant shares its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tenancy {
    /// Own workloads and database.
    Dedicated,
    /// Shares a cluster, a database server or workers with others.
    MultiTenant,
}

/// A place that stands still when its tenant does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plant {
    /// Name as its people say it.
    pub name: String,
    /// IANA time zone of the plant.
    #[serde(default = "utc")]
    pub time_zone: String,
}

fn utc() -> String {
    "UTC".into()
}

/// A time of day after which something can not be caught up: truck departure, receiving, shift start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutoff {
    /// What happens then: `receiving starts`.
    pub what: String,
    /// Local time of day, `HH:MM`, each day.
    pub at: jiff::civil::Time,
    /// IANA time zone in which `at` is meant.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// A database of a tenant on an observed PostgreSQL instance.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DatabaseRef {
    /// The source that observes the instance.
    pub instance: SourceId,
    /// Database name.
    pub name: String,
}

/// Workloads of a tenant on an observed cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NamespaceRef {
    /// The source that observes the cluster.
    pub cluster: SourceId,
    /// Namespace.
    pub name: String,
    /// Deployment that serves people.
    pub web: String,
    /// Deployment that runs queued jobs.
    pub workers: String,
}

/// A router of a tenant at an observed ingress.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RouterRef {
    /// The source that observes the ingress.
    pub ingress: SourceId,
    /// Router name with its provider: `t017@file`.
    pub name: String,
    /// Host that the router answers for.
    pub host: String,
}

/// One customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// Short name used everywhere: `t017`.
    pub id: TenantId,
    /// Name of the customer.
    pub name: String,
    /// Whether it shares its parts.
    pub tenancy: Tenancy,
    /// 1 is the most critical, 5 the least.
    pub criticality: u8,
    /// Plants that depend on it.
    pub plants: Vec<Plant>,
    /// Times after which it hurts more.
    pub cutoffs: Vec<Cutoff>,
    /// Its database, where one is observed.
    pub database: Option<DatabaseRef>,
    /// Its workloads, where a cluster is observed.
    pub namespace: Option<NamespaceRef>,
    /// Its router, where an ingress is observed.
    pub router: Option<RouterRef>,
}

/// What was agreed about a tenant, as it is declared.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Terms {
    /// Who owns it.
    pub owner: Option<String>,
    /// Share of its requests that are to go well, such as 0.999.
    pub slo: Option<f64>,
    /// What its business does with it.
    pub processes: Vec<Process>,
}

/// A process of a tenant's business.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Process {
    /// What it is: `order entry`.
    pub what: String,
    /// Seconds for which it may stand still.
    pub rto_s: Option<u32>,
    /// Seconds of work that may be lost.
    pub rpo_s: Option<u32>,
}

impl Terms {
    /// The shortest time in seconds for which a process of it may stand still, and which that is.
    pub fn rto(&self) -> Option<(u32, &str)> {
        self.processes.iter().filter_map(|p| Some((p.rto_s?, p.what.as_str()))).min()
    }

    /// The least work in seconds that a process of it may lose, and which that is.
    pub fn rpo(&self) -> Option<(u32, &str)> {
        self.processes.iter().filter_map(|p| Some((p.rpo_s?, p.what.as_str()))).min()
    }
}

/// A part of the estate that others stand on, as it is declared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Service {
    /// Its name; that of a source where one observes it.
    pub id: String,
    /// Who owns it.
    pub owner: Option<String>,
    /// The region that it is in.
    pub region: Option<String>,
    /// Share of requests through it that are to go well, such as 0.999.
    #[serde(default)]
    pub slo: Option<f64>,
    /// The services that it needs.
    pub depends_on: Vec<String>,
}

/// What an occasion of the business calendar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OccasionKind {
    /// A planning run.
    Mrp,
    /// A change of shift.
    Shift,
    /// The close of a month.
    MonthEnd,
    /// A moment after which something can not be caught up.
    CutOff,
    /// No changes are wanted.
    Freeze,
}

/// One occasion of the business calendar, as it is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occasion {
    /// What it is, as its people say it.
    pub what: String,
    /// Its kind.
    pub kind: OccasionKind,
    /// On which days; on all when empty.
    pub days: Vec<OccasionDay>,
    /// When it begins, local time.
    pub from: jiff::civil::Time,
    /// When it ends, local time, on the next day where that is not later; a moment when absent.
    pub to: Option<jiff::civil::Time>,
    /// IANA time zone in which both are meant.
    pub time_zone: String,
    /// Whom it concerns; everybody when empty.
    pub tenants: Vec<TenantId>,
}

/// A day on which an occasion is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OccasionDay {
    /// A day of the week.
    Week(jiff::civil::Weekday),
    /// A day of the month, from 1.
    Month(i8),
    /// The last day of the month.
    Last,
}

/// Something that the calendar has in force, or that lies ahead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Ahead {
    /// What.
    pub what: String,
    /// Its kind.
    pub kind: OccasionKind,
    /// When it begins, or has begun.
    pub at: jiff::Timestamp,
    /// When it ends; a moment when absent.
    pub until: Option<jiff::Timestamp>,
    /// Whom it concerns; everybody when empty.
    pub tenants: Vec<TenantId>,
}

impl Ahead {
    /// Whether it goes on at a moment.
    pub fn in_force(&self, now: jiff::Timestamp) -> bool {
        self.at <= now && self.until.is_some_and(|until| until > now)
    }
}

/// What one console commands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Estate {
    /// Name: `acme-prod`.
    pub name: String,
    /// Its class.
    pub environment: Environment,
    /// IANA time zone shown beside UTC.
    pub time_zone: String,
    /// Its tenants, in the order of their ids.
    pub tenants: Vec<Tenant>,
}

impl Tenant {
    /// Whether its database stands on this instance.
    pub fn has_database_on(&self, instance: &SourceId) -> bool {
        self.database.as_ref().is_some_and(|d| d.instance == *instance)
    }

    /// Whether it runs in this cluster.
    pub fn runs_in(&self, cluster: &SourceId) -> bool {
        self.namespace.as_ref().is_some_and(|n| n.cluster == *cluster)
    }

    /// Whether people reach it by this ingress.
    pub fn is_behind(&self, ingress: &SourceId) -> bool {
        self.router.as_ref().is_some_and(|r| r.ingress == *ingress)
    }
}

impl Estate {
    /// The tenant of that id.
    pub fn tenant(&self, id: &TenantId) -> Option<&Tenant> {
        self.tenants.binary_search_by(|t| t.id.cmp(id)).ok().and_then(|i| self.tenants.get(i))
    }

    /// Tenants whose database stands on this instance.
    pub fn tenants_on<'a>(&'a self, instance: &'a SourceId) -> impl Iterator<Item = &'a Tenant> {
        self.tenants.iter().filter(move |t| t.has_database_on(instance))
    }

    /// Tenants that run in this cluster, each with its namespace there.
    pub fn namespaces_in<'a>(
        &'a self,
        cluster: &'a SourceId,
    ) -> impl Iterator<Item = (&'a Tenant, &'a NamespaceRef)> + Clone {
        let of = |t: &'a Tenant| Some((t, t.namespace.as_ref()?));
        self.tenants.iter().filter_map(of).filter(move |(_, namespace)| &namespace.cluster == cluster)
    }

    /// The tenant whose database this is.
    pub fn tenant_of_database(&self, instance: &SourceId, database: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|t| t.database.as_ref().is_some_and(|d| &d.instance == instance && d.name == database))
    }
}
