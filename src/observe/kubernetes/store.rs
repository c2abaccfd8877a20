//! What is kept of a cluster: one compact row an object, keyed by UID, with names shared between rows.

use super::wire;
use crate::domain::text::sanitize;
use jiff::{SignedDuration, Timestamp};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

/// Restarts are remembered this long.
pub const RESTART_WINDOW: SignedDuration = SignedDuration::from_mins(5);

/// Restarts of one workload within this time are remembered as one entry, which bounds the entries to sixty.
const RESTART_GRAIN: SignedDuration = SignedDuration::from_secs(5);

/// Rows of all watched kinds.
#[derive(Debug, Default)]
pub struct Store {
    pub deployments: Table<Deployment>,
    pub sets: Table<ReplicaSet>,
    pub pods: Table<Pod>,
    pub nodes: Table<Node>,
    /// Restarts that this observer has seen happen, by workload key, oldest first.
    pub restarts: HashMap<Arc<str>, VecDeque<(Timestamp, u32)>>,
    names: Names,
    /// How often restarts became too old to count.
    forgotten: u64,
    /// [`Store::version`] and the names that there were when it was tidied last.
    tidied: (u64, usize),
}

/// Rows of one kind. A list of all objects opens a new epoch; rows that it did not touch go when it is
/// complete, so that no second copy is needed while it runs.
#[derive(Debug)]
pub struct Table<R> {
    rows: HashMap<Box<str>, (u32, R)>,
    epoch: u32,
    /// How often it was changed.
    changes: u64,
}

impl<R> Default for Table<R> {
    fn default() -> Self {
        Self { rows: HashMap::new(), epoch: 0, changes: 0 }
    }
}

impl<R> Table<R> {
    /// Opens a new epoch: a list of all objects follows.
    pub const fn begin(&mut self) {
        self.epoch = self.epoch.wrapping_add(1);
    }

    /// Drops the rows that were not put since the epoch began.
    pub fn sweep(&mut self) {
        let epoch = self.epoch;
        self.changes += 1;
        self.rows.retain(|_, (seen, _)| *seen == epoch);
        self.rows.shrink_to_fit();
    }

    /// Drops the row of an object.
    pub fn remove(&mut self, uid: &str) {
        self.changes += 1;
        self.rows.remove(uid);
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// UIDs and rows, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &R)> {
        self.rows.iter().map(|(uid, (_, row))| (&**uid, row))
    }

    /// Rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &R> {
        self.rows.values().map(|(_, row)| row)
    }

    fn get(&self, uid: &str) -> Option<&R> {
        self.rows.get(uid).map(|(_, row)| row)
    }

    fn put(&mut self, uid: String, row: R) {
        self.changes += 1;
        self.rows.insert(uid.into_boxed_str(), (self.epoch, row));
    }
}

/// A Deployment.
#[derive(Debug)]
pub struct Deployment {
    /// `namespace/name`, by which pods and `ReplicaSet`s point here.
    pub key: Arc<str>,
    pub namespace: Arc<str>,
    pub name: Arc<str>,
    pub generation: i64,
    /// Whether the pod template has annotations.
    pub annotated: bool,
    pub image: Arc<str>,
    /// When this observer saw the image change, if it did.
    pub image_changed: Option<Timestamp>,
    pub created: Option<Timestamp>,
    pub revision: u64,
    pub restarted_at: Option<Timestamp>,
    pub desired: u32,
    pub ready: u32,
    pub updated: u32,
    pub available: u32,
    pub observed: bool,
}

/// A ReplicaSet of a Deployment.
#[derive(Debug)]
pub struct ReplicaSet {
    /// `namespace/name`, by which its pods point here.
    pub key: Arc<str>,
    /// Key of its Deployment.
    pub workload: Arc<str>,
    pub image: Arc<str>,
    pub revision: u64,
    pub created: Timestamp,
}

/// Phase of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Pending,
    Running,
    Failed,
    /// Succeeded, or Unknown because its node is silent.
    Other,
}

/// A pod.
#[derive(Debug)]
pub struct Pod {
    /// Key of the Deployment it belongs to, and of its ReplicaSet.
    pub owner: Option<(Arc<str>, Arc<str>)>,
    /// Seconds of the Unix epoch.
    pub created: i64,
    pub restarts: u32,
    pub phase: Phase,
    pub crash_looping: bool,
    pub oom_killed: bool,
    /// Image of its first container, and the digest of what runs there.
    pub runs: Option<(Arc<str>, Arc<str>)>,
}

/// A node.
#[derive(Debug)]
pub struct Node {
    pub name: Arc<str>,
    pub ready: Option<bool>,
    pub cordoned: bool,
    pub pressure: Vec<Arc<str>>,
}

/// Strings that many rows share.
#[derive(Debug, Default)]
struct Names {
    all: HashSet<Arc<str>>,
}

impl Names {
    /// The one copy of a text from outside, sanitised.
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.all.get(text) {
            return Arc::clone(known);
        }
        let clean = sanitize(text);
        if let Some(known) = self.all.get(&*clean) {
            return Arc::clone(known);
        }
        let new: Arc<str> = clean.into();
        self.all.insert(Arc::clone(&new));
        new
    }
}

impl Store {
    /// Another number than before whenever something of Deployments, `ReplicaSet`s, pods or restarts may have changed. Nodes,
    /// which tell of themselves all the time, do not count.
    pub const fn version(&self) -> u64 {
        self.deployments.changes + self.sets.changes + self.pods.changes + self.forgotten
    }

    /// Gives back names that no row has any more, and restarts that are too old to count.
    pub fn tidy(&mut self, now: Timestamp) {
        let forgotten = &mut self.forgotten;
        self.restarts.retain(|_, seen| {
            while seen.front().is_some_and(|(at, _)| now.duration_since(*at) > RESTART_WINDOW) {
                seen.pop_front();
                *forgotten += 1;
            }
            !seen.is_empty()
        });
        // There is nothing to give back where nothing was taken: of a large cluster this is most of the work.
        if self.tidied != (self.version(), self.names.all.len()) {
            self.names.all.retain(|name| Arc::strong_count(name) > 1);
            self.tidied = (self.version(), self.names.all.len());
        }
    }

    /// Takes in the newest state of a Deployment.
    pub fn put_deployment(&mut self, object: wire::Deployment, now: Timestamp) {
        let wire::Deployment { metadata: meta, spec, status } = object;
        let status = status.unwrap_or_default();
        let uid = sanitize(&meta.uid);
        let namespace = self.names.share(meta.namespace.as_deref().unwrap_or_default());
        let name = self.names.share(&meta.name);
        let image = self.names.share(first_image(&spec));
        let image_changed = match self.deployments.get(&uid) {
            Some(old) if old.image != image => Some(now),
            Some(old) => old.image_changed,
            None => None,
        };
        let annotations = spec.template.and_then(|t| t.metadata).and_then(|m| m.annotations);
        let annotated = annotations.is_some();
        let restarted_at = annotations.and_then(|a| a.restarted_at).and_then(|at| at.parse().ok());
        let row = Deployment {
            key: self.names.share(&format!("{namespace}/{name}")),
            namespace,
            name,
            generation: meta.generation.unwrap_or(0),
            annotated,
            image,
            image_changed,
            created: meta.creation_timestamp,
            revision: revision(&meta),
            restarted_at,
            desired: spec.replicas.unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            observed: status.observed_generation.unwrap_or(0) >= meta.generation.unwrap_or(0),
        };
        self.deployments.put(uid, row);
    }

    /// Takes in the newest state of a ReplicaSet; one that no Deployment controls is not kept.
    pub fn put_set(&mut self, object: &wire::ReplicaSet) {
        let meta = &object.metadata;
        let (Some(owner), Some(created)) = (controller(meta, "Deployment"), meta.creation_timestamp) else { return };
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let row = ReplicaSet {
            key: self.names.share(&format!("{namespace}/{}", meta.name)),
            workload: self.names.share(&format!("{namespace}/{owner}")),
            image: self.names.share(first_image(&object.spec)),
            revision: revision(meta),
            created,
        };
        self.sets.put(sanitize(&meta.uid), row);
    }

    /// Takes in the newest state of a pod. Its Deployment is known from the name of its ReplicaSet, which is
    /// the Deployment's with the pod-template hash behind it; so `ReplicaSet`s need not be watched for this.
    pub fn put_pod(&mut self, object: &wire::Pod, now: Timestamp) {
        let meta = &object.metadata;
        let nothing = wire::PodStatus::default();
        let status = object.status.as_ref().unwrap_or(&nothing);
        let namespace = meta.namespace.as_deref().unwrap_or_default();
        let hash = meta.labels.as_ref().and_then(|l| l.pod_template_hash.as_deref());
        let owner = controller(meta, "ReplicaSet").and_then(|set| {
            let workload = set.strip_suffix(hash?)?.strip_suffix('-')?;
            let workload = self.names.share(&format!("{namespace}/{workload}"));
            Some((workload, self.names.share(&format!("{namespace}/{set}"))))
        });
        let mut row = Pod {
            owner,
            created: meta.creation_timestamp.map_or(0, Timestamp::as_second),
            restarts: 0,
            phase: match status.phase.as_deref() {
                Some("Pending") => Phase::Pending,
                Some("Running") => Phase::Running,
                Some("Failed") => Phase::Failed,
                _ => Phase::Other,
            },
            crash_looping: false,
            oom_killed: false,
            runs: self.runs(object),
        };
        for container in [&status.container_statuses, &status.init_container_statuses].into_iter().flatten().flatten() {
            let state = container.state.as_ref();
            let last = container.last_state.as_ref();
            let is = |reason: Option<&wire::Reason>, word| reason.and_then(|r| r.reason.as_deref()) == Some(word);
            row.restarts = row.restarts.saturating_add(container.restart_count.unwrap_or(0));
            row.crash_looping |= is(state.and_then(|s| s.waiting.as_ref()), "CrashLoopBackOff");
            row.oom_killed |= is(state.and_then(|s| s.terminated.as_ref()), "OOMKilled")
                || is(last.and_then(|s| s.terminated.as_ref()), "OOMKilled");
        }
        let uid = sanitize(&meta.uid);
        let more = self.pods.get(&uid).map_or(0, |old| row.restarts.saturating_sub(old.restarts));
        if let Some((workload, _)) = row.owner.as_ref().filter(|_| more > 0) {
            let seen = self.restarts.entry(Arc::clone(workload)).or_default();
            match seen.back_mut() {
                Some((at, count)) if now.duration_since(*at) < RESTART_GRAIN => *count = count.saturating_add(more),
                _ => seen.push_back((now, more)),
            }
        }
        self.pods.put(uid, row);
    }

    /// The image of a pod's first container as its spec names it, with the digest that its node says.
    fn runs(&mut self, pod: &wire::Pod) -> Option<(Arc<str>, Arc<str>)> {
        let first = pod.spec.as_ref()?.containers.as_deref()?.first()?;
        let statuses = pod.status.as_ref()?.container_statuses.as_deref()?;
        // `repository@sha256:…`, with a scheme before it or without a repository, by the container runtime.
        let id = statuses.iter().find(|s| s.name == first.name)?.image_id.as_str();
        let digest = id.rsplit(['@', '/']).next().filter(|digest| digest.starts_with("sha256:"))?;
        Some((self.names.share(first.image.as_deref()?), self.names.share(digest)))
    }

    /// Takes in the newest state of a node.
    pub fn put_node(&mut self, object: wire::Node) {
        let conditions = object.status.and_then(|s| s.conditions).unwrap_or_default();
        let ready = conditions.iter().find(|c| c.kind == "Ready").and_then(|c| match c.status.as_str() {
            "True" => Some(true),
            "False" => Some(false),
            _ => None,
        });
        let pressing = |c: &&wire::Condition| c.status == "True" && c.kind.ends_with("Pressure");
        let row = Node {
            name: self.names.share(&object.metadata.name),
            ready,
            cordoned: object.spec.and_then(|s| s.unschedulable).unwrap_or(false),
            pressure: conditions.iter().filter(pressing).map(|c| self.names.share(&c.kind)).collect(),
        };
        self.nodes.put(sanitize(&object.metadata.uid), row);
    }
}

fn first_image(spec: &wire::DeploymentSpec) -> &str {
    let containers = spec.template.as_ref().and_then(|t| t.spec.as_ref()).and_then(|s| s.containers.as_deref());
    containers.and_then(<[_]>::first).and_then(|c| c.image.as_deref()).unwrap_or_default()
}

/// Annotation `deployment.kubernetes.io/revision`; zero before the controller has written it.
fn revision(meta: &wire::Meta) -> u64 {
    meta.annotations.as_ref().and_then(|a| a.revision.as_deref()).and_then(|r| r.parse().ok()).unwrap_or(0)
}

/// Name of the controlling owner, if it is of that kind.
fn controller<'a>(meta: &'a wire::Meta, kind: &str) -> Option<&'a str> {
    let owners = meta.owner_references.as_deref().unwrap_or_default();
    owners.iter().find(|o| o.controller == Some(true) && o.kind == kind).map(|o| o.name.as_str())
}
