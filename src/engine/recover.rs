//! Runs that were open when the last engine ended, rebuilt from their records.

use super::core::Engine;
use super::held::Held;
use super::runs::shown;
use crate::domain::id::{IncidentId, PlaybookId, RunId};
use crate::journal::{Kind, Record};
use crate::playbook::run::{Past, Run};
use serde_json::{Value, json};
use std::sync::Arc;

impl Engine {
    /// Rebuilds the runs that were open when the last engine ended. They come back stopped; a start without an
    /// outcome is looked at when the run goes on, never run again.
    pub(super) async fn recover_runs(&mut self) {
        let open = self.state.open_runs().to_vec();
        self.recover(open).await;
    }

    /// The same for the runs of an incident that this engine has taken over, or of none.
    pub(super) async fn recover_runs_of(&mut self, incident: Option<&IncidentId>) {
        let mut open = self.state.open_runs().to_vec();
        let of = |records: &[Record]| records.iter().rev().find_map(|r| r.incident.clone());
        open.retain(|(id, records)| self.runs.get(id).is_none() && of(records).as_ref() == incident);
        self.recover(open).await;
    }

    async fn recover(&mut self, open: Vec<(RunId, Vec<Record>)>) {
        let dir = self.journal().dir().to_owned();
        for (id, mut records) in open {
            super::evidence::restore_results(&dir, &mut records);
            let Some(first) = records.first() else { continue };
            let playbook = first.body.get("playbook").and_then(Value::as_str).unwrap_or_default();
            let Some(plan) = self.library.get(&PlaybookId::new(playbook)).map(|e| e.plan.clone()) else {
                let text = format!("{id} can not be rebuilt: the playbook {playbook} is not there any more");
                let actor = self.me.engine();
                let _ = self.record(Kind::NoteAdded, first.incident.clone(), json!({ "text": text }), &actor).await;
                continue;
            };
            match Run::replay(plan, &past(&records)) {
                Ok(mut run) => {
                    for step in self.state.called(&id) {
                        run.note_called(step);
                    }
                    let params = run.start().params.iter().map(|(k, v)| (k.clone(), text_of(v))).collect();
                    let params = shown(&params);
                    let incident = records.iter().rev().find_map(|r| r.incident.clone());
                    let began = first.actor.clone();
                    let actor = self.me.engine();
                    let held = Held {
                        run,
                        incident,
                        params,
                        actor,
                        other: None,
                        began,
                        surveyed: Vec::new(),
                        secrets: Arc::default(),
                    };
                    self.bastions.taken_over(&id);
                    self.runs.insert(id, held);
                }
                Err(error) => {
                    let text = format!("{id} can not be rebuilt: {error}");
                    let actor = self.me.engine();
                    let _ = self.record(Kind::NoteAdded, first.incident.clone(), json!({ "text": text }), &actor).await;
                }
            }
        }
    }
}

/// Records as a run is rebuilt from them.
fn past(records: &[Record]) -> Vec<Past<'_>> {
    records.iter().map(|r| Past { seq: r.seq, at: r.time, kind: r.kind.word(), body: &r.body }).collect()
}

/// A parameter as it was typed.
fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
