//! The key layout.
//!
//! | key | what |
//! |---|---|
//! | `prefix + name` | the lock: a string with an expiry, like any `SET key value NX PX` lock's |
//! | `{tag}dlock:counter:<lock key>` | the newest token of the name; expires when nobody uses the name |
//! | `{tag}dlock:fence:<lock key>` | the fence for data in this Redis ([`RedisFence`](crate::RedisFence)); no expiry |
//!
//! | `{tag}dlock:queue:<lock key>` | who waits, in order: a sorted set of entries; expires when nobody looks |
//! | `{tag}dlock:alive:<lock key>` | until when each entry counts as alive: a hash; expires with the queue |
//! | `{tag}dlock:reservation:<lock key>` | for whom the free lock is in line; expires |
//!
//! Wakeups go over the channels `dlock:wakeup:<store instance>` and `dlock:wakeup:all`.
//!
//! All keys of a name share one Cluster slot: `tag` is the lock key's own hash tag; else the whole
//! lock key if it has no brace; else a number that leads to the lock key's slot.

use dlock_core::LockName;

use crate::slot;

/// The keys of one lock name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Keys {
    pub lock: String,
    tag: String,
}

/// What an auxiliary key holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Fence,
    Queue,
    Alive,
    Reservation,
}

/// The lock key would look like an auxiliary key of another lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reserved;

/// Between an auxiliary key's hash tag and its kind.
const MARK: &str = "dlock:";

impl Keys {
    pub fn new(prefix: &str, name: &LockName) -> Result<Self, Reserved> {
        let lock = format!("{prefix}{name}");
        if is_auxiliary(&lock) {
            return Err(Reserved);
        }
        Ok(Self {
            tag: tag(&lock),
            lock,
        })
    }

    pub fn counter(&self) -> String {
        self.auxiliary(Kind::Counter)
    }

    pub fn fence(&self) -> String {
        self.auxiliary(Kind::Fence)
    }

    pub fn queue(&self) -> String {
        self.auxiliary(Kind::Queue)
    }

    /// Lock, counter and the three keys of the waiting queue, as most scripts take them.
    pub fn for_scripts(&self) -> [String; 5] {
        [
            self.lock.clone(),
            self.counter(),
            self.queue(),
            self.auxiliary(Kind::Alive),
            self.auxiliary(Kind::Reservation),
        ]
    }

    fn auxiliary(&self, kind: Kind) -> String {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Fence => "fence",
            Kind::Queue => "queue",
            Kind::Alive => "alive",
            Kind::Reservation => "reservation",
        };
        // Five of them for every request: `format!` would grow each several times.
        let mut key = String::with_capacity(self.tag.len() + self.lock.len() + 24);
        for part in ["{", &self.tag, "}", MARK, kind, ":", &self.lock] {
            key.push_str(part);
        }
        key
    }
}

/// Whether a key has the form of our auxiliary keys, of whichever kind (also kinds to come).
pub(crate) fn is_auxiliary(key: &str) -> bool {
    key.strip_prefix('{')
        .and_then(|rest| rest.split_once('}'))
        .is_some_and(|(_, rest)| rest.starts_with(MARK))
}

/// Never contains a `}`, so an auxiliary key can be read in one way only: no two names share one.
fn tag(lock: &str) -> String {
    if let Some(own) = slot::hash_tag(lock.as_bytes()) {
        // Cut at ASCII braces: still UTF-8.
        return String::from_utf8_lossy(own).into_owned();
    }
    if lock.contains(['{', '}']) {
        return slot::tag_for(slot::slot(lock.as_bytes()));
    }
    lock.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::slot::slot;

    fn keys(prefix: &str, name: &str) -> Result<Keys, Reserved> {
        Keys::new(prefix, &LockName::new(name).unwrap())
    }

    fn all(keys: &Keys) -> Vec<String> {
        let mut all = keys.for_scripts().to_vec();
        all.push(keys.fence());
        all
    }

    /// Changing any of these would separate old and new versions of this crate.
    #[test]
    fn the_layout_is_pinned() {
        let counter = |prefix, name| keys(prefix, name).unwrap().counter();
        assert_eq!(
            counter("lock:", "goose"),
            "{lock:goose}dlock:counter:lock:goose"
        );
        assert_eq!(
            counter("lock:", "{user7}.mail"),
            "{user7}dlock:counter:lock:{user7}.mail"
        );
        assert_eq!(counter("lock:", "a{{b}c"), "{{b}dlock:counter:lock:a{{b}c");
        let number = slot::tag_for(slot(b"lock:a}b"));
        assert_eq!(
            counter("lock:", "a}b"),
            format!("{{{number}}}dlock:counter:lock:a}}b")
        );
        assert_eq!(
            keys("lock:", "goose").unwrap().fence(),
            "{lock:goose}dlock:fence:lock:goose"
        );
        assert_eq!(
            keys("lock:", "goose").unwrap().for_scripts(),
            [
                "lock:goose",
                "{lock:goose}dlock:counter:lock:goose",
                "{lock:goose}dlock:queue:lock:goose",
                "{lock:goose}dlock:alive:lock:goose",
                "{lock:goose}dlock:reservation:lock:goose"
            ]
        );
    }

    #[test]
    fn a_lock_key_that_looks_like_an_auxiliary_key_is_refused() {
        assert_eq!(keys("", "{a}dlock:counter:a"), Err(Reserved));
        assert_eq!(keys("{a}", "dlock:anything"), Err(Reserved));
        assert_eq!(keys("", "{}dlock:x"), Err(Reserved));
        assert!(keys("lock:", "{a}dlock:counter:a").is_ok());
        assert!(keys("{a}", "other").is_ok());
    }

    /// Names made of the characters that matter, so that the interesting ones are frequent.
    fn text(most: usize) -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[{}]",
            3 => "[a-c:]",
            1 => Just("dlock:".to_owned()),
            1 => Just("counter:".to_owned()),
            1 => any::<char>().prop_map(String::from),
        ];
        prop::collection::vec(piece, 0..=most).prop_map(|pieces| pieces.concat())
    }

    fn name() -> impl Strategy<Value = String> {
        text(12).prop_filter("names are not empty", |name| !name.is_empty())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]

        #[test]
        fn one_slot_per_name(prefix in text(5), name in name()) {
            if let Ok(keys) = keys(&prefix, &name) {
                for key in all(&keys) {
                    prop_assert_eq!(slot(key.as_bytes()), slot(keys.lock.as_bytes()), "{}", key);
                }
            }
        }

        #[test]
        fn no_two_names_share_a_key(prefix in text(5), one in name(), other in name()) {
            if let (Ok(first), Ok(second)) = (keys(&prefix, &one), keys(&prefix, &other)) {
                for a in all(&first) {
                    prop_assert_eq!(all(&first).iter().filter(|key| **key == a).count(), 1, "{}", &a);
                    prop_assert!(one == other || !all(&second).contains(&a), "{} is shared", a);
                }
            }
        }

        /// The harder half of the above: the second name *is* a key of the first.
        #[test]
        fn a_key_of_one_lock_is_never_the_lock_key_of_another(prefix in text(3), name in name()) {
            if let Ok(first) = keys(&prefix, &name) {
                for key in all(&first).into_iter().skip(1) {
                    if let Some(rest) = key.strip_prefix(&prefix).filter(|rest| !rest.is_empty() && rest.len() <= 512) {
                        prop_assert_eq!(keys(&prefix, rest), Err(Reserved));
                    }
                }
            }
        }
    }
}
