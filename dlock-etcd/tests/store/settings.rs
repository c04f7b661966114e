//! Settings that cannot work are refused before any I/O, and secrets are not shown (R14).

use std::time::Duration;

use dlock_core::store::{Attempt, LockStore};
use dlock_etcd::etcd_client::Client;
use dlock_etcd::{Error, EtcdStore, EtcdStoreBuilder};
use futures_util::FutureExt;

use crate::support::{PATIENCE, entries, etcd, raw, skip, unique, within};
use crate::{name, request};

const SECRET: &str = "hunter2";

fn refused(builder: EtcdStoreBuilder) -> Error {
    builder.lazy().unwrap_err()
}

#[test]
fn endpoints_that_are_none_are_refused_with_the_reason() {
    for (endpoint, reason) in [
        ("", "neither http:// nor https://"),
        ("127.0.0.1:2379", "neither http:// nor https://"),
        ("etcd://127.0.0.1:2379", "neither http:// nor https://"),
        ("http://", "no URL"),
        ("http://:2379", "no host"),
        ("http://127.0.0.1:99999", "no port"),
        ("http://two words:2379", "no URL"),
        ("http://127.0.0.1", "no port"),
        ("http://127.0.0.1/", "no port"),
        ("http://127.0.0.1:2379/path", "a path"),
        ("http://127.0.0.1:2379/?key=value", "a path"),
    ] {
        let error = refused(EtcdStore::builder().endpoints(["http://127.0.0.1:1", endpoint]));
        assert!(
            matches!(error, Error::InvalidEndpoint { .. }),
            "{endpoint}: {error:?}"
        );
        let shown = error.to_string();
        assert!(shown.contains(reason), "{shown}");
        assert!(shown.contains(&format!("`{endpoint}`")), "{shown}");
        assert!(shown.contains("write http://host:port"), "{shown}");
    }
}

#[test]
fn endpoints_in_every_spelling_are_taken() {
    for endpoint in [
        "http://127.0.0.1:2379",
        "http://127.0.0.1:2379/",
        "http://localhost:2379",
        "http://[::1]:2379",
        "http://etcd-0.etcd.default.svc.cluster.local:2379",
    ] {
        EtcdStore::builder().endpoints([endpoint]).lazy().unwrap();
    }
}

#[test]
fn credentials_in_an_endpoint_are_refused_and_not_shown() {
    for endpoint in [
        "http://root:hunter2@127.0.0.1:2379",
        "http://root:hunter2@127.0.0.1:2379/path",
        "http://hunter2@127.0.0.1:2379",
        "http://root:hun/hunter2@127.0.0.1:2379",
        "https://root:hunter2@127.0.0.1:2379",
        "root:hunter2@127.0.0.1:2379",
        "etcd://root:hunter2@127.0.0.1",
        "http://root:hunter2@",
    ] {
        let builder = EtcdStore::builder().endpoints([endpoint]);
        assert_hidden(&format!("{builder:?} {builder:#?}"));
        let error = refused(builder);
        assert_hidden(&format!("{error} {error:?}"));
        assert!(
            error.to_string().contains("EtcdStoreBuilder::user"),
            "{error}"
        );
    }
}

#[test]
fn the_password_is_not_shown() {
    let builder = EtcdStore::builder().user("somebody", SECRET);
    assert_hidden(&format!("{builder:?} {builder:#?}"));
    let store = builder.lazy().unwrap();
    assert_hidden(&format!("{store:?} {store:#?}"));
    assert!(
        format!("{store:?}").contains("http://127.0.0.1:2379"),
        "{store:?}"
    );
}

fn assert_hidden(shown: &str) {
    assert!(!shown.contains(SECRET), "{shown}");
}

#[test]
fn timeouts_of_zero_are_refused() {
    for builder in [
        EtcdStore::builder().connect_timeout(Duration::ZERO),
        EtcdStore::builder().response_timeout(Duration::ZERO),
    ] {
        let error = refused(builder);
        assert!(matches!(error, Error::InvalidOption { .. }), "{error:?}");
        assert!(error.to_string().contains("above 0"), "{error}");
    }
}

#[cfg(not(feature = "tls"))]
#[test]
fn https_without_the_feature_is_refused_and_says_which_feature() {
    let error = refused(EtcdStore::builder().endpoints(["https://127.0.0.1:2379"]));
    assert!(matches!(error, Error::TlsNotEnabled { .. }), "{error:?}");
    assert!(error.to_string().contains("feature `tls`"), "{error}");
}

#[cfg(feature = "tls")]
#[test]
fn tls_options_without_https_are_refused() {
    let options = dlock_etcd::etcd_client::TlsOptions::new;
    let plain = ["http://127.0.0.1:2379"];
    for builder in [EtcdStore::builder(), EtcdStore::builder().endpoints(plain)] {
        let error = refused(builder.tls(options()));
        assert!(matches!(error, Error::InvalidOption { .. }), "{error:?}");
        assert!(error.to_string().contains("https://"), "{error}");
    }
}

#[cfg(feature = "tls")]
#[test]
fn http_and_https_together_are_refused() {
    let endpoints = ["https://127.0.0.1:2379", "http://127.0.0.1:2379"];
    let error = refused(EtcdStore::builder().endpoints(endpoints));
    assert!(matches!(error, Error::InvalidOption { .. }), "{error:?}");
    assert!(
        error.to_string().contains("use one or the other"),
        "{error}"
    );
}

#[test]
fn outside_a_runtime_connecting_is_a_typed_error() {
    let connecting = EtcdStore::connect(["http://127.0.0.1:1"]);
    let error = connecting.now_or_never().unwrap().unwrap_err();
    assert!(matches!(error, Error::NoRuntime(_)), "{error:?}");
}

#[tokio::test]
async fn endless_timeouts_and_an_empty_prefix_work() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let connecting = EtcdStore::builder()
        .endpoints([&endpoint])
        .connect_timeout(Duration::MAX)
        .response_timeout(Duration::MAX)
        .prefix("")
        .connect();
    let store = within(PATIENCE, connecting).await.unwrap();
    // The same key as another store's with the default prefix and the rest of the name.
    let rest = unique("settings");
    let asking = request(&name(&rest));
    let answer = within(PATIENCE, store.attempt(&asking)).await;
    assert!(matches!(answer, Ok(Attempt::Granted(_))), "{answer:?}");
    let mut client = raw(&endpoint).await;
    assert!(entries(&client, &rest).await.is_empty());
    let options = dlock_etcd::etcd_client::GetOptions::new().with_prefix();
    let found = within(PATIENCE, client.get(format!("{rest}/"), Some(options)));
    assert_eq!(found.await.unwrap().count(), 1);
    assert!(
        within(PATIENCE, store.force_release(&name(&rest)))
            .await
            .unwrap()
    );
}

#[test]
fn no_endpoints_at_all_are_not_taken_for_the_default() {
    let error = refused(EtcdStore::builder().endpoints(Vec::<String>::new()));
    assert!(matches!(error, Error::InvalidOption { .. }), "{error:?}");
    assert!(error.to_string().contains("at least one"), "{error}");
}

#[tokio::test]
async fn what_a_client_of_ones_own_must_be_given_is_refused_beside_it() {
    let client = Client::connect(["http://127.0.0.1:1"], None).await.unwrap();
    let builder = || EtcdStore::builder().client(client.clone());
    assert!(builder().lazy().is_ok());
    for mixed in [
        builder().user("app", "secret"),
        builder().endpoints(["http://127.0.0.1:1"]),
    ] {
        let error = refused(mixed);
        assert!(matches!(error, Error::InvalidOption { .. }), "{error:?}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
