//! Redis and Traefik.

use crate::case::{Case, Gate, Scene, Since, number};
use crate::lab_support::Lab;
use crate::lab_support::wire::{Wire, says};
use crate::support::SOON;
use std::path::{Path, PathBuf};
use std::process::Command;

/// `redis-cli` as the lab's administrator.
fn redis(lab: &Lab, words: &[&str]) -> String {
    let password = std::fs::read_to_string(lab.var("LAB_REDIS_ADMIN_PASSWORD_FILE")).unwrap();
    let mut command = Command::new("redis-cli");
    command.args(["--no-auth-warning", "-h", "127.0.0.1", "-p", lab.var("LAB_REDIS_PORT")]).args(words);
    let out = command.env("REDISCLI_AUTH", password.trim()).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// How often Redis was told a command, by its own statistics.
fn calls(lab: &Lab, command: &str) -> u64 {
    let head = format!("cmdstat_{command}:calls=");
    let text = redis(lab, &["INFO", "commandstats"]);
    let rest = text.lines().find_map(|l| l.strip_prefix(&head)).unwrap_or("0,").to_owned();
    number(rest.split(',').next().unwrap())
}

pub fn cases<'a>(scene: &'a Scene<'a>) -> Vec<Case<'a>> {
    let lab = scene.lab;
    let port = scene.port("LAB_REDIS_PORT");
    let tenant = "[[tenant]]\nid = \"t1\"\n";
    let over = |word: &str| {
        let wire = Wire::to(port, says(word));
        let config = scene.redis("acted", wire.port(), "") + tenant;
        (Gate::Wire(wire), config)
    };
    let counted = |command: &'static str| Since::new(move || calls(lab, command));
    let mut cases = Vec::new();

    let (gate, config) = over("BGSAVE\r\n");
    let saves = counted("bgsave");
    let again = saves.clone();
    cases.push(
        Case::new(
            ("redis.bgsave", "one-shot"),
            config,
            gate,
            move || {
                // A second is the precision of what it says of its last save.
                let saving = || redis(lab, &["INFO", "persistence"]).contains("rdb_bgsave_in_progress:1");
                lab.until("no save to run", SOON, || !saving());
                let last = number(&redis(lab, &["LASTSAVE"]));
                let now = || number(redis(lab, &["TIME"]).lines().next().unwrap());
                lab.until("a second to have passed since", SOON, || now() > last + 1);
                saves.now();
                "redis: acted".to_owned()
            },
            move || again.count(),
        )
        .first(),
    );

    let (gate, config) = over("maxmemory\r\n$9\r\n987654321");
    let sets = counted("config|set");
    let again = sets.clone();
    cases.push(
        Case::new(
            ("redis.set_maxmemory", "set"),
            config,
            gate,
            move || {
                redis(lab, &["CONFIG", "SET", "maxmemory", "0"]);
                sets.now();
                "redis: acted, bytes: 987654321".to_owned()
            },
            move || again.count(),
        )
        .with("risk: medium, blastRadius: cluster, reversible: compensatable"),
    );

    let (gate, config) = over("UNLINK\r\n");
    let unlinks = counted("unlink");
    let again = unlinks.clone();
    cases.push(
        Case::new(
            ("redis.delete_matching", "delete"),
            config,
            gate,
            move || {
                redis(lab, &["MSET", "kills:a", "1", "kills:b", "2"]);
                unlinks.now();
                "redis: acted, pattern: 'kills:*'".to_owned()
            },
            move || again.count(),
        )
        .with("risk: medium, blastRadius: cluster, reversible: false"),
    );

    let (gate, config) = over("RENAMENX\r\n");
    let renames = counted("renamenx");
    let again = renames.clone();
    cases.push(Case::new(
        ("redis.drain_list", "move"),
        config,
        gate,
        move || {
            redis(lab, &["DEL", "kills-list", "kills-list:drained"]);
            redis(lab, &["RPUSH", "kills-list", "1", "2", "3"]);
            renames.now();
            "redis: acted, key: kills-list, keep_as: 'kills-list:drained'".to_owned()
        },
        move || again.count(),
    ));

    let edge = format!(
        "[[traefik]]\nid = \"edge\"\nmetrics = \"{}\"\napi = \"{}\"\ndynamic_dir = \"{}\"\nmaintenance_url = \"{}\"\n\
         probe_url = \"{}\"\n[[tenant]]\nid = \"t090\"\nrouter = {{ ingress = \"edge\", name = \"t090@file\", host = \
         \"t090.lab.test\" }}\n",
        lab.var("LAB_TRAEFIK_METRICS"),
        lab.var("LAB_TRAEFIK_API"),
        lab.var("LAB_TRAEFIK_DYNAMIC"),
        lab.var("LAB_MAINTENANCE_URL"),
        lab.var("LAB_TRAEFIK_HTTP")
    );
    let page = maintenance(lab);
    cases.push(
        Case::new(
            ("traefik.maintenance_on", "create"),
            edge.clone(),
            Gate::None,
            move || {
                tidy(lab);
                "tenant: t090".to_owned()
            },
            move || u64::from(page.exists()),
        )
        .writes()
        .first(),
    );
    cases
}

/// The file of the maintenance page of t090.
fn maintenance(lab: &Lab) -> PathBuf {
    Path::new(lab.var("LAB_TRAEFIK_DYNAMIC")).join("quarterdeck-maintenance-t090.yml")
}

/// Takes the maintenance page down, so that those who have the next turn at the lab find t090 served.
pub fn tidy(lab: &Lab) {
    let _ = std::fs::remove_file(maintenance(lab));
    lab.until("t090 to be served", SOON, || lab.request("t090").0 == 200);
}
