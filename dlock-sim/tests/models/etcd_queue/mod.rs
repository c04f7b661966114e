//! The queue of `dlock-etcd`: attempts, their entries and leases, and requests that come when they like.
//!
//! | in the model | in `dlock-etcd` |
//! |---|---|
//! | [`store`]: the transactions | `recipe.rs` |
//! | [`attempt`]: what an attempt sends and makes of the answers | `acquire.rs`, `candidate.rs`, `release.rs` |
//! | [`state`]: the leases of the pool | `lease/pool.rs` |
//!
//! An attempt may do whatever it may do at any time: ask for its turn although nobody told it, remove the
//! head without waiting for half a second, release at any moment. So what `waiting.rs` makes of watches
//! and clocks has no part in safety: the model allows more than it ever does. An attempt that does
//! nothing for a while is frozen, one that does nothing for ever is dead.
//!
//! A request that is answered is one step. Whatever happens between its sending and its arrival, or before its
//! answer is heard, could as well happen before or after: its sender does nothing else meanwhile, and belief ends with
//! a lease, whenever the answer came. A request that is given up stays on its way and arrives later or
//! never, while its sender sends the next. [`Queue::duplicates`] lets a request that was answered arrive once
//! more, which HTTP/2 over TCP does not do.
//!
//! Time is one fact for each lease: whether its client's deadline has passed (R1). Before that etcd does not end
//! it; after that it may, at any time or never.

mod attempt;
mod model;
mod properties;
mod state;
mod store;
#[cfg(test)]
mod tests;

/// What is explored.
#[derive(Clone, Debug)]
struct Queue {
    /// One for each attempt.
    modes: Vec<Mode>,
    /// An attempt that starts anew needs another one.
    leases: usize,
    /// How many answers are not waited for, or lost.
    give_ups: u8,
    /// How many requests arrive twice.
    duplicates: u8,
    /// Whether holders write to a fenced resource.
    writes: bool,
    without: Option<Defence>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Waits for the lock.
    Queue,
    /// Takes it if it is free.
    Try,
}

/// What can be taken out of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defence {
    /// A free lock is taken only if nobody has an entry.
    NobodyBefore,
    /// An entry is made only if an earlier send of the same request has not made it.
    EarlierSend,
    /// The lock is taken only by the lowest entry.
    Lowest,
    /// The lock is taken only if the own entry is as it was.
    OwnEntryUnchanged,
    /// A waiter whose entry has gone is told when it asks.
    GoneIsTold,
    /// The head is removed only if it has not taken the lock meanwhile.
    HeadUnchanged,
    /// A release removes an entry only if it is the one that was released.
    OwnEntryOnly,
    /// The leases of an attempt with an unanswered request are revoked, and serve nobody any more.
    NoLeaseInDoubt,
    /// An entry that is found is adopted only if the attempt's id stands in it.
    OwnId,
    /// etcd ends a lease only after its client's deadline.
    DeadlineFirst,
    /// The resource refuses tokens lower than one it has seen.
    Fence,
}

impl Queue {
    fn without(mut self, defence: Defence) -> Self {
        self.without = Some(defence);
        self
    }

    fn has(&self, defence: Defence) -> bool {
        self.without != Some(defence)
    }
}
