//! A night on the estate `acme-prod`: a lock chain on t017 after a deploy, a queue that lags on t003, a tenant
//! that does not answer, an incident, and a run that waits at a high step.

use jiff::{SignedDuration, Timestamp, civil};
use quarterdeck::console::state::{Facts, ProofView, RecordView, State};
use quarterdeck::console::theme::BUILT_IN;
use quarterdeck::console::{msg::Msg, update};
use quarterdeck::domain::estate::{
    Ahead, Cutoff, DatabaseRef, Environment, Estate, NamespaceRef, OccasionKind, Plant, RouterRef, Tenancy, Tenant,
};
use quarterdeck::domain::finding::{Change, Class, Evidence, Finding, Level, NextCutoff, Offer, Whom};
use quarterdeck::domain::health::Health;
use quarterdeck::domain::id::{Digest, SourceId, TenantId};
use quarterdeck::domain::incident::{Incident, IncidentState, Role, Severity, TimelineEntry};
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::pane::*;
use quarterdeck::domain::request::{Operation, Request, Target};
use quarterdeck::domain::risk::{Assessment, Confirmation, Risk};
use quarterdeck::domain::sample::SourceKind;
use quarterdeck::domain::signal::{Subject, Unit};
use quarterdeck::engine::api::*;
use std::collections::BTreeMap;
use std::sync::Arc;

pub const VERSION: &str = "0.1.0";

pub fn now() -> Timestamp {
    "2026-11-21T02:14:07Z".parse().unwrap()
}

pub fn at(clock: &str) -> Timestamp {
    format!("2026-11-21T{clock}Z").parse().unwrap()
}

const NAMES: [(&str, &str); 28] = [
    ("t001", "Aldous Ltd"),
    ("t002", "Bright Tools"),
    ("t003", "Nordholz AG"),
    ("t004", "Castella Foods"),
    ("t005", "Łódź Press"),
    ("t006", "Delta Pumps"),
    ("t008", "Egret Textiles"),
    ("t009", "Fjord Marine"),
    ("t011", "Gallo Wine"),
    ("t012", "Hartmann Optik"),
    ("t014", "Iris Pharma"),
    ("t015", "Jade Ceramics"),
    ("t017", "Brandt GmbH"),
    ("t019", "Kestrel Bikes"),
    ("t021", "Lumen Glass"),
    ("t023", "Maru Motors"),
    ("t026", "Nimbus Print"),
    ("t030", "Orchard & Sons"),
    ("t033", "Pavo Leather"),
    ("t036", "Quarz Electronics"),
    ("t040", "Rhea Plastics"),
    ("t044", "Ferro SpA"),
    ("t048", "Salzburg Tools"),
    ("t051", "Atelier Roux"),
    ("t060", "東京精密"),
    ("t071", "Umbra Lighting"),
    ("t082", "Valor Steel"),
    ("t090", "Vega Foods"),
];

fn estate() -> Estate {
    let tenants = NAMES
        .iter()
        .map(|(id, name)| Tenant {
            id: TenantId::from(*id),
            name: (*name).into(),
            tenancy: if *id == "t017" { Tenancy::Dedicated } else { Tenancy::MultiTenant },
            criticality: if *id == "t017" { 1 } else { 3 },
            plants: plants(id).into_iter().map(|name| Plant { name, time_zone: "Europe/Berlin".into() }).collect(),
            cutoffs: if *id == "t017" {
                vec![Cutoff {
                    what: "receiving starts".into(),
                    at: civil::time(5, 27, 0, 0),
                    time_zone: "Europe/Berlin".into(),
                }]
            } else {
                Vec::new()
            },
            database: Some(DatabaseRef { instance: "pg-a".into(), name: (*id).into() }),
            namespace: Some(NamespaceRef {
                cluster: "k8s-1".into(),
                name: (*id).into(),
                web: "odoo".into(),
                workers: "odoo-worker".into(),
            }),
            router: (*id != "t048").then(|| RouterRef {
                ingress: "edge-1".into(),
                name: format!("{id}@file"),
                host: format!("{id}.example.com"),
            }),
        })
        .collect();
    Estate {
        name: "acme-prod".into(),
        environment: Environment::Production,
        time_zone: "Europe/Berlin".into(),
        tenants,
    }
}

fn plants(id: &str) -> Vec<String> {
    match id {
        "t017" => vec!["Halle".into(), "Graz".into(), "Brno".into()],
        "t003" => vec!["Kiel".into()],
        "t044" => vec!["Torino".into(), "Bari".into()],
        _ => Vec::new(),
    }
}

fn tenant_rows(estate: &Estate) -> Vec<TenantRow> {
    let mut rows: Vec<TenantRow> = estate
        .tenants
        .iter()
        .enumerate()
        .map(|(i, t)| {
            let i = u32::try_from(i).unwrap();
            let mut row = TenantRow {
                id: t.id.clone(),
                name: t.name.as_str().into(),
                tenancy: t.tenancy,
                criticality: t.criticality,
                plants: t.plants.iter().map(|p| p.name.clone()).collect(),
                health: Health::Ok,
                why: String::new(),
                p95_s: t.router.as_ref().map(|_| 0.2 + f64::from(i % 5) / 10.0),
                share_5xx: t.router.as_ref().map(|_| 0.0),
                web: Some((2, 2)),
                workers: Some((1, 1)),
                restarts_5m: Some(0),
                image: Some("odoo:19.0-r117".into()),
                digest: None,
                image_age_s: Some(86_400.0 * f64::from(3 + i)),
                queue_depth: Some(i % 7),
                queue_oldest_s: Some(f64::from(i % 7) * 2.5),
                cron_lateness_s: Some(12.0),
                blocked: Some(0),
                certificate_days: t.router.as_ref().map(|_| f64::from(40 + i)),
                owner: None,
                burn: None,
                quota: None,
                hurt_since: None,
                rto_s: None,
                rpo_s: None,
                rpo_now_s: None,
                trend: Vec::new(),
                age_s: Some(2.0),
            };
            match t.id.as_str() {
                "t017" => {
                    row.health = Health::Critical;
                    row.why = "41 blocked, oldest 62 s".into();
                    row.p95_s = Some(8.4);
                    row.trend = trend(Health::Critical);
                    (row.rto_s, row.hurt_since) = (Some(1800), Some(now()));
                    row.share_5xx = Some(0.12);
                    row.blocked = Some(41);
                    row.queue_depth = Some(958);
                    row.queue_oldest_s = Some(303.0);
                    row.image = Some("odoo:19.0-r118".into());
                    row.image_age_s = Some(780.0);
                }
                "t044" => {
                    row.health = Health::Critical;
                    row.why = "p95 4.1 s, 5xx 3%".into();
                    row.p95_s = Some(4.1);
                    row.share_5xx = Some(0.03);
                    row.web = Some((1, 2));
                    row.restarts_5m = Some(4);
                }
                "t003" => {
                    row.health = Health::Warn;
                    row.why = "queue 7 min, cron 12 min late".into();
                    row.queue_depth = Some(312);
                    row.queue_oldest_s = Some(432.0);
                    row.cron_lateness_s = Some(720.0);
                }
                "t051" => {
                    row.health = Health::Warn;
                    row.why = "certificate 19 d".into();
                    row.certificate_days = Some(19.0);
                }
                "t090" => {
                    row.health = Health::Unknown;
                    row.why = "no answer from odoo/t090".into();
                    row.queue_depth = None;
                    row.queue_oldest_s = None;
                    row.cron_lateness_s = None;
                    row.blocked = None;
                    row.p95_s = None;
                    row.share_5xx = None;
                    row.age_s = Some(161.0);
                }
                _ => {}
            }
            row
        })
        .collect();
    let rank = |h: Health| match h {
        Health::Critical => 0,
        Health::Unknown => 1,
        Health::Warn => 2,
        Health::Ok => 3,
    };
    rows.sort_by_key(|r| rank(r.health));
    rows
}

fn lock(depth: u16, pid: i32, age: f64, behind: u32, state: &str, query: &str) -> LockNode {
    LockNode {
        depth,
        pid,
        backend_start: at("02:01:38"),
        database: "t017".into(),
        user: "odoo".into(),
        application: if depth == 0 { "odoo-migrate" } else { "odoo-worker" }.into(),
        age_s: Some(age),
        waiting_behind: behind,
        state: state.into(),
        query: query.into(),
    }
}

fn locks() -> Vec<LockNode> {
    vec![
        lock(0, 4711, 749.0, 41, "idle in transaction", "ALTER TABLE sale_order ADD COLUMN x_margin_class varchar(16)"),
        lock(1, 4720, 62.0, 38, "active", "UPDATE sale_order SET state='sale' WHERE id = 81231"),
        lock(2, 4733, 58.0, 12, "active", "SELECT id FROM sale_order WHERE id IN (81231) FOR UPDATE NOWAIT"),
        lock(3, 4751, 41.0, 0, "active", "SELECT id, name FROM sale_order ORDER BY date_order DESC LIMIT 80"),
        lock(2, 4734, 55.0, 0, "active", "UPDATE sale_order SET write_date = now() WHERE id = 81232"),
        lock(1, 4722, 60.0, 2, "active", "INSERT INTO sale_order_line (order_id, product_id) VALUES (81231, 77)"),
        lock(2, 4740, 31.0, 0, "active", "DELETE FROM sale_order_line WHERE order_id = 81231"),
    ]
}

/// A rise, where things are not well.
fn trend(health: Health) -> Vec<f32> {
    if health == Health::Ok { Vec::new() } else { (4..28_u8).map(f32::from).collect() }
}

fn database(id: &str, role: &str, health: Health, why: &str) -> DatabaseRow {
    let primary = role == "primary";
    let pool = role == "pgbouncer";
    let db = !pool;
    DatabaseRow {
        id: id.into(),
        role: role.into(),
        health,
        why: why.into(),
        version: Some(if pool { "1.24" } else { "18.1" }.into()),
        timeline: db.then_some(9),
        lag_s: db.then_some(0.4),
        lag_bytes: primary.then_some(16_384),
        standbys: primary.then_some(1),
        blocked: db.then_some(0),
        oldest_blocked_s: None,
        connections: Some(62),
        max_connections: db.then_some(200),
        longest_transaction_s: db.then_some(3.2),
        longest_idle_s: db.then_some(0.0),
        clients_waiting: pool.then_some(0),
        max_wait_s: pool.then_some(0.0),
        cache_hit: db.then_some(0.994),
        locks: Vec::new(),
        owner: Some("dba".into()),
        trend: trend(health),
        age_s: Some(2.0),
    }
}

fn databases() -> Vec<DatabaseRow> {
    let mut a = database("pg-a", "primary", Health::Critical, "41 blocked, oldest 62 s");
    a.blocked = Some(41);
    a.oldest_blocked_s = Some(62.0);
    a.connections = Some(196);
    a.longest_transaction_s = Some(749.0);
    a.longest_idle_s = Some(749.0);
    a.locks = locks();
    let replica = database("pg-a-r", "replica", Health::Ok, "");
    let mut b = database("pg-b", "primary", Health::Ok, "");
    b.standbys = Some(0);
    b.lag_s = None;
    b.lag_bytes = None;
    vec![a, replica, b, database("bouncer-a", "pgbouncer", Health::Ok, "")]
}

fn channel(tenant: &str, channel: &str, health: Health, depth: Option<u32>, oldest: Option<f64>) -> QueueRow {
    QueueRow::Channel(ChannelRow {
        source: SourceId::new(format!("odoo/{tenant}")),
        tenant: tenant.into(),
        channel: channel.into(),
        health,
        why: if health == Health::Warn { format!("oldest due job {} s", oldest.unwrap_or(0.0)) } else { String::new() },
        depth,
        started: depth.map(|d| d.min(4)),
        failed: depth.map(|_| 1),
        zombies: depth.map(|d| u32::from(d > 300)),
        done_per_min: depth.map(|_| 48.0),
        oldest_s: oldest,
        cron_lateness_s: depth.map(|_| 12.0),
        owner: Some("dba".into()),
        trend: trend(health),
        age_s: Some(3.0),
    })
}

fn redis(id: &str, purpose: &str, used: u64, max: Option<u64>) -> QueueRow {
    QueueRow::Redis(RedisRow {
        id: id.into(),
        purpose: purpose.into(),
        role: "primary".into(),
        health: Health::Ok,
        why: String::new(),
        used_bytes: Some(used),
        max_bytes: max,
        evicted_per_s: Some(0.0),
        clients: Some(112),
        blocked_clients: Some(3),
        replicas: Some(1),
        link_up: None,
        ops_per_s: Some(1840.0),
        owner: Some("dba".into()),
        trend: Vec::new(),
        age_s: Some(1.0),
    })
}

fn queues() -> Vec<QueueRow> {
    let mut silent = channel("t090", "", Health::Unknown, None, None);
    if let QueueRow::Channel(row) = &mut silent {
        row.why = "connection refused".into();
        row.age_s = Some(161.0);
    }
    vec![
        silent,
        channel("t003", "root.wms", Health::Warn, Some(312), Some(432.0)),
        channel("t017", "root", Health::Warn, Some(958), Some(303.0)),
        channel("t001", "root", Health::Ok, Some(3), Some(1.5)),
        channel("t044", "root.edi", Health::Ok, Some(0), None),
        redis("redis-q", "queue", 655_000_000, Some(1_073_741_824)),
        redis("redis-s", "session", 210_000_000, None),
    ]
}

fn ingress_row(scope: &str, name: &str, health: Health, why: &str) -> IngressRow {
    IngressRow {
        source: "edge-1".into(),
        scope: scope.into(),
        name: name.into(),
        tenant: name.split_once('@').map(|(t, _)| t.into()),
        claims: None,
        health,
        why: why.into(),
        requests_per_s: Some(41.5),
        share_5xx: Some(0.002),
        share_4xx: Some(0.01),
        p50_s: Some(0.12),
        p95_s: Some(0.41),
        p99_s: Some(0.62),
        certificate_days: (scope == "ingress").then_some(63.0),
        reload_ok: (scope == "ingress").then_some(true),
        reload_age_s: (scope == "ingress").then_some(3_240.0),
        maintenance: false,
        behind: Vec::new(),
        owner: Some("dba".into()),
        trend: trend(health),
        age_s: Some(2.0),
    }
}

fn ingress() -> Vec<IngressRow> {
    let mut bad = ingress_row("router", "t017@file", Health::Critical, "5xx 12%, p99 9.1 s");
    bad.share_5xx = Some(0.12);
    bad.p95_s = Some(8.4);
    bad.p99_s = Some(9.1);
    let mut page = ingress_row("router", "t030@file", Health::Ok, "");
    page.maintenance = true;
    vec![
        bad,
        ingress_row("router", "t044@file", Health::Warn, "p95 4.1 s"),
        ingress_row("router", "t001@file", Health::Ok, ""),
        page,
        ingress_row("entrypoint", "websecure", Health::Ok, ""),
        ingress_row("ingress", "edge-1", Health::Ok, ""),
    ]
}

fn source(id: &str, kind: SourceKind, took: f64) -> SourceRow {
    SourceRow {
        id: id.into(),
        kind,
        health: Health::Ok,
        address: format!("{}.internal:443", id.replace('/', "-")).into(),
        observed_at: Some(at("02:14:05")),
        age_s: Some(2.0),
        took_ms: Some(took),
        unknown_since: None,
        why: None,
        missing: Vec::new(),
        said: Vec::new(),
        watched_by: None,
    }
}

fn sources() -> Vec<SourceRow> {
    let mut silent = source("odoo/t090", SourceKind::Odoo, 12.0);
    silent.health = Health::Unknown;
    silent.observed_at = Some(at("02:11:26"));
    silent.age_s = Some(161.0);
    silent.unknown_since = Some(at("02:13:26"));
    silent.why = Some("connection refused by 10.4.0.90:5432 (is the server running on that host and port?)".into());
    let mut poor = source("pg-b", SourceKind::Postgres, 9.0);
    poor.health = Health::Warn;
    poor.missing = vec![quarterdeck::domain::facts::Missing {
        disables: "queries of other users".into(),
        remedy: "GRANT pg_monitor TO quarterdeck_observe".into(),
    }];
    vec![
        source("k8s-1", SourceKind::Kubernetes, 41.0),
        source("pg-a", SourceKind::Postgres, 18.0),
        source("pg-a-r", SourceKind::Postgres, 7.0),
        poor,
        source("bouncer-a", SourceKind::Pgbouncer, 2.0),
        source("redis-q", SourceKind::Redis, 1.0),
        source("redis-s", SourceKind::Redis, 1.0),
        source("edge-1", SourceKind::Traefik, 22.0),
        source("odoo/t003", SourceKind::Odoo, 14.0),
        source("odoo/t017", SourceKind::Odoo, 96.0),
        silent,
    ]
}

fn series(from: f64, to: f64) -> Vec<f64> {
    (0..60).map(|i| if i < 34 { from } else { from + (to - from) * f64::from(i - 34) / 25.0 }).collect()
}

fn findings() -> Vec<Finding> {
    let tenant = |id: &str| Subject::Tenant { tenant: id.into() };
    let deploy = Change { at: at("02:01:07"), what: "deploy r118".into(), subject: tenant("t017"), by: "k8s-1".into() };
    let params = |id: &str| BTreeMap::from([("tenant".to_owned(), id.to_owned())]);
    vec![
        Finding {
            id: "lock-chain/t017".into(),
            rule: "lock-chain".into(),
            classes: vec![Class::Cause, Class::Impact],
            level: Level::Incident,
            severity: Health::Critical,
            since: at("02:01:40"),
            onset_seen: true,
            subject: tenant("t017"),
            what: "41 sessions of t017 wait behind pid 4711".into(),
            whom: Whom {
                tenants: vec!["t017".into()],
                criticality: Some(1),
                plants: plants("t017"),
                next_cutoff: Some(NextCutoff {
                    what: "receiving starts".into(),
                    at: at("04:27:00"),
                    tenant: "t017".into(),
                }),
            },
            evidence: vec![
                Evidence {
                    signal: "lock.blocked".into(),
                    subject: tenant("t017"),
                    unit: Unit::Count,
                    now: 41.0,
                    threshold: 5.0,
                    usual: None,
                    series: series(0.0, 41.0),
                },
                Evidence {
                    signal: "ingress.share_5xx".into(),
                    subject: tenant("t017"),
                    unit: Unit::Ratio,
                    now: 0.12,
                    threshold: 0.05,
                    usual: None,
                    series: series(0.002, 0.12),
                },
            ],
            changed: vec![deploy],
            playbooks: vec![
                Offer {
                    id: "schema-lock".into(),
                    why: "a schema change holds a lock that others wait for".into(),
                    params: params("t017"),
                },
                Offer {
                    id: "maintenance-mode".into(),
                    why: "people see errors meanwhile".into(),
                    params: params("t017"),
                },
            ],
            because: vec!["lock-chain (built-in): lock.blocked 41, critical from 20".into()],
            disproof: "Fewer than five sessions wait, or the oldest waits less than ten seconds.".into(),
            good_intervals: 0,
            acknowledged: None,
        },
        Finding {
            id: "queue-age/t003".into(),
            rule: "queue-age".into(),
            classes: vec![Class::Cause],
            level: Level::Alert,
            severity: Health::Warn,
            since: at("02:07:10"),
            onset_seen: true,
            subject: Subject::Channel { tenant: "t003".into(), channel: "root.wms".into() },
            what: "oldest due job of t003 root.wms waits 7 min".into(),
            whom: Whom {
                tenants: vec!["t003".into()],
                criticality: Some(2),
                plants: plants("t003"),
                next_cutoff: None,
            },
            evidence: vec![Evidence {
                signal: "queue.oldest".into(),
                subject: Subject::Channel { tenant: "t003".into(), channel: "root.wms".into() },
                unit: Unit::Seconds,
                now: 432.0,
                threshold: 300.0,
                usual: None,
                series: series(4.0, 432.0),
            }],
            changed: Vec::new(),
            playbooks: vec![Offer {
                id: "queue-backlog".into(),
                why: "workers do not keep up".into(),
                params: params("t003"),
            }],
            because: vec!["lock-chain (built-in): lock.blocked 41, critical from 20".into()],
            disproof: "The oldest due job is younger than 5 min.".into(),
            good_intervals: 1,
            acknowledged: Some(quarterdeck::domain::finding::Acknowledged { by: "jon".into(), at: at("02:09:00") }),
        },
        Finding {
            id: "node-memory/node-7".into(),
            rule: "node-memory".into(),
            classes: vec![Class::Pressure],
            level: Level::Note,
            severity: Health::Warn,
            since: at("01:40:00"),
            onset_seen: false,
            subject: Subject::Node { source: "k8s-1".into(), node: "node-7".into() },
            what: "node-7 memory 91%".into(),
            whom: Whom::default(),
            evidence: Vec::new(),
            changed: Vec::new(),
            playbooks: Vec::new(),
            because: vec!["lock-chain (built-in): lock.blocked 41, critical from 20".into()],
            disproof: "Memory below 90%.".into(),
            good_intervals: 0,
            acknowledged: None,
        },
    ]
}

fn changes() -> Vec<Change> {
    let change = |clock: &str, subject: Subject, what: &str, by: &str| Change {
        at: at(clock),
        what: what.into(),
        subject,
        by: by.into(),
    };
    vec![
        change("02:01:07", Subject::Tenant { tenant: "t017".into() }, "deploy r118", "k8s-1"),
        change("01:58:20", Subject::Tenant { tenant: "t017".into() }, "migration sale_x, 3 columns", "odoo/t017"),
        change("01:20:02", Subject::Ingress { source: "edge-1".into() }, "config reload ok", "edge-1"),
        change("00:41:55", Subject::Tenant { tenant: "t044".into() }, "workers 2 to 1", "k8s-1"),
    ]
}

pub fn entry(seq: u64, clock: &str, kind: &str, who: &str, text: &str) -> TimelineEntry {
    TimelineEntry {
        seq,
        at: at(clock),
        kind: kind.into(),
        who: who.into(),
        text: text.into(),
        incident: (seq > 1200).then(|| "INC-42".into()),
    }
}

fn timeline() -> Vec<TimelineEntry> {
    vec![
        entry(1201, "01:59:35", "incident.declared", "mara", "INC-42 SEV1: sales orders of t017 hang"),
        entry(1202, "01:59:36", "incident.role", "mara", "mara is commander"),
        entry(1204, "02:03:11", "incident.role", "mara", "jon is dba"),
        entry(1206, "02:11:58", "run.started", "mara", "RUN-9 schema-lock v3 tenant=t017"),
        entry(1208, "02:12:10", "step.verified", "quarterdeck", "show blocking tree: 41 wait behind pid 4711"),
        entry(1210, "02:12:31", "step.intent", "mara", "cancel root blocker, digest 91bc…0e"),
        entry(1212, "02:13:01", "step.failed", "quarterdeck", "no effect after 30 s, verified"),
        entry(1214, "02:13:20", "note", "mara", "called the plant in Halle: receiving is told to wait"),
    ]
}

fn digest(seed: u8) -> Digest {
    Digest::from_bytes(&std::array::from_fn(|i| seed.wrapping_mul(31).wrapping_add(u8::try_from(i).unwrap() * 7)))
}

fn check(text: &str, holds: Option<bool>, detail: &str) -> CheckView {
    CheckView { text: text.into(), holds, detail: detail.into() }
}

pub fn request(pid: i32) -> Request {
    Request {
        verb: "postgres.terminate_backend".into(),
        target: Target {
            source: "pg-a".into(),
            identity: "system 7412390114, timeline 9".into(),
            environment: Environment::Production,
            object: format!("backend {pid} of database t017, started 02:01:38.117Z"),
            tenants: vec!["t017".into()],
            count: 1,
        },
        operation: Operation::Sql {
            database: "t017".into(),
            statement: "SELECT pg_terminate_backend($1)\nFROM pg_stat_activity\nWHERE pid = $1 AND backend_start = $2"
                .into(),
            parameters: vec![pid.to_string(), "2026-11-21 02:01:38.117+00".into()],
        },
        server_checks: vec!["only if backend_start is 02:01:38.117".into()],
        hurts: "one session, user odoo, \"ALTER TABLE sale_order ADD …\", open for 13 min".into(),
        undo: "none (not reversible); the transaction rolls back, about 40 s".into(),
        by_hand: format!("psql -h pg-a -d t017 -c 'SELECT pg_terminate_backend({pid})'"),
    }
}

fn step(id: &str, name: &str, state: StepState, risk: Risk) -> StepView {
    StepView {
        id: id.into(),
        name: name.into(),
        why: "Sessions wait behind one that holds the lock.".into(),
        state,
        risk,
        assessment: None,
        request: None,
        digest: None,
        checks: Vec::new(),
        verify: Vec::new(),
        outcome: None,
        output: Vec::new(),
        choices: Vec::new(),
        kind: "action".into(),
        shown_digest: None,
        targets: Vec::new(),
        dry_run: None,
        by_itself_at: None,
        asks: Vec::new(),
        comms: None,
        started_at: None,
        ended_at: None,
    }
}

pub fn run() -> RunView {
    let mut tree = step("tree", "show blocking tree", StepState::Done, Risk::Low);
    tree.outcome = Some("41 waiting behind pid 4711".into());
    tree.ended_at = Some(at("02:12:10"));
    tree.output = vec!["4711 idle in transaction 13 min".into(), "  4720 active 62 s".into()];
    let mut cancel = step("cancel", "cancel root blocker", StepState::Done, Risk::Medium);
    cancel.outcome = Some("no effect after 30 s (verified)".into());
    cancel.ended_at = Some(at("02:13:01"));
    let mut terminate = step("terminate", "terminate root blocker", StepState::AwaitsConfirmation, Risk::High);
    terminate.assessment = Some(Assessment {
        risk: Risk::High,
        reasons: vec![
            "floor of postgres.terminate_backend is high".into(),
            "production".into(),
            "month-end window".into(),
            "3 plants in the blast radius".into(),
        ],
        confirmation: Some(Confirmation::Typed { phrase: "t017".into() }),
        login: false,
        approvals: 1,
        terms: None,
        needs_incident: true,
        denials: Vec::new(),
    });
    terminate.request = Some(request(4711));
    terminate.digest = Some(digest(7));
    terminate.checks = vec![
        check("4711 still the root, 41 waiting", Some(true), "2 s old"),
        check("replica lag below 30 s", Some(true), "0.4 s"),
        check("incident declared", Some(true), ""),
        check("not the only writer", Some(true), ""),
        check("backup of t017 younger than 1 h", None, "no source says"),
    ];
    terminate.verify = vec![
        check("no chain on t017 within 60 s, held 30 s", None, ""),
        check("sales-order synthetic passes twice", None, ""),
    ];
    let hold = step("hold", "hold deliveries of t017", StepState::Pending, Risk::Medium);
    let mut back = step("rollback", "roll release back to r117", StepState::Pending, Risk::High);
    back.why = "Only if 5xx stays above 2% for 3 min.".into();
    RunView {
        id: "RUN-9".into(),
        playbook: "schema-lock".into(),
        name: "Schema lock".into(),
        version: 3,
        params: BTreeMap::from([("tenant".into(), "t017".into())]),
        incident: Some("INC-42".into()),
        state: RunState::Waiting,
        stands: false,
        started_at: at("02:11:58"),
        ended_at: None,
        generation: 12,
        current: 2,
        steps: vec![tree, cancel, terminate, hold, back],
        now: "waits for the commander to confirm".into(),
        secrets_missing: Vec::new(),
        led_by: None,
    }
}

fn old_run() -> RunView {
    let mut run = run();
    run.id = "RUN-8".into();
    run.playbook = "queue-backlog".into();
    run.name = "Queue backlog".into();
    run.params = BTreeMap::from([("tenant".into(), "t011".into())]);
    run.state = RunState::Finished;
    run.started_at = at("00:31:00");
    run.ended_at = Some(at("00:38:00"));
    run.current = 4;
    run.now = "all steps done and verified".into();
    run
}

fn playbooks() -> Vec<PlaybookSummary> {
    let parameter = |name: &str, description: &str| ParameterView {
        name: name.into(),
        description: description.into(),
        required: true,
        default: None,
        allowed: Vec::new(),
        secret: false,
    };
    let steps = |all: &[(&str, &str, Risk)]| {
        all.iter().map(|(id, name, risk)| StepSummary { id: (*id).into(), name: (*name).into(), risk: *risk }).collect()
    };
    let mut book = PlaybookSummary {
        id: "schema-lock".into(),
        name: "Schema lock".into(),
        version: 3,
        description: "A schema change or a forgotten transaction holds a lock that others wait for.".into(),
        risk: Risk::High,
        parameters: vec![parameter("tenant", "tenant whose database is locked")],
        steps: steps(&[
            ("tree", "show blocking tree", Risk::Low),
            ("cancel", "cancel root blocker", Risk::Medium),
            ("terminate", "terminate root blocker", Risk::High),
        ]),
        origin: "built-in".into(),
    };
    let mut all = vec![book.clone()];
    book.id = "queue-backlog".into();
    book.name = "Queue backlog".into();
    book.description = "Jobs of a tenant wait too long: restart its workers, requeue what nobody works on.".into();
    book.risk = Risk::Medium;
    book.parameters = vec![
        parameter("tenant", "tenant whose jobs wait"),
        ParameterView {
            name: "channel".into(),
            description: "job channel".into(),
            required: false,
            default: Some("root".into()),
            allowed: vec!["root".into(), "root.wms".into(), "root.edi".into()],
            secret: false,
        },
    ];
    book.steps = steps(&[
        ("inspect", "inspect the channel", Risk::Low),
        ("restart", "restart the workers", Risk::Low),
        ("requeue", "requeue zombie jobs", Risk::Medium),
    ]);
    all.push(book.clone());
    book.id = "maintenance-mode".into();
    book.name = "Maintenance mode".into();
    book.description = "A page instead of errors for a tenant's users, and its removal.".into();
    book.parameters = vec![parameter("tenant", "tenant whose users see the page")];
    book.steps = steps(&[("on", "put the page in front", Risk::Medium), ("off", "take it away", Risk::Medium)]);
    all.push(book);
    all
}

/// The night in full.
fn consoles() -> Vec<ConsoleView> {
    let view = |id, user: &str, proof, uid, tty: &str| ConsoleView {
        id,
        user: user.into(),
        proof,
        uid,
        via: "socket".into(),
        console: Some(tty.into()),
        from: Some("203.0.113.7".into()),
        read_only: false,
        since: at("01:58:00"),
        silent_since: None,
    };
    let key = |k: &str| Proof::Key(format!("SHA256:{k}"));
    vec![
        view(1, "mara", key("uNiVztksCsDhcc0u9e8BrqpHNZIqWDL3pC2Vdm1iXlU"), 1001, "/dev/pts/3"),
        view(2, "jon", Proof::Login, 1002, "/dev/pts/4"),
        ConsoleView { silent_since: Some(at("02:13:31")), ..view(4, "ines", Proof::Claimed, 990, "/dev/pts/9") },
        ConsoleView { read_only: true, ..view(7, "tess", Proof::Claimed, 990, "/dev/pts/11") },
    ]
}

type Signals<'a> = &'a [(&'a str, f64, Unit, Health, Option<(f64, f64)>)];
const RECOVERY: Signals<'_> = &[
    ("backup.age", 259_200.0, Unit::Seconds, Health::Critical, Some((93_600.0, 187_200.0))),
    ("backup.restore_test_age", 12.0, Unit::Days, Health::Ok, Some((30.0, 60.0))),
];
const DELIVERY: Signals<'_> = &[("delivery.synced", 1.0, Unit::Flag, Health::Ok, Some((0.5, 0.5)))];
const BUSINESS: Signals<'_> = &[
    ("integration.failed_share", 0.04, Unit::Ratio, Health::Warn, Some((0.02, 0.1))),
    ("integration.backlog", 71.0, Unit::Count, Health::Ok, None),
];

fn subject(kind: &str, name: &str, health: Health, why: &str, signals: Signals<'_>) -> SubjectRow {
    let signals = signals.iter().map(|(signal, value, unit, health, limits)| SignalValue {
        signal: (*signal).into(),
        value: Some(*value),
        unit: *unit,
        health: *health,
        source: if kind == "node" || kind == "cluster" { "k8s-1" } else { "objects-1" }.into(),
        warn: limits.map(|l| l.0),
        critical: limits.map(|l| l.1),
    });
    SubjectRow {
        subject: Subject::Node { source: "k8s-1".into(), node: name.into() },
        kind: kind.into(),
        name: name.into(),
        tenant: (kind == "integration").then(|| "t003".into()),
        owner: (kind == "backup").then(|| "dba".into()),
        health,
        why: why.into(),
        signals: signals.collect(),
        more: 0,
        trend: if health == Health::Ok { Vec::new() } else { (0..24_u8).map(|n| 40.0 + f32::from(n)).collect() },
        age_s: Some(if health == Health::Unknown { 190.0 } else { 2.0 }),
    }
}

fn platform() -> Vec<SubjectRow> {
    let node = |memory: f64, health| {
        [
            ("node.memory_share", memory, Unit::Ratio, health, Some((0.9, 0.98))),
            ("node.ready", 1.0, Unit::Flag, Health::Ok, Some((0.5, 0.5))),
            ("node.pressure", 0.0, Unit::Count, Health::Ok, Some((1.0, 3.0))),
        ]
    };
    let silent = [("node.ready", 1.0, Unit::Flag, Health::Unknown, Some((0.5, 0.5)))];
    vec![
        subject("node", "node-9 of k8s-2", Health::Unknown, "k8s-2: connection refused", &silent),
        subject("node", "node-7 of k8s-1", Health::Warn, "memory 91%", &node(0.91, Health::Warn)),
        subject(
            "cluster",
            "k8s-1",
            Health::Ok,
            "",
            &[("pods.pending", 2.0, Unit::Count, Health::Ok, Some((20.0, 100.0)))],
        ),
        subject("node", "node-1 of k8s-1", Health::Ok, "", &node(0.41, Health::Ok)),
        subject("node", "node-2 of k8s-1", Health::Ok, "", &node(0.44, Health::Ok)),
    ]
}

pub fn snapshot() -> Snapshot {
    let estate = Arc::new(estate());
    let mut tail: Vec<TimelineEntry> = (1100..1201)
        .map(|seq| entry(seq, "01:10:00", "probe.note", "quarterdeck", &format!("routine record {seq}")))
        .collect();
    tail.extend(timeline());
    Snapshot {
        generation: 71,
        at: now(),
        mode: Mode::Live,
        health: Health::Critical,
        panes: Arc::new(Panes {
            sources: sources(),
            tenants: tenant_rows(&estate),
            databases: databases(),
            queues: queues(),
            ingress: ingress(),
            platform: platform(),
            recovery: vec![subject("backup", "pg-a", Health::Critical, "last base backup 3 d old", RECOVERY)],
            delivery: vec![subject("application", "t017", Health::Ok, "", DELIVERY)],
            business: vec![subject("integration", "t003 edi", Health::Warn, "4% of messages fail", BUSINESS)],
            ..Panes::default()
        }),
        estate,
        findings: Arc::new(findings()),
        changes: Arc::new(changes()),
        incidents: Arc::new(vec![Incident {
            id: "INC-42".into(),
            title: "sales orders of t017 hang".into(),
            severity: Severity::Sev1,
            state: IncidentState::Identified,
            declared_at: at("01:59:35"),
            closed_at: None,
            roles: BTreeMap::from([(Role::Commander, "mara".into()), (Role::Dba, "jon".into())]),
            findings: vec!["lock-chain/t017".into()],
            timeline: timeline(),
            recovery_accepted: None,
        }]),
        runs: Arc::new(vec![run(), old_run()]),
        playbooks: Arc::new(playbooks()),
        measures: vec![
            Measure {
                id: "maintenance/t030".into(),
                what: "maintenance page for t030".into(),
                by: "ines".into(),
                since: at("00:02:00"),
                incident: None,
                lift: "maintenance-mode, step off".into(),
                owner: Some(("ines".into(), at("06:00:00"))),
                asked: None,
                acknowledged: None,
            },
            Measure {
                id: "hold/t017".into(),
                what: "deliveries of t017 held".into(),
                by: "mara".into(),
                since: at("02:05:00"),
                incident: Some("INC-42".into()),
                lift: "delivery resume t017".into(),
                owner: None,
                asked: None,
                acknowledged: None,
            },
        ],
        comms: Arc::default(),
        glass: None,
        journal: JournalView {
            dir: "/var/lib/quarterdeck/journal".into(),
            size: 1215,
            root: "q83vEjRWeJq83vEjRWeJq83vEjRWeJo=".into(),
            broken: None,
            scrub: None,
            witnessed: None,
            anchored: None,
            tail: Arc::new(tail),
        },
        drill: None,
        replay: None,
        requests: Arc::default(),
        elevations: vec![],
        sign_ins: vec![],
        policy: PolicyView::default(),
        services: Arc::default(),
        usual: Arc::default(),
        ahead: Arc::new(vec![
            Ahead {
                what: "month-end close".into(),
                kind: OccasionKind::MonthEnd,
                at: at("01:00:00"),
                until: Some(at("05:00:00")),
                tenants: Vec::new(),
            },
            Ahead {
                what: "receiving starts".into(),
                kind: OccasionKind::CutOff,
                at: at("04:27:00"),
                until: None,
                tenants: vec!["t017".into()],
            },
        ]),
        me: "mara".into(),
        consoles: consoles(),
    }
}

/// The same estate on a good night.
pub fn calm() -> Snapshot {
    let mut snapshot = snapshot();
    let mut panes = (*snapshot.panes).clone();
    for source in &mut panes.sources {
        *source = self::source(source.id.as_str(), source.kind, 9.0);
    }
    let good = panes.tenants.iter().find(|t| t.health == Health::Ok).unwrap().clone();
    for tenant in &mut panes.tenants {
        if tenant.health != Health::Ok {
            *tenant = TenantRow { id: tenant.id.clone(), name: tenant.name.clone(), ..good.clone() };
        }
    }
    panes.tenants.sort_by(|a, b| a.id.cmp(&b.id));
    panes.databases = vec![
        database("pg-a", "primary", Health::Ok, ""),
        database("pg-a-r", "replica", Health::Ok, ""),
        database("pg-b", "primary", Health::Ok, ""),
    ];
    panes.queues = vec![
        channel("t003", "root.wms", Health::Ok, Some(2), Some(0.4)),
        redis("redis-q", "queue", 655_000_000, Some(1_073_741_824)),
    ];
    panes.ingress =
        vec![ingress_row("router", "t017@file", Health::Ok, ""), ingress_row("ingress", "edge-1", Health::Ok, "")];
    panes.platform.retain(|row| row.health == Health::Ok);
    panes.recovery = Vec::new();
    panes.business = Vec::new();
    snapshot.panes = Arc::new(panes);
    snapshot.health = Health::Ok;
    snapshot.findings = Arc::default();
    snapshot.incidents = Arc::default();
    snapshot.runs = Arc::default();
    snapshot.measures = Vec::new();
    snapshot
}

/// The same night as an exercise.
pub fn drill() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.mode = Mode::Drill;
    snapshot.drill = Some(DrillView {
        scenario: "schema-lock".into(),
        name: "A migration that does not end".into(),
        speed: 4.0,
        elapsed_s: 310.0,
        messages: vec![
            "Halle calls: orders can not be confirmed since about two o'clock".into(),
            "The release manager is on a train until three".into(),
        ],
        ended: false,
        objectives: vec!["find the root blocker before the first call comes".into()],
        points: Some((15, 80)),
        hint: Some(5),
        debrief: Vec::new(),
    });
    snapshot
}

pub fn facts(mode: Mode) -> Facts {
    let themes = BUILT_IN.map(|(name, _)| (name.to_owned(), format!("what {name} is for"))).into();
    Facts {
        estate: "acme-prod".into(),
        mode,
        theme: "dark".into(),
        themes,
        version: VERSION.into(),
        keys: Arc::default(),
        plain: false,
    }
}

/// A console that has heard of a night and has just heard of the engine.
pub fn console(snapshot: Snapshot, width: u16, height: u16) -> State {
    let mut state = State::new(facts(snapshot.mode), (width, height), now());
    update(&mut state, Msg::Snapshot(Arc::new(snapshot)));
    update(&mut state, Msg::Beat(now()));
    state
}

/// A second later by the wall.
pub fn later(state: &State, seconds: i64) -> Timestamp {
    state.clock.wall.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}

/// The same night with witnesses that agree and an anchor that does not answer.
pub fn vouched() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.journal.witnessed =
        Some(Outside { size: 1200, at: Some(at("02:13:55")), confirmed: 2, needed: 2, shipped: None, trouble: None });
    snapshot.journal.anchored = Some(Outside {
        size: 1010,
        at: Some(at("01:31:00")),
        confirmed: 0,
        needed: 1,
        shipped: Some(990),
        trouble: Some("s3.example.net:443: connection refused".into()),
    });
    snapshot
}

/// A record as it was read.
pub fn record_view(seq: u64) -> RecordView {
    let stored = format!(
        "{{\"actor\":{{\"console\":\"/dev/pts/3\",\"host\":\"bastion-1\",\"uid\":1001,\"user\":\"mara\",\"via\":\"console\"}},\
         \"body\":{{\"text\":\"called the plant in Halle: receiving is told to wait\"}},\"environment\":\"production\",\
         \"incident\":\"INC-42\",\"kind\":\"note.added\",\"mode\":\"live\",\"seq\":{seq},\
         \"time\":\"2026-11-21T02:13:20.000000Z\",\"v\":1}}"
    );
    RecordView {
        seq,
        fields: vec![
            ("incident".into(), "INC-42".into()),
            ("from".into(), "uid 1001 by console on bastion-1".into()),
            ("console".into(), "/dev/pts/3".into()),
            ("mode".into(), "live, production".into()),
            ("text".into(), "called the plant in Halle: receiving is told to wait".into()),
        ],
        stored,
        place: "records/00000000000000000000.jsonl line 1460".into(),
        leaf: "W4WO1yKPc7UqR9nJm3sBzv0tHkVb2yqLx5eT8aQd1fE=".into(),
        batch: (1213, seq, 1461),
        checkpoint: "quarterdeck/acme-prod\n1215\nq83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJo0=\n\n\
                     — quarterdeck/acme-prod x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
            .into(),
        proof: Ok(ProofView {
            size: 1215,
            hashes: (0..4).map(|n| format!("{n}83vEjRWeJq83vEjRWeJq83vEjRWeJq83vEjRWeJo0=")).collect(),
            key: "quarterdeck/acme-prod+c74f20a3".into(),
            pinned: false,
            cosigned: 2,
            file: "c2sp.org/tlog-proof@v1\n".into(),
        }),
    }
}
