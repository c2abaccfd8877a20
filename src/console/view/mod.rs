//! How the console looks: `view(&State, &Theme, &mut Frame)`, read-only. Header, alarms, next verb and hints
//! stand in the same places on every screen; below 48x12 the parts leave one by one, down to a single line.

pub mod canvas;
mod chrome;
mod compose;
mod overlays;
mod screens;
mod widgets;

use super::layout;
use super::state::State;
use super::theme::Theme;
pub use canvas::Targets;

use canvas::Canvas;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

/// Draws the whole screen; answers what the mouse can point at on it.
pub fn view(state: &State, theme: &Theme, frame: &mut Frame<'_>) -> Targets {
    paint(state, theme, frame.buffer_mut())
}

/// Draws the whole screen into a buffer.
pub fn paint(state: &State, theme: &Theme, buffer: &mut Buffer) -> Targets {
    let area = buffer.area;
    let mut canvas = Canvas::new(buffer, theme);
    if area.width < 24 || area.height < 5 {
        chrome::tiny(&mut canvas, state, area);
        return canvas.into_targets();
    }
    chrome::header(&mut canvas, state, row(area, 0));
    chrome::alarms(&mut canvas, state, row(area, 1));
    screens::draw(&mut canvas, state, layout::body(area));
    chrome::next_verb(&mut canvas, state, row(area, area.height - 2));
    chrome::hints(&mut canvas, state, row(area, area.height - 1));
    overlays::draw(&mut canvas, state, area);
    canvas.into_targets()
}

/// Draws what lies on top into a buffer, and nothing of what is below it.
pub fn paint_top(state: &State, theme: &Theme, buffer: &mut Buffer) {
    let area = buffer.area;
    overlays::draw_top(&mut Canvas::new(buffer, theme), state, area);
}

/// One row of an area.
fn row(area: Rect, row: u16) -> Rect {
    Rect { x: area.x, y: area.y.saturating_add(row), width: area.width, height: u16::from(row < area.height) }
}

/// Says whether a state would look other than what was last drawn, so that a quiet screen writes nothing.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    last: Option<Buffer>,
}

impl Gate {
    /// Whether the screen differs from the one before; that one is then taken to be drawn.
    pub fn differs(&mut self, state: &State, theme: &Theme) -> bool {
        let (width, height) = state.size;
        let mut buffer = Buffer::empty(Rect { x: 0, y: 0, width, height });
        paint(state, theme, &mut buffer);
        let differs = self.last.as_ref() != Some(&buffer);
        self.last = Some(buffer);
        differs
    }

    /// Forgets what was drawn, as after a redraw.
    pub fn forget(&mut self) {
        self.last = None;
    }
}
