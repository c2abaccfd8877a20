//! People who prove a second factor at the identity provider before they are given more rights, confirm a step or approve one.
//! The provider is asked beside the engine's loop, which never waits for it; what comes is checked once more here, against who
//! asked and for what, and recorded before it counts.

use super::api::{Decision, LOGIN, Reply, SignIn, SignInState};
use super::core::Engine;
use super::held::Held;
use crate::domain::actor::Actor;
use crate::domain::id::{Digest, Person, RunId, StepId};
use crate::domain::identity::Identity;
use crate::domain::incident::Role;
use crate::journal::Kind;
use crate::observe::oidc::{Codes, Provider};
use crate::playbook::run::Input;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Logins that may be under way at the same time.
const AT_ONCE: usize = 8;
/// Logins that are over and still shown, so that whoever waits for one is told.
const KEPT: usize = 8;

/// A role for a time that somebody asks for.
#[derive(Clone, Debug)]
pub(super) struct Elevating {
    pub(super) person: Person,
    pub(super) role: Role,
    pub(super) lasts_s: u64,
    pub(super) reason: String,
}

impl Elevating {
    /// In one line.
    pub(super) fn title(&self) -> String {
        format!("{} as {} for {} min: {}", self.person, self.role, self.lasts_s.div_ceil(60), self.reason)
    }
}

/// A step that somebody confirms, as it was shown to them.
#[derive(Clone, Debug)]
pub(super) struct Confirming {
    pub(super) run: RunId,
    pub(super) step: StepId,
    pub(super) digest: Digest,
    pub(super) generation: u64,
    pub(super) typed: Option<String>,
}

/// A request that somebody approves, with their signature.
#[derive(Clone, Debug)]
pub(super) struct Approving {
    pub(super) request: String,
    pub(super) digest: Digest,
    pub(super) role: Role,
    pub(super) signature: String,
    pub(super) reason: String,
}

/// What somebody logs in for. It waits here for them; what the provider says then counts for this and for nothing else.
#[derive(Clone, Debug)]
pub(super) enum Wish {
    Elevation(Elevating),
    Confirmation(Person, Confirming),
    Approval(Person, Approving),
}

impl Wish {
    const fn person(&self) -> &Person {
        match self {
            Self::Elevation(Elevating { person, .. }) | Self::Confirmation(person, _) | Self::Approval(person, _) => {
                person
            }
        }
    }

    /// In one line.
    fn title(&self) -> String {
        match self {
            Self::Elevation(wish) => wish.title(),
            Self::Confirmation(person, Confirming { run, step, digest, .. }) => {
                format!("{person} confirms {step} of {run}, digest {}", digest.short())
            }
            Self::Approval(person, Approving { request, digest, role, .. }) => {
                format!("{person} approves {request} as {role}, digest {}", digest.short())
            }
        }
    }

    /// Of what a record says that it was proven for.
    fn subject(&self) -> Value {
        match self {
            Self::Elevation(Elevating { role, .. }) => json!({ "elevation": role }),
            Self::Confirmation(_, Confirming { run, step, digest, .. }) => {
                json!({ "run": run, "step": step, "digest": digest })
            }
            Self::Approval(_, Approving { request, digest, .. }) => json!({ "request": request, "digest": digest }),
        }
    }

    /// The words for where a second factor is asked for.
    fn asked_for(&self) -> String {
        match self {
            Self::Elevation(Elevating { role, .. }) => format!("before somebody becomes {role}"),
            Self::Confirmation(_, Confirming { step, .. }) => format!("of whoever confirms {step}"),
            Self::Approval(_, Approving { request, .. }) => format!("of whoever approves {request}"),
        }
    }
}

/// What the provider's side has come to.
#[derive(Debug)]
pub(super) struct Told {
    id: String,
    what: What,
}

#[derive(Debug)]
enum What {
    Show(Codes),
    Came(Result<Identity, String>),
}

#[derive(Debug)]
struct UnderWay {
    view: SignIn,
    wish: Wish,
    actor: Actor,
    asking: AbortHandle,
}

/// Logins that are under way.
#[derive(Debug)]
pub(super) struct SignIns {
    provider: Option<Provider>,
    tell: mpsc::Sender<Told>,
    told: mpsc::Receiver<Told>,
    open: Vec<UnderWay>,
    over: VecDeque<SignIn>,
    /// They end with the engine.
    asking: JoinSet<()>,
    last: u64,
}

impl SignIns {
    pub(super) fn new(provider: Option<Provider>) -> Self {
        let (tell, told) = mpsc::channel(4 * AT_ONCE);
        let (open, over, asking) = (Vec::new(), VecDeque::new(), JoinSet::new());
        Self { provider, tell, told, open, over, asking, last: 0 }
    }

    /// What comes next; waits for ever while nobody logs in.
    pub(super) async fn next(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            None => std::future::pending().await,
        }
    }

    /// Whether there is a provider at which people log in.
    pub(super) const fn has_provider(&self) -> bool {
        self.provider.is_some()
    }

    /// As they are shown: those under way, then the last that are over.
    pub(super) fn views(&self) -> Vec<SignIn> {
        self.open.iter().map(|one| &one.view).chain(&self.over).cloned().collect()
    }

    fn take(&mut self, id: &str) -> Option<UnderWay> {
        let at = self.open.iter().position(|one| one.view.id == id)?;
        Some(self.open.remove(at))
    }

    fn end(&mut self, mut view: SignIn, state: SignInState) {
        view.state = state;
        self.over.push_front(view);
        self.over.truncate(KEPT);
        while self.asking.try_join_next().is_some() {}
    }
}

impl Engine {
    /// Confirms a step; where a second factor is asked for, whoever confirms it proves one first.
    pub(super) async fn confirm(&mut self, given: Confirming, actor: &Actor) -> Result<Reply, Reply> {
        let Confirming { run, step, digest, generation, typed } = &given;
        let may =
            |held: &Held| held.run.may_confirm(step, *generation, digest, typed.as_deref()).is_ok_and(|a| a.login);
        if !self.runs.get(run).is_some_and(may) {
            return self.confirmed(given, None, actor).await;
        }
        let person = self.person(actor).ok_or_else(|| Self::nobody(actor))?;
        self.sign_in(Wish::Confirmation(person, given), actor)
    }

    async fn confirmed(
        &mut self,
        given: Confirming,
        login: Option<Box<Identity>>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let Confirming { run, step, digest, generation, typed } = given;
        let by = Person::new(actor.user.clone());
        let input = Input::Confirm { step, generation, digest, typed, login, by };
        self.by_person(&run, input, actor, "confirmed").await
    }

    /// Has somebody prove a second factor; what they wish for is done after that.
    pub(super) fn sign_in(&mut self, wish: Wish, actor: &Actor) -> Result<Reply, Reply> {
        let Some(provider) = self.sign_ins.provider.clone() else {
            return Err(Reply::denied(format!(
                "policy asks for a second factor {}, and there is no [oidc] here at which one could be proven: the answer is no",
                wish.asked_for()
            )));
        };
        if let Some(open) = self.sign_ins.open.iter().find(|one| one.wish.person() == wish.person()) {
            let id = &open.view.id;
            return Err(Reply::refused(format!(
                "{} is logging in already ({id}: {}); `quarterdeck elevate --cancel {id}` ends that",
                wish.person(),
                open.view.title
            )));
        }
        if self.sign_ins.open.len() >= AT_ONCE {
            return Err(Reply::refused(format!("{AT_ONCE} people are logging in at the same time already")));
        }
        self.sign_ins.last = self.sign_ins.last.saturating_add(1);
        let id = format!("{LOGIN}{}", self.sign_ins.last);
        let (clock, tell, of) = (self.clock.clone(), self.sign_ins.tell.clone(), id.clone());
        let issuer = provider.issuer().to_owned();
        let asking = self.sign_ins.asking.spawn(async move {
            let show = |codes| drop(tell.try_send(Told { id: of.clone(), what: What::Show(codes) }));
            let came = provider.authenticate(&*clock, show).await;
            let _ = tell.send(Told { id: of, what: What::Came(came) }).await;
        });
        let view = SignIn {
            id: id.clone(),
            person: wish.person().clone(),
            title: wish.title(),
            at: self.clock.now(),
            state: SignInState::Asking,
        };
        self.sign_ins.open.push(UnderWay { view, wish, actor: actor.clone(), asking });
        let message = format!("{id}: policy asks for a second factor; {issuer} is asked for a code");
        Ok(Reply::Accepted { message, id: Some(id) })
    }

    /// The person who logs in, or whoever asked for it, ends it.
    pub(super) async fn cancel_sign_in(&mut self, id: &str, actor: &Actor) -> Result<Reply, Reply> {
        let own = |one: &UnderWay| {
            self.governance.policy.person(actor) == Some(one.wish.person())
                || (one.actor.uid, &one.actor.user) == (actor.uid, &actor.user)
        };
        match self.sign_ins.open.iter().find(|one| one.view.id == id) {
            None => return Err(Reply::refused("there is no such login under way")),
            Some(one) if !own(one) => {
                return Err(Reply::denied(format!("{id} is a login of {}, who alone ends it", one.wish.person())));
            }
            Some(_) => {}
        }
        self.end_sign_in(id, "it was cancelled").await;
        Ok(Reply::accepted(format!("{id} is cancelled")))
    }

    /// Something has come from the provider.
    pub(super) async fn told_of_sign_in(&mut self, Told { id, what }: Told) {
        match what {
            What::Show(Codes { uri, uri_complete, code, lasts }) => {
                let lasts = SignedDuration::try_from(lasts).unwrap_or(SignedDuration::ZERO);
                let until = self.clock.now().checked_add(lasts).unwrap_or(Timestamp::MAX);
                if let Some(one) = self.sign_ins.open.iter_mut().find(|one| one.view.id == id) {
                    one.view.state = SignInState::Waiting { uri, uri_complete, code, until };
                }
            }
            What::Came(Err(why)) => self.end_sign_in(&id, &why).await,
            What::Came(Ok(identity)) => {
                let Some(one) = self.sign_ins.open.iter().find(|one| one.view.id == id) else { return };
                let (wish, actor) = (one.wish.clone(), one.actor.clone());
                match self.proven(wish, identity, &actor).await {
                    Ok((request, message)) => {
                        if let Some(one) = self.sign_ins.take(&id) {
                            self.sign_ins.end(one.view, SignInState::Proven { request, message });
                        }
                    }
                    Err(why) => self.end_sign_in(&id, &why).await,
                }
            }
        }
    }

    /// Whether it is the person who asked, and the first use of the token; then what was wished for is done.
    async fn proven(&mut self, wish: Wish, identity: Identity, actor: &Actor) -> Result<(String, String), String> {
        match self.governance.policy.named_by(&identity.name) {
            Some(person) if person == wish.person() => {}
            Some(other) => return Err(format!("{other} has logged in, and {} had asked", wish.person())),
            None => {
                return Err(format!(
                    "`{}` has logged in, whom the roster does not know by `oidc` or name",
                    identity.name
                ));
            }
        }
        if self.state.requests().has_seen(&identity.token) {
            return Err("its token was used before, and counts once".into());
        }
        self.still_stands(&wish, actor)?;
        let Identity { issuer, subject, name, acr, amr, auth_time, token } = &identity;
        let body = json!({
            "person": wish.person(), "title": wish.title(), "for": wish.subject(), "issuer": issuer, "subject": subject,
            "name": name, "acr": acr, "amr": amr, "auth_time": auth_time, "token": token,
        });
        self.record(Kind::IdentityProven, self.current_incident(), body, actor).await?;
        let (about, done) = match wish {
            Wish::Elevation(wish) => (None, self.ask_elevation(wish, Some(&identity), actor).await),
            Wish::Confirmation(_, given) => {
                let run = given.run.to_string();
                (Some(run), self.confirmed(given, Some(Box::new(identity)), actor).await)
            }
            Wish::Approval(_, given) => (Some(given.request.clone()), self.approved(given, identity, actor).await),
        };
        match done {
            Ok(Reply::Accepted { message, id }) => Ok((about.or(id).unwrap_or_default(), message)),
            Ok(other) | Err(other) => Err(other.words().to_owned()),
        }
    }

    /// Whether what was wished for can still be done. Policy, the step and the request may have changed while somebody was at
    /// the provider.
    fn still_stands(&self, wish: &Wish, actor: &Actor) -> Result<(), String> {
        if self.is_stopping() {
            return Err("the engine is ending and starts nothing new".into());
        }
        match wish {
            Wish::Elevation(Elevating { role, lasts_s, reason, .. }) => {
                self.wish(*role, *lasts_s, reason, actor).map(drop).map_err(|no| no.words().to_owned())
            }
            Wish::Confirmation(_, Confirming { run, step, digest, generation, typed }) => {
                let held = self.runs.get(run).ok_or_else(|| self.not_here(run))?;
                held.run.may_confirm(step, *generation, digest, typed.as_deref()).map(drop).map_err(|no| no.to_string())
            }
            Wish::Approval(_, Approving { request, role, signature, .. }) => {
                self.checked(request, Decision::Approve, *role, signature).map(drop)
            }
        }
    }

    async fn end_sign_in(&mut self, id: &str, why: &str) {
        let Some(one) = self.sign_ins.take(id) else { return };
        one.asking.abort();
        let issuer = self.sign_ins.provider.as_ref().map(|p| p.issuer().to_owned());
        let body = json!({ "person": one.wish.person(), "title": one.wish.title(), "for": one.wish.subject(), "issuer": issuer, "why": why });
        if let Err(error) = self.record(Kind::IdentityRefused, self.current_incident(), body, &one.actor).await {
            tracing::error!(%error, "a refused login was not written");
        }
        self.sign_ins.end(one.view, SignInState::Failed { why: why.to_owned() });
    }
}
