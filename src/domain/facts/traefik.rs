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
    /// Services, by name; only where the API is given.
    #[serde(default)]
    pub services: Vec<Service>,
    /// Middlewares, by name; only where the API is given.
    #[serde(default)]
    pub middlewares: Vec<Middleware>,
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
    /// Service behind it, for a router; with its provider.
    pub service: Option<String>,
    /// Middlewares that its requests pass, in their order, with their providers; from the API.
    #[serde(default)]
    pub middlewares: Vec<String>,
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

impl TraefikFacts {
    /// A service by its name.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.binary_search_by(|s| s.name.as_str().cmp(name)).ok().and_then(|at| self.services.get(at))
    }

    /// A middleware by its name.
    pub fn middleware(&self, name: &str) -> Option<&Middleware> {
        self.middlewares.binary_search_by(|m| m.name.as_str().cmp(name)).ok().and_then(|at| self.middlewares.get(at))
    }

    /// Services and middlewares that Traefik could not build, a sentence each.
    pub fn broken(&self) -> impl Iterator<Item = String> + '_ {
        let of = |what: &'static str, name: &str, fault: &Option<String>| {
            fault.as_ref().map(|fault| format!("{what} {name} is in error: {fault}"))
        };
        let services = self.services.iter().filter_map(move |s| of("service", &s.name, &s.fault));
        services.chain(self.middlewares.iter().filter_map(move |m| of("middleware", &m.name, &m.fault)))
    }
}

/// What requests of a router end at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Name with its provider: `t017@file`.
    pub name: String,
    /// Servers behind it; `None` for one that only leads to other services.
    pub servers: Option<u32>,
    /// Servers that its health check finds down; `None` without a health check: then nobody looks whether they live.
    pub down: Option<Vec<String>>,
    /// Why Traefik could not build it.
    pub fault: Option<String>,
}

impl Service {
    /// The share of servers that are up: none of none, and not known where nobody looks.
    pub fn up(&self) -> Option<f64> {
        match (self.servers?, &self.down) {
            (0, _) => Some(0.0),
            (servers, Some(down)) => {
                let down = u32::try_from(down.len()).unwrap_or(u32::MAX).min(servers);
                Some(f64::from(servers - down) / f64::from(servers))
            }
            (_, None) => None,
        }
    }
}

/// What requests of a router pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Middleware {
    /// Name with its provider.
    pub name: String,
    /// What it does: `ratelimit`, `headers`.
    pub kind: String,
    /// Why Traefik could not build it.
    pub fault: Option<String>,
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
