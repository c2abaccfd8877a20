//! A signal is one number about one subject, with its unit. The table of signals is in `correlate::signals`.

use super::id::{SourceId, TenantId};
use serde::{Deserialize, Serialize};
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
    /// Days.
    Days,
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
        channel: String,
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
        router: String,
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
        node: String,
    },
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant { tenant } => f.pad(tenant.as_str()),
            Self::Instance { source }
            | Self::Redis { source }
            | Self::Ingress { source }
            | Self::Cluster { source } => f.pad(source.as_str()),
            Self::Channel { tenant, channel } => write!(f, "{tenant} {channel}"),
            Self::Router { router, .. } => f.pad(router),
            Self::Node { node, .. } => f.pad(node),
        }
    }
}

/// One value of a signal.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// What it is about.
    pub subject: Subject,
    /// Name in the table of signals: `lock.blocked`.
    pub signal: &'static str,
    /// The value, in the unit that the table gives.
    pub value: f64,
}
