-- group: a group of cursors begins to read the log, or ends with all that is kept for it.
-- uses  refuse
-- KEYS  ev evmeta groups group holders gaps letters letterage lettermeta retrying retries
--
-- Defines no_group(group, partitions) -> refusal or nil; begin_group(group, partitions, start), where `start` is a
-- position, '' for the oldest event that there is, or '$' for the next one; end_group(group) -> 1 if there was one.
local GROUPS_MAX = 32
local function no_group(group, partitions)
  local known = redis.call('HGET', k_groups, group)
  if known and known ~= partitions then
    return refuse(CONFLICT, 'the group has another number of partitions', 'partitions', tonumber(known))
  end
  if not known and redis.call('HLEN', k_groups) >= GROUPS_MAX then
    return refuse(LIMIT, 'too many groups read this log', 'reason', 'groups', 'limit', GROUPS_MAX)
  end
end

local function begin_group(group, partitions, start)
  local newest = redis.call('XREVRANGE', k_ev, '+', '-', 'COUNT', 1)[1]
  if start == '' then start = redis.call('HGET', k_evmeta, 'trimmed') or '0-0' end
  if start == '$' then start = newest and newest[1] or '0-0' end
  redis.call('HSET', k_groups, group, partitions)
  for partition = 0, partitions - 1 do
    redis.call('HSET', k_group(group, partition), 'pos', start, 'holder', '', 'fence', 0, 'untilMs', 0)
  end
end

local function end_group(group)
  for partition = 0, math.max(1, redis.call('HGET', k_groups, group) or 0) - 1 do
    redis.call('UNLINK', k_group(group, partition), k_retries(group, partition))
    redis.call('HDEL', k_gaps, group .. ':' .. partition)
  end
  redis.call('UNLINK', k_holders(group), k_letters(group), k_letterage(group), k_lettermeta(group), k_retrying(group))
  return redis.call('HDEL', k_groups, group)
end
