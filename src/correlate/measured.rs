//! The rules for signals that come from the sources of a wider view: delivery, backups, keepers, integrations, platform,
//! probes, alerts. They stand behind those of [`super::rules`], which explain more.

use super::rules::{Absent, Rule, rule};
use super::signals::SubjectKind::{
    Alert, Application, Backup, Certificate, Cluster, Endpoint, Ingress, Instance, Integration, Keep, Namespace, Node,
    Redis, Router, Tenant, Volume, Workload,
};
use crate::domain::finding::Class;

/// A rule that holds for as long at either threshold.
const fn held(mut rule: Rule, seconds: u32, disproof: &'static str) -> Rule {
    rule.hold_s = seconds;
    rule.critical_hold_s = seconds;
    rule.disproof = disproof;
    rule
}

/// What is not told has not recovered.
const fn told(mut rule: Rule) -> Rule {
    rule.absent = Absent::Unknown;
    rule
}

use Class::{Cause, Impact, Pressure};

/// In the order in which they explain.
pub(super) const RULES: &[Rule] = &[
    held(
        rule("keeper", Cause, &["keep.leader", "keep.ready", "keep.healthy"], &[Keep]),
        0,
        "the keeper names a primary, and as many servers are ready as there should be",
    ),
    held(rule("keeper-paused", Pressure, &["keep.paused"], &[Keep]), 0, "failover is switched on again"),
    held(rule("keeper-lag", Cause, &["keep.lag"], &[Keep]), 30, "the lag shrinks from sample to sample"),
    held(rule("wraparound", Cause, &["xid.age"], &[Instance]), 0, "vacuum freezes: the age falls"),
    held(
        rule("slots", Pressure, &["slots.inactive", "slots.retained"], &[Instance]),
        300,
        "the slot is read again, or was dropped",
    ),
    held(rule("archiving", Cause, &["archiver.failing", "archiver.age"], &[Instance]), 30, "WAL is archived again"),
    held(rule("checkpoints", Pressure, &["checkpoints.requested"], &[Instance]), 0, "checkpoints come by time again"),
    held(
        rule("saturation", Pressure, &["cpu.share", "memory.share", "io.share"], &[Node, Tenant, Instance]),
        600,
        "the load falls below the threshold",
    ),
    held(rule("volume-full", Cause, &["volume.used"], &[Volume, Node]), 60, "space is freed, or the volume has grown"),
    held(rule("volume-unbound", Cause, &["volume.bound"], &[Volume]), 300, "the claim is bound"),
    held(
        rule("deployment-unavailable", Cause, &["deployment.available"], &[Workload]),
        600,
        "as many pods are available as are asked for",
    ),
    held(rule("pods-pending", Cause, &["pods.pending"], &[Tenant, Cluster]), 300, "the pods run"),
    held(
        rule("pods-evicted", Cause, &["pods.evicted"], &[Tenant, Namespace, Cluster]),
        0,
        "no pod was put out for an hour",
    ),
    held(
        rule("autoscaler-at-maximum", Pressure, &["hpa.at_max"], &[Tenant, Workload]),
        120,
        "it scales below its maximum again",
    ),
    held(
        rule("disruption-budget", Pressure, &["pdb.blocking"], &[Tenant, Workload, Namespace]),
        300,
        "the budget allows a disruption",
    ),
    held(rule("quota", Pressure, &["quota.share"], &[Tenant, Namespace]), 60, "use falls, or the quota was raised"),
    held(
        told(rule("api-server", Cause, &["api.latency", "api.errors"], &[Cluster])),
        30,
        "the API server answers in its usual time",
    ),
    held(rule("redis-stalls", Pressure, &["redis.fork", "redis.latency"], &[Redis]), 0, "no stall for five minutes"),
    held(
        told(rule("servers-down", Cause, &["service.up"], &[Router, Ingress])),
        30,
        "the health check finds all servers up",
    ),
    held(
        rule("delivery", Cause, &["delivery.healthy", "delivery.synced"], &[Tenant, Application]),
        120,
        "the controller calls it synced and healthy",
    ),
    held(rule("certificate-renewal", Cause, &["certificate.ready"], &[Certificate]), 300, "the certificate is ready"),
    held(told(rule("backup", Cause, &["backup.age", "backup.failed"], &[Backup])), 0, "a backup ends well"),
    held(
        told(rule("recovery-point", Cause, &["recovery.rpo"], &[Instance, Backup])),
        60,
        "what is archived last is younger than the target",
    ),
    held(told(rule("restore-test", Pressure, &["restore_test.age"], &[Backup])), 0, "a restore test is recorded"),
    held(
        told(rule("backup-protection", Cause, &["bucket.locked", "bucket.versioned"], &[Backup])),
        0,
        "the bucket answers that object lock is in force",
    ),
    held(
        told(rule(
            "integration",
            Impact,
            &["integration.ok", "integration.success", "integration.lag", "integration.failed_reservations"],
            &[Integration],
        )),
        60,
        "exchanges go well again, and none waits too long",
    ),
    held(
        told(rule("synthetic", Impact, &["synthetic.ok"], &[Tenant])),
        60,
        "the transaction goes well when it is tried again",
    ),
    held(
        told(rule("unreachable-from-here", Impact, &["probe.ok", "probe.latency"], &[Tenant, Endpoint])),
        60,
        "the address answers, asked from another place",
    ),
    held(rule("alert", Cause, &["alert.firing"], &[Alert]), 0, "the system that raised it says that it is resolved"),
];
