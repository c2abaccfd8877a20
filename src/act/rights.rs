//! What a verb on Kubernetes objects must be allowed to do, declared beside its spec. The least role for the verbs in
//! use follows from it.

use serde::Serialize;

/// One rule of a role (`rbac.authorization.k8s.io/v1` `PolicyRule`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Right {
    /// Whether the credentials for acting need it; those for looking do otherwise.
    pub acts: bool,
    /// API group; empty is the core group.
    pub group: &'static str,
    /// Resource, with its subresource: `pods/eviction`.
    pub resource: &'static str,
    /// Verbs of the API: `get`, `patch`.
    pub verbs: &'static [&'static str],
}

impl Right {
    /// A right of the credentials for looking.
    pub const fn look(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { acts: false, group, resource, verbs }
    }

    /// A right of the credentials for acting.
    pub const fn act(group: &'static str, resource: &'static str, verbs: &'static [&'static str]) -> Self {
        Self { acts: true, group, resource, verbs }
    }
}
