//! Who watches what, where engines share the sources of an estate. Each engine works that out for itself from the engines that
//! the database tells it of, by rendezvous hashing (Thaler and Ravishankar, 1998): whoever comes takes its part from all
//! others, and what one who goes has watched is spread over those who stay; nothing else moves. Pure: time is an argument.

use crate::domain::id::SourceId;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Made anew with each start.
    pub id: String,
    /// The machine it runs on, for people.
    pub host: String,
}

/// Names one set of engines. What is published under an earlier one is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Term {
    /// Drawn when the database began to keep these: a database that has lost them begins with another.
    pub born: i64,
    /// Counts up when an engine comes or goes.
    pub generation: i64,
}

/// What the database tells whoever renews its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// Which set of engines it is.
    pub term: Term,
    /// Those whose lease lives and that have the same list of sources.
    pub engines: Vec<Member>,
    /// Hosts of those with another list, who watch for themselves.
    pub apart: Vec<String>,
}

/// The one engine that watches a source.
pub fn owner<'a>(engines: &'a [Member], source: &SourceId) -> Option<&'a Member> {
    engines.iter().max_by_key(|engine| weight(&engine.id, source))
}

fn weight(engine: &str, source: &SourceId) -> [u8; 32] {
    Sha256::new().chain_update(engine).chain_update([0]).chain_update(source.as_str()).finalize().into()
}

#[derive(Debug)]
enum Standing {
    /// The database has not been asked yet.
    New,
    /// With others, each source with its owner.
    Shared { term: Term, owners: BTreeMap<SourceId, Member> },
    /// By itself, and why.
    Alone(String),
}

/// What this engine knows of the division.
#[derive(Debug)]
pub struct Plan {
    me: String,
    sources: Vec<SourceId>,
    /// How long the database may say nothing before this engine watches everything by itself.
    patience: Duration,
    /// When what the database last answered was asked.
    answered: Duration,
    standing: Standing,
    /// Sources that their owner has been seen to watch since the engines last changed.
    heard: BTreeSet<SourceId>,
    /// Whether anything of what is to be watched may have changed since that was last asked.
    moved: bool,
}

impl Plan {
    /// Nothing is watched before the database was asked.
    pub fn new(me: impl Into<String>, sources: Vec<SourceId>, patience: Duration) -> Self {
        let (answered, standing, heard) = (Duration::ZERO, Standing::New, BTreeSet::new());
        Self { me: me.into(), sources, patience, answered, standing, heard, moved: false }
    }

    /// The database has answered what was asked at `asked`.
    pub fn told(&mut self, round: &Round, asked: Duration) {
        self.answered = asked;
        if self.term() == Some(round.term) {
            return;
        }
        self.heard.clear();
        self.moved = true;
        let owned = |id: &SourceId| Some((id.clone(), owner(&round.engines, id)?.clone()));
        self.standing = Standing::Shared { term: round.term, owners: self.sources.iter().filter_map(owned).collect() };
    }

    /// The database has not answered. After some time of that this engine sees to everything by itself.
    pub fn failed(&mut self, why: &str, now: Duration) {
        let waits =
            matches!(self.standing, Standing::Shared { .. }) && now.saturating_sub(self.answered) < self.patience;
        if !waits {
            self.heard.clear();
            self.moved |= self.alone().is_none();
            self.standing = Standing::Alone(why.to_owned());
        }
    }

    /// The set of engines under which this one publishes; none while it is by itself.
    pub const fn term(&self) -> Option<Term> {
        match &self.standing {
            Standing::Shared { term, .. } => Some(*term),
            Standing::New | Standing::Alone(_) => None,
        }
    }

    /// Why this engine is by itself.
    pub fn alone(&self) -> Option<&str> {
        match &self.standing {
            Standing::Alone(why) => Some(why),
            Standing::New | Standing::Shared { .. } => None,
        }
    }

    /// Whether this engine tells the others of a source.
    pub fn is_mine(&self, source: &SourceId) -> bool {
        self.owner(source).is_some_and(|owner| owner.id == self.me)
    }

    /// An engine was seen to tell of a source.
    pub fn heard(&mut self, source: &SourceId, from: &str) {
        if !self.heard.contains(source) && self.owner(source).is_some_and(|owner| owner.id == from) {
            self.heard.insert(source.clone());
            self.moved = true;
        }
    }

    /// Whether this engine watches a source that it watches already or not. What is another's from now on it lets go of
    /// when that one was seen to watch it.
    pub fn watches(&self, source: &SourceId, already: bool) -> bool {
        match &self.standing {
            Standing::New => false,
            Standing::Alone(_) => true,
            Standing::Shared { .. } => self.is_mine(source) || (already && !self.heard.contains(source)),
        }
    }

    /// Whether what [`Plan::watches`] says may have changed since this was last asked.
    pub const fn has_moved(&mut self) -> bool {
        std::mem::replace(&mut self.moved, false)
    }

    /// The sources that are shared.
    pub fn sources(&self) -> &[SourceId] {
        &self.sources
    }

    /// The sources of other engines, each with the host of its engine.
    pub fn others(&self) -> BTreeMap<SourceId, String> {
        let others = self.owners().filter(|(_, owner)| owner.id != self.me);
        others.map(|(id, owner)| (id.clone(), owner.host.clone())).collect()
    }

    /// How many sources each engine watches: by id, with its host.
    pub fn parts(&self) -> BTreeMap<&str, (&str, usize)> {
        let mut parts = BTreeMap::new();
        for (_, owner) in self.owners() {
            parts.entry(&*owner.id).or_insert((&*owner.host, 0)).1 += 1;
        }
        parts
    }

    fn owner(&self, source: &SourceId) -> Option<&Member> {
        match &self.standing {
            Standing::Shared { owners, .. } => owners.get(source),
            Standing::New | Standing::Alone(_) => None,
        }
    }

    fn owners(&self) -> impl Iterator<Item = (&SourceId, &Member)> {
        let owners = match &self.standing {
            Standing::Shared { owners, .. } => Some(owners),
            Standing::New | Standing::Alone(_) => None,
        };
        owners.into_iter().flatten()
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
