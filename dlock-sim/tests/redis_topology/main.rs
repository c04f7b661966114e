//! The simulated servers under faults: what clients see, and what the trace says of the truth.
#![cfg(feature = "redis")]
#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // The test's own patience.

mod support;

use std::time::Duration;

use dlock_sim::redis::{Disk, OldPrimary};
use support::{World, ask, grant, say};

#[tokio::test(start_paused = true)]
async fn an_expiry_is_written_at_its_instant() {
    let world = World::new(&["a"]);
    let client = world.client(0, "c1").await;
    world.pass(10).await;
    say(
        &client,
        &["SET", "lock:x", &grant('1', 7), "NX", "PX", "1000"],
    )
    .await;
    world.pass(500).await;
    assert_eq!(say(&client, &["PTTL", "lock:x"]).await, "500");
    say(&client, &["PEXPIRE", "lock:x", "700"]).await;
    world.pass(700).await;
    // As the real server has it, the last millisecond counts.
    assert_eq!(say(&client, &["PTTL", "lock:x"]).await, "0");
    world.pass(1).await;
    assert_eq!(say(&client, &["GET", "lock:x"]).await, "nil");
    assert_eq!(
        world.story(),
        [
            "10 redis x begins grant until 1011 by c1",
            "510 redis x moves to 1211 by c1",
            "1211 redis x expired",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_expiry_that_nobody_notices_is_written_nevertheless() {
    let world = World::new(&["a"]);
    let client = world.client(0, "c1").await;
    say(&client, &["SET", "lock:x", "somebody", "PX", "100"]).await;
    world.pass(5000).await;
    assert_eq!(
        world.story(),
        [
            "0 redis x begins foreign until 101 by c1",
            "101 redis x expired"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_clock_step_moves_the_end() {
    let world = World::new(&["a"]);
    let client = world.client(0, "c1").await;
    say(&client, &["SET", "lock:x", &grant('1', 7), "PX", "1000"]).await;
    say(&client, &["SET", "lock:y", &grant('2', 7), "PX", "200"]).await;
    world.topology.step_clock(0, 500_000);
    assert_eq!(say(&client, &["EXISTS", "lock:x", "lock:y"]).await, "1");
    world.topology.step_clock(0, -1_000_000);
    world.pass(100).await;
    world.topology.set_clock_rate(0, 1_000_000_000);
    assert_eq!(
        world.story(),
        [
            "0 redis x begins grant until 1001 by c1",
            "0 redis y begins grant until 201 by c1",
            "0 redis x moves to 501",
            "0 redis y expired",
            "0 redis x moves to 1501",
            "100 redis x moves to 800.5",
        ]
    );
    world.pass(700).await;
    assert_eq!(say(&client, &["EXISTS", "lock:x"]).await, "1");
    world.pass(1).await;
    assert_eq!(say(&client, &["EXISTS", "lock:x"]).await, "0");
}

#[tokio::test(start_paused = true)]
async fn who_ended_a_lock_is_known() {
    let world = World::new(&["a"]);
    let client = world.client(0, "c1").await;
    say(&client, &["SET", "lock:x", &grant('1', 7)]).await;
    say(&client, &["SET", "lock:x", &grant('2', 8)]).await;
    say(&client, &["DEL", "lock:x"]).await;
    for _ in 0..4 {
        say(&client, &["SET", "lock:x", &grant('1', 7)]).await;
        match world.now_ms() {
            0 => world.topology.flush_all(),
            1 => world.topology.delete_key("lock:x"),
            2 => world.topology.evict("lock:"),
            _ => drop(say(&client, &["FLUSHALL"]).await),
        }
        world.pass(1).await;
    }
    let story = world.story();
    assert_eq!(
        story[..5],
        [
            "0 redis x begins grant until ∞ by c1",
            "0 redis x replaced by c1",
            "0 redis x begins grant until ∞ by c1",
            "0 redis x removed by c1",
            "0 redis x begins grant until ∞ by c1",
        ]
    );
    let ends = story.iter().filter(|line| line.contains("dropped"));
    assert_eq!(ends.count(), 4);
}

#[tokio::test(start_paused = true)]
async fn the_trace_has_no_secret_and_no_auxiliary_key() {
    let world = World::new(&["a"]);
    let client = world.client(0, "c1").await;
    say(&client, &["SET", "{lock:x}dlock:counter:lock:x", "7"]).await;
    say(&client, &["SET", "other", "value"]).await;
    assert_eq!(world.story(), [""; 0]);
    say(&client, &["SET", "lock:x", &grant('1', 7)]).await;
    let trace = format!("{:?}", world.recorder.events());
    assert!(trace.contains("AuthorityBegins") && !trace.contains("11111111"));
}

#[tokio::test(start_paused = true)]
async fn a_replica_follows_with_its_lag() {
    let world = World::new(&["a", "b"]);
    world
        .topology
        .set_replication_lag(1, Duration::from_millis(300));
    let (primary, replica) = (world.client(0, "c1").await, world.client(1, "c1").await);
    say(&primary, &["SET", "lock:x", "v", "PX", "1000"]).await;
    assert_eq!(say(&replica, &["GET", "lock:x"]).await, "nil");
    assert_eq!(say(&replica, &["SET", "a", "b"]).await, "READONLY");
    world.pass(300).await;
    assert_eq!(say(&replica, &["GET", "lock:x"]).await, "v");
    world.topology.cut_replication(1, true);
    say(&primary, &["DEL", "lock:x"]).await;
    world.pass(600).await;
    assert_eq!(say(&replica, &["GET", "lock:x"]).await, "v");
    world.pass(200).await;
    // It is over, but nobody has told the replica to remove it.
    assert_eq!(say(&replica, &["GET", "lock:x"]).await, "nil");
    assert_eq!(say(&replica, &["DBSIZE"]).await, "1");
    world.topology.cut_replication(1, false);
    assert_eq!(say(&replica, &["DBSIZE"]).await, "0");
}

#[tokio::test(start_paused = true)]
async fn wait_counts_the_replicas_that_have_it() {
    let world = World::new(&["a", "b", "c"]);
    world
        .topology
        .set_replication_lag(1, Duration::from_millis(20));
    world
        .topology
        .set_replication_lag(2, Duration::from_millis(2000));
    let client = world.client(0, "c1").await;
    say(&client, &["SET", "a", "b"]).await;
    assert_eq!(say(&client, &["WAIT", "0", "0"]).await, "0");
    assert_eq!(say(&client, &["WAIT", "1", "0"]).await, "1");
    assert_eq!(world.now_ms(), 20);
    assert_eq!(say(&client, &["WAIT", "2", "100"]).await, "1");
    assert_eq!(world.now_ms(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_stale_replica_that_is_promoted_loses_what_it_does_not_have() {
    let world = World::new(&["a", "b"]);
    let client = world.client(0, "c1").await;
    say(&client, &["SET", "lock:old", &grant('1', 7)]).await;
    world.pass(100).await;
    world
        .topology
        .set_replication_lag(1, Duration::from_millis(50));
    say(&client, &["SET", "lock:new", &grant('2', 8)]).await;
    world.pass(10).await;
    world.topology.crash(0);
    assert_eq!(say(&client, &["PING"]).await, "gone");
    world.topology.promote(1, OldPrimary::Rejoins);
    let client = world.client(1, "c1").await;
    assert_eq!(say(&client, &["EXISTS", "lock:old", "lock:new"]).await, "1");
    say(&client, &["SET", "lock:new", &grant('3', 9), "NX"]).await;
    world.topology.restart(0, Disk::Kept, Duration::ZERO);
    let old = world.client(0, "c1").await;
    assert_eq!(say(&old, &["SET", "a", "b"]).await, "READONLY");
    assert_eq!(say(&old, &["GET", "lock:new"]).await, grant('3', 9));
    assert_eq!(
        world.story(),
        [
            "0 redis old begins grant until ∞ by c1",
            "100 redis new begins grant until ∞ by c1",
            "110 redis new lost",
            "110 redis new begins grant until ∞ by c1",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn in_a_split_brain_each_side_speaks_for_itself() {
    let world = World::new(&["a", "b"]);
    let old = world.client(0, "c1").await;
    say(&old, &["SET", "lock:x", &grant('1', 7)]).await;
    world.topology.cut_replication(0, true);
    say(&old, &["SET", "lock:y", &grant('2', 8)]).await;
    world.topology.promote(1, OldPrimary::StaysWritable);
    let new = world.client(1, "c2").await;
    world.pass(10).await;
    assert_eq!(
        say(&new, &["SET", "lock:y", &grant('3', 9), "NX"]).await,
        "OK"
    );
    assert_eq!(
        say(&old, &["SET", "lock:z", &grant('4', 9), "NX"]).await,
        "OK"
    );
    world.topology.cut_replication(0, false);
    world.topology.demote(0);
    assert_eq!(say(&old, &["PING"]).await, "gone");
    assert_eq!(
        world.story(),
        [
            "0 redis x begins grant until ∞ by c1",
            "0 redis y begins grant until ∞ by c1",
            "0 redis y lost",
            "0 a x begins grant until ∞",
            "0 a y begins grant until ∞",
            "10 redis y begins grant until ∞ by c2",
            "10 a z begins grant until ∞ by c1",
            "10 a x lost",
            "10 a y lost",
            "10 a z lost",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_old_primary_rejoins_when_it_can_be_reached() {
    let world = World::new(&["a", "b"]);
    let old = world.client(0, "c1").await;
    world.topology.cut_replication(0, true);
    world.topology.promote(1, OldPrimary::Rejoins);
    assert_eq!(say(&old, &["SET", "lock:x", &grant('1', 7)]).await, "OK");
    world.pass(5).await;
    world.topology.cut_replication(0, false);
    let old = world.client(0, "c1").await;
    assert_eq!(say(&old, &["GET", "lock:x"]).await, "nil");
    assert_eq!(
        world.story(),
        ["0 a x begins grant until ∞ by c1", "5 a x lost"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_finds_what_the_disk_has() {
    for (disk, found) in [(Disk::Kept, "2"), (Disk::LastFsync, "1"), (Disk::Lost, "0")] {
        let world = World::new(&["a"]);
        let client = world.client(0, "c1").await;
        say(&client, &["SET", "lock:x", "v"]).await;
        world.pass(1500).await;
        say(&client, &["SET", "lock:y", "v"]).await;
        world.topology.crash(0);
        assert!(
            world.try_client(0, "c1").await.is_err() || say(&client, &["PING"]).await == "gone"
        );
        world.pass(100).await;
        world.topology.restart(0, disk, Duration::from_millis(200));
        let client = world.client(0, "c1").await;
        assert_eq!(say(&client, &["GET", "lock:x"]).await, "LOADING");
        world.pass(200).await;
        assert_eq!(say(&client, &["EXISTS", "lock:x", "lock:y"]).await, found);
        let lost = world
            .story()
            .iter()
            .filter(|line| line.contains("lost"))
            .count();
        assert_eq!(
            lost.to_string(),
            (2 - found.parse::<usize>().unwrap()).to_string()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_primary_that_comes_back_empty_empties_its_replicas() {
    let world = World::new(&["a", "b"]);
    let client = world.client(0, "c1").await;
    say(&client, &["SET", "lock:x", "v"]).await;
    world.topology.crash(0);
    let replica = world.client(1, "c1").await;
    assert_eq!(say(&replica, &["GET", "lock:x"]).await, "v");
    world.topology.restart(0, Disk::Lost, Duration::ZERO);
    assert_eq!(say(&replica, &["GET", "lock:x"]).await, "nil");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_server_executes_later_what_it_was_sent() {
    let world = World::new(&["a"]);
    let (client, other) = (world.client(0, "c1").await, world.client(0, "c2").await);
    world.topology.freeze(0, true);
    let asking = ask(&client, &["SET", "lock:x", "v"]);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), asking)
            .await
            .is_err()
    );
    // The connection is closed long before.
    drop(client);
    world.pass(5000).await;
    assert_eq!(world.story(), [""; 0]);
    world.topology.freeze(0, false);
    world.pass(1).await;
    assert_eq!(say(&other, &["GET", "lock:x"]).await, "v");
    assert_eq!(world.story(), ["6000 redis x begins foreign until ∞ by c1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_said_over_a_stuck_connection_arrives_later_and_new_ones_pass() {
    let world = World::new(&["a"]);
    let (stuck, other) = (world.client(0, "c1").await, world.client(0, "c2").await);
    world.topology.stick_connections(0, "c1", true);
    let asking = ask(&stuck, &["SET", "lock:x", "old"]);
    assert!(
        tokio::time::timeout(Duration::from_secs(1), asking)
            .await
            .is_err()
    );
    // The connection is closed long before.
    drop(stuck);
    let new = world.client(0, "c1").await;
    assert_eq!(say(&new, &["SET", "lock:x", "new"]).await, "OK");
    assert_eq!(say(&other, &["GET", "lock:x"]).await, "new");
    world.pass(4000).await;
    world.topology.stick_connections(0, "c1", false);
    world.pass(1).await;
    assert_eq!(say(&other, &["GET", "lock:x"]).await, "old");
}

#[tokio::test(start_paused = true)]
async fn slow_answers_come_late_and_in_order() {
    let world = World::new(&["a"]);
    let client = world.client(0, "c1").await;
    world.topology.slow(0, Duration::from_millis(250));
    let (first, second) = tokio::join!(
        say(&client, &["ECHO", "first"]),
        say(&client, &["ECHO", "second"])
    );
    assert_eq!((first.as_str(), second.as_str()), ("first", "second"));
    assert_eq!(world.now_ms(), 250);
}

#[tokio::test(start_paused = true)]
async fn other_troubles() {
    let world = World::new(&["a"]);
    let client = world.client(0, "c1").await;
    world.topology.set_oom(true);
    assert_eq!(say(&client, &["SET", "a", "b"]).await, "OOM");
    world.topology.set_oom(false);
    let sha = say(&client, &["SCRIPT", "LOAD", "return 1"]).await;
    assert_eq!(say(&client, &["EVALSHA", &sha, "0"]).await, "1");
    world.topology.script_flush();
    let answer = ask(&client, &["EVALSHA", &sha, "0"]).await;
    assert!(answer.unwrap_err().to_string().contains("NoScript"));
    world.topology.kill_connections(0);
    assert_eq!(say(&client, &["PING"]).await, "gone");
    let client = world.client(0, "c1").await;
    assert_eq!(say(&client, &["PING"]).await, "PONG");
}

#[tokio::test(start_paused = true)]
async fn messages_reach_the_clients_of_all_servers_or_vanish() {
    let world = World::new(&["a", "b"]);
    world
        .topology
        .set_replication_lag(1, Duration::from_millis(30));
    let primary = world.client(0, "c1").await;
    let (mut near, mut far) = (world.listener(0).await, world.listener(1).await);
    assert_eq!(say(&primary, &["PUBLISH", "news", "one"]).await, "1");
    near.hears("one").await;
    assert_eq!(world.now_ms(), 0);
    far.hears("one").await;
    assert_eq!(world.now_ms(), 30);
    world.topology.drop_pubsub(true);
    // The server has sent it.
    assert_eq!(say(&primary, &["PUBLISH", "news", "two"]).await, "1");
    world.pass(100).await;
    world.topology.drop_pubsub(false);
    say(&primary, &["PUBLISH", "news", "three"]).await;
    near.hears("three").await;
    far.hears("three").await;
}
