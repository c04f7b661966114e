//! What may happen next, and what must hold.

use stateright::{Model, Property};

use super::holder::{Duration, Elsewhere, LeaseId, Put, State};
use super::{Defence, Move};

const TTLS: [Duration; 3] = [1, 2, 3];

pub(super) const ENTRY_IS_THERE: &str = "S7: the entry is there as long as the holder believes";
pub(super) const LASTS: &str = "S7: what the entry is under lasts as long as the holder believes";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Renew { ttl: Duration, answered: bool },
    ArriveLate(Put),
    LookElsewhere,
    MoveElsewhere { ttl: Duration },
    Tick,
    EndLease(LeaseId),
}

impl Model for Move {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.believes_for > 0 {
            for ttl in TTLS {
                actions.extend([true, false].map(|answered| Action::Renew { ttl, answered }));
            }
        }
        actions.extend(state.late.iter().copied().map(Action::ArriveLate));
        match state.elsewhere {
            Elsewhere::Absent => {}
            Elsewhere::New => actions.push(Action::LookElsewhere),
            Elsewhere::Looked { .. } => {
                actions.extend(TTLS.map(|ttl| Action::MoveElsewhere { ttl }));
            }
        }
        actions.push(Action::Tick);
        for (id, lease) in state.leases.iter().enumerate() {
            if lease.is_some_and(|lease| lease.left == 0 && !lease.ended) {
                actions.push(Action::EndLease(id));
            }
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        match action {
            Action::Renew { ttl, answered } => next.renew(ttl, answered, self)?,
            Action::ArriveLate(put) => {
                let at = next.late.iter().position(|one| *one == put)?;
                next.late.remove(at);
                next.put(put, self);
            }
            Action::LookElsewhere => next.look_elsewhere()?,
            Action::MoveElsewhere { ttl } => next.move_elsewhere(ttl, self)?,
            Action::Tick => next.tick(),
            Action::EndLease(lease) => next.end_lease(lease),
        }
        if self.has(Defence::Unchanged) {
            next.tidy();
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ENTRY_IS_THERE, |_, state: &State| {
                state.believes_for == 0 || state.entry.is_some()
            }),
            Property::always(LASTS, |_, state: &State| {
                let lease = state.entry.and_then(|entry| state.leases[entry.lease]);
                lease.is_none_or(|lease| lease.left >= state.believes_for)
            }),
            Property::sometimes("a doubt has ended well", |model, state: &State| {
                state.give_ups < model.give_ups && !state.in_doubt && state.believes_for == 3
            }),
            Property::sometimes("a late move has come true", |_, state: &State| {
                let moved = |entry: super::holder::Entry| entry.lease != state.known.lease;
                state.in_doubt && state.entry.is_some_and(moved)
            }),
            Property::sometimes("the lease that was left has ended", |_, state: &State| {
                state.leases[0].is_some_and(|lease| lease.ended) && state.believes_for > 0
            }),
        ]
    }

    /// Where they are not counted anew there would be no end of modifications.
    fn within_boundary(&self, state: &State) -> bool {
        state.entry.is_none_or(|entry| entry.modified <= 9)
    }

    fn format_action(&self, action: &Action) -> String {
        match *action {
            Action::Renew {
                ttl,
                answered: true,
            } => format!("the holder renews with TTL {ttl}"),
            Action::Renew { ttl, .. } => {
                format!("the holder renews with TTL {ttl}, and the put is not answered")
            }
            Action::ArriveLate(put) => format!("late: {put:?}"),
            Action::LookElsewhere => "another process looks what is left".into(),
            Action::MoveElsewhere { ttl } => format!("it extends the lock with TTL {ttl}"),
            Action::Tick => "time goes".into(),
            Action::EndLease(lease) => format!("etcd ends lease {lease}"),
        }
    }
}
