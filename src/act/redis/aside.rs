//! `redis.drain_list` and `redis.drain_stream`: put the backlog of a list or a stream aside under another name, in one
//! step of the server: consumers find it empty, and nothing is lost.

use super::deed::{Args, Broken, Deed, Talk, refused};
use super::{REDIS, Servers, facts, request, words};
use crate::act::args;
use crate::domain::ports::{BoxFuture, Reconciled, RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use crate::domain::text::{is_hostile, sanitize};
use serde_json::{Value, json};

static ARGS: &[ArgSpec] = &[
    REDIS,
    ArgSpec { name: "key", required: true, what: "name of the key" },
    ArgSpec { name: "keep_as", required: false, what: "name under which it is kept; KEY:drained by default" },
];

const fn spec(name: &'static str, what: &'static str) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Medium,
        blast_radius: BlastRadius::Tenant,
        reversible: Reversible::Compensatable,
        idempotent: false,
        read_only: false,
        args: ARGS,
    }
}

/// What putting a list aside declares.
pub(super) static LIST: VerbSpec =
    spec("redis.drain_list", "puts the entries of a list aside under another name, so that consumers find it empty");
/// What putting a stream aside declares.
pub(super) static STREAM: VerbSpec =
    spec("redis.drain_stream", "copies a stream to another name and empties it; its consumer groups stay");

/// One of the two.
pub(super) struct Aside(pub(super) &'static VerbSpec);

impl Aside {
    fn is_list(&self) -> bool {
        self.0.name == LIST.name
    }

    fn kind(&self) -> &'static str {
        if self.is_list() { "list" } else { "stream" }
    }

    async fn length(&self, talk: &mut Talk<'_>, key: &str) -> Result<u64, Failure> {
        talk.look(&[if self.is_list() { "LLEN" } else { "XLEN" }, key]).await
    }
}

/// From which key to which.
fn of(request: &Request) -> Result<(String, String), Failure> {
    let Operation::Redis { commands, .. } = &request.operation else { return Err(crate::act::foreign(request)) };
    let first = commands.first().and_then(|c| Some((c.get(1)?.clone(), c.get(2)?.clone())));
    first.ok_or_else(|| crate::act::foreign(request))
}

fn key(args: &Args, name: &str) -> Option<String> {
    args.get(name)?.as_str().map(|k| k.trim().to_owned())
}

impl Deed for Aside {
    fn spec(&self) -> &'static VerbSpec {
        self.0
    }

    fn keys(&self) -> &'static str {
        "~<key> ~<key>:drained "
    }

    fn survey<'a>(&'a self, talk: &'a mut Talk<'_>, args: &'a Args) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async move {
            let Some(key) = key(args, "key") else { return Ok(Value::Null) };
            let kind: String = talk.look(&["TYPE", &key]).await?;
            let length = if kind == self.kind() { self.length(talk, &key).await? } else { 0 };
            Ok(json!({ "type": kind, "length": length }))
        })
    }

    fn render(&self, context: &RenderContext<'_>, servers: &Servers) -> Result<Request, VerbError> {
        let (id, facts) = facts(context)?;
        let key = args::required(context, "key")?;
        let keep = args::optional(context, "keep_as")?.unwrap_or_else(|| format!("{key}:drained"));
        if key == keep || [&key, &keep].iter().any(|k| k.chars().any(is_hostile)) {
            return Err(VerbError::new(format!("{} can not be put aside as {}", sanitize(&key), sanitize(&keep))));
        }
        let found = context.surveyed.ok_or_else(|| VerbError::new(format!("{key} has not been looked at")))?;
        let (kind, length) = (found.get("type").and_then(Value::as_str), found.get("length").and_then(Value::as_u64));
        match kind {
            Some("none") => return Err(VerbError::new(format!("{id} has no key {key}"))),
            Some(kind) if kind == self.kind() => {}
            other => {
                let other = sanitize(other.unwrap_or("unknown"));
                return Err(VerbError::new(format!("{key} of {id} is no {}, it is of type {other}", self.kind())));
            }
        }
        let length = length.unwrap_or_default();
        let commands = if self.is_list() {
            vec![words(&["RENAMENX", &key, &keep])]
        } else {
            vec![words(&["COPY", &key, &keep]), words(&["XTRIM", &key, "MAXLEN", "=", "0"])]
        };
        let undo = if self.is_list() {
            format!("RENAMENX {keep} {key} while {key} is still empty; else its entries have to be pushed again")
        } else {
            format!("the entries in {keep} have to be added again")
        };
        let about = (
            format!("{length} entries of the {} {key} of {id}", self.kind()),
            length,
            format!("whoever waits for these {length} entries to be worked on; they are kept as {keep}"),
            undo,
        );
        let checks = vec![format!("only if there is no key {keep}"), "all in one step of the server".to_owned()];
        request(context, self.0, servers.get(&id)?, &facts.run_id, commands, about, checks)
    }

    fn on_primary(&self) -> bool {
        true
    }

    fn would<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (key, keep) = of(request)?;
            let length = self.length(talk, &key).await?;
            let taken: u64 = talk.look(&["EXISTS", &keep]).await?;
            if taken > 0 {
                let why = format!("there is a key {keep} already: name another with keep_as");
                return Err(Failure::new(crate::domain::sample::FailureKind::Local, why));
            }
            Ok(format!("would put {length} entries of {key} aside as {keep}"))
        })
    }

    fn run<'a>(
        &'a self,
        talk: &'a mut Talk<'_>,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(Value, String), Broken>> {
        Box::pin(async move {
            let (key, keep) = of(request)?;
            let taken = || refused(format!("there is a key {keep} already: nothing was done"));
            if self.is_list() {
                let moved: u8 = talk.change(&["RENAMENX", &key, &keep]).await?;
                if moved == 0 {
                    return Err(taken());
                }
            } else {
                talk.look::<()>(&["WATCH", &keep]).await?;
                let exists: u64 = talk.look(&["EXISTS", &keep]).await?;
                let copy = vec!["COPY", key.as_str(), keep.as_str()];
                let trim = vec!["XTRIM", key.as_str(), "MAXLEN", "=", "0"];
                if exists > 0 || talk.together::<(u64, u64)>(&[copy, trim]).await?.is_none() {
                    return Err(taken());
                }
            }
            let kept = self.length(talk, &keep).await.unwrap_or_default();
            Ok((json!({ "kept": kept, "keep_as": keep }), format!("{kept} entries are kept as {keep}")))
        })
    }

    fn seen<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<Reconciled, Failure>> {
        Box::pin(async move {
            let (_, keep) = of(request)?;
            let kept: u64 = talk.look(&["EXISTS", &keep]).await?;
            Ok(if kept > 0 {
                Reconciled::TookEffect {
                    seen: format!("there is a key {keep} with {} entries", self.length(talk, &keep).await?),
                }
            } else {
                Reconciled::NoEffect { seen: format!("there is no key {keep}") }
            })
        })
    }
}
