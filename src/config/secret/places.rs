//! From the text of a reference to what it refers to. Clusters and vaults are named by their `id`.

use super::kubernetes::InCluster;
use super::vault::{InVault, Vault};
use crate::config::model::{Kubernetes, SecretRef};
use std::path::PathBuf;
use std::sync::Arc;

/// What a reference may look like, for people.
pub const ALLOWED: &str =
    "env:NAME, file:PATH, command:PROGRAM ARG, kubernetes:CLUSTER/NAMESPACE/NAME#KEY or vault:ID/PATH#KEY";

/// Where references may lead beside this machine.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// Clusters.
    pub clusters: Vec<Kubernetes>,
    /// Vaults.
    pub vaults: Vec<Arc<Vault>>,
}

/// Why a text is no reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreferred {
    /// It has not the form of one; it may be a password, and is not repeated.
    Form,
    /// It names what is not configured: one sentence, which follows the key.
    Unknown(String),
}

impl Places {
    /// Parses a reference.
    pub fn refer(&self, text: &str) -> Result<SecretRef, Unreferred> {
        let (kind, rest) = text.split_once(':').ok_or(Unreferred::Form)?;
        let rest = rest.trim();
        if rest.is_empty() {
            return Err(Unreferred::Form);
        }
        match kind {
            "env" => Ok(SecretRef::Env(rest.to_owned())),
            "file" => Ok(SecretRef::File(PathBuf::from(rest))),
            "command" => Ok(SecretRef::Command(rest.split_whitespace().map(str::to_owned).collect())),
            "kubernetes" => self.in_cluster(rest),
            "vault" => self.in_vault(rest),
            _ => Err(Unreferred::Form),
        }
    }

    fn in_cluster(&self, rest: &str) -> Result<SecretRef, Unreferred> {
        let (place, key) = rest.rsplit_once('#').ok_or(Unreferred::Form)?;
        let parts: Vec<&str> = place.split('/').collect();
        let [cluster, namespace, name] = parts[..] else { return Err(Unreferred::Form) };
        if [cluster, namespace, name, key].iter().any(|part| part.trim().is_empty()) {
            return Err(Unreferred::Form);
        }
        let ids = self.clusters.iter().map(|c| c.id.as_str());
        let found = self.clusters.iter().find(|c| c.id.as_str() == cluster);
        let found = found.ok_or_else(|| unknown(cluster, "kubernetes", ids))?;
        Ok(SecretRef::Kubernetes(Arc::new(InCluster {
            cluster: found.id.clone(),
            kubeconfig: found.kubeconfig.clone(),
            context: found.context.clone(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            key: key.to_owned(),
        })))
    }

    fn in_vault(&self, rest: &str) -> Result<SecretRef, Unreferred> {
        let (place, key) = rest.rsplit_once('#').ok_or(Unreferred::Form)?;
        let (id, path) = place.split_once('/').ok_or(Unreferred::Form)?;
        let path = path.trim_matches('/');
        if key.trim().is_empty() || path.is_empty() || path.split('/').any(|part| part.is_empty() || part == "..") {
            return Err(Unreferred::Form);
        }
        let found = self.vaults.iter().find(|v| v.id == id);
        let found = found.ok_or_else(|| unknown(id, "vault", self.vaults.iter().map(|v| v.id.as_str())))?;
        let (vault, path, key) = (Arc::clone(found), path.to_owned(), key.to_owned());
        Ok(SecretRef::Vault(Arc::new(InVault { vault, path, key })))
    }
}

fn unknown<'a>(named: &str, kind: &str, known: impl Iterator<Item = &'a str>) -> Unreferred {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "none is configured".to_owned() } else { known.join(", ") };
    Unreferred::Unknown(format!("names `{named}`, which is no [[{kind}]]; known: {known}"))
}
