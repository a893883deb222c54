-- cursor_register: a group begins to read the log; from then on nothing is trimmed that it has not handled.
--
-- uses  refuse
-- KEYS  ev evmeta groups group
-- ARGV  group partitions start
-- Returns 1 if it is new, else 0; refuses with CONFLICT another number of partitions, with LIMIT the 33rd group.
-- `start` is a position, '' for the oldest event that there is, or '$' for the next one.
local GROUPS_MAX = 32
local known = redis.call('HGET', k_groups, group)
if known == partitions then return 0 end
if known then return refuse(CONFLICT, 'the group has another number of partitions', 'partitions', tonumber(known)) end
if redis.call('HLEN', k_groups) >= GROUPS_MAX then
  return refuse(LIMIT, 'too many groups read this log', 'reason', 'groups', 'limit', GROUPS_MAX)
end
local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
if start == '' then start = redis.call('HGET', k_evmeta, 'trimmed') or '0-0' end
if start == '$' then start = newest and newest[1] or '0-0' end
redis.call('HSET', k_groups, group, partitions)
for partition = 0, partitions - 1 do
  redis.call('HSET', k_group(group, partition), 'pos', start, 'holder', '', 'fence', 0, 'untilMs', 0)
end
return 1
