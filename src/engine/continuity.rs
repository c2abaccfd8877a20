//! Business continuity: what is done by hand while Odoo is away, as measures of a tenant or one of its plants. Each has an
//! owner who acknowledges; each that makes papers owes a reconciliation when it ends, which keeps the incident open until
//! sheets and documents were compared, or somebody answers for it with a date.

use super::api::{ByHand, Hand, Measure, Reply};
use super::commands::words;
use super::core::Engine;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, Person, TenantId};
use crate::domain::text::sanitize;
use crate::journal::Kind;
use serde_json::json;

/// What the id of a fallback begins with; then come the process, the tenant and the plant.
pub(super) const FALLBACK: &str = "fallback/";
/// What the id of a reconciliation begins with; the rest is that of its fallback.
pub(super) const RECONCILE: &str = "reconcile/";
/// Least length of the words on a difference, in characters.
const EXPLAINED: usize = 10;

impl Engine {
    /// The commands of business continuity.
    pub(super) async fn by_hand(&mut self, act: ByHand, actor: &Actor) -> Result<Reply, Reply> {
        match act {
            ByHand::Start { process, tenant, plant, owner, how } => {
                self.fall_back(process, (&tenant, plant.as_deref()), &owner, &how, actor).await
            }
            ByHand::Acknowledge { measure } => self.acknowledge_fallback(&measure, actor).await,
            ByHand::End { measure } => self.end_fallback(&measure, actor).await,
            ByHand::Reconcile { measure, sheets, documents, text } => {
                self.reconciled(&measure, (sheets, documents), &text, actor).await
            }
        }
    }

    fn measure_named(&self, id: &str, kind: &str) -> Result<Measure, Reply> {
        let all = self.state.measures();
        let own = || all.iter().filter(|m| m.id.starts_with(kind));
        own().find(|m| m.id == id).cloned().ok_or_else(|| {
            let there: Vec<&str> = own().map(|m| m.id.as_str()).collect();
            let there = if there.is_empty() { "none is in force".to_owned() } else { there.join(", ") };
            Reply::refused(format!("there is no {}; {there}", sanitize(id)))
        })
    }

    async fn fall_back(
        &mut self,
        process: Hand,
        (tenant, plant): (&TenantId, Option<&str>),
        owner: &Person,
        how: &str,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let how = words(how, "how it is done")?;
        let owner = words(owner.as_str(), "the owner")?;
        let incident: IncidentId = self
            .current_incident()
            .ok_or_else(|| Reply::refused("no incident is open: business goes on by hand in an incident only"))?;
        let Some(known) = self.world.estate.tenant(tenant) else {
            return Err(Reply::refused(format!("there is no tenant {}", sanitize(tenant.as_str()))));
        };
        if let Some(plant) = plant
            && !known.plants.iter().any(|p| p.name == plant)
        {
            let plants: Vec<&str> = known.plants.iter().map(|p| p.name.as_str()).collect();
            return Err(Reply::refused(format!(
                "{tenant} has no plant {}; it has {}",
                sanitize(plant),
                plants.join(", ")
            )));
        }
        let place = plant.map_or_else(|| tenant.to_string(), |plant| format!("{tenant}/{plant}"));
        let id = format!("{FALLBACK}{}/{place}", process.word());
        if self.state.measures().iter().any(|m| m.id == id) {
            return Err(Reply::refused(format!("{id} is in force already")));
        }
        let what = format!("{place}: {}: {how}", process.says());
        let body = json!({
            "measure": id, "what": what, "asked": owner, "how": how,
            "lift": format!("quarterdeck continuity end {id}; its papers are reconciled then"),
        });
        let done = format!("{id} is in force; {owner} has to acknowledge it");
        self.write(Kind::MeasureSet, Some(incident), body, actor, &done).await?;
        Ok(Reply::Accepted { message: done, id: Some(id) })
    }

    async fn acknowledge_fallback(&mut self, id: &str, actor: &Actor) -> Result<Reply, Reply> {
        let known = self.measure_named(id, FALLBACK)?;
        if let Some((person, at)) = &known.acknowledged {
            return Err(Reply::refused(format!("{person} has acknowledged it at {at:.0}")));
        }
        let asked = known.asked.as_ref().map(ToString::to_string).unwrap_or_default();
        if asked != actor.user {
            return Err(Reply::denied(format!("{asked} owns {id} and has to acknowledge it, not {}", actor.user)));
        }
        let body = json!({ "measure": id, "person": actor.user });
        let done = format!("{} has acknowledged {id}", actor.user);
        self.write(Kind::MeasureAcknowledged, known.incident, body, actor, &done).await
    }

    async fn end_fallback(&mut self, id: &str, actor: &Actor) -> Result<Reply, Reply> {
        let known = self.measure_named(id, FALLBACK)?;
        let rest = id.strip_prefix(FALLBACK).unwrap_or_default();
        let mut records = vec![(Kind::MeasureLifted, json!({ "measure": id, "what": known.what, "by": actor.user }))];
        let owes = Hand::ALL.into_iter().any(|h| h.makes_papers() && rest.split('/').next() == Some(h.word()));
        if owes {
            let reconciliation = format!("{RECONCILE}{rest}");
            records.push((
                Kind::MeasureSet,
                json!({
                    "measure": reconciliation, "what": format!("papers of {rest} are to be compared with the documents in Odoo"),
                    "asked": known.asked,
                    "lift": format!("quarterdeck continuity reconcile {reconciliation} --sheets N --documents N"),
                }),
            ));
        }
        self.record_all(records, known.incident, actor)
            .await
            .map_err(|why| Reply::refused(format!("not done: {why}")))?;
        let then = if owes { "; its reconciliation is owed before the incident closes" } else { "" };
        Ok(Reply::accepted(format!("{id} has ended{then}")))
    }

    async fn reconciled(
        &mut self,
        id: &str,
        (sheets, documents): (u32, u32),
        text: &str,
        actor: &Actor,
    ) -> Result<Reply, Reply> {
        let known = self.measure_named(id, RECONCILE)?;
        let text = text.trim();
        if sheets != documents && text.chars().count() < EXPLAINED {
            let why =
                format!("{sheets} sheets and {documents} documents differ: say in --text what became of the others");
            return Err(Reply::denied(why));
        }
        let said = format!("{sheets} sheets, {documents} documents");
        let done = if text.is_empty() { said } else { format!("{said}: {text}") };
        let body = json!({
            "measure": id, "what": known.what, "done": done, "sheets": sheets, "documents": documents, "by": actor.user,
        });
        let message = format!("{id} is reconciled: {done}");
        self.write(Kind::MeasureLifted, known.incident, body, actor, &message).await
    }
}
