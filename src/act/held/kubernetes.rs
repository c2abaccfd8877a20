//! Rights on an API server, by `SelfSubjectAccessReview`: in the whole cluster, else in each tenant's namespace.

use super::{ALLOWED, Found};
use crate::act::kubernetes::{CLUSTER_WIDE, Clusters};
use crate::act::rights::Right;
use crate::config::model::Kubernetes;
use crate::domain::estate::Estate;
use crate::domain::facts::Missing;
use crate::domain::request::VerbSpec;
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::kubernetes::link::{Fault, Link};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// An answer is a few hundred bytes.
const LONGEST: usize = 1 << 20;

/// What no verb needs and what reaches far, as group, resource, verb and words.
const BEYOND: [(&str, &str, &str, &str); 8] = [
    ("*", "*", "*", "everything in the cluster"),
    ("", "secrets", "list", "every secret"),
    ("", "pods/exec", "create", "programs in any pod"),
    ("", "pods", "create", "new pods anywhere"),
    ("", "nodes/proxy", "get", "the kubelets"),
    ("rbac.authorization.k8s.io", "clusterrolebindings", "create", "rights for anybody"),
    ("", "users", "impersonate", "to be anybody"),
    ("", "namespaces", "delete", "to delete namespaces"),
];

/// One right of one login, and the verbs that need it.
type Needed = BTreeMap<(bool, &'static str, &'static str, &'static str), BTreeSet<&'static str>>;

/// What is lacking on one resource.
#[derive(Default)]
struct Lacking {
    /// Verbs of the API.
    verbs: BTreeSet<&'static str>,
    /// Verbs of this program that need them.
    needs: BTreeSet<&'static str>,
}

fn needed(all: impl Iterator<Item = (&'static VerbSpec, &'static [Right])>) -> Needed {
    let mut needed = Needed::new();
    for (spec, rights) in all {
        for right in rights {
            for verb in right.verbs {
                let key = (right.acts, right.group, right.resource, *verb);
                needed.entry(key).or_default().insert(spec.name);
            }
        }
    }
    needed
}

/// Asks as both logins.
pub(super) async fn ask(cluster: &Kubernetes, estate: &Estate) -> Result<Found, Failure> {
    let clusters = Clusters::new(std::slice::from_ref(cluster));
    let looks = clusters.open_to_look(&cluster.id).await?;
    let acts = clusters.open_as_actor(&cluster.id, ALLOWED).await?;
    let served = served(&looks).await?;
    let places: Vec<&str> = estate.namespaces_in(&cluster.id).map(|(_, place)| place.name.as_str()).collect();
    let mut lacking: BTreeMap<(bool, &str, &str), Lacking> = BTreeMap::new();
    let (mut asked, mut lacks) = (0, 0);
    for ((acts_with, group, resource, verb), verbs) in needed(crate::act::rights()) {
        // What the server does not have needs no right.
        if !group.is_empty() && !served.contains(group) {
            continue;
        }
        asked += 1;
        let link = if acts_with { &acts } else { &looks };
        let mut allowed = review(link, "", (group, resource, verb)).await?;
        if !allowed && !CLUSTER_WIDE.contains(&resource) && !places.is_empty() {
            allowed = true;
            for place in &places {
                allowed &= review(link, place, (group, resource, verb)).await?;
            }
        }
        if !allowed {
            lacks += 1;
            let entry = lacking.entry((acts_with, group, resource)).or_default();
            entry.verbs.insert(verb);
            entry.needs.extend(verbs);
        }
    }
    let said = |((acts, group, resource), lacking): ((bool, &str, &str), Lacking)| {
        let who = if acts { "acts" } else { "looks" };
        let group = if group.is_empty() { "\"\"" } else { group };
        let listed = |all: BTreeSet<&str>| all.into_iter().collect::<Vec<_>>().join(", ");
        Missing {
            disables: listed(lacking.needs),
            remedy: format!(
                "give the user that {who} the rule {{apiGroups: [{group}], resources: [{resource}], verbs: [{}]}}",
                listed(lacking.verbs)
            ),
        }
    };
    let mut excess = Vec::new();
    for (link, who) in [(&looks, "looks"), (&acts, "acts")] {
        for (group, resource, verb, what) in BEYOND {
            if review(link, "", (group, resource, verb)).await? {
                excess.push(format!("the user that {who}: {what}"));
                // Who may do everything may do the rest.
                if group == "*" {
                    break;
                }
            }
        }
    }
    Ok(Found { asked, lacking: lacks, missing: lacking.into_iter().map(said).collect(), excess })
}

/// The API groups that the server has.
async fn served(link: &Link) -> Result<BTreeSet<String>, Failure> {
    let body = link.get("/apis", LONGEST).await.map_err(Fault::into_failure)?;
    let groups: Value = parsed(link, &body)?;
    let names = groups.get("groups").and_then(Value::as_array).into_iter().flatten();
    Ok(names.filter_map(|g| g.get("name")?.as_str().map(str::to_owned)).collect())
}

async fn review(link: &Link, namespace: &str, (group, resource, verb): (&str, &str, &str)) -> Result<bool, Failure> {
    let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
    let attributes = json!({
        "namespace": namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb,
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
