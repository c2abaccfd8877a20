//! Redis: memory, keys by pattern, whole databases, lists and streams that are put aside, a restart of its workload, and
//! a failover by its sentinels. Only the engine calls this.

mod aside;
#[cfg(test)]
mod cut_tests;
mod deed;
mod failover;
mod flush;
mod info;
#[cfg(test)]
mod lab_tests;
mod matching;
mod memory;
mod restart;
mod save;
#[cfg(test)]
mod tests;

use super::DynVerb;
use super::kubernetes::Clusters;
use super::look::Looking;
use super::rights::Right;
use crate::config::model::{Kubernetes, Redis as Config};
use crate::domain::facts::{Facts, RedisFacts};
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{RenderContext, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::redis::connection::Endpoint;
use crate::observe::redis::{Password, password_of};
use deed::Acting;
use redis::aio::MultiplexedConnection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const REDIS: ArgSpec = ArgSpec { name: "redis", required: true, what: "source id of the Redis" };

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[
    &info::SPEC,
    &save::SPEC,
    &memory::PURGE,
    &memory::MAXMEMORY,
    &matching::SPEC,
    &flush::SPEC,
    &aside::LIST,
    &aside::STREAM,
    &restart::SPEC,
    &failover::SPEC,
];

/// What a restart has to be allowed to do on the workload.
pub static RIGHTS: &[(&VerbSpec, &[Right])] = &[(&restart::SPEC, restart::RIGHTS)];

/// The verbs, for the configured servers, and the clusters that their workloads run on.
pub fn verbs(may: MayAct, config: &[Config], clusters: &[Kubernetes]) -> Vec<Arc<DynVerb>> {
    let servers = Arc::new(Servers::new(may, config));
    let clusters = Arc::new(Clusters::new(clusters));
    vec![
        Looking::shared(info::Info(servers.clone())),
        Acting::shared(save::Save, &servers),
        Acting::shared(memory::Purge, &servers),
        Acting::shared(memory::Maxmemory, &servers),
        Acting::shared(matching::Matching, &servers),
        Acting::shared(flush::Flush, &servers),
        Acting::shared(aside::Aside(&aside::LIST), &servers),
        Acting::shared(aside::Aside(&aside::STREAM), &servers),
        Arc::new(restart::Restart { servers: servers.clone(), clusters }),
        Arc::new(failover::Failover(servers)),
    ]
}

/// The servers that verbs may be aimed at.
pub(super) struct Servers(BTreeMap<SourceId, Server>);

/// One of them, with its two logins.
struct Server {
    config: Config,
    observe: Way,
    act: Option<Way>,
}

/// The way to it as somebody.
struct Way {
    endpoint: Result<Endpoint, Failure>,
    password: Password,
    user: String,
}

impl Servers {
    fn new(_: MayAct, configured: &[Config]) -> Self {
        let server = |config: &Config| {
            let way = |login: Option<&crate::config::model::Login>| Way {
                endpoint: Endpoint::new(&config.url, login.map(|l| l.user.as_str()), &config.ca),
                password: password_of(login),
                user: login.map_or_else(|| "default".to_owned(), |l| l.user.clone()),
            };
            let (observe, act) = (way(config.observe.as_ref()), config.act.as_ref().map(|l| way(Some(l))));
            (config.id.clone(), Server { config: config.clone(), observe, act })
        };
        Self(configured.iter().map(server).collect())
    }

    fn get(&self, id: &SourceId) -> Result<&Server, VerbError> {
        self.0.get(id).ok_or_else(|| {
            let known: Vec<&str> = self.0.keys().map(SourceId::as_str).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            VerbError::new(format!("there is no Redis {}; known: {known}", sanitize(id.as_str())))
        })
    }

    fn reach(&self, id: &SourceId) -> Result<&Server, Failure> {
        self.get(id).map_err(|e| Failure::new(FailureKind::Local, e.message))
    }
}

impl Server {
    fn act(&self) -> Result<&Way, Failure> {
        self.act.as_ref().ok_or_else(|| {
            let why = format!("[[redis]] {} has no `act` login: no verb may change it", self.config.id);
            Failure::new(FailureKind::Local, why)
        })
    }

    /// Number of the database in the URL.
    fn database(&self) -> i64 {
        self.config.url.rsplit('/').next().and_then(|n| n.parse().ok()).unwrap_or_default()
    }

    /// As a person would type it.
    fn by_hand(&self, user: &str, commands: &[Vec<String>]) -> String {
        let url = super::args::shell(&self.config.url);
        let said: Vec<String> = commands
            .iter()
            .map(|c| c.iter().map(|w| super::args::shell(w)).collect::<Vec<_>>().join(" "))
            .map(|c| format!("redis-cli -u {url} --user {} {c}", super::args::shell(user)))
            .collect();
        said.join("; ")
    }
}

impl Way {
    async fn open(&self, within: Duration) -> Result<(MultiplexedConnection, &Endpoint), Failure> {
        let endpoint = self.endpoint.as_ref().map_err(Clone::clone)?;
        Ok((endpoint.connect(Some(&self.password), within).await?, endpoint))
    }
}

/// A command's words.
fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}

/// The fresh facts of the server that the arguments name.
fn facts<'a>(context: &'a RenderContext<'_>) -> Result<(SourceId, &'a RedisFacts), VerbError> {
    let id = SourceId::new(super::args::required(context, "redis")?);
    match super::postgres::fresh(context, &id)? {
        Facts::Redis(facts) => Ok((id, facts)),
        _ => Err(VerbError::new(format!("{id} is no Redis"))),
    }
}

/// Tenants behind a Redis: it does not say whose keys it holds, so it is everyone of the estate.
fn everyone(context: &RenderContext<'_>) -> Vec<crate::domain::id::TenantId> {
    context.estate.tenants.iter().map(|t| t.id.clone()).collect()
}

/// The request around commands.
fn request(
    context: &RenderContext<'_>,
    verb: &VerbSpec,
    server: &Server,
    identity: &str,
    commands: Vec<Vec<String>>,
    (object, count, hurts, undo): (String, u64, String, String),
    mut server_checks: Vec<String>,
) -> Result<Request, VerbError> {
    let user = &server.act().map_err(|why| VerbError::new(why.message))?.user;
    server_checks.push(format!("only on the server with run_id {identity}"));
    Ok(Request {
        verb: verb.name.to_owned(),
        target: Target {
            source: server.config.id.clone(),
            identity: identity.to_owned(),
            environment: context.estate.environment,
            object,
            tenants: everyone(context),
            count,
        },
        by_hand: server.by_hand(user, &commands),
        operation: Operation::Redis { database: server.database(), commands },
        server_checks,
        hurts,
        undo,
    })
}
