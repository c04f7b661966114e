use std::fmt::Write as _;

use super::Panel;
use super::story::{BandKind, BarKind, Lane, Story};
use super::svg::Scale;
use crate::trace::Role;
use crate::words::Seconds;

/// Columns of a terminal.
const COLUMNS: usize = 100;
/// Where time begins.
const LEFT: usize = 10;
const RIGHT: usize = COLUMNS - 1;

/// For a terminal: the lanes of the picture, and the narration. 100 columns wide.
pub(super) fn text(panel: &Panel<'_>) -> String {
    let story = panel.story();
    let scale = Scale::folded(&story, LEFT as f64, RIGHT as f64);
    let mut out = format!("{}\n", panel.heading);
    for line in wrapped(&panel.verdict, COLUMNS - 2) {
        let _ = writeln!(out, "  {line}");
    }
    out.push('\n');
    for line in lines(&story, &scale) {
        let _ = writeln!(out, "{}", line.trim_end());
    }
    out.push_str("\n          █ believes  ▒ acts on after that  ░ lease at the store  ┄ stands still or down\n");
    out.push_str("          ● write  ○ look  ⊘ refused  ▲ a server changes\n\n");
    for moment in story.moments.iter().filter(|moment| moment.told) {
        let time = format!("{:>8}", Seconds::rounded_at(moment.t_ns));
        let broken: Vec<&str> = moment
            .violates
            .iter()
            .map(|(property, _)| property.as_str())
            .collect();
        let broken = match broken.is_empty() {
            true => String::new(),
            false => format!(" [{} broken]", broken.join(", ")),
        };
        let said = format!("{}{broken}", moment.text);
        for (index, line) in wrapped(&said, COLUMNS - 10).into_iter().enumerate() {
            let before = if index == 0 {
                time.as_str()
            } else {
                "        "
            };
            let _ = writeln!(out, "{before}  {line}");
        }
    }
    out
}

fn lines(story: &Story, scale: &Scale) -> Vec<String> {
    let column = |t_ns: u64| (scale.x(t_ns).round() as usize).clamp(LEFT, RIGHT);
    let mut lines = vec![axis(story, &column)];
    for fault in &story.faults {
        let mut line = Line::titled("fault");
        let (from, to) = (column(fault.from_ns), column(fault.to_ns));
        line.fill(from, to.max(from + 1), '~');
        line.write(from, &format!("[{}]", fault.text));
        lines.push(line.text());
    }
    for (index, lane) in story.lanes.iter().enumerate() {
        match lane.role {
            Role::Client => lines.extend(client(story, index, lane, &column)),
            Role::Storage => lines.extend(storage(story, lane, &column)),
            _ => lines.push(server(story, index, lane, &column)),
        }
    }
    lines
}

fn axis(story: &Story, column: &impl Fn(u64) -> usize) -> String {
    let mut line = Line::titled("");
    line.write(LEFT, "0");
    let told = story.moments.iter().filter(|moment| moment.told);
    for t_ns in told.map(|moment| moment.t_ns).chain([story.end_ns]) {
        line.write_if_free(column(t_ns), &Seconds::rounded_at(t_ns));
    }
    line.text()
}

fn server(story: &Story, index: usize, lane: &Lane, column: &impl Fn(u64) -> usize) -> String {
    let mut line = Line::titled(&lane.title);
    line.fill(LEFT, RIGHT, '─');
    for band in story
        .bands
        .iter()
        .filter(|band| band.lane == index && band.kind != BandKind::Clock)
    {
        line.fill(column(band.from_ns), column(band.to_ns), '┄');
        line.write(column(band.from_ns), &band.text);
    }
    for bar in story.bars.iter().filter(|bar| bar.lane == index) {
        line.fill(column(bar.from_ns), column(bar.to_ns), '░');
    }
    for remark in story.remarks.iter().filter(|remark| remark.lane == index) {
        line.write(column(remark.t_ns), &format!("▲{}", remark.text));
    }
    line.text()
}

fn client(story: &Story, index: usize, lane: &Lane, column: &impl Fn(u64) -> usize) -> [String; 2] {
    let mut believes = Line::titled(&lane.title);
    let mut lease = Line::titled("");
    let bars = story.bars.iter().filter(|bar| bar.lane == index);
    for bar in bars.clone() {
        let (from, to) = (column(bar.from_ns), column(bar.to_ns));
        let to = to.max(from + 1);
        match bar.kind {
            BarKind::Believed => believes.fill(from, to, '█'),
            BarKind::Acting => believes.fill(from, to, '▒'),
            BarKind::Authority => lease.fill(from, to, '░'),
        }
    }
    for bar in bars.filter(|bar| bar.kind == BarKind::Authority) {
        let (from, to) = (column(bar.from_ns), column(bar.to_ns));
        let token = story.tokens.short(bar.token);
        if token.chars().count() + 2 <= to.saturating_sub(from) {
            lease.write(from + 1, &token);
        }
    }
    for band in story.bands.iter().filter(|band| band.lane == index) {
        let (from, to) = (column(band.from_ns), column(band.to_ns));
        if band.kind != BandKind::Clock {
            believes.fill_free(from, to, '┄');
        }
        believes.write(from, &format!("‖{}", band.text));
    }
    [believes.text(), lease.text()]
}

fn storage(story: &Story, lane: &Lane, column: &impl Fn(u64) -> usize) -> Vec<String> {
    let mut line = Line::titled(&lane.title);
    line.fill(LEFT, RIGHT, '─');
    let mut labels = vec![Line::titled(""), Line::titled(""), Line::titled("")];
    for access in &story.accesses {
        let at = column(access.t_ns);
        let write = access.access == crate::trace::StorageAccess::Write;
        let mark = match (access.accepted, write) {
            (false, _) => '⊘',
            (true, true) => '●',
            (true, false) => '○',
        };
        line.fill(at, at + 1, mark);
        if access.accepted && !write {
            continue;
        }
        let by = access.by.to_uppercase();
        let word = match (access.accepted, access.stale) {
            (false, _) => format!("{by} refused"),
            (true, true) if access.late => format!("{by} writes: STALE"),
            (true, _) if access.late => format!("{by} writes: TOO LATE"),
            (true, true) => format!("{by}: token NOT ABOVE"),
            _ => format!("{by} writes"),
        };
        let at = at.min(RIGHT.saturating_sub(word.chars().count()));
        let _ = labels
            .iter_mut()
            .any(|label| label.write_if_free(at, &word));
    }
    let mut lines = vec![line.text()];
    lines.extend(
        labels
            .into_iter()
            .map(Line::text)
            .filter(|line| !line.trim().is_empty()),
    );
    lines
}

/// A line of the terminal, letter by letter.
struct Line(Vec<char>);

impl Line {
    fn titled(title: &str) -> Self {
        let mut line = Self(vec![' '; COLUMNS]);
        line.write(0, title);
        line
    }

    fn fill(&mut self, from: usize, to: usize, with: char) {
        for letter in self.0.iter_mut().take(to).skip(from) {
            *letter = with;
        }
    }

    fn fill_free(&mut self, from: usize, to: usize, with: char) {
        for letter in self.0.iter_mut().take(to).skip(from) {
            if *letter == ' ' {
                *letter = with;
            }
        }
    }

    /// Moved to the left where the line ends.
    fn write(&mut self, at: usize, text: &str) {
        let wide = text.chars().count();
        let at = at.min(COLUMNS.saturating_sub(wide));
        for (letter, with) in self.0.iter_mut().skip(at).zip(text.chars()) {
            *letter = if with.is_control() { '�' } else { with };
        }
    }

    /// With a blank on both sides; false: there is no room.
    fn write_if_free(&mut self, at: usize, text: &str) -> bool {
        let wide = text.chars().count();
        let at = at.min(COLUMNS.saturating_sub(wide));
        let around = at.saturating_sub(1)..(at + wide + 1).min(COLUMNS);
        let free = self.0[around].iter().all(|letter| *letter == ' ');
        if free {
            self.write(at, text);
        }
        free
    }

    fn text(self) -> String {
        self.0.into_iter().collect()
    }
}

/// Words in lines of at most so many letters.
fn wrapped(text: &str, wide: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    // Control characters of a trace are none of the terminal's.
    let text: String = text
        .chars()
        .map(|letter| {
            if letter.is_control() && !letter.is_whitespace() {
                '�'
            } else {
                letter
            }
        })
        .collect();
    for word in text.split_whitespace() {
        let line = lines.last().map_or(0, |line| line.chars().count());
        if line > 0 && line + 1 + word.chars().count() > wide {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}
