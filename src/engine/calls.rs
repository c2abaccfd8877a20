//! Calling somebody when a step waits for too long: an own run of a playbook that is built in, through the gate and with
//! its own records, once for each step. It goes by the best way that the audience has: pager, web hook, mail, file.

use super::core::Engine;
use crate::domain::id::{PlaybookId, RunId};
use crate::domain::run::RunState;
use crate::domain::text::sanitize;
use crate::journal::Kind;
use crate::playbook::library::CALLS;
use crate::playbook::run::{Input, Parent};
use crate::playbook::schema::Call;
use serde_json::json;
use std::collections::BTreeMap;

/// Longest subject of a call, in characters.
const SUBJECT: usize = 120;

impl Engine {
    /// A call has ended without reaching anybody: it goes by the next way.
    pub(super) async fn call_ended(&mut self, call: &RunId, state: RunState) {
        let Some(held) = self.runs.get(call).filter(|_| state == RunState::Failed) else { return };
        let start = held.run.start();
        let Some(parent) = start.parent.clone().filter(|p| p.calls) else { return };
        let by = held.run.plan().playbook().id.clone();
        let left = CALLS.iter().skip_while(|(id, _)| *id != by.as_str()).skip(1);
        let text = |name: &str| start.params.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        let (to, source, why) = (text("audience"), text("source"), text("text"));
        let left: Vec<_> = left.copied().collect();
        self.call_by(parent, (&to, &source), &why, &left).await;
    }

    /// Calls somebody by the first way that they have; `source` is on whose word.
    pub(super) async fn call_by(
        &mut self,
        parent: Parent,
        (to, source): (&str, &str),
        why: &str,
        ways: &[(&str, &str)],
    ) {
        let incident = self.runs.get(&parent.run).and_then(|held| held.incident.clone());
        let subject: String =
            sanitize(&format!("{} {}: {why}", parent.run, parent.step)).chars().take(SUBJECT).collect();
        let said = [("audience", to), ("subject", &subject), ("text", why)];
        let args = said.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let source = Some(("source", source)).filter(|(_, word)| !word.is_empty());
        let params: BTreeMap<String, String> =
            said.into_iter().chain(source).map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let mut no = Vec::new();
        for (id, verb) in ways {
            let call = Call {
                adapter: "comms".into(),
                verb: (*verb).into(),
                args: BTreeMap::new(),
                dry_run: false,
                mask_outputs: vec![],
            };
            match self.scene().request_with(&call, &args, None) {
                Err(why) => no.push(why),
                Ok(_) => {
                    let actor = self.me.engine();
                    let playbook = PlaybookId::new(*id);
                    match self
                        .start_run(
                            &playbook,
                            (&params, &BTreeMap::new()),
                            incident.clone(),
                            Some(parent.clone()),
                            &actor,
                        )
                        .await
                    {
                        Ok(_) => return,
                        Err(reply) => no.push(reply.words().to_owned()),
                    }
                }
            }
        }
        let reason = why;
        let why = no.first().map_or("no way is left", String::as_str);
        let text = format!("{} {}: {to} could not be called: {why}", parent.run, parent.step);
        let _ = self.record(Kind::NoteAdded, incident, json!({ "text": sanitize(&text) }), &self.me.engine()).await;
        Box::pin(self.call_next(&parent, to, reason)).await;
    }

    /// Goes on with the calls of a run that has been gone on with.
    pub(super) async fn resume_calls(&mut self, run: &RunId) {
        for child in self.runs.children_of(run) {
            let held =
                self.runs.get(&child).map(|h| (h.run.start().parent.as_ref().is_some_and(|p| p.calls), h.run.state()));
            if let Some((true, RunState::Stopped | RunState::Unknown)) = held {
                let by = self.me.engine().user.as_str().into();
                self.feed_logged(&child, Input::Resume { by }).await;
            }
        }
    }
}
