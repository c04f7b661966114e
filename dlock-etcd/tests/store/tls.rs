//! `https://`, with certificates made for the test.
#![cfg(feature = "tls")]

use std::path::PathBuf;
use std::time::Duration;

use dlock_core::Locker;
use dlock_core::store::LockStore;
use dlock_etcd::etcd_client::{
    Certificate, Client, ConnectOptions, Identity, Permission, TlsOptions,
};
use dlock_etcd::{Error, EtcdStore, EtcdStoreBuilder};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::name;
use crate::support::{Member, PASSWORD, PATIENCE, guard, unique, until, within};

/// Who signs certificates, and where their files are.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: TempDir,
}

struct Certified {
    certificate: PathBuf,
    key: PathBuf,
}

impl Certified {
    fn identity(&self) -> Identity {
        let read = |file| std::fs::read(file).unwrap();
        Identity::from_pem(read(&self.certificate), read(&self.key))
    }
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = Self {
            issuer: CertifiedIssuer::self_signed(params, key).unwrap(),
            directory: TempDir::new().unwrap(),
        };
        std::fs::write(authority.file(), authority.issuer.pem()).unwrap();
        authority
    }

    /// Its own certificate.
    fn file(&self) -> PathBuf {
        self.directory.path().join("authority.pem")
    }

    fn certify(&self, host: &str) -> Certified {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, host);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |what| self.directory.path().join(format!("{host}.{what}"));
        let certified = Certified {
            certificate: file("pem"),
            key: file("key"),
        };
        std::fs::write(&certified.certificate, certificate.pem()).unwrap();
        std::fs::write(&certified.key, key.serialize_pem()).unwrap();
        certified
    }

    /// A member that this authority knows under a host's name.
    fn member(&self, host: &str, more: &[&str]) -> Option<Member> {
        let Certified { certificate, key } = self.certify(host);
        let mut arguments = vec!["--cert-file", certificate.to_str().unwrap()];
        arguments.extend(["--key-file", key.to_str().unwrap()]);
        arguments.extend(more);
        Member::start_with(&arguments)
    }

    /// A member that lets nobody in without a certificate of this authority.
    fn strict_member(&self) -> Option<Member> {
        let file = self.file();
        let trusted = [
            "--client-cert-auth",
            "--trusted-ca-file",
            file.to_str().unwrap(),
        ];
        self.member("127.0.0.1", &trusted)
    }

    fn trusted(&self) -> TlsOptions {
        TlsOptions::new().ca_certificate(Certificate::from_pem(self.issuer.pem()))
    }
}

fn builder(endpoint: impl Into<String>) -> EtcdStoreBuilder {
    EtcdStore::builder().endpoints([endpoint])
}

async fn works(builder: EtcdStoreBuilder) {
    let store = within(PATIENCE, builder.connect()).await.unwrap();
    let (first, second) = (Locker::new(store.clone()), Locker::new(store));
    let name = unique("tls");
    let guard = first.lock(&name).acquire().await.unwrap();
    let waiting = tokio::spawn(second.lock(&name).wait(PATIENCE).acquire());
    let queued = async || {
        first
            .inspect(&name)
            .await
            .unwrap()?
            .waiters
            .filter(|n| *n == 1)
    };
    until("the waiter queues", queued).await;
    guard.release().await.unwrap();
    waiting.await.unwrap().unwrap().release().await.unwrap();
}

/// Within the timeouts, before anything is sent, and with words that say what is wrong.
async fn is_refused(builder: impl Fn() -> EtcdStoreBuilder, words: &str) {
    let limit = Duration::from_secs(10);
    let error = within(limit, builder().connect()).await.unwrap_err();
    assert!(
        matches!(error, Error::Unavailable { .. } | Error::Rejected { .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains(words), "{error}");
    let store = builder().lazy().unwrap();
    let error = within(limit, store.inspect(&name("a"))).await.unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test]
async fn an_authority_of_ones_own_is_enough() {
    let authority = Authority::new();
    let Some(member) = authority.member("127.0.0.1", &[]) else {
        return;
    };
    works(builder(member.endpoint()).tls(authority.trusted())).await;
}

#[tokio::test]
async fn a_certificate_for_another_name_is_enough_if_that_is_asked_for() {
    let authority = Authority::new();
    let Some(member) = authority.member("etcd.example", &[]) else {
        return;
    };
    let other = || builder(member.endpoint());
    works(other().tls(authority.trusted().domain_name("etcd.example"))).await;
    is_refused(|| other().tls(authority.trusted()), "not valid for name").await;
}

#[tokio::test]
async fn client_certificates_are_shown_and_their_absence_is_told() {
    let authority = Authority::new();
    let Some(member) = authority.strict_member() else {
        return;
    };
    let with = |identity| builder(member.endpoint()).tls(authority.trusted().identity(identity));
    let ours = authority.certify("client").identity();
    works(with(ours.clone())).await;
    let without = || builder(member.endpoint()).tls(authority.trusted());
    is_refused(without, "client certificate").await;
    let strange = Authority::new().certify("client").identity();
    is_refused(|| with(strange.clone()), "client certificate").await;
}

/// Where users are asked for, the name in a certificate is as good as a password.
#[tokio::test]
async fn a_certificate_may_stand_for_a_user() {
    let authority = Authority::new();
    let Some(member) = authority.strict_member() else {
        return;
    };
    let with = |user| {
        authority
            .trusted()
            .identity(authority.certify(user).identity())
    };
    let options = ConnectOptions::new().with_tls(with("anybody"));
    let client = within(
        PATIENCE,
        Client::connect([member.endpoint()], Some(options)),
    )
    .await;
    let rights = vec![Permission::read_write("lock/").with_prefix()];
    guard(client.unwrap(), [("worker", rights)]).await;

    works(builder(member.endpoint()).tls(with("worker"))).await;
    let stranger = || builder(member.endpoint()).tls(with("stranger"));
    let error = within(PATIENCE, stranger().connect()).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { .. }), "{error:?}");
    // With a password, the certificate's name does not matter.
    works(stranger().user("worker", PASSWORD)).await;
}

#[tokio::test]
async fn an_unknown_authority_is_refused() {
    let authority = Authority::new();
    let Some(member) = authority.member("127.0.0.1", &[]) else {
        return;
    };
    // The system's authorities, and another one.
    is_refused(|| builder(member.endpoint()), "certificate").await;
    let other = Authority::new();
    is_refused(
        || builder(member.endpoint()).tls(other.trusted()),
        "certificate",
    )
    .await;
}

#[tokio::test]
async fn plain_http_to_a_member_with_tls_is_refused() {
    let authority = Authority::new();
    let Some(member) = authority.member("127.0.0.1", &[]) else {
        return;
    };
    let plain = member.endpoint().replace("https://", "http://");
    is_refused(|| builder(&plain), "https://").await;
}

#[tokio::test]
async fn tls_to_a_member_without_it_is_refused() {
    let Some(member) = Member::start() else {
        return;
    };
    let authority = Authority::new();
    let tls = member.endpoint().replace("http://", "https://");
    is_refused(|| builder(&tls).tls(authority.trusted()), "http://").await;
}
