-- One acquisition attempt: takes the lock if it is free and nobody is before us, else says who has
-- it, and queues if it may. Put in front of the scripts that take the lock, for oneself or for the
-- next in one's own line.
--
-- KEYS     1 lock   2 counter   3 queue   4 alive   5 reservation
-- id       attempt id   ttl   in ms   label   retention   of the counter in ms
-- entry    our queue entry; '' for an attempt that may not queue
-- flags    's': more of our attempts wait behind this one, at a grant the entry goes to the end
--          'c': the entry should be in the queue already
-- Returns  {'granted', token, rank}       the lock is ours from now on
--          {'earlier', token}             this very attempt has it already; its expiry is as it was
--          {'busy', label, ms left, rank} somebody else has it; label '': unknown; -1 ms: without end
--          {'reserved', ms left, rank}    it is free, and in line for somebody else for so long
--          rank: how many entries are before ours; -1: it is not in the queue
-- Error    DLOCKTYPE, DLOCKCOUNTER    a key does not hold what belongs there; nothing was changed
--
-- A script is isolated but not all-or-nothing, so: all reads and checks, then the counter, then the
-- lock, then the order. Whatever stops the second write leaves a counter behind, never a lock
-- without a holder.

-- Lua's numbers are exact up to here.
local LAST = 9007199254740991

local function misused(reply, key)
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return redis.error_reply('DLOCKTYPE the ' .. key)
  end
  return reply
end

-- `free`: the lock key is known not to be there.
local function take(id, ttl, label, retention, entry, flags, free)
  local value = not free and redis.pcall('GET', KEYS[1])
  if type(value) == 'table' then
    return misused(value, 'lock key holds another type than a string')
  end
  local other, left = '', -1
  if value then
    local own = 'dlock1:' .. id .. ':'
    if string.sub(value, 1, #own) == own then
      local token = string.match(value, '^(%d+):', #own + 1)
      if token then
        return {'earlier', token}
      end
    end
    other = string.match(value, '^dlock1:%x+:%d+:(.*)$') or ''
    left = redis.call('PTTL', KEYS[1])
    if entry == '' then
      return {'busy', other, left, -1}
    end
  end

  local stays, first, reserved, alive
  if value or flags ~= '' or redis.call('EXISTS', KEYS[3]) == 1 then
    first = redis.pcall('ZRANGE', KEYS[3], 0, 0)
    if first.err then
      return misused(first, 'queue key holds another type than a sorted set')
    end
    first = first[1]
    reserved = redis.pcall('GET', KEYS[5])
    if type(reserved) == 'table' then
      return misused(reserved, 'reservation key holds another type than a string')
    end
    alive = redis.pcall('HGET', KEYS[4], entry)
    if type(alive) == 'table' then
      return misused(alive, 'alive key holds another type than a hash')
    end
    stays = string.find(flags, 's', 1, true)
    if not alive and string.find(flags, 'c', 1, true) then
      open_queue():lost()
    end
  end

  if value then
    if reserved then
      -- Nobody lets a grace pass while the lock is held.
      redis.pcall('DEL', KEYS[5])
    end
    local queue = open_queue()
    queue:join(entry)
    if first ~= entry then
      queue:tidy()
    end
    return {'busy', other, left, rank_of(entry)}
  end

  local counter = redis.pcall('GET', KEYS[2])
  local newest = 0
  if counter then
    if type(counter) == 'table' then
      return misused(counter, 'counter key holds another type than a string')
    end
    newest = not string.find(counter, '%D') and tonumber(counter)
    if not newest or newest >= LAST then
      return redis.error_reply('DLOCKCOUNTER the counter key holds no token, or the last one')
    end
  end

  if first and first ~= entry then
    -- R11: free, and somebody may be before us.
    local queue = open_queue()
    if entry ~= '' then
      queue:join(entry)
    end
    first, left = queue:see_to_it(entry)
    if first and first ~= entry then
      return {'reserved', left, rank_of(entry)}
    end
  end

  -- R10: the counter orders grants whatever the clock does; the clock keeps tokens rising when the
  -- counter was lost, and so lets it expire.
  local time = redis.call('TIME')
  local micros = time[1] * 1000000 + time[2]
  local token = math.max(newest + 1, micros)
  local lifetime = math.max(math.ceil((token - micros) / 1000), tonumber(ttl)) + retention
  token = string.format('%.0f', token)

  local written = redis.pcall('SET', KEYS[2], token, 'PX', lifetime)
  if written.err then
    return written
  end
  written = redis.pcall('SET', KEYS[1], 'dlock1:' .. id .. ':' .. token .. ':' .. label, 'PX', ttl)
  if written.err then
    return written
  end

  local rank = -1
  if reserved then
    redis.pcall('DEL', KEYS[5])
  end
  if stays then
    to_the_end(entry)
    if not is_recent(alive, clock(time)) then
      open_queue():join(entry)
    end
    rank = rank_of(entry)
  elseif first and entry ~= '' then
    remove(entry)
  end
  return {'granted', token, rank}
end
