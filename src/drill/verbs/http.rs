//! `http.probe` on the simulated tenants.

use super::arguments::{gone, optional, target_tenant, tenant};
use super::{Action, specs};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request, Target};
use crate::domain::sample::{Failure, FailureKind};
use crate::drill::model::Simulation;
use crate::drill::model::jobs::whole_number;
use serde_json::json;
use std::collections::BTreeMap;

/// Asks once.
pub(super) struct Probe;

impl Action for Probe {
    fn name(&self) -> &'static str {
        specs::PROBE.name
    }

    fn render(&self, context: &RenderContext<'_>, _: &Simulation) -> Result<Request, VerbError> {
        if optional(context, "url")?.is_some() {
            return Err(VerbError::new("a drill knows no URL outside of its estate: name a tenant"));
        }
        let tenant = tenant(context)?;
        let router = tenant.router.as_ref();
        let router = router.ok_or_else(|| VerbError::new(format!("tenant {} has no router", tenant.id)))?;
        let path = optional(context, "path")?.unwrap_or_else(|| "/".into());
        if !path.starts_with('/') || path.starts_with("//") || path.chars().any(|c| c.is_control() || c == '\\') {
            return Err(VerbError::new(format!("{path} is no path that begins with /")));
        }
        let url = format!("http://{}.edge.example{path}", router.ingress);
        Ok(Request {
            verb: specs::PROBE.name.into(),
            target: Target {
                source: router.ingress.clone(),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("host {} at {}", router.host, router.ingress),
                tenants: vec![tenant.id.clone()],
                count: 1,
            },
            by_hand: format!("curl -sSi -H 'Host: {}' '{url}'", router.host),
            operation: Operation::Http {
                method: "GET".into(),
                path: url,
                headers: BTreeMap::from([("Host".into(), router.host.clone())]),
                body: String::new(),
            },
            server_checks: Vec::new(),
            hurts: "nobody; it is one request more".into(),
            undo: "there is nothing to take back".into(),
        })
    }

    fn dry_run(&self, request: &Request, _: &Simulation) -> Result<String, Failure> {
        Ok(format!("would ask once: {}", request.by_hand))
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        let tick = sim.elapsed_s();
        let found = target_tenant(request).and_then(|id| sim.tenant_mut(id).ok_or_else(|| gone(id)));
        let tenant = match found {
            Ok(tenant) => tenant,
            Err(why) => return Outcome::Failed { why },
        };
        if tenant.certificate.not_after <= tick {
            let message = "the certificate has expired: the handshake was broken off";
            return Outcome::Failed { why: Failure::new(FailureKind::Tls, message) };
        }
        let (status, seconds, body) = if tenant.maintenance {
            (503, 0.004, "<!doctype html><title>Maintenance</title><h1>We are back soon</h1>")
        } else if tenant.rng.f64() < tenant.traffic.share_5xx {
            (502, tenant.traffic.p95_s, "Bad Gateway")
        } else {
            let slow = tenant.traffic.p50_s * (0.6 + 0.8 * tenant.rng.f64());
            (200, slow, "<!DOCTYPE html><html><head><title>Odoo</title>")
        };
        let latency = whole_number((seconds * 1000.0).round());
        Outcome::Done {
            result: json!({ "status": status, "latency_ms": latency, "body_start": body }),
            summary: format!("{status} in {latency} ms"),
        }
    }

    fn reconcile(&self, _: &Request, _: &Simulation) -> Reconciled {
        Reconciled::NoEffect { seen: "a probe changes nothing".into() }
    }
}
