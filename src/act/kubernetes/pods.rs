//! Pods that are to go: evicted one by one, or deleted where no disruption budget stands over them.

use super::object::{Args, Asked, Found, Plan, Planned, Read, Scope, delete_pod, evict};
use super::{CLUSTER, NAMESPACE};
use crate::act::rights::Right;
use crate::domain::ports::VerbError;
use crate::domain::request::{ArgSpec, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use serde_json::Value;

const POD: ArgSpec = ArgSpec { name: "pod", required: true, what: "name of the pod" };

/// What it declares.
pub static EVICT_POD: VerbSpec = VerbSpec {
    name: "kubernetes.evict_pod",
    what: "ends a pod where its disruption budget allows it; its controller starts another one",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[CLUSTER, NAMESPACE, POD],
};

/// What it declares.
pub static DELETE_POD: VerbSpec = VerbSpec {
    name: "kubernetes.delete_pod",
    what: "deletes a pod; under a disruption budget it is evicted instead",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[
        CLUSTER,
        NAMESPACE,
        POD,
        ArgSpec { name: "grace_seconds", required: false, what: "seconds that it has to end; its own by default" },
    ],
};

/// What they need.
pub static RIGHTS: &[Right] = &[
    Right::look("", "pods", &["get"]),
    Right::look("policy", "poddisruptionbudgets", &["list"]),
    Right::act("", "pods/eviction", &["create"]),
    Right::act("", "pods", &["delete"]),
];

/// What eviction alone needs.
pub static EVICT_RIGHTS: &[Right] = &[Right::look("", "pods", &["get"]), Right::act("", "pods/eviction", &["create"])];

/// Either verb.
pub(super) struct EndPod(pub &'static VerbSpec);

impl EndPod {
    fn deletes(&self) -> bool {
        self.0.name == DELETE_POD.name
    }
}

impl Plan for EndPod {
    fn spec(&self) -> &'static VerbSpec {
        self.0
    }

    fn reads(&self, args: Args<'_>, _: &Found) -> Result<Vec<Read>, VerbError> {
        let (namespace, pod) = (args.namespace("namespace")?, args.name("pod")?);
        let mut reads = vec![Read::new("pod", format!("/api/v1/namespaces/{namespace}/pods/{pod}"))];
        if self.deletes() {
            let budgets = format!("/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets?limit=250");
            reads.push(Read::new("budgets", budgets));
        }
        Ok(reads)
    }

    fn plan(&self, asked: &Asked<'_>) -> Result<Planned, VerbError> {
        let (namespace, name) = (asked.args.namespace("namespace")?, asked.args.name("pod")?);
        let grace = asked.args.opt_number("grace_seconds")?;
        let pod = asked.object("pod", &format!("pod {namespace}/{name}"))?;
        let metadata = &pod["metadata"];
        if metadata["deletionTimestamp"].is_string() {
            return Err(VerbError::new(format!("pod {namespace}/{name} is ending already")));
        }
        let over = asked.list("budgets").find(|b| selects(&b["spec"]["selector"], &metadata["labels"]));
        let budget = over.and_then(|b| b["metadata"]["name"].as_str());
        let evicted = !self.deletes() || budget.is_some();
        let owner = metadata["ownerReferences"].as_array().into_iter().flatten().find(|o| o["controller"] == true);
        let owner = owner.and_then(|o| Some(format!("{} {}", o["kind"].as_str()?, o["name"].as_str()?)));
        let after = owner.as_ref().map_or("nothing starts it again".to_owned(), |o| format!("{o} starts another one"));
        let how = match (evicted, budget) {
            (true, Some(budget)) => format!("evicted, since the budget {budget} stands over it"),
            (true, None) => "evicted".to_owned(),
            (false, _) => "deleted".to_owned(),
        };
        let call = if evicted { evict(pod) } else { delete_pod(pod, grace) };
        Ok(Planned {
            object: format!("pod {namespace}/{name}, uid {}", metadata["uid"].as_str().unwrap_or_default()),
            count: 1,
            scope: Scope::Namespaces(vec![namespace.to_owned()]),
            calls: vec![call],
            hurts: format!("pod {name} is {how}; what runs on it ends with it; {after}"),
            undo: format!("can not be taken back; {after}"),
            by_hand: if evicted {
                // kubectl has no command for one eviction.
                format!(
                    "kubectl create --raw /api/v1/namespaces/{namespace}/pods/{name}/eviction -f - <<< \
                     '{{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{{\"name\":\"{name}\",\
                     \"namespace\":\"{namespace}\"}}}}'"
                )
            } else {
                let grace = grace.map(|g| format!(" --grace-period={g}")).unwrap_or_default();
                format!("kubectl -n {namespace} delete pod {name} --wait=false{grace}")
            },
        })
    }
}

/// Whether a label selector selects these labels. An empty selector selects all
/// (<https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/pod-disruption-budget-v1/>); one that can not
/// be read counts as selecting, since an eviction is the safer of the two.
fn selects(selector: &Value, labels: &Value) -> bool {
    if selector.is_null() {
        return false;
    }
    let pairs = selector["matchLabels"].as_object().into_iter().flatten();
    let by_label = pairs.into_iter().all(|(key, value)| labels[key] == *value);
    let by_rule = selector["matchExpressions"].as_array().into_iter().flatten().all(|rule| {
        let value = rule["key"].as_str().map_or(&Value::Null, |key| &labels[key]);
        let among = rule["values"].as_array().is_some_and(|all| all.contains(value));
        match rule["operator"].as_str() {
            Some("In") => among,
            Some("NotIn") => !among,
            Some("Exists") => !value.is_null(),
            Some("DoesNotExist") => value.is_null(),
            _ => true,
        }
    });
    by_label && by_rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_budget_is_found_by_its_selector() {
        let labels = json!({"app": "odoo", "tier": "web"});
        assert!(!selects(&Value::Null, &labels));
        assert!(selects(&json!({}), &labels));
        assert!(selects(&json!({"matchLabels": {"app": "odoo"}}), &labels));
        assert!(!selects(&json!({"matchLabels": {"app": "odoo", "tier": "db"}}), &labels));
        let rule = |operator: &str, key: &str, values: Value| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        assert!(selects(&rule("In", "tier", json!(["web"])), &labels));
        assert!(!selects(&rule("NotIn", "tier", json!(["web"])), &labels));
        assert!(selects(&rule("Exists", "tier", json!([])), &labels));
        assert!(selects(&rule("DoesNotExist", "zone", json!([])), &labels));
        assert!(!selects(&rule("DoesNotExist", "tier", json!([])), &labels));
    }
}
