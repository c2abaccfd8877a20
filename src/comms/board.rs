//! What screens and commands show of an incident's communications: its audiences with what they were promised, and the
//! messages with what became of them. Moments, not ages, so that it changes only with the records.

use super::book::{Attempt, Book, Delivery, Message};
use super::letter::{Channel, Way};
use super::oncall::Chain;
use super::table::{Audience, Moment, Table};
use crate::domain::health::Health;
use crate::domain::id::{IncidentId, RunId, StepId};
use crate::domain::incident::{Incident, IncidentState};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Messages that are shown.
const SHOWN: usize = 30;
/// How long before it is due a promise is near, at most.
const NEAR: SignedDuration = SignedDuration::from_mins(5);

/// The communications of an incident.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Board {
    /// Which; absent where none is open.
    pub incident: Option<IncidentId>,
    /// Audiences: what is due first, then those to whom nothing is promised.
    pub audiences: Vec<AudienceView>,
    /// Messages of all incidents, newest first, at most 30.
    pub messages: Vec<MessageView>,
    /// Why nothing can be sent at all, when that is so.
    pub mute: Option<String>,
    /// Steps that wait and for which somebody was called.
    #[serde(default)]
    pub calls: Vec<CallView>,
    /// Who is on call, as far as that is known.
    #[serde(default)]
    pub duties: Vec<DutyView>,
}

/// Who is on call for a duty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DutyView {
    /// Name, as playbooks say it: `dba-oncall`.
    pub name: String,
    /// Who is called, in which order, and what is not known of it.
    pub chain: Chain,
}

/// Somebody was called for a step that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CallView {
    /// Run.
    pub run: RunId,
    /// Step.
    pub step: StepId,
    /// Who was to be called, as the playbook says it: `dba-oncall`.
    pub to: String,
    /// Who was called last.
    pub person: String,
    /// On whose word: a roster, a schedule, the fallback.
    #[serde(default)]
    pub source: Option<String>,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// Who is called next, and when, where nobody acknowledges.
    pub next: Option<(String, Timestamp)>,
    /// Who acknowledged it, and when.
    pub acknowledged: Option<(String, Timestamp)>,
}

/// One audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AudienceView {
    /// Id.
    pub id: String,
    /// As people say it.
    pub name: String,
    /// Longest silence at this severity, in seconds; absent where nothing is promised.
    pub every_s: Option<i64>,
    /// The last word.
    pub last: Option<LastWord>,
    /// When the next word is due; in the past it is overdue.
    pub due: Option<Timestamp>,
    /// What kind of message is next.
    pub moment: Moment,
    /// Templates that there are for it, the best first.
    pub templates: Vec<String>,
    /// Ways to it, in the order in which they are tried.
    pub ways: Vec<WayView>,
}

/// The last word to an audience.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastWord {
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: String,
    /// Name of the message, where it was one.
    pub message: Option<String>,
    /// How many words there were.
    pub number: u64,
    /// Whether it was the last.
    pub last: bool,
}

/// One way to an audience, and how it went the last time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WayView {
    /// Who is reached.
    pub recipient: String,
    /// By what.
    pub channel: Channel,
    /// To what.
    pub to: String,
    /// How the newest attempt in this incident went.
    pub delivery: Option<Delivery>,
    /// What was said then.
    pub detail: String,
    /// When.
    pub at: Option<Timestamp>,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MessageView {
    /// Name.
    pub id: String,
    /// Incident.
    pub incident: IncidentId,
    /// Audience.
    pub audience: String,
    /// Kind.
    pub moment: Moment,
    /// Subject.
    pub subject: String,
    /// Who sent it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When it promises the next word.
    pub next: Option<Timestamp>,
    /// The whole in one word.
    pub delivery: Delivery,
    /// Attempts, oldest first.
    pub attempts: Vec<Attempt>,
    /// What can be done where it has not reached everybody: `by webhook`.
    pub offers: Vec<Offer>,
}

/// A way that has not been tried, for a recipient that has not got a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offer {
    /// Who.
    pub recipient: String,
    /// By what.
    pub channel: Channel,
}

impl AudienceView {
    /// How it stands with what was promised: never green before the first word, nor where nobody can be reached.
    pub fn health(&self, now: Timestamp) -> Health {
        match self.due {
            Some(due) if now >= due => Health::Critical,
            Some(due) if due.duration_since(now) <= NEAR => Health::Warn,
            Some(_) if self.last.is_none() || self.ways.is_empty() => Health::Warn,
            Some(_) => Health::Ok,
            None if self.last.is_some() => Health::Ok,
            None => Health::Unknown,
        }
    }

    /// Whether the next word is due soon, or overdue.
    pub fn is_near(&self, now: Timestamp) -> bool {
        self.due.is_some_and(|due| due.duration_since(now) <= NEAR)
    }

    /// How long until it is due, or since when it is overdue: `due in 08:20`, `OVERDUE 02:10`.
    pub fn countdown(&self, now: Timestamp) -> Option<String> {
        let left = self.due?.duration_since(now).as_secs();
        Some(if left >= 0 {
            format!("due in {}", clock(left))
        } else {
            format!("OVERDUE {}", clock(left.saturating_neg()))
        })
    }
}

/// Minutes and seconds, or hours and minutes: `08:20`, `3h07`.
fn clock(seconds: i64) -> String {
    if seconds >= 3600 {
        format!("{}h{:02}", seconds / 3600, seconds / 60 % 60)
    } else {
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    }
}

impl Board {
    /// The communications of an incident as they stand.
    pub fn of(table: &Table, book: &Book, incident: Option<&Incident>, ways: &[Way]) -> Self {
        let messages = book.messages().rev().take(SHOWN).map(|m| message(m, table, ways)).collect();
        let Some(incident) = incident else { return Self { messages, ..Self::default() } };
        let mut audiences: Vec<AudienceView> =
            table.audiences.iter().map(|a| audience(table, book, incident, ways, a)).collect();
        audiences.sort_by_key(|a| (a.due.is_none(), a.due));
        Self {
            incident: Some(incident.id.clone()),
            audiences,
            messages,
            mute: None,
            calls: Vec::new(),
            duties: Vec::new(),
        }
    }

    /// The audience whose next word is due first.
    pub fn next(&self) -> Option<&AudienceView> {
        self.audiences.iter().find(|a| a.due.is_some())
    }

    /// What is due and was not said.
    pub fn overdue(&self, now: Timestamp) -> impl Iterator<Item = &AudienceView> {
        self.audiences.iter().filter(move |a| a.due.is_some_and(|due| now >= due))
    }
}

/// The ways to an audience.
pub fn ways_to<'a>(audience: &'a Audience, ways: &'a [Way]) -> impl Iterator<Item = &'a Way> {
    ways.iter().filter(|w| audience.is(&w.recipient) || w.groups.iter().any(|g| audience.is(g)))
}

/// Whether a name under which somebody was told means an audience: its own names, and its recipients.
fn means<'a>(audience: &'a Audience, ways: &'a [Way]) -> impl Fn(&str) -> bool + 'a {
    move |name| audience.is(name) || ways_to(audience, ways).any(|w| w.recipient.eq_ignore_ascii_case(name))
}

/// When the next word to an audience is due: what was promised, or sooner where the severity asks for it.
fn due(
    audience: &Audience,
    incident: &Incident,
    last: Option<&LastWord>,
    promised: Option<Timestamp>,
) -> Option<Timestamp> {
    if incident.state == IncidentState::Closed || last.is_some_and(|l| l.last) {
        return None;
    }
    let cadence = audience.cadence.get(&incident.severity);
    match last {
        None => cadence.and_then(|c| incident.declared_at.checked_add(c.first).ok()),
        Some(last) => {
            let by_cadence = cadence.and_then(|c| last.at.checked_add(c.every).ok());
            [promised, by_cadence].into_iter().flatten().min()
        }
    }
}

fn audience(table: &Table, book: &Book, incident: &Incident, ways: &[Way], audience: &Audience) -> AudienceView {
    let told = book.last_word(&incident.id, means(audience, ways));
    let promised = told.as_ref().and_then(|(t, _)| t.next);
    let last = told.map(|(t, number)| LastWord { at: t.at, by: t.by, message: t.message, number, last: t.last });
    let moment = match &last {
        _ if incident.state == IncidentState::Closed => Moment::Resolved,
        None => Moment::First,
        Some(_) => Moment::Update,
    };
    let best = table.fitting(&audience.id, moment, incident.severity).map(|t| t.id.clone());
    let others = table.templates.iter().filter(|t| t.audience == audience.id).map(|t| t.id.clone());
    let others: Vec<String> = others.filter(|id| Some(id) != best.as_ref()).collect();
    AudienceView {
        id: audience.id.clone(),
        name: audience.name.clone(),
        every_s: audience.cadence.get(&incident.severity).map(|c| c.every.as_secs()),
        due: due(audience, incident, last.as_ref(), promised),
        last,
        moment,
        templates: best.into_iter().chain(others).collect(),
        ways: ways_to(audience, ways).map(|way| way_view(book, incident, audience, way)).collect(),
    }
}

fn way_view(book: &Book, incident: &Incident, audience: &Audience, way: &Way) -> WayView {
    let own = |m: &&Message| m.incident == incident.id && m.audience == audience.id;
    let newest = book.messages().rev().filter(own).find_map(|m| m.newest(&way.recipient, way.channel));
    WayView {
        recipient: way.recipient.clone(),
        channel: way.channel,
        to: way.to.clone(),
        delivery: newest.map(|a| a.delivery),
        detail: newest.map(|a| a.detail.clone()).unwrap_or_default(),
        at: newest.map(|a| a.ended.unwrap_or(a.at)),
    }
}

/// The next way of each recipient that has not got a message.
pub fn offers(message: &Message, table: &Table, ways: &[Way]) -> Vec<Offer> {
    let Some(audience) = table.audience(&message.audience) else { return Vec::new() };
    let mut all: Vec<Offer> = Vec::new();
    for attempt in message.newest_each().filter(|a| matches!(a.delivery, Delivery::Failed | Delivery::Unknown)) {
        let untried = |w: &&Way| w.recipient == attempt.recipient && message.newest(&w.recipient, w.channel).is_none();
        if let Some(way) = ways_to(audience, ways).find(untried) {
            all.push(Offer { recipient: way.recipient.clone(), channel: way.channel });
        }
    }
    all
}

fn message(message: &Message, table: &Table, ways: &[Way]) -> MessageView {
    MessageView {
        id: message.id.clone(),
        incident: message.incident.clone(),
        audience: message.audience.clone(),
        moment: message.moment,
        subject: message.subject.clone(),
        by: message.by.clone(),
        at: message.at,
        next: message.next,
        delivery: message.delivery(),
        attempts: message.attempts.clone(),
        offers: offers(message, table, ways),
    }
}
