//! Snapshots: every screen and overlay at three sizes, and what is left on small ones.

use crate::fixture::{calm, console, drill, entry, facts, later, now, record_view, snapshot, vouched};
use crate::{cells, press, screen, text, theme, type_text};
use quarterdeck::console::effect::Effect;
use quarterdeck::console::msg::Msg;
use quarterdeck::console::start::Start;
use quarterdeck::console::state::{Scanned, State};
use quarterdeck::console::theme::{Capabilities, ColorDepth, Role, Theme};
use quarterdeck::console::update;
use quarterdeck::domain::health::Health;
use quarterdeck::domain::incident::Role as Duty;
use quarterdeck::domain::mode::Mode;
use quarterdeck::domain::pane::{SignalValue, SignalView, SubjectView, UsualView};
use quarterdeck::domain::signal::{Subject, Unit};
use quarterdeck::engine::api::{
    Command, CommsView, Glass, ParameterView, Proof, Reply, RunState, ScrubView, SignIn, SignInState, Snapshot,
    StepState, TargetView,
};
use quarterdeck::engine::client::{Attached, Link, Lost};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::{Color, Modifier};
use unicode_width::UnicodeWidthStr;

const SIZES: [(u16, u16); 3] = [(80, 24), (120, 40), (200, 60)];

/// Snapshots of a screen that is reached by keys, at three sizes.
fn shots(name: &str, snapshot: fn() -> Snapshot, keys: &str) {
    for (width, height) in SIZES {
        let mut state = console(snapshot(), width, height);
        press(&mut state, keys);
        insta::assert_snapshot!(format!("{name}_{width}x{height}"), screen(&state));
    }
}

#[test]
fn overview() {
    shots("overview", snapshot, "");
    for (width, height) in [(40, 10), (60, 18), (20, 3), (1, 1)] {
        insta::assert_snapshot!(format!("overview_{width}x{height}"), screen(&console(snapshot(), width, height)));
    }
}

#[test]
fn panes_of_subjects() {
    shots("platform", snapshot, "5 Down");
    shots("recovery", snapshot, "6");
    shots("business", snapshot, "8");
    shots("security", snapshot, "9");
    for (width, height) in SIZES {
        let mut state = console(snapshot(), width, height);
        let asked = press(&mut state, "5 Down Enter");
        let Some(Effect::Command { id, command: Command::Look { subject } }) = asked.last().cloned() else {
            panic!("the engine was not asked: {asked:?}")
        };
        let view = Box::new(looked_at(subject));
        update(&mut state, Msg::Reply { to: id, reply: Reply::Seen { view } });
        insta::assert_snapshot!(format!("sheet_subject_{width}x{height}"), screen(&state));
        press(&mut state, "Tab");
        assert!(screen(&state).contains("node.pressure 0"), "{}", screen(&state));
    }
}

fn looked_at(subject: Subject) -> SubjectView {
    let signal = |name: &str, now: f64, health, limits: (f64, f64), unit| SignalView {
        now: SignalValue {
            signal: name.into(),
            value: Some(now),
            unit,
            health,
            source: "k8s-1".into(),
            warn: Some(limits.0),
            critical: Some(limits.1),
        },
        observed_at: now_less(4),
        what: "memory used against what there is".into(),
        origin: "node_memory_MemAvailable_bytes".into(),
        series: (0..60_u8)
            .map(|n| (!(20..24).contains(&n)).then(|| 0.7 + f32::from(n) * 0.0035))
            .map(|v| if unit == Unit::Count { Some(0.0) } else { v })
            .collect(),
        step_s: 10,
        usual: Some(UsualView {
            median: Some(limits.0 * 0.4),
            low: Some(limits.0 * 0.35),
            high: Some(limits.0 * 0.5),
            words: "usual 36% on Sundays at 02:00, 31% to 45% (5 good hours)".into(),
        }),
        forecast: Some("at this pace it is full in 3 h, between 2 h and 5 h".into()),
    };
    let signals = vec![
        signal("memory.share", 0.91, Health::Warn, (0.9, 0.98), Unit::Ratio),
        signal("node.pressure", 0.0, Health::Ok, (1.0, 3.0), Unit::Count),
    ];
    SubjectView { subject, signals }
}

fn now_less(seconds: i64) -> jiff::Timestamp {
    now() - jiff::SignedDuration::from_secs(seconds)
}

#[test]
fn rows_are_grouped_and_say_what_changed() {
    for (width, height) in [(80, 24), (200, 60)] {
        let mut state = console(snapshot(), width, height);
        press(&mut state, "t c c");
        insta::assert_snapshot!(format!("tenants_by_plant_{width}x{height}"), screen(&state));
    }
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "i c");
    let shown = screen(&state);
    let place = |what: &str| shown.lines().position(|l| l.contains(what)).unwrap_or_else(|| panic!("{what}: {shown}"));
    assert!(place("t017@file") < place("t044@file") && place("no tenant") < place("websecure") + 1, "{shown}");
    press(&mut state, "c c c c");
    assert!(!screen(&state).contains(" by "), "{}", screen(&state));
}

#[test]
fn views_by_role() {
    for (width, height) in [(80, 24), (120, 40)] {
        let mut state = console(snapshot(), width, height);
        press(&mut state, "v t");
        insta::assert_snapshot!(format!("view_dba_tenants_{width}x{height}"), screen(&state));
        press(&mut state, "v o");
        insta::assert_snapshot!(format!("view_erp_overview_{width}x{height}"), screen(&state));
    }
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, ":");
    type_text(&mut state, "view of a role security");
    press(&mut state, "Enter");
    assert!(screen(&state).contains("view security: certificates"), "{}", screen(&state));
    press(&mut state, "i");
    let shown = screen(&state);
    let heading = shown.lines().find(|l| l.contains("4xx")).unwrap();
    assert!(heading.find("cert").unwrap() < heading.find("p95").unwrap_or(usize::MAX), "{heading}");
    press(&mut state, "v v");
    assert!(screen(&state).contains("view commander: worst first"), "{}", screen(&state));
}

#[test]
fn overview_on_a_good_night() {
    shots("calm", calm, "");
}

#[test]
fn overview_of_a_drill() {
    shots("drill", drill, "");
}

#[test]
fn tenants() {
    shots("tenants", snapshot, "t Down");
}

/// A run whose step in hand is over several tenants, half of them done.
fn rings() -> Snapshot {
    let mut snapshot = snapshot();
    let mut run = snapshot.runs[0].clone();
    let step = &mut run.steps[2];
    step.state = StepState::Executing;
    step.outcome = Some("5 of 12 done, 2 under way, 1 failed".into());
    step.dry_run = Some("end 1 session on each".into());
    step.targets = (0..12)
        .map(|i| TargetView {
            name: format!("t{i:03}"),
            state: match i {
                0..5 => StepState::Done,
                5 => StepState::Failed,
                6 | 7 => StepState::Executing,
                _ => StepState::Pending,
            },
            outcome: if i == 5 { "the backend was not there any more".into() } else { String::new() },
        })
        .collect();
    step.comms = Some(CommsView {
        audience: vec!["plant managers".into(), "sales".into()],
        text: "Orders of your plants wait; we end the session that holds them. Next word at 02:40.".into(),
        due: step.started_at.unwrap_or(snapshot.at),
    });
    run.state = RunState::Running;
    snapshot.runs = std::sync::Arc::new(vec![run]);
    snapshot
}

/// A run that asks for values, and one that is about to run a step by itself.
fn asking() -> Snapshot {
    let mut snapshot = snapshot();
    let mut run = snapshot.runs[0].clone();
    let step = &mut run.steps[2];
    (step.request, step.assessment, step.digest) = (None, None, None);
    step.kind = "input".into();
    step.state = StepState::AwaitsDecision;
    step.choices = vec![("skip".into(), "go on without them".into())];
    let ask = |name: &str, description: &str, allowed: &[&str]| ParameterView {
        name: name.into(),
        description: description.into(),
        required: true,
        default: None,
        allowed: allowed.iter().map(|a| (*a).to_owned()).collect(),
        secret: false,
    };
    step.asks = vec![
        ask("point_in_time", "the last good moment, UTC", &[]),
        ask("source", "where it is restored from", &["pgbackrest", "snapshot"]),
    ];
    snapshot.runs = std::sync::Arc::new(vec![run]);
    snapshot
}

fn counting() -> Snapshot {
    let mut snapshot = snapshot();
    let mut run = snapshot.runs[0].clone();
    let step = &mut run.steps[2];
    step.by_itself_at = Some(snapshot.at + jiff::SignedDuration::from_secs(7));
    snapshot.runs = std::sync::Arc::new(vec![run]);
    snapshot
}

#[test]
fn rings_show_their_progress_and_what_stakeholders_are_told() {
    shots("rings", rings, "Space");
    shots("told", rings, "Space Enter");
}

#[test]
fn a_step_that_asks_has_a_form() {
    shots("asking", asking, "Space Enter");
}

#[test]
fn any_key_keeps_a_step_from_running_by_itself() {
    let mut state = console(counting(), 120, 40);
    let effects = press(&mut state, "x");
    let holds = |e: &&Effect| matches!(e, Effect::Command { command: Command::Hold { .. }, .. });
    assert_eq!(effects.iter().filter(holds).count(), 1, "{effects:?}");
}

#[test]
fn database() {
    shots("database", snapshot, "d Tab Down");
}

#[test]
fn queue() {
    shots("queue", snapshot, "q Down Down");
}

#[test]
fn ingress() {
    shots("ingress", snapshot, "i");
}

#[test]
fn incident() {
    shots("incident", snapshot, "n");
    shots("incident_none", calm, "I");
}

#[test]
fn playbooks() {
    shots("playbooks", snapshot, "p Down");
}

#[test]
fn run() {
    shots("run", snapshot, "Space");
    insta::assert_snapshot!("run_40x10", {
        let mut state = console(snapshot(), 40, 10);
        press(&mut state, "Space");
        screen(&state)
    });
}

/// The night with the run led by the engine of another bastion, as that engine's records tell it here.
fn led_elsewhere() -> Snapshot {
    super::keys::with_run(|run| {
        (run.led_by, run.state) = (Some("bastion2".into()), RunState::Running);
        run.now = "led by the engine on bastion2".into();
        run.steps[2].state = StepState::Blocked;
        run.steps[2].outcome = Some("waits for a confirmation on bastion2".into());
    })
}

#[test]
fn a_run_that_another_engine_leads_is_only_looked_at() {
    shots("run_elsewhere", led_elsewhere, "Space");
    let mut state = console(led_elsewhere(), 120, 40);
    let effects = press(&mut state, "Space Enter Enter Space");
    assert!(!effects.iter().any(|e| matches!(e, Effect::Command { .. })), "{effects:?}");
}

#[test]
fn run_step_done() {
    shots("run_done", snapshot, "Space Up Up");
}

#[test]
fn journal() {
    shots("journal", snapshot, "j");
    shots("journal_vouched", vouched, "j");
}

#[test]
fn journal_searched_and_narrowed() {
    for (width, height) in SIZES {
        let mut state = console(vouched(), width, height);
        press(&mut state, "j /");
        type_text(&mut state, "pid 4711");
        insta::assert_snapshot!(format!("journal_typing_{width}x{height}"), screen(&state));
        let Some(Effect::Scan { id, .. }) = press(&mut state, "Enter").pop() else { panic!("no search") };
        let hits = vec![entry(311, "00:12:00", "step.verified", "quarterdeck", "41 wait behind pid 4711")];
        update(&mut state, Msg::Scanned(Scanned { id, hits, down_to: 300, done: false, trouble: None }));
        insta::assert_snapshot!(format!("journal_search_{width}x{height}"), screen(&state));
        press(&mut state, "Esc c");
        insta::assert_snapshot!(format!("journal_narrowed_{width}x{height}"), screen(&state));
    }
    let state = console(vouched(), 80, 24);
    let full = text(&cells(&state, &theme(ColorDepth::True, true)));
    for colors in [ColorDepth::None, ColorDepth::Ansi16] {
        assert_eq!(text(&cells(&state, &theme(colors, true))), full, "the words carry it, not the colours");
    }
}

#[test]
fn record_in_full() {
    for (width, height) in SIZES {
        let mut state = console(snapshot(), width, height);
        assert_eq!(press(&mut state, "j Enter"), [Effect::Open { seq: 1214 }]);
        update(&mut state, Msg::Opened { seq: 1214, read: Ok(Box::new(record_view(1214))) });
        insta::assert_snapshot!(format!("sheet_record_read_{width}x{height}"), screen(&state));
        let file = "c2sp.org/tlog-proof@v1\n".to_owned();
        assert_eq!(press(&mut state, "s"), [Effect::SaveProof { seq: 1214, file }]);
        press(&mut state, "End");
        insta::assert_snapshot!(format!("sheet_record_end_{width}x{height}"), screen(&state));
    }
}

#[test]
fn sources() {
    shots("sources", snapshot, "s");
}

#[test]
fn findings() {
    shots("findings", snapshot, "f Down");
    shots("finding", snapshot, "f Enter");
}

#[test]
fn sheets() {
    shots("sheet_help", snapshot, "Space ?");
    shots("sheet_tenant", snapshot, "t Enter");
    shots("sheet_record", snapshot, "j Enter");
    shots("sheet_situation", snapshot, "w");
    shots("sheet_people", snapshot, "W");
    shots("sheet_people_login", logging_in, "W");
    shots("sheet_brief", snapshot, "b");
    shots("sheet_measures", snapshot, "m");
    shots("sheet_explain", snapshot, "Space e");
    shots("sheet_by_hand", snapshot, "Space k");
}

#[test]
fn dialogs() {
    shots("dialog_confirm", snapshot, "Space Enter");
    shots("dialog_declare", calm, "F");
    shots("dialog_note", snapshot, "N");
    shots("dialog_close", snapshot, "C");
    shots("dialog_break_glass", snapshot, "B");
    shots("dialog_start", snapshot, "p Down Enter");
    shots("dialog_quit", snapshot, "Q");
    shots("palette", snapshot, ":");
}

/// A secret is typed into a field that shows how long it is, and stands on no screen.
#[test]
fn what_is_typed_into_a_secret_field_is_masked() {
    const VALUE: &str = "correct horse";
    let mut with_secret = snapshot();
    let mut books = with_secret.playbooks.to_vec();
    let book = books.iter_mut().find(|b| b.id.as_str() == "queue-backlog").unwrap();
    book.parameters.push(ParameterView {
        name: "token".into(),
        description: "key of the partner's interface".into(),
        required: true,
        default: None,
        allowed: Vec::new(),
        secret: true,
    });
    with_secret.playbooks = books.into();
    for (width, height) in SIZES {
        let mut state = console(with_secret.clone(), width, height);
        press(&mut state, "p Down Enter");
        let form = |state: &State| screen(state).contains("token");
        assert!(form(&state), "{}", screen(&state));
        press(&mut state, "Tab Tab");
        type_text(&mut state, VALUE);
        let shown = screen(&state);
        assert!(!shown.contains("correct") && !shown.contains("horse"), "{shown}");
        assert!(!format!("{state:?}").contains("correct horse"), "no debug output has it");
        insta::assert_snapshot!(format!("dialog_secret_{width}x{height}"), shown);
    }
}

#[test]
fn palette_search_and_filter() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, ":");
    type_text(&mut state, "sources");
    insta::assert_snapshot!("palette_searched_80x24", screen(&state));
    press(&mut state, "Esc t /");
    type_text(&mut state, "brandt");
    insta::assert_snapshot!("filter_80x24", screen(&state));
}

#[test]
fn confirm_typed_and_ready() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "Space Enter End Tab");
    type_text(&mut state, "t017");
    insta::assert_snapshot!("dialog_confirm_ready_80x24", screen(&state));
}

#[test]
fn alarms_that_may_not_scroll_away() {
    let mut night = snapshot();
    night.glass = Some(Glass {
        by: "mara".into(),
        reason: "nobody answers".into(),
        since: now(),
        until: crate::fixture::at("02:44:00"),
        review_due: false,
    });
    night.journal.broken = Some("no space left on device".into());
    insta::assert_snapshot!("alarms_80x24", screen(&console(night.clone(), 80, 24)));
    insta::assert_snapshot!("alarms_120x40", screen(&console(night, 120, 40)));
    let mut state = console(snapshot(), 80, 24);
    let at = later(&state, 5);
    update(&mut state, Msg::Tick(at));
    insta::assert_snapshot!("engine_lost_80x24", screen(&state));
}

#[test]
fn attached_elsewhere() {
    let attached = Attached { user: "tess".into(), proof: Proof::Claimed, doubt: None, read_only: true };
    for (width, height) in [(80, 24), (120, 40)] {
        let mut state = console(snapshot(), width, height);
        update(&mut state, Msg::Link(Link { attached: Some(attached.clone()), lost: None }));
        press(&mut state, "W");
        insta::assert_snapshot!(format!("attached_{width}x{height}"), screen(&state));
        let lost = Lost { since: now(), why: "the connection was closed".into() };
        update(&mut state, Msg::Link(Link { attached: Some(attached.clone()), lost: Some(lost) }));
        let at = later(&state, 2);
        update(&mut state, Msg::Tick(at));
        insta::assert_snapshot!(format!("attached_gone_{width}x{height}"), screen(&state));
        update(&mut state, Msg::Link(Link { attached: Some(attached.clone()), lost: None }));
        assert!(screen(&state).contains("the engine is there again"), "{}", screen(&state));
    }
}

#[test]
fn who_takes_the_command_over_is_shown_the_brief() {
    let mut night = snapshot();
    night.me = "jon".into();
    let mut state = console(night.clone(), 80, 24);
    press(&mut state, "N");
    let mut incident = night.incidents[0].clone();
    incident.roles.insert(Duty::Commander, "jon".into());
    night.incidents = vec![incident].into();
    update(&mut state, Msg::Snapshot(night.clone().into()));
    assert!(screen(&state).contains("you command INC-42 now, after mara"), "{}", screen(&state));
    assert!(screen(&state).contains("Record"), "the note that is being written stays on top: {}", screen(&state));
    press(&mut state, "Esc");
    insta::assert_snapshot!("handed_over_80x24", screen(&state));
    // Once.
    press(&mut state, "Esc");
    update(&mut state, Msg::Snapshot(night.into()));
    assert!(!screen(&state).contains("Brief for the commander"));
}

#[test]
fn the_check_of_old_records_is_said_while_it_runs_and_when_it_finds_damage() {
    let mut good = snapshot();
    let scrub = ScrubView { done: 4_300, of: 10_000, bad: None, why: None };
    good.journal.scrub = Some(scrub.clone());
    assert!(screen(&console(good.clone(), 200, 60)).contains("scrub 43%"));
    good.journal.scrub = Some(ScrubView { done: 10_000, ..scrub.clone() });
    assert!(!screen(&console(good.clone(), 200, 60)).contains("scrub"), "it is over");
    let why = Some("record 17, records/0.jsonl line 20: another root".to_owned());
    good.journal.scrub = Some(ScrubView { bad: Some(17), why, ..scrub });
    let said = screen(&console(good, 200, 60));
    assert!(said.contains("journal DAMAGED at record 17") && !said.contains("scrub"), "{said}");
}

#[test]
fn before_the_engine_answers() {
    let state = State::new(facts(Mode::Live), (80, 24), now());
    insta::assert_snapshot!("waiting_80x24", screen(&state));
    let state = State::new(facts(Mode::Drill), (80, 24), now());
    assert!(screen(&state).contains("DRILL"));
}

#[test]
fn read_only_is_said() {
    let mut night = snapshot();
    night.mode = Mode::ReadOnly;
    insta::assert_snapshot!("read_only_80x24", screen(&console(night, 80, 24)));
}

#[test]
fn start_screen() {
    let start = Start::new(
        "0.1.0".into(),
        vec![
            ("$QUARTERDECK_CONFIG".into(), "not set".into()),
            ("~/.config/quarterdeck/config.toml".into(), "does not exist".into()),
            ("/etc/quarterdeck/config.toml".into(), "does not exist".into()),
        ],
    );
    for (width, height) in [(80, 24), (120, 40), (200, 60), (40, 10), (1, 1)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| start.view(&theme(ColorDepth::True, true), frame)).unwrap();
        insta::assert_snapshot!(format!("start_{width}x{height}"), text(terminal.backend().buffer()));
    }
}

#[test]
fn sixteen_colours_and_none_say_the_same_words() {
    let state = console(snapshot(), 80, 24);
    let full = text(&cells(&state, &theme(ColorDepth::True, true)));
    for colors in [ColorDepth::None, ColorDepth::Ansi16, ColorDepth::Ansi256] {
        let buffer = cells(&state, &theme(colors, true));
        assert_eq!(text(&buffer), full, "{colors:?}");
        for cell in buffer.content() {
            let fits = |c: Color| match colors {
                ColorDepth::None => c == Color::Reset,
                ColorDepth::Ansi16 => !matches!(c, Color::Rgb(..) | Color::Indexed(_)),
                _ => !matches!(c, Color::Rgb(..)),
            };
            assert!(fits(cell.fg) && fits(cell.bg), "{colors:?}: {cell:?}");
        }
    }
}

#[test]
fn ascii_terminals_get_ascii_only() {
    let state = console(snapshot(), 80, 24);
    let shown = text(&cells(&state, &theme(ColorDepth::None, false)));
    assert!(shown.is_ascii(), "{shown}");
    insta::assert_snapshot!("overview_ascii_80x24", shown);
}

#[test]
fn the_cursor_row_is_marked_and_reversed_without_colour() {
    let state = console(snapshot(), 80, 24);
    let buffer = cells(&state, &theme(ColorDepth::None, true));
    let rows: Vec<u16> = (0..24).filter(|y| buffer[(0, *y)].symbol() == "▌").collect();
    assert_eq!(rows.len(), 1, "one cursor");
    assert!(buffer[(4, rows[0])].modifier.contains(Modifier::REVERSED));
}

#[test]
fn the_only_red_thing_is_a_red_thing() {
    let theme = theme(ColorDepth::Ansi16, true);
    let state = console(calm(), 80, 24);
    let buffer = cells(&state, &theme);
    let critical = theme.style(Role::Critical).fg.unwrap();
    let red: Vec<_> = buffer.content().iter().filter(|c| c.fg == critical).collect();
    assert!(red.is_empty(), "{red:?}");
    let night = cells(&console(snapshot(), 80, 24), &theme);
    assert!(night.content().iter().any(|c| c.fg == critical));
}

#[test]
fn a_drill_says_so_on_every_screen() {
    for keys in ["", "t", "d", "q", "i", "f", "n", "p", "j", "s", "Space", "Space Enter", "?", ":", "N"] {
        for (width, height) in [(80, 24), (40, 10), (30, 6), (24, 2)] {
            let mut state = console(drill(), width, height);
            press(&mut state, keys);
            assert!(screen(&state).contains("DRILL"), "{keys} at {width}x{height}:\n{}", screen(&state));
        }
    }
}

#[test]
fn a_painted_theme_covers_every_cell_of_every_size() {
    let can = Capabilities { colors: ColorDepth::True, unicode: true };
    for (width, height) in [(1, 1), (20, 4), (80, 24), (200, 60)] {
        for keys in ["", "?", "F", ": "] {
            let mut state = console(snapshot(), width, height);
            press(&mut state, keys);
            for name in ["light", "nvg"] {
                let theme = Theme::choose(Some(name), &[], can).unwrap();
                let drawn = cells(&state, &theme).content;
                // The second cell of a wide character is not written.
                let second = |i: usize| i > 0 && UnicodeWidthStr::width(drawn[i - 1].symbol()) > 1;
                let bare = (0..drawn.len()).filter(|i| drawn[*i].bg == Color::Reset && !second(*i)).count();
                assert_eq!(bare, 0, "{name} at {width}x{height} after {keys:?}");
            }
        }
    }
}

/// Ines proves a second factor.
fn logging_in() -> Snapshot {
    let mut snapshot = snapshot();
    let until = snapshot.at + jiff::SignedDuration::from_secs(272);
    snapshot.sign_ins = vec![SignIn {
        id: "LOGIN-1".into(),
        person: "ines".into(),
        title: "ines as dba for 30 min: the replica has to be rebuilt".into(),
        at: snapshot.at,
        state: SignInState::Waiting {
            uri: "https://login.example/device".into(),
            uri_complete: Some("https://login.example/device?user_code=FLMZ-FCQG".into()),
            code: "FLMZ-FCQG".into(),
            until,
        },
    }];
    snapshot
}
