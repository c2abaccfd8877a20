//! A verb that only looks at objects. It needs no fresh facts: it is how to find out when there are none.

use super::args::Args;
use crate::act::kubernetes::call::Clusters;
use crate::act::kubernetes::target::tenants;
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, RenderContext, Verb, VerbError};
use crate::domain::request::{HttpCall, Operation, Request, Target, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::policy::authorized::Authorized;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a look tells: values for expressions, and one line for people.
pub(in crate::act) type Told = (Value, String);

/// What one look does beyond what all do alike.
pub(in crate::act) trait Look: Send + Sync + 'static {
    /// What it declares.
    fn spec(&self) -> &'static VerbSpec;
    /// The cluster that the arguments name.
    fn cluster(&self, args: Args<'_>) -> Result<SourceId, VerbError> {
        args.text("cluster").map(SourceId::new)
    }
    /// What it reads, path and query each; what it looks at in one line; the same by hand.
    fn reads(&self, args: Args<'_>) -> Result<(Vec<String>, String, String), VerbError>;
    /// What was read, in the same order; `None` where nothing is there.
    fn tell(&self, seen: &[Option<Value>]) -> Result<Told, String>;
}

/// A verb made of its look.
pub(in crate::act) struct Looking<L> {
    look: L,
    clusters: Arc<Clusters>,
}

impl<L: Look> Looking<L> {
    /// The verb, on these clusters.
    pub fn new(look: L, clusters: &Arc<Clusters>) -> Self {
        Self { look, clusters: Arc::clone(clusters) }
    }

    async fn told(&self, request: &Request) -> Result<Told, Failure> {
        let seen = self.clusters.look_at(request).await?;
        self.look.tell(&seen).map_err(|why| Failure::new(FailureKind::Protocol, sanitize(&why)))
    }
}

impl<L: Look> Verb for Looking<L> {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.look.spec()
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let args = Args(context.args);
        let source = self.look.cluster(args)?;
        self.clusters.configured(&source).map_err(|why| VerbError::new(why.message))?;
        let (paths, object, by_hand) = self.look.reads(args)?;
        let get = |path| HttpCall { method: "GET".into(), path, headers: BTreeMap::new(), body: String::new() };
        let namespace = args.opt_text("namespace").ok().flatten();
        Ok(Request {
            verb: self.spec().name.into(),
            target: Target {
                tenants: tenants(context.estate, &source, namespace),
                source,
                identity: String::new(),
                environment: context.estate.environment,
                object,
                count: 1,
            },
            operation: Operation::Calls { calls: paths.into_iter().map(get).collect() },
            server_checks: Vec::new(),
            hurts: "nobody: it only reads".into(),
            undo: "nothing to undo: it only reads".into(),
            by_hand,
        })
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { self.told(request).await.map(|(_, words)| sanitize(&words)) })
    }

    fn look<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match self.told(request).await {
                Ok((result, summary)) => Outcome::Done { result, summary: sanitize(&summary) },
                Err(why) => Outcome::Failed { why },
            }
        })
    }
}
