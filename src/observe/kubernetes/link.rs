//! The way to one API server: the client made from a kubeconfig, one request, and what went wrong in words.
//! Used by the observer and by the verbs, which only differ in the kubeconfig they are given.

use crate::domain::sample::{Failure, FailureKind};
use crate::domain::text::sanitize;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper_timeout::TimeoutConnector;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{AuthError, Body, ClientBuilder, ConfigExt as _};
use kube::config::{KubeConfigOptions, KubeconfigError, LoadDataError};
use kube::{Client, Config};
use serde::Deserialize;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tower::{BoxError, ServiceBuilder};

/// A connection on which nothing is said is probed after this time, …
const KEEPALIVE: Duration = Duration::from_secs(5);

/// … and again after this, …
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);

/// … and is dead after so many probes without answer. A watch whose path was cut, by a firewall that forgot it
/// for instance, is thus noticed within ten seconds and not at its next bookmark.
const KEEPALIVE_PROBES: u32 = 2;

/// An error answer longer than this is not read further.
const ERROR_BODY: usize = 64 << 10;

/// A client for one API server. Cloning is cheap and shares the connections.
#[derive(Clone)]
pub struct Link {
    client: Client,
    server: Arc<str>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("server", &self.server).finish_non_exhaustive()
    }
}

/// How a request came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No connection came about: the server has not seen the request.
    NotSent(Failure),
    /// The connection was there, an answer was not: the server may have done what was asked.
    Lost(Failure),
    /// The server answered with an error status.
    Refused {
        /// HTTP status code.
        code: u16,
        /// One sentence.
        why: Failure,
    },
}

impl Fault {
    /// The failure, whatever the stage.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::NotSent(why) | Self::Lost(why) | Self::Refused { why, .. } => why,
        }
    }

    /// The HTTP status code, if there was an answer.
    pub const fn code(&self) -> Option<u16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::NotSent(_) | Self::Lost(_) => None,
        }
    }
}

/// The part of `metav1.Status` that is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Status {
    /// HTTP status code.
    pub code: u16,
    /// Sentence for people.
    pub message: String,
}

/// In whose name requests are made (<https://kubernetes.io/docs/reference/access-authn-authz/authentication/#user-impersonation>).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InNameOf {
    /// `Impersonate-User`.
    pub user: String,
    /// `Impersonate-Group`.
    pub group: Option<String>,
    /// `Impersonate-Extra-…`: what the API server's audit log says of the user beside the name.
    pub extra: Vec<(&'static str, String)>,
}

impl Link {
    /// Makes a client from a kubeconfig. Nothing is sent to the server yet; an `exec` credential plugin runs.
    pub async fn open(kubeconfig: PathBuf, context: Option<String>, connect: Duration) -> Result<Self, Failure> {
        Self::open_as(kubeconfig, context, connect, None).await
    }

    /// The same in somebody's name.
    pub async fn open_as(
        kubeconfig: PathBuf,
        context: Option<String>,
        connect: Duration,
        name: Option<InNameOf>,
    ) -> Result<Self, Failure> {
        let path = kubeconfig.clone();
        let read = tokio::task::spawn_blocking(move || crate::config::kubeconfig::read(&path));
        let local =
            |why: String| Failure::new(FailureKind::Local, format!("kubeconfig {}: {why}", kubeconfig.display()));
        let read = read.await.map_err(|_| local("reading it was interrupted".into()))?;
        let read = read.map_err(|e| local(config_words(&e)))?;
        let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
        let mut config = Config::from_custom_kubeconfig(read, &options).await.map_err(|e| local(config_words(&e)))?;
        if let Some(InNameOf { user, group, extra }) = name {
            let own = &mut config.auth_info;
            // Two names in one request would be one too many.
            if own.impersonate.is_some() || own.impersonate_groups.is_some() || own.impersonate_uid.is_some() {
                return Err(local("its user acts as another one already (`as`), so it can not act as a person".into()));
            }
            own.impersonate = Some(user);
            own.impersonate_groups = group.map(|group| vec![group]);
            own.impersonate_user_extra = Some(extra.into_iter().map(|(key, of)| (key.to_owned(), vec![of])).collect());
        }
        if config.proxy_url.is_some() {
            return Err(local("its proxy-url is not supported".into()));
        }
        let url = &config.cluster_url;
        let server = match (url.host(), url.port_u16()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(local("the cluster's server is not a URL with a host".into())),
        };
        let made = tokio::task::spawn_blocking(move || client(&config, connect)).await;
        let client = made.map_err(|_| local("making a client was interrupted".into()))?.map_err(|e| match e {
            kube::Error::Auth(e) => Failure::new(FailureKind::Local, auth_words(&e)),
            e => local(root_cause(&e)),
        })?;
        Ok(Self { client, server: sanitize(&server).into() })
    }

    /// Host and port of the server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Sends one request, once; an answer that is not 2xx is a fault.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Response<Body>, Fault> {
        let response = self.client.send(request.map(Body::from)).await.map_err(|e| self.fault(&e))?;
        if response.status().is_success() {
            return Ok(response);
        }
        let code = response.status();
        let body =
            Limited::new(response.into_body(), ERROR_BODY).collect().await.map(http_body_util::Collected::to_bytes);
        let message = match &body {
            Ok(bytes) => match serde_json::from_slice::<Status>(bytes) {
                Ok(status) => status.message,
                Err(_) => plain_words(&String::from_utf8_lossy(bytes)),
            },
            Err(_) => String::new(),
        };
        Err(self.refused(code.as_u16(), &message))
    }

    /// The body of a GET, at most `limit` bytes.
    pub async fn get(&self, path: &str, limit: usize) -> Result<Vec<u8>, Fault> {
        let request = Request::get(path).body(Vec::new()).map_err(|e| {
            Fault::NotSent(Failure::new(FailureKind::Local, format!("{path} is not a path that can be asked for: {e}")))
        })?;
        self.body(self.send(request).await?, limit).await
    }

    /// All of an answer's body, at most `limit` bytes.
    pub async fn body(&self, response: Response<Body>, limit: usize) -> Result<Vec<u8>, Fault> {
        match Limited::new(response.into_body(), limit).collect().await {
            Ok(body) => Ok(body.to_bytes().to_vec()),
            Err(e) if e.is::<LengthLimitError>() => {
                Err(Fault::Lost(self.failure(FailureKind::Protocol, &format!("an answer of more than {limit} bytes"))))
            }
            Err(e) => Err(Fault::Lost(self.transport(&*e))),
        }
    }

    /// A failure that names the server.
    pub fn failure(&self, kind: FailureKind, why: &str) -> Failure {
        Failure::new(kind, format!("API server {}: {why}", self.server))
    }

    /// A failure of the connection, from the error that the client or its stream gave.
    pub fn transport(&self, error: &(dyn Error + 'static)) -> Failure {
        let (kind, why) = classify(error);
        self.failure(kind, &why)
    }

    /// The fault that an error status means.
    pub fn refused(&self, code: u16, message: &str) -> Fault {
        let kind = match code {
            401 => FailureKind::Authentication,
            403 => FailureKind::Permission,
            408 | 504 => FailureKind::Timeout,
            429 | 500..=503 => FailureKind::Unreachable,
            _ => FailureKind::Protocol,
        };
        let reason = StatusCode::from_u16(code).ok().and_then(|c| c.canonical_reason()).unwrap_or("unknown status");
        let why = match message.trim() {
            "" => format!("answered {code} {reason}"),
            message => format!("answered {code} {reason}: {message}"),
        };
        Fault::Refused { code, why: self.failure(kind, &why) }
    }

    fn fault(&self, error: &kube::Error) -> Fault {
        if let kube::Error::Auth(e) = error {
            return Fault::NotSent(Failure::new(FailureKind::Local, auth_words(e)));
        }
        let failure = self.transport(error);
        let not_sent =
            find::<hyper_util::client::legacy::Error>(error).is_some_and(hyper_util::client::legacy::Error::is_connect);
        if not_sent { Fault::NotSent(failure) } else { Fault::Lost(failure) }
    }
}

/// The stack that `kube` makes from a configuration, with keepalive, and without its retries and its log lines
/// for each failure: when to ask again is decided, and failures are shown, elsewhere.
fn client(config: &Config, connect: Duration) -> Result<Client, kube::Error> {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_keepalive(Some(KEEPALIVE));
    tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    tcp.set_keepalive_retries(Some(KEEPALIVE_PROBES));
    // The time to connect includes the TLS handshake.
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(tcp)?);
    connector.set_connect_timeout(Some(connect));
    connector.set_write_timeout(Some(connect));
    let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(http);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()).build())
}

/// What an error answer that is not a Status says: the failed checks of `/readyz`, or its beginning.
fn plain_words(text: &str) -> String {
    let failed: Vec<&str> = text.lines().filter(|line| line.starts_with("[-]")).collect();
    let words = if failed.is_empty() { text.to_owned() } else { failed.join(", ") };
    words.chars().take(200).collect()
}

/// Words for an unusable kubeconfig that never quote its content, which holds credentials.
fn config_words(error: &KubeconfigError) -> String {
    let unloaded = |what: &str, e: &LoadDataError| match e {
        LoadDataError::DecodeBase64(_) => format!("its {what} is not base64"),
        LoadDataError::ReadFile(e, path) => format!("its {what} {} can not be read: {e}", path.display()),
        LoadDataError::NoBase64DataOrFile => format!("it has no {what}"),
    };
    match error {
        KubeconfigError::ReadConfig(e, _) => format!("can not be read: {e}"),
        KubeconfigError::Parse(_) => "is not a kubeconfig (kubectl config view says where)".into(),
        KubeconfigError::LoadContext(name) => format!("has no context {name:?}"),
        KubeconfigError::LoadClusterOfContext(name) => format!("has no cluster {name:?}"),
        KubeconfigError::LoadCertificateAuthority(e) => unloaded("certificate authority", e),
        KubeconfigError::LoadClientCertificate(e) => unloaded("client certificate", e),
        KubeconfigError::LoadClientKey(e) => unloaded("client key", e),
        KubeconfigError::ParseCertificates(_) => "its certificates are not PEM".into(),
        KubeconfigError::ParseClusterUrl(_) => "the cluster's server is not a URL".into(),
        KubeconfigError::ParseProxyUrl(_) => "its proxy-url is not a URL".into(),
        other => other.to_string(),
    }
}

/// Words for credentials that could not be had; the output of a credential plugin is never quoted.
fn auth_words(error: &AuthError) -> String {
    match error {
        // Its command line may hold secrets as well.
        AuthError::AuthExecRun { out, .. } => format!("the credential plugin ended with {}", out.status),
        AuthError::AuthExecStart(e) => format!("the credential plugin can not be run: {e}"),
        AuthError::AuthExecParse(_) | AuthError::ExecPluginFailed => {
            "the credential plugin did not print an ExecCredential".into()
        }
        AuthError::ReadTokenFile(e, path) => format!("token file {} can not be read: {e}", Path::display(path)),
        AuthError::InvalidBasicAuth(_) | AuthError::InvalidBearerToken(_) => {
            "the credentials hold characters that a header can not carry".into()
        }
        _ => "the credentials of the kubeconfig can not be used".into(),
    }
}

/// Class and words of a connection that failed.
fn classify(error: &(dyn Error + 'static)) -> (FailureKind, String) {
    if let Some(tls) = find::<rustls::Error>(error) {
        return (FailureKind::Tls, format!("TLS failed: {tls}"));
    }
    if let Some(http) = find::<hyper_util::client::legacy::Error>(error)
        && find::<std::io::Error>(error).is_none()
        && http.is_connect()
    {
        return (FailureKind::Unreachable, root_cause(error));
    }
    match innermost_io(error).map(std::io::Error::kind) {
        Some(std::io::ErrorKind::TimedOut) => (FailureKind::Timeout, "no connection within the time allowed".into()),
        Some(std::io::ErrorKind::ConnectionRefused) => {
            (FailureKind::Unreachable, "connection refused, nobody listens".into())
        }
        Some(std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset) => {
            (FailureKind::Unreachable, "the connection was cut".into())
        }
        Some(_) => (FailureKind::Unreachable, root_cause(error)),
        None => {
            let cause = root_cause(error);
            // hyper's own errors tell an answer that is not HTTP from a connection that ended.
            let cut = ["incomplete", "closed", "before message completed", "end of file"];
            if cut.iter().any(|words| cause.contains(words)) {
                (FailureKind::Unreachable, format!("the connection was cut: {cause}"))
            } else {
                (FailureKind::Protocol, format!("the answer is not HTTP: {cause}"))
            }
        }
    }
}

/// The first error of that type among an error and its sources. What an `io::Error` wraps is looked into,
/// since its `source` skips it.
fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        if let Some(inner) = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref)
            && let Some(found) = find::<T>(inner)
        {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost I/O error: a TLS or proxy layer wraps the one of the socket in its own.
fn innermost_io<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a std::io::Error> {
    let mut innermost = find::<std::io::Error>(error)?;
    while let Some(inner) = innermost.get_ref().and_then(|e| find::<std::io::Error>(e)) {
        innermost = inner;
    }
    Some(innermost)
}

/// The words of the innermost source.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
