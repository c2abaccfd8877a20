//! The certificates that a server shows, and what is wrong with them: each fault on its own, since a certificate may be
//! expired and of another name too.

use crate::domain::text::sanitize;
use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use std::sync::{Arc, Mutex};
use x509_cert::der::Decode as _;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// Certificates of a chain that are looked at; browsers take no longer one either.
const LONGEST: usize = 10;
/// Characters of a name that are kept.
const NAME: usize = 120;

/// One certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shown {
    /// Whom it is for: its common name, else the whole subject, else the first alternative name.
    pub(super) name: String,
    /// Who signed it.
    pub(super) issuer: String,
    /// Whether it says that it signed itself.
    pub(super) own: bool,
    /// From when on it holds.
    pub(super) from: Timestamp,
    /// Until when.
    pub(super) until: Timestamp,
    /// The names that it covers.
    pub(super) covers: Vec<String>,
}

/// What came of a handshake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Chain {
    /// In the order in which they were sent, the server's own first.
    pub(super) shown: Vec<Shown>,
    /// What is wrong, one sentence each.
    pub(super) faults: Vec<String>,
}

/// Takes any certificate, so that a handshake goes on and the answer behind it is seen, and keeps what it thinks of it.
/// Nothing secret is ever sent on such a connection. That the server holds the key is still proven.
#[derive(Debug)]
pub(super) struct Look {
    roots: Arc<RootCertStore>,
    provider: Arc<CryptoProvider>,
    seen: Mutex<Option<Chain>>,
}

impl Look {
    /// One handshake's worth.
    pub(super) fn new(roots: Arc<RootCertStore>, provider: Arc<CryptoProvider>) -> Self {
        Self { roots, provider, seen: Mutex::new(None) }
    }

    /// What it saw, if the server came as far as showing something.
    pub(super) fn take(&self) -> Option<Chain> {
        self.seen.lock().ok().and_then(|mut seen| seen.take())
    }

    fn judge(
        &self,
        leaf: &CertificateDer<'_>,
        rest: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        now: UnixTime,
    ) -> Chain {
        let mut chain = Chain::default();
        for der in std::iter::once(leaf).chain(rest).take(LONGEST) {
            match read(der) {
                Some(shown) => chain.shown.push(shown),
                None => chain.faults.push("a certificate that it shows can not be read".to_owned()),
            }
        }
        if rest.len() >= LONGEST {
            chain.faults.push(format!("it shows {} certificates; the first {LONGEST} are looked at", rest.len() + 1));
        }
        let at = Timestamp::from_second(i64::try_from(now.as_secs()).unwrap_or(i64::MAX)).unwrap_or(Timestamp::MAX);
        for shown in &chain.shown {
            let Shown { name, from, until, .. } = shown;
            if at > *until {
                chain.faults.push(format!("the certificate {name} expired at {until}"));
            } else if at < *from {
                chain.faults.push(format!("the certificate {name} holds only from {from} on"));
            }
        }
        let parsed = match ParsedCertificate::try_from(leaf) {
            Ok(parsed) => parsed,
            Err(error) => {
                chain.faults.push(format!("its certificate can not be used: {}", sanitize(&error.to_string())));
                return chain;
            }
        };
        if verify_server_name(&parsed, name).is_err() {
            let covers = chain.shown.first().map_or_else(String::new, |s| s.covers.join(", "));
            let covers = if covers.is_empty() { "no name at all".to_owned() } else { covers };
            chain.faults.push(format!("its certificate is not for {}, but for {covers}", name.to_str()));
        }
        // Trust is asked for at a moment at which the certificates hold: that they expired is said already.
        let holds = chain.shown.first().map_or(at, |s| at.clamp(s.from.min(s.until), s.until));
        let moment = u64::try_from(holds.as_second()).unwrap_or_default();
        let moment = UnixTime::since_unix_epoch(std::time::Duration::from_secs(moment));
        let algorithms = self.provider.signature_verification_algorithms.all;
        if let Err(error) = verify_server_cert_signed_by_trust_anchor(&parsed, &self.roots, rest, moment, algorithms) {
            let own = chain.shown.first().is_some_and(|s| s.own);
            let expired = matches!(&error, Error::InvalidCertificate(why) if is_expired(why));
            match (&error, chain.shown.last()) {
                // One further up has expired, which stands there.
                _ if expired && !chain.faults.is_empty() => {}
                (Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer), Some(last)) => {
                    chain.faults.push(if own {
                        "its certificate is signed by itself, and no authority that is trusted here".to_owned()
                    } else {
                        format!("no authority that is trusted here signed the chain, which ends with {}", last.issuer)
                    });
                }
                _ => chain.faults.push(format!("its certificate is not trusted: {}", sanitize(&error.to_string()))),
            }
        }
        chain
    }
}

const fn is_expired(why: &rustls::CertificateError) -> bool {
    use rustls::CertificateError::{Expired, ExpiredContext, NotValidYet, NotValidYetContext};
    matches!(why, Expired | ExpiredContext { .. } | NotValidYet | NotValidYetContext { .. })
}

fn read(der: &CertificateDer<'_>) -> Option<Shown> {
    let tbs = x509_cert::Certificate::from_der(der).ok()?.tbs_certificate;
    let short = |text: &str| sanitize(&text.chars().take(NAME).collect::<String>());
    let common = |name: &x509_cert::name::Name| {
        let text = name.to_string();
        let found = text.split(',').find_map(|part| part.trim().strip_prefix("CN=").map(str::to_owned));
        short(&found.unwrap_or(text))
    };
    let time =
        |at: x509_cert::time::Time| Timestamp::from_second(i64::try_from(at.to_unix_duration().as_secs()).ok()?).ok();
    let mut covers = Vec::new();
    if let Ok(Some((_, SubjectAltName(names)))) = tbs.get::<SubjectAltName>() {
        covers.extend(names.iter().take(20).filter_map(|name| match name {
            GeneralName::DnsName(dns) => Some(short(dns.as_str())),
            GeneralName::IpAddress(bytes) => {
                let v4 = <[u8; 4]>::try_from(bytes.as_bytes()).map(|b| std::net::IpAddr::from(b).to_string());
                v4.or_else(|_| <[u8; 16]>::try_from(bytes.as_bytes()).map(|b| std::net::IpAddr::from(b).to_string()))
                    .ok()
            }
            _ => None,
        }));
    }
    let name = common(&tbs.subject);
    let name =
        if name.is_empty() { covers.first().cloned().unwrap_or_else(|| "without a name".to_owned()) } else { name };
    Some(Shown {
        name,
        issuer: common(&tbs.issuer),
        own: tbs.issuer == tbs.subject,
        from: time(tbs.validity.not_before)?,
        until: time(tbs.validity.not_after)?,
        covers,
    })
}

impl ServerCertVerifier for Look {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain = self.judge(end_entity, intermediates, server_name, now);
        if let Ok(mut seen) = self.seen.lock() {
            *seen = Some(chain);
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
