//! What was told to whom, and what hurts in each incident: a fold over the records, so that it survives any restart.

use super::letter::Channel;
use super::table::Moment;
use crate::domain::id::{FindingId, IncidentId};
use crate::journal::fold::Fold;
use crate::journal::{Kind, Record};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// Messages kept beyond those of open incidents.
const KEPT: usize = 200;
/// Closed incidents of which it is kept what they were told.
const CLOSED: usize = 20;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// It is on its way.
    Pending,
    /// The channel has taken it.
    Sent,
    /// It has reached nobody.
    Failed,
    /// Whether it was taken is not known.
    Unknown,
}

impl Delivery {
    /// The word in output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// One attempt to bring a message to a recipient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Who.
    pub recipient: String,
    /// By what.
    pub channel: Channel,
    /// When it was announced.
    pub at: Timestamp,
    /// What became of it.
    pub delivery: Delivery,
    /// What the channel said, or why it failed.
    pub detail: String,
    /// When that was known.
    pub ended: Option<Timestamp>,
    /// The record that announced it.
    pub seq: u64,
}

/// One message to one audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// Name: `MSG-3`.
    pub id: String,
    /// Incident.
    pub incident: IncidentId,
    /// Audience.
    pub audience: String,
    /// Template that it was written from.
    pub template: Option<String>,
    /// First, in between, or last.
    pub moment: Moment,
    /// Subject as sent.
    pub subject: String,
    /// Text as sent.
    pub text: String,
    /// Who sent it.
    pub by: String,
    /// When it was announced first.
    pub at: Timestamp,
    /// When it promises the next word.
    pub next: Option<Timestamp>,
    /// Attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

impl Message {
    /// The newest attempt of a recipient by a channel.
    pub fn newest(&self, recipient: &str, channel: Channel) -> Option<&Attempt> {
        self.attempts.iter().rfind(|a| a.recipient == recipient && a.channel == channel)
    }

    /// Whether any channel has brought it to a recipient.
    pub fn has_reached(&self, recipient: &str) -> bool {
        self.attempts.iter().any(|a| a.recipient == recipient && a.delivery == Delivery::Sent)
    }

    /// The whole in one word: sent when one recipient at least has it and none is open.
    pub fn delivery(&self) -> Delivery {
        let any = |d: Delivery| self.newest_each().any(|a| a.delivery == d);
        [Delivery::Pending, Delivery::Unknown, Delivery::Failed].into_iter().find(|d| any(*d)).unwrap_or(Delivery::Sent)
    }

    /// The newest attempt of each recipient that nobody has brought it to, and the one that did of the others.
    pub fn newest_each(&self) -> impl Iterator<Item = &Attempt> {
        let mut recipients: Vec<&str> = Vec::new();
        for attempt in &self.attempts {
            if !recipients.contains(&attempt.recipient.as_str()) {
                recipients.push(&attempt.recipient);
            }
        }
        recipients.into_iter().filter_map(|recipient| {
            let mut own = self.attempts.iter().filter(|a| a.recipient == recipient);
            let sent = own.clone().find(|a| a.delivery == Delivery::Sent);
            sent.or_else(|| own.next_back())
        })
    }
}

/// The last word to an audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// When it promised the next, where it did.
    pub next: Option<Timestamp>,
    /// Whether it was the last word.
    pub last: bool,
    /// By whom.
    pub by: String,
    /// Of a message, its name.
    pub message: Option<String>,
    /// How many words there were to this audience.
    pub number: u64,
}

/// A finding as incidents remember it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Id.
    pub finding: FindingId,
    /// Rule.
    pub rule: String,
    /// What was wrong.
    pub what: String,
    /// Since when.
    pub since: Timestamp,
    /// When it was over.
    pub cleared: Option<Timestamp>,
    /// Tenants that it hurt.
    pub tenants: Vec<String>,
    /// Plants that it hurt.
    pub plants: Vec<String>,
    /// Whether it is harm, and not only a cause or pressure.
    harm: bool,
}

/// One incident.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Affair {
    /// By the name under which an audience was told, in small letters.
    told: BTreeMap<String, Told>,
    seen: Vec<Seen>,
    closed: bool,
    /// How it ended, as whoever closed it said.
    summary: String,
}

/// Everything that the records say of what was told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Book {
    messages: VecDeque<Message>,
    affairs: BTreeMap<u64, Affair>,
    /// Findings that are up.
    up: BTreeMap<FindingId, Seen>,
    last: u64,
}

fn text(body: &Value, key: &str) -> String {
    body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn field<T: DeserializeOwned>(body: &Value, key: &str) -> Option<T> {
    body.get(key).and_then(|v| serde_json::from_value(v.clone()).ok())
}

fn number(name: &str) -> u64 {
    name.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

impl Fold for Book {
    fn apply(&mut self, record: &Record) {
        match record.kind {
            Kind::FindingRaised => self.raised(record),
            Kind::FindingCleared => self.cleared(record),
            Kind::IncidentDeclared => self.declared(record),
            Kind::IncidentClosed => self.closed(record),
            Kind::CommsIntended => self.intended(record),
            Kind::CommsSent => {
                self.ended(record, Delivery::Sent);
                self.told(record);
            }
            Kind::CommsFailed => self.ended(record, Delivery::Failed),
            Kind::CommsUnknown => self.ended(record, Delivery::Unknown),
            _ => {}
        }
    }
}

impl Book {
    fn raised(&mut self, record: &Record) {
        let body = &record.body;
        let classes: Vec<String> = field(body, "classes").unwrap_or_default();
        let seen = Seen {
            finding: FindingId::new(text(body, "finding")),
            rule: text(body, "rule"),
            what: text(body, "what"),
            since: field(body, "since").unwrap_or(record.time),
            cleared: None,
            tenants: field(body, "tenants").unwrap_or_default(),
            plants: field(body, "plants").unwrap_or_default(),
            harm: classes.iter().any(|c| c == "IMPACT"),
        };
        if let Some(affair) = self.affair(record).filter(|_| seen.harm) {
            affair.remember(&seen);
        }
        self.up.insert(seen.finding.clone(), seen);
    }

    fn cleared(&mut self, record: &Record) {
        let finding = FindingId::new(text(&record.body, "finding"));
        self.up.remove(&finding);
        for affair in self.affairs.values_mut().filter(|a| !a.closed) {
            if let Some(seen) = affair.seen.iter_mut().rfind(|s| s.finding == finding && s.cleared.is_none()) {
                seen.cleared = Some(record.time);
            }
        }
    }

    fn declared(&mut self, record: &Record) {
        let Some(id) = &record.incident else { return };
        let named: Vec<FindingId> = field(&record.body, "findings").unwrap_or_default();
        let mut affair = Affair::default();
        for seen in self.up.values().filter(|s| s.harm || named.contains(&s.finding)) {
            affair.remember(seen);
        }
        self.affairs.insert(number(id.as_str()), affair);
    }

    fn closed(&mut self, record: &Record) {
        if let Some(affair) = self.affair(record) {
            affair.closed = true;
            affair.summary = text(&record.body, "summary");
        }
        let closed: Vec<u64> = self.affairs.iter().filter(|(_, a)| a.closed).map(|(n, _)| *n).collect();
        for old in closed.iter().take(closed.len().saturating_sub(CLOSED)) {
            self.affairs.remove(old);
        }
        self.forget();
    }

    /// Forgets the oldest messages of incidents that are over.
    fn forget(&mut self) {
        let open = |affairs: &BTreeMap<u64, Affair>, m: &Message| {
            affairs.get(&number(m.incident.as_str())).is_some_and(|a| !a.closed)
        };
        while self.messages.len() > KEPT {
            let Some(at) = self.messages.iter().position(|m| !open(&self.affairs, m)) else { return };
            self.messages.remove(at);
        }
    }

    fn affair(&mut self, record: &Record) -> Option<&mut Affair> {
        self.affairs.get_mut(&number(record.incident.as_ref()?.as_str()))
    }

    fn intended(&mut self, record: &Record) {
        let body = &record.body;
        let (Some(incident), id) = (record.incident.clone(), text(body, "message")) else { return };
        let Some(channel) = Channel::named(&text(body, "channel")) else { return };
        self.last = self.last.max(number(&id));
        let attempt = Attempt {
            recipient: text(body, "recipient"),
            channel,
            at: record.time,
            delivery: Delivery::Pending,
            detail: String::new(),
            ended: None,
            seq: record.seq,
        };
        if let Some(known) = self.messages.iter_mut().find(|m| m.id == id) {
            known.attempts.push(attempt);
            return;
        }
        self.messages.push_back(Message {
            id,
            incident,
            audience: text(body, "audience"),
            template: field(body, "template"),
            moment: field(body, "moment").unwrap_or(Moment::Update),
            subject: text(body, "subject"),
            text: text(body, "text"),
            by: record.actor.user.clone(),
            at: record.time,
            next: field(body, "next"),
            attempts: vec![attempt],
        });
        self.forget();
    }

    fn ended(&mut self, record: &Record, delivery: Delivery) {
        let body = &record.body;
        let (id, recipient) = (text(body, "message"), text(body, "recipient"));
        let Some(channel) = Channel::named(&text(body, "channel")) else { return };
        let attempt = self.messages.iter_mut().rev().find(|m| m.id == id).and_then(|m| {
            let open = |a: &&mut Attempt| a.recipient == recipient && a.channel == channel && a.ended.is_none();
            m.attempts.iter_mut().rfind(open)
        });
        if let Some(attempt) = attempt {
            attempt.delivery = delivery;
            attempt.detail = text(body, "detail");
            attempt.ended = Some(record.time);
        }
    }

    /// Somebody was told: by a message of ours, or by a step of a playbook.
    fn told(&mut self, record: &Record) {
        let body = &record.body;
        let names: Vec<String> = match body.get("to") {
            Some(Value::String(one)) => vec![one.clone()],
            _ => field(body, "to").unwrap_or_default(),
        };
        let by = field::<String>(body, "by").unwrap_or_else(|| record.actor.user.clone());
        let message = field::<String>(body, "message");
        let last = field::<Moment>(body, "moment") == Some(Moment::Resolved);
        let (at, next) = (record.time, field(body, "next"));
        let Some(affair) = self.affair(record) else { return };
        for name in names {
            let name = name.to_lowercase();
            let before = affair.told.get(&name);
            // Several recipients of one message are one word.
            let again = before.is_some_and(|b| message.is_some() && b.message == message);
            let number = before.map_or(0, |b| b.number).saturating_add(u64::from(!again));
            let told = Told { at, next, last, by: by.clone(), message: message.clone(), number };
            affair.told.insert(name, told);
        }
    }

    /// What hurts or has hurt in an incident, oldest first.
    pub fn seen(&self, incident: &IncidentId) -> &[Seen] {
        self.affairs.get(&number(incident.as_str())).map_or(&[], |a| &a.seen)
    }

    /// How an incident ended; empty while it is open.
    pub fn summary(&self, incident: &IncidentId) -> &str {
        self.affairs.get(&number(incident.as_str())).map_or("", |a| &a.summary)
    }

    /// The last word to an audience in an incident, under whichever of its names.
    pub fn last_word(&self, incident: &IncidentId, means: impl Fn(&str) -> bool) -> Option<(Told, u64)> {
        let affair = self.affairs.get(&number(incident.as_str()))?;
        let own = || affair.told.iter().filter(|(name, _)| means(name)).map(|(_, told)| told);
        let count = own().map(|t| t.number).sum();
        own().max_by_key(|t| t.at).map(|told| (told.clone(), count))
    }

    /// Messages, oldest first.
    pub fn messages(&self) -> impl DoubleEndedIterator<Item = &Message> {
        self.messages.iter()
    }

    /// A message by its name.
    pub fn message(&self, id: &str) -> Option<&Message> {
        self.messages.iter().find(|m| m.id == id)
    }

    /// Attempts without an outcome, each with its message.
    pub fn open(&self) -> impl Iterator<Item = (&Message, &Attempt)> {
        let pending = |m| Message::pending(m).map(move |a| (m, a));
        self.messages.iter().flat_map(pending)
    }

    /// The name of the next message.
    pub fn next_message(&self) -> String {
        format!("MSG-{}", self.last.saturating_add(1))
    }
}

impl Message {
    fn pending(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|a| a.delivery == Delivery::Pending)
    }
}

impl Affair {
    fn remember(&mut self, seen: &Seen) {
        if !self.seen.iter().any(|s| s.finding == seen.finding && s.cleared.is_none()) {
            self.seen.push(seen.clone());
        }
    }
}
