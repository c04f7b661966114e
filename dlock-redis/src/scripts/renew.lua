-- Renews many leases, each on its own account.
--
-- KEYS   per lease: lock, counter
-- ARGV   1 retention of the counters in ms; then per lease: attempt id, token, TTL in ms
-- Reply  per lease: 1 renewed   0 the grant does not hold the lock   -1 the lock key holds another type
--
-- R6: only the very grant, id and token, that still holds its lock is extended, and never shortened:
-- a renewal that was held up on its way must not cut what a later one has set.

local LAST = 9007199254740991
local retention = tonumber(ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local function text(number)
  return string.format('%.0f', number)
end

-- The counter lives on for the retention after the lease, and is put back if it was lost. What is
-- no counter is left alone: the lease does not depend on it, and the next attempt reports it.
local function keep_counter(key, token, ttl)
  local counter = redis.pcall('GET', key)
  if type(counter) == 'table' or not token or token > LAST then
    return
  end
  local newest = 0
  if counter then
    newest = string.find(counter, '^%d+$') and tonumber(counter)
    if not newest or newest > LAST then
      return
    end
  end
  local lifetime = math.max(math.ceil((math.max(newest, token) - now) / 1000), ttl) + retention
  if newest < token then
    redis.pcall('SET', key, text(token), 'PX', text(lifetime))
    return
  end
  local left = redis.pcall('PTTL', key)
  if type(left) == 'number' and left >= 0 and left < lifetime then
    redis.pcall('PEXPIRE', key, text(lifetime))
  end
end

local results = {}
for i = 1, #KEYS / 2 do
  local lock, counter = KEYS[2 * i - 1], KEYS[2 * i]
  local id, token, ttl = ARGV[3 * i - 1], ARGV[3 * i], tonumber(ARGV[3 * i + 1])
  local own = 'dlock1:' .. id .. ':' .. token .. ':'
  local value = redis.pcall('GET', lock)
  if type(value) == 'table' then
    if not string.find(value.err, 'WRONGTYPE', 1, true) then
      return value
    end
    results[i] = -1
  elseif not value or string.sub(value, 1, #own) ~= own then
    -- A replica cannot know. A write that changes nothing tells.
    local replica = redis.pcall('HDEL', lock, '')
    if type(replica) == 'table' and string.find(replica.err, 'READONLY', 1, true) then
      return replica
    end
    results[i] = 0
  else
    results[i] = 1
    -- -1: somebody took the expiry away; a lock of ours has one.
    if redis.call('PTTL', lock) < ttl then
      local extended = redis.pcall('PEXPIRE', lock, text(ttl))
      if type(extended) == 'table' then
        return extended
      end
      results[i] = extended
    end
    if results[i] == 1 then
      keep_counter(counter, tonumber(token), ttl)
    end
  end
end
return results
