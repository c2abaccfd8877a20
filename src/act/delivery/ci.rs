//! Pipelines held and let go, through the API of their server: a deploy freeze period of GitLab
//! (<https://docs.gitlab.com/api/freeze_periods/>), workflows of GitHub Actions switched off
//! (<https://docs.github.com/en/rest/actions/workflows>). Pipelines that run already are listed and not ended.

use super::server::{Server, Servers};
use crate::act::kubernetes::object::Args;
use crate::config::model::CiKind;
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, HttpCall, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CI: ArgSpec = ArgSpec { name: "ci", required: true, what: "name of the [[ci]]" };

/// What it declares.
pub static HOLD: VerbSpec = VerbSpec {
    name: "delivery.ci_hold",
    what: "holds deployments of pipelines (GitLab freeze period, GitHub workflows off); what runs is listed, not ended",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[
        CI,
        ArgSpec { name: "hours", required: false, what: "hours that a freeze of GitLab lasts; 12 by default, 1 to 72" },
    ],
};
/// What it declares.
pub static RELEASE: VerbSpec = VerbSpec {
    name: "delivery.ci_release",
    what: "lets go what delivery.ci_hold holds",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Cluster,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[CI],
};
/// What it declares.
pub static STATUS: VerbSpec = VerbSpec {
    name: "delivery.ci_status",
    what: "looks which pipelines run, and whether they are held",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: true,
    args: &[CI],
};

/// Which of the three.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Holds.
    Hold,
    /// Lets go.
    Release,
    /// Looks.
    Status,
}

/// One of the verbs.
pub(super) struct Pipelines {
    /// Servers.
    pub servers: Servers,
    /// What it does.
    pub does: Does,
}

/// Our freeze periods name day and month, which a weekly one of a person does not: minute hour day month *.
fn ours(period: &Value) -> bool {
    let fixed = |cron: &Value| {
        let words: Vec<&str> = cron.as_str().unwrap_or_default().split(' ').collect();
        matches!(words.as_slice(), [m, h, d, month, "*"] if [m, h, d, month].iter().all(|w| w.parse::<u8>().is_ok()))
    };
    fixed(&period["freeze_start"]) && fixed(&period["freeze_end"]) && period["cron_timezone"] == "UTC"
}

fn cron(at: Timestamp) -> String {
    at.strftime("%-M %-H %-d %-m *").to_string()
}

fn call(method: &str, path: String, body: Option<&Value>) -> HttpCall {
    let mut headers = BTreeMap::new();
    if body.is_some() {
        headers.insert("content-type".to_owned(), "application/json".to_owned());
    }
    HttpCall { method: method.into(), path, headers, body: body.map(|b| format!("{b:#}")).unwrap_or_default() }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// One pipeline in a few words.
fn pipeline(one: &Value) -> String {
    let branch = one["ref"].as_str().or(one["head_branch"].as_str()).unwrap_or("?");
    sanitize(&format!("#{} of {branch}, {}", one["id"], one["status"].as_str().unwrap_or("?")))
}

/// What was read of a server: pipelines that run, what holds them, and workflows.
#[derive(Debug)]
struct Seen {
    running: Vec<String>,
    /// Ids of our freeze periods, or names of workflows that are off.
    held: Vec<Value>,
    /// Workflows that are on; only GitHub has them.
    open: Vec<String>,
}

/// Reads a server.
async fn read(server: &Server<'_>) -> Result<Value, Failure> {
    let mut all = json!({"running": [], "periods": [], "workflows": []});
    let mut put = |key: &str, value: Value| {
        if let Some(all) = all.as_object_mut() {
            all.insert(key.to_owned(), value);
        }
    };
    let mut running = Vec::new();
    match server.config.kind {
        CiKind::Gitlab => {
            for status in ["running", "pending"] {
                let found = server.get(&server.path(&format!("/pipelines?status={status}&per_page=100"))).await?;
                running.extend(list(&found).cloned());
            }
            put("periods", server.get(&server.path("/freeze_periods?per_page=100")).await?);
        }
        CiKind::Github => {
            for status in ["in_progress", "queued"] {
                let found = server.get(&server.path(&format!("/actions/runs?status={status}&per_page=100"))).await?;
                running.extend(list(&found["workflow_runs"]).cloned());
            }
            let found = server.get(&server.path("/actions/workflows?per_page=100")).await?;
            put("workflows", found["workflows"].clone());
        }
    }
    put("running", json!(running));
    Ok(all)
}

fn seen(server: &Server<'_>, read: &Value) -> Seen {
    let running = list(&read["running"]).map(pipeline).collect();
    let file = |w: &Value| w["path"].as_str().and_then(|p| p.rsplit('/').next()).map(str::to_owned);
    let wanted = |w: &&Value| file(w).is_some_and(|f| server.config.workflows.contains(&f));
    let named = || list(&read["workflows"]).filter(wanted);
    match server.config.kind {
        CiKind::Gitlab => {
            let held = list(&read["periods"]).filter(|p| ours(p)).map(|p| p["id"].clone()).collect();
            Seen { running, held, open: Vec::new() }
        }
        CiKind::Github => Seen {
            running,
            held: named().filter(|w| w["state"] != "active").filter_map(file).map(Value::from).collect(),
            open: named().filter(|w| w["state"] == "active").filter_map(file).collect(),
        },
    }
}

impl Pipelines {
    fn calls(
        &self,
        server: &Server<'_>,
        seen: &Seen,
        args: Args<'_>,
        now: Timestamp,
    ) -> Result<Vec<HttpCall>, VerbError> {
        let id = &server.config.id;
        let hours = match args.opt_number("hours")? {
            None => 12,
            Some(hours @ 1..=72) => i64::from(hours),
            Some(_) => return Err(VerbError::new("argument hours has to be 1 to 72")),
        };
        let workflow =
            |name: &str, to: &str| call("PUT", server.path(&format!("/actions/workflows/{name}/{to}")), None);
        match (self.does, server.config.kind) {
            (Does::Hold, CiKind::Gitlab) if !seen.held.is_empty() => {
                Err(VerbError::new(format!("{id} is held already")))
            }
            (Does::Hold, CiKind::Gitlab) => {
                let until =
                    now.checked_add(SignedDuration::from_hours(hours)).map_err(|e| VerbError::new(e.to_string()))?;
                let period = json!({"freeze_start": cron(now), "freeze_end": cron(until), "cron_timezone": "UTC"});
                Ok(vec![call("POST", server.path("/freeze_periods"), Some(&period))])
            }
            (Does::Hold, CiKind::Github) if seen.open.is_empty() => {
                let named = server.config.workflows.join(", ");
                Err(VerbError::new(format!("{id} has none of these workflows on: {named}")))
            }
            (Does::Hold, CiKind::Github) => Ok(seen.open.iter().map(|w| workflow(w, "disable")).collect()),
            (Does::Release, _) if seen.held.is_empty() => Err(VerbError::new(format!("{id} is not held"))),
            (Does::Release, CiKind::Gitlab) => Ok(seen
                .held
                .iter()
                .map(|p| call("DELETE", server.path(&format!("/freeze_periods/{p}")), None))
                .collect()),
            (Does::Release, CiKind::Github) => {
                Ok(seen.held.iter().filter_map(Value::as_str).map(|w| workflow(w, "enable")).collect())
            }
            (Does::Status, _) => Ok(vec![call("GET", server.path(""), None)]),
        }
    }
}

/// Whether a request shows its effect in what was read afterwards.
fn shows(one: &HttpCall, read: &Value) -> bool {
    let body: Value = serde_json::from_str(&one.body).unwrap_or_default();
    let path = one.path.split('?').next().unwrap_or_default();
    let same = |p: &Value| p["freeze_start"] == body["freeze_start"] && p["freeze_end"] == body["freeze_end"];
    let last = |n: usize| path.rsplit('/').nth(n).unwrap_or_default();
    match one.method.as_str() {
        "POST" => list(&read["periods"]).any(same),
        "DELETE" => !list(&read["periods"]).any(|p| p["id"].as_u64() == last(0).parse().ok()),
        _ => list(&read["workflows"]).any(|w| {
            let named = w["path"].as_str().is_some_and(|p| p.ends_with(&format!("/{}", last(1))));
            named && (w["state"] == "active") == (last(0) == "enable")
        }),
    }
}

impl Verb for Pipelines {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        match self.does {
            Does::Hold => &HOLD,
            Does::Release => &RELEASE,
            Does::Status => &STATUS,
        }
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        if self.does == Does::Status {
            return None;
        }
        let (servers, args) = (self.servers.clone(), asked.args.clone());
        Some(Box::pin(async move {
            let config = servers.named(Args(&args)).map_err(|e| Failure::new(FailureKind::Local, e.message))?;
            read(&servers.open(config).await?).await
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let args = Args(context.args);
        let config = self.servers.named(args)?;
        let server = Server::unopened(config);
        let nothing = Value::Null;
        let read = context.surveyed.unwrap_or(&nothing);
        if self.does != Does::Status && context.surveyed.is_none() {
            return Err(VerbError::new("its target has not been read"));
        }
        let seen = seen(&server, read);
        let mut calls = self.calls(&server, &seen, args, context.now)?;
        let running = if seen.running.is_empty() {
            "no pipeline runs now".to_owned()
        } else {
            format!("{} pipelines run still and go on: {}", seen.running.len(), seen.running.join("; "))
        };
        let (hurts, undo) = match (self.does, config.kind) {
            (Does::Hold, CiKind::Gitlab) => (
                format!("{running}; new jobs that heed $CI_DEPLOY_FREEZE do not deploy, others do"),
                "delivery.ci_release takes it back",
            ),
            (Does::Hold, CiKind::Github) => (
                format!("{running}; nothing starts these workflows, also not for other reasons"),
                "delivery.ci_release takes it back",
            ),
            (Does::Release, _) => {
                ("nobody; the next push may deploy at once".to_owned(), "delivery.ci_hold takes it back")
            }
            (Does::Status, _) => ("nobody: it only reads".to_owned(), "nothing to undo: it only reads"),
        };
        let by_hand: Vec<String> = calls
            .iter()
            .map(|c| {
                let body = if c.body.is_empty() {
                    String::new()
                } else {
                    " -H 'content-type: application/json' -d @body".to_owned()
                };
                format!("curl -X {} -H \"{}: $TOKEN\"{body} '{}'", c.method, server.token_header(), c.path)
            })
            .collect();
        let count = u64::try_from(calls.len()).unwrap_or(u64::MAX);
        let tenants = if self.does == Does::Status {
            Vec::new()
        } else {
            context.estate.tenants.iter().map(|t| t.id.clone()).collect()
        };
        let operation = match (calls.pop(), calls.is_empty()) {
            (Some(HttpCall { method, path, headers, body }), true) => Operation::Http { method, path, headers, body },
            (Some(last), false) => {
                calls.push(last);
                Operation::Calls { calls }
            }
            (None, _) => return Err(VerbError::new("there is nothing to do")),
        };
        Ok(Request {
            verb: self.spec().name.into(),
            target: Target {
                source: config.id.clone(),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("pipelines {}", sanitize(&config.project)),
                tenants,
                count,
            },
            operation,
            server_checks: Vec::new(),
            hurts,
            undo: undo.to_owned(),
            by_hand: by_hand.join("\n"),
        })
    }

    /// Neither server has a dry run: it is looked whether the token may read, and what runs.
    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let server = self.servers.open(self.servers.of(&request.target.source)?).await?;
            let seen = seen(&server, &read(&server).await?);
            Ok(format!("{} pipelines run: {}", seen.running.len(), seen.running.join("; ")))
        })
    }

    fn look<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if self.does != Does::Status {
                return crate::act::kubernetes::acts_only(self.spec().name);
            }
            let asked = async {
                let server = self.servers.open(self.servers.of(&request.target.source)?).await?;
                let seen = seen(&server, &read(&server).await?);
                Ok::<_, Failure>((server.config.kind, seen))
            };
            match asked.await {
                Ok((kind, seen)) => {
                    let held = !seen.held.is_empty() && (kind == CiKind::Gitlab || seen.open.is_empty());
                    let state = if held { "held" } else { "not held" };
                    Outcome::Done {
                        summary: format!("{state}; {} pipelines run", seen.running.len()),
                        result: json!({"held": held, "by": seen.held, "open": seen.open, "running": seen.running}),
                    }
                }
                Err(why) => Outcome::Failed { why },
            }
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let answers = match self.servers.send(self.spec().name, &permit).await {
                Ok(answers) => answers,
                Err(outcome) => return outcome,
            };
            let project =
                self.servers.of(&permit.request().target.source).map(|c| sanitize(&c.project)).unwrap_or_default();
            let verb = if self.does == Does::Hold { "held" } else { "let go" };
            Outcome::Done {
                summary: format!("pipelines of {project} are {verb}"),
                result: json!({"count": answers.len(), "periods": answers.iter().map(|a| a["id"].clone()).filter(|i| !i.is_null()).collect::<Vec<_>>()}),
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let until = tokio::time::Instant::now() + self.servers.settle;
            let calls = request.operation.http_calls();
            loop {
                let looked = async {
                    let server = self.servers.open(self.servers.of(&request.target.source)?).await?;
                    read(&server).await
                };
                let read = match looked.await {
                    Ok(read) => read,
                    Err(why) => return Reconciled::Undecided { why: why.message },
                };
                let shown = calls.iter().filter(|c| shows(c, &read)).count();
                if shown == calls.len() {
                    return Reconciled::TookEffect { seen: format!("the server shows all {shown} changes") };
                }
                let left = until.saturating_duration_since(tokio::time::Instant::now());
                if left.is_zero() {
                    return if shown == 0 {
                        Reconciled::NoEffect { seen: "the server shows none of it".into() }
                    } else {
                        Reconciled::Undecided { why: format!("the server shows {shown} of {} changes", calls.len()) }
                    };
                }
                tokio::time::sleep(left.min(std::time::Duration::from_secs(2))).await;
            }
        })
    }
}
