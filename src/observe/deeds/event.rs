//! One line of an audit log (<https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/>): whether it tells of a
//! privileged action, and in which words.

use crate::domain::text::{is_among, sanitize};
use jiff::Timestamp;
use serde::Deserialize;

/// The members that are read.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Event {
    stage: String,
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    object_ref: Option<Object>,
    response_status: Option<Status>,
    request_received_timestamp: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct User {
    username: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    resource: String,
    namespace: String,
    name: String,
    api_group: String,
    subresource: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u16,
}

/// Parts of the control plane, whose work it is to read secrets and to write roles.
const CONTROL_PLANE: [&str; 6] = [
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:node:*",
    "system:serviceaccount:kube-system:*",
    "system:anonymous",
];

impl Event {
    /// When it was asked for.
    pub(super) const fn at(&self) -> Option<Timestamp> {
        self.request_received_timestamp
    }

    /// What was done, in words; `None` for what is ordinary, for what the control plane does, for users in `ignore`, and for
    /// what failed for another reason than a missing right.
    pub(super) fn deed(&self, ignore: &[String]) -> Option<String> {
        let who = self.user.username.as_str();
        // A session in a pod begins when its answer does, and ends hours later.
        if !matches!(self.stage.as_str(), "ResponseComplete" | "ResponseStarted")
            || is_among(who, &CONTROL_PLANE)
            || is_among(who, ignore)
        {
            return None;
        }
        let object = self.object_ref.as_ref()?;
        let does = self.does(object)?;
        let code = self.response_status.as_ref().map_or(0, |s| s.code);
        // What was let in tells of itself at its beginning, what was not only at its end.
        if (self.stage == "ResponseStarted") != (object.streams() && code < 400) {
            return None;
        }
        let refused = match code {
            403 => " (refused)",
            0..400 => "",
            _ => return None,
        };
        let name = [object.namespace.as_str(), object.name.as_str()].join("/");
        let name = name.trim_matches('/');
        let of = if name.is_empty() { String::new() } else { format!(" {name}") };
        let as_other = self.impersonated_user.as_ref().map_or_else(String::new, |u| format!(" as {}", u.username));
        Some(sanitize(&format!("{who}{as_other} {does}{of}{refused}")))
    }

    fn does(&self, object: &Object) -> Option<String> {
        let Object { resource, subresource, api_group, .. } = object;
        let writes = matches!(self.verb.as_str(), "create" | "update" | "patch" | "delete" | "deletecollection");
        let reads = matches!(self.verb.as_str(), "get" | "list" | "watch");
        let by_hand = !self.user.username.starts_with("system:serviceaccount:");
        let verb = match self.verb.as_str() {
            "create" => "made",
            "delete" | "deletecollection" => "deleted",
            "update" | "patch" => "changed",
            "bind" => "bound",
            "escalate" => "escalated",
            _ => "read",
        };
        match (api_group.as_str(), resource.as_str(), subresource.as_str()) {
            ("", "pods", how @ ("exec" | "attach" | "portforward" | "ephemeralcontainers")) => {
                (how != "ephemeralcontainers" || writes).then(|| format!("entered ({how}) pod"))
            }
            ("", "nodes", "proxy") => Some("reached through node".to_owned()),
            ("", "serviceaccounts", "token") => by_hand.then(|| "made a token of serviceaccount".to_owned()),
            // Controllers read the secrets that they are for; a person seldom does.
            ("", "secrets", "") => ((reads && by_hand) || writes).then(|| format!("{verb} secret")),
            ("", "namespaces", "") => writes.then(|| format!("{verb} namespace")),
            ("rbac.authorization.k8s.io", _, "") => (writes || matches!(self.verb.as_str(), "bind" | "escalate"))
                .then(|| format!("{verb} {}", singular(resource))),
            (
                "networking.k8s.io"
                | "traefik.io"
                | "admissionregistration.k8s.io"
                | "apiextensions.k8s.io"
                | "storage.k8s.io",
                _,
                "",
            ) => writes.then(|| format!("{verb} {}", singular(resource))),
            ("certificates.k8s.io", "certificatesigningrequests", "approval") => {
                Some("approved certificatesigningrequest".to_owned())
            }
            // Whoever acts as another is told whatever it does.
            _ => self.impersonated_user.is_some().then(|| format!("{verb} {}", singular(resource))),
        }
    }
}

impl Object {
    /// Whether its answer goes on for as long as somebody is in there.
    fn streams(&self) -> bool {
        self.resource == "pods" && matches!(self.subresource.as_str(), "exec" | "attach" | "portforward")
    }
}

fn singular(resource: &str) -> &str {
    match resource {
        "ingresses" => "ingress",
        "ingressclasses" => "ingressclass",
        "storageclasses" => "storageclass",
        "networkpolicies" => "networkpolicy",
        _ => resource.strip_suffix('s').unwrap_or(resource),
    }
}
