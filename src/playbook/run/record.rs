//! The bodies of a run's records. The journal takes no number that is not an integer below 2^53 and no control
//! character; what a server answered is therefore kept exactly, as JSON text, with foreign text sanitised.

use super::effect::Effect;
use super::input::Rendering;
use super::machine::Run;
use super::state::{Phase, Then};
use crate::domain::text::sanitize;
use crate::playbook::expr::Evaluation;
use serde_json::{Map, Value, json};

/// A request beyond this many bytes does not fit into a record, whose limit is 65,535.
const MAX_REQUEST: usize = 48 * 1024;

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
        let params: Map<String, Value> =
            self.start.params.iter().map(|(name, value)| (name.clone(), json!(plain(value)))).collect();
        json!({
            "playbook": playbook.id, "playbook_version": playbook.version, "playbook_digest": self.plan.digest(),
            "params": params, "tenant": self.start.tenant, "incident": self.start.incident, "by": self.start.by,
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

/// The body of `step.intended`, or why the request does not fit into a record.
pub(super) fn intended(rendering: &Rendering, preconditions: &[String]) -> Result<Value, String> {
    let request = serde_json::to_value(&rendering.request).map_err(|e| e.to_string())?;
    let size = request.to_string().len();
    if size > MAX_REQUEST {
        return Err(format!("its request has {size} bytes, at most {MAX_REQUEST} fit into a record"));
    }
    Ok(json!({
        "digest": rendering.digest, "request": request, "preconditions": preconditions,
        "bound": (!rendering.bound.is_empty()).then_some(&rendering.bound), "assessment": rendering.assessment, "idempotent": rendering.idempotent, "reversible": rendering.reversible,
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
        bound: of("bound").and_then(|b| serde_json::from_value(b).ok()).unwrap_or_default(),
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
