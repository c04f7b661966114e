-- One acquisition attempt: takes the lock if it is free, else says who has it.
--
-- KEYS   1 lock   2 counter
-- ARGV   1 attempt id   2 TTL in ms   3 label   4 retention of the counter in ms
-- Reply  {'granted', token}         the lock is ours from now on
--        {'earlier', token}         this very attempt has it already; its expiry is as it was
--        {'busy', label, ms left}   somebody else has it; label '': unknown; -1 ms: without end
-- Error  DLOCKTYPE, DLOCKCOUNTER    a key does not hold what belongs there; nothing was changed
--
-- A script is isolated but not all-or-nothing, so: all reads and checks, then the counter, then the
-- lock. Whatever stops the second write leaves a counter behind, never a lock without a holder.

-- Lua's numbers are exact up to here.
local LAST = 9007199254740991

local function text(number)
  return string.format('%.0f', number)
end

local function misused(reply, key)
  if string.find(reply.err, 'WRONGTYPE', 1, true) then
    return redis.error_reply('DLOCKTYPE the ' .. key .. ' key holds another type than a string')
  end
  return reply
end

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  return misused(value, 'lock')
end
if value then
  local own = 'dlock1:' .. ARGV[1] .. ':'
  if string.sub(value, 1, #own) == own then
    local token = string.match(value, '^(%d+):', #own + 1)
    if token then
      return {'earlier', token}
    end
  end
  local label = string.match(value, '^dlock1:%x+:%d+:(.*)$') or ''
  return {'busy', label, redis.call('PTTL', KEYS[1])}
end

local counter = redis.pcall('GET', KEYS[2])
if type(counter) == 'table' then
  return misused(counter, 'counter')
end
local newest = 0
if counter then
  newest = string.find(counter, '^%d+$') and tonumber(counter)
  if not newest or newest >= LAST then
    return redis.error_reply('DLOCKCOUNTER the counter key holds no token, or the last one')
  end
end

-- R10: the counter orders grants whatever the clock does; the clock keeps tokens rising when the
-- counter was lost, and so lets it expire.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local token = math.max(newest + 1, now)
local ttl = tonumber(ARGV[2])
local lifetime = math.max(math.ceil((token - now) / 1000), ttl) + tonumber(ARGV[4])

local written = redis.pcall('SET', KEYS[2], text(token), 'PX', text(lifetime))
if written.err then
  return written
end
written = redis.pcall('SET', KEYS[1], 'dlock1:' .. ARGV[1] .. ':' .. text(token) .. ':' .. ARGV[3], 'PX', text(ttl))
if written.err then
  return written
end
return {'granted', text(token)}
