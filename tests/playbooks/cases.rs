//! The trouble that each playbook is played in, and what the crew answers.

/// One play.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Playbook.
    pub playbook: &'static str,
    /// What is wrong from the beginning, as in a scenario.
    pub faults: &'static str,
    /// What happens later, as in a scenario.
    pub injects: &'static str,
    /// Seconds of the scenario after which it is started.
    pub after: f64,
    /// Parameters; EDGE stands for the ingress of t017.
    pub params: &'static [(&'static str, &'static str)],
    /// Choices at decisions; what is done by hand is answered with `done`.
    pub decisions: &'static [(&'static str, &'static str)],
    /// Values: step, name, value.
    pub values: &'static [(&'static str, &'static str, &'static str)],
    /// A step that is not answered before a moment of the scenario.
    pub patience: Option<(&'static str, f64)>,
    /// Steps that have to be done in the end, beside those that come anyway.
    pub done: &'static [&'static str],
}

/// Nothing is wrong and nothing is answered.
pub const NONE: Case = Case {
    playbook: "",
    faults: "",
    injects: "",
    after: 20.0,
    params: &[],
    decisions: &[],
    values: &[],
    patience: None,
    done: &[],
};

const T017: (&str, &str) = ("tenant", "t017");
const GITOPS: (&str, &str) = ("delivery", "gitops");
const APP: (&str, &str) = ("application", "t017");
const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const FAILOVER: &[(&str, &str)] = &[
    T017,
    ("cluster", "k8s-1"),
    ("namespace", "databases"),
    ("database", "pg-a"),
    ("old", "pg-a"),
    ("new", "pg-a-r"),
    ("pooler", "pg-a-pool"),
    ("host", "pg-a-r.db.example"),
];
const PRIMARY_LOST: Case = Case {
    playbook: "pg-failover",
    faults: "{fault: primary-down, instance: pg-a}",
    after: 60.0,
    params: FAILOVER,
    values: &[("check-orders", "complete_until", "02:00 UTC")],
    ..NONE
};

/// Every play, with its name.
pub const CASES: &[(&str, Case)] = &[
    (
        "release-rollback",
        Case {
            playbook: "release-rollback",
            faults: "{fault: deploy, tenant: t017, tag: r118}, {fault: broken-release, tenant: t017, share: 0.3}",
            after: 40.0,
            params: &[T017, GITOPS, APP],
            decisions: &[("migration", "none"), ("hold-stays", "reverted")],
            done: &["freeze", "auto-sync-off", "roll-back", "restart-workers", "unfreeze"],
            ..NONE
        },
    ),
    (
        "schema-lock",
        Case {
            playbook: "schema-lock",
            faults: "{fault: lock-chain, tenant: t017}",
            after: 40.0,
            params: &[T017],
            done: &["terminate-root", "flows"],
            ..NONE
        },
    ),
    (
        "mrp-degradation",
        Case {
            playbook: "mrp-degradation",
            faults: "{fault: planning, tenant: t017, work_s: 1500}",
            after: 60.0,
            params: &[T017, ("channel", "root.wms"), ("web_pods", "8"), ("web_pods_after", "6"), ("replica", "pg-a-r")],
            values: &[("baseline", "took_minutes", "31"), ("baseline", "usual_minutes", "12")],
            done: &["throttle", "first", "scale-reads", "work", "resume", "scale-back"],
            ..NONE
        },
    ),
    (
        "db-saturation",
        Case {
            playbook: "db-saturation",
            faults: "{fault: connection-storm, tenant: t017, connections: 80}",
            params: &[T017, ("pooler", "pg-a-pool"), ("sessions", "20"), ("usual", "4")],
            decisions: &[("keep", "keep")],
            done: &["fewer-jobs", "limit", "settled"],
            ..NONE
        },
    ),
    (
        "replication-lag",
        Case {
            playbook: "replication-lag",
            faults: "{fault: write-storm, tenant: t017, pace: 0.5}",
            after: 60.0,
            params: &[T017, ("patroni", "pg-a"), ("replica", "pg-a-r")],
            decisions: &[("kind", "writes"), ("enough", "no"), ("resume", "resume")],
            done: &["throttle", "rebuild", "caught-up", "resume-crons"],
            ..NONE
        },
    ),
    (
        "pg-failover-cnpg",
        Case { decisions: &[("manager", "cnpg")], done: &["fence", "promote", "one-primary"], ..PRIMARY_LOST },
    ),
    (
        "pg-failover-patroni",
        Case { decisions: &[("manager", "patroni")], done: &["patroni-failover", "one-primary"], ..PRIMARY_LOST },
    ),
    (
        "pg-failover-plain",
        Case {
            decisions: &[("manager", "nobody")],
            done: &["hold-clients", "promote-plain", "repoint", "let-go", "one-primary"],
            ..PRIMARY_LOST
        },
    ),
    (
        "pitr",
        Case {
            playbook: "pitr",
            faults: "{fault: spoiled-data, tenant: t017}",
            after: 60.0,
            params: &[
                T017,
                ("backup", "pg-a"),
                ("aside", "pitr-1"),
                ("host", "pitr-1.db.example"),
                ("pooler", "pg-a-pool"),
            ],
            values: &[
                ("choose", "moment", "2026-11-20T01:59:00Z"),
                ("choose", "found_by", "the log of the import"),
                ("start-copy", "rows_agree", "true"),
                ("start-copy", "files_missing", "0"),
                ("start-copy", "lost", "orders of two minutes"),
            ],
            done: &["keep-out", "restore", "cut-over", "let-in"],
            ..NONE
        },
    ),
    (
        "regional-dr",
        Case {
            playbook: "regional-dr",
            faults: "{fault: region-down, tenant: t017}",
            after: 60.0,
            params: &[
                T017,
                ("backup", "pg-a"),
                ("aside", "dr-1"),
                ("weights", "dr@file=100"),
                ("integration", "t017-wms"),
            ],
            decisions: &[("switched-off", "off")],
            values: &[
                ("integrity", "complete_until", "01:58 UTC"),
                ("integrity", "balanced", "true"),
                ("integrity", "minutes_lost", "2"),
            ],
            done: &["restore", "redirect", "reconnect", "served"],
            ..NONE
        },
    ),
    (
        "environment-rebuild",
        Case {
            playbook: "environment-rebuild",
            faults: "{fault: deploy, tenant: t017, tag: r118}, {fault: broken-release, tenant: t017, share: 0.4}, \
                     {fault: drift, tenant: t017, tag: r120}",
            after: 60.0,
            params: &[
                T017,
                GITOPS,
                APP,
                ("backup", "pg-a"),
                ("aside", "rebuild-1"),
                ("host", "rebuild-1.db.example"),
                ("pooler", "pg-a-pool"),
            ],
            decisions: &[("what-is-corrupt", "everything")],
            values: &[("checked", "sound", "true")],
            done: &["rebuild", "restore", "cut-over", "page-off", "served"],
            ..NONE
        },
    ),
    (
        "queue-backlog",
        Case {
            playbook: "queue-backlog",
            faults: "{fault: hung-workers, tenant: t003}",
            after: 200.0,
            params: &[("tenant", "t003")],
            done: &["restart-workers", "requeue-zombies", "drained"],
            ..NONE
        },
    ),
    (
        "redis-pressure",
        Case {
            playbook: "redis-pressure",
            faults: "{fault: redis-fills, redis: redis-s, bytes_per_s: 4000000}",
            injects: "{id: slower, at: T+105s, channel: telemetry, \
                      effects: [{fault: redis-fills, redis: redis-s, bytes_per_s: 100000}]}",
            after: 110.0,
            params: &[
                T017,
                ("redis", "redis-s"),
                ("purpose", "session"),
                ("bytes", "1gb"),
                ("pattern", "session:orphan:*"),
            ],
            decisions: &[("what-fills-it", "left-behind"), ("enough", "fail-over"), ("still-full", "flush")],
            done: &["room", "delete", "fail-over", "flush", "settled"],
            ..NONE
        },
    ),
    (
        "redis-pressure-restart",
        Case {
            playbook: "redis-pressure",
            faults: "{fault: redis-fills, redis: redis-s, bytes_per_s: 4000000}",
            injects: "{id: slower, at: T+105s, channel: telemetry, \
                      effects: [{fault: redis-fills, redis: redis-s, bytes_per_s: 1000}]}",
            after: 110.0,
            params: &[
                T017,
                ("redis", "redis-s"),
                ("purpose", "session"),
                ("bytes", "2gb"),
                ("pattern", "session:orphan:*"),
            ],
            decisions: &[("what-fills-it", "hangs"), ("restarted", "well")],
            done: &["room", "restart", "settled"],
            ..NONE
        },
    ),
    (
        "noisy-tenant",
        Case {
            playbook: "noisy-tenant",
            faults: "{fault: demand, tenant: t044, factor: 8}, \
                     {fault: connection-storm, tenant: t044, connections: 80}",
            after: 40.0,
            params: &[("tenant", "t044"), ("requests", "30"), ("sessions", "15"), ("cores", "8")],
            decisions: &[("which", "requests"), ("lift", "keep")],
            done: &["limit-requests", "limit-sessions", "quota", "others"],
            ..NONE
        },
    ),
    (
        "ingress-saturation",
        Case {
            playbook: "ingress-saturation",
            faults: "{fault: demand, tenant: t017, factor: 30}",
            after: 60.0,
            params: &[
                T017,
                ("cluster", "k8s-1"),
                ("deployment", "EDGE"),
                ("replicas", "6"),
                ("average", "30"),
                ("amount", "50"),
            ],
            decisions: &[("lift", "keep")],
            done: &["scale", "rate", "in-flight", "quick-again"],
            ..NONE
        },
    ),
    (
        "ingress-misroute",
        Case {
            playbook: "ingress-misroute",
            faults: "{fault: misroute, tenant: t017}",
            after: 40.0,
            params: &[T017, GITOPS],
            decisions: &[("leak", "no"), ("mended", "later")],
            done: &["own-route", "served"],
            ..NONE
        },
    ),
    (
        "certificate-renewal",
        Case {
            playbook: "certificate-renewal",
            faults: "{fault: certificate, tenant: t017, days: 3}",
            params: &[T017, ("certificate", "t017-tls")],
            done: &["renew", "outside-again"],
            ..NONE
        },
    ),
    (
        "maintenance-mode",
        Case { playbook: "maintenance-mode", params: &[T017], done: &["page-on", "page-off"], ..NONE },
    ),
    (
        "drift-reconcile",
        Case {
            playbook: "drift-reconcile",
            faults: "{fault: drift, tenant: t017, tag: r130}",
            params: &[T017, GITOPS, APP],
            decisions: &[("keep", "live")],
            values: &[("backport", "merge_request", "!42")],
            done: &["sync", "served"],
            ..NONE
        },
    ),
    (
        "volume-full",
        Case {
            playbook: "volume-full",
            faults: "{fault: volume-fills, instance: pg-a, bytes_per_s: 2500000000}, \
                     {fault: backups-fail, instance: pg-a, why: the repository does not answer}",
            injects: "{id: mended, at: T+130s, channel: telemetry, \
                      effects: [{fault: backups-fail, instance: pg-a, why: ''}, \
                                {fault: volume-fills, instance: pg-a, bytes_per_s: 0}]}",
            after: 110.0,
            params: &[T017, ("backup", "pg-a"), ("volume", "pg-a:/var/lib/postgresql")],
            decisions: &[("fills", "wal"), ("enough", "room")],
            patience: Some(("release", 140.0)),
            done: &["throttle", "release", "checkpoint", "prove-archive", "checkpoint-again", "settled", "resume"],
            ..NONE
        },
    ),
    (
        "node-disruption",
        Case {
            playbook: "node-disruption",
            faults: "{fault: node-down, node: node-2, down: true}",
            params: &[("cluster", "k8s-1"), ("node", "node-2"), ("machines", "workers"), ("nodes", "7")],
            decisions: &[("room", "add"), ("repaired", "well")],
            done: &["cordon", "add-node", "drain", "uncordon"],
            ..NONE
        },
    ),
    (
        "integration-isolation",
        Case {
            playbook: "integration-isolation",
            faults: "{fault: endpoint-down, tenant: t017, channel: root.wms, down: true}",
            injects: "{id: mended, at: T+3m, channel: telemetry, \
                      effects: [{fault: endpoint-down, tenant: t017, channel: root.wms, down: false}]}",
            after: 90.0,
            params: &[T017, ("integration", "t017-wms")],
            values: &[("reconcile", "confirmed", "70"), ("reconcile", "doubles", "0")],
            patience: Some(("well", 200.0)),
            done: &["open", "buffer", "close", "replay"],
            ..NONE
        },
    ),
    (
        "worker-regression",
        Case {
            playbook: "worker-regression",
            faults: "{fault: leak, tenant: t017, mb_per_s: 20}",
            after: 90.0,
            params: &[T017, GITOPS, APP, ("memory", "4Gi")],
            decisions: &[("slope", "climbs")],
            done: &["restart", "room", "auto-sync-off", "undo", "work"],
            ..NONE
        },
    ),
    (
        "backup-failure",
        Case {
            playbook: "backup-failure",
            faults: "{fault: backups-fail, instance: pg-a, why: the repository is full}",
            injects: "{id: mended, at: T+80s, channel: telemetry, \
                      effects: [{fault: backups-fail, instance: pg-a, why: ''}]}",
            params: &[T017, ("backup", "pg-a"), ("aside", "test-1")],
            values: &[("read-it", "newest_row", "02:03 UTC"), ("read-it", "minutes", "12")],
            patience: Some(("mend", 90.0)),
            done: &["prove-archive", "take", "restore-test"],
            ..NONE
        },
    ),
    (
        "access-outage",
        Case {
            playbook: "access-outage",
            faults: "{fault: access, tenant: t017, cause: network}",
            after: 40.0,
            params: &[T017, ("weights", "dr@file=100")],
            decisions: &[("which", "network")],
            done: &["reroute", "login"],
            ..NONE
        },
    ),
    (
        "security-anomaly",
        Case {
            playbook: "security-anomaly",
            faults: "{fault: stolen-key, tenant: t017}",
            params: &[T017],
            decisions: &[("cut-egress", "cut"), ("was-cut", "open")],
            values: &[
                ("logs", "where", "write-once/inc/logs.tar.zst"),
                ("logs", "sha256", DIGEST),
                ("review", "reviewed_by", "the tenant's security officer"),
                ("review", "removed", "2"),
            ],
            done: &["isolate", "revoke", "lock-exports", "open", "unlock"],
            ..NONE
        },
    ),
    (
        "peak-prescale",
        Case {
            playbook: "peak-prescale",
            params: &[
                T017,
                ("hpa", "odoo"),
                ("least", "9"),
                ("most", "12"),
                ("after", "6"),
                ("after_most", "6"),
                ("machines", "workers"),
                ("nodes", "8"),
                ("nodes_after", "6"),
            ],
            done: &["add-nodes", "raise-floor", "lower-floor", "remove-nodes"],
            ..NONE
        },
    ),
    (
        "autoscale-guard",
        Case {
            playbook: "autoscale-guard",
            faults: "{fault: runaway, tenant: t017, pods: 30}",
            params: &[T017, ("hpa", "odoo"), ("most", "8")],
            done: &["cap", "served"],
            ..NONE
        },
    ),
    (
        "release-readiness",
        Case {
            playbook: "release-readiness",
            params: &[T017, ("backup", "pg-a"), ("mark", "before-r205")],
            values: &[
                ("restore-evidence", "proven_on", "2026-11-12"),
                ("restore-evidence", "minutes", "14"),
                ("criteria", "share_5xx_percent", "5"),
                ("criteria", "minutes", "3"),
                ("criteria", "who", "the commander"),
            ],
            done: &["backup", "mark", "archive", "gate"],
            ..NONE
        },
    ),
    (
        "business-continuity",
        Case {
            playbook: "business-continuity",
            faults: "{fault: broken-release, tenant: t017, share: 0.5}",
            injects: "{id: mended, at: T+90s, channel: telemetry, \
                      effects: [{fault: broken-release, tenant: t017, share: 0}]}",
            after: 40.0,
            params: &[T017],
            decisions: &[("priorities", "date")],
            values: &[
                ("last-known", "last_good", "02:00 UTC"),
                ("last-known", "owner", "the shift lead"),
                ("reconcile", "sheets", "31"),
                ("reconcile", "documents", "31"),
            ],
            done: &["declare", "back", "accepted"],
            ..NONE
        },
    ),
];

/// The play of that name.
pub fn case(name: &str) -> &'static Case {
    &CASES.iter().find(|(of, _)| *of == name).unwrap_or_else(|| panic!("no case {name}")).1
}
