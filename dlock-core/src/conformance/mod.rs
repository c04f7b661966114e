//! stub
mod virtual_runtime;
pub use virtual_runtime::VirtualRuntime;
