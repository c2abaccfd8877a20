//! The one table of rules: which signals make which finding, after how long, of which class, what explains
//! it, which playbooks fit, and what would disprove it.

use super::signals::SubjectKind::{
    self, Certificate, Channel, Cluster, Endpoint, Ingress, Instance, Node, Redis, Router, Tenant,
};
use crate::domain::finding::Class;
use crate::domain::health::Health;

/// What the absence of a reading means while its source is fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The thing is gone, and with it the trouble: a channel without jobs, a node taken out.
    Good,
    /// It can not be told: a router without requests has no share of errors.
    Unknown,
}

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// Name: `lock-chain`.
    pub name: &'static str,
    /// Signals, any of which raises it.
    pub signals: &'static [&'static str],
    /// Kinds of subject that it judges; the first is the one that findings are about, the others stand in
    /// where nothing of the first kind is to blame on the same source.
    pub subjects: &'static [SubjectKind],
    /// What it is beyond the first threshold.
    pub class: Class,
    /// What it is beyond the second.
    pub critical_class: Class,
    /// Seconds for which it must hold beyond the first threshold.
    pub hold_s: u32,
    /// Seconds for which it must hold beyond the second.
    pub critical_hold_s: u32,
    /// Whether it explains failing or slow requests of the tenant.
    pub explains_impact: bool,
    /// Rules that, when they hold for the same tenant, explain this one.
    pub explained_by: &'static [&'static str],
    /// Playbooks that fit a tenant's finding: id and why.
    pub offers: &'static [(&'static str, &'static str)],
    /// What the absence of a reading means.
    pub absent: Absent,
    /// What would disprove it.
    pub disproof: &'static str,
}

pub(super) const fn rule(
    name: &'static str,
    class: Class,
    signals: &'static [&'static str],
    subjects: &'static [SubjectKind],
) -> Rule {
    Rule {
        name,
        signals,
        subjects,
        class,
        critical_class: class,
        hold_s: 0,
        critical_hold_s: 0,
        explains_impact: false,
        explained_by: &[],
        offers: &[],
        absent: Absent::Good,
        disproof: "",
    }
}

const QUEUE: (&str, &str) = ("queue-backlog", "jobs wait or hang: restart the workers, requeue what nobody works on");
const LOCKS: (&str, &str) = ("schema-lock", "sessions wait behind one root blocker: show it, cancel it, terminate it");
const PAGE: (&str, &str) = ("maintenance-mode", "people get errors: tell them so, and take the load off");
/// Rules that stand for harm the tenant's own parts explain.
const LOCKED: &[&str] = &["lock-chain"];

/// The rules of what stands nearest to the tenants.
const NEAR: &[Rule] = &[
    Rule {
        explains_impact: true,
        offers: &[LOCKS],
        disproof: "no session of the database waits for a lock, or the waiting ones change from look to look",
        ..rule("lock-chain", Class::Cause, &["lock.blocked", "lock.oldest"], &[Tenant, Instance])
    },
    Rule {
        explains_impact: true,
        explained_by: LOCKED,
        disproof: "deadlocks stay below the threshold over three samples",
        ..rule("deadlocks", Class::Cause, &["deadlocks.rate"], &[Tenant, Instance])
    },
    Rule {
        explains_impact: true,
        explained_by: LOCKED,
        // Pods that may not be watched any more have not recovered by that.
        absent: Absent::Unknown,
        disproof: "the pods leave CrashLoopBackOff and stay ready",
        ..rule("crash-loop", Class::Cause, &["workload.crash_looping"], &[Tenant, Cluster])
    },
    Rule {
        hold_s: 600,
        critical_hold_s: 60,
        explains_impact: true,
        explained_by: &["crash-loop"],
        disproof: "as many pods are ready as are asked for",
        ..rule("workload-unavailable", Class::Cause, &["web.available", "workers.available"], &[Tenant])
    },
    Rule {
        explains_impact: true,
        explained_by: &["crash-loop"],
        // Pods that may not be watched any more have not recovered by that.
        absent: Absent::Unknown,
        disproof: "no container has restarted for five minutes",
        ..rule("restarts", Class::Cause, &["workload.restarts"], &[Tenant])
    },
    Rule {
        explains_impact: true,
        disproof: "the node says Ready, or its pods run elsewhere",
        ..rule("node-not-ready", Class::Cause, &["node.ready"], &[Node])
    },
    Rule {
        hold_s: 120,
        explains_impact: true,
        explained_by: LOCKED,
        disproof: "no client waits for a pooled connection",
        ..rule("pool-wait", Class::Cause, &["pool.waiting", "pool.max_wait"], &[Tenant, Instance])
    },
    Rule {
        critical_class: Class::Cause,
        hold_s: 120,
        critical_hold_s: 120,
        explains_impact: true,
        disproof: "connections fall below the threshold without new refusals",
        ..rule("connections", Class::Pressure, &["connections.share"], &[Instance])
    },
    Rule {
        disproof: "the WAL receiver streams again and its lag shrinks",
        ..rule("replication-broken", Class::Cause, &["replication.receiver"], &[Instance])
    },
    Rule {
        hold_s: 30,
        critical_hold_s: 30,
        disproof: "the lag shrinks from sample to sample",
        ..rule("replication-lag", Class::Cause, &["replication.lag", "replication.standbys"], &[Instance])
    },
    Rule {
        disproof: "the replica's link to its primary is up",
        ..rule("redis-link", Class::Cause, &["redis.link", "redis.replicas"], &[Redis])
    },
    Rule {
        explains_impact: true,
        disproof: "no key is evicted and no connection refused over three samples",
        ..rule("redis-evictions", Class::Cause, &["redis.evictions", "redis.rejected"], &[Redis])
    },
    Rule {
        disproof: "the next snapshot or append goes well",
        ..rule("redis-persistence", Class::Cause, &["redis.persistence"], &[Redis])
    },
    Rule {
        hold_s: 120,
        disproof: "memory falls below the threshold without evictions",
        ..rule("redis-memory", Class::Pressure, &["redis.memory_share", "redis.blocked_clients"], &[Redis])
    },
    Rule {
        explained_by: LOCKED,
        offers: &[QUEUE],
        disproof: "the oldest waiting job is younger than the threshold, and jobs get done",
        ..rule("queue-age", Class::Cause, &["queue.oldest", "queue.depth"], &[Channel])
    },
    Rule {
        explained_by: &["queue-age", "lock-chain"],
        offers: &[QUEUE],
        disproof: "a worker still holds these jobs: their lock or their process can be found",
        ..rule("queue-zombies", Class::Cause, &["queue.zombies"], &[Channel])
    },
    Rule {
        disproof: "new jobs of the channel succeed",
        ..rule("queue-failed", Class::Pressure, &["queue.failed_share"], &[Channel])
    },
    Rule {
        disproof: "the modules reach the state `installed`",
        hold_s: 300,
        ..rule("modules-pending", Class::Cause, &["modules.pending"], &[Tenant])
    },
    Rule {
        explained_by: &["modules-pending", "lock-chain"],
        disproof: "the cron runs, or it is switched off on purpose",
        ..rule("cron-late", Class::Cause, &["cron.lateness"], &[Tenant])
    },
    Rule {
        disproof: "the cron's next run succeeds and its failure count returns to zero",
        ..rule("cron-failing", Class::Cause, &["cron.failing"], &[Tenant])
    },
    Rule {
        explains_impact: true,
        disproof: "the router stands in /api/http/routers with status `enabled`",
        ..rule("router-disabled", Class::Cause, &["router.ok"], &[Tenant, Router])
    },
    Rule {
        disproof: "the newest configuration loads",
        ..rule("reload-failed", Class::Cause, &["reload.ok"], &[Ingress])
    },
    Rule {
        disproof: "a certificate with a later expiry is served for the host",
        ..rule("certificate", Class::Cause, &["certificate.days"], &[Tenant, Ingress, Certificate, Endpoint])
    },
    Rule {
        disproof: "the node reports no pressure condition",
        ..rule("node-pressure", Class::Pressure, &["node.pressure"], &[Node])
    },
    Rule {
        explained_by: LOCKED,
        disproof: "the transaction ends, or is a backup or a vacuum that may last",
        ..rule("long-transaction", Class::Pressure, &["transaction.longest"], &[Tenant, Instance])
    },
    Rule {
        explained_by: &["lock-chain", "long-transaction"],
        disproof: "the session commits, rolls back or goes on working",
        ..rule("idle-in-transaction", Class::Pressure, &["idle_in_transaction.longest"], &[Tenant, Instance])
    },
    Rule {
        hold_s: 300,
        critical_hold_s: 300,
        disproof: "the share recovers once the cache is warm",
        ..rule("cache-hit", Class::Pressure, &["cache.hit"], &[Instance])
    },
    Rule {
        hold_s: 60,
        critical_hold_s: 60,
        offers: &[PAGE],
        absent: Absent::Unknown,
        disproof: "a request from outside to the tenant's host succeeds again and again",
        ..rule("http-errors", Class::Impact, &["http.share_5xx"], &[Tenant, Router, Ingress])
    },
    Rule {
        hold_s: 60,
        critical_hold_s: 60,
        explained_by: &["http-errors"],
        absent: Absent::Unknown,
        disproof: "requests from outside are answered in the usual time",
        ..rule("http-slow", Class::Impact, &["http.p95", "http.p99", "http.p50"], &[Tenant, Router, Ingress])
    },
    Rule {
        hold_s: 120,
        critical_hold_s: 120,
        absent: Absent::Unknown,
        disproof: "the refused requests are not the tenant's own users",
        ..rule("http-refused", Class::Pressure, &["http.share_4xx"], &[Tenant, Router, Ingress])
    },
];

const COUNT: usize = NEAR.len() + super::measured::RULES.len();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of bounds")]
const JOINED: [Rule; COUNT] = {
    let mut all = [NEAR[0]; COUNT];
    let mut at = 0;
    while at < COUNT {
        all[at] = if at < NEAR.len() { NEAR[at] } else { super::measured::RULES[at - NEAR.len()] };
        at += 1;
    }
    all
};

/// All rules, in the order in which they explain: the first of several causes heads the finding.
pub static RULES: &[Rule] = &JOINED;

/// Name of the rule for sources that went silent; it has no signal.
pub const SOURCE_UNKNOWN: &str = "source-unknown";

/// Position of a rule.
#[cfg(test)]
pub(super) fn position(name: &str) -> Option<usize> {
    RULES.iter().position(|r| r.name == name)
}

impl Rule {
    /// What it is at this severity.
    pub const fn class_at(&self, health: Health) -> Class {
        match health {
            Health::Critical => self.critical_class,
            _ => self.class,
        }
    }

    /// How long it must hold at this severity, in seconds.
    pub const fn hold_at(&self, health: Health) -> u32 {
        match health {
            Health::Critical => self.critical_hold_s,
            _ => self.hold_s,
        }
    }

    /// Whether it judges this kind of subject.
    pub fn judges(&self, kind: SubjectKind) -> bool {
        self.subjects.contains(&kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::signals::{self, SIGNALS};
    use std::collections::BTreeSet;

    #[test]
    fn every_rule_names_signals_that_exist_for_its_subjects() {
        for rule in RULES {
            assert!(!rule.disproof.is_empty(), "{}", rule.name);
            for signal in rule.signals {
                let row = signals::find(signal).unwrap_or_else(|| panic!("{}: {signal}", rule.name));
                assert!(rule.subjects.iter().any(|s| row.subjects.contains(s)), "{}: {signal}", rule.name);
            }
            assert!(rule.explained_by.iter().all(|by| position(by).is_some()), "{}", rule.name);
        }
    }

    #[test]
    fn no_signal_belongs_to_two_rules_and_each_with_limits_to_one() {
        let mut seen = BTreeSet::new();
        assert!(RULES.iter().flat_map(|r| r.signals).all(|s| seen.insert(*s)));
        // The worse of web and workers, which have their rule.
        let folded = ["workload.available"];
        for signal in SIGNALS.iter().filter(|s| s.limits.is_some() && !folded.contains(&s.name)) {
            assert!(seen.contains(signal.name), "{} has limits and no rule", signal.name);
        }
    }

    #[test]
    fn explanations_do_not_run_in_circles() {
        fn ends(name: &str, depth: usize) -> bool {
            let rule = &RULES[position(name).unwrap()];
            depth < RULES.len() && rule.explained_by.iter().all(|by| ends(by, depth + 1))
        }
        assert!(RULES.iter().all(|r| ends(r.name, 0)));
    }
}
