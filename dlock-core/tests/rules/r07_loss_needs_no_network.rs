use dlock_core::{Ended, LeaseError, LossCause};

use crate::support::{Call, Fault, MS, SECOND, World};

#[tokio::test(start_paused = true)]
async fn r7_check_fails_on_its_first_call_past_the_deadline() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(10 * SECOND)
        .auto_renew(false)
        .acquire()
        .await
        .unwrap();
    world.pass(9_897 * MS).await;
    guard.check().unwrap();
    // No other task runs between the jump and the check.
    world.runtime.suspend(2 * MS);
    assert!(matches!(
        guard.check(),
        Err(LeaseError::Lost {
            cause: LossCause::Expired,
            ..
        })
    ));
}

#[tokio::test(start_paused = true)]
async fn r7_the_signal_fires_within_a_second() {
    let world = World::new();
    let guard = world
        .locker()
        .lock("a")
        .ttl(10 * SECOND)
        .acquire()
        .await
        .unwrap();
    world.faulty.everything(Fault::Hangs);
    let before = world.now();
    let ended = guard.ended().await;
    assert!(
        matches!(ended, Ended::Lost(LossCause::Unreachable)),
        "{ended:?}"
    );
    let after = world.now().since(before);
    assert!(after >= 9_890 * MS && after <= 10_900 * MS, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn r7_the_causes_tell_what_happened() {
    let cause = async |fault: Option<Fault>, renew: bool| {
        let world = World::new();
        let guard = world
            .locker()
            .lock("a")
            .ttl(3 * SECOND)
            .auto_renew(renew)
            .acquire()
            .await
            .unwrap();
        if let Some(fault) = fault {
            world.faulty.always(Call::Renew, fault);
        } else if renew {
            world.other().force_release("a").await.unwrap();
        }
        match guard.ended().await {
            Ended::Lost(cause) => cause,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(cause(None, false).await, LossCause::Expired));
    assert!(matches!(cause(None, true).await, LossCause::NotOwner));
    assert!(matches!(
        cause(Some(Fault::Unavailable), true).await,
        LossCause::Unreachable
    ));
    assert!(matches!(
        cause(Some(Fault::RequestLost), true).await,
        LossCause::Unreachable
    ));
    assert!(matches!(
        cause(Some(Fault::Rejected), true).await,
        LossCause::Store(_)
    ));
}

impl World {
    fn now(&self) -> dlock_core::Instant {
        dlock_core::runtime::Runtime::now(&*self.runtime)
    }
}
