//! Traces from seeds.

use crate::frame::Mask;
use crate::random::Random;
use crate::scripts;

/// How many connections a trace has.
pub const CONNECTIONS: usize = 3;

/// What happens next in a trace.
pub enum Step {
    /// A connection sends these commands at once.
    Send(usize, Vec<Command>),
    /// Time passes: what had a millisecond left has expired.
    Pause,
}

#[derive(Clone)]
pub struct Command {
    pub words: Vec<Vec<u8>>,
    pub mask: Mask,
}

/// What a trace is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// All commands, sensible and not.
    Commands,
    /// Scripts that look into corners.
    Corners,
    /// The scripts of `dlock-redis`.
    Locks,
    /// The same on a server without memory, or on a replica, now and then.
    Troubles,
    /// Subscriptions.
    Messages,
}

/// Whose words are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Every byte counts.
    Redis70,
    /// Of errors only the code counts, and nobody looks into the corners.
    Other,
}

const THEMES: [Theme; 5] = [
    Theme::Commands,
    Theme::Corners,
    Theme::Locks,
    Theme::Troubles,
    Theme::Messages,
];

pub fn theme(seed: u64) -> Theme {
    THEMES[(seed % THEMES.len() as u64) as usize]
}

pub fn trace(seed: u64, dialect: Dialect) -> Vec<Step> {
    let mut random = Random(seed);
    let theme = match theme(seed) {
        Theme::Corners if dialect == Dialect::Other => Theme::Locks,
        theme => theme,
    };
    let mut steps = Vec::new();
    for connection in 0..CONNECTIONS {
        if random.one_in(2) {
            steps.push(Step::Send(connection, vec![command(&["HELLO", "3"])]));
        }
    }
    if matches!(theme, Theme::Locks | Theme::Troubles) && !random.one_in(4) {
        let loads = scripts::OF_DLOCK.map(|text| command(&["SCRIPT", "LOAD", text]));
        steps.push(Step::Send(0, loads.to_vec()));
    }
    // Some traces have expiries by waiting; only a few, because waiting takes time.
    let waits = random.one_in(10);
    for _ in 0..8 + random.below(12) {
        let connection = random.below(CONNECTIONS);
        let mut commands = Vec::new();
        let mut passes = false;
        for _ in 0..1 + random.below(4) {
            let command = any(&mut random, theme);
            if dialect == Dialect::Other && is_redis_only(&command.words) {
                continue;
            }
            let short = command.words.iter().any(|word| word == SHORT.as_bytes());
            if short && !waits {
                continue;
            }
            commands.push(command);
            if short {
                // Until it is certainly over.
                passes = true;
                break;
            }
        }
        steps.push(Step::Send(connection, commands));
        if passes {
            steps.push(Step::Pause);
        }
    }
    steps
}

fn any(random: &mut Random, theme: Theme) -> Command {
    let generated = match (theme, random.below(10)) {
        (Theme::Commands, _) => plain(random),
        (Theme::Corners, 0..=6) => corner(random),
        (Theme::Corners, _) => plain(random),
        (Theme::Locks | Theme::Troubles, 0..=6) => lock(random),
        (Theme::Troubles, 7) => trouble(random),
        (Theme::Locks | Theme::Troubles, 8) => corner(random),
        (Theme::Locks | Theme::Troubles, _) => beside_locks(random),
        (Theme::Messages, 0..=5) => message(random),
        (Theme::Messages, _) => plain(random),
    };
    mangled(random, generated)
}

/// Now and then a word too many, too few, or in other letters.
fn mangled(random: &mut Random, mut command: Command) -> Command {
    if random.one_in(25) && command.words.len() > 1 {
        command.words.pop();
    } else if random.one_in(25) {
        command.words.push(b"more".to_vec());
    }
    if random.one_in(8) {
        command.words[0].make_ascii_lowercase();
    }
    command.mask = mask(&command.words);
    command
}

/// What others answer otherwise, and may.
fn is_redis_only(words: &[Vec<u8>]) -> bool {
    let word = |index: usize| {
        let word = words.get(index).map_or(&[][..], Vec::as_slice);
        String::from_utf8_lossy(word).to_ascii_uppercase()
    };
    match (word(0).as_str(), word(1).as_str()) {
        ("HELLO", _) | ("CLIENT", "SETINFO") => true,
        ("EVAL" | "SCRIPT", _) => scripts::CORNERS.iter().any(|text| {
            let text = text.as_bytes();
            words.iter().skip(1).any(|word| word == text)
        }),
        ("EVALSHA", sha) => scripts::CORNERS.iter().any(|text| {
            let known = sha1_smol::Sha1::from(text).digest().to_string();
            known.eq_ignore_ascii_case(sha)
        }),
        _ => false,
    }
}

fn mask(words: &[Vec<u8>]) -> Mask {
    let word = |index: usize| {
        let word = words.get(index).map_or(&[][..], Vec::as_slice);
        String::from_utf8_lossy(word).to_ascii_uppercase()
    };
    match (word(0).as_str(), word(1).as_str()) {
        ("PTTL" | "TTL" | "EVAL" | "EVALSHA", _) => Mask::Durations,
        // Numbers that count up to now are told by their size.
        ("TIME", _) => Mask::Durations,
        ("KEYS", _) => Mask::Order,
        // All channels, in no order.
        ("UNSUBSCRIBE" | "PUNSUBSCRIBE", "") => Mask::Content,
        ("INFO", _) | ("CLIENT", "ID") => Mask::Content,
        ("HELLO", _) => Mask::Identity,
        _ => Mask::Nothing,
    }
}

fn command(words: &[&str]) -> Command {
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    Command {
        mask: mask(&words),
        words,
    }
}

const KEYS: &[&str] = &["a", "b", "c", "d", "lock:a", "data", ""];
const VALUES: &[&str] = &[
    "",
    "0",
    "7",
    "-1",
    "text",
    "two words",
    "1.5",
    "9223372036854775807",
    "line\r\nend",
];
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "2",
    "-1",
    "-2",
    "10",
    "100",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "01",
    "+1",
    " 1",
    "1.5",
    "abc",
    "",
    "-0",
];
const SCORES: &[&str] = &[
    "0", "1", "2", "-1", "1.5", "0.1", "1e20", "inf", "-inf", "nan", "abc", "", "3.0",
];
const FIELDS: &[&str] = &["a", "b", "c", "told", ""];
/// In ms: over when a trace goes on after a pause.
const SHORT: &str = "6";

/// Else long enough that the trace is over before, or over at once.
const LIVES: &[&str] = &[
    "100000",
    "50000",
    "20000",
    SHORT,
    "0",
    "-1",
    "abc",
    "9223372036854775807",
];
const INSTANTS: &[&str] = &[
    "1",
    "1000000000000",
    "4000000000000",
    "0",
    "-5",
    "9223372036854775807",
    "x",
];

fn plain(random: &mut Random) -> Command {
    let key = *random.pick(KEYS);
    let other = *random.pick(KEYS);
    let value = *random.pick(VALUES);
    let number = *random.pick(NUMBERS);
    let field = *random.pick(FIELDS);
    let other_field = *random.pick(FIELDS);
    let score = *random.pick(SCORES);
    let life = *random.pick(LIVES);
    let instant = *random.pick(INSTANTS);
    let option = *random.pick(&["NX", "XX", "GT", "LT", "nx", "WHAT"]);
    match random.below(62) {
        0..=3 => command(&["GET", key]),
        4 | 5 => command(&["SET", key, value]),
        6 => command(&[
            "SET",
            key,
            value,
            *random.pick(&["NX", "XX", "GET", "KEEPTTL", "WHAT"]),
        ]),
        7 => command(&["SET", key, value, "PX", life]),
        8 => command(&["SET", key, value, "EX", life, "NX"]),
        9 => command(&["SET", key, value, "PXAT", instant]),
        10 => command(&["SET", key, value, "EXAT", instant, "GET"]),
        11 => command(&["SET", key, value, "NX", "XX"]),
        12 => command(&["SET", key, value, "XX", "KEEPTTL", "GET"]),
        13 => command(&["SET", key, value, "PX", life, "KEEPTTL"]),
        14 => command(&["SET", key, value, "PX"]),
        15 => command(&["SETNX", key, value]),
        16 => command(&["SETEX", key, life, value]),
        17 => command(&["PSETEX", key, life, value]),
        18 => command(&["DEL", key, other]),
        19 => command(&["EXISTS", key, other, key]),
        20 => command(&["TYPE", key]),
        21 => command(&["INCR", key]),
        22 => command(&["INCRBY", key, number]),
        23 => command(&[*random.pick(&["DECR", "GETDEL", "STRLEN", "PERSIST"]), key]),
        24 => command(&["DECRBY", key, number]),
        25 => command(&["PEXPIRE", key, life]),
        26 => command(&["EXPIRE", key, life, option]),
        27 => command(&["PEXPIREAT", key, instant]),
        28 => command(&[
            "EXPIREAT",
            key,
            instant,
            option,
            *random.pick(&["NX", "GT", "LT"]),
        ]),
        29 => command(&["PEXPIRE", key, life, "XX", "GT"]),
        30 => command(&["PTTL", key]),
        31 => command(&["TTL", key]),
        32 => command(&[*random.pick(&["PEXPIRETIME", "EXPIRETIME"]), key]),
        33 => command(&["HSET", key, field, value]),
        34 => command(&["HSET", key, field, value, other_field, number]),
        35 => command(&["HSETNX", key, field, value]),
        36 => command(&["HGET", key, field]),
        37 => command(&["HMGET", key, field, other_field]),
        38 => command(&["HGETALL", key]),
        39 => command(&["HDEL", key, field, other_field]),
        40 => command(&["HEXISTS", key, field]),
        41 => command(&["HLEN", key]),
        42 | 43 => command(&["ZADD", key, score, field]),
        44 => command(&["ZADD", key, option, score, field, "2", other_field]),
        45 => command(&["ZADD", key, option, "CH", score, field]),
        46 => command(&["ZADD", key, "INCR", score, field]),
        47 => command(&["ZREM", key, field]),
        48 => command(&["ZRANK", key, field]),
        49 => command(&["ZSCORE", key, field]),
        50 => command(&["ZCARD", key]),
        51 => command(&["ZRANGE", key, number, *random.pick(NUMBERS), "WITHSCORES"]),
        52 => command(&[
            "ZRANGE",
            key,
            "0",
            "-1",
            *random.pick(&["WITHSCORES", "REV", "WHAT", "LIMIT"]),
        ]),
        53 => command(&[
            "ZRANGE",
            key,
            score,
            *random.pick(SCORES),
            "BYSCORE",
            "WITHSCORES",
        ]),
        54 => command(&[*random.pick(&["LPUSH", "RPUSH"]), key, value, field]),
        55 => command(&["LLEN", key]),
        56 => command(&["LRANGE", key, number, *random.pick(NUMBERS)]),
        57 => command(&["MGET", key, other]),
        58 => command(&[
            "KEYS",
            *random.pick(&["*", "a", "[ab]", "lock:*", "?", "[^a]", "x*"]),
        ]),
        59 => administrative(random),
        60 => administrative(random),
        _ => nonsense(random),
    }
}

fn administrative(random: &mut Random) -> Command {
    match random.below(30) {
        0 => command(&["PING"]),
        1 => command(&["PING", "text"]),
        2 => command(&["ECHO", "text"]),
        3 => command(&["HELLO", *random.pick(&["2", "3", "4", "x"])]),
        4 => command(&[
            "HELLO",
            "3",
            "AUTH",
            *random.pick(&["default", "nobody"]),
            "x",
        ]),
        5 => command(&["HELLO", "3", "SETNAME", *random.pick(&["me", "not me"])]),
        6 => command(&["HELLO"]),
        7 => command(&["HELLO", "2", "WHAT"]),
        8 => command(&["AUTH", "password"]),
        9 => command(&["AUTH", *random.pick(&["default", "nobody"]), "password"]),
        10 => command(&[
            "SELECT",
            *random.pick(&["0", "0", "1", "15", "16", "-1", "x"]),
        ]),
        11 => command(&["CLIENT", "ID"]),
        12 => command(&["CLIENT", "SETINFO", "LIB-NAME", "x"]),
        13 => command(&["CLIENT", "SETNAME", *random.pick(&["me", "not me", ""])]),
        14 => command(&["CLIENT", "GETNAME"]),
        15 => command(&["CLIENT"]),
        16 => command(&["CLIENT", "NO-EVICT", *random.pick(&["on", "off", "x"])]),
        17 => command(&["INFO", *random.pick(&["server", "replication"])]),
        18 => command(&["TIME"]),
        19 => command(&[
            "CONFIG",
            "GET",
            *random.pick(&["maxmemory", "appendonly", "nosuch"]),
        ]),
        20 => command(&["CONFIG", "SET", "maxmemory", *random.pick(&["0", "x"])]),
        21 => command(&["CONFIG", "SET", "nosuch", "1"]),
        22 => command(&["WAIT", "0", "0"]),
        23 => command(&[
            "WAIT",
            *random.pick(&["1", "0"]),
            *random.pick(&["1", "x", "-1"]),
        ]),
        24 => command(&["RESET"]),
        25 => command(&["FLUSHALL", *random.pick(&["SYNC", "ASYNC", "WHAT"])]),
        26 => command(&["FLUSHDB"]),
        27 => command(&[
            "SCRIPT",
            *random.pick(&["FLUSH", "NOSUCH", "EXISTS", "LOAD"]),
        ]),
        28 => command(&["SCRIPT", "FLUSH", *random.pick(&["SYNC", "ASYNC", "WHAT"])]),
        _ => command(&["PUBLISH", *random.pick(CHANNELS), "text"]),
    }
}

fn nonsense(random: &mut Random) -> Command {
    match random.below(8) {
        0 => command(&["NOSUCH"]),
        1 => command(&["NOSUCH", "a", "b"]),
        2 => command(&["NOSUCH", &"x".repeat(100), &"y".repeat(100), "z"]),
        3 => command(&[&"long".repeat(50)]),
        4 => command(&[""]),
        5 => command(&["CLIENT|ID"]),
        6 => command(&["no such\r\nthing", "a\r\nb"]),
        _ => command(&["CONFIG", "NOSUCH", "x"]),
    }
}

const CHANNELS: &[&str] = &[
    "news",
    "dlock:wakeup:p",
    "dlock:wakeup:q",
    "dlock:wakeup:all",
    "",
];

fn message(random: &mut Random) -> Command {
    let channel = *random.pick(CHANNELS);
    match random.below(12) {
        0..=2 => command(&["SUBSCRIBE", channel]),
        3 => command(&["SUBSCRIBE", channel, *random.pick(CHANNELS)]),
        4 => command(&["UNSUBSCRIBE", channel]),
        5 => command(&["UNSUBSCRIBE"]),
        6 => command(&["PSUBSCRIBE", *random.pick(&["dlock:*", "n?ws", "*"])]),
        7 => command(&["PUNSUBSCRIBE", *random.pick(&["dlock:*", "n?ws", "*"])]),
        8 => command(&["PUNSUBSCRIBE"]),
        9 => command(&["PING", "text"]),
        _ => command(&["PUBLISH", channel, "text"]),
    }
}

fn evaluation(random: &mut Random, text: &str, keys: &[String], arguments: &[String]) -> Command {
    let count = keys.len().to_string();
    let sha = sha1_smol::Sha1::from(text).digest().to_string();
    let mut words = match random.below(10) {
        // Known after the first EVAL of a trace, unknown before.
        0..=4 => vec!["EVALSHA".to_owned(), sha],
        5 => vec!["EVALSHA".to_owned(), sha.to_uppercase()],
        _ => vec!["EVAL".to_owned(), text.to_owned()],
    };
    words.push(match random.below(40) {
        0 => "-1".to_owned(),
        1 => "99".to_owned(),
        2 => "x".to_owned(),
        _ => count,
    });
    words.extend(keys.iter().cloned());
    words.extend(arguments.iter().cloned());
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    command(&words)
}

fn corner(random: &mut Random) -> Command {
    let text = *random.pick(scripts::CORNERS);
    if random.one_in(12) {
        return command(&["SCRIPT", "LOAD", text]);
    }
    if random.one_in(12) {
        let sha = sha1_smol::Sha1::from(text).digest().to_string();
        return command(&["SCRIPT", "EXISTS", &sha, "nosuch"]);
    }
    let keys = [random.pick(KEYS).to_string(), random.pick(KEYS).to_string()];
    evaluation(random, text, &keys, &["one".to_owned(), "2".to_owned()])
}

fn lock(random: &mut Random) -> Command {
    let (text, keys, arguments) = scripts::of_dlock(random);
    evaluation(random, text, &keys, &arguments)
}

/// What else may be done to the keys of a lock.
fn beside_locks(random: &mut Random) -> Command {
    let lock = *random.pick(&["lock:a", "lock:b"]);
    let kind = *random.pick(&["counter", "queue", "alive", "reservation", "fence"]);
    let beside = format!("{{{lock}}}dlock:{kind}:{lock}");
    match random.below(16) {
        0 => command(&["GET", lock]),
        1 => command(&["PTTL", lock]),
        2 => command(&["PTTL", &beside]),
        3 => command(&["DEL", lock]),
        4 => command(&["DEL", &beside]),
        5 => command(&["SET", lock, "foreign", "NX", "PX", "60000"]),
        6 => command(&["SET", lock, *random.pick(VALUES)]),
        7 => command(&["HSET", *random.pick(&[lock, beside.as_str()]), "a", "b"]),
        8 => command(&["SET", &beside, *random.pick(VALUES)]),
        9 => command(&["ZRANGE", &beside, "0", "-1", "WITHSCORES"]),
        10 => command(&["HGETALL", &beside]),
        11 => command(&["GET", &beside]),
        12 => command(&["PEXPIRE", lock, *random.pick(&[SHORT, "90000", "-1"])]),
        13 => command(&["PERSIST", lock]),
        14 => command(&["SUBSCRIBE", *random.pick(CHANNELS)]),
        _ => command(&["PSUBSCRIBE", "dlock:wakeup:*"]),
    }
}

fn trouble(random: &mut Random) -> Command {
    match random.below(6) {
        0 | 1 => command(&["CONFIG", "SET", "maxmemory", "1"]),
        2 => command(&["CONFIG", "SET", "maxmemory", "0"]),
        // Nobody is there: the server is a replica that never gets anything.
        3 | 4 => command(&["REPLICAOF", "127.0.0.1", "1"]),
        _ => command(&["REPLICAOF", "NO", "ONE"]),
    }
}
