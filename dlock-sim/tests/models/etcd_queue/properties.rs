//! What must hold in every state (DESIGN 8.4), and what must happen in some, so that the model is not
//! one of nothing.

use stateright::{Model, Property};

use super::attempt::{Stage, Step};
use super::model::{Action, stands_behind_waiting_head};
use super::state::{Broken, Fate, State, Use};
use super::store::{Ask, AttemptId, Operation, Standing};
use super::{Mode, Queue};

pub(super) const ONE_BELIEVES: &str = "S1: at most one attempt believes that it has the lock";
pub(super) const ONE_HOLDS: &str = "S2: at most one entry says holding, and it is the lowest";
pub(super) const NO_STALE_EFFECT: &str = "S3: no write is accepted after one with a higher token";
pub(super) const NEVER_FENCED_OFF: &str = "S3: nobody who believes is fenced off";
pub(super) const TOKENS_RISE: &str = "S4: every grant has a higher token than all before";
pub(super) const OWN_ENTRY_ONLY: &str =
    "S5: no request changes another's entry, but for a head that waits";
pub(super) const NO_ORPHAN: &str =
    "S6: an entry of an attempt that is over is under a lease that ends";
pub(super) const ENTRY_IS_THERE: &str = "S7: who believes has its entry, with its token";
pub(super) const NO_DEADLOCK: &str = "L1: an attempt that goes on can be granted";

pub(super) fn all(queue: &Queue) -> Vec<Property<Queue>> {
    let mut all = vec![
        Property::always(ONE_BELIEVES, |_, state: &State| {
            believers(state).count() <= 1
        }),
        Property::always(ONE_HOLDS, |_, state: &State| holders_are_lowest(state)),
        Property::always(NO_STALE_EFFECT, |_, state: &State| {
            state.broken != Some(Broken::StaleEffect)
        }),
        Property::always(NEVER_FENCED_OFF, |_, state: &State| {
            believers(state).all(|id| state.attempts[id].created >= state.fence)
        }),
        Property::always(TOKENS_RISE, |_, state: &State| {
            state.broken != Some(Broken::TokenNotHigher)
        }),
        Property::always(OWN_ENTRY_ONLY, |_, state: &State| {
            state.broken != Some(Broken::EntryOfAnother)
        }),
        Property::always(ENTRY_IS_THERE, |_, state: &State| {
            believers(state).all(|id| has_its_entry(state, id))
        }),
        Property::always(NO_DEADLOCK, |queue, state: &State| {
            (0..state.attempts.len()).all(|id| can_be_granted(queue, state, id))
        }),
        Property::sometimes("somebody is granted after a wait", |_, state: &State| {
            believers(state).any(|id| state.attempts[id].modified > state.attempts[id].created)
        }),
        Property::sometimes("a live waiter has been removed", |_, state: &State| {
            ids(state).any(|id| is_alive(state, id) && is_told_nothing_yet(state, id))
        }),
        Property::sometimes(
            "a waiter that was removed is granted later",
            |_, state: &State| believers(state).any(|id| state.attempts[id].queued_anew),
        ),
        Property::sometimes(
            "a frozen holder finds that another believes",
            |_, state: &State| {
                let frozen = |id: AttemptId| state.attempts[id].holds() && !state.believes(id);
                ids(state).any(frozen) && believers(state).count() == 1
            },
        ),
    ];
    if queue.duplicates == 0 {
        // A request that was answered and comes again may be applied under a lease that is in the pool.
        all.push(Property::always(NO_ORPHAN, |_, state: &State| {
            no_orphan(state)
        }));
    }
    if queue.modes.len() > 2 {
        let all_served = |_: &Queue, state: &State| {
            let over = ids(state).filter(|id| state.attempts[*id].stage == Stage::Done);
            over.count() + 1 == state.attempts.len() && believers(state).count() == 1
        };
        all.push(Property::sometimes(
            "all but the last are over, and it believes",
            all_served,
        ));
    }
    if queue.give_ups + queue.duplicates > 0 {
        all.extend([
            Property::sometimes("an entry is made by a late request", |_, state: &State| {
                let mut entries = state.store.entries.iter().flatten();
                entries.any(|entry| state.attempts[entry.owner].stage == Stage::Done)
            }),
            Property::sometimes(
                "a request of a holder is still on its way",
                |_, state: &State| {
                    let enters = |id: AttemptId| {
                        let mut requests = state.requests.iter();
                        requests.any(|request| {
                            request.from == id
                                && matches!(request.operation, Operation::Enter { .. })
                        })
                    };
                    believers(state).any(enters)
                },
            ),
        ]);
    }
    if queue.writes {
        all.push(Property::sometimes(
            "a frozen holder is fenced off",
            |_, state: &State| {
                let fenced = |id: AttemptId| {
                    state.attempts[id].holds() && state.attempts[id].created < state.fence
                };
                ids(state).any(fenced)
            },
        ));
    }
    all
}

fn ids(state: &State) -> impl Iterator<Item = AttemptId> + use<> {
    0..state.attempts.len()
}

fn believers(state: &State) -> impl Iterator<Item = AttemptId> + '_ {
    ids(state).filter(|id| state.believes(*id))
}

fn holders_are_lowest(state: &State) -> bool {
    let holds = |entry: &_| Some(*entry) == state.store.head();
    let mut entries = state.store.entries.iter().flatten();
    entries.all(|entry| entry.standing == Standing::Waiting || holds(entry))
}

fn has_its_entry(state: &State, id: AttemptId) -> bool {
    let attempt = &state.attempts[id];
    let entry = attempt.key.and_then(|key| state.store.entries[key]);
    entry.is_some_and(|entry| {
        entry.owner == id && entry.created == attempt.created && entry.standing == Standing::Holding
    })
}

fn is_alive(state: &State, id: AttemptId) -> bool {
    let lease = state.attempts[id].lease;
    lease.is_none_or(|lease| !state.leases[lease].lapsed)
}

fn is_told_nothing_yet(state: &State, id: AttemptId) -> bool {
    let attempt = &state.attempts[id];
    attempt.stage == Stage::Waiting
        && attempt
            .key
            .is_some_and(|key| state.store.entries[key].is_none())
}

fn no_orphan(state: &State) -> bool {
    let mut entries = state.store.entries.iter().enumerate();
    entries.all(|(key, entry)| {
        let lease = state.leases[key];
        let ends = lease.lapsed || lease.used == Use::Retired;
        entry.is_none_or(|entry| ends || state.attempts[entry.owner].stage != Stage::Done)
    })
}

/// Whether there is a way on that needs nothing but what is bound to come: answers, the end of those
/// ahead or of their leases, and the attempt's own next steps.
fn can_be_granted(queue: &Queue, state: &State, id: AttemptId) -> bool {
    let over = |state: &State| matches!(state.attempts[id].stage, Stage::Over | Stage::Done);
    if queue.modes[id] == Mode::Try || over(state) || !is_alive(state, id) {
        return true;
    }
    let mut state = state.clone();
    // Enough for whoever stands in the queue.
    for _ in 0..40 {
        if state.believes(id) {
            return true;
        }
        let Some(action) = way_on(&state, id) else {
            // It needs a lease more than there are in the model.
            return state.free_lease(queue).is_none();
        };
        match queue.next_state(&state, action) {
            Some(next) => state = next,
            None => return state.free_lease(queue).is_none(),
        }
    }
    false
}

fn way_on(state: &State, id: AttemptId) -> Option<Action> {
    let attempt = &state.attempts[id];
    let ask = |step| Some(Action::Send(id, step, Fate::Answered));
    match attempt.stage {
        Stage::New => ask(Step::Enter(Ask::OrQueue)),
        Stage::Waiting => {
            let own = attempt.key.and_then(|key| state.store.entries[key]);
            let head = state.store.head();
            if own.is_none() || own == head {
                return ask(Step::Confirm);
            }
            if stands_behind_waiting_head(id, state) {
                return ask(Step::PassOver);
            }
            let key = state.store.key_of(head?.created)?;
            let lease = state.leases[key];
            Some(match lease.lapsed || lease.used == Use::Retired {
                true => Action::EndLease(key),
                false => Action::Lapse(key),
            })
        }
        Stage::Held | Stage::Over | Stage::Done => None,
    }
}
