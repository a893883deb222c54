-- cursor_take: a holder gets its share of the partitions of a group, each under a fence of its own, and holds them longer.
-- Assessment: PARTITION_EVENT
--
-- flags  allow-oom
-- uses  clock refuse epoch
-- KEYS  ev groups group holders
-- ARGV  given_ms group holder lease_ms epoch live whole
-- Returns {share, partition, position, fence, ...} of all that it holds; refuses with NOT_FOUND an unknown group, with
-- STALE an outdated epoch; what is held under such a one is free.
-- Those who took within their lease share alike. What a holder has beyond its share it keeps until it releases it, for
-- only it knows when it is between two events. A lease that a clock run backwards made longer is cut. Where a holder that
-- noted its position only now and then (`live`) did not release, the next one begins at the end of the log. `whole`: all
-- partitions or none.
local LEASE_MAX_MS = 60000
local partitions = tonumber(redis.call('HGET', k_groups, group) or 0)
if partitions == 0 then return refuse(NOT_FOUND, 'there is no such group of cursors', 'group', group) end
if is_outdated('events', epoch) then return refuse(STALE, 'events are delivered in another way since then') end
local until_ms, longest_ms = now_ms + lease_ms, now_ms + LEASE_MAX_MS
redis.call('ZREMRANGEBYSCORE', k_holders(group), '-inf', now_ms)
redis.call('ZREMRANGEBYSCORE', k_holders(group), '(' .. longest_ms, '+inf')
redis.call('ZADD', k_holders(group), until_ms, holder)

local share = math.ceil(partitions / redis.call('ZCARD', k_holders(group)))
local mine, free = {}, {}
for partition = 0, partitions - 1 do
  local kept = redis.call('HMGET', k_group(group, partition), 'pos', 'holder', 'fence', 'untilMs', 'epoch', 'live')
  local cursor, is_old = {partition, kept[1], tonumber(kept[3]), kept[6] == '1'}, is_outdated('events', kept[5])
  if kept[2] == holder and not is_old then mine[#mine + 1] = cursor
  elseif kept[2] == '' or is_old or tonumber(kept[4]) <= now_ms then free[#free + 1] = cursor
  elseif tonumber(kept[4]) > longest_ms then redis.call('HSET', k_group(group, partition), 'untilMs', longest_ms) end
end
if whole == '1' then
  share = partitions
  if #mine + #free < partitions then return {share} end
end
for _, cursor in ipairs(free) do
  if #mine >= share then break end
  cursor[3] = cursor[3] + 1
  if cursor[4] then
    local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
    cursor[2] = newest and newest[1] or cursor[2]
    redis.call('HSET', k_group(group, cursor[1]), 'pos', cursor[2])
  end
  mine[#mine + 1] = cursor
end
local answer = {share}
for _, cursor in ipairs(mine) do
  redis.call('HSET', k_group(group, cursor[1]), 'holder', holder, 'fence', cursor[3], 'untilMs', until_ms,
    'epoch', epoch, 'live', live)
  for at = 1, 3 do answer[#answer + 1] = cursor[at] end
end
return answer
