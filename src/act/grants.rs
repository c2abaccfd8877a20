//! What the verbs on PostgreSQL, in Odoo's databases and on Redis must be allowed to do. `doctor` asks for each of it, `rbac`
//! grants it. What the verbs on Kubernetes objects need stands beside their specs ([`super::rights`]).

use crate::domain::text::is_among;

/// What is granted on a PostgreSQL instance.
#[derive(Clone, Copy, Debug)]
pub enum Right {
    /// Functions, each with the types of its arguments.
    Execute(&'static str),
    /// Membership of a predefined role.
    Role(&'static str),
    /// The same of one that older servers do not have, with what counts there instead.
    NewerRole(&'static str, &'static str),
    /// Membership of whoever owns each database.
    Owner,
}

/// A right on a PostgreSQL instance.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// Verbs that need it.
    pub verbs: &'static [&'static str],
    /// An SQL expression that is true where the session's role holds it, null where the server does not have it at all.
    pub held: &'static str,
    /// What is granted.
    pub right: Right,
}

const IDENTITY: &[&str] = &[
    "postgres.*",
    "odoo.pause_crons",
    "odoo.resume_crons",
    "odoo.requeue_jobs",
    "odoo.set_job_priority",
    "odoo.queue_inspect",
    "odoo.lock_exports",
    "odoo.revoke_api_keys",
    "integration.*",
];

/// On the instance.
pub const INSTANCE: &[Grant] = &[
    Grant {
        verbs: IDENTITY,
        held: "has_function_privilege('pg_control_system()', 'EXECUTE')",
        right: Right::Execute("pg_control_system()"),
    },
    Grant {
        verbs: &[
            "postgres.blocking_tree",
            "postgres.cancel_backend",
            "postgres.terminate_backend",
            "postgres.replication",
        ],
        held: "pg_has_role('pg_monitor', 'USAGE')",
        right: Right::Role("pg_monitor"),
    },
    Grant {
        verbs: &["postgres.cancel_backend", "postgres.terminate_backend"],
        held: "pg_has_role('pg_signal_backend', 'USAGE')",
        right: Right::Role("pg_signal_backend"),
    },
    Grant {
        verbs: &["postgres.create_restore_point"],
        held: "has_function_privilege('pg_create_restore_point(text)', 'EXECUTE')",
        right: Right::Execute("pg_create_restore_point(text)"),
    },
    Grant {
        verbs: &["postgres.switch_wal"],
        held: "has_function_privilege('pg_switch_wal()', 'EXECUTE')",
        right: Right::Execute("pg_switch_wal()"),
    },
    Grant {
        verbs: &["postgres.promote"],
        held: "has_function_privilege('pg_promote(boolean, integer)', 'EXECUTE')
          AND has_function_privilege('pg_control_checkpoint()', 'EXECUTE')",
        right: Right::Execute("pg_promote(boolean, integer), pg_control_checkpoint()"),
    },
    Grant {
        verbs: &["postgres.checkpoint"],
        // Before version 15 only a superuser may.
        held: "CASE WHEN to_regrole('pg_checkpoint') IS NULL THEN current_setting('is_superuser') = 'on'
          ELSE pg_has_role(to_regrole('pg_checkpoint')::oid, 'USAGE') END",
        right: Right::NewerRole("pg_checkpoint", "PostgreSQL 15 and later; before, a superuser"),
    },
    Grant {
        verbs: &["postgres.set_connection_limit"],
        held: "NOT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datallowconn AND NOT datistemplate
          AND datname <> 'postgres' AND NOT pg_has_role(datdba, 'USAGE'))",
        right: Right::Owner,
    },
];

impl Right {
    /// The statement that gives it to a role; the owner's name in it is for a person to fill.
    pub fn statement(self, role: &str) -> String {
        match self {
            Self::Execute(functions) => format!("GRANT EXECUTE ON FUNCTION {functions} TO {role}"),
            Self::Role(name) | Self::NewerRole(name, _) => format!("GRANT {name} TO {role}"),
            Self::Owner => format!("GRANT <owner of the database> TO {role}"),
        }
    }
}

/// A right on a table or a sequence of Odoo's schema `public`.
#[derive(Clone, Copy, Debug)]
pub struct TableGrant {
    /// Verbs that need it.
    pub verbs: &'static [&'static str],
    /// The table or sequence; where a database does not have it, nothing of it is needed.
    pub relation: &'static str,
    /// Privileges, each a word and the columns that it is for; none where it is for all of them.
    pub privileges: &'static [(&'static str, &'static [&'static str])],
}

const CRONS_AND_EXPORTS: &[&str] = &["odoo.pause_crons", "odoo.resume_crons", "odoo.lock_exports"];
const BREAKER: &[&str] = &["integration.breaker_open", "integration.breaker_close"];

const READ: (&str, &[&str]) = ("SELECT", &[]);
const WRITE: (&str, &[&str]) = ("UPDATE", &[]);
const ADD: (&str, &[&str]) = ("INSERT", &[]);
const TAKE: (&str, &[&str]) = ("DELETE", &[]);
const USE: (&str, &[&str]) = ("USAGE", &[]);

/// In each tenant's database.
pub const TABLES: &[TableGrant] = &[
    TableGrant { verbs: &["odoo.pause_crons", "odoo.resume_crons"], relation: "ir_cron", privileges: &[READ, WRITE] },
    TableGrant {
        verbs: &["odoo.requeue_jobs", "odoo.set_job_priority", "integration.buffer", "integration.replay"],
        relation: "queue_job",
        privileges: &[READ, WRITE],
    },
    TableGrant { verbs: &["odoo.queue_inspect"], relation: "queue_job", privileges: &[READ] },
    // Rows of jobs that run are locked, which takes UPDATE.
    TableGrant { verbs: &["odoo.requeue_jobs"], relation: "queue_job_lock", privileges: &[READ, WRITE] },
    TableGrant { verbs: CRONS_AND_EXPORTS, relation: "ir_config_parameter", privileges: &[READ, ADD, WRITE, TAKE] },
    TableGrant { verbs: CRONS_AND_EXPORTS, relation: "ir_config_parameter_id_seq", privileges: &[USE] },
    TableGrant { verbs: BREAKER, relation: "ir_config_parameter", privileges: &[READ, WRITE] },
    TableGrant { verbs: BREAKER, relation: "orm_signaling_stable", privileges: &[READ, ADD] },
    TableGrant { verbs: BREAKER, relation: "orm_signaling_stable_id_seq", privileges: &[USE] },
    TableGrant { verbs: &["odoo.lock_exports"], relation: "ir_model_data", privileges: &[READ] },
    TableGrant { verbs: &["odoo.lock_exports"], relation: "res_groups_implied_rel", privileges: &[READ] },
    TableGrant { verbs: &["odoo.lock_exports"], relation: "res_groups_users_rel", privileges: &[READ, ADD, TAKE] },
    TableGrant { verbs: &["odoo.lock_exports"], relation: "orm_signaling_default", privileges: &[READ, ADD] },
    TableGrant { verbs: &["odoo.lock_exports"], relation: "orm_signaling_default_id_seq", privileges: &[USE] },
    TableGrant {
        verbs: &["odoo.lock_exports", "odoo.revoke_api_keys"],
        relation: "res_users",
        privileges: &[("SELECT", &["id", "login"])],
    },
    TableGrant {
        verbs: &["odoo.revoke_api_keys"],
        relation: "res_users_apikeys",
        privileges: &[("SELECT", &["id", "user_id", "expiration_date"]), ("UPDATE", &["expiration_date"])],
    },
];

impl TableGrant {
    /// Whether it is a sequence, which has functions of its own to ask.
    pub fn is_sequence(&self) -> bool {
        self.relation.ends_with("_id_seq")
    }

    /// An SQL expression that is true where the session's role holds all of it; null where the relation is not there.
    pub fn held(&self) -> String {
        let relation = format!("to_regclass('public.{}')", self.relation);
        let each = self.privileges.iter().flat_map(|(word, columns)| {
            let whole = if self.is_sequence() {
                format!("has_sequence_privilege({relation}, '{word}')")
            } else {
                format!("has_table_privilege({relation}, '{word}')")
            };
            let of = |column: &&str| format!("has_column_privilege({relation}, '{column}', '{word}')");
            let parts: Vec<String> = if columns.is_empty() { vec![whole] } else { columns.iter().map(of).collect() };
            parts
        });
        let each: Vec<String> = each.collect();
        // has_column_privilege fails for a column that is not there, so it is not asked where the table is not.
        format!("CASE WHEN {relation} IS NOT NULL THEN {} END", each.join(" AND "))
    }

    /// What is granted, as it stands in a statement: `SELECT (id, login) ON res_users`; the relation with what goes before
    /// its name (`public.`).
    pub fn words(&self, schema: &str) -> String {
        let each = self.privileges.iter().map(|(word, columns)| {
            if columns.is_empty() { (*word).to_owned() } else { format!("{word} ({})", columns.join(", ")) }
        });
        let kind = if self.is_sequence() { "SEQUENCE " } else { "" };
        format!("{} ON {kind}{schema}{}", each.collect::<Vec<_>>().join(", "), self.relation)
    }
}

/// The statements that give a role what a verb needs, but for what every verb needs; empty where it needs nothing more.
pub fn statements(verb: &str, role: &str) -> String {
    let tables = TABLES.iter().filter(|t| is_among(verb, t.verbs)).map(|t| format!("GRANT {} TO {role}", t.words("")));
    let instance = INSTANCE.iter().filter(|g| g.verbs != IDENTITY && is_among(verb, g.verbs)).map(|g| {
        let statement = g.right.statement(role);
        if let Right::NewerRole(_, note) = g.right { format!("{statement} ({note})") } else { statement }
    });
    tables.chain(instance).collect::<Vec<_>>().join("; ")
}

/// A right on a Redis: a command with as many words as it takes, its rule in an access list, and the verbs that need it.
#[derive(Clone, Copy, Debug)]
pub struct CommandGrant {
    /// The command, on a key that is nobody's.
    pub words: &'static [&'static str],
    /// Its rule.
    pub rule: &'static str,
    /// Verbs that need it.
    pub verbs: &'static [&'static str],
}

/// A key that is nobody's.
pub const NOBODYS_KEY: &str = "quarterdeck:asked";

const fn command(words: &'static [&'static str], rule: &'static str, verbs: &'static [&'static str]) -> CommandGrant {
    CommandGrant { words, rule, verbs }
}

const DRAINS: &[&str] = &["redis.drain_list", "redis.drain_stream"];

/// On a Redis.
pub const COMMANDS: &[CommandGrant] = &[
    command(&["INFO"], "+info", &["redis.*"]),
    command(&["BGSAVE"], "+bgsave", &["redis.bgsave"]),
    command(&["LASTSAVE"], "+lastsave", &["redis.bgsave"]),
    command(&["MEMORY", "PURGE"], "+memory|purge", &["redis.memory_purge"]),
    command(&["CONFIG", "GET", "maxmemory"], "+config|get", &["redis.set_maxmemory"]),
    command(&["CONFIG", "SET", "maxmemory", "1gb"], "+config|set", &["redis.set_maxmemory"]),
    command(&["SCAN", "0"], "+scan", &["redis.delete_matching"]),
    command(&["UNLINK", NOBODYS_KEY], "+unlink", &["redis.delete_matching"]),
    command(&["DBSIZE"], "+dbsize", &["redis.flush_db"]),
    command(&["FLUSHDB"], "+flushdb", &["redis.flush_db"]),
    command(&["TYPE", NOBODYS_KEY], "+type", DRAINS),
    command(&["EXISTS", NOBODYS_KEY], "+exists", DRAINS),
    command(&["LLEN", NOBODYS_KEY], "+llen", &["redis.drain_list"]),
    command(&["XLEN", NOBODYS_KEY], "+xlen", &["redis.drain_stream"]),
    command(&["RENAMENX", NOBODYS_KEY, NOBODYS_KEY], "+renamenx", &["redis.drain_list"]),
    command(&["COPY", NOBODYS_KEY, NOBODYS_KEY], "+copy", &["redis.drain_stream"]),
    command(&["XTRIM", NOBODYS_KEY, "MAXLEN", "0"], "+xtrim", &["redis.drain_stream"]),
    // What frames a transaction is not asked for inside of one.
    command(&[], "+watch", DRAINS),
    command(&[], "+unwatch", DRAINS),
    // `doctor` asks inside of one that it gives up.
    command(&[], "+multi", &["redis.*"]),
    command(&[], "+discard", &["redis.*"]),
    command(&[], "+exec", DRAINS),
];

/// Commands that no verb needs and that reach beyond what any may do, with what they are for.
pub const BEYOND: &[(&[&str], &str)] = &[
    (&["FLUSHALL"], "FLUSHALL, which empties every database"),
    (&["KEYS", NOBODYS_KEY], "KEYS, which holds the server up"),
    (&["EVAL", "return 1", "0"], "EVAL, programs on the server"),
    (&["ACL", "LIST"], "ACL LIST, everybody's rights"),
    (&["REPLICAOF", "NO", "ONE"], "REPLICAOF, which makes it another server's copy"),
];

/// The rules of an access list for the verbs that count, but for those on keys: `+info +dbsize +flushdb`.
pub fn rules(counts: impl Fn(&str) -> bool) -> String {
    let named =
        |c: &&CommandGrant| super::redis::SPECS.iter().any(|spec| counts(spec.name) && is_among(spec.name, c.verbs));
    COMMANDS.iter().filter(named).map(|c| c.rule).collect::<Vec<_>>().join(" ")
}
