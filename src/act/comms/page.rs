//! `comms.page`: wakes people up through `PagerDuty` or Opsgenie. The event carries a key made of its content, by which
//! both services join a repeated event to the first: sending it again wakes nobody twice.

use super::{AUDIENCE, Message, SUBJECT, TEXT};
use crate::act::args::{self, shell};
use crate::act::call::{self, Secrets};
use crate::config::model::{Comms, Pager, PagerKind};
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::sample::Failure;
use crate::policy::authorized::Authorized;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The member of a `PagerDuty` event that is a secret.
const ROUTING_KEY: &str = "routing_key";
/// Characters of `PagerDuty`'s `summary` and of Opsgenie's `message`.
const SUMMARY: [usize; 2] = [1024, 130];

/// What it declares.
pub(super) static SPEC: VerbSpec = super::spec(
    "comms.page",
    "pages the people on call of an audience",
    &[
        AUDIENCE,
        SUBJECT,
        TEXT,
        ArgSpec { name: "severity", required: false, what: "critical (by default), error, warning or info" },
    ],
    true,
);

/// The verb.
pub(super) struct Page(pub(super) Arc<Comms>);

impl Page {
    fn secrets(&self, request: &Request) -> Result<Secrets, Failure> {
        let Operation::Http { path, headers, body, .. } = &request.operation else {
            return Err(super::super::foreign(request));
        };
        let key_in = |pager: &Pager| match pager.kind {
            PagerKind::Pagerduty => serde_json::from_str::<Value>(body)
                .is_ok_and(|body| body.get(ROUTING_KEY).and_then(Value::as_str) == Some(pager.key_shown.as_str())),
            PagerKind::Opsgenie => headers.get("Authorization").is_some_and(|h| h.ends_with(&pager.key_shown)),
        };
        let mut pagers = self.0.audiences.iter().filter_map(|a| a.page.as_ref());
        match pagers.find(|p| &p.url == path && key_in(p)).filter(|_| request.verb == SPEC.name) {
            Some(pager) if pager.kind == PagerKind::Pagerduty => {
                Ok(Secrets { member: Some((ROUTING_KEY, pager.key.clone())), ..Secrets::default() })
            }
            Some(pager) => Ok(Secrets { authorization: Some(("GenieKey", pager.key.clone())), ..Secrets::default() }),
            None => Err(super::super::foreign(request)),
        }
    }
}

impl Verb for Page {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let message = Message::new(context, &self.0)?;
        let pager = message.audience.page.as_ref().ok_or_else(|| message.no_way("page"))?;
        let severity = args::word(context, "severity", &["critical", "error", "warning", "info"])?;
        let (key, estate) = (message.key(), &context.estate.name);
        let cut = |n: usize| message.subject.chars().take(n).collect::<String>();
        let mut headers = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
        let body = match pager.kind {
            PagerKind::Pagerduty => json!({
                ROUTING_KEY: pager.key_shown,
                "event_action": "trigger",
                "dedup_key": key,
                "payload": {
                    "summary": cut(SUMMARY[0]), "source": estate, "severity": severity,
                    "custom_details": { "text": message.text },
                },
            }),
            PagerKind::Opsgenie => {
                headers.insert("Authorization".to_owned(), format!("GenieKey {}", pager.key_shown));
                let priority = match severity {
                    "critical" => "P1",
                    "error" => "P2",
                    "warning" => "P3",
                    _ => "P5",
                };
                json!({
                    "message": cut(SUMMARY[1]), "alias": key, "description": message.text, "priority": priority,
                    "source": estate,
                })
            }
        };
        let authorization =
            headers.get("Authorization").map(|h| format!(" -H {}", shell(&format!("Authorization: {h}"))));
        let by_hand = format!(
            "curl -sS -H 'Content-Type: application/json'{} -d {} {}   # with the key in place of {}",
            authorization.unwrap_or_default(),
            shell(&body.to_string()),
            shell(&pager.url),
            pager.key_shown
        );
        let operation =
            Operation::Http { method: "POST".to_owned(), path: pager.url.clone(), headers, body: format!("{body:#}") };
        let object = format!("people on call of the audience {}", message.audience.name);
        let checks = vec![format!("the key in {} takes the place of its name", pager.key_shown)];
        let mut request = super::request(context, &SPEC, object, 1, operation, by_hand, checks);
        "somebody may be woken up".clone_into(&mut request.hurts);
        Ok(request)
    }

    fn dry_run<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { call::foresee(&unmarked(request), &self.secrets(request)?).await })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match self.secrets(permit.request()) {
                Ok(secrets) => call::send(&unmarked(permit.request()), &secrets, permit.timeout()).await,
                Err(why) => Outcome::Failed { why },
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        let why = format!(
            "whether the {} were paged can only be seen there; sent again it joins the first",
            request.target.object
        );
        Box::pin(async { Reconciled::Undecided { why } })
    }
}

/// Without the header that stands for the secret one.
fn unmarked(request: &Request) -> Request {
    let mut request = request.clone();
    if let Operation::Http { headers, .. } = &mut request.operation {
        headers.remove("Authorization");
    }
    request
}
