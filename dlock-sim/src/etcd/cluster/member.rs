use std::collections::VecDeque;
use std::sync::Arc;

use super::clock::Clock;
use super::expiries::Expiries;
use super::process::Process;

/// One server of the cluster: what it has applied, and what it believes about the others.
#[derive(Debug)]
pub(super) struct Member {
    pub process: Arc<Process>,
    pub clock: Clock,
    /// Members of one group reach each other.
    pub group: usize,
    /// Stuck in fsync: its log does not move, all else does.
    pub stalled: bool,
    /// How much longer it takes for each request, in ns.
    pub slow: u64,
    /// How far behind the leader it applies, in ns.
    pub lag: u64,
    /// Applied here.
    pub applied: Position,
    /// Received here, to be applied then.
    pub coming: VecDeque<(u64, Position)>,
    /// It has missed something, and gets it when it reaches the leader.
    pub behind: bool,
    /// The leader it knows.
    pub knows: Option<usize>,
    /// Since when it has not heard of the leader it knows.
    pub unheard_since: Option<u64>,
    /// Since when it knows of none.
    pub leaderless_since: Option<u64>,
    /// How often it has learned of a new leader.
    pub leaders_seen: u64,
    /// While it believes that it leads.
    pub primary: Option<Expiries>,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub index: u64,
    pub revision: i64,
}

impl Member {
    pub fn new(lag: u64, applied: Position) -> Self {
        Self {
            process: Arc::default(),
            clock: Clock::default(),
            group: 0,
            stalled: false,
            slow: 0,
            lag,
            applied,
            coming: VecDeque::new(),
            behind: false,
            knows: None,
            unheard_since: None,
            leaderless_since: Some(0),
            leaders_seen: 0,
            primary: None,
        }
    }

    /// Takes part in the log.
    pub fn is_well(&self) -> bool {
        self.is_awake() && !self.stalled
    }

    /// Neither dead nor frozen.
    pub fn is_awake(&self) -> bool {
        self.process.is_running() && !self.process.is_frozen()
    }

    pub fn forget_leader(&mut self, now: u64) {
        self.knows = None;
        self.unheard_since = None;
        self.leaderless_since.get_or_insert(now);
        self.primary = None;
    }

    pub fn learn_leader(&mut self, leader: usize) {
        if self.knows != Some(leader) {
            self.leaders_seen += 1;
        }
        self.knows = Some(leader);
        self.unheard_since = None;
        self.leaderless_since = None;
    }

    /// What comes from the leader does not come any more.
    pub fn cut_off(&mut self) {
        self.behind |= !self.coming.is_empty();
        self.coming.clear();
    }
}
