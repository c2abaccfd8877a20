//! `config init`: asks a few questions, probes what is there, writes a commented file that `config check` takes.

use super::args::Format;
use super::config::Written;
use super::output::{self, Error, Exit};
use crate::config::decode;
use crate::config::locate::Places;
use crate::config::template::{self, Answers};
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a probe may take.
const PROBE: Duration = Duration::from_millis(500);
/// Where the packaged unit looks for the configuration of the machine.
const SYSTEM: &str = "/etc/quarterdeck/config.toml";
/// Places of kubeconfigs that distributions of Kubernetes write, after `$KUBECONFIG` and the user's own.
const KUBECONFIGS: [&str; 3] =
    ["/etc/kubernetes/admin.conf", "/etc/rancher/k3s/k3s.yaml", "/etc/rancher/rke2/rke2.yaml"];
/// Ports of this machine at which systems of each kind listen by themselves; the first that answers is offered.
const POSTGRES: [&str; 2] = ["127.0.0.1:5432", "127.0.0.1:5433"];
const REDIS: [&str; 2] = ["127.0.0.1:6379", "127.0.0.1:6380"];
const TRAEFIK: [&str; 1] = ["127.0.0.1:8082"];

/// Interviews and writes.
pub fn run(format: Format, path: Option<&Path>, force: bool, system: bool) -> Result<Exit, Error> {
    let own = || {
        if system { Some(PathBuf::from(SYSTEM)) } else { Places::from_env().user_dir().map(|d| d.join("config.toml")) }
    };
    let path = path
        .map(Path::to_path_buf)
        .or_else(own)
        .ok_or_else(|| Error::Usage("neither HOME nor XDG_CONFIG_HOME is set; name a file with --output".into()))?;
    if path.exists() && !force {
        return Err(Error::Usage(format!("{} exists; --force replaces it, --output names another", path.display())));
    }
    // Before the questions: nobody answers them twice.
    let failed = |e: io::Error| Error::Failed(format!("{}: {e}", path.display()));
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed)?;
    rustix::fs::access(parent, rustix::fs::Access::WRITE_OK).map_err(|e| failed(e.into()))?;
    let text = interview(&path, system)?;
    std::fs::write(&path, text).map_err(failed)?;
    if system {
        // Who attaches reads it to find the socket; there is no secret in it.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).map_err(failed)?;
    }
    if format == Format::Json {
        output::json(&Written { file: &path })?;
        return Ok(Exit::Done);
    }
    output::line(&format!("wrote {}", path.display()))?;
    for step in next(system) {
        output::line(&format!("  {step}"))?;
    }
    Ok(Exit::Done)
}

/// What is to be done then, in the order in which it is done.
const fn next(system: bool) -> &'static [&'static str] {
    if system {
        &[
            "next, as root:",
            "put the values of env: references into /etc/quarterdeck/environment (NAME=value, mode 0600)",
            "add your tenants to the file, then: quarterdeck --config /etc/quarterdeck/config.toml config check",
            "systemctl enable --now quarterdeck; journalctl -u quarterdeck",
            "adduser PERSON quarterdeck-console; after the next login PERSON runs: quarterdeck attach",
        ]
    } else {
        &["next: add your tenants to the file, then: quarterdeck config check; quarterdeck doctor; quarterdeck"]
    }
}

/// Asks until what would be written can be read: what is wrong with an answer is said, and it is asked for again. Where
/// nobody sits, the first answers count.
fn interview(path: &Path, system: bool) -> Result<String, Error> {
    loop {
        let text = template::render(&questions(system)?);
        match decode::decode(&path.display().to_string(), &text) {
            Ok(_) => return Ok(text),
            Err(problems) if io::stdin().is_terminal() => {
                for problem in &problems.0 {
                    crate::note!("quarterdeck: {}", problem.message);
                }
                crate::note!("quarterdeck: once more, please");
            }
            Err(problems) => return Err(problems.into()),
        }
    }
}

fn questions(system: bool) -> Result<Answers, Error> {
    let zone = jiff::tz::TimeZone::system();
    let zone = zone.iana_name().unwrap_or("UTC");
    let estate = ask("Name of the estate", "acme-prod")?;
    let environment = ask("Environment (production, staging, development)", "production")?;
    let time_zone = ask("Time zone of the plants", zone)?;
    let offered = |scheme: &str, found: Option<&str>, path: &str| {
        found.map_or_else(|| "-".to_owned(), |address| format!("{scheme}{address}{path}"))
    };
    let kubeconfig = kubeconfig().map_or_else(|| "-".to_owned(), |path| path.display().to_string());
    let kubeconfig = optional("Kubeconfig of the cluster", &kubeconfig)?;
    let postgres = optional("PostgreSQL host:port", &offered("", first(&POSTGRES), ""))?;
    let postgres_is_plain = postgres.as_deref().is_some_and(is_plain_and_here);
    if postgres_is_plain {
        crate::note!("  it speaks no TLS, and is on this machine: `tls = \"disable\"` is written");
    }
    Ok(Answers {
        estate,
        environment,
        time_zone,
        kubeconfig,
        postgres,
        postgres_is_plain,
        redis: optional("Redis URL", &offered("redis://", first(&REDIS), "/0"))?,
        traefik: optional("Traefik metrics URL", &offered("http://", first(&TRAEFIK), "/metrics"))?,
        system,
    })
}

/// The first kubeconfig that can be read.
fn kubeconfig() -> Option<PathBuf> {
    let var = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let own = var("HOME").map(|home| home.join(".kube/config"));
    let all = var("KUBECONFIG").into_iter().chain(own).chain(KUBECONFIGS.map(PathBuf::from));
    all.into_iter().find(|path| path.is_file() && std::fs::File::open(path).is_ok())
}

fn first<'a>(addresses: &[&'a str]) -> Option<&'a str> {
    addresses.iter().copied().find(|address| answers_at(address))
}

fn answers_at(address: &str) -> bool {
    address
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .is_some_and(|one| std::net::TcpStream::connect_timeout(&one, PROBE).is_ok())
}

/// Whether a PostgreSQL on the loopback says that it speaks no TLS. Of one elsewhere that is not asked: there, a password
/// is never sent in the clear because of an answer that anybody on the way can give.
fn is_plain_and_here(address: &str) -> bool {
    // SSLRequest, answered by one byte: `S` or `N` (PostgreSQL's documentation, "Message Formats").
    const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
    let mut all = address.to_socket_addrs().ok().into_iter().flatten();
    let Some(here) = all.next().filter(|a| a.ip().is_loopback()) else { return false };
    let ask = || -> io::Result<bool> {
        let mut stream = std::net::TcpStream::connect_timeout(&here, PROBE)?;
        stream.set_read_timeout(Some(PROBE))?;
        stream.write_all(&SSL_REQUEST)?;
        let mut answer = [0];
        stream.read_exact(&mut answer)?;
        Ok(answer == *b"N")
    };
    ask().unwrap_or(false)
}

/// Asks on standard error, so that standard output stays clean; an empty answer takes the default, and the end of
/// input takes all defaults.
fn ask(question: &str, default: &str) -> Result<String, Error> {
    let mut err = io::stderr();
    write!(err, "{question} [{default}]: ").and_then(|()| err.flush()).map_err(Error::failed)?;
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line).map_err(Error::failed)?;
    if read == 0 {
        let _ = writeln!(err);
    }
    let answer = line.trim();
    Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
}

fn optional(question: &str, default: &str) -> Result<Option<String>, Error> {
    let answer = ask(&format!("{question}, - for none"), default)?;
    Ok(Some(answer).filter(|a| a != "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_says_no_is_taken_to_speak_no_tls() {
        for (answer, plain) in [(&b"N"[..], true), (b"S", false), (b"HTTP/1.1 400", false), (b"", false)] {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let address = listener.local_addr().unwrap().to_string();
            let serving = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 8];
                stream.read_exact(&mut asked).unwrap();
                stream.write_all(answer).unwrap();
            });
            assert_eq!(is_plain_and_here(&address), plain, "{answer:?}");
            serving.join().unwrap();
        }
    }
}
