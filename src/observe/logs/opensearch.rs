//! `OpenSearch` and what speaks its API: `_search`, the newest documents that a query finds.

use super::loki::{quoted, read};
use super::web::{Web, strange};
use super::{LINES, each};
use crate::config::model::{LogQuery, Logs, Server};
use crate::domain::id::SourceId;
use crate::domain::logs::{LogAsk, LogPlace, LogReader, Tail, Untold};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use jiff::Timestamp;
use serde_json::{Value, json};

/// One `[[logs]]` of kind `opensearch`.
#[derive(Debug)]
pub(super) struct Opensearch {
    logs: Logs,
    web: Web,
    queries: Vec<LogQuery>,
}

impl Opensearch {
    pub(super) fn new(_: MayObserve, logs: &Logs, server: &Server, queries: &[LogQuery]) -> Self {
        Self { logs: logs.clone(), web: Web::new(server, logs.timeout), queries: queries.to_vec() }
    }

    async fn tail(&self, ask: &LogAsk, query: &LogQuery) -> Result<Tail, Untold> {
        let text = query.query.of(&ask.tenant, |value| Ok(quoted(value))).map_err(Untold::new)?;
        let range = json!({ "gte": ask.from, "lte": ask.until, "format": "strict_date_optional_time" });
        let source = json!({
            "size": LINES,
            "sort": [{ &query.time: { "order": "desc" } }],
            "_source": [query.time, query.message],
            "timeout": format!("{}ms", self.logs.timeout.as_millis()),
            "query": { "bool": { "filter": [
                { "query_string": { "query": text } },
                { "range": { &query.time: range } },
            ] } },
        })
        .to_string();
        // As a parameter, so that the question is a GET, which may not change anything.
        let parameters = [("source", source.as_str()), ("source_content_type", "application/json")];
        let body = self.web.get(&format!("/{}/_search", query.index), &parameters, None).await?;
        let found = hits(&body, query).map_err(|what| strange(&self.web.address(), &what))?;
        let database = ask.tenant.database.as_ref().map(|d| d.name.as_str());
        let mut tail = read(found.lines, database);
        if let Some(partial) = found.partial {
            tail.cut = Some(partial);
        }
        Ok(tail)
    }
}

struct Found {
    lines: Vec<(Option<Timestamp>, String)>,
    /// Why the answer is not the whole one.
    partial: Option<String>,
}

/// The documents of an answer, oldest first.
fn hits(body: &[u8], query: &LogQuery) -> Result<Found, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("it is no JSON, {e}"))?;
    let hits = value.pointer("/hits/hits").and_then(Value::as_array).ok_or("the answer has no `hits.hits`")?;
    let failed = value.pointer("/_shards/failed").and_then(Value::as_u64).unwrap_or(0);
    let late = value.get("timed_out").and_then(Value::as_bool).unwrap_or(false);
    let partial = match (failed, late) {
        (0, false) => None,
        (0, true) => Some("it gave up searching at its time limit".to_owned()),
        (n, _) => Some(format!("{n} of its shards did not answer")),
    };
    // Without any document nothing would be told, and what failed would look calm.
    if hits.is_empty()
        && let Some(partial) = partial
    {
        return Err(format!("no document, but {partial}"));
    }
    let field = |hit: &Value, name: &str| {
        let source = hit.get("_source")?;
        source.get(name).or_else(|| source.pointer(&format!("/{}", name.replace('.', "/")))).cloned()
    };
    let mut lines = Vec::with_capacity(hits.len());
    let mut silent = 0;
    for hit in hits.iter().rev() {
        let at = field(hit, &query.time).and_then(|t| moment(&t));
        match field(hit, &query.message) {
            Some(Value::String(text)) => lines.push((at, text)),
            Some(other) if !other.is_null() => lines.push((at, other.to_string())),
            _ => silent += 1,
        }
    }
    if lines.is_empty() && silent > 0 {
        return Err(format!("none of {silent} documents has the field `{}`", query.message));
    }
    Ok(Found { lines, partial })
}

/// A time as documents have it: RFC 3339, or milliseconds since 1970.
fn moment(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        other => Timestamp::from_millisecond(other.as_i64()?).ok(),
    }
}

impl LogReader for Opensearch {
    fn id(&self) -> &SourceId {
        &self.logs.id
    }

    fn address(&self) -> String {
        self.web.address()
    }

    fn read<'a>(&'a self, ask: &'a LogAsk) -> BoxFuture<'a, Vec<LogPlace>> {
        Box::pin(each(&self.logs, ask, &self.queries, |query| self.tail(ask, query)))
    }
}
