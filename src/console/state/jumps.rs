//! Where somebody was, and what they have marked.

use super::{PaneId, Screen, State};

/// Most places that are remembered in one direction.
const MOST: usize = 64;

/// A screen with the place of its cursor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    screen: Screen,
    focus: usize,
    row: Option<String>,
}

/// The places before this one, and those that somebody has gone back from; the nearest last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Jumps {
    back: Vec<Spot>,
    ahead: Vec<Spot>,
}

impl Jumps {
    /// Whether there is a place to go back to.
    pub const fn leads_back(&self) -> bool {
        !self.back.is_empty()
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
        Spot { screen: self.screen.clone(), focus: self.focus, row }
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

    /// Goes back to the place before, or on to the one that was gone back from; answers whether there was one.
    pub(in crate::console) fn jump(&mut self, on: bool) -> bool {
        let here = self.spot();
        let Jumps { back, ahead } = &mut self.jumps;
        let (from, to) = if on { (ahead, back) } else { (back, ahead) };
        let Some(spot) = from.pop() else { return false };
        to.push(here);
        self.screen = spot.screen;
        self.focus = spot.focus;
        if let Some(row) = spot.row {
            self.panes.change(self.focused(), |pane| pane.select(&row));
        }
        true
    }

    /// The keys of what is marked in a pane.
    pub fn marked(&self, pane: PaneId) -> Vec<&str> {
        self.marks.iter().filter(|m| m.pane == pane).map(|m| m.key.as_str()).collect()
    }
}
