//! Whom the gateway trusts. `root.pem` signed `a.test.pem`, which is for `a.test` and no other name;
//! the root's own key does not exist any more. Both expire in the year 2126.

use std::sync::Arc;

use everwit_runtime::egress::{EgressError, EgressErrorKind, Gateway, GatewayConfig};
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::support::*;

/// Signed the certificate of `a.test`.
pub(crate) const ROOT: &str = include_str!("root.pem");
const CERTIFICATE: &[u8] = include_bytes!("a.test.pem");
const KEY: &[u8] = include_bytes!("a.test.key");

/// For `a.test`.
pub(crate) fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(CERTIFICATE).collect::<Result<_, _>>().expect("the file is PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows them")
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(KEY).expect("the file is PEM"))
        .expect("the key is the certificate's");
    TlsAcceptor::from(Arc::new(config))
}

fn server(close_properly: bool) -> Arc<Pipe> {
    let acceptor = acceptor();
    Pipe::new(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            read_request(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nsecret").await.expect("the client reads");
            stream.flush().await.expect("the client reads");
            if close_properly {
                stream.shutdown().await.expect("the client reads");
            }
        }
    })
}

fn trusting(roots: Option<&str>, pipe: Arc<Pipe>) -> Gateway {
    configured(GatewayConfig { extra_roots: roots.map(str::to_owned), ..GatewayConfig::default() }, Names::new(&[&[PUBLIC][..]; 2]), pipe)
}

async fn failure(gateway: &Gateway, url: &str) -> EgressError {
    let error = refusal(gateway, &["a.test", "b.test", "93.184.215.14"], url).await;
    assert_fault(&error, EgressErrorKind::Tls, false);
    error
}

#[tokio::test]
async fn an_own_root_makes_a_server_trusted() {
    let gateway = trusting(Some(ROOT), server(true));
    let mut response = gateway.send("org", &grant(&["a.test"]), get("https://a.test/"), &mut quota()).await.unwrap();
    assert_eq!(read(&mut response).await.unwrap(), b"secret");
}

#[tokio::test]
async fn an_unknown_issuer_is_refused() {
    // A root that signed nothing, so that the outcome does not depend on what the machine trusts.
    let other = std::str::from_utf8(CERTIFICATE).unwrap();
    let error = failure(&trusting(Some(other), server(true)), "https://a.test/").await;
    assert_eq!(error.message, "no trusted connection to a.test: its certificate is from an unknown issuer");
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused() {
    let gateway = trusting(Some(ROOT), server(true));
    assert_eq!(failure(&gateway, "https://b.test/").await.message, "no trusted connection to b.test: its certificate is for another name");
    let error = failure(&gateway, "https://93.184.215.14/").await;
    assert!(error.message.ends_with("its certificate is for another name"), "{error}");
}

#[tokio::test]
async fn a_server_without_tls_is_no_partner() {
    let plain = Pipe::new(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    });
    let error = failure(&trusting(Some(ROOT), plain), "https://a.test/").await;
    assert_eq!(error.message, "no trusted connection to a.test: it does not speak TLS");
}

#[tokio::test]
async fn a_body_that_somebody_cut_off_is_not_taken_for_whole() {
    let gateway = trusting(Some(ROOT), server(false));
    let mut response = gateway.send("org", &grant(&["a.test"]), get("https://a.test/"), &mut quota()).await.unwrap();
    assert_fault(&read(&mut response).await.unwrap_err(), EgressErrorKind::Protocol, true);
}

#[test]
fn roots_that_are_none_are_an_error_of_the_configuration() {
    for roots in
        ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"]
    {
        let config = GatewayConfig { extra_roots: Some(roots.to_owned()), ..GatewayConfig::default() };
        assert!(matches!(Gateway::new(config), Err(everwit_runtime::Error::Invalid(_))));
    }
}
