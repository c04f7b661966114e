//! The critical section under faults: what holds, what a bug looks like, and what the world does not see.

use crate::world::{Connection, Trusting, add_an_item, simulation};
use dlock_sim::{Plan, Property, Simulation};

#[test]
fn no_stale_write_reaches_an_invoice() {
    let summary = simulation()
        .seeds(0..200)
        .check(Property::NoStaleWrite)
        .run();
    println!("{summary}");
    // A test in which nobody ever waits for anybody shows nothing.
    assert!(summary.exercised > 150, "{summary}");
}

fn with_the_bug() -> Simulation {
    simulation()
        .clients(3, |client| async move {
            let ledger = Trusting(Connection::of(&client));
            add_an_item(&client, ledger).await;
        })
        .check(Property::NoStaleWrite)
}

/// A test that can fail: without the token in the write, some schedule breaks it. And what the failure leaves on the
/// disk is enough to see it again.
#[test]
fn a_write_without_the_token_is_caught_and_comes_back() {
    let failure = with_the_bug().seeds(0..200).try_run();
    let failure = failure.expect_err("the bug is found");
    let text = failure.to_string();
    println!("{text}");
    assert_eq!(failure.broken[0].property, Some(Property::NoStaleWrite));
    for expected in [
        "no stale holder reaches the protected resource",
        "invoices/lock-",
        "accepted a write of c",
        "the schedule: ",
        "replay: DLOCK_SIM_PLAN=",
    ] {
        assert!(text.contains(expected), "no `{expected}` in: {text}");
    }
    assert!(failure.plan.faults.len() <= 3, "{text}");

    let files = failure.files.expect("plan, trace and report are written");
    let plan = Plan::load(&files.plan).expect("it is a plan");
    assert_eq!(plan, failure.plan);
    let replayed = with_the_bug().plan(plan).try_run();
    let replayed = replayed.expect_err("the same plan, the same failure");
    assert_eq!(replayed.broken, failure.broken);
}

/// Tasks belong to the client that spawns them, or a pause would not stop them.
#[test]
fn a_task_that_escapes_is_reported() {
    let run = |spawn: fn(dlock_sim::SimClient)| {
        simulation()
            .clients(1, move |client| async move {
                spawn(client.clone());
                client.sleep(std::time::Duration::from_millis(100)).await;
            })
            .seeds(0..1)
            .try_run()
    };
    let escaped = run(|_| drop(tokio::spawn(std::future::pending::<()>())));
    let told = escaped.expect_err("the task is noticed").to_string();
    println!("{told}");
    assert!(
        told.contains("c1 runs 1 task(s) that a pause does not stop"),
        "{told}"
    );
    assert!(told.contains("SimClient::spawn"), "{told}");
    run(|client| client.spawn(std::future::pending())).expect("a task of the client's is fine");
}

/// A resource that nobody founded is a mistake in the test, and is told as one.
#[test]
fn a_missing_resource_is_reported() {
    let failure = Simulation::new()
        .store(dlock_sim::SimRedis::single())
        .clients(1, |client| async move { drop(Connection::of(&client)) })
        .try_run()
        .expect_err("there is no table");
    let told = failure.to_string();
    assert!(
        told.contains("there is no resource `invoices`: say `.resource(\"invoices\", …)`"),
        "{told}"
    );
}
