//! An approved security baseline against what a system has now. Both are lines, by aspect: a name and, where there is more
//! to say, what it has (`odoo_t017: login`). What differs is a drift, named; what could not be read is none.

use super::facts::Missing;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Aspect {
    /// Roles of a PostgreSQL with their attributes.
    Roles,
    /// Who is a member of which role.
    Members,
    /// Databases and their owners.
    Databases,
    /// Rights on databases.
    Grants,
    /// Who holds rights in Kubernetes that reach beyond an ordinary workload.
    Rights,
    /// `NetworkPolicy` objects, by a digest of their spec.
    NetworkPolicies,
    /// Namespaces.
    Namespaces,
    /// `StorageClass` objects.
    StorageClasses,
    /// Names of Secrets; never what is in them.
    Secrets,
}

/// Attributes of a role that reach beyond its own data.
const MIGHTY: [&str; 4] = ["bypassrls", "createrole", "replication", "superuser"];

impl Aspect {
    /// Those of a PostgreSQL.
    pub const POSTGRES: &[Self] = &[Self::Roles, Self::Members, Self::Databases, Self::Grants];
    /// Those of a Kubernetes cluster.
    pub const KUBERNETES: &[Self] =
        &[Self::Rights, Self::NetworkPolicies, Self::Namespaces, Self::StorageClasses, Self::Secrets];

    /// Its key in a baseline file.
    pub const fn key(self) -> &'static str {
        match self {
            Self::Roles => "roles",
            Self::Members => "members",
            Self::Databases => "databases",
            Self::Grants => "grants",
            Self::Rights => "rights",
            Self::NetworkPolicies => "network_policies",
            Self::Namespaces => "namespaces",
            Self::StorageClasses => "storage_classes",
            Self::Secrets => "secrets",
        }
    }

    /// One of them in words.
    pub const fn one(self) -> &'static str {
        match self {
            Self::Roles => "role",
            Self::Members => "membership",
            Self::Databases => "database",
            Self::Grants => "grant to",
            Self::Rights => "right of",
            Self::NetworkPolicies => "network policy",
            Self::Namespaces => "namespace",
            Self::StorageClasses => "storage class",
            Self::Secrets => "secret",
        }
    }

    /// Whether what is there now has more power than what was approved. Less power is a drift and no gain.
    fn gains(self, approved: Option<&str>, now: Option<&str>) -> bool {
        let words = |text: Option<&str>| -> BTreeSet<String> {
            text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
        };
        let had = words(approved);
        let mut more = words(now).into_iter().filter(|word| !had.contains(word));
        match self {
            Self::Roles => more.any(|word| MIGHTY.contains(&word.as_str())),
            // Whoever may hand a mighty role on, or is in one now.
            Self::Members => words(now).contains("mighty") && more.next().is_some(),
            Self::Rights => more.next().is_some(),
            _ => false,
        }
    }
}

/// Names with what each has; that may be nothing.
pub type Lines = BTreeMap<String, String>;

/// Adds a line of a system. A name that looks like one that is there already stays apart, so that nobody hides behind it.
pub fn add(lines: &mut Lines, name: String, value: String) {
    let mut name = name;
    while lines.contains_key(&name) {
        name.push_str(" (another that looks the same)");
    }
    lines.insert(name, value);
}

/// A line as a baseline file has it.
pub fn line(name: &str, value: &str) -> String {
    if value.is_empty() { name.to_owned() } else { format!("{name}: {value}") }
}

/// The name and the rest of such a line; the rest holds no `: `, a name may.
pub fn parse(line: &str) -> (String, String) {
    let (name, value) = line.rsplit_once(": ").unwrap_or((line, ""));
    (name.trim().to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// What was approved for one system: aspects that it does not name were not judged by whoever approved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Approved(pub BTreeMap<Aspect, Lines>);

/// What a system has now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// What could be read.
    pub read: BTreeMap<Aspect, Lines>,
    /// What could not, and what would help.
    pub unread: BTreeMap<Aspect, Missing>,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Drift {
    /// What it is.
    pub aspect: Aspect,
    /// Its name.
    pub name: String,
    /// What was approved of it; absent when it was not approved at all.
    pub approved: Option<String>,
    /// What it has now; absent when it is gone.
    pub now: Option<String>,
    /// Whether it has more power than was approved.
    pub gains: bool,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = format!("{} {}", self.aspect.one(), self.name);
        match (&self.approved, &self.now) {
            (None, Some(now)) if now.is_empty() => write!(f, "{one} is not approved"),
            (None, Some(now)) => write!(f, "{one} is not approved: {now}"),
            (Some(_), None) => write!(f, "{one} is gone"),
            (Some(was), Some(now)) => write!(f, "{one} is {now}, approved is {was}"),
            (None, None) => f.write_str(&one),
        }
    }
}

/// Every difference in what was approved and could be read, gains of power first.
pub fn drifts(approved: &Approved, seen: &Seen) -> Vec<Drift> {
    let mut all = Vec::new();
    for (aspect, wanted) in &approved.0 {
        let Some(there) = seen.read.get(aspect) else { continue };
        let names: BTreeSet<&String> = wanted.keys().chain(there.keys()).collect();
        for name in names {
            let (was, now) = (wanted.get(name), there.get(name));
            if was != now {
                all.push(Drift {
                    aspect: *aspect,
                    name: name.clone(),
                    gains: aspect.gains(was.map(String::as_str), now.map(String::as_str)),
                    approved: was.cloned(),
                    now: now.cloned(),
                });
            }
        }
    }
    all.sort_by_key(|drift| !drift.gains);
    all
}

/// Aspects that were approved and could not be read.
pub fn unread<'a>(approved: &'a Approved, seen: &'a Seen) -> impl Iterator<Item = (Aspect, &'a Missing)> {
    seen.unread.iter().filter(|(aspect, _)| approved.0.contains_key(aspect)).map(|(aspect, why)| (*aspect, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lines(all: &[&str]) -> Lines {
        all.iter().map(|one| parse(one)).collect()
    }

    fn drift(aspect: Aspect, approved: &[&str], now: &[&str]) -> Vec<(String, bool)> {
        let approved = Approved([(aspect, lines(approved))].into());
        let seen = Seen { read: [(aspect, lines(now))].into(), unread: BTreeMap::new() };
        drifts(&approved, &seen).into_iter().map(|d| (d.to_string(), d.gains)).collect()
    }

    #[test]
    fn what_came_went_and_changed_is_named_and_gains_of_power_come_first() {
        let approved = ["app: login", "odoo: createdb login", "old: login"];
        let now = ["app: login superuser", "mallory: login", "odoo: login"];
        assert_eq!(
            drift(Aspect::Roles, &approved, &now),
            [
                ("role app is login superuser, approved is login".to_owned(), true),
                ("role mallory is not approved: login".to_owned(), false),
                ("role odoo is login, approved is createdb login".to_owned(), false),
                ("role old is gone".to_owned(), false),
            ]
        );
        assert!(drift(Aspect::Roles, &now, &now).is_empty());
    }

    #[test]
    fn power_is_gained_by_mighty_roles_by_their_members_and_by_rights() {
        let gains = |aspect, approved: &[&str], now: &[&str]| drift(aspect, approved, now)[0].1;
        assert!(gains(Aspect::Members, &[], &["eve in dba: member mighty"]));
        assert!(gains(Aspect::Members, &["eve in dba: member mighty"], &["eve in dba: admin mighty"]));
        assert!(!gains(Aspect::Members, &[], &["eve in readers: member"]));
        assert!(!gains(Aspect::Members, &["eve in dba: admin mighty"], &["eve in dba: mighty"]));
        let ci = "serviceaccount tools/ci as clusterrole/deploy everywhere";
        assert!(gains(Aspect::Rights, &[], &[&format!("{ci}: reads-secrets")]));
        assert!(gains(Aspect::Rights, &[&format!("{ci}: reads-secrets")], &[&format!("{ci}: everything")]));
        assert!(!gains(Aspect::Rights, &[&format!("{ci}: reads-secrets")], &[]));
        assert!(!gains(Aspect::NetworkPolicies, &[], &["erp/open: 00"]));
        assert!(gains(Aspect::Roles, &[], &["eve: bypassrls login"]));
    }

    #[test]
    fn what_could_not_be_read_or_was_not_judged_is_no_drift() {
        let approved = Approved([(Aspect::Rights, lines(&["a: b"])), (Aspect::Namespaces, lines(&["erp"]))].into());
        let missing = Missing { disables: "rights".into(), remedy: "a rule".into() };
        let seen = Seen {
            read: [(Aspect::Namespaces, lines(&["erp"])), (Aspect::StorageClasses, lines(&["fast: x"]))].into(),
            unread: [(Aspect::Rights, missing.clone()), (Aspect::Secrets, missing)].into(),
        };
        assert!(drifts(&approved, &seen).is_empty());
        assert_eq!(unread(&approved, &seen).map(|(a, _)| a).collect::<Vec<_>>(), [Aspect::Rights]);
    }

    #[test]
    fn a_name_that_looks_like_another_hides_behind_none() {
        let mut all = Lines::new();
        add(&mut all, "adm·in".into(), "login".into());
        add(&mut all, "adm·in".into(), "superuser".into());
        assert_eq!(all.len(), 2);
    }

    proptest! {
        #[test]
        fn a_line_comes_back_as_it_was(name in "[a-z][a-z:. ]{0,20}[a-z]", value in "([a-z]{1,6}( [a-z]{1,6}){0,2})?") {
            // A name alone that holds a colon could not be told from a line with a value: no system has such names.
            prop_assume!(!(value.is_empty() && name.contains(": ")));
            prop_assert_eq!(parse(&line(&name, &value)), (name, value));
        }
    }
}
