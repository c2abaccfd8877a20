//! `client_cert` and `client_key` of a server: the certificate by which a server that asks for one knows us. Both are references, read for each
//! new connection, so that a renewed one counts without a restart.

use super::model::SecretRef;
use super::reader::Table;
use super::secret::{self, Secret};
use jiff::Timestamp;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureScheme};
use std::sync::{Arc, PoisonError, RwLock};
use x509_cert::der::Decode as _;

/// A certificate of ours with its key, PEM each; the chain follows the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The certificate, and those between it and the authority.
    pub cert: SecretRef,
    /// Its key.
    pub key: SecretRef,
}

/// What the references led to.
#[derive(Clone, Debug)]
pub struct Pair {
    /// Certificates, PEM.
    pub cert: Secret,
    /// Key, PEM.
    pub key: Secret,
}

/// Decodes both keys.
pub(super) fn client(table: &mut Table<'_, '_>) -> Option<Box<ClientCertificate>> {
    let (cert, key) = (table.secret("client_cert"), table.secret("client_key"));
    for (one, other) in [("client_cert", "client_key"), ("client_key", "client_cert")] {
        if table.has(one) && !table.has(other) {
            table.reject(one, format!("`{one}` is given without `{other}`; a certificate is shown with its key"));
        }
    }
    Some(Box::new(ClientCertificate { cert: cert?, key: key? }))
}

impl ClientCertificate {
    /// Reads both, as they are now, and checks that they can be shown.
    ///
    /// # Errors
    /// One sentence: they can not be read, are no PEM, do not belong together, or the certificate has ended.
    pub async fn read(&self) -> Result<(Pair, Arc<CertifiedKey>), String> {
        // A vault's own certificate is read by the same function that asks vaults.
        let cert = Box::pin(secret::read(&self.cert)).await.map_err(|e| format!("the client certificate: {e}"))?;
        let key =
            Box::pin(secret::read(&self.key)).await.map_err(|e| format!("the key of the client certificate: {e}"))?;
        let pair = Pair { cert, key };
        let certified = pair.certified(Timestamp::now())?;
        Ok((pair, Arc::new(certified)))
    }
}

impl Pair {
    fn certified(&self, now: Timestamp) -> Result<CertifiedKey, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.cert.expose().as_bytes()).collect();
        let chain = chain.map_err(|e| format!("the client certificate is no PEM: {e}"))?;
        let first = chain.first().ok_or("there is no certificate in what `client_cert` leads to")?;
        let ends = ends(first).ok_or("the client certificate can not be read")?;
        if ends <= now {
            return Err(format!("the client certificate has ended at {ends:.0}"));
        }
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|_| "there is no private key in what `client_key` leads to".to_owned())?;
        CertifiedKey::from_der(chain, key, &rustls::crypto::ring::default_provider()).map_err(|e| match e {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                "the key of the client certificate belongs to another certificate".to_owned()
            }
            other => format!("the client certificate can not be used: {other}"),
        })
    }
}

fn ends(certificate: &CertificateDer<'_>) -> Option<Timestamp> {
    let validity = x509_cert::Certificate::from_der(certificate).ok()?.tbs_certificate.validity;
    Timestamp::from_second(i64::try_from(validity.not_after.to_unix_duration().as_secs()).ok()?).ok()
}

/// What is shown to the next server that asks.
#[derive(Debug, Default)]
pub struct Shown(RwLock<Option<Arc<CertifiedKey>>>);

impl Shown {
    /// From here on this one.
    pub fn set(&self, certified: Arc<CertifiedKey>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(certified);
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let shown = self.0.read().unwrap_or_else(PoisonError::into_inner).clone()?;
        shown.key.choose_scheme(schemes).is_some().then_some(shown)
    }

    fn has_certs(&self) -> bool {
        true
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::config::decode::decode;
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    /// An authority that a test makes certificates by.
    pub(crate) struct Authority {
        pub(crate) pem: String,
        issuer: Issuer<'static, KeyPair>,
    }

    impl Authority {
        pub(crate) fn new(name: &str) -> Self {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate().unwrap();
            Self { pem: params.self_signed(&key).unwrap().pem(), issuer: Issuer::new(params, key) }
        }

        /// Puts `NAME.crt` and `NAME.key` into a directory: of a server called localhost and 127.0.0.1, or of a client called so.
        #[allow(clippy::unnecessary_box_returns, reason = "as configurations hold it")]
        pub(crate) fn issue(&self, dir: &Path, name: &str, ended: bool) -> Box<ClientCertificate> {
            let server = name == "server";
            let names = if server { vec!["localhost".to_owned(), "127.0.0.1".to_owned()] } else { Vec::new() };
            let mut params = CertificateParams::new(names).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.extended_key_usages =
                vec![if server { ExtendedKeyUsagePurpose::ServerAuth } else { ExtendedKeyUsagePurpose::ClientAuth }];
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(if ended { 2021 } else { 2090 }, 1, 1);
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap();
            let put = |end: &str, text: String| {
                let path = dir.join(format!("{name}.{end}"));
                std::fs::write(&path, text).unwrap();
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
                SecretRef::File(path)
            };
            Box::new(ClientCertificate { cert: put("crt", certificate.pem()), key: put("key", key.serialize_pem()) })
        }
    }

    async fn why(certificate: &ClientCertificate) -> String {
        certificate.read().await.map(drop).unwrap_err()
    }

    #[tokio::test]
    async fn what_can_not_be_shown_is_one_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new("ours");
        let good = authority.issue(dir.path(), "quarterdeck", false);
        let (_, read) = good.read().await.unwrap();
        assert_eq!(read.cert.len(), 1);
        let other = authority.issue(dir.path(), "other", false);
        let ended = authority.issue(dir.path(), "ended", true);
        let gone = SecretRef::File(dir.path().join("gone"));
        let ClientCertificate { cert, key } = *good;
        for (certificate, says) in [
            (*ended, "has ended at 2021-01-01"),
            (ClientCertificate { cert: cert.clone(), key: other.key }, "belongs to another certificate"),
            (ClientCertificate { cert: key.clone(), key: key.clone() }, "there is no certificate in what"),
            (ClientCertificate { cert: cert.clone(), key: cert.clone() }, "there is no private key in what"),
            (ClientCertificate { cert: gone.clone(), key: key.clone() }, "the client certificate: the secret file"),
            (ClientCertificate { cert, key: gone }, "the key of the client certificate: the secret file"),
        ] {
            let said = why(&certificate).await;
            assert!(said.contains(says) && !said.contains("PRIVATE"), "{says}: {said}");
        }
    }

    #[test]
    fn both_are_given_and_are_references() {
        let read = |rest: &str| {
            let head = "[estate]\nname = \"e\"\nenvironment = \"production\"\n[[postgres]]\nid = \"p\"\nhost = \"h\"\nuser = \"u\"\n";
            decode("c.toml", &format!("{head}{rest}\n")).map_err(|e| e.to_string())
        };
        let config = read("client_cert = \"file:/c\"\nclient_key = \"env:K\"").unwrap();
        assert_eq!(config.postgres[0].ca.client.as_ref().unwrap().key, SecretRef::Env("K".into()));
        assert_eq!(config.secrets.len(), 2, "`doctor` follows both");
        let said = read("client_cert = \"file:/c\"").unwrap_err();
        assert!(said.contains("`client_cert` is given without `client_key`"), "{said}");
        let said = read("client_cert = \"/c\"\nclient_key = \"env:K\"").unwrap_err();
        assert!(said.contains("is not a reference"), "{said}");
        let said = read("tls = \"disable\"\nclient_cert = \"file:/c\"\nclient_key = \"env:K\"").unwrap_err();
        assert!(said.contains("`client_cert` is given where `tls` is \"disable\""), "{said}");
    }
}
