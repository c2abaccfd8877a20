//! A simulated verb told by a few functions: what it is aimed at, what it does to the model, and whether that stands.
//! Rendering, the check that the target is still the one that was shown, the dry run and reconciling are the same
//! for all of them.

use super::Action;
use super::given::Given;
use crate::domain::estate::Environment;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::ports::{Outcome, Reconciled, RenderContext, VerbError};
use crate::domain::request::{Operation, Request, Target};
use crate::domain::sample::{Failure, FailureKind};
use crate::drill::model::Simulation;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Begins the last line of a simulated request: its arguments, and the state that it was shown with.
const TRAILER: &str = "-- simulated: ";

/// What a verb is aimed at, and what it means.
#[derive(Debug)]
pub(super) struct Aim {
    /// Source of the system.
    pub source: SourceId,
    /// What the system calls itself.
    pub identity: String,
    /// The object, one line.
    pub object: String,
    /// Tenants in the blast radius.
    pub tenants: Vec<TenantId>,
    /// Objects touched.
    pub count: u64,
    /// What the live verb would send.
    pub operation: Operation,
    /// State of the target that the server compares before it acts.
    pub bound: Value,
    /// Whom it hurts.
    pub hurts: String,
    /// How it is taken back.
    pub undo: String,
    /// The same by hand.
    pub by_hand: String,
}

impl Aim {
    /// A look at an object, or the beginning of an aim that says more.
    pub fn at(source: impl Into<SourceId>, object: impl Into<String>, operation: Operation) -> Self {
        Self {
            source: source.into(),
            identity: String::new(),
            object: object.into(),
            tenants: Vec::new(),
            count: 1,
            operation,
            bound: Value::Null,
            hurts: "nobody: it only looks".into(),
            undo: "there is nothing to take back".into(),
            by_hand: String::new(),
        }
    }

    /// Whom it touches.
    pub fn tenants(mut self, tenants: impl IntoIterator<Item = TenantId>) -> Self {
        self.tenants = tenants.into_iter().collect();
        self
    }

    /// What it means.
    pub fn means(mut self, hurts: impl Into<String>, undo: impl Into<String>) -> Self {
        (self.hurts, self.undo) = (hurts.into(), undo.into());
        self
    }

    /// The state that it is bound to.
    pub fn bound(mut self, state: Value) -> Self {
        self.bound = state;
        self
    }

    /// The command that does the same.
    pub fn by_hand(mut self, command: impl Into<String>) -> Self {
        self.by_hand = command.into();
        self
    }

    fn request(self, verb: &str, args: &BTreeMap<String, Value>, environment: Environment) -> Request {
        let mut lines = self.operation.lines();
        lines.push(format!("{TRAILER}{}", json!({ "args": args, "bound": self.bound })));
        let checks = match &self.bound {
            Value::Object(fields) => fields.iter().map(|(name, value)| format!("only if {name} = {value}")).collect(),
            _ => Vec::new(),
        };
        let by_hand = if self.by_hand.is_empty() { lines.first().cloned().unwrap_or_default() } else { self.by_hand };
        Request {
            verb: verb.into(),
            target: Target {
                source: self.source,
                identity: self.identity,
                environment,
                object: self.object,
                tenants: self.tenants,
                count: self.count,
            },
            operation: Operation::Simulated { statement: lines.join("\n") },
            server_checks: checks,
            hurts: self.hurts,
            undo: self.undo,
            by_hand,
        }
    }
}

/// What was done or seen: values for expressions, and one line for people.
pub(super) type Done = (Value, String);

/// Aims a verb.
type AimAt = fn(&Given<'_>, &Simulation) -> Result<Aim, VerbError>;

/// A verb that changes the model.
pub(super) struct Effect {
    /// `adapter.verb`.
    pub name: &'static str,
    /// Where it is aimed.
    pub aim: AimAt,
    /// What it does.
    pub act: fn(&Given<'_>, &mut Simulation) -> Result<Done, VerbError>,
    /// Whether what it does stands in the model, which is how an unknown outcome is told.
    pub stands: fn(&Given<'_>, &Simulation) -> bool,
}

/// A verb that looks at the model.
pub(super) struct Look {
    /// `adapter.verb`.
    pub name: &'static str,
    /// Where it is aimed.
    pub aim: AimAt,
    /// What it sees.
    pub tell: fn(&Given<'_>, &Simulation) -> Result<Done, VerbError>,
}

/// Arguments and bound state of a rendered request.
fn trailer(request: &Request) -> Result<(BTreeMap<String, Value>, Value), Failure> {
    let Operation::Simulated { statement } = &request.operation else {
        return Err(local("that is no request of the simulated estate"));
    };
    let line = statement.lines().next_back().and_then(|line| line.strip_prefix(TRAILER));
    let read = line.and_then(|text| serde_json::from_str::<Value>(text).ok());
    let Some(Value::Object(mut said)) = read else { return Err(local("the request does not say what it is about")) };
    let args = match said.remove("args") {
        Some(Value::Object(fields)) => fields.into_iter().collect(),
        _ => BTreeMap::new(),
    };
    Ok((args, said.remove("bound").unwrap_or_default()))
}

fn local(why: impl AsRef<str>) -> Failure {
    Failure::new(FailureKind::Local, why)
}

/// Renders, from the state of the model at this moment.
fn rendered(verb: &str, aim: AimAt, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
    let given = Given { args: context.args, estate: context.estate };
    Ok(aim(&given, sim)?.request(verb, context.args, context.estate.environment))
}

impl Effect {
    /// The arguments, when the target is still as it was shown.
    fn checked(&self, request: &Request, sim: &Simulation) -> Result<BTreeMap<String, Value>, Failure> {
        let (args, bound) = trailer(request)?;
        let given = Given { args: &args, estate: sim.estate() };
        let now = (self.aim)(&given, sim).map_err(|e| local(e.message))?;
        if now.bound == bound {
            return Ok(args);
        }
        let what = &request.target.object;
        Err(local(format!("{what} is not as it was shown: {bound} has become {}; nothing was done", now.bound)))
    }
}

impl Action for Effect {
    fn name(&self) -> &'static str {
        self.name
    }

    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
        rendered(self.name, self.aim, context, sim)
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        let args = self.checked(request, sim)?;
        // A copy of the estate takes it: what that says is what would happen.
        let mut copy = sim.clone();
        let given = Given { args: &args, estate: sim.estate() };
        let (_, summary) = (self.act)(&given, &mut copy).map_err(|e| local(e.message))?;
        Ok(format!("it would be taken: {summary}"))
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        let done = self.checked(request, sim).and_then(|args| {
            let estate = sim.estate().clone();
            (self.act)(&Given { args: &args, estate: &estate }, sim).map_err(|e| local(e.message))
        });
        match done {
            Ok((result, summary)) => Outcome::Done { result, summary },
            Err(why) => Outcome::Failed { why },
        }
    }

    fn reconcile(&self, request: &Request, sim: &Simulation) -> Reconciled {
        let args = match trailer(request) {
            Ok((args, _)) => args,
            Err(why) => return Reconciled::Undecided { why: why.message },
        };
        let object = &request.target.object;
        if (self.stands)(&Given { args: &args, estate: sim.estate() }, sim) {
            Reconciled::TookEffect { seen: format!("{object} is as the request wanted it") }
        } else {
            Reconciled::NoEffect { seen: format!("{object} is as it was") }
        }
    }
}

impl Action for Look {
    fn name(&self) -> &'static str {
        self.name
    }

    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError> {
        rendered(self.name, self.aim, context, sim)
    }

    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure> {
        let (args, _) = trailer(request)?;
        let given = Given { args: &args, estate: sim.estate() };
        (self.tell)(&given, sim).map(|(_, summary)| summary).map_err(|e| local(e.message))
    }

    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome {
        let told = trailer(request).and_then(|(args, _)| {
            (self.tell)(&Given { args: &args, estate: sim.estate() }, sim).map_err(|e| local(e.message))
        });
        match told {
            Ok((result, summary)) => Outcome::Done { result, summary },
            Err(why) => Outcome::Failed { why },
        }
    }

    fn reconcile(&self, _: &Request, _: &Simulation) -> Reconciled {
        Reconciled::NoEffect { seen: "a look changes nothing".into() }
    }
}

/// An HTTP request as the live verb would send it.
pub(super) fn http(method: &str, path: impl Into<String>, body: &Value) -> Operation {
    let body = if body.is_null() { String::new() } else { format!("{body:#}") };
    Operation::Http { method: method.into(), path: path.into(), headers: BTreeMap::new(), body }
}

/// A statement as the live verb would send it.
pub(super) fn sql(database: impl Into<String>, statement: impl Into<String>, parameters: Vec<String>) -> Operation {
    Operation::Sql { database: database.into(), statement: statement.into(), parameters }
}
