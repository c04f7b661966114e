//! A deterministic world for **dlock**: the real backend code under partitions, pauses, clock jumps and replica
//! loss, with a checker that knows the truth, and a seed that brings every failure back.

/// The README's example.
#[cfg(all(doctest, feature = "redis"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(all(feature = "redis", feature = "etcd"))]
pub mod broken;
pub mod checker;
pub mod client;
#[cfg(feature = "etcd")]
pub mod etcd;
pub mod faults;
#[cfg(all(feature = "redis", feature = "etcd"))]
pub mod matrix;
#[cfg(feature = "redis")]
pub mod redis;
pub mod report;
#[cfg(all(feature = "redis", feature = "etcd"))]
pub mod scenario;
pub mod service;
pub mod simulation;
pub mod stores;
pub mod trace;
mod words;
pub mod world;

pub use checker::Property;
pub use client::{
    Access, NoAnswer, ProtectedResource, Remote, Resource, ResourceError, SimClient, Visit,
};
pub use faults::{Fault, FaultKind, Faults, Plan, Swarm};
pub use simulation::{Failure, Simulation, Summary};
#[cfg(feature = "etcd")]
pub use stores::SimEtcd;
#[cfg(feature = "redis")]
pub use stores::SimRedis;
