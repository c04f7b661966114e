//! What stands in a lock key: `dlock1:<attempt id>:<token>:<label>`.

use dlock_core::{AttemptId, FencingToken, Grant, OwnerLabel};

/// The newest token that a script can mint: Lua's numbers are exact up to here.
pub(crate) const NEWEST_TOKEN: u64 = (1 << 53) - 1;

/// A lock key's value as far as we understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// One of ours.
    Dlock {
        grant: Grant,
        label: Option<OwnerLabel>,
    },
    /// Some other library's lock: excluded as it excludes us, but it has no token and no label.
    Foreign,
}

impl Holder {
    pub fn parse(value: &[u8]) -> Self {
        Self::parse_ours(value).unwrap_or(Self::Foreign)
    }

    fn parse_ours(value: &[u8]) -> Option<Self> {
        let mut parts = value
            .strip_prefix(b"dlock1:")?
            .splitn(3, |&byte| byte == b':');
        let id = AttemptId::parse(std::str::from_utf8(parts.next()?).ok()?)?;
        let token = parse_token(parts.next()?)?;
        Some(Self::Dlock {
            grant: Grant { id, token },
            label: parse_label(parts.next()?),
        })
    }
}

/// A token as the scripts write it: decimal, without leading zeros, above 0.
pub(crate) fn parse_token(digits: &[u8]) -> Option<FencingToken> {
    if !digits.iter().all(u8::is_ascii_digit) || digits.first().is_none_or(|&first| first == b'0') {
        return None;
    }
    let token = std::str::from_utf8(digits).ok()?.parse().ok()?;
    FencingToken::new(token).filter(|_| token <= NEWEST_TOKEN)
}

/// A label as it was stored; nothing for the empty one.
pub(crate) fn parse_label(text: &[u8]) -> Option<OwnerLabel> {
    (!text.is_empty()).then(|| OwnerLabel::new(String::from_utf8_lossy(text)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As `attempt.lua` writes it; that the script and this parser agree is tested on a server.
    fn written(grant: Grant, label: &OwnerLabel) -> Vec<u8> {
        format!("dlock1:{}:{}:{label}", grant.id.expose(), grant.token).into_bytes()
    }

    proptest! {
        #[test]
        fn a_value_survives_the_trip(id: u128, token in 1..=NEWEST_TOKEN, label in any::<String>()) {
            let grant = Grant { id: AttemptId::from_bits(id), token: FencingToken::new(token).unwrap() };
            let label = OwnerLabel::new(label);
            let kept = (!label.as_str().is_empty()).then(|| label.clone());
            prop_assert_eq!(Holder::parse(&written(grant, &label)), Holder::Dlock { grant, label: kept });
        }

        #[test]
        fn anything_else_is_foreign(value: Vec<u8>) {
            prop_assert_eq!(Holder::parse(&value), Holder::Foreign);
        }
    }

    #[test]
    fn near_misses_are_foreign() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_ne!(
            Holder::parse(format!("dlock1:{id}:7:").as_bytes()),
            Holder::Foreign
        );
        for value in [
            format!("dlock1:{id}:7"),
            format!("dlock2:{id}:7:"),
            format!("dlock1:{}:7:", id.to_uppercase()),
            format!("dlock1:{}:7:", &id[1..]),
            format!("dlock1:{id}:0:"),
            format!("dlock1:{id}:07:"),
            format!("dlock1:{id}:-7:"),
            format!("dlock1:{id}:+7:"),
            format!("dlock1:{id}::"),
            format!("dlock1:{id}:9007199254740992:"),
            format!("dlock1:{id}:99999999999999999999999:"),
        ] {
            assert_eq!(Holder::parse(value.as_bytes()), Holder::Foreign, "{value}");
        }
    }
}
