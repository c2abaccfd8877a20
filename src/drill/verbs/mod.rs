//! The simulated verbs: they render what the live ones would send, take effect on the simulated estate, and
//! answer in the same form. One file an adapter.

mod arguments;
mod backup;
mod cnpg;
mod comms;
mod continuity;
mod delivery;
mod effect;
mod given;
mod http;
mod kubernetes;
mod odoo;
mod patroni;
mod postgres;
mod redis;
mod specs;
mod traefik;

use super::model::Simulation;
use super::model::fault::Ending;
use super::observer::Shared;
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use effect::{Effect, Look};
use std::sync::Arc;

/// What one simulated verb does.
trait Action: Send + Sync {
    /// `adapter.verb`; the live verb of that name says what it declares.
    fn name(&self) -> &'static str;
    /// The request, its operation as the live verb would send it.
    fn render(&self, context: &RenderContext<'_>, sim: &Simulation) -> Result<Request, VerbError>;
    /// What a dry run says.
    fn dry_run(&self, request: &Request, sim: &Simulation) -> Result<String, Failure>;
    /// Does it, or looks.
    fn run(&self, request: &Request, sim: &mut Simulation) -> Outcome;
    /// Whether it had its effect.
    fn reconcile(&self, request: &Request, sim: &Simulation) -> Reconciled;
}

static ACTIONS: &[&dyn Action] = &[
    &postgres::BlockingTree,
    &postgres::Signal { terminates: false },
    &postgres::Signal { terminates: true },
    &odoo::QueueInspect,
    &odoo::RequeueJobs,
    &kubernetes::RolloutRestart,
    &kubernetes::RolloutStatus,
    &traefik::Maintenance { on: true },
    &traefik::Maintenance { on: false },
    &http::Probe,
];

/// Verbs that change the model, told by functions; one list a file of each adapter.
static EFFECTS: &[&[&[Effect]]] = &[
    &kubernetes::EFFECTS,
    &postgres::EFFECTS,
    &odoo::EFFECTS,
    &[
        redis::EFFECTS,
        traefik::EFFECTS,
        delivery::EFFECTS,
        cnpg::EFFECTS,
        patroni::EFFECTS,
        backup::EFFECTS,
        comms::EFFECTS,
        continuity::EFFECTS,
    ],
];

/// The same for verbs that look.
static LOOKS: &[&[&[Look]]] =
    &[&kubernetes::LOOKS, &postgres::LOOKS, &[redis::LOOKS, delivery::LOOKS, cnpg::LOOKS, backup::LOOKS]];

/// All of them, each with what the live verb of its name declares.
fn actions() -> impl Iterator<Item = (&'static dyn Action, &'static VerbSpec)> {
    let live = crate::act::catalog();
    let all = ACTIONS.iter().copied();
    let all = all.chain(EFFECTS.iter().copied().flatten().copied().flatten().map(|e| e as &dyn Action));
    let all = all.chain(LOOKS.iter().copied().flatten().copied().flatten().map(|l| l as &dyn Action));
    all.filter_map(move |action| Some((action, *live.iter().find(|spec| spec.name == action.name())?)))
}

/// What the simulated verbs declare.
pub(super) fn specs() -> impl Iterator<Item = &'static VerbSpec> {
    actions().map(|(_, spec)| spec)
}

/// The verbs of one drill.
pub(super) fn all(shared: &Arc<Shared>) -> Vec<Arc<dyn Verb<Permit = Authorized>>> {
    let verb = |(action, spec)| Arc::new(Simulated { action, spec, shared: Arc::clone(shared) });
    actions().map(|one| verb(one) as Arc<dyn Verb<Permit = Authorized>>).collect()
}

/// An action as a verb.
struct Simulated {
    action: &'static dyn Action,
    spec: &'static VerbSpec,
    shared: Arc<Shared>,
}

impl Simulated {
    fn checked<'a>(&self, request: &'a Request) -> Result<&'a Request, Failure> {
        let ours = request.verb == self.spec.name && matches!(request.operation, Operation::Simulated { .. });
        let why =
            || Failure::new(FailureKind::Local, format!("that is no request of the simulated {}", self.spec.name));
        ours.then_some(request).ok_or_else(why)
    }

    fn run(&self, request: &Request) -> Outcome {
        let request = match self.checked(request) {
            Ok(request) => request,
            Err(why) => return Outcome::Failed { why },
        };
        let mut exercise = self.shared.now();
        let sim = &mut exercise.sim;
        if let Err(why) = Self::reachable(request, sim) {
            return Outcome::Failed { why };
        }
        let lost = || Failure::new(FailureKind::Timeout, "the connection was lost after the request had been sent");
        match sim.refusal(&request.verb) {
            None => self.action.run(request, sim),
            Some(Ending::Failed) => {
                let why = format!("{} refused {}", request.target.source, request.verb);
                Outcome::Failed { why: Failure::new(FailureKind::Permission, why) }
            }
            Some(Ending::UnknownWithEffect) => match self.action.run(request, sim) {
                Outcome::Done { .. } => Outcome::Unknown { why: lost() },
                other => other,
            },
            Some(Ending::UnknownWithoutEffect) => Outcome::Unknown { why: lost() },
        }
    }

    /// A source that does not answer observers does not answer verbs either.
    fn reachable(request: &Request, sim: &Simulation) -> Result<(), Failure> {
        if sim.silences.contains_key(&request.target.source) {
            let why = format!("{} did not answer within 5 s", request.target.source);
            return Err(Failure::new(FailureKind::Timeout, why));
        }
        Ok(())
    }
}

impl Verb for Simulated {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        self.spec
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let exercise = self.shared.now();
        let mut request = self.action.render(context, &exercise.sim)?;
        let statement = request.operation.lines().join("\n");
        request.operation = Operation::Simulated { statement };
        Ok(request)
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let request = self.checked(request)?;
            let exercise = self.shared.now();
            Self::reachable(request, &exercise.sim)?;
            self.action.dry_run(request, &exercise.sim)
        })
    }

    fn look<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            if self.spec.read_only {
                return self.run(request);
            }
            let why = format!("{} changes something, it can not be used to look", request.verb);
            Outcome::Failed { why: Failure::new(FailureKind::Local, why) }
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move { self.run(permit.request()) })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            if self.spec.read_only {
                return Reconciled::NoEffect { seen: "a look changes nothing".into() };
            }
            let exercise = self.shared.now();
            match Self::reachable(request, &exercise.sim) {
                Ok(()) => self.action.reconcile(request, &exercise.sim),
                Err(why) => Reconciled::Undecided { why: why.message },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_simulated_verb_has_a_live_one_and_stands_once() {
        let effects = EFFECTS.iter().copied().flatten().copied().flatten().map(|e| e.name);
        let looks = LOOKS.iter().copied().flatten().copied().flatten().map(|l| l.name);
        let all: Vec<&str> = ACTIONS.iter().map(|a| a.name()).chain(effects).chain(looks).collect();
        let known: BTreeSet<&str> = specs().map(|spec| spec.name).collect();
        let unknown: Vec<&&str> = all.iter().filter(|name| !known.contains(**name)).collect();
        assert!(unknown.is_empty(), "no live verb is named {unknown:?}");
        assert_eq!(all.len(), known.len(), "one of them stands twice");
    }
}
