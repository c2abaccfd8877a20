//! From a rendered request to what a person is shown: its digest, and what policy says of it now.

use super::state::State;
use crate::act::{DynVerb, Verbs};
use crate::correlate::tenant_signals;
use crate::domain::actor::Actor;
use crate::domain::id::{IncidentId, StepId, TenantId};
use crate::domain::incident::IncidentState;
use crate::domain::mode::Mode;
use crate::domain::ports::{BoxFuture, RenderContext, Survey};
use crate::domain::request::{Request, VerbSpec};
use crate::domain::risk::{Assessment, Confirmation, Reversible, Risk};
use crate::domain::world::World;
use crate::playbook::expr::{Reading, Surroundings, tenant_value};
use crate::playbook::run::{Rendering, Run};
use crate::playbook::schema::{Call, ConfirmationKind, DistinctFrom, OnTimeout, Step};
use crate::playbook::template;
use crate::policy::assess::{Declared, GlassFacts, IncidentFacts, StepFacts, assess};
use crate::policy::digest::{Bound, digest};
use crate::policy::rules::Policy;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Time allowed for what a verb reads before it renders.
const SURVEY: Duration = Duration::from_secs(10);

/// What a verb reads before it renders, or why it could not.
pub(super) type Surveying = BoxFuture<'static, Result<Value, String>>;

/// What is known around a run at one moment.
pub(super) struct Scene<'a> {
    pub(super) mode: Mode,
    pub(super) now: Timestamp,
    pub(super) world: &'a World,
    pub(super) state: &'a State,
    pub(super) verbs: &'a Verbs,
    pub(super) policy: &'a Policy,
}

impl Scene<'_> {
    /// What expressions and templates of a run can see.
    pub(super) fn surroundings(&self, of: &OfRun<'_>) -> Surroundings {
        let now = self.now;
        let estate = &self.world.estate;
        let tenant = of.run.start().tenant.as_ref().and_then(|t| estate.tenant(t));
        let signals = tenant.map(|t| tenant_signals(self.world, estate, &t.id, now)).unwrap_or_default();
        let incident = of.incident.and_then(|i| self.state.incident(i));
        Surroundings {
            now,
            mode: self.mode,
            tenant: tenant.map(tenant_value),
            signals: signals
                .into_iter()
                .map(|(name, s)| (name, Reading { value: s.value, observed_at: s.observed_at }))
                .collect(),
            incident: incident.filter(|i| i.state != IncidentState::Closed).map(|i| i.severity),
        }
    }

    /// The request that a call stands for now, with the verb that would send it.
    pub(super) fn request(&self, of: &OfRun<'_>, call: &Call) -> Result<(Arc<DynVerb>, Request), String> {
        self.request_with(call, &self.args(of, call)?, None)
    }

    /// The arguments of a call as its templates make them now.
    pub(super) fn args(&self, of: &OfRun<'_>, call: &Call) -> Result<BTreeMap<String, Value>, String> {
        let (around, outputs) = (self.surroundings(of), of.run.outputs());
        template::args(call, &values(of.run, &around, &outputs))
    }

    /// The request of a call whose arguments are rendered already, with what its verb has read for them.
    pub(super) fn request_with(
        &self,
        call: &Call,
        args: &BTreeMap<String, Value>,
        surveyed: Option<&Value>,
    ) -> Result<(Arc<DynVerb>, Request), String> {
        let verb = self.verb(call)?;
        let context = RenderContext { estate: &self.world.estate, world: self.world, now: self.now, args, surveyed };
        let request = verb.render(&context).map_err(|e| e.to_string())?;
        Ok((verb.clone(), request))
    }

    /// What the verb of a call has to read before it can render; `None` where it reads nothing.
    pub(super) fn survey(&self, call: &Call, args: &BTreeMap<String, Value>) -> Result<Option<Surveying>, String> {
        let asked = Survey { estate: self.world.estate.clone(), args: args.clone() };
        let Some(reading) = self.verb(call)?.survey(&asked) else { return Ok(None) };
        Ok(Some(Box::pin(async move {
            match tokio::time::timeout(SURVEY, reading).await {
                Ok(found) => found.map_err(|why| format!("its target can not be read: {why}")),
                Err(_) => Err(format!("its target can not be read: no answer within {} s", SURVEY.as_secs())),
            }
        })))
    }

    fn verb(&self, call: &Call) -> Result<&Arc<DynVerb>, String> {
        let name = call.name();
        self.verbs.get(&name).ok_or_else(|| format!("the verb {name} is not configured on this estate"))
    }
}

/// What the engine knows of the run that a step belongs to.
pub(super) struct OfRun<'a> {
    pub(super) run: &'a Run,
    pub(super) incident: Option<&'a IncidentId>,
    pub(super) user: &'a str,
    /// Who asks; nobody for a request that is only shown.
    pub(super) actor: Option<&'a Actor>,
}

/// What a step is aimed at, as far as policy asks.
struct Aim<'a> {
    tenants: &'a [TenantId],
    count: u64,
    object: &'a str,
}

/// What policy says of a step whose request is not there yet: one object, and the tenant of the run.
pub(super) fn expected(
    scene: &Scene<'_>,
    of: &OfRun<'_>,
    written: &Step,
    spec: &VerbSpec,
) -> Result<Assessment, String> {
    let tenants: Vec<TenantId> = of.run.start().tenant.iter().cloned().collect();
    judged(scene, of, written, spec, &Aim { tenants: &tenants, count: 1, object: written.id.as_str() })
}

fn judged(
    scene: &Scene<'_>,
    of: &OfRun<'_>,
    written: &Step,
    spec: &VerbSpec,
    aim: &Aim<'_>,
) -> Result<Assessment, String> {
    let around = &scene.surroundings(of);
    let tenant = of.run.start().tenant.as_ref().and_then(|t| scene.world.estate.tenant(t));
    let incident = of.incident.and_then(|i| scene.state.incident(i)).map(|i| IncidentFacts {
        severity: i.severity,
        roles: i.roles.iter().filter(|(_, p)| p.as_str() == of.user).map(|(r, _)| *r).collect(),
    });
    let now = scene.now;
    let glass = scene.state.broken_glass(now).map(|g| GlassFacts { reason: g.reason.clone(), until: g.until });
    let freeze = super::people::freeze(scene, of.incident);
    let people = super::people::facts(scene, of);
    let declared = declared(written, tenant.map(|t| t.id.as_str()), of.run, around)?;
    Ok(assess(&StepFacts {
        now,
        verb: spec,
        declared: &declared,
        mode: scene.mode,
        environment: scene.world.estate.environment,
        tenancy: tenant.map(|t| t.tenancy),
        tenants: aim.tenants,
        count: aim.count,
        object: aim.object,
        incident: incident.as_ref(),
        glass: glass.as_ref(),
        policy: scene.policy,
        people: &people,
        freeze: freeze.as_ref(),
    }))
}

/// Digests and assesses a rendered request.
pub(super) fn rendering(
    scene: &Scene<'_>,
    of: &OfRun<'_>,
    step: &StepId,
    spec: &VerbSpec,
    request: Request,
) -> Result<Rendering, String> {
    let around = &scene.surroundings(of);
    let plan = of.run.plan().playbook();
    let written = plan.step(step).ok_or("the playbook has no such step")?;
    let target = &request.target;
    let aim = Aim { tenants: &target.tenants, count: target.count, object: &target.object };
    let assessment = judged(scene, of, written, spec, &aim)?;
    let bound = of.run.bound(step, around);
    let preconditions: Vec<String> = written.bound_preconditions().into_iter().chain(bound.iter().cloned()).collect();
    let digest = digest(&Bound {
        mode: scene.mode,
        playbook: (&plan.id, plan.version),
        run: Some(of.run.id()),
        step,
        request: &request,
        preconditions: &preconditions,
        timeout: written.timeout(),
    })
    .map_err(|e| e.to_string())?;
    let reversible = match (spec.reversible, written.reversible) {
        (Reversible::No, _) | (_, Some(Reversible::No)) => Reversible::No,
        (Reversible::Yes, Some(other)) => other,
        (verb, _) => verb,
    };
    let (idempotent, read_only) = (spec.idempotent, spec.read_only);
    Ok(Rendering { request, digest, assessment, idempotent, reversible, read_only, bound })
}

/// What the templates of a run see.
pub(super) fn values<'a>(
    run: &'a Run,
    around: &'a Surroundings,
    outputs: &'a BTreeMap<String, Value>,
) -> template::Values<'a> {
    template::Values { params: &run.start().params, tenant: around.tenant.as_ref(), outputs }
}

fn declared(step: &Step, tenant: Option<&str>, run: &Run, around: &Surroundings) -> Result<Declared, String> {
    let confirmation = match &step.confirmation {
        None => None,
        Some(spec) if spec.kind == ConfirmationKind::Keypress => Some(Confirmation::Keypress),
        Some(spec) => {
            let phrase = match &spec.phrase {
                Some(phrase) => template::text(phrase, &values(run, around, &run.outputs()))?,
                None => tenant.unwrap_or(step.id.as_str()).to_owned(),
            };
            Some(Confirmation::Typed { phrase })
        }
    };
    let approval = step.approval.as_ref();
    Ok(Declared {
        risk: step.risk,
        blast_radius: step.blast_radius,
        reversible: step.reversible,
        confirmation,
        quorum: approval.map_or(0, |a| a.quorum),
        approver_roles: approval.map(|a| a.roles.clone()).unwrap_or_default(),
        distinct_from: approval.map_or((false, false), |a| {
            let from = |who| a.distinct_from.contains(&who);
            (from(DistinctFrom::Requester), from(DistinctFrom::Operator))
        }),
        approval_timeout: approval.and_then(|a| a.timeout).map(|t| t.0),
        escalates: approval.map(|a| a.on_timeout == OnTimeout::Escalate),
        incident: step.requires.incident_declared,
        severity_at_least: step.requires.severity_at_least,
        role: step.requires.role,
        auto_run_low: run.plan().playbook().triggers.auto_run_max_risk == Some(Risk::Low),
    })
}
