//! What a console asks its surroundings to do.

use super::state::{Mark, Screen, Wanted};
use crate::domain::incident::Role;
use crate::engine::api::{Command, Decision, RequestView};

/// Names a command that was sent, so that its reply finds the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// How somebody comes to another estate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// It was chosen.
    Choice,
    /// They go back to where they were.
    Back,
    /// They go on to where they went back from.
    On,
}

/// What is on the screen of an estate that somebody comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// What was there when they left it.
    AsItWas,
    /// This screen.
    Screen(Screen),
    /// What was marked there.
    Mark(Mark),
    /// A record of its journal.
    Record(u64),
}

/// One thing to be done outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send a command to the engine; the answer comes as [`super::msg::Msg::Reply`].
    Command {
        /// Its name.
        id: RequestId,
        /// What.
        command: Command,
    },
    /// Read up to `limit` records older than `before`; they come as [`super::msg::Msg::Records`].
    Records {
        /// Sequence number of the oldest record that is known.
        before: u64,
        /// How many.
        limit: u16,
    },
    /// Search the log for what is wanted, from the record before `before` back to the first; what is found comes as
    /// [`super::msg::Msg::Scanned`]. A search that still runs ends.
    Scan {
        /// Its name.
        id: RequestId,
        /// What is wanted.
        wanted: Wanted,
        /// Where it begins.
        before: u64,
    },
    /// End the search that runs.
    EndScan,
    /// Read one record with all that can be said of it; it comes as [`super::msg::Msg::Opened`].
    Open {
        /// Its number.
        seq: u64,
    },
    /// Write the proof of a record into a new file in the working directory; what became of it comes as
    /// [`super::msg::Msg::Saved`].
    SaveProof {
        /// Number of the record.
        seq: u64,
        /// What the file says.
        file: String,
    },
    /// Have the person's ssh-agent sign an answer to a request, and send it to the engine; what became of it comes as
    /// [`super::msg::Msg::Reply`].
    Sign {
        /// Its name.
        id: RequestId,
        /// What was shown.
        request: Box<RequestView>,
        /// Yes or no.
        decision: Decision,
        /// In which role.
        role: Role,
        /// Why, for a no.
        reason: String,
        /// Keys of the roster, to choose one of the agent's by.
        allowed_signers: String,
    },
    /// Show another estate of this console; nothing that lies open in this one goes with it.
    Visit {
        /// Its name.
        estate: String,
        /// How it is come to.
        by: By,
        /// What is shown there.
        then: Then,
    },
    /// Leave.
    Quit,
    /// Put text on the clipboard of the person's own terminal (OSC 52).
    Copy(String),
    /// Tell of something that a person would look up for from another window.
    Call(String),
    /// Give the window this title.
    Title(String),
    /// Let the person edit a text in their own editor; what became of it comes as [`super::msg::Msg::Edited`].
    EditOutside(String),
    /// Stop like any job (`SIGTSTP`) and come back with a full redraw.
    Suspend,
    /// Clear the terminal and draw everything.
    Redraw,
}
