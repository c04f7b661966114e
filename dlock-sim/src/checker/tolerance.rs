/// How exact a trace is taken to be. The default is for the simulator, whose times are exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tolerance {
    /// S7: a client may believe for so long after its authority's end, in ns. Default 0.
    pub belief_ns: u64,
    /// S6, L3: an orphan may outlive its TTL by this, in ns, beside a fiftieth of the TTL (the store's clock may be
    /// slow): stores look for expired leases now and then. Default 1 s.
    pub orphan_ns: u64,
    /// S8: what messages and tasks may take on top of the declared δ, in ns. Default 250 ms.
    pub loss_notice_ns: u64,
    /// S8, L2, L4: after a fault or a stopped machine, how long clients may take to be connected again, in ns. What
    /// is lost, and who is passed over, within this time is not judged. Default 5 s.
    pub reconnect_ns: u64,
    /// L2: how long a lock may be free while somebody waits for it, in ns. Default 3 s (R11: about 2 s).
    pub lost_wakeup_ns: u64,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            belief_ns: 0,
            orphan_ns: 1_000_000_000,
            loss_notice_ns: 250_000_000,
            reconnect_ns: 5_000_000_000,
            lost_wakeup_ns: 3_000_000_000,
        }
    }
}
