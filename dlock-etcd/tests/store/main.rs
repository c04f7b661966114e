//! The store against a real etcd, without a `Locker`.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Helpers of tests do as tests do.

#[path = "../support/mod.rs"]
mod support;

mod compaction;
mod fence;
mod found_in_review;
mod interop;
mod revoke;
mod traps;
