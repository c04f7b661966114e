//! What is measured: the cases of each store, and the least to compare them with.

use std::time::Duration;

use anyhow::{Result, bail};

use crate::store::Store;

/// A case on one store; its name stands for the same workload on another.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) store: Store,
    pub(super) name: &'static str,
    /// The least to compare with, run in turns with dlock.
    pub(super) floors: &'static [&'static str],
    /// How long a lock is held, and how long whoever has released it does something else.
    hold: Duration,
    think: Duration,
    time: Duration,
    quick_time: Duration,
    /// Too long for more than one round of a quick bench.
    is_long: bool,
}

const ROUNDS: usize = 5;

const REDIS: &[&str] = &["floor"];
const FENCED: &[&str] = &["floor", "fenced-floor"];
const ETCD: &[&str] = &["etcd-floor"];

pub(super) static CASES: [Case; 16] = [
    Case::short(Store::Redis, "sequential", FENCED),
    Case::short(Store::Redis, "parallel-64", FENCED),
    Case::short(Store::Redis, "contended-16", REDIS).holding(5, 0),
    Case::short(Store::Redis, "contended-processes", REDIS).holding(5, 0),
    Case::short(Store::Redis, "ping-pong-2", REDIS),
    Case::long(Store::Redis, "idle-waiters", 10),
    Case::long(Store::Redis, "stampede", 1),
    Case::long(Store::Redis, "held-10000", 30),
    Case::short(Store::Etcd, "sequential", ETCD),
    Case::short(Store::Etcd, "parallel-64", ETCD),
    Case::short(Store::Etcd, "contended-16", ETCD).holding(5, 0),
    Case::short(Store::Etcd, "contended-processes", ETCD).holding(5, 0),
    // Not held at all, it would measure little but etcd's writing to disk.
    Case::short(Store::Etcd, "ping-pong-2", ETCD)
        .holding(50, 50)
        .lasting(5000, 1000),
    Case::long(Store::Etcd, "idle-waiters", 10),
    Case::long(Store::Etcd, "stampede", 1),
    Case::long(Store::Etcd, "held-10000", 30),
];

impl Case {
    const fn short(store: Store, name: &'static str, floors: &'static [&'static str]) -> Self {
        Self {
            store,
            name,
            floors,
            hold: Duration::ZERO,
            think: Duration::ZERO,
            time: Duration::from_secs(2),
            quick_time: Duration::from_millis(300),
            is_long: false,
        }
    }

    const fn long(store: Store, name: &'static str, seconds: u64) -> Self {
        let quick = if seconds < 3 { seconds } else { 3 };
        let mut case = Self::short(store, name, &[]).lasting(seconds * 1000, quick * 1000);
        case.is_long = true;
        case
    }

    const fn holding(mut self, hold_ms: u64, think_ms: u64) -> Self {
        self.hold = Duration::from_millis(hold_ms);
        self.think = Duration::from_millis(think_ms);
        self
    }

    const fn lasting(mut self, ms: u64, quick_ms: u64) -> Self {
        self.time = Duration::from_millis(ms);
        self.quick_time = Duration::from_millis(quick_ms);
        self
    }

    /// What is to be compared with the floors.
    pub(super) const fn ours(&self) -> &'static str {
        match self.store {
            Store::Redis => "dlock-redis",
            Store::Etcd => "dlock-etcd",
        }
    }

    pub(super) fn rounds(&self, quick: bool) -> usize {
        if self.is_long && quick { 1 } else { ROUNDS }
    }

    /// Ours and the floors; nobody is the first in all rounds.
    pub(super) fn subjects(&self, round: usize) -> Vec<&'static str> {
        let mut subjects = vec![self.ours()];
        subjects.extend(self.floors);
        let count = subjects.len();
        subjects.rotate_left(round % count);
        subjects
    }

    /// What the program that runs it has to know.
    pub(super) fn words(&self, subject: &str, url: &str, quick: bool) -> Vec<String> {
        let time = if quick { self.quick_time } else { self.time };
        let options = [
            ("--subject", subject.to_owned()),
            ("--url", url.to_owned()),
            ("--seconds", time.as_secs_f64().to_string()),
            ("--hold-ms", self.hold.as_millis().to_string()),
            ("--think-ms", self.think.as_millis().to_string()),
        ];
        let options = options.into_iter();
        std::iter::once(self.name.to_owned())
            .chain(options.flat_map(|(option, value)| [option.to_owned(), value]))
            .collect()
    }
}

/// Those with these names, or all, on this store or on all.
pub(super) fn chosen(names: &[String], store: Option<Store>) -> Result<Vec<&'static Case>> {
    let unknown = |name: &&String| CASES.iter().all(|case| case.name != *name);
    if let Some(unknown) = names.iter().find(unknown) {
        let first = CASES.iter().filter(|case| case.store == CASES[0].store);
        let known: Vec<_> = first.map(|case| case.name).collect();
        bail!(
            "there is no case `{unknown}`; there are {}",
            known.join(", ")
        );
    }
    let is_chosen = |case: &&Case| {
        store.is_none_or(|store| store == case.store)
            && (names.is_empty() || names.iter().any(|name| name == case.name))
    };
    Ok(CASES.iter().filter(is_chosen).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_case_is_named_with_those_there_are() {
        let error = chosen(&["stampde".to_owned()], None).err().unwrap();
        let error = error.to_string();
        assert!(error.contains("`stampde`"), "{error}");
        assert_eq!(error.matches("stampede").count(), 1, "{error}");
    }

    #[test]
    fn cases_are_chosen_by_name_and_store() {
        let stampede = ["stampede".to_owned()];
        assert_eq!(chosen(&[], None).unwrap().len(), CASES.len());
        assert_eq!(chosen(&stampede, None).unwrap().len(), 2);
        let on_etcd = chosen(&stampede, Some(Store::Etcd)).unwrap();
        assert_eq!(on_etcd.len(), 1);
        assert_eq!(on_etcd[0].store, Store::Etcd);
    }

    #[test]
    fn every_store_has_the_same_cases() {
        let names = |store| {
            let cases = CASES.iter().filter(move |case| case.store == store);
            cases.map(|case| case.name).collect::<Vec<_>>()
        };
        assert_eq!(names(Store::Redis), names(Store::Etcd));
    }

    #[test]
    fn everybody_is_the_first_in_some_round() {
        let firsts = |case: &Case| {
            let mut firsts: Vec<_> = (1..=ROUNDS).map(|round| case.subjects(round)[0]).collect();
            firsts.sort_unstable();
            firsts.dedup();
            firsts.len()
        };
        for case in &CASES {
            assert_eq!(firsts(case), 1 + case.floors.len(), "{case:?}");
        }
    }

    #[test]
    fn the_program_is_told_how_long_locks_are_held() {
        let case = CASES
            .iter()
            .find(|case| case.name == "contended-16")
            .unwrap();
        let words = case.words("floor", "redis://server/", true).join(" ");
        let expected = "contended-16 --subject floor --url redis://server/ --seconds 0.3 --hold-ms 5 --think-ms 0";
        assert_eq!(words, expected);
    }
}
