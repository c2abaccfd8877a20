//! The HTTP client of the observers and verbs: rustls on ring, the system's or own authorities, no redirects, no
//! proxy, bounded bodies, and errors sorted into the classes that a pane can show.

use crate::config::authorities::{chain, innermost};
use crate::config::model::{Ca, ClientCertificate, TlsMin};
use crate::domain::sample::{Failure, FailureKind};
use showing::{Showing, Unreadable};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What is asked of a server's certificate, and what the server is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    authorities: Authorities,
    min: TlsMin,
    client: Option<Box<ClientCertificate>>,
}

/// Which authorities vouch for a server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Authorities {
    /// Those of the operating system.
    System,
    /// Only those in this PEM file.
    Own(PathBuf),
    /// None: only plain `http` is spoken, so a host without any authorities installed will do.
    PlainOnly,
}

impl Trust {
    const fn by(authorities: Authorities) -> Self {
        Self { authorities, min: TlsMin::V12, client: None }
    }

    /// The authorities of the operating system.
    pub const fn system() -> Self {
        Self::by(Authorities::System)
    }

    /// Only the authorities in this PEM file.
    pub const fn own(file: PathBuf) -> Self {
        Self::by(Authorities::Own(file))
    }

    /// No server that speaks TLS.
    pub const fn plain_only() -> Self {
        Self::by(Authorities::PlainOnly)
    }

    /// What a server and its URLs need.
    pub fn of<'a>(ca: &Ca, urls: impl IntoIterator<Item = &'a str>) -> Self {
        Self { min: ca.min, client: ca.client.clone(), ..Self::for_urls(ca.file.as_deref(), urls) }
    }

    /// What a set of URLs needs: own authorities where given, else the system's where a URL is `https`.
    pub fn for_urls<'a>(ca: Option<&Path>, urls: impl IntoIterator<Item = &'a str>) -> Self {
        match ca {
            Some(ca) => Self::own(ca.to_owned()),
            None if urls.into_iter().any(|u| u.starts_with("https:")) => Self::system(),
            None => Self::plain_only(),
        }
    }
}

/// One answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Response headers.
    pub headers: reqwest::header::HeaderMap,
    /// Body, at most the limit that was asked for.
    pub body: Vec<u8>,
    /// The body was longer than that.
    pub truncated: bool,
    /// Time from sending to the response head.
    pub head_after: Duration,
}

/// What a status other than success stands for.
pub const fn refusal(status: u16) -> FailureKind {
    match status {
        401 => FailureKind::Authentication,
        403 => FailureKind::Permission,
        _ => FailureKind::Protocol,
    }
}

impl Answer {
    /// The body as text when it is complete UTF-8 of a 200; any other answer is the failure it stands for.
    pub fn into_text(self, url: &str) -> Result<String, Failure> {
        let url = public(url);
        if self.status != 200 {
            return Err(Failure::new(refusal(self.status), format!("{url} answered HTTP {}", self.status)));
        }
        if self.truncated {
            let bytes = self.body.len();
            return Err(Failure::new(FailureKind::Protocol, format!("{url} sent more than {bytes} bytes")));
        }
        String::from_utf8(self.body)
            .map_err(|_| Failure::new(FailureKind::Protocol, format!("{url} answered with bytes that are no text")))
    }
}

/// Why a request that changes something has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// It never left: no connection, or no request that could be sent.
    NotSent(Failure),
    /// It may have been taken: the answer is missing or broken off.
    Lost(Failure),
}

/// What to ask for.
#[derive(Clone, Debug)]
pub struct Ask<'a> {
    /// Absolute URL.
    pub url: &'a str,
    /// `Host`, where it differs from the URL's.
    pub host: Option<&'a str>,
    /// `Accept`.
    pub accept: &'static str,
    /// Body bytes taken at most.
    pub limit: usize,
    /// Time allowed from connecting to the last body byte.
    pub timeout: Duration,
}

/// Installs ring as the provider of TLS for the whole process; again and again is fine.
pub fn install_ring() {
    // The error only says that a provider is installed already, which is what is wanted.
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// A client; cheap to clone, keeps connections.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
}

impl Http {
    /// Makes a client; reads the authorities' file, so it belongs on a thread that may block.
    pub fn new(trust: &Trust) -> Result<Self, Failure> {
        Self::build(trust, None)
    }

    /// The same, which resolves the host `name` to `addresses`, so that TLS asks for and checks that name.
    pub fn connecting_to(trust: &Trust, name: &str, addresses: &[std::net::SocketAddr]) -> Result<Self, Failure> {
        Self::build(trust, Some((name, addresses)))
    }

    fn build(trust: &Trust, resolve: Option<(&str, &[std::net::SocketAddr])>) -> Result<Self, Failure> {
        install_ring();
        let builder = reqwest::Client::builder()
            .user_agent(concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .pool_max_idle_per_host(2);
        let local = |why: String| Failure::new(FailureKind::Local, why);
        let Trust { authorities, min, client } = trust;
        let Some(client) = client else {
            let builder = match authorities {
                Authorities::System => builder,
                Authorities::PlainOnly => builder.tls_certs_only([]),
                Authorities::Own(path) => builder.tls_certs_only(authorities::read(path).map_err(local)?),
            };
            return Self::built(min.of(builder), resolve);
        };
        let roots = match authorities {
            Authorities::System => authorities::systems(),
            Authorities::PlainOnly => Ok(rustls::RootCertStore::empty()),
            Authorities::Own(path) => authorities::roots(path),
        };
        let showing = Showing::new((**client).clone());
        let config = showing.tls(roots.map_err(local)?, *min).map_err(local)?;
        Self::built(builder.tls_backend_preconfigured(config).connector_layer(showing), resolve)
    }

    fn built(
        builder: reqwest::ClientBuilder,
        resolve: Option<(&str, &[std::net::SocketAddr])>,
    ) -> Result<Self, Failure> {
        let builder = match resolve {
            Some((name, addresses)) => builder.resolve_to_addrs(name, addresses),
            None => builder,
        };
        let client = builder
            .build()
            .map_err(|e| Failure::new(FailureKind::Local, format!("no HTTP client can be made: {}", innermost(&e))))?;
        Ok(Self { client })
    }

    /// Asks by GET.
    pub async fn get(&self, ask: &Ask<'_>) -> Result<Answer, Failure> {
        let mut request = self.client.get(ask.url).header(reqwest::header::ACCEPT, ask.accept).timeout(ask.timeout);
        if let Some(host) = ask.host {
            request = request.header(reqwest::header::HOST, host);
        }
        Self::answer(request, ask.url, ask.limit, ask.timeout).await
    }

    /// Begins a request of any method, to be finished with headers and a body and sent with [`Http::send`].
    pub fn request(&self, method: reqwest::Method, url: reqwest::Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends what [`Http::request`] began, and takes at most `limit` bytes of the answer's body. `url` is what
    /// errors name, without its query.
    pub async fn send(
        request: reqwest::RequestBuilder,
        url: &str,
        limit: usize,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        Self::answer(request.timeout(timeout), url, limit, timeout).await
    }

    /// The same for a request that changes something: an error says whether the server may have taken it.
    pub async fn deliver(
        request: reqwest::RequestBuilder,
        url: &str,
        limit: usize,
        timeout: Duration,
    ) -> Result<Answer, Undelivered> {
        let sent = Instant::now();
        match request.timeout(timeout).send().await {
            // Before there is a connection nothing can have been taken.
            Err(e) if e.is_connect() || e.is_builder() => Err(Undelivered::NotSent(classify(e, url, timeout))),
            Err(e) => Err(Undelivered::Lost(classify(e, url, timeout))),
            Ok(response) => Self::taken(response, sent, url, limit, timeout).await.map_err(Undelivered::Lost),
        }
    }

    async fn answer(
        request: reqwest::RequestBuilder,
        url: &str,
        limit: usize,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let sent = Instant::now();
        let response = request.send().await.map_err(|e| classify(e, url, timeout))?;
        Self::taken(response, sent, url, limit, timeout).await
    }

    async fn taken(
        mut response: reqwest::Response,
        sent: Instant,
        url: &str,
        limit: usize,
        timeout: Duration,
    ) -> Result<Answer, Failure> {
        let head_after = sent.elapsed();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let (mut body, mut truncated) = (Vec::new(), false);
        while let Some(chunk) = response.chunk().await.map_err(|e| classify(e, url, timeout))? {
            let room = limit.saturating_sub(body.len());
            if let Some(part) = chunk.get(..room.min(chunk.len())) {
                body.extend_from_slice(part);
            }
            if chunk.len() > room {
                truncated = true;
                break;
            }
        }
        Ok(Answer { status, headers, body, truncated, head_after })
    }
}

/// What TLS found wrong, if that is why a request failed.
pub fn tls_failure(error: &(dyn Error + 'static)) -> Option<String> {
    chain(error).find(|e| is_tls(*e)).map(ToString::to_string)
}

/// Sorts an error of the client into its class, with a sentence that names the server and no secret.
fn classify(error: reqwest::Error, url: &str, timeout: Duration) -> Failure {
    let (error, url) = (&error.without_url(), public(url));
    if error.is_timeout() {
        return Failure::new(FailureKind::Timeout, format!("no answer from {url} within {} s", timeout.as_secs_f64()));
    }
    if error.is_builder() {
        return Failure::new(FailureKind::Local, format!("{url} can not be asked for: {}", innermost(error)));
    }
    if let Some(unreadable) = chain(error).find_map(|e| e.downcast_ref::<Unreadable>()) {
        return Failure::new(FailureKind::Local, format!("{url} can not be asked: {unreadable}"));
    }
    let why = innermost(error);
    if chain(error).any(is_tls) {
        return Failure::new(FailureKind::Tls, format!("TLS with {url} failed: {why}"));
    }
    if chain(error).any(is_malformed) {
        return Failure::new(FailureKind::Protocol, format!("{url} does not speak HTTP as it should: {why}"));
    }
    Failure::new(FailureKind::Unreachable, format!("no connection to {url}: {why}"))
}

/// A URL without user, password, query and fragment.
pub fn public(url: &str) -> String {
    match reqwest::Url::parse(url) {
        Ok(mut url) => {
            // Both fail only on URLs that can not have a user at all.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            url.to_string()
        }
        Err(_) => "the configured URL".into(),
    }
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    error.is::<rustls::Error>()
}

/// The other side answered, but not in HTTP; every other error is of the connection.
fn is_malformed(error: &(dyn Error + 'static)) -> bool {
    use std::io::ErrorKind::{InvalidData, InvalidInput};
    error.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse)
        || error.downcast_ref::<std::io::Error>().is_some_and(|e| matches!(e.kind(), InvalidData | InvalidInput))
}

pub use crate::config::authorities;
pub mod call;
mod showing;

#[cfg(test)]
pub(crate) mod rig;
#[cfg(test)]
mod tests;
