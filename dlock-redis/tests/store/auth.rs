//! Credentials, and where they must not be seen (R14).

use dlock_core::store::LockStore;
use dlock_redis::{Error, RedisStore};

use crate::support::{raw, send, unique};
use crate::{acquire, name, own_server, rejection, request};

const SECRET: &str = "hunter2-hunter2";

fn url(port: u16, credentials: &str) -> String {
    format!("redis://{credentials}127.0.0.1:{port}/")
}

#[tokio::test]
async fn wrong_credentials_are_refused_at_connect_and_never_shown() {
    let server = own_server!("--requirepass", SECRET);
    let wrong = [
        ":wrong-hunter2@",
        "somebody:wrong-hunter2@",
        "default:wrong-hunter2@",
        "",
    ];
    for credentials in wrong {
        for protocol in ["", "?protocol=resp3"] {
            let url = format!("{}{protocol}", url(server.port(), credentials));
            let builder = RedisStore::builder().url(&url);
            assert_hidden(&format!("{builder:?}"));
            let error = builder.connect().await.unwrap_err();
            assert!(
                matches!(error, Error::Rejected { .. }),
                "{credentials} {protocol}: {error:?}"
            );
            let shown = format!("{error} {error:?} {}", sources(&error));
            assert!(shown.contains("check user and password"), "{shown}");
            assert_hidden(&shown);

            let lazy = RedisStore::builder().url(&url).lazy().unwrap();
            assert_hidden(&format!("{lazy:?}"));
            let refused = lazy.attempt(&request(&name("x"))).await;
            assert_hidden(&format!("{refused:?}"));
            rejection(refused);
        }
    }
}

#[tokio::test]
async fn right_credentials_work_and_are_not_shown() {
    let server = own_server!("--requirepass", SECRET);
    let store = RedisStore::connect(url(server.port(), &format!(":{SECRET}@")))
        .await
        .unwrap();
    acquire(&store, &name(unique("auth"))).await;
    assert_hidden(&format!("{store:?} {store:#?}"));
    assert!(
        format!("{store:?}").contains(&format!("127.0.0.1:{}", server.port())),
        "{store:?}"
    );
}

#[tokio::test]
async fn missing_permissions_are_a_rejection_that_names_them() {
    let server = own_server!();
    let behind = raw(&server.url()).await;
    let words = [
        "ACL", "SETUSER", "weak", "on", ">hunter2", "~*", "+ping", "+evalsha", "+eval", "+client",
    ];
    let _: () = send(&behind, &words).await;
    let store = RedisStore::connect(url(server.port(), "weak:hunter2@"))
        .await
        .unwrap();
    let lock = name(unique("acl"));
    rejection(store.attempt(&request(&lock)).await);
    rejection(store.inspect(&lock).await);

    let words = ["ACL", "SETUSER", "weak", "-@all", "+ping", "+client"];
    let _: () = send(&behind, &words).await;
    let message = rejection(store.attempt(&request(&lock)).await);
    assert!(message.contains("+@scripting"), "{message}");

    // What the message asks for is enough, from a new connection on.
    let rights = "~*lock:* &dlock:wakeup:* +@connection +@scripting +@string +@keyspace +@hash +@sortedset +@pubsub +time";
    for right in rights.split(' ') {
        assert!(message.contains(right), "{right} is not in {message}");
    }
    let mut words = vec!["ACL", "SETUSER", "few", "reset", "on", ">hunter2"];
    words.extend(rights.split(' '));
    let _: () = send(&behind, &words).await;
    let store = RedisStore::connect(url(server.port(), "few:hunter2@"))
        .await
        .unwrap();
    let grant = acquire(&store, &lock).await;
    crate::renew(&store, &lock, grant, crate::TTL * 2)
        .await
        .unwrap();
    dlock_redis::RedisFence::new(&store, &lock)
        .unwrap()
        .claim(&grant)
        .await
        .unwrap();
    assert!(crate::release(&store, &lock, grant).await.unwrap().removed);
}

/// R14: an unknown command's error repeats its arguments.
#[tokio::test]
async fn a_disabled_command_does_not_reveal_the_attempt_id() {
    let server = own_server!("--rename-command", "EVALSHA", "");
    let store = RedisStore::connect(server.url()).await.unwrap();
    let request = request(&name("x"));
    let refused = store.attempt(&request).await;
    let shown = format!("{refused:?}");
    assert!(
        shown.contains("EVALSHA") && !shown.contains(&request.id.expose()),
        "{shown}"
    );
    rejection(refused);
}

fn sources(error: &dyn std::error::Error) -> String {
    std::iter::successors(error.source(), |error| error.source())
        .map(|error| format!("{error} {error:?} "))
        .collect()
}

fn assert_hidden(shown: &str) {
    assert!(!shown.contains("hunter2"), "{shown}");
}
