//! How the checker's sentences name times, locks and machines.

use std::fmt;

/// A time in ns, written in seconds with as many digits as it needs, at least three.
pub(super) struct Seconds(pub(super) u64);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 1_000_000_000, self.0 % 1_000_000_000);
        let digits = format!("{rest:09}");
        let (short, long) = digits.split_at(3);
        write!(f, "{whole}.{short}{} s", long.trim_end_matches('0'))
    }
}

/// A token, or that there is none.
pub(super) struct Token(pub(super) Option<u64>);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(token) => write!(f, "token {token}"),
            None => f.write_str("no token"),
        }
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
}
