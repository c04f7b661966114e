use std::collections::VecDeque;

use dlock_core::{AttemptId, OwnerLabel};
use etcd_client::proto::PbKeyValue;
use proptest::prelude::*;

use super::*;
use crate::value::{Standing, written};

/// The queue at etcd, and the changes that our watches have not heard yet.
#[derive(Default)]
struct Etcd {
    revision: i64,
    queue: Vec<PbKeyValue>,
    unheard: VecDeque<Change>,
}

/// Our own entry.
const OWN: i64 = 1000;

impl Etcd {
    fn value(standing: Option<Standing>, key: i64) -> Vec<u8> {
        let id = AttemptId::from_bits(u128::from(key.unsigned_abs()));
        standing.map_or(Vec::new(), |standing| {
            written(standing, id, &OwnerLabel::none())
        })
    }

    /// `None`: another library's.
    fn joins(&mut self, standing: Option<Standing>) {
        self.revision += 1;
        self.queue.push(PbKeyValue {
            key: self.revision.to_string().into_bytes(),
            create_revision: self.revision,
            mod_revision: self.revision,
            value: Self::value(standing, self.revision),
            ..PbKeyValue::default()
        });
    }

    fn ahead(&self) -> Ahead {
        let entry = |index: usize| self.queue.get(index).cloned().map(Entry::from);
        let from_the_back = |back: usize| self.queue.len().checked_sub(back).and_then(entry);
        Ahead {
            before: from_the_back(1),
            second: from_the_back(2),
            first: entry(0),
        }
    }

    fn takes_the_lock(&mut self) {
        self.revision += 1;
        let Some(first) = self.queue.first_mut() else {
            return;
        };
        first.mod_revision = self.revision;
        if !first.value.is_empty() {
            first.value = Self::value(Some(Standing::Holding), first.create_revision);
        }
        self.unheard.push_back(Change {
            deleted: false,
            now: first.clone(),
            before: None,
        });
    }

    fn goes(&mut self, index: usize) {
        if index >= self.queue.len() {
            return;
        }
        self.revision += 1;
        let gone = self.queue.remove(index);
        self.unheard.push_back(Change {
            deleted: true,
            now: PbKeyValue {
                key: gone.key,
                mod_revision: self.revision,
                ..PbKeyValue::default()
            },
            before: None,
        });
    }

    /// It goes, unheard, and its lease serves another attempt, which stands behind us under the same key.
    fn comes_back(&mut self, index: usize) {
        if index >= self.queue.len() {
            return;
        }
        self.revision += 2;
        let gone = self.queue.remove(index);
        self.unheard.push_back(Change {
            deleted: false,
            now: PbKeyValue {
                create_revision: self.revision,
                mod_revision: self.revision,
                value: Self::value(WAITS, self.revision),
                ..gone
            },
            before: None,
        });
    }

    /// Everything is heard that is watched.
    fn is_heard(&mut self, waiting: &mut Waiting, now: Instant) {
        while let Some(change) = self.unheard.pop_front() {
            if waiting.keys().any(|key| key == change.now.key) {
                waiting.hear(&change, now);
            }
        }
    }

    fn is_looked_at(&self, waiting: &mut Waiting, now: Instant) {
        let looking = Looking {
            heard: waiting.heard(),
            watched: true,
        };
        waiting.looked(self.ahead(), looking, now);
    }

    /// The same by the keys of those that it knows, as the recipe does.
    fn is_looked_at_by_key(&self, waiting: &mut Waiting, now: Instant) {
        let looking = Looking {
            heard: waiting.heard(),
            watched: true,
        };
        let known = waiting.ahead();
        let now_of = |entry: &Option<Entry>| {
            let entry = entry.as_ref()?;
            let mut queue = self.queue.iter();
            let there = queue.find(|kv| kv.key == entry.key)?;
            Some(Entry::from(there.clone())).filter(|there| there.created == entry.created)
        };
        let (before, second) = (now_of(&known.before), now_of(&known.second));
        let all_there = before.is_some() && second.is_some() == known.second.is_some();
        let ahead = match all_there {
            true => Ahead::of(before, second),
            false => self.ahead(),
        };
        waiting.looked(ahead, looking, now);
    }
}

fn at(millis: u64) -> Instant {
    Instant::ORIGIN + Duration::from_millis(millis)
}

/// Behind these, all watched, and looked at since.
fn settled(standings: &[Option<Standing>]) -> (Etcd, Waiting) {
    let mut etcd = Etcd::default();
    for standing in standings {
        etcd.joins(*standing);
    }
    let mut waiting = Waiting::behind(etcd.ahead(), at(0));
    assert_eq!(waiting.next(at(0), true, false), Next::Look);
    etcd.is_looked_at(&mut waiting, at(0));
    (etcd, waiting)
}

const HOLDS: Option<Standing> = Some(Standing::Holding);
const WAITS: Option<Standing> = Some(Standing::Waiting);

#[test]
fn the_end_of_the_one_before_is_worth_asking() {
    let (mut etcd, mut waiting) = settled(&[HOLDS]);
    assert!(matches!(waiting.next(at(1), true, false), Next::Wait(_)));
    etcd.goes(0);
    etcd.is_heard(&mut waiting, at(1));
    assert_eq!(waiting.next(at(1), true, false), Next::Ask);
}

#[test]
fn a_head_that_does_not_take_the_lock_is_passed_over_after_the_grace() {
    let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS]);
    let dead = etcd.ahead().before.unwrap();
    etcd.goes(0);
    etcd.is_heard(&mut waiting, at(100));
    assert_eq!(waiting.next(at(100), true, false), Next::Wait(at(600)));
    assert_eq!(waiting.next(at(600), true, false), Next::PassOver(dead));
}

#[test]
fn a_head_that_takes_the_lock_is_not_passed_over() {
    let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS]);
    etcd.goes(0);
    etcd.is_heard(&mut waiting, at(100));
    etcd.takes_the_lock();
    etcd.is_heard(&mut waiting, at(200));
    assert!(matches!(waiting.next(at(900), true, false), Next::Wait(_)));
    // Nor if nothing was heard of it, and a look tells.
    let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS]);
    etcd.goes(0);
    etcd.is_heard(&mut waiting, at(100));
    etcd.takes_the_lock();
    etcd.is_looked_at(&mut waiting, at(200));
    assert!(matches!(waiting.next(at(900), true, false), Next::Wait(_)));
}

#[test]
fn another_librarys_head_is_never_passed_over() {
    let (mut etcd, mut waiting) = settled(&[HOLDS, None]);
    etcd.goes(0);
    etcd.is_heard(&mut waiting, at(100));
    for later in [at(100), at(700), at(1900)] {
        assert!(matches!(waiting.next(later, true, false), Next::Wait(_)));
    }
}

#[test]
fn who_leaves_the_middle_of_the_queue_is_no_reason_to_ask() {
    let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS, WAITS]);
    etcd.goes(2);
    etcd.is_heard(&mut waiting, at(1));
    assert_eq!(waiting.next(at(1), true, false), Next::LookAtAll);
    let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS, WAITS]);
    etcd.goes(1);
    etcd.is_heard(&mut waiting, at(1));
    assert_eq!(waiting.next(at(1), true, false), Next::LookAtAll);
}

#[test]
fn a_look_that_an_event_has_overtaken_counts_for_nothing() {
    let (mut etcd, mut waiting) = settled(&[HOLDS]);
    let looking = Looking {
        heard: waiting.heard(),
        watched: true,
    };
    let before = etcd.ahead();
    etcd.goes(0);
    etcd.is_heard(&mut waiting, at(1));
    waiting.looked(before, looking, at(2));
    assert_eq!(waiting.next(at(2), true, false), Next::Ask);
}

#[test]
fn after_a_reset_there_is_a_look_once_the_watches_are_back() {
    let (etcd, mut waiting) = settled(&[HOLDS]);
    waiting.reset();
    assert!(matches!(waiting.next(at(1), false, false), Next::Wait(_)));
    assert_eq!(waiting.next(at(1), true, false), Next::Look);
    etcd.is_looked_at(&mut waiting, at(2));
    assert!(matches!(waiting.next(at(2), true, false), Next::Wait(_)));
}

/// A reset while the look was under way: the watches that it came after are gone.
#[test]
fn a_look_from_before_a_reset_counts_for_nothing() {
    let (etcd, mut waiting) = settled(&[HOLDS]);
    let looking = Looking {
        heard: waiting.heard(),
        watched: true,
    };
    waiting.reset();
    waiting.looked(etcd.ahead(), looking, at(2));
    assert_eq!(waiting.next(at(2), true, false), Next::Look);
}

#[test]
fn the_foremost_looks_now_and_then() {
    let (_, waiting) = settled(&[HOLDS]);
    assert_eq!(waiting.next(at(1999), true, true), Next::Wait(at(2000)));
    assert_eq!(waiting.next(at(2000), true, true), Next::LookAtAll);
}

#[test]
fn a_look_that_failed_is_not_repeated_at_once() {
    let (_, mut waiting) = settled(&[HOLDS]);
    waiting.look_failed(at(100));
    assert_eq!(waiting.next(at(100), true, false), Next::Wait(at(1100)));
    assert_eq!(waiting.next(at(1100), true, false), Next::Look);
}

#[derive(Clone, Copy, Debug)]
enum Act {
    TakesTheLock,
    Goes(usize),
    ComesBack(usize),
    IsHeard,
    IsLookedAt,
    Resets,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        3 => Just(Act::TakesTheLock),
        3 => (0..5_usize).prop_map(Act::Goes),
        2 => (0..5_usize).prop_map(Act::ComesBack),
        4 => Just(Act::IsHeard),
        2 => Just(Act::IsLookedAt),
        1 => Just(Act::Resets),
    ];
    proptest::collection::vec(act, 0..24)
}

proptest! {
    /// Whatever happened in whatever order: once all is heard, a waiter that has nothing to do but wait
    /// really has somebody before it, and knows of everybody whom it could have to pass over.
    #[test]
    fn nobody_waits_for_nothing(standings in proptest::collection::vec(0..3_u8, 1..6), acts in acts()) {
        let mut etcd = Etcd::default();
        for (index, standing) in standings.iter().enumerate() {
            etcd.joins(match (index, standing) {
                (_, 0) => None,
                (0, 1) => HOLDS,
                _ => WAITS,
            });
        }
        etcd.revision = OWN;
        let mut waiting = Waiting::behind(etcd.ahead(), at(0));
        let mut now = 0;
        for act in acts {
            now += 1;
            match act {
                Act::TakesTheLock => etcd.takes_the_lock(),
                Act::Goes(index) => etcd.goes(index),
                Act::ComesBack(index) => etcd.comes_back(index),
                Act::IsHeard => etcd.is_heard(&mut waiting, at(now)),
                // A read is never older than what was heard before it.
                Act::IsLookedAt => match waiting.next(at(now), true, false) {
                    Next::Look => etcd.is_looked_at_by_key(&mut waiting, at(now)),
                    _ => etcd.is_looked_at(&mut waiting, at(now)),
                },
                Act::Resets => {
                    // What happens until the watches are back is never heard.
                    waiting.reset();
                    etcd.unheard.clear();
                }
            }
        }
        etcd.is_heard(&mut waiting, at(now));
        for _ in 0..10 {
            match waiting.next(at(now), true, false) {
                Next::Look => etcd.is_looked_at_by_key(&mut waiting, at(now)),
                Next::LookAtAll => etcd.is_looked_at(&mut waiting, at(now)),
                Next::Ask => {
                    let ahead = etcd.ahead();
                    if ahead.before.is_none() {
                        return Ok(());
                    }
                    // Asked too early: the answer says who is there.
                    waiting.told(ahead, at(now));
                }
                Next::PassOver(_) => prop_assert!(false, "passed over at once"),
                Next::Wait(_) => {
                    let ahead = etcd.ahead();
                    prop_assert!(ahead.before.is_some(), "it waits for nobody");
                    let elected = ahead.before == ahead.first
                        && ahead.before.as_ref().is_some_and(|entry| entry.owner.waits());
                    let later = waiting.next(at(now + 700), true, false);
                    prop_assert_eq!(
                        matches!(later, Next::PassOver(_)), elected,
                        "{:?} of {:?}", later, waiting
                    );
                    return Ok(());
                }
            }
        }
        prop_assert!(false, "it does not come to rest");
    }
}

/// Heard while the request that takes the lock is on its way: the grant must not count as watched.
#[test]
fn a_deletion_of_our_own_entry_is_not_forgotten() {
    let (_, mut waiting) = settled(&[HOLDS]);
    assert!(waiting.is_sure());
    waiting.own_deleted();
    assert!(!waiting.is_sure());
    assert_eq!(waiting.next(at(1), true, false), Next::Ask);
}

/// Of a process that died with two waiters, nobody watches the first but the second.
#[test]
fn two_dead_ones_in_a_row_are_passed_over_by_the_foremost() {
    let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS, WAITS]);
    etcd.goes(0);
    etcd.unheard.clear(); // Its end is watched by the second and the third only.
    assert_eq!(waiting.next(at(2000), true, true), Next::LookAtAll);
    etcd.is_looked_at(&mut waiting, at(2000));
    assert_eq!(waiting.next(at(2000), true, true), Next::Wait(at(2500)));
    let first = etcd.ahead().first.unwrap();
    assert_eq!(waiting.next(at(2500), true, true), Next::PassOver(first));
    // Others leave that to it.
    assert!(matches!(waiting.next(at(2500), true, false), Next::Wait(_)));
}

/// Found by the simulator (etcd, seed 18): the first is not watched by us; when the next one has the lock, the time
/// that ran for the first must not be counted against it.
#[test]
fn who_has_the_lock_is_not_passed_over_for_the_dead_one_before_it() {
    let waits = Some(Standing::Waiting);
    let (mut etcd, mut waiting) = settled(&[waits, waits, waits]);
    etcd.goes(0);
    // Nobody of us watches that one.
    etcd.unheard.clear();
    etcd.takes_the_lock();
    etcd.is_heard(&mut waiting, at(400));
    for millis in (400..3000).step_by(50) {
        let next = waiting.next(at(millis), true, true);
        assert!(!matches!(next, Next::PassOver(_)), "{next:?}");
    }
}

/// Found by the simulator (etcd, seed 44): who had the lock was gone when our watch began, and queued again under the
/// same key, behind us.
#[test]
fn who_queues_again_under_its_key_stands_behind_us() {
    let (mut etcd, mut waiting) = settled(&[HOLDS]);
    etcd.revision = OWN;
    etcd.comes_back(0);
    etcd.is_heard(&mut waiting, at(1));
    assert_eq!(waiting.next(at(1), true, true), Next::Ask);
}

/// A watch may tell late what a look has read before.
#[test]
fn what_is_no_news_changes_nothing() {
    let (mut etcd, mut waiting) = settled(&[HOLDS]);
    etcd.takes_the_lock();
    let late = etcd.unheard.pop_front();
    etcd.takes_the_lock();
    etcd.is_heard(&mut waiting, at(1));
    let modified = |waiting: &Waiting| waiting.ahead().before.as_ref().map(|entry| entry.modified);
    let known = modified(&waiting);
    etcd.unheard.extend(late);
    etcd.is_heard(&mut waiting, at(2));
    assert_eq!(modified(&waiting), known);
}

/// Found by the simulator (etcd, seed 2247): somebody between gives up, and the one before that is no head for it.
#[test]
fn who_waits_behind_the_holder_is_not_passed_over_when_one_between_gives_up() {
    for gone in [1, 2] {
        let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS, WAITS]);
        etcd.goes(gone);
        etcd.is_heard(&mut waiting, at(1));
        for millis in 1..3000 {
            match waiting.next(at(millis), true, false) {
                Next::Look => etcd.is_looked_at_by_key(&mut waiting, at(millis)),
                Next::LookAtAll => etcd.is_looked_at(&mut waiting, at(millis)),
                Next::Wait(_) => {}
                other => panic!("{gone} has gone: {other:?}"),
            }
        }
    }
}

/// The first of all was read before the holder went, who is before us after that: then the first is unknown.
#[test]
fn what_was_read_at_two_moments_is_read_again() {
    let (mut etcd, mut waiting) = settled(&[HOLDS, WAITS]);
    let holder = etcd.ahead().first;
    etcd.goes(0);
    etcd.unheard.clear();
    let looking = Looking {
        heard: waiting.heard(),
        watched: true,
    };
    let torn = Ahead {
        first: holder,
        ..etcd.ahead()
    };
    waiting.looked(torn, looking, at(1));
    assert_eq!(waiting.next(at(1), true, true), Next::LookAtAll);
    etcd.is_looked_at(&mut waiting, at(1));
    assert_eq!(waiting.next(at(1), true, true), Next::Wait(at(501)));
}
