//! Any event, from a few names, machines, attempts and tokens, so that they meet.

use std::collections::BTreeMap;

use dlock_sim::trace::{AuthorityEnd, CallKind, Event, Kind, Outcome, StorageAccess};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    prop::collection::vec(event(), 0..60)
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let fields = (
        time(),
        time(),
        select(vec!["c1", "c2", "s", "s2"]),
        option::of(time()),
        option::of(0..9_u64),
        kind(),
    );
    fields.prop_map(|(seq, t_ns, node, local_ns, cause, kind)| Event {
        seq,
        t_ns,
        node: node.to_owned(),
        local_ns,
        cause,
        kind,
    })
}

/// Small, so that they meet; or as large as they get.
fn time() -> impl Strategy<Value = u64> {
    prop_oneof![8 => 0..40_u64, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

fn name() -> impl Strategy<Value = String> {
    select(vec!["invoice", "ledger"]).prop_map(str::to_owned)
}

fn node() -> impl Strategy<Value = Option<String>> {
    option::of(select(vec!["c1".to_owned(), "c2".to_owned()]))
}

fn attempt() -> impl Strategy<Value = String> {
    (1..4_u64).prop_map(super::story::attempt)
}

fn op() -> impl Strategy<Value = u64> {
    0..6_u64
}

fn token() -> impl Strategy<Value = u64> {
    prop_oneof![9 => 1..5_u64, 1 => any::<u64>()]
}

/// One branch for each kind: the schema test counts them.
pub(crate) fn kind() -> BoxedStrategy<Kind> {
    prop_oneof![client(), authority(), rest()].boxed()
}

fn client() -> BoxedStrategy<Kind> {
    let calls = vec![
        CallKind::Attempt,
        CallKind::Renew,
        CallKind::Release,
        CallKind::ForceRelease,
        CallKind::Inspect,
    ];
    let outcomes = vec![
        Outcome::Granted,
        Outcome::Busy,
        Outcome::Renewed,
        Outcome::NotOwner,
        Outcome::Removed,
        Outcome::Absent,
        Outcome::Seen,
        Outcome::Unavailable,
        Outcome::Indeterminate,
        Outcome::Rejected,
        Outcome::Dropped,
    ];
    prop_oneof![
        (op(), name(), any::<bool>(), option::of(time())).prop_map(
            |(op, name, trying, wait_ns)| Kind::Acquire {
                op,
                name,
                trying,
                wait_ns
            }
        ),
        (op(), name(), attempt(), token(), time(), time()).prop_map(
            |(op, name, attempt, token, ttl_ns, deadline_local_ns)| Kind::Granted {
                op,
                name,
                attempt,
                token,
                ttl_ns,
                deadline_local_ns,
            }
        ),
        op().prop_map(|op| Kind::NotGranted {
            op,
            why: "busy".to_owned()
        }),
        op().prop_map(|op| Kind::Abandoned { op }),
        (name(), attempt(), token(), time()).prop_map(
            |(name, attempt, token, deadline_local_ns)| {
                Kind::DeadlineMoved {
                    name,
                    attempt,
                    token,
                    deadline_local_ns,
                }
            }
        ),
        (name(), attempt(), token()).prop_map(|(name, attempt, token)| Kind::BeliefEnds {
            name,
            attempt,
            token,
            how: "released".to_owned(),
        }),
        (
            op(),
            select(calls),
            name(),
            option::of(attempt()),
            option::of(token()),
            option::of(time())
        )
            .prop_map(|(op, call, name, attempt, token, ttl_ns)| Kind::Call {
                op,
                call,
                name,
                attempt,
                token,
                ttl_ns
            }),
        (op(), select(outcomes), option::of(token()))
            .prop_map(|(op, outcome, token)| Kind::Answer { op, outcome, token }),
    ]
    .boxed()
}

fn authority() -> BoxedStrategy<Kind> {
    let ends = vec![
        AuthorityEnd::Expired,
        AuthorityEnd::Removed,
        AuthorityEnd::Replaced,
        AuthorityEnd::Dropped,
        AuthorityEnd::Lost,
    ];
    let grant = || (name(), option::of(attempt()), option::of(token()));
    prop_oneof![
        (grant(), option::of(time()), node()).prop_map(|((name, attempt, token), until_ns, by)| {
            Kind::AuthorityBegins {
                name,
                attempt,
                token,
                until_ns,
                by,
            }
        }),
        (grant(), option::of(time()), node()).prop_map(|((name, attempt, token), until_ns, by)| {
            Kind::AuthorityMoved {
                name,
                attempt,
                token,
                until_ns,
                by,
            }
        }),
        (grant(), select(ends), node()).prop_map(|((name, attempt, token), why, by)| {
            Kind::AuthorityEnds {
                name,
                attempt,
                token,
                why,
                by,
            }
        }),
    ]
    .boxed()
}

fn rest() -> BoxedStrategy<Kind> {
    let states = vec![
        "paused",
        "suspended",
        "vm_paused",
        "resumed",
        "crashed",
        "started",
    ];
    let faults = vec!["partition", "delete_lock", "freeze"];
    let accesses = vec![
        StorageAccess::Claim,
        StorageAccess::Read,
        StorageAccess::Write,
    ];
    let storage = (
        name(),
        select(accesses),
        select(vec!["c1", "c2"]),
        option::of(attempt()),
        option::of(token()),
        any::<bool>(),
        any::<bool>(),
        option::of(token()),
        option::of(0..9_u64),
    );
    prop_oneof![
        (node(), option::of(Just(1))).prop_map(|(peer, _)| Kind::Server {
            what: "EVALSHA attempt".to_owned(),
            peer
        }),
        storage.prop_map(
            |(resource, access, by, attempt, token, fenced, accepted, newest, value)| {
                Kind::Storage {
                    resource,
                    access,
                    by: by.to_owned(),
                    attempt,
                    token,
                    fenced,
                    accepted,
                    newest,
                    value: value.map_or(json!(null), |value| json!(value)),
                }
            }
        ),
        (op(), time()).prop_map(|(connection, bytes)| Kind::Send {
            connection,
            peer: "s".to_owned(),
            bytes
        }),
        (op(), time()).prop_map(|(connection, bytes)| Kind::Recv {
            connection,
            peer: "s".to_owned(),
            bytes
        }),
        prop_oneof![
            Just(0),
            Just(-1_000_000_000),
            -2_000_000_000..2_000_000_000_i64,
            any::<i64>()
        ]
        .prop_map(|rate_ppb| Kind::Clock { rate_ppb }),
        (0..3_usize, select(faults), select(vec!["c1", "s"])).prop_map(|(index, fault, node)| {
            Kind::FaultBegins {
                index,
                fault: json!({ "fault": fault, "node": node }),
            }
        }),
        (0..3_usize).prop_map(|index| Kind::FaultEnds { index }),
        select(states).prop_map(|state| Kind::Process {
            state: state.to_owned()
        }),
        option::of(Just(vec!["c1".to_owned()])).prop_map(|core| Kind::Healed { core }),
        Just(Kind::End),
        any::<bool>().prop_map(|more| Kind::Note {
            text: "a note".to_owned(),
            more: if more {
                BTreeMap::from([("why".to_owned(), json!([1, "x"]))])
            } else {
                BTreeMap::new()
            },
        }),
        Just(Kind::Violation {
            property: "S1".to_owned(),
            message: "a sentence".to_owned()
        }),
    ]
    .boxed()
}
