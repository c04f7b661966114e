/// Places texts so that none covers another.
#[derive(Default)]
pub(super) struct Labels {
    taken: Vec<Rectangle>,
    left: f64,
    right: f64,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Rectangle {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

/// A text with its place: the left end of its base line.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    pub x: f64,
    pub y: f64,
    pub text: String,
}

/// The widest that a letter is on average, in shares of the font's size: wide fonts are met with, too.
const LETTER: f64 = 0.63;

/// How wide a text is at most.
pub(super) fn width(text: &str, size: f64) -> f64 {
    text.chars().count() as f64 * size * LETTER
}

impl Labels {
    /// Nothing is written beyond these.
    pub fn between(left: f64, right: f64) -> Self {
        Self {
            taken: Vec::new(),
            left,
            right,
        }
    }

    /// Nothing may be written there.
    pub fn take(&mut self, area: Rectangle) {
        self.taken.push(area);
    }

    pub fn is_free(&self, area: &Rectangle) -> bool {
        !self.taken.iter().any(|other| area.meets(other))
    }

    /// The text at the first of these base lines that is free there, else more to the left; none if there is no room.
    pub fn place(&mut self, text: &str, x: f64, lines: &[f64], size: f64) -> Option<Placed> {
        let width = width(text, size);
        let fits = (self.right - width).max(0.0);
        for x in [x, x - width / 2.0, x - width - 8.0] {
            for &y in lines {
                let area = Rectangle {
                    x: x.min(fits),
                    y: y - size,
                    width,
                    height: size * 1.25,
                };
                if area.x >= self.left && self.is_free(&area) {
                    self.taken.push(area);
                    return Some(Placed {
                        x: area.x,
                        y,
                        text: text.to_owned(),
                    });
                }
            }
        }
        None
    }
}

impl Rectangle {
    fn meets(&self, other: &Self) -> bool {
        self.x < other.x + other.width
            && other.x < self.x + self.width
            && self.y < other.y + other.height
            && other.y < self.y + self.height
    }
}
