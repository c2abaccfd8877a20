//! Reading what Argo CD and Flux deliver: one shape for Applications, Kustomizations and `HelmRelease`s.

use super::kinds::What;
use super::platform::{condition, truth};
use super::{moment, text};
use jiff::Timestamp;
use serde_json::Value;

/// What a controller delivers.
#[derive(Debug, PartialEq)]
pub(super) struct Delivered {
    /// `application`, `kustomization`, `helmrelease`.
    pub(super) by: &'static str,
    /// The namespace that it delivers into, where it says so and the cluster is this one.
    pub(super) into: String,
    /// Whether the cluster has what Git says; `None` where the controller can not tell or is at it.
    pub(super) synced: Option<bool>,
    /// Whether it is healthy; `None` where the controller can not tell or is at it.
    pub(super) healthy: Option<bool>,
    /// Suspended, or never synced by itself.
    pub(super) suspended: bool,
    /// What is delivered: the revision, shortened.
    pub(super) revision: String,
    /// When it was delivered last.
    pub(super) at: Option<Timestamp>,
    /// The controller's words on why not.
    pub(super) why: String,
    /// Its word for the state.
    pub(super) state: String,
}

/// A revision as people say it: the first digits of a hash, behind `main@sha1:` too.
fn short(revision: &str) -> String {
    let last = revision.rsplit([':', '/', '@']).next().unwrap_or(revision);
    let hash = last.len() >= 40 && last.chars().all(|c| c.is_ascii_hexdigit());
    if hash { last.chars().take(7).collect() } else { last.chars().take(40).collect() }
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn application(object: &Value) -> Option<What> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let server = spec["destination"]["server"].as_str().unwrap_or_default();
    let name = spec["destination"]["name"].as_str().unwrap_or_default();
    let here =
        server == "https://kubernetes.default.svc" || name == "in-cluster" || (server.is_empty() && name.is_empty());
    let last = status["history"].as_array().and_then(|all| all.last());
    let health = text(&status["health"]["status"]);
    let sync = text(&status["sync"]["status"]);
    let failed = matches!(status["operationState"]["phase"].as_str(), Some("Failed" | "Error"));
    let words = [&status["operationState"]["message"], &status["health"]["message"]];
    let revision = last.map_or(&Value::Null, |l| &l["revision"]);
    Some(What::Delivered(Delivered {
        by: "application",
        into: if here { text(&spec["destination"]["namespace"]) } else { String::new() },
        synced: match sync.as_str() {
            "Synced" => Some(true),
            "OutOfSync" => Some(false),
            _ => None,
        },
        healthy: match health.as_str() {
            "Healthy" | "Suspended" => Some(!failed),
            "Degraded" | "Missing" => Some(false),
            _ => None,
        },
        suspended: spec["syncPolicy"]["automated"].is_null() || spec["syncPolicy"]["automated"]["enabled"] == false,
        revision: short(&text(revision)),
        at: last.and_then(|l| moment(&l["deployedAt"])),
        why: words.into_iter().map(text).find(|w| !w.is_empty()).unwrap_or_default(),
        state: format!("{sync} {health}").trim().to_owned(),
    }))
}

pub(super) fn kustomization(object: &Value) -> Option<What> {
    let revision = short(&text(&object["status"]["lastAppliedRevision"]));
    let mut made = flux("kustomization", object)?;
    made.at = made.at.filter(|_| !revision.is_empty());
    made.revision = revision;
    Some(What::Delivered(made))
}

pub(super) fn release(object: &Value) -> Option<What> {
    let mut made = flux("helmrelease", object)?;
    let first = &object["status"]["history"][0];
    made.revision = short(&text(&first["chartVersion"]));
    made.at = moment(&first["lastDeployed"]).or(made.at);
    Some(What::Delivered(made))
}

fn flux(by: &'static str, object: &Value) -> Option<Delivered> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let seen = status["observedGeneration"].as_i64().unwrap_or(-1) >= object["metadata"]["generation"].as_i64()?;
    let ready = condition(object, "Ready");
    // The newest spec counts, which its controller has to have seen.
    let is = ready.and_then(truth).filter(|_| seen);
    let into = [&spec["targetNamespace"], &object["metadata"]["namespace"]];
    Some(Delivered {
        by,
        into: into.into_iter().map(text).find(|n| !n.is_empty()).unwrap_or_default(),
        synced: is,
        healthy: is,
        suspended: spec["suspend"].as_bool().unwrap_or(false),
        revision: String::new(),
        at: ready.filter(|_| is == Some(true)).and_then(|c| moment(&c["lastTransitionTime"])),
        why: ready.map(|c| text(&c["message"])).unwrap_or_default(),
        state: ready.map(|c| text(&c["reason"])).unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn revisions_are_shortened() {
        let hash = "3f2c1ab9c0d1e2f3a4b5c6d7e8f90123456789ab";
        assert_eq!(short(hash), "3f2c1ab");
        assert_eq!(short(&format!("main@sha1:{hash}")), "3f2c1ab");
        assert_eq!(short("v1.4.2"), "v1.4.2");
    }
}
