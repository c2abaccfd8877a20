//! Patroni: switchover, failover, pause and reinitialising a member, through its REST API
//! (<https://patroni.readthedocs.io/en/latest/rest_api.html>). Only the engine calls this.

#[cfg(test)]
mod tests;

use super::args::{self, shell};
use super::call::{self, Secrets};
use super::{DynVerb, again};
use crate::config::model::Patroni as Config;
use crate::domain::behalf::Behalf;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Answer, Ask, Http, Trust};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// For surveys, dry runs and for looking after an unknown outcome.
const ALLOWED: Duration = Duration::from_secs(5);
/// Patroni acts within its `loop_wait`, 10 s by default; no effect is believed only after that.
const SECOND_LOOK: Duration = Duration::from_secs(10);
/// How long it is waited for a primary before a person is asked: the old one is shut down before the other takes over.
const SETTLES: Duration = Duration::from_secs(30);
/// How often it is looked meanwhile.
const AGAIN: Duration = Duration::from_millis(500);

/// The state of a member whose data is copied from the primary.
const CREATING: &str = "creating replica";

const PATRONI: ArgSpec = ArgSpec { name: "patroni", required: true, what: "id of a [[patroni]]" };
const CANDIDATE: ArgSpec = ArgSpec { name: "candidate", required: true, what: "member that takes over" };

const fn spec(
    name: &'static str,
    what: &'static str,
    risk_floor: Risk,
    idempotent: bool,
    args: &'static [ArgSpec],
) -> VerbSpec {
    let reversible = Reversible::Compensatable;
    VerbSpec {
        name,
        what,
        risk_floor,
        blast_radius: BlastRadius::Cluster,
        reversible,
        idempotent,
        read_only: false,
        args,
    }
}

/// What a switchover declares.
pub static SWITCHOVER: VerbSpec = spec(
    "patroni.switchover",
    "makes another member the primary, without losing a transaction",
    Risk::High,
    false,
    &[PATRONI, CANDIDATE],
);
/// What a failover declares.
pub static FAILOVER: VerbSpec = spec(
    "patroni.failover",
    "makes a member the primary where there is no healthy one",
    Risk::High,
    false,
    &[PATRONI, CANDIDATE],
);
/// What pausing declares.
pub static PAUSE: VerbSpec = spec(
    "patroni.pause",
    "stops Patroni from failing over by itself, or lets it again",
    Risk::Medium,
    true,
    &[PATRONI, ArgSpec { name: "paused", required: false, what: "true (by default) to pause, false to end that" }],
);
/// What reinitialising declares.
pub static REINIT: VerbSpec = spec(
    "patroni.reinit",
    "deletes the data of a replica and makes it anew from the primary",
    Risk::High,
    false,
    &[PATRONI, ArgSpec { name: "member", required: true, what: "name of the replica" }],
);

/// What the verbs declare.
pub static SPECS: &[&VerbSpec] = &[&SWITCHOVER, &FAILOVER, &PAUSE, &REINIT];

/// The verbs, for the configured clusters.
pub fn verbs(_: MayAct, configured: &[Config]) -> Vec<Arc<DynVerb>> {
    settling(configured, SETTLES)
}

/// The same with another patience.
fn settling(configured: &[Config], settles: Duration) -> Vec<Arc<DynVerb>> {
    let all = Arc::new(configured.to_vec());
    SPECS.iter().map(|spec| -> Arc<DynVerb> { Arc::new(Patroni { spec, all: all.clone(), settles }) }).collect()
}

/// One of these verbs.
struct Patroni {
    spec: &'static VerbSpec,
    all: Arc<Vec<Config>>,
    settles: Duration,
}

/// A member, as `GET /cluster` shows it.
struct Member {
    name: String,
    role: String,
    state: String,
    lag: Option<i64>,
    api: String,
}

async fn cluster(config: &Config) -> Result<Value, Failure> {
    let url = format!("{}/cluster", config.url.trim_end_matches('/'));
    let trust = Trust::of(&config.ca, [url.as_str()]);
    let http = tokio::task::spawn_blocking(move || Http::new(&trust))
        .await
        .map_err(|_| Failure::new(FailureKind::Local, "making an HTTP client was broken off"))??;
    let ask = Ask { url: &url, host: None, accept: "application/json", limit: 1 << 20, timeout: ALLOWED };
    let text = http.get(&ask).await?.into_text(&url)?;
    serde_json::from_str(&text).map_err(|e| Failure::new(FailureKind::Protocol, format!("{url} answered no JSON: {e}")))
}

fn members(cluster: &Value) -> Vec<Member> {
    let text = |m: &Value, name: &str| m.get(name).and_then(Value::as_str).map(sanitize).unwrap_or_default();
    let one = |m: &Value| Member {
        name: text(m, "name"),
        role: text(m, "role"),
        state: text(m, "state"),
        lag: m.get("lag").and_then(Value::as_i64),
        api: text(m, "api_url"),
    };
    cluster.get("members").and_then(Value::as_array).into_iter().flatten().map(one).collect()
}

fn leading(cluster: &Value) -> Option<Member> {
    let leads = |m: &Member| matches!(m.role.as_str(), "leader" | "master" | "primary" | "standby_leader");
    members(cluster).into_iter().find(leads)
}

fn leader(cluster: &Value) -> Option<String> {
    leading(cluster).map(|m| m.name)
}

/// The cluster, once it has a primary that runs, or as it is when that was waited for.
async fn settled(config: &Config, within: Duration) -> Result<Value, Failure> {
    let until = tokio::time::Instant::now() + within;
    loop {
        let now = cluster(config).await?;
        if leading(&now).is_some_and(|m| m.state == "running") || tokio::time::Instant::now() >= until {
            return Ok(now);
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Whether Patroni says that it has begun nothing: `Ha.reinitialize` gives these words, and its REST API a 503 with them.
fn refuses(answer: &Answer) -> bool {
    let said = String::from_utf8_lossy(&answer.body);
    answer.status == 503 && ["already in progress", "can not reinitialize"].iter().any(|words| said.contains(words))
}

fn paused(cluster: &Value) -> bool {
    cluster.get("pause").and_then(Value::as_bool) == Some(true)
}

impl Patroni {
    fn get(&self, id: &str) -> Result<&Config, VerbError> {
        self.all.iter().find(|c| c.id.as_str() == id).ok_or_else(|| {
            let known: Vec<&str> = self.all.iter().map(|c| c.id.as_str()).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            VerbError::new(format!("there is no [[patroni]] {}; known: {known}", sanitize(id)))
        })
    }

    fn checked(&self, request: &Request) -> Result<(&Config, Value, Secrets), Failure> {
        let config =
            self.get(request.target.source.as_str()).map_err(|e| Failure::new(FailureKind::Local, e.message))?;
        let Operation::Http { body, path, .. } = &request.operation else { return Err(crate::act::foreign(request)) };
        // A member's own URL is where a reinitialisation goes; its host was read from the cluster and shown.
        let ours = path.starts_with(config.url.trim_end_matches('/')) || self.spec.name == REINIT.name;
        let login = config.act.as_ref().filter(|_| ours && request.verb == self.spec.name);
        let login = login.ok_or_else(|| crate::act::foreign(request))?;
        let secrets = Secrets {
            basic: Some((login.user.clone(), login.password.clone())),
            ca: config.ca.clone(),
            ..Secrets::default()
        };
        Ok((config, serde_json::from_str(body).unwrap_or_default(), secrets))
    }

    /// What a look says of the effect.
    fn judge(&self, wanted: &Value, object: &str, now: &Value) -> Reconciled {
        match self.spec.name {
            "patroni.pause" => {
                let seen = format!("Patroni is {}", if paused(now) { "paused" } else { "not paused" });
                let is = paused(now) == (wanted.get("pause").and_then(Value::as_bool) == Some(true));
                if is { Reconciled::TookEffect { seen } } else { Reconciled::NoEffect { seen } }
            }
            "patroni.reinit" => {
                let name = object.strip_prefix("replica ").and_then(|o| o.split(' ').next()).unwrap_or_default();
                let state = members(now).into_iter().find(|m| m.name == name).map(|m| m.state);
                match state.as_deref() {
                    Some(CREATING) => Reconciled::TookEffect { seen: format!("{name} is made anew") },
                    other => Reconciled::Undecided {
                        why: format!("{name} is {}; whether it was made anew can not be told", other.unwrap_or("gone")),
                    },
                }
            }
            _ => match leading(now) {
                Some(Member { name, .. }) if wanted.get("candidate").and_then(Value::as_str) == Some(name.as_str()) => {
                    Reconciled::TookEffect { seen: format!("{name} is the primary") }
                }
                Some(Member { name, state, .. }) if state == "running" => {
                    Reconciled::NoEffect { seen: format!("{name} is the primary") }
                }
                Some(Member { name, state, .. }) => Reconciled::Undecided {
                    why: format!("{name} is still named as the primary and is {state}; another may be taking over"),
                },
                None => Reconciled::Undecided { why: "nobody is the primary; another may be taking over".to_owned() },
            },
        }
    }
}

impl Verb for Patroni {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let config = self.get(asked.args.get("patroni")?.as_str()?).ok()?.clone();
        Some(Box::pin(async move { cluster(&config).await }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = args::required(context, "patroni")?;
        let config = self.get(&id)?;
        let login = config
            .act
            .as_ref()
            .ok_or_else(|| VerbError::new(format!("[[patroni]] {id} has no `act` login: no verb may change it")))?;
        let now = context.surveyed.ok_or_else(|| VerbError::new("the cluster has not been read"))?;
        let (all, leads, base) = (members(now), leader(now), config.url.trim_end_matches('/'));
        let known =
            || all.iter().map(|m| format!("{} ({}, {})", m.name, m.role, m.state)).collect::<Vec<_>>().join(", ");
        let member = |name: &str| {
            all.iter()
                .find(|m| m.name == name)
                .ok_or_else(|| VerbError::new(format!("{id} has no member {}; members: {}", sanitize(name), known())))
        };
        let lead =
            || leads.clone().ok_or_else(|| VerbError::new(format!("{id} has no primary now; members: {}", known())));
        let (method, path, body, object, checks, hurts, undo);
        match self.spec.name {
            "patroni.switchover" => {
                let (to, from) = (args::required(context, "candidate")?, lead()?);
                let lag = member(&to)?.lag.map_or("an unknown lag".to_owned(), |b| format!("{b} bytes behind"));
                if to == from {
                    return Err(VerbError::new(format!("{to} is the primary already")));
                }
                (method, path) = ("POST", format!("{base}/switchover"));
                body = json!({ "leader": from, "candidate": to });
                object = format!("primary of {id}: {to} in place of {from}");
                checks = vec![format!("only if {from} is still the primary, and {to} a healthy replica")];
                hurts = format!("everyone: writes wait some seconds, open transactions are rolled back; {to} is {lag}");
                undo = format!("a switchover back to {from}");
            }
            "patroni.failover" => {
                let to = args::required(context, "candidate")?;
                let lag = member(&to)?.lag.map_or("an unknown lag".to_owned(), |b| format!("{b} bytes behind"));
                if let Some(from) = &leads {
                    let healthy = all.iter().any(|m| &m.name == from && m.state == "running");
                    if healthy {
                        let why =
                            format!("{from} is a healthy primary: a switchover loses nothing, use patroni.switchover");
                        return Err(VerbError::new(why));
                    }
                }
                (method, path, body) = ("POST", format!("{base}/failover"), json!({ "candidate": to }));
                object = format!("primary of {id}: {to}");
                checks = vec![format!("only if Patroni finds {to} fit to be the primary")];
                hurts = format!("what the old primary committed and {to} has not is lost; {to} is {lag}");
                undo = "Can not be taken back: the old primary is rewound or made anew.".to_owned();
            }
            "patroni.pause" => {
                let pause = match context.args.get("paused") {
                    Some(Value::Bool(pause)) => *pause,
                    _ => args::word(context, "paused", &["true", "false"])? == "true",
                };
                if paused(now) == pause {
                    return Err(VerbError::new(format!("{id} is {}paused already", if pause { "" } else { "not " })));
                }
                // `null` takes the key away, as `patronictl resume` does.
                (method, path) = ("PATCH", format!("{base}/config"));
                body = json!({ "pause": if pause { json!(true) } else { Value::Null } });
                object = format!("automatic failover of {id}");
                checks = Vec::new();
                hurts = if pause {
                    "nobody at once; while it is paused no replica takes over when the primary fails".to_owned()
                } else {
                    "nobody; Patroni acts by itself again".to_owned()
                };
                undo = format!("the same with paused = {}", !pause);
            }
            _ => {
                let name = args::required(context, "member")?;
                let found = member(&name)?;
                if leads.as_deref() == Some(name.as_str()) {
                    return Err(VerbError::new(format!("{name} is the primary: only a replica can be made anew")));
                }
                lead()?;
                // `api_url` ends in /patroni.
                let api = found.api.trim_end_matches("/patroni").trim_end_matches('/');
                if !api.starts_with("http://") && !api.starts_with("https://") {
                    return Err(VerbError::new(format!("{name} does not say where its REST API is")));
                }
                if found.state == CREATING {
                    return Err(VerbError::new(format!("{name} is being made anew already")));
                }
                // Patroni goes on starting a member that does not come up, and takes nothing else meanwhile.
                let force = !matches!(found.state.as_str(), "running" | "streaming");
                (method, path, body) = ("POST", format!("{api}/reinitialize"), json!({ "force": force }));
                object = format!("replica {name} of {id}, {}", found.state);
                let task = if force { "what Patroni does to start it is broken off" } else { "no task of it runs" };
                checks = vec![format!("only if it is no primary; {task}")];
                hurts = format!("readers of {name} until it is whole again; the primary sends all of its data");
                undo = "Can not be taken back: it has to be copied to its end.".to_owned();
            }
        }
        Ok(request(context, self.spec, config, &login.user, (method, path, body), (object, checks, hurts, undo)))
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (config, _, _) = self.checked(request)?;
            let now = cluster(config).await?;
            let all: Vec<String> = members(&now).iter().map(|m| format!("{} {} {}", m.name, m.role, m.state)).collect();
            Ok(format!("would change the {}; now: {}", request.target.object, all.join(", ")))
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match self.checked(permit.request()) {
                Ok((_, _, secrets)) if self.spec.name == REINIT.name => {
                    call::send_unless(permit.request(), &secrets, permit.timeout(), refuses).await
                }
                Ok((_, _, secrets)) => call::send(permit.request(), &secrets, permit.timeout()).await,
                Err(why) => Outcome::Failed { why },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let look = || async {
                let (config, wanted, _) = match self.checked(request) {
                    Ok(checked) => checked,
                    Err(why) => return Reconciled::Undecided { why: why.message },
                };
                let moves = matches!(self.spec.name, "patroni.switchover" | "patroni.failover");
                match if moves { settled(config, self.settles).await } else { cluster(config).await } {
                    Ok(now) => self.judge(&wanted, &request.target.object, &now),
                    Err(why) => Reconciled::Undecided { why: why.message },
                }
            };
            again::twice(SECOND_LOOK, look).await
        })
    }
}

fn request(
    context: &RenderContext<'_>,
    spec: &VerbSpec,
    config: &Config,
    user: &str,
    (method, path, body): (&str, String, Value),
    (object, server_checks, hurts, undo): (String, Vec<String>, String, String),
) -> Request {
    let by_hand = format!(
        "curl -sS -u {} -X {method} -H 'Content-Type: application/json' -d {} {}",
        shell(user),
        shell(&body.to_string()),
        shell(&path)
    );
    let headers = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
    Request {
        verb: spec.name.to_owned(),
        target: Target {
            source: config.id.clone(),
            identity: String::new(),
            environment: context.estate.environment,
            object,
            tenants: context.estate.tenants.iter().map(|t| t.id.clone()).collect(),
            count: 1,
        },
        operation: Operation::Http { method: method.to_owned(), path, headers, body: format!("{body:#}") },
        server_checks,
        hurts,
        undo,
        by_hand,
    }
}
