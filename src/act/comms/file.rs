//! `comms.file`: a message as a file of its own in the directory of `[comms]`, for whoever picks them up. It is named
//! by its content, so that the same message twice is one file.

use super::{AUDIENCE, Message, SUBJECT, TEXT};
use crate::act::args::shell;
use crate::config::model::Comms;
use crate::domain::behalf::Behalf;
use crate::domain::ports::{BoxFuture, Outcome, Reconciled, RenderContext, Verb, VerbError};
use crate::domain::request::{Operation, Request, VerbSpec};
use crate::domain::sample::{Failure, FailureKind};
use crate::policy::authorized::Authorized;
use rustix::fs::{Access, Mode, OFlags};
use serde_json::json;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What it declares.
pub(super) static SPEC: VerbSpec = super::spec(
    "comms.file",
    "leaves a message as a file in the directory of [comms]",
    &[AUDIENCE, SUBJECT, TEXT],
    true,
);

/// The verb.
pub(super) struct File(pub(super) Arc<Comms>);

impl File {
    fn checked(&self, request: &Request) -> Result<(PathBuf, String), Failure> {
        let Operation::File { path, content: Some(content) } = &request.operation else {
            return Err(super::super::foreign(request));
        };
        let path = PathBuf::from(path);
        if request.verb != SPEC.name || path.parent() != self.0.dir.as_deref() {
            return Err(super::super::foreign(request));
        }
        Ok((path, content.clone()))
    }
}

/// What stands at the path: `None` for nothing.
fn found(path: &Path, content: &str) -> io::Result<Option<bool>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
        Ok(fd) => {
            let mut bytes = Vec::new();
            std::fs::File::from(fd).take(content.len() as u64 + 1).read_to_end(&mut bytes)?;
            Ok(Some(bytes == content.as_bytes()))
        }
    }
}

fn write(path: &Path, content: &str) -> io::Result<bool> {
    if let Some(same) = found(path, content)? {
        return if same { Ok(false) } else { Err(ErrorKind::AlreadyExists.into()) };
    }
    let dir = path.parent().unwrap_or(Path::new("/"));
    let mut aside = tempfile::Builder::new().prefix(".quarterdeck-").suffix(".tmp").tempfile_in(dir)?;
    aside.write_all(content.as_bytes())?;
    aside.as_file().set_permissions(std::fs::Permissions::from_mode(0o640))?;
    aside.as_file().sync_all()?;
    aside.persist_noclobber(path).map_err(|e| e.error)?;
    std::fs::File::open(dir)?.sync_all()?;
    Ok(true)
}

fn problem(path: &Path, error: &io::Error) -> Failure {
    let kind = if error.kind() == ErrorKind::PermissionDenied { FailureKind::Permission } else { FailureKind::Local };
    let hint = match error.kind() {
        ErrorKind::AlreadyExists => "another file of that name stands there".to_owned(),
        ErrorKind::NotFound => "the directory of [comms] does not exist".to_owned(),
        _ => error.to_string(),
    };
    Failure::new(kind, format!("can not write {}: {hint}", path.display()))
}

/// A message as it stands in its file.
pub(super) fn content(audience: &str, subject: &str, text: &str) -> String {
    format!("To: {audience}\nSubject: {subject}\n\n{text}\n")
}

/// Leaves a file where none of its name stands, or the same one.
pub(super) async fn leave(path: PathBuf, content: String, within: std::time::Duration) -> Outcome {
    let shown = path.display().to_string();
    let work = blocking(move || write(&path, &content).map_err(|e| problem(&path, &e)));
    match tokio::time::timeout(within, work).await {
        Ok(Ok(Ok(written))) => Outcome::Done {
            result: json!({ "written": written, "path": shown }),
            summary: format!("{shown} {}", if written { "is written" } else { "stood there already" }),
        },
        Ok(Ok(Err(why))) => Outcome::Failed { why },
        Ok(Err(why)) => Outcome::Unknown { why },
        Err(_) => {
            let why = format!("the file system of {shown} did not answer in time");
            Outcome::Unknown { why: Failure::new(FailureKind::Timeout, why) }
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    let lost = |_| Failure::new(FailureKind::Local, "the work on the file was broken off");
    tokio::task::spawn_blocking(work).await.map_err(lost)
}

impl Verb for File {
    type Permit = Authorized;

    fn spec(&self) -> &'static VerbSpec {
        &SPEC
    }

    fn render(&self, context: &RenderContext<'_>) -> Result<Request, VerbError> {
        let message = Message::new(context, &self.0)?;
        let dir = self.0.dir.as_ref().ok_or_else(|| VerbError::new("[comms] has no `dir` to leave messages in"))?;
        let path = dir.join(format!("quarterdeck-{}-{}.txt", message.audience.name, message.key()));
        let path = path.to_str().ok_or_else(|| VerbError::new("`dir` of [comms] is no UTF-8 path"))?.to_owned();
        let whole = content(&message.audience.name, &message.subject, &message.text);
        let by_hand = format!("install -m 0640 /dev/stdin {} <<'END'\n{whole}END", shell(&path));
        let object = format!("message for the audience {}", message.audience.name);
        let checks = vec!["only if no other file of that name stands there".to_owned()];
        let operation = Operation::File { path, content: Some(whole) };
        Ok(super::request(context, &SPEC, object, 1, operation, by_hand, checks))
    }

    fn dry_run<'a>(&'a self, request: &'a Request, _: Option<&'a Behalf>) -> BoxFuture<'a, Result<String, Failure>> {
        Box::pin(async move {
            let (path, content) = self.checked(request)?;
            blocking(move || {
                let said = match found(&path, &content).map_err(|e| problem(&path, &e))? {
                    Some(true) => return Ok(format!("{} says so already: no change", path.display())),
                    Some(false) => return Err(problem(&path, &ErrorKind::AlreadyExists.into())),
                    None => format!("would write {} ({} bytes)", path.display(), content.len()),
                };
                let dir = path.parent().unwrap_or(Path::new("/"));
                rustix::fs::access(dir, Access::WRITE_OK | Access::EXEC_OK).map_err(|e| problem(&path, &e.into()))?;
                Ok(said)
            })
            .await?
        })
    }

    fn execute(&self, permit: Authorized) -> BoxFuture<'_, Outcome> {
        Box::pin(async move {
            let (path, content) = match self.checked(permit.request()) {
                Ok(checked) => checked,
                Err(why) => return Outcome::Failed { why },
            };
            leave(path, content, permit.timeout()).await
        })
    }

    fn reconcile<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Reconciled> {
        Box::pin(async move {
            let (path, content) = match self.checked(request) {
                Ok(checked) => checked,
                Err(why) => return Reconciled::Undecided { why: why.message },
            };
            let shown = path.display().to_string();
            match blocking(move || found(&path, &content).map_err(|e| problem(&path, &e))).await {
                Ok(Ok(Some(true))) => Reconciled::TookEffect { seen: format!("{shown} says so") },
                Ok(Ok(Some(false))) => Reconciled::Undecided { why: format!("{shown} says something else") },
                Ok(Ok(None)) => Reconciled::NoEffect { seen: format!("{shown} does not exist") },
                Ok(Err(why)) | Err(why) => Reconciled::Undecided { why: why.message },
            }
        })
    }
}
