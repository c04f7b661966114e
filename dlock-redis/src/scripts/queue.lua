-- The waiting queue of a lock. Put in front of the scripts that take or free the lock.
--
-- queue        a sorted set: entries in their order. An entry is '<participant>:<number>'.
-- alive        a hash: until when an entry counts as alive, in ms of the server's clock
-- reservation  a string '<until>:<entry>': until then the free lock is in line for this entry, the
--              head. It outlives its own end, so that an unused grace shows.
--
-- All of it is a matter of order, never of exclusion: whatever is lost or wrong here, the lock key
-- alone says who has the lock. So writes may fail, and a clock that steps costs an order at most.

-- How long a free lock is in line for the head, and how long an entry counts as alive without a
-- sign of its owner, in ms. `waiting.rs` relies on both.
local GRACE = 500
local LIFETIME = 15000

local function text(number)
  return string.format('%.0f', number)
end

local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local Queue = {}
Queue.__index = Queue

-- The queue of the lock `lock`, whose keys are `KEYS[at]` and the two after it.
local function queue_of(lock, at)
  return setmetatable({lock = lock, queue = KEYS[at], alive = KEYS[at + 1], reservation = KEYS[at + 2]}, Queue)
end

-- Asks a participant, or all of them ('all'), to look at the lock in so many ms. A hint that may be lost.
function Queue:hint(participant, delay)
  redis.pcall('PUBLISH', 'dlock:wakeup:' .. participant, delay .. ':' .. self.lock)
end

local function participant(entry)
  return string.match(entry, '^[^:]*')
end

function Queue:remove(entry)
  redis.pcall('ZREM', self.queue, entry)
  redis.pcall('HDEL', self.alive, entry)
end

-- An entry counts as alive for at most its lifetime, also when the clock was stepped back.
function Queue:is_alive(entry, now)
  local till = redis.pcall('HGET', self.alive, entry)
  till = type(till) == 'string' and tonumber(till)
  return till and till > now and till <= now + LIFETIME
end

-- The first entry that is alive; forgets the dead before it.
function Queue:head(now)
  while true do
    local entries = redis.pcall('ZRANGE', self.queue, 0, 0)
    local first = not entries.err and entries[1]
    if not first or self:is_alive(first, now) then
      return first
    end
    self:remove(first)
  end
end

-- Puts an entry at the end, if it is not there, and says that it is alive. Returns its rank, and
-- whether it is new; -1 if it could not be put there.
function Queue:join(entry, now)
  local rank = redis.pcall('ZRANK', self.queue, entry)
  local new = not rank
  if new then
    local last = redis.pcall('ZRANGE', self.queue, -1, -1, 'WITHSCORES')
    local place = not last.err and last[2] and tonumber(last[2]) + 1 or 1
    local added = redis.pcall('ZADD', self.queue, text(place), entry)
    if type(added) == 'table' then
      return -1, false
    end
    rank = redis.pcall('ZRANK', self.queue, entry)
  end
  redis.pcall('HSET', self.alive, entry, text(now + LIFETIME))
  redis.pcall('PEXPIRE', self.queue, LIFETIME)
  redis.pcall('PEXPIRE', self.alive, LIFETIME)
  return type(rank) == 'number' and rank or -1, new
end

-- Moves an entry to the end, without a new sign of life.
function Queue:send_back(entry)
  local last = redis.pcall('ZRANGE', self.queue, -1, -1, 'WITHSCORES')
  if not last.err and last[2] and last[1] ~= entry then
    redis.pcall('ZADD', self.queue, text(tonumber(last[2]) + 1), entry)
  end
end

-- For whom the lock is, or was, in line, and until when; nothing if for nobody.
function Queue:reserved(now)
  local value = redis.pcall('GET', self.reservation)
  local till, entry = string.match(type(value) == 'string' and value or '', '^(%d+):(.*)$')
  till = tonumber(till)
  -- A longer one is from before the clock was stepped back.
  if till and till <= now + GRACE then
    return entry, till
  end
end

-- The lock is free: reserves it for the head, wakes the head, and tells the next one to look when
-- the grace is over.
function Queue:pass_on(now)
  local first = self:head(now)
  if not first then
    return
  end
  redis.pcall('SET', self.reservation, text(now + GRACE) .. ':' .. first, 'PX', GRACE + LIFETIME)
  self:hint(participant(first), 0)
  local second = redis.pcall('ZRANGE', self.queue, 1, 1)
  if not second.err and second[1] then
    self:hint(participant(second[1]), GRACE + 5)
  end
end

-- The head has changed while the lock is held: the new one looks soon, and then as often as a head does.
function Queue:tell_the_head(now)
  local first = self:head(now)
  if first then
    self:hint(participant(first), 2 * GRACE)
  end
end

-- The lock is free, perhaps since nobody knows when: passes it on, unless it is in line already.
function Queue:see_to_it(now)
  local first = self:head(now)
  local entry, till = self:reserved(now)
  if first and not (entry == first and till > now) then
    self:pass_on(now)
  end
end

