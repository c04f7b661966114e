//! One lease: the pure machine that decides, and the cell that guard, scheduler, drop and store
//! share. No clock is read here, nothing is spawned, and no tokio type is named.

mod cell;
mod machine;
mod sync;
mod terms;

pub(crate) use cell::{EndedWaiter, LeaseCell, Life, Observed};
pub use machine::{Failure, LeaseMachine, Loss, Step};
pub use terms::Terms;
