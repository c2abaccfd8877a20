//! What logs and traces around one tenant say when they are asked: which places were looked at, how much of them,
//! which errors they hold by their fingerprints, and the slowest spans. `Untold` is a place that said nothing, and why.

use super::estate::Tenant;
use super::facts::Missing;
use super::id::{SourceId, TenantId};
use super::ports::BoxFuture;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad a line of a log is, by its own words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Nothing wrong.
    Info,
    /// A warning.
    Warning,
    /// An error, or a request that was answered with 5xx.
    Error,
    /// What ends a process, or should.
    Critical,
}

impl LogLevel {
    /// The word of output.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// What a reader of logs is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogAsk {
    /// Whose logs.
    pub tenant: Tenant,
    /// From when on.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

/// Errors that are alike: their text without what differs from one to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Fingerprint {
    /// Eight hexadecimal digits, the same for the same shape everywhere.
    pub id: String,
    /// The worst of them.
    pub level: LogLevel,
    /// What they have in common; `‹n›`, `‹id›`, `‹hex›`, `‹text›` and `‹addr›` stand for what differs.
    pub shape: String,
    /// How many.
    pub count: u64,
    /// The first, where its time is known.
    pub first: Option<Timestamp>,
    /// The last, where its time is known.
    pub last: Option<Timestamp>,
    /// One of them, the newest, a line each.
    pub example: Vec<String>,
}

/// One line as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogLine {
    /// Its time, where it is known.
    pub at: Option<Timestamp>,
    /// How bad it is.
    pub level: LogLevel,
    /// The line, safe for a screen and without credentials.
    pub text: String,
}

/// Records that somebody took out of Odoo.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Export {
    /// When.
    pub at: Timestamp,
    /// Odoo's number of the user.
    pub user: u64,
    /// How many.
    pub records: u64,
    /// Of which model: `res.partner`.
    pub model: String,
    /// The address that asked.
    pub from: String,
}

/// What was read of one log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Tail {
    /// Lines that were looked at.
    pub lines: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Lines among them that name another tenant's database; they count for nothing else.
    pub of_others: u64,
    /// The oldest line with a time.
    pub oldest: Option<Timestamp>,
    /// The newest line with a time.
    pub newest: Option<Timestamp>,
    /// What was left out, and why: `more than 1048576 bytes`.
    pub cut: Option<String>,
    /// How many errors.
    pub errors: u64,
    /// How many warnings.
    pub warnings: u64,
    /// The errors by what they have in common, the most frequent first.
    pub fingerprints: Vec<Fingerprint>,
    /// Kinds of errors beyond those.
    pub more_kinds: u64,
    /// The last lines, oldest first.
    pub last: Vec<LogLine>,
    /// Records that were exported; of very many the newest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<Export>,
}

/// Why a place said nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Untold {
    /// What happened, one sentence.
    pub why: String,
    /// What would help, where that is known.
    pub remedy: Option<String>,
}

impl Untold {
    /// Without a remedy.
    pub fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: None }
    }
}

/// What one place said, or why it did not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "told", rename_all = "lowercase")]
pub enum Told<T> {
    /// It answered.
    Yes(T),
    /// It did not.
    No(Untold),
}

impl<T> Told<T> {
    /// Why it did not, where it did not.
    pub fn why(self) -> Option<Untold> {
        match self {
            Self::Yes(_) => None,
            Self::No(untold) => Some(untold),
        }
    }
}

impl<T> From<Result<T, Untold>> for Told<T> {
    fn from(result: Result<T, Untold>) -> Self {
        match result {
            Ok(told) => Self::Yes(told),
            Err(untold) => Self::No(untold),
        }
    }
}

/// One log that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogPlace {
    /// The source that was asked.
    pub source: SourceId,
    /// Which log of it: `pod t017/odoo-7d9f-x2x`, `Traefik access log`.
    pub log: String,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// What it said.
    pub said: Told<Tail>,
}

/// One span of a trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Span {
    /// Trace that it belongs to.
    pub trace: String,
    /// Service.
    pub service: String,
    /// Operation.
    pub operation: String,
    /// When it began.
    pub at: Option<Timestamp>,
    /// Seconds that it took.
    pub took_s: f64,
}

/// A system of traces that was asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TracePlace {
    /// The source that was asked.
    pub source: SourceId,
    /// Milliseconds that it took.
    pub took_ms: u64,
    /// The slowest spans that it told of, slowest first.
    pub said: Told<Spans>,
}

/// Spans of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Spans {
    /// The slowest, slowest first.
    pub slowest: Vec<Span>,
    /// Traces that were looked at.
    pub traces: u64,
    /// What was left out, and why.
    pub cut: Option<String>,
}

/// All that logs and traces say around one tenant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LogView {
    /// Whose.
    pub tenant: TenantId,
    /// From when on it was asked.
    pub from: Timestamp,
    /// Until when, which is when it was asked.
    pub until: Timestamp,
    /// Each log.
    pub logs: Vec<LogPlace>,
    /// Each system of traces.
    pub traces: Vec<TracePlace>,
    /// Where a person finds the traces.
    pub trace_link: Option<String>,
}

impl LogView {
    /// Errors of all logs by what they have in common, the most frequent first, each with the log that has most of it.
    pub fn worst(&self) -> Vec<(&LogPlace, &Fingerprint)> {
        let mut all: Vec<(&LogPlace, &Fingerprint)> = Vec::new();
        for place in &self.logs {
            if let Told::Yes(tail) = &place.said {
                all.extend(tail.fingerprints.iter().map(|f| (place, f)));
            }
        }
        all.sort_by(|(_, a), (_, b)| b.level.cmp(&a.level).then(b.count.cmp(&a.count)).then(a.id.cmp(&b.id)));
        all
    }

    /// Errors counted, kinds of them, lines looked at, and logs that said nothing.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut kinds = std::collections::BTreeSet::new();
        for place in &self.logs {
            match &place.said {
                Told::Yes(tail) => {
                    totals.told += 1;
                    totals.errors += tail.errors;
                    totals.lines += tail.lines;
                    totals.more_kinds += tail.more_kinds;
                    kinds.extend(tail.fingerprints.iter().map(|f| f.id.as_str()));
                }
                Told::No(_) => totals.untold += 1,
            }
        }
        totals.kinds = kinds.len();
        totals
    }
}

/// Sums over the logs of a view.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Logs that answered.
    pub told: usize,
    /// Logs that did not.
    pub untold: usize,
    /// Lines looked at.
    pub lines: u64,
    /// Errors.
    pub errors: u64,
    /// Kinds of errors that are listed.
    pub kinds: usize,
    /// Kinds that are not.
    pub more_kinds: u64,
}

/// Reads logs when it is asked, and only then. Each answer is bounded in bytes and time.
pub trait LogReader: Send + Sync {
    /// Its name in the configuration.
    fn id(&self) -> &SourceId;
    /// Where it is, for people.
    fn address(&self) -> String;
    /// What it lacks to read logs of these tenants, by asking for its rights; nothing where only reading shows it.
    fn lacks<'a>(&'a self, _tenants: &'a [Tenant]) -> BoxFuture<'a, Result<Vec<Missing>, Untold>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    /// What it has of a tenant: one place a log, at least one, so that a refusal has its place too; nothing where it has
    /// no log of that tenant at all.
    fn read<'a>(&'a self, ask: &'a LogAsk) -> BoxFuture<'a, Vec<LogPlace>>;
}

/// Asks a system of traces when it is asked, and only then.
pub trait TraceReader: Send + Sync {
    /// Its name in the configuration.
    fn id(&self) -> &SourceId;
    /// Where it is, for people.
    fn address(&self) -> String;
    /// The slowest spans of a tenant; nothing where it has no traces of that tenant.
    fn read<'a>(&'a self, ask: &'a LogAsk) -> BoxFuture<'a, Option<TracePlace>>;
}
