//! What all verbs that change something by one SQL statement have in common. Each statement answers rows of one
//! column, `found`, in JSON; so do the questions by which a verb looks before and after.

use super::run::{self, Server};
use super::{Instances, after};
use crate::act::DynVerb;
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Survey, Verb, VerbError};
use crate::domain::request::{Operation, Request, Target, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::postgres::failure;
use crate::policy::authorized::Authorized;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Row;

/// For surveys, dry runs and for looking after an unknown outcome.
pub const ALLOWED: Duration = Duration::from_secs(5);

/// What is asked of a server before rendering.
#[derive(Debug)]
pub struct Question {
    /// The instance.
    pub instance: SourceId,
    /// Database; that of the instance when `None`.
    pub database: Option<String>,
    /// Statement with the column `found`.
    pub statement: String,
    /// Parameters, as text.
    pub parameters: Vec<String>,
}

/// One such verb.
pub trait Change: Send + Sync + 'static {
    /// What it declares.
    fn spec(&self) -> &'static VerbSpec;

    /// Where it can act.
    fn instances(&self) -> &Arc<Instances>;

    /// What it has to read before it can render.
    fn survey(&self, _asked: &Survey) -> Option<Result<Question, VerbError>> {
        None
    }

    /// Renders.
    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError>;

    /// On which server it may run.
    fn server(&self) -> Server {
        Server::Primary
    }

    /// What tells, before and after, how things are: a statement and its parameters.
    fn question(&self, request: &Request) -> (String, Vec<String>);

    /// What it would do, from the answer to that; an error where it would fail.
    fn would(&self, request: &Request, found: &[Value]) -> Result<String, Failure>;

    /// What was done, from what the statement itself answered.
    fn done(&self, request: &Request, found: &[Value]) -> Outcome;

    /// Whether it had its effect, from the answer to the question.
    fn seen(&self, request: &Request, found: &[Value]) -> Reconciled;
}

/// A change as a verb.
#[derive(Debug)]
pub struct Changing<C>(pub C);

impl<C: Change> Changing<C> {
    /// As the engine holds it.
    pub fn shared(change: C) -> Arc<DynVerb> {
        Arc::new(Self(change))
    }

    async fn found(&self, request: &Request) -> Result<Vec<Value>, Failure> {
        let link = self.0.instances().reach(&request.target.source)?.act()?;
        let rows = run::ask_with(link, request, self.0.question(request), ALLOWED).await;
        let rows = rows.map_err(|why| self.with_grants(link.user(), why))?;
        read(&rows).map_err(|e| failure::classify(link.address(), &e))
    }

    /// A refusal for want of a right says which.
    fn with_grants(&self, user: &str, why: Failure) -> Failure {
        if why.kind != FailureKind::Permission || why.message.contains("GRANT ") {
            return why;
        }
        let needs = crate::act::grants::statements(self.0.spec().name, user);
        Failure::new(why.kind, format!("{}; it needs: {needs}", why.message))
    }
}

/// The column `found` of all rows.
fn read(rows: &[Row]) -> Result<Vec<Value>, tokio_postgres::Error> {
    rows.iter().map(|row| row.try_get("found")).collect()
}

/// What a survey answered: the rows as an array.
pub fn rows<'a>(context: &RenderContext<'a>) -> Result<&'a [Value], VerbError> {
    let rows = context.surveyed.and_then(Value::as_array);
    rows.map(Vec::as_slice).ok_or_else(|| VerbError::new("what this stands on has not been read"))
}

/// The only row of a survey; an error with `none` where there is none.
pub fn row<'a>(context: &RenderContext<'a>, none: impl FnOnce() -> String) -> Result<&'a Value, VerbError> {
    rows(context)?.first().ok_or_else(|| VerbError::new(none()))
}

/// A whole number of an answer.
pub fn number(found: &Value, name: &str) -> i64 {
    found.get(name).and_then(Value::as_i64).unwrap_or_default()
}

/// A text of an answer, sanitised.
pub fn text(found: &Value, name: &str) -> String {
    found.get(name).and_then(Value::as_str).map(crate::domain::text::sanitize).unwrap_or_default()
}

/// A change that the server found no longer possible as it was shown; nothing was done.
pub fn moved(why: impl AsRef<str>) -> Outcome {
    let why = format!("{}: nothing was done, look again", why.as_ref());
    Outcome::Failed { why: Failure::new(FailureKind::Local, why) }
}

/// An answer that is none of this statement.
pub fn unclear(request: &Request) -> Outcome {
    let why = format!("{}: the server's answer is not the one of this statement", request.verb);
    Outcome::Unknown { why: Failure::new(FailureKind::Protocol, why) }
}

/// What a request is about, for [`request`].
pub struct About {
    /// The object, one line.
    pub object: String,
    /// `system_identifier` of the server.
    pub identity: String,
    /// Number of objects.
    pub count: u64,
    /// Tenants in the blast radius.
    pub tenants: Vec<crate::domain::id::TenantId>,
    /// What the server checks.
    pub server_checks: Vec<String>,
    /// Whom it hurts.
    pub hurts: String,
    /// How it is taken back.
    pub undo: String,
}

/// The request around a statement on an instance.
pub fn request(
    context: &RenderContext<'_>,
    verb: &VerbSpec,
    instance: &super::Instance,
    operation: Operation,
    about: About,
) -> Result<Request, VerbError> {
    let by_hand = super::typed::by_hand(&instance.config, instance.actor()?, &operation);
    Ok(Request {
        verb: verb.name.to_owned(),
        target: Target {
            source: instance.config.id.clone(),
            identity: about.identity,
            environment: context.estate.environment,
            object: about.object,
            tenants: about.tenants,
            count: about.count,
        },
        operation,
        server_checks: about.server_checks,
        hurts: about.hurts,
        undo: about.undo,
        by_hand,
    })
}

impl<C: Change> Verb for Changing<C> {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.0.spec()
    }

    fn survey(&self, asked: &Survey) -> Option<BoxFuture<'static, Result<Value, Failure>>> {
        let question = self.0.survey(asked)?;
        let instances = Arc::clone(self.0.instances());
        Some(Box::pin(async move {
            let asked = question.map_err(|e| Failure::new(FailureKind::Local, e.message))?;
            let instance = instances.reach(&asked.instance)?;
            // What is read before is what is looked at afterwards: by the same login, which has the rights for it.
            let link = instance.act().unwrap_or(&instance.observe);
            let database = asked.database.as_deref().unwrap_or(&instance.config.database);
            let rows = run::read(link, database, &asked.statement, &asked.parameters, ALLOWED).await?;
            read(&rows).map(Value::Array).map_err(|e| failure::classify(link.address(), &e))
        }))
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        self.0.render(context)
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move { self.0.would(request, &self.found(request).await?) })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let request = permit.request();
            if request.verb != self.0.spec().name {
                return Outcome::Failed { why: crate::act::foreign(request) };
            }
            let link = match self.0.instances().reach(&request.target.source).and_then(super::Instance::act) {
                Ok(link) => link,
                Err(why) => return Outcome::Failed { why },
            };
            let done = |rows: &[Row]| match read(rows) {
                Ok(found) => self.0.done(request, &found),
                Err(e) => Outcome::Unknown { why: run::unreadable(request, &e) },
            };
            match run::change_on(self.0.server(), link, request, permit.timeout(), done).await {
                Outcome::Failed { why } => Outcome::Failed { why: self.with_grants(link.user(), why) },
                other => other,
            }
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let look = || async {
                match self.found(request).await {
                    Ok(found) => self.0.seen(request, &found),
                    Err(why) => Reconciled::Undecided { why: why.message },
                }
            };
            let instance = self.0.instances().reach(&request.target.source);
            after::look(instance.and_then(super::Instance::act), request, look).await
        })
    }
}
