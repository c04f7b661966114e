//! The conformance kit: named cases that every [`LockStore`](crate::store::LockStore) must pass, the
//! runtime whose time the test owns, and stores that are broken on purpose.
//!
//! # Checking your own store
//!
//! Say how to connect one more client to your backend, and let the macro make one `#[test]` of each
//! case, in a test file of its own, with `dlock-core` and its feature `conformance` among the
//! dev-dependencies:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use async_trait::async_trait;
//! use dlock_core::conformance::{Connected, StoreFactory};
//! use dlock_core::runtime::{Runtime, TokioRuntime};
//! # use dlock_core::MemoryStore as YourStore; // Stands for a client of yours.
//!
//! struct YourServer {
//!     runtime: Arc<dyn Runtime>,
//! #   backend: YourStore,
//! }
//!
//! #[async_trait]
//! impl StoreFactory for YourServer {
//!     /// One more client, with connections of its own, onto the same server.
//!     async fn connect(&self) -> Connected {
//! #       let store = self.backend.clone();
//! #       #[cfg(any())]
//!         let store = YourStore::connect("your://127.0.0.1/").await?;
//!         Ok(Arc::new(store))
//!     }
//!
//!     fn runtime(&self) -> Arc<dyn Runtime> {
//!         self.runtime.clone()
//!     }
//! }
//!
//! fn your_server() -> YourServer {
//! #   #[cfg(any())]
//!     YourServer { runtime: Arc::new(TokioRuntime::new()) }
//! #   ; YourServer { runtime: Arc::new(TokioRuntime::new()), backend: YourStore::new() }
//! }
//!
//! dlock_core::conformance_tests!(real_time: your_server());
//! # fn main() {}
//! ```
//!
//! For a store in this process [`SameStore`] is the whole factory, and virtual time makes the run
//! quick:
//!
//! ```no_run
//! use std::sync::Arc;
//! use dlock_core::MemoryStore;
//! use dlock_core::conformance::{SameStore, VirtualRuntime};
//!
//! fn memory() -> SameStore {
//!     let runtime = Arc::new(VirtualRuntime::new(7));
//!     SameStore::new(MemoryStore::with_runtime(runtime.clone()), runtime)
//! }
//!
//! dlock_core::conformance_tests!(virtual_time: memory());
//! # fn main() {}
//! ```
//!
//! # What a case does
//!
//! Every case locks names of its own (the case's name and 64 random bits), so one server serves all
//! cases at once, and the remains of an earlier run do no harm. What a store does not declare in its
//! [`Capabilities`](crate::store::Capabilities) is not asked of it: the case prints `SKIP(reason)`.
//! No case sleeps to be sure: it waits for what it can see, or for a TTL to be over, within these
//! bounds:
//!
//! | what | bound |
//! |---|---|
//! | a lease lasts at least its TTL less 1 % and 2 ms, counted from the send (R1), | |
//! | and the lock is free after the TTL plus | 5 s |
//! | a declared push wakes a waiter within | 1 s |
//! | a waiter notices that within | 3 s |
//! | a dead head of the queue delays the next by | 1.5 s |
//! | a loss is noticed within the declared notice plus | 1 s |
//! | everything else that must happen | 10 s |
//! | a whole case | 60 s |
//!
//! On a real server a case takes 5 s at most: the longest sits through two TTLs of 2 s, or of the
//! shortest that the store can do.
//!
//! # That each case can fail
//!
//! [`BrokenStore`] is a memory store with one [`Flaw`]; each case fails on at least one of them.

mod broken;
mod case;
mod cases;
mod client;
mod factory;
mod harness;
mod held;
mod spy;
mod test_macro;
mod verdict;

pub use crate::testing::VirtualRuntime;
pub use broken::{BrokenStore, Flaw};
pub use case::{Case, Outcome};
pub use cases::CASES;
pub use factory::{Connected, SameStore, StoreFactory};
#[doc(hidden)]
pub use test_macro::{real_time, virtual_time};
