//! What is asked: the shipped queries and those of the configuration.

use crate::config::model::{self, PromSubject};
use crate::correlate::signals::{self, Signal};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Where a query comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Shipped with the program.
    Shipped,
    /// From the configuration.
    Own,
}

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// Its place among all that are asked.
    pub(super) number: usize,
    /// Where it comes from.
    pub(super) set: Set,
    /// Name of the shipped set; empty for an own query.
    pub(super) set_name: String,
    /// What it measures.
    pub(super) signal: &'static Signal,
    /// `PromQL`.
    pub(super) expr: String,
    /// What its labels name.
    pub(super) subject: PromSubject,
    /// These labels.
    pub(super) labels: Vec<String>,
}

impl Query {
    /// Its beginning, for messages.
    pub(super) fn short(&self) -> String {
        let cut: String = self.expr.chars().take(60).collect();
        if cut.len() < self.expr.len() { format!("{cut}…") } else { cut }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    query: Vec<Shipped>,
    /// What stands in expressions, and in one another, as `${name}`.
    part: BTreeMap<String, String>,
}

impl File {
    /// The queries with the parts in their places.
    fn whole(mut self) -> Vec<Shipped> {
        for query in &mut self.query {
            // A part may hold others, but not itself: as many rounds as there are parts reach every depth.
            for _ in &self.part {
                for (name, text) in &self.part {
                    query.expr = query.expr.replace(&format!("${{{name}}}"), text);
                }
            }
        }
        self.query
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Shipped {
    set: String,
    signal: String,
    expr: String,
    subject: PromSubject,
    labels: Vec<String>,
}

static SHIPPED: LazyLock<Result<Vec<Shipped>, String>> =
    LazyLock::new(|| toml::from_str::<File>(include_str!("defaults.toml")).map(File::whole).map_err(|e| e.to_string()));

fn shipped() -> &'static [Shipped] {
    SHIPPED.as_deref().unwrap_or_default()
}

/// Names of the shipped sets.
fn sets() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for query in shipped() {
        if !names.contains(&query.set.as_str()) {
            names.push(&query.set);
        }
    }
    names
}

/// All that is asked of one Prometheus: an own query takes the place of the shipped ones of its signal and subject.
pub(super) fn of(config: &model::Prometheus) -> Vec<Query> {
    let wanted = |set: &String| config.sets.as_ref().is_none_or(|sets| sets.contains(set));
    let replaced = |q: &Shipped| config.queries.iter().any(|own| own.signal == q.signal && own.subject == q.subject);
    let shipped = shipped().iter().filter(|q| wanted(&q.set) && !replaced(q)).filter_map(|q| {
        let signal = signals::find(&q.signal)?;
        let (expr, labels) = (q.expr.clone(), q.labels.clone());
        let (set, set_name, subject) = (Set::Shipped, q.set.clone(), q.subject);
        Some(Query { number: 0, set, set_name, signal, expr, subject, labels })
    });
    let own = config.queries.iter().filter_map(|q| {
        let signal = signals::find(&q.signal)?;
        let (expr, labels) = (q.expr.clone(), q.labels.clone());
        Some(Query { number: 0, set: Set::Own, set_name: String::new(), signal, expr, subject: q.subject, labels })
    });
    shipped.chain(own).enumerate().map(|(number, query)| Query { number, ..query }).collect()
}

/// What of the configuration can not be asked: signals and sets that there are not, one sentence each.
pub fn check(config: &model::Config) -> Vec<String> {
    let mut wrong = Vec::new();
    for prometheus in &config.prometheus {
        let id = &prometheus.id;
        for query in prometheus.queries.iter().filter(|q| signals::find(&q.signal).is_none()) {
            let (name, near) = (&query.signal, signals::near(&query.signal).join(", "));
            wrong.push(format!("[[prometheus]] {id}: there is no signal `{name}`; near to it: {near}"));
        }
        for set in prometheus.sets.iter().flatten().filter(|s| !sets().contains(&s.as_str())) {
            wrong.push(format!("[[prometheus]] {id}: there is no set `{set}`; allowed are {}", sets().join(", ")));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::signals::SubjectKind;

    #[test]
    fn every_shipped_query_names_a_signal_a_subject_that_it_has_and_as_many_labels() {
        assert!(SHIPPED.is_ok(), "{SHIPPED:?}");
        assert!(shipped().len() > 40);
        for query in shipped() {
            let signal = signals::find(&query.signal).unwrap_or_else(|| panic!("{}", query.signal));
            assert_eq!(query.labels.len(), query.subject.labels(), "{}", query.expr);
            assert!(!query.expr.contains("${"), "a part that there is not: {}", query.expr);
            let kinds: &[SubjectKind] = match query.subject {
                PromSubject::Namespace => &[SubjectKind::Tenant, SubjectKind::Namespace],
                PromSubject::Workload => &[SubjectKind::Tenant, SubjectKind::Workload],
                PromSubject::Router => &[SubjectKind::Tenant, SubjectKind::Router],
                PromSubject::Volume => &[SubjectKind::Volume],
                PromSubject::Cluster => &[SubjectKind::Cluster],
                PromSubject::Node => &[SubjectKind::Node],
                PromSubject::Instance => &[SubjectKind::Instance],
                PromSubject::Redis => &[SubjectKind::Redis],
                PromSubject::Key => &[SubjectKind::Key],
                PromSubject::Ingress => &[SubjectKind::Ingress],
                other => panic!("{other:?} is in no shipped query"),
            };
            assert!(kinds.iter().any(|k| signal.subjects.contains(k)), "{}: {}", query.signal, query.expr);
        }
        let names = ["kube-state-metrics", "kubernetes", "node-exporter", "postgres-exporter"];
        assert_eq!(sets(), [&names[..], &["redis-exporter", "traefik", "otlp-http"]].concat());
    }
}
