//! How sentences for people name times and tokens.

use std::collections::BTreeSet;
use std::fmt;

use crate::trace::{Event, Kind};

/// A time in ns, written in seconds with as many digits as it needs, at least three.
pub(crate) struct Seconds(pub(crate) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let digits = format!("{rest:09}");
        let (short, long) = digits.split_at(3);
        write!(f, "{whole}.{short}{} s", long.trim_end_matches('0'))
    }
}

impl Seconds {
    /// A moment in a story: `0.21 s`.
    pub(crate) fn rounded_at(ns: u64) -> String {
        let hundredths = ns.saturating_add(5_000_000) / 10_000_000;
        format!("{}.{:02} s", hundredths / 100, hundredths % 100)
    }

    /// As one says it: `4.2 s`, `380 ms`.
    pub(crate) fn rounded(ns: u64) -> String {
        let ms = ns.saturating_add(500_000) / 1_000_000;
        match ms {
            0..1000 => format!("{ms} ms"),
            _ => format!("{}.{} s", (ms + 50) / 1000, (ms + 50) % 1000 / 100),
        }
    }
}

/// With a capital letter, as sentences begin; names of machines stay as they are.
pub(crate) fn capital(text: &str) -> String {
    let first_word = text.split(' ').next().unwrap_or_default();
    if first_word.contains(|letter: char| letter.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// A text in which the clients are named as in the pictures: `C1` of `c1`.
pub(crate) fn with_clients(text: &str) -> String {
    let is_word = |letter: char| letter.is_alphanumeric() || letter == '-';
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(|letter: char| !is_word(letter)) {
        let word = part.trim_end_matches(|letter: char| !is_word(letter));
        let number = word.strip_prefix('c').unwrap_or_default();
        match !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
            true => out.push_str(&part.to_uppercase()),
            false => out.push_str(part),
        }
    }
    out
}

/// A span of ms in ns.
pub(crate) fn of_ms(ms: u64) -> u64 {
    ms.saturating_mul(1_000_000)
}

/// A token, or that there is none.
pub(crate) struct Token(pub(crate) Option<u64>);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(token) => write!(f, "token {token}"),
            None => f.write_str("no token"),
        }
    }
}

/// The tokens of a trace, shortened for people: of long ones only the digits are left in which they differ.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tokens {
    /// Of tokens with so many digits.
    digits: usize,
    /// These are left.
    from: usize,
    to: usize,
}

/// Below this many digits a token is written whole.
const SHORT: usize = 7;

/// At least so many digits are left.
const LEAST: usize = 4;

impl Tokens {
    pub(crate) fn of<'a>(events: impl IntoIterator<Item = &'a Event>) -> Self {
        let granted = |event: &Event| match &event.kind {
            Kind::Granted { token, .. }
            | Kind::AuthorityBegins {
                token: Some(token), ..
            } => Some(*token),
            _ => None,
        };
        let all: BTreeSet<u64> = events.into_iter().filter_map(granted).collect();
        let all: Vec<String> = all.iter().map(u64::to_string).collect();
        let digits = all.first().map_or(0, String::len);
        if digits < SHORT || all.iter().any(|token| token.len() != digits) {
            return Self::default();
        }
        let same = |at: &usize| {
            let digit = |token: &String| token.as_bytes()[*at];
            all.iter().all(|token| digit(token) == digit(&all[0]))
        };
        let zero = |at: &usize| all.iter().all(|token| token.as_bytes()[*at] == b'0');
        let to = digits - (0..digits).rev().take_while(zero).count();
        let from = (0..digits).take_while(same).count();
        Self {
            digits,
            from: from.min(to.saturating_sub(LEAST)),
            to,
        }
    }

    /// A text with its long tokens shortened.
    pub(crate) fn shorten(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(from) = rest.find(|letter: char| letter.is_ascii_digit()) {
            let (before, number) = rest.split_at(from);
            let digits = number.bytes().take_while(u8::is_ascii_digit).count();
            let (number, after) = number.split_at(digits);
            out.push_str(before);
            match number.parse() {
                Ok(token) if digits == self.digits => out.push_str(&self.short(Some(token))),
                _ => out.push_str(number),
            }
            rest = after;
        }
        out + rest
    }

    /// `34`, or `…0214` of `1767225600214000`.
    pub(crate) fn short(&self, token: Option<u64>) -> String {
        let Some(token) = token else {
            return "none".to_owned();
        };
        let whole = token.to_string();
        if self.digits == 0 || whole.len() != self.digits {
            return whole;
        }
        format!("…{}", &whole[self.from..self.to])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_as_many_digits_as_they_need() {
        let shown = |ns| Seconds(ns).to_string();
        assert_eq!(shown(0), "0.000 s");
        assert_eq!(shown(1_500_000_000), "1.500 s");
        assert_eq!(shown(12_000_050_000), "12.00005 s");
        assert_eq!(shown(u64::MAX), "18446744073.709551615 s");
    }

    fn granted(token: u64) -> Event {
        let kind = Kind::Granted {
            op: 1,
            name: String::new(),
            attempt: String::new(),
            token,
            ttl_ns: 0,
            deadline_local_ns: 0,
        };
        Event {
            seq: 0,
            t_ns: 0,
            node: String::new(),
            local_ns: None,
            cause: None,
            kind,
        }
    }

    #[test]
    fn tokens_are_shortened_to_the_digits_in_which_they_differ() {
        let long = [1_767_225_600_214_000, 1_767_225_602_221_000].map(granted);
        let long = Tokens::of(&long);
        assert_eq!(long.short(Some(1_767_225_600_214_000)), "…0214");
        assert_eq!(long.short(Some(1_767_225_602_221_000)), "…2221");
        assert_eq!(long.short(Some(3)), "3");
        assert_eq!(long.short(None), "none");
        let text = "c1 (token 1767225600214000) at 6.230 s, 12";
        assert_eq!(long.shorten(text), "c1 (token …0214) at 6.230 s, 12");
        let one = Tokens::of(&[granted(1_767_225_600_214_000)]);
        assert_eq!(one.short(Some(1_767_225_600_214_000)), "…0214");
        let few = Tokens::of(&[granted(2), granted(33)]);
        assert_eq!(few.short(Some(33)), "33");
    }

    #[test]
    fn clients_are_named_as_in_the_pictures() {
        assert_eq!(
            with_clients("c1 ✕ redis-1, c12's lock"),
            "C1 ✕ redis-1, C12's lock"
        );
        assert_eq!(with_clients("etc1 and cluster, c"), "etc1 and cluster, c");
    }

    #[test]
    fn rounded_spans_read_well() {
        assert_eq!(Seconds::rounded(0), "0 ms");
        assert_eq!(Seconds::rounded(999_400_000), "999 ms");
        assert_eq!(Seconds::rounded(999_600_000), "1.0 s");
        assert_eq!(Seconds::rounded(4_249_000_000), "4.2 s");
        assert_eq!(capital("a server"), "A server");
        assert_eq!(capital("redis-1 restarts"), "redis-1 restarts");
        Seconds::rounded(u64::MAX);
        Seconds::rounded_at(u64::MAX);
    }
}
