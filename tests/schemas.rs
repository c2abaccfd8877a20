//! What `--format json` prints, checked by an independent validator against the files in `docs/schemas`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

mod support;

use jsonschema::Validator;
use serde_json::{Value, json};
use std::path::Path;
use support::{lonely, run};

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("docs/schemas/{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options().should_validate_formats(true).build(schema).unwrap()
}

fn errors(validator: &Validator, value: &Value) -> Vec<String> {
    validator.iter_errors(value).map(|e| format!("{}: {e}", e.instance_path())).collect()
}

/// Runs a command with `--format json`; each line of its output fits the schema of that name, and nothing else comes.
fn fits(home: &Path, name: &str, args: &[&str], codes: &[i32]) -> Vec<Value> {
    let (code, out, err) = run(home, &[args, &["--format", "json"]].concat());
    assert!(codes.contains(&code), "{args:?} ended with {code}\n{out}\n{err}");
    check(name, args, if name == "error" { &err } else { &out })
}

fn check(name: &str, args: &[&str], text: &str) -> Vec<Value> {
    let validator = validator(&schema(name));
    let lines: Vec<Value> =
        text.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect();
    assert!(!lines.is_empty(), "{args:?} printed nothing");
    for line in &lines {
        let wrong = errors(&validator, line);
        assert!(wrong.is_empty(), "{args:?} does not fit docs/schemas/{name}.json:\n{}\n{line}", wrong.join("\n"));
    }
    lines
}

/// Each object has these members, as the contract in `docs/architecture.md` names them.
fn has(value: &Value, members: &str) {
    for member in members.split_whitespace() {
        assert!(value.get(member).is_some(), "`{member}` is missing in {value}");
    }
}

const HEALTH: [i32; 4] = [0, 4, 5, 6];

#[test]
fn the_simulated_estate_fits() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let status = &fits(home, "status", &["--drill", "status"], &HEALTH)[0];
    has(
        status,
        "schema estate mode generated_at health sources tenants databases queues ingress platform recovery delivery \
         business findings",
    );
    for source in status["sources"].as_array().unwrap() {
        has(source, "id kind health observed_at age_s took_ms why");
    }
    for pane in ["platform", "recovery", "delivery", "business", "security"] {
        let rows = status[pane].as_array().unwrap();
        assert!(!rows.is_empty(), "{pane}");
        for row in rows {
            has(row, "subject health owner");
        }
    }
    // A scenario that has something wrong from the beginning.
    let status = &fits(home, "status", &["--drill=certificate-and-maintenance", "status"], &HEALTH)[0];
    let findings = status["findings"].as_array().unwrap();
    assert!(!findings.is_empty(), "nothing is wrong in that scenario: {status}");
    for finding in findings {
        has(finding, "id rule level severity since what whom evidence changed playbooks disproof");
    }
    let rendered = fits(
        home,
        "playbook-render",
        &["--drill", "playbook", "render", "schema-lock", "--param", "tenant=t017"],
        &[0],
    );
    for step in rendered[0]["steps"].as_array().unwrap() {
        has(step, "request target preconditions risk assessment digest");
    }
    fits(home, "error", &["--drill", "doctor"], &[2]);
    fits(home, "error", &["--drill", "incident", "list"], &[2]);
    fits(home, "error", &["--drill", "playbook", "render", "schema-lock", "--param", "tenant=nobody"], &[2]);
}

#[test]
fn playbooks_and_scenarios_fit() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let own = home.join(".config/quarterdeck/playbooks");
    for playbook in fits(home, "playbook-list", &["playbook", "list"], &[0])[0].as_array().unwrap() {
        has(playbook, "id name version path origin severity tenancy risk steps lint");
        assert_eq!((&playbook["path"], &playbook["lint"]), (&Value::Null, &json!([])), "{playbook}");
        fits(home, "playbook-show", &["playbook", "show", playbook["id"].as_str().unwrap()], &[0]);
    }
    fits(home, "playbook-lint", &["playbook", "lint"], &[0]);
    fits(home, "error", &["playbook", "show", "nothing"], &[2]);
    std::fs::create_dir_all(&own).unwrap();
    std::fs::write(own.join("bad.yaml"), "schemaVersion: 1\nid: x\ncolour: red\nsteps: 5\n").unwrap();
    let list = fits(home, "playbook-list", &["playbook", "list"], &[2]);
    let bad = list[0].as_array().unwrap().iter().find(|p| p["id"] == "bad").expect("a broken file is listed");
    assert!(bad["lint"][0]["line"].is_u64() && bad["path"] == bad["origin"], "{bad}");
    let said = fits(home, "error", &["playbook", "lint"], &[2]);
    assert_eq!(said[0]["error"]["kind"], "configuration");

    for drill in fits(home, "drill-list", &["drill", "list"], &[0])[0].as_array().unwrap() {
        has(drill, "id name objectives minutes roles script");
        let shown = &fits(home, "drill-show", &["drill", "show", drill["id"].as_str().unwrap()], &[0])[0];
        assert!(!shown["injects"].as_array().unwrap().is_empty(), "{shown}");
    }
    fits(home, "drill-lint", &["drill", "lint"], &[0]);
    fits(home, "error", &["drill", "show", "nothing"], &[2]);
    fits(home, "error", &["--drill=nothing", "status"], &[2]);
}

#[test]
fn a_configured_estate_fits() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let file = lonely(home);
    let with = |args: &[&str]| -> Vec<String> {
        ["--config", file.as_str()].iter().chain(args).map(|a| (*a).to_owned()).collect()
    };
    let fits = |name: &str, args: &[&str], codes: &[i32]| {
        let args = with(args);
        fits(home, name, &args.iter().map(String::as_str).collect::<Vec<_>>(), codes)
    };
    fits("config-check", &["config", "check"], &[0]);
    fits("status", &["status"], &[6]);
    fits("doctor", &["doctor"], &[6]);
    fits("incident-list", &["incident", "list"], &[0]);
    let reply = &fits("reply", &["incident", "declare", "Orders stand still", "--severity", "SEV1"], &[0])[0];
    assert_eq!((&reply["reply"], &reply["id"]), (&json!("accepted"), &json!("INC-1")));
    fits("reply", &["incident", "role", "INC-1", "dba", "jon"], &[0]);
    fits("reply", &["glass", "break", "nobody answers the phone"], &[0]);
    let denied = fits("error", &["incident", "close", "INC-1", "done"], &[7]);
    assert_eq!(denied[0]["error"]["kind"], "denied");
    let failed = fits("error", &["incident", "note", "INC-7", "x"], &[1]);
    assert_eq!(failed[0]["error"]["kind"], "failed");
    let list = fits("incident-list", &["incident", "list"], &[0]);
    assert_eq!(list[0].as_array().unwrap().len(), 1);
    let shown = &fits("incident-show", &["incident", "show", "INC-1"], &[0])[0];
    assert!(shown["timeline"].as_array().unwrap().len() > 1, "{shown}");
    fits("run-list", &["run", "list"], &[0]);
    fits("error", &["run", "stop", "RUN-1", "why"], &[1]);

    let journal = home.join("journal");
    let (dir, vkey) = (journal.display().to_string(), journal.join("log.vkey").display().to_string());
    let verified = &fits("audit-verify", &["audit", "verify", "--journal", &dir, "--vkey", &vkey], &[0])[0];
    has(verified, "ok origin records root checkpoint signatures first_bad took_ms");
    let records = fits("audit-show", &["audit", "show", "--journal", &dir], &[0]);
    assert!(records.len() > 5);
    let segment = std::fs::read_dir(journal.join("records")).unwrap().next().unwrap().unwrap().path();
    let text = std::fs::read_to_string(&segment).unwrap();
    std::fs::write(&segment, text.replace("Orders stand still", "Orders stood still")).unwrap();
    let damaged = &fits("audit-verify", &["audit", "verify", "--journal", &dir, "--vkey", &vkey], &[3])[0];
    has(&damaged["first_bad"], "seq why");
    fits("error", &["audit", "show", "--journal", "/nowhere"], &[2]);
}

#[test]
fn bad_input_fits() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    for args in
        [&["status"][..], &["status", "--loud"], &["nonsense"], &["incident", "declare"], &["completions", "sh"]]
    {
        let error = &fits(home, "error", args, &[2])[0]["error"];
        assert!(
            error["kind"] == "usage" && error["message"].as_str().is_some_and(|m| m.len() > 10),
            "{args:?} {error}"
        );
    }
    let file = support::config(home, "[estate]\nname = 5\nenvironment = \"prod\"\ncolour = 1\n");
    let errors = fits(home, "error", &["--config", &file, "config", "check"], &[2]);
    assert_eq!(errors.len(), 3);
    assert!(errors.iter().all(|e| e["error"]["file"] == file && e["error"]["line"].is_u64()), "{errors:?}");
}

#[test]
fn a_file_that_is_taken_fits_its_schema_and_one_that_is_refused_does_not() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let printed = |args: &[&str], name: &str| {
        let (code, out, err) = run(home, args);
        assert_eq!(code, 0, "{err}");
        let mut printed: Value = serde_json::from_str(&out).unwrap();
        let mut kept = schema(name);
        for schema in [&mut printed, &mut kept] {
            schema.as_object_mut().unwrap().remove("title");
        }
        assert_eq!(printed, kept, "{args:?} prints something else than docs/schemas/{name}.json");
        validator(&printed)
    };
    let playbooks = printed(&["playbook", "schema"], "playbook");
    let yaml = |text: &str| -> Value { serde_saphyr::from_str(text).unwrap() };
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("playbooks");
    let mut count = 0;
    let is_playbook = |e: &std::fs::DirEntry| e.path().extension().is_some_and(|e| e == "yaml");
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap).filter(is_playbook) {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        assert_eq!(errors(&playbooks, &yaml(&text)), [""; 0], "{}", entry.path().display());
        let wrong = text.replacen("schemaVersion: 1", "schemaVersion: 1\ncolour: red", 1);
        assert!(!playbooks.is_valid(&yaml(&wrong)), "an unknown key is taken");
        count += 1;
    }
    assert!(count >= 27);

    let configs = printed(&["config", "schema"], "config");
    let toml = |text: &str| serde_json::to_value(toml::from_str::<toml::Table>(text).unwrap()).unwrap();
    let new = home.join("new.toml");
    fits(home, "config-init", &["config", "init", "--output", &new.display().to_string()], &[0]);
    let written = std::fs::read_to_string(&new).unwrap();
    let lonely = std::fs::read_to_string(lonely(home)).unwrap();
    for text in [&written, &lonely] {
        assert_eq!(errors(&configs, &toml(text)), [""; 0], "{text}");
    }
    for (from, to) in [
        ("port = ", "port = 1000"),
        ("name = \"lonely\"", "colour = 1"),
        ("\"staging\"", "\"prod\""),
        ("tls = \"disable\"", "tls = true"),
        ("[estate]", "[estates]"),
    ] {
        let wrong = lonely.replacen(from, to, 1);
        assert!(wrong != lonely && !configs.is_valid(&toml(&wrong)), "the schema takes {wrong}");
        let file = support::config(home, &wrong);
        assert_eq!(run(home, &["--config", &file, "config", "check"]).0, 2, "the program takes {wrong}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["man"]);
    assert!(code == 0 && out.contains(".TH") && out.contains("quarterdeck"), "{err}");
    let dir = home.path().join("man1");
    let pages = fits(home.path(), "man", &["man", "--output", &dir.display().to_string()], &[0]);
    assert!(pages[0]["files"].as_array().unwrap().len() > 20);
    let page = std::fs::read_to_string(dir.join("quarterdeck-playbook-render.1")).unwrap();
    assert!(page.contains("quarterdeck playbook render") && page.contains("param"), "{page}");
}

#[test]
fn what_is_said_of_several_estates_fits() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let own = lonely(home);
    let fleet = home.join("fleet.toml");
    let named =
        "[[estates]]\nname = \"lonely\"\nconfig = \"c.toml\"\n[[estates]]\nname = \"gone\"\nsocket = \"/gone.sock\"\n";
    std::fs::write(&fleet, named).unwrap();
    let fleet = fleet.to_str().unwrap();
    let (code, _, err) = run(home, &["--config", &own, "incident", "declare", "trouble"]);
    assert_eq!(code, 0, "{err}");
    let status = &fits(home, "status-estates", &["--config", fleet, "status"], &[6])[0];
    has(status, "schema generated_at health estates");
    has(&status["estates"][0]["status"], "schema estate sources tenants findings");
    let listed = &fits(home, "incident-list-estates", &["--config", fleet, "incident", "list"], &[6])[0];
    assert_eq!(listed[0]["incidents"][0]["title"], "trouble");
    let verified = &fits(home, "audit-verify-estates", &["--config", fleet, "audit", "verify"], &[6])[0];
    assert_eq!(verified[0]["report"]["ok"], true, "{verified}");
    let shown = fits(home, "audit-show-estates", &["--config", fleet, "audit", "show"], &[6]);
    assert!(shown.len() > 1 && shown.last().unwrap()["why"].is_string(), "{shown:?}");
    fits(home, "config-check-estates", &["--config", fleet, "config", "check"], &[0]);
    fits(home, "status", &["--config", fleet, "--estate", "lonely", "status"], &[6]);
    fits(home, "error", &["--config", fleet, "playbook", "run", "schema-lock"], &[2]);
}
