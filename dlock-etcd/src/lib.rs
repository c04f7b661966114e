//! etcd v3 as a store for [dlock](dlock_core).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use dlock_core::Locker;
//! use dlock_etcd::EtcdStore;
//!
//! let store = EtcdStore::connect(["http://127.0.0.1:2379"]).await?;
//! let locker = Locker::new(store.clone());
//! let guard = locker.lock("duckDuckGoose").wait(Duration::from_secs(5)).acquire().await?;
//! println!("held until further notice, with token {}", guard.token());
//! guard.release().await?;
//! locker.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! - [`EtcdStore`]: the store; [`EtcdStoreBuilder`]: its settings.
//! - [`EtcdStore::still_held`]: the fence, for data in the same etcd.
//!
//! The README of this crate says what you need to compile it (`protoc`), and what takes the place of
//! microlock's methods.
//!
//! # Beside other locks
//!
//! The recipe is that of `etcdctl lock` and of Go's `concurrency.Mutex`: an entry of the queue is the key
//! `prefix + name + "/" + lease id in hex` under a lease; who has the lowest creation revision owns the
//! lock. So all of them stand in one queue and exclude each other: dlock's lock `name` is what
//! `etcdctl lock lock/name` locks (`lock/` is the default prefix). In dlock's names `%` and `/` are written
//! `%25` and `%2F`, because the entries of `a/b` would otherwise be entries of `a` as well. The value of an
//! entry is text: what it does, the attempt's id (a secret: who may read it may release the lock) and the
//! holder's label.
//!
//! # Tokens
//!
//! The fencing token is the creation revision of the entry. It rises with every entry, whoever makes it.
//! For data in the same etcd, [`EtcdStore::still_held`] is a `Compare` for your own transaction; for
//! other data see [`dlock_core::fence`].
//!
//! # Leases
//!
//! A lease serves one attempt at a time, so that it ends with it, and its TTL counts from its own last
//! keepalive, never from the attempt (a transaction renews nothing). Leases come from a pool of warm ones
//! (at most 128, for each TTL in use; they are revoked after 30 s without use), so that an acquisition is
//! one request. All are kept alive over one stream. TTLs are from 1 s to 365 days, rounded up to
//! whole seconds, and 1 s becomes 2 s; a [`Guard`](dlock_core::Guard) shows what it has. (That is so at
//! etcd's default election timeout. With a longer one etcd keeps leases for at least one and a half of it:
//! a lock whose holder died is free later than its TTL says, never earlier.) A lease of which a request was not answered is revoked
//! when its attempt ends, and never used again.
//!
//! Whoever holds a lock for longer than 50 ms watches its key: a key deleted by hand, or a lease revoked
//! by an operator, is a loss at once, not at the next renewal.
//!
//! # Waiting
//!
//! First in, first out over all attempts of all clients. A waiting attempt watches the entry before it and
//! asks when that one goes. All watches of a store share one stream. If the next in the queue is dlock's
//! and does not take the lock within 0.5 s, the one behind it removes its entry; should it be alive after
//! all, it queues again at the end. Entries of other libraries are waited for until their leases end.
//!
//! # Rights
//!
//! A user of etcd needs `readwrite` on all keys with the store's prefix, and nothing else:
//!
//! ```text
//! etcdctl role grant-permission app readwrite --prefix=true lock/
//! ```
//!
//! # What it cannot do
//!
//! - **A leader that was stopped for longer than a TTL** and wakes up may revoke leases which the new
//!   leader has renewed meanwhile (etcd issue 15247). The holder learns of it at once; until then two may
//!   believe. A fence tells them apart.
//! - **A cluster restored from a snapshot** counts its revisions from there: tokens repeat, unless it is
//!   restored with `--bump-revision`. A fence then refuses the new holders until it is reset.
//! - **[`LockEvent::Expired`](dlock_core::store::LockEvent::Expired)** is a conclusion: etcd does not say
//!   why a key went. A holder of another library that revokes its lease as it unlocks may show as expired.
//!
//! # Features
//!
//! - `tls` (off by default): `https://` endpoints and client certificates, with rustls.

mod acquire;
mod builder;
mod candidate;
mod capabilities;
mod connector;
mod entry;
mod error;
mod failure;
mod inner;
mod keys;
mod lease;
mod lock_store;
mod members;
mod minder;
mod recipe;
mod release;
mod renew;
mod store;
mod table;
mod value;
mod waiting;
mod watch;

pub use builder::EtcdStoreBuilder;
pub use connector::Connector;
pub use dlock_core;
pub use error::{Error, NotHeld};
pub use etcd_client;
pub use store::EtcdStore;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
