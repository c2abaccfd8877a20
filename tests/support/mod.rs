//! A real pseudo-terminal with the program in it, for tests that type keys and read the screen.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "shared by several test programs, each of which uses a part; tests fail by panicking"
)]

mod nobody;

pub use nobody::nobody;
use portable_pty::{Child, CommandBuilder, ExitStatus, MasterPty, PtySize, native_pty_system};
use std::io::{Read as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for something that should come soon.
pub const SOON: Duration = Duration::from_secs(20);

/// A lock that is taken also after a condition has failed under it: the first failure is the one to read.
trait Held<T> {
    fn held(&self) -> MutexGuard<'_, T>;
}

impl<T> Held<T> for Mutex<T> {
    fn held(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct Shared {
    pub parser: Mutex<vt100::Parser>,
    changed: Condvar,
    bytes: AtomicU64,
    raw: Mutex<Vec<u8>>,
    /// When how many bytes had come.
    times: Mutex<Vec<(Instant, usize)>>,
    closed: Mutex<bool>,
    /// The test has closed its end, as far as it can while the reader has it too.
    lost: AtomicBool,
}

pub struct Term {
    pub shared: Arc<Shared>,
    writer: Option<Box<dyn Write + Send>>,
    before: Modes,
    master: Option<Box<dyn MasterPty + Send>>,
    child: Box<dyn Child + Send + Sync>,
}

pub struct Start<'a> {
    pub args: &'a [&'a str],
    pub env: &'a [(&'a str, &'a str)],
    pub home: &'a Path,
    pub size: (u16, u16),
}

impl Term {
    /// Starts the program that this test run built.
    pub fn start(start: &Start<'_>) -> Self {
        Self::start_program(&program(), start)
    }

    /// Starts another program.
    pub fn start_program(program: &Path, start: &Start<'_>) -> Self {
        let (width, height) = start.size;
        let pair = native_pty_system()
            .openpty(PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 })
            .expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.args(start.args);
        command.env_clear();
        command.env("PATH", std::env::var("PATH").unwrap_or_default());
        command.env("HOME", start.home);
        command.env("USER", "mara");
        command.env("TERM", "xterm-256color");
        command.env("COLORTERM", "truecolor");
        command.env("LANG", "C.UTF-8");
        for (key, value) in start.env {
            command.env(key, value);
        }
        command.cwd(start.home);
        let before = modes(pair.master.as_ref());
        let child = pair.slave.spawn_command(command).expect("the program starts");
        drop(pair.slave);
        let shared = Arc::new(Shared {
            parser: Mutex::new(vt100::Parser::new(cells(height), cells(width), 0)),
            changed: Condvar::new(),
            bytes: AtomicU64::new(0),
            raw: Mutex::new(Vec::new()),
            times: Mutex::new(Vec::new()),
            closed: Mutex::new(false),
            lost: AtomicBool::new(false),
        });
        let mut reader = pair.master.try_clone_reader().unwrap();
        let seen = shared.clone();
        std::thread::spawn(move || {
            let mut buffer = vec![0; 65536];
            loop {
                match reader.read(&mut buffer) {
                    Ok(n) if n > 0 && !seen.lost.load(Ordering::SeqCst) => {
                        seen.bytes.fetch_add(n as u64, Ordering::SeqCst);
                        let mut raw = seen.raw.held();
                        raw.extend_from_slice(&buffer[..n]);
                        seen.times.held().push((Instant::now(), raw.len()));
                        drop(raw);
                        seen.parser.held().process(&buffer[..n]);
                        seen.changed.notify_all();
                    }
                    _ => {
                        *seen.closed.held() = true;
                        seen.changed.notify_all();
                        return;
                    }
                }
            }
        });
        let writer = pair.master.take_writer().unwrap();
        Self { shared, writer: Some(writer), before, master: Some(pair.master), child }
    }

    pub fn pid(&self) -> u32 {
        self.child.process_id().unwrap()
    }

    /// Types; see the constants for keys that are no characters.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        self.send(keys.as_bytes())
    }

    /// Sends bytes that need not be text.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        let writer = self.writer.as_mut().unwrap();
        writer.write_all(bytes).unwrap();
        writer.flush().unwrap();
        self
    }

    /// Shows bytes that the program did not write, as another program on the same terminal would.
    pub fn scribble(&self, bytes: &[u8]) {
        self.shared.parser.held().process(bytes);
    }

    /// The modes of the terminal: whether it was given back as it was found.
    pub fn modes(&self) -> Modes {
        modes(self.master.as_ref().unwrap().as_ref())
    }

    /// Fails unless the terminal is as it was before the program took it: modes, screen, cursor, paste and mouse.
    pub fn is_given_back(&self) {
        assert_eq!(self.modes(), self.before, "the modes of the terminal were not restored");
        let left = taken(self.shared.parser.held().screen());
        assert!(left.is_empty(), "left behind: {left:?}");
    }

    /// Waits until the terminal has been given back by a program that still lives.
    pub fn until_given_back(&self) {
        self.until_screen("the terminal to be given back", SOON, |s| taken(s).is_empty());
        self.is_given_back();
    }

    /// Waits until the program is stopped, as Ctrl-Z stops it.
    pub fn until_stopped(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        let stopped = rustix::process::WaitIdOptions::STOPPED;
        rustix::process::waitid(rustix::process::WaitId::Pid(pid), stopped).unwrap();
    }

    /// The screen as text.
    pub fn text(&self) -> String {
        self.shared.parser.held().screen().contents()
    }

    /// Bytes written by the program so far.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::SeqCst)
    }

    /// Everything written by the program so far.
    pub fn raw(&self) -> Vec<u8> {
        self.shared.raw.held().clone()
    }

    /// Everything written by the program so far, piece by piece with the moment at which it came.
    pub fn recording(&self) -> Vec<(Instant, Vec<u8>)> {
        let (raw, times) = (self.shared.raw.held(), self.shared.times.held());
        let begins = std::iter::once(0).chain(times.iter().map(|(_, end)| *end));
        begins.zip(times.iter()).map(|(begin, (at, end))| (*at, raw[begin..*end].to_vec())).collect()
    }

    /// Waits until the screen satisfies a condition; fails with the screen otherwise.
    pub fn until(&self, what: &str, longest: Duration, holds: impl Fn(&str) -> bool) -> String {
        self.until_screen(what, longest, |screen| holds(&screen.contents()))
    }

    /// Waits until the emulated terminal satisfies a condition; fails with the screen otherwise.
    pub fn until_screen(&self, what: &str, longest: Duration, holds: impl Fn(&vt100::Screen) -> bool) -> String {
        let deadline = Instant::now() + longest;
        let mut parser = self.shared.parser.held();
        loop {
            let text = parser.screen().contents();
            if holds(parser.screen()) {
                return text;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let gone = *self.shared.closed.held();
            if left.is_zero() || gone {
                drop(parser);
                panic!(
                    "{what}: {} on this screen:\n{text}",
                    if gone { "the program has ended" } else { "not within the time" }
                );
            }
            let next = self.shared.changed.wait_timeout(parser, left.min(Duration::from_millis(200)));
            parser = next.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the screen shows a text.
    pub fn shows(&self, text: &str) -> String {
        self.until(&format!("to show “{text}”"), SOON, |screen| screen.contains(text))
    }

    /// Gives the terminal another size.
    pub fn resize(&self, width: u16, height: u16) {
        self.shared.parser.held().screen_mut().set_size(cells(height), cells(width));
        let size = PtySize { rows: height, cols: width, pixel_width: 0, pixel_height: 0 };
        self.master.as_ref().unwrap().resize(size).unwrap();
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Closes the terminal from the far end, as a lost connection does. The reader lets go of it with the next bytes
    /// that the program writes: its heartbeat, at the latest.
    pub fn lose(&mut self) {
        self.shared.lost.store(true, Ordering::SeqCst);
        self.writer = None;
        self.master = None;
    }

    /// Waits until the program has ended and everything that it wrote has been read.
    pub fn ends(&mut self, longest: Duration) -> ExitStatus {
        let deadline = Instant::now() + longest;
        let mut status = None;
        loop {
            status = status.or(self.child.try_wait().unwrap());
            if let (Some(status), true) = (&status, *self.shared.closed.held()) {
                return status.clone();
            }
            assert!(Instant::now() < deadline, "the program has not ended; its screen:\n{}", self.text());
            let parser = self.shared.parser.held();
            drop(self.shared.changed.wait_timeout(parser, Duration::from_millis(50)));
        }
    }
}

impl Drop for Term {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cells(n: u16) -> std::num::NonZeroU16 {
    std::num::NonZeroU16::new(n).expect("a terminal has at least one cell")
}

/// Input, output, control and local modes of a terminal.
pub type Modes = [u32; 4];

fn modes(master: &dyn MasterPty) -> Modes {
    let modes = master.get_termios().expect("a terminal has modes");
    [modes.input_flags.bits(), modes.output_flags.bits(), modes.control_flags.bits(), modes.local_flags.bits()]
}

/// What of the terminal is in a state that a shell does not expect.
fn taken(screen: &vt100::Screen) -> Vec<&'static str> {
    let state = [
        (screen.alternate_screen(), "the alternate screen"),
        (screen.hide_cursor(), "a hidden cursor"),
        (screen.bracketed_paste(), "bracketed paste"),
        (screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None, "mouse reports"),
    ];
    state.iter().filter(|(on, _)| *on).map(|(_, what)| *what).collect()
}

/// The program under test; from an example it is the one that was built beside it.
pub fn program() -> std::path::PathBuf {
    match option_env!("CARGO_BIN_EXE_quarterdeck") {
        Some(path) => path.into(),
        None => std::env::current_exe().unwrap().parent().unwrap().with_file_name("quarterdeck"),
    }
}

/// A program on the path.
pub fn on_path(name: &str) -> Option<std::path::PathBuf> {
    let dirs: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    dirs.into_iter().map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// A configuration file with this text in a home directory.
pub fn config(home: &Path, text: &str) -> String {
    let path = home.join("c.toml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// The configuration of an estate whose only system is not there.
pub fn lonely(home: &Path) -> String {
    lonely_with(home, &home.join("journal"))
}

/// The same, with its journal elsewhere.
pub fn lonely_with(home: &Path, journal: &Path) -> String {
    lonely_named("lonely", home, journal)
}

/// The same of that name.
pub fn lonely_named(name: &str, home: &Path, journal: &Path) -> String {
    let port = nobody();
    config(
        home,
        &format!(
            "[estate]\nname = \"{name}\"\nenvironment = \"staging\"\n[journal]\ndir = \"{}\"\n[[postgres]]\nid = \"pg\"\n\
             host = \"127.0.0.1\"\nport = {port}\nuser = \"u\"\ntls = \"disable\"\n[[tenant]]\nid = \"t1\"\n\
             database = {{ instance = \"pg\", name = \"t1\" }}\n",
            journal.display()
        ),
    )
}

/// The records of a journal, with the program's own reader.
pub fn records(home: &Path, journal: &Path) -> Vec<serde_json::Value> {
    let (code, out, err) =
        run(home, &["audit", "show", "--journal", &journal.display().to_string(), "--format", "json"]);
    assert_eq!(code, 0, "{err}");
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The kinds of records, in their order.
pub fn kinds(records: &[serde_json::Value]) -> Vec<&str> {
    records.iter().map(|r| r["kind"].as_str().unwrap()).collect()
}

/// The journal verifies against its own key.
pub fn verifies(home: &Path, journal: &Path) {
    let vkey = journal.join("log.vkey").display().to_string();
    let (code, out, err) =
        run(home, &["audit", "verify", "--journal", &journal.display().to_string(), "--vkey", &vkey]);
    assert_eq!(code, 0, "{out}{err}");
}

/// Runs the program without a terminal and gives back exit code, standard output and standard error.
pub fn run(home: &Path, args: &[&str]) -> (i32, String, String) {
    run_with(home, args, &[])
}

pub fn run_with(home: &Path, args: &[&str], env: &[(&str, &str)]) -> (i32, String, String) {
    let output = std::process::Command::new(program())
        .args(args)
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("USER", "mara")
        .env("LANG", "C.UTF-8")
        .envs(env.iter().copied())
        .current_dir(home)
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
}

pub const ENTER: &str = "\r";
pub const ESC: &str = "\x1b";
pub const TAB: &str = "\t";
pub const RIGHT: &str = "\x1b[C";
pub const LEFT: &str = "\x1b[D";
pub const DOWN: &str = "\x1b[B";
pub const UP: &str = "\x1b[A";
pub const PAGE_DOWN: &str = "\x1b[6~";
pub const END: &str = "\x1b[F";
pub const CTRL_X: &str = "\x18";
pub const CTRL_C: &str = "\x03";
pub const CTRL_Z: &str = "\x1a";
