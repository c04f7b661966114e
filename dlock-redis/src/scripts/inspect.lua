-- Looks at a lock.
--
-- KEYS   1 lock   2 queue
-- Reply  nil                it is free
--        {value, ms left, entries}   it is held; -1 ms: without end; so many store instances wait, -1: unknown
-- Error  DLOCKTYPE   the lock key holds another type

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  if string.find(value.err, 'WRONGTYPE', 1, true) then
    return redis.error_reply('DLOCKTYPE the lock key holds another type than a string')
  end
  return value
end
if not value then
  return false
end
local waiting = redis.pcall('ZCARD', KEYS[2])
return {value, redis.call('PTTL', KEYS[1]), type(waiting) == 'number' and waiting or -1}
