//! An SQL operation as a person would type it.

use crate::act::args::shell;
use crate::config::model;
use crate::domain::request::Operation;

/// An SQL operation as one `psql` command, parameters put in as literals.
pub fn by_hand(config: &model::Postgres, user: &str, operation: &Operation) -> String {
    let Operation::Sql { database, statement, parameters } = operation else { return String::new() };
    let mut sql = statement.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    for (i, value) in parameters.iter().enumerate().rev() {
        let literal = format!("'{}'", value.replace('\'', "''"));
        sql = sql.replace(&format!("${}", i + 1), &literal);
    }
    let (host, port) = (shell(&config.host), config.port);
    format!("psql -h {host} -p {port} -U {} -d {} -c {}", shell(user), shell(database), shell(&sql))
}
