//! `comms.webhook`: a message as JSON to a chat or a status page. The member `text` is what Slack, Mattermost, Teams
//! workflows and Google Chat take; the others are for programs.

use super::{AUDIENCE, Message, SUBJECT, TEXT};
use crate::act::args::shell;
use crate::act::call::{self, Secrets};
use crate::config::model::{Comms, Place};
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::sample::Failure;
use crate::policy::authorized::Authorized;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What it declares.
pub(super) static SPEC: VerbSpec =
    super::spec("comms.webhook", "posts a message to the web hook of an audience", &[AUDIENCE, SUBJECT, TEXT], false);

/// The verb.
pub(super) struct WebHook(pub(super) Arc<Comms>);

impl WebHook {
    /// The hook that a request was rendered for.
    fn secrets(&self, request: &Request) -> Result<Secrets, Failure> {
        let Operation::Http { path, .. } = &request.operation else { return Err(super::super::foreign(request)) };
        let places = self.0.audiences.iter().filter_map(|a| a.webhook.as_ref());
        match places.into_iter().find(|p| p.shown() == path).filter(|_| request.verb == SPEC.name) {
            Some(Place::Url(_)) => Ok(Secrets::default()),
            Some(Place::Secret { at, .. }) => Ok(Secrets { url: Some(at.clone()), ..Secrets::default() }),
            None => Err(super::super::foreign(request)),
        }
    }
}

impl Verb for WebHook {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let message = Message::new(context, &self.0)?;
        let place = message.audience.webhook.as_ref().ok_or_else(|| message.no_way("webhook"))?;
        let whole = format!("{}\n{}", message.subject, message.text);
        let body = json!({
            "text": whole, "subject": message.subject, "message": message.text,
            "estate": context.estate.name, "environment": context.estate.environment,
        });
        let headers = BTreeMap::from([
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("Idempotency-Key".to_owned(), message.key()),
        ]);
        let url = match place {
            Place::Url(url) => shell(url),
            Place::Secret { shown, .. } => format!("<the URL in {shown}>"),
        };
        let by_hand = format!("curl -sS -H 'Content-Type: application/json' -d {} {url}", shell(&body.to_string()));
        let operation = Operation::Http {
            method: "POST".to_owned(),
            path: place.shown().to_owned(),
            headers,
            body: format!("{body:#}"),
        };
        let object = format!("web hook of the audience {}", message.audience.name);
        Ok(super::request(context, &SPEC, object, 1, operation, by_hand, Vec::new()))
    }

    fn dry_run<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Result<String, Failure>> {
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
        let why = format!("whether the {} took the message can only be seen there", request.target.object);
        Box::pin(async { Reconciled::Undecided { why } })
    }
}
