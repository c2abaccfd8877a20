//! `config init`: asks a few questions, probes what is there, writes a commented file that `config check` takes.

use super::args::Format;
use super::config::Written;
use super::output::{self, Error, Exit};
use crate::config::decode;
use crate::config::locate::Places;
use crate::config::template::{self, Answers};
use std::io::{self, BufRead as _, Write as _};
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::time::Duration;

/// How long a probe may take.
const PROBE: Duration = Duration::from_millis(500);

/// Interviews and writes.
pub fn run(format: Format, path: Option<&Path>, force: bool) -> Result<Exit, Error> {
    let places = Places::from_env();
    let path = path
        .map(Path::to_path_buf)
        .or_else(|| places.user_dir().map(|d| d.join("config.toml")))
        .ok_or_else(|| Error::Usage("neither HOME nor XDG_CONFIG_HOME is set; name a file with --output".into()))?;
    if path.exists() && !force {
        return Err(Error::Usage(format!("{} exists; --force replaces it, --output names another", path.display())));
    }
    let answers = interview()?;
    let text = template::render(&answers);
    // What is written must be readable, whatever was answered: the answers' errors are said before a file exists.
    decode::decode(&path.display().to_string(), &text)?;
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(|e| Error::Failed(format!("{}: {e}", parent.display())))?;
    }
    std::fs::write(&path, text).map_err(|e| Error::Failed(format!("{}: {e}", path.display())))?;
    if format == Format::Json {
        output::json(&Written { file: &path })?;
        return Ok(Exit::Done);
    }
    output::line(&format!(
        "wrote {}; add your tenants, then try: quarterdeck config check; quarterdeck doctor",
        path.display()
    ))?;
    Ok(Exit::Done)
}

fn interview() -> Result<Answers, Error> {
    let zone = jiff::tz::TimeZone::system();
    let zone = zone.iana_name().unwrap_or("UTC");
    let estate = ask("Name of the estate", "acme-prod")?;
    let environment = ask("Environment (production, staging, development)", "production")?;
    let time_zone = ask("Time zone of the plants", zone)?;
    let home = std::env::var("HOME").unwrap_or_default();
    let kubeconfig = std::env::var("KUBECONFIG").unwrap_or_else(|_| format!("{home}/.kube/config"));
    let kubeconfig = if Path::new(&kubeconfig).is_file() { kubeconfig } else { "-".to_owned() };
    let found = |address: &str| if answers_at(address) { address.to_owned() } else { "-".to_owned() };
    Ok(Answers {
        estate,
        environment,
        time_zone,
        kubeconfig: optional("Kubeconfig of the cluster", &kubeconfig)?,
        postgres: optional("PostgreSQL host:port", &found("127.0.0.1:5432"))?,
        redis: optional("Redis URL", if answers_at("127.0.0.1:6379") { "redis://127.0.0.1:6379/0" } else { "-" })?,
        traefik: optional(
            "Traefik metrics URL",
            if answers_at("127.0.0.1:8082") { "http://127.0.0.1:8082/metrics" } else { "-" },
        )?,
    })
}

fn answers_at(address: &str) -> bool {
    address
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .is_some_and(|one| std::net::TcpStream::connect_timeout(&one, PROBE).is_ok())
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
