//! `kubernetes.scale_nodes`: how many nodes a `MachineDeployment` of Cluster API or a static `NodePool` of Karpenter has.
//! The API version is the one that the server itself prefers.

use super::object::{Args, Asked, Found, Patch, Plan, Planned, Read, Scope};
use super::{CLUSTER, NAMESPACE_OPTIONAL};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::{Value, json};

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "kubernetes.scale_nodes",
    what: "sets the number of nodes of a MachineDeployment (Cluster API) or a static NodePool (Karpenter)",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE_OPTIONAL,
        ArgSpec { name: "machine_deployment", required: false, what: "name of the MachineDeployment" },
        ArgSpec { name: "node_pool", required: false, what: "name of the NodePool, instead" },
        ArgSpec { name: "nodes", required: true, what: "number of nodes it shall have" },
    ],
};

const CAPI: &str = "cluster.x-k8s.io";
const KARPENTER: &str = "karpenter.sh";

/// What it needs.
pub static RIGHTS: &[Right] = &[
    Right::look(CAPI, "machinedeployments", &["get"]),
    Right::look(KARPENTER, "nodepools", &["get"]),
    Right::act(CAPI, "machinedeployments", &["patch"]),
    Right::act(KARPENTER, "nodepools", &["patch"]),
];

/// The verb.
pub(super) struct ScaleNodes;

struct Named {
    group: &'static str,
    kind: &'static str,
    /// Below the version.
    tail: String,
    place: String,
    kubectl: String,
}

fn named(args: Args<'_>) -> Result<Named, VerbError> {
    match (args.opt_name("machine_deployment")?, args.opt_name("node_pool")?) {
        (Some(name), None) => {
            let namespace = args.namespace("namespace")?;
            Ok(Named {
                group: CAPI,
                kind: "MachineDeployment",
                tail: format!("namespaces/{namespace}/machinedeployments/{name}"),
                place: format!("{namespace}/{name}"),
                kubectl: format!("kubectl -n {namespace} scale machinedeployment/{name}"),
            })
        }
        (None, Some(name)) => Ok(Named {
            group: KARPENTER,
            kind: "NodePool",
            tail: format!("nodepools/{name}"),
            place: name.to_owned(),
            kubectl: format!("kubectl scale nodepool/{name}"),
        }),
        _ => Err(VerbError::new("give either machine_deployment or node_pool, and not both")),
    }
}

fn path(named: &Named, found: &Found) -> Option<String> {
    let version = found.get("group")?["preferredVersion"]["groupVersion"].as_str()?;
    Some(format!("/apis/{version}/{}", named.tail))
}

impl Plan for ScaleNodes {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn reads(&self, args: Args<'_>, found: &Found) -> Result<Vec<Read>, VerbError> {
        let named = named(args)?;
        let mut reads = vec![Read::new("group", format!("/apis/{}", named.group))];
        reads.extend(path(&named, found).map(|path| Read::new("object", path)));
        Ok(reads)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let named = named(asked.args)?;
        let wanted = u64::from(asked.args.number("nodes")?);
        let (kind, place) = (named.kind, &named.place);
        let path = path(&named, asked.found)
            .ok_or_else(|| VerbError::new(format!("the cluster does not know {kind}: it has no {}", named.group)))?;
        let object = asked.object("object", &format!("{kind} {place}"))?;
        let Some(now) = object["spec"]["replicas"].as_u64() else {
            let why = "has no number of nodes: pods and its limits decide how many there are";
            return Err(VerbError::new(format!("{kind} {place} {why}")));
        };
        let annotations = &object["metadata"]["annotations"];
        let bound = |which: &str| {
            let key = format!("cluster.x-k8s.io/cluster-api-autoscaler-node-group-{which}-size");
            annotations[key.as_str()].as_str().and_then(|n| n.parse::<u64>().ok())
        };
        if let (Some(min), Some(max)) = (bound("min"), bound("max"))
            && !(min..=max).contains(&wanted)
        {
            return Err(VerbError::new(format!("an autoscaler holds {place} between {min} and {max} nodes")));
        }
        if wanted == now {
            return Err(VerbError::new(format!("{kind} {place} already asks for {now} nodes")));
        }
        let hurts = if wanted < now {
            format!("{} of {now} nodes of {place} are drained and removed with the pods on them", now - wanted)
        } else {
            format!("nobody; {} more nodes of {place} cost from now on", wanted - now)
        };
        Ok(Planned {
            object: format!("{kind} {place}, uid {}", object["metadata"]["uid"].as_str().unwrap_or_default()),
            count: usize::try_from(wanted.abs_diff(now)).unwrap_or(usize::MAX),
            scope: if wanted < now { Scope::Cluster } else { Scope::Nobody },
            calls: vec![Patch::of(path, object).set("/spec/replicas", json!(wanted)).call()],
            hurts,
            undo: format!("the same with nodes = {now}"),
            by_hand: format!("{} --replicas={wanted}", named.kubectl),
        })
    }

    fn tell(&self, _: &crate::domain::request::Request, answers: &[Value]) -> Option<(Value, String)> {
        let nodes = answers.first()?["spec"]["replicas"].as_u64()?;
        Some((json!({"nodes": nodes}), format!("{nodes} nodes are asked for; they come and go in minutes")))
    }
}
