//! Reading a secret where its reference points: environment, file, the output of a command, a Secret of Kubernetes, a vault.
//! Nothing is kept but a vault's token: what has been changed there counts from the next use on.

pub mod kubernetes;
pub mod places;
pub mod vault;

#[cfg(test)]
mod tests_vault;

use super::model::SecretRef;
use rustix::fs::OFlags;
use std::fmt;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use zeroize::Zeroizing;

/// How long a command may take to print its secret.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);

/// No secret is longer than this; reading stops here.
const LONGEST: u64 = 64 << 10;

/// A secret in memory: overwritten when it is dropped, never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a value that is already in memory.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// The value itself, for the one call that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret could not be read. Never holds any part of it, nor what a command printed.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// `env:NAME`, and no such variable.
    #[error("the environment variable {0} is not set")]
    NoVariable(String),
    /// It can not be opened or read.
    #[error("the secret file {path} can not be read: {cause}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A directory, a pipe or a device.
    #[error("the secret file {0} is not a plain file")]
    NotAFile(PathBuf),
    /// Group or others have rights on it.
    #[error("the secret file {path} has mode {mode:04o}, others can reach it: chmod 600 {path}")]
    TooOpen {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The command could not be started.
    #[error("the secret command {program} can not be started: {cause}")]
    Start {
        /// Its first word.
        program: String,
        /// What the system said.
        cause: io::Error,
    },
    /// The command ended with an error.
    #[error("the secret command {program} failed: {status}")]
    Command {
        /// Its first word.
        program: String,
        /// How it ended.
        status: ExitStatus,
    },
    /// The command took too long and was ended.
    #[error("the secret command {program} printed nothing within {} s", within.as_secs_f64())]
    CommandTimeout {
        /// Its first word.
        program: String,
        /// Time allowed.
        within: Duration,
    },
    /// A cluster or a vault does not give it: one sentence.
    #[error("{0}")]
    Remote(String),
    /// Nothing, too much, or no text.
    #[error("the secret from {from} {what}")]
    Unusable {
        /// `env:NAME`, `file:PATH`, `command:PROGRAM`, or where else.
        from: String,
        /// `is empty`, `is longer than 64 KiB`, `is not UTF-8`.
        what: &'static str,
    },
}

/// Reads the secret now. Cancel-safe: a command that still runs is ended when the future is dropped.
pub async fn read(reference: &SecretRef) -> Result<Secret, SecretError> {
    read_within(reference, COMMAND_TIMEOUT).await
}

async fn read_within(reference: &SecretRef, limit: Duration) -> Result<Secret, SecretError> {
    match reference {
        SecretRef::Env(name) => {
            let value = std::env::var_os(name).ok_or_else(|| SecretError::NoVariable(name.clone()))?;
            text(value.into_encoded_bytes(), format!("env:{name}"))
        }
        SecretRef::File(path) => text(file(path).await?, format!("file:{}", path.display())),
        SecretRef::Command(words) => {
            let (program, arguments) = words.split_first().ok_or(SecretError::Start {
                program: String::new(),
                cause: io::Error::new(io::ErrorKind::InvalidInput, "no program is named"),
            })?;
            let printed = tokio::time::timeout(limit, command(program, arguments))
                .await
                .map_err(|_| SecretError::CommandTimeout { program: program.clone(), within: limit })?;
            text(printed?, format!("command:{program}"))
        }
        SecretRef::Kubernetes(at) => {
            let from = format!("kubernetes:{}/{}/{}#{}", at.cluster, at.namespace, at.name, at.key);
            let read = tokio::time::timeout(limit, kubernetes::read(at)).await;
            let late = || format!("the Secret {from} was not given within {} s", limit.as_secs_f64());
            text(read.map_err(|_| SecretError::Remote(late()))?.map_err(SecretError::Remote)?, from)
        }
        SecretRef::Vault(at) => {
            let from = format!("vault:{}/{}#{}", at.vault.id, at.path, at.key);
            let mut value = vault::read(at).await.map_err(SecretError::Remote)?;
            text(std::mem::take(&mut *value).into_bytes(), from)
        }
    }
}

/// Opens without waiting for the writer of a pipe, and judges what was opened, not what the path names later.
async fn file(path: &Path) -> Result<Vec<u8>, SecretError> {
    let failed = |cause| SecretError::File { path: path.to_owned(), cause };
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = tokio::fs::OpenOptions::new().read(true).custom_flags(flags).open(path).await.map_err(failed)?;
    let about = file.metadata().await.map_err(failed)?;
    if !about.is_file() {
        return Err(SecretError::NotAFile(path.to_owned()));
    }
    let mode = about.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::TooOpen { path: path.to_owned(), mode });
    }
    let mut bytes = Vec::new();
    file.take(LONGEST + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    Ok(bytes)
}

async fn command(program: &str, arguments: &[String]) -> Result<Vec<u8>, SecretError> {
    let start = |cause| SecretError::Start { program: program.to_owned(), cause };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(start)?;
    let mut bytes = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(LONGEST + 1).read_to_end(&mut bytes).await.map_err(start)?;
    }
    let status = child.wait().await.map_err(start)?;
    if status.success() || bytes.len() as u64 > LONGEST {
        Ok(bytes)
    } else {
        Err(SecretError::Command { program: program.to_owned(), status })
    }
}

/// Makes text of it, without one newline at its end.
fn text(bytes: Vec<u8>, from: String) -> Result<Secret, SecretError> {
    let unusable = |what| SecretError::Unusable { from, what };
    if bytes.len() as u64 > LONGEST {
        return Err(unusable("is longer than 64 KiB"));
    }
    let mut value = match String::from_utf8(bytes) {
        Ok(value) => Zeroizing::new(value),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            return Err(unusable("is not UTF-8"));
        }
    };
    if value.ends_with('\n') {
        value.pop();
        if value.ends_with('\r') {
            value.pop();
        }
    }
    if value.is_empty() { Err(unusable("is empty")) } else { Ok(Secret(value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> SecretRef {
        SecretRef::Command(list.iter().map(|&w| w.to_owned()).collect())
    }

    fn file_of(dir: &tempfile::TempDir, content: &[u8], mode: u32) -> SecretRef {
        let path = dir.path().join("secret");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        SecretRef::File(path)
    }

    #[tokio::test]
    async fn the_environment_is_read_and_a_missing_variable_is_named() {
        let path = read(&SecretRef::Env("PATH".into())).await.unwrap();
        assert_eq!(path.expose(), std::env::var("PATH").unwrap());
        let error = read(&SecretRef::Env("QUARTERDECK_NO_SUCH".into())).await.unwrap_err();
        assert_eq!(error.to_string(), "the environment variable QUARTERDECK_NO_SUCH is not set");
    }

    #[tokio::test]
    async fn a_file_is_read_without_its_last_newline_only_when_no_one_else_can_reach_it() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(&file_of(&dir, b"s3cret \n", 0o600)).await.unwrap().expose(), "s3cret ");
        assert_eq!(read(&file_of(&dir, b"s3cret\r\n", 0o400)).await.unwrap().expose(), "s3cret");
        for mode in [0o640, 0o604, 0o620, 0o601] {
            let error = read(&file_of(&dir, b"s3cret", mode)).await.unwrap_err().to_string();
            assert!(error.contains(&format!("has mode {mode:04o}")) && error.contains("chmod 600"), "{error}");
        }
    }

    #[tokio::test]
    async fn what_is_no_secret_is_refused_with_its_reason() {
        let dir = tempfile::tempdir().unwrap();
        let long = vec![b'x'; usize::try_from(LONGEST).unwrap() + 1];
        for (content, words) in [(&b""[..], "is empty"), (b"\n", "is empty"), (b"\xff", "not UTF-8"), (&long, "64 KiB")]
        {
            let error = read(&file_of(&dir, content, 0o600)).await.unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
        let folder = read(&SecretRef::File(dir.path().to_owned())).await.unwrap_err();
        assert!(matches!(folder, SecretError::NotAFile(_)), "{folder}");
        let pipe = dir.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg("-m600").arg(&pipe).status().unwrap();
        assert!(made.success());
        let pipe = read(&SecretRef::File(pipe)).await.unwrap_err();
        assert!(matches!(pipe, SecretError::NotAFile(_)), "{pipe}");
        let gone = read(&SecretRef::File(dir.path().join("gone"))).await.unwrap_err().to_string();
        assert!(gone.contains("can not be read: No such file"), "{gone}");
    }

    #[tokio::test]
    async fn a_command_runs_without_a_shell_and_its_failures_are_told_apart() {
        assert_eq!(read(&words(&["echo", "$HOME; id"])).await.unwrap().expose(), "$HOME; id");
        let failed = read(&words(&["false"])).await.unwrap_err().to_string();
        assert_eq!(failed, "the secret command false failed: exit status: 1");
        let absent = read(&words(&["/no/such/program"])).await.unwrap_err();
        assert!(matches!(absent, SecretError::Start { .. }), "{absent}");
        assert!(matches!(read(&words(&[])).await.unwrap_err(), SecretError::Start { .. }));
        let endless = read(&words(&["yes"])).await.unwrap_err().to_string();
        assert_eq!(endless, "the secret from command:yes is longer than 64 KiB");
        let slow = read_within(&words(&["sleep", "600"]), Duration::from_millis(50)).await.unwrap_err();
        assert_eq!(slow.to_string(), "the secret command sleep printed nothing within 0.05 s");
    }

    #[tokio::test]
    async fn a_secret_is_never_shown() {
        let secret = read(&words(&["echo", "s3cret"])).await.unwrap();
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
    }
}
