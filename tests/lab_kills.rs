//! Kill -9 of a served engine at each system call by which its journal grows, while it acts on the lab's real servers:
//! whatever was on disk is gone on with, no step runs twice and none is forgotten, as the servers themselves count.
//! In small one boundary of each adapter; `QUARTERDECK_CAMPAIGN=full` (tests/campaign) goes through all of them.
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
use lab_support::record::{Records, verify};
use lab_support::{LONG, Lab};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use support::{SOON, program, run};

/// One verb, and how its server counts what it did.
struct Case {
    verb: &'static str,
    args: String,
    /// Tables of the configuration beside the Redis that every step is verified with.
    config: String,
    count: Box<dyn Fn() -> u64>,
}

impl Case {
    fn playbook(&self) -> String {
        let (adapter, verb) = self.verb.split_once('.').unwrap();
        format!(
            "schemaVersion: 1\nid: kill\nname: One step\nversion: 1\nowner: tests\ndescription: One step that changes \
             something.\nlastReviewed: 2026-11-22\nseverity: [SEV1, SEV2, SEV3]\nsteps:\n  - id: act\n    name: change\n    \
             why: It is tried what becomes of it.\n    type: action\n    risk: medium\n    blastRadius: tenant\n    \
             reversible: compensatable\n    run: {{adapter: {adapter}, verb: {verb}, args: {{{}}}}}\n    timeout: 20s\n    \
             onUnknown: reconcile\n    verify:\n      - check: \"result.used_memory > 0\"\n        text: it is looked at\n        \
             within: 10s\n        run: {{adapter: redis, verb: info, args: {{redis: seen}}}}\n",
            self.args
        )
    }
}

fn redis(lab: &Lab, id: &str) -> String {
    let login = |user: &str, url: &str| {
        let password = lab.var(url).split_once("//").unwrap().1.split_once(':').unwrap().1.split('@').next().unwrap();
        let file = lab.dir().join(format!("kills-{user}"));
        std::fs::write(&file, password).unwrap();
        std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        format!("user = \"{user}\", password = \"file:{}\"", file.display())
    };
    let (look, act) = (login("quarterdeck_observe", "LAB_REDIS_URL"), login("quarterdeck_act", "LAB_REDIS_ACT_URL"));
    let look = look.replace(", ", "\n");
    format!(
        "[[redis]]\nid = \"{id}\"\nurl = \"{}\"\n{look}\nact = {{ {act} }}\npurpose = \"queue\"\n",
        lab.var("LAB_REDIS_PLAIN_URL")
    )
}

fn postgres(lab: &Lab) -> String {
    format!(
        "[[postgres]]\nid = \"pg\"\nhost = \"{}\"\nport = {}\nuser = \"quarterdeck_observe\"\npassword = \"file:{}\"\n\
         tls = \"disable\"\nact = {{ user = \"quarterdeck_act\", password = \"file:{}\" }}\n",
        lab.var("LAB_PG_HOST"),
        lab.var("LAB_PG_PRIMARY_PORT"),
        lab.var("LAB_PG_OBSERVE_PASSWORD_FILE"),
        lab.var("LAB_PG_ACT_PASSWORD_FILE")
    )
}

/// A server that takes every request and counts them.
fn hook() -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let taken = Arc::new(AtomicU64::new(0));
    let counts = taken.clone();
    // It ends with the test's process.
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
            if head.first().is_some_and(|l| l.starts_with("POST ")) {
                counts.fetch_add(1, Ordering::SeqCst);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
            }
        }
    });
    (url, taken)
}

/// A namespace with one Deployment, gone with the test.
struct Space<'a>(&'a Lab, String);

impl<'a> Space<'a> {
    fn new(lab: &'a Lab) -> Self {
        let name = format!("kills-{}", std::process::id());
        lab.kubectl(&["create", "namespace", &name]);
        lab.kubectl(&["-n", &name, "create", "deployment", "probe", "--image=registry.example/probe:1"]);
        Self(lab, name)
    }
}

impl Drop for Space<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&["delete", "namespace", &self.1, "--wait=false"]);
    }
}

/// One verb for each adapter whose server is there.
fn cases<'a>(lab: &'a Lab, space: &'a Space<'_>) -> Vec<Case> {
    let number = |text: String| text.trim().parse::<u64>().unwrap();
    let psql = |database: &str, statement: &str| {
        let server = lab.var("LAB_PG_ADMIN_DSN").rsplit_once('/').unwrap().0;
        let (dsn, statement) = (format!("{server}/{database}?application_name=lab"), statement.to_owned());
        move || {
            let out = Command::new("psql").args(["-X", "-q", "-At", "-c", &statement, &dsn]).output().unwrap();
            assert!(out.status.success(), "{statement}: {}", String::from_utf8_lossy(&out.stderr));
            number(String::from_utf8(out.stdout).unwrap())
        }
    };
    let (url, taken) = hook();
    let (kubectl, admin, name) =
        (lab.var("LAB_KUBECTL").to_owned(), lab.var("LAB_KUBECONFIG_ADMIN").to_owned(), space.1.clone());
    let generation = move || {
        let args = [
            "--kubeconfig",
            &admin,
            "-n",
            &name,
            "get",
            "deployment",
            "probe",
            "-o",
            "jsonpath={.metadata.generation}",
        ];
        number(String::from_utf8(Command::new(&kubectl).args(args).output().unwrap().stdout).unwrap())
    };
    let saves = {
        let url = lab.var("LAB_REDIS_ADMIN_URL").to_owned();
        move || {
            let out =
                Command::new("redis-cli").args(["--no-auth-warning", "-u", &url, "INFO", "commandstats"]).output();
            let text = String::from_utf8(out.unwrap().stdout).unwrap();
            let line = text.lines().find_map(|l| l.strip_prefix("cmdstat_bgsave:calls=")).unwrap_or("0,");
            number(line.split(',').next().unwrap().to_owned())
        }
    };
    let cluster = format!(
        "[[kubernetes]]\nid = \"k8s\"\nkubeconfig = \"{}\"\nact_kubeconfig = \"{}\"\n",
        lab.var("LAB_KUBECONFIG_OBSERVE"),
        lab.var("LAB_KUBECONFIG_ACT")
    );
    let probe = format!(
        "[[synthetic]]\ntenant = \"t1\"\nurl = \"{}\"\nhost = \"t003.lab.test\"\ndatabase = \"t003\"\nkey = \"file:{}\"\n",
        lab.var("LAB_ODOO_URL"),
        lab.var("LAB_ODOO_PROBE_KEY_FILE")
    );
    let case =
        |verb, args: &str, config: String, count: Box<dyn Fn() -> u64>| Case { verb, args: args.into(), config, count };
    vec![
        case(
            "http.webhook",
            "webhook: hook, body: '{\"a\": 1}'",
            format!("[[webhook]]\nid = \"hook\"\nurl = \"{url}\"\n"),
            Box::new(move || taken.load(Ordering::SeqCst)),
        ),
        case("redis.bgsave", "redis: seen", String::new(), Box::new(saves)),
        case(
            "kubernetes.rollout_restart",
            &format!("cluster: k8s, namespace: {}, deployment: probe", space.1),
            cluster,
            Box::new(generation),
        ),
        case(
            "postgres.switch_wal",
            "instance: pg",
            postgres(lab),
            Box::new(psql("postgres", "SELECT floor((pg_current_wal_insert_lsn() - '0/0') / (16 << 20))::bigint")),
        ),
        case(
            "odoo.synthetic",
            "tenant: t1, synthetic: sales-order",
            probe,
            Box::new(psql("t003", "SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM sale_order_id_seq")),
        ),
    ]
}

/// When the engine is killed.
#[derive(Clone, Copy, Debug)]
struct Boundary {
    /// Before anything is rendered, or before it is confirmed.
    from_start: bool,
    /// `pwrite64`: the record is not there; `fdatasync`: it is, and nothing has followed from it.
    call: &'static str,
    /// Which of these calls.
    nth: usize,
}

/// Kills a process at a system call, and ends itself with it.
fn attach(pid: u32, at: Boundary) -> Child {
    let inject = format!("inject={}:signal=KILL:when={}", at.call, at.nth);
    let mut strace = Command::new("strace")
        .args(["-f", "-p", &pid.to_string(), "-o", "/dev/null", "-e", &format!("trace={}", at.call), "-e", &inject])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut stderr = BufReader::new(strace.stderr.take().unwrap());
    stderr.read_line(&mut said).unwrap();
    assert!(said.contains("attached"), "strace: {said}");
    // What it says on the way is of no interest, and must not fill its pipe.
    std::thread::spawn(move || stderr.read_to_end(&mut Vec::new()));
    strace
}

/// The state of the run, what it waits for, the digest there, and the choices.
struct Stands {
    state: String,
    what: String,
    digest: Option<String>,
    choices: Vec<String>,
}

struct Trial<'a> {
    case: &'a Case,
    home: tempfile::TempDir,
    file: String,
}

impl<'a> Trial<'a> {
    fn new(lab: &Lab, case: &'a Case) -> Self {
        let home = tempfile::tempdir().unwrap();
        let text = format!(
            "[estate]\nname = \"kills\"\nenvironment = \"development\"\n[journal]\ndir = \"{}\"\n{}{}[[tenant]]\nid = \
             \"t1\"\n",
            home.path().join("journal").display(),
            redis(lab, "seen"),
            case.config
        );
        let books = home.path().join(".config/quarterdeck/playbooks");
        std::fs::create_dir_all(&books).unwrap();
        std::fs::write(books.join("kill.yaml"), case.playbook()).unwrap();
        let file = support::config(home.path(), &text);
        Self { case, home, file }
    }

    fn serve(&self) -> Served {
        Served::start(self.home.path(), &["--config", &self.file])
    }

    fn words(&self, more: &[&str]) -> Vec<String> {
        let head = ["--config", &self.file, "--format", "json", "playbook", "run", "kill", "--wait", "20"];
        head.iter().chain(more).map(|w| (*w).to_owned()).collect()
    }

    /// Goes on with the run; how it stands then.
    fn go(&self, more: &[&str]) -> Stands {
        let words = self.words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let (_, out, err) = run(self.home.path(), &words);
        // A run that is just being looked after can not be resumed at that moment; the engine says so.
        if out.is_empty() {
            return Stands { state: err, what: String::new(), digest: None, choices: Vec::new() };
        }
        let said: Value = serde_json::from_str(&out).unwrap_or_else(|e| panic!("{e}: {out}{err}"));
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let waits = &said["waits"];
        Stands {
            state: text(&said["state"]),
            what: text(&waits["what"]),
            digest: waits["digest"].as_str().map(str::to_owned),
            choices: waits["choices"].as_array().into_iter().flatten().map(text).collect(),
        }
    }

    /// A command in the background, while the engine is killed.
    fn begin(&self, more: &[&str]) -> Child {
        let mut command = Command::new(program());
        command.args(self.words(more)).env_clear().env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", self.home.path()).env("USER", "mara").env("LANG", "C.UTF-8").current_dir(self.home.path());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Lets people go on with what the disk holds, until the run has ended.
    fn to_the_end(&self, before: u64, mut stands: Stands) {
        let deadline = Instant::now() + LONG;
        while Instant::now() < deadline {
            if stands.state == "finished" {
                return;
            }
            let mut more = vec!["--continue".to_owned(), "RUN-1".to_owned()];
            if let ("confirmation", Some(digest)) = (stands.what.as_str(), &stands.digest) {
                more.extend(["--confirm".to_owned(), format!("act={digest}")]);
            }
            if stands.what == "decision" {
                // A person looks at the server.
                let took = (self.case.count)() > before;
                let has = |key: &str| stands.choices.iter().any(|c| c == key);
                let key = match (took, has("took-effect"), has("retry")) {
                    (true, true, _) => "took-effect",
                    (false, true, _) => "no-effect",
                    (_, _, true) => "retry",
                    _ => panic!("{}: {:?}", self.case.verb, stands.choices),
                };
                more.extend(["--decide".to_owned(), format!("act={key}:looked")]);
            }
            let more: Vec<&str> = more.iter().map(String::as_str).collect();
            stands = self.go(&more);
        }
        panic!("{} does not end: {} {} {:?}", self.case.verb, stands.state, stands.what, stands.choices);
    }
}

fn journal(trial: &Trial<'_>) -> std::path::PathBuf {
    trial.home.path().join("journal")
}

/// Kills an engine there and goes on with another; whether the run came that far, and the last record at the kill.
fn killed_at(lab: &Lab, case: &Case, at: Boundary) -> Option<String> {
    let trial = Trial::new(lab, case);
    let before = (case.count)();
    let mut served = trial.serve();
    let mut words = Vec::new();
    if !at.from_start {
        let stands = trial.go(&[]);
        assert_eq!(stands.what, "confirmation", "{}: {}", case.verb, stands.state);
        words =
            ["--continue".into(), "RUN-1".into(), "--confirm".into(), format!("act={}", stands.digest.unwrap())].into();
    }
    let mut strace = attach(served.pid(), at);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut client = trial.begin(&words);
    let deadline = Instant::now() + SOON * 2;
    let reached = loop {
        if served.has_ended() {
            break true;
        }
        if client.try_wait().unwrap().is_some() {
            break false;
        }
        assert!(Instant::now() < deadline, "{} {at:?}: neither killed nor done", case.verb);
        std::thread::yield_now();
    };
    // A client waits for an engine that is gone until it comes back.
    let _ = client.kill();
    let _ = client.wait();
    let _ = strace.kill();
    let _ = strace.wait();
    drop(served);
    let last = Records::read(trial.home.path(), &journal(&trial)).last_kind();
    let again = trial.serve();
    let known = run(trial.home.path(), &["--config", &trial.file, "run", "list", "--format", "json"]).1;
    let first = if known.contains("RUN-1") { trial.go(&["--continue", "RUN-1"]) } else { trial.go(&[]) };
    trial.to_the_end(before, first);
    assert_eq!((case.count)(), before + 1, "{} {at:?}: it ran once", case.verb);
    again.ends();
    verify(trial.home.path(), &journal(&trial));
    reached.then_some(last)
}

#[test]
fn an_engine_killed_at_any_record_runs_no_step_twice_and_forgets_none() {
    let needs = ["LAB_KUBECTL", "LAB_PG_ADMIN_DSN", "LAB_REDIS_ADMIN_URL", "LAB_ODOO_PROBE_KEY_FILE"];
    let Some(lab) = Lab::open("kills", &needs) else { return };
    let traces = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !traces.is_ok_and(|status| status.success()) {
        let why = "there is no strace on this machine, or it may not trace";
        assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "{why}");
        println!("SKIP: {why}");
        return;
    }
    let full = std::env::var("QUARTERDECK_CAMPAIGN").is_ok_and(|v| v == "full");
    let space = Space::new(&lab);
    let mut total = 0;
    for case in cases(&lab, &space) {
        let mut lasts = Vec::new();
        if full {
            for (from_start, call) in [true, false].into_iter().flat_map(|s| [(s, "pwrite64"), (s, "fdatasync")]) {
                for nth in 1.. {
                    let Some(last) = killed_at(&lab, &case, Boundary { from_start, call, nth }) else { break };
                    lasts.push(last);
                }
            }
        } else {
            // Answered by the server, and not recorded: the worst of all. Before it come the attached client's record,
            // the confirmation and the start.
            lasts.extend(killed_at(&lab, &case, Boundary { from_start: false, call: "pwrite64", nth: 4 }));
        }
        assert!(!lasts.is_empty(), "{}: the engine was never killed", case.verb);
        total += lasts.len();
        lab.note(&format!("{}: killed {} times, last on disk: {}", case.verb, lasts.len(), lasts.join(" ")));
    }
    println!("{total} kills of an engine on the lab, each gone on from; every effect counted once by its server");
}
