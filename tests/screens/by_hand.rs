//! Business by hand from the console: each key ends in the command that it says, or in a sentence.

use crate::fixture::{at, calm, console, snapshot};
use crate::keys::commands;
use crate::{press, screen, type_text};
use quarterdeck::console::state::State;
use quarterdeck::domain::by_hand::Hand;
use quarterdeck::domain::health::Health;
use quarterdeck::domain::id::Person;
use quarterdeck::domain::pane::SubjectRow;
use quarterdeck::domain::signal::Subject;
use quarterdeck::engine::api::{ByHand, Command, Measure};
use std::sync::Arc;

/// The pane Business with one row by hand, under the cursor.
fn business(measure: &str) -> State {
    let mut snapshot = snapshot();
    let row = SubjectRow {
        subject: Subject::ByHand { tenant: "t017".into(), measure: measure.into() },
        kind: "by hand".into(),
        name: "shipping t017/Kassel".into(),
        tenant: Some("t017".into()),
        owner: Some("olga".into()),
        health: Health::Warn,
        why: "olga has not acknowledged; labels from the roll".into(),
        signals: Vec::new(),
        more: 0,
        trend: Vec::new(),
        age_s: Some(60.0),
    };
    let panes = Arc::make_mut(&mut snapshot.panes);
    panes.business = vec![row];
    let mut state = console(snapshot, 80, 24);
    press(&mut state, "8");
    state
}

fn acts(state: &mut State, keys: &str) -> Vec<ByHand> {
    let effects = press(state, keys);
    let act = |c: &&Command| match c {
        Command::ByHand { act } => act.clone(),
        other => panic!("{other:?}"),
    };
    commands(&effects).iter().map(act).collect()
}

#[test]
fn a_fallback_begins_with_the_tenant_of_the_row_and_says_what_it_lacks() {
    let mut state = business("fallback/shipping/t017/Kassel");
    assert_eq!(acts(&mut state, "P Right Enter Enter"), []);
    type_text(&mut state, "Kassel");
    assert_eq!(acts(&mut state, "Enter Enter"), []);
    type_text(&mut state, "labels from the roll");
    assert_eq!(acts(&mut state, "Enter"), [], "nobody owns it yet");
    assert!(screen(&state).contains("`owner` is needed"), "{}", screen(&state));
    press(&mut state, "Up");
    type_text(&mut state, "olga");
    assert_eq!(
        acts(&mut state, "Enter Enter"),
        [ByHand::Start {
            process: Hand::Shipping,
            tenant: "t017".into(),
            plant: Some("Kassel".into()),
            owner: Person::new("olga"),
            how: "labels from the roll".into(),
        }]
    );
}

#[test]
fn what_is_by_hand_is_known_ended_and_compared_from_its_row() {
    let measure = "fallback/shipping/t017/Kassel".to_owned();
    let mut state = business(&measure);
    assert_eq!(acts(&mut state, "x"), [ByHand::Acknowledge { measure: measure.clone() }]);
    let mut state = business(&measure);
    press(&mut state, "h Right Enter Enter");
    assert_eq!(acts(&mut state, "Enter"), [ByHand::End { measure }]);

    let papers = "reconcile/shipping/t017/Kassel".to_owned();
    let mut state = business(&papers);
    assert_eq!(acts(&mut state, "x"), [], "papers have no owner who acknowledges");
    press(&mut state, "h Enter");
    type_text(&mut state, "many");
    press(&mut state, "Enter");
    type_text(&mut state, "41");
    assert_eq!(acts(&mut state, "Enter Enter Enter Enter"), []);
    assert!(screen(&state).contains("a whole number is asked for"), "{}", screen(&state));
    press(&mut state, "Up Up Up Up Backspace Backspace Backspace Backspace");
    type_text(&mut state, "42");
    press(&mut state, "Enter Enter");
    type_text(&mut state, "one sheet was void");
    assert_eq!(
        acts(&mut state, "Enter Enter Enter"),
        [ByHand::Reconcile { measure: papers, sheets: 42, documents: 41, text: "one sheet was void".into() }]
    );
}

#[test]
fn without_an_incident_or_a_row_by_hand_a_sentence_says_so() {
    let mut state = console(calm(), 80, 24);
    assert_eq!(acts(&mut state, "P"), []);
    assert!(screen(&state).contains("no incident is open"), "{}", screen(&state));
    let mut state = console(snapshot(), 80, 24);
    assert_eq!(acts(&mut state, "8 x"), []);
    assert!(screen(&state).contains("nothing under the cursor is done by hand"), "{}", screen(&state));
    assert_eq!(acts(&mut state, "h"), []);
    assert!(screen(&state).contains("nothing under the cursor is a measure"), "{}", screen(&state));
}

#[test]
fn the_incident_offers_the_same_for_its_measures() {
    let mut snapshot = snapshot();
    let measure = Measure {
        id: "fallback/priorities/t017".into(),
        what: "t017: orders have an order of priority: hospitals first".into(),
        by: "mara".into(),
        since: at("02:05:00"),
        incident: Some("INC-42".into()),
        lift: "quarterdeck continuity end".into(),
        owner: None,
        asked: Some(Person::new("olga")),
        acknowledged: None,
    };
    snapshot.measures = vec![measure];
    let mut state = console(snapshot, 80, 24);
    press(&mut state, "n Tab");
    assert_eq!(acts(&mut state, "x"), [ByHand::Acknowledge { measure: "fallback/priorities/t017".into() }]);
}
