//! `quarterdeck attach` as the forced command of an SSH key, through a real sshd on loopback: the person proven by the
//! engine's nonce and a real ssh-agent that is forwarded or not, a list of commands, and a connection that is cut.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/engine.rs"]
mod engine;
mod support;

use agent::SshAgent;
use engine::Served;
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use support::{CTRL_C, ENTER, SOON, Start, TAB, Term, lonely, program, records, run, verifies};

/// A process that ends with the test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// An engine, an sshd whose only key runs `attach`, and the laptop's agent that holds it.
struct Bastion {
    home: tempfile::TempDir,
    file: String,
    port: u16,
    login: String,
    _sshd: Ends,
    agent: SshAgent,
    served: Option<Served>,
}

fn sshd() -> Option<PathBuf> {
    let places = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"].map(PathBuf::from);
    let found = places.into_iter().find(|p| p.exists());
    if found.is_none() {
        let why = "there is no sshd on this machine (tests/lab/lab up sshd)";
        assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "QUARTERDECK_LAB=require, but {why}");
        println!("SKIP: {why}");
    }
    found
}

impl Bastion {
    fn open() -> Option<Self> {
        let sshd = sshd()?;
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        let agent = SshAgent::start();
        agent.pair("host", &["-t", "ed25519"]);
        let key = agent.holding("mara");
        let file = lonely(home.path());
        let person =
            format!("[[person]]\nname = \"mara\"\nuser = \"mara\"\nroles = [\"commander\"]\nkeys = [\"{key}\"]\n");
        std::fs::write(at("policy.toml"), person).unwrap();
        let served = Served::start(home.path(), &["--config", &file]);

        let forced = format!("env HOME={} {} --config {file} attach", home.path().display(), program().display());
        let entry = format!("command=\"{forced}\",no-port-forwarding,no-X11-forwarding {key}\n");
        std::fs::write(at("authorized"), entry).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let text = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\nStrictModes no\n\
             UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin forced-commands-only\n\
             AllowAgentForwarding yes\nPermitUserEnvironment no\n",
            agent.path().join("host").display(),
            at("authorized").display()
        );
        std::fs::write(at("sshd_config"), text).unwrap();
        // Where sshd, as root, puts the process that speaks with strangers; its package makes it at boot.
        if rustix::process::getuid().is_root() {
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let log = std::fs::File::create(at("sshd.log")).unwrap();
        let child = Command::new(sshd)
            .args(["-D", "-e", "-f"])
            .arg(at("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let own = Ends(child);
        let deadline = Instant::now() + SOON;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(at("sshd.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "sshd does not listen: {log}");
            std::thread::yield_now();
        }
        let login = agent.run("id", &["-un"]).trim().to_owned();
        Some(Self { home, file, port, login, _sshd: own, agent, served: Some(served) })
    }

    fn home(&self) -> &Path {
        self.home.path()
    }

    /// The words of an ssh command to a port, in which the agent is forwarded or not.
    fn words(&self, port: u16, forwards: bool) -> Vec<String> {
        let known = format!("UserKnownHostsFile={}", self.home().join("known").display());
        let options = ["StrictHostKeyChecking=no", &known, "LogLevel=ERROR", "BatchMode=yes"];
        let mut words: Vec<String> = ["-F", "none", "-p", &port.to_string()].map(str::to_owned).to_vec();
        words.extend(options.iter().flat_map(|o| ["-o".to_owned(), (*o).to_owned()]));
        words.push(if forwards { "-A" } else { "-a" }.to_owned());
        words
    }

    /// A console in an SSH session.
    fn console(&self, port: u16, forwards: bool) -> Term {
        let mut words = self.words(port, forwards);
        words.extend(["-tt".to_owned(), format!("{}@127.0.0.1", self.login)]);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let agent = self.agent.socket().display().to_string();
        let env = [("SSH_AUTH_SOCK", agent.as_str())];
        let start = Start { args: &words, env: &env, home: self.home(), size: (110, 30) };
        let term = Term::start_program(Path::new("ssh"), &start);
        term.shows("Tenants");
        term
    }

    /// A command in an SSH session.
    fn asks(&self, command: &str) -> Output {
        let mut ssh = Command::new("ssh");
        ssh.args(self.words(self.port, true)).arg(format!("{}@127.0.0.1", self.login)).arg(command);
        ssh.env("SSH_AUTH_SOCK", self.agent.socket()).stdin(Stdio::null()).output().unwrap()
    }

    fn consoles(&self) -> Value {
        let (code, out, err) = run(self.home(), &["--config", &self.file, "consoles", "--format", "json"]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }

    fn records(&self) -> Vec<Value> {
        records(self.home(), &self.home().join("journal"))
    }

    /// Waits until the journal says something.
    fn until(&self, what: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let deadline = Instant::now() + SOON;
        loop {
            let all = self.records();
            if holds(&all) {
                return all;
            }
            assert!(Instant::now() < deadline, "{what}: {all:#?}");
        }
    }

    fn ends(mut self) {
        self.served.take().unwrap().ends();
        verifies(self.home(), &self.home().join("journal"));
    }
}

fn of<'r>(all: &'r [Value], kind: &str) -> Vec<&'r Value> {
    all.iter().filter(|r| r["kind"] == kind).collect()
}

fn leave(mut term: Term) {
    assert_eq!(term.keys(CTRL_C).ends(SOON).exit_code(), 0, "{}", term.text());
    term.is_given_back();
}

#[test]
fn a_forwarded_agent_proves_the_person_and_without_one_nothing_does() {
    let Some(bastion) = Bastion::open() else { return };
    let mut proven = bastion.console(bastion.port, true);
    proven.keys("W").shows("You are mara");
    let consoles = bastion.consoles();
    assert_eq!(consoles.as_array().map(Vec::len), Some(1), "{consoles}");
    assert_eq!((&consoles[0]["user"], &consoles[0]["from"]), (&"mara".into(), &"127.0.0.1".into()), "{consoles}");
    proven.keys("\x1b").until("the sheet to close", SOON, |t| !t.contains("You are mara"));
    leave(proven);
    let all = bastion.until("the console to be gone", |all| of(all, "console.detached").len() == 1);
    // It comes as whoever has the account, and then proves who it is.
    let said = of(&all, "console.detached")[0];
    let key = bastion.agent.run("ssh-keygen", &["-lf", "mara.pub"]);
    let key = key.split(' ').nth(1).unwrap();
    assert_eq!(said["actor"]["user"], "mara");
    assert!(said["actor"]["via"].as_str().unwrap().contains(key), "{said}");
    assert_eq!(of(&all, "console.proven").len(), 1, "{all:#?}");

    // The key of the session is the same; what it signed was sshd's challenge, not the engine's.
    let mut claimed = bastion.console(bastion.port, false);
    claimed.keys("W").shows(&format!("You are {}", bastion.login));
    claimed.keys("\x1b").until("the sheet to close", SOON, |t| !t.contains("You are "));
    leave(claimed);
    let all = bastion.until("both to be gone", |all| of(all, "console.detached").len() == 2);
    let said = of(&all, "console.attached")[1];
    assert_eq!(
        (said["actor"]["user"].as_str(), said["actor"]["via"].as_str()),
        (Some(&*bastion.login), Some("socket"))
    );
    assert_ne!(said["body"]["proof"], "by key", "{said}");
    assert_eq!(of(&all, "console.proven").len(), 1);
    bastion.ends();
}

#[test]
fn the_key_runs_what_is_on_the_list_and_nothing_else() {
    let Some(bastion) = Bastion::open() else { return };
    let listed = bastion.asks("incident list --format json");
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
    assert!(serde_json::from_slice::<Value>(&listed.stdout).unwrap().is_array(), "{listed:?}");
    let marker = bastion.home().join("marker");
    for asked in
        ["sh", "status; touch marker", "status && touch marker", "$(touch marker)", "status --config /etc/passwd"]
    {
        let asked = asked.replace("marker", &marker.display().to_string());
        let refused = bastion.asks(&asked);
        assert_eq!(refused.status.code(), Some(7), "{asked}: {refused:?}");
        assert!(String::from_utf8_lossy(&refused.stderr).contains("this SSH key may not run"), "{refused:?}");
    }
    assert!(!marker.exists());
    // Without a terminal there is no console, and that is a sentence.
    let none = bastion.asks("attach");
    assert_eq!(none.status.code(), Some(2), "{none:?}");
    assert!(String::from_utf8_lossy(&none.stderr).contains("needs a terminal (`ssh -t`)"), "{none:?}");
    bastion.ends();
}

/// A way to sshd that can be cut.
struct Cable {
    port: u16,
    ends: Arc<Mutex<Vec<TcpStream>>>,
}

impl Cable {
    fn to(sshd: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let ends: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let kept = ends.clone();
        // It ends with the test's process.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", sshd)).unwrap();
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    std::thread::spawn(move || {
                        let mut buffer = [0; 16 * 1024];
                        while let Ok(n @ 1..) = from.read(&mut buffer) {
                            if to.write_all(&buffer[..n]).is_err() {
                                break;
                            }
                        }
                        let _ = to.shutdown(Shutdown::Both);
                    });
                }
                kept.lock().unwrap().extend([client, server]);
            }
        });
        Self { port, ends }
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

#[test]
fn a_connection_that_is_cut_loses_nothing() {
    let Some(bastion) = Bastion::open() else { return };
    let declared = ["--config", &bastion.file, "incident", "declare", "orders hang", "--severity", "SEV2"];
    let (code, out, err) = run(bastion.home(), &declared);
    assert_eq!(code, 0, "{out}{err}");
    let cable = Cable::to(bastion.port);
    let mut first = bastion.console(cable.port, true);
    first.shows("INC-1 SEV2");
    first.keys("N").shows("Record");
    first.keys("written before the cut").keys(TAB).keys(TAB).keys(ENTER).shows("noted");
    // In the middle of another note.
    first.keys("N").shows("Record");
    first.keys("never sent");
    cable.cut();
    assert_ne!(first.ends(SOON).exit_code(), 0, "ssh says that its connection is gone");
    let all = bastion.until("the engine to miss the console", |all| of(all, "console.detached").len() == 1);
    assert_eq!(of(&all, "console.detached")[0]["actor"]["user"], "mara");
    let texts: Vec<&Value> = of(&all, "note.added").iter().map(|r| &r["body"]["text"]).collect();
    assert_eq!(texts, ["written before the cut"], "what was sent is kept, what was not is not");

    let mut again = bastion.console(cable.port, true);
    again.shows("INC-1 SEV2");
    again.keys("n").shows("written before the cut");
    leave(again);
    bastion.ends();
}
