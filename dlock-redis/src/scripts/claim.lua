-- Claims a fence: from here on older tokens are refused.
--
-- KEYS   1 fence: a hash with the fields token and grant, without expiry
-- ARGV   1 token   2 grant (a hash of the attempt id)
-- Reply  {'claimed'}         the token is the newest, or was and is the same grant's
--        {'stale', newest}   a newer one, or another grant with the same, has claimed
-- Error  DLOCKFENCE   the fence key holds no fence; nothing was changed

-- Tokens of other stores may be larger than Lua's exact numbers: decimals compare as text.
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
if newest and not above(ARGV[1], newest) and not (ARGV[1] == newest and ARGV[2] == grant) then
  return {'stale', newest}
end
local written = redis.pcall('HSET', KEYS[1], 'token', ARGV[1], 'grant', ARGV[2])
if type(written) == 'table' then
  return written
end
return {'claimed'}
