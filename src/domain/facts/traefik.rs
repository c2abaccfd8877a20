//! Traefik: Prometheus metrics and, where given, its API.

use super::Missing;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One Traefik.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TraefikFacts {
    /// Version from `/api/version`, where the API is given.
    pub version: Option<String>,
    /// Routers, by name; rates since the sample before.
    pub routers: Vec<Route>,
    /// Entry points, by name.
    pub entrypoints: Vec<Route>,
    /// `traefik_config_last_reload_success`: when the configuration was last loaded well.
    pub last_reload_success: Option<Timestamp>,
    /// Whether the newest reload failed; `None` when it can not be told. Traefik 2 has a metric for it; Traefik 3
    /// has none, so there it is told from the watched directory and the API.
    pub reload_failed: Option<bool>,
    /// Why the newest configuration is not in force, one sentence that names the file or router.
    pub reload_error: Option<String>,
    /// `traefik_config_reloads_total`.
    pub reloads: Option<u64>,
    /// Certificates, nearest expiry first.
    pub certificates: Vec<Certificate>,
    /// Names of routers in force that this program wrote (`quarterdeck-…`).
    pub measures: Vec<String>,
    /// Rights or settings that are missing, such as `addRoutersLabels`.
    pub missing: Vec<Missing>,
}

/// Traffic of a router or an entry point since the sample before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Name with its provider: `t017@file`.
    pub name: String,
    /// Service behind it, for a router.
    pub service: Option<String>,
    /// Why Traefik disabled this router, from its API.
    pub fault: Option<String>,
    /// Hosts that the rule of a router names, in lower case, from the API; empty where it takes any, or where its text
    /// does not tell.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Requests a second; `None` at the first sample.
    pub requests_per_s: Option<f64>,
    /// Share of 5xx, 0 to 1; `None` without requests.
    pub share_5xx: Option<f64>,
    /// Share of 4xx, 0 to 1; `None` without requests.
    pub share_4xx: Option<f64>,
    /// Median latency in seconds from the histogram's buckets; `None` without requests.
    pub p50_s: Option<f64>,
    /// 95th percentile in seconds.
    pub p95_s: Option<f64>,
    /// 99th percentile in seconds.
    pub p99_s: Option<f64>,
    /// `traefik_open_connections`, for an entry point.
    pub open_connections: Option<u64>,
}

/// One certificate, from `traefik_tls_certs_not_after`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Common name, or the first alternative name.
    pub name: String,
    /// All alternative names.
    pub sans: Vec<String>,
    /// Expiry.
    pub not_after: Timestamp,
}
