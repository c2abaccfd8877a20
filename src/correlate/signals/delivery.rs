//! What delivery controllers say.

use super::SubjectKind::{Application, Tenant, Workload};
use super::{Signal, high, low, plain};
use crate::domain::signal::Unit;

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[
    high(
        "image.digests",
        Unit::Count,
        &[Tenant, Workload],
        "different images that pods of one Deployment run under one name: more than one is a tag that has moved",
        "Pod spec.containers, status.containerStatuses imageID",
        2.0,
        1000.0,
    ),
    low(
        "delivery.synced",
        Unit::Flag,
        &[Application, Tenant],
        "whether the cluster has what Git says",
        "Application status.sync, Kustomization and HelmRelease Ready",
        0.5,
        -1.0,
    ),
    low(
        "delivery.healthy",
        Unit::Flag,
        &[Application, Tenant],
        "whether what was delivered is healthy",
        "Application status.health, Kustomization and HelmRelease Ready",
        0.5,
        -1.0,
    ),
    plain(
        "delivery.suspended",
        Unit::Flag,
        &[Application, Tenant],
        "whether delivery is suspended or not automated",
        "spec.suspend, spec.syncPolicy.automated",
    ),
    plain(
        "delivery.age",
        Unit::Seconds,
        &[Application, Tenant],
        "time since something was last delivered",
        "Application status.history, Kustomization lastAppliedRevision",
    ),
];
