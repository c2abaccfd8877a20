//! A certificate of ours that is read before each new connection, and shown to the server if it asks for one.

use crate::config::certificate::{ClientCertificate, Shown};
use crate::config::model::TlsMin;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tower::{BoxError, Layer, Service};

/// It can not be read or shown: one sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unreadable(String);

/// The layer of a client's connector.
#[derive(Clone, Debug)]
pub(super) struct Showing {
    certificate: Arc<ClientCertificate>,
    shown: Arc<Shown>,
}

impl Showing {
    pub(super) fn new(certificate: ClientCertificate) -> Self {
        Self { certificate: Arc::new(certificate), shown: Arc::default() }
    }

    /// What the connections below it speak.
    pub(super) fn tls(&self, roots: rustls::RootCertStore, min: TlsMin) -> Result<rustls::ClientConfig, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_protocol_versions(min.versions()).map_err(|e| e.to_string())?;
        Ok(builder.with_root_certificates(roots).with_client_cert_resolver(self.shown.clone()))
    }
}

impl<S> Layer<S> for Showing {
    type Service = Connects<S>;

    fn layer(&self, inner: S) -> Connects<S> {
        Connects { inner, showing: self.clone() }
    }
}

/// Reads, then connects.
#[derive(Clone, Debug)]
pub(super) struct Connects<S> {
    inner: S,
    showing: Showing,
}

impl<S, R> Service<R> for Connects<S>
where
    S: Service<R, Error = BoxError> + Clone + Send + 'static,
    S::Future: Send,
    S::Response: 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The one that is ready is used; its clone has still to become so.
        let next = self.inner.clone();
        let mut ready = std::mem::replace(&mut self.inner, next);
        let Showing { certificate, shown } = self.showing.clone();
        Box::pin(async move {
            let (_, certified) = certificate.read().await.map_err(Unreadable)?;
            shown.set(certified);
            ready.call(request).await
        })
    }
}
