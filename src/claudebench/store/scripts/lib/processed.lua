-- processed: the mark that a group has handled an event, written in the same atom as the effect of handling it.
-- uses  refuse position
-- KEYS  group
--
-- Defines not_holding(group, partition, holder, fence) -> refusal or nil, is_processed(group, partition, position), and
-- mark_processed(group, partition, position). A script that handles an event asks the first two before it writes
-- anything and calls the third beside its effect: so the effect happens once, however often the event is delivered.
local function not_holding(group, partition, holder, fence)
  local kept = redis.call('HMGET', k_group(group, partition), 'holder', 'fence')
  if kept[1] == holder and tonumber(kept[2]) == tonumber(fence) then return nil end
  return refuse(STALE, 'the partition changed hands since this fence', 'current', tonumber(kept[2] or 0))
end

local function is_processed(group, partition, position)
  return not is_before(redis.call('HGET', k_group(group, partition), 'pos') or '', position)
end

local function mark_processed(group, partition, position)
  if not is_processed(group, partition, position) then
    redis.call('HSET', k_group(group, partition), 'pos', position)
  end
end
