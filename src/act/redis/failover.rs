//! `redis.failover`: has the sentinels make a replica the primary (`SENTINEL FAILOVER`, which asks no other sentinel
//! for agreement). The primary at that moment must still be the one that was shown.

use super::deed::is_refusal;
use super::{REDIS, Servers, facts, words};
use crate::act::{again, args};
use crate::config::model::Redis as Config;
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::redis::connection::Endpoint;
use crate::policy::authorized::Authorized;
use redis::aio::MultiplexedConnection;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// For asking one sentinel.
const ALLOWED: Duration = Duration::from_secs(2);
/// After this time a failover that began shows a new primary.
const SECOND_LOOK: Duration = Duration::from_secs(3);

/// What it declares. The sentinels need `+sentinel|failover +sentinel|master +sentinel|get-master-addr-by-name`.
pub(super) static SPEC: VerbSpec = VerbSpec {
    name: "redis.failover",
    what: "has the sentinels make a replica the primary",
    risk_floor: Risk::High,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Compensatable,
    idempotent: false,
    read_only: false,
    args: &[REDIS],
};

/// The verb.
pub(super) struct Failover(pub(super) Arc<Servers>);

/// One sentinel that answers, and what it says of the primary.
struct Sentinel {
    connection: MultiplexedConnection,
    endpoint: Endpoint,
    primary: String,
    /// Run id of the primary; empty until the sentinel has asked it.
    run_id: String,
    replicas: u64,
    /// A failover is under way: until it has ended the sentinel names the old primary.
    replaces: bool,
}

/// The first sentinel that answers.
async fn sentinel(config: &Config) -> Result<Sentinel, Failure> {
    let name = config.sentinel_name.as_deref().unwrap_or_default();
    let scheme = if config.url.starts_with("rediss:") { "rediss" } else { "redis" };
    let mut silent = Vec::new();
    for address in &config.sentinels {
        let asked = async {
            let endpoint = Endpoint::new(&format!("{scheme}://{address}"), None, &config.ca)?;
            let mut connection = endpoint.connect(None, ALLOWED).await?;
            let said: BTreeMap<String, String> = redis::cmd("SENTINEL")
                .arg("MASTER")
                .arg(name)
                .query_async(&mut connection)
                .await
                .map_err(|e| endpoint.classify(&e, "SENTINEL MASTER", ALLOWED))?;
            let field = |key: &str| said.get(key).map(|v| sanitize(v)).unwrap_or_default();
            let primary = format!("{}:{}", field("ip"), field("port"));
            let replicas = field("num-slaves").parse().unwrap_or_default();
            let replaces = field("flags").split(',').any(|flag| flag == "failover_in_progress");
            Ok::<_, Failure>(Sentinel { connection, endpoint, primary, run_id: field("runid"), replicas, replaces })
        };
        match tokio::time::timeout(ALLOWED, asked).await {
            Ok(Ok(sentinel)) => return Ok(sentinel),
            Ok(Err(why)) => silent.push(why.message),
            Err(_) => silent.push(format!("no answer from {address} within {} s", ALLOWED.as_secs())),
        }
    }
    Err(Failure::new(FailureKind::Unreachable, format!("no sentinel answers: {}", silent.join("; "))))
}

/// Whether the server of a run id is the one that the sentinels name as the primary; `None` where there are none. For
/// some seconds after a failover the old primary still says itself that it is one, and what is written there is lost.
pub(super) async fn is_named(config: &Config, run_id: &str) -> Result<Option<bool>, Failure> {
    if config.sentinels.is_empty() || config.sentinel_name.is_none() {
        return Ok(None);
    }
    Ok(Some(sentinel(config).await?.run_id == run_id))
}

/// The primary that the object of a request names.
fn shown(request: &Request) -> &str {
    request.target.object.rsplit(' ').next().unwrap_or_default()
}

impl Failover {
    fn config(&self, id: &SourceId) -> Result<&Config, VerbError> {
        let config = &self.0.get(id)?.config;
        if config.sentinels.is_empty() || config.sentinel_name.is_none() {
            return Err(VerbError::new(format!("[[redis]] {id} has no sentinels")));
        }
        Ok(config)
    }

    fn checked(&self, request: &Request) -> Result<(&Config, String), Failure> {
        let config = self.config(&request.target.source).map_err(|e| Failure::new(FailureKind::Local, e.message))?;
        let name = config.sentinel_name.clone().unwrap_or_default();
        let expected = vec![words(&["SENTINEL", "FAILOVER", &name])];
        match &request.operation {
            Operation::Redis { commands, .. } if commands == &expected && request.verb == SPEC.name => {
                Ok((config, name))
            }
            _ => Err(crate::act::foreign(request)),
        }
    }
}

impl Verb for Failover {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let id = SourceId::new(asked.args.get("redis")?.as_str()?);
        let config = self.config(&id).ok()?.clone();
        Some(Box::pin(async move {
            let found = sentinel(&config).await?;
            Ok(json!({ "primary": found.primary, "replicas": found.replicas }))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = SourceId::new(args::required(context, "redis")?);
        let config = self.config(&id)?;
        let name = config.sentinel_name.clone().unwrap_or_default();
        let found = context.surveyed.ok_or_else(|| VerbError::new("the sentinels have not been asked"))?;
        let primary = found.get("primary").and_then(Value::as_str).unwrap_or_default();
        let replicas = found.get("replicas").and_then(Value::as_u64).unwrap_or_default();
        if replicas == 0 {
            return Err(VerbError::new(format!("the sentinels know no replica of {name} that could take over")));
        }
        // The run id is known only while the primary itself is seen; a failover is wanted when it is not.
        let identity = facts(context).map(|(_, facts)| facts.run_id.clone()).unwrap_or_default();
        let commands = vec![words(&["SENTINEL", "FAILOVER", &name])];
        let first = config.sentinels.first().cloned().unwrap_or_default();
        let (host, port) = first.rsplit_once(':').unwrap_or((&first, "26379"));
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: id.clone(),
                identity,
                environment: context.estate.environment,
                object: format!("primary of {name}, now {primary}"),
                tenants: super::everyone(context),
                count: 1,
            },
            by_hand: format!("redis-cli -h {} -p {port} SENTINEL FAILOVER {}", args::shell(host), args::shell(&name)),
            operation: Operation::Redis { database: 0, commands },
            server_checks: vec![format!("only if the sentinel still names {primary} as the primary")],
            hurts: format!(
                "everyone who writes to {id} waits a few seconds; writes that no replica has are lost (it is a {})",
                config.purpose
            ),
            undo: "another failover, once the old primary follows as a replica".to_owned(),
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (config, name) = self.checked(request)?;
            let found = sentinel(config).await?;
            Ok(format!("would have one of {} replicas of {name} replace {}", found.replicas, found.primary))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request();
            let failed = |why| Outcome::Failed { why };
            let (config, name) = match self.checked(request) {
                Ok(checked) => checked,
                Err(why) => return failed(why),
            };
            let within = permit.timeout();
            let late = |effect: &str| {
                let why = format!("no answer from a sentinel within {} s; {effect}", within.as_secs_f64());
                Failure::new(FailureKind::Timeout, why)
            };
            let mut found = match tokio::time::timeout(within.mul_f64(0.5), sentinel(config)).await {
                Ok(Ok(found)) => found,
                Ok(Err(why)) => return failed(why),
                Err(_) => return failed(late("nothing was sent")),
            };
            if found.primary != shown(request) {
                let why =
                    format!("the primary is {} by now, {} was shown: nothing was done", found.primary, shown(request));
                return failed(Failure::new(FailureKind::Local, why));
            }
            let mut command = redis::cmd("SENTINEL");
            command.arg("FAILOVER").arg(&name);
            let sent = command.query_async::<()>(&mut found.connection);
            match tokio::time::timeout(within.mul_f64(0.5), sent).await {
                Ok(Ok(())) => Outcome::Done {
                    result: json!({ "before": found.primary }),
                    summary: format!("the sentinels replace {}", found.primary),
                },
                Ok(Err(e)) => {
                    let why = found.endpoint.classify(&e, "SENTINEL FAILOVER", ALLOWED);
                    if is_refusal(&e) { failed(why) } else { Outcome::Unknown { why } }
                }
                Err(_) => Outcome::Unknown { why: late("it may have taken effect") },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let look = || async {
                let looked = match self.checked(request) {
                    Ok((config, _)) => sentinel(config).await,
                    Err(why) => Err(why),
                };
                match looked {
                    Ok(found) if found.replaces => Reconciled::TookEffect {
                        seen: format!("a failover is under way; the primary is still {}", found.primary),
                    },
                    Ok(found) if found.primary == shown(request) => {
                        Reconciled::NoEffect { seen: format!("the primary is still {}", found.primary) }
                    }
                    Ok(found) => Reconciled::TookEffect { seen: format!("the primary is {}", found.primary) },
                    Err(why) => Reconciled::Undecided { why: why.message },
                }
            };
            again::twice(SECOND_LOOK, look).await
        })
    }
}
