use maud::{Markup, html};

use super::{Diagram, colour, n};
use crate::report::story::{Arrow, ArrowKind, Fate};
use crate::trace::Role;

impl Diagram<'_> {
    pub(super) fn messages(&self) -> Markup {
        // Where there are very many, what counts is that there are.
        let crowd = self.story.arrows.len() > 300;
        html! {
            g.messages.crowd[crowd] {
                @for arrow in &self.story.arrows { (self.message(arrow)) }
            }
        }
    }

    fn message(&self, arrow: &Arrow) -> Markup {
        let down = self.places[arrow.from].y < self.places[arrow.to].y;
        let (from_y, to_y) = (self.edge(arrow.from, down), self.edge(arrow.to, !down));
        let (from_x, to_x) = (self.x(arrow.sent_ns), self.x(arrow.received_ns));
        let colour = match arrow.kind {
            ArrowKind::Replication => "replication".to_owned(),
            _ => format!("stroke-{}", colour(arrow.colour)),
        };
        let renewal = if arrow.kind == ArrowKind::Renewal {
            " renewal"
        } else {
            ""
        };
        let fate = match arrow.fate {
            Fate::Delivered => "",
            Fate::Held => " held",
            Fate::Lost => " lost",
        };
        let class = format!("message {colour}{renewal}{fate}");
        let head = format!("url(#{}-head)", self.id);
        html! {
            g class=(class) {
                title { (arrow.title) }
                @if arrow.fate == Fate::Lost {
                    @let (x, y) = (to_x, from_y + (to_y - from_y) * 0.45);
                    line x1=(n(from_x)) y1=(n(from_y)) x2=(n(x)) y2=(n(y)) {}
                    path class="cross" d=(format!("M{} {}l6 6m0 -6l-6 6", n(x - 3.0), n(y - 3.0))) {}
                } @else {
                    line x1=(n(from_x)) y1=(n(from_y)) x2=(n(to_x)) y2=(n(to_y)) marker-end=(head) {}
                }
            }
        }
    }

    /// Where a message leaves or reaches a lane.
    fn edge(&self, lane: usize, below: bool) -> f64 {
        let place = self.places[lane];
        match (self.title_of(lane).role, below) {
            (Role::Client, true) => place.y + 34.0,
            (Role::Client, false) => place.y + 16.0,
            (Role::Storage, _) => place.y + super::storage::RAIL - 6.0,
            _ => place.middle(),
        }
    }
}
