-- Takes the lock away from whoever has it, and passes it on to the head of the queue.
--
-- KEYS   1 lock   2 counter   3 queue   4 alive   5 reservation
-- Reply  1 it was held   0 it was free
-- Error  DLOCKTYPE   the lock key holds another type than any lock; nothing was changed

local value = redis.pcall('GET', KEYS[1])
if type(value) == 'table' then
  if string.find(value.err, 'WRONGTYPE', 1, true) then
    return redis.error_reply('DLOCKTYPE the lock key holds another type than a string')
  end
  return value
end
if not value then
  return 0
end
local removed = redis.call('DEL', KEYS[1])
open_queue():see_to_it()
return removed
