/// What a client's bytes say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A command.
    Command(Vec<Vec<u8>>),
    /// No protocol of ours: the server says so and closes.
    Nonsense(&'static str),
}

/// As much as one string may have.
const LONGEST: i64 = 512 * 1024 * 1024;

/// Takes the first whole request out of these bytes, if there is one.
pub fn parse(input: &mut Vec<u8>) -> Option<Request> {
    loop {
        let (request, used) = match first(input) {
            Parsed::More => return None,
            Parsed::Wrong(text) => (Some(Request::Nonsense(text)), input.len()),
            Parsed::Words(words, used) if words.is_empty() => (None, used),
            Parsed::Words(words, used) => (Some(Request::Command(words)), used),
        };
        input.drain(..used);
        if request.is_some() {
            return request;
        }
    }
}

enum Parsed {
    More,
    Wrong(&'static str),
    Words(Vec<Vec<u8>>, usize),
}

fn first(input: &[u8]) -> Parsed {
    let Some(&kind) = input.first() else {
        return Parsed::More;
    };
    if kind != b'*' {
        return inline(input);
    }
    let Some((line, mut at)) = line(input, 0) else {
        return Parsed::More;
    };
    let count = match number(&line[1..]) {
        Some(count) if count <= 1024 * 1024 => count,
        _ => return Parsed::Wrong("ERR Protocol error: invalid multibulk length"),
    };
    let mut words = Vec::new();
    for _ in 0..count {
        let Some((line, next)) = self::line(input, at) else {
            return Parsed::More;
        };
        let length = match line.split_first() {
            Some((b'$', digits)) => number(digits),
            _ => return Parsed::Wrong("ERR Protocol error: expected '$', got something else"),
        };
        let length = match length {
            Some(length) if (0..=LONGEST).contains(&length) => length as usize,
            _ => return Parsed::Wrong("ERR Protocol error: invalid bulk length"),
        };
        if input.len() < next + length + 2 {
            return Parsed::More;
        }
        words.push(input[next..next + length].to_vec());
        at = next + length + 2;
    }
    Parsed::Words(words, at)
}

/// A line of words, as a person types it; quotes mean nothing here.
fn inline(input: &[u8]) -> Parsed {
    let Some(end) = input.iter().position(|&byte| byte == b'\n') else {
        return Parsed::More;
    };
    let words = input[..end].split(|byte| byte.is_ascii_whitespace());
    let words = words.filter(|word| !word.is_empty()).map(<[u8]>::to_vec);
    Parsed::Words(words.collect(), end + 1)
}

fn line(input: &[u8], from: usize) -> Option<(&[u8], usize)> {
    let rest = input.get(from..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    Some((&rest[..end], from + end + 2))
}

fn number(digits: &[u8]) -> Option<i64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_in_pieces() {
        let whole = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n";
        for cut in 0..whole.len() {
            let mut input = whole[..cut].to_vec();
            let mut got = Vec::new();
            while let Some(request) = parse(&mut input) {
                got.push(request);
            }
            input.extend_from_slice(&whole[cut..]);
            while let Some(request) = parse(&mut input) {
                got.push(request);
            }
            let words = |words: &[&str]| {
                Request::Command(words.iter().map(|word| word.as_bytes().to_vec()).collect())
            };
            assert_eq!(got, [words(&["GET", "a"]), words(&["PING"])]);
        }
    }
}
