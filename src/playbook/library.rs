//! The playbooks there are: those built into the program, and the user's, which take the place of built-in ones of the
//! same id. The caller reads the user's files and passes their texts; a file with problems takes no place at all.

use super::lint::{Problem, lint, load, load_proven};
use super::plan::Plan;
use super::schema::Playbook;
use crate::domain::id::PlaybookId;
use crate::domain::request::VerbSpec;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

/// The playbooks that ship: name of the file and text.
pub const BUILT_IN: [(&str, &str); 28] = [
    ("access-outage.yaml", include_str!("../../playbooks/access-outage.yaml")),
    ("autoscale-guard.yaml", include_str!("../../playbooks/autoscale-guard.yaml")),
    ("backup-failure.yaml", include_str!("../../playbooks/backup-failure.yaml")),
    ("business-continuity.yaml", include_str!("../../playbooks/business-continuity.yaml")),
    ("certificate-renewal.yaml", include_str!("../../playbooks/certificate-renewal.yaml")),
    ("db-saturation.yaml", include_str!("../../playbooks/db-saturation.yaml")),
    ("drift-reconcile.yaml", include_str!("../../playbooks/drift-reconcile.yaml")),
    ("environment-rebuild.yaml", include_str!("../../playbooks/environment-rebuild.yaml")),
    ("ingress-misroute.yaml", include_str!("../../playbooks/ingress-misroute.yaml")),
    ("ingress-saturation.yaml", include_str!("../../playbooks/ingress-saturation.yaml")),
    ("integration-isolation.yaml", include_str!("../../playbooks/integration-isolation.yaml")),
    ("maintenance-mode.yaml", include_str!("../../playbooks/maintenance-mode.yaml")),
    ("mrp-degradation.yaml", include_str!("../../playbooks/mrp-degradation.yaml")),
    ("node-disruption.yaml", include_str!("../../playbooks/node-disruption.yaml")),
    ("noisy-tenant.yaml", include_str!("../../playbooks/noisy-tenant.yaml")),
    ("peak-prescale.yaml", include_str!("../../playbooks/peak-prescale.yaml")),
    ("pg-failover.yaml", include_str!("../../playbooks/pg-failover.yaml")),
    ("pitr.yaml", include_str!("../../playbooks/pitr.yaml")),
    ("queue-backlog.yaml", include_str!("../../playbooks/queue-backlog.yaml")),
    ("redis-pressure.yaml", include_str!("../../playbooks/redis-pressure.yaml")),
    ("regional-dr.yaml", include_str!("../../playbooks/regional-dr.yaml")),
    ("release-readiness.yaml", include_str!("../../playbooks/release-readiness.yaml")),
    ("release-rollback.yaml", include_str!("../../playbooks/release-rollback.yaml")),
    ("replication-lag.yaml", include_str!("../../playbooks/replication-lag.yaml")),
    ("schema-lock.yaml", include_str!("../../playbooks/schema-lock.yaml")),
    ("security-anomaly.yaml", include_str!("../../playbooks/security-anomaly.yaml")),
    ("volume-full.yaml", include_str!("../../playbooks/volume-full.yaml")),
    ("worker-regression.yaml", include_str!("../../playbooks/worker-regression.yaml")),
];

/// What became of reading each of [`BUILT_IN`], once a process: a fifth of the time to the first frame.
static READ: LazyLock<Vec<Result<Arc<Plan>, Vec<Problem>>>> = LazyLock::new(|| {
    BUILT_IN.iter().map(|(name, text)| load_proven(text, &format!("{BUILT_IN_ORIGIN}:{name}"))).collect()
});

/// Begins to read the built-in playbooks on a thread of their own, for who will ask for them by [`Library::load`] and has
/// something else to read before. Without a thread they are read when they are asked for.
pub fn read_ahead() {
    let _ = std::thread::Builder::new().name("playbooks".into()).spawn(|| LazyLock::force(&READ).len());
}

/// Word for the origin of what is built in.
pub const BUILT_IN_ORIGIN: &str = "built-in";

/// The playbooks with which somebody is called when a step waits for too long, the surest way first: id, and verb of
/// the adapter `comms`. They belong to the program and are not listed.
pub const CALLS: [(&str, &str); 4] =
    [("call-by-page", "page"), ("call-by-webhook", "webhook"), ("call-by-email", "email"), ("call-by-file", "file")];

/// The text of one of [`CALLS`].
fn call_text(id: &str, verb: &str) -> String {
    format!(
        "schemaVersion: 1
id: {id}
name: Call somebody
version: 1
owner: quarterdeck
description: A step of another run has waited for too long and asks for somebody.
parameters:
  audience: {{type: string, required: true, description: who is called}}
  subject: {{type: string, required: true, description: one line}}
  text: {{type: string, required: true, description: why}}
  source: {{type: string, description: on whose word}}
steps:
- id: call
  name: Call
  why: A step of another run has waited for too long.
  type: escalate
  risk: low
  escalate: {{to: the audience}}
  run: {{adapter: comms, verb: {verb}, args: {{audience: '{{{{ params.audience }}}}', subject: '{{{{ params.subject }}}}', text: '{{{{ params.text }}}}'}}}}
  onFailure: abort
"
    )
}

/// One playbook of the library.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Ready to be run.
    pub plan: Arc<Plan>,
    /// `built-in`, or the path of the file.
    pub origin: String,
}

impl Entry {
    /// The playbook.
    pub fn playbook(&self) -> &Playbook {
        self.plan.playbook()
    }
}

/// All playbooks, by id.
#[derive(Clone, Debug, Default)]
pub struct Library {
    entries: BTreeMap<PlaybookId, Entry>,
    /// Those of [`CALLS`] whose verb there is.
    calls: BTreeMap<PlaybookId, Entry>,
}

/// Everything that is wrong with the built-in playbooks; nothing, as a test proves.
pub fn lint_built_in(verbs: &[&VerbSpec], signals: &[&str]) -> Vec<Problem> {
    let all = BUILT_IN.iter();
    all.flat_map(|(name, text)| lint(text, &format!("{BUILT_IN_ORIGIN}:{name}"), verbs, signals)).collect()
}

impl Library {
    /// Reads the built-in playbooks and the user's (path and text each). What is wrong with a file is told, and the
    /// file is left out; a built-in playbook of its id stays then. What the words of the built-in ones mean is not looked
    /// at again: `tests/playbooks/library.rs` and `playbook lint` do.
    pub fn load(files: &[(String, String)], verbs: &[&VerbSpec], signals: &[&str]) -> (Self, Vec<Problem>) {
        let mut library = Self::default();
        let mut problems = Vec::new();
        for read in READ.iter() {
            match read {
                Ok(plan) => library.put(Arc::clone(plan), BUILT_IN_ORIGIN.to_owned()),
                Err(found) => problems.extend(found.iter().cloned()),
            }
        }
        for (path, text) in files {
            match load(text, path, verbs, signals) {
                Ok(plan) => match library.entries.get(&plan.playbook().id) {
                    Some(other) if other.origin != BUILT_IN_ORIGIN => problems.push(Problem {
                        file: path.clone(),
                        line: 1,
                        column: 1,
                        message: format!("the playbook `{}` is in {} already", plan.playbook().id, other.origin),
                    }),
                    _ => library.put(plan, path.clone()),
                },
                Err(found) => problems.extend(found),
            }
        }
        library.check_children(&mut problems);
        for (id, verb) in CALLS {
            // Where no such verb is there, nobody can be called by it.
            if let Ok(plan) = load(&call_text(id, verb), id, verbs, signals) {
                library.calls.insert(PlaybookId::new(id), Entry { plan, origin: BUILT_IN_ORIGIN.to_owned() });
            }
        }
        (library, problems)
    }

    /// Leaves out what runs a playbook that is not there, gives it other parameters than it has, or comes to run itself.
    fn check_children(&mut self, problems: &mut Vec<Problem>) {
        loop {
            let wrong: Vec<(PlaybookId, Problem)> =
                self.entries.iter().filter_map(|(id, entry)| Some((id.clone(), self.wrong_child(entry)?))).collect();
            if wrong.is_empty() {
                return;
            }
            for (id, problem) in wrong {
                self.entries.remove(&id);
                problems.push(problem);
            }
        }
    }

    fn wrong_child(&self, entry: &Entry) -> Option<Problem> {
        let children = entry.playbook().steps.iter().flat_map(|step| step.children().map(move |child| (step, child)));
        children.into_iter().find_map(|(step, (_, child, params))| {
            let message = match self.entries.get(child) {
                None => Some(format!("there is no playbook `{child}`")),
                Some(other) => {
                    let known = &other.playbook().parameters;
                    let unknown = params.keys().find(|name| !known.contains_key(*name));
                    let missing = known.iter().find(|(name, p)| p.required && !params.contains_key(*name));
                    unknown
                        .map(|name| format!("the playbook `{child}` has no parameter `{name}`"))
                        .or_else(|| {
                            missing.map(|(name, _)| format!("the playbook `{child}` needs the parameter `{name}`"))
                        })
                        .or_else(|| {
                            self.comes_to(child, &entry.playbook().id)
                                .then(|| format!("`{child}` comes to run this playbook again"))
                        })
                }
            }?;
            let (line, column) = entry.plan.place(&step.id);
            Some(Problem { file: entry.origin.clone(), line, column, message })
        })
    }

    /// Whether a playbook comes to run another one.
    fn comes_to(&self, from: &PlaybookId, to: &PlaybookId) -> bool {
        let mut seen = BTreeSet::new();
        let mut open = vec![from.clone()];
        while let Some(id) = open.pop() {
            if id == *to {
                return true;
            }
            if seen.insert(id.clone())
                && let Some(entry) = self.entries.get(&id)
            {
                open.extend(
                    entry.playbook().steps.iter().flat_map(|step| step.children().map(|(_, id, _)| id.clone())),
                );
            }
        }
        false
    }

    fn put(&mut self, plan: Arc<Plan>, origin: String) {
        self.entries.insert(plan.playbook().id.clone(), Entry { plan, origin });
    }

    /// All of them, by id.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// One of them.
    pub fn get(&self, id: &PlaybookId) -> Option<&Entry> {
        self.entries.get(id).or_else(|| self.calls.get(id))
    }

    /// The playbooks whose triggers name a rule.
    pub fn fitting<'a>(&'a self, rule: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.all().filter(move |e| e.playbook().triggers.findings.iter().any(|name| name == rule))
    }
}
