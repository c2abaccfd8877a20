//! The roles of a PostgreSQL, held against those that were approved as a real baseline is.

use crate::domain::baseline::{Approved, Aspect, Drift, Lines, Seen, drifts};
use std::collections::BTreeMap;

/// What was approved on every instance.
const APPROVED: [(&str, &str); 3] = [
    ("odoo", "createdb login"),
    ("postgres", "bypassrls createdb createrole login replication superuser"),
    ("quarterdeck_observe", "login"),
];

fn approved() -> Lines {
    APPROVED.iter().map(|(role, rights)| ((*role).to_owned(), (*rights).to_owned())).collect()
}

/// The roles that are there.
#[derive(Clone, Debug)]
pub struct Roles {
    now: Lines,
    /// Ticks at which one was made, changed or dropped.
    pub changed: Vec<i64>,
}

impl Default for Roles {
    fn default() -> Self {
        Self { now: approved(), changed: Vec::new() }
    }
}

impl Roles {
    /// Makes or changes a role; one without rights is dropped.
    pub fn set(&mut self, role: &str, rights: &str, tick: i64) {
        if rights.is_empty() {
            self.now.remove(role);
        } else {
            self.now.insert(role.to_owned(), rights.to_owned());
        }
        self.changed.push(tick);
    }

    /// What differs from what was approved.
    pub fn drifts(&self) -> Vec<Drift> {
        let approved = Approved([(Aspect::Roles, approved())].into());
        drifts(&approved, &Seen { read: [(Aspect::Roles, self.now.clone())].into(), unread: BTreeMap::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_that_nobody_approved_is_told_by_name_until_it_is_dropped() {
        let mut roles = Roles::default();
        assert!(roles.drifts().is_empty());
        roles.set("backup_sync", "login superuser", 90);
        let found = roles.drifts();
        assert_eq!((found.len(), found[0].gains), (1, true));
        assert_eq!(found[0].to_string(), "role backup_sync is not approved: login superuser");
        roles.set("backup_sync", "login", 95);
        assert!(!roles.drifts()[0].gains, "what can only log in reaches no further");
        roles.set("backup_sync", "", 99);
        assert!(roles.drifts().is_empty() && roles.changed == [90, 95, 99]);
    }
}
