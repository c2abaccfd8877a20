//! A primary and its replica: which of them takes writes, and to which of them clients are sent.

use std::collections::{BTreeMap, BTreeSet};

/// Seconds that rebuilding a replica takes.
const REBUILD_S: i64 = 60;
/// Timeline of an estate at rest.
pub const TIMELINE: u32 = 9;

/// Where clients are sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Route {
    /// To the server that was the primary at first.
    #[default]
    First,
    /// To the server that was its replica at first.
    Second,
    /// To a copy that was restored beside them.
    Aside(String),
}

/// State of the two.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Pair {
    /// Whether the first server does not answer.
    pub down: bool,
    /// Whether the first server is fenced: it takes no writes and no clients.
    pub fenced: bool,
    /// Whether the second server was promoted.
    pub promoted: bool,
    /// Timeline that the newest primary writes.
    pub timeline: u32,
    /// Where the clients of all databases are sent that have no route of their own.
    pub route: Route,
    /// Routes of single databases.
    pub routes: BTreeMap<String, Route>,
    /// Databases whose clients are held at the pool.
    pub paused: BTreeSet<String>,
    /// Whether the replica receives WAL.
    pub receiving: bool,
    /// Whether the cluster manager may fail over by itself.
    pub managed: bool,
    /// Tick at which a replica that is rebuilt streams again.
    pub rebuilt: Option<i64>,
}

impl Default for Pair {
    fn default() -> Self {
        Self {
            down: false,
            fenced: false,
            promoted: false,
            timeline: TIMELINE,
            route: Route::First,
            routes: BTreeMap::new(),
            paused: BTreeSet::new(),
            receiving: true,
            managed: true,
            rebuilt: None,
        }
    }
}

impl Pair {
    /// Where the clients of a database are sent.
    pub fn route_of(&self, database: &str) -> &Route {
        self.routes.get(database).unwrap_or(&self.route)
    }

    /// Whether the clients of a database reach a server that takes writes.
    pub fn serves(&self, database: &str) -> bool {
        !self.paused.contains(database)
            && match self.route_of(database) {
                Route::First => self.first_writes(),
                Route::Second => self.promoted,
                Route::Aside(_) => true,
            }
    }

    /// Whether the first server takes writes.
    pub const fn first_writes(&self) -> bool {
        !self.down && !self.fenced
    }

    /// Servers that take writes; two of them are a split brain.
    pub fn primaries(&self) -> u32 {
        u32::from(self.first_writes()) + u32::from(self.promoted)
    }

    /// The second server becomes a primary.
    pub fn promote(&mut self) {
        if !self.promoted {
            self.promoted = true;
            self.receiving = false;
            self.timeline += 1;
        }
    }

    /// The replica is built again from its primary.
    pub fn rebuild(&mut self, tick: i64) {
        self.receiving = false;
        self.rebuilt = Some(tick + REBUILD_S);
    }

    /// One second; answers whether the replica has just come back.
    pub fn step(&mut self, tick: i64) -> bool {
        let back = self.rebuilt.is_some_and(|at| tick >= at);
        if back {
            self.rebuilt = None;
            self.receiving = true;
        }
        back
    }
}
