//! Signatures of second persons: requests go out with a nonce and an end, answers come in signed, and each is checked in
//! full before a record says that it was given. What does not count is refused with a sentence, journaled, and
//! limited in number for each peer. An approval whose time is over is denied or escalated, never granted.

use super::api::{Command, Decision, Reply, RequestState, RequestSubject, RequestView};
use super::commands::words;
use super::core::Engine;
use super::sign_in::{Approving, Elevating, Wish};
use crate::domain::actor::Actor;
use crate::domain::id::{Digest, IncidentId, Person};
use crate::domain::identity::Identity;
use crate::domain::incident::Role;
use crate::domain::mode::Mode;
use crate::domain::risk::ApprovalTerms;
use crate::domain::text::sanitize;
use crate::journal::{Kind, lead_of};
use crate::playbook::run::{Input, SignedBy};
use crate::policy::digest::{canonical, of_document};
use crate::policy::rules::Policy;
use crate::policy::sshsig::{Signers, SshSig};
use crate::policy::statement::{LogPoint, NAMESPACE, Statement};
use jiff::{SignedDuration, Timestamp};
use rand_core::RngCore as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tokio::sync::watch;

/// Refused answers of one peer that are recorded within a minute; beyond it is told to wait.
const REFUSALS: usize = 5;
/// The time that those count for.
const WHILE: SignedDuration = SignedDuration::from_mins(1);
/// How long an elevation or a change of the policy waits for its signatures.
const WAITS: SignedDuration = SignedDuration::from_hours(4);
/// Greatest size of a document that a request may show; a record holds 65,535 bytes with everything else.
const MAX_DOCUMENT: usize = 56 * 1024;

/// The policy in force, and what is remembered to keep peers in bounds.
#[derive(Debug)]
pub(super) struct Governance {
    pub(super) policy: Arc<Policy>,
    /// Where it came from, for people.
    pub(super) origin: String,
    /// Why the file on the disk is not the policy in force, where it is not.
    pub(super) differs: Option<String>,
    refused: BTreeMap<u32, VecDeque<Timestamp>>,
    signers: watch::Sender<Arc<Signers>>,
}

impl Governance {
    pub(super) fn new(policy: Arc<Policy>, origin: String, differs: Option<String>) -> Self {
        let signers = watch::Sender::new(Arc::new(policy.signers()));
        Self { policy, origin, differs, refused: BTreeMap::new(), signers }
    }

    /// Puts another policy in force.
    pub(super) fn change(&mut self, policy: Arc<Policy>, origin: String, differs: Option<String>) {
        self.signers.send_replace(Arc::new(policy.signers()));
        (self.policy, self.origin, self.differs) = (policy, origin, differs);
    }

    /// Whose signature counts, from here on as it changes.
    pub(super) fn signers(&self) -> watch::Receiver<Arc<Signers>> {
        self.signers.subscribe()
    }

    /// Whether a peer has had too many answers refused of late.
    fn is_tired_of(&mut self, uid: u32, now: Timestamp) -> bool {
        let times = self.refused.entry(uid).or_default();
        while times.front().is_some_and(|t| now.duration_since(*t) > WHILE) {
            times.pop_front();
        }
        times.len() >= REFUSALS
    }
}

/// What a request asks for, beyond what every request has.
pub(super) struct Asked {
    pub(super) kind: Kind,
    pub(super) title: String,
    pub(super) digest: Digest,
    pub(super) document: Value,
    pub(super) needed: u8,
    pub(super) terms: ApprovalTerms,
    pub(super) requester: Option<Person>,
    pub(super) operator: Option<Person>,
}

impl Engine {
    /// The members of the record that opens a request.
    pub(super) fn request_body(&self, id: &str, asked: &Asked) -> Value {
        let now = self.clock.now();
        let wait = SignedDuration::from_secs(i64::try_from(asked.terms.timeout_s).unwrap_or(i64::MAX / 4));
        let end = |wait: SignedDuration| now.checked_add(wait).unwrap_or(Timestamp::MAX);
        // Where somebody is called when the time is over, it is waited as long again.
        let (escalate_at, not_after) =
            if asked.terms.escalates { (Some(end(wait)), end(wait.saturating_add(wait))) } else { (None, end(wait)) };
        let status = self.journal().status();
        let origin = self.journal().verifier().name().to_owned();
        let mut nonce = [0_u8; 32];
        rand_core::OsRng.fill_bytes(&mut nonce);
        json!({
            "request": id,
            "title": sanitize(&asked.title), "digest": asked.digest, "document": asked.document,
            "needed": asked.needed, "terms": asked.terms, "nonce": Digest::from_bytes(&nonce),
            "not_after": not_after, "escalate_at": escalate_at,
            "log": LogPoint { origin, size: status.size, root: status.root.to_string() },
            "requester": asked.requester, "operator": asked.operator,
        })
    }

    /// The name of the next request.
    pub(super) async fn next_request(&self) -> Result<String, String> {
        Ok(format!("REQ-{}", self.number("request", &self.state.requests().next()).await?))
    }

    /// Opens a request of an own kind: an elevation, a change of the policy.
    pub(super) async fn open_request(
        &mut self,
        asked: &Asked,
        more: Value,
        incident: Option<IncidentId>,
        actor: &Actor,
    ) -> Result<String, Reply> {
        if canonical(&asked.document).map_or(usize::MAX, |t| t.len()) > MAX_DOCUMENT {
            return Err(Reply::refused(format!("what is asked for has more than {} KiB", MAX_DOCUMENT / 1024)));
        }
        let id = self.next_request().await.map_err(Reply::refused)?;
        let mut body = self.request_body(&id, asked);
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
        }
        let written = self.record(asked.kind, incident, body, actor).await;
        written.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        Ok(id)
    }

    /// Takes somebody's signed answer to a request.
    pub(super) async fn answer(
        &mut self,
        id: &str,
        (decision, role): (Decision, Role),
        signature: &str,
        reason: &str,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let now = self.clock.now();
        if self.governance.is_tired_of(actor.uid, now) {
            return Err(Reply::denied(format!(
                "{REFUSALS} answers of uid {} were refused within a minute; wait until that is over",
                actor.uid
            )));
        }
        let checked = self.checked(id, decision, role, signature);
        match checked {
            Ok((request, _)) if request.run.as_ref().is_some_and(|run| self.runs.get(run).is_none()) => {
                if request.terms.login && decision == Decision::Approve {
                    return Err(Reply::refused(format!(
                        "{id} takes a login at the identity provider, for which the engine asks that leads its run: approve it there"
                    )));
                }
                let (request, to) = (request.id, lead_of(request.incident.as_ref()).to_owned());
                let (signature, reason) = (signature.to_owned(), reason.to_owned());
                let command = Command::Answer { request, decision, role, signature, reason };
                self.pass_on(&command, &to, actor).await
            }
            // A no stands as it is: nothing comes of it.
            Ok((request, signed)) if request.terms.login && decision == Decision::Approve => {
                let (signature, reason) = (signature.to_owned(), reason.to_owned());
                let given = Approving { request: request.id, digest: request.digest, role, signature, reason };
                self.sign_in(Wish::Approval(signed.person, given), actor)
            }
            Ok((request, signed)) => self.take(&request, decision, signed, reason, actor).await,
            Err(why) => {
                self.governance.refused.entry(actor.uid).or_default().push_back(now);
                let known = self.state.requests().named(id);
                let incident = known.and_then(|r| r.incident.clone());
                let body = json!({
                    "request": sanitize(id), "run": known.and_then(|r| r.run.clone()), "step": known.and_then(|r| r.step.clone()),
                    "digest": known.map(|r| r.digest.clone()), "decision": decision, "role": role,
                    "why": format!("the answer to {} does not count: {why}", sanitize(id)),
                });
                if let Err(error) = self.record(Kind::StepRefused, incident, body, actor).await {
                    tracing::error!(%error, "a refused answer was not written");
                }
                Err(Reply::denied(format!("refused: {why}")))
            }
        }
    }

    /// The moment that ends are measured by: the latest of the clock, the last record and the newest cosignature, so that
    /// no clock that was set back revives what is over.
    pub(super) fn latest(&self) -> Timestamp {
        let now = self.clock.now();
        let last = self.state.last_at().unwrap_or(now);
        let cosigned = self.outsiders.view(Timestamp::now()).and_then(|o| o.at).filter(|_| self.mode != Mode::Drill);
        now.max(last).max(cosigned.unwrap_or(now))
    }

    /// Checks one answer in full.
    pub(super) fn checked(
        &self,
        id: &str,
        decision: Decision,
        role: Role,
        signature: &str,
    ) -> Result<(RequestView, SignedBy), String> {
        let request = self.state.requests().named(id).ok_or_else(|| format!("there is no request {}", sanitize(id)))?;
        match request.state {
            RequestState::Open => {}
            RequestState::Used => return Err(format!("{id} was used by a start; a retry needs new approvals")),
            RequestState::Granted => return Err(format!("{id} has all its approvals already")),
            RequestState::Denied => return Err(format!("{id} was denied")),
            RequestState::Expired => return Err(format!("{id} has expired")),
            RequestState::Void => return Err(format!("{id} is void: the step was changed, refused or stopped since")),
        }
        let latest = self.latest();
        if latest >= request.not_after {
            return Err(format!("{id} could be answered until {:.0}", request.not_after));
        }
        let signed = self.verify(request, decision, role, signature, latest)?;
        if request.granted.iter().any(|g| g.person == signed.person) {
            return Err(format!("{} has answered {id} already; one person counts once", signed.person));
        }
        Ok((request.clone(), signed))
    }

    /// Whether a signature is that of a person who may give this answer, under the policy and the roles of this moment.
    pub(super) fn verify(
        &self,
        request: &RequestView,
        decision: Decision,
        role: Role,
        signature: &str,
        at: Timestamp,
    ) -> Result<SignedBy, String> {
        let policy = &self.governance.policy;
        let statement = request.statement(decision, role);
        let parsed = SshSig::parse(signature).map_err(|e| format!("the signature: {e}"))?;
        let signers = policy.signers();
        let signer = parsed.signer(statement.as_bytes(), NAMESPACE, &signers, at).map_err(|e| e.to_string())?;
        let person = signer.person.clone();
        if request.terms.security_key && !parsed.key().is_security_key() {
            return Err(format!("policy asks for a second factor, and {} is no security key", signer.fingerprint));
        }
        let own = |who: Option<&Person>| who == Some(&person);
        if (request.terms.not_requester && own(request.requester.as_ref()))
            || (request.terms.not_operator && own(request.operator.as_ref()))
        {
            return Err(format!("{person} asked for this or executes it, and can not approve it, with whichever key"));
        }
        if !request.terms.admits(role) {
            return Err(format!("an answer as {role} does not count; it takes {}", request.terms.who()));
        }
        if !super::people::standing(policy, &self.state, at).holds(&person, role) {
            return Err(format!("{person} does not hold the role {role} now"));
        }
        Ok(SignedBy {
            person,
            role,
            request: request.id.clone(),
            key: signer.fingerprint,
            key_is_security_key: parsed.key().is_security_key(),
            certificate: signer.certificate,
            statement,
            signature: signature.to_owned(),
            login: None,
        })
    }

    /// Takes an approval whose person has logged in for it.
    pub(super) async fn approved(
        &mut self,
        given: Approving,
        identity: Identity,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let Approving { request, role, signature, reason, .. } = given;
        let checked = self.checked(&request, Decision::Approve, role, &signature).map_err(Reply::denied);
        let (request, signed) = checked?;
        let signed = SignedBy { login: Some(identity), ..signed };
        self.take(&request, Decision::Approve, signed, &reason, actor).await
    }

    async fn take(
        &mut self,
        request: &RequestView,
        decision: Decision,
        signed: SignedBy,
        reason: &str,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let (person, id) = (signed.person.clone(), request.id.clone());
        let reason = match decision {
            Decision::Deny => words(reason, "the reason")?,
            Decision::Approve => sanitize(reason.trim()),
        };
        if let (Some(run), Some(step)) = (&request.run, &request.step) {
            let (step, digest) = (step.clone(), request.digest.clone());
            let input = match decision {
                Decision::Approve => Input::Approved {
                    step,
                    digest,
                    approval: crate::playbook::run::ApprovalGiven::Signed(Box::new(signed)),
                },
                Decision::Deny => {
                    let said = answer_body(&signed, decision, &reason);
                    Input::NotApproved { step, digest, expired: false, why: format!("{person}: {reason}"), said }
                }
            };
            if let Err(why) = self.by_other(run, input, actor).await {
                let body = json!({
                    "request": id, "run": run, "step": request.step, "digest": request.digest, "decision": decision,
                    "why": format!("the answer to {id} came too late: {why}"),
                });
                if let Err(error) = self.record(Kind::StepRefused, request.incident.clone(), body, actor).await {
                    tracing::error!(%error, "a refused answer was not written");
                }
                return Err(Reply::refused(why));
            }
        } else {
            let kind = if decision == Decision::Approve { Kind::ApprovalGranted } else { Kind::ApprovalDenied };
            let body = answer_body(&signed, decision, &reason);
            let written = self.record(kind, request.incident.clone(), body, actor).await;
            written.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        }
        self.settle(&id, actor).await?;
        let left = self.state.requests().named(&id).map(|r| (r.state, r.granted.len(), r.needed));
        Ok(Reply::accepted(match (decision, left) {
            (Decision::Deny, _) => format!("{id} is denied by {person}"),
            (_, Some((RequestState::Open, have, needed))) => {
                format!("{id} is approved by {person}; {have} of {needed} approvals are there")
            }
            _ => format!("{id} is approved by {person}, and has all its approvals"),
        }))
    }

    /// Puts an elevation or a policy in force that has all its approvals.
    async fn settle(&mut self, id: &str, actor: &Actor) -> Result<(), Reply> {
        let Some(request) = self.state.requests().named(id).cloned() else { return Ok(()) };
        if request.state != RequestState::Granted {
            return Ok(());
        }
        let failed = |why: String| Reply::refused(format!("it is approved, and not in force yet: {why}"));
        match request.subject {
            RequestSubject::Step => {}
            RequestSubject::Elevation => {
                let lasts = request.document.get("lasts_s").and_then(Value::as_i64).unwrap_or(0);
                let until = self.clock.now().checked_add(SignedDuration::from_secs(lasts)).unwrap_or(Timestamp::MAX);
                let by: Vec<&Person> = request.granted.iter().map(|g| &g.person).collect();
                let body = json!({
                    "request": id, "person": request.document.get("person"), "role": request.document.get("role"),
                    "until": until, "by": by,
                });
                self.record(Kind::ElevationGranted, request.incident.clone(), body, actor).await.map_err(failed)?;
            }
            RequestSubject::Policy => self.put_in_force(&request, actor).await.map_err(failed)?,
        }
        Ok(())
    }

    /// Calls somebody, or ends what nobody has answered in time.
    pub(super) async fn heed_requests(&mut self) {
        let latest = self.latest();
        let engine = self.me.engine();
        let open: Vec<RequestView> =
            self.state.requests().all().iter().filter(|r| r.state == RequestState::Open).cloned().collect();
        for request in open {
            let own = match &request.run {
                Some(run) => !self.journal().is_shared() || self.leads_run(run),
                None => self.leads_estate(),
            };
            if !own {
                continue;
            }
            if request.escalate_at.is_some_and(|at| latest >= at) && !request.escalated && latest < request.not_after {
                let standing = self.standing();
                let also =
                    |p: &&Person| Some(*p) != request.requester.as_ref() && Some(*p) != request.operator.as_ref();
                let called: Vec<&Person> = standing.with(&request.terms.roles).into_iter().filter(also).collect();
                let body = json!({
                    "request": request.id, "run": request.run, "step": request.step, "person": called,
                    "reason": format!("nobody has answered {} in time: {}", request.id, request.title),
                });
                let _ = self.record(Kind::EscalationSent, request.incident.clone(), body, &engine).await;
                self.call_for(&request).await;
            }
            if latest < request.not_after {
                continue;
            }
            let why = format!("nobody has approved {} by {:.0}", request.id, request.not_after);
            match (&request.run, &request.step) {
                (Some(run), Some(step)) => {
                    let (step, digest, said) = (step.clone(), request.digest.clone(), json!({ "request": request.id }));
                    let input = Input::NotApproved { step, digest, expired: true, why, said };
                    if let Err(why) = self.by_other(run, input, &engine).await {
                        tracing::debug!(%why, request = request.id, "an expired request is the run's no more");
                        let body = json!({ "request": request.id, "why": why });
                        let _ = self.record(Kind::ApprovalExpired, request.incident.clone(), body, &engine).await;
                    }
                }
                _ => {
                    let body = json!({ "request": request.id, "why": why });
                    let _ = self.record(Kind::ApprovalExpired, request.incident.clone(), body, &engine).await;
                }
            }
        }
    }

    /// Calls whom the step names, else the audience that is called like the role which has to answer.
    async fn call_for(&mut self, request: &RequestView) {
        let (Some(run), Some(step)) = (&request.run, &request.step) else { return };
        let named = self.runs.get(run).and_then(|held| held.run.step(step)?.escalate.as_ref().map(|e| e.to.clone()));
        let role = request.terms.roles.first().map(ToString::to_string);
        if let Some(to) = named.or(role) {
            let why = format!("nobody has answered {} in time: {}", request.id, request.title);
            self.call(run, step, &to, &why).await;
        }
    }

    /// Asks for a role for a time.
    pub(super) async fn elevate(
        &mut self,
        role: Role,
        lasts_s: u64,
        reason: &str,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let wish = self.wish(role, lasts_s, reason, actor)?;
        if self.governance.policy.elevation_mfa.contains(&role) {
            return self.sign_in(Wish::Elevation(wish), actor);
        }
        self.ask_elevation(wish, None, actor).await
    }

    /// Whether somebody may ask for a role for a time.
    pub(super) fn wish(&self, role: Role, lasts_s: u64, reason: &str, actor: &Actor) -> Result<Elevating, Reply> {
        let reason = words(reason, "the reason")?;
        let policy = self.governance.policy.clone();
        let person = self.person(actor).ok_or_else(|| Self::nobody(actor))?;
        let longest = policy.elevation_longest.as_secs();
        if lasts_s == 0 || lasts_s > longest {
            return Err(Reply::refused(format!("an elevation lasts from 1 s to {} min", longest / 60)));
        }
        if self.standing().holds(&person, role) {
            return Err(Reply::refused(format!("{person} holds the role {role} already")));
        }
        if self.standing().with(&policy.elevation_by).into_iter().all(|p| *p == person) {
            return Err(Reply::denied("nobody besides you could grant it"));
        }
        Ok(Elevating { person, role, lasts_s, reason })
    }

    /// Asks another person to grant it; with what the identity provider has said, where policy wants that.
    pub(super) async fn ask_elevation(
        &mut self,
        wish: Elevating,
        identity: Option<&Identity>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let title = wish.title();
        let Elevating { person, role, lasts_s, reason } = wish;
        let by = self.governance.policy.elevation_by.clone();
        let incident = self.current_incident();
        let mut document = json!({
            "v": 1, "kind": "elevation", "person": person, "role": role, "lasts_s": lasts_s, "reason": reason,
            "incident": incident,
        });
        if let (Some(identity), Some(members)) = (identity, document.as_object_mut()) {
            members.insert("identity".into(), json!(identity));
        }
        let asked = Asked {
            kind: Kind::ElevationRequested,
            title,
            digest: of_document(&document).map_err(|e| Reply::refused(e.to_string()))?,
            document,
            needed: 1,
            terms: of_others(by),
            requester: Some(person.clone()),
            operator: None,
        };
        let id = self.open_request(&asked, json!({ "reason": reason, "person": person }), incident, actor).await?;
        let message = format!("{id}: another person has to grant it, `quarterdeck approve {id}`");
        Ok(Reply::Accepted { message, id: Some(id) })
    }
}

/// Terms of what anybody of these roles but the one who asks may grant.
pub(super) fn of_others(roles: Vec<Role>) -> ApprovalTerms {
    ApprovalTerms {
        roles,
        also: Vec::new(),
        not_requester: true,
        not_operator: false,
        security_key: false,
        login: false,
        timeout_s: u64::try_from(WAITS.as_secs()).unwrap_or(0),
        escalates: false,
    }
}

/// The members of a record of an answer.
fn answer_body(signed: &SignedBy, decision: Decision, reason: &str) -> Value {
    let SignedBy { person, role, request, key, certificate, statement, signature, .. } = signed;
    let mut body = json!({
        "request": request, "person": person, "role": role, "key": key, "decision": decision,
        "statement": statement, "signature": signature,
    });
    if let Some(members) = body.as_object_mut() {
        if let Some(certificate) = certificate {
            members.insert("certificate".into(), json!(certificate));
        }
        if !reason.is_empty() {
            members.insert("reason".into(), json!(reason));
        }
    }
    body
}

impl RequestView {
    /// The bytes that an answer signs.
    pub fn statement(&self, decision: Decision, role: Role) -> String {
        let statement = Statement {
            digest: &self.digest,
            incident: self.incident.as_ref(),
            decision,
            role,
            nonce: &self.nonce,
            not_after: self.not_after,
            log: &self.log,
        };
        statement.text()
    }

    /// Whether what is shown is what is signed: the digest of the document is the request's.
    pub fn is_what_it_shows(&self) -> bool {
        of_document(&self.document).is_ok_and(|digest| digest == self.digest)
    }
}
