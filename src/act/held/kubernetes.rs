//! Rights on an API server, by `SelfSubjectAccessReview`: in the whole cluster, else in each tenant's namespace. Of a cluster
//! that is acted on in the names of people each of them is asked about; see [`super::impersonation`].

use super::{ALLOWED, Found, impersonation};
use crate::act::kubernetes::{CLUSTER_WIDE, Clusters, open_to_act};
use crate::config::model::Kubernetes;
use crate::domain::estate::Estate;
use crate::domain::facts::Missing;
use crate::domain::id::Person;
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::kubernetes::link::{Fault, Link};
use futures::future::try_join_all;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// An answer is a few hundred bytes.
const LONGEST: usize = 1 << 20;

/// What no verb needs and what reaches far, as group, resource, verb and words.
const BEYOND: [(&str, &str, &str, &str); 10] = [
    ("*", "*", "*", "everything in the cluster"),
    ("", "secrets", "list", "every secret"),
    ("", "pods/exec", "create", "programs in any pod"),
    ("", "pods", "create", "new pods anywhere"),
    ("", "nodes/proxy", "get", "the kubelets"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "create", "rights for anybody"),
    ("", "users", "impersonate", "to be anybody"),
    ("", "groups", "impersonate", "to be in any group"),
    ("", "serviceaccounts", "impersonate", "to be any service account"),
    ("", "namespaces", "delete", "to delete namespaces"),
];

/// Verbs of the API by group and resource, each with the verbs of this program that need it.
type Rights = BTreeMap<(&'static str, &'static str), BTreeMap<&'static str, BTreeSet<&'static str>>>;

/// Somebody who is asked about, with the way to ask as them.
pub(super) struct Login {
    /// In sentences: `the user that acts`, or a person as the cluster names them.
    pub who: String,
    pub link: Link,
    /// Which rights they need: those of acting, or those of looking.
    pub acts: bool,
}

/// What the verbs need, of the groups that the server has: what it does not have needs no right.
pub(super) fn needed(acts: bool, served: &BTreeSet<String>) -> Rights {
    let mut needed = Rights::new();
    for (spec, rights) in crate::act::rights() {
        let there = rights.iter().filter(|r| r.acts == acts && (r.group.is_empty() || served.contains(r.group)));
        for right in there {
            let verbs = needed.entry((right.group, right.resource)).or_default();
            for verb in right.verbs {
                verbs.entry(verb).or_default().insert(spec.name);
            }
        }
    }
    needed
}

/// Asks as who looks and as who acts, which are the people where it is acted on in their names.
pub(super) async fn ask(cluster: &Kubernetes, estate: &Estate, people: &[Person]) -> Result<Found, Failure> {
    let clusters = Clusters::new(std::slice::from_ref(cluster));
    let own = Kubernetes { impersonate: None, ..cluster.clone() };
    let (looks, acts) = (clusters.open_to_look(&cluster.id).await?, open_to_act(&own, ALLOWED, None).await?);
    let looks = Login { who: "the user that looks".into(), link: looks, acts: false };
    let acts = Login { who: "the user that acts".into(), link: acts, acts: true };
    let served = served(&looks.link).await?;
    let places: Vec<&str> = estate.namespaces_in(&cluster.id).map(|(_, place)| place.name.as_str()).collect();
    let (mut found, logins) = match &cluster.impersonate {
        None => (Found::default(), vec![looks, acts]),
        Some(impersonate) => {
            let (found, named) = impersonation::ask(cluster, impersonate, (&acts, &served), people).await?;
            let rest = [looks].into_iter().chain(named);
            let mut found = found;
            found.excess.extend(excess(&acts).await?);
            (found, rest.collect())
        }
    };
    let lacks = try_join_all(logins.iter().map(|login| lacking(login, &served, &places))).await?;
    // What several people lack is one gap.
    let mut gaps: BTreeMap<_, (BTreeSet<&str>, Vec<&str>)> = BTreeMap::new();
    for (login, (asked, lacks)) in logins.iter().zip(lacks) {
        found.asked += asked;
        for ((group, resource), verbs) in lacks {
            found.lacking += verbs.len();
            let key = (!login.acts, group, resource, verbs.keys().copied().collect::<Vec<_>>());
            let (needs, who) = gaps.entry(key).or_default();
            needs.extend(verbs.into_values().flatten());
            who.push(&login.who);
        }
    }
    found.missing.extend(gaps.into_iter().map(|((_, group, resource, verbs), (needs, who))| Missing {
        disables: needs.into_iter().collect::<Vec<_>>().join(", "),
        remedy: rule(&who.join(", "), (group, resource, &verbs.join(", ")), ""),
    }));
    for more in try_join_all(logins.iter().map(excess)).await? {
        found.excess.extend(more);
    }
    Ok(found)
}

/// What would give somebody a right.
pub(super) fn rule(who: &str, (group, resource, verbs): (&str, &str, &str), name: &str) -> String {
    let group = if group.is_empty() { "\"\"" } else { group };
    let names = if name.is_empty() { String::new() } else { format!(", resourceNames: [{name:?}]") };
    format!("give {who} the rule {{apiGroups: [{group}], resources: [{resource}]{names}, verbs: [{verbs}]}}")
}

/// How many rights a login needs, and those that it lacks.
async fn lacking(login: &Login, served: &BTreeSet<String>, places: &[&str]) -> Result<(usize, Rights), Failure> {
    let (mut asked, mut lacks) = (0, needed(login.acts, served));
    for (&(group, resource), verbs) in &mut lacks {
        asked += verbs.len();
        let mut lacked = BTreeMap::new();
        for (verb, needs) in std::mem::take(verbs) {
            if !everywhere(&login.link, (group, resource, verb), places).await? {
                lacked.insert(verb, needs);
            }
        }
        *verbs = lacked;
    }
    lacks.retain(|_, verbs| !verbs.is_empty());
    Ok((asked, lacks))
}

/// Whether a right is held in the whole cluster or in each of the namespaces.
async fn everywhere(link: &Link, one: (&str, &str, &str), places: &[&str]) -> Result<bool, Failure> {
    if review(link, "", one, "").await? {
        return Ok(true);
    }
    if CLUSTER_WIDE.contains(&one.1) || places.is_empty() {
        return Ok(false);
    }
    for place in places {
        if !review(link, place, one, "").await? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What a login may that nothing here needs.
async fn excess(login: &Login) -> Result<Vec<String>, Failure> {
    let mut excess = Vec::new();
    for (group, resource, verb, what) in BEYOND {
        if review(&login.link, "", (group, resource, verb), "").await? {
            excess.push(format!("{}: {what}", login.who));
            // Who may do everything may do the rest.
            if group == "*" {
                break;
            }
        }
    }
    Ok(excess)
}

/// The API groups that the server has.
async fn served(link: &Link) -> Result<BTreeSet<String>, Failure> {
    let body = link.get("/apis", LONGEST).await.map_err(Fault::into_failure)?;
    let groups: Value = parsed(link, &body)?;
    let names = groups.get("groups").and_then(Value::as_array).into_iter().flatten();
    Ok(names.filter_map(|g| g.get("name")?.as_str().map(str::to_owned)).collect())
}

/// Whether a right is held; in a namespace and for an object of a name, or for all of them where these are empty.
pub(super) async fn review(
    link: &Link,
    namespace: &str,
    (group, resource, verb): (&str, &str, &str),
    name: &str,
) -> Result<bool, Failure> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({
        "namespace": namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb,
        "name": name,
    });
    let body = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
        "spec": { "resourceAttributes": attributes },
    });
    let request = http::Request::post(REVIEWS).header("content-type", "application/json");
    let request = request.body(body.to_string().into_bytes());
    let request = request.map_err(|e| link.failure(FailureKind::Local, &format!("no request: {e}")))?;
    let response = link.send(request).await.map_err(Fault::into_failure)?;
    let body = link.body(response, LONGEST).await.map_err(Fault::into_failure)?;
    let answer: Value = parsed(link, &body)?;
    let allowed = answer.pointer("/status/allowed").and_then(Value::as_bool);
    allowed.ok_or_else(|| link.failure(FailureKind::Protocol, "the access review has no answer"))
}

fn parsed(link: &Link, body: &[u8]) -> Result<Value, Failure> {
    serde_json::from_slice(body).map_err(|_| link.failure(FailureKind::Protocol, "the answer is no JSON"))
}
