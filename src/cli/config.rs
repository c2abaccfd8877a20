//! `config check` and `config init`.

use super::args::{Config as What, Format, Global};
use super::output::{self, Error, Exit};
use super::session;
use serde_json::json;

/// Runs it.
pub fn run(global: &Global, what: &What) -> Result<Exit, Error> {
    match what {
        What::Check => check(global),
        What::Init { output, force } => super::init::run(output.as_deref(), *force),
    }
}

fn check(global: &Global) -> Result<Exit, Error> {
    let loaded = session::load(global)?;
    let config = &loaded.config;
    let counts = json!({
        "file": loaded.path, "estate": config.estate.name, "environment": config.estate.environment,
        "tenants": config.estate.tenants.len(), "kubernetes": config.kubernetes.len(), "postgres": config.postgres.len(),
        "pgbouncer": config.pgbouncer.len(), "redis": config.redis.len(), "traefik": config.traefik.len(),
    });
    if global.format == Format::Json {
        output::json(&counts)?;
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "{}: good. Estate {} ({}), {} tenants, {} clusters, {} PostgreSQL, {} PgBouncer, {} Redis, {} Traefik",
        loaded.path.display(),
        config.estate.name,
        config.estate.environment,
        config.estate.tenants.len(),
        config.kubernetes.len(),
        config.postgres.len(),
        config.pgbouncer.len(),
        config.redis.len(),
        config.traefik.len()
    ))?;
    Ok(Exit::Done)
}
