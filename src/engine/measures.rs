//! Which verbs set or lift a measure in force.

use crate::act::continuity::{self, Measures, Set};
use crate::domain::by_hand::owed;
use crate::domain::request::Request;
use crate::journal::Kind;
use serde_json::{Value, json};

/// The records that a request which had its effect owes.
pub fn all(request: &Request) -> Vec<(Kind, Value)> {
    let Some(by_hand) = continuity::measures(request) else { return of(request).into_iter().collect() };
    match by_hand {
        Measures::Sets(Set { id, what, owner, lift }) => {
            vec![(Kind::MeasureSet, json!({ "measure": id, "what": what, "asked": owner, "lift": lift }))]
        }
        Measures::Ends(ids) => {
            let one = |id: String| {
                let owed = owed(&id).map(|owed| super::continuity::owes(&owed, None));
                // What is owed is looked up by its fallback, which the record after it takes away.
                owed.into_iter().chain([(Kind::MeasureLifted, json!({ "measure": id }))])
            };
            ids.into_iter().flat_map(one).collect()
        }
        Measures::Settles(ids, done) => {
            ids.into_iter().map(|id| (Kind::MeasureLifted, json!({ "measure": id, "done": done }))).collect()
        }
    }
}

/// The record that a request which had its effect owes, if any. A measure's id is its kind and its tenants.
pub fn of(request: &Request) -> Option<(Kind, Value)> {
    let tenants = request.target.tenants.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    match request.verb.as_str() {
        "traefik.maintenance_on" => Some((
            Kind::MeasureSet,
            json!({
                "measure": format!("maintenance/{tenants}"),
                "what": format!("maintenance page for {tenants}"),
                "lift": "playbook maintenance-mode, its last step; or traefik.maintenance_off",
                "source": request.target.source,
            }),
        )),
        "traefik.maintenance_off" => {
            Some((Kind::MeasureLifted, json!({ "measure": format!("maintenance/{tenants}") })))
        }
        verb => of_object(verb, request).or_else(|| of_data(request, &tenants)),
    }
}

/// What a verb on an object sets or lifts: kind of the measure, the verb that sets it, what it is called, and the verb
/// that lifts it.
const ON_OBJECTS: &[(&str, &str, &str, &str)] = &[
    ("freeze", "delivery.freeze", "deliveries are held", "delivery.unfreeze"),
    ("ci-hold", "delivery.ci_hold", "pipelines are held", "delivery.ci_release"),
    ("auto-sync", "delivery.auto_sync_off", "Argo CD syncs only when asked", "delivery.auto_sync_on"),
    ("flux-suspend", "delivery.flux_suspend", "Flux delivers nothing", "delivery.flux_resume"),
    ("isolation", "kubernetes.isolate_namespace", "the network is closed", "kubernetes.lift_isolation"),
    ("quota", "kubernetes.set_quota", "a quota limits new pods", "kubernetes.remove_quota"),
    ("cordon", "kubernetes.cordon", "the node takes no new pods", "kubernetes.uncordon"),
    ("cordon", "kubernetes.drain", "the node takes no new pods", "kubernetes.uncordon"),
    ("cron-suspend", "kubernetes.suspend_cronjob", "no further jobs begin", "kubernetes.resume_cronjob"),
    ("rollout-pause", "kubernetes.rollout_pause", "the rollout is held", "kubernetes.rollout_resume"),
    ("fence", "cnpg.fence", "PostgreSQL is kept down", "cnpg.unfence"),
];

fn of_object(verb: &str, request: &Request) -> Option<(Kind, Value)> {
    let row = ON_OBJECTS.iter().find(|(_, sets, _, lifts)| *sets == verb || *lifts == verb)?;
    let (kind, sets, what, _) = row;
    let (source, object) = (&request.target.source, &request.target.object);
    // `CronJob t017/nightly, uid …`: the name; a fence says its instance last.
    let name = object.split_once(' ').map_or(object.as_str(), |(_, rest)| rest.split(',').next().unwrap_or(rest));
    let instance = object.rsplit_once(", instance ").map(|(_, i)| format!("/{i}")).unwrap_or_default();
    let id = format!("{kind}/{source}/{name}{instance}");
    if *sets != verb {
        return Some((Kind::MeasureLifted, json!({ "measure": id })));
    }
    let what = format!("{what}: {name}{instance}");
    Some((Kind::MeasureSet, json!({ "measure": id, "what": what, "lift": request.undo, "source": source })))
}

/// Those of databases, queues, ingress and integrations: set by one verb, lifted by another or by its own reverse.
fn of_data(request: &Request, tenants: &str) -> Option<(Kind, Value)> {
    let object = request.target.object.as_str();
    let source = &request.target.source;
    // `integration edi (channel root.wms of t017)`: what stands in brackets is no part of the name.
    let first = object.split([',', '(']).next().unwrap_or_default().trim_end();
    let name = first.rsplit(' ').next().unwrap_or_default();
    let Measure { id, what, lift, lifted } = match request.verb.as_str() {
        "odoo.pause_crons" => Measure::set(format!("crons/{tenants}"), format!("{first} paused"), "odoo.resume_crons"),
        "odoo.resume_crons" => Measure::lifted(format!("crons/{tenants}")),
        "odoo.lock_exports" if object.contains("given back") => Measure::lifted(format!("exports/{tenants}")),
        "odoo.lock_exports" => {
            Measure::set(format!("exports/{tenants}"), "exports locked".into(), "odoo.lock_exports with locked = false")
        }
        "odoo.set_channel_capacity" if request.hurts.ends_with(", as before") => {
            Measure::lifted(format!("channels/{tenants}"))
        }
        "odoo.set_channel_capacity" => Measure::set(
            format!("channels/{tenants}"),
            "channel capacity changed".into(),
            "odoo.set_channel_capacity with the value of before and lift = true",
        ),
        "odoo.set_worker_profile" => Measure::set(
            format!("workers/{tenants}"),
            "worker profile changed".into(),
            "odoo.set_worker_profile with the values of before, or the same in Git",
        ),
        "postgres.set_connection_limit" => {
            let id = format!("connections/{source}/{name}");
            if request.undo.ends_with("limit = -1") {
                Measure::set(
                    id,
                    format!("connection limit of {first}"),
                    "postgres.set_connection_limit with limit = -1",
                )
            } else if sets_no_limit(request) {
                Measure::lifted(id)
            } else {
                Measure::set(id, format!("connection limit of {first}"), &request.undo)
            }
        }
        "postgres.pgbouncer_pause" | "postgres.pgbouncer_kill" => Measure::set(
            format!("pool/{source}/{name}"),
            format!("pool of {first} paused"),
            "postgres.pgbouncer_resume",
        ),
        "postgres.pgbouncer_resume" => Measure::lifted(format!("pool/{source}/{name}")),
        "redis.set_maxmemory" => Measure::set(
            format!("maxmemory/{source}"),
            format!("maxmemory of {source} set until it is restarted"),
            "the value in its configuration file, or redis.set_maxmemory back",
        ),
        "patroni.pause" if request.undo.ends_with("true") => Measure::lifted(format!("failover/{source}")),
        "patroni.pause" => Measure::set(
            format!("failover/{source}"),
            format!("automatic failover of {source} paused"),
            "patroni.pause with paused = false",
        ),
        "integration.breaker_open" => {
            let what = format!("integration {name} cut off");
            Measure::set(format!("breaker/{tenants}/{name}"), what, "integration.breaker_close")
        }
        "integration.breaker_close" => Measure::lifted(format!("breaker/{tenants}/{name}")),
        "traefik.rate_limit"
        | "traefik.in_flight_limit"
        | "traefik.circuit_breaker"
        | "traefik.route_priority"
        | "traefik.weight_region" => {
            let kind = request.verb.strip_prefix("traefik.").unwrap_or_default();
            let id = format!("{kind}/{tenants}");
            // What lifts it says that all is served as before.
            if request.hurts.ends_with("is served as before") {
                Measure::lifted(id)
            } else {
                Measure::set(id, format!("{kind} for {tenants}"), &format!("{} with lift = true", request.verb))
            }
        }
        _ => return None,
    };
    Some(if lifted {
        (Kind::MeasureLifted, json!({ "measure": id }))
    } else {
        (Kind::MeasureSet, json!({ "measure": id, "what": what, "lift": lift, "source": source }))
    })
}

/// What a verb sets or lifts.
struct Measure {
    id: String,
    what: String,
    lift: String,
    lifted: bool,
}

impl Measure {
    fn set(id: String, what: String, lift: &str) -> Self {
        Self { id, what, lift: lift.to_owned(), lifted: false }
    }

    const fn lifted(id: String) -> Self {
        Self { id, what: String::new(), lift: String::new(), lifted: true }
    }
}

fn sets_no_limit(request: &Request) -> bool {
    matches!(&request.operation, crate::domain::request::Operation::Sql { statement, .. }
        if statement.contains("CONNECTION LIMIT -1;"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::{Operation, Target};

    fn request(verb: &str, object: &str, statement: &str, undo: &str, hurts: &str) -> Request {
        Request {
            verb: verb.into(),
            target: Target {
                source: "pg-a".into(),
                identity: String::new(),
                environment: crate::domain::estate::Environment::Development,
                object: object.into(),
                tenants: vec!["t017".into()],
                count: 1,
            },
            operation: Operation::Sql { database: "t017".into(), statement: statement.into(), parameters: Vec::new() },
            server_checks: Vec::new(),
            hurts: hurts.into(),
            undo: undo.into(),
            by_hand: String::new(),
        }
    }

    fn on_object(verb: &str, object: &str) -> Request {
        request(verb, object, "", "the other takes it back", "")
    }

    #[test]
    fn what_one_verb_sets_its_counterpart_lifts() {
        let catalog = crate::act::catalog();
        for (_, sets, _, lifts) in ON_OBJECTS {
            for verb in [sets, lifts] {
                assert!(catalog.iter().any(|s| s.name == *verb && !s.read_only), "{verb} is no acting verb");
            }
            let object = "Thing t017/nightly, uid 1-2";
            let (set, body) = of(&on_object(sets, object)).unwrap();
            let (lifted, other) = of(&on_object(lifts, object)).unwrap();
            assert_eq!((set, lifted), (Kind::MeasureSet, Kind::MeasureLifted));
            assert_eq!(body["measure"], other["measure"]);
            assert!(body["measure"].as_str().unwrap().ends_with("/pg-a/t017/nightly"), "{body}");
        }
        let (_, fence) = of(&on_object("cnpg.fence", "Cluster t017/pg, uid 1, instance pg-2")).unwrap();
        assert_eq!(fence["measure"], "fence/pg-a/t017/pg/pg-2");
        let (_, drained) = of(&on_object("kubernetes.drain", "node n-1, uid 1")).unwrap();
        let (_, opened) = of(&on_object("kubernetes.uncordon", "Node n-1, uid 1")).unwrap();
        assert_eq!(drained["measure"], opened["measure"]);
        assert!(of(&on_object("kubernetes.scale", "Deployment t017/web, uid 1")).is_none());
    }

    fn said(request: &Request) -> Option<(Kind, String)> {
        of(request).map(|(kind, body)| (kind, body["measure"].as_str().unwrap_or_default().to_owned()))
    }

    #[test]
    fn what_one_verb_sets_another_or_its_reverse_lifts_under_the_same_name() {
        let limit = "database t017, which has no limit";
        let set = (Kind::MeasureSet, "connections/pg-a/t017".to_owned());
        let lifted = (Kind::MeasureLifted, "connections/pg-a/t017".to_owned());
        let name = "postgres.set_connection_limit";
        assert_eq!(said(&request(name, limit, "CONNECTION LIMIT 7;", "the same with limit = -1", "")), Some(set));
        let back = "the same with limit = 7";
        assert_eq!(
            said(&request(name, "database t017, which has 7 sessions", "CONNECTION LIMIT -1;", back, "")),
            Some(lifted)
        );
        for (on, off, object, id) in [
            ("odoo.pause_crons", "odoo.resume_crons", "3 crons in database t017", "crons/t017"),
            ("postgres.pgbouncer_pause", "postgres.pgbouncer_resume", "database t017", "pool/pg-a/t017"),
            (
                "integration.breaker_open",
                "integration.breaker_close",
                "switch k of edi, which is True",
                "breaker/t017/edi",
            ),
        ] {
            assert_eq!(said(&request(on, object, "", "", "")), Some((Kind::MeasureSet, id.to_owned())), "{on}");
            assert_eq!(said(&request(off, object, "", "", "")), Some((Kind::MeasureLifted, id.to_owned())), "{off}");
        }
        let rate = |hurts| said(&request("traefik.rate_limit", "rate_limit of host t017.example; x", "", "", hurts));
        assert_eq!(rate("who asks beyond gets 429"), Some((Kind::MeasureSet, "rate_limit/t017".into())));
        assert_eq!(
            rate("nobody; t017.example is served as before"),
            Some((Kind::MeasureLifted, "rate_limit/t017".into()))
        );
        let channel = |hurts| said(&request("odoo.set_channel_capacity", "Deployment t017/w, x", "", "", hurts));
        assert_eq!(channel("then root:1"), Some((Kind::MeasureSet, "channels/t017".into())));
        assert_eq!(channel("then root:4, as before"), Some((Kind::MeasureLifted, "channels/t017".into())));
        assert_eq!(said(&request("postgres.checkpoint", "x", "", "", "")), None);
    }
}
