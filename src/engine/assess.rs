//! From a rendered request to what a person is shown: its digest, and what policy says of it now.

use super::state::State;
use crate::act::{DynVerb, Verbs};
use crate::correlate::tenant_signals;
use crate::domain::actor::Actor;
use crate::domain::finding::Finding;
use crate::domain::id::{IncidentId, StepId, TenantId};
use crate::domain::incident::IncidentState;
use crate::domain::mode::Mode;
use crate::domain::ports::{BoxFuture, RenderContext, Survey};
use crate::domain::request::{Operation, Request, Target, VerbSpec};
use crate::domain::risk::{Assessment, BlastRadius, Confirmation, Reversible, Risk};
use crate::domain::world::World;
use crate::playbook::expr::{Reading, Surroundings, tenant_value};
use crate::playbook::plan::Plan;
use crate::playbook::run::{Rendering, Run, Seat};
use crate::playbook::schema::{Call, ConfirmationKind, DistinctFrom, OnClosed, OnTimeout, Playbook, Step};
use crate::playbook::{Piece, template};
use crate::policy::assess::{ChangeWindowFacts, Declared, GlassFacts, IncidentFacts, StepFacts, assess};
use crate::policy::digest::{Bound, both};
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

/// What the verb of one of several pieces has read, by its place among them; nothing where it reads nothing.
pub(super) type Read<'r> = dyn Fn(usize, &Piece<'_>) -> Result<Option<Value>, String> + 'r;

/// What is known around a run at one moment.
pub(super) struct Scene<'a> {
    pub(super) mode: Mode,
    pub(super) now: Timestamp,
    pub(super) world: &'a World,
    pub(super) state: &'a State,
    pub(super) verbs: &'a Verbs,
    pub(super) findings: &'a [Finding],
    pub(super) policy: &'a Policy,
    /// Whether there is an identity provider at which people log in.
    pub(super) provider: bool,
}

/// What a step that sends nothing amounts to for policy: people say yes.
static GATE: VerbSpec = VerbSpec {
    name: "approval",
    what: "other people approve that the run goes on",
    risk_floor: Risk::Low,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Yes,
    idempotent: true,
    read_only: false,
    args: &[],
};

impl Scene<'_> {
    /// What expressions and templates of a run can see.
    pub(super) fn surroundings(&self, of: &OfRun<'_>) -> Surroundings {
        self.around(of.incident, of.run.start().tenant.as_ref())
    }

    /// The same around one of several tenants; around the run without one.
    pub(super) fn around_each(&self, of: &OfRun<'_>, tenant: Option<&TenantId>) -> Arc<Surroundings> {
        Arc::new(self.around(of.incident, tenant.or(of.run.start().tenant.as_ref())))
    }

    /// What is known around a tenant.
    pub(super) fn around(&self, incident: Option<&IncidentId>, tenant: Option<&TenantId>) -> Surroundings {
        let now = self.now;
        let estate = &self.world.estate;
        let tenant = tenant.and_then(|t| estate.tenant(t));
        let signals = tenant.map(|t| tenant_signals(self.world, estate, &t.id, now)).unwrap_or_default();
        let incident = incident.and_then(|i| self.state.incident(i));
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

    /// The request of a look that verifies, for one of several targets or for the run.
    pub(super) fn request(
        &self,
        of: &OfRun<'_>,
        call: &Call,
        seat: Option<&Seat>,
    ) -> Result<(Arc<DynVerb>, Request), String> {
        let around = self.around_each(of, seat.and_then(|s| s.tenant.as_ref()));
        let outputs = of.run.outputs();
        let values = template::Values { item: seat.and_then(|s| s.item.as_ref()), ..values(of.run, &around, &outputs) };
        self.request_with(call, &template::args(call, &values)?, None)
    }

    /// The tenants that a run of a playbook is for, where it selects several.
    ///
    /// # Errors
    /// One sentence: none is selected, or whether one is can not be known now.
    pub(super) fn select(
        &self,
        plan: &Plan,
        params: &BTreeMap<String, Value>,
        incident: Option<&IncidentId>,
    ) -> Result<Vec<TenantId>, String> {
        if plan.playbook().targets.is_none() {
            return Ok(Vec::new());
        }
        let mut selected = Vec::new();
        for tenant in &self.world.estate.tenants {
            let fits = plan.playbook().tenancy.is_empty() || plan.playbook().tenancy.contains(&tenant.tenancy);
            if fits && plan.selects(&self.around(incident, Some(&tenant.id)), params)? {
                selected.push(tenant.id.clone());
            }
        }
        if selected.is_empty() { Err("the selector of the playbook fits no tenant now".into()) } else { Ok(selected) }
    }

    /// What a step would send, before its verb renders it.
    pub(super) fn pieces<'r>(&self, of: &OfRun<'r>, step: &'r Step) -> Result<Vec<Piece<'r>>, String> {
        crate::playbook::pieces(of.run, step, &mut |tenant| self.around_each(of, tenant))
    }

    /// The rendering of a step from its pieces: of one request, of several, or of none where only people say yes.
    pub(super) fn compose(
        &self,
        of: &OfRun<'_>,
        step: &Step,
        pieces: &[Piece<'_>],
        read: &Read<'_>,
    ) -> Result<Rendering, String> {
        let mut requests = Vec::with_capacity(pieces.len());
        let mut spec: Option<&'static VerbSpec> = None;
        let mut verbs = Called::new(self);
        for (place, piece) in pieces.iter().enumerate() {
            let named = |why: String| match &piece.seat {
                Some(seat) => format!("{}: {why}", seat.label),
                None => why,
            };
            let surveyed = read(place, piece).map_err(named)?;
            let verb = verbs.of(piece.call).map_err(named)?;
            let request = self.rendered_by(verb, &piece.args, surveyed.as_ref()).map_err(named)?;
            spec = spec.filter(|known| known.risk_floor >= verb.spec().risk_floor).or_else(|| Some(verb.spec()));
            requests.push(request);
        }
        let spec = spec.ok_or("there is nothing to send")?;
        let whole = pieces.iter().any(|p| p.seat.is_some());
        let request = if whole {
            let verb = if step.looks.is_empty() { spec.name } else { "parallel" };
            Request::several(verb, requests)
        } else {
            requests.pop()
        };
        rendering(self, of, &step.id, spec, request.ok_or("there is nothing to send")?)
    }

    /// A step that sends nothing: what other people are asked to approve.
    pub(super) fn gate(&self, of: &OfRun<'_>, step: &Step) -> Result<Rendering, String> {
        let tenants = match &of.run.start().tenant {
            Some(tenant) => vec![tenant.clone()],
            None => of.run.start().targets.clone(),
        };
        let request = Request {
            verb: GATE.name.into(),
            target: Target {
                source: self.world.estate.name.as_str().into(),
                identity: String::new(),
                environment: self.world.estate.environment,
                object: step.name.clone(),
                count: u64::try_from(tenants.len()).unwrap_or(u64::MAX),
                tenants,
            },
            operation: Operation::Simulated { statement: format!("{}: {}", step.name, step.why) },
            server_checks: Vec::new(),
            hurts: "nobody by itself; the run goes on when it is approved".into(),
            undo: "the run can be stopped".into(),
            by_hand: String::new(),
        };
        let mut gate = rendering(self, of, &step.id, &GATE, request)?;
        // Nobody confirms it: who approves it logs in.
        if std::mem::take(&mut gate.assessment.login) && gate.assessment.approvals == 0 {
            gate.assessment
                .denials
                .push("it needs a second factor, and nobody approves it, so that nobody proves one".into());
        }
        Ok(gate)
    }

    /// The request of a call whose arguments are rendered already, with what its verb has read for them.
    pub(super) fn request_with(
        &self,
        call: &Call,
        args: &BTreeMap<String, Value>,
        surveyed: Option<&Value>,
    ) -> Result<(Arc<DynVerb>, Request), String> {
        let verb = self.verb(call)?;
        Ok((verb.clone(), self.rendered_by(&**verb, args, surveyed)?))
    }

    fn rendered_by(
        &self,
        verb: &DynVerb,
        args: &BTreeMap<String, Value>,
        surveyed: Option<&Value>,
    ) -> Result<Request, String> {
        let context = RenderContext { estate: &self.world.estate, world: self.world, now: self.now, args, surveyed };
        verb.render(&context).map_err(|e| e.to_string())
    }

    /// What the verb of a piece has to read before it can render; `None` where it reads nothing. The arguments are lent to
    /// it: a playbook over hundreds of targets has too many to copy.
    pub(super) fn survey(&self, piece: &mut Piece<'_>) -> Result<Option<Surveying>, String> {
        let verb = self.verb(piece.call)?;
        Ok(self.survey_by(&**verb, piece))
    }

    /// The same for all pieces of a step, by their place among them: those that read something.
    pub(super) fn surveys<'c: 'p, 'p>(
        &self,
        pieces: impl Iterator<Item = &'p mut Piece<'c>>,
    ) -> Result<Vec<(usize, Surveying)>, String> {
        let mut verbs = Called::new(self);
        let mut surveys = Vec::new();
        for (place, piece) in pieces.enumerate() {
            let verb = verbs.of(piece.call)?;
            surveys.extend(self.survey_by(verb, piece).map(|reading| (place, reading)));
        }
        Ok(surveys)
    }

    fn survey_by(&self, verb: &DynVerb, piece: &mut Piece<'_>) -> Option<Surveying> {
        let asked = Survey { estate: self.world.estate.clone(), args: std::mem::take(&mut piece.args) };
        let reading = verb.survey(&asked);
        piece.args = asked.args;
        let reading = reading?;
        Some(Box::pin(async move {
            match tokio::time::timeout(SURVEY, reading).await {
                Ok(found) => found.map_err(|why| format!("its target can not be read: {why}")),
                Err(_) => Err(format!("its target can not be read: no answer within {} s", SURVEY.as_secs())),
            }
        }))
    }

    /// Whether a finding that the playbook is for has stood for as long as it asks, so that low-risk steps may run by
    /// themselves.
    fn persists(&self, playbook: &Playbook, tenant: Option<&TenantId>) -> bool {
        let (Some(tenant), Some(lasting)) = (tenant, playbook.triggers.lasting) else { return false };
        let long = |f: &&Finding| self.now.duration_since(f.since).unsigned_abs() >= lasting.0 && f.since <= self.now;
        let ours = |f: &&Finding| playbook.triggers.findings.contains(&f.rule) && f.whom.tenants.contains(tenant);
        self.findings.iter().filter(ours).any(|f| long(&f))
    }

    fn verb(&self, call: &Call) -> Result<&Arc<DynVerb>, String> {
        let name = call.name();
        self.verbs.get(&name).ok_or_else(|| format!("the verb {name} is not configured on this estate"))
    }
}

/// The verbs of several pieces, of which most have the same call: each is looked up by its name once.
struct Called<'a> {
    scene: &'a Scene<'a>,
    last: Option<(&'a Call, &'a Arc<DynVerb>)>,
}

impl<'a> Called<'a> {
    const fn new(scene: &'a Scene<'a>) -> Self {
        Self { scene, last: None }
    }

    fn of(&mut self, call: &'a Call) -> Result<&'a DynVerb, String> {
        if let Some((last, verb)) = self.last
            && std::ptr::eq(last, call)
        {
            return Ok(&**verb);
        }
        let verb = self.scene.verb(call)?;
        self.last = Some((call, verb));
        Ok(&**verb)
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
    let plan = of.run.plan().playbook();
    let only = match aim.tenants {
        [one] => Some(one),
        _ => None,
    };
    let tenant = of.run.start().tenant.as_ref().or(only).and_then(|t| scene.world.estate.tenant(t));
    let incident = of.incident.and_then(|i| scene.state.incident(i)).map(|i| IncidentFacts {
        severity: i.severity,
        roles: i.roles.iter().filter(|(_, p)| p.as_str() == of.user).map(|(r, _)| *r).collect(),
    });
    let now = scene.now;
    let glass = scene.state.broken_glass(now).map(|g| GlassFacts { reason: g.reason.clone(), until: g.until });
    let freeze = super::people::freeze(scene, of.incident);
    let people = super::people::facts(scene, of);
    let mut declared = declared(written, tenant.map(|t| t.id.as_str()), of.run, around)?;
    declared.calls = of.run.start().parent.as_ref().is_some_and(|p| p.calls) && spec.name.starts_with("comms.");
    declared.auto_run_low = declared.auto_run_low && scene.persists(plan, tenant.map(|t| &t.id));
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
        provider: scene.provider,
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
    let bound = of.run.bound_values(step, around)?;
    let preconditions = of.run.bound_lines(step, &bound);
    let all = Bound {
        mode: scene.mode,
        playbook: (&plan.id, plan.version),
        run: Some(of.run.id()),
        step,
        request: &request,
        preconditions: &preconditions,
        timeout: written.timeout(),
    };
    let (digest, shown) = both(&all).map_err(|e| e.to_string())?;
    let reversible = match (spec.reversible, written.reversible) {
        (Reversible::No, _) | (_, Some(Reversible::No)) => Reversible::No,
        (Reversible::Yes, Some(other)) => other,
        (verb, _) => verb,
    };
    let (idempotent, read_only) = (spec.idempotent, spec.read_only);
    Ok(Rendering { request, digest, assessment, idempotent, reversible, read_only, bound, shown: Some(shown) })
}

/// What the templates of a run see.
pub(super) fn values<'a>(
    run: &'a Run,
    around: &'a Surroundings,
    outputs: &'a BTreeMap<String, Value>,
) -> template::Values<'a> {
    template::Values { params: &run.start().params, tenant: around.tenant.as_ref(), outputs, item: None }
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
        second_factor: step.requires.mfa,
        auto_run_low: run.plan().playbook().triggers.auto_run_max_risk == Some(Risk::Low),
        calls: false,
        change_window: run.plan().playbook().change_window.as_ref().map(|w| ChangeWindowFacts {
            calendar: w.calendar.clone(),
            approvable: w.on_closed == OnClosed::RequireFreezeApprover,
        }),
    })
}
