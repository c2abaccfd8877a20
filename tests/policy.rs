//! `policy …` and `request …` from the command line: errors with their places, why a step has its risk.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
mod support;

use engine::Served;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use support::{lonely, records, run, verifies};

#[test]
fn the_shipped_policy_checks_and_says_that_nobody_is_in_it() {
    let home = tempfile::tempdir().unwrap();
    let (code, out, err) = run(home.path(), &["policy", "check"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("built-in: 0 people") && out.contains("only breaking the glass"), "{out}");
    let (code, out, _) = run(home.path(), &["policy", "show"]);
    assert_eq!(code, 0);
    // What is shown can be kept and changed.
    std::fs::write(home.path().join("own.toml"), &out).unwrap();
    let (code, out, err) = run(home.path(), &["policy", "check", "own.toml", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let checked: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((checked["origin"].as_str(), checked["people"].as_u64()), (Some("own.toml"), Some(0)));
}

#[test]
fn errors_have_their_places_and_exit_2() {
    let home = tempfile::tempdir().unwrap();
    let bad = "[[person]]\nname = \"ines\"\nuser = \"ines\"\nroles = [\"boss\"]\n\n[approvals.high]\nquorum = 3\n";
    std::fs::write(home.path().join("bad.toml"), bad).unwrap();
    let (code, _, err) = run(home.path(), &["policy", "check", "bad.toml"]);
    assert_eq!(code, 2);
    assert!(err.contains("bad.toml:4:9: `boss` is no role"), "{err}");
    assert!(err.contains("bad.toml:7:10: 3 approvals are asked for, and 1"), "{err}");
    let (code, _, err) = run(home.path(), &["policy", "check", "missing.toml"]);
    assert_eq!(code, 2, "{err}");
    std::fs::write(home.path().join("revokes.toml"), "revoked = \"left.keys\"\n").unwrap();
    std::fs::write(home.path().join("left.keys"), "# nobody\nnonsense\n").unwrap();
    let (code, _, err) = run(home.path(), &["policy", "check", "revokes.toml"]);
    assert_eq!(code, 2);
    assert!(err.contains("left.keys:2:1: this is no public key"), "{err}");
}

#[test]
fn explain_says_why_a_step_has_its_risk() {
    let home = tempfile::tempdir().unwrap();
    let step = ["--drill", "policy", "explain", "schema-lock/terminate-root", "--param", "tenant=t017"];
    let (code, out, err) = run(home.path(), &[&step[..], &["--format", "json"]].concat());
    assert_eq!(code, 0, "{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((said["step"].as_str(), said["policy"].as_str()), (Some("terminate-root"), Some("built-in")));
    assert_eq!(said["risk"], "high");
    let (code, out, err) = run(home.path(), &step);
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with("schema-lock/terminate-root: high risk"), "{out}");
    for (step, says) in [("schema-lock", "PLAYBOOK/STEP"), ("schema-lock/nothing", "it has"), ("x/y", "no playbook")] {
        let (code, _, err) = run(home.path(), &["--drill", "policy", "explain", step]);
        assert_eq!(code, 2, "{err}");
        assert!(err.contains(says), "{err}");
    }
}

#[test]
fn without_an_engine_nothing_waits_and_a_drill_asks_nobody() {
    let home = tempfile::tempdir().unwrap();
    let (code, _, err) = run(home.path(), &["--drill", "request", "list"]);
    assert_eq!(code, 2, "{err}");
    assert!(err.contains("simulated"), "{err}");
}

/// Makes a key with `ssh-keygen`; its public line.
fn key(home: &Path, name: &str) -> String {
    keygen(home, &["-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name]);
    std::fs::read_to_string(home.join(format!("{name}.pub"))).unwrap().trim().to_owned()
}

fn keygen(home: &Path, args: &[&str]) {
    let done = Command::new("ssh-keygen").args(args).current_dir(home).stdin(Stdio::null()).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Playbooks that nobody should be able to load, each with a part of the sentence that says so.
fn hostile() -> Vec<(&'static str, String, &'static str)> {
    let head = |id: &str| format!("schemaVersion: 1\nid: {id}\nname: N\nversion: 1\nowner: o\ndescription: d\n");
    let bomb =
        (1..30).fold("a0: &a0 [x]\n".to_owned(), |text, i| text + &format!("a{i}: &a{i} [*a{0}, *a{0}]\n", i - 1));
    let steps =
        (0..100_000).fold(String::new(), |text, i| text + &format!("- {{id: s{i}, name: N, why: W, type: manual}}\n"));
    let deep = format!("- {{id: s, name: N, why: W, type: assert, verify: [{{check: '{}1 > 0'}}]}}\n", "(".repeat(900));
    vec![
        ("bomb.yaml", bomb, "bomb.yaml:"),
        ("steps.yaml", head("steps") + "steps:\n" + &steps, "at most 262144 are read"),
        ("deep.yaml", head("deep") + "steps:\n" + &deep, "deep.yaml:8:"),
    ]
}

/// A policy of mara, who runs the tests and commands, ines, who approves, and otto, who owns the business; the two have
/// keys below `home`.
fn three_people(home: &Path) -> String {
    let uid = rustix::process::getuid().as_raw();
    let (ines, otto) = (key(home, "ines"), key(home, "otto"));
    format!(
        "[[person]]\nname = \"mara\"\nuid = {uid}\nroles = [\"commander\"]\n\n[[person]]\nname = \"ines\"\nuid = {}\nroles = \
         [\"approver\"]\nkeys = [\"{ines}\"]\n\n[[person]]\nname = \"otto\"\nuid = {}\nroles = [\"business-owner\"]\nkeys = \
         [\"{otto}\"]\n\n[elevation]\ngranted_by = [\"approver\"]\n",
        uid + 1,
        uid + 2
    )
}

#[test]
fn a_request_is_signed_elsewhere_and_the_pinned_policy_is_what_everything_goes_by() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let policy = three_people(home);
    let own = home.join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&own).unwrap();
    for (name, text, _) in hostile() {
        std::fs::write(own.join(name), text).unwrap();
    }
    // The configuration names the policy.
    std::fs::create_dir(home.join("rules")).unwrap();
    std::fs::write(home.join("rules/ours.toml"), &policy).unwrap();
    let config = lonely(home);
    let text = std::fs::read_to_string(&config).unwrap() + "[engine]\npolicy = \"rules/ours.toml\"\n";
    std::fs::write(&config, text).unwrap();
    let served = Served::start(home, &["--config", &config]);
    let ask = |args: &[&str]| run(home, &[&["--config", &config][..], args].concat());

    let (code, out, err) = ask(&["elevate", "dba", "--for", "30m", "--reason", "the replica has to be rebuilt"]);
    assert_eq!(code, 0, "{out}{err}");
    let (code, out, err) = ask(&["request", "list", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    let id = serde_json::from_str::<Value>(&out).unwrap()[0]["id"].as_str().unwrap().to_owned();
    // Carried to a laptop, signed there, carried back.
    let laptop = home.join("laptop");
    std::fs::create_dir(&laptop).unwrap();
    let to = laptop.display().to_string();
    let (code, out, err) = ask(&["request", "export", &id, "--output", &to]);
    assert_eq!(code, 0, "{out}{err}");
    let statement = laptop.join(format!("{id}.approve.json")).display().to_string();
    let signature = format!("{statement}.sig");
    // By somebody who may not, then with another purpose, then as it should be.
    for (who, namespace, says) in [
        ("otto", "approval@quarterdeck", "does not hold the role approver"),
        ("ines", "file", "namespace"),
        ("ines", "approval@quarterdeck", ""),
    ] {
        let _ = std::fs::remove_file(&signature);
        keygen(home, &["-q", "-Y", "sign", "-n", namespace, "-f", who, &statement]);
        let (code, out, err) = ask(&["request", "import", &signature]);
        assert_eq!(code, if says.is_empty() { 0 } else { 7 }, "{who} {namespace}: {out}{err}");
        assert!(says.is_empty() || err.contains(says), "{who} {namespace}: {err}");
    }
    let (code, _, err) = ask(&["request", "import", &signature]);
    assert_eq!(code, 7, "a second time: {err}");
    let journal = home.join("journal");
    let of = |kind: &str| -> Vec<Value> { records(home, &journal).into_iter().filter(|r| r["kind"] == kind).collect() };
    assert_eq!(of("elevation.granted")[0]["body"]["person"], "mara");
    assert_eq!(of("step.refused").len(), 3, "each answer that does not count is journaled");
    let left_out = of("config.loaded")[0]["body"]["left_out"].to_string();
    for (name, _, says) in hostile() {
        assert!(left_out.contains(name) && left_out.contains(says), "{name}: {left_out}");
    }

    // The file on the disk changes; what the journal has pinned goes on counting, also without an engine.
    std::fs::write(home.join("rules/ours.toml"), policy.replace("\"approver\"", "\"approver\", \"scribe\"")).unwrap();
    served.kill();
    let (code, out, err) = ask(&["policy", "show"]);
    assert_eq!(code, 0, "{err}");
    assert_eq!(out, policy);
    let (code, out, err) = ask(&["policy", "roster", "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("scribe"), "{out}");
    let (code, out, err) =
        ask(&["policy", "explain", "schema-lock/terminate-root", "--param", "tenant=t1", "--format", "json"]);
    assert_eq!(code, 0, "{out}{err}");
    let said: Value = serde_json::from_str(&out).unwrap();
    assert!(said["policy"].as_str().unwrap().starts_with("record "), "{said}");
    // One that the command line names is explained as what it would be.
    let (code, out, err) = ask(&["--policy", "rules/ours.toml", "policy", "roster"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("scribe"), "{out}");
}

/// A real ssh-agent that holds keys of a home directory, until the end of the test.
struct Agent(std::process::Child, std::path::PathBuf);

impl Agent {
    fn holding(home: &Path, keys: &[&str]) -> Self {
        let socket = home.join(format!("agent-{}", keys.concat()));
        let mut start = Command::new("ssh-agent");
        start.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).stderr(Stdio::null());
        let agent = Self(start.spawn().unwrap(), socket);
        let began = std::time::Instant::now();
        while std::os::unix::net::UnixStream::connect(&agent.1).is_err() {
            assert!(began.elapsed() < support::SOON, "ssh-agent does not listen");
            std::thread::yield_now();
        }
        for key in keys {
            let mut add = Command::new("ssh-add");
            let added =
                add.args(["-q", key]).current_dir(home).env("SSH_AUTH_SOCK", &agent.1).stdin(Stdio::null()).output();
            assert!(added.unwrap().status.success(), "ssh-add {key}");
        }
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_command_line_shows_all_of_a_request_and_signs_with_a_key_of_the_agent() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let policy = three_people(home);
    let config = lonely(home);
    std::fs::write(home.join("ours.toml"), &policy).unwrap();
    let text = std::fs::read_to_string(&config).unwrap() + "[engine]\npolicy = \"ours.toml\"\n";
    std::fs::write(&config, text).unwrap();
    let served = Served::start(home, &["--config", &config]);
    let both = Agent::holding(home, &["ines", "otto"]);
    let socket = both.1.display().to_string();
    let ask = |args: &[&str], socket: &str| {
        support::run_with(home, &[&["--config", &config][..], args].concat(), &[("SSH_AUTH_SOCK", socket)])
    };
    let wanted = |role: &str, reason: &str| {
        // Mara asks: with the agent at hand the command line would prove that it is Ines.
        let words = ["--config", &config, "elevate", role, "--for", "30m", "--reason", reason];
        let (code, out, err) = run(home, &words);
        assert_eq!(code, 0, "{out}{err}");
        let (_, out, _) = ask(&["request", "list", "--format", "json"], &socket);
        let all: Value = serde_json::from_str(&out).unwrap();
        let open = all.as_array().unwrap().iter().find(|r| r["title"].as_str().unwrap().contains(reason)).unwrap();
        (open["id"].as_str().unwrap().to_owned(), open["digest"].as_str().unwrap().to_owned())
    };
    let (id, digest) = wanted("dba", "the replica has to be rebuilt");

    // Without a terminal what was read has to be named; another digest signs nothing.
    let (code, _, err) = ask(&["approve", &id], &socket);
    assert!(code == 2 && err.contains(&format!("--digest {digest}")), "{code} {err}");
    for word in ["the replica has to be rebuilt", "signed is: {", "\"decision\":\"approve\"", &digest] {
        assert!(err.contains(word), "{word} is not shown: {err}");
    }
    let (code, _, err) = ask(&["approve", &id, "--digest", &"0".repeat(64)], &socket);
    assert!(code == 7 && err.contains("nothing was signed"), "{code} {err}");
    // A key whose owner may not grant it, and an agent that is not there.
    let own = Agent::holding(home, &["otto"]);
    let (code, _, err) = ask(&["approve", &id, "--digest", &digest], &own.1.display().to_string());
    assert!(code == 7 && err.contains("does not hold the role approver"), "{code} {err}");
    let (code, _, err) = ask(&["approve", &id, "--digest", &digest], "/nowhere/agent");
    assert!(code == 1 && err.contains("agent"), "{code} {err}");

    // At a terminal it asks, and signs once the first digits are typed.
    let args = ["--config", &config, "approve", &id, "--key", "ines"];
    let env = [("SSH_AUTH_SOCK", socket.as_str())];
    let mut term = support::Term::start(&support::Start { args: &args, env: &env, home, size: (160, 60) });
    term.shows("Type the first four digits");
    term.keys(&digest[..4]).keys(support::ENTER);
    assert_eq!(term.ends(support::SOON).exit_code(), 0, "{}", term.text());
    let journal = home.join("journal");
    let of = |kind: &str| -> Vec<Value> { records(home, &journal).into_iter().filter(|r| r["kind"] == kind).collect() };
    assert_eq!(of("elevation.granted")[0]["body"]["person"], "mara");
    assert_eq!(of("approval.granted")[0]["body"]["person"], "ines");

    // A no, in the same way; its reason is in the record.
    let (id, digest) = wanted("scribe", "once more");
    let words = ["deny", &id, "--digest", &digest, "--key", "ines", "--reason", "not twice in one night"];
    let (code, out, err) = ask(&words, &socket);
    assert_eq!(code, 0, "{out}{err}");
    assert!(of("approval.denied")[0]["body"].to_string().contains("not twice in one night"));
    served.ends();
    verifies(home, &journal);
}

#[test]
fn doctor_says_what_is_refused_where_a_second_factor_is_asked_for_that_nobody_can_prove() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let own = home.join(".config/quarterdeck/playbooks");
    std::fs::create_dir_all(&own).unwrap();
    let book = "schemaVersion: 1\nid: careful\nname: N\nversion: 1\nowner: o\ndescription: d\nsteps:\n\
                - {id: say, name: N, why: W, type: approval, requires: {mfa: true}, approval: {quorum: 1}}\n";
    std::fs::write(own.join("careful.yaml"), book).unwrap();
    let config = lonely(home);
    let text = std::fs::read_to_string(&config).unwrap();
    let oidc = "[oidc]\nissuer = \"http://127.0.0.1:9/none\"\nclient_id = \"q\"\namr = [\"otp\"]\n";
    let row = |policy: &str, more: &str| -> Option<Value> {
        std::fs::write(Path::new(&config).with_file_name("policy.toml"), policy).unwrap();
        std::fs::write(&config, format!("{text}{more}")).unwrap();
        let (_, out, err) = run(home, &["--config", &config, "doctor", "--format", "json"]);
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        said["systems"].as_array().unwrap().iter().find(|row| row["id"] == "mfa").cloned()
    };
    let gaps = |row: Option<Value>| -> Vec<String> {
        let row = row.unwrap();
        assert_eq!((row["kind"].as_str(), row["health"].as_str()), (Some("policy"), Some("warn")), "{row}");
        let gaps = row["missing"].as_array().unwrap();
        gaps.iter().map(|gap| format!("{}; {}", gap["disables"].as_str().unwrap(), gap["remedy"])).collect()
    };
    let elevation = "[elevation]\nmfa = [\"dba\", \"comms\"]\n";
    let said = gaps(row(&format!("{elevation}[mfa]\nfrom = \"high\"\n"), ""));
    assert_eq!(said.len(), 3, "{said:#?}");
    assert!(said[0].starts_with("every elevation to dba or comms: `mfa` below [elevation] of "), "{said:#?}");
    assert!(said[0].contains("policy.toml asks") && said[0].contains(&format!("add [oidc] to {config}")), "{said:#?}");
    assert!(said[1].starts_with("every step of high risk and above: `from` below [mfa] of "), "{said:#?}");
    assert!(said[2].starts_with("say of careful: `mfa` below `requires` in "), "{said:#?}");
    assert!(said[2].contains("careful.yaml"), "{said:#?}");
    // Each source takes away what it is for.
    let touched = "[mfa]\nfrom = \"high\"\nsource = \"security-key\"\n";
    assert_eq!(gaps(row(&format!("{elevation}{touched}"), "")).len(), 1);
    assert_eq!(gaps(row(elevation, oidc)).len(), 1);
    assert_eq!(row(&format!("{elevation}{touched}"), oidc), None);
    let login = "[mfa]\nfrom = \"high\"\nsource = \"oidc\"\n";
    let said = gaps(row(login, ""));
    assert_eq!(said.iter().filter(|gap| gap.contains("add [oidc] to ")).count(), 2, "{said:#?}");
    assert_eq!(row(login, oidc), None);
    let (_, out, _) = run(home, &["--config", &config, "doctor"]);
    assert!(!out.contains("second factor"), "{out}");
}
