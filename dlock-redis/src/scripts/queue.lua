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

-- The queue of the lock KEYS[1], as it is now. All in one function, so that whoever meets no queue
-- pays for none of it.
local function open_queue()
  local time = redis.call('TIME')
  local queue = {now = time[1] * 1000 + math.floor(time[2] / 1000)}
  local entries, alive, reservation = KEYS[3], KEYS[4], KEYS[5]

  local function text(number)
    return string.format('%.0f', number)
  end

  local function participant(entry)
    return string.match(entry, '^[^:]*')
  end

  -- An entry counts as alive for at most its lifetime, also when the clock was stepped back.
  local function is_alive(entry)
    local till = redis.pcall('HGET', alive, entry)
    till = type(till) == 'string' and tonumber(till)
    return till and till > queue.now and till <= queue.now + LIFETIME
  end

  -- Asks a participant to look at the lock in so many ms: a hint that may be lost. Returns whether
  -- anybody has heard it, which says little: a stopped process hears, a polling one does not.
  local function hint(whom, delay)
    local heard = redis.pcall('PUBLISH', 'dlock:wakeup:' .. whom, delay .. ':' .. KEYS[1])
    queue.mute = queue.mute or type(heard) == 'table'
    return type(heard) == 'number' and heard > 0
  end

  -- For whom the lock is, or was, in line, and until when; nothing if for nobody.
  local function reserved()
    local value = redis.pcall('GET', reservation)
    local till, entry = string.match(type(value) == 'string' and value or '', '^(%d+):(.*)$')
    till = tonumber(till)
    -- A longer one is from before the clock was stepped back.
    if till and till <= queue.now + GRACE then
      return entry, till
    end
  end

  function queue:remove(entry)
    redis.pcall('HDEL', alive, entry)
    redis.pcall('ZREM', entries, entry)
  end

  -- How many are before an entry; -1: it is not there.
  function queue:rank(entry)
    local rank = redis.pcall('ZRANK', entries, entry)
    return type(rank) == 'number' and rank or -1
  end

  -- Puts an entry at the end, if it is not there, and says that it is alive. Returns its rank.
  function queue:join(entry)
    local rank = self:rank(entry)
    if rank < 0 then
      local last = redis.pcall('ZRANGE', entries, -1, -1, 'WITHSCORES')
      local place = not last.err and last[2] and tonumber(last[2]) + 1 or 1
      redis.pcall('ZADD', entries, text(place), entry)
      rank = self:rank(entry)
    end
    if rank >= 0 then
      redis.pcall('HSET', alive, entry, text(self.now + LIFETIME))
      redis.pcall('PEXPIRE', entries, LIFETIME)
      redis.pcall('PEXPIRE', alive, LIFETIME)
    end
    return rank
  end

  -- The queue should have had an entry that it has not: it was lost (FLUSHALL), or this one was away
  -- for long. The first who finds out tells all who wait.
  function queue:lost()
    if redis.pcall('HSETNX', alive, 'told', '1') == 1 then
      redis.pcall('PEXPIRE', alive, LIFETIME)
      hint('all', 0)
    end
  end

  -- The lock is held, so nobody has let a grace pass.
  function queue:held()
    redis.pcall('DEL', reservation)
  end

  -- The first entry. Takes out those before it: the dead, and who has let its grace pass, so that it
  -- costs one grace and not one at every release; if it lives, it comes back to the end.
  function queue:head()
    local slow, till = reserved()
    -- Not more at once: others wait for the server meanwhile, and perhaps it refuses writes.
    for _ = 1, 64 do
      local first = redis.pcall('ZRANGE', entries, 0, 0)
      first = not first.err and first[1]
      if not first or is_alive(first) and not (first == slow and till <= self.now) then
        return first
      end
      self:remove(first)
    end
    return false
  end

  -- The lock is free, perhaps since nobody knows when: if it is not in line already, it is reserved
  -- for the head, which is woken. A standby looks when the grace is over. Returns for how many ms the
  -- lock is in line for the head.
  function queue:see_to_it()
    local first = self:head()
    local entry, till = reserved()
    if first and entry ~= first then
      till = self.now + GRACE
      redis.pcall('SET', reservation, text(till) .. ':' .. first, 'PX', GRACE + LIFETIME)
      hint(participant(first), 0)
      -- Whoever does not hear it may be dead, so a few are asked, until one does.
      local standbys = redis.pcall('ZRANGE', entries, 1, 8)
      for _, standby in ipairs(standbys) do
        if hint(participant(standby), GRACE + 5) then
          break
        end
      end
    end
    return first and till - self.now or 0
  end

  -- The head has changed while the lock is held: the new one looks soon, and then as often as a
  -- head does.
  function queue:tell_the_head()
    local first = self:head()
    if first then
      hint(participant(first), 2 * GRACE)
    end
  end

  return queue
end
