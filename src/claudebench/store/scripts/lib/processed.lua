-- processed: the mark that a group has handled an event, written in the same atom as the effect of handling it.
-- uses  refuse position epoch
-- KEYS  group retries retrying
--
-- Defines not_holding(group, partition, holder, fence) -> refusal or nil, is_processed(group, partition, position), and
-- mark_processed(group, partition, position). A script that handles an event asks the first two before it writes
-- anything and calls the third beside its effect: so the effect happens once, however often the event is delivered.
-- The position of a dead letter that is delivered once more is `id!seq`: it is processed once it is in no queue.
local function not_holding(group, partition, holder, fence)
  local kept = redis.call('HMGET', k_group(group, partition), 'holder', 'fence', 'epoch')
  if is_outdated('events', kept[3]) then return refuse(STALE, 'events are delivered in another way since then') end
  if kept[1] == holder and tonumber(kept[2]) == tonumber(fence) then return nil end
  return refuse(STALE, 'the partition changed hands since this fence', 'current', tonumber(kept[2] or 0))
end

local function is_processed(group, partition, position)
  if string.find(position, '!', 1, true) then return not redis.call('ZSCORE', k_retries(group, partition), position) end
  return not is_before(redis.call('HGET', k_group(group, partition), 'pos') or '', position)
end

local function mark_processed(group, partition, position)
  if is_processed(group, partition, position) then return end
  if string.find(position, '!', 1, true) then
    redis.call('ZREM', k_retries(group, partition), position)
    redis.call('HDEL', k_retrying(group), position)
  else
    redis.call('HSET', k_group(group, partition), 'pos', position)
  end
end
