//! The rows of the panes: built in one place (`correlate::panes`), drawn by the console, printed as a table
//! and exported as JSON. `None` is *not known*, and never green.

mod subject;

use super::estate::Tenancy;
use super::facts::Missing;
use super::health::Health;
use super::id::{SourceId, TenantId};
use super::sample::SourceKind;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

pub use subject::{SHOWN, SignalValue, SignalView, SubjectRow, SubjectView, UsualView};

/// A pane: what a commander looks at together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pane {
    /// One row a tenant.
    Tenants,
    /// Databases, pools and who keeps them.
    Database,
    /// Jobs, crons, Redis.
    Queue,
    /// Ingresses, routers, probes from outside.
    Ingress,
    /// Clusters, nodes, volumes, alerts.
    Platform,
    /// Backups, archives, restore tests.
    Recovery,
    /// What was delivered, and whether it is what Git says.
    Delivery,
    /// Integrations, orders, planning runs, synthetics.
    Business,
    /// Certificates and what else keeps others out.
    Security,
}

impl Pane {
    /// All, in the order of their keys.
    pub const ALL: [Self; 9] = [
        Self::Tenants,
        Self::Database,
        Self::Queue,
        Self::Ingress,
        Self::Platform,
        Self::Recovery,
        Self::Delivery,
        Self::Business,
        Self::Security,
    ];

    /// The word used in output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tenants => "tenants",
            Self::Database => "database",
            Self::Queue => "queue",
            Self::Ingress => "ingress",
            Self::Platform => "platform",
            Self::Recovery => "recovery",
            Self::Delivery => "delivery",
            Self::Business => "business",
            Self::Security => "security",
        }
    }
}

/// All panes at one moment. A pane without a configured source is empty, and `sources` says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Panes {
    /// Every observer.
    pub sources: Vec<SourceRow>,
    /// One row a tenant, worst first.
    pub tenants: Vec<TenantRow>,
    /// One row an instance.
    pub databases: Vec<DatabaseRow>,
    /// One row a channel, then one a Redis.
    pub queues: Vec<QueueRow>,
    /// One row a router, then one an ingress.
    pub ingress: Vec<IngressRow>,
    /// Clusters, nodes and what runs on them.
    #[serde(default)]
    pub platform: Vec<SubjectRow>,
    /// Backups.
    #[serde(default)]
    pub recovery: Vec<SubjectRow>,
    /// What delivers changes.
    #[serde(default)]
    pub delivery: Vec<SubjectRow>,
    /// Processes of the business, and integrations.
    #[serde(default)]
    pub business: Vec<SubjectRow>,
    /// Rights, certificates, privileged actions.
    #[serde(default)]
    pub security: Vec<SubjectRow>,
}

impl Panes {
    /// The rows of a pane whose rows are subjects; none for the others.
    pub fn subjects(&self, pane: Pane) -> &[SubjectRow] {
        match pane {
            Pane::Tenants | Pane::Database | Pane::Queue | Pane::Ingress => &[],
            Pane::Platform => &self.platform,
            Pane::Recovery => &self.recovery,
            Pane::Delivery => &self.delivery,
            Pane::Business => &self.business,
            Pane::Security => &self.security,
        }
    }

    /// The worst of a pane; `None` where there is nothing to observe.
    pub fn health(&self, pane: Pane) -> Option<Health> {
        match pane {
            Pane::Tenants => self.tenants.iter().map(|r| r.health).max(),
            Pane::Database => self.databases.iter().map(|r| r.health).max(),
            Pane::Queue => self.queues.iter().map(QueueRow::health).max(),
            Pane::Ingress => self.ingress.iter().map(|r| r.health).max(),
            general => self.subjects(general).iter().map(|r| r.health).max(),
        }
    }
}

/// One observer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SourceRow {
    /// Name.
    pub id: SourceId,
    /// Kind.
    pub kind: SourceKind,
    /// `ok` when fresh, `warn` when rights are missing, `unknown` otherwise.
    pub health: Health,
    /// Address without secrets.
    pub address: SmolStr,
    /// Last good observation.
    pub observed_at: Option<Timestamp>,
    /// Its age in seconds.
    pub age_s: Option<f64>,
    /// How long it took, in milliseconds.
    pub took_ms: Option<f64>,
    /// Since when it is unknown.
    pub unknown_since: Option<Timestamp>,
    /// Why it is not green.
    pub why: Option<String>,
    /// Rights that are missing.
    pub missing: Vec<Missing>,
    /// What it says beside its values, a sentence each; the first of them.
    #[serde(default)]
    pub said: Vec<String>,
    /// Host of the engine that watches it in the place of this one.
    #[serde(default)]
    pub watched_by: Option<String>,
}

/// One tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TenantRow {
    /// Id.
    pub id: TenantId,
    /// Name.
    pub name: SmolStr,
    /// Tenancy.
    pub tenancy: Tenancy,
    /// Criticality, 1 the most critical.
    pub criticality: u8,
    /// Plants.
    pub plants: Vec<String>,
    /// Roll-up.
    pub health: Health,
    /// The one thing most worth saying, such as `41 blocked, oldest 62 s`; empty when all is well.
    pub why: String,
    /// 95th percentile of latency in seconds.
    pub p95_s: Option<f64>,
    /// Share of 5xx, 0 to 1.
    pub share_5xx: Option<f64>,
    /// Web pods ready and desired.
    pub web: Option<(u32, u32)>,
    /// Worker pods ready and desired.
    pub workers: Option<(u32, u32)>,
    /// Restarts of all its pods in five minutes.
    pub restarts_5m: Option<u32>,
    /// Image tag of the web Deployment.
    pub image: Option<SmolStr>,
    /// Beginning of the digest that runs under that tag, where all web pods run the same and their nodes say it.
    #[serde(default)]
    pub digest: Option<SmolStr>,
    /// Age of that image in the pod template, in seconds.
    pub image_age_s: Option<f64>,
    /// Jobs waiting.
    pub queue_depth: Option<u32>,
    /// Age of the oldest due job in seconds.
    pub queue_oldest_s: Option<f64>,
    /// Lateness of the latest cron in seconds.
    pub cron_lateness_s: Option<f64>,
    /// Sessions blocked in its database.
    pub blocked: Option<u32>,
    /// Days until its certificate expires.
    pub certificate_days: Option<f64>,
    /// Who owns it, where that is declared.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// How many times too fast the error budget of its service level burns.
    #[serde(default)]
    pub burn: Option<f64>,
    /// The fullest of its quotas, 0 to 1.
    #[serde(default)]
    pub quota: Option<f64>,
    /// Since when it is harmed, while there is a finding of that.
    #[serde(default)]
    pub hurt_since: Option<Timestamp>,
    /// Seconds for which the most urgent process of its business may stand still.
    #[serde(default)]
    pub rto_s: Option<u32>,
    /// Seconds of work that may be lost at most.
    #[serde(default)]
    pub rpo_s: Option<u32>,
    /// Seconds of work that would be lost now: what is archived of the instance of its database.
    #[serde(default)]
    pub rpo_now_s: Option<f64>,
    /// The newest values of its latency, oldest first, while it is not well; ten seconds apart.
    #[serde(default)]
    pub trend: Vec<f32>,
    /// Age in seconds of the oldest observation that this row rests on.
    pub age_s: Option<f64>,
}

/// One node of a lock tree, in the order of printing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LockNode {
    /// Depth; 0 is a root blocker.
    pub depth: u16,
    /// Process id.
    pub pid: i32,
    /// Start of the session; with the pid it names the session.
    pub backend_start: Timestamp,
    /// Database.
    pub database: String,
    /// User.
    pub user: String,
    /// `application_name`.
    pub application: String,
    /// Seconds in transaction (a root) or waiting (others).
    pub age_s: Option<f64>,
    /// Sessions that wait for it, directly or not.
    pub waiting_behind: u32,
    /// State.
    pub state: String,
    /// Query.
    pub query: String,
}

/// One database instance or pool.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct DatabaseRow {
    /// Source.
    pub id: SourceId,
    /// `primary`, `replica`, `pgbouncer`, or `unknown`.
    pub role: SmolStr,
    /// Health.
    pub health: Health,
    /// The one thing most worth saying.
    pub why: String,
    /// Server version.
    pub version: Option<SmolStr>,
    /// Timeline.
    pub timeline: Option<u32>,
    /// Replication lag in seconds: a replica's own, a primary's worst standby.
    pub lag_s: Option<f64>,
    /// Replication lag in bytes, worst standby.
    pub lag_bytes: Option<u64>,
    /// Standbys streaming, on a primary.
    pub standbys: Option<u32>,
    /// Sessions blocked.
    pub blocked: Option<u32>,
    /// Longest wait for a lock in seconds.
    pub oldest_blocked_s: Option<f64>,
    /// Connections used.
    pub connections: Option<u32>,
    /// Connections allowed.
    pub max_connections: Option<u32>,
    /// Longest transaction in seconds.
    pub longest_transaction_s: Option<f64>,
    /// Longest idle in transaction in seconds.
    pub longest_idle_s: Option<f64>,
    /// Clients waiting, of a pool.
    pub clients_waiting: Option<u32>,
    /// Longest wait for a pooled connection in seconds.
    pub max_wait_s: Option<f64>,
    /// Lowest cache hit share of its databases, 0 to 1.
    pub cache_hit: Option<f64>,
    /// Blocking tree, root blockers first.
    pub locks: Vec<LockNode>,
    /// Who owns it, where that is declared.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// The newest values of what it is judged by most, oldest first, while it is not well; ten seconds apart.
    #[serde(default)]
    pub trend: Vec<f32>,
    /// Age of the observation in seconds.
    pub age_s: Option<f64>,
}

/// One channel or one Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum QueueRow {
    /// A job channel.
    Channel(ChannelRow),
    /// A Redis.
    Redis(RedisRow),
}

impl QueueRow {
    /// Its health.
    pub const fn health(&self) -> Health {
        match self {
            Self::Channel(row) => row.health,
            Self::Redis(row) => row.health,
        }
    }
}

/// One job channel of a tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ChannelRow {
    /// Source.
    pub source: SourceId,
    /// Tenant.
    pub tenant: TenantId,
    /// Channel; empty when the source has not answered or `queue_job` is not installed.
    pub channel: SmolStr,
    /// Health.
    pub health: Health,
    /// The one thing most worth saying.
    pub why: String,
    /// Jobs waiting.
    pub depth: Option<u32>,
    /// Jobs running.
    pub started: Option<u32>,
    /// Jobs failed.
    pub failed: Option<u32>,
    /// Jobs nobody works on any more.
    pub zombies: Option<u32>,
    /// Jobs done a minute, over ten minutes.
    pub done_per_min: Option<f64>,
    /// Age of the oldest due job in seconds.
    pub oldest_s: Option<f64>,
    /// Lateness of the tenant's latest cron in seconds.
    pub cron_lateness_s: Option<f64>,
    /// Who owns it, where that is declared.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// The newest values of what it is judged by most, oldest first, while it is not well; ten seconds apart.
    #[serde(default)]
    pub trend: Vec<f32>,
    /// Age of the observation in seconds.
    pub age_s: Option<f64>,
}

/// One Redis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RedisRow {
    /// Source.
    pub id: SourceId,
    /// What it is for: cache, session or queue.
    pub purpose: SmolStr,
    /// `primary`, `replica` or `unknown`.
    pub role: SmolStr,
    /// Health.
    pub health: Health,
    /// The one thing most worth saying.
    pub why: String,
    /// Memory used in bytes.
    pub used_bytes: Option<u64>,
    /// Memory allowed in bytes; `None` when unlimited or not known.
    pub max_bytes: Option<u64>,
    /// Evictions a second.
    pub evicted_per_s: Option<f64>,
    /// Clients connected.
    pub clients: Option<u32>,
    /// Clients blocked.
    pub blocked_clients: Option<u32>,
    /// Replicas connected, on a primary.
    pub replicas: Option<u32>,
    /// Link to the primary is up, on a replica.
    pub link_up: Option<bool>,
    /// Operations a second.
    pub ops_per_s: Option<f64>,
    /// Who owns it, where that is declared.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// The newest values of what it is judged by most, oldest first, while it is not well; ten seconds apart.
    #[serde(default)]
    pub trend: Vec<f32>,
    /// Age of the observation in seconds.
    pub age_s: Option<f64>,
}

/// One router or one ingress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct IngressRow {
    /// Source.
    pub source: SourceId,
    /// `router`, `entrypoint` or `ingress`.
    pub scope: SmolStr,
    /// Name: `t017@file`.
    pub name: SmolStr,
    /// Tenant it serves.
    pub tenant: Option<TenantId>,
    /// The tenant whose host a router takes that is not declared as its router.
    #[serde(default)]
    pub claims: Option<TenantId>,
    /// Health.
    pub health: Health,
    /// The one thing most worth saying.
    pub why: String,
    /// Requests a second.
    pub requests_per_s: Option<f64>,
    /// Share of 5xx, 0 to 1.
    pub share_5xx: Option<f64>,
    /// Share of 4xx, 0 to 1.
    pub share_4xx: Option<f64>,
    /// Latency quantiles in seconds.
    pub p50_s: Option<f64>,
    /// 95th percentile.
    pub p95_s: Option<f64>,
    /// 99th percentile.
    pub p99_s: Option<f64>,
    /// Days until the nearest certificate expires.
    pub certificate_days: Option<f64>,
    /// Whether the newest configuration reload was good.
    pub reload_ok: Option<bool>,
    /// Seconds since the last good reload.
    pub reload_age_s: Option<f64>,
    /// A maintenance page of this program is in force.
    pub maintenance: bool,
    /// The service behind a router and the middlewares before it, of an ingress what is in error; a sentence each.
    #[serde(default)]
    pub behind: Vec<String>,
    /// Who owns it, where that is declared.
    #[serde(default)]
    pub owner: Option<SmolStr>,
    /// The newest values of what it is judged by most, oldest first, while it is not well; ten seconds apart.
    #[serde(default)]
    pub trend: Vec<f32>,
    /// Age of the observation in seconds.
    pub age_s: Option<f64>,
}
