//! `redis.info`: what the server says of itself, asked now.

use super::failover::is_named;
use super::{REDIS, Servers, words};
use crate::act::args;
use crate::act::look::{Answer, Look};
use crate::domain::facts::Facts;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, RenderContext, VerbError};
use crate::domain::request::{Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use std::time::Duration;

const ALLOWED: Duration = Duration::from_secs(5);

/// What it declares.
pub(super) static SPEC: VerbSpec = VerbSpec {
    name: "redis.info",
    what: "shows memory, evictions, clients and replication of a Redis",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[REDIS],
};

/// The verb.
pub(super) struct Info(pub(super) Arc<Servers>);

/// All fields; numbers as numbers.
fn fields(text: &str) -> Map<String, Value> {
    let pairs = text.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.trim_end().split_once(':'));
    let value = |v: &str| match v.parse::<i64>() {
        Ok(number) => json!(number),
        Err(_) => json!(sanitize(v)),
    };
    pairs.map(|(k, v)| (sanitize(k), value(v))).collect()
}

fn summary(fields: &Map<String, Value>) -> String {
    let number = |name: &str| fields.get(name).and_then(Value::as_i64).unwrap_or_default();
    let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or("?").to_owned();
    let mib = |bytes: i64| bytes / (1 << 20);
    let limit = match number("maxmemory") {
        0 => "without a limit".to_owned(),
        bytes => format!("of {} MiB", mib(bytes)),
    };
    format!(
        "{}, {} MiB {limit} used ({}), {} keys evicted since start, {} clients, {} blocked",
        text("role"),
        mib(number("used_memory")),
        text("maxmemory_policy"),
        number("evicted_keys"),
        number("connected_clients"),
        number("blocked_clients"),
    )
}

impl Look for Info {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "redis")?);
        let server = self.0.get(&id)?;
        let identity = match context.world.fresh(&id, context.now) {
            Some(Facts::Redis(facts)) => facts.run_id.clone(),
            _ => String::new(),
        };
        let commands = vec![words(&["INFO"])];
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: id.clone(),
                identity,
                environment: context.estate.environment,
                object: format!("Redis {id}"),
                tenants: Vec::new(),
                count: 0,
            },
            by_hand: server.by_hand(&server.observe.user, &commands),
            operation: Operation::Redis { database: server.database(), commands },
            server_checks: Vec::new(),
            hurts: "Nobody: it only looks.".to_owned(),
            undo: "There is nothing to take back.".to_owned(),
        })
    }

    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            let server = self.0.reach(&request.target.source)?;
            let asking = async {
                let (mut connection, endpoint) = server.observe.open(ALLOWED).await?;
                let answer: Result<String, _> = redis::cmd("INFO").query_async(&mut connection).await;
                answer.map_err(|e| endpoint.classify(&e, "INFO", ALLOWED))
            };
            let late =
                |_| Failure::new(FailureKind::Timeout, format!("{} did not answer in time", request.target.object));
            let mut fields = fields(&tokio::time::timeout(ALLOWED, asking).await.map_err(late)??);
            let text = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
            // Not said where no sentinel answers: that is not known.
            let named = tokio::time::timeout(ALLOWED, is_named(&server.config, text("run_id"))).await;
            if let Ok(Ok(named)) = named {
                let is_primary = text("role") == "master" && named.unwrap_or(true);
                fields.insert("is_primary".to_owned(), json!(is_primary));
            }
            let summary = summary(&fields);
            Ok((Value::Object(fields), summary))
        })
    }
}
