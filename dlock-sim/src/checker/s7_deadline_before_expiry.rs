//! S7: nobody believes longer than the store says so.
//!
//! At each moment of a believed interval some server says that its grant (attempt and token) owns the lock. The deadline
//! enters through the believed interval, which ends when the client's own clock, in true time, reaches the latest
//! deadline in force. Put to the test by every believed interval.

use super::finding::{At, Finding};
use super::history::{Authority, Belief, History, Timeline};
use super::{Property, PropertyResult, Tolerance};
use crate::trace::AuthorityEnd;
use crate::words::Seconds;

pub(super) fn check(history: &History<'_>, tolerance: &Tolerance) -> PropertyResult {
    if !history.has_authority() {
        return Finding::unknown(Property::S7, "the trace does not say what the servers said");
    }
    let mut finding = Finding::new(Property::S7);
    let authorities = history.authorities_by_grant();
    for belief in history
        .beliefs
        .iter()
        .filter(|belief| !belief.span.is_empty())
    {
        finding.exercise();
        let grant = (Some(belief.attempt), Some(belief.token));
        let of_grant = authorities
            .get(&(belief.name, grant))
            .map_or(&[][..], Vec::as_slice);
        let timeline = Timeline::new(of_grant.iter().map(|authority| authority.span));
        if let Some(gap) = timeline.first_gap(belief.span)
            && gap.to - gap.from > tolerance.belief_ns
        {
            let ended = of_grant
                .iter()
                .rev()
                .find(|authority| authority.span.to == gap.from);
            report(&mut finding, belief, ended.copied(), gap.from);
        }
    }
    finding.finish("nobody believed in a lock")
}

fn report(finding: &mut Finding, belief: &Belief<'_>, ended: Option<&Authority<'_>>, from_ns: u64) {
    let until = match ended {
        Some(authority) => format!(
            "{} let it end at {} ({})",
            authority.server,
            Seconds(from_ns),
            authority
                .end
                .map_or("its time was over", |end| why(end.why)),
        ),
        None => format!("no server said so at {}", Seconds(from_ns)),
    };
    let message = format!(
        "{} believed in {} (token {}) until {}, but {until}",
        belief.node,
        belief.name,
        belief.token,
        Seconds(belief.span.to),
    );
    let server = ended.map_or(belief.node, |authority| authority.server);
    let at = At {
        seq: ended.map_or(belief.seq, Authority::last_seq),
        t_ns: from_ns,
        with: &[belief.seq],
        name: Some(belief.name),
        nodes: &[belief.node, server],
    };
    finding.violate(at, message);
}

fn why(end: AuthorityEnd) -> &'static str {
    match end {
        AuthorityEnd::Expired => "expired",
        AuthorityEnd::Removed => "removed",
        AuthorityEnd::Replaced => "replaced",
        AuthorityEnd::Dropped => "dropped",
        AuthorityEnd::Lost => "lost",
    }
}
