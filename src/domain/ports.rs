//! What adapters implement: [`Observer`] for looking, [`Verb`] for acting, [`Clock`] for time.

use super::behalf::Behalf;
use super::estate::Estate;
use super::request::{Request, VerbSpec};
use super::sample::{Failure, FailureKind, Sample, SourceSpec};
use super::world::World;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// A boxed future, so that ports can be used as objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Where observers put samples; never blocks, newest wins.
pub type SampleSink = Arc<dyn Fn(Sample) + Send + Sync>;

/// Where time comes from: the wall, or the clock of a scenario.
pub trait Clock: Send + Sync + 'static {
    /// Now.
    fn now(&self) -> Timestamp;
    /// How many seconds of this clock pass in one real second; 1 on the wall.
    fn speed(&self) -> f64 {
        1.0
    }
}

/// Looks at one system until it is dropped.
pub trait Observer: Send + 'static {
    /// What it is.
    fn spec(&self) -> SourceSpec;
    /// All sources that its samples are of.
    fn specs(&self) -> Vec<SourceSpec> {
        vec![self.spec()]
    }
    /// Runs for ever; each success and each failure goes to the sink. Ends only by being aborted.
    fn run(self: Box<Self>, sink: SampleSink) -> BoxFuture<'static, ()>;
}

/// What a verb may look at when it renders.
#[derive(Debug)]
pub struct RenderContext<'a> {
    /// The declared estate.
    pub estate: &'a Estate,
    /// What is known now.
    pub world: &'a World,
    /// Now.
    pub now: Timestamp,
    /// Arguments after templating.
    pub args: &'a BTreeMap<String, serde_json::Value>,
    /// What [`Verb::survey`] read a moment ago for these arguments; `None` where it reads nothing.
    pub surveyed: Option<&'a serde_json::Value>,
}

/// What a verb is asked to read before it renders.
#[derive(Clone, Debug)]
pub struct Survey {
    /// The declared estate.
    pub estate: Arc<Estate>,
    /// Arguments after templating.
    pub args: BTreeMap<String, serde_json::Value>,
}

/// Why a verb can not render, or refused to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerbError {
    /// One sentence.
    pub message: String,
}

impl VerbError {
    /// Makes one from a sentence.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }
}

impl std::fmt::Display for VerbError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for VerbError {}

/// How an execution ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ended", rename_all = "lowercase")]
pub enum Outcome {
    /// The server said yes. `result` is what it answered, bound to `outputs` and `result` in expressions.
    Done {
        /// What the server answered.
        result: serde_json::Value,
        /// One line for people.
        summary: String,
    },
    /// The server said no, or a precondition did not hold; nothing was changed.
    Failed {
        /// Why.
        why: Failure,
    },
    /// The request may or may not have had its effect (timeout or lost connection after sending).
    Unknown {
        /// Why it is not known.
        why: Failure,
    },
}

/// What looking at the target said after an unknown outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "kebab-case")]
pub enum Reconciled {
    /// It had its effect.
    TookEffect {
        /// What was seen.
        seen: String,
    },
    /// It had none.
    NoEffect {
        /// What was seen.
        seen: String,
    },
    /// Looking can not tell; a person must decide.
    Undecided {
        /// Why.
        why: String,
    },
}

/// One verb of one adapter. `Permit` is what proves that policy allowed the request
/// (`policy::Authorized`); the port itself can not make one.
pub trait Verb: Send + Sync {
    /// The proof of authorization that executing consumes.
    type Permit;

    /// What it declares of itself.
    fn spec(&self) -> &'static VerbSpec;

    /// Reads the target from its server, for a verb whose target no observer watches; what it finds is given to
    /// [`Verb::render`]. `None` where everything is observed. Not asked for the looks of a verification.
    fn survey(&self, _asked: &Survey) -> Option<BoxFuture<'static, Result<serde_json::Value, Failure>>> {
        None
    }

    /// Renders exactly what would be sent, from arguments and fresh observations, without any I/O.
    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError>;

    /// Asks the server what the request would do, without doing it (server-side dry run, EXPLAIN, a count): in
    /// somebody's name where the server is asked in the names of people.
    fn dry_run<'a>(
        &'a self,
        request: &'a Request,
        behalf: Option<&'a Behalf>,
    ) -> BoxFuture<'a, Result<String, Failure>>;

    /// Runs a look (`spec().read_only`); an acting verb answers with a failure, which is what this says.
    fn look<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome> {
        let why = format!("{} changes something, it can not be used to look", request.verb);
        Box::pin(async move { Outcome::Failed { why: Failure::new(FailureKind::Local, why) } })
    }

    /// Sends the request of the permit, once. A verb that only looks has nothing to send, which is what this says.
    fn execute(&self, _permit: Self::Permit) -> BoxFuture<'_, Outcome> {
        let why = format!("{} only looks; there is nothing to execute", self.spec().name);
        Box::pin(async move { Outcome::Failed { why: Failure::new(FailureKind::Local, why) } })
    }

    /// Looks whether an execution with unknown outcome had its effect. A verb that only looks has none.
    fn reconcile<'a>(&'a self, _request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async { Reconciled::NoEffect { seen: "it only looks, and changes nothing".to_owned() } })
    }
}
