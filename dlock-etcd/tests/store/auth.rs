//! Users and rights: what is refused, what is enough, and where the password must not be seen (R14).

use std::fmt::Debug;
use std::io::Write;
use std::time::{Duration, Instant};

use dlock_core::store::{AttemptRequest, LockEvent, LockStore, Mode, StoreError};
use dlock_core::{AcquireError, Guard, LeaseError, Locker};
use dlock_etcd::etcd_client::{Client, ConnectOptions, Permission, RoleRevokePermissionOptions};
use dlock_etcd::{Error, EtcdStore, EtcdStoreBuilder};

use crate::support::{
    Member, PASSWORD, PATIENCE, etcd, guarded, root, skip, unique, until, within,
};
use crate::{TTL, attempt_id, name};

/// All rights that dlock needs, with the default prefix.
fn enough() -> Vec<Permission> {
    vec![Permission::read_write("lock/").with_prefix()]
}

fn as_user(member: &Member, user: &str) -> EtcdStoreBuilder {
    EtcdStore::builder()
        .endpoints([member.endpoint()])
        .user(user, PASSWORD)
}

/// What everybody sees of an error, and what its sources say.
fn shown(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(|error| format!("{error} {error:?} "))
        .collect()
}

fn assert_hidden(shown: &str) {
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// The message of a refusal to connect, which says this.
async fn refused_at_connect(builder: EtcdStoreBuilder, advice: &str) {
    assert_hidden(&format!("{builder:?}"));
    let error = within(PATIENCE, builder.connect()).await.unwrap_err();
    assert!(matches!(error, Error::Rejected { .. }), "{error:?}");
    assert_hidden(&shown(&error));
    assert!(error.to_string().contains(advice), "{error}");
}

fn refused<T: Debug>(answer: Result<T, StoreError>, advice: &str) {
    let error = answer.unwrap_err();
    assert!(matches!(error, StoreError::Rejected { .. }), "{error:?}");
    assert_hidden(&shown(&error));
    assert!(error.to_string().contains(advice), "{error}");
}

/// Each of a store's operations.
async fn refused_by(store: &EtcdStore, advice: &str) {
    let lock = name("refused");
    for mode in [Mode::Try, Mode::Queue] {
        let asking = AttemptRequest::new(lock.clone(), attempt_id(), TTL, mode);
        refused(within(PATIENCE, store.attempt(&asking)).await, advice);
    }
    refused(within(PATIENCE, store.inspect(&lock)).await, advice);
    refused(within(PATIENCE, store.force_release(&lock)).await, advice);
}

#[tokio::test]
async fn wrong_credentials_are_refused_with_advice_and_never_shown() {
    let Some(member) = guarded(&[], [("worker", enough())]).await else {
        return;
    };
    let somebody = |user, password| {
        let builder = EtcdStore::builder().endpoints([member.endpoint()]);
        builder.user(user, password)
    };
    for (user, password) in [
        ("worker", "hunter2-wrong"),
        ("worker", ""),
        ("nobody", PASSWORD),
    ] {
        let advice = "check the user and the password";
        refused_at_connect(somebody(user, password), advice).await;
        let store = somebody(user, password).lazy().unwrap();
        assert_hidden(&format!("{store:?}"));
        refused_by(&store, advice).await;
    }
    let advice = "EtcdStoreBuilder::user";
    let without = || EtcdStore::builder().endpoints([member.endpoint()]);
    refused_at_connect(without(), advice).await;
    refused_by(&without().lazy().unwrap(), advice).await;
    // Right credentials, for comparison.
    let store = within(PATIENCE, somebody("worker", PASSWORD).connect()).await;
    assert_hidden(&format!("{:?}", store.unwrap()));
}

/// Nobody waits for rights to appear.
#[tokio::test]
async fn an_acquire_without_rights_fails_at_once() {
    let Some(member) = guarded(&[], [("stranger", vec![])]).await else {
        return;
    };
    let locker = Locker::new(as_user(&member, "stranger").lazy().unwrap());
    let acquiring = locker.lock("a").wait(10 * PATIENCE).acquire();
    let error = within(PATIENCE, acquiring).await.unwrap_err();
    let AcquireError::Store { source, .. } = error else {
        panic!("{error:?}");
    };
    refused::<()>(Err(source), "read and write");
    within(PATIENCE, locker.close()).await;
}

#[tokio::test]
async fn missing_rights_are_refused_with_advice() {
    let permissions = [
        ("nothing", vec![]),
        (
            "another-prefix",
            vec![Permission::read_write("other/").with_prefix()],
        ),
        ("one-key", vec![Permission::read_write("lock/")]),
        ("no-writes", vec![Permission::read("lock/").with_prefix()]),
        ("no-reads", vec![Permission::write("lock/").with_prefix()]),
    ];
    let users = permissions.clone().map(|(user, _)| user);
    let Some(member) = guarded(&[], permissions).await else {
        return;
    };
    let advice = "the user needs to read and write all keys that begin with the store's prefix";
    for user in users {
        println!("{user}");
        let store = as_user(&member, user).lazy().unwrap();
        let lock = name("a");
        for mode in [Mode::Try, Mode::Queue] {
            let asking = AttemptRequest::new(lock.clone(), attempt_id(), TTL, mode);
            refused(within(PATIENCE, store.attempt(&asking)).await, advice);
        }
        if user == "no-writes" {
            // Enough to look.
            within(PATIENCE, as_user(&member, user).connect())
                .await
                .unwrap();
            assert_eq!(within(PATIENCE, store.inspect(&lock)).await.unwrap(), None);
        } else {
            refused_at_connect(as_user(&member, user), advice).await;
            refused(within(PATIENCE, store.inspect(&lock)).await, advice);
            refused(within(PATIENCE, store.force_release(&lock)).await, advice);
        }
    }
}

#[tokio::test]
async fn a_user_where_there_are_none_is_refused_with_advice() {
    let Some(endpoint) = etcd() else {
        return skip("there is no etcd");
    };
    let builder = || {
        let builder = EtcdStore::builder().endpoints([&endpoint]);
        builder.user("worker", PASSWORD)
    };
    let advice = "a user was given, and this etcd has no users; leave it out";
    refused_at_connect(builder(), advice).await;
    refused_by(&builder().lazy().unwrap(), advice).await;
}

async fn acquire(locker: &Locker, name: &str, ttl: Duration) -> Guard {
    let lock = locker.lock(name).ttl(ttl).wait(PATIENCE);
    lock.acquire().await.unwrap()
}

/// Reading and writing the keys that begin with the prefix is all that it takes.
#[tokio::test]
async fn rights_on_the_prefix_are_enough_for_everything() {
    let Some(member) = guarded(&[], [("worker", enough())]).await else {
        return;
    };
    let connecting = async || as_user(&member, "worker").connect().await.unwrap();
    let store = within(PATIENCE, connecting()).await;
    let first = Locker::new(store.clone());
    let second = Locker::new(within(PATIENCE, connecting()).await);
    let name = unique("enough");

    let mut events = second.watch(&name).await.unwrap();
    let guard = acquire(&first, &name, TTL).await;
    let locked = within(PATIENCE, events.next()).await.unwrap();
    let token = Some(guard.token());
    assert!(matches!(&locked, LockEvent::Locked { token: seen, .. } if *seen == token));
    let seen = first.inspect(&name).await.unwrap().unwrap();
    assert!(seen.token == token && seen.time_left.is_some(), "{seen:?}");
    assert!(second.lock(&name).try_acquire().await.unwrap().is_none());

    // Renewal, to the same and to another TTL.
    assert!(guard.extend(TTL).await.unwrap() > TTL / 2);
    assert!(guard.extend(2 * TTL).await.unwrap() > TTL);
    store.still_held(&guard.lease()).unwrap();

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
    let guard = waiting.await.unwrap().unwrap();
    let unlocked = within(PATIENCE, events.next()).await.unwrap();
    assert_eq!(unlocked, LockEvent::Unlocked);

    assert!(first.force_release(&name).await.unwrap());
    within(PATIENCE, guard.ended()).await;
    guard.check().unwrap_err();
    for locker in [first, second] {
        assert_eq!(within(PATIENCE, locker.close()).await.unfinished, 0);
    }
    let leases = within(PATIENCE, root(&member).await.leases())
        .await
        .unwrap();
    assert_eq!(leases.leases().len(), 0);
}

/// A watch is refused by itself: nobody waits for events that cannot come.
#[tokio::test]
async fn a_watch_without_rights_is_refused() {
    let Some(member) = guarded(&[], [("stranger", vec![])]).await else {
        return;
    };
    let store = as_user(&member, "stranger").lazy().unwrap();
    let mut events = store.watch(&name("a")).await.unwrap().unwrap();
    refused(within(PATIENCE, events.next()).await, "read and write");
}

/// etcd forgets tokens after five minutes without a request, and when it is told another password.
#[tokio::test]
async fn a_store_whose_token_was_forgotten_gets_another() {
    let Some(member) = guarded(&[], [("worker", enough())]).await else {
        return;
    };
    let store = within(PATIENCE, as_user(&member, "worker").connect())
        .await
        .unwrap();
    let lock = name("a");
    for _ in 0..3 {
        forget_tokens(&member).await;
        assert_eq!(within(PATIENCE, store.inspect(&lock)).await.unwrap(), None);
    }
}

/// The same password again: etcd forgets all tokens of that user.
async fn forget_tokens(member: &Member) {
    let mut root = root(member).await;
    let changing = root.user_change_password("worker", PASSWORD);
    within(PATIENCE, changing).await.unwrap();
}

#[tokio::test]
async fn a_held_lock_and_a_waiter_outlive_forgotten_tokens() {
    let Some(member) = guarded(&[], [("worker", enough())]).await else {
        return;
    };
    outlive(&member, async || forget_tokens(&member).await).await;
}

#[tokio::test]
async fn a_held_lock_and_a_waiter_outlive_tokens_that_end_after_a_second() {
    let mut key = tempfile::NamedTempFile::new().unwrap();
    key.write_all(b"a key of at least thirty-two bytes")
        .unwrap();
    let tokens = format!(
        "jwt,sign-method=HS256,ttl=1s,priv-key={}",
        key.path().display()
    );
    let arguments = ["--auth-token", &tokens];
    let Some(member) = guarded(&arguments, [("worker", enough())]).await else {
        return;
    };
    outlive(&member, async || {}).await;
}

/// A lock that is held for longer than its TTL while tokens go, somebody who waits for it, and somebody
/// who watches.
async fn outlive(member: &Member, forget: impl AsyncFn()) {
    let locker = async || Locker::new(as_user(member, "worker").connect().await.unwrap());
    let (first, second) = (locker().await, locker().await);
    let ttl = Duration::from_secs(3);
    let guard = acquire(&first, "a", ttl).await;
    let granted_at = Instant::now();
    let mut events = first.watch("a").await.unwrap();
    let locked = within(PATIENCE, events.next()).await.unwrap();
    assert!(matches!(locked, LockEvent::Locked { .. }), "{locked:?}");
    let waiting = tokio::spawn(second.lock("a").wait(2 * PATIENCE).acquire());
    let queued = async || {
        first
            .inspect("a")
            .await
            .unwrap()?
            .waiters
            .filter(|n| *n == 1)
    };
    until("the waiter queues", queued).await;
    forget().await;

    until("the first TTL is over", async || {
        guard.check().unwrap();
        (granted_at.elapsed() > ttl).then_some(())
    })
    .await;
    forget().await;
    let token = guard.token();
    within(PATIENCE, guard.release()).await.unwrap();
    let next = within(PATIENCE, waiting).await.unwrap().unwrap();
    assert!(next.token() > token);
    let unlocked = within(PATIENCE, events.next()).await.unwrap();
    assert_eq!(unlocked, LockEvent::Unlocked);
    next.release().await.unwrap();
}

/// Whoever may not write any more cannot release either: the lock ends with its TTL.
#[tokio::test]
async fn rights_that_are_taken_away_cost_a_ttl_at_most() {
    let users = [("worker", enough()), ("successor", enough())];
    let Some(member) = guarded(&[], users).await else {
        return;
    };
    let locker = async |user| Locker::new(as_user(&member, user).connect().await.unwrap());
    let (first, second) = (locker("worker").await, locker("successor").await);
    let guard = acquire(&first, "a", Duration::from_secs(3)).await;
    let waiting = tokio::spawn(second.lock("a").wait(PATIENCE).acquire());
    let queued = async || {
        first
            .inspect("a")
            .await
            .unwrap()?
            .waiters
            .filter(|n| *n == 1)
    };
    until("the waiter queues", queued).await;

    let prefix = RoleRevokePermissionOptions::new().with_prefix();
    let mut root = root(&member).await;
    let revoking = root.role_revoke_permission("worker", "lock/", Some(prefix));
    within(PATIENCE, revoking).await.unwrap();
    let error = within(PATIENCE, guard.release()).await.unwrap_err();
    let LeaseError::Store { source, .. } = error else {
        panic!("{error:?}");
    };
    refused::<()>(Err(source), "read and write");
    let error = first.lock("a").try_acquire().await.unwrap_err();
    let AcquireError::Store { source, .. } = error else {
        panic!("{error:?}");
    };
    refused::<()>(Err(source), "read and write");
    let guard = within(PATIENCE, waiting).await.unwrap().unwrap();
    guard.release().await.unwrap();
}

/// A client of one's own asks for another token if it was told to.
#[tokio::test]
async fn a_users_client_refreshes_its_token_or_says_how() {
    let Some(member) = guarded(&[], [("worker", enough())]).await else {
        return;
    };
    for refreshes in [true, false] {
        let options = ConnectOptions::new()
            .with_user("worker", PASSWORD)
            .with_auto_token_refresh(refreshes);
        let client = Client::connect([member.endpoint()], Some(options)).await;
        let store = EtcdStore::from_client(client.unwrap()).unwrap();
        let lock = name("a");
        assert_eq!(within(PATIENCE, store.inspect(&lock)).await.unwrap(), None);
        forget_tokens(&member).await;
        let seen = within(PATIENCE, store.inspect(&lock)).await;
        if refreshes {
            assert_eq!(seen.unwrap(), None);
        } else {
            refused(seen, "with_auto_token_refresh");
        }
    }
}
