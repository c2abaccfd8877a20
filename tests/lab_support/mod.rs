//! The one lab that all tests share: whose turn it is, its faults and how they are undone, and what its servers say
//! themselves. Nothing here asks the program under test.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

pub mod chain;
pub mod keep;
pub mod load;
pub mod record;
pub mod rules;
pub mod seat;
pub mod wire;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for something that the lab's servers do.
pub const LONG: Duration = Duration::from_secs(90);
/// How often a server is asked again while something is waited for.
const AGAIN: Duration = Duration::from_millis(100);

static TURN: Mutex<()> = Mutex::new(());

/// The running lab, for as long as it is this test's turn.
pub struct Lab {
    env: BTreeMap<String, String>,
    dir: PathBuf,
    began: Instant,
    // Let go of in this order: other processes first, then other threads of this one.
    _file: File,
    _turn: MutexGuard<'static, ()>,
}

impl Lab {
    /// Waits for the turn and reads where everything is; `None`, with the reason printed, where there is no lab and
    /// none is required. `needs` are variables of the lab's environment.
    pub fn open(name: &str, needs: &[&str]) -> Option<Self> {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = std::env::var_os("QUARTERDECK_LAB_DIR")
            .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/lab"), PathBuf::from);
        let missing = |why: String| {
            assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "QUARTERDECK_LAB=require, but {why}");
            // Not `println!`, which the test runner keeps to itself while a test passes.
            let _ = writeln!(std::io::stderr(), "SKIP {name}: {why}; tests/lab/lab up");
        };
        if std::env::var("QUARTERDECK_LAB").as_deref() == Ok("off") {
            missing("QUARTERDECK_LAB=off".to_owned());
            return None;
        }
        let Ok(text) = std::fs::read_to_string(dir.join("env")) else {
            missing(format!("{} is not there", dir.join("env").display()));
            return None;
        };
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        let env: BTreeMap<String, String> =
            pairs.map(|(key, value)| (key.to_owned(), value.trim_matches('\'').to_owned())).collect();
        if let Some(key) = needs.iter().find(|key| !env.contains_key(**key)) {
            missing(format!("{key} is not in {}", dir.join("env").display()));
            return None;
        }
        let file = File::options().create(true).append(true).open(dir.join("turn.lock")).unwrap();
        file.lock().unwrap();
        let began = Instant::now();
        let lab = Self { env, dir, began, _file: file, _turn: turn };
        lab.note(&format!("{name} begins"));
        Some(lab)
    }

    /// Says on standard error how far a test is, with the seconds since its turn began.
    pub fn note(&self, what: &str) {
        let _ = writeln!(std::io::stderr(), "lab {:5.1} s: {what}", self.began.elapsed().as_secs_f64());
    }

    /// A variable of the lab's environment.
    pub fn var(&self, name: &str) -> &str {
        self.env.get(name).unwrap_or_else(|| panic!("the lab has no {name}"))
    }

    /// The same, where the part that it is of is up.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.env.get(name).map(String::as_str)
    }

    /// The lab's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    fn script(&self, args: &[&str]) -> Result<String, String> {
        let faults = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/faults.sh");
        let mut command = Command::new("bash");
        command.arg(faults).args(args).env("QUARTERDECK_LAB_DIR", &self.dir);
        if std::env::var_os("QUARTERDECK_LAB_CACHE").is_none() {
            command.env("QUARTERDECK_LAB_CACHE", self.dir.join("cache"));
        }
        output(command)
    }

    /// Makes a fault of `tests/lab/faults.sh`, or takes one back; says what the script printed.
    pub fn fault(&self, args: &[&str]) -> String {
        self.note(&args.join(" "));
        self.ask(args)
    }

    /// What a function of `tests/lab/faults.sh` says that changes nothing.
    pub fn ask(&self, args: &[&str]) -> String {
        self.script(args).unwrap_or_else(|why| panic!("faults.sh {}: {why}", args.join(" ")))
    }

    /// Takes a fault back at the end of the scope, however the test ends.
    pub fn undo(&self, args: &[&'static str]) -> Undo<'_> {
        Undo { lab: self, args: args.to_vec() }
    }

    /// Takes it back at once too, for a test before this one may have ended in the middle.
    pub fn home(&self, args: &[&'static str]) -> Undo<'_> {
        self.fault(args);
        self.undo(args)
    }

    /// What the primary answers, as its superuser: rows as lines, columns with `|` between.
    pub fn sql(&self, database: &str, statement: &str) -> String {
        let server = self.var("LAB_PG_ADMIN_DSN").rsplit_once('/').unwrap().0;
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-c", statement]);
        command.arg(format!("{server}/{database}?application_name=lab"));
        output(command).unwrap_or_else(|why| panic!("{statement}: {why}"))
    }

    /// A number that the primary answers.
    pub fn count(&self, database: &str, statement: &str) -> u64 {
        let text = self.sql(database, statement);
        text.parse().unwrap_or_else(|e| panic!("{statement}: {e}: {text}"))
    }

    /// The lab as it is configured, with the journal of a test in its home directory.
    pub fn config(&self, home: &Path) -> toml::Table {
        let text = std::fs::read_to_string(self.dir.join("config.toml")).unwrap();
        let mut config: toml::Table = text.parse().unwrap();
        let journal = home.join("journal").display().to_string();
        config.insert("journal".into(), toml::Table::from_iter([("dir".to_owned(), journal.into())]).into());
        config
    }

    /// One value of one object, or of a list.
    pub fn object(&self, of: &[&str], path: &str) -> String {
        self.kubectl(&[&["get"], of, &["-o", &format!("jsonpath={path}")]].concat())
    }

    /// `kubectl` as the lab's administrator.
    pub fn kubectl(&self, args: &[&str]) -> String {
        let mut command = Command::new(self.var("LAB_KUBECTL"));
        command.arg("--kubeconfig").arg(self.var("LAB_KUBECONFIG_ADMIN")).args(args);
        output(command).unwrap_or_else(|why| panic!("kubectl {}: {why}", args.join(" ")))
    }

    /// One real request through Traefik to a tenant's host: status and body.
    pub fn request(&self, tenant: &str) -> (u16, String) {
        let mut command = Command::new("curl");
        command.args(["-s", "-m", "10", "-w", "\n%{http_code}", "-H"]).arg(format!("Host: {tenant}.lab.test"));
        command.arg(format!("{}/web/health", self.var("LAB_TRAEFIK_HTTP")));
        let text = output(command).unwrap_or_else(|why| panic!("a request to {tenant}: {why}"));
        let (body, status) = text.rsplit_once('\n').unwrap_or(("", &text));
        (status.parse().unwrap(), body.to_owned())
    }

    /// Waits until the servers say so; fails with the words otherwise.
    pub fn until(&self, what: &str, longest: Duration, mut holds: impl FnMut() -> bool) {
        let deadline = Instant::now() + longest;
        while !holds() {
            assert!(Instant::now() < deadline, "not within {} s: {what}", longest.as_secs());
            std::thread::sleep(AGAIN);
        }
        self.note(what);
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.note("the turn ends");
    }
}

/// A fault that is taken back when this is dropped.
pub struct Undo<'a> {
    lab: &'a Lab,
    args: Vec<&'static str>,
}

impl Drop for Undo<'_> {
    fn drop(&mut self) {
        self.lab.note(&self.args.join(" "));
        if let Err(why) = self.lab.script(&self.args) {
            let what = format!("faults.sh {}: {why}", self.args.join(" "));
            // A second panic would end the process, and with it the other tests' undoing.
            assert!(std::thread::panicking(), "{what}");
            self.lab.note(&what);
        }
    }
}

/// Standard output without its last newline, or what went wrong.
fn output(mut command: Command) -> Result<String, String> {
    let out = command.stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if out.status.success() { Ok(text(&out.stdout)) } else { Err(format!("{}: {}", out.status, text(&out.stderr))) }
}
