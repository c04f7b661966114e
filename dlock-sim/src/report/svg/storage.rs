use maud::{Markup, html};

use super::labels::{Labels, width};
use super::{Diagram, LEFT, RIGHT, SMALL, colour, n};
use crate::report::story::Access;
use crate::trace::{Role, StorageAccess};

/// Within the lane: where the accesses are.
pub(super) const RAIL: f64 = 18.0;

impl Diagram<'_> {
    pub(super) fn storage(&self, labels: &mut Labels) -> Markup {
        let lane = self
            .story
            .lanes
            .iter()
            .position(|lane| lane.role == Role::Storage);
        let Some(place) = lane.map(|lane| self.places[lane]) else {
            return html! {};
        };
        let y = place.y + RAIL;
        // What matters most is labelled first.
        let mut order: Vec<&Access> = self.story.accesses.iter().collect();
        order.sort_by_key(|access| (rank(access), access.seq));
        let marks = order
            .into_iter()
            .map(|access| self.access(access, y, labels));
        let marks: Vec<Markup> = marks.collect();
        html! {
            line class="rail" x1=(n(LEFT)) x2=(n(RIGHT)) y1=(n(y)) y2=(n(y)) {}
            @for mark in &marks { (mark) }
        }
    }

    fn access(&self, access: &Access, y: f64, labels: &mut Labels) -> Markup {
        let x = self.x(access.t_ns);
        let by = access.by.to_uppercase();
        let token = self.story.tokens.short(access.token);
        let newest = self.story.tokens.short(access.newest);
        let doing = match access.access {
            StorageAccess::Claim => "claim",
            StorageAccess::Read => "read",
            StorageAccess::Write => "write",
        };
        let write = access.access == StorageAccess::Write;
        let order = if token == newest { "=" } else { "<" };
        let (class, text) = match (access.accepted, access.stale) {
            (false, _) => ("refused", format!("{by} refused: {token} {order} {newest}")),
            (true, true) if access.late => ("stale", format!("{by} writes {token}: stale!")),
            (true, false) if access.late && write => {
                ("stale", format!("{by} writes {token}: too late!"))
            }
            (true, true) => ("stale", format!("{by}, {token}: not above!")),
            (true, false) if write => ("accepted", format!("{by} writes {token}")),
            (true, false) => ("looked", String::new()),
        };
        let lines = [y + 18.0, y + 31.0, y + 44.0, y + 57.0];
        // What was only looked at is told by its dot.
        let label = match class {
            "looked" => None,
            _ => labels.place(&text, x - width(&text, SMALL) / 2.0, &lines, SMALL),
        };
        html! {
            g class=(format!("access {class}")) {
                title {
                    (by) " " (doing) "s with token " (token)
                    @if access.newest.is_some() { "; " (newest) " is the newest that has claimed" }
                    @if !access.accepted { ": refused" }
                }
                @match class {
                    "refused" => {
                        circle cx=(n(x)) cy=(n(y)) r="5.5" {}
                        line x1=(n(x - 4.0)) y1=(n(y + 4.0)) x2=(n(x + 4.0)) y2=(n(y - 4.0)) {}
                    }
                    "looked" => circle class=(format!("stroke-{}", colour(access.colour))) cx=(n(x)) cy=(n(y)) r="3" {},
                    _ => circle class=(format!("fill-{}", colour(access.colour))) cx=(n(x)) cy=(n(y)) r="5" {},
                }
                @if class == "stale" {
                    circle class="ring" cx=(n(x)) cy=(n(y)) r="8" {}
                }
                @if let Some(label) = label {
                    line class="leader" x1=(n(x)) y1=(n(y + 6.0)) x2=(n(x)) y2=(n(label.y - 9.0)) {}
                    text x=(n(label.x)) y=(n(label.y)) { (label.text) }
                }
            }
        }
    }
}

fn rank(access: &Access) -> u8 {
    match (access.accepted, access.stale, access.access) {
        (false, ..) | (_, true, _) => 0,
        (.., StorageAccess::Write) => 1,
        _ => 2,
    }
}
