//! What the journal is measured against: a bare file, SQLite in three ways, PostgreSQL.

use crate::{CLIENTS, RECORD_BYTES, Run, closed_loop};
use rusqlite::Connection;
use std::fs::File;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// One write and one fdatasync a record, in a file that was written before.
pub fn raw(dir: &Path, time: Duration) -> Run {
    let file = File::options().read(true).write(true).create_new(true).open(dir.join("raw")).expect("file");
    let size = 64 << 20;
    for at in (0..size).step_by(1 << 20) {
        file.write_all_at(&vec![b'\n'; 1 << 20], at).expect("write");
    }
    file.sync_all().expect("sync");
    let record = vec![b'x'; RECORD_BYTES];
    let mut at = 0;
    let (waits, took) = closed_loop(time, || {
        file.write_all_at(&record, at).expect("write");
        file.sync_data().expect("sync");
        at = (at + RECORD_BYTES as u64) % size;
    });
    Run { waits, took, per_sync: Some(1.0) }
}

fn sqlite(dir: &Path) -> Connection {
    let connection = Connection::open(dir.join("log.sqlite")).expect("open");
    connection.busy_timeout(Duration::from_secs(60)).expect("timeout");
    let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0)).expect("mode");
    assert_eq!(mode, "wal");
    connection.execute_batch("PRAGMA synchronous = FULL").expect("synchronous");
    connection
        .execute_batch("CREATE TABLE IF NOT EXISTS log (seq INTEGER PRIMARY KEY, record BLOB NOT NULL)")
        .expect("table");
    connection
}

const INSERT: &str = "INSERT INTO log (record) VALUES (?1)";

/// One connection that inserts and commits one row at a time.
pub fn sqlite_one(dir: &Path, time: Duration) -> Run {
    let connection = sqlite(dir);
    let mut insert = connection.prepare(INSERT).expect("statement");
    let record = vec![b'x'; RECORD_BYTES];
    let (waits, took) = closed_loop(time, || {
        insert.execute([&record]).expect("insert");
    });
    Run { waits, took, per_sync: Some(1.0) }
}

/// A connection for each client; each inserts and commits one row at a time.
pub fn sqlite_contending(dir: &Path, time: Duration) -> Run {
    drop(sqlite(dir));
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let dir = dir.to_owned();
            std::thread::spawn(move || {
                let connection = sqlite(&dir);
                let mut insert = connection.prepare(INSERT).expect("statement");
                let record = vec![b'x'; RECORD_BYTES];
                closed_loop(time, || {
                    insert.execute([&record]).expect("insert");
                })
                .0
            })
        })
        .collect();
    let waits = clients.into_iter().flat_map(|c| c.join().expect("client")).collect();
    Run { waits, took: begun.elapsed(), per_sync: None }
}

/// One connection that commits together what the clients have sent meanwhile.
pub fn sqlite_batching(dir: &Path, time: Duration) -> Run {
    type Request = (Vec<u8>, mpsc::SyncSender<i64>);
    let (sender, inbox) = mpsc::channel::<Request>();
    let dir = dir.to_owned();
    let writer = std::thread::spawn(move || {
        let connection = sqlite(&dir);
        let mut insert = connection.prepare(INSERT).expect("statement");
        let mut commits = 0_u64;
        while let Ok(first) = inbox.recv() {
            let batch: Vec<Request> = std::iter::once(first).chain(inbox.try_iter()).collect();
            connection.execute_batch("BEGIN IMMEDIATE").expect("begin");
            let seqs: Vec<i64> = batch.iter().map(|(record, _)| insert.insert([record]).expect("insert")).collect();
            connection.execute_batch("COMMIT").expect("commit");
            commits += 1;
            for ((_, reply), seq) in batch.into_iter().zip(seqs) {
                let _ = reply.send(seq);
            }
        }
        commits
    });
    let begun = Instant::now();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let (reply, answer) = mpsc::sync_channel(1);
                closed_loop(time, || {
                    sender.send((vec![b'x'; RECORD_BYTES], reply.clone())).expect("send");
                    answer.recv().expect("answer");
                })
                .0
            })
        })
        .collect();
    drop(sender);
    let waits: Vec<_> = clients.into_iter().flat_map(|c| c.join().expect("client")).collect();
    let took = begun.elapsed();
    let commits = writer.join().expect("writer");
    Run { per_sync: Some(waits.len() as f64 / commits as f64), waits, took }
}

/// A PostgreSQL server of the machine's own package with its default settings, on a Unix socket of its own.
pub struct Postgres {
    bin: PathBuf,
    dir: PathBuf,
    server: Child,
}

impl Postgres {
    /// Starts one, where the machine has it.
    pub fn start(dir: &Path) -> Option<Self> {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
        let bin = versions.map(|e| e.expect("entry").path().join("bin")).find(|b| b.join("pgbench").exists())?;
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).expect("mode");
        let data = dir.join("data");
        let made = as_server(&bin.join("initdb"))
            .args(["-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-D"])
            .arg(&data)
            .stdout(Stdio::null())
            .status();
        assert!(made.expect("initdb").success());
        let server = as_server(&bin.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=", "-c", "max_connections=100", "-k"])
            .arg(dir)
            .stdout(Stdio::null())
            .stderr(File::create(dir.join("log")).expect("log"))
            .spawn()
            .expect("postgres");
        let server = Self { bin, dir: dir.to_owned(), server };
        let until = Instant::now() + Duration::from_secs(30);
        while !server.client("pg_isready").arg("-q").status().expect("pg_isready").success() {
            assert!(Instant::now() < until, "the server does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        let table = "CREATE TABLE log (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, record text NOT NULL)";
        assert!(server.client("psql").args(["-q", "-c", table, "postgres"]).status().expect("psql").success());
        let script = format!("INSERT INTO log (record) VALUES ('{}');\n", "x".repeat(RECORD_BYTES));
        std::fs::write(dir.join("insert.sql"), script).expect("script");
        Some(server)
    }

    fn client(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin.join(name));
        command.arg("-h").arg(&self.dir).args(["-U", "postgres"]);
        command
    }

    fn count(&self, what: &str) -> f64 {
        let output = self.client("psql").args(["-Atc", what, "postgres"]).output().expect("psql");
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
    }

    /// Single-row inserts, each committed, through pgbench with prepared statements.
    pub fn insert(&self, clients: usize, time: Duration) -> Run {
        let syncs = "SELECT wal_sync FROM pg_stat_wal";
        let before = self.count(syncs);
        let log = self.dir.join("clients");
        let output = self
            .client("pgbench")
            .args(["-n", "-M", "prepared", "-f"])
            .arg(self.dir.join("insert.sql"))
            .args(["-l", "--log-prefix"])
            .arg(&log)
            .args(["-c", &clients.to_string(), "-j", &clients.min(2).to_string()])
            .args(["-T", &time.as_secs().max(1).to_string(), "postgres"])
            .env_remove("LD_PRELOAD")
            .output()
            .expect("pgbench");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let number = |key: &str| -> f64 {
            let line = text.lines().find(|l| l.starts_with(key)).unwrap_or_else(|| panic!("{text}"));
            line.split(|c: char| !c.is_ascii_digit() && c != '.').find_map(|w| w.parse().ok()).expect("a number")
        };
        let count = number("number of transactions actually processed");
        let took = Duration::from_secs_f64(count / number("tps"));
        // client transaction microseconds …
        let mut waits = vec![];
        for entry in std::fs::read_dir(&self.dir).expect("logs").map(|e| e.expect("entry").path()) {
            if entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with("clients.")) {
                let text = std::fs::read_to_string(&entry).expect("log");
                waits.extend(text.lines().map(|l| {
                    Duration::from_micros(l.split(' ').nth(2).expect("time").parse().expect("number"))
                }));
                std::fs::remove_file(entry).expect("remove");
            }
        }
        // The statistics come a moment after the work.
        std::thread::sleep(Duration::from_millis(1_100));
        let per_sync = Some(count / (self.count(syncs) - before).max(1.0));
        Run { waits, took, per_sync }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.server.id())
            && let Some(pid) = rustix::process::Pid::from_raw(pid)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
        }
        let _ = self.server.wait();
    }
}

/// The server refuses to run as root.
fn as_server(program: &Path) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--init-groups", "--"]).arg(program);
    command
}
