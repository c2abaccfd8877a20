//! Who people are and what they may now: the policy in force with the roles that the records add for a time, the freeze
//! of changes, elevations, and the business owner's word.

use super::api::{Elevation, Reply};
use super::assess::{OfRun, Scene};
use super::commands::words;
use super::core::Engine;
use super::state::State;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, Person};
use crate::domain::incident::Role;
use crate::journal::Kind;
use crate::policy::assess::{FreezeFacts, PeopleFacts};
use crate::policy::rules::{Policy, Standing};
use jiff::Timestamp;
use serde_json::json;

/// The measure that stands for a freeze set by hand.
const FREEZE: &str = "freeze/changes";

/// Who holds which roles at a moment: by the roster, and by elevations that somebody signed. What `role.assigned`
/// says counts for nothing here.
pub fn standing(policy: &Policy, state: &State, at: Timestamp) -> Standing {
    let mut standing = policy.standing(at);
    for elevation in state.elevations().iter().filter(|e| at < e.until) {
        standing.elevate(&elevation.person, elevation.role);
    }
    standing
}

/// Who asks for a step, and who could approve it.
pub(super) fn facts(scene: &Scene<'_>, of: &OfRun<'_>) -> PeopleFacts {
    PeopleFacts {
        // What is only shown is shown as for somebody of the roster who approves nothing.
        requester: match of.actor {
            Some(actor) => scene.policy.person(actor).cloned(),
            None => Some(Person::new(of.user)),
        },
        user: of.actor.map_or_else(|| of.user.to_owned(), |a| format!("user {}, uid {}", a.user, a.uid)),
        standing: standing(scene.policy, scene.state, scene.now),
    }
}

/// Whether changes are frozen: by a command, by a verb that left a measure `freeze/…`, or by a window of the policy.
pub(super) fn freeze(scene: &Scene<'_>, incident: Option<&IncidentId>) -> Option<FreezeFacts> {
    let measures = scene.state.measures();
    let frozen: Vec<_> = measures.iter().filter(|m| m.id.starts_with("freeze/")).collect();
    let own = |by: Option<&IncidentId>| incident.is_some() && by == incident;
    let foreign = frozen.iter().find(|m| !own(m.incident.as_ref()));
    if let Some(measure) = foreign {
        return Some(FreezeFacts { why: measure.what.clone(), own: false });
    }
    if let Some(window) = scene.policy.freeze_window(scene.now) {
        return Some(FreezeFacts { why: format!("window {}", window.name), own: false });
    }
    frozen.first().map(|m| FreezeFacts { why: m.what.clone(), own: true })
}

impl Engine {
    /// The person at a console, where the roster knows them.
    pub(super) fn person(&self, actor: &Actor) -> Option<Person> {
        self.governance.policy.person(actor).cloned()
    }

    /// That somebody is nobody of the roster.
    pub(super) fn nobody(actor: &Actor) -> Reply {
        Reply::denied(format!("the roster does not know you (user {}, uid {})", actor.user, actor.uid))
    }

    /// Who holds which roles now.
    pub(super) fn standing(&self) -> Standing {
        standing(&self.governance.policy, &self.state, self.clock.now())
    }

    pub(super) async fn set_freeze(
        &mut self,
        reason: &str,
        until: Option<Timestamp>,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let reason = words(reason, "the reason")?;
        if self.state.measures().iter().any(|m| m.id == FREEZE) {
            return Err(Reply::refused("changes are frozen already; `freeze lift` ends that"));
        }
        if until.is_some_and(|until| until <= self.clock.now()) {
            return Err(Reply::refused("the end lies in the past"));
        }
        let what = match until {
            Some(until) => format!("changes are frozen until {until:.0}: {reason}"),
            None => format!("changes are frozen: {reason}"),
        };
        let records = vec![
            (Kind::FreezeSet, json!({ "reason": reason, "until": until })),
            (Kind::MeasureSet, json!({ "measure": FREEZE, "what": what, "lift": "quarterdeck freeze lift" })),
        ];
        let incident = self.current_incident();
        self.record_all(records, incident, actor).await.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        Ok(Reply::accepted(what))
    }

    pub(super) async fn lift_freeze(&mut self, reason: &str, actor: &Actor) -> Result<Reply, Reply> {
        let reason = words(reason, "the reason")?;
        let Some(measure) = self.state.measures().into_iter().find(|m| m.id == FREEZE) else {
            return Err(Reply::refused("changes are not frozen by a command; a window of the policy ends by itself"));
        };
        let records = vec![
            (Kind::FreezeLifted, json!({ "reason": reason })),
            (Kind::MeasureLifted, json!({ "measure": FREEZE, "what": measure.what })),
        ];
        let done = self.record_all(records, measure.incident, actor).await;
        done.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        Ok(Reply::accepted("the freeze is lifted"))
    }

    pub(super) async fn accept_recovery(
        &mut self,
        incident: IncidentId,
        text: &str,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let text = words(text, "what is accepted")?;
        let known = self.state.open_incident(&incident).map_err(Reply::refused)?;
        let person = self.person(actor);
        let owner = match &person {
            Some(person) => self.standing().holds(person, Role::BusinessOwner),
            // Without a roster the incident's own list is all that there is.
            None => {
                let listed = known.roles.get(&Role::BusinessOwner).is_some_and(|p| p.as_str() == actor.user);
                self.governance.policy.people.is_empty() && listed
            }
        };
        if !owner {
            let why = format!("{} is not the business owner, who alone accepts a recovery", actor.user);
            return Err(Reply::denied(why));
        }
        let person = person.unwrap_or_else(|| Person::new(actor.user.clone()));
        let done = format!("the recovery of {incident} is accepted by {person}");
        let body = json!({ "person": person, "text": text });
        let written = self.record(Kind::RecoveryAccepted, Some(incident), body, actor).await;
        written.map_err(|why| Reply::refused(format!("not done: {why}")))?;
        Ok(Reply::accepted(done))
    }

    pub(super) async fn end_elevation(&mut self, role: Role, actor: &Actor) -> Result<Reply, Reply> {
        let person = self.person(actor);
        let held = self.state.elevations().iter().find(|e| Some(&e.person) == person.as_ref() && e.role == role);
        let Some(held) = held.cloned() else {
            return Err(Reply::refused(format!("you hold no elevation to {role}")));
        };
        self.write_elevation_end(&held, "given back", actor).await.map_err(Reply::refused)?;
        Ok(Reply::accepted(format!("{} is not {role} any more", held.person)))
    }

    /// What is over ends, and the records say so.
    pub(super) async fn heed_people(&mut self) {
        let now = self.clock.now();
        let engine = self.me.engine();
        let over: Vec<Elevation> = self.state.elevations().iter().filter(|e| e.until <= now).cloned().collect();
        for elevation in over {
            if let Err(why) = self.write_elevation_end(&elevation, "its time is over", &engine).await {
                tracing::error!(%why, "the end of an elevation was not written");
                return;
            }
        }
        if self.state.freeze_until().is_some_and(|until| until <= now) {
            let _ = self.lift_freeze("its time is over", &engine).await;
        }
    }

    async fn write_elevation_end(&mut self, held: &Elevation, why: &str, actor: &Actor) -> Result<(), String> {
        let body = json!({ "person": held.person, "role": held.role, "why": why });
        self.record(Kind::ElevationEnded, self.current_incident(), body, actor).await.map(|_| ())
    }
}
