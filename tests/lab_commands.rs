//! Commands that look, run as a person runs them, against the lab's API server and a file: `logs`, `doctor` of what logs
//! need, and what `gate` and `status` say where nothing has been learnt of what is usual.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod lab_support;
mod support;

use lab_support::Lab;
use serde_json::Value;
use std::process::{Command, Output, Stdio};
use support::program;
use tempfile::TempDir;

const NEEDS: &[&str] = &["LAB_KUBECONFIG_OBSERVE", "LAB_KUBECONFIG_POOR", "LAB_POD_LOG"];

/// An estate of one tenant on the lab's cluster, whose Odoo also writes to a file.
struct Seat {
    home: TempDir,
}

impl Seat {
    fn new(kubeconfig: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let log = home.path().join("odoo-t017.log");
        std::fs::copy("tests/lab/kubernetes/odoo.log", &log).unwrap();
        let path = home.path().join("odoo-{tenant}.log");
        let text = format!(
            "[estate]\nname = \"lab\"\nenvironment = \"staging\"\n[[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"{kubeconfig}\"\n\
             [[tenant]]\nid = \"t017\"\ndatabase = {{ instance = \"pg\", name = \"t017\" }}\n\
             kubernetes = {{ cluster = \"k8s\", namespace = \"t017\", web = \"odoo\", workers = \"odoo-worker\" }}\n\
             [[postgres]]\nid = \"pg\"\nhost = \"127.0.0.1\"\nport = 1\nuser = \"nobody\"\ntls = \"disable\"\n\
             [[logs]]\nid = \"odoo-log\"\nkind = \"file\"\npath = \"{}\"\n[journal]\ndir = \"{}\"\n",
            path.display(),
            home.path().join("journal").display()
        );
        std::fs::write(home.path().join("config.toml"), text).unwrap();
        Self { home }
    }

    fn run(&self, args: &[&str]) -> Output {
        run(self.home.path(), &[&["--config", "config.toml"], args].concat())
    }
}

fn run(home: &std::path::Path, args: &[&str]) -> Output {
    Command::new(program())
        .args(args)
        .current_dir(home)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("USER", "mara")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(out: &Output) -> Value {
    let said = String::from_utf8_lossy(&out.stderr);
    serde_json::from_slice(&out.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

fn words(out: &Output) -> String {
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn logs_of_pods_and_of_a_file_are_read_as_a_command() {
    let Some(lab) = Lab::open("logs as a command", NEEDS) else { return };
    let seat = Seat::new(lab.var("LAB_KUBECONFIG_OBSERVE"));
    // What lies in the file is of the morning of that day, what the pods say is of when the lab came up.
    let all = ["logs", "t017", "--since", "2026-11-20T00:00:00Z"];
    let out = seat.run(&[&all[..], &["--format", "json"]].concat());
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let view = json(&out);
    let places = view["logs"].as_array().unwrap();
    let of = |what: &str| places.iter().filter(|p| p["log"].as_str().unwrap().contains(what)).count();
    assert_eq!((of("pod t017/odoo"), of("odoo-t017.log")), (4, 1), "{view:#}");
    let text = words(&seat.run(&all));
    assert!(text.contains("psycopg2.errors.LockNotAvailable"), "{text}");

    // Without the right the pods are told of with the rule that helps, and the file still is.
    let poor = Seat::new(lab.var("LAB_KUBECONFIG_POOR"));
    let out = poor.run(&all);
    let text = words(&out);
    assert_eq!(out.status.code(), Some(0), "{text}");
    assert!(text.contains("403") && text.contains("LockNotAvailable"), "{text}");
    let out = seat.run(&["logs", "t999"]);
    assert_eq!(out.status.code(), Some(2), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn doctor_asks_what_logs_need_and_tells_of_what_is_usual() {
    let Some(lab) = Lab::open("doctor of logs", NEEDS) else { return };
    let of = |kubeconfig: &str| {
        let seat = Seat::new(lab.var(kubeconfig));
        json(&seat.run(&["doctor", "--format", "json"]))["systems"].as_array().unwrap().clone()
    };
    let lacks = |systems: &[Value]| systems.iter().any(|s| s.to_string().contains("pods/log"));
    let (able, poor) = (of("LAB_KUBECONFIG_OBSERVE"), of("LAB_KUBECONFIG_POOR"));
    assert!(!lacks(&able) && lacks(&poor), "{able:#?}\n{poor:#?}");
    let file = able.iter().find(|s| s["id"] == "odoo-log").unwrap();
    assert_eq!((&file["health"], &file["reachable"]), (&"ok".into(), &true.into()), "{file:#}");
    let usual = able.iter().find(|s| s["id"] == "usual").unwrap();
    assert_eq!(usual["health"], "unknown", "{usual:#}");
    assert!(usual["why"].as_str().unwrap().contains("nothing is learnt yet"), "{usual:#}");
}

#[test]
fn a_gate_without_baselines_is_unknown_and_one_of_a_drill_has_them() {
    let Some(lab) = Lab::open("a gate without baselines", NEEDS) else { return };
    let seat = Seat::new(lab.var("LAB_KUBECONFIG_OBSERVE"));
    let out = seat.run(&["gate", "--since", "30m", "--format", "json"]);
    let gate = json(&out);
    let answer = |n: usize| gate["answers"][n]["answer"].as_str().unwrap().to_owned();
    assert_eq!((out.status.code(), answer(1).as_str()), (Some(6), "unknown"), "{gate:#}");
    let because = gate["answers"][1]["because"].to_string();
    assert!(because.contains("nothing has been learnt yet of what is usual"), "{because}");
    let text = words(&seat.run(&["status"]));
    assert!(text.contains("\nUSUAL\nunknown   nothing has been learnt yet of what is usual"), "{text}");

    let drill = |args: &[&str]| json(&run(seat.home.path(), &[&["--drill", "--format", "json"], args].concat()));
    let status = drill(&["status"]);
    assert_eq!(status["usual"]["health"], "ok", "{:#}", status["usual"]);
    assert!(status["usual"]["compared"].as_u64().unwrap() > 0, "{:#}", status["usual"]);
}
