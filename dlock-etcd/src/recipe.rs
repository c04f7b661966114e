//! The requests, each one transaction: the lowest creation revision below `prefix/name/` owns the lock.

use std::sync::Arc;

use etcd_client::proto::{PbRangeResponse, PbTxnOpResponse, PbTxnResponse};
use etcd_client::{Compare, CompareOp, GetOptions, PutOptions, SortOrder, SortTarget, Txn, TxnOp};

use crate::entry::{Ahead, Entry};
use crate::failure::Failure;
use crate::keys::Keys;
use crate::members::Members;

/// How many reads one transaction takes; etcd's default limit is 128.
pub(crate) const READ_BATCH: usize = 100;

/// An entry of our own, to be made or changed.
pub(crate) struct Own<'a> {
    pub keys: &'a Keys,
    pub key: &'a [u8],
    pub lease: i64,
    pub waiting: &'a [u8],
    pub holding: &'a [u8],
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // It lives for a moment.
pub(crate) enum Entered {
    /// Nobody was there: the lock is ours.
    Granted { created: i64 },
    /// Behind somebody.
    Queued { own: Entry, ahead: Ahead },
    /// Nothing was made.
    Busy { first: Option<Entry> },
}

/// Asks for the lock, and queues for it if somebody is there.
pub(crate) async fn enter(members: &Arc<Members>, own: &Own<'_>) -> Result<Entered, Failure> {
    let txn = Txn::new()
        .when([nobody(own.keys)])
        .and_then([put(own.key, own.holding, own.lease)])
        .or_else(queue_ops(own));
    let mut answer = Answer::of(members, txn).await?;
    if answer.succeeded {
        return Ok(Entered::Granted {
            created: answer.revision,
        });
    }
    queued(&mut answer)
}

/// Queues for a lock that somebody has, as far as we know: etcd reads the whole queue for every question
/// about its order, so it is asked one less.
pub(crate) async fn queue(members: &Arc<Members>, own: &Own<'_>) -> Result<Entered, Failure> {
    let txn = Txn::new().and_then(queue_ops(own));
    queued(&mut Answer::of(members, txn).await?)
}

fn queue_ops(own: &Own<'_>) -> [TxnOp; 3] {
    [
        // An earlier send of the same request may have made it, and may arrive after the grant.
        TxnOp::txn(
            Txn::new()
                .when([Compare::create_revision(own.key, CompareOp::Equal, 0)])
                .and_then([put(own.key, own.waiting, own.lease)]),
        ),
        read(own.key),
        newest(own.keys, 3, None),
    ]
}

fn queued(answer: &mut Answer) -> Result<Entered, Failure> {
    answer.skip()?;
    let Some(own) = answer.entry()? else {
        return Err(Failure::garbled(
            "an entry that was just written is not there",
        ));
    };
    let mut behind = answer
        .entries()?
        .into_iter()
        .filter(|entry| entry.created < own.created);
    Ok(Entered::Queued {
        ahead: Ahead::of(behind.next(), behind.next()),
        own,
    })
}

/// Asks for the lock, and leaves nothing if somebody is there. For an entry that nothing was sent for
/// yet: the least that etcd has to do for a free lock.
pub(crate) async fn enter_if_free(
    members: &Arc<Members>,
    own: &Own<'_>,
) -> Result<Entered, Failure> {
    let txn = Txn::new()
        .when([nobody(own.keys)])
        .and_then([put(own.key, own.holding, own.lease)])
        .or_else([oldest(own.keys)]);
    let mut answer = Answer::of(members, txn).await?;
    Ok(if answer.succeeded {
        Entered::Granted {
            created: answer.revision,
        }
    } else {
        Entered::Busy {
            first: answer.entry()?,
        }
    })
}

/// The same for an entry that an earlier send may have made.
pub(crate) async fn enter_again_if_free(
    members: &Arc<Members>,
    own: &Own<'_>,
) -> Result<Entered, Failure> {
    let txn = Txn::new()
        .when([nobody(own.keys)])
        .and_then([put(own.key, own.holding, own.lease)])
        .or_else([read(own.key), oldest(own.keys)]);
    let mut answer = Answer::of(members, txn).await?;
    if answer.succeeded {
        return Ok(Entered::Granted {
            created: answer.revision,
        });
    }
    let own_entry = answer.entry()?;
    let first = answer.entry()?;
    Ok(match own_entry {
        // An earlier send, whose answer was lost, has come through.
        Some(entry) => Entered::Queued {
            ahead: Ahead::of(first.filter(|first| first.key != entry.key), None),
            own: entry,
        },
        None => Entered::Busy { first },
    })
}

/// Takes the lock if our entry is unchanged and the lowest: whatever a watch has said, nobody believes
/// before this is answered. Because it compares the modification as well, a late duplicate changes
/// nothing.
pub(crate) async fn confirm(
    members: &Arc<Members>,
    own: &Own<'_>,
    (created, modified): (i64, i64),
) -> Result<Look, Failure> {
    let txn = Txn::new()
        .when([
            Compare::create_revision(own.key, CompareOp::Equal, created),
            Compare::mod_revision(own.key, CompareOp::Equal, modified),
            Compare::create_revision(
                own.keys.range.as_slice(),
                CompareOp::Greater,
                created.saturating_sub(1),
            )
            .with_range(own.keys.end()),
        ])
        .and_then([put(own.key, own.holding, own.lease)])
        .or_else(look_ops(own.keys, own.key, created));
    let mut answer = Answer::of(members, txn).await?;
    if answer.succeeded {
        return Ok(Look::Holding {
            modified: answer.revision,
        });
    }
    looked(&mut answer, created)
}

/// Where our entry stands.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // It lives for a moment.
pub(crate) enum Look {
    /// It has been granted.
    Holding { modified: i64 },
    /// It waits; nobody need be ahead.
    Waiting { modified: i64, ahead: Ahead },
    /// It is not there any more.
    Gone,
}

/// Who stands before our entry, if it is there. Those that did are read by their keys: nobody comes
/// between, so that etcd reads its whole queue only if one of them has gone.
pub(crate) async fn look(
    members: &Arc<Members>,
    keys: &Keys,
    key: &[u8],
    created: i64,
    known: &Ahead,
) -> Result<Look, Failure> {
    let (Some(before), second) = (&known.before, &known.second) else {
        return look_at_all(members, keys, key, created).await;
    };
    let mut keys_to_read = vec![key.to_vec(), before.key.clone()];
    keys_to_read.extend(second.iter().map(|second| second.key.clone()));
    let mut seen = read_all(members, &keys_to_read).await?.into_iter();
    let Some(own) = seen.next().flatten().filter(|own| own.created == created) else {
        return Ok(Look::Gone);
    };
    let seen = [seen.next().flatten(), seen.next().flatten()];
    let same = |seen: &Option<Entry>, known: &Option<Entry>| {
        let created = |entry: &Option<Entry>| entry.as_ref().map(|entry| entry.created);
        created(seen) == created(known)
    };
    let [before, second] = seen;
    if !same(&before, &known.before) || !same(&second, &known.second) {
        return look_at_all(members, keys, key, created).await;
    }
    Ok(Look::Waiting {
        modified: own.modified,
        ahead: Ahead::of(before, second),
    })
}

/// The same by the order of the whole queue, with its first.
pub(crate) async fn look_at_all(
    members: &Arc<Members>,
    keys: &Keys,
    key: &[u8],
    created: i64,
) -> Result<Look, Failure> {
    let up_to = Some(created.saturating_sub(1));
    // Boxed: three requests lie in it at once.
    let (own, before, first) = Box::pin(futures_util::future::join3(
        range(members, key, GetOptions::new()),
        range(members, &keys.range, newest_options(keys, 2, up_to)),
        range(members, &keys.range, oldest_options(keys)),
    ))
    .await;
    let (own, before, first) = (own?.entries(), before?.entries(), first?.entries());
    Ok(stands(own, before, first, created))
}

fn look_ops(keys: &Keys, key: &[u8], created: i64) -> [TxnOp; 3] {
    [
        read(key),
        newest(keys, 2, Some(created.saturating_sub(1))),
        oldest(keys),
    ]
}

fn looked(answer: &mut Answer, created: i64) -> Result<Look, Failure> {
    let own = answer.entries()?;
    let before = answer.entries()?;
    let first = answer.entries()?;
    Ok(stands(own, before, first, created))
}

fn stands(own: Vec<Entry>, before: Vec<Entry>, first: Vec<Entry>, created: i64) -> Look {
    let Some(own) = own.into_iter().find(|own| own.created == created) else {
        return Look::Gone;
    };
    let mut before = before.into_iter();
    let ahead = Ahead {
        before: before.next(),
        second: before.next(),
        first: first.into_iter().next(),
    };
    let modified = own.modified;
    if ahead.before.is_none() && !own.owner.waits() {
        Look::Holding { modified }
    } else {
        Look::Waiting { modified, ahead }
    }
}

/// Removes our entry: with `created` only that very one. Whether it was there.
pub(crate) async fn leave(
    members: &Arc<Members>,
    key: &[u8],
    created: Option<i64>,
) -> Result<bool, Failure> {
    let there = match created {
        Some(created) => Compare::create_revision(key, CompareOp::Equal, created),
        None => Compare::create_revision(key, CompareOp::Greater, 0),
    };
    let txn = Txn::new()
        .when([there])
        .and_then([TxnOp::delete(key, None)]);
    Ok(Answer::of(members, txn).await?.succeeded)
}

/// Removes an entry of somebody who was asked to take the lock and did not: unless it has changed.
pub(crate) async fn pass_over(members: &Arc<Members>, entry: &Entry) -> Result<bool, Failure> {
    let txn = Txn::new()
        .when([
            Compare::create_revision(entry.key.as_slice(), CompareOp::Equal, entry.created),
            Compare::mod_revision(entry.key.as_slice(), CompareOp::Equal, entry.modified),
        ])
        .and_then([TxnOp::delete(entry.key.as_slice(), None)]);
    Ok(Answer::of(members, txn).await?.succeeded)
}

#[derive(Debug)]
pub(crate) enum Moved {
    Done {
        modified: i64,
    },
    /// Not as it was expected to be.
    Found(Option<Entry>),
}

/// Puts our entry under another lease, if it has not changed. It keeps its creation revision.
pub(crate) async fn move_lease(
    members: &Arc<Members>,
    key: &[u8],
    value: &[u8],
    (created, modified): (i64, i64),
    lease: i64,
) -> Result<Moved, Failure> {
    let txn = Txn::new()
        .when([
            Compare::create_revision(key, CompareOp::Equal, created),
            Compare::mod_revision(key, CompareOp::Equal, modified),
        ])
        .and_then([put(key, value, lease)])
        .or_else([read(key)]);
    let mut answer = Answer::of(members, txn).await?;
    if answer.succeeded {
        return Ok(Moved::Done {
            modified: answer.revision,
        });
    }
    Ok(Moved::Found(answer.entry()?))
}

/// What stands under these keys; at most [`READ_BATCH`].
pub(crate) async fn read_all(
    members: &Arc<Members>,
    keys: &[Vec<u8>],
) -> Result<Vec<Option<Entry>>, Failure> {
    let reads = keys
        .iter()
        .map(|key| range(members, key, GetOptions::new()));
    let answers = futures_util::future::try_join_all(reads).await?;
    let first = |answer: Read| answer.entries().into_iter().next();
    Ok(answers.into_iter().map(first).collect())
}

/// The first in the queue, and how many stand in it.
pub(crate) async fn first(
    members: &Arc<Members>,
    keys: &Keys,
) -> Result<(Option<Entry>, u64), Failure> {
    let answer = range(members, &keys.range, oldest_options(keys)).await?;
    let count = u64::try_from(answer.0.count).unwrap_or(0);
    Ok((answer.entries().into_iter().next(), count))
}

/// All that stand in the queue.
pub(crate) async fn everybody(members: &Arc<Members>, keys: &Keys) -> Result<Vec<Entry>, Failure> {
    let all = GetOptions::new()
        .with_range(keys.end())
        .with_sort(SortTarget::Create, SortOrder::Ascend);
    Ok(range(members, &keys.range, all).await?.entries())
}

struct Read(PbRangeResponse);

impl Read {
    fn entries(self) -> Vec<Entry> {
        self.0.kvs.into_iter().map(Entry::from).collect()
    }
}

/// Reads by themselves and never in a transaction: a transaction that only reads, cancelled at the wrong
/// moment, ends an etcd 3.5 before 3.5.5 with a panic.
async fn range(members: &Arc<Members>, key: &[u8], options: GetOptions) -> Result<Read, Failure> {
    let answer = members
        .call(|client| {
            let (mut kv, options) = (client.kv_client(), options.clone());
            async move { kv.get(key, Some(options)).await }
        })
        .await?;
    Ok(Read(answer.0))
}

fn nobody(keys: &Keys) -> Compare {
    Compare::create_revision(keys.range.as_slice(), CompareOp::Equal, 0).with_range(keys.end())
}

fn put(key: &[u8], value: &[u8], lease: i64) -> TxnOp {
    TxnOp::put(key, value, Some(PutOptions::new().with_lease(lease)))
}

fn read(key: &[u8]) -> TxnOp {
    TxnOp::get(key, None)
}

fn oldest(keys: &Keys) -> TxnOp {
    TxnOp::get(keys.range.as_slice(), Some(oldest_options(keys)))
}

fn oldest_options(keys: &Keys) -> GetOptions {
    GetOptions::new()
        .with_range(keys.end())
        .with_sort(SortTarget::Create, SortOrder::Ascend)
        .with_limit(1)
}

fn newest(keys: &Keys, limit: i64, up_to: Option<i64>) -> TxnOp {
    TxnOp::get(
        keys.range.as_slice(),
        Some(newest_options(keys, limit, up_to)),
    )
}

fn newest_options(keys: &Keys, limit: i64, up_to: Option<i64>) -> GetOptions {
    let options = GetOptions::new()
        .with_range(keys.end())
        .with_sort(SortTarget::Create, SortOrder::Descend)
        .with_limit(limit);
    match up_to {
        Some(up_to) => options.with_max_create_revision(up_to),
        None => options,
    }
}

/// A transaction's answer, read from its first operation to its last.
struct Answer {
    succeeded: bool,
    revision: i64,
    operations: std::vec::IntoIter<Option<PbTxnOpResponse>>,
}

impl Answer {
    async fn of(members: &Arc<Members>, txn: Txn) -> Result<Self, Failure> {
        let answer = members
            .call(|client| {
                let (mut kv, txn) = (client.kv_client(), txn.clone());
                async move { kv.txn(txn).await }
            })
            .await?;
        let PbTxnResponse {
            header,
            succeeded,
            responses,
        } = answer.0;
        let revision = header.map_or(0, |header| header.revision);
        if revision <= 0 {
            return Err(Failure::garbled("a transaction without a revision"));
        }
        let operations: Vec<_> = responses.into_iter().map(|one| one.response).collect();
        Ok(Self {
            succeeded,
            revision,
            operations: operations.into_iter(),
        })
    }

    fn skip(&mut self) -> Result<(), Failure> {
        self.next().map(drop)
    }

    fn entry(&mut self) -> Result<Option<Entry>, Failure> {
        Ok(self.entries()?.into_iter().next())
    }

    fn entries(&mut self) -> Result<Vec<Entry>, Failure> {
        match self.next()? {
            PbTxnOpResponse::ResponseRange(range) => {
                Ok(range.kvs.into_iter().map(Entry::from).collect())
            }
            _ => Err(Failure::garbled("a read was answered as a write")),
        }
    }

    fn next(&mut self) -> Result<PbTxnOpResponse, Failure> {
        self.operations
            .next()
            .flatten()
            .ok_or_else(|| Failure::garbled("a transaction with too few answers"))
    }
}
