use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::VirtualRuntime;
use crate::store::{
    Attempt, AttemptRequest, Capabilities, HeldBy, Inspection, LockStore, Release, Released,
    Renewal, Renewed, StoreError, Watch,
};
use crate::{LockName, Locker, MemoryStore, OwnerLabel};

/// A store that answers as a test says, and as a sound store where the test says nothing.
///
/// Clones share locks and script. How the code under test handles the loss of its lock:
///
/// ```
/// use dlock_core::testing::{Answer, ScriptedStore};
/// use dlock_core::{Locker, LossCause, RunError};
/// use std::convert::Infallible;
/// use std::time::Duration;
///
/// /// The code under test.
/// async fn close_the_books(locker: &Locker) -> Result<(), RunError<Infallible>> {
///     let books = locker.lock("books").ttl(Duration::from_secs(30));
///     books.run(async |_| Ok(tokio::time::sleep(Duration::from_secs(300)).await)).await
/// }
///
/// #[tokio::main(flavor = "current_thread", start_paused = true)] // In a test: `tokio::test(start_paused = true)`.
/// async fn main() {
///     let store = ScriptedStore::new();
///     let locker = store.locker();
///
///     // Busy twice, then granted; lost at the third renewal.
///     store.attempts([Answer::No, Answer::No]);
///     store.renewals([Answer::AsUsual, Answer::AsUsual, Answer::No]);
///     let error = close_the_books(&locker).await.unwrap_err();
///     assert!(matches!(error, RunError::Lost { cause: LossCause::NotOwner, .. }), "{error}");
///     assert_eq!(store.unused(), 0);
///
///     // An operator takes it away in the middle of the work.
///     let (outcome, ()) = tokio::join!(close_the_books(&locker), async {
///         tokio::time::sleep(Duration::from_secs(100)).await;
///         store.lose("books").await;
///     });
///     assert!(matches!(outcome, Err(RunError::Lost { .. })));
///
///     // The store is down, and stays down.
///     store.attempts(std::iter::repeat_n(Answer::Unavailable, 1000));
///     let error = close_the_books(&locker).await.unwrap_err();
///     assert!(matches!(error, RunError::Acquire(_)), "{error}");
/// }
/// ```
#[derive(Clone)]
pub struct ScriptedStore {
    inner: MemoryStore,
    runtime: Arc<VirtualRuntime>,
    script: Arc<Mutex<Script>>,
}

/// What a [`ScriptedStore`] says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// What a sound store says.
    AsUsual,
    /// To an attempt: somebody else has the lock. To a renewal: you have lost it (and so it is). To a release: there
    /// was nothing to release (and so it is).
    No,
    /// [`StoreError::Unavailable`]: nothing was done.
    Unavailable,
    /// [`StoreError::Indeterminate`]: it was done, and the answer is lost.
    Indeterminate,
    /// [`StoreError::Rejected`]: it will not work until somebody changes something.
    Rejected,
    /// Nothing at all, for ever; nothing was done.
    Never,
}

#[derive(Default)]
struct Script {
    attempts: VecDeque<Answer>,
    renewals: VecDeque<Answer>,
    releases: VecDeque<Answer>,
}

impl ScriptedStore {
    /// A store with free locks and an empty script: a sound one. Make it inside the test's runtime, whose time must be
    /// paused (`#[tokio::test(start_paused = true)]`).
    #[allow(clippy::new_without_default)] // Not for any place: it belongs to the runtime that it is made in.
    pub fn new() -> Self {
        let runtime = Arc::new(VirtualRuntime::new(0));
        Self {
            inner: MemoryStore::with_runtime(runtime.clone()),
            runtime,
            script: Arc::default(),
        }
    }

    /// A locker on this store and on the test's time.
    pub fn locker(&self) -> Locker {
        let builder = Locker::builder(self.clone()).runtime(self.runtime());
        // The default settings make sense.
        let built = builder
            .label(OwnerLabel::new("the code under test"))
            .build();
        built.unwrap_or_else(|_| Locker::new(self.clone()))
    }

    /// The test's time, for a locker with other settings: `Locker::builder(store.clone()).runtime(store.runtime())`.
    pub fn runtime(&self) -> Arc<VirtualRuntime> {
        self.runtime.clone()
    }

    /// The answers to the next attempts, after those that were said before. (A locker that waits, or is not answered,
    /// asks again.)
    pub fn attempts(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script().attempts.extend(answers);
    }

    /// The answers to the next renewals, of whichever lock.
    pub fn renewals(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script().renewals.extend(answers);
    }

    /// The answers to the next releases.
    pub fn releases(&self, answers: impl IntoIterator<Item = Answer>) {
        self.script().releases.extend(answers);
    }

    /// How many answers nobody has asked for yet: at the end of a test that played its whole script, 0.
    pub fn unused(&self) -> usize {
        let script = self.script();
        script.attempts.len() + script.renewals.len() + script.releases.len()
    }

    /// Takes the lock away from whoever holds it, who learns of it at once. `false` when it was free.
    pub async fn lose(&self, name: &str) -> bool {
        match LockName::new(name) {
            Ok(name) => self.inner.force_release(&name).await.unwrap_or(false),
            Err(_) => false,
        }
    }

    async fn renew_one(&self, renewal: &Renewal) -> Result<Renewed, StoreError> {
        let answer = self.next(|script| &mut script.renewals);
        if answer == Answer::No {
            let grant = Release::Grant(renewal.grant, renewal.trail.clone());
            self.inner.release(&renewal.name, &grant).await?;
            return Ok(Renewed::NotOwner);
        }
        failure_before(answer).await?;
        let mut done = self.inner.renew(std::slice::from_ref(renewal)).await;
        failure_after(answer)?;
        done.pop().unwrap_or(Ok(Renewed::NotOwner))
    }

    fn next(&self, of: impl FnOnce(&mut Script) -> &mut VecDeque<Answer>) -> Answer {
        let mut script = self.script();
        of(&mut script).pop_front().unwrap_or(Answer::AsUsual)
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without which nothing is done.
async fn failure_before(answer: Answer) -> Result<(), StoreError> {
    match answer {
        Answer::Unavailable => Err(StoreError::unavailable("the test says so")),
        Answer::Rejected => Err(StoreError::rejected("the test says so")),
        Answer::Never => std::future::pending().await,
        _ => Ok(()),
    }
}

/// Of what was done.
fn failure_after(answer: Answer) -> Result<(), StoreError> {
    match answer {
        Answer::Indeterminate => Err(StoreError::indeterminate("the test says so")),
        _ => Ok(()),
    }
}

#[async_trait]
impl LockStore for ScriptedStore {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn attempt(&self, request: &AttemptRequest) -> Result<Attempt, StoreError> {
        let answer = self.next(|script| &mut script.attempts);
        if answer == Answer::No {
            let label = Some(OwnerLabel::new("somebody else"));
            return Ok(Attempt::Busy {
                held_by: HeldBy::new(label, None),
                place: None,
            });
        }
        failure_before(answer).await?;
        let done = self.inner.attempt(request).await?;
        failure_after(answer).map(|()| done)
    }

    async fn renew(&self, batch: &[Renewal]) -> Vec<Result<Renewed, StoreError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for renewal in batch {
            answers.push(self.renew_one(renewal).await);
        }
        answers
    }

    async fn release(&self, name: &LockName, release: &Release) -> Result<Released, StoreError> {
        let answer = self.next(|script| &mut script.releases);
        if answer == Answer::No {
            let done = self.inner.release(name, release).await?;
            return Ok(Released {
                removed: false,
                ..done
            });
        }
        failure_before(answer).await?;
        let done = self.inner.release(name, release).await?;
        failure_after(answer).map(|()| done)
    }

    async fn inspect(&self, name: &LockName) -> Result<Option<Inspection>, StoreError> {
        self.inner.inspect(name).await
    }

    async fn force_release(&self, name: &LockName) -> Result<bool, StoreError> {
        self.inner.force_release(name).await
    }

    async fn watch(&self, name: &LockName) -> Result<Option<Box<dyn Watch>>, StoreError> {
        self.inner.watch(name).await
    }
}

impl fmt::Debug for ScriptedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedStore")
            .field("unused", &self.unused())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{AcquireError, Ended, LeaseError, LossCause};

    #[tokio::test(start_paused = true)]
    async fn busy_twice_then_granted() {
        let store = ScriptedStore::new();
        store.attempts([Answer::No, Answer::No]);
        let guard = store.locker().lock("a").acquire().await.unwrap();
        assert_eq!((guard.attempts(), store.unused()), (3, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn lost_at_the_third_renewal() {
        let store = ScriptedStore::new();
        store.renewals([Answer::AsUsual, Answer::AsUsual, Answer::No]);
        let guard = store.locker().lock("a").acquire().await.unwrap();
        let ended = guard.ended().await;
        assert!(
            matches!(ended, Ended::Lost(LossCause::NotOwner)),
            "{ended:?}"
        );
        assert_eq!(store.unused(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn lost_by_the_test_at_once() {
        let store = ScriptedStore::new();
        let guard = store.locker().lock("a").acquire().await.unwrap();
        guard.check().unwrap();
        assert!(store.lose("a").await);
        assert!(matches!(guard.check(), Err(LeaseError::Lost { .. })));
        assert!(!store.lose("a").await);
    }

    #[tokio::test(start_paused = true)]
    async fn renewals_that_fail_lose_the_lock_at_its_deadline() {
        for (answer, cause) in [
            (Answer::Never, "Unreachable"),
            (Answer::Unavailable, "Unreachable"),
            (Answer::Rejected, "Store"),
        ] {
            let store = ScriptedStore::new();
            store.renewals(std::iter::repeat_n(answer, 1000));
            let ttl = Duration::from_secs(10);
            let guard = store.locker().lock("a").ttl(ttl).acquire().await.unwrap();
            let Ended::Lost(why) = guard.ended().await else {
                panic!("{answer:?}: not lost");
            };
            assert!(format!("{why:?}").starts_with(cause), "{answer:?}: {why:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_whose_answer_is_lost_is_asked_again_and_is_the_same() {
        let store = ScriptedStore::new();
        store.attempts([Answer::Indeterminate]);
        let guard = store.locker().lock("a").acquire().await.unwrap();
        assert_eq!(guard.attempts(), 2);
        guard.release().await.unwrap();
        let free = store.inner.inspect(&LockName::new("a").unwrap()).await;
        assert_eq!(free.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_attempts_are_told() {
        for (answer, kind) in [
            (Answer::Unavailable, "Unavailable"),
            (Answer::Rejected, "Rejected"),
            (Answer::Never, "Indeterminate"),
        ] {
            let store = ScriptedStore::new();
            store.attempts(std::iter::repeat_n(answer, 1000));
            let error = store.locker().lock("a").acquire().await.unwrap_err();
            let AcquireError::Store { source, .. } = error else {
                panic!("{answer:?}: {error}");
            };
            assert!(
                format!("{source:?}").starts_with(kind),
                "{answer:?}: {source:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_release_fails_as_it_is_told() {
        let store = ScriptedStore::new();
        store.releases([Answer::Rejected, Answer::No]);
        let guard = store.locker().lock("a").acquire().await.unwrap();
        let error = guard.release().await.unwrap_err();
        assert!(matches!(error, LeaseError::Store { .. }), "{error}");
    }
}
