//! `comms.webhook`: a message as JSON to a chat, a status page or a service desk, in the form that it takes.

use super::bodies::{self, ROUTING_KEY, Said};
use super::{AUDIENCE, Message, SUBJECT, TEXT};
use crate::act::args::shell;
use crate::act::call::{self, Secrets};
use crate::config::model::{Audience, Comms, Place, WebhookBody};
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::sample::Failure;
use crate::policy::authorized::Authorized;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it declares.
pub(super) static SPEC: VerbSpec =
    super::spec("comms.webhook", "posts a message to the web hook of an audience", &[AUDIENCE, SUBJECT, TEXT], false);

/// The verb.
pub(super) struct WebHook(pub(super) Arc<Comms>);

/// The request to the web hook of an audience, with references where its secrets go; nothing where it has none.
pub(super) fn operation(audience: &Audience, said: &Said<'_>) -> Option<Operation> {
    let place = audience.webhook.as_ref()?;
    let key_shown = audience.key.as_ref().map_or("", |(_, shown)| shown);
    let mut headers = BTreeMap::from([
        ("Content-Type".to_owned(), "application/json".to_owned()),
        ("Idempotency-Key".to_owned(), said.key.to_owned()),
    ]);
    if audience.body == WebhookBody::Opsgenie {
        headers.insert("Authorization".to_owned(), format!("GenieKey {key_shown}"));
    }
    let body = bodies::body(audience.body, said, key_shown);
    Some(Operation::Http {
        method: "POST".to_owned(),
        path: place.shown().to_owned(),
        headers,
        body: format!("{body:#}"),
    })
}

/// The secrets of the web hook of an audience.
pub(super) fn secrets(audience: &Audience) -> Secrets {
    let url = match &audience.webhook {
        Some(Place::Secret { at, .. }) => Some(at.clone()),
        _ => None,
    };
    let key = audience.key.as_ref().map(|(key, _)| key.clone());
    match audience.body {
        WebhookBody::Pagerduty => Secrets { url, member: key.map(|k| (ROUTING_KEY, k)), ..Secrets::default() },
        WebhookBody::Opsgenie => Secrets { url, authorization: key.map(|k| ("GenieKey", k)), ..Secrets::default() },
        WebhookBody::Generic | WebhookBody::Slack | WebhookBody::Teams => Secrets { url, ..Secrets::default() },
    }
}

impl WebHook {
    /// The hook that a request was rendered for.
    fn secrets(&self, request: &Request) -> Result<Secrets, Failure> {
        let Operation::Http { path, headers, body, .. } = &request.operation else {
            return Err(super::super::foreign(request));
        };
        let key_in = |audience: &Audience| match (&audience.key, audience.body) {
            (Some((_, shown)), WebhookBody::Pagerduty) => serde_json::from_str::<Value>(body)
                .is_ok_and(|body| body.get(ROUTING_KEY).and_then(Value::as_str) == Some(shown.as_str())),
            (Some((_, shown)), _) => headers.get("Authorization").is_some_and(|h| h.ends_with(shown)),
            (None, _) => true,
        };
        let meant = |a: &&Audience| a.webhook.as_ref().is_some_and(|p| p.shown() == path) && key_in(a);
        let found = self.0.audiences.iter().find(meant).filter(|_| request.verb == SPEC.name);
        found.map(secrets).ok_or_else(|| super::super::foreign(request))
    }
}

impl Verb for WebHook {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let message = Message::new(context, &self.0)?;
        let key = message.key();
        let said = message.said(context, &key, "critical");
        let operation = operation(message.audience, &said).ok_or_else(|| message.no_way("webhook"))?;
        let url = match &message.audience.webhook {
            Some(Place::Secret { shown, .. }) => format!("<the URL in {shown}>"),
            Some(Place::Url(url)) => shell(url),
            None => return Err(message.no_way("webhook")),
        };
        let Operation::Http { headers, body, .. } = &operation else { return Err(message.no_way("webhook")) };
        let compact = serde_json::from_str::<Value>(body).map_or_else(|_| body.clone(), |b| b.to_string());
        let authorization =
            headers.get("Authorization").map(|h| format!(" -H {}", shell(&format!("Authorization: {h}"))));
        let by_hand = format!(
            "curl -sS -H 'Content-Type: application/json'{} -d {} {url}",
            authorization.unwrap_or_default(),
            shell(&compact)
        );
        let object = format!("web hook of the audience {}", message.audience.name);
        Ok(super::request(context, &SPEC, object, 1, operation, by_hand, Vec::new()))
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
        let why = format!("whether the {} took the message can only be seen there", request.target.object);
        Box::pin(async { Reconciled::Undecided { why } })
    }
}
