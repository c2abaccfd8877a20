//! A lock chain as PostgreSQL itself shows it, and as the clients in it see it.

use super::Lab;
use crate::support::SOON;

/// Sessions of a database that wait for a lock.
pub fn waiting(lab: &Lab, database: &str) -> u64 {
    let sql =
        format!("SELECT count(*) FROM pg_stat_activity WHERE datname = '{database}' AND wait_event_type = 'Lock'");
    lab.count("postgres", &sql)
}

/// Whether a session lives; with its start, so that another with the same pid is not taken for it.
pub fn lives(lab: &Lab, session: &str) -> bool {
    let (pid, start) = session.split_once('|').unwrap();
    let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND backend_start = '{start}'");
    lab.count("postgres", &sql) == 1
}

/// Pid and start of the session of an application in a database.
pub fn session(lab: &Lab, database: &str, application: &str) -> String {
    let found = lab.sql(
        "postgres",
        &format!(
            "SELECT pid, backend_start FROM pg_stat_activity \
             WHERE datname = '{database}' AND application_name = '{application}'"
        ),
    );
    assert_eq!(found.lines().count(), 1, "one session of {application} in {database}: {found}");
    found
}

/// The program of the session at the root of a chain.
pub const ROOT: &str = "odoo-migration-r118";

/// What the waiting clients of a lock chain were told so far, by their own output.
pub fn client_output(lab: &Lab, database: &str, n: usize) -> Vec<String> {
    let read = |i| std::fs::read_to_string(lab.dir().join(format!("log/fault-lock-{database}-{i}.log")));
    (1..=n).map(|i| read(i).unwrap_or_default()).collect()
}

/// Waits until each of the chain's waiting clients has got its answer, and fails if one of them lost its connection.
pub fn clients_were_served(lab: &Lab, database: &str, before: &[String]) {
    lab.until("every waiting client to get its count", SOON, || {
        client_output(lab, database, before.len()).iter().zip(before).all(|(now, then)| now.len() > then.len())
    });
    for (now, then) in client_output(lab, database, before.len()).iter().zip(before) {
        let told = now.strip_prefix(then.as_str()).unwrap();
        assert!(told.trim().parse::<u64>().is_ok(), "a waiting client was told: {told}");
    }
}
