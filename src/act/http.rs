//! `http.probe`: one real request, as a person's browser would send it, which only looks; and `http.webhook`.

mod webhook;

use super::traefik::tenant_router;
use crate::config::model::{Hook, Traefik as Config};
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Answer, Ask, Http, Trust, public};
use crate::policy::authorized::Authorized;
use reqwest::Url;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Time allowed for a probe that comes without one.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of the body taken; its beginning tells a maintenance page from a login.
const BODY_BYTES: usize = 16 << 10;
/// Characters of the body kept.
const BODY_CHARS: usize = 200;

/// What the probe declares of itself.
pub static PROBE: VerbSpec = VerbSpec {
    name: "http.probe",
    what: "sends one GET and says status, latency and the beginning of the body",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[
        ArgSpec { name: "tenant", required: false, what: "tenant whose host is asked for at its ingress" },
        ArgSpec { name: "url", required: false, what: "URL, in place of a tenant" },
        ArgSpec { name: "path", required: false, what: "path with query, / by default; with a tenant only" },
    ],
};

/// The verbs of this module.
pub static SPECS: &[&VerbSpec] = &[&PROBE, &webhook::SPEC];

/// The verbs, for the configured Traefiks and web hooks.
pub fn verbs(may: MayAct, config: &[Config], hooks: &[Hook]) -> Vec<Box<dyn Verb<Permit = Authorized>>> {
    vec![Box::new(Probe::new(may, config)), Box::new(webhook::Webhook::new(may, hooks))]
}

/// `http.probe`.
pub struct Probe {
    ingresses: Arc<[Config]>,
}

impl Probe {
    /// The verb.
    pub fn new(_: MayAct, config: &[Config]) -> Self {
        Self { ingresses: config.into() }
    }

    fn at_ingress(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let (tenant, router) = tenant_router(context)?;
        let id = &router.ingress;
        let base = self
            .ingresses
            .iter()
            .find(|c| &c.id == id)
            .and_then(|c| c.probe_url.as_deref())
            .ok_or_else(|| VerbError::new(format!("[[traefik]] {id} has no probe_url through which to ask")))?;
        let path = match context.args.get("path") {
            None | Some(serde_json::Value::Null) => "/",
            Some(path) => path.as_str().ok_or_else(|| VerbError::new("the argument path must be text"))?,
        };
        if !path.starts_with('/') || path.starts_with("//") || path.chars().any(|c| c.is_control() || c == '\\') {
            return Err(VerbError::new(format!("{} is no path that begins with /", sanitize(path))));
        }
        let url = web(base)?.join(path).map_err(|e| VerbError::new(format!("the path can not be used: {e}")))?;
        let headers = BTreeMap::from([("Host".to_owned(), router.host.clone())]);
        let by_hand = if url.scheme() == "https" {
            let (host, port) = (&router.host, url.port_or_known_default().unwrap_or(443));
            let there = format!("{host}:{port}:{}:{port}", url.host_str().unwrap_or_default());
            format!("curl -sSi --connect-to {there} {}", quote(&renamed(&url, host)?))
        } else {
            format!("curl -sSi -H {} {}", quote(&format!("Host: {}", router.host)), quote(url.as_str()))
        };
        let object = format!("host {} at {}", router.host, public(base));
        Ok(request(context, id.clone(), object, vec![tenant.id.clone()], &url, headers, by_hand))
    }

    async fn probe(&self, request: &Request, timeout: Duration) -> Result<Outcome, Failure> {
        let Operation::Http { method, path, headers, .. } = &request.operation else {
            return Err(Failure::new(FailureKind::Local, "the request is no HTTP request"));
        };
        if request.verb != PROBE.name || method != "GET" {
            return Err(Failure::new(FailureKind::Local, "the request is no probe"));
        }
        let host = headers.get("Host").map(String::as_str);
        let ca =
            self.ingresses.iter().find(|c| c.id == request.target.source).map(|c| c.ca.clone()).unwrap_or_default();
        let trust = Trust::of(&ca, [path.as_str()]);
        let answer = ask(path, host, trust, timeout).await?;
        let body = String::from_utf8_lossy(&answer.body);
        let body: String = sanitize(&body).chars().take(BODY_CHARS).collect();
        let latency = u64::try_from(answer.head_after.as_millis()).unwrap_or(u64::MAX);
        Ok(Outcome::Done {
            result: serde_json::json!({ "status": answer.status, "latency_ms": latency, "body_start": body }),
            summary: format!("{} in {latency} ms", answer.status),
        })
    }
}

/// Over TLS the name that is asked for must be the tenant's too, so the address is looked up apart from it.
async fn ask(url: &str, host: Option<&str>, trust: Trust, timeout: Duration) -> Result<Answer, Failure> {
    let local = |why: String| Failure::new(FailureKind::Local, why);
    let mut target = Url::parse(url).map_err(|e| local(format!("the URL can not be used: {e}")))?;
    let mut addresses = None;
    if let (Some(name), "https") = (host, target.scheme()) {
        let at = target.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = target.port_or_known_default().unwrap_or(443);
        let found = tokio::time::timeout(timeout, tokio::net::lookup_host((at.as_str(), port)))
            .await
            .map_err(|_| Failure::new(FailureKind::Timeout, format!("the name {at} was not resolved in time")))?
            .map_err(|e| Failure::new(FailureKind::Unreachable, format!("the name {at} is not known: {e}")))?;
        addresses = Some((name.to_owned(), found.collect::<Vec<_>>()));
        target = renamed(&target, name).and_then(|u| web(&u)).map_err(|e| local(e.message))?;
    }
    let http = tokio::task::spawn_blocking(move || match &addresses {
        Some((name, addresses)) => Http::connecting_to(&trust, name, addresses),
        None => Http::new(&trust),
    })
    .await
    .map_err(|_| local("making an HTTP client was broken off".into()))??;
    let host = host.filter(|_| target.scheme() == "http");
    http.get(&Ask { url: target.as_str(), host, accept: "*/*", limit: BODY_BYTES, timeout }).await
}

fn renamed(url: &Url, host: &str) -> Result<String, VerbError> {
    let mut url = url.clone();
    url.set_host(Some(host)).map_err(|e| VerbError::new(format!("{} is no host name: {e}", sanitize(host))))?;
    Ok(url.into())
}

fn web(url: &str) -> Result<Url, VerbError> {
    let bad = |why: &str| VerbError::new(format!("the URL to probe can not be used: {why}"));
    let url = Url::parse(url).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("it must begin with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad("it may hold no user or password, since it is recorded"));
    }
    Ok(url)
}

fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn request(
    context: &RenderContext<'_>,
    source: SourceId,
    object: String,
    tenants: Vec<crate::domain::id::TenantId>,
    url: &Url,
    headers: BTreeMap<String, String>,
    by_hand: String,
) -> Request {
    let environment = context.estate.environment;
    Request {
        verb: PROBE.name.into(),
        target: Target { source, identity: String::new(), environment, object, tenants, count: 1 },
        operation: Operation::Http { method: "GET".into(), path: url.to_string(), headers, body: String::new() },
        server_checks: Vec::new(),
        hurts: "nobody; it is one request more".into(),
        undo: "there is nothing to take back".into(),
        by_hand,
    }
}

impl Verb for Probe {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &PROBE
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let url = context.args.get("url").filter(|v| !v.is_null());
        let has = |name: &str| context.args.get(name).is_some_and(|v| !v.is_null());
        match url {
            None => self.at_ingress(context),
            Some(_) if has("tenant") || has("path") => {
                Err(VerbError::new("give either url, or tenant and path, not both"))
            }
            Some(url) => {
                let url = web(url.as_str().ok_or_else(|| VerbError::new("the argument url must be text"))?)?;
                let by_hand = format!("curl -sSi {}", quote(url.as_str()));
                let object = public(url.as_str());
                Ok(request(context, SourceId::new("http"), object, Vec::new(), &url, BTreeMap::new(), by_hand))
            }
        }
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { Ok(format!("would ask once: {}", request.by_hand)) })
    }

    fn look<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async move { self.probe(request, TIMEOUT).await.unwrap_or_else(|why| Outcome::Failed { why }) })
    }
}

#[cfg(test)]
mod tests;
