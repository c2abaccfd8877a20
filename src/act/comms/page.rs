//! `comms.page`: wakes people up through `PagerDuty` or Opsgenie. The event carries a key made of its content, by which
//! both services join a repeated event to the first: sending it again wakes nobody twice.

use super::bodies::{self, ROUTING_KEY, Said};
use super::{AUDIENCE, Message, SUBJECT, TEXT};
use crate::act::args::{self, shell};
use crate::act::call::{self, Secrets};
use crate::config::model::{Comms, Pager, PagerKind};
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{ArgSpec, Operation, Request, VerbSpec};
use crate::domain::sample::Failure;
use crate::policy::authorized::Authorized;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

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

/// The event, with the reference of the key where the key goes.
pub(super) fn operation(pager: &Pager, said: &Said<'_>) -> Operation {
    let mut headers = BTreeMap::from([("Content-Type".to_owned(), "application/json".to_owned())]);
    let body = match pager.kind {
        PagerKind::Pagerduty => bodies::pagerduty(said, &pager.key_shown),
        PagerKind::Opsgenie => {
            headers.insert("Authorization".to_owned(), format!("GenieKey {}", pager.key_shown));
            bodies::opsgenie(said)
        }
    };
    Operation::Http { method: "POST".to_owned(), path: pager.url.clone(), headers, body: format!("{body:#}") }
}

/// The secrets of a pager.
pub(super) fn secrets(pager: &Pager) -> Secrets {
    match pager.kind {
        PagerKind::Pagerduty => Secrets { member: Some((ROUTING_KEY, pager.key.clone())), ..Secrets::default() },
        PagerKind::Opsgenie => Secrets { authorization: Some(("GenieKey", pager.key.clone())), ..Secrets::default() },
    }
}

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
        let found = pagers.find(|p| &p.url == path && key_in(p)).filter(|_| request.verb == SPEC.name);
        found.map(secrets).ok_or_else(|| super::super::foreign(request))
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
        let key = message.key();
        let operation = operation(pager, &message.said(context, &key, severity));
        let Operation::Http { headers, body, .. } = &operation else { return Err(message.no_way("page")) };
        let compact = serde_json::from_str::<Value>(body).map_or_else(|_| body.clone(), |b| b.to_string());
        let authorization =
            headers.get("Authorization").map(|h| format!(" -H {}", shell(&format!("Authorization: {h}"))));
        let by_hand = format!(
            "curl -sS -H 'Content-Type: application/json'{} -d {} {}   # with the key in place of {}",
            authorization.unwrap_or_default(),
            shell(&compact),
            shell(&pager.url),
            pager.key_shown
        );
        let object = format!("people on call of the audience {}", message.audience.name);
        let checks = vec![format!("the key in {} takes the place of its name", pager.key_shown)];
        let mut request = super::request(context, &SPEC, object, 1, operation, by_hand, checks);
        "somebody may be woken up".clone_into(&mut request.hurts);
        Ok(request)
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { call::foresee(&super::unmarked(request), &self.secrets(request)?).await })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            match self.secrets(permit.request()) {
                Ok(secrets) => call::send(&super::unmarked(permit.request()), &secrets, permit.timeout()).await,
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
