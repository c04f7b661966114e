-- Ends a grant, or whatever an attempt has, and passes the lock on: to the next in the releaser's
-- own line if it is its turn, else to the head of the queue.
--
-- KEYS   1 lock   2 counter   3 queue   4 alive   5 reservation
-- ARGV   1 attempt id   2 token, or '' for any   3 the queue entry to take out, or ''
--        4.. the arguments of `take` for the next in the releaser's own line; missing if nobody is
-- Reply  1 it held the lock, which is free now   0 it did not
--        2 as 1, but whoever waits could not be told: we may not publish
--        {1 or 2, what `take` returns, or {'failed'}} with a next in line, if it held the lock
-- Error  DLOCKTYPE   the lock key holds another type; nothing was changed
--        READONLY    this is a replica, which cannot know
--
-- R5: compares before it deletes. DEL comes first and passes under OOM.

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  return misused(value, 'lock key holds another type than a string')
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
if ARGV[4] and removed == 1 then
  if leaving ~= '' then
    remove(leaving)
  end
  local taken = take(ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9] or '', true)
  -- An error among the answers would look like the failure of all of it.
  return {mute and 2 or 1, taken.err and {'failed'} or taken}
end
if not free and leaving == '' or redis.call('EXISTS', KEYS[3]) == 0 then
  return removed
end
local first = redis.pcall('ZRANGE', KEYS[3], 0, 0)
if first.err or not first[1] then
  return removed
end

local queue = open_queue()
if leaving ~= '' then
  remove(leaving)
end
if free then
  queue:see_to_it()
elseif first[1] == leaving then
  queue:tell_the_head()
end
return removed == 1 and mute and 2 or removed
