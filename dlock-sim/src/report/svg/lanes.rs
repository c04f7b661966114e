use maud::{Markup, html};

use super::labels::{Labels, Rectangle, width};
use super::{Diagram, LEFT, NORMAL, Place, RIGHT, SMALL, colour, n};
use crate::report::story::{Band, BandKind, Bar, BarKind, Overlap};
use crate::trace::Role;

/// Within a client's lane: where its own belief is, and what the store says.
const BELIEVED: (f64, f64) = (16.0, 18.0);
const AUTHORITY: (f64, f64) = (38.0, 16.0);

impl Diagram<'_> {
    pub(super) fn lanes(&self, labels: &mut Labels) -> Markup {
        let overlaps = self.widest_overlaps();
        let bands = self.story.bands.iter();
        html! {
            @for (place, lane) in self.places.iter().zip(&self.story.lanes) {
                rect class="ground" x=(n(LEFT)) y=(n(place.y)) width=(n(RIGHT - LEFT)) height=(n(place.height)) rx="3" {}
                text class=(format!("lane {}", lane_class(lane.role, lane.colour))) x="4" y=(n(place.middle() + 4.0)) {
                    (lane.title)
                }
                @if lane.role == Role::Server {
                    line class="rail" x1=(n(LEFT)) x2=(n(RIGHT)) y1=(n(place.middle())) y2=(n(place.middle())) {}
                }
            }
            @for band in bands.clone().filter(|band| band.kind != BandKind::Clock) { (self.band(band)) }
            @for bar in &self.story.bars { (self.bar(bar, labels)) }
            @for overlap in &overlaps { (self.overlap(overlap, labels)) }
            @for band in bands { (self.band_words(band, labels)) }
            @for remark in &self.story.remarks {
                @let (x, place) = (self.x(remark.t_ns), self.places[remark.lane]);
                g class="remark" {
                    title { (remark.text) }
                    path d=(format!("M{} {}l5 9h-10z", n(x), n(place.middle() - 5.0))) {}
                    @if let Some(label) = labels.place(&remark.text, x + 7.0, &[place.y + 11.0, place.y + 31.0], SMALL) {
                        text x=(n(label.x)) y=(n(label.y)) { (label.text) }
                    }
                }
            }
        }
    }

    /// One of each pair of clients: the longest.
    fn widest_overlaps(&self) -> Vec<&Overlap> {
        let mut widest: Vec<&Overlap> = Vec::new();
        for overlap in &self.story.overlaps {
            let long = |one: &Overlap| one.to_ns - one.from_ns;
            match widest.iter_mut().find(|other| other.lanes == overlap.lanes) {
                Some(other) if long(other) < long(overlap) => *other = overlap,
                Some(_) => {}
                None => widest.push(overlap),
            }
        }
        widest
    }

    /// A band over both lanes: this must not be.
    fn overlap(&self, overlap: &Overlap, labels: &mut Labels) -> Markup {
        let (one, other) = (self.places[overlap.lanes.0], self.places[overlap.lanes.1]);
        let (first, last) = if one.y < other.y {
            (one, other)
        } else {
            (other, one)
        };
        let (from, to) = (self.x(overlap.from_ns), self.x(overlap.to_ns));
        let (top, bottom) = (first.y, last.y + last.height);
        let lines = [first.y + 11.0, last.y + 11.0, last.y + 61.0];
        let label = labels.place(&overlap.text, from + 3.0, &lines, SMALL);
        html! {
            g class="overlap" {
                title { (overlap.text) }
                rect x=(n(from)) y=(n(top)) width=(n((to - from).max(2.0))) height=(n(bottom - top))
                    fill=(format!("url(#{}-both)", self.id)) {}
                @if let Some(label) = label {
                    text x=(n(label.x)) y=(n(label.y)) { (label.text) }
                }
            }
        }
    }

    fn band(&self, band: &Band) -> Markup {
        let place = self.places[band.lane];
        let (from, to) = (self.x(band.from_ns), self.x(band.to_ns));
        let class = if band.kind == BandKind::Down {
            "band down"
        } else {
            "band"
        };
        html! {
            g class=(class) {
                title { (self.title_of(band.lane).title) ": " (band.text) }
                rect x=(n(from)) y=(n(place.y)) width=(n((to - from).max(2.0))) height=(n(place.height)) {}
            }
        }
    }

    /// What is wrong with a machine; of a clock also where.
    fn band_words(&self, band: &Band, labels: &mut Labels) -> Markup {
        let place = self.places[band.lane];
        let (from, to) = (self.x(band.from_ns), self.x(band.to_ns));
        let lines = match self.title_of(band.lane).role {
            Role::Client => [place.y + 11.0, place.y + 61.0],
            _ => [place.middle() + 13.0, place.middle() - 4.0],
        };
        let label = labels.place(&band.text, from + 4.0, &lines, SMALL);
        let class = if band.kind == BandKind::Clock {
            "clock"
        } else {
            "band"
        };
        html! {
            g class=(class) {
                title { (self.title_of(band.lane).title) ": " (band.text) }
                @if band.kind == BandKind::Clock {
                    line x1=(n(from)) x2=(n(to)) y1=(n(place.y + 1.0)) y2=(n(place.y + 1.0)) {}
                }
                @if let Some(label) = label {
                    text x=(n(label.x)) y=(n(label.y)) { (label.text) }
                }
            }
        }
    }

    fn bar(&self, bar: &Bar, labels: &mut Labels) -> Markup {
        let place = self.places[bar.lane];
        let (from, to) = (self.x(bar.from_ns), self.x(bar.to_ns));
        let wide = (to - from).max(2.0);
        let at_server = self.title_of(bar.lane).role == Role::Server;
        let (y, height) = match (bar.kind, at_server) {
            (_, true) => (place.middle() - 6.0, 12.0),
            (BarKind::Authority, _) => (place.y + AUTHORITY.0, AUTHORITY.1),
            _ => (place.y + BELIEVED.0, BELIEVED.1),
        };
        let colour = colour(bar.colour);
        let (class, fill) = match bar.kind {
            BarKind::Believed => (format!("believed fill-{colour}"), None),
            BarKind::Acting => (
                format!("acting stroke-{colour}"),
                Some(format!("url(#{}-acts-{colour})", self.id)),
            ),
            BarKind::Authority => (
                format!("authority stroke-{colour}"),
                Some(format!("url(#{}-hatch-{colour})", self.id)),
            ),
        };
        let token = self.story.tokens.short(bar.token);
        let words = match bar.kind {
            BarKind::Believed => format!("believes, {token}"),
            BarKind::Acting => "acts on".to_owned(),
            BarKind::Authority => "lease".to_owned(),
        };
        let shorter = match bar.kind {
            BarKind::Believed => token,
            _ => String::new(),
        };
        // Inside, where it fits.
        let text = [words, shorter]
            .into_iter()
            .find(|text| width(text, NORMAL) + 8.0 < wide)
            .filter(|text| !text.is_empty());
        if text.is_some() {
            labels.take(Rectangle {
                x: from,
                y,
                width: wide,
                height,
            });
        }
        let inside = if bar.kind == BarKind::Believed {
            "inside"
        } else {
            "inside dark"
        };
        html! {
            g {
                title { (bar.title) }
                rect class=(class) x=(n(from)) y=(n(y)) width=(n(wide)) height=(n(height)) rx="2" fill=[fill] {}
                @if bar.kind == BarKind::Authority && !at_server { (self.wedge(bar, place)) }
                @if let Some(text) = text {
                    @if inside != "inside" {
                        rect class="behind" x=(n(from + 3.0)) y=(n(y + 2.0)) width=(n(width(&text, SMALL) + 2.0))
                            height=(n(height - 4.0)) {}
                    }
                    text class=(inside) x=(n(from + 4.0)) y=(n(y + height / 2.0 + 3.8)) { (text) }
                }
            }
        }
    }

    /// How much of the lease is left: full height is the longest that it ever had.
    fn wedge(&self, bar: &Bar, place: Place) -> Markup {
        let left = |t_ns: u64, end: Option<u64>| end.map(|end| end.saturating_sub(t_ns));
        let most = bar
            .ends
            .iter()
            .filter_map(|(t_ns, end)| left(*t_ns, *end))
            .max();
        let Some(most) = most.filter(|most| *most > 0) else {
            return html! {};
        };
        let (top, high) = (place.y + AUTHORITY.0, AUTHORITY.1);
        let bottom = top + high;
        let y = |t_ns: u64, end: u64| {
            let share = end.saturating_sub(t_ns) as f64 / most as f64;
            bottom - high * share.min(1.0)
        };
        let mut path = format!("M{} {}", n(self.x(bar.from_ns)), n(bottom));
        for (index, (t_ns, end)) in bar.ends.iter().enumerate() {
            let until = bar.ends.get(index + 1).map_or(bar.to_ns, |(next, _)| *next);
            let Some(end) = end else { continue };
            let bends = self.scale.bends(*t_ns, until);
            let times = std::iter::once(*t_ns).chain(bends).chain([until]);
            for at in times {
                path.push_str(&format!("L{} {}", n(self.x(at)), n(y(at, *end))));
            }
        }
        path.push_str(&format!("L{} {}z", n(self.x(bar.to_ns)), n(bottom)));
        html! { path class=(format!("wedge fill-{}", colour(bar.colour))) d=(path) {} }
    }
}

fn lane_class(role: Role, of: usize) -> String {
    match role {
        Role::Client => format!("text-{}", colour(of)),
        _ => String::new(),
    }
}
