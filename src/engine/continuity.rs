//! Business continuity: what is done by hand while Odoo is away, as measures of a tenant or one of its plants. Each has an
//! owner who acknowledges; each that makes papers owes a reconciliation when it ends, which keeps the incident open until
//! sheets and documents were compared, or somebody answers for it with a date.

use super::api::{ByHand, Hand, Measure, Reply};
use super::core::Engine;
use crate::domain::actor::Actor;
pub(super) use crate::domain::by_hand::FALLBACK;
use crate::domain::by_hand::{Agreed, RECONCILE, compared, owed};
use crate::domain::health::Health;
use crate::domain::id::{IncidentId, Person, TenantId};
use crate::domain::mode::Mode;
use crate::domain::pane::SubjectRow;
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use crate::journal::Kind;
use jiff::Timestamp;
use serde_json::{Value, json};

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
        let incident: IncidentId = self
            .current_incident()
            .ok_or_else(|| Reply::refused("no incident is open: business goes on by hand in an incident only"))?;
        let agreed =
            Agreed::of(&self.world.estate, process, (tenant, plant), owner.as_str(), how).map_err(Reply::refused)?;
        let lift = agreed.lift();
        let Agreed { id, what, owner, .. } = agreed;
        if self.state.measures().iter().any(|m| m.id == id) {
            return Err(Reply::refused(format!("{id} is in force already")));
        }
        let body = json!({
            "measure": id, "what": what, "asked": owner, "lift": lift,
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
        // In an exercise nobody sits at the owner's desk but the crew.
        if asked != actor.user && self.mode != Mode::Drill {
            return Err(Reply::denied(format!("{asked} owns {id} and has to acknowledge it, not {}", actor.user)));
        }
        let body = json!({ "measure": id, "person": actor.user });
        let done = format!("{} has acknowledged {id}", actor.user);
        self.write(Kind::MeasureAcknowledged, known.incident, body, actor, &done).await
    }

    async fn end_fallback(&mut self, id: &str, actor: &Actor) -> Result<Reply, Reply> {
        let known = self.measure_named(id, FALLBACK)?;
        let owed = owed(id);
        let mut records = vec![(Kind::MeasureLifted, json!({ "measure": id, "what": known.what, "by": actor.user }))];
        records.extend(owed.as_ref().map(|owed| owes(owed, known.asked.as_ref())));
        self.record_all(records, known.incident, actor)
            .await
            .map_err(|why| Reply::refused(format!("not done: {why}")))?;
        let then = if owed.is_some() { "; its reconciliation is owed before the incident closes" } else { "" };
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
        let done = compared(sheets, documents, text).map_err(Reply::denied)?;
        let body = json!({
            "measure": id, "what": known.what, "done": done, "sheets": sheets, "documents": documents, "by": actor.user,
        });
        let message = format!("{id} is reconciled: {done}");
        self.write(Kind::MeasureLifted, known.incident, body, actor, &message).await
    }

    /// The records that go with one of a run, as things stand: a fallback that is not in force does not end, and nothing
    /// is owed for it.
    pub(super) fn as_in_force(&self, records: Vec<(Kind, Value)>) -> Vec<(Kind, Value)> {
        let measures = self.state.measures();
        let known = |id: &str| measures.iter().find(|m| m.id == id);
        let one = |(kind, mut body): (Kind, Value)| {
            let id = body.get("measure").and_then(Value::as_str).unwrap_or_default().to_owned();
            let about = id.starts_with(FALLBACK) || id.starts_with(RECONCILE);
            match kind {
                Kind::MeasureLifted if about => {
                    let what = known(&id)?.what.clone();
                    body.as_object_mut()?.insert("what".into(), json!(what));
                }
                Kind::MeasureSet if id.starts_with(RECONCILE) => {
                    let fallback = format!("{FALLBACK}{}", id.strip_prefix(RECONCILE)?);
                    let asked = known(&fallback)?.asked.clone();
                    body.as_object_mut()?.insert("asked".into(), json!(asked));
                }
                _ => {}
            }
            Some((kind, body))
        };
        records.into_iter().filter_map(one).collect()
    }

    /// What is done by hand, and what is owed for it, as rows of the pane Business.
    pub(super) fn by_hand_rows(&self, now: Timestamp) -> Vec<SubjectRow> {
        self.state.measures().iter().filter_map(|m| row(m, now)).collect()
    }
}

/// The record of what is owed.
pub(super) fn owes((id, what): &(String, String), asked: Option<&Person>) -> (Kind, Value) {
    let lift = format!("quarterdeck continuity reconcile '{id}' --sheets N --documents N");
    (Kind::MeasureSet, json!({ "measure": id, "what": what, "asked": asked, "lift": lift }))
}

/// A row of a fallback or of a reconciliation; nothing for other measures.
fn row(measure: &Measure, now: Timestamp) -> Option<SubjectRow> {
    let owed = measure.id.strip_prefix(RECONCILE);
    let rest = owed.or_else(|| measure.id.strip_prefix(FALLBACK))?;
    let (process, place) = rest.split_once('/')?;
    let tenant = TenantId::new(place.split('/').next()?);
    let since = now.duration_since(measure.since).as_secs();
    let owner = measure.asked.as_ref().map(ToString::to_string);
    let who = owner.clone().unwrap_or_else(|| "nobody".to_owned());
    let (kind, health, why) = match (&owed, &measure.acknowledged) {
        (Some(_), _) => ("papers", Health::Warn, format!("{} by {who}", measure.what)),
        (None, None) => ("by hand", Health::Warn, format!("{who} has not acknowledged; {}", measure.what)),
        (None, Some((by, _))) => {
            // A rule that its owner knows of hurts nobody; work on paper goes on hurting.
            let papers = Hand::of(process).is_some_and(Hand::makes_papers);
            let health = if papers { Health::Warn } else { Health::Ok };
            ("by hand", health, format!("{by} has acknowledged; {}", measure.what))
        }
    };
    Some(SubjectRow {
        subject: Subject::ByHand { tenant: tenant.clone(), measure: measure.id.as_str().into() },
        kind: kind.into(),
        name: format!("{process} {place}").into(),
        tenant: Some(tenant),
        owner: owner.map(Into::into),
        health,
        why,
        signals: Vec::new(),
        more: 0,
        trend: Vec::new(),
        age_s: i32::try_from(since).ok().map(f64::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_by_hand_and_what_is_owed_for_it_are_rows_with_owner_and_age() {
        let now: Timestamp = "2026-11-22T02:10:00Z".parse().unwrap();
        let mut measure = Measure {
            id: "fallback/shipping/t017/Kassel".into(),
            what: "t017/Kassel: goods are shipped with paper: labels".into(),
            by: "mara".into(),
            since: "2026-11-22T02:00:00Z".parse().unwrap(),
            incident: None,
            lift: "quarterdeck continuity end".into(),
            owner: None,
            asked: Some(Person::new("olga")),
            acknowledged: None,
        };
        let of = |measure: &Measure| row(measure, now).unwrap();
        let open = of(&measure);
        assert_eq!((open.name.as_str(), open.kind.as_str()), ("shipping t017/Kassel", "by hand"));
        assert_eq!((open.health, open.age_s, open.owner.as_deref()), (Health::Warn, Some(600.0), Some("olga")));
        assert!(open.why.starts_with("olga has not acknowledged; "), "{}", open.why);
        measure.acknowledged = Some((Person::new("olga"), now));
        assert_eq!(of(&measure).health, Health::Warn, "work on paper hurts, whoever knows of it");
        measure.id = "fallback/priorities/t017".into();
        assert_eq!((of(&measure).health, of(&measure).tenant), (Health::Ok, Some(TenantId::new("t017"))));
        measure.id = "reconcile/shipping/t017/Kassel".into();
        assert_eq!((of(&measure).health, of(&measure).kind.as_str()), (Health::Warn, "papers"));
        measure.id = "maintenance/t017".into();
        assert!(row(&measure, now).is_none());
    }
}
