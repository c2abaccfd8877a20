//! The server that pgBackRest backs up (the lab's part `backups`), as a source that the program may act with.

use super::Lab;

/// The lab's pgBackRest as the user that may act with it, and where it restores to.
pub fn pgbackrest(lab: &Lab, config: &mut toml::Table) {
    let keep = config["pgbackrest"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    let user = lab.var("LAB_BACKUP_USER");
    let words = ["setpriv", "--reuid", user, "--regid", user, "--init-groups", "--", "pgbackrest"];
    let words = if rustix::process::getuid().is_root() { &words[..] } else { &words[words.len() - 1..] };
    keep.insert("command".into(), words.iter().copied().map(toml::Value::from).collect::<Vec<_>>().into());
    keep.insert("restore_dir".into(), lab.var("LAB_BACKUP_ASIDE").into());
}

/// What [`tenant`] needs.
pub const BACKED_UP: &[&str] = &[
    "LAB_BACKUP_PORT",
    "LAB_BACKUP_COPY_PORT",
    "LAB_PGBOUNCER_DATABASES",
    "LAB_PG_ADMIN_DSN",
    "LAB_TRAEFIK_HTTP",
    "LAB_ODOO_URL",
];

/// The same, with t017's database on that server, the source `pg-c`, and the pool as one whose file may be changed. Odoo
/// itself goes on with the database of the lab's own server: in its place a client of the pool is asked.
pub fn tenant(lab: &Lab, config: &mut toml::Table) {
    pgbackrest(lab, config);
    let servers = config["postgres"].as_array_mut().unwrap();
    let mut server = servers[0].as_table().unwrap().clone();
    let port: i64 = lab.var("LAB_BACKUP_PORT").parse().unwrap();
    server.insert("id".into(), "pg-c".into());
    server.insert("port".into(), port.into());
    let act = server["act"].clone();
    servers.push(server.into());
    let pool = config["pgbouncer"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    pool.insert("act".into(), act);
    pool.insert("databases_file".into(), lab.var("LAB_PGBOUNCER_DATABASES").into());
    let t017 = config["tenant"].as_array_mut().unwrap()[0].as_table_mut().unwrap();
    t017["database"].as_table_mut().unwrap().insert("instance".into(), "pg-c".into());
}
