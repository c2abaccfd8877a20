//! The playbooks at hand: those inside the binary, and a person's own over them by id. A broken one is left out with
//! everything that is wrong with it; it never takes a sound one of the same id with it.

use super::lint::{Problem, load};
use super::plan::Plan;
use crate::domain::id::{Digest, PlaybookId};
use crate::domain::request::VerbSpec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Name and text of each playbook inside the binary.
pub const BUILT_IN: &[(&str, &str)] = &[
    ("built-in schema-lock", include_str!("../../playbooks/schema-lock.yaml")),
    ("built-in queue-backlog", include_str!("../../playbooks/queue-backlog.yaml")),
    ("built-in maintenance-mode", include_str!("../../playbooks/maintenance-mode.yaml")),
];

/// One playbook with where it came from.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Ready to be run.
    pub plan: Arc<Plan>,
    /// `built-in` or a path.
    pub origin: String,
}

/// All playbooks.
#[derive(Clone, Debug, Default)]
pub struct Library {
    entries: BTreeMap<PlaybookId, Entry>,
    problems: Vec<Problem>,
}

impl Library {
    /// Reads the built-in playbooks and then a person's own (path and text).
    pub fn load(own: &[(String, String)], verbs: &[&VerbSpec], signals: &[&str]) -> Self {
        let mut library = Self::default();
        let built_in = BUILT_IN.iter().map(|(file, text)| (*file, *text, "built-in"));
        let own = own.iter().map(|(path, text)| (path.as_str(), text.as_str(), path.as_str()));
        for (file, text, origin) in built_in.chain(own) {
            match load(text, file, verbs, signals) {
                Ok(plan) => {
                    let id = plan.playbook().id.clone();
                    match library.entries.get(&id) {
                        // Which of two files counts must not depend on the order in which they were read.
                        Some(other) if other.origin != "built-in" => library.problems.push(Problem {
                            file: file.to_owned(),
                            line: 1,
                            column: 1,
                            message: format!("the playbook `{id}` is in {} already", other.origin),
                        }),
                        _ => drop(library.entries.insert(id, Entry { plan, origin: origin.to_owned() })),
                    }
                }
                Err(problems) => library.problems.extend(problems),
            }
        }
        library
    }

    /// The playbook of that id.
    pub fn get(&self, id: &PlaybookId) -> Option<&Entry> {
        self.entries.get(id)
    }

    /// All of them, by id.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Those whose triggers name a rule, by id: what a finding of that rule offers.
    pub fn fitting<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.entries().filter(move |e| e.plan.playbook().triggers.findings.iter().any(|name| name == rule))
    }

    /// What is wrong with those that were left out.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// sha256 of the text of each, by id, for the record `config.loaded`.
    pub fn digests(&self) -> BTreeMap<&PlaybookId, &Digest> {
        self.entries.iter().map(|(id, entry)| (id, entry.plan.digest())).collect()
    }
}
