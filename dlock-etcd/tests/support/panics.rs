use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// Panics since [`count_panics`], of a test's own thread and the tasks on it.
pub struct Panics(Arc<AtomicU32>);

impl Panics {
    pub fn count(&self) -> u32 {
        self.0.load(Ordering::SeqCst)
    }
}

/// A task that panics fails no test by itself.
pub fn count_panics() -> Panics {
    let count = Arc::new(AtomicU32::new(0));
    let (counter, here) = (count.clone(), std::thread::current().id());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == here {
            counter.fetch_add(1, Ordering::SeqCst);
        }
        before(info);
    }));
    Panics(count)
}
