//! The state that etcd's log leads to: keys with all their versions, and leases with their keys.
//!
//! No I/O and no clock; when a lease ends is not known here (`cluster` knows).

mod check;
mod error;
mod leases;
mod mvcc;
mod range;
mod txn;

use etcd_client::proto::{
    PbCompactionRequest, PbCompactionResponse, PbDeleteRequest, PbDeleteResponse, PbKeyValue,
    PbLeaseGrantRequest, PbLeaseGrantResponse, PbLeaseRevokeResponse, PbPutRequest, PbPutResponse,
    PbRangeRequest, PbRangeResponse, PbTxnRequest, PbTxnResponse,
};

pub use error::EtcdError;
pub use leases::Lease;
pub use mvcc::Commit;

use leases::Leases;
use mvcc::{Mvcc, Span};
use range::header;

/// The committed state of an etcd. Headers of its answers have a revision and nothing else.
#[derive(Clone, Debug)]
pub struct Engine {
    mvcc: Mvcc,
    leases: Leases,
}

/// A request that goes through the log.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // They are etcd's own.
pub enum Proposal {
    Put(PbPutRequest),
    DeleteRange(PbDeleteRequest),
    Txn(PbTxnRequest),
    Compact(PbCompactionRequest),
    LeaseGrant(PbLeaseGrantRequest),
    LeaseRevoke(i64),
}

/// What applying a [`Proposal`] gave.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // They are etcd's own.
pub enum Applied {
    Put(PbPutResponse),
    DeleteRange(PbDeleteResponse),
    Txn(PbTxnResponse),
    Compact(PbCompactionResponse),
    LeaseGrant(PbLeaseGrantResponse),
    LeaseRevoke(PbLeaseRevokeResponse),
}

impl Proposal {
    /// What etcd refuses before it proposes.
    pub fn check(&self) -> Result<(), EtcdError> {
        match self {
            Self::Put(request) => {
                check::put(request)?;
                check::size(request.key.len() + request.value.len())
            }
            Self::DeleteRange(request) => check::delete(request),
            Self::Txn(request) => {
                check::txn(request)?;
                check::size(check::txn_bytes(request))
            }
            Self::Compact(_) | Self::LeaseGrant(_) | Self::LeaseRevoke(_) => Ok(()),
        }
    }
}

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine {
    /// A new etcd: revision 1, no keys.
    pub fn new() -> Self {
        Self {
            mvcc: Mvcc::new(),
            leases: Leases::default(),
        }
    }

    /// The newest revision.
    pub fn revision(&self) -> i64 {
        self.mvcc.revision()
    }

    /// The revision of the last compaction; −1 for none.
    pub fn compacted(&self) -> i64 {
        self.mvcc.compacted()
    }

    /// Applies what was committed.
    pub fn apply(&mut self, proposal: &Proposal) -> Result<Applied, EtcdError> {
        Ok(match proposal {
            Proposal::Put(request) => {
                self.leases.check(request.lease)?;
                let mut write = self.mvcc.write();
                let response = txn::put(&mut write, &mut self.leases, request)?;
                write.end();
                Applied::Put(response)
            }
            Proposal::DeleteRange(request) => {
                let mut write = self.mvcc.write();
                let response = txn::delete(&mut write, &mut self.leases, request);
                write.end();
                Applied::DeleteRange(response)
            }
            Proposal::Txn(request) => {
                Applied::Txn(txn::write(&mut self.mvcc, &mut self.leases, request)?)
            }
            Proposal::Compact(request) => {
                self.mvcc.compact(request.revision)?;
                let header = Some(header(self.revision()));
                Applied::Compact(PbCompactionResponse { header })
            }
            Proposal::LeaseGrant(request) => {
                let ttl = self.leases.grant(request.id, request.ttl)?;
                Applied::LeaseGrant(PbLeaseGrantResponse {
                    header: Some(header(self.revision())),
                    id: request.id,
                    ttl,
                    error: String::new(),
                })
            }
            Proposal::LeaseRevoke(id) => {
                let lease = self.leases.remove(*id)?;
                let mut write = self.mvcc.write();
                for key in &lease.keys {
                    write.delete(Span::One(key));
                }
                let header = Some(header(write.end()));
                Applied::LeaseRevoke(PbLeaseRevokeResponse { header })
            }
        })
    }

    /// Reads as one who has seen all up to a revision.
    pub fn range(&self, seen: i64, request: &PbRangeRequest) -> Result<PbRangeResponse, EtcdError> {
        check::range(request)?;
        range::range(&self.mvcc, self.clamp(seen), request)
    }

    /// Runs a transaction that only reads (`None`: it does not), as one who has seen all up to a revision.
    pub fn read_txn(
        &self,
        seen: i64,
        request: &PbTxnRequest,
    ) -> Option<Result<PbTxnResponse, EtcdError>> {
        if !txn::only_reads(request) {
            return None;
        }
        let checked = check::txn(request);
        Some(checked.and_then(|()| txn::read(&self.mvcc, self.clamp(seen), request)))
    }

    /// One who is behind a compaction has it before him: older versions are not kept for him.
    fn clamp(&self, seen: i64) -> i64 {
        seen.max(self.compacted()).min(self.revision())
    }

    /// What happened after a revision, compacted or not.
    pub fn since(&self, revision: i64) -> &[Commit] {
        self.mvcc.since(revision)
    }

    /// The keys that begin with a prefix, as they are now, in their order.
    pub fn with_prefix(&self, prefix: &[u8]) -> Vec<&PbKeyValue> {
        let mut end = prefix.to_vec();
        while end.last() == Some(&u8::MAX) {
            end.pop();
        }
        if let Some(last) = end.last_mut() {
            *last += 1;
        } else {
            return self.mvcc.at(Span::From(prefix), self.revision());
        }
        self.mvcc.at(Span::Between(prefix, &end), self.revision())
    }

    /// A lease.
    pub fn lease(&self, id: i64) -> Option<&Lease> {
        self.leases.get(id)
    }

    /// All leases, by their number.
    pub fn leases(&self) -> impl Iterator<Item = (i64, &Lease)> {
        self.leases.iter()
    }

    /// Counts on from a higher revision, with all before it compacted: what `--bump-revision` and
    /// `--mark-compacted` do to a restored snapshot.
    pub fn bump_revision(&mut self, by: i64) {
        self.mvcc.bump(by);
    }
}

/// Whether a key is among those that a request names, as requests write it (no end: one key; an end of a single zero byte: all from `key`).
pub(super) fn in_range(key: &[u8], range: (&[u8], &[u8])) -> bool {
    Span::of(range.0, range.1).contains(key)
}

/// Whether no key can be in the range.
pub(super) fn is_empty_range(range: (&[u8], &[u8])) -> bool {
    Span::of(range.0, range.1).is_empty()
}
