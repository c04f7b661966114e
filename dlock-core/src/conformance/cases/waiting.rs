//! Who waits is woken, and in the declared order (R11).

use std::future::ready;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Instant;
use crate::conformance::client::{Client, LATE_EXPIRY, LONG, SHORT};
use crate::conformance::harness::{EVENTUALLY, Harness};
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::runtime::{Race, race, timeout};
use crate::store::{AttemptRequest, Fairness, Mode, Place};

/// Within which a pushed wakeup must arrive: well below the 2 s after which a waiter looks by itself.
const PUSHED: Duration = Duration::from_secs(1);

/// Within which a waiter must notice by itself that the lock is free: R11's 2 s, and some.
const NOTICED: Duration = Duration::from_secs(3);

/// Within which a dead head must be passed over: R11's half second, and some.
const PASSED_OVER: Duration = Duration::from_millis(1500);

/// For so long a free lock is surely in line for its next holder: R11's half second, and less.
const IN_LINE: Duration = Duration::from_millis(300);

/// In which a waiting attempt begins its wait, or goes on with it. A case that finds it slower checks
/// less, and fails nobody.
const SETTLED: Duration = Duration::from_millis(20);

/// Rounds of something that counts against the store only while a free lock is in line for its next
/// holder: a busy machine may stall for longer.
#[derive(Default)]
pub(super) struct Rounds {
    played: u32,
    decided: Option<Verdict>,
}

impl Rounds {
    /// At most five rounds.
    pub(super) fn undecided(&self) -> bool {
        self.decided.is_none() && self.played < 5
    }

    /// A round without a fault passes; one with a fault fails if it was quick.
    pub(super) fn enter(&mut self, took: Duration, fault: Option<String>) {
        self.played += 1;
        self.decided = match fault {
            None => Some(Ok(())),
            Some(fault) if took < IN_LINE => Some(Err(Stop::failed(fault))),
            Some(_) => None,
        };
    }

    pub(super) fn verdict(self) -> Verdict {
        self.decided
            .unwrap_or_else(|| Err(Stop::skipped("too slow to tell who was passed over")))
    }
}

/// Polls once, so that the wait has begun before what comes next; `false` when it is over already.
async fn parked(wait: &mut (impl Future<Output = ()> + Unpin)) -> bool {
    matches!(race(wait, ready(())).await, Race::Second(()))
}

async fn queued(client: &Client, request: &AttemptRequest) -> Result<Option<Box<dyn Place>>, Stop> {
    Ok(client
        .refused(request, "while another client holds the lock")
        .await?
        .place)
}

pub(super) async fn a_waiting_attempt_is_woken_by_a_release(h: &Harness<'_>) -> Verdict {
    let (holder, waiting) = (h.client().await?, h.client().await?);
    holder.needs_push()?;
    let held = holder.lock(&h.name()?, LONG).await?;
    let request = waiting.request(&held.name, Mode::Queue);
    let Some(mut place) = queued(&waiting, &request).await? else {
        return Err(Stop::failed(
            "the store declares to wake waiters and gives no place to wait",
        ));
    };
    let mut wait = place.wait();
    if parked(&mut wait).await {
        holder.release(&held).await?;
        let released_at = h.now();
        let Ok(()) = timeout(&**h.runtime(), released_at + EVENTUALLY, wait).await else {
            return Err(Stop::failed(format!(
                "a waiting attempt was not woken within {EVENTUALLY:?} of the release"
            )));
        };
        let late = h.now().since(released_at);
        ensure!(
            late <= PUSHED,
            "a waiting attempt was woken {late:?} after the release"
        );
    } else {
        // Woken early, which it may be.
        holder.release(&held).await?;
    }
    waiting
        .granted(&request, "to the only one who waits, after the release")
        .await?;
    Ok(())
}

pub(super) async fn a_wait_that_was_dropped_can_go_on(h: &Harness<'_>) -> Verdict {
    let (holder, waiting) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, LONG).await?;
    let request = waiting.request(&held.name, Mode::Queue);
    let Some(mut place) = queued(&waiting, &request).await? else {
        return Err(Stop::skipped("the store gives no place to wait"));
    };
    for _ in 0..3 {
        race(place.wait(), h.runtime().sleep(Duration::from_millis(5))).await;
    }
    let mut wait = place.wait();
    let parked = parked(&mut wait).await;
    holder.release(&held).await?;
    let bound = if holder.capabilities().push {
        PUSHED
    } else {
        NOTICED
    };
    let woken = !parked || timeout(&**h.runtime(), h.now() + bound, wait).await.is_ok();
    ensure!(
        woken,
        "a wait that had been dropped before was not woken within {bound:?} of the release"
    );
    waiting
        .granted(&request, "to the only one who waits, after the release")
        .await?;
    Ok(())
}

pub(super) async fn a_waiting_attempt_notices_an_expiry(h: &Harness<'_>) -> Verdict {
    let (holder, waiting) = (h.client().await?, h.client().await?);
    let held = holder.lock(&h.name()?, 2 * SHORT).await?;
    let request = waiting.request(&held.name, Mode::Queue);
    queued(&waiting, &request).await?;
    // Nobody else looks at the lock meanwhile: the store might notice the expiry by that.
    let over_at = held.known_at + held.ttl;
    let Ok(next) = timeout(
        &**h.runtime(),
        over_at + LATE_EXPIRY + NOTICED,
        waiting.acquire(&request),
    )
    .await
    else {
        let bound = LATE_EXPIRY + NOTICED;
        return Err(Stop::failed(format!(
            "a waiting attempt had no grant {bound:?} after the holder's expiry"
        )));
    };
    let early = held.lasts_until().since(next?.known_at);
    ensure!(
        early.is_zero(),
        "a waiting attempt was granted {early:?} before the holder's expiry"
    );
    Ok(())
}

pub(super) async fn a_waiting_locker_asks_rarely(h: &Harness<'_>) -> Verdict {
    let holder = h.client().await?;
    holder.needs_push()?;
    let held = holder.lock(&h.name()?, LONG).await?;
    let (locker, spy) = h.spied_locker().await?;
    let lock = locker.lock(held.name.as_str()).wait(EVENTUALLY);
    let guard = h.spawn(async move {
        lock.acquire()
            .await
            .map_err(|error| Stop::error("waiting for the lock", error))
    });
    spy.refused().await?;
    // An idle waiter costs nothing for a while.
    h.sleep_until(h.now() + Duration::from_millis(300)).await;
    holder.release(&held).await?;
    let guard = guard.join().await?;
    ensure!(
        guard.attempts() <= 3,
        "a waiting locker asked {} times for one grant",
        guard.attempts()
    );
    Ok(())
}

/// One attempt of each client: by attempt and by participant the order is the same.
pub(super) async fn waiting_attempts_are_granted_in_order(h: &Harness<'_>) -> Verdict {
    h.client().await?.needs_fairness()?;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(Arc::new(h.client().await?));
    }
    in_order(h, &clients, &[0, 1, 2, 3, 4, 5, 6, 7]).await
}

/// R11, `ByParticipant`: one grant a turn, then back to the end.
pub(super) async fn participants_take_turns(h: &Harness<'_>) -> Verdict {
    let fairness = h.client().await?.capabilities().fairness;
    h.client().await?.needs(
        fairness == Fairness::ByParticipant,
        "it declares no order of participants",
    )?;
    let (one, two) = (Arc::new(h.client().await?), Arc::new(h.client().await?));
    in_order(
        h,
        &[one.clone(), one.clone(), one, two.clone(), two],
        &[0, 3, 1, 4, 2],
    )
    .await
}

/// Attempts of these clients, queued one after the other, get the lock in the expected order.
async fn in_order(h: &Harness<'_>, clients: &[Arc<Client>], expected: &[usize]) -> Verdict {
    let mut rounds = Rounds::default();
    while rounds.undecided() {
        let (order, took) = hand_over(h, clients).await?;
        let fault =
            format!("waiting attempts were granted in the order {order:?}, not {expected:?}");
        rounds.enter(took, (order != expected).then_some(fault));
    }
    rounds.verdict()
}

/// Queues an attempt of each client, releases the lock, and returns in which order they got it and
/// the longest time from a release to the next grant.
async fn hand_over(
    h: &Harness<'_>,
    clients: &[Arc<Client>],
) -> Result<(Vec<usize>, Duration), Stop> {
    let holder = h.client().await?;
    let held = holder.lock(&h.name()?, LONG).await?;
    let turns = Arc::new(Mutex::new(Vec::new()));
    let mut parts = Vec::new();
    for (index, client) in clients.iter().cloned().enumerate() {
        let request = client.request(&held.name, Mode::Queue);
        queued(&client, &request).await?;
        let (turns, runtime) = (turns.clone(), h.runtime().clone());
        // The first one holds for longer than a head may be dead: nobody loses a place by that.
        let hold = if index == 0 {
            PASSED_OVER / 2
        } else {
            Duration::ZERO
        };
        parts.push(h.spawn(async move {
            let held = client.acquire(&request).await?;
            runtime.sleep(hold).await;
            // Noted while the lock is held, so that nobody comes in between.
            let turn = Turn {
                index,
                granted_at: held.known_at,
                released_at: runtime.now(),
            };
            turns
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(turn);
            client.release(&held).await
        }));
    }
    h.sleep_until(h.now() + SETTLED).await;
    let mut released_at = h.now();
    holder.release(&held).await?;
    for part in parts {
        part.join().await?;
    }
    let turns = std::mem::take(&mut *turns.lock().unwrap_or_else(PoisonError::into_inner));
    let mut took = Duration::ZERO;
    for turn in &turns {
        took = took.max(turn.granted_at.since(released_at));
        released_at = turn.released_at;
    }
    Ok((turns.into_iter().map(|turn| turn.index).collect(), took))
}

struct Turn {
    index: usize,
    granted_at: Instant,
    released_at: Instant,
}

pub(super) async fn the_releaser_does_not_win_its_own_lock_back(h: &Harness<'_>) -> Verdict {
    let (greedy, waiting) = (h.client().await?, h.client().await?);
    greedy.needs_fairness()?;
    let mut rounds = Rounds::default();
    while rounds.undecided() {
        let held = greedy.lock(&h.name()?, LONG).await?;
        let request = waiting.request(&held.name, Mode::Queue);
        queued(&waiting, &request).await?;
        let started = h.now();
        greedy.release(&held).await?;
        let won_back = greedy
            .attempt(&greedy.request(&held.name, Mode::Queue))
            .await?
            .is_ok();
        let passed_by = won_back || waiting.attempt(&request).await?.is_err();
        let fault = passed_by
            .then(|| "the releaser stood before the attempt that waited for the lock".to_owned());
        rounds.enter(h.now().since(started), fault);
    }
    rounds.verdict()
}

/// It was woken, and was dropped before it asked. The next one need not wait until it counts as dead.
pub(super) async fn a_head_that_leaves_passes_the_lock_on(h: &Harness<'_>) -> Verdict {
    let (holder, leaving, waiting) = (
        h.client().await?,
        h.client().await?,
        Arc::new(h.client().await?),
    );
    holder.needs_push()?;
    holder.needs_fairness()?;
    let mut quickest = Duration::MAX;
    for _ in 0..5 {
        let held = holder.lock(&h.name()?, LONG).await?;
        let head = leaving.request(&held.name, Mode::Queue);
        queued(&leaving, &head).await?;
        let next = waiting.request(&held.name, Mode::Queue);
        queued(&waiting, &next).await?;
        let client = waiting.clone();
        let granted = h.spawn(async move { client.acquire(&next).await });
        // Time for the next one to begin its wait, and then to hear that it stands behind the head.
        h.sleep_until(h.now() + SETTLED).await;
        holder.release(&held).await?;
        h.sleep_until(h.now() + SETTLED).await;
        leaving.release_attempt(&head).await?;
        let left_at = h.now();
        quickest = quickest.min(granted.join().await?.known_at.since(left_at));
        if quickest < IN_LINE {
            return Ok(());
        }
    }
    Err(Stop::failed(format!(
        "an attempt waited {quickest:?} although the one before it had left the queue"
    )))
}

pub(super) async fn a_dead_head_delays_the_next_a_little(h: &Harness<'_>) -> Verdict {
    let (holder, dead, waiting) = (h.client().await?, h.client().await?, h.client().await?);
    holder.needs_push()?;
    holder.needs_fairness()?;
    let held = holder.lock(&h.name()?, LONG).await?;
    queued(&dead, &dead.request(&held.name, Mode::Queue)).await?;
    let request = waiting.request(&held.name, Mode::Queue);
    queued(&waiting, &request).await?;
    let runtime = h.runtime().clone();
    let granted = h.spawn(async move {
        waiting.acquire(&request).await?;
        Ok(runtime.now())
    });
    h.sleep_until(h.now() + SETTLED).await;
    holder.release(&held).await?;
    let released_at = h.now();
    let Ok(granted_at) = timeout(&**h.runtime(), released_at + EVENTUALLY, granted.join()).await
    else {
        return Err(Stop::failed(format!(
            "behind a dead head an attempt waited {EVENTUALLY:?} in vain"
        )));
    };
    let late = granted_at?.since(released_at);
    ensure!(
        late <= PASSED_OVER,
        "a dead head delayed the next by {late:?}"
    );
    Ok(())
}
