use dlock_core::{Ended, LossCause, Status};

use crate::support::{Call, Fault, MS, SECOND, World};

/// `resurrecting-extend`: A pauses past its TTL, B acquires, writes and releases, A extends.
#[tokio::test(start_paused = true)]
async fn r6_an_extend_after_the_end_does_not_revive() {
    let world = World::new();
    let a = world
        .locker()
        .lock("a")
        .ttl(SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    world.pass(1_100 * MS).await;
    world
        .other()
        .lock("a")
        .acquire()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    a.extend(10 * SECOND).await.unwrap_err();
    assert_eq!(a.status(), Status::Ended);
    assert!(!world.is_held("a").await);
}

/// The same without a successor, with the renewal's answer arriving after the deadline.
#[tokio::test(start_paused = true)]
async fn r6_an_answer_past_the_deadline_does_not_revive() {
    let world = World::new();
    let a = world
        .locker()
        .lock("a")
        .ttl(3 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    world.pass(2 * SECOND).await;
    world
        .faulty
        .next(Call::Renew, [Fault::SlowReply(2 * SECOND)]);
    a.extend(60 * SECOND).await.unwrap_err();
    a.check().unwrap_err();
    assert!(matches!(a.ended().await, Ended::Lost(LossCause::Expired)));
}

/// `late-renewal-shortens`: renew(10 s) is held up, extend(60 s) is answered, the old renew arrives.
#[tokio::test(start_paused = true)]
async fn r6_a_late_renewal_does_not_shorten() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(10 * SECOND)
        .acquire()
        .await
        .unwrap();
    world
        .faulty
        .next(Call::Renew, [Fault::SlowRequest(2 * SECOND)]);
    world.pass(3_400 * MS).await;
    assert_eq!(
        world.faulty.count(Call::Renew),
        1,
        "the renewal is on its way"
    );
    guard.extend(60 * SECOND).await.unwrap();
    world.pass(3 * SECOND).await;
    assert!(guard.remaining() > 50 * SECOND, "{:?}", guard.remaining());
    let left = world
        .other()
        .inspect("a")
        .await
        .unwrap()
        .unwrap()
        .time_left
        .unwrap();
    assert!(left > 50 * SECOND, "{left:?}");
}

#[tokio::test(start_paused = true)]
async fn r6_a_shorter_extend_shortens_nothing_now_and_stays_for_later() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(60 * SECOND)
        .acquire()
        .await
        .unwrap();
    let left = guard.extend(3 * SECOND).await.unwrap();
    assert!(left > 59 * SECOND, "{left:?}");
    assert_eq!(guard.ttl(), 3 * SECOND);
    // Renewals keep it at what is longer; in the end at 3 s.
    world.pass(70 * SECOND).await;
    guard.check().unwrap();
    assert!(guard.remaining() < 3 * SECOND);
}

/// `zombie-renewal`: release races with renewal; nothing renews afterwards.
#[tokio::test(start_paused = true)]
async fn r6_no_renewal_after_the_release() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(3 * SECOND)
        .acquire()
        .await
        .unwrap();
    world
        .faulty
        .next(Call::Renew, [Fault::SlowRequest(500 * MS)]);
    world.pass(1_100 * MS).await;
    assert_eq!(
        world.faulty.count(Call::Renew),
        1,
        "a renewal is on its way"
    );
    // The release itself takes longer than a renewal interval.
    world
        .faulty
        .next(Call::Release, [Fault::SlowRequest(2 * SECOND)]);
    guard.release().await.unwrap();
    assert_eq!(
        world.faulty.count(Call::Renew),
        1,
        "renewed while it was released"
    );
    world.pass(60 * SECOND).await;
    assert_eq!(world.faulty.count(Call::Renew), 1);
    assert!(!world.is_held("a").await);
}
