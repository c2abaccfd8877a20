//! The blocking tree of one instance from its sessions: who waits for whom, root blockers first. Blockers that
//! are not among the sessions (a prepared transaction is pid 0, others may be hidden) become roots of their
//! own; a circle, which the deadlock detector has not yet broken, is entered at its smallest pid.

use crate::domain::facts::postgres::Session;
use crate::domain::pane::LockNode;
use jiff::Timestamp;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// A graph over positions; edges point from a blocker to those who wait for it.
struct Graph<'a> {
    pids: Vec<i32>,
    sessions: Vec<Option<&'a Session>>,
    waiters: Vec<Vec<usize>>,
    blockers: Vec<usize>,
}

impl<'a> Graph<'a> {
    fn new(sessions: &'a [Session]) -> Self {
        let known: HashMap<i32, &Session> = sessions.iter().map(|s| (s.pid, s)).collect();
        // Only who waits or is waited for belongs to the tree; by pid, so that equal facts give equal trees.
        let mut involved: BTreeMap<i32, Option<&Session>> = BTreeMap::new();
        for session in sessions.iter().filter(|s| !s.blocked_by.is_empty()) {
            involved.insert(session.pid, Some(session));
            for blocker in &session.blocked_by {
                involved.entry(*blocker).or_insert_with(|| known.get(blocker).copied());
            }
        }
        let pids: Vec<i32> = involved.keys().copied().collect();
        let place: HashMap<i32, usize> = pids.iter().enumerate().map(|(i, pid)| (*pid, i)).collect();
        let sessions: Vec<_> = involved.into_values().collect();
        let mut waiters = vec![Vec::new(); pids.len()];
        let mut blockers = vec![0; pids.len()];
        for (i, session) in sessions.iter().enumerate() {
            let Some(session) = session else { continue };
            let from: Vec<usize> = session.blocked_by.iter().filter_map(|pid| place.get(pid).copied()).collect();
            for blocker in from.into_iter().filter(|blocker| *blocker != i) {
                let Some(list) = waiters.get_mut(blocker) else { continue };
                if list.last() != Some(&i) {
                    list.push(i);
                    if let Some(count) = blockers.get_mut(i) {
                        *count += 1;
                    }
                }
            }
        }
        Self { pids, sessions, waiters, blockers }
    }

    fn waiters(&self, of: usize) -> &[usize] {
        self.waiters.get(of).map_or(&[], Vec::as_slice)
    }

    fn waiting_s(&self, of: usize) -> f64 {
        self.sessions.get(of).copied().flatten().and_then(|s| s.waiting_s).unwrap_or(0.0)
    }

    /// For each position how many can be reached from it, itself not counted. Sets of bits that grow until
    /// nothing changes: circles end, and five hundred sessions that wait for all before them cost a
    /// millisecond.
    fn reach(&self) -> Vec<u32> {
        let words = self.pids.len().div_ceil(64);
        let mut sets: Vec<Vec<u64>> = vec![vec![0; words]; self.pids.len()];
        let mut changed = true;
        while changed {
            changed = false;
            for at in (0..self.pids.len()).rev() {
                let mut set = sets.get(at).cloned().unwrap_or_default();
                for waiter in self.waiters(at) {
                    if let Some(word) = set.get_mut(waiter / 64) {
                        *word |= 1 << (waiter % 64);
                    }
                    for (word, more) in set.iter_mut().zip(sets.get(*waiter).into_iter().flatten()) {
                        *word |= more;
                    }
                }
                if let Some(old) = sets.get_mut(at).filter(|old| **old != set) {
                    *old = set;
                    changed = true;
                }
            }
        }
        let itself = |at: usize, set: &[u64]| set.get(at / 64).map_or(0, |word| u32::from(word >> (at % 64) & 1 == 1));
        sets.iter()
            .enumerate()
            .map(|(at, set)| set.iter().map(|w| w.count_ones()).sum::<u32>() - itself(at, set))
            .collect()
    }

    fn node(&self, at: usize, depth: u16, waiting_behind: u32) -> Option<LockNode> {
        let pid = *self.pids.get(at)?;
        Some(match self.sessions.get(at).copied().flatten() {
            Some(s) => LockNode {
                depth,
                pid,
                backend_start: s.backend_start,
                database: s.database.clone(),
                user: s.user.clone(),
                application: s.application.clone(),
                age_s: if depth == 0 { s.transaction_s } else { s.waiting_s },
                waiting_behind,
                state: s.state.clone(),
                query: s.query.clone(),
            },
            None => LockNode {
                depth,
                pid,
                backend_start: Timestamp::UNIX_EPOCH,
                database: String::new(),
                user: String::new(),
                application: String::new(),
                age_s: None,
                waiting_behind,
                state: (if pid == 0 { "prepared transaction" } else { "not visible to us" }).into(),
                query: String::new(),
            },
        })
    }
}

/// The tree in the order of printing. Each session stands in it once, under the blocker nearest to a root;
/// roots with the most waiters come first, then the longest wait first.
pub fn tree(sessions: &[Session]) -> Vec<LockNode> {
    let graph = Graph::new(sessions);
    let size = graph.pids.len();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); size];
    let mut placed = vec![false; size];
    let mut roots: Vec<usize> = (0..size).filter(|i| graph.blockers.get(*i) == Some(&0)).collect();
    spread(&graph, &roots, &mut children, &mut placed);
    // What no root reaches is a circle or hangs on one.
    for i in 0..size {
        if placed.get(i) == Some(&false) {
            roots.push(i);
            spread(&graph, &[i], &mut children, &mut placed);
        }
    }
    let reach = graph.reach();
    let behind = |at: usize| reach.get(at).copied().unwrap_or(0);
    roots.sort_by_key(|root| (std::cmp::Reverse(behind(*root)), graph.pids.get(*root).copied()));
    for list in &mut children {
        list.sort_by(|a, b| graph.waiting_s(*b).total_cmp(&graph.waiting_s(*a)));
    }
    let mut out = Vec::with_capacity(size);
    let mut todo: Vec<(usize, u16)> = roots.into_iter().rev().map(|root| (root, 0)).collect();
    while let Some((at, depth)) = todo.pop() {
        out.extend(graph.node(at, depth, behind(at)));
        let below = children.get(at).map_or(&[][..], Vec::as_slice);
        todo.extend(below.iter().rev().map(|child| (*child, depth.saturating_add(1))));
    }
    out
}

/// Breadth first from these roots: who is found first is the parent.
fn spread(graph: &Graph<'_>, roots: &[usize], children: &mut [Vec<usize>], placed: &mut [bool]) {
    let mut queue: VecDeque<usize> = roots.iter().copied().collect();
    for root in roots {
        if let Some(placed) = placed.get_mut(*root) {
            *placed = true;
        }
    }
    while let Some(at) = queue.pop_front() {
        for waiter in graph.waiters(at) {
            let Some(seen) = placed.get_mut(*waiter).filter(|seen| !**seen) else { continue };
            *seen = true;
            queue.push_back(*waiter);
            if let Some(list) = children.get_mut(at) {
                list.push(*waiter);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i32, blocked_by: &[i32], waiting_s: f64) -> Session {
        let waiting_s = (!blocked_by.is_empty()).then_some(waiting_s);
        Session { pid, blocked_by: blocked_by.to_vec(), waiting_s, transaction_s: Some(900.0), ..Session::default() }
    }

    fn drawn(sessions: &[Session]) -> Vec<(u16, i32, u32)> {
        tree(sessions).iter().map(|n| (n.depth, n.pid, n.waiting_behind)).collect()
    }

    #[test]
    fn roots_come_first_and_each_session_stands_once() {
        let sessions = [
            session(4720, &[4711, 4715], 20.0),
            session(4711, &[], 0.0),
            session(4715, &[4711], 60.0),
            session(4730, &[4715], 5.0),
            session(10, &[], 0.0),
            session(11, &[10], 1.0),
            session(99, &[], 0.0),
        ];
        assert_eq!(drawn(&sessions), [(0, 4711, 3), (1, 4715, 2), (2, 4730, 0), (1, 4720, 0), (0, 10, 1), (1, 11, 0)]);
    }

    #[test]
    fn a_circle_and_what_hangs_on_it_is_drawn_once() {
        let sessions = [session(1, &[2], 3.0), session(2, &[1], 2.0), session(3, &[2], 1.0), session(4, &[4], 9.0)];
        assert_eq!(drawn(&sessions), [(0, 1, 2), (1, 2, 2), (2, 3, 0), (0, 4, 0)]);
    }

    #[test]
    fn a_blocker_that_can_not_be_seen_is_a_root_of_its_own() {
        let tree = tree(&[session(5, &[0], 7.0), session(6, &[777], 7.0)]);
        assert_eq!(tree.iter().map(|n| n.pid).collect::<Vec<_>>(), [0, 5, 777, 6]);
        assert_eq!((tree[0].state.as_str(), tree[2].state.as_str()), ("prepared transaction", "not visible to us"));
        assert_eq!(tree[1].age_s, Some(7.0));
    }

    #[test]
    fn five_hundred_sessions_that_all_wait_for_all_before_them_do_not_hang() {
        let sessions: Vec<Session> =
            (0..500).map(|i| session(i + 1, &(1..=i).collect::<Vec<_>>(), f64::from(i))).collect();
        let tree = tree(&sessions);
        assert_eq!(tree.len(), 500);
        assert_eq!((tree[0].pid, tree[0].waiting_behind), (1, 499));
    }
}
