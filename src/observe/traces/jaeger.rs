//! Jaeger: `/api/traces` of a service. Each trace has all its spans, with the process that made each.

use super::{TRACES, span};
use crate::config::model::Template;
use crate::domain::logs::{LogAsk, Spans, Untold};
use crate::observe::logs::web::{Web, strange};
use jiff::Timestamp;
use serde_json::Value;

pub(super) async fn ask(web: &Web, service: &Template, ask: &LogAsk) -> Result<Spans, Untold> {
    let service = service.of(&ask.tenant, |value| Ok(value.to_owned())).map_err(Untold::new)?;
    let (from, until) = (ask.from.as_microsecond().to_string(), ask.until.as_microsecond().to_string());
    let limit = TRACES.to_string();
    let query = [("service", service.as_str()), ("start", &from), ("end", &until), ("limit", &limit)];
    let body = web.get("/api/traces", &query, None).await?;
    spans(&body).map_err(|what| strange(&web.address(), &what))
}

fn spans(body: &[u8]) -> Result<Spans, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("it is no JSON, {e}"))?;
    let said = value.pointer("/errors/0/msg").and_then(Value::as_str);
    let traces = match value.get("data") {
        Some(Value::Array(traces)) => traces,
        // No trace is said like this too.
        Some(Value::Null) if said.is_none() => return Ok(Spans::default()),
        _ => return Err(said.map_or_else(|| "the answer has no `data`".to_owned(), super::name)),
    };
    let mut slowest = Vec::new();
    for trace in traces {
        for one in trace.get("spans").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or_default();
            let process = trace.get("processes").and_then(|all| all.get(text("processID")));
            let service = process.and_then(|p| p.get("serviceName")?.as_str()).unwrap_or_default();
            let at = one.get("startTime").and_then(Value::as_i64).and_then(|us| Timestamp::from_microsecond(us).ok());
            let took = one.get("duration").and_then(Value::as_f64).map(|us| us / 1e6);
            slowest.extend(took.and_then(|took| span(text("traceID"), service, text("operationName"), at, took)));
        }
    }
    Ok(Spans { traces: u64::try_from(traces.len()).unwrap_or(u64::MAX), slowest, cut: None })
}
