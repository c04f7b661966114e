//! Redis and Valkey as a store for [dlock](dlock_core).
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//! use dlock_core::Locker;
//! use dlock_redis::RedisStore;
//!
//! let store = RedisStore::connect("redis://127.0.0.1/").await?;
//! let locker = Locker::new(store);
//! let guard = locker.lock("duckDuckGoose").wait(Duration::from_secs(5)).acquire().await?;
//! println!("held until further notice, with token {}", guard.token());
//! guard.release().await?;
//! locker.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! - [`RedisStore`]: the store; [`RedisStoreBuilder`]: its settings.
//! - [`RedisFence`]: a fence for data in the same Redis.
//! - [`Connector`]: how connections are opened, should you want to do it yourself.
//!
//! # Beside other locks
//!
//! A lock is the plain `SET key value NX PX` that most Redis locks use, on the key `lock:` + name.
//! So services that use another library of that family and the same key exclude dlock and are
//! excluded by it. Such foreign holders have no token.
//!
//! # Waiting
//!
//! Attempts that wait stand in a queue in Redis, one entry for each store instance and name; those of
//! one instance stand in a line behind its entry. At a release the lock is in line for the head of
//! the queue for 0.5 s, the head is woken over a second connection (RESP3, opened when somebody first
//! waits), and goes to the end of the queue after its turn if more of its attempts wait. Foreign
//! clients know nothing of this order. An instance that waits needs about one request every 2 s (the
//! head) to 5 s. Within one instance a release hands the lock to the next in line with the same
//! request.
//!
//! # Rights
//!
//! All that a user of the server needs (with another prefix than `lock:`, that instead; and the keys
//! of the data behind a [`RedisFence`]):
//!
//! ```text
//! ACL SETUSER app on >secret ~*lock:* &dlock:wakeup:* +@connection +@scripting +@string +@keyspace +@hash +@sortedset +@pubsub +time
//! ```
//!
//! The channels are needed also where nobody waits: without them releases wake nobody, and others
//! notice them at their next look, seconds later. Where somebody waits without them, and on servers
//! without `HELLO 3`, attempts poll. Both are said in a `tracing` warning.
//!
//! # What it cannot do
//!
//! One Redis server forgets: a failover to a replica that had not received the lock yet, an eviction
//! (`maxmemory-policy` other than `noeviction` or `volatile-*` with room), a `FLUSHALL` or a restart
//! without persistence give the lock to somebody else while its holder still believes in it. Tokens
//! rise even then, as long as clocks are sane; a fence tells the two holders apart.
//!
//! # Features
//!
//! - `tls` (off by default): `rediss://` URLs, with rustls.

mod builder;
mod capabilities;
mod connection;
mod error;
mod fence;
mod keys;
mod lock_store;
mod reply;
mod scripts;
mod slot;
mod store;
mod trail;
mod url;
mod value;
mod waiting;

pub use builder::RedisStoreBuilder;
pub use connection::{ClientConnector, Connected, Connector, Wakeups};
pub use dlock_core;
pub use error::Error;
pub use fence::RedisFence;
pub use redis;
pub use store::RedisStore;

#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
