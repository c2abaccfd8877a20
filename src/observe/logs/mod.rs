//! Logs, read when a person or an open finding asks for them and never before: pods by the API server, files of this
//! machine, Loki, `OpenSearch`. Each answer is bounded in bytes and time; what can not be told says why. Only the engine
//! and `doctor` call this; [`web`] also serves the readers of traces.

mod file;
mod loki;
mod opensearch;
pub mod pods;
pub(super) mod web;

#[cfg(test)]
mod lab_tests;
#[cfg(test)]
mod tests;

use crate::config::model::{Config, LogQuery, Logs, LogsBy};
use crate::domain::estate::Tenant;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::logs::{LogAsk, LogPlace, LogReader, Tail, Untold};
use crate::domain::mode::MayObserve;
use crate::domain::text::sanitize;
use std::sync::Arc;
use tokio::time::Instant;

/// Bytes of one log that are read at most.
pub(super) const LONGEST: usize = 1 << 20;
/// Lines that are asked for at most.
pub(super) const LINES: usize = 1000;

/// Everything that can be asked for logs. Nothing is read or sent before it is asked.
pub fn readers(may: MayObserve, config: &Config) -> Vec<Arc<dyn LogReader>> {
    let mut all: Vec<Arc<dyn LogReader>> = Vec::new();
    for cluster in &config.kubernetes {
        all.push(Arc::new(pods::PodLogs::new(may, cluster)));
    }
    for logs in &config.logs {
        all.push(match &logs.by {
            LogsBy::File(path) => Arc::new(file::FileLogs::new(may, logs, path)),
            LogsBy::Loki { server, org, queries } => {
                Arc::new(loki::Loki::new(may, logs, server, org.as_deref(), queries))
            }
            LogsBy::Opensearch { server, queries } => Arc::new(opensearch::Opensearch::new(may, logs, server, queries)),
        });
    }
    all
}

/// Whether a source has logs of a tenant.
pub(super) fn has(tenants: &[TenantId], tenant: &Tenant) -> bool {
    tenants.is_empty() || tenants.contains(&tenant.id)
}

fn mine(logs: &Logs, tenant: &Tenant) -> bool {
    has(&logs.tenants, tenant)
}

/// Each query of a source, side by side; nothing where the source has no logs of the tenant.
async fn each<'a, F: Future<Output = Result<Tail, Untold>>>(
    logs: &Logs,
    ask: &LogAsk,
    queries: &'a [LogQuery],
    tail: impl Fn(&'a LogQuery) -> F,
) -> Vec<LogPlace> {
    if !mine(logs, &ask.tenant) {
        return Vec::new();
    }
    let one = async |query: &'a LogQuery| {
        let asked = Instant::now();
        place(&logs.id, &query.name, asked, tail(query).await)
    };
    futures::future::join_all(queries.iter().map(one)).await
}

/// One log with what came of asking it.
fn place(source: &SourceId, log: &str, asked: Instant, said: Result<Tail, Untold>) -> LogPlace {
    let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
    LogPlace { source: source.clone(), log: sanitize(log), took_ms, said: said.into() }
}
