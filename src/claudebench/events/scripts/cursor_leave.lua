-- cursor_leave: a holder ends: all that it holds of a group is free, and the others' shares grow.
--
-- flags  allow-oom
-- KEYS  groups group holders
-- ARGV  group holder
-- Returns how many partitions it held.
redis.call('ZREM', k_holders(group), holder)
local freed = 0
for partition = 0, (redis.call('HGET', k_groups, group) or 0) - 1 do
  if redis.call('HGET', k_group(group, partition), 'holder') == holder then
    redis.call('HSET', k_group(group, partition), 'holder', '', 'untilMs', 0)
    freed = freed + 1
  end
end
return freed
