//! The one table of signals: name, unit, subjects, meaning, source and default thresholds. Rules, panes,
//! configuration, playbook lint and the help texts all read it.

use crate::domain::health::Health;
use crate::domain::signal::{Subject, Unit};

/// Kind of subject that a signal can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// A tenant.
    Tenant,
    /// A PostgreSQL instance or a `PgBouncer`.
    Instance,
    /// A job channel.
    Channel,
    /// A Redis instance.
    Redis,
    /// A router that no tenant owns.
    Router,
    /// An ingress.
    Ingress,
    /// A cluster.
    Cluster,
    /// A node.
    Node,
}

impl SubjectKind {
    /// The kind of a subject.
    pub const fn of(subject: &Subject) -> Self {
        match subject {
            Subject::Tenant { .. } => Self::Tenant,
            Subject::Instance { .. } => Self::Instance,
            Subject::Channel { .. } => Self::Channel,
            Subject::Redis { .. } => Self::Redis,
            Subject::Router { .. } => Self::Router,
            Subject::Ingress { .. } => Self::Ingress,
            Subject::Cluster { .. } => Self::Cluster,
            Subject::Node { .. } => Self::Node,
        }
    }
}

/// Which way is worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Greater is worse.
    Above,
    /// Less is worse.
    Below,
}

/// Two thresholds in the unit of their signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// Warn from here on.
    pub warn: f64,
    /// Critical from here on.
    pub critical: f64,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// Name, as in expressions, thresholds and evidence.
    pub name: &'static str,
    /// Unit of its values.
    pub unit: Unit,
    /// What it is, one line.
    pub what: &'static str,
    /// View, column, command or metric that it comes from.
    pub source: &'static str,
    /// Kinds of subject it is about.
    pub subjects: &'static [SubjectKind],
    /// Which way is worse.
    pub direction: Direction,
    /// Default thresholds; `None` when there is no value that is bad everywhere.
    pub limits: Option<Limits>,
}

impl Signal {
    /// Grades a value against thresholds; something that is not a number is unknown.
    pub fn grade(&self, value: f64, limits: Option<Limits>) -> Health {
        let Some(limits) = limits else { return if value.is_nan() { Health::Unknown } else { Health::Ok } };
        match self.direction {
            Direction::Above => Health::above(Some(value), limits.warn, limits.critical),
            Direction::Below => Health::above(Some(-value), -limits.warn, -limits.critical),
        }
    }
}

use SubjectKind::{Channel, Cluster, Ingress, Instance, Node, Redis, Router, Tenant};

const fn signal(
    name: &'static str,
    unit: Unit,
    subjects: &'static [SubjectKind],
    what: &'static str,
    source: &'static str,
) -> Signal {
    Signal { name, unit, what, source, subjects, direction: Direction::Above, limits: None }
}

const fn above(mut signal: Signal, warn: f64, critical: f64) -> Signal {
    signal.limits = Some(Limits { warn, critical });
    signal
}

const fn below(mut signal: Signal, warn: f64, critical: f64) -> Signal {
    signal.direction = Direction::Below;
    signal.limits = Some(Limits { warn, critical });
    signal
}

const HTTP: &[SubjectKind] = &[Tenant, Router, Ingress];
const JOBS: &[SubjectKind] = &[Tenant, Channel];
const DATABASE: &[SubjectKind] = &[Tenant, Instance];

/// All signals, in the order of their names.
pub static SIGNALS: &[Signal] = &[
    below(
        signal(
            "cache.hit",
            Unit::Ratio,
            DATABASE,
            "share of block reads that the buffer cache served, since the sample before",
            "pg_stat_database blks_hit, blks_read",
        ),
        0.90,
        0.70,
    ),
    below(
        signal(
            "certificate.days",
            Unit::Days,
            &[Tenant, Ingress],
            "days until the certificate expires; for a tenant the one that covers its host",
            "traefik_tls_certs_not_after",
        ),
        21.0,
        3.0,
    ),
    above(
        signal(
            "connections.share",
            Unit::Ratio,
            &[Instance],
            "client connections against max_connections",
            "pg_stat_activity, max_connections",
        ),
        0.80,
        0.95,
    ),
    above(
        signal(
            "cron.failing",
            Unit::Count,
            &[Tenant],
            "active crons that failed three times or more",
            "ir_cron failure_count",
        ),
        1.0,
        5.0,
    ),
    above(
        signal(
            "cron.lateness",
            Unit::Seconds,
            &[Tenant],
            "by how much the latest active cron is late",
            "ir_cron nextcall",
        ),
        600.0,
        3600.0,
    ),
    above(
        signal(
            "deadlocks.rate",
            Unit::Count,
            DATABASE,
            "deadlocks a minute since the sample before",
            "pg_stat_database deadlocks",
        ),
        5.0,
        30.0,
    ),
    signal(
        "http.p50",
        Unit::Seconds,
        HTTP,
        "median latency since the sample before",
        "traefik_router_request_duration_seconds",
    ),
    above(
        signal(
            "http.p95",
            Unit::Seconds,
            HTTP,
            "95th percentile of latency since the sample before",
            "traefik_router_request_duration_seconds",
        ),
        2.0,
        5.0,
    ),
    signal(
        "http.p99",
        Unit::Seconds,
        HTTP,
        "99th percentile of latency since the sample before",
        "traefik_router_request_duration_seconds",
    ),
    signal("http.requests", Unit::PerSecond, HTTP, "requests a second", "traefik_router_requests_total"),
    signal(
        "http.share_4xx",
        Unit::Ratio,
        HTTP,
        "share of requests answered with 4xx",
        "traefik_router_requests_total by code",
    ),
    above(
        signal(
            "http.share_5xx",
            Unit::Ratio,
            HTTP,
            "share of requests answered with 5xx",
            "traefik_router_requests_total by code",
        ),
        0.05,
        0.20,
    ),
    above(
        signal(
            "idle_in_transaction.longest",
            Unit::Seconds,
            DATABASE,
            "longest time that a session has been idle in transaction",
            "pg_stat_activity state_change",
        ),
        60.0,
        300.0,
    ),
    above(
        signal("lock.blocked", Unit::Count, DATABASE, "sessions that wait for a lock", "pg_blocking_pids()"),
        5.0,
        20.0,
    ),
    above(
        signal(
            "lock.oldest",
            Unit::Seconds,
            DATABASE,
            "longest wait for a lock",
            "pg_blocking_pids(), pg_stat_activity query_start",
        ),
        60.0,
        300.0,
    ),
    above(
        signal(
            "modules.pending",
            Unit::Count,
            &[Tenant],
            "modules in a state like `to upgrade`; any halts the crons",
            "ir_module_module state",
        ),
        1.0,
        50.0,
    ),
    above(
        signal(
            "node.pressure",
            Unit::Count,
            &[Node],
            "memory, disk and PID pressure conditions that are true",
            "Node status.conditions",
        ),
        1.0,
        3.0,
    ),
    below(
        signal("node.ready", Unit::Flag, &[Node], "whether the node says that it is ready", "Node condition Ready"),
        0.5,
        0.5,
    ),
    above(
        signal(
            "pool.max_wait",
            Unit::Seconds,
            DATABASE,
            "longest wait of a client for a pooled connection",
            "SHOW POOLS maxwait",
        ),
        15.0,
        60.0,
    ),
    above(
        signal(
            "pool.waiting",
            Unit::Count,
            DATABASE,
            "clients that wait for a pooled connection",
            "SHOW POOLS cl_waiting",
        ),
        20.0,
        100.0,
    ),
    signal("queue.depth", Unit::Count, JOBS, "jobs that wait for a worker", "queue_job state pending, enqueued"),
    above(
        signal(
            "queue.failed_share",
            Unit::Ratio,
            JOBS,
            "failed jobs against failed and done in ten minutes",
            "queue_job state failed, done",
        ),
        0.01,
        0.20,
    ),
    above(
        signal(
            "queue.oldest",
            Unit::Seconds,
            JOBS,
            "time since the oldest waiting job was due",
            "queue_job coalesce(eta, date_created)",
        ),
        300.0,
        900.0,
    ),
    above(
        signal(
            "queue.zombies",
            Unit::Count,
            JOBS,
            "jobs in state started beyond the time limit: nobody works on them",
            "queue_job state started, date_started",
        ),
        1.0,
        20.0,
    ),
    signal(
        "redis.blocked_clients",
        Unit::Count,
        &[Redis],
        "clients in a blocking call",
        "INFO clients blocked_clients",
    ),
    above(
        signal("redis.evictions", Unit::PerSecond, &[Redis], "keys evicted a second", "INFO stats evicted_keys"),
        0.001,
        100.0,
    ),
    below(
        signal(
            "redis.link",
            Unit::Flag,
            &[Redis],
            "whether a replica's link to its primary is up",
            "INFO replication master_link_status",
        ),
        0.5,
        0.5,
    ),
    above(
        signal("redis.memory_share", Unit::Ratio, &[Redis], "memory used against maxmemory", "INFO memory used_memory"),
        0.90,
        0.98,
    ),
    below(
        signal(
            "redis.persistence",
            Unit::Flag,
            &[Redis],
            "whether the last snapshot and the last write of the append-only file went well",
            "INFO persistence rdb_last_bgsave_status, aof_last_write_status",
        ),
        0.5,
        -1.0,
    ),
    above(
        signal(
            "redis.rejected",
            Unit::Count,
            &[Redis],
            "connections refused since the sample before",
            "INFO stats rejected_connections",
        ),
        1.0,
        100.0,
    ),
    signal("redis.replicas", Unit::Count, &[Redis], "replicas connected", "INFO replication connected_slaves"),
    below(
        signal(
            "reload.ok",
            Unit::Flag,
            &[Ingress],
            "whether the newest configuration reload went well",
            "traefik_config_reloads_failure_total",
        ),
        0.5,
        -1.0,
    ),
    above(
        signal(
            "replication.lag",
            Unit::Seconds,
            &[Instance],
            "replay lag: a replica's own, a primary's worst standby",
            "pg_stat_replication replay_lag, pg_last_xact_replay_timestamp()",
        ),
        5.0,
        30.0,
    ),
    below(
        signal(
            "replication.receiver",
            Unit::Flag,
            &[Instance],
            "whether a replica receives WAL",
            "pg_stat_wal_receiver status",
        ),
        0.5,
        0.5,
    ),
    signal("replication.standbys", Unit::Count, &[Instance], "standbys streaming", "pg_stat_replication state"),
    below(
        signal(
            "router.ok",
            Unit::Flag,
            &[Tenant, Router],
            "whether Traefik has the router in force; only told where its API is given",
            "/api/http/routers status, error",
        ),
        0.5,
        0.5,
    ),
    above(
        signal(
            "transaction.longest",
            Unit::Seconds,
            DATABASE,
            "age of the oldest transaction",
            "pg_stat_activity xact_start",
        ),
        120.0,
        300.0,
    ),
    below(
        signal(
            "web.available",
            Unit::Ratio,
            &[Tenant],
            "web pods ready against desired",
            "Deployment status.readyReplicas",
        ),
        0.999,
        0.0,
    ),
    below(
        signal(
            "workers.available",
            Unit::Ratio,
            &[Tenant],
            "worker pods ready against desired",
            "Deployment status.readyReplicas",
        ),
        0.999,
        0.0,
    ),
    below(
        signal(
            "workload.available",
            Unit::Ratio,
            &[Tenant],
            "ready against desired pods, the worse of web and workers",
            "Deployment status.readyReplicas",
        ),
        0.999,
        0.0,
    ),
    above(
        signal(
            "workload.crash_looping",
            Unit::Count,
            &[Tenant, Cluster],
            "pods waiting with CrashLoopBackOff",
            "Pod containerStatuses",
        ),
        1.0,
        5.0,
    ),
    signal(
        "workload.image_age",
        Unit::Seconds,
        &[Tenant],
        "time since the image of the web Deployment last changed",
        "Deployment template, ReplicaSet creation",
    ),
    above(
        signal(
            "workload.restarts",
            Unit::Count,
            &[Tenant],
            "container restarts in five minutes",
            "Pod containerStatuses restartCount",
        ),
        15.0,
        50.0,
    ),
];

/// Position of a signal in the table.
pub fn position(name: &str) -> Option<usize> {
    SIGNALS.binary_search_by(|s| s.name.cmp(name)).ok()
}

/// The row of a signal.
pub fn find(name: &str) -> Option<&'static Signal> {
    position(name).and_then(|i| SIGNALS.get(i))
}

/// Thresholds in force, one for each row of the table.
#[derive(Clone, Debug)]
pub struct Thresholds(Vec<Option<Limits>>);

impl Default for Thresholds {
    fn default() -> Self {
        Self(SIGNALS.iter().map(|s| s.limits).collect())
    }
}

impl Thresholds {
    /// Sets the thresholds of one signal; false when there is no such signal.
    pub fn set(&mut self, name: &str, limits: Limits) -> bool {
        let slot = position(name).and_then(|i| self.0.get_mut(i));
        slot.map(|slot| *slot = Some(limits)).is_some()
    }

    /// The thresholds of a signal.
    pub fn of(&self, name: &str) -> Option<Limits> {
        position(name).and_then(|i| self.0.get(i).copied().flatten())
    }

    /// Grades a value of a signal; an unknown name is unknown health.
    pub fn grade(&self, name: &str, value: f64) -> Health {
        find(name).map_or(Health::Unknown, |s| s.grade(value, self.of(name)))
    }

    /// Grades a value that may be missing; missing is unknown.
    pub fn grade_option(&self, name: &str, value: Option<f64>) -> Health {
        value.map_or(Health::Unknown, |v| self.grade(name, v))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_every_row_can_be_found() {
        assert!(SIGNALS.windows(2).all(|pair| pair[0].name < pair[1].name));
        for signal in SIGNALS {
            assert_eq!(find(signal.name).unwrap().name, signal.name);
            assert!(!signal.subjects.is_empty() && !signal.what.is_empty() && !signal.source.is_empty());
        }
        assert!(find("lock.blokked").is_none());
    }

    #[test]
    fn thresholds_lie_in_the_direction_of_worse() {
        for signal in SIGNALS {
            let Some(limits) = signal.limits else { continue };
            let ordered = match signal.direction {
                Direction::Above => limits.warn <= limits.critical,
                Direction::Below => limits.warn >= limits.critical,
            };
            assert!(ordered, "{}", signal.name);
        }
    }

    #[test]
    fn both_directions_grade_and_nan_is_unknown() {
        let limits = Thresholds::default();
        assert_eq!(limits.grade("lock.blocked", 4.0), Health::Ok);
        assert_eq!(limits.grade("lock.blocked", 5.0), Health::Warn);
        assert_eq!(limits.grade("lock.blocked", 20.0), Health::Critical);
        assert_eq!(limits.grade("certificate.days", 22.0), Health::Ok);
        assert_eq!(limits.grade("certificate.days", 19.0), Health::Warn);
        assert_eq!(limits.grade("certificate.days", -1.0), Health::Critical);
        assert_eq!(limits.grade("workload.available", 0.5), Health::Warn);
        assert_eq!(limits.grade("workload.available", 0.0), Health::Critical);
        assert_eq!(limits.grade("reload.ok", 0.0), Health::Warn);
        assert_eq!(limits.grade("http.p50", f64::NAN), Health::Unknown);
        assert_eq!(limits.grade("http.p95", f64::NAN), Health::Unknown);
        assert_eq!(limits.grade("no.such", 1.0), Health::Unknown);
    }
}
