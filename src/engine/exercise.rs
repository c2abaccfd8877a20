//! The exercise as the engine keeps it: what the simulated estate did becomes records, the crew asks for help, the
//! facilitator steers; and from these records alone comes the score.

use super::api::{InjectView, Reply, Steer};
use super::commands::words;
use super::core::Engine;
use crate::domain::actor::Actor;
use crate::drill::exercise::{Event, Planned, ending};
use crate::drill::{Drill, Help};
use crate::journal::Kind;
use serde_json::{Value, json};

/// Least length of the reason for other points, in characters.
const REASON: usize = 10;
/// Longest delay in seconds: a day.
const DELAY_S: i64 = 86_400;

impl Engine {
    fn exercise(&self) -> Result<Drill, Reply> {
        let drill = self.drill.as_ref().map(|handle| handle.exercise().clone());
        drill.ok_or_else(|| Reply::refused("this is no drill"))
    }

    /// Writes what the exercise is scored by.
    pub(super) async fn begin_exercise(&mut self) {
        let Ok(drill) = self.exercise() else { return };
        let engine = self.me.engine();
        match serde_json::to_value(drill.card()) {
            Ok(body) => drop(self.record(Kind::ExerciseStarted, None, body, &engine).await),
            Err(why) => tracing::error!(%why, "the exercise can not be scored"),
        }
        self.heed_exercise().await;
    }

    /// Writes what the exercise did.
    pub(super) async fn heed_exercise(&mut self) {
        let Ok(drill) = self.exercise() else { return };
        let (engine, incident) = (self.me.engine(), self.current_incident());
        for event in drill.take_events() {
            let (kind, body) = match event {
                Event::Fired { inject, channel, what, faults, at_s } => (
                    Kind::InjectFired,
                    json!({ "inject": inject, "channel": channel, "what": what, "faults": faults, "at_s": at_s }),
                ),
                Event::Passed { inject, at_s } => (
                    Kind::ExerciseSteered,
                    json!({ "act": "passed over", "what": inject, "at_s": at_s, "by": "the scenario" }),
                ),
                Event::Observed { id, at_s } => (Kind::ExerciseObserved, json!({ "id": id, "at_s": at_s })),
                Event::Ended { reached, at_s } => {
                    (Kind::ExerciseEnded, json!({ "reached": reached, "why": ending(reached), "at_s": at_s }))
                }
            };
            let _ = self.record(kind, incident.clone(), body, &engine).await;
        }
    }

    /// The crew asks for help.
    pub(super) async fn hint(&mut self, actor: &Actor) -> Result<Reply, Reply> {
        let drill = self.exercise()?;
        self.give_hint(&drill, true, actor).await
    }

    async fn give_hint(&mut self, drill: &Drill, costs: bool, actor: &Actor) -> Result<Reply, Reply> {
        if drill.view().ended {
            return Err(Reply::refused("the exercise is over: there is nothing to be helped with"));
        }
        match drill.hint(&self.ledger) {
            Help::Now { id, cost, text } => {
                let cost = if costs { cost } else { 0 };
                let body = json!({ "hint": id, "text": text, "cost": cost });
                let incident = self.current_incident();
                self.write(Kind::HintGiven, incident, body, actor, "").await?;
                drill.tell(&format!("hint for {cost} points: {text}"));
                Ok(Reply::accepted(format!("hint, {cost} points: {text}")))
            }
            Help::In(seconds) => {
                Err(Reply::refused(format!("there is no hint yet; the next can be had in {seconds} s of the scenario")))
            }
            Help::Nothing => Err(Reply::refused("there is no hint for what is going on")),
        }
    }

    /// What a facilitator does.
    pub(super) async fn facilitate(&mut self, act: Steer, actor: &Actor) -> Result<Reply, Reply> {
        let drill = self.exercise()?;
        let steered = |act: &str, what: Value| (json!({ "act": act, "what": what }), format!("{act} {}", shown(&what)));
        let (body, done) = match act {
            Steer::Plan => {
                return Ok(Reply::Planned { injects: drill.plan().into_iter().map(view).collect() });
            }
            Steer::Hint => return self.give_hint(&drill, false, actor).await,
            Steer::Override { expectation, score, reason } => {
                return self.judge_anew(&expectation, score, &reason, actor).await;
            }
            Steer::Start => {
                accepted(self.set_speed(drill.usual_speed()))?;
                steered("start", json!(format!("at {}x", drill.usual_speed())))
            }
            Steer::Pause => {
                accepted(self.set_speed(0.0))?;
                steered("pause", Value::Null)
            }
            Steer::Speed { speed } => {
                accepted(self.set_speed(speed))?;
                steered("speed", json!(format!("{speed}x")))
            }
            Steer::Fire { inject } => {
                drill.fire(&inject).map_err(Reply::refused)?;
                steered("fire", json!(inject))
            }
            Steer::Skip { inject } => {
                drill.skip(&inject).map_err(Reply::refused)?;
                steered("skip", json!(inject))
            }
            Steer::Delay { inject, seconds } => {
                if !(1..=DELAY_S).contains(&seconds) {
                    return Err(Reply::refused(format!("a delay is {seconds} s, allowed is 1 s to {DELAY_S} s")));
                }
                drill.delay(&inject, seconds).map_err(Reply::refused)?;
                steered("delay", json!(format!("{inject} by {seconds} s")))
            }
            Steer::Note { text } => {
                let text = words(&text, "the note")?;
                (json!({ "act": "note", "text": text }), "noted; the crew's screens do not show it".to_owned())
            }
            Steer::Tell { text } => {
                let text = words(&text, "the text")?;
                drill.tell(&format!("facilitator: {}", crate::domain::text::sanitize(&text)));
                steered("tell", json!(text))
            }
        };
        let incident = self.current_incident();
        let reply = self.write(Kind::ExerciseSteered, incident, body, actor, &done).await;
        self.heed_exercise().await;
        reply
    }

    async fn judge_anew(&mut self, expectation: &str, score: u32, reason: &str, actor: &Actor) -> Result<Reply, Reply> {
        let reason = words(reason, "the reason")?;
        if reason.chars().count() < REASON {
            return Err(Reply::refused(format!("a reason of at least {REASON} characters is needed")));
        }
        let Some(most) = self.ledger.worth(expectation) else {
            let all = self.ledger.expectations().join(", ");
            return Err(Reply::refused(format!("there is no expectation `{expectation}`; there are {all}")));
        };
        if score > most {
            return Err(Reply::refused(format!(
                "{score} points are more than the {most} that `{expectation}` is worth"
            )));
        }
        let body = json!({ "what": expectation, "score": score, "reason": reason });
        let incident = self.current_incident();
        self.write(Kind::ScoreOverridden, incident, body, actor, &format!("{expectation} is worth {score} points now"))
            .await
    }
}

fn shown(what: &Value) -> &str {
    what.as_str().unwrap_or_default()
}

fn accepted(reply: Reply) -> Result<(), Reply> {
    if matches!(reply, Reply::Refused { .. }) { Err(reply) } else { Ok(()) }
}

fn view(planned: Planned) -> InjectView {
    let Planned { id, channel, stands, what, note, red_herring } = planned;
    InjectView { id, channel: channel.to_owned(), stands, what, note, red_herring }
}
