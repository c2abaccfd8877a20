//! One write a frame: the changed cells are collected and leave in one piece, wrapped in a synchronized
//! update where a frame is large enough to tear.

use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// Frames of fewer bytes are too small to tear and go without the wrap, which would cost 16 bytes a second
/// on a quiet screen.
const WRAP_FROM: usize = 256;
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";
/// What the backend writes at the end of every frame, changed or not. The cursor is hidden by the guard already.
const HIDE: &[u8] = b"\x1b[?25l";
const RESET: &[u8] = b"\x1b[39m\x1b[49m\x1b[59m\x1b[0m";
/// Normal style, nothing on the screen.
const CLEAR: &[u8] = b"\x1b[0m\x1b[2J";

/// Where the backend writes; shared with the screen that sends it off.
#[derive(Clone, Debug, Default)]
struct Collected(Arc<Mutex<Vec<u8>>>);

impl Collected {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Collected {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The screen.
#[derive(Debug)]
pub struct Screen<W: Write> {
    terminal: Terminal<CrosstermBackend<Collected>>,
    collected: Collected,
    area: Rect,
    out: W,
}

fn blank(collected: &Collected, area: Rect) -> io::Result<Terminal<CrosstermBackend<Collected>>> {
    Terminal::with_options(
        CrosstermBackend::new(collected.clone()),
        TerminalOptions { viewport: Viewport::Fixed(area) },
    )
}

impl<W: Write> Screen<W> {
    /// A screen of a size in cells that writes to `out`.
    pub fn new(out: W, width: u16, height: u16) -> io::Result<Self> {
        let collected = Collected::default();
        let area = Rect::new(0, 0, width, height);
        let terminal = blank(&collected, area)?;
        Ok(Self { terminal, collected, area, out })
    }

    /// Takes a new size; the next frame is drawn whole.
    pub fn resize(&mut self, width: u16, height: u16) -> io::Result<()> {
        self.area = Rect::new(0, 0, width, height);
        self.redraw()
    }

    /// Forgets what is on the screen; the next frame is drawn whole. `Terminal::clear` would first ask the terminal
    /// where its cursor is, whose answer only the reader of the keys could get.
    pub fn redraw(&mut self) -> io::Result<()> {
        self.terminal = blank(&self.collected, self.area)?;
        // The one before has just asked, as its last word, for a cursor.
        self.collected.take();
        self.collected.write_all(CLEAR)
    }

    /// Draws a frame and sends what changed, in one write. Answers the number of bytes written.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<usize> {
        self.terminal.draw(view)?;
        let mut changed = self.collected.take();
        if changed.ends_with(HIDE) {
            changed.truncate(changed.len() - HIDE.len());
        }
        if changed == RESET {
            changed.clear();
        }
        self.send(&changed)
    }

    /// Sends bytes that are no cells (a bell, a clipboard sequence).
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)?;
        self.out.flush()
    }

    fn send(&mut self, changed: &[u8]) -> io::Result<usize> {
        if changed.is_empty() {
            return Ok(0);
        }
        let wrap = changed.len() >= WRAP_FROM;
        let mut bytes = Vec::with_capacity(changed.len() + 16);
        bytes.extend_from_slice(if wrap { BEGIN } else { b"" });
        bytes.extend_from_slice(changed);
        bytes.extend_from_slice(if wrap { END } else { b"" });
        self.out.write_all(&bytes)?;
        self.out.flush()?;
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::widgets::Paragraph;

    #[test]
    fn an_unchanged_frame_writes_nothing_and_one_cell_at_most_64_bytes() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, 80, 24).unwrap();
        let draw = |screen: &mut Screen<&mut Vec<u8>>, text: &str| {
            let text = text.to_owned();
            screen.draw(|f| f.render_widget(Paragraph::new(text), f.area())).unwrap()
        };
        assert!(draw(&mut screen, "calm ◉") > 0);
        let same = draw(&mut screen, "calm ◉");
        assert_eq!(same, 0);
        let one = draw(&mut screen, "calm ○");
        assert!((1..=64).contains(&one), "one changed cell wrote {one} bytes");
    }

    #[test]
    fn after_a_new_size_or_a_loss_the_frame_is_whole_and_nothing_is_asked() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, 80, 24).unwrap();
        let draw = |screen: &mut Screen<&mut Vec<u8>>| screen.draw(|f| f.render_widget("calm", f.area())).unwrap();
        let whole = draw(&mut screen);
        screen.redraw().unwrap();
        assert_eq!(draw(&mut screen), whole + CLEAR.len());
        screen.resize(3, 1).unwrap();
        assert!(draw(&mut screen) < whole + CLEAR.len());
        let out = String::from_utf8(out).unwrap();
        assert!(!out.contains("[6n") && !out.contains("[?25h"), "{out:?}");
    }
}
