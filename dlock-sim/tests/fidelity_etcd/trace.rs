//! Generated traces of requests: one seed, one trace.

/// Requests of one client, one after the other.
#[derive(Clone, Debug)]
pub struct Trace {
    pub seed: u64,
    pub steps: Vec<Step>,
    /// Whether there are watchers.
    pub watches: bool,
}

/// One request. Keys are letters, revisions are counted from the trace's first, leases are slots.
#[derive(Clone, Debug)]
pub enum Step {
    Get(Get),
    Put(Put),
    Delete(Delete),
    Txn(Txn),
    Compact {
        revision: i64,
        physical: bool,
    },
    Grant {
        slot: usize,
        ttl: i64,
        chosen: bool,
    },
    /// And its revocation: it would not last for the trace.
    ShortGrant {
        ttl: i64,
    },
    Revoke {
        slot: usize,
    },
    KeepAlive {
        slot: usize,
    },
    TimeToLive {
        slot: usize,
        keys: bool,
    },
    Leases,
    Watch(Watch),
    /// Waits until all events have come, so that the order of what follows is known.
    Settle,
    Cancel {
        id: i64,
    },
    Progress,
}

#[derive(Clone, Debug)]
pub enum Span {
    Empty,
    One(char),
    Between(char, char),
    From(char),
    All,
}

#[derive(Clone, Debug)]
pub struct Get {
    pub span: Span,
    pub limit: i64,
    pub revision: Option<i64>,
    pub sort: Option<(usize, usize)>,
    pub serializable: bool,
    pub keys_only: bool,
    pub count_only: bool,
    /// Minimum and maximum of the modification, then of the creation.
    pub bounds: [Option<i64>; 4],
}

#[derive(Clone, Debug)]
pub struct Put {
    /// None: it is missing.
    pub key: Option<char>,
    pub value: String,
    pub lease: Option<usize>,
    pub prev: bool,
    pub ignore_value: bool,
    pub ignore_lease: bool,
}

#[derive(Clone, Debug)]
pub struct Delete {
    pub span: Span,
    pub prev: bool,
}

#[derive(Clone, Debug)]
pub struct Txn {
    pub compares: Vec<Compare>,
    pub then: Vec<Op>,
    pub otherwise: Vec<Op>,
}

#[derive(Clone, Debug)]
pub enum Op {
    Get(Get),
    Put(Put),
    Delete(Delete),
    Txn(Txn),
}

#[derive(Clone, Debug)]
pub struct Compare {
    pub span: Span,
    /// Version, creation, modification, value, lease.
    pub target: usize,
    /// Equal, greater, less, not equal.
    pub result: usize,
    pub number: i64,
    pub value: String,
}

#[derive(Clone, Debug)]
pub struct Watch {
    pub id: i64,
    pub span: Span,
    pub start: Option<i64>,
    pub prev: bool,
    /// No puts, no deletes.
    pub filters: [bool; 2],
}

pub const SLOTS: usize = 3;
/// Nobody else puts it, and its watcher is told last.
pub const SENTINEL: char = 'z';
pub const SENTINEL_ID: i64 = 99;

impl Trace {
    pub fn generate(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let watches = dice.one_in(4);
        let mut maker = Maker { dice, revision: 0 };
        let mut steps = Vec::new();
        if watches {
            steps.push(Step::Watch(Watch {
                id: SENTINEL_ID,
                span: Span::One(SENTINEL),
                start: None,
                prev: false,
                filters: [false; 2],
            }));
        }
        for _ in 0..if watches { 2 } else { 0 } {
            steps.push(maker.watch());
        }
        let length = 8 + maker.dice.below(12);
        for _ in 0..length {
            maker.step(watches, &mut steps);
        }
        if watches {
            let key = Some(SENTINEL);
            let last = maker.put();
            steps.push(Step::Put(Put {
                key,
                lease: None,
                ignore_value: false,
                ignore_lease: false,
                value: "end".to_owned(),
                ..last
            }));
            steps.push(Step::Settle);
        }
        for slot in 0..SLOTS {
            steps.push(Step::Revoke { slot });
        }
        Self {
            seed,
            steps,
            watches,
        }
    }
}

impl Trace {
    /// It is asked for again with its number, before and after it is cancelled.
    pub fn of_a_compacted_watcher() -> Self {
        let watch = |id, start| {
            Step::Watch(Watch {
                id,
                span: Span::All,
                start,
                prev: false,
                filters: [false; 2],
            })
        };
        let put = |value: &str| {
            Step::Put(Put {
                key: Some('a'),
                value: value.to_owned(),
                lease: None,
                prev: false,
                ignore_value: false,
                ignore_lease: false,
            })
        };
        let compact = Step::Compact {
            revision: 3,
            physical: true,
        };
        let steps = vec![
            watch(SENTINEL_ID, None),
            put("1"),
            put("2"),
            put("3"),
            compact,
            watch(5, Some(1)),
            watch(5, None),
            put("4"),
            Step::Settle,
            Step::Cancel { id: 5 },
            watch(5, None),
            put("5"),
            Step::Settle,
        ];
        Self {
            seed: 0,
            steps,
            watches: true,
        }
    }
}

struct Maker {
    dice: Dice,
    /// About as many changes there have been.
    revision: i64,
}

impl Maker {
    fn step(&mut self, watches: bool, steps: &mut Vec<Step>) {
        let kinds = if watches { 27 } else { 21 };
        let step = match self.dice.below(kinds) {
            0..=5 => {
                self.revision += 1;
                Step::Put(self.put())
            }
            6..=8 => Step::Get(self.get()),
            9 | 10 => {
                self.revision += 1;
                Step::Delete(self.delete())
            }
            11..=15 => {
                self.revision += 1;
                Step::Txn(self.txn(0))
            }
            16 => match self.dice.below(4) {
                0 => return self.compact(watches, steps),
                1 => Step::ShortGrant {
                    ttl: [-1, 0, 1, 2, 3, 9_000_000_000, 9_000_000_001][self.dice.below(7)],
                },
                2 => Step::Leases,
                _ => Step::KeepAlive { slot: self.slot() },
            },
            17 | 18 => Step::Grant {
                slot: self.slot(),
                ttl: 60 + self.dice.below(100) as i64,
                chosen: self.dice.one_in(2),
            },
            19 => match self.dice.below(3) {
                0 => Step::Revoke { slot: self.slot() },
                _ => Step::KeepAlive { slot: self.slot() },
            },
            20 => Step::TimeToLive {
                slot: self.slot(),
                keys: self.dice.one_in(2),
            },
            21..=23 => self.watch(),
            24 => {
                steps.push(Step::Settle);
                Step::Cancel {
                    id: self.dice.below(5) as i64,
                }
            }
            25 => Step::Progress,
            _ => return self.compact(watches, steps),
        };
        steps.push(step);
    }

    /// And a watcher that may begin before it.
    fn compact(&mut self, watches: bool, steps: &mut Vec<Step>) {
        let compact = Step::Compact {
            revision: self.revision(),
            // Else watchers that catch up see what has been compacted for some time more.
            physical: watches || self.dice.one_in(2),
        };
        if !watches {
            return steps.push(compact);
        }
        steps.extend([
            Step::Settle,
            compact,
            Step::Watch(Watch {
                id: 7,
                span: Span::All,
                start: Some(self.revision()),
                prev: true,
                filters: [false; 2],
            }),
        ]);
    }

    fn watch(&mut self) -> Step {
        Step::Watch(Watch {
            id: [0, 0, 1, 2, 3][self.dice.below(5)],
            span: self.any_span(),
            start: self.dice.one_in(4).then(|| self.revision()),
            prev: self.dice.one_in(2),
            filters: [self.dice.one_in(6), self.dice.one_in(6)],
        })
    }

    fn key(&mut self) -> char {
        ['a', 'b', 'c', 'd', 'e', 'f'][self.dice.below(6)]
    }

    fn slot(&mut self) -> usize {
        self.dice.below(SLOTS)
    }

    /// Mostly one that has been.
    fn revision(&mut self) -> i64 {
        self.dice.below(self.revision as usize + 3) as i64
    }

    fn span(&mut self) -> Span {
        match self.dice.below(10) {
            0 if self.dice.one_in(4) => Span::Empty,
            0..=4 => Span::One(self.key()),
            5..=7 => Span::Between(self.key(), self.key()),
            _ => Span::All,
        }
    }

    fn any_span(&mut self) -> Span {
        match self.span() {
            // An empty key would be that of everybody.
            Span::Empty => Span::From(self.key()),
            Span::One(_) if self.dice.one_in(6) => Span::From(self.key()),
            span => span,
        }
    }

    fn put(&mut self) -> Put {
        let ignore_value = self.dice.one_in(10);
        let ignore_lease = self.dice.one_in(10);
        Put {
            key: (!self.dice.one_in(40)).then(|| self.key()),
            value: match ignore_value && !self.dice.one_in(4) {
                true => String::new(),
                false => ["", "1", "2", "3"][self.dice.below(4)].to_owned(),
            },
            lease: (self.dice.one_in(4) && (!ignore_lease || self.dice.one_in(4)))
                .then(|| self.slot()),
            prev: self.dice.one_in(2),
            ignore_value,
            ignore_lease,
        }
    }

    fn get(&mut self) -> Get {
        let mut bound = |chance| {
            let dice = self.dice.one_in(chance);
            dice.then(|| self.revision())
        };
        let bounds = [bound(10), bound(10), bound(10), bound(10)];
        Get {
            span: if self.dice.one_in(12) {
                Span::From(self.key())
            } else {
                self.span()
            },
            limit: [0, 0, 0, 1, 2, 3][self.dice.below(6)],
            revision: self.dice.one_in(5).then(|| self.revision()),
            sort: self
                .dice
                .one_in(2)
                .then(|| (self.dice.below(5), self.dice.below(3))),
            serializable: self.dice.one_in(4),
            keys_only: self.dice.one_in(8),
            count_only: self.dice.one_in(8),
            bounds,
        }
    }

    fn delete(&mut self) -> Delete {
        Delete {
            span: self.span(),
            prev: self.dice.one_in(2),
        }
    }

    fn txn(&mut self, depth: usize) -> Txn {
        if depth == 0 && self.dice.one_in(60) {
            let many = 129 - self.dice.below(2);
            return Txn {
                compares: (0..many).map(|_| self.compare()).collect(),
                then: vec![Op::Put(self.put())],
                otherwise: vec![],
            };
        }
        let most = if depth == 0 { 4 } else { 3 };
        let count = self.dice.below(most);
        let compares = (0..count).map(|_| self.compare()).collect();
        let mut ops = || {
            let count = self.dice.below(most);
            (0..count).map(|_| self.op(depth)).collect()
        };
        Txn {
            compares,
            then: ops(),
            otherwise: ops(),
        }
    }

    fn op(&mut self, depth: usize) -> Op {
        match self.dice.below(9) {
            0..=3 => Op::Put(self.put()),
            4 | 5 => Op::Get(self.get()),
            6 | 7 => Op::Delete(self.delete()),
            _ if depth < 2 => Op::Txn(self.txn(depth + 1)),
            _ => Op::Get(self.get()),
        }
    }

    fn compare(&mut self) -> Compare {
        let target = self.dice.below(5);
        Compare {
            span: match self.span() {
                Span::Empty if !self.dice.one_in(4) => Span::One(self.key()),
                span => span,
            },
            target,
            result: self.dice.below(4),
            number: match target {
                0 => self.dice.below(4) as i64,
                1 | 2 if self.dice.one_in(2) => -1,
                1 | 2 => self.revision(),
                _ => self.slot() as i64,
            },
            value: ["", "1", "2"][self.dice.below(3)].to_owned(),
        }
    }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        (self.roll() % count as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }
}
