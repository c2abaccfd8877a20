//! What rules of Kubernetes' RBAC amount to, in a few words: rights with which somebody gets at what is not theirs
//! (<https://kubernetes.io/docs/concepts/security/rbac-good-practices/#privilege-escalation-risks>).

use serde_json::Value;
use std::collections::BTreeSet;

/// The words for one rule.
fn of_rule(rule: &Value, out: &mut BTreeSet<&'static str>) {
    let has = |key: &str, wanted: &[&str]| {
        let list = rule.get(key).and_then(Value::as_array);
        list.is_some_and(|list| list.iter().filter_map(Value::as_str).any(|one| one == "*" || wanted.contains(&one)))
    };
    let group = |name: &str| has("apiGroups", &[name]);
    let resource = |names: &[&str]| has("resources", names);
    let verb = |names: &[&str]| has("verbs", names);
    let all = |key: &str| has(key, &[]);
    // Only what names objects: a rule about paths of the API server alone has no resources.
    if all("apiGroups") && all("resources") && all("verbs") {
        out.insert("everything");
        return;
    }
    let changes = ["create", "update", "patch"];
    let mut when = |holds: bool, word: &'static str| {
        if holds {
            out.insert(word);
        }
    };
    when(group("") && resource(&["secrets"]) && verb(&["get", "list", "watch"]), "reads-secrets");
    let inside = ["pods/exec", "pods/attach", "pods/ephemeralcontainers"];
    when(group("") && resource(&inside) && verb(&["create", "get", "update", "patch"]), "enters-pods");
    when(group("") && resource(&["nodes/proxy"]) && verb(&["create", "get"]), "reaches-kubelets");
    when(group("") && resource(&["serviceaccounts/token"]) && verb(&["create"]), "makes-tokens");
    let others = resource(&["users", "groups", "serviceaccounts"]) && (group("") || group("authentication.k8s.io"));
    when(others && verb(&["impersonate"]), "acts-as-others");
    let rights = ["roles", "clusterroles", "rolebindings", "clusterrolebindings"];
    let edits = [&changes[..], &["delete", "bind", "escalate"]].concat();
    when(group("rbac.authorization.k8s.io") && resource(&rights) && verb(&edits), "edits-rights");
    let hooks = ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"];
    when(group("admissionregistration.k8s.io") && resource(&hooks) && verb(&changes), "edits-admission");
    let signing = ["certificatesigningrequests/approval", "signers"];
    when(
        group("certificates.k8s.io") && resource(&signing) && verb(&["update", "patch", "approve"]),
        "signs-certificates",
    );
    let policies = ["networkpolicies"];
    let edits = [&changes[..], &["delete", "deletecollection"]].concat();
    when(group("networking.k8s.io") && resource(&policies) && verb(&edits), "edits-network-policies");
}

/// The words for all rules of a role, `everything` alone where that is so; empty for a role without such a right.
pub(super) fn words(rules: &Value) -> String {
    let mut out = BTreeSet::new();
    for rule in rules.as_array().into_iter().flatten() {
        of_rule(rule, &mut out);
    }
    if out.contains("everything") {
        return "everything".to_owned();
    }
    out.into_iter().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
        json!([{"apiGroups": groups, "resources": resources, "verbs": verbs}])
    }

    #[test]
    fn rights_that_lead_to_more_are_named_and_ordinary_ones_are_not() {
        for (rules, wanted) in [
            (rule(&["*"], &["*"], &["*"]), "everything"),
            (rule(&[""], &["secrets"], &["list"]), "reads-secrets"),
            (rule(&[""], &["secrets"], &["delete"]), ""),
            (rule(&[""], &["pods", "pods/exec"], &["create"]), "enters-pods"),
            (rule(&[""], &["pods"], &["create"]), ""),
            (rule(&[""], &["*"], &["get"]), "enters-pods reaches-kubelets reads-secrets"),
            (rule(&["apps"], &["*"], &["*"]), ""),
            (rule(&[""], &["users"], &["impersonate"]), "acts-as-others"),
            (rule(&["rbac.authorization.k8s.io"], &["clusterroles"], &["bind"]), "edits-rights"),
            (rule(&["rbac.authorization.k8s.io"], &["clusterroles"], &["get"]), ""),
            (rule(&[""], &["serviceaccounts/token"], &["create"]), "makes-tokens"),
            (rule(&["networking.k8s.io"], &["networkpolicies"], &["delete"]), "edits-network-policies"),
            (json!([{"nonResourceURLs": ["*"], "verbs": ["*"]}]), ""),
            (json!(null), ""),
            (json!([{"apiGroups": 7, "resources": {}, "verbs": ["*"]}]), ""),
        ] {
            assert_eq!(words(&rules), wanted, "{rules}");
        }
    }
}
