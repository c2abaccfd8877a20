//! `cnpg.fence` and `cnpg.unfence`: `PostgreSQL` of an instance is shut down and kept down while its pod stays, so that it
//! can take no write (<https://cloudnative-pg.io/documentation/current/fencing/>).

use super::{
    CLUSTER, DATABASE, FENCED_AT, NAMESPACE, Named, cluster, fenced, instances, is_fenced, named, object, primary,
    reads,
};
use crate::act::kubernetes::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::json;

const ARGS: &[ArgSpec] = &[
    CLUSTER,
    NAMESPACE,
    DATABASE,
    ArgSpec { name: "instance", required: true, what: "name of the instance (its pod), or all" },
];

/// What it declares.
pub static FENCE: VerbSpec = VerbSpec {
    name: "cnpg.fence",
    what: "shuts PostgreSQL of an instance down and keeps it down; its pod and its files stay",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: ARGS,
};

/// What it declares.
pub static UNFENCE: VerbSpec = VerbSpec {
    name: "cnpg.unfence",
    what: "lets PostgreSQL of a fenced instance start again",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: ARGS,
};

/// Either verb.
pub(super) struct Fence {
    /// Which of the two.
    pub on: bool,
}

impl Plan for Fence {
    fn spec(&self) -> &'static VerbSpec {
        if self.on { &FENCE } else { &UNFENCE }
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let Named { namespace, name, path, .. } = named(asked.args)?;
        let cluster = cluster(asked)?;
        let all = asked.args.text("instance")? == "all";
        let instance = if all { "*" } else { asked.args.name("instance")? };
        let known = instances(cluster);
        if !all && !known.contains(&instance) {
            return Err(VerbError::new(format!(
                "{namespace}/{name} has no instance {instance}; it has {}",
                known.join(", ")
            )));
        }
        let now = fenced(cluster);
        let (wanted, verb, back): (Vec<String>, _, _) = if self.on {
            if is_fenced(cluster, instance) {
                return Err(VerbError::new(format!("{instance} of {namespace}/{name} is fenced already")));
            }
            let mut wanted = if all { Vec::new() } else { now };
            wanted.push(instance.to_owned());
            wanted.sort();
            (wanted, "on", &UNFENCE)
        } else if all && !now.is_empty() {
            (Vec::new(), "off", &FENCE)
        } else if now.iter().any(|f| f == instance) {
            (now.into_iter().filter(|f| f != instance).collect(), "off", &FENCE)
        } else if now.iter().any(|f| f == "*") {
            let why = "all are fenced together; unfence all";
            return Err(VerbError::new(format!("{instance} of {namespace}/{name}: {why}")));
        } else {
            return Err(VerbError::new(format!("{instance} of {namespace}/{name} is not fenced")));
        };
        let change = Patch::of(path, cluster).expect("/status/currentPrimary");
        let call = if wanted.is_empty() {
            change.remove(FENCED_AT).call()
        } else {
            change.set(FENCED_AT, json!(json!(wanted).to_string())).call()
        };
        let takes_writes = all || primary(cluster) == Some(instance);
        let hurts = match (self.on, takes_writes) {
            (true, true) => {
                format!("every transaction on {name} ends and none begins until another primary is promoted")
            }
            (true, false) => format!("who reads from {instance} is cut off; the primary goes on"),
            (false, true) => format!("{name} may take writes again on {instance}: no other primary may be there"),
            (false, false) => "nobody; it follows the primary again".to_owned(),
        };
        Ok(Planned {
            object: format!("{}, instance {}", object(cluster), if all { "all" } else { instance }),
            count: if all { known.len() } else { 1 },
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![call],
            hurts,
            undo: format!("{} takes it back", back.name),
            by_hand: format!("kubectl cnpg fencing {verb} -n {namespace} {name} '{instance}'"),
        })
    }
}
