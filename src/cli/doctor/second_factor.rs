//! What `doctor` says where a second factor is asked for that nobody can prove here: what is refused because of it, and where it
//! is asked for. Of the policy in force, which may be the journal's copy; `config check` therefore does not speak of it.

use super::super::args::Global;
use super::super::output::Error;
use super::super::session::Loaded;
use super::super::{opening, policy};
use super::Finding;
use crate::domain::facts::Missing;
use crate::domain::health::Health;
use crate::playbook::library::Library;
use crate::policy::rules::{Policy, SecondFactor};
use std::path::Path;

/// One row where something is refused; nothing where whatever asks for a second factor has a source of it.
pub(super) fn asked_in_vain(global: &Global, loaded: &Loaded) -> Result<Option<Finding>, Error> {
    let (library, _) = opening::library()?;
    let row = |address: String| Finding { id: "mfa".into(), kind: "policy".into(), address, ..Finding::default() };
    let file = match policy::known(global) {
        Ok((file, _)) => file,
        Err(error) => {
            let why = Some(error.to_string());
            return Ok(Some(Finding { health: Health::Unknown, why, ..row("policy.toml".into()) }));
        }
    };
    let provider = loaded.config.oidc.is_some();
    let missing = gaps(&file.policy, &file.origin, &library, &loaded.path, provider);
    let found = Finding { health: Health::Warn, reachable: true, missing, ..row(file.origin) };
    Ok(Some(found).filter(|found| !found.missing.is_empty()))
}

/// What is refused, each with where a second factor is asked for.
fn gaps(policy: &Policy, origin: &str, library: &Library, config: &Path, provider: bool) -> Vec<Missing> {
    let mut gaps = Vec::new();
    let mut gap = |disables: String, remedy: String| gaps.push(Missing { disables, remedy });
    if !policy.elevation_mfa.is_empty() && !provider {
        let roles: Vec<String> = policy.elevation_mfa.iter().map(ToString::to_string).collect();
        gap(
            format!(
                "every elevation to {}: `mfa` below [elevation] of {origin} asks for a second factor, and there is no [oidc] at \
                 which one could be proven",
                roles.join(" or ")
            ),
            format!("add [oidc] to {}", config.display()),
        );
    }
    let (lacks, remedy) = match policy.mfa_source {
        None => ("there is no source of it", format!("name a `source` below [mfa] of {origin}")),
        Some(SecondFactor::Oidc) if !provider => {
            ("there is no [oidc] at which one could be proven", format!("add [oidc] to {}", config.display()))
        }
        Some(SecondFactor::SecurityKey | SecondFactor::Oidc) => return gaps,
    };
    if let Some(risk) = policy.mfa_from {
        gap(
            format!(
                "every step of {risk} risk and above: `from` below [mfa] of {origin} asks for a second factor, and {lacks}"
            ),
            remedy.clone(),
        );
    }
    for entry in library.all() {
        let asking = entry.playbook().steps.iter().filter(|step| step.requires.mfa);
        let steps: Vec<&str> = asking.map(|step| step.id.as_str()).collect();
        if !steps.is_empty() {
            gap(
                format!(
                    "{} of {}: `mfa` below `requires` in {} asks for a second factor, and {lacks}",
                    steps.join(", "),
                    entry.playbook().id,
                    entry.origin
                ),
                remedy.clone(),
            );
        }
    }
    gaps
}
