//! What all verbs that only look have in common: asking once is both the dry run and the run.

use super::DynVerb;
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, RenderContext, Verb, VerbError};
use crate::domain::request::{Request, VerbSpec};
use crate::domain::sample::Failure;
use crate::policy::authorized::Authorized;
use serde_json::Value;
use std::sync::Arc;

/// What a look answers: the result for expressions, and one line for people.
pub type Answer = Result<(Value, String), Failure>;

/// A verb that changes nothing.
pub trait Look: Send + Sync + 'static {
    /// What it declares; `read_only`.
    fn spec(&self) -> &'static VerbSpec;

    /// Renders what is asked.
    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError>;

    /// Asks.
    fn ask<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Answer>;
}

/// A look as a verb.
#[derive(Debug)]
pub struct Looking<L>(pub L);

impl<L: Look> Looking<L> {
    /// As the engine holds it.
    pub fn shared(look: L) -> Arc<DynVerb> {
        Arc::new(Self(look))
    }
}

impl<L: Look> Verb for Looking<L> {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.0.spec()
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        self.0.render(context)
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { self.0.ask(request).await.map(|(_, summary)| summary) })
    }

    fn look<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.0.ask(request).await {
                Ok((result, summary)) => Outcome::Done { result, summary },
                Err(why) => Outcome::Failed { why },
            }
        })
    }
}
