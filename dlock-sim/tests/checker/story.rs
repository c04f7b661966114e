//! Traces by hand: `story.at(1000).granted(…)` reads like what happened. Times are in ms.

use dlock_sim::checker::{Property, Report, Violation, check};
use dlock_sim::trace::{
    AuthorityEnd, CallKind, Event, Header, Kind, NodeInfo, Outcome, Role, SCHEMA, StorageAccess,
    Trace, Verdict,
};
use serde_json::{Value, json};

pub(crate) fn ms(ms: u64) -> u64 {
    ms * 1_000_000
}

/// A trace in the making: clients `c1` to `c3`, a server `s`, two more for the same lock, and `storage`. Every client's
/// clock is the true time, unless a `clock` says otherwise.
pub(crate) struct Story {
    pub(crate) header: Header,
    pub(crate) events: Vec<Event>,
}

/// What happens at one moment.
pub(crate) struct At<'a> {
    story: &'a mut Story,
    t_ns: u64,
}

pub(crate) const LOCK: &str = "invoice";
/// Every lease in these stories.
pub(crate) const TTL: u64 = 10_000;

impl Story {
    pub(crate) fn new() -> Self {
        let node = |name: &str, role| NodeInfo {
            name: name.to_owned(),
            role,
        };
        let header = Header {
            schema: SCHEMA.to_owned(),
            source: "simulation".to_owned(),
            title: "by hand".to_owned(),
            seed: Some(7),
            store: "redis".to_owned(),
            fairness: "none".to_owned(),
            loss_notice_ns: None,
            nodes: vec![
                node("c1", Role::Client),
                node("c2", Role::Client),
                node("c3", Role::Client),
                node("s", Role::Server),
                node("s2", Role::Server),
                node("storage", Role::Storage),
            ],
            plan: Value::Null,
            fault_classes: Vec::new(),
            liveness_bound_ns: Some(ms(20_000)),
        };
        Self {
            header,
            events: Vec::new(),
        }
    }

    pub(crate) fn at(&mut self, t_ms: u64) -> At<'_> {
        At {
            t_ns: ms(t_ms),
            story: self,
        }
    }

    pub(crate) fn report(&self) -> Report {
        check(&self.header, &self.events)
    }

    pub(crate) fn verdict(&self, property: Property) -> Verdict {
        self.report().of(property).unwrap().verdict
    }

    /// Nothing is wrong, and this property was put to the test.
    #[track_caller]
    pub(crate) fn holds(&self, property: Property) {
        let report = self.report();
        assert_eq!(report.violations(), Vec::<&Violation>::new(), "{report}");
        let result = report.of(property).unwrap();
        assert_eq!(result.verdict, Verdict::Valid, "{report}");
        assert!(result.exercised > 0);
    }

    /// Only this property is violated, once, at this event, and the sentence has these words.
    #[track_caller]
    pub(crate) fn breaks(&self, property: Property, at: u64, words: &[&str]) {
        let report = self.report();
        let result = report.of(property).unwrap();
        assert_eq!(result.verdict, Verdict::Invalid, "{report}");
        assert_eq!(report.verdict, Verdict::Invalid);
        let [violation] = &result.violations[..] else {
            panic!("{report}");
        };
        assert_eq!(violation.at, at, "{report}");
        assert!(violation.events.contains(&at));
        for word in words {
            assert!(
                violation.message.contains(word),
                "no `{word}` in: {}",
                violation.message
            );
        }
    }

    /// The trace does not put it to the test.
    #[track_caller]
    pub(crate) fn unknown(&self, property: Property) {
        let report = self.report();
        let result = report.of(property).unwrap();
        assert_eq!(result.verdict, Verdict::Unknown, "{report}");
        assert!(result.why_unknown.is_some(), "{report}");
    }

    pub(crate) fn trace(&self) -> Trace {
        Trace {
            header: self.header.clone(),
            events: self.events.clone(),
        }
    }
}

/// Attempts are written as numbers here: attempt 1 is `00…01`.
pub(crate) fn attempt(number: u64) -> String {
    format!("{number:032x}")
}

/// All of these return the `seq` of what they wrote. `op`s of acquisitions are the attempts' numbers; those of calls
/// are chosen.
impl At<'_> {
    pub(crate) fn event(&mut self, node: &str, local_ns: Option<u64>, kind: Kind) -> u64 {
        let seq = self.story.events.len() as u64;
        self.story.events.push(Event {
            seq,
            t_ns: self.t_ns,
            node: node.to_owned(),
            local_ns,
            cause: None,
            kind,
        });
        seq
    }

    pub(crate) fn acquire(&mut self, node: &str, op: u64) -> u64 {
        self.asks(node, op, false)
    }

    pub(crate) fn asks(&mut self, node: &str, op: u64, trying: bool) -> u64 {
        let kind = Kind::Acquire {
            op,
            name: LOCK.to_owned(),
            trying,
            wait_ns: None,
        };
        self.event(node, None, kind)
    }

    /// With a deadline 10 s later on the client's own clock, which is taken to be the true time.
    pub(crate) fn granted(&mut self, node: &str, number: u64, token: u64) -> u64 {
        let deadline = self.t_ns + ms(TTL);
        self.granted_until(node, number, token, deadline)
    }

    pub(crate) fn granted_until(
        &mut self,
        node: &str,
        number: u64,
        token: u64,
        local_ns: u64,
    ) -> u64 {
        let kind = Kind::Granted {
            op: number,
            name: LOCK.to_owned(),
            attempt: attempt(number),
            token,
            ttl_ns: ms(TTL),
            deadline_local_ns: local_ns,
        };
        self.event(node, None, kind)
    }

    pub(crate) fn not_granted(&mut self, node: &str, op: u64) -> u64 {
        let why = "timed_out".to_owned();
        self.event(node, None, Kind::NotGranted { op, why })
    }

    pub(crate) fn deadline_moved(
        &mut self,
        node: &str,
        number: u64,
        token: u64,
        local_ns: u64,
    ) -> u64 {
        let kind = Kind::DeadlineMoved {
            name: LOCK.to_owned(),
            attempt: attempt(number),
            token,
            deadline_local_ns: local_ns,
        };
        self.event(node, None, kind)
    }

    pub(crate) fn belief_ends(&mut self, node: &str, number: u64, token: u64) -> u64 {
        let kind = Kind::BeliefEnds {
            name: LOCK.to_owned(),
            attempt: attempt(number),
            token,
            how: "released".to_owned(),
        };
        self.event(node, None, kind)
    }

    pub(crate) fn call(
        &mut self,
        node: &str,
        op: u64,
        call: CallKind,
        number: u64,
        token: Option<u64>,
    ) -> u64 {
        let inspects = matches!(call, CallKind::Inspect | CallKind::ForceRelease);
        let kind = Kind::Call {
            op,
            call,
            name: LOCK.to_owned(),
            attempt: (!inspects).then(|| attempt(number)),
            token,
            ttl_ns: matches!(call, CallKind::Attempt | CallKind::Renew).then_some(ms(TTL)),
        };
        self.event(node, None, kind)
    }

    pub(crate) fn answer(
        &mut self,
        node: &str,
        op: u64,
        outcome: Outcome,
        token: Option<u64>,
    ) -> u64 {
        self.event(node, None, Kind::Answer { op, outcome, token })
    }

    /// Until so many ms, by the request of no client.
    pub(crate) fn authority_begins(
        &mut self,
        server: &str,
        number: u64,
        token: u64,
        until_ms: u64,
    ) -> u64 {
        self.begins(server, number, token, until_ms, None)
    }

    pub(crate) fn authority_begins_by(
        &mut self,
        server: &str,
        number: u64,
        token: u64,
        until_ms: u64,
        by: &str,
    ) -> u64 {
        self.begins(server, number, token, until_ms, Some(by))
    }

    fn begins(
        &mut self,
        server: &str,
        number: u64,
        token: u64,
        until_ms: u64,
        by: Option<&str>,
    ) -> u64 {
        let kind = Kind::AuthorityBegins {
            name: LOCK.to_owned(),
            attempt: Some(attempt(number)),
            token: Some(token),
            until_ns: Some(ms(until_ms)),
            by: by.map(str::to_owned),
        };
        self.event(server, None, kind)
    }

    pub(crate) fn authority_moved(
        &mut self,
        server: &str,
        number: u64,
        token: u64,
        until_ms: u64,
        by: Option<&str>,
    ) -> u64 {
        let kind = Kind::AuthorityMoved {
            name: LOCK.to_owned(),
            attempt: Some(attempt(number)),
            token: Some(token),
            until_ns: Some(ms(until_ms)),
            by: by.map(str::to_owned),
        };
        self.event(server, None, kind)
    }

    pub(crate) fn authority_ends(
        &mut self,
        server: &str,
        number: u64,
        token: u64,
        why: AuthorityEnd,
        by: Option<&str>,
    ) -> u64 {
        let kind = Kind::AuthorityEnds {
            name: LOCK.to_owned(),
            attempt: Some(attempt(number)),
            token: Some(token),
            why,
            by: by.map(str::to_owned),
        };
        self.event(server, None, kind)
    }

    pub(crate) fn storage(
        &mut self,
        access: StorageAccess,
        by: &str,
        number: u64,
        token: u64,
        fenced: bool,
        accepted: bool,
    ) -> u64 {
        let kind = Kind::Storage {
            resource: "ledger".to_owned(),
            access,
            by: by.to_owned(),
            attempt: Some(attempt(number)),
            token: Some(token),
            fenced,
            accepted,
            newest: None,
            value: Value::Null,
        };
        self.event("storage", None, kind)
    }

    pub(crate) fn clock(&mut self, node: &str, local_ms: u64, rate_ppb: i64) -> u64 {
        self.event(node, Some(ms(local_ms)), Kind::Clock { rate_ppb })
    }

    pub(crate) fn process(&mut self, node: &str, state: &str) -> u64 {
        let state = state.to_owned();
        self.event(node, None, Kind::Process { state })
    }

    pub(crate) fn fault(&mut self, index: usize, fault: &str, node: &str) -> u64 {
        let fault = json!({ "fault": fault, "node": node });
        self.event("world", None, Kind::FaultBegins { index, fault })
    }

    pub(crate) fn fault_ends(&mut self, index: usize) -> u64 {
        self.event("world", None, Kind::FaultEnds { index })
    }

    pub(crate) fn healed(&mut self) -> u64 {
        self.event("world", None, Kind::Healed { core: None })
    }

    pub(crate) fn end(&mut self) -> u64 {
        self.event("world", None, Kind::End)
    }

    // ---- several events that belong together

    /// It asks, the server says yes, user code has the guard: all at this moment.
    pub(crate) fn takes(&mut self, node: &str, number: u64, token: u64) -> u64 {
        let until = self.t_ns / 1_000_000 + TTL;
        self.acquire(node, number);
        self.call(node, 100 + number, CallKind::Attempt, number, None);
        self.authority_begins("s", number, token, until);
        self.answer(node, 100 + number, Outcome::Granted, Some(token));
        self.granted(node, number, token)
    }

    /// It asks and the server says that it must wait.
    pub(crate) fn queues(&mut self, node: &str, number: u64) -> u64 {
        let seq = self.acquire(node, number);
        self.call(node, 200 + number, CallKind::Attempt, number, None);
        self.answer(node, 200 + number, Outcome::Busy, None);
        seq
    }

    /// It stops believing and releases: all at this moment.
    pub(crate) fn releases(&mut self, node: &str, number: u64, token: u64) -> u64 {
        self.belief_ends(node, number, token);
        self.call(node, 300 + number, CallKind::Release, number, Some(token));
        let end = self.authority_ends("s", number, token, AuthorityEnd::Removed, Some(node));
        self.answer(node, 300 + number, Outcome::Removed, None);
        end
    }

    /// Who waited is granted: all at this moment.
    pub(crate) fn gets(&mut self, node: &str, number: u64, token: u64) -> u64 {
        let until = self.t_ns / 1_000_000 + TTL;
        self.call(node, 400 + number, CallKind::Attempt, number, None);
        self.authority_begins("s", number, token, until);
        self.answer(node, 400 + number, Outcome::Granted, Some(token));
        self.granted(node, number, token)
    }
}

/// Two clients, one after the other, the second one waiting for the first: nothing is wrong.
pub(crate) fn good() -> Story {
    let mut story = Story::new();
    story.at(0).takes("c1", 1, 33);
    story.at(100).queues("c2", 2);
    story
        .at(200)
        .storage(StorageAccess::Claim, "c1", 1, 33, true, true);
    story
        .at(900)
        .storage(StorageAccess::Write, "c1", 1, 33, true, true);
    story.at(1000).releases("c1", 1, 33);
    story.at(1000).gets("c2", 2, 34);
    story
        .at(1100)
        .storage(StorageAccess::Claim, "c2", 2, 34, true, true);
    story
        .at(1200)
        .storage(StorageAccess::Write, "c2", 2, 34, true, true);
    story.at(2000).releases("c2", 2, 34);
    story.at(3000).takes("c1", 3, 35);
    story.at(3500).releases("c1", 3, 35);
    story.at(60_000).end();
    story
}
