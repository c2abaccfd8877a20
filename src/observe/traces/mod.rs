//! Traces, asked for when a person or an open finding wants them: the slowest spans of a tenant, of Tempo or Jaeger. Only
//! the engine calls this.

mod jaeger;
mod tempo;

#[cfg(test)]
mod tests;

use super::logs::has;
use super::logs::web::Web;
use crate::config::model::{Config, Traces, TracesKind};
use crate::domain::id::SourceId;
use crate::domain::logs::{LogAsk, Span, Spans, TracePlace, TraceReader, Untold};
use crate::domain::mode::MayObserve;
use crate::domain::ports::BoxFuture;
use crate::domain::text::sanitize;
use jiff::Timestamp;
use std::sync::Arc;
use tokio::time::Instant;

/// Spans that are told of.
const SHOWN: usize = 10;
/// Traces that are asked for.
const TRACES: usize = 100;
/// Longest name that is shown, in characters.
const NAME: usize = 120;

/// Everything that can be asked for traces. Nothing is sent before it is asked.
pub fn readers(_: MayObserve, config: &Config) -> Vec<Arc<dyn TraceReader>> {
    let one = |traces: &Traces| -> Arc<dyn TraceReader> {
        Arc::new(Reader { config: traces.clone(), web: Web::new(&traces.server, traces.timeout) })
    };
    config.traces.iter().map(one).collect()
}

/// One `[[traces]]`.
#[derive(Debug)]
struct Reader {
    config: Traces,
    web: Web,
}

impl Reader {
    async fn spans(&self, ask: &LogAsk) -> Result<Spans, Untold> {
        let mut spans = match self.config.kind {
            TracesKind::Tempo => tempo::ask(&self.web, &self.config.query, ask).await?,
            TracesKind::Jaeger => jaeger::ask(&self.web, &self.config.query, ask).await?,
        };
        spans.slowest.sort_by(|a, b| b.took_s.total_cmp(&a.took_s).then_with(|| a.trace.cmp(&b.trace)));
        spans.slowest.truncate(SHOWN);
        if spans.traces >= u64::try_from(TRACES).unwrap_or(u64::MAX) {
            spans.cut = Some(format!("only {TRACES} traces were asked for"));
        }
        Ok(spans)
    }
}

/// A name from outside.
fn name(text: &str) -> String {
    sanitize(text).chars().take(NAME).collect()
}

/// A span, when what is said of it can be one.
fn span(trace: &str, service: &str, operation: &str, at: Option<Timestamp>, took_s: f64) -> Option<Span> {
    let fine = took_s.is_finite() && took_s >= 0.0;
    fine.then(|| Span { trace: name(trace), service: name(service), operation: name(operation), at, took_s })
}

impl TraceReader for Reader {
    fn id(&self) -> &SourceId {
        &self.config.id
    }

    fn address(&self) -> String {
        self.web.address()
    }

    fn read<'a>(&'a self, ask: &'a LogAsk) -> BoxFuture<'a, Option<TracePlace>> {
        Box::pin(async move {
            if !has(&self.config.tenants, &ask.tenant) {
                return None;
            }
            let asked = Instant::now();
            let said = self.spans(ask).await.into();
            let took_ms = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
            Some(TracePlace { source: self.config.id.clone(), took_ms, said })
        })
    }
}
