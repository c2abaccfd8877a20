//! Where somebody was, and what they have marked.

use super::{PaneId, Screen, State};

/// Most places that are remembered in one direction.
const MOST: usize = 64;

/// A place where somebody was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spot {
    /// A screen with the place of its cursor.
    Here {
        /// The screen.
        screen: Screen,
        /// Which of its panes had the cursor.
        focus: usize,
        /// What the cursor was on.
        row: Option<String>,
    },
    /// Another estate of this console, as it stood there.
    Estate(String),
}

/// Where a jump has led.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jumped {
    /// Nowhere.
    No,
    /// To another screen.
    Here,
    /// To another estate of this console.
    Estate(String),
}

/// The places before this one, and those that somebody has gone back from; the nearest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jumps {
    back: Vec<Spot>,
    ahead: Vec<Spot>,
}

impl Jumps {
    /// Whether there is a place in this estate to go back to.
    pub fn leads_back(&self) -> bool {
        matches!(self.back.last(), Some(Spot::Here { .. }))
    }

    /// Notes that somebody has come from another estate: back there, or on to it where they went back from there.
    pub(in crate::console) fn came_from(&mut self, estate: &str, went_back: bool) {
        let to = if went_back { &mut self.ahead } else { &mut self.back };
        to.push(Spot::Estate(estate.to_owned()));
        if to.len() > MOST {
            to.remove(0);
        }
    }

    /// Forgets what was gone back from.
    pub(in crate::console) fn begin_anew(&mut self) {
        self.ahead.clear();
    }
}

/// A row that somebody wants to find again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its pane.
    pub pane: PaneId,
    /// What it is about.
    pub key: String,
    /// What it said when it was marked.
    pub label: String,
}

impl State {
    fn spot(&self) -> Spot {
        let row = self.panes.get(self.focused()).chosen().map(str::to_owned);
        Spot::Here { screen: self.screen.clone(), focus: self.focus, row }
    }

    /// Goes to a screen and remembers this place.
    pub(in crate::console) fn leave_for(&mut self, screen: Screen) {
        let spot = self.spot();
        self.jumps.back.push(spot);
        if self.jumps.back.len() > MOST {
            self.jumps.back.remove(0);
        }
        self.jumps.ahead.clear();
        self.screen = screen;
        self.focus = 0;
    }

    /// Goes back to the place before, or on to the one that was gone back from; answers where that is.
    pub(in crate::console) fn jump(&mut self, on: bool) -> Jumped {
        let here = self.spot();
        let Jumps { back, ahead } = &mut self.jumps;
        let (from, to) = if on { (ahead, back) } else { (back, ahead) };
        match from.pop() {
            None => Jumped::No,
            Some(Spot::Estate(name)) => Jumped::Estate(name),
            Some(Spot::Here { screen, focus, row }) => {
                to.push(here);
                self.screen = screen;
                self.focus = focus;
                if let Some(row) = row {
                    self.panes.change(self.focused(), |pane| pane.select(&row));
                }
                Jumped::Here
            }
        }
    }

    /// The keys of what is marked in a pane.
    pub fn marked(&self, pane: PaneId) -> Vec<&str> {
        self.marks.iter().filter(|m| m.pane == pane).map(|m| m.key.as_str()).collect()
    }
}
