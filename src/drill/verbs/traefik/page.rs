//! `traefik.maintenance_on` and `traefik.maintenance_off` on the simulated ingresses.

use super::super::arguments::{gone, target_tenant, tenant};
use super::super::{Action, specs};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request, Target};
use crate::domain::sample::{Failure, FailureKind};
use crate::drill::model::Simulation;
use serde_json::{Value, json};
use std::net::IpAddr;

/// Where the simulated file provider watches.
const DIRECTORY: &str = "/etc/traefik/dynamic";

/// Sets the page or removes it.
pub(in crate::drill::verbs) struct Maintenance {
    pub on: bool,
}

/// The networks of `allow_from`: text with commas, or a list of texts.
fn networks(argument: Option<&Value>) -> Result<Vec<String>, VerbError> {
    let wrong = || VerbError::new("allow_from must be networks such as 10.1.0.0/16, as a list or with commas between");
    let words: Vec<&str> = match argument {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.split(',').map(str::trim).filter(|w| !w.is_empty()).collect(),
        Some(Value::Array(list)) => list.iter().map(|v| v.as_str().ok_or_else(wrong)).collect::<Result<_, _>>()?,
        Some(_) => return Err(wrong()),
    };
    let network = |word: &str| {
        let (address, bits) = word.split_once('/').unwrap_or((word, "32"));
        let fits = address
            .parse::<IpAddr>()
            .is_ok_and(|a| bits.parse::<u8>().is_ok_and(|bits| bits <= if a.is_ipv4() { 32 } else { 128 }));
        fits.then(|| word.to_owned()).ok_or_else(wrong)
    };
    words.into_iter().map(network).collect()
}

fn content(tenant: &str, host: &str, allowed: &[String]) -> String {
    let but = allowed.iter().map(|network| format!(" && !ClientIP(`{network}`)")).collect::<Vec<_>>().concat();
    let name = format!("quarterdeck-maintenance-{tenant}");
    let router = |name: &str, service: &str, tls: &str| {
        format!(
            "    \"{name}\":\n      rule: \"Host(`{host}`){but}\"\n      priority: 1000000\n      \
             service: \"{service}\"\n{tls}"
        )
    };
    format!(
        "# Quarterdeck: maintenance page of tenant {tenant}. traefik.maintenance_off removes it.\nhttp:\n  routers:\n{}{}  \
         services:\n    \"{name}\":\n      loadBalancer:\n        servers:\n          - url: \"http://maintenance.example\"\n",
        router(&name, &name, ""),
        router(&format!("quarterdeck-tls-maintenance-{tenant}"), &name, "      tls: {}\n"),
    )
}

impl Maintenance {
    fn stands(request: &Request, sim: &Simulation) -> Result<bool, Failure> {
        let id = target_tenant(request)?;
        sim.tenant(id).map(|t| t.maintenance).ok_or_else(|| gone(id))
    }
}

impl Action for Maintenance {
    fn name(&self) -> &'static str {
        if self.on { specs::MAINTENANCE_ON.name } else { specs::MAINTENANCE_OFF.name }
    }

    fn render(&self, context: &RenderContext<'_>, _: &Simulation) -> Result<Request, VerbError> {
        let tenant = tenant(context)?;
        let (id, router) = (&tenant.id, tenant.router.as_ref());
        let router = router.ok_or_else(|| VerbError::new(format!("tenant {id} has no router")))?;
        let host = &router.host;
        let path = format!("{DIRECTORY}/quarterdeck-maintenance-{id}.yml");
        let allowed = networks(context.args.get("allow_from"))?;
        let text = self.on.then(|| content(id.as_str(), host, &allowed));
        let but = if allowed.is_empty() { String::new() } else { format!(", except from {}", allowed.join(", ")) };
        let (server_checks, hurts, undo, by_hand) = match &text {
            Some(text) => (
                vec![
                    "only if no file of that name stands there, or the very same one".to_owned(),
                    "written aside, synced and renamed, so that Traefik never sees half of it".to_owned(),
                ],
                format!("everyone who opens {host} gets the maintenance page{but}; jobs and crons go on"),
                format!("traefik.maintenance_off removes the file; {host} answers again within seconds"),
                format!("install -m 0644 /dev/stdin '{path}' <<'END'\n{text}END"),
            ),
            None => (
                vec!["only if the file there is the maintenance page of this tenant".to_owned()],
                format!("nobody; {host} reaches {id} again, so {id} must be able to serve"),
                "traefik.maintenance_on sets the page again".to_owned(),
                format!("rm '{path}'"),
            ),
        };
        Ok(Request {
            verb: self.name().into(),
            target: Target {
                source: router.ingress.clone(),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("router {} for host {host}", router.name),
                tenants: vec![id.clone()],
                count: 1,
            },
            operation: Operation::File { path, content: text },
            server_checks,
            hurts,
            undo,
            by_hand,
        })
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        let stands = Self::stands(request, sim)?;
        Ok(match (self.on, stands) {
            (true, false) => "would write the file; nothing stands there now".into(),
            (true, true) => "the very same page stands there already; it would stay".into(),
            (false, true) => "would remove the page that stands there".into(),
            (false, false) => "no page stands there; nothing would be done".into(),
        })
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        let stood = match Self::stands(request, sim) {
            Ok(stood) => stood,
            Err(why) => return Outcome::Failed { why },
        };
        let (tick, on) = (sim.elapsed_s(), self.on);
        let id = request.target.tenants.first();
        let Some(tenant) = id.and_then(|id| sim.tenant_mut(id)) else {
            return Outcome::Failed { why: Failure::new(FailureKind::Local, "the request names no tenant") };
        };
        tenant.maintenance = on;
        if stood != on
            && let Some(edge) = sim.edges.get_mut(&request.target.source)
        {
            edge.reloaded = tick;
            edge.reloads += 1;
        }
        let summary = match (on, stood) {
            (true, false) => "wrote the maintenance page",
            (true, true) => "the very same page stood there already",
            (false, true) => "removed the maintenance page",
            (false, false) => "no page stood there",
        };
        Outcome::Done { result: json!({ "changed": stood != on }), summary: summary.into() }
    }

    fn reconcile(&self, request: &Request, sim: &Simulation) -> Reconciled {
        match Self::stands(request, sim) {
            Ok(stands) => {
                let seen =
                    if stands { "the maintenance page stands there" } else { "no maintenance page stands there" };
                if stands == self.on {
                    Reconciled::TookEffect { seen: seen.into() }
                } else {
                    Reconciled::NoEffect { seen: seen.into() }
                }
            }
            Err(why) => Reconciled::Undecided { why: why.message },
        }
    }
}
