//! Cursor, order and filter of a pane. A placed cursor is on a thing, never on a row number; until somebody
//! places it, it is on the first row (on the last, where the newest is last). Rows are put in order again only
//! while the cursor is elsewhere or was not placed, and at most every five seconds.

use crate::console::rows::{Context, Group, PaneRow};
use crate::domain::pane::Pane as DomainPane;
use jiff::{SignedDuration, Timestamp};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Least time between two sortings.
const CALM: SignedDuration = SignedDuration::from_secs(5);

/// A pane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PaneId {
    /// Tenants.
    Tenants,
    /// Databases.
    Databases,
    /// Lock tree of the database under the cursor.
    Locks,
    /// Channels and Redis.
    Queues,
    /// Routers and ingresses.
    Ingress,
    /// Clusters, nodes and what runs on them.
    Platform,
    /// Backups.
    Recovery,
    /// What delivers changes.
    Delivery,
    /// Processes of the business, and integrations.
    Business,
    /// Rights, certificates, privileged actions.
    Security,
    /// Findings.
    Findings,
    /// What changed.
    Changes,
    /// Playbooks that a finding offers.
    Offers,
    /// Series that a finding rests on.
    Evidence,
    /// Timeline of the incident.
    Timeline,
    /// Measures in force.
    Measures,
    /// Playbooks.
    Playbooks,
    /// Runs.
    Runs,
    /// Steps of the run on the screen.
    Steps,
    /// Records.
    Journal,
    /// Observers.
    Sources,
    /// Estates of this console.
    Estates,
    /// Incidents of all of them.
    EstateIncidents,
    /// Newest records of all of them.
    EstateRecords,
}

impl PaneId {
    /// All of them, in the order of the enum.
    pub const ALL: [Self; 24] = [
        Self::Tenants,
        Self::Databases,
        Self::Locks,
        Self::Queues,
        Self::Ingress,
        Self::Platform,
        Self::Recovery,
        Self::Delivery,
        Self::Business,
        Self::Security,
        Self::Findings,
        Self::Changes,
        Self::Offers,
        Self::Evidence,
        Self::Timeline,
        Self::Measures,
        Self::Playbooks,
        Self::Runs,
        Self::Steps,
        Self::Journal,
        Self::Sources,
        Self::Estates,
        Self::EstateIncidents,
        Self::EstateRecords,
    ];

    /// The screen of one pane.
    pub const fn alone(pane: DomainPane) -> &'static [Self] {
        match pane {
            DomainPane::Tenants => &[Self::Tenants],
            DomainPane::Database => &[Self::Databases],
            DomainPane::Queue => &[Self::Queues],
            DomainPane::Ingress => &[Self::Ingress],
            DomainPane::Platform => &[Self::Platform],
            DomainPane::Recovery => &[Self::Recovery],
            DomainPane::Delivery => &[Self::Delivery],
            DomainPane::Business => &[Self::Business],
            DomainPane::Security => &[Self::Security],
        }
    }

    /// Whether its rows belong to tenants and places.
    pub const fn can_group(self) -> bool {
        self.has_signals() || matches!(self, Self::Findings)
    }

    /// Whether its rows are about something that signals tell of.
    pub const fn has_signals(self) -> bool {
        matches!(self, Self::Tenants | Self::Databases | Self::Queues | Self::Ingress) || self.subjects().is_some()
    }

    /// The pane of subjects that it is, if it is one.
    pub const fn subjects(self) -> Option<DomainPane> {
        match self {
            Self::Platform => Some(DomainPane::Platform),
            Self::Recovery => Some(DomainPane::Recovery),
            Self::Delivery => Some(DomainPane::Delivery),
            Self::Business => Some(DomainPane::Business),
            Self::Security => Some(DomainPane::Security),
            _ => None,
        }
    }

    /// Whether the newest row is the last, and the cursor follows it.
    pub const fn newest_last(self) -> bool {
        matches!(self, Self::Journal | Self::Timeline)
    }
}

/// How a pane is looked at while its rows are taken in.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// Whether it has the cursor.
    pub focused: bool,
    /// Whether the newest row is the last.
    pub newest_last: bool,
    /// The wall clock.
    pub wall: Timestamp,
}

/// One row in the order of the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// What it is about.
    pub key: String,
    /// Where it is among the engine's rows.
    pub index: usize,
    /// The group that it stands in, while rows are grouped.
    pub group: Option<Arc<str>>,
}

/// One pane.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pane {
    /// Rows that pass the filter, in the order of the screen.
    pub order: Vec<Slot>,
    /// How many rows there are without the filter.
    pub total: usize,
    /// The filter.
    pub filter: String,
    /// Which way of sorting.
    pub sort: usize,
    /// By what rows are grouped.
    pub group: Option<Group>,
    /// Whether a person has placed the cursor.
    pub pinned: bool,
    selected: Option<String>,
    at: usize,
    sorted_at: Option<Timestamp>,
    sorted_by: (usize, String, Option<Group>),
}

impl Pane {
    /// Place of the cursor in the order.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// The row under the cursor.
    pub fn selected(&self) -> Option<&Slot> {
        self.order.get(self.at)
    }

    /// What the row under the cursor is about.
    pub fn selected_key(&self) -> Option<&str> {
        self.selected().map(|slot| slot.key.as_str())
    }

    /// What the cursor was placed on, if somebody has placed it.
    pub fn chosen(&self) -> Option<&str> {
        self.selected.as_deref().filter(|_| self.pinned)
    }

    /// Puts the cursor on a row.
    pub fn place(&mut self, at: usize) {
        self.at = at.min(self.order.len().saturating_sub(1));
        self.selected = self.order.get(self.at).map(|s| s.key.clone());
        self.pinned = true;
    }

    /// Puts the cursor on a thing; on the next refresh when it is not there yet.
    pub fn select(&mut self, key: &str) {
        self.selected = Some(key.to_owned());
        self.pinned = true;
        if let Some(at) = self.order.iter().position(|s| s.key == key) {
            self.at = at;
        }
    }

    /// Forgets where the cursor was placed.
    pub fn release(&mut self) {
        self.pinned = false;
        self.selected = None;
        self.at = 0;
    }

    /// Lets the next refresh sort again at once.
    pub fn resort(&mut self) {
        self.sorted_at = None;
    }

    /// Takes in the engine's rows.
    pub fn refresh<'a, R: PaneRow + 'a>(
        &mut self,
        rows: impl IntoIterator<Item = &'a R>,
        context: &Context<'_>,
        look: Look,
    ) {
        let rows: Vec<&R> = rows.into_iter().collect();
        self.total = rows.len();
        let mut sorted: Vec<usize> = (0..rows.len()).collect();
        if !self.filter.is_empty() {
            sorted.retain(|i| rows.get(*i).is_some_and(|row| row.matches(&self.filter, context)));
        }
        let compare = R::SORTS.get(self.sort).or(R::SORTS.first()).map(|s| s.compare);
        sort(&mut sorted, &|a, b| match (rows.get(a), rows.get(b), compare) {
            (Some(a), Some(b), Some(compare)) => compare(a, b),
            _ => Ordering::Equal,
        });
        let sorted = sorted
            .into_iter()
            .filter_map(|index| rows.get(index).map(|row| slot(*row, index, self.group, context)))
            .collect();
        self.take(sorted, look);
    }

    fn take(&mut self, sorted: Vec<Slot>, look: Look) {
        let Look { focused, newest_last, wall } = look;
        let sorted = together(sorted);
        let asked = (self.sort, self.filter.clone(), self.group);
        let due = !(self.pinned && focused) && self.sorted_at.is_none_or(|at| wall.duration_since(at) >= CALM);
        if due || newest_last || self.order.is_empty() || asked != self.sorted_by {
            self.order = sorted;
            self.sorted_at = Some(wall);
            self.sorted_by = asked;
        } else {
            self.order = keep_order(&self.order, sorted);
        }
        self.find_cursor(newest_last);
    }

    fn find_cursor(&mut self, newest_last: bool) {
        let last = self.order.len().saturating_sub(1);
        if self.pinned {
            let found = self.selected.as_ref().and_then(|key| self.order.iter().position(|slot| slot.key == *key));
            self.at = found.unwrap_or(self.at.min(last));
        } else {
            self.at = if newest_last { last } else { 0 };
        }
        if !self.order.is_empty() {
            self.selected = self.order.get(self.at).map(|slot| slot.key.clone());
        }
    }
}

/// One sort for the rows of all panes, where a generic one would be in the program once for each.
fn sort(sorted: &mut [usize], compare: &dyn Fn(usize, usize) -> Ordering) {
    sorted.sort_by(|a, b| compare(*a, *b));
}

fn slot<R: PaneRow>(row: &R, index: usize, group: Option<Group>, context: &Context<'_>) -> Slot {
    Slot { key: row.key(), index, group: group.map(|by| by.of(row, context).into()) }
}

/// Rows of a group together: the group whose first row comes first, first.
fn together(mut sorted: Vec<Slot>) -> Vec<Slot> {
    let mut places: HashMap<Arc<str>, usize> = HashMap::new();
    for (place, slot) in sorted.iter().enumerate() {
        if let Some(group) = &slot.group {
            places.entry(group.clone()).or_insert(place);
        }
    }
    sorted.sort_by_key(|slot| slot.group.as_ref().and_then(|group| places.get(group).copied()));
    sorted
}

/// The rows of `sorted` in the order of `old`; a new one stands behind the one before it in `sorted`.
fn keep_order(old: &[Slot], sorted: Vec<Slot>) -> Vec<Slot> {
    let known: HashSet<&str> = old.iter().map(|s| s.key.as_str()).collect();
    let mut followers: HashMap<Option<String>, Vec<Slot>> = HashMap::new();
    let mut indexes: HashMap<String, usize> = HashMap::new();
    let mut before: Option<String> = None;
    for slot in sorted {
        if known.contains(slot.key.as_str()) {
            before = Some(slot.key.clone());
            indexes.insert(slot.key, slot.index);
        } else {
            followers.entry(before.clone()).or_default().push(slot);
        }
    }
    let mut out = followers.remove(&None).unwrap_or_default();
    for slot in old {
        let Some(index) = indexes.get(&slot.key) else { continue };
        let key = slot.key.clone();
        let after = followers.remove(&Some(key.clone()));
        out.push(Slot { key, index: *index, group: slot.group.clone() });
        out.extend(after.unwrap_or_default());
    }
    out
}

/// All panes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panes(Vec<(PaneId, Pane)>);

impl Default for Panes {
    fn default() -> Self {
        Self(PaneId::ALL.iter().map(|id| (*id, Pane::default())).collect())
    }
}

static EMPTY: Pane = Pane {
    order: Vec::new(),
    total: 0,
    filter: String::new(),
    sort: 0,
    group: None,
    pinned: false,
    selected: None,
    at: 0,
    sorted_at: None,
    sorted_by: (0, String::new(), None),
};

impl Panes {
    /// One pane.
    pub fn get(&self, id: PaneId) -> &Pane {
        self.0.iter().find(|(i, _)| *i == id).map_or(&EMPTY, |(_, pane)| pane)
    }

    /// Does something with one pane.
    pub fn change<T>(&mut self, id: PaneId, change: impl FnOnce(&mut Pane) -> T) -> Option<T> {
        self.0.iter_mut().find(|(i, _)| *i == id).map(|(_, pane)| change(pane))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(keys: &str) -> Vec<Slot> {
        keys.chars().enumerate().map(|(index, c)| Slot { key: c.to_string(), index, group: None }).collect()
    }

    #[test]
    fn rows_keep_their_places_and_new_ones_stand_where_they_belong() {
        let kept = keep_order(&slots("abcd"), slots("xdbyac"));
        let keys: String = kept.iter().map(|s| s.key.as_str()).collect();
        assert_eq!(keys, "xabycd");
        let at = kept.iter().find(|s| s.key == "a").map(|s| s.index);
        assert_eq!(at, Some(4), "the index is that of the new rows");
        let gone: String = keep_order(&slots("abcd"), slots("ca")).iter().map(|s| s.key.clone()).collect();
        assert_eq!(gone, "ac");
    }
}
