//! The command line as a program sees it: exit codes, standard output, standard error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use support::{config, lonely, run};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|e| panic!("{e} in {text}"))
}

#[test]
fn without_configuration_status_exits_2_and_says_where_it_looked() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["status"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("QUARTERDECK_CONFIG") && err.contains("config init"), "{err}");
}

#[test]
fn all_errors_of_a_configuration_come_with_their_places_and_as_json() {
    let home = tempfile::tempdir().unwrap();
    let file = config(home.path(), "[estate]\nname = 5\nenvironment = \"prod\"\ncolour = 1\n");
    let (code, out, err) = run(home.path(), &["--config", &file, "config", "check"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert_eq!(err.lines().count(), 3, "{err}");
    assert!(err.contains(":2:8: ") && err.contains(":3:15: ") && err.contains(":4:1: "), "{err}");
    let (code, _, err) = run(home.path(), &["--config", &file, "config", "check", "--format", "json"]);
    assert_eq!(code, 2);
    let first = json(err.lines().next().unwrap());
    assert_eq!((&first["error"]["line"], &first["error"]["column"]), (&2.into(), &8.into()));
    assert_eq!(first["error"]["kind"], "configuration");
}

#[test]
fn a_missing_file_and_a_wrong_option_exit_2() {
    let home = tempfile::tempdir().unwrap();
    let (code, _, err) = run(home.path(), &["--config", "/nowhere/c.toml", "status"]);
    assert!(code == 2 && err.contains("does not exist"), "{code} {err}");
    assert_eq!(run(home.path(), &["status", "--loud"]).0, 2);
    assert_eq!(run(home.path(), &["--help"]).0, 0);
}

#[test]
fn a_threshold_for_no_signal_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let file = config(
        home.path(),
        "[estate]\nname = \"a\"\nenvironment = \"staging\"\n[[threshold]]\nsignal = \"lock.bloked\"\nwarn = 1\ncritical = 2\n",
    );
    let (code, _, err) = run(home.path(), &["--config", &file, "status"]);
    assert!(code == 2 && err.contains("lock.bloked") && err.contains("lock.blocked"), "{code} {err}");
}

#[test]
fn a_server_that_is_gone_is_unknown_and_never_green() {
    let home = tempfile::tempdir().unwrap();
    let file = lonely(home.path());
    let (code, out, err) = run(home.path(), &["--config", &file, "status", "--format", "json"]);
    assert_eq!(code, 6, "{out}{err}");
    let status = json(&out);
    assert_eq!(status["health"], "unknown");
    for source in status["sources"].as_array().unwrap() {
        assert_eq!(source["health"], "unknown", "{source}");
        assert!(source["why"].as_str().is_some_and(|w| !w.is_empty()), "{source}");
    }
    assert_eq!(status["tenants"][0]["health"], "unknown");
    assert!(!home.path().join("journal").exists(), "status must not touch the journal");
}

#[test]
fn the_simulated_estate_has_the_contract_of_status() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["--drill", "status", "--format", "json"]);
    assert!([0, 4, 5, 6].contains(&code), "{code} {err}");
    let status = json(&out);
    assert_eq!(status["mode"], "drill");
    for member in ["tenants", "databases", "queues", "ingress", "sources"] {
        assert!(!status[member].as_array().unwrap().is_empty(), "{member} is empty");
    }
    for member in
        ["schema", "estate", "generated_at", "health", "platform", "recovery", "delivery", "business", "findings"]
    {
        assert!(status.get(member).is_some(), "{member} is missing");
    }
    let exit = match status["health"].as_str().unwrap() {
        "ok" => 0,
        "warn" => 4,
        "critical" => 5,
        _ => 6,
    };
    assert_eq!(code, exit);
}

#[test]
fn an_incident_is_declared_noted_and_closed_and_the_log_verifies() {
    let home = tempfile::tempdir().unwrap();
    let file = lonely(home.path());
    let go = |args: &[&str]| run(home.path(), &[&["--config", &file], args].concat());
    let (code, out, err) = go(&["incident", "declare", "Orders stand still", "--severity", "SEV1"]);
    assert!(code == 0 && out.contains("INC-1"), "{out}{err}");
    assert_eq!(go(&["incident", "note", "INC-1", "trucks wait"]).0, 0);
    assert_eq!(go(&["incident", "role", "INC-1", "dba", "jon"]).0, 0);
    let (code, _, err) = go(&["incident", "note", "INC-7", "x"]);
    assert!(code == 1 && err.contains("no incident INC-7"), "{code} {err}");
    let (code, _, err) = go(&["glass", "break", "short"]);
    assert!(code == 1 && err.contains("10 characters"), "{code} {err}");
    assert_eq!(go(&["glass", "break", "nobody answers the phone"]).0, 0);
    let (code, _, err) = go(&["incident", "close", "INC-1", "done"]);
    assert!(code == 7 && err.contains("glass"), "policy says no with 7: {code} {err}");
    assert_eq!(go(&["glass", "restore"]).0, 0);
    assert_eq!(go(&["glass", "review", "it was not needed"]).0, 0);
    assert_eq!(go(&["incident", "close", "INC-1", "lock released"]).0, 0);
    let (_, out, _) = go(&["incident", "list", "--format", "json"]);
    assert_eq!(json(&out)[0]["state"], "closed");

    let journal = home.path().join("journal");
    let dir = journal.display().to_string();
    let (code, out, _) = run(home.path(), &["audit", "verify", "--journal", &dir]);
    assert_eq!(code, 0, "the console has pinned the key at first sight: {out}");
    let stranger = tempfile::tempdir().unwrap();
    let (code, out, _) = run(stranger.path(), &["audit", "verify", "--journal", &dir]);
    assert!(code == 3 && out.contains("self-consistent, key unpinned"), "{code} {out}");
    let vkey = journal.join("log.vkey").display().to_string();
    let (code, out, _) = run(home.path(), &["audit", "verify", "--journal", &dir, "--vkey", &vkey, "--format", "json"]);
    assert_eq!(code, 0, "{out}");
    assert!(json(&out)["records"].as_u64().unwrap() > 10);
    let (_, out, _) = run(home.path(), &["audit", "show", "--journal", &dir, "--kind", "incident", "--format", "json"]);
    let kinds: Vec<_> = out.lines().map(|l| json(l)["kind"].clone()).collect();
    assert_eq!(kinds, ["incident.declared", "incident.closed"]);

    let segment = std::fs::read_dir(journal.join("records")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replace("trucks wait", "trucks left")).unwrap();
    let (code, out, _) = run(home.path(), &["audit", "verify", "--journal", &dir, "--vkey", &vkey, "--format", "json"]);
    let bad = json(&out)["first_bad"].clone();
    assert!(code == 3 && bad["why"].is_string(), "{code} {out}");
}

#[test]
fn a_journal_that_can_not_be_written_is_said_before_anything_is_attempted() {
    if rustix::process::getuid().is_root() {
        // Root writes where it likes; a file in the way of the directory stops it too.
        let home = tempfile::tempdir().unwrap();
        let file = lonely(home.path());
        std::fs::write(home.path().join("journal"), "in the way").unwrap();
        let (code, _, err) = run(home.path(), &["--config", &file, "incident", "declare", "x"]);
        assert!(code == 1 && err.contains("journal"), "{code} {err}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let file = lonely(home.path());
    let journal = home.path().join("journal");
    std::fs::create_dir(&journal).unwrap();
    std::fs::set_permissions(&journal, std::fs::Permissions::from_mode(0o500)).unwrap();
    let (code, _, err) = run(home.path(), &["--config", &file, "incident", "declare", "x"]);
    assert!(code == 1 && err.contains("journal"), "{code} {err}");
}

#[test]
fn playbooks_are_listed_linted_and_rendered() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["playbook", "list", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let list = json(&out);
    let ids: Vec<_> = list.as_array().unwrap().iter().map(|p| p["id"].as_str().unwrap().to_owned()).collect();
    for id in ["schema-lock", "queue-backlog", "maintenance-mode"] {
        assert!(ids.iter().any(|i| i == id), "{id} is not in {ids:?}");
    }
    assert_eq!(run(home.path(), &["playbook", "lint"]).0, 0);
    let bad = home.path().join("bad.yaml");
    std::fs::write(&bad, "schemaVersion: 1\nid: x\ncolour: red\nsteps: 5\n").unwrap();
    let (code, out, err) = run(home.path(), &["playbook", "lint", &bad.display().to_string()]);
    let said = format!("{out}{err}");
    assert!(code == 2 && said.contains("bad.yaml:3:1"), "{code} {said}");
    let (code, out, err) = run(
        home.path(),
        &["--drill", "playbook", "render", "schema-lock", "--param", "tenant=t017", "--format", "json"],
    );
    assert_eq!(code, 0, "{err}");
    let steps = json(&out);
    assert!(steps.to_string().contains("digest"), "{steps}");
}

#[test]
fn completions_come_for_each_shell() {
    let home = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, _) = run(home.path(), &["completions", shell]);
        assert!(code == 0 && out.contains("quarterdeck"), "{shell}");
    }
}

#[test]
fn config_init_writes_what_config_check_takes() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("new/config.toml").display().to_string();
    let (code, _, err) = run(home.path(), &["config", "init", "--output", &file]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(run(home.path(), &["--config", &file, "config", "check"]).0, 0);
    let (code, _, err) = run(home.path(), &["config", "init", "--output", &file]);
    assert!(code == 2 && err.contains("--force"), "{code} {err}");
}
