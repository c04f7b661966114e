-- Writes a string, if its writer has the newest claim.
--
-- KEYS   1 fence   2 data
-- ARGV   1 token   2 grant (a hash of the attempt id)   3 value
-- Reply  {'written'}
--        {'stale', newest}   a newer token, or another grant with the same, has claimed
--        {'unclaimed'}       this token has not claimed
-- Error  DLOCKFENCE   the fence key holds no fence; nothing was changed

local function above(one, other)
  return #one > #other or (#one == #other and one > other)
end

local fence = redis.pcall('HMGET', KEYS[1], 'token', 'grant')
if fence.err and not string.find(fence.err, 'WRONGTYPE', 1, true) then
  return fence
end
if fence.err or (redis.call('EXISTS', KEYS[1]) == 1 and not (fence[1] and fence[2] and string.find(fence[1], '^%d+$'))) then
  return redis.error_reply('DLOCKFENCE the fence key does not hold a token and a grant')
end

local newest, grant = fence[1], fence[2]
if not newest or above(ARGV[1], newest) then
  return {'unclaimed'}
end
if ARGV[1] ~= newest or ARGV[2] ~= grant then
  return {'stale', newest}
end
local written = redis.pcall('SET', KEYS[2], ARGV[3])
if written.err then
  return written
end
return {'written'}
