use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use dlock_core::runtime::Task;

/// An operating system's process: it runs, stands still, or is dead. All its tasks do as it does.
#[derive(Debug, Default)]
pub(super) struct Process {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    incarnation: u64,
    dead: bool,
    frozen: bool,
    tasks: BTreeMap<u64, Option<Waker>>,
    next_task: u64,
}

impl Process {
    /// Not when it is dead.
    pub fn is_running(&self) -> bool {
        !self.state().dead
    }

    pub fn is_frozen(&self) -> bool {
        self.state().frozen
    }

    pub fn kill(&self) {
        self.change(|state| {
            state.dead = true;
            state.frozen = false;
            state.incarnation += 1;
        });
    }

    pub fn start(&self) {
        self.change(|state| state.dead = false);
    }

    pub fn freeze(&self, frozen: bool) {
        self.change(|state| state.frozen = frozen && !state.dead);
    }

    /// One of its tasks. It ends when the process does.
    pub fn task(self: &Arc<Self>, future: impl Future<Output = ()> + Send + 'static) -> Task {
        let mut state = self.state();
        if state.dead {
            return Box::pin(std::future::ready(()));
        }
        state.next_task += 1;
        let id = state.next_task;
        state.tasks.insert(id, None);
        Box::pin(Gated {
            process: self.clone(),
            incarnation: state.incarnation,
            id,
            future: Some(Box::pin(future)),
        })
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state();
        change(&mut state);
        let wakers: Vec<_> = state.tasks.values_mut().filter_map(Option::take).collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Gated {
    process: Arc<Process>,
    incarnation: u64,
    id: u64,
    future: Option<Task>,
}

impl Future for Gated {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        {
            let mut state = this.process.state();
            if state.incarnation == this.incarnation {
                state.tasks.insert(this.id, Some(cx.waker().clone()));
                if state.frozen {
                    return Poll::Pending;
                }
            } else {
                drop(state);
                this.future = None;
            }
        }
        match &mut this.future {
            Some(future) => future.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.process.state().tasks.remove(&self.id);
    }
}
