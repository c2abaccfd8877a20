//! Which policy is in force. The first that names people is pinned: its text and what it revokes become evidence, and
//! `roster.changed` names them. From then on the journal's copy counts, whatever lies on the disk, until a quorum of the
//! people in it has signed another one.

use super::api::{PolicyView, Reply, RequestView};
use super::approvals::{Asked, of_others};
use super::core::Engine;
use super::state::State;
use crate::domain::actor::Actor;
use crate::domain::id::Digest;
use crate::domain::mode::Mode;
use crate::journal::{Kind, evidence};
use crate::policy::digest::of_document;
use crate::policy::rules::{Policy, SHIPPED};
use crate::policy::sshsig::Revoked;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// A policy as it lies on the disk.
#[derive(Clone, Debug)]
pub struct PolicyFile {
    /// What it says, with what is revoked.
    pub policy: Policy,
    /// Its text.
    pub text: String,
    /// The bytes of the file of what is revoked.
    pub revoked: Option<Vec<u8>>,
    /// Where it lies: a path, or `built-in`.
    pub origin: String,
}

impl Default for PolicyFile {
    /// The shipped one.
    fn default() -> Self {
        Self { policy: Policy::shipped(), text: SHIPPED.to_owned(), revoked: None, origin: "built-in".into() }
    }
}

impl PolicyFile {
    /// Reads a policy with what it revokes, from their bytes.
    ///
    /// # Errors
    /// One sentence.
    pub fn of(origin: &str, text: &str, revoked: Option<Vec<u8>>) -> Result<Self, String> {
        let mut policy = Policy::decode(origin, text).map_err(|problems| problems.to_string())?;
        if let Some(bytes) = &revoked {
            policy.revoked = Revoked::read(bytes).map_err(|e| format!("what is revoked: {}", e.sentence()))?;
        } else if let Some(file) = &policy.revoked_file {
            return Err(format!("{origin} names `{file}` as the file of what is revoked, which is not there"));
        }
        Ok(Self { policy, text: text.to_owned(), revoked, origin: origin.to_owned() })
    }
}

/// Reads the pinned policy from its evidence.
fn pinned(dir: &Path, policy: &Digest, revoked: Option<&Digest>, seq: u64) -> Result<PolicyFile, String> {
    let read = |sha256: &Digest| match evidence::open(dir, sha256) {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(format!("the evidence {sha256} is missing")),
        Err(error) => Err(error.to_string()),
    };
    let text = String::from_utf8(read(policy)?).map_err(|_| "the policy is not UTF-8".to_owned())?;
    let revoked = revoked.map(read).transpose()?;
    PolicyFile::of(&format!("record {seq}"), &text, revoked)
}

/// The policy that a journal has put in force, for who only reads it; `None` where it has pinned none.
pub fn pinned_of(dir: &Path, state: &State) -> Option<Result<PolicyFile, String>> {
    let known = state.pinned_policy()?;
    Some(pinned(dir, &known.policy, known.revoked.as_ref(), known.seq))
}

impl Engine {
    /// Puts the pinned policy in force, or pins the one on the disk at first sight.
    pub(super) async fn open_policy(&mut self, file: PolicyFile) {
        if self.mode == Mode::Drill {
            return;
        }
        self.allow_commands();
        let engine = self.me.engine();
        let Some(known) = self.state.pinned_policy().cloned() else {
            if self.mode == Mode::Live && !file.policy.people.is_empty() {
                let what = format!("{} people, pinned at first sight", file.policy.people.len());
                if let Err(why) = self.pin(&file, json!({ "what": what, "first": true }), &engine).await {
                    tracing::error!(%why, "the policy could not be pinned");
                    let why = format!("the policy could not be pinned: {why}");
                    self.govern(Policy::default(), file.origin.clone(), Some(why));
                }
            }
            return;
        };
        match pinned(self.journal().dir(), &known.policy, known.revoked.as_ref(), known.seq) {
            Ok(inside) => {
                let same = inside.text == file.text && inside.revoked == file.revoked;
                let differs = (!same).then(|| {
                    format!(
                        "{} is not the policy in force (record {}); `quarterdeck policy propose` asks for the change",
                        file.origin, known.seq
                    )
                });
                self.govern(inside.policy, inside.origin, differs);
            }
            // Nothing is allowed rather than what somebody has put on the disk.
            Err(why) => {
                let why = format!("the policy of record {} can not be read: {why}", known.seq);
                self.govern(Policy::default(), format!("record {}", known.seq), Some(why));
            }
        }
    }

    fn govern(&mut self, policy: Policy, origin: String, differs: Option<String>) {
        self.governance.change(Arc::new(policy), origin, differs);
        self.allow_commands();
    }

    /// Builds the verb that starts programs, for those that the policy in force allows.
    fn allow_commands(&mut self) {
        if let Some(may) = self.mode.may_act() {
            let allowed = self.governance.policy.commands.clone();
            self.verbs = std::mem::take(&mut self.verbs).and(crate::act::command::verbs(may, allowed));
        }
    }

    /// Keeps a policy as evidence and writes that it is in force.
    async fn pin(&mut self, file: &PolicyFile, more: Value, actor: &Actor) -> Result<(), String> {
        let (policy, records) = self.kept(&file.text, file.revoked.as_deref()).await?;
        let mut body = json!({ "policy": policy, "people": file.policy.people.len() });
        if let (Value::Object(body), Value::Object(more)) = (&mut body, more) {
            body.extend(more);
            if let Some(revoked) = &file.revoked {
                body.insert("revoked".into(), json!(evidence::digest(revoked)));
            }
        }
        let records = records.into_iter().chain([(Kind::RosterChanged, body)]).collect();
        let written = self.record_all(records, None, actor).await?;
        let seq = written.last().map_or(0, |r| r.seq);
        self.govern(file.policy.clone(), format!("record {seq}, of {}", file.origin), None);
        Ok(())
    }

    /// Puts a policy and what it revokes into the evidence; the records that name the files.
    async fn kept(&self, text: &str, revoked: Option<&[u8]>) -> Result<(Digest, Vec<(Kind, Value)>), String> {
        let dir = self.journal().dir().to_owned();
        let (text, revoked) = (text.to_owned(), revoked.map(<[u8]>::to_vec));
        let work = move || {
            let policy = evidence::put(&dir, text.as_bytes()).map_err(|e| e.to_string())?;
            let mut records =
                vec![(Kind::EvidenceCaptured, evidence::captured(&policy, text.len(), "policy", "application/toml"))];
            if let Some(bytes) = revoked {
                let sha256 = evidence::put(&dir, &bytes).map_err(|e| e.to_string())?;
                let body = evidence::captured(&sha256, bytes.len(), "what is revoked", "application/octet-stream");
                records.push((Kind::EvidenceCaptured, body));
            }
            Ok((policy, records))
        };
        tokio::task::spawn_blocking(work).await.map_err(|e| e.to_string())?
    }

    /// Asks for another policy.
    pub(super) async fn propose_policy(
        &mut self,
        text: &str,
        revoked: Option<&str>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        if self.mode != Mode::Live {
            return Err(Reply::denied(format!("the policy is not changed in the mode {}", self.mode)));
        }
        let revoked = revoked.map(|b| STANDARD.decode(b)).transpose();
        let revoked = revoked.map_err(|_| Reply::refused("what is revoked is not base64"))?;
        let file = PolicyFile::of("the proposed policy", text, revoked).map_err(Reply::refused)?;
        let Some(before) = self.state.pinned_policy().cloned() else {
            return Err(Reply::refused(
                "no policy that names people is pinned yet: put one beside config.toml and start the engine, which pins it",
            ));
        };
        let revoked = file.revoked.as_deref().map(evidence::digest);
        if before.policy == file.policy.digest && before.revoked == revoked {
            return Err(Reply::refused("this is the policy in force"));
        }
        if file.policy.people.is_empty() {
            return Err(Reply::refused("it names nobody, and nobody could ever change it again"));
        }
        let Some(person) = self.person(actor) else {
            return Err(Reply::denied(format!(
                "the roster does not know you (user {}, uid {})",
                actor.user, actor.uid
            )));
        };
        let (_, records) = self.kept(text, file.revoked.as_deref()).await.map_err(Reply::refused)?;
        self.record_all(records, None, actor).await.map_err(Reply::refused)?;
        let document = json!({
            "v": 1, "kind": "policy", "before": before.policy, "policy": text, "revoked": revoked,
        });
        let policy = &self.governance.policy;
        let asked = Asked {
            kind: Kind::RosterProposed,
            title: format!("another policy, {} people, proposed by {person}", file.policy.people.len()),
            digest: of_document(&document).map_err(|e| Reply::refused(e.to_string()))?,
            document,
            needed: policy.roster_quorum,
            terms: of_others(Vec::new()),
            requester: Some(person),
            operator: None,
        };
        let needed = asked.needed;
        let id = self.open_request(&asked, Value::Null, None, actor).await?;
        let message = format!("{id}: {needed} other people of the roster in force have to approve it");
        Ok(Reply::Accepted { message, id: Some(id) })
    }

    /// Puts a policy in force that has all its signatures. Each is checked once more under the policy before it.
    pub(super) async fn put_in_force(&mut self, request: &RequestView, actor: &Actor) -> Result<(), String> {
        let text = request.document.get("policy").and_then(Value::as_str).ok_or("the request names no policy")?;
        let before = request.document.get("before").and_then(Value::as_str).unwrap_or_default();
        let known = self.state.pinned_policy().cloned().ok_or("no policy is pinned")?;
        if known.policy.as_str() != before {
            return Err("the policy has changed since it was proposed; propose it again".into());
        }
        self.verify_grants(request)?;
        let revoked = request.document.get("revoked").and_then(Value::as_str).and_then(Digest::parse);
        let policy = evidence::digest(text.as_bytes());
        let file = pinned(self.journal().dir(), &policy, revoked.as_ref(), request.seq)?;
        let by: Vec<_> = request.granted.iter().map(|g| g.person.to_string()).collect();
        let what = format!("{}, signed by {}", request.title, by.join(", "));
        self.pin(&file, json!({ "what": what, "request": request.id, "before": before }), actor).await
    }

    /// Checks the signatures of a request again, as things stand now.
    fn verify_grants(&self, request: &RequestView) -> Result<(), String> {
        for grant in &request.granted {
            let at = grant.at;
            let decision = crate::policy::statement::Decision::Approve;
            let signed = self.verify(request, decision, grant.role, &grant.signature, at)?;
            if signed.person != grant.person {
                return Err(format!("the signature of record {} is not by {}", grant.seq, grant.person));
            }
        }
        Ok(())
    }

    /// The policy as consoles see it.
    pub(super) fn policy_view(&self) -> PolicyView {
        let policy = &self.governance.policy;
        PolicyView {
            origin: self.governance.origin.clone(),
            digest: policy.digest.to_string(),
            people: policy.people.len(),
            differs: self.governance.differs.clone(),
            allowed_signers: policy.allowed_signers(crate::policy::statement::NAMESPACE),
        }
    }
}
