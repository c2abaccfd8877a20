//! Kubernetes: workloads (one row a Deployment), nodes and pod totals, folded from watches.

use super::Missing;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubernetesFacts {
    /// UID of namespace `kube-system`, the customary identity of a cluster.
    pub cluster_uid: String,
    /// `gitVersion` of the API server.
    pub version: String,
    /// Deployments, by namespace and name.
    pub workloads: Vec<Workload>,
    /// Nodes, by name.
    pub nodes: Vec<Node>,
    /// Pods of the whole cluster, where they may be watched.
    pub pods: Option<PodTotals>,
    /// Rights that are missing.
    pub missing: Vec<Missing>,
}

/// One Deployment with what its pods say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`.
    pub uid: String,
    /// `metadata.generation`: counts up with each change of the spec, and not with the status.
    pub generation: i64,
    /// Whether its pod template has annotations.
    pub annotated: bool,
    /// `spec.replicas`.
    pub desired: u32,
    /// `status.readyReplicas`.
    pub ready: u32,
    /// `status.updatedReplicas`.
    pub updated: u32,
    /// `status.availableReplicas`.
    pub available: u32,
    /// Whether the controller has seen the newest spec (`observedGeneration >= generation`).
    pub observed: bool,
    /// Image of the first container.
    pub image: String,
    /// Since when that image is in the pod template: creation of the newest `ReplicaSet`'s pods or of the
    /// Deployment.
    pub image_since: Option<Timestamp>,
    /// Annotation `deployment.kubernetes.io/revision`.
    pub revision: String,
    /// Pod-template annotation `kubectl.kubernetes.io/restartedAt`.
    pub restarted_at: Option<Timestamp>,
    /// What its running pods run, the most pods first, at most eight; a pod whose node does not say it is left out.
    #[serde(default)]
    pub runs: Vec<Running>,
    /// Sum of container restarts of its pods. This and what follows is not known where pods may not be watched.
    pub restarts: Option<u32>,
    /// Restarts in the last five minutes, as far as this observer has seen them.
    pub restarts_5m: Option<u32>,
    /// Pods waiting with `CrashLoopBackOff`.
    pub crash_looping: Option<u32>,
    /// Pods whose last termination was `OOMKilled`.
    pub oom_killed: Option<u32>,
    /// Pods in phase Pending.
    pub pending: Option<u32>,
}

/// An image that pods of a Deployment run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// As the pod names it.
    pub image: String,
    /// `sha256:…`, as the node that runs it says.
    pub digest: String,
    /// How many of its pods run that.
    pub pods: u32,
}

impl Running {
    /// The beginning of the digest, enough to tell it from others.
    pub fn short(&self) -> &str {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or(&self.digest);
        hex.get(..12).unwrap_or(hex)
    }
}

impl Workload {
    /// Most digests that run under one name of an image; `None` where no node says one.
    pub fn digests(&self) -> Option<usize> {
        let of = |image: &str| self.runs.iter().filter(|r| r.image == image).count();
        self.runs.iter().map(|r| of(&r.image)).max()
    }

    /// The digest of its image, where all its pods that run it run the same one.
    pub fn digest(&self) -> Option<&Running> {
        let mut all = self.runs.iter().filter(|r| r.image == self.image);
        all.next().filter(|_| all.next().is_none())
    }
}

/// One node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// Name.
    pub name: String,
    /// Condition Ready; `None` when its status is Unknown.
    pub ready: Option<bool>,
    /// `spec.unschedulable`.
    pub cordoned: bool,
    /// Conditions `MemoryPressure`, `DiskPressure`, `PIDPressure` that are true.
    pub pressure: Vec<String>,
}

/// Counts over all pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodTotals {
    /// All.
    pub total: u32,
    /// Phase Running.
    pub running: u32,
    /// Phase Pending.
    pub pending: u32,
    /// Phase Failed.
    pub failed: u32,
    /// Waiting with `CrashLoopBackOff`.
    pub crash_looping: u32,
}
