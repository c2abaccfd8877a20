//! Objects of the platform and of controllers on one API server: autoscalers, disruption budgets, quotas, claims,
//! warnings, `CloudNativePG`, Argo CD, Flux, cert-manager. One watch a kind, compact rows; each interval one cheap
//! request whose time is a signal. A kind that the server does not have is left out, one that may not be read is said.
#![allow(clippy::indexing_slicing, reason = "JSON is read by its keys, which can not panic: what is missing is null")]

mod databases;
mod delivery;
mod fold;
mod kinds;
#[cfg(test)]
mod lab_tests;
mod platform;
#[cfg(test)]
mod tests;
mod watch;

use self::kinds::{KINDS, Row};
use self::watch::{Board, Standing};
use super::follow::Patience;
use super::link::{Fault, Link};
use super::{SMALL_ANSWER, Watcher};
use crate::config::model::Kubernetes;
use crate::domain::estate::Estate;
use crate::domain::facts::{Facts, MeasuredFacts};
use crate::domain::id::{SourceId, TenantId};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use crate::observe::poll::Poll;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// These objects change slowly.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(5);

/// Time allowed for one sample, with the first lists.
const WITHIN: Duration = Duration::from_secs(10);

/// How long a sample waits for the first lists.
const FIRST_LISTS: Duration = Duration::from_secs(6);

/// Observes the objects of one cluster.
#[derive(Debug)]
pub struct ObjectsObserver {
    spec: SourceSpec,
    config: Kubernetes,
    owners: Owners,
    opening: Option<JoinHandle<Result<Link, Failure>>>,
    session: Option<Session>,
    patience: Patience,
}

#[derive(Debug)]
struct Session {
    link: Link,
    board: Arc<Board>,
    /// Aborted when the session is dropped.
    watches: JoinSet<()>,
}

/// Group and resource of each kind that is watched.
pub(super) fn kinds() -> impl Iterator<Item = (&'static str, &'static str)> {
    KINDS.iter().map(|kind| (kind.group, kind.resource))
}

/// The name of the source beside that of its cluster.
pub fn source_id(cluster: &SourceId) -> SourceId {
    SourceId::new(format!("{cluster}/objects"))
}

/// Tenants by namespace.
#[derive(Clone, Debug)]
struct Owners {
    cluster: SourceId,
    namespaces: HashMap<String, TenantId>,
}

impl Owners {
    fn new(cluster: &SourceId, estate: &Estate) -> Self {
        let all = estate.namespaces_in(cluster);
        let namespaces = all.map(|(tenant, place)| (place.name.clone(), tenant.id.clone())).collect();
        Self { cluster: cluster.clone(), namespaces }
    }

    /// Namespaces of tenants.
    fn namespaces(&self) -> impl Iterator<Item = &String> {
        self.namespaces.keys()
    }

    fn tenant(&self, namespace: &str) -> Option<TenantId> {
        self.namespaces.get(namespace).cloned()
    }

    /// The tenant of a namespace, else what `other` makes of the cluster's name.
    fn subject(&self, namespace: &str, other: impl FnOnce(SourceId) -> Subject) -> Subject {
        match self.tenant(namespace) {
            Some(tenant) => Subject::Tenant { tenant },
            None => other(self.cluster.clone()),
        }
    }
}

impl ObjectsObserver {
    /// Prepares the observer of one cluster. Nothing is read or sent before it runs.
    pub fn new(_: MayObserve, config: &Kubernetes, estate: &Estate) -> Self {
        let spec = SourceSpec {
            id: source_id(&config.id),
            kind: SourceKind::Objects,
            interval: config.interval.max(SHORTEST_INTERVAL),
            address: Watcher::address(config),
        };
        Self {
            spec,
            config: config.clone(),
            owners: Owners::new(&config.id, estate),
            opening: None,
            session: None,
            patience: Patience::USUAL,
        }
    }

    async fn look(&mut self) -> Result<Facts, Failure> {
        self.open().await?;
        let Some(session) = &mut self.session else {
            return Err(Failure::new(FailureKind::Local, "no client for the API server"));
        };
        let asked = Instant::now();
        match session.link.get("/readyz", SMALL_ANSWER).await {
            Ok(_) => {}
            Err(fault) if matches!(fault.code(), Some(403 | 404)) => {}
            Err(fault) => {
                let failure = Fault::into_failure(fault);
                if matches!(failure.kind, FailureKind::Authentication | FailureKind::Local | FailureKind::Tls) {
                    // The kubeconfig may have been renewed.
                    self.session = None;
                }
                return Err(failure);
            }
        }
        let latency = asked.elapsed();
        if session.watches.is_empty() {
            for (number, kind) in KINDS.iter().enumerate() {
                let (link, board) = (session.link.clone(), Arc::clone(&session.board));
                session.watches.spawn(watch::follow(link, board, number, kind, self.patience));
            }
        }
        session.board.nudge.notify_waiters();
        let _ = tokio::time::timeout(FIRST_LISTS, session.board.settled()).await;
        let mut facts = MeasuredFacts::of(SourceKind::Objects);
        let mut live = [false; KINDS.len()];
        let mut refused = None;
        for (number, kind) in KINDS.iter().enumerate() {
            match session.board.standing(number) {
                Standing::Live => live.iter_mut().skip(number).take(1).for_each(|slot| *slot = true),
                Standing::Absent => {}
                Standing::Forbidden(failure) => {
                    facts.lacks(kind.disables, kind.rule());
                    refused.get_or_insert(failure);
                }
                // What is old would look like now.
                Standing::Down(failure) => return Err(failure),
                Standing::Starting => {
                    let why = format!("not all {} have come within {} s", kind.resource, FIRST_LISTS.as_secs());
                    return Err(session.link.failure(FailureKind::Timeout, &why));
                }
            }
        }
        if let (Some(refused), false) = (refused, live.iter().any(|l| *l)) {
            return Err(refused);
        }
        let cluster = Subject::Cluster { source: self.config.id.clone() };
        facts.measure(&cluster, "api.latency", latency.as_secs_f64());
        let rows = session.board.rows();
        let rows: Vec<&Row> = rows.iter().flat_map(|of| of.values()).collect();
        fold::fold(&rows, &live, &self.owners, &self.spec.id, Timestamp::now(), &mut facts);
        Ok(Facts::Measured(facts))
    }

    async fn open(&mut self) -> Result<(), Failure> {
        if self.session.is_some() {
            return Ok(());
        }
        let Kubernetes { kubeconfig, context, .. } = self.config.clone();
        let opening = self.opening.get_or_insert_with(|| tokio::spawn(Link::open(kubeconfig, context, WITHIN / 2)));
        let opened = (&mut *opening).await;
        self.opening = None;
        let link =
            opened.unwrap_or_else(|_| Err(Failure::new(FailureKind::Local, "making a client was interrupted")))?;
        self.session = Some(Session { link, board: Arc::default(), watches: JoinSet::new() });
        Ok(())
    }
}

impl Poll for ObjectsObserver {
    fn spec(&self) -> SourceSpec {
        self.spec.clone()
    }

    fn timeout(&self) -> Duration {
        WITHIN
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        Box::pin(self.look())
    }
}

/// A text of an object, sanitised and cut.
fn text(value: &serde_json::Value) -> String {
    sanitize(&value.as_str().unwrap_or_default().chars().take(240).collect::<String>())
}

fn moment(value: &serde_json::Value) -> Option<Timestamp> {
    value.as_str().and_then(|at| at.parse().ok())
}
