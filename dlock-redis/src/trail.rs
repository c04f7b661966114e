//! R3: what an attempt has sent without an answer, so that its release knows when "not there" is final.
//!
//! The [`Trail`] holds 0: nothing is unanswered; a connection's generation: all that is unanswered
//! went over that one connection; or [`SCATTERED`]: over several, or over one we cannot tell.
//! A server answers what came over one connection in order, so an answer there proves that all
//! before it on that connection was processed. It proves nothing about another connection: what
//! was sent to a stopped server runs when it resumes, long after the socket was closed.

use std::num::NonZeroU64;

use dlock_core::store::Trail;

const NOTHING: u64 = 0;
const SCATTERED: u64 = u64::MAX;

/// A request that is being sent, on record before it leaves. Dropping it leaves the record.
#[derive(Debug)]
#[must_use]
pub(crate) struct Sending {
    trail: Trail,
    before: u64,
    over: u64,
}

impl Sending {
    pub fn over(trail: &Trail, connection: Option<NonZeroU64>) -> Self {
        let before = trail.load();
        let over = connection.map_or(SCATTERED, NonZeroU64::get);
        trail.store(if before == NOTHING || before == over {
            over
        } else {
            SCATTERED
        });
        Self {
            trail: trail.clone(),
            before,
            over,
        }
    }

    /// Nothing of the request will be sent any more, and what was sent of it went over this connection.
    pub fn sent_over(self, connection: Option<NonZeroU64>) {
        let over = connection.map_or(SCATTERED, NonZeroU64::get);
        if self.before == NOTHING || self.before == over {
            self.trail.store(over);
        }
    }

    /// The server has surely processed the request, or surely never will.
    pub fn settled(self) {
        if self.before == NOTHING || (self.before == self.over && self.over != SCATTERED) {
            self.trail.store(NOTHING);
        }
    }
}

/// Whether a release that was answered over this connection was processed after all that the
/// attempt has sent.
pub(crate) fn is_final(trail: &Trail, connection: Option<NonZeroU64>) -> bool {
    let unanswered = trail.load();
    unanswered == NOTHING || connection.is_some_and(|over| over.get() == unanswered)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Option<NonZeroU64> = NonZeroU64::new(1);
    const SECOND: Option<NonZeroU64> = NonZeroU64::new(2);

    #[test]
    fn an_answered_request_leaves_no_trail() {
        let trail = Trail::default();
        Sending::over(&trail, FIRST).settled();
        assert!(is_final(&trail, FIRST) && is_final(&trail, SECOND) && is_final(&trail, None));
        Sending::over(&trail, None).settled();
        assert!(is_final(&trail, None));
    }

    #[test]
    fn an_unanswered_request_is_final_after_an_answer_on_its_own_connection_only() {
        let trail = Trail::default();
        let _ = Sending::over(&trail, FIRST);
        assert!(is_final(&trail, FIRST));
        assert!(!is_final(&trail, SECOND));
        assert!(!is_final(&trail, None));
        Sending::over(&trail, FIRST).settled();
        assert!(is_final(&trail, SECOND));
    }

    #[test]
    fn a_request_of_which_more_may_be_sent_is_never_final() {
        let trail = Trail::default();
        let sending = Sending::over(&trail, None);
        assert!(!is_final(&trail, FIRST));
        sending.sent_over(FIRST);
        assert!(is_final(&trail, FIRST) && !is_final(&trail, SECOND));
        let sending = Sending::over(&trail, None);
        sending.sent_over(SECOND);
        assert!(!is_final(&trail, FIRST) && !is_final(&trail, SECOND));
    }

    #[test]
    fn requests_on_two_connections_are_never_final() {
        let trail = Trail::default();
        let _ = Sending::over(&trail, FIRST);
        Sending::over(&trail, SECOND).settled();
        for connection in [FIRST, SECOND, None] {
            assert!(!is_final(&trail, connection));
        }
    }

    #[test]
    fn an_unanswered_request_on_a_foreign_connection_is_never_final() {
        let trail = Trail::default();
        let _ = Sending::over(&trail, None);
        Sending::over(&trail, None).settled();
        assert!(!is_final(&trail, None) && !is_final(&trail, FIRST));
    }
}
