//! Sending one rendered HTTP request that changes something: once, with its secrets put in at the last moment, and
//! an outcome that says what is known.

use crate::config::model::{Ca, SecretRef};
use crate::config::secret::{self, Secret};
use crate::domain::ports::Outcome;
use crate::domain::request::{Operation, Request};
use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use crate::observe::http::{Answer, Http, Trust, Undelivered, public};
use reqwest::header::{AUTHORIZATION, HOST};
use reqwest::{Method, Url};
use serde_json::Value;
use std::time::Duration;

/// Bytes of an answer that are taken.
const ANSWER_BYTES: usize = 64 << 10;
/// Characters of an answer that is no JSON, as they are kept.
const ANSWER_CHARS: usize = 500;
/// For trying whether a server can be reached.
const KNOCK: Duration = Duration::from_secs(3);

/// What a rendered request does not hold, since it is shown and recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// The URL itself.
    pub(super) url: Option<SecretRef>,
    /// `Authorization`: its scheme, and what follows.
    pub(super) authorization: Option<(&'static str, SecretRef)>,
    /// A user's password, for basic authentication.
    pub(super) basic: Option<(String, Option<SecretRef>)>,
    /// A member of the JSON body whose value is replaced.
    pub(super) member: Option<(&'static str, SecretRef)>,
    /// Whose authorities vouch for it, and from which version of TLS on.
    pub(super) ca: Ca,
}

/// A request on its way.
struct Ready {
    request: reqwest::RequestBuilder,
    url: String,
}

/// Sends it. An answer of 2xx is `Done`; other answers below 500 say that nothing was done; what a server did that
/// answers 5xx, or does not answer, is not known.
pub(super) async fn send(request: &Request, secrets: &Secrets, within: Duration) -> Outcome {
    send_unless(request, secrets, within, |_| false).await
}

/// The same to a server that says by some of its answers of 5xx that it has begun nothing.
pub(super) async fn send_unless(
    request: &Request,
    secrets: &Secrets,
    within: Duration,
    refuses: impl Fn(&Answer) -> bool + Send,
) -> Outcome {
    let started = tokio::time::Instant::now();
    let ready = match tokio::time::timeout(within, ready(request, secrets)).await {
        Ok(Ok(ready)) => ready,
        Ok(Err(why)) => return Outcome::Failed { why },
        Err(_) => {
            let why = format!("the secrets of {} were not read in time; nothing was sent", request.verb);
            return Outcome::Failed { why: Failure::new(FailureKind::Timeout, why) };
        }
    };
    let left = within.saturating_sub(started.elapsed());
    match Http::deliver(ready.request, &ready.url, ANSWER_BYTES, left).await {
        Ok(answer) => match outcome(&ready.url, &answer) {
            Outcome::Unknown { why } if refuses(&answer) => Outcome::Failed { why },
            other => other,
        },
        Err(Undelivered::NotSent(why)) => Outcome::Failed { why },
        Err(Undelivered::Lost(why)) => Outcome::Unknown { why },
    }
}

/// Says what would be sent, after making sure that its secrets can be read and that somebody listens there.
pub(super) async fn foresee(request: &Request, secrets: &Secrets) -> Result<String, Failure> {
    let Operation::Http { method, body, .. } = &request.operation else { return Err(no_http(request)) };
    let ready = ready(request, secrets).await?;
    let url = Url::parse(&ready.url).map_err(|e| local(format!("the URL can not be used: {e}")))?;
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    let port = url.port_or_known_default().unwrap_or(443);
    let knocked = tokio::time::timeout(KNOCK, tokio::net::TcpStream::connect((host.as_str(), port))).await;
    match knocked {
        Ok(Ok(_)) => Ok(format!("would {method} {} bytes to {}", body.len(), shown(&ready.url, secrets))),
        Ok(Err(e)) => {
            Err(Failure::new(FailureKind::Unreachable, format!("nobody can be reached at {host}:{port}: {e}")))
        }
        Err(_) => {
            let why = format!("no answer from {host}:{port} within {} s", KNOCK.as_secs());
            Err(Failure::new(FailureKind::Timeout, why))
        }
    }
}

/// A secret URL is named by its host alone.
fn shown(url: &str, secrets: &Secrets) -> String {
    match (&secrets.url, Url::parse(url)) {
        (Some(_), Ok(url)) => url.origin().ascii_serialization(),
        _ => public(url),
    }
}

async fn ready(request: &Request, secrets: &Secrets) -> Result<Ready, Failure> {
    let Operation::Http { method, path, headers, body } = &request.operation else { return Err(no_http(request)) };
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| local(format!("{method} is no method: {e}")))?;
    let url = match &secrets.url {
        Some(reference) => read(reference).await?.expose().trim().to_owned(),
        None => path.clone(),
    };
    let parsed = Url::parse(&url).map_err(|e| local(format!("the URL can not be used: {e}")))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        return Err(local("the URL must begin with http:// or https://".to_owned()));
    }
    let trust = Trust::of(&secrets.ca, [url.as_str()]);
    let http = tokio::task::spawn_blocking(move || Http::new(&trust))
        .await
        .map_err(|_| local("making an HTTP client was broken off".to_owned()))??;
    let mut sending = http.request(method, parsed.clone());
    for (name, value) in headers.iter().filter(|(name, _)| !name.eq_ignore_ascii_case(HOST.as_str())) {
        sending = sending.header(name, value);
    }
    if let Some((scheme, reference)) = &secrets.authorization {
        let secret = read(reference).await?;
        let mut value = reqwest::header::HeaderValue::from_str(&format!("{scheme} {}", secret.expose()))
            .map_err(|_| local("the token holds characters that no header can".to_owned()))?;
        value.set_sensitive(true);
        sending = sending.header(AUTHORIZATION, value);
    }
    if let Some((user, password)) = &secrets.basic {
        let password = match password {
            Some(reference) => Some(read(reference).await?),
            None => None,
        };
        sending = sending.basic_auth(user, password.as_ref().map(Secret::expose));
    }
    let body = match &secrets.member {
        Some((member, reference)) => with_member(body, member, &read(reference).await?)?,
        None => body.clone(),
    };
    // A secret URL is not named in errors beyond its host.
    let url = if secrets.url.is_some() { parsed.origin().ascii_serialization() } else { url };
    Ok(Ready { request: sending.body(body), url })
}

fn with_member(body: &str, member: &str, secret: &Secret) -> Result<String, Failure> {
    let mut value: Value = serde_json::from_str(body).map_err(|e| local(format!("the body is no JSON: {e}")))?;
    let place = value.get_mut(member).ok_or_else(|| local(format!("the body has no member {member}")))?;
    *place = Value::String(secret.expose().to_owned());
    Ok(value.to_string())
}

async fn read(reference: &SecretRef) -> Result<Secret, Failure> {
    secret::read(reference).await.map_err(|e| local(e.to_string()))
}

fn outcome(url: &str, answer: &Answer) -> Outcome {
    let text = String::from_utf8_lossy(&answer.body);
    let said: Value = serde_json::from_str(&text)
        .unwrap_or_else(|_| Value::String(sanitize(&text).chars().take(ANSWER_CHARS).collect()));
    let (url, status) = (public(url), answer.status);
    let words = match &said {
        Value::Null => String::new(),
        Value::String(text) if text.is_empty() => String::new(),
        Value::String(text) => format!(": {text}"),
        other => format!(": {}", other.to_string().chars().take(ANSWER_CHARS).collect::<String>()),
    };
    let why = |kind| Failure::new(kind, format!("{url} answered HTTP {status}{words}"));
    match status {
        200..300 => Outcome::Done {
            result: serde_json::json!({ "status": status, "answer": said }),
            summary: format!("{url} answered HTTP {status}"),
        },
        401 => Outcome::Failed { why: why(FailureKind::Authentication) },
        403 => Outcome::Failed { why: why(FailureKind::Permission) },
        ..500 => Outcome::Failed { why: why(FailureKind::Protocol) },
        _ => Outcome::Unknown { why: why(FailureKind::Protocol) },
    }
}

fn no_http(request: &Request) -> Failure {
    local(format!("{}: the request is no HTTP request", request.verb))
}

fn local(why: String) -> Failure {
    Failure::new(FailureKind::Local, why)
}
