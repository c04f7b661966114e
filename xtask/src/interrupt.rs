//! Ctrl-C, SIGTERM and SIGHUP stop everything that xtask started.
//!
//! Every child is the leader of a process group of its own, so a terminal's Ctrl-C reaches only
//! xtask. The listening thread passes the signal on to the group in the foreground; the main
//! thread sees its child end, leaves by the ordinary way of an error, and the servers are stopped
//! by their `Drop`. A second signal kills the group outright.

use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

static STATE: Mutex<State> = Mutex::new(State {
    signal: None,
    foreground: None,
});

struct State {
    signal: Option<i32>,
    foreground: Option<Pid>,
}

pub(crate) fn listen() -> Result<()> {
    let mut signals =
        Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for Ctrl-C and SIGTERM")?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let mut state = state();
            let first = state.signal.is_none();
            state.signal.get_or_insert(signal);
            if let Some(group) = state.foreground {
                pass_on(group, if first { signal } else { Signal::KILL.as_raw() });
            }
            drop(state);
            eprintln!("\nxtask: interrupted, stopping what was started");
        }
    });
    Ok(())
}

/// An error once a signal came: whoever waits in a loop asks this in every turn.
pub(crate) fn check() -> Result<()> {
    if state().signal.is_some() {
        bail!("interrupted");
    }
    Ok(())
}

/// The shell's exit code for "ended by this signal", once a signal came.
pub(crate) fn exit_code() -> Option<ExitCode> {
    let signal = state().signal?;
    Some(ExitCode::from(u8::try_from(128 + signal).unwrap_or(1)))
}

/// While it lives, signals go to this process group too.
pub(crate) struct Foreground(());

impl Foreground {
    pub(crate) fn enter(group: Pid) -> Self {
        let mut state = state();
        state.foreground = Some(group);
        // A signal that came before there was a group to pass it on to.
        if let Some(signal) = state.signal {
            pass_on(group, signal);
        }
        Self(())
    }
}

impl Drop for Foreground {
    fn drop(&mut self) {
        state().foreground = None;
    }
}

fn pass_on(group: Pid, signal: i32) {
    let signal = Signal::from_named_raw(signal).unwrap_or(Signal::TERM);
    // It fails only when the whole group has ended, which is what was wanted.
    let _ = kill_process_group(group, signal);
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}
