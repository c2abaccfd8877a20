//! Requests that wait for somebody's signature, as a fold over the records: steps, elevations, changes of the policy.

use super::api::{Elevation, Grant, RequestState, RequestSubject, RequestView};
use crate::domain::id::{Digest, Person, RunId, StepId};
use crate::domain::incident::Role;
use crate::journal::{Kind, Record};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::VecDeque;

/// Requests that are over and still kept, so that an answer to one is told what became of it.
const KEPT: usize = 50;

/// Tokens that are remembered; older ones have ended long ago.
const TOKENS: usize = 500;

/// What the records say of requests, elevations and the policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Requests {
    all: Vec<RequestView>,
    last: u64,
    elevations: Vec<Elevation>,
    /// The policy in force, where one is pinned: evidence files of its text and of what is revoked.
    policy: Option<PinnedPolicy>,
    /// The first policy that was pinned.
    first: Option<Digest>,
    freeze_until: Option<Timestamp>,
    /// Tokens of the identity provider that were used, the newest last.
    #[serde(default)]
    tokens: VecDeque<Digest>,
}

/// The policy that the records have put in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinnedPolicy {
    /// sha256 of its text, which is an evidence file.
    pub policy: Digest,
    /// sha256 of what is revoked, where there is something.
    pub revoked: Option<Digest>,
    /// The record that put it in force.
    pub seq: u64,
}

fn text<'a>(body: &'a Value, key: &str) -> &'a str {
    body.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn value<T: serde::de::DeserializeOwned>(body: &Value, key: &str) -> Option<T> {
    body.get(key).and_then(|v| serde_json::from_value(v.clone()).ok())
}

impl Requests {
    /// Takes in a record.
    pub(super) fn apply(&mut self, record: &Record) {
        let body = &record.body;
        match record.kind {
            Kind::ApprovalRequested | Kind::ElevationRequested | Kind::RosterProposed => self.open(record),
            Kind::ApprovalGranted => self.grant(record),
            Kind::ApprovalDenied => self.close(text(body, "request"), RequestState::Denied, Some(text(body, "why"))),
            Kind::ApprovalExpired => self.close(text(body, "request"), RequestState::Expired, Some(text(body, "why"))),
            Kind::EscalationSent => {
                if let Some(request) = self.named_mut(text(body, "request")) {
                    request.escalated = true;
                }
            }
            Kind::StepStarted => self.close_of(body, RequestState::Used),
            // A refused answer leaves the request as it is; a refused start voids it.
            Kind::StepRefused if body.get("request").is_none() => self.close_of(body, RequestState::Void),
            Kind::StepIntended | Kind::StepCancelled | Kind::StepSkipped | Kind::DecisionMade => {
                self.close_of(body, RequestState::Void);
            }
            Kind::RunStopped | Kind::RunFinished => {
                let run = text(body, "run").to_owned();
                for request in self.all.iter_mut().filter(|r| r.run.as_ref().is_some_and(|r| r.as_str() == run)) {
                    request.end(RequestState::Void, None);
                }
            }
            Kind::ElevationGranted => {
                self.close(text(body, "request"), RequestState::Used, None);
                if let (Some(role), Some(until)) = (value(body, "role"), value(body, "until")) {
                    let person = Person::new(text(body, "person"));
                    self.elevations.retain(|e| !(e.person == person && e.role == role));
                    self.elevations.push(Elevation { person, role, until, seq: record.seq });
                }
            }
            Kind::ElevationEnded => {
                let (person, role) = (text(body, "person"), value::<Role>(body, "role"));
                self.elevations.retain(|e| !(e.person.as_str() == person && Some(e.role) == role));
            }
            Kind::RosterChanged => {
                self.close(text(body, "request"), RequestState::Used, None);
                if let Some(policy) = Digest::parse(text(body, "policy")) {
                    let revoked = Digest::parse(text(body, "revoked"));
                    self.first.get_or_insert_with(|| policy.clone());
                    self.policy = Some(PinnedPolicy { policy, revoked, seq: record.seq });
                }
            }
            Kind::IdentityProven => {
                self.tokens.extend(Digest::parse(text(body, "token")));
                self.tokens.drain(..self.tokens.len().saturating_sub(TOKENS));
            }
            Kind::FreezeSet => self.freeze_until = value(body, "until"),
            Kind::FreezeLifted => self.freeze_until = None,
            _ => {}
        }
    }

    fn open(&mut self, record: &Record) {
        let body = &record.body;
        let (Some(digest), Some(not_after), Some(log), Some(terms)) =
            (Digest::parse(text(body, "digest")), value(body, "not_after"), value(body, "log"), value(body, "terms"))
        else {
            return;
        };
        let id = text(body, "request").to_owned();
        let Some(number) = id.strip_prefix("REQ-").and_then(|n| n.parse::<u64>().ok()) else { return };
        self.last = self.last.max(number);
        let subject = match record.kind {
            Kind::ElevationRequested => RequestSubject::Elevation,
            Kind::RosterProposed => RequestSubject::Policy,
            _ => RequestSubject::Step,
        };
        let optional = |key: &str| Some(text(body, key)).filter(|t| !t.is_empty());
        self.all.push(RequestView {
            id,
            subject,
            title: text(body, "title").to_owned(),
            digest,
            document: body.get("document").cloned().unwrap_or(Value::Null),
            incident: record.incident.clone(),
            run: optional("run").map(RunId::from),
            step: optional("step").map(StepId::from),
            requester: optional("requester").map(Person::new),
            operator: optional("operator").map(Person::new),
            asked_at: record.time,
            escalate_at: value(body, "escalate_at"),
            escalated: false,
            not_after,
            nonce: text(body, "nonce").to_owned(),
            log,
            needed: value(body, "needed").unwrap_or(1),
            terms,
            granted: Vec::new(),
            state: RequestState::Open,
            why: None,
            seq: record.seq,
        });
        let over = self.all.iter().filter(|r| r.state != RequestState::Open).count();
        let mut surplus = over.saturating_sub(KEPT);
        self.all.retain(|r| {
            let goes = surplus > 0 && r.state != RequestState::Open;
            surplus = surplus.saturating_sub(usize::from(goes));
            !goes
        });
    }

    fn grant(&mut self, record: &Record) {
        let body = &record.body;
        let (Some(request), Some(role)) = (self.named_mut(text(body, "request")), value(body, "role")) else { return };
        let person = Person::new(text(body, "person"));
        request.granted.push(Grant {
            person,
            role,
            key: text(body, "key").to_owned(),
            statement: text(body, "statement").to_owned(),
            signature: text(body, "signature").to_owned(),
            at: record.time,
            seq: record.seq,
        });
        let also = request.terms.also.iter().all(|role| request.granted.iter().any(|g| g.role == *role));
        if request.granted.len() >= usize::from(request.needed) && also {
            request.end(RequestState::Granted, None);
        }
    }

    fn named_mut(&mut self, id: &str) -> Option<&mut RequestView> {
        self.all.iter_mut().find(|r| r.id == id)
    }

    fn close(&mut self, id: &str, state: RequestState, why: Option<&str>) {
        if let Some(request) = self.named_mut(id) {
            request.end(state, why);
        }
    }

    fn close_of(&mut self, body: &Value, state: RequestState) {
        let (run, step) = (text(body, "run"), text(body, "step"));
        let is = |r: &&mut RequestView| {
            r.run.as_ref().is_some_and(|r| r.as_str() == run) && r.step.as_ref().is_some_and(|s| s.as_str() == step)
        };
        for request in self.all.iter_mut().filter(is) {
            request.end(state, None);
        }
    }

    /// A request by its name.
    pub(super) fn named(&self, id: &str) -> Option<&RequestView> {
        self.all.iter().find(|r| r.id == id)
    }

    /// All that are known, oldest first.
    pub(super) fn all(&self) -> &[RequestView] {
        &self.all
    }

    /// The name of the next one.
    pub(super) fn next(&self) -> String {
        format!("REQ-{}", self.last.saturating_add(1))
    }

    /// Elevations that have not been ended.
    pub(super) fn elevations(&self) -> &[Elevation] {
        &self.elevations
    }

    /// Whether a token of the identity provider was used.
    pub(super) fn has_seen(&self, token: &Digest) -> bool {
        self.tokens.contains(token)
    }

    /// The policy that the records have put in force.
    pub(super) const fn policy(&self) -> Option<&PinnedPolicy> {
        self.policy.as_ref()
    }

    /// The first policy that they had put in force.
    pub(super) const fn first_policy(&self) -> Option<&Digest> {
        self.first.as_ref()
    }

    /// When a freeze ends by itself.
    pub(super) const fn freeze_until(&self) -> Option<Timestamp> {
        self.freeze_until
    }
}

impl RequestView {
    /// Goes to a state from which none leads back: what was used, denied or voided stays that.
    fn end(&mut self, state: RequestState, why: Option<&str>) {
        let open = matches!(self.state, RequestState::Open)
            || (self.state == RequestState::Granted && matches!(state, RequestState::Used | RequestState::Void));
        if open {
            self.state = state;
            self.why = why.filter(|w| !w.is_empty()).map(str::to_owned);
        }
    }
}
