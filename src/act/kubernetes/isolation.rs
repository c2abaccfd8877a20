//! `kubernetes.isolate_namespace` and `kubernetes.lift_isolation`: a `NetworkPolicy` that closes the ways into and out of
//! all pods of a namespace but those that are named. It takes a network plugin that enforces policies; where other
//! policies allow a way for the same pods, that way stays open, which the plan says.

use super::object::{Args, Asked, Found, Plan, Planned, Read, Scope, create, delete};
use super::{CLUSTER, NAMESPACE, OWN};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::{Value, json};

/// Name of the policy.
const NAME: &str = "quarterdeck-isolation";

/// What it declares.
pub static ISOLATE: VerbSpec = VerbSpec {
    name: "kubernetes.isolate_namespace",
    what: "closes the network into and out of all pods of a namespace, but for what is named (NetworkPolicy)",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        ArgSpec { name: "direction", required: false, what: "both (default), ingress or egress" },
        ArgSpec {
            name: "allow",
            required: false,
            what: "namespaces that stay reachable and may reach it, as a list or with commas between; DNS stays open",
        },
    ],
};

/// What it declares.
pub static LIFT: VerbSpec = VerbSpec {
    name: "kubernetes.lift_isolation",
    what: "removes the NetworkPolicy that kubernetes.isolate_namespace made",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[CLUSTER, NAMESPACE],
};

const GROUP: &str = "networking.k8s.io";

/// What it needs.
pub static ISOLATE_RIGHTS: &[Right] = &[
    Right::look(GROUP, "networkpolicies", &["get", "list"]),
    Right::look("", "namespaces", &["get"]),
    Right::act(GROUP, "networkpolicies", &["create"]),
];
/// What it needs.
pub static LIFT_RIGHTS: &[Right] =
    &[Right::look(GROUP, "networkpolicies", &["get", "list"]), Right::act(GROUP, "networkpolicies", &["delete"])];

/// Isolates.
pub(super) struct Isolate;
/// Lifts.
pub(super) struct Lift;

fn collection(namespace: &str) -> String {
    format!("/apis/{GROUP}/v1/namespaces/{namespace}/networkpolicies")
}

fn reads(args: Args<'_>) -> Result<Vec<Read>, VerbError> {
    let namespace = args.namespace("namespace")?;
    let policies = format!("{}?limit=250", collection(namespace));
    Ok(vec![Read::new("policies", policies), Read::new("namespace", format!("/api/v1/namespaces/{namespace}"))])
}

fn name(policy: &Value) -> &str {
    policy["metadata"]["name"].as_str().unwrap_or_default()
}

impl Plan for Isolate {
    fn spec(&self) -> &'static VerbSpec {
        &ISOLATE
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let namespace = asked.args.namespace("namespace")?;
        let direction = asked.args.one_of("direction", &["both", "ingress", "egress"])?;
        let allowed = asked.args.names("allow")?;
        asked.object("namespace", &format!("namespace {namespace}"))?;
        if asked.list("policies").any(|p| name(p) == NAME) {
            return Err(VerbError::new(format!("namespace {namespace} is isolated already")));
        }
        let (into, out) = (direction != "egress", direction != "ingress");
        // Policies only add up: what another one allows stays allowed.
        let others: Vec<&str> = asked.list("policies").map(name).collect();
        let others = if others.is_empty() {
            String::new()
        } else {
            format!("; what these policies allow stays open: {}", others.join(", "))
        };
        // Every namespace carries its name as this label.
        let peer = |n: &&str| json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": n}}});
        let peers: Vec<Value> = allowed.iter().map(peer).collect();
        let mut types = Vec::new();
        let mut spec = json!({"podSelector": {}});
        if into {
            types.push("Ingress");
            let open = if peers.is_empty() { json!([]) } else { json!([{"from": peers}]) };
            spec["ingress"] = open;
        }
        if out {
            types.push("Egress");
            let mut rules = vec![json!({
                "to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
                "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
            })];
            if !peers.is_empty() {
                rules.push(json!({"to": peers}));
            }
            spec["egress"] = json!(rules);
        }
        spec["policyTypes"] = json!(types);
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": NAME, "namespace": namespace, "labels": {OWN: "isolation"}},
            "spec": spec,
        });
        let ways = match direction {
            "ingress" => "into",
            "egress" => "out of",
            _ => "into and out of",
        };
        let but = if allowed.is_empty() { String::new() } else { format!(" but for {}", allowed.join(", ")) };
        let databases = if out { "; its databases and Redis are cut off too unless they are named" } else { "" };
        Ok(Planned {
            object: format!("NetworkPolicy {namespace}/{NAME}"),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![create(&collection(namespace), &policy)],
            hurts: format!("every connection {ways} the pods of {namespace} is refused{but}{databases}{others}"),
            undo: "kubernetes.lift_isolation removes it".into(),
            by_hand: format!("kubectl create -f - <<'END'\n{policy:#}\nEND"),
        })
    }
}

impl Plan for Lift {
    fn spec(&self) -> &'static VerbSpec {
        &LIFT
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        reads(args)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let namespace = asked.args.namespace("namespace")?;
        let policy = asked.list("policies").find(|p| name(p) == NAME);
        let policy = policy.ok_or_else(|| VerbError::new(format!("namespace {namespace} is not isolated")))?;
        Ok(Planned {
            object: format!("NetworkPolicy {namespace}/{NAME}"),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![delete(&format!("{}/{NAME}", collection(namespace)), policy)],
            hurts: format!("nobody; the pods of {namespace} reach others and are reached again"),
            undo: "kubernetes.isolate_namespace closes it again".into(),
            by_hand: format!("kubectl -n {namespace} delete networkpolicy {NAME}"),
        })
    }
}
