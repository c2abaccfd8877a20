//! pgBackRest and Patroni with PostgreSQL servers of this test's own: the lab has none of either.

use crate::case::{Case, GATED, Gate, Process, Scene, Since, write};
use crate::lab_support::wire::{Wire, says};
use crate::lab_support::{LONG, Lab};
use crate::postgres::{Home, free_port, init, lowly, must, programs, skip, unprivileged};
use crate::support::on_path;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

pub fn cases<'a>(scene: &'a Scene<'a>) -> Vec<Case<'a>> {
    backup(scene).into_iter().chain(patroni(scene)).collect()
}

/// A backup: one that was begun goes on when the engine that began it is killed.
fn backup<'a>(scene: &'a Scene<'a>) -> Option<Case<'a>> {
    let (Some(bin), Some(program)) = (programs(), on_path("pgbackrest")) else {
        skip("backup.pgbackrest_backup", "it needs pgbackrest and PostgreSQL");
        return None;
    };
    let home = Home::new();
    let data = home.folder("data");
    let [repo, logs, spool] = ["repo", "logs", "spool"].map(|name| home.folder(name));
    let (port, config) = (free_port(), home.path("pgbackrest.conf"));
    let text = format!(
        "[global]\nrepo1-path={}\nlog-path={}\nspool-path={}\nlock-path={}\nrepo1-retention-full=99\nstart-fast=y\n\
         [main]\npg1-path={}\npg1-port={port}\npg1-socket-path={}\npg1-user=postgres\n",
        repo.display(),
        logs.display(),
        spool.display(),
        spool.display(),
        data.display(),
        home.0.path().display()
    );
    std::fs::write(&config, text).unwrap();
    init(&bin, &data);
    let settings = format!(
        "listen_addresses = ''\nport = {port}\nunix_socket_directories = '{}'\nfsync = off\nshared_buffers = 16MB\n\
         archive_mode = on\narchive_command = '{} --config={} --stanza=main archive-push %p'\n",
        home.0.path().display(),
        program.display(),
        config.display()
    );
    std::fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
    let server = home.start("postgres", lowly(&bin.join("postgres")).arg("-D").arg(&data));
    scene.lab.until("PostgreSQL with pgBackRest to listen", LONG, || home.path(&format!(".s.PGSQL.{port}")).exists());

    // As the engine starts it: a script that waits before it does its work, or after, while a file is there.
    let (tool, stays) = (home.path("backrest"), home.folder("stays"));
    let changes = unprivileged()
        .map_or(String::new(), |(user, group)| format!("setpriv --reuid={user} --regid={group} --clear-groups "));
    let run = format!("{changes}{} \"$@\"", program.display());
    let gated = GATED.replace("DIR", &stays.display().to_string()).replace("WORK", &run);
    let script = format!("#!/bin/sh\nfor last in \"$@\"; do :; done\n[ \"$last\" = backup ] || exec {run}\n{gated}");
    write(&tool, &script, 0o755);
    for word in ["stanza-create", "backup"] {
        let options = [format!("--config={}", config.display()), "--stanza=main".to_owned(), word.to_owned()];
        must(Command::new(&tool).args(options).current_dir("/"));
    }
    let kept = Since::new(move || {
        let label = |name: &str| name.starts_with("20") && name.contains('-');
        let all = std::fs::read_dir(repo.join("backup/main")).unwrap().flatten();
        all.filter(|e| label(&e.file_name().to_string_lossy()) && e.path().join("backup.manifest").exists()).count()
            as u64
    });
    let again = kept.clone();
    let config = format!(
        "[[pgbackrest]]\nid = \"kept\"\nstanza = \"main\"\ncommand = [\"{}\"]\nconfig = \"{}\"\n[[tenant]]\nid = \"t1\"\n",
        tool.display(),
        config.display()
    );
    let case = Case::new(
        ("backup.pgbackrest_backup", "create"),
        config,
        Gate::Stays(stays),
        move || {
            let _ = (&server, &home);
            kept.now();
            "backup: kept".to_owned()
        },
        move || again.count(),
    );
    Some(case.first().with("risk: medium, blastRadius: cluster, reversible: true"))
}

/// A cluster that Patroni keeps.
struct Kept {
    _home: Home,
    /// REST API of each member.
    members: Vec<u16>,
    servers: Vec<Process>,
    _etcd: Process,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // A Patroni that is killed leaves its PostgreSQL behind.
        for server in &mut self.servers {
            let pid = rustix::process::Pid::from_child(&server.0);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        for server in &mut self.servers {
            let _ = server.0.wait();
        }
    }
}

impl Kept {
    fn start(lab: &Lab, members: usize) -> Option<Self> {
        // The lab built it for its API server.
        let etcd = Path::new(lab.var("LAB_KUBECTL")).with_file_name("etcd");
        let (true, Some(bin), Some(patroni)) = (etcd.is_file(), programs(), on_path("patroni")) else {
            skip("patroni", "it needs patroni, the lab's etcd and PostgreSQL");
            return None;
        };
        let home = Home::new();
        let url = |port: u16| format!("http://127.0.0.1:{port}");
        let (store, peer) = (free_port(), free_port());
        let mut command = Command::new(etcd);
        command.arg("--data-dir").arg(home.path("etcd")).arg("--unsafe-no-fsync");
        command.args(["--listen-client-urls", &url(store), "--advertise-client-urls", &url(store)]);
        command.args(["--listen-peer-urls", &url(peer), "--initial-advertise-peer-urls", &url(peer)]);
        command.args(["--initial-cluster", &format!("default={}", url(peer))]);
        let etcd = home.start("store", &mut command);
        let (mut rests, mut servers) = (Vec::new(), Vec::new());
        for n in 1..=members {
            let (rest, port, own) = (free_port(), free_port(), home.folder(&format!("m{n}")));
            let mut yaml = format!(
                "scope: kills\nname: m{n}\nrestapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}', \
                 authentication: {{username: q, password: pw}}}}\netcd3: {{hosts: ['127.0.0.1:{store}']}}\n\
                 bootstrap:\n  dcs: {{ttl: 20, loop_wait: 1, retry_timeout: 3}}\n  initdb: [{{encoding: UTF8}}, no-sync]\n  \
                 pg_hba: [host all all 127.0.0.1/32 md5, host replication all 127.0.0.1/32 md5]\n"
            );
            let _ = write!(
                yaml,
                "postgresql:\n  listen: 127.0.0.1:{port}\n  connect_address: 127.0.0.1:{port}\n  data_dir: {own}/data\n  \
                 bin_dir: {bin}\n  pgpass: {own}/pgpass\n  authentication: {{superuser: {{username: postgres, password: x}}, \
                 replication: {{username: repl, password: x}}}}\n  \
                 parameters: {{unix_socket_directories: {own}, fsync: 'off', shared_buffers: 16MB}}\n",
                own = own.display(),
                bin = bin.display()
            );
            let file = home.path(&format!("m{n}.yml"));
            std::fs::write(&file, yaml).unwrap();
            servers.push(home.start(&format!("m{n}"), lowly(&patroni).arg(&file)));
            rests.push(rest);
        }
        let kept = Self { _home: home, members: rests, servers, _etcd: etcd };
        lab.until("Patroni to run its members", LONG, || kept.is_whole());
        Some(kept)
    }

    /// What the members say of the cluster, by any that answers.
    fn cluster(&self) -> Value {
        let ask = |port: &u16| {
            let url = format!("http://127.0.0.1:{port}/cluster");
            let out = Command::new("curl").args(["-s", "-m", "5", &url]).output().unwrap();
            serde_json::from_slice(&out.stdout).ok()
        };
        self.members.iter().find_map(ask).unwrap_or_default()
    }

    fn leader(&self) -> Option<Value> {
        let now = self.cluster();
        let leads = |m: &&Value| m["role"] == "leader" && m["state"] == "running";
        now["members"].as_array().into_iter().flatten().find(leads).cloned()
    }

    /// Whether one leads and all others follow it.
    fn is_whole(&self) -> bool {
        let now = self.cluster();
        let all: Vec<&Value> = now["members"].as_array().into_iter().flatten().collect();
        let runs = |m: &&&Value| m["state"] == "running" || m["state"] == "streaming";
        let same = all.iter().all(|m| m["timeline"].is_number() && m["timeline"] == all[0]["timeline"]);
        all.len() == self.members.len()
            && all.iter().filter(runs).count() == all.len()
            && same
            && self.leader().is_some()
    }

    /// The timeline counts how often another has become the primary.
    fn timeline(&self, lab: &Lab) -> u64 {
        let mut found = 0;
        lab.until("the cluster to have a primary", LONG, || {
            found = self.leader().and_then(|m| m["timeline"].as_u64()).unwrap_or(0);
            found > 0
        });
        found
    }

    /// Changes its configuration, past every wire.
    fn configure(&self, body: &str) {
        let url = format!("http://127.0.0.1:{}/config", self.members[0]);
        must(Command::new("curl").args(["-sf", "-m", "10", "-u", "q:pw", "-X", "PATCH", "-d", body, &url]));
    }
}

/// The configuration of a cluster that is asked over a wire.
fn configured(scene: &Scene<'_>, wire: &Wire) -> String {
    format!(
        "[[patroni]]\nid = \"kept\"\nurl = \"http://127.0.0.1:{}\"\nact = {{ user = \"q\", password = \"file:{}\" }}\n\
         [[tenant]]\nid = \"t1\"\n",
        wire.port(),
        scene.secret("patroni", "pw")
    )
}

fn patroni<'a>(scene: &'a Scene<'a>) -> Vec<Case<'a>> {
    let lab = scene.lab;
    let (Some(one), Some(two)) = (Kept::start(lab, 1), Kept::start(lab, 2)) else { return Vec::new() };
    let (one, two) = (Arc::new(one), Arc::new(two));
    let wire = Wire::to(one.members[0], says("PATCH /config"));
    let (config, again) = (configured(scene, &wire), one.clone());
    let pause = Case::new(
        ("patroni.pause", "set"),
        config,
        Gate::Wire(wire),
        move || {
            one.configure("{\"pause\": null}");
            lab.until("Patroni to be at work", LONG, || one.cluster()["pause"] != true);
            "patroni: kept".to_owned()
        },
        move || u64::from(again.cluster()["pause"] == true),
    );
    let wire = Wire::to(two.members[0], says("POST /switchover"));
    let config = configured(scene, &wire);
    let primaries = Since::new({
        let two = two.clone();
        move || two.timeline(lab)
    });
    let again = (primaries.clone(), two.clone());
    let led = Arc::new(Mutex::new(String::new()));
    let before = led.clone();
    let switchover = Case::new(
        ("patroni.switchover", "one-shot"),
        config,
        Gate::Wire(wire),
        move || {
            lab.until("both members to run", LONG, || two.is_whole());
            primaries.now();
            let (primary, other) = if two.leader().unwrap()["name"] == "m1" { ("m1", "m2") } else { ("m2", "m1") };
            primary.clone_into(&mut led.lock().unwrap());
            format!("patroni: kept, candidate: {other}")
        },
        // Patroni says the new timeline with its next beat only, and who leads at once.
        move || {
            let timelines = again.0.count();
            let other = again.1.leader().is_some_and(|m| m["name"] != before.lock().unwrap().as_str());
            timelines.max(u64::from(other))
        },
    );
    let high = "risk: high, blastRadius: cluster, reversible: false, approval: {quorum: 1}";
    vec![pause.first().with("risk: medium, blastRadius: cluster, reversible: compensatable"), switchover.with(high)]
}
