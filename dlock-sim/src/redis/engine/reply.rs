use std::borrow::Cow;

/// What a command answers, before it is written in one of the two protocols.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// `+OK`
    Status(Cow<'static, [u8]>),
    /// Without the leading dash: `ERR syntax error`.
    Error(Cow<'static, [u8]>),
    /// An integer.
    Integer(i64),
    /// A string.
    Bulk(Vec<u8>),
    /// No string.
    Null,
    /// No array: RESP2 tells it from [`Null`](Self::Null).
    NullArray,
    /// An array.
    Array(Vec<Reply>),
    /// A map; in RESP2 a flat array.
    Map(Vec<(Reply, Reply)>),
    /// An array of pairs; in RESP2 a flat array.
    Pairs(Vec<(Reply, Reply)>),
    /// A set; in RESP2 an array.
    Set(Vec<Reply>),
    /// A floating-point number; in RESP2 a string.
    Double(f64),
    /// A Boolean; in RESP2 an integer.
    Boolean(bool),
    /// A number of any size; in RESP2 a string.
    BigNumber(Vec<u8>),
    /// Text with a three-letter format; in RESP2 a string.
    Verbatim([u8; 3], Vec<u8>),
    /// A message out of turn; in RESP2 an array.
    Push(Vec<Reply>),
    /// Several replies to one command, one after the other.
    Several(Vec<Reply>),
}

impl Reply {
    /// `+OK`
    pub const OK: Self = Self::Status(Cow::Borrowed(b"OK"));

    /// An error with a fixed text.
    pub const fn error(text: &'static str) -> Self {
        Self::Error(Cow::Borrowed(text.as_bytes()))
    }

    /// An error with a text of its own, made safe for one line.
    pub fn error_text(text: impl Into<Vec<u8>>) -> Self {
        Self::Error(Cow::Owned(one_line(text.into())))
    }

    pub(crate) fn bulk(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().to_vec())
    }

    pub(crate) fn optional(text: Option<&Vec<u8>>) -> Self {
        text.map_or(Self::Null, |text| Self::Bulk(text.clone()))
    }

    /// Writes it in protocol version 2 or 3.
    pub fn write(&self, protocol: u8, to: &mut Vec<u8>) {
        let three = protocol == 3;
        match self {
            Self::Status(text) => line(to, b'+', text),
            Self::Error(text) => line(to, b'-', text),
            Self::Integer(number) => count(to, b':', *number),
            Self::Bulk(text) => bulk(to, text),
            Self::Null if three => to.extend_from_slice(b"_\r\n"),
            Self::Null => to.extend_from_slice(b"$-1\r\n"),
            Self::NullArray if three => to.extend_from_slice(b"_\r\n"),
            Self::NullArray => to.extend_from_slice(b"*-1\r\n"),
            Self::Array(items) => list(to, b'*', items, protocol),
            Self::Set(items) => list(to, if three { b'~' } else { b'*' }, items, protocol),
            Self::Push(items) => list(to, if three { b'>' } else { b'*' }, items, protocol),
            Self::Map(pairs) => {
                if three {
                    count(to, b'%', pairs.len() as i64);
                } else {
                    count(to, b'*', 2 * pairs.len() as i64);
                }
                for (key, value) in pairs {
                    key.write(protocol, to);
                    value.write(protocol, to);
                }
            }
            Self::Pairs(pairs) => {
                count(to, b'*', pairs.len() as i64 * if three { 1 } else { 2 });
                for (key, value) in pairs {
                    if three {
                        count(to, b'*', 2);
                    }
                    key.write(protocol, to);
                    value.write(protocol, to);
                }
            }
            Self::Double(number) if three => line(to, b',', double(*number).as_bytes()),
            Self::Double(number) => bulk(to, double(*number).as_bytes()),
            Self::Boolean(yes) if three => line(to, b'#', if *yes { b"t" } else { b"f" }),
            Self::Boolean(yes) => count(to, b':', i64::from(*yes)),
            Self::BigNumber(digits) if three => line(to, b'(', digits),
            Self::BigNumber(digits) => bulk(to, digits),
            Self::Verbatim(format, text) if three => {
                count(to, b'=', text.len() as i64 + 4);
                to.extend_from_slice(format);
                to.push(b':');
                to.extend_from_slice(text);
                to.extend_from_slice(b"\r\n");
            }
            Self::Verbatim(_, text) => bulk(to, text),
            Self::Several(replies) => {
                for reply in replies {
                    reply.write(protocol, to);
                }
            }
        }
    }
}

fn line(to: &mut Vec<u8>, kind: u8, text: &[u8]) {
    to.push(kind);
    to.extend_from_slice(text);
    to.extend_from_slice(b"\r\n");
}

fn count(to: &mut Vec<u8>, kind: u8, number: i64) {
    line(to, kind, number.to_string().as_bytes());
}

fn bulk(to: &mut Vec<u8>, text: &[u8]) {
    count(to, b'$', text.len() as i64);
    to.extend_from_slice(text);
    to.extend_from_slice(b"\r\n");
}

fn list(to: &mut Vec<u8>, kind: u8, items: &[Reply], protocol: u8) {
    count(to, kind, items.len() as i64);
    for item in items {
        item.write(protocol, to);
    }
}

/// Line ends become spaces, and go at the end.
pub(crate) fn one_line(mut text: Vec<u8>) -> Vec<u8> {
    while matches!(text.last(), Some(b'\r' | b'\n')) {
        text.pop();
    }
    for byte in &mut text {
        if matches!(byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
    text
}

/// A score as the server writes it.
fn double(number: f64) -> String {
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    general(number, 17)
}

/// C's `%.<precision>g`.
pub(crate) fn general(number: f64, precision: usize) -> String {
    if number.is_nan() {
        return if number.is_sign_negative() {
            "-nan"
        } else {
            "nan"
        }
        .to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    if number == 0.0 {
        return if number.is_sign_negative() { "-0" } else { "0" }.to_owned();
    }
    let scientific = format!("{number:.*e}", precision - 1);
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        return scientific;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if exponent < -4 || exponent >= precision as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = (precision as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{number:.decimals$}")).to_owned()
}

fn trimmed(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_c_prints_them() {
        for (number, text) in [
            (1.0, "1"),
            (-3.5, "-3.5"),
            (0.1, "0.10000000000000001"),
            (1e20, "1e+20"),
            (1_785_000_000_000_000.0, "1785000000000000"),
            (1e-7, "9.9999999999999995e-08"),
            (123456.789, "123456.789"),
        ] {
            assert_eq!(general(number, 17), text);
        }
        assert_eq!(general(0.1, 14), "0.1");
    }
}
