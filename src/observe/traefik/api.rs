//! Traefik's API: its version and the routers with their errors
//! (<https://doc.traefik.io/traefik/reference/install-configuration/api-dashboard/#endpoints>).

use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Ask, Http};
use serde::Deserialize;
use std::time::Duration;

/// Bytes of one page taken at most; a router is about 500.
const PAGE_BYTES: usize = 8 << 20;
/// Pages of a thousand routers asked for at most.
const PAGES: u32 = 50;

/// What the API says.
#[derive(Debug)]
pub(super) struct ApiView {
    /// `Version` of `/api/version`.
    pub(super) version: String,
    /// HTTP routers, of all providers.
    pub(super) routers: Vec<Router>,
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
    /// Its service.
    #[serde(default)]
    pub(super) service: Option<String>,
}

impl Router {
    /// Why Traefik does not use it.
    pub(super) fn fault(&self) -> Option<String> {
        (self.status == "disabled").then(|| match self.error.first() {
            Some(why) => sanitize(why),
            None => "disabled without a reason".into(),
        })
    }
}

#[derive(Deserialize)]
struct Version {
    #[serde(rename = "Version")]
    version: String,
}

/// Asks for both.
pub(super) async fn view(http: &Http, base: &str, timeout: Duration) -> Result<ApiView, Failure> {
    let base = base.trim_end_matches('/');
    let version: Version = get(http, &format!("{base}/api/version"), timeout).await?.0;
    let (mut routers, mut page) = (Vec::new(), 1);
    while page <= PAGES {
        let url = format!("{base}/api/http/routers?per_page=1000&page={page}");
        let (mut some, next): (Vec<Router>, u32) = get(http, &url, timeout).await?;
        routers.append(&mut some);
        // On the last page the header says 1.
        if next <= page {
            break;
        }
        page = next;
    }
    Ok(ApiView { version: sanitize(&version.version), routers })
}

/// One document and the number of the next page.
async fn get<T: for<'de> Deserialize<'de>>(http: &Http, url: &str, timeout: Duration) -> Result<(T, u32), Failure> {
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
