//! How risky one rendered step is, and what it takes to run it. Risk starts at the floor of the verb and is only ever
//! raised; each raise has its sentence. What raises it, and who approves, stands in the policy.

use super::rules::{ApprovalRule, Policy, Raise, SecondFactor, Standing};
use crate::domain::estate::{Environment, Tenancy};
use crate::domain::id::{Person, TenantId};
use crate::domain::incident::{Role, Severity};
use crate::domain::mode::Mode;
use crate::domain::request::VerbSpec;
use crate::domain::risk::{ApprovalTerms, Assessment, BlastRadius, Confirmation, Reversible, Risk};
use crate::domain::text::means;
use jiff::Timestamp;
use std::time::Duration;

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

/// Changes are frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeFacts {
    /// Why, for people.
    pub why: String,
    /// Whether the incident that the step belongs to has set it itself; it then neither raises nor stops.
    pub own: bool,
}

/// Who asks, and who could approve.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PeopleFacts {
    /// Who asks and executes, where the roster knows them.
    pub requester: Option<Person>,
    /// How the console calls them.
    pub user: String,
    /// Who holds which roles now.
    pub standing: Standing,
}

/// What the playbook asks of a step on top of policy.
#[expect(clippy::struct_excessive_bools, reason = "each is a word of its own in a playbook")]
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
    /// Roles of approvers; empty leaves them to policy.
    pub approver_roles: Vec<Role>,
    /// Whether an approver may be the one who asked, or the one who executes, where policy leaves that open.
    pub distinct_from: (bool, bool),
    /// How long an approval is waited for; `None` leaves it to policy.
    pub approval_timeout: Option<Duration>,
    /// Whether somebody is called when the time is over.
    pub escalates: Option<bool>,
    /// Whether an incident must be declared.
    pub incident: bool,
    /// The least severity that the incident must have.
    pub severity_at_least: Option<Severity>,
    /// Role that the person who asks must hold.
    pub role: Option<Role>,
    /// Whether a second factor has to be proven, whatever the risk.
    pub second_factor: bool,
    /// Whether the playbook lets low-risk steps run without a key.
    pub auto_run_low: bool,
    /// Whether it only calls somebody because a step waits for too long: nobody is there to press a key.
    pub calls: bool,
    /// The change window that its playbook names.
    pub change_window: Option<ChangeWindowFacts>,
}

/// The change window of a playbook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeWindowFacts {
    /// Name of the windows of the policy.
    pub calendar: String,
    /// Whether the freeze approver lets a step run outside of them; else nobody does.
    pub approvable: bool,
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
    /// The policy in force.
    pub policy: &'a Policy,
    /// Who asks, and who could approve.
    pub people: &'a PeopleFacts,
    /// Whether changes are frozen.
    pub freeze: Option<&'a FreezeFacts>,
    /// Whether there is an identity provider at which people log in.
    pub provider: bool,
}

/// Judges one step.
pub fn assess(facts: &StepFacts<'_>) -> Assessment {
    if facts.verb.read_only {
        let mut denials = requirements(facts, facts.declared.incident);
        if facts.declared.second_factor {
            denials.push(
                "it needs a second factor, and nobody confirms what only looks, so that nobody proves one".into(),
            );
        }
        return Assessment {
            risk: Risk::Low,
            reasons: vec![format!("{} only looks", facts.verb.name)],
            confirmation: None,
            login: false,
            approvals: 0,
            terms: None,
            needs_incident: facts.declared.incident,
            denials,
        };
    }
    let mut raised = Raised {
        risk: facts.verb.risk_floor,
        reasons: vec![format!("{} is at least {}", facts.verb.name, facts.verb.risk_floor)],
    };
    raise(&mut raised, facts);
    let Raised { risk, mut reasons } = raised;

    let closed = closed(facts, risk);
    if let Some((_, why)) = &closed {
        reasons.push(why.clone());
    }
    let outside = closed.as_ref().and_then(|(approver, _)| *approver);
    let login = logs_in(facts, risk);
    let (approvals, terms) = approvals(facts, risk, outside, &mut reasons);
    if login {
        reasons.push(
            "a second factor is asked for: who confirms it, and who approves it, logs in at the identity provider"
                .into(),
        );
    }
    let needs_incident = facts.declared.incident || facts.declared.severity_at_least.is_some() || risk == Risk::High;
    let mut denials = requirements(facts, needs_incident);
    frozen(facts, risk, &mut denials);
    if let Some((None, why)) = closed {
        denials.push(why);
    }
    match facts.mode {
        Mode::ReadOnly | Mode::Replay => denials.push(format!("nothing can run in the mode {}", facts.mode)),
        Mode::Live => {
            let glass = facts.glass.filter(|g| facts.now < g.until && facts.policy.glass_waives_approvals);
            match (glass, &terms) {
                (Some(glass), Some(_)) => {
                    reasons.push(format!("the glass is broken until {}: {}", glass.until, glass.reason));
                }
                (None, Some(terms)) => denials.extend(out_of_reach(facts, approvals, terms)),
                (_, None) => {}
            }
            denials.extend(unproven(facts, risk, terms.as_ref()));
        }
        Mode::Drill => {
            if approvals > 0 {
                reasons.push("in a drill the second person is simulated".into());
            }
            if asks_second_factor(facts, risk) {
                reasons.push("in a drill the second factor is simulated".into());
            }
        }
    }
    // Nobody could log in for what runs without a key.
    let confirmation = confirmation(facts, risk).or_else(|| login.then_some(Confirmation::Keypress));
    Assessment { risk, reasons, confirmation, login, approvals, terms, needs_incident, denials }
}

/// Whether policy asks for a second factor at this risk.
fn from_policy(facts: &StepFacts<'_>, risk: Risk) -> bool {
    facts.policy.mfa_from.is_some_and(|from| risk >= from)
}

/// Whether policy or the playbook does.
fn asks_second_factor(facts: &StepFacts<'_>, risk: Risk) -> bool {
    facts.declared.second_factor || from_policy(facts, risk)
}

/// Whether people log in for the step. A drill asks no provider, and a call waits for nobody: nobody is there.
fn logs_in(facts: &StepFacts<'_>, risk: Risk) -> bool {
    let by_login = facts.policy.mfa_source == Some(SecondFactor::Oidc) && facts.mode != Mode::Drill;
    by_login && !facts.declared.calls && asks_second_factor(facts, risk)
}

/// Why a second factor that is asked for can not be proven.
fn unproven(facts: &StepFacts<'_>, risk: Risk, terms: Option<&ApprovalTerms>) -> Option<String> {
    let by_policy = from_policy(facts, risk);
    match facts.policy.mfa_source {
        _ if !asks_second_factor(facts, risk) => None,
        Some(SecondFactor::Oidc) if facts.declared.calls => None,
        None if by_policy => Some(format!(
            "policy asks for a second factor at {risk} risk, and no source of it is configured, so the answer is no"
        )),
        Some(SecondFactor::SecurityKey) if terms.is_some() => None,
        None | Some(SecondFactor::SecurityKey) => {
            Some("it needs a second factor, and there is no source here that says that you have proven one".into())
        }
        Some(SecondFactor::Oidc) if !facts.provider => Some(
            "a second factor is asked for, and there is no [oidc] here at which one could be proven, so the answer is no".into(),
        ),
        Some(SecondFactor::Oidc) if facts.people.requester.is_none() => Some(format!(
            "a second factor is asked for, and the roster does not know you ({}), so that nobody could tell that it is yours",
            facts.people.user
        )),
        Some(SecondFactor::Oidc) => None,
    }
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

fn blast(facts: &StepFacts<'_>) -> BlastRadius {
    facts.declared.blast_radius.map_or(facts.verb.blast_radius, |b| b.max(facts.verb.blast_radius))
}

fn irreversible(facts: &StepFacts<'_>) -> bool {
    facts.verb.reversible == Reversible::No || facts.declared.reversible == Some(Reversible::No)
}

fn shared(facts: &StepFacts<'_>) -> bool {
    facts.tenancy != Some(Tenancy::Dedicated) || facts.tenants.len() > 1
}

fn raise(raised: &mut Raised, facts: &StepFacts<'_>) {
    if let Some(declared) = facts.declared.risk {
        raised.to(declared, "the playbook says so");
    }
    for rule in &facts.policy.raises {
        if let Some(to) = rule.to.filter(|_| applies(rule, facts)) {
            raised.to(to, sentence(rule, facts));
        }
    }
}

fn applies(rule: &Raise, facts: &StepFacts<'_>) -> bool {
    let over = |least: Option<u64>, number: u64| least.is_none_or(|least| number > least);
    let tenants = u64::try_from(facts.tenants.len()).unwrap_or(u64::MAX);
    // A call changes no system; only a rule that names it is about it.
    rule.verb.as_ref().map_or(!facts.declared.calls, |pattern| means(pattern, facts.verb.name))
        && (rule.environments.is_empty() || rule.environments.contains(&facts.environment))
        && rule.tenancy.is_none_or(|tenancy| facts.tenancy == Some(tenancy))
        && rule.blast_radius.is_none_or(|least| blast(facts) >= least)
        && rule.irreversible.is_none_or(|asked| irreversible(facts) == asked)
        && rule.shared.is_none_or(|asked| shared(facts) == asked)
        && over(rule.tenants_over, tenants)
        && over(rule.objects_over, facts.count)
        && (!rule.in_production_window || facts.policy.production_window(facts.now).is_some())
        && (!rule.frozen || facts.freeze.is_some_and(|f| !f.own))
}

fn sentence(rule: &Raise, facts: &StepFacts<'_>) -> String {
    let window = facts.policy.production_window(facts.now).map(|w| w.name.as_str()).unwrap_or_default();
    rule.because
        .replace("{tenants}", &facts.tenants.len().to_string())
        .replace("{objects}", &facts.count.to_string())
        .replace("{window}", window)
        .replace("{freeze}", facts.freeze.map(|f| f.why.as_str()).unwrap_or_default())
}

/// While changes are frozen, only some may act, except on a freeze of their own incident.
fn frozen(facts: &StepFacts<'_>, risk: Risk, denials: &mut Vec<String>) {
    let may = &facts.policy.freeze_may_act;
    let Some(freeze) = facts.freeze.filter(|f| !f.own && risk > Risk::Low && !may.is_empty()) else { return };
    let holds = |role: &Role| {
        let by_roster = facts.people.requester.as_ref().is_some_and(|p| facts.people.standing.holds(p, *role));
        by_roster || facts.incident.is_some_and(|i| i.roles.contains(role))
    };
    if !may.iter().any(holds) {
        let who = may.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        denials.push(format!("changes are frozen ({}), and only {who} may act meanwhile", freeze.why));
    }
}

/// Whether the change window of the playbook is closed for a step of this risk: why, and whose approval lets it run.
fn closed(facts: &StepFacts<'_>, risk: Risk) -> Option<(Option<Role>, String)> {
    let window = facts.declared.change_window.as_ref().filter(|_| risk > Risk::Low)?;
    let why = facts.policy.change_window_closed(&window.calendar, facts.now)?;
    let approver = window.approvable.then_some(facts.policy.freeze_approver);
    Some((
        approver,
        match approver {
            Some(role) => format!("{why}; outside of it {risk} risk needs the approval of {role}"),
            None => format!("{why}; outside of it {risk} risk does not run"),
        },
    ))
}

fn approvals(
    facts: &StepFacts<'_>,
    risk: Risk,
    outside: Option<Role>,
    reasons: &mut Vec<String>,
) -> (u8, Option<ApprovalTerms>) {
    let strict = Policy::default();
    let rule: &ApprovalRule = match facts.policy.approvals.get(&risk).or_else(|| strict.approvals.get(&risk)) {
        Some(rule) => rule,
        None => return (u8::MAX, None),
    };
    let people =
        |n: u8| if n == 1 { "one other person's approval".to_owned() } else { format!("{n} other people's approvals") };
    let mut needed = 0;
    let mut asks = |quorum: u8, why: String, reasons: &mut Vec<String>| {
        if quorum > needed {
            needed = quorum;
            reasons.push(why);
        }
    };
    asks(rule.quorum, format!("{risk} risk needs {}", people(rule.quorum)), reasons);
    if shared(facts) {
        let why = format!("{risk} risk on what tenants share needs {}", people(rule.quorum_shared));
        asks(rule.quorum_shared, why, reasons);
    }
    if facts.tenants.len() > 1 {
        let tenants = facts.tenants.len();
        let why =
            format!("{risk} risk with {tenants} tenants in the blast radius needs {}", people(rule.quorum_several));
        asks(rule.quorum_several, why, reasons);
    }
    let mut also = Vec::new();
    for right in &facts.policy.rights {
        if risk >= right.from && right.verbs.iter().any(|v| means(v, facts.verb.name)) && !also.contains(&right.needs) {
            also.push(right.needs);
            reasons.push(format!("it needs the approval of {}: {}", right.needs, right.because));
        }
    }
    if let Some(role) = outside.filter(|role| !also.contains(role)) {
        also.push(role);
    }
    asks(u8::try_from(also.len()).unwrap_or(u8::MAX), format!("{} decide(s) too", also.len()), &mut Vec::new());
    let declared = facts.declared;
    asks(declared.quorum, format!("the playbook asks for {} approvals", declared.quorum), reasons);
    let by_key = facts.policy.mfa_source == Some(SecondFactor::SecurityKey);
    if by_key && from_policy(facts, risk) {
        // What proves a second factor is the key that signs an approval: without one nothing would.
        let why = format!("policy asks for a second factor at {risk} risk: one other person's security key");
        asks(1, why, reasons);
    }
    if needed == 0 {
        return (0, None);
    }
    let high = risk == Risk::High;
    let open = declared.distinct_from == (false, false);
    let terms = ApprovalTerms {
        roles: if declared.approver_roles.is_empty() { rule.roles.clone() } else { declared.approver_roles.clone() },
        also,
        not_requester: high || open || declared.distinct_from.0,
        not_operator: high || open || declared.distinct_from.1,
        security_key: by_key && asks_second_factor(facts, risk),
        login: logs_in(facts, risk),
        timeout_s: declared.approval_timeout.unwrap_or(rule.timeout).as_secs(),
        escalates: declared.escalates.unwrap_or(rule.escalates),
    };
    (needed, Some(terms))
}

/// Why the approvals can not come about, where that is known beforehand.
fn out_of_reach(facts: &StepFacts<'_>, needed: u8, terms: &ApprovalTerms) -> Option<String> {
    let people = facts.people;
    if people.standing.is_empty() {
        return Some(
            "it needs the signature of a second person, and the policy names nobody: put people with their keys into policy.toml, or break the glass"
                .into(),
        );
    }
    let Some(requester) = &people.requester else {
        return Some(format!(
            "it needs the signature of a second person, and the roster does not know you ({}), so that nobody could tell that the two are different people",
            people.user
        ));
    };
    let others = |roles: &[Role]| people.standing.with(roles).into_iter().filter(|p| *p != requester).count();
    let all: Vec<Role> = if terms.roles.is_empty() { Vec::new() } else { [&terms.roles[..], &terms.also].concat() };
    let who = terms.who();
    if others(&all) < usize::from(needed) {
        return Some(format!("it needs {needed} approval(s) by {who}, and {} besides you may give one", others(&all)));
    }
    let missing = terms.also.iter().find(|role| others(&[**role]) == 0)?;
    Some(format!("it needs the approval of {missing}, which nobody besides you is"))
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
        (None, Risk::Low) if facts.declared.calls && facts.policy.automation => None,
        (None, Risk::Low)
            if facts.declared.auto_run_low && facts.policy.automation && facts.tenancy == Some(Tenancy::Dedicated) =>
        {
            None
        }
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
        let by_roster = facts.people.requester.as_ref().is_some_and(|p| facts.people.standing.holds(p, role));
        if !held.contains(&role) && !by_roster {
            denials.push(format!("it needs the role {role}, which you do not hold in this incident"));
        }
    }
    denials
}

#[cfg(test)]
#[path = "assess_tests.rs"]
mod tests;
