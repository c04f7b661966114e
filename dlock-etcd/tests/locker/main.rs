//! Lockers on a real etcd.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Helpers of tests do as tests do.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod crowd;
mod storm;
