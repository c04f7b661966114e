//! How `dlock-etcd` moves the entry of a holder to another lease, which is how `extend` sets another TTL
//! (`renew.rs`).
//!
//! An entry lives as long as the lease that it is under; a keepalive lengthens a lease and does not touch
//! the entry. So the holder must know which lease the entry is under, also while the answer to a move is
//! missing. The move is a put that compares the entry's modification.
//!
//! Time goes in ticks. What counts of a lease is how much is left of it as far as its client knows: etcd ends it
//! when nothing is left, at once or later or never. The holder believes until its own deadline,
//! which no renewal brings nearer (R6).

mod holder;
mod model;
#[cfg(test)]
mod tests;

/// What is explored.
#[derive(Clone, Debug)]
struct Move {
    /// How many answers are lost.
    give_ups: u8,
    /// Another process that knows the grant extends it as well (`Locker::extend`).
    elsewhere: bool,
    without: Option<Defence>,
}

/// What can be taken out of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Defence {
    /// The put compares the entry's modification.
    Unchanged,
    /// The entry is not moved to a lease that ends earlier.
    NeverShorter,
    /// The same while an earlier move is in doubt. `dlock-etcd` has not got it yet.
    NeverShorterInDoubt,
    /// While a move is in doubt, no deadline moves before another one is answered.
    DoubtRemembered,
}

impl Move {
    fn has(&self, defence: Defence) -> bool {
        self.without != Some(defence)
    }
}
