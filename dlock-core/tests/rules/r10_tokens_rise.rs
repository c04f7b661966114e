use crate::support::{Call, Fault, MS, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r10_tokens_rise_over_release_expiry_force_release_and_loss() {
    let world = World::new();
    let (one, two) = (world.locker(), world.other());
    let mut last = 0;
    for round in 0..20 {
        let locker = if round % 2 == 0 { &one } else { &two };
        let guard = locker
            .lock("a")
            .ttl(SECOND)
            .auto_renew(false)
            .acquire()
            .await
            .unwrap();
        assert!(guard.token().value() > last, "round {round}");
        last = guard.token().value();
        match round % 4 {
            0 => guard.release().await.unwrap(),
            1 => drop(guard),
            2 => assert!(locker.force_release("a").await.unwrap()),
            _ => world.pass(1_001 * MS).await,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r10_renewal_and_retry_leave_the_token_alone() {
    let world = World::new();
    world.faulty.next(Call::Attempt, [Fault::ReplyLost]);
    let guard = world
        .locker()
        .lock("a")
        .ttl(3 * SECOND)
        .acquire()
        .await
        .unwrap();
    let token = guard.token();
    world.pass(30 * SECOND).await;
    guard.extend(10 * SECOND).await.unwrap();
    assert!(world.faulty.count(Call::Renew) > 20);
    assert_eq!(
        world.other().inspect("a").await.unwrap().unwrap().token,
        Some(token)
    );
    assert_eq!(guard.token(), token);
}
