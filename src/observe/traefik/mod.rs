//! Observes one Traefik: its Prometheus metrics, and where they are given its API and the directory of its file
//! provider. Built by the engine; nothing else calls in here.

mod api;
mod dynamic;
mod exposition;
mod rule;
mod scrape;
mod traffic;

use crate::config::model::Traefik as Config;
use crate::domain::facts::traefik::Route;
use crate::domain::facts::{Facts, Missing, TraefikFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::text::sanitize;
use crate::observe::http::{Ask, Http, Trust, public};
use crate::observe::poll::Poll;
use api::ApiView;
use scrape::{Scrape, timestamp, whole};
use std::time::{Duration, Instant, SystemTime};

/// Bytes of metrics taken at most: about a hundred thousand series.
const METRICS_BYTES: usize = 32 << 20;

/// Hosts of one router kept at most.
const HOSTS: usize = 64;

/// Middlewares of one router kept at most.
const PASSES: usize = 64;

/// What names of routers begin with that this program wrote.
pub const MEASURE_PREFIX: &str = "quarterdeck-";

/// Observer of one Traefik.
pub struct TraefikObserver {
    config: Config,
    http: Option<Http>,
    before: Option<(Scrape, Instant)>,
    directory: dynamic::Directory,
}

impl TraefikObserver {
    /// An observer that connects at its first poll.
    pub fn new(_: MayObserve, config: Config) -> Self {
        Self { config, http: None, before: None, directory: dynamic::Directory::default() }
    }

    async fn observe(&mut self) -> Result<TraefikFacts, Failure> {
        let http = match self.http.take() {
            Some(http) => http,
            None => connect(&self.config).await?,
        };
        let config = &self.config;
        let metrics = async {
            let ask = Ask {
                url: &config.metrics,
                host: None,
                accept: "text/plain;version=0.0.4",
                limit: METRICS_BYTES,
                timeout: config.timeout,
            };
            let text = http.get(&ask).await?.into_text(&config.metrics)?;
            // Megabytes at a thousand tenants: not on a thread that others wait for.
            let read = tokio::task::spawn_blocking(move || scrape::read(&text)).await;
            read.map_err(|_| Failure::new(FailureKind::Local, "reading the metrics was broken off"))?.map_err(|why| {
                let why = format!("{} are not Traefik's metrics: {why}", public(&config.metrics));
                Failure::new(FailureKind::Protocol, why)
            })
        };
        let api = async {
            match &config.api {
                Some(base) => Some(api::view(&http, base, config.timeout / 2).await),
                None => None,
            }
        };
        let (scrape, api) = futures::join!(metrics, api);
        let (scrape, at) = (scrape?, Instant::now());
        let mut facts = TraefikFacts::default();
        let api = self.take_api(&mut facts, api);
        self.judge_reload(&mut facts, &scrape, api.as_ref()).await?;
        self.take_metrics(&mut facts, scrape, at);
        if let Some(api) = api {
            join_routers(&mut facts, api);
        }
        self.http = Some(http);
        Ok(facts)
    }

    fn take_api(&self, facts: &mut TraefikFacts, api: Option<Result<ApiView, Failure>>) -> Option<ApiView> {
        const DISABLES: &str = "version, errors of routers, services and middlewares, servers up, measures in force";
        let remedy = match api {
            Some(Ok(view)) => {
                facts.version = Some(view.version.clone());
                return Some(view);
            }
            Some(Err(failure)) => format!("open Traefik's API to this host: {}", failure.message),
            None => format!("set api in [[traefik]] {} to the base URL of Traefik's API", self.config.id),
        };
        facts.missing.push(Missing { disables: DISABLES.into(), remedy });
        None
    }

    async fn judge_reload(
        &mut self,
        facts: &mut TraefikFacts,
        scrape: &Scrape,
        api: Option<&ApiView>,
    ) -> Result<(), Failure> {
        facts.last_reload_success = scrape.reload_success.and_then(timestamp);
        facts.reloads = scrape.reloads.and_then(whole);
        if let (Some(bad), Some(good)) = (scrape.reload_failure, scrape.reload_success)
            && bad > good
        {
            facts.reload_failed = Some(true);
            facts.reload_error = Some("the newest configuration was refused; Traefik's log says why".into());
            return Ok(());
        }
        let blind = |facts: &mut TraefikFacts, remedy: String| {
            // Traefik 2 would have said so in its metrics.
            if scrape.reload_failure.is_some() {
                facts.reload_failed = Some(false);
            } else {
                facts.missing.push(Missing { disables: "failed reloads".into(), remedy });
            }
        };
        let Some(dir) = self.config.dynamic_dir.clone() else {
            let id = &self.config.id;
            let remedy = format!("Traefik 3 has no metric for them; set dynamic_dir in [[traefik]] {id}");
            blind(facts, remedy);
            return Ok(());
        };
        let mut directory = std::mem::take(&mut self.directory);
        let looked = tokio::task::spawn_blocking(move || {
            let declared = directory.look(&dir);
            (directory, declared)
        });
        let (directory, declared) =
            looked.await.map_err(|_| Failure::new(FailureKind::Local, "reading dynamic_dir was broken off"))?;
        self.directory = directory;
        match declared {
            Ok(declared) => {
                let reloaded = facts.last_reload_success.map(SystemTime::from);
                let routers = api.map(|view| view.routers.as_slice());
                (facts.reload_failed, facts.reload_error) =
                    dynamic::judge(&declared, reloaded, routers, SystemTime::now());
            }
            Err(why) => blind(facts, sanitize(&format!("let this user read dynamic_dir: {why}"))),
        }
        Ok(())
    }

    fn take_metrics(&mut self, facts: &mut TraefikFacts, scrape: Scrape, at: Instant) {
        let before = self.before.as_ref().filter(|(older, _)| traffic::same_process(older, &scrape));
        let elapsed = before.map(|(older, since)| (older, at.duration_since(*since)));
        facts.routers = traffic::routes(&scrape.routers, elapsed.map(|(older, e)| (&older.routers, e)));
        facts.entrypoints = traffic::routes(&scrape.entrypoints, elapsed.map(|(older, e)| (&older.entrypoints, e)));
        for (name, open) in &scrape.open_connections {
            match facts.entrypoints.iter_mut().find(|e| &e.name == name) {
                Some(entrypoint) => entrypoint.open_connections = Some(*open),
                None => facts.entrypoints.push(Route {
                    name: name.clone(),
                    open_connections: Some(*open),
                    ..Route::default()
                }),
            }
        }
        facts.certificates.clone_from(&scrape.certificates);
        facts.missing.extend(unlabelled(&scrape));
        self.before = Some((scrape, at));
    }
}

/// Labels that are switched off, as far as the traffic shows it.
fn unlabelled(scrape: &Scrape) -> Option<Missing> {
    // Requests that no router takes are answered 404 and count at the entry point only.
    let routed =
        |scope: &scrape::Scope| scope.series.iter().any(|(key, s)| s.requests > 0.0 && !key.starts_with("404"));
    if scrape.routers.is_empty() && scrape.entrypoints.values().any(routed) {
        return Some(Missing {
            disables: "traffic of each router".into(),
            remedy: "set metrics.prometheus.addRoutersLabels: true in Traefik's static configuration".into(),
        });
    }
    if scrape.entrypoints.is_empty() && scrape.routers.values().any(routed) {
        return Some(Missing {
            disables: "traffic of each entry point".into(),
            remedy: "set metrics.prometheus.addEntryPointsLabels: true in Traefik's static configuration".into(),
        });
    }
    None
}

/// Adds what the API knows of routers: those without a request so far, the faults, and our own measures.
fn join_routers(facts: &mut TraefikFacts, api: ApiView) {
    // Without router labels a router without series may well have traffic.
    let labelled = !facts.routers.is_empty();
    let second = facts.routers.iter().any(|r| r.requests_per_s.is_some());
    (facts.services, facts.middlewares) = (api.services, api.middlewares);
    for router in api.routers {
        let name = sanitize(&router.name);
        if name.ends_with("@internal") {
            continue;
        }
        if name.starts_with(MEASURE_PREFIX) && router.fault().is_none() {
            facts.measures.push(name.clone());
        }
        match facts.routers.binary_search_by(|r| r.name.cmp(&name)) {
            Ok(i) => {
                if let Some(known) = facts.routers.get_mut(i) {
                    known.fault = router.fault();
                    known.hosts = hosts(&router);
                    known.service = router.service.as_deref().map(|name| router.resolve(name));
                    known.middlewares = passes(&router);
                }
            }
            Err(i) => facts.routers.insert(
                i,
                Route {
                    service: router.service.as_deref().map(|name| router.resolve(name)),
                    middlewares: passes(&router),
                    fault: router.fault(),
                    hosts: hosts(&router),
                    requests_per_s: (labelled && second).then_some(0.0),
                    name,
                    ..Route::default()
                },
            ),
        }
    }
    facts.measures.sort();
}

/// The middlewares of a router, in their order.
fn passes(router: &api::Router) -> Vec<String> {
    router.middlewares.iter().take(PASSES).map(|name| router.resolve(name)).collect()
}

/// The hosts that a router's rule names; none where it takes any, or where that can not be told.
fn hosts(router: &api::Router) -> Vec<String> {
    match rule::hosts(&router.rule) {
        rule::Hosts::These(hosts) => hosts.iter().take(HOSTS).map(|host| sanitize(host)).collect(),
        rule::Hosts::Any | rule::Hosts::Unknown => Vec::new(),
    }
}

async fn connect(config: &Config) -> Result<Http, Failure> {
    let urls = [Some(config.metrics.as_str()), config.api.as_deref()];
    let trust = Trust::of(&config.ca, urls.into_iter().flatten());
    tokio::task::spawn_blocking(move || Http::new(&trust))
        .await
        .map_err(|_| Failure::new(FailureKind::Local, "reading the certificate authorities was broken off"))?
}

impl Poll for TraefikObserver {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            id: self.config.id.clone(),
            kind: SourceKind::Traefik,
            interval: self.config.interval,
            address: sanitize(&public(&self.config.metrics)),
        }
    }

    fn timeout(&self) -> Duration {
        self.config.timeout
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(async { self.observe().await.map(Facts::Traefik) })
    }
}

#[cfg(test)]
pub(crate) mod lab;
#[cfg(test)]
mod tests;
