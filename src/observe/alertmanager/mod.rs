//! Alertmanager: the alerts that fire, pulled from its API v2, and told by it to a web hook that listens on loopback.
//! Each alert that counts is one value of `alert.firing`; one that is resolved has none. Only the engine and `doctor`
//! call this.

mod alert;
#[cfg(test)]
mod tests;
mod webhook;

use self::alert::{Alert, Owners};
use super::http::{Http, public};
use super::poll::{Poll, Polling};
use super::prometheus::{Credentials, connect, request};
use crate::config::model;
use crate::domain::estate::Estate;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Observer, SampleSink};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::text::sanitize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Body bytes taken of one answer or one call.
const ANSWER: usize = 4 << 20;

/// Alerts that are shown; the worst ones come first.
const SHOWN: usize = 500;

/// Without its API nobody says that an alert which it told of still fires: it repeats that every four hours by default.
const REPEATED_WITHIN: jiff::SignedDuration = jiff::SignedDuration::from_hours(9);

/// Observes one Alertmanager.
#[derive(Debug)]
pub struct AlertmanagerObserver(Puller);

/// What is known, from both ways.
#[derive(Debug, Default)]
struct Known {
    alerts: BTreeMap<String, Alert>,
    version: Option<String>,
    /// Why the web hook does not listen.
    deaf: Option<Failure>,
    /// Calls of the web hook that were refused.
    refused: u64,
    /// Alerts that it left out of a call because they were too many.
    left_out: u64,
}

/// What both ways share.
#[derive(Debug)]
struct Shared {
    config: model::Alertmanager,
    owners: Owners,
    known: Mutex<Known>,
}

impl Shared {
    /// What is known. An alert is put whole or not at all, so a poisoned lock does no harm.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn facts(&self, now: jiff::Timestamp) -> MeasuredFacts {
        let mut known = self.known();
        if self.config.url.is_none() {
            known.alerts.retain(|_, alert| now.duration_since(alert.told_at) < REPEATED_WITHIN);
        }
        let mut facts = MeasuredFacts::of(SourceKind::Alertmanager);
        facts.version.clone_from(&known.version);
        let mut all: Vec<&Alert> = known.alerts.values().filter(|a| a.weight > 0.0).collect();
        all.sort_by(|a, b| b.weight.total_cmp(&a.weight).then_with(|| a.since.cmp(&b.since)));
        for alert in all.iter().take(SHOWN) {
            facts.measure(&alert.subject(&self.config.id, &self.owners), "alert.firing", alert.weight);
            facts.said.push(alert.sentence());
        }
        if all.len() > SHOWN {
            let more = all.len() - SHOWN;
            facts
                .lacks(format!("{more} alerts beyond the worst {SHOWN}"), "group them, or silence what nobody acts on");
        }
        let silenced = known.alerts.values().filter(|a| a.silenced).count();
        if silenced > 0 {
            facts.said.push(format!("{silenced} alerts are silenced or inhibited there"));
        }
        if self.config.url.is_none() {
            facts.lacks(
                "whether the Alertmanager lives, and alerts that it told of before this started",
                format!("set url in [[alertmanager]] {}", self.config.id),
            );
        }
        if let (Some(deaf), Some(_)) = (&known.deaf, &self.config.url) {
            facts.lacks("alerts at once, by the web hook", deaf.message.clone());
        }
        if known.refused > 0 {
            facts.lacks(
                format!("{} calls of the web hook that were refused", known.refused),
                "give the sender the secret of [alertmanager.webhook], and let it send JSON by POST to /alerts",
            );
        }
        if known.left_out > 0 {
            let left = known.left_out;
            facts.lacks(format!("{left} alerts that a call of the web hook left out"), "raise max_alerts, or give url");
        }
        facts
    }
}

impl AlertmanagerObserver {
    /// For an `[[alertmanager]]` table. Nothing is read, sent or listened to before it runs.
    pub fn new(_: MayObserve, config: &model::Alertmanager, estate: &Estate) -> Self {
        let owners = Owners::new(config, estate);
        let shared = Shared { config: config.clone(), owners, known: Mutex::default() };
        Self(Puller { shared: Arc::new(shared), http: None })
    }
}

impl Observer for AlertmanagerObserver {
    fn spec(&self) -> SourceSpec {
        self.0.spec()
    }

    fn run(self: Box<Self>, sink: SampleSink) -> BoxFuture<'static, ()> {
        let shared = Arc::clone(&self.0.shared);
        let pulled = Box::new(Polling(self.0)).run(Arc::clone(&sink));
        Box::pin(async move {
            match shared.config.webhook.clone() {
                Some(hook) => {
                    futures::join!(pulled, webhook::listen(shared, hook, sink));
                }
                None => pulled.await,
            }
        })
    }
}

#[derive(Debug)]
struct Puller {
    shared: Arc<Shared>,
    http: Option<(Http, Option<Credentials>)>,
}

impl Puller {
    async fn look(&mut self) -> Result<Facts, Failure> {
        if let Some(url) = self.shared.config.url.clone() {
            self.pull(&url).await?;
        } else if let Some(deaf) = self.shared.known().deaf.clone() {
            return Err(deaf);
        }
        Ok(Facts::Measured(self.shared.facts(jiff::Timestamp::now())))
    }

    async fn pull(&mut self, url: &str) -> Result<(), Failure> {
        let config = &self.shared.config;
        let (http, credentials) = match self.http.take() {
            Some(ready) => ready,
            None => connect(&[url], &config.ca, &config.auth).await?,
        };
        let get = async |path: &str| {
            let asked = request(&http, credentials.as_ref(), url, path, &[])?;
            let full = format!("{}{path}", url.trim_end_matches('/'));
            Http::send(asked, &full, ANSWER, config.timeout).await?.into_text(&full)
        };
        let version = if self.shared.known().version.is_none() { Some(get("/api/v2/status").await?) } else { None };
        let body = get("/api/v2/alerts").await?;
        let now = jiff::Timestamp::now();
        let alerts = alert::pulled(&body, config, now).map_err(|why| {
            Failure::new(FailureKind::Protocol, format!("{} does not answer as Alertmanager does: {why}", public(url)))
        })?;
        let mut known = self.shared.known();
        if let Some(status) = version {
            known.version = alert::version(&status).map(|v| sanitize(&v));
        }
        known.alerts = alerts;
        known.left_out = 0;
        drop(known);
        self.http = Some((http, credentials));
        Ok(())
    }
}

impl Poll for Puller {
    fn spec(&self) -> SourceSpec {
        let config = &self.shared.config;
        let hook = config.webhook.as_ref().map(|h| format!("web hook on {}", h.listen));
        let address = config.url.as_deref().map(public).into_iter().chain(hook).collect::<Vec<_>>().join(", ");
        let (id, interval) = (config.id.clone(), config.interval);
        SourceSpec { id, kind: SourceKind::Alertmanager, interval, address: sanitize(&address) }
    }

    fn timeout(&self) -> Duration {
        self.shared.config.timeout
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}
