//! Plays a trace on an etcd, whichever it is, and writes down what it says in a form that does not depend on
//! what was there before.

use std::collections::BTreeMap;
use std::time::Duration;

use etcd_client::proto::{
    PbEvent, PbKeyValue, PbResponseHeader, PbResponseOp, PbTxnOpResponse, PbTxnResponse,
    PbWatchResponse,
};
use etcd_client::{
    Client, CompactionOptions, Compare, CompareOp, DeleteOptions, Error, GetOptions,
    LeaseGrantOptions, LeaseTimeToLiveOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp,
    WatchFilterType, WatchOptions, WatchRequestSender, WatchResponseStream,
};

use super::trace::{self, SENTINEL_ID, SLOTS, Span, Step, Trace};

/// What an etcd said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Each with the number of its step.
    pub replies: Vec<(usize, String)>,
    /// For each watcher, what it was told; how much of it at each settling.
    pub told: BTreeMap<i64, Vec<String>>,
    pub settled: Vec<BTreeMap<i64, usize>>,
    /// Replies that were refusals.
    pub refusals: usize,
}

/// How long a real server may take for what the simulated one has told.
const PATIENCE: Duration = Duration::from_secs(3);
/// After which the simulated one has told all.
const QUIET: Duration = Duration::from_millis(300);

/// Watchers that began in the past catch up every 100 ms.
const CATCH_UP: Duration = Duration::from_millis(150);

/// Plays it on the real one when it is known what the simulated one said.
pub async fn play(trace: &Trace, client: Client, simulated: Option<&Transcript>) -> Transcript {
    let mut player = Player {
        prefix: format!("t{:08}/", trace.seed),
        client,
        first: 0,
        leases: [None; SLOTS],
        stream: None,
        catches_up: false,
        simulated,
        transcript: Transcript::default(),
    };
    player.begin(trace).await;
    for (at, step) in trace.steps.iter().enumerate() {
        player.step(trace, at, step).await;
    }
    player.transcript
}

struct Player<'a> {
    prefix: String,
    client: Client,
    /// The revision that others are counted from.
    first: i64,
    leases: [Option<i64>; SLOTS],
    stream: Option<(WatchRequestSender, WatchResponseStream)>,
    catches_up: bool,
    simulated: Option<&'a Transcript>,
    transcript: Transcript,
}

impl Player<'_> {
    /// All before it belongs to others, and may be compacted.
    async fn begin(&mut self, trace: &Trace) {
        let put = self.client.put(self.key('0'), "", None).await;
        self.first = put
            .expect("a first put")
            .header()
            .expect("a header")
            .revision();
        if !trace.watches {
            return;
        }
        let watch = trace.steps.iter().find_map(|step| match step {
            Step::Watch(watch) if watch.id == SENTINEL_ID => Some(watch),
            _ => None,
        });
        let (key, options) = self.watch(watch.expect("a sentinel"));
        let stream = self.client.watch(key, Some(options)).await;
        self.stream = Some(stream.expect("a stream").split());
    }

    async fn step(&mut self, trace: &Trace, at: usize, step: &Step) {
        let reply = match step {
            Step::Get(get) => {
                let (key, options) = self.get(get);
                let reply = self.client.get(key, Some(options)).await;
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                    reply.kvs.iter_mut().for_each(|kv| player.kv(kv));
                })
            }
            Step::Put(put) => {
                let (key, value, options) = self.put(put);
                let reply = self.client.put(key, value, Some(options)).await;
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                    reply.prev_kv.iter_mut().for_each(|kv| player.kv(kv));
                })
            }
            Step::Delete(delete) => {
                let (key, options) = self.delete(delete);
                let reply = self.client.delete(key, Some(options)).await;
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                    reply.prev_kvs.iter_mut().for_each(|kv| player.kv(kv));
                })
            }
            Step::Txn(txn) => {
                let txn = self.txn(txn);
                let reply = self.client.txn(txn).await;
                self.reply(reply.map(|reply| reply.0), Self::txn_reply)
            }
            Step::Compact { revision, physical } => {
                let mut options = CompactionOptions::new();
                if *physical {
                    options = options.with_physical();
                }
                let revision = self.first + revision;
                let reply = self.client.compact(revision, Some(options)).await;
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                })
            }
            Step::Grant { slot, ttl, chosen } => {
                let id = 0x1000_0000 + trace.seed as i64 * 16 + *slot as i64;
                let options = LeaseGrantOptions::new().with_id(if *chosen { id } else { 0 });
                // A slot that is in use would be forgotten.
                if self.leases[*slot].is_some_and(|had| had != id || !chosen) {
                    return;
                }
                let reply = self.client.lease_grant(*ttl, Some(options)).await;
                if let Ok(granted) = &reply {
                    self.leases[*slot] = Some(granted.id());
                }
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                    player.lease(&mut reply.id);
                })
            }
            Step::ShortGrant { ttl } => {
                let reply = self.client.lease_grant(*ttl, None).await;
                if let Ok(granted) = &reply {
                    let revoked = self.client.lease_revoke(granted.id()).await;
                    revoked.expect("a revocation");
                }
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                    reply.id = 0;
                })
            }
            Step::Revoke { slot } => {
                let id = self.lease_in(*slot);
                let reply = self.client.lease_revoke(id).await;
                self.leases[*slot] = None;
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                })
            }
            Step::KeepAlive { slot } => {
                let id = self.lease_in(*slot);
                let mut client = self.client.lease_client();
                // The client library reads the first answer itself, and says of it no more than this.
                let reply = client.keep_alive(id).await.map(|_| "kept");
                match reply {
                    Ok(_) => "kept".to_owned(),
                    Err(error) => error.to_string(),
                }
            }
            Step::TimeToLive { slot, keys } => {
                let mut options = LeaseTimeToLiveOptions::new();
                if *keys {
                    options = options.with_keys();
                }
                let id = self.lease_in(*slot);
                let reply = self.client.lease_time_to_live(id, Some(options)).await;
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                    player.lease(&mut reply.id);
                    // etcd keeps them in no order.
                    reply.keys.sort();
                    // Some time has passed.
                    if reply.ttl > reply.granted_ttl - 5 {
                        reply.ttl = reply.granted_ttl;
                    }
                })
            }
            Step::Leases => {
                let reply = self.client.leases().await;
                self.reply(reply.map(|reply| reply.0), |player, reply| {
                    player.header(&mut reply.header);
                    for lease in &mut reply.leases {
                        player.lease(&mut lease.id);
                    }
                    reply.leases.sort_by_key(|lease| lease.id);
                })
            }
            Step::Watch(watch) => {
                let (key, options) = self.watch(watch);
                self.catches_up |= watch.start.is_some();
                if watch.id != SENTINEL_ID
                    && let Some((sender, _)) = &mut self.stream
                {
                    sender.watch(key, Some(options)).await.expect("a stream");
                }
                self.wait_for_answers().await;
                return;
            }
            Step::Cancel { id } => {
                if let Some((sender, _)) = &mut self.stream {
                    sender.cancel(*id).await.expect("a stream");
                }
                // One that is not there gets no answer.
                self.settle().await;
                return;
            }
            Step::Progress => {
                if let Some((sender, _)) = &mut self.stream {
                    sender.request_progress().await.expect("a stream");
                }
                self.wait_for_answers().await;
                return;
            }
            Step::Settle => {
                // One that began in the past may have nothing to tell: only time shows that it has caught up.
                if std::mem::take(&mut self.catches_up) {
                    tokio::time::sleep(CATCH_UP).await;
                }
                self.settle().await;
                return;
            }
        };
        self.transcript.replies.push((at, reply));
    }

    // ---- watchers

    /// Until what was just asked for has been answered: what comes next must not overtake it.
    async fn wait_for_answers(&mut self) {
        self.settle().await;
    }

    async fn settle(&mut self) {
        let Some((_, stream)) = &mut self.stream else {
            return;
        };
        let at = self.transcript.settled.len();
        let expected = self
            .simulated
            .and_then(|simulated| simulated.settled.get(at));
        let mut heard = Vec::new();
        let enough = |told: &BTreeMap<i64, Vec<String>>| {
            expected.is_some_and(|expected| {
                expected
                    .iter()
                    .all(|(id, count)| told.get(id).map_or(0, Vec::len) >= *count)
            })
        };
        let (first, leases) = (self.first, self.leases);
        let told = &mut self.transcript.told;
        let limit = if self.simulated.is_some() {
            PATIENCE
        } else {
            QUIET
        };
        while !enough(told) {
            match tokio::time::timeout(limit, stream.message()).await {
                Ok(Ok(Some(response))) => {
                    let mut normal = Normal { first, leases };
                    let (id, texts) = normal.told(response.0);
                    told.entry(id).or_default().extend(texts);
                }
                Ok(other) => heard.push(format!("the stream ended: {other:?}")),
                Err(_) => break,
            }
            if !heard.is_empty() {
                break;
            }
        }
        if !heard.is_empty() {
            told.entry(i64::MAX).or_default().extend(heard);
        }
        let counts = told.iter().map(|(id, told)| (*id, told.len())).collect();
        self.transcript.settled.push(counts);
    }

    // ---- requests

    fn key(&self, key: char) -> Vec<u8> {
        format!("{}{key}", self.prefix).into_bytes()
    }

    /// A key and an end, as requests write them.
    fn span(&self, span: &Span) -> (Vec<u8>, Vec<u8>) {
        match span {
            Span::Empty => (Vec::new(), Vec::new()),
            Span::One(key) => (self.key(*key), Vec::new()),
            Span::Between(begin, end) => (self.key(*begin), self.key(*end)),
            Span::From(key) => (self.key(*key), vec![0]),
            Span::All => (self.key('0'), self.key('~')),
        }
    }

    fn lease_in(&self, slot: usize) -> i64 {
        self.leases[slot].unwrap_or(424_242 + slot as i64)
    }

    fn get(&self, get: &trace::Get) -> (Vec<u8>, GetOptions) {
        let (key, end) = self.span(&get.span);
        let mut options = GetOptions::new().with_range(end).with_limit(get.limit);
        if let Some(revision) = get.revision {
            options = options.with_revision(self.first + revision);
        }
        if let Some((target, order)) = get.sort {
            let targets = [
                SortTarget::Key,
                SortTarget::Version,
                SortTarget::Create,
                SortTarget::Mod,
                SortTarget::Value,
            ];
            let orders = [SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
            options = options.with_sort(targets[target], orders[order]);
        }
        if get.serializable {
            options = options.with_serializable();
        }
        if get.keys_only {
            options = options.with_keys_only();
        }
        if get.count_only {
            options = options.with_count_only();
        }
        let bound = |at: usize| get.bounds[at].map(|revision| self.first + revision);
        if let Some(bound) = bound(0) {
            options = options.with_min_mod_revision(bound);
        }
        if let Some(bound) = bound(1) {
            options = options.with_max_mod_revision(bound);
        }
        if let Some(bound) = bound(2) {
            options = options.with_min_create_revision(bound);
        }
        if let Some(bound) = bound(3) {
            options = options.with_max_create_revision(bound);
        }
        (key, options)
    }

    fn put(&self, put: &trace::Put) -> (Vec<u8>, Vec<u8>, PutOptions) {
        let mut options = PutOptions::new();
        if let Some(slot) = put.lease {
            options = options.with_lease(self.lease_in(slot));
        }
        if put.prev {
            options = options.with_prev_key();
        }
        if put.ignore_value {
            options = options.with_ignore_value();
        }
        if put.ignore_lease {
            options = options.with_ignore_lease();
        }
        let key = put.key.map(|key| self.key(key)).unwrap_or_default();
        (key, put.value.clone().into_bytes(), options)
    }

    fn delete(&self, delete: &trace::Delete) -> (Vec<u8>, DeleteOptions) {
        let (key, end) = self.span(&delete.span);
        let mut options = DeleteOptions::new().with_range(end);
        if delete.prev {
            options = options.with_prev_key();
        }
        (key, options)
    }

    fn txn(&self, txn: &trace::Txn) -> Txn {
        let compares: Vec<_> = txn.compares.iter().map(|one| self.compare(one)).collect();
        let ops = |ops: &[trace::Op]| ops.iter().map(|op| self.op(op)).collect::<Vec<_>>();
        Txn::new()
            .when(compares)
            .and_then(ops(&txn.then))
            .or_else(ops(&txn.otherwise))
    }

    fn op(&self, op: &trace::Op) -> TxnOp {
        match op {
            trace::Op::Get(get) => {
                let (key, options) = self.get(get);
                TxnOp::get(key, Some(options))
            }
            trace::Op::Put(put) => {
                let (key, value, options) = self.put(put);
                TxnOp::put(key, value, Some(options))
            }
            trace::Op::Delete(delete) => {
                let (key, options) = self.delete(delete);
                TxnOp::delete(key, Some(options))
            }
            trace::Op::Txn(txn) => TxnOp::txn(self.txn(txn)),
        }
    }

    fn compare(&self, compare: &trace::Compare) -> Compare {
        let results = [
            CompareOp::Equal,
            CompareOp::Greater,
            CompareOp::Less,
            CompareOp::NotEqual,
        ];
        let (key, end) = self.span(&compare.span);
        let (result, number) = (results[compare.result], compare.number);
        // −1 stands for "there is none".
        let revision = if number < 0 { 0 } else { self.first + number };
        let made = match compare.target {
            0 => Compare::version(key, result, number),
            1 => Compare::create_revision(key, result, revision),
            2 => Compare::mod_revision(key, result, revision),
            3 => Compare::value(key, result, compare.value.clone()),
            _ => Compare::lease(key, result, self.lease_in(number as usize)),
        };
        if end.is_empty() {
            made
        } else {
            made.with_range(end)
        }
    }

    fn watch(&self, watch: &trace::Watch) -> (Vec<u8>, WatchOptions) {
        let (key, end) = self.span(&watch.span);
        let mut options = WatchOptions::new().with_range(end).with_watch_id(watch.id);
        if let Some(start) = watch.start {
            options = options.with_start_revision(self.first + start);
        }
        if watch.prev {
            options = options.with_prev_key();
        }
        let mut filters = Vec::new();
        if watch.filters[0] {
            filters.push(WatchFilterType::NoPut);
        }
        if watch.filters[1] {
            filters.push(WatchFilterType::NoDelete);
        }
        (key, options.with_filters(filters))
    }

    // ---- replies

    fn reply<T: std::fmt::Debug>(
        &mut self,
        reply: Result<T, Error>,
        normalise: impl FnOnce(&mut Normal, &mut T),
    ) -> String {
        match reply {
            Ok(mut reply) => {
                let mut normal = Normal {
                    first: self.first,
                    leases: self.leases,
                };
                normalise(&mut normal, &mut reply);
                format!("{reply:?}")
            }
            Err(Error::GRpcStatus(status)) => {
                self.transcript.refusals += 1;
                format!("{:?}: {}", status.code(), status.message())
            }
            Err(other) => panic!("no answer: {other}"),
        }
    }

    fn txn_reply(normal: &mut Normal, reply: &mut PbTxnResponse) {
        normal.header(&mut reply.header);
        for PbResponseOp { response } in &mut reply.responses {
            match response {
                Some(PbTxnOpResponse::ResponseRange(one)) => {
                    normal.header(&mut one.header);
                    one.kvs.iter_mut().for_each(|kv| normal.kv(kv));
                }
                Some(PbTxnOpResponse::ResponsePut(one)) => {
                    normal.header(&mut one.header);
                    one.prev_kv.iter_mut().for_each(|kv| normal.kv(kv));
                }
                Some(PbTxnOpResponse::ResponseDeleteRange(one)) => {
                    normal.header(&mut one.header);
                    one.prev_kvs.iter_mut().for_each(|kv| normal.kv(kv));
                }
                Some(PbTxnOpResponse::ResponseTxn(one)) => Self::txn_reply(normal, one),
                None => {}
            }
        }
    }
}

/// Takes away what differs from one etcd to the next: revisions count from the trace's first, leases are slots.
struct Normal {
    first: i64,
    leases: [Option<i64>; SLOTS],
}

impl Normal {
    fn header(&mut self, header: &mut Option<PbResponseHeader>) {
        if let Some(header) = header {
            header.cluster_id = header.cluster_id.min(1);
            header.member_id = header.member_id.min(1);
            header.raft_term = header.raft_term.min(1);
            self.revision(&mut header.revision);
        }
    }

    fn revision(&self, revision: &mut i64) {
        if *revision > 0 {
            *revision += 1000 - self.first;
        }
    }

    fn lease(&self, id: &mut i64) {
        if let Some(slot) = self.leases.iter().position(|lease| *lease == Some(*id)) {
            *id = slot as i64 + 1;
        }
    }

    fn kv(&mut self, kv: &mut PbKeyValue) {
        self.revision(&mut kv.create_revision);
        self.revision(&mut kv.mod_revision);
        self.lease(&mut kv.lease);
    }

    fn told(&mut self, mut response: PbWatchResponse) -> (i64, Vec<String>) {
        let id = response.watch_id;
        self.header(&mut response.header);
        self.revision(&mut response.compact_revision);
        let mut events = std::mem::take(&mut response.events);
        let texts = events.iter_mut().map(|event: &mut PbEvent| {
            event.kv.iter_mut().for_each(|kv| self.kv(kv));
            event.prev_kv.iter_mut().for_each(|kv| self.kv(kv));
            format!("{event:?}")
        });
        let texts: Vec<_> = texts.collect();
        if texts.is_empty() {
            return (id, vec![format!("{response:?}")]);
        }
        // The revision in the header is that of the last event, or later if the watcher caught up.
        (id, texts)
    }
}
