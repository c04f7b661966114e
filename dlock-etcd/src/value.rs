//! What stands in an entry: `dlock1 <standing> <attempt id> <label>`.

use dlock_core::{AttemptId, OwnerLabel};

/// Whose entry it is, as far as we understand it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// One of ours.
    Dlock {
        standing: Standing,
        id: AttemptId,
        label: Option<OwnerLabel>,
    },
    /// Another library's, which excludes us as we exclude it.
    Foreign,
}

/// Whether the owner of an entry knows that the lock is its own. The first in the queue that still
/// waits has not been granted: it has to ask first. So it may be passed over if it does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Waiting,
    Holding,
}

impl Standing {
    fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Holding => "holding",
        }
    }
}

pub(crate) fn written(standing: Standing, id: AttemptId, label: &OwnerLabel) -> Vec<u8> {
    format!("dlock1 {} {} {label}", standing.word(), id.expose()).into_bytes()
}

impl Owner {
    pub fn parse(value: &[u8]) -> Self {
        Self::parse_ours(value).unwrap_or(Self::Foreign)
    }

    fn parse_ours(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let mut parts = text.strip_prefix("dlock1 ")?.splitn(3, ' ');
        let standing = match parts.next()? {
            "waiting" => Standing::Waiting,
            "holding" => Standing::Holding,
            _ => return None,
        };
        let id = AttemptId::parse(parts.next()?)?;
        let label = parts.next()?;
        Some(Self::Dlock {
            standing,
            id,
            label: (!label.is_empty()).then(|| OwnerLabel::new(label)),
        })
    }

    /// It has not been granted, and may be passed over.
    pub fn waits(&self) -> bool {
        matches!(
            self,
            Self::Dlock {
                standing: Standing::Waiting,
                ..
            }
        )
    }

    /// It has been granted, so that it was the first.
    pub fn holds(&self) -> bool {
        matches!(
            self,
            Self::Dlock {
                standing: Standing::Holding,
                ..
            }
        )
    }

    pub fn id(&self) -> Option<AttemptId> {
        match self {
            Self::Dlock { id, .. } => Some(*id),
            Self::Foreign => None,
        }
    }

    /// The value of the same owner once it holds the lock.
    pub fn holding(&self) -> Option<Vec<u8>> {
        let none = OwnerLabel::none();
        match self {
            Self::Dlock { id, label, .. } => Some(written(
                Standing::Holding,
                *id,
                label.as_ref().unwrap_or(&none),
            )),
            Self::Foreign => None,
        }
    }

    pub fn label(&self) -> Option<OwnerLabel> {
        match self {
            Self::Dlock { label, .. } => label.clone(),
            Self::Foreign => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_survives_the_trip(id: u128, holding: bool, label in any::<String>()) {
            let (id, label) = (AttemptId::from_bits(id), OwnerLabel::new(label));
            let standing = if holding { Standing::Holding } else { Standing::Waiting };
            let kept = (!label.as_str().is_empty()).then(|| label.clone());
            prop_assert_eq!(
                Owner::parse(&written(standing, id, &label)),
                Owner::Dlock { standing, id, label: kept }
            );
        }

        #[test]
        fn anything_else_is_foreign(value: Vec<u8>) {
            prop_assert_eq!(Owner::parse(&value), Owner::Foreign);
        }
    }

    #[test]
    fn near_misses_are_foreign() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_ne!(
            Owner::parse(format!("dlock1 waiting {id} ").as_bytes()),
            Owner::Foreign
        );
        for value in [
            String::new(),
            format!("dlock1 waiting {id}"),
            format!("dlock2 waiting {id} "),
            format!("dlock1 Waiting {id} "),
            format!("dlock1 waiting {} ", id.to_uppercase()),
            format!("dlock1 waiting {} ", &id[1..]),
        ] {
            assert_eq!(Owner::parse(value.as_bytes()), Owner::Foreign, "{value}");
        }
    }
}
