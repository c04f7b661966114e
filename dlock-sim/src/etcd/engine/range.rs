use std::cmp::Ordering;

use etcd_client::proto::{PbKeyValue, PbRangeRequest, PbRangeResponse, PbResponseHeader};

use super::EtcdError;
use super::mvcc::{Mvcc, Span};

const SORT_NONE: i32 = 0;
const SORT_ASCEND: i32 = 1;
const SORT_DESCEND: i32 = 2;

const BY_KEY: i32 = 0;
const BY_VERSION: i32 = 1;
const BY_CREATE: i32 = 2;
const BY_MOD: i32 = 3;
const BY_VALUE: i32 = 4;

/// Reads, as one who has seen all up to `current`.
pub(super) fn range(
    mvcc: &Mvcc,
    current: i64,
    request: &PbRangeRequest,
) -> Result<PbRangeResponse, EtcdError> {
    let revision = match request.revision {
        asked if asked > current => return Err(EtcdError::FutureRevision),
        asked if asked <= 0 => current,
        asked => asked,
    };
    if revision < mvcc.compacted() {
        return Err(EtcdError::Compacted);
    }
    let mut kvs = mvcc.at(Span::of(&request.key, &request.range_end), revision);
    let count = kvs.len() as i64;
    if request.count_only {
        kvs.clear();
    }
    let limit = usize::try_from(request.limit).ok();
    let limit = limit.filter(|limit| *limit > 0);
    if request.sort_order == SORT_NONE && !has_bounds(request) {
        // etcd 3.4 reads no more than it needs, though it may sort by default afterwards.
        kvs.truncate(limit.map_or(usize::MAX, |limit| limit.saturating_add(1)));
    }
    keep_between(&mut kvs, request);
    sort(&mut kvs, request);
    let more = limit.is_some_and(|limit| kvs.len() > limit);
    kvs.truncate(limit.unwrap_or(usize::MAX));
    let shown = |kv: &PbKeyValue| {
        let mut kv = kv.clone();
        if request.keys_only {
            kv.value.clear();
        }
        kv
    };
    Ok(PbRangeResponse {
        header: Some(header(current)),
        kvs: kvs.into_iter().map(shown).collect(),
        more,
        count,
    })
}

pub(super) fn header(revision: i64) -> PbResponseHeader {
    PbResponseHeader {
        revision,
        ..PbResponseHeader::default()
    }
}

fn has_bounds(request: &PbRangeRequest) -> bool {
    let bounds = [
        request.min_mod_revision,
        request.max_mod_revision,
        request.min_create_revision,
        request.max_create_revision,
    ];
    bounds.iter().any(|bound| *bound != 0)
}

fn keep_between(kvs: &mut Vec<&PbKeyValue>, request: &PbRangeRequest) {
    let within = |at: i64, min: i64, max: i64| (min == 0 || at >= min) && (max == 0 || at <= max);
    kvs.retain(|kv| {
        within(
            kv.mod_revision,
            request.min_mod_revision,
            request.max_mod_revision,
        ) && within(
            kv.create_revision,
            request.min_create_revision,
            request.max_create_revision,
        )
    });
}

/// etcd's sort is not stable; up to 12 keys it is.
fn sort(kvs: &mut [&PbKeyValue], request: &PbRangeRequest) {
    let compare: fn(&PbKeyValue, &PbKeyValue) -> Ordering = match request.sort_target {
        BY_VERSION => |a, b| a.version.cmp(&b.version),
        BY_CREATE => |a, b| a.create_revision.cmp(&b.create_revision),
        BY_MOD => |a, b| a.mod_revision.cmp(&b.mod_revision),
        BY_VALUE => |a, b| a.value.cmp(&b.value),
        _ => |a, b| a.key.cmp(&b.key),
    };
    let order = match request.sort_order {
        SORT_NONE if request.sort_target != BY_KEY => SORT_ASCEND,
        order => order,
    };
    match order {
        SORT_ASCEND => kvs.sort_by(|a, b| compare(a, b)),
        SORT_DESCEND => kvs.sort_by(|a, b| compare(b, a)),
        _ => {}
    }
}
