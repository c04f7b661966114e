//! What happened, in the words of `dlock-trace/1`: JSON Lines, a [`Header`] and then [`Event`]s.
//!
//! The simulator writes it, tests on real servers write it, the checker and the report read it.

mod event;
mod file;
mod observed;
mod process;
mod recorder;

pub use event::{
    AuthorityEnd, CallKind, Event, Header, Kind, NodeInfo, Outcome, Role, SCHEMA, StorageAccess,
    Verdict,
};
pub use file::{Trace, TraceError};
pub(crate) use observed::Listener;
pub use process::ProcessRecorder;
pub use recorder::{Recorder, TrueClock};
