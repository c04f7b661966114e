use dlock_core::LossCause;

use crate::support::{Call, Fault, MS, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r1_the_deadline_counts_from_the_send_not_the_reply() {
    let world = World::new();
    world
        .faulty
        .next(Call::Attempt, [Fault::SlowReply(3 * SECOND)]);
    let guard = world
        .locker()
        .lock("a")
        .ttl(10 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    // 10 s − 1 % − 2 ms − the 3 s that the answer took.
    assert!(guard.remaining() <= 6_898 * MS, "{:?}", guard.remaining());
    assert!(guard.remaining() >= 6_890 * MS, "{:?}", guard.remaining());
}

/// `late-loss`: every renewal's answer is late.
#[tokio::test(start_paused = true)]
async fn r1_a_renewal_counts_from_its_send() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(9 * SECOND)
        .acquire()
        .await
        .unwrap();
    world.faulty.next(
        Call::Renew,
        [
            Fault::SlowReply(2 * SECOND),
            Fault::Hangs,
            Fault::Hangs,
            Fault::Hangs,
            Fault::Hangs,
        ],
    );
    // Sent at 3 s, answered at 5 s: the lease is ours to 3 + 8.908 s and not to 5 + 8.908 s.
    world.pass(5_100 * MS).await;
    assert!(guard.remaining() <= 6_808 * MS, "{:?}", guard.remaining());
    world.pass(6_900 * MS).await;
    assert!(guard.check().is_err());
}

#[tokio::test(start_paused = true)]
async fn r1_of_several_sends_the_earliest_counts() {
    let world = World::new();
    // Applied at once, not answered for 5 s; asked again: the lease may run since the first send.
    world.faulty.next(Call::Attempt, [Fault::ReplyHangs]);
    let guard = world
        .locker()
        .lock("a")
        .ttl(20 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    let authority = world.store_time_left("a").await;
    assert!(
        guard.remaining() < authority,
        "{:?} is not before the store's {authority:?}",
        guard.remaining()
    );
    assert_eq!(guard.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn r1_an_answer_that_proves_the_last_send_counts_from_it() {
    let world = World::new();
    world.faulty.next(Call::Attempt, [Fault::Hangs]);
    let guard = world
        .locker()
        .lock("a")
        .ttl(10 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    // The first send hung for 5 s and was never applied; the second was answered "by this call".
    assert!(guard.remaining() > 9_800 * MS, "{:?}", guard.remaining());
    world.pass(9_899 * MS).await;
    assert!(matches!(
        guard.ended().await,
        dlock_core::Ended::Lost(LossCause::Expired)
    ));
}

impl World {
    async fn store_time_left(&self, name: &str) -> std::time::Duration {
        use dlock_core::store::LockStore;
        let name = dlock_core::LockName::new(name).unwrap();
        self.store
            .inspect(&name)
            .await
            .unwrap()
            .unwrap()
            .time_left
            .unwrap()
    }
}
