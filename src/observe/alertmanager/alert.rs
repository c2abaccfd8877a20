//! One alert, as the API v2 and the web hook (version 4) give it.

use crate::config::model;
use crate::domain::estate::Estate;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};

/// Labels that tell alerts of one name apart, the first two that are there.
const TELLING: [&str; 8] = ["tenant", "namespace", "instance", "pod", "deployment", "service", "job", "device"];

/// Longest name and longest sentence.
const NAME: usize = 120;
const SENTENCE: usize = 240;

/// An alert that fires.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Alert {
    /// Name and what tells it from others of that name.
    pub(super) name: String,
    /// Whom it names: an id or a namespace.
    tenant: Vec<String>,
    /// 2 critical, 1 warning, 0 for information or while it is silenced.
    pub(super) weight: f64,
    /// Silenced or inhibited there.
    pub(super) silenced: bool,
    /// Since when.
    pub(super) since: Option<Timestamp>,
    /// Its summary.
    summary: String,
    /// When this program was told of it last.
    pub(super) told_at: Timestamp,
}

/// Tenants by their ids and namespaces.
#[derive(Debug, Default)]
pub(super) struct Owners(HashMap<String, Option<TenantId>>);

impl Owners {
    pub(super) fn new(_: &model::Alertmanager, estate: &Estate) -> Self {
        let mut all: HashMap<String, Option<TenantId>> = HashMap::new();
        for tenant in &estate.tenants {
            if let Some(namespace) = &tenant.namespace {
                let taken = all.entry(namespace.name.clone());
                taken.and_modify(|t| *t = None).or_insert_with(|| Some(tenant.id.clone()));
            }
        }
        // An id stands for itself, whatever namespaces are called.
        all.extend(estate.tenants.iter().map(|t| (t.id.to_string(), Some(t.id.clone()))));
        Self(all)
    }
}

impl Alert {
    /// What a finding on it is about.
    pub(super) fn subject(&self, source: &SourceId, owners: &Owners) -> Subject {
        let tenant = self.tenant.iter().find_map(|name| owners.0.get(name).cloned().flatten());
        Subject::Alert { source: source.clone(), alert: self.name.as_str().into(), tenant }
    }

    /// Name, since when, and the summary.
    pub(super) fn sentence(&self) -> String {
        let since = self.since.map_or_else(String::new, |at| format!(" since {at:.0}"));
        let summary = if self.summary.is_empty() { String::new() } else { format!(": {}", self.summary) };
        format!("{}{since}{summary}", self.name)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: Option<Timestamp>,
    #[serde(default)]
    fingerprint: String,
    status: Option<Status>,
}

/// An object by the API, a word by the web hook.
#[derive(Deserialize)]
#[serde(untagged)]
enum Status {
    Word(String),
    State { state: String },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    alerts: Vec<Wire>,
    #[serde(default)]
    truncated_alerts: u64,
}

/// What one call of the web hook says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Told {
    /// Those that fire.
    pub(super) firing: BTreeMap<String, Alert>,
    /// Keys of those that do not any more.
    pub(super) resolved: Vec<String>,
    /// How many it left out.
    pub(super) left_out: u64,
}

/// `versionInfo.version` of `/api/v2/status`.
pub(super) fn version(body: &str) -> Option<String> {
    let status: serde_json::Value = serde_json::from_str(body).ok()?;
    status.get("versionInfo")?.get("version")?.as_str().map(str::to_owned)
}

/// The alerts of `/api/v2/alerts`, by key.
pub(super) fn pulled(
    body: &str,
    config: &model::Alertmanager,
    now: Timestamp,
) -> Result<BTreeMap<String, Alert>, String> {
    let all: Vec<Wire> = serde_json::from_str(body).map_err(|e| place(&e))?;
    Ok(all.into_iter().map(|wire| (key(&wire), read(&wire, config, now))).collect())
}

/// A call of the web hook.
pub(super) fn told(body: &[u8], config: &model::Alertmanager, now: Timestamp) -> Result<Told, String> {
    let call: Call = serde_json::from_slice(body).map_err(|e| place(&e))?;
    let mut told = Told { left_out: call.truncated_alerts, ..Told::default() };
    for wire in call.alerts {
        let key = key(&wire);
        if matches!(&wire.status, Some(Status::Word(word)) if word == "resolved") {
            told.resolved.push(key);
        } else {
            told.firing.insert(key, read(&wire, config, now));
        }
    }
    Ok(told)
}

/// The place is told, the text is not: it is foreign and may be long.
fn place(error: &serde_json::Error) -> String {
    format!("line {}, column {} is not what is expected", error.line(), error.column())
}

/// The fingerprint; without one, its labels.
fn key(wire: &Wire) -> String {
    if wire.fingerprint.is_empty() { format!("{:?}", wire.labels) } else { wire.fingerprint.clone() }
}

fn read(wire: &Wire, config: &model::Alertmanager, now: Timestamp) -> Alert {
    let label = |name: &str| wire.labels.get(name).map(String::as_str).filter(|v| !v.is_empty());
    let mut words = vec![label("alertname").unwrap_or("alert without a name")];
    words.extend(TELLING.iter().filter_map(|name| label(name)).take(2));
    let silenced = matches!(&wire.status, Some(Status::State { state }) if state != "active" && state != "unprocessed");
    let severity = label("severity").unwrap_or("warning");
    let weight = match severity {
        _ if silenced => 0.0,
        "none" | "info" | "informational" => 0.0,
        critical if config.critical.iter().any(|c| c == critical) => 2.0,
        _ => 1.0,
    };
    let summary = ["summary", "message", "description"].iter().find_map(|name| wire.annotations.get(*name));
    let cut = |text: &str, most: usize| sanitize(&text.chars().take(most).collect::<String>());
    Alert {
        name: cut(&words.join(" "), NAME),
        tenant: [config.tenant_label.as_str(), "namespace"]
            .iter()
            .filter_map(|l| label(l))
            .map(str::to_owned)
            .collect(),
        weight,
        silenced,
        since: wire.starts_at,
        summary: cut(summary.map_or("", String::as_str), SENTENCE),
        told_at: now,
    }
}
