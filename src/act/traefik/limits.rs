//! Limits of one tenant, and where its requests go: `traefik.rate_limit`, `in_flight_limit`, `circuit_breaker`,
//! `route_priority` and `weight_region`. All of a tenant stand in one file, since the router of highest priority alone
//! is asked: a second file would silently put the first out of force. The router copies rule, service and middlewares
//! of the tenant's own one, read from Traefik's API.

use super::TENANT;
use super::limits_file::{PREFIX, content, qualified, read, settings, stands};
use super::page::{is_host, is_tenant};
use super::{blocking, tenant_router};
use crate::act::args::{self, shell};
use crate::act::place::{self, Broken};
use crate::config::model::Traefik as Config;
use crate::domain::behalf::Behalf;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Ask, Http, Trust};
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// For reading the API.
const ALLOWED: Duration = Duration::from_secs(5);

const LIFT: ArgSpec = ArgSpec { name: "lift", required: false, what: "true takes the setting away again" };

const fn spec(name: &'static str, what: &'static str, args: &'static [ArgSpec]) -> VerbSpec {
    VerbSpec {
        name,
        what,
        risk_floor: Risk::Medium,
        blast_radius: BlastRadius::Tenant,
        reversible: Reversible::Yes,
        idempotent: true,
        read_only: false,
        args,
    }
}

/// What this verb declares of itself.
pub static RATE: VerbSpec = spec(
    "traefik.rate_limit",
    "limits how many requests a second a tenant's host takes",
    &[
        TENANT,
        ArgSpec { name: "average", required: false, what: "requests a second" },
        ArgSpec { name: "burst", required: false, what: "requests beyond that at once; the average by default" },
        ArgSpec {
            name: "per",
            required: false,
            what: "host (all clients together, by default) or client (each address)",
        },
        LIFT,
    ],
);
/// What this verb declares of itself.
pub static IN_FLIGHT: VerbSpec = spec(
    "traefik.in_flight_limit",
    "limits how many requests of a tenant's host are worked on at once",
    &[
        TENANT,
        ArgSpec { name: "amount", required: false, what: "requests at once" },
        ArgSpec {
            name: "per",
            required: false,
            what: "host (all clients together, by default) or client (each address)",
        },
        LIFT,
    ],
);
/// What this verb declares of itself.
pub static BREAKER: VerbSpec = spec(
    "traefik.circuit_breaker",
    "answers 503 at once while too large a share of a tenant's requests fails",
    &[
        TENANT,
        ArgSpec { name: "share", required: false, what: "share of 5xx answers at which it opens, above 0 and below 1" },
        LIFT,
    ],
);
/// What this verb declares of itself.
pub static PRIORITY: VerbSpec = spec(
    "traefik.route_priority",
    "puts the route to a tenant's own service above others that take its host",
    &[
        TENANT,
        ArgSpec {
            name: "priority",
            required: false,
            what: "1 to 999999; the highest of all routers that match is asked",
        },
        ArgSpec {
            name: "service",
            required: false,
            what: "service with its provider, such as t017@file; that of the router by default",
        },
        LIFT,
    ],
);
/// What this verb declares of itself.
pub static WEIGHT: VerbSpec = spec(
    "traefik.weight_region",
    "shares a tenant's requests out between services",
    &[
        TENANT,
        ArgSpec { name: "weights", required: false, what: "services and weights, such as eu@file=90,us@file=10" },
        LIFT,
    ],
);

/// One of these verbs.
pub(super) struct Limit {
    spec: &'static VerbSpec,
    ingresses: Arc<[Config]>,
}

pub(super) fn local(why: impl AsRef<str>) -> Failure {
    Failure::new(FailureKind::Local, why)
}

fn source(per: &str) -> Value {
    // Without a criterion Traefik counts each client's address by itself.
    if per == "client" { json!({ "ipStrategy": { "depth": 0 } }) } else { json!({ "requestHost": true }) }
}

impl Limit {
    pub(super) fn new(_: MayAct, spec: &'static VerbSpec, ingresses: &[Config]) -> Self {
        Self { spec, ingresses: ingresses.into() }
    }

    fn key(&self) -> &'static str {
        self.spec.name.strip_prefix("traefik.").unwrap_or(self.spec.name)
    }

    fn config(&self, id: &SourceId) -> Option<&Config> {
        self.ingresses.iter().find(|c| &c.id == id)
    }

    /// The setting that the arguments ask for; `None` where it is to be lifted.
    fn setting(&self, context: &RenderContext<'_>) -> Result<Option<Value>, VerbError> {
        if args::flag(context, "lift")? {
            return Ok(None);
        }
        let per = || args::word(context, "per", &["host", "client"]);
        let most = i64::from(u32::MAX);
        Ok(Some(match self.key() {
            "rate_limit" => {
                let average = args::required_whole(context, "average", 1, most)?;
                let burst = args::whole(context, "burst", 1, most)?.unwrap_or(average);
                json!({ "rateLimit": { "average": average, "burst": burst, "sourceCriterion": source(per()?) } })
            }
            "in_flight_limit" => {
                let amount = args::required_whole(context, "amount", 1, most)?;
                json!({ "inFlightReq": { "amount": amount, "sourceCriterion": source(per()?) } })
            }
            "circuit_breaker" => {
                let text = args::required(context, "share")?;
                let share = text.parse::<f64>().ok().filter(|s| *s > 0.0 && *s < 1.0);
                let share = share.ok_or_else(|| {
                    VerbError::new(format!("the argument share is {}; allowed is above 0 and below 1", sanitize(&text)))
                })?;
                let expression = format!("ResponseCodeRatio(500, 600, 0, 600) > {share:.3}");
                json!({ "circuitBreaker": { "expression": expression } })
            }
            "route_priority" => {
                let priority = args::required_whole(context, "priority", 1, 999_999)?;
                let service = args::optional(context, "service")?;
                let service = service.map(|s| qualified(&s, "file")).transpose()?;
                json!({ "priority": priority, "service": service })
            }
            _ => {
                let wrong = || {
                    VerbError::new("the argument weights must be services and weights, such as eu@file=90,us@file=10")
                };
                let pairs = args::list(context, "weights")?;
                let mut services = Vec::new();
                for one in &pairs {
                    let (name, weight) = one.split_once('=').ok_or_else(wrong)?;
                    let weight: u32 = weight.trim().parse().map_err(|_| wrong())?;
                    services.push(json!({ "name": qualified(name.trim(), "file")?, "weight": weight }));
                }
                if services.iter().all(|s| s["weight"] == 0) {
                    return Err(wrong());
                }
                json!({ "weighted": { "services": services } })
            }
        }))
    }

    /// The path and the digest of what has to stand there, when the request is one of ours.
    fn checked(&self, request: &Request) -> Result<(PathBuf, Option<String>, String), Failure> {
        let foreign = || crate::act::foreign(request);
        let Operation::File { path, content } = &request.operation else { return Err(foreign()) };
        let path = PathBuf::from(path);
        let dir = self.config(&request.target.source).and_then(|c| c.dynamic_dir.as_deref());
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        let ours = name.strip_prefix(PREFIX).and_then(|n| n.strip_suffix(".yml")).is_some_and(is_tenant);
        if request.verb != self.spec.name || dir.is_none() || path.parent() != dir || !ours {
            return Err(foreign());
        }
        let before = request.target.object.rsplit(' ').next().unwrap_or_default().to_owned();
        Ok((path, content.clone(), before))
    }
}

impl Verb for Limit {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let tenant = asked.estate.tenant(&TenantId::new(asked.args.get("tenant")?.as_str()?))?;
        let router = tenant.router.clone()?;
        let config = self.config(&router.ingress)?.clone();
        let path = config.dynamic_dir.as_ref()?.join(format!("{PREFIX}{}.yml", tenant.id));
        Some(Box::pin(async move {
            let file = blocking(move || read(&path)).await??;
            let api = config.api.ok_or_else(|| {
                local(format!("[[traefik]] {} has no `api`, from which the tenant's route is read", config.id))
            })?;
            let url = format!("{}/api/http/routers/{}", api.trim_end_matches('/'), router.name);
            let trust = Trust::of(&config.ca, [url.as_str()]);
            let http = blocking(move || Http::new(&trust)).await??;
            let ask = Ask { url: &url, host: None, accept: "application/json", limit: 1 << 20, timeout: ALLOWED };
            let text = http.get(&ask).await?.into_text(&url)?;
            let router: Value = serde_json::from_str(&text)
                .map_err(|e| Failure::new(FailureKind::Protocol, format!("{url} answered no JSON: {e}")))?;
            Ok(json!({ "file": file, "router": router }))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let (tenant, router) = tenant_router(context)?;
        let (id, host) = (tenant.id.as_str(), router.host.as_str());
        if !is_tenant(id) || !is_host(host) {
            return Err(VerbError::new(format!(
                "tenant {} or host {} can not be written there",
                sanitize(id),
                sanitize(host)
            )));
        }
        let config = self.config(&router.ingress);
        let config =
            config.ok_or_else(|| VerbError::new(format!("there is no [[traefik]] with the id {}", router.ingress)))?;
        let dir = config.dynamic_dir.as_ref().ok_or_else(|| {
            VerbError::new(format!("[[traefik]] {} has no dynamic_dir, so nothing can be set there", config.id))
        })?;
        let path = dir.join(format!("{PREFIX}{id}.yml"));
        let path = path.to_str().ok_or_else(|| VerbError::new("the dynamic_dir is no UTF-8 path"))?.to_owned();
        let setting = self.setting(context)?;
        let found = context.surveyed.ok_or_else(|| VerbError::new("the tenant's route has not been read"))?;
        let before = found.get("file").and_then(Value::as_str);
        let mut all = settings(before);
        let key = self.key();
        let (hurts, undo);
        match setting {
            Some(setting) => {
                if all.get(key) == Some(&setting) {
                    return Err(VerbError::new(format!("{key} of {id} is set so already")));
                }
                hurts = match key {
                    "rate_limit" | "in_flight_limit" => format!("who asks {host} beyond the limit gets 429"),
                    "circuit_breaker" => {
                        format!("while it is open everyone who asks {host} gets 503 for 10 s at a time")
                    }
                    _ => format!("requests for {host} go where this says from now on"),
                };
                let now = all.insert(key.to_owned(), setting);
                undo = match now {
                    Some(old) => format!("the same with the values of before: {old}"),
                    None => format!("{} with lift = true", self.spec.name),
                };
            }
            None => {
                let old = all.remove(key);
                let old = old.ok_or_else(|| VerbError::new(format!("there is no {key} of {id} to lift")))?;
                hurts = format!("nobody; {host} is served as before");
                undo = format!("{} with the values of before: {old}", self.spec.name);
            }
        }
        let route = found.get("router").cloned().unwrap_or_default();
        let text = if all.is_empty() { None } else { Some(content(id, host, &all, &route)?) };
        let by_hand = match &text {
            Some(text) => format!("install -m 0644 /dev/stdin {} <<'END'\n{text}END", shell(&path)),
            None => format!("rm {}", shell(&path)),
        };
        Ok(Request {
            verb: self.spec.name.to_owned(),
            target: Target {
                source: config.id.clone(),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("{key} of host {host}; the file now: {}", stands(before)),
                tenants: vec![tenant.id.clone()],
                count: 1,
            },
            operation: Operation::File { path, content: text },
            server_checks: vec![
                "only if the file is still the one that was read".to_owned(),
                "written aside, synced and renamed, so that Traefik never sees half of it".to_owned(),
            ],
            hurts,
            undo,
            by_hand,
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (path, content, before) = self.checked(request)?;
            let shown = path.display().to_string();
            let now = blocking(move || read(&path)).await??;
            if now == content {
                return Ok(format!("{shown} says so already: no change"));
            }
            if stands(now.as_deref()) != before {
                return Err(local(format!("{shown} is another than was shown: look again")));
            }
            Ok(match content {
                Some(new) => format!("would write {shown} ({} bytes)", new.len()),
                None => format!("would remove {shown}"),
            })
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (path, content, before) = match self.checked(permit.request()) {
                Ok(checked) => checked,
                Err(why) => return Outcome::Failed { why },
            };
            let shown = path.display().to_string();
            let work = blocking(move || {
                let now = read(&path)?;
                if now == content {
                    return Ok(false);
                }
                if stands(now.as_deref()) != before {
                    let why = format!("{} is another than was shown: nothing was done, look again", path.display());
                    return Err(local(why).into());
                }
                // Traefik often runs as another user.
                place::put(&path, content.as_deref(), 0o644)?;
                Ok::<_, Broken>(true)
            });
            match tokio::time::timeout(permit.timeout(), work).await {
                Ok(Ok(Ok(changed))) => Outcome::Done {
                    result: json!({ "changed": changed, "path": shown }),
                    summary: if changed { format!("wrote {shown}") } else { format!("{shown} said so already") },
                },
                Ok(Ok(Err(broken))) => broken.into(),
                Ok(Err(why)) => Outcome::Unknown { why },
                Err(_) => {
                    let why = format!("the file system of {shown} did not answer in time");
                    Outcome::Unknown { why: Failure::new(FailureKind::Timeout, why) }
                }
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let (path, content, before) = match self.checked(request) {
                Ok(checked) => checked,
                Err(why) => return Reconciled::Undecided { why: why.message },
            };
            let shown = path.display().to_string();
            match blocking(move || read(&path)).await {
                Ok(Ok(now)) if now == content => Reconciled::TookEffect { seen: format!("{shown} says so") },
                Ok(Ok(now)) if stands(now.as_deref()) == before => {
                    Reconciled::NoEffect { seen: format!("{shown} is as it was before") }
                }
                Ok(Ok(_)) => Reconciled::Undecided { why: format!("{shown} says something else again") },
                Ok(Err(why)) | Err(why) => Reconciled::Undecided { why: why.message },
            }
        })
    }
}
