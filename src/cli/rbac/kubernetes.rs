//! Roles of a cluster: one for the login that looks, one for the login that acts, and their bindings.

use super::Wanted;
use crate::act::kubernetes::{CLUSTER_WIDE, EXTRA};
use crate::config::model::{Config, Impersonate, Kubernetes, SecretRef};
use crate::domain::estate::Estate;
use crate::domain::id::Person;
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
    let actors = match &cluster.impersonate {
        None => vec![Subject::of(act_as)],
        Some(impersonate) => in_whose_names(impersonate, wanted.people),
    };
    let who = if cluster.impersonate.is_some() { "who acts in the names of people" } else { "who acts" };
    let mut out = format!(
        "# {}: the least rights of {look_as}, who looks, and of {act_as}, {who} by {counted} verbs.\n\
         # Made by `quarterdeck rbac`; `kubectl apply -f` takes it.\n",
        cluster.id
    );
    role(&mut out, "quarterdeck-look", &looks, true);
    bind(&mut out, None, "quarterdeck-look", &[Subject::of(look_as), Subject::of(act_as)]);
    if acts.is_empty() {
        return out;
    }
    if let Some(impersonate) = &cluster.impersonate {
        as_people(&mut out, impersonate, wanted.people);
        bind(&mut out, None, "quarterdeck-impersonate", &[Subject::of(act_as)]);
    }
    let places: Vec<&str> = estate.namespaces_in(&cluster.id).map(|(_, place)| place.name.as_str()).collect();
    if !wanted.asked.namespaced {
        role(&mut out, "quarterdeck-act", &acts, false);
        bind(&mut out, None, "quarterdeck-act", &actors);
        return out;
    }
    let (wide, narrow): (Rules, Rules) =
        acts.into_iter().partition(|((_, resource), _)| CLUSTER_WIDE.contains(resource));
    if !wide.is_empty() {
        role(&mut out, "quarterdeck-act-cluster", &wide, false);
        bind(&mut out, None, "quarterdeck-act-cluster", &actors);
    }
    out.push_str("# Bound in the tenants' namespaces only: what verbs do elsewhere (evictions of a drain, objects of Argo CD and Flux)\n# is refused by the API server.\n");
    role(&mut out, "quarterdeck-act", &narrow, false);
    for place in places {
        bind(&mut out, Some(place), "quarterdeck-act", &actors);
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

/// The right of who looks to read the Secrets that the configuration refers to, each by its name.
pub(super) fn secrets(cluster: &Kubernetes, config: &Config, wanted: &Wanted<'_>) -> String {
    let mut secrets: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, reference) in &config.secrets {
        if let SecretRef::Kubernetes(at) = reference
            && at.cluster == cluster.id
        {
            secrets.entry(&at.namespace).or_default().insert(&at.name);
        }
    }
    let mut out = String::new();
    for (namespace, names) in secrets {
        let listed: Vec<String> = names.into_iter().map(quoted).collect();
        let _ = write!(
            out,
            "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {{name: quarterdeck-secrets, namespace: {}}}\n\
             rules:\n- {{apiGroups: [\"\"], resources: [secrets], resourceNames: [{}], verbs: [get]}}\n\
             ---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\n\
             metadata: {{name: quarterdeck-secrets, namespace: {}}}\n\
             roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: quarterdeck-secrets}}\nsubjects:\n",
            quoted(namespace),
            listed.join(", "),
            quoted(namespace)
        );
        subject(&mut out, &Subject::of(&wanted.asked.look_as));
    }
    out
}

/// The group that people act in, else each of them.
fn in_whose_names(impersonate: &Impersonate, people: &[Person]) -> Vec<Subject> {
    match &impersonate.group {
        Some(group) => vec![Subject::Group(group.clone())],
        None => people.iter().filter_map(|person| impersonate.user(person).ok()).map(Subject::User).collect(),
    }
}

/// The right to act in the names of these people and of nobody else, and to say for which step.
fn as_people(out: &mut String, impersonate: &Impersonate, people: &[Person]) {
    let users: Vec<String> = people.iter().filter_map(|p| impersonate.user(p).ok()).map(|u| quoted(&u)).collect();
    if users.is_empty() {
        // A rule without names would be one for all names.
        out.push_str(
            "# The roster of policy.toml names nobody, so that nobody's name can be used: write them there first.\n",
        );
    }
    let _ = write!(
        out,
        "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {{name: quarterdeck-impersonate}}\nrules:\n"
    );
    for (resource, names) in
        [("users", users.join(", ")), ("groups", impersonate.group.as_deref().map(quoted).unwrap_or_default())]
    {
        if !names.is_empty() {
            let _ = writeln!(
                out,
                "- {{apiGroups: [\"\"], resources: [{resource}], resourceNames: [{names}], verbs: [impersonate]}}"
            );
        }
    }
    let extras = EXTRA.map(|key| format!("userextras/{key}")).join(", ");
    let _ = writeln!(out, "- {{apiGroups: [authentication.k8s.io], resources: [{extras}], verbs: [impersonate]}}");
}

/// Who a role is bound to.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    User(String),
    Group(String),
    Account { namespace: String, name: String },
}

impl Subject {
    /// As an option names them: `system:serviceaccount:NAMESPACE:NAME`, or a user.
    fn of(who: &str) -> Self {
        match who.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':')) {
            Some((namespace, name)) => Self::Account { namespace: namespace.to_owned(), name: name.to_owned() },
            None => Self::User(who.to_owned()),
        }
    }
}

/// Binds a role, in a namespace or in the whole cluster; to nobody there is nothing to bind.
fn bind(out: &mut String, place: Option<&str>, role: &str, who: &[Subject]) {
    if who.is_empty() {
        return;
    }
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
        subject(out, who);
    }
}

fn subject(out: &mut String, who: &Subject) {
    let (kind, name) = match who {
        Subject::Account { namespace, name } => {
            let (name, namespace) = (quoted(name), quoted(namespace));
            let _ = writeln!(out, "- {{kind: ServiceAccount, name: {name}, namespace: {namespace}}}");
            return;
        }
        Subject::User(name) => ("User", name),
        Subject::Group(name) => ("Group", name),
    };
    let _ = writeln!(out, "- {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {}}}", quoted(name));
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
