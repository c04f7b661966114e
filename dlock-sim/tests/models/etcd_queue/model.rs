//! What may happen next.

use stateright::{Model, Property};

use super::attempt::{Stage, Step};
use super::properties;
use super::state::{Fate, Request, State, Use, name};
use super::store::{AttemptId, LeaseId, MOST_LEASES, Standing};
use super::{Defence, Queue};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Send(AttemptId, Step, Fate),
    /// It writes to the resource, whether it still believes or not.
    Write(AttemptId),
    /// A request that was given up is applied.
    Arrive(Request),
    /// The client's deadline of a lease passes.
    Lapse(LeaseId),
    /// etcd ends a lease, because its time is over or because it is revoked.
    EndLease(LeaseId),
}

impl Model for Queue {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        assert!(self.leases <= MOST_LEASES);
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for id in 0..state.attempts.len() {
            self.actions_of(id, state, actions);
        }
        actions.extend(state.requests.iter().copied().map(Action::Arrive));
        for (id, lease) in state.leases.iter().enumerate() {
            if lease.used == Use::ByAttempt && !lease.lapsed {
                actions.push(Action::Lapse(id));
            }
            let may_end = match lease.used {
                Use::Never | Use::Idle => false,
                Use::ByAttempt => lease.lapsed || !self.has(Defence::DeadlineFirst),
                Use::Retired => true,
            };
            if may_end && !state.store.ended[id] {
                actions.push(Action::EndLease(id));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Send(id, step, fate) => {
                if !next.send(id, step, fate, self) {
                    return None;
                }
            }
            Action::Write(id) => next.write(state.attempts[id].created, self),
            Action::Arrive(request) => next.arrive(request, self),
            Action::Lapse(lease) => next.leases[lease].lapsed = true,
            Action::EndLease(lease) => next.store.end_lease(lease),
        }
        if self.without.is_none() {
            next.tidy();
        }
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        properties::all(self)
    }

    fn format_action(&self, action: &Action) -> String {
        match *action {
            Action::Send(id, step, Fate::Answered) => format!("{} asks {step:?}", name(id)),
            Action::Send(id, step, Fate::GivenUp) => {
                format!("{} asks {step:?}, and gives up", name(id))
            }
            Action::Send(id, step, Fate::Twice) => {
                format!("{} asks {step:?}, which will come once more", name(id))
            }
            Action::Write(id) => format!("{} writes to the resource", name(id)),
            Action::Arrive(Request { from, operation }) => {
                format!("late, from {}: {operation:?}", name(from))
            }
            Action::Lapse(lease) => format!("the deadline of lease {lease} passes"),
            Action::EndLease(lease) => format!("etcd ends lease {lease}"),
        }
    }
}

impl Queue {
    fn actions_of(&self, id: AttemptId, state: &State, actions: &mut Vec<Action>) {
        let attempt = &state.attempts[id];
        for step in self.steps(id, state) {
            actions.push(Action::Send(id, step, Fate::Answered));
            if state.give_ups > 0 {
                actions.push(Action::Send(id, step, Fate::GivenUp));
            }
            if state.duplicates > 0 {
                actions.push(Action::Send(id, step, Fate::Twice));
            }
        }
        if self.writes && attempt.holds() && attempt.created != state.fence {
            actions.push(Action::Write(id));
        }
    }

    fn steps(&self, id: AttemptId, state: &State) -> Vec<Step> {
        let attempt = &state.attempts[id];
        let mut steps = Vec::new();
        match attempt.stage {
            Stage::New => {
                // Which of two equal attempts begins makes no difference.
                let turn = id == 0
                    || self.modes[id - 1] != self.modes[id]
                    || state.attempts[id - 1].has_begun();
                if turn {
                    let asks = attempt.asks(self.modes[id]).iter();
                    steps.extend(asks.map(|ask| Step::Enter(*ask)));
                }
                if attempt.in_doubt {
                    steps.push(Step::Leave);
                }
            }
            Stage::Waiting => {
                steps.extend([Step::Confirm, Step::Leave]);
                if stands_behind_waiting_head(id, state) {
                    steps.push(Step::PassOver);
                }
            }
            Stage::Held | Stage::Over => steps.push(Step::Leave),
            Stage::Done => {}
        }
        steps
    }
}

/// The head has not taken the lock, and may be removed by the one behind.
pub(super) fn stands_behind_waiting_head(id: AttemptId, state: &State) -> bool {
    let own = state.attempts[id].created;
    let entries = state.store.entries.iter().flatten();
    let ahead: Vec<_> = entries.filter(|entry| entry.created < own).collect();
    matches!(ahead[..], [head] if head.standing == Standing::Waiting)
}
