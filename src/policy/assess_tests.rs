use super::*;

const CANCEL: VerbSpec = VerbSpec {
    name: "postgres.cancel_backend",
    what: "cancels a query",
    risk_floor: Risk::Medium,
    blast_radius: BlastRadius::Pod,
    reversible: Reversible::Compensatable,
    idempotent: true,
    read_only: false,
    args: &[],
};
const RESTART: VerbSpec = VerbSpec { name: "kubernetes.rollout_restart", risk_floor: Risk::Low, ..CANCEL };
const TERMINATE: VerbSpec =
    VerbSpec { name: "postgres.terminate_backend", risk_floor: Risk::High, reversible: Reversible::No, ..CANCEL };
const LOOK: VerbSpec = VerbSpec { name: "postgres.blocking_tree", read_only: true, risk_floor: Risk::Low, ..CANCEL };

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

struct Case {
    declared: Declared,
    tenants: Vec<TenantId>,
    incident: Option<IncidentFacts>,
    glass: Option<GlassFacts>,
    mode: Mode,
    environment: Environment,
    tenancy: Option<Tenancy>,
    count: u64,
}

impl Case {
    fn new() -> Self {
        Self {
            declared: Declared::default(),
            tenants: vec![TenantId::from("t017")],
            incident: None,
            glass: None,
            mode: Mode::Live,
            environment: Environment::Production,
            tenancy: Some(Tenancy::Dedicated),
            count: 1,
        }
    }

    fn assess(&self, verb: &VerbSpec) -> Assessment {
        assess(&StepFacts {
            now: at(0),
            verb,
            declared: &self.declared,
            mode: self.mode,
            environment: self.environment,
            tenancy: self.tenancy,
            tenants: &self.tenants,
            count: self.count,
            object: "pg-a",
            incident: self.incident.as_ref(),
            glass: self.glass.as_ref(),
        })
    }
}

fn sev(severity: Severity, roles: &[Role]) -> IncidentFacts {
    IncidentFacts { severity, roles: roles.to_vec() }
}

#[test]
fn a_look_needs_nothing() {
    let a = Case { mode: Mode::ReadOnly, ..Case::new() }.assess(&LOOK);
    assert_eq!((a.risk, a.confirmation, a.approvals, a.denials.len()), (Risk::Low, None, 0, 0));
}

#[test]
fn medium_on_one_tenant_is_a_dialog_without_approval() {
    let a = Case::new().assess(&CANCEL);
    assert_eq!((a.risk, a.approvals), (Risk::Medium, 0));
    assert_eq!(a.confirmation, Some(Confirmation::Keypress));
    assert_eq!(a.denials, Vec::<String>::new());
    assert!(a.reasons[0].contains("at least medium"), "{:?}", a.reasons);
}

#[test]
fn the_playbook_raises_and_never_lowers() {
    let mut case = Case::new();
    case.declared.risk = Some(Risk::Low);
    assert_eq!(case.assess(&CANCEL).risk, Risk::Medium);
    case.declared.risk = Some(Risk::High);
    let a = case.assess(&CANCEL);
    assert_eq!(a.risk, Risk::High);
    assert!(a.reasons.iter().any(|r| r.contains("the playbook says so")), "{:?}", a.reasons);
}

#[test]
fn high_on_a_live_estate_runs_only_through_broken_glass_and_in_a_declared_incident() {
    let mut case = Case::new();
    let a = case.assess(&TERMINATE);
    assert_eq!(a.confirmation, Some(Confirmation::Typed { phrase: "t017".into() }));
    assert_eq!((a.approvals, a.needs_incident, a.denials.len()), (1, true, 2), "{:?}", a.denials);
    case.incident = Some(sev(Severity::Sev1, &[]));
    assert_eq!(case.assess(&TERMINATE).denials.len(), 1);
    case.glass = Some(GlassFacts { reason: "production stands".into(), until: at(1) });
    let a = case.assess(&TERMINATE);
    assert_eq!(a.denials, Vec::<String>::new());
    assert!(a.reasons.iter().any(|r| r.contains("production stands")), "{:?}", a.reasons);
    case.glass = Some(GlassFacts { reason: "production stands".into(), until: at(0) });
    assert_eq!(case.assess(&TERMINATE).denials.len(), 1, "a mended glass does not help");
}

#[test]
fn in_a_drill_the_second_person_is_simulated_and_said_to_be() {
    let case = Case { mode: Mode::Drill, incident: Some(sev(Severity::Sev2, &[])), ..Case::new() };
    let a = case.assess(&TERMINATE);
    assert_eq!((a.approvals, a.denials.len()), (1, 0));
    assert!(a.reasons.iter().any(|r| r.contains("simulated")), "{:?}", a.reasons);
}

#[test]
fn medium_that_reaches_two_tenants_needs_an_approval() {
    let case = Case { tenants: vec!["t003".into(), "t017".into()], ..Case::new() };
    let a = case.assess(&CANCEL);
    assert_eq!((a.risk, a.approvals, a.denials.len()), (Risk::Medium, 1, 1));
}

#[test]
fn low_is_raised_by_reach_and_number_in_production_only() {
    let many = Case { count: 21, ..Case::new() };
    assert_eq!(many.assess(&RESTART).risk, Risk::Medium);
    assert_eq!(Case { environment: Environment::Staging, ..many }.assess(&RESTART).risk, Risk::Low);
    let mut wide = Case::new();
    wide.declared.blast_radius = Some(BlastRadius::Region);
    assert_eq!(wide.assess(&RESTART).risk, Risk::High);
}

#[test]
fn low_runs_without_a_key_only_where_the_playbook_says_so_on_a_dedicated_tenant() {
    let mut case = Case::new();
    assert_eq!(case.assess(&RESTART).confirmation, Some(Confirmation::Keypress));
    case.declared.auto_run_low = true;
    assert_eq!(case.assess(&RESTART).confirmation, None);
    assert_eq!(case.assess(&CANCEL).confirmation, Some(Confirmation::Keypress), "medium never");
    case.tenancy = Some(Tenancy::MultiTenant);
    assert_eq!(case.assess(&RESTART).confirmation, Some(Confirmation::Keypress));
}

#[test]
fn requirements_of_the_playbook_deny_with_a_sentence() {
    let mut case = Case::new();
    case.declared.role = Some(Role::Dba);
    case.declared.severity_at_least = Some(Severity::Sev2);
    case.incident = Some(sev(Severity::Sev3, &[Role::Commander]));
    let a = case.assess(&CANCEL);
    assert_eq!(a.denials.len(), 2, "{:?}", a.denials);
    case.incident = Some(sev(Severity::Sev1, &[Role::Dba]));
    assert_eq!(case.assess(&CANCEL).denials, Vec::<String>::new());
    assert_eq!(Case { mode: Mode::ReadOnly, ..case }.assess(&CANCEL).denials.len(), 1);
}
