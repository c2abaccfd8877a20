//! Which verbs set or lift a measure in force.

use crate::domain::request::Request;
use crate::journal::Kind;
use serde_json::{Value, json};

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
        verb => of_object(verb, request),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::estate::Environment;
    use crate::domain::id::SourceId;
    use crate::domain::request::{Operation, Target};

    fn request(verb: &str, object: &str) -> Request {
        Request {
            verb: verb.into(),
            target: Target {
                source: SourceId::new("k8s-1"),
                identity: String::new(),
                environment: Environment::Production,
                object: object.into(),
                tenants: Vec::new(),
                count: 1,
            },
            operation: Operation::Simulated { statement: String::new() },
            server_checks: Vec::new(),
            hurts: String::new(),
            undo: "the other takes it back".into(),
            by_hand: String::new(),
        }
    }

    #[test]
    fn what_one_verb_sets_its_counterpart_lifts() {
        let catalog = crate::act::catalog();
        for (_, sets, _, lifts) in ON_OBJECTS {
            for verb in [sets, lifts] {
                assert!(catalog.iter().any(|s| s.name == *verb && !s.read_only), "{verb} is no acting verb");
            }
            let object = "Thing t017/nightly, uid 1-2";
            let (set, body) = of(&request(sets, object)).unwrap();
            let (lifted, other) = of(&request(lifts, object)).unwrap();
            assert_eq!((set, lifted), (Kind::MeasureSet, Kind::MeasureLifted));
            assert_eq!(body["measure"], other["measure"]);
            assert!(body["measure"].as_str().unwrap().ends_with("/k8s-1/t017/nightly"), "{body}");
        }
        let (_, fence) = of(&request("cnpg.fence", "Cluster t017/pg, uid 1, instance pg-2")).unwrap();
        assert_eq!(fence["measure"], "fence/k8s-1/t017/pg/pg-2");
        let (_, drained) = of(&request("kubernetes.drain", "node n-1, uid 1")).unwrap();
        let (_, opened) = of(&request("kubernetes.uncordon", "Node n-1, uid 1")).unwrap();
        assert_eq!(drained["measure"], opened["measure"]);
        assert!(of(&request("kubernetes.scale", "Deployment t017/web, uid 1")).is_none());
    }
}
