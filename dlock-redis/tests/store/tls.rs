//! `rediss://`, with a certificate made for the test.
#![cfg(feature = "tls")]

use dlock_redis::redis::{Client, TlsCertificates};
use dlock_redis::{Error, RedisStore};

use crate::support::{Server, unique};
use crate::{acquire, name};

#[tokio::test]
async fn tls_works_and_an_unknown_certificate_is_refused() {
    let Some(plain) = Server::start() else { return };
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key) = (
        plain.directory().join("cert.pem"),
        plain.directory().join("key.pem"),
    );
    std::fs::write(&certificate, authority.cert.pem()).unwrap();
    std::fs::write(&key, authority.signing_key.serialize_pem()).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let arguments = [
        "--tls-port",
        &port.to_string(),
        "--tls-cert-file",
        certificate.to_str().unwrap(),
        "--tls-key-file",
        key.to_str().unwrap(),
        "--tls-auth-clients",
        "no",
    ];
    let Some(_server) = Server::try_start_with(&arguments) else {
        return println!("SKIP(this server has no TLS)");
    };
    let url = format!("rediss://localhost:{port}/");

    let certificates = TlsCertificates {
        client_tls: None,
        root_cert: Some(authority.cert.pem().into_bytes()),
    };
    let client = Client::build_with_tls(url.as_str(), certificates).unwrap();
    let store = RedisStore::builder()
        .client(client)
        .connect()
        .await
        .unwrap();
    acquire(&store, &name(unique("tls"))).await;
    assert!(format!("{store:?}").contains("TLS"));

    let error = RedisStore::connect(url).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
}
