//! What a command works on: the configuration or the drill, the journal's directory, and the running engine.

use super::args::Global;
use super::output::Error;
use crate::attest::agent::{Agent, Held};
use crate::config::decode;
use crate::config::locate::{Located, Places};
use crate::config::model::Config;
use crate::config::problem::{Problem, Problems};
use crate::domain::actor::Actor;
use crate::domain::mode::Mode;
use crate::engine::api::{Command, Reply, Snapshot};
use crate::engine::attach::remote::{self, Away, Caller, Sign};
use crate::engine::attach::wire::NAMESPACE;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A configuration and where it came from.
#[derive(Debug)]
pub struct Loaded {
    /// File.
    pub path: PathBuf,
    /// Its text, whose digest is journaled.
    pub text: String,
    /// What it says.
    pub config: Config,
    /// The policy file that the command line names.
    pub policy: Option<PathBuf>,
}

/// Finds and reads the configuration; its absence is an error here.
pub fn load(global: &Global) -> Result<Loaded, Error> {
    match locate(global)? {
        Located::File(path) => Ok(Loaded { policy: global.policy.clone(), ..read(path)? }),
        Located::Nowhere(looked) => {
            let places: Vec<String> = looked.iter().map(|l| format!("{} {}", l.place, l.found)).collect();
            Err(Error::Usage(format!(
                "no configuration was found ({}); `quarterdeck config init` writes one, `--drill` needs none",
                places.join("; ")
            )))
        }
    }
}

/// Finds the configuration.
pub fn locate(global: &Global) -> Result<Located, Error> {
    Ok(Places::from_env().config_file(global.config.as_deref())?)
}

/// Reads a configuration file.
pub fn read(path: PathBuf) -> Result<Loaded, Error> {
    let (name, text) = (path.display().to_string(), read_file(&path)?);
    let config = decode::decode(&name, &text)?;
    Ok(Loaded { path, text, config, policy: None })
}

/// The mode of a live session.
pub const fn live_mode(global: &Global) -> Mode {
    if global.read_only { Mode::ReadOnly } else { Mode::Live }
}

/// Directory of an estate's state: its journal, and the socket of its engine.
#[derive(Clone, Debug)]
pub struct Home {
    /// The journal's directory.
    pub journal: PathBuf,
    /// The engine's socket.
    pub socket: PathBuf,
}

/// Where the state of a live estate lies.
pub fn home(config: &Config) -> Home {
    let journal = Places::from_env().journal(config);
    Home { socket: config.engine.socket.clone().unwrap_or_else(|| journal.join(SOCKET)), journal }
}

/// Where what is usual on a live estate is kept.
pub fn usual_file(config: &Config) -> PathBuf {
    Places::from_env().state_dir().join("usual").join(format!("{}.jsonl", config.estate.name))
}

/// Name of an engine's socket beside its journal.
const SOCKET: &str = "engine.sock";

/// The newest drill of this user whose engine listens.
pub fn running_drill() -> Option<PathBuf> {
    let drills = std::fs::read_dir(Places::from_env().state_dir().join("drills")).ok()?;
    let mut sockets: Vec<PathBuf> = drills.filter_map(|d| Some(d.ok()?.path().join(SOCKET))).collect();
    // Their names begin with the time at which they began.
    sockets.sort();
    sockets.into_iter().rev().find(|socket| crate::engine::attach::door::connect(socket).is_ok())
}

/// The journals of the drills of this user, also of those that are over.
pub fn drills() -> Vec<PathBuf> {
    let drills = std::fs::read_dir(Places::from_env().state_dir().join("drills"));
    drills.into_iter().flatten().filter_map(|d| Some(d.ok()?.path())).collect()
}

/// The newest of them.
pub fn newest_drill() -> Option<PathBuf> {
    // Their names begin with the time at which they began.
    drills().into_iter().max()
}

/// Where the state of a new drill lies: an own directory each, so that drills never mix with each other.
pub fn drill_home(scenario: &str) -> Home {
    let state = Places::from_env().state_dir();
    let stamp = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ");
    let journal = state.join("drills").join(format!("{stamp}-{scenario}-{}", std::process::id()));
    Home { socket: journal.join(SOCKET), journal }
}

/// The user's own directory of playbooks or drills, read whole: name and text of each `*.yaml`.
pub fn own_files(kind: &str) -> Result<Vec<(String, String)>, Error> {
    own_files_of(kind, "yaml")
}

/// The user's own directory of some kind, read whole: name and text of each file with this ending.
pub fn own_files_of(kind: &str, ending: &str) -> Result<Vec<(String, String)>, Error> {
    let Some(dir) = Places::from_env().user_dir().map(|d| d.join(kind)) else { return Ok(Vec::new()) };
    let entries = match std::fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::Failed(format!("{}: {e}", dir.display()))),
    };
    trusted(&dir)?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| Error::Failed(format!("{}: {e}", dir.display())))?.path();
        if path.extension().is_some_and(|e| e == ending) {
            trusted(&path)?;
            files.push((path.display().to_string(), read_file(&path)?));
        }
    }
    files.sort();
    Ok(files)
}

/// Refuses what somebody else may have written: a playbook is what a commander confirms at night, so it comes from root
/// or from whoever runs this, and from nobody else.
fn trusted(path: &Path) -> Result<(), Error> {
    let about = std::fs::metadata(path).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))?;
    let (me, owner, mode) = (rustix::process::geteuid().as_raw(), about.uid(), about.mode() & 0o7777);
    if owner != 0 && owner != me {
        let allowed = "root and the user that runs this are allowed";
        return Err(Error::Usage(format!("{} belongs to user {owner}; {allowed}", path.display())));
    }
    if mode & 0o002 != 0 {
        let shown = path.display();
        return Err(Error::Usage(format!("{shown} has mode {mode:04o}, everybody can change it: chmod o-w {shown}")));
    }
    Ok(())
}

/// A file beside the user's own configuration: its path and text, where it is there.
pub fn own_file(name: &str) -> Result<Option<(String, String)>, Error> {
    let Some(path) = Places::from_env().user_dir().map(|d| d.join(name)).filter(|p| p.exists()) else {
        return Ok(None);
    };
    Ok(Some((path.display().to_string(), read_file(&path)?)))
}

/// Longest file that is read: what people write is far shorter, and a device never ends.
const LONGEST_FILE: u64 = 16 << 20;

/// Reads a file that a person named.
pub fn read_file(path: &Path) -> Result<String, Error> {
    let name = path.display().to_string();
    let failed = |e: std::io::Error| Problems(vec![Problem::whole(&name, format!("can not be read: {e}"))]);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(LONGEST_FILE + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > LONGEST_FILE {
        let message = format!("it has more than {} MiB, at most that much is read", LONGEST_FILE >> 20);
        return Err(Problems(vec![Problem::whole(&name, message)]).into());
    }
    Ok(String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let byte = e.as_bytes().get(good).copied().unwrap_or_default();
        let text = String::from_utf8_lossy(e.as_bytes().get(..good).unwrap_or_default()).into_owned();
        let message = format!("found the byte 0x{byte:02x}, which is no UTF-8; text in UTF-8 is expected");
        Problems(vec![Problem::at(&name, &text, &(good..good), message)])
    })?)
}

/// What was given by name on the command line; the same name twice is a mistake of which either may be meant.
pub fn once(flag: &str, pairs: &[(String, String)]) -> Result<BTreeMap<String, String>, Error> {
    let mut given = BTreeMap::new();
    for (name, value) in pairs {
        if given.insert(name.clone(), value.clone()).is_some() {
            let name = crate::domain::text::sanitize(name);
            return Err(Error::Usage(format!("{flag} {name}=… is given twice, once is allowed")));
        }
    }
    Ok(given)
}

/// Who runs this process.
pub fn me(via: &str) -> Actor {
    let uid = rustix::process::getuid().as_raw();
    let user = ["USER", "LOGNAME"].iter().find_map(|n| std::env::var(n).ok()).filter(|u| !u.is_empty());
    let console = rustix::termios::ttyname(std::io::stdin(), Vec::new()).ok();
    Actor {
        user: user.unwrap_or_else(|| if uid == 0 { "root".to_owned() } else { format!("uid-{uid}") }),
        uid,
        via: via.to_owned(),
        host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
        console: console.map(|c| c.to_string_lossy().into_owned()),
    }
}

/// The runtime for a command; two threads are enough, the engine is one task.
pub fn runtime() -> Result<tokio::runtime::Runtime, Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Error::failed)
}

/// Who calls on the engine at a socket.
pub fn caller(socket: &Path, via: &str, read_only: bool) -> Caller {
    // The first word of what sshd says is the address; whoever runs this process could have set it.
    let from = std::env::var("SSH_CONNECTION").ok().and_then(|c| c.split_whitespace().next().map(str::to_owned));
    Caller { socket: socket.to_path_buf(), me: me(via), from, read_only, sign: sign() }
}

/// Signs by the ssh-agent of this session, where it names one and that holds a key which the engine knows.
fn sign() -> Option<Sign> {
    let agent = Agent::of_session().ok()?;
    Some(Arc::new(move |text, known| {
        let agent = agent.clone();
        Box::pin(async move {
            let counts = |key: &Held| {
                let authority = key.certificate.as_ref().map(|c| c.authority().fingerprint());
                known.contains(&key.key.fingerprint()) || authority.is_some_and(|a| known.contains(&a))
            };
            let held = agent.keys().await.ok()?;
            let key = held.iter().find(|k| counts(k))?;
            agent.sign(key, NAMESPACE, text.as_bytes()).await.ok()
        })
    }))
}

/// What came of asking an engine; nothing when none runs.
fn asked<T>(answer: Result<T, Away>) -> Result<Option<T>, Error> {
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(Away::Nobody(_)) => Ok(None),
        Err(away) => Err(Error::failed(away)),
    }
}

/// The snapshot of the engine that runs, if one does.
pub async fn running_snapshot(home: &Home) -> Result<Option<Arc<Snapshot>>, Error> {
    asked(remote::snapshot(&caller(&home.socket, "cli", true)).await.map(Arc::new))
}

/// Sends a command to the engine that runs, if one does.
pub async fn send_to_running(home: &Home, command: Command) -> Result<Option<Reply>, Error> {
    asked(remote::command(&caller(&home.socket, "cli", false), command).await)
}
