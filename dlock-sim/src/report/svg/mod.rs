//! The space-time diagram: time from left to right, a lane for each machine.

mod labels;
mod lanes;
mod messages;
mod scale;
mod storage;

use maud::{Markup, html};

use super::story::{Lane, Story};
use crate::trace::Role;
use crate::words::Seconds;
use labels::{Labels, Rectangle, width};
pub(crate) use scale::Scale;

/// The width of a picture, in its own units: what half of a laptop's screen has in pixels.
pub(crate) const WIDTH: f64 = 640.0;

/// Where time begins, and ends.
const LEFT: f64 = 66.0;
const RIGHT: f64 = 632.0;

const SMALL: f64 = 10.0;
const NORMAL: f64 = 11.0;

/// A picture of a story.
pub(crate) struct Diagram<'a> {
    story: &'a Story,
    /// Prefix of the ids in it: there are several pictures on a page.
    id: &'a str,
    pub scale: Scale,
    /// Where each lane begins, and how high it is.
    places: Vec<Place>,
    faults_y: f64,
    fault_rows: Vec<usize>,
    height: f64,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    y: f64,
    height: f64,
}

impl Place {
    fn middle(self) -> f64 {
        self.y + self.height / 2.0
    }
}

/// The height of the axis, of a row of faults, and of a lane.
const AXIS: f64 = 20.0;
const FAULT: f64 = 17.0;
const SERVER: f64 = 34.0;
const CLIENT: f64 = 62.0;
const STORAGE: f64 = 80.0;
const GAP: f64 = 8.0;

impl<'a> Diagram<'a> {
    /// What happens gets room, and idle time gives it; or true to time.
    pub fn of(story: &'a Story, id: &'a str, folded: bool) -> Self {
        let scale = match folded {
            true => Scale::folded(story, LEFT, RIGHT),
            false => Scale::linear(story.end_ns, LEFT, RIGHT),
        };
        let (fault_rows, rows) = fault_rows(story, &scale);
        let faults_y = AXIS + 4.0;
        let mut y = faults_y + rows as f64 * FAULT + GAP;
        let mut places = Vec::new();
        for lane in &story.lanes {
            let height = match lane.role {
                Role::Client => CLIENT,
                Role::Storage => STORAGE,
                _ => SERVER,
            };
            places.push(Place { y, height });
            y += height + GAP;
        }
        Self {
            story,
            id,
            scale,
            places,
            faults_y,
            fault_rows,
            height: y,
        }
    }

    /// As SVG. `label` is for those who do not see it; `standalone` for a file of its own.
    pub fn draw(&self, label: &str, class: &str, standalone: bool) -> Markup {
        let mut labels = Labels::between(LEFT, RIGHT);
        let style = standalone.then_some(STANDALONE);
        let size = standalone.then_some(());
        html! {
            svg class=(class) viewBox=(format!("0 0 {WIDTH} {}", self.height)) role="img" aria-label=(label)
                width=[size.map(|()| WIDTH)] height=[size.map(|()| self.height)]
                xmlns="http://www.w3.org/2000/svg" {
                title { (label) }
                @if let Some(style) = style {
                    style { (maud::PreEscaped(style)) (maud::PreEscaped(super::PICTURE_STYLE)) }
                    rect class="paper" x="0" y="0" width=(WIDTH) height=(n(self.height)) {}
                }
                (self.patterns())
                (self.axis(&mut labels))
                (self.faults(&mut labels))
                (self.lanes(&mut labels))
                (self.messages())
                (self.storage(&mut labels))
                line class="cursor" x1=(n(LEFT)) x2=(n(LEFT)) y1=(n(AXIS)) y2=(n(self.height - GAP)) {}
            }
        }
    }

    fn x(&self, t_ns: u64) -> f64 {
        self.scale.x(t_ns)
    }

    fn title_of(&self, lane: usize) -> &Lane {
        &self.story.lanes[lane]
    }

    /// Hatching, in every client's colour.
    fn patterns(&self) -> Markup {
        let id = self.id;
        html! {
            defs {
                @for colour in 0..COLOURS {
                    pattern id=(format!("{id}-hatch-{colour}")) width="6" height="6" patternUnits="userSpaceOnUse"
                        patternTransform="rotate(45)" {
                        rect class=(format!("fill-{colour}")) width="2" height="6" {}
                    }
                    pattern id=(format!("{id}-acts-{colour}")) width="8" height="8" patternUnits="userSpaceOnUse"
                        patternTransform="rotate(-45)" {
                        rect class=(format!("fill-{colour}")) width="5" height="8" {}
                    }
                }
                pattern id=(format!("{id}-both")) width="7" height="7" patternUnits="userSpaceOnUse"
                    patternTransform="rotate(45)" {
                    rect class="both" width="3" height="7" {}
                }
                marker id=(format!("{id}-head")) viewBox="0 0 6 6" refX="5.5" refY="3" markerWidth="5" markerHeight="5"
                    orient="auto-start-reverse" {
                    path class="head" d="M0 0L6 3L0 6z" {}
                }
            }
        }
    }

    /// Times at which something of the story happens, where there is room.
    fn axis(&self, labels: &mut Labels) -> Markup {
        let mut times: Vec<(u64, u8)> = vec![(0, 0), (self.story.end_ns, 2)];
        times.extend(
            self.story
                .moments
                .iter()
                .filter(|moment| moment.told)
                .map(|moment| (moment.t_ns, if moment.violates.is_empty() { 1 } else { 0 })),
        );
        times.sort_by_key(|(t_ns, rank)| (*rank, *t_ns));
        let mut ticks = Vec::new();
        for (t_ns, _) in times {
            let x = self.x(t_ns);
            let text = seconds(t_ns);
            let wide = width(&text, SMALL) + 6.0;
            let left = (x - wide / 2.0).min(RIGHT - wide);
            let area = Rectangle {
                x: left,
                y: 0.0,
                width: wide,
                height: AXIS - 6.0,
            };
            if labels.is_free(&area) {
                labels.take(area);
                ticks.push((x, left + 3.0, text));
            }
        }
        html! {
            line class="axis" x1=(n(LEFT)) x2=(n(RIGHT)) y1=(n(AXIS - 3.0)) y2=(n(AXIS - 3.0)) {}
            @for (x, left, text) in &ticks {
                line class="axis" x1=(n(*x)) x2=(n(*x)) y1=(n(AXIS - 5.0)) y2=(n(AXIS)) {}
                text class="time" x=(n(*left)) y=(n(AXIS - 9.0)) { (text) }
            }
            @for fold in &self.scale.folds {
                g class="fold" {
                    title { "idle time is folded here: " (Seconds::rounded(fold.to_ns - fold.from_ns)) }
                    path d=(format!("M{} {}l2 -3l2 6l2 -6l2 3", n(fold.x - 4.0), n(AXIS - 3.0))) {}
                }
            }
        }
    }

    fn faults(&self, labels: &mut Labels) -> Markup {
        let drawn = self.story.faults.iter().zip(&self.fault_rows).map(|(fault, row)| {
            let (from, to) = (self.x(fault.from_ns), self.x(fault.to_ns));
            let y = self.faults_y + *row as f64 * FAULT;
            let instant = fault.from_ns == fault.to_ns;
            // The row was chosen so that it fits.
            let start = from + if instant { 8.0 } else { 4.0 };
            let start = start.min(RIGHT - width(&fault.text, SMALL));
            labels.take(Rectangle {
                x: start,
                y,
                width: width(&fault.text, SMALL),
                height: FAULT,
            });
            html! {
                g class="fault" {
                    title { (fault.text) ", " (seconds(fault.from_ns)) @if !instant { " to " (seconds(fault.to_ns)) } }
                    @if instant {
                        path d=(format!("M{} {}l4 6l-4 6l-4 -6z", n(from), n(y + 1.0))) {}
                    } @else {
                        rect x=(n(from)) y=(n(y + 1.0)) width=(n((to - from).max(2.0))) height=(n(FAULT - 3.0)) rx="3" {}
                    }
                    text x=(n(start)) y=(n(y + 11.5)) { (fault.text) }
                }
            }
        });
        let drawn: Vec<Markup> = drawn.collect();
        html! {
            @if !drawn.is_empty() {
                text class="lane" x="4" y=(n(self.faults_y + 12.0)) { "faults" }
            }
            @for one in &drawn { (one) }
        }
    }
}

/// So many clients are told apart by colour; then the colours begin anew.
const COLOURS: usize = 5;

fn colour(of: usize) -> usize {
    of % COLOURS
}

/// Each fault's row, so that no two overlap, and how many there are.
fn fault_rows(story: &Story, scale: &Scale) -> (Vec<usize>, usize) {
    let mut ends: Vec<f64> = Vec::new();
    let rows: Vec<usize> = story
        .faults
        .iter()
        .map(|fault| {
            let from = scale.x(fault.from_ns);
            let wide = width(&fault.text, SMALL) + 14.0;
            let from = from.min(RIGHT - wide);
            let to = scale.x(fault.to_ns).max(from + wide);
            match ends.iter().position(|end| *end <= from) {
                Some(row) => {
                    ends[row] = to;
                    row
                }
                None => {
                    ends.push(to);
                    ends.len() - 1
                }
            }
        })
        .collect();
    (rows, ends.len())
}

/// A time on the axis.
fn seconds(t_ns: u64) -> String {
    let hundredths = t_ns.saturating_add(5_000_000) / 10_000_000;
    let (whole, rest) = (hundredths / 100, hundredths % 100);
    match (rest / 10, rest % 10) {
        (0, 0) => format!("{whole} s"),
        (tenth, 0) => format!("{whole}.{tenth} s"),
        _ => format!("{whole}.{rest:02} s"),
    }
}

/// A coordinate, with as many digits as anybody can see.
fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// For a picture that is not on a page: its own background, and colours for dark surroundings.
const STANDALONE: &str = "svg{font:11px system-ui,sans-serif}";
