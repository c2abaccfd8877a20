//! A signal is one number about one subject, with its unit. The table of signals is in `correlate::signals`.

use super::id::{SourceId, TenantId};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// Unit of a value; it decides how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Things.
    Count,
    /// Seconds.
    Seconds,
    /// Share from 0 to 1, written in per cent.
    Ratio,
    /// Bytes.
    Bytes,
    /// Things a second.
    PerSecond,
    /// Bytes a second.
    BytesPerSecond,
    /// Days.
    Days,
    /// Processor cores.
    Cores,
    /// 1 is yes, 0 is no.
    Flag,
}

/// Days in words, never more than there are: `2.4 d` below ten, `18 d` from there on. The one way to write them, in
/// findings, panes and output, so that the same certificate has the same days everywhere.
pub fn days(days: f64) -> String {
    if days.abs() < 10.0 { format!("{:.1} d", (days * 10.0).floor() / 10.0) } else { format!("{:.0} d", days.floor()) }
}

/// What a value is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Subject {
    /// A tenant.
    Tenant {
        /// Which.
        tenant: TenantId,
    },
    /// A PostgreSQL instance.
    Instance {
        /// The source that observes it.
        source: SourceId,
    },
    /// A job channel of a tenant.
    Channel {
        /// Whose.
        tenant: TenantId,
        /// Full channel name: `root.wms`.
        channel: SmolStr,
    },
    /// A Redis instance.
    Redis {
        /// The source that observes it.
        source: SourceId,
    },
    /// A router of an ingress.
    Router {
        /// The source that observes the ingress.
        source: SourceId,
        /// Router name: `t017@file`.
        router: SmolStr,
        /// Whose host its rule takes, where it is not the declared router of that tenant.
        #[serde(default)]
        tenant: Option<TenantId>,
    },
    /// An ingress as a whole.
    Ingress {
        /// The source that observes it.
        source: SourceId,
    },
    /// A Kubernetes cluster.
    Cluster {
        /// The source that observes it.
        source: SourceId,
    },
    /// A node of a cluster.
    Node {
        /// The source that observes the cluster.
        source: SourceId,
        /// Node name.
        node: SmolStr,
    },
    /// A namespace of a cluster that is no tenant's.
    Namespace {
        /// The source that observes the cluster.
        source: SourceId,
        /// Its name.
        namespace: SmolStr,
    },
    /// A workload of a cluster that is no tenant's.
    Workload {
        /// The source that observes the cluster.
        source: SourceId,
        /// `namespace/name`.
        workload: SmolStr,
    },
    /// A volume or a claim of one.
    Volume {
        /// The source that says so.
        source: SourceId,
        /// `namespace/claim`, or `host:mount point`.
        volume: SmolStr,
    },
    /// Servers of PostgreSQL that one keeper keeps: a `Cluster` of `CloudNativePG`, a cluster of Patroni.
    Keep {
        /// The source that asks the keeper.
        source: SourceId,
        /// Its name: `namespace/cluster`.
        keep: SmolStr,
    },
    /// Backups of one thing: a stanza of pgBackRest, a `Cluster` of `CloudNativePG`, a bucket.
    Backup {
        /// The source that looks at them.
        source: SourceId,
        /// Of what.
        backup: SmolStr,
    },
    /// What a delivery controller delivers: an Application of Argo CD, a Kustomization or a `HelmRelease` of Flux.
    Application {
        /// The source that observes the controller's objects.
        source: SourceId,
        /// `namespace/name`.
        application: SmolStr,
        /// Into whose namespace it is delivered.
        tenant: Option<TenantId>,
    },
    /// A Certificate of cert-manager.
    Certificate {
        /// The source that observes it.
        source: SourceId,
        /// `namespace/name`.
        certificate: SmolStr,
        /// In whose namespace it is.
        #[serde(default)]
        tenant: Option<TenantId>,
    },
    /// An address that is probed from here.
    Endpoint {
        /// The source that probes it.
        source: SourceId,
        /// `host:port`, with the path that is asked for.
        endpoint: SmolStr,
        /// Whose address it is.
        #[serde(default)]
        tenant: Option<TenantId>,
    },
    /// What a tenant exchanges with others.
    Integration {
        /// Whose.
        tenant: TenantId,
        /// Its name in the configuration.
        integration: SmolStr,
    },
    /// A list or a stream of a Redis.
    Key {
        /// The source that observes the Redis.
        source: SourceId,
        /// The key.
        key: SmolStr,
    },
    /// An alert of another system.
    Alert {
        /// The source that it came from.
        source: SourceId,
        /// Its name and what tells it from others of that name.
        alert: SmolStr,
        /// Whom its labels name.
        tenant: Option<TenantId>,
    },
    /// A process of a tenant that goes on by hand.
    ByHand {
        /// Whose.
        tenant: TenantId,
        /// The measure: `fallback/shipping/t017`.
        measure: SmolStr,
    },
    /// A source itself.
    Source {
        /// Which.
        source: SourceId,
    },
}

/// So that a map of subjects copies one only where it does not have it yet.
impl From<&Self> for Subject {
    fn from(subject: &Self) -> Self {
        subject.clone()
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant { tenant } => f.pad(tenant.as_str()),
            Self::Instance { source }
            | Self::Redis { source }
            | Self::Ingress { source }
            | Self::Cluster { source }
            | Self::Source { source } => f.pad(source.as_str()),
            Self::Namespace { namespace: name, .. }
            | Self::Workload { workload: name, .. }
            | Self::Volume { volume: name, .. }
            | Self::Keep { keep: name, .. }
            | Self::Backup { backup: name, .. }
            | Self::Application { application: name, .. }
            | Self::Certificate { certificate: name, .. }
            | Self::Endpoint { endpoint: name, .. }
            | Self::Key { key: name, .. }
            | Self::Alert { alert: name, .. }
            | Self::ByHand { measure: name, .. } => f.pad(name),
            Self::Integration { tenant, integration } => write!(f, "{tenant} {integration}"),
            Self::Channel { tenant, channel } => write!(f, "{tenant} {channel}"),
            Self::Router { router, .. } => f.pad(router),
            Self::Node { node, .. } => f.pad(node),
        }
    }
}

impl Subject {
    /// The source that its name carries, where it carries one.
    pub const fn source(&self) -> Option<&SourceId> {
        match self {
            Self::Tenant { .. } | Self::Channel { .. } | Self::Integration { .. } | Self::ByHand { .. } => None,
            Self::Instance { source }
            | Self::Redis { source }
            | Self::Router { source, .. }
            | Self::Ingress { source }
            | Self::Cluster { source }
            | Self::Node { source, .. }
            | Self::Namespace { source, .. }
            | Self::Workload { source, .. }
            | Self::Volume { source, .. }
            | Self::Keep { source, .. }
            | Self::Backup { source, .. }
            | Self::Application { source, .. }
            | Self::Certificate { source, .. }
            | Self::Endpoint { source, .. }
            | Self::Key { source, .. }
            | Self::Alert { source, .. }
            | Self::Source { source } => Some(source),
        }
    }

    /// The tenant that it belongs to, where one does.
    pub const fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Tenant { tenant }
            | Self::Channel { tenant, .. }
            | Self::Integration { tenant, .. }
            | Self::ByHand { tenant, .. } => Some(tenant),
            Self::Alert { tenant, .. }
            | Self::Application { tenant, .. }
            | Self::Certificate { tenant, .. }
            | Self::Endpoint { tenant, .. }
            | Self::Router { tenant, .. } => tenant.as_ref(),
            _ => None,
        }
    }
}
