//! What chats, pagers and service desks take, by their public documentation.

use crate::config::model::WebhookBody;
use crate::domain::estate::Environment;
use serde_json::{Value, json};

/// The member of a `PagerDuty` event that is a secret.
pub(super) const ROUTING_KEY: &str = "routing_key";
/// Characters of a `header` block and of the text of a `section` block of Slack.
const SLACK: [usize; 2] = [150, 2_900];
/// Characters of `PagerDuty`'s `summary`, and of Opsgenie's `message` and `description`.
const PAGERDUTY: usize = 1024;
const OPSGENIE: [usize; 2] = [130, 15_000];

/// What is said, to whatever program.
pub(super) struct Said<'a> {
    pub(super) subject: &'a str,
    pub(super) text: &'a str,
    /// What is the same however often it is sent.
    pub(super) key: &'a str,
    pub(super) estate: &'a str,
    pub(super) environment: Environment,
    /// `critical`, `error`, `warning` or `info`.
    pub(super) severity: &'a str,
    /// Message and incident, where it belongs to one.
    pub(super) of: Option<(&'a str, &'a str)>,
}

fn cut(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// The body of a kind; `key_shown` stands where its secret goes.
pub(super) fn body(kind: WebhookBody, said: &Said<'_>, key_shown: &str) -> Value {
    match kind {
        WebhookBody::Generic => generic(said),
        WebhookBody::Slack => slack(said),
        WebhookBody::Teams => teams(said),
        WebhookBody::Pagerduty => pagerduty(said, key_shown),
        WebhookBody::Opsgenie => opsgenie(said),
    }
}

/// The member `text` is what Mattermost and Google Chat take; the others are for programs.
fn generic(said: &Said<'_>) -> Value {
    let mut body = json!({
        "text": format!("{}\n{}", said.subject, said.text), "subject": said.subject, "message": said.text,
        "estate": said.estate, "environment": said.environment,
    });
    if let (Some((id, incident)), Some(members)) = (said.of, body.as_object_mut()) {
        members.insert("id".to_owned(), json!(id));
        members.insert("incident".to_owned(), json!(incident));
        members.insert("severity".to_owned(), json!(said.severity));
    }
    body
}

/// Slack's incoming web hooks (<https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks>) with Block
/// Kit: plain text, so that nothing in it is a link or a mention. `text` is what notifications show.
fn slack(said: &Said<'_>) -> Value {
    let escaped = said.subject.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let plain = |text: String| json!({ "type": "plain_text", "text": text, "emoji": false });
    let mut blocks = vec![json!({ "type": "header", "text": plain(cut(said.subject, SLACK[0])) })];
    let chars: Vec<char> = said.text.chars().collect();
    blocks.extend(chars.chunks(SLACK[1]).map(|c| json!({ "type": "section", "text": plain(c.iter().collect()) })));
    json!({ "text": escaped, "blocks": blocks })
}

/// A workflow of Teams that takes web requests
/// (<https://learn.microsoft.com/en-us/connectors/teams/#microsoft-teams-webhook>): an Adaptive Card, a block a line.
fn teams(said: &Said<'_>) -> Value {
    let line = |text: &str| {
        let empty = text.trim().is_empty();
        let spacing = if empty { "medium" } else { "none" };
        json!({ "type": "TextBlock", "text": if empty { " " } else { text }, "wrap": true, "spacing": spacing })
    };
    let title =
        json!({ "type": "TextBlock", "text": said.subject, "weight": "bolder", "size": "medium", "wrap": true });
    let blocks: Vec<Value> = std::iter::once(title).chain(said.text.lines().map(line)).collect();
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard", "version": "1.4", "body": blocks,
            },
        }],
    })
}

/// Events API v2 (<https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>): a repeated `dedup_key` joins
/// the first event.
pub(super) fn pagerduty(said: &Said<'_>, key_shown: &str) -> Value {
    json!({
        ROUTING_KEY: key_shown,
        "event_action": "trigger",
        "dedup_key": said.key,
        "payload": {
            "summary": cut(said.subject, PAGERDUTY), "source": said.estate, "severity": said.severity,
            "custom_details": { "text": said.text },
        },
    })
}

/// Alert API (<https://docs.opsgenie.com/docs/alert-api#create-alert>): a repeated `alias` joins the first alert.
pub(super) fn opsgenie(said: &Said<'_>) -> Value {
    let priority = match said.severity {
        "critical" => "P1",
        "error" => "P2",
        "warning" => "P3",
        _ => "P5",
    };
    json!({
        "message": cut(said.subject, OPSGENIE[0]), "alias": said.key, "description": cut(said.text, OPSGENIE[1]),
        "priority": priority, "source": said.estate,
    })
}
