//! `kubernetes:CLUSTER/NAMESPACE/NAME#KEY`: one key of a Secret, read with the credentials for looking each time that it is
//! needed, so that a new value counts from the next use on.

use crate::domain::id::SourceId;
use crate::domain::text::sanitize;
use k8s_openapi::api::core::v1::Secret;
use kube::config::KubeConfigOptions;
use kube::{Api, Client, Config, Error};
use std::path::PathBuf;

/// A key of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InCluster {
    /// The `[[kubernetes]]`.
    pub cluster: SourceId,
    /// Its kubeconfig for looking.
    pub kubeconfig: PathBuf,
    /// Context in it.
    pub context: Option<String>,
    /// Namespace.
    pub namespace: String,
    /// Name of the Secret.
    pub name: String,
    /// Key in its data.
    pub key: String,
}

/// Its bytes, or a sentence without them.
pub(super) async fn read(at: &InCluster) -> Result<Vec<u8>, String> {
    let InCluster { cluster, kubeconfig, context, namespace, name, key } = at;
    let whole = format!("the Secret {namespace}/{name} of cluster {cluster}");
    let local = |why: String| format!("{whole} can not be asked for: kubeconfig {}: {why}", kubeconfig.display());
    let path = kubeconfig.clone();
    let read = tokio::task::spawn_blocking(move || crate::config::kubeconfig::read(&path)).await;
    let read = read.map_err(|_| local("reading it was interrupted".into()))?;
    // What the errors say may quote the file, which has credentials.
    let read = read.map_err(|_| local("it can not be read".into()))?;
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(read, &options).await;
    let config = config.map_err(|_| local("it is not usable (kubectl config view says why)".into()))?;
    let client = Client::try_from(config).map_err(|_| local("no client can be made of it".into()))?;
    let mut found = Api::<Secret>::namespaced(client, namespace).get(name).await.map_err(|e| match e {
        Error::Api(status) if status.code == 404 => format!("{whole} is not there"),
        Error::Api(status) if status.code == 403 => {
            format!("{whole} may not be read (403): `quarterdeck rbac` prints the rule for it")
        }
        Error::Api(status) => format!("{whole} can not be read: {} {}", status.code, sanitize(&status.message)),
        other => format!("{whole} can not be read: {}", crate::config::authorities::innermost(&other)),
    })?;
    let value = found.data.as_mut().and_then(|data| data.remove(key));
    value.map(|bytes| bytes.0).ok_or_else(|| format!("{whole} has no key `{}`", sanitize(key)))
}
