//! Everything that can happen to a console.

use super::effect::RequestId;
use super::keymap::Action;
use super::state::{PaneId, RecordView, Scanned};
use crate::domain::incident::TimelineEntry;
use crate::engine::api::{Reply, Snapshot};
use crate::engine::client::Link;
use crossterm::event::{KeyEvent, MouseEventKind};
use jiff::Timestamp;
use std::sync::Arc;

/// One thing that happened. Times of [`Msg::Tick`] and [`Msg::Beat`] are of the wall clock of this console,
/// also in a drill; the clock of the scenario comes with the snapshots.
#[derive(Clone, Debug)]
pub enum Msg {
    /// A key was pressed.
    Key(KeyEvent),
    /// Text was pasted (bracketed paste); it only ever goes into a text field.
    Paste(String),
    /// The mouse did something.
    Mouse {
        /// What.
        kind: MouseEventKind,
        /// What is drawn where it points.
        on: Option<Target>,
    },
    /// The terminal has a new size.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// The engine has a newer state.
    Snapshot(Arc<Snapshot>),
    /// A sign of life of the engine, received at this time of the wall clock.
    Beat(Timestamp),
    /// The connection to the engine is another than before.
    Link(Link),
    /// A second has passed; the wall clock says this.
    Tick(Timestamp),
    /// The engine answered a command.
    Reply {
        /// Which command.
        to: RequestId,
        /// What it said.
        reply: Reply,
    },
    /// Records that were asked for with [`super::effect::Effect::Records`], or why they could not be read.
    Records(Result<Vec<TimelineEntry>, String>),
    /// What a search has found.
    Scanned(Scanned),
    /// A text that was edited outside, or why it was not.
    Edited(Result<String, String>),
    /// A file was written, or why it was not.
    Saved(Result<String, String>),
    /// A record that was opened, or why it could not be read.
    Opened {
        /// Its number.
        seq: u64,
        /// What was read.
        read: Result<Box<RecordView>, String>,
    },
}

/// Something on the screen that the mouse can point at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A row of a pane, by what it is about.
    Row(PaneId, String),
    /// A pane beside its rows.
    Pane(PaneId),
    /// A hint or a count that stands for an action.
    Act(Action),
    /// A line of the palette.
    Line(usize),
    /// Something that lies on top, beside what can be pointed at.
    OnTop,
}
