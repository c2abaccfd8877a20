//! A quiet screen writes its heartbeat and nothing else, measured in the bytes that reach the terminal.

use crate::fixture::{at, calm, console, later, snapshot};
use crate::{press, theme};
use quarterdeck::console::msg::Msg;
use quarterdeck::console::state::State;
use quarterdeck::console::theme::ColorDepth;
use quarterdeck::console::update;
use quarterdeck::console::view::{Gate, view};
use quarterdeck::engine::api::Snapshot;
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::io::Write;
use std::sync::{Arc, Mutex};

/// Counts what is written.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Vec<u8>>>);

impl Wire {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn terminal(state: &State) -> (Terminal<CrosstermBackend<Wire>>, Wire) {
    let wire = Wire::default();
    let area = Rect { x: 0, y: 0, width: state.size.0, height: state.size.1 };
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    (Terminal::with_options(CrosstermBackend::new(wire.clone()), options).unwrap(), wire)
}

/// The greatest number of bytes that a second costs, over some seconds of a screen reached by keys.
fn dearest_second(snapshot: Snapshot, keys: &str, colors: ColorDepth, seconds: u32) -> usize {
    let mut state = console(snapshot, 80, 24);
    press(&mut state, keys);
    update(&mut state, Msg::Beat(at("02:58:50")));
    update(&mut state, Msg::Tick(at("02:58:50")));
    let theme = theme(colors, true);
    let (mut terminal, wire) = terminal(&state);
    let mut most = 0;
    for second in 0..=seconds {
        terminal.draw(|frame| drop(view(&state, &theme, frame))).unwrap();
        let written = wire.take();
        if second > 0 {
            assert!(!written.is_empty());
            most = most.max(written.len());
        }
        let at = later(&state, 1);
        update(&mut state, Msg::Beat(at));
        update(&mut state, Msg::Tick(at));
    }
    most
}

#[test]
fn a_second_of_a_quiet_screen_costs_at_most_64_bytes() {
    for colors in [ColorDepth::True, ColorDepth::None] {
        for keys in ["", "t", "d", "q", "i", "f", "p", "j", "s", "n"] {
            // Over the turn of a minute, and of the hour.
            let most = dearest_second(calm(), keys, colors, 100);
            assert!(most <= 64, "{most} bytes with {colors:?} after `{keys}`");
        }
    }
}

#[test]
fn the_heartbeat_changes_each_second() {
    let mut state = console(calm(), 80, 24);
    let mut gate = Gate::default();
    let theme = theme(ColorDepth::True, true);
    for _ in 0..5 {
        assert!(gate.differs(&state, &theme));
        let at = later(&state, 1);
        update(&mut state, Msg::Beat(at));
        assert!(!gate.differs(&state, &theme), "a sign of life alone draws nothing");
        update(&mut state, Msg::Tick(at));
    }
}

#[test]
fn one_changed_cell_costs_at_most_64_bytes() {
    let mut state = console(snapshot(), 120, 40);
    press(&mut state, "t");
    let theme = theme(ColorDepth::True, true);
    let (mut terminal, wire) = terminal(&state);
    terminal.draw(|frame| drop(view(&state, &theme, frame))).unwrap();
    wire.take();
    let mut changed = snapshot();
    let mut panes = (*changed.panes).clone();
    panes.tenants[1].p95_s = Some(4.2);
    changed.panes = Arc::new(panes);
    update(&mut state, Msg::Snapshot(Arc::new(changed)));
    terminal.draw(|frame| drop(view(&state, &theme, frame))).unwrap();
    let written = wire.take().len();
    assert!((1..=64).contains(&written), "{written} bytes");
}

#[test]
fn a_snapshot_that_changes_nothing_that_is_seen_is_not_drawn() {
    let mut state = console(snapshot(), 80, 24);
    press(&mut state, "j");
    let theme = theme(ColorDepth::True, true);
    let mut gate = Gate::default();
    assert!(gate.differs(&state, &theme));
    let mut other = snapshot();
    other.generation += 1;
    let mut panes = (*other.panes).clone();
    panes.tenants[9].p95_s = Some(0.9);
    other.panes = Arc::new(panes);
    update(&mut state, Msg::Snapshot(Arc::new(other)));
    assert!(state.take_dirty(), "the state did change");
    assert!(!gate.differs(&state, &theme), "the journal does not show tenants");
    gate.forget();
    assert!(gate.differs(&state, &theme), "after a redraw everything is drawn");
}
