//! Roles of a cluster: one for the login that looks, one for the login that acts, and their bindings.

use super::Wanted;
use crate::act::kubernetes::CLUSTER_WIDE;
use crate::config::model::Kubernetes;
use crate::domain::estate::Estate;
use crate::observe::baseline::LISTS;
use crate::observe::kubernetes::rights;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Verbs of the API by group and resource.
type Rules = BTreeMap<(&'static str, &'static str), BTreeSet<&'static str>>;

/// The identity of a cluster is the UID of this namespace, and no other namespace is read.
const IDENTITY: &str = "kube-system";

/// The manifest; `compared` when it is compared with an approved baseline.
pub(super) fn manifest(cluster: &Kubernetes, (estate, compared): (&Estate, bool), wanted: &Wanted<'_>) -> String {
    let (mut looks, mut acts) = (Rules::new(), Rules::new());
    for (group, resource, verbs) in rights() {
        looks.entry((group, resource)).or_default().extend(verbs.iter().copied());
    }
    for (group, resource) in LISTS.into_iter().filter(|_| compared) {
        looks.entry((group, resource)).or_default().insert("list");
    }
    let mut counted = 0_usize;
    for (_, rights) in crate::act::rights().filter(|(spec, _)| wanted.verb(spec.name)) {
        counted += 1;
        for right in rights {
            let rules = if right.acts { &mut acts } else { &mut looks };
            rules.entry((right.group, right.resource)).or_default().extend(right.verbs.iter().copied());
        }
    }
    let (look_as, act_as) = (wanted.asked.look_as.as_str(), wanted.asked.act_as.as_str());
    let mut out = format!(
        "# {}: the least rights of {look_as}, who looks, and of {act_as}, who acts by {counted} verbs.\n\
         # Made by `quarterdeck rbac`; `kubectl apply -f` takes it.\n",
        cluster.id
    );
    role(&mut out, "quarterdeck-look", &looks, true);
    bind(&mut out, None, "quarterdeck-look", &[look_as, act_as]);
    if acts.is_empty() {
        return out;
    }
    let places: Vec<&str> = estate.namespaces_in(&cluster.id).map(|(_, place)| place.name.as_str()).collect();
    if !wanted.asked.namespaced {
        role(&mut out, "quarterdeck-act", &acts, false);
        bind(&mut out, None, "quarterdeck-act", &[act_as]);
        return out;
    }
    let (wide, narrow): (Rules, Rules) =
        acts.into_iter().partition(|((_, resource), _)| CLUSTER_WIDE.contains(resource));
    if !wide.is_empty() {
        role(&mut out, "quarterdeck-act-cluster", &wide, false);
        bind(&mut out, None, "quarterdeck-act-cluster", &[act_as]);
    }
    out.push_str("# Bound in the tenants' namespaces only: what verbs do elsewhere (evictions of a drain, objects of Argo CD and Flux)\n# is refused by the API server.\n");
    role(&mut out, "quarterdeck-act", &narrow, false);
    for place in places {
        bind(&mut out, Some(place), "quarterdeck-act", &[act_as]);
    }
    out
}

fn role(out: &mut String, name: &str, rules: &Rules, looks: bool) {
    let _ = write!(
        out,
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: {name}}}\nrules:\n"
    );
    if looks {
        let _ = writeln!(
            out,
            "- {{apiGroups: [\"\"], resources: [namespaces], resourceNames: [{IDENTITY}], verbs: [get]}}"
        );
    }
    for ((group, resource), verbs) in rules {
        let group = if group.is_empty() { "\"\"" } else { group };
        let verbs: Vec<&str> = verbs.iter().copied().collect();
        let _ = writeln!(out, "- {{apiGroups: [{group}], resources: [{resource}], verbs: [{}]}}", verbs.join(", "));
    }
}

/// Binds a role to users or service accounts, in a namespace or in the whole cluster.
fn bind(out: &mut String, place: Option<&str>, role: &str, who: &[&str]) {
    let (kind, place) = match place {
        Some(place) => ("RoleBinding", format!(", namespace: {}", quoted(place))),
        None => ("ClusterRoleBinding", String::new()),
    };
    let _ = write!(
        out,
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {role}{place}}}\n\
         roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {role}}}\nsubjects:\n"
    );
    for who in who.iter().collect::<BTreeSet<_>>() {
        let account = who.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
        let _ = match account {
            Some((namespace, name)) => {
                writeln!(out, "- {{kind: ServiceAccount, name: {}, namespace: {}}}", quoted(name), quoted(namespace))
            }
            None => writeln!(out, "- {{apiGroup: rbac.authorization.k8s.io, kind: User, name: {}}}", quoted(who)),
        };
    }
}

/// A name as a YAML scalar: JSON strings are.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    let is_plain = text.chars().all(plain) && text.starts_with(|c: char| c.is_ascii_alphabetic());
    // Words that YAML takes for something else than text.
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    if is_plain && !is_word { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
