//! A cluster that is acted on in the names of people, with the lab's API server: what `quarterdeck rbac` prints for it is
//! enough and not more, its audit log shows the person with the run and the step, and who is nobody, or may not be named,
//! changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/engine.rs"]
mod engine;
mod lab_support;
mod support;

use engine::Served;
use lab_support::Lab;
use serde_json::Value;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

const NEEDS: &[&str] = &["LAB_KUBECTL", "LAB_KUBECONFIG_ADMIN", "LAB_KUBECONFIG_ACT", "LAB_AUDIT_LOG"];

/// A namespace with a service account that nothing is allowed, and a configuration that acts with it.
struct House<'a> {
    lab: &'a Lab,
    space: String,
    home: TempDir,
}

impl<'a> House<'a> {
    fn new(lab: &'a Lab, name: &str) -> Self {
        let space = format!("{name}-{}", std::process::id());
        lab.kubectl(&["create", "namespace", &space]);
        lab.kubectl(&["-n", &space, "create", "serviceaccount", "acts"]);
        let token = lab.kubectl(&["-n", &space, "create", "token", "acts"]);
        let home = tempfile::tempdir().unwrap();
        let house = Self { lab, space, home };
        let of_lab = std::fs::read_to_string(lab.var("LAB_KUBECONFIG_ACT")).unwrap();
        let user = format!("users: [{{name: quarterdeck-act, user: {{token: {token}}}}}]");
        let lines = of_lab.lines().map(|line| if line.starts_with("users:") { user.as_str() } else { line });
        std::fs::write(house.acts(), lines.collect::<Vec<_>>().join("\n")).unwrap();
        let books = house.home.path().join(".config/quarterdeck/playbooks");
        std::fs::create_dir_all(&books).unwrap();
        std::fs::write(books.join("cut.yaml"), house.playbook()).unwrap();
        house
    }

    fn acts(&self) -> PathBuf {
        self.home.path().join("acts.kubeconfig")
    }

    fn playbook(&self) -> String {
        format!(
            "schemaVersion: 1\nid: cut\nname: One step\nversion: 1\nowner: tests\ndescription: One step that changes \
             something.\nlastReviewed: 2026-11-23\nseverity: [SEV1, SEV2, SEV3]\nsteps:\n- {{id: act, name: isolate, why: It \
             is tried who did it., type: action, risk: medium, blastRadius: tenant, reversible: true, timeout: 12s,\n   \
             onUnknown: reconcile, run: {{adapter: kubernetes, verb: isolate_namespace, args: {{cluster: k8s, namespace: {}}}, \
             dryRun: true}}}}\n",
            self.space
        )
    }

    /// Writes configuration and roster. What looks is the lab's login for acting: it may look as well.
    fn configure(&self, impersonate: &str, roster: &str) -> String {
        let home = self.home.path();
        std::fs::write(home.join("policy.toml"), format!("{}\n{roster}", include_str!("../policy.toml"))).unwrap();
        let text = format!(
            "[estate]\nname = \"names\"\nenvironment = \"development\"\ntime_zone = \"UTC\"\n[journal]\ndir = \"{}\"\n\
             [[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"{}\"\nact_kubeconfig = \"{}\"\nimpersonate = {impersonate}\n\
             [[tenant]]\nid = \"t1\"\nkubernetes = {{ cluster = \"k8s\", namespace = \"{}\" }}\n",
            home.join("journal").display(),
            self.lab.var("LAB_KUBECONFIG_ACT"),
            self.acts().display(),
            self.space
        );
        support::config(home, &text)
    }

    fn run(&self, words: &[&str]) -> (i32, String, String) {
        let config = self.home.path().join("c.toml").display().to_string();
        support::run(self.home.path(), &[&["--config", &config], words].concat())
    }

    /// The manifest for all verbs, under names that leave the lab's own roles alone.
    fn manifest(&self) -> String {
        let account = format!("system:serviceaccount:{}:acts", self.space);
        let (code, out, err) = self.run(&["rbac", "k8s", "--verbs", "*", "--act-as", &account]);
        assert_eq!(code, 0, "{out}{err}");
        ["look", "act", "impersonate"].iter().fold(out, |text, role| {
            text.replace(&format!("name: quarterdeck-{role}}}"), &format!("name: {}-{role}}}", self.space))
        })
    }

    fn apply(&self, manifest: &str) {
        let mut child = Command::new(self.lab.var("LAB_KUBECTL"))
            .args(["--kubeconfig", self.lab.var("LAB_KUBECONFIG_ADMIN"), "apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(manifest.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success(), "{manifest}");
    }

    /// What `doctor` says of the cluster.
    fn doctor(&self) -> Value {
        let (_, out, err) = self.run(&["doctor", "--format", "json"]);
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {err}"));
        said["systems"].as_array().unwrap().iter().find(|s| s["id"] == "k8s").unwrap().clone()
    }

    /// Goes through the step; exit code and all that was said.
    fn step(&self) -> (i32, String) {
        let served = Served::start(self.home.path(), &["--config", "c.toml"]);
        let first = ["--format", "json", "playbook", "run", "cut", "--wait", "5"];
        let (code, out, err) = self.run(&first);
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {code} {out}{err}"));
        let Some(digest) = said["waits"]["digest"].as_str().filter(|_| code == 7) else {
            drop(served);
            return (code, format!("{out}{err}"));
        };
        let confirm = format!("act={digest}");
        let (code, out, err) = self.run(&[&first[..], &["--continue", "RUN-1", "--confirm", &confirm]].concat());
        (code, format!("{out}{err}"))
    }

    fn is_isolated(&self) -> bool {
        let found = self.lab.kubectl(&["-n", &self.space, "get", "networkpolicy", "-o", "name"]);
        found.contains("quarterdeck-isolation")
    }

    /// What the API server has written down of network policies of this namespace.
    fn audited(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.lab.var("LAB_AUDIT_LOG")).unwrap();
        let events = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let ours = |e: &Value| {
            e["objectRef"]["namespace"] == self.space.as_str() && e["objectRef"]["resource"] == "networkpolicies"
        };
        events.filter(ours).collect()
    }
}

impl Drop for House<'_> {
    fn drop(&mut self) {
        let delete = |what: &[&str]| {
            let mut run = Command::new(self.lab.var("LAB_KUBECTL"));
            run.arg("--kubeconfig").arg(self.lab.var("LAB_KUBECONFIG_ADMIN")).arg("delete").args(what);
            let _ = run.args(["--wait=false", "--ignore-not-found"]).output();
        };
        for role in ["look", "act", "impersonate", "own"] {
            let name = format!("{}-{role}", self.space);
            delete(&["clusterrolebinding", &name]);
            delete(&["clusterrole", &name]);
        }
        delete(&["namespace", &self.space]);
    }
}

/// Who approves; nobody of this test does.
const OTHERS: &str = "
[[person]]
name = \"ines\"
user = \"ines\"
roles = [\"approver\"]
keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0O2BkYbFqsg0TKZn4MCfJy9uT2a3mMCCEkVxBhrE4s\"]
[[person]]
name = \"otto\"
user = \"otto\"
roles = [\"approver\"]
keys = [\"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKEvJWwJjBMmBMxjWYmMjjSA1gUyWH4eNFmv3fBDU9rD\"]
";

fn roster(uid: u32) -> String {
    format!("{OTHERS}[[person]]\nname = \"mara\"\nuid = {uid}\nroles = [\"commander\", \"operator\"]\nkeys = []\n")
}

fn me() -> u32 {
    rustix::process::getuid().as_raw()
}

#[test]
fn the_audit_log_of_the_api_server_shows_the_person_with_the_run_and_the_step() {
    let Some(lab) = Lab::open("impersonation", NEEDS) else { return };
    let house = House::new(&lab, "named");
    house.configure("{ user = \"acme:{person}\", group = \"acme:crew\" }", &roster(me()));
    house.apply(&house.manifest());
    let well = house.doctor();
    let none = Value::Array(Vec::new());
    assert_eq!((&well["missing"], &well["excess"]), (&none, &none), "{well:#}");
    assert_eq!(well["rights"]["needed"], well["rights"]["held"], "{well:#}");

    let (code, said) = house.step();
    assert_eq!(code, 0, "{said}");
    assert!(house.is_isolated(), "{said}");
    let account = format!("system:serviceaccount:{}:acts", house.space);
    let mut events = Vec::new();
    // It writes its log when it has answered.
    lab.until("the audit log has it", lab_support::LONG, || {
        events = house.audited();
        events.len() >= 2
    });
    for event in &events {
        let person = &event["impersonatedUser"];
        assert_eq!(
            (&event["user"]["username"], &event["verb"]),
            (&account.as_str().into(), &"create".into()),
            "{event:#}"
        );
        assert_eq!(person["username"], "acme:mara", "{event:#}");
        assert!(person["groups"].to_string().contains("acme:crew"), "{event:#}");
        assert_eq!(person["extra"]["quarterdeck.io/run"][0], "RUN-1", "{event:#}");
        assert_eq!(person["extra"]["quarterdeck.io/step"][0], "act", "{event:#}");
        assert_eq!(event["responseStatus"]["code"], 201, "{event:#}");
    }
    let dry = events.iter().filter(|e| e["requestURI"].as_str().unwrap().contains("dryRun=All")).count();
    assert_eq!((dry, events.len()), (1, 2), "tried out once and done once: {events:#?}");
}

#[test]
fn who_may_not_be_named_or_is_nobody_changes_nothing_and_doctor_says_the_rule() {
    let Some(lab) = Lab::open("refused impersonation", NEEDS) else { return };
    let house = House::new(&lab, "refused");
    house.configure("{ user = \"acme:{person}\" }", &roster(me()));
    // Nothing is granted yet.
    let gaps = house.doctor();
    let rule = "{apiGroups: [\"\"], resources: [users], resourceNames: [\"acme:mara\"], verbs: [impersonate]}";
    let named = |m: &&Value| m["disables"] == "what mara confirms" && m["remedy"].as_str().unwrap().ends_with(rule);
    assert_eq!(gaps["missing"].as_array().unwrap().iter().filter(named).count(), 1, "{gaps:#}");
    let (code, said) = house.step();
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("403 Forbidden") && said.contains("cannot impersonate"), "{said}");
    assert!(!house.is_isolated(), "{said}");

    // Rights of the login itself are of no use to it, and are more than is needed.
    let own = format!("{}-own", house.space);
    let account = format!("--serviceaccount={}:acts", house.space);
    house.apply(&house.manifest());
    lab.kubectl(&["create", "clusterrolebinding", &own, "--clusterrole=cluster-admin", &account]);
    let excess = house.doctor()["excess"].to_string();
    assert!(excess.contains("in its own name and nobody's: ") && excess.contains("create networkpolicies"), "{excess}");

    // A console that is nobody's: the roster knows another user id. It may do all by itself, and does nothing.
    let other = House::new(&lab, "nobody");
    std::fs::copy(house.acts(), other.acts()).unwrap();
    other.configure("{ user = \"acme:{person}\" }", &roster(me() + 1));
    let (code, said) = other.step();
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("nobody of the roster has proven to be the one who asks"), "{said}");
    assert!(!other.is_isolated() && other.audited().is_empty(), "{said}");

    // One who only has the name: whoever runs as the engine can claim it.
    let claimed = House::new(&lab, "claimed");
    std::fs::copy(house.acts(), claimed.acts()).unwrap();
    let by_name = "[[person]]\nname = \"mara\"\nuser = \"mara\"\nroles = [\"commander\", \"operator\"]\nkeys = []\n";
    claimed.configure("{ user = \"acme:{person}\" }", &format!("{OTHERS}{by_name}"));
    let (code, said) = claimed.step();
    assert_ne!(code, 0, "{said}");
    assert!(said.contains("nobody of the roster has proven"), "{said}");
    assert!(!claimed.is_isolated() && claimed.audited().is_empty(), "{said}");
}
