//! A backend that says of the cells that it writes where they lead (OSC 8, hyperlinks in terminal emulators). A terminal
//! that does not know the sequence passes over it; cells and widths are the same with and without.

use super::outer;
use crate::console::links::Links;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Size};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// The links of the frame that is being drawn, shared with the screen that draws it.
#[derive(Clone, Debug, Default)]
pub(super) struct Drawn(Arc<Mutex<Links>>);

impl Drawn {
    /// Takes the links of the frame that comes; answers those of the frame before.
    pub(super) fn replace(&self, links: Links) -> Links {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), links)
    }
}

/// The backend of crossterm, writing to `W`, with links between its cells.
#[derive(Debug)]
pub(super) struct Linked<W: Write> {
    cells: CrosstermBackend<W>,
    /// The same place as the cells go to.
    out: W,
    drawn: Drawn,
}

impl<W: Write + Clone> Linked<W> {
    pub(super) fn new(out: W, drawn: Drawn) -> Self {
        Self { cells: CrosstermBackend::new(out.clone()), out, drawn }
    }
}

impl<W: Write> Backend for Linked<W> {
    type Error = io::Error;

    fn draw<'a, I>(&mut self, content: I) -> io::Result<()>
    where
        I: Iterator<Item = (u16, u16, &'a Cell)>,
    {
        let links = self.drawn.0.lock().unwrap_or_else(PoisonError::into_inner);
        if links.is_empty() {
            return self.cells.draw(content);
        }
        let (out, mut open, mut wrote) = (&mut self.out, None, Ok(()));
        // Each cell is written before the next one is asked for, so that what is written here stands between them.
        self.cells.draw(content.inspect(|(column, row, _)| {
            let link = links.at(*column, *row);
            if link != open && wrote.is_ok() {
                wrote = out.write_all(outer::link(link.map(|l| &**l)).as_bytes());
                open = link;
            }
        }))?;
        wrote?;
        if open.is_some() {
            self.out.write_all(outer::link(None).as_bytes())?;
        }
        Ok(())
    }

    fn append_lines(&mut self, n: u16) -> io::Result<()> {
        self.cells.append_lines(n)
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.cells.hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.cells.show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        self.cells.get_cursor_position()
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.cells.set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.cells.clear()
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        self.cells.clear_region(clear_type)
    }

    fn size(&self) -> io::Result<Size> {
        self.cells.size()
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        self.cells.window_size()
    }

    fn flush(&mut self) -> io::Result<()> {
        Backend::flush(&mut self.cells)
    }
}
