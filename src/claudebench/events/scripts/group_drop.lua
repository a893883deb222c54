-- group_drop: a group that nobody serves ends, with its cursors, its dead letters and its retries, and that is told.
--
-- flags  allow-oom
-- uses  presence sweep refuse event group
-- KEYS  groups group holders letters retrying
-- ARGV  given_ms actor meta group
-- Returns {position, partitions, dead letters, retries that waited}; refuses with NOT_FOUND an unknown group, with CONFLICT
-- one that somebody holds or takes part in. Nobody alive has a lease of more than LEASE_MAX_MS: it is from before the
-- clock ran backwards.
local LEASE_MAX_MS = 60000
local partitions = tonumber(redis.call('HGET', k_groups, group))
if not partitions then return refuse(NOT_FOUND, 'no such group reads this log', 'group', group) end
local longest_ms = now_ms + LEASE_MAX_MS
local holder = redis.call('ZRANGEBYSCORE', k_holders(group), '(' .. now_ms, longest_ms, 'LIMIT', 0, 1)[1]
for partition = 0, partitions - 1 do
  local kept = redis.call('HMGET', k_group(group, partition), 'holder', 'untilMs')
  local until_ms = tonumber(kept[2])
  if kept[1] ~= '' and until_ms > now_ms and until_ms <= longest_ms then holder = kept[1] end
end
if holder then return refuse(CONFLICT, 'the group is served by ' .. holder, 'group', group, 'holder', holder) end

local dead, retrying = redis.call('HLEN', k_letters(group)), redis.call('HLEN', k_retrying(group))
end_group(group)
local told = '{"group":"' .. group .. '","partitions":' .. partitions .. ',"dead":' .. dead .. ',"retrying":' .. retrying .. '}'
return {emit('event.group_dropped', group, told), partitions, dead, retrying}
