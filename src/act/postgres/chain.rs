//! Lock chains: who stands at the root of each, and who waits behind it.

use crate::act::args::span;
use crate::domain::facts::postgres::Session;
use std::collections::{BTreeMap, BTreeSet};

/// Lines of a tree that are kept.
const MOST_LINES: usize = 60;

/// One root blocker with everything that waits for it, at whatever distance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Process id of the root: a session that blocks and does not wait itself; 0 is a prepared transaction.
    pub root: i32,
    /// Process ids behind it with their distance; 1 waits for the root itself.
    pub waiting: BTreeMap<i32, usize>,
}

/// The chains among these sessions, the one with most waiting first, then the longest transaction at the root.
/// Sessions that only wait for each other have no root: a deadlock, which the server resolves within
/// `deadlock_timeout`.
pub fn chains(sessions: &[Session]) -> Vec<Chain> {
    let by_pid: BTreeMap<i32, &Session> = sessions.iter().map(|s| (s.pid, s)).collect();
    let waits = |pid: i32| by_pid.get(&pid).is_some_and(|s| !s.blocked_by.is_empty());
    let roots: BTreeSet<i32> =
        sessions.iter().flat_map(|s| &s.blocked_by).copied().filter(|pid| !waits(*pid)).collect();
    let mut chains: Vec<Chain> =
        roots.into_iter().map(|root| Chain { root, waiting: behind(root, sessions) }).collect();
    let age = |pid: i32| by_pid.get(&pid).and_then(|s| s.transaction_s).unwrap_or(0.0);
    chains.sort_by(|a, b| {
        let by_waiting = b.waiting.len().cmp(&a.waiting.len());
        by_waiting.then(age(b.root).total_cmp(&age(a.root))).then(a.root.cmp(&b.root))
    });
    chains
}

/// Everyone behind a root, nearest first.
fn behind(root: i32, sessions: &[Session]) -> BTreeMap<i32, usize> {
    let mut found = BTreeMap::new();
    let mut front = BTreeSet::from([root]);
    for distance in 1.. {
        let next: BTreeSet<i32> = sessions
            .iter()
            .filter(|s| !found.contains_key(&s.pid) && s.blocked_by.iter().any(|b| front.contains(b)))
            .map(|s| s.pid)
            .collect();
        if next.is_empty() {
            break;
        }
        found.extend(next.iter().map(|pid| (*pid, distance)));
        front = next;
    }
    found
}

/// The chains as lines for people, roots first, waiting sessions indented by distance, longest wait first.
pub fn lines(chains: &[Chain], sessions: &[Session]) -> Vec<String> {
    let by_pid: BTreeMap<i32, &Session> = sessions.iter().map(|s| (s.pid, s)).collect();
    let mut lines = Vec::new();
    for chain in chains {
        lines.push(match by_pid.get(&chain.root) {
            Some(s) => {
                let age = s.transaction_s.map_or_else(String::new, |t| format!(" {}", span(t)));
                format!("{} {} blocks {}: {}{age}: {}", s.pid, who(s), chain.waiting.len(), s.state, s.query)
            }
            None if chain.root == 0 => format!("a prepared transaction blocks {}", chain.waiting.len()),
            None => format!("{} (not visible) blocks {}", chain.root, chain.waiting.len()),
        });
        let mut waiting: Vec<(usize, &Session)> =
            chain.waiting.iter().filter_map(|(pid, d)| by_pid.get(pid).map(|s| (*d, *s))).collect();
        waiting.sort_by(|(da, a), (db, b)| {
            let wait = |s: &Session| s.waiting_s.unwrap_or(0.0);
            da.cmp(db).then(wait(b).total_cmp(&wait(a))).then(a.pid.cmp(&b.pid))
        });
        for (distance, s) in waiting {
            let wait = s.waiting_s.map_or_else(String::new, |w| format!(" {}", span(w)));
            lines.push(format!("{}{} {} waits{wait}: {}", "  ".repeat(distance), s.pid, who(s), s.query));
        }
    }
    if lines.len() > MOST_LINES {
        let left_out = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push(format!("… and {left_out} more"));
    }
    lines
}

/// `odoo@t017 (odoo-worker)`.
pub fn who(session: &Session) -> String {
    let application = match session.application.as_str() {
        "" => String::new(),
        name => format!(" ({name})"),
    };
    format!("{}@{}{application}", session.user, session.database)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(pid: i32, blocked_by: &[i32]) -> Session {
        Session {
            pid,
            user: "odoo".into(),
            database: "t017".into(),
            state: "active".into(),
            query: format!("q{pid}"),
            blocked_by: blocked_by.to_vec(),
            waiting_s: (!blocked_by.is_empty()).then(|| f64::from(pid)),
            ..Session::default()
        }
    }

    #[test]
    fn the_root_with_most_behind_it_comes_first_and_a_queue_counts_once() {
        // 1 blocks 2, 3 waits for both (it queues behind 2), 4 for 3; 9 blocks only 8.
        let sessions = [
            session(8, &[9]),
            session(9, &[]),
            session(1, &[]),
            session(2, &[1]),
            session(3, &[1, 2]),
            session(4, &[3]),
        ];
        let found = chains(&sessions);
        assert_eq!(found.iter().map(|c| (c.root, c.waiting.len())).collect::<Vec<_>>(), [(1, 3), (9, 1)]);
        assert_eq!(found[0].waiting, BTreeMap::from([(2, 1), (3, 1), (4, 2)]));
        assert_eq!(
            lines(&found, &sessions),
            [
                "1 odoo@t017 blocks 3: active: q1",
                "  3 odoo@t017 waits 3 s: q3",
                "  2 odoo@t017 waits 2 s: q2",
                "    4 odoo@t017 waits 4 s: q4",
                "9 odoo@t017 blocks 1: active: q9",
                "  8 odoo@t017 waits 8 s: q8",
            ]
        );
    }

    #[test]
    fn of_equal_chains_the_longest_transaction_comes_first() {
        let old = Session { transaction_s: Some(60.0), ..session(7, &[]) };
        let sessions = [session(1, &[]), session(2, &[1]), old, session(8, &[7])];
        assert_eq!(chains(&sessions).iter().map(|c| c.root).collect::<Vec<_>>(), [7, 1]);
    }

    #[test]
    fn a_prepared_transaction_and_an_unseen_session_are_roots_and_a_deadlock_has_none() {
        let sessions = [session(2, &[0]), session(3, &[77])];
        let found = chains(&sessions);
        assert_eq!(found.iter().map(|c| c.root).collect::<Vec<_>>(), [0, 77]);
        assert_eq!(lines(&found, &sessions)[0], "a prepared transaction blocks 1");
        assert_eq!(lines(&found, &sessions)[2], "77 (not visible) blocks 1");
        assert!(chains(&[session(1, &[2]), session(2, &[1])]).is_empty());
        assert!(chains(&[]).is_empty());
    }

    #[test]
    fn a_forest_of_many_is_cut_and_says_so() {
        let mut sessions = vec![session(1, &[])];
        sessions.extend((2..=400).map(|pid| session(pid, &[1])));
        let lines = lines(&chains(&sessions), &sessions);
        assert_eq!((lines.len(), lines.last().unwrap().as_str()), (61, "… and 340 more"));
    }
}
