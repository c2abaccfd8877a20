//! What the two services answer, read into people in the order in which they are called.

use crate::comms::oncall::Contact;
use crate::config::model::{PagerKind, Schedule};
use crate::domain::text::sanitize;
use serde::Deserialize;
use serde_json::Value;

/// Longest name or address that is kept, in characters.
const LONGEST: usize = 120;
/// People who are kept: more are never called within one incident.
const KEPT: usize = 50;

/// Somebody, and how early they are called: level 1 first.
pub(super) type Entry = (u64, Contact);

/// One page.
#[derive(Debug)]
pub(super) struct Page {
    /// Who is on call.
    pub(super) entries: Vec<Entry>,
    /// Another page follows.
    pub(super) more: bool,
}

#[derive(Deserialize)]
struct Pagerduty {
    oncalls: Vec<Oncall>,
    #[serde(default)]
    more: Option<bool>,
}

#[derive(Deserialize)]
struct Oncall {
    #[serde(default)]
    escalation_level: u64,
    #[serde(default)]
    schedule: Option<Reference>,
    user: User,
}

#[derive(Deserialize)]
struct Reference {
    id: String,
}

/// A user, or only a reference to one.
#[derive(Deserialize)]
struct User {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    email: Option<String>,
}

#[derive(Deserialize)]
struct Opsgenie {
    data: OnCalls,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OnCalls {
    #[serde(rename = "_parent", default)]
    parent: Option<Parent>,
    on_call_recipients: Vec<String>,
}

#[derive(Deserialize)]
struct Parent {
    #[serde(default)]
    enabled: Option<bool>,
}

/// Text from outside as it is kept; nothing where nothing is left.
fn kept(text: &str) -> Option<String> {
    let text: String = sanitize(text.trim()).chars().take(LONGEST).collect();
    (!text.is_empty()).then_some(text)
}

/// Reads one page.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(config: &Schedule, body: &[u8]) -> Result<Page, String> {
    match config.kind {
        PagerKind::Pagerduty => pagerduty(&config.id, body),
        PagerKind::Opsgenie => opsgenie(body),
    }
}

fn pagerduty(id: &str, body: &[u8]) -> Result<Page, String> {
    let page: Pagerduty =
        serde_json::from_slice(body).map_err(|e| format!("no list of `oncalls`: {}", sanitize(&e.to_string())))?;
    let mut entries = Vec::new();
    for oncall in page.oncalls {
        if oncall.schedule.as_ref().is_some_and(|s| s.id != id) {
            return Err("an entry of `oncalls` belongs to another schedule".into());
        }
        let User { name, summary, email } = oncall.user;
        let email = email.as_deref().and_then(kept);
        let name = name.as_deref().or(summary.as_deref()).and_then(kept).or_else(|| email.clone());
        let name = name.ok_or("an entry of `oncalls` has a `user` without a name")?;
        entries.push((oncall.escalation_level, Contact { name, email }));
    }
    Ok(Page { entries, more: page.more.unwrap_or(false) })
}

fn opsgenie(body: &[u8]) -> Result<Page, String> {
    let page: Opsgenie = serde_json::from_slice(body)
        .map_err(|e| format!("no list `onCallRecipients`: {}", sanitize(&e.to_string())))?;
    if page.data.parent.is_some_and(|p| p.enabled == Some(false)) {
        return Err("the schedule is switched off there".into());
    }
    let contact = |name: &String| {
        let name = kept(name)?;
        let email = name.contains('@').then(|| name.clone());
        Some((0, Contact { name, email }))
    };
    let entries: Vec<Entry> = page.data.on_call_recipients.iter().filter_map(contact).collect();
    if entries.len() < page.data.on_call_recipients.len() {
        return Err("somebody in `onCallRecipients` has no name".into());
    }
    Ok(Page { entries, more: false })
}

/// Everybody once, the lowest level first.
pub(super) fn in_order(mut entries: Vec<Entry>) -> Vec<Contact> {
    entries.sort_by_key(|(level, _)| *level);
    let mut all: Vec<Contact> = Vec::new();
    for (_, contact) in entries {
        if !all.contains(&contact) && all.len() < KEPT {
            all.push(contact);
        }
    }
    all
}

/// What a refusal says of itself: `error.message` of `PagerDuty`, `message` of Opsgenie.
pub(super) fn says(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let text = body.pointer("/error/message").or_else(|| body.get("message"))?.as_str()?;
    kept(text)
}
