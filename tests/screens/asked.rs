//! The overlay of requests: what it shows, and that nothing is signed that was not read.

use crate::fixture::{at, console, request, snapshot};
use crate::{press, screen, type_text};
use quarterdeck::console::effect::Effect;
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::State;
use quarterdeck::console::update;
use quarterdeck::domain::incident::Role;
use quarterdeck::domain::risk::ApprovalTerms;
use quarterdeck::engine::api::{Decision, LogPoint, RequestState, RequestSubject, RequestView, Snapshot};
use quarterdeck::policy::digest::of_document;
use serde_json::json;
use std::sync::Arc;

fn asked(id: &str) -> RequestView {
    let document = json!({
        "v": 1, "mode": "live", "playbook": "schema-lock", "playbook_version": 3, "run": "RUN-9", "step": "terminate",
        "request": request(4711), "preconditions": ["signals.lock.blocked > 0"], "timeout_ms": "10000",
    });
    RequestView {
        id: id.into(),
        subject: RequestSubject::Step,
        title: "RUN-9 terminate: backend 4711 of database t017".into(),
        digest: of_document(&document).unwrap(),
        document,
        incident: Some("INC-42".into()),
        run: Some("RUN-9".into()),
        step: Some("terminate".into()),
        requester: Some("mara".into()),
        operator: Some("mara".into()),
        asked_at: at("02:10:00"),
        escalate_at: None,
        escalated: false,
        not_after: at("02:25:00"),
        nonce: format!("{:0>64}", id.len()),
        log: LogPoint { origin: "quarterdeck/plant".into(), size: 1215, root: "q83vEjRWeJo=".into() },
        needed: 1,
        terms: ApprovalTerms {
            roles: vec![Role::Approver],
            also: vec![Role::BusinessOwner],
            not_requester: true,
            not_operator: true,
            security_key: false,
            login: false,
            timeout_s: 900,
            escalates: false,
        },
        granted: vec![],
        state: RequestState::Open,
        why: None,
        seq: 1200,
    }
}

fn with(requests: Vec<RequestView>) -> Snapshot {
    Snapshot { requests: Arc::new(requests), ..snapshot() }
}

fn signs(effects: &[Effect]) -> Vec<(String, Decision, Role, String)> {
    let sign = |e: &Effect| match e {
        Effect::Sign { request, decision, role, reason, .. } => {
            Some((request.id.clone(), *decision, *role, reason.clone()))
        }
        _ => None,
    };
    effects.iter().filter_map(sign).collect()
}

fn open() -> State {
    let mut state = console(with(vec![asked("REQ-3"), asked("REQ-12")]), 80, 24);
    press(&mut state, "A");
    state
}

#[test]
fn it_is_shown_in_full_with_target_count_and_digest_on_every_page() {
    let mut state = open();
    insta::assert_snapshot!("requests_80x24", screen(&state));
    let digest = asked("REQ-3").digest.to_string();
    let mut seen = String::new();
    for _ in 0..12 {
        let page = screen(&state);
        for part in ["backend 4711", "count 1", &digest] {
            assert!(page.contains(part), "{part} is not on every page:\n{page}");
        }
        seen.push_str(&page);
        press(&mut state, "PgDn");
    }
    insta::assert_snapshot!("requests_read_80x24", screen(&state));
    for part in ["pg_terminate_backend", "signals.lock.blocked", "quarterdeck/plant", "asked by mara"] {
        assert!(seen.contains(part), "{part} was never shown");
    }
}

#[test]
fn nothing_is_signed_before_its_end_was_on_the_screen() {
    let mut state = open();
    let effects = press(&mut state, "Tab Tab Enter");
    assert!(signs(&effects).is_empty());
    assert!(screen(&state).contains("read the request to its end first"));
    let effects = press(&mut state, "End Enter");
    assert_eq!(signs(&effects), [("REQ-3".into(), Decision::Approve, Role::Approver, String::new())]);
    assert!(state.overlays.is_empty());

    // Enter on Cancel signs nothing, also when it was read.
    let mut state = open();
    assert!(signs(&press(&mut state, "End Enter")).is_empty());
    assert!(state.overlays.is_empty());
}

#[test]
fn a_no_takes_a_reason_and_another_role_or_request_is_a_key_away() {
    let mut state = open();
    press(&mut state, "n r End Tab Enter");
    assert!(screen(&state).contains("Deny REQ-12"), "{}", screen(&state));
    type_text(&mut state, "wrong tenant");
    let effects = press(&mut state, "Tab Tab Enter");
    assert_eq!(signs(&effects), [("REQ-12".into(), Decision::Deny, Role::BusinessOwner, "wrong tenant".into())]);
}

#[test]
fn a_request_that_is_over_closes_and_one_that_lies_can_not_be_signed() {
    let mut state = open();
    let mut over = asked("REQ-3");
    over.state = RequestState::Void;
    update(&mut state, Msg::Snapshot(Arc::new(with(vec![over]))));
    assert!(state.overlays.is_empty());
    assert!(screen(&state).contains("changed while you were reading"));

    let mut liar = asked("REQ-3");
    liar.document["request"]["target"]["object"] = json!("backend 1");
    let mut state = console(with(vec![liar]), 80, 24);
    let effects = press(&mut state, "A End Tab Tab Enter");
    assert!(signs(&effects).is_empty());
    assert!(screen(&state).contains("the digest is not that of what is shown"));
    let mut state = console(with(vec![]), 80, 24);
    press(&mut state, "A");
    assert!(screen(&state).contains("no request waits"));
}
