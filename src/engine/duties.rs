//! What is owed after an incident, done: a person says so, and where there is something that can be looked at, it is
//! looked at first. What is neither done nor handed over keeps the incident open.

use super::api::{Measure, Reply};
use super::commands::words;
use super::core::Engine;
use crate::domain::actor::Actor;
use crate::journal::Kind;
use serde_json::json;

/// What the id of a duty begins with; then come the run and the word.
const DUTY: &str = "duty/";

/// Kinds of measures that hold deliveries back.
const HOLDS: [&str; 5] = ["freeze/", "ci-hold/", "auto-sync/", "flux-suspend/", "rollout-pause/"];

impl Engine {
    /// A person says that a duty is done.
    pub(super) async fn duty_done(&mut self, duty: &str, text: &str, actor: &Actor) -> Result<Reply, Reply> {
        let text = words(text, "what was done")?;
        let all = self.state.measures();
        let duties = || all.iter().filter(|m| m.id.starts_with(DUTY));
        let Some(known) = duties().find(|m| m.id == duty).cloned() else {
            let there: Vec<&str> = duties().map(|m| m.id.as_str()).collect();
            let there = if there.is_empty() { "nothing is owed".to_owned() } else { there.join(", ") };
            return Err(Reply::refused(format!("there is no duty {}; {there}", crate::domain::text::sanitize(duty))));
        };
        let checked = check(&known, &all).map_err(Reply::denied)?;
        let body =
            json!({ "measure": known.id, "what": known.what, "done": text, "checked": checked, "by": actor.user });
        let done = format!("{} is done: {checked}", known.id);
        self.write(Kind::MeasureLifted, known.incident, body, actor, &done).await
    }
}

/// What was looked at, or why the duty is not done.
fn check(duty: &Measure, all: &[Measure]) -> Result<String, String> {
    let own = |m: &&Measure| m.incident == duty.incident || m.incident.is_none();
    let still = |kind: &dyn Fn(&Measure) -> bool| -> Vec<&Measure> {
        all.iter().filter(own).filter(|m| !m.id.starts_with(DUTY) && m.owner.is_none() && kind(m)).collect()
    };
    let (left, nothing) = match duty.id.rsplit('/').next() {
        Some("unfreeze") => {
            (still(&|m| HOLDS.iter().any(|kind| m.id.starts_with(kind))), "no hold on deliveries is in force")
        }
        Some("reconcile-git") => {
            (still(&|m| m.lift.contains("in Git")), "no measure that differs from Git is in force")
        }
        Some("cleanup") => (still(&|_| true), "no measure of the incident is in force"),
        _ => return Ok("a person's word; there is nothing to look at".to_owned()),
    };
    match left.first() {
        None => Ok(nothing.to_owned()),
        Some(first) => Err(format!(
            "{} is not done: {} is still in force, {}; lift it ({}) or hand it to an owner",
            duty.id, first.id, first.what, first.lift
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measure(id: &str, lift: &str) -> Measure {
        Measure {
            id: id.into(),
            what: format!("what {id} is"),
            by: "mara".into(),
            since: jiff::Timestamp::UNIX_EPOCH,
            incident: Some("INC-1".into()),
            lift: lift.into(),
            owner: None,
            asked: None,
            acknowledged: None,
        }
    }

    #[test]
    fn a_duty_that_can_be_looked_at_is_done_only_when_nothing_stands_against_it() {
        let freeze = measure("freeze/argocd/erp", "delivery.unfreeze");
        let workers = measure("workers/t017", "the values of before, or the same in Git");
        let all = [freeze.clone(), workers.clone(), measure("duty/RUN-1/unfreeze", "")];
        let said = |word: &str, all: &[Measure]| check(&measure(&format!("duty/RUN-1/{word}"), ""), all);
        assert!(said("unfreeze", &all).unwrap_err().contains("freeze/argocd/erp is still in force"));
        assert!(said("reconcile-git", &all).unwrap_err().contains("workers/t017 is still in force"));
        assert!(said("cleanup", &all).is_err());
        assert!(said("retrospective", &all).unwrap().contains("a person's word"));
        let handed = Measure { owner: Some(("bo".into(), jiff::Timestamp::MAX)), ..freeze };
        assert!(said("unfreeze", &[handed, workers.clone()]).is_ok(), "what is handed over is answered for");
        let other = Measure { incident: Some("INC-2".into()), ..workers };
        assert!(said("cleanup", &[other]).is_ok(), "another incident's");
    }
}
