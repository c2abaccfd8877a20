//! One write a frame: the changed cells are collected and leave in one piece, wrapped in a synchronized
//! update where a frame is large enough to tear.

use super::linked::{Drawn, Linked};
use crate::console::links::Links;
use ratatui::buffer::CellDiffOption;
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
    terminal: Terminal<Linked<Collected>>,
    collected: Collected,
    /// Where the cells of the frame that was drawn last lead.
    drawn: Drawn,
    area: Rect,
    out: W,
}

fn blank(collected: &Collected, drawn: &Drawn, area: Rect) -> io::Result<Terminal<Linked<Collected>>> {
    Terminal::with_options(
        Linked::new(collected.clone(), drawn.clone()),
        TerminalOptions { viewport: Viewport::Fixed(area) },
    )
}

impl<W: Write> Screen<W> {
    /// A screen of a size in cells that writes to `out`. What stands there goes with the first frame: GNU screen has no
    /// alternate screen until it is told to (`altscreen on`).
    pub fn new(out: W, width: u16, height: u16) -> io::Result<Self> {
        let (collected, drawn) = (Collected::default(), Drawn::default());
        let area = Rect::new(0, 0, width, height);
        let mut screen = Self { terminal: blank(&collected, &drawn, area)?, collected, drawn, area, out };
        screen.redraw()?;
        Ok(screen)
    }

    /// Takes a new size; the next frame is drawn whole.
    pub fn resize(&mut self, width: u16, height: u16) -> io::Result<()> {
        self.area = Rect::new(0, 0, width, height);
        self.redraw()
    }

    /// Forgets what is on the screen; the next frame is drawn whole. `Terminal::clear` would first ask the terminal
    /// where its cursor is, whose answer only the reader of the keys could get.
    pub fn redraw(&mut self) -> io::Result<()> {
        self.terminal = blank(&self.collected, &self.drawn, self.area)?;
        // The one before has just asked, as its last word, for a cursor.
        self.collected.take();
        self.collected.write_all(CLEAR)
    }

    /// Draws a frame and sends what changed, in one write. Answers the number of bytes written.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame<'_>)) -> io::Result<usize> {
        self.draw_linked(|frame| {
            view(frame);
            Links::default()
        })
    }

    /// The same, with cells that lead somewhere.
    pub fn draw_linked(&mut self, view: impl FnOnce(&mut Frame<'_>) -> Links) -> io::Result<usize> {
        let drawn = self.drawn.clone();
        self.terminal.draw(|frame| {
            let links = view(frame);
            let before = drawn.replace(links.clone());
            // The same text that leads elsewhere is written again, which the difference of the cells would not show.
            for (column, row) in links.apart(&before) {
                if let Some(cell) = frame.buffer_mut().cell_mut((column, row)) {
                    cell.set_diff_option(CellDiffOption::AlwaysUpdate);
                }
            }
        })?;
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

    /// Draws a line whose cells 2 to 6 lead somewhere; answers what was written.
    fn linked(screen: &mut Screen<std::io::Sink>, text: &str, link: Option<&str>) -> usize {
        let mut links = Links::default();
        links.set(0, 2..6, link.map(std::sync::Arc::from).as_ref());
        let text = text.to_owned();
        let draw = |f: &mut Frame<'_>| {
            f.render_widget(Paragraph::new(text), f.area());
            links
        };
        screen.draw_linked(draw).unwrap()
    }

    #[test]
    fn cells_lead_where_they_should_at_the_same_width() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, 20, 1).unwrap();
        let mut links = Links::default();
        links.set(0, 2..6, Some(&"https://a".into()));
        screen
            .draw_linked(|f| {
                f.render_widget(Paragraph::new("a https b"), f.area());
                links
            })
            .unwrap();
        let out = String::from_utf8(out).unwrap();
        let open = crate::terminal::outer::link(Some("https://a"));
        let close = crate::terminal::outer::link(None);
        // The blank is there already; the cursor passes over it.
        assert!(out.contains(&format!("a{open}\u{1b}[1;3Hhttp{close}s")), "{out:?}");
        let mut parser = vt100::Parser::new(1.try_into().unwrap(), 20.try_into().unwrap(), 0);
        parser.process(out.as_bytes());
        assert_eq!(parser.screen().contents(), "a https b");
    }

    #[test]
    fn a_link_that_changes_is_written_again_and_one_that_stays_is_not() {
        let mut screen = Screen::new(std::io::sink(), 20, 1).unwrap();
        assert!(linked(&mut screen, "a https b", Some("https://a")) > 0);
        // Cells that had to be written whatever they were are compared once more.
        linked(&mut screen, "a https b", Some("https://a"));
        assert_eq!(linked(&mut screen, "a https b", Some("https://a")), 0);
        assert!(linked(&mut screen, "a https b", Some("https://b")) > 20);
        linked(&mut screen, "a https b", Some("https://b"));
        assert!(linked(&mut screen, "a https b", None) > 0);
        linked(&mut screen, "a https b", None);
        assert_eq!(linked(&mut screen, "a https b", None), 0);
    }

    #[test]
    fn after_a_new_size_or_a_loss_the_frame_is_whole_and_nothing_is_asked() {
        let mut out = Vec::new();
        let mut screen = Screen::new(&mut out, 80, 24).unwrap();
        let draw = |screen: &mut Screen<&mut Vec<u8>>| screen.draw(|f| f.render_widget("calm", f.area())).unwrap();
        let whole = draw(&mut screen);
        screen.redraw().unwrap();
        assert_eq!(draw(&mut screen), whole);
        screen.resize(3, 1).unwrap();
        assert!(draw(&mut screen) < whole);
        let out = String::from_utf8(out).unwrap();
        assert!(out.starts_with("\u{1b}[0m\u{1b}[2J"), "what stood there goes first: {out:?}");
        assert!(!out.contains("[6n") && !out.contains("[?25h"), "{out:?}");
    }
}
