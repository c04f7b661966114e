//! The scripts of the traces: those of `dlock-redis`, and some that look into the corners.

use crate::random::Random;

macro_rules! script {
    ($($name:literal),*) => {
        concat!($(include_str!(concat!("../../../dlock-redis/src/scripts/", $name, ".lua"))),*)
    };
}

const ATTEMPT: &str = script!("queue", "take", "attempt");
const RELEASE: &str = script!("queue", "take", "release");
const RENEW: &str = script!("renew");
const FORCE_RELEASE: &str = script!("queue", "force_release");
const INSPECT: &str = script!("inspect");
const CLAIM: &str = script!("claim");
const FENCED_SET: &str = script!("fenced_set");

/// All of them.
pub const OF_DLOCK: [&str; 7] = [
    ATTEMPT,
    RELEASE,
    RENEW,
    FORCE_RELEASE,
    INSPECT,
    CLAIM,
    FENCED_SET,
];

/// What Lua makes of replies, and the server of what Lua returns.
pub const CORNERS: &[&str] = &[
    "return 1",
    "return 3.99",
    "return -3.99",
    "return 1e20",
    "return 0/0",
    "return 'text'",
    "return ''",
    "return nil",
    "return true",
    "return false",
    "return",
    "",
    "return {}",
    "return {1, 2.5, 'x', {3, 4}, false, nil, 5}",
    "return {1, nil, 3}",
    "return {true, false, true}",
    "return {ok='fine'}",
    "return {ok='two\\r\\nlines'}",
    "return {err='MY error'}",
    "return {err='noword'}",
    "return {err='two\\r\\nlines'}",
    "return {err=7}",
    "return {ok=7, 1, 2}",
    "return {double=3.25}",
    "return {big_number='123456789012345678901234567890'}",
    "return {verbatim_string={format='txt', string='plain'}}",
    "return {map={a=1}}",
    "return {set={a=true}}",
    "return {a=1, b=2, 'c'}",
    "return redis.error_reply('MY error')",
    "return redis.error_reply('-MY error')",
    "return redis.error_reply('noword')",
    "return redis.error_reply('two words\\r\\n')",
    "return redis.error_reply(7)",
    "return redis.error_reply()",
    "return redis.error_reply({})",
    "return redis.status_reply('FINE')",
    "return redis.status_reply(1)",
    "return redis.sha1hex('x')",
    "return redis.sha1hex('')",
    "return redis.sha1hex(12)",
    "return redis.sha1hex()",
    "return redis.sha1hex('a', 'b')",
    "return {KEYS[1], KEYS[2], ARGV[1], ARGV[2], #KEYS, #ARGV}",
    "return {tostring(KEYS), 1} and #KEYS",
    "return redis.call('GET', KEYS[1])",
    "return redis.pcall('GET', KEYS[1])",
    "return type(redis.pcall('GET', KEYS[1]))",
    "return redis.call('SET', KEYS[1], ARGV[1])",
    "return redis.call('SET', KEYS[1], 17)",
    "return redis.call('SET', KEYS[1], 3.5)",
    "return redis.call('SET', KEYS[1], 1e15)",
    "return redis.call('SET', KEYS[1], 12345678901234567890)",
    "return redis.call('SET', KEYS[1], -0.1)",
    "return redis.call('SET', KEYS[1], 'v', 'PX', 50000)",
    "return redis.call('PEXPIRE', KEYS[1], 50000)",
    "return redis.call('EXISTS', KEYS[1], KEYS[1])",
    "return redis.call('TYPE', KEYS[1])",
    "return redis.call('TYPE', KEYS[1]).ok",
    "return redis.call('HGETALL', KEYS[1])",
    "return redis.call('HMGET', KEYS[1], 'a', 'b')",
    "return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')",
    "return redis.call('ZSCORE', KEYS[1], 'a')",
    "return redis.call('ZADD', KEYS[1], 1.5, 'a')",
    "return redis.call('LPUSH', KEYS[1], 'a')",
    "return redis.call('INCR', KEYS[1])",
    "return redis.pcall('INCR', KEYS[1])",
    "return redis.pcall('INCR', KEYS[1]).err",
    "redis.call('INCR', KEYS[1]) return 1",
    "local x = redis.call('INCR', KEYS[1])\nreturn x + 1",
    "redis.call('SET', KEYS[1], 'a')\nredis.call('HSET', KEYS[1], 'a', 'b')\nreturn 1",
    "local ok, why = pcall(redis.call, 'HSET', KEYS[1], 'a')\nreturn {tostring(ok), why}",
    "local ok, why = pcall(redis.call, 'NOSUCH')\nreturn {tostring(ok), why}",
    "local ok, why = pcall(function() error('mine') end)\nreturn {tostring(ok), why}",
    "local ok, why = pcall(function() error({err='MINE too'}) end)\nreturn {tostring(ok), why}",
    "local ok, why = pcall(function() local x = nil; return x.y end)\nreturn {tostring(ok), why}",
    "local ok, a, b = pcall(function(...) return ... end, 1, 2)\nreturn {tostring(ok), a, b}",
    "local ok, why = xpcall(function() return redis.call('GET') end, function(e) return e.err end)\nreturn {tostring(ok), why}",
    "return redis.call()",
    "return redis.pcall()",
    "return redis.call({})",
    "return redis.pcall('GET', {})",
    "return redis.pcall('GET', nil)",
    "return redis.call('GET', true)",
    "return redis.call('NOSUCH', 'a')",
    "return redis.pcall('NOSUCH', 'a')",
    "return redis.call('GET')",
    "return redis.call('GET', 'a', 'b')",
    "return redis.call('SUBSCRIBE', 'a')",
    "return redis.call('EVAL', 'return 1', 0)",
    "return redis.call('CLIENT', 'ID')",
    "return redis.call('CLIENT', 'NOSUCH')",
    "return redis.call('WAIT', 0, 0)",
    "return redis.call('HELLO', 3)",
    "return redis.call('PING')",
    "return redis.call('ping', 'x')",
    "return redis.call('ECHO', 'x')",
    "return redis.call('SELECT', 1)",
    "redis.call('SELECT', 1) redis.call('SET', KEYS[1], 'one') return redis.call('GET', KEYS[1])",
    "return redis.call('PUBLISH', 'news', 'from a script')",
    "return redis.call('DEL', KEYS[1])",
    "return redis.call('FLUSHALL')",
    "return redis.call('CONFIG', 'GET', 'maxmemory')",
    "x = 1",
    "x = 1 return x",
    "local y = x return y",
    "return x",
    "function f() return 1 end return f()",
    "return _G.x",
    "_G.x = 1",
    "rawset(_G, 'x', 1)",
    "string.foo = 1",
    "redis.call = nil",
    "redis.mine = 1",
    "setmetatable(_G, nil)",
    "KEYS[1] = 'other' return KEYS[1]",
    "return print('x')",
    "return os.time()",
    "return io",
    "return require('os')",
    "return dofile('/etc/passwd')",
    "return debug",
    "return type(math.random())",
    "math.randomseed(7) return {math.random(1000), math.random(5, 9), math.random(2)}",
    "math.randomseed(7) return math.random(0)",
    "error('text')",
    "error('text', 0)",
    "error('text', 2)",
    "error({err='A table'})",
    "error({err='Oneword'})",
    "error()",
    "error(nil)",
    "error(12)",
    "error(redis.error_reply('MADE here'))",
    "local function f()\n  error('deep')\nend\nf()\nreturn 1",
    "local function f()\n  return redis.call('INCR', KEYS[1], 'x')\nend\nreturn f()",
    "\n\nreturn redis.call('HSET', KEYS[1])",
    "return 1 +",
    "return 'unfinished",
    "if true then",
    "goto x",
    "return (nil)()",
    "local t = nil\nt.x = 1",
    "return 'a' + 1",
    "return {} .. 'a'",
    "return #nil",
    "return string.rep('ab', 3)",
    "return string.rep()",
    "return ('x'):rep(3)",
    "return string.format('%.0f', 1785000000000000)",
    "return tostring(1785000000000000)",
    "return 1785000000000000 .. ''",
    "return tostring(1e15)",
    "return tostring(0.1)",
    "return {tonumber('0x10'), tonumber('10', 2), tonumber('x')}",
    "return string.format('%d %s %5.2f', 3, 'x', 1.5)",
    "return table.concat({1, 2, 3}, ',')",
    "local t = {3, 1, 2} table.sort(t) return t",
    "return select('#', 1, nil, 3)",
    "return unpack({1, 2})",
    "return _VERSION",
    "return {math.floor(2.7), math.ceil(2.1), math.max(1, 5), math.min(1, 5)}",
    "return string.match('12:ab', '^(%d+):(.*)$')",
    "return {string.match('12:ab', '^(%d+):(.*)$')}",
    "return {string.find('a.b', '.', 1, true)}",
    "return loadstring('return 5')()",
    "return redis.setresp(3)",
    "redis.setresp(3) return redis.call('HGETALL', KEYS[1])",
    "redis.setresp(3) return redis.call('ZRANGE', KEYS[1], 0, -1, 'WITHSCORES')",
    "redis.setresp(3) return redis.call('ZSCORE', KEYS[1], 'a')",
    "redis.setresp(3) return {redis.call('GET', KEYS[1]), 1}",
    "redis.setresp(3) return true",
    "redis.setresp(3) return false",
    "redis.setresp(4)",
    "redis.setresp()",
    "return redis.log(redis.LOG_DEBUG, 'x')",
    "return redis.log('x')",
    "return redis.log('x', 'y')",
    "return redis.log(9, 'y')",
    "return redis.replicate_commands()",
    "return {redis.LOG_DEBUG, redis.LOG_WARNING, redis.REPL_ALL, redis.REPL_NONE}",
    "local t = redis.call('TIME') local u = redis.call('TIME') return tostring(t[1] == u[1])",
    "local r = redis.pcall('HDEL', KEYS[1], 'x') if type(r) == 'table' then return r.err end return r",
    "local r = redis.pcall('HDEL', KEYS[1], '') if type(r) == 'table' then return r end return r",
    "local keys = {} for k in pairs(redis.pcall('NOSUCH')) do keys[#keys + 1] = k end table.sort(keys) return keys",
    "return getmetatable('x').__index == string",
    "#!lua\nreturn 5",
    "#!lua\nreturn redis.call('NOSUCH')",
    "#!python\nreturn 5",
    "#!lua",
    "#!lua flags=no-writes\nreturn redis.call('SET', KEYS[1], 'x')",
    "#!lua flags=no-writes\nreturn redis.call('GET', KEYS[1])",
    "#!lua flags=no-writes\nreturn redis.call('PUBLISH', 'news', 'x')",
    "#!lua flags=allow-oom\nreturn redis.call('SET', KEYS[1], 'x')",
    "#!lua flags=what\nreturn 1",
    "#!lua name=x\nreturn 1",
];

/// Stands for the token of the last grant of the lock that follows: each server has its own.
pub const TOKEN: &str = "the token of ";

const ATTEMPTS: [&str; 3] = [
    "000102030405060708090a0b0c0d0e0f",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "0123456789abcdef0123456789abcdef",
];

const ENTRIES: [&str; 4] = ["", "p:1", "q:1", "q:2"];

/// A script of `dlock-redis` with arguments that make sense: its text, keys and arguments.
pub fn of_dlock(random: &mut Random) -> (&'static str, Vec<String>, Vec<String>) {
    let lock = *random.pick(&["lock:a", "lock:b"]);
    let beside = |kind: &str| format!("{{{lock}}}dlock:{kind}:{lock}");
    let five = vec![
        lock.to_owned(),
        beside("counter"),
        beside("queue"),
        beside("alive"),
        beside("reservation"),
    ];
    let id = random.pick(&ATTEMPTS).to_string();
    let token = match random.below(4) {
        0 => "1785000000000000".to_owned(),
        _ => format!("{TOKEN}{lock}"),
    };
    let ttl = random.pick(&["30000", "60000", "7000"]).to_string();
    let entry = random.pick(&ENTRIES).to_string();
    let flags = random.pick(&["", "s", "c", "sc"]).to_string();
    let retention = "604800000".to_owned();
    let mut take = vec![
        id.clone(),
        ttl.clone(),
        "host:1".to_owned(),
        retention.clone(),
    ];
    if !entry.is_empty() {
        take.extend([entry.clone(), flags]);
    }
    match random.below(14) {
        0..=4 => (ATTEMPT, five, take),
        5 | 6 => {
            let mut arguments = vec![id, random.pick(&["", token.as_str()]).to_string(), entry];
            if random.one_in(3) {
                arguments.extend(take);
            }
            (RELEASE, five, arguments)
        }
        7 | 8 => {
            let keys = vec![five[0].clone(), five[1].clone()];
            (RENEW, keys, vec![retention, id, token, ttl])
        }
        9 => (FORCE_RELEASE, five, Vec::new()),
        10 => (INSPECT, vec![five[0].clone(), five[2].clone()], Vec::new()),
        _ => {
            let fence = beside("fence");
            let grant = random.pick(&["aa", "aa", "bb"]).to_string();
            let token = random.pick(&["10", "10", "10", "9", "11", "x"]).to_string();
            match random.below(2) {
                0 => (CLAIM, vec![fence], vec![token, grant]),
                _ => (
                    FENCED_SET,
                    vec![fence, "data".to_owned()],
                    vec![token, grant, "value".to_owned()],
                ),
            }
        }
    }
}
