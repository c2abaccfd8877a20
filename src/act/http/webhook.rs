//! `http.webhook`: posts JSON to a configured web hook. Which URLs there are is configuration, so that no playbook can
//! send anything anywhere else.

use crate::act::args::{self, shell};
use crate::act::call::{self, Secrets};
use crate::config::model::{Hook, Place};
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::mode::MayAct;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, Target, VerbSpec};
use crate::domain::risk::{BlastRadius, Reversible, Risk};
use crate::domain::sample::Failure;
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What it declares.
pub static SPEC: VerbSpec = VerbSpec {
    name: "http.webhook",
    what: "posts JSON to a configured web hook",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Tenant,
    reversible: Reversible::Compensatable,
    idempotent: false,
    read_only: false,
    args: &[
        ArgSpec { name: "webhook", required: true, what: "id of a [[webhook]]" },
        ArgSpec {
            name: "body",
            required: false,
            what: "what is sent: an object, or a text that is JSON; {} by default",
        },
    ],
};

/// The verb.
pub struct Webhook(Vec<Hook>);

impl Webhook {
    /// For the configured hooks.
    pub fn new(_: MayAct, hooks: &[Hook]) -> Self {
        Self(hooks.to_vec())
    }

    fn secrets(&self, request: &Request) -> Result<Secrets, Failure> {
        let Operation::Http { path, method, .. } = &request.operation else {
            return Err(super::super::foreign(request));
        };
        let source = request.target.source.as_str();
        let hook = self.0.iter().find(|h| source.strip_prefix("webhook-") == Some(&h.id) && h.url.shown() == path);
        let hook = hook.filter(|_| request.verb == SPEC.name && method == "POST");
        let hook = hook.ok_or_else(|| super::super::foreign(request))?;
        Ok(Secrets {
            url: match &hook.url {
                Place::Url(_) => None,
                Place::Secret { at, .. } => Some(at.clone()),
            },
            authorization: hook.token.clone().map(|token| ("Bearer", token)),
            ca: hook.ca.clone(),
            ..Secrets::default()
        })
    }
}

fn body(context: &RenderContext<'_>) -> Result<Value, VerbError> {
    match context.args.get("body") {
        None | Some(Value::Null) => Ok(json!({})),
        Some(Value::String(text)) => serde_json::from_str(text)
            .map_err(|e| VerbError::new(format!("the argument body is a text that is no JSON: {e}"))),
        Some(value) => Ok(value.clone()),
    }
}

impl Verb for Webhook {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let id = args::required(context, "webhook")?;
        let hook = self.0.iter().find(|h| h.id == id).ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|h| h.id.as_str()).collect();
            let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
            VerbError::new(format!("there is no [[webhook]] {}; known: {known}", sanitize(&id)))
        })?;
        let body = body(context)?;
        let key = args::name_of(&format!("{id}\n{body}"));
        let headers = BTreeMap::from([
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Idempotency-Key".to_owned(), key),
        ]);
        let url = match &hook.url {
            Place::Url(url) => shell(url),
            Place::Secret { shown, .. } => format!("<the URL in {shown}>"),
        };
        let token = if hook.token.is_some() { " -H 'Authorization: Bearer <token>'" } else { "" };
        let by_hand =
            format!("curl -sS -H 'Content-Type: application/json'{token} -d {} {url}", shell(&body.to_string()));
        Ok(Request {
            verb: SPEC.name.to_owned(),
            target: Target {
                source: SourceId::new(format!("webhook-{id}")),
                identity: String::new(),
                environment: context.estate.environment,
                object: format!("web hook {id}"),
                tenants: Vec::new(),
                count: 1,
            },
            operation: Operation::Http {
                method: "POST".to_owned(),
                path: hook.url.shown().to_owned(),
                headers,
                body: format!("{body:#}"),
            },
            server_checks: Vec::new(),
            hurts: "whatever stands behind the web hook acts on it".to_owned(),
            undo: "Only by whatever the web hook's owner offers for it.".to_owned(),
            by_hand,
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { call::foresee(request, &self.secrets(request)?).await })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match self.secrets(permit.request()) {
                Ok(secrets) => call::send(permit.request(), &secrets, permit.timeout()).await,
                Err(why) => Outcome::Failed { why },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        let why = format!("whether the {} acted can only be seen behind it", request.target.object);
        Box::pin(async { Reconciled::Undecided { why } })
    }
}
