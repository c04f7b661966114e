//! Who waits is granted in the declared order, and nobody is passed over (R11).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::Instant;
use crate::conformance::client::Client;
use crate::conformance::harness::{EVENTUALLY, Harness};
use crate::conformance::held::LONG;
use crate::conformance::verdict::{Stop, Verdict, ensure};
use crate::runtime::timeout;
use crate::store::{Fairness, Mode};

use super::waiting::queued;

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
struct Rounds {
    played: u32,
    decided: Option<Verdict>,
}

impl Rounds {
    /// At most five rounds.
    fn undecided(&self) -> bool {
        self.decided.is_none() && self.played < 5
    }

    /// A round without a fault passes; one with a fault fails if it was quick.
    fn enter(&mut self, took: Duration, fault: Option<String>) {
        self.played += 1;
        self.decided = match fault {
            None => Some(Ok(())),
            Some(fault) if took < IN_LINE => Some(Err(Stop::failed(fault))),
            Some(_) => None,
        };
    }

    fn verdict(self) -> Verdict {
        self.decided
            .unwrap_or_else(|| Err(Stop::skipped("too slow to tell who was passed over")))
    }
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

pub(super) async fn a_try_does_not_pass_the_queue(h: &Harness<'_>) -> Verdict {
    let (holder, waiting, trying) = (h.client().await?, h.client().await?, h.client().await?);
    holder.needs_fairness()?;
    holder.needs_push()?;
    let mut rounds = Rounds::default();
    while rounds.undecided() {
        let held = holder.lock(&h.name()?, LONG).await?;
        let queued = waiting.request(&held.name, Mode::Queue);
        waiting
            .refused(&queued, "while another client holds the lock")
            .await?;
        let started = h.now();
        holder.release(&held).await?;
        let passed = trying
            .attempt(&trying.request(&held.name, Mode::Try))
            .await?
            .is_ok();
        let fault =
            passed.then(|| "a try took a lock that a waiting attempt was in line for".to_owned());
        rounds.enter(h.now().since(started), fault);
    }
    rounds.verdict()
}
