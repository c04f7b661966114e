//! What a cluster of three does when its members, its leader, its clocks and its disks do what they should not; seen
//! through the real client, in virtual time.
#![cfg(feature = "etcd")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // A helper of tests may unwrap as tests do.

mod authority;
mod determinism;
mod leaders;
mod leases;
mod processes;
mod state;
mod support;
