//! What is said of a tenant alone.

use super::SubjectKind::{Cluster, Tenant};
use super::{Signal, high, low, plain};
use crate::domain::signal::Unit;

/// The rows, in any order.
pub(super) const ROWS: &[Signal] = &[
    low(
        "web.available",
        Unit::Ratio,
        &[Tenant],
        "web pods ready against desired",
        "Deployment status.readyReplicas",
        0.999,
        0.0,
    ),
    low(
        "workers.available",
        Unit::Ratio,
        &[Tenant],
        "worker pods ready against desired",
        "Deployment status.readyReplicas",
        0.999,
        0.0,
    ),
    low(
        "workload.available",
        Unit::Ratio,
        &[Tenant],
        "ready against desired pods, the worse of web and workers",
        "Deployment status.readyReplicas",
        0.999,
        0.0,
    ),
    high(
        "workers.memory_slope",
        Unit::Ratio,
        &[Tenant],
        "how much of its memory limit the fastest growing container gains in an hour, over half an hour",
        "container_memory_working_set_bytes, container_spec_memory_limit_bytes",
        0.2,
        1.0,
    ),
    high(
        "workload.crash_looping",
        Unit::Count,
        &[Tenant, Cluster],
        "pods waiting with CrashLoopBackOff",
        "Pod containerStatuses",
        1.0,
        5.0,
    ),
    plain(
        "workload.image_age",
        Unit::Seconds,
        &[Tenant],
        "time since the image of the web Deployment last changed",
        "Deployment template, ReplicaSet creation",
    ),
    high(
        "workload.restarts",
        Unit::Count,
        &[Tenant],
        "container restarts in five minutes",
        "Pod containerStatuses restartCount",
        15.0,
        50.0,
    ),
];
