//! Private PostgreSQL servers for tests: each test starts its own, on a free loopback port, in a temporary
//! directory, and ends it by its process id when it is dropped. PostgreSQL refuses root, so that it runs as
//! another user then.

use crate::config::model::{self, Login, SecretRef, Tls};
use crate::domain::estate::{DatabaseRef, Environment, Estate, Tenancy, Tenant};
use crate::domain::facts::Facts;
use crate::domain::id::{SourceId, TenantId};
use crate::domain::sample::{Failure, FailureKind};
use crate::observe::poll::Poll;
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Connection, NoTls, Socket};

/// Whether a missing server makes a test fail instead of being skipped.
fn required() -> bool {
    std::env::var("QUARTERDECK_LAB").is_ok_and(|v| v == "require")
}

/// Says why a test does not run; a failure where the lab is required.
pub fn skip(why: &str) {
    assert!(!required(), "QUARTERDECK_LAB=require, but {why}");
    println!("SKIPPED: {why}");
}

/// An address from the lab's environment, or the reason that it is not there.
pub fn lab(name: &str) -> Option<String> {
    let found = std::env::var(name).ok();
    if found.is_none() {
        skip(&format!("{name} is not set (tests/lab/lab env)"));
    }
    found
}

/// A private server.
pub struct Server {
    pub dir: TempDir,
    pub port: u16,
    child: Child,
    more: &'static [&'static str],
}

/// Of the roles of a test.
pub const PASSWORD: &str = "only-for-this-test";

/// A program of the server: from the directory `LAB_PG_BIN`, to test another version, or as Debian installs it.
fn binary(name: &str) -> Option<PathBuf> {
    let chosen = std::env::var_os("LAB_PG_BIN").map(|dir| PathBuf::from(dir).join(name));
    if let Some(path) = chosen.filter(|path| path.exists()) {
        return Some(path);
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin").join(name)))
        .filter(|path| path.exists())
        .collect();
    found.sort();
    let on_path = std::env::var_os("PATH")?;
    let elsewhere = ["/usr/sbin".into()].into_iter().chain(std::env::split_paths(&on_path));
    found.pop().or_else(|| elsewhere.map(|dir: PathBuf| dir.join(name)).find(|path| path.exists()))
}

/// User and group that servers run as, when the tests run as root.
pub fn unprivileged() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let id = |name: &str| {
        let fields: Vec<&str> = users.lines().find(|l| l.starts_with(&format!("{name}:")))?.split(':').collect();
        Some((fields[2].parse().unwrap(), fields[3].parse().unwrap()))
    };
    id("postgres").or_else(|| id("nobody"))
}

fn command(program: &Path) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    if let Some((user, group)) = unprivileged() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env("LC_ALL", "C.UTF-8").env("PGPASSWORD", PASSWORD).stdin(Stdio::null());
    command
}

/// A directory that the unprivileged user owns.
fn directory() -> TempDir {
    let dir = TempDir::with_prefix("quarterdeck-pg-").unwrap();
    if let Some((user, group)) = unprivileged() {
        chown(dir.path(), Some(user), Some(group)).unwrap();
    }
    dir
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn succeed(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
}

impl Server {
    /// A new cluster with superuser `postgres`; `None` where PostgreSQL is not installed.
    pub async fn start() -> Option<Self> {
        Self::start_with(&[]).await
    }

    /// The same with more settings.
    pub async fn start_with(more: &'static [&'static str]) -> Option<Self> {
        let Some(initdb) = binary("initdb") else {
            skip("no PostgreSQL server binaries on this machine");
            return None;
        };
        let dir = directory();
        let password = dir.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        std::fs::set_permissions(&password, std::fs::Permissions::from_mode(0o644)).unwrap();
        let data = dir.path().join("data");
        let words = ["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"];
        succeed(command(&initdb).args(words).arg("--pwfile").arg(&password).arg("-D").arg(&data));
        Some(Self::run(dir, more).await)
    }

    /// A streaming replica of this server.
    pub async fn replica(&self) -> Self {
        self.replica_with(&["wal_receiver_status_interval=100ms"]).await
    }

    /// The same with these settings.
    pub async fn replica_with(&self, more: &'static [&'static str]) -> Self {
        let dir = directory();
        let from = format!("host=127.0.0.1 port={} user=postgres application_name=replica1", self.port);
        let basebackup = binary("pg_basebackup").unwrap();
        let words = ["-X", "stream", "-c", "fast", "--no-sync", "-R", "-d"];
        succeed(command(&basebackup).args(words).arg(from).arg("-D").arg(dir.path().join("data")));
        Self::run(dir, more).await
    }

    async fn run(dir: TempDir, more: &'static [&str]) -> Self {
        let port = free_port();
        let child = spawn(dir.path(), port, more);
        let mut server = Self { dir, port, child, more };
        server.wait_until_ready().await;
        server
    }

    /// Ends it at once and starts it again where it was.
    pub async fn restart(&mut self) {
        send(i32::try_from(self.child.id()).unwrap(), Signal::QUIT);
        drop(self.child.wait());
        self.child = spawn(self.dir.path(), self.port, self.more);
        self.wait_until_ready().await;
    }

    /// Ends it at once, as a machine that goes down does, and leaves it down.
    pub fn kill(&mut self) {
        self.thaw();
        send(i32::try_from(self.child.id()).unwrap(), Signal::QUIT);
        drop(self.child.wait());
    }

    async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while self.try_connect("postgres", PASSWORD, "postgres").await.is_err() {
            assert!(Instant::now() < deadline, "PostgreSQL is not ready: {}", self.log());
            if self.child.try_wait().unwrap().is_some() {
                // Someone else took the port in between.
                assert!(self.log().contains("Address already in use"), "{}", self.log());
                self.port = free_port();
                self.child = spawn(self.dir.path(), self.port, self.more);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// What it has said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// As configured for observers and verbs, with one login for both.
    pub fn config(&self, user: &str) -> model::Postgres {
        let password = self.dir.path().join("secret");
        // Put there whole: a test asks for several configurations while another reads the file.
        let new = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        std::fs::write(new.path(), format!("{PASSWORD}\n")).unwrap();
        std::fs::set_permissions(new.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
        new.persist(&password).unwrap();
        let login = Login { user: user.into(), password: Some(SecretRef::File(password)) };
        model::Postgres {
            id: SourceId::new("pg-a"),
            host: "127.0.0.1".into(),
            port: self.port,
            database: "postgres".into(),
            observe: login.clone(),
            act: Some(login),
            tls: Tls::Disable,
            ca: crate::config::model::Ca::default(),
            interval: Duration::from_secs(1),
            tenant_pace: Duration::from_secs(5),
            timeout: Duration::from_secs(5),
        }
    }

    /// A session of someone else, as superuser.
    pub async fn connect(&self, database: &str) -> Client {
        self.try_connect("postgres", PASSWORD, database).await.unwrap()
    }

    /// A session of someone else.
    pub async fn connect_as(&self, user: &str, database: &str) -> Client {
        self.try_connect(user, PASSWORD, database).await.unwrap()
    }

    /// A session whose connection the test drives itself.
    pub async fn raw(&self, db: &str) -> (Client, Connection<Socket, NoTlsStream>) {
        self.login("postgres", PASSWORD, db).connect(NoTls).await.unwrap()
    }

    fn login(&self, user: &str, password: &str, db: &str) -> tokio_postgres::Config {
        let mut config = tokio_postgres::Config::new();
        config
            .host("127.0.0.1")
            .port(self.port)
            .user(user)
            .password(password)
            .dbname(db)
            .application_name("odoo-worker");
        config
    }

    async fn try_connect(&self, user: &str, password: &str, db: &str) -> Result<Client, tokio_postgres::Error> {
        let (client, connection) = self.login(user, password, db).connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Runs statements as superuser.
    pub async fn sql(&self, database: &str, statements: &str) {
        self.connect(database).await.batch_execute(statements).await.unwrap();
    }

    /// A login role with the password of this test.
    pub async fn role(&self, name: &str, grants: &str) {
        self.sql("postgres", &format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'; {grants}")).await;
    }

    /// Changes settings that a reload makes valid.
    pub async fn configure(&self, line: &str) {
        let conf = self.dir.path().join("data/postgresql.auto.conf");
        let text = std::fs::read_to_string(&conf).unwrap() + line + "\n";
        std::fs::write(&conf, text).unwrap();
        self.sql("postgres", "SELECT pg_reload_conf()").await;
    }

    /// Waits until a query of one boolean says true.
    pub async fn until(&self, database: &str, question: &str) {
        let client = self.connect(database).await;
        let deadline = Instant::now() + Duration::from_mins(1);
        while !client.query_one_scalar::<bool, _>(question, &[]).await.unwrap() {
            assert!(Instant::now() < deadline, "still not: {question}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Stops the postmaster and all its processes where they are; they hold their sockets and answer nothing.
    pub fn freeze(&self) {
        self.to_all(Signal::STOP);
    }

    /// Lets them go on.
    pub fn thaw(&self) {
        self.to_all(Signal::CONT);
    }

    fn to_all(&self, signal: Signal) {
        let postmaster = i32::try_from(self.child.id()).unwrap();
        for pid in [postmaster].into_iter().chain(children(postmaster)) {
            send(pid, signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.thaw();
        // SIGQUIT is PostgreSQL's immediate shutdown.
        send(i32::try_from(self.child.id()).unwrap(), Signal::QUIT);
        drop(self.child.wait());
    }
}

/// Signals one process; it may have ended.
pub fn send(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn children(parent: i32) -> Vec<i32> {
    let parent_of = |pid: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name in parentheses: state, then the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<i32>().ok()
    };
    let processes = std::fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

fn spawn(dir: &Path, port: u16, more: &[&str]) -> Child {
    let log = std::fs::File::create(dir.join("log")).unwrap();
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "fsync=off",
        "max_connections=40",
        "max_prepared_transactions=2",
        "shared_buffers=16MB",
    ];
    let mut postgres = command(&binary("postgres").unwrap());
    postgres.arg("-D").arg(dir.join("data")).arg("-p").arg(port.to_string());
    for setting in settings.iter().chain(more) {
        postgres.arg("-c").arg(setting);
    }
    postgres.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// A private `PgBouncer` before a server, with one server connection a pool.
pub struct Pooler {
    pub port: u16,
    child: Child,
    dir: TempDir,
}

impl Pooler {
    /// Starts one; `None` where it is not installed. `observe` may look at its console.
    pub async fn start(server: &Server, observe: &str) -> Option<Self> {
        let Some(pgbouncer) = binary("pgbouncer") else {
            skip("no PgBouncer on this machine");
            return None;
        };
        let dir = directory();
        let (ini, users, port) = (dir.path().join("ini"), dir.path().join("users"), free_port());
        std::fs::write(&users, format!("\"postgres\" \"{PASSWORD}\"\n\"{observe}\" \"{PASSWORD}\"\n")).unwrap();
        let databases = dir.path().join("databases.ini");
        std::fs::write(&databases, format!("postgres = host=127.0.0.1 port={}\n", server.port)).unwrap();
        let text = format!(
            "[databases]\n%include {}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\n\
             admin_users = {observe}\npool_mode = transaction\ndefault_pool_size = 1\n",
            databases.display(),
            users.display()
        );
        std::fs::write(&ini, text).unwrap();
        let child =
            command(&pgbouncer).arg("-q").arg(&ini).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { port, child, dir };
        let deadline = Instant::now() + Duration::from_mins(1);
        while pooler.connect().await.is_err() {
            assert!(Instant::now() < deadline, "PgBouncer is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Some(pooler)
    }

    /// A client of the pool.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        let mut config = tokio_postgres::Config::new();
        config.host("127.0.0.1").port(self.port).user("postgres").password(PASSWORD).dbname("postgres");
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// As configured for its observer.
    pub fn config(&self, server: &Server, user: &str) -> model::Pgbouncer {
        let model::Postgres { host, observe, interval, timeout, .. } = server.config(user);
        let (port, act) = (self.port, Some(observe.clone()));
        let databases_file = Some(self.dir.path().join("databases.ini"));
        model::Pgbouncer { id: SourceId::new("pool-a"), host, port, observe, act, databases_file, interval, timeout }
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// An estate with tenants whose databases, of the same names, stand on `pg-a`.
pub fn estate(tenants: &[&str]) -> Estate {
    let tenant = |name: &&str| Tenant {
        id: TenantId::from(*name),
        name: format!("Customer {name}"),
        tenancy: Tenancy::Dedicated,
        criticality: 1,
        plants: Vec::new(),
        cutoffs: Vec::new(),
        database: Some(DatabaseRef { instance: SourceId::new("pg-a"), name: (*name).to_owned() }),
        namespace: None,
        router: None,
    };
    Estate {
        name: "test".into(),
        environment: Environment::Development,
        time_zone: "UTC".into(),
        tenants: tenants.iter().map(tenant).collect(),
    }
}

/// Looks until there is an answer: on a busy machine the first looks may be too late for the short limits that
/// observers set.
pub async fn answer(observer: &mut (dyn Poll + Sync)) -> Result<Facts, Failure> {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        match observer.poll().await {
            Err(late) if late.kind == FailureKind::Timeout && Instant::now() < deadline => {}
            other => return other,
        }
    }
}

/// One poll as the driver does it: dropped after the time that the observer allows.
pub async fn poll(observer: &mut impl Poll) -> Result<Facts, Failure> {
    let allowed = observer.timeout();
    tokio::time::timeout(allowed, observer.poll())
        .await
        .unwrap_or_else(|_| Err(Failure::new(FailureKind::Timeout, "the driver dropped the poll")))
}
