//! Traefik's API: its version, and routers, services and middlewares with their errors
//! (<https://doc.traefik.io/traefik/reference/install-configuration/api-dashboard/#endpoints>).

use crate::domain::facts::traefik::{Middleware, Service};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Ask, Http};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;

/// Bytes of one page taken at most; a router is about 500.
const PAGE_BYTES: usize = 8 << 20;
/// Pages of a thousand asked for at most.
const PAGES: u32 = 50;
/// Servers of one service that are named when they are down.
const NAMED: usize = 20;

/// What the API says.
#[derive(Debug)]
pub(super) struct ApiView {
    /// `Version` of `/api/version`.
    pub(super) version: String,
    /// HTTP routers, of all providers.
    pub(super) routers: Vec<Router>,
    /// HTTP services, by name.
    pub(super) services: Vec<Service>,
    /// HTTP middlewares, by name.
    pub(super) middlewares: Vec<Middleware>,
}

/// One router of `/api/http/routers`.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Router {
    /// Name with its provider: `t017@file`.
    pub(super) name: String,
    /// `enabled`, `warning` or `disabled`.
    #[serde(default)]
    pub(super) status: String,
    /// Why it is not enabled.
    #[serde(default)]
    pub(super) error: Vec<String>,
    /// Its rule.
    #[serde(default)]
    pub(super) rule: String,
    /// Its service, without a provider where that is the router's own.
    #[serde(default)]
    pub(super) service: Option<String>,
    /// Its middlewares, likewise.
    #[serde(default)]
    pub(super) middlewares: Vec<String>,
}

impl Router {
    /// Why Traefik does not use it.
    pub(super) fn fault(&self) -> Option<String> {
        fault(&self.status, &self.error)
    }

    /// A name as this router means it, with its provider.
    pub(super) fn resolve(&self, name: &str) -> String {
        match self.name.rsplit_once('@') {
            Some((_, provider)) if !name.contains('@') => sanitize(&format!("{name}@{provider}")),
            _ => sanitize(name),
        }
    }
}

fn fault(status: &str, error: &[String]) -> Option<String> {
    (status == "disabled").then(|| match error.first() {
        Some(why) => sanitize(why),
        None => "disabled without a reason".into(),
    })
}

/// One service of `/api/http/services`, or one middleware of `/api/http/middlewares`.
#[derive(Debug, Deserialize)]
struct Part {
    name: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    error: Vec<String>,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default, rename = "loadBalancer")]
    balancer: Option<Balancer>,
    /// `UP` or `DOWN` by URL. Without a health check each stays `UP` as it was made.
    #[serde(default, rename = "serverStatus")]
    servers: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
struct Balancer {
    #[serde(default)]
    servers: Vec<serde::de::IgnoredAny>,
    #[serde(default, rename = "healthCheck")]
    check: Option<serde::de::IgnoredAny>,
}

impl Part {
    fn is_internal(&self) -> bool {
        self.name.ends_with("@internal")
    }

    fn service(self) -> Service {
        let down = self.servers.iter().filter(|(_, status)| *status != "UP").take(NAMED).map(|(url, _)| sanitize(url));
        let down: Vec<String> = down.collect();
        let checked = self.balancer.as_ref().is_some_and(|b| b.check.is_some()) || !down.is_empty();
        Service {
            servers: self.balancer.as_ref().map(|b| u32::try_from(b.servers.len()).unwrap_or(u32::MAX)),
            down: checked.then_some(down),
            fault: fault(&self.status, &self.error),
            name: sanitize(&self.name),
        }
    }

    fn middleware(self) -> Middleware {
        Middleware { fault: fault(&self.status, &self.error), name: sanitize(&self.name), kind: sanitize(&self.kind) }
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "Version")]
    version: String,
}

/// Asks for all of it.
pub(super) async fn view(http: &Http, base: &str, timeout: Duration) -> Result<ApiView, Failure> {
    let base = base.trim_end_matches('/');
    let url = format!("{base}/api/version");
    let (version, routers, services, middlewares) = futures::try_join!(
        get::<Version>(http, &url, timeout),
        all::<Router>(http, base, "routers", timeout),
        all::<Part>(http, base, "services", timeout),
        all::<Part>(http, base, "middlewares", timeout),
    )?;
    let own = |parts: Vec<Part>| parts.into_iter().filter(|part| !part.is_internal());
    let mut services: Vec<Service> = own(services).map(Part::service).collect();
    let mut middlewares: Vec<Middleware> = own(middlewares).map(Part::middleware).collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    middlewares.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(ApiView { version: sanitize(&version.0.version), routers, services, middlewares })
}

/// All pages of a kind.
async fn all<T: DeserializeOwned>(http: &Http, base: &str, kind: &str, timeout: Duration) -> Result<Vec<T>, Failure> {
    let (mut all, mut page) = (Vec::new(), 1);
    while page <= PAGES {
        let url = format!("{base}/api/http/{kind}?per_page=1000&page={page}");
        let (mut some, next): (Vec<T>, u32) = get(http, &url, timeout).await?;
        all.append(&mut some);
        // On the last page the header says 1.
        if next <= page {
            break;
        }
        page = next;
    }
    Ok(all)
}

/// One document and the number of the next page.
async fn get<T: DeserializeOwned>(http: &Http, url: &str, timeout: Duration) -> Result<(T, u32), Failure> {
    let ask = Ask { url, host: None, accept: "application/json", limit: PAGE_BYTES, timeout };
    let answer = http.get(&ask).await?;
    let next = answer.headers.get("x-next-page").and_then(|v| v.to_str().ok()?.parse().ok()).unwrap_or(1);
    let text = answer.into_text(url)?;
    let document = serde_json::from_str(&text).map_err(|e| {
        let why = format!("{} is not what Traefik's API says: {e}", crate::observe::http::public(url));
        Failure::new(FailureKind::Protocol, why)
    })?;
    Ok((document, next))
}
