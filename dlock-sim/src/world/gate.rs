use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Stops all tasks of a process while the world goes on.
///
/// A task behind a closed gate is not polled. Whatever wakes it meanwhile (timers, messages) is kept, and all of it
/// bursts out, in the order of the tasks' birth, when the gate opens: as after a long garbage collection.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: u32,
    waiting: BTreeMap<u64, Waker>,
    next_task: u64,
}

impl Gate {
    /// Closes it once more; it opens when all closings were undone.
    pub fn close(&self) {
        self.state().closed += 1;
    }

    pub fn open(&self) {
        let mut state = self.state();
        state.closed = state.closed.saturating_sub(1);
        let woken = match state.closed {
            0 => std::mem::take(&mut state.waiting),
            _ => BTreeMap::new(),
        };
        drop(state);
        woken.into_values().for_each(Waker::wake);
    }

    /// The process was killed: nothing of it waits any more.
    pub fn forget_tasks(&self) {
        let waiting = std::mem::take(&mut self.state().waiting);
        drop(waiting);
    }

    pub fn is_closed(&self) -> bool {
        self.state().closed > 0
    }

    /// Puts a task behind the gate.
    pub fn guard<F: Future>(self: &Arc<Self>, task: F) -> Gated<F> {
        let mut state = self.state();
        state.next_task += 1;
        Gated {
            number: state.next_task,
            gate: self.clone(),
            task: Box::pin(task),
        }
    }

    /// Closed: keeps the waker and says so.
    fn stops(&self, number: u64, waker: &Waker) -> bool {
        let mut state = self.state();
        if state.closed == 0 {
            return false;
        }
        state.waiting.insert(number, waker.clone());
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A task behind a gate.
pub(crate) struct Gated<F> {
    number: u64,
    gate: Arc<Gate>,
    task: Pin<Box<F>>,
}

impl<F: Future> Future for Gated<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.gate.stops(self.number, cx.waker()) {
            return Poll::Pending;
        }
        self.task.as_mut().poll(cx)
    }
}

impl<F> Drop for Gated<F> {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        let waker = state.waiting.remove(&self.number);
        drop(state);
        drop(waker);
    }
}
