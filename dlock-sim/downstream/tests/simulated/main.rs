//! The service in dlock's simulated world.

mod determinism;
mod survives;
mod world;
