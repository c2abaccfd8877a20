//! In whose name an API server is asked to act (`impersonate`): that of the person who confirmed the step, so that its
//! audit log shows them, and so that they can do no more through this program than the cluster lets them.

use super::call::Clusters;
use crate::config::model::Kubernetes;
use crate::domain::behalf::Behalf;
use crate::domain::id::SourceId;
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::kubernetes::link::InNameOf;

/// What the API server's audit log says of a request beside the name of the person: the run and the step of the journal.
pub const EXTRA: [&str; 2] = ["quarterdeck.io/run", "quarterdeck.io/step"];

/// In whose name a cluster is asked to act; nobody's where it is acted on by the login for acting itself.
pub(in crate::act) fn name(cluster: &Kubernetes, behalf: Option<&Behalf>) -> Result<Option<InNameOf>, Failure> {
    let Some(impersonate) = &cluster.impersonate else { return Ok(None) };
    let local = |why: String| Failure::new(FailureKind::Local, why);
    let behalf = behalf.ok_or_else(|| {
        local(format!(
            "cluster {} is acted on in the name of a person, and nobody of the roster has proven to be the one who asks, by a \
             key or a user id of their own; nothing was sent",
            cluster.id
        ))
    })?;
    let user = impersonate.user(&behalf.person).map_err(|why| local(format!("{why}; nothing was sent")))?;
    let [run, step] = EXTRA;
    let extra = vec![(run, behalf.run.to_string()), (step, behalf.step.to_string())];
    Ok(Some(InNameOf { user, group: impersonate.group.clone(), extra }))
}

impl Clusters {
    /// What the API server of a cluster checks beside what the request says; nothing where nobody is named.
    pub(in crate::act) fn named(&self, cluster: &SourceId) -> Option<String> {
        self.configured(cluster).ok().and_then(named)
    }
}

/// The same of a configuration.
pub(in crate::act) fn named(cluster: &Kubernetes) -> Option<String> {
    let shown = cluster.impersonate.as_ref()?.shown();
    Some(format!("only if the person who confirms it may do it there: it is sent as user {shown}"))
}
