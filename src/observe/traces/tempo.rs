//! Tempo: `/api/search` with `TraceQL`. Each trace gives the spans that the query matched, and its root.

use super::{TRACES, span};
use crate::config::model::Template;
use crate::domain::logs::{LogAsk, Span, Spans, Untold};
use crate::observe::logs::web::{Web, strange};
use jiff::Timestamp;
use serde_json::Value;

/// Spans of each trace that are asked for.
const SPANS: &str = "5";

pub(super) async fn ask(web: &Web, query: &Template, ask: &LogAsk) -> Result<Spans, Untold> {
    let quoted = |value: &str| Ok(value.replace('\\', "\\\\").replace('"', "\\\""));
    let text = query.of(&ask.tenant, quoted).map_err(Untold::new)?;
    // The end of the interval is left out by Tempo.
    let (from, until) = (ask.from.as_second().to_string(), (ask.until.as_second() + 1).to_string());
    let limit = TRACES.to_string();
    let query = [("q", text.as_str()), ("start", &from), ("end", &until), ("limit", &limit), ("spss", SPANS)];
    let body = web.get("/api/search", &query, None).await?;
    spans(&body).map_err(|what| strange(&web.address(), &what))
}

fn spans(body: &[u8]) -> Result<Spans, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("it is no JSON, {e}"))?;
    let traces = value.get("traces").and_then(Value::as_array).ok_or("the answer has no `traces`")?;
    let mut slowest = Vec::new();
    for trace in traces {
        let text = |name: &str| trace.get(name).and_then(Value::as_str).unwrap_or_default();
        let id = text("traceID");
        let (service, operation) = (text("rootServiceName"), text("rootTraceName"));
        let took = trace.get("durationMs").and_then(Value::as_f64).map(|ms| ms / 1000.0);
        slowest.extend(took.and_then(|took| span(id, service, operation, nanos(trace.get("startTimeUnixNano")), took)));
        // Older versions have one set, newer ones several.
        let sets = trace.get("spanSets").and_then(Value::as_array).cloned().unwrap_or_default();
        let sets = if sets.is_empty() { trace.get("spanSet").cloned().into_iter().collect() } else { sets };
        for one in sets.iter().filter_map(|s| s.get("spans")?.as_array()).flatten() {
            slowest.extend(matched(id, service, operation, one));
        }
    }
    slowest.dedup_by(|a, b| a.trace == b.trace && a.operation == b.operation && (a.took_s - b.took_s).abs() < 0.001);
    Ok(Spans { traces: u64::try_from(traces.len()).unwrap_or(u64::MAX), slowest, cut: None })
}

fn matched(trace: &str, root: &str, operation: &str, one: &Value) -> Option<Span> {
    let attribute = |key: &str| {
        let all = one.get("attributes")?.as_array()?;
        all.iter().find(|a| a.get("key").and_then(Value::as_str) == Some(key))?.pointer("/value/stringValue")?.as_str()
    };
    let took = one.get("durationNanos").and_then(number)? / 1e9;
    let name = one.get("name").and_then(Value::as_str).filter(|n| !n.is_empty()).unwrap_or(operation);
    span(trace, attribute("service.name").unwrap_or(root), name, nanos(one.get("startTimeUnixNano")), took)
}

/// Numbers come as strings, since they do not fit into those of JSON.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn nanos(value: Option<&Value>) -> Option<Timestamp> {
    let value = value?;
    let nanos: i128 = value.as_str().and_then(|t| t.parse().ok()).or_else(|| value.as_i64().map(i128::from))?;
    Timestamp::from_nanosecond(nanos).ok()
}
