//! The kinds of objects, where they are, and what goes without them.

use super::{databases, delivery, platform};
use jiff::Timestamp;
use serde_json::Value;

/// One kind.
#[derive(Debug)]
pub(super) struct KindOf {
    /// API group; empty for the core.
    pub(super) group: &'static str,
    /// Plural name, as RBAC has it.
    pub(super) resource: &'static str,
    /// Version.
    pub(super) version: &'static str,
    /// A field selector that keeps the rest away, with its `&`.
    pub(super) selector: &'static str,
    /// What is not seen without it.
    pub(super) disables: &'static str,
    /// Makes the row; `None` for an object of no interest.
    pub(super) read: fn(&Value) -> Option<What>,
}

impl KindOf {
    /// Path of the list of all.
    pub(super) fn path(&self) -> String {
        match self.group {
            "" => format!("/api/{}/{}", self.version, self.resource),
            group => format!("/apis/{group}/{}/{}", self.version, self.resource),
        }
    }

    /// The rule that helps.
    pub(super) fn rule(&self) -> String {
        let (group, resource) = (self.group, self.resource);
        format!(
            "ClusterRole rule: apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"get\", \"list\", \"watch\"]"
        )
    }
}

/// What is kept of one object.
#[derive(Debug)]
pub(super) struct Row {
    /// `metadata.namespace`.
    pub(super) namespace: String,
    /// `metadata.name`.
    pub(super) name: String,
    /// The rest.
    pub(super) what: What,
}

/// The fields that are read, by kind.
#[derive(Debug, PartialEq)]
pub(super) enum What {
    /// `HorizontalPodAutoscaler`.
    Autoscaler { current: u64, most: u64, target: String },
    /// `PodDisruptionBudget`.
    Budget { allowed: i64, expected: i64 },
    /// `ResourceQuota`: the fullest resource and how full it is.
    Quota { share: Option<f64>, resource: String },
    /// `PersistentVolumeClaim`.
    Claim { phase: String },
    /// Event of type Warning.
    Warning { reason: String, about: String, message: String, count: u64, at: Option<Timestamp> },
    /// `Cluster` of `CloudNativePG`.
    Database(databases::Cluster),
    /// `Backup` of `CloudNativePG`.
    Backup { cluster: String, phase: String, stopped: Option<Timestamp>, error: String, created: Option<Timestamp> },
    /// `ScheduledBackup` of `CloudNativePG`.
    Schedule { cluster: String, suspended: bool, last: Option<Timestamp> },
    /// What Argo CD or Flux delivers.
    Delivered(delivery::Delivered),
    /// `NetworkPolicy`: whether it keeps others from all pods, and whether it lets everybody in.
    Fence { all: bool, open: bool },
    /// Certificate of cert-manager.
    Certificate { ready: Option<bool>, why: String, not_after: Option<Timestamp> },
}

const fn kind(
    group: &'static str,
    version: &'static str,
    resource: &'static str,
    disables: &'static str,
    read: fn(&Value) -> Option<What>,
) -> KindOf {
    KindOf { group, resource, version, selector: "", disables, read }
}

/// Position of kinds that the fold asks for.
pub(super) const EVENTS: usize = 4;
/// Quotas.
pub(super) const QUOTAS: usize = 2;
/// Network policies.
pub(super) const FENCES: usize = 12;
/// Backups of `CloudNativePG`.
pub(super) const BACKUPS: usize = 6;

/// All.
pub(super) static KINDS: [KindOf; 13] = [
    kind(
        "autoscaling",
        "v2",
        "horizontalpodautoscalers",
        "autoscalers that stand at their maximum",
        platform::autoscaler,
    ),
    kind("policy", "v1", "poddisruptionbudgets", "disruption budgets that allow nothing", platform::budget),
    kind("", "v1", "resourcequotas", "how full quotas are", platform::quota),
    kind("", "v1", "persistentvolumeclaims", "claims without a volume", platform::claim),
    KindOf {
        selector: "&fieldSelector=type%3DWarning",
        ..kind("", "v1", "events", "warnings and evictions", platform::warning)
    },
    kind("postgresql.cnpg.io", "v1", "clusters", "clusters of CloudNativePG", databases::cluster),
    kind("postgresql.cnpg.io", "v1", "backups", "backups of CloudNativePG", databases::backup),
    kind("postgresql.cnpg.io", "v1", "scheduledbackups", "schedules of backups of CloudNativePG", databases::schedule),
    kind("argoproj.io", "v1alpha1", "applications", "Applications of Argo CD", delivery::application),
    kind("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomizations of Flux", delivery::kustomization),
    kind("helm.toolkit.fluxcd.io", "v2", "helmreleases", "HelmReleases of Flux", delivery::release),
    kind("cert-manager.io", "v1", "certificates", "Certificates of cert-manager", platform::certificate),
    kind("networking.k8s.io", "v1", "networkpolicies", "whether namespaces keep others out", platform::network_policy),
];
