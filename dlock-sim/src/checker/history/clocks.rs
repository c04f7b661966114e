use std::collections::BTreeMap;

use crate::trace::{Event, Kind};

const SECOND: i128 = 1_000_000_000;

/// Every machine's own clock over true time: piecewise linear, by the `clock` events. A machine without one runs
/// right, from the first `local_ns` that it shows; without even that its clock is the true time.
pub(super) struct LocalClocks<'a> {
    clocks: BTreeMap<&'a str, Vec<Segment>>,
}

/// From `t_ns` on (until the next one) the clock shows `local_ns` and runs at `rate` ns a second.
#[derive(Clone, Copy)]
struct Segment {
    t_ns: u64,
    local_ns: i128,
    rate: i128,
}

impl<'a> LocalClocks<'a> {
    /// `events` are in order.
    pub(super) fn new(events: &[&'a Event]) -> Self {
        let mut clocks: BTreeMap<&str, Vec<Segment>> = BTreeMap::new();
        let mut shown: BTreeMap<&str, Segment> = BTreeMap::new();
        for event in events {
            let Some(local_ns) = event.local_ns else {
                continue;
            };
            let at = |rate| Segment {
                t_ns: event.t_ns,
                local_ns: i128::from(local_ns),
                rate,
            };
            shown.entry(&event.node).or_insert_with(|| at(SECOND));
            if let Kind::Clock { rate_ppb } = event.kind {
                let rate = (SECOND + i128::from(rate_ppb)).max(0);
                clocks.entry(&event.node).or_default().push(at(rate));
            }
        }
        for (node, first) in shown {
            let segments = clocks.entry(node).or_default();
            // Before the first word about it, it ran right.
            let first = segments.first().copied().unwrap_or(first);
            segments.insert(0, first.since_the_beginning());
        }
        Self { clocks }
    }

    /// The first true time, not before `from_ns`, at which the machine's clock shows `local_ns` or more.
    pub(super) fn reaches(&self, node: &str, local_ns: u64, from_ns: u64) -> Option<u64> {
        let Some(segments) = self.clocks.get(node) else {
            return Some(local_ns.max(from_ns));
        };
        let wanted = i128::from(local_ns);
        let first = segments.partition_point(|segment| segment.t_ns <= from_ns);
        for (index, segment) in segments.iter().enumerate().skip(first.saturating_sub(1)) {
            let start = segment.t_ns.max(from_ns);
            if segment.shows(start) >= wanted {
                return Some(start);
            }
            if segment.rate == 0 {
                continue;
            }
            let left = (wanted - segment.local_ns) * SECOND;
            let reached = i128::from(segment.t_ns) + (left + segment.rate - 1) / segment.rate;
            let end = segments
                .get(index + 1)
                .map_or(i128::from(u64::MAX), |next| i128::from(next.t_ns));
            if reached < end {
                return u64::try_from(reached).ok();
            }
        }
        None
    }
}

impl Segment {
    fn shows(&self, t_ns: u64) -> i128 {
        self.local_ns + (i128::from(t_ns) - i128::from(self.t_ns)) * self.rate / SECOND
    }

    fn since_the_beginning(&self) -> Self {
        Self {
            t_ns: 0,
            local_ns: self.local_ns - i128::from(self.t_ns),
            rate: SECOND,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(seq: u64, t_ns: u64, local_ns: u64, rate_ppb: i64) -> Event {
        Event {
            seq,
            t_ns,
            node: "C1".to_owned(),
            local_ns: Some(local_ns),
            cause: None,
            kind: Kind::Clock { rate_ppb },
        }
    }

    #[test]
    fn a_clock_that_stands_reaches_nothing_until_it_goes_on() {
        let events = [
            clock(0, 0, 100, 0),
            clock(1, 1000, 1100, -1_000_000_000),
            clock(2, 5000, 1100, 1_000_000_000),
        ];
        let clocks = LocalClocks::new(&events.iter().collect::<Vec<_>>());
        assert_eq!(clocks.reaches("C1", 600, 0), Some(500));
        assert_eq!(
            clocks.reaches("C1", 600, 700),
            Some(700),
            "it is past already"
        );
        assert_eq!(clocks.reaches("C1", 1100, 0), Some(1000));
        assert_eq!(
            clocks.reaches("C1", 1200, 0),
            Some(5050),
            "at twice the speed"
        );
        let stands = [clock(0, 0, 0, -1_000_000_000)];
        let clocks = LocalClocks::new(&stands.iter().collect::<Vec<_>>());
        assert_eq!(clocks.reaches("C1", 1, 0), None);
    }

    #[test]
    fn a_slow_clock_reaches_late() {
        let events = [clock(0, 0, 0, -500_000_000)];
        let clocks = LocalClocks::new(&events.iter().collect::<Vec<_>>());
        assert_eq!(clocks.reaches("C1", 500, 0), Some(1000));
        assert_eq!(
            clocks.reaches("C2", 500, 0),
            Some(500),
            "nothing is known of it"
        );
    }
}
