//! Looks that playbooks check with: pods of a namespace, a node, and what changed between two revisions.

use super::drain::{leaves, pods_of};
use super::object::{Args, Look, Told, listed};
use super::rollout_undo::{history, images, revision};
use super::switch::NODE;
use super::{CLUSTER, DEPLOYMENT, NAMESPACE};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::text::sanitize;
use serde_json::{Value, json};

const fn spec(name: &'static str, what: &'static str, args: &'static [ArgSpec]) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Low,
        blast_radius: BlastRadius::Pod,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: true,
        args,
    }
}

/// What it declares.
pub static POD_STATUS: VerbSpec = spec(
    "kubernetes.pod_status",
    "looks at the pods of a namespace: how many run, are ready, wait, crash or were killed for memory",
    &[
        CLUSTER,
        NAMESPACE,
        ArgSpec { name: "selector", required: false, what: "labels as a mapping or app=odoo; all pods by default" },
    ],
);
/// What it declares.
pub static NODE_STATUS: VerbSpec = spec(
    "kubernetes.node_status",
    "looks at a node: ready, closed to new pods, under pressure, and the pods that a drain would move",
    &[CLUSTER, NODE],
);
/// What it declares.
pub static DIFF: VerbSpec = spec(
    "kubernetes.diff",
    "tells what the last rollout of a Deployment changed against the revision before it",
    &[CLUSTER, NAMESPACE, DEPLOYMENT],
);

/// What it needs.
pub static POD_RIGHTS: &[Right] = &[Right::look("", "pods", &["list"])];
/// What it needs.
pub static NODE_RIGHTS: &[Right] = &[Right::look("", "nodes", &["get"]), Right::look("", "pods", &["list"])];
/// What it needs.
pub static DIFF_RIGHTS: &[Right] =
    &[Right::look("apps", "deployments", &["get"]), Right::look("apps", "replicasets", &["list"])];

/// Pods of a namespace.
pub(super) struct PodStatus;
/// One node.
pub(super) struct NodeStatus;
/// Two revisions.
pub(super) struct Diff;

fn present<'a>(seen: &'a [Option<Value>], at: usize, what: &str) -> Result<&'a Value, String> {
    seen.get(at).and_then(Option::as_ref).ok_or_else(|| format!("there is no such {what}"))
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a str> {
    let all = object["status"]["conditions"].as_array().into_iter().flatten();
    all.into_iter().find(|c| c["type"] == kind).and_then(|c| c["status"].as_str())
}

impl Look for PodStatus {
    fn spec(&self) -> &'static VerbSpec {
        &POD_STATUS
    }

    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError> {
        let namespace = args.namespace("namespace")?;
        let mut path = format!("/api/v1/namespaces/{namespace}/pods?limit=250");
        let mut by_hand = format!("kubectl -n {namespace} get pods");
        if args.0.get("selector").is_some_and(|s| !s.is_null()) {
            let pairs = args.pairs("selector")?;
            let selector: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}={v}")).collect();
            let encoded = selector.join(",").replace('=', "%3D").replace(',', "%2C").replace('/', "%2F");
            path = format!("{path}&labelSelector={encoded}");
            by_hand = format!("{by_hand} -l {}", selector.join(","));
        }
        Ok((vec![path], format!("pods of {namespace}"), by_hand))
    }

    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String> {
        let pods: Vec<&Value> = listed(Some(present(seen, 0, "namespace")?)).collect();
        let containers = |p: &Value| p["status"]["containerStatuses"].as_array().cloned().unwrap_or_default();
        let phase = |word: &str| pods.iter().filter(|p| p["status"]["phase"] == word).count();
        let ready = pods.iter().filter(|p| condition(p, "Ready") == Some("True")).count();
        let crashing = pods
            .iter()
            .filter(|p| containers(p).iter().any(|c| c["state"]["waiting"]["reason"] == "CrashLoopBackOff"))
            .count();
        let killed = pods
            .iter()
            .filter(|p| containers(p).iter().any(|c| c["lastState"]["terminated"]["reason"] == "OOMKilled"))
            .count();
        let restarts: u64 = pods.iter().flat_map(|p| containers(p)).filter_map(|c| c["restartCount"].as_u64()).sum();
        let (running, pending, failed) = (phase("Running"), phase("Pending"), phase("Failed"));
        let not_ready: Vec<String> = pods
            .iter()
            .filter(|p| p["status"]["phase"] != "Succeeded" && condition(p, "Ready") != Some("True"))
            .filter_map(|p| p["metadata"]["name"].as_str().map(sanitize))
            .collect();
        let words = format!(
            "{} pods: {ready} ready, {pending} pending, {failed} failed, {crashing} crash-looping, {killed} killed for \
             memory, {restarts} restarts",
            pods.len()
        );
        let result = json!({
            "total": pods.len(), "running": running, "ready": ready, "pending": pending, "failed": failed,
            "crash_looping": crashing, "oom_killed": killed, "restarts": restarts, "not_ready": not_ready,
        });
        Ok((result, words))
    }
}

impl Look for NodeStatus {
    fn spec(&self) -> &'static VerbSpec {
        &NODE_STATUS
    }

    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError> {
        let node = args.name("node")?;
        let paths = vec![format!("/api/v1/nodes/{node}"), pods_of(node)];
        Ok((paths, format!("node {node}"), format!("kubectl describe node {node}")))
    }

    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String> {
        let node = present(seen, 0, "node")?;
        let ready = condition(node, "Ready");
        let cordoned = node["spec"]["unschedulable"] == true;
        let pressure: Vec<&str> = ["MemoryPressure", "DiskPressure", "PIDPressure"]
            .into_iter()
            .filter(|kind| condition(node, kind) == Some("True"))
            .collect();
        let all: Vec<&Value> = listed(Some(present(seen, 1, "list of pods")?)).collect();
        let left = all.iter().filter(|p| leaves(p)).count();
        let ending = all.iter().filter(|p| p["metadata"]["deletionTimestamp"].is_string()).count();
        let state = match ready {
            Some("True") => "ready",
            Some("False") => "not ready",
            _ => "of unknown state",
        };
        let closed = if cordoned { "closed to new pods" } else { "open to new pods" };
        let result = json!({
            // Unknown is neither.
            "ready": ready.filter(|r| *r != "Unknown").map(|r| r == "True"),
            "cordoned": cordoned, "pressure": pressure, "pods": all.len(), "pods_to_drain": left, "ending": ending,
            "drained": cordoned && left == 0 && ending == 0,
        });
        Ok((result, format!("{state}, {closed}; {left} pods a drain would move, {ending} ending")))
    }
}

impl Look for Diff {
    fn spec(&self) -> &'static VerbSpec {
        &DIFF
    }

    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError> {
        let (namespace, name) = (args.namespace("namespace")?, args.name("deployment")?);
        let base = format!("/apis/apps/v1/namespaces/{namespace}");
        let paths = vec![format!("{base}/deployments/{name}"), format!("{base}/replicasets?limit=250")];
        let by_hand = format!("kubectl -n {namespace} rollout history deployment/{name} --revision=N");
        Ok((paths, format!("Deployment {namespace}/{name}"), by_hand))
    }

    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String> {
        let deployment = present(seen, 0, "Deployment")?;
        let history = history(deployment, listed(seen.get(1).and_then(Option::as_ref)));
        let now = revision(deployment);
        let before = history.iter().find(|(n, _)| Some(*n) < now);
        let Some((number, set)) = before else {
            let kept = json!({"revision": now, "previous": null, "changed": []});
            return Ok((kept, "no earlier revision is kept".into()));
        };
        let mut old = set["spec"]["template"].clone();
        if let Some(labels) = old.pointer_mut("/metadata/labels").and_then(Value::as_object_mut) {
            labels.remove("pod-template-hash");
        }
        let mut changed = Vec::new();
        compare("", &old, &deployment["spec"]["template"], &mut changed);
        let (was, is) = (images(&old), images(&deployment["spec"]["template"]));
        let more = changed.len();
        let words = format!(
            "revision {} against {number}: {more} values differ; image {is}, before {was}",
            now.map_or("?".to_owned(), |n| n.to_string())
        );
        let result = json!({
            "revision": now, "previous": number, "changed": changed.into_iter().take(100).collect::<Vec<_>>(),
            "differs": more, "image": sanitize(&is), "previous_image": sanitize(&was),
        });
        Ok((result, words))
    }
}

/// Paths of values that differ. A value of an environment variable may be a secret: only its path is told.
fn compare(at: &str, old: &Value, new: &Value, out: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                let (a, b) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                compare(&format!("{at}.{}", sanitize(key)), a, b, out);
            }
        }
        (Value::Array(a), Value::Array(b)) => {
            for i in 0..a.len().max(b.len()) {
                let (a, b) = (a.get(i).unwrap_or(&Value::Null), b.get(i).unwrap_or(&Value::Null));
                compare(&format!("{at}[{i}]"), a, b, out);
            }
        }
        (a, b) if a == b => {}
        _ => out.push(at.trim_start_matches('.').to_owned()),
    }
}
