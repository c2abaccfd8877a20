//! The few fields of Kubernetes objects that are read, as the API server sends them. Everything else in an
//! object is skipped while it is parsed. A field may be absent or null, as Go leaves out what is empty.

use jiff::Timestamp;
use serde::Deserialize;

/// One line of a watch.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", content = "object", rename_all = "UPPERCASE")]
pub enum Event<K> {
    /// The object is new, or part of the state at the start.
    Added(K),
    /// The object changed.
    Modified(K),
    /// The object is gone.
    Deleted(K),
    /// No change up to this version.
    Bookmark(Bookmark),
    /// The watch ends with this status.
    Error(super::link::Status),
}

/// A mark in the stream of changes.
#[derive(Debug, Deserialize)]
pub struct Bookmark {
    /// Its version, and whether the state at the start is complete.
    pub metadata: BookmarkMeta,
}

/// Metadata of a bookmark.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BookmarkMeta {
    /// Version up to which all changes have been sent.
    pub resource_version: String,
    /// `k8s.io/initial-events-end` is in here once all objects of the start have been sent.
    #[serde(default)]
    pub annotations: Option<InitialEventsEnd>,
}

/// The annotation that ends a streaming list (KEP-3157).
#[derive(Debug, Default, Deserialize)]
pub struct InitialEventsEnd {
    /// `"true"` on the bookmark that ends it.
    #[serde(rename = "k8s.io/initial-events-end", default)]
    pub value: Option<String>,
}

/// One page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<K> {
    /// Version of the list and where the next page starts.
    pub metadata: PageMeta,
    /// The objects.
    pub items: Option<Vec<K>>,
}

/// Metadata of a list.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PageMeta {
    /// Version of the list, from which a watch goes on.
    pub resource_version: String,
    /// Token for the next page; absent or empty on the last.
    #[serde(rename = "continue", default)]
    pub next: Option<String>,
}

/// `metadata`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    pub name: String,
    #[serde(default)]
    pub namespace: Option<String>,
    pub uid: String,
    pub resource_version: String,
    #[serde(default)]
    pub generation: Option<i64>,
    #[serde(default)]
    pub creation_timestamp: Option<Timestamp>,
    #[serde(default)]
    pub owner_references: Option<Vec<Owner>>,
    #[serde(default)]
    pub labels: Option<Labels>,
    #[serde(default)]
    pub annotations: Option<Annotations>,
}

/// One of `metadata.ownerReferences`.
#[derive(Debug, Deserialize)]
pub struct Owner {
    pub kind: String,
    pub name: String,
    #[serde(default)]
    pub controller: Option<bool>,
}

/// The label that the Deployment controller gives to `ReplicaSet`s and their pods.
#[derive(Debug, Deserialize)]
pub struct Labels {
    #[serde(rename = "pod-template-hash", default)]
    pub pod_template_hash: Option<String>,
}

/// The annotations that are read: the revision on Deployments and `ReplicaSet`s, the restart on pod templates.
#[derive(Debug, Deserialize)]
pub struct Annotations {
    #[serde(rename = "deployment.kubernetes.io/revision", default)]
    pub revision: Option<String>,
    #[serde(rename = "kubectl.kubernetes.io/restartedAt", default)]
    pub restarted_at: Option<String>,
}

/// `apps/v1` Deployment, and ReplicaSet, of which status is not read.
#[derive(Debug, Deserialize)]
pub struct Deployment {
    pub metadata: Meta,
    pub spec: DeploymentSpec,
    #[serde(default)]
    pub status: Option<DeploymentStatus>,
}

/// `spec` of a Deployment or ReplicaSet.
#[derive(Debug, Deserialize)]
pub struct DeploymentSpec {
    #[serde(default)]
    pub replicas: Option<u32>,
    #[serde(default)]
    pub template: Option<Template>,
}

/// `spec.template`.
#[derive(Debug, Deserialize)]
pub struct Template {
    #[serde(default)]
    pub metadata: Option<TemplateMeta>,
    #[serde(default)]
    pub spec: Option<PodSpec>,
}

/// `spec.template.metadata`.
#[derive(Debug, Deserialize)]
pub struct TemplateMeta {
    #[serde(default)]
    pub annotations: Option<Annotations>,
}

/// `spec.template.spec`.
#[derive(Debug, Deserialize)]
pub struct PodSpec {
    #[serde(default)]
    pub containers: Option<Vec<Container>>,
}

/// One container of a template or of a pod.
#[derive(Debug, Deserialize)]
pub struct Container {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub image: Option<String>,
}

/// `status` of a Deployment.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DeploymentStatus {
    pub observed_generation: Option<i64>,
    pub ready_replicas: Option<u32>,
    pub updated_replicas: Option<u32>,
    pub available_replicas: Option<u32>,
}

/// `apps/v1` ReplicaSet.
#[derive(Debug, Deserialize)]
pub struct ReplicaSet {
    pub metadata: Meta,
    pub spec: DeploymentSpec,
}

/// `v1` Pod.
#[derive(Debug, Deserialize)]
pub struct Pod {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: Option<PodSpec>,
    #[serde(default)]
    pub status: Option<PodStatus>,
}

/// `status` of a Pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PodStatus {
    pub phase: Option<String>,
    pub container_statuses: Option<Vec<ContainerStatus>>,
    pub init_container_statuses: Option<Vec<ContainerStatus>>,
}

/// One of `status.containerStatuses`.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerStatus {
    pub name: String,
    #[serde(rename = "imageID")]
    pub image_id: String,
    pub restart_count: Option<u32>,
    pub state: Option<ContainerState>,
    pub last_state: Option<ContainerState>,
}

/// `state` or `lastState` of a container.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ContainerState {
    pub waiting: Option<Reason>,
    pub terminated: Option<Reason>,
}

/// Why a container waits or ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Reason {
    pub reason: Option<String>,
}

/// `v1` Node.
#[derive(Debug, Deserialize)]
pub struct Node {
    pub metadata: Meta,
    #[serde(default)]
    pub spec: Option<NodeSpec>,
    #[serde(default)]
    pub status: Option<NodeStatus>,
}

/// `spec` of a Node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    pub unschedulable: Option<bool>,
}

/// `status` of a Node.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    pub conditions: Option<Vec<Condition>>,
}

/// One of `status.conditions`.
#[derive(Debug, Deserialize)]
pub struct Condition {
    #[serde(rename = "type")]
    pub kind: String,
    pub status: String,
}
