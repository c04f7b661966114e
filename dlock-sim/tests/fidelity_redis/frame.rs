//! Replies, and which differences between two of them do not count.

use std::fmt;

use crate::traces::Dialect;

/// One reply in either protocol.
#[derive(Clone, PartialEq)]
pub enum Frame {
    /// A line: its kind and its text.
    Line(u8, Vec<u8>),
    /// A string with a length: its kind and its text.
    Blob(u8, Vec<u8>),
    /// Several replies in one: its kind and its parts. A map has twice as many parts as it says.
    Several(u8, Vec<Frame>),
}

pub fn parse_all(bytes: &[u8]) -> Vec<Frame> {
    let (mut at, mut frames) = (0, Vec::new());
    while at < bytes.len() {
        frames.push(parse(bytes, &mut at));
    }
    frames
}

fn parse(bytes: &[u8], at: &mut usize) -> Frame {
    let end = bytes[*at..].windows(2).position(|pair| pair == b"\r\n");
    let end = *at + end.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(&bytes[*at..])));
    let (kind, text) = (bytes[*at], bytes[*at + 1..end].to_vec());
    *at = end + 2;
    let count = || String::from_utf8_lossy(&text).parse::<i64>().unwrap();
    match kind {
        b'$' | b'=' | b'!' if count() >= 0 => {
            let length = count() as usize;
            let text = bytes[*at..*at + length].to_vec();
            *at += length + 2;
            Frame::Blob(kind, text)
        }
        b'*' | b'%' | b'~' | b'>' if count() >= 0 => {
            let parts = count() * if kind == b'%' { 2 } else { 1 };
            Frame::Several(kind, (0..parts).map(|_| parse(bytes, at)).collect())
        }
        _ => Frame::Line(kind, text),
    }
}

/// What need not be equal in the replies of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    /// Only times since 1970, which may be off by seconds: the two servers do not run at once.
    Nothing,
    /// Also smaller numbers of milliseconds.
    Durations,
    /// An array's order.
    Order,
    /// Everything but the kind.
    Content,
    /// In a map: who and which connection it is.
    Identity,
}

/// Whether the real server's reply and the simulated one's agree.
pub fn agree(real: &Frame, simulated: &Frame, mask: Mask, dialect: Dialect) -> bool {
    let mask = match (mask, dialect) {
        (Mask::Identity, Dialect::Other) => Mask::Content,
        _ => mask,
    };
    match (real, simulated) {
        (Frame::Line(b'-', one), Frame::Line(b'-', other)) if dialect == Dialect::Other => {
            let code = |text: &[u8]| text.split(|&byte| byte == b' ').next().map(<[u8]>::to_vec);
            code(one) == code(other)
        }
        (Frame::Line(a, _), Frame::Line(b, _)) | (Frame::Blob(a, _), Frame::Blob(b, _))
            if mask == Mask::Content =>
        {
            a == b
        }
        (Frame::Line(a, one), Frame::Line(b, other))
        | (Frame::Blob(a, one), Frame::Blob(b, other)) => {
            a == b
                && (one == other
                    || texts_agree(one, other, mask)
                    || dialect == Dialect::Other && same_number(one, other))
        }
        (Frame::Several(a, ones), Frame::Several(b, others)) => {
            if a != b || ones.len() != others.len() {
                return mask == Mask::Content && a == b;
            }
            if mask == Mask::Order {
                let sorted = |frames: &[Frame]| {
                    let mut texts: Vec<String> =
                        frames.iter().map(|frame| format!("{frame:?}")).collect();
                    texts.sort();
                    texts
                };
                return sorted(ones) == sorted(others);
            }
            let mut masked = false;
            ones.iter().zip(others).all(|(one, other)| {
                let fine = masked || agree(one, other, mask, dialect);
                masked = mask == Mask::Identity
                    && matches!(one, Frame::Blob(_, name) if [&b"id"[..], b"version", b"server"].contains(&name.as_slice()));
                fine
            })
        }
        _ => false,
    }
}

/// Texts that are equal but for numbers that are near each other.
fn texts_agree(one: &[u8], other: &[u8], mask: Mask) -> bool {
    let (ones, others) = (pieces(one), pieces(other));
    ones.len() == others.len()
        && ones.iter().zip(&others).all(|(one, other)| {
            if one == other {
                return true;
            }
            let number = |piece: &[u8]| std::str::from_utf8(piece).ok()?.parse::<u64>().ok();
            let (Some(a), Some(b)) = (number(one), number(other)) else {
                return false;
            };
            let near = match a.min(b) {
                1_500_000_000_000_000.. => 5_000_000,
                1_500_000_000_000.. => 5_000,
                1_500_000_000.. => 5,
                _ if mask == Mask::Durations => 2_000,
                _ => 0,
            };
            a.abs_diff(b) <= near
        })
}

/// The same floating-point number, in more or fewer digits.
fn same_number(one: &[u8], other: &[u8]) -> bool {
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<f64>().ok();
    number(one).is_some_and(|one| Some(one) == number(other))
}

/// Runs of digits, and of anything else.
fn pieces(text: &[u8]) -> Vec<&[u8]> {
    text.chunk_by(|a, b| a.is_ascii_digit() == b.is_ascii_digit())
        .collect()
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(kind, text) => {
                write!(f, "{}{}", char::from(*kind), text.escape_ascii())
            }
            Self::Blob(kind, text) => {
                write!(f, "{}\"{}\"", char::from(*kind), text.escape_ascii())
            }
            Self::Several(kind, parts) => {
                write!(f, "{}", char::from(*kind))?;
                f.debug_list().entries(parts).finish()
            }
        }
    }
}
