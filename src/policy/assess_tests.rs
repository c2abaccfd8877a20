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
    policy: Policy,
    people: PeopleFacts,
    freeze: Option<FreezeFacts>,
    provider: bool,
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
            policy: Policy::shipped(),
            people: PeopleFacts::default(),
            freeze: None,
            provider: true,
        }
    }

    /// With a roster: mara asks, ines and bo approve, otto owns the business.
    fn with(policy: &str) -> Self {
        let mut text = String::new();
        for (name, role) in
            [("mara", "commander"), ("ines", "approver"), ("bo", "approver"), ("otto", "business-owner")]
        {
            text.push_str(&format!("[[person]]\nname = \"{name}\"\nuser = \"{name}\"\nroles = [\"{role}\"]\n"));
        }
        let policy = Policy::decode("policy.toml", &format!("{text}{policy}")).unwrap();
        let people =
            PeopleFacts { requester: Some("mara".into()), user: "mara".into(), standing: policy.standing(at(0)) };
        Self { policy, people, incident: Some(sev(Severity::Sev1, &[])), ..Self::new() }
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
            policy: &self.policy,
            people: &self.people,
            freeze: self.freeze.as_ref(),
            provider: self.provider,
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

#[test]
fn a_second_person_is_asked_for_whom_the_roster_knows_and_who_is_not_the_one_who_asks() {
    // Nobody has a key here, which decoding would refuse where a quorum is asked for: the strict defaults stand.
    let mut case = Case::with("");
    case.policy.raises.clear();
    let a = case.assess(&TERMINATE);
    assert_eq!((a.approvals, a.denials), (1, vec![]));
    let terms = a.terms.unwrap();
    assert!(terms.not_requester && terms.not_operator && !terms.security_key && !terms.escalates);
    case.people.requester = None;
    assert!(case.assess(&TERMINATE).denials[0].contains("does not know you"));
    case.people.requester = Some("mara".into());
    case.declared.approver_roles = vec![Role::Commander];
    assert!(case.assess(&TERMINATE).denials[0].contains("0 besides you"), "only mara commands");
    case.declared.approver_roles = vec![Role::Approver];
    case.declared.quorum = 3;
    assert!(case.assess(&TERMINATE).denials[0].contains("2 besides you"));
}

#[test]
fn a_decision_right_brings_in_the_business_owner() {
    let right = "[[right]]\nverbs = [\"postgres.*\"]\nrisk = \"high\"\nneeds = \"business-owner\"\nbecause = \"it loses data\"\n";
    let mut case = Case::with(right);
    let a = case.assess(&TERMINATE);
    assert_eq!((a.approvals, a.denials), (1, vec![]));
    assert_eq!(a.terms.unwrap().also, [Role::BusinessOwner]);
    assert!(a.reasons.iter().any(|r| r.contains("it loses data")), "{:?}", a.reasons);
    case.people.requester = Some("otto".into());
    assert!(case.assess(&TERMINATE).denials[0].contains("nobody besides you"));
    assert!(case.assess(&RESTART).terms.is_none_or(|t| t.also.is_empty()), "another family");
}

#[test]
fn a_freeze_raises_and_stops_unless_the_incident_has_set_it_itself() {
    let mut case = Case { policy: Policy::shipped(), ..Case::with("[freeze]\nmay_act = [\"deputy\"]\n") };
    assert_eq!(case.assess(&RESTART).risk, Risk::Low);
    case.freeze = Some(FreezeFacts { why: "month-end closing".into(), own: false });
    let a = case.assess(&RESTART);
    assert_eq!(a.risk, Risk::Medium);
    assert!(a.reasons.iter().any(|r| r.contains("month-end closing")), "{:?}", a.reasons);
    assert_eq!(a.denials, Vec::<String>::new(), "the shipped policy lets everybody act");
    case.policy.freeze_may_act = vec![Role::Deputy];
    assert!(case.assess(&RESTART).denials[0].contains("only deputy may act"));
    case.people.standing.elevate(&"mara".into(), Role::Deputy);
    assert_eq!(case.assess(&RESTART).denials, Vec::<String>::new());
    case.people.standing = Standing::default();
    case.freeze = Some(FreezeFacts { why: "by this incident".into(), own: true });
    let a = case.assess(&RESTART);
    assert_eq!((a.risk, a.denials), (Risk::Low, vec![]));
}

#[test]
fn a_second_factor_without_a_source_is_a_no() {
    let mut case = Case::with("");
    case.policy.mfa_from = Some(Risk::High);
    assert!(case.assess(&TERMINATE).denials.iter().any(|d| d.contains("the answer is no")));
    case.policy.mfa_source = Some(SecondFactor::SecurityKey);
    let a = case.assess(&TERMINATE);
    assert_eq!(a.denials, Vec::<String>::new());
    assert!(a.terms.unwrap().security_key);
    // A broken glass stands for people, not for a source that there is none of.
    case.policy.mfa_source = None;
    case.glass = Some(GlassFacts { reason: "production stands".into(), until: at(1) });
    assert!(case.assess(&TERMINATE).denials.iter().any(|d| d.contains("the answer is no")));
}

#[test]
fn who_confirms_and_who_approves_logs_in_where_that_is_the_source() {
    let mut case = Case::with("[mfa]\nfrom = \"high\"\nsource = \"oidc\"\n[automation]\nlow_risk = true\n");
    let a = case.assess(&TERMINATE);
    assert_eq!((a.login, a.denials), (true, vec![]));
    assert!(a.reasons.iter().any(|r| r.contains("logs in at the identity provider")), "{:?}", a.reasons);
    let terms = a.terms.unwrap();
    assert!(terms.login && !terms.security_key);
    let below = case.assess(&CANCEL);
    assert!(!below.login && below.terms.is_none_or(|t| !t.login), "medium lies below it");
    // A step that asks for one itself; of one that would run without a key, somebody has to press it.
    case.declared.auto_run_low = true;
    assert_eq!(case.assess(&RESTART).confirmation, None);
    case.declared.second_factor = true;
    let a = case.assess(&RESTART);
    assert_eq!((a.login, a.confirmation, a.denials), (true, Some(Confirmation::Keypress), vec![]));
    assert!(case.assess(&LOOK).denials[0].contains("nobody confirms what only looks"));
    // What only calls somebody waits for nobody.
    let calls = Declared { calls: true, ..Declared::default() };
    let called = Case { declared: calls, provider: false, ..Case::with("[mfa]\nfrom = \"low\"\nsource = \"oidc\"\n") };
    let a = called.assess(&RESTART);
    assert!(!a.login && a.denials.is_empty(), "{a:?}");
    // Nobody can prove one: without a provider, and who is not in the roster. A broken glass changes nothing in that.
    case.glass = Some(GlassFacts { reason: "production stands".into(), until: at(1) });
    case.provider = false;
    assert!(case.assess(&TERMINATE).denials[0].contains("there is no [oidc] here"));
    case.provider = true;
    assert_eq!(case.assess(&TERMINATE).denials, Vec::<String>::new());
    case.people.requester = None;
    let said = case.assess(&TERMINATE).denials;
    assert!(said.iter().any(|d| d.contains("nobody could tell that it is yours")), "{said:?}");
    // A drill asks no provider.
    let drill = Case { mode: Mode::Drill, ..case }.assess(&TERMINATE);
    assert!(!drill.login && drill.reasons.iter().any(|r| r.contains("the second factor is simulated")));
}

#[test]
fn a_second_factor_takes_an_approval_also_where_the_risk_alone_takes_none() {
    let mut case = Case::with("[approvals.medium]\nquorum = 0\nroles = [\"approver\"]\n");
    assert_eq!(case.assess(&CANCEL).approvals, 0);
    case.policy.mfa_from = Some(Risk::Medium);
    assert!(case.assess(&CANCEL).denials.iter().any(|d| d.contains("the answer is no")));
    case.policy.mfa_source = Some(SecondFactor::SecurityKey);
    let a = case.assess(&CANCEL);
    assert_eq!((a.approvals, a.denials), (1, vec![]));
    assert!(a.reasons.iter().any(|r| r.contains("a second factor at medium risk")), "{:?}", a.reasons);
    assert!(a.terms.unwrap().security_key);
    assert!(case.assess(&RESTART).terms.is_none_or(|t| !t.security_key), "low lies below it");
}

#[test]
fn a_rule_for_production_hours_raises_within_them_only() {
    let hours = |from: &str, to: &str| {
        format!(
            "[[window]]\nname = \"plant\"\nkind = \"production\"\nzone = \"UTC\"\nfrom = \"{from}\"\nto = \"{to}\"\n\
             [[raise]]\nto = \"high\"\nwindow = \"production\"\nverb = \"postgres.*\"\nbecause = \"{{window}} depends on it\"\n"
        )
    };
    // 22:13:20 of a day.
    let within = Case::with(&hours("22:00", "23:00")).assess(&CANCEL);
    assert_eq!(within.risk, Risk::High);
    assert!(within.reasons.iter().any(|r| r.contains("plant depends on it")), "{:?}", within.reasons);
    assert_eq!(Case::with(&hours("23:00", "23:30")).assess(&CANCEL).risk, Risk::Medium);
}

#[test]
fn no_rule_of_a_policy_lowers_a_risk() {
    for risk in ["low", "medium", "high"] {
        let mut case = Case::with(&format!("[[raise]]\nto = \"{risk}\"\nbecause = \"x\"\n"));
        case.declared.risk = Some(Risk::Low);
        for verb in [&RESTART, &CANCEL, &TERMINATE] {
            assert!(case.assess(verb).risk >= verb.risk_floor, "{risk} {}", verb.name);
        }
    }
}

#[test]
fn outside_its_change_window_a_change_needs_the_freeze_approver_and_says_when_it_opens() {
    let nightly = "[[window]]\nname = \"nightly\"\nkind = \"change\"\nzone = \"UTC\"\nfrom = \"22:30\"\nto = \"05:00\"\n\
                   [freeze]\napprover = \"business-owner\"\n";
    let mut case = Case::with(nightly);
    let window = |calendar: &str, approvable| Some(ChangeWindowFacts { calendar: calendar.into(), approvable });
    case.declared.change_window = window("nightly", true);
    // 22:13:20 of a day; the window opens at 22:30.
    let a = case.assess(&CANCEL);
    assert_eq!((a.risk, a.approvals), (Risk::Medium, 1));
    assert_eq!(a.terms.unwrap().also, [Role::BusinessOwner]);
    assert!(
        a.reasons.iter().any(|r| r.contains("`nightly` is closed; it opens at 2023-11-14T22:30:00Z")),
        "{:?}",
        a.reasons
    );
    assert!(case.assess(&RESTART).terms.is_none_or(|t| t.also.is_empty()), "low risk is not held up by it");
    case.declared.change_window = window("weekend", true);
    let a = case.assess(&CANCEL);
    assert!(a.reasons.iter().any(|r| r.contains("knows no change window `weekend`")), "{:?}", a.reasons);
    assert_eq!(a.approvals, 1, "what is not known is not open");
    case.declared.change_window = window("nightly", false);
    assert!(case.assess(&CANCEL).denials.iter().any(|d| d.contains("does not run")));
    let open = nightly.replace("22:30", "22:00").replace("business-owner", "approver");
    case.policy = Policy::decode("policy.toml", &format!("{open}[approvals.medium]\nquorum = 0\n")).unwrap();
    let a = case.assess(&CANCEL);
    assert_eq!((a.approvals, a.denials), (0, vec![]), "within the window it is a step like any other");
}
