//! What etcd refuses before a request reaches its log.

use std::collections::BTreeSet;

use etcd_client::proto::{
    PbDeleteRequest, PbPutRequest, PbRangeRequest, PbTxnOpRequest, PbTxnRequest, PbTxnRequestOp,
};

use super::EtcdError;

/// etcd's default.
const MAX_TXN_OPS: usize = 128;
const MAX_REQUEST_BYTES: usize = 1_572_864;

pub(super) fn range(request: &PbRangeRequest) -> Result<(), EtcdError> {
    key(&request.key)
}

pub(super) fn put(request: &PbPutRequest) -> Result<(), EtcdError> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(EtcdError::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(EtcdError::LeaseProvided);
    }
    Ok(())
}

pub(super) fn delete(request: &PbDeleteRequest) -> Result<(), EtcdError> {
    key(&request.key)
}

pub(super) fn txn(request: &PbTxnRequest) -> Result<(), EtcdError> {
    operations(request, MAX_TXN_OPS)?;
    overlaps(&request.success)?;
    overlaps(&request.failure)?;
    Ok(())
}

/// About as etcd counts it: what is sent besides keys and values is small.
pub(super) fn size(bytes: usize) -> Result<(), EtcdError> {
    if bytes > MAX_REQUEST_BYTES {
        return Err(EtcdError::RequestTooLarge);
    }
    Ok(())
}

pub(super) fn txn_bytes(request: &PbTxnRequest) -> usize {
    let branches = request.success.iter().chain(&request.failure);
    branches
        .filter_map(|one| one.request.as_ref())
        .map(|operation| match operation {
            PbTxnOpRequest::RequestPut(put) => put.key.len() + put.value.len(),
            PbTxnOpRequest::RequestTxn(txn) => txn_bytes(txn),
            _ => 0,
        })
        .sum()
}

fn key(key: &[u8]) -> Result<(), EtcdError> {
    if key.is_empty() {
        return Err(EtcdError::EmptyKey);
    }
    Ok(())
}

fn operations(request: &PbTxnRequest, most: usize) -> Result<(), EtcdError> {
    let count = request.compare.len();
    let count = count.max(request.success.len()).max(request.failure.len());
    if count > most {
        return Err(EtcdError::TooManyOps);
    }
    for compare in &request.compare {
        key(&compare.key)?;
    }
    for operation in request.success.iter().chain(&request.failure) {
        match &operation.request {
            Some(PbTxnOpRequest::RequestRange(one)) => range(one)?,
            Some(PbTxnOpRequest::RequestPut(one)) => put(one)?,
            Some(PbTxnOpRequest::RequestDeleteRange(one)) => delete(one)?,
            Some(PbTxnOpRequest::RequestTxn(one)) => operations(one, most - count)?,
            None => return Err(EtcdError::KeyNotFound),
        }
    }
    Ok(())
}

#[derive(Default)]
struct Changes {
    puts: BTreeSet<Vec<u8>>,
    deletes: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Changes {
    /// An end of a zero byte is not understood as "all" here, so that such a range overlaps nothing.
    fn deletes(&self, key: &[u8]) -> bool {
        self.deletes.iter().any(|(begin, end)| match &end[..] {
            [] => key == begin,
            end => key >= &begin[..] && key < end,
        })
    }
}

/// Nothing may be changed twice, except in branches that exclude each other.
fn overlaps(operations: &[PbTxnRequestOp]) -> Result<Changes, EtcdError> {
    let mut changes = Changes::default();
    let requests = || operations.iter().filter_map(|one| one.request.as_ref());
    for request in requests() {
        if let PbTxnOpRequest::RequestDeleteRange(one) = request {
            let span = (one.key.clone(), one.range_end.clone());
            changes.deletes.push(span);
        }
    }
    for request in requests() {
        let PbTxnOpRequest::RequestTxn(txn) = request else {
            continue;
        };
        let then = overlaps(&txn.success)?;
        let otherwise = overlaps(&txn.failure)?;
        for key in &then.puts {
            if changes.puts.contains(key) || changes.deletes(key) {
                return Err(EtcdError::DuplicateKey);
            }
            changes.puts.insert(key.clone());
        }
        for key in &otherwise.puts {
            let twice = changes.puts.contains(key) && !then.puts.contains(key);
            if twice || changes.deletes(key) {
                return Err(EtcdError::DuplicateKey);
            }
            changes.puts.insert(key.clone());
        }
        changes.deletes.extend(then.deletes);
        changes.deletes.extend(otherwise.deletes);
    }
    for request in requests() {
        if let PbTxnOpRequest::RequestPut(one) = request {
            if changes.puts.contains(&one.key) || changes.deletes(&one.key) {
                return Err(EtcdError::DuplicateKey);
            }
            changes.puts.insert(one.key.clone());
        }
    }
    Ok(changes)
}
