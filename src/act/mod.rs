//! Acting on real systems: one folder a system, each with its verbs. A verb renders a request from what is
//! known, and sends exactly that request when it is given the proof that policy allowed it. Only the engine
//! calls this; `playbook lint` reads the catalogue through it.

mod again;
pub mod args;
pub mod backup;
mod call;
pub mod cnpg;
pub mod command;
pub mod comms;
pub mod continuity;
#[cfg(test)]
mod cut;
pub mod delivery;
pub mod grants;
pub mod held;
pub mod http;
pub mod integration;
pub mod kubernetes;
pub mod look;
pub mod odoo;
pub mod patroni;
mod place;
pub mod postgres;
pub mod redis;
pub mod rights;
mod still;
pub mod traefik;

use crate::domain::ports::Verb;
use crate::domain::request::{Request, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A verb as the engine holds it: executing consumes a permit of `policy`.
pub type DynVerb = dyn Verb<Permit = Authorized>;

/// What the adapters declare, one list each.
static ADAPTERS: &[&[&VerbSpec]] = &[
    backup::SPECS,
    cnpg::SPECS,
    command::SPECS,
    comms::SPECS,
    continuity::SPECS,
    delivery::SPECS,
    http::SPECS,
    integration::SPECS,
    kubernetes::SPECS,
    odoo::SPECS,
    patroni::SPECS,
    postgres::SPECS,
    redis::SPECS,
    traefik::SPECS,
];

/// What all verbs of all adapters declare, also of those that this configuration can not build.
pub fn catalog() -> Vec<&'static VerbSpec> {
    ADAPTERS.iter().flat_map(|specs| specs.iter().copied()).collect()
}

/// What the verbs on Kubernetes objects must be allowed to do; what else acts has a login of its own.
pub fn rights() -> impl Iterator<Item = (&'static VerbSpec, &'static [rights::Right])> {
    let all = kubernetes::RIGHTS.iter().chain(cnpg::RIGHTS).chain(delivery::RIGHTS).chain(odoo::RIGHTS);
    let all = all.chain(redis::RIGHTS);
    all.map(|(spec, rights)| (*spec, *rights))
}

/// The verbs that were built for this configuration, by name.
#[derive(Clone, Default)]
pub struct Verbs {
    by_name: BTreeMap<&'static str, Arc<DynVerb>>,
}

impl Verbs {
    /// Collects verbs; of two with one name the later is kept.
    pub fn new(verbs: impl IntoIterator<Item = Arc<DynVerb>>) -> Self {
        Self { by_name: verbs.into_iter().map(|v| (v.spec().name, v)).collect() }
    }

    /// These and more; of two with one name the later is kept.
    #[must_use]
    pub fn and(mut self, more: impl IntoIterator<Item = Arc<DynVerb>>) -> Self {
        self.by_name.extend(more.into_iter().map(|v| (v.spec().name, v)));
        self
    }

    /// What all verbs of all adapters declare; the same as [`catalog`].
    pub fn catalog() -> Vec<&'static VerbSpec> {
        catalog()
    }

    /// The verb of that name (`kubernetes.rollout_restart`), if it was built.
    pub fn get(&self, name: &str) -> Option<&Arc<DynVerb>> {
        self.by_name.get(name)
    }
}

impl std::fmt::Debug for Verbs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.by_name.keys()).finish()
    }
}

/// The refusal of a request that this verb did not render for what is configured now.
fn foreign(request: &Request) -> Failure {
    let why = format!("the request is refused: it is none of {} as it is configured now", request.verb);
    Failure::new(FailureKind::Local, why)
}
