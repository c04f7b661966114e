//! The store against a real etcd.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)] // Helpers of tests do as tests do.

#[path = "../support/mod.rs"]
mod support;

mod auth;
mod compaction;
mod endpoints;
mod fence;
mod found_in_review;
mod garbage;
mod interop;
mod revoke;
mod settings;
mod sizes;
mod tls;
mod traps;

use std::time::Duration;

use dlock_core::runtime::TokioRuntime;
use dlock_core::store::{AttemptRequest, Mode};
use dlock_core::{AttemptId, LockName};

const TTL: Duration = Duration::from_secs(60);

fn name(text: impl AsRef<str>) -> LockName {
    LockName::new(text).unwrap()
}

fn attempt_id() -> AttemptId {
    AttemptId::mint(&TokioRuntime::new())
}

fn request(lock: &LockName) -> AttemptRequest {
    AttemptRequest::new(lock.clone(), attempt_id(), TTL, Mode::Queue)
}
