//! TLS of outgoing connections: the platform's roots and those that an operator adds, nothing
//! that switches verification off.

use std::io;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{CertificateError, ClientConfig, Error as RustlsError, RootCertStore};

use super::{ByteStream, EgressError, EgressErrorKind};
use crate::Error;

/// Wraps connections into TLS.
pub(super) struct Tls(Option<TlsConnector>);

impl Tls {
    /// Reads the platform's roots, once. A host without any can still make plain requests.
    ///
    /// # Errors
    /// `Invalid` if `extra_roots` is not a bundle of PEM certificates.
    pub(super) fn new(extra_roots: Option<&str>) -> Result<Self, Error> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for root in extra_roots.map(|bundle| CertificateDer::pem_slice_iter(bundle.as_bytes())).into_iter().flatten() {
            let root = root.map_err(|error| Error::Invalid(format!("the extra root certificates are not valid PEM: {error}")))?;
            roots.add(root).map_err(|error| Error::Invalid(format!("an extra root certificate is not valid: {error}")))?;
        }
        if roots.is_empty() {
            return Ok(Self(None));
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Internal(format!("TLS versions: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A ticket would let a server link the requests of two tenants.
        config.resumption = Resumption::disabled();
        Ok(Self(Some(TlsConnector::from(Arc::new(config)))))
    }

    /// Performs the handshake and checks that the certificate is for `host`.
    pub(super) async fn wrap(&self, host: &str, stream: Box<dyn ByteStream>) -> Result<Box<dyn ByteStream>, EgressError> {
        let connector = self.0.as_ref().ok_or_else(|| {
            EgressError::new(EgressErrorKind::Internal, "this host has no root certificates; install the system's ca-certificates")
        })?;
        let bare = host.trim_start_matches('[').trim_end_matches(']').trim_end_matches('.');
        let name =
            ServerName::try_from(bare.to_owned()).map_err(|_| EgressError::invalid("the host of the URL cannot have a certificate"))?;
        match connector.connect(name, stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(EgressError::new(EgressErrorKind::Tls, format!("no trusted connection to {host}: {}", reason(&error)))),
        }
    }
}

/// In our words: the texts of certificates are the server's.
fn reason(error: &io::Error) -> &'static str {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<RustlsError>()) {
        Some(RustlsError::InvalidCertificate(certificate)) => match certificate {
            CertificateError::UnknownIssuer => "its certificate is from an unknown issuer",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "its certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => "its certificate is not valid yet",
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => "its certificate is for another name",
            CertificateError::Revoked => "its certificate was revoked",
            _ => "its certificate is not valid",
        },
        Some(RustlsError::AlertReceived(_)) => "it refused the handshake",
        Some(RustlsError::InvalidMessage(_)) => "it does not speak TLS",
        Some(_) => "the handshake failed",
        None => "the connection broke during the handshake",
    }
}
