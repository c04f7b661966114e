-- Ends a grant, or whatever an attempt has, and passes the lock on to the head of the queue.
--
-- KEYS   1 lock   2 queue   3 alive   4 reservation
-- ARGV   1 attempt id   2 token, or '' for any   3 the queue entry to take out, or ''
-- Reply  1 it held the lock, which is free now   0 it did not
-- Error  DLOCKTYPE   the lock key holds another type; nothing was changed
--        READONLY    this is a replica, which cannot know
--
-- R5: compares before it deletes. DEL comes first and passes under OOM.

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
local removed = 0
if value and string.sub(value, 1, #own) == own then
  removed = redis.call('DEL', KEYS[1])
else
  -- R3: "not there" is final, so a replica must not say it. A write that changes nothing tells.
  local replica = redis.pcall('HDEL', KEYS[1], '')
  if type(replica) == 'table' and string.find(replica.err, 'READONLY', 1, true) then
    return replica
  end
end

local leaving = ARGV[3]
local free = removed == 1 or not value
if not free and leaving == '' then
  return removed
end
local first = redis.pcall('ZRANGE', KEYS[2], 0, 0)
if first.err or not first[1] then
  return removed
end

local queue = queue_of(KEYS[1], 2)
local now = milliseconds()
if leaving ~= '' then
  queue:remove(leaving)
end
if removed == 1 then
  queue:pass_on(now)
elseif free then
  queue:see_to_it(now)
elseif first[1] == leaving then
  queue:tell_the_head(now)
end
return removed
