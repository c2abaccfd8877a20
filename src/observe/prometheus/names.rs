//! From the labels of a series to its subject.

use super::queries::Query;
use crate::config::model::{self, PromSubject};
use crate::domain::estate::{Estate, Tenant};
use crate::domain::id::{SourceId, TenantId};
use crate::domain::signal::Subject;
use crate::domain::text::sanitize;
use std::collections::{BTreeMap, HashMap};

/// Longest name of a subject that is taken from labels.
const LONGEST: usize = 200;

/// What labels name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// This.
    Subject(Subject),
    /// Something of which only a tenant's is of interest, and no tenant owns it.
    Nobody,
    /// A label is missing or empty.
    Unlabelled,
}

/// Who owns what, as one Prometheus sees it.
#[derive(Clone, Debug)]
pub(super) struct Names {
    source: SourceId,
    cluster: SourceId,
    ingress: SourceId,
    aliases: HashMap<String, String>,
    tenants: HashMap<String, TenantId>,
    namespaces: HashMap<String, Option<TenantId>>,
    databases: HashMap<String, Option<TenantId>>,
    routers: HashMap<String, Option<TenantId>>,
    hosts: HashMap<String, Option<TenantId>>,
}

impl Names {
    /// Turns the estate round. What several tenants have is nobody's.
    pub(super) fn new(config: &model::Prometheus, estate: &Estate) -> Self {
        let by = |name: &dyn Fn(&Tenant) -> Option<String>| {
            let mut all: HashMap<String, Option<TenantId>> = HashMap::new();
            for tenant in &estate.tenants {
                if let Some(name) = name(tenant) {
                    all.entry(name).and_modify(|t| *t = None).or_insert_with(|| Some(tenant.id.clone()));
                }
            }
            all
        };
        let of_cluster = |id: &SourceId| config.cluster.as_ref().is_none_or(|c| c == id);
        let of_ingress = |id: &SourceId| config.ingress.as_ref().is_none_or(|c| c == id);
        let router = |t: &Tenant| t.router.clone().filter(|r| of_ingress(&r.ingress));
        Self {
            source: config.id.clone(),
            cluster: config.cluster.clone().unwrap_or_else(|| config.id.clone()),
            ingress: config.ingress.clone().unwrap_or_else(|| config.id.clone()),
            aliases: config.aliases.iter().map(|a| (a.label.clone(), a.source.clone())).collect(),
            tenants: estate.tenants.iter().map(|t| (t.id.to_string(), t.id.clone())).collect(),
            namespaces: by(&|t| t.namespace.clone().filter(|n| of_cluster(&n.cluster)).map(|n| n.name)),
            databases: by(&|t| t.database.clone().map(|d| d.name)),
            routers: by(&|t| router(t).map(|r| r.name)),
            hosts: by(&|t| router(t).map(|r| r.host)),
        }
    }

    /// The subject of one series.
    pub(super) fn subject(&self, query: &Query, labels: &BTreeMap<String, String>) -> Named {
        let mut values = Vec::new();
        for label in &query.labels {
            match labels.get(label).filter(|v| !v.is_empty()) {
                Some(value) => values.push(self.called(value)),
                None => return Named::Unlabelled,
            }
        }
        let first = values.first().cloned().unwrap_or_default();
        let both = |join: &str| values.join(join);
        let tenant = |t: Option<&TenantId>| t.map(|t| Subject::Tenant { tenant: t.clone() });
        let owner = |all: &HashMap<String, Option<TenantId>>| tenant(all.get(&first).and_then(Option::as_ref));
        let source = || SourceId::new(first.clone());
        let (cluster, ingress) = (|| self.cluster.clone(), || self.ingress.clone());
        let found = match query.subject {
            PromSubject::Tenant => tenant(self.tenants.get(&first)),
            PromSubject::Database => owner(&self.databases),
            PromSubject::Host => owner(&self.hosts),
            PromSubject::Namespace => owner(&self.namespaces)
                .or_else(|| Some(Subject::Namespace { source: cluster(), namespace: first.as_str().into() })),
            PromSubject::Workload => owner(&self.namespaces)
                .or_else(|| Some(Subject::Workload { source: cluster(), workload: both("/").into() })),
            PromSubject::Router => {
                let router = || Subject::Router { source: ingress(), router: first.as_str().into(), tenant: None };
                owner(&self.routers).or_else(|| Some(router()))
            }
            PromSubject::Ingress => Some(Subject::Ingress { source: source() }),
            PromSubject::Instance => Some(Subject::Instance { source: source() }),
            PromSubject::Redis => Some(Subject::Redis { source: source() }),
            PromSubject::Key => Some(Subject::Key { source: self.source.clone(), key: first.as_str().into() }),
            PromSubject::Cluster => Some(Subject::Cluster { source: cluster() }),
            PromSubject::Node => Some(Subject::Node { source: cluster(), node: first.as_str().into() }),
            PromSubject::Volume => {
                let path = values.get(1).is_some_and(|v| v.starts_with('/'));
                let volume = both(if path { ":" } else { "/" });
                Some(Subject::Volume { source: cluster(), volume: volume.into() })
            }
            PromSubject::Integration => self.tenants.get(&first).map(|tenant| Subject::Integration {
                tenant: tenant.clone(),
                integration: values.get(1).map(|name| name.as_str().into()).unwrap_or_default(),
            }),
        };
        found.map_or(Named::Nobody, Named::Subject)
    }

    fn called(&self, value: &str) -> String {
        let name = self.aliases.get(value).map_or(value, String::as_str);
        sanitize(&name.chars().take(LONGEST).collect::<String>())
    }
}
