use crate::report::story::Story;

/// Where on the picture a time is: from left to right, in pieces that are linear.
#[derive(Clone, Debug)]
pub(crate) struct Scale {
    /// Rising in both.
    knots: Vec<(u64, f64)>,
    /// Where idle time was cut short, and what was cut.
    pub folds: Vec<Fold>,
}

/// Idle time that takes less room than it should.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fold {
    pub x: f64,
    pub from_ns: u64,
    pub to_ns: u64,
}

/// Nothing happens for so long a share of the picture: it is folded.
const LONGEST: f64 = 0.11;

impl Scale {
    /// True to time.
    pub fn linear(end_ns: u64, from: f64, to: f64) -> Self {
        Self {
            knots: vec![(0, from), (end_ns.max(1), to)],
            folds: Vec::new(),
        }
    }

    /// What happens gets room, and idle time gives it.
    pub fn folded(story: &Story, from: f64, to: f64) -> Self {
        let times = times(story);
        let mut widths: Vec<(u64, u64, f64)> = Vec::new();
        let per_ns = 1.0 / story.end_ns.max(1) as f64;
        let mut before = 0;
        for (t_ns, least) in times {
            let natural = (t_ns - before) as f64 * per_ns;
            widths.push((before, t_ns, natural.clamp(least, LONGEST.max(least))));
            before = t_ns;
        }
        let total: f64 = widths.iter().map(|(.., width)| width).sum();
        let unit = (to - from) / total.max(f64::MIN_POSITIVE);
        let mut x = from;
        let mut knots = vec![(0, from)];
        let mut folds = Vec::new();
        for (from_ns, to_ns, width) in widths {
            let natural = (to_ns - from_ns) as f64 * per_ns;
            if natural > 1.6 * width {
                folds.push(Fold {
                    x: x + width * unit / 2.0,
                    from_ns,
                    to_ns,
                });
            }
            x += width * unit;
            if to_ns > knots.last().map_or(0, |(t_ns, _)| *t_ns) {
                knots.push((to_ns, x));
            }
        }
        Self { knots, folds }
    }

    pub fn x(&self, t_ns: u64) -> f64 {
        let after = self.knots.partition_point(|(at, _)| *at < t_ns);
        let Some(&(to_ns, to)) = self.knots.get(after) else {
            return self.knots.last().map_or(0.0, |(_, x)| *x);
        };
        let Some(&(from_ns, from)) = after.checked_sub(1).and_then(|at| self.knots.get(at)) else {
            return to;
        };
        from + (to - from) * (t_ns - from_ns) as f64 / (to_ns - from_ns) as f64
    }

    /// The times at which it bends between two others.
    pub fn bends(&self, from_ns: u64, to_ns: u64) -> impl Iterator<Item = u64> {
        let between = move |t_ns: &u64| from_ns < *t_ns && *t_ns < to_ns;
        self.knots.iter().map(|(t_ns, _)| *t_ns).filter(between)
    }
}

/// What needs room, by time: how much at least between it and what was before, as a share of the picture.
fn times(story: &Story) -> Vec<(u64, f64)> {
    const ACCESS: f64 = 0.045;
    const TOLD: f64 = 0.022;
    const PLAIN: f64 = 0.004;
    let mut times: Vec<(u64, f64)> = Vec::new();
    for moment in &story.moments {
        times.push((moment.t_ns, if moment.told { TOLD } else { PLAIN }));
    }
    times.extend(story.accesses.iter().map(|access| (access.t_ns, ACCESS)));
    for bar in &story.bars {
        times.extend([(bar.from_ns, PLAIN), (bar.to_ns, PLAIN)]);
    }
    for fault in &story.faults {
        times.extend([(fault.from_ns, PLAIN), (fault.to_ns, PLAIN)]);
    }
    times.push((story.end_ns, PLAIN));
    times.retain(|(t_ns, _)| *t_ns <= story.end_ns);
    times.sort_by(|one, other| one.0.cmp(&other.0).then(other.1.total_cmp(&one.1)));
    // The most that any at one time needs.
    times.dedup_by_key(|(t_ns, _)| *t_ns);
    times
}
