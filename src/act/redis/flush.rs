//! `redis.flush_db`: deletes all keys of the database. What a Redis is for has to be said in the step too, so that no
//! session or queue is flushed for a cache.

use super::deed::{Args, Broken, Deed, Talk};
use super::{REDIS, Servers, facts, request, words};
use crate::act::args;
use crate::domain::ports::{BoxFuture, Reconciled, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use serde_json::{Value, json};

/// What it declares.
pub(super) static SPEC: VerbSpec = VerbSpec {
    name: "redis.flush_db",
    what: "deletes all keys of a Redis database; of sessions it logs everyone out, of a queue it loses the jobs",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::No,
    idempotent: true,
    read_only: false,
    args: &[
        REDIS,
        ArgSpec { name: "purpose", required: true, what: "what it is for, as configured: cache, session or queue" },
    ],
};

/// The verb.
pub(super) struct Flush;

impl Deed for Flush {
    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey<'a>(&'a self, talk: &'a mut Talk<'_>, _: &'a Args) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async move { Ok(json!({ "keys": talk.look::<u64>(&["DBSIZE"]).await? })) })
    }

    fn render(&self, context: &RenderContext<'_>, servers: &Servers) -> Result<Request, VerbError> {
        let (id, facts) = facts(context)?;
        let server = servers.get(&id)?;
        let (said, purpose) = (args::required(context, "purpose")?, &server.config.purpose);
        if &said != purpose {
            let said = crate::domain::text::sanitize(&said);
            return Err(VerbError::new(format!("{id} is a {purpose}, and the step says {said}: nothing is flushed")));
        }
        if facts.role != "master" {
            return Err(VerbError::new(format!("{id} is a replica: its primary has to be named")));
        }
        let keys = context.surveyed.and_then(|s| s.get("keys")).and_then(Value::as_u64);
        let keys = keys.ok_or_else(|| VerbError::new(format!("the keys of {id} have not been counted")))?;
        let hurts = match purpose.as_str() {
            "cache" => "everyone waits longer until the cache is filled again",
            "session" => "everyone is logged out, and loses what was not saved",
            _ => "jobs that wait there are lost",
        };
        let about = (
            format!("{keys} keys in database {} of {id}, a {purpose}", server.database()),
            keys,
            hurts.to_owned(),
            "Can not be taken back: what the keys held is gone.".to_owned(),
        );
        let commands = vec![words(&["FLUSHDB", "ASYNC"])];
        request(context, &SPEC, server, &facts.run_id, commands, about, vec!["only on a primary".to_owned()])
    }

    fn on_primary(&self) -> bool {
        true
    }

    fn would<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let keys: u64 = talk.look(&["DBSIZE"]).await?;
            Ok(format!("would delete {keys} keys; {} were shown", request.target.count))
        })
    }

    fn run<'a>(&'a self, talk: &'a mut Talk<'_>, _: &'a Request) -> BoxFuture<'a, Result<(Value, String), Broken>> {
        Box::pin(async move {
            let keys: u64 = talk.look(&["DBSIZE"]).await?;
            talk.change::<()>(&["FLUSHDB", "ASYNC"]).await?;
            Ok((json!({ "deleted": keys }), format!("{keys} keys deleted")))
        })
    }

    fn seen<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<Reconciled, Failure>> {
        Box::pin(async move {
            let (keys, shown): (u64, _) = (talk.look(&["DBSIZE"]).await?, request.target.count);
            let seen = format!("{keys} keys are there, {shown} were shown");
            Ok(if keys == 0 || keys < shown / 2 {
                Reconciled::TookEffect { seen }
            } else if keys >= shown {
                Reconciled::NoEffect { seen }
            } else {
                Reconciled::Undecided { why: seen }
            })
        })
    }
}
