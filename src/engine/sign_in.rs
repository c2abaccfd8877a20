//! People who prove a second factor at the identity provider before they are given more rights. The provider is asked beside
//! the engine's loop, which never waits for it; what comes is checked once more here, against who asked and for what, and
//! recorded before it counts.

use super::api::{Reply, SignIn, SignInState};
use super::core::Engine;
use crate::domain::actor::Actor;
use crate::domain::id::Person;
use crate::domain::identity::Identity;
use crate::domain::incident::Role;
use crate::journal::Kind;
use crate::observe::oidc::{Codes, Provider};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::VecDeque;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

/// Logins that may be under way at the same time.
const AT_ONCE: usize = 8;
/// Logins that are over and still shown, so that whoever waits for one is told.
const KEPT: usize = 8;

/// A role for a time that somebody asks for.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) person: Person,
    pub(super) role: Role,
    pub(super) lasts_s: u64,
    pub(super) reason: String,
}

impl Wish {
    /// In one line.
    pub(super) fn title(&self) -> String {
        format!("{} as {} for {} min: {}", self.person, self.role, self.lasts_s.div_ceil(60), self.reason)
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
    /// Has somebody prove a second factor; the wish is asked for when that is done.
    pub(super) fn sign_in(&mut self, wish: Wish, actor: &Actor) -> Result<Reply, Reply> {
        let Some(provider) = self.sign_ins.provider.clone() else {
            return Err(Reply::denied(format!(
                "policy asks for a second factor before somebody becomes {}, and there is no [oidc] here at which one could be \
                 proven: the answer is no",
                wish.role
            )));
        };
        if let Some(open) = self.sign_ins.open.iter().find(|one| one.wish.person == wish.person) {
            let id = &open.view.id;
            return Err(Reply::refused(format!(
                "{} is logging in already ({id}); `quarterdeck elevate --cancel {id}` ends that",
                wish.person
            )));
        }
        if self.sign_ins.open.len() >= AT_ONCE {
            return Err(Reply::refused(format!("{AT_ONCE} people are logging in at the same time already")));
        }
        self.sign_ins.last = self.sign_ins.last.saturating_add(1);
        let id = format!("LOGIN-{}", self.sign_ins.last);
        let (clock, tell, of) = (self.clock.clone(), self.sign_ins.tell.clone(), id.clone());
        let issuer = provider.issuer().to_owned();
        let asking = self.sign_ins.asking.spawn(async move {
            let show = |codes| drop(tell.try_send(Told { id: of.clone(), what: What::Show(codes) }));
            let came = provider.authenticate(&*clock, show).await;
            let _ = tell.send(Told { id: of, what: What::Came(came) }).await;
        });
        let view = SignIn {
            id: id.clone(),
            person: wish.person.clone(),
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
            self.governance.policy.person(actor) == Some(&one.wish.person)
                || (one.actor.uid, &one.actor.user) == (actor.uid, &actor.user)
        };
        match self.sign_ins.open.iter().find(|one| one.view.id == id) {
            None => return Err(Reply::refused("there is no such login under way")),
            Some(one) if !own(one) => {
                return Err(Reply::denied(format!("{id} is a login of {}, who alone ends it", one.wish.person)));
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

    /// Whether it is the person who asked, and the first use of the token; then what was wished for is asked for.
    async fn proven(&mut self, wish: Wish, identity: Identity, actor: &Actor) -> Result<(String, String), String> {
        match self.governance.policy.named_by(&identity.name) {
            Some(person) if *person == wish.person => {}
            Some(other) => return Err(format!("{other} has logged in, and {} had asked", wish.person)),
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
        // Policy may have changed while somebody was at the provider.
        let Wish { role, lasts_s, reason, .. } = &wish;
        let wish = self.wish(*role, *lasts_s, reason, actor).map_err(|no| no.words().to_owned())?;
        let Identity { issuer, subject, name, acr, amr, auth_time, token } = &identity;
        let body = json!({
            "person": wish.person, "title": wish.title(), "issuer": issuer, "subject": subject, "name": name, "acr": acr,
            "amr": amr, "auth_time": auth_time, "token": token,
        });
        self.record(Kind::IdentityProven, self.current_incident(), body, actor).await?;
        match self.ask_elevation(wish, Some(&identity), actor).await {
            Ok(Reply::Accepted { message, id: Some(request) }) => Ok((request, message)),
            Ok(other) | Err(other) => Err(other.words().to_owned()),
        }
    }

    async fn end_sign_in(&mut self, id: &str, why: &str) {
        let Some(one) = self.sign_ins.take(id) else { return };
        one.asking.abort();
        let issuer = self.sign_ins.provider.as_ref().map(|p| p.issuer().to_owned());
        let body = json!({ "person": one.wish.person, "title": one.wish.title(), "issuer": issuer, "why": why });
        if let Err(error) = self.record(Kind::IdentityRefused, self.current_incident(), body, &one.actor).await {
            tracing::error!(%error, "a refused login was not written");
        }
        self.sign_ins.end(one.view, SignInState::Failed { why: why.to_owned() });
    }
}
