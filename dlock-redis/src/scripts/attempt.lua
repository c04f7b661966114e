-- One acquisition attempt: takes the lock if it is free and nobody is before us, else says who has
-- it, and queues if it may.
--
-- KEYS   1 lock   2 counter   3 queue   4 alive   5 reservation
-- ARGV   1 attempt id   2 TTL in ms   3 label   4 retention of the counter in ms
--        5 our queue entry; '' for an attempt that may not queue
--        6 '1' if more of our attempts wait behind this one: at a grant the entry goes to the end
--        7 '1' if the entry should be in the queue already
-- Reply  {'granted', token, rank}       the lock is ours from now on
--        {'earlier', token}             this very attempt has it already; its expiry is as it was
--        {'busy', label, ms left, rank} somebody else has it; label '': unknown; -1 ms: without end
--        {'reserved', ms left, rank}    it is free, and in line for somebody else for so long
--        rank: how many entries are before ours; -1: it is not in the queue
-- Error  DLOCKTYPE, DLOCKCOUNTER    a key does not hold what belongs there; nothing was changed
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

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  return misused(value, 'lock key holds another type than a string')
end
local entry, stays = ARGV[5], ARGV[6] == '1'
local label, left = '', -1
if value then
  local own = 'dlock1:' .. ARGV[1] .. ':'
  if string.sub(value, 1, #own) == own then
    local token = string.match(value, '^(%d+):', #own + 1)
    if token then
      return {'earlier', token}
    end
  end
  label = string.match(value, '^dlock1:%x+:%d+:(.*)$') or ''
  left = redis.call('PTTL', KEYS[1])
  if entry == '' then
    return {'busy', label, left, -1}
  end
end

local first = redis.pcall('ZRANGE', KEYS[3], 0, 0)
if first.err then
  return misused(first, 'queue key holds another type than a sorted set')
end
first = first[1]
local queue, now
if value or first or stays then
  local reserved = redis.pcall('GET', KEYS[5])
  if type(reserved) == 'table' then
    return misused(reserved, 'reservation key holds another type than a string')
  end
  local alive = redis.pcall('HGET', KEYS[4], entry)
  if type(alive) == 'table' then
    return misused(alive, 'alive key holds another type than a hash')
  end
  queue, now = queue_of(KEYS[1], 3), milliseconds()
  if ARGV[7] == '1' and not alive then
    -- The queue was lost (FLUSHALL), or we were away for long: all who wait shall look.
    queue:hint('all', 0)
  end
end

local newest = 0
if not value then
  local counter = redis.pcall('GET', KEYS[2])
  if type(counter) == 'table' then
    return misused(counter, 'counter key holds another type than a string')
  end
  if counter then
    newest = string.find(counter, '^%d+$') and tonumber(counter)
    if not newest or newest >= LAST then
      return redis.error_reply('DLOCKCOUNTER the counter key holds no token, or the last one')
    end
  end
end

if not value and first and first ~= entry then
  -- R11: free, and somebody may be before us.
  local rank = -1
  if entry ~= '' then
    rank = queue:join(entry, now)
  end
  first = queue:head(now)
  local reserved, till = queue:reserved(now)
  local passed
  if first and first ~= entry and reserved == first and till <= now then
    -- Its grace is over: it goes to the end, so that it costs one grace and not one at every release.
    queue:send_back(first)
    passed, first = first, queue:head(now)
  end
  if first and first ~= entry and first ~= passed then
    queue:see_to_it(now)
    if rank >= 0 then
      rank = redis.call('ZRANK', KEYS[3], entry) or -1
    end
    reserved, till = queue:reserved(now)
    return {'reserved', reserved and math.max(till - now, 0) or GRACE, rank}
  end
elseif value then
  local rank = queue:join(entry, now)
  if rank > 0 then
    queue:head(now)
    rank = redis.call('ZRANK', KEYS[3], entry) or -1
  end
  return {'busy', label, left, rank}
end

-- R10: the counter orders grants whatever the clock does; the clock keeps tokens rising when the
-- counter was lost, and so lets it expire.
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
local token = math.max(newest + 1, clock)
local ttl = tonumber(ARGV[2])
local lifetime = math.max(math.ceil((token - clock) / 1000), ttl) + tonumber(ARGV[4])

local written = redis.pcall('SET', KEYS[2], text(token), 'PX', text(lifetime))
if written.err then
  return written
end
written = redis.pcall('SET', KEYS[1], 'dlock1:' .. ARGV[1] .. ':' .. text(token) .. ':' .. ARGV[3], 'PX', text(ttl))
if written.err then
  return written
end

local rank = -1
if queue then
  redis.pcall('DEL', KEYS[5])
  if entry ~= '' then
    queue:remove(entry)
  end
  if stays then
    rank = queue:join(entry, now)
  end
end
return {'granted', text(token), rank}
