use dlock_core::AcquireError;

use crate::support::{Call, Fault, MS, SECOND, World};

/// `ambiguous-acquire`: applied, the answer is lost, the caller gives up.
#[tokio::test(start_paused = true)]
async fn r3_an_attempt_without_an_answer_is_released_by_id() {
    let world = World::new();
    let locker = world.locker();
    world.faulty.always(Call::Attempt, Fault::ReplyLost);
    let error = locker.lock("a").wait(SECOND).acquire().await.unwrap_err();
    assert!(matches!(error, AcquireError::Store { .. }), "{error}");
    world.settle().await;
    assert!(!world.is_held("a").await);
}

/// A release that is itself not answered is repeated.
#[tokio::test(start_paused = true)]
async fn r3_the_clean_up_is_repeated_until_it_is_answered() {
    let world = World::new();
    world.faulty.next(Call::Attempt, [Fault::ReplyLost]);
    world.faulty.next(
        Call::Release,
        [
            Fault::RequestLost,
            Fault::Unavailable,
            Fault::Rejected,
            Fault::RequestLost,
        ],
    );
    let locker = world.locker();
    let attempt = locker.lock("a").ttl(20 * SECOND).wait(MS).acquire().await;
    assert!(attempt.is_err());
    world.pass(SECOND).await;
    assert!(!world.is_held("a").await);
    assert_eq!(world.faulty.count(Call::Release), 5);
}

/// "Not there" is not final while the acquire may still arrive.
#[tokio::test(start_paused = true)]
async fn r3_an_unsettled_release_is_repeated_until_the_ttl_is_over() {
    let world = World::new();
    let unsettled = Unsettled(world.store.clone());
    let locker = dlock_core::Locker::builder(unsettled)
        .runtime(world.runtime.clone())
        .build()
        .unwrap();
    let guard = locker.lock("a").ttl(5 * SECOND).acquire().await.unwrap();
    let grant = guard.grant();
    guard.release().await.unwrap();
    world.settle().await;
    // A late duplicate of the acquire arrives: same id, new token.
    use dlock_core::store::{AttemptRequest, LockStore, Mode};
    let name = dlock_core::LockName::new("a").unwrap();
    let duplicate = AttemptRequest::new(name, grant.id, 5 * SECOND, Mode::Queue);
    world.store.attempt(&duplicate).await.unwrap();
    assert!(world.is_held("a").await);
    world.pass(2 * SECOND).await;
    assert!(!world.is_held("a").await, "the repeated release found it");
    assert_eq!(locker.close().await.unfinished, 0);
}

/// Every loss starts a release: what the store still has of the grant blocks others.
#[tokio::test(start_paused = true)]
async fn r3_a_lost_lease_is_released_too() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(10 * SECOND)
        .acquire()
        .await
        .unwrap();
    // Renewals are applied at the store, unanswered here: at our deadline the store's lease lives on.
    world.faulty.always(Call::Renew, Fault::ReplyLost);
    guard.ended().await;
    world.settle().await;
    assert!(!world.is_held("a").await);
}

struct Unsettled(dlock_core::MemoryStore);

#[async_trait::async_trait]
impl dlock_core::store::LockStore for Unsettled {
    fn capabilities(&self) -> dlock_core::store::Capabilities {
        self.0.capabilities()
    }
    async fn attempt(
        &self,
        request: &dlock_core::store::AttemptRequest,
    ) -> Result<dlock_core::store::Attempt, dlock_core::store::StoreError> {
        self.0.attempt(request).await
    }
    async fn renew(
        &self,
        batch: &[dlock_core::store::Renewal],
    ) -> Vec<Result<dlock_core::store::Renewed, dlock_core::store::StoreError>> {
        self.0.renew(batch).await
    }
    async fn release(
        &self,
        name: &dlock_core::LockName,
        release: &dlock_core::store::Release,
    ) -> Result<dlock_core::store::Released, dlock_core::store::StoreError> {
        let released = self.0.release(name, release).await?;
        Ok(dlock_core::store::Released {
            settled: false,
            ..released
        })
    }
    async fn inspect(
        &self,
        name: &dlock_core::LockName,
    ) -> Result<Option<dlock_core::store::Inspection>, dlock_core::store::StoreError> {
        self.0.inspect(name).await
    }
    async fn force_release(
        &self,
        name: &dlock_core::LockName,
    ) -> Result<bool, dlock_core::store::StoreError> {
        self.0.force_release(name).await
    }
}
