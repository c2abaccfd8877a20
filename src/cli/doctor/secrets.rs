//! What `doctor` says of vaults, of the identity provider and of every reference to a secret: each is followed once, and what came
//! is thrown away.

use super::Finding;
use crate::config::model::Config;
use crate::config::secret;
use crate::domain::facts::Missing;
use crate::domain::health::Health;
use crate::domain::mode::Mode;
use crate::observe::oidc::Provider;
use futures::future::join_all;

/// Whether each vault answers, is unsealed and takes its login.
pub(super) async fn vaults(config: &Config) -> Vec<Finding> {
    join_all(config.vaults.iter().map(|vault| async move {
        let standing = vault.standing().await;
        let health = if standing.why.is_none() { Health::Ok } else { Health::Unknown };
        Finding {
            id: vault.id.clone(),
            kind: "vault".into(),
            address: vault.url.clone(),
            health,
            reachable: standing.version.is_some(),
            version: standing.version,
            why: standing.why,
            ..Finding::default()
        }
    }))
    .await
}

/// Whether the identity provider can be found and lets us ask for a code; nothing where there is none.
pub(super) async fn provider(config: &Config) -> Option<Finding> {
    let (oidc, may) = config.oidc.as_ref().zip(Mode::ReadOnly.may_observe())?;
    let why = Provider::new(may, oidc).standing().await.err();
    Some(Finding {
        id: "oidc".into(),
        kind: "oidc".into(),
        address: oidc.issuer.clone(),
        health: if why.is_none() { Health::Ok } else { Health::Unknown },
        reachable: why.is_none(),
        why,
        ..Finding::default()
    })
}

/// One row of all references; nothing where there are none. What a missing one disables, its own source says.
pub(super) async fn references(config: &Config) -> Option<Finding> {
    if config.secrets.is_empty() {
        return None;
    }
    let read = join_all(config.secrets.iter().map(|(place, reference)| async move {
        let why = secret::read(reference).await.err()?;
        Some(Missing { disables: place.clone(), remedy: why.to_string() })
    }));
    let missing: Vec<Missing> = read.await.into_iter().flatten().collect();
    Some(Finding {
        id: "secrets".into(),
        kind: "secrets".into(),
        address: format!("{} references", config.secrets.len()),
        health: if missing.is_empty() { Health::Ok } else { Health::Warn },
        reachable: true,
        missing,
        ..Finding::default()
    })
}
