//! What a command works on: the configuration or the drill, the journal's directory, and the running engine.

use super::args::Global;
use super::output::Error;
use crate::attest::agent::{Agent, Held};
use crate::config::decode;
use crate::config::estates::{self, Estates, Named, Way};
use crate::config::locate::{Located, Places};
use crate::config::model::{Config, Console};
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
#[derive(Clone, Debug)]
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

/// Finds and reads the configuration of the one estate that is meant; its absence is an error here.
pub fn load(global: &Global) -> Result<Loaded, Error> {
    target(global)?.loaded()
}

/// What a command works on.
#[derive(Debug)]
pub enum Target {
    /// An estate whose configuration is at hand.
    Estate(Box<Loaded>),
    /// One of which only the engine's socket is known.
    Served {
        /// Its name.
        name: String,
        /// The socket.
        socket: PathBuf,
    },
}

impl Target {
    /// Its configuration.
    ///
    /// # Errors
    /// Only its socket is known.
    pub fn loaded(self) -> Result<Loaded, Error> {
        match self {
            Self::Estate(loaded) => Ok(*loaded),
            Self::Served { name, socket } => Err(Error::Usage(format!(
                "{name} is reached by the engine that is served at {}: while none listens there, and for what needs its own \
                 configuration, this works only where that is",
                socket.display()
            ))),
        }
    }
}

/// What the configuration names.
#[derive(Debug)]
pub enum Meant {
    /// One estate.
    One(Box<Loaded>),
    /// Several, of which none was chosen yet.
    Several(Several),
}

impl Meant {
    /// Look of the console.
    pub fn console(&self) -> Console {
        match self {
            Self::One(loaded) => loaded.config.console.clone(),
            Self::Several(several) => several.console.clone(),
        }
    }
}

/// A configuration that names several estates.
#[derive(Debug)]
pub struct Several {
    /// The file.
    pub path: PathBuf,
    /// Look of the console.
    pub console: Console,
    /// The estate that the file is itself, where it is one.
    pub own: Option<Box<Loaded>>,
    /// The others, with paths as they are opened.
    pub estates: Vec<Named>,
}

impl Several {
    /// Their names, the file's own first.
    pub fn names(&self) -> Vec<&str> {
        let own = self.own.iter().map(|own| own.config.estate.name.as_str());
        own.chain(self.estates.iter().map(|e| e.name.as_str())).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// There is none of that name, or its configuration can not be read, or is that of another estate.
    pub fn one(&self, name: &str) -> Result<Target, Error> {
        if let Some(own) = self.own.as_ref().filter(|own| own.config.estate.name == name) {
            return Ok(Target::Estate(own.clone()));
        }
        let named = self.estates.iter().find(|e| e.name == name).ok_or_else(|| unknown(name, &self.names()))?;
        match &named.way {
            Way::Socket(socket) => Ok(Target::Served { name: name.to_owned(), socket: socket.clone() }),
            Way::Config(path) => {
                let loaded = read(path.clone())?;
                let found = &loaded.config.estate.name;
                if found != name {
                    return Err(Error::OtherEstate(format!(
                        "{}: this is the configuration of {found}, and {} names it {name}: nothing is done there",
                        path.display(),
                        self.path.display()
                    )));
                }
                Ok(Target::Estate(Box::new(loaded)))
            }
        }
    }
}

fn unknown(name: &str, names: &[&str]) -> Error {
    let name = crate::domain::text::sanitize(name);
    Error::Usage(format!("there is no estate `{name}` in the configuration; there are {}", names.join(", ")))
}

/// The one estate that is meant.
///
/// # Errors
/// The configuration names several and the command line none of them.
pub fn target(global: &Global) -> Result<Target, Error> {
    chosen(global, meant(global)?)
}

/// The same of what was read already.
pub fn chosen(global: &Global, meant: Meant) -> Result<Target, Error> {
    let target = match (meant, &global.estate) {
        (Meant::One(loaded), None) => Target::Estate(loaded),
        (Meant::One(loaded), Some(name)) if *name == loaded.config.estate.name => Target::Estate(loaded),
        (Meant::One(loaded), Some(name)) => return Err(unknown(name, &[&loaded.config.estate.name])),
        (Meant::Several(several), Some(name)) => several.one(name)?,
        (Meant::Several(several), None) => {
            return Err(Error::Usage(format!(
                "{} names {} estates ({}): --estate NAME says which one is meant",
                several.path.display(),
                several.names().len(),
                several.names().join(", ")
            )));
        }
    };
    Ok(match target {
        Target::Estate(loaded) => Target::Estate(Box::new(Loaded { policy: global.policy.clone(), ..*loaded })),
        served @ Target::Served { .. } => served,
    })
}

/// What a command that can also be asked of several estates works on.
#[derive(Debug)]
pub enum Scope {
    /// One estate.
    One(Target),
    /// All that the configuration names.
    All(Several),
}

/// The estate that was chosen or is the only one, else all of them.
pub fn scope(global: &Global) -> Result<Scope, Error> {
    match meant(global)? {
        Meant::Several(several) if global.estate.is_none() => Ok(Scope::All(several)),
        meant => Ok(Scope::One(chosen(global, meant)?)),
    }
}

/// Finds and reads the configuration, whatever it names; its absence is an error here.
pub fn meant(global: &Global) -> Result<Meant, Error> {
    match locate(global)? {
        Located::File(path) => named_by(path),
        Located::Nowhere(looked) => {
            let places: Vec<String> = looked.iter().map(|l| format!("{} {}", l.place, l.found)).collect();
            Err(Error::Usage(format!(
                "no configuration was found ({}); `quarterdeck config init` writes one, `--drill` needs none",
                places.join("; ")
            )))
        }
    }
}

/// Reads a configuration file, whatever it names.
pub fn named_by(path: PathBuf) -> Result<Meant, Error> {
    let (name, text) = (path.display().to_string(), read_file(&path)?);
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let resolved = |estates: Vec<Named>| {
        let way = |way| match way {
            Way::Config(file) => Way::Config(folder.join(file)),
            socket @ Way::Socket(_) => socket,
        };
        estates.into_iter().map(|e| Named { way: way(e.way), ..e }).collect()
    };
    if let Some(alone) = estates::alone(&name, &text)? {
        let Estates { estates, console } = alone;
        return Ok(Meant::Several(Several { path, console, own: None, estates: resolved(estates) }));
    }
    let config = decode::decode(&name, &text)?;
    let loaded = Box::new(Loaded { path: path.clone(), text, config, policy: None });
    if loaded.config.estates.is_empty() {
        return Ok(Meant::One(loaded));
    }
    let (console, estates) = (loaded.config.console.clone(), resolved(loaded.config.estates.clone()));
    Ok(Meant::Several(Several { path, console, own: Some(loaded), estates }))
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
    /// Name of the estate, where it is known before an engine says it.
    pub estate: Option<String>,
}

impl Home {
    /// Whether only the socket of its engine is known.
    pub fn is_served(&self) -> bool {
        self.journal.as_os_str().is_empty()
    }

    /// Who calls on its engine.
    pub fn caller(&self, via: &str, read_only: bool) -> Caller {
        Caller { estate: self.estate.clone(), ..caller(&self.socket, via, read_only) }
    }
}

/// Where the engine of the estate that is meant is reached. There is no journal's directory where only a socket is known.
pub fn engine(global: &Global) -> Result<Home, Error> {
    Ok(home_of(target(global)?))
}

/// The same, or of a drill that is served.
pub fn reached(global: &Global) -> Result<Home, Error> {
    if global.drill.is_none() {
        return engine(global);
    }
    let message = "no drill of this user is served: `quarterdeck --drill serve` starts one";
    let socket = running_drill().ok_or_else(|| Error::Failed(message.into()))?;
    Ok(Home { journal: PathBuf::new(), socket, estate: None })
}

/// The same of an estate that was found.
pub fn home_of(target: Target) -> Home {
    match target {
        Target::Estate(loaded) => home(&loaded.config),
        Target::Served { name, socket } => Home { journal: PathBuf::new(), socket, estate: Some(name) },
    }
}

/// Where the state of a live estate lies.
pub fn home(config: &Config) -> Home {
    let journal = Places::from_env().journal(config);
    let socket = config.engine.socket.clone().unwrap_or_else(|| journal.join(SOCKET));
    Home { socket, journal, estate: Some(config.estate.name.clone()) }
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
    Home { socket: journal.join(SOCKET), journal, estate: None }
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
    Caller { socket: socket.to_path_buf(), me: me(via), from, read_only, sign: sign(), estate: None }
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
    asked(remote::snapshot(&home.caller("cli", true)).await.map(Arc::new))
}

/// The snapshot of an engine that has to run, there being no other way to know anything.
pub async fn must_run(home: &Home) -> Result<Arc<Snapshot>, Error> {
    let none = || Error::Failed(format!("no engine listens at {}", home.socket.display()));
    running_snapshot(home).await?.ok_or_else(none)
}

/// Sends a command to the engine that runs, if one does.
pub async fn send_to_running(home: &Home, command: Command) -> Result<Option<Reply>, Error> {
    asked(remote::command(&home.caller("cli", false), command).await)
}
