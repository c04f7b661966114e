use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use dlock_core::runtime::Task;

/// The tasks that a machine's process has spawned, so that they die in the order of their birth.
///
/// tokio drops a runtime's tasks in an order that depends on their ids, which all runtimes of the operating system's
/// process share: another test, in another thread, would decide whose connection is cut first.
#[derive(Default)]
pub(crate) struct Tasks {
    alive: Mutex<BTreeMap<u64, Arc<Slot>>>,
    born: AtomicU64,
    dying: AtomicBool,
}

type Slot = Mutex<Option<Task>>;

impl Tasks {
    /// What tokio gets to run.
    pub fn keep(self: &Arc<Self>, task: Task) -> Kept {
        let number = self.born.fetch_add(1, Ordering::Relaxed);
        let slot = Arc::new(Mutex::new(Some(task)));
        self.alive().insert(number, slot.clone());
        Kept {
            tasks: self.clone(),
            number,
            slot,
        }
    }

    pub fn count(&self) -> usize {
        self.alive().len()
    }

    /// With the first task that is dropped from here on go all.
    pub fn about_to_die(&self) {
        self.dying.store(true, Ordering::Relaxed);
    }

    pub fn all_dead(&self) {
        self.dying.store(false, Ordering::Relaxed);
    }

    fn drop_all(&self) {
        // What is dropped may drop, or spawn, others.
        while let Some((_, slot)) = self.pop_oldest() {
            drop(emptied(&slot));
        }
    }

    fn pop_oldest(&self) -> Option<(u64, Arc<Slot>)> {
        self.alive().pop_first()
    }

    fn alive(&self) -> MutexGuard<'_, BTreeMap<u64, Arc<Slot>>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Taken out, to be dropped while nothing is locked.
fn emptied(slot: &Slot) -> Option<Task> {
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// A task; alive until it is done or dropped.
pub(crate) struct Kept {
    tasks: Arc<Tasks>,
    number: u64,
    slot: Arc<Slot>,
}

impl Future for Kept {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.as_mut() {
            Some(task) => task.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if self.tasks.dying.load(Ordering::Relaxed) {
            self.tasks.drop_all();
        }
        self.tasks.alive().remove(&self.number);
        drop(emptied(&self.slot));
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // These are the runtimes that a machine's tasks live on.
mod tests {
    use super::*;

    struct Dies(u64, Arc<Mutex<Vec<u64>>>);

    impl Drop for Dies {
        fn drop(&mut self) {
            self.1.lock().unwrap().push(self.0);
        }
    }

    /// Eight tasks whose ids begin wherever other runtimes are.
    fn order_of_death() -> Vec<u64> {
        let dead = Arc::new(Mutex::new(Vec::new()));
        let tasks = Arc::new(Tasks::default());
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.unwrap();
        for number in 0..8 {
            let dies = Dies(number, dead.clone());
            drop(runtime.spawn(tasks.keep(Box::pin(async move {
                let _dies = dies;
                std::future::pending::<()>().await;
            }))));
        }
        runtime.block_on(tokio::task::yield_now());
        tasks.about_to_die();
        drop(runtime);
        assert_eq!(tasks.count(), 0);
        std::mem::take(&mut *dead.lock().unwrap())
    }

    #[test]
    fn tasks_die_in_the_order_of_their_birth_whatever_other_runtimes_do() {
        let other = tokio::runtime::Builder::new_current_thread().build();
        let other = other.unwrap();
        for _ in 0..8 {
            assert_eq!(order_of_death(), [0, 1, 2, 3, 4, 5, 6, 7]);
            drop(other.spawn(std::future::ready(())));
        }
    }
}
