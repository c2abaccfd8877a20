//! Kubernetes: one observer a cluster. Four watches keep compact rows; each interval one cheap request proves
//! that the API server still answers, and the rows are folded into facts. The verbs in `act::kubernetes` share
//! [`link`], the way to an API server.

mod feed;
mod fold;
mod follow;
mod lines;
pub mod link;
pub mod objects;
mod store;
mod wire;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod fold_tests;
#[cfg(test)]
pub(crate) mod lab;
#[cfg(test)]
mod tests;

use self::feed::{Board, Feed, State};
use self::fold::{Folded, Kept};
use self::follow::{Patience, follow};
use self::link::{Fault, Link};
use super::poll::{Poll, Polling};
use crate::config::model::Kubernetes;
use crate::domain::facts::{Facts, KubernetesFacts, Missing};
use crate::domain::mode::MayObserve;
use crate::domain::ports::{BoxFuture, Observer, SampleSink};
use crate::domain::sample::{Failure, FailureKind, SourceKind, SourceSpec};
use crate::domain::text::sanitize;
use jiff::Timestamp;
use serde::Deserialize;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, timeout_at};

/// A sample may take as long as the interval, within these bounds.
const SHORTEST_TIMEOUT: Duration = Duration::from_secs(1);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The first list of a big cluster may take longer than a sample; nothing is known before it is complete, and
/// giving up on it in between would only put off the moment.
const FIRST_LIST: Duration = Duration::from_secs(30);

/// Answers of `/readyz`, `/version` and one namespace are far smaller.
const SMALL_ANSWER: usize = 1 << 20;

/// What the user that looks reads, as group, resource and verbs of the API; besides, the namespace that identifies a cluster.
pub fn rights() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    const WATCH: &[&str] = &["get", "list", "watch"];
    let feeds = Feed::ALL.into_iter().map(|feed| (feed.group(), feed.resource(), WATCH));
    let objects = objects::kinds().map(|(group, resource)| (group, resource, WATCH));
    feeds.chain(objects).chain(std::iter::once(("", "pods/log", &["get"][..])))
}

/// Observes one cluster.
#[derive(Debug)]
pub struct KubernetesObserver(Watcher);

impl KubernetesObserver {
    /// Prepares the observer of one cluster. Nothing is read or sent before it runs.
    pub fn new(_proof: MayObserve, config: &Kubernetes) -> Self {
        Self(Watcher {
            config: config.clone(),
            first_list: Some(FIRST_LIST),
            board: Arc::default(),
            kept: Kept::default(),
            uid: String::new(),
            opening: None,
            session: None,
        })
    }
}

impl Observer for KubernetesObserver {
    fn spec(&self) -> SourceSpec {
        self.0.spec()
    }

    fn run(self: Box<Self>, sink: SampleSink) -> BoxFuture<'static, ()> {
        Box::new(Polling(self.0)).run(sink)
    }
}

#[derive(Debug)]
struct Watcher {
    config: Kubernetes,
    /// Time allowed for the first list, until there has been one.
    first_list: Option<Duration>,
    board: Arc<Board>,
    /// What was made of the rows on the board.
    kept: Kept,
    /// UID of the cluster whose rows are on the board.
    uid: String,
    /// A client being made. It outlives a sample that was given up, so that a credential plugin that hangs
    /// runs once and not once a sample.
    opening: Option<JoinHandle<Result<Link, Failure>>>,
    session: Option<Session>,
}

/// One client with its watches, until its credentials fail.
#[derive(Debug)]
struct Session {
    link: Link,
    /// Read anew after each failure: an upgrade, or another cluster, may be behind the address.
    identity: Option<Identity>,
    /// Aborted when the session is dropped.
    feeds: JoinSet<()>,
}

#[derive(Clone, Debug)]
struct Identity {
    uid: String,
    version: Version,
    missing: Vec<Missing>,
}

/// The part of `/version` that is read.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
    #[serde(default)]
    minor: String,
}

impl Version {
    /// Whether the server knows streaming lists, or at least refuses them by name (1.27 and later).
    fn streams(&self) -> bool {
        let digits: String = self.minor.chars().take_while(char::is_ascii_digit).collect();
        digits.parse::<u32>().is_ok_and(|minor| minor >= 27)
    }
}

impl Poll for Watcher {
    fn spec(&self) -> SourceSpec {
        SourceSpec {
            id: self.config.id.clone(),
            kind: SourceKind::Kubernetes,
            interval: self.config.interval,
            address: Self::address(&self.config),
        }
    }

    fn timeout(&self) -> Duration {
        self.allowed() + self.first_list.unwrap_or_default() + Duration::from_millis(250)
    }

    fn poll(&mut self) -> BoxFuture<'_, Result<Facts, Failure>> {
        let deadline = Instant::now() + self.allowed();
        Box::pin(async move {
            let sample = self.sample(deadline).await;
            if let Err(failure) = &sample
                && let Some(session) = &mut self.session
            {
                session.identity = None;
                if matches!(failure.kind, FailureKind::Authentication | FailureKind::Local | FailureKind::Tls) {
                    // The kubeconfig may have been renewed.
                    self.session = None;
                }
            }
            sample
        })
    }
}

impl Watcher {
    /// Where a cluster is found, for people.
    fn address(config: &Kubernetes) -> String {
        let context = config.context.as_ref().map(|c| format!(", context {c}")).unwrap_or_default();
        sanitize(&format!("{}{context}", config.kubeconfig.display()))
    }

    /// Time allowed for one sample. The driver allows a little more, so that the failure can say here what was
    /// waited for.
    fn allowed(&self) -> Duration {
        self.config.interval.clamp(SHORTEST_TIMEOUT, LONGEST_TIMEOUT)
    }

    async fn sample(&mut self, deadline: Instant) -> Result<Facts, Failure> {
        self.open(deadline).await?;
        let allowed = self.allowed();
        let Some(session) = &mut self.session else {
            return Err(Failure::new(FailureKind::Local, "no client for the API server"));
        };
        session.probe(deadline, allowed).await?;
        let identity = session.identify(deadline, allowed).await?;
        if !identity.uid.is_empty() && identity.uid != self.uid {
            if !self.uid.is_empty() {
                // Another cluster behind the same address: nothing known is of this one.
                session.feeds = JoinSet::new();
                self.board = Arc::default();
                self.kept = Kept::default();
            }
            self.uid.clone_from(&identity.uid);
        }
        session.watch(&self.board, &identity)?;
        self.board.nudge.notify_waiters();
        let mut waited = allowed;
        let mut settled = timeout_at(deadline, self.board.settled()).await.is_ok();
        if let (false, Some(more)) = (settled, self.first_list) {
            waited += more;
            settled = tokio::time::timeout(more, self.board.listed()).await.is_ok();
        }
        let mut missing = identity.missing;
        missing.extend(unsettled(&self.board, &session.link, settled, waited)?);
        self.first_list = None;
        let mut store = self.board.store();
        store.tidy(Timestamp::now());
        let sees_pods = !matches!(self.board.state(Feed::Pods), State::Forbidden(_));
        let Folded { workloads, nodes, pods } = self.kept.fold(&store, sees_pods);
        drop(store);
        Ok(Facts::Kubernetes(KubernetesFacts {
            cluster_uid: self.uid.clone(),
            version: sanitize(&identity.version.git_version),
            workloads,
            nodes,
            pods,
            missing,
        }))
    }

    /// Makes the client if there is none.
    async fn open(&mut self, deadline: Instant) -> Result<(), Failure> {
        if self.session.is_some() {
            return Ok(());
        }
        let Kubernetes { kubeconfig, context, .. } = self.config.clone();
        let connect = self.allowed();
        let opening = self.opening.get_or_insert_with(|| tokio::spawn(Link::open(kubeconfig, context, connect)));
        let opened = timeout_at(deadline, &mut *opening).await.map_err(|_| {
            let why = format!("credentials were not there within {} s", connect.as_secs_f64());
            Failure::new(FailureKind::Local, format!("kubeconfig {}: {why}", self.config.kubeconfig.display()))
        })?;
        self.opening = None;
        let link =
            opened.unwrap_or_else(|_| Err(Failure::new(FailureKind::Local, "making a client was interrupted")))?;
        self.session = Some(Session { link, identity: None, feeds: JoinSet::new() });
        Ok(())
    }
}

impl Session {
    /// Asks the API server whether it is ready. A server that forbids the question is alive; an old one that
    /// does not know it has to answer `/version` instead.
    async fn probe(&mut self, deadline: Instant, allowed: Duration) -> Result<(), Failure> {
        match self.get("/readyz", deadline, allowed).await {
            Ok(_) => Ok(()),
            Err(fault) if fault.code() == Some(403) => Ok(()),
            Err(fault) if fault.code() == Some(404) => {
                self.identity = None;
                Ok(())
            }
            Err(fault) => Err(fault.into_failure()),
        }
    }

    /// Version and UID of the cluster, asked once until something fails.
    async fn identify(&mut self, deadline: Instant, allowed: Duration) -> Result<Identity, Failure> {
        if let Some(known) = &self.identity {
            return Ok(known.clone());
        }
        let not_kubernetes = |link: &Link| link.failure(FailureKind::Protocol, "does not answer like Kubernetes");
        let version = self.get("/version", deadline, allowed).await.map_err(Fault::into_failure)?;
        let version: Version = serde_json::from_slice(&version).map_err(|_| not_kubernetes(&self.link))?;
        let mut missing = Vec::new();
        let uid = match self.get("/api/v1/namespaces/kube-system", deadline, allowed).await {
            Ok(body) => {
                let namespace: Object = serde_json::from_slice(&body).map_err(|_| not_kubernetes(&self.link))?;
                sanitize(&namespace.metadata.uid)
            }
            Err(fault) if fault.code() == Some(403) => {
                missing.push(Missing {
                    disables: "identity of the cluster (UID of namespace kube-system)".into(),
                    remedy: "ClusterRole rule: apiGroups: [\"\"], resources: [\"namespaces\"], \
                             resourceNames: [\"kube-system\"], verbs: [\"get\"]"
                        .into(),
                });
                String::new()
            }
            Err(fault) => return Err(fault.into_failure()),
        };
        let identity = Identity { uid, version, missing };
        self.identity = Some(identity.clone());
        Ok(identity)
    }

    /// Starts the watches if they do not run.
    fn watch(&mut self, board: &Arc<Board>, identity: &Identity) -> Result<(), Failure> {
        if self.feeds.try_join_next().is_some() {
            // They never end by themselves.
            self.feeds = JoinSet::new();
            return Err(Failure::new(FailureKind::Local, "a watch has stopped by a fault of this program"));
        }
        if self.feeds.is_empty() {
            let streams = identity.version.streams();
            for feed in Feed::ALL {
                board.set(feed, State::Starting);
            }
            self.feeds.spawn(follow::<wire::Deployment>(
                self.link.clone(),
                Arc::clone(board),
                streams,
                Patience::USUAL,
            ));
            self.feeds.spawn(follow::<wire::ReplicaSet>(
                self.link.clone(),
                Arc::clone(board),
                streams,
                Patience::USUAL,
            ));
            self.feeds.spawn(follow::<wire::Pod>(self.link.clone(), Arc::clone(board), streams, Patience::USUAL));
            self.feeds.spawn(follow::<wire::Node>(self.link.clone(), Arc::clone(board), streams, Patience::USUAL));
        }
        Ok(())
    }

    async fn get(&self, path: &str, deadline: Instant, allowed: Duration) -> Result<Vec<u8>, Fault> {
        timeout_at(deadline, self.link.get(path, SMALL_ANSWER)).await.unwrap_or_else(|_| {
            let why = format!("no answer to GET {path} within {} s", allowed.as_secs_f64());
            Err(Fault::Lost(self.link.failure(FailureKind::Timeout, &why)))
        })
    }
}

/// What is missing for want of rights; a failure when a watch is not live, or when no right is there.
fn unsettled(board: &Board, link: &Link, settled: bool, waited: Duration) -> Result<Vec<Missing>, Failure> {
    let mut missing = Vec::new();
    let mut refusal = None;
    for feed in Feed::ALL {
        match board.state(feed) {
            State::Live => {}
            State::Forbidden(failure) => {
                refusal.get_or_insert(failure);
                missing.push(feed.missing());
            }
            State::Down(failure) => return Err(failure),
            // Its watch has ended in the meantime, as watches do, and is opened again.
            State::Starting if settled => {}
            State::Starting => {
                let why = format!("not all {} have come within {} s", feed.resource(), waited.as_secs_f64());
                return Err(link.failure(FailureKind::Timeout, &why));
            }
        }
    }
    match refusal {
        Some(refusal) if missing.len() == Feed::ALL.len() => Err(refusal),
        _ => Ok(missing),
    }
}

/// Any object, of which only the UID is read.
#[derive(Debug, Deserialize)]
struct Object {
    metadata: ObjectMeta,
}

#[derive(Debug, Deserialize)]
struct ObjectMeta {
    uid: String,
}
