//! For plain unit tests of code that uses a lock: a store that answers as the test says, on time that the test owns.
//! No server, no simulator. (For everything that can go wrong at once, there is `dlock-sim`.)
//!
//! Feature `test-util`, among your dev-dependencies; `tokio` needs its own `test-util`.

mod scripted_store;
mod virtual_runtime;

pub use scripted_store::{Answer, ScriptedStore};
pub use virtual_runtime::VirtualRuntime;
