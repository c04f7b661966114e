//! Property: the lease machine against a simple model of a store with late, lost and reordered
//! messages and the worst clock that the terms allow.

use std::time::Duration;

use dlock_core::Instant;
use dlock_core::lease::{Failure, LeaseMachine, Loss, Step, Terms};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Event {
    /// Time passes.
    Pass(u64),
    /// The scheduler looks, and sends what the machine asks for.
    Look,
    /// The user sends an extend to this TTL.
    Extend(u64),
    /// A request on its way reaches the store.
    Apply(prop::sample::Index),
    /// The answer of an applied request reaches us.
    Answer(prop::sample::Index),
    /// We learn nothing of a request that is on its way, and it goes on.
    GiveUp(prop::sample::Index, bool, u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let index = any::<prop::sample::Index>;
    let event = prop_oneof![
        4 => (1u64..4_000).prop_map(Event::Pass),
        4 => Just(Event::Look),
        1 => (1_000u64..20_000).prop_map(Event::Extend),
        4 => index().prop_map(Event::Apply),
        3 => index().prop_map(Event::Answer),
        1 => (index(), any::<bool>(), any::<u64>()).prop_map(|(i, rejected, random)| Event::GiveUp(i, rejected, random)),
    ];
    prop::collection::vec(event, 1..120)
}

/// A request and what became of it.
struct Request {
    sent_at: Instant,
    ttl: Duration,
    extends: bool,
    /// Whether the store found the grant alive.
    applied: Option<bool>,
    settled: bool,
}

struct World {
    now: Instant,
    terms: Terms,
    machine: LeaseMachine,
    /// When the store lets go, in our time: its clock runs as fast as the drift allows.
    store_expiry: Instant,
    requests: Vec<Request>,
    lost: Option<Loss>,
}

impl World {
    fn new(ttl: Duration) -> Self {
        let now = Instant::ORIGIN + Duration::from_secs(100);
        let terms = Terms::default();
        let machine = LeaseMachine::new(terms, now, ttl, true);
        let mut world = Self {
            now,
            terms,
            machine,
            store_expiry: now,
            requests: Vec::new(),
            lost: None,
        };
        world.store_expiry = now + world.at_the_store(ttl);
        world
    }

    fn at_the_store(&self, ttl: Duration) -> Duration {
        ttl.mul_f64(1.0 - self.terms.drift())
    }

    fn send(&mut self, ttl: Duration, extends: bool) {
        self.requests.push(Request {
            sent_at: self.now,
            ttl,
            extends,
            applied: None,
            settled: false,
        });
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Pass(ms) => self.now = self.now + Duration::from_millis(*ms),
            Event::Look => match self.machine.step(self.now, Duration::ZERO) {
                Step::Renew(ttl) => self.send(ttl, false),
                Step::Lost(loss) => self.lost = Some(loss),
                Step::Wait(until) => assert!(until > self.now && until <= self.machine.deadline()),
            },
            Event::Extend(ms) => self.send(Duration::from_millis(*ms), true),
            Event::Apply(index) => self.apply(index),
            Event::Answer(index) => self.answer(index),
            Event::GiveUp(index, rejected, random) => {
                let Some(at) = self.pick(index, |request| !request.settled && !request.extends)
                else {
                    return;
                };
                self.requests[at].settled = true;
                let failure = if *rejected {
                    Failure::Rejected
                } else {
                    Failure::Unreachable
                };
                self.machine.failed(self.now, failure, *random);
            }
        }
    }

    fn apply(&mut self, index: &prop::sample::Index) {
        let Some(at) = self.pick(index, |request| request.applied.is_none()) else {
            return;
        };
        let alive = self.now < self.store_expiry;
        self.requests[at].applied = Some(alive);
        if alive {
            self.store_expiry = self
                .store_expiry
                .max(self.now + self.at_the_store(self.requests[at].ttl));
        }
    }

    fn answer(&mut self, index: &prop::sample::Index) {
        let Some(at) = self.pick(index, |request| {
            request.applied.is_some() && !request.settled
        }) else {
            return;
        };
        let request = &mut self.requests[at];
        request.settled = true;
        if request.applied == Some(false) {
            self.machine.not_owner();
            return;
        }
        if request.extends {
            self.machine.set_ttl(request.ttl);
        }
        self.machine.renewed(self.now, request.sent_at, request.ttl);
    }

    fn pick(&self, index: &prop::sample::Index, fits: impl Fn(&Request) -> bool) -> Option<usize> {
        let fitting: Vec<usize> = (0..self.requests.len())
            .filter(|at| fits(&self.requests[*at]))
            .collect();
        (!fitting.is_empty()).then(|| *index.get(&fitting))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_machine_never_believes_longer_than_the_store(ttl in 100u64..10_000, events in events()) {
        let mut world = World::new(Duration::from_millis(ttl));
        for event in &events {
            let (before, was_over) = (world.machine.deadline(), world.now >= world.machine.deadline());
            world.happens(event);
            let deadline = world.machine.deadline();
            // S7: the deadline is not after the authority's end. `renewed` answers may be late, never early.
            prop_assert!(deadline <= world.store_expiry, "{deadline:?} is after {:?}", world.store_expiry);
            // R6: it only rises, and not after its end.
            prop_assert!(deadline >= before);
            prop_assert!(!was_over || deadline == before, "revived by {event:?}");
            // A loss is final.
            if world.lost.is_some() {
                prop_assert!(matches!(world.machine.step(world.now, Duration::ZERO), Step::Lost(_)));
            }
        }
    }

    /// With a store that answers at once, a lease lives as long as it is looked after.
    #[test]
    fn a_machine_with_a_healthy_store_is_never_lost(ttl in 100u64..10_000, delays in prop::collection::vec(0u64..100, 1..100)) {
        let ttl = Duration::from_millis(ttl);
        let mut world = World::new(ttl);
        for late in delays {
            // Looked at as late as a tenth of the TTL after the time it asked for.
            world.now = world.machine.next_look() + ttl * late as u32 / 1_000;
            match world.machine.step(world.now, Duration::ZERO) {
                Step::Renew(ttl) => world.machine.renewed(world.now, world.now, ttl),
                step => prop_assert!(matches!(step, Step::Wait(_)), "{step:?}"),
            }
        }
    }
}
