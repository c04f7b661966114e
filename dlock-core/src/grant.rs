use std::fmt;

use sha2::{Digest, Sha256};

use crate::{AttemptId, FencingToken};

/// What the store gave: the attempt's id and its token. Renewal and release compare **both**,
/// because a late duplicate of an old request may give the lock back to the same id (R2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Grant {
    /// The attempt that was granted.
    pub id: AttemptId,
    /// The token of this grant.
    pub token: FencingToken,
}

impl Grant {
    /// The grant as text, to hand to another process that releases or extends it
    /// (`Locker::release`, `Locker::extend`). A secret: whoever has it can release the lock.
    pub fn expose(&self) -> String {
        format!("{}:{}", self.id.expose(), self.token)
    }

    /// Reads what [`Grant::expose`] wrote; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (id, token) = text.split_once(':')?;
        Some(Self {
            id: AttemptId::parse(id)?,
            token: FencingToken::new(token.parse().ok()?)?,
        })
    }

    /// A one-way hash of the attempt id: what a fence stores to tell two grants of one token apart.
    pub fn hash(&self) -> GrantHash {
        let digest = Sha256::digest(self.id.bits().to_be_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&digest[..16]);
        GrantHash(u128::from_be_bytes(short))
    }
}

/// See [`Grant::hash`]. Not a secret.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantHash(u128);

impl GrantHash {
    /// Reads what `Display` wrote, as a protected resource keeps it; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        AttemptId::parse(text).map(|digits| Self(digits.bits()))
    }
}

impl fmt::Display for GrantHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for GrantHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_survives_the_trip_as_text() {
        let grant = Grant {
            id: AttemptId::from_bits(7),
            token: FencingToken::MAX,
        };
        assert_eq!(Grant::parse(&grant.expose()), Some(grant));
        assert_eq!(
            GrantHash::parse(&grant.hash().to_string()),
            Some(grant.hash())
        );
        for bad in [
            "",
            "7:1",
            "x:1",
            "00000000000000000000000000000007:-1",
            "00000000000000000000000000000007:9223372036854775808",
        ] {
            assert_eq!(Grant::parse(bad), None, "{bad}");
        }
    }
}
