-- Ends a grant, or whatever grant an attempt has.
--
-- KEYS   1 lock
-- ARGV   1 attempt id   2 token, or '' for any
-- Reply  1 it held the lock, which is free now   0 it did not
-- Error  DLOCKTYPE   the lock key holds another type; nothing was changed
--        READONLY    this is a replica, which cannot know
--
-- R5: compares before it deletes. DEL passes under OOM.

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  if string.find(value.err, 'WRONGTYPE', 1, true) then
    return redis.error_reply('DLOCKTYPE the lock key holds another type than a string')
  end
  return value
end
local own = 'dlock1:' .. ARGV[1] .. ':'
if ARGV[2] ~= '' then
  own = own .. ARGV[2] .. ':'
end
if not value or string.sub(value, 1, #own) ~= own then
  -- R3: "not there" is final, so a replica must not say it. A write that changes nothing tells.
  local replica = redis.pcall('HDEL', KEYS[1], '')
  if type(replica) == 'table' and string.find(replica.err, 'READONLY', 1, true) then
    return replica
  end
  return 0
end
return redis.call('DEL', KEYS[1])
