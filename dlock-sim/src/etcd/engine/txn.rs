//! Transactions. All comparisons, also nested ones, see the state before the first change.

use std::cmp::Ordering;

use etcd_client::proto::{
    PbCompare, PbDeleteRequest, PbDeleteResponse, PbKeyValue, PbPutRequest, PbPutResponse,
    PbRangeRequest, PbResponseOp, PbTargetUnion, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequest,
    PbTxnRequestOp, PbTxnResponse,
};

use super::EtcdError;
use super::leases::Leases;
use super::mvcc::{Mvcc, Span, Write};
use super::range::{header, range};

/// Which branch a transaction takes, and those in it.
struct Path<'a> {
    succeeded: bool,
    operations: &'a [PbTxnRequestOp],
    nested: Vec<Path<'a>>,
}

/// Whether nothing is changed, whatever it compares.
pub(super) fn only_reads(request: &PbTxnRequest) -> bool {
    let mut all = request.success.iter().chain(&request.failure);
    all.all(|one| matches!(one.request, Some(PbTxnOpRequest::RequestRange(_))))
}

/// Runs one that only reads, as one who has seen all up to `current`.
pub(super) fn read(
    mvcc: &Mvcc,
    current: i64,
    request: &PbTxnRequest,
) -> Result<PbTxnResponse, EtcdError> {
    let path = Path::of(mvcc, current, request);
    path.check_reads(mvcc, current)?;
    let mut response = PbTxnResponse {
        header: Some(header(current)),
        succeeded: path.succeeded,
        responses: Vec::new(),
    };
    for operation in path.operations {
        if let Some(PbTxnOpRequest::RequestRange(request)) = &operation.request {
            let read = range(mvcc, current, request)?;
            response.responses.push(PbResponseOp {
                response: Some(PbTxnOpResponse::ResponseRange(read)),
            });
        }
    }
    Ok(response)
}

/// Runs one that may write.
pub(super) fn write(
    mvcc: &mut Mvcc,
    leases: &mut Leases,
    request: &PbTxnRequest,
) -> Result<PbTxnResponse, EtcdError> {
    let current = mvcc.revision();
    let path = Path::of(mvcc, current, request);
    path.check_puts(mvcc, leases)?;
    path.check_reads(mvcc, current)?;
    let mut write = mvcc.write();
    let mut response = path.apply(&mut write, leases)?;
    response.header = Some(header(write.end()));
    Ok(response)
}

impl<'a> Path<'a> {
    fn of(mvcc: &Mvcc, current: i64, request: &'a PbTxnRequest) -> Self {
        let succeeded = request.compare.iter().all(|one| holds(mvcc, current, one));
        let operations = if succeeded {
            &request.success
        } else {
            &request.failure
        };
        let nested = operations.iter().filter_map(|one| match &one.request {
            Some(PbTxnOpRequest::RequestTxn(txn)) => Some(Self::of(mvcc, current, txn)),
            _ => None,
        });
        Self {
            succeeded,
            operations,
            nested: nested.collect(),
        }
    }

    fn check_puts(&self, mvcc: &Mvcc, leases: &Leases) -> Result<(), EtcdError> {
        self.check(&mut |operation| match operation {
            PbTxnOpRequest::RequestPut(put) => check_put(mvcc, leases, put),
            _ => Ok(()),
        })
    }

    fn check_reads(&self, mvcc: &Mvcc, current: i64) -> Result<(), EtcdError> {
        self.check(&mut |operation| match operation {
            PbTxnOpRequest::RequestRange(PbRangeRequest { revision, .. }) => match *revision {
                0 => Ok(()),
                revision if revision > current => Err(EtcdError::FutureRevision),
                revision if revision < mvcc.compacted() => Err(EtcdError::Compacted),
                _ => Ok(()),
            },
            _ => Ok(()),
        })
    }

    fn check(
        &self,
        check: &mut dyn FnMut(&PbTxnOpRequest) -> Result<(), EtcdError>,
    ) -> Result<(), EtcdError> {
        let mut nested = self.nested.iter();
        for operation in self
            .operations
            .iter()
            .filter_map(|one| one.request.as_ref())
        {
            match operation {
                PbTxnOpRequest::RequestTxn(_) => {
                    if let Some(path) = nested.next() {
                        path.check(check)?;
                    }
                }
                operation => check(operation)?,
            }
        }
        Ok(())
    }

    fn apply(
        &self,
        write: &mut Write<'_>,
        leases: &mut Leases,
    ) -> Result<PbTxnResponse, EtcdError> {
        let mut nested = self.nested.iter();
        let mut responses = Vec::new();
        for operation in self
            .operations
            .iter()
            .filter_map(|one| one.request.as_ref())
        {
            let response = match operation {
                PbTxnOpRequest::RequestRange(request) => {
                    let read = range(write.mvcc(), write.current(), request)?;
                    Some(PbTxnOpResponse::ResponseRange(read))
                }
                PbTxnOpRequest::RequestPut(request) => {
                    let response = put(write, leases, request)?;
                    Some(PbTxnOpResponse::ResponsePut(response))
                }
                PbTxnOpRequest::RequestDeleteRange(request) => {
                    let response = delete(write, leases, request);
                    Some(PbTxnOpResponse::ResponseDeleteRange(response))
                }
                PbTxnOpRequest::RequestTxn(_) => match nested.next() {
                    Some(path) => {
                        let response = path.apply(write, leases)?;
                        Some(PbTxnOpResponse::ResponseTxn(response))
                    }
                    None => None,
                },
            };
            responses.push(PbResponseOp { response });
        }
        Ok(PbTxnResponse {
            // A nested one says no revision.
            header: Some(header(0)),
            succeeded: self.succeeded,
            responses,
        })
    }
}

fn check_put(mvcc: &Mvcc, leases: &Leases, request: &PbPutRequest) -> Result<(), EtcdError> {
    let keeps = request.ignore_value || request.ignore_lease;
    if keeps && mvcc.one(&request.key, mvcc.revision()).is_none() {
        return Err(EtcdError::KeyNotFound);
    }
    leases.check(request.lease)
}

/// Puts, in a transaction that has been checked or that is nothing else.
pub(super) fn put(
    write: &mut Write<'_>,
    leases: &mut Leases,
    request: &PbPutRequest,
) -> Result<PbPutResponse, EtcdError> {
    let before = write.mvcc().one(&request.key, write.current()).cloned();
    let (mut value, mut lease) = (request.value.clone(), request.lease);
    if request.ignore_value || request.ignore_lease {
        let before = before.as_ref().ok_or(EtcdError::KeyNotFound)?;
        if request.ignore_value {
            value.clone_from(&before.value);
        }
        if request.ignore_lease {
            lease = before.lease;
        }
    }
    let old_lease = write.put(&request.key, value, lease);
    leases.detach(old_lease, &request.key);
    leases.attach(lease, &request.key);
    Ok(PbPutResponse {
        header: Some(header(write.next())),
        prev_kv: before.filter(|_| request.prev_kv),
    })
}

pub(super) fn delete(
    write: &mut Write<'_>,
    leases: &mut Leases,
    request: &PbDeleteRequest,
) -> PbDeleteResponse {
    let span = Span::of(&request.key, &request.range_end);
    let mut prev_kvs = Vec::new();
    if request.prev_kv {
        let there = write.mvcc().at(span, write.current());
        prev_kvs = there.into_iter().cloned().collect();
    }
    let deleted = write.delete(span);
    for (key, lease) in &deleted {
        leases.detach(*lease, key);
    }
    PbDeleteResponse {
        header: Some(header(write.current())),
        deleted: deleted.len() as i64,
        prev_kvs,
    }
}

fn holds(mvcc: &Mvcc, current: i64, compare: &PbCompare) -> bool {
    const VALUE: i32 = 3;
    if current < mvcc.compacted() {
        return false;
    }
    let kvs = mvcc.at(Span::of(&compare.key, &compare.range_end), current);
    if kvs.is_empty() {
        // No value can be written that says "none".
        return compare.target != VALUE && compares(compare, &PbKeyValue::default());
    }
    kvs.into_iter().all(|kv| compares(compare, kv))
}

fn compares(compare: &PbCompare, kv: &PbKeyValue) -> bool {
    let number = |is: i64, asked: Option<i64>| is.cmp(&asked.unwrap_or(0));
    let union = &compare.target_union;
    // A union that does not fit its target counts as 0.
    let order = match (compare.target, union) {
        (0, Some(PbTargetUnion::Version(asked))) => number(kv.version, Some(*asked)),
        (0, _) => number(kv.version, None),
        (1, Some(PbTargetUnion::CreateRevision(asked))) => number(kv.create_revision, Some(*asked)),
        (1, _) => number(kv.create_revision, None),
        (2, Some(PbTargetUnion::ModRevision(asked))) => number(kv.mod_revision, Some(*asked)),
        (2, _) => number(kv.mod_revision, None),
        (3, Some(PbTargetUnion::Value(asked))) => kv.value.cmp(asked),
        (3, _) => kv.value.as_slice().cmp(&[]),
        (4, Some(PbTargetUnion::Lease(asked))) => number(kv.lease, Some(*asked)),
        (4, _) => number(kv.lease, None),
        _ => Ordering::Equal,
    };
    match compare.result {
        0 => order.is_eq(),
        1 => order.is_gt(),
        2 => order.is_lt(),
        3 => order.is_ne(),
        _ => true,
    }
}
