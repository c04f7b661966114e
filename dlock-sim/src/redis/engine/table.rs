use super::command::{Flags, Run};
use super::{connections, hashes, keys, lists, pubsub, scripting, server, sorted_sets, strings};

/// A command that the server knows.
pub(crate) struct Spec {
    /// As the server writes it in errors: `client|id`.
    pub name: &'static str,
    /// How many words; negative: at least so many.
    pub arity: i32,
    pub flags: Flags,
    pub run: Run,
}

impl Spec {
    pub fn takes(&self, words: usize) -> bool {
        let words = words as i32;
        match self.arity {
            exact if exact > 0 => words == exact,
            least => words >= -least,
        }
    }
}

/// The command that these words call.
pub(crate) fn find(words: &[Vec<u8>]) -> Option<&'static Spec> {
    let first = words.first()?;
    if let Some(group) = group(words)
        && let Some(second) = words.get(1)
    {
        let second = String::from_utf8_lossy(second).to_ascii_lowercase();
        return by_name(format!("{group}|{second}").as_bytes());
    }
    if first.len() > LONGEST || first.contains(&b'|') {
        return None;
    }
    let mut name = [0; LONGEST];
    for (to, from) in name.iter_mut().zip(first) {
        *to = from.to_ascii_lowercase();
    }
    by_name(&name[..first.len()])
}

const LONGEST: usize = 16;

/// The first word, if it needs a second to be a command.
pub(super) fn group(words: &[Vec<u8>]) -> Option<&'static str> {
    let first = words.first()?;
    let groups = ["client", "config", "script"];
    groups
        .into_iter()
        .find(|group| first.eq_ignore_ascii_case(group.as_bytes()))
}

fn by_name(name: &[u8]) -> Option<&'static Spec> {
    let at = TABLE.binary_search_by(|spec| spec.name.as_bytes().cmp(name));
    at.ok().map(|at| &TABLE[at])
}

const fn spec(name: &'static str, arity: i32, flags: Flags, run: Run) -> Spec {
    Spec {
        name,
        arity,
        flags,
        run,
    }
}

const READ: Flags = Flags::NONE;
const WRITE: Flags = Flags::WRITE;
const GROW: Flags = Flags::WRITE.and(Flags::GROWS);
const ANYTIME: Flags = Flags::LOADING;
const OUTSIDE: Flags = Flags::NO_SCRIPT;
const ADMIN: Flags = Flags::NO_SCRIPT.and(Flags::LOADING);
const FIRST: Flags = ADMIN.and(Flags::NO_AUTH);
const LISTEN: Flags = ADMIN.and(Flags::LISTENING);

/// In alphabetical order.
static TABLE: &[Spec] = &[
    spec("append", 3, GROW, strings::append),
    spec("auth", -2, FIRST, connections::auth),
    spec("client", -2, ADMIN, connections::echo),
    spec("client|getname", 2, ADMIN, connections::client_name),
    spec("client|id", 2, ADMIN, connections::client_id),
    spec("client|no-evict", 3, ADMIN, connections::client_no_evict),
    spec("client|setname", 3, ADMIN, connections::client_set_name),
    spec("config", -2, ADMIN, connections::echo),
    spec("config|get", -3, ADMIN, server::config_get),
    spec("config|resetstat", 2, ADMIN, server::config_resetstat),
    spec("config|set", -4, ADMIN, server::config_set),
    spec("dbsize", 1, READ, keys::dbsize),
    spec("decr", 2, GROW, strings::add),
    spec("decrby", 3, GROW, strings::add),
    spec("del", -2, WRITE, keys::del),
    spec("echo", 2, ANYTIME, connections::echo),
    spec("eval", -3, OUTSIDE, scripting::eval),
    spec("evalsha", -3, OUTSIDE, scripting::eval),
    spec("exists", -2, READ, keys::exists),
    spec("expire", -3, WRITE, keys::expire),
    spec("expireat", -3, WRITE, keys::expire),
    spec("expiretime", 2, READ, keys::ttl),
    spec("flushall", -1, WRITE, keys::flush),
    spec("flushdb", -1, WRITE, keys::flush),
    spec("get", 2, READ, strings::get),
    spec("getdel", 2, WRITE, strings::getdel),
    spec("getset", 3, GROW, strings::getset),
    spec("hdel", -3, WRITE, hashes::hdel),
    spec("hello", -1, FIRST, connections::hello),
    spec("hexists", 3, READ, hashes::hexists),
    spec("hget", 3, READ, hashes::hget),
    spec("hgetall", 2, READ, hashes::hgetall),
    spec("hlen", 2, READ, hashes::hlen),
    spec("hmget", -3, READ, hashes::hmget),
    spec("hmset", -4, GROW, hashes::hset),
    spec("hset", -4, GROW, hashes::hset),
    spec("hsetnx", 4, GROW, hashes::hsetnx),
    spec("incr", 2, GROW, strings::add),
    spec("incrby", 3, GROW, strings::add),
    spec("info", -1, ANYTIME, server::info),
    spec("keys", 2, READ, keys::keys),
    spec("llen", 2, READ, lists::llen),
    spec("lpush", -3, GROW, lists::push),
    spec("lrange", 4, READ, lists::lrange),
    spec("mget", -2, READ, strings::mget),
    spec("mset", -3, GROW, strings::mset),
    spec("persist", 2, WRITE, keys::persist),
    spec("pexpire", -3, WRITE, keys::expire),
    spec("pexpireat", -3, WRITE, keys::expire),
    spec("pexpiretime", 2, READ, keys::ttl),
    spec("ping", -1, Flags::LISTENING, connections::ping),
    spec("psetex", 4, GROW, strings::setex),
    spec("psubscribe", -2, LISTEN, pubsub::subscribe),
    spec("pttl", 2, READ, keys::ttl),
    spec("publish", 3, ANYTIME, pubsub::publish),
    spec("punsubscribe", -1, LISTEN, pubsub::unsubscribe),
    spec("quit", -1, FIRST.and(Flags::LISTENING), connections::quit),
    spec("replicaof", 3, OUTSIDE, server::replicaof),
    spec("reset", 1, FIRST.and(Flags::LISTENING), connections::reset),
    spec("role", 1, ADMIN, server::role),
    spec("rpush", -3, GROW, lists::push),
    spec("script", -2, OUTSIDE, connections::echo),
    spec("script|exists", -3, OUTSIDE, scripting::exists),
    spec("script|flush", -2, OUTSIDE, scripting::flush),
    spec("script|load", 3, OUTSIDE, scripting::load),
    spec("select", 2, ANYTIME, connections::select),
    spec("set", -3, GROW, strings::set),
    spec("setex", 4, GROW, strings::setex),
    spec("setnx", 3, GROW, strings::setnx),
    spec("strlen", 2, READ, strings::strlen),
    spec("subscribe", -2, LISTEN, pubsub::subscribe),
    spec("time", 1, ANYTIME, server::time),
    spec("ttl", 2, READ, keys::ttl),
    spec("type", 2, READ, keys::kind),
    spec("unlink", -2, WRITE, keys::del),
    spec("unsubscribe", -1, LISTEN, pubsub::unsubscribe),
    spec("wait", 3, OUTSIDE, server::wait_elsewhere),
    spec("zadd", -4, GROW, sorted_sets::zadd),
    spec("zcard", 2, READ, sorted_sets::zcard),
    spec("zincrby", 4, GROW, sorted_sets::zadd),
    spec("zrange", -4, READ, sorted_sets::zrange),
    spec("zrank", 3, READ, sorted_sets::zrank),
    spec("zrem", -3, WRITE, sorted_sets::zrem),
    spec("zscore", 3, READ, sorted_sets::zscore),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(TABLE.is_sorted_by(|one, other| one.name < other.name));
        assert!(
            TABLE
                .iter()
                .all(|spec| spec.name.contains('|') || spec.name.len() <= LONGEST)
        );
    }
}
