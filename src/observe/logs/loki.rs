//! Loki: `query_range`, the newest lines of a query whose text names the tenant.

use super::web::{Web, strange};
use super::{LINES, each};
use crate::config::model::{LogQuery, Logs, Server};
use crate::correlate::logs::Reader;
use crate::domain::id::SourceId;
use crate::domain::logs::{LogAsk, LogPlace, LogReader, Tail, Untold};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

const PATH: &str = "/loki/api/v1/query_range";

/// One `[[logs]]` of kind `loki`.
#[derive(Debug)]
pub(super) struct Loki {
    logs: Logs,
    web: Web,
    org: Option<String>,
    queries: Vec<LogQuery>,
}

impl Loki {
    pub(super) fn new(_: MayObserve, logs: &Logs, server: &Server, org: Option<&str>, queries: &[LogQuery]) -> Self {
        let web = Web::new(server, logs.timeout);
        Self { logs: logs.clone(), web, org: org.map(str::to_owned), queries: queries.to_vec() }
    }

    async fn tail(&self, ask: &LogAsk, query: &LogQuery) -> Result<Tail, Untold> {
        let text = query.query.of(&ask.tenant, |value| Ok(quoted(value))).map_err(Untold::new)?;
        let (from, until) = (ask.from.as_nanosecond().to_string(), ask.until.as_nanosecond().to_string());
        let limit = LINES.to_string();
        let query =
            [("query", text.as_str()), ("start", &from), ("end", &until), ("limit", &limit), ("direction", "backward")];
        let org = self.org.as_deref().map(|org| ("X-Scope-OrgID", org));
        let body = self.web.get(PATH, &query, org).await?;
        let lines = lines(&body).map_err(|what| strange(&self.web.address(), &what))?;
        let database = ask.tenant.database.as_ref().map(|d| d.name.as_str());
        Ok(read(lines, database))
    }
}

/// What the lines say, oldest first; as many as were asked for means that there are more.
pub(super) fn read(lines: Vec<(Option<Timestamp>, String)>, database: Option<&str>) -> Tail {
    let mut reader = Reader::new(database);
    if lines.len() >= LINES {
        reader.cut(format!("only the newest {LINES} lines were asked for"));
    }
    for (at, line) in lines {
        reader.message(at, &line);
    }
    reader.finish()
}

/// A value within a string of a query.
pub(super) fn quoted(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "")
}

/// The lines of an answer, oldest first.
fn lines(body: &[u8]) -> Result<Vec<(Option<Timestamp>, String)>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|e| format!("it is no JSON, {e}"))?;
    match value.pointer("/data/resultType").and_then(Value::as_str) {
        Some("streams") => {}
        Some(_) => return Err("the query gives numbers and no lines".into()),
        None => return Err("the answer has no `data.resultType`".into()),
    }
    let streams = value.pointer("/data/result").and_then(Value::as_array).ok_or("the answer has no `data.result`")?;
    let mut all: Vec<(i128, String)> = Vec::new();
    for pair in streams.iter().filter_map(|s| s.get("values")?.as_array()).flatten() {
        let parts = pair.get(0).and_then(Value::as_str).zip(pair.get(1).and_then(Value::as_str));
        let (at, line) = parts.ok_or("a line is not a time with a text")?;
        all.push((
            at.parse().map_err(|_| format!("the time of a line is `{}`", crate::domain::text::sanitize(at)))?,
            line.to_owned(),
        ));
    }
    // Stable: lines of one moment keep the order of their stream, which comes backward.
    all.reverse();
    all.sort_by_key(|(at, _)| *at);
    Ok(all.into_iter().map(|(at, line)| (Timestamp::from_nanosecond(at).ok(), line)).collect())
}

impl LogReader for Loki {
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
