//! The table: each fault of `tests/lab/faults.sh`, what has to be found, and what has to be offered first.

use super::lab_support::rules::SCALED;
use std::time::Duration;

/// Two intervals of the slowest of the sources that the faults show in, and the second between two judgements.
const INTERVALS: Duration = Duration::from_secs(11);

/// What two looks at one of the lab's three tenants, which are looked at in turns, take beyond that.
const TENANTS_IN_TURNS: Duration = Duration::from_secs(20);

/// One fault.
pub struct Case {
    pub name: &'static str,
    /// Calls of `faults.sh` that make it, and those that take it back.
    pub make: &'static [&'static [&'static str]],
    pub undo: &'static [&'static [&'static str]],
    /// Tenant whose people work meanwhile.
    pub load: Option<&'static str>,
    /// Rules, any of which names it.
    pub rules: &'static [&'static str],
    /// What the finding must speak of.
    pub about: &'static str,
    /// The playbook that has to stand first.
    pub playbook: Option<&'static str>,
    /// Variables of the lab without which it can not be made: of parts that are brought up by name.
    pub needs: &'static [&'static str],
    /// How long the threshold itself asks for, beside the hold: a transaction is long after a minute.
    pub wait: Duration,
    /// Whether it is among the few that every test run makes.
    pub quick: bool,
}

impl Case {
    /// The scaled hold of its rule, the longer of the two.
    pub fn hold(&self) -> Duration {
        let rules = SCALED["rule"].as_array().unwrap();
        let rule = rules.iter().find(|r| r["name"].as_str() == self.rules.first().copied());
        let seconds = |key: &str| {
            let hold = rule?.get(key)?.as_str()?;
            hold.trim_end_matches('s').parse::<u64>().ok()
        };
        Duration::from_secs(seconds("hold").max(seconds("critical_hold")).unwrap_or(0))
    }

    /// How long it may take until it is named.
    pub fn allowed(&self) -> Duration {
        self.hold() + self.wait + INTERVALS
    }
}

/// A fault that shows at once, without load, for which no playbook is asked; played in the whole table only.
const PLAIN: Case = Case {
    name: "",
    make: &[],
    undo: &[],
    load: None,
    rules: &[],
    about: "",
    playbook: None,
    needs: &[],
    wait: Duration::ZERO,
    quick: false,
};

/// All of them.
pub const CASES: &[Case] = &[
    Case {
        name: "lock chain of 6",
        make: &[&["lock_chain", "t017", "6"]],
        undo: &[&["lock_chain_clear"]],
        rules: &["lock-chain"],
        about: "t017",
        playbook: Some("schema-lock"),
        quick: true,
        ..PLAIN
    },
    Case {
        name: "long idle in transaction",
        make: &[&["idle_in_transaction", "t003"]],
        undo: &[&["idle_in_transaction_clear"]],
        rules: &["idle-in-transaction"],
        about: "t003",
        wait: Duration::from_mins(1),
        ..PLAIN
    },
    Case {
        name: "replica paused",
        make: &[&["replica_pause"]],
        undo: &[&["replica_resume"]],
        rules: &["replication-lag"],
        about: "pg-",
        playbook: Some("replication-lag"),
        wait: Duration::from_secs(5),
        quick: true,
        ..PLAIN
    },
    Case {
        name: "replica killed",
        make: &[&["replica_stop"]],
        undo: &[&["replica_start"]],
        rules: &["replication-lag", "source-unknown"],
        about: "pg-",
        ..PLAIN
    },
    Case {
        name: "primary killed",
        make: &[&["primary_stop"]],
        undo: &[&["primary_start"]],
        load: Some("t017"),
        rules: &["source-unknown"],
        about: "pg-a",
        wait: Duration::from_secs(10),
        ..PLAIN
    },
    Case {
        name: "primary frozen",
        make: &[&["primary_freeze"]],
        undo: &[&["primary_thaw"]],
        rules: &["source-unknown"],
        about: "pg-a",
        wait: Duration::from_secs(10),
        ..PLAIN
    },
    Case {
        name: "archiver failing",
        make: &[&["archiver_fail", "on"]],
        undo: &[&["archiver_fail", "off"]],
        rules: &["archiving"],
        about: "pg-a",
        playbook: Some("backup-failure"),
        wait: Duration::from_secs(30),
        ..PLAIN
    },
    Case {
        name: "pool exhausted",
        make: &[&["pool_exhaust", "t017", "25"]],
        undo: &[&["pool_exhaust_clear"]],
        rules: &["pool-wait"],
        about: "t017",
        playbook: Some("db-saturation"),
        ..PLAIN
    },
    Case {
        name: "connections exhausted",
        make: &[&["connections_exhaust", "t090", "69"]],
        undo: &[&["connections_exhaust_clear"]],
        rules: &["connections"],
        about: "pg-a",
        playbook: Some("noisy-tenant"),
        ..PLAIN
    },
    Case {
        name: "Redis at maxmemory, evictions",
        make: &[&["redis_maxmemory"]],
        undo: &[&["redis_maxmemory_clear"]],
        rules: &["redis-evictions"],
        about: "redis-s",
        playbook: Some("redis-pressure"),
        quick: true,
        ..PLAIN
    },
    Case {
        name: "Redis frozen",
        make: &[&["redis_freeze"]],
        undo: &[&["redis_thaw"], &["redis_home"]],
        rules: &["source-unknown"],
        about: "redis-s",
        wait: Duration::from_secs(10),
        ..PLAIN
    },
    Case {
        name: "Redis killed",
        make: &[&["redis_stop"]],
        undo: &[&["redis_start"], &["redis_home"]],
        rules: &["source-unknown", "redis-link"],
        about: "redis-s",
        wait: Duration::from_secs(10),
        ..PLAIN
    },
    Case {
        name: "queue backlog",
        make: &[&["queue_backlog", "t017", "60", "20"]],
        undo: &[&["workers_thaw"], &["queue_drained", "t017", "120"], &["queue_clear", "t017"]],
        rules: &["queue-age"],
        about: "t017",
        playbook: Some("queue-backlog"),
        wait: TENANTS_IN_TURNS,
        ..PLAIN
    },
    Case {
        name: "zombie jobs",
        make: &[&["zombie_jobs", "t003", "1"]],
        undo: &[&["queue_clear", "t003"]],
        rules: &["queue-zombies"],
        about: "t003",
        playbook: Some("queue-backlog"),
        wait: TENANTS_IN_TURNS,
        ..PLAIN
    },
    Case {
        name: "pods crash-looping",
        make: &[&["pods_crashloop", "t090"]],
        undo: &[&["pods_crashloop_clear", "t090"]],
        rules: &["crash-loop"],
        about: "t090",
        playbook: Some("worker-regression"),
        ..PLAIN
    },
    Case {
        name: "node not ready",
        make: &[&["node_not_ready", "node-1", "on"]],
        undo: &[&["node_not_ready", "node-1", "off"]],
        rules: &["node-not-ready"],
        about: "node-1",
        playbook: Some("node-disruption"),
        ..PLAIN
    },
    Case {
        name: "full disk of a node (its kubelet says so)",
        make: &[&["node_disk_full", "node-2", "on"]],
        undo: &[&["node_disk_full", "node-2", "off"]],
        rules: &["node-disk-full"],
        about: "node-2",
        playbook: Some("node-disruption"),
        ..PLAIN
    },
    Case {
        name: "full file system (by Prometheus)",
        make: &[&["disk_full", "on"]],
        undo: &[&["disk_full", "off"]],
        rules: &["volume-full"],
        about: "lab-disk",
        playbook: Some("volume-full"),
        needs: &["LAB_DISK"],
        wait: Duration::from_secs(30),
        ..PLAIN
    },
    Case {
        name: "stale backup",
        make: &[&["backup_stale", "on"]],
        undo: &[&["backup_stale", "off"]],
        rules: &["backup"],
        about: "backup-a",
        playbook: Some("backup-failure"),
        needs: &["LAB_BACKUP_CONFIG"],
        wait: Duration::from_secs(10),
        ..PLAIN
    },
    Case {
        name: "missing object lock",
        make: &[&["object_lock_missing", "on"]],
        undo: &[&["object_lock_missing", "off"]],
        rules: &["backup-protection"],
        about: "vault",
        playbook: Some("backup-failure"),
        needs: &["LAB_S3_BUCKET"],
        wait: Duration::from_secs(10),
        ..PLAIN
    },
    Case {
        name: "bad deployment revision",
        make: &[&["bad_revision", "t003", "on"]],
        undo: &[&["bad_revision", "t003", "off"]],
        rules: &["crash-loop"],
        about: "t003",
        playbook: Some("release-rollback"),
        ..PLAIN
    },
    Case {
        name: "drifted manifest (status set by the test)",
        make: &[&["application_drifts", "t017", "off"], &["application_drifts", "t017", "on"]],
        undo: &[&["application_drifts", "t017", "off"], &["application_drifts_clear", "t017"]],
        load: Some("t017"),
        rules: &["delivery"],
        about: "t017",
        playbook: Some("drift-reconcile"),
        ..PLAIN
    },
    Case {
        name: "expired certificate",
        make: &[&["certificate_expired", "on"]],
        undo: &[&["certificate_expired", "off"]],
        rules: &["certificate"],
        about: "expired",
        playbook: Some("certificate-renewal"),
        ..PLAIN
    },
    Case {
        name: "5xx from a backend",
        make: &[&["backend_5xx", "t017", "on"], &["traffic", "t017", "60"]],
        undo: &[&["backend_5xx", "t017", "off"]],
        load: Some("t017"),
        rules: &["http-errors"],
        about: "t017",
        playbook: Some("maintenance-mode"),
        ..PLAIN
    },
    Case {
        name: "Traefik takes a router with errors",
        make: &[&["traefik_bad_config", "on", "tenant"]],
        undo: &[&["traefik_bad_config", "off"]],
        rules: &["router-disabled"],
        about: "t017",
        playbook: Some("ingress-misroute"),
        ..PLAIN
    },
    Case {
        name: "API server frozen",
        make: &[&["apiserver_freeze"]],
        undo: &[&["apiserver_thaw"]],
        rules: &["source-unknown", "api-server"],
        about: "k8s",
        wait: Duration::from_secs(10),
        ..PLAIN
    },
    Case {
        name: "API server gone",
        make: &[&["apiserver_stop"]],
        undo: &[&["apiserver_start"]],
        rules: &["source-unknown", "api-server"],
        about: "k8s",
        wait: Duration::from_secs(10),
        ..PLAIN
    },
];
