//! Sequences of keys: what they lead to, and above all what they never lead to.

use crate::fixture::{at, calm, console, drill, entry, later, request, run, snapshot};
use crate::{key, press, screen, type_text};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use proptest::prelude::*;
use quarterdeck::console::effect::{Effect, RequestId};
use quarterdeck::console::msg::Msg;
use quarterdeck::console::start::{Choice, Start};
use quarterdeck::console::state::{Overlay, PaneId, Scanned, Screen, State};
use quarterdeck::console::update;
use quarterdeck::domain::health::Health;
use quarterdeck::domain::id::Digest;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::risk::Confirmation;
use quarterdeck::engine::api::{Command, Glass, Reply, RunState, RunView, Snapshot, StepState};
use std::collections::BTreeMap;
use std::sync::Arc;

pub fn commands(effects: &[Effect]) -> Vec<&Command> {
    effects
        .iter()
        .filter_map(|e| match e {
            Effect::Command { command, .. } => Some(command),
            _ => None,
        })
        .collect()
}

fn confirms(effects: &[Effect]) -> usize {
    commands(effects).iter().filter(|c| matches!(c, Command::Confirm { .. })).count()
}

/// The night with the run changed.
pub fn with_run(change: impl FnOnce(&mut RunView)) -> Snapshot {
    let mut snapshot = snapshot();
    let mut run = run();
    change(&mut run);
    snapshot.runs = Arc::new(vec![run]);
    snapshot
}

/// The same run with a step that a press of a key confirms.
pub fn pressed() -> Snapshot {
    with_run(|run| {
        if let Some(assessment) = &mut run.steps[2].assessment {
            assessment.confirmation = Some(Confirmation::Keypress);
        }
    })
}

fn give(state: &mut State, snapshot: Snapshot) {
    update(state, Msg::Snapshot(Arc::new(snapshot)));
}

pub fn has_confirm(state: &State) -> bool {
    state.overlays.iter().any(|o| matches!(o, Overlay::Confirm(_)))
}

#[test]
fn enter_on_cancel_never_confirms() {
    for snapshot in [snapshot(), pressed()] {
        let mut state = console(snapshot, 120, 40);
        let effects = press(&mut state, "Space Enter Enter");
        assert!(effects.is_empty(), "{effects:?}");
        assert!(state.overlays.is_empty());
        assert!(screen(&state).contains("cancelled: nothing was sent"));
    }
}

#[test]
fn what_is_next_is_the_step_in_hand_wherever_the_cursor_stands() {
    for moved in ["End", "Home", "Up", "Down Down"] {
        let mut state = console(snapshot(), 120, 40);
        press(&mut state, &format!("Space {moved} Space"));
        assert!(has_confirm(&state), "{moved}: {}", screen(&state));
        press(&mut state, "Tab");
        type_text(&mut state, "t017");
        let effects = press(&mut state, "Enter");
        let sent = commands(&effects);
        assert!(
            matches!(sent[..], [Command::Confirm { step, .. }] if step.as_str() == "terminate"),
            "{moved}: {sent:?}"
        );
    }
}

#[test]
fn what_is_confirmed_is_what_was_shown() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "Space Enter Tab");
    type_text(&mut state, "t017");
    let effects = press(&mut state, "Enter");
    let step = &run().steps[2];
    assert_eq!(
        commands(&effects),
        [&Command::Confirm {
            run: "RUN-9".into(),
            step: "terminate".into(),
            digest: step.digest.clone().unwrap(),
            generation: 12,
            typed: Some("t017".into()),
        }]
    );
    assert!(state.overlays.is_empty());
}

#[test]
fn a_press_is_enough_where_policy_says_so() {
    let mut state = console(pressed(), 120, 40);
    let effects = press(&mut state, "Space Enter Right Enter");
    assert_eq!(confirms(&effects), 1);
    assert!(matches!(commands(&effects)[0], Command::Confirm { typed: None, .. }));
}

#[test]
fn a_phrase_has_to_match_exactly() {
    for typed in ["", "t01", "T017", "t0177", "t017 ", " t017", "t018"] {
        let mut state = console(snapshot(), 120, 40);
        press(&mut state, "Space Enter Tab");
        type_text(&mut state, typed);
        let effects = press(&mut state, "Enter");
        assert_eq!(confirms(&effects), 0, "`{typed}`");
        assert!(has_confirm(&state), "the dialog stays, so that it can be mended");
    }
}

#[test]
fn letters_that_mean_something_elsewhere_are_typed_into_the_phrase() {
    let mut state = console(
        with_run(|run| {
            if let Some(assessment) = &mut run.steps[2].assessment {
                assessment.confirmation = Some(Confirmation::Typed { phrase: "JKgGqQ:?/".into() });
            }
        }),
        120,
        40,
    );
    press(&mut state, "Space Enter Tab");
    type_text(&mut state, "JKgGqQ:?/");
    assert_eq!(confirms(&press(&mut state, "Enter")), 1);
}

#[test]
fn a_long_request_has_to_be_read_to_its_end() {
    let long = || {
        with_run(|run| {
            let mut request = request(4711);
            request.hurts = "somebody ".repeat(200);
            run.steps[2].request = Some(request);
            run.steps[2].assessment.as_mut().unwrap().confirmation = Some(Confirmation::Keypress);
        })
    };
    let mut state = console(long(), 80, 24);
    let effects = press(&mut state, "Space Enter Tab Enter");
    assert_eq!(confirms(&effects), 0);
    assert!(screen(&state).contains("read the request to its end first"), "{}", screen(&state));
    // Every page shows digest, target and count.
    let digest = run().steps[2].digest.clone().unwrap().short();
    let mut pages = 0;
    while !screen(&state).contains("Ready") {
        let shown = screen(&state);
        assert!(shown.contains(&digest) && shown.contains("backend 4711") && shown.contains("1 object"), "{shown}");
        press(&mut state, "PgDn");
        pages += 1;
        assert!(pages < 100, "the end is never reached");
    }
    assert!(pages >= 2);
    assert_eq!(confirms(&press(&mut state, "Enter")), 1);
    // On a terminal without room for the request nothing can be confirmed.
    let mut small = console(long(), 40, 8);
    assert_eq!(confirms(&press(&mut small, "Space Enter Tab PgDn End PgDn Enter")), 0);
}

#[test]
fn a_step_that_lacks_an_incident_leads_to_declaring_one() {
    let mut blocked = with_run(|r| r.steps[2].state = StepState::Blocked);
    assert!(screen(&console(blocked.clone(), 120, 40)).contains("Next: unblock step 3/5"));
    blocked.incidents = Arc::default();
    let mut state = console(blocked, 120, 40);
    assert!(screen(&state).contains("Next: declare an incident: step 3/5 of schema-lock"), "{}", screen(&state));
    press(&mut state, "Space");
    assert!(screen(&state).contains("Declare an incident"), "{}", screen(&state));
}

#[test]
fn a_confirmation_never_fires_for_anything_else_than_what_was_shown() {
    let other = Digest::from_bytes(&[9; 32]);
    let changes: [(&str, Snapshot); 6] = [
        ("generation", with_run(|r| r.generation = 13)),
        ("digest", with_run(|r| r.steps[2].digest = Some(other))),
        ("step in hand", with_run(|r| r.current = 3)),
        ("state", with_run(|r| r.steps[2].state = StepState::Blocked)),
        (
            "run stopped",
            with_run(|r| {
                r.state = RunState::Stopped;
                r.generation = 14;
            }),
        ),
        ("run gone", {
            let mut snapshot = snapshot();
            snapshot.runs = Arc::default();
            snapshot
        }),
    ];
    for (what, changed) in changes {
        let mut state = console(snapshot(), 120, 40);
        press(&mut state, "Space Enter Tab");
        type_text(&mut state, "t017");
        give(&mut state, changed);
        assert!(!has_confirm(&state), "{what}: the dialog is closed");
        assert!(screen(&state).contains("nothing was sent"), "{what}: and says so");
        let effects = press(&mut state, "Enter");
        assert_eq!(confirms(&effects), 0, "{what}");
        // What opens now shows the new state, with Cancel focused.
        assert_eq!(confirms(&press(&mut state, "Enter Enter")), 0, "{what}");
    }
}

#[test]
fn a_snapshot_that_leaves_the_step_as_it_was_leaves_the_dialog() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "Space Enter Tab");
    let mut same = snapshot();
    same.generation += 1;
    same.at = at("02:14:09");
    give(&mut state, same);
    assert!(has_confirm(&state));
    type_text(&mut state, "t017");
    assert_eq!(confirms(&press(&mut state, "Enter")), 1);
}

#[test]
fn what_was_sent_is_not_sent_twice() {
    let mut state = console(pressed(), 120, 40);
    let effects = press(&mut state, "Space Enter Tab Enter");
    assert_eq!(confirms(&effects), 1);
    assert_eq!(confirms(&press(&mut state, "Enter Tab Enter")), 0, "the answer is still to come");
    let Effect::Command { id, .. } = effects[0] else { panic!("{effects:?}") };
    update(&mut state, Msg::Reply { to: id, reply: Reply::denied("approval of a second person is missing") });
    assert!(screen(&state).contains("denied: approval of a second person is missing"));
    assert_eq!(confirms(&press(&mut state, "Enter Tab Enter")), 1, "a refused one may be tried again");
}

#[test]
fn pasting_never_acts() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "Space Enter Tab");
    let effects = update(&mut state, Msg::Paste("t017\r\n".into()));
    assert!(effects.is_empty());
    assert_eq!(confirms(&press(&mut state, "Enter")), 0, "a phrase is typed, not pasted");
    press(&mut state, "Esc Esc");
    for text in ["Q", "F\n", ":quit\r", "\u{18}", "d\nEnter"] {
        let before = state.screen.clone();
        assert!(update(&mut state, Msg::Paste(text.into())).is_empty());
        assert!(state.overlays.is_empty() && state.screen == before, "{text:?}");
    }
    press(&mut state, "N");
    update(&mut state, Msg::Paste("first line\nsecond \u{1b}[31mline\n".into()));
    let effects = press(&mut state, "Enter");
    assert_eq!(
        commands(&effects),
        [&Command::Note { incident: Some("INC-42".into()), text: "first line second ·[31mline".into() }]
    );
}

#[test]
fn a_key_that_is_held_down_only_moves() {
    let mut state = console(pressed(), 120, 40);
    press(&mut state, "Space");
    let held = |code| KeyEvent { kind: KeyEventKind::Repeat, ..KeyEvent::new(code, KeyModifiers::NONE) };
    for _ in 0..5 {
        assert!(update(&mut state, Msg::Key(held(KeyCode::Enter))).is_empty());
    }
    assert!(state.overlays.is_empty());
    update(&mut state, Msg::Key(held(KeyCode::Down)));
    assert_eq!(state.panes.get(PaneId::Steps).at(), 3);
    let released = KeyEvent { kind: KeyEventKind::Release, ..key("Enter") };
    assert!(update(&mut state, Msg::Key(released)).is_empty() && state.overlays.is_empty());
}

#[test]
fn the_emergency_stop_works_at_once_from_everywhere() {
    for keys in ["", "t", "Space", "Space Enter", "N", ":", "t /", "?", "Q", "B", "p Enter"] {
        let mut state = console(snapshot(), 80, 24);
        press(&mut state, keys);
        let effects = press(&mut state, "C-x");
        assert_eq!(commands(&effects), [&Command::EmergencyStop], "after `{keys}`");
        assert!(!has_confirm(&state), "nothing that could start something stays open");
        assert!(screen(&state).contains("EMERGENCY STOP sent"), "after `{keys}`");
    }
}

#[test]
fn nothing_is_confirmed_read_only_or_without_an_engine_or_a_journal() {
    let mut read_only = pressed();
    read_only.mode = Mode::ReadOnly;
    let mut replay = pressed();
    replay.mode = Mode::Replay;
    let mut broken = pressed();
    broken.journal.broken = Some("no space left on device".into());
    for (snapshot, says) in [(read_only, "read-only"), (replay, "replay"), (broken, "the journal is not in order")] {
        let mut state = console(snapshot, 120, 40);
        press(&mut state, "p Tab Enter");
        assert_eq!(state.screen, Screen::Run("RUN-9".into()));
        assert_eq!(confirms(&press(&mut state, "Enter Tab Enter")), 0);
        press(&mut state, "Enter");
        assert!(screen(&state).contains(says), "{}", screen(&state));
    }
    let mut state = console(pressed(), 120, 40);
    press(&mut state, "Space Enter Tab");
    let at = later(&state, 4);
    update(&mut state, Msg::Tick(at));
    assert_eq!(confirms(&press(&mut state, "Enter")), 0, "the engine went silent while the dialog was open");
    update(&mut state, Msg::Beat(at));
    assert_eq!(confirms(&press(&mut state, "Enter")), 1);
}

#[test]
fn the_engine_is_lost_within_three_seconds_and_found_again() {
    let mut state = console(snapshot(), 80, 24);
    let tick = |state: &mut State, seconds| {
        let at = later(state, seconds);
        update(state, Msg::Tick(at));
    };
    tick(&mut state, 2);
    assert!(!screen(&state).contains("ENGINE LOST"));
    tick(&mut state, 1);
    assert!(screen(&state).contains("ENGINE LOST since 02:14:07Z (3 s)"), "{}", screen(&state));
    let at = later(&state, 0);
    update(&mut state, Msg::Beat(at));
    assert!(!screen(&state).contains("ENGINE LOST"));
}

#[test]
fn leaving_asks_while_a_run_is_open() {
    let mut state = console(snapshot(), 80, 24);
    assert!(press(&mut state, "Q").is_empty());
    assert!(press(&mut state, "Enter").is_empty(), "Cancel has the focus");
    assert!(state.overlays.is_empty());
    assert!(press(&mut state, "C-c C-c C-c").is_empty(), "asking again does not answer");
    assert_eq!(state.overlays.len(), 1);
    assert_eq!(press(&mut state, "Tab Enter"), [Effect::Quit]);
    assert_eq!(press(&mut console(calm(), 80, 24), "Q"), [Effect::Quit]);
    assert_eq!(press(&mut console(calm(), 80, 24), "C-c"), [Effect::Quit]);
    assert!(press(&mut console(calm(), 80, 24), "q").is_empty(), "q is the queue");
}

#[test]
fn every_screen_has_its_key_and_esc_leads_back() {
    let mut state = console(snapshot(), 80, 24);
    let screens = [
        ("t", Screen::Tenants),
        ("d", Screen::Database),
        ("q", Screen::Queue),
        ("i", Screen::Ingress),
        ("f", Screen::Findings),
        ("n", Screen::Incident),
        ("p", Screen::Playbooks),
        ("j", Screen::Journal),
        ("s", Screen::Sources),
        ("o", Screen::Overview),
    ];
    for (keys, screen) in &screens {
        press(&mut state, keys);
        assert_eq!(state.screen, *screen);
    }
    for (_, screen) in screens.iter().rev().skip(1) {
        press(&mut state, "Esc");
        assert_eq!(state.screen, *screen);
    }
}

#[test]
fn the_cursor_stays_on_its_tenant() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "t Down Down Down");
    assert_eq!(state.panes.get(PaneId::Tenants).selected_key(), Some("t003"));
    let mut turned = snapshot();
    let mut panes = (*turned.panes).clone();
    panes.tenants.reverse();
    turned.panes = Arc::new(panes);
    let at = later(&state, 60);
    update(&mut state, Msg::Tick(at));
    give(&mut state, turned.clone());
    let pane = state.panes.get(PaneId::Tenants);
    assert_eq!((pane.selected_key(), pane.at()), (Some("t003"), 3), "rows keep their places under the cursor");
    assert!(turned.panes.tenants[pane.selected().unwrap().index].id.as_str() == "t003", "and show the new values");
    // Home sorts at once.
    press(&mut state, "Home");
    assert_eq!(state.panes.get(PaneId::Tenants).selected_key(), Some("t082"));
}

#[test]
fn rows_are_sorted_again_after_five_seconds_when_the_cursor_is_elsewhere() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "t Down d");
    let mut turned = snapshot();
    let mut panes = (*turned.panes).clone();
    panes.tenants.reverse();
    turned.panes = Arc::new(panes);
    give(&mut state, turned.clone());
    let first = |state: &State| state.panes.get(PaneId::Tenants).order[0].key.clone();
    assert_eq!(first(&state), "t017", "not within five seconds");
    let at = later(&state, 5);
    update(&mut state, Msg::Tick(at));
    turned.generation += 1;
    give(&mut state, turned);
    assert_eq!(first(&state), "t082");
    assert_eq!(state.panes.get(PaneId::Tenants).selected_key(), Some("t044"), "the cursor moved with its row");
}

#[test]
fn a_tenant_that_is_gone_leaves_the_cursor_where_it_was() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "t End");
    let mut fewer = snapshot();
    let mut panes = (*fewer.panes).clone();
    panes.tenants.truncate(3);
    fewer.panes = Arc::new(panes);
    give(&mut state, fewer.clone());
    assert_eq!(state.panes.get(PaneId::Tenants).at(), 2);
    fewer.panes = Arc::default();
    give(&mut state, fewer);
    assert!(state.panes.get(PaneId::Tenants).selected().is_none());
    press(&mut state, "Down Enter");
    assert!(state.overlays.is_empty());
}

#[test]
fn filters_narrow_and_esc_widens() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "t /");
    type_text(&mut state, "crit");
    let keys = |state: &State| -> Vec<String> {
        state.panes.get(PaneId::Tenants).order.iter().map(|s| s.key.clone()).collect()
    };
    assert_eq!(keys(&state), ["t017", "t044"], "the word of the health can be filtered");
    press(&mut state, "Enter");
    assert!(state.overlays.is_empty());
    assert_eq!(keys(&state).len(), 2, "Enter keeps it");
    press(&mut state, "Esc");
    assert_eq!(keys(&state).len(), 28);
    assert_eq!(state.screen, Screen::Tenants, "Esc clears the filter before it leaves");
    press(&mut state, "/");
    type_text(&mut state, "zzz");
    assert!(screen(&state).contains("none of 28 fits `zzz`"));
    press(&mut state, "Esc");
    assert_eq!(keys(&state).len(), 28);
}

#[test]
fn the_palette_finds_actions_tenants_and_playbooks() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, ":");
    type_text(&mut state, "emergency");
    assert_eq!(commands(&press(&mut state, "Enter")), [&Command::EmergencyStop]);
    press(&mut state, "C-p");
    type_text(&mut state, "tenant vega");
    press(&mut state, "Enter");
    assert!(screen(&state).contains("Tenant t090"), "{}", screen(&state));
    press(&mut state, "Esc :");
    type_text(&mut state, "playbook maint");
    press(&mut state, "Enter");
    assert!(screen(&state).contains("Start Maintenance mode v3"), "{}", screen(&state));
    press(&mut state, "Esc :");
    type_text(&mut state, "qqqqxx");
    assert!(screen(&state).contains("nothing fits"));
    assert!(press(&mut state, "Enter").is_empty());
}

#[test]
fn a_theme_is_on_while_the_cursor_is_on_it_and_stays_when_it_is_chosen() {
    let mut state = console(snapshot(), 80, 24);
    assert!(press(&mut state, "C-t").is_empty());
    assert_eq!(state.worn(), "dark", "the cursor begins on the one that is worn");
    press(&mut state, "Down");
    assert_eq!((state.worn(), state.theme.as_str()), ("light", "dark"));
    assert!(screen(&state).contains("Theme nvg: what nvg is for"), "{}", screen(&state));
    press(&mut state, "Esc");
    assert_eq!(state.worn(), "dark", "Esc puts it back");
    press(&mut state, "C-t");
    type_text(&mut state, "amber");
    assert_eq!(state.worn(), "amber");
    press(&mut state, "Enter");
    assert_eq!((state.worn(), state.theme.as_str()), ("amber", "amber"));
    assert!(screen(&state).contains("theme amber; `theme = \"amber\"` under [console]"), "{}", screen(&state));
    // They stand in the palette of everything too.
    press(&mut state, ":");
    type_text(&mut state, "theme contrast-light");
    assert_eq!(state.worn(), "contrast-light");
    press(&mut state, "Enter");
    assert_eq!(state.theme, "contrast-light");
}

#[test]
fn a_playbook_is_started_with_its_parameters_and_its_run_is_shown() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "p Down Enter");
    assert!(press(&mut state, "Tab Tab Tab Enter").is_empty(), "a needed parameter is missing");
    assert!(screen(&state).contains("`tenant` is needed"), "{}", screen(&state));
    press(&mut state, "Tab");
    type_text(&mut state, "t003");
    press(&mut state, "Tab Right");
    let effects = press(&mut state, "Enter");
    assert_eq!(
        commands(&effects),
        [&Command::StartRun {
            playbook: "queue-backlog".into(),
            params: BTreeMap::from([("tenant".into(), "t003".into()), ("channel".into(), "root.wms".into())]),
            incident: Some("INC-42".into()),
        }]
    );
    let Effect::Command { id, .. } = effects[0] else { panic!() };
    let reply = Reply::Accepted { message: "RUN-10 started".into(), id: Some("RUN-10".into()) };
    update(&mut state, Msg::Reply { to: id, reply });
    assert_eq!(state.screen, Screen::Run("RUN-10".into()));
}

#[test]
fn a_findings_offer_comes_with_what_it_knows() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "f Enter");
    assert_eq!(state.screen, Screen::Finding("lock-chain/t017".into()));
    press(&mut state, "Down Enter");
    let effects = press(&mut state, "Enter");
    assert!(
        matches!(commands(&effects)[..], [Command::StartRun { playbook, params, .. }]
            if playbook.as_str() == "maintenance-mode" && params["tenant"] == "t017"),
        "{effects:?}"
    );
}

#[test]
fn an_incident_is_declared_only_by_its_button() {
    let mut state = console(
        {
            let mut snapshot = snapshot();
            snapshot.incidents = Arc::default();
            snapshot.runs = Arc::default();
            snapshot
        },
        80,
        24,
    );
    assert!(screen(&state).contains("Next: declare an incident"), "{}", screen(&state));
    press(&mut state, "Space");
    assert!(press(&mut state, "Enter Enter").is_empty(), "Enter in the last field goes to Cancel");
    let effects = press(&mut state, "Tab Enter");
    assert!(
        matches!(&commands(&effects)[..], [Command::Declare { title, findings, .. }]
            if title == "41 sessions of t017 wait behind pid 4711" && findings[0].as_str() == "lock-chain/t017"),
        "{effects:?}"
    );
    let mut open = console(snapshot(), 80, 24);
    press(&mut open, "F");
    assert!(open.overlays.is_empty() && screen(&open).contains("INC-42 is open already"));
}

#[test]
fn an_incident_is_about_what_hurts_before_what_is_not_known() {
    let mut night = snapshot();
    (night.incidents, night.runs) = (Arc::default(), Arc::default());
    let findings = Arc::make_mut(&mut night.findings);
    let mut silent = findings[0].clone();
    silent.id = "source-silent/redis-q".into();
    silent.severity = Health::Unknown;
    findings.insert(0, silent);
    let mut state = console(night, 80, 24);
    press(&mut state, "F");
    assert!(screen(&state).contains("For finding lock-chain/t017"), "{}", screen(&state));
}

#[test]
fn breaking_the_glass_needs_a_reason() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "B");
    type_text(&mut state, "because");
    assert!(press(&mut state, "Enter Tab Enter").is_empty());
    assert!(screen(&state).contains("at least ten characters"), "{}", screen(&state));
    press(&mut state, "Tab");
    type_text(&mut state, " jon does not answer");
    assert!(press(&mut state, "Enter").is_empty());
    let effects = press(&mut state, "Tab Enter");
    assert_eq!(commands(&effects), [&Command::BreakGlass { reason: "because jon does not answer".into() }]);
    let mut broken = snapshot();
    broken.glass = Some(Glass {
        by: "mara".into(),
        reason: "because jon does not answer".into(),
        since: at("02:14:00"),
        until: at("02:44:00"),
        review_due: false,
    });
    let mut state = console(broken, 80, 24);
    assert!(screen(&state).contains("GLASS BROKEN by mara until 02:44Z"), "{}", screen(&state));
    assert_eq!(commands(&press(&mut state, "M")), [&Command::RestoreGlass]);
}

#[test]
fn a_decision_is_dropped_when_the_plan_moves_on() {
    let asks = |generation| {
        with_run(|run| {
            run.generation = generation;
            run.steps[2].state = StepState::AwaitsDecision;
            run.steps[2].choices = vec![("retry".into(), "try again".into()), ("rollback".into(), "roll back".into())];
        })
    };
    let mut state = console(asks(12), 80, 24);
    press(&mut state, "Space Enter Right Tab");
    type_text(&mut state, "it did not help");
    let effects = press(&mut state, "Tab Tab Enter");
    assert_eq!(
        commands(&effects),
        [&Command::Decide {
            run: "RUN-9".into(),
            step: "terminate".into(),
            generation: 12,
            choice: "rollback".into(),
            reason: "it did not help".into(),
        }]
    );
    let mut state = console(asks(12), 80, 24);
    press(&mut state, "Space Enter Right Tab Tab Tab");
    give(&mut state, asks(13));
    assert!(state.overlays.is_empty());
    assert!(commands(&press(&mut state, "Enter")).is_empty());
}

#[test]
fn a_run_can_be_stopped_resumed_and_checked_again() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "Space");
    assert_eq!(
        commands(&press(&mut state, "r")),
        [&Command::Recheck { run: "RUN-9".into(), step: "terminate".into() }]
    );
    press(&mut state, "Z");
    type_text(&mut state, "wrong tenant");
    assert_eq!(
        commands(&press(&mut state, "Enter")),
        [&Command::StopRun { run: "RUN-9".into(), reason: "wrong tenant".into() }]
    );
    let mut state = console(with_run(|r| r.state = RunState::Stopped), 80, 24);
    press(&mut state, "Space");
    assert_eq!(commands(&press(&mut state, "R")), [&Command::ResumeRun { run: "RUN-9".into() }]);
}

#[test]
fn small_things_have_their_commands() {
    let mut state = console(snapshot(), 80, 24);
    assert_eq!(
        commands(&press(&mut state, "Tab Down x")),
        [&Command::Acknowledge { finding: "queue-age/t003".into() }]
    );
    press(&mut state, "n Tab Down h");
    type_text(&mut state, "");
    let effects = press(&mut state, "Enter Enter");
    assert!(
        matches!(&commands(&effects)[..], [Command::AssignMeasure { measure, owner, .. }]
            if measure == "hold/t017" && owner.as_str() == "mara"),
        "{effects:?}"
    );
    press(&mut state, "e Right Enter");
    let effects = press(&mut state, "Enter");
    assert!(matches!(&commands(&effects)[..], [Command::UpdateIncident { .. }]), "{effects:?}");
    press(&mut state, "a Tab");
    type_text(&mut state, "ines");
    let effects = press(&mut state, "Enter");
    assert!(
        matches!(&commands(&effects)[..], [Command::AssignRole { person, .. }] if person.as_str() == "ines"),
        "{effects:?}"
    );
    let mut state = console(drill(), 80, 24);
    assert_eq!(commands(&press(&mut state, "T")), [&Command::DrillClock { speed: 0.0 }]);
    assert_eq!(commands(&press(&mut state, "+")), [&Command::DrillClock { speed: 8.0 }]);
    assert!(commands(&press(&mut console(snapshot(), 80, 24), "T + -")).is_empty());
}

#[test]
fn copying_takes_what_is_under_the_cursor() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "Space");
    let digest = run().steps[2].digest.clone().unwrap();
    assert_eq!(press(&mut state, "y"), [Effect::Copy(digest.as_str().into())]);
    assert_eq!(
        press(&mut state, "k y"),
        [Effect::Copy("psql -h pg-a -d t017 -c 'SELECT pg_terminate_backend(4711)'".into())]
    );
    press(&mut state, "Esc t");
    let effects = press(&mut state, "y");
    assert!(matches!(&effects[..], [Effect::Copy(text)] if text.starts_with("tenant: t017, name: Brandt GmbH")));
    assert_eq!(press(&mut state, "C-z"), [Effect::Suspend]);
    assert_eq!(press(&mut state, "C-l"), [Effect::Redraw]);
}

#[test]
fn older_records_are_asked_for_once_and_put_in_front() {
    let mut state = console(snapshot(), 80, 24);
    let effects = press(&mut state, "j Home Up Up");
    assert_eq!(effects, [Effect::Records { before: 1100, limit: 200 }]);
    let older = (1000..1100).map(|seq| entry(seq, "01:00:00", "probe.note", "quarterdeck", "older")).collect();
    update(&mut state, Msg::Records(Ok(older)));
    let pane = state.panes.get(PaneId::Journal);
    assert_eq!(pane.order[0].key, "1000");
    assert_eq!(pane.selected_key(), Some("1100"), "the cursor stays on its record");
    press(&mut state, "End");
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("1214"));
    assert_eq!(press(&mut state, "Home"), [Effect::Records { before: 1000, limit: 200 }]);
}

#[test]
fn a_search_goes_over_the_whole_log_and_from_match_to_match() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "j /");
    type_text(&mut state, "PID 4711");
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("1208"), "the newest loaded match, at once");
    let effects = press(&mut state, "Enter");
    let [Effect::Scan { id, wanted, before: 1100 }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(wanted.text, "PID 4711");
    let hit = entry(311, "00:12:00", "step.verified", "quarterdeck", "41 wait behind pid 4711");
    let found = Scanned { id: *id, hits: vec![hit.clone()], down_to: 300, done: false, trouble: None };
    update(&mut state, Msg::Scanned(Scanned { id: RequestId(99), ..found.clone() }));
    press(&mut state, "n");
    assert!(screen(&state).contains("none found yet before this one"), "{}", screen(&state));
    update(&mut state, Msg::Scanned(found));
    // While a text is searched for, n and N go from match to match; they open neither incident nor note.
    let effects = press(&mut state, "n");
    assert_eq!(effects, [Effect::Records { before: 411, limit: 200 }]);
    let page = (211..411).map(|seq| if seq == 311 { hit.clone() } else { entry(seq, "00:11:00", "note", "jon", "x") });
    update(&mut state, Msg::Records(Ok(page.collect())));
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("311"));
    assert!(screen(&state).contains("not the newest") && screen(&state).contains("2 of 2+"), "{}", screen(&state));
    assert_eq!(state.screen, Screen::Journal);
    press(&mut state, "N");
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("1208"), "among the newest again");
    press(&mut state, "End");
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("1214"), "back at the newest");
    assert_eq!(press(&mut state, "Esc"), [Effect::EndScan]);
    press(&mut state, "n");
    assert_eq!(state.screen, Screen::Incident, "the letter has its meaning back");
}

#[test]
fn records_are_narrowed_to_what_the_one_under_the_cursor_has() {
    let mut state = console(snapshot(), 120, 40);
    let effects = press(&mut state, "j Up a");
    let [Effect::Scan { id, wanted, before: 1100 }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((wanted.who.as_deref(), wanted.narrows()), (Some("quarterdeck"), true));
    let id = *id;
    let shown: Vec<_> = state.records().iter().map(|e| e.seq).collect();
    assert!(shown.contains(&1212) && shown.contains(&1208) && !shown.contains(&1214), "{shown:?}");
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("1212"), "the cursor stays on its record");
    let hits = vec![entry(7, "00:00:07", "journal.opened", "quarterdeck", "journal opened")];
    update(&mut state, Msg::Scanned(Scanned { id, hits, down_to: 0, done: true, trouble: None }));
    assert_eq!(state.records()[0].seq, 7);
    // What comes now is looked at too.
    let mut more = snapshot();
    let mut tail = (*more.journal.tail).clone();
    tail.push(entry(1215, "02:14:00", "step.verified", "quarterdeck", "held"));
    tail.push(entry(1216, "02:14:01", "note", "mara", "not wanted"));
    more.journal.tail = Arc::new(tail);
    give(&mut state, more);
    assert_eq!(state.records().last().unwrap().seq, 1215);
    // Two narrow further; the same key again takes its own back.
    press(&mut state, "k");
    assert!(screen(&state).contains("only step.failed, only by quarterdeck"), "{}", screen(&state));
    press(&mut state, "k a");
    assert_eq!(state.records().last().unwrap().seq, 1216);
}

#[test]
fn a_search_that_can_not_read_says_so() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "j /");
    type_text(&mut state, "halle");
    let Some(Effect::Scan { id, .. }) = press(&mut state, "Enter").pop() else { panic!("no search") };
    let why = "the journal is damaged at record 9".to_owned();
    update(&mut state, Msg::Scanned(Scanned { id, hits: vec![], down_to: 12, done: true, trouble: Some(why.clone()) }));
    assert!(screen(&state).contains("ended early at record 12"), "{}", screen(&state));
    update(&mut state, Msg::Records(Err(why)));
    assert!(screen(&state).contains("could not be read"), "{}", screen(&state));
}

#[test]
fn the_journal_follows_what_is_new_until_the_cursor_is_placed() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "j");
    let longer = |last: u64| {
        let mut snapshot = snapshot();
        let mut tail = (*snapshot.journal.tail).clone();
        tail.extend((1215..=last).map(|seq| entry(seq, "02:14:30", "note", "mara", "later")));
        snapshot.journal.tail = Arc::new(tail);
        snapshot
    };
    give(&mut state, longer(1216));
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("1216"));
    press(&mut state, "Up");
    give(&mut state, longer(1219));
    assert_eq!(state.panes.get(PaneId::Journal).selected_key(), Some("1215"));
}

#[test]
fn what_happened_since_the_person_left() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "t");
    let at = later(&state, 600);
    update(&mut state, Msg::Tick(at));
    update(&mut state, Msg::Beat(at));
    let mut after = snapshot();
    let mut tail = (*after.journal.tail).clone();
    tail.push(entry(1300, "02:20:00", "step.verified", "quarterdeck", "the chain is gone"));
    after.journal.tail = Arc::new(tail);
    give(&mut state, after);
    press(&mut state, "u");
    let shown = screen(&state);
    assert!(shown.contains("the chain is gone") && !shown.contains("called the plant"), "{shown}");
}

#[test]
fn the_clock_of_a_drill_is_the_scenarios() {
    let mut state = console(drill(), 80, 24);
    let at = later(&state, 10);
    update(&mut state, Msg::Tick(at));
    update(&mut state, Msg::Beat(at));
    assert!(screen(&state).contains("02:14:47Z"), "ten seconds at four times the speed\n{}", screen(&state));
}

#[test]
fn a_snapshot_that_changes_nothing_is_not_drawn() {
    let mut state = console(snapshot(), 80, 24);
    assert!(state.take_dirty());
    assert!(!state.take_dirty());
    give(&mut state, snapshot());
    assert!(!state.take_dirty());
    let mut other = snapshot();
    other.health = Health::Unknown;
    give(&mut state, other);
    assert!(state.take_dirty());
}

#[test]
fn an_unknown_reply_is_shown_and_changes_nothing() {
    let mut state = console(snapshot(), 80, 24);
    update(&mut state, Msg::Reply { to: RequestId(999), reply: Reply::refused("no such run") });
    assert!(screen(&state).contains("refused: no such run"));
    assert_eq!(state.screen, Screen::Overview);
}

#[test]
fn the_start_screen_answers_with_a_choice() {
    let start = || Start::new("0.1.0".into(), Vec::new());
    assert_eq!(start().press(&key("d")), Some(Choice::Exercise));
    assert_eq!(start().press(&key("i")), Some(Choice::Init));
    for quit in ["q", "Esc", "C-c"] {
        assert_eq!(start().press(&key(quit)), Some(Choice::Quit));
    }
    let mut screen = start();
    assert_eq!(screen.press(&key("Down")), None);
    assert_eq!(screen.press(&key("Enter")), Some(Choice::Init));
    assert_eq!(start().press(&key("x")), None);
}

fn any_key() -> impl Strategy<Value = KeyEvent> {
    let named = prop::sample::select(vec![
        KeyCode::Enter,
        KeyCode::Esc,
        KeyCode::Tab,
        KeyCode::BackTab,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::PageUp,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::End,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::F(5),
    ]);
    let letters = prop::sample::select("otdqipjsnIfFNxXBCMVZRTeakrhmwuygGJK:/?+- t017".chars().collect::<Vec<_>>());
    let controls = prop::sample::select("xcpulzdnjmhwk".chars().collect::<Vec<_>>());
    prop_oneof![
        3 => named.prop_map(|code| KeyEvent::new(code, KeyModifiers::NONE)),
        4 => letters.prop_map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE)),
        1 => controls.prop_map(|c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::CONTROL)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, ..ProptestConfig::default() })]

    /// Whatever is pressed, with plans that move under the fingers: a confirmation is only ever for the step as
    /// the engine has it now, read to its end and typed.
    #[test]
    fn no_keys_confirm_what_does_not_stand(
        keys in prop::collection::vec((any_key(), 0_u8..12), 1..80),
    ) {
        let mut state = console(snapshot(), 100, 30);
        press(&mut state, "Space");
        let mut generation = 12;
        for (event, chance) in keys {
            if chance == 0 {
                generation += 1;
                give(&mut state, with_run(|r| r.generation = generation));
            }
            for effect in update(&mut state, Msg::Key(event)) {
                if let Effect::Command { command: Command::Confirm { generation: sent, typed, digest, .. }, .. } = effect {
                    prop_assert_eq!(sent, generation);
                    prop_assert_eq!(typed.as_deref(), Some("t017"));
                    prop_assert_eq!(Some(digest), run().steps[2].digest.clone());
                }
            }
            let _ = screen(&state);
        }
    }
}
