//! PostgreSQL, PgBouncer, and Odoo and integrations by their tables, on the lab's primary with a role and a database of
//! this test.

use crate::case::{Case, Gate, Scene, Since, number};
use crate::lab_support::Lab;
use crate::lab_support::wire::{Wire, runs, says};
use crate::support::SOON;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

/// The role that acts; gone with this.
pub struct Role<'a>(&'a Lab, String);

impl<'a> Role<'a> {
    fn new(lab: &'a Lab) -> Self {
        let name = format!("kills_{}", std::process::id());
        lab.sql(
            "postgres",
            &format!(
                "CREATE ROLE {name} LOGIN PASSWORD 'kills' IN ROLE quarterdeck_act, pg_signal_backend, pg_checkpoint;
                 GRANT EXECUTE ON FUNCTION pg_create_restore_point(text), pg_switch_wal() TO {name}"
            ),
        );
        lab.sql("postgres", &format!("CREATE DATABASE {name} OWNER {name}"));
        lab.sql(&name, &format!("CREATE TABLE held(); ALTER TABLE held OWNER TO {name}"));
        Self(lab, name)
    }
}

impl Drop for Role<'_> {
    fn drop(&mut self) {
        let name = &self.1;
        self.0.sql("postgres", &format!("DROP DATABASE {name} WITH (FORCE)"));
        let functions = "pg_create_restore_point(text), pg_switch_wal()";
        self.0.sql("postgres", &format!("REVOKE EXECUTE ON FUNCTION {functions} FROM {name}; DROP ROLE {name}"));
    }
}

/// A session that waits in a lock chain, or is the root of it.
struct Client(Child);

impl Client {
    /// As the role itself: a superuser's session could be cancelled by no other.
    fn begin(role: &Role<'_>, port: u16, statements: &str) -> Self {
        let name = &role.1;
        let mut child = Command::new("psql")
            .args(["-X", "-q", "-At"])
            .arg(format!("postgresql://{name}:kills@127.0.0.1:{port}/{name}?application_name=kills"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.as_mut().unwrap().write_all(statements.as_bytes()).unwrap();
        Self(child)
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A source that acts over a wire, and looks past it.
fn instance(scene: &Scene<'_>, role: &str, port: u16) -> String {
    let lab = scene.lab;
    format!(
        "[[postgres]]\nid = \"pg\"\nhost = \"127.0.0.1\"\nport = {port}\nuser = \"quarterdeck_observe\"\npassword = \
         \"file:{}\"\ntls = \"disable\"\nact = {{ user = \"{role}\", password = \"file:{}\" }}\n",
        lab.var("LAB_PG_OBSERVE_PASSWORD_FILE"),
        scene.secret("role", "kills")
    )
}

fn tenant(database: &str) -> String {
    format!("[[tenant]]\nid = \"t1\"\ndatabase = {{ instance = \"pg\", name = \"{database}\" }}\n")
}

pub fn cases<'a>(scene: &'a Scene<'a>) -> Vec<Case<'a>> {
    let lab = scene.lab;
    let role = Arc::new(Role::new(lab));
    let name = role.1.clone();
    let primary = scene.port("LAB_PG_PRIMARY_PORT");
    let on = |word: &'static str, database: &str| {
        let wire = Wire::to(primary, runs(word));
        let config = instance(scene, &name, wire.port()) + &tenant(database);
        (Gate::Wire(wire), config)
    };
    let mut cases = Vec::new();

    let (gate, config) = on("CONNECTION LIMIT", &name);
    let (own, again) = (role.clone(), role.clone());
    let limit =
        move |role: &Role<'_>| {
            number(&lab.sql(
                "postgres",
                &format!("SELECT (datconnlimit = 77)::int FROM pg_database WHERE datname = '{}'", role.1),
            ))
        };
    cases.push(
        Case::new(
            ("postgres.set_connection_limit", "set"),
            config,
            gate,
            move || {
                lab.sql("postgres", &format!("ALTER DATABASE {} CONNECTION LIMIT -1", own.1));
                format!("instance: pg, database: {}, limit: 77", own.1)
            },
            move || limit(&again),
        )
        .first(),
    );

    let (gate, config) = on("pg_create_restore_point", &name);
    let point = Arc::new(Mutex::new((0, String::new())));
    let again = point.clone();
    let log = lab.dir().join("log/postgres-primary.log");
    cases.push(Case::new(
        ("postgres.create_restore_point", "create"),
        config,
        gate,
        move || {
            let mut point = point.lock().unwrap();
            point.0 += 1;
            point.1 = format!("kills-{}-{}", std::process::id(), point.0);
            format!("instance: pg, name: {}", point.1)
        },
        // The server says each in its log.
        move || {
            let said = format!("restore point \"{}\" created", again.lock().unwrap().1);
            std::fs::read_to_string(&log).unwrap().matches(&said).count() as u64
        },
    ));

    let (gate, config) = on("pg_cancel_backend", &name);
    let chain: Arc<Mutex<Vec<Client>>> = Arc::default();
    let (own, again) = (role.clone(), role.clone());
    cases.push(
        Case::new(
            ("postgres.cancel_backend", "one-shot"),
            config,
            gate,
            move || {
                let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
                chain.clear();
                // A backend that sleeps does not notice that its client is gone.
                let ours = format!("FROM pg_stat_activity WHERE datname = '{}' AND application_name = 'kills'", own.1);
                lab.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {ours}"));
                lab.until("the last chain to be gone", SOON, || {
                    lab.count("postgres", &format!("SELECT count(*) {ours}")) == 0
                });
                let holds = "BEGIN; LOCK TABLE held; SELECT pg_sleep(600);\n";
                chain.push(Client::begin(&own, primary, holds));
                let locked = "SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation \
                          WHERE c.relname = 'held' AND l.granted";
                lab.until("the root to hold its lock", SOON, || lab.count(&own.1, locked) == 1);
                chain.push(Client::begin(&own, primary, holds));
                let waiting = format!("SELECT count(*) {ours} AND wait_event_type = 'Lock'");
                lab.until("a session to wait", SOON, || lab.count("postgres", &waiting) == 1);
                format!("instance: pg, root_of: {}", own.1)
            },
            move || cancelled(lab, &again.1),
        )
        .with("risk: medium, blastRadius: tenant, reversible: false"),
    );

    let pool = scene.port("LAB_PGBOUNCER_PORT");
    let wire = Wire::to(pool, says("PAUSE "));
    let config = format!(
        "[[pgbouncer]]\nid = \"pool\"\nhost = \"127.0.0.1\"\nport = {}\nuser = \"quarterdeck_observe\"\npassword = \
         \"file:{}\"\nact = {{ user = \"quarterdeck_act\", password = \"file:{}\" }}\n{}{}",
        wire.port(),
        lab.var("LAB_PG_OBSERVE_PASSWORD_FILE"),
        lab.var("LAB_PG_ACT_PASSWORD_FILE"),
        instance(scene, &name, primary),
        tenant("t090")
    );
    cases.push(
        Case::new(
            ("postgres.pgbouncer_pause", "set"),
            config,
            Gate::Wire(wire),
            move || {
                console(lab, "RESUME t090");
                "pooler: pool, database: t090".to_owned()
            },
            move || {
                let rows = console(lab, "SHOW DATABASES");
                let row = rows.lines().find(|l| l.starts_with("t090|")).unwrap().to_owned();
                // Columns: name … paused, disabled are the last two.
                number(row.split('|').rev().nth(1).unwrap())
            },
        )
        .first(),
    );
    cases.extend(tables(scene, &role));
    cases
}

/// Odoo and an integration of it, by the tables that Odoo made.
fn tables<'a>(scene: &'a Scene<'a>, role: &Arc<Role<'a>>) -> Vec<Case<'a>> {
    let lab = scene.lab;
    let primary = scene.port("LAB_PG_PRIMARY_PORT");
    let mut cases = Vec::new();
    // The role lives for as long as a case that stands on it.
    let [crons_role, switch_role] = std::array::from_fn(|_| role.clone());
    let wire = Wire::to(primary, runs("quarterdeck.paused_crons"));
    let config = instance(scene, &role.1, wire.port()) + &tenant("t090");
    cases.push(Case::new(
        ("odoo.pause_crons", "set"),
        config,
        Gate::Wire(wire),
        move || {
            let _ = &crons_role;
            let note = "(SELECT value FROM ir_config_parameter WHERE key = 'quarterdeck.paused_crons')";
            lab.sql(
                "t090",
                &format!(
                    "UPDATE ir_cron SET active = true WHERE id = ANY(string_to_array({note}, ',')::int[]);
                     DELETE FROM ir_config_parameter WHERE key = 'quarterdeck.paused_crons'"
                ),
            );
            let one = lab.sql("t090", "SELECT cron_name FROM ir_cron WHERE active ORDER BY id LIMIT 1");
            format!("tenant: t1, crons: ['{}']", one.replace('\'', "''"))
        },
        // One that was paused twice stands there twice.
        move || {
            let noted = "SELECT coalesce(max(cardinality(string_to_array(value, ','))), 0) FROM ir_config_parameter \
                         WHERE key = 'quarterdeck.paused_crons'";
            lab.count("t090", noted)
        },
    ).first());

    let wire = Wire::to(primary, runs("orm_signaling_stable"));
    let config = instance(scene, &role.1, wire.port())
        + &tenant("t090")
        + "[[integration]]\nid = \"edi\"\ntenant = \"t1\"\nchannel = \"root.edi\"\nswitch = \"kills.edi\"\n";
    let told = Since::new(move || {
        lab.count("t090", "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM orm_signaling_stable_id_seq")
    });
    let again = told.clone();
    cases.push(
        Case::new(
            ("integration.breaker_open", "set"),
            config,
            Gate::Wire(wire),
            move || {
                let _ = &switch_role;
                lab.sql(
                    "t090",
                    "INSERT INTO ir_config_parameter (key, value) VALUES ('kills.edi', 'True')
                     ON CONFLICT (key) DO UPDATE SET value = 'True'",
                );
                told.now();
                "integration: edi".to_owned()
            },
            move || again.count(),
        )
        .first(),
    );
    cases
}

/// Whether the root of the chain was cancelled: its transaction is lost, and it has no statement any more.
fn cancelled(lab: &Lab, database: &str) -> u64 {
    let over = format!(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND application_name = 'kills' \
         AND state = 'idle in transaction (aborted)'"
    );
    lab.count("postgres", &over)
}

/// A command on PgBouncer's console.
fn console(lab: &Lab, command: &str) -> String {
    let out = Command::new("psql")
        .args(["-X", "-q", "-At", "-c", command, lab.var("LAB_PGBOUNCER_ACT_DSN")])
        .output()
        .unwrap();
    String::from_utf8(out.stdout).unwrap()
}
