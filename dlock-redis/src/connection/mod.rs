//! From a command to its answer, or to an honest "do not know".
//!
//! - [`Connector`]: opens connections; the seam where a simulator (or anybody) puts in its own.
//! - [`link`]: the store's one connection, reopened on demand; its *generation* counts connections.
//! - [`session`]: one connection for the length of one step, with the timeouts, which are ours and
//!   run on the injected clock.
//! - [`wire`]: whatever carries a command: our connection or a user's own.
//! - [`wakeups`]: the other connection, over which wakeups come.
//! - [`failure`]: why there is no useful answer, and which of the three kinds of `StoreError` it is.
//! - [`text`]: error texts without secrets.

mod connector;
pub(crate) mod failure;
pub(crate) mod link;
mod probe;
pub(crate) mod session;
mod text;
mod wakeups;
mod wire;

pub use connector::{ClientConnector, Connected, Connector};
pub(crate) use failure::{ConnectFailure, Failure};
pub(crate) use link::Link;
pub(crate) use session::{Flight, Route, Session};
pub(crate) use wakeups::WakeupLink;
pub use wakeups::Wakeups;
pub(crate) use wire::Wire;
