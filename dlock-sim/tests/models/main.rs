//! Small models of the protocols, of which every interleaving is explored.
//!
//! A model has no clock and no bytes: only what the protocol's safety rests on, and everything that may
//! happen to it. What it shows for a few attempts it shows for every order of events, which no test of
//! the real code can. Each defence of a protocol has a test that takes it out: the checker must then find
//! a schedule that does harm, so that the model is known to see it; `--nocapture` prints it.
//!
//! `DLOCK_MODELS=large cargo test -p dlock-sim --release --test models` explores more, for minutes.

mod check;
mod etcd_move;
mod etcd_queue;

/// Whether there is time.
fn large() -> bool {
    std::env::var("DLOCK_MODELS").is_ok_and(|size| size == "large")
}
