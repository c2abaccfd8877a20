//! Reading objects of `CloudNativePG` (<https://cloudnative-pg.io/documentation/current/cloudnative-pg.v1/>).

use super::kinds::What;
use super::{moment, text};
use jiff::Timestamp;
use serde_json::Value;

/// A `Cluster`.
#[derive(Debug, PartialEq)]
pub(super) struct Cluster {
    pub(super) wanted: u64,
    pub(super) ready: u64,
    pub(super) phase: String,
    pub(super) reason: String,
    pub(super) current: String,
    pub(super) target: String,
    pub(super) since: Option<Timestamp>,
    pub(super) fenced: String,
    /// Its instances, by the names of their pods.
    pub(super) instances: Vec<String>,
    pub(super) last_backup: Option<Timestamp>,
    pub(super) last_failed: Option<Timestamp>,
    pub(super) recoverable_from: String,
    /// The condition `ContinuousArchiving`.
    pub(super) archiving: Option<bool>,
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn cluster(object: &Value) -> Option<What> {
    let status = &object["status"];
    // Where an instance of it is fenced, the annotation is a JSON array of their names, or of `*`.
    let fenced = text(&object["metadata"]["annotations"]["cnpg.io/fencedInstances"]);
    Some(What::Database(Cluster {
        wanted: object["spec"]["instances"].as_u64().unwrap_or(1),
        ready: status["readyInstances"].as_u64().unwrap_or(0),
        phase: text(&status["phase"]),
        reason: text(&status["phaseReason"]),
        current: text(&status["currentPrimary"]),
        target: text(&status["targetPrimary"]),
        since: moment(&status["currentPrimaryTimestamp"]),
        fenced: if fenced == "[]" { String::new() } else { fenced },
        instances: status["instanceNames"].as_array().into_iter().flatten().map(text).collect(),
        last_backup: moment(&status["lastSuccessfulBackup"]),
        last_failed: moment(&status["lastFailedBackup"]),
        recoverable_from: text(&status["firstRecoverabilityPoint"]),
        archiving: super::platform::condition(object, "ContinuousArchiving").and_then(super::platform::truth),
    }))
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn backup(object: &Value) -> Option<What> {
    let status = &object["status"];
    Some(What::Backup {
        cluster: text(&object["spec"]["cluster"]["name"]),
        phase: text(&status["phase"]),
        stopped: moment(&status["stoppedAt"]),
        error: text(&status["error"]),
        created: moment(&object["metadata"]["creationTimestamp"]),
    })
}

#[allow(clippy::unnecessary_wraps, reason = "one signature for all kinds")]
pub(super) fn schedule(object: &Value) -> Option<What> {
    Some(What::Schedule {
        cluster: text(&object["spec"]["cluster"]["name"]),
        suspended: object["spec"]["suspend"].as_bool().unwrap_or(false),
        last: moment(&object["status"]["lastScheduleTime"]),
    })
}
