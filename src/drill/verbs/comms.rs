//! Telling people, in a drill: nothing leaves the machine, the crew sees what would have been sent.

use super::effect::{Aim, Done, Effect, http};
use super::given::Given;
use crate::domain::ports::VerbError;
use crate::domain::text::sanitize;
use crate::drill::model::Simulation;
use serde_json::{Value, json};

pub(super) static EFFECTS: &[Effect] = &[
    Effect { name: "comms.email", aim: message, act: mail, stands: |_, _| false },
    Effect { name: "comms.webhook", aim: message, act: hook, stands: |_, _| false },
    Effect { name: "comms.page", aim: message, act: page, stands: |_, _| false },
    Effect { name: "comms.file", aim: message, act: file, stands: |_, _| false },
];

fn message(given: &Given<'_>, _: &Simulation) -> Result<Aim, VerbError> {
    let audience = sanitize(&given.text("audience")?);
    let body = json!({ "subject": given.text("subject")?, "text": given.text("text")? });
    let aim = Aim::at("comms", format!("audience {audience}"), http("SEND", format!("to {audience}"), &body));
    Ok(aim.means("nobody: people read a message", "can not be taken back; a correction can follow"))
}

fn tell(given: &Given<'_>, sim: &mut Simulation, how: &str, result: Value) -> Result<Done, VerbError> {
    let (audience, subject) = (given.text("audience")?, given.text("subject")?);
    sim.told.push(format!("{how} to {}: {}", sanitize(&audience), sanitize(&subject)));
    Ok((result, format!("{how} to {} is out", sanitize(&audience))))
}

fn mail(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    tell(given, sim, "mail", json!({ "server": "drill", "said": "250 OK" }))
}

fn hook(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    tell(given, sim, "message", json!({ "status": 200, "answer": { "ok": true } }))
}

fn page(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    tell(given, sim, "page", json!({ "status": 202 }))
}

fn file(given: &Given<'_>, sim: &mut Simulation) -> Result<Done, VerbError> {
    tell(given, sim, "note", json!({ "written": true, "path": "drill" }))
}
