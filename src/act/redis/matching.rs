//! `redis.delete_matching`: deletes the keys of a pattern by SCAN and UNLINK, counted first, and never more than that.

use super::deed::{Args, Broken, Deed, Talk};
use super::{REDIS, Servers, facts, request, words};
use crate::act::args;
use crate::domain::ports::{BoxFuture, Reconciled, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::{is_hostile, sanitize};
use serde_json::{Value, json};

/// Keys that one step of a scan looks at.
const STEP: &str = "1000";
/// Keys of a pattern that are counted at most.
const MOST: u64 = 1_000_000;

/// What it declares.
pub(super) static SPEC: VerbSpec = VerbSpec {
    name: "redis.delete_matching",
    what: "deletes the keys that match a pattern, at most as many as were counted",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::No,
    idempotent: true,
    read_only: false,
    args: &[
        REDIS,
        ArgSpec {
            name: "pattern",
            required: true,
            what: "pattern as SCAN takes it, such as session:t017:*; * alone is refused",
        },
    ],
};

/// The verb.
pub(super) struct Matching;

fn pattern(args: &Args) -> Option<String> {
    args.get("pattern")?.as_str().map(|p| p.trim().to_owned())
}

/// One step of a scan: the next cursor, and keys as bytes, which need not be text.
async fn step(talk: &mut Talk<'_>, cursor: &str, pattern: &str) -> Result<(String, Vec<Vec<u8>>), Failure> {
    talk.look(&["SCAN", cursor, "MATCH", pattern, "COUNT", STEP]).await
}

/// How many keys there are, and the first of them.
async fn count(talk: &mut Talk<'_>, pattern: &str) -> Result<(u64, Vec<String>), Failure> {
    let (mut cursor, mut keys, mut first) = ("0".to_owned(), 0_u64, Vec::new());
    loop {
        let (next, found) = step(talk, &cursor, pattern).await?;
        keys += found.len() as u64;
        for key in found.iter().take(3_usize.saturating_sub(first.len())) {
            first.push(sanitize(&String::from_utf8_lossy(key)));
        }
        if next == "0" {
            return Ok((keys, first));
        }
        if keys > MOST {
            return Err(Failure::new(FailureKind::Local, format!("more than {MOST} keys match {pattern}: narrow it")));
        }
        cursor = next;
    }
}

fn of(request: &Request) -> Result<String, Failure> {
    let Operation::Redis { commands, .. } = &request.operation else { return Err(crate::act::foreign(request)) };
    let pattern = commands.first().and_then(|c| c.get(3)).cloned();
    pattern.ok_or_else(|| crate::act::foreign(request))
}

impl Deed for Matching {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn keys(&self) -> &'static str {
        "~<pattern> "
    }

    fn survey<'a>(&'a self, talk: &'a mut Talk<'_>, args: &'a Args) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async move {
            let Some(pattern) = pattern(args) else { return Ok(Value::Null) };
            let (keys, first) = count(talk, &pattern).await?;
            Ok(json!({ "keys": keys, "first": first }))
        })
    }

    fn render(&self, context: &RenderContext<'_>, servers: &Servers) -> Result<Request, VerbError> {
        let (id, facts) = facts(context)?;
        let pattern = args::required(context, "pattern")?;
        if pattern.chars().all(|c| c == '*') || pattern.chars().any(is_hostile) {
            let why = "give a pattern that names something; for all keys there is redis.flush_db";
            return Err(VerbError::new(format!("the argument pattern is {}: {why}", sanitize(&pattern))));
        }
        let found = context.surveyed.ok_or_else(|| VerbError::new("the keys have not been counted"))?;
        let keys = found.get("keys").and_then(Value::as_u64).unwrap_or_default();
        if keys == 0 {
            return Err(VerbError::new(format!("no key of {id} matches {pattern}")));
        }
        let first: Vec<&str> =
            found.get("first").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let server = servers.get(&id)?;
        let about = (
            format!("{keys} keys of {id} that match {pattern}"),
            keys,
            format!("whoever needs them, of a Redis for {}; the first: {}", server.config.purpose, first.join(", ")),
            "Can not be taken back: what the keys held is gone.".to_owned(),
        );
        let commands = vec![
            words(&["SCAN", "0", "MATCH", &pattern, "COUNT", STEP]),
            words(&["UNLINK", "<the keys that were found>"]),
        ];
        let checks = vec![format!("never more than {keys} keys")];
        request(context, &SPEC, server, &facts.run_id, commands, about, checks)
    }

    fn on_primary(&self) -> bool {
        true
    }

    fn would<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let pattern = of(request)?;
            let (keys, first) = count(talk, &pattern).await?;
            Ok(match keys {
                0 => format!("no key matches {pattern} any more"),
                n => format!("would delete {} of {n} keys, such as {}", n.min(request.target.count), first.join(", ")),
            })
        })
    }

    fn run<'a>(
        &'a self,
        talk: &'a mut Talk<'_>,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(Value, String), Broken>> {
        Box::pin(async move {
            let (pattern, most) = (of(request)?, request.target.count);
            let (mut cursor, mut deleted) = ("0".to_owned(), 0_u64);
            let open = |deleted: u64, why: Failure| match deleted {
                0 => Broken::Refused(why),
                n => Broken::Open(Failure::new(why.kind, format!("{n} keys were deleted, then: {}", why.message))),
            };
            loop {
                let (next, found) = step(talk, &cursor, &pattern).await.map_err(|why| open(deleted, why))?;
                let room = usize::try_from(most - deleted).unwrap_or(usize::MAX);
                let keys: Vec<Vec<u8>> = found.into_iter().take(room).collect();
                if !keys.is_empty() {
                    deleted += talk.unlink(&keys).await.map_err(|broken| match broken {
                        Broken::Refused(why) => open(deleted, why),
                        Broken::Open(why) => Broken::Open(why),
                    })?;
                }
                if next == "0" || deleted >= most {
                    let (left, _) = count(talk, &pattern).await.unwrap_or_default();
                    let more = if left == 0 { String::new() } else { format!("; {left} others match by now") };
                    return Ok((json!({ "deleted": deleted, "left": left }), format!("{deleted} keys deleted{more}")));
                }
                cursor = next;
            }
        })
    }

    fn seen<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<Reconciled, Failure>> {
        Box::pin(async move {
            let pattern = of(request)?;
            let (keys, _) = count(talk, &pattern).await?;
            Ok(match keys {
                0 => Reconciled::TookEffect { seen: format!("no key matches {pattern}") },
                n if n >= request.target.count => Reconciled::NoEffect { seen: format!("{n} keys match {pattern}") },
                n => Reconciled::Undecided {
                    why: format!(
                        "{n} keys match {pattern}, {} were counted before: some were deleted",
                        request.target.count
                    ),
                },
            })
        })
    }
}
