//! The loop of the start screen: one key at a time until something is chosen.

use super::frame::Screen;
use super::guard::Guard;
use super::signals::Signals;
use crate::console::start::{Choice, Start};
use crate::console::theme::Theme;
use crossterm::event::{Event, EventStream};
use futures::StreamExt as _;
use std::io;

/// Shows it until a choice is made; a signal or a lost terminal is the way out.
pub async fn run(mut start: Start, theme: &Theme) -> io::Result<Choice> {
    let mut signals = Signals::listen()?;
    let guard = Guard::enter(false, false)?;
    let (width, height) = crossterm::terminal::size().unwrap_or((80, 24));
    let mut screen = Screen::new(io::stdout(), width, height)?;
    let mut input = EventStream::new();
    loop {
        screen.draw(|frame| start.view(theme, frame))?;
        tokio::select! {
            signal = signals.next() => match signal {
                super::signals::Signalled::End { .. } => return Ok(Choice::Quit),
                super::signals::Signalled::Continued => {
                    guard.retake()?;
                    screen.redraw()?;
                }
            },
            event = input.next() => match event {
                Some(Ok(Event::Key(key))) => {
                    if let Some(choice) = start.press(&key) {
                        return Ok(choice);
                    }
                }
                Some(Ok(Event::Resize(width, height))) => screen.resize(width, height)?,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Ok(Choice::Quit),
            },
        }
    }
}
