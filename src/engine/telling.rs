//! What an incident tells its stakeholders: drafts from templates, messages that are announced on disk before they leave
//! and whose outcome is written after, and trying again what has not arrived. A message has one name, whatever it is sent
//! by and however often; a way that has taken it is not asked again, and what is not known is never repeated by itself.

use super::api::{Command, DraftView, Hand, Reply, WayName};
use super::commands::words;
use super::core::Engine;
use super::escalations::Uncalled;
use crate::comms::board::ways_to;
use crate::comms::draft::Draft;
use crate::comms::oncall::{OnCall, Standing};
use crate::comms::{About, Audience, Board, Channel, Delivery, Facts, Letter, Message, Moment, Post, Table, Way};
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, RunId, StepId};
use crate::domain::incident::{Incident, IncidentState};
use crate::domain::mode::Mode;
use crate::domain::ports::Outcome;
use crate::domain::run::RunState;
use crate::domain::text::{conceal, sanitize};
use crate::journal::{Kind, Record};
use crate::observe::oncall::ScheduleReader;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// Drafts whose messages are remembered, so that pressing twice sends once.
const DRAFTS: usize = 64;
/// Lines on what is being done, at most.
const DOING: usize = 5;

/// What communications are made with.
#[derive(Clone)]
pub struct Means {
    /// Audiences and templates.
    pub table: Arc<Table>,
    /// What takes messages out; nothing where nothing may be sent.
    pub post: Option<Arc<dyn Post>>,
    /// Duties whose people change.
    pub oncall: Arc<Vec<OnCall>>,
    /// What asks the services that keep their schedules; nothing where nobody is asked.
    pub schedules: Vec<ScheduleReader>,
}

impl Default for Means {
    /// What ships, and nothing that could send.
    fn default() -> Self {
        Self { table: crate::comms::decode::shipped(), post: None, oncall: Arc::default(), schedules: Vec::new() }
    }
}

/// A delivery that has ended.
#[derive(Debug)]
pub(super) struct Posted {
    announced: Record,
    outcome: Outcome,
}

/// The desk that sends.
pub(super) struct Desk {
    means: Means,
    ways: Vec<Way>,
    posted: mpsc::Sender<Posted>,
    under_way: usize,
    /// Names of drafts that were sent, with their messages.
    sent: VecDeque<(String, String)>,
    drafts: u64,
    /// What the services have said, by duty.
    standings: BTreeMap<String, watch::Receiver<Standing>>,
    /// What asks them, until the engine ends.
    _asking: JoinSet<()>,
    /// Steps for which nobody could be called yet.
    pub(super) uncalled: Vec<Uncalled>,
    /// Who could not be reached for a step.
    passed: BTreeSet<(RunId, StepId, String)>,
}

impl Desk {
    /// The desk; from here on the services are asked who is on call.
    pub(super) fn new(mut means: Means, posted: mpsc::Sender<Posted>) -> Self {
        let ways = means.post.as_ref().map(|p| p.ways()).unwrap_or_default();
        let (mut standings, mut asking) = (BTreeMap::new(), JoinSet::new());
        for reader in std::mem::take(&mut means.schedules) {
            let (tell, told) = watch::channel(Standing::default());
            standings.insert(reader.duty().to_owned(), told);
            asking.spawn(reader.follow(tell));
        }
        Self {
            means,
            ways,
            posted,
            under_way: 0,
            sent: VecDeque::new(),
            drafts: 0,
            standings,
            _asking: asking,
            uncalled: Vec::new(),
            passed: BTreeSet::new(),
        }
    }

    /// What is known of the schedule of a duty.
    pub(super) fn standing(&self, duty: &str) -> Standing {
        self.standings.get(duty).map(|s| s.borrow().clone()).unwrap_or_default()
    }

    /// Somebody could not be reached for a step.
    pub(super) fn pass(&mut self, run: &RunId, step: &StepId, person: &str) {
        self.passed.insert((run.clone(), step.clone(), person.to_owned()));
    }

    /// Whether somebody could not be reached for a step.
    pub(super) fn was_passed(&self, run: &RunId, step: &StepId, person: &str) -> bool {
        self.passed.iter().any(|(r, s, p)| r == run && s == step && p == person)
    }

    /// Duties whose people change.
    pub(super) fn oncall(&self) -> &[OnCall] {
        &self.means.oncall
    }

    /// Whether a message is on its way, so that the engine must not end yet.
    pub(super) const fn in_hand(&self) -> bool {
        self.under_way > 0
    }
}

/// What a person asks to be told.
pub(super) struct Asked {
    pub(super) incident: Option<IncidentId>,
    pub(super) audience: String,
    pub(super) moment: Option<Moment>,
    pub(super) template: Option<String>,
}

/// A message that is about to be announced.
struct Outgoing<'a> {
    id: &'a str,
    incident: &'a IncidentId,
    audience: &'a str,
    moment: Moment,
    template: Option<&'a str>,
    draft: &'a Draft,
    next: Option<Timestamp>,
}

impl Engine {
    /// The communications of the incident in hand, as they are shown.
    pub(super) fn board(&self) -> Board {
        let desk = &self.desk;
        let incident = self.current_incident().and_then(|id| self.state.incident(&id));
        let mut board = Board::of(&desk.means.table, self.state.comms(), incident, &desk.ways);
        board.mute = self.mute();
        board.calls = self.call_views();
        board.duties = self.duty_views();
        board
    }

    fn mute(&self) -> Option<String> {
        match &self.desk.means.post {
            None => Some(format!("in the mode {} nothing is sent", self.mode)),
            Some(_) if self.desk.ways.is_empty() => {
                Some("no [[comms.audience]] is configured, so nobody can be told".into())
            }
            Some(_) => None,
        }
    }

    fn audience_named(&self, name: &str) -> Result<Audience, Reply> {
        let table = &self.desk.means.table;
        table.audience(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = table.audiences.iter().map(|a| a.id.as_str()).collect();
            Reply::refused(format!("there is no audience {}; known are {}", sanitize(name), known.join(", ")))
        })
    }

    /// The incident that is meant; one that is closed only for its last word.
    fn incident_told(&self, named: Option<&IncidentId>, moment: Option<Moment>) -> Result<Incident, Reply> {
        let id = named.cloned().or_else(|| self.current_incident());
        let id = id.ok_or_else(|| Reply::refused("no incident is open; name the one that is meant"))?;
        let known = self.state.incident(&id).ok_or_else(|| Reply::refused(format!("there is no incident {id}")))?;
        if known.state == IncidentState::Closed && moment.is_some_and(|m| m != Moment::Resolved) {
            return Err(Reply::refused(format!("{id} is closed; only a last word can be said, with moment resolved")));
        }
        Ok(known.clone())
    }

    /// Writes a draft from a template.
    pub(super) fn draft_message(&mut self, asked: &Asked) -> Result<Reply, Reply> {
        let audience = self.audience_named(&asked.audience)?;
        let incident = self.incident_told(asked.incident.as_ref(), asked.moment)?;
        let table = self.desk.means.table.clone();
        let board = Board::of(&table, self.state.comms(), Some(&incident), &self.desk.ways);
        let view = board.audiences.into_iter().find(|a| a.id == audience.id);
        let view = view.ok_or_else(|| Reply::refused(format!("there is no audience {}", audience.id)))?;
        let template = match &asked.template {
            Some(id) => table.template(id).filter(|t| t.audience == audience.id).ok_or_else(|| {
                let known = view.templates.join(", ");
                Reply::refused(format!("{} has no template {}; known are {known}", audience.id, sanitize(id)))
            })?,
            None => {
                let moment = asked.moment.unwrap_or(view.moment);
                table.fitting(&audience.id, moment, incident.severity).ok_or_else(|| {
                    Reply::refused(format!("{} has no template for {moment} at {}", audience.id, incident.severity))
                })?
            }
        };
        let moment = asked.moment.unwrap_or(template.moment);
        let now = self.clock.now();
        let next = next_word(&audience, &incident, moment, now);
        let facts = self.facts(&incident, now, next, view.last.as_ref().map_or(0, |l| l.number).saturating_add(1));
        let draft = Draft::of(template, &facts).and_then(|d| d.checked(self.mode == Mode::Drill));
        let draft = draft.map_err(|why| Reply::refused(format!("the template {}: {why}", template.id)))?;
        self.desk.drafts = self.desk.drafts.saturating_add(1);
        Ok(Reply::Drafted {
            view: Box::new(DraftView {
                draft: format!("{}-{}", now.as_millisecond(), self.desk.drafts),
                incident: incident.id.clone(),
                audience: audience.id.clone(),
                name: audience.name.clone(),
                moment,
                template: template.id.clone(),
                origin: template.origin.clone(),
                subject: draft.subject,
                text: draft.text,
                next,
                ways: view.ways,
                mute: self.mute(),
            }),
        })
    }

    fn facts(&self, incident: &Incident, now: Timestamp, next: Option<Timestamp>, number: u64) -> Facts {
        let own = |r: &&super::api::RunView| {
            r.incident.as_ref() == Some(&incident.id) && matches!(r.state, RunState::Running | RunState::Waiting)
        };
        let views = self.runs.views(now);
        let doing: Vec<String> = views.iter().filter(own).take(DOING).map(|r| sanitize(&r.name)).collect();
        let fallbacks = self.fallbacks(&incident.id);
        let book = self.state.comms();
        let about = About {
            incident,
            estate: &self.world.estate,
            seen: book.seen(&incident.id),
            now,
            next,
            number,
            doing: &doing,
            fallbacks: &fallbacks,
            summary: book.summary(&incident.id),
        };
        Facts::of(&about, &self.desk.means.table)
    }

    /// What is done by hand meanwhile.
    fn fallbacks(&self, incident: &IncidentId) -> Vec<String> {
        let measures = self.state.measures();
        let own: Vec<&str> = measures
            .iter()
            .filter(|m| m.incident.as_ref() == Some(incident))
            .filter_map(|m| m.id.strip_prefix(super::continuity::FALLBACK)?.split('/').next())
            .collect();
        // No names: a customer reads of no other.
        let in_force = Hand::ALL.into_iter().filter(|h| own.contains(&h.word()));
        in_force.map(|h| h.says().to_owned()).collect()
    }

    /// Announces a message by its ways, then sends it.
    pub(super) async fn tell(
        &mut self,
        asked: &Asked,
        draft: Draft,
        by: &[WayName],
        name: Option<String>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        if let Some((_, message)) = self.desk.sent.iter().find(|(known, _)| Some(known) == name.as_ref()) {
            let said = format!("{message} is this message; it is not sent a second time");
            return Ok(Reply::Accepted { message: said, id: Some(message.clone()) });
        }
        let audience = self.audience_named(&asked.audience)?;
        let incident = self.incident_told(asked.incident.as_ref(), Some(asked.moment.unwrap_or(Moment::Update)))?;
        let table = self.desk.means.table.clone();
        if let Some(id) = &asked.template
            && table.template(id).is_none()
        {
            return Err(Reply::refused(format!("there is no template {}", sanitize(id))));
        }
        let draft = draft.checked(self.mode == Mode::Drill).map_err(Reply::refused)?;
        let ways = self.chosen(&audience, by)?;
        let numbered = self.number("message", &self.state.comms().next_message()).await;
        let id = format!("MSG-{}", numbered.map_err(Reply::refused)?);
        let moment = asked.moment.unwrap_or(Moment::Update);
        let next = next_word(&audience, &incident, moment, self.clock.now());
        let template = asked.template.as_deref();
        let message =
            Outgoing { id: &id, incident: &incident.id, audience: &audience.id, moment, template, draft: &draft, next };
        self.announce(&message, &ways, actor).await?;
        if let Some(name) = name {
            self.desk.sent.push_back((name, id.clone()));
            if self.desk.sent.len() > DRAFTS {
                self.desk.sent.pop_front();
            }
        }
        let said: Vec<String> = ways.iter().map(|w| format!("{} by {}", w.recipient, w.channel)).collect();
        let message = format!("{id} to {} is on its way: {}", audience.name, said.join(", "));
        Ok(Reply::Accepted { message, id: Some(id) })
    }

    /// The ways that a person names, or the first of each recipient.
    fn chosen(&self, audience: &Audience, by: &[WayName]) -> Result<Vec<Way>, Reply> {
        if let Some(why) = self.mute() {
            return Err(Reply::denied(why));
        }
        let own: Vec<&Way> = ways_to(audience, &self.desk.ways).collect();
        if own.is_empty() {
            let why =
                format!("no [[comms.audience]] belongs to {}; give one `groups = [\"{}\"]`", audience.id, audience.id);
            return Err(Reply::refused(why));
        }
        if by.is_empty() {
            let mut first: Vec<Way> = Vec::new();
            for way in own {
                if !first.iter().any(|w| w.recipient == way.recipient) {
                    first.push(way.clone());
                }
            }
            return Ok(first);
        }
        let mut all = Vec::new();
        for WayName { recipient, channel } in by {
            let meant = |w: &&&Way| w.channel == *channel && recipient.as_ref().is_none_or(|r| *r == w.recipient);
            let before = all.len();
            all.extend(own.iter().filter(meant).map(|w| (*w).clone()));
            if all.len() == before {
                let known: Vec<String> = own.iter().map(|w| format!("{} by {}", w.recipient, w.channel)).collect();
                let named = recipient.as_ref().map(|r| format!("{} by ", sanitize(r))).unwrap_or_default();
                let why = format!("{} has no way {named}{channel}; there are {}", audience.id, known.join(", "));
                return Err(Reply::refused(why));
            }
        }
        Ok(all)
    }

    /// Tries a message again where it has not arrived; by the same way and under the same name, or by another one.
    pub(super) async fn resend(
        &mut self,
        id: &str,
        recipient: Option<&str>,
        channel: Option<Channel>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let Some(message) = self.state.comms().message(id).cloned() else {
            return Err(Reply::refused(format!("there is no message {}", sanitize(id))));
        };
        let audience = self.audience_named(&message.audience)?;
        let ways = self.missing_ways(&message, &audience, recipient, channel)?;
        if ways.is_empty() {
            return Ok(Reply::Accepted {
                message: format!("{id} was taken everywhere; nothing is sent again"),
                id: Some(id.to_owned()),
            });
        }
        let draft = Draft { subject: message.subject.clone(), text: message.text.clone() };
        let outgoing = Outgoing {
            id,
            incident: &message.incident,
            audience: &message.audience,
            moment: message.moment,
            template: message.template.as_deref(),
            draft: &draft,
            next: message.next,
        };
        self.announce(&outgoing, &ways, actor).await?;
        let said: Vec<String> = ways.iter().map(|w| format!("{} by {}", w.recipient, w.channel)).collect();
        Ok(Reply::Accepted { message: format!("{id} goes again: {}", said.join(", ")), id: Some(id.to_owned()) })
    }

    /// The ways by which a message is tried again: none that has taken it, none that is still being waited for.
    fn missing_ways(
        &self,
        message: &Message,
        audience: &Audience,
        recipient: Option<&str>,
        channel: Option<Channel>,
    ) -> Result<Vec<Way>, Reply> {
        if let Some(why) = self.mute() {
            return Err(Reply::denied(why));
        }
        let meant = |r: &str| recipient.is_none_or(|named| named == r);
        let own: Vec<Way> = ways_to(audience, &self.desk.ways).filter(|w| meant(&w.recipient)).cloned().collect();
        if let Some(channel) = channel {
            let by: Vec<&Way> = own.iter().filter(|w| w.channel == channel).collect();
            if by.is_empty() {
                return Err(Reply::refused(format!("{} has no way {channel}", audience.id)));
            }
            let open = |w: &&&Way| {
                let newest = message.newest(&w.recipient, channel);
                !newest.is_some_and(|a| matches!(a.delivery, Delivery::Sent | Delivery::Pending))
            };
            return Ok(by.iter().filter(open).map(|w| (*w).clone()).collect());
        }
        let again = message.newest_each().filter(|a| matches!(a.delivery, Delivery::Failed | Delivery::Unknown));
        let way = |a: &crate::comms::Attempt| {
            own.iter().find(|w| w.recipient == a.recipient && w.channel == a.channel).cloned()
        };
        Ok(again.filter_map(way).collect())
    }

    /// Writes what is about to be sent; only then does it leave.
    async fn announce(&mut self, message: &Outgoing<'_>, ways: &[Way], actor: &Actor) -> Result<(), Reply> {
        if let Some(why) = self.broken() {
            return Err(Reply::refused(format!("nothing is sent while the journal is not in order: {why}")));
        }
        let known = self.state.incident(message.incident);
        let (severity, declared) = match known {
            Some(incident) => (incident.severity, incident.declared_at),
            None => return Err(Reply::refused(format!("there is no incident {}", message.incident))),
        };
        let body = |way: &Way| {
            let key = key(&[
                &self.world.estate.name,
                message.incident.as_str(),
                &declared.to_string(),
                message.id,
                &way.recipient,
            ]);
            let body = json!({
                "message": message.id, "audience": message.audience, "to": [message.audience],
                "recipient": way.recipient, "channel": way.channel, "moment": message.moment,
                "template": message.template, "subject": message.draft.subject, "text": message.draft.text,
                "severity": severity, "next": message.next, "key": key,
            });
            (Kind::CommsIntended, without_nothing(body))
        };
        let records = ways.iter().map(body).collect();
        let incident = Some(message.incident.clone());
        let announced = self.record_all(records, incident, actor).await;
        for record in announced.map_err(|why| Reply::refused(format!("not sent: {why}")))? {
            self.post(record).await;
        }
        Ok(())
    }

    /// Sends what a record announces.
    async fn post(&mut self, announced: Record) {
        let Some((post, letter)) = self.desk.means.post.clone().zip(Letter::of(&announced)) else {
            let why = "it can not be sent in this mode".to_owned();
            let failure = crate::domain::sample::Failure::new(crate::domain::sample::FailureKind::Local, why);
            return self.posted(Posted { announced, outcome: Outcome::Failed { why: failure } }).await;
        };
        // A simulated channel answers at once: an exercise is the same however fast it is played.
        if self.mode == Mode::Drill {
            let outcome = post.deliver(letter).await;
            return self.posted(Posted { announced, outcome }).await;
        }
        self.desk.under_way = self.desk.under_way.saturating_add(1);
        let posted = self.desk.posted.clone();
        tokio::spawn(async move {
            let outcome = post.deliver(letter).await;
            if posted.send(Posted { announced, outcome }).await.is_err() {
                tracing::error!("a delivery ended after the engine");
            }
        });
    }

    /// A delivery of the desk has ended.
    pub(super) async fn came_back(&mut self, posted: Posted) {
        self.desk.under_way = self.desk.under_way.saturating_sub(1);
        self.posted(posted).await;
    }

    /// Writes what became of a delivery.
    async fn posted(&mut self, Posted { announced, outcome }: Posted) {
        let (kind, result, detail) = match outcome {
            Outcome::Done { summary, .. } => (Kind::CommsSent, Delivery::Sent, summary),
            Outcome::Failed { why } => (Kind::CommsFailed, Delivery::Failed, why.message),
            Outcome::Unknown { why } => (Kind::CommsUnknown, Delivery::Unknown, why.message),
        };
        let mut body = outcome_body(&announced.body, result, &detail);
        if let Some(members) = body.as_object_mut() {
            members.insert("by".to_owned(), json!(announced.actor.user));
        }
        let _ = self.record(kind, announced.incident, body, &self.me.engine()).await;
    }

    /// What was on its way when the last engine ended: nobody knows whether it arrived, so it is said to be unknown, and
    /// not sent again.
    pub(super) async fn recover_comms(&mut self) {
        // Another engine may be about to say what became of them.
        if !self.leads_estate() {
            return;
        }
        let open: Vec<_> = self
            .state
            .comms()
            .open()
            .map(|(m, a)| {
                let body = json!({
                    "message": m.id, "audience": m.audience, "to": [m.audience], "recipient": a.recipient,
                    "channel": a.channel, "moment": m.moment, "subject": m.subject, "next": m.next,
                });
                (m.incident.clone(), body)
            })
            .collect();
        for (incident, body) in open {
            let why = "the engine ended before the channel had answered; look there before sending it again";
            let body = outcome_body(&body, Delivery::Unknown, why);
            let _ = self.record(Kind::CommsUnknown, Some(incident), body, &self.me.engine()).await;
        }
    }

    /// The commands about messages.
    pub(super) async fn comms_command(&mut self, command: Command, actor: &Actor) -> Result<Reply, Reply> {
        match command {
            Command::Draft { incident, audience, moment, template } => {
                self.draft_message(&Asked { incident, audience, moment, template })
            }
            Command::Tell { incident, audience, moment, template, subject, text, by, draft } => {
                let asked = Asked { incident, audience, moment, template };
                let written = Draft { subject: words(&subject, "the subject")?, text: words(&text, "the text")? };
                self.tell(&asked, written, &by, draft, actor).await
            }
            Command::Resend { message, recipient, channel } => {
                self.resend(&message, recipient.as_deref(), channel, actor).await
            }
            Command::AcknowledgeCall { run, step } => self.acknowledge_call(&run, &step, actor).await,
            _ => Err(Reply::refused("that is no command about messages")),
        }
    }
}

/// When the next word is promised.
fn next_word(audience: &Audience, incident: &Incident, moment: Moment, now: Timestamp) -> Option<Timestamp> {
    if moment == Moment::Resolved || incident.state == IncidentState::Closed {
        return None;
    }
    audience.cadence.get(&incident.severity).and_then(|c| now.checked_add(c.every).ok())
}

/// What names a message to a recipient on every server, 32 digits.
fn key(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    crate::act::args::hex(hash.finalize().get(..16).unwrap_or_default())
}

/// Without members that say nothing.
fn without_nothing(body: Value) -> Value {
    match body {
        Value::Object(members) => Value::Object(members.into_iter().filter(|(_, v)| !v.is_null()).collect()),
        other => other,
    }
}

/// The record of an outcome: who was told what by which way, and how it went.
fn outcome_body(announced: &Value, result: Delivery, detail: &str) -> Value {
    let of = |key: &str| announced.get(key).cloned().unwrap_or_default();
    without_nothing(json!({
        "message": of("message"), "audience": of("audience"), "to": of("to"), "recipient": of("recipient"),
        "channel": of("channel"), "moment": of("moment"), "text": of("subject"), "next": of("next"),
        "result": result, "detail": sanitize(&conceal(detail)),
    }))
}
