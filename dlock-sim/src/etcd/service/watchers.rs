//! The watchers of one stream.

use std::collections::BTreeMap;

use etcd_client::proto::{PbEvent, PbWatchResponse};

use crate::etcd::cluster::Requests;
use crate::etcd::engine::{Commit, Engine, in_range, is_empty_range};

/// How often etcd looks for watchers that are behind.
const CATCH_UP: u64 = 100_000_000;
/// The number of no watcher.
const NONE: i64 = -1;

const NO_PUT: i32 = 0;
const NO_DELETE: i32 = 1;

/// Watchers by their numbers.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    all: BTreeMap<i64, Watcher>,
    next_id: i64,
}

/// What a watcher wants to hear.
#[derive(Debug)]
pub(super) struct Watch {
    pub key: Vec<u8>,
    pub range_end: Vec<u8>,
    pub start_revision: i64,
    pub id: i64,
    pub prev_kv: bool,
    pub filters: Vec<i32>,
}

#[derive(Debug)]
struct Watcher {
    watch: Watch,
    /// It has been told all before this.
    next: i64,
    /// It began in the past, and is told all of it then.
    catches_up_at: Option<u64>,
    /// It fell behind a compaction. It keeps its number until the client cancels it.
    compacted: bool,
}

impl Watchers {
    /// The answer to a request for a new one.
    pub fn create(&mut self, requests: &Requests, mut watch: Watch) -> PbWatchResponse {
        if watch.key.is_empty() {
            watch.key = vec![0];
        }
        let current = requests.read(|_, applied| applied);
        let mut response = PbWatchResponse {
            watch_id: NONE,
            created: true,
            canceled: true,
            ..PbWatchResponse::default()
        };
        requests.header(&mut response.header);
        if is_empty_range((&watch.key, &watch.range_end)) {
            response.cancel_reason = "mvcc: watcher range is empty".to_owned();
            return response;
        }
        if watch.id == 0 {
            while self.all.contains_key(&self.next_id) {
                self.next_id += 1;
            }
            watch.id = self.next_id;
            self.next_id += 1;
        } else if self.all.contains_key(&watch.id) {
            response.cancel_reason =
                "mvcc: duplicate watch ID provided on the WatchStream".to_owned();
            return response;
        }
        response.watch_id = watch.id;
        response.canceled = false;
        let in_the_past = watch.start_revision != 0 && watch.start_revision <= current;
        let next = match watch.start_revision {
            0 => current + 1,
            start => start,
        };
        let watcher = Watcher {
            next,
            catches_up_at: in_the_past.then(|| (requests.now() / CATCH_UP + 1) * CATCH_UP),
            compacted: false,
            watch,
        };
        self.all.insert(watcher.watch.id, watcher);
        response
    }

    /// The answer to a request to end one; none if there is none.
    pub fn cancel(&mut self, requests: &Requests, id: i64) -> Option<PbWatchResponse> {
        self.all.remove(&id)?;
        let mut response = PbWatchResponse {
            watch_id: id,
            canceled: true,
            ..PbWatchResponse::default()
        };
        requests.header(&mut response.header);
        Some(response)
    }

    /// The answer to a request for progress.
    pub fn progress(requests: &Requests) -> PbWatchResponse {
        let mut response = PbWatchResponse {
            watch_id: NONE,
            ..PbWatchResponse::default()
        };
        requests.header(&mut response.header);
        response
    }

    /// When the next one catches up.
    pub fn next_catch_up(&self) -> Option<u64> {
        self.all.values().filter_map(|one| one.catches_up_at).min()
    }

    /// What there is to tell by now: revision by revision, and for one revision in the order of their numbers.
    pub fn events(&mut self, requests: &Requests) -> Vec<PbWatchResponse> {
        let now = requests.now();
        let waits = |one: &Watcher| one.compacted || one.catches_up_at.is_some_and(|at| now < at);
        let awake = self.all.values_mut().filter(|one| !waits(one));
        let mut awake: Vec<_> = awake.collect();
        let Some(first) = awake.iter().map(|one| one.next).min() else {
            return Vec::new();
        };
        let news = requests.read(|_, applied| applied >= first);
        if !news && awake.iter().all(|one| one.catches_up_at.is_none()) {
            return Vec::new();
        }
        let mut responses = requests.since(first - 1, |engine, commits, applied| {
            let mut responses = Vec::new();
            for one in &mut awake {
                if one.catches_up_at.take().is_some() {
                    responses.extend(one.catch_up(engine, commits, applied));
                }
            }
            for commit in commits {
                let told = awake.iter_mut().filter(|one| !one.compacted);
                responses.extend(told.filter_map(|one| one.tell(commit)));
            }
            for one in awake {
                one.next = one.next.max(applied + 1);
            }
            responses
        });
        for response in &mut responses {
            requests.header(&mut response.header);
            if let Some(header) = response.header.as_mut().filter(|_| response.canceled) {
                // etcd says none there.
                header.revision = 0;
            }
        }
        responses
    }
}

impl Watcher {
    /// All of the past at once.
    fn catch_up(
        &mut self,
        engine: &Engine,
        commits: &[Commit],
        applied: i64,
    ) -> Option<PbWatchResponse> {
        if self.next < engine.compacted() {
            self.compacted = true;
            return Some(PbWatchResponse {
                watch_id: self.watch.id,
                canceled: true,
                compact_revision: engine.compacted(),
                ..PbWatchResponse::default()
            });
        }
        let next = std::mem::replace(&mut self.next, applied + 1);
        let past = commits.iter().filter(|commit| commit.revision >= next);
        let events: Vec<_> = past
            .flat_map(|commit| self.of_interest(commit, engine.compacted()))
            .collect();
        self.response(applied, events)
    }

    fn tell(&mut self, commit: &Commit) -> Option<PbWatchResponse> {
        if commit.revision < self.next {
            return None;
        }
        self.next = commit.revision + 1;
        let events = self.of_interest(commit, NONE);
        self.response(commit.revision, events)
    }

    fn response(&self, revision: i64, events: Vec<PbEvent>) -> Option<PbWatchResponse> {
        (!events.is_empty()).then(|| PbWatchResponse {
            header: Some(etcd_client::proto::PbResponseHeader {
                revision,
                ..Default::default()
            }),
            watch_id: self.watch.id,
            events,
            ..PbWatchResponse::default()
        })
    }

    /// What is read from disk is there as far as it has not been compacted.
    fn of_interest(&self, commit: &Commit, compacted: i64) -> Vec<PbEvent> {
        let watch = &self.watch;
        let range = (watch.key.as_slice(), watch.range_end.as_slice());
        let wanted = commit.events.iter().filter(|event| {
            let deleted = event.r#type != 0;
            let filtered = if deleted { NO_DELETE } else { NO_PUT };
            let key = event.kv.as_ref().map(|kv| kv.key.as_slice());
            key.is_some_and(|key| in_range(key, range))
                && !watch.filters.contains(&filtered)
                && !(deleted && commit.revision <= compacted)
        });
        let has_before = watch.prev_kv && commit.revision > compacted;
        let told = wanted.map(|event| PbEvent {
            prev_kv: event.prev_kv.clone().filter(|_| has_before),
            ..event.clone()
        });
        told.collect()
    }
}
