use super::*;
use crate::domain::estate::Environment;
use crate::domain::request::{Operation, Target};
use crate::domain::risk::{ApprovalTerms, Risk};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_700_000_000_000 + ms).unwrap()
}

fn request(pid: u32) -> Request {
    Request {
        verb: "postgres.terminate_backend".into(),
        target: Target {
            source: "pg-a".into(),
            identity: "7412".into(),
            environment: Environment::Production,
            object: format!("backend {pid}"),
            tenants: vec!["t017".into()],
            count: 1,
        },
        operation: Operation::Sql {
            database: "t017".into(),
            statement: "select pg_terminate_backend($1)".into(),
            parameters: vec![pid.to_string()],
        },
        server_checks: vec![],
        hurts: "one session".into(),
        undo: "none".into(),
        by_hand: "psql".into(),
    }
}

struct Case {
    now: Timestamp,
    mode: Mode,
    playbook: PlaybookId,
    run: RunId,
    step: StepId,
    request: Request,
    generation: u64,
    assessment: Assessment,
    checks: Vec<Checked>,
    confirmed: Option<Confirmed>,
    approvals: Vec<Approval>,
    requester: Option<Person>,
    operator: Option<Person>,
    proven: Option<Person>,
    incident: Option<IncidentId>,
    intended_digest: Digest,
    intended: Option<Durable>,
    started: Option<Durable>,
    witnessed: Option<Witnessed>,
}

impl Case {
    /// Everything as it must be for a high step under a broken glass.
    fn good() -> Self {
        let (playbook, run, step) = (PlaybookId::from("schema-lock"), RunId::from("RUN-1"), StepId::from("terminate"));
        let text = "signals.lock.blocked > 0".to_owned();
        let digest = digest(&Bound {
            mode: Mode::Live,
            playbook: (&playbook, 3),
            run: Some(&run),
            step: &step,
            request: &request(4711),
            preconditions: std::slice::from_ref(&text),
            timeout: Duration::from_secs(10),
        })
        .unwrap();
        Self {
            now: at(0),
            mode: Mode::Live,
            playbook,
            run,
            step,
            request: request(4711),
            generation: 4,
            assessment: Assessment {
                risk: Risk::High,
                reasons: vec![],
                confirmation: Some(Confirmation::Typed { phrase: "t017".into() }),
                login: false,
                approvals: 1,
                terms: None,
                needs_incident: true,
                denials: vec![],
            },
            checks: vec![Checked { text, holds: Some(true), evaluated_at: at(-1000) }],
            confirmed: Some(Confirmed {
                digest: digest.clone(),
                generation: 4,
                typed: Some("t017".into()),
                login: None,
                record: Durable::new(11),
            }),
            approvals: vec![Approval::Glass { until: at(60_000), record: Durable::new(2) }],
            requester: Some("mara".into()),
            operator: Some("mara".into()),
            proven: Some("mara".into()),
            incident: Some(IncidentId::from("INC-1")),
            intended_digest: digest,
            intended: Some(Durable::new(10)),
            started: Some(Durable::new(12)),
            witnessed: Some(Witnessed { needed: 2, confirmed: 2, size: 13, glass: None }),
        }
    }

    fn authorize(&self) -> Result<Authorized, Denial> {
        authorize(&Gate {
            now: self.now,
            mode: self.mode,
            playbook: (&self.playbook, 3),
            run: &self.run,
            step: &self.step,
            request: &self.request,
            timeout: Duration::from_secs(10),
            generation: self.generation,
            assessment: &self.assessment,
            checks: &self.checks,
            confirmed: self.confirmed.as_ref(),
            approvals: &self.approvals,
            requester: self.requester.as_ref(),
            operator: self.operator.as_ref(),
            proven: self.proven.as_ref(),
            incident: self.incident.as_ref(),
            intended_digest: &self.intended_digest,
            intended: self.intended,
            started: self.started,
            witnessed: self.witnessed,
        })
    }

    /// The same with the signatures of these people, as approvers, in the place of the broken glass.
    fn signed(people: &[&str]) -> Self {
        let mut case = Self::good();
        case.assessment.terms = Some(ApprovalTerms {
            roles: vec![Role::Approver],
            also: vec![],
            not_requester: true,
            not_operator: true,
            security_key: false,
            login: false,
            timeout_s: 900,
            escalates: false,
        });
        let digest = case.intended_digest.clone();
        let one = |person: &&str| Approval::Signed {
            person: Person::new(*person),
            role: Role::Approver,
            digest: digest.clone(),
            not_after: at(60_000),
            security_key: false,
            login: false,
            record: Durable::new(11),
        };
        case.approvals = people.iter().map(one).collect();
        case
    }

    /// Why signed approvals do not count after a change of the case, or of the first of them.
    fn not_signed(people: &[&str], change: impl FnOnce(&mut Self)) -> Denial {
        let mut case = Self::signed(people);
        change(&mut case);
        case.authorize().unwrap_err()
    }

    fn denied(change: impl FnOnce(&mut Self)) -> Denial {
        let mut case = Self::good();
        change(&mut case);
        case.authorize().unwrap_err()
    }
}

#[test]
fn the_permit_holds_what_was_confirmed() {
    let case = Case::good();
    let permit = case.authorize().unwrap();
    assert_eq!(permit.request(), &request(4711));
    assert_eq!(permit.digest(), &case.intended_digest);
    assert_eq!((permit.run(), permit.step()), (&case.run, &case.step));
    assert_eq!(permit.timeout(), Duration::from_secs(10));
    let behalf = permit.behalf().unwrap();
    assert_eq!((&behalf.person, &behalf.run, &behalf.step), (&Person::from("mara"), &case.run, &case.step));
    let claimed = Case { proven: None, ..Case::good() };
    assert_eq!(claimed.authorize().unwrap().behalf(), None, "who is only claimed to have confirmed names nobody");
}

#[test]
fn another_request_is_refused_even_with_an_honest_confirmation() {
    assert!(matches!(Case::denied(|c| c.request = request(4712)), Denial::NotIntended { .. }));
    let both = Case::denied(|c| {
        c.request = request(4712);
        c.intended_digest = digest(&Bound {
            mode: c.mode,
            playbook: (&c.playbook, 3),
            run: Some(&c.run),
            step: &c.step,
            request: &c.request,
            preconditions: &[c.checks[0].text.clone()],
            timeout: Duration::from_secs(10),
        })
        .unwrap();
    });
    assert!(matches!(both, Denial::Changed { .. }));
}

#[test]
fn every_bound_part_changes_the_digest() {
    for change in [
        (|c: &mut Case| c.mode = Mode::Drill) as fn(&mut Case),
        |c| c.run = RunId::from("RUN-2"),
        |c| c.step = StepId::from("other"),
        |c| c.playbook = PlaybookId::from("other"),
        |c| c.request.target.identity = "7413".into(),
        |c| c.request.target.environment = Environment::Staging,
        |c| c.checks[0].text.push(' '),
        |c| c.checks.clear(),
    ] {
        assert!(matches!(Case::denied(change), Denial::NotIntended { .. }));
    }
}

#[test]
fn nothing_passes_without_its_confirmation() {
    assert_eq!(Case::denied(|c| c.confirmed = None), Denial::NotConfirmed);
    assert_eq!(Case::denied(|c| c.generation = 5), Denial::Generation { now: 5, confirmed: 4 });
    let phrase = Denial::Phrase { expected: "t017".into() };
    assert_eq!(Case::denied(|c| c.confirmed.as_mut().unwrap().typed = Some("t018".into())), phrase);
    assert_eq!(Case::denied(|c| c.confirmed.as_mut().unwrap().typed = None), phrase);
}

#[test]
fn preconditions_must_be_true_known_and_fresh() {
    assert!(matches!(Case::denied(|c| c.checks[0].holds = Some(false)), Denial::False(_)));
    assert!(matches!(Case::denied(|c| c.checks[0].holds = None), Denial::NotKnown(_)));
    assert!(matches!(Case::denied(|c| c.checks[0].evaluated_at = at(-5001)), Denial::Stale { age_ms: 5001, .. }));
    assert!(matches!(Case::denied(|c| c.checks[0].evaluated_at = at(1)), Denial::Stale { .. }));
}

#[test]
fn the_second_person_is_there_or_the_glass_is_broken() {
    assert_eq!(Case::denied(|c| c.approvals.clear()), Denial::NotApproved { needed: 1, have: 0 });
    let expired = Case::denied(|c| {
        c.now = at(60_000);
        c.checks[0].evaluated_at = at(60_000);
    });
    assert_eq!(expired, Denial::GlassExpired(at(60_000)));
    let simulated = vec![Approval::Simulated { record: Durable::new(11) }];
    assert_eq!(Case::denied(|c| c.approvals = simulated), Denial::SimulatedOutsideDrill);
}

#[test]
fn mode_policy_and_incident_come_first() {
    assert_eq!(Case::denied(|c| c.mode = Mode::ReadOnly), Denial::Mode(Mode::ReadOnly));
    assert_eq!(Case::denied(|c| c.mode = Mode::Replay), Denial::Mode(Mode::Replay));
    assert!(matches!(Case::denied(|c| c.assessment.denials.push("no".into())), Denial::Policy(_)));
    assert_eq!(Case::denied(|c| c.incident = None), Denial::NoIncident);
}

#[test]
fn records_must_be_durable_and_in_order() {
    assert!(matches!(Case::denied(|c| c.intended = None), Denial::NotDurable(_)));
    assert!(matches!(Case::denied(|c| c.started = None), Denial::NotDurable(_)));
    assert!(matches!(Case::denied(|c| c.started = Some(Durable::new(9))), Denial::NotDurable(_)));
    assert!(matches!(Case::denied(|c| c.started = Some(Durable::new(11))), Denial::NotDurable(_)));
    let late = vec![Approval::Glass { until: at(60_000), record: Durable::new(13) }];
    assert!(matches!(Case::denied(|c| c.approvals = late), Denial::NotDurable(_)));
}

#[test]
fn a_high_step_waits_for_its_witnesses_unless_the_glass_is_broken() {
    let said = |change: fn(&mut Witnessed)| move |c: &mut Case| c.witnessed.iter_mut().for_each(change);
    let too_few = Case::denied(said(|w| w.confirmed = 1));
    assert_eq!(too_few, Denial::NotWitnessed { needed: 2, confirmed: 1 });
    // The start has number 12, so a tree of 12 records does not hold it.
    assert!(matches!(Case::denied(said(|w| w.size = 12)), Denial::NotWitnessed { .. }));
    let expired = Case::denied(said(|w| (w.size, w.glass) = (0, Some(at(0)))));
    assert!(matches!(expired, Denial::NotWitnessed { .. }));
    let mut case = Case::good();
    said(|w| (w.size, w.confirmed, w.glass) = (0, 0, Some(at(1))))(&mut case);
    assert!(case.authorize().is_ok());
    let mut case = Case::good();
    said(|w| w.size = 0)(&mut case);
    case.assessment.risk = Risk::Medium;
    assert!(case.authorize().is_ok());
}

/// Changes the first signed approval.
fn first(c: &mut Case, change: impl FnOnce(&mut Role, &mut Digest, &mut Timestamp, &mut Durable)) {
    if let Some(Approval::Signed { role, digest, not_after, record, .. }) = c.approvals.first_mut() {
        change(role, digest, not_after, record);
    }
}

#[test]
fn signatures_of_other_people_let_it_pass_and_one_person_counts_once() {
    assert!(Case::signed(&["ines"]).authorize().is_ok());
    let mut two = Case::signed(&["ines", "bo"]);
    two.assessment.approvals = 2;
    assert!(two.authorize().is_ok());
    let twice = Case::not_signed(&["ines", "ines"], |c| c.assessment.approvals = 2);
    assert_eq!(twice, Denial::NotApproved { needed: 2, have: 1 }, "a second key is not a second person");
}

#[test]
fn nobody_approves_their_own_step_and_who_asked_is_known() {
    let own = Denial::SelfApproved("mara".into());
    assert_eq!(Case::not_signed(&["mara"], |c| c.operator = Some("olli".into())), own);
    assert_eq!(Case::not_signed(&["mara"], |c| c.requester = Some("olli".into())), own);
    assert_eq!(Case::not_signed(&["ines"], |c| c.requester = None), Denial::NobodyAsked);
    assert_eq!(Case::not_signed(&["ines"], |c| c.operator = None), Denial::NobodyAsked);
    // One signature that does not count spoils the set: nobody smuggles one in beside a good one.
    assert_eq!(Case::not_signed(&["ines", "mara"], |_| {}), own);
}

#[test]
fn a_signature_counts_for_its_request_its_role_and_its_time() {
    let other = Case::not_signed(&["ines"], |c| first(c, |_, digest, _, _| *digest = Digest::from_bytes(&[1; 32])));
    assert!(matches!(other, Denial::OtherApproved { .. }));
    let over = Case::not_signed(&["ines"], |c| first(c, |_, _, not_after, _| *not_after = at(0)));
    assert!(matches!(over, Denial::ApprovalOver { .. }));
    let role = Case::not_signed(&["ines"], |c| first(c, |role, _, _, _| *role = Role::Dba));
    assert!(matches!(role, Denial::Role { .. }));
    let terms = |c: &mut Case, change: fn(&mut ApprovalTerms)| c.assessment.terms.iter_mut().for_each(change);
    let missing = Case::not_signed(&["ines"], |c| terms(c, |t| t.also = vec![Role::BusinessOwner]));
    assert_eq!(missing, Denial::RoleMissing(Role::BusinessOwner));
    let touch = Case::not_signed(&["ines"], |c| terms(c, |t| t.security_key = true));
    assert_eq!(touch, Denial::NoSecurityKey("ines".into()));
    for record in [9, 12] {
        let order = Case::not_signed(&["ines"], |c| first(c, |_, _, _, r| *r = Durable::new(record)));
        assert!(matches!(order, Denial::NotDurable(_)), "{order}");
    }
}

#[test]
fn where_people_log_in_it_is_who_executes_and_each_who_approves_that_has() {
    let asks = |c: &mut Case| {
        c.assessment.login = true;
        c.assessment.terms.iter_mut().for_each(|t| t.login = true);
    };
    let logged_in = |c: &mut Case, who: Option<&str>| {
        c.confirmed.iter_mut().for_each(|given| given.login = who.map(Person::new));
    };
    let approver = |c: &mut Case| {
        for given in &mut c.approvals {
            if let Approval::Signed { login, .. } = given {
                *login = true;
            }
        }
    };
    let denial = |change: &dyn Fn(&mut Case)| {
        Case::not_signed(&["ines"], |c| {
            asks(c);
            change(c);
        })
    };
    assert_eq!(denial(&|_| {}), Denial::NotLoggedIn);
    assert_eq!(denial(&|c| c.confirmed = None), Denial::NotLoggedIn, "also where nothing else asks for a confirmation");
    assert_eq!(denial(&|c| logged_in(c, Some("olli"))), Denial::OtherLoggedIn("olli".into()));
    assert_eq!(denial(&|c| logged_in(c, Some("mara"))), Denial::ApproverNotLoggedIn("ines".into()));
    let mut both = Case::signed(&["ines"]);
    asks(&mut both);
    logged_in(&mut both, Some("mara"));
    approver(&mut both);
    assert!(both.authorize().is_ok());
    // A broken glass stands for those who approve, never for who executes.
    let mut glass = Case::good();
    glass.assessment.login = true;
    assert_eq!(glass.authorize().unwrap_err(), Denial::NotLoggedIn);
}
