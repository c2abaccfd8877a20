//! Who owns which database, namespace, router and host: the declared estate turned round, once, so that a
//! sample of ten thousand rows costs one look-up a row.

use crate::domain::estate::{Estate, Service, Tenant, Terms};
use crate::domain::id::{SourceId, TenantId};
use crate::domain::signal::Subject;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type ByName = HashMap<SourceId, HashMap<String, usize>>;

/// Which of a tenant's two Deployments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Serves people.
    Web,
    /// Runs queued jobs.
    Workers,
}

/// The estate with its look-ups.
#[derive(Clone, Debug)]
pub struct Index {
    estate: Arc<Estate>,
    databases: ByName,
    namespaces: ByName,
    routers: ByName,
    /// Host and parent domain of each router, of an ingress.
    hosts: HashMap<SourceId, HashMap<String, Vec<usize>>>,
    parents: HashMap<SourceId, HashMap<String, Vec<usize>>>,
    /// Tenants by database name alone; `None` when several have that name.
    by_database_name: HashMap<String, Option<usize>>,
    /// What was agreed about tenants.
    terms: BTreeMap<TenantId, Terms>,
    /// Owner and service level of each service.
    services: HashMap<String, (Option<String>, Option<f64>)>,
    /// Everything that each service needs, directly or not.
    needs: HashMap<String, BTreeSet<String>>,
}

impl Index {
    /// Turns an estate round.
    pub fn new(estate: &Arc<Estate>) -> Self {
        let mut index = Self {
            databases: HashMap::new(),
            namespaces: HashMap::new(),
            routers: HashMap::new(),
            hosts: HashMap::new(),
            parents: HashMap::new(),
            by_database_name: HashMap::new(),
            terms: BTreeMap::new(),
            services: HashMap::new(),
            needs: HashMap::new(),
            estate: Arc::clone(estate),
        };
        for (i, tenant) in estate.tenants.iter().enumerate() {
            if let Some(database) = &tenant.database {
                index.databases.entry(database.instance.clone()).or_default().insert(database.name.clone(), i);
                index.by_database_name.entry(database.name.clone()).and_modify(|t| *t = None).or_insert(Some(i));
            }
            if let Some(namespace) = &tenant.namespace {
                index.namespaces.entry(namespace.cluster.clone()).or_default().insert(namespace.name.clone(), i);
            }
            if let Some(router) = &tenant.router {
                index.routers.entry(router.ingress.clone()).or_default().insert(router.name.clone(), i);
                let hosts = index.hosts.entry(router.ingress.clone()).or_default();
                hosts.entry(router.host.clone()).or_default().push(i);
                if let Some((_, parent)) = router.host.split_once('.') {
                    let parents = index.parents.entry(router.ingress.clone()).or_default();
                    parents.entry(parent.to_owned()).or_default().push(i);
                }
            }
        }
        index
    }

    /// The same with the declared dependencies.
    #[must_use]
    pub fn with_services(mut self, services: &[Service]) -> Self {
        let direct: HashMap<&str, &Service> = services.iter().map(|s| (s.id.as_str(), s)).collect();
        for service in services {
            let (mut all, mut left) = (BTreeSet::new(), vec![service.id.as_str()]);
            while let Some(at) = left.pop() {
                for next in direct.get(at).map(|s| s.depends_on.as_slice()).unwrap_or_default() {
                    if all.insert(next.clone()) {
                        left.push(next);
                    }
                }
            }
            self.needs.insert(service.id.clone(), all);
            self.services.insert(service.id.clone(), (service.owner.clone(), service.slo));
        }
        self
    }

    /// The same with what was agreed about tenants.
    #[must_use]
    pub fn with_terms(mut self, terms: &BTreeMap<TenantId, Terms>) -> Self {
        self.terms.clone_from(terms);
        self
    }

    /// What was agreed about a tenant.
    pub fn terms(&self, tenant: &TenantId) -> Option<&Terms> {
        self.terms.get(tenant)
    }

    /// The declared service that a subject is, by its own name before that of its source.
    fn service(&self, subject: &Subject) -> Option<&(Option<String>, Option<f64>)> {
        // Every row of every pane asks, and most estates declare none.
        if self.services.is_empty() {
            return None;
        }
        let own = self.services.get(subject.to_string().as_str());
        own.or_else(|| subject.source().and_then(|source| self.services.get(source.as_str())))
    }

    /// Who owns a subject, as it is declared: the owner of its tenant, or of the service that it is.
    pub fn owner(&self, subject: &Subject) -> Option<&str> {
        let of_tenant = subject.tenant().and_then(|t| self.terms.get(t)).and_then(|t| t.owner.as_deref());
        of_tenant.or_else(|| self.service(subject).and_then(|(owner, _)| owner.as_deref()))
    }

    /// Share of requests of a subject that are to go well, where that was agreed.
    pub fn slo(&self, subject: &Subject) -> Option<f64> {
        let of_tenant = subject.tenant().and_then(|t| self.terms.get(t)).and_then(|t| t.slo);
        of_tenant.or_else(|| self.service(subject).and_then(|(_, slo)| *slo))
    }

    /// The declared parts of a tenant.
    fn parts(tenant: &Tenant) -> impl Iterator<Item = &str> {
        let parts = [
            tenant.database.as_ref().map(|d| &d.instance),
            tenant.namespace.as_ref().map(|n| &n.cluster),
            tenant.router.as_ref().map(|r| &r.ingress),
        ];
        parts.into_iter().flatten().map(SourceId::as_str)
    }

    /// Whether a tenant stands on one thing: a declared part of it, or what those need.
    pub fn rests_on(&self, tenant: &Tenant, thing: &str) -> bool {
        Self::parts(tenant).any(|part| part == thing || self.needs.get(part).is_some_and(|all| all.contains(thing)))
    }

    /// Everything that a tenant stands on: its declared parts, and what those need.
    pub fn stands_on<'a>(&'a self, tenant: &'a Tenant) -> BTreeSet<&'a str> {
        let mut all: BTreeSet<&str> = Self::parts(tenant).collect();
        for part in all.clone() {
            all.extend(self.needs.get(part).into_iter().flatten().map(String::as_str));
        }
        all
    }

    /// The index of one tenant alone; empty when there is no such tenant.
    pub fn of_tenant(estate: &Estate, tenant: &TenantId) -> Self {
        let tenants = estate.tenant(tenant).cloned().into_iter().collect();
        let (name, time_zone) = (estate.name.clone(), estate.time_zone.clone());
        Self::new(&Arc::new(Estate { name, environment: estate.environment, time_zone, tenants }))
    }

    /// The estate.
    pub const fn estate(&self) -> &Arc<Estate> {
        &self.estate
    }

    /// The tenant at a position.
    pub fn at(&self, position: usize) -> Option<&Tenant> {
        self.estate.tenants.get(position)
    }

    /// Position of the tenant whose database this is.
    pub fn database(&self, instance: &SourceId, name: &str) -> Option<usize> {
        self.databases.get(instance)?.get(name).copied()
    }

    /// Position of the only tenant with a database of that name, on whichever instance: what a pooler
    /// shows of it.
    pub fn database_named(&self, name: &str) -> Option<usize> {
        self.by_database_name.get(name).copied().flatten()
    }

    /// Position of the tenant whose namespace this is.
    pub fn namespace(&self, cluster: &SourceId, name: &str) -> Option<usize> {
        self.namespaces.get(cluster)?.get(name).copied()
    }

    /// The tenant and which of its parts a Deployment is.
    pub fn workload(&self, cluster: &SourceId, namespace: &str, name: &str) -> Option<(usize, Part)> {
        let position = self.namespace(cluster, namespace)?;
        let declared = self.at(position)?.namespace.as_ref()?;
        if declared.web == name {
            Some((position, Part::Web))
        } else if declared.workers == name {
            Some((position, Part::Workers))
        } else {
            None
        }
    }

    /// Position of the tenant whose router this is.
    pub fn router(&self, ingress: &SourceId, name: &str) -> Option<usize> {
        self.routers.get(ingress)?.get(name).copied()
    }

    /// Positions of the tenants whose hosts these are.
    pub fn hosts_of(&self, ingress: &SourceId, hosts: &[String]) -> BTreeSet<usize> {
        let table = self.hosts.get(ingress).filter(|_| !hosts.is_empty());
        let found = table.into_iter().flat_map(|t| hosts.iter().filter_map(|host| t.get(host)));
        found.flatten().copied().collect()
    }

    /// Positions of tenants whose host a certificate name covers; `*.` covers one label (RFC 6125, 6.4.3).
    pub fn covered_by(&self, ingress: &SourceId, name: &str) -> &[usize] {
        let (table, key) = match name.strip_prefix("*.") {
            Some(parent) => (&self.parents, parent),
            None => (&self.hosts, name),
        };
        table.get(ingress).and_then(|t| t.get(key)).map_or(&[], Vec::as_slice)
    }

    /// The tenant whose Odoo a source observes: these are named `odoo/TENANT`.
    pub fn odoo_tenant(&self, source: &SourceId) -> Option<&Tenant> {
        let id = source.as_str().strip_prefix("odoo/")?;
        self.estate.tenant(&TenantId::new(id))
    }
}
