//! PostgreSQL servers of a test's own, on the loopback, run by a user who may: PostgreSQL refuses root.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

use rustix::process::{Pid, Signal, kill_process_group};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Longest wait for something that a server does.
const LONG: Duration = Duration::from_mins(1);

/// A process of this test.
pub struct Process(pub Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whom PostgreSQL runs as where the tests run as root, which it refuses.
pub fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = |name: &str| users.lines().find(|l| l.starts_with(&format!("{name}:"))).map(str::to_owned);
    let line = line("postgres").or_else(|| line("nobody")).unwrap();
    let of = |n: usize| line.split(':').nth(n).unwrap().parse().unwrap();
    Some((of(2), of(3)))
}

/// A command as that user.
pub fn lowly(program: &Path) -> Command {
    let mut command = Command::new(program);
    if let Some((user, group)) = unprivileged() {
        command.uid(user);
        command.gid(group);
    }
    command.current_dir("/").stdin(Stdio::null());
    command
}

/// Where the programs of the newest server lie that is installed.
pub fn programs() -> Option<PathBuf> {
    let all = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    all.filter_map(|v| Some(v.ok()?.path().join("bin"))).filter(|p| p.join("initdb").exists()).max()
}

/// A folder whose owner is that user; short, for a socket lies in it.
pub struct Home(pub tempfile::TempDir);

impl Home {
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("qk").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        own(dir.path());
        Self(dir)
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir(&path).unwrap();
        own(&path);
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts a server with its output in a file.
    pub fn start(&self, name: &str, command: &mut Command) -> Process {
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).unwrap();
        Process(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap())
    }
}

/// Gives a folder to that user.
pub fn own(path: &Path) {
    if let Some((user, group)) = unprivileged() {
        std::os::unix::fs::chown(path, Some(user), Some(group)).unwrap();
    }
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Says why something is not tried; a failure where the lab is required.
pub fn skip(what: &str, why: &str) {
    assert!(std::env::var("QUARTERDECK_LAB").as_deref() != Ok("require"), "{what}: {why}");
    println!("SKIP {what}: {why}");
}

pub fn must(command: &mut Command) -> String {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// A new cluster in a folder of that home.
pub fn init(bin: &Path, data: &Path) {
    must(lowly(&bin.join("initdb")).arg("-D").arg(data).args(["-U", "postgres", "-A", "trust", "--no-sync"]));
}

/// A server with its superuser `postgres`, whom it believes; ended with this.
pub struct Server {
    pub port: u16,
    bin: PathBuf,
    home: Home,
    settings: String,
    process: Process,
}

impl Server {
    /// A new cluster with these lines in its settings.
    pub fn start(bin: &Path, settings: &str) -> Self {
        let home = Home::new();
        init(bin, &home.folder("data"));
        Self::run(bin, home, settings)
    }

    /// A standby of this server, with the settings of this server.
    pub fn standby(&self) -> Self {
        let home = Home::new();
        let from = format!("host=127.0.0.1 port={} user=postgres application_name=standby", self.port);
        let words = ["-X", "stream", "-c", "fast", "--no-sync", "-R", "-d", from.as_str(), "-D"];
        // It makes the folder, with the rights that the server asks for.
        must(lowly(&self.bin.join("pg_basebackup")).args(words).arg(home.path("data")));
        Self::run(&self.bin, home, &self.settings)
    }

    fn run(bin: &Path, mut home: Home, settings: &str) -> Self {
        let deadline = Instant::now() + LONG;
        loop {
            let port = free_port();
            let mut command = lowly(&bin.join("postgres"));
            command.arg("-D").arg(home.path("data")).process_group(0);
            let own = [
                "listen_addresses=127.0.0.1".to_owned(),
                format!("port={port}"),
                format!("unix_socket_directories={}", home.0.path().display()),
                "shared_buffers=16MB".to_owned(),
                "dynamic_shared_memory_type=mmap".to_owned(),
            ];
            for setting in own.iter().map(String::as_str).chain(settings.lines()) {
                command.args(["-c", setting]);
            }
            let process = home.start("server", &mut command);
            let mut server = Self { port, bin: bin.into(), home, settings: settings.to_owned(), process };
            while server.try_sql("SELECT 1").is_err() {
                let log = || std::fs::read_to_string(server.home.path("server.log")).unwrap_or_default();
                assert!(Instant::now() < deadline, "PostgreSQL is not ready: {}", log());
                if server.process.0.try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            if server.process.0.try_wait().unwrap().is_none() {
                return server;
            }
            // Somebody else took the port in between.
            let log = std::fs::read_to_string(server.home.path("server.log")).unwrap_or_default();
            assert!(log.contains("Address already in use"), "{log}");
            home = std::mem::replace(&mut server.home, Home::new());
        }
    }

    fn try_sql(&self, text: &str) -> Result<String, String> {
        let out = Command::new(self.bin.join("psql"))
            .args(["-AtXqw", "-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", "postgres", "-c", text, "postgres"])
            .env("PGCONNECT_TIMEOUT", "10")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if out.status.success() { Ok(text(&out.stdout)) } else { Err(text(&out.stderr)) }
    }

    pub fn sql(&self, text: &str) -> String {
        self.try_sql(text).unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    /// Waits until it answers `t`.
    pub fn until(&self, text: &str) {
        let deadline = Instant::now() + LONG;
        while self.try_sql(text).as_deref() != Ok("t") {
            assert!(Instant::now() < deadline, "still not: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Its first process, of which the others are children.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }

    /// Stops all its processes where they are, or lets them go on.
    pub fn freeze(&self, frozen: bool) {
        self.signal(if frozen { Signal::STOP } else { Signal::CONT });
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.process.0.id()).unwrap()).unwrap();
        let _ = kill_process_group(pid, signal);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.freeze(false);
        // PostgreSQL's immediate shutdown, which leaves nothing behind in the machine's memory.
        self.signal(Signal::QUIT);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.process.0.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
