use super::Span;

/// Spans by their beginning, to be asked which of them overlap another one.
pub(in crate::checker) struct Timeline {
    spans: Vec<Span>,
    /// The latest end of a span and all before it.
    latest_end: Vec<u64>,
}

impl Timeline {
    /// `spans` are ordered by their beginning.
    pub(in crate::checker) fn new(spans: impl Iterator<Item = Span>) -> Self {
        let spans: Vec<Span> = spans.collect();
        let ends = spans.iter().scan(0, |latest, span| {
            *latest = span.to.max(*latest);
            Some(*latest)
        });
        let latest_end = ends.collect();
        Self { spans, latest_end }
    }

    /// The indexes of the spans (none of them empty) that have a moment in common with this one, which counts with
    /// its end; the last first.
    pub(in crate::checker) fn touching(&self, span: Span) -> impl Iterator<Item = usize> {
        let begun = self.spans.partition_point(|other| other.from <= span.to);
        (0..begun)
            .rev()
            .take_while(move |index| self.latest_end[*index] > span.from)
            .filter(move |index| {
                let other = self.spans[*index];
                !other.is_empty() && other.to > span.from
            })
    }

    /// The first moment of a span that is in none of these.
    pub(in crate::checker) fn first_gap(&self, span: Span) -> Option<Span> {
        let mut from = span.from;
        for other in &self.spans {
            if other.from > from {
                break;
            }
            from = from.max(other.to);
        }
        let next = self
            .spans
            .iter()
            .map(|other| other.from)
            .find(|next| *next > from);
        let gap = Span {
            from,
            to: next.unwrap_or(span.to).min(span.to),
        };
        (!gap.is_empty()).then_some(gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(from: u64, to: u64) -> Span {
        Span { from, to }
    }

    #[test]
    fn finds_what_touches_and_what_is_missing() {
        let line = Timeline::new([span(0, 100), span(10, 20), span(30, 40)].into_iter());
        let touching = |from, to| line.touching(span(from, to)).collect::<Vec<_>>();
        assert_eq!(touching(15, 15), [1, 0]);
        assert_eq!(touching(20, 29), [0]);
        assert_eq!(touching(39, 200), [2, 0]);
        assert_eq!(touching(100, 200), [0; 0]);
        assert_eq!(line.first_gap(span(0, 100)), None);
        assert_eq!(line.first_gap(span(50, 120)), Some(span(100, 120)));
        let parts = Timeline::new([span(0, 10), span(15, 20)].into_iter());
        assert_eq!(parts.first_gap(span(5, 18)), Some(span(10, 15)));
    }
}
