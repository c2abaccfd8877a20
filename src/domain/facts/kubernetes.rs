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
