//! Where an Alertmanager may tell of its alerts: HTTP/1.1, `POST /alerts` with the secret as bearer, bounded in bytes,
//! time and connections. What is refused is answered with the reason and counted.

use super::alert::{self, Told};
use super::{ANSWER, Shared};
use crate::config::model::Webhook;
use crate::config::secret::{self, Secret};
use crate::domain::facts::Facts;
use crate::domain::ports::SampleSink;
use crate::domain::sample::{Failure, FailureKind, Sample};
use crate::observe::http::call::{BROKEN, Refusal, answer, head, header};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::time::Duration;
use subtle::ConstantTimeEq as _;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

/// Connections served at a time; others wait.
const AT_ONCE: usize = 4;
/// Time allowed for one call, from its first byte to the answer.
const WITHIN: Duration = Duration::from_secs(5);
/// Longest head.
const HEAD: usize = 16 << 10;
/// An address in use or a secret that can not be read is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);

/// Listens for ever.
pub(super) async fn listen(shared: Arc<Shared>, hook: Webhook, sink: SampleSink) {
    loop {
        let failure = match open(&hook).await {
            Ok((listener, secret)) => {
                shared.known().deaf = None;
                serve(&shared, listener, Arc::new(secret), &sink).await
            }
            Err(failure) => failure,
        };
        shared.known().deaf = Some(failure);
        tokio::time::sleep(AGAIN).await;
    }
}

async fn open(hook: &Webhook) -> Result<(TcpListener, Secret), Failure> {
    let local = |why: String| Failure::new(FailureKind::Local, format!("the web hook on {}: {why}", hook.listen));
    let secret = secret::read(&hook.secret).await.map_err(|e| local(e.to_string()))?;
    if secret.expose().is_empty() {
        return Err(local("its secret is empty".into()));
    }
    let listener = TcpListener::bind(hook.listen).await.map_err(|e| local(format!("can not listen: {e}")))?;
    Ok((listener, secret))
}

async fn serve(shared: &Arc<Shared>, listener: TcpListener, secret: Arc<Secret>, sink: &SampleSink) -> Failure {
    let turnstile = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        let Ok(turn) = Arc::clone(&turnstile).acquire_owned().await else {
            return Failure::new(FailureKind::Local, "the web hook was closed");
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(e) => return Failure::new(FailureKind::Local, format!("the web hook can not listen any more: {e}")),
        };
        let (shared, secret, sink) = (Arc::clone(shared), Arc::clone(&secret), Arc::clone(sink));
        tokio::spawn(async move {
            let _turn = turn;
            let _ = tokio::time::timeout(WITHIN, call(&shared, stream, &secret, &sink)).await;
        });
    }
}

async fn call(shared: &Shared, mut stream: TcpStream, secret: &Secret, sink: &SampleSink) {
    let began = Instant::now();
    let (code, words) = match take(shared, &mut stream, secret).await {
        Ok(told) => {
            let now = Timestamp::now();
            let mut known = shared.known();
            known.left_out = told.left_out;
            known.alerts.retain(|key, _| !told.resolved.contains(key));
            known.alerts.extend(told.firing);
            drop(known);
            let result = Ok(Arc::new(Facts::Measured(shared.facts(now))));
            sink(Sample { source: shared.config.id.clone(), taken_at: now, took: began.elapsed(), result });
            (200, "taken")
        }
        Err(refusal) => {
            let mut known = shared.known();
            known.refused = known.refused.saturating_add(1);
            refusal
        }
    };
    let _ = answer(&mut stream, &format!("{code} {words}"), "text/plain", &format!("{words}\n")).await;
}

async fn take(shared: &Shared, stream: &mut TcpStream, secret: &Secret) -> Result<Told, Refusal> {
    let (length, mut body) =
        head(stream, (HEAD, "the head is longer than 16 KiB"), |request| judge(request, secret)).await?;
    while body.len() < length {
        let mut chunk = vec![0_u8; (length - body.len()).min(64 << 10)];
        let read = stream.read(&mut chunk).await.map_err(|_| BROKEN)?;
        if read == 0 {
            return Err(BROKEN);
        }
        body.extend_from_slice(chunk.get(..read).ok_or(BROKEN)?);
    }
    body.truncate(length);
    alert::told(&body, &shared.config, Timestamp::now()).map_err(|_| (400, "the body is no call of an Alertmanager"))
}

/// The length of the body. Who does not know the secret learns nothing but that.
fn judge(request: &httparse::Request<'_, '_>, secret: &Secret) -> Result<usize, Refusal> {
    let given = header(request, "authorization").and_then(|v| v.strip_prefix(b"Bearer ")).unwrap_or_default();
    if !same(given.trim_ascii(), secret.expose().as_bytes()) {
        return Err((401, "the secret is missing or wrong"));
    }
    if request.method != Some("POST") {
        return Err((405, "alerts are told by POST"));
    }
    if request.path.map(|p| p.split('?').next()) != Some(Some("/alerts")) {
        return Err((404, "alerts are told at /alerts"));
    }
    let length = header(request, "content-length").and_then(|v| std::str::from_utf8(v).ok()?.parse::<usize>().ok());
    match length {
        None => Err((411, "the length of the body is missing")),
        Some(length) if length > ANSWER => Err((413, "the body is longer than 4 MiB")),
        Some(length) => Ok(length),
    }
}

/// In a time that tells neither the length of the secret nor where it differs.
fn same(a: &[u8], b: &[u8]) -> bool {
    Sha256::digest(a).ct_eq(&Sha256::digest(b)).into()
}
