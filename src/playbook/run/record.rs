//! The bodies of a run's records. The journal takes no number that is not an integer below 2^53 and no control
//! character; what a server answered is therefore kept exactly, as JSON text, with foreign text sanitised.

use super::effect::Effect;
use super::input::Rendering;
use super::machine::Run;
use super::state::{Phase, Then};
use crate::domain::id::StepId;
use crate::domain::text::sanitize;
use crate::playbook::expr::Evaluation;
use serde_json::{Map, Value, json};

/// Longest request, in bytes. One that does not fit into a record is kept as evidence beside it.
const MAX_REQUEST: usize = 8 * 1024 * 1024;

/// Foreign text made fit for a record.
pub(super) trait Clean {
    /// Without control characters and overrides.
    fn clean(&self) -> String;
}

impl Clean for str {
    fn clean(&self) -> String {
        sanitize(self)
    }
}

impl Run {
    /// Asks for a record that names the run and the step in hand, and waits for it.
    pub(super) fn record(&mut self, kind: &'static str, body: Value, then: Then, out: &mut Vec<Effect>) {
        let mut fields = Map::new();
        fields.insert("run".into(), json!(self.start.run));
        if kind.starts_with("step.") || kind.starts_with("approval.") || kind == "decision.made" {
            let step = self.current_step().map(|s| s.id.clone());
            fields.insert("step".into(), json!(step));
        }
        fields.insert("generation".into(), json!(self.generation));
        if let Value::Object(more) = body {
            fields.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        }
        let mark = self.mark();
        let body = Value::Object(fields);
        self.phase = Phase::Record { mark, kind, body: body.clone(), then };
        out.push(Effect::Append { mark, kind, body });
    }

    pub(super) fn started_body(&self) -> Value {
        let playbook = self.plan.playbook();
        let said = |(name, value): (&String, &Value)| {
            let said = self.start.secrets.get(name).cloned().unwrap_or_else(|| json!(plain(value)));
            (name.clone(), said)
        };
        let params: Map<String, Value> = self.start.params.iter().map(said).collect();
        let targets = (!self.start.targets.is_empty()).then_some(&self.start.targets);
        let parent = &self.start.parent;
        let objectives = &playbook.objectives;
        let rto = objectives.rto.as_ref().map(|span| span.0.as_secs());
        let rpo = objectives.rpo.as_ref().map(|span| span.0.as_secs());
        let objectives = (rto.is_some() || rpo.is_some()).then(|| json!({ "rto_s": rto, "rpo_s": rpo }));
        json!({
            "objectives": objectives,
            "playbook": playbook.id, "playbook_version": playbook.version, "playbook_digest": self.plan.digest(),
            "params": params, "tenant": self.start.tenant, "targets": targets, "parent": parent, "incident": self.start.incident, "by": self.start.by,
        })
    }
}

/// A parameter's value as text, from which `params::typed` makes it again.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clean(),
        other => other.to_string(),
    }
}

impl Run {
    /// The body of `step.intended`, or why the request can not be recorded.
    pub(super) fn intended_body(&self, step: &StepId, rendering: &Rendering) -> Result<Value, String> {
        let mut body = intended(rendering, &self.bound_lines(step, &rendering.bound))?;
        let here = self.here();
        let dry_run = here.and_then(|h| h.dry_run.as_deref());
        let fan = here.and_then(|h| h.fan.as_ref());
        let values = fan.map(|f| Value::Array(f.items.iter().map(|i| json!([i.seat.label, i.seat.item])).collect()));
        if let Some(fields) = body.as_object_mut() {
            fields.insert("dry_run".into(), json!(dry_run));
            fields.insert("ring".into(), json!(fan.map(|f| f.ring)));
            fields.insert("targets".into(), json!(fan.map(|f| f.labels(&f.asked))));
            fields.insert("items".into(), json!(values.map(|v| v.to_string())));
        }
        Ok(body)
    }
}

/// A server's answer without the members that are kept nowhere.
pub(super) fn masked(mut value: Value, paths: &[String]) -> Value {
    for path in paths {
        let mut at = Some(&mut value);
        let mut parts = path.split('.').peekable();
        while let Some(part) = parts.next() {
            let Some(Value::Object(fields)) = at else { break };
            if parts.peek().is_none() {
                fields.remove(part);
                break;
            }
            at = fields.get_mut(part);
        }
    }
    value
}

fn intended(rendering: &Rendering, preconditions: &[String]) -> Result<Value, String> {
    let request = serde_json::to_value(&rendering.request).map_err(|e| e.to_string())?;
    let size = request.to_string().len();
    if size > MAX_REQUEST {
        return Err(format!("its request has {size} bytes, at most {MAX_REQUEST} are allowed"));
    }
    Ok(json!({
        "digest": rendering.digest, "request": request, "preconditions": preconditions,
        "bound": rendering.bound, "assessment": rendering.assessment, "idempotent": rendering.idempotent, "reversible": rendering.reversible,
    }))
}

/// The request and what was said of it, from the body of `step.intended`.
pub(super) fn rendering(body: &Value) -> Option<Rendering> {
    let of = |name: &str| body.get(name).cloned();
    Some(Rendering {
        request: serde_json::from_value(of("request")?).ok()?,
        digest: serde_json::from_value(of("digest")?).ok()?,
        assessment: serde_json::from_value(of("assessment")?).ok()?,
        idempotent: of("idempotent")?.as_bool()?,
        reversible: serde_json::from_value(of("reversible")?).ok()?,
        read_only: false,
        bound: of("bound").and_then(|bound| serde_json::from_value(bound).ok()).unwrap_or_default(),
        shown: None,
    })
}

/// What expressions said, for a record.
pub(super) fn checks(evaluations: &[Evaluation]) -> Value {
    let one = |e: &Evaluation| {
        let holds = match &e.verdict {
            crate::playbook::expr::Verdict::True => "true".to_owned(),
            crate::playbook::expr::Verdict::False => "false".to_owned(),
            crate::playbook::expr::Verdict::Unknown(why) => format!("unknown: {}", why.clean()),
        };
        json!({"text": e.text.clean(), "holds": holds, "detail": e.detail.clean()})
    };
    Value::Array(evaluations.iter().map(one).collect())
}

/// A server's answer with all text in it sanitised.
pub(super) fn clean_json(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.clean()),
        Value::Array(items) => Value::Array(items.into_iter().map(clean_json).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(name, value)| (name.clean(), clean_json(value))).collect())
        }
        other => other,
    }
}
