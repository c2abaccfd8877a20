//! One look at an address: name, connection, TLS, one GET without anything secret, the head of the answer.

use super::chain::{Chain, Look};
use super::name::{self, Name};
use crate::config::probe::{Probe, Speaks};
use crate::domain::text::sanitize;
use http_body_util::Empty;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// What was seen, as far as it went.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// What became of the name.
    pub(super) name: Name,
    /// Time to the connection.
    pub(super) connected: Option<Duration>,
    /// Time to the end of the handshake, and the version that was agreed on: 1.2, 1.3.
    pub(super) secured: Option<(Duration, f64)>,
    /// What the server showed.
    pub(super) chain: Option<Chain>,
    /// Status of HTTP, and the time to it.
    pub(super) answered: Option<(Duration, u16)>,
    /// Why it did not go on, one sentence.
    pub(super) fault: Option<String>,
}

/// Looks once; what takes longer than the probe's time is a fault too.
pub(super) async fn look(probe: &Probe, roots: Option<Arc<RootCertStore>>) -> Seen {
    let mut seen = Seen::default();
    let watch = roots.map(|roots| {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        (Arc::new(Look::new(roots, Arc::clone(&provider))), provider)
    });
    let went = tokio::time::timeout(probe.timeout, go(probe, watch.as_ref().map(|(l, p)| (l, p)), &mut seen)).await;
    seen.fault = match went {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(_) => {
            let stage = match (&seen.connected, &seen.secured) {
                (None, _) if matches!(seen.name, Name::Asked) => "no answer of the resolver for its name",
                (None, _) => "no connection",
                (Some(_), None) if probe.target.speaks != Speaks::Http => "connected, but no end of the TLS handshake",
                _ => "no answer",
            };
            Some(format!("{stage} within {} s", probe.timeout.as_secs_f64()))
        }
    };
    seen.chain = watch.and_then(|(look, _)| look.take());
    seen
}

type Watch<'a> = (&'a Arc<Look>, &'a Arc<rustls::crypto::CryptoProvider>);

async fn go(probe: &Probe, watch: Option<Watch<'_>>, seen: &mut Seen) -> Result<(), String> {
    let begun = Instant::now();
    let own = (probe.target.host.clone(), probe.target.port);
    let (host, port) = probe.connect.as_ref().unwrap_or(&own);
    let addresses = name::resolve(host, &mut seen.name).await?;
    let mut failed = String::new();
    let mut stream = None;
    for address in addresses.into_iter().take(4) {
        let address = SocketAddr::new(address, *port);
        match TcpStream::connect(address).await {
            Ok(connected) => {
                stream = Some(connected);
                break;
            }
            Err(e) => failed = format!("no connection to {address}: {e}"),
        }
    }
    let stream = stream.ok_or(failed)?;
    seen.connected = Some(begun.elapsed());
    match (probe.target.speaks, watch) {
        (Speaks::Http, _) | (_, None) => ask(probe, stream, begun, seen).await,
        (speaks, Some((look, provider))) => {
            let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
                .with_safe_default_protocol_versions()
                .map_err(|e| format!("TLS can not be set up here: {e}"))?
                .dangerous()
                .with_custom_certificate_verifier(look.clone())
                .with_no_client_auth();
            if speaks == Speaks::Https {
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
            }
            let name = ServerName::try_from(probe.target.host.clone())
                .map_err(|_| format!("{} is no name that TLS can ask for", sanitize(&probe.target.host)))?;
            let secured = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
            let stream = secured.map_err(|e| format!("the TLS handshake fails: {}", handshake(&e)))?;
            let version = match stream.get_ref().1.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => 1.2,
                _ => 1.3,
            };
            seen.secured = Some((begun.elapsed(), version));
            if speaks == Speaks::Tls { Ok(()) } else { ask(probe, stream, begun, seen).await }
        }
    }
}

/// In words, why a handshake ended.
fn handshake(error: &std::io::Error) -> String {
    match error.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
        Some(rustls::Error::AlertReceived(rustls::AlertDescription::ProtocolVersion)) => {
            "the server speaks neither TLS 1.2 nor 1.3".to_owned()
        }
        Some(rustls::Error::InvalidMessage(_)) => "the server does not speak TLS there".to_owned(),
        Some(other) => sanitize(&other.to_string()),
        None if error.kind() == std::io::ErrorKind::UnexpectedEof => "the server cut it off".to_owned(),
        None => sanitize(&error.to_string()),
    }
}

async fn ask(
    probe: &Probe,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    begun: Instant,
    seen: &mut Seen,
) -> Result<(), String> {
    let standard = matches!((probe.target.speaks, probe.target.port), (Speaks::Http, 80) | (Speaks::Https, 443));
    let host = if standard { probe.target.host.clone() } else { probe.target.authority() };
    let request = http::Request::get(&probe.target.path)
        .header(http::header::HOST, host)
        .header(http::header::USER_AGENT, concat!("quarterdeck/", env!("CARGO_PKG_VERSION")))
        .header(http::header::ACCEPT, "*/*")
        .header(http::header::CONNECTION, "close")
        .body(Empty::<bytes::Bytes>::new())
        .map_err(|e| format!("it can not be asked for: {e}"))?;
    let broken = |e: hyper::Error| {
        let cause = std::error::Error::source(&e).map_or_else(|| e.to_string(), ToString::to_string);
        let why = sanitize(&cause);
        if e.is_parse() {
            format!("it does not speak HTTP as it should: {why}")
        } else if e.is_incomplete_message() || e.is_canceled() || e.is_closed() {
            "it closed the connection without an answer".to_owned()
        } else {
            format!("it broke off: {why}")
        }
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        seen.answered = Some((begun.elapsed(), answer.status().as_u16()));
        Ok(())
    };
    tokio::pin!(answer);
    // The connection is driven beside the question; of the body nothing is taken. How it ended is told by the answer.
    tokio::select! {
        done = &mut answer => done,
        _ = connection => answer.await,
    }
}
