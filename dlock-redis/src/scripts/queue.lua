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
-- sign of its owner, in ms. `waiting.rs` relies on both. A sign less than RECENT old is not renewed.
local GRACE = 500
local LIFETIME = 15000
local RECENT = 1000

-- Whether a message could not be sent: we may not publish.
local mute = false

-- Returns false if it was not there, or if the server refuses writes.
local function remove(entry)
  redis.pcall('HDEL', KEYS[4], entry)
  return redis.pcall('ZREM', KEYS[3], entry) == 1
end

-- How many are before an entry; -1: it is not there.
local function rank_of(entry)
  local rank = redis.pcall('ZRANK', KEYS[3], entry)
  return type(rank) == 'number' and rank or -1
end

-- Puts an entry at the end, from wherever it is.
local function to_the_end(entry)
  local last = redis.pcall('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')
  if not last.err and last[1] ~= entry then
    redis.pcall('ZADD', KEYS[3], string.format('%.0f', (tonumber(last[2]) or 0) + 1), entry)
  end
end

-- Whether the sign of life that holds until `till` need not be renewed.
local function is_recent(till, now)
  till = till and tonumber(till)
  return till and till > now + LIFETIME - RECENT and till <= now + LIFETIME
end

-- In ms.
local function clock(time)
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The queue of the lock KEYS[1], as it is now. All in one function, so that whoever does not need it
-- does not pay for it.
local function open_queue()
  local now = clock(redis.call('TIME'))
  local queue = {}
  local entries, alive, reservation = KEYS[3], KEYS[4], KEYS[5]

  local function text(number)
    return string.format('%.0f', number)
  end

  local function participant(entry)
    return string.match(entry, '^[^:]*')
  end

  -- Until when an entry counts as alive: at most for its lifetime, also when the clock was stepped
  -- back; nothing if it does not.
  local function life(entry)
    local till = redis.pcall('HGET', alive, entry)
    till = type(till) == 'string' and tonumber(till)
    return till and till > now and till <= now + LIFETIME and till
  end

  -- Asks a participant to look at the lock in so many ms: a hint that may be lost. Returns whether
  -- anybody has heard it, which says little: a stopped process hears, a polling one does not.
  local function hint(whom, delay)
    local heard = redis.pcall('PUBLISH', 'dlock:wakeup:' .. whom, delay .. ':' .. KEYS[1])
    mute = mute or type(heard) == 'table'
    return type(heard) == 'number' and heard > 0
  end

  -- For whom the lock is, or was, in line, and until when; nothing if for nobody.
  local function reserved()
    local value = redis.pcall('GET', reservation)
    local till, entry = string.match(type(value) == 'string' and value or '', '^(%d+):(.*)$')
    till = tonumber(till)
    -- A longer one is from before the clock was stepped back.
    if till and till <= now + GRACE then
      return entry, till
    end
  end

  -- The first entry, and for whom the lock is in line until when. Takes out those before it: the
  -- dead, and who has let its grace pass, so that it costs one grace and not one at every release;
  -- if it lives, it comes back to the end.
  local function head()
    local entry, till = reserved()
    local first
    -- Not more at once: others wait for the server meanwhile. A dead one that is left costs a grace.
    for _ = 1, 64 do
      first = redis.pcall('ZRANGE', entries, 0, 0)
      first = not first.err and first[1]
      if not first or life(first) and not (first == entry and till <= now) then
        break
      end
      if not remove(first) then
        return false
      end
    end
    return first, entry, till
  end

  -- Puts an entry at the end, if it is not there, and says that it is alive.
  function queue:join(entry)
    local till = life(entry)
    if not till or rank_of(entry) < 0 then
      to_the_end(entry)
    end
    if not is_recent(till, now) then
      redis.pcall('HSET', alive, entry, text(now + LIFETIME))
      redis.pcall('PEXPIRE', entries, LIFETIME)
      redis.pcall('PEXPIRE', alive, LIFETIME)
    end
  end

  -- The queue should have had an entry that it has not: it was lost (FLUSHALL), or this one was away
  -- for long. The first who finds out tells all who wait.
  function queue:lost()
    if redis.pcall('HSETNX', alive, 'told', '1') == 1 then
      redis.pcall('PEXPIRE', alive, LIFETIME)
      hint('all', 0)
    end
  end

  -- Takes out the dead before the first that lives.
  function queue:tidy()
    head()
  end

  -- The lock is free, perhaps since nobody knows when: unless it is in line already, it is reserved
  -- for the head, which is woken, and a standby looks when the grace is over. Returns the head, and
  -- for how many ms the lock is in line for it. If the head is who asks, nothing is needed.
  function queue:see_to_it(asking)
    local first, entry, till = head()
    if not first or first == asking then
      return first
    end
    if entry ~= first then
      till = now + GRACE
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
    return first, till - now
  end

  -- The head has changed while the lock is held: the new one looks soon, and then as often as a
  -- head does.
  function queue:tell_the_head()
    local first = head()
    if first then
      hint(participant(first), 2 * GRACE)
    end
  end

  return queue
end
