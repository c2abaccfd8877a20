//! Roles of a PostgreSQL instance and of the tenants' databases on it, as SQL for `psql`; users of a PgBouncer.

use super::Wanted;
use crate::act::grants::{INSTANCE, Right, TABLES};
use crate::act::postgres::typed::{quoted, quoted_name};
use crate::config::model::{Pgbouncer, Postgres};
use crate::domain::estate::Estate;
use crate::observe::odoo::READ;
use crate::observe::postgres::GRANTS as LOOKS;
use std::fmt::Write as _;

/// The statements, for a superuser's `psql`. They can be run again.
pub(super) fn statements(config: &Postgres, estate: &Estate, wanted: &Wanted<'_>) -> String {
    let looks = quoted_name(&config.observe.user);
    let acts = config.act.as_ref().map(|login| quoted_name(&login.user));
    let mut out = format!(
        "-- {} ({}:{}): the least rights of {looks}, who looks{}.\n-- Made by `quarterdeck rbac`; a superuser's psql takes it, \
         more than once. Passwords: \\password.\n\\set ON_ERROR_STOP on\nSET client_min_messages = warning;\n",
        config.id,
        config.host,
        config.port,
        acts.as_ref().map(|a| format!(", and of {a}, who acts by {} verbs", wanted.verbs.len())).unwrap_or_default()
    );
    let logins = [Some(&config.observe), config.act.as_ref()];
    for login in logins.into_iter().flatten() {
        let name = quoted(&login.user);
        let _ = writeln!(
            out,
            "SELECT format('CREATE ROLE %I LOGIN', {name}) WHERE to_regrole(quote_ident({name})) IS NULL \\gexec"
        );
    }
    let roles: Vec<&str> = std::iter::once(looks.as_str()).chain(acts.as_deref()).collect();
    let _ = writeln!(out, "GRANT CONNECT ON DATABASE {} TO {};", quoted_name(&config.database), roles.join(", "));
    for grant in LOOKS {
        let _ = writeln!(out, "GRANT {grant} TO {looks};");
    }
    if let Some(acts) = &acts {
        for grant in INSTANCE.iter().filter(|g| wanted.any(g.verbs)) {
            match grant.right {
                Right::Owner => {
                    let _ = writeln!(
                        out,
                        "-- {}: only an owner may set the limit of a database; membership gives all else that owners may. Never of a \
                     superuser.",
                        grant.verbs.join(", ")
                    );
                    let _ = writeln!(
                        out,
                        "SELECT DISTINCT format('GRANT %s TO {}', datdba::regrole) FROM pg_catalog.pg_database WHERE datallowconn\n  \
                     AND NOT datistemplate AND datname <> 'postgres' AND NOT pg_has_role({}, datdba, 'USAGE')\n  AND NOT (SELECT rolsuper \
                     FROM pg_catalog.pg_roles WHERE oid = datdba) \\gexec",
                        acts.replace('\'', "''").replace('%', "%%"),
                        quoted(config.act.as_ref().map(|l| l.user.as_str()).unwrap_or_default()),
                    );
                }
                Right::Execute(_) | Right::Role(_) => {
                    let _ = writeln!(out, "{};", grant.right.statement(acts));
                }
                Right::NewerRole(role, note) => {
                    let statement = quoted(&grant.right.statement(acts));
                    let _ = writeln!(
                        out,
                        "-- {role}: {note}\nSELECT {statement} WHERE to_regrole('{role}') IS NOT NULL \\gexec",
                    );
                }
            }
        }
    }
    for tenant in estate.tenants_on(&config.id) {
        let Some(database) = tenant.database.as_ref() else { continue };
        let name = quoted_name(&database.name);
        let _ = writeln!(out, "\\connect {name}\nSET client_min_messages = warning;");
        let _ = writeln!(out, "GRANT CONNECT ON DATABASE {name} TO {};", roles.join(", "));
        let _ = writeln!(out, "GRANT USAGE ON SCHEMA public TO {};", roles.join(", "));
        for table in READ {
            there(&mut out, table, &format!("GRANT SELECT ON public.{table} TO {looks}"));
        }
        let Some(acts) = &acts else { continue };
        for grant in TABLES.iter().filter(|t| wanted.any(t.verbs)) {
            there(&mut out, grant.relation, &format!("GRANT {} TO {acts}", grant.words("public.")));
        }
    }
    out
}

/// A statement that is carried out where the relation is there: which modules are installed differs.
fn there(out: &mut String, relation: &str, statement: &str) {
    let _ = writeln!(out, "SELECT {} WHERE to_regclass('public.{relation}') IS NOT NULL \\gexec", quoted(statement));
}

/// Lines of `pgbouncer.ini`.
pub(super) fn pooler(config: &Pgbouncer, wanted: &Wanted<'_>) -> String {
    let mut out = format!("; {}: lines of pgbouncer.ini, then RELOAD. Made by `quarterdeck rbac`.\n", config.id);
    let _ = writeln!(out, "stats_users = {}", config.observe.user);
    let acts = config.act.as_ref().filter(|_| wanted.verbs.iter().any(|v| v.starts_with("postgres.pgbouncer_")));
    if let Some(login) = acts {
        let _ = writeln!(out, "admin_users = {}", login.user);
    }
    out
}
