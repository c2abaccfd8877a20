//! Rights, network policies, namespaces, storage classes and the names of secrets of a cluster, from paged lists. Of
//! secrets only the metadata is asked for: what is in them never leaves the server.

use super::powers;
use crate::domain::baseline::{Aspect, Lines, Seen, add};
use crate::domain::facts::Missing;
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::{in_url, sanitize};
use crate::observe::kubernetes::link::{Fault, Link};
use http::Request;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Objects a page, and pages of one kind at most.
const PAGE: usize = 500;
const PAGES: usize = 40;
/// Bytes of one page at most.
const PAGE_BYTES: usize = 8 << 20;

const JSON: &str = "application/json";
/// Metadata alone (<https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>).
const METADATA: &str = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";

/// Group and resource of what is listed, but for secrets: who may list them may read them.
pub const LISTS: [(&str, &str); 7] = [
    ("rbac.authorization.k8s.io", "roles"),
    ("rbac.authorization.k8s.io", "clusterroles"),
    ("rbac.authorization.k8s.io", "rolebindings"),
    ("rbac.authorization.k8s.io", "clusterrolebindings"),
    ("networking.k8s.io", "networkpolicies"),
    ("", "namespaces"),
    ("storage.k8s.io", "storageclasses"),
];

/// A list that could not be had.
enum Refused {
    /// The right to it is missing.
    Right { group: &'static str, resource: &'static str },
    /// The server does not answer.
    Failed(Failure),
}

/// Reads these aspects.
pub(super) async fn read(link: &Link, aspects: &[Aspect]) -> Result<Seen, Failure> {
    let mut seen = Seen::default();
    for aspect in aspects {
        let lines = match aspect {
            Aspect::Rights => rights(link).await,
            Aspect::NetworkPolicies => {
                of_each(link, "networking.k8s.io", "v1", "networkpolicies", JSON, |object| digest(object.get("spec")))
                    .await
            }
            Aspect::Namespaces => of_each(link, "", "v1", "namespaces", METADATA, |_| String::new()).await,
            Aspect::StorageClasses => of_each(link, "storage.k8s.io", "v1", "storageclasses", JSON, class).await,
            Aspect::Secrets => of_each(link, "", "v1", "secrets", METADATA, |_| String::new()).await,
            _ => continue,
        };
        match lines {
            Ok(lines) => drop(seen.read.insert(*aspect, lines)),
            Err(Refused::Failed(failure)) => return Err(failure),
            Err(Refused::Right { group, resource }) => {
                let disables = format!("whether {} are as approved", aspect.key().replace('_', " "));
                let remedy = format!(
                    "ClusterRole rule: apiGroups: [\"{group}\"], resources: [\"{resource}\"], verbs: [\"list\"]"
                );
                seen.unread.insert(*aspect, Missing { disables, remedy });
            }
        }
    }
    Ok(seen)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// `namespace/name`, or the name of what is in no namespace.
fn name(object: &Value) -> String {
    let (namespace, name) = (text(object, "/metadata/namespace"), text(object, "/metadata/name"));
    if namespace.is_empty() { name.to_owned() } else { format!("{namespace}/{name}") }
}

async fn of_each(
    link: &Link,
    group: &'static str,
    version: &str,
    resource: &'static str,
    accept: &str,
    has: impl Fn(&Value) -> String,
) -> Result<Lines, Refused> {
    let mut lines = Lines::new();
    for object in list(link, group, version, resource, accept).await? {
        add(&mut lines, sanitize(&name(&object)), sanitize(&has(&object)));
    }
    Ok(lines)
}

/// All objects of a kind; none where the server does not have it.
async fn list(
    link: &Link,
    group: &'static str,
    version: &str,
    resource: &'static str,
    accept: &str,
) -> Result<Vec<Value>, Refused> {
    let root = if group.is_empty() { format!("/api/{version}") } else { format!("/apis/{group}/{version}") };
    let (mut all, mut next) = (Vec::new(), String::new());
    for _ in 0..PAGES {
        let path = format!("{root}/{resource}?limit={PAGE}&continue={next}");
        let page = match page(link, &path, accept).await {
            Ok(page) => page,
            Err(fault) => match fault.code() {
                Some(404) if all.is_empty() => return Ok(all),
                Some(403) => return Err(Refused::Right { group, resource }),
                _ => return Err(Refused::Failed(fault.into_failure())),
            },
        };
        let mut page = page;
        match page.get_mut("items").map(Value::take) {
            Some(Value::Array(items)) => all.extend(items),
            _ => {
                let why = format!("the list of {resource} is none");
                return Err(Refused::Failed(link.failure(FailureKind::Protocol, &why)));
            }
        }
        next = in_url(text(&page, "/metadata/continue"));
        if next.is_empty() {
            return Ok(all);
        }
    }
    let why = format!("there are more than {} {resource}; they are not compared", PAGE * PAGES);
    Err(Refused::Failed(link.failure(FailureKind::Protocol, &why)))
}

async fn page(link: &Link, path: &str, accept: &str) -> Result<Value, Fault> {
    let request = Request::get(path).header("accept", accept).body(Vec::new()).map_err(|e| {
        Fault::NotSent(Failure::new(FailureKind::Local, format!("{path} is not a path that can be asked for: {e}")))
    })?;
    let body = link.body(link.send(request).await?, PAGE_BYTES).await?;
    serde_json::from_slice(&body)
        .map_err(|_| Fault::Lost(link.failure(FailureKind::Protocol, &format!("the answer to {path} is no JSON"))))
}

/// The first half of the SHA-256 of a spec, enough to see that it is another one.
fn digest(spec: Option<&Value>) -> String {
    let bytes = spec.and_then(|spec| serde_json::to_vec(spec).ok()).unwrap_or_default();
    let digest = Sha256::digest(&bytes);
    digest.iter().take(16).fold("sha256-".to_owned(), |hex, byte| hex + &format!("{byte:02x}"))
}

fn class(object: &Value) -> String {
    let default = object.pointer("/metadata/annotations/storageclass.kubernetes.io~1is-default-class");
    let mut words: Vec<&str> =
        [text(object, "/provisioner"), text(object, "/reclaimPolicy"), text(object, "/volumeBindingMode")]
            .into_iter()
            .filter(|word| !word.is_empty())
            .collect();
    if default.and_then(Value::as_str) == Some("true") {
        words.push("default");
    }
    words.join(" ")
}

/// Everybody to whom a role with such a right is bound.
async fn rights(link: &Link) -> Result<Lines, Refused> {
    const GROUP: &str = "rbac.authorization.k8s.io";
    let mut roles: HashMap<String, String> = HashMap::new();
    for (resource, kind) in [("clusterroles", "clusterrole"), ("roles", "role")] {
        for object in list(link, GROUP, "v1", resource, JSON).await? {
            let words = powers::words(object.get("rules").unwrap_or(&Value::Null));
            if !words.is_empty() {
                roles.insert(format!("{kind}/{}", name(&object)), words);
            }
        }
    }
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for resource in ["clusterrolebindings", "rolebindings"] {
        for object in list(link, GROUP, "v1", resource, JSON).await? {
            bound(&object, &roles, &mut all);
        }
    }
    let mut lines = Lines::new();
    for (name, words) in all {
        add(&mut lines, sanitize(&name), words.into_iter().collect::<Vec<_>>().join(" "));
    }
    Ok(lines)
}

fn bound(binding: &Value, roles: &HashMap<String, String>, all: &mut BTreeMap<String, BTreeSet<String>>) {
    let space = text(binding, "/metadata/namespace");
    let (kind, role) = (text(binding, "/roleRef/kind"), text(binding, "/roleRef/name"));
    let key = if kind == "Role" { format!("role/{space}/{role}") } else { format!("clusterrole/{role}") };
    let Some(words) = roles.get(&key) else { return };
    let place = if space.is_empty() { "everywhere".to_owned() } else { format!("in {space}") };
    for subject in binding.get("subjects").and_then(Value::as_array).into_iter().flatten() {
        let kind = text(subject, "/kind").to_ascii_lowercase();
        let who = match text(subject, "/namespace") {
            "" => text(subject, "/name").to_owned(),
            namespace => format!("{namespace}/{}", text(subject, "/name")),
        };
        let name =
            format!("{kind} {who} as {}/{role} {place}", if key.starts_with("role/") { "role" } else { "clusterrole" });
        all.entry(name).or_default().extend(words.split(' ').map(str::to_owned));
    }
}
