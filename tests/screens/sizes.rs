//! Any size, any snapshot: the console draws what fits and never panics, and nothing hostile reaches a cell.

use crate::fixture::{console, drill, snapshot};
use crate::{press, theme};
use proptest::prelude::*;
use quarterdeck::console::msg::Msg;
use quarterdeck::console::start::Start;
use quarterdeck::console::theme::ColorDepth;
use quarterdeck::console::update;
use quarterdeck::console::view::paint;
use quarterdeck::domain::health::Health;
use quarterdeck::domain::text::is_hostile;
use quarterdeck::engine::api::{Snapshot, StepState};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::sync::Arc;

const WAYS: [&str; 25] = [
    "5 c End Enter Tab",
    "8 /",
    "t c c c c",
    "",
    "t Down",
    "d Tab Down",
    "q End",
    "i",
    "f",
    "f Enter Tab",
    "n Tab",
    "p Tab",
    "j Home",
    "s",
    "Space",
    "Space Up Up",
    "Space Enter",
    "Space k",
    "?",
    ":",
    "t /",
    "N",
    "B",
    "w",
    "Q",
];

/// Text that a server could send.
fn foreign() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("x".repeat(500)),
        Just("\u{1b}[2J\u{202e}\u{200b}evil\r\n".to_owned()),
        Just("東京精密工業株式会社👩‍👩‍👧‍👦é".to_owned()),
        "\\PC{0,60}",
        any::<String>(),
    ]
}

fn number() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![Just(None), any::<f64>().prop_map(Some), (0.0..1e6).prop_map(Some)]
}

/// The night with foreign text and numbers in it, and with parts left out.
fn odd_night() -> impl Strategy<Value = Snapshot> {
    (foreign(), foreign(), number(), number(), 0_usize..12, any::<bool>(), 0_usize..12).prop_map(
        |(text, other, a, b, keep, exercise, state)| {
            let mut night = if exercise { drill() } else { snapshot() };
            let mut panes = (*night.panes).clone();
            panes.tenants.truncate(keep * 3);
            for row in &mut panes.tenants {
                row.name = text.as_str().into();
                row.why.clone_from(&other);
                (row.p95_s, row.share_5xx, row.image_age_s, row.age_s) = (a, b, a, b);
            }
            panes.databases.truncate(keep);
            for row in &mut panes.databases {
                (row.lag_s, row.cache_hit, row.longest_transaction_s) = (a, b, b);
                row.connections = Some(u32::MAX);
                for (i, node) in row.locks.iter_mut().enumerate() {
                    node.query.clone_from(&text);
                    node.depth = u16::try_from(i * keep).unwrap();
                    node.age_s = a;
                }
            }
            panes.queues.truncate(keep);
            panes.ingress.truncate(keep);
            panes.sources.truncate(keep);
            for row in &mut panes.sources {
                row.why = Some(other.clone());
                row.health = Health::Unknown;
                row.age_s = a;
            }
            night.panes = Arc::new(panes);
            let mut findings = (*night.findings).clone();
            for finding in &mut findings {
                finding.what.clone_from(&text);
                for evidence in &mut finding.evidence {
                    evidence.now = a.unwrap_or(f64::NAN);
                    evidence.threshold = b.unwrap_or(0.0);
                    evidence.series.push(a.unwrap_or(f64::INFINITY));
                    evidence.series.truncate(keep * 6);
                }
            }
            night.findings = Arc::new(findings);
            let mut runs = (*night.runs).clone();
            let states = [
                StepState::Pending,
                StepState::Preparing,
                StepState::Blocked,
                StepState::AwaitsConfirmation,
                StepState::AwaitsApproval,
                StepState::Executing,
                StepState::Verifying,
                StepState::AwaitsDecision,
                StepState::Done,
                StepState::Failed,
                StepState::Unknown,
                StepState::Skipped,
            ];
            for run in &mut runs {
                run.current = keep % 7;
                run.now.clone_from(&other);
                if let Some(step) = run.steps.get_mut(2) {
                    step.state = states[state];
                    step.name.clone_from(&text);
                    step.output = vec![text.clone(); keep * 3];
                    if let Some(request) = &mut step.request {
                        request.hurts.clone_from(&other);
                        request.target.object.clone_from(&text);
                    }
                }
            }
            night.runs = Arc::new(runs);
            night
        },
    )
}

fn assert_clean(buffer: &Buffer) {
    for cell in buffer.content() {
        let hostile = cell.symbol().chars().find(|c| is_hostile(*c) && *c != '\u{200d}');
        assert!(hostile.is_none(), "{hostile:?} in a cell");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 160, ..ProptestConfig::default() })]

    #[test]
    fn any_size_and_any_night_is_drawn(
        night in odd_night(),
        width in 0_u16..230,
        height in 0_u16..75,
        way in prop::sample::select(WAYS.to_vec()),
        unicode in any::<bool>(),
    ) {
        let mut state = console(night, width, height);
        press(&mut state, way);
        let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
        paint(&state, &theme(ColorDepth::Ansi256, unicode), &mut buffer);
        assert_clean(&buffer);
    }

    #[test]
    fn a_terminal_may_shrink_and_grow_at_any_moment(
        sizes in prop::collection::vec((0_u16..210, 0_u16..70), 1..12),
        way in prop::sample::select(WAYS.to_vec()),
    ) {
        let mut state = console(snapshot(), 80, 24);
        press(&mut state, way);
        for (width, height) in sizes {
            update(&mut state, Msg::Resize { width, height });
            let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
            paint(&state, &theme(ColorDepth::True, true), &mut buffer);
            press(&mut state, "Down PgDn");
        }
    }

    #[test]
    fn the_start_screen_fits_any_terminal(width in 1_u16..200, height in 1_u16..60, text in foreign()) {
        let start = Start::new(text.clone(), vec![(text.clone(), text); 5]);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| start.view(&theme(ColorDepth::True, true), frame)).unwrap();
        assert_clean(terminal.backend().buffer());
    }
}

#[test]
fn a_frame_that_lags_behind_a_resize_is_drawn_too() {
    let state = console(snapshot(), 200, 60);
    for (width, height) in [(10, 3), (80, 24), (1, 1), (30, 50)] {
        let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
        paint(&state, &theme(ColorDepth::True, true), &mut buffer);
    }
}
