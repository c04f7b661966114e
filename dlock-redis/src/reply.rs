//! Answers of the scripts. Whatever a server sends: a value or an error, never a panic.

use std::time::Duration;

use dlock_core::store::{Attempt, Expiry, Granted, HeldBy, Inspection, Place, Renewed};
use dlock_core::{AttemptId, FencingToken, Grant};
use redis::Value;

use crate::connection::Failure;
use crate::value::{Holder, parse_label, parse_token};

/// What `take` in `take.lua` answers. `rank`: how many entries are before ours; nothing when it is in no queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The script took the free lock just now, so the expiry is this call's, whatever was sent before.
    Granted {
        grant: Grant,
        ttl: Duration,
        rank: Option<u32>,
    },
    /// An earlier request of the attempt took it.
    Earlier { grant: Grant },
    /// Somebody else has it.
    Busy { held_by: HeldBy, rank: Option<u32> },
    /// It is free, and in line for somebody else for so long.
    Reserved { left: Duration, rank: Option<u32> },
}

impl Answer {
    /// For the `Locker`, with a place for those who may wait.
    pub fn into_attempt(self, place: Option<Box<dyn Place>>) -> Attempt {
        match self {
            Self::Granted { grant, .. } => Attempt::Granted(Granted {
                grant,
                expiry: Expiry::ByThisCall,
            }),
            Self::Earlier { grant } => Attempt::Granted(Granted {
                grant,
                expiry: Expiry::ByEarlierCall,
            }),
            Self::Busy { held_by, .. } => Attempt::Busy { held_by, place },
            Self::Reserved { .. } => Attempt::Busy {
                held_by: HeldBy::default(),
                place,
            },
        }
    }
}

/// `attempt.lua`
pub(crate) fn attempt(reply: &Value, id: AttemptId, ttl: Duration) -> Result<Answer, Failure> {
    let grant = |token| {
        let token = bytes(token)
            .and_then(parse_token)
            .ok_or(Failure::Senseless("a token that is none"))?;
        Ok(Grant { id, token })
    };
    match tagged(reply) {
        Some((b"granted", [token, place])) => Ok(Answer::Granted {
            grant: grant(token)?,
            ttl,
            rank: rank(place)?,
        }),
        Some((b"earlier", [token])) => Ok(Answer::Earlier {
            grant: grant(token)?,
        }),
        Some((b"busy", [label, left, place])) => {
            let label = parse_label(bytes(label).ok_or(UNKNOWN)?);
            Ok(Answer::Busy {
                held_by: HeldBy::new(label, time_left(left)?),
                rank: rank(place)?,
            })
        }
        Some((b"reserved", [left, place])) => Ok(Answer::Reserved {
            left: time_left(left)?.ok_or(UNKNOWN)?,
            rank: rank(place)?,
        }),
        _ => Err(UNKNOWN),
    }
}

/// Negative: in no queue.
fn rank(place: &Value) -> Result<Option<u32>, Failure> {
    match place {
        Value::Int(rank) => Ok(u32::try_from(*rank).ok()),
        _ => Err(UNKNOWN),
    }
}

/// `renew.lua`: one result for each of so many leases; `None` for a lock key of another type.
pub(crate) fn renewals(reply: &Value, leases: usize) -> Result<Vec<Option<Renewed>>, Failure> {
    match reply {
        Value::Array(results) if results.len() == leases => results.iter().map(renewal).collect(),
        _ => Err(UNKNOWN),
    }
}

fn renewal(result: &Value) -> Result<Option<Renewed>, Failure> {
    match result {
        Value::Int(1) => Ok(Some(Renewed::Until(Expiry::ByThisCall))),
        Value::Int(0) => Ok(Some(Renewed::NotOwner)),
        Value::Int(-1) => Ok(None),
        _ => Err(UNKNOWN),
    }
}

/// `release.lua`, without what it has brought for the next in line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReleaseAnswer {
    /// It held the lock.
    pub removed: bool,
    /// Whoever waits could not be told.
    pub mute: bool,
}

/// `carried`: the next in line has asked with it.
pub(crate) fn released(reply: &Value, carried: bool) -> Result<ReleaseAnswer, Failure> {
    let reply = match reply {
        Value::Array(parts) if carried => match parts.as_slice() {
            [released, _] => released,
            _ => return Err(UNKNOWN),
        },
        reply => reply,
    };
    let mute = *reply == Value::Int(2);
    let removed = mute || removed(reply)?;
    Ok(ReleaseAnswer { removed, mute })
}

/// What a release has brought for the next in line; nothing if the lock was not there to hand over,
/// or the server could not.
pub(crate) fn brought(
    reply: &Value,
    id: AttemptId,
    ttl: Duration,
) -> Result<Option<Answer>, Failure> {
    let answer = match reply {
        Value::Array(parts) => match parts.as_slice() {
            [_, answer] => answer,
            _ => return Err(UNKNOWN),
        },
        _ => return Ok(None),
    };
    match tagged(answer) {
        Some((b"failed", [])) => Ok(None),
        _ => attempt(answer, id, ttl).map(Some),
    }
}

/// `release.lua` and `force_release.lua`
pub(crate) fn removed(reply: &Value) -> Result<bool, Failure> {
    match reply {
        Value::Int(0) => Ok(false),
        Value::Int(1) => Ok(true),
        _ => Err(UNKNOWN),
    }
}

/// `inspect.lua`
pub(crate) fn inspection(reply: &Value) -> Result<Option<Inspection>, Failure> {
    let Value::Array(parts) = reply else {
        return if *reply == Value::Nil {
            Ok(None)
        } else {
            Err(UNKNOWN)
        };
    };
    let [value, left, waiting] = parts.as_slice() else {
        return Err(UNKNOWN);
    };
    let mut inspection = Inspection::default();
    inspection.time_left = time_left(left)?;
    inspection.waiters = rank(waiting)?.map(u64::from);
    if let Holder::Dlock { grant, label } = Holder::parse(bytes(value).ok_or(UNKNOWN)?) {
        inspection.token = Some(grant.token);
        inspection.label = label;
    }
    Ok(Some(inspection))
}

/// What a fence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Accepted,
    Stale { newest: FencingToken },
    Unclaimed,
}

/// `claim.lua` and `fenced_set.lua`
pub(crate) fn verdict(reply: &Value) -> Result<Verdict, Failure> {
    match tagged(reply) {
        Some((b"claimed" | b"written", [])) => Ok(Verdict::Accepted),
        Some((b"unclaimed", [])) => Ok(Verdict::Unclaimed),
        Some((b"stale", [newest])) => {
            // Perhaps another store's token: of any size.
            let newest =
                bytes(newest).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
            let newest = newest
                .and_then(FencingToken::new)
                .ok_or(Failure::Senseless("a token that is none"))?;
            Ok(Verdict::Stale { newest })
        }
        _ => Err(UNKNOWN),
    }
}

const UNKNOWN: Failure = Failure::Senseless("it has another form than the script's answers");

/// An array that begins with a word.
fn tagged(reply: &Value) -> Option<(&[u8], &[Value])> {
    match reply {
        Value::Array(parts) => {
            let (word, rest) = parts.split_first()?;
            Some((bytes(word)?, rest))
        }
        _ => None,
    }
}

fn bytes(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        Value::SimpleString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// Milliseconds as PTTL gives them; negative: without end.
fn time_left(value: &Value) -> Result<Option<Duration>, Failure> {
    match value {
        Value::Int(left) => Ok(u64::try_from(*left).ok().map(Duration::from_millis)),
        _ => Err(UNKNOWN),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            Just(Value::Okay),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            any::<Vec<u8>>().prop_map(Value::BulkString),
            any::<String>().prop_map(Value::SimpleString),
            prop::sample::select(vec![
                "granted",
                "earlier",
                "busy",
                "reserved",
                "claimed",
                "stale",
                "unclaimed",
                "7",
                "-7",
                "1e400"
            ])
            .prop_map(|word| Value::BulkString(word.into())),
        ];
        leaf.prop_recursive(2, 16, 4, |inner| {
            prop_oneof![
                4 => prop::collection::vec(inner.clone(), 0..5).prop_map(Value::Array),
                1 => prop::collection::vec((inner.clone(), inner), 0..3).prop_map(Value::Map),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn no_answer_panics(reply in value()) {
            let _ = attempt(&reply, AttemptId::from_bits(1), Duration::ZERO);
            let _ = renewals(&reply, 2);
            let _ = removed(&reply);
            let _ = released(&reply, true);
            let _ = released(&reply, false);
            let _ = brought(&reply, AttemptId::from_bits(1), Duration::ZERO);
            let _ = inspection(&reply);
            let _ = verdict(&reply);
        }
    }

    fn array(parts: &[&str]) -> Value {
        Value::Array(
            parts
                .iter()
                .map(|part| Value::BulkString(part.as_bytes().to_vec()))
                .collect(),
        )
    }

    /// A grant says where the entry stands.
    fn placed(reply: &mut Value) {
        if let Value::Array(parts) = reply
            && parts[0] == Value::BulkString(b"granted".to_vec())
        {
            parts.push(Value::Int(-1));
        }
    }

    #[test]
    fn absurd_tokens_are_errors() {
        for token in [
            "",
            "0",
            "-1",
            "1.785e+15",
            "nan",
            "9007199254740992",
            "18446744073709551616",
            "07",
        ] {
            for mut reply in [array(&["granted", token]), array(&["earlier", token])] {
                placed(&mut reply);
                assert!(
                    attempt(&reply, AttemptId::from_bits(1), Duration::ZERO).is_err(),
                    "{reply:?}"
                );
            }
        }
        let mut reply = array(&["granted", "7"]);
        placed(&mut reply);
        assert!(attempt(&reply, AttemptId::from_bits(1), Duration::ZERO).is_ok());
        assert!(verdict(&array(&["stale", "9223372036854775808"])).is_err());
        assert!(verdict(&array(&["stale", "9223372036854775807"])).is_ok());
    }

    #[test]
    fn as_many_results_as_leases() {
        assert!(renewals(&Value::Array(vec![Value::Int(1)]), 2).is_err());
        assert!(renewals(&Value::Array(vec![Value::Int(2)]), 1).is_err());
        assert!(renewals(&Value::Array(vec![Value::Int(-1)]), 1).is_ok());
    }
}
