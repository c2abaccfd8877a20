//! How risky one rendered step is, and what it takes to run it. Risk starts at the floor of the verb and is only ever
//! raised; each raise has its sentence. The defaults are the table in `docs/playbooks.md`.

use crate::domain::estate::{Environment, Tenancy};
use crate::domain::id::TenantId;
use crate::domain::incident::{Role, Severity};
use crate::domain::mode::Mode;
use crate::domain::request::VerbSpec;
use crate::domain::risk::{Assessment, BlastRadius, Confirmation, Reversible, Risk};
use jiff::Timestamp;

/// From so many objects on, a low step in production counts as medium.
const MANY_OBJECTS: u64 = 20;

/// The declared incident that a step belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncidentFacts {
    /// How bad.
    pub severity: Severity,
    /// Roles that the person who asks holds in it.
    pub roles: Vec<Role>,
}

/// A broken glass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlassFacts {
    /// Why it was broken.
    pub reason: String,
    /// When it mends itself.
    pub until: Timestamp,
}

/// What the playbook asks of a step on top of policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declared {
    /// Risk; `None` leaves it to the verb.
    pub risk: Option<Risk>,
    /// Blast radius; `None` leaves it to the verb.
    pub blast_radius: Option<BlastRadius>,
    /// Reversibility; `None` leaves it to the verb.
    pub reversible: Option<Reversible>,
    /// Confirmation with its phrase rendered.
    pub confirmation: Option<Confirmation>,
    /// Number of distinct approvers.
    pub quorum: u8,
    /// Whether an incident must be declared.
    pub incident: bool,
    /// The least severity that the incident must have.
    pub severity_at_least: Option<Severity>,
    /// Role that the person who asks must hold.
    pub role: Option<Role>,
    /// Whether the playbook lets low-risk steps run without a key.
    pub auto_run_low: bool,
}

/// The facts of one step at one moment.
#[derive(Clone, Debug)]
pub struct StepFacts<'a> {
    /// Now.
    pub now: Timestamp,
    /// The verb.
    pub verb: &'a VerbSpec,
    /// What the playbook declares.
    pub declared: &'a Declared,
    /// Mode of the engine.
    pub mode: Mode,
    /// Class of the estate.
    pub environment: Environment,
    /// Tenancy of the tenant that the run is about; `None` where it is about none, which counts as shared.
    pub tenancy: Option<Tenancy>,
    /// Tenants in the blast radius of the request.
    pub tenants: &'a [TenantId],
    /// Number of objects that the request touches.
    pub count: u64,
    /// One line that names the target, for the typed phrase where no tenant is in the blast radius.
    pub object: &'a str,
    /// The declared incident.
    pub incident: Option<&'a IncidentFacts>,
    /// The broken glass.
    pub glass: Option<&'a GlassFacts>,
}

/// Judges one step.
pub fn assess(facts: &StepFacts<'_>) -> Assessment {
    if facts.verb.read_only {
        return Assessment {
            risk: Risk::Low,
            reasons: vec![format!("{} only looks", facts.verb.name)],
            confirmation: None,
            approvals: 0,
            needs_incident: facts.declared.incident,
            denials: requirements(facts, facts.declared.incident),
        };
    }
    let mut raised = Raised {
        risk: facts.verb.risk_floor,
        reasons: vec![format!("{} is at least {}", facts.verb.name, facts.verb.risk_floor)],
    };
    raise(&mut raised, facts);
    let Raised { risk, mut reasons } = raised;

    let approvals = approvals(facts, risk, &mut reasons);
    let needs_incident = facts.declared.incident || facts.declared.severity_at_least.is_some() || risk == Risk::High;
    let mut denials = requirements(facts, needs_incident);
    match facts.mode {
        Mode::ReadOnly | Mode::Replay => denials.push(format!("nothing can run in the mode {}", facts.mode)),
        Mode::Drill if approvals > 0 => reasons.push("in a drill the second person is simulated".into()),
        Mode::Live if approvals > 0 => match facts.glass.filter(|g| facts.now < g.until) {
            Some(glass) => reasons.push(format!("the glass is broken until {}: {}", glass.until, glass.reason)),
            None => denials.push(
                "it needs the signature of a second person, which this version can not take: only breaking the glass lets \
                 it run"
                    .into(),
            ),
        },
        Mode::Live | Mode::Drill => {}
    }
    Assessment { risk, reasons, confirmation: confirmation(facts, risk), approvals, needs_incident, denials }
}

struct Raised {
    risk: Risk,
    reasons: Vec<String>,
}

impl Raised {
    fn to(&mut self, risk: Risk, why: impl Into<String>) {
        if risk > self.risk {
            self.risk = risk;
            self.reasons.push(format!("raised to {risk}: {}", why.into()));
        }
    }
}

fn raise(raised: &mut Raised, facts: &StepFacts<'_>) {
    if let Some(declared) = facts.declared.risk {
        raised.to(declared, "the playbook says so");
    }
    let production = facts.environment == Environment::Production;
    let blast = facts.declared.blast_radius.map_or(facts.verb.blast_radius, |b| b.max(facts.verb.blast_radius));
    let irreversible = facts.verb.reversible == Reversible::No || facts.declared.reversible == Some(Reversible::No);
    let shared = facts.tenancy != Some(Tenancy::Dedicated) || facts.tenants.len() > 1;
    if blast == BlastRadius::Region {
        raised.to(Risk::High, "it reaches a region");
    }
    if production && blast >= BlastRadius::Cluster {
        raised.to(Risk::Medium, "it reaches all that share a cluster or a database server, in production");
    }
    if production && blast >= BlastRadius::Cluster && irreversible && shared {
        raised.to(Risk::High, "it can not be taken back and reaches what tenants share, in production");
    }
    if production && irreversible {
        raised.to(Risk::Medium, "it can not be taken back, in production");
    }
    if production && facts.tenants.len() > 1 {
        raised.to(Risk::Medium, format!("{} tenants are in the blast radius, in production", facts.tenants.len()));
    }
    if production && facts.count > MANY_OBJECTS {
        raised.to(Risk::Medium, format!("it touches {} objects, in production", facts.count));
    }
}

fn approvals(facts: &StepFacts<'_>, risk: Risk, reasons: &mut Vec<String>) -> u8 {
    let by_policy = match risk {
        Risk::High => {
            reasons.push("high risk needs one other person's approval".into());
            1
        }
        Risk::Medium if facts.tenants.len() > 1 => {
            reasons.push(format!(
                "medium risk with {} tenants in the blast radius needs one other person's approval",
                facts.tenants.len()
            ));
            1
        }
        Risk::Low | Risk::Medium => 0,
    };
    if facts.declared.quorum > by_policy {
        reasons.push(format!("the playbook asks for {} approvals", facts.declared.quorum));
    }
    by_policy.max(facts.declared.quorum)
}

fn confirmation(facts: &StepFacts<'_>, risk: Risk) -> Option<Confirmation> {
    match (&facts.declared.confirmation, risk) {
        (Some(typed @ Confirmation::Typed { .. }), _) => Some(typed.clone()),
        (_, Risk::High) => {
            let phrase = match facts.tenants {
                [one] => one.to_string(),
                _ => facts.object.to_owned(),
            };
            Some(Confirmation::Typed { phrase })
        }
        (None, Risk::Low) if facts.declared.auto_run_low && facts.tenancy == Some(Tenancy::Dedicated) => None,
        (Some(Confirmation::Keypress) | None, Risk::Low | Risk::Medium) => Some(Confirmation::Keypress),
    }
}

fn requirements(facts: &StepFacts<'_>, needs_incident: bool) -> Vec<String> {
    let mut denials = Vec::new();
    match facts.incident {
        None if needs_incident => denials.push("it needs a declared incident".to_owned()),
        None => {}
        Some(incident) => {
            // 1 is the worst, so that a greater value is a lesser severity.
            if let Some(least) = facts.declared.severity_at_least
                && incident.severity > least
            {
                denials.push(format!("it needs an incident of at least {least}, this one is {}", incident.severity));
            }
        }
    }
    if let Some(role) = facts.declared.role {
        let held = facts.incident.map(|i| i.roles.as_slice()).unwrap_or_default();
        if !held.contains(&role) {
            denials.push(format!("it needs the role {role}, which you do not hold in this incident"));
        }
    }
    denials
}

#[cfg(test)]
#[path = "assess_tests.rs"]
mod tests;
