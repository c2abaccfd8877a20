//! `kubernetes.drain`: closes a node to new pods and evicts those that run there, as `kubectl drain` does. Pods of
//! `DaemonSet`s and mirror pods stay; a pod that no controller starts again is refused unless that is accepted.

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope, evict};
use super::{CLUSTER, switch::NODE};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::{Value, json};

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.drain",
    what: "closes a node to new pods and evicts those that run there, as their disruption budgets allow",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NODE,
        ArgSpec {
            name: "orphans",
            required: false,
            what: "true also evicts pods that no controller starts again; false by default",
        },
    ],
};

/// What it needs.
pub static RIGHTS: &[Right] = &[
    Right::look("", "nodes", &["get"]),
    Right::look("", "pods", &["get", "list"]),
    Right::act("", "nodes", &["patch"]),
    Right::act("", "pods/eviction", &["create"]),
];

/// The verb.
pub(super) struct Drain;

/// Path of all pods of a node.
pub(super) fn pods_of(node: &str) -> String {
    format!("/api/v1/pods?fieldSelector=spec.nodeName%3D{node}&limit=250")
}

fn controller(pod: &Value) -> Option<&str> {
    let owners = pod["metadata"]["ownerReferences"].as_array().into_iter().flatten();
    owners.into_iter().find(|o| o["controller"] == true).and_then(|o| o["kind"].as_str())
}

/// Whether a pod has to leave a node that is drained.
pub(super) fn leaves(pod: &Value) -> bool {
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let mirror = pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string();
    let ending = pod["metadata"]["deletionTimestamp"].is_string();
    !ended && !mirror && !ending && controller(pod) != Some("DaemonSet")
}

fn place(pod: &Value) -> String {
    let word = |key: &str| pod["metadata"][key].as_str().unwrap_or_default();
    format!("{}/{}", word("namespace"), word("name"))
}

impl Plan for Drain {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        let node = args.name("node")?;
        Ok(vec![Read::new("node", format!("/api/v1/nodes/{node}")), Read::new("pods", pods_of(node))])
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let name = asked.args.name("node")?;
        let node = asked.object("node", &format!("node {name}"))?;
        let mut pods: Vec<&Value> = asked.list("pods").filter(|p| leaves(p)).collect();
        pods.sort_by_key(|p| place(p));
        let orphans: Vec<String> = pods.iter().filter(|p| controller(p).is_none()).map(|p| place(p)).collect();
        if !orphans.is_empty() && !asked.args.flag("orphans")? {
            return Err(VerbError::new(format!(
                "no controller starts these pods again: {}; with orphans = true they are evicted all the same",
                orphans.join(", ")
            )));
        }
        let mut calls = Vec::new();
        if node["spec"]["unschedulable"] != true {
            let path = format!("/api/v1/nodes/{name}");
            calls.push(Patch::of(path, node).set("/spec/unschedulable", json!(true)).call());
        }
        calls.extend(pods.iter().map(|p| evict(p)));
        if calls.is_empty() {
            return Err(VerbError::new(format!("node {name} is closed to new pods and has none that would leave")));
        }
        let local =
            |p: &&&Value| p["spec"]["volumes"].as_array().into_iter().flatten().any(|v| v["emptyDir"].is_object());
        let local = pods.iter().filter(local).count();
        let lost = if local == 0 { String::new() } else { format!("; {local} of them lose an emptyDir") };
        let mut namespaces: Vec<String> =
            pods.iter().filter_map(|p| p["metadata"]["namespace"].as_str()).map(str::to_owned).collect();
        namespaces.dedup();
        Ok(Planned {
            object: format!("node {name}, uid {}", node["metadata"]["uid"].as_str().unwrap_or_default()),
            count: pods.len(),
            scope: Scope::Namespaces(namespaces),
            calls,
            hurts: format!("{} pods move to other nodes; what runs on each ends with it{lost}", pods.len()),
            undo: "kubernetes.uncordon opens the node again; pods that left do not come back by themselves".into(),
            by_hand: format!(
                "kubectl drain {name} --ignore-daemonsets --delete-emptydir-data{}",
                if orphans.is_empty() { "" } else { " --force" }
            ),
        })
    }
}
