//! What all verbs that change a Redis have in common: the right server, the right login, and an outcome that says
//! what is known.

use super::failover::is_named;
use super::{Server, Servers, Way};
use crate::act::{DynVerb, again};
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{Request, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::redis::connection::Endpoint;
use crate::policy::authorized::Authorized;
use redis::aio::MultiplexedConnection;
use redis::{FromRedisValue, RedisError};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// For surveys, dry runs and for looking after an unknown outcome.
const ALLOWED: Duration = Duration::from_secs(5);
/// A command that was lost may still be in the server's queue; no effect is believed only when a second look after
/// this time sees none either.
const SECOND_LOOK: Duration = Duration::from_secs(2);

/// How a change went wrong.
pub(super) enum Broken {
    /// The server refused, or what was shown is no longer so; nothing was changed.
    Refused(Failure),
    /// Something may have been changed.
    Open(Failure),
}

/// A server while a verb talks to it.
pub(super) struct Talk<'a> {
    connection: MultiplexedConnection,
    endpoint: &'a Endpoint,
    within: Duration,
}

impl Talk<'_> {
    /// One command that only looks.
    pub(super) async fn look<T: FromRedisValue>(&mut self, words: &[&str]) -> Result<T, Failure> {
        self.send(words).await.map_err(|e| self.said(&e, words))
    }

    /// One command that changes something.
    pub(super) async fn change<T: FromRedisValue>(&mut self, words: &[&str]) -> Result<T, Broken> {
        self.send(words).await.map_err(|e| self.broken(&e, words))
    }

    /// Commands as one transaction; `None` when a watched key was changed.
    pub(super) async fn together<T: FromRedisValue>(&mut self, commands: &[Vec<&str>]) -> Result<Option<T>, Broken> {
        let mut pipe = redis::pipe();
        pipe.atomic();
        for words in commands {
            let mut one = redis::cmd(words.first().copied().unwrap_or_default());
            one.arg(words.get(1..).unwrap_or_default());
            pipe.add_command(one);
        }
        let asked: Result<Option<T>, RedisError> = pipe.query_async(&mut self.connection).await;
        asked.map_err(|e| self.broken(&e, &["EXEC"]))
    }

    /// Deletes keys, whose names need not be text, in the background of the server.
    pub(super) async fn unlink(&mut self, keys: &[Vec<u8>]) -> Result<u64, Broken> {
        let mut command = redis::cmd("UNLINK");
        command.arg(keys);
        let asked: Result<u64, RedisError> = command.query_async(&mut self.connection).await;
        asked.map_err(|e| self.broken(&e, &["UNLINK"]))
    }

    async fn send<T: FromRedisValue>(&mut self, words: &[&str]) -> Result<T, RedisError> {
        let mut command = redis::cmd(words.first().copied().unwrap_or_default());
        command.arg(words.get(1..).unwrap_or_default());
        command.query_async(&mut self.connection).await
    }

    fn said(&self, error: &RedisError, words: &[&str]) -> Failure {
        let container = matches!(words.first(), Some(&("CONFIG" | "MEMORY" | "SENTINEL" | "CLIENT")));
        let doing = words.get(..if container { 2 } else { 1 }).unwrap_or_default().join(" ");
        self.endpoint.classify(error, &doing, self.within)
    }

    fn broken(&self, error: &RedisError, words: &[&str]) -> Broken {
        let why = self.said(error, words);
        if is_refusal(error) { Broken::Refused(why) } else { Broken::Open(why) }
    }
}

/// An answer in words is a refusal; silence, a cut connection and half an answer leave it open.
pub(super) fn is_refusal(error: &RedisError) -> bool {
    matches!(error.kind(), redis::ErrorKind::Server(_) | redis::ErrorKind::Extension)
}

/// One such verb.
pub(super) trait Deed: Send + Sync + 'static {
    /// What it declares.
    fn spec(&self) -> &'static VerbSpec;

    /// The keys that it touches, as rules of an access list.
    fn keys(&self) -> &'static str {
        ""
    }

    /// Whether it is meant for the primary alone.
    fn on_primary(&self) -> bool {
        false
    }

    /// What it reads before it renders; `Null` where it needs nothing.
    fn survey<'a>(&'a self, _talk: &'a mut Talk<'_>, _args: &'a Args) -> BoxFuture<'a, Result<Value, Failure>> {
        Box::pin(async { Ok(Value::Null) })
    }

    /// Renders.
    fn render(&self, context: &RenderContext<'_>, servers: &Servers) -> Result<Request, VerbError>;

    /// What it would do.
    fn would<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>>;

    /// Does it.
    fn run<'a>(
        &'a self,
        talk: &'a mut Talk<'_>,
        request: &'a Request,
    ) -> BoxFuture<'a, Result<(Value, String), Broken>>;

    /// Whether it had its effect.
    fn seen<'a>(&'a self, talk: &'a mut Talk<'_>, request: &'a Request) -> BoxFuture<'a, Result<Reconciled, Failure>>;
}

/// Arguments after templating.
pub(super) type Args = std::collections::BTreeMap<String, Value>;

/// A refusal on our side, before anything was changed.
pub(super) fn refused(why: impl AsRef<str>) -> Broken {
    Broken::Refused(Failure::new(FailureKind::Local, why))
}

impl From<Failure> for Broken {
    fn from(why: Failure) -> Self {
        Self::Refused(why)
    }
}

/// A deed as a verb.
pub(super) struct Acting<D> {
    deed: Arc<D>,
    servers: Arc<Servers>,
}

impl<D: Deed> Acting<D> {
    pub(super) fn shared(deed: D, servers: &Arc<Servers>) -> Arc<DynVerb> {
        Arc::new(Self { deed: Arc::new(deed), servers: servers.clone() })
    }

    fn with_acl(&self, user: &str, why: Failure) -> Failure {
        if why.kind != FailureKind::Permission {
            return why;
        }
        let rules = crate::act::grants::rules(|verb| verb == self.deed.spec().name);
        let keys = self.deed.keys();
        Failure::new(why.kind, format!("{}; in all it needs: ACL SETUSER {user} {keys}{rules}", why.message))
    }

    /// Talks to the server that a request names, with the login that acts.
    async fn talk<'a>(&'a self, request: &Request, within: Duration) -> Result<(Talk<'a>, &'a Way), Failure> {
        if request.verb != self.deed.spec().name {
            return Err(crate::act::foreign(request));
        }
        let server: &Server = self.servers.reach(&request.target.source)?;
        let way = server.act()?;
        let (connection, endpoint) = way.open(within).await?;
        let mut talk = Talk { connection, endpoint, within };
        is_target(&mut talk, request).await.map_err(|why| self.with_acl(&way.user, why))?;
        Ok((talk, way))
    }

    /// The same for a change: what is meant for the primary goes to the one that the sentinels name, where there are any.
    async fn talk_to_change<'a>(&'a self, request: &Request, within: Duration) -> Result<(Talk<'a>, &'a Way), Failure> {
        let ready = self.talk(request, within).await?;
        let config = &self.servers.reach(&request.target.source)?.config;
        if self.deed.on_primary() && is_named(config, &request.target.identity).await? == Some(false) {
            let address = ready.0.endpoint.address();
            let why = format!("the sentinels name another server than {address} as the primary: nothing was done");
            return Err(Failure::new(FailureKind::Local, why));
        }
        Ok(ready)
    }
}

/// The server says itself which one it is.
async fn is_target(talk: &mut Talk<'_>, request: &Request) -> Result<(), Failure> {
    let text: String = talk.look(&["INFO", "server"]).await?;
    let run_id = text.lines().find_map(|l| l.strip_prefix("run_id:")).unwrap_or_default().trim();
    if run_id == request.target.identity {
        return Ok(());
    }
    let why = format!(
        "{} is another server now, or was restarted (run_id {run_id}, the request is for {}): nothing was done",
        talk.endpoint.address(),
        request.target.identity
    );
    Err(Failure::new(FailureKind::Local, why))
}

fn late(request: &Request, within: Duration, effect: &str) -> Failure {
    let why = format!("no answer from {} within {} s; {effect}", request.target.source, within.as_secs_f64());
    Failure::new(FailureKind::Timeout, why)
}

impl<D: Deed> Verb for Acting<D> {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.deed.spec()
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let id = SourceId::new(asked.args.get("redis")?.as_str()?);
        let (deed, servers, args) = (self.deed.clone(), self.servers.clone(), asked.args.clone());
        Some(Box::pin(async move {
            let asking = async {
                let (connection, endpoint) = servers.reach(&id)?.act()?.open(ALLOWED).await?;
                let mut talk = Talk { connection, endpoint, within: ALLOWED };
                deed.survey(&mut talk, &args).await
            };
            let late =
                |_| Failure::new(FailureKind::Timeout, format!("{id} did not answer within {} s", ALLOWED.as_secs()));
            tokio::time::timeout(ALLOWED, asking).await.map_err(late)?
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        self.deed.render(context, &self.servers)
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let asking = async {
                let (mut talk, way) = self.talk_to_change(request, ALLOWED).await?;
                self.deed.would(&mut talk, request).await.map_err(|why| self.with_acl(&way.user, why))
            };
            tokio::time::timeout(ALLOWED, asking)
                .await
                .unwrap_or_else(|_| Err(late(request, ALLOWED, "nothing was changed")))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (request, within) = (permit.request(), permit.timeout());
            let started = Instant::now();
            let ready = self.talk_to_change(request, within);
            let (mut talk, way) = match tokio::time::timeout(within.mul_f64(0.5), ready).await {
                Ok(Ok(ready)) => ready,
                Ok(Err(why)) => return Outcome::Failed { why },
                Err(_) => return Outcome::Failed { why: late(request, within.mul_f64(0.5), "nothing was sent") },
            };
            let left = within.saturating_sub(started.elapsed());
            match tokio::time::timeout(left, self.deed.run(&mut talk, request)).await {
                Ok(Ok((result, summary))) => Outcome::Done { result, summary },
                Ok(Err(Broken::Refused(why))) => Outcome::Failed { why: self.with_acl(&way.user, why) },
                Ok(Err(Broken::Open(why))) => Outcome::Unknown { why },
                Err(_) => Outcome::Unknown { why: late(request, within, "it may have taken effect") },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let look = || async {
                let asking = async {
                    let (mut talk, _) = self.talk(request, ALLOWED).await?;
                    self.deed.seen(&mut talk, request).await
                };
                match tokio::time::timeout(ALLOWED, asking).await {
                    Ok(Ok(seen)) => seen,
                    Ok(Err(why)) => Reconciled::Undecided { why: why.message },
                    Err(_) => Reconciled::Undecided { why: late(request, ALLOWED, "nothing could be seen").message },
                }
            };
            again::twice(SECOND_LOOK, look).await
        })
    }
}
